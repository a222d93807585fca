"""The exercises of chapter 7."""

from __future__ import annotations

import pytest
from answers import refusal
from hypothesis import given
from hypothesis import strategies as st

from wsref import Connection, Message, Role
from wsref.exercises.solutions.ch07 import join, tail_size
from wsref.protocol.frames import Frame, build_frame
from wsref.protocol.messages import decode_some
from wsref.protocol.spec import Opcode


def with_control_frames(frames):
    messages, data = [], b""
    for fin, opcode, payload in frames:
        kind = opcode or kind  # noqa: F821
        data += payload
        if fin:
            messages.append((kind, data))
            data = b""
    return messages


@pytest.mark.parametrize(
    "name, answer, words",
    [
        ("join", with_control_frames, "Ping, Pong and Close are no parts of a message (RFC 6455 §5.4)"),
        ("join", lambda frames: [one for one in join(frames) if one[1]], "it is empty, but it ends"),
        ("join", lambda frames: join([*frames, (True, 0, b"")]), "must return [(1, b'a'), (2, b'b')], not "),
        ("join", lambda frames: iter(join(frames)), "must return [(1, b'a'), (2, b'b')], not <list_iterator"),
        ("tail_size", lambda data: 0, "must return 1, not 0: this is 'Grüße', cut after byte 3"),
        ("tail_size", lambda data: 1 if data[-1:] > b"\x7f" else 0, "this is 'Grüße', cut after byte 4"),
    ],
)
def test_a_wrong_answer_is_refused_with_its_fault(name, answer, words):
    assert words in refusal(name, answer, "ch07")


@given(st.lists(st.lists(st.binary(max_size=4), min_size=1, max_size=4), max_size=5))
def test_it_joins_as_the_connection_does(messages):
    frames, client = [], Connection(Role.CLIENT)
    for pieces in messages:
        for number, piece in enumerate(pieces):
            frames.append((number == len(pieces) - 1, 0 if number else 2, piece))
    received = []
    for fin, opcode, piece in frames:
        client.receive(build_frame(Frame(Opcode(opcode), piece, fin)))
        if isinstance(event := client.next_event(), Message):
            received.append((2, event.data))
    assert join(frames) == received == [(2, b"".join(pieces)) for pieces in messages]


@given(st.text(max_size=20), st.integers(0, 80))
def test_a_tail_is_what_the_server_keeps_and_never_longer_than_three_bytes(text, cut):
    data = text.encode()[:cut]
    assert tail_size(data) == len(decode_some(data)[1]) <= 3
