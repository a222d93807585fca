"""A rule of an RFC, and the cases that test it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .case import Case, Play
from .verdict import Level

#: A case of a rule: id, title, play, and the hint if the case has its own.
Row = tuple[str, str, Play] | tuple[str, str, Play, str]


@dataclass(frozen=True)
class Rule:
    """One rule.

    Attributes:
        level, section, quote: As for a :class:`~wsref.check.case.Case`.
        hint: As for a case; for the rows that have none.
    """

    level: Level
    section: str
    quote: str
    hint: str = ""


def cases_of(*rows: Rule | Row) -> tuple[Case, ...]:
    """Return the cases of a table: a rule, then the rows that test it, then the next rule."""
    return tuple(_cases(rows))


def _cases(rows: tuple[Rule | Row, ...]) -> Iterator[Case]:
    for row in rows:
        if isinstance(row, Rule):
            rule = row
        else:
            name, title, play, hint = (*row, rule.hint)[:4]
            yield Case(name, rule.level, rule.section, title, rule.quote, play, hint)
