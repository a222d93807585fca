"""Chapter 10: threads for connections, and what becomes of a thread when its connection ends.

``socketserver.ThreadingMixIn`` starts a thread for each connection and forgets it.  A server
must know how many it has, to turn away what is too many, and to wait for them when it ends.
And starting one is dear: the system makes a stack, and Python waits until the thread says
that it runs.  So a thread that has done its work stays for a while and takes the next:
a server that does nothing but opening handshakes does 1.5 times as many.
"""

from __future__ import annotations

import contextvars
import logging
import queue
import threading
from collections.abc import Callable

logger = logging.getLogger("wsref")

#: Threads that wait for work at most, beyond those that have some; each keeps some 25 KiB.
MAX_SPARE = 16

#: Seconds that one waits before it ends.
PATIENCE = 10.0

#: What a thread is called meanwhile, and what it does.
Work = tuple[str, Callable[[], None]]


class Workers:
    """Threads, each with one piece of work at a time.

    ``len`` says how many have work.

    Args:
        most: How many may have work at a time.

    >>> workers = Workers(most=1000)
    >>> done = threading.Event()
    >>> workers.start("a name", done.set), done.wait(5), workers.wait(5)
    (True, True, True)
    >>> workers.end()
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Condition()  # for the three; notified when work is done
        self._busy = 0  # threads that have work
        self._spare = 0  # threads that wait for work and have not been counted on
        self._ended = False
        self._next: queue.SimpleQueue[Work | None] = queue.SimpleQueue()  # for the spare ones; None: end

    def __len__(self) -> int:
        return self._busy

    def start(self, name: str, work: Callable[[], None]) -> bool:
        """Have a thread do this.

        Args:
            name: The thread's, while it does.
            work: What is to be done.
        Returns:
            False if it will not be done: too many threads have work, or the system has no
            thread left.
        """
        with self._lock:
            if self._busy >= self._most:
                return False
            self._busy += 1
            if self._spare:
                self._spare -= 1
                self._next.put((name, work))
                return True
        first = [(name, work)]  # the thread takes it out: Thread keeps its arguments
        try:
            threading.Thread(target=self._run, args=(first,), name=name, daemon=True).start()
        except RuntimeError:  # "can't start new thread"
            with self._lock:
                self._busy -= 1
            return False
        return True

    def wait(self, seconds: float) -> bool:
        """Wait until no thread has work; whether that came about in time."""
        with self._lock:
            return self._lock.wait_for(lambda: not self._busy, seconds)

    def end(self) -> None:
        """Those that are spare end now, and the others when they have done their work."""
        with self._lock:
            self._ended = True
            for _ in range(self._spare):
                self._next.put(None)
            self._spare = 0

    def _run(self, first: list[Work]) -> None:
        """A thread's life."""
        todo: Work | None = first.pop()
        while todo is not None:
            stays = False
            try:
                self._do(*todo)
                stays = True
            finally:
                with self._lock:
                    self._busy -= 1
                    stays = stays and not self._ended and self._spare < MAX_SPARE
                    self._spare += stays
                    self._lock.notify_all()
            del todo  # and all that it holds: it need not wait for the next
            todo = self._wait_for_work() if stays else None

    def _do(self, name: str, work: Callable[[], None]) -> None:
        """One piece of work, in a context of its own (:mod:`contextvars`), as in a thread of its own."""
        thread = threading.current_thread()
        thread.name = name
        try:
            contextvars.Context().run(work)
        except BaseException:  # it should have looked after that itself
            logger.exception("%s: unexpected", name)
        thread.name = "wsref spare"

    def _wait_for_work(self) -> Work | None:
        """The next piece of work; None: end."""
        try:
            return self._next.get(timeout=PATIENCE)
        except queue.Empty:
            with self._lock:
                if self._spare:
                    self._spare -= 1
                    return None
            # All who wait have been counted on, this thread too: its work is on the way.
            return self._next.get()
