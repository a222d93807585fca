"""Checks of chapter 8: closing."""

from __future__ import annotations

from typing import Any

from .. import connect
from .expect import expect, expect_error, expect_event, serving, show


def check_close_event(theirs: Any) -> None:
    """Show a code with and without reason, no code, and no Close."""
    expect(theirs, b"\x03\xe8", gives=(1000, "", True))
    expect(theirs, b"\x0f\xa0" + "tschüs".encode(), gives=(4000, "tschüs", True))
    expect(theirs, b"", gives=(1005, "", True), why="the Close carries no code")
    expect(theirs, None, gives=(1006, "", False), why="no Close came")


def check_close_payload(theirs: Any) -> None:
    """Try reasons that fit and that do not, and codes that are not sent."""
    expect(theirs, 1000, "", gives=b"\x03\xe8")
    expect(theirs, 4000, "tschüs", gives=b"\x0f\xa0" + "tschüs".encode())
    expect(theirs, 1001, "x" * 123, gives=b"\x03\xe9" + b"x" * 123, why="123 bytes of reason fit")
    expect(theirs, 1001, "x" * 124, gives=b"\x03\xe9" + b"x" * 123, why="123 bytes of reason fit")
    for letter in "é€😀":
        for before in ("", "x", "xx", "xxx"):
            fits = before + letter * ((123 - len(before)) // len(letter.encode()))
            why = f"{len(fits)} whole characters fit into 123 bytes"
            expect(theirs, 1001, before + letter * 123, gives=b"\x03\xe9" + fits.encode(), why=why)
    for code in (1005, 1006, 1015):
        expect_error(theirs, code, "", raises=ValueError)


def check_ThreeOnly(theirs: Any) -> None:  # noqa: N802
    """Send four messages at once, from two clients, one after the other."""
    with serving(theirs) as url:
        for who in ("the first client", "the second client"):
            with connect(url) as ws:
                for n in range(4):
                    ws.send(f"message {n + 1}")
                for n in range(3):
                    expect_event(who, ws, show(f"message {n + 1}"), f"four messages, as event {n + 1}")
                expect_event(who, ws, "Close 4000 'that was the third'", "four messages and three answers")
