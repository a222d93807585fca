"""Shows the change that a chapter makes to the server, read from the programs."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.directives.code import container_wrapper
from sphinx.util.docutils import SphinxDirective

from . import runner  # noqa: F401  (it makes this checkout's wsref the one that is imported)


def hunks(step: int) -> list[str]:
    """Return the pieces of a chapter's change, each with its place and two unchanged lines around it.

    >>> [piece.partition(" @@")[0] for piece in hunks(2)]
    ['@@ -1,3 +1,3', '@@ -37,4 +37,6', '@@ -68,4 +70,13']
    """
    from wsref.steps import diff_of

    return [f"@@{piece}".rstrip("\n") for piece in re.split(r"^@@", diff_of(step, context=2), flags=re.M)[1:]]


def chosen(text: str, count: int) -> list[int]:
    """Return the indices of the chosen pieces: numbers from 1, and ranges.

    >>> chosen("1 3-5", 6)
    [0, 2, 3, 4]
    >>> chosen("", 2)
    [0, 1]
    """
    if not text.strip():
        return list(range(count))
    numbers: list[int] = []
    for word in text.split():
        first, _, last = word.partition("-")
        numbers += range(int(first) - 1, int(last or first))
    if not all(0 <= number < count for number in numbers):
        raise ValueError(f"there are the pieces 1 to {count}, not {text}")
    return numbers


class StepDiff(SphinxDirective):
    """Show the change of a chapter, or some pieces of it::

    ```{step-diff} 6
    :pieces: 2-3
    :caption: step06_frames.py: the loop
    ```
    """

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {"pieces": directives.unchanged, "caption": directives.unchanged}

    def run(self) -> list[nodes.Node]:
        """Return a block of code in the language of diffs."""
        step = int(self.arguments[0])
        pieces = hunks(step)
        text = "\n".join(pieces[number] for number in chosen(self.options.get("pieces", ""), len(pieces)))
        block: nodes.Element = nodes.literal_block(text, text, language="diff")
        if "caption" in self.options:
            block = container_wrapper(self, block, self.options["caption"])
        return [block]


def setup(app: Any) -> None:
    """Register the directive."""
    app.add_directive("step-diff", StepDiff)
