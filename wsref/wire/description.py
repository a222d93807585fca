"""What some bytes are: a description that draws itself, as text, SVG or HTML."""

from __future__ import annotations

from dataclasses import dataclass

from .html import html_of
from .parts import Parts
from .svg import svg_of
from .text import text_of


@dataclass(frozen=True, slots=True)
class Description(Parts):
    """What a frame, an HTTP head or the beginning of another protocol means.

    Attributes: see :class:`~wsref.wire.parts.Parts`.
    """

    def text(self, colour: bool = False, width: int = 80) -> str:
        """Return a picture for a terminal.

        Args:
            colour: With ANSI colours.
            width: Columns; at least 40 are used.
        """
        return text_of(self, colour=colour, width=width)

    def svg(self, *, table: bool = True, narrow: bool = False) -> str:
        """Return a picture for a page or a file: without scripts, for light and dark.

        Args:
            table: With a title above the bits, and the fields, the payload and the problems below.
            narrow: Half as wide, 16 bits in a row, for a phone.
        """
        return svg_of([self], table=table, narrow=narrow)

    def _repr_html_(self) -> str:
        """Notebooks call this."""
        return html_of(self)
