"""Solutions of the exercises of chapter 9."""

import zlib
from collections.abc import Iterable


def inflated(payload: bytes) -> bytes:
    """What a compressed message says, if it is the connection's first.

    >>> inflated(bytes.fromhex("f248cdc9c90700"))  # RFC 7692 §7.2.3.1
    b'Hello'
    """
    return zlib.decompressobj(wbits=-15).decompress(payload + bytes.fromhex("0000ffff"))


def ratio(messages: Iterable[bytes]) -> float:
    """Compressed over plain, with context takeover.

    >>> ratio([b"Hello"] * 2) > 1 > ratio([b"Hello"] * 1000 + [b"Hello" * 100])
    True
    """
    deflater, plain, sent = zlib.compressobj(wbits=-15), 0, 0
    for message in messages:
        plain += len(message)
        sent += len(deflater.compress(message) + deflater.flush(zlib.Z_SYNC_FLUSH)) - 4
    return sent / plain
