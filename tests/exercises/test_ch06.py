"""The exercises of chapter 6."""

from __future__ import annotations

import pytest
from answers import refusal

from wsref.exercises.ch06 import check_masked_frame
from wsref.exercises.solutions.ch06 import header_size, masked_frame
from wsref.protocol.frames import build_header
from wsref.protocol.spec import Opcode

KEY = b"abcd"


def unmasked(text, key):
    return masked_frame(text, bytes(4)).replace(bytes(4), key, 1) if text else masked_frame(text, key)


def low_byte_first(text, key):
    frame = masked_frame(text, key)
    return frame[:2] + frame[2:4][::-1] + frame[4:] if frame[1] == 0xFE else frame


def short_mask(text, key):
    frame = masked_frame(text, key)
    return frame[:408] + bytes(len(frame) - 408) if len(frame) > 408 else frame


def cut_short(text, key):
    return masked_frame(text, key)[: 8 + 125]


def characters(text, key):
    frame = masked_frame(text, key)
    return frame[:1] + bytes([0x80 | len(text)]) + frame[2:] if len(text) < 126 else frame


@pytest.mark.parametrize(
    "name, answer, words",
    [
        (
            "header_size",
            lambda second: header_size(second & 0x7F),
            "the mask bit is set, and the length is 0 (RFC 6455 §5.2)",
        ),
        ("header_size", lambda second: header_size(second) + (second == 127), "10, not 11: the mask bit is not set"),
        ("masked_frame", lambda text, key: masked_frame(text, key)[1:], "begin with FIN and opcode 1: 81, not 85"),
        ("masked_frame", unmasked, "of 5 bytes ('Hello') must have the masked payload next: 7f 9f 4d 51 58, not 48 65"),
        ("masked_frame", lambda text, key: masked_frame(text, key).replace(key, b""), "have the masking key next: 37"),
        ("masked_frame", low_byte_first, "have the mask bit and the length next: fe 00 7e, not fe 7e 00"),
        ("masked_frame", characters, "of 5 bytes ('5 €') must have the mask bit and the length next: 85, not 83"),
        ("masked_frame", short_mask, "have the masked payload next, at its byte 400: 4f 82 59 45 4f 82 59"),
        ("masked_frame", cut_short, "have the masked payload next, at its byte 125: 82, not nothing (RFC 6455 §5.3)"),
        (
            "masked_frame",
            lambda text, key: masked_frame(text, key) + b"\n",
            "end there: nothing, not 0a (RFC 6455 §5.2)",
        ),
        ("masked_frame", lambda text, key: None, "must be bytes, not None"),
    ],
)
def test_a_wrong_answer_is_refused_with_its_fault(name, answer, words):
    assert words in refusal(name, answer, "ch06")


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_what_a_socket_sends_is_as_good_as_bytes(kind):
    check_masked_frame(lambda text, key: kind(masked_frame(text, key)))


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65535, 65536, 2**40])
@pytest.mark.parametrize("key", [b"", KEY])
def test_the_solutions_and_the_servers_headers_agree(length, key):
    header = build_header(Opcode.TEXT, length, masking_key=key)
    assert header_size(header[1]) == len(header)
    if key and length <= 65536:
        assert masked_frame("x" * length, key).startswith(header)
