"""The exercises of chapter 1."""

from __future__ import annotations

import ch01
import pytest
from rawclient import connected, upgrade

HEAD = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize("size", range(1, len(HEAD) + 4))
def test_a_head_is_found_in_pieces_of_any_size(size):
    stream = HEAD + b"\r\n\r\nrest"
    pieces = iter([stream[n : n + size] for n in range(0, len(stream), size)])
    head, rest = ch01.head_of(pieces)
    assert head == HEAD
    assert rest + b"".join(pieces) == b"\r\n\r\nrest"


def test_a_head_that_does_not_end():
    with pytest.raises(EOFError, match="26 bytes"):
        ch01.head_of([HEAD[:-1]])


def test_a_request_for_coffee(serve):
    server = serve(ch01.Teapot)
    with connected(server, None) as client:
        client.send(b"GET /coffee HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.head().startswith("HTTP/1.1 418 ")
        assert b"this is a teapot" in client.rest()
    with connected(server, None) as client:
        client.send(upgrade("/tea"))
        assert client.head().startswith("HTTP/1.1 101 ")
