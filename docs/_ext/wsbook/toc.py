"""Links between pages: ``lab``, to a notebook, and ``next-chapter``, a card; and the writing of generated pages."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from docutils import nodes
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


class Lab(SphinxDirective):
    """A sentence with a link to the notebook of a chapter, given by its number."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the sentence."""
        names = patfilter(self.env.found_docs, f"labs/{self.arguments[0]}-*")
        if not names:
            raise self.error(f"There is no lab {self.arguments[0]}")
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
    app.add_directive("lab", Lab)
    app.add_directive("next-chapter", NextChapter)
