"""Chapters 6 to 9: one endpoint of a connection: bytes in, events out.

The whole protocol without a socket: a server, a client, a notebook, a fuzzer and a test all
use it.  Its user carries the bytes::

    connection = Connection(Role.SERVER)
    connection.receive(data)                       # received bytes, in pieces of any size
    while (event := connection.next_event()) is not None:
        ...                                        # a Message, a Ping, a Pong, or Closed
        transport.write(event.reply)               # the bytes that answer it

Events are *pulled*, one at a time: the state changes when an event is taken, not when its
bytes arrive.  So if two hundred messages and a Close come in one packet, two hundred replies
can leave before the Close is answered.  And while a program is busy with one event, the next
one waits in the network, not in memory.

The peer's error is an event (:class:`Closed`, with the Close frame that answers it); the
caller's error is an exception.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import ClassVar

from .closing import TRANSITIONS, build_close_payload, parse_close_payload
from .deflate import Compression, DeflateParameters, Deflater, Inflater
from .errors import ConnectionClosed, ProtocolError
from .frames import Frame, Header, build_frame, build_header, parse_header
from .limits import Limits
from .masking import apply_mask, unmask_range
from .messages import Assembler, opcode_and_payload
from .spec import (
    CONTROL,
    MASKING_KEY_BYTES,
    MAX_CONTROL_PAYLOAD,
    RSV1,
    CloseCode,
    Opcode,
    Role,
    State,
)


@dataclass(frozen=True, slots=True)
class Message:
    """A whole message: ``str`` for text, ``bytes`` for binary.  §6.2."""

    data: str | bytes
    reply: ClassVar[bytes] = b""  # the protocol asks for no answer to a message


@dataclass(frozen=True, slots=True)
class Ping:
    """The peer's question whether we are alive; ``reply`` is the Pong.  §5.5.2."""

    data: bytes
    reply: bytes


@dataclass(frozen=True, slots=True)
class Pong:
    """The peer's answer to our Ping, or an unsolicited sign of life.  §5.5.3."""

    data: bytes
    reply: ClassVar[bytes] = b""


@dataclass(frozen=True, slots=True)
class Closed:
    """The end of the connection, and its last event.

    Attributes:
        code: From the peer's Close; 1005 if it had no code, 1006 if there was no Close (§7.1.5).
        reason: From the peer's Close.
        sent_code: The code of our Close, which was sent before or is in ``reply``: 1005 if it has
            no code; None if we have sent no Close.
        was_clean: Whether both sides sent a Close (§7.1.4).  If ours came first and the peer's
            answered it, then everything that we sent before has reached its program; nothing
            else proves that.
        initiated_locally: Whether this side ended the connection: by its Close, by failing it,
            or by aborting it because the peer was silent or did not read.
        error: The rule that the peer broke, if that is the reason.
        reply: The Close to answer with, or b"".
    """

    code: int
    reason: str
    sent_code: int | None
    was_clean: bool
    initiated_locally: bool
    error: ProtocolError | None = field(compare=False)  # exceptions are equal to themselves only
    reply: bytes


Event = Message | Ping | Pong | Closed


class Connection:
    """A WebSocket connection from the 101 on, §5 to §7, without I/O.

    One thread calls :meth:`receive` and :meth:`next_event`.  :meth:`send`, :meth:`ping`,
    :meth:`pong` and :meth:`close` may be called from any thread, under a lock of the caller's
    that is held until the returned bytes are written: the order of the calls must be the order
    of the bytes.

    Its state is that of two directions and of the closing handshake between them, so it has
    more attributes than most classes here.

    Args:
        role: Our end.
        limits: ``max_message_size`` and ``max_empty_fragments`` apply.
        parameters: Of permessage-deflate, as negotiated; None: no compression.
        compression: How we compress, if negotiated.

    >>> server = Connection(Role.SERVER)
    >>> server.receive(bytes.fromhex("8185 37fa213d 7f9f4d5158"))  # §5.7
    >>> server.next_event()
    Message(data='Hello')
    >>> server.next_event() is None
    True
    >>> server.send("Hello").hex(" ")
    '81 05 48 65 6c 6c 6f'
    """

    def __init__(
        self,
        role: Role,
        limits: Limits = Limits(),
        *,
        parameters: DeflateParameters | None = None,
        compression: Compression = Compression(),
    ) -> None:
        self.role = role
        self.limits = limits
        self.state = State.OPEN

        self.more_follows = False  # unprocessed bytes follow the event that was taken last

        self._buffer = b""  # bytes received ...
        self._offset = 0  # ... of which this many are processed
        self._eof = False  # the peer has ended TCP
        self._header: Header | None = None  # of the data frame whose payload is arriving
        self._bytes_needed = 0  # of that payload
        self._message = Assembler(limits, compression=parameters is not None)
        self._inflater = Inflater(parameters, role) if parameters is not None else None
        self._deflater = Deflater(parameters, role, compression) if parameters is not None else None

        self._closing_lock = threading.Lock()  # two threads may close at once; one Close is sent
        self._close_sent: int | None = None  # the code of our Close, 1005 if it has none
        self._closed = False  # Closed was taken: there are no more events

    # -- Receiving -----------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Take bytes from the peer; b"" means that the peer ended TCP.

        Take all events before the next call.
        """
        if not data:
            self._eof = True
            if self._closed:
                self.state = State.CLOSED
        elif not self._closed:  # §7.1.7: after the end nothing is processed
            self._buffer = self._buffer + data if self._buffer else data

    @property
    def bytes_needed(self) -> int:
        """Bytes still missing of the data frame that is arriving: a good size for the next read."""
        return self._bytes_needed

    def messages(self) -> Iterator[str | bytes]:
        """Yield nothing: :meth:`next_event` gives every message.

        A faster subclass, :class:`wsref.fast.connection.FastConnection`, yields the next whole messages.
        """
        return iter(())

    def next_event(self) -> Event | None:
        """Return what happened next; None: nothing until more bytes come.

        Cost:
            Linear in the bytes that it processes, for pieces of every size.
        """
        if self._closed:
            return None
        try:
            event = self._next_event()
        except ProtocolError as error:
            return self._fail(error)
        if event is None:
            self._buffer, self._offset = self._buffer[self._offset :], 0  # an idle connection keeps nothing
            if self._eof:
                return self._tcp_ended()
        self.more_follows = self._offset < len(self._buffer)
        return event

    def _next_event(self) -> Event | None:
        while True:
            if self._header is None:
                header = parse_header(
                    self._buffer,
                    self._offset,
                    masked=self.role is Role.SERVER,  # §5.1: a client masks, a server does not
                    max_payload=self._message.remaining,
                    rsv_allowed=0 if self._inflater is None else RSV1,  # §5.2: the extension defines it
                )
                if header is None:
                    return None
                if header.opcode & CONTROL:
                    return self._control_frame(header)
                self._message.begin_frame(header)
                self._offset += header.size
                self._header, self._bytes_needed = header, header.length
            self._take_payload(self._header)
            if self._bytes_needed:
                return None
            header, self._header = self._header, None
            if header.fin:
                return self._end_message()

    def _take_payload(self, header: Header) -> None:
        """Use what has arrived of the payload, so that invalid UTF-8 fails before the frame is complete."""
        begin = self._offset
        end = min(begin + self._bytes_needed, len(self._buffer))
        piece: bytes | bytearray = self._buffer[begin:end]
        if header.masking_key:
            done = (header.length - self._bytes_needed) % MASKING_KEY_BYTES
            piece = unmask_range(self._buffer, begin, end, header.masking_key[done:] + header.masking_key[:done])
        self._offset = end
        self._bytes_needed -= end - begin
        if self._inflater is not None and self._message.compressed:
            for inflated in self._inflater.inflate(piece):
                self._message.add(inflated)
        else:
            self._message.add(piece)

    def _end_message(self) -> Message:
        if self._inflater is not None and self._message.compressed:
            for inflated in self._inflater.end_message():
                self._message.add(inflated)
        return Message(self._message.end_message())

    def _control_frame(self, header: Header) -> Event | None:
        """§5.5: control frames may come between the fragments of a message, and change nothing there."""
        begin = self._offset + header.size
        end = begin + header.length
        if len(self._buffer) < end:
            return None
        self._offset = end
        payload = self._buffer[begin:end]
        if header.masking_key:
            payload = apply_mask(payload, header.masking_key)
        if header.opcode is Opcode.PING:
            # §5.5.3: the Pong "must have identical Application data".
            return Ping(payload, self._frame(Opcode.PONG, payload))
        if header.opcode is Opcode.PONG:
            return Pong(payload)
        return self._receive_close(payload)

    # -- The three ways in which a connection ends ------------------------------

    def _receive_close(self, payload: bytes) -> Closed:
        """§5.5.1: "If an endpoint receives a Close frame and did not previously send a
        Close frame, the endpoint MUST send a Close frame in response."
        """
        code, reason = parse_close_payload(payload)
        reply = self._close_frame(payload[:2], "receive Close")  # "typically echos the status code it received"
        self._end("receive Close")
        return Closed(int(code), reason, self._close_sent, True, not reply, None, reply)

    def _fail(self, error: ProtocolError) -> Closed:
        """§7.1.7, *Fail the WebSocket Connection*: say why, and process nothing more."""
        reason = str(error).encode()[: MAX_CONTROL_PAYLOAD - 2].decode(errors="ignore").encode()
        reply = self._close_frame(error.code.to_bytes(2, "big") + reason, "fail")
        self._end("fail")
        return Closed(int(CloseCode.ABNORMAL), "", self._close_sent, False, True, error, reply)

    def _tcp_ended(self) -> Closed:
        """§7.1.5: "If the WebSocket Connection is Closed and no Close control frame was
        received", the code is 1006.
        """
        self._end("TCP ends")
        initiated_locally = self._close_sent is not None
        return Closed(int(CloseCode.ABNORMAL), "", self._close_sent, False, initiated_locally, None, b"")

    def _end(self, cause: str) -> None:
        """No more events.  §7.1.7: "MUST NOT continue to attempt to process data"."""
        with self._closing_lock:
            self.state = TRANSITIONS[self.state, cause]
            if self._eof and self.state is not State.CLOSED:  # TCP had ended before this event was taken
                self.state = TRANSITIONS[self.state, "TCP ends"]
            self._closed = True
        self._buffer, self._offset, self._header, self._bytes_needed = b"", 0, None, 0

    def _close_frame(self, payload: bytes, cause: str) -> bytes:
        """A Close frame; b"" if we sent one before (each side sends one) or TCP has ended."""
        with self._closing_lock:
            if self.state is not State.OPEN:
                return b""
            self.state = TRANSITIONS[self.state, cause]
            self._close_sent = int.from_bytes(payload[:2], "big") or int(CloseCode.NO_STATUS)
        return self._frame(Opcode.CLOSE, payload)

    # -- Sending -----------------------------------------------------------------

    def send(self, message: str | bytes | bytearray | memoryview, *, compress: bool = True) -> bytes:
        """Return the frame of a message: text for a ``str``, else binary.

        Args:
            message: To send.
            compress: Whether it may be compressed, if that was negotiated and the message is
                long enough.  Pass False for secrets (RFC 7692 §8).
        Raises:
            ConnectionClosed: The connection is not open.
            TypeError, ValueError: Not a message, or text that UTF-8 cannot encode.
        """
        opcode, payload, rsv = self._outgoing(message, compress)
        return self._frame(opcode, payload, rsv=rsv)

    def send_fragments(self, pieces: Iterable[str | bytes], *, compress: bool = True) -> Iterator[bytes]:
        """Yield the frames of one message, each as soon as its piece is known (§5.4).

        A last frame, without payload unless compression left some, says that there is no more.

        Args:
            pieces: At least one: all ``str``, or all bytes.
            compress: As for :meth:`send`.
        Raises:
            ConnectionClosed, TypeError, ValueError: As :meth:`send`.  After the first frame the
                connection must then be closed: the message cannot be completed.

        >>> [frame.hex(" ") for frame in Connection(Role.SERVER).send_fragments(["Hel", "lo"])]
        ['01 03 48 65 6c', '00 02 6c 6f', '80 00']
        """
        self._outgoing(b"", False)  # raises if the connection is not open
        deflater = self._deflater if compress else None
        kind, first, rsv = None, True, RSV1 if deflater is not None else 0
        for piece in pieces:
            opcode, payload = opcode_and_payload(piece)
            if kind not in (None, opcode):
                raise TypeError("the pieces of a message are all str (text) or all bytes (binary)")
            kind = opcode
            if deflater is not None:
                payload = deflater.compress(payload, last=False)
            if payload:
                yield self._frame(kind if first else Opcode.CONTINUATION, payload, fin=False, rsv=rsv)
                first, rsv = False, 0  # RFC 7692 §6.1: RSV1 on the first frame only
        if kind is None:
            raise ValueError("a message has at least one piece, which may be empty: it says whether this is text")
        payload = b"" if deflater is None else deflater.compress(b"")
        yield self._frame(kind if first else Opcode.CONTINUATION, payload, rsv=rsv)

    def send_parts(
        self, message: str | bytes | bytearray | memoryview, *, compress: bool = True
    ) -> tuple[bytes, bytes]:
        """As :meth:`send`, in two parts to write one after the other; the second may be empty.

        A faster subclass leaves a long payload apart from its header, to save a copy.
        """
        return self.send(message, compress=compress), b""

    def _outgoing(self, message: str | bytes | bytearray | memoryview, compress: bool) -> tuple[Opcode, bytes, int]:
        """Opcode, payload and RSV bits of a message's first frame."""
        if self.state is not State.OPEN:
            raise ConnectionClosed(f"cannot send: the connection is {self.state.name} (RFC 6455 §6.1)")
        opcode, payload = opcode_and_payload(message)
        if self._deflater is not None and compress and len(payload) >= self._deflater.threshold:
            return opcode, self._deflater.compress(payload), RSV1
        return opcode, payload, 0

    def restart_compression(self) -> None:
        """Forget the messages that were compressed: the last one was perhaps not sent.

        The peer could not follow a reference to it, or would take other bytes for it (RFC 7692 §7.2.3.2).
        """
        if self._deflater is not None:
            self._deflater.restart()

    def ping(self, data: bytes = b"") -> bytes:
        """Return the bytes of a Ping; the peer answers with a Pong that has the same data.

        Raises:
            ConnectionClosed: The connection is not open.
            ValueError: More than 125 bytes (§5.5).
        """
        return self._ping_or_pong(Opcode.PING, data)

    def pong(self, data: bytes = b"") -> bytes:
        """Return the bytes of an unsolicited Pong, "a unidirectional heartbeat" (§5.5.3).

        Raises:
            ConnectionClosed, ValueError: As :meth:`ping`.
        """
        return self._ping_or_pong(Opcode.PONG, data)

    def _ping_or_pong(self, opcode: Opcode, data: bytes) -> bytes:
        if self.state is not State.OPEN:
            raise ConnectionClosed(f"cannot send a {opcode.name}: the connection is {self.state.name}")
        payload = bytes(memoryview(data))  # bytes(5) would be five zeros
        if len(payload) > MAX_CONTROL_PAYLOAD:
            raise ValueError(f"a {opcode.name} holds at most 125 bytes (RFC 6455 §5.5), not {len(payload)}")
        return self._frame(opcode, payload)

    def close(self, code: int | None = CloseCode.NORMAL, reason: str = "") -> bytes:
        """Return the bytes of a Close; b"" if one was sent before, or TCP has ended.

        From now on the connection is CLOSING: nothing more can be sent, and the peer's Close
        is awaited.  Messages may come before it.

        Args:
            code: 1000, 1001, ... or 3000 to 4999; None for a Close without a code.
            reason: At most 123 bytes of UTF-8.
        Raises:
            TypeError, ValueError: See :func:`~wsref.protocol.closing.build_close_payload`.
        """
        return self._close_frame(build_close_payload(code, reason, role=self.role), "send Close")

    def _frame(self, opcode: Opcode, payload: bytes, *, fin: bool = True, rsv: int = 0) -> bytes:
        if self.role is Role.SERVER:
            return build_header(opcode, len(payload), fin=fin, rsv=rsv) + payload
        # §5.3: "The masking key needs to be unpredictable", a new one for each frame.
        return build_frame(Frame(opcode, payload, fin, rsv), os.urandom(MASKING_KEY_BYTES))
