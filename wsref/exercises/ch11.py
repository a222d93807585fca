"""Checks of chapter 11: out in the world."""

from __future__ import annotations

import contextlib
import hmac
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any
from urllib.parse import quote

from .. import HandshakeFailed, connect
from .expect import Wrong, expect, expect_event, serving


def check_Ticketed(theirs: Any) -> None:  # noqa: N802
    """Come with the ticket, with others, and without, and note how they are compared."""
    with _calls_of(hmac.compare_digest) as calls, serving(theirs) as url:
        for query in ("", "?ticket=", "?ticket=wrong", "?ticket=%C3%A9", f"?token={quote(theirs.ticket)}"):
            try:
                connect(f"{url}/{query}").close()
            except HandshakeFailed as error:
                if error.status != 403:
                    raise Wrong(f"a request of /{query} must get 403, not {error.status}") from None
            else:
                raise Wrong(f"a request of /{query} must get 403, and it opens a WebSocket")
        try:
            ws = connect(f"{url}/?ticket={quote(theirs.ticket)}")
        except HandshakeFailed as error:
            raise Wrong(f"a request with the right ticket must open a WebSocket, not get {error.status}") from None
        with ws:
            ws.send("hi")
            expect_event("a client with the ticket", ws, "'hi'", "'hi'")
    if not calls:
        raise Wrong("the time of Ticketed's comparison tells how many letters are right: use hmac.compare_digest")


@contextlib.contextmanager
def _calls_of(function: Callable[..., object]) -> Iterator[list[str]]:
    """Note the calls of a function that is not written in Python, in threads that begin now, under any name."""
    calls: list[str] = []

    def note(frame: FrameType, event: str, argument: object) -> None:
        if event == "c_call" and argument is function:
            calls.append(frame.f_code.co_name)

    before = threading.getprofile()
    threading.setprofile(note)
    try:
        yield calls
    finally:
        threading.setprofile(before)


def check_origins(theirs: Any) -> None:
    """Try the own ports of both schemes, and others."""
    expect(theirs, "app.example", [8443], gives=["http://app.example:8443", "https://app.example:8443"])
    expect(theirs, "app.example", [443], gives=["http://app.example:443", "https://app.example"])
    expect(theirs, "a", [80, 8080], gives=["http://a", "https://a:80", "http://a:8080", "https://a:8080"])
    expect(theirs, "a", [], gives=[])
