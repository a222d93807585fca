"""The exercises of chapter 9."""

from __future__ import annotations

import zlib

import pytest
from answers import refusal
from hypothesis import given
from hypothesis import strategies as st

from wsref import Role
from wsref.exercises.solutions.ch09 import guess_secret, inflate, ratio
from wsref.protocol.deflate import DeflateParameters, Deflater


def with_header(payload):
    return zlib.decompress(payload + b"\0\0\xff\xff")


def without_takeover(messages):
    return sum(ratio([one]) * len(one) for one in messages) / sum(map(len, messages))


def without_the_name(size, length):
    known = ""
    for _ in range(length):
        known += min("0123456789abcdef", key=lambda digit: size(known + digit))
    return known


@pytest.mark.parametrize(
    "name, answer, words",
    [
        ("inflate", with_header, "raises error: Error -3"),
        ("inflate", lambda payload: inflate(payload).decode(), "must return b'Hello', not 'Hello'"),
        ("ratio", without_takeover, "must return 0.176, not 1."),
        ("ratio", lambda messages: ratio(messages) + 4 * len(messages) / sum(map(len, messages)), "1.400, not 2.2"),
        ("ratio", lambda messages: None, "must return 1.400, not None"),
        ("ratio", lambda messages: messages.clear(), "ratio([b'Hello']) must return 1.400, not None"),
        ("guess_secret", without_the_name, "must return 'c0ffee', not "),
        ("guess_secret", lambda size, length: "c0ffee", "must return '7', not 'c0ffee'"),
    ],
)
def test_a_wrong_answer_is_refused_with_its_fault(name, answer, words):
    assert words in refusal(name, answer, "ch09")


@given(st.binary(max_size=500))
def test_it_inflates_what_the_server_deflates(message):
    assert inflate(Deflater(DeflateParameters(), Role.SERVER).compress(message)) == message


def test_nothing_is_guessed_where_the_secret_is_not_compressed():
    def size(searched: str) -> int:
        return len("session=c0ffee; ") + len(Deflater(DeflateParameters(), Role.SERVER).compress(searched.encode()))

    assert guess_secret(size, 6) != "c0ffee"
