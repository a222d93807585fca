"""Chapter 7: messages: fragments to whole ``str`` and ``bytes``.

RFC 6455 §5.4: a message is one frame or several.  The first says what it is (text
or binary), those that follow are continuations, the last has the FIN bit.  §5.6
and §8.1: text is UTF-8, and who finds an octet that is not UTF-8 fails the
connection.

An :class:`Assembler` takes payload as it comes, in pieces that need not be whole
frames, so that a wrong octet is found when it arrives and not when the last
fragment does.
"""

from __future__ import annotations

import codecs
import io

from .errors import ProtocolError, too_long
from .frames import Header, too_big
from .limits import Limits
from .spec import CloseCode, Opcode

_TEXT, _BINARY = Opcode.TEXT, Opcode.BINARY  # looked up once: each time takes 0.08 µs (CPython 3.11)

#: Bytes.  A piece of text of this size is worth an entry in a list.
LARGE = 4096


class Assembler:
    """Puts together the fragments of one message after another.

    Call :meth:`begin_frame` for the header of each data frame, :meth:`add` for each
    piece of its payload, and :meth:`end_message` when a frame with FIN is complete.

    What came so far is kept in one growing buffer, not in a list of pieces: a piece
    of one byte would take some 40 bytes in a list, so a peer that sends a message
    byte by byte could make us keep forty times its size.  Large pieces of text are kept
    decoded, in a list: they have been decoded already, to see whether they are text.

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
            # What cannot be compressed gets longer by it: by 5 bytes in some thousand, if
            # the sender is sensible, and by an eighth if it is not.
            self._wire_limit += limits.max_message_size // 8 + 64
        self._begin_message()

    def _begin_message(self) -> None:
        self.opcode: Opcode | None = None  # TEXT or BINARY while a message is open
        self.compressed = False  # RSV1 was set on its first frame: RFC 7692 §6
        self.room = self._wire_limit  # bytes of payload that it may still get
        self._size = 0  # bytes of it so far, decompressed
        self._empty = 0  # fragments without payload in it
        self._binary = io.BytesIO()
        self._text: list[str] = []  # what came in large pieces, decoded
        self._small = bytearray()  # ... and after that in small ones: UTF-8, whole characters
        self._tail = b""  # ... and after that a character's first bytes, whose rest is yet to come

    def begin_frame(self, header: Header) -> None:
        """A data frame begins; its length has been held against :attr:`room`.

        Raises:
            ProtocolError: 1002 for a frame out of order (§5.4), 1008 for a flood of
                frames without payload.
        """
        if header.opcode is not Opcode.CONTINUATION:
            if self.opcode is not None:
                raise ProtocolError(f"a {header.opcode.name} frame before the last message is complete", "§5.4")
            self.opcode = header.opcode
            self.compressed = header.rsv > 0
            if not self.compressed:
                self.room = self.limits.max_message_size
        elif self.opcode is None:
            raise ProtocolError("a continuation frame, and there is no message to continue", "§5.4")
        if header.length > self.room:
            raise too_big(header.length, self.room)
        self.room -= header.length
        if not header.length and not header.fin:
            self._empty += 1
            if self._empty > self.limits.max_empty_fragments:
                raise ProtocolError(
                    f"more than {self.limits.max_empty_fragments} fragments without payload in one message",
                    "§10.4",
                    code=CloseCode.POLICY_VIOLATION,
                )

    def add(self, piece: bytes | bytearray) -> None:
        """A piece of the payload, unmasked and decompressed: all of it, or what has come.

        Raises:
            ProtocolError: 1007 at the first octet that cannot be UTF-8, though the
                message, and even the frame, is not complete; 1009 when the message gets
                too long by decompressing it.
        Cost:
            O(len(piece)), amortized.
        """
        self._size += len(piece)
        if self._size > self.limits.max_message_size:
            raise too_long(self.limits.max_message_size)
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
        """The message is complete: here it is, and the next one may begin.

        Raises:
            ProtocolError: 1007 for a text that ends inside a character.
        """
        if self._tail:
            raise _not_utf8("the text ends inside a character", self._tail)
        self._end_small()
        message = self._binary.getvalue() if self.opcode is _BINARY else "".join(self._text)
        self._begin_message()
        return message


def opcode_and_payload(message: str | bytes | bytearray | memoryview) -> tuple[Opcode, bytes]:
    r"""What a message is on the wire: a ``str`` is text, in UTF-8; bytes are binary.

    Raises:
        TypeError: it is neither.
        UnicodeEncodeError: half a surrogate pair, which UTF-8 cannot say.

    >>> opcode_and_payload("€")
    (<Opcode.TEXT: 1>, b'\xe2\x82\xac')
    """
    if isinstance(message, str):
        return _TEXT, message.encode()
    if isinstance(message, (bytes, bytearray, memoryview)):
        return _BINARY, bytes(message)  # a copy, unless it is bytes: nobody can change those
    raise TypeError(f"a message is a str (text) or bytes (binary), not {type(message).__name__}")


def decode(payload: bytes) -> str:
    """UTF-8 to str, for a text that is all there.

    Raises:
        ProtocolError: 1007 (§8.1).

    >>> decode(bytes.fromhex("e282ac"))
    '€'
    """
    try:
        return str(payload, "utf-8")
    except UnicodeDecodeError:
        _, tail = decode_some(payload)  # it says what is wrong, in the same words as for pieces
        raise _not_utf8("the text ends inside a character", tail) from None


def decode_some(data: bytes | bytearray) -> tuple[str, bytes]:
    """UTF-8 to str, for a text whose end is yet to come.

    Returns:
        ``(text, tail)``: the tail is at most three bytes, the beginning of a character.
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
        wrong = error.end + (error.reason != "invalid start byte")  # just past the octet that cannot be
        raise _not_utf8(error.reason, data[error.start : wrong]) from None
    tail = bytes(data[used:])
    # Python's decoder tells a surrogate (ED A0 80 to ED BF BF, RFC 3629 §3) by its
    # third byte; the second has settled it.  It is early with everything else.
    if len(tail) == 2 and tail >= b"\xed\xa0" and tail[0] == 0xED:
        raise _not_utf8("invalid continuation byte", tail)
    return text, tail


def _not_utf8(why: str, octets: bytes | bytearray) -> ProtocolError:
    return ProtocolError(f"text that is not UTF-8: {why}: '{octets.hex(' ')}'", "§8.1", code=CloseCode.INVALID_DATA)
