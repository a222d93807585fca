"""The files of a chapter: the solutions, the stubs made from them, and the learner's.

A stub is a solution without its body, so the two cannot disagree.
"""

from __future__ import annotations

import ast
import importlib.resources
import re
from pathlib import Path

CHAPTERS = range(12)

Definition = ast.FunctionDef | ast.ClassDef


def path_of(chapter: int) -> Path:
    """Return the learner's file of a chapter, in the current folder."""
    return Path(f"exercise_{chapter:02}.py")


def solution_of(chapter: int) -> str:
    """Return the file with the solutions of a chapter."""
    solutions = importlib.resources.files(__package__).joinpath("solutions")
    return solutions.joinpath(f"ch{chapter:02}.py").read_text("utf-8")


def title_of(chapter: int) -> str:
    """Return the title of a chapter.

    >>> title_of(3)
    'validation'
    """
    return solution_of(chapter).partition(": ")[2].partition(".\n")[0]


def definitions(source: str | bytes) -> dict[str, Definition]:
    """Return the functions and classes of a file: in a file of solutions, the exercises.

    A definition that a later line replaces is left out: ``header_size = mine``, or an import.
    """
    found: dict[str, Definition] = {}
    for node in ast.parse(source).body:
        if isinstance(node, Definition):
            found[node.name] = node
        else:
            found = {name: definition for name, definition in found.items() if name not in _names_bound_by(node)}
    return found


def _names_bound_by(statement: ast.stmt) -> set[str]:
    """Return the names that a statement assigns, imports or defines."""
    nodes = list(ast.walk(statement))
    assigned = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    imported = {node.asname or node.name for node in nodes if isinstance(node, ast.alias)}
    return assigned | imported | {node.name for node in nodes if isinstance(node, Definition)}


def stub_of(chapter: int) -> str:
    """Return the solutions without their bodies, and without the imports that only the bodies need."""
    source = solution_of(chapter)
    lines = dict(enumerate(source.splitlines(), 1))
    for node in definitions(source).values():
        for function in [node] if isinstance(node, ast.FunctionDef) else node.body:
            if isinstance(function, ast.FunctionDef):
                end = function.body[0].end_lineno or 0  # of the docstring
                for n in range(end + 1, (function.end_lineno or 0) + 1):
                    del lines[n]
                lines[end] += f"\n{' ' * function.body[0].col_offset}...  # your code here"
    names = {node.id for node in ast.walk(ast.parse("\n".join(lines.values()))) if isinstance(node, ast.Name)}
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            statement.names = [alias for alias in statement.names if alias.name in names]
            lines[statement.lineno] = ast.unparse(statement) if statement.names else ""
    text = re.sub(r"\n{4,}", "\n\n\n", "\n".join(lines.values()))
    return re.sub(r"\n{3,}(import|from)", r"\n\n\1", text) + "\n"
