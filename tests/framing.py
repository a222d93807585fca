"""Frames for the tests: built and taken apart with plain loops.

Everything here is written from RFC 6455 §5.2 and uses nothing of wsref.  An oracle that shares code with
the code that it judges would share its bugs.
"""

from __future__ import annotations

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10

KEY = bytes.fromhex("37fa213d")  # the masking key of §5.7
ZERO = bytes(4)  # a masking key too: payload in the clear, and quick to build


def xor(payload: bytes, key: bytes) -> bytes:
    """§5.3, as it is written there."""
    return bytes(octet ^ key[i % 4] for i, octet in enumerate(payload))


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, key: bytes = KEY, form: int | None = None
) -> bytes:
    """A frame.

    Args:
        opcode: the opcode.
        payload: the payload, not masked yet.
        fin: the FIN bit.
        rsv: the RSV bits where they are in the first byte: 0x40 for RSV1.
        key: the masking key; ``b""`` for a frame from a server.
        form: 7, 16 or 64 bits for the length, however short it is; None for the shortest form.
    """
    size = len(payload)
    if form is None:
        form = 7 if size < 126 else 16 if size < 65536 else 64
    mask = 0x80 if key else 0
    head = bytes([(0x80 if fin else 0) | rsv | opcode])
    if form == 7:
        head += bytes([mask | size])
    elif form == 16:
        head += bytes([mask | 126, size >> 8, size & 255])
    else:
        head += bytes([mask | 127]) + bytes((size >> shift) & 255 for shift in range(56, -1, -8))
    if not key:
        return head + payload
    return head + key + (payload if key == ZERO else xor(payload, key))


def text(words: str | bytes, *, fin: bool = True, key: bytes = KEY) -> bytes:
    """A text frame."""
    return frame(TEXT, words.encode() if isinstance(words, str) else words, fin=fin, key=key)


def more(words: str | bytes, *, fin: bool = True, key: bytes = KEY) -> bytes:
    """A continuation frame."""
    return frame(0, words.encode() if isinstance(words, str) else words, fin=fin, key=key)


def close(code: int | None = 1000, reason: str | bytes = b"", *, key: bytes = KEY) -> bytes:
    """A Close frame; without a payload if ``code`` is None."""
    reason = reason.encode() if isinstance(reason, str) else reason
    return frame(CLOSE, (b"" if code is None else bytes([code >> 8, code & 255])) + reason, key=key)


def unframe(wire: bytes) -> list[tuple[int, bytes]]:
    """``[(first byte, payload), ...]`` of whole frames, masked or not; nothing may be left over."""
    found, at = [], 0
    while at < len(wire):
        first, second = wire[at], wire[at + 1]
        size, at = second & 127, at + 2
        if size >= 126:
            width = 2 if size == 126 else 8
            size, at = int.from_bytes(wire[at : at + width], "big"), at + width
        key = wire[at : at + 4] if second & 128 else b""
        at += len(key)
        payload = wire[at : at + size]
        assert len(payload) == size, "half a frame"
        found.append((first, xor(payload, key) if key else payload))
        at += size
    return found
