"""A rule of an RFC, and the cases that test it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

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


AnyRule = TypeVar("AnyRule", bound=Rule)


def with_rules(rows: Iterable[AnyRule | Row]) -> Iterator[tuple[AnyRule, Row]]:
    """Yield each row of a table with its rule.  A table is a rule, then the rows that test it, then the next rule."""
    for row in rows:
        if isinstance(row, Rule):
            rule = row
        else:
            yield rule, row


def case_fields(rule: Rule, row: Row) -> tuple[str, Level, str, str, str, Play, str]:
    """Return the fields of a case, in order."""
    name, title, play, hint = (*row, rule.hint)[:4]
    return name, rule.level, rule.section, title, rule.quote, play, hint


def cases_of(*rows: Rule | Row) -> tuple[Case, ...]:
    """Return the cases of a table."""
    return tuple(Case(*case_fields(rule, row)) for rule, row in with_rules(rows))
