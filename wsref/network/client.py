"""Chapter 0: the browser's ``WebSocket``, for Python.

::

    with wsref.connect("ws://127.0.0.1:8765/echo") as ws:
        ws.send("hi")
        print(ws.recv())            # str for text, bytes for binary
        for message in ws:          # until the server closes
            print(message)

The client writes a request where the server reads one, reads a response and validates it
(:mod:`wsref.protocol.client_handshake`).  After that both use the same
:class:`~wsref.network.channel.Channel`, in another role: the client masks (§5.1), and waits
for the server to end TCP first (§7.1.1).

There is no background thread.  Bytes are read while a caller waits: in :meth:`WebSocket.recv`,
:meth:`~WebSocket.ping` or :meth:`~WebSocket.close`; only then are the server's Pings answered.

Left out: proxies (§4.1 item 3 allows a direct connection), redirects (the error names the
target), cookies (pass a header), and reconnecting (§7.2.3: a client that does it SHOULD wait a
random time first, and longer each time).
"""

from __future__ import annotations

import contextlib
import errno
import logging
import math
import re
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TypeVar

from ..protocol import deflate
from ..protocol.client_handshake import HandshakeFailed, build_handshake, check_response, new_key
from ..protocol.connection import Closed, Message, Ping, Pong
from ..protocol.deflate import Compression
from ..protocol.errors import ConnectionClosed, HTTPError, quote_ascii
from ..protocol.http11 import Response, build_request, parse_response
from ..protocol.limits import Limits
from ..protocol.spec import CloseCode, Role, State
from ..protocol.url import URL, parse_url
from .channel import Channel, make_connection
from .tap import Tap, Tapped, TappedTLS
from .tls import TLSTransport
from .transport import Transport

logger = logging.getLogger("wsref")

#: Bytes that a read of the response's head, or of a refusal's body, asks for.
HEAD_READ_SIZE = 16 * 1024

#: Bytes of a refusal's body that are read.
MAX_BODY = 16 * 1024

#: Bytes that a kept message counts in addition to its own: an empty one takes memory, too.
PER_MESSAGE = 64

Result = TypeVar("Result")


# -- Connecting -----------------------------------------------------------------------


def connect(
    url: str,
    *,
    subprotocols: Sequence[str] = (),
    origin: str | None = None,
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    ssl_context: ssl.SSLContext | None = None,
    timeout: float = 10.0,
    compression: Compression | None = Compression(),
    limits: Limits = Limits(),
    tap: Tap | None = None,
) -> WebSocket:
    """Open a WebSocket.

    Args:
        url: ``ws://host:port/path?query`` or ``wss://...``.
        subprotocols: Names to offer, the best first.
        origin: Value of the Origin header; None: no such header.
        headers: Further headers: cookies, an ``Authorization``.
        ssl_context: For ``wss``; None: trust the system's certificates.
        timeout: Seconds for TCP, TLS and the handshake together.  (The system's resolver has
            its own timeout; its time counts, but cannot be cut short.)
        compression: Offer permessage-deflate; None: do not.
        limits: Of the response's head, of messages, and timeouts once it is open.
        tap: Called with all bytes that pass, see :mod:`wsref.network.tap`.
    Returns:
        An open :class:`WebSocket`.
    Raises:
        ValueError: An invalid URL, subprotocol or header, or an ``ssl_context`` for ``ws``:
            nothing was sent.
        HandshakeFailed: The server's response did not open a WebSocket.
        TimeoutError: It took longer than ``timeout``.
        ssl.SSLCertVerificationError: The server's certificate is not trusted, or not for this
            host.
        OSError: No answer: no such host, connection refused, no route.
    Source:
        RFC 6455 §4.1.
    """
    where = parse_url(url)
    if ssl_context is not None and not where.secure:
        raise ValueError("an ssl_context is for wss://; this is ws://")
    if not timeout > 0:
        raise ValueError(f"timeout must be more than 0 seconds, not {timeout!r}")
    request = build_handshake(
        where,
        new_key(),
        subprotocols=subprotocols,
        origin=origin,
        extensions=None if compression is None else deflate.build_offer(compression),
        headers=headers.items() if isinstance(headers, Mapping) else headers,
    )
    wire = build_request(request)
    if where.secure and ssl_context is None:
        ssl_context = ssl.create_default_context()

    deadline = time.monotonic() + timeout
    addresses = _addresses(where)
    failures = []
    for n, (family, address) in enumerate(addresses):
        with _turn(address, deadline):
            # An address that does not answer must not use up the time of the others.
            seconds = (deadline - time.monotonic()) / (len(addresses) - n)
            try:
                sock = _dial(family, address, seconds)
            except OSError as error:
                failures.append((f"{address[0]} port {address[1]}: {error.strerror or error}", error.errno))
                continue
            with contextlib.ExitStack() as on_failure:
                on_failure.callback(sock.close)
                transport = _make_transport(sock, where, ssl_context, limits, tap)
                _tls_handshake(transport, where, deadline)
                with transport.write_lock, contextlib.suppress(ConnectionClosed):  # the first read notices
                    transport.send(wire)
                response, early = _read_response(transport, deadline, limits)
                subprotocol, parameters = check_response(request, response, compression)
                on_failure.pop_all()
        connection = make_connection(Role.CLIENT, limits, parameters=parameters, compression=compression)
        if early:
            connection.receive(early)  # the bytes after the 101 belong to the WebSocket
        extensions = response.headers.get("Sec-WebSocket-Extensions")
        return WebSocket(Channel(transport, connection, subprotocol=subprotocol, extensions=extensions), str(where))
    # By its number, OSError becomes a ConnectionRefusedError, a TimeoutError, ...
    raise OSError(failures[-1][1] or errno.ETIMEDOUT, f"cannot connect: {'; '.join(why for why, _ in failures)}")


def _addresses(url: URL) -> list[tuple[socket.AddressFamily, tuple[str, int]]]:
    """Ask the system's resolver; keep its order."""
    try:
        found = socket.getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise socket.gaierror(error.errno, f"no such host: {quote_ascii(url.host)} ({error.strerror})") from None
    return [(family, address) for family, _, _, _, address in found]  # type: ignore[misc]


_connecting: set[tuple[str, int]] = set()  # addresses to which a connection is in the state CONNECTING
_connecting_changed = threading.Condition()


@contextlib.contextmanager
def _turn(address: tuple[str, int], deadline: float) -> Iterator[None]:
    """§4.1 item 2: "There MUST be no more than one connection in a CONNECTING state" to one
    host and port, by its IP address; "the client MUST serialize them".

    So a program cannot open a thousand connections to a server that answers none of them.
    """
    address = address[:2]
    with _connecting_changed:
        left = deadline - time.monotonic()
        if not _connecting_changed.wait_for(lambda: address not in _connecting, max(left, 0.0)):
            raise TimeoutError(f"another connection to {address[0]} port {address[1]} is still being opened (§4.1)")
        _connecting.add(address)
    try:
        yield
    finally:
        with _connecting_changed:
            _connecting.discard(address)
            _connecting_changed.notify_all()


def _dial(family: socket.AddressFamily, address: tuple[str, int], timeout: float) -> socket.socket:
    """Open a TCP connection."""
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.settimeout(max(timeout, 0.001))
        sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock


def _make_transport(
    sock: socket.socket, url: URL, context: ssl.SSLContext | None, limits: Limits, tap: Tap | None
) -> Transport:
    # §4.1 item 5: the TLS handshake names the host (SNI).  Certificates have no final dot.
    host = url.host.removesuffix(".")
    if tap is None:
        return Transport(sock, limits) if context is None else TLSTransport(sock, context, limits, server_hostname=host)
    tapped: Tapped = Tapped(sock, limits)
    if context is not None:
        tapped = TappedTLS(sock, context, limits, server_hostname=host)
    tapped.tap = tap
    return tapped


def _tls_handshake(transport: Transport, url: URL, deadline: float) -> None:
    """§4.1 item 5: for wss, TLS comes first; if it fails, so does the connection."""
    try:
        transport.handshake(deadline)
    except HTTPError as error:
        if time.monotonic() >= deadline:
            raise TimeoutError(str(error)) from None
        plain = "" if "ALERT" in error.reason else f"; the port may not speak TLS: try ws://{url.host}:{url.port}"
        raise HandshakeFailed(f"{error}{plain}") from None


def _read_response(transport: Transport, deadline: float, limits: Limits) -> tuple[Response, bytes]:
    """Read the response's head, in pieces of any size, and the body of a refusal.

    Returns:
        The response, and the bytes after the head of a 101.
    Raises:
        HandshakeFailed: It is not HTTP, or was cut off.
        TimeoutError: The deadline has passed.
    """
    data, checked = b"", 0
    while True:
        found = None
        if data.find(b"\r\n\r\n", max(checked - 3, 0)) >= 0 or len(data) > limits.max_head:
            try:
                found = parse_response(data, 0, limits)
            except HTTPError as error:
                raise HandshakeFailed(f"the response is not HTTP/1.1: {error}") from None
        if found is not None:
            response, end = found
            data, checked = data[end:], 0
            if response.status == 101:
                return response, data
            if response.status >= 200:
                return replace(response, body=_read_body(transport, response, data, deadline)), b""
            continue  # RFC 9110 §15.2: "one or more 1xx responses", such as 103, may come before the response
        _check_is_http(data)
        left = deadline - time.monotonic()
        piece = transport.receive(HEAD_READ_SIZE, left) if left > 0 else None
        if piece is None:
            raise TimeoutError(f"no complete response to the opening handshake in time ({len(data)} bytes came)")
        if not piece:
            when = f"in the middle of its response: {quote_ascii(data)}" if data else "without a response"
            raise HandshakeFailed(f"the server ended the connection {when}")
        data, checked = data + piece, len(data)


def _check_is_http(data: bytes) -> None:
    """Fail early: a server that speaks another protocol may go on for ever."""
    if data[:2] == b"\x15\x03":  # RFC 8446 §5.1: an alert record
        raise HandshakeFailed("the response is a TLS alert: this port speaks wss://, not ws://")
    if not data.startswith(b"HTTP/"[: len(data)]):
        raise HandshakeFailed(f"the server does not speak HTTP: it sent {quote_ascii(data)}")


def _read_body(transport: Transport, response: Response, data: bytes, deadline: float) -> bytes:
    """Read a refusal's body, or the part that comes in time.  RFC 9112 §6.3."""
    if response.status in (204, 304):
        return b""
    chunked = response.headers.elements("Transfer-Encoding")[-1:] == ["chunked"]
    lengths = response.headers.lines("Content-Length")
    size = MAX_BODY
    if not chunked and lengths and re.fullmatch("[0-9]{1,18}", lengths[0]):
        size = min(size, int(lengths[0]))
    while len(data) < size and not (chunked and data.endswith(b"0\r\n\r\n")):
        left = deadline - time.monotonic()
        piece = transport.receive(HEAD_READ_SIZE, left) if left > 0 else None
        if not piece:
            break  # the part that came must do
        data += piece
    return _without_chunks(data)[:size] if chunked else data[:size]


def _without_chunks(data: bytes) -> bytes:
    r"""RFC 9112 §7.1: "A recipient MUST be able to parse and decode the chunked transfer coding."

    >>> _without_chunks(b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n")
    b'abcde'
    """
    chunk_head = re.compile(rb"([0-9A-Fa-f]{1,8})[^\r\n]*\r\n")
    body, at = b"", 0
    while found := chunk_head.match(data, at):
        begin, size = found.end(), int(found[1], 16)
        body += data[begin : begin + size]
        at = begin + size + 2
    return body


# -- The conversation -------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class _PendingPing:
    """A Ping that waits for its Pong."""

    data: bytes
    answered: float | None = None  # monotonic seconds


class WebSocket:
    """One WebSocket connection, from the client's end.  Made by :func:`connect`.

    Its attributes are those of the browser's ``WebSocket``, in snake case.  Where the browser
    has events, this has calls that wait: :meth:`recv` for ``onmessage``, and
    :class:`~wsref.ConnectionClosed` or the end of the iteration for ``onclose``.

    Any thread may call any method.  Of those that wait one reads, for all of them.  But one
    must: while no caller is in :meth:`recv`, :meth:`ping` or :meth:`close`, nothing is read, no
    Ping of the server is answered, and a server whose output is not read may stop reading, so
    that :meth:`send` fails.

    Attributes:
        url: As given to :func:`connect`, normalized.
    """

    def __init__(self, channel: Channel, url: str) -> None:
        self.url = url
        self._channel = channel
        self._sending = 0  # bytes that a send is waiting to write

        self._changed = threading.Condition()  # guards the rest, and ``closed``
        self._reading = False  # whether a thread reads
        self._inbox: deque[Message] = deque()  # messages for recv
        self._inbox_size = 0  # characters or bytes in it, and PER_MESSAGE for each
        self._pings: list[_PendingPing] = []  # in the order in which they were sent
        self._discarded = 0  # messages

    def __repr__(self) -> str:
        return f"<WebSocket {self.url} {self.ready_state.name}>"

    # -- The browser's attributes ------------------------------------------------

    @property
    def ready_state(self) -> State:
        """1 OPEN, 2 CLOSING or 3 CLOSED, as in the browser (0 is over when :func:`connect` returns)."""
        return self._channel.connection.state

    @property
    def protocol(self) -> str | None:
        """The subprotocol that the server chose, or None."""
        return self._channel.subprotocol

    @property
    def extensions(self) -> str | None:
        """The negotiated extensions, such as ``permessage-deflate``, or None."""
        return self._channel.extensions

    @property
    def closed(self) -> Closed | None:
        """How the connection ended, a :class:`~wsref.Closed`; None before that."""
        return self._channel.closed

    @property
    def buffered_amount(self) -> int:
        """Bytes of the message that another thread is sending right now; 0 if none is.

        In a browser ``send`` returns at once and this grows; here ``send`` waits.
        """
        return self._sending

    # -- Calls ---------------------------------------------------------------------

    def send(self, message: str | bytes | bytearray | memoryview, *, compress: bool = True) -> None:
        """Send one message: text for a ``str``, else binary.

        When it returns, the kernel has all of it.  It waits while the server does not read, at
        most for ``limits.send_timeout``.

        Args:
            message: To send.
            compress: Whether it may be compressed, if that was negotiated.  Pass False for
                secrets: see :mod:`wsref.protocol.deflate`.
        Raises:
            ConnectionClosed: The connection is closing or closed, or the server does not read.
                Not all of the message was sent, and nothing more can be.
            TypeError, ValueError: Not a message.
        """
        self._raise_if_closed()
        self._sending = len(message) if hasattr(message, "__len__") else 0  # the channel says what is wrong with it
        try:
            self._channel.send(message, compress)
        finally:
            self._sending = 0

    def recv(self, timeout: float | None = None) -> str | bytes:
        """Return the next message: ``str`` for text, ``bytes`` for binary.

        Args:
            timeout: Seconds; None: as long as the connection lives.
        Raises:
            TimeoutError: None came in time.  Nothing is lost: the part of a message that came is
                kept for the next call.
            ConnectionClosed: There will be none, because the connection is closed; its ``code``
                and ``reason`` say why.  Messages that came before have been returned.
        """
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        message = self._wait_for(self._take_message, deadline)
        if message is not None:
            return message.data
        self._raise_if_closed()
        raise TimeoutError(f"no message within {timeout:g} s")

    def __iter__(self) -> Iterator[str | bytes]:
        """Yield every message until a normal close, see :func:`is_normal`.

        Raises:
            ConnectionClosed: It was not a normal one.
        """
        while True:
            try:
                yield self.recv()
            except ConnectionClosed:
                if self.closed is not None and is_normal(self.closed):
                    return
                raise

    def ping(self, data: bytes = b"", timeout: float | None = None) -> float:
        """Ask the server whether it is alive, which a browser's page cannot do (§5.5.2).

        Messages that come before the answer are kept for :meth:`recv`.

        Args:
            data: At most 125 bytes, which come back.
            timeout: Seconds; None: ``limits.ping_timeout``.
        Returns:
            Seconds from the Ping to its Pong.
        Raises:
            TimeoutError: No answer in time, or too many messages before it (more than
                ``limits.max_backlog`` bytes).
            ConnectionClosed: The connection is closing or closed.
            ValueError: More than 125 bytes.
        """
        seconds = self._channel.transport.limits.ping_timeout if timeout is None else timeout
        self._raise_if_closed()
        transport, pending = self._channel.transport, _PendingPing(bytes(memoryview(data)))
        with transport.write_lock:
            wire = self._channel.connection.ping(data)
            with self._changed:
                self._pings.append(pending)
            began = time.monotonic()
            transport.send(wire)

        def answered() -> float | None:
            if pending.answered is None and self._is_full():
                raise TimeoutError(f"{len(self._inbox)} messages came before the Pong: recv() them first")
            return pending.answered

        try:
            at = self._wait_for(answered, began + seconds)
        finally:
            with self._changed:
                self._pings = [other for other in self._pings if other is not pending]
        if at is not None:
            return at - began
        self._raise_if_closed()
        raise TimeoutError(f"no Pong within {seconds:g} s")

    def close(self, code: int | None = CloseCode.NORMAL, reason: str = "") -> None:
        """Close: send a Close, wait for the server's, and for it to end TCP.  §7.1.1, §7.1.2.

        It waits at most for ``limits.close_timeout``; then it aborts the connection.  On a
        closed connection it does nothing.  Messages that come before the server's Close are
        kept for :meth:`recv`, up to ``limits.max_backlog`` bytes; the log says how many more
        there were.

        Args:
            code: 1000, or 3000 to 4999; None for a Close without a code.
            reason: At most 123 bytes of UTF-8.
        Raises:
            TypeError, ValueError: A code or a reason that no Close may carry.
        """
        seconds = self._channel.transport.limits.close_timeout
        self._channel.close(code, reason)
        self._wait_for(self._discard_some, time.monotonic() + seconds)
        if self.closed is None:
            self._channel.transport.abort(f"our Close was not answered within {seconds:g} s", reset=True)
            self._wait_for(self._discard_some, math.inf)  # it reads the end that we have just made
        if self._discarded:
            logger.warning("%d messages that came after our Close were discarded", self._discarded)
            self._discarded = 0

    def __enter__(self) -> WebSocket:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        # §7.4.1: 1001, "such as ... a browser having navigated away from a page".
        self.close(CloseCode.NORMAL if kind is None else CloseCode.GOING_AWAY)

    # -- Reading: one thread at a time, for all that wait -----------------------------

    def _wait_for(self, take: Callable[[], Result | None], deadline: float) -> Result | None:
        """Read until ``take`` returns something, the connection is closed, or time is up.

        One thread reads; the others wait for what it finds.  When it has what it wants, the
        next one reads.

        Args:
            take: Called under the lock, after each event.
            deadline: Monotonic seconds.  What is there already is found after it, too.
        """
        tried = False
        while True:
            with self._changed:
                while True:
                    result = take()
                    if result is not None or self.closed is not None:
                        return result
                    left = deadline - time.monotonic()
                    if tried and left <= 0:
                        return None
                    if not self._reading:
                        break
                    tried = True
                    self._changed.wait(None if left == math.inf else max(left, 0.0))
                self._reading = tried = True
            try:
                self._take_event(deadline)
            finally:
                with self._changed:
                    self._reading = False
                    self._changed.notify_all()

    def _take_event(self, deadline: float) -> None:
        """Take one event, or read once."""
        event = self._channel.connection.next_event()
        if event is None and self._channel.read(deadline):
            event = self._channel.connection.next_event()  # now: after the deadline nobody asks again
        if event is None:
            return
        if isinstance(event, Message):
            with self._changed:
                self._inbox.append(event)
                self._inbox_size += len(event.data) + PER_MESSAGE
        elif isinstance(event, Ping):
            self._channel.reply(event.reply)
        elif isinstance(event, Pong):
            self._take_pong(event.data)
        else:
            closed: Closed = event
            try:
                try:
                    closed = self._channel.finish_close(event)
                except BaseException:
                    if not self._channel.transport.last_sent:
                        closed = replace(event, was_clean=False, sent_code=None)
                    raise
                finally:
                    self._channel.end()
            finally:  # a KeyboardInterrupt, say: the event will not come again
                with self._changed:
                    self._channel.closed = closed

    def _take_pong(self, data: bytes) -> None:
        """§5.5.3: a Pong may answer "only the most recently processed Ping", and so all before it."""
        with self._changed:
            same = [n for n, ping in enumerate(self._pings) if ping.data == data]
            for ping in self._pings[: same[-1] + 1] if same else ():
                ping.answered = time.monotonic()
            self._pings = [ping for ping in self._pings if ping.answered is None]

    def _take_message(self) -> Message | None:
        if not self._inbox:
            return None
        message = self._inbox.popleft()
        self._inbox_size -= len(message.data) + PER_MESSAGE
        return message

    def _is_full(self) -> bool:
        """Whether no more messages are kept until some are taken."""
        return self._inbox_size > self._channel.transport.limits.max_backlog

    def _discard_some(self) -> None:
        """Discard messages that come while we close, beyond what is kept."""
        while self._is_full():
            self._inbox_size -= len(self._inbox.pop().data) + PER_MESSAGE
            self._discarded += 1

    def _raise_if_closed(self) -> None:
        closed = self.closed
        if closed is not None:
            why = how_it_ended(closed, self._channel.transport.abort_reason)
            raise ConnectionClosed(why, code=closed.code, reason=closed.reason)


def is_normal(closed: Closed) -> bool:
    """Whether a connection ended normally: we closed it, or the server did and had no complaint.

    >>> is_normal(Closed(1000, "bye", 1000, True, False, None, b""))
    True
    >>> is_normal(Closed(1011, "", 1011, True, False, None, b""))
    False
    """
    return closed.was_clean and (
        closed.initiated_locally or closed.code in (CloseCode.NORMAL, CloseCode.GOING_AWAY, CloseCode.NO_STATUS)
    )


def how_it_ended(closed: Closed, abort_reason: str = "") -> str:
    """Say in words how a connection ended, fit for a terminal.

    Args:
        closed: The event.
        abort_reason: Why nothing more could be written, if known.

    >>> how_it_ended(Closed(1001, "bye", 1001, True, False, None, b""))
    "the server closed the connection: 1001 GOING_AWAY 'bye'"
    >>> how_it_ended(Closed(1006, "", None, False, False, None, b""))
    'the connection was lost: TCP ended without a Close (1006)'
    """
    if closed.error is not None:
        return f"the server broke the protocol (we sent {closed.sent_code or 'no Close'}): {closed.error}"
    if closed.code == CloseCode.ABNORMAL:
        known = abort_reason and abort_reason != "the connection is closed"
        return f"the connection was lost: {abort_reason if known else 'TCP ended without a Close'} (1006)"
    name = CloseCode(closed.code).name if closed.code in tuple(CloseCode) else ""
    words = " ".join(filter(None, (str(closed.code), name, quote_ascii(closed.reason, 130) if closed.reason else "")))
    return f"{'we' if closed.initiated_locally else 'the server'} closed the connection: {words}"
