"""Chapters 8 and 10: keep-alive and the end of a connection, without a socket and with a clock of the test."""

from __future__ import annotations

import io
import math
import threading

import pytest
from vectors import KEY, close, text, unframe

from wsref.network import channel as module
from wsref.network.channel import Channel, make_connection
from wsref.protocol.connection import Closed, Message
from wsref.protocol.deflate import Compression, DeflateParameters, Inflater
from wsref.protocol.errors import ConnectionClosed
from wsref.protocol.limits import Limits
from wsref.protocol.spec import Role, State

LIMITS = Limits(ping_interval=20, ping_timeout=7, close_timeout=10, linger_timeout=1)


class Clock:
    """Time that passes only while a transport waits."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now


class FakeTransport:
    """A transport to which the peer's bytes come as the test says: ``(after seconds, bytes)``."""

    def __init__(self, clock, *arrivals):
        self.limits, self.clock, self.arrivals = LIMITS, clock, list(arrivals)
        self.write_lock = threading.Lock()
        self.abort_reason, self.aborted_locally, self.last_sent = "", False, False
        self.reads, self.sent, self.aborts, self.drained, self.lasts = [], b"", [], 0, []

    def receive(self, size, timeout):
        self.reads.append((size, timeout))
        assert len(self.reads) < 100, "it reads for ever"
        if self.arrivals and self.arrivals[0][0] <= timeout:
            after, data = self.arrivals.pop(0)
            self.clock.now += after
            return data
        if self.arrivals:
            self.arrivals[0] = (self.arrivals[0][0] - timeout, self.arrivals[0][1])
        self.clock.now += timeout
        return None

    def send(self, data, more=b"", *, last=False):
        assert self.write_lock.locked()
        if self.abort_reason:
            raise ConnectionClosed(self.abort_reason)
        self.sent += data + more
        self.lasts.append(last)
        self.last_sent = self.last_sent or last

    def send_nowait(self, data, *, last=False):
        with self.write_lock:
            self.send(data, last=last)
        return False

    def send_in_one_turn(self, parts):
        for part in parts:
            self.send(part)

    def drain(self):
        assert self.write_lock.locked()
        self.drained += 1

    def abort(self, why, *, reset=False):
        self.abort_reason, self.aborted_locally = self.abort_reason or why, True
        self.aborts.append((why, reset))

    def close_gracefully(self, timeout):
        self.ended = timeout


@pytest.fixture
def make(monkeypatch):
    """``make((1.5, b"..."), role=...)``: a channel, and its transport."""
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)

    def make(*arrivals, role=Role.SERVER):
        transport = FakeTransport(clock, *arrivals)
        return Channel(transport, make_connection(role, LIMITS)), transport

    return make


class TestRead:
    """Chapter 10: keep-alive, and the deadline of a read"""

    def test_bytes_are_given_to_the_connection(self, make):
        channel, transport = make((3, text("hi")))
        assert channel.read() is True
        assert transport.reads == [(512, 20)]
        assert channel.connection.next_event() == Message("hi")

    def test_after_a_silence_comes_a_ping_and_after_another_one_the_end(self, make):
        channel, transport = make()
        assert channel.read() is True
        assert [timeout for _, timeout in transport.reads] == [20, 7]
        assert unframe(transport.sent) == [(0x89, b"")]
        assert transport.aborts == [("no sign of life within 7 s after our Ping", True)]
        assert channel.connection.next_event().code == 1006

    def test_a_byte_ends_the_silence(self, make):
        channel, transport = make((19, b"\x81"), (19, b"\x80"), (25, KEY))
        for _ in range(3):
            assert channel.read()
        assert [timeout for _, timeout in transport.reads] == [20, 20, 20, 7]
        assert unframe(transport.sent) == [(0x89, b"")]
        assert channel.read()
        assert [timeout for _, timeout in transport.reads][4:] == [20, 7]
        assert len(transport.aborts) == 1

    def test_reads_with_deadlines_add_up_to_a_silence(self, make):
        channel, transport = make()
        for second in (8, 16, 24):
            assert channel.read(1000 + second) is False
            assert transport.clock.now == 1000 + second
        assert [timeout for _, timeout in transport.reads] == [8, 8, 4, 4]
        assert unframe(transport.sent) == [(0x89, b"")]

    @pytest.mark.parametrize("deadline", [1000, 999, 0])
    def test_a_deadline_that_is_over_allows_one_look(self, make, deadline):
        channel, transport = make((0, b"\x81"))
        assert channel.read(deadline) is True
        assert channel.read(deadline) is False
        assert transport.reads == [(512, 0), (512, 0)]

    def test_without_keep_alive_silence_means_nothing(self, make):
        channel, transport = make((100, b"\x81"))
        channel.keeps_alive = False
        assert channel.read()
        assert (transport.clock.now, transport.sent, transport.aborts) == (1100, b"", [])
        assert [timeout for _, timeout in transport.reads] == [20] * 5

    @pytest.mark.parametrize("pinged", [False, True])
    def test_a_silence_that_is_longer_by_a_rounding_error_counts(self, make, pinged):
        """2.98 + (7.2 - 2.98) is more than 7.2."""
        channel, transport = make((100, b""))
        transport.limits = Limits(ping_interval=1 if pinged else 7.2, ping_timeout=7.2 if pinged else 1)
        channel = Channel(transport, channel.connection)
        began = transport.clock.now + (1 if pinged else 0)
        assert channel.read(began) is False
        channel._silence = 2.98
        channel.read(began + 4.25)
        assert len(transport.reads) == (2 if pinged else 3)
        assert bool(transport.aborts) is pinged
        assert unframe(transport.sent) == [(0x89, b"")]

    def test_a_ping_that_cannot_be_sent_is_no_error(self, make):
        channel, transport = make((25, b""))
        transport.abort("it is over")
        assert channel.read()
        assert channel.connection.next_event().code == 1006

    def test_our_close_must_be_answered_in_time_and_nothing_is_pinged(self, make):
        channel, transport = make((4, b"\x81"))
        transport.clock.now = 3.0
        assert channel.close(1000)
        assert channel.read()
        assert channel.read()
        assert [timeout for _, timeout in transport.reads] == [10, 6]
        assert transport.aborts == [("our Close was not answered within 10 s", True)]
        assert unframe(transport.sent) == [(0x88, b"\x03\xe8")]

    def test_after_the_deadline_of_our_close_it_does_not_wait(self, make):
        channel, transport = make()
        channel.close(1000)
        transport.clock.now += 11
        assert channel.read()
        assert [timeout for _, timeout in transport.reads] == [0]

    def test_how_much_it_asks_for_follows_what_comes_and_after_a_second_it_is_little_again(self, make):
        channel, transport = make((0, bytes(512)), (0, bytes(4096)), (0, bytes(32768)), (0, bytes(262_144)), (5, b"x"))
        for _ in range(5):
            channel.read()
        assert [size for size, _ in transport.reads] == [512, 4096, 32768, 262_144, 262_144, 512]
        assert [timeout for _, timeout in transport.reads] == [20, 1, 1, 1, 1, 19]

    @pytest.mark.parametrize(
        ("sizes", "asked"),
        [
            ([511], 512),
            ([512, 511], 4096),
            ([512, 511, 512], 4096),
            ([512, 511, 511], 512),
            ([512, 511, 512, 513], 4096),
            ([512, 511, 513], 4096),
        ],
    )
    def test_the_rest_of_a_full_read_says_nothing(self, make, sizes, asked):
        channel, transport = make(*((0, bytes(size)) for size in sizes), (0, b"x"))
        for _ in (*sizes, "x"):
            channel.read()
        assert transport.reads[-1][0] == asked


class TestSend:
    """Any thread sends; the pieces of one message are not disturbed"""

    def test_messages_pings_and_pongs(self, make):
        channel, transport = make()
        assert channel.can_send
        channel.send("a")
        channel.send(b"b", False)
        channel.ping(b"c")
        channel.reply(b"\x8a\x00")
        assert channel.send_nowait(b"\x81\x01d") is False
        assert unframe(transport.sent) == [(0x81, b"a"), (0x82, b"b"), (0x89, b"c"), (0x8A, b""), (0x81, b"d")]
        assert not any(transport.lasts)
        assert not transport.write_lock.locked()

    @pytest.mark.parametrize(("wish", "size", "compressed"), [(None, 63, False), (None, 64, True), (63, 63, True)])
    def test_what_was_negotiated_is_compressed_unless_it_is_too_short_or_should_not_be(
        self, make, wish, size, compressed
    ):
        wish = wish and Compression(threshold=wish)
        channel, transport = make()
        channel.connection = make_connection(Role.SERVER, LIMITS, parameters=DeflateParameters(), compression=wish)
        channel.send("x" * size)
        channel.send("x" * size, False)
        channel.send_fragments(["x" * size])
        channel.send_fragments(["x" * size], False)
        first = [first for first, _ in unframe(transport.sent)]
        assert first == [0xC1 if compressed else 0x81, 0x81, 0xC1, 1, 0x80]

    @pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
    def test_no_message_refers_to_one_that_was_compressed_and_not_sent(self, make, monkeypatch, error):
        channel, transport = make()
        channel.connection = make_connection(Role.SERVER, LIMITS, parameters=DeflateParameters())

        def interrupted(*_):
            raise error

        with monkeypatch.context() as patch, pytest.raises(error):
            patch.setattr(transport, "send", interrupted)
            channel.send("The quick brown fox jumps over the lazy dog. " * 2)
        channel.send("The quick brown fox jumps over the lazy cat. " * 2)
        ((_, payload),) = unframe(transport.sent)
        inflater = Inflater(DeflateParameters(), Role.CLIENT)
        assert inflater.inflate_message(payload, 1000) == b"The quick brown fox jumps over the lazy cat. " * 2
        assert not transport.write_lock.locked()

    def test_after_our_close_nothing_is_sent(self, make):
        channel, transport = make()
        channel.close()
        assert not channel.can_send
        with pytest.raises(ConnectionClosed, match="the connection is CLOSING"):
            channel.send_nowait(b"\x81\x00")
        transport.abort("it is over")
        channel.reply(b"\x8a\x00")
        for call in (lambda: channel.send("x"), channel.ping, lambda: channel.send_nowait(b"\x81\x00")):
            with pytest.raises(ConnectionClosed):
                call()
        assert not transport.write_lock.locked()
        assert not channel.can_send

    def test_a_transport_that_was_aborted_cannot_send(self, make):
        channel, transport = make()
        transport.abort("it is over")
        assert channel.ready_state is State.OPEN
        assert not channel.can_send

    @pytest.mark.parametrize("pieces", [["Hel", "lo"], io.StringIO("Hello")])
    def test_a_message_in_fragments(self, make, pieces):
        channel, transport = make()
        channel.send_fragments(pieces)
        frames = unframe(transport.sent)
        assert b"".join(payload for _, payload in frames) == b"Hello"
        assert (frames[0][0], frames[-1]) == (1, (0x80, b""))

    @pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 131_072])
    def test_a_file_is_read_in_blocks_of_64_kib(self, make, size):
        channel, transport = make()
        channel.send_fragments(io.BytesIO(bytes(size)))
        sizes = [len(payload) for _, payload in unframe(transport.sent)]
        assert sum(sizes) == size
        assert sizes == [65_536] * (size // 65_536) + [size % 65_536] * (size % 65_536 > 0) + [0]

    @pytest.mark.parametrize("pieces", ["one", b"one", bytearray(b"one"), memoryview(b"one")])
    def test_one_message_is_no_iterable_of_pieces(self, make, pieces):
        channel, transport = make()
        with pytest.raises(TypeError, match=f"not one {type(pieces).__name__}"):
            channel.send_fragments(pieces)
        assert transport.sent == b""

    @pytest.mark.parametrize("error", [KeyError("no more"), ConnectionClosed("another one"), KeyboardInterrupt()])
    def test_pieces_that_fail_close_with_1011(self, make, error):
        channel, transport = make()

        def pieces():
            yield "a"
            raise error

        with pytest.raises(type(error)):
            channel.send_fragments(pieces())
        assert unframe(transport.sent) == [(1, b"a"), (0x88, b"\x03\xf3the message cannot be completed")]

    @pytest.mark.parametrize("difference", [-1, 1])
    def test_while_another_thread_sends_pieces_any_call_is_good(self, make, difference):
        channel, _ = make()
        channel._fragmenting = threading.get_ident() + difference
        channel.send("x")
        channel.ping()

    def test_pieces_may_not_use_their_connection(self, make):
        for use in ("send", "ping", "close", "reply", "send_fragments"):
            channel, transport = make()

            def pieces(channel=channel, use=use):
                yield "a"
                getattr(channel, use)(*([] if use in ("ping", "close") else [b"x" if use == "reply" else ["x"]]))

            with pytest.raises(RuntimeError, match="may not use the connection"):
                channel.send_fragments(pieces())
            assert not transport.write_lock.locked()


class TestTheEnd:
    """RFC 6455 §7.1.1, §7.1.4, §7.1.5"""

    def finish(self, channel):
        closed = channel.connection.next_event()
        channel.closed = channel.finish_close(closed)
        return channel.closed

    def test_a_close_is_sent_once(self, make):
        channel, transport = make()
        assert channel.close(4000, "bye") is True
        assert channel.close(4001) is True
        assert channel.close(4001, wait=False) is True
        assert unframe(transport.sent) == [(0x88, b"\x0f\xa0bye")]
        assert transport.lasts == [True]

    def test_one_that_does_not_wait_says_whether_the_kernel_has_it(self, make):
        channel, transport = make()
        assert channel.close(wait=False) is False
        assert transport.lasts == [True]

    def test_a_close_on_a_connection_that_is_over_is_no_error(self, make):
        for wait in (True, False):
            channel, transport = make()
            transport.abort("it is over")
            assert channel.close(wait=wait) is True

    def test_the_peers_close_is_answered(self, make):
        channel, transport = make((1, close(1001, "bye")))
        channel.read()
        assert channel.ready_state is State.OPEN
        closed = self.finish(channel)
        assert (closed.code, closed.sent_code, closed.was_clean) == (1001, 1001, True)
        assert (unframe(transport.sent), transport.lasts) == ([(0x88, b"\x03\xe9")], [True])
        assert channel.ready_state is State.CLOSED
        assert transport.drained == 0

    def test_a_close_of_ours_that_has_not_left_was_not_clean(self, make):
        channel, transport = make((1, close(1000)))
        channel.close(1001, wait=False)
        channel.read()
        transport.last_sent = False
        closed = self.finish(channel)
        assert (closed.code, closed.sent_code, closed.was_clean) == (1000, None, False)
        assert transport.drained == 1

    @pytest.mark.parametrize("locally", [True, False])
    def test_who_aborted_it_has_begun_the_end(self, make, locally):
        channel, transport = make((1, b""))
        channel.read()
        transport.aborted_locally = locally
        assert self.finish(channel).initiated_locally is locally

    def test_an_abort_after_a_clean_end_changes_nothing(self, make):
        channel, transport = make((1, close(1000)))
        channel.read()
        transport.aborted_locally = True
        assert self.finish(channel).initiated_locally is False

    def test_an_abort_after_a_close_with_a_code_of_an_application_changes_nothing(self, make):
        channel, transport = make((1, close(4000)))
        channel.read()
        transport.aborted_locally = True
        assert self.finish(channel).initiated_locally is False

    def test_a_client_waits_for_the_server_to_end_tcp_and_a_server_does_not(self, make):
        for role in Role:
            wire = close(1000, key=KEY if role is Role.SERVER else b"")
            channel, transport = make((1, wire), (0.25, b"late"), (5, b""), role=role)
            channel.read()
            assert self.finish(channel).was_clean
            lingers = [] if role is Role.SERVER else [(262_144, 1), (262_144, 0.75)]
            assert transport.reads[1:] == lingers

    @pytest.mark.parametrize("late", [0.5, 1.5])
    def test_a_client_whose_time_is_over_waits_no_longer(self, make, late):
        channel, transport = make((1, close(1000, key=b"")), role=Role.CLIENT)
        channel.read()
        transport.clock.now = 3.0
        transport.reads.clear()

        def receive(size, timeout):
            transport.reads.append(timeout)
            transport.clock.now += 0.25 if len(transport.reads) == 1 else 0.75 + late
            return b"late"

        transport.receive = receive
        self.finish(channel)
        assert transport.reads == [1, 0.75]

    def test_a_client_whose_server_has_ended_waits_no_longer(self, make):
        channel, transport = make((1, close(1000, key=b"")), (0.5, b""), role=Role.CLIENT)
        channel.read()
        self.finish(channel)
        assert len(transport.reads) == 2

    def test_the_end_of_tcp_comes_within_the_linger_timeout(self, make):
        channel, transport = make((1, close(1000)))
        channel.read()
        self.finish(channel)
        channel.end()
        assert transport.ended == 1
        assert channel.connection.state is State.CLOSED

    def test_our_close_is_answered_in_time_or_the_connection_is_aborted(self, make):
        channel, transport = make()
        assert not channel.abort_if_unanswered()
        channel.close()
        transport.clock.now += 9.75
        assert not channel.abort_if_unanswered()
        transport.clock.now += 0.25
        channel.closed = Closed(1000, "", 1000, True, True, None, b"")
        assert not channel.abort_if_unanswered()
        channel.closed = None
        assert channel.abort_if_unanswered()
        assert transport.aborts == [("our Close was not answered within 10 s", True)]
        transport.clock.now += 1
        assert channel.abort_if_unanswered()

    def test_without_a_deadline_it_waits_as_long_as_keep_alive_allows(self, make):
        channel, transport = make((15, b"\x81"))
        assert channel.read(math.inf)
        assert transport.clock.now == 1015
