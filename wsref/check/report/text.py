"""The report for a terminal."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..case import Verdict
from ..codec import printable
from ..runner import Report
from ..verdict import Level, Outcome
from .causes import REFUSED_OPENING, RULE, causes
from .summary import CHAPTERS, MARKS, Ansi, by_chapter, capabilities_line, conclusion, in_words, plural, tally, unplayed
from .transcript import conversation, frame_to_draw


@dataclass(frozen=True)
class Style:
    """How much to show.

    Attributes:
        every_failure: Show each failure in full, not only one for each cause.
        verbose: Show a line for every case, and each cause in full, with its picture.
        trace: Show the bytes of every case.
        width: The number of columns.
    """

    every_failure: bool = False
    verbose: bool = False
    trace: bool = False
    width: int = 100


def table(report: Report, ansi: Ansi) -> Iterator[str]:
    """Yield a line for each chapter: the passed cases, and the played cases."""
    rows = [
        (f"{number:2}  {CHAPTERS[number][0]}", verdicts) for number, verdicts in by_chapter(report.verdicts).items()
    ]
    yield ansi(f"{'chapter':22}{'MUST':>13}{'SHOULD':>13}{'INTEROP':>13}", "1")
    for name, verdicts in [*rows, ("", report.verdicts)] if len(rows) > 1 else rows:
        cells = ""
        for level in Level:
            count = tally(verdicts, level)
            colour = ("31" if level is Level.MUST else "33") if count.failed else "32" if count.is_green else "2"
            cells += ansi(f"{count!s:>13}", colour)
        count = tally(verdicts)
        yield f"{name:22}{cells}   {ansi(count.words, '' if count.played == count.all else '33')}"


def in_short(verdict: Verdict, ansi: Ansi, width: int = 100, *rows: str) -> Iterator[str]:
    """Yield the first lines about a failed case: the behaviour, and the place to look at.

    Args:
        rows: The names of the rows to yield; none given: ``got``, ``expected`` and ``hint``.
    """
    case = verdict.case
    mark, colour = MARKS[verdict.outcome]
    colour = colour if case.level is Level.MUST else "33"
    yield f"{ansi(f'{mark} {case.id}', colour)}  {case.level.value}  {case.section}"
    yield from _wrapped("  ", ansi(case.title, "1"), width)
    texts = in_words(verdict)
    for name in rows or ("got", "expected", "hint"):
        if texts[name]:
            yield from _wrapped(f"    {name:8}  ", printable(texts[name]), width)


def failure(verdict: Verdict, ansi: Ansi, width: int = 100, *, draw: bool = True) -> Iterator[str]:
    """Yield all lines about a failed case, with a picture of the important frame if there is one."""
    yield from in_short(verdict, ansi, width, "got", "expected", "rule", "hint", "read")
    if any(verdict.recorded):
        yield ansi("    on the wire", "2")
        yield from ("      " + line for line in conversation(verdict, ansi))
    if draw and verdict.case.chapter >= 6 and (drawn := frame_to_draw(verdict)) is not None:
        yield ""
        yield from ("      " + line for line in drawn.text(ansi.colour, max(width - 6, 72)).splitlines())


def _wrapped(begin: str, text: str, width: int) -> list[str]:
    return textwrap.wrap(
        text, width, initial_indent=begin, subsequent_indent=" " * len(begin), break_long_words=False
    ) or [begin]


def one_line(verdict: Verdict, ansi: Ansi) -> str:
    """Return the line of a case for ``-v``."""
    mark, colour = MARKS[verdict.outcome]
    why = ""
    if verdict.outcome in (Outcome.SKIP, Outcome.UNPLAYED):
        why = f" ({'not played: ' * (verdict.outcome is Outcome.UNPLAYED)}{printable(verdict.why)})"
    return (
        f"{ansi(mark, colour)} {verdict.case.id:32} {verdict.case.level.value:8} {verdict.case.title}{ansi(why, '2')}"
    )


def ids(names: Sequence[str], width: int, *, indent: int = 4, max_lines: int = 2) -> list[str]:
    """Return ids on a few lines, and the number of those left out.

    >>> ids(["6.length.126", "6.length.127", "6.length.128"], 48, max_lines=1)
    ['    6.length.126, 6.length.127 ... and 1 more']
    """
    room, lines, shown = max(width - indent - len(" ... and 000 more"), 20), [""], 0
    for name in names:
        added = f"{lines[-1]}, {name}" if lines[-1] else name
        if len(added) > room and lines[-1]:
            if len(lines) == max_lines:
                break
            lines[-1] += ","
            lines.append(name)
        else:
            lines[-1] = added
        shown += 1
    if shown < len(names):
        lines[-1] += f" ... and {len(names) - shown} more"
    return [" " * indent + line for line in lines]


def as_text(report: Report, ansi: Ansi, style: Style = Style()) -> Iterator[str]:
    """Yield the lines of the report."""
    yield f"{report.subject}: {capabilities_line(report)}"
    yield ""
    if style.verbose or style.trace:
        for verdict in report.verdicts:
            yield one_line(verdict, ansi)
            if style.trace:
                yield from ("      " + line for line in conversation(verdict, ansi))
        yield ""
    yield from _failures(report, ansi, style)
    yield from _baseline(report, style)
    yield from _unplayed(report, style)
    yield from table(report, ansi)
    yield ""
    all_played = tally(report.verdicts).played == len(report.verdicts)
    yield ansi(conclusion(report), "31" if report.is_bad else "32" if all_played else "33")


def _failures(report: Report, ansi: Ansi, style: Style) -> Iterator[str]:
    """Yield the failures that no baseline knows, one for each cause: the first in full, the others in short."""
    if style.every_failure:
        yield from _every_failure(report, ansi, style)
        return
    shortened = False
    for number, (first, *others) in enumerate(causes(report.new)):
        if style.verbose or not number:
            yield from failure(first, ansi, style.width)
        else:
            yield from in_short(first, ansi, style.width)
        shortened = shortened or bool(others) or (number > 0 and not style.verbose)
        if others:
            yield f"  and {plural(len(others), 'failure')}, probably with the same cause:"
            yield from ids([verdict.case.id for verdict in others], style.width)
        skipped = sum("handshake does not get 101" in verdict.why for verdict in report.verdicts)
        if first.why.startswith(REFUSED_OPENING) and skipped:
            yield f"  and {plural(skipped, 'case')} that need a WebSocket: they were not played"
        yield ""
    if shortened:
        advice = f"{RULE}  --all shows every failure in full."
        yield from (ansi(line, "2") for line in textwrap.wrap(advice, style.width))
        yield ""


def _every_failure(report: Report, ansi: Ansi, style: Style) -> Iterator[str]:
    drawn = set()
    for verdict in report.new:
        chapter = verdict.case.chapter
        yield from failure(verdict, ansi, style.width, draw=style.verbose or chapter not in drawn)
        drawn.add(chapter)
        yield ""


def _baseline(report: Report, style: Style) -> Iterator[str]:
    known = [verdict.case.id for verdict in report.failed if verdict not in report.new]
    if known:
        yield f"{plural(len(known), 'failure')} of the baseline:"
        yield from [*ids(known, style.width), ""]
    if report.fixed:
        yield f"{plural(len(report.fixed), 'case')} of the baseline passed; --write-baseline removes fixed cases:"
        yield from [*ids(report.fixed, style.width, max_lines=len(report.fixed)), ""]


#: The number of reasons of skipped cases to show.
MAX_REASONS = 3


def _unplayed(report: Report, style: Style) -> Iterator[str]:
    reasons = Counter(verdict.why for verdict in report.verdicts if verdict.outcome is Outcome.SKIP)
    for reason, number in reasons.most_common(MAX_REASONS):
        yield from _wrapped(f"{plural(number, 'case')} skipped: ", printable(reason), style.width)
    if rest := reasons.total() - sum(number for _, number in reasons.most_common(MAX_REASONS)):
        yield f"{plural(rest, 'case')} skipped for other reasons: -v shows them"
    if reasons:
        yield ""
    for reason, names in unplayed(report).items():
        yield f"{plural(len(names), 'case')} not played: {printable(reason)}"
        groups: dict[str, int] = {}
        for name in names:
            beginning = ".".join(name.split(".")[:2])
            groups[beginning] = groups.get(beginning, 0) + 1
        words = [name if number == 1 else f"{name} ({number})" for name, number in groups.items()]
        yield from [*ids(words, style.width, max_lines=len(words)), ""]
