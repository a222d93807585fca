"""The frames of one direction: each complete one becomes a description.

A frame has a problem when, and only when, :class:`wsref.Connection` fails at it, with the same
close code; a test compares the two.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ..protocol.closing import parse_close_payload
from ..protocol.deflate import DeflateParameters
from ..protocol.errors import ProtocolError
from ..protocol.frames import Header
from ..protocol.limits import Limits
from ..protocol.masking import apply_mask
from ..protocol.spec import (
    CONTROL,
    FIN,
    MASK,
    MASKING_KEY_BYTES,
    MAX_CONTROL_PAYLOAD,
    OPCODE,
    OPCODES,
    RSV1,
    TOKEN,
    CloseCode,
    Opcode,
    Role,
)
from .describe_header import (
    header_fields,
    header_problems,
    header_size,
    missing_words,
    opcode_name,
    payload_length,
    rfc,
)
from .describe_messages import KEPT, MessageReader, close_steps
from .description import Description
from .parts import FIRST, LAST, Payload, Problem, Step
from .words import code_and_name, count, payload_words, quote_unicode

#: The first bytes of an HTTP request and of an HTTP response.
REQUEST = re.compile(
    rf"(?:\r\n)?(?:(?:GET|HEAD|POST|PUT|DELETE|CONNECT|OPTIONS|TRACE|PATCH) |{TOKEN} [!-~]+ HTTP/[0-9])".encode()
)
RESPONSE = re.compile(rb"HTTP/")


@dataclass(slots=True)
class _Frame:
    """The frame that is being received."""

    start: int  # its offset in the stream
    head: bytes = b""
    length: int | None = None  # of its payload; None until the header is complete
    received: int = 0  # bytes of its payload
    wire: bytes = b""  # the first of them ...
    plain: bytes = b""  # ... the same, unmasked ...
    wire_end: bytes = b""  # ... and the last
    plain_end: bytes = b""
    of_message: bool = False  # its payload is part of a message
    receiver: Role = Role.SERVER
    problems: list[Problem] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def opcode(self) -> Opcode | None:
        return OPCODES.get(self.head[0] & OPCODE)

    @property
    def key(self) -> bytes:
        return self.head[-MASKING_KEY_BYTES:] if self.head[1] & MASK else b""

    @property
    def is_http(self) -> bool:
        """Whether this invalid frame is HTTP text: 48 54 54 50 is ``HTTP``."""
        start = self.head + self.wire
        return bool(self.problems) and (RESPONSE.match(start) or REQUEST.match(start)) is not None

    def add_problem(self, error: ProtocolError, *fields: str) -> None:
        self.problems.append(Problem(error.reason, rfc(error.section), error.code, fields))

    def add_payload(self, piece: bytes) -> bytes:
        """Keep the beginning and the end of the payload; return the piece unmasked."""
        plain = piece
        if self.key:
            shift = self.received % MASKING_KEY_BYTES
            plain = apply_mask(piece, self.key[shift:] + self.key[:shift])
        self.received += len(piece)
        space = KEPT - len(self.wire)
        self.wire += piece[:space]
        self.plain += plain[:space]
        self.wire_end = (self.wire_end + piece[-LAST:])[-LAST:]
        self.plain_end = (self.plain_end + plain[-LAST:])[-LAST:]
        return plain


class FrameReader:
    """Describes the frames that one side sends.

    Args:
        position: The offset of the first frame in the stream.
        masked, deflate, from_start: As for :class:`~wsref.wire.describe.Explainer`.

    Attributes:
        ended: The bytes turned out to be HTTP: lengths read from letters are meaningless.
    """

    def __init__(
        self, masked: bool | None, deflate: DeflateParameters | None, *, from_start: bool = False, position: int = 0
    ) -> None:
        self.masked = masked
        self.deflate = deflate
        self.ended = False
        self._from_start = from_start
        self._position = position  # of the next byte
        self._frame: _Frame | None = None
        self._messages: dict[Role, MessageReader] = {}  # by receiver

    def feed(self, data: bytes) -> list[Description]:
        """Return the frames that these bytes complete."""
        done: list[Description] = []
        at = 0
        while at < len(data) and not self.ended:
            frame = self._frame
            if frame is None:
                frame = self._frame = _Frame(self._position + at)
            if frame.length is None:
                at = self._read_header(frame, data, at)
                if frame.length is None:
                    continue
            piece = data[at : at + frame.length - frame.received]
            at += len(piece)
            if piece:
                self._read_payload(frame, piece)
            if frame.received == frame.length:
                self._end_frame(frame)
                done.append(_describe(frame))
                self._frame = None
                self.ended = frame.is_http
        self._position += at
        return done

    def pending(self) -> Description | None:
        """Return the incomplete frame; None: there is no incomplete frame."""
        return None if self._frame is None else _describe(self._frame)

    def _read_header(self, frame: _Frame, data: bytes, at: int) -> int:
        """Read more of the header; return where the rest begins."""
        while len(frame.head) < header_size(frame.head) and at < len(data):
            piece = data[at : at + header_size(frame.head) - len(frame.head)]
            frame.head += piece
            at += len(piece)
        masked = self.masked if self.masked is not None else len(frame.head) > 1 and frame.head[1] & MASK > 0
        frame.receiver = Role.SERVER if masked else Role.CLIENT
        rsv_allowed = RSV1 if self.deflate is not None else 0
        frame.problems = list(header_problems(frame.head, masked=self.masked, rsv_allowed=rsv_allowed))
        if len(frame.head) == header_size(frame.head):
            frame.length = payload_length(frame.head) or 0
            self._begin_frame(frame, frame.length)
        return at

    def _message_of(self, frame: _Frame) -> MessageReader:
        return self._messages.setdefault(frame.receiver, MessageReader(frame.receiver, self._from_start))

    def _begin_frame(self, frame: _Frame, length: int) -> None:
        """The header is complete: may this frame follow the frames before it?"""
        message, opcode = self._message_of(frame), frame.opcode
        if message.failed:
            frame.notes.append("after the problem before it, a strict receiver ignores this frame (RFC 6455 §7.1.7)")
        if message.closed:
            frame.notes.append("after a Close, the receiver ignores this frame (RFC 6455 §5.5.1)")
            if opcode is None or not opcode & CONTROL:
                after = "a data frame after a Close must not be sent"
                frame.problems.append(Problem(after, "RFC 6455 §5.5.1", 0, ("opcode",)))
        if opcode is not None and not opcode & CONTROL:
            first = opcode is not Opcode.CONTINUATION
            rsv = frame.head[0] & RSV1 if first and self.deflate is not None else 0
            header = Header(frame.head[0] & FIN > 0, rsv, opcode, length, frame.key, len(frame.head))
            wrong = message.begin_frame(header)
            if wrong is not None:
                frame.add_problem(wrong, "opcode")
            frame.of_message = wrong is None or first
            if rsv and not self._from_start:
                frame.notes.append("RSV1 is valid only if the opening handshake negotiated permessage-deflate")
        max_size = Limits().max_message_size
        if length > max_size:
            frame.notes.append(f"many servers refuse {length} bytes with 1009; wsref does, beyond {max_size} (§10.4)")

    def _read_payload(self, frame: _Frame, piece: bytes) -> None:
        plain = frame.add_payload(piece)
        if frame.of_message:
            try:
                self._message_of(frame).add(plain, self.deflate)
            except ProtocolError as error:
                frame.add_problem(error, "payload")

    def _end_frame(self, frame: _Frame) -> None:
        message = self._message_of(frame)
        if frame.of_message and frame.head[0] & FIN:
            try:
                frame.steps = message.end(self.deflate)
            except ProtocolError as error:
                frame.add_problem(error, "payload")
        if frame.opcode is Opcode.CLOSE:
            message.closed = True
            if frame.received <= MAX_CONTROL_PAYLOAD:  # else the header's problem says it already
                _read_close(frame)
        message.failed = message.failed or bool(frame.problems)


def _read_close(frame: _Frame) -> None:
    """Check the payload of a Close: its code, and its reason too if the code is wrong.  §5.5.1."""
    payload = frame.plain
    try:
        parse_close_payload(payload)
    except ProtocolError as error:
        frame.add_problem(error, "payload")
        if len(payload) > 1 and error.code != CloseCode.INVALID_DATA:
            try:
                parse_close_payload(int(CloseCode.NORMAL).to_bytes(2, "big") + payload[2:])
            except ProtocolError as second:
                frame.add_problem(second, "payload")
    frame.steps += close_steps(payload)


# -- As a description -------------------------------------------------------------------


def _describe(frame: _Frame) -> Description:
    head, length, notes = frame.head, frame.length, list(frame.notes)
    missing, missing_bytes = missing_words(head, frame.received)
    sender = "a client" if frame.receiver is Role.SERVER else "a server"
    size = count(header_size(head) + (length or 0), "byte")
    title = f"{opcode_name(head[0])} frame from {sender}: {size} on the wire"
    if length is None:
        title = f"the beginning of a {opcode_name(head[0])} frame: {count(len(head), 'byte')}"
    if frame.is_http:
        title = "HTTP where a frame was expected"
        line = (head + frame.wire).removeprefix(b"\r\n").partition(b"\r\n")[0]
        start = f"{line[:4].hex(' ')} is '{line[:4].decode()}'"
        notes.insert(0, f"{start}: this is HTTP text, {quote_unicode(line)}, read as a frame")
    return Description(
        kind="frame",
        title=title,
        one_line=_one_line(frame),
        start=frame.start,
        raw=head,
        fields=tuple(header_fields(head)),
        payload=None if length is None else _payload(frame, length),
        steps=tuple(frame.steps),
        problems=tuple(frame.problems),
        notes=tuple(notes),
        missing=missing,
        missing_bytes=missing_bytes,
    )


def _payload(frame: _Frame, length: int) -> Payload:
    if frame.received <= FIRST + LAST:
        return Payload(length, frame.received, frame.key, frame.wire, frame.plain)
    first, plain = frame.wire[:FIRST], frame.plain[:FIRST]
    return Payload(length, frame.received, frame.key, first, plain, frame.wire_end, frame.plain_end)


def _one_line(frame: _Frame) -> str:
    """Return ``TEXT, FIN, masked, 5 bytes: 'Hello'``."""
    first = frame.head[0]
    words = [opcode_name(first)]
    words += [name for name, bit in (("FIN", FIN), ("RSV1", 0x40), ("RSV2", 0x20), ("RSV3", 0x10)) if first & bit]
    if len(frame.head) > 1 and frame.head[1] & MASK:
        words.append("masked")
    if frame.length is None:
        words.append("the header is not complete")
    else:
        words.append(count(frame.length, "byte"))
        if frame.received < frame.length:
            words.append(f"{frame.received} of them here")
    line = ", ".join(words)
    if content := _content(frame):
        line += f": {content}"
    if frame.problems:
        line += f"; WRONG: {frame.problems[0].text} ({frame.problems[0].section})"
    return line


def _content(frame: _Frame) -> str:
    """Return the payload in a few words."""
    inflated = [step.value for step in frame.steps if step.name == "inflated"]
    if inflated:
        return f"compressed, {inflated[0]}"
    if frame.opcode is Opcode.CLOSE and len(frame.plain) > 1:
        code = code_and_name(int.from_bytes(frame.plain[:2], "big"))
        return code + (f" {quote_unicode(frame.plain[2:])}" if len(frame.plain) > 2 else "")
    if not frame.received:
        return ""
    text = frame.opcode in (Opcode.TEXT, Opcode.PING, Opcode.PONG) and not frame.head[0] & RSV1
    if frame.opcode is Opcode.CONTINUATION:  # which may continue text or bytes
        text = frame.plain.decode("utf-8", "ignore").isprintable()
    return payload_words(frame.plain, frame.received, text)
