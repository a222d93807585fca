"""The messages of one direction: which frame may follow which, their text, and their compression."""

from __future__ import annotations

from collections.abc import Iterator

from ..protocol.closing import may_travel
from ..protocol.deflate import SLICE, TAIL, DeflateParameters, Inflater
from ..protocol.errors import ProtocolError
from ..protocol.frames import Header
from ..protocol.limits import Limits
from ..protocol.messages import Assembler, decode, decode_some
from ..protocol.spec import MAX_CONTROL_PAYLOAD, Opcode, Role
from .parts import Step
from .words import code_and_name, count, octets_words, payload_words, quote_unicode

#: Bytes of a payload, and of a message, that are kept: a control frame may have as many.
KEPT = MAX_CONTROL_PAYLOAD

#: Bytes.  A message is inflated up to here: 1 KiB may inflate to 1 MiB.
MAX_INFLATED = Limits().max_message_size

#: A receiver chooses how large a message may be, so no size is wrong here.
NO_LIMITS = Limits(max_message_size=1 << 80, max_empty_fragments=1 << 80)


class MessageReader:
    """Reads the messages that one side receives, frame by frame, and keeps the beginning of each.

    Args:
        receiver: The side that receives them.
        from_start: Whether the first frame is the connection's first: a compressed message
            can refer to earlier ones, and cannot be inflated without them.

    Attributes:
        failed: A receiver has failed the connection.
        closed: A Close was received.

    It has more attributes than most classes here: those of the connection, and of the message that is arriving.
    """

    def __init__(self, receiver: Role, from_start: bool) -> None:
        self.failed = False
        self.closed = False
        self._receiver = receiver
        self._order = Assembler(NO_LIMITS)  # given headers only: it knows which frame may follow which
        self._inflater: Inflater | None = None
        self._window_known = from_start  # all bytes that a compressed message may refer to were read
        self._begin()

    def _begin(self) -> None:
        self._frames = 0
        self._deflated = b""  # the beginning of the payload, if it is compressed ...
        self._wire_size = 0  # ... and its size, bytes
        self.plain = b""  # the beginning of the message ...
        self._size = 0  # ... and its size, bytes
        self._tail = b""  # the first bytes of a character of its text
        self._unread = ""  # why its rest is not read

    def begin_frame(self, header: Header) -> ProtocolError | None:
        """A data frame begins: return what is wrong with its place."""
        wrong = None
        try:
            self._order.begin_frame(header)
        except ProtocolError as error:
            wrong = error
            if header.opcode is not Opcode.CONTINUATION:
                # The message before it never ended.  Read the new one.
                self._order = Assembler(NO_LIMITS)
                self._order.begin_frame(header)
                self._frames = 0
        if not self._frames:
            self._begin()
        self._frames += 1
        return wrong

    def add(self, piece: bytes, deflate: DeflateParameters | None) -> None:
        """Read a piece of a frame's payload, unmasked.

        Args:
            piece: Bytes.
            deflate: The parameters of compression; None: no compression.
        Raises:
            ProtocolError: 1007: invalid UTF-8 or invalid DEFLATE.
        """
        if not self._order.compressed:
            self._read(piece)
            return
        self._wire_size += len(piece)
        self._deflated += piece[: KEPT - len(self._deflated)]
        for start in range(0, len(piece), SLICE):
            if deflate is not None and not self._unread:
                part = piece[start : start + SLICE]
                self._inflate(self._get_inflater(deflate).inflate(part), part, deflate)

    def end(self, deflate: DeflateParameters | None) -> list[Step]:
        """The last frame is complete: return how the message reads.

        Args:
            deflate: As for :meth:`add`.
        Raises:
            ProtocolError: 1007: invalid UTF-8 or invalid DEFLATE.
        """
        text, compressed = self._order.opcode is Opcode.TEXT, self._order.compressed
        try:
            if compressed and deflate is not None and not self._unread:
                self._inflate(self._get_inflater(deflate).end_message(), TAIL, deflate)
            if self._tail:
                decode(self._tail)  # raises: the text ends inside a character
            return list(self._steps(text, compressed))
        finally:
            self._order.end_message()
            self._frames = 0

    # -- Compression, and the text

    def _get_inflater(self, deflate: DeflateParameters) -> Inflater:
        if self._inflater is None:
            self._inflater = Inflater(deflate, self._receiver)
        return self._inflater

    def _inflate(self, pieces: Iterator[bytes], data: bytes, deflate: DeflateParameters) -> None:
        """Read the inflated pieces of these bytes of the payload.

        Raises:
            ProtocolError: 1007: invalid UTF-8 or invalid DEFLATE, whichever comes first.
        """
        before, size = self._get_inflater(deflate).copy(), self._size
        try:
            self._read_pieces(pieces)
        except ProtocolError as error:
            if self._unread:
                raise  # the text is invalid
            self._read_pieces(_up_to_the_fault(before, data), skip=self._size - size)
            if self._unread:
                return  # before the fault the message became too large
            if "too far back" in error.reason and not self._knows_window(deflate):
                self._stop_reading("it refers to messages before these bytes, so it cannot be inflated here")
                return
            self._stop_reading("invalid DEFLATE")
            raise

    def _read_pieces(self, pieces: Iterator[bytes], skip: int = 0) -> None:
        for piece in pieces:
            self._read(piece[skip:])
            skip = max(skip - len(piece), 0)
            if self._size > MAX_INFLATED:
                self._stop_reading(f"more than {MAX_INFLATED} bytes: the rest is not inflated")
                return

    def _knows_window(self, deflate: DeflateParameters) -> bool:
        """Whether a compressed message can refer only to bytes that were read here."""
        from_client = self._receiver is Role.SERVER
        alone = deflate.client_no_context_takeover if from_client else deflate.server_no_context_takeover
        return self._window_known or alone

    def _stop_reading(self, why: str) -> None:
        """Read nothing more of this message; later ones may refer to what is missed."""
        self._unread, self._tail = why, b""
        if self._order.compressed:
            self._inflater, self._window_known = None, False

    def _read(self, piece: bytes) -> None:
        self._size += len(piece)
        self.plain += piece[: KEPT - len(self.plain)]
        if self._order.opcode is Opcode.TEXT and not self._unread:
            try:
                _, self._tail = decode_some(self._tail + piece)
            except ProtocolError:
                self._stop_reading("invalid text")
                raise

    def _steps(self, text: bool, compressed: bool) -> Iterator[Step]:
        message = f"{count(self._size, 'byte')}: {payload_words(self.plain, self._size, text)}"
        if compressed:
            over = f", over {self._frames} frames" if self._frames > 1 else ""
            length = f"{count(self._wire_size, 'byte')} of DEFLATE{over}"
            yield Step("compressed", octets_words(self._deflated, self._wire_size), length, "RFC 7692 §7.2.1")
            tail = "the sender removes this tail; the receiver appends it"
            yield Step("with the tail", f"… {TAIL.hex(' ')}", tail, "RFC 7692 §7.2.2")
            yield Step("inflated", self._unread or message, "the message", "RFC 1951")
        elif self._frames > 1:
            yield Step("message", message, f"complete, in {self._frames} frames", "RFC 6455 §5.4")


def _up_to_the_fault(inflater: Inflater, data: bytes) -> Iterator[bytes]:
    """Inflate byte by byte: of a whole piece with a fault, zlib returns nothing of what came before it."""
    for byte in data:
        try:
            yield from inflater.inflate(bytes([byte]))
        except ProtocolError:
            return


def close_steps(payload: bytes) -> list[Step]:
    """Return the code and the reason in the payload of a Close, right or wrong.

    >>> for step in close_steps(bytes.fromhex("03e8") + b"bye"):
    ...     print(step.name, step.value)
    close code 1000 NORMAL
    reason 'bye'
    """
    if not payload:
        meaning = "no code: the receiver's program sees 1005 NO_STATUS"
        return [Step("close code", "none", meaning, "RFC 6455 §7.1.5")]
    if len(payload) == 1:
        return [Step("close code", f"half of one: {payload.hex()}", "a code has 2 bytes", "RFC 6455 §5.5.1")]
    code = int.from_bytes(payload[:2], "big")
    travels = "may be sent in a Close frame" if may_travel(code) else "must not be sent in a Close frame"
    steps = [Step("close code", code_and_name(code), f"{payload[:2].hex(' ')}: it {travels}", "RFC 6455 §7.4")]
    if len(payload) > 2:
        steps.append(Step("reason", quote_unicode(payload[2:], 125), "for the log, in UTF-8", "RFC 6455 §5.5.1"))
    return steps
