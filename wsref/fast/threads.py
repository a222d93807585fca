"""Chapter 10: threads that take one connection after another.

Starting a thread is expensive: the system makes a stack, and Python waits until the thread
reports that it runs.  So a thread that has done its work waits a while and takes the next: a
server that does nothing but opening handshakes does 1.5 times as many.  The plain form, a
new thread for each connection, is :class:`wsref.network.overload.ConnectionThreads`.
"""

from __future__ import annotations

import contextvars
import logging
import queue
import threading
from collections.abc import Callable

logger = logging.getLogger("wsref")

#: Idle threads that are kept at most; each takes some 25 KiB.
MAX_IDLE = 16

#: Seconds after which an idle thread ends.
IDLE_TIMEOUT = 10.0

#: The name of a thread while it works, and its work.
Work = tuple[str, Callable[[], None]]


class ReusedThreads:
    """Threads that do one piece of work after another; ``len`` is the number at work.

    Args:
        max_threads: At work at the same time.

    >>> threads = ReusedThreads(max_threads=1000)
    >>> done = threading.Event()
    >>> threads.start("a name", done.set), done.wait(5), threads.wait(5)
    (True, True, True)
    >>> threads.end()
    """

    def __init__(self, max_threads: int) -> None:
        self._max_threads = max_threads
        self._changed = threading.Condition()  # guards the next three; notified when work is done
        self._busy = 0  # threads at work
        self._idle = 0  # threads that wait for work and are not yet promised any
        self._ended = False
        self._next: queue.SimpleQueue[Work | None] = queue.SimpleQueue()  # for idle threads; None: end

    def __len__(self) -> int:
        return self._busy

    def start(self, name: str, work: Callable[[], None]) -> bool:
        """Do ``work`` in a thread.

        Args:
            name: Of the thread, while it works.
            work: What it does.
        Returns:
            False if it will not be done: too many threads are at work, or the system has none left.
        """
        with self._changed:
            if self._busy >= self._max_threads:
                return False
            self._busy += 1
            if self._idle:
                self._idle -= 1
                self._next.put((name, work))
                return True
        first = [(name, work)]  # the thread takes it out of the list: Thread keeps its arguments
        try:
            threading.Thread(target=self._run, args=(first,), name=name, daemon=True).start()
        except RuntimeError as error:  # "can't start new thread"
            if isinstance(error.__context__, KeyboardInterrupt):
                raise error.__context__ from None  # Ctrl-C while it was starting: it runs
            with self._changed:
                self._busy -= 1
            return False
        return True

    def wait(self, timeout: float) -> bool:
        """Wait until no thread is at work, at most ``timeout`` seconds; return whether that is so."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._busy, timeout)

    def end(self) -> None:
        """End the idle threads now, and the others when their work is done."""
        with self._changed:
            self._ended = True
            for _ in range(self._idle):
                self._next.put(None)
            self._idle = 0

    def _run(self, first: list[Work]) -> None:
        """The life of a thread."""
        todo: Work | None = first.pop()
        while todo is not None:
            stays = False
            try:
                self._do(*todo)
                stays = True
            finally:
                with self._changed:
                    self._busy -= 1
                    stays = stays and not self._ended and self._idle < MAX_IDLE
                    self._idle += stays
                    self._changed.notify_all()
            del todo  # and everything that it holds: it need not wait for the next
            todo = self._wait_for_work() if stays else None

    def _do(self, name: str, work: Callable[[], None]) -> None:
        """Do one piece of work, in a new context (:mod:`contextvars`), as a new thread would."""
        thread = threading.current_thread()
        thread.name = name
        try:
            contextvars.Context().run(work)
        except BaseException:  # the work should have handled it
            logger.exception("%s: unexpected", name)
        thread.name = "wsref idle"

    def _wait_for_work(self) -> Work | None:
        """Return the next piece of work; None: end."""
        try:
            return self._next.get(timeout=IDLE_TIMEOUT)
        except queue.Empty:
            with self._changed:
                if self._idle:
                    self._idle -= 1
                    return None
            # Every idle thread is promised work, this one too: it is about to arrive.
            return self._next.get()
