"""Links between pages: ``pages``, a toctree, ``lab``, to a notebook, and ``next-chapter``, a card."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.directives.other import TocTree
from sphinx.util import docname_join
from sphinx.util.docutils import SphinxDirective
from sphinx.util.matching import patfilter


def write_pages(folder: Path, pattern: str, pages: Mapping[str, str]) -> None:
    """Write the generated pages that have changed, and remove others that match the pattern."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob(pattern):
        if path.name not in pages:
            path.unlink()
    for name, text in pages.items():
        path = folder / name
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")


class Pages(TocTree):
    """A ``toctree`` in which a pattern may match nothing.

    Sphinx warns about that; here a pattern may be written before its chapter.
    """

    def run(self) -> list[nodes.Node]:
        """Omit patterns that match nothing."""
        self.options["glob"] = True
        there = self.env.found_docs
        kept = [line for line in self.content if patfilter(there, docname_join(self.env.docname, line.strip()))]
        self.content = StringList(kept, source=self.get_source_info()[0])
        self.env.note_reread()  # a page may be new
        return super().run()


class Lab(SphinxDirective):
    """A sentence with a link to the notebook of a chapter, given by its number; nothing without a notebook."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the sentence."""
        self.env.note_reread()  # the lab may be new
        names = patfilter(self.env.found_docs, f"labs/{self.arguments[0]}-*")
        if not names:
            return []
        text = f"The [lab of this chapter](/{sorted(names)[0]}) runs it live: change the bytes, and see the answers."
        words, messages = self.parse_inline(text)
        return [nodes.paragraph("", "", *words, classes=["lab"]), *messages]


class NextChapter(SphinxDirective):
    """The card at the end of a chapter, with the number and title of the next one, and a reason to read on."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the card; its link fills it."""
        names = patfilter(self.env.found_docs, f"tutorial/{int(self.arguments[0]):02}-*")
        if not names:
            raise self.error(f"There is no chapter {self.arguments[0]}")
        words, messages = self.parse_inline(f"Next: [chapter {self.arguments[0]}](/{names[0]}.md)")
        card = nodes.container(classes=["next-chapter"])
        self.set_source_info(card)
        card += nodes.paragraph("", "", *words, classes=["next-title"])
        card += self.parse_content_to_nodes()
        return [card, *messages]


def setup(app: Any) -> None:
    """Register the directives."""
    app.add_directive("pages", Pages)
    app.add_directive("lab", Lab)
    app.add_directive("next-chapter", NextChapter)
