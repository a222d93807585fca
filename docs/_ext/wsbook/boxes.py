"""Boxes: where the article and the RFC differ, exercises and their solutions, two columns."""

from __future__ import annotations

import math
import re
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective

from .runner import ROOT


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
    """A card; with ``:to: page.md``, the title is a link that fills the card."""

    classes = ("door",)
    heading = "{}"
    option_spec: ClassVar[dict[str, Any]] = {**_Box.option_spec, "to": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        """Make the title a link."""
        if "to" in self.options:
            self.heading = f"[{{}}]({self.options['to']})"
        return super().run()


class Chapter(SphinxDirective):
    """The card of a chapter, given by its number: title, minutes, and the content: a reader's new skill."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the card."""
        number = int(self.arguments[0])
        (path,) = (ROOT / "docs" / "tutorial").glob(f"{number:02}-*.md")
        self.env.note_dependency(str(path))
        text = path.read_text("utf-8")
        title = text.partition("\n")[0].removeprefix("# ")
        words, messages = self.parse_inline(f"[{title}](/tutorial/{path.name})")
        card = nodes.container(classes=["door", "chapter-card"])
        self.set_source_info(card)
        card += nodes.paragraph("", "", *words, classes=["box-title"])
        card += nodes.paragraph("", f"about {minutes(text, number)} minutes", classes=["minutes"])
        card += self.parse_content_to_nodes()
        return [card, *messages]


def minutes(text: str, number: int) -> int:
    """Estimate the time for a chapter: 150 words a minute, and 6 lines a minute to type; to the next 5.

    Output, code and the exercises are not counted.
    """
    from wsref.steps import diff_of, source_of

    prose = re.sub(r"^(```+).*?^\1", "", text.partition("\n## Exercises")[0], flags=re.M | re.S)
    if number == 0:
        lines = 0
    elif number == 1:
        lines = len(source_of(1).splitlines())
    else:
        lines = len(re.findall(r"^\+(?!\+\+)", diff_of(number), re.M))
    return 5 * math.ceil((len(prose.split()) / 150 + lines / 6) / 5)


class Columns(_Box):
    """Parts that are side by side if there is room."""

    classes = ("columns",)

    def run(self) -> list[nodes.Node]:
        """Mark the code, which has less room."""
        found = super().run()
        for block in found[0].findall(nodes.literal_block):
            block["classes"].append("in-column")
        return found


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
        "chapter": Chapter,
    }.items():
        app.add_directive(name, directive)
