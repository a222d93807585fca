"""Checks of chapter 7: messages."""

from __future__ import annotations

from typing import Any

from .expect import expect


def check_join(theirs: Any) -> None:
    """Join whole messages, fragments, and fragments with control frames between them."""
    expect(theirs, [(True, 1, b"a"), (True, 2, b"b")], gives=[(1, b"a"), (2, b"b")])
    expect(theirs, [(False, 2, b"a"), (False, 0, b"b"), (True, 0, b"c")], gives=[(2, b"abc")])
    mixed = [(False, 1, b"Hel"), (True, 9, b"?"), (True, 10, b""), (True, 0, b"lo"), (True, 8, b"\x03\xe8")]
    expect(theirs, mixed, gives=[(1, b"Hello")], why="Ping, Pong and Close are no parts of a message (RFC 6455 §5.4)")
    expect(theirs, [(False, 1, b""), (False, 0, b""), (True, 0, b"")], gives=[(1, b"")], why="it is empty, but it ends")
    twice = [(False, 1, b"a"), (True, 0, b"b"), (False, 2, b"c"), (True, 0, b"d"), (True, 1, b"e"), (False, 1, b"f")]
    expect(theirs, twice, gives=[(1, b"ab"), (2, b"cd"), (1, b"e")], why="the last message does not end")
    expect(theirs, [], gives=[])


def check_tail_size(theirs: Any) -> None:
    """Cut texts at every byte."""
    for text in ("Grüße", "5 €", "a😀b", "€€"):
        starts = [len(text[:n].encode()) for n in range(len(text) + 1)]
        data = text.encode()
        for cut in range(len(data) + 1):
            tail = cut - max(start for start in starts if start <= cut)
            expect(theirs, data[:cut], gives=tail, why=f"this is {text!r}, cut after byte {cut}")
