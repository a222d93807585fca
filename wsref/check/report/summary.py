"""The parts that every form of the report shares: counts, marks, colours, the conclusion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..case import Verdict
from ..codec import printable
from ..runner import Capabilities, Report
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
        """Return the text in a colour: ``31`` red, ``32`` green, ``33`` yellow, ``2`` faint, ``1`` bold, "" none."""
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and text and code else text


MARKS = {
    Outcome.PASS: ("✓", "32"),
    Outcome.FAIL: ("✗", "31"),
    Outcome.SKIP: ("-", "2"),
    Outcome.UNPLAYED: ("·", "33"),
}


# -- The summary -------------------------------------------------------------------------


@dataclass(frozen=True)
class Tally:
    """The number of outcomes of cases.

    Attributes:
        skipped: Cases that do not apply to the server.
        unplayed: Cases that the run did not reach, or that the caller left out.
    """

    passed: int
    failed: int
    skipped: int
    unplayed: int

    @property
    def played(self) -> int:
        """The number of cases with a verdict on the server."""
        return self.passed + self.failed

    @property
    def all(self) -> int:
        """The number of all cases."""
        return self.played + self.skipped + self.unplayed

    @property
    def is_green(self) -> bool:
        """Whether all cases were played and passed."""
        return 0 < self.passed == self.all

    @property
    def words(self) -> str:
        """``28 played``, or ``27 of 28 played``."""
        return f"{self.played} played" if self.played == self.all else f"{self.played} of {self.all} played"

    def __str__(self) -> str:
        if not self.played:
            return "none played" if self.all else "-"
        return f"{self.passed}/{self.played}"


def tally(verdicts: Sequence[Verdict], level: Level | None = None) -> Tally:
    """Count the outcomes, of one level if one is given."""
    outcomes = [verdict.outcome for verdict in verdicts if level in (None, verdict.case.level)]
    return Tally(*(outcomes.count(outcome) for outcome in Outcome))


def by_chapter(verdicts: Sequence[Verdict]) -> dict[int, list[Verdict]]:
    """Group the verdicts by chapter."""
    chapters = sorted({verdict.case.chapter for verdict in verdicts})
    return {chapter: [v for v in verdicts if v.case.chapter == chapter] for chapter in chapters}


def capabilities_line(report: Report) -> str:
    """Describe the server's abilities in one line."""
    capabilities = report.capabilities
    if not tally(report.verdicts).played and report.stopped:
        return "no case was played"
    if report.client:
        return report.abilities
    if capabilities.baseline_status != 101:
        return f"{_why_no_websocket(capabilities)}: cases that need a WebSocket are skipped"
    words = ["an echo server"]
    if not capabilities.echo:
        words = [f"no echo server ({printable(capabilities.no_echo)}): cases that need an echo are skipped"]
    if capabilities.echo:
        words.append("agrees on permessage-deflate" if capabilities.deflate else "declines permessage-deflate")
    if not capabilities.concurrent:
        words.append("serves one client at a time, so cases run one at a time")
    return "; ".join(words)


def _why_no_websocket(capabilities: Capabilities) -> str:
    """Say what an ordinary handshake gets, and what may help."""
    status = capabilities.baseline_status
    received = f"an ordinary handshake gets {status or 'no answer'}"
    if 200 <= status < 400 or status in (404, 426):
        return f"{received} (is there a WebSocket at this path?)"
    if status in (400, 401, 403) and capabilities.refusal:
        return (
            f"{received}, “{printable(capabilities.refusal)}” (a server may demand a --subprotocol, an --origin, "
            "or a --header)"
        )
    return received


def conclusion(report: Report) -> str:
    """Return the last line of the report."""
    count = tally(report.verdicts)
    counts = f"{count.words}: {count.passed} passed, {count.failed} failed"
    counts += f", {count.skipped} skipped" * bool(count.skipped)
    if report.stopped:
        left = count.all - count.played
        return f"Stopped: {report.stopped}.  {left} {'case was' if left == 1 else 'cases were'} not played ({counts})."
    return f"{_verdict(report)} ({counts}; {report.seconds:.1f} s)."


def _verdict(report: Report) -> str:
    if not tally(report.verdicts).played:
        return "no case was played, so nothing is known"
    must = sum(verdict.case.level is Level.MUST for verdict in report.new)
    rules = f"{plural(must, 'MUST failure')}: {'a rule is' if must == 1 else 'rules are'} broken"
    if report.known is None:
        return rules if must else "no MUST is broken"
    known = f"{len(report.failed) - len(report.new)} known"
    if not report.new:
        return f"no new failure, {known}"
    return f"{plural(len(report.new), 'new failure')}, {known}" + f"; {rules}" * bool(must)


def in_words(verdict: Verdict) -> dict[str, str]:
    """Return what a report says of a failed case, by the names of its rows."""
    case = verdict.case
    return {
        "got": verdict.why,
        "expected": verdict.expected,
        "rule": f"“{case.quote}”",
        "hint": case.hint,
        "read": f"chapter {case.chapter} of the book, “{CHAPTERS[case.chapter][0]}”",
    }


def plural(number: int, noun: str) -> str:
    """Return ``1 case``, ``2 cases``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def unplayed(report: Report) -> dict[str, list[str]]:
    """Return the ids of the cases that were not played and not skipped, for each reason."""
    reasons: dict[str, list[str]] = {}
    for verdict in report.verdicts:
        if verdict.outcome is Outcome.UNPLAYED:
            reasons.setdefault(verdict.why, []).append(verdict.case.id)
    return reasons
