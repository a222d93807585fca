"""The colour of each kind of field: one table for the terminal, SVG, HTML, the page and the mark."""

from __future__ import annotations

from typing import NamedTuple


class Colour(NamedTuple):
    """One colour, as CSS and as a terminal write it."""

    css: str
    ansi: str  # the parameter of ESC [ ... m


#: The kinds of fields, and ``wrong`` for a field that breaks a rule.
COLOURS = {
    "flag": Colour("#8a8f98", "39"),
    "opcode": Colour("#1b8aa6", "36"),
    "mask": Colour("#c98a1b", "33"),
    "length": Colour("#4f9d57", "32"),
    "payload": Colour("#8a6fc0", "35"),
    "wrong": Colour("#d4483a", "31"),
}

_KINDS = {
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


def kind_of(field: str) -> str:
    """Return the kind of the field with this name, a key of :data:`COLOURS`."""
    return _KINDS.get(field, "payload")
