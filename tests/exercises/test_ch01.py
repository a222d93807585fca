"""The exercises of chapter 1."""

from __future__ import annotations

import ch01
import pytest

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


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (HEAD.replace(b"/", b"/coffee", 1), 418),
        (HEAD.replace(b"/", b"/tea", 1), 200),
        (HEAD.replace(b"/ ", b"/coffee?milk=1 ", 1), 418),
        (HEAD[:-2], 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 505),
    ],
)
def test_a_teapot_answers(data, status):
    answer = ch01.answer_to(data)
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert (b"this is a teapot" in answer) == (status == 418)
