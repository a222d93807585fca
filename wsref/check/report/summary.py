"""What every form of the report says: the counts of each chapter, and the conclusion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..case import Verdict
from ..runner import Report
from ..verdict import Level, Outcome

#: The chapters of the tutorial that have cases, and the names of their pages.
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


class Pen:
    """Writes in colour, or not."""

    def __init__(self, colour: bool) -> None:
        self.colour = colour

    def __call__(self, text: str, code: str) -> str:
        """The text in a colour: ``31`` red, ``32`` green, ``33`` yellow, ``2`` faint, ``1`` bold."""
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and text else text


MARKS = {Outcome.PASS: ("✓", "32"), Outcome.FAIL: ("✗", "31"), Outcome.SKIP: ("-", "2")}


# -- The summary -------------------------------------------------------------------------


@dataclass(frozen=True)
class Tally:
    """How the cases of one level, in one chapter or in all, ended."""

    passed: int
    failed: int
    skipped: int

    def __str__(self) -> str:
        if not self.passed + self.failed:
            return f"({self.skipped} skipped)" if self.skipped else "·"
        return f"{self.passed}/{self.passed + self.failed}"


def tally(verdicts: Sequence[Verdict], level: Level) -> Tally:
    """Count them."""
    outcomes = [verdict.outcome for verdict in verdicts if verdict.case.level is level]
    return Tally(*(outcomes.count(outcome) for outcome in (Outcome.PASS, Outcome.FAIL, Outcome.SKIP)))


def by_chapter(verdicts: Sequence[Verdict]) -> dict[int, list[Verdict]]:
    """The verdicts of each chapter that has any."""
    chapters = sorted({verdict.case.chapter for verdict in verdicts})
    return {chapter: [v for v in verdicts if v.case.chapter == chapter] for chapter in chapters}


def what_was_found(report: Report) -> str:
    """What the server is, in a line."""
    found = report.found
    if found.usual != 101:
        return f"an ordinary handshake gets {found.usual or 'hung up on'}: what needs a WebSocket is skipped"
    words = ["an echo server"] if found.echo else ["no echo server (" + found.no_echo + "): what needs one is skipped"]
    if found.echo:
        words.append("agrees on permessage-deflate" if found.deflate else "declines permessage-deflate")
    if not found.many:
        words.append("serves one client at a time, so cases are played one at a time")
    return "; ".join(words)


def conclusion(report: Report) -> str:
    """The last line."""
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
