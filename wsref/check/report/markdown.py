"""The report in Markdown, for the summary of a CI job."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from ..case import Verdict
from ..codec import printable
from ..runner import Report
from ..verdict import Level
from .causes import RULE, causes
from .summary import CHAPTERS, Ansi, by_chapter, capabilities_line, conclusion, plural, tally, unplayed
from .text import failure


def as_markdown(report: Report, *, version: str, date: str) -> str:
    """Return the conclusion, the table of the chapters, and one failure for each cause in full."""
    mark = "❌" if report.is_bad else "✅" if tally(report.verdicts).is_green else "⚠️"
    parts = [
        f"## {mark} wsref check {_code(report.subject)}",
        _text(conclusion(report)),
        _text(capabilities_line(report)) + f".  {date}, wsref {version}.",
        "\n".join(_table(report)),
        *_failures(report),
    ]
    known = [verdict.case.id for verdict in report.failed if verdict not in report.new]
    if known:
        parts.append(_details(f"{plural(len(known), 'failure')} of the baseline", known))
    if report.fixed:
        parts.append(_details(f"{plural(len(report.fixed), 'case')} of the baseline passed", report.fixed))
    for reason, names in unplayed(report).items():
        parts.append(_details(f"{plural(len(names), 'case')} not played: {reason}", names))
    return "\n\n".join(parts) + "\n"


def _table(report: Report) -> Iterator[str]:
    yield "| chapter | MUST | SHOULD | INTEROP | |"
    yield "|---|--:|--:|--:|---|"
    chapters = [(f"{n}. {CHAPTERS[n][0]}", verdicts) for n, verdicts in by_chapter(report.verdicts).items()]
    for name, verdicts in [*chapters, ("all", report.verdicts)]:
        cells = [name, *(str(tally(verdicts, level)) for level in Level), tally(verdicts).words]
        yield f"| {' | '.join(cells)} |"


def _failures(report: Report) -> Iterator[str]:
    found = causes(report.new)
    for first, *others in found:
        case = first.case
        yield f"### ✗ {_code(case.id)} {case.level.value}, {case.section}: {_text(case.title)}"
        yield f"got {_code(first.why)}, expected {_code(first.expected)}"
        yield _fenced(first)
        if others:
            title = f"and {plural(len(others), 'failure')}, probably with the same cause"
            yield _details(title, [verdict.case.id for verdict in others])
    if any(len(cause) > 1 for cause in found):
        yield f"_{_text(RULE)}_"


def _fenced(verdict: Verdict) -> str:
    lines = "\n".join(map(printable, failure(verdict, Ansi(False), draw=False)))
    return f"<details><summary>details</summary>\n\n<pre>{escape(lines)}</pre>\n\n</details>"


def _details(title: str, names: Sequence[str]) -> str:
    listed = ", ".join(f"<code>{escape(name)}</code>" for name in names)
    return f"<details><summary>{_text(title)}</summary>\n\n{listed}\n\n</details>"


def _code(text: str) -> str:
    return f"<code>{_text(text)}</code>"


def _text(text: str) -> str:
    """Escape a text for Markdown: no markup of the server's takes effect."""
    text = escape(printable(text))
    return "".join(f"&#{ord(c)};" if c in "\\`*_{}[]|~@#" else c for c in text)
