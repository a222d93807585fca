"""Chapter 0: the client's end without a socket: what it reads, keeps, counts and says, one call at a time."""

from __future__ import annotations

import errno
import inspect
import math
import threading
from types import SimpleNamespace

import pytest

from wsref import Compression, ConnectionClosed, Limits, State, connect
from wsref.network import client as module
from wsref.network.client import MAX_LATE_READS, PER_MESSAGE, WebSocket, how_it_ended, is_normal
from wsref.protocol.connection import Closed, Message, Ping, Pong
from wsref.protocol.errors import ProtocolError, message_too_long
from wsref.protocol.limits import MAX_SECONDS

BYE = Closed(1000, "bye", 1000, True, False, None, b"")
LOST = Closed(1006, "", None, False, False, None, b"")


class Channel:
    """It reads what a test has prepared: events, or False when nothing comes before the deadline."""

    def __init__(self, limits):
        self.reads, self.deadlines, self.events, self.calls = [], [], [], []
        self.closed, self.subprotocol, self.extensions = None, None, None
        self.transport = SimpleNamespace(
            limits=limits,
            abort_reason="",
            last_sent=True,
            write_lock=threading.Lock(),
            send=self.transmit,
            abort=self.abort,
        )
        self.connection = SimpleNamespace(
            next_event=self.next_event, state=State.OPEN, bytes_needed=0, ping=lambda data: b"ping " + data
        )

    def next_event(self):
        return self.events.pop(0) if self.events else None

    def read(self, deadline):
        self.deadlines.append(deadline)
        found = self.reads.pop(0)
        found = found() if callable(found) else found
        if found is False:
            return False
        self.events += found
        return True

    def transmit(self, wire):
        assert self.transport.write_lock.locked()
        self.calls.append(("transmit", wire))

    def abort(self, why, *, reset=False):
        self.calls.append(("abort", why, reset))
        self.transport.abort_reason = why
        self.reads.append([LOST])

    def finish_close(self, event):
        self.calls.append("finish_close")
        return event

    def end(self):
        self.calls.append("end")

    def __getattr__(self, name):  # send, send_fragments, close, reply, refuse_reentry
        return lambda *arguments: self.calls.append((name, *arguments))


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now=50.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def make(clock):
    """``make(*reads)``: a WebSocket and its channel."""

    def make(*reads, **limits):
        channel = Channel(Limits(**limits))
        channel.reads = list(reads)
        return WebSocket(channel, "ws://a.example/"), channel

    return make


class TestReceiving:
    """recv, and what it waits for"""

    def test_a_new_one_has_nothing_and_says_so(self, make):
        ws, channel = make()
        assert (ws.buffered_amount, ws.ready_state, ws.protocol, ws.extensions, ws.closed) == (0, 1, None, None, None)
        channel.subprotocol, channel.extensions, channel.closed = "chat", "x", BYE
        assert (ws.protocol, ws.extensions, ws.closed) == ("chat", "x", BYE)
        assert repr(ws) == "<WebSocket ws://a.example/ OPEN>"

    @pytest.mark.parametrize(("timeout", "deadline"), [(None, math.inf), (math.inf, math.inf), (2.5, 52.5), (0, 50.0)])
    def test_messages_come_in_order_and_each_read_knows_the_deadline(self, make, timeout, deadline):
        ws, channel = make([Message("a"), Message(b"b")], [Message("c")])
        assert [ws.recv(timeout), ws.recv(timeout), ws.recv(timeout)] == ["a", b"b", "c"]
        assert channel.deadlines == [deadline] * 2

    @pytest.mark.parametrize(("timeout", "words"), [(2.5, "2.5"), (0, "0"), (-1, "0")])
    def test_none_in_time(self, make, timeout, words):
        ws, channel = make(False)
        with pytest.raises(TimeoutError, match=rf"^no message within {words} s$"):
            ws.recv(timeout)
        assert len(channel.deadlines) == 1

    def test_before_the_deadline_it_goes_on_reading(self, make):
        ws, channel = make([], [Ping(b"?", b"pong")], [Pong(b"")], [Message("a")])
        assert ws.recv(1) == "a"
        assert len(channel.deadlines) == 4

    @pytest.mark.parametrize("timeout", [0, -1])
    def test_after_the_deadline_it_reads_once(self, make, timeout):
        ws, channel = make([Ping(b"?", b"pong"), Pong(b"")], [Message("late")])
        with pytest.raises(TimeoutError):
            ws.recv(timeout)
        assert len(channel.deadlines) == 1

    def test_time_that_passes_while_it_reads_counts(self, make, clock):
        def slow():
            clock.now += 3
            return [Ping(b"?", b"pong")]

        ws, channel = make(slow, [Message("late")])
        with pytest.raises(TimeoutError):
            ws.recv(3)
        assert len(channel.deadlines) == 1

    @pytest.mark.parametrize(("seconds", "reads"), [(0, 8), (5, 8), (30, 10)])
    def test_a_frame_that_has_begun_to_arrive_is_read_to_its_end_in_eight_reads(self, make, clock, seconds, reads):
        def slow():
            clock.now += 3
            return []

        ws, channel = make(*[slow] * 20)
        channel.connection.bytes_needed = 1
        with pytest.raises(TimeoutError):
            ws.recv(seconds)
        assert MAX_LATE_READS == 8
        assert len(channel.deadlines) == reads

    def test_a_wait_for_another_thread_counts_as_one_read(self, make):
        ws, channel = make(*[[]] * 20)
        ws._reading, ws._changed.wait = True, lambda seconds: setattr(ws, "_reading", False)
        channel.connection.bytes_needed = 1
        with pytest.raises(TimeoutError):
            ws.recv(0)
        assert len(channel.deadlines) == 7

    def test_the_end_is_told_after_the_messages_before_it(self, make):
        ws, channel = make([Message("a"), BYE])
        assert ws.recv() == "a"
        for _ in range(2):
            with pytest.raises(ConnectionClosed, match="the server closed the connection: 1000 NORMAL 'bye'") as caught:
                ws.recv(5)
            assert (caught.value.code, caught.value.reason) == (1000, "bye")
        assert channel.calls == ["finish_close", "end"]

    @pytest.mark.parametrize(("closed", "normal"), [(BYE, True), (LOST, False)])
    def test_an_iteration_ends_with_a_normal_close(self, make, closed, normal):
        ws, _ = make([Message("a"), Message("b"), closed])
        messages = iter(ws)
        assert [next(messages), next(messages)] == ["a", "b"]
        with pytest.raises(StopIteration if normal else ConnectionClosed):
            next(messages)

    def test_pings_are_answered(self, make):
        ws, channel = make([Ping(b"?", b"pong"), Message("a")])
        assert ws.recv() == "a"
        assert channel.calls == [("reply", b"pong")]

    def test_another_thread_reads_and_this_one_finds_its_message(self, make, clock):
        ws, _ = make()
        waits = []

        def wait(seconds):
            waits.append(seconds)
            clock.now += 2.5
            if len(waits) == 2:
                ws._inbox.append(Message("a"))

        ws._reading, ws._changed.wait = True, wait
        assert ws.recv(3) == "a"
        assert waits == [3.0, 0.5]
        assert ws._reading

    @pytest.mark.parametrize(("timeout", "waited"), [(0, 0.0), (-1, 0.0), (1e12, threading.TIMEOUT_MAX)])
    def test_without_time_it_lets_the_other_thread_go_on_once(self, make, clock, timeout, waited):
        ws, _ = make()
        waits = []

        def wait(seconds):
            waits.append(seconds)
            assert len(waits) < 2
            clock.now += seconds if seconds == 0 else 1e13

        ws._reading, ws._changed.wait = True, wait
        with pytest.raises(TimeoutError):
            ws.recv(timeout)
        assert waits == [waited]

    def test_the_next_thread_may_read_after_an_error(self, make):
        ws, _ = make(lambda: 1 / 0, [Message("a")])
        told = []
        ws._changed.notify_all = lambda: told.append(ws._reading)
        with pytest.raises(ZeroDivisionError):
            ws.recv()
        assert told == [False]
        assert ws.recv() == "a"

    def test_what_is_kept_is_counted(self, make):
        ws, _ = make([Message("a" * 100), Message(b""), Message("b"), Pong(b"")])
        ws.ping()
        assert PER_MESSAGE == 64
        assert ws._inbox_size == 293
        sizes = []
        for _ in range(3):
            ws.recv()
            sizes.append(ws._inbox_size)
        assert sizes == [64 + 65, 65, 0]


class TestPing:
    """§5.5.2 and §5.5.3"""

    def test_the_seconds_from_the_ping_to_its_pong(self, make, clock):
        def slow():
            clock.now += 2.5
            return [Message("first"), Pong(b"x")]

        ws, channel = make(slow)
        clock.now = 2.0
        assert ws.ping(b"x") == 2.5
        assert channel.calls == [("refuse_reentry",), ("transmit", b"ping x")]
        assert ws._pings == []
        assert ws.recv() == "first"

    @pytest.mark.parametrize(("timeout", "deadline"), [(None, 57.0), (3, 53.0), (math.inf, math.inf)])
    def test_its_time(self, make, timeout, deadline):
        ws, channel = make([Pong(b"")], ping_timeout=7)
        assert ws.ping(timeout=timeout) == 0
        assert channel.deadlines == [deadline]

    @pytest.mark.parametrize(("timeout", "words"), [(3, "3"), (-1, "0")])
    def test_no_pong_in_time(self, make, timeout, words):
        ws, _ = make(False)
        with pytest.raises(TimeoutError, match=rf"^no Pong within {words} s$"):
            ws.ping(b"x", timeout)
        assert ws._pings == []

    @pytest.mark.parametrize(
        ("pong", "left"),
        [(b"a", [b"c"]), (b"b", [b"a", b"c"]), (b"c", []), (b"d", [b"a", b"b", b"a", b"c"]), (b"", None)],
    )
    def test_a_pong_answers_the_last_such_ping_and_all_before_it(self, make, clock, pong, left):
        ws, _ = make()
        pings = [module._PendingPing(data) for data in (b"a", b"b", b"a", b"c")]
        ws._pings = list(pings)
        ws._take_pong(pong)
        left = [b"a", b"b", b"a", b"c"] if left is None else left
        assert [ping.data for ping in ws._pings] == left
        assert [ping.answered for ping in pings] == [50.0] * (4 - len(left)) + [None] * len(left)

    @pytest.mark.parametrize(("kept", "full"), [(10, False), (11, True)])
    def test_messages_before_the_pong_are_kept_up_to_the_limit(self, make, kept, full):
        ws, channel = make([Message("x" * 36)] * kept, [Pong(b"")], max_backlog=1000)
        if full:
            with pytest.raises(TimeoutError, match=r"^11 messages came before the Pong: recv\(\) them first$"):
                ws.ping()
        else:
            assert ws.ping() == 0
        assert (len(ws._inbox), len(channel.deadlines)) == (kept, 1 if full else 2)

    def test_on_a_connection_that_ends_it_says_why(self, make):
        ws, _ = make([BYE])
        with pytest.raises(ConnectionClosed, match="1000 NORMAL 'bye'"):
            ws.ping()
        assert ws._pings == []


class TestSending:
    """send, send_fragments, and why they failed"""

    def test_the_size_of_what_is_being_sent_is_known(self, make):
        ws, channel = make()
        seen = []
        channel.send = lambda message, compress: seen.append((message, compress, ws.buffered_amount))
        ws.send("abc")
        ws.send(b"", compress=False)
        ws.send(5)
        assert seen == [("abc", True, 3), (b"", False, 0), (5, True, 0)]
        channel.send = lambda *_: 1 / 0
        with pytest.raises(ZeroDivisionError):
            ws.send("abc")
        assert ws.buffered_amount == 0
        ws.send_fragments(["a"])
        ws.send_fragments(["a"], compress=False)
        assert channel.calls == [("send_fragments", ["a"], True), ("send_fragments", ["a"], False)]

    @pytest.mark.parametrize("call", ["send", "send_fragments"])
    def test_a_failure_is_told_by_the_close_that_lies_unread(self, make, call):
        ws, channel = make([Message("a"), Ping(b"", b"pong"), Message("b"), BYE])

        def fails(*_):
            channel.transport.abort_reason = "sending failed: Broken pipe"
            raise ConnectionClosed("sending failed: Broken pipe")

        setattr(channel, call, fails)
        words = r"1000 NORMAL 'bye'; unread messages and Pings of the server: 4; recv\(\) reads and answers them$"
        with pytest.raises(ConnectionClosed, match=words):
            getattr(ws, call)("x")
        assert [message.data for message in ws._inbox] == ["a", "b"]

    @pytest.mark.parametrize("call", ["send", "send_fragments"])
    def test_a_failure_while_tcp_goes_on_does_not_read(self, make, call):
        ws, channel = make()

        def fails(*_):
            raise ConnectionClosed("a Close has been sent")

        setattr(channel, call, fails)
        with pytest.raises(ConnectionClosed, match=r"^a Close has been sent$"):
            getattr(ws, call)("x")
        assert channel.deadlines == []


class TestClosing:
    """§7.1.1, and what is kept"""

    def test_an_answered_close(self, make, log):
        ws, channel = make([BYE], close_timeout=7)
        ws.close(4000, "enough")
        assert channel.calls == [("close", 4000, "enough"), "finish_close", "end"]
        assert channel.deadlines == [57.0]
        assert log.records == []
        ws.close()
        assert channel.deadlines == [57.0]

    def test_one_that_is_not_answered_is_aborted(self, make):
        ws, channel = make(False, close_timeout=7)
        ws.close()
        assert channel.calls[:2] == [("close", 1000, ""), ("abort", "our Close was not answered within 7 s", True)]
        assert channel.deadlines == [57.0, math.inf]
        assert ws.closed == LOST

    def test_messages_that_come_before_the_end_are_kept_up_to_the_limit(self, make, log):
        ws, _ = make([Message("x" * 36)] * 13 + [BYE], max_backlog=1000)
        ws.close()
        assert len(ws._inbox) == 10
        assert ws._inbox_size == 1000
        assert [record.getMessage() for record in log.records] == ["3 messages that came before the end were discarded"]
        ws.close()
        assert len(log.records) == 1

    @pytest.mark.parametrize(("error", "code"), [(None, 1000), (KeyError("bug"), 1001)])
    def test_a_with_block_says_whether_it_failed(self, make, error, code):
        ws, channel = make([BYE])
        with pytest.raises(KeyError) if error else ws, ws:
            if error:
                raise error
        assert channel.calls[0] == ("close", code, "")

    @pytest.mark.parametrize("sent", [True, False])
    def test_an_interrupted_end_is_the_end_all_the_same(self, make, sent):
        ws, channel = make([BYE])

        def interrupted(event):
            raise KeyboardInterrupt

        channel.finish_close, channel.transport.last_sent = interrupted, sent
        with pytest.raises(KeyboardInterrupt):
            ws.recv()
        assert channel.calls == ["end"]
        assert (ws.closed.was_clean, ws.closed.sent_code) == ((True, 1000) if sent else (False, None))
        assert ws.closed.code == 1000


class TestWords:
    """How it ended, for a terminal"""

    @pytest.mark.parametrize(
        ("closed", "abort_reason", "words"),
        [
            (BYE, "", "the server closed the connection: 1000 NORMAL 'bye'"),
            (Closed(1005, "", 1005, True, True, None, b""), "", "we closed the connection: 1005 NO_STATUS"),
            (Closed(4001, "", 4001, True, False, None, b""), "", "the server closed the connection: 4001"),
            (LOST, "", "the connection was lost: TCP ended without a Close (1006)"),
            (LOST, "the connection is closed", "the connection was lost: TCP ended without a Close (1006)"),
            (LOST, "gone", "the connection was lost: gone (1006)"),
            (
                Closed(1006, "", 1002, False, True, ProtocolError("bad", "§5.2"), b""),
                "gone",
                "the server broke the protocol (we sent 1002): bad (RFC 6455 §5.2)",
            ),
            (
                Closed(1006, "", 1007, False, True, ProtocolError("bad", "RFC 7692 §7.2.3", code=1007), b""),
                "",
                "the server broke the protocol (we sent 1007): bad (RFC 7692 §7.2.3)",
            ),
            (
                Closed(1006, "", None, False, True, ProtocolError("bad", "§6.1"), b""),
                "",
                "the server broke the protocol (we sent no Close): bad (RFC 6455 §6.1)",
            ),
            (
                Closed(1006, "", 1009, False, True, message_too_long(5), b""),
                "",
                "a message exceeds our limit (we sent 1009): the message is longer than 5 bytes when decompressed "
                "(RFC 6455 §10.4); to raise it: limits=Limits(max_message_size=...), or --max-message-size",
            ),
            (
                Closed(1006, "", 1008, False, True, ProtocolError("too many", "§10.4", code=1008), b""),
                "",
                "a message exceeds our limit (we sent 1008): too many (RFC 6455 §10.4); "
                "to raise it: limits=Limits(max_empty_fragments=...)",
            ),
        ],
        ids=range(11),
    )
    def test_how_it_ended(self, closed, abort_reason, words):
        assert how_it_ended(closed, abort_reason) == words

    def test_the_longest_reason_is_shown_whole(self):
        words = how_it_ended(Closed(1000, "x" * 123, 1000, True, False, None, b""))
        assert words == f"the server closed the connection: 1000 NORMAL '{'x' * 123}'"

    @pytest.mark.parametrize(
        ("code", "clean", "ours", "normal"),
        [
            (1000, True, False, True),
            (1001, True, False, True),
            (1005, True, False, True),
            (1002, True, False, False),
            (1011, True, False, False),
            (1011, True, True, True),
            (1000, False, False, False),
            (1000, False, True, False),
        ],
    )
    def test_a_normal_end(self, code, clean, ours, normal):
        assert is_normal(Closed(code, "", code, clean, ours, None, b"")) is normal


class TestConnecting:
    """connect, before there is a connection"""

    def test_the_defaults_are_the_documented_ones(self):
        defaults = {name: one.default for name, one in inspect.signature(connect).parameters.items()}
        assert (defaults["timeout"], defaults["compression"], defaults["limits"]) == (10.0, Compression(), Limits())

    @pytest.mark.parametrize("timeout", [0, -0.5, MAX_SECONDS + 1, math.inf, math.nan, "1"])
    def test_a_timeout_that_is_none(self, timeout, monkeypatch):
        monkeypatch.setattr(module, "addresses_of", None)
        with pytest.raises(ValueError, match=r"^timeout must be more than 0 and at most"):
            connect("ws://127.0.0.1/", timeout=timeout)

    @pytest.mark.parametrize(
        ("numbers", "kind"),
        [
            ([errno.ECONNREFUSED], ConnectionRefusedError),
            ([errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ECONNREFUSED], ConnectionRefusedError),
            ([errno.ECONNREFUSED, errno.ECONNREFUSED, errno.ETIMEDOUT], TimeoutError),
            ([None], TimeoutError),
        ],
    )
    def test_each_address_has_its_share_of_the_time_and_the_last_error_counts(self, clock, monkeypatch, numbers, kind):
        addresses = [(n, (f"10.0.0.{n}", 80)) for n in range(len(numbers))]
        monkeypatch.setattr(module, "addresses_of", lambda where: addresses)
        timeout = {1: MAX_SECONDS if numbers[0] else 0.5}.get(len(numbers), 10)
        dialed = []

        def dial(family, address, seconds):
            dialed.append((family, address, seconds))
            clock.now += 1
            number = numbers[len(dialed) - 1]
            raise OSError(number, f"error {number}") if number else OSError("no number")

        monkeypatch.setattr(module, "dial", dial)
        with pytest.raises(kind) as caught:
            connect("ws://a.example/", timeout=timeout)
        shares = {1: [timeout], 3: [10 / 3, 9 / 2, 8.0], 4: [10 / 4, 9 / 3, 8 / 2, 7.0]}[len(numbers)]
        assert dialed == [(n, address, share) for (n, address), share in zip(addresses, shares, strict=True)]
        why = "; ".join(f"10.0.0.{n} port 80: {f'error {m}' if m else 'no number'}" for n, m in enumerate(numbers))
        assert caught.value.strerror == f"cannot connect: {why}"
