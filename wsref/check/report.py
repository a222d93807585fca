"""What came out: a table for each chapter and the failures, for a terminal; JSON; JUnit.

(HTML is in :mod:`~wsref.check.html_report`.)  Bytes are drawn by :mod:`wsref.wire.describe`,
which belongs to the server's side of this package: it draws, and judges nothing here.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from ..wire import trace
from ..wire.picture import Description
from .case import Case, Verdict
from .runner import Report
from .verdict import Level, Outcome

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


def table(report: Report, pen: Pen) -> Iterator[str]:
    """A line for each chapter: how many passed, of how many that could be played."""
    rows = [
        (f"{number:2}  {CHAPTERS[number][0]}", verdicts) for number, verdicts in by_chapter(report.verdicts).items()
    ]
    yield pen(f"{'chapter':24}{'MUST':>14}{'SHOULD':>14}{'INTEROP':>14}", "1")
    for name, verdicts in [*rows, ("", report.verdicts)] if len(rows) > 1 else rows:
        cells = ""
        for level in Level:
            count = tally(verdicts, level)
            colour = ("31" if level is Level.MUST else "33") if count.failed else "32" if count.passed else "2"
            cells += pen(f"{count!s:>14}", colour)
        yield f"{name:24}{cells}"


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


# -- One case --------------------------------------------------------------------------------


def seen_on(wire: list[tuple[bool, bytes]]) -> list[tuple[bool, Description | None]]:
    """What passed on one connection, described: whether we sent it; None: the server ended TCP."""
    seen: list[tuple[bool, Description | None]] = []

    def tell(what: trace.Seen) -> None:
        seen.extend((what.sent, description) for description in what.descriptions)
        if not what.sent and not what.data:
            seen.append((False, None))

    watcher = trace.Watcher("", tell, we_are_the_server=False)
    for sent, data in wire:
        watcher(sent, data)
    for sent in (True, False):
        if (cut := watcher.pending(sent=sent)) is not None:
            at = len(seen) if sent or not seen or seen[-1][1] is not None else len(seen) - 1
            seen.insert(at, (sent, cut))
    return seen


#: Frames and heads of one connection that are shown.
SHOWN = 12


def conversation(verdict: Verdict, pen: Pen) -> Iterator[str]:
    """All that passed, a line for each frame and the lines of heads.

    From chapter 6 on a handshake that every case begins with is one line.
    """
    for number, wire in enumerate(verdict.wire, 1):
        if len(verdict.wire) > 1:
            yield pen(f"connection {number}", "2")
        seen = seen_on(wire)
        if verdict.case.chapter in (6, 7, 8, 10) and len(seen) > 1 and seen[1][1] and seen[1][1].kind == "response":
            yield pen("(the opening handshake)", "2")
            seen = seen[2:]
        for sent, description in seen[:SHOWN]:
            yield from _one_seen(sent, description, pen)
        if len(seen) > SHOWN:
            yield pen(f"... and {len(seen) - SHOWN} more", "2")


def _one_seen(sent: bool, description: Description | None, pen: Pen) -> Iterator[str]:
    arrow = pen("sent", "1") if sent else pen("got ", "1")
    if description is None:
        yield f"{arrow} the end of TCP"
    elif description.kind in ("request", "response"):
        lines = description.raw.decode("latin-1").replace("\r\n", "\n").strip("\n").split("\n")
        for line in lines[:SHOWN]:
            yield f"{arrow} {_printable(line)}"
            arrow = "    "
        if len(lines) > SHOWN:
            yield f"     ... {len(lines) - SHOWN} lines more"
    else:
        yield f"{arrow} {description.one_line}" + (f" ({description.missing} missing)" if description.missing else "")
        raw = description.raw + (description.payload.wire if description.payload else b"")
        more = " ..." if description.payload and description.payload.length > len(description.payload.wire) else ""
        yield pen(f"     {raw[:32].hex(' ')}{more or (' ...' if len(raw) > 32 else '')}", "2")


def _printable(line: str) -> str:
    return ascii(line if len(line) <= 100 else line[:100] + "...")[1:-1]


def to_draw(verdict: Verdict) -> Description | None:
    """The one frame that is worth a picture: one with something wrong, the server's first."""
    seen = [pair for wire in verdict.wire for pair in seen_on(wire)]
    frames = [(sent, what) for sent, what in seen if what is not None and what.kind == "frame"]
    for wanted in (False, True):
        for sent, description in frames:
            if sent is wanted and description.problems:
                return description
    return next((description for sent, description in frames if sent), None)


def failure(verdict: Verdict, pen: Pen, width: int = 100, *, draw: bool = True) -> Iterator[str]:
    """All about a case that failed; with a picture of the frame that matters, if there is one."""
    case = verdict.case
    mark, colour = MARKS[verdict.outcome]
    colour = colour if case.level is Level.MUST else "33"
    yield f"{pen(f'{mark} {case.id}', colour)}  {case.level.value}  {case.section}"
    yield from _wrapped("  ", pen(case.title, "1"), width)
    rows = [("got", verdict.why), ("expected", verdict.expected), ("rule", f"“{case.quote}”"), ("hint", case.hint)]
    title, page = CHAPTERS[case.chapter]
    rows.append(("read", f"chapter {case.chapter}, {title} (docs/tutorial/{page}.md)"))
    for name, text in rows:
        if text:
            yield from _wrapped(f"    {name:8}  ", _printable_words(text), width)
    if any(verdict.wire):
        yield pen("    on the wire", "2")
        yield from ("      " + line for line in conversation(verdict, pen))
    if draw and case.chapter >= 6 and (drawn := to_draw(verdict)) is not None:
        yield ""
        yield from ("      " + line for line in drawn.text(pen.colour, max(width - 6, 72)).splitlines())


def _printable_words(text: str) -> str:
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _wrapped(begin: str, text: str, width: int) -> list[str]:
    return textwrap.wrap(
        text, width, initial_indent=begin, subsequent_indent=" " * len(begin), break_long_words=False
    ) or [begin]


def one_line(verdict: Verdict, pen: Pen) -> str:
    """For ``-v``: a case in a line."""
    mark, colour = MARKS[verdict.outcome]
    why = f" ({_printable_words(verdict.why)})" if verdict.outcome is Outcome.SKIP else ""
    return f"{pen(mark, colour)} {verdict.case.id:32} {verdict.case.level.value:8} {verdict.case.title}{pen(why, '2')}"


def as_text(report: Report, pen: Pen, *, verbose: bool = False, trace: bool = False, width: int = 100) -> Iterator[str]:
    """The report, line by line.

    Args:
        verbose: With a line for every case, and a picture for every failure (else one a chapter).
        trace: With all that passed on the wire, for every case.
        width: Columns.
    """
    yield f"{report.target.url}: {what_was_found(report)}"
    yield ""
    if verbose or trace:
        for verdict in report.verdicts:
            yield one_line(verdict, pen)
            if trace:
                yield from ("      " + line for line in conversation(verdict, pen))
        yield ""
    drawn = set()
    for verdict in sorted(report.failed, key=lambda v: list(Level).index(v.case.level), reverse=True):
        chapter = verdict.case.chapter
        yield from failure(verdict, pen, width, draw=verbose or chapter not in drawn)
        drawn.add(chapter)
        yield ""
    yield from table(report, pen)
    yield ""
    bad = report.broke_a_must or bool(report.stopped)
    yield pen(conclusion(report), "31" if bad else "32")


# -- For programs ---------------------------------------------------------------------------


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


def as_junit(report: Report) -> bytes:
    """JUnit's XML, as CI systems read it: a suite for each chapter.

    Only a MUST is a ``failure`` there.  JUnit knows no levels, so a SHOULD or an INTEROP that
    failed is ``skipped``, with the reason.
    """
    root = ElementTree.Element("testsuites", name=f"wsref check {report.target.url}")
    for chapter, verdicts in by_chapter(report.verdicts).items():
        must = [v for v in verdicts if v.outcome is Outcome.FAIL and v.case.level is Level.MUST]
        skipped = [v for v in verdicts if v.outcome is not Outcome.PASS and v not in must]
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=f"chapter {chapter}: {CHAPTERS[chapter][0]}",
            tests=str(len(verdicts)),
            failures=str(len(must)),
            skipped=str(len(skipped)),
            time=f"{sum(v.seconds for v in verdicts):.3f}",
        )
        for verdict in verdicts:
            _as_testcase(suite, verdict)
    if report.stopped:
        suite = ElementTree.SubElement(root, "testsuite", name="the run", tests="1", errors="1")
        element = ElementTree.SubElement(suite, "testcase", classname="wsref.check", name="all cases are played")
        ElementTree.SubElement(element, "error", message=report.stopped)
    ElementTree.indent(root)
    text: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return text


def _as_testcase(suite: ElementTree.Element, verdict: Verdict) -> None:
    case = verdict.case
    element = ElementTree.SubElement(
        suite, "testcase", classname=f"wsref.check.{case.chapter}", name=case.id, time=f"{verdict.seconds:.3f}"
    )
    why = _printable_words(verdict.why)
    if verdict.outcome is Outcome.SKIP:
        ElementTree.SubElement(element, "skipped", message=why)
    elif verdict.outcome is Outcome.FAIL and case.level is not Level.MUST:
        ElementTree.SubElement(element, "skipped", message=f"{case.level.value} failed: {case.title}: {why}")
    elif verdict.outcome is Outcome.FAIL:
        message = f"{case.title}: {why}; expected {_printable_words(verdict.expected)} ({case.section})"
        text = "\n".join(failure(verdict, Pen(False)))
        ElementTree.SubElement(element, "failure", message=message, type=case.section).text = _printable_lines(text)


def _printable_lines(text: str) -> str:
    return "\n".join(map(_printable_words, text.split("\n")))
