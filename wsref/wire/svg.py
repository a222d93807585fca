"""A description drawn as SVG, for a page or a file: the bits as boxes, the rest as lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import NamedTuple

from .colours import COLOURS, kind_of
from .layout import ROW, Cell, bit_range, bit_rows, dump, dump_title, remarks, width_in_bits
from .parts import Parts
from .words import wrap

# Lines and letters have the colour of the surrounding text (currentColor), and fills are
# transparent: so the picture fits a light page and a dark one.  Opened as a file or shown as an
# <img> it has no surroundings: there it is :root, and chooses its colours by itself.
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
.wsref-bits .missing { fill: none; stroke-dasharray: 3 3; }
"""
_STYLE += "".join(
    f".wsref-bits .{kind} {{ fill: {colour.css}; fill-opacity: .22; }}\n" for kind, colour in COLOURS.items()
)
_STYLE += f"""\
.wsref-bits .outline {{ fill: none; stroke: {COLOURS["wrong"].css}; stroke-width: 2; }}
.wsref-bits .alarm {{ fill: {COLOURS["wrong"].css}; font-weight: 700; }}
"""

_UNIT = 22  # pixels: the width of one bit
_LEFT = 40


class _Sheet(NamedTuple):
    """What a picture is drawn on: as wide as 32 bits, or as 16, for a phone."""

    bits: int
    table: bool  # with a title above the bits, and the fields, the payload and the problems below

    @property
    def width(self) -> int:
        """In pixels."""
        return _LEFT + self.bits * _UNIT + 16

    @property
    def is_narrow(self) -> bool:
        return self.bits < ROW


_MIDDLE = ' text-anchor="middle"'
_END = ' text-anchor="end"'


def svg_of(descriptions: Sequence[Parts], *, table: bool = True, narrow: bool = False) -> str:
    """Draw descriptions below each other, in one SVG document.

    It has a title and a description for screen readers, no scripts, and its own colours
    for light and dark in case no page surrounds it.

    Args:
        descriptions: In order.
        table: With a title above the bits, and the fields, the payload and the problems below.
        narrow: Half as wide, 16 bits in a row, for a phone.
    """
    sheet = _Sheet(ROW // 2 if narrow else ROW, table)
    elements: list[str] = []
    top = 12.0
    for parts in descriptions:
        drawn, top = _draw(parts, top, sheet)
        elements += drawn
        top += 20 if table else 4
    # A screen reader reads the title aloud, and the description on request.
    title = "; ".join(parts.one_line for parts in descriptions)
    words = "\n".join(line for parts in descriptions for line in _spoken(parts))
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="wsref-bits" role="img" '
            f'width="{sheet.width}" height="{top:g}" viewBox="0 0 {sheet.width} {top:g}">',
            f"<title>{escape(title)}</title>",
            f"<desc>{escape(words)}</desc>",
            f"<style>\n{_STYLE}</style>",
            *elements,
            "</svg>",
        ]
    )


def _spoken(parts: Parts) -> Iterator[str]:
    """Say the picture in sentences, for a screen reader."""
    for field in parts.fields:
        where = f"bits {bit_range(field)}: " if parts.kind == "frame" else ""
        yield f"{where}{field.name} {field.value}: {field.meaning}."
    yield from (f"{step.name} {step.value}: {step.meaning}." for step in parts.steps)
    yield from (f"Wrong: {problem.text} ({problem.section})." for problem in parts.problems)
    if parts.missing:
        yield f"Not here yet: {parts.missing}."
    yield from parts.notes


def _text(x: float, y: float, words: str, classes: str = "", attributes: str = "") -> str:
    named = f' class="{classes}"' if classes else ""
    return f'<text x="{x:g}" y="{y:g}"{named}{attributes}>{escape(words)}</text>'


# Each function below returns the elements that it draws from ``top`` on, and where they end.


def _draw(parts: Parts, top: float, sheet: _Sheet) -> tuple[list[str], float]:
    elements: list[str] = []
    for line in wrap(parts.title, 42 if sheet.is_narrow else 90) if sheet.table else ():
        top += 20
        elements.append(_text(16, top - 4, line, "title"))
    top += 10 if sheet.table else 0
    if parts.has_bits:
        cells, top = _bits(parts, top, sheet)
        elements += cells
        top += 14 if sheet.table else 0
    fields = _narrow_fields if sheet.is_narrow else _fields
    for draw in (fields, _payload, _steps, _remarks) if sheet.table else ():
        drawn, top = draw(parts, top, sheet)
        elements += drawn
    return elements, top


def _bits(parts: Parts, top: float, sheet: _Sheet) -> tuple[list[str], float]:
    rows = bit_rows(parts, sheet.bits)
    elements = [
        _text(_LEFT + (n + 0.5) * _UNIT, top + 10, str(n), "mono small soft", _MIDDLE)
        for n in range(width_in_bits(rows))
    ]
    outlines: list[str] = []  # of wrong fields: drawn last, over the lines of their neighbours
    top += 16
    for number, cells in enumerate(rows):
        one_bit = any(cell.bits == 1 for cell in cells)
        height = 68 if one_bit else 46
        elements.append(_text(_LEFT - 8, top + 19, str(number * sheet.bits // 8), "mono small soft", _END))
        for cell in cells:
            box = f'<rect x="{_LEFT + cell.column * _UNIT}" y="{top:g}" width="{cell.bits * _UNIT}" height="{height}"'
            wrong = cell.field.name in parts.wrong_fields
            elements.append(f'{box} class="cell {"wrong" if wrong else _hue(cell)}"/>')
            if wrong:
                outlines.append(f'{box} class="outline"/>')
            elements += _cell(cell, top, with_value=one_bit)
        top += height
    return elements + outlines, top


def _hue(cell: Cell) -> str:
    if all(set(digits) == {"·"} for digits in cell.digits):
        return "missing"
    return kind_of(cell.field.name)


def _cell(cell: Cell, top: float, *, with_value: bool) -> list[str]:
    """Return the words inside a cell: the digits, the field's name, its value."""
    x, size = _LEFT + cell.column * _UNIT, cell.bits * _UNIT
    each, middle = size / len(cell.digits), x + size / 2
    words = [
        _text(x + (n + 0.5) * each, top + 19, digits, "mono strong", _MIDDLE) for n, digits in enumerate(cell.digits)
    ]
    if cell.bits == 1:
        turn = f' transform="rotate(-90 {x + 15:g} {top + 60:g})"'
        return [*words, _text(x + 15, top + 60, cell.label, "small", turn)]
    words.append(_text(middle, top + 36, cell.label, "small", _MIDDLE))
    if with_value and cell.value:
        for n, line in enumerate(wrap(cell.value, size // 7)[:2]):
            words.append(_text(middle, top + 50 + 12 * n, line, "small strong", _MIDDLE))
    return words


def _fields(parts: Parts, top: float, sheet: _Sheet) -> tuple[list[str], float]:
    """The fields, below each other; bit numbers only where bits are drawn."""
    elements: list[str] = []
    for field in parts.fields:
        elements.append(f'<line x1="16" x2="{sheet.width - 16}" y1="{top:g}" y2="{top:g}" class="rule"/>')
        names = wrap(field.name, 26)
        values = wrap(field.value, 14 if parts.has_bits else 28)
        meaning = wrap(field.meaning, 56 if parts.has_bits else 40)
        name_x, value_x, meaning_x = (84, 216, 314) if parts.has_bits else (30, 212, 412)
        if field.name in parts.wrong_fields:
            elements.append(_text(16, top + 16, "✗", "alarm"))
        if parts.has_bits:
            elements.append(_text(30, top + 16, bit_range(field), "mono small soft"))
        for x, lines, classes in (
            (name_x, names, "strong" if parts.has_bits else "small strong"),
            (value_x, values, "mono small"),
            (meaning_x, meaning, "small"),
        ):
            elements += [_text(x, top + 16 + 16 * n, line, classes) for n, line in enumerate(lines)]
        elements.append(_text(sheet.width - 16, top + 16, field.section, "small soft", _END))
        top += 7 + 16 * max(len(meaning), len(values), len(names))
    return elements, top + 8


def _narrow_fields(parts: Parts, top: float, sheet: _Sheet) -> tuple[list[str], float]:
    """The same in one column."""
    elements: list[str] = []
    for field in parts.fields:
        elements.append(f'<line x1="16" x2="{sheet.width - 16}" y1="{top:g}" y2="{top:g}" class="rule"/>')
        if field.name in parts.wrong_fields:
            elements.append(_text(16, top + 16, "✗", "alarm"))
        elements.append(_text(30, top + 16, field.name, "strong"))
        elements.append(_text(sheet.width - 16, top + 16, field.section, "small soft", _END))
        lines = [(line, "mono small") for line in wrap(field.value, 54)]
        if max(len(field.name), len(field.value)) <= 14:  # both in one line
            elements.append(_text(150, top + 16, field.value, "mono small"))
            lines = []
        lines += [(line, "small") for line in wrap(field.meaning, 56)]
        for line, classes in lines:
            top += 16
            elements.append(_text(30, top + 16, line, classes))
        top += 23
    return elements, top + 8


def _payload(parts: Parts, top: float, sheet: _Sheet) -> tuple[list[str], float]:
    if not dump_title(parts):
        return [], top
    elements: list[str] = []
    top -= 3
    for line in wrap(dump_title(parts), 48 if sheet.is_narrow else 95):
        top += 17
        elements.append(_text(16, top, line, "strong"))
    for line in dump(parts.payload, width=sheet.width // 9):
        top += 17
        elements.append(_text(30, top, line, "mono"))
    return elements, top + 14


def _steps(parts: Parts, top: float, sheet: _Sheet) -> tuple[list[str], float]:
    elements: list[str] = []
    for step in parts.steps:
        top += 8
        elements.append(_text(30, top + 8, step.name, "strong"))
        top += 15 if sheet.is_narrow else 0
        lines = [(line, "mono small") for line in wrap(step.value, 54 if sheet.is_narrow else 66)]
        lines += [
            (line, "small soft") for line in wrap(f"{step.meaning} ({step.section})", 58 if sheet.is_narrow else 84)
        ]
        for line, classes in lines:
            elements.append(_text(30 if sheet.is_narrow else 212, top + 8, line, classes))
            top += 15
    return elements, top + 8


_REMARK_CLASSES = {"problem": "alarm", "missing": "strong", "note": "soft"}


def _remarks(parts: Parts, top: float, sheet: _Sheet) -> tuple[list[str], float]:
    elements: list[str] = []
    for kind, mark, text in remarks(parts):
        top += 5
        elements.append(_text(16, top + 12, mark, _REMARK_CLASSES[kind]))
        for line in wrap(text, 50 if sheet.is_narrow else 98):
            elements.append(_text(34, top + 12, line))
            top += 17
    return elements, top
