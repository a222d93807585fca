"""Chapter 10: the server: it accepts connections, knows them, broadcasts to them, and ends them.

:class:`WebSocketServer` is a ``socketserver.ThreadingTCPServer``.  Each connection gets a
thread, and a handler that lives in it (:mod:`wsref.network.handler`).
"""

from __future__ import annotations

import errno
import importlib.resources
import os
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from ..fast.threads import ReusedThreads
from ..protocol import handshake
from ..protocol.deflate import Compression
from ..protocol.errors import ConnectionClosed, HTTPError
from ..protocol.frames import Frame, build_frame
from ..protocol.http11 import build_response
from ..protocol.limits import Limits
from ..protocol.messages import opcode_and_payload
from ..protocol.origin import is_loopback, is_origin
from .arguments import check_type
from .backlog import BacklogWriter
from .channel import Channel
from .log import logger
from .overload import RefusedConnections
from .tap import Tap, Tapped, TappedTLS
from .tls import TLSTransport
from .transport import Transport

#: The client page of chapter 0: the body of the 426.
PAGE = importlib.resources.files("wsref").joinpath("apps").joinpath("page.html")  # also from a zip


class Served(Protocol):
    """What the server needs of a handler; :class:`~wsref.network.handler.WebSocketHandler` has it."""

    _channel: Channel | None

    def _send_nowait(self, wire: bytes) -> bool: ...

    def _go_away(self) -> None: ...

    def _abort(self, why: str) -> None: ...

    @property
    def _name(self) -> str: ...


Handler = TypeVar("Handler", bound=Served)


@dataclass(slots=True)
class Counts:
    """The connections so far.

    When all are over, ``accepted == refused + opened`` and ``opened == closed``.
    """

    accepted: int = 0  # TCP connections
    refused: int = 0  # got an answer other than 101
    opened: int = 0  # got 101
    closed: int = 0  # got 101 and are over


@dataclass(frozen=True, slots=True)
class Delivery(Generic[Handler]):
    """The result of a broadcast, for each client that was open."""

    sent: list[Handler] = field(default_factory=list)  # the kernel has all of it
    kept: list[Handler] = field(default_factory=list)  # it waits until the client reads
    dropped: list[Handler] = field(default_factory=list)  # the client did not read and was aborted, or had gone


class WebSocketServer(socketserver.ThreadingTCPServer, Generic[Handler]):
    """Accepts connections; each gets a thread, and a handler that lives in it.

    ::

        with WebSocketServer(("127.0.0.1", 8765), Echo) as server:
            server.serve_forever()

    Leaving the ``with`` block ends the server, in whichever thread :meth:`serve_forever` runs:
    it sends Close 1001 to every client, waits for their answers (``limits.shutdown_timeout`` at
    most), and frees the port.  To go on while it serves, :meth:`start` it.

    A subclass can name its handler's class, for type checkers: ``class
    ChatServer(WebSocketServer[Chat])``.

    It has more attributes than most classes here: its options, its registry of connections,
    and the threads that serve them.

    Args:
        address: Host and port.  Host "": all IPv4 addresses; port 0: any free one (see :attr:`url`).
        handler: A subclass of :class:`~wsref.WebSocketHandler`.
        limits: How much, how many, how long.
        allowed_origins: Pages from these origins may connect, and pages from this server; see
            :func:`wsref.protocol.origin.check_origin`.
        ssl_context: Speak TLS (wss) with this certificate.
        compression: Accept permessage-deflate from clients that offer it; None: do not.  It
            costs memory for each connection and time for each message, and is dangerous for
            secrets (:mod:`wsref.protocol.deflate`).
        page: HTML for browsers whose request is not an upgrade; None: wsref's own page.
        tap: Called with each connection's transport and the client's address; returns a
            function that gets all bytes that pass (see :mod:`wsref.network.tap`), or None.
    Raises:
        OSError: The address cannot be bound.
        TypeError, ValueError: A wrong argument; the message says which.

    Attributes:
        limits: As given.
        counts: A :class:`Counts`.
        handlers: The open connections, a snapshot.
        url: ``ws://host:port``, as bound.
    """

    allow_reuse_address = os.name == "posix"  # a port is free again at once, TIME_WAIT or not; on Windows it always is
    daemon_threads = True  # server_close waits for the threads itself, with a bound
    request_queue_size = 1024  # connections that may wait to be accepted; socketserver's 5 lose a burst

    def __init__(
        self,
        address: tuple[str, int],
        handler: type[Handler],
        *,
        limits: Limits = Limits(),
        allowed_origins: Collection[str] = (),
        ssl_context: ssl.SSLContext | None = None,
        compression: Compression | None = None,
        page: bytes | None = None,
        tap: Callable[[Tapped, str], Tap | None] | None = None,
    ) -> None:
        if not isinstance(address, (tuple, list)) or len(address) < 2:
            raise TypeError(f'the address is a pair of host and port, such as ("127.0.0.1", 8765), not {address!r}')
        host, port = address[:2]
        if not isinstance(port, int) or not 0 <= port <= 65535:  # getaddrinfo takes 99999 for 34463
            raise ValueError(f"the port is a number from 0 to 65535, not {port!r}")
        if not isinstance(handler, type) or not hasattr(handler, "_send_nowait"):
            raise TypeError(f"the handler is a subclass of WebSocketHandler (the class itself), not {handler!r}")
        if isinstance(allowed_origins, str):
            raise TypeError("allowed_origins is a list of origins, not one str")
        for origin in allowed_origins:
            if origin != "*" and not is_origin(origin):
                raise ValueError(
                    f"allowed_origins: {origin!a} is not an origin as a browser writes it, such as 'https://example.com'"
                )
        check_type("limits", limits, Limits)
        check_type("ssl_context", ssl_context, ssl.SSLContext, optional=True)
        check_type("compression", compression, Compression, optional=True)
        check_type("page", page, bytes, optional=True)
        found = socket.getaddrinfo(host or "0.0.0.0", port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        self.address_family, *_, bound = found[0]

        self.limits = limits
        self.allowed_origins = frozenset(allowed_origins)
        self.page = PAGE.read_bytes() if page is None else page
        self.compression = compression
        self.tap = tap
        self._ssl_context = ssl_context

        self.counts = Counts()
        self._lock = threading.Lock()  # guards counts and the registry
        self._handlers: set[Handler] = set()  # one for each connection with a thread
        self._open: set[Handler] = set()  # those of them whose on_open has returned, until they are over
        self._broadcasting = threading.Lock()  # so that all clients see one order

        self._connection_threads = ReusedThreads(limits.max_connections)  # overload.ConnectionThreads would do
        self._backlog_writer = BacklogWriter()
        self._refused = RefusedConnections(limits.linger_timeout)
        self._background: threading.Thread | None = None  # after start()
        self._serving: int | None = None  # the thread that runs serve_forever
        self._stopped = threading.Event()  # no thread runs serve_forever
        self._stopped.set()
        self._is_closing = False
        self._given_away: object = None  # the socket that process_request had last: others close it
        self._swept = 0.0  # monotonic seconds: when service_actions last looked at the connections
        self._reported = 0.0  # monotonic seconds: when a failure to accept was last logged

        try:
            super().__init__(bound, handler)  # type: ignore[arg-type]
        except BaseException:
            self._backlog_writer.stop()
            raise
        self.is_loopback = is_loopback(str(self.server_address[0]))

    # -- For its user ---------------------------------------------------------

    @property
    def host_and_port(self) -> str:
        """As bound, as a URL writes it."""
        return name_of(self.server_address)

    @property
    def url(self) -> str:
        """``ws://host:port`` or ``wss://host:port``."""
        return f"{'wss' if self._ssl_context else 'ws'}://{self.host_and_port}"

    @property
    def handlers(self) -> tuple[Handler, ...]:
        """The open connections, a snapshot: their ``on_open`` has returned."""
        with self._lock:
            return tuple(self._open)

    def broadcast(
        self, message: str | bytes | bytearray | memoryview, to: Iterable[Handler] | None = None
    ) -> Delivery[Handler]:
        """Send one message to many clients, and wait for none of them.

        It is encoded once, and therefore not compressed: compression depends on what each
        client got before.  Bytes that a client's connection does not take at once are kept, and
        sent when it does.  A client is dropped (its connection is aborted, 1006) if more than
        ``limits.max_backlog`` bytes are kept for it, or if it takes nothing for
        ``limits.send_timeout``.  All clients see broadcasts in the same order.

        Args:
            message: Text for a ``str``, else binary.
            to: The receivers; None: every open connection.  A handler without a 101 is left out.
        Returns:
            The result for each client.
        """
        opcode, payload = opcode_and_payload(message)
        wire = build_frame(Frame(opcode, payload))
        delivery: Delivery[Handler] = Delivery()
        receivers = self.handlers if to is None else tuple(to)  # a copy: another thread may change the original
        with self._broadcasting:
            for handler in receivers:
                if handler._channel is not None and handler._channel.can_send:
                    try:
                        (delivery.sent if handler._send_nowait(wire) else delivery.kept).append(handler)
                    except ConnectionClosed:
                        delivery.dropped.append(handler)
        return delivery

    # -- Its life ----------------------------------------------------------------

    def start(self) -> WebSocketServer[Handler]:
        """Serve in a background thread, and return this server.  :meth:`stop` ends it.

        Raises:
            RuntimeError: It serves already, or was stopped.
        """
        with self._lock:
            if self._is_closing:
                raise RuntimeError("the server was stopped, and its port is free again: make another server")
            if self._background is not None or self._serving is not None:
                raise RuntimeError("the server is running already")
        thread = threading.Thread(target=self.serve_forever, args=(0.02,), name="wsref accepts", daemon=True)
        thread.start()  # "can't start new thread": then stop() must not wait for it
        self._background = thread
        return self

    def stop(self) -> None:
        """End the server, in whichever thread it serves: stop accepting, Close 1001 to every client.

        Idempotent.
        """
        with self._lock:
            self._is_closing = True  # serve_forever does not begin any more
        self.shutdown()
        self.server_close()
        if self._background is not None and self._background is not threading.current_thread():
            self._background.join(5)

    def __exit__(self, *_: object) -> None:
        self.stop()

    def serve_forever(self, poll_interval: float = 0.1) -> None:
        """Accept connections until :meth:`stop` or ``shutdown`` is called, from another thread.

        Args:
            poll_interval: Seconds between checks for connections whose time is over.
        Raises:
            RuntimeError: It serves already.
        """
        with self._lock:
            if self._is_closing:
                return  # it was stopped before it began
            if self._serving is not None:
                raise RuntimeError("the server is running already, in another thread")
            self._serving = threading.get_ident()
            self._stopped.clear()
        try:
            super().serve_forever(poll_interval)
        finally:
            self._serving = None
            self._stopped.set()

    def shutdown(self) -> None:
        """Stop :meth:`serve_forever`, and wait until it has returned; do nothing if it does not run.

        Raises:
            RuntimeError: Called in the thread that serves, which would wait for itself.
        """
        if self._serving == threading.get_ident():
            raise RuntimeError("shutdown() in the thread that runs serve_forever() would wait for itself for ever")
        if not self._stopped.is_set():
            super().shutdown()

    def server_close(self) -> None:
        """Stop listening, send Close 1001 to every client, wait a bounded time, end.

        (If :meth:`serve_forever` runs in another thread, ``shutdown`` comes first; :meth:`stop`
        does both.)
        """
        super().server_close()
        with self._lock:
            self._is_closing = True
            handlers = tuple(self._handlers)
        for handler in handlers:
            try:
                handler._go_away()
            except Exception:  # one failure must not keep the Close from the others
                logger.exception("%s: unexpected", handler._name)
        if not self._connection_threads.wait(self.limits.shutdown_timeout):
            with self._lock:
                handlers = tuple(self._handlers)
            logger.warning("not all clients answered Close 1001 in time: aborting %d", len(handlers))
            for handler in handlers:
                handler._abort("the server has ended")
            if not self._connection_threads.wait(0.25):
                with self._lock:
                    names = ", ".join(sorted(handler._name for handler in self._handlers)[:10])
                logger.warning("hooks that still run: %d (%s)", len(self._connection_threads), names)
        self._connection_threads.end()
        self._backlog_writer.stop()
        self._refused.close_all()

    # -- For its handlers ----------------------------------------------------------

    def _make_transport(self, sock: socket.socket, address: Any) -> Transport:
        """Wrap a socket: plain or TLS, with a tap or without."""
        if self.tap is None:
            if self._ssl_context is not None:
                return TLSTransport(sock, self._ssl_context, self.limits)
            return Transport(sock, self.limits)
        tapped: Tapped = Tapped(sock, self.limits)
        if self._ssl_context is not None:
            tapped = TappedTLS(sock, self._ssl_context, self.limits)
        try:
            tapped.tap = self.tap(tapped, name_of(address))
        except Exception:
            logger.exception("%s: no tap could be made; the connection goes on without one", name_of(address))
        return tapped

    def _register(self, handler: Handler) -> None:
        """Add a handler that has a connection."""
        with self._lock:
            self._handlers.add(handler)
            late = self._is_closing
        if late:
            handler._go_away()

    def _mark_open(self, handler: Handler) -> None:
        """Add a handler to :attr:`handlers`: its ``on_open`` has returned."""
        with self._lock:
            self._open.add(handler)

    def _mark_closed(self, handler: Handler) -> None:
        """Remove a handler from :attr:`handlers`: its connection is over.  Idempotent."""
        with self._lock:
            self._open.discard(handler)

    def _unregister(self, handler: Handler) -> None:
        """Remove a handler whose TCP connection has ended."""
        with self._lock:
            self._handlers.discard(handler)

    def _count(self, *, refused: int = 0, opened: int = 0, closed: int = 0) -> None:
        """Count what became of a connection."""
        with self._lock:
            self.counts.refused += refused
            self.counts.opened += opened
            self.counts.closed += closed

    # -- For socketserver ------------------------------------------------------------

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection, also while the system has no resources to accept with.

        socketserver takes an OSError for "no connection is waiting" and tries again at once,
        with all of a processor.
        """
        try:
            return super().get_request()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                if time.monotonic() - self._reported > 1:
                    self._reported = time.monotonic()
                    logger.error("cannot accept connections: %s; they wait", error.strerror)
                time.sleep(0.05)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give a connection its thread; if there are too many, refuse it."""
        self._given_away = request
        with self._lock:
            self.counts.accepted += 1
        name = f"wsref {name_of(client_address)}"
        if not self._connection_threads.start(name, lambda: self.process_request_thread(request, client_address)):
            self._refuse(request, client_address)

    def _refuse(self, sock: socket.socket, client_address: Any) -> None:
        """Answer 503, from the accepting thread, which waits for no client."""
        self._count(refused=1)
        error = HTTPError(
            503,
            f"no thread is free for another connection; at most {self.limits.max_connections} are served",
            "RFC 9110 §15.6.4",
            headers={"Retry-After": "5"},
        )
        before = self._refused.add(sock, b"" if self._ssl_context else build_response(handshake.refusal(error)))
        if before is not None:
            more = f"; {before} more since the last such line" * bool(before)
            logger.warning("%s 503: %s%s", name_of(client_address), error, more)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection's socket, which its handler has ended in stages.

        socketserver calls it in the accepting thread too, if Ctrl-C interrupts
        :meth:`process_request`: then the connection's thread, which may run already, closes it.
        """
        if request is not self._given_away or threading.get_ident() != self._serving:
            self.close_request(request)

    def service_actions(self) -> None:
        """End connections whose time is over.  Called between accepts; it waits for nothing."""
        now = time.monotonic()
        if now - self._swept < 0.05:
            return  # a burst of clients: looking at all connections for each new one is quadratic
        self._swept = now
        self._refused.close_finished()
        with self._lock:
            channels = [handler._channel for handler in self._handlers]
        for channel in channels:
            if channel is not None:
                channel.abort_if_unanswered()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log an exception that no handler expected: a bug of wsref."""
        logger.exception("%s: unexpected", name_of(client_address))


def name_of(address: Any) -> str:
    """``host:port`` of a socket's address, IPv6 in brackets, with its scope."""
    host, port, *rest = address
    if ":" not in host:
        return f"{host}:{port}"
    scope = f"%{rest[1]}" if len(rest) > 1 and rest[1] and "%" not in host else ""
    return f"[{host}{scope}]:{port}"
