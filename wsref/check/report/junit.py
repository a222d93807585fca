"""The report in JUnit's XML, for CI systems."""

from __future__ import annotations

from datetime import datetime
from xml.etree import ElementTree

from ..case import Verdict
from ..codec import printable
from ..runner import Report
from ..verdict import Level, Outcome
from .summary import CHAPTERS, Ansi, by_chapter
from .text import failure


def as_junit(report: Report, *, date: str) -> bytes:
    """Return the report in JUnit's XML, with a suite for each chapter.

    JUnit has no levels.  A failed MUST is a ``failure``; a failed SHOULD or INTEROP is ``skipped``,
    with the reason.  With a baseline, its failures are ``skipped``, and each other failed case is a ``failure``.
    A run that ended early is an ``error``, and the cases that were not played are ``skipped``.

    The elements and attributes are those of the schemas of Jenkins and of pytest.

    Args:
        date: The time of the run, in ISO 8601.
    """
    root = ElementTree.Element("testsuites", name=f"wsref check {report.subject}")
    common = {"timestamp": datetime.fromisoformat(date).strftime("%Y-%m-%dT%H:%M:%S"), "hostname": report.target.host}
    for chapter, verdicts in by_chapter(report.verdicts).items():
        suite = ElementTree.SubElement(root, "testsuite", name=f"chapter {chapter}: {CHAPTERS[chapter][0]}")
        for verdict in verdicts:
            _as_testcase(suite, verdict, report)
        suite.attrib |= _counts(suite, sum(verdict.seconds for verdict in verdicts)) | common
    if report.stopped:
        suite = ElementTree.SubElement(root, "testsuite", name="the run")
        element = ElementTree.SubElement(
            suite, "testcase", classname="wsref.check", name="all cases are played", time=f"{report.seconds:.3f}"
        )
        ElementTree.SubElement(element, "error", message=printable(report.stopped), type="stopped")
        suite.attrib |= _counts(suite, report.seconds) | common
    counts = _counts(root, report.seconds)
    del counts["skipped"]  # Jenkins's schema has it only in a suite
    root.attrib |= counts
    ElementTree.indent(root)
    text: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return text


def _counts(element: ElementTree.Element, seconds: float) -> dict[str, str]:
    names = {"tests": "testcase", "failures": "failure", "errors": "error", "skipped": "skipped"}
    counts = {name: str(len(element.findall(f".//{tag}"))) for name, tag in names.items()}
    return counts | {"time": f"{seconds:.3f}"}


def _as_testcase(suite: ElementTree.Element, verdict: Verdict, report: Report) -> None:
    case = verdict.case
    element = ElementTree.SubElement(
        suite, "testcase", classname=f"wsref.check.{case.chapter}", name=case.id, time=f"{verdict.seconds:.3f}"
    )
    why, known = printable(verdict.why), report.known
    failed = f"{case.level.value} failed: {case.title}: {why}"
    if verdict.outcome is Outcome.SKIP:
        ElementTree.SubElement(element, "skipped", message=why)
    elif verdict.outcome is Outcome.UNPLAYED:
        ElementTree.SubElement(element, "skipped", message=f"not played: {why}")
    elif verdict.outcome is Outcome.FAIL and known is not None and case.id in known:
        ElementTree.SubElement(element, "skipped", message=printable(f"known: {known[case.id]}: {failed}"))
    elif verdict.outcome is Outcome.FAIL and known is None and case.level is not Level.MUST:
        ElementTree.SubElement(element, "skipped", message=failed)
    elif verdict.outcome is Outcome.FAIL:
        message = f"{case.title}: {why}; expected {printable(verdict.expected)} ({case.section})"
        text = "\n".join(map(printable, failure(verdict, Ansi(False))))
        ElementTree.SubElement(element, "failure", message=message, type=case.section).text = text
