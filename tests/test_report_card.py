"""The report card: the page matches the results and the notes, and every failure has a note."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from wsref.check import CASES

DOCS = Path(__file__).parents[1] / "docs"
sys.path.append(str(DOCS / "report_card"))

import report_card  # noqa: E402

RESULTS = json.loads(report_card.RESULTS.read_text("utf-8"))
NOTES = json.loads(report_card.NOTES.read_text("utf-8"))


def test_the_page_matches_the_results_and_the_notes():
    assert report_card.PAGE.read_text("utf-8") == report_card.render(RESULTS, NOTES), "run report_card.py --page"


def test_the_results_are_of_these_cases():
    ids = {case.id for case in CASES}
    for server in RESULTS["servers"]:
        assert {case["id"] for case in server["cases"]} == ids, f"run report_card.py: {server['name']}"


def test_every_graded_server_has_its_program():
    assert [server["file"] for server in RESULTS["servers"]] == list(report_card.ORDER)
    assert all((report_card.SERVERS / name).exists() for name in report_card.ORDER)


def test_a_must_failure_without_a_note_stops_the_page():
    with pytest.raises(ValueError, match=r"notes\.json has no note on it"):
        report_card.render(RESULTS, {**NOTES, "cases": {}})


def test_a_failure_that_the_replay_did_not_reproduce_stops_the_page():
    server = json.loads(json.dumps(RESULTS["servers"][-1]))
    failed = next(case for case in server["cases"] if case["outcome"] == "fail" and case["level"] == "MUST")
    failed["again"] = False
    with pytest.raises(ValueError, match="differed in the replay over a plain socket"):
        report_card.render({**RESULTS, "servers": [server]}, NOTES)


def test_bytes_are_compared_without_their_dates(serve):
    server = serve()
    port = server.server_address[1]
    plain = b"GET / HTTP/1.1\r\nHost: a\r\nAccept: text/plain\r\n\r\n"
    first = b"HTTP/1.1 426 Upgrade Required\r\nDate: Thu, 01 Jan 2026 12:00:00 GMT\r\n"
    assert report_card.same_again(port, [(True, plain), (False, first)]) is True
    assert report_card.same_again(port, [(True, plain), (False, b"HTTP/1.1 200 OK\r\n")]) is False
    assert report_card.same_again(port, [(True, b"x" * report_card.MAX_RECORDED), (False, first)]) is None
