"""The exercises of chapter 1."""

from __future__ import annotations

import pytest
from answers import refusal

from wsref.exercises.ch01 import check_teapot
from wsref.exercises.solutions.ch01 import teapot
from wsref.steps import load


def joined(pieces):
    head, _, rest = b"".join(pieces).partition(b"\r\n\r\n")
    return head + b"\r\n\r\n", rest


def in_one_piece(pieces):
    for piece in pieces:
        if b"\r\n\r\n" in piece:
            head, _, rest = piece.partition(b"\r\n\r\n")
            return head + b"\r\n\r\n", rest
    raise EOFError


def greedy(pieces):
    if b"\r\n\r\n" not in b"".join(pieces):
        raise EOFError
    return joined(pieces)


def rest_of_the_piece(pieces):
    """Search the empty line in the last piece, although it may begin in the one before."""
    data = b""
    for piece in pieces:
        data += piece
        if b"\r\n\r\n" in data:
            return data.partition(b"\r\n\r\n")[0] + b"\r\n\r\n", piece[piece.find(b"\r\n\r\n") + 4 :]
    raise EOFError


def any_three_words(head):
    words = head.partition(b"\r\n")[0].split()
    return teapot(b" ".join([*words[:2], b"HTTP/1.1"]) + b"\r\n" if len(words) == 3 else head)


@pytest.mark.parametrize(
    "name, answer, words",
    [
        ("read_head", in_one_piece, "raises EOFError"),
        ("read_head", joined, "must raise EOFError; it returns"),
        ("read_head", greedy, "takes a piece after the end of the head"),
        ("read_head", rest_of_the_piece, "the rest of the piece in which the head ends follows it"),
        (
            "teapot",
            any_three_words,
            "of teapot(b'coffee for two\\r\\nHost: a\\r\\n\\r\\n') must begin with 'HTTP/1.1 400 '",
        ),
        ("teapot", lambda head: teapot(head).decode(), "must be bytes, not "),
        (
            "teapot",
            lambda head: teapot(head).replace(b"\r", b""),
            "lines that end in CRLF, and an empty line after the last header (RFC 9112 §2.1)",
        ),
        ("teapot", lambda head: teapot(head).replace(b": 11", b": 10"), "Content-Length: 11, not 10"),
        ("teapot", lambda head: teapot(head.replace(b"-table", b"")), "must begin with 'HTTP/1.1 200 '"),
        ("teapot", lambda head: teapot(head.replace(b"?milk=1", b"?")).replace(b"close", b"x"), "close, not x"),
        ("teapot", lambda head: teapot(head) + b"\n", r"must have the body b'Hello.\n', not b'Hello.\n\n'"),
    ],
)
def test_a_wrong_answer_is_refused_with_its_fault(name, answer, words):
    assert words in refusal(name, answer, "ch01")


@pytest.mark.parametrize(
    "answer",
    [
        lambda head: bytearray(teapot(head)),
        lambda head: memoryview(teapot(head)),
        lambda head: teapot(head).replace(b"Connection: close", b"CONNECTION:Close"),
    ],
)
def test_a_right_answer_is_accepted(answer):
    check_teapot(answer)


@pytest.mark.parametrize("first", ["GET / HTTP/1.1", "GET /", "GET / FTP/1.1", "GET  / HTTP/1.1", "GET / HTTP/1.1 "])
def test_the_teapot_and_the_chapters_program_agree_on_the_first_line(first):
    valid = load(1).REQUEST_LINE.fullmatch(first.encode())
    assert teapot(f"{first}\r\nHost: a\r\n\r\n".encode()).startswith(b"HTTP/1.1 200" if valid else b"HTTP/1.1 400")
