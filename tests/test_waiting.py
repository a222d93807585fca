"""Waiting for sockets, with ``poll`` and with ``select``; and the log that raises nothing."""

from __future__ import annotations

import logging
import runpy
import select
import socket
import sys
import threading
import time

import pytest
from conftest import DEADLINE

from wsref.network import waiting
from wsref.network.log import logger
from wsref.network.waiting import wait, wait_for_any


@pytest.fixture(params=["poll", "select"])
def call(request, monkeypatch):
    """The system call that is there."""
    if request.param == "select":
        monkeypatch.delattr(select, "poll", raising=False)
    elif not hasattr(select, "poll"):
        pytest.skip("this system has no poll")
    return request.param


@pytest.fixture
def ends():
    """Both ends of a connection."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def fill(sock):
    """Send until the kernel takes no more."""
    sock.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            sock.send(bytes(65536))


def seconds(run):
    """The result of a call, and its time."""
    began = time.monotonic()
    found = run()
    return found, time.monotonic() - began


class TestWait:
    """One socket"""

    @pytest.mark.parametrize(("platform", "per_call"), [("linux", True), ("darwin", False), ("win32", False)])
    def test_flags_bound_a_call_on_linux_alone(self, monkeypatch, platform, per_call):
        monkeypatch.setattr(sys, "platform", platform)
        assert runpy.run_path(waiting.__file__)["PER_CALL"] is per_call

    def test_for_a_read(self, call, ends):
        ours, theirs = ends
        assert wait(ours, 0) is False
        theirs.send(b"x")
        assert wait(ours, DEADLINE) is True

    def test_for_a_write(self, call, ends):
        ours, theirs = ends
        assert wait(ours, DEADLINE, writing=True) is True
        fill(ours)
        assert wait(ours, 0, writing=True) is False
        assert wait(ours, 0) is False
        theirs.send(b"x")
        assert wait(ours, 0, writing=True) is False

    def test_the_end_of_tcp_is_something_to_read(self, call, ends):
        ours, theirs = ends
        theirs.close()
        assert wait(ours, DEADLINE) is True

    @pytest.mark.parametrize("writing", [False, True])
    def test_the_time_is_in_seconds(self, call, ends, writing):
        fill(ends[0])
        found, took = seconds(lambda: wait(ends[0], 0.2, writing=writing))
        assert found is False
        assert 0.19 < took < DEADLINE

    def test_poll_takes_a_time_of_any_length_and_does_not_wait_for_one_that_is_over(self, ends):
        if not hasattr(select, "poll"):
            pytest.skip("this system has no poll")
        ours, theirs = ends
        assert wait(ours, -1) is False
        theirs.send(b"x")
        assert wait(ours, 1e300) is True


class TestWaitForAny:
    """One socket to read and many to write"""

    def test_something_to_read_ends_it(self, call, ends):
        ours, theirs = ends
        theirs.send(b"x")
        wait_for_any(ours, [], None)

    def test_a_socket_that_takes_bytes_ends_it(self, call, ends):
        ours, theirs = ends
        fill(ours)
        wait_for_any(ours, [ours.fileno(), theirs.fileno()], None)

    def test_else_it_takes_its_time_in_seconds(self, call, ends):
        fill(ends[0])
        _, took = seconds(lambda: wait_for_any(ends[0], iter([ends[0].fileno()]), 0.2))
        assert 0.19 < took < DEADLINE

    def test_without_a_time_it_waits_until_something_comes(self, call, ends):
        ours, theirs = ends
        ended = []
        thread = threading.Thread(target=lambda: ended.append(wait_for_any(ours, [], None)))
        thread.start()
        thread.join(0.1)
        assert not ended
        theirs.send(b"x")
        thread.join(DEADLINE)
        assert ended == [None]

    def test_poll_takes_a_time_of_any_length(self, call, ends):
        if call == "poll":
            wait_for_any(ends[0], [ends[0].fileno()], 1e300)

    @pytest.mark.parametrize(
        ("count", "timeout", "watched", "waits"),
        [
            (3, None, 3, None),
            (3, 5.0, 3, 5.0),
            (4, None, 3, 0.01),
            (4, 5.0, 3, 0.01),
            (5, None, 3, 0.01),
            (5, 0.001, 3, 0.001),
        ],
    )
    def test_select_watches_as_many_as_it_can_and_looks_at_the_others_soon(
        self, monkeypatch, ends, count, timeout, watched, waits
    ):
        calls = []
        monkeypatch.delattr(select, "poll", raising=False)
        monkeypatch.setattr(select, "select", lambda *arguments: calls.append(arguments))
        monkeypatch.setattr(waiting, "MAX_SELECT", 4)
        wait_for_any(ends[0], range(10, 10 + count), timeout)
        fds = list(range(10, 10 + watched))
        assert calls == [([ends[0]], fds, fds, waits)]

    @pytest.mark.parametrize(
        ("timeout", "milliseconds"), [(0.25, 250), (0, 0), (3, 3000), (1e300, 2**31 - 1), (None, None)]
    )
    def test_poll_counts_milliseconds(self, monkeypatch, ends, timeout, milliseconds):
        calls = []

        class Poller:
            def register(self, *what):
                pass

            def poll(self, timeout):
                calls.append(timeout)
                return []

        monkeypatch.setattr(select, "poll", Poller, raising=False)
        monkeypatch.setattr(select, "POLLIN", 1, raising=False)
        monkeypatch.setattr(select, "POLLOUT", 4, raising=False)
        wait_for_any(ends[0], [ends[0].fileno()], timeout)
        assert timeout is None or wait(ends[0], timeout) is False
        assert calls == [milliseconds] * (1 if timeout is None else 2)

    def test_windows_can_watch_512(self):
        assert waiting.MAX_SELECT == 512


class TestLog:
    """A filter or a handler of the user that raises"""

    @pytest.fixture
    def broken(self, monkeypatch):
        def fail(record):
            raise OSError("no space left on device")

        monkeypatch.setattr(logging.getLogger("wsref"), "filters", [fail])

    def test_the_exception_goes_to_standard_error(self, broken, capsys):
        logger.warning("a line")
        assert capsys.readouterr().err.endswith("OSError: no space left on device\n")

    def test_it_goes_nowhere_if_logging_is_told_so(self, broken, capsys, monkeypatch):
        monkeypatch.setattr(logging, "raiseExceptions", False)
        logger.warning("a line")
        assert capsys.readouterr().err == ""

    def test_there_may_be_no_standard_error_or_one_that_fails(self, broken, monkeypatch):
        for stderr in (None, object()):
            monkeypatch.setattr(sys, "stderr", stderr)
            logger.warning("a line")

    def test_a_line_names_the_function_that_wrote_it(self, log):
        def this_one():
            logger.info("a line")
            logger.info("a line", stacklevel=2)

        this_one()
        assert [record.funcName for record in log.records] == [
            "this_one",
            "test_a_line_names_the_function_that_wrote_it",
        ]
