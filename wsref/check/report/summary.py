"""The parts that every form of the report shares: counts, marks, colours, the conclusion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..case import Verdict
from ..runner import Report
from ..verdict import Level, Outcome

#: The chapters of the book that have cases: title, and name of the page.
CHAPTERS = {
    1: ("An HTTP base", "01-http-base"),
    2: ("Upgrade detection", "02-upgrade-detection"),
    3: ("Validation", "03-validation"),
    4: ("complete_upgrade", "04-complete-upgrade"),
    5: ("The 426 fallback", "05-the-426-fallback"),
    6: ("Frames", "06-frames"),
    7: ("Messages", "07-messages"),
    8: ("Closing", "08-closing"),
    9: ("Compression", "09-compression"),
    10: ("Many clients", "10-many-clients"),
    11: ("Out in the world", "11-out-in-the-world"),
}


class Ansi:
    """A function that colours text for a terminal, or leaves it as it is."""

    def __init__(self, colour: bool) -> None:
        self.colour = colour

    def __call__(self, text: str, code: str) -> str:
        """Return the text in a colour: ``31`` red, ``32`` green, ``33`` yellow, ``2`` faint, ``1`` bold."""
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and text else text


MARKS = {Outcome.PASS: ("✓", "32"), Outcome.FAIL: ("✗", "31"), Outcome.SKIP: ("-", "2")}


# -- The summary -------------------------------------------------------------------------


@dataclass(frozen=True)
class Tally:
    """The number of outcomes of the cases of one level."""

    passed: int
    failed: int
    skipped: int

    def __str__(self) -> str:
        if not self.passed + self.failed:
            return f"({self.skipped} skipped)" if self.skipped else "·"
        return f"{self.passed}/{self.passed + self.failed}"


def tally(verdicts: Sequence[Verdict], level: Level) -> Tally:
    """Count the outcomes of one level."""
    outcomes = [verdict.outcome for verdict in verdicts if verdict.case.level is level]
    return Tally(*(outcomes.count(outcome) for outcome in (Outcome.PASS, Outcome.FAIL, Outcome.SKIP)))


def by_chapter(verdicts: Sequence[Verdict]) -> dict[int, list[Verdict]]:
    """Group the verdicts by chapter."""
    chapters = sorted({verdict.case.chapter for verdict in verdicts})
    return {chapter: [v for v in verdicts if v.case.chapter == chapter] for chapter in chapters}


def capabilities_line(report: Report) -> str:
    """Describe the server's abilities in one line."""
    capabilities = report.capabilities
    if capabilities.baseline_status != 101:
        answer = capabilities.baseline_status or "no answer"
        return f"an ordinary handshake gets {answer}: cases that need a WebSocket are skipped"
    words = ["an echo server"]
    if not capabilities.echo:
        words = [f"no echo server ({capabilities.no_echo}): cases that need an echo are skipped"]
    if capabilities.echo:
        words.append("agrees on permessage-deflate" if capabilities.deflate else "declines permessage-deflate")
    if not capabilities.concurrent:
        words.append("serves one client at a time, so cases run one at a time")
    return "; ".join(words)


def conclusion(report: Report) -> str:
    """Return the last line of the report."""
    failed = {level: report.count(Outcome.FAIL, level) for level in Level}
    if report.stopped:
        return f"Stopped: {report.stopped}."
    counts = f"{report.count(Outcome.PASS)} passed, {sum(failed.values())} failed, {report.count(Outcome.SKIP)} skipped"
    if failed[Level.MUST]:
        one = failed[Level.MUST] == 1
        verdict = f"{failed[Level.MUST]} MUST failure{'' if one else 's'}: {'a rule is' if one else 'rules are'} broken"
    else:
        verdict = "no MUST is broken"
    return f"{verdict} ({counts}, {report.seconds:.1f} s)."
