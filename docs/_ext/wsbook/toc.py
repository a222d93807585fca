"""Links between pages: ``lab``, ``next-chapter``, and the tree of all pages; and the writing of generated pages."""

from __future__ import annotations

import posixpath
import re
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


class Tree:
    """The tree of all pages beside each page, which Sphinx resolves anew for each: a third of its work.

    Its links are the same for all pages of a folder.  So it is resolved once for each folder, as for
    a page that is not in it, and the way to the page is marked in the text.
    """

    def __init__(self) -> None:
        self._trees: dict[tuple[object, ...], str] = {}

    def put(self, app: Any, pagename: str, templatename: str, context: dict[str, Any], doctree: object) -> None:
        """Replace the function that the theme calls."""
        if "toctree" not in context:
            return

        def tree(**options: Any) -> str:
            nowhere = posixpath.join(posixpath.dirname(pagename), "-")
            key = (nowhere, *sorted(options.items()))
            if key not in self._trees:
                self._trees[key] = app.builder._get_local_toctree(nowhere, **options)
            links = {name: app.builder.get_relative_uri(nowhere, name) for name in way_to(pagename, app.env)}
            return with_way(self._trees[key], list(links.values()))

        context["toctree"] = tree


def way_to(page: str, env: Any) -> list[str]:
    """Return the pages from the top of the tree down to a page."""
    above = {below: page for page, included in env.toctree_includes.items() for below in included}
    way = [page]
    while (parent := above.get(way[0], env.config.root_doc)) != env.config.root_doc:
        way.insert(0, parent)
    return way


def with_way(tree: str, links: list[str]) -> str:
    """Mark the links that lead to a page, as Sphinx does; the last one is the page.

    >>> with_way('<li class="toctree-l1"><a class="reference internal" href="a.html">A</a></li>', ["a.html"])
    '<li class="toctree-l1 current"><a class="current reference internal" href="#">A</a></li>'
    """
    for link in links:
        here = link == links[-1]
        tree = re.sub(
            rf'(<li class="toctree-l\d)("><a class=")(reference internal" href=")({re.escape(link)})(?=")',
            rf"\1 current\2{'current ' * here}\3{'#' if here else link}",
            tree,
        )
    return tree


def setup(app: Any) -> None:
    """Register the directives, and the tree before furo, whose priority is 500, asks for it."""
    app.connect("html-page-context", Tree().put, priority=400)
    app.add_directive("lab", Lab)
    app.add_directive("next-chapter", NextChapter)
