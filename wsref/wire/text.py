"""A description drawn for a terminal: the RFC's picture of the bits, a table, a dump of the payload."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .colours import COLOURS, kind_of
from .layout import Cell, bit_range, bit_rows, dump, dump_title, remarks, width_in_bits
from .parts import Field, Parts, Step
from .words import columns, pad, wrap

#: Columns.  32 bits, the lines around them and the table take this many; in fewer, a row has 16 bits.
WIDE = 72
#: Columns.  16 bits and the lines around them take this many.
MIN_WIDTH = 40


def text_of(parts: Parts, *, colour: bool = False, width: int = 80) -> str:
    """Draw a description with characters.

    Args:
        parts: To draw.
        colour: With ANSI colours.
        width: Columns; at least :data:`MIN_WIDTH` are used.
    """
    return "\n".join(_lines(parts, _Pen(colour), max(width, MIN_WIDTH)))


_STYLES = {
    "soft": "2",
    "strong": "1",
    "name": "36",  # of a header line
    "wait": "33",
    **{kind: colour.ansi for kind, colour in COLOURS.items()},
}


class _Pen:
    """Adds colour to text, or leaves it alone."""

    def __init__(self, colour: bool) -> None:
        self.colour = colour

    def __call__(self, text: str, style: str, *, bold: bool = False) -> str:
        if not self.colour or not style or not text.strip():
            return text
        return f"\x1b[{'1;' * bold}{_STYLES[style]}m{text}\x1b[0m"


def _lines(parts: Parts, pen: _Pen, width: int) -> Iterator[str]:
    title = wrap(parts.title, width)
    for line in title:
        yield pen(line, "strong")
    yield pen("─" * max(columns(line) for line in title), "soft")
    if parts.has_bits:
        yield from _bits(parts, pen, 32 if width >= WIDE else 16)
        yield ""
        yield from _table(parts, pen, width) if width >= WIDE else _list(parts, pen, width)
    else:
        for field in parts.fields:
            yield from _entry(field, pen, width, wrong=field.name in parts.wrong_fields)
    if dump_title(parts):
        yield ""
        yield from (pen(line, "strong") for line in wrap(dump_title(parts), width))
        yield from ("  " + line for line in dump(parts.payload, width=width - 2))
    if parts.steps:
        yield ""
        for step in parts.steps:
            yield from _entry(step, pen, width)
    yield from _remarks(parts, pen, width)


# -- The bits -------------------------------------------------------------------------


def _bits(parts: Parts, pen: _Pen, row_bits: int) -> Iterator[str]:
    """Draw the RFC's picture, with the received bits."""
    rows = bit_rows(parts, row_bits)
    used = width_in_bits(rows)
    yield pen("      " + "".join(f"{n // 10 if n % 10 == 0 else ' '} " for n in range(used)).rstrip(), "soft")
    yield pen("      " + "".join(f"{n % 10} " for n in range(used)).rstrip(), "soft")
    above: list[Cell] = []
    for number, cells in enumerate(rows):
        yield "     " + pen(_border(above, cells), "soft")
        inside = [_cell(cell) for cell in cells]
        for n in range(max(len(lines) for lines in inside)):
            margin = f"{number * row_bits // 8:4} " if n == 0 else "     "
            drawn = []
            for cell, lines in zip(cells, inside, strict=True):
                line = lines[n] if n < len(lines) else ""
                kind = "wrong" if cell.field.name in parts.wrong_fields else kind_of(cell.field.name)
                drawn.append(pen(line.center(cell.bits * 2 - 1), kind, bold=n == 0))
            bar = pen("│", "soft")
            yield pen(margin, "soft") + bar + bar.join(drawn) + bar
        above = cells
    yield "     " + pen(_border(above, []), "soft")


def _cell(cell: Cell) -> list[str]:
    """Return the lines of a cell: its digits, each below its bit; the field's name; its value."""
    size = cell.bits * 2 - 1
    if cell.bits == len(cell.digits):
        lines = [" ".join(cell.digits)]
    else:
        lines = [" ".join(digits.center(15) for digits in cell.digits)]
    words = [cell.label]
    if cell.bits > 1 and cell.value:
        words.append(cell.value)
    for word in words:  # in a narrow cell the letters are written from top to bottom, as in the RFC
        lines += [word[n : n + size] for n in range(0, len(word), size)]
    return lines


def _border(above: Sequence[Cell], below: Sequence[Cell]) -> str:
    """Return the line between two rows: a junction wherever a cell ends, above it or below it."""
    ends_above = {0} | {(cell.column + cell.bits) * 2 for cell in above} if above else set()
    ends_below = {0} | {(cell.column + cell.bits) * 2 for cell in below} if below else set()
    last = max(ends_above | ends_below, default=-1)
    return "".join(_JUNCTIONS[at in ends_above, at in ends_below, at > 0, at < last] for at in range(last + 1))


#: (up, down, left, right): the directions in which lines leave the junction.
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


# -- The words --------------------------------------------------------------------------


def _table(parts: Parts, pen: _Pen, width: int) -> Iterator[str]:
    """Draw the fields as a table: bits, field, value, meaning, section."""
    rfc = "RFC 6455" if parts.kind == "frame" else "section"
    rows = [("bits", "field", "value", "meaning", rfc)]
    for f in parts.fields:
        rows.append((bit_range(f), f.name, f.value, f.meaning, f.section.removeprefix(f"{rfc} ")))
    sizes = [max(columns(row[n]) for row in rows) for n in range(5)]
    sizes[3] = width - sum(sizes) + sizes[3] - 10
    for number, (bits, name, value, meaning, section) in enumerate(rows):
        wrong, heading = number > 0 and name in parts.wrong_fields, number == 0
        for n, line in enumerate(wrap(meaning, sizes[3])):
            first = n == 0
            mark = pen("✗ ", "wrong") if wrong and first else "  "
            cells = (
                pen(pad(bits if first else "", sizes[0]), "soft"),
                pen(pad(name if first else "", sizes[1]), "soft" if heading else "wrong" if wrong else kind_of(name)),
                pen(pad(value if first else "", sizes[2]), "soft" if heading else "strong"),
                pen(pad(line, sizes[3]), "soft" if heading else ""),
                pen(section if first else "", "soft"),
            )
            yield (mark + "  ".join(cells)).rstrip()


def _list(parts: Parts, pen: _Pen, width: int) -> Iterator[str]:
    """Draw the fields one below the other, for a narrow terminal."""
    for f in parts.fields:
        wrong = f.name in parts.wrong_fields
        for n, line in enumerate(wrap(f"{bit_range(f)} {f.name}: {f.value}", width - 4)):
            mark = pen("✗ ", "wrong") if wrong and n == 0 else "  "
            yield mark + ("  " if n else "") + pen(line, "wrong" if wrong else kind_of(f.name))
        for line in wrap(f"{f.meaning} ({f.section})", width - 6):
            yield "      " + pen(line, "soft")


def _entry(entry: Field | Step, pen: _Pen, width: int, *, wrong: bool = False) -> Iterator[str]:
    """Draw a line of an HTTP head, or a step: its name and value, and its meaning below it."""
    for n, line in enumerate(wrap(f"{entry.name}: {entry.value}", width - 4)):
        mark = pen("✗ ", "wrong") if wrong and n == 0 else "  "
        name, colon, value = line.partition(": ") if n == 0 else ("", "", line)
        yield mark + ("  " if n else "") + pen(name + colon, "wrong" if wrong else "name") + pen(value, "strong")
    if entry.meaning:
        for line in wrap(f"{entry.meaning} ({entry.section})", width - 6):
            yield "      " + pen(line, "soft")


_REMARK_STYLES = {"problem": "wrong", "missing": "wait", "note": "soft"}


def _remarks(parts: Parts, pen: _Pen, width: int) -> Iterator[str]:
    for number, (kind, mark, text) in enumerate(remarks(parts)):
        if number == 0:
            yield ""
        for n, line in enumerate(wrap(text, width - 2)):
            margin = pen(f"{mark} " if n == 0 else "  ", _REMARK_STYLES[kind])
            yield margin + pen(line, "wrong" if kind == "problem" else "")
