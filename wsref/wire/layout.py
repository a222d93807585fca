"""What the pictures share: the bits in rows of 32, the payload as a dump, the remarks at the end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from .parts import Field, Parts, Payload
from .words import count

#: Bits in one row of a picture, as in the RFC's.
ROW = 32

#: Bytes.  A payload up to this size is drawn whole; of a longer one, the beginning.
WHOLE_PAYLOAD = 16


# -- The bits, in rows ------------------------------------------------------------


class Cell(NamedTuple):
    """A field, or the part of it that is in one row."""

    field: Field
    column: int  # its first bit in the row
    bits: int
    digits: tuple[str, ...]  # one for each bit, or one for each byte
    continued: bool  # the field began in a row above

    @property
    def label(self) -> str:
        """The field's name; in parentheses where the field continues."""
        return f"({self.field.name})" if self.continued else self.field.name

    @property
    def value(self) -> str:
        """The field's value, if the digits do not show it already; only where the field begins."""
        return "" if self.continued or self.field.value == self.field.raw else self.field.value


def bit_rows(parts: Parts, row_bits: int = ROW) -> list[list[Cell]]:
    """Cut the fields of a frame into rows, with a short payload, or as much of a long one as fills the next row.

    Args:
        parts: Of a frame.
        row_bits: Bits in a row.
    """
    rows: list[list[Cell]] = []
    for field in _with_payload(parts, row_bits):
        digits = _digits(field)
        bits_per_digit = field.bits // len(digits) if digits else 1  # 1 or 8
        at, end = field.start, field.start + field.bits
        while at < end:
            stop = min(end, (at // row_bits + 1) * row_bits)
            part = tuple(digits[(at - field.start) // bits_per_digit : (stop - field.start) // bits_per_digit])
            while len(rows) <= at // row_bits:
                rows.append([])
            rows[at // row_bits].append(Cell(field, at % row_bits, stop - at, part, at > field.start))
            at = stop
    return rows


def _digits(field: Field) -> list[str]:
    """Return the bits or the bytes; a missing one is a dot."""
    if field.bits % 8 or field.start % 8:
        return list(field.raw) + ["·"] * (field.bits - len(field.raw))
    octets = field.raw.split()
    return octets + ["··"] * (field.bits // 8 - len(octets))


def _with_payload(parts: Parts, row_bits: int) -> Iterator[Field]:
    yield from parts.fields
    payload, end = parts.payload, sum(field.bits for field in parts.fields)
    if payload is None or not payload.length:
        return
    drawn = payload.length
    if drawn > WHOLE_PAYLOAD:
        drawn = (-end % row_bits + row_bits) // 8  # the rest of this row, and one more
    name = "payload" if drawn == payload.length else f"payload, {drawn} of {payload.length} bytes"
    received = payload.wire[:drawn]
    yield Field(name, end, drawn * 8, received.hex(" "), "", "", "", (drawn - len(received)) * 8)


def width_in_bits(rows: list[list[Cell]]) -> int:
    """Return how many columns of bits the widest row has."""
    return max((cell.column + cell.bits for cells in rows for cell in cells), default=ROW)


def bit_range(field: Field) -> str:
    """Return the bits of a field, the last one included: ``0``, ``4–7``."""
    return str(field.start) if field.bits == 1 else f"{field.start}–{field.start + field.bits - 1}"


# -- The payload, as a dump ---------------------------------------------------------


def dump_title(parts: Parts) -> str:
    """Return the heading of :func:`dump`; "" if there is nothing to dump."""
    payload = parts.payload
    if payload is None or not payload.received:
        return ""
    if parts.kind != "frame":
        return f"body, {count(payload.received, 'byte')} so far"
    words = f"payload, {count(payload.length, 'byte')}"
    if payload.received < payload.length:
        words += f", {payload.received} of them here"
    if payload.masking_key:
        words += f": masked → unmasked, byte by byte XOR {payload.masking_key.hex(' ')}"
    return words


def dump(payload: Payload | None, *, width: int = 80) -> list[str]:
    """Return a payload in hex and ASCII, masked beside unmasked; the middle of a long one is left out.

    Args:
        payload: To dump; None: no lines.
        width: Columns.  They decide whether a line has 16 bytes, 8 or 4.
    """
    if payload is None:
        return []
    octet = 7 if payload.masking_key else 4  # columns: its hex, perhaps twice, and its letter
    each = next((n for n in (16, 8) if n * octet + 10 <= width and n * octet < 112), 4)
    lines = [_dump_line(payload, at, payload.wire, payload.plain, at, each) for at in range(0, len(payload.wire), each)]
    if payload.wire_end:
        left_out = payload.received - len(payload.wire) - len(payload.wire_end)
        if left_out:
            lines.append(f"      … {count(left_out, 'byte')} …")
        at = payload.received - len(payload.wire_end)
        lines.append(_dump_line(payload, at, payload.wire_end, payload.plain_end, 0, each))
    return lines


def _dump_line(payload: Payload, offset: int, wire: bytes, plain: bytes, at: int, each: int) -> str:
    size = each * 3 - 1
    wire, plain = wire[at : at + each], plain[at : at + each]
    ascii_ = "".join(chr(octet) if 0x20 <= octet < 0x7F else "." for octet in plain)
    left = f"{wire.hex(' '):{size}} → " if payload.masking_key else ""
    return f"{offset:04x}  {left}{plain.hex(' '):{size}}  {ascii_}"


# -- The remarks at the end -----------------------------------------------------------


class Remark(NamedTuple):
    """One remark: its kind is ``problem``, ``missing`` or ``note``."""

    kind: str
    mark: str
    text: str


def remarks(parts: Parts) -> list[Remark]:
    """Return the problems, then what is missing, then the notes."""
    lines = [Remark("problem", "✗", f"{p.text} ({p.section}): {p.consequence}") for p in parts.problems]
    if parts.missing:
        lines.append(Remark("missing", "…", f"not here yet: {parts.missing}"))
    return [*lines, *(Remark("note", "·", note) for note in parts.notes)]
