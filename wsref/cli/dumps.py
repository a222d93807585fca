r"""Dumps: lines of an offset, bytes, and often the same bytes as letters.

xxd, hexdump, od, Wireshark, tcpdump, curl --trace, gdb, lldb and the consoles of browsers write
them.  An offset looks like bytes, and letters look like hex, so nothing is believed alone: the
offsets must count the bytes before them, and the letters must be those of the bytes.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from ..protocol.errors import quote_ascii
from ..wire.words import count
from .pasted import Pasted, PasteError, Piece

#: An offset, perhaps gdb's with the name of a variable, and what is after it.
_LINE = re.compile(
    r"(?P<bar>\| )?(?P<offset>0x[0-9A-Fa-f]{1,16}|[0-9A-Fa-f]{4,16}|[0-9A-Fa-f]{1,3}(?=:[ \t]))(?: <[^<>]*>)?"
    r"(?P<colon>:?)(?P<rest>[ \t].*|)"
)
_TCPDUMP = re.compile(r"(?:[\d-]+ )?(?:[\d:.]+ )?(?:\S+ +(?:In|Out|B|M|P) +)?IP6? (\S+) > (\S+): ")
_CURL = re.compile(r"(?:[\d:.]+ )?(=>|<=) (Send|Recv) (header|data|SSL data), \d+ bytes \(0x[0-9a-f]+\)")
_CURL_INFO = re.compile(r"(?:[\d:.]+ )?== Info: ")
_MAX_FILL = 1 << 20  # bytes that all "*" of a dump may stand for: a few characters would fill the memory


@dataclass(slots=True)
class _Row:
    number: int  # of the line, from 1
    indent: int
    offset: str
    colon: bool
    rest: str
    filled: bool = False  # a "*" before it replaces rows like the last one


@dataclass(slots=True)
class _Block:
    """Rows whose offsets count one sequence of bytes."""

    title: str = ""
    rows: list[_Row] = field(default_factory=list)


def read_dump(text: str) -> Pasted | None:
    r"""Read a dump; None: it is not one.

    Raises:
        PasteError: It is a dump, but its offsets or its letters do not fit its bytes.

    >>> forms = ["00000000: 8105 4865 6c6c 6f  ..Hello", "0000   81 05 48 65 6c 6c 6f   ..Hello"]
    >>> forms += ["00000000  81 05 48 65 6c 6c 6f  |..Hello|", "0000000 81 05 48 65 6c 6c 6f\n0000007"]
    >>> forms += ["0000000 0581 6548 6c6c 006f\n0000007", "0x7ffe10 <frame>:\t-127\t5\t72\t101\t108\t108\t111"]
    >>> {read_dump(form).data for form in forms}
    {b'\x81\x05Hello'}
    """
    blocks, left_out = _blocks(text)
    if not blocks or not _is_dump(blocks[0].rows):
        return None
    if any(block.title for block in blocks):
        return _titled(blocks, left_out)
    rows = blocks[0].rows
    indents = sorted({row.indent for row in rows})
    if len(indents) == 2 and len(blocks) == 1 and indents[1] - indents[0] == 4:
        return _stream(rows, indents)
    read = [_read_rows(block.rows) for block in blocks]
    return Pasted(read[0][0], tuple(Piece(data) for _, data in read))


# -- Its lines ------------------------------------------------------------------------------


def _blocks(text: str) -> tuple[list[_Block], int]:
    """Cut a text into blocks, none if it is no dump; and count the lines of curl that are left out."""
    blocks = [_Block()]
    filled, left_out = False, 0
    for number, line in enumerate(text.split("\n"), 1):
        line = line.rstrip()
        inside = line.lstrip()
        if inside == "*":
            filled = True
        elif _TCPDUMP.match(inside) or _CURL.fullmatch(inside):
            blocks.append(_Block(inside))
        elif found := _LINE.fullmatch(inside):
            row = _Row(number, len(line) - len(inside), found["offset"], bool(found["colon"]), found["rest"], filled)
            if found["bar"]:
                row.rest = row.rest.removesuffix(" |")
            begun = blocks[-1].rows
            if begun and int(row.offset, 16) == 0 and row.indent == begun[0].indent and row.rest.strip():
                blocks.append(_Block(blocks[-1].title))
            blocks[-1].rows.append(row)
            filled = False
        elif inside and _CURL.match(blocks[-1].title):
            left_out += not _CURL_INFO.match(inside)  # the body, which curl writes between the lines of its trace
        elif inside and not _CURL_INFO.match(inside):
            if _TCPDUMP.match(blocks[-1].title) and not any(block.rows for block in blocks):
                raise PasteError("tcpdump has printed no hex: repeat it with -X")
            if not any(block.rows and _is_dump(block.rows) for block in blocks):
                return [], 0
            words = quote_ascii(inside)
            raise PasteError(f"line {number} is not offset and hex, as in a dump: {words}")
    return [block for block in blocks if block.rows], left_out


def _is_dump(rows: Sequence[_Row]) -> bool:
    """Return whether the first number of each row is an offset.

    Raises:
        PasteError: It may be an offset or bytes.
    """
    first = rows[0]
    octets = re.match(r"[ \t]*[0-9A-Fa-f]{2}(?:[ \t]|$)", first.rest)
    if len(first.offset) < 4 and first.offset.strip("0x"):
        return False
    if (first.colon and first.rest) or len(first.offset) == 7 or first.offset.startswith("0x"):
        return bool(first.rest.strip()) and (first.colon or not first.offset.startswith("0x"))
    zero = not first.offset.strip("0")
    wide = re.match(r"[ \t]{2,}", first.rest) is not None
    if len(rows) > 1 or "|" in first.rest:
        try:
            _read_rows(rows)
            return True
        except PasteError:
            if wide and octets is not None and (zero or len(first.offset) > 4):
                return True  # and the reader says what does not fit
    if wide and octets is not None and (zero or _letters_agree(first.rest)):
        return True
    like_an_offset = len(first.offset) > 4 or re.fullmatch("0[0-9A-Fa-f]{2}0", first.offset) is not None
    doubtful = zero or (wide and octets is not None and like_an_offset)
    if doubtful and re.fullmatch(r"[0-9A-Fa-f \t]+", first.rest.strip()):
        number = first.offset
        raise PasteError(f"{number} may be an offset or bytes: write '{number}:', or remove it, or set a blank in it")
    return False


def _letters_agree(rest: str) -> bool:
    return any(letters.strip() and _agree(data, letters) for data, letters in _splits(rest, _hex_tokens))


# -- From rows to bytes ----------------------------------------------------------------------

#: Makes bytes of the words of a row, or None.
Reader = Callable[[Sequence[str]], bytes | None]


def _hex_tokens(words: Sequence[str]) -> bytes | None:
    """``81 05`` and ``8105``, in order."""
    joined = "".join(words)
    if not all(len(word) % 2 == 0 for word in words) or not re.fullmatch(r"[0-9A-Fa-f]*", joined):
        return None
    return bytes.fromhex(joined)


def _binary_tokens(words: Sequence[str]) -> bytes | None:
    """``10000001 00000101``."""
    if not all(re.fullmatch(r"[01]{8}", word) for word in words):
        return None
    return bytes(int(word, 2) for word in words)


def _prefixed_tokens(words: Sequence[str]) -> bytes | None:
    """``0x81 0x05``."""
    if not all(re.fullmatch(r"0x[0-9A-Fa-f]{1,2}", word) for word in words):
        return None
    return bytes(int(word, 16) for word in words)


def _decimal_tokens(words: Sequence[str]) -> bytes | None:
    """``129   5``, ``-127   5``."""
    if not all(re.fullmatch(r"-?(?:0|[1-9][0-9]{0,2})", word) and -128 <= int(word) <= 255 for word in words):
        return None
    return bytes(int(word) % 256 for word in words)


def _octal_tokens(words: Sequence[str]) -> bytes | None:
    """``201 005``."""
    return bytes(int(word, 8) for word in words) if all(re.fullmatch("[0-3][0-7]{2}", word) for word in words) else None


def _words(words: Sequence[str]) -> bytes | None:
    """Numbers of 2, 4 or 8 bytes, in the order of nearly all machines: the low byte first."""
    sizes = {len(word) for word in words}
    if sizes == {6} and all(re.fullmatch(r"[01][0-7]{5}", word) for word in words):
        return b"".join(int(word, 8).to_bytes(2, "little") for word in words)
    if len(sizes) > 1 or not sizes & {4, 8, 16} or not re.fullmatch(r"[0-9A-Fa-f]+", "".join(words)):
        return None
    return b"".join(bytes.fromhex(word)[::-1] for word in words)


#: (form, reader), in the order in which they are tried.
_WITH_COLON = (("binary digits", _binary_tokens), ("hex", _hex_tokens), ("hex", _prefixed_tokens))
_GDB = (("binary digits", _binary_tokens), ("hex", _prefixed_tokens), ("decimal numbers", _decimal_tokens))
_OD = (
    ("hex", lambda words: _hex_tokens(words) if all(len(word) == 2 for word in words) else None),
    ("octal numbers", _octal_tokens),
    ("numbers of several bytes, the low byte first", _words),
    ("decimal numbers", _decimal_tokens),
)
_PLAIN = _OD[:1]


def _forms(row: _Row) -> Sequence[tuple[str, Reader]]:
    if row.colon:
        return _GDB if row.rest.startswith("\t") else _WITH_COLON
    if len(row.offset) not in (6, 7):
        return _PLAIN
    return _OD[1:] if row.rest.startswith("  ") else _OD  # od aligns decimal numbers


def _read_rows(rows: Sequence[_Row]) -> tuple[str, bytes]:
    """Return the form and the bytes of rows whose offsets count them.

    Raises:
        PasteError: No form fits; the message is that of the form that fitted longest.
    """
    errors: list[_Misfit] = []
    for form, reader in _forms(rows[0]):
        for base in _bases(rows[0]):
            try:
                data = _read_as(rows, reader, base)
                if reader is _octal_tokens:
                    _refuse_decimal(rows, base)
                return f"a dump with offsets, {form}", data
            except _Misfit as error:
                errors.append(error)
    raise PasteError(str(max(errors, key=lambda error: error.rank)))


def _refuse_decimal(rows: Sequence[_Row], base: int) -> None:
    with contextlib.suppress(_Misfit):
        _read_as(rows, _decimal_tokens, base)
        raise PasteError("these numbers may be octal or decimal: print them in hex, with od -An -tx1")


def _bases(row: _Row) -> Sequence[int]:
    """Return the bases in which an offset may be written: od has octal, xxd -d and od -A d decimal ones."""
    if row.colon:
        return (16, 10)
    return (8, 16, 10) if len(row.offset) == 7 else (16,)


class _Misfit(Exception):
    """A row that does not fit a form; of several forms, the one with the highest rank nearly fitted."""

    def __init__(self, line: int, words: str, *, letters: bool = False) -> None:
        super().__init__(f"line {line}: {words}")
        self.rank = (line, letters)


def _read_as(rows: Sequence[_Row], reader: Reader, base: int) -> bytes:
    data = bytearray()
    start: int | None = None
    last = b""
    room = _MAX_FILL
    width = _width(rows[0]) if reader is _words else 0
    for row in rows:
        try:
            offset = int(row.offset, base)
        except ValueError:
            raise _Misfit(row.number, f"{row.offset} is no offset in base {base}") from None
        start = offset if start is None else start
        at = offset - start
        if row.filled and last and (fill := at - len(data)) > 0 and fill % len(last) == 0:
            if fill > room:
                words = f"the '*' up to it stand for more than {_MAX_FILL} bytes: print them all (hexdump -v, od -v)"
                raise _Misfit(row.number, words)
            room -= fill
            data += last * (fill // len(last))
        if width and not row.rest.strip() and 0 < len(data) - at < width:
            del data[at:]  # the last number was filled up with zeros
        if at != len(data):
            raise _Misfit(
                row.number, f"the offset {row.offset} does not count the {count(len(data), 'byte')} before it"
            )
        last = _read_row(row, reader)
        data += last
    return bytes(data)


def _width(row: _Row) -> int:
    """Return how many bytes a number has: 6 octal digits are 2, and 8 hex digits 4."""
    digits = len(row.rest.split()[0]) if row.rest.strip() else 0
    return 2 if digits == 6 else digits // 2


def _read_row(row: _Row, reader: Reader) -> bytes:
    """Return the bytes of a row, if its letters agree."""
    if not row.rest.strip():
        return b""
    if reader is _decimal_tokens and not row.colon and not _is_aligned(row.rest):
        raise _Misfit(row.number, "its numbers are not aligned, as od writes decimal ones")
    letters = ""
    hint = "gdb: x/...xb" if row.offset.startswith("0x") else "od -An -tx1, hexdump -C, or xxd"
    misfit = f"this is not read as bytes: {quote_ascii(row.rest.strip())} ({hint})"
    for data, letters in _splits(row.rest, reader):
        if _agree(data, letters):
            return data
        misfit = f"the letters {quote_ascii(letters.strip())} are not those of the bytes before them (as with xxd -e)"
    raise _Misfit(row.number, misfit, letters=bool(letters))


def _is_aligned(rest: str) -> bool:
    """Return whether each number takes 4 columns (od -t u1) or 5 (od -t d1)."""
    numbers = rest.partition("  >")[0].rstrip()
    return len(numbers) in [len(numbers.split()) * width for width in (4, 5)]


_WORD = re.compile(r"\S+")


def _splits(rest: str, reader: Reader) -> Iterator[tuple[bytes, str]]:
    """Yield ways to cut a row into bytes and letters: at a bar, at a wide gap, or after 16 bytes."""
    cuts = [rest.find(mark) for mark in ("  |", "  >") if rest.rstrip().endswith(mark[-1].replace(">", "<"))]
    for cut in cuts:
        if cut >= 0 and (data := reader(rest[:cut].split())) is not None:
            yield data, rest[cut + 3 :].rstrip()[:-1]
    words = list(_WORD.finditer(rest))
    gaps = [n for n in range(1, min(len(words), 64)) if words[n].start() - words[n - 1].end() > 1]
    for n in [*gaps, 16, len(words)]:
        if n > len(words) or (data := reader([word[0] for word in words[:n]])) is None:
            continue
        yield data, rest[words[n - 1].end() :] if n < len(words) else ""


def _agree(data: bytes, letters: str) -> bool:
    """Return whether letters are those of bytes; a blank may precede them, and divide them after 8."""
    if not letters.strip():
        return True
    if len(letters.strip()) > len(data) + 1:
        return False
    for begin in range(min(len(letters) - len(letters.lstrip()) + 1, 5)):
        column = letters[begin:]
        for one in (column, column[:8] + column[9:] if column[8:9] == " " else column):
            if _same(data, one):
                return True
    spaces = letters.lstrip()
    return _same(data.lstrip(b" "), spaces) or _same(data.lstrip(b" "), spaces[:8] + spaces[9:])


def _same(data: bytes, column: str) -> bool:
    if not len(column.rstrip()) <= len(data):
        return False
    column = column.ljust(len(data))
    for octet, letter in zip(data, column, strict=False):
        if 0x21 <= octet < 0x7F:
            if letter != chr(octet):
                return False
        elif letter.isascii() and letter.isalnum():
            return False
    return True


# -- Several blocks, and both directions -----------------------------------------------------


def _stream(rows: Sequence[_Row], indents: Sequence[int]) -> Pasted:
    """Read Wireshark's view of a stream, which indents the rows of the server."""
    pieces: list[Piece] = []
    for indent in indents:
        form, _ = _read_rows([row for row in rows if row.indent == indent])
    run: list[_Row] = []
    for row, following in zip(rows, [*rows[1:], None], strict=True):
        run.append(row)
        if following is None or following.indent != row.indent:
            by_client = row.indent == indents[0]
            _, data = _read_rows(run)
            pieces.append(Piece(data, "the client" if by_client else "the server", by_client))
            run = []
    return Pasted(f"{form}, both directions of a stream", tuple(pieces))


def _titled(blocks: Sequence[_Block], left_out: int) -> Pasted:
    """Read the packets of tcpdump, or the data of curl --trace."""
    pieces: list[Piece] = []
    notes = [f"{count(left_out, 'line')} of the body left out"] if left_out else []
    secret = sum("SSL data" in block.title for block in blocks)
    if secret:
        notes.append(f"{count(secret, 'block')} of SSL data left out")
    conversation, answered = 0, False
    for block in blocks:
        if "SSL data" in block.title:
            continue
        _, data = _read_rows(block.rows)
        if curl := _CURL.match(block.title):
            by_client = curl[1] == "=>"
            conversation += by_client and curl[3] == "header" and answered
            answered = answered or not by_client
            pieces.append(Piece(data, "the client" if by_client else "the server", by_client, conversation))
        else:
            pieces.append(Piece(data, "a packet"))
    form = "curl --trace" if any(piece.by_client is not None for piece in pieces) else "tcpdump -X"
    return Pasted(form, tuple(pieces), tuple(notes))
