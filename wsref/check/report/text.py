"""The report for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from ..case import Verdict
from ..runner import Report
from ..verdict import Level, Outcome
from .summary import CHAPTERS, MARKS, Pen, by_chapter, conclusion, tally, what_was_found
from .transcript import conversation, printable, to_draw


def table(report: Report, pen: Pen) -> Iterator[str]:
    """A line for each chapter: how many passed, of how many that could be played."""
    rows = [
        (f"{number:2}  {CHAPTERS[number][0]}", verdicts) for number, verdicts in by_chapter(report.verdicts).items()
    ]
    yield pen(f"{'chapter':24}{'MUST':>14}{'SHOULD':>14}{'INTEROP':>14}", "1")
    for name, verdicts in [*rows, ("", report.verdicts)] if len(rows) > 1 else rows:
        cells = ""
        for level in Level:
            count = tally(verdicts, level)
            colour = ("31" if level is Level.MUST else "33") if count.failed else "32" if count.passed else "2"
            cells += pen(f"{count!s:>14}", colour)
        yield f"{name:24}{cells}"


def failure(verdict: Verdict, pen: Pen, width: int = 100, *, draw: bool = True) -> Iterator[str]:
    """All about a case that failed; with a picture of the frame that matters, if there is one."""
    case = verdict.case
    mark, colour = MARKS[verdict.outcome]
    colour = colour if case.level is Level.MUST else "33"
    yield f"{pen(f'{mark} {case.id}', colour)}  {case.level.value}  {case.section}"
    yield from _wrapped("  ", pen(case.title, "1"), width)
    rows = [("got", verdict.why), ("expected", verdict.expected), ("rule", f"“{case.quote}”"), ("hint", case.hint)]
    title, page = CHAPTERS[case.chapter]
    rows.append(("read", f"chapter {case.chapter}, {title} (docs/tutorial/{page}.md)"))
    for name, text in rows:
        if text:
            yield from _wrapped(f"    {name:8}  ", printable(text), width)
    if any(verdict.wire):
        yield pen("    on the wire", "2")
        yield from ("      " + line for line in conversation(verdict, pen))
    if draw and case.chapter >= 6 and (drawn := to_draw(verdict)) is not None:
        yield ""
        yield from ("      " + line for line in drawn.text(pen.colour, max(width - 6, 72)).splitlines())


def _wrapped(begin: str, text: str, width: int) -> list[str]:
    return textwrap.wrap(
        text, width, initial_indent=begin, subsequent_indent=" " * len(begin), break_long_words=False
    ) or [begin]


def one_line(verdict: Verdict, pen: Pen) -> str:
    """For ``-v``: a case in a line."""
    mark, colour = MARKS[verdict.outcome]
    why = f" ({printable(verdict.why)})" if verdict.outcome is Outcome.SKIP else ""
    return f"{pen(mark, colour)} {verdict.case.id:32} {verdict.case.level.value:8} {verdict.case.title}{pen(why, '2')}"


def as_text(report: Report, pen: Pen, *, verbose: bool = False, trace: bool = False, width: int = 100) -> Iterator[str]:
    """The report, line by line.

    Args:
        verbose: With a line for every case, and a picture for every failure (else one a chapter).
        trace: With all that passed on the wire, for every case.
        width: Columns.
    """
    yield f"{report.target.url}: {what_was_found(report)}"
    yield ""
    if verbose or trace:
        for verdict in report.verdicts:
            yield one_line(verdict, pen)
            if trace:
                yield from ("      " + line for line in conversation(verdict, pen))
        yield ""
    drawn = set()
    for verdict in sorted(report.failed, key=lambda v: list(Level).index(v.case.level), reverse=True):
        chapter = verdict.case.chapter
        yield from failure(verdict, pen, width, draw=verbose or chapter not in drawn)
        drawn.add(chapter)
        yield ""
    yield from table(report, pen)
    yield ""
    bad = report.broke_a_must or bool(report.stopped)
    yield pen(conclusion(report), "31" if bad else "32")
