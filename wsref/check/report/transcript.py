"""The bytes that a case sent and received, described."""

from __future__ import annotations

from collections.abc import Iterator

from ...wire import trace
from ...wire.description import Description
from ..case import Verdict
from .summary import Ansi


def described(chunks: list[tuple[bool, bytes]]) -> list[tuple[bool, Description | None]]:
    """Describe the chunks of one connection.

    Returns:
        Pairs: whether the grader sent it, and its description; None: the server ended TCP.
    """
    seen: list[tuple[bool, Description | None]] = []

    def add(event: trace.Record) -> None:
        seen.extend((event.sent, description) for description in event.descriptions)
        if not event.sent and not event.data:
            seen.append((False, None))

    watcher = trace.TraceTap("", add, is_server=False)
    for sent, data in chunks:
        watcher(sent, data)
    for sent in (True, False):
        if (cut := watcher.pending(sent=sent)) is not None:
            at = len(seen) if sent or not seen or seen[-1][1] is not None else len(seen) - 1
            seen.insert(at, (sent, cut))
    return seen


#: The number of frames and heads to show of one connection.
MAX_SHOWN = 12


def conversation(verdict: Verdict, ansi: Ansi) -> Iterator[str]:
    """Yield the lines of a transcript: one or two for each frame, and those of the heads.

    From chapter 6 on, the opening handshake takes one line, because every case begins with it.
    """
    for number, chunks in enumerate(verdict.recorded, 1):
        if len(verdict.recorded) > 1:
            yield ansi(f"connection {number}", "2")
        seen = described(chunks)
        if verdict.case.chapter in (6, 7, 8, 10) and len(seen) > 1 and seen[1][1] and seen[1][1].kind == "response":
            yield ansi("(the opening handshake)", "2")
            seen = seen[2:]
        for sent, description in seen[:MAX_SHOWN]:
            yield from _event_lines(sent, description, ansi)
        if len(seen) > MAX_SHOWN:
            yield ansi(f"... and {len(seen) - MAX_SHOWN} more", "2")


def _event_lines(sent: bool, description: Description | None, ansi: Ansi) -> Iterator[str]:
    arrow = ansi("sent", "1") if sent else ansi("got ", "1")
    if description is None:
        yield f"{arrow} the end of TCP"
    elif description.kind in ("request", "response"):
        lines = description.raw.decode("latin-1").replace("\r\n", "\n").strip("\n").split("\n")
        for line in lines[:MAX_SHOWN]:
            yield f"{arrow} {_printable(line)}"
            arrow = "    "
        if len(lines) > MAX_SHOWN:
            yield f"     ... {len(lines) - MAX_SHOWN} more lines"
    else:
        yield f"{arrow} {description.one_line}" + (f" ({description.missing} missing)" if description.missing else "")
        raw = description.raw + (description.payload.wire if description.payload else b"")
        more = " ..." if description.payload and description.payload.length > len(description.payload.wire) else ""
        yield ansi(f"     {raw[:32].hex(' ')}{more or (' ...' if len(raw) > 32 else '')}", "2")


def _printable(line: str) -> str:
    return ascii(line if len(line) <= 100 else line[:100] + "...")[1:-1]


def frame_to_draw(verdict: Verdict) -> Description | None:
    """Return the frame to draw: an invalid one, preferably from the server; otherwise the first one sent."""
    seen = [pair for chunks in verdict.recorded for pair in described(chunks)]
    frames = [(sent, description) for sent, description in seen if description and description.kind == "frame"]
    for wanted in (False, True):
        for sent, description in frames:
            if sent is wanted and description.problems:
                return description
    return next((description for sent, description in frames if sent), None)


def printable(text: str) -> str:
    """Escape characters that a terminal does not print."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
