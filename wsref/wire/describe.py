"""The wire made visible: bytes to a description that can be drawn.

The parsers below stop at the first rule that is broken: a receiver must not trust what
comes after it.  Here nobody is to be protected, somebody is to be told: so *every* broken
rule is named, what is not here yet is drawn as far as it is, and nothing is refused.
Whether something is wrong at all is no matter of taste: a frame has a problem when, and
only when, :class:`wsref.Connection` fails at it, with the same close code (a test sees to it).

An :class:`Explainer` takes the bytes of one direction of one connection, in any pieces,
and gives a :class:`~wsref.wire.picture.Description` of everything that is complete::

    >>> explainer = Explainer()
    >>> for description in explainer.feed(bytes.fromhex("8185 37fa213d 7f9f4d5158 8900")):
    ...     print(description.one_line)
    TEXT, FIN, masked, 5 bytes: 'Hello'
    PING, FIN, 0 bytes

It keeps a picture of a payload, not the payload: however much a frame declares, and
however much comes, it takes a few KiB.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from ..protocol.closing import may_travel, parse_close_payload
from ..protocol.deflate import NAME, TAIL, Agreement, Inflater, read_parameters
from ..protocol.errors import HTTPError, ProtocolError
from ..protocol.frames import Header, apply_mask
from ..protocol.handshake import accept_key, broken_rules, parse_extensions, wants_upgrade
from ..protocol.http11 import (
    HTTP2_PREFACE,
    TOKEN,
    Headers,
    Response,
    find_end_of_head,
    parse_head,
    parse_response,
    reason_phrase,
)
from ..protocol.limits import Limits
from ..protocol.messages import Assembler, decode, decode_some
from ..protocol.spec import (
    CONTROL,
    FIN,
    GUID,
    LENGTH,
    LENGTH_16,
    LENGTH_64,
    MASK,
    MASKING_KEY_BYTES,
    MAX_CONTROL_PAYLOAD,
    OPCODE,
    OPCODES,
    RSV,
    RSV1,
    CloseCode,
    Opcode,
    Role,
)
from .picture import FIRST, LAST, Description, Field, Payload, Problem, Step, code_and_name, count, legible, svg_of

__all__ = [
    "Description",
    "Explainer",
    "Field",
    "Payload",
    "Problem",
    "Step",
    "explain",
    "explain_frames",
    "explain_request",
    "explain_response",
    "svg_of",
]

#: Bytes of a payload, and of a message, that are kept: as many as a control frame may have.
KEPT = MAX_CONTROL_PAYLOAD

#: Bytes.  A message is inflated so far and no further: 1 MiB may come from 1 KiB.
MOST_INFLATED = Limits().max_message_size

#: How large a message may be is a server's choice, and nothing that bytes can be wrong in.
NO_LIMITS = Limits(max_message_size=1 << 80, max_empty_fragments=1 << 80)

#: What a client or a server that speaks HTTP begins with.
_REQUEST = re.compile(
    rf"(?:\r\n)?(?:(?:GET|HEAD|POST|PUT|DELETE|CONNECT|OPTIONS|TRACE|PATCH) |{TOKEN} [!-~]+ HTTP/[0-9])".encode()
)
_RESPONSE = re.compile(rb"HTTP/")
_BEGINNINGS = (b"\r\nGET ", b"GET ", b"HEAD ", b"POST ", b"PUT ", b"OPTIONS ", b"HTTP/1", b"PRI * HTTP/2")

#: RFC 8446 §5.1: the types of a TLS record.
_TLS_TYPES = {20: "change_cipher_spec", 21: "alert", 22: "handshake", 23: "application_data"}
TLS_HEADER = 5  # bytes of a record before its content
_TLS = re.compile(rb"[\x14-\x17]\x03[\x00-\x04]")


def explain(
    data: bytes, *, masked: bool | None = None, key: str | None = None, deflate: Agreement | None = Agreement()
) -> list[Description]:
    r"""Say what some bytes are: an opening handshake, frames, or something else altogether.

    Args:
        data: What one side sent.
        masked: True: a client sent it; False: a server did; None: each frame's MASK bit tells.
        key: The Sec-WebSocket-Key that a 101 among them answers.
        deflate: See :class:`Explainer`.
    Returns:
        One description for each head or frame, the last perhaps of one that is not complete.

    >>> print(explain(b"HTTP/1.1 400 Bad Request\r\n\r\n")[0].one_line)
    HTTP/1.1 400 Bad Request
    >>> print(explain(bytes.fromhex("880203e8"))[0].one_line)
    CLOSE, FIN, 2 bytes: 1000 NORMAL
    """
    return Explainer(masked=masked, key=key, deflate=deflate, opening=True).finish(data)


def explain_frames(
    data: bytes, *, masked: bool | None = None, deflate: Agreement | None = Agreement()
) -> list[Description]:
    """Describe frames, the last of which may be incomplete.

    Args:
        data, masked, deflate: As for :class:`Explainer`.

    >>> (description,) = explain_frames(bytes.fromhex("8185 37fa21"))
    >>> description.missing
    '1 more byte of the masking key, then 5 of payload'
    """
    return Explainer(masked=masked, deflate=deflate).finish(data)


# -- The header ---------------------------------------------------------------------

_OPCODE_MEANINGS = {
    Opcode.CONTINUATION: ("goes on with the open message", "§5.4"),
    Opcode.TEXT: ("begins a message of UTF-8 text", "§5.6"),
    Opcode.BINARY: ("begins a message of bytes", "§5.6"),
    Opcode.CLOSE: ("the sender's last frame", "§5.5.1"),
    Opcode.PING: ("asks for a Pong with its payload", "§5.5.2"),
    Opcode.PONG: ("answers a Ping, or a sign of life", "§5.5.3"),
}


def opcode_name(first: int) -> str:
    """The name of the opcode in a frame's first byte.

    >>> opcode_name(0x81), opcode_name(0x83)
    ('TEXT', 'reserved opcode 0x3')
    """
    opcode = OPCODES.get(first & OPCODE)
    return opcode.name if opcode is not None else f"reserved opcode {first & OPCODE:#x}"


def header_size(head: bytes) -> int:
    """How long a frame's header is, as far as its beginning tells.

    >>> [header_size(bytes.fromhex(head)) for head in ("81", "8105", "8185", "82fe", "827f")]
    [2, 2, 6, 8, 10]
    """
    if len(head) < 2:
        return 2
    return 2 + _length_bytes(head[1]) + (MASKING_KEY_BYTES if head[1] & MASK else 0)


def _length_bytes(second: int) -> int:
    """Of the extended length: none, 2 or 8."""
    return {LENGTH_16: 2, LENGTH_64: 8}.get(second & LENGTH, 0)


def payload_length(head: bytes) -> int | None:
    """The length that a header declares; None: it is not here yet.

    >>> payload_length(bytes.fromhex("827e0100")), payload_length(bytes.fromhex("827e01"))
    (256, None)
    """
    if len(head) < 2:
        return None
    extended = _length_bytes(head[1])
    if not extended:
        return head[1] & LENGTH
    return int.from_bytes(head[2 : 2 + extended], "big") if len(head) >= 2 + extended else None


def header_fields(head: bytes) -> list[Field]:
    """The fields of a header, or of as much of it as is here: each bit is in one of them.

    >>> for row in header_fields(bytes.fromhex("8105")):
    ...     print(row.start, row.bits, row.name, row.raw, row.value)
    0 1 FIN 1 1
    1 1 RSV1 0 0
    2 1 RSV2 0 0
    3 1 RSV3 0 0
    4 4 opcode 0001 TEXT
    8 1 MASK 0 0
    9 7 length 0000101 5
    """
    first = head[0]
    opcode = OPCODES.get(first & OPCODE)
    control = opcode is not None and opcode & CONTROL
    if first & FIN:
        fin = "a control frame is always whole" if control else "the message ends with this frame"
    else:
        fin = "but a control frame must be whole" if control else "more frames of it follow"
    if first & RSV1:
        rsv1 = "compressed (permessage-deflate)"
    else:
        rsv1 = "not compressed" if opcode in (Opcode.TEXT, Opcode.BINARY) else "set on a first frame only"
    meaning, section = ("reserved: it has no meaning yet", "§5.2")
    if opcode is not None:
        meaning, section = _OPCODE_MEANINGS[opcode]
    fields = [
        _bit("FIN", 0, first, fin, "§5.2"),
        _bit("RSV1", 1, first, rsv1, "RFC 7692 §6"),
        _bit("RSV2", 2, first, "no extension defines it", "§5.2"),
        _bit("RSV3", 3, first, "no extension defines it", "§5.2"),
        Field("opcode", 4, 4, f"{first & OPCODE:04b}", _opcode_value(first), meaning, _rfc(section)),
    ]
    if len(head) < 2:
        fields.append(Field("MASK", 8, 1, "", "?", "whether a masking key follows", _rfc("§5.3"), 1))
        fields.append(Field("length", 9, 7, "", "?", "of the payload, or where it stands", _rfc("§5.2"), 7))
        return fields

    second = head[1]
    length, extended = second & LENGTH, _length_bytes(second)
    masking = "masked: it comes from a client" if second & MASK else "not masked: it is a server's"
    where = f"the length is in the next {extended} bytes" if extended else "bytes of payload"
    fields.append(_bit("MASK", 8, second, masking, "§5.1"))
    fields.append(Field("length", 9, 7, f"{length:07b}", str(length), where, _rfc("§5.2")))
    if extended:
        there = payload_length(head)
        value = "?" if there is None else str(there)
        fields.append(_octets("extended length", 2, extended, head, value, "bytes of payload, high byte first", "§5.2"))
    if second & MASK:
        at = 2 + extended
        means = "repeated, XORed with the payload"
        value = head[at : at + MASKING_KEY_BYTES].hex(" ") or "?"
        fields.append(_octets("masking key", at, MASKING_KEY_BYTES, head, value, means, "§5.3"))
    return fields


def _opcode_value(first: int) -> str:
    return OPCODES[first & OPCODE].name if first & OPCODE in OPCODES else f"{first & OPCODE:#x}"


def _bit(name: str, at: int, octet: int, meaning: str, section: str) -> Field:
    bit = str(octet >> (7 - at % 8) & 1)
    return Field(name, at, 1, bit, bit, meaning, _rfc(section))


def _octets(name: str, at: int, size: int, head: bytes, value: str, meaning: str, section: str) -> Field:
    here = head[at : at + size]
    return Field(name, at * 8, size * 8, here.hex(" "), value, meaning, _rfc(section), (size - len(here)) * 8)


def _rfc(section: str) -> str:
    """``§5.2`` is RFC 6455's, as for :class:`~wsref.protocol.errors.ProtocolError`."""
    return section if section.startswith("RFC") or not section else f"RFC 6455 {section}"


def header_problems(head: bytes, *, masked: bool | None, rsv_allowed: int) -> Iterator[Problem]:
    """Every rule that a header breaks, as far as it is here: what ``parse_header`` asks, all of it.

    Args:
        head: At least one byte.
        masked: Whether the frame must be masked; None: it may be or not.
        rsv_allowed: The RSV bits to which an extension gave a meaning.
    """

    def wrong(reason: str, section: str, *fields: str) -> Problem:
        return Problem(reason, _rfc(section), int(CloseCode.PROTOCOL_ERROR), fields)

    first, name = head[0], opcode_name(head[0])
    opcode, rsv = OPCODES.get(first & OPCODE), first & RSV
    control = opcode is not None and opcode & CONTROL
    unknown = [f"RSV{n}" for n in (1, 2, 3) if rsv & ~rsv_allowed & 0x80 >> n]

    if unknown:
        verb = "are" if len(unknown) > 1 else "is"
        yield wrong(f"{' and '.join(unknown)} {verb} set, and no extension defines that", "§5.2", *unknown)
    if opcode is None:
        yield wrong(f"opcode {first & OPCODE:#x} is reserved", "§5.2", "opcode")
    if rsv & rsv_allowed and (control or opcode is Opcode.CONTINUATION):
        yield wrong(f"RSV1 is for the first frame of a message, not for {name}", "RFC 7692 §6", "RSV1")
    if control and not first & FIN:
        yield wrong(f"a control frame ({name}) must not be fragmented", "§5.5", "FIN")
    if len(head) < 2:
        return
    second = head[1]
    if control and second & LENGTH > MAX_CONTROL_PAYLOAD:
        yield wrong(f"a control frame ({name}) holds at most {MAX_CONTROL_PAYLOAD} bytes", "§5.5", "length")
    if masked is True and not second & MASK:
        yield wrong("a frame from a client must be masked, and this one is not", "§5.1", "MASK")
    if masked is False and second & MASK:
        yield wrong("a frame from a server must not be masked, and this one is", "§5.1", "MASK")
    length, extended = payload_length(head), _length_bytes(second)
    if length is None:
        return
    if extended == 2 and length < LENGTH_16:
        yield wrong(f"length {length} is written in 16 bits; it fits in 7", "§5.2", "length", "extended length")
    if extended == 8 and length <= 0xFFFF:
        fits = "7" if length < LENGTH_16 else "16"
        yield wrong(f"length {length} is written in 64 bits; it fits in {fits}", "§5.2", "length", "extended length")
    if length >> 63:
        yield wrong("the top bit of a 64-bit length is set", "§5.2", "extended length")


# -- Messages: what a frame means after those before it --------------------------------


class _Message:
    """The message that is open in one direction, and what outlives it."""

    def __init__(self, from_start: bool) -> None:
        self.order = Assembler(NO_LIMITS)  # it is given headers and no payload: it knows which frame may follow which
        self.inflater: Inflater | None = None
        self.window_known = from_start  # all that a compressed message may refer to has been seen
        self.failed = False  # a receiver would have hung up
        self.closed = False  # there has been a Close
        self._begin()

    def _begin(self) -> None:
        self.frames = 0
        self.deflated = b""  # the beginning of its payload, if it is compressed ...
        self.wire = 0  # ... and how long that is, bytes
        self.plain = b""  # the beginning of what it says ...
        self.size = 0  # ... and how long that is, bytes
        self.tail = b""  # the first bytes of a character of its text
        self.unread = ""  # why no more of it is read

    def begin_frame(self, header: Header) -> ProtocolError | None:
        """A data frame begins; what is wrong about its place."""
        wrong = None
        try:
            self.order.begin_frame(header)
        except ProtocolError as error:
            wrong = error
            if header.opcode is not Opcode.CONTINUATION:
                # The message before it has never ended.  What this frame says is told all the same.
                self.order = Assembler(NO_LIMITS)
                self.order.begin_frame(header)
                self.frames = 0
        if not self.frames:
            self._begin()
        self.frames += 1
        return wrong

    def add(self, piece: bytes, inflater: Inflater | None, window_known: bool) -> None:
        """A piece of a frame's payload, unmasked.

        Raises:
            ProtocolError: 1007.
        """
        if not self.order.compressed:
            self._read(piece)
            return
        self.wire += len(piece)
        self.deflated += piece[: KEPT - len(self.deflated)]
        if inflater is not None and not self.unread:
            self._inflate(inflater.inflate(piece), window_known)

    def _inflate(self, pieces: Iterator[bytes], window_known: bool) -> None:
        try:
            for piece in pieces:
                self._read(piece)
                if self.size > MOST_INFLATED:
                    self._give_up(f"more than {MOST_INFLATED} bytes come out: it is inflated no further")
                    return
        except ProtocolError as error:
            if "too far back" in error.reason and not window_known:
                self._give_up("it refers to messages before these bytes, so it cannot be inflated here")
                return
            self.unread = self.unread or "it is no DEFLATE"
            raise

    def _give_up(self, why: str) -> None:
        self.unread, self.tail, self.inflater, self.window_known = why, b"", None, False

    def _read(self, piece: bytes) -> None:
        self.size += len(piece)
        self.plain += piece[: KEPT - len(self.plain)]
        if self.order.opcode is Opcode.TEXT and not self.unread:
            try:
                _, self.tail = decode_some(self.tail + piece)
            except ProtocolError:
                self.unread, self.tail = "it is no text", b""
                raise

    def end(self, inflater: Inflater | None, window_known: bool) -> list[Step]:
        """The last frame is complete.

        Raises:
            ProtocolError: 1007.
        """
        text, compressed = self.order.opcode is Opcode.TEXT, self.order.compressed
        try:
            if compressed and inflater is not None and not self.unread:
                self._inflate(inflater.end_message(), window_known)
            if self.tail:
                decode(self.tail)  # it says that the text ends inside a character
            return list(self._steps(text, compressed))
        finally:
            self.order.end_message()
            self.frames = 0

    def _steps(self, text: bool, compressed: bool) -> Iterator[Step]:
        said = f"{count(self.size, 'byte')}: {payload_words(self.plain, self.size, text)}"
        if compressed:
            over = f", over {self.frames} frames" if self.frames > 1 else ""
            length = f"{count(self.wire, 'byte')} of DEFLATE{over}"
            yield Step("compressed", octets_words(self.deflated, self.wire), length, "RFC 7692 §7.2.1")
            yield Step("with the tail", f"… {TAIL.hex(' ')}", "which is never sent, put back", "RFC 7692 §7.2.2")
            yield Step("inflated", self.unread or said, "the message", "RFC 1951")
        elif self.frames > 1:
            yield Step("message", said, f"complete, in {self.frames} frames", "RFC 6455 §5.4")


def octets_words(octets: bytes, length: int) -> str:
    """The first bytes of something, in hex.

    >>> octets_words(b"abc", 3), octets_words(bytes(9), 1000)
    ('61 62 63', '00 00 00 00 00 00 00 00 … (1000 bytes)')
    """
    if length <= 16 and len(octets) == length:
        return octets.hex(" ") or "nothing"
    return f"{octets[:8].hex(' ')} … ({length} bytes)"


def payload_words(octets: bytes, length: int, text: bool) -> str:
    """The first bytes of a payload, as text or in hex.

    >>> payload_words(b"Hello", 5, True), payload_words(b"Hello", 5, False)
    ("'Hello'", '48 65 6c 6c 6f')
    """
    if not text:
        return octets_words(octets, length)
    # What was kept may end inside a character; what is cut off is not shown as wrong.
    whole = octets if len(octets) == length else octets.decode("utf-8", "ignore")
    return legible(whole, 60) if len(octets) == length else legible(whole[:60]) + " …"


# -- One direction of one connection ----------------------------------------------------


@dataclass(slots=True)
class _Frame:
    """The frame whose bytes are coming in."""

    start: int
    head: bytes = b""
    length: int | None = None  # of its payload; None until the header is complete
    here: int = 0  # bytes of its payload that have come
    wire: bytes = b""  # the first of them ...
    plain: bytes = b""  # ... the same, unmasked ...
    wire_end: bytes = b""  # ... and the last
    plain_end: bytes = b""
    of_message: bool = False  # its payload is part of a message
    role: Role = Role.SERVER  # who receives it
    problems: list[Problem] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def opcode(self) -> Opcode | None:
        return OPCODES.get(self.head[0] & OPCODE)

    @property
    def key(self) -> bytes:
        return self.head[-MASKING_KEY_BYTES:] if self.head[1] & MASK else b""


class Explainer:
    """Explains what one side of a connection sends, in whatever pieces it comes.

    Args:
        masked: True: a client sends it; False: a server does; None: each frame's MASK bit
            tells, and frames of both sides may be mixed.
        opening: Whether it may begin with an opening handshake.  If not, it is frames from
            the first byte on.
        key: The Sec-WebSocket-Key that the 101 has to answer; None: not known.
        deflate: What was agreed on about compression; None: that there is none, so RSV1
            is wrong.  The default assumes that it was agreed on, with the largest windows, which read
            what any sender has compressed.  A 101 that is explained on the way replaces it.
        from_start: Whether the first frame is the connection's first, so that a compressed
            message cannot refer to any that we have not seen.

    Attributes:
        key, deflate: As above; they may be set when they become known.

    >>> explainer = Explainer(masked=False)
    >>> explainer.feed(bytes.fromhex("8105 4865"))
    []
    >>> explainer.pending().missing
    '3 more bytes of payload'
    >>> [description.one_line for description in explainer.feed(b"llo")]
    ["TEXT, FIN, 5 bytes: 'Hello'"]
    """

    def __init__(
        self,
        *,
        masked: bool | None = None,
        opening: bool = False,
        key: str | None = None,
        deflate: Agreement | None = Agreement(),
        from_start: bool = False,
    ) -> None:
        self.masked = masked
        self.key = key
        self.deflate = deflate
        self._from_start = from_start
        self._expected = "" if opening else "frames"  # what the bytes are; "": not known yet
        self._head = b""  # of a handshake, as far as it has come
        self._checked = 0  # bytes of it that were looked through for its end
        self._position = 0  # of the next byte, in the stream
        self._frame: _Frame | None = None
        self._messages: dict[Role, _Message] = {}  # by who receives them

    def feed(self, data: bytes) -> list[Description]:
        """Bytes came: what has become complete by them.

        Cost:
            Linear in the bytes, and in what compressed messages inflate to.
        """
        done: list[Description] = []
        if self._expected not in ("frames", "nothing"):
            self._head += data
            if not self._expected:
                self._expected = recognise(self._head) or ""
            if self._expected == "frames":
                data, self._head = self._head, b""
            elif self._expected:
                opening, data = self._opening()
                done += opening
        if self._expected == "frames":
            done += self._feed_frames(data)
        return done

    def pending(self) -> Description | None:
        """What has begun and is not complete; None: nothing has."""
        if self._head:
            if not self._expected:  # so few bytes that they might be anything: then as a frame
                (frame,) = explain_frames(self._head, masked=self.masked, deflate=self.deflate)
                return replace(frame, notes=(*frame.notes, "or it is the beginning of HTTP text, or of TLS"))
            return self._describe_head()
        return None if self._frame is None else self._describe_frame(self._frame)

    def finish(self, data: bytes) -> list[Description]:
        """Bytes came, the last: what is complete, and then what is not."""
        done = self.feed(data)
        pending = self.pending()
        return [*done, pending] if pending is not None else done

    # -- The opening handshake

    def _describe_head(self) -> Description:
        if self._expected == "request":
            return explain_request(self._head)
        if self._expected == "response":
            return explain_response(self._head, self.key)
        return _explain_other(self._head, self._expected)

    def _opening(self) -> tuple[list[Description], bytes]:
        """The head, if it is complete or beyond repair; and the bytes that follow it."""
        end: int | None = len(self._head)
        try:
            if self._expected == "request":
                end = find_end_of_head(self._head, self._checked)
            elif self._expected == "response":
                found = parse_response(self._head)
                end = None if found is None else found[1]
            elif len(self._head) < (TLS_HEADER if self._expected == "tls" else len(HTTP2_PREFACE)):
                end = None
        except HTTPError:
            pass  # its description will say so
        if end is None:
            self._checked = len(self._head)
            return [], b""
        description, rest = self._describe_head(), self._head[end:]
        self._position, self._head = end, b""
        upgraded = not description.problems and self._upgrades(description.raw)
        self._expected = "frames" if upgraded else "nothing"
        return [description], rest

    def _upgrades(self, head: bytes) -> bool:
        """Whether frames follow this head; and what it says about them."""
        self._from_start = True
        if self._expected == "request":
            request = parse_head(head)
            self.masked = True
            self.key = request.headers.get("Sec-WebSocket-Key")
            offered = parse_extensions(request.headers.get("Sec-WebSocket-Extensions"))
            if NAME not in (extension.name for extension in offered):
                self.deflate = None
            return wants_upgrade(request)
        found = parse_response(head)
        if found is None or found[0].status != 101:
            return False
        self.masked = False
        self.deflate = agreed(found[0].headers)
        return True

    # -- Frames

    def _feed_frames(self, data: bytes) -> list[Description]:
        done: list[Description] = []
        at = 0
        while at < len(data) and self._expected == "frames":
            frame = self._frame
            if frame is None:
                frame = self._frame = _Frame(self._position + at)
            if frame.length is None:
                at = self._take_header(frame, data, at)
                if frame.length is None:
                    continue
            piece = data[at : at + frame.length - frame.here]
            at += len(piece)
            if piece:
                self._take_payload(frame, piece)
            if frame.here == frame.length:
                self._end_frame(frame)
                done.append(self._describe_frame(frame))
                self._frame = None
                if _is_http(frame):
                    self._expected = "nothing"  # lengths read out of letters lead nowhere
        self._position += at
        return done

    def _take_header(self, frame: _Frame, data: bytes, at: int) -> int:
        """As much of the header as has come; returns where the rest begins."""
        while len(frame.head) < header_size(frame.head) and at < len(data):
            piece = data[at : at + header_size(frame.head) - len(frame.head)]
            frame.head += piece
            at += len(piece)
        frame.role = self._receiver(frame.head)
        rsv_allowed = RSV1 if self.deflate is not None else 0
        frame.problems = list(header_problems(frame.head, masked=self.masked, rsv_allowed=rsv_allowed))
        if len(frame.head) == header_size(frame.head):
            frame.length = payload_length(frame.head) or 0
            self._begin_frame(frame, frame.length)
        return at

    def _receiver(self, head: bytes) -> Role:
        masked = self.masked if self.masked is not None else len(head) > 1 and head[1] & MASK > 0
        return Role.SERVER if masked else Role.CLIENT

    def _message(self, frame: _Frame) -> _Message:
        return self._messages.setdefault(frame.role, _Message(self._from_start))

    def _inflater(self, frame: _Frame) -> Inflater | None:
        message = self._message(frame)
        if message.inflater is None and self.deflate is not None:
            message.inflater = Inflater(self.deflate, frame.role)
        return message.inflater

    def _window_known(self, frame: _Frame) -> bool:
        """Whether a compressed message can only refer to what we have seen."""
        if self.deflate is None or self._message(frame).window_known:
            return True
        server = frame.role is Role.SERVER
        return self.deflate.client_no_context_takeover if server else self.deflate.server_no_context_takeover

    def _begin_frame(self, frame: _Frame, length: int) -> None:
        """The header is complete: is this frame's place in the stream a right one?"""
        message, opcode = self._message(frame), frame.opcode
        if message.failed:
            frame.notes.append("after what was wrong before it, a strict receiver reads this no more (RFC 6455 §7.1.7)")
        if message.closed:
            frame.notes.append("after a Close: nobody reads this any more (RFC 6455 §5.5.1)")
            if opcode is None or not opcode & CONTROL:
                after = "a data frame after a Close must not be sent"
                frame.problems.append(Problem(after, "RFC 6455 §5.5.1", 0, ("opcode",)))
        if opcode is not None and not opcode & CONTROL:
            first = opcode is not Opcode.CONTINUATION
            rsv = frame.head[0] & RSV1 if first and self.deflate is not None else 0
            header = Header(frame.head[0] & FIN > 0, rsv, opcode, length, frame.key, len(frame.head))
            wrong = message.begin_frame(header)
            if wrong is not None:
                self._wrong(frame, wrong, "opcode")
            frame.of_message = wrong is None or first
            if rsv and not self._from_start:
                frame.notes.append(
                    "RSV1 is right only where permessage-deflate was agreed on, in the opening handshake"
                )
        most = Limits().max_message_size
        if length > most:
            frame.notes.append(
                f"many servers would refuse {length} bytes with 1009; wsref would, beyond {most} (§10.4)"
            )

    def _wrong(self, frame: _Frame, error: ProtocolError, *fields: str) -> None:
        frame.problems.append(Problem(error.reason, _rfc(error.section), error.code, fields))

    def _take_payload(self, frame: _Frame, piece: bytes) -> None:
        """A piece of the payload: kept if it is at the beginning or at the end, and read."""
        plain = piece
        if frame.key:
            turned = frame.here % MASKING_KEY_BYTES
            plain = apply_mask(piece, frame.key[turned:] + frame.key[:turned])
        frame.here += len(piece)
        room = KEPT - len(frame.wire)
        frame.wire += piece[:room]
        frame.plain += plain[:room]
        frame.wire_end = (frame.wire_end + piece[-LAST:])[-LAST:]
        frame.plain_end = (frame.plain_end + plain[-LAST:])[-LAST:]
        if frame.of_message:
            try:
                self._message(frame).add(plain, self._inflater(frame), self._window_known(frame))
            except ProtocolError as error:
                self._wrong(frame, error, "payload")

    def _end_frame(self, frame: _Frame) -> None:
        """The frame is complete."""
        message = self._message(frame)
        if frame.of_message and frame.head[0] & FIN:
            try:
                frame.steps = message.end(self._inflater(frame), self._window_known(frame))
            except ProtocolError as error:
                self._wrong(frame, error, "payload")
        if frame.opcode is Opcode.CLOSE:
            self._close(frame)
            message.closed = True
        message.failed = message.failed or bool(frame.problems)

    def _close(self, frame: _Frame) -> None:
        """§5.5.1: the payload of a Close.  One that is too long was told already."""
        if frame.here > MAX_CONTROL_PAYLOAD:
            return
        payload = frame.plain
        try:
            parse_close_payload(payload)
        except ProtocolError as error:
            self._wrong(frame, error, "payload")
            if len(payload) > 1 and error.code != CloseCode.INVALID_DATA:
                # The code is wrong; with a good one in its place: is the reason wrong too?
                try:
                    parse_close_payload(int(CloseCode.NORMAL).to_bytes(2, "big") + payload[2:])
                except ProtocolError as second:
                    self._wrong(frame, second, "payload")
        frame.steps += close_steps(payload)

    def _describe_frame(self, frame: _Frame) -> Description:
        head, length = frame.head, frame.length
        missing, at_least = missing_words(frame.head, frame.here)
        problems, notes = tuple(frame.problems), list(frame.notes)
        sender = "a client" if frame.role is Role.SERVER else "a server"
        size = header_size(head) + (length or 0)
        title = f"{opcode_name(head[0])} frame from {sender}: {count(size, 'byte')} on the wire"
        if length is None:
            title = f"the beginning of a {opcode_name(head[0])} frame: {count(len(head), 'byte')}"
        if _is_http(frame):
            line = (head + frame.wire).partition(b"\r\n")[0]
            title = "HTTP where a frame was expected"
            notes.insert(
                0, f"{line[:4].hex(' ')} is '{line[:4].decode()}': this is HTTP text, {legible(line)}, read as a frame"
            )
        payload = None
        if length is not None:
            payload = _payload(frame, length)
        return Description(
            kind="frame",
            title=title,
            one_line=_frame_line(frame),
            start=frame.start,
            raw=head,
            fields=tuple(header_fields(head)),
            payload=payload,
            steps=tuple(frame.steps),
            problems=problems,
            notes=tuple(notes),
            missing=missing,
            missing_bytes=at_least,
        )


def _is_http(frame: _Frame) -> bool:
    """Whether a frame with something wrong in it is HTTP: 48 54 54 50 is ``HTTP``."""
    start = frame.head + frame.wire
    return bool(frame.problems) and (_RESPONSE.match(start) or _REQUEST.match(start)) is not None


def _payload(frame: _Frame, length: int) -> Payload:
    if frame.here <= FIRST + LAST:
        return Payload(length, frame.here, frame.key, frame.wire, frame.plain)
    first, plain = frame.wire[:FIRST], frame.plain[:FIRST]
    return Payload(length, frame.here, frame.key, first, plain, frame.wire_end, frame.plain_end)


def _frame_line(frame: _Frame) -> str:
    """``TEXT, FIN, masked, 5 bytes: 'Hello'``."""
    first = frame.head[0]
    words = [opcode_name(first)]
    words += [name for name, bit in (("FIN", FIN), ("RSV1", 0x40), ("RSV2", 0x20), ("RSV3", 0x10)) if first & bit]
    if len(frame.head) > 1 and frame.head[1] & MASK:
        words.append("masked")
    if frame.length is None:
        words.append("the header is not complete")
    else:
        words.append(count(frame.length, "byte"))
        if frame.here < frame.length:
            words.append(f"{frame.here} of them here")
    line = ", ".join(words)
    inflated = [step.value for step in frame.steps if step.name == "inflated"]
    if inflated:
        line += f": compressed, {inflated[0]}"
    elif frame.opcode is Opcode.CLOSE and len(frame.plain) > 1:
        code = code_and_name(int.from_bytes(frame.plain[:2], "big"))
        line += f": {code}" + (f" {legible(frame.plain[2:])}" if len(frame.plain) > 2 else "")
    elif frame.here:
        compressed = first & RSV1
        text = frame.opcode in (Opcode.TEXT, Opcode.PING, Opcode.PONG) and not compressed
        if frame.opcode is Opcode.CONTINUATION:
            text = _reads_as_text(frame.plain)
        line += f": {payload_words(frame.plain, frame.here, text)}"
    if frame.problems:
        line += f"; WRONG: {frame.problems[0].text} ({frame.problems[0].section})"
    return line


def _reads_as_text(octets: bytes) -> bool:
    """Whether bytes look like (a piece of) text: a continuation does not say what it continues."""
    return octets.decode("utf-8", "ignore").isprintable()


def missing_words(head: bytes, here: int) -> tuple[str, int]:
    """What a frame lacks, in words, and at least how many bytes that is.

    Args:
        head: Its header, as far as it is here.
        here: How many bytes of its payload are.

    >>> missing_words(bytes.fromhex("8185 37"), 0)
    ('3 more bytes of the masking key, then 5 of payload', 8)
    >>> missing_words(bytes.fromhex("81"), 0)
    ('the second byte, MASK and length, and what it announces', 1)
    """
    if len(head) < 2:
        return "the second byte, MASK and length, and what it announces", 1
    extended, masked = _length_bytes(head[1]), head[1] & MASK
    length = payload_length(head)
    lacks = []
    if len(head) < 2 + extended:
        lacks.append((2 + extended - len(head), "the extended length"))
    if masked and len(head) < header_size(head):
        lacks.append((min(MASKING_KEY_BYTES, header_size(head) - len(head)), "the masking key"))
    if length is not None and here < length:
        lacks.append((length - here, "payload"))
    words = [f"{number} of {what}" for number, what in lacks]
    if words:
        number, what = lacks[0]
        words[0] = f"{number} more {'byte' if number == 1 else 'bytes'} of {what}"
    if length is None:
        words.append("the payload")
    return ", then ".join(words), sum(number for number, _ in lacks)


def close_steps(payload: bytes) -> list[Step]:
    """What the payload of a Close says, right or wrong.

    >>> for step in close_steps(bytes.fromhex("03e8") + b"bye"):
    ...     print(step.name, step.value)
    close code 1000 NORMAL
    reason 'bye'
    """
    if not payload:
        none = "no code: the receiver's program sees 1005 NO_STATUS"
        return [Step("close code", "none", none, "RFC 6455 §7.1.5")]
    if len(payload) == 1:
        return [Step("close code", f"half of one: {payload.hex()}", "a code has 2 bytes", "RFC 6455 §5.5.1")]
    code = int.from_bytes(payload[:2], "big")
    travels = "may be sent in a Close frame" if may_travel(code) else "must not be sent in a Close frame"
    steps = [Step("close code", code_and_name(code), f"{payload[:2].hex(' ')}: it {travels}", "RFC 6455 §7.4")]
    if len(payload) > 2:
        steps.append(Step("reason", legible(payload[2:], 125), "for the log, in UTF-8", "RFC 6455 §5.5.1"))
    return steps


# -- HTTP -----------------------------------------------------------------------------

_FIRST_LINES = {"request": "RFC 9112 §3", "response": "RFC 9112 §4"}

_HEADER_MEANINGS = {
    "host": ("whom the request is for", "RFC 9112 §3.2"),
    "connection": ("names the headers that are for the next hop only; 'upgrade' among them", "RFC 9110 §7.6.1"),
    "upgrade": ("the protocol to go on with on this connection", "RFC 9110 §7.8"),
    "origin": ("the page that opens this WebSocket: who is not a browser may leave it out", "RFC 6455 §10.2"),
    "sec-websocket-key": ("16 random bytes in base64: shows that the server speaks WebSocket", "RFC 6455 §4.1"),
    "sec-websocket-version": ("the version of the protocol; 13 is RFC 6455's", "RFC 6455 §4.4"),
    "sec-websocket-protocol": ("subprotocols: what the messages will be about", "RFC 6455 §1.9"),
    "sec-websocket-extensions": ("extensions, such as compression", "RFC 6455 §9.1"),
    "sec-websocket-accept": ("the answer to the key: base64(SHA-1(key + GUID))", "RFC 6455 §4.2.2"),
    "cookie": ("what the server asked the browser to remember", "RFC 6265 §4.2"),
    "user-agent": ("who the client says it is", "RFC 9110 §10.1.5"),
    "content-length": ("bytes of body that follow", "RFC 9110 §8.6"),
    "content-type": ("what the body is", "RFC 9110 §8.3"),
    "date": ("when the answer was made", "RFC 9110 §6.6.1"),
    "server": ("who the server says it is", "RFC 9110 §10.2.4"),
    "location": ("where to go instead; browsers' WebSockets do not follow", "RFC 9110 §10.2.2"),
}

#: The rules of a handshake, by what they are about.
_RULE_FIELDS = {
    "method": "request line",
    "upgrade": "upgrade",
    "key": "sec-websocket-key",
    "version": "sec-websocket-version",
    "protocol": "sec-websocket-protocol",
    "extensions": "sec-websocket-extensions",
    "body": "content-length",
}


def explain_request(data: bytes) -> Description:
    r"""Describe a client's opening handshake, or whatever request there is.

    Args:
        data: Its head, or the beginning of it; what follows the head is ignored.

    >>> request = explain_request(b"GET / HTTP/1.1\r\nHost: example\r\n\r\n")
    >>> request.one_line, request.notes[0]
    ('GET / HTTP/1.1', 'a plain HTTP request, no upgrade: a WebSocket server answers 426 (RFC 9110 §15.5.22)')
    """
    head, complete = _cut_head(data)
    fields = _head_fields(head, "request")
    problems: list[Problem] = []
    notes: list[str] = []
    steps: list[Step] = []
    request = None
    try:
        find_end_of_head(head)
        if complete:
            request = parse_head(head)
    except HTTPError as error:
        problems.append(Problem(error.reason, error.section, error.status))
    if request is not None:
        broken = broken_rules(request)
        asks = any(name.lower().startswith("sec-websocket-") for name, _ in request.headers)
        if wants_upgrade(request):
            for rule, came in broken:
                problems.append(
                    Problem(
                        f"{rule.text}; got {came}", rule.section, rule.status, _named(fields, _RULE_FIELDS[rule.name])
                    )
                )
        elif asks:
            what = "it has Sec-WebSocket headers, and does not ask for an upgrade: over HTTP/1.1, Connection must name "
            what += "'upgrade' and Upgrade 'websocket' (a proxy on the way may have taken them out)"
            problems.append(Problem(what, "RFC 6455 §4.2.1", 426, _named(fields, "connection", "upgrade")))
        else:
            notes.append("a plain HTTP request, no upgrade: a WebSocket server answers 426 (RFC 9110 §15.5.22)")
        if wants_upgrade(request) and not any(rule.name == "key" for rule, _ in broken):
            steps = key_steps(request.headers.lines("Sec-WebSocket-Key")[0])
    missing = "" if complete or problems else "the rest of the head; an empty line ends it"
    title = (
        "opening handshake, the client's request" if request is not None and wants_upgrade(request) else "HTTP request"
    )
    return _describe_http("request", title, head, fields, problems, notes, steps, missing)


def explain_response(data: bytes, key: str | None = None) -> Description:
    r"""Describe a server's answer to an opening handshake.

    Args:
        data: Its head and what has come of its body, or the beginning of a head.
        key: The Sec-WebSocket-Key that it answers; None: not known.

    >>> wire = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    >>> wire += b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
    >>> for step in explain_response(wire, "dGhlIHNhbXBsZSBub25jZQ==").steps:  # §1.3
    ...     print(step.name, step.value)
    key + GUID dGhlIHNhbXBsZSBub25jZQ==258EAFA5-E914-47DA-95CA-C5AB0DC85B11
    SHA-1 b3 7a 4f 2c c0 62 4f 16 90 f6 46 06 cf 38 59 45 b2 be c4 ea
    base64 s3pPLMBiTxaQ9kYGzzhZRbK+xOo=
    Sec-WebSocket-Accept s3pPLMBiTxaQ9kYGzzhZRbK+xOo=
    """
    head, complete = _cut_head(data)
    fields = _head_fields(head, "response")
    problems: list[Problem] = []
    notes: list[str] = []
    steps: list[Step] = []
    payload = None
    title = "HTTP response"
    found = None
    try:
        found = parse_response(head)
    except HTTPError as error:
        problems.append(Problem(error.reason, error.section or "RFC 9112 §4", int(CloseCode.ABNORMAL)))
    if found is not None:
        response, body = found[0], data[found[1] :]
        if response.status == 101:
            title = "opening handshake, the server's answer"
            problems += _response_problems(response, fields, key)
            steps = _response_steps(response, key)
        else:
            status = f"{response.status} {reason_phrase(response.status)}".rstrip()
            notes.append(
                f"{status} is no 101: the connection stays HTTP; a browser tells its page 1006 and nothing more"
            )
            reads = "where frames are expected, its first bytes, 48 54 54 50, read as a CLOSE with RSV1 set"
            notes.append(f"{reads}: a client that says so has got HTTP")
            if response.status == 426 and "Upgrade" not in response.headers:
                problems.append(
                    Problem("a 426 must have an Upgrade header", "RFC 9110 §15.5.22", int(CloseCode.ABNORMAL))
                )
            if body:
                first, last = (body, b"") if len(body) <= FIRST + LAST else (body[:FIRST], body[-LAST:])
                payload = Payload(len(body), len(body), b"", first, first, last, last)
    missing = "" if complete or problems else "the rest of the head; an empty line ends it"
    return _describe_http("response", title, head, fields, problems, notes, steps, missing, payload)


def _cut_head(data: bytes) -> tuple[bytes, bool]:
    """The head of what came, and whether it is complete; no more than any head may have."""
    end = data.find(b"\r\n\r\n", 2 if data.startswith(b"\r\n") else 0)
    return (data[: end + 4], True) if end >= 0 else (data[: Limits().max_head + 1], False)


def _head_fields(head: bytes, kind: str) -> list[Field]:
    """Each line of a head."""
    fields: list[Field] = []
    at = 0
    for number, line in enumerate(head.removeprefix(b"\r\n").removesuffix(b"\r\n\r\n").split(b"\r\n")):
        start = at + len(head) - len(head.removeprefix(b"\r\n"))
        at += len(line) + 2
        name, colon, value = line.partition(b":")
        meaning, section = _HEADER_MEANINGS.get(name.decode("latin-1").lower(), ("", ""))
        if number == 0:
            meaning = "method, target and version" if kind == "request" else "version, status and what it is called"
            named, said, section = (
                f"{'request' if kind == 'request' else 'status'} line",
                _bare(line),
                _FIRST_LINES[kind],
            )
        elif colon:
            named, said = _bare(name), _bare(value.strip(b" \t"))
        else:
            named, said = "line", _bare(line)
        if line or number == 0:
            fields.append(Field(named, start * 8, len(line) * 8, line.hex(" "), said, meaning, section))
    return fields


def _bare(came: bytes, limit: int = 200) -> str:
    """What came, without quotes if it needs none."""
    text = came.decode("latin-1")
    return text if text.isascii() and text.isprintable() and len(text) <= limit else legible(came, limit)


def _named(fields: list[Field], *names: str) -> tuple[str, ...]:
    """The fields of these names (in lower case), as they are written here."""
    return tuple(field.name for field in fields if field.name.lower() in names)


def key_steps(key: str) -> list[Step]:
    """From a key to its answer, step by step.  RFC 6455 §4.2.2.

    >>> key_steps("dGhlIHNhbXBsZSBub25jZQ==")[-1].value  # §1.3
    's3pPLMBiTxaQ9kYGzzhZRbK+xOo='
    """
    joined = (key + GUID).encode()
    digest = hashlib.sha1(joined, usedforsecurity=False).digest()
    return [
        Step(
            "key + GUID",
            _bare(joined),
            "the text of the key, not the bytes it stands for, and the GUID",
            "RFC 6455 §1.3",
        ),
        Step("SHA-1", digest.hex(" "), f"{len(digest)} bytes", "RFC 6455 §4.2.2"),
        Step("base64", base64.b64encode(digest).decode(), "what Sec-WebSocket-Accept must be", "RFC 6455 §4.2.2"),
    ]


def _response_problems(response: Response, fields: list[Field], key: str | None) -> Iterator[Problem]:
    """§4.1: what a client asks of a 101."""

    def wrong(text: str, section: str, *names: str) -> Problem:
        return Problem(text, section, int(CloseCode.ABNORMAL), _named(fields, *names))

    headers = response.headers
    if [name.lower() for name in headers.elements("Upgrade")] != ["websocket"]:
        yield wrong("the Upgrade header must be websocket", "RFC 6455 §4.1", "upgrade")
    if "upgrade" not in (name.lower() for name in headers.elements("Connection")):
        yield wrong("the Connection header must name upgrade", "RFC 6455 §4.1", "connection")
    accepts = headers.lines("Sec-WebSocket-Accept")
    if len(accepts) != 1:
        got = f"{len(accepts)} of them" if accepts else "none"
        yield wrong(f"there must be one Sec-WebSocket-Accept; got {got}", "RFC 6455 §4.1", "sec-websocket-accept")
    elif key is not None and accepts[0] != accept_key(key):
        said = f"Sec-WebSocket-Accept must be {accept_key(key)}, the answer to the key; got {legible(accepts[0])}"
        yield wrong(said, "RFC 6455 §4.1", "sec-websocket-accept")
    try:
        agreed(headers)
    except ValueError as error:
        yield wrong(f"Sec-WebSocket-Extensions: {error}", "RFC 6455 §9.1", "sec-websocket-extensions")


def _response_steps(response: Response, key: str | None) -> list[Step]:
    accepts = response.headers.lines("Sec-WebSocket-Accept")
    steps: list[Step] = []
    if accepts and key is not None:
        same = accepts[0] == accept_key(key)
        verdict = "as it must be: this server read the request, and speaks WebSocket"
        steps += key_steps(key)
        steps.append(
            Step("Sec-WebSocket-Accept", legible(accepts[0])[1:-1], verdict if same else "not that", "RFC 6455 §4.1")
        )
    elif accepts:
        unknown = "whether it answers the key cannot be told without the request (--key)"
        steps.append(Step("Sec-WebSocket-Accept", legible(accepts[0])[1:-1], unknown, "RFC 6455 §4.1"))
    return steps


def agreed(headers: Headers) -> Agreement | None:
    """What a 101 says about permessage-deflate; None: it is not used.

    Raises:
        ValueError: it does not follow the grammar, or has a parameter that does not exist.

    >>> agreed(Headers([("Sec-WebSocket-Extensions", "permessage-deflate; server_max_window_bits=10")]))
    ... # doctest: +NORMALIZE_WHITESPACE
    Agreement(server_no_context_takeover=False, client_no_context_takeover=False,
              server_max_window_bits=10, client_max_window_bits=15)
    """
    for extension in parse_extensions(headers.get("Sec-WebSocket-Extensions")):
        if extension.name == NAME:
            values = read_parameters(extension.parameters, response=True)
            return Agreement(
                server_no_context_takeover="server_no_context_takeover" in values,
                client_no_context_takeover="client_no_context_takeover" in values,
                server_max_window_bits=values.get("server_max_window_bits", 15),
                client_max_window_bits=values.get("client_max_window_bits", 15),
            )
    return None


def _describe_http(
    kind: str,
    title: str,
    head: bytes,
    fields: list[Field],
    problems: list[Problem],
    notes: list[str],
    steps: list[Step],
    missing: str,
    payload: Payload | None = None,
) -> Description:
    line = fields[0].value if fields else ""
    if problems:
        more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
        line += f"; WRONG: {problems[0].text} ({problems[0].section}){more}"
    return Description(
        kind=kind,
        title=f"{title}: {count(len(head), 'byte')}",
        one_line=line,
        start=0,
        raw=head,
        fields=tuple(fields),
        payload=payload,
        steps=tuple(steps),
        problems=tuple(problems),
        notes=tuple(notes),
        missing=missing,
        missing_bytes=1 if missing else 0,
    )


# -- What it is at all --------------------------------------------------------------


def recognise(data: bytes) -> str | None:
    """``request``, ``response``, ``tls``, ``http2`` or ``frames``; None: too few bytes to tell.

    >>> recognise(b"GET / HTTP"), recognise(bytes.fromhex("8105")), recognise(b"HTT")
    ('request', 'frames', None)
    """
    if _RESPONSE.match(data):
        return "response"
    if data.startswith(b"PRI * HTTP/2"):
        return "http2"
    if _REQUEST.match(data):
        return "request"
    if _TLS.match(data):
        return "tls"
    may_yet = any(beginning.startswith(data) for beginning in _BEGINNINGS)
    return None if may_yet or data in (b"\x16", b"\x16\x03") else "frames"


def _explain_other(data: bytes, kind: str) -> Description:
    """TLS or HTTP/2, of which we read no more than what they are."""
    fields: tuple[Field, ...] = ()
    if kind == "tls":
        name = _TLS_TYPES[data[0]]
        length = str(int.from_bytes(data[3:5], "big")) if len(data) >= TLS_HEADER else "?"
        fields = (
            _octets("type", 0, 1, data, f"{data[0]} {name}", "what the record holds", "RFC 8446 §5.1"),
            _octets("version", 1, 2, data, data[1:3].hex(" "), "3.1 to 3.3: TLS, whichever version", "RFC 8446 §5.1"),
            _octets("length", 3, 2, data, length, "bytes that follow, of the record", "RFC 8446 §5.1"),
        )
        title, section = f"a TLS record ({name})", "RFC 8446 §5.1"
        what = "TLS where plain text was expected: wss:// or https:// came to a port that speaks ws:// and http://"
    else:
        title, section = "an HTTP/2 connection preface", "RFC 9113 §3.4"
        what = "HTTP/2: the Upgrade mechanism is HTTP/1.1's; WebSockets over HTTP/2 begin otherwise (RFC 8441)"
    here = data[:TLS_HEADER] if kind == "tls" else data[: len(HTTP2_PREFACE)]
    problem = Problem(what, section, 0)
    line = f"{title}; WRONG: {what}"
    return Description(kind, title, line, 0, here, fields, problems=(problem,))
