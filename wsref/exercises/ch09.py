"""Checks of chapter 9: compression."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable
from typing import Any

from .expect import Wrong, call, call_text, expect


def _deflate(data: bytes) -> bytes:
    """Compress the first message of a connection."""
    deflater = zlib.compressobj(wbits=-15)
    return (deflater.compress(data) + deflater.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\x00\x00\xff\xff")


def check_inflate(theirs: Any) -> None:
    """Inflate messages that zlib has made, and one that is stored."""
    for data in (b"Hello", b"", b"Hello" * 1000, bytes(range(256)) * 9):
        expect(theirs, _deflate(data), gives=data)
    stored = bytes.fromhex("000500faff48656c6c6f00")
    expect(theirs, stored, gives=b"Hello", why="this block is stored, not compressed (RFC 7692 §7.2.3.3)")


def check_ratio(theirs: Any) -> None:
    """Compare with our own ratio, to 1 %."""
    noise = [hashlib.sha256(bytes([n])).digest() for n in range(50)]
    for messages in ([b"Hello"], [b"Hello, is anybody there?"] * 100, noise, [b"a", b"b" * 500, b"a" * 500]):
        deflater = zlib.compressobj(wbits=-15)
        sent = sum(len(deflater.compress(one) + deflater.flush(zlib.Z_SYNC_FLUSH)) - 4 for one in messages)
        right = sent / sum(map(len, messages))
        text = call_text(theirs, messages)
        got = call(theirs, messages)
        if not isinstance(got, float) or abs(got - right) > right / 100:
            raise Wrong(f"{text} must return {right:.3f}, not {got}")


def check_guess_secret(theirs: Any) -> None:
    """Hide four secrets."""
    for secret in ("c0ffee", "7", "90ad42", "1234abcd"):
        expect(theirs, _search(secret), len(secret), gives=secret)


def _search(secret: str) -> Callable[[str], int]:
    def size(text: str) -> int:
        return len(_deflate(f"session={secret}; search={text}".encode()))

    return size
