"""What is done for speed changes nothing but the speed: every fast line against a plain one."""

from __future__ import annotations

import itertools
import os
import random
import socket
import ssl
import subprocess
import sys
import threading
import weakref
import zlib
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import peak_memory, wait_until
from hypothesis import given
from hypothesis import strategies as st
from rawclient import connected
from vectors import KEY, ZERO, all_splits, close, events_of, frame, more, plain, prop, take, text, xor

import wsref
from wsref import Echo, Limits, WebSocketHandler
from wsref.fast.connection import APART, FastConnection
from wsref.network.backlog import BacklogWriter
from wsref.network.channel import Channel
from wsref.network.send_queue import MAX_WRITE
from wsref.network.tap import Tapped
from wsref.network.transport import Transport
from wsref.protocol import masking
from wsref.protocol.connection import Connection, Message
from wsref.protocol.deflate import DeflateParameters
from wsref.protocol.errors import ConnectionClosed
from wsref.protocol.messages import LARGE
from wsref.protocol.spec import Role

#: The package's own folder.  The clone's name, or that of a folder above it, may contain "wsref" too.
PACKAGE = str(Path(wsref.__file__).parent) + os.sep


def as_the_server_does(connection):
    """All events, the messages by the short cut as long as it gives any."""
    while True:
        yield from (Message(data) for data in connection.messages())
        event = connection.next_event()
        if event is None:
            return
        yield event


def both(pieces, limits=Limits(), parameters=None):
    """The events of the same bytes, and of the end of TCP, with the short cut and without; they must be equal."""
    found = []
    for kind, events_of_it in ((Connection, take), (FastConnection, take), (FastConnection, as_the_server_does)):
        connection = kind(Role.SERVER, limits, parameters=parameters)
        events = []
        for piece in pieces:
            connection.receive(piece)
            events += [plain(event) for event in events_of_it(connection)]
        state = connection.state
        for _ in range(2):
            connection.receive(b"")
            events += [plain(event) for event in events_of_it(connection)]
        found.append((events, state, connection.state))
    assert found[0] == found[1] == found[2]
    return found[0][0]


#: What the short cut takes, what it must leave, and what is a hair's breadth from either.
WIRES = {
    "text": text("hello"),
    "binary": frame(2, b"\xff\xfe"),
    "empty text": text(""),
    "empty binary": frame(2),
    "two": text("a") + frame(2, b"b"),
    "125 bytes": text("x" * 125),
    "126 bytes": text("x" * 126),
    "126 bytes, the 125 in 16 bits": frame(1, b"x" * 125, form=16),
    "length 0 in 16 bits": frame(1, b"", form=16),
    "599 and 600 bytes": frame(2, b"y" * 599) + frame(2, b"z" * 600),
    "5 bytes in 64 bits": frame(1, b"hello", form=64),
    "not masked": frame(1, b"hello", key=b""),
    "not masked, 126": frame(1, b"x" * 126, key=b""),
    "RSV1": frame(1, b"hello", rsv=0x40),
    "reserved opcode": frame(3, b"hello"),
    "ping between": text("a") + frame(9, b"?") + text("b"),
    "fragments": text("a", fin=False) + more("b") + text("c"),
    "a text within a text": text("a", fin=False) + text("bcd"),
    "a text within a text, after a ping": text("a", fin=False) + frame(9, b"?") + text("bcd"),
    "continuation of nothing": more("a"),
    "not UTF-8": text(b"ok \xff"),
    "half a character": text(b"\xe2\x82"),
    "a surrogate": text(b"\xed\xa0\x80"),
    "UTF-8": text("é€😀"),
    "after a close": text("a") + close() + text("b"),
    "fragment, then not masked": text("a", fin=False) + frame(0, b"b", key=b""),
}


class TestShortCut:
    """Connection.messages: RFC 6455 §5.2 in fewer lines"""

    @pytest.mark.parametrize("name", WIRES)
    def test_it_gives_what_the_long_way_gives_whole_bytewise_split_and_with_a_tail(self, name):
        wire = WIRES[name]
        wanted = both([wire])
        assert both([wire[i : i + 1] for i in range(len(wire))]) == wanted
        for pieces in all_splits(wire):
            assert both(pieces) == wanted
        both([wire + text("tail")])
        both([text("before") + wire + b"\x81"])

    @pytest.mark.parametrize("size", [0, 1, 5, 124, 125, 126, 127, 128, 1000, 65535, 65536])
    @pytest.mark.parametrize("most", [1, 125, 126, 1000, 65535])
    def test_the_limit_is_the_same(self, size, most):
        for wire in (frame(2, b"x" * size, key=ZERO), frame(1, b"x" * size, key=ZERO)):
            both([wire], Limits(max_message_size=most))

    @prop
    @given(st.binary(max_size=40), st.lists(st.integers(0, 40), max_size=3))
    def test_any_bytes_at_all_give_the_same(self, data, cuts):
        edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
        both([data[a:b] for a, b in itertools.pairwise(edges) if a < b] or [b"\x81"])

    @prop
    @given(
        st.lists(
            st.tuples(
                st.sampled_from([0x81, 0x82, 0x01, 0x80, 0x89, 0x8A, 0xC1, 0x83]),
                st.binary(max_size=9) | st.sampled_from([b"x" * 125, b"x" * 126, "€".encode(), b"\xff", b"\xe2\x82"]),
                st.binary(min_size=4, max_size=4) | st.just(b""),
            ),
            max_size=5,
        )
    )
    def test_frames_that_are_nearly_right_give_the_same(self, rows):
        wire = b"".join(
            frame(first & 15, load, fin=first > 127, rsv=first & 0x70, key=key) for first, load, key in rows
        )
        wanted = both([wire] if wire else [])
        assert both([wire[i : i + 1] for i in range(len(wire))]) == wanted

    def test_it_is_taken(self):
        connection = FastConnection(Role.SERVER)
        connection.receive(text("a") + frame(2, b"b" * 1000) + frame(9, b"?"))
        assert list(connection.messages()) == ["a", b"b" * 1000]
        assert list(connection.messages()) == []
        assert plain(connection.next_event())[0] == "Ping"

    def test_it_is_not_taken_within_a_fragmented_message_and_again_after_it(self):
        connection = FastConnection(Role.SERVER)
        connection.receive(text("a", fin=False))
        assert connection.next_event() is None
        connection.receive(frame(9, b"?") + more("b") + text("after"))
        assert list(connection.messages()) == []
        assert plain(connection.next_event())[0] == "Ping"
        assert connection.next_event() == Message("ab")
        assert list(connection.messages()) == ["after"]

    def test_it_is_for_servers(self):
        connection = FastConnection(Role.CLIENT)
        connection.receive(frame(1, b"hello", key=b""))
        assert list(connection.messages()) == []
        assert connection.next_event() == Message("hello")

    def test_who_stops_in_the_middle_goes_on_where_it_stopped(self):
        connection = FastConnection(Role.SERVER)
        connection.receive(b"".join(text(word) for word in "abcd"))
        for message in connection.messages():
            assert message == "a"
            break
        assert next(connection.messages()) == "b"
        assert connection.next_event() == Message("c")
        assert list(connection.messages()) == ["d"]


def deflated(payload, *, opcode=1, fin=True, wbits=-15, cut=4, end=zlib.Z_SYNC_FLUSH):
    """A frame with RSV1, made by zlib alone."""
    deflater = zlib.compressobj(wbits=wbits)
    body = deflater.compress(payload) + deflater.flush(end)
    return frame(opcode, body[: len(body) - cut], fin=fin, rsv=0x40)


def refers_back(first, second):
    """Two text messages; the second refers to the first."""
    deflater = zlib.compressobj(wbits=-15)
    bodies = [deflater.compress(data) + deflater.flush(zlib.Z_SYNC_FLUSH) for data in (first, second)]
    return b"".join(frame(1, body[:-4], rsv=0x40) for body in bodies)


#: The same for compressed messages.
COMPRESSED = {
    "text": deflated(b"hello hello hello"),
    "binary": deflated(b"\xff\xfe" * 40, opcode=2),
    "two, and one that is not": deflated(b"a" * 50) + text("plain") + deflated(b"b" * 50, opcode=2),
    "a ping between": deflated(b"a" * 50) + frame(9, b"?") + deflated(b"b" * 50),
    "in 16 bits": deflated(random.Random(9).randbytes(300), opcode=2),
    "empty": frame(1, b"\0", rsv=0x40),
    "no byte at all": frame(1, rsv=0x40) + deflated(b"after"),
    "the final bit is set": deflated(b"hello", cut=0, end=zlib.Z_FINISH) + deflated(b"more"),
    "first of two frames": deflated(b"hello", fin=False) + more("") + deflated(b"next"),
    "not DEFLATE": deflated(b"before") + frame(1, b"\xff\xff\xff", rsv=0x40) + text("never"),
    "not UTF-8": deflated(b"ok \xff"),
    "half a character": deflated(b"\xe2\x82"),
    "a continuation with RSV1": deflated(b"a", fin=False) + frame(0, b"\0", rsv=0x40),
    "a Ping with RSV1": frame(9, b"", rsv=0x40),
    "long when decompressed": deflated(b"x" * 300),
    "a bomb": deflated(bytes(300_000), opcode=2),
    "too long, and not UTF-8 before": deflated(b"ok \xff" + b"x" * 300),
    "too long, and not UTF-8 after": deflated(b"x" * 298 + b"\xff"),
    "too long, and not UTF-8 in the first piece": deflated(b"\xff" + b"x" * 70_000),
    "too long in a character": deflated("é".encode() * 200),
    "just a piece": deflated(bytes(64 * 1024), opcode=2) + deflated(b"after"),
    "after a close": close() + deflated(b"never"),
    "a final block, as in §7.2.3.4": frame(1, bytes.fromhex("f348cdc9c9070000"), rsv=0x40) * 2,
    "empty in two frames, after a whole one": deflated(b"a" * 50)
    + frame(1, fin=False, rsv=0x40)
    + more("")
    + deflated(b"c"),
}


class TestShortCutOfCompressedMessages:
    """The same with permessage-deflate: RFC 7692 §6.2"""

    @pytest.mark.parametrize("most", [10, 299, 300, 65_536, 1_000_000])
    @pytest.mark.parametrize("forget", [False, True])
    @pytest.mark.parametrize("name", COMPRESSED)
    def test_it_gives_what_the_long_way_gives_whole_bytewise_and_with_a_tail(self, name, forget, most):
        wire, agreement = COMPRESSED[name], DeflateParameters(client_no_context_takeover=forget)
        wanted = both([wire], Limits(max_message_size=most), agreement)
        if len(wire) < 2000:
            assert both([wire[i : i + 1] for i in range(len(wire))], Limits(max_message_size=most), agreement) == wanted
        both([deflated(b"first"), wire + b"\x81"], Limits(max_message_size=most), agreement)

    def test_the_window_is_one_on_both_ways(self):
        """§7.2.3.2: a message may refer to one before, whichever way that took."""
        deflater = zlib.compressobj(wbits=-15)
        loads = [deflater.compress(b"Hello" * 5) + deflater.flush(zlib.Z_SYNC_FLUSH) for _ in range(6)]
        assert len(loads[-1]) < len(loads[0])  # it does refer
        wire = b"".join(frame(1, load[:-4], rsv=0x40) for load in loads)
        cut = len(wire) // 2 + 3  # within a frame: it goes the long way
        events = both([wire[:cut], wire[cut:]], parameters=DeflateParameters())
        assert [event[2] for event in events if event[0] == "Message"] == ["Hello" * 5] * 6

    def test_a_text_that_is_wrong_by_what_it_refers_to_is_not_read_twice(self):
        wire = refers_back(b"abc" * 10, b"\xffabc" * 10)
        events = both([wire], parameters=DeflateParameters())
        assert [event[0] for event in events] == ["Message", "Closed"]
        assert events[1][3] == 1007
        assert "§8.1" in str(events[1])

    def test_a_bomb_takes_no_more_memory_than_the_limit(self):
        wire = deflated(bytes(30_000_000), opcode=2)
        assert len(wire) < 65_536  # so that the short cut is taken

        def receive() -> None:
            connection = FastConnection(Role.SERVER, Limits(max_message_size=1_000_000), parameters=DeflateParameters())
            connection.receive(wire)
            assert plain(connection.next_event())[0] == "Closed"

        assert peak_memory(receive) < 2_500_000


@pytest.fixture(params=["NumPy", "the standard library"])
def numpy(request, monkeypatch):
    """With NumPy, and as if it were not installed."""
    if request.param == "NumPy":
        pytest.importorskip("numpy")
        assert masking._numpy() is not None
    else:
        monkeypatch.setattr(masking, "_numpy", lambda: None)


class TestMasking:
    """RFC 6455 §5.3"""

    @pytest.mark.parametrize("size", [*range(20), 599, 600, 601, *range(1020, 1033), 65535, 65536, 65543])
    def test_masking_is_what_5_3_says(self, numpy, size):
        data, key = os.urandom(size), os.urandom(4)
        buffer = bytearray(data)
        masking.mask_in_place(buffer, key)
        assert bytes(buffer) == masking.apply_mask(data, key) == xor(data, key)
        buffer.append(0)  # no view of it is left: that would be a BufferError

    def test_a_long_message_in_any_pieces_is_the_same(self, numpy):
        words = ("WebSocket 协议 é€😀 " * 20000)[:100000]
        for payload, opcode in ((words.encode(), 1), (os.urandom(200001), 2)):
            message = words if opcode == 1 else payload
            wire = frame(opcode, payload)
            for step in (len(wire), 4096, 5001, 65536, 99999):
                connection = Connection(Role.SERVER)
                found = []
                for at in range(0, len(wire), step):
                    connection.receive(wire[at : at + step])
                    found += take(connection)
                assert found == [Message(message)]

    def test_without_numpy_nothing_is_missing(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "numpy", None)
        masking._numpy.cache_clear()
        try:
            assert masking._numpy() is None
            assert masking.apply_mask(b"x" * 5000, KEY) == xor(b"x" * 5000, KEY)
        finally:
            monkeypatch.undo()
            masking._numpy.cache_clear()

    def test_numpy_is_asked_for_where_it_is_of_use_and_no_sooner(self, monkeypatch):
        asked = []
        monkeypatch.setattr(masking, "_numpy", lambda: asked.append(True))
        masking.apply_mask(b"x" * 1535, KEY)
        assert not asked
        masking.apply_mask(b"x" * 1536, KEY)
        assert asked

    def test_numpy_is_not_imported_before_it_is_of_use(self):
        code = "import sys; from wsref.protocol.frames import apply_mask; apply_mask(b'x' * 500, b'abcd')"
        code += "; sys.exit('numpy' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", code]).returncode == 0


class TestPiecesOfText:
    """Large pieces are kept decoded, small ones as bytes: RFC 6455 §8.1"""

    @prop
    @given(st.lists(st.sampled_from([1, 2, 3, 5, LARGE - 1, LARGE, LARGE + 1, 2 * LARGE]), min_size=1, max_size=12))
    def test_small_and_large_pieces_in_any_order_are_one_text(self, sizes):
        payload = ("€😀é." * sum(sizes)).encode()[: sum(sizes)].decode(errors="ignore").encode()
        pieces, at = [], 0
        for size in sizes:
            pieces.append(payload[at : at + size])
            at += size
        wires = [frame(0 if i else 1, piece, fin=i == len(pieces) - 1, key=ZERO) for i, piece in enumerate(pieces)]
        assert events_of(wires) == [("Message", "str", payload.decode(), [])] == events_of([b"".join(wires)])

    @pytest.mark.parametrize("size", [1, LARGE])
    def test_a_wrong_octet_is_found_in_the_piece_it_comes_in(self, size):
        wire = frame(1, b"x" * size, fin=False, key=ZERO) + frame(0, b"\xe2" + b"x" * size, fin=False, key=ZERO)
        assert both([wire])[-1][0] == "Closed"

    @pytest.mark.slow
    def test_a_text_that_comes_byte_by_byte_takes_no_more_than_a_few_times_its_size(self):
        payload = "€".encode() * 50000
        wire = frame(1, payload, key=ZERO)

        def receive() -> None:
            connection = Connection(Role.SERVER)
            for i in range(len(wire)):
                connection.receive(wire[i : i + 1])
                if (event := connection.next_event()) is not None:
                    break
            assert event == Message("€" * 50000)

        assert peak_memory(receive) < 5 * len(payload)  # in a list it would be forty times


class TestSendApart:
    """Header and payload of a long message are not joined"""

    @pytest.mark.parametrize("size", [0, 1, 125, 126, 1000, APART - 1, APART, 65535, 65536])
    @pytest.mark.parametrize("role", list(Role), ids=lambda role: role.name.lower())
    def test_joined_they_are_what_send_gives(self, size, role, monkeypatch):
        monkeypatch.setattr(os, "urandom", lambda n: KEY[:n])
        for message in ("x" * size, b"x" * size):
            wire, payload = FastConnection(role).send_parts(message)
            assert wire + payload == Connection(role).send(message)
            key = KEY if role is Role.CLIENT else b""
            assert wire + payload == frame(1 if isinstance(message, str) else 2, b"x" * size, key=key)
            assert bool(payload) is (role is Role.SERVER and size >= APART)

    def test_the_payload_is_not_copied(self):
        message = bytes(APART)
        assert FastConnection(Role.SERVER).send_parts(message)[1] is message

    def test_when_the_connection_is_closing_nothing_is_sent(self):
        connection = FastConnection(Role.SERVER)
        connection.close()
        with pytest.raises(ConnectionClosed):
            connection.send_parts("late")


class Wire:
    """In place of a socket: takes at most so many bytes a call, and remembers all."""

    def __init__(self, takes=()):
        self.calls, self.takes = [], list(takes)
        self.real = socket.socket()

    def _take(self, data):
        most = self.takes.pop(0) if self.takes else len(data)
        if most == 0:
            raise BlockingIOError
        self.calls.append(bytes(data[:most]))
        return len(self.calls[-1])

    def send(self, data, flags=0):
        return self._take(data)

    def sendmsg(self, buffers, ancillary=(), flags=0):
        return self._take(b"".join(buffers))

    def shutdown(self, how):
        pass

    @property
    def sent(self):
        return b"".join(self.calls)


@pytest.fixture
def wire(monkeypatch):
    """``wire(takes)``: a transport on such a socket, which is writable whenever it is asked."""
    made = []
    monkeypatch.setattr("wsref.network.transport.wait", lambda *_, **__: True)

    def make(takes=(), kind=Transport):
        fake = Wire(takes)
        made.append(fake)
        transport = kind(fake.real)
        transport._socket = fake
        return transport, fake

    yield make
    for fake in made:
        fake.real.close()


class TestTwoParts:
    """Transport.send with what follows at once: RELIABILITY N3"""

    @pytest.mark.parametrize("takes", [[], [1], [2, 1], [3], [3, 2], [0, 1], [4], [7], [0, 0, 2, 0, 5]])
    def test_all_of_both_is_sent_in_order_whatever_the_kernel_takes(self, wire, takes):
        transport, fake = wire(takes)
        transport.send(b"abc", b"DEFGH")
        assert fake.sent == b"abcDEFGH"

    def test_a_tap_is_told_of_both(self, wire):
        transport, fake = wire(kind=Tapped)
        told = []
        transport.tap = lambda sent, data: told.append((sent, data))
        transport.send(b"abc", b"DEF")
        transport.send_nowait(b"g")
        assert told == [(True, b"abcDEF"), (True, b"g")]
        assert fake.sent == b"abcDEFg"

    def test_an_interrupted_send_is_the_last(self, wire):
        transport, fake = wire()

        def interrupted(*_):
            raise KeyboardInterrupt

        fake.send = fake.sendmsg = interrupted
        with pytest.raises(KeyboardInterrupt):
            transport.send(b"abc", b"DEF")
        with pytest.raises(ConnectionClosed, match="interrupted"):
            transport.send(b"more")


class TestPostAtOnce:
    """A broadcast to a client that reads"""

    def test_one_call_and_nothing_is_kept(self, wire):
        transport, fake = wire()
        assert transport.send_nowait(b"abc")
        assert fake.calls == [b"abc"]
        assert not transport.has_backlog

    @pytest.mark.parametrize("takes", [[0], [2]])
    def test_the_rest_is_kept_and_comes_first(self, wire, takes):
        transport, fake = wire([*takes, 0, 0])
        assert not transport.send_nowait(b"abc")
        assert transport.has_backlog
        assert not transport.send_nowait(b"def")
        transport.send(b"ghi")
        assert fake.sent == b"abcdefghi"

    def test_while_another_thread_writes_it_is_kept(self, wire):
        transport, fake = wire()
        with transport.write_lock:
            assert not transport.send_nowait(b"abc")
        assert fake.calls == []
        transport.send(b"def")
        assert fake.sent == b"abcdef"

    def test_after_a_close_nothing_is_posted(self, wire):
        transport, fake = wire()
        transport.send(b"close", last=True)
        with pytest.raises(ConnectionClosed):
            transport.send_nowait(b"late")
        assert fake.sent == b"close"


class TestHolding:
    """Transport.hold: many sends, one write, and the order kept"""

    def test_what_is_held_leaves_in_one_write(self, wire):
        transport, fake = wire()
        transport.start_batch()
        transport.send(b"a")
        transport.send(b"b")
        assert fake.calls == []
        transport.end_batch()
        transport.send(b"c")
        assert fake.calls == [b"ab", b"c"]

    def test_64_kib_are_not_waited_for(self, wire):
        transport, fake = wire()
        transport.start_batch()
        transport.send(b"x" * (MAX_WRITE - 1))
        transport.send(b"yy")
        assert fake.sent == b"x" * (MAX_WRITE - 1) + b"yy"
        transport.send(b"z")
        assert fake.sent.endswith(b"yy")
        transport.end_batch()
        assert fake.sent.endswith(b"yyz")

    def test_a_long_message_leaves_after_what_was_held(self, wire):
        transport, fake = wire()
        transport.start_batch()
        transport.send(b"a")
        transport.send(b"header", b"payload")
        assert fake.sent == b"aheaderpayload"
        transport.send(b"b")
        assert fake.calls[-1] != b"b", "holding goes on"
        transport.end_batch()
        assert fake.sent == b"aheaderpayloadb"

    @pytest.mark.parametrize("last", [False, True])
    def test_a_close_leaves_at_once_after_what_was_held(self, wire, last):
        transport, fake = wire()
        transport.start_batch()
        transport.send(b"a")
        transport.send(b"close", last=True)
        assert fake.sent == b"aclose"
        assert transport.last_sent
        with pytest.raises(ConnectionClosed):
            transport.send(b"late", last=last) if not last else transport.send_nowait(b"late")

    def test_a_broadcast_overtakes_nothing(self, wire):
        transport, fake = wire()
        transport.start_batch()
        transport.send(b"a")
        assert transport.send_nowait(b"b")
        transport.send(b"c")
        transport.end_batch()
        assert fake.sent == b"abc"

    def test_behind_a_backlog_nothing_is_held(self, wire):
        transport, fake = wire([0, 0])
        transport.start_batch()
        assert not transport.send_nowait(b"a")
        transport.send(b"b")
        assert fake.sent == b"ab"

    def test_what_the_kernel_did_not_take_of_it_comes_before_the_next(self, wire):
        transport, fake = wire([1, 0])
        transport.start_batch()
        transport.send(b"abc")
        assert not transport.send_nowait(b"d")
        transport.send(b"e")
        transport.end_batch()
        assert fake.sent == b"abcde"

    def test_another_threads_send_leaves_at_once_and_after_what_was_held(self, wire):
        transport, fake = wire()
        transport.start_batch()
        transport.send(b"a")

        def other():
            with transport.write_lock:
                transport.send(b"b")

        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        assert fake.sent == b"ab"
        transport.send(b"c")
        assert fake.sent == b"ab"
        transport.end_batch()
        assert fake.sent == b"abc"

    def test_the_flusher_sends_what_is_held_first(self, wire):
        transport, fake = wire()
        transport.start_batch()
        transport.send(b"a")
        with transport.write_lock:
            assert not transport.send_nowait(b"b")
        assert transport.flush()
        assert fake.sent == b"ab"

    def test_on_a_broken_connection_a_send_raises_and_is_not_held(self, wire):
        transport, _ = wire()
        transport.start_batch()
        transport.abort("gone")
        with pytest.raises(ConnectionClosed, match="gone"):
            transport.send(b"a")


class TestBatchedReplies:
    """The replies to messages that came together leave together"""

    def test_every_message_is_answered_in_order_before_the_pong_and_the_close(self, serve):
        server = serve(Echo)
        with connected(server) as client:
            client.send(b"".join(text(str(i)) for i in range(200)) + frame(9, b"?") + text("last") + close(1001))
            assert [client.frame() for _ in range(200)] == [(1, str(i).encode()) for i in range(200)]
            assert client.frame() == (10, b"?")
            assert client.frame() == (1, b"last")
            assert client.closed()[0] == 1001

    @pytest.mark.parametrize("tls", [False, True])
    @pytest.mark.parametrize("end", [None, SystemExit])
    def test_a_reply_does_not_wait_for_the_next_hook(self, serve, certificate, tls, end):
        inside, go_on = threading.Event(), threading.Event()

        class Slow(Echo):
            def on_message(self, message):
                if message == "slow":
                    inside.set()
                    assert go_on.wait(10)
                    if end is not None:
                        raise end
                super().on_message(message)

        ours = theirs = None
        if tls:
            ours, theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context(cafile=certificate[0])
            ours.load_cert_chain(*certificate)
        server = serve(Slow, ssl_context=ours)
        with connected(server, context=theirs) as client:
            for _ in range(3):  # the thread that bounds the delay starts, ticks, and sleeps
                client.send(text("a") + text("b") + text("slow"))
                assert inside.wait(10)
                assert [client.frame(), client.frame()] == [(1, b"a"), (1, b"b")]
                inside.clear()
                go_on.set()
                assert client.frame()[0] == (8 if end else 1)
                go_on.clear()
                if end:
                    break
                wait_until(lambda: server._backlog_writer._sleeps)

    def test_a_connection_that_is_over_is_forgotten(self, serve):
        server = serve(Echo)
        with connected(server) as client:
            client.send(text("a") + text("b") + close())
            assert [client.frame(), client.frame()] == [(1, b"a"), (1, b"b")]
            client.closed()
        wait_until(lambda: not server.handlers)
        assert not server._backlog_writer._batching

    def test_without_a_thread_that_bounds_the_delay_nothing_is_held(self, serve, monkeypatch):
        def none_left(thread):
            raise RuntimeError("can't start new thread")

        server = serve(Echo)
        with connected(server) as client:
            monkeypatch.setattr(threading.Thread, "start", none_left)
            client.send(text("a") + text("b"))
            assert [client.frame(), client.frame()] == [(1, b"a"), (1, b"b")]
            assert not server._backlog_writer._batching

    def test_nothing_is_held_while_it_waits_for_the_client(self, serve):
        server = serve(Echo)
        with connected(server) as client:
            for i in range(20):
                client.send(text(str(i)))
                assert client.frame() == (1, str(i).encode())

    def test_a_hook_that_fails_loses_no_reply_from_before(self, serve, log):
        class Fails(Echo):
            def on_message(self, message):
                if message == "fail":
                    raise RuntimeError("on purpose")
                super().on_message(message)

        server = serve(Fails)
        with connected(server) as client:
            client.send(text("a") + text("fail") + text("b"))
            assert client.frame() == (1, b"a")
            opcode, payload = client.frame()
            assert (opcode, payload[:2]) == (8, (1011).to_bytes(2, "big"))
            client.send(close(1011))
            assert client.rest() == b""

    def test_what_another_thread_sends_does_not_wait_for_the_hook(self, serve):
        inside, go_on = threading.Event(), threading.Event()

        class Slow(Echo):
            def on_message(self, message):
                self.send(message)
                inside.set()
                assert go_on.wait(10)

        server = serve(Slow)
        with connected(server) as client:
            client.send(text("a"))
            assert inside.wait(10)
            (handler,) = server.handlers
            handler.send("from elsewhere")
            assert client.frame() == (1, b"a")
            assert client.frame() == (1, b"from elsewhere")
            go_on.set()

    def test_a_broadcast_from_the_hook_keeps_its_place(self, serve):
        class Both(Echo):
            def on_message(self, message):
                self.send(message + "1")
                self.server.broadcast(message + "2")
                self.send(message + "3")

        server = serve(Both)
        with connected(server) as client:
            client.send(text("a") + text("b"))
            assert [client.frame()[1] for _ in range(6)] == [b"a1", b"a2", b"a3", b"b1", b"b2", b"b3"]

    def test_a_client_that_does_not_read_is_given_up_and_told_of_once(self, serve):
        ended = []

        class Counts(Echo):
            def on_close(self, code, reason):
                ended.append(code)

        server = serve(Counts, limits=Limits(send_timeout=0.3, shutdown_timeout=0.5))
        with connected(server) as client:
            client.socket.settimeout(5)
            try:
                for _ in range(2000):
                    client.send(text("x" * 60000, key=ZERO))
            except OSError:
                pass  # the server hangs up in the middle of it
            wait_until(lambda: ended)
        assert ended == [1006]


class TestReadSize:
    """How much a read asks for follows what comes"""

    def test_it_grows_when_a_read_was_full_and_shrinks_when_little_comes(self, serve):
        sizes = []

        def spy(transport, peer):
            receive = transport.receive

            def spied(size, timeout):
                sizes.append(size)
                return receive(size, timeout)

            transport.receive = spied

        server = serve(Echo, tap=spy)
        with connected(server) as client:
            client.send(frame(2, b"x" * 600000, key=ZERO))
            assert client.frame() == (2, b"x" * 600000)
            client.send(text("a"))
            assert client.frame() == (1, b"a")
            wait_until(lambda: sizes[-1] == 512)
        assert sizes[:2] == [4096, 512]  # the first is for the head
        assert max(sizes) == 256 * 1024

    def test_a_connection_that_is_silent_waits_with_a_small_buffer_again(self, serve, monkeypatch):
        monkeypatch.setattr("wsref.network.channel.CALM", 0.01)
        server = serve(Echo)
        with connected(server) as client:
            client.send(frame(2, b"x" * 600000, key=ZERO))
            assert client.frame() == (2, b"x" * 600000)
            (handler,) = server.handlers
            wait_until(lambda: handler._channel._read_size == 512)
            client.send(text("still here"))
            assert client.frame() == (1, b"still here")

    @pytest.mark.parametrize("size", [400, 700, 1000, 3000, 5000, 70_000])
    def test_messages_of_one_size_are_soon_read_in_one_go_each(self, size):
        channel = object.__new__(Channel)
        channel._read_size, channel._was_full = 512, False
        reads = []
        for _ in range(10):
            left, reads = size, []
            while left:  # as the kernel gives it: the bytes that are there, and at most what was asked for
                received = min(left, channel._read_size)
                channel._choose_read_size(received)
                reads.append(received)
                left -= received
        assert reads == [size]


class TestKeeping:
    """RELIABILITY: a connection that waits keeps nothing of what it has done with"""

    def test_neither_the_last_message_nor_its_bytes(self, serve, monkeypatch):
        class Data(str):
            """A str that can be watched."""

        kept = []
        original = FastConnection.messages

        def messages(self):
            for message in original(self):
                data = Data(message)
                kept.append(weakref.ref(data))
                yield data
                del data

        monkeypatch.setattr(FastConnection, "messages", messages)

        class Handler(WebSocketHandler):
            def on_message(self, message):
                self.send("got it")

        server = serve(Handler)
        with connected(server) as client:
            client.send(text("hello"))
            assert client.frame() == (1, b"got it")
            wait_until(lambda: kept and kept[0]() is None)
            (handler,) = server.handlers
            wait_until(lambda: handler._channel.connection._buffer == b"")


def cost(at_once, messages=100, payload=b"x" * 32):
    """Calls of Python functions and of the socket for one message, counted, not timed."""
    data = text(payload, key=KEY) * at_once

    class Handler(WebSocketHandler):
        def on_message(self, message):
            self.send(message)

    fake = Wire()
    handler = object.__new__(Handler)
    transport = Transport(fake.real)
    transport._socket = fake
    channel = handler._channel = Channel(transport, FastConnection(Role.SERVER))
    writer = BacklogWriter()
    writer._sleeps = False  # as if its thread ran: on a busy machine it would send a part of the batch early
    handler.server = SimpleNamespace(_mark_open=lambda handler: None, _backlog_writer=writer)
    channel.read = lambda: channel.connection.receive(reads.pop(0))
    reads = [data] * (messages // at_once) + [b""]
    calls = 0

    def count(frame, event, argument):
        nonlocal calls
        calls += event == "call" and frame.f_code.co_filename.startswith(PACKAGE)

    sys.setprofile(count)
    try:
        handler._run_hooks(channel)
    finally:
        sys.setprofile(None)
        writer.stop()
        fake.real.close()
    return calls / messages, len(fake.calls), fake.sent


class TestCost:
    """A guard against slow creep that no busy machine can upset"""

    def test_a_short_message_alone_costs_eleven_calls_of_ours_and_one_of_the_kernel(self):
        calls, writes, sent = cost(at_once=1)
        assert sent == frame(1, b"x" * 32, key=b"") * 100
        assert writes == 100
        # receive, messages (3), on_message, send, send, send_parts, send, _write, _try_send, next_event
        assert calls < 12

    def test_batched_replies_cost_one_write_for_all(self):
        calls, writes, sent = cost(at_once=100)
        assert sent == frame(1, b"x" * 32, key=b"") * 100
        assert writes == 1
        assert calls < 10  # messages, on_message, send, send, send_parts, send, _add_to_batch

    def test_a_flusher_that_nobody_needs_has_no_thread(self):
        threads = threading.active_count()
        flusher = BacklogWriter()
        assert threading.active_count() == threads
        flusher.stop()
