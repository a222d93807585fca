"""The report as one page without scripts or external files, for light and dark mode and for phones."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from importlib import resources

from ..case import Verdict
from ..codec import printable
from ..runner import Report
from ..verdict import Level, Outcome
from .causes import RULE, causes
from .summary import CHAPTERS, MARKS, Ansi, by_chapter, capabilities_line, conclusion, in_words, plural, tally
from .transcript import conversation, frame_to_draw


def as_html(report: Report, *, version: str, date: str) -> str:
    """Return the report as an HTML page."""
    url, style = escape(report.subject), resources.files(__package__).joinpath("page.css").read_text("utf-8")
    failed, count = causes(report.failed), tally(report.verdicts)
    kind = "bad" if report.is_bad else "good" if count.played == count.all else "warn"
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>wsref check {url}</title><style>\n{style}</style></head><body>",
        f"<h1>wsref check {url}</h1>",
        f"<p>{escape(capabilities_line(report))}.  "
        f'<span class="faint">{escape(date)}, wsref {escape(version)}</span></p>',
        f'<p class="{kind}"><strong>{escape(conclusion(report))}</strong></p>',
        *_summary(report),
        "<h2>Failures</h2>" if failed else "",
        f'<p class="faint">{escape(RULE)}</p>' if any(len(cause) > 1 for cause in failed) else "",
        *(part for cause in failed for part in _cause(cause, report.known or {})),
        *_all_cases(report),
        "</body></html>\n",
    ]
    return "\n".join(filter(None, parts))


def _summary(report: Report) -> Iterator[str]:
    yield '<div class="scroll"><table><thead><tr><th>chapter</th>'
    yield "".join(f'<th class="n">{level.value}</th>' for level in Level) + "<th></th></tr></thead><tbody>"
    chapters = [(f"{n}. {CHAPTERS[n][0]}", verdicts) for n, verdicts in by_chapter(report.verdicts).items()]
    for name, verdicts in [*chapters, ("all", report.verdicts)]:
        cells = []
        for level in Level:
            count = tally(verdicts, level)
            kind = ("bad" if level is Level.MUST else "warn") if count.failed else "good" if count.is_green else "faint"
            cells.append(f'<td class="n {kind}">{count}</td>')
        played = tally(verdicts)
        kind = "" if played.played == played.all else "warn"
        yield f'<tr><td>{escape(name)}</td>{"".join(cells)}<td class="n {kind}">{played.words}</td></tr>'
    yield "</tbody></table></div>"


def _cause(verdicts: list[Verdict], known: dict[str, str]) -> Iterator[str]:
    """Yield the first failure of a cause, and the others folded."""
    first, *others = verdicts
    yield _failure(first, known)
    if others:
        yield f"<details><summary>and {plural(len(others), 'failure')}, probably with the same cause</summary>"
        yield from (_failure(verdict, known) for verdict in others)
        yield "</details>"


def _failure(verdict: Verdict, known: dict[str, str]) -> str:
    case = verdict.case
    kind = "bad" if case.level is Level.MUST else "warn"
    rows = in_words(verdict) | {"baseline": known.get(case.id, "")}
    rows["rule"] += f" ({case.section})"
    terms = "".join(f"<dt>{name}</dt><dd>{escape(printable(text))}</dd>" for name, text in rows.items() if text)
    wire = escape("\n".join(conversation(verdict, Ansi(False))))
    drawn = frame_to_draw(verdict) if case.chapter >= 6 else None
    wide, narrow = (drawn.svg(), drawn.svg(narrow=True)) if drawn else ("", "")
    picture = f'<div class="scroll wide">{wide}</div><div class="narrow">{narrow}</div>' if drawn else ""
    return (
        f'<article id="{escape(case.id)}"><h3>{escape(case.title)}</h3>'
        f'<div class="id {kind}">{MARKS[Outcome.FAIL][0]} {case.level.value} {escape(case.id)}</div><dl>{terms}</dl>'
        f'<details><summary>On the wire</summary><pre class="scroll">{wire}</pre>{picture}</details></article>'
    )


def _all_cases(report: Report) -> Iterator[str]:
    kinds = {Outcome.PASS: "good", Outcome.FAIL: "bad", Outcome.SKIP: "faint", Outcome.UNPLAYED: "warn"}
    for number, verdicts in by_chapter(report.verdicts).items():
        yield f"<h2>{number}. {escape(CHAPTERS[number][0])}</h2>"
        yield "<table><tbody>"
        for verdict in verdicts:
            case, failed = verdict.case, verdict.outcome is Outcome.FAIL
            kind = "warn" if failed and case.level is not Level.MUST else kinds[verdict.outcome]
            title = f'<a href="#{escape(case.id)}">{escape(case.title)}</a>' if failed else escape(case.title)
            why = ""
            if verdict.outcome in (Outcome.SKIP, Outcome.UNPLAYED):
                not_played = "not played: " * (verdict.outcome is Outcome.UNPLAYED)
                why = f' <span class="faint">({not_played}{escape(printable(verdict.why))})</span>'
            yield (
                f'<tr><td class="{kind}" aria-label="{verdict.outcome.value}">{MARKS[verdict.outcome][0]}</td>'
                f'<td>{title}{why}<div class="id faint">{escape(case.id)}</div></td>'
                f'<td class="faint">{case.level.value}</td><td class="faint sec">{escape(case.section)}</td></tr>'
            )
        yield "</tbody></table>"
