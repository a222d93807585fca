"""The exercises of chapter 9."""

from __future__ import annotations

import hashlib

import ch09
from hypothesis import given
from hypothesis import strategies as st

from wsref import Role
from wsref.protocol.deflate import DeflateParameters, Deflater


@given(st.binary(max_size=500))
def test_it_inflates_what_the_server_deflates(message):
    assert ch09.inflated(Deflater(DeflateParameters(), Role.SERVER).compress(message)) == message


def test_what_repeats_itself_is_worth_it_and_noise_is_not():
    assert ch09.ratio([b'{"x": 1, "y": 2, "who": "ann"}'] * 100) < 0.3
    assert ch09.ratio([hashlib.sha256(bytes([n])).digest() for n in range(100)]) > 1


def test_a_secret_is_guessed_by_the_length_of_what_is_sent():
    def size(searched: str) -> int:
        return len(Deflater(DeflateParameters(), Role.SERVER).compress(f"session=c0ffee; search={searched}".encode()))

    assert ch09.guessed(size, 6) == "c0ffee"


def test_nothing_is_guessed_where_the_secret_is_not_compressed():
    def size(searched: str) -> int:
        return len("session=c0ffee; ") + len(Deflater(DeflateParameters(), Role.SERVER).compress(searched.encode()))

    assert ch09.guessed(size, 6) != "c0ffee"
