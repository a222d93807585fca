"""A rule of an RFC, and the cases that test it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .case import Case, Play
from .verdict import Level

#: A case of a rule: id, title, play, and the hint if the case has its own.
Row = tuple[str, str, Play] | tuple[str, str, Play, str]


@dataclass(frozen=True)
class Rule:
    """One rule, and the cases that differ in what they send or in the answers that they accept.

    Attributes:
        level, section, quote: As for a :class:`~wsref.check.case.Case`.
        hint: As for a case; for the rows that have none.
        cases: The rows.
    """

    level: Level
    section: str
    quote: str
    hint: str = ""
    cases: Sequence[Row] = ()


def cases_of(*rules: Rule) -> tuple[Case, ...]:
    """Return the cases of these rules, in order."""
    return tuple(
        Case(row[0], rule.level, rule.section, row[1], rule.quote, row[2], row[3] if len(row) == 4 else rule.hint)
        for rule in rules
        for row in rule.cases
    )
