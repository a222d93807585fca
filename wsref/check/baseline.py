"""A baseline: the known failures of a server, in a file that people read and edit.

A line is an id, then the reason.  Empty lines, and lines that begin with ``#``, are comments::

    # known failures; a case that is not listed here must pass
    3.key.short           we accept any key until release 2
    9.window.server-8     SHOULD: CLOSE 1002

With a baseline, ``check`` fails only if another case fails.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from .cases import CASES, LARGE_CASES
from .clients.cases import CLIENT_CASES
from .runner import Report
from .verdict import Outcome

#: All cases that a baseline may name.
EVERY = (*CASES, *LARGE_CASES, *CLIENT_CASES)

HEAD = """\
# Known failures of {url}, for: python -m wsref check --baseline FILE
# One id a line, then the reason.  Write your own reasons: --write-baseline keeps them.
"""


def nearest(name: str) -> str:
    """Return the id of a case that resembles this one; "": none does.

    >>> nearest("6.lenght.126"), nearest("x")
    ('6.length.126', '')
    """
    return next(iter(get_close_matches(name, [case.id for case in EVERY], 1)), "")


def parse(lines: Iterable[str]) -> dict[str, str]:
    """Parse the lines of a baseline.

    Returns:
        Id to reason, in the order of the lines.
    Raises:
        ValueError: A line has an unknown id, or an id that an earlier line has.

    >>> parse(["# known", "", "6.length.126   off by one  "])
    {'6.length.126': 'off by one'}
    >>> parse(["6.lenght.126"])
    Traceback (most recent call last):
        ...
    ValueError: line 1: no case is called '6.lenght.126'; the nearest id is 6.length.126
    """
    ids, known = {case.id for case in EVERY}, dict[str, str]()
    for number, line in enumerate(lines, 1):
        name, reason = [*line.split(None, 1), "", ""][:2]
        if not name or name.startswith("#"):
            continue
        if name not in ids:
            advice = f"the nearest id is {near}" if (near := nearest(name)) else "check --list lists all ids"
            raise ValueError(f"line {number}: no case is called {name!a}; {advice}")
        if name in known:
            raise ValueError(f"line {number}: {name} is already in an earlier line")
        known[name] = reason.strip()
    return known


def as_lines(report: Report, before: Mapping[str, str]) -> str:
    """Return the baseline of a report.

    Args:
        before: The baseline to replace.  It keeps the reasons of cases that fail again, and the
            lines of cases that this run did not play.
    """
    reasons = {case.id: before[case.id] for case in EVERY if case.id in before}
    for verdict in report.verdicts:
        if verdict.outcome is Outcome.PASS:
            reasons.pop(verdict.case.id, None)
        elif verdict.outcome is Outcome.FAIL and not reasons.get(verdict.case.id):
            reasons[verdict.case.id] = f"{verdict.case.level.value}: {verdict.why}"
    width = max(map(len, reasons), default=0)
    lines = [f"{case.id:{width}}  {reasons[case.id]}".rstrip() for case in EVERY if case.id in reasons]
    return HEAD.format(url=report.subject) + "".join(line + "\n" for line in lines)
