"""Chapters 1 to 11: threads and hooks.

:class:`WebSocketServer` is a ``socketserver.ThreadingTCPServer``: it accepts, and
gives each connection a thread.  :class:`WebSocketHandler` is a
``socketserver.BaseRequestHandler``: it lives in that thread, from the first byte to
the last.  Its :meth:`~WebSocketHandler.handle` is the contents page of this package.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import re
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..fast.threads import Workers
from ..protocol import deflate, handshake
from ..protocol.connection import Closed, Connection, Message, Pong
from ..protocol.deflate import Compression
from ..protocol.errors import ConnectionClosed, HTTPError, shown
from ..protocol.frames import Frame, build_frame
from ..protocol.http11 import Request, Response, build_response, find_end_of_head, parse_head
from ..protocol.limits import Limits
from ..protocol.messages import opcode_and_payload
from ..protocol.spec import CloseCode, Role, State
from .transport import Flusher, Tap, Tapped, TappedTLS, TLSTransport, Transport, TurnedAway, require_supported_system

logger = logging.getLogger("wsref")

_OPEN = State.OPEN  # looked up once: each time takes 0.08 µs (CPython 3.11)

#: The client page of chapter 0: the body of the 426.
PAGE = Path(__file__).parents[1] / "apps" / "page.html"

#: Bytes that a read of frames asks for where little comes: an idle connection waits with that much.
#: With 4 KiB, which are not from Python's own heap, it takes 32 KiB of memory in all, not 25.
MIN_READ_SIZE = 512
#: ... after a read that was full; and what a read of the request's head asks for.
READ_SIZE = 4 * 1024
#: ... and after a second one.  A message of 1 MiB costs 1.73 ms of processor time with 96 KiB
#: here and 1.46 ms with 256 KiB; with 1 MiB binary ones cost as much, and text a tenth more.
MAX_READ_SIZE = 256 * 1024

#: Bytes.  Once this much has been taken and freed in one piece, glibc takes such pieces for usual
#: and keeps up to twice as much for the next.  Else each message of 1 MiB is made of fresh pages:
#: in text, 295 MiB/s instead of 347.  (mallopt(3): M_MMAP_THRESHOLD is dynamic.)
KEEP_FREED = 2 * 1024 * 1024


class WebSocketHandler(socketserver.BaseRequestHandler):
    """One WebSocket connection, in a thread of its own.

    Subclass it and override hooks.  It looks like the browser's ``WebSocket``::

        class Echo(WebSocketHandler):
            def on_message(self, message):      # str for text, bytes for binary
                self.send(message)

    The hooks of one connection run one after another, in its thread; a slow hook slows
    its own client and no other.  :meth:`send`, :meth:`ping` and :meth:`close` may be
    called from any thread.  (When the connection is over its thread may take another: what is
    one connection's belongs into its handler, not into ``threading.local``.  Context variables
    begin anew.)

    Attributes:
        request: The opening handshake's :class:`~wsref.protocol.http11.Request`; cookies are in
            ``request.headers``, a query in ``request.query``.
        subprotocol: The one chosen, or None.
        extensions: What was agreed, such as ``permessage-deflate``, or None.
        closed: How it ended, a :class:`~wsref.protocol.connection.Closed`; None before that.
        server: The :class:`WebSocketServer`.
    """

    #: Subprotocols that this handler speaks, the best first.
    subprotocols: Sequence[str] = ()

    #: Paths that this handler serves; None: all.  Any other path gets 404.
    paths: Collection[str] | None = None

    #: Whether what ``on_message`` and ``on_pong`` send is gathered: the replies to what came in
    #: one read leave in one write, when all of it has been handled or 64 KiB are there.  For
    #: small messages in great number that is two to four times as fast; but :meth:`send` returns
    #: before the kernel has the message, and a hook that goes on to wait for something keeps
    #: the client waiting for what it sent before.  The order is kept, also with broadcasts, and
    #: what other threads send leaves at once.
    batch_replies: bool = False

    server: WebSocketServer

    _close_deadline: float | None  # monotonic seconds: our Close is answered by then

    # -- What a subclass overrides ---------------------------------------------

    def check_request(self, request: Request) -> None:
        """Called before an upgrade is accepted.

        Raise :class:`~wsref.protocol.errors.HTTPError` to refuse it, with 401 or 403, say; what it
        returns does not matter.  This is the place to look at cookies and tokens::

            def check_request(self, request):
                token = request.query.get("token", [""])[0]     # or request.headers.get("Cookie", "")
                if not hmac.compare_digest(token.encode(), TOKEN):
                    raise HTTPError(401, "who are you?", headers=(("WWW-Authenticate", "Token"),))
        """

    def on_open(self) -> None:
        """The connection is open; :meth:`send` may be called."""

    def on_message(self, message: str | bytes) -> None:
        """A whole message came: ``str`` if it was text, ``bytes`` if it was binary."""

    def on_pong(self, data: bytes) -> None:
        """A Pong came: the answer to a :meth:`ping`."""

    def on_close(self, code: int, reason: str) -> None:
        """The connection is over; called once, if :meth:`on_open` was.

        Args:
            code: From the peer's Close; 1005 if that had none, 1006 if there was no Close.
                What *we* sent, and why, is in ``self.closed``.
            reason: From the peer's Close.
        """

    # -- What a subclass calls ---------------------------------------------------

    def send(self, message: str | bytes | bytearray | memoryview, *, compress: bool = True) -> None:
        """Send one message: text if it is a ``str``, else binary.

        When it returns, the kernel has all of it (unless :attr:`batch_replies` is set).  It
        waits while the peer does not read, for ``limits.send_timeout`` at most.

        Args:
            message: What to send.
            compress: Whether it may be compressed, where that was agreed.  Say False for
                secrets: see :mod:`wsref.protocol.deflate`.
        Raises:
            ConnectionClosed: the connection is closing or closed, or the peer does not
                read.  Not all of the message was sent, and nothing more can be.
            TypeError, ValueError: this is no message.
        """
        if not self._upgraded:
            raise ConnectionClosed("the connection is not open yet")
        transport = self._transport
        transport.write_lock.acquire()  # ``with`` would do: 0.09 µs more
        try:
            start, rest = self._connection.send_apart(message, compress=compress)
            transport.send(start, rest)
        finally:
            transport.write_lock.release()

    def ping(self, data: bytes = b"") -> None:
        """Send a Ping; the answer comes to :meth:`on_pong`.

        Raises:
            ConnectionClosed: as :meth:`send`.
            ValueError: more than 125 bytes.
        """
        if not self._upgraded:
            raise ConnectionClosed("the connection is not open yet")
        with self._transport.write_lock:
            self._transport.send(self._connection.ping(data))

    def close(self, code: int | None = CloseCode.NORMAL, reason: str = "") -> None:
        """Send a Close, unless one has been sent.

        The hooks go on until the peer's Close comes (for ``limits.close_timeout`` at
        most), then :meth:`on_close` is called.

        Args:
            code: 1000, 1001, ..., or 3000 to 4999; None for a Close without a code.
            reason: At most 123 bytes of UTF-8.
        Raises:
            TypeError, ValueError: a code or a reason that no Close may carry.
        """
        if not self._upgraded:
            return self.cut("closed before it was open")
        with self._transport.write_lock, contextlib.suppress(ConnectionClosed):
            if wire := self._connection.close(code, reason):
                self._close_deadline = time.monotonic() + self.server.limits.close_timeout
                self._transport.send(wire, last=True)

    @property
    def ready_state(self) -> State:
        """0 CONNECTING, 1 OPEN, 2 CLOSING or 3 CLOSED, as in the browser."""
        if not self._upgraded:
            return State.CONNECTING
        return State.CLOSED if self.closed else self._connection.state

    # -- The life of a connection -------------------------------------------------

    def setup(self) -> None:
        """Called by socketserver.  What it calls ``request`` is the socket."""
        self.limits = limits = self.server.limits
        self._head_deadline = time.monotonic() + limits.head_timeout
        self._transport = self.server.wrap(self.request, self.client_address)
        self._connection = Connection(Role.SERVER, limits)
        self._accepted = False  # 101 is being sent, or was
        self._upgraded = False  # it has been sent
        self._heard = False  # whether a byte has come
        self._early = b""  # what came after the head: it belongs to the WebSocket
        self._close_deadline = None
        self._read_size = MIN_READ_SIZE  # bytes
        self._was_full = False  # the read before brought as much as it asked for
        self.subprotocol: str | None = None
        self.extensions: str | None = None
        self.closed: Closed | None = None
        self.server.enter(self)

    def handle(self) -> None:
        """From the first byte to the last."""
        try:
            self.request = request = self.read_request()  # chapter 1: an HTTP base
            if not self.wants_upgrade(request):  # chapter 2: upgrade detection
                return self.fallback(request)  # chapter 5: 426 for everybody else
            self.validate(request)  # chapter 3: validation
            self.admit(request)  # chapter 11: who may come
            self.complete_upgrade(request)  # chapter 4: 101
        except HTTPError as error:
            return self.abort_handshake(error)  # chapter 3: ... else 400
        except Exception:
            logger.exception("%s: the handshake failed", self.name)
            return self.abort_handshake(HTTPError(500, "the server failed", "RFC 9110 §15.6.1"))
        self.converse()  # chapters 6 to 9: frames, messages, closing

    def finish(self) -> None:
        """Called by socketserver, also when :meth:`handle` failed."""
        try:
            self._transport.end(self.limits.linger_timeout)  # §7.1.1: the server ends TCP first
        finally:
            self._connection.receive(b"")
            self.server.leave(self)

    # -- Chapter 1: an HTTP base ---------------------------------------------------

    def read_request(self) -> Request:
        """Read the request's head, in whatever pieces it comes, and not a byte more.

        Raises:
            HTTPError: 400, 414, 431 or 505: no head that we take; 408: it took too
                long; 0: there is nobody to answer.
        """
        try:
            self._transport.handshake(self._head_deadline)
        finally:
            self._heard = self._transport.heard
        data, checked = b"", 0
        while (end := find_end_of_head(data, checked, self.limits)) is None:
            left = self._head_deadline - time.monotonic()
            piece = self._transport.receive(READ_SIZE, left) if left > 0 else None
            if piece is None:
                raise HTTPError(408, f"no complete request within {self.limits.head_timeout:g} s", "RFC 9110 §15.5.9")
            if not piece:
                raise HTTPError(400 if data else 0, f"the request ended after {len(data)} bytes", "RFC 9112 §8")
            self._heard = True
            data, checked = data + piece, len(data)
        self._early = data[end:]
        return parse_head(data[:end], self.limits)

    def respond(self, response: Response) -> None:
        """Write a response.

        Raises:
            ConnectionClosed: the client does not read it, or has gone.
        """
        with self._transport.write_lock:
            self._transport.send(build_response(response))

    # -- Chapter 2: upgrade detection -----------------------------------------------

    def wants_upgrade(self, request: Request) -> bool:
        """Whether the request asks to switch protocols."""
        return handshake.wants_upgrade(request)

    # -- Chapter 3: validation -------------------------------------------------------

    def validate(self, request: Request) -> None:
        """Whether it asks for WebSocket, and asks well.

        Raises:
            HTTPError: with every broken rule.
        """
        handshake.validate(request)

    def abort_handshake(self, error: HTTPError) -> None:
        """Refuse: a status, and the reasons in the body and in the log."""
        self.server.count(refused=1)
        reasons = str(error).replace("\n", "; ")
        # Browsers open connections in advance and may never use them: no news.
        self.log(logging.INFO if self._heard else logging.DEBUG, f"{error.status or 'hung up'}: {reasons}")
        if error.status:
            with contextlib.suppress(ConnectionClosed):
                self.respond(self._without_body_for_head(handshake.refusal(error)))

    # -- Chapter 4: complete_upgrade ----------------------------------------------------

    def complete_upgrade(self, request: Request) -> None:
        """Accept: answer 101, and speak WebSocket from then on.

        Raises:
            HTTPError: 500: :meth:`choose_subprotocol` chose what was not offered.
        """
        self.subprotocol = self.choose_subprotocol(request)
        self.extensions = self.choose_extensions(request)
        try:
            response = handshake.complete_upgrade(request, self.subprotocol, self.extensions)
        except ValueError as error:
            self.log(logging.ERROR, str(error))
            raise HTTPError(500, "the server chose a subprotocol that was not offered", "RFC 6455 §4.2.2") from None
        self._accepted = True
        with contextlib.suppress(ConnectionClosed):  # then the first read finds out
            self.respond(response)

    def choose_subprotocol(self, request: Request) -> str | None:
        """The first of :attr:`subprotocols` that the client offers, or None."""
        return handshake.choose_subprotocol(request, self.subprotocols)

    # -- Chapter 9: compression ---------------------------------------------------------

    def choose_extensions(self, request: Request) -> str | None:
        """Agree on permessage-deflate, if the client offers it and the server likes it.

        Returns:
            What the answer's Sec-WebSocket-Extensions says; None: nothing.
        """
        wish = self.server.compression
        if wish is None:
            return None
        for offer in handshake.parse_extensions(request.headers.get("Sec-WebSocket-Extensions")):
            if offer.name == deflate.NAME and (accepted := deflate.accept_offer(offer.parameters, wish)):
                agreement, response = accepted
                self._connection = Connection(Role.SERVER, self.limits, agreement=agreement, compression=wish)
                return response
        return None

    # -- Chapter 5: the 426 fallback ----------------------------------------------------

    def fallback(self, request: Request) -> None:
        """Answer a request that is not here to upgrade: 426, and how to."""
        self.check_path(request)
        self.server.count(refused=1)
        self.log(logging.INFO, f"426: {request.method} {shown(request.path)}")
        scheme = "wss" if self._transport.secure else "ws"
        # The text invites to paste this into a console: only what is harmless there is echoed.
        host, path = request.host, request.path
        if not re.fullmatch(r"[0-9A-Za-z.:\[\]-]{1,100}", host):
            host = self.server.host_and_port
        if not re.fullmatch(r"[0-9A-Za-z._~%/-]{1,100}", path):
            path = "/"
        response = handshake.upgrade_required(request, self.server.page, f"{scheme}://{host}{path}")
        with contextlib.suppress(ConnectionClosed):
            self.respond(self._without_body_for_head(response))

    def _without_body_for_head(self, response: Response) -> Response:
        """RFC 9110 §9.3.2: HEAD is GET, "except that the server MUST NOT send content"."""
        head = isinstance(self.request, Request) and self.request.method == "HEAD"
        return replace(response, body=b"") if head else response

    # -- Chapters 6 to 9: the conversation ------------------------------------------------

    def converse(self) -> None:
        """Everything between the 101 and the end of TCP."""
        self._upgraded = True
        self.server.opened(self)
        self.log(logging.INFO, f"101: {shown(self.request.path)}")
        if self._early:
            self._connection.receive(self._early)
        try:
            self.take_leave(self._call_hooks())
        finally:
            self.server.ended(self)

    def _call_hooks(self) -> Closed:
        """``on_open``, then all that happens, until the connection is over."""
        opened, failed = False, False
        while True:
            try:
                if not opened:
                    opened = True
                    self.on_open()
                return self.exchange(deliver=not failed)
            except BaseException as error:  # a hook may raise anything, and we must end well
                if isinstance(error, ConnectionClosed) and not self.can_send():
                    # It was sending to a client that had gone: no fault of the hook's.
                    # What the client sent before is still given to it.
                    self.log(logging.DEBUG, f"not sent: {error}")
                else:
                    logger.exception("%s: a hook failed", self.name)
                    failed = True  # its state is anybody's guess: it is given nothing more
                    self.close(CloseCode.INTERNAL_ERROR)

    def can_send(self) -> bool:
        """Whether the connection is open, as far as we know."""
        return self._connection.state is _OPEN and not self._transport.broken

    def exchange(self, deliver: bool) -> Closed:
        """Take what happens, in order, and answer it, until the connection is over.

        Args:
            deliver: Whether messages and Pongs are given to the hooks.
        """
        while True:
            if self.batch_replies:
                self._transport.hold()
            closed = self._take_events(deliver)
            if closed is not None:
                return closed
            if self.batch_replies:
                self._transport.release()
            self._connection.receive(self.wait_for_bytes())

    def _take_events(self, deliver: bool) -> Closed | None:
        """All that is here now; None: the connection goes on.

        (A function of its own, so that nothing keeps the last message while the next is waited for.)
        """
        connection = self._connection
        on_message = self.on_message if deliver else _ignore
        while True:
            # A short cut; next_event gives these messages too, 0.8 µs later.
            for message in connection.messages():
                on_message(message)
            event = connection.next_event()
            if event is None or isinstance(event, Closed):
                return event
            if isinstance(event, Message):
                on_message(event.data)
                continue
            if event.reply:
                with self._transport.write_lock:
                    self._transport.send(event.reply)
            if isinstance(event, Pong) and deliver:
                self.on_pong(event.data)

    def wait_for_bytes(self) -> bytes:
        """What comes next; b"" if nothing will.  Silence is answered by a Ping."""
        limits, transport = self.limits, self._transport
        pinged = False
        while True:
            timeout = limits.ping_timeout if pinged else limits.ping_interval
            if self._close_deadline is not None:
                timeout = self._close_deadline - time.monotonic()
                if timeout <= 0:
                    transport.give_up(f"our Close was not answered within {limits.close_timeout:g} s")
                    return b""
            data = transport.receive(self._read_size, timeout)
            if data is not None:
                self._choose_read_size(len(data))
                return data
            if self._close_deadline is not None:
                continue
            if pinged:
                transport.give_up(f"no sign of life within {limits.ping_timeout:g} s after our Ping", reset=True)
                return b""
            pinged = True
            with contextlib.suppress(ConnectionClosed):
                self.ping()

    def _choose_read_size(self, came: int) -> None:
        """How much the next read asks for, after one in which ``came`` bytes came."""
        full = came == self._read_size
        if full:
            self._read_size = READ_SIZE if came < READ_SIZE else MAX_READ_SIZE
        elif came < MIN_READ_SIZE and not self._was_full:  # and no mere rest of the read before
            self._read_size = MIN_READ_SIZE
        self._was_full = full

    def take_leave(self, closed: Closed) -> None:
        """Both Closes, an error, or the end of TCP: the last words, the log, the hook."""
        with contextlib.suppress(ConnectionClosed), self._transport.write_lock:
            if closed.reply:
                self._transport.send(closed.reply, last=True)
            else:
                self._transport.send_posted()  # our own Close may be waiting there
        if closed.sent is not None and not self._transport.last_sent:  # what we meant to send has not been sent
            closed = replace(closed, clean=False, sent=None)
        if self._transport.given_up and closed.code == CloseCode.ABNORMAL:
            closed = replace(closed, by_us=True)
        self.closed = closed
        why = str(closed.error or "") or self._transport.broken
        who, how = "us" if closed.by_us else "the client", "clean" if closed.clean else "not clean"
        received = f"received {closed.code}" if closed.code != CloseCode.ABNORMAL else "no Close came (1006)"
        received += f" {shown(closed.reason)}" if closed.reason else ""
        self.log(
            logging.WARNING if closed.error else logging.INFO,
            f"closed by {who}, {how}: {received}, sent {closed.sent or 'none'}" + (f": {why}" if why else ""),
        )
        self.server.ended(self)
        try:
            self.on_close(closed.code, closed.reason)
        except ConnectionClosed as error:
            self.log(logging.DEBUG, f"not sent: {error}")
        except BaseException:
            logger.exception("%s: on_close failed", self.name)

    # -- Chapter 10: many clients ------------------------------------------------------------

    def check_path(self, request: Request) -> None:
        """404 for a path that nobody serves here."""
        if self.paths is not None and request.path not in self.paths:
            there = ", ".join(self.paths)
            raise HTTPError(404, f"nothing is at {shown(request.path)}; there is {there}", "RFC 6455 §4.2.2")

    def post(self, wire: bytes, *, last: bool = False) -> bool:
        """A broadcast's half of :meth:`send`: give frames to the kernel, but never wait.

        Returns:
            True if the kernel has them; False if they are kept until it takes them.
        Raises:
            ConnectionClosed: it is closing, or too much is kept already: then this
                client has been given up.
        """
        if self._connection.state is not _OPEN and not last:
            raise ConnectionClosed(f"the connection is {self.ready_state.name}")
        done = self._transport.post(wire, last=last)
        if not done:
            self.server.flusher.add(self._transport)
        return done

    def go_away(self) -> None:
        """The server is going down: send Close 1001, without waiting."""
        if not self._upgraded:
            # Between the two, the 101 goes out; then the server calls again (``opened``).
            return None if self._accepted else self.cut("the server is going down")
        with contextlib.suppress(ConnectionClosed):
            if wire := self._connection.close(CloseCode.GOING_AWAY, "the server is going down"):
                self.post(wire, last=True)

    def cut(self, why: str) -> None:
        """End TCP now, from any thread."""
        self._transport.give_up(why)

    def end_if_unanswered(self) -> None:
        """Cut the connection if our Close was not answered in time.

        The reading thread sees to it too; but if another thread has called
        :meth:`close`, it may be waiting with the patience it had before.
        """
        if self._close_deadline is not None and time.monotonic() > self._close_deadline:
            self.cut(f"our Close was not answered within {self.limits.close_timeout:g} s")

    # -- Chapter 11: out in the world ----------------------------------------------------------

    def admit(self, request: Request) -> None:
        """Whether this client may open this WebSocket: its path, its page's origin, your own check."""
        self.check_path(request)
        handshake.check_origin(
            request,
            allowed=self.server.allowed_origins,
            secure=self._transport.secure,
            loopback=self.server.is_loopback,
        )
        self.check_request(request)

    @property
    def name(self) -> str:
        """The client's address, for logs."""
        return _name_of(self.client_address)

    def log(self, level: int, message: str) -> None:
        """A line about this connection.  What a peer sent stands in it by :func:`shown` only."""
        logger.log(level, "%s %s", self.name, message)


def _ignore(message: str | bytes) -> None:
    """In place of ``on_message`` once a hook has failed."""


@dataclass(slots=True)
class Counts:
    """What became of the connections so far.

    When all are over, ``accepted == refused + opened`` and ``opened == closed``.
    """

    accepted: int = 0  # TCP connections
    refused: int = 0  # got something other than 101
    opened: int = 0  # got 101
    closed: int = 0  # ... and are over


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of a broadcast, for each client that was open."""

    sent: list[WebSocketHandler] = field(default_factory=list)  # the kernel has all of it
    kept: list[WebSocketHandler] = field(default_factory=list)  # it waits until the client reads
    dropped: list[WebSocketHandler] = field(default_factory=list)  # given up: did not read, or has gone


class WebSocketServer(socketserver.ThreadingTCPServer):
    """Accepts connections; each gets a thread, and a handler that lives in it.

    ::

        with WebSocketServer(("127.0.0.1", 8765), Echo) as server:
            server.serve_forever()

    Leaving the ``with`` block sends Close 1001 to every client, waits for their answers
    (``limits.shutdown_timeout`` at most), and frees the port.

    Args:
        address: Host and port; port 0: any free one, see :attr:`url`.
        handler: A subclass of :class:`WebSocketHandler`.
        limits: How much, how many, how long.
        allowed_origins: Pages from these origins may connect, besides those from this
            very server; see :func:`wsref.protocol.handshake.check_origin`.
        ssl_context: Speak TLS (wss) with this certificate.
        compression: Agree on permessage-deflate with clients that offer it.  None: with
            none; it costs memory for each connection and time for each message, and who
            sends secrets must think about it first (:mod:`wsref.protocol.deflate`).
        page: HTML for browsers that come without an upgrade; None: wsref's own page.
        tap: Makes, of each connection's transport and client's address, what is told of all
            bytes that pass (see :class:`~wsref.network.transport.Tapped`); None: nobody is told.
    Raises:
        NotImplementedError: this system is Windows.
        OSError: the address cannot be bound.
        TypeError: ``allowed_origins`` is a str.

    Attributes:
        limits: As given.
        counts: A :class:`Counts`.
        handlers: The connections that are open now, a snapshot.
        url: ``ws://host:port``, as bound.
    """

    allow_reuse_address = True  # a port is free again at once, TIME_WAIT or not
    daemon_threads = True  # server_close waits for them itself, and not for ever
    request_queue_size = 1024  # connections that may wait to be accepted; socketserver's 5 lose a burst

    def __init__(
        self,
        address: tuple[str, int],
        handler: type[WebSocketHandler],
        *,
        limits: Limits = Limits(),
        allowed_origins: Collection[str] = (),
        ssl_context: ssl.SSLContext | None = None,
        compression: Compression | None = None,
        page: bytes | None = None,
        tap: Callable[[Tapped, str], Tap | None] | None = None,
    ) -> None:
        require_supported_system()
        bytes(KEEP_FREED)  # taken, and freed
        self.limits = limits
        if isinstance(allowed_origins, str):
            raise TypeError("allowed_origins is a list of origins, not one str")
        self.allowed_origins = frozenset(allowed_origins)
        self.page = PAGE.read_bytes() if page is None else page
        self.counts = Counts()
        self.compression = compression
        self.tap = tap
        self._ssl_context = ssl_context
        self._workers = Workers(limits.max_connections)
        self._lock = threading.Lock()  # for the counts, and all that follows
        self._handlers: set[WebSocketHandler] = set()  # one for each connection with a thread
        self._open: set[WebSocketHandler] = set()  # those of them that got 101 and are not over
        self._going_down = False
        self._turned_away = TurnedAway(limits.linger_timeout)
        self._broadcasting = threading.Lock()  # so that all clients see one order
        self._looked = 0.0  # monotonic seconds: when service_actions last looked at the connections
        self._complained = 0.0  # monotonic seconds: when accepting last failed
        found = socket.getaddrinfo(*address, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        self.address_family, *_, bound = found[0]
        self.flusher = Flusher()
        super().__init__(bound[:2], handler)  # type: ignore[arg-type]
        self.is_loopback = handshake.is_loopback(str(self.server_address[0]))

    # -- What its user calls --------------------------------------------------

    @property
    def host_and_port(self) -> str:
        """As bound, the way a URL writes it."""
        return _name_of(self.server_address)

    @property
    def url(self) -> str:
        """``ws://host:port`` or ``wss://host:port``."""
        return f"{'wss' if self._ssl_context else 'ws'}://{self.host_and_port}"

    @property
    def handlers(self) -> tuple[WebSocketHandler, ...]:
        """The connections that are open now."""
        with self._lock:
            return tuple(self._open)

    def broadcast(
        self, message: str | bytes | bytearray | memoryview, to: Iterable[WebSocketHandler] | None = None
    ) -> Delivery:
        """Send one message to many, and wait for none of them.

        It is encoded once, and therefore not compressed: what is compressed depends on what
        each client got before.  What a client's connection does not take at once is kept for
        it and sent when it does.  A client for whom more than ``limits.max_backlog``
        bytes would be kept, or that takes nothing for ``limits.send_timeout``, is dropped:
        its connection ends, with 1006.
        All clients see broadcasts in the same order.

        Args:
            message: Text if it is a ``str``, else binary.
            to: To whom; None: to every open connection.
        Returns:
            What became of it, client by client.
        """
        opcode, payload = opcode_and_payload(message)
        wire = build_frame(Frame(opcode, payload))
        delivery = Delivery()
        with self._broadcasting:
            for handler in self.handlers if to is None else to:
                if handler.can_send():
                    try:
                        (delivery.sent if handler.post(wire) else delivery.kept).append(handler)
                    except ConnectionClosed:
                        delivery.dropped.append(handler)
        return delivery

    def server_close(self) -> None:
        """Stop listening, send Close 1001 to everyone, wait a bounded time, end.

        (``shutdown`` stops :meth:`serve_forever` and comes before, where that runs in
        another thread.)
        """
        super().server_close()
        with self._lock:
            self._going_down = True
            handlers = tuple(self._handlers)
        for handler in handlers:
            try:
                handler.go_away()
            except Exception:  # one that fails must not keep the others from hearing it
                logger.exception("%s: unexpected", handler.name)
        if not self._workers.wait(self.limits.shutdown_timeout):
            with self._lock:
                handlers = tuple(self._handlers)
            logger.warning("not all answered Close 1001 in time: %d cut", len(handlers))
            for handler in handlers:
                handler.cut("the server has ended")
            if not self._workers.wait(0.25):
                with self._lock:
                    names = ", ".join(sorted(handler.name for handler in self._handlers)[:10])
                logger.warning("hooks that are still running: %d (%s)", len(self._workers), names)
        self._workers.end()
        self.flusher.stop()
        self._turned_away.end()

    # -- What its handlers call --------------------------------------------------

    def wrap(self, sock: socket.socket, address: Any) -> Transport:
        """A socket to a transport: plain or TLS, with a tap or without."""
        if self.tap is None:
            if self._ssl_context is not None:
                return TLSTransport(sock, self._ssl_context, self.limits)
            return Transport(sock, self.limits)
        tapped: Tapped = Tapped(sock, self.limits)
        if self._ssl_context is not None:
            tapped = TappedTLS(sock, self._ssl_context, self.limits)
        tapped.tap = self.tap(tapped, _name_of(address))
        return tapped

    def enter(self, handler: WebSocketHandler) -> None:
        """A handler has a connection."""
        with self._lock:
            self._handlers.add(handler)
            late = self._going_down
        if late:
            handler.go_away()

    def opened(self, handler: WebSocketHandler) -> None:
        """Its connection got 101."""
        with self._lock:
            self.counts.opened += 1
            self._open.add(handler)
            late = self._going_down
        if late:
            handler.go_away()

    def ended(self, handler: WebSocketHandler) -> None:
        """Its connection is over; says so a second time without effect."""
        with self._lock:
            if handler in self._open:
                self.counts.closed += 1
                self._open.discard(handler)

    def leave(self, handler: WebSocketHandler) -> None:
        """Its TCP connection has ended."""
        with self._lock:
            self._handlers.discard(handler)

    def count(self, *, refused: int) -> None:
        """Count what did not get 101."""
        with self._lock:
            self.counts.refused += refused

    # -- What socketserver calls ---------------------------------------------------

    def serve_forever(self, poll_interval: float = 0.1) -> None:
        """Accept connections until ``shutdown`` is called, from another thread.

        Args:
            poll_interval: Seconds between looks at what has run out of time.
        """
        super().serve_forever(poll_interval)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept, and survive it when the system has nothing left to accept with.

        socketserver takes an OSError for "nobody is there" and tries again at once, with
        all of a processor.
        """
        try:
            return super().get_request()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                if time.monotonic() - self._complained > 1:
                    self._complained = time.monotonic()
                    logger.error("cannot accept connections: %s; they wait", error.strerror)
                time.sleep(0.05)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give a connection its thread; if there are too many, turn it away."""
        with self._lock:
            self.counts.accepted += 1
        name = f"wsref {_name_of(client_address)}"
        if not self._workers.start(name, lambda: self.process_request_thread(request, client_address)):
            self._turn_away(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """A connection's socket, which its handler has ended in stages, is closed."""
        self.close_request(request)

    def _turn_away(self, sock: socket.socket, client_address: Any) -> None:
        """503, from the accepting thread, which waits for nobody."""
        self.count(refused=1)
        error = HTTPError(
            503,
            f"no thread is free for another connection; at most {self.limits.max_connections} are served",
            "RFC 9110 §15.6.4",
            headers=(("Retry-After", "5"),),
        )
        logger.warning("%s 503: %s", _name_of(client_address), error)
        self._turned_away.add(sock, b"" if self._ssl_context else build_response(handshake.refusal(error)))

    def service_actions(self) -> None:
        """Called between accepts: end what has run out of time, and wait for nothing."""
        now = time.monotonic()
        if now - self._looked < 0.05:
            return  # a burst of clients: looking at all connections for each new one is quadratic
        self._looked = now
        self._turned_away.end_some()
        for handler in self.handlers:
            handler.end_if_unanswered()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """An exception that no handler expected: a fault of wsref's."""
        logger.exception("%s: unexpected", _name_of(client_address))


def _name_of(address: Any) -> str:
    """``host:port`` of a socket's address, IPv6 in brackets."""
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
