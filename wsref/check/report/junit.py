"""The report in JUnit's XML, for CI systems."""

from __future__ import annotations

from xml.etree import ElementTree

from ..case import Verdict
from ..runner import Report
from ..verdict import Level, Outcome
from .summary import CHAPTERS, Ansi, by_chapter
from .text import failure
from .transcript import printable


def as_junit(report: Report) -> bytes:
    """Return the report in JUnit's XML, with a suite for each chapter.

    JUnit has no levels.  A failed MUST is a ``failure``; a failed SHOULD or INTEROP is ``skipped``,
    with the reason.
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
    why = printable(verdict.why)
    if verdict.outcome is Outcome.SKIP:
        ElementTree.SubElement(element, "skipped", message=why)
    elif verdict.outcome is Outcome.FAIL and case.level is not Level.MUST:
        ElementTree.SubElement(element, "skipped", message=f"{case.level.value} failed: {case.title}: {why}")
    elif verdict.outcome is Outcome.FAIL:
        message = f"{case.title}: {why}; expected {printable(verdict.expected)} ({case.section})"
        text = "\n".join(failure(verdict, Ansi(False)))
        ElementTree.SubElement(element, "failure", message=message, type=case.section).text = _printable_lines(text)


def _printable_lines(text: str) -> str:
    return "\n".join(map(printable, text.split("\n")))
