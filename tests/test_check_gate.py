"""``python -m wsref check`` for a person, one cause at a time; and as a gate of a CI job."""

from __future__ import annotations

import ast
import errno
import io
import json
import os
import re
import runpy
import shlex
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import types
from pathlib import Path
from xml.etree import ElementTree

import pytest
from conftest import DEADLINE, free_port, wait_until
from test_check import listening, run, speaking

import wsref
from wsref.check import CASES, Level, Outcome, Verdict, grade, parse_target
from wsref.check.baseline import as_lines, parse
from wsref.check.cases import select
from wsref.check.clients.session import parse_request
from wsref.check.codec import parse_answer
from wsref.check.gallery.reference import ReferenceServer, serving
from wsref.check.report import Ansi, as_junit, as_markdown, as_text, transcript
from wsref.check.report.causes import causes
from wsref.check.report.transcript import conversation
from wsref.check.runner import Capabilities, Report
from wsref.check.session import with_headers, without_secrets
from wsref.check.verdict import Failed, Skipped
from wsref.cli.main import build_parser
from wsref.cli.report_files import AutobahnFolder, Progress, ReportFiles, write_whole

ROOT = Path(__file__).parents[1]
LENGTHS = len(select(only=["6.length"]))
BY_ID = {case.id: case for case in CASES}
FORMATS = ("json", "junit", "markdown", "html")


class Shifts(ReferenceServer):
    """Adds one to every byte of a long message."""

    def on_message(self, opcode: int, message: bytes) -> None:
        super().on_message(opcode, message if len(message) < 126 else bytes((b + 1) % 256 for b in message))


class NoDeflate(ReferenceServer):
    """Breaks no rule, and fails 9.agree.browser, which is INTEROP."""

    def choose_extension(self, request):
        return None


def failed(name: str, why: str) -> Verdict:
    return Verdict(BY_ID[name], Outcome.FAIL, why, "something else")


def report_flags(folder: Path) -> list[str]:
    return [part for kind in FORMATS for part in (f"--{kind}", str(folder / kind))]


def grouped(*failures: Verdict) -> list[list[str]]:
    return [[verdict.case.id for verdict in cause] for cause in causes(failures)]


class TestCauses:
    """Failures with one probable cause are shown once"""

    def test_one_behaviour_in_one_group_of_cases_is_one_cause(self):
        assert grouped(
            failed("6.length.126", "BINARY of 126 bytes: 00 01"), failed("6.length.127", "BINARY of 127 bytes: 00 01")
        ) == [["6.length.126", "6.length.127"]]

    def test_two_behaviours_are_two_causes(self):
        assert len(grouped(failed("6.length.126", "it ended TCP"), failed("6.length.127", "nothing for 3 s"))) == 2

    def test_one_status_is_one_cause_only_from_three_groups_of_a_chapter_on(self):
        got = "HTTP/1.1 101 Switching Protocols"
        two = [failed("3.key.short", got), failed("3.version.12", got)]
        assert grouped(*two) == [["3.key.short"], ["3.version.12"]]
        assert grouped(*two, failed("3.method.post", got)) == [["3.version.12", "3.method.post", "3.key.short"]]

    def test_a_refused_valid_handshake_is_one_cause_in_all_chapters(self):
        refusals = ("HTTP/1.1 503 Service Unavailable", "the end of TCP")
        names = ("4.status.101", "6.length.126")
        failures = [failed(n, f"the handshake was answered with {r}") for n, r in zip(names, refusals, strict=True)]
        assert grouped(*failures) == [["6.length.126", "4.status.101"]], "the MUST comes first"

    def test_a_crash_of_the_server_comes_first(self):
        crash = failed("9.bomb.survived", "the end of the server itself")
        crash.crashed = True
        assert grouped(failed("6.length.126", "it ended TCP"), crash) == [["9.bomb.survived"], ["6.length.126"]]

    def test_a_must_explains_a_cause(self):
        # The second one is a SHOULD; both orders give the same.
        assert BY_ID["3.key.short"].level is Level.SHOULD
        pair = [failed("3.key.short", "x"), failed("3.key.missing", "x")]
        assert grouped(*pair) == [["3.key.missing", "3.key.short"]]

    def test_the_first_cause_is_in_full_and_the_others_in_short(self, capsys):
        class Two(Shifts, NoDeflate):
            pass

        only = ["--only", "6.length.12*", "--only", "9.agree"]
        with serving(Two) as url:
            _, out, _ = run(capsys, url, *only)
            _, everything, _ = run(capsys, url, *only, "--all")
        assert out.index("✗ 6.length.126") < out.index("2 failures, probably with the same cause")
        assert "    6.length.127, 6.length.128" in out
        assert "✗ 6.length.127" not in out
        assert out.index("on the wire") < out.index("✗ 9.agree.browser")
        assert out.count("    on the wire\n") == 1
        assert "The rule for one cause" in out
        assert "✗ 6.length.127" in everything
        assert everything.count("    on the wire\n") == 4
        assert "The rule for one cause" not in everything

    def test_first_stops_at_the_first_failure(self, capsys):
        with serving(Shifts) as url:
            code, out, _ = run(capsys, url, "--only", "6.length", "--only", "7.utf8", "--first", "--jobs", "1")
        assert code == 1
        assert "✗ 6.length.126" in out
        assert "Stopped: --first: a case failed." in out
        assert re.search(r"5 of \d+ played: 4 passed, 1 failed", out), out

    def test_a_hint_speaks_of_the_protocol_and_not_of_python(self):
        words = re.compile(r"\bPython|\brecv\b|\bsendall\b|\w\(\)|b''|wbits|http\.server|\.encode|struct|usegmt")
        assert {case.id: case.hint for case in CASES if words.search(case.hint)} == {}

    def test_a_server_that_opens_no_websocket_is_told_how_many_cases_depend_on_it(self, capsys, tmp_path):
        class Closed(ReferenceServer):
            def complete_upgrade(self, request):
                self.answer("403 Forbidden", "Date: Sun, 06 Nov 1994 08:49:37 GMT", "Content-Length: 0")

        with serving(Closed) as url:
            code, out, _ = run(capsys, url, "--only", "4.status.101", "--only", "6.length")
            nothing, last, _ = run(capsys, url, "--only", "6.length")
            (tmp_path / "known.txt").write_text("")
            gate, *_ = run(
                capsys, url, "--only", "4.status.101", "--only", "6.length", "--baseline", str(tmp_path / "known.txt")
            )
        assert code == 0
        assert gate == 1, "an empty baseline makes a gate of it"
        assert f"and {LENGTHS} cases that need a WebSocket: they were not played" in out
        assert f"{LENGTHS} cases skipped: an ordinary handshake does not get 101" in out
        assert re.search(rf"6  Frames +none played .* 0 of {LENGTHS} played", out)
        assert f"no MUST is broken (1 of {LENGTHS + 1} played: " in out
        assert nothing == 1
        assert "no case was played, so nothing is known" in last


class TestNoGreen:
    """A chapter whose cases were not all played is not green"""

    def test_a_chapter_counts_what_was_not_played(self):
        with serving(NoDeflate) as url:
            report = grade(parse_target(url), select(only=["9.agree", "9.message", "6.length"]))
        shown = "\n".join(wsref.check.report.as_text(report, Ansi(True)))
        assert re.search(r"6  Frames *\x1b\[32m +(\d+)/\1\x1b", shown)
        assert re.search(r"9  Compression +\x1b\[2m +none played.*1 of \d+ played", shown)
        assert f"\x1b[33mno MUST is broken ({LENGTHS + 1} of " in shown, "and the conclusion is not green either"

    def test_a_run_of_passed_cases_is_green(self):
        with serving(ReferenceServer) as url:
            report = grade(parse_target(url), select(only=["6.length"]))
        assert f"\x1b[32mno MUST is broken ({LENGTHS} played: " in "\n".join(
            wsref.check.report.as_text(report, Ansi(True))
        )


class TestTheWire:
    """The bytes under a failure show what matters"""

    def shown(self, name: str, *chunks: tuple[bool, bytes]) -> list[str]:
        verdict = failed(name, "x")
        verdict.recorded = [list(chunks)]
        return list(conversation(verdict, Ansi(False)))

    def test_an_empty_line_and_a_bare_line_end_are_visible(self):
        request = b"\r\nGET / HTTP/1.1\r\nHost: a \nX: b\rc\r\n\r\n"
        answer = b"HTTP/1.1 400 Bad Request\r\n\r\n"
        assert self.shown("1.line.two-blanks", (True, request), (False, answer)) == [
            "sent ␍␊",
            "     GET / HTTP/1.1",
            "     Host: a␠␊",
            r"     X: b\rc",
            "     ␍␊",
            "got  HTTP/1.1 400 Bad Request",
            "     ␍␊",
        ]

    def test_a_head_without_its_end_has_no_empty_line(self):
        assert self.shown("1.cut.head", (True, b"GET / HTTP/1.1\r\nHost: a\r\n"))[-1] == "     Host: a"

    def test_an_answer_that_is_not_http_is_text_and_not_frames(self):
        lines = self.shown(
            "1.line.two-blanks", (True, b"GET / HTTP/1.1\r\n\r\n"), (False, b"<p>\x1b[2J\n"), (False, b"")
        )
        assert lines[-2:] == [r"got  <p>\x1b[2J␊", "got  the end of TCP"]
        lines = self.shown("1.line.two-blanks", (True, b"GET / HTTP/1.1\r\n\r\n"), (False, b"x" * 5000))
        assert lines[-1] == "     ... and 4800 more bytes"

    def test_of_a_long_head_the_first_lines_and_the_last_one_are_shown(self):
        head = b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(30)) + b"\r\n"
        answer = b"HTTP/1.1 431 Request Header Fields Too Large\r\n\r\n"
        lines = self.shown("1.flood.many-headers", (True, head), (False, answer))
        assert lines[11:14] == ["     X-10: y", "     ... 19 more lines", "     ␍␊"]

    def test_each_of_several_connections_has_its_number(self):
        verdict = failed("1.flood.many-headers", "x")
        verdict.recorded = [[(True, b"GET / HTTP/1.1\r\n\r\n")]] * 2
        shown = list(conversation(verdict, Ansi(False)))
        assert [line for line in shown if line.startswith("connection")] == ["connection 1", "connection 2"]

    def test_a_run_of_equal_frames_takes_one_line_and_the_last_words_are_shown(self):
        upgrade = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        upgrade += b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        answer = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        answer += b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
        pings = b"".join(bytes([0x89, 0x81, 0, 0, 0, 0, number]) for number in range(30))
        many = b"\x00\x80\x37\xfa\x21\x3d" * 5000
        sent = [(True, upgrade), (False, answer), (True, b"\x01\x80\x37\xfa\x21\x3d" + many)]
        lines = self.shown("11.limits.fragments", *sent, (False, b"\x88\x02\x03\xf1"))
        assert lines[0] == "(the opening handshake)"
        assert lines[5] == "     ... and 4999 more like this"
        assert lines[6].startswith("got  CLOSE, FIN, 2 bytes: 1009")
        lines = self.shown("7.ping.three", *sent[:2], (True, pings), (False, b"\x88\x02\x03\xf1"))
        assert "... 19 more ..." in lines
        assert lines[-2].startswith("got  CLOSE")


def reported(*verdicts: Verdict, known: dict[str, str] | None = None) -> Report:
    return Report(parse_target("ws://127.0.0.1/"), Capabilities(101, echo=True), list(verdicts), known=known)


class TestPages:
    """The formats, without a run"""

    def test_markdown_folds_the_failures_of_one_cause_and_names_fixed_cases(self):
        alike = [failed(f"6.length.{size}", f"BINARY of {size} bytes: 00") for size in (126, 127)]
        passed = Verdict(BY_ID["6.length.125"], Outcome.PASS)
        page = as_markdown(reported(*alike, passed, known={"6.length.125": "we know"}), version="1", date="today")
        assert "<details><summary>and 1 failure, probably with the same cause</summary>" in page
        assert "<details><summary>1 case of the baseline passed</summary>\n\n<code>6.length.125</code>" in page
        assert "The rule for one cause" in page

    def test_of_many_reasons_to_skip_the_text_shows_the_most_frequent(self):
        names = list(BY_ID)[:6]
        skipped = [Verdict(BY_ID[name], Outcome.SKIP, f"reason {n // 2}") for n, name in enumerate(names)]
        more = [Verdict(BY_ID[name], Outcome.SKIP, f"other {name}") for name in list(BY_ID)[6:10]]
        lines = list(as_text(reported(*skipped, *more), Ansi(False)))
        assert "2 cases skipped: reason 1" in lines
        assert "4 cases skipped for other reasons: -v shows them" in lines

    def test_a_failure_that_had_no_connection_shows_no_bytes(self):
        lines = list(as_text(reported(failed("6.length.126", "no connection")), Ansi(False)))
        assert any("no connection" in line for line in lines)
        assert not any("on the wire" in line for line in lines)

    def test_a_should_that_failed_is_no_failure_for_junit(self):
        should = next(case for case in CASES if case.level is Level.SHOULD)
        page = as_junit(reported(Verdict(should, Outcome.FAIL, "late", "in time")), date="2026-01-01")
        root = ElementTree.fromstring(page)
        assert root.find(".//testcase/skipped").get("message") == f"SHOULD failed: {should.title}: late"
        assert root.get("failures") == "0"


class TestBaseline:
    """A baseline accepts known failures, and no new one"""

    ONLY = ("--only", "6.length", "--only", "9.agree")

    @pytest.fixture
    def known(self, tmp_path, capsys):
        with serving(Shifts) as url:
            code, _, err = run(capsys, url, *self.ONLY, "--write-baseline", str(tmp_path / "known.txt"))
        assert code == 0
        assert "lists 11 known failures" in err
        return tmp_path / "known.txt"

    def test_it_is_readable_one_id_a_line_with_a_reason(self, known):
        lines = known.read_text().splitlines()
        assert lines[0].startswith("# Known failures of ws://127.0.0.1:")
        assert re.fullmatch(r"6\.length\.126 +MUST: BINARY of 126 bytes: 01 02 .*", lines[2])
        assert next(iter(parse(lines))) == "6.length.126"

    def test_known_failures_are_listed_and_exit_with_0(self, known, capsys):
        with serving(Shifts) as url:
            code, out, _ = run(capsys, url, *self.ONLY, "--baseline", str(known))
        assert code == 0
        assert "✗" not in out
        assert "11 failures of the baseline:" in out
        assert f"no new failure, 11 known ({LENGTHS + 1} played: " in out

    def test_a_new_failure_of_any_level_exits_with_1(self, known, capsys):
        class Two(Shifts, NoDeflate):
            pass

        with serving(Two) as url:
            code, out, _ = run(capsys, url, *self.ONLY, "--baseline", str(known))
        assert code == 1
        assert "✗ 9.agree.browser  INTEROP" in out
        assert "1 new failure, 11 known" in out

    def test_a_fixed_case_is_named(self, known, capsys):
        with serving(ReferenceServer) as url:
            code, out, _ = run(capsys, url, *self.ONLY, "--baseline", str(known))
        assert code == 0
        assert "11 cases of the baseline passed" in out
        assert "6.length.524288" in out

    def test_every_format_knows_the_known_failures(self, known, tmp_path, capsys):
        with serving(Shifts) as url:
            run(capsys, url, *self.ONLY, "--baseline", str(known), *report_flags(tmp_path))
        report = json.loads((tmp_path / "json").read_text())
        assert report["ok"] is True
        assert {c["id"] for c in report["cases"] if c["known"] is not None} == set(
            parse(known.read_text().splitlines())
        )
        root = ElementTree.parse(tmp_path / "junit").getroot()
        assert (root.get("failures"), root.get("tests")) == ("0", str(LENGTHS + 1))
        message = root.find(".//testcase[@name='6.length.126']/skipped").get("message")
        assert message.startswith("known: MUST: BINARY of 126")
        assert "11 failures of the baseline" in (tmp_path / "markdown").read_text()
        assert "<dt>baseline</dt><dd>MUST: BINARY" in (tmp_path / "html").read_text()

    def test_a_reason_with_control_characters_leaves_junit_well_formed(self):
        report = reported(failed("6.length.126", "x"), known=parse(["6.length.126  our \x1bbug\x01"]))
        root = ElementTree.fromstring(as_junit(report, date="2026-01-01T00:00:00+00:00"))
        assert root.find(".//skipped").get("message").startswith(r"known: our \x1bbug\x01: MUST failed")

    def test_reasons_and_unplayed_lines_are_kept_and_fixed_ones_go(self, tmp_path, capsys):
        file = tmp_path / "known.txt"
        file.write_text("6.length.126\tour bug 7\n6.length.0  was wrong\n3.key.short  until release 2\n")
        with serving(Shifts) as url:
            run(capsys, url, "--only", "6.length", "--write-baseline", str(file))
        known = parse(file.read_text().splitlines())
        assert (known["6.length.126"], known["3.key.short"]) == ("our bug 7", "until release 2")
        assert "6.length.0" not in known
        assert "6.length.127" in known

    @pytest.mark.parametrize(
        "text, complaint",
        [
            ("6.lenght.126 x", "line 1: no case is called '6.lenght.126'; the nearest id is 6.length.126"),
            ("\n# x\nnonsense", "line 3: no case is called 'nonsense'; check --list lists all ids"),
            ("6.length.126\n6.length.126", "line 2: 6.length.126 is already in an earlier line"),
            (b"\xff", "known.txt is not UTF-8"),
            (
                b"\xef\xbb\xbf# the mark that Windows writes\r\n6.length.126\tx\r\n\r\nx\r\n",
                "line 4: no case is called 'x'",
            ),
            (None, "No such file or directory; --write-baseline"),
        ],
    )
    def test_a_wrong_file_is_one_sentence_and_exit_code_2(self, tmp_path, capsys, text, complaint):
        file = tmp_path / "known.txt"
        if text is not None:
            file.write_bytes(text if isinstance(text, bytes) else text.encode())
        code, out, err = run(capsys, "ws://127.0.0.1:1/", "--baseline", str(file))
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert complaint in err

    def test_a_run_that_stopped_writes_no_baseline(self, tmp_path, capsys):
        file = tmp_path / "known.txt"
        with serving(Shifts) as url:
            code, _, err = run(capsys, url, "--only", "6.length", "--first", "--write-baseline", str(file))
        assert code == 1
        assert "is not written, because the run stopped early" in err
        assert not file.exists()

    def test_a_reason_with_control_characters_stays_on_its_line(self):
        report = Report(parse_target("ws://a/"), Capabilities(), [])
        try:
            raise Failed("x\n3.key.short y")
        except Failed as failure:
            report.verdicts = [failed("6.length.126", failure.got)]
        assert list(parse(as_lines(report, {}).splitlines())) == ["6.length.126"]


class TestExcept:
    """Cases that the caller leaves out are listed as not played, in every format"""

    def test_they_are_not_played_and_every_report_says_so(self, tmp_path, capsys):
        with serving(Shifts) as url:
            arguments = ["--only", "6.length", "--except", "6.length.1?*", "--except", "6.length.[2356]*"]
            code, out, _ = run(capsys, url, *arguments, "-v", *report_flags(tmp_path))
        assert code == 0
        assert "· 6.length.126 " in out
        assert "(not played: --except 6.length.1?*)" in out
        assert re.search(r"\d cases not played: --except 6\.length\.1\?\*", out)
        assert re.search(rf"\d+ of {LENGTHS} played", out)
        cases = {case["id"]: case for case in json.loads((tmp_path / "json").read_text())["cases"]}
        assert (cases["6.length.126"]["outcome"], cases["6.length.0"]["outcome"]) == ("unplayed", "pass")
        skipped = ElementTree.parse(tmp_path / "junit").find(".//testcase[@name='6.length.126']/skipped")
        assert skipped.get("message") == "not played: --except 6.length.1?*"
        assert "cases not played: --except 6.length.1?" in (tmp_path / "markdown").read_text()
        assert "(not played: --except 6.length.1?*)" in (tmp_path / "html").read_text()

    def test_list_leaves_them_out(self, capsys):
        code, out, _ = run(capsys, "--list", "--only", "4.accept", "--except", "4.accept.[fou]*")
        assert (code, [line.split()[0] for line in out.splitlines()]) == (0, ["4.accept.value"])

    @pytest.mark.parametrize(
        "arguments, complaint",
        [(["--except", "6.nothing"], "no case is called"), (["--only", "6.length", "--except", "6"], "leaves no case")],
    )
    def test_a_pattern_that_is_wrong_or_leaves_nothing_is_a_usage_error(self, capsys, arguments, complaint):
        code, _, err = run(capsys, "ws://127.0.0.1:1/", *arguments)
        assert code == 2
        assert complaint in err


class TestHeaders:
    """--header, --origin and --subprotocol reach a server behind a login"""

    def test_each_request_has_them_and_no_report_shows_the_value(self, tmp_path, capsys):
        requests = []

        class Guarded(ReferenceServer):
            def check_head(self, request):
                requests.append(dict(request.headers))
                super().check_head(request)

            def is_allowed_origin(self, request):
                return True

        arguments = ["--only", "4.accept.value", "--only", "6.length.0", "--trace", "--header", "X-Token: s3cret,word"]
        with serving(Guarded) as url:
            code, out, _ = run(capsys, url, *arguments, "--origin", "https://app.example", *report_flags(tmp_path))
        assert code == 0, out
        assert {request["x-token"] for request in requests} == {"s3cret,word"}
        assert {request["origin"] for request in requests} == {"https://app.example"}
        assert "X-Token: ***" in out
        assert "s3cret" not in out + "".join((tmp_path / kind).read_text() for kind in FORMATS)

    def test_a_case_keeps_the_header_that_it_is_about(self):
        origin, chat = ("Origin", "https://app.example"), ("Sec-WebSocket-Protocol", "chat")
        for head in (b"GET / HTTP/1.1\r\nOrigin: null", b"GET / HTTP/1.1\r\nsec-websocket-origin: http://b"):
            assert with_headers(head, [origin]) == head
        own = b"GET / HTTP/1.1\r\nOrigin: http://{host}\r\nA: b"
        assert with_headers(own, [origin]) == b"GET / HTTP/1.1\r\nOrigin: https://app.example\r\nA: b"
        other = b"GET / HTTP/1.1\r\nOrigin: http://{host}.evil.example"
        assert with_headers(other, [origin, chat]) == other + b"\r\nSec-WebSocket-Protocol: chat"

    def test_a_subprotocol_is_offered_and_its_acceptance_is_no_fault(self, capsys):
        offered = []

        class Asked(ReferenceServer):
            def check_head(self, request):
                offered.extend(value for name, value in request.headers if name == "sec-websocket-protocol")
                super().check_head(request)

        with serving(Asked) as url:
            code, out, _ = run(
                capsys, url, "--only", "4.protocol", "--subprotocol", "chat", "--subprotocol", "soap", "-v"
            )
        assert code == 0
        assert "chat, soap" in offered
        assert "- 4.protocol.unasked " in out
        assert "the caller adds Sec-WebSocket-Protocol to each handshake" in out

    @pytest.mark.parametrize(
        "header, complaint",
        [
            ("X-Token", "a header is 'Name: value'"),
            ("X Token: a", "a header is 'Name: value'"),
            ("X: a\r\nY: b", "a header is 'Name: value'"),
            ("Host: a", "the cases set Host themselves"),
            ("origin: a", "origin has a flag: --origin"),
            ("Sec-WebSocket-Protocol: a", "has a flag: --subprotocol"),
        ],
    )
    def test_a_wrong_header_is_a_usage_error(self, capsys, header, complaint):
        code, _, err = run(capsys, "ws://127.0.0.1:1/", "--header", header)
        assert code == 2
        assert complaint in err

    @pytest.mark.parametrize("status, body", [(b"200 4711-abc", b""), (b"401 No", b"no such token: 4711-abc")])
    def test_a_secret_that_the_server_repeats_is_hidden(self, capsys, tmp_path, status, body):
        class Repeats(socketserver.StreamRequestHandler):
            def handle(self):
                while self.rfile.readline().strip():
                    pass
                self.wfile.write(b"HTTP/1.1 %b\r\nConnection: close\r\n" % status)
                self.wfile.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))

        files = report_flags(tmp_path)
        with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Repeats) as server:
            threading.Thread(target=server.serve_forever, args=(0.02,)).start()
            try:
                url = f"ws://127.0.0.1:{server.server_address[1]}/"
                _, out, err = run(capsys, url, "--only", "5.*", "--all", "--header", "X-Token: 4711-abc", *files)
            finally:
                server.shutdown()
        assert "***" in out
        for report in (out, err, *(file.read_text() for file in tmp_path.iterdir())):
            assert "4711-abc" not in report and b"4711-abc".hex() not in report

    def test_a_secret_that_a_frame_repeats_without_its_scheme_or_in_part_is_hidden(self, tmp_path, capsys):
        token = "tok\\en'" + "qzjxkvbwQZJXKVBW" * 8  # longer than a reason, and with characters that a text escapes

        class Repeats(ReferenceServer):
            def on_message(self, opcode, message):
                self.send_frame(8, b"\x03\xf0bad token " + token.encode()[:100])

        files = report_flags(tmp_path)
        with serving(Repeats) as url:
            arguments = [url, "--only", "6.echo", "--only", "7.ping", "--all", "-v", "--trace"]
            _, out, err = run(capsys, *arguments, "--header", f"Authorization: Bearer {token}", *files)
        for report in (out, err, *(file.read_text() for file in tmp_path.iterdir())):
            assert "xkvbwQZ" not in report and b"xkvbwQZ".hex() not in report
            assert b"xkvbwQZ".hex(" ") not in report

    def test_a_secret_that_is_sent_in_pieces_is_hidden_too(self):
        recorded = [(True, b"A: s3c"), (True, b"ret\r\n"), (False, b"s3cret?"), (False, b"")]
        assert without_secrets(recorded, ["s3cret"]) == [(True, b"A: ***\r\n"), (False, b"***?"), (False, b"")]


class TestTheEnd:
    """A run that ends early keeps its results, and says what was not played"""

    def test_max_time_begins_no_further_case(self, tmp_path, capsys):
        with serving(ReferenceServer) as url:
            code, out, _ = run(capsys, url, "--only", "6.length", "--max-time", "0.000001", *report_flags(tmp_path))
        assert code == 1
        assert f"{LENGTHS} cases not played: --max-time: the time is over" in out
        assert f"6.length ({LENGTHS})" in out
        assert "Stopped: --max-time: the time is over." in out
        report = json.loads((tmp_path / "json").read_text())
        assert {case["outcome"] for case in report["cases"]} == {"unplayed"}
        assert (report["ok"], len(report["cases"])) == (False, LENGTHS)
        root = ElementTree.parse(tmp_path / "junit").getroot()
        assert (root.get("errors"), root.get("tests")) == ("1", str(LENGTHS + 1))
        assert len(root.findall(".//testcase/skipped")) == LENGTHS
        for kind in ("markdown", "html"):
            text = (tmp_path / kind).read_text()
            assert all(case.id in text for case in select(only=["6.length"])), kind

    @pytest.mark.parametrize("answers", [0, pytest.param(15, marks=pytest.mark.slow)])
    def test_ctrl_c_keeps_what_was_measured_in_whole_files(self, tmp_path, answers):
        asked = []

        def talk(sock):
            sock.recv(65536)
            asked.append(1)
            if len(asked) <= answers:
                sock.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            else:
                listening(sock)

        with speaking(talk) as url:
            command = [sys.executable, "-m", "wsref", "check", url, "--timeout", "2", *report_flags(tmp_path)]
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
                try:
                    wait_until(lambda: len(asked) > answers)
                    process.send_signal(signal.SIGINT)
                    out, err = process.communicate(timeout=DEADLINE)
                finally:
                    process.kill()
        assert process.returncode == 130, err
        assert "Traceback" not in err
        assert re.search(r"Stopped: Ctrl-C\.  \d+ cases were not played", out)
        report = json.loads((tmp_path / "json").read_text())
        assert (len(report["cases"]), report["stopped"]) == (len(CASES), "Ctrl-C")
        assert answers == 0 or any(case["outcome"] != "unplayed" for case in report["cases"])
        assert ElementTree.parse(tmp_path / "junit").find(".//error").get("message") == "Ctrl-C"
        assert (tmp_path / "html").read_text().endswith("</html>\n")
        assert sorted(file.name for file in tmp_path.iterdir()) == sorted(FORMATS), "no temporary file is left"

    def test_without_a_server_the_reports_say_so_and_the_exit_code_is_2(self, tmp_path, capsys):
        with free_port() as port:
            code, out, err = run(capsys, f"ws://127.0.0.1:{port}/", "--only", "6.length", *report_flags(tmp_path))
        assert (code, out) == (2, "")
        assert err.startswith("wsref: cannot grade")
        error = ElementTree.parse(tmp_path / "junit").find(".//error")
        assert "Connection refused" in error.get("message")
        assert json.loads((tmp_path / "json").read_text())["ok"] is False
        assert "Connection refused" in (tmp_path / "markdown").read_text()

    def test_a_file_is_written_wholly_or_not_at_all(self, tmp_path, monkeypatch):
        file = tmp_path / "report"
        file.write_text("old")

        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "replace", full)
        with pytest.raises(Exception, match="No space left on device"):
            write_whole(str(file), b"new")
        assert file.read_text() == "old"
        assert list(tmp_path.iterdir()) == [file]

    @pytest.mark.parametrize("step", ["os.replace", "pathlib.Path.write_bytes"])
    def test_where_only_the_file_can_be_written_it_is_written_in_place(self, tmp_path, monkeypatch, step):
        file = tmp_path / "report"
        file.write_text("old")
        real = Path.write_bytes

        def only_this_file(path, data):
            if path.name != "report":
                raise PermissionError(errno.EACCES, "Permission denied")
            return real(path, data)

        def mounted(*_):
            raise OSError(errno.EBUSY, "Device or resource busy")

        monkeypatch.setattr(step, mounted if step == "os.replace" else only_this_file)
        write_whole(str(file), b"new")
        assert file.read_text() == "new"
        assert list(tmp_path.iterdir()) == [file]

    def test_a_device_can_be_written(self):
        write_whole("/dev/null", b"x")
        assert not Path("/dev/null").is_file()

    def test_the_reader_of_a_pipe_gets_the_report(self, tmp_path):
        check = shlex.join([sys.executable, "-m", "wsref", "check", "ws://127.0.0.1:1/"])
        script = f"mkfifo named; cat named > a & {check} --json named --html >(cat > b); wait"
        subprocess.run(
            ["bash", "-c", script], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=DEADLINE
        )
        assert json.loads((tmp_path / "a").read_text())["ok"] is False
        wait_until(lambda: (tmp_path / "b").read_text().endswith("</html>\n"))

    def test_each_agent_has_files_of_its_own(self, tmp_path):
        folder = AutobahnFolder(str(tmp_path), "1")
        agents = ["a b", "a_b", "A/B", "a_b", "index", "INDEX", "...", "agent", "é"]
        for agent in agents:
            result = Report(parse_target("ws://127.0.0.1/"), Capabilities(), [], stopped=agent)
            folder.add(agent, result, {})
        index = json.loads((tmp_path / "index.json").read_text())
        assert set(index) == set(agents)
        files = {path.stem.lower(): json.loads(path.read_text()) for path in tmp_path.glob("*.json")}
        assert len(files) == len(index) + 1
        assert {report["stopped"] for name, report in files.items() if name != "index"} == set(agents)

    def test_only_one_report_goes_to_standard_output(self, capsys):
        code, _, err = run(capsys, "ws://127.0.0.1:1/", "--json", "-", "--junit", "-")
        assert code == 2
        assert "only one report can go to standard output" in err

    @pytest.mark.parametrize("kind", FORMATS)
    @pytest.mark.parametrize("flag", ["--baseline", "--write-baseline"])
    def test_a_report_does_not_overwrite_a_baseline(self, tmp_path, capsys, flag, kind):
        known, link = tmp_path / "known.txt", tmp_path / "link"
        known.write_text("6.length.126  our bug 7\n")
        link.symlink_to(known)
        code, out, err = run(capsys, "ws://127.0.0.1:1/", flag, str(known), f"--{kind}", str(link))
        assert (code, out) == (2, "")
        assert f"a report to {link} would overwrite the file of {flag}" in err
        assert known.read_text() == "6.length.126  our bug 7\n"

    def test_a_report_does_not_overwrite_a_certificate_a_key_or_a_spec(self, tmp_path, capsys, certificate):
        spec = tmp_path / "spec"
        spec.write_text("{}")
        tls = ["--certfile", certificate[0], "--keyfile", certificate[1]]
        for arguments, files in (
            (["wss://127.0.0.1:1/", "--cafile", certificate[0]], {"--cafile": certificate[0]}),
            (["--client", *tls], {"--certfile": certificate[0], "--keyfile": certificate[1]}),
            (["--client", "--spec", str(spec)], {"--spec": str(spec)}),
        ):
            for flag, file in files.items():
                before = Path(file).read_bytes()
                code, out, err = run(capsys, *arguments, "--json", file)
                assert (code, out) == (2, "")
                assert f"a report to {file} would overwrite the file of {flag}" in err
                assert Path(file).read_bytes() == before

    def test_a_device_may_be_a_baseline_and_a_report(self, capsys):
        code, _, err = run(capsys, "ws://127.0.0.1:1/", "--baseline", os.devnull, "--json", os.devnull)
        assert code == 2
        assert "cannot grade ws://127.0.0.1:1/" in err


#: The attributes that the schemas of Jenkins (xunit-plugin, junit-10.xsd) and of pytest require and allow.
REQUIRED = {"testsuite": {"name", "tests", "failures", "errors"}, "testcase": {"name"}}
ALLOWED = {
    "testsuites": {"name", "time", "tests", "failures", "errors"},
    "testsuite": {*REQUIRED["testsuite"], "time", "skipped", "timestamp", "hostname"},
    "testcase": {"name", "classname", "time"},
    "failure": {"message", "type"},
    "error": {"message", "type"},
    "skipped": {"message"},
}
CHILDREN = {"testsuites": {"testsuite"}, "testsuite": {"testcase"}, "testcase": {"skipped", "failure", "error"}}


class TestStandardOutput:
    """A report on standard output"""

    @pytest.mark.parametrize("kind", ["junit", "html", "markdown", "json"])
    def test_is_utf_8_in_every_locale(self, monkeypatch, kind):
        latin = io.TextIOWrapper(io.BytesIO(), encoding="latin-1", errors="backslashreplace")
        monkeypatch.setattr("sys.stdout", latin)
        ReportFiles({kind: "-"}).write(reported(failed("6.length.126", "CLOSE 1002")), "1")
        latin.flush()
        text = latin.buffer.getvalue().decode("utf-8")
        assert kind == "json" or "RFC 6455 §5.2" in text


class TestJUnit:
    """JUnit's XML is valid for Jenkins, and for the readers of pytest's reports"""

    @pytest.mark.parametrize("flags", [[], ["--first"], ["--max-time", "0.000001"], ["--except", "6.length.126"]])
    def test_elements_attributes_and_counts_are_those_of_the_schemas(self, tmp_path, capsys, flags):
        file = tmp_path / "junit.xml"
        with serving(Shifts) as url:
            run(capsys, url, "--only", "6.length", "--only", "9.agree", "--junit", str(file), *flags)
        root = ElementTree.parse(file).getroot()
        assert root.tag == "testsuites"
        for element in root.iter():
            assert set(element.attrib) <= ALLOWED[element.tag], element.attrib
            assert REQUIRED.get(element.tag, set()) <= set(element.attrib), element.attrib
            assert {child.tag for child in element} <= CHILDREN.get(element.tag, set())
            assert re.fullmatch(r"[0-9]{1,3}\.[0-9]{3}", element.get("time", "0.000"))
        for suite in (root, *root):
            counts = {"tests": "testcase", "failures": "failure", "errors": "error"}
            counts |= {"skipped": "skipped"} if suite.tag == "testsuite" else {}
            for name, tag in counts.items():
                assert int(suite.get(name)) == len(suite.findall(f".//{tag}")), name
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", root[0].get("timestamp"))


class TestJson:
    """The schema is versioned, and its keys are stable"""

    def test_it_has_these_keys(self, tmp_path, capsys):
        with serving(Shifts) as url:
            run(capsys, url, "--only", "6.length", "--json", str(tmp_path / "j"))
        report = json.loads((tmp_path / "j").read_text())
        assert (report["schema"], report["wsref"]) == (1, wsref.__version__)
        assert set(report) >= {
            "url",
            "date",
            "found",
            "stopped",
            "ok",
            "seconds",
            "summary",
            "causes",
            "fixed",
            "cases",
        }
        keys = {"id", "chapter", "level", "section", "title", "quote", "sends", "accepts", "hint", "outcome", "why"}
        assert set(report["cases"][0]) == keys | {"expected", "known", "seconds", "wire"}
        assert set(report["summary"]["MUST"]) == {"passed", "failed", "skipped", "unplayed"}
        assert report["causes"] == [[case["id"] for case in report["cases"] if case["outcome"] == "fail"]]

    def test_no_id_of_the_first_release_is_gone(self):
        # Ids are stable: baselines name them.  A case that goes keeps its id as a name of its successor.
        first = (ROOT / "tests" / "check_ids.txt").read_text().split()
        assert sorted(set(first) - set(BY_ID)) == []


EVIL = "\x1b[31mred\x07\x9b2J\x08"
RAW = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def rude(place: str) -> type[ReferenceServer]:
    """A server that sends control characters of a terminal in one place."""
    status = f"101 {EVIL}" if place == "phrase" else "101 Switching Protocols"
    evil = EVIL.encode("latin-1")

    def talk(sock: socket.socket) -> None:
        request = sock.recv(65536)
        if b"\r\n\r\n" not in request:
            return
        if place == "no http":
            sock.sendall(b"SSH-2.0-" + evil + b"\r\n\r\n")
        if place == "interim":
            sock.sendall(b"HTTP/1.1 103 " + evil + b"\r\n\r\n" * 9 + (b"HTTP/1.1 103 " + evil + b"\r\n\r\n") * 10)
        if place == "refusal":
            sock.sendall(b"HTTP/1.1 200 " + evil + b"\r\nContent-Length: 3\r\n\r\n\x1b[2")
            return
        lines = [f"HTTP/1.1 {status}", "Connection: Upgrade", "Upgrade: websocket"]
        lines += [f"{EVIL}: {EVIL}", f"X: {EVIL}"] if place == "header" else []
        accept = EVIL if place == "accept" else "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        lines += [f"Sec-WebSocket-Accept: {accept}", f"Date: {EVIL}", "", ""]
        sock.sendall("\r\n".join(lines).encode("latin-1"))
        if place == "text":
            sock.sendall(bytes([0x81, len(evil)]) + evil)
        if place == "reason":
            sock.sendall(bytes([0x88, 2 + len(evil), 3, 0xE8]) + evil)
            return
        listening(sock)

    return talk


class TestUntrustedBytes:
    """A byte of the server reaches no terminal and no file as it is"""

    @pytest.mark.parametrize(
        "place", ["phrase", "header", "accept", "text", "reason", "refusal", "interim", "no http", "nowhere"]
    )
    @pytest.mark.parametrize("flags", [["--all", "-v", "--trace"], []])
    def test_control_characters_are_escaped_in_every_output(self, tmp_path, capsys, place, flags):
        only = [
            part for group in ("1.answer", "4.accept", "4.status", "6.length.12?", "5") for part in ("--only", group)
        ]
        with speaking(rude(place)) as url:
            arguments = [url, *only, "--timeout", "0.3", *flags, *report_flags(tmp_path)]
            _, out, err = run(capsys, *arguments, "--write-baseline", str(tmp_path / "baseline"))
        files = {file.name: file.read_text() for file in tmp_path.iterdir()}
        assert set(files) >= set(FORMATS)
        for name, text in {"stdout": out, "stderr": err, **files}.items():
            assert not RAW.search(text), (name, RAW.search(text))

    def test_a_status_line_of_many_characters_makes_no_long_report(self, tmp_path, capsys):
        def talk(sock: socket.socket) -> None:
            sock.recv(65536)
            sock.sendall(b"HTTP/1.1 200 " + b"!" * 100_000 + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

        with speaking(talk) as url:
            _, out, _ = run(capsys, url, "--only", "1.host", "--only", "5.plain", "--all", *report_flags(tmp_path))
        assert "✗ 1.host.missing" in out and " …" in out
        assert len(out) < 100_000
        assert max(map(len, (tmp_path / "junit").read_text().splitlines())) < 10_000

    def test_an_answer_in_words_is_escaped(self):
        assert len(parse_answer(b"HTTP/1.1 200 OK\r\n" + b"x\r\n" * 100_000 + b"\r\n").faults) == 9
        assert len(parse_request(b"GET / HTTP/1.1\r\n" + b"x\r\n" * 10_000 + b"\r\n").faults) == 9
        assert str(parse_answer(b"HTTP/1.1 200 \x1b[2J\x07\r\n\r\n")) == r"HTTP/1.1 200 \x1b[2J\x07"
        assert Failed("\x1b", "\x07").got == r"\x1b"
        assert Failed("\x1b", "\x07").expected == r"\x07"
        assert str(Skipped("\x1b")) == r"\x1b"

    def test_markup_has_no_effect_in_markdown(self, tmp_path, capsys):
        class Marks(ReferenceServer):
            def accept_value(self, key):
                return "</pre><script>alert(1)</script> `a` | [x](http://evil.example) @all"

        with serving(Marks) as url:
            run(capsys, url, "--only", "4.accept.value", "--markdown", str(tmp_path / "m"))
        text = (tmp_path / "m").read_text()
        assert "<script" not in text
        assert "](http" not in re.sub(r"<pre>.*?</pre>", "", text, flags=re.DOTALL)


class TestTheTerminal:
    """What a person sees during the run"""

    def test_the_progress_line_is_cut_to_the_width_of_the_terminal(self, monkeypatch):
        class Terminal(io.StringIO):
            def isatty(self):
                return True

            def fileno(self):
                return 1

        monkeypatch.setattr(os, "get_terminal_size", lambda fd: os.terminal_size((20, 5)))
        for term, line in (("xterm", "\r\x1b[K1 of 518, 1 failed: 7.fragments.nothing"[:23]), ("dumb", "")):
            monkeypatch.setenv("TERM", term)
            terminal = Terminal()
            progress = Progress(518, terminal)
            progress.update(failed("7.fragments.nothing-to-continue-unfinished", "x"))
            assert terminal.getvalue() == line

    def test_nothing_is_described_that_is_not_shown(self, tmp_path, capsys, monkeypatch):
        described = []
        real = transcript.described
        monkeypatch.setattr(transcript, "described", lambda chunks, **how: described.append(1) or real(chunks, **how))
        with serving(Shifts) as url:
            run(capsys, url, "--only", "6.length", "--json", str(tmp_path / "j"))
        assert len(described) <= 2, "one case: its conversation and its picture"

    def test_help_names_every_exit_code_and_has_examples(self, capsys):
        code, out, _ = run(capsys, "-h")
        assert code == 0
        for words in ("exit code:", "  0    ", "  1    ", "  2    ", "  130  ", "--baseline known.txt", "NO_COLOR"):
            assert words in out, words
        assert max(map(len, out.splitlines())) <= 110

    @pytest.mark.parametrize("kind", ["folder", "key", "text", "missing"])
    def test_a_wrong_cafile_is_one_sentence(self, tmp_path, capsys, certificate, kind):
        text = tmp_path / "text.pem"
        text.write_text("no PEM")
        file = {"folder": tmp_path, "key": certificate[1], "text": text, "missing": tmp_path / "no.pem"}[kind]
        words = {
            "folder": "Is a directory",
            "key": "a private key",
            "text": "no certificate in PEM",
            "missing": "No such",
        }
        code, out, err = run(capsys, "wss://127.0.0.1:1/", "--cafile", str(file))
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert words[kind] in err


class TestOldPython:
    """A Python before 3.11 gets one clear line"""

    FILES = ("wsref/__init__.py", "wsref/__main__.py")

    @pytest.mark.parametrize("file", FILES)
    def test_the_files_that_say_so_parse_in_python_3_8(self, file):
        ast.parse((ROOT / file).read_text(), feature_version=(3, 8))

    @pytest.mark.parametrize("file", FILES)
    def test_nothing_that_an_old_python_lacks_comes_before_the_sentence(self, file):
        first, second, *_ = [
            node for node in ast.parse((ROOT / file).read_text()).body if not isinstance(node, ast.Expr)
        ]
        assert ast.unparse(first) == "import sys"
        assert ast.unparse(second).startswith("if sys.version_info < (3, 11)")

    @pytest.mark.parametrize(
        "how", ["runpy.run_module('wsref', run_name='__main__')", "runpy.run_path('wsref/__main__.py')"]
    )
    def test_it_is_one_line(self, how):
        program = f"import sys, runpy; sys.version_info = (3, 10, 13, 'final', 0)\n{how}"
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, timeout=DEADLINE
        )
        assert done.returncode != 0
        assert "wsref needs Python 3.11 or later, and this is Python 3.10" in done.stderr.splitlines()[-1]


@pytest.fixture(scope="module")
def zipapp(tmp_path_factory):
    """The zipapp of ``nox -s zipapp``, built without nox."""
    nox = types.ModuleType("nox")
    nox.options = types.SimpleNamespace()
    nox.session = lambda function=None, **_: function or (lambda decorated: decorated)
    nox.Session = object
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "nox", nox)
        build = runpy.run_path(str(ROOT / "noxfile.py"))["build_zipapp"]
    target = tmp_path_factory.mktemp("zipapp") / "wsref.pyz"
    build(target)
    return target


class TestZipapp:
    """One file, and no installation"""

    def test_it_grades_a_server_from_any_folder(self, zipapp, tmp_path):
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        with serving(Shifts) as url:
            command = [sys.executable, "-I", str(zipapp), "check", url, "--only", "6.length", "--junit", "check.xml"]
            done = subprocess.run(
                command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=DEADLINE
            )
        assert done.returncode == 1, done.stderr
        assert "✗ 6.length.126" in done.stdout
        assert (tmp_path / "check.xml").exists()

    def test_it_holds_no_compiled_files_and_starts_with_the_check_of_the_version(self, zipapp):
        import zipfile

        names = zipfile.ZipFile(zipapp).namelist()
        assert [name for name in names if name.endswith(".pyc")] == []
        assert zipfile.ZipFile(zipapp).read("__main__.py") == (ROOT / "wsref" / "__main__.py").read_bytes()


def commands_of(name: str) -> list[str]:
    """The lines of shell in an example of the how-to: a ``run: |`` block, or the items of ``script:``."""
    lines = (ROOT / "docs" / "examples" / name).read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.strip() in ("run: |", "script:"))
    indent = len(lines[start + 1]) - len(lines[start + 1].lstrip())
    block = [line for line in lines[start + 1 :] if line.startswith(" " * indent) or not line.strip()]
    block = block[: next((i for i, line in enumerate(block) if not line.startswith(" " * indent)), len(block))]
    return [line[indent:].removeprefix("- ") for line in block if "./my-server" in line or "python" in line]


@pytest.mark.parametrize("name", ["check-github.yml", "check-gitlab.yml"])
class TestTheHowTo:
    """docs/howto/check-in-ci.md: the commands for GitHub Actions and GitLab"""

    def test_its_flags_exist(self, name):
        starts, waits, grades = commands_of(name)
        assert starts.endswith("&") and waits.startswith("timeout")
        words = [word.strip('"') for word in grades.split()]
        assert words[:3] == ["python", "tools/wsref.pyz", "check"]
        options = build_parser().parse_args(words[2:])
        assert (options.max_time, options.junit) == (300, "check.xml")

    @pytest.mark.slow
    def test_they_run_in_another_folder_with_a_python_and_one_file(self, name, zipapp, tmp_path):
        (tmp_path / "tools").mkdir()
        (tmp_path / "tools" / "wsref.pyz").write_bytes(zipapp.read_bytes())
        for file, line in {
            "python": f'exec {shlex.quote(sys.executable)} -I "$@"',
            "my-server": f'PYTHONPATH={shlex.quote(str(ROOT))} exec {shlex.quote(sys.executable)} -m wsref "$@"',
        }.items():
            (tmp_path / file).write_text(f"#!/bin/sh\n{line}\n")
            (tmp_path / file).chmod(0o755)
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        environment |= {"PATH": f"{tmp_path}:{os.environ['PATH']}", "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md")}
        with free_port() as port:
            script = "\n".join(["set -e", *commands_of(name)]).replace("9000", str(port))
            process = subprocess.Popen(
                ["bash", "-c", script], cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, start_new_session=True
            )
            try:
                assert process.wait(2 * DEADLINE - 5) == 0
            finally:
                os.killpg(process.pid, signal.SIGTERM)  # the server
        assert ElementTree.parse(tmp_path / "check.xml").getroot().get("errors") == "0"
        assert "</html>" in (tmp_path / "check.html").read_text()
        assert name != "check-github.yml" or "✅" in (tmp_path / "summary.md").read_text()


def test_a_second_thread_of_a_stopped_run_starts_no_case():
    """--first with several jobs: the cases in progress end, no other one begins."""
    began = threading.Event()
    with serving(Shifts) as url:
        report = grade(
            parse_target(url), select(only=["6.length"]), is_enough=lambda v: began.set() or v.outcome is Outcome.FAIL
        )
    assert began.is_set()
    assert report.stopped == "--first: a case failed"
    assert report.count(Outcome.UNPLAYED) > 0
