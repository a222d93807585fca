"""Chapter 10: one TCP connection: nothing waits without a bound, and a frame is whole or the last."""

from __future__ import annotations

import select
import socket
import struct
import sys
import threading
import time
from types import SimpleNamespace

import pytest
from conftest import DEADLINE, wait_until

from wsref.network import backlog
from wsref.network import transport as module
from wsref.network.backlog import IDLE_TICKS, MAX_DELAY, BacklogWriter
from wsref.network.transport import MAX_DISCARDED, MIN_PROGRESS, Transport
from wsref.protocol.errors import ConnectionClosed
from wsref.protocol.limits import Limits

QUICK = Limits(send_timeout=0.2, max_backlog=1000)
PATIENT = Limits(send_timeout=DEADLINE)


@pytest.fixture
def make():
    """``make(limits)``: a transport, and the peer's socket."""
    sockets = []

    def make(limits=QUICK, kind=Transport):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            theirs = socket.create_connection(listener.getsockname(), DEADLINE)
            ours, _ = listener.accept()
        sockets.extend((ours, theirs))
        return kind(ours, limits), theirs

    yield make
    for sock in sockets:
        sock.close()


def seconds(run):
    """The result of a call, and its time."""
    began = time.monotonic()
    return run(), time.monotonic() - began


def in_a_thread(run):
    """The result of a call in another thread than the main one."""
    found = []
    thread = threading.Thread(target=lambda: found.append(run()))
    thread.start()
    thread.join(DEADLINE)
    return found[0]


def fill(transport):
    """Send without waiting until the kernel takes no more of it."""
    while transport.send_nowait(bytes(100)):
        pass


def rest_of_frames(sock):
    """All bytes until those of a frame that says that it is the last."""
    sock.settimeout(DEADLINE)
    data = b""
    while not data.endswith(b"the last"):
        data += sock.recv(1 << 20)
    return data


def rest_of(sock):
    """All bytes until the end."""
    data = b""
    while piece := sock.recv(1 << 20):
        data += piece
    return data


@pytest.fixture(params=["the main thread", "another thread", "sockets that do not block"])
def call(request, monkeypatch):
    """Runs a function: a read is bounded in three ways."""
    if request.param == "sockets that do not block":
        monkeypatch.setattr(module, "PER_CALL", False)
    return in_a_thread if request.param == "another thread" else lambda run: run()


class TestReceive:
    """One thread reads, and the time is bounded"""

    def test_the_bytes_that_are_there_but_not_more_than_asked_for(self, make, call):
        transport, theirs = make()
        theirs.sendall(b"Hello")
        assert call(lambda: transport.receive(3, DEADLINE)) == b"Hel"
        assert call(lambda: transport.receive(300, DEADLINE)) == b"lo"

    @pytest.mark.parametrize("timeout", [0.1, 0.001, 0.0, -0.5, -1.0])
    def test_none_after_the_time(self, make, call, timeout):
        transport, theirs = make()
        for _ in range(2):
            found, took = call(lambda: seconds(lambda: transport.receive(100, timeout)))
            assert found is None
            assert timeout - 0.01 <= took < timeout + DEADLINE
        theirs.sendall(b"late")
        assert call(lambda: transport.receive(100, DEADLINE)) == b"late"

    def test_the_time_of_each_call_counts(self, make, call):
        transport, _ = make()
        for timeout in (0.02, 0.1, 0.02):
            _, took = call(lambda timeout=timeout: seconds(lambda: transport.receive(100, timeout)))
            assert timeout - 0.01 <= took

    @pytest.mark.parametrize("reset", [False, True])
    def test_nothing_at_the_end_by_a_fin_or_a_rst(self, make, call, reset):
        transport, theirs = make()
        if reset:
            theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        theirs.close()
        assert call(lambda: transport.receive(100, DEADLINE)) == b""

    def test_an_abort_wakes_it(self, make):
        transport, _ = make()
        found = []
        reader = threading.Thread(target=lambda: found.append(transport.receive(100, DEADLINE)))
        reader.start()
        transport.abort("enough")
        reader.join(DEADLINE)
        assert found == [b""]


class TestSend:
    """A frame is sent whole, or nothing follows it"""

    def test_one_part_and_two(self, make):
        transport, theirs = make()
        transport.send(b"one")
        transport.send(b"two", b"three")
        transport.abort("done")
        assert rest_of(theirs) == b"onetwothree"

    def test_a_small_frame_leaves_at_once(self, make):
        transport, _ = make()
        assert transport._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    @pytest.mark.parametrize("parts", [(bytes(20_000_000),), (b"x", bytes(20_000_000))])
    def test_a_peer_that_does_not_read_is_aborted_with_a_rst(self, make, parts):
        transport, theirs = make()

        def send():
            with pytest.raises(ConnectionClosed, match=r"^the peer has not read for 0.2 s$"):
                transport.send(*parts)

        _, took = seconds(send)
        assert 0.19 < took < DEADLINE
        assert (transport.abort_reason, transport.aborted_locally) == ("the peer has not read for 0.2 s", True)
        transport.close_gracefully(0)
        with pytest.raises(ConnectionResetError):
            rest_of(theirs)

    def test_a_peer_that_reads_enough_in_time_is_waited_for(self, make, monkeypatch):
        """64 KiB within the send timeout are progress, less is not."""
        assert MIN_PROGRESS == 65_536
        for per_wait, good in ((MIN_PROGRESS, True), (MIN_PROGRESS - 1, False)):
            transport, _ = make(Limits(send_timeout=10))
            clock, sent = [0.0], []
            monkeypatch.setattr(module.time, "monotonic", lambda clock=clock: clock[0])

            def wait(sock, timeout, clock=clock, *, writing):
                clock[0] += min(timeout, 6)
                return timeout > 6

            def take(data, more=b"", sent=sent, per_wait=per_wait):
                sent.append(min(len(data), per_wait if sent else 0))
                return sent[-1]

            monkeypatch.setattr(module, "wait", wait)
            monkeypatch.setattr(transport, "_try_send", take)
            if good:
                transport.send(bytes(10 * MIN_PROGRESS))
                assert (sum(sent), clock[0], transport.progress) == (10 * MIN_PROGRESS, 60, 60)
            else:
                with pytest.raises(ConnectionClosed, match="has not read for 10 s"):
                    transport.send(bytes(10 * MIN_PROGRESS))
            monkeypatch.undo()

    def test_a_peer_that_is_gone_is_not_our_decision(self, make):
        transport, theirs = make()
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        theirs.close()
        transport.receive(100, DEADLINE)
        with pytest.raises(ConnectionClosed, match="sending failed: "):
            while True:
                transport.send(b"x")
        assert not transport.aborted_locally
        with pytest.raises(ConnectionClosed, match="sending failed: "):
            transport.send(b"x")

    def test_after_a_close_nothing_is_sent(self, make):
        transport, theirs = make()
        assert not transport.last_sent
        transport.send(b"Close", last=True)
        assert transport.last_sent
        for call in (transport.send, transport.send_nowait, lambda data: transport.send_in_one_turn([data])):
            with pytest.raises(ConnectionClosed, match="a Close has been sent"):
                call(b"late")
        assert transport.last_sent
        transport.abort("done")
        assert rest_of(theirs) == b"Close"

    def test_parts_leave_in_order_and_before_what_is_queued_in_the_meantime(self, make):
        transport, theirs = make()

        def parts():
            yield b"1"
            assert transport.send_nowait(b"queued") is False
            yield b"2"

        with transport.write_lock:
            transport.send_in_one_turn(parts())
        assert transport.has_backlog
        with transport.write_lock:
            assert transport.flush()
        assert not transport.has_backlog
        transport.abort("done")
        assert rest_of(theirs) == b"12queued"


class TestSendNowait:
    """What the kernel does not take waits in a bounded queue"""

    def test_one_that_the_kernel_takes_is_gone(self, make):
        transport, theirs = make()
        assert transport.send_nowait(b"now") is True
        assert not transport.has_backlog
        assert theirs.recv(100) == b"now"

    def test_the_rest_waits_and_what_follows_waits_behind_it(self, make):
        transport, theirs = make(Limits(send_timeout=DEADLINE, max_backlog=1 << 30))
        assert transport.send_nowait(b"a" * 20_000_000) is False
        assert transport.has_backlog
        assert transport.send_nowait(b"b") is False
        found = []
        reader = threading.Thread(target=lambda: found.append(rest_of(theirs)))
        reader.start()
        with transport.write_lock:
            transport.send(b"c")
        transport.abort("done")
        reader.join(DEADLINE)
        assert found == [b"a" * 20_000_000 + b"bc"]

    def test_too_much_of_it_aborts_the_connection(self, make):
        transport, theirs = make()
        fill(transport)
        before = transport.queue.size + len(transport._unsent)
        assert transport.send_nowait(bytes(1000 - before)) is False
        words = "^the peer does not read: 1000 bytes of broadcasts wait for it$"
        for _ in range(2):
            with pytest.raises(ConnectionClosed, match=words):
                transport.send_nowait(b"x")
        assert transport.aborted_locally
        transport.close_gracefully(0)
        with pytest.raises(ConnectionResetError):
            rest_of(theirs)

    def test_a_close_is_queued_beyond_the_limit(self, make):
        transport, _ = make()
        fill(transport)
        assert transport.send_nowait(bytes(5000), last=True) is False
        assert not transport.last_sent
        with pytest.raises(ConnectionClosed, match="a Close has been sent"):
            transport.send_nowait(b"x")

    def test_while_another_thread_writes_it_waits(self, make):
        transport, theirs = make()
        with transport.write_lock:
            assert transport.send_nowait(b"Close", last=True) is False
            assert transport.has_backlog
            assert not transport.last_sent
            assert transport.flush()
        assert transport.last_sent
        assert theirs.recv(100) == b"Close"
        assert transport.write_lock.acquire(blocking=False)

    def test_flush_takes_what_the_kernel_takes(self, make):
        transport, _ = make()
        fill(transport)
        assert transport.flush() is False
        transport.abort("done")
        with pytest.raises(ConnectionClosed, match="done"):
            transport.flush()


class TestTheEnd:
    """RFC 6455 §7.1.1, RFC 9112 §9.6"""

    def test_the_first_reason_of_an_abort_counts(self, make):
        transport, theirs = make()
        assert (transport.abort_reason, transport.aborted_locally) == ("", False)
        assert str(transport.abort("first", locally=False)) == "first"
        assert str(transport.abort("second", reset=True)) == "first"
        assert (transport.abort_reason, transport.aborted_locally) == ("first", False)
        assert theirs.recv(100) == b""
        for call in (lambda: transport.send(b"x"), transport.drain, lambda: transport.send_nowait(b"x")):
            with pytest.raises(ConnectionClosed, match="first"):
                call()

    def test_our_fin_comes_first_and_then_the_peer_has_its_time(self, make):
        transport, theirs = make()
        transport.send(b"answer")
        closer = threading.Thread(target=transport.close_gracefully, args=(DEADLINE,))
        closer.start()
        assert rest_of(theirs) == b"answer"
        theirs.sendall(b"late" * 1000)
        assert transport.fileno() >= 0
        theirs.close()
        closer.join(DEADLINE)
        assert transport.fileno() == -1
        with pytest.raises(ConnectionClosed, match="the connection is closed"):
            transport.send(b"x")

    def test_a_peer_that_does_not_end_is_left_after_the_time(self, make):
        transport, _ = make()
        _, took = seconds(lambda: transport.close_gracefully(0.2))
        assert 0.19 < took < DEADLINE
        assert transport.fileno() == -1

    @pytest.mark.parametrize("less", [0, 1])
    def test_a_peer_that_goes_on_sending_is_left_after_1_mib(self, make, monkeypatch, less):
        transport, _ = make()
        read = []

        def receive(self, size, timeout):
            read.append((size, timeout <= 5))
            return bytes(size - less * (len(read) == 1))

        monkeypatch.setattr(Transport, "receive", receive)
        transport.close_gracefully(5)
        assert MAX_DISCARDED == 1 << 20
        assert read == [(65_536, True)] * (16 + less)

    def test_a_peer_that_has_ended_is_not_waited_for(self, make, monkeypatch):
        transport, theirs = make()
        theirs.close()
        assert transport.receive(100, DEADLINE) == b""
        monkeypatch.setattr(Transport, "receive", None)
        transport.close_gracefully(DEADLINE)
        assert transport.fileno() == -1

    def test_an_aborted_one_keeps_its_reason(self, make):
        transport, _ = make()
        transport.abort("enough")
        transport.close_gracefully(DEADLINE)
        assert (transport.abort_reason, transport.fileno()) == ("enough", -1)

    def test_the_defaults_are_those_of_plain_tcp(self):
        assert (Transport.max_record, Transport.secure, Transport.passthrough) == (sys.maxsize, False, True)
        assert Transport.received_any is False


class Kernel:
    """In place of a socket: it remembers each call, and takes as many bytes as the test says."""

    def __init__(self, takes=(), timeout=None):
        self.calls, self.sent, self.takes, self.timeout, self.pieces = [], [], list(takes), timeout, []

    def gettimeout(self):
        return self.timeout

    def send(self, data, flags=0):
        most = self.takes.pop(0) if self.takes else len(data)
        if isinstance(most, BaseException):
            raise most
        if callable(most):
            most = most() or len(data)
        if most == 0:
            raise BlockingIOError
        self.sent.append(bytes(data[:most]))
        return len(self.sent[-1])

    def sendmsg(self, buffers, ancillary, flags):
        return self.send(b"".join(buffers))

    def recv(self, size):
        self.calls.append(("recv", size))
        return self.pieces.pop(0)

    def shutdown(self, how):
        self.calls.append(("shutdown", how))
        if self.timeout == "gone":
            raise OSError("gone")

    def __getattr__(self, name):
        return lambda *arguments: self.calls.append((name, *arguments))


class TestCallsOfTheKernel:
    """The calls of the socket and the bound of each, with a clock of the test"""

    @pytest.fixture
    def clock(self, monkeypatch):
        """Each wait takes the next number of :attr:`takes`, and finds nothing when that is its whole time."""
        clock = SimpleNamespace(now=50.0, waits=[], takes=[])
        clock.monotonic = lambda: clock.now

        def wait(sock, timeout, *, writing=False):
            took = clock.takes.pop(0) if clock.takes else 0.0
            clock.waits.append((timeout, writing))
            clock.now += took
            return took < timeout

        monkeypatch.setattr(module, "time", clock)
        monkeypatch.setattr(module, "wait", wait)
        return clock

    def open(self, *takes, kind=Transport, **limits):
        kernel = Kernel(takes)
        transport = kind(kernel, Limits(**limits))
        kernel.calls.clear()
        return transport, kernel

    @pytest.mark.parametrize(
        ("per_call", "timeout", "blocking"),
        [
            (True, None, None),
            (True, 0.0, True),
            (True, 5.0, True),
            (False, 0.0, None),
            (False, None, False),
            (False, 1.0, False),
        ],
    )
    def test_a_new_one_blocks_or_not_and_does_not_wait_for_acknowledgements(
        self, monkeypatch, per_call, timeout, blocking
    ):
        monkeypatch.setattr(module, "PER_CALL", per_call)
        kernel = Kernel(timeout=timeout)
        transport = Transport(kernel)
        expected = [] if blocking is None else [("setblocking", blocking)]
        assert kernel.calls == [*expected, ("setsockopt", socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
        assert (transport.abort_reason, transport.last_sent, transport.has_backlog) == ("", False, False)

    def test_the_kernel_is_told_of_a_timeout_only_when_it_changes(self, clock, monkeypatch):
        monkeypatch.setattr(module, "PER_CALL", True)
        monkeypatch.setattr(module, "_get_ident", lambda: 0)  # not the main thread
        transport, kernel = self.open()
        told = []
        for timeout, seconds, microseconds in (
            (float("2.5"), 2, 500_000),
            (float("2.5"), None, None),
            (float("0.25"), 0, 250_000),
            (float("0.25"), None, None),
            (7.0, 7, 0),
            (0.7500005, 0, 750_000),
            (0, 0, 1000),
            (-1, 0, 1000),
        ):
            kernel.calls.clear()
            kernel.pieces = [b"x"]
            assert transport.receive(10, timeout) == b"x"
            timeval = None if seconds is None else struct.pack("@ll", seconds, microseconds)
            told = [] if timeval is None else [("setsockopt", socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval)]
            assert kernel.calls == [*told, ("recv", 10)]
        assert clock.waits == []

    @pytest.mark.parametrize("before_or_after", [-1, 1])
    def test_only_the_main_thread_waits_first_because_of_signals(self, clock, monkeypatch, before_or_after):
        monkeypatch.setattr(module, "PER_CALL", True)
        transport, kernel = self.open()
        kernel.pieces = [b"x", b"y"]
        clock.takes = [5.0]
        assert transport.receive(10, 5.0) is None
        assert transport.receive(10, 5.0) == b"x"
        assert clock.waits == [(5.0, False)] * 2
        other = module._MAIN_THREAD + before_or_after
        monkeypatch.setattr(module, "_get_ident", lambda: other)
        assert transport.receive(10, 5.0) == b"y"
        assert len(clock.waits) == 2

    def test_where_the_kernel_bounds_no_call_an_abort_is_looked_for_each_second(self, clock, monkeypatch):
        monkeypatch.setattr(module, "PER_CALL", False)
        transport, kernel = self.open()
        clock.now, clock.takes = 2.0, [1.0, 1.0, 0.5]
        assert transport.receive(10, 2.5) is None
        assert clock.waits == [(1.0, False), (1.0, False), (0.5, False)]
        clock.waits.clear()
        clock.takes, kernel.pieces = [1.0, 0.25], [b"x"]
        assert transport.receive(10, 2.5) == b"x"
        assert len(clock.waits) == 2
        clock.takes, kernel.pieces = [1.0], [b"", b""]
        transport.abort("enough")
        assert transport.receive(10, 2.5) == b""
        assert len(clock.waits) == 3
        clock.waits.clear()
        transport.receive(10, -0.5)
        assert clock.waits == [(0.0, False)]

    def test_sending_waits_for_as_long_as_the_peer_may_be_silent(self, clock):
        transport, kernel = self.open(3, 0, 2, send_timeout=10)
        clock.takes = [1.0, 2.0, 4.0]
        transport.send(b"abcdefgh")
        assert kernel.sent == [b"abc", b"de", b"fgh"]
        assert clock.waits == [(10.0, True), (9.0, True), (7.0, True)]
        assert transport.progress == 57.0

    def test_after_64_kib_the_peer_has_its_time_again(self, clock):
        transport, kernel = self.open(0, 65_535, 100, 65_535, 0, send_timeout=10)
        clock.takes = [3.0, 2.0, 4.0, 1.0, 1.0]
        transport.send(bytes(131_200))
        assert [len(data) for data in kernel.sent] == [65_535, 100, 65_535, 30]
        assert clock.waits == [(10.0, True), (7.0, True), (10.0, True), (6.0, True), (5.0, True)]

    def test_what_another_thread_queues_while_the_queue_is_written_may_leave_with_it(self, clock):
        transport, kernel = self.open(2)
        assert not transport.send_nowait(b"abc")
        kernel.takes = [0]
        assert not transport.send_nowait(b"d")
        kernel.takes = [lambda: transport.queue.append(b"e") and 1]
        transport.drain()
        assert kernel.sent == [b"ab", b"c", b"de"]

    @pytest.mark.parametrize("error", [BrokenPipeError(32, "Broken pipe"), KeyboardInterrupt()])
    def test_a_close_that_did_not_leave_was_not_sent(self, clock, error):
        transport, _ = self.open(error)
        with pytest.raises((ConnectionClosed, KeyboardInterrupt)):
            transport.send(b"Close", last=True)
        assert not transport.last_sent

    def test_the_end_of_a_connection_that_has_ended_is_no_error(self, clock):
        transport, kernel = self.open()
        kernel.timeout = "gone"
        transport.close_gracefully(5)
        assert kernel.calls == [("shutdown", socket.SHUT_WR), ("close",)]

    def test_an_interrupted_rest_is_the_last(self, clock):
        transport, kernel = self.open(2, KeyboardInterrupt())
        assert not transport.send_nowait(b"abc")
        with pytest.raises(KeyboardInterrupt):
            transport.drain()
        assert transport.abort_reason == "sending was interrupted"
        with pytest.raises(ConnectionClosed, match="interrupted"):
            transport.send(b"more")
        assert kernel.sent == [b"ab"]

    def test_a_frame_that_is_interrupted_without_waiting_is_the_last(self, clock, monkeypatch):
        """The kernel may have a part of it, and the Close of a server that ends must not follow that."""
        transport, kernel = self.open(KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            transport.send_nowait(b"abc")
        with pytest.raises(ConnectionClosed, match="sending was interrupted"):
            transport.send(b"more", last=True)
        assert (kernel.sent, transport.write_lock.locked()) == ([], False)

    @pytest.mark.parametrize("send", ["drain", "send_nowait"])
    def test_after_a_queued_frame_that_is_lost_nothing_is_sent(self, clock, monkeypatch, send):
        """Where two frames are joined there may be no memory for both."""
        transport, kernel = self.open(0)
        assert not transport.send_nowait(b"a")
        with transport.write_lock:
            assert not transport.send_nowait(b"b")

        def no_memory(max_size):
            transport.queue.items.clear()
            raise MemoryError

        transport._unsent = memoryview(b"")
        monkeypatch.setattr(transport.queue, "take", no_memory)
        with pytest.raises(MemoryError):
            getattr(transport, send)(*([b"c"] if send == "send_nowait" else []))
        with pytest.raises(ConnectionClosed, match="sending was interrupted"):
            transport.send(b"more")
        assert kernel.sent == []

    def test_a_header_and_its_payload_are_one_call(self, clock, monkeypatch):
        monkeypatch.setattr(module, "PER_CALL", True)
        monkeypatch.setattr(socket, "MSG_DONTWAIT", 64, raising=False)
        transport, kernel = self.open()
        transport.send(b"header", b"payload")
        assert kernel.sent == [b"headerpayload"]
        kernel.takes = [7]
        transport.send(b"h", b"payload")
        assert kernel.sent[1:] == [b"hpayloa", b"d"]
        assert transport.send_nowait(bytes(1000)) is True

    def test_bytes_that_the_kernel_takes_at_once_need_no_wait(self, clock):
        class Sealed(Transport):
            passthrough, max_record = False, 4

            def _seal(self, data):
                return b"<%b>" % data

        transport, kernel = self.open(kind=Sealed)
        transport.send(b"abcd", b"ef")
        transport.send(b"")
        transport.send_nowait(b"ghijk")
        assert kernel.sent == [b"<abcd>", b"<ef>", b"<>", b"<ghij>", b"<k>"]
        assert clock.waits == []
        kernel.takes = [2, 2]
        transport.send(b"abcd")
        assert kernel.sent[5:] == [b"<a", b"bc", b"d>"]

    def test_what_is_sealed_to_nothing_is_not_sent(self, clock):
        class Silent(Transport):
            passthrough = False

            def _seal(self, data):
                return b""

        transport, kernel = self.open(kind=Silent)
        transport.send(b"abc")
        assert (kernel.sent, clock.waits) == ([], [])

    def test_after_the_queue_nothing_more_is_written(self, clock):
        transport, kernel = self.open(0, 0, 0)
        assert not transport.send_nowait(b"one")
        assert not transport.send_nowait(b"two")
        transport.send(b"three")
        assert kernel.sent == [b"one", b"two", b"three"]
        transport.drain()
        assert kernel.sent == [b"one", b"two", b"three"]
        assert not transport.last_sent

    @pytest.mark.parametrize("round_", [1, 2])
    def test_a_batch_of_64_kib_is_gathered_and_no_larger_one(self, clock, round_):
        transport, kernel = self.open()
        for n in range(round_):
            kernel.sent.clear()
            transport.start_batch()
            transport.send(bytes(65_000))
            transport.send(bytes(536))
            assert kernel.sent == []
            transport.end_batch()
            assert [len(data) for data in kernel.sent] == [65_536]
            transport.start_batch()
            transport.send(bytes(65_000))
            transport.send(bytes(537))
            assert [len(data) for data in kernel.sent] == [65_536, 65_000, 537], n
            transport.end_batch()
        assert not transport.last_sent
        assert not transport.write_lock.locked()

    @pytest.mark.parametrize("other", [4, 6, -1])
    def test_a_frame_of_another_thread_is_not_gathered(self, clock, monkeypatch, other):
        transport, kernel = self.open()
        monkeypatch.setattr(module, "_get_ident", lambda: 5)
        transport.start_batch()
        transport.send(b"gathered")
        monkeypatch.setattr(module, "_get_ident", lambda: other)
        transport.send(b"at once")
        assert kernel.sent == [b"gathered", b"at once"]

    def test_the_size_of_a_backlog_that_is_too_large_is_told(self, clock):
        transport, kernel = self.open(300, max_backlog=1000)
        assert not transport.send_nowait(bytes(1000))
        kernel.takes = [0]
        assert not transport.send_nowait(bytes(255))
        with pytest.raises(ConnectionClosed, match=r"^the peer does not read: 955 bytes of broadcasts wait for it$"):
            transport.send_nowait(bytes(46))
        assert ("setsockopt", socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)) in kernel.calls

    @pytest.mark.parametrize(
        ("error", "words"),
        [
            (BrokenPipeError(32, "Broken pipe"), "sending failed: Broken pipe"),
            (OSError("no number"), "sending failed: no number"),
        ],
    )
    def test_a_failure_of_the_kernel_is_told_in_its_words(self, clock, error, words):
        transport, _ = self.open(error)
        with pytest.raises(ConnectionClosed, match=f"^{words}$") as caught:
            transport.send(b"x")
        assert (transport.abort_reason, transport.aborted_locally) == (words, False)
        assert caught.value.__suppress_context__

    def test_only_an_abort_with_a_reset_forgets_what_the_kernel_holds(self, clock):
        for options, forgets in (({}, False), ({"reset": False}, False), ({"reset": True}, True)):
            transport, kernel = self.open()
            kernel.timeout = "gone"  # an error of shutdown means that TCP has ended already
            assert str(transport.abort("enough", **options)) == "enough"
            linger = ("setsockopt", socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            assert kernel.calls == [linger] * forgets + [("shutdown", socket.SHUT_RDWR)]
            assert transport.aborted_locally

    @pytest.mark.parametrize(
        ("timeout", "takes", "lefts"),
        [(5, [3.0, 1.5, 1.0], [5.0, 2.0, 0.5]), (5, [5.0], [5.0]), (0, [], []), (-0.5, [], [])],
    )
    def test_the_peer_has_so_long_to_end_its_side(self, clock, monkeypatch, timeout, takes, lefts):
        transport, kernel = self.open()
        asked_for = []

        def receive(self, size, left):
            assert size == 65_536
            asked_for.append(left)
            clock.now += takes[len(asked_for) - 1]
            return b"late"

        monkeypatch.setattr(Transport, "receive", receive)
        transport.close_gracefully(timeout)
        assert asked_for == lefts
        assert kernel.calls == [("shutdown", socket.SHUT_WR), ("close",)]


class TestBacklogWriter:
    """It writes what a peer does not take at once, to each peer for as long as it has patience"""

    @pytest.fixture
    def writer(self):
        writer = BacklogWriter()
        yield writer
        writer.stop()

    def test_everything_arrives_when_the_peer_reads_again(self, make, writer):
        ours, theirs = make(PATIENT)
        fill(ours)
        writer.add(ours)
        ours.send_nowait(b"the last", last=True)
        assert rest_of_frames(theirs).endswith(b"the last")
        wait_until(lambda: not ours.has_backlog and ours.last_sent)
        assert not ours.abort_reason

    def test_a_peer_that_does_not_read_is_dropped_and_no_other(self, make, writer):
        silent, _ = make(Limits(send_timeout=0.3))
        reader, theirs = make(PATIENT)
        fill(silent)
        fill(reader)
        silent.send_nowait(bytes(500_000))  # the kernel may take a little more, later
        began = time.monotonic()
        writer.add(silent)
        writer.add(reader)
        wait_until(lambda: silent.abort_reason)
        assert time.monotonic() - began >= 0.3
        assert silent.abort_reason == "the peer has not read for 0.3 s"
        assert not reader.abort_reason
        reader.send_nowait(b"the last", last=True)
        assert rest_of_frames(theirs).endswith(b"the last")

    def test_a_fault_ends_one_connection_and_not_the_thread(self, make, writer, monkeypatch):
        broken, _ = make(PATIENT)
        good, theirs = make(PATIENT)
        fill(broken)
        fill(good)
        monkeypatch.setattr(broken, "flush", lambda: 1 / 0)
        writer.add(broken)
        writer.add(good)
        wait_until(lambda: broken.abort_reason)
        assert broken.abort_reason == "the server failed"
        good.send_nowait(b"the last", last=True)
        assert rest_of_frames(theirs).endswith(b"the last")

    def test_a_batch_that_is_not_ended_leaves_all_the_same(self, make, writer):
        ours, theirs = make(PATIENT)
        for n in range(3):
            assert writer.start_batch(ours)
            with ours.write_lock:
                ours.send(b"reply %d" % n)
            assert theirs.recv(100) == b"reply %d" % n
            time.sleep(0.1 * n)  # between them the thread goes to sleep, or not
        writer.end_batch(ours)

    def test_it_needs_a_thread_only_when_something_waits_and_ends_with_it(self, make):
        writer = BacklogWriter()
        assert writer._thread is None
        ours, _ = make(PATIENT)
        fill(ours)
        writer.add(ours)
        thread = writer._thread
        assert (thread.name, thread.daemon) == ("wsref backlog", True)
        writer.stop()
        assert not thread.is_alive()
        assert not writer.start_batch(ours)


class Client:
    """What the backlog writer needs of a transport; :attr:`flush` says what the kernel takes."""

    def __init__(self, fd=5, progress=0.0, send_timeout=10.0):
        self.fd, self.progress, self.limits = fd, progress, Limits(send_timeout=send_timeout)
        self.write_lock = threading.Lock()
        self.abort_reason, self.reset, self.has_backlog, self.batching = "", False, False, False
        self.answers, self.flushed = [], 0

    def fileno(self):
        return self.fd

    def flush(self):
        assert self.write_lock.locked()
        self.flushed += 1
        answer = self.answers.pop(0) if self.answers else True
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def abort(self, why, *, reset=False):
        self.abort_reason, self.reset = why, reset

    def start_batch(self):
        self.batching = True

    def end_batch(self):
        self.batching = False


class TestRoundsOfTheBacklogWriter:
    """Its rounds one by one: the test is its thread and sets the clock"""

    @pytest.fixture
    def clock(self, monkeypatch):
        clock = SimpleNamespace(now=50.0, slept=[])
        clock.monotonic, clock.sleep = lambda: clock.now, clock.slept.append
        monkeypatch.setattr(backlog, "time", clock)
        return clock

    @pytest.fixture
    def waits(self):
        """Of each wait the descriptors and the timeout."""
        return []

    @pytest.fixture
    def play(self, clock, waits, monkeypatch):
        """``play(*calls)``: a round for each call, which is made while the writer waits, and one more."""

        def play(*calls):
            left = list(calls)

            def wait_for_any(reader, fds, timeout):
                assert reader is writer._wake_r
                waits.append((list(fds), timeout))
                if left:
                    left.pop(0)()
                else:
                    writer._stopped = True

            monkeypatch.setattr(backlog, "wait_for_any", wait_for_any)
            writer._run()
            writer._stopped = False

        writer = play.writer = BacklogWriter()
        assert (writer._wake_r.getblocking(), writer._wake_w.getblocking()) == (False, False)
        writer._thread = SimpleNamespace(join=lambda seconds: None)
        yield play
        writer.stop()

    def woken(self, writer):
        return bool(select.select([writer._wake_r], [], [], 0)[0])

    def test_without_a_batch_it_sleeps_after_50_ms(self, play, waits):
        assert (IDLE_TICKS, MAX_DELAY) == (25, 0.002)
        play(*[lambda: None] * 25)
        assert waits == [([], 0.002)] * 25 + [([], None)]

    def test_a_batch_keeps_it_awake_and_leaves_in_each_round(self, play, waits):
        client, nothing = Client(), lambda: None
        begin, end = lambda: play.writer.start_batch(client), lambda: play.writer.end_batch(client)
        play(*[nothing] * 9, begin, *[nothing] * 30, end, *[nothing] * 25)
        assert waits == [([], 0.002)] * 66 + [([], None)]
        assert client.flushed == 31

    def test_a_batch_that_begins_while_it_sleeps_wakes_it(self, play, waits):
        client, seen = Client(), []

        def begin():
            seen.append(self.woken(play.writer))
            assert play.writer.start_batch(client)
            seen.append(self.woken(play.writer))

        play(*[lambda: None] * 25, begin)
        assert (seen, client.flushed, client.batching) == ([False, True], 2, True)
        assert waits[25:] == [([], None), ([], 0.002)]

    def test_a_batch_that_begins_while_it_is_awake_costs_no_system_call(self, play):
        seen = []

        def begin():
            assert play.writer.start_batch(Client())
            seen.append(self.woken(play.writer))

        play(begin)
        assert seen == [False]

    def test_of_two_batches_the_first_wakes_it(self, play):
        assert play.writer.start_batch(Client())
        assert play.writer._wake_r.recv(100) == b"!"
        assert play.writer.start_batch(Client())
        assert not self.woken(play.writer)

    def test_a_batch_that_begins_as_it_falls_asleep_is_not_overlooked(self, play, waits):
        client = Client()

        class Batching(set):
            def __bool__(self):
                before = len(self) > 0
                if play.writer._sleeps and not before and len(waits) == 25:
                    assert play.writer.start_batch(client)
                return len(self) > 0

        play.writer._batching = Batching()
        play.writer._sleeps = False
        play(*[lambda: None] * 25)
        assert waits[25:] == [([], 0.002)]
        assert client.flushed == 1

    def test_a_forgotten_batch_is_not_written(self, play):
        client = Client()
        assert play.writer.start_batch(client)
        play.writer.forget(client)
        play()
        assert client.flushed == 0

    @pytest.mark.parametrize(
        ("clients", "timeout", "fds", "expected"),
        [
            ([], None, [], None),
            ([], 0.002, [], 0.002),
            ([(5, 95.5)], None, [5], 55.501),
            ([(5, 95.5)], 0.002, [5], 0.002),
            ([(5, 95.5)], 60, [5], 55.501),
            ([(0, 95.5), (6, 45.25), (7, 96.5)], None, [0, 6, 7], 5.251),
            ([(5, 1.0)], None, [5], 0.001),
            ([(5, 95.5), (-1, 95.5), (7, 1.0)], None, [5, 7], 0.0),
            ([(1, 95.5)], None, [1], 55.501),
        ],
    )
    def test_it_waits_until_the_first_time_is_over(self, play, waits, clients, timeout, fds, expected):
        play()
        waits.clear()
        play.writer._wait([Client(fd, progress) for fd, progress in clients], timeout)
        assert waits == [(fds, expected and pytest.approx(expected))]

    def test_it_reads_the_bytes_that_woke_it(self, play, waits):
        client = Client()
        play.writer.add(client)
        assert self.woken(play.writer)
        play()
        assert not self.woken(play.writer)

    def test_waking_it_never_waits(self, play):
        for _ in range(1000):  # the pair of sockets holds fewer
            play.writer._wake()
        play()

    def test_one_that_is_added_is_written_until_nothing_waits(self, play, clock, waits):
        client = Client()
        client.answers = [False, False, True]
        play.writer.add(client)
        assert client.progress == 50
        clock.now += 1
        play.writer.add(client)  # it waits already: its time goes on
        assert client.progress == 50
        play(*[lambda: None] * 4)
        assert client.flushed == 3
        assert [fds for fds, _ in waits] == [[5]] * 3 + [[]] * 2
        assert clock.slept == []

    @pytest.mark.parametrize(("late", "aborted"), [(0, False), (0.001, True)])
    def test_one_that_takes_nothing_has_its_time_and_no_more(self, play, clock, late, aborted):
        client = Client()
        client.answers = [False] * 2
        clock.now = 4
        play.writer.add(client)
        clock.now += 10 + late
        play()
        assert (client.abort_reason, client.reset) == (
            ("the peer has not read for 10 s", True) if aborted else ("", False)
        )
        assert (client in play.writer._waiting) is not aborted

    def test_one_that_is_being_written_to_is_asked_again_and_not_at_once(self, play, clock):
        client = Client()
        play.writer.add(client)
        with client.write_lock:
            play()
        assert (client.flushed, clock.slept) == (0, [0.005])
        assert client in play.writer._waiting

    @pytest.mark.parametrize(("error", "why"), [(ConnectionClosed("gone"), ""), (KeyError("bug"), "the server failed")])
    def test_an_error_is_the_end_of_one_connection(self, play, log, error, why):
        bad, good = Client(fd=6), Client(fd=7)
        bad.answers = [error]
        play.writer.add(bad)
        play.writer.add(good)
        play()
        assert (bad.abort_reason, bad.reset, good.abort_reason, good.flushed) == (why, False, "", 1)
        assert not bad.write_lock.locked()
        assert play.writer._waiting == set()
        assert ("KeyError" in log.text) == bool(why)

    def test_what_is_left_of_a_batch_is_written_when_the_client_reads_again(self, play, clock, waits):
        client = Client()
        client.answers = [False, True]
        assert play.writer.start_batch(client)
        play(lambda: None, lambda: play.writer.forget(client), lambda: None)
        assert (client.progress, client.abort_reason) == (50, "")  # its time began with the first try
        assert (client.flushed, [fds for fds, _ in waits], clock.slept) == (2, [[], [5], [], []], [])

    def test_a_batch_of_one_that_waits_too_is_written_twice_and_not_delayed(self, play, clock):
        client = Client()
        client.answers = [True, False]
        play.writer.add(client)
        assert play.writer.start_batch(client)
        play()
        assert (client.flushed, clock.slept) == (2, [])

    @pytest.mark.parametrize("aborted", ["", "enough"])
    def test_a_frame_that_is_queued_at_the_last_moment_is_not_forgotten(self, play, waits, aborted):
        client = Client()
        client.has_backlog, client.abort_reason = True, aborted
        play.writer.add(client)
        play(lambda: None)
        assert [fds for fds, _ in waits] == [[5], [] if aborted else [5]]

    def test_a_failure_of_its_own_does_not_end_it(self, play, clock, log):
        client = Client()
        play.writer.add(client)
        client.fileno = lambda: 1 / 0

        def sleep(seconds):
            clock.slept.append(seconds)
            client.fileno = lambda: 5

        clock.sleep = sleep
        play()
        assert clock.slept == [0.005]
        assert log.text.count("the backlog writer failed; it goes on") == 1
        assert client.flushed == 1

    def test_without_a_thread_nothing_waits_for_it_and_the_next_client_tries_again(self, play, monkeypatch):
        def none_left(thread):
            raise RuntimeError("can't start new thread")

        writer, client = play.writer, Client()
        writer._thread = None
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", none_left)
            assert writer.start_batch(client) is False
            writer.add(client)
        assert (writer._thread, writer._waiting, writer._batching, client.batching) == (None, set(), set(), False)
        monkeypatch.setattr(threading.Thread, "start", lambda thread: None)
        assert writer.start_batch(client) is True
        assert isinstance(writer._thread, threading.Thread)
        writer._thread = None  # it has not begun: it cannot be waited for

    def test_the_end_waits_5_seconds_for_its_thread_and_nothing_begins_after_it(self, play):
        writer, client, joined = play.writer, Client(), []
        writer._sleeps = False
        writer._thread = SimpleNamespace(join=joined.append)
        writer.stop()
        assert joined == [5]
        assert (writer._wake_r.fileno(), writer._wake_w.fileno()) == (-1, -1)
        assert writer.start_batch(client) is False
        writer.add(client)
        assert (writer._waiting, writer._batching, client.batching) == (set(), set(), False)
        writer._thread = None
        writer.stop()
        assert not writer._has_thread()
        assert writer._thread is None
