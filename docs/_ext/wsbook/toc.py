"""Links to those pages that there are: ``pages``, a toctree, and ``lab``, to a chapter's notebook."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.directives.other import TocTree
from sphinx.util import docname_join
from sphinx.util.docutils import SphinxDirective
from sphinx.util.matching import patfilter


class Pages(TocTree):
    """A ``toctree`` in which a pattern may match nothing.

    Sphinx warns about that; here a chapter's pattern may stand before its chapter is written.
    """

    def run(self) -> list[nodes.Node]:
        """Leave out what matches nothing."""
        self.options["glob"] = True
        there = self.env.found_docs
        kept = [line for line in self.content if patfilter(there, docname_join(self.env.docname, line.strip()))]
        self.content = StringList(kept, source=self.get_source_info()[0])
        self.env.note_reread()  # a page may have come
        return super().run()


class Lab(SphinxDirective):
    """A sentence that leads to the notebook of a chapter, given by its number; nothing if there is none."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Link to it."""
        self.env.note_reread()  # it may have come
        names = patfilter(self.env.found_docs, f"labs/{self.arguments[0]}-*")
        if not names:
            return []
        text = (
            f"The [lab of this chapter](/{sorted(names)[0]}) runs it live: change the bytes, and see what comes back."
        )
        words, messages = self.parse_inline(text)
        return [nodes.paragraph("", "", *words, classes=["lab"]), *messages]


def setup(app: Any) -> None:
    """Register the directive."""
    app.add_directive("pages", Pages)
    app.add_directive("lab", Lab)
