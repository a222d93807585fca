"""Chapter 6: frames: the bits, the lengths, the masking key.

RFC 6455 §5.2.  A frame is a header of 2 to 14 bytes and a payload.  Look at the
picture in :mod:`wsref.protocol.spec`, then at :func:`parse_header`, which reads it from left
to right.  Every rule that the first two bytes can break is checked
before the third byte is trusted, and every length before a byte of payload is
taken.

A frame knows nothing of the frames around it: :mod:`wsref.protocol.messages` joins them.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import NamedTuple

from .errors import ProtocolError, quote_ascii
from .masking import apply_mask
from .spec import (
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
    CloseCode,
    Opcode,
)


class Header(NamedTuple):
    """The bytes before a frame's payload, read.

    (A NamedTuple, because one is made for every frame: 0.44 µs; a frozen dataclass with these
    fields takes 0.89 µs.  The figures in this package are the best of many runs of CPython
    3.11 on one machine: compare them with each other only.)
    """

    fin: bool
    rsv: int  # the RSV bits, at their place in the first byte: 0x40, 0x20, 0x10
    opcode: Opcode
    length: int  # of the payload, bytes
    masking_key: bytes  # 4 bytes, or b"" if the frame is not masked
    size: int  # of this header, bytes: the payload begins here


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame, its payload unmasked."""

    opcode: Opcode
    payload: bytes = b""
    fin: bool = True
    rsv: int = 0


def parse_header(
    data: bytes, start: int = 0, *, masked: bool, max_payload: int = sys.maxsize, rsv_allowed: int = 0
) -> Header | None:
    r"""Read one frame's header from ``data[start:]``.  Inverse: :func:`build_header`.

    Args:
        data: Bytes received.  Never modified.
        start: Offset of the frame's first byte.
        masked: Whether the frame must be masked: True if a client sent it, False if a
            server did.
        max_payload: Bytes.  A data frame that declares more fails here, before memory is
            taken for it.
        rsv_allowed: The RSV bits that an extension defines, for the first frame of a
            message.
    Returns:
        The header; None: more bytes are needed.
    Raises:
        ProtocolError: code 1002 for a malformed header, 1009 for too much payload.
    Cost:
        O(1): a header has at most 14 bytes.
    Source:
        RFC 6455 §5.2, §5.1 (masking), §5.5 (control frames), §10.4 (limits).

    >>> parse_header(bytes.fromhex("8185 37fa213d 7f9f4d5158"), masked=True)  # §5.7
    Header(fin=True, rsv=0, opcode=<Opcode.TEXT: 1>, length=5, masking_key=b'7\xfa!=', size=6)
    >>> parse_header(bytes.fromhex("8105"), masked=True)
    Traceback (most recent call last):
        ...
    wsref.protocol.errors.ProtocolError: a frame from a client must be masked; this one is not (RFC 6455 §5.1)
    """
    if len(data) < start + 2:
        return None
    first, second = data[start], data[start + 1]
    fin, rsv, opcode = first & FIN, first & RSV, OPCODES.get(first & OPCODE)
    length, end = second & LENGTH, start + 2

    if rsv & ~rsv_allowed:
        text = data[start:end].decode("latin-1")
        hint = f"; {quote_ascii(text)} looks like text, not like a frame" * (text.isascii() and text.isprintable())
        raise ProtocolError(f"RSV bits {rsv >> 4:03b} are set; no extension defines them{hint}", "§5.2")
    if opcode is None:
        raise ProtocolError(f"opcode {first & OPCODE:#x} is reserved", "§5.2")
    if rsv and (opcode & CONTROL or opcode is Opcode.CONTINUATION):
        raise ProtocolError(f"RSV1 belongs on the first frame of a message, not on {opcode.name}", "RFC 7692 §6.1")
    if opcode & CONTROL and not fin:
        raise ProtocolError(f"a control frame ({opcode.name}) must not be fragmented", "§5.5")
    if opcode & CONTROL and length > MAX_CONTROL_PAYLOAD:
        raise ProtocolError(f"a control frame ({opcode.name}) holds at most 125 bytes", "§5.5")
    if masked and not second & MASK:
        raise ProtocolError("a frame from a client must be masked; this one is not", "§5.1")
    if second & MASK and not masked:
        raise ProtocolError("a frame from a server must not be masked; this one is", "§5.1")

    # "The minimal number of bytes MUST be used to encode the length", and the 64-bit
    # form's "most significant bit MUST be 0".  §5.2
    if length == LENGTH_16:
        end += 2
        length = int.from_bytes(data[start + 2 : end], "big")
        if len(data) >= end and length < LENGTH_16:
            raise ProtocolError(f"length {length} is written in 16 bits; it fits in 7", "§5.2")
    elif length == LENGTH_64:
        end += 8
        length = int.from_bytes(data[start + 2 : end], "big")
        if len(data) >= end and length >> 63:
            raise ProtocolError("the top bit of a 64-bit length is set", "§5.2")
        if len(data) >= end and length <= 0xFFFF:
            raise ProtocolError(f"length {length} is written in 64 bits; it fits in fewer", "§5.2")
    if len(data) < end:
        return None
    if length > max_payload and not opcode & CONTROL:
        raise frame_too_long(length, max_payload)

    key = b""
    if masked:
        key = data[end : end + MASKING_KEY_BYTES]
        if len(key) < MASKING_KEY_BYTES:
            return None
        end += MASKING_KEY_BYTES
    return Header(fin > 0, rsv, opcode, length, key, end - start)


def frame_too_long(length: int, remaining: int) -> ProtocolError:
    """The error for a frame that would make its message too long (§10.4)."""
    reason = f"a frame declares {length} bytes; the message may have {remaining} more"
    return ProtocolError(reason, "§10.4", code=CloseCode.TOO_BIG)


def parse_frame(
    data: bytes, start: int = 0, *, masked: bool, max_payload: int = sys.maxsize, rsv_allowed: int = 0
) -> tuple[Frame, int] | None:
    """Read one frame from ``data[start:]``.  Inverse: :func:`build_frame`.

    Args:
        data, start, masked, max_payload, rsv_allowed: As for :func:`parse_header`.
    Returns:
        ``(frame, end)``, the payload unmasked, ``end`` just past the frame; None: more
        bytes are needed.
    Raises:
        ProtocolError: As :func:`parse_header`.
    Cost:
        One copy of the payload; O(1) when the answer is None.

    >>> parse_frame(bytes.fromhex("8185 37fa213d 7f9f4d5158"), masked=True)  # §5.7
    (Frame(opcode=<Opcode.TEXT: 1>, payload=b'Hello', fin=True, rsv=0), 11)
    >>> parse_frame(bytes.fromhex("8185 37fa213d 7f9f4d51"), masked=True) is None
    True
    """
    header = parse_header(data, start, masked=masked, max_payload=max_payload, rsv_allowed=rsv_allowed)
    if header is None:
        return None
    begin = start + header.size
    end = begin + header.length
    if len(data) < end:
        return None
    payload = data[begin:end]
    if masked:
        payload = apply_mask(payload, header.masking_key)
    return Frame(header.opcode, payload, header.fin, header.rsv), end


def build_header(opcode: Opcode, length: int, *, fin: bool = True, rsv: int = 0, masking_key: bytes = b"") -> bytes:
    """Write one frame's header.  Inverse: :func:`parse_header`.

    It does not check the rules, so that a test can break them;
    :class:`~wsref.protocol.connection.Connection` sends by the rules.

    Args:
        length: Of the payload, bytes.
        masking_key: 4 bytes if we are a client, b"" if we are a server.

    >>> build_header(Opcode.BINARY, 256).hex(" ")  # §5.7
    '82 7e 01 00'
    >>> build_header(Opcode.BINARY, 65536).hex(" ")  # §5.7
    '82 7f 00 00 00 00 00 01 00 00'
    """
    first = (FIN if fin else 0) | rsv | opcode
    mask = MASK if masking_key else 0
    if length < LENGTH_16:
        return bytes((first, mask | length)) + masking_key
    if length <= 0xFFFF:
        return bytes((first, mask | LENGTH_16)) + length.to_bytes(2, "big") + masking_key
    return bytes((first, mask | LENGTH_64)) + length.to_bytes(8, "big") + masking_key


def build_frame(frame: Frame, masking_key: bytes = b"") -> bytes:
    """Write one frame.  Inverse: :func:`parse_frame`.

    Args:
        frame: What to send.
        masking_key: 4 bytes if we are a client, b"" if we are a server.

    >>> build_frame(Frame(Opcode.TEXT, b"Hello")).hex(" ")  # §5.7
    '81 05 48 65 6c 6c 6f'
    >>> build_frame(Frame(Opcode.TEXT, b"Hello"), bytes.fromhex("37fa213d")).hex(" ")
    '81 85 37 fa 21 3d 7f 9f 4d 51 58'
    """
    header = build_header(frame.opcode, len(frame.payload), fin=frame.fin, rsv=frame.rsv, masking_key=masking_key)
    return header + (apply_mask(frame.payload, masking_key) if masking_key else frame.payload)
