"""Chapters 8 and 10: an open WebSocket connection, as the server and the client share it.

A :class:`Channel` joins the protocol (:class:`~wsref.protocol.connection.Connection`) and the
socket (:class:`~wsref.network.transport.Transport`): it sends, reads, keeps the connection
alive, and ends it.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from ..fast.connection import FastConnection
from ..protocol.connection import Closed, Connection
from ..protocol.deflate import Compression, DeflateParameters
from ..protocol.errors import ConnectionClosed
from ..protocol.limits import Limits
from ..protocol.spec import CloseCode, Role, State
from .transport import Transport

#: Bytes that a read asks for while little arrives.  An idle connection waits with a buffer of
#: this size; with 4 KiB, which do not come from Python's own heap, it takes 29 KiB in all, not 26.
MIN_READ_SIZE = 512

#: Bytes that a read asks for at most.  A message of 1 MiB costs 1.73 ms of processor time with
#: 96 KiB here and 1.46 ms with 256 KiB.
MAX_READ_SIZE = 256 * 1024

#: Bytes, or characters of text, that are read from a file for one fragment.
BLOCK_SIZE = 64 * 1024

#: Seconds.  A connection that is silent for so long waits with a small buffer again: it may have thousands of kin.
CALM = 1.0

_OPEN = State.OPEN  # looked up once: each time takes 0.08 µs (CPython 3.11)


def make_connection(
    role: Role,
    limits: Limits,
    *,
    parameters: DeflateParameters | None = None,
    compression: Compression | None = None,
) -> Connection:
    """Choose the class that speaks the protocol: the fast one; ``Connection`` would do."""
    return FastConnection(role, limits, parameters=parameters, compression=compression or Compression())


class Channel:
    """One open connection: what it sends, what it reads, and how it ends.

    Any thread may send, ping and close.  One thread reads.

    It has more attributes than most classes here: the two that it joins, what was negotiated,
    how it ended, and what keep-alive and the deadline of a Close must remember.

    Args:
        transport: After the opening handshake.
        connection: In the role of this end.
        subprotocol: As negotiated, or None.
        extensions: As negotiated, or None.
    """

    def __init__(
        self,
        transport: Transport,
        connection: Connection,
        *,
        subprotocol: str | None = None,
        extensions: str | None = None,
    ) -> None:
        self.transport = transport
        self.connection = connection
        self.subprotocol = subprotocol
        self.extensions = extensions
        self.closed: Closed | None = None  # how it ended
        self._limits = transport.limits

        self._fragmenting = 0  # the thread that sends a message in fragments; 0: none
        self.keeps_alive = True  # whether silence is answered with a Ping

        self._read_size = MIN_READ_SIZE  # bytes that the next read asks for
        self._was_full = False  # the previous read got as much as it asked for
        self._silence = 0.0  # seconds of listening without a byte, since the last one or our Ping
        self._pinged = False  # because of it
        self._queueing_close = threading.Lock()  # a Close is made and queued as one step
        self._close_deadline: float | None = None  # monotonic seconds: our Close is answered by then

    @property
    def ready_state(self) -> State:
        """1 OPEN, 2 CLOSING or 3 CLOSED, as in the browser."""
        return State.CLOSED if self.closed is not None else self.connection.state

    @property
    def can_send(self) -> bool:
        """Whether the connection is open, as far as we know."""
        return self.connection.state is _OPEN and not self.transport.abort_reason

    # -- Sending: any thread ---------------------------------------------------

    def send(self, message: str | bytes | bytearray | memoryview, compress: bool = True) -> None:
        """Send one message; see :meth:`wsref.WebSocketHandler.send`."""
        transport = self.transport
        if self._fragmenting:
            self.refuse_reentry()
        transport.write_lock.acquire()  # ``with`` would do: 0.09 µs more
        try:
            start, rest = self.connection.send_parts(message, compress=compress)
            transport.send(start, rest)
        except BaseException:  # a KeyboardInterrupt, say, before the first byte was written
            self.connection.restart_compression()
            raise
        finally:
            transport.write_lock.release()

    def send_fragments(self, pieces: Iterable[str | bytes], compress: bool = True) -> None:
        """Send one message in fragments; see :meth:`wsref.WebSocketHandler.send_fragments`."""
        if isinstance(pieces, (str, bytes, bytearray, memoryview)):
            raise TypeError(f"pieces is a file, or an iterable of str or bytes, not one {type(pieces).__name__}")
        pieces = _blocks(pieces) if hasattr(pieces, "read") else iter(pieces)
        self.refuse_reentry()
        try:
            with self.transport.write_lock:
                self._fragmenting = threading.get_ident()
                try:
                    self.transport.send_in_one_turn(self.connection.send_fragments(pieces, compress=compress))
                finally:
                    self._fragmenting = 0
        except BaseException:  # also the ConnectionClosed of another connection, from which the pieces come
            if self.can_send:  # §5.4: nothing but the rest of the message may follow
                self.close(CloseCode.INTERNAL_ERROR, "the message cannot be completed")
            raise

    def refuse_reentry(self) -> None:
        """Raise RuntimeError in an iterable of pieces that uses its own connection: it would wait for itself."""
        if self._fragmenting == threading.get_ident():
            raise RuntimeError("the pieces of a message may not use the connection that sends it")

    def send_nowait(self, wire: bytes) -> bool:
        """Send a frame of a broadcast, which never waits.

        Returns:
            True if the kernel has all of it; False if a part is queued.
        Raises:
            ConnectionClosed: The connection is not open, or too much is queued: then it is aborted.
        """
        if self.connection.state is not _OPEN:
            raise ConnectionClosed(f"the connection is {self.ready_state.name}")
        return self.transport.send_nowait(wire)

    def ping(self, data: bytes = b"") -> None:
        """Send a Ping.

        Raises:
            ConnectionClosed: The connection is closing or closed.
            ValueError: More than 125 bytes.
        """
        self.refuse_reentry()
        with self.transport.write_lock:
            self.transport.send(self.connection.ping(data))

    def reply(self, wire: bytes) -> None:
        """Send the answer to an event: a Pong."""
        self.refuse_reentry()
        with self.transport.write_lock, contextlib.suppress(ConnectionClosed):  # after our Close nothing is sent
            self.transport.send(wire)

    def close(self, code: int | None = CloseCode.NORMAL, reason: str = "", *, wait: bool = True) -> bool:
        """Send a Close, unless one was sent.

        Args:
            code, reason: As for :meth:`wsref.protocol.connection.Connection.close`.
            wait: Whether to wait for the peer to read; False: queue what the kernel does not take.
        Returns:
            False if a part is queued.
        Raises:
            TypeError, ValueError: A code or a reason that no Close may carry.
        """
        self.refuse_reentry()
        with contextlib.suppress(ConnectionClosed):  # the reader notices
            if not wait:
                with self._queueing_close:
                    if wire := self._begin_close(code, reason):
                        return self.transport.send_nowait(wire, last=True)
                return True
            with self.transport.write_lock:
                if wire := self._begin_close(code, reason):
                    self.transport.send(wire, last=True)
        return True

    def _begin_close(self, code: int | None, reason: str) -> bytes:
        wire = self.connection.close(code, reason)
        if wire:
            self._close_deadline = time.monotonic() + self._limits.close_timeout
        return wire

    # -- Reading: one thread ---------------------------------------------------

    def read(self, deadline: float = math.inf) -> bool:
        """Wait until bytes, or the end of TCP, arrive, and give them to the connection.

        Chapter 10, keep-alive: after ``ping_interval`` of silence a Ping is sent; after
        ``ping_timeout`` more the connection is aborted.  It is also aborted if the peer does not
        answer our Close within ``close_timeout``.

        Args:
            deadline: Monotonic seconds.
        Returns:
            False if nothing came before the deadline.
        """
        while True:
            if self._close_deadline is not None:
                timeout = max(self._close_deadline - time.monotonic(), 0.0)
            else:
                timeout = (self._limits.ping_timeout if self._pinged else self._limits.ping_interval) - self._silence
            if deadline != math.inf:
                timeout = min(timeout, max(deadline - time.monotonic(), 0.0))
            if self._read_size > MIN_READ_SIZE:
                timeout = min(timeout, CALM)
            data = self.transport.receive(self._read_size, timeout)
            if data is not None:
                self._silence, self._pinged = 0.0, False
                if self._read_size > MIN_READ_SIZE or len(data) == MIN_READ_SIZE:
                    self._choose_read_size(len(data))
                self.connection.receive(data)
                return True
            self._read_size = MIN_READ_SIZE
            if self._close_deadline is None:
                self._silence += timeout
            if self._has_run_out_of_time():
                self.connection.receive(b"")
                return True
            if deadline != math.inf and time.monotonic() >= deadline:
                return False

    def _has_run_out_of_time(self) -> bool:
        """Ping after a silence, and abort the connection after too long a one; True: aborted."""
        limits = self._limits
        if self._close_deadline is not None:
            return self.abort_if_unanswered()
        if not self.keeps_alive:
            self._silence = 0.0
        elif self._pinged and self._silence >= limits.ping_timeout:
            self.transport.abort(f"no sign of life within {limits.ping_timeout:g} s after our Ping", reset=True)
            return True
        elif not self._pinged and self._silence >= limits.ping_interval:
            self._pinged, self._silence = True, 0.0
            with contextlib.suppress(ConnectionClosed):
                self.ping()
        return False

    def _choose_read_size(self, received: int) -> None:
        """Ask for more after a full read; for little again after a read that little would have held."""
        full = received >= self._read_size
        if full:
            self._read_size = min(self._read_size * 8, MAX_READ_SIZE)
        elif received < MIN_READ_SIZE and not self._was_full:  # and not the rest of the read before
            self._read_size = MIN_READ_SIZE
        self._was_full = full

    # -- The end ---------------------------------------------------------------

    def abort_if_unanswered(self) -> bool:
        """Abort the connection if our Close was not answered in time; return whether it is so.

        The reading thread does it too; but when another thread has called :meth:`close`, the
        reader may still wait with its longer timeout.
        """
        if self.closed is not None or self._close_deadline is None or time.monotonic() < self._close_deadline:
            return False
        self.transport.abort(f"our Close was not answered within {self._limits.close_timeout:g} s", reset=True)
        return True

    def finish_close(self, closed: Closed) -> Closed:
        """Send the Close that answers the end.  Return how the connection really ended: store it in :attr:`closed`."""
        transport = self.transport
        with self._queueing_close:
            pass  # a Close that another thread has made is in the queue now
        with contextlib.suppress(ConnectionClosed), transport.write_lock:
            if closed.reply:
                transport.send(closed.reply, last=True)
            else:
                transport.drain()  # our own Close may be queued
        if closed.sent_code is not None and not transport.last_sent:
            closed = replace(closed, was_clean=False, sent_code=None)  # our Close has not left
        if transport.aborted_locally and closed.code == CloseCode.ABNORMAL:
            closed = replace(closed, initiated_locally=True)
        if self.connection.role is Role.CLIENT and closed.was_clean:
            self._wait_for_eof()
        return closed

    def _wait_for_eof(self) -> None:
        """§7.1.1: "the client SHOULD wait for the server to close the connection": then the
        server's port stays in TIME_WAIT, not the client's.
        """
        deadline = time.monotonic() + self._limits.linger_timeout
        while (left := deadline - time.monotonic()) > 0 and self.transport.receive(MAX_READ_SIZE, left):
            pass

    def end(self) -> None:
        """End TCP."""
        try:
            self.transport.close_gracefully(self._limits.linger_timeout)
        finally:
            self.connection.receive(b"")


def _blocks(file: Any) -> Iterator[str | bytes]:
    """Read a file; the last block is empty, so an empty file has one, too."""
    while block := file.read(BLOCK_SIZE):
        yield block
    yield block
