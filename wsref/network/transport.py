"""Chapter 11: the only code that touches a connected socket: TCP, TLS, deadlines.

Nothing here knows what the bytes mean.  What it promises:

* Nothing waits without a bound.  (``socket.settimeout`` would not do: Python then asks
  the kernel "ready?" before every call, and its one timeout serves both directions, so
  that impatience in reading cuts what is being written.)
* What is sent is sent whole, or never followed by anything: half a frame on the wire
  makes garbage of all that comes after it.
* Any thread may send, one at a time (:attr:`Transport.write_lock`), while one thread
  receives.  TLS makes that hard, see :class:`TLSTransport`.
* :meth:`Transport.post` never waits at all: what the kernel does not take at once,
  the :class:`Flusher` sends when it does.

It needs a POSIX system: ``SO_RCVTIMEO`` as a timeval, ``MSG_DONTWAIT``, ``poll``.
"""

from __future__ import annotations

import logging
import select
import socket
import ssl
import struct
import sys
import threading
import time
from collections import deque
from collections.abc import Callable

from ..protocol.errors import ConnectionClosed, HTTPError
from ..protocol.limits import Limits

logger = logging.getLogger("wsref")

#: What the transport needs and Windows does not have.
IS_SUPPORTED = hasattr(select, "poll") and hasattr(socket, "MSG_DONTWAIT")


def require_supported_system() -> None:
    """Fail in one clear sentence where the sockets below cannot work.

    Raises:
        NotImplementedError: this system has no ``poll`` or no ``MSG_DONTWAIT``: it is Windows.
    """
    if not IS_SUPPORTED:
        raise NotImplementedError(
            "wsref's server and client need Linux or macOS; on Windows, run them in WSL "
            "(python -m wsref decode works here)"
        )


#: Bytes.  Who takes fewer than these within the send timeout is not reading.
MIN_PROGRESS = 64 * 1024

#: What is begun when nothing is.  One for all connections: each has two, of 0.3 KiB.
NOTHING = memoryview(b"")

#: Bytes that are held at most for one write (see :meth:`Transport.hold`).
MAX_HELD = 64 * 1024

#: Bytes that are read and thrown away at most while the peer ends its side of TCP.
MAX_DISCARDED = 1024 * 1024


class Transport:
    """One TCP connection.

    Args:
        sock: Connected.  It belongs to the transport from now on.
        limits: ``send_timeout`` and ``max_backlog`` count here.
    """

    secure = False
    heard = False  # whether a byte has come, before the first of HTTP
    piece = sys.maxsize  # bytes that are sealed at a time: all of them
    straight = True  # what is sent goes to the kernel as it is, and nobody else is told

    def __init__(self, sock: socket.socket, limits: Limits = Limits()) -> None:
        self.limits = limits
        self._socket = sock
        self._ended = False  # the peer has ended TCP
        self._receive_timeout = 0.0  # seconds, as the kernel has it; 0: for ever

        self.write_lock = threading.Lock()  # hold it to call send or flush
        self.broken = ""  # why nothing more can be written; "": it can
        self.given_up = False  # and that is our doing
        self.last_sent = False  # the kernel has all that was sent or posted as the last
        self.progress = time.monotonic()  # seconds: when the kernel last took something that had to wait

        self._backlog: deque[bytes] = deque()  # posted, and not yet begun to be sent
        self._backlog_size = 0  # bytes in it
        self._last_posted = False  # nothing may follow
        self._backlog_lock = threading.Lock()  # for the few lines that change these three
        self._begun = NOTHING  # the rest of what was posted and begun to be sent, not sealed yet
        self._cut = NOTHING  # the rest of something sealed, of which the kernel took a part
        self._holder = 0  # the thread whose sends are held (``threading.get_ident``); 0: nobody's are
        self._held: list[bytes] = []  # what it has sent since; older than the backlog
        self._held_size = 0  # bytes in it
        self._close_lock = threading.Lock()  # so that nobody calls a number that was closed and given away

        if sock.gettimeout() is not None:  # what was just accepted is blocking already
            sock.setblocking(True)
        # A frame is a whole: holding it back until the last one is acknowledged
        # (Nagle's algorithm) gains nothing, and costs up to 40 ms.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def handshake(self, deadline: float) -> None:
        """What comes before the first byte of HTTP: in plain TCP, nothing."""

    def fileno(self) -> int:
        """The file descriptor; -1 when closed."""
        return self._socket.fileno()

    # -- Receiving: one thread ------------------------------------------------

    def receive(self, size: int, timeout: float) -> bytes | None:
        """Whatever comes next, ``size`` bytes at most.

        Args:
            timeout: Seconds.
        Returns:
            b"" when the peer has ended TCP, by a FIN or by a RST; None when nothing
            came in time.
        """
        # The kernel counts: SO_RCVTIMEO costs nothing unless it changes.
        if timeout != self._receive_timeout:
            seconds = max(timeout, 0.001)  # 0 would mean: for ever
            timeval = struct.pack("@ll", int(seconds), int(seconds % 1 * 1_000_000))
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval)
            self._receive_timeout = timeout
        try:
            data = self._socket.recv(size)
        except BlockingIOError:  # EAGAIN: SO_RCVTIMEO has passed
            return None
        except OSError:  # ECONNRESET, ETIMEDOUT, ...: no FIN, but the end all the same
            data = b""
        if not data:
            self._ended = True
        return data

    # -- Sending: any thread, with the write lock ------------------------------

    def send(self, data: bytes, more: bytes = b"", *, last: bool = False) -> None:
        """Give all of ``data`` to the kernel, waiting for the peer to read if need be.

        What was posted before goes first.

        Args:
            data: Bytes.
            more: What follows at once.  (Header and payload need not be joined, which would
                copy the payload.)
            last: Nothing may be sent or posted after this: it is a Close frame.
        Raises:
            ConnectionClosed: not all of it was sent; nothing can be, any more.
        """
        if self._holder and not last and self._hold_back(data, more):
            return
        if last:
            with self._backlog_lock:
                self._last_posted = True  # from here on nothing is added to the backlog
        if self.broken or self._held or self._backlog or self._cut or self._begun:
            self.send_posted()
        if self._last_posted and not last:
            raise ConnectionClosed("a Close has been sent")
        self._send(data, more)
        if last:
            self.last_sent = True

    def send_posted(self) -> None:
        """Send what was posted until now, waiting as :meth:`send` does.

        Raises:
            ConnectionClosed: as for :meth:`send`.
        """
        if self.broken:
            raise ConnectionClosed(self.broken)
        posted = len(self._backlog)  # those who go on posting shall not hold up the sender
        self._begin_held()
        if self._cut:
            self._send_sealed(self._cut)
            self._cut = NOTHING
        if self._begun:
            self._send(self._begun)
            self._begun = NOTHING
        for _ in range(posted):
            self._send(self._next_posted())
        self.last_sent = self._last_posted and not self._backlog

    def _send(self, data: bytes | memoryview, more: bytes = b"") -> None:
        try:
            if self.straight:
                sent = self._try_send(data, more)
                if sent < len(data):
                    self._send_rest(memoryview(data)[sent:])
                    sent = len(data)
                if sent < len(data) + len(more):
                    self._send_rest(memoryview(more)[sent - len(data) :])
                return
            data = b"".join((data, more)) if more else data
            for start in range(0, len(data) or 1, self.piece):
                self._send_sealed(self._seal(data[start : start + self.piece]))
        except ConnectionClosed:
            raise
        except BaseException:  # a KeyboardInterrupt, say: some of it may be on the wire
            self.give_up("sending was interrupted")
            raise

    def _send_sealed(self, data: bytes | memoryview) -> None:
        sent = self._try_send(data) if data else 0
        if sent < len(data):
            self._send_rest(memoryview(data)[sent:])

    def _send_rest(self, rest: memoryview) -> None:
        """The kernel's buffer is full: the peer must read first."""
        timeout = self.limits.send_timeout
        deadline, progress = time.monotonic() + timeout, 0
        writable = select.poll()
        writable.register(self._socket, select.POLLOUT)
        while rest:
            left = deadline - time.monotonic()
            if left <= 0 or not writable.poll(left * 1000):
                raise self.give_up(f"the peer has not read for {timeout:g} s", reset=True)
            sent = self._try_send(rest)
            rest = rest[sent:]
            progress += sent
            self.progress = time.monotonic()
            if progress >= MIN_PROGRESS:
                deadline, progress = self.progress + timeout, 0

    def _try_send(self, data: bytes | memoryview, more: bytes = b"") -> int:
        """How many bytes the kernel takes now.

        Raises:
            ConnectionClosed: it takes none any more.
        """
        try:
            if more:
                return self._socket.sendmsg((data, more), (), socket.MSG_DONTWAIT)
            return self._socket.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise self.give_up(f"sending failed: {error.strerror or error}", by_us=False) from None

    def _seal(self, data: bytes | memoryview) -> bytes | memoryview:
        """What goes over the wire for ``data``: in plain TCP, the same."""
        return data

    # -- Holding: many sends, one write ----------------------------------------

    def hold(self) -> None:
        """From now on what *this* thread sends is held, to leave in one write.

        It leaves with :meth:`release`; or before, when :data:`MAX_HELD` bytes have gathered,
        or when another thread sends, or a Close is sent: the order is kept.
        """
        with self.write_lock:
            self._holder = threading.get_ident()

    def release(self) -> None:
        """What was held leaves, waiting as :meth:`send` does, and no more is held.

        Raises:
            ConnectionClosed: as for :meth:`send`.
        """
        with self.write_lock:
            self._holder = 0
            if self._held:
                self.send_posted()

    def _hold_back(self, data: bytes, more: bytes) -> bool:
        """Whether ``data`` need not be sent now: what is held is older than any backlog."""
        mine = self._holder == threading.get_ident()
        if not mine or self.broken or self._last_posted or self._backlog or self._begun or self._cut:
            return False
        if more or self._held_size + len(data) > MAX_HELD:
            return False
        self._held.append(data)
        self._held_size += len(data)
        return True

    def _begin_held(self) -> None:
        """What is held is what is sent next (with the write lock)."""
        if self._held:
            self._begun = memoryview(b"".join(self._held))
            self._held, self._held_size = [], 0

    # -- Posting: any thread, never waiting ------------------------------------

    def post(self, data: bytes, *, last: bool = False) -> bool:
        """Send ``data`` without waiting: what the kernel does not take now is kept.

        Args:
            last: As for :meth:`send`.
        Returns:
            True if all is with the kernel; False if some is kept: give the transport
            to a :class:`Flusher`.
        Raises:
            ConnectionClosed: the connection is closing, or too much would be kept; then
                it is given up.
        """
        # Nearly always nothing waits, and the kernel takes all of it.  The lines below this block
        # would do: 2.0 µs besides the system call, instead of 0.6 µs.
        if self.straight and not last and self.write_lock.acquire(blocking=False):
            try:
                waits = self._held or self._backlog or self._begun or self._cut
                if not (waits or self.broken or self._last_posted):
                    sent = self._try_send(data)
                    if sent < len(data):
                        self._cut = memoryview(data)[sent:]
                    return sent == len(data)
            finally:
                self.write_lock.release()
        with self._backlog_lock:
            if self._last_posted:
                raise ConnectionClosed("a Close has been sent")
            waiting = self._backlog_size + len(self._begun) + len(self._cut)
            if waiting and waiting + len(data) > self.limits.max_backlog and not last:
                why = f"the peer does not read: {waiting} bytes of broadcasts wait for it"
                raise self.give_up(why, reset=True)
            self._backlog.append(data)
            self._backlog_size += len(data)
            self._last_posted = last
        if not self.write_lock.acquire(blocking=False):
            return False  # somebody is writing, and may be waiting; the flusher comes after
        try:
            return self.flush()
        finally:
            self.write_lock.release()

    def flush(self) -> bool:
        """Give the kernel what was posted, as much as it takes now (with the write lock).

        Returns:
            Whether that was all.
        Raises:
            ConnectionClosed: the connection has ended.
        """
        if self.broken:
            raise ConnectionClosed(self.broken)
        self._begin_held()
        while self.has_backlog:
            if not self._cut:
                if not self._begun:
                    self._begun = memoryview(self._next_posted())
                piece, self._begun = self._begun[: self.piece], self._begun[self.piece :]
                self._cut = memoryview(self._seal(piece))
            sent = self._try_send(self._cut)
            if not sent:
                return False
            self._cut = self._cut[sent:]
            self.progress = time.monotonic()
        self.last_sent = self._last_posted
        return True

    @property
    def has_backlog(self) -> bool:
        """Whether something that was posted is not yet with the kernel."""
        return bool(self._backlog or self._cut or self._begun)

    def _next_posted(self) -> bytes:
        with self._backlog_lock:
            data = self._backlog.popleft()
            self._backlog_size -= len(data)
            return data

    # -- Ending ----------------------------------------------------------------

    def give_up(self, why: str, *, reset: bool = False, by_us: bool = True) -> ConnectionClosed:
        """Nothing more can be written, or shall be: end TCP now, from any thread.

        Whoever is waiting to receive or to send on this connection wakes up.

        Args:
            why: For the log, and for whoever tries to send.
            reset: The peer does not read.  Then the kernel shall forget what it holds
                for it, megabytes perhaps, and send a RST; else it would go on offering
                them for a quarter of an hour.
            by_us: It is our decision; else TCP had ended, and we found that out.
        Returns:
            An exception for the caller to raise.
        """
        if not self.broken:
            self.broken, self.given_up = why, by_us
        with self._close_lock:
            try:
                if reset:
                    self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self._socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # the peer, or somebody here, was faster
        return ConnectionClosed(self.broken)

    def end(self, timeout: float) -> None:
        """End TCP in stages, so that what we sent last arrives (the reading thread).

        RFC 9112 §9.6 and RFC 6455 §7.1.1: after our FIN, bytes are read and thrown
        away until the peer's FIN.  A socket that is closed with bytes unread sends a
        RST, and a RST makes the peer forget what it had not read yet: the answer.

        Args:
            timeout: Seconds for the peer's FIN to come.
        """
        with self.write_lock:
            if not self.broken:
                self._say_last_words()
                self.broken = "the connection is closed"
        deadline, discarded = time.monotonic() + timeout, 0
        try:
            if not self._ended:  # else there is nobody to wait for, and closing says it all
                self._socket.shutdown(socket.SHUT_WR)
            while not self._ended and discarded < MAX_DISCARDED and (left := deadline - time.monotonic()) > 0:
                data = Transport.receive(self, 65536, left)
                if not data:
                    break
                discarded += len(data)
        except OSError:
            pass  # there is no TCP connection to end
        with self._close_lock:
            self._socket.close()

    def _say_last_words(self) -> None:
        """In plain TCP: none; the FIN says it."""


class TLSTransport(Transport):
    """TLS over TCP, and safe for the two threads of a threaded server.

    An ``ssl.SSLSocket`` is not: a broadcast would write to it while another thread
    waits in a read, and OpenSSL's objects may be used by one thread at a time (openssl
    #18209, CPython #143756); with a peer that sends KeyUpdate that crashes the
    interpreter.  And a lock around it would be held while waiting.

    So TLS works on bytes in memory here (``ssl.MemoryBIO``), under a lock that nobody
    waits under, and the waiting is done on the plain socket, as without TLS.  Where
    the order of encryption must be the order on the wire, the write lock, which the
    sender holds already, sees to it.

    Args:
        sock, limits: As for :class:`Transport`.
        context: Certificates, versions.
        server_hostname: If we are the client, the host whose certificate must come (it is
            asked for by this name: SNI); None: we are the server.
    """

    secure = True
    straight = False
    piece = 256 * 1024  # what a sender keeps twice

    def __init__(
        self,
        sock: socket.socket,
        context: ssl.SSLContext,
        limits: Limits = Limits(),
        *,
        server_hostname: str | None = None,
    ) -> None:
        super().__init__(sock, limits)
        self._from_wire, self._to_wire = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._from_wire, self._to_wire, server_side=server_hostname is None, server_hostname=server_hostname
        )
        self._tls_lock = threading.Lock()

    def handshake(self, deadline: float) -> None:
        """The TLS handshake, in the connection's own thread.

        Args:
            deadline: Monotonic seconds; the client's patience is not ours.
        Raises:
            HTTPError: with status 0: hang up.  No HTTP has been spoken yet.
            ssl.SSLCertVerificationError: we are the client, and the server's certificate
                is not to be trusted.
        """
        while True:
            try:
                with self._tls_lock:
                    self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._send_tls_records()
                left = deadline - time.monotonic()
                data = super().receive(65536, left) if left > 0 else None
                if not data:
                    what = "took too long" if data is None else "was cut off by the peer"
                    raise HTTPError(0, f"the TLS handshake {what}") from None
                self.heard = True
                with self._tls_lock:
                    self._from_wire.write(data)
            except ssl.SSLError as error:
                self._send_tls_records()  # the alert
                if isinstance(error, ssl.SSLCertVerificationError) and not self._tls.server_side:
                    raise
                why = error.reason or str(error)
                if why == "HTTP_REQUEST":
                    why = "plain HTTP: this port speaks wss:// and https://"
                raise HTTPError(0, f"the TLS handshake failed: {why}") from None
            else:
                return self._send_tls_records()

    def _send_tls_records(self) -> None:
        """What TLS itself has to say: handshake messages, alerts, answers to KeyUpdate."""
        if self._to_wire.pending:
            with self.write_lock:
                try:
                    super().send(b"")
                except ConnectionClosed:
                    pass  # the next receive finds out

    def receive(self, size: int, timeout: float) -> bytes | None:
        """As in plain TCP; ``size`` counts bytes that have been decrypted."""
        # Half a record, or a record that TLS keeps to itself, is no answer: the timeout
        # is for what the caller waits for, however often the peer sends something.
        deadline = time.monotonic() + timeout
        while True:
            data = self._decrypt(size)
            self._send_tls_records()
            if data is not None:
                return data
            left = deadline - time.monotonic()
            sealed = super().receive(max(size, 16 * 1024 + 512), left) if left > 0 else None  # a record at least
            if not sealed:
                return sealed
            with self._tls_lock:
                self._from_wire.write(sealed)

    def _decrypt(self, size: int) -> bytes | None:
        """What can be read now: None if more must come first, b"" at the end."""
        pieces = []
        try:
            with self._tls_lock:
                while size > 0:
                    piece = self._tls.read(size)
                    if not piece:  # close_notify
                        break
                    pieces.append(piece)
                    size -= len(piece)
        except ssl.SSLWantReadError:
            return b"".join(pieces) or None
        except ssl.SSLError:  # records that are none, or were tampered with
            pass
        return b"".join(pieces)

    def _seal(self, data: bytes | memoryview) -> bytes | memoryview:
        try:
            with self._tls_lock:
                if data:
                    self._tls.write(data)
                return self._to_wire.read()
        except ssl.SSLError as error:
            # A peer that stops inside a KeyUpdate makes even write say "want read".
            raise self.give_up(f"TLS cannot send: {error}") from None

    def _say_last_words(self) -> None:
        """close_notify: without it a cut cannot be told from an end (RFC 8446 §6.1)."""
        try:
            with self._tls_lock:
                self._tls.unwrap()
        except ssl.SSLError:
            pass  # "want read": the peer's close_notify is not waited for
        try:
            if not self.has_backlog:
                self._try_send(self._to_wire.read())
        except ConnectionClosed:
            pass


#: Told of bytes as the protocol above has them, in order: whether we sent them, and which.
#: b"" received is the end of TCP.
Tap = Callable[[bool, bytes], None]


class Tapped(Transport):
    """A transport that tells a tap what passes.  In a class of its own: others pay nothing."""

    straight = False
    tap: Tap | None = None

    def receive(self, size: int, timeout: float) -> bytes | None:
        """As without a tap."""
        data = super().receive(size, timeout)
        if self.tap is not None and data is not None:
            self.tap(False, data)
        return data

    def _seal(self, data: bytes | memoryview) -> bytes | memoryview:
        # All that is sent comes by here once, whole or in pieces, before TLS.
        if self.tap is not None and data:
            self.tap(True, bytes(data))
        return super()._seal(data)


class TappedTLS(Tapped, TLSTransport):
    """The same over TLS."""


class Flusher:
    """One thread for all clients that do not keep up with what is posted to them.

    It starts with the first of them and sleeps when there is none.  A client that
    takes nothing for as long as its send timeout is given up.
    """

    def __init__(self) -> None:
        self._waiting: set[Transport] = set()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._bell, self._bell_rope = socket.socketpair()  # a byte wakes the thread
        self._bell.setblocking(False)
        self._bell_rope.setblocking(False)
        self._stopped = False

    def add(self, transport: Transport) -> None:
        """Flush this transport until nothing is left."""
        with self._lock:
            if self._stopped or transport in self._waiting:
                return
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="wsref flusher", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # "can't start new thread"; perhaps with the next
                    return
                self._thread = thread
            transport.progress = time.monotonic()
            self._waiting.add(transport)
        self._ring()

    def _ring(self) -> None:
        try:
            self._bell_rope.send(b"!")
        except OSError:
            pass  # it has rung already, or has stopped

    def stop(self) -> None:
        """End the thread."""
        with self._lock:
            self._stopped = True
            thread = self._thread
        self._ring()
        if thread is not None:
            thread.join(5)
        self._bell.close()
        self._bell_rope.close()

    def _run(self) -> None:
        while not self._stopped:
            with self._lock:
                waiting = list(self._waiting)
            self._wait(waiting)
            busy = False
            for transport in waiting:
                if not transport.write_lock.acquire(blocking=False):
                    busy = True  # a sender holds it; it sends the backlog first
                    continue
                try:
                    done = transport.flush()
                except ConnectionClosed:
                    done = True
                except Exception:  # a fault of ours; the others must not wait for it
                    logger.exception("unexpected")
                    transport.give_up("the server failed")
                    done = True
                finally:
                    transport.write_lock.release()
                if done:
                    self._forget(transport)
                elif time.monotonic() - transport.progress > transport.limits.send_timeout:
                    transport.give_up(f"the peer has not read for {transport.limits.send_timeout:g} s", reset=True)
                    self._forget(transport)
            if busy:
                time.sleep(0.005)  # its socket may be writable all the time: do not spin

    def _wait(self, waiting: list[Transport]) -> None:
        """Until one of them is writable, one has run out of time, or the bell rings."""
        ready = select.poll()
        ready.register(self._bell, select.POLLIN)
        timeout = None
        for transport in waiting:
            if transport.fileno() < 0:
                timeout = 0.0  # closed meanwhile: it will be forgotten at once
            else:
                ready.register(transport.fileno(), select.POLLOUT)
        if waiting and timeout is None:
            first = min(transport.progress + transport.limits.send_timeout for transport in waiting)
            timeout = max(first - time.monotonic(), 0.0) + 0.001
        ready.poll(None if timeout is None else timeout * 1000)
        try:
            self._bell.recv(4096)
        except BlockingIOError:
            pass

    def _forget(self, transport: Transport) -> None:
        """It has nothing left; if something was posted just now, it has, and stays."""
        with self._lock:
            self._waiting.discard(transport)
        if transport.has_backlog and not transport.broken:
            self.add(transport)


class TurnedAway:
    """Connections that get an answer and no thread: there are too many already.

    The answer is sent without waiting.  Then, as in :meth:`Transport.end`, the socket
    is kept until the client has ended its side too, so that no RST overtakes the
    answer; for a bounded time, and a bounded number of them.

    Args:
        timeout: Seconds.
    """

    MOST = 128  # sockets

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._sockets: deque[tuple[float, socket.socket]] = deque()  # deadline, the earliest first

    def add(self, sock: socket.socket, answer: bytes) -> None:
        """Send the answer, and end this connection before long."""
        try:
            sock.setblocking(False)
            sock.send(answer)  # a fresh connection's buffer takes it whole
            sock.shutdown(socket.SHUT_WR)
        except OSError:
            return sock.close()
        self._sockets.append((time.monotonic() + self._timeout, sock))
        if len(self._sockets) > self.MOST:
            self._sockets.popleft()[1].close()

    def end_some(self) -> None:
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

    def end(self) -> None:
        """Close them all."""
        while self._sockets:
            self._sockets.popleft()[1].close()
