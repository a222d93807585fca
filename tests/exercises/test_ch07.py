"""The exercises of chapter 7."""

from __future__ import annotations

import ch07
from hypothesis import given
from hypothesis import strategies as st

from wsref import Connection, Message, Role
from wsref.protocol.frames import Frame, build_frame
from wsref.protocol.spec import Opcode


def test_messages_come_out_whole_whatever_stands_between_their_fragments():
    frames = [(False, 2, b"a"), (True, 10, b""), (False, 0, b""), (True, 0, b"b"), (True, 1, b"c"), (True, 9, b"d")]
    assert list(ch07.joined(frames)) == [(2, b"ab"), (1, b"c")]


@given(st.lists(st.lists(st.binary(max_size=4), min_size=1, max_size=4), max_size=5))
def test_it_joins_as_the_connection_does(messages):
    frames, client = [], Connection(Role.CLIENT)
    for pieces in messages:
        for number, piece in enumerate(pieces):
            frames.append((number == len(pieces) - 1, 0 if number else 2, piece))
    for fin, opcode, piece in frames:
        client.receive(build_frame(Frame(Opcode(opcode), piece, fin)))
        event = client.next_event()
        assert (event is not None) == fin
        if fin:
            assert isinstance(event, Message)
    assert [payload for _, payload in ch07.joined(frames)] == [b"".join(pieces) for pieces in messages]


@given(st.text(max_size=20))
def test_a_tail_is_never_longer_than_three_bytes(text):
    assert ch07.longest_tail(text) <= 3
