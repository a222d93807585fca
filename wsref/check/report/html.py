"""The report as one page without scripts or external files, for light and dark mode and for phones."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from ..case import Verdict
from ..codec import printable
from ..runner import Report
from ..verdict import Level, Outcome
from .causes import RULE, causes
from .summary import CHAPTERS, MARKS, Ansi, by_chapter, capabilities_line, conclusion, plural, tally
from .transcript import conversation, frame_to_draw

STYLE = """
:root { color-scheme: light dark; --line: #8885; --bad: #b3261e; --warn: #8a5a00; --good: #1b7a3d; --soft: #8881; }
@media (prefers-color-scheme: dark) {
  :root { --bad: #ff8a80; --warn: #ffca6b; --good: #7bd88f; }
}
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.5rem; margin: .5rem 0; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; padding: .25rem .5rem; vertical-align: top; }
tr { border-top: 1px solid var(--line); }
.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.bad { color: var(--bad); }
.warn { color: var(--warn); }
.good { color: var(--good); }
.faint { opacity: .7; }
.id { font-family: ui-monospace, monospace; font-size: .85rem; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
.narrow { display: none; }
@media (max-width: 40rem) { .wide { display: none; } .narrow { display: block; } }
pre { background: var(--soft); padding: .6rem; font-size: .8rem; margin: .5rem 0; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem .8rem; margin: .5rem 0; }
dd { margin: 0; overflow-wrap: anywhere; }
dt { opacity: .7; }
article { border: 1px solid var(--line); border-radius: .4rem; padding: .6rem 1rem; margin: 1rem 0; }
article h3 { margin: .2rem 0; font-size: 1rem; }
details > summary { cursor: pointer; }
svg { min-width: 36rem; }
@media (max-width: 32rem) {
  dl { grid-template-columns: 1fr; }
  dd { margin-bottom: .4rem; }
  .sec { display: none; }
}
"""


def as_html(report: Report, *, version: str, date: str) -> str:
    """Return the report as an HTML page."""
    url = escape(report.subject)
    failed, count = causes(report.failed), tally(report.verdicts)
    kind = "bad" if report.is_bad else "good" if count.played == count.all else "warn"
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>wsref check {url}</title><style>{STYLE}</style></head><body>",
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
    title, _ = CHAPTERS[case.chapter]
    rows = {
        "got": verdict.why,
        "expected": verdict.expected,
        "rule": f"“{case.quote}” ({case.section})",
        "hint": case.hint,
        "read": f"chapter {case.chapter} of the book, “{title}”",
        "baseline": known.get(case.id, ""),
    }
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
