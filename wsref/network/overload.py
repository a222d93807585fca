"""Chapter 10: more connections than the server serves: who gets a thread, and how to refuse the others."""

from __future__ import annotations

import socket
import threading
import time
from collections import deque
from collections.abc import Callable

from .log import logger


class ConnectionThreads:
    """A thread for each connection, up to a maximum, and a way to wait for them all.

    ``socketserver.ThreadingMixIn`` starts a thread for each connection and forgets it.  A
    server must know how many there are, to refuse too many, and to wait for them at its end.
    ``len`` is the number of threads at work.

    Args:
        max_threads: At work at the same time.

    >>> threads = ConnectionThreads(max_threads=1000)
    >>> done = threading.Event()
    >>> threads.start("a name", done.set), done.wait(5), threads.wait(5)
    (True, True, True)
    """

    def __init__(self, max_threads: int) -> None:
        self._free = threading.Semaphore(max_threads)
        self._changed = threading.Condition()
        self._count = 0  # threads at work

    def __len__(self) -> int:
        return self._count

    def start(self, name: str, work: Callable[[], None]) -> bool:
        """Do ``work`` in a new thread.

        Args:
            name: Of the thread.
            work: What it does.
        Returns:
            False if it will not be done: too many threads are at work, or the system has none left.
        """
        if not self._free.acquire(blocking=False):
            return False
        with self._changed:
            self._count += 1
        try:
            threading.Thread(target=self._run, args=(name, work), name=name, daemon=True).start()
        except RuntimeError as error:  # "can't start new thread"
            if isinstance(error.__context__, KeyboardInterrupt):
                raise error.__context__ from None  # Ctrl-C while it was starting: it runs
            self._done()
            return False
        return True

    def wait(self, timeout: float) -> bool:
        """Wait until no thread is at work, at most ``timeout`` seconds; return whether that is so."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._count, timeout)

    def end(self) -> None:
        """Keep no thread for later: this class never does."""

    def _run(self, name: str, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException:  # the work should have handled it
            logger.exception("%s: unexpected", name)
        finally:
            self._done()

    def _done(self) -> None:
        with self._changed:
            self._count -= 1
            self._changed.notify_all()
        self._free.release()


class RefusedConnections:
    """Connections that get an answer but no thread, because there are too many.

    The answer is sent without waiting.  Then, as in
    :meth:`~wsref.network.transport.Transport.close_gracefully`, the socket is kept until the
    client has ended its side too, so that no RST overtakes the answer: for a bounded time, and
    a bounded number of them.

    Args:
        timeout: Seconds.
    """

    MAX_SOCKETS = 128
    LOG_INTERVAL = 1.0  #: Seconds.  A server that refuses thousands must not also write as many lines.

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._sockets: deque[tuple[float, socket.socket]] = deque()  # deadline, the earliest first
        self._next_log = 0.0  # on the monotonic clock
        self._unlogged = 0

    def add(self, sock: socket.socket, answer: bytes) -> int | None:
        """Send the answer, and close this connection soon.

        Returns:
            The number of refusals since the last line of the log, if it is time for another line; None: it is not.
        """
        now = time.monotonic()
        try:
            sock.setblocking(False)
            sock.send(answer)  # a new connection's buffer takes it whole
            sock.shutdown(socket.SHUT_WR)
            self._sockets.append((now + self._timeout, sock))
        except OSError:
            sock.close()
        if len(self._sockets) > self.MAX_SOCKETS:
            self._sockets.popleft()[1].close()
        if now < self._next_log:
            self._unlogged += 1
            return None
        unlogged, self._unlogged, self._next_log = self._unlogged, 0, now + self.LOG_INTERVAL
        return unlogged

    def close_finished(self) -> None:
        """Close those whose client has ended its side, or whose time is over."""
        for _ in range(len(self._sockets)):
            deadline, sock = self._sockets.popleft()
            try:
                ended = not sock.recv(65536)
            except BlockingIOError:
                ended = False
            except OSError:
                ended = True
            if ended or time.monotonic() > deadline:
                sock.close()
            else:
                self._sockets.append((deadline, sock))

    def close_all(self) -> None:
        """Close them all."""
        while self._sockets:
            self._sockets.popleft()[1].close()
