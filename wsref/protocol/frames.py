"""Chapter 6: frames: the bits, the lengths, the masking key.

RFC 6455 §5.2.  A frame is a header of 2 to 14 bytes and a payload.  Look at the
picture in :mod:`wsref.protocol.spec`, then at :func:`parse_header`: it is the picture read
from left to right.  Every rule that the first two bytes can break is checked
before the third byte is trusted, and every length before a byte of payload is
taken.

A frame knows nothing of the frames around it; :mod:`wsref.protocol.messages` does.
"""

from __future__ import annotations

import functools
import sys
from dataclasses import dataclass
from typing import Any, NamedTuple

from .errors import ProtocolError
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
    """What stands before a frame's payload.

    (A NamedTuple, as one is made for every frame: 0.44 µs; a frozen dataclass with these
    fields takes 0.89 µs.  The figures in this package are the best of many runs with
    CPython 3.11 on one machine: compare them with each other only.)
    """

    fin: bool
    rsv: int  # the RSV bits where they stand in the first byte: 0x40, 0x20, 0x10
    opcode: Opcode
    length: int  # of the payload, bytes
    masking_key: bytes  # 4 bytes, or b"" if the frame is not masked
    size: int  # of this header, bytes: the payload begins here


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame; the payload is as the sender meant it, unmasked."""

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
        masked: Whether the frame must be masked: True for what a client sent,
            False for what a server sent.
        max_payload: Bytes.  A data frame that declares more fails here, before
            anything is kept for it.
        rsv_allowed: The RSV bits to which an extension gave a meaning, on the first frame
            of a message.
    Returns:
        The header; or None: not all here yet.
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
    wsref.protocol.errors.ProtocolError: a frame from a client must be masked, and this one is not (RFC 6455 §5.1)
    """
    if len(data) < start + 2:
        return None
    first, second = data[start], data[start + 1]
    fin, rsv, opcode = first & FIN, first & RSV, OPCODES.get(first & OPCODE)
    length, end = second & LENGTH, start + 2

    if rsv & ~rsv_allowed:
        raise ProtocolError(f"RSV bits {rsv >> 4:03b} are set, and no extension defines them", "§5.2")
    if opcode is None:
        raise ProtocolError(f"opcode {first & OPCODE:#x} is reserved", "§5.2")
    if rsv and (opcode & CONTROL or opcode is Opcode.CONTINUATION):
        raise ProtocolError(f"RSV1 is for the first frame of a message, not for {opcode.name}", "RFC 7692 §6")
    if opcode & CONTROL and not fin:
        raise ProtocolError(f"a control frame ({opcode.name}) must not be fragmented", "§5.5")
    if opcode & CONTROL and length > MAX_CONTROL_PAYLOAD:
        raise ProtocolError(f"a control frame ({opcode.name}) holds at most 125 bytes", "§5.5")
    if masked and not second & MASK:
        raise ProtocolError("a frame from a client must be masked, and this one is not", "§5.1")
    if second & MASK and not masked:
        raise ProtocolError("a frame from a server must not be masked, and this one is", "§5.1")

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
        raise too_big(length, max_payload)

    key = b""
    if masked:
        key = data[end : end + MASKING_KEY_BYTES]
        if len(key) < MASKING_KEY_BYTES:
            return None
        end += MASKING_KEY_BYTES
    return Header(fin > 0, rsv, opcode, length, key, end - start)


def too_big(length: int, room: int) -> ProtocolError:
    """A frame that is longer than the message may get (§10.4)."""
    what = f"a frame declares {length} bytes, and the message may have {room} more"
    return ProtocolError(what, "§10.4", code=CloseCode.TOO_BIG)


def parse_frame(
    data: bytes, start: int = 0, *, masked: bool, max_payload: int = sys.maxsize, rsv_allowed: int = 0
) -> tuple[Frame, int] | None:
    """Read one frame from ``data[start:]``.  Inverse: :func:`build_frame`.

    Args:
        data, start, masked, max_payload, rsv_allowed: As for :func:`parse_header`.
    Returns:
        ``(frame, end)``, the payload unmasked, ``end`` just past the frame; or None:
        not all here yet.
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

    It writes what it is told, also what no peer may send; who sends keeps the rules
    (:class:`~wsref.protocol.connection.Connection`), and who tests a peer may break them.

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


#: ``_XOR[k].translate`` would be a loop; this is the table it walks: byte b at
#: place b, XORed with k.
_XOR = [
    (int.from_bytes(bytes(range(256)), "big") ^ int.from_bytes(bytes((key,)) * 256, "big")).to_bytes(256, "big")
    for key in range(256)
]

#: Bytes.  From about here on the four look-ups win: 600 bytes take 1.5 µs either way,
#: 1 KiB 1.9 µs with them and 2.4 µs with the XOR, 64 KiB 70 and 114 µs.
_TRANSLATE_FROM = 600

#: Bytes.  From about here on NumPy wins, where it is installed: a server that echoes text of 1 KiB
#: does 91 k a second with it and 96 k without, of 2 KiB 85 k and 80 k; 64 KiB take 5 µs instead of 70.
_NUMPY_FROM = 1536


def apply_mask(data: bytes, key: bytes) -> bytes:
    """Mask ``data`` with ``key``, or take the mask off: XOR undoes itself.

    What §5.3 says is one line of Python, and this computes the same::

        bytes(octet ^ key[i % 4] for i, octet in enumerate(data))

    but that line runs a Python loop over each byte.  Here C runs the loop: as one
    XOR of two large integers while the data is short, else see :func:`mask_in_place`.

    Args:
        data: Bytes.  Not modified.
        key: 4 bytes.
    Cost:
        O(n).

    >>> apply_mask(b"Hello", bytes.fromhex("37fa213d")).hex(" ")  # §5.7
    '7f 9f 4d 51 58'
    >>> apply_mask(apply_mask(b"Hello", b"wxyz"), b"wxyz")
    b'Hello'
    """
    size = len(data)
    if size < _TRANSLATE_FROM:
        mask = int.from_bytes((key * (size // 4 + 1))[:size], "little")
        return (int.from_bytes(data, "little") ^ mask).to_bytes(size, "little")
    return bytes(unmasked(data, 0, size, key))


def unmasked(data: bytes, start: int, end: int, key: bytes) -> bytes | bytearray:
    """``apply_mask(data[start:end], key)``, but of a long payload a bytearray, and one copy.

    >>> unmasked(bytes.fromhex("8185 37fa213d 7f9f4d5158"), 6, 11, bytes.fromhex("37fa213d"))  # §5.7
    b'Hello'
    """
    if end - start < _TRANSLATE_FROM:
        return apply_mask(data[start:end], key)
    buffer = bytearray(memoryview(data)[start:end])
    mask_in_place(buffer, key)
    return buffer


def mask_in_place(buffer: bytearray, key: bytes) -> None:
    """The same as :func:`apply_mask`, for much data, without a copy of it.

    As every fourth byte meets the same key byte, it is four table look-ups over every fourth
    byte.  (A bytearray's look-up and slices are faster than those of bytes, by a third.)
    If NumPy is installed, it does 64 bits at a time, sixty times as fast.

    Args:
        buffer: Is modified.
        key: 4 bytes.
    Cost:
        O(n): 1 MiB takes 1.1 ms; with NumPy 0.02 ms.

    >>> buffer = bytearray(b"Hello")
    >>> mask_in_place(buffer, bytes.fromhex("37fa213d"))
    >>> buffer.hex(" ")
    '7f 9f 4d 51 58'
    """
    numpy = _numpy() if len(buffer) >= _NUMPY_FROM else None
    if numpy is None:
        # A loop over range(4) would do: a fifth more time for 1 KiB.
        key_0, key_1, key_2, key_3 = key
        buffer[0::4] = buffer[0::4].translate(_XOR[key_0])
        buffer[1::4] = buffer[1::4].translate(_XOR[key_1])
        buffer[2::4] = buffer[2::4].translate(_XOR[key_2])
        buffer[3::4] = buffer[3::4].translate(_XOR[key_3])
        return
    whole = len(buffer) // 8
    words = numpy.frombuffer(buffer, numpy.uint64, whole)
    words ^= numpy.frombuffer(key * 2, numpy.uint64)
    for i in range(8 * whole, len(buffer)):
        buffer[i] ^= key[i % 4]


@functools.cache
def _numpy() -> Any:
    """NumPy, if it is installed (the extra ``fast``), else None.

    It is imported when the first long payload comes, as that takes a tenth of a second.
    """
    try:
        import numpy
    except ImportError:
        return None
    return numpy
