"""The directive ``walk``: the code that one connection runs, each piece with a link to its place."""

from __future__ import annotations

import textwrap
from typing import Any

from docutils import nodes

from . import walk
from .musts import Traced
from .runner import ROOT


class Walk(Traced):
    """The pieces of one part of :data:`wsbook.walk.PARTS`."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return a block of code for each piece."""
        made: list[nodes.Node] = []
        for piece in walk.pieces():
            if piece.part != self.arguments[0]:
                continue
            code = textwrap.dedent(piece.code)
            where = f"{piece.path.relative_to(ROOT / 'wsref')}: {piece.name}"
            block = nodes.container("", literal_block=True, classes=["literal-block-wrapper"])
            block += nodes.caption("", "", self.link((piece.path, piece.line), nodes.Text(where)))
            block += nodes.literal_block(code, code, language="python")
            made.append(block)
        if not made:
            raise self.error(f"walk: nothing runs in {self.arguments[0]!r}")
        return made


def setup(app: Any) -> None:
    """Register the directive."""
    app.add_directive("walk", Walk)
