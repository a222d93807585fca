"""Chapters 10 and 11: the only code that touches a connected socket.

A :class:`Transport` does not know what the bytes mean.  It promises:

* Nothing waits without a bound.  (``socket.settimeout`` would not do: Python then asks the
  kernel "ready?" before every call, and its one timeout serves both directions, so a short
  timeout for reading would cut what is being written.)
* A frame is sent whole, or nothing follows it: after half a frame the peer would read
  garbage.
* Any thread may send, one at a time (:attr:`Transport.write_lock`), while one thread
  receives.  TLS makes that hard, see :mod:`wsref.network.tls`.
* :meth:`Transport.send_nowait` never waits: bytes that the kernel does not take at once stay
  in a queue (:mod:`wsref.network.send_queue`).

How a call is bounded depends on the system, see :mod:`wsref.network.waiting`.
"""

from __future__ import annotations

import socket
import struct
import sys
import threading
import time
from collections.abc import Iterable

from ..protocol.errors import ConnectionClosed
from ..protocol.limits import Limits
from .send_queue import MAX_WRITE, SendQueue
from .waiting import PER_CALL, wait

#: Bytes.  A peer that takes fewer than these within the send timeout does not read.
MIN_PROGRESS = 64 * 1024

_get_ident = threading.get_ident  # looked up once

_MAIN_THREAD = threading.main_thread().ident  # the one in which signals are handled

#: The unsent rest when all is sent: one object for all connections.
NOTHING = memoryview(b"")

#: Bytes that are read and discarded at most while the peer ends its side of TCP.
MAX_DISCARDED = 1024 * 1024


class Transport:
    """One TCP connection.

    It has more attributes than most classes here: the socket and how it ended, the way in
    (two), and the way out, which several threads share (the rest).

    Args:
        sock: Connected.  It belongs to the transport from now on.
        limits: ``send_timeout`` and ``max_backlog`` apply.
    """

    secure = False
    max_record = sys.maxsize  # bytes that are sealed at a time: TLS has records, plain TCP does not
    received_any = False  # whether the peer has sent a byte of its opening handshake
    passthrough = True  # bytes go to the kernel as they are, and to no tap

    def __init__(self, sock: socket.socket, limits: Limits = Limits()) -> None:
        self.limits = limits
        self._socket = sock
        self._close_lock = threading.Lock()  # so that no thread uses a descriptor that was closed and reused
        self.abort_reason = ""  # why nothing more can be written; "": it can
        self.aborted_locally = False  # the abort was our decision

        self._eof = False  # the peer has ended TCP
        self._receive_timeout: float | None = None  # seconds, as the kernel has it

        self.write_lock = threading.Lock()  # hold it to call send, drain or flush
        self.queue = SendQueue(limits.max_backlog)
        self._unsent = NOTHING  # the rest of a write of which the kernel took a part
        self._batcher = 0  # the thread whose frames are batched (``threading.get_ident``); 0: none
        self._batch: list[bytes] = []  # its frames; they are older than the queue
        self._batch_size = 0  # bytes in it
        self.last_sent = False  # the kernel has the Close
        self.progress = time.monotonic()  # seconds: when the kernel last took bytes that had to wait

        if sock.gettimeout() != (None if PER_CALL else 0.0):  # an accepted socket is blocking already
            sock.setblocking(PER_CALL)
        # A frame is a whole: holding it back until the last one is acknowledged (Nagle's
        # algorithm) gains nothing and costs up to 40 ms.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def handshake(self, deadline: float) -> None:
        """Do what comes before the first byte of HTTP: in plain TCP, nothing."""

    def fileno(self) -> int:
        """Return the file descriptor; -1 when closed."""
        return self._socket.fileno()

    # -- Receiving: one thread ------------------------------------------------

    def receive(self, size: int, timeout: float) -> bytes | None:
        """Return the next bytes, at most ``size``.

        Args:
            size: Bytes.
            timeout: Seconds.
        Returns:
            b"" when the peer has ended TCP, by a FIN or a RST; None when nothing came in time.
        """
        try:
            if PER_CALL:
                # The kernel counts the time: SO_RCVTIMEO costs nothing while it stays the same.
                if timeout != self._receive_timeout:
                    self._set_receive_timeout(timeout)
                # A signal starts the time of SO_RCVTIMEO again, but not that of ``wait``.
                if _get_ident() == _MAIN_THREAD and not wait(self._socket, timeout):
                    return None
            elif not self._wait_to_read(timeout):
                return None
            data = self._socket.recv(size)
        except BlockingIOError:  # EAGAIN: SO_RCVTIMEO has passed
            return None
        except OSError:  # ECONNRESET, ETIMEDOUT, ...: no FIN, but the end as well
            data = b""
        if not data:
            self._eof = True
        return data

    def _set_receive_timeout(self, timeout: float) -> None:
        seconds = max(timeout, 0.001)  # 0 would mean: no timeout
        timeval = struct.pack("@ll", int(seconds), int(seconds % 1 * 1_000_000))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval)
        self._receive_timeout = timeout

    def _wait_to_read(self, timeout: float) -> bool:
        """Wait for bytes, and look now and then for an abort, which does not wake ``select`` everywhere."""
        deadline = time.monotonic() + timeout
        while not wait(self._socket, max(min(deadline - time.monotonic(), 1.0), 0.0)):
            if time.monotonic() >= deadline or self.abort_reason:
                return bool(self.abort_reason)
        return True

    # -- Sending: any thread, with the write lock ------------------------------

    def send(self, data: bytes, more: bytes = b"", *, last: bool = False) -> None:
        """Give all bytes to the kernel, waiting for the peer to read if necessary.

        Queued bytes go first.

        Args:
            data: To send.
            more: To send directly after it.  (Joining header and payload would copy the payload.)
            last: It is a Close: nothing may be sent or queued after it.
        Raises:
            ConnectionClosed: Not all bytes were sent, and nothing more can be.
        """
        # Nearly always nothing waits: without these lines a message costs 0.5 µs more.
        if self._batcher and not last and not more and self._add_to_batch(data):
            return
        queue = self.queue
        if queue.items or queue.closed or self._unsent or self._batch or self.abort_reason or last:
            self._send_in_turn(data, more, last)
        else:
            self._write(data, more)

    def _send_in_turn(self, data: bytes, more: bytes, last: bool) -> None:
        """As :meth:`send`, when something waits, or the end has begun."""
        if last:
            self.queue.close()
        self.drain()
        if self.queue.closed and not last:  # asked after drain, which may have sent a Close that was just queued
            raise ConnectionClosed("a Close has been sent")
        self.last_sent = False  # drain saw a closed queue; the Close is ``data``
        self._write(data, more)
        self.last_sent = last

    def send_in_one_turn(self, parts: Iterable[bytes]) -> None:
        """Send the parts as :meth:`send` does; bytes that are queued in the meantime wait until the last one."""
        self.drain()
        if self.queue.closed:
            raise ConnectionClosed("a Close has been sent")
        for part in parts:
            self._write(part)

    def drain(self) -> None:
        """Send the bytes that are queued now, waiting as :meth:`send` does.

        Raises:
            ConnectionClosed: As for :meth:`send`.
        """
        if self.abort_reason:
            raise ConnectionClosed(self.abort_reason)
        queued = self.queue.size  # now: threads that go on queueing must not hold up the sender
        try:
            if self._unsent:
                rest, self._unsent = self._unsent, NOTHING
                self._write_sealed(rest)
            if self._batch:
                self._write(self._take_batch())
            while queued > 0:
                data = self.queue.take(self.max_record)
                queued -= len(data)
                self._write(data)
        except ConnectionClosed:
            raise
        except BaseException:  # as in _write: a part of it is on the wire, or was taken and is lost
            self.abort("sending was interrupted")
            raise
        self.last_sent = self.queue.closed and not self.queue.items

    def _write(self, data: bytes | memoryview, more: bytes = b"") -> None:
        try:
            if self.passthrough:
                sent = self._try_send(data, more)
                if sent < len(data):
                    self._send_rest(memoryview(data)[sent:])
                    sent = len(data)
                if sent < len(data) + len(more):
                    self._send_rest(memoryview(more)[sent - len(data) :])
                return
            data = b"".join((data, more)) if more else data
            for start in range(0, len(data) or 1, self.max_record):
                self._write_sealed(self._seal(data[start : start + self.max_record]))
        except ConnectionClosed:
            raise
        except BaseException:  # a KeyboardInterrupt, say: a part of it may be on the wire
            self.abort("sending was interrupted")
            raise

    def _write_sealed(self, data: bytes | memoryview) -> None:
        sent = self._try_send(data) if data else 0
        if sent < len(data):
            self._send_rest(memoryview(data)[sent:])

    def _send_rest(self, rest: memoryview) -> None:
        """Wait for the peer to read: the kernel's buffer is full."""
        timeout = self.limits.send_timeout
        deadline, progress = time.monotonic() + timeout, 0
        while rest:
            left = deadline - time.monotonic()
            if left <= 0 or not wait(self._socket, left, writing=True):
                raise self.abort(f"the peer has not read for {timeout:g} s", reset=True)
            sent = self._try_send(rest)
            rest = rest[sent:]
            progress += sent
            self.progress = time.monotonic()
            if progress >= MIN_PROGRESS:
                deadline, progress = self.progress + timeout, 0

    def _try_send(self, data: bytes | memoryview, more: bytes = b"") -> int:
        """Return how many bytes the kernel takes now.

        Raises:
            ConnectionClosed: The connection has ended.
        """
        try:
            if not PER_CALL:
                return self._socket.send(data)  # ``more`` has its own call: not every system has sendmsg
            if more:
                return self._socket.sendmsg((data, more), (), socket.MSG_DONTWAIT)
            return self._socket.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise self.abort(f"sending failed: {error.strerror or error}", locally=False) from None

    def _seal(self, data: bytes | memoryview) -> bytes | memoryview:
        """Return the bytes on the wire for ``data``: in plain TCP, the same."""
        return data

    # -- Batching: many frames, one write --------------------------------------

    def start_batch(self) -> None:
        """Gather the frames that *this* thread sends, to write them together.

        They leave with :meth:`end_batch` or :meth:`flush`; earlier when 64 KiB are gathered, when
        another thread sends, or with a Close.  The order is kept.
        """
        self._batcher = _get_ident()

    def end_batch(self) -> None:
        """Send the gathered frames, waiting as :meth:`send` does, and gather no more.

        Raises:
            ConnectionClosed: As for :meth:`send`.
        """
        self._batcher = 0
        if self._batch:
            with self.write_lock:
                self.drain()

    def _add_to_batch(self, data: bytes) -> bool:
        """Add a frame; False: another thread sends it, something waits, or it does not fit."""
        queue = self.queue
        if self._batcher != _get_ident() or queue.items or queue.closed or self._unsent or self.abort_reason:
            return False
        if self._batch_size + len(data) > MAX_WRITE:
            return False
        self._batch.append(data)
        self._batch_size += len(data)
        return True

    def _take_batch(self) -> bytes:
        data = b"".join(self._batch)
        self._batch, self._batch_size = [], 0
        return data

    # -- Sending without waiting: any thread -----------------------------------

    def send_nowait(self, data: bytes, *, last: bool = False) -> bool:
        """Send without waiting: queue what the kernel does not take now.

        Args:
            data: A frame.
            last: As for :meth:`send`.
        Returns:
            True if the kernel has all of it; False if a part is queued: give the transport to a
            :class:`~wsref.network.backlog.BacklogWriter`.
        Raises:
            ConnectionClosed: The connection is closing, or too much is queued: then it is aborted.
        """
        locked = self.write_lock.acquire(blocking=False)  # False: a thread is writing, and may be waiting
        try:
            # A short cut for the usual case, in which nothing waits: one system call is all.
            waits = self._batch or self._unsent or self.queue.items or self.queue.closed or self.abort_reason
            if locked and self.passthrough and not waits and not last:
                sent = self._try_send(data)
                if sent < len(data):
                    self._unsent = memoryview(data)[sent:]
                return sent == len(data)
            if not self.queue.append(data, last=last, unsent=len(self._unsent)):
                waiting = self.queue.size + len(self._unsent)
                raise self.abort(f"the peer does not read: {waiting} bytes of broadcasts wait for it", reset=True)
            return locked and self.flush()
        except ConnectionClosed:
            raise
        except BaseException:  # as in _write
            self.abort("sending was interrupted")
            raise
        finally:
            if locked:
                self.write_lock.release()

    def flush(self) -> bool:
        """Give the kernel the queued bytes, as many as it takes now (with the write lock).

        Returns:
            Whether that was all.
        Raises:
            ConnectionClosed: The connection has ended.
        """
        if self.abort_reason:
            raise ConnectionClosed(self.abort_reason)
        while self._unsent or self._batch or self.queue.items:
            if not self._unsent:
                data = self._take_batch() if self._batch else self.queue.take(self.max_record)
                self._unsent = memoryview(self._seal(data))
            sent = self._try_send(self._unsent)
            if not sent:
                return False
            self._unsent = self._unsent[sent:]
            self.progress = time.monotonic()
        self.last_sent = self.queue.closed
        return True

    @property
    def has_backlog(self) -> bool:
        """Whether queued bytes are not with the kernel yet."""
        return bool(self._unsent or self._batch or self.queue.items)

    # -- The end ---------------------------------------------------------------

    def abort(self, why: str, *, reset: bool = False, locally: bool = True) -> ConnectionClosed:
        """End TCP now, from any thread; nothing more can be written.

        A thread that waits on this connection, to receive or to send, wakes up.

        Args:
            why: For the log, and for callers that try to send.
            reset: The peer does not read.  The kernel then forgets the bytes that it holds for
                it, perhaps megabytes, and sends a RST; otherwise it would go on offering them for
                a quarter of an hour.
            locally: It is our decision; else TCP had ended, and we noticed.
        Returns:
            An exception for the caller to raise.
        """
        if not self.abort_reason:
            self.abort_reason, self.aborted_locally = why, locally
        with self._close_lock:
            try:
                if reset:
                    self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self._socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it has ended already
        return ConnectionClosed(self.abort_reason)

    def close_gracefully(self, timeout: float) -> None:
        """End TCP in stages, so that the last bytes arrive (the reading thread).

        RFC 9112 §9.6 and RFC 6455 §7.1.1: after our FIN, bytes are read and discarded until the
        peer's FIN.  A socket that is closed with unread bytes sends a RST, and a RST makes the
        peer drop bytes that it has not read yet: our answer.

        Args:
            timeout: Seconds for the peer's FIN to come.
        """
        deadline, discarded = time.monotonic() + timeout, 0
        try:
            with self.write_lock:
                if not self.abort_reason:
                    self._send_close_notify()
                    self.abort_reason = "the connection is closed"
            if not self._eof:  # else the peer is gone already
                self._socket.shutdown(socket.SHUT_WR)
            while not self._eof and discarded < MAX_DISCARDED and (left := deadline - time.monotonic()) > 0:
                data = Transport.receive(self, 65536, left)
                if not data:
                    break
                discarded += len(data)
        except OSError:
            pass  # TCP has ended already
        finally:
            with self._close_lock:
                self._socket.close()

    def _send_close_notify(self) -> None:
        """Announce the end: in plain TCP the FIN does that."""
