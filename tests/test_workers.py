"""Threads that take one connection after another."""

from __future__ import annotations

import contextvars
import gc
import logging
import socket
import threading
import weakref

import pytest
from conftest import DEADLINE, wait_until

from wsref import Echo, Limits, WebSocketServer
from wsref.fast import threads as workers
from wsref.fast.threads import MAX_IDLE, ReusedThreads
from wsref.network import overload
from wsref.network.backlog import BacklogWriter


@pytest.fixture
def make():
    """``make(most)``: workers, whose threads all end with the test."""
    made, before = [], set(threading.enumerate())

    def make(most=100):
        made.append(ReusedThreads(most))
        return made[-1]

    yield make
    for each in made:
        each.end()
    wait_until(lambda: set(threading.enumerate()) <= before)


class Task:
    """Work that goes on until it is let go."""

    def __init__(self, workers, name="task"):
        self.go, self.began, self.thread, self.called = threading.Event(), threading.Event(), None, ""
        self.accepted = workers.start(name, self)

    def __call__(self):
        self.thread, self.called = threading.current_thread(), threading.current_thread().name
        self.began.set()
        assert self.go.wait(DEADLINE)

    def finish(self):
        assert self.began.wait(DEADLINE)
        self.go.set()


class TestWorkers:
    """What a server wants of its threads"""

    def test_each_piece_of_work_has_a_thread_to_itself_and_its_name(self, make):
        workers = make()
        tasks = [Task(workers, f"task {i}") for i in range(20)]
        assert all(task.began.wait(DEADLINE) for task in tasks)
        assert len({task.thread for task in tasks}) == 20
        assert [task.called for task in tasks] == [f"task {i}" for i in range(20)]
        assert len(workers) == 20
        for task in tasks:
            task.finish()
        assert workers.wait(DEADLINE)
        assert len(workers) == 0

    def test_a_thread_that_is_done_takes_the_next_and_its_name(self, make):
        workers = make()
        threads = set()
        for i in range(50):
            task = Task(workers, f"task {i}")
            task.finish()
            assert workers.wait(DEADLINE)
            assert task.called == f"task {i}"
            threads.add(task.thread)
        assert len(threads) == 1

    def test_more_work_than_threads_that_wait_starts_others(self, make):
        workers = make()
        first = Task(workers)
        first.finish()
        assert workers.wait(DEADLINE)
        tasks = [Task(workers) for _ in range(5)]
        assert all(task.began.wait(DEADLINE) for task in tasks)
        assert first.thread in {task.thread for task in tasks}
        for task in tasks:
            task.finish()

    def test_only_so_many_wait(self, make):
        before = threading.active_count()
        workers = make()
        tasks = [Task(workers) for _ in range(MAX_IDLE + 10)]
        for task in tasks:
            task.finish()
        assert workers.wait(DEADLINE)
        wait_until(lambda: threading.active_count() - before == MAX_IDLE)

    def test_too_much_work_is_refused_and_what_is_done_makes_room(self, make):
        workers = make(2)
        first, second, third = Task(workers), Task(workers), Task(workers)
        assert (first.accepted, second.accepted, third.accepted) == (True, True, False)
        first.finish()
        wait_until(lambda: len(workers) == 1)
        fourth = Task(workers)
        assert fourth.accepted
        assert not Task(workers).accepted
        second.finish()
        fourth.finish()

    def test_a_thread_that_cannot_start_is_told_and_not_counted(self, make, monkeypatch):
        workers = make(1)

        def refuse(thread):
            raise RuntimeError("can't start new thread")

        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            assert not Task(workers).accepted
        task = Task(workers)
        assert task.accepted
        task.finish()

    def test_work_that_fails_is_logged_and_its_thread_lives_on(self, make, caplog):
        workers = make()
        for error in (ValueError("oh"), SystemExit("ah")):
            with caplog.at_level(logging.ERROR, "wsref"):

                def fail(error=error):
                    raise error

                assert workers.start("fails", fail)
                assert workers.wait(DEADLINE)
            assert str(error) in caplog.text
        task = Task(workers)
        task.finish()
        assert workers.wait(DEADLINE)

    def test_a_log_that_fails_costs_no_room(self, make, monkeypatch):
        def fail(*arguments):
            raise OSError("the disk is full")

        pool = make(1)
        with monkeypatch.context() as patch:
            patch.setattr(workers.logger, "exception", fail)
            patch.setattr(threading, "excepthook", lambda arguments: None)
            assert pool.start("fails twice", fail)
            assert pool.wait(DEADLINE)
        task = Task(pool)
        assert task.accepted
        task.finish()

    def test_each_has_a_context_of_its_own(self, make):
        pool, variable, found = make(), contextvars.ContextVar("variable", default=0), []

        def work():
            found.append((threading.current_thread(), variable.get()))
            variable.set(1)

        for _ in range(3):
            assert pool.start("sets it", work)
            assert pool.wait(DEADLINE)
        assert [value for _, value in found] == [0, 0, 0]
        assert len({thread for thread, _ in found}) == 1

    def test_a_spare_thread_says_that_it_is_one(self, make):
        pool = make()
        task = Task(pool, "busy")
        task.finish()
        assert pool.wait(DEADLINE)
        assert task.called == "busy"
        assert task.thread.name == "wsref idle"

    def test_a_spare_thread_ends_after_a_while(self, make, monkeypatch):
        monkeypatch.setattr(workers, "IDLE_TIMEOUT", 0.01)
        pool = make()
        task = Task(pool)
        task.finish()
        assert pool.wait(DEADLINE)
        wait_until(lambda: not task.thread.is_alive())
        again = Task(pool)
        again.finish()
        assert pool.wait(DEADLINE)

    def test_nothing_is_lost_when_patience_ends_just_as_work_comes(self, make, monkeypatch):
        monkeypatch.setattr(workers, "IDLE_TIMEOUT", 0.0)
        pool, done = make(10_000), []
        for i in range(2000):
            assert pool.start("quick", lambda i=i: done.append(i))
            if i % 3 == 0:
                assert pool.wait(DEADLINE)
        assert pool.wait(DEADLINE)
        assert sorted(done) == list(range(2000))

    def test_after_the_end_no_thread_stays(self, make):
        workers = make()
        idle, busy = Task(workers), Task(workers)
        idle.finish()
        wait_until(lambda: len(workers) == 1)
        workers.end()
        wait_until(lambda: not idle.thread.is_alive())
        busy.finish()
        wait_until(lambda: not busy.thread.is_alive())
        late = Task(workers)  # one that was accepted just before
        late.finish()
        wait_until(lambda: not late.thread.is_alive())

    def test_a_spare_thread_holds_nothing_of_what_it_did(self, make):
        workers = make()
        task = Task(workers)
        gone = weakref.ref(task)
        task.finish()
        thread = task.thread
        del task
        assert workers.wait(DEADLINE)
        wait_until(lambda: gc.collect() >= 0 and gone() is None)
        assert thread.is_alive()

    def test_waiting_is_bounded(self, make):
        workers = make()
        task = Task(workers)
        assert not workers.wait(0.01)
        task.finish()


class TestOfAServer:
    """The same, seen from outside"""

    def test_connections_in_turn_share_a_thread_and_each_has_the_name_of_its_client(self, serve):
        from rawclient import connected

        from wsref import WebSocketHandler

        seen = []

        class Handler(WebSocketHandler):
            def on_open(self):
                seen.append((threading.current_thread(), threading.current_thread().name, f"wsref {self._name}"))

        server = serve(Handler, limits=Limits(max_connections=1))
        for _ in range(5):
            with connected(server) as client:
                client.send(b"\x88\x80\0\0\0\0")
                assert client.closed()[0] == 1005
            wait_until(lambda: not server._connection_threads)
        wait_until(lambda: len(seen) == 5)
        assert len({thread for thread, _, _ in seen}) == 1
        assert [name for _, name, _ in seen] == [name for _, _, name in seen]
        (thread,) = {thread for thread, _, _ in seen}
        assert thread.is_alive()
        server.shutdown()
        server.server_close()
        wait_until(lambda: not thread.is_alive(), 5)

    def test_a_connection_that_verify_request_turns_down_is_closed(self, serve, monkeypatch):
        monkeypatch.setattr(WebSocketServer, "verify_request", lambda server, request, client_address: False)
        with socket.create_connection(serve(Echo).server_address, timeout=DEADLINE) as client:
            assert client.recv(1) == b""


class TestCtrlC:
    """Ctrl-C while the main thread starts a thread.

    CPython then raises RuntimeError ("release unlocked lock") in the place of KeyboardInterrupt if the signal comes
    while ``Thread.start`` takes a lock again.  That is not the error of a system without threads: the thread runs.
    """

    @pytest.fixture(autouse=True)
    def interrupted(self, monkeypatch):
        start = threading.Thread.start

        def begin(thread):
            start(thread)
            try:
                raise KeyboardInterrupt
            finally:
                raise RuntimeError("release unlocked lock")

        monkeypatch.setattr(threading.Thread, "start", begin)

    @pytest.mark.parametrize("kind", [ReusedThreads, overload.ConnectionThreads])
    def test_the_work_is_done_and_counted_once(self, kind):
        workers, done = kind(10), threading.Event()
        with pytest.raises(KeyboardInterrupt):
            workers.start("work", done.set)
        assert done.wait(DEADLINE)
        assert workers.wait(DEADLINE)
        assert len(workers) == 0
        workers.end()

    def test_the_backlog_writer_keeps_its_thread(self):
        writer, ours = BacklogWriter(), set(threading.enumerate())
        with pytest.raises(KeyboardInterrupt):
            writer.add(object())
        assert {writer._thread} == set(threading.enumerate()) - ours
        writer.stop()
        assert not writer._thread.is_alive()

    def test_a_server_in_the_main_thread_ends(self, log):
        with WebSocketServer(("127.0.0.1", 0), Echo) as server, socket.create_connection(server.server_address):
            with pytest.raises(KeyboardInterrupt):
                server.serve_forever()
            assert server.counts.refused == 0
        assert "unexpected" not in log.text

    def test_the_thread_that_was_started_keeps_its_socket(self, log, monkeypatch):
        began, goes_on = threading.Event(), threading.Event()
        finish_request = WebSocketServer.finish_request

        def late(*args):
            began.set()
            assert goes_on.wait(DEADLINE)
            finish_request(*args)

        monkeypatch.setattr(WebSocketServer, "finish_request", late)
        with WebSocketServer(("127.0.0.1", 0), Echo) as server, socket.create_connection(server.server_address) as one:
            with pytest.raises(KeyboardInterrupt):
                server.serve_forever()
            assert began.wait(DEADLINE)
            one.settimeout(DEADLINE)
            one.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            goes_on.set()
            assert one.recv(100).startswith(b"HTTP/1.1 426 ")
        assert "unexpected" not in log.text


class TestRefusedConnections:
    """They get an answer without a thread"""

    def test_a_line_of_the_log_a_second_and_each_says_how_many_it_stands_for(self, monkeypatch):
        clock = [100.0]
        monkeypatch.setattr(overload.time, "monotonic", lambda: clock[0])
        refused = overload.RefusedConnections(timeout=1.0)

        def refuse():
            ours, theirs = socket.socketpair()
            with theirs:
                return refused.add(ours, b"no")

        try:
            assert [refuse() for _ in range(5)] == [0, None, None, None, None]
            clock[0] += 1.0
            assert [refuse() for _ in range(3)] == [4, None, None]
            clock[0] += 60.0
            assert refuse() == 2
        finally:
            refused.close_all()
