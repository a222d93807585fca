"""Boxes: where the article and the RFC differ, exercises and their solutions, two columns."""

from __future__ import annotations

from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective


class solution(nodes.Element):  # noqa: N801  (docutils names its nodes so)
    """Hidden until it is asked for; attribute ``title``."""


class _Box(SphinxDirective):
    """A container with a class, and perhaps a heading of its own."""

    has_content = True
    optional_arguments = 1
    final_argument_whitespace = True
    option_spec: ClassVar[dict[str, Any]] = {"class": directives.class_option}
    classes: ClassVar[tuple[str, ...]] = ()
    heading = ""  # what stands above it; "{}" for the argument

    def run(self) -> list[nodes.Node]:
        """Parse what is in it."""
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
    """What the article says."""

    classes = ("article-says",)
    heading = "The article says"


class RFCSays(_Box):
    """What the RFC says; the argument is the section."""

    classes = ("rfc-says",)
    heading = "The RFC says · {}"


class HereSays(_Box):
    """What wsref does about it, across both columns."""

    classes = ("here-says",)
    heading = "So wsref"


class RFCQuote(_Box):
    """Sentences of an RFC; the argument is the section."""

    classes = ("rfc-quote",)
    heading = "{}"


class BreakIt(_Box):
    """Something to try that ought to fail."""

    classes = ("break-it",)
    heading = "Try to break it"


class Exercise(_Box):
    """Something to do; the argument is its name."""

    classes = ("exercise",)
    heading = "Exercise: {}"


class Door(_Box):
    """On the front page: where one kind of reader goes in."""

    classes = ("door",)
    heading = "{}"


class Columns(_Box):
    """What is in it stands side by side where there is room."""

    classes = ("columns",)


class Solution(SphinxDirective):
    """Hidden in a ``<details>``, so that nobody reads it by accident."""

    has_content = True
    optional_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """Parse what is in it."""
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
