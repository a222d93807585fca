r"""Digits without more around them: hex, binary digits, base64.

Each function takes a whole paste.  A separator is not a digit, and a prefix such as ``0x`` or
``\x`` belongs to its digits.  Nothing is joined that might be read in two ways.
"""

from __future__ import annotations

import base64
import re

from ..protocol.errors import quote_ascii
from ..wire.words import count
from .pasted import Pasted, PasteError, pasted, place

_TOKEN = re.compile(r"(?P<prefix>0[xX]|\\[xX]|[xX]|)(?P<digits>[0-9A-Fa-f]+)[hu]?(?![0-9A-WYZa-wyz])")
_BETWEEN = re.compile(r"[\s,:;.\-_]+")
_BINARY_WORD = re.compile("0[bB](?:[01]{4}|[01]{8})")
_BEGINS_WELL = re.compile(r"(?:0[xX]|\\?[xX])?[0-9A-Fa-f]*")


def read_hex(text: str) -> Pasted:
    r"""Read hex digits.

    Raises:
        PasteError: A character is not a digit, or a number is not a byte.

    >>> forms = ["8105", "81 05", "81:05", "0x81, 0x05", r"\x81\x05", "x81x05", "0x81 0x5", "81h 05h"]
    >>> {read_hex(form).data.hex() for form in forms}
    {'8105'}
    """
    words: list[str] = []
    where: list[int] = []
    wide = False  # a number with a prefix has more than one byte
    at = 0
    while at < len(text):
        if between := _BETWEEN.match(text, at):
            if ".." in between[0]:
                raise PasteError(f"the hex is cut off {place(text, at)}: print all of it")
            at = between.end()
            continue
        token = _TOKEN.match(text, at)
        if token is None:
            raise PasteError(f"this is not hex: {_first_wrong(text, at)}")
        digits = token["digits"]
        if not token["prefix"] and text[token.end() : token.end() + 1] in ("x", "X"):
            raise PasteError(f"this is not hex: {text[token.end()]!a} {place(text, token.end())}")
        if _BINARY_WORD.fullmatch(digits):
            raise PasteError(f"{digits} {place(text, at)} is binary, and not all numbers are: write all in hex")
        if token["prefix"]:
            digits = digits.rjust(2, "0")
            wide = wide or len(digits) > 2
        words.append(digits)
        where.append(at)
        at = token.end()
    if wide and len(words) > 1:
        raise PasteError("these numbers have several bytes each, and their order is unknown: print them byte by byte")
    odd = next((n for n, word in enumerate(words) if len(word) % 2), None)
    if odd is not None and not _is_wrapped(text, words):
        raise PasteError(_half_a_byte(text, words, odd, where[odd]))
    return pasted("hex", bytes.fromhex("".join(words)))


def _first_wrong(text: str, at: int) -> str:
    """Return the first character that is no digit, and its place."""
    found = _BEGINS_WELL.match(text, at)
    end = found.end() if found is not None else at
    at = end if end < len(text) else at
    return f"{text[at]!a} {place(text, at)}"


def _is_wrapped(text: str, words: list[str]) -> bool:
    """Return whether a terminal has broken one long number into lines of an odd length."""
    lines = text.split()
    same = len({len(line) for line in lines[:-1]}) == 1 and len(lines[-1]) <= len(lines[0])
    return same and lines == words and len(text.strip().split("\n")) == len(lines) and len("".join(words)) % 2 == 0


def _half_a_byte(text: str, words: list[str], odd: int, at: int) -> str:
    numbers = re.findall(r"(?<![0-9])-?[0-9]+", text)
    decimal = all(len(word) < 4 and word.isdecimal() and int(word) < 256 and str(int(word)) == word for word in words)
    if decimal and len(numbers) == len(words) > 1:
        return f"these are decimal numbers, not hex: write them in brackets, as [{', '.join(numbers[:3])}, ...]"
    return f"half a byte: {quote_ascii(words[odd])} {place(text, at)}; a byte is two hex digits"


_BINARY = re.compile(r"[\s,]*(?:0b)?[01]{8}(?:[\s,_]*(?:0b)?[01]{8})*[\s,]*")


def read_binary(text: str) -> Pasted | None:
    """Read binary digits, 8 for each byte; None: they are not.

    Raises:
        PasteError: The digits may be hex.

    >>> read_binary("10000001 00000101").data.hex(), read_binary("0b00000001 0b00000000").data.hex()
    ('8105', '0100')
    """
    if not _BINARY.fullmatch(text):
        return None
    digits = re.sub(r"0b|[\s,_]", "", text)
    if "0b" not in text and digits[0] == "0":
        raise PasteError("these digits may be binary or hex: write 0b before binary ones, or a blank between hex bytes")
    return pasted("binary digits", int(digits, 2).to_bytes(len(digits) // 8, "big"))


def read_base64(text: str) -> Pasted:
    r"""Read base64, also in the alphabet of URLs (RFC 4648 §5) and without the "=" at its end.

    Raises:
        PasteError: It is not base64.

    >>> read_base64("gQVIZWxsbw").data
    b'\x81\x05Hello'
    """
    if wrong := re.search(r"[^A-Za-z0-9+/_\-=\s]|=(?=\s*[^=\s])", text):
        raise PasteError(f"this is not base64: {quote_ascii(wrong[0])} {place(text, wrong.start())}")
    letters = "".join(text.split()).rstrip("=")
    letters = letters.translate({ord("-"): "+", ord("_"): "/"})
    if len(letters) % 4 == 1:
        raise PasteError(f"this is not base64: {count(len(letters), 'letter')}, and one letter is less than a byte")
    data = base64.b64decode(letters + "=" * (-len(letters) % 4), validate=True)
    if base64.b64encode(data).decode().rstrip("=") != letters:
        raise PasteError("this is not base64: its last letter has bits that belong to no byte")
    return pasted("base64", data)


_BASE64 = re.compile(r"[A-Za-z0-9+/_\s-]+(={0,2})")


def guess_base64(text: str) -> Pasted | None:
    """Read base64 without the user's word for it; None: it may be anything.

    An ordinary word is base64 too.  So it must have the "=" at its end, or letters of both
    cases and digits.
    """
    found = _BASE64.fullmatch(text.strip())
    letters = "".join(text.split())
    if " " in text.strip() or "\t" in text.strip():
        return None
    if found is None or len(letters) % 4 or len(letters) < 4:
        return None
    if not found[1] and not all(re.search(kind, letters) for kind in ("[a-z]", "[A-Z]", "[0-9+/_-]")):
        return None
    try:
        return read_base64(text)
    except PasteError:
        return None
