"""Chapters 1 to 11: one connection, from the first byte to the last.

:class:`WebSocketHandler` is a ``socketserver.BaseRequestHandler``: it lives in the thread of
its connection.  Its :meth:`~WebSocketHandler.handle` is the contents page of the book.
"""

from __future__ import annotations

import contextlib
import logging
import re
import socketserver
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any

from ..protocol import deflate, handshake
from ..protocol.connection import Closed, Message, Pong
from ..protocol.deflate import DeflateParameters
from ..protocol.errors import ConnectionClosed, HTTPError, quote_ascii
from ..protocol.extensions import parse_extensions
from ..protocol.http11 import Request, Response, build_response, find_end_of_head, parse_head
from ..protocol.origin import check_origin
from ..protocol.spec import CloseCode, Role, State
from .channel import Channel, make_connection
from .log import logger
from .server import WebSocketServer, name_of
from .subclassing import OwnNames, check_subclass
from .transport import Transport

#: Bytes that a read of the request's head asks for.
HEAD_READ_SIZE = 4 * 1024


class WebSocketHandler(socketserver.BaseRequestHandler):
    """One WebSocket connection, in its own thread.

    Subclass it and override hooks.  It resembles the browser's ``WebSocket``::

        class Echo(WebSocketHandler):
            def on_message(self, message):      # str for text, bytes for binary
                self.send(message)

    The hooks of one connection run one after another, in its thread; a slow hook delays its
    own client and no other.  :meth:`send`, :meth:`ping` and :meth:`close` may be called from
    any thread.  Make the state of a connection in :meth:`on_open`: the server's ``handlers``
    and ``broadcast`` know a handler only after that.  Keep it in attributes of the handler, not
    in ``threading.local``: when the connection ends, its thread may serve another.  (Context
    variables begin anew.)

    Attributes:
        request: The :class:`~wsref.protocol.http11.Request` of the opening handshake, with
            ``headers``, ``cookies``, ``path`` and ``query``.
        client_address: The client's address, as sockets have it: ``(host, port, ...)``.
        server: The :class:`~wsref.network.server.WebSocketServer`.
    """

    #: Subprotocols that this handler speaks, the best first.
    subprotocols: Sequence[str] = ()

    #: Paths that this handler serves, others get 404; None: all paths.
    paths: Collection[str] | None = None

    request: Request
    client_address: Any
    server: WebSocketServer[Any]

    _transport: Transport
    _early: bytes  # received after the head: it belongs to the WebSocket
    _channel: Channel | None = None  # None: before the 101
    _accepted = False  # the 101 is being sent, or was

    # -- Hooks: a subclass overrides them ---------------------------------------

    def check_request(self, request: Request) -> None:
        """Decide about an upgrade before it is accepted.

        Raise :class:`~wsref.HTTPError` to refuse it, with 401 or 403, say; return None to accept
        it.  Check cookies and tokens here::

            def check_request(self, request):
                token = request.query.get("token", [""])[0]     # or request.cookies.get("session", "")
                if not hmac.compare_digest(token.encode(), TOKEN):
                    raise HTTPError(401, "who are you?", headers={"WWW-Authenticate": "Token"})
        """

    def on_open(self) -> None:
        """The connection is open: make its state, and :meth:`send` if you like."""

    def on_message(self, message: str | bytes) -> None:
        """A whole message arrived: ``str`` for text, ``bytes`` for binary."""

    def on_pong(self, data: bytes) -> None:
        """A Pong arrived: the answer to a :meth:`ping`."""

    def on_close(self, code: int, reason: str) -> None:
        """The connection is over.  Called once, if :meth:`on_open` was.

        Args:
            code: From the client's Close; 1005 if it had none, 1006 if there was no Close.  Our
                own code, and who began, is in :attr:`closed`.
            reason: From the client's Close.
        """

    # -- Calls -------------------------------------------------------------------

    def send(self, message: str | bytes | bytearray | memoryview, *, compress: bool = True) -> None:
        """Send one message: text for a ``str``, else binary.

        When it returns, the kernel has all of it.  One exception: in a hook, while more messages
        of this client are already here, replies are gathered and leave in one write, 2 ms late
        at most.  It waits while the client does not read; one that reads less than 64 KiB in
        ``limits.send_timeout`` is aborted.

        Args:
            message: To send.
            compress: Whether it may be compressed, if that was negotiated.  Pass False for
                secrets: see :mod:`wsref.protocol.deflate`.
        Raises:
            ConnectionClosed: The connection is not open, or the client does not read.  Not all
                of the message was sent, and nothing more can be.
            TypeError, ValueError: Not a message.
        """
        (self._channel or self._not_open()).send(message, compress)

    def send_fragments(self, pieces: Iterable[str | bytes], *, compress: bool = True) -> None:
        """Send one message in fragments (§5.4): the whole of it need not be in memory.

        Everything else that this connection sends waits until the end, Pongs too.  If you wait
        long for each piece, send messages instead.

        Args:
            pieces: Yields ``str``, or bytes: each becomes a frame.  Or a file, which is read in
                blocks of 64 KiB.  It may not use this connection.
            compress: As for :meth:`send`.
        Raises:
            ConnectionClosed: As :meth:`send`.
            TypeError, ValueError: Not pieces of one message, or no piece at all.  This error, or
                one of the iterable's own, closes the connection with 1011.
        """
        (self._channel or self._not_open()).send_fragments(pieces, compress)

    def ping(self, data: bytes = b"") -> None:
        """Send a Ping; :meth:`on_pong` gets the answer.

        Raises:
            ConnectionClosed: As :meth:`send`.
            ValueError: More than 125 bytes.
        """
        (self._channel or self._not_open()).ping(data)

    def close(self, code: int | None = CloseCode.NORMAL, reason: str = "") -> None:
        """Send a Close, unless one was sent.

        The hooks go on until the client's Close comes (at most for ``limits.close_timeout``);
        then :meth:`on_close` is called.

        Args:
            code: 1000, 1001, ..., or 3000 to 4999; None for a Close without a code.
            reason: At most 123 bytes of UTF-8.
        Raises:
            ConnectionClosed: The connection is not open yet.
            TypeError, ValueError: A code or a reason that no Close may carry.
        """
        (self._channel or self._not_open()).close(code, reason)

    def _not_open(self) -> Channel:
        raise ConnectionClosed("the connection is not open yet (in check_request, raise HTTPError to refuse it)")

    @property
    def ready_state(self) -> State:
        """0 CONNECTING, 1 OPEN, 2 CLOSING or 3 CLOSED, as in the browser."""
        return State.CONNECTING if self._channel is None else self._channel.ready_state

    @property
    def subprotocol(self) -> str | None:
        """The negotiated subprotocol, or None."""
        return None if self._channel is None else self._channel.subprotocol

    @property
    def extensions(self) -> str | None:
        """The negotiated extensions, such as ``permessage-deflate``, or None."""
        return None if self._channel is None else self._channel.extensions

    @property
    def closed(self) -> Closed | None:
        """How the connection ended, a :class:`~wsref.Closed`; None before that."""
        return None if self._channel is None else self._channel.closed

    # -- The life of a connection ---------------------------------------------------

    def setup(self) -> None:
        """Called by socketserver, which calls the socket ``request``."""
        sock: Any = self.request
        try:
            self._transport = self.server._make_transport(sock, self.client_address)
        except BaseException:  # the connection has ended already, say
            self.server._count(refused=1)
            raise
        self.server._register(self)

    def handle(self) -> None:
        """From the first byte to the last."""
        try:
            request = self._read_request()  # chapter 1: an HTTP base
            if not self._wants_upgrade(request):  # chapter 2: upgrade detection
                return self._fallback(request)  # chapter 5: 426 for every other request
            self._validate(request)  # chapter 3: validation
            self._authorize(request)  # chapters 10 and 11: which path, and who may connect
            agreed = self._complete_upgrade(request)  # chapters 4 and 9: 101, and what was negotiated
        except HTTPError as error:
            return self._abort_handshake(error)  # chapter 3: ... else 400
        except BaseException:  # check_request may raise anything, and every connection is counted
            logger.exception("%s: the handshake failed", self._name)
            return self._abort_handshake(SERVER_FAILED)
        self._converse(*agreed)  # chapters 6 to 9, and 10: the loop

    def finish(self) -> None:
        """Called by socketserver, also when :meth:`handle` failed."""
        try:
            if self._channel is not None:
                self._channel.end()  # §7.1.1: the server ends TCP first
            else:
                self._transport.close_gracefully(self.server.limits.linger_timeout)
        finally:
            self.server._unregister(self)

    # -- Chapter 1: an HTTP base ---------------------------------------------------

    def _read_request(self) -> Request:
        """Read the request's head, in pieces of any size.

        Raises:
            HTTPError: 400, 414, 431 or 505: not a valid head; 408: it took too long; 0: there is
                nothing to answer.
        """
        limits = self.server.limits
        deadline = time.monotonic() + limits.head_timeout
        self._transport.handshake(deadline)  # of TLS; plain TCP has no handshake here
        data, checked = b"", 0
        while (end := find_end_of_head(data, checked, limits)) is None:
            left = deadline - time.monotonic()
            piece = self._transport.receive(HEAD_READ_SIZE, left) if left > 0 else None
            if piece is None:
                raise HTTPError(408, f"no complete request within {limits.head_timeout:g} s", "RFC 9110 §15.5.9")
            if not piece:
                raise HTTPError(400 if data else 0, f"the request ended after {len(data)} bytes", "RFC 9112 §8")
            self._transport.received_any = True
            data, checked = data + piece, len(data)
        self._early = data[end:]
        self.__dict__["request"] = request = parse_head(data[:end], limits)
        return request

    def _respond(self, response: Response) -> None:
        """Send a response; a client that does not read it, or is gone, is noticed by the next read."""
        if isinstance(self.request, Request) and self.request.method == "HEAD":
            # RFC 9110 §9.3.2: HEAD is GET, "except that the server MUST NOT send content".
            response = replace(response, body=b"")
        with contextlib.suppress(ConnectionClosed), self._transport.write_lock:
            self._transport.send(build_response(response))

    # -- Chapter 2: upgrade detection -----------------------------------------------

    def _wants_upgrade(self, request: Request) -> bool:
        """Whether the request asks to switch protocols."""
        return handshake.wants_upgrade(request)

    # -- Chapter 3: validation -------------------------------------------------------

    def _validate(self, request: Request) -> None:
        """Raise HTTPError, with every broken rule, unless this is a valid upgrade to WebSocket."""
        handshake.validate(request)

    def _abort_handshake(self, error: HTTPError) -> None:
        """Refuse: a status, and the reasons in the body and in the log."""
        self.server._count(refused=1)
        reasons = "; ".join(_printable(line) for line in str(error).split("\n"))
        # Browsers open connections in advance and may never use them: not worth a line.
        self._log(
            logging.INFO if self._transport.received_any else logging.DEBUG, f"{error.status or 'closed'}: {reasons}"
        )
        if error.status:
            try:
                self._respond(handshake.refusal(error))
            except ValueError:  # its attributes were changed to something that HTTP cannot carry
                logger.exception("%s: the refusal cannot be sent", self._name)
                self._respond(handshake.refusal(SERVER_FAILED))

    # -- Chapter 4: complete_upgrade ----------------------------------------------------

    def _complete_upgrade(self, request: Request) -> tuple[str | None, str | None, DeflateParameters | None]:
        """Accept: answer 101, and speak WebSocket from then on.

        Returns:
            What was negotiated: subprotocol, extensions, parameters of compression.
        """
        subprotocol = handshake.choose_subprotocol(request, self.subprotocols)
        extensions, parameters = self._choose_extensions(request)
        response = handshake.complete_upgrade(request, subprotocol, extensions)
        self._accepted = True
        self._respond(response)
        return subprotocol, extensions, parameters

    # -- Chapter 9: compression ---------------------------------------------------------

    def _choose_extensions(self, request: Request) -> tuple[str | None, DeflateParameters | None]:
        """Accept permessage-deflate, if the client offers it and the server is so configured.

        Returns:
            The response's Sec-WebSocket-Extensions, and the negotiated parameters; else None, None.
        """
        config = self.server.compression
        if config is not None:
            for offer in parse_extensions(request.headers.get("Sec-WebSocket-Extensions")):
                if offer.name == deflate.NAME and (accepted := deflate.accept_offer(offer.parameters, config)):
                    parameters, element = accepted
                    return element, parameters
        return None, None

    # -- Chapter 5: the 426 fallback ----------------------------------------------------

    def _fallback(self, request: Request) -> None:
        """Answer a request that is not an upgrade: 426, and how to upgrade."""
        self._check_path(request)
        self.server._count(refused=1)
        self._log(logging.INFO, f"426: {request.method} {quote_ascii(request.path)}")
        scheme = "wss" if self._transport.secure else "ws"
        # The text invites to paste this into a console: echo only what is harmless there.
        host, path = request.host, request.path
        if not re.fullmatch(r"[0-9A-Za-z.:\[\]-]{1,100}", host):
            host = self.server.host_and_port
        if not re.fullmatch(r"[0-9A-Za-z._~%/-]{1,100}", path):
            path = "/"
        self._respond(handshake.upgrade_required(request, self.server.page, f"{scheme}://{host}{path}"))

    # -- Chapters 6 to 8: the conversation ------------------------------------------------

    def _converse(self, subprotocol: str | None, extensions: str | None, parameters: DeflateParameters | None) -> None:
        """Everything between the 101 and the end of TCP."""
        connection = make_connection(
            Role.SERVER, self.server.limits, parameters=parameters, compression=self.server.compression
        )
        if self._early:
            connection.receive(self._early)
        channel = Channel(self._transport, connection, subprotocol=subprotocol, extensions=extensions)
        self._channel = channel
        self.server._count(opened=1)
        self._log(logging.INFO, f"101: {quote_ascii(self.request.path)}")
        try:
            if self.server._is_closing:  # it went down while the 101 was on its way
                self._go_away()
            self._finish_close(channel, self._run_hooks(channel))
        finally:
            self.server._backlog_writer.forget(self._transport)
            self.server._mark_closed(self)
            self.server._count(closed=1)

    def _run_hooks(self, channel: Channel) -> Closed:
        """Call ``on_open``, then a hook for each event, until the connection is over."""
        connection, opened, deliver, batching = channel.connection, False, True, False
        writer, transport = self.server._backlog_writer, channel.transport
        message: str | bytes | None
        while True:
            try:
                if not opened:
                    opened = True
                    self.on_open()
                    self.server._mark_open(self)
                while True:
                    for message in connection.messages():  # the most frequent events, sooner
                        if not batching and connection.more_follows:
                            batching = writer.start_batch(transport)
                        if deliver:
                            self.on_message(message)
                    event = connection.next_event()
                    if event is None:
                        break
                    if not batching and connection.more_follows:
                        batching = writer.start_batch(transport)
                    if isinstance(event, Closed):
                        return event
                    if event.reply:
                        channel.reply(event.reply)
                    if deliver and isinstance(event, Message):
                        self.on_message(event.data)
                    elif deliver and isinstance(event, Pong):
                        self.on_pong(event.data)
                message = event = None  # keep nothing while waiting
                if batching:
                    batching = False
                    writer.end_batch(transport)
                channel.read()
            except BaseException as error:  # a hook may raise anything, and the connection must end well
                if isinstance(error, ConnectionClosed) and not channel.can_send:
                    # The hook was sending to a client that had gone: not its fault.  It still
                    # gets the messages that came before.
                    self._log(logging.DEBUG, f"not sent: {error}")
                else:
                    logger.exception("%s: a hook failed", self._name)
                    if not deliver:  # hooks are off already: it is our mistake, and could repeat endlessly
                        channel.transport.abort("the server failed")
                        connection.receive(b"")
                        continue
                    deliver = False  # its state is unknown: it gets nothing more
                    channel.close(CloseCode.INTERNAL_ERROR)

    def _finish_close(self, channel: Channel, closed: Closed) -> None:
        """Send the last Close, write the log, call the hook."""
        channel.closed = closed = channel.finish_close(closed)
        why = str(closed.error or "") or channel.transport.abort_reason
        side, how = "us" if closed.initiated_locally else "the client", "clean" if closed.was_clean else "not clean"
        received = f"received {closed.code}" if closed.code != CloseCode.ABNORMAL else "no Close came (1006)"
        received += f" {quote_ascii(closed.reason)}" if closed.reason else ""
        self._log(
            logging.WARNING if closed.error else logging.INFO,
            f"closed by {side}, {how}: {received}, sent {closed.sent_code or 'none'}" + (f": {why}" if why else ""),
        )
        self.server._mark_closed(self)
        try:
            self.on_close(closed.code, closed.reason)
        except ConnectionClosed as error:
            self._log(logging.DEBUG, f"not sent: {error}")
        except BaseException:
            logger.exception("%s: on_close failed", self._name)

    # -- Chapter 10: many clients ------------------------------------------------------------

    def _check_path(self, request: Request) -> None:
        """404 for a path that this handler does not serve."""
        if self.paths is not None and request.path not in self.paths:
            known = ", ".join(self.paths)
            raise HTTPError(404, f"no handler for {quote_ascii(request.path)}; there are {known}", "RFC 6455 §4.2.2")

    def _send_nowait(self, wire: bytes) -> bool:
        """Send a broadcast's frame; False: a part is queued.

        Raises:
            ConnectionClosed: It has no 101 yet, it is closing, or too much is queued: then it is aborted.
        """
        done = (self._channel or self._not_open()).send_nowait(wire)
        if not done:
            self.server._backlog_writer.add(self._transport)
        return done

    def _go_away(self) -> None:
        """The server is going down: send Close 1001, without waiting."""
        if self._channel is not None:
            if not self._channel.close(CloseCode.GOING_AWAY, "the server is going down", wait=False):
                self.server._backlog_writer.add(self._transport)
        elif not self._accepted:  # (while the 101 is on its way: _converse looks again)
            self._abort("the server is going down")

    def _abort(self, why: str) -> None:
        """End TCP now, from any thread."""
        self._transport.abort(why)

    # -- Chapter 11: out in the world ----------------------------------------------------------

    def _authorize(self, request: Request) -> None:
        """Raise HTTPError unless this client may connect: its path, its page's origin, your own check."""
        self._check_path(request)
        check_origin(
            request,
            allowed=self.server.allowed_origins,
            secure=self._transport.secure,
            loopback=self.server.is_loopback,
        )
        answer: Any = self.check_request(request)  # type: ignore[func-returns-value]
        if answer is not None:
            raise TypeError(
                f"check_request returned {answer!r}: it raises HTTPError to refuse a client, else returns None"
            )

    @property
    def _name(self) -> str:
        """The client's address, for logs."""
        return name_of(self.client_address)

    def _log(self, level: int, message: str) -> None:
        """Log a line about this connection.  Received text in it is quoted (:func:`quote_ascii`)."""
        logger.log(level, "%s %s", self._name, message)

    # -- Safe to subclass --------------------------------------------------------------------

    def __init_subclass__(cls, *, overrides_internals: bool = False, **options: Any) -> None:
        """Refuse a subclass that cannot work, in a sentence.

        Args:
            overrides_internals: Do not check: the subclass knows what it does, and may break with
                the next version.
        Raises:
            TypeError: It overrides an internal name, its hook is async, a generator or takes other
                arguments, or an option has the wrong type.
        """
        super().__init_subclass__(**options)
        if not overrides_internals:
            check_subclass(cls, OWN)

    def __setattr__(self, name: str, value: object) -> None:
        """Refuse an attribute of a subclass that would replace one of wsref's own."""
        if name in OWN.methods or (name in OWN.attributes and name in self.__dict__):
            raise AttributeError(f"{type(self).__name__}.{name} is wsref's own: choose another name")
        super().__setattr__(name, value)


#: The names that mean something to wsref; see :mod:`wsref.network.subclassing`.
OWN = OwnNames(
    WebSocketHandler,
    hooks={"check_request": 1, "on_open": 0, "on_message": 1, "on_pong": 1, "on_close": 2},
    calls={"send", "send_fragments", "ping", "close"},
    options={"subprotocols", "paths"},
    attributes={"request", "client_address", "server", "_transport", "_early", "_channel", "_accepted"},
)

#: The answer when the server itself fails.
SERVER_FAILED = HTTPError(500, "the server failed", "RFC 9110 §15.6.1")


def _printable(text: str) -> str:
    """A line of the log: control characters and the like escaped."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
