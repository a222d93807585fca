"""The header of a frame: its fields, the rules that it breaks, and what is missing.  RFC 6455 §5.2.

:func:`~wsref.protocol.frames.parse_header` raises the first broken rule; here every one is listed.
The functions take the beginning of a header as well as a complete one.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..protocol.spec import (
    CONTROL,
    FIN,
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
)
from .parts import Field, Problem
from .words import count

_OPCODE_MEANINGS = {
    Opcode.CONTINUATION: ("continues the open message", "§5.4"),
    Opcode.TEXT: ("begins a message of UTF-8 text", "§5.6"),
    Opcode.BINARY: ("begins a message of bytes", "§5.6"),
    Opcode.CLOSE: ("the sender's last frame", "§5.5.1"),
    Opcode.PING: ("asks for a Pong with the same payload", "§5.5.2"),
    Opcode.PONG: ("answers a Ping, or is a sign of life", "§5.5.3"),
}


def opcode_name(first: int) -> str:
    """Return the name of the opcode in a frame's first byte.

    >>> opcode_name(0x81), opcode_name(0x83)
    ('TEXT', 'reserved opcode 0x3')
    """
    opcode = OPCODES.get(first & OPCODE)
    return opcode.name if opcode is not None else f"reserved opcode {first & OPCODE:#x}"


def header_size(head: bytes) -> int:
    """Return the size of a frame's header, as far as its beginning declares it.

    >>> [header_size(bytes.fromhex(head)) for head in ("81", "8105", "8185", "82fe", "827f")]
    [2, 2, 6, 8, 10]
    """
    if len(head) < 2:
        return 2
    return 2 + _length_bytes(head[1]) + (MASKING_KEY_BYTES if head[1] & MASK else 0)


def _length_bytes(second: int) -> int:
    """Return the size of the extended length: 0, 2 or 8."""
    return {LENGTH_16: 2, LENGTH_64: 8}.get(second & LENGTH, 0)


def payload_length(head: bytes) -> int | None:
    """Return the length that a header declares; None: not received yet.

    >>> payload_length(bytes.fromhex("827e0100")), payload_length(bytes.fromhex("827e01"))
    (256, None)
    """
    if len(head) < 2:
        return None
    extended = _length_bytes(head[1])
    if not extended:
        return head[1] & LENGTH
    return int.from_bytes(head[2 : 2 + extended], "big") if len(head) >= 2 + extended else None


def rfc(section: str) -> str:
    """Write ``§5.2`` in full: like :class:`~wsref.protocol.errors.ProtocolError`, it means RFC 6455.

    >>> rfc("§5.2"), rfc("RFC 7692 §6")
    ('RFC 6455 §5.2', 'RFC 7692 §6')
    """
    return section if section.startswith("RFC") or not section else f"RFC 6455 {section}"


# -- Its fields ---------------------------------------------------------------------


def header_fields(head: bytes) -> list[Field]:
    """Return the fields of a header or of its beginning; each bit is in one of them.

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
    fields = _fields_of_first_byte(head[0])
    if len(head) < 2:
        fields.append(Field("MASK", 8, 1, "", "?", "whether a masking key follows", rfc("§5.3"), 1))
        fields.append(Field("length", 9, 7, "", "?", "of the payload, or which field holds it", rfc("§5.2"), 7))
        return fields
    second = head[1]
    length, extended = second & LENGTH, _length_bytes(second)
    masking = "masked: it comes from a client" if second & MASK else "not masked: it comes from a server"
    where = f"the length is in the next {extended} bytes" if extended else "bytes of payload"
    fields.append(_bit("MASK", 8, second, masking, "§5.1"))
    fields.append(Field("length", 9, 7, f"{length:07b}", str(length), where, rfc("§5.2")))
    if extended:
        declared = payload_length(head)
        value = "?" if declared is None else str(declared)
        fields.append(
            octets_field("extended length", 2, extended, head, value, "bytes of payload, high byte first", "§5.2")
        )
    if second & MASK:
        at = 2 + extended
        value = head[at : at + MASKING_KEY_BYTES].hex(" ") or "?"
        meaning = "repeated, XORed with the payload"
        fields.append(octets_field("masking key", at, MASKING_KEY_BYTES, head, value, meaning, "§5.3"))
    return fields


def _fields_of_first_byte(first: int) -> list[Field]:
    opcode = OPCODES.get(first & OPCODE)
    control = opcode is not None and opcode & CONTROL
    if first & FIN:
        fin = "a control frame is never fragmented" if control else "the message ends with this frame"
    else:
        fin = "but a control frame must not be fragmented" if control else "more frames of the message follow"
    if first & RSV1:
        rsv1 = "compressed (permessage-deflate)"
    else:
        rsv1 = "not compressed" if opcode in (Opcode.TEXT, Opcode.BINARY) else "set on a first frame only"
    value, meaning, section = f"{first & OPCODE:#x}", "reserved: it has no meaning yet", "§5.2"
    if opcode is not None:
        value, (meaning, section) = opcode.name, _OPCODE_MEANINGS[opcode]
    return [
        _bit("FIN", 0, first, fin, "§5.2"),
        _bit("RSV1", 1, first, rsv1, "RFC 7692 §6"),
        _bit("RSV2", 2, first, "no extension defines it", "§5.2"),
        _bit("RSV3", 3, first, "no extension defines it", "§5.2"),
        Field("opcode", 4, 4, f"{first & OPCODE:04b}", value, meaning, rfc(section)),
    ]


def _bit(name: str, at: int, octet: int, meaning: str, section: str) -> Field:
    bit = str(octet >> (7 - at % 8) & 1)
    return Field(name, at, 1, bit, bit, meaning, rfc(section))


def octets_field(name: str, at: int, size: int, head: bytes, value: str, meaning: str, section: str) -> Field:
    """Return a field of whole bytes.

    Args:
        name, value, meaning, section: As in :class:`~wsref.wire.parts.Field`.
        at: The offset of its first byte.
        size: Bytes.
        head: The received bytes, which may end inside the field or before it.
    """
    received = head[at : at + size]
    return Field(name, at * 8, size * 8, received.hex(" "), value, meaning, rfc(section), (size - len(received)) * 8)


# -- What is wrong with it, and what is missing ------------------------------------------


def header_problems(head: bytes, *, masked: bool | None, rsv_allowed: int) -> Iterator[Problem]:
    """Yield every rule that a header breaks, as far as it was received.

    Args:
        head: At least one byte.
        masked: Whether the frame must be masked; None: either is right.
        rsv_allowed: The RSV bits to which an extension gave a meaning.
    """
    yield from _problems_of_first_byte(head[0], rsv_allowed)
    if len(head) < 2:
        return
    second, opcode = head[1], OPCODES.get(head[0] & OPCODE)
    if opcode is not None and opcode & CONTROL and second & LENGTH > MAX_CONTROL_PAYLOAD:
        yield _wrong(f"a control frame ({opcode.name}) holds at most {MAX_CONTROL_PAYLOAD} bytes", "§5.5", "length")
    if masked is True and not second & MASK:
        yield _wrong("a frame from a client must be masked, and this one is not", "§5.1", "MASK")
    if masked is False and second & MASK:
        yield _wrong("a frame from a server must not be masked, and this one is", "§5.1", "MASK")
    length, extended = payload_length(head), _length_bytes(second)
    if length is None:
        return
    if extended == 2 and length < LENGTH_16:
        yield _wrong(f"length {length} is written in 16 bits; it fits in 7", "§5.2", "length", "extended length")
    if extended == 8 and length <= 0xFFFF:
        fits = "7" if length < LENGTH_16 else "16"
        yield _wrong(f"length {length} is written in 64 bits; it fits in {fits}", "§5.2", "length", "extended length")
    if length >> 63:
        yield _wrong("the top bit of a 64-bit length is set", "§5.2", "extended length")


def _problems_of_first_byte(first: int, rsv_allowed: int) -> Iterator[Problem]:
    opcode, rsv = OPCODES.get(first & OPCODE), first & RSV
    control = opcode is not None and opcode & CONTROL
    unknown = [f"RSV{n}" for n in (1, 2, 3) if rsv & ~rsv_allowed & 0x80 >> n]
    if unknown:
        verb = "are" if len(unknown) > 1 else "is"
        yield _wrong(f"{' and '.join(unknown)} {verb} set, and no extension defines that", "§5.2", *unknown)
    if opcode is None:
        yield _wrong(f"opcode {first & OPCODE:#x} is reserved", "§5.2", "opcode")
    if rsv & rsv_allowed and (control or opcode is Opcode.CONTINUATION):
        name = opcode_name(first)
        yield _wrong(f"RSV1 is for the first frame of a message, not for {name}", "RFC 7692 §6.1", "RSV1")
    if control and not first & FIN:
        yield _wrong(f"a control frame ({opcode_name(first)}) must not be fragmented", "§5.5", "FIN")


def _wrong(reason: str, section: str, *fields: str) -> Problem:
    return Problem(reason, rfc(section), int(CloseCode.PROTOCOL_ERROR), fields)


def missing_words(head: bytes, payload_received: int) -> tuple[str, int]:
    """Return what a frame lacks, in words, and how many bytes that is at least.

    Args:
        head: Its header, as far as it was received.
        payload_received: Bytes of its payload.

    >>> missing_words(bytes.fromhex("8185 37"), 0)
    ('3 more bytes of the masking key, then 5 of payload', 8)
    >>> missing_words(bytes.fromhex("81"), 0)
    ('the second byte, MASK and length, and what it announces', 1)
    """
    if len(head) < 2:
        return "the second byte, MASK and length, and what it announces", 1
    extended, length = _length_bytes(head[1]), payload_length(head)
    lacks = []
    if len(head) < 2 + extended:
        lacks.append((2 + extended - len(head), "the extended length"))
    if head[1] & MASK and len(head) < header_size(head):
        lacks.append((min(MASKING_KEY_BYTES, header_size(head) - len(head)), "the masking key"))
    if length is not None and payload_received < length:
        lacks.append((length - payload_received, "payload"))
    words = [f"{number} of {part}" for number, part in lacks]
    if words:
        number, part = lacks[0]
        words[0] = f"{count(number, 'more byte')} of {part}"
    if length is None:
        words.append("the payload")
    return ", then ".join(words), sum(number for number, _ in lacks)
