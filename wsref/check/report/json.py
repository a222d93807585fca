"""The report for programs, ready for JSON.  ``docs/howto/check-in-ci.md`` describes it."""

from __future__ import annotations

from typing import Any

from ..case import Case, Verdict
from ..runner import Report
from ..verdict import Level, Outcome
from .causes import causes
from .summary import tally

#: The version of the format.  It changes if a key goes, or changes its meaning; a new key does not change it.
SCHEMA = 1


def as_dict(report: Report, *, version: str, date: str) -> dict[str, Any]:
    """Return the report, ready for JSON.  Failed cases have their bytes, in hex."""
    known = report.known or {}
    return {
        "schema": SCHEMA,
        "wsref": version,
        "url": report.target.url,
        "client": report.client,
        "date": date,
        "found": vars(report.capabilities),
        "stopped": report.stopped,
        "ok": not report.is_bad,
        "seconds": round(report.seconds, 3),
        "summary": {level.value: vars(tally(report.verdicts, level)) for level in Level},
        "causes": [[verdict.case.id for verdict in cause] for cause in causes(report.failed)],
        "fixed": report.fixed,
        "cases": [_verdict_as_dict(verdict, known.get(verdict.case.id)) for verdict in report.verdicts],
    }


def case_as_dict(case: Case) -> dict[str, Any]:
    """Return a case without its verdict, ready for JSON."""
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


def _verdict_as_dict(verdict: Verdict, known: str | None) -> dict[str, Any]:
    result = {"outcome": verdict.outcome.value, "why": verdict.why, "expected": verdict.expected, "known": known}
    wire = [[{"sent": sent, "hex": data.hex()} for sent, data in chunks] for chunks in verdict.recorded]
    failed = verdict.outcome is Outcome.FAIL
    return {
        **case_as_dict(verdict.case),
        **result,
        "seconds": round(verdict.seconds, 3),
        "wire": wire if failed else [],
    }
