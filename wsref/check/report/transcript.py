"""The bytes that a case sent and received, described."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

from ...wire import trace
from ...wire.description import Description
from ..case import Verdict
from ..codec import printable
from .summary import Ansi


def described(chunks: list[tuple[bool, bytes]], *, is_server: bool = False) -> list[tuple[bool, Description | None]]:
    """Describe the chunks of one connection.

    Args:
        is_server: Whether the grader was the server.
    Returns:
        Pairs: whether the grader sent it, and its description; None: the server ended TCP.
    """
    seen: list[tuple[bool, Description | None]] = []

    def add(event: trace.Record) -> None:
        seen.extend((event.sent, description) for description in event.descriptions)
        if event.is_end:
            seen.append((False, None))

    watcher = trace.TraceTap("", add, is_server=is_server)
    for sent, data in chunks:
        watcher(sent, data)
    for sent in (True, False):
        if (cut := watcher.pending(sent=sent)) is not None:
            seen.append((sent, cut))
    return seen


#: The number of frames and heads to show of one connection: the first ones and the last ones.
MAX_SHOWN, MAX_LAST = 12, 4

#: Bytes to show of an answer that is not HTTP.
MAX_TEXT = 200

Event = tuple[bool, Description | None]


def conversation(verdict: Verdict, ansi: Ansi) -> Iterator[str]:
    """Yield the lines of a transcript: one or two for each frame, and those of the heads.

    From chapter 6 on, the opening handshake takes one line if more follows, because every case begins with it.
    In chapter 9 it also negotiates the extension.
    """
    for number, chunks in enumerate(verdict.recorded, 1):
        if len(verdict.recorded) > 1:
            yield ansi(f"connection {number}", "2")
        seen = described(chunks, is_server=verdict.case.is_for_clients)
        if not any(description and description.kind == "response" for _, description in seen):
            yield from _not_http(seen, chunks, ansi)
            continue
        if verdict.case.chapter in (6, 7, 8, 10, 11) and len(seen) > 2 and seen[1][1] and seen[1][1].kind == "response":
            yield ansi("(the opening handshake)", "2")
            seen = seen[2:]
        runs = [list(same) for _, same in itertools.groupby(seen, _bytes_of)]
        left_out = runs[MAX_SHOWN - MAX_LAST : -MAX_LAST] if len(runs) > MAX_SHOWN else []
        for at, run in enumerate(runs):
            if left_out and at == MAX_SHOWN - MAX_LAST:
                yield ansi(f"... {sum(map(len, left_out))} more ...", "2")
            if not left_out or not MAX_SHOWN - MAX_LAST <= at < len(runs) - MAX_LAST:
                yield from _event_lines(*run[0], ansi)
                if len(run) > 1:
                    yield ansi(f"     ... and {len(run) - 1} more like this", "2")


def _not_http(seen: list[Event], chunks: list[tuple[bool, bytes]], ansi: Ansi) -> Iterator[str]:
    """Yield the lines of a connection on which the server sent no answer in HTTP, so that its bytes are no frames."""
    for event in seen[:MAX_SHOWN]:
        if event[0]:
            yield from _event_lines(*event, ansi)
    received = b"".join(data for sent, data in chunks if not sent)
    arrow = ansi("got ", "1")
    for line in lines_of(received[:MAX_TEXT]):
        yield f"{arrow} {line}"
        arrow = "    "
    if len(received) > MAX_TEXT:
        yield ansi(f"     ... and {len(received) - MAX_TEXT} more bytes", "2")
    if (False, None) in seen:
        yield from _event_lines(False, None, ansi)


def _bytes_of(event: Event) -> tuple[bool, bytes | None, bytes | None]:
    sent, description = event
    if description is None:
        return sent, None, None
    return sent, description.raw, description.payload.wire if description.payload else None


def _event_lines(sent: bool, description: Description | None, ansi: Ansi) -> Iterator[str]:
    arrow = ansi("sent", "1") if sent else ansi("got ", "1")
    if description is None:
        yield f"{arrow} the end of TCP"
    elif description.kind in ("request", "response"):
        lines = lines_of(description.raw)
        for line in lines[:MAX_SHOWN]:
            yield f"{arrow} {line}"
            arrow = "    "
        if len(lines) > MAX_SHOWN + 1:
            yield f"     ... {len(lines) - MAX_SHOWN - 1} more lines"
        if len(lines) > MAX_SHOWN:
            yield f"{arrow} {lines[-1]}"
    else:
        missing = f" ({description.missing} missing)" if description.missing else ""
        yield f"{arrow} {printable(description.one_line)}{missing}"
        raw = description.raw + (description.payload.wire if description.payload else b"")
        more = " ..." if description.payload and description.payload.length > len(description.payload.wire) else ""
        yield ansi(f"     {raw[:32].hex(' ')}{more or (' ...' if len(raw) > 32 else '')}", "2")


def lines_of(head: bytes) -> list[str]:
    r"""Return the lines of a head.  A line end is visible where it matters: an empty line, a bare LF, a bare CR.

    >>> lines_of(b"GET / HTTP/1.1\r\nHost: a\n\r\n")
    ['GET / HTTP/1.1', 'Host: a␊', '␍␊']
    """
    lines = re.findall(rb"[^\n]*\n|[^\n]+\Z", head)
    return [_line(line) for line in lines]


def _line(line: bytes) -> str:
    text = line.decode("latin-1")
    end = text[len(text.rstrip("\r\n")) :]
    begin = text.removesuffix(end)
    blanks = len(begin) - len(begin.rstrip(" "))
    shown = ascii(begin if len(begin) <= 100 else begin[:100] + "...")[1:-1] if begin else ""
    if blanks and len(begin) <= 100:
        shown = shown[:-blanks] + "␠" * blanks
    return shown + ("" if begin and end in ("\r\n", "") else end.replace("\r", "␍").replace("\n", "␊"))


def frame_to_draw(verdict: Verdict) -> Description | None:
    """Return the frame to draw: an invalid one, preferably from the server; otherwise the first one sent."""
    seen = [pair for chunks in verdict.recorded for pair in described(chunks, is_server=verdict.case.is_for_clients)]
    frames = [(sent, description) for sent, description in seen if description and description.kind == "frame"]
    for wanted in (False, True):
        for sent, description in frames:
            if sent is wanted and description.problems:
                return description
    return next((description for sent, description in frames if sent), None)
