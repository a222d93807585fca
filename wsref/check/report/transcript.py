"""The bytes that a case sent and received, described."""

from __future__ import annotations

from collections.abc import Iterator

from ...wire import trace
from ...wire.picture import Description
from ..case import Verdict
from .summary import Pen


def seen_on(wire: list[tuple[bool, bytes]]) -> list[tuple[bool, Description | None]]:
    """What passed on one connection, described: whether we sent it; None: the server ended TCP."""
    seen: list[tuple[bool, Description | None]] = []

    def tell(what: trace.Seen) -> None:
        seen.extend((what.sent, description) for description in what.descriptions)
        if not what.sent and not what.data:
            seen.append((False, None))

    watcher = trace.Watcher("", tell, we_are_the_server=False)
    for sent, data in wire:
        watcher(sent, data)
    for sent in (True, False):
        if (cut := watcher.pending(sent=sent)) is not None:
            at = len(seen) if sent or not seen or seen[-1][1] is not None else len(seen) - 1
            seen.insert(at, (sent, cut))
    return seen


#: Frames and heads of one connection that are shown.
SHOWN = 12


def conversation(verdict: Verdict, pen: Pen) -> Iterator[str]:
    """All that passed, a line for each frame and the lines of heads.

    From chapter 6 on a handshake that every case begins with is one line.
    """
    for number, wire in enumerate(verdict.wire, 1):
        if len(verdict.wire) > 1:
            yield pen(f"connection {number}", "2")
        seen = seen_on(wire)
        if verdict.case.chapter in (6, 7, 8, 10) and len(seen) > 1 and seen[1][1] and seen[1][1].kind == "response":
            yield pen("(the opening handshake)", "2")
            seen = seen[2:]
        for sent, description in seen[:SHOWN]:
            yield from _one_seen(sent, description, pen)
        if len(seen) > SHOWN:
            yield pen(f"... and {len(seen) - SHOWN} more", "2")


def _one_seen(sent: bool, description: Description | None, pen: Pen) -> Iterator[str]:
    arrow = pen("sent", "1") if sent else pen("got ", "1")
    if description is None:
        yield f"{arrow} the end of TCP"
    elif description.kind in ("request", "response"):
        lines = description.raw.decode("latin-1").replace("\r\n", "\n").strip("\n").split("\n")
        for line in lines[:SHOWN]:
            yield f"{arrow} {_printable(line)}"
            arrow = "    "
        if len(lines) > SHOWN:
            yield f"     ... {len(lines) - SHOWN} lines more"
    else:
        yield f"{arrow} {description.one_line}" + (f" ({description.missing} missing)" if description.missing else "")
        raw = description.raw + (description.payload.wire if description.payload else b"")
        more = " ..." if description.payload and description.payload.length > len(description.payload.wire) else ""
        yield pen(f"     {raw[:32].hex(' ')}{more or (' ...' if len(raw) > 32 else '')}", "2")


def _printable(line: str) -> str:
    return ascii(line if len(line) <= 100 else line[:100] + "...")[1:-1]


def to_draw(verdict: Verdict) -> Description | None:
    """The one frame that is worth a picture: one with something wrong, the server's first."""
    seen = [pair for wire in verdict.wire for pair in seen_on(wire)]
    frames = [(sent, what) for sent, what in seen if what is not None and what.kind == "frame"]
    for wanted in (False, True):
        for sent, description in frames:
            if sent is wanted and description.problems:
                return description
    return next((description for sent, description in frames if sent), None)


def printable(text: str) -> str:
    """Escape characters that a terminal does not print."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
