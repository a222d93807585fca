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
import math
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TypeVar

from ..protocol import deflate
from ..protocol.client_handshake import build_handshake, check_response, new_key
from ..protocol.connection import Closed, Message, Ping, Pong
from ..protocol.deflate import Compression
from ..protocol.errors import ConnectionClosed, quote_ascii
from ..protocol.http11 import build_request
from ..protocol.limits import MAX_SECONDS, Limits
from ..protocol.spec import CloseCode, Role, State
from ..protocol.url import parse_url
from .arguments import check_type
from .channel import Channel, make_connection
from .dialing import addresses_of, dial, make_transport, read_response, start_tls, turn
from .log import logger
from .tap import Tap

#: Bytes that a kept message counts in addition to its own: an empty one takes memory, too.
PER_MESSAGE = 64

#: Reads after which a call ends at its deadline, though a frame is arriving: of 512 bytes, 4, 32, then 256 KiB.
MAX_LATE_READS = 8

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
        headers: Further headers: cookies, an ``Authorization``, or the ``Host`` of a virtual host.
        ssl_context: For ``wss``; None: trust the system's certificates.
        timeout: Seconds for TCP, TLS and the handshake together, more than 0.  (The system's
            resolver has its own timeout; its time counts, but cannot be cut short.)
        compression: Offer permessage-deflate; None: do not.
        limits: Of the response's head, of messages, and timeouts once it is open.
        tap: Called with all bytes that pass, see :mod:`wsref.network.tap`.
    Returns:
        An open :class:`WebSocket`.
    Raises:
        TypeError, ValueError: An invalid URL, subprotocol, header or timeout, an ``ssl_context`` for
            ``ws``, or an argument of another type; the message says which: nothing was sent.
        HandshakeFailed: The server's response did not open a WebSocket.
        TimeoutError: It took longer than ``timeout``.
        ssl.SSLCertVerificationError: The server's certificate is not trusted, or not for this
            host.
        OSError: No answer: no such host, connection refused, no route.
    Source:
        RFC 6455 §4.1.
    """
    check_type("url", url, str)
    check_type("limits", limits, Limits)
    check_type("ssl_context", ssl_context, ssl.SSLContext, optional=True)
    check_type("compression", compression, Compression, optional=True)
    where = parse_url(url)
    if ssl_context is not None and not where.secure:
        raise ValueError("an ssl_context is for wss://; this is ws://")
    if not isinstance(timeout, (int, float)) or not 0 < timeout <= MAX_SECONDS:
        raise ValueError(f"timeout must be more than 0 and at most {MAX_SECONDS:,} seconds, not {timeout!r}")
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
    addresses = addresses_of(where)
    failures = []
    for n, (family, address) in enumerate(addresses):
        with turn(address, deadline):
            # An address that does not answer must not use up the time of the others.
            seconds = (deadline - time.monotonic()) / (len(addresses) - n)
            try:
                sock = dial(family, address, seconds)
            except OSError as error:
                failures.append((f"{address[0]} port {address[1]}: {error.strerror or error}", error.errno))
                continue
            with contextlib.ExitStack() as on_failure:
                on_failure.callback(sock.close)
                transport = make_transport(sock, where, ssl_context, limits, tap)
                start_tls(transport, where, deadline)
                with transport.write_lock, contextlib.suppress(ConnectionClosed):  # the first read notices
                    transport.send(wire)
                response, early = read_response(transport, deadline, limits)
                subprotocol, parameters = check_response(request, response, compression, secure=where.secure)
                on_failure.pop_all()
        connection = make_connection(Role.CLIENT, limits, parameters=parameters, compression=compression)
        if early:
            connection.receive(early)  # the bytes after the 101 belong to the WebSocket
        extensions = response.headers.get("Sec-WebSocket-Extensions")
        return WebSocket(Channel(transport, connection, subprotocol=subprotocol, extensions=extensions), str(where))
    # By its number, OSError becomes a ConnectionRefusedError, a TimeoutError, ...
    raise OSError(failures[-1][1] or errno.ETIMEDOUT, f"cannot connect: {'; '.join(why for why, _ in failures)}")


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
        self._reading = 0  # the thread that reads; 0: none
        self._inbox: deque[Message] = deque()  # messages for recv
        self._inbox_size = 0  # characters or bytes in it, and PER_MESSAGE for each
        self._pings: list[_PendingPing] = []  # in the order in which they were sent
        self._discarded = 0  # messages
        self._unread = 0  # messages and Pings that were found only when sending had failed

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

        When it returns, the kernel has all of it.  It waits while the server does not read; if it
        reads less than 64 KiB in ``limits.send_timeout``, the connection is aborted.

        Args:
            message: To send.
            compress: Whether it may be compressed, if that was negotiated.  Pass False for
                secrets: see :mod:`wsref.protocol.deflate`.
        Raises:
            ConnectionClosed: The connection is closing or closed, or the server does not read.
                Not all of the message was sent, and nothing more can be.  The exception's ``code``
                and ``reason`` are those of the server's Close, if there was one.
            TypeError, ValueError: Not a message.
        """
        self._raise_if_closed()
        self._sending = len(message) if hasattr(message, "__len__") else 0  # the channel says what is wrong with it
        try:
            self._channel.send(message, compress)
        except ConnectionClosed:
            self._raise_why_sending_failed()
            raise
        finally:
            self._sending = 0

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
        self._raise_if_closed()
        try:
            self._channel.send_fragments(pieces, compress)
        except ConnectionClosed:
            self._raise_why_sending_failed()
            raise

    def recv(self, timeout: float | None = None) -> str | bytes:
        """Return the next message: ``str`` for text, ``bytes`` for binary.

        Args:
            timeout: Seconds; None or inf: as long as the connection lives; 0 or less: return a
                message that has arrived, and do not wait.
        Raises:
            TimeoutError: None came in time.  Nothing is lost: the part of a message that came is
                kept for the next call.
            ConnectionClosed: There will be none, because the connection is closed; its ``code``
                and ``reason`` say why.  Messages that came before have been returned.
            ValueError: The timeout is nan.
        """
        seconds = math.inf if timeout is None else timeout
        message = self._wait_for(self._take_message, _deadline(seconds))
        if message is not None:
            return message.data
        self._raise_if_closed()
        raise TimeoutError(f"no message within {max(seconds, 0):g} s")

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
            timeout: Seconds; None: ``limits.ping_timeout``; inf: as long as the connection lives;
                0 or less: send the Ping, and do not wait.
        Returns:
            Seconds from the Ping to its Pong.
        Raises:
            TimeoutError: No answer in time, or too many messages before it (more than
                ``limits.max_backlog`` bytes).
            ConnectionClosed: The connection is closing or closed; as for :meth:`send`.
            TypeError, ValueError: Not bytes, or more than 125, or the timeout is nan: nothing was sent.
        """
        seconds = self._channel.transport.limits.ping_timeout if timeout is None else timeout
        deadline = _deadline(seconds)
        self._raise_if_closed()
        transport, pending = self._channel.transport, _PendingPing(bytes(memoryview(data)))

        def answered() -> float | None:
            if pending.answered is None and self._is_full():
                raise TimeoutError(f"{len(self._inbox)} messages came before the Pong: recv() them first")
            return pending.answered

        self._channel.refuse_reentry()
        try:
            with transport.write_lock:
                wire = self._channel.connection.ping(data)
                with self._changed:
                    self._pings.append(pending)
                began = time.monotonic()
                transport.send(wire)
            at = self._wait_for(answered, deadline)
        except ConnectionClosed:
            self._raise_why_sending_failed()
            raise
        finally:
            with self._changed:
                self._pings = [other for other in self._pings if other is not pending]
        if at is not None:
            return at - began
        self._raise_if_closed()
        raise TimeoutError(f"no Pong within {max(seconds, 0):g} s")

    def close(self, code: int | None = CloseCode.NORMAL, reason: str = "") -> None:
        """Close: send a Close, wait for the server's, and for it to end TCP.  §7.1.1, §7.1.2.

        It waits at most for ``limits.send_timeout`` until the server takes the Close, then for
        ``limits.close_timeout`` until the server answers it; then it aborts the connection.  On a
        closed connection it does nothing.  Messages that come before the server's Close are
        kept for :meth:`recv`, up to ``limits.max_backlog`` bytes; the log says how many more
        there were.

        Args:
            code: 1000 to 1003, 1007 to 1014, or 3000 to 4999; None for a Close without a code.
            reason: At most 123 bytes of UTF-8; "" if the code is None.
        Raises:
            TypeError, ValueError: A code or a reason that no Close may carry: nothing was sent.
        """
        seconds = self._channel.transport.limits.close_timeout
        self._channel.close(code, reason)
        self._read_to_end(_deadline(seconds))
        if self.closed is None:
            self._channel.transport.abort(f"our Close was not answered within {seconds:g} s", reset=True)
            self._read_to_end()  # it reads the end that we have just made

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
        me = threading.get_ident()
        tried = 0  # reads, and waits for another thread that reads
        while True:
            with self._changed:
                while True:
                    result = take()
                    if result is not None or self.closed is not None:
                        return result
                    left = deadline - time.monotonic()
                    # By this thread: its read was interrupted, by Ctrl-C or a signal handler that calls us.
                    if self._reading in (0, me):
                        break
                    if tried and left <= 0:
                        return None
                    tried += 1
                    self._changed.wait(min(max(left, 0.0), threading.TIMEOUT_MAX))
                self._reading = me
            try:
                if not self._take_event():
                    # After the deadline: read once, or to the end of a frame that has begun to arrive.
                    in_a_frame = self._channel.connection.bytes_needed and tried < MAX_LATE_READS
                    if (tried and left <= 0 and not in_a_frame) or not self._channel.read(deadline):
                        return None
                    tried += 1
            finally:
                with self._changed:
                    self._reading = 0
                    self._changed.notify_all()

    def _take_event(self) -> bool:
        """Take one event from the bytes that were read; False: they hold no further event."""
        event = self._channel.connection.next_event()
        if event is None:
            return False
        if self._channel.transport.abort_reason and self.ready_state is State.OPEN:
            self._unread += 1
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
        return True

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

    def _read_to_end(self, deadline: float = math.inf) -> None:
        """Read until the connection is closed, and keep some messages."""
        self._wait_for(self._discard_some, deadline)
        if self._discarded:
            logger.warning("%d messages that came before the end were discarded", self._discarded)
            self._discarded = 0

    def _raise_why_sending_failed(self) -> None:
        """A server that closes, and TCP with it, makes sending fail; its Close lies unread."""
        if self._channel.transport.abort_reason:  # TCP has ended: this does not wait
            self._read_to_end()
        self._raise_if_closed()

    def _raise_if_closed(self) -> None:
        closed = self.closed
        if closed is not None:
            why = how_it_ended(closed, self._channel.transport.abort_reason)
            if self._unread:
                why += f"; unread messages and Pings of the server: {self._unread}; recv() reads and answers them"
            raise ConnectionClosed(why, code=closed.code, reason=closed.reason)


def _deadline(timeout: float) -> float:
    """Return the end of a timeout, in monotonic seconds."""
    if math.isnan(timeout):
        raise ValueError("a timeout is a number of seconds, not nan")
    return time.monotonic() + timeout


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
        sent = f"(we sent {closed.sent_code or 'no Close'})"
        if closed.error.section == "§10.4":
            too_big = closed.error.code == CloseCode.TOO_BIG
            limit = "max_message_size=...), or --max-message-size" if too_big else "max_empty_fragments=...)"
            return f"a message exceeds our limit {sent}: {closed.error}; to raise it: limits=Limits({limit}"
        return f"the server broke the protocol {sent}: {closed.error}"
    if closed.code == CloseCode.ABNORMAL:
        known = abort_reason and abort_reason != "the connection is closed"
        return f"the connection was lost: {abort_reason if known else 'TCP ended without a Close'} (1006)"
    name = CloseCode(closed.code).name if closed.code in tuple(CloseCode) else ""
    words = " ".join(filter(None, (str(closed.code), name, quote_ascii(closed.reason, 130) if closed.reason else "")))
    return f"{'we' if closed.initiated_locally else 'the server'} closed the connection: {words}"
