"""Bytes and numbers as words: quoted, counted, wrapped to the columns of a terminal.

Untrusted bytes become words by :func:`quote_unicode` or as hex, and in no other way.
"""

from __future__ import annotations

import re
import unicodedata

from ..protocol.spec import CloseCode


def quote_unicode(received: str | bytes, limit: int = 60) -> str:
    r"""Quote received text on one line that is safe to print; letters of all languages stay readable.

    Characters that move the cursor, change the direction of writing, are invisible or
    combine with another character are escaped; so are bytes that are not UTF-8.
    (:func:`wsref.protocol.errors.quote_ascii`, for the log, leaves nothing but ASCII.)

    Args:
        received: Text, or bytes in UTF-8.
        limit: Characters; the rest is left out.

    >>> print(quote_unicode("Zürich 你好"))
    'Zürich 你好'
    >>> print(quote_unicode(b"\x1b[31mred\r\n \xe2\x82"), quote_unicode("\u202eevil"))
    '\x1b[31mred\r\n \xe2\x82' '\u202eevil'
    >>> quote_unicode("x" * 100, limit=4)
    "'xxxx...' (100 characters)"
    """
    # A byte that is not UTF-8 becomes a surrogate, U+DC80 to U+DCFF.  Valid UTF-8 has no surrogates.
    text = received.decode("utf-8", "surrogateescape") if isinstance(received, bytes) else received
    quote = '"' if "'" in text and '"' not in text else "'"
    escaped = "".join(_escape(character, quote) for character in text[:limit])
    if len(text) <= limit:
        return f"{quote}{escaped}{quote}"
    return f"{quote}{escaped}...{quote} ({len(text)} characters)"


def _escape(character: str, quote: str) -> str:
    if character in (quote, "\\"):
        return "\\" + character
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    right_to_left = unicodedata.bidirectional(character) in ("R", "AL", "AN")
    if character.isprintable() and not right_to_left and not unicodedata.category(character).startswith("M"):
        return character
    return ascii(character)[1:-1]


def count(number: int, noun: str) -> str:
    """Return ``1 byte``, ``2 bytes``.

    >>> count(1, "byte"), count(1048576, "byte")
    ('1 byte', '1048576 bytes')
    """
    return f"{number} {noun}{'' if number == 1 else 's'}"


def code_and_name(code: int) -> str:
    """Return a close code, with its name if it has one.

    >>> code_and_name(1002), code_and_name(4000)
    ('1002 PROTOCOL_ERROR', '4000')
    """
    return f"{code} {CloseCode(code).name}" if code in tuple(CloseCode) else str(code)


def octets_words(octets: bytes, length: int) -> str:
    """Return the first bytes in hex.

    Args:
        octets: The beginning of the bytes, or all of them.
        length: Of all bytes.

    >>> octets_words(b"abc", 3), octets_words(bytes(9), 1000)
    ('61 62 63', '00 00 00 00 00 00 00 00 … (1000 bytes)')
    """
    if length <= 16 and len(octets) == length:
        return octets.hex(" ") or "nothing"
    return f"{octets[:8].hex(' ')} … ({length} bytes)"


def payload_words(octets: bytes, length: int, text: bool) -> str:
    """Return the first bytes of a payload, as text or in hex.

    Args:
        octets, length: As for :func:`octets_words`.
        text: As text.

    >>> payload_words(b"Hello", 5, True), payload_words(b"Hello", 5, False)
    ("'Hello'", '48 65 6c 6c 6f')
    """
    if not text:
        return octets_words(octets, length)
    if len(octets) == length:
        return quote_unicode(octets)
    # The beginning may end inside a character: that is no fault of the payload, so it is dropped.
    return quote_unicode(octets.decode("utf-8", "ignore")[:60]) + " …"


# -- On a terminal ------------------------------------------------------------------


def columns(text: str) -> int:
    """Return how many columns of a terminal a text takes: 2 for a Chinese character, 0 for a combining one.

    >>> columns("Hello"), columns("你好"), columns("e\u0301")
    (5, 4, 1)
    """
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return len(text) + wide - sum(unicodedata.combining(character) > 0 for character in text)


_NO_BREAK = "\N{NO-BREAK SPACE}"


def wrap(text: str, width: int) -> list[str]:
    """Break a text into lines of at most ``width`` columns; a longer word is cut.

    ``RFC 6455 §5.2`` stays on one line.

    >>> wrap("every client masks", 9)
    ['every', 'client', 'masks']
    """
    lines = [""]
    for word in re.sub(r"(?<=RFC) (?=[0-9])|(?<=[0-9]) (?=§)", _NO_BREAK, text).split(" "):
        if columns(lines[-1]) + columns(word) + 1 > width and lines[-1]:
            lines.append("")
        lines[-1] += (" " if lines[-1] else "") + word
        if columns(lines[-1]) > width:
            lines[-1:] = _cut(lines[-1], width)
    return [line.replace(_NO_BREAK, " ") for line in lines]


def _cut(word: str, width: int) -> list[str]:
    """Cut a long word into lines, of at least one character each."""
    lines, used = [""], 0
    for character in word:
        size = columns(character)
        if lines[-1] and used + size > width:
            lines.append("")
            used = 0
        lines[-1] += character
        used += size
    return lines


def pad(text: str, width: int) -> str:
    """Fill a text with blanks up to ``width`` columns."""
    return text + " " * (width - columns(text))
