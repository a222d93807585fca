"""Shows the change that a chapter makes to the server, read from the programs."""

from __future__ import annotations

import ast
import difflib
import functools
import re
from pathlib import Path
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


def with_place(hunk: str, step: int) -> str:
    r"""Return a piece with the function or class of its first changed line after ``@@``, as Git writes it.

    >>> with_place(hunks(2)[1], 2).partition("\n")[0]
    '@@ -37,4 +37,6 @@ in Handler.handle'
    """
    head, _, body = hunk.partition("\n")
    found = re.search(r"\+(\d+)", head)
    line = int(found[1]) if found else 0
    for text in body.split("\n"):
        if text.startswith(("+", "-")) and text[1:].strip():
            break
        line += 1
    place = place_of(step, line)
    if any(first == line for first, _, _ in _places(step)):  # a new function: its class is the place
        place = place.rpartition(".")[0]
    return f"{head} in {place}\n{body}" if place else hunk


@functools.cache
def _places(step: int) -> list[tuple[int, int, str]]:
    """Return the first line, the last line and the name of each class and function of a program."""
    from wsref.steps import source_of

    found: list[tuple[int, int, str]] = []

    def collect(parent: ast.AST, prefix: str) -> None:
        for node in ast.iter_child_nodes(parent):
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                found.append((node.lineno, node.end_lineno or node.lineno, prefix + node.name))
                collect(node, f"{prefix}{node.name}.")

    collect(ast.parse(source_of(step)), "")
    return found


def place_of(step: int, line: int) -> str:
    """Return the innermost class or function of a program around a line; "" at the top of the file.

    >>> place_of(2, 1), place_of(2, 40)
    ('', 'Handler.handle')
    """
    around = [name for first, last, name in _places(step) if first <= line <= last]
    return around[-1] if around else ""


def new_lines(step: int) -> set[int]:
    """Return the lines of a program, from 1, that the program before it does not have."""
    from wsref.steps import source_of

    old, new = (source_of(number).splitlines() for number in (step - 1, step))
    changes = difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    return {line for kind, _, _, start, end in changes if kind != "equal" for line in range(start + 1, end + 1)}


def mark_new(app: Any, doctree: nodes.document) -> None:
    """In a chapter, say where the code of its program is, and mark its new lines."""
    from wsref.steps import source_of

    found = re.match(r"tutorial/(\d+)-", app.env.docname)
    if not found:
        return
    for block in list(doctree.findall(nodes.literal_block)):
        source = Path(block.get("source") or "")
        match = re.match(r"step(\d+)_\w+\.py$", source.name)
        captioned = isinstance(block.parent, nodes.container) and block.parent.get("literal_block")
        if not match or block.get("language") == "diff" or int(match[1]) != int(found[1]):
            continue
        step, lines = int(match[1]), [line.strip() for line in block.astext().splitlines()]
        whole = [line.strip() for line in source_of(step).splitlines()]
        starts = [n for n in range(len(whole)) if whole[n : n + len(lines)] == lines]
        if len(starts) != 1:
            continue
        (start,) = starts
        new = [n + 1 for n, line in enumerate(lines) if step > 1 and line and start + n + 1 in new_lines(step)]
        place = f"{source.name}, from line {start + 1}"
        news = ""
        if new and len(new) < sum(map(bool, lines)):
            block["highlight_args"] = {**block.get("highlight_args", {}), "hl_lines": new}
            news = "; the marked lines are new"
        elif new:
            news = "; new"
        if captioned:
            block.parent[0].insert(0, nodes.Text(f"{place}: "))
            block.parent[0].append(nodes.Text(news))
        else:
            wrapper = nodes.container("", literal_block=True, classes=["literal-block-wrapper"])
            block.replace_self(wrapper)
            wrapper += nodes.caption("", place + news)
            wrapper += block
            doctree.note_implicit_target(wrapper)


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
        text = "\n".join(
            with_place(pieces[number], step) for number in chosen(self.options.get("pieces", ""), len(pieces))
        )
        block: nodes.Element = nodes.literal_block(text, text, language="diff")
        from wsref.steps import path_of

        caption = path_of(step).name + (f": {self.options['caption']}" if "caption" in self.options else "")
        block = container_wrapper(self, block, caption)
        return [block]


def setup(app: Any) -> None:
    """Register the directive, and the marks of new lines."""
    app.connect("doctree-read", mark_new)
    app.add_directive("step-diff", StepDiff)
