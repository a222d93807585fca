"""Exercises of chapter 9: compression.

Check them: python -m wsref exercise 9
"""

import zlib
from collections.abc import Callable, Iterable


def inflate(payload: bytes) -> bytes:
    """Return the data of a compressed message, the first one on its connection.

    >>> inflate(bytes.fromhex("f248cdc9c90700"))  # RFC 7692 §7.2.3.1
    b'Hello'
    """
    return zlib.decompressobj(wbits=-15).decompress(payload + b"\x00\x00\xff\xff")


def ratio(messages: Iterable[bytes]) -> float:
    """Return the size of all messages with compression and context takeover, over their plain size.

    Count payloads, not headers.  Use zlib.compressobj(wbits=-15) and Z_SYNC_FLUSH; the last four bytes
    of each message, 00 00 ff ff, are not sent.

    >>> ratio([b"Hello"])  # seven bytes for five
    1.4
    """
    deflater, plain, sent = zlib.compressobj(wbits=-15), 0, 0
    for message in messages:
        plain += len(message)
        sent += len(deflater.compress(message) + deflater.flush(zlib.Z_SYNC_FLUSH)) - 4
    return sent / plain


def guess_secret(size: Callable[[str], int], length: int) -> str:
    """Return the secret of a site, as many hexadecimal digits (0-9a-f) as `length` says.

    A page lets you search, and the site answers in one compressed message:
    "session=SECRET; search=" and your text.  size(text) is the size of that message on the wire.
    The longer the part of your text that repeats the message, the smaller the size.
    """
    known = "session="
    for _ in range(length):
        known += min("0123456789abcdef", key=lambda digit: size(known + digit))
    return known.removeprefix("session=")
