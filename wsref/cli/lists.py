"""Lists of numbers in the notation of a program, a debugger or a browser's console, and JSON.

C, Erlang, Go, Java, JavaScript, Kotlin, Python and Rust have their own notations.  They are read by what
they share: brackets, commas and prefixes.  A list that its tool has cut off is refused, and so is
one whose numbers may be hex or decimal.
"""

from __future__ import annotations

import json
import re
from typing import Any

from ..protocol.errors import quote_ascii
from ..wire.words import count
from .literals import ARGUMENTS, Token, cut_off, inside_of, tokens, unescape
from .pasted import Pasted, PasteError, Piece, pasted, place

_NUMBER = re.compile(r"(?P<number>-?(?:0[xX][0-9A-Fa-f]+|0b[01]+|16#[0-9A-Fa-f]+|[0-9]+))(?:_?[ui]8|[uU]y?|[lL])?")
_WIDE = re.compile(r"(?:big)?(?:u?int|[iuf]|float)(?:16|32|64)(?:array|_t)?", re.IGNORECASE)
_PERHAPS_OCTAL = re.compile(r"-?0[0-9]{1,8}")
_BARE_HEX = re.compile(r"[0-9A-Fa-f]{1,2}")
_PEER = re.compile(r"peer([01])_\d+")  # Wireshark's C arrays of a stream
_COUNT_PLACES = ("$",)  # gdb numbers its values: $1 = ...


def read_list(text: str) -> Pasted | None:
    r"""Read a list, perhaps in a declaration or a call; None: there is no list of numbers.

    Raises:
        PasteError: It is cut off, ambiguous, or has numbers that are not bytes.

    >>> forms = ["[129 5 72 101 108 108 111]", "<<129,5,72,101,108,108,111>>", '<<129,5,"Hello">>']
    >>> forms += ["[-127, 5, 72, 101, 108, 108, 111]", "Uint8Array(7) [129, 5, 72, 101, 108, 108, 111]"]
    >>> forms += ["<Buffer 81 05 48 65 6c 6c 6f>", "{0x81, 5, 'H', 'e', 'l', 'l', 'o'}"]
    >>> {read_list(form).data for form in forms}
    {b'\x81\x05Hello'}
    """
    if not any(bracket in text for bracket in "[({<"):
        return None
    parts = list(tokens(text))
    lists = [group for group in _innermost_groups(parts) if _is_list(parts, *group)]
    # In x[7] = {...} and Uint8Array(7) [...] the first group is a count.
    lists = [(start, end) for start, end in lists if end - start > 2 or (start, end) == lists[-1]]
    return _read_lists(text, parts, lists) if lists else None


def _innermost_groups(parts: list[Token]) -> list[tuple[int, int]]:
    """Return where the brackets open and close that have no brackets inside."""
    groups, start = [], None
    for n, token in enumerate(parts):
        if token.kind == "open":
            start = n
        elif token.kind == "close" and start is not None:
            groups.append((start, n))
            start = None
    return groups


def _is_list(parts: list[Token], start: int, end: int) -> bool:
    items = [token for token in parts[start + 1 : end] if token.kind not in ("comma", "dots")]
    if items and items[0].text.startswith("Buffer"):
        return True
    if len(items) == 1 and end - start == 2 and _is_count(parts, start):
        return False
    numbers = [item for item in items if item.kind == "word" and (_NUMBER.fullmatch(item.text) or _is_hex(item))]
    strings = [item for item in items if item.kind == "string"]
    cut = any(token.kind == "dots" for token in parts[start + 1 : end])
    return (bool(numbers) or parts[start].text == "<<") and (cut or len(numbers) + len(strings) == len(items))


def _is_count(parts: list[Token], start: int) -> bool:
    """Return whether one number in brackets is a count or an index: ``ArrayBuffer(7)``, ``frame[7]``."""
    before = parts[start - 1] if start else None
    adjacent = before is not None and before.kind == "word" and before.at + len(before.text) == parts[start].at
    return parts[start].text in "([" and adjacent and not str(before and before.text).endswith(("!", "Of"))


def _is_hex(token: Token) -> bool:
    return _BARE_HEX.fullmatch(token.text) is not None


def _read_lists(text: str, parts: list[Token], lists: list[tuple[int, int]]) -> Pasted:
    peers = [_PEER.fullmatch(parts[start - 4].text) if start >= 4 else None for start, _ in lists]
    if len(lists) > 1 and not all(peers):
        raise PasteError(f"there are {len(lists)} lists: paste one of them")
    read = [_read_list(text, parts[start], parts[start + 1 : end]) for start, end in lists]
    sizes = [len(data) for _, data in read]
    around = set(range(len(parts))).difference(*(range(start + 1, end) for start, end in lists))
    for n in sorted(around):
        _check_around(text, parts, n, set(sizes))
    if not all(peers) or len(lists) == 1:
        return pasted(read[0][0], read[0][1])
    pieces = []
    for peer, (_, data) in zip(peers, read, strict=True):
        by_client = peer is not None and peer[1] == "0"
        pieces.append(Piece(data, "the client" if by_client else "the server", by_client))
    return Pasted("lists of a stream, by Wireshark", tuple(pieces))


def _check_around(text: str, parts: list[Token], n: int, sizes: set[int]) -> None:
    """Raise an error for what is neither in a list nor a declaration of one: a log line's date, say."""
    token = parts[n]
    if token.kind == "word" and _WIDE.fullmatch(token.text):
        raise PasteError(f"the elements of {quote_ascii(token.text)} have several bytes: print them byte by byte")
    number = _NUMBER.fullmatch(token.text) if token.kind == "word" else None
    if number is not None and parts[n - 1].text not in _COUNT_PLACES and int(_value(number["number"])) not in sizes:
        have = count(max(sizes), "byte")
        raise PasteError(f"the list has {have}, but there is {quote_ascii(token.text)} {place(text, token.at)}")
    if token.kind == "dots":
        raise cut_off("list", text, token.at)
    if token.kind == "string" and inside_of(token)[1] not in ARGUMENTS:
        raise PasteError(f"this is not in the list: {quote_ascii(token.text)} {place(text, token.at)}")


def _read_list(text: str, bracket: Token, group: list[Token]) -> tuple[str, bytes]:
    """Return the form and the bytes of the inside of brackets."""
    for token in group:
        if token.kind == "dots":
            raise cut_off("list", text, token.at)
    items = [token for token in group if token.kind != "comma"]
    if items and items[0].text.startswith("Buffer"):
        return _hex_list(text, items[1:], digits=2)
    words = [item.text for item in items if item.kind == "word"]
    commas = len(items) < len(group) or len(items) == 1
    plain = [word for word in words if word.isdecimal()]
    bare_hex = bracket.text == "<" or any(_NUMBER.fullmatch(word) is None for word in words)
    if bare_hex or any(len(word) == 2 and word.startswith("0") for word in plain):
        return _hex_list(text, items, digits=1 if commas else 2)
    if not commas and len(plain) == len(items) and all(len(word) == 2 for word in plain):
        raise PasteError("these numbers may be hex or decimal: remove the brackets of hex, or add commas to decimal")
    octal = next((item for item in items if _PERHAPS_OCTAL.fullmatch(item.text)), None)
    if octal is not None:
        raise PasteError(f"{octal.text} {place(text, octal.at)} may be octal or decimal: write 0x before hex")
    data = bytearray()
    for item in items:
        data += unescape(*_string_arguments(item, text)) if item.kind == "string" else _byte(item, text)
    signed = any(word.startswith("-") for word in words)
    if signed and any(int(_value(word)) > 127 for word in plain):
        raise PasteError("a list with negative numbers has bytes from -128 to 127, and this one has more")
    if all(word[:2].lower() == "0x" for word in words) and len(words) == len(items):
        return "hex numbers", bytes(data)
    if len(plain) + sum(word[1:].isdecimal() for word in words if word.startswith("-")) == len(items):
        return "signed decimal numbers" if signed else "decimal numbers", bytes(data)
    return "numbers and letters", bytes(data)


def _string_arguments(item: Token, text: str) -> tuple[str, str, int]:
    _, inside, start = inside_of(item)
    return inside, text, start


def _hex_list(text: str, items: list[Token], digits: int) -> tuple[str, bytes]:
    """Read ``81 05``, or with one digit at least ``81, 5``."""
    for item in items:
        if not _is_hex(item) or len(item.text) < digits:
            raise PasteError(f"this is not a byte in hex: {quote_ascii(item.text)} {place(text, item.at)}")
    return "hex", bytes(int(item.text, 16) for item in items)


def _value(number: str) -> int:
    digits = number.lstrip("-")
    if digits[:3] == "16#":
        value = int(digits[3:], 16)
    elif digits[:2].lower() in ("0x", "0b"):
        value = int(digits[2:], 16 if digits[1] in "xX" else 2)
    else:
        value = int(digits[:9])  # more digits are no byte, and cost quadratic time
    return -value if number.startswith("-") else value


def _byte(item: Token, text: str) -> bytes:
    found = _NUMBER.fullmatch(item.text)
    value = _value(found["number"]) if found is not None else 256
    if not -128 <= value <= 255:
        raise PasteError(f"a byte is a number from 0 to 255, not {quote_ascii(item.text, 12)[1:-1]}")
    return bytes([value % 256])


# -- JSON, and a list with its indices -------------------------------------------------------


def read_json(text: str) -> Pasted | None:
    """Read a Buffer or a Uint8Array as JSON writes them; None: it is not a JSON object.

    Raises:
        PasteError: The object is something else.

    >>> read_json('{"type":"Buffer","data":[129,5]}').data.hex(), read_json('{"0":129,"1":5}').data.hex()
    ('8105', '8105')
    """
    if not text.lstrip().startswith("{"):
        return None
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        first = text.strip().partition("\n")[0]
        if first.startswith("{") and '"by_server"' in first and '"data"' in first:
            raise _recording() from None
        return None
    if {"peer", "sent", "data"} <= set(value):
        raise _recording()
    if "log" in value:
        raise PasteError("a HAR file has messages, not the bytes of frames: use --trace, or a packet capture")
    numbers = value.get("data") if value.get("type") == "Buffer" else list(value.values())
    in_order = value.get("type") == "Buffer" or list(value) == [str(n) for n in range(len(value))]
    if not value or not in_order or not isinstance(numbers, list):
        return None if not value or '"' not in text else _refuse_json()
    if not all(isinstance(number, int) and 0 <= number <= 255 for number in numbers):
        return _refuse_json()
    return pasted("JSON, decimal numbers", bytes(numbers))


def _refuse_json() -> Pasted:
    raise PasteError('this JSON is neither {"type": "Buffer", "data": [129, ...]} nor {"0": 129, "1": ...}')


def _recording() -> PasteError:
    return PasteError("this is a recording of --trace: python -m wsref decode --replay FILE")


_INDEXED = re.compile(r"(0|[1-9]\d{0,8}):\s*(0|[1-9]\d{0,2}),?")
#: Lines that a console shows around the elements: [0 … 99], buffer: ArrayBuffer(11), [[Prototype]]: ...
_AROUND_INDEXED = re.compile(
    r"(?:(?:Uint8Array|Buffer|Array)\(\d+\)[\s\[{(]*|\[\d+\s*(?:…|\.\.\.)\s*\d+\]|[\])}]"
    r"|(?:buffer|byteLength|byteOffset|length|Symbol\([\w.]+\)|\[\[\w+\]\]):.*|)"
)


def read_indexed(text: str) -> Pasted | None:
    r"""Read the elements that a browser's console lists one a line, with their indices; None: they are not.

    >>> read_indexed("Uint8Array(2)\n0: 129\n1: 5\nbuffer: ArrayBuffer(2)").data.hex()
    '8105'
    """
    data = bytearray()
    for number, line in enumerate(text.split("\n"), 1):
        if found := _INDEXED.fullmatch(line.strip()):
            if not data and found[1] != "0":
                return None
            if int(found[1]) != len(data):
                raise PasteError(
                    f"line {number} has element {int(found[1])}, and {len(data)} come before it: expand all"
                )
            if int(found[2]) > 255:
                raise PasteError(f"a byte is a number from 0 to 255, not {found[2]}")
            data.append(int(found[2]))
        elif not _AROUND_INDEXED.fullmatch(line.strip()):
            return None
    return pasted("elements with indices", bytes(data)) if data else None
