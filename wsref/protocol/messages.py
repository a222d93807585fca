"""Chapter 7: messages: fragments to whole ``str`` and ``bytes``.

RFC 6455 §5.4: a message is one frame or several.  The first names its type (text or
binary), the following ones are continuations, the last has the FIN bit.  §5.6 and §8.1:
text is UTF-8, and an invalid octet fails the connection.

An :class:`Assembler` takes payload as it arrives, in pieces that need not be whole frames, so
an invalid octet is found when it arrives and not with the last fragment.
"""

from __future__ import annotations

import codecs
import io

from .errors import ProtocolError, message_too_long
from .frames import Header, frame_too_long
from .limits import Limits
from .spec import CloseCode, Opcode

_TEXT, _BINARY = Opcode.TEXT, Opcode.BINARY  # looked up once: each time takes 0.08 µs (CPython 3.11)

#: Bytes.  A piece of text of this size is kept as an entry of a list.
LARGE = 4096


class Assembler:
    """Joins the fragments of one message after another.

    Call :meth:`begin_frame` for the header of each data frame, :meth:`add` for each
    piece of its payload, and :meth:`end_message` when a frame with FIN is complete.

    Small pieces go into one growing buffer: a piece of one byte takes some 40 bytes in a list, so
    a peer that sends a message byte by byte could make us keep forty times its size.  Only large
    pieces of text go into a list, decoded: checking that they are UTF-8 has decoded them already.

    It has more attributes than most classes here: the type of the message and three counters,
    and for text the parts that are decoded, that are not yet, and an incomplete character.

    >>> message = Assembler()
    >>> message.begin_frame(Header(False, 0, Opcode.TEXT, 3, b"", 2))
    >>> message.add(b"Hel")
    >>> message.begin_frame(Header(True, 0, Opcode.CONTINUATION, 2, b"", 2))
    >>> message.add(b"lo")
    >>> message.end_message()
    'Hello'
    """

    def __init__(self, limits: Limits = Limits(), *, compression: bool = False) -> None:
        self.limits = limits
        self._wire_limit = limits.max_message_size
        if compression:
            # Data that cannot be compressed gets longer: by 5 bytes in some thousand with a
            # sensible sender, by an eighth at worst.
            self._wire_limit += limits.max_message_size // 8 + 64
        self._begin_message()

    def _begin_message(self) -> None:
        self.opcode: Opcode | None = None  # TEXT or BINARY while a message is open
        self.compressed = False  # RSV1 was set on its first frame: RFC 7692 §6
        self.remaining = self._wire_limit  # bytes of payload that it may still get
        self._size = 0  # bytes of it so far, decompressed
        self._empty = 0  # fragments without payload in it
        self._binary = io.BytesIO()
        self._text: list[str] = []  # large pieces of text, decoded
        self._small = bytearray()  # small pieces after them: UTF-8, whole characters
        self._tail = b""  # after them, the first bytes of a character that is not complete

    def begin_frame(self, header: Header) -> None:
        """Begin a data frame, whose length was checked against :attr:`remaining`.

        Raises:
            ProtocolError: 1002 for a frame out of order (§5.4), 1008 for too many frames
                without payload.
        """
        if header.opcode is not Opcode.CONTINUATION:
            if self.opcode is not None:
                raise ProtocolError(f"a {header.opcode.name} frame before the previous message is complete", "§5.4")
            self.opcode = header.opcode
            self.compressed = header.rsv > 0
            if not self.compressed:
                self.remaining = self.limits.max_message_size
        elif self.opcode is None:
            raise ProtocolError("a continuation frame without a message to continue", "§5.4")
        if header.length > self.remaining:
            raise frame_too_long(header.length, self.remaining)
        self.remaining -= header.length
        if not header.length and not header.fin:
            self._empty += 1
            if self._empty > self.limits.max_empty_fragments:
                raise ProtocolError(
                    f"more than {self.limits.max_empty_fragments} fragments without payload in one message",
                    "§10.4",
                    code=CloseCode.POLICY_VIOLATION,
                )

    def add(self, piece: bytes | bytearray) -> None:
        """Add a piece of the payload, unmasked and decompressed.

        Raises:
            ProtocolError: 1007 at the first octet that cannot be UTF-8, before the message
                or even the frame is complete; 1009 if the decompressed message is too long.
        Cost:
            O(len(piece)), amortized.
        """
        self._size += len(piece)
        if self._size > self.limits.max_message_size:
            if self.opcode is _TEXT:  # an octet before the limit is the first fault, however the bytes are cut
                decode_some(self._tail + piece[: self.limits.max_message_size - self._size])
            raise message_too_long(self.limits.max_message_size)
        if self.opcode is _BINARY:
            self._binary.write(piece)
            return
        if self._tail:
            piece = self._tail + piece
        text, self._tail = decode_some(piece)
        if len(piece) >= LARGE:
            self._end_small()
            self._text.append(text)
        else:
            self._small += piece[: len(piece) - len(self._tail)]

    def _end_small(self) -> None:
        if self._small:
            self._text.append(str(self._small, "utf-8"))
            self._small = bytearray()

    def end_message(self) -> str | bytes:
        """Return the complete message; the next one may begin.

        Raises:
            ProtocolError: 1007 for text that ends inside a character.
        """
        if self._tail:
            raise _not_utf8("the text ends inside a character", self._tail)
        self._end_small()
        message = self._binary.getvalue() if self.opcode is _BINARY else "".join(self._text)
        self._begin_message()
        return message


def opcode_and_payload(message: str | bytes | bytearray | memoryview) -> tuple[Opcode, bytes]:
    r"""Return a message as opcode and payload: a ``str`` is text, in UTF-8; bytes are binary.

    Raises:
        TypeError: Neither of them.
        UnicodeEncodeError: Half a surrogate pair, which UTF-8 cannot encode.

    >>> opcode_and_payload("€")
    (<Opcode.TEXT: 1>, b'\xe2\x82\xac')
    """
    if isinstance(message, str):
        return _TEXT, message.encode()
    if isinstance(message, (bytes, bytearray, memoryview)):
        return _BINARY, bytes(message)  # a copy, unless it is bytes, which cannot change
    raise TypeError(f"a message is a str (text) or bytes (binary), not {type(message).__name__}")


def decode(payload: bytes) -> str:
    """Decode the whole of a text from UTF-8.

    Raises:
        ProtocolError: 1007 (§8.1).

    >>> decode(bytes.fromhex("e282ac"))
    '€'
    """
    try:
        return str(payload, "utf-8")
    except UnicodeDecodeError:
        _, tail = decode_some(payload)  # raises, with the same words as for pieces
        raise _not_utf8("the text ends inside a character", tail) from None


def decode_some(data: bytes | bytearray) -> tuple[str, bytes]:
    """Decode the beginning of a text from UTF-8.

    Returns:
        ``(text, tail)``: the tail is the beginning of a character, at most three bytes.
    Raises:
        ProtocolError: 1007 as soon as no continuation can make the bytes valid (§8.1).

    >>> text, tail = decode_some(b"ok " + bytes.fromhex("e282"))
    >>> text, tail.hex()
    ('ok ', 'e282')
    >>> decode_some(bytes.fromhex("f490"))
    Traceback (most recent call last):
        ...
    wsref.protocol.errors.ProtocolError: text that is not UTF-8: invalid continuation byte: 'f4 90' (RFC 6455 §8.1)
    """
    try:
        text, used = codecs.utf_8_decode(data, "strict", False)
    except UnicodeDecodeError as error:
        wrong = error.end + (error.reason != "invalid start byte")  # just past the invalid octet
        raise _not_utf8(error.reason, data[error.start : wrong]) from None
    tail = bytes(data[used:])
    # Python's decoder rejects a surrogate (ED A0 80 to ED BF BF, RFC 3629 §3) at its third
    # byte; the second is invalid already.  Everything else it rejects at the first invalid byte.
    if b"\xed\xa0" <= tail < b"\xee":
        raise _not_utf8("invalid continuation byte", tail)
    return text, tail


def _not_utf8(why: str, octets: bytes | bytearray) -> ProtocolError:
    return ProtocolError(f"text that is not UTF-8: {why}: '{octets.hex(' ')}'", "§8.1", code=CloseCode.INVALID_DATA)
