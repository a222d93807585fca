"""The report for programs, ready for JSON."""

from __future__ import annotations

from typing import Any

from ..case import Case, Verdict
from ..runner import Report
from ..verdict import Level, Outcome
from .summary import tally


def as_dict(report: Report, *, version: str, date: str) -> dict[str, Any]:
    """All of it, ready for JSON; bytes in hex, for the cases that failed."""
    return {
        "wsref": version,
        "url": report.target.url,
        "date": date,
        "found": {**vars(report.found)},
        "stopped": report.stopped,
        "seconds": round(report.seconds, 3),
        "summary": {level.value: vars(tally(report.verdicts, level)) for level in Level},
        "cases": [_verdict_as_dict(verdict) for verdict in report.verdicts],
    }


def case_as_dict(case: Case) -> dict[str, Any]:
    """What a case is, without what came of it."""
    return {
        "id": case.id,
        "chapter": case.chapter,
        "level": case.level.value,
        "section": case.section,
        "title": case.title,
        "quote": case.quote,
        "sends": case.play.sends,
        "accepts": case.play.accepts,
        "hint": case.hint,
    }


def _verdict_as_dict(verdict: Verdict) -> dict[str, Any]:
    came = {"outcome": verdict.outcome.value, "why": verdict.why, "expected": verdict.expected}
    wire = [[{"sent": sent, "hex": data.hex()} for sent, data in line] for line in verdict.wire]
    failed = verdict.outcome is Outcome.FAIL
    return {**case_as_dict(verdict.case), **came, "seconds": round(verdict.seconds, 3), "wire": wire if failed else []}
