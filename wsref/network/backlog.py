"""Chapter 10: one thread that writes what cannot, or should not, leave at once.

A broadcast must not wait for a client that does not read.  So the frames that the kernel
does not take now wait in the client's :class:`~wsref.network.send_queue.SendQueue`, and the
:class:`BacklogWriter` sends them when the client reads again.

And where several messages of a client are here, their replies leave together: one write
costs more than all else that a short reply needs.  But a hook may be slow, so this thread
sends replies that have waited for :data:`MAX_DELAY`.
"""

from __future__ import annotations

import socket
import threading
import time

from ..protocol.errors import ConnectionClosed
from .log import logger
from .transport import Transport
from .waiting import wait_for_any

#: Seconds that a reply waits for the next one at most.
MAX_DELAY = 0.002

#: After this many :data:`MAX_DELAY` without a batch the thread sleeps.  Waking it costs more than finding it awake.
IDLE_TICKS = 25


class BacklogWriter:
    """One thread that writes the queues of all clients that do not keep up, and batches that are late.

    The thread starts with the first such client and sleeps while there is none.  It aborts a
    client that takes nothing for as long as its send timeout.
    """

    def __init__(self) -> None:
        self._waiting: set[Transport] = set()
        self._batching: set[Transport] = set()
        self._sleeps = True  # it looks at no batch until it is woken
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._wake_r, self._wake_w = socket.socketpair()  # a byte wakes the thread
        self._wake_r.setblocking(False)
        self._wake_w.setblocking(False)
        self._stopped = False

    def add(self, transport: Transport) -> None:
        """Write this transport's queue until it is empty."""
        with self._lock:
            if transport in self._waiting or not self._has_thread():
                return
            transport.progress = time.monotonic()
            self._waiting.add(transport)
        self._wake()

    def start_batch(self, transport: Transport) -> bool:
        """Let this transport gather the frames of this thread; see the transport's own method.

        Returns:
            True: :meth:`end_batch` must follow.  False: no thread can be started that bounds the delay.
        """
        self._batching.add(transport)
        if self._sleeps:
            with self._lock:
                if not self._has_thread():
                    self._batching.discard(transport)
                    return False
                self._sleeps = False
            self._wake()
        transport.start_batch()
        return True

    def end_batch(self, transport: Transport) -> None:
        """Send what the transport has gathered; see the transport's own method."""
        self._batching.discard(transport)
        transport.end_batch()

    def forget(self, transport: Transport) -> None:
        """Look at no batch of this transport any more: its connection is over."""
        self._batching.discard(transport)

    def _has_thread(self) -> bool:
        """Start the thread if it does not run yet; False: it cannot.  With the lock."""
        if self._thread is None and not self._stopped:
            self._thread = threading.Thread(target=self._run, name="wsref backlog", daemon=True)
            try:
                self._thread.start()
            except RuntimeError as error:  # "can't start new thread": the next client tries again
                if isinstance(error.__context__, KeyboardInterrupt):
                    raise error.__context__ from None  # Ctrl-C while it was starting: it runs
                self._thread = None
                return False
        return not self._stopped

    def _wake(self) -> None:
        try:
            self._wake_w.send(b"!")
        except OSError:
            pass  # it is awake already, or has stopped

    def stop(self) -> None:
        """End the thread."""
        with self._lock:
            self._stopped = True
            thread = self._thread
        self._wake()
        if thread is not None:
            thread.join(5)
        self._sleeps = True  # so that start_batch asks whether there is a thread
        self._wake_r.close()
        self._wake_w.close()

    def _run(self) -> None:
        idle_ticks = 0
        while not self._stopped:
            idle_ticks = 0 if self._batching else idle_ticks + 1
            self._sleeps = idle_ticks > IDLE_TICKS
            none_batches = not self._batching  # asked after _sleeps was set: start_batch asks in the other order
            with self._lock:
                waiting = list(self._waiting)
            try:
                self._wait(waiting, None if self._sleeps and none_batches else MAX_DELAY)
                for transport in tuple(self._batching):  # also one that began meanwhile: it may not wait twice
                    self._write(transport)
                busy = [transport for transport in waiting if not self._write(transport)]
            except Exception:  # one failure must not end the thread that serves all clients
                logger.exception("the backlog writer failed; it goes on")
                busy = waiting
            if busy:
                time.sleep(0.005)  # their sockets may be writable: do not spin

    def _write(self, transport: Transport) -> bool:
        """Write what one client takes now; False: another thread is writing to it."""
        if not transport.write_lock.acquire(blocking=False):
            return False  # it writes the queue first
        try:
            done = transport.flush()
        except ConnectionClosed:
            done = True
        except Exception:  # a bug; the other clients must not wait for it
            logger.exception("unexpected")
            transport.abort("the server failed")
            done = True
        finally:
            transport.write_lock.release()
        if not done and transport not in self._waiting:  # a batch
            self.add(transport)
            return True
        timeout = transport.limits.send_timeout
        if not done and time.monotonic() - transport.progress > timeout:
            transport.abort(f"the peer has not read for {timeout:g} s", reset=True)
            done = True
        if done:
            self._remove(transport)
        return True

    def _wait(self, waiting: list[Transport], timeout: float | None) -> None:
        """Wait until a client is writable, a client's time is over, or :meth:`add` wakes us."""
        fds = [transport.fileno() for transport in waiting]  # asked once: another thread may close it at any time
        if -1 in fds:
            timeout = 0.0
        elif waiting:
            first = min(transport.progress + transport.limits.send_timeout for transport in waiting)
            left = max(first - time.monotonic(), 0.0) + 0.001
            timeout = left if timeout is None else min(timeout, left)
        wait_for_any(self._wake_r, [fd for fd in fds if fd >= 0], timeout)
        try:
            self._wake_r.recv(4096)
        except BlockingIOError:
            pass

    def _remove(self, transport: Transport) -> None:
        """Forget a transport whose queue is empty; keep it if a frame was queued in this moment."""
        with self._lock:
            self._waiting.discard(transport)
        if transport.has_backlog and not transport.abort_reason:
            self.add(transport)
