"""Chapters 6 to 9 again, faster for the most frequent bytes: short messages, and whole frames.

:class:`FastConnection` gives the same events and sends the same bytes as
:class:`~wsref.protocol.connection.Connection` (``tests/test_speed.py`` feeds both).  It
passes everything that is not frequent on to it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from ..protocol.connection import Connection, Event, Message
from ..protocol.frames import build_header, parse_header
from ..protocol.masking import unmask_range
from ..protocol.messages import decode
from ..protocol.spec import FIN, LENGTH_16, MASK, RSV1, Opcode, Role, State

# Members of enumerations, looked up once: each ``State.OPEN`` takes 0.08 µs (CPython 3.11).
_OPEN, _SERVER = State.OPEN, Role.SERVER

#: First bytes of a message that is one frame: text and binary, not compressed and compressed.
_TEXT, _BINARY = int(FIN | Opcode.TEXT), int(FIN | Opcode.BINARY)
_WHOLE = frozenset((_TEXT, _BINARY, _TEXT | RSV1, _BINARY | RSV1))

#: A short frame's first bytes and its masking key, as a number with the first byte lowest.
_START = struct.Struct("<BBI")
#: Multiplied by entry n, that number becomes the key written n times in a row.
_KEY_TIMES = [int.from_bytes(b"\1\0\0\0" * times, "little") for times in range(LENGTH_16 // 4 + 2)]
_int_from_bytes = int.from_bytes  # looked up once: 0.1 µs less for each message

#: Headers of a server's frames: of less than 126 bytes, and of less than 64 KiB.
_SHORT, _MEDIUM = struct.Struct("!BB"), struct.Struct("!BBH")

#: Bytes.  A payload of this size is sent apart from its header: joining them would copy it once more.
#: With NumPy a server echoes 1 MiB at 2.0 GiB/s joined and 2.6 apart.
APART = 32 * 1024


class FastConnection(Connection):
    """A :class:`~wsref.protocol.connection.Connection` with short cuts."""

    def messages(self) -> Iterator[str | bytes]:
        """The data of messages of one frame each, under 64 KiB, not compressed, that are all here.

        For a server's loop; :meth:`next_event` gives what follows: a longer message, a control
        frame, an error.  32 bytes of text take 0.5 µs here and 2.7 µs in the base class.  Do
        not call another method that receives while this generator runs.
        """
        if self.role is not _SERVER or self._message.opcode is not None:
            return
        data, offset, max_size = self._buffer, self._offset, self.limits.max_message_size
        available = len(data)
        while offset + 6 <= available:
            first, length, key = _START.unpack_from(data, offset)
            if first != _TEXT and first != _BINARY:
                return
            length, begin = length - MASK, offset + 6  # below 0: not masked
            if 0 <= length < LENGTH_16:
                end = begin + length
                if length > max_size or end > available:
                    return
                # apply_mask without the call, the key repeated by a multiplication: 0.3 µs less.
                word_count = (length + 3) // 4
                mask = _KEY_TIMES[word_count] * key
                masked = _int_from_bytes(data[begin:end], "little")
                payload: bytes | bytearray = (masked ^ mask).to_bytes(4 * word_count, "little")[:length]
            elif length == LENGTH_16:
                begin = offset + 8
                length = int.from_bytes(data[offset + 2 : begin - 4], "big")
                end = begin + length
                if not LENGTH_16 <= length <= max_size or end > available:
                    return
                payload = unmask_range(data, begin, end, data[begin - 4 : begin])
            else:
                return
            if first == _TEXT:
                try:
                    message: str | bytes = payload.decode()
                except UnicodeDecodeError:
                    return  # next_event reports it
            else:
                message = bytes(payload)
            self._offset = offset = end
            self.more_follows = end < available
            yield message

    def next_event(self) -> Event | None:
        """As in the base class; 1 µs sooner when nothing is left, as after every message of a ping-pong."""
        if self._offset == len(self._buffer) and not self._eof:
            self._buffer, self._offset = b"", 0
            return None
        return super().next_event()

    def _next_event(self) -> Event | None:
        """A message of one frame that is all here, without the Assembler; else as the base class."""
        data, offset = self._buffer, self._offset
        if self._message.opcode is None and offset < len(data) and data[offset] in _WHOLE:
            header = parse_header(
                data,
                offset,
                masked=self.role is _SERVER,
                max_payload=self._message.remaining,
                rsv_allowed=0 if self._inflater is None else RSV1,
            )
            max_size = self.limits.max_message_size
            if header is not None and (header.rsv or header.length <= max_size):
                begin = offset + header.size
                end = begin + header.length
                if end <= len(data):
                    self._offset = end
                    if header.masking_key:
                        payload = bytes(unmask_range(data, begin, end, header.masking_key))
                    else:
                        payload = data[begin:end]
                    if header.rsv and self._inflater is not None:
                        payload = self._inflater.inflate_message(payload, max_size, text=header.opcode is Opcode.TEXT)
                    return Message(decode(payload) if header.opcode is Opcode.TEXT else payload)
        return super()._next_event()

    def send_parts(
        self, message: str | bytes | bytearray | memoryview, *, compress: bool = True
    ) -> tuple[bytes, bytes]:
        """As in the base class; text in 0.4 µs less, and a long payload apart from its header."""
        if self._deflater is None and type(message) is str and self.state is _OPEN and self.role is _SERVER:
            payload = message.encode()
            if len(payload) < LENGTH_16:
                return _SHORT.pack(_TEXT, len(payload)) + payload, b""
            if len(payload) < APART:
                return _MEDIUM.pack(_TEXT, LENGTH_16, len(payload)) + payload, b""
            return build_header(Opcode.TEXT, len(payload)), payload
        opcode, payload, rsv = self._outgoing(message, compress)
        if self.role is _SERVER and len(payload) >= APART:
            return build_header(opcode, len(payload), rsv=rsv), payload
        return self._frame(opcode, payload, rsv=rsv), b""
