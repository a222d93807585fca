"""Checks of chapter 8: closing."""

from __future__ import annotations

from typing import Any

from .. import WebSocket, connect
from .expect import expect, expect_error, expect_event, serving, show


def check_close_event(theirs: Any) -> None:
    """Show a code with and without reason, no code, and no Close."""
    expect(theirs, b"\x03\xe8", gives=(1000, "", True))
    expect(theirs, b"\x0f\xa0" + "tschüs".encode(), gives=(4000, "tschüs", True))
    expect(theirs, b"", gives=(1005, "", True), why="the Close carries no code (RFC 6455 §7.1.5)")
    expect(theirs, None, gives=(1006, "", False), why="no Close came (RFC 6455 §7.1.5)")


def check_close_payload(theirs: Any) -> None:
    """Try reasons that fit and that do not, and codes that are not sent."""
    expect(theirs, 1000, "", gives=b"\x03\xe8")
    expect(theirs, 4000, "tschüs", gives=b"\x0f\xa0" + "tschüs".encode())
    expect(theirs, 1001, "x" * 123, gives=b"\x03\xe9" + b"x" * 123, why="123 bytes of reason fit (RFC 6455 §5.5)")
    expect(theirs, 1001, "x" * 124, gives=b"\x03\xe9" + b"x" * 123, why="123 bytes of reason fit (RFC 6455 §5.5)")
    for letter in "é€😀":
        for before in ("", "x", "xx", "xxx"):
            fits = before + letter * ((123 - len(before)) // len(letter.encode()))
            why = f"{len(fits)} whole characters fit into 123 bytes"
            expect(theirs, 1001, before + letter * 123, gives=b"\x03\xe9" + fits.encode(), why=why)
    for code in (1005, 1006, 1015):
        expect_error(theirs, code, "", raises=ValueError)


def check_ThreeOnly(theirs: Any) -> None:  # noqa: N802
    """Send three and four messages from two clients; the second is there after the first one's first message."""
    with serving(theirs) as url, connect(url) as first:
        first.send("message 1")
        expect_event("the first client", first, show("message 1"), "its first message")
        with connect(url) as second:
            _go_on("the second client", second, 1, 3)
        _go_on("the first client", first, 2, 4)


def _go_on(who: str, ws: WebSocket, begin: int, end: int) -> None:
    """Send the messages that are left at once, and receive all events."""
    for n in range(begin, end + 1):
        ws.send(f"message {n}")
    for n in range(begin, 4):
        expect_event(who, ws, show(f"message {n}"), f"{end} messages, as event {n}")
    expect_event(who, ws, "Close 4000 'that was the third'", f"{end} messages and 3 answers")
