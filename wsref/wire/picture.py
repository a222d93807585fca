"""A description of bytes, and how it is drawn: text, SVG, HTML, JSON.

:mod:`wsref.wire.describe` fills a :class:`Description`; here is what it holds and what it looks
like.  The picture of the bits is drawn from the fields, in rows of 32 bits as in the RFC:
a field that is wrong, or not all here, is drawn from the same rows.

Whoever fills a description has made everything that came from the wire :func:`legible`;
so nothing here can carry a terminal's escape code, or a tag, from a peer to a reader.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import Any, NamedTuple

from ..protocol.http11 import reason_phrase
from ..protocol.spec import CloseCode

#: Bytes.  So many of a payload's first and last bytes are in a picture of it.
FIRST = 32
LAST = 8

#: Bits in one row of the picture, as in the RFC's.
ROW = 32


def legible(came: str | bytes, limit: int = 60) -> str:
    r"""What a peer sent, quoted and on one line, fit for a terminal: letters stay letters.

    What could move the cursor, change the direction of writing, hide, or pile up on
    another character is escaped; so are bytes that are not UTF-8.
    (:func:`wsref.protocol.errors.shown`, for the log, lets nothing through but ASCII.)

    >>> print(legible("Zürich 你好"))
    'Zürich 你好'
    >>> print(legible(b"\x1b[31mred\r\n \xe2\x82"), legible("\u202eevil"))
    '\x1b[31mred\r\n \xe2\x82' '\u202eevil'
    >>> legible("x" * 100, limit=4)
    "'xxxx...' (100 characters)"
    """
    # A byte that is not UTF-8 becomes a surrogate, U+DC80 to U+DCFF, which no UTF-8 can be.
    text = came.decode("utf-8", "surrogateescape") if isinstance(came, bytes) else came
    quote = '"' if "'" in text and '"' not in text else "'"
    shown = "".join(_legible(character, quote) for character in text[:limit])
    if len(text) <= limit:
        return f"{quote}{shown}{quote}"
    return f"{quote}{shown}...{quote} ({len(text)} characters)"


def _legible(character: str, quote: str) -> str:
    if character in (quote, "\\"):
        return "\\" + character
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    moves = unicodedata.bidirectional(character) in ("R", "AL", "AN")
    if character.isprintable() and not moves and not unicodedata.category(character).startswith("M"):
        return character
    return ascii(character)[1:-1]


def count(number: int, noun: str) -> str:
    """``1 byte``, ``2 bytes``.

    >>> count(1, "byte"), count(1048576, "byte")
    ('1 byte', '1048576 bytes')
    """
    return f"{number} {noun}{'' if number == 1 else 's'}"


# -- What a description holds ----------------------------------------------------


@dataclass(frozen=True, slots=True)
class Field:
    """One thing that stands in the bytes, where it stands, and what it means.

    Attributes:
        name: As the RFC calls it.
        start: Its first bit, counted from the first bit of what is described.
        bits: How many it has.
        raw: The bits (``0001``) of what is no whole byte, else the bytes in hex
            (``37 fa``), as far as they are here.
        value: What they say.
        meaning: What that means, in one sentence.
        section: Where it stands: ``RFC 6455 §5.2``.
        missing: How many of its bits are not here yet.
    """

    name: str
    start: int
    bits: int
    raw: str
    value: str
    meaning: str
    section: str
    missing: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """Something that does not stand in the bytes but follows from them."""

    name: str
    value: str
    meaning: str
    section: str


@dataclass(frozen=True, slots=True)
class Problem:
    """A rule that the bytes break.

    Attributes:
        text: What is wrong, and what came instead.
        section: The rule: ``RFC 6455 §5.2``.
        answer: What it deserves: a close code from 1000 on, an HTTP status below; 0 if
            nobody is told.
        fields: The names of those that are wrong.
    """

    text: str
    section: str
    answer: int
    fields: tuple[str, ...] = ()

    @property
    def consequence(self) -> str:
        """What the receiver does about it.

        >>> print(Problem("a NUL byte", "RFC 9110 §5.5", 400).consequence)
        the answer is 400 Bad Request
        """
        if self.answer >= 1000:
            sees = self.answer == CloseCode.ABNORMAL
            verb = "the client hangs up, and its program sees" if sees else "the receiver fails the connection with"
            return f"{verb} {code_and_name(self.answer)}"
        if self.answer:
            return f"the answer is {self.answer} {reason_phrase(self.answer)}"
        return "the receiver answers nothing"


def code_and_name(code: int) -> str:
    """A close code, and its name if it has one.

    >>> code_and_name(1002), code_and_name(4000)
    ('1002 PROTOCOL_ERROR', '4000')
    """
    return f"{code} {CloseCode(code).name}" if code in tuple(CloseCode) else str(code)


@dataclass(frozen=True, slots=True)
class Payload:
    """A frame's payload, or as much of it as a picture needs.

    Attributes:
        length: Bytes, as declared.
        here: Bytes that have come.
        masking_key: 4 bytes, or b"".
        wire: The first bytes as they came.
        plain: The same, unmasked.
        wire_end: The last that came, if ``wire`` does not reach so far.
        plain_end: The same, unmasked.
    """

    length: int
    here: int
    masking_key: bytes
    wire: bytes
    plain: bytes
    wire_end: bytes = b""
    plain_end: bytes = b""


@dataclass(frozen=True, slots=True)
class Description:
    """What some bytes are.

    Attributes:
        kind: ``frame``, ``request``, ``response``, ``tls`` or ``http2``.
        title: A heading.
        one_line: A summary for a log line.
        start: The offset of its first byte in the stream.
        raw: The bytes of the header, or of the head: those that the fields are about.
        fields: What stands in ``raw``: every bit of it, in order.
        payload: What follows it, or None.
        steps: What follows from it.
        problems: Every rule that is broken, the first that a receiver meets first.
        notes: What else there is to say.
        missing: What is not here yet, in words; "" if all is here.
        missing_bytes: At least so many.
    """

    kind: str
    title: str
    one_line: str
    start: int
    raw: bytes
    fields: tuple[Field, ...]
    payload: Payload | None = None
    steps: tuple[Step, ...] = ()
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    missing: str = ""
    missing_bytes: int = 0

    @property
    def answer(self) -> int:
        """The close code or status that it deserves, 0 if nothing is wrong: the first problem decides."""
        return self.problems[0].answer if self.problems else 0

    def text(self, colour: bool = False, width: int = 80) -> str:
        """A picture for a terminal.

        Args:
            colour: With ANSI colours.
            width: Columns, at least 72: that is what 32 bits and their frame take.
        """
        return "\n".join(_text(self, _Pen(colour), max(width, 72)))

    def svg(self, *, table: bool = True) -> str:
        """A picture to put into a page or a file: without scripts, and for light and dark.

        Args:
            table: With a title above the bits; below them the fields, the payload, the problems.
        """
        return svg_of([self], table=table)

    def as_dict(self) -> dict[str, Any]:
        """All of it, ready for JSON; bytes in hex."""
        return {**_plain(asdict(self)), "answer": self.answer}

    def _repr_html_(self) -> str:
        """For notebooks."""
        return _html(self)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex(" ")
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return value


# -- The bits, in rows ------------------------------------------------------------


class Cell(NamedTuple):
    """A field, or the part of it that stands in one row."""

    field: Field
    column: int  # its first bit in the row
    bits: int
    digits: tuple[str, ...]  # what stands there: one for each bit, or one for each byte
    continued: bool  # the field began in a row above


def bit_rows(description: Description) -> list[list[Cell]]:
    """The fields of a frame, cut into rows, and as much of the payload as fills the next row."""
    rows: list[list[Cell]] = []
    for field in _with_payload(description):
        digits = _digits(field)
        each = field.bits // len(digits) if digits else 1  # bits for one of them: 1 or 8
        at, end = field.start, field.start + field.bits
        while at < end:
            stop = min(end, (at // ROW + 1) * ROW)
            part = tuple(digits[(at - field.start) // each : (stop - field.start) // each])
            while len(rows) <= at // ROW:
                rows.append([])
            rows[at // ROW].append(Cell(field, at % ROW, stop - at, part, at > field.start))
            at = stop
    return rows


def _digits(field: Field) -> list[str]:
    """What is not here yet is a dot."""
    if field.bits % 8 or field.start % 8:
        return list(field.raw) + ["·"] * (field.bits - len(field.raw))
    octets = field.raw.split()
    return octets + ["··"] * (field.bits // 8 - len(octets))


def _with_payload(description: Description) -> Iterator[Field]:
    yield from description.fields
    payload, end = description.payload, sum(field.bits for field in description.fields)
    if payload is None or not payload.length:
        return
    room = (-end % ROW + ROW) // 8  # the rest of this row, and one more
    drawn = min(payload.length, room)
    name = "payload" if drawn == payload.length else f"payload, {drawn} of {payload.length} bytes"
    here = payload.wire[:drawn]
    yield Field(name, end, drawn * 8, here.hex(" "), "", "", "", (drawn - len(here)) * 8)


def bit_range(field: Field) -> str:
    """``0``, ``4–7``: the bits of a field, the last one included."""
    return str(field.start) if field.bits == 1 else f"{field.start}–{field.start + field.bits - 1}"


# -- For a terminal -----------------------------------------------------------------


_STYLES = {"soft": "2", "strong": "1", "name": "36", "wrong": "31", "wait": "33"}


class _Pen:
    """Writes in colour, or does not."""

    def __init__(self, colour: bool) -> None:
        self.colour = colour

    def __call__(self, text: str, style: str) -> str:
        if not self.colour or not style or not text.strip():
            return text
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m"


def columns(text: str) -> int:
    """How many columns of a terminal a text takes: Chinese characters take two.

    >>> columns("Hello"), columns("你好")
    (5, 4)
    """
    return len(text) + sum(unicodedata.east_asian_width(character) in "WF" for character in text)


_TIED = "\N{NO-BREAK SPACE}"


def wrap(text: str, width: int) -> list[str]:
    """Break a text into lines of at most ``width`` columns; a word that is longer is cut.

    ``RFC 6455 §5.2`` stays together.

    >>> wrap("every client masks", 9)
    ['every', 'client', 'masks']
    """
    lines = [""]
    for word in re.sub(r"(?<=RFC) (?=[0-9])|(?<=[0-9]) (?=§)", _TIED, text).split(" "):
        if columns(lines[-1]) + columns(word) + 1 > width and lines[-1]:
            lines.append("")
        lines[-1] += (" " if lines[-1] else "") + word
        while columns(lines[-1]) > width:
            cut = next(n for n in range(len(lines[-1]), 0, -1) if columns(lines[-1][:n]) <= width or n == 1)
            lines[-1:] = [lines[-1][:cut], lines[-1][cut:]]
    return [line.replace(_TIED, " ") for line in lines]


def _padded(text: str, width: int) -> str:
    return text + " " * (width - columns(text))


def _text(description: Description, pen: _Pen, width: int) -> Iterator[str]:
    """The lines of the terminal's picture."""
    wrong = {name for problem in description.problems for name in problem.fields}
    title = wrap(description.title, width)
    for line in title:
        yield pen(line, "strong")
    yield pen("─" * max(columns(line) for line in title), "soft")
    if description.kind in ("frame", "tls"):
        yield from _text_bits(description, pen, wrong)
        yield ""
        yield from _text_table(description, pen, wrong, width)
    else:
        yield from _text_lines(description, pen, wrong, width)
    if description.payload is not None and description.payload.here:
        yield ""
        yield from (pen(line, "strong") for line in wrap(dump_title(description), width))
        yield from ("  " + line for line in dump(description.payload, narrow=width < 76))
    if description.steps:
        yield ""
        for step in description.steps:
            yield from _text_step(step, pen, width)
    yield from _text_end(description, pen, width)


def _text_bits(description: Description, pen: _Pen, wrong: set[str]) -> Iterator[str]:
    """The picture that the RFC draws, with the bits that came."""
    rows = bit_rows(description)
    used = max((cell.column + cell.bits for cells in rows for cell in cells), default=ROW)
    yield pen("      " + "".join(f"{n // 10 if n % 10 == 0 else ' '} " for n in range(used)).rstrip(), "soft")
    yield pen("      " + "".join(f"{n % 10} " for n in range(used)).rstrip(), "soft")
    above: list[Cell] = []
    for number, cells in enumerate(rows):
        yield "     " + pen(_border(above, cells), "soft")
        inside = [_inside(cell) for cell in cells]
        for line in range(max(len(lines) for lines in inside)):
            margin = f"{number * ROW // 8:4} " if line == 0 else "     "
            parts = []
            for cell, lines in zip(cells, inside, strict=True):
                words = lines[line] if line < len(lines) else ""
                style = "wrong" if cell.field.name in wrong else "strong" if line == 0 else "name"
                parts.append(pen(words.center(cell.bits * 2 - 1), style))
            bar = pen("│", "soft")
            yield pen(margin, "soft") + bar + bar.join(parts) + bar
        above = cells
    yield "     " + pen(_border(above, []), "soft")


def _inside(cell: Cell) -> list[str]:
    """The lines of a cell: its digits, each below its bit; the field's name; what it says."""
    room = cell.bits * 2 - 1
    if cell.bits == len(cell.digits):
        lines = [" ".join(cell.digits)]
    else:
        lines = [" ".join(digits.center(15) for digits in cell.digits)]
    name = f"({cell.field.name})" if cell.continued else cell.field.name
    words = [name]
    if cell.bits > 1 and not cell.continued and cell.field.value != cell.field.raw:
        words.append(cell.field.value)
    for word in words:  # in a narrow cell the letters stand below each other, as in the RFC
        lines += [word[n : n + room] for n in range(0, len(word), room)]
    return lines


def _border(above: Sequence[Cell], below: Sequence[Cell]) -> str:
    """The line between two rows: a junction wherever a cell ends, above it or below it."""
    ends_above = {0} | {(cell.column + cell.bits) * 2 for cell in above} if above else set()
    ends_below = {0} | {(cell.column + cell.bits) * 2 for cell in below} if below else set()
    last_above, last_below = max(ends_above, default=-1), max(ends_below, default=-1)
    line = []
    for at in range(max(last_above, last_below) + 1):
        up, down, left = at in ends_above, at in ends_below, at > 0
        right = at < max(last_above, last_below)
        line.append(_JUNCTIONS[up, down, left, right])
    return "".join(line)


#: (up, down, left, right): where the lines that meet come from.
_JUNCTIONS = {
    (False, False, True, True): "─",
    (False, True, False, True): "┌",
    (False, True, True, True): "┬",
    (False, True, True, False): "┐",
    (True, False, False, True): "└",
    (True, False, True, True): "┴",
    (True, False, True, False): "┘",
    (True, True, False, True): "├",
    (True, True, True, True): "┼",
    (True, True, True, False): "┤",
}


def _text_table(description: Description, pen: _Pen, wrong: set[str], width: int) -> Iterator[str]:
    """The fields of a frame, one below the other."""
    rfc = "RFC 6455" if description.kind == "frame" else "section"
    rows = [("bits", "field", "value", "meaning", rfc)]
    for f in description.fields:
        rows.append((bit_range(f), f.name, f.value, f.meaning, f.section.removeprefix(f"{rfc} ")))
    sizes = [max(columns(row[n]) for row in rows) for n in range(5)]
    sizes[3] = width - sum(sizes) + sizes[3] - 10
    for number, (bits, name, value, meaning, section) in enumerate(rows):
        bad = number > 0 and name in wrong
        for n, line in enumerate(wrap(meaning, sizes[3])):
            first = n == 0
            mark = pen("✗ ", "wrong") if bad and first else "  "
            parts = (
                pen(_padded(bits if first else "", sizes[0]), "soft"),
                pen(_padded(name if first else "", sizes[1]), "soft" if not number else "wrong" if bad else "name"),
                pen(_padded(value if first else "", sizes[2]), "soft" if not number else "strong"),
                pen(_padded(line, sizes[3]), "soft" if not number else ""),
                pen(section if first else "", "soft"),
            )
            yield (mark + "  ".join(parts)).rstrip()


def _text_lines(description: Description, pen: _Pen, wrong: set[str], width: int) -> Iterator[str]:
    """The fields of an HTTP head: each line, and below it what it means."""
    for field in description.fields:
        bad = field.name in wrong
        lines = wrap(f"{field.name}: {field.value}", width - 4)
        for n, line in enumerate(lines):
            mark = pen("✗ ", "wrong") if bad and n == 0 else "  "
            name, colon, value = line.partition(": ") if n == 0 else ("", "", line)
            yield mark + ("  " if n else "") + pen(name + colon, "wrong" if bad else "name") + pen(value, "strong")
        for line in wrap(f"{field.meaning} ({field.section})" if field.section else field.meaning, width - 6):
            yield "      " + pen(line, "soft") if line else ""


def _text_step(step: Step, pen: _Pen, width: int) -> Iterator[str]:
    for n, line in enumerate(wrap(f"{step.name}: {step.value}", width - 4)):
        name, colon, value = line.partition(": ") if n == 0 else ("", "", line)
        yield ("    " if n else "  ") + pen(name + colon, "name") + pen(value, "strong")
    for line in wrap(f"{step.meaning} ({step.section})", width - 6):
        yield "      " + pen(line, "soft")


def _text_end(description: Description, pen: _Pen, width: int) -> Iterator[str]:
    """What is wrong, what is missing, what else there is to say."""
    ends = [(f"{p.text} ({p.section}): {p.consequence}", "✗", "wrong") for p in description.problems]
    if description.missing:
        ends.append((f"not here yet: {description.missing}", "…", "wait"))
    ends += [(note, "·", "soft") for note in description.notes]
    if ends:
        yield ""
    for words, mark, style in ends:
        for n, line in enumerate(wrap(words, width - 2)):
            yield pen(f"{mark} " if n == 0 else "  ", style) + pen(line, style if style == "wrong" else "")


def dump_title(description: Description) -> str:
    """What the dump below it is of."""
    payload = description.payload
    if payload is None:
        return ""
    if description.kind != "frame":
        return f"body, {count(payload.here, 'byte')} so far"
    words = f"payload, {count(payload.length, 'byte')}"
    if payload.here < payload.length:
        words += f", {payload.here} of them here"
    if payload.masking_key:
        words += f": masked → unmasked, byte by byte XOR {payload.masking_key.hex(' ')}"
    return words


def dump(payload: Payload, *, narrow: bool = False) -> list[str]:
    """Hex and ASCII, what is masked with what it means beside it; the middle of a long one left out."""
    each = 8 if payload.masking_key or narrow else 16
    lines = [_dump_line(payload, at, payload.wire, payload.plain, at, each) for at in range(0, len(payload.wire), each)]
    if payload.wire_end:
        left_out = payload.here - len(payload.wire) - len(payload.wire_end)
        if left_out:
            lines.append(f"      … {count(left_out, 'byte')} …")
        at = payload.here - len(payload.wire_end)
        lines.append(_dump_line(payload, at, payload.wire_end, payload.plain_end, 0, each))
    return lines


def _dump_line(payload: Payload, offset: int, wire: bytes, plain: bytes, at: int, each: int) -> str:
    room = each * 3 - 1
    wire, plain = wire[at : at + each], plain[at : at + each]
    ascii_ = "".join(chr(octet) if 0x20 <= octet < 0x7F else "." for octet in plain)
    left = f"{wire.hex(' '):{room}} → " if payload.masking_key else ""
    return f"{offset:04x}  {left}{plain.hex(' '):{room}}  {ascii_}"


# -- For a page -----------------------------------------------------------------------

# Lines and letters are in the colour of the text around them (currentColor), fills let the
# ground shine through: so the picture fits a light page and a dark one.  Opened as a file
# or shown as an <img> there is nothing around it: then it is :root, and chooses for itself.
_STYLE = """\
.wsref-bits { font: 13px system-ui, sans-serif; fill: currentColor; max-width: 100%; height: auto; }
.wsref-bits:root { color: #22262a; background: #fbfaf6; color-scheme: light dark; }
@media (prefers-color-scheme: dark) { .wsref-bits:root { color: #e6e3dc; background: #14171a; } }
.wsref-bits .mono { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
.wsref-bits text { white-space: pre; }
.wsref-bits .soft { opacity: .72; }
.wsref-bits .small { font-size: 11px; }
.wsref-bits .title { font-size: 16px; font-weight: 600; }
.wsref-bits .strong { font-weight: 600; }
.wsref-bits .cell { stroke: currentColor; stroke-opacity: .55; }
.wsref-bits .rule { stroke: currentColor; stroke-opacity: .22; }
.wsref-bits .flag { fill: #8a8f98; fill-opacity: .16; }
.wsref-bits .opcode { fill: #1b8aa6; fill-opacity: .24; }
.wsref-bits .mask { fill: #c98a1b; fill-opacity: .24; }
.wsref-bits .length { fill: #4f9d57; fill-opacity: .24; }
.wsref-bits .payload { fill: #8a6fc0; fill-opacity: .2; }
.wsref-bits .missing { fill: none; stroke-dasharray: 3 3; }
.wsref-bits .wrong { fill: #d4483a; fill-opacity: .2; }
.wsref-bits .outline { fill: none; stroke: #d4483a; stroke-width: 2; }
.wsref-bits .alarm { fill: #d4483a; font-weight: 700; }
"""

_HUES = {
    "FIN": "flag",
    "RSV1": "flag",
    "RSV2": "flag",
    "RSV3": "flag",
    "opcode": "opcode",
    "MASK": "mask",
    "masking key": "mask",
    "length": "length",
    "extended length": "length",
}

_UNIT = 22  # one bit, in the picture's pixels
_LEFT = 40
_WIDTH = _LEFT + ROW * _UNIT + 16


def svg_of(descriptions: Sequence[Description], *, table: bool = True) -> str:
    """One SVG document with one picture below the other.

    It has a title and a description for screen readers, no scripts, and its own colours for
    light and dark where no page gives it any.
    """
    parts: list[str] = []
    top = 12.0
    for description in descriptions:
        lines, top = _svg_parts(description, top, table)
        parts += lines
        top += 20 if table else 4
    # The title's first line is what a screen reader says; the description has all the rest.
    title = "; ".join(description.one_line for description in descriptions)
    words = "\n".join(line for description in descriptions for line in _in_words(description))
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="wsref-bits" role="img" '
            f'width="{_WIDTH}" height="{top:g}" viewBox="0 0 {_WIDTH} {top:g}">',
            f"<title>{escape(title)}</title>",
            f"<desc>{escape(words)}</desc>",
            f"<style>\n{_STYLE}</style>",
            *parts,
            "</svg>",
        ]
    )


def _in_words(description: Description) -> Iterator[str]:
    """For who hears the picture instead of seeing it."""
    for field in description.fields:
        where = f"bits {bit_range(field)}: " if description.kind == "frame" else ""
        yield f"{where}{field.name} {field.value}: {field.meaning}."
    yield from (f"{step.name} {step.value}: {step.meaning}." for step in description.steps)
    yield from (f"Wrong: {problem.text} ({problem.section})." for problem in description.problems)
    if description.missing:
        yield f"Not here yet: {description.missing}."
    yield from description.notes


def _svg_text(x: float, y: float, words: str, classes: str = "", more: str = "") -> str:
    named = f' class="{classes}"' if classes else ""
    return f'<text x="{x:g}" y="{y:g}"{named}{more}>{escape(words)}</text>'


_MIDDLE = ' text-anchor="middle"'
_END = ' text-anchor="end"'


def _svg_parts(description: Description, top: float, table: bool) -> tuple[list[str], float]:
    """The elements of one description, and where they end."""
    parts: list[str] = []
    wrong = {name for problem in description.problems for name in problem.fields}
    for line in wrap(description.title, 90) if table else ():
        top += 20
        parts.append(_svg_text(16, top - 4, line, "title"))
    top += 10 if table else 0
    if description.kind in ("frame", "tls"):
        cells, top = _svg_bits(description, top, wrong)
        parts += cells
        top += 14 if table else 0
    if table:
        for rows in (_svg_fields, _svg_payload, _svg_steps):
            lines, top = rows(description, top, wrong)
            parts += lines
        lines, top = _svg_end(description, top)
        parts += lines
    return parts, top


def _svg_bits(description: Description, top: float, wrong: set[str]) -> tuple[list[str], float]:
    parts: list[str] = []
    rows = bit_rows(description)
    used = max((cell.column + cell.bits for cells in rows for cell in cells), default=ROW)
    for n in range(used):
        parts.append(_svg_text(_LEFT + (n + 0.5) * _UNIT, top + 10, str(n), "mono small soft", _MIDDLE))
    top += 16
    over: list[str] = []  # what is wrong is outlined, above its neighbours' lines
    for number, cells in enumerate(rows):
        narrow = any(cell.bits == 1 for cell in cells)
        height = 68 if narrow else 46
        parts.append(_svg_text(_LEFT - 8, top + 19, str(number * ROW // 8), "mono small soft", _END))
        for cell in cells:
            x, room = _LEFT + cell.column * _UNIT, cell.bits * _UNIT
            bad = cell.field.name in wrong
            hue = _HUES.get(cell.field.name, "payload")
            if all(set(digits) == {"·"} for digits in cell.digits):
                hue = "missing"
            box = f'<rect x="{x}" y="{top:g}" width="{room}" height="{height}"'
            parts.append(f'{box} class="cell {"wrong" if bad else hue}"/>')
            if bad:
                over.append(f'{box} class="outline"/>')
            each = room / len(cell.digits)
            for n, digits in enumerate(cell.digits):
                parts.append(_svg_text(x + (n + 0.5) * each, top + 19, digits, "mono strong", _MIDDLE))
            name = f"({cell.field.name})" if cell.continued else cell.field.name
            if cell.bits == 1:
                turn = f' transform="rotate(-90 {x + 15:g} {top + 60:g})"'
                parts.append(_svg_text(x + 15, top + 60, name, "small", turn))
                continue
            middle = x + room / 2
            parts.append(_svg_text(middle, top + 36, name, "small", _MIDDLE))
            said = cell.field.value if narrow and cell.field.value != cell.field.raw else ""
            if said and not cell.continued:
                for n, line in enumerate(wrap(said, room // 7)[:2]):
                    parts.append(_svg_text(middle, top + 50 + 12 * n, line, "small strong", _MIDDLE))
        top += height
    return parts + over, top


def _svg_fields(description: Description, top: float, wrong: set[str]) -> tuple[list[str], float]:
    """The fields, one below the other; of an HTTP head, where they stand is of no interest."""
    parts: list[str] = []
    framed = description.kind in ("frame", "tls")
    for field in description.fields:
        bad = field.name in wrong
        parts.append(f'<line x1="16" x2="{_WIDTH - 16}" y1="{top:g}" y2="{top:g}" class="rule"/>')
        where = bit_range(field) if framed else ""
        meaning = wrap(field.meaning, 56 if framed else 40)
        values = wrap(field.value, 14 if framed else 28)
        if bad:
            parts.append(_svg_text(16, top + 16, "✗", "alarm"))
        parts.append(_svg_text(30, top + 16, where, "mono small soft"))
        names = wrap(field.name, 26)
        name_x, value_x, meaning_x = (84, 216, 314) if framed else (30, 212, 412)
        for n, line in enumerate(names):
            parts.append(_svg_text(name_x, top + 16 + 16 * n, line, "small strong" if not framed else "strong"))
        for n, line in enumerate(values):
            parts.append(_svg_text(value_x, top + 16 + 16 * n, line, "mono small"))
        for n, line in enumerate(meaning):
            parts.append(_svg_text(meaning_x, top + 16 + 16 * n, line, "small"))
        parts.append(_svg_text(_WIDTH - 16, top + 16, field.section, "small soft", _END))
        top += 7 + 16 * max(len(meaning), len(values), len(names))
    return parts, top + 8


def _svg_payload(description: Description, top: float, wrong: set[str]) -> tuple[list[str], float]:
    parts: list[str] = []
    if description.payload is not None and description.payload.here:
        top += 14
        parts.append(_svg_text(16, top, dump_title(description), "strong"))
        for line in dump(description.payload):
            top += 17
            parts.append(_svg_text(30, top, line, "mono"))
        top += 14
    return parts, top


def _svg_steps(description: Description, top: float, wrong: set[str]) -> tuple[list[str], float]:
    parts: list[str] = []
    for step in description.steps:
        top += 8
        parts.append(_svg_text(30, top + 8, step.name, "strong"))
        for line in wrap(step.value, 66):
            parts.append(_svg_text(212, top + 8, line, "mono small"))
            top += 15
        for line in wrap(f"{step.meaning} ({step.section})", 84):
            parts.append(_svg_text(212, top + 8, line, "small soft"))
            top += 15
    return parts, top + 8


def _svg_end(description: Description, top: float) -> tuple[list[str], float]:
    parts: list[str] = []
    ends = [(f"{p.text} ({p.section}): {p.consequence}", "✗", "alarm") for p in description.problems]
    if description.missing:
        ends.append((f"not here yet: {description.missing}", "…", "strong"))
    ends += [(note, "·", "soft") for note in description.notes]
    for words, mark, classes in ends:
        top += 5
        parts.append(_svg_text(16, top + 12, mark, classes))
        for line in wrap(words, 98):
            parts.append(_svg_text(34, top + 12, line))
            top += 17
    return parts, top


_ROW = "border-top:1px solid rgba(128,128,128,.35);"
_TD = "padding:.25em .7em .25em 0;text-align:left;vertical-align:top;background:transparent;"
_MONO = "font-family:ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace;"


def _html(description: Description) -> str:
    """The picture, and the rest as a table that wraps where the page is narrow."""
    wrong = {name for problem in description.problems for name in problem.fields}
    rows = []
    for field in description.fields:
        mark = '<b style="color:#d4483a">✗</b> ' if field.name in wrong else ""
        rows.append(_html_row(mark, field.name, field.value, field.meaning, field.section))
    rows += [_html_row("", step.name, step.value, step.meaning, step.section) for step in description.steps]
    parts = ['<div style="max-width:52rem;line-height:1.4">']
    parts.append(f'<p style="margin:.6em 0 .3em"><b>{escape(description.title)}</b></p>')
    if description.kind in ("frame", "tls"):  # a narrow page lets the reader scroll it: half as large it is unreadable
        parts.append(f'<div style="overflow-x:auto"><div style="min-width:40rem">{svg_of([description], table=False)}')
        parts.append("</div></div>")
    parts.append(f'<table style="border-collapse:collapse;width:100%;margin:.6em 0;border:0">{"".join(rows)}</table>')
    if description.payload is not None and description.payload.here:
        parts.append(f'<p style="margin:.6em 0 .3em"><b>{escape(dump_title(description))}</b></p>')
        lines = "\n".join(dump(description.payload))
        parts.append(
            f'<pre style="margin:0;overflow-x:auto;background:transparent;color:inherit;{_MONO}">{escape(lines)}</pre>'
        )
    ends = [("✗", f"{p.text} ({p.section}): {p.consequence}") for p in description.problems]
    ends += [("…", f"not here yet: {description.missing}")] if description.missing else []
    ends += [("·", note) for note in description.notes]
    for mark, words in ends:
        tint = "color:#d4483a" if mark == "✗" else ""
        parts.append(f'<p style="margin:.3em 0"><b style="{tint}">{mark}</b> {escape(words)}</p>')
    parts.append("</div>")
    return "\n".join(parts)


def _html_row(mark: str, name: str, value: str, meaning: str, section: str) -> str:
    breaks = "white-space:nowrap" if len(value) <= 12 else "overflow-wrap:anywhere"
    return (
        f'<tr style="{_ROW}background:transparent"><td style="{_TD}white-space:nowrap">{mark}<b>{escape(name)}</b></td>'
        f'<td style="{_TD}{_MONO}{breaks}">{escape(value)}</td>'
        f'<td style="{_TD}width:60%">{escape(meaning)} '
        f'<small style="opacity:.75;white-space:nowrap">{escape(section)}</small>'
        "</td></tr>"
    )
