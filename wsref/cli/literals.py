r"""Strings in the notation of a program, with escapes.

C, Erlang, Go, JavaScript, Python and Rust have their own notations, and so have debuggers.
They are read by what they share: quotes and backslashes.  :mod:`wsref.cli.lists` reads lists.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from ..protocol.errors import quote_ascii
from ..wire.words import count
from .digits import guess_base64, read_hex
from .pasted import Pasted, PasteError, pasted, place

# -- Words, strings and brackets ----------------------------------------------------------


class Token(NamedTuple):
    """A part of a program: its kind is ``string``, ``open``, ``close``, ``comma``, ``dots``, ``word`` or ``other``."""

    kind: str
    text: str
    at: int


_TOKENS = re.compile(
    r"""(?P<blank>\s+|//[^\n]*|\\\r?\n)
    |(?P<open><<|[\[({<])
    |(?P<close>>>|[\])}>])
    |(?P<comma>,)
    |(?P<dots>\.\.\.|…)
    |(?P<word>-?[\w\#]+!?)
    |(?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_QUOTE = re.compile(r"(?:[bBrR]{1,2}|L|u8)?([\"'])")
#: (``*+`` keeps no place to go back to: 100 bytes of memory for each character.)
_INSIDE = {'"': re.compile(r'(?:[^"\\\n]|\\.)*+', re.DOTALL), "'": re.compile(r"(?:[^'\\\n]|\\.)*+", re.DOTALL)}
_CASTS = re.compile(r"\((?:byte|sbyte|char|u?int8_t|unsigned char)\)")


def tokens(text: str) -> Iterator[Token]:
    """Yield the tokens of a program, without its comments.

    Cost:
        Linear in the text: after a string that is not closed, each quote up to its end is escaped, and begins
        no string that is closed.
    """
    at = 0
    unclosed = {'"': 0, "'": 0}  # where such a string ends: before that, no quote begins a string
    while at < len(text):
        if text.startswith("/*", at):
            end = text.find("*/", at + 2)
            if end < 0:
                raise PasteError(f"this comment has no end: '/*' {place(text, at)}")
            at = end + 2
            continue
        if cast := _CASTS.match(text, at):
            at = cast.end()
            continue
        if (quote := _QUOTE.match(text, at)) and at >= unclosed[quote[1]]:
            inside = _INSIDE[quote[1]].match(text, quote.end())
            assert inside is not None  # it may be empty
            if text.startswith(quote[1], inside.end()):
                yield Token("string", text[at : inside.end() + 1], at)
                at = inside.end() + 1
                continue
            unclosed[quote[1]] = inside.end()
        found = _TOKENS.match(text, at)
        assert found is not None  # the last alternative takes any character
        at = found.end()
        if found.lastgroup != "blank":
            yield Token(str(found.lastgroup), found[0], found.start())


# -- Strings ------------------------------------------------------------------------------

_ESCAPE = re.compile(r"\\x([0-9A-Fa-f]{1,2})|\\([0-7]{1,3})|\\([abtnvfre\\'\"?])|\\\r?\n[ \t]*|(\\.?)|(.)", re.DOTALL)
_NAMED = {"a": 7, "b": 8, "t": 9, "n": 10, "v": 11, "f": 12, "r": 13, "e": 27, "\\": 92, "'": 39, '"': 34, "?": 63}


def unescape(text: str, whole: str, start: int) -> bytes:
    r"""Return the bytes of the inside of a string, as C, Go, Python, Rust, gdb and strace write it.

    Args:
        text: The inside.
        whole, start: The paste, and where in it the inside begins, for the error.
    Raises:
        PasteError: An escape is unknown.

    >>> unescape(r"\x81\5Hello\r\n", "", 0), unescape(r"\201\005\0", "", 0)
    (b'\x81\x05Hello\r\n', b'\x81\x05\x00')
    """
    data = bytearray()
    for found in _ESCAPE.finditer(text):
        octet, octal, named, unknown, letter = found.groups()
        if octet is not None:
            data.append(int(octet, 16))
        elif octal is not None and int(octal, 8) < 256:
            data.append(int(octal, 8))
        elif named is not None:
            data.append(_NAMED[named])
        elif letter is not None and "\x80" <= letter <= "\xff":
            octet, where = f"{ord(letter):02x}", place(whole, start + found.start())
            raise PasteError(f"{letter!a} {where} may be the byte {octet} or its UTF-8: print the bytes in hex")
        elif letter is not None:
            data += letter.encode("utf-8", "surrogateescape")
        elif unknown in ("\\u", "\\U"):
            where = place(whole, start + found.start())
            raise PasteError(f"{unknown} {where} is a character, not a byte: print the bytes in hex, before decoding")
        elif unknown is not None or octal is not None:
            escape = quote_ascii(unknown or f"\\{octal}")
            raise PasteError(f"this escape is unknown: {escape} {place(whole, start + found.start())}")
    return bytes(data)


_BARE_START = re.compile(r"\\(?:x[0-9A-Fa-f]|[0-3][0-7]{2}|[0-7]{1,2}\\)|HTTP/1|[A-Z]{3,} [!-\[\]-~]+ HTTP/1")


def read_bare_escapes(text: str) -> Pasted | None:
    r"""Read escapes without quotes around them, and letters between them; None: they are not.

    >>> [read_bare_escapes(form).data for form in (r"\x81\x05Hello", r"\x81 \x00", r"\201\005Hello")]
    [b'\x81\x05Hello', b'\x81\x00', b'\x81\x05Hello']
    """
    inside = text.strip()
    if not _BARE_START.match(inside) or "\\" not in inside:
        return None
    if re.fullmatch(r"\\x[0-9A-Fa-f]{4,}", inside):
        return None  # hex, as PostgreSQL writes it
    if not inside.startswith("\\") and not re.search(r"\\r\\n|\\x0d\\x0a", inside):
        return None
    if re.fullmatch(r"(?:\\x[0-9A-Fa-f]{2}|[\s,])*", inside):
        return pasted("escapes", bytes.fromhex(re.sub(r"\\x|[\s,]", "", inside)))
    return pasted("escapes", unescape(inside, text, len(text) - len(text.lstrip())))


def cut_off(what: str, text: str, at: int) -> PasteError:
    """Return the error for output that its tool has shortened."""
    return PasteError(f"the {what} is cut off {place(text, at)}: print all of it, best as hex")


# -- A string in a program ------------------------------------------------------------------

#: Arguments of calls that say how their string is read, not which bytes it has.
ARGUMENTS = ("hex", "base64", "base64url", "binary", "latin1", "ascii", "utf8", "utf-8", "B", "b", "C*")

_NAME = re.compile(r"[A-Za-z_]\w*!?")


def read_string(text: str) -> Pasted | None:
    r"""Read a string, or several that a program joins, perhaps in a declaration or a call; None: it is not one.

    Raises:
        PasteError: It is cut off, or an escape is not one byte.

    >>> forms = [r'"\x81\x05Hello"', r"b'\x81\x05Hello'", 'bytes.fromhex("81 05 48656c6c6f")', '"gQVIZWxsbw=="']
    >>> forms += [r'char *frame = "\201\005" "Hello";', r'let frame = b"\x81\x05Hello";', r'$1 = "\201\005Hello"']
    >>> {read_string(form).data for form in forms}
    {b'\x81\x05Hello'}
    """
    if '"' not in text and "'" not in text:
        return None
    parts = list(tokens(text))
    strings = [n for n, token in enumerate(parts) if token.kind == "string"]
    strings = [n for n in strings if inside_of(parts[n])[1] not in ARGUMENTS or len(strings) == 1]
    if not strings:
        return None
    first, last = strings[0], strings[-1]
    for n, token in enumerate(parts[:first]):
        named = token.kind != "word" or _NAME.fullmatch(token.text) or parts[n - 1].text in ("[", "$", ";")
        if not named or token.kind in ("dots", "string"):
            return None
    for token in parts[first:]:
        if token.kind == "dots":
            raise cut_off("string", text, token.at)
        if token.text == "repeats":
            raise PasteError("gdb has shortened repeated bytes: use x/...xb, or 'set print repeats 0'")
    if any(token.kind == "word" for token in parts[first:]):
        return None
    between = {token.text for token in parts[first : last + 1] if token.kind != "string"}
    if between - {"+", "\\"}:
        raise PasteError(f"there are {count(len(strings), 'string')}: paste one of them")
    insides = [inside_of(parts[n]) for n in strings]
    if not any("\\" in inside or "b" in prefix.lower() for prefix, inside, _ in insides):
        return _read_quoted(text, "".join(inside for _, inside, _ in insides))
    data = b"".join(unescape(inside, text, start) for _, inside, start in insides)
    return pasted("a string with escapes", data)


def inside_of(token: Token) -> tuple[str, str, int]:
    """Return a string's prefix, its inside, and where the inside begins."""
    quote = min(at for at in (token.text.find('"'), token.text.find("'")) if at >= 0)
    return token.text[:quote], token.text[quote + 1 : -1], token.at + quote + 1


def _read_quoted(text: str, inside: str) -> Pasted:
    """Read a string without escapes: hex or base64, in quotes."""
    try:
        return read_hex(inside)
    except PasteError:
        if (found := guess_base64(inside)) is not None:
            return found
        raise PasteError(f"this string is neither hex nor base64, and has no escapes: {quote_ascii(inside)}") from None
