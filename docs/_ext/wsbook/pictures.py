"""Pictures: bytes, drawn by :mod:`wsref.wire.describe`, and the states of closing, drawn from their table."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective

from . import runner  # noqa: F401  (it makes this checkout's wsref the one that is imported)


def octets_of(text: str) -> bytes:
    r"""Return the bytes of a page's text: hex, or lines of HTTP.

    Args:
        text: Hex digits in any grouping, with comments after ``#``; or lines of an HTTP head,
            without CR LF and without the empty line at the end.

    >>> octets_of("8185 37fa213d   # header\n7f9f4d5158").hex()
    '818537fa213d7f9f4d5158'
    >>> octets_of("GET / HTTP/1.1\nHost: a")
    b'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
    """
    bare = re.sub(r"#.*", "", text)
    if re.fullmatch(r"[0-9a-fA-F\s]*", bare):
        return bytes.fromhex("".join(bare.split()))
    return "".join(f"{line}\r\n" for line in text.strip("\n").split("\n")).encode("latin-1") + b"\r\n"


class Wire(SphinxDirective):
    """A picture of bytes, drawn while the book is built.

    The argument or the content is hex or an HTTP head.
    """

    has_content = True
    optional_arguments = 1
    final_argument_whitespace = True
    option_spec: ClassVar[dict[str, Any]] = {
        "from": lambda argument: directives.choice(argument, ("client", "server")),
        "key": directives.unchanged_required,
        "plain": directives.flag,
        "only-bits": directives.flag,
        "caption": directives.unchanged_required,
    }

    def run(self) -> list[nodes.Node]:
        """Draw."""
        from wsref.protocol.deflate import DeflateParameters
        from wsref.wire.describe import explain
        from wsref.wire.svg import svg_of

        try:
            octets = octets_of("\n".join([*self.arguments, *self.content]))
        except ValueError as error:
            raise self.error(f"wire: neither hex nor an HTTP head: {error}") from None
        masked = {"client": True, "server": False}.get(self.options.get("from", ""))
        agreed = None if "plain" in self.options else DeflateParameters()
        descriptions = explain(octets, masked=masked, key=self.options.get("key"), deflate=agreed)
        if not descriptions:
            raise self.error("wire: no bytes")
        wide, narrow = (
            svg_of(descriptions, table="only-bits" not in self.options, narrow=narrow) for narrow in (False, True)
        )
        return figure(self, wide, descriptions[0].one_line, self.options.get("caption", ""), narrow)


def figure(directive: SphinxDirective, svg: str, label: str, caption: str, narrow: str = "") -> list[nodes.Node]:
    """Return an inline picture, which has the page's colours.

    On a narrow page the one for a narrow page is shown, if there is one; another scrolls and does not shrink.
    """
    where = ("wide", "narrow") if narrow else ("",)
    drawn = "".join(
        f'<div class="wire-moves {place}" tabindex="0" role="group" aria-label="{escape(label)}">{picture}</div>'
        for place, picture in zip(where, (svg, narrow), strict=False)
    )
    if not caption:
        return [nodes.raw("", f'<figure class="wire">{drawn}</figure>', format="html")]
    words, messages = directive.parse_inline(caption)
    return [
        nodes.raw("", f'<figure class="wire">{drawn}<figcaption>', format="html"),
        nodes.paragraph("", "", *words),
        nodes.raw("", "</figcaption></figure>", format="html"),
        *messages,
    ]


# -- The states of closing --------------------------------------------------------


_BOX_WIDTH, _BOX_HEIGHT, _GAP, _LINE = 120, 56, 190, 17  # the picture's pixels

_STATES_STYLE = """\
.wsref-states { font: 13px system-ui, sans-serif; fill: currentColor; }
.wsref-states .box { fill: #1b8aa6; fill-opacity: .18; stroke: currentColor; stroke-opacity: .6; }
.wsref-states .name { font-weight: 600; font-size: 14px; }
.wsref-states path.arrow { fill: none; stroke: currentColor; stroke-width: 1.5; }
"""


def states_svg(transitions: Mapping[tuple[Any, str], Any]) -> str:
    """Return a picture of a table of states.

    The states are in a row, in the order of their numbers.  An arrow to the next state is
    straight, an arrow to a later state is below, and an arrow to the same state is a loop above.

    Args:
        transitions: From ``(state, event)`` to the next state.
    """
    states = sorted({state for state, _ in transitions} | set(transitions.values()))
    grouped: dict[tuple[Any, Any], list[str]] = {}
    for (state, event), after in transitions.items():
        grouped.setdefault((state, after), []).append(event)
    loops = [len(events) for (state, after), events in grouped.items() if state == after]
    straight = [len(events) for (a, b), events in grouped.items() if states.index(b) - states.index(a) == 1]
    top = 20 + max([n * _LINE + 34 for n in loops] + [n * _LINE - 10 for n in straight] + [0])
    width = len(states) * _BOX_WIDTH + (len(states) - 1) * _GAP + 20
    height = top + _BOX_HEIGHT + 74
    x = {state: 10 + n * (_BOX_WIDTH + _GAP) for n, state in enumerate(states)}
    parts = list(_state_parts(states, grouped, x, top))
    words = " ".join(f"{state.name}: {event}: {after.name}." for (state, event), after in transitions.items())
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="wsref-states" role="img" width="{width}" '
            f'height="{height}" viewBox="0 0 {width} {height}">',
            f"<title>The states {', '.join(state.name for state in states)} and what leads from one to another</title>",
            f"<desc>{escape(words)}</desc>",
            f"<style>\n{_STATES_STYLE}</style>",
            '<defs><marker id="wsref-tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" '
            'orient="auto-start-reverse"><path d="M0 0L10 5L0 10z" fill="currentColor"/></marker></defs>',
            *parts,
            "</svg>",
        ]
    )


def _state_parts(
    states: list[Any], grouped: Mapping[tuple[Any, Any], list[str]], x: Mapping[Any, int], top: int
) -> Iterator[str]:
    middle, bottom = top + _BOX_HEIGHT / 2, top + _BOX_HEIGHT
    for state in states:
        yield f'<rect class="box" x="{x[state]}" y="{top}" width="{_BOX_WIDTH}" height="{_BOX_HEIGHT}" rx="8"/>'
        yield _words(x[state] + _BOX_WIDTH / 2, middle, state.name, "name")
        yield _words(x[state] + _BOX_WIDTH / 2, middle + 17, f"readyState {int(state)}")
    for (state, after), events in grouped.items():
        distance = states.index(after) - states.index(state)
        if distance == 0:
            at = x[state] + _BOX_WIDTH // 2
            yield _arrow(f"M{at - 24} {top}C{at - 34} {top - 44} {at + 34} {top - 44} {at + 24} {top}")
            for n, event in enumerate(reversed(events)):
                yield _words(at, top - 42 - n * _LINE, event)
        elif distance == 1:
            left, right = x[state] + _BOX_WIDTH, x[after]
            yield _arrow(f"M{left} {middle}L{right} {middle}")
            for n, event in enumerate(reversed(events)):
                yield _words((left + right) / 2, middle - 8 - n * _LINE, event)
        else:
            left, right = x[state] + _BOX_WIDTH // 2, x[after] + _BOX_WIDTH // 2
            yield _arrow(f"M{left} {bottom}C{left} {bottom + 60} {right} {bottom + 60} {right} {bottom}")
            for n, event in enumerate(events):
                yield _words((left + right) / 2, bottom + 62 + n * _LINE, event)


def _arrow(path: str) -> str:
    return f'<path class="arrow" d="{path}" marker-end="url(#wsref-tip)"/>'


def _words(x: float, y: float, words: str, classes: str = "") -> str:
    named = f' class="{classes}"' if classes else ""
    return f'<text x="{x:g}" y="{y:g}" text-anchor="middle"{named}>{escape(words)}</text>'


class ClosingStates(SphinxDirective):
    """The diagram of :data:`wsref.protocol.closing.TRANSITIONS`."""

    option_spec: ClassVar[dict[str, Any]] = {"caption": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        """Draw."""
        from wsref.protocol.closing import TRANSITIONS

        return figure(self, states_svg(TRANSITIONS), "The states of closing", self.options.get("caption", ""))


def setup(app: Any) -> None:
    """Register the directives."""
    app.add_directive("wire", Wire)
    app.add_directive("closing-states", ClosingStates)
