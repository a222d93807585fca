"""Boxes: where the article and the RFC differ, exercises and their solutions, two columns."""

from __future__ import annotations

from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective


class solution(nodes.Element):  # noqa: N801  (docutils names its nodes so)
    """A part that is hidden until the reader opens it; attribute ``title``."""


class _Box(SphinxDirective):
    """A container with a class, and perhaps a heading."""

    has_content = True
    optional_arguments = 1
    final_argument_whitespace = True
    option_spec: ClassVar[dict[str, Any]] = {"class": directives.class_option}
    classes: ClassVar[tuple[str, ...]] = ()
    heading = ""  # "{}" is the argument

    def run(self) -> list[nodes.Node]:
        """Parse the content."""
        box = nodes.container(classes=[*self.classes, *self.options.get("class", [])])
        self.set_source_info(box)
        messages: list[nodes.system_message] = []
        title = self.heading.format(self.arguments[0] if self.arguments else "").strip(" :·")
        if title:
            words, messages = self.parse_inline(title)
            box += nodes.paragraph("", "", *words, classes=["box-title"])
        box += self.parse_content_to_nodes()
        return [box, *messages]


class Differs(_Box):
    """Around :class:`ArticleSays`, :class:`RFCSays` and :class:`HereSays`."""

    classes = ("differs",)
    heading = "{}"


class ArticleSays(_Box):
    """The statement of the article."""

    classes = ("article-says",)
    heading = "The article says"


class RFCSays(_Box):
    """The statement of the RFC; the argument is the section."""

    classes = ("rfc-says",)
    heading = "The RFC says · {}"


class HereSays(_Box):
    """The behaviour of wsref, across both columns."""

    classes = ("here-says",)
    heading = "So wsref"


class RFCQuote(_Box):
    """Sentences of an RFC; the argument is the section."""

    classes = ("rfc-quote",)
    heading = "{}"


class BreakIt(_Box):
    """An experiment that should fail."""

    classes = ("break-it",)
    heading = "Try to break it"


class Exercise(_Box):
    """A task; the argument is its name."""

    classes = ("exercise",)
    heading = "Exercise: {}"


class Door(_Box):
    """A card on the front page for one kind of reader."""

    classes = ("door",)
    heading = "{}"


class Columns(_Box):
    """Parts that are side by side if there is room."""

    classes = ("columns",)


class Solution(SphinxDirective):
    """Text hidden in a ``<details>``, so that it is not read by accident."""

    has_content = True
    optional_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """Parse the content."""
        node = solution("", title=self.arguments[0] if self.arguments else "Solution")
        node += self.parse_content_to_nodes()
        return [node]


def _visit_html(translator: Any, node: solution) -> None:
    title = translator.encode(node["title"])
    translator.body.append(f'<details class="solution"><summary>{title}</summary>\n')


def _depart_html(translator: Any, node: solution) -> None:
    translator.body.append("</details>\n")


def _nothing(translator: Any, node: solution) -> None:
    pass


def setup(app: Any) -> None:
    """Register the directives."""
    others = dict.fromkeys(("text", "latex", "man", "texinfo"), (_nothing, _nothing))
    app.add_node(solution, html=(_visit_html, _depart_html), **others)
    for name, directive in {
        "differs": Differs,
        "article-says": ArticleSays,
        "rfc-says": RFCSays,
        "here-says": HereSays,
        "rfc": RFCQuote,
        "break-it": BreakIt,
        "exercise": Exercise,
        "solution": Solution,
        "columns": Columns,
        "door": Door,
    }.items():
        app.add_directive(name, directive)
