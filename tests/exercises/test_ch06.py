"""The exercises of chapter 6."""

from __future__ import annotations

import ch06
import pytest

from wsref.protocol.frames import build_header
from wsref.protocol.spec import Opcode


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65535, 65536, 2**40])
@pytest.mark.parametrize("key", [b"", b"abcd"])
def test_the_second_byte_says_how_long_the_header_is(length, key):
    header = build_header(Opcode.BINARY, length, masking_key=key)
    assert ch06.header_length(header[1]) == len(header)


def test_a_length_the_wrong_way_round():
    assert ch06.read_the_wrong_way_round(ch06.read_the_wrong_way_round(300)) == 300
    assert ch06.read_the_wrong_way_round(200) == 51200
