"""The report for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from ..case import Verdict
from ..runner import Report
from ..verdict import Level, Outcome
from .summary import CHAPTERS, MARKS, Ansi, by_chapter, capabilities_line, conclusion, tally
from .transcript import conversation, frame_to_draw, printable


def table(report: Report, ansi: Ansi) -> Iterator[str]:
    """Yield a line for each chapter: the passed cases, and the played cases."""
    rows = [
        (f"{number:2}  {CHAPTERS[number][0]}", verdicts) for number, verdicts in by_chapter(report.verdicts).items()
    ]
    yield ansi(f"{'chapter':24}{'MUST':>14}{'SHOULD':>14}{'INTEROP':>14}", "1")
    for name, verdicts in [*rows, ("", report.verdicts)] if len(rows) > 1 else rows:
        cells = ""
        for level in Level:
            count = tally(verdicts, level)
            colour = ("31" if level is Level.MUST else "33") if count.failed else "32" if count.passed else "2"
            cells += ansi(f"{count!s:>14}", colour)
        yield f"{name:24}{cells}"


def failure(verdict: Verdict, ansi: Ansi, width: int = 100, *, draw: bool = True) -> Iterator[str]:
    """Yield the lines about a failed case, with a picture of the important frame if there is one."""
    case = verdict.case
    mark, colour = MARKS[verdict.outcome]
    colour = colour if case.level is Level.MUST else "33"
    yield f"{ansi(f'{mark} {case.id}', colour)}  {case.level.value}  {case.section}"
    yield from _wrapped("  ", ansi(case.title, "1"), width)
    rows = [("got", verdict.why), ("expected", verdict.expected), ("rule", f"“{case.quote}”"), ("hint", case.hint)]
    title, page = CHAPTERS[case.chapter]
    rows.append(("read", f"chapter {case.chapter}, {title} (docs/tutorial/{page}.md)"))
    for name, text in rows:
        if text:
            yield from _wrapped(f"    {name:8}  ", printable(text), width)
    if any(verdict.recorded):
        yield ansi("    on the wire", "2")
        yield from ("      " + line for line in conversation(verdict, ansi))
    if draw and case.chapter >= 6 and (drawn := frame_to_draw(verdict)) is not None:
        yield ""
        yield from ("      " + line for line in drawn.text(ansi.colour, max(width - 6, 72)).splitlines())


def _wrapped(begin: str, text: str, width: int) -> list[str]:
    return textwrap.wrap(
        text, width, initial_indent=begin, subsequent_indent=" " * len(begin), break_long_words=False
    ) or [begin]


def one_line(verdict: Verdict, ansi: Ansi) -> str:
    """Return the line of a case for ``-v``."""
    mark, colour = MARKS[verdict.outcome]
    why = f" ({printable(verdict.why)})" if verdict.outcome is Outcome.SKIP else ""
    return (
        f"{ansi(mark, colour)} {verdict.case.id:32} {verdict.case.level.value:8} {verdict.case.title}{ansi(why, '2')}"
    )


def as_text(
    report: Report, ansi: Ansi, *, verbose: bool = False, trace: bool = False, width: int = 100
) -> Iterator[str]:
    """Yield the lines of the report.

    Args:
        verbose: Show a line for every case, and a picture for every failure, not only one for each chapter.
        trace: Show the bytes of every case.
        width: The number of columns.
    """
    yield f"{report.target.url}: {capabilities_line(report)}"
    yield ""
    if verbose or trace:
        for verdict in report.verdicts:
            yield one_line(verdict, ansi)
            if trace:
                yield from ("      " + line for line in conversation(verdict, ansi))
        yield ""
    drawn = set()
    for verdict in sorted(report.failed, key=lambda v: list(Level).index(v.case.level), reverse=True):
        chapter = verdict.case.chapter
        yield from failure(verdict, ansi, width, draw=verbose or chapter not in drawn)
        drawn.add(chapter)
        yield ""
    yield from table(report, ansi)
    yield ""
    bad = report.broke_a_must or bool(report.stopped)
    yield ansi(conclusion(report), "31" if bad else "32")
