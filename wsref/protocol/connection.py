"""Chapters 6 to 8: one endpoint of a connection: bytes in, events out.

All of the protocol, and no socket: what a server, a client, a notebook, a fuzzer
and a test have in common.  Its user carries bytes::

    connection = Connection(Role.SERVER)
    connection.receive(data)                       # whatever came, in any pieces
    while (event := connection.next_event()) is not None:
        ...                                        # a Message, a Ping, a Pong, or Closed
        transport.write(event.reply)               # what we owe the peer for it

Events are *pulled*, one at a time: the state moves when an event is taken, not
when its bytes came in.  So if two hundred messages and a Close come in one packet,
two hundred replies can leave before the Close is answered, and a program that is
slow with one event has the next one wait in the network, not in memory.

What the peer does wrong is an event (:class:`Closed`, with the Close frame that
tells it); what the caller does wrong is an exception.
"""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

from .closing import TRANSITIONS, build_close_payload, parse_close_payload
from .deflate import Agreement, Compression, Deflater, Inflater
from .errors import ConnectionClosed, ProtocolError
from .frames import Frame, Header, apply_mask, build_frame, build_header, parse_header, unmasked
from .limits import Limits
from .messages import Assembler, decode, opcode_and_payload
from .spec import (
    CONTROL,
    FIN,
    LENGTH_16,
    MASK,
    MASKING_KEY_BYTES,
    MAX_CONTROL_PAYLOAD,
    RSV1,
    CloseCode,
    Opcode,
    Role,
    State,
)

#: A member of an enumeration, looked up once: each ``State.OPEN`` takes 0.08 µs (CPython 3.11).
_OPEN = State.OPEN

#: First bytes of a message that is one frame: not compressed, and compressed.
_TEXT, _BINARY = int(FIN | Opcode.TEXT), int(FIN | Opcode.BINARY)
_COMPRESSED = _COMPRESSED_TEXT, _COMPRESSED_BINARY = _TEXT | RSV1, _BINARY | RSV1

#: A short frame's first bytes and its masking key, as a number with the first octet lowest.
_START = struct.Struct("<BBI")
#: Times so many, that number is as if the key were written so many times in a row.
_KEY_TIMES = [int.from_bytes(b"\1\0\0\0" * times, "little") for times in range(LENGTH_16 // 4 + 2)]
_int_from_bytes = int.from_bytes  # looked up once: 0.1 µs less for each message

#: Headers of frames from a server: of less than 126 bytes, and of less than 64 KiB.
_SHORT, _MEDIUM = struct.Struct("!BB"), struct.Struct("!BBH")

#: Bytes.  A payload of this size is worth a call of its own for the header.
APART = 32 * 1024


@dataclass(frozen=True, slots=True)
class Message:
    """A whole message: ``str`` if it was text, ``bytes`` if it was binary.  §6.2."""

    data: str | bytes
    reply: ClassVar[bytes] = b""  # the protocol asks for no answer to a message


@dataclass(frozen=True, slots=True)
class Ping:
    """The peer asks whether we are there; ``reply`` is the Pong.  §5.5.2."""

    data: bytes
    reply: bytes


@dataclass(frozen=True, slots=True)
class Pong:
    """The peer's answer to a Ping of ours, or a sign of life unasked.  §5.5.3."""

    data: bytes
    reply: ClassVar[bytes] = b""


@dataclass(frozen=True, slots=True)
class Closed:
    """The connection has ended; the last event there is.

    Attributes:
        code: What the peer's Close said; 1005 if it had no code, 1006 if there was
            no Close (§7.1.5).
        reason: What the peer's Close said besides.
        sent: The code of the Close that we have sent or are to send (``reply``): 1005
            if it has none, None if there is no such Close.
        clean: Whether both have sent a Close (§7.1.4).  If it was ours that came first,
            and the peer's answered it, then all we sent before has reached its program;
            of nothing else can that be said.
        by_us: Whether the end began here: with our Close, with an error, or because a peer was
            given up (on a server) that was silent or did not read.
        error: The rule that the peer broke, if that is why.
        reply: The Close that we owe, or b"".
    """

    code: int
    reason: str
    sent: int | None
    clean: bool
    by_us: bool
    error: ProtocolError | None = field(compare=False)  # exceptions are equal to themselves only
    reply: bytes


Event = Message | Ping | Pong | Closed


class Connection:
    """A WebSocket connection from the moment it is open, §5 to §7, without I/O.

    One thread calls :meth:`receive` and :meth:`next_event`.  :meth:`send`,
    :meth:`ping`, :meth:`pong` and :meth:`close` may be called from any thread, under
    one lock that is held until the bytes they return have been written: the order of
    the calls must be the order of the bytes.

    Args:
        role: Which end we are.
        limits: ``max_message_size`` and ``max_empty_fragments`` count here.
        agreement: What was negotiated for compression; None: it was not.
        compression: How we compress, where we may.

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
        agreement: Agreement | None = None,
        compression: Compression = Compression(),
    ) -> None:
        self.role = role
        self.limits = limits
        self.state = State.OPEN

        self._received = b""  # bytes from the peer ...
        self._at = 0  # ... of which these many are used
        self._ended = False  # TCP has: nothing more will come
        self._header: Header | None = None  # of the data frame whose payload is coming in
        self._missing = 0  # bytes of that payload
        self._message = Assembler(limits, compression=agreement is not None)
        self._most = limits.max_message_size
        self._short_cut = role is Role.SERVER  # messages() may be taken: none has begun
        self._error: ProtocolError | None = None  # what messages() found wrong

        self._deflater: Deflater | None = None
        self._inflater: Inflater | None = None
        self._rsv_allowed = 0
        if agreement is not None:
            self._deflater = Deflater(agreement, role, compression)
            self._inflater = Inflater(agreement, role)
            self._rsv_allowed = RSV1  # §5.2: an extension has defined it
        self._masks = role is Role.CLIENT  # §5.1
        self._plain = not self._masks and agreement is None  # what we send goes out as it is

        self._closing = threading.Lock()  # two threads may close at once; one Close is sent
        self._close_sent: int | None = None  # its code, 1005 if it has none
        self._closed = False  # Closed has been taken: there will be no more events

    # -- Receiving -----------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Bytes came from the peer; b"" says that it has ended the TCP connection.

        Take all events before the next call: what is not used is copied.
        """
        if not data:
            self._ended = True
            if self._closed:
                self.state = State.CLOSED
        elif self._closed:
            pass  # §7.1.7: it is not processed, so it need not be kept
        elif self._at == len(self._received):
            self._received, self._at = data, 0
        else:
            self._received, self._at = self._received[self._at :] + data, 0

    @property
    def missing(self) -> int:
        """Bytes of the current data frame that have not come yet: how much to read."""
        return self._missing

    def next_event(self) -> Event | None:
        """The next thing that happened, or None: nothing more until bytes come.

        Cost:
            Linear in the bytes it uses, whatever the pieces they came in.
        """
        if self._at == len(self._received) and not self._ended:
            self._received, self._at = b"", 0  # an idle connection keeps nothing
            return None
        for message in self.messages():
            return Message(message)
        if self._error is not None:
            return self._fail(self._error)
        if self._closed:
            return None
        try:
            return self._next_event()
        except ProtocolError as error:
            return self._fail(error)

    def messages(self) -> Iterator[str | bytes]:
        """The data of the next events, as long as they are what comes most: short messages.

        A short cut for a server's loop: messages of one frame each, under 64 KiB, that are all
        here.  Where it ends, :meth:`next_event` must be asked: for a longer message, a control
        frame, an error, or because nothing is left.  32 bytes of text take 0.5 µs here; 1.3 µs with
        next_event, which looks here first; and 2.6 µs if it did not.  Take no other event, and give
        it no bytes, while this goes on.
        """
        if not self._short_cut:
            return
        data, at, most = self._received, self._at, self._most
        there = len(data)
        while at + 6 <= there:
            first, length, key = _START.unpack_from(data, at)
            length, begin = length - MASK, at + 6  # less than 0: not masked
            if 0 <= length < LENGTH_16:
                end = begin + length
                if length > most or end > there:
                    return
                # What apply_mask does, without the call, and the key repeated by a multiplication:
                # 0.3 µs less, of the 1.5 that a message of 32 bytes and its reply take in Python.
                words = (length + 3) // 4
                mask = _KEY_TIMES[words] * key
                masked = _int_from_bytes(data[begin:end], "little")
                payload: bytes | bytearray = (masked ^ mask).to_bytes(4 * words, "little")[:length]
            elif length == LENGTH_16:
                begin = at + 8
                length = int.from_bytes(data[at + 2 : begin - 4], "big")
                end = begin + length
                if not LENGTH_16 <= length <= most or end > there:
                    return
                payload = unmasked(data, begin, end, data[begin - 4 : begin])
            else:
                return
            message: str | bytes
            if first == _TEXT:
                try:
                    message = payload.decode()
                except UnicodeDecodeError:
                    return  # next_event says what is wrong
            elif first == _BINARY:
                message = bytes(payload)
            elif first in _COMPRESSED and self._inflater is not None:
                try:
                    inflated = self._inflater.inflate_message(bytes(payload), most)
                    message = decode(inflated) if first == _COMPRESSED_TEXT else inflated
                except ProtocolError as error:
                    self._error, self._short_cut = error, False  # next_event says so
                    return
            else:
                return
            self._at = at = end
            yield message

    def _next_event(self) -> Event | None:
        data, masked = self._received, self.role is Role.SERVER  # §5.1: clients mask, servers do not
        while True:
            header = self._header
            if header is None:
                header = parse_header(
                    data, self._at, masked=masked, max_payload=self._message.room, rsv_allowed=self._rsv_allowed
                )
                if header is None:
                    break
                begin = self._at + header.size
                end = begin + header.length
                if header.opcode & CONTROL:
                    if len(data) < end:
                        break
                    self._at = end
                    return self._control_frame(header, data[begin:end])

                whole = header.fin and header.opcode is not Opcode.CONTINUATION and len(data) >= end
                if whole and self._message.opcode is None and (header.rsv or header.length <= self._most):
                    # Most messages are one frame, all here.  The lines below this block
                    # would do: 4.5 µs for 32 bytes of text, instead of 2.7 µs.
                    payload = data[begin:end]
                    if masked:
                        payload = apply_mask(payload, header.masking_key)
                    self._at = end
                    if header.rsv and self._inflater is not None:
                        payload = self._inflater.inflate_message(payload, self._most)
                    return Message(decode(payload) if header.opcode is Opcode.TEXT else payload)

                self._message.begin_frame(header)
                self._short_cut = False
                self._at = begin
                self._header, self._missing = header, header.length

            # The payload, or as much of it as is here: a wrong octet of text fails
            # the connection now, and not when the frame is complete.
            begin = self._at
            end = min(begin + self._missing, len(data))
            if begin < end:
                piece: bytes | bytearray
                if masked:
                    done = (header.length - self._missing) % MASKING_KEY_BYTES
                    piece = unmasked(data, begin, end, header.masking_key[done:] + header.masking_key[:done])
                else:
                    piece = data[begin:end]
                self._at = end
                self._missing -= end - begin
                self._add(piece)
            if self._missing:
                break
            self._header = None
            if header.fin:
                return self._end_message()
        return self._tcp_ended() if self._ended else None

    def _add(self, piece: bytes | bytearray) -> None:
        """A piece of a message's payload, unmasked."""
        if self._inflater is not None and self._message.compressed:
            for inflated in self._inflater.inflate(piece):
                self._message.add(inflated)
        else:
            self._message.add(piece)

    def _end_message(self) -> Message:
        """The last frame of a message is complete."""
        if self._inflater is not None and self._message.compressed:
            for inflated in self._inflater.end_message():
                self._message.add(inflated)
        self._short_cut = self.role is Role.SERVER
        return Message(self._message.end_message())

    def _control_frame(self, header: Header, payload: bytes) -> Event:
        """§5.5: they may come between the fragments of a message, and change nothing there."""
        if header.masking_key:
            payload = apply_mask(payload, header.masking_key)
        if header.opcode is Opcode.PING:
            # §5.5.3: the Pong "must have identical Application data".
            return Ping(payload, self._frame(Opcode.PONG, payload))
        if header.opcode is Opcode.PONG:
            return Pong(payload)
        return self._receive_close(payload)

    # -- The end, in its three forms -------------------------------------------

    def _receive_close(self, payload: bytes) -> Closed:
        """§5.5.1: "If an endpoint receives a Close frame and did not previously send a
        Close frame, the endpoint MUST send a Close frame in response."
        """
        code, reason = parse_close_payload(payload)
        reply = self._close_frame(payload[:2], "receive Close")  # "typically echos the status code it received"
        self._over("receive Close")
        return Closed(int(code), reason, self._close_sent, True, not reply, None, reply)

    def _fail(self, error: ProtocolError) -> Closed:
        """§7.1.7, *Fail the WebSocket Connection*: say why, and use nothing more."""
        reason = str(error).encode()[: MAX_CONTROL_PAYLOAD - 2].decode(errors="ignore").encode()
        reply = self._close_frame(error.code.to_bytes(2, "big") + reason, "fail")
        self._over("fail")
        return Closed(int(CloseCode.ABNORMAL), "", self._close_sent, False, True, error, reply)

    def _tcp_ended(self) -> Closed:
        """§7.1.5: "If the WebSocket Connection is Closed and no Close control frame was
        received", the code is 1006.
        """
        self._over("TCP ends")
        by_us = self._close_sent is not None
        return Closed(int(CloseCode.ABNORMAL), "", self._close_sent, False, by_us, None, b"")

    def _over(self, cause: str) -> None:
        """No more events.  §7.1.7: "MUST NOT continue to attempt to process data"."""
        with self._closing:
            self.state = TRANSITIONS[self.state, cause]
            if self._ended and self.state is not State.CLOSED:  # TCP had ended before this was taken
                self.state = TRANSITIONS[self.state, "TCP ends"]
            self._closed = True
        self._received, self._at, self._header, self._missing = b"", 0, None, 0
        self._short_cut, self._error = False, None

    def _close_frame(self, payload: bytes, cause: str) -> bytes:
        """A Close frame; or b"" if ours has been sent (each side sends one), or TCP has ended."""
        with self._closing:
            if self.state is not State.OPEN:
                return b""
            self.state = TRANSITIONS[self.state, cause]
            self._close_sent = int.from_bytes(payload[:2], "big") or int(CloseCode.NO_STATUS)
        return self._frame(Opcode.CLOSE, payload)

    # -- Sending -----------------------------------------------------------------

    def send(
        self,
        message: str | bytes | bytearray | memoryview,
        *,
        compress: bool = True,
        fragment_size: int | None = None,
    ) -> bytes:
        """The bytes of a message: text if it is a ``str``, else binary.

        Args:
            message: What to send.
            compress: Whether it may be compressed, where that was agreed and it is long
                enough.  Say False for secrets (RFC 7692 §8).
            fragment_size: Bytes.  If given, the message goes out in frames with at
                most this much payload (§5.4); else in one.
        Raises:
            ConnectionClosed: the connection is not open (any more).
            TypeError, ValueError: this is no message, or not text that UTF-8 can say.
        """
        if fragment_size is None:
            return b"".join(self.send_apart(message, compress=compress))
        if fragment_size < 1:
            raise ValueError(f"a fragment has at least 1 byte, not {fragment_size}")
        opcode, payload, rsv = self._outgoing(message, compress)
        frames = []
        for start in range(0, len(payload) or 1, fragment_size):
            fragment = payload[start : start + fragment_size]
            frames.append(self._frame(opcode, fragment, fin=start + fragment_size >= len(payload), rsv=rsv))
            opcode, rsv = Opcode.CONTINUATION, 0  # RFC 7692 §6: RSV1 on the first frame only
        return b"".join(frames)

    def send_apart(
        self, message: str | bytes | bytearray | memoryview, *, compress: bool = True
    ) -> tuple[bytes, bytes]:
        """As :meth:`send`; but of a long message first the header, and then the payload.

        Joining them would copy the payload once more: of 1 MiB, a server with NumPy echoes 2.0
        GiB/s with joined ones and 2.6 so; of 64 KiB a twentieth more.

        Returns:
            Two parts, to be sent one after the other; the second is empty if it is a short message.
        """
        if self._plain and type(message) is str and self.state is _OPEN:
            # What comes most.  The lines below this block would do: 0.4 µs more, where a message of
            # 32 bytes and its reply take 1.5 besides the system call.
            payload = message.encode()
            if len(payload) < LENGTH_16:
                return _SHORT.pack(_TEXT, len(payload)) + payload, b""
            if len(payload) < APART:
                return _MEDIUM.pack(_TEXT, LENGTH_16, len(payload)) + payload, b""
            return build_header(Opcode.TEXT, len(payload)), payload
        opcode, payload, rsv = self._outgoing(message, compress)
        if not self._masks and len(payload) >= APART:
            return build_header(opcode, len(payload), rsv=rsv), payload
        return self._frame(opcode, payload, rsv=rsv), b""

    def _outgoing(self, message: str | bytes | bytearray | memoryview, compress: bool) -> tuple[Opcode, bytes, int]:
        """What goes into the frames of a message: opcode, payload, RSV bits."""
        if self.state is not _OPEN:
            raise ConnectionClosed(f"cannot send: the connection is {self.state.name} (RFC 6455 §6.1)")
        opcode, payload = opcode_and_payload(message)
        if self._deflater is not None and compress and len(payload) >= self._deflater.threshold:
            return opcode, self._deflater.compress(payload), RSV1
        return opcode, payload, 0

    def ping(self, data: bytes = b"") -> bytes:
        """The bytes of a Ping; the peer answers with a Pong that has the same data.

        Raises:
            ConnectionClosed: the connection is not open.
            ValueError: more than 125 bytes (§5.5).
        """
        return self._ping_or_pong(Opcode.PING, data)

    def pong(self, data: bytes = b"") -> bytes:
        """The bytes of a Pong that nobody asked for: "a unidirectional heartbeat", §5.5.3.

        Raises:
            As :meth:`ping`.
        """
        return self._ping_or_pong(Opcode.PONG, data)

    def _ping_or_pong(self, opcode: Opcode, data: bytes) -> bytes:
        if self.state is not State.OPEN:
            raise ConnectionClosed(f"cannot send a {opcode.name}: the connection is {self.state.name}")
        payload = bytes(memoryview(data))  # bytes(5) would be five zeros
        if len(payload) > MAX_CONTROL_PAYLOAD:
            raise ValueError(f"a {opcode.name} holds at most 125 bytes (§5.5), not {len(payload)}")
        return self._frame(opcode, payload)

    def close(self, code: int | None = CloseCode.NORMAL, reason: str = "") -> bytes:
        """The bytes of a Close; b"" if one has been sent already, or TCP has ended.

        The connection is CLOSING from now on: nothing more can be sent, and the peer's
        Close is waited for.  Messages may come before it.

        Args:
            code: 1000, 1001, ... or 3000 to 4999; None for a Close without a code.
            reason: At most 123 bytes of UTF-8.
        Raises:
            TypeError, ValueError: see :func:`~wsref.protocol.closing.build_close_payload`.
        """
        return self._close_frame(build_close_payload(code, reason, role=self.role), "send Close")

    def _frame(self, opcode: Opcode, payload: bytes, *, fin: bool = True, rsv: int = 0) -> bytes:
        if not self._masks:
            return build_header(opcode, len(payload), fin=fin, rsv=rsv) + payload
        # §5.3: "The masking key needs to be unpredictable", a new one for each frame.
        return build_frame(Frame(opcode, payload, fin, rsv), os.urandom(MASKING_KEY_BYTES))
