"""Chapter 10: a thread for each connection, and an answer for those that get none."""

from __future__ import annotations

import threading

import pytest
from conftest import DEADLINE, wait_until

from wsref.network import overload
from wsref.network.overload import ConnectionThreads, RefusedConnections


class TestConnectionThreads:
    """A thread for each connection, up to a maximum"""

    @pytest.fixture
    def go(self):
        """Ends the work of a test."""
        event = threading.Event()
        yield event
        event.set()

    def test_work_has_a_thread_of_its_own_that_ends_no_process_late(self, go):
        threads, found = ConnectionThreads(5), []
        assert (len(threads), threads.wait(0)) == (0, True)
        for i in range(5):
            assert threads.start(f"name {i}", lambda: (found.append(threading.current_thread()), go.wait(DEADLINE)))
        assert len(threads) == 5
        wait_until(lambda: len(found) == 5)
        assert sorted(thread.name for thread in found) == [f"name {i}" for i in range(5)]
        assert all(thread.daemon for thread in found)
        assert not threads.wait(0.01)
        go.set()
        assert threads.wait(DEADLINE)
        assert len(threads) == 0

    def test_too_many_are_refused_and_one_that_ends_makes_room(self, go):
        threads, first = ConnectionThreads(2), threading.Event()
        assert threads.start("first", lambda: first.wait(DEADLINE))
        assert threads.start("second", lambda: go.wait(DEADLINE))
        for _ in range(2):
            assert not threads.start("third", go.set)
        assert len(threads) == 2
        first.set()
        wait_until(lambda: len(threads) == 1)
        wait_until(lambda: threads.start("fourth", lambda: go.wait(DEADLINE)))
        assert not threads.start("fifth", go.set)
        assert not go.is_set()

    def test_a_thread_that_cannot_start_is_refused_and_not_counted(self, monkeypatch):
        threads, ended = ConnectionThreads(1), threading.Event()

        def refuse(thread):
            raise RuntimeError("can't start new thread")

        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            assert not threads.start("name", ended.set)
        assert len(threads) == 0
        assert threads.start("name", ended.set)
        assert ended.wait(DEADLINE)
        assert threads.wait(DEADLINE)

    @pytest.mark.parametrize("error", [ValueError("oh"), SystemExit("oh")])
    def test_work_that_fails_is_logged_and_its_room_is_free(self, log, error):
        def fail():
            raise error

        threads = ConnectionThreads(1)
        for _ in range(2):
            wait_until(lambda: threads.start("a name", fail))
            assert threads.wait(DEADLINE)
        assert log.text.count("a name: unexpected") == 2
        threads.end()


class FakeSocket:
    """A socket whose client does what the test says."""

    def __init__(self, **fails):
        self.fails, self.calls, self.received, self.closed = fails, [], BlockingIOError(), False

    def __getattr__(self, name):
        def call(*arguments):
            self.calls.append((name, *arguments))
            if name in self.fails:
                raise self.fails[name]

        return call

    def recv(self, size):
        if isinstance(self.received, Exception):
            raise self.received
        return self.received

    def close(self):
        self.closed = True


class TestRefusedConnections:
    """RFC 6455 §7.1.1, RFC 9112 §9.6: an answer arrives if the socket is kept until the client has ended its side"""

    @pytest.fixture
    def clock(self, monkeypatch):
        now = [100.0]
        monkeypatch.setattr(overload.time, "monotonic", lambda: now[0])
        return now

    def test_the_answer_and_a_fin_are_sent_without_waiting(self):
        refused, sock = RefusedConnections(timeout=1), FakeSocket()
        assert refused.add(sock, b"no") == 0
        assert sock.calls == [("setblocking", False), ("send", b"no"), ("shutdown", overload.socket.SHUT_WR)]
        assert not sock.closed

    @pytest.mark.parametrize("name", ["setblocking", "send", "shutdown"])
    def test_one_that_has_ended_already_is_closed_and_not_kept(self, name):
        refused, sock = RefusedConnections(timeout=1), FakeSocket(**{name: ConnectionResetError()})
        refused.add(sock, b"no")
        assert sock.closed
        sock.closed = False
        refused.close_all()
        assert not sock.closed

    @pytest.mark.parametrize(
        "received, ended", [(b"", True), (ConnectionResetError(), True), (b"more", False), (BlockingIOError(), False)]
    )
    def test_it_is_closed_when_the_client_has_ended_its_side(self, clock, received, ended):
        refused, socks = RefusedConnections(timeout=1), [FakeSocket() for _ in range(3)]
        for sock in socks:
            refused.add(sock, b"no")
        socks[1].received = received
        for _ in range(2):
            refused.close_finished()
            assert [sock.closed for sock in socks] == [False, ended, False]

    def test_or_when_its_time_is_over(self, clock):
        refused, first, second = RefusedConnections(timeout=1), FakeSocket(), FakeSocket()
        refused.add(first, b"no")
        clock[0] += 0.5
        refused.add(second, b"no")
        clock[0] += 0.5
        refused.close_finished()
        assert (first.closed, second.closed) == (False, False)
        clock[0] += 0.25
        refused.close_finished()
        assert (first.closed, second.closed) == (True, False)

    def test_128_are_kept_and_the_oldest_goes_for_the_next(self, clock):
        refused, socks = RefusedConnections(timeout=1), [FakeSocket() for _ in range(130)]
        for sock in socks:
            refused.add(sock, b"no")
        assert [sock.closed for sock in socks] == [True] * 2 + [False] * 128
        refused.close_all()
        assert all(sock.closed for sock in socks)
        refused.close_all()
