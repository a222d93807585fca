"""Exercises of chapter 1: an HTTP base.

Check them: python -m wsref exercise 1
"""

import re
from collections.abc import Iterable
from http import HTTPStatus


def read_head(pieces: Iterable[bytes]) -> tuple[bytes, bytes]:
    r"""Return the head of a request, with its empty line, and the bytes that follow it.

    The pieces are as TCP delivers them: the empty line may begin in one and end in the next.  Take no
    more pieces than the head needs: a client that waits for your answer sends no more.

    Raises:
        EOFError: The pieces end before the head does.

    >>> read_head([b"GET / HT", b"TP/1.1\r\nHost: a\r", b"\n\r\n\x81\x85"])
    (b'GET / HTTP/1.1\r\nHost: a\r\n\r\n', b'\x81\x85')
    """
    data = b""
    for piece in pieces:
        data += piece
        head, empty_line, rest = data.partition(b"\r\n\r\n")
        if empty_line:
            return head + empty_line, rest
    raise EOFError(f"{len(data)} bytes, and no empty line")


def teapot(head: bytes) -> bytes:
    r"""Return the whole response to the head of a request: status line, headers, empty line, body.

    Returns:
        For the path /coffee, with or without a query: 418, and the body "Only thé.\n" in UTF-8;
        for every other target: 200, and the body "Hello.\n";
        for a first line that is not METHOD TARGET HTTP/1.1: 400, and the body "Bad request.\n".
        Each has the headers Content-Length, which counts bytes, and Connection: close.

    >>> teapot(b"GET /coffee?milk=1 HTTP/1.1\r\nHost: a\r\n\r\n").partition(b"\r\n")[0]
    b"HTTP/1.1 418 I'm a Teapot"
    """
    found = re.match(rb"[!-~]+ ([!-~]+) HTTP/1\.1\r\n", head)
    if not found:
        status, body = 400, b"Bad request.\n"
    elif found[1].partition(b"?")[0] == b"/coffee":
        status, body = 418, "Only thé.\n".encode()
    else:
        status, body = 200, b"Hello.\n"
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"Content-Length: {len(body)}", "Connection: close"]
    return "\r\n".join([*lines, "", ""]).encode() + body
