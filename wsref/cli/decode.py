r"""``python -m wsref decode``: pasted bytes, explained and drawn.

Every tool writes bytes in its own form: a hex stream, a dump, a list in a program.
:func:`parse_paste` reads all of these forms, and :mod:`wsref.wire.describe` explains the bytes::

    $ python -m wsref decode 81 85 37 fa 21 3d 7f 9f 4d 51 58
    $ xxd -p capture.bin | python -m wsref decode --client
    $ python -m wsref decode --svg 8105 48656c6c6f > hello.svg
"""

from __future__ import annotations

import argparse
import base64
import binascii
import contextlib
import json
import os
import re
import shutil
import sys
from collections.abc import Sequence

from ..protocol.deflate import DeflateParameters
from ..protocol.errors import quote_ascii
from ..protocol.http11 import Headers
from ..wire.describe import explain
from ..wire.describe_http import negotiated
from ..wire.description import Description
from ..wire.svg import svg_of
from ..wire.trace import replay, trace_lines
from .terminal import CommandError, wants_colour

_HELP = """\
The bytes may be written as: hex, with or without 0x, spaces, colons, commas or line
ends; \\x81\\x05; b'\\x81\\x05Hello' and [0x81, 0x05] of Python, {0x81, 0x05} of C;
[129, 5] of JavaScript, whose numbers are decimal; <Buffer 81 05> of Node; the dumps of
xxd, hexdump -C, Wireshark and browsers, with their offsets and their letters; HTTP also as
text.  Without bytes, or with "-", they are read from standard input.

Exit code: 0, the bytes are valid; 1, they break a rule; 2, there are no bytes, or a wrong
command line.
"""


class PasteError(ValueError):
    """A paste that cannot be read as bytes; the message names the character and its place."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the flags of ``decode``."""
    parser = commands.add_parser(
        "decode",
        help="draw the bytes of frames and handshakes, and list their problems",
        description="Draw the bytes of frames and handshakes, bit by bit, and list their problems.",
        epilog=_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    add = parser.add_argument
    add("bytes", metavar="HEX", nargs="*", help="the bytes, in one of the forms below")
    add("--base64", action="store_true", help="the bytes are written in base64")
    side = parser.add_mutually_exclusive_group()
    masked = "(default: the MASK bit decides)"
    side.add_argument("--client", dest="masked", action="store_const", const=True, help=f"a client sent them {masked}")
    side.add_argument("--server", dest="masked", action="store_const", const=False, help="a server sent them")
    add("--key", metavar="KEY", help="the Sec-WebSocket-Key of the request: check that a 101 answers it")
    add(
        "--deflate",
        metavar="PARAMETERS",
        type=_deflate,
        default=DeflateParameters(),
        help="the negotiated parameters of permessage-deflate, such as 'client_no_context_takeover', or 'off' "
        "(default: the parameters that read the bytes of every sender)",
    )
    add("--replay", metavar="FILE", help="draw what --trace FILE recorded; - for standard input")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--svg", action="store_true", help="write an SVG picture")
    form.add_argument("--json", action="store_true", help="write JSON")


def _deflate(text: str) -> DeflateParameters | None:
    if text in ("off", "none", "no"):
        return None
    words = text.strip("; ")
    words = words if words.startswith("permessage-deflate") else f"permessage-deflate; {words}".rstrip("; ")
    try:
        return negotiated(Headers([("Sec-WebSocket-Extensions", words)]))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def run(options: argparse.Namespace) -> int:
    """Draw bytes.

    Returns:
        The exit code.
    Raises:
        CommandError: The key is not ASCII, or the file of ``--replay`` cannot be read.
    """
    if options.replay is not None:
        return _replay(options)
    text = " ".join(options.bytes)
    if not options.bytes or options.bytes == ["-"]:
        if sys.stdin.isatty():
            print("Paste the bytes, then press Enter and Ctrl-D.", file=sys.stderr)
        text = sys.stdin.buffer.read().decode("utf-8", "surrogateescape")
    try:
        data = _base64(text) if options.base64 else parse_paste(text)
    except PasteError as error:
        print(f"wsref: {error}", file=sys.stderr)
        return 2
    if not data:
        print("wsref: no bytes; try: python -m wsref decode 81 05 48 65 6c 6c 6f", file=sys.stderr)
        return 2
    if options.key is not None and not options.key.isascii():
        raise CommandError("a key is ASCII: 24 characters of base64")
    descriptions = explain(data, masked=options.masked, key=options.key, deflate=options.deflate)
    draw(descriptions, options)
    return 1 if any(description.problems for description in descriptions) else 0


def _replay(options: argparse.Namespace) -> int:
    """Draw each head and frame of a recorded trace, below its line of the trace."""
    wrong = False
    try:
        with contextlib.ExitStack() as stack:
            file = sys.stdin if options.replay == "-" else stack.enter_context(open(options.replay, encoding="utf-8"))
            for record in replay(file):
                if not (options.svg or options.json):
                    for line in trace_lines(record, colour=wants_colour(sys.stdout)):
                        if not line.startswith("    "):
                            print(line)
                if record.descriptions:
                    draw(record.descriptions, options)
                    wrong = wrong or any(description.problems for description in record.descriptions)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise CommandError(f"cannot read {options.replay}: {error.strerror}") from None
    except ValueError as error:
        raise CommandError(f"{options.replay}: {error}") from None
    return int(wrong)


def draw(descriptions: Sequence[Description], options: argparse.Namespace) -> None:
    """Write descriptions to standard output: as text, SVG or JSON.

    Args:
        descriptions: In order.
        options: With ``svg`` and ``json``.
    """
    if options.svg:
        text = svg_of(descriptions)
    elif options.json:
        text = json.dumps([description.as_dict() for description in descriptions], indent=2, ensure_ascii=False)
    else:
        colour = wants_colour(sys.stdout)
        width = min(shutil.get_terminal_size().columns, 100) if sys.stdout.isatty() else 80
        text = "\n\n".join(description.text(colour, width) for description in descriptions)
    try:
        # A terminal without box drawing (LANG=C) gets question marks, not a traceback.
        encoding = sys.stdout.encoding or "utf-8"
        print(text.encode(encoding, "replace").decode(encoding), flush=True)
    except BrokenPipeError:
        # The reader, such as head, has ended.  Python flushes once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


# -- From a paste to bytes -----------------------------------------------------------


def parse_paste(text: str) -> bytes:
    r"""Return the bytes of a paste, in the form of any common tool.

    Raises:
        PasteError: It cannot be read as bytes; the message names the character and its place.

    >>> forms = ["8105", "81 05", "81:05", "0x81, 0x05", r"\x81\x05", "{0x81, 0x05};", "[129, 5]", "<Buffer 81 05>"]
    >>> {parse_paste(form).hex() for form in forms}
    {'8105'}
    >>> parse_paste("0000   81 05 48 65 6c 6c 6f   ..Hello").hex()
    '810548656c6c6f'
    >>> parse_paste("81 0g")
    Traceback (most recent call last):
        ...
    wsref.cli.decode.PasteError: this is not hex: 'g' at line 1, column 5
    """
    if _is_http_text(text):
        return _http_text(text)
    if _DUMP_BEGINS.match(text):
        return _dump(text)
    if literal := _LITERAL.fullmatch(text.strip()):
        hex_in_quotes = not literal["bytes"] and "\\" not in literal["inside"]
        return _hex(literal["inside"]) if hex_in_quotes else _escapes(literal["inside"])
    if _ESCAPES.fullmatch(text.strip()):
        return _escapes(text.strip())
    if (numbers := _NUMBERS.fullmatch(text.strip())) and not _HEX_INSIDE.search(numbers[1]):
        return _decimals(numbers[1])
    return _hex(text)


def _base64(text: str) -> bytes:
    letters = "".join(text.split())
    try:
        # The alphabet of URLs too (RFC 4648 §5), and without the "=" at the end.
        letters = letters.translate({ord("-"): "+", ord("_"): "/"})
        return base64.b64decode(letters + "=" * (-len(letters) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise PasteError(f"this is not base64: {error}") from None


_HTTP_TEXT = re.compile(r"\s*(?:HTTP/[0-9]|[A-Z]{3,} [!-~]+ HTTP/[0-9])")


def _is_http_text(text: str) -> bool:
    return _HTTP_TEXT.match(text) is not None


def _http_text(text: str) -> bytes:
    """Return HTTP that was copied from a terminal or an editor, with CRLF and the empty line restored."""
    lines = text.strip().replace("\r\n", "\n")
    head, _, body = lines.partition("\n\n")
    head = "\r\n".join(line.rstrip(" \t") for line in head.split("\n"))
    return f"{head}\r\n\r\n{body}".encode("utf-8", "surrogateescape")


#: The first line of a dump begins with offset 0: ``00000000:`` in xxd, ``0000`` and blanks in
#: Wireshark, ``00000000`` and blanks in hexdump -C.
_DUMP_BEGINS = re.compile(r"\s*0{4,16}(?::|[ \t]{2,})[ \t]*[0-9A-Fa-f]{2}")
_DUMP_LINE = re.compile(r"[ \t]*([0-9A-Fa-f]{4,16})(:?)(?:[ \t]+|$)(.*)")


def _dump(text: str) -> bytes:
    """Read lines of offset, hex and letters.

    Letters may look like hex, so the hex ends at a wide gap or after 16 bytes.
    """
    data = bytearray()
    same = False  # hexdump writes "*" in place of lines that repeat the last one
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() == "*":
            same = True
            continue
        found = _DUMP_LINE.fullmatch(line.rstrip())
        if not found:
            if line.strip():
                raise PasteError(f"line {number} is not offset and hex, as in a dump: {quote_ascii(line.strip())}")
            continue
        offset, colon, rest = int(found[1], 16), found[2], found[3]
        if same and len(data) >= 16:
            data += data[-16:] * min((offset - len(data)) // 16, 1 << 16)
        same = False
        gap = r"[ \t]{2,}" if colon else r"[ \t]{3,}|[ \t]*\|"
        hexes = re.split(gap, rest, maxsplit=1)[0]
        octets = re.match(r"(?:[0-9A-Fa-f]{2}[ \t]{0,2}){0,16}", hexes)
        data += bytes.fromhex(octets[0] if octets else "")
    return bytes(data)


_LITERAL = re.compile(r"""(?:[\w.]+\()?(?P<bytes>b?)(?P<quote>["'])(?P<inside>.*)(?P=quote)[,;)]*""", re.DOTALL)
_ESCAPES = re.compile(r"(?:\\x[0-9A-Fa-f]{2}|[^\\])*\\x[0-9A-Fa-f]{2}.*", re.DOTALL)
_ESCAPE = re.compile(r"\\x([0-9A-Fa-f]{2})|\\([0abtnvfre\\'\"])|(\\.?)|(.)", re.DOTALL)
_NAMED = {"0": 0, "a": 7, "b": 8, "t": 9, "n": 10, "v": 11, "f": 12, "r": 13, "e": 27, "\\": 92, "'": 39, '"': 34}


def _escapes(text: str) -> bytes:
    r"""Read ``\x81\x05Hello``, as C and Python write it."""
    only_hex = re.fullmatch(r"(?:\\x[0-9A-Fa-f]{2}|\s|[\"'])*", text)
    data = bytearray()
    for found in _ESCAPE.finditer(text):
        octet, named, unknown, letter = found.groups()
        if unknown is not None:
            raise PasteError(f"this escape is unknown: {quote_ascii(unknown)} {_place(text, found.start())}")
        if octet is not None:
            data += bytes.fromhex(octet)
        elif named is not None:
            data.append(_NAMED[named])
        elif not only_hex:
            data += letter.encode("utf-8", "surrogateescape")
    return bytes(data)


#: ``[129, 5]``, perhaps after the name of a type: numbers in brackets are decimal ...
_NUMBERS = re.compile(r"[A-Za-z_0-9 \t]*(?:\([0-9]+\))?[ \t]*\(?[\[{(]([\s0-9A-Fa-fx,]*)[\]})][)}\];]*")
#: ... unless one of them is not: ``0x81``, ``fa``, ``05``.
_HEX_INSIDE = re.compile(r"[A-Fa-fx]|\b0[0-9]|[0-9]\s+[0-9]")


def _decimals(text: str) -> bytes:
    numbers = [int(word) for word in text.replace(",", " ").split()]
    for number in numbers:
        if number > 255:
            raise PasteError(f"a byte is a number from 0 to 255, not {number}")
    return bytes(numbers)


_TOKEN = re.compile(
    r"(?:0[xX]|\\?[xX])(?P<short>[0-9A-Fa-f])(?![0-9A-Fa-f])|(?:0[xX]|\\?[xX])?(?P<hex>[0-9A-Fa-f]+)[hu]?"
)
_BETWEEN = re.compile(r"""[\s,:;.\-_|{}()\[\]<>"'=]+""")
_DECLARATION = re.compile(
    r"\s*(?:[A-Za-z_][\w ]*\*?\s*(?:\[\w*\])?\s*=\s*|<?Buffer\s+|bytes(?:array)?\.?(?:fromhex)?\s*(?=\())"
)


def _hex(text: str) -> bytes:
    """Read hex digits, with or without prefixes, separators and a declaration around them."""
    digits, where = [], []
    at = found.end() if (found := _DECLARATION.match(text)) else 0
    while at < len(text):
        if between := _BETWEEN.match(text, at):
            at = between.end()
            continue
        token = _TOKEN.match(text, at)
        if not token:
            raise PasteError(f"this is not hex: {text[at]!a} {_place(text, at)}")
        if token["short"]:
            digits.append("0" + token["short"])
        else:
            digits.append(token["hex"])
        where.append(at)
        at = token.end()
    joined = "".join(digits)
    if len(joined) % 2:
        word, start = next((word, start) for word, start in zip(digits, where, strict=True) if len(word) % 2)
        raise PasteError(f"half a byte: {quote_ascii(word)} {_place(text, start)}; a byte is two hex digits")
    return bytes.fromhex(joined)


def _place(text: str, at: int) -> str:
    line = text.count("\n", 0, at) + 1
    return f"at line {line}, column {at - (text.rfind(chr(10), 0, at) + 1) + 1}"
