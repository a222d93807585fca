"""Checks of chapter 1: an HTTP base."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from .expect import Wrong, bytes_of, call, call_text, expect, expect_error, show

_HEAD = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def check_read_head(theirs: Any) -> None:
    """Cut a head in pieces of each size; two empty lines, none, and a piece too many."""
    for size in range(len(_HEAD), 0, -1):
        pieces = [_HEAD[n : n + size] for n in range(0, len(_HEAD), size)]
        expect(theirs, pieces, gives=(_HEAD, b""))
    expect(theirs, [_HEAD + b"a\r\n\r\nb"], gives=(_HEAD, b"a\r\n\r\nb"), why="the first empty line ends it")
    expect_error(theirs, [_HEAD[:-1]], raises=EOFError)
    call(theirs, _and_no_more())
    data = _HEAD + b"\x81\x85body of a frame"
    for size in range(2, len(_HEAD)):
        pieces = [data[n : n + size] for n in range(0, len(data), size)]
        taken = -(-len(_HEAD) // size) * size
        why = "the rest of the piece in which the head ends follows it"
        expect(theirs, pieces, gives=(_HEAD, data[len(_HEAD) : taken]), why=why)


def _and_no_more() -> Iterator[bytes]:
    yield _HEAD[:10]
    yield _HEAD[10:]
    raise Wrong("read_head takes a piece after the end of the head: a client that waits for its answer sends none")


def check_teapot(theirs: Any) -> None:
    """Read each response, as a client does."""
    for first, status, body in [
        ("GET / HTTP/1.1", 200, "Hello.\n"),
        ("GET /coffee HTTP/1.1", 418, "Only thé.\n"),
        ("BREW /coffee?milk=1 HTTP/1.1", 418, "Only thé.\n"),
        ("GET /coffee-table HTTP/1.1", 200, "Hello.\n"),
        ("GET /coffee", 400, "Bad request.\n"),
        ("coffee, please, two cups", 400, "Bad request.\n"),
        ("coffee for two", 400, "Bad request.\n"),
    ]:
        _check_response(theirs, f"{first}\r\nHost: a\r\n\r\n".encode(), status, body.encode())


def _check_response(theirs: Any, request: bytes, status: int, body: bytes) -> None:
    text = f"the response of {call_text(theirs, request)}"
    response = bytes_of(call(theirs, request), text)
    head, empty_line, got_body = response.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    if not empty_line or b"\n" in b"".join([first, *lines]):
        rule = "lines that end in CRLF, and an empty line after the last header (RFC 9112 §2.1)"
        raise Wrong(f"{text} must have {rule}: {response!r}")
    if not re.fullmatch(rb"HTTP/1\.1 %d .*" % status, first):
        raise Wrong(f"{text} must begin with 'HTTP/1.1 {status} ' and a phrase, not {show(first)}")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
    if got_body != body:
        raise Wrong(f"{text} must have the body {body!r}, not {show(got_body)}")
    for name, value in ((b"Content-Length", b"%d" % len(body)), (b"Connection", b"close")):
        if headers.get(name.lower(), b"").lower() != value:  # the options of Connection have no case (RFC 9110 §7.6.1)
            got = headers.get(name.lower(), b"no such header").decode("latin-1")
            raise Wrong(f"{text} must have the header {name.decode()}: {value.decode()}, not {got}")
