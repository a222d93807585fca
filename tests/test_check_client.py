"""The grader of clients: its cases, its server, its protocols for drivers, and its command line."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import client_gallery
import gallery
import pytest
from conftest import DEADLINE, free_port, wait_until

import wsref
from wsref.check.case import Verdict
from wsref.check.cases import matches
from wsref.check.clients.agents import NO_ECHO, PROBE, Session
from wsref.check.clients.autobahn import SAME, behaviour, parse_spec, same_as
from wsref.check.clients.cases import CLIENT_CASES, select
from wsref.check.clients.command import ENOUGH_REPLAYS, CommandRun, parse_command
from wsref.check.clients.gallery import BROKEN_CLIENTS
from wsref.check.clients.grader import MAX_CONNECTIONS, Grader, Listeners, Plan
from wsref.check.clients.plays import ClientCase
from wsref.check.clients.reference import Disconnected, Failure, NotOpened, ReferenceClient
from wsref.check.clients.session import Agent, Client, ClientWire, parse_request
from wsref.check.codec import PING, PONG, TEXT
from wsref.check.gallery import reference
from wsref.check.runner import NotAnswering, Report, judge
from wsref.check.session import parse_target
from wsref.check.verdict import Level, Outcome
from wsref.cli.main import main

PYTHON = shlex.quote(sys.executable)  # it may lie in a folder whose name has blanks

NODE = Path(__file__).parent / "node"
FEW = ["c4.accept.wrong", "c5.status.200", "c6.length.126", "c6.masked.text", "c7.ping.text"]


@contextlib.contextmanager
def grading(cases: list[ClientCase] | tuple[ClientCase, ...], timeout: float = 2.0) -> Iterator[Grader]:
    grader = Grader(Plan(cases, timeout))
    grader.start()
    try:
        yield grader
    finally:
        grader.close()


def graded(
    client: type[ReferenceClient],
    cases: list[ClientCase] | tuple[ClientCase, ...],
    jobs: int = 8,
    timeout: float = 2.0,
) -> Report:
    """Play cases with a client of this package's gallery, several at a time."""
    with grading(cases, timeout) as grader:
        session = grader.session("x")
        connect = lambda case: client("127.0.0.1", grader.target.port, f"/case/{case.id}?agent=x").run()  # noqa: E731
        connect(PROBE)
        session.wait_until_idle(DEADLINE)
        with ThreadPoolExecutor(jobs) as pool:
            list(pool.map(connect, cases))
        session.wait_until_idle(DEADLINE)
        return grader.report(session)


def failures(report: Report, level: Level | None = None) -> dict[str, str]:
    return {v.case.id: v.why for v in report.failed if level in (None, v.case.level)}


def drive(url: str) -> None:
    """A driver: echo each message, until the message is "done"."""
    done = False
    while not done:
        with contextlib.suppress(OSError, wsref.HandshakeFailed, wsref.ConnectionClosed), wsref.connect(url) as ws:
            for message in ws:
                done = message == "done"
                if not done:
                    ws.send(message)


class TestCases:
    """The rows of cases"""

    def test_there_are_at_least_150_and_each_id_is_there_once(self):
        ids = [case.id for case in CLIENT_CASES]
        assert len(ids) >= 150
        assert len(set(ids)) == len(ids)

    def test_every_case_is_complete(self):
        for case in CLIENT_CASES:
            assert re.fullmatch(r"c([1-9]|1[01])(\.[0-9a-z-]+){2}", case.id), case.id
            assert re.fullmatch(r"RFC (6455|7692|9110|9112) §[0-9.]+", case.section), case.id
            assert all((case.title, case.quote, case.hint, case.play.sends, case.play.accepts)), case.id
            assert not case.title.endswith("."), case.id

    def test_a_title_names_one_case(self):
        titles = [case.title for case in CLIENT_CASES]
        assert sorted({title for title in titles if titles.count(title) > 1}) == []

    def test_a_case_without_an_ordinary_handshake_has_no_number(self):
        assert not any(case.opens for case in CLIENT_CASES if re.match(r"c(2\.(up|con)|4|5)", case.id))
        assert all(case.opens for case in CLIENT_CASES if case.chapter in (6, 7, 8, 11))

    def test_a_selection_that_matches_nothing_is_an_error(self):
        assert {case.chapter for case in select(until=3)} == {1, 2, 3}
        assert [case.id for case in select(only=["c7.ping.text"])] == ["c7.ping.text"]
        with pytest.raises(ValueError, match="no case about clients"):
            select(only=["6.length"])


class TestGoodClients:
    """Zero failures of a correct client"""

    def test_the_reference_client_passes_all(self):
        report = graded(ReferenceClient, CLIENT_CASES, timeout=DEADLINE / 2)  # a busy machine is slow, too
        assert failures(report) == {}
        skipped = {v.case.id for v in report.verdicts if v.outcome is not Outcome.PASS}
        assert skipped == {"c3.protocol.other-case", "c3.extension.deflate-unoffered"}

    @pytest.mark.slow
    def test_the_client_of_this_package_passes_all(self):
        with grading(CLIENT_CASES) as grader:
            url = f"ws://{grader.target.authority}/next?agent=wsref"
            with ThreadPoolExecutor(6) as pool:
                list(pool.map(drive, [url] * 6))
            assert failures(grader.report(grader.sessions["wsref"])) == {}


class EndsTcpAtAFault(ReferenceClient):
    def fail(self, failure: Failure) -> None:
        """End TCP without a Close: it "SHOULD send" one (§7.1.7)."""

    def end_tcp(self) -> None:
        pass


class LastPing(ReferenceClient):
    """Answers only the last Ping of those that arrived (§5.5.3)."""

    def on_ping(self, payload: bytes) -> None:
        if not self.buffer.startswith(b"\x89"):
            super().on_ping(payload)


class Greets(ReferenceClient):
    def open(self) -> None:
        super().open()
        self.send_frame(PING, b"anyone?")
        self.send_frame(PONG, b"unsolicited")


class GreetsInWords(ReferenceClient):
    """Sends a message of its own first, as a client does that logs in or subscribes."""

    def open(self) -> None:
        super().open()
        self.on_message(TEXT, b"hello, server")  # compressed, if that is agreed


class SpeaksLater(ReferenceClient):
    """Sends a message of its own after the second echo."""

    echoed = 0

    def on_message(self, opcode: int, message: bytes) -> None:
        super().on_message(opcode, message)
        self.echoed += 1
        if self.echoed == 2:
            super().on_message(TEXT, b"by the way")


class ClosesAfterOneMessage(ReferenceClient):
    """Echoes one message, and begins the closing handshake."""

    def on_message(self, opcode: int, message: bytes) -> None:
        super().on_message(opcode, message)
        self.send_frame(8, b"\x03\xe8")
        self.end_tcp()
        raise Disconnected


class ClosesAtOnce(ReferenceClient):
    """Says one thing, and begins the closing handshake."""

    def open(self) -> None:
        super().open()
        self.send_frame(TEXT, b"42")
        self.send_frame(8, b"\x03\xe8")
        self.end_tcp()
        raise Disconnected


class NeverEchoes(ReferenceClient):
    def on_message(self, opcode: int, message: bytes) -> None:
        pass


class GreetsInWordsOnly(NeverEchoes):
    def open(self) -> None:
        super().open()
        self.send_frame(TEXT, b"hello, server")


class Listener(ReferenceClient):
    """Sends messages of its own, and no echo."""

    def on_message(self, opcode: int, message: bytes) -> None:
        self.send_frame(TEXT, b"thank you")


class NoDeflate(ReferenceClient):
    OFFER = ""


class DemandsOfDeflate(ReferenceClient):
    OFFER = "permessage-deflate; server_no_context_takeover; server_max_window_bits=10; client_max_window_bits=12"


class Subprotocols(ReferenceClient):
    PROTOCOLS = ("chat.v2", "chat.v1")

    def check_protocol(self, values: list[str]) -> None:
        super().check_protocol(values or [""])  # as browsers: one of them, or no WebSocket


class SmallLimit(ReferenceClient):
    MAX_MESSAGE = 9000


class Fragments(ReferenceClient):
    def send_frame(self, opcode: int, payload: bytes, rsv: int = 0) -> None:
        if opcode > 2 or len(payload) < 2:
            return super().send_frame(opcode, payload, rsv)
        half, key = len(payload) // 2, self.masking_key()
        masked = bytes(byte ^ key[i % 4] for i, byte in enumerate(payload[:half]))
        self.send(bytes([rsv << 4 | opcode]) + self.length(half) + key + masked)
        super().send_frame(0, payload[half:])


class PlainEcho(ReferenceClient):
    """Agrees on compression, and does not compress."""

    def on_message(self, opcode: int, message: bytes) -> None:
        self.send_frame(opcode, message)


class EmptyClose(ReferenceClient):
    def on_close(self, payload: bytes) -> None:
        self.check_close(payload)
        self.send_frame(8, b"")


class ClosesWithReason(ReferenceClient):
    def on_close(self, payload: bytes) -> None:
        self.check_close(payload)
        self.send_frame(8, b"\x03\xe8good bye")


class AbsoluteTarget(ReferenceClient):
    def request_line(self) -> str:
        return f"GET http://{self.host}:{self.port}{self.path} HTTP/1.1"


class OneToken(ReferenceClient):
    """Wants Connection: Upgrade, as §4.2.2 has it; §4.1 lets it refuse other responses."""

    def check_connection(self, values: list[str]) -> None:
        super().check_connection(values if ",".join(values).lower() == "upgrade" else [])


class CountsPackets(ReferenceClient):
    """Refuses a head in packets of less than 16 bytes on average, as a defence against slow senders."""

    def read_head(self) -> bytes:
        count = 0
        while b"\r\n\r\n" not in self.buffer:
            self.receive()
            count += 1
            if len(self.buffer) < 16 * count:
                raise NotOpened("an attack")
        return super().read_head()


class SaysWhy(ReferenceClient):
    """Sends the reason as a text, then fails the connection."""

    def fail(self, failure: Failure) -> None:
        self.send_frame(TEXT, f"error: {failure}".encode())
        super().fail(failure)


class AnswersAfterTheClose(ReferenceClient):
    """Answers a Ping or a Close that arrives after its own Close: only data frames are forbidden (§5.5.1)."""

    def on_close(self, payload: bytes) -> None:
        super().on_close(payload)
        if self.buffer[:1] in (b"\x88", b"\x89"):
            _, _, opcode, late = self.read_frame()
            self.send_frame(PONG if opcode == PING else 8, late)


class OffersMore(ReferenceClient):
    """Offers a parameter that only some servers know, and then the offer without it."""

    OFFER = "permessage-deflate; x-level=9, permessage-deflate; client_max_window_bits"


class ManyHeaders(ReferenceClient):
    def request_headers(self) -> dict[str, str]:
        more = {"Origin": "http://a.example", "Cookie": "a=b", "Connection": "keep-alive, Upgrade"}
        return {name.lower(): value for name, value in (super().request_headers() | more).items()}


LEGAL = [
    *(EndsTcpAtAFault, LastPing, Greets, NeverEchoes, Listener, NoDeflate, DemandsOfDeflate, Subprotocols),
    *(SmallLimit, Fragments, PlainEcho, EmptyClose, ClosesWithReason, AbsoluteTarget, OneToken),
    *(CountsPackets, ManyHeaders, SaysWhy, AnswersAfterTheClose, OffersMore, GreetsInWords, GreetsInWordsOnly),
    *(SpeaksLater, ClosesAfterOneMessage, ClosesAtOnce),
]


class TestFairness:
    """No MUST fails for legal behaviour"""

    @pytest.mark.slow
    @pytest.mark.parametrize("client", LEGAL, ids=lambda client: client.__name__)
    def test_a_legal_client_fails_no_must(self, client):
        report = graded(client, CLIENT_CASES)
        assert failures(report, Level.MUST) == {}
        assert not any(verdict.grader_failed for verdict in report.verdicts)

    @pytest.mark.parametrize(
        ("client", "names"),
        [
            (SaysWhy, ["c6.masked.text", "c6.rsv.text-001", "c7.utf-8.bad-ff", "c9.rsv.ping"]),
            (AnswersAfterTheClose, ["c8.after", "c8.close.1000"]),
            (OffersMore, ["c3.extensions", "c9.message.hello"]),
            (GreetsInWords, ["c1.head.order", "c6.length.126", "c6.stream", "c7.fragments.pings-between"]),
            (GreetsInWords, ["c9.decline.works", "c9.message.context-between", "c9.takeover.client"]),
            (GreetsInWordsOnly, ["c6.stream"]),
            (SpeaksLater, ["c6.stream", "c7.fragments.two-messages", "c9.message.context"]),
            (ClosesAfterOneMessage, ["c7.ping", "c7.fragments.two-messages", "c9.works.hello", "c9.message.context"]),
            (ClosesAtOnce, ["c6.stream", "c6.sends", "c7.ping", "c8.code.bad-999", "c9.works.hello"]),
        ],
    )
    def test_a_legal_client_does_not_fail_the_must_that_its_behaviour_is_about(self, client, names):
        assert failures(graded(client, select(only=names)), Level.MUST) == {}

    def test_a_client_that_closes_by_itself_is_noticed_also_with_no_echo(self):
        cases = select(only=["c7.ping", "c6.stream.glued"])
        grader = Grader(Plan(cases, 2.0, echo=False))
        grader.start()
        try:
            session = grader.session("x")
            for case in (PROBE, *cases):
                ClosesAtOnce("127.0.0.1", grader.target.port, f"/case/{case.id}?agent=x").run()
                session.wait_until_idle(DEADLINE)
            report = grader.report(session)
        finally:
            grader.close()
        assert failures(report) == {}
        assert report.count(Outcome.SKIP) == len(cases)

    def test_a_client_without_echo_is_graded_on_the_rest(self):
        report = graded(NeverEchoes, select(only=["c6.length", "c7.ping", "c6.masked"]))
        outcomes = {v.case.id: v for v in report.verdicts}
        assert outcomes["c6.length.126"].why == NO_ECHO
        assert outcomes["c7.ping.text"].outcome is Outcome.PASS
        assert "echoes no messages" in report.abilities


#: The broken clients whose case takes a timeout or more: only the slow suite plays these.
WAITS = (
    *("any-length", "any-opcode", "decodes-pings", "empty-pong", "ignores-eof", "loses-the-rest", "never-ends"),
    *("no-pong", "off-by-one", "reads-for-ever", "sends-early"),
)


def is_caught(name: str) -> bool:
    """Whether the case that is for this broken client fails."""
    client = BROKEN_CLIENTS[name]
    with grading(select(only=[client.case]), 1.0) as grader:
        for _ in range(1 + (client.case in ("c3.key.fresh", "c6.mask.connection"))):
            client("127.0.0.1", grader.target.port, f"/case/{client.case}?agent=x").run()
            grader.session("x").wait_until_idle(DEADLINE)
        return grader.session("x").verdicts[client.case].outcome is Outcome.FAIL


class TestGallery:
    """Each broken client is caught by the case that is for it"""

    @pytest.mark.parametrize("name", [name for name in BROKEN_CLIENTS if name not in WAITS])
    def test_it_is_caught(self, name):
        assert is_caught(name)

    @pytest.mark.slow
    def test_all_are_caught(self):
        with ThreadPoolExecutor(12) as pool:
            caught = dict(zip(BROKEN_CLIENTS, pool.map(is_caught, BROKEN_CLIENTS), strict=True))
        assert [name for name, is_caught in caught.items() if not is_caught] == []

    def test_the_snapshot_has_each_client_with_its_own_case(self):
        snapshot = gallery.read(client_gallery.FILE)
        assert list(snapshot) == client_gallery.NAMES
        assert [name for name in snapshot if not snapshot[name].may(BROKEN_CLIENTS[name].case)] == []
        ids = {case.id for case in CLIENT_CASES}
        assert all(fails.always <= ids for fails in snapshot.values())

    @pytest.mark.slow
    @pytest.mark.parametrize("name", client_gallery.NAMES)
    def test_what_fails_with_it_is_in_the_snapshot(self, name):
        fails, failed = gallery.read(client_gallery.FILE)[name], set(client_gallery.failing(name))
        more = {one for one in failed if not fails.may(one)}
        missing = fails.always - failed
        if more or missing:  # on a busy machine a case may be late: what counts is what happens again
            again = set(client_gallery.failing(name))
            more, missing = more & again, missing - again
        assert (more, missing) == (set(), set())

    def test_there_are_at_least_40_and_each_names_its_bug(self):
        assert len(BROKEN_CLIENTS) >= 40
        for client in BROKEN_CLIENTS.values():
            assert client.symptom and client.bug, client
            assert client.bug.startswith(("it ", "its ", "a Ping")), client


class TestRequests:
    """The request as the grader reads it"""

    @pytest.mark.parametrize(
        "target, path, agent",
        [
            ("/next?agent=dmc_websockets%2F1.1", "/next", "dmc_websockets/1.1"),
            ("/next?agent=a+b", "/next", "a b"),
            ("http://a.example:9001/case/c1.host.one?agent=x", "/case/c1.host.one", "x"),
            ("//evil/next", "/evil/next", None),
            ("*", "/*", None),
        ],
    )
    def test_path_and_query(self, target, path, agent):
        request = parse_request(f"GET {target} HTTP/1.1\r\n\r\n".encode())
        assert (request.path, request.query.get("agent")) == (path, agent)


class TestTheRequest:
    """A request that the RFCs allow is right, and another one is not"""

    def judged(self, name: str, headers: str, target: str = "ws://127.0.0.1:9001/") -> Outcome:
        """The outcome of a case about a request with these headers."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            wire = ClientWire(ours, parse_target(target), DEADLINE)
            request = parse_request(f"GET / HTTP/1.1\r\n{headers}\r\n\r\n".encode())
            (case,) = select(only=[name])
            verdict = Verdict(case, Outcome.PASS)
            judge(verdict, lambda: case.play.run(Client(wire, request, Agent())))
        return verdict.outcome

    @pytest.mark.parametrize(
        "host",
        [
            *("a.example", "127.0.0.1:9001", "localhost:", "a_b~c:1", "%C3%A9.example", "!$&'()*+,;=.example:9001"),
            *("[::1]", "[2001:db8::192.0.2.1]:9001", "[fe80::1%25eth0]:9001", "[fe80::1%25eth%2F0]"),
            *("[v1.fe80::1+en1]", "[vF.a:b!$&'()*+,;=]:80"),
        ],
    )
    def test_a_host_of_rfc_3986_is_right(self, host):
        assert self.judged("c1.host.one", f"Host: {host}") is Outcome.PASS

    @pytest.mark.parametrize(
        "host",
        [
            *(
                "",
                "a b",
                "a/b",
                "user@a.example",
                "http://a.example",
                "a:b",
                "a:1:2",
                "::1",
                "[::1",
                "[]",
                "[fe80::1%25]",
            ),
            *("[fe80::1%eth0]", "[v1.]", "[v.a]", "a\r\nHost: a"),
        ],
    )
    def test_another_host_is_wrong(self, host):
        assert self.judged("c1.host.one", f"Host: {host}") is Outcome.FAIL

    @pytest.mark.parametrize(
        ("target", "host", "outcome"),
        [
            ("ws://a/", "a", Outcome.PASS),
            ("wss://a/", "a", Outcome.PASS),
            ("ws://a:9001/", "a:9001", Outcome.PASS),
            ("ws://a:9001/", "a", Outcome.FAIL),
            ("ws://a:443/", "a", Outcome.FAIL),
            ("wss://a:80/", "a", Outcome.FAIL),
        ],
    )
    def test_only_the_default_port_may_be_left_out(self, target, host, outcome):
        assert self.judged("c1.host.port", f"Host: {host}", target) is outcome

    @pytest.mark.parametrize(
        ("value", "outcome"),
        [
            (r'permessage-deflate; client_max_window_bits="1\5"', Outcome.PASS),
            (r'permessage-deflate; client_max_window_bits="15"', Outcome.PASS),
            (r'permessage-deflate; client_max_window_bits="1\ 5"', Outcome.FAIL),
            (r'permessage-deflate; client_max_window_bits="15\"', Outcome.FAIL),
        ],
    )
    def test_a_quoted_parameter_may_have_backslashes(self, value, outcome):
        headers = f"Sec-WebSocket-Extensions: {value}"
        assert self.judged("c3.extensions.grammar", headers) is outcome
        if outcome is Outcome.PASS:
            assert self.judged("c3.extensions.deflate", headers) is outcome


def ask(grader: Grader, path: str) -> list[str | bytes]:
    """All messages at an address, each echoed."""
    received = []
    with wsref.connect(f"ws://{grader.target.authority}{path}") as ws:
        for message in ws:
            received.append(message)
            if path.startswith("/runCase"):
                ws.send(message)
    return received


class TestAutobahn:
    """The protocol of Autobahn's drivers"""

    def test_a_driver_runs_in_the_usual_order(self):
        with grading(select(only=["c6.length.126", "c4.accept.wrong", "c7.ping.text"])) as grader:
            assert ask(grader, "/getCaseCount") == ["2"]  # the handshake case has no number
            agent = quote("vws/1.0a test", safe="")
            for number, name in enumerate(("c6.length.126", "c7.ping.text"), 1):
                (about,) = ask(grader, f"/getCaseInfo?case={number}&agent={agent}")
                assert json.loads(about)["id"] == name
                ask(grader, f"/runCase?case={number}&agent={agent}")
                (status,) = ask(grader, f"/getCaseStatus?case={number}&agent={agent}")
                assert json.loads(status)["behavior"] == "OK"
            assert ask(grader, f"/updateReports?agent={agent}") == []
            session = grader.sessions["vws/1.0a test"]
            assert session.is_over
            reasons = {v.case.id: v.why for v in grader.report(session).verdicts if v.outcome is Outcome.UNPLAYED}
            assert reasons == {"c4.accept.wrong": "it has no number: /next and --run play it too"}

    def test_a_case_by_its_id(self):
        with grading(CLIENT_CASES) as grader:
            ask(grader, "/runCase?casetuple=2.7&agent=x")
            assert list(grader.sessions["x"].verdicts) == ["c7.pong.unsolicited"]

    @pytest.mark.parametrize("path", ["/runCase?case=0", "/runCase?case=9999", "/runCase", "/case/c9.nothing", "/x"])
    def test_an_unknown_case_is_404(self, path):
        with grading(CLIENT_CASES) as grader, pytest.raises(wsref.HandshakeFailed, match="404"):
            ask(grader, path)

    def test_each_pattern_of_the_table_names_cases(self):
        for pattern, words in SAME:
            for word in words.split():
                assert any(matches(case.id, word) for case in CLIENT_CASES), (pattern, word)

    def test_ids_of_autobahn_choose_cases(self):
        spec = parse_spec('{"cases": ["3.*", "c4.accept"], "exclude-agent-cases": {"old*": ["3.*"]}}')
        assert {case.id.rpartition(".")[0] for case in spec.select(CLIENT_CASES)} == {"c4.accept", "c6.rsv"}
        assert {case.id.rpartition(".")[0] for case in spec.select(CLIENT_CASES, "old/1")} == {"c4.accept"}

    @pytest.mark.parametrize(
        "text, words",
        [
            ("[]", "JSON object"),
            ('{"url": "http://a"}', "ws://"),
            ('{"cases": "3.*"}', "a list"),
            ('{"cases": ["99.*"]}', "no id of Autobahn"),
            *((f'{{"servers": {value}}}', "a list of objects") for value in ("5", "[5]", '["ws://a/"]', "[{}]", "{}")),
            *((f'{{"exclude-agent-cases": {value}}}', "an object of names") for value in ("5", '["3.*"]', '"a"')),
            ('{"exclude-agent-cases": {"a": 5}}', "a list of ids"),
            ('{"outdir": null}', "the name of a folder"),
            ("{", "Expecting"),
        ],
    )
    def test_a_wrong_spec_is_an_error(self, text, words):
        with pytest.raises(ValueError, match=words):
            parse_spec(text)

    def test_an_unknown_id_names_nothing(self):
        assert same_as("8.1") == []
        assert behaviour(None) == "UNIMPLEMENTED"


class TestServer:
    """The server of the cases"""

    def test_the_page_the_status_and_the_report(self):
        with grading(select(only=["c7.ping.text"])) as grader:
            base = f"http://{grader.target.authority}"
            with urllib.request.urlopen(f"{base}/", timeout=DEADLINE) as answer:
                assert b"Grade this browser" in answer.read()
            drive(f"ws://{grader.target.authority}/next?agent=x")
            wait_until(lambda: grader.sessions["x"].is_over)  # noted after the client has received "done"
            with urllib.request.urlopen(f"{base}/status?agent=x", timeout=DEADLINE) as answer:
                assert json.load(answer) == {"all": 1, "played": 1, "failed": [], "over": True}

    @pytest.mark.parametrize("number", ["0", "2", "-1", "x", "0000000011", "00000000199", "9" * 5000, "\u0661"])
    def test_a_number_of_no_case_gets_404(self, number):
        with grading(select(only=["c7.ping.text"])) as grader:
            with pytest.raises(wsref.HandshakeFailed) as refused:
                wsref.connect(f"{grader.url}/runCase?case={quote(number)}&agent=x")
            assert refused.value.status == 404

    @pytest.mark.slow
    def test_a_request_that_plays_no_case_gets_no_report(self):
        with serving("--once", "--idle", "3", *only("c7.ping.text")) as (process, url):
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(url.replace("ws", "http", 1) + "/next?agent=passer-by", timeout=DEADLINE)
            refused.value.close()
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(5)
            drive(f"{url}/next?agent=x")
            out, _ = process.communicate(timeout=DEADLINE)
        assert process.returncode == 0 and "passer-by" not in out

    def test_the_report_on_a_client_is_a_page(self):
        grader = Grader(
            Plan(select(only=["c7.ping.text"])), Listeners(page=lambda report: f"<p>{len(report.failed)} failed")
        )
        grader.start()
        try:
            drive(f"{grader.url}/next?agent=x")
            base = f"http://{grader.target.authority}"
            with urllib.request.urlopen(f"{base}/report?agent=x", timeout=DEADLINE) as answer:
                assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
                assert answer.read() == b"<p>0 failed"
        finally:
            grader.close()

    def test_a_client_that_does_not_read_a_long_report_harms_no_other(self):
        uncaught, served = [], threading.Event()

        class Served(Grader):
            def _serve(self, sock):
                try:
                    super()._serve(sock)
                except Exception as error:
                    uncaught.append(error)
                finally:
                    served.set()

        grader = Served(Plan(select(only=["c7.ping.text"]), 0.2), Listeners(page=lambda report: "<p>x" * (2 << 20)))
        grader.start()
        try:
            grader.session("x")
            with socket.create_connection(("127.0.0.1", grader.target.port)) as idle:
                idle.sendall(b"GET /report?agent=x HTTP/1.1\r\nHost: a.example\r\n\r\n")
                assert served.wait(DEADLINE)
            with wsref.connect(f"{grader.url}/getCaseCount") as ws:
                assert ws.recv() == "1"
        finally:
            grader.close()
        assert uncaught == []

    def test_an_error_of_accept_ends_nothing(self, monkeypatch):
        monkeypatch.setattr("wsref.check.clients.grader.ACCEPT_AGAIN", 0.001)
        grader = Grader(Plan(select(only=["c7.ping.text"])))

        class Fails:
            def __init__(self, sock, errors):
                self._socket, self._errors = sock, errors

            def accept(self):
                if self._errors:
                    raise OSError(self._errors.pop(), "the client has gone, or too many open files")
                return self._socket.accept()

            def __getattr__(self, name):
                return getattr(self._socket, name)

        grader._socket = Fails(grader._socket, [errno.EMFILE, errno.ECONNABORTED] * MAX_CONNECTIONS)
        grader.start()
        try:
            with wsref.connect(f"{grader.url}/getCaseCount") as ws:
                assert ws.recv() == "1"
        finally:
            grader.close()

    def test_a_client_that_hangs_up_during_its_request_or_the_handshake_of_tls_harms_no_other(self, certificate):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        grader = Grader(Plan(select(only=["c7.ping.text"]), tls=context))
        grader.start()
        try:
            with socket.create_connection(("127.0.0.1", grader.target.port)) as hasty:
                hasty.sendall(b"no TLS\r\n\r\n")
                with contextlib.suppress(ConnectionResetError):
                    while hasty.recv(100):  # an alert, then the end
                        pass
            trusted = ssl.create_default_context(cafile=certificate[0])
            with wsref.connect(f"{grader.url}/getCaseCount", ssl_context=trusted) as ws:
                assert ws.recv() == "1"
        finally:
            grader.close()

    def test_a_plain_request_for_a_case_gets_426(self):
        with grading(select(only=FEW)) as grader:
            with pytest.raises(urllib.error.HTTPError, match="426") as refused:
                urllib.request.urlopen(f"http://{grader.target.authority}/next", timeout=DEADLINE)
            refused.value.close()

    def test_a_connection_without_a_request_harms_no_other(self):
        with grading(select(only=["c7.ping.text"])) as grader:
            with socket.create_connection(("127.0.0.1", grader.target.port)) as idle:
                idle.sendall(b"GET /")
                drive(f"ws://{grader.target.authority}/next?agent=x")
            assert failures(grader.report(grader.sessions["x"])) == {}

    def test_the_number_of_clients_is_bounded(self, monkeypatch):
        monkeypatch.setattr("wsref.check.clients.grader.MAX_AGENTS", 2)
        with grading(select(only=FEW)) as grader:
            first = grader.session("a")
            assert grader.session("b") is not None
            assert grader.session("c") is None
            for path in ("/next", "/case/c1.host.one", "/runCase?case=1"):
                with pytest.raises(wsref.HandshakeFailed, match="503"):
                    ask(grader, f"{path}{'&' if '?' in path else '?'}agent=c")
            first.is_over = True
            assert grader.session("c") is not None
            assert set(grader.sessions) == {"b", "c"}

    def test_the_next_case_is_one_that_applies_and_that_no_other_connection_plays(self):
        session = Session("x", select(only=["c6.length.126", "c7.ping.text", "c7.ping.empty"]), once=True, echo=False)
        names = {case.id: case for case in session.cases}
        assert session.begin(names["c7.ping.empty"])
        assert not session.begin(names["c7.ping.empty"])
        assert session.next_case() is names["c7.ping.text"]
        assert session.next_case() is None
        assert {v.why for v in session.verdicts.values()} == {NO_ECHO}

    def test_two_clients_at_a_time_have_two_reports(self):
        with grading(select(only=FEW)) as grader:
            with ThreadPoolExecutor(2) as pool:
                list(pool.map(drive, [f"ws://{grader.target.authority}/next?agent={name}" for name in "ab"]))
            assert [len(grader.sessions[name].verdicts) for name in "ab"] == [len(FEW)] * 2


ECHO = """\
import sys, wsref
with wsref.connect(sys.argv[1]) as ws:
    for message in ws:
        ws.send(message)
"""


#: Opens a connection, and does nothing more.  Without wsref, a process starts in a few milliseconds.
SILENT = """\
import socket, sys
host, path = sys.argv[1].removeprefix("ws://").split("/", 1)
address, port = host.split(":")
with socket.create_connection((address, int(port))) as sock:
    sock.sendall(f"GET /{path} HTTP/1.1\\r\\nHost: {host}\\r\\nConnection: Upgrade\\r\\n".encode())
    sock.sendall(b"Upgrade: websocket\\r\\nSec-WebSocket-Version: 13\\r\\n")
    sock.sendall(b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\\r\\n\\r\\n")
    while sock.recv(65536):
        pass
"""


@pytest.fixture
def client(tmp_path: Path) -> str:
    """A command with a client of this package."""
    file = tmp_path / "client.py"
    file.write_text(ECHO)
    return f"{PYTHON} {shlex.quote(str(file))} {{url}}"


def check(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """``python -m wsref check --client ...`` in this process."""
    try:
        code = main(["check", "--client", *arguments])
    except SystemExit as end:
        code = int(end.code or 0)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def only(*names: str) -> list[str]:
    return [word for name in names for word in ("--only", name)]


@contextlib.contextmanager
def serving(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """``python -m wsref check --client`` in a process, and its address."""
    command = [sys.executable, "-m", "wsref", "check", "--client", "--port", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            line = process.stderr.readline()
            yield process, re.search("wss?://[0-9.:]+", line)[0]
        finally:
            if process.poll() is None:
                process.kill()


class TestCommandLine:
    """``python -m wsref check --client``"""

    def test_a_good_client_exits_with_0(self, capsys, client, tmp_path):
        report = tmp_path / "report.json"
        code, out, _ = check(capsys, "--run", client, *only(*FEW), "--json", str(report))
        assert code == 0, out
        assert "it echoes messages" in out
        data = json.loads(report.read_text())
        assert data["client"].endswith("client.py")
        assert [case["outcome"] for case in data["cases"]] == ["pass"] * len(FEW)

    @pytest.mark.slow
    def test_a_broken_client_exits_with_1_and_the_report_quotes_the_rule(self, capsys, tmp_path):
        file = tmp_path / "broken.py"
        file.write_text(
            "import sys\nfrom urllib.parse import urlsplit\n"
            "from wsref.check.clients.gallery import BROKEN_CLIENTS\n"
            "url = urlsplit(sys.argv[1])\n"
            "BROKEN_CLIENTS['any-accept'](url.hostname, url.port, url.path).run()\n"
        )
        code, out, _ = check(capsys, "--run", f"{PYTHON} {shlex.quote(str(file))} {{url}}", *only("c4.accept.wrong"))
        assert code == 1
        assert "RFC 6455 §4.1" in out
        assert "MUST _Fail the WebSocket Connection_" in " ".join(out.split())

    def test_a_command_may_be_longer_than_the_name_of_another_client(self, capsys, client):
        code, out, _ = check(capsys, "--run", f"{client} {'x' * 300} '\x1b[31m'", *only("c7.ping.text"))
        assert code == 0
        assert r"\x1b[31m" in out and "\x1b" not in out

    def test_no_echo_sends_no_message(self, capsys, client):
        code, out, _ = check(capsys, "--run", client, "--no-echo", *only("c6.length.126", "c7.ping.text"))
        assert code == 0
        assert "1 case skipped: the client does not echo messages" in out

    def test_a_command_that_does_not_connect_exits_with_2(self, capsys):
        command = f'{PYTHON} -c \'import sys; sys.exit("no such module" + "{{url}}"[:0])\' {{url}}'
        code, _, err = check(capsys, "--run", command.replace("{{url}}\\", ""), *only(*FEW))
        assert code == 2
        assert "ended with status 1 and did not connect: no such module" in err

    def test_a_command_that_does_not_exist_exits_with_2(self, capsys):
        code, _, err = check(capsys, "--run", "wsref-no-such-command {url}", *only(*FEW))
        assert code == 2
        assert "cannot be started: No such file" in err

    def test_a_command_without_url_is_a_wrong_command_line(self, capsys):
        code, _, err = check(capsys, "--run", "node client.mjs")
        assert code == 2
        assert "--run needs {url}" in err
        with pytest.raises(ValueError, match="No closing quotation"):
            parse_command("node 'a {url}")

    def test_the_list_of_cases(self, capsys):
        code, out, _ = check(capsys, "--list", *only("c4.accept.wrong"))
        assert code == 0
        assert out.startswith("c4.accept.wrong  MUST")

    @pytest.mark.slow
    def test_a_baseline_names_cases_about_clients(self, capsys, client, tmp_path):
        known = tmp_path / "known.txt"
        known.write_text("c4.accept.wrong  we know\n")
        code, out, _ = check(capsys, "--run", client, "--baseline", str(known), *only("c4.accept.wrong"))
        assert code == 0
        assert "1 case of the baseline passed" in out

    def test_once_ends_after_a_driver_and_writes_as_autobahn_does(self, tmp_path):
        spec = tmp_path / "fuzzingserver.json"
        outdir = tmp_path / "out"
        spec.write_text(json.dumps({"outdir": str(outdir), "cases": ["2.7", "c4.accept.wrong"]}))
        with serving("--once", "--spec", str(spec)) as (process, url):
            drive(f"{url}/next?agent={quote('a/b 1.0', safe='')}")
            assert process.wait(DEADLINE) == 0
        index = json.loads((outdir / "index.json").read_text())
        assert {name: case["behavior"] for name, case in index["a/b 1.0"].items()} == {
            "c4.accept.wrong": "OK",
            "c7.pong.unsolicited": "OK",
        }
        assert (outdir / index["a/b 1.0"]["c4.accept.wrong"]["reportfile"]).exists()

    def test_servers_of_a_spec_are_graded_as_autobahn_does(self, capsys, tmp_path):
        spec, outdir = tmp_path / "fuzzingclient.json", tmp_path / "out"
        with reference.serving(reference.ReferenceServer) as url:
            servers = [{"agent": "good", "url": url}, {"agent": "none", "url": "ws://127.0.0.1:1/"}]
            spec.write_text(json.dumps({"outdir": str(outdir), "servers": servers, "cases": ["3.*", "4.1.1"]}))
            code = main(["check", "--spec", str(spec)])
        assert code == 2
        assert "cannot grade ws://127.0.0.1:1/" in capsys.readouterr().err
        index = json.loads((outdir / "index.json").read_text())
        assert {case["behavior"] for case in index["good"].values()} == {"OK"}
        assert {name.split(".")[1] for name in index["good"]} == {"rsv", "opcode"}
        assert index["none"] == {}

    def test_ctrl_c_ends_a_spec_with_the_server_that_is_graded(self, capsys, tmp_path, monkeypatch):
        graded = []

        def interrupted(target, cases, **_):
            graded.append((target.url, len(cases)))
            raise KeyboardInterrupt

        monkeypatch.setattr("wsref.cli.check.grade", interrupted)
        servers = [{"agent": str(port), "url": f"ws://127.0.0.1:{port}/"} for port in (1, 2)]
        spec = tmp_path / "spec"
        spec.write_text(json.dumps({"outdir": str(tmp_path), "servers": servers, "cases": ["3.*", "4.1.1"]}))
        assert main(["check", "--spec", str(spec), "--except", "*.rsv.*"]) == 130
        assert graded == [("ws://127.0.0.1:1/", 11)]  # --except holds, too
        assert "Stopped: Ctrl-C" in capsys.readouterr().out

    def test_a_folder_that_cannot_be_made_is_said_before_the_run(self, capsys, tmp_path):
        (tmp_path / "file").write_text("")
        spec = tmp_path / "spec"
        spec.write_text(json.dumps({"outdir": str(tmp_path / "file" / "x"), "servers": [{"url": "ws://127.0.0.1:1/"}]}))
        assert main(["check", "--spec", str(spec)]) == 2
        code, _, err = check(capsys, "--spec", str(spec))
        assert (code, err.count("\n")) == (2, 2)
        assert err.count("wsref: cannot make the folder") == 2

    @pytest.mark.parametrize(
        ("url", "options", "words"),
        [("ws:///", [], "a URL to check has a host"), ("ws://a/", ["--cafile", "/no/file"], "--cafile: cannot read")],
    )
    def test_a_spec_is_read_whole_before_the_first_server_is_graded(self, capsys, tmp_path, url, options, words):
        servers = [{"url": "ws://127.0.0.1:1/"}, {"url": url}]
        spec = tmp_path / "spec"
        spec.write_text(json.dumps({"outdir": str(tmp_path / "out"), "servers": servers}))
        with contextlib.suppress(SystemExit):
            assert main(["check", "--spec", str(spec), *options]) == 2
        assert words in capsys.readouterr().err
        assert not (tmp_path / "out").exists()

    def test_a_client_that_does_not_come_back_is_reported(self):
        with serving("--once", "--idle", "0.3", *only(*FEW)) as (process, url):
            with contextlib.suppress(wsref.ConnectionClosed), wsref.connect(f"{url}/next?agent=x") as ws:
                ws.send(ws.recv())
            out, _ = process.communicate(timeout=DEADLINE)
        assert process.returncode == 1
        assert "the client did not come back for 0.3 s" in out

    @pytest.mark.slow
    def test_ctrl_c_reports_what_was_played(self):
        with serving(*only(*FEW)) as (process, url):
            for _ in range(2):
                with (
                    contextlib.suppress(wsref.ConnectionClosed, wsref.HandshakeFailed),
                    wsref.connect(f"{url}/next?agent=x") as ws,
                ):
                    for message in ws:
                        ws.send(message)
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=DEADLINE)
        assert process.returncode == 130
        assert "Stopped: Ctrl-C" in out

    @pytest.mark.slow
    def test_ctrl_c_stops_a_run_with_a_command_and_its_processes(self, client):
        command = [sys.executable, "-m", "wsref", "check", "--client", "--run", client, "--jobs", "2"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
            if children.exists():
                wait_until(lambda: children.read_text() or process.poll() is not None)
            else:
                wait_until(lambda: True)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=DEADLINE)
        assert process.returncode in (130, 2), err  # 2: before the first connection
        assert "Traceback" not in err

    def test_tls(self, capsys, tmp_path, certificate):
        file = tmp_path / "client.py"
        context = f"ssl.create_default_context(cafile={certificate[0]!r})"
        file.write_text(
            ECHO.replace("import sys", "import ssl, sys").replace("argv[1]", f"argv[1], ssl_context={context}")
        )
        tls = ("--certfile", certificate[0], "--keyfile", certificate[1])
        names = only("c4.accept.wrong", "c6.length.126", "c6.masked.text", "c8.tcp")
        code, out, _ = check(capsys, "--run", f"{PYTHON} {shlex.quote(str(file))} {{url}}", *tls, *names)
        assert code == 0, out
        assert "5 passed, 0 failed" in out
        with serving(*tls) as (_, url):
            assert url.startswith("wss://127.0.0.1:")

    def test_a_key_without_a_certificate_exits_with_2(self, capsys):
        code, _, err = check(capsys, "--keyfile", "key.pem")
        assert code == 2
        assert "--keyfile needs --certfile" in err

    def test_a_taken_port_exits_with_2(self, capsys):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            code, _, err = check(capsys, "--port", str(taken.getsockname()[1]))
        assert code == 2
        assert "cannot listen on 127.0.0.1 port" in err

    @pytest.mark.parametrize("how", ["--first", "--max-time"])
    def test_a_run_with_a_command_ends_early(self, capsys, tmp_path, how):
        file = tmp_path / "silent.py"
        file.write_text(SILENT)
        limit = ["--first", "--timeout", "0.2"] if how == "--first" else ["--max-time", "0.1", "--timeout", "0.2"]
        command = f"{PYTHON} -S -E {shlex.quote(str(file))} {{url}}"
        code, out, _ = check(capsys, "--run", command, "--jobs", "1", *limit, *only("c6.length", "c7.ping"))
        assert code == 1
        assert f"Stopped: {how}: " in out
        wait_until(lambda: not [thread for thread in threading.enumerate() if "_watch" in thread.name])

    def test_cases_without_an_answer_are_played_again_alone_until_it_is_clear(self, tmp_path):
        file, played = tmp_path / "silent.py", []
        file.write_text(f"import sys\nopen({str(tmp_path / 'log')!r}, 'a').write(sys.argv[1] + chr(10))\n{SILENT}")
        with grading(select(only=["c6.length.1", "c6.length.12*", "c7.ping"]), 0.05) as grader:
            run = CommandRun(grader, [sys.executable, "-S", "-E", str(file), "{url}"])
            run.session.agent.echo = True
            run.play(4, played.append)
            cases = len(grader.plan.cases)
        assert [verdict.outcome for verdict in played] == [Outcome.FAIL] * cases
        assert len((tmp_path / "log").read_text().split()) == cases + ENOUGH_REPLAYS < 2 * cases

    def test_a_case_without_an_answer_does_not_count_if_the_run_stops_before_it_is_played_alone(self, tmp_path):
        file, verdicts = tmp_path / "silent.py", []
        file.write_text(SILENT)
        grader = Grader(Plan(select(only=["c6.length.1", "c7.ping.text"]), 0.05))

        def note(session, verdict):
            verdicts.append(verdict)
            if len(verdicts) == 2:
                run.stop("enough")

        grader._listeners.verdict = note
        grader.start()
        try:
            run = CommandRun(grader, [sys.executable, "-S", "-E", str(file), "{url}"])
            run.session.agent.echo = True
            run.play(2, lambda verdict: None)
            report = grader.report(run.session, stopped=run.stopped)
        finally:
            grader.close()
        assert [verdict.unanswered for verdict in verdicts] == [True, True]
        assert {(verdict.outcome, verdict.why) for verdict in report.verdicts} == {(Outcome.UNPLAYED, "enough")}

    def test_a_command_that_does_not_connect_any_more_ends_the_run(self):
        with grading(select(only=["c6.length"])) as grader:
            run = CommandRun(grader, ["true", "{url}"])
            run.session.agent.echo = True
            run.play(1, lambda verdict: None)
        assert run.stopped == "3 times in a row the client ended with status 0 and did not connect"
        reasons = [verdict.why for verdict in grader.report(run.session, stopped=run.stopped).verdicts]
        assert reasons[2:4] == ["the client ended with status 0 and did not connect", run.stopped]

    def test_a_command_that_never_connects_is_killed(self, monkeypatch):
        monkeypatch.setattr("wsref.check.clients.command.START_TIMEOUT", 0.1)
        with grading(select(only=["c6.length"])) as grader:
            run = CommandRun(grader, ["sh", "-c", "exec sleep 60", "{url}"])
            with pytest.raises(NotAnswering, match=r"it did not connect in 0\.1 s"):
                run.find_out()

    def test_the_end_of_a_run_waits_for_a_process_that_starts(self, monkeypatch):
        """And it ends that one, too: a second Ctrl-C may come in the middle of its start."""
        starting, may_start, order = threading.Event(), threading.Event(), []
        popen = subprocess.Popen

        def slow_popen(*arguments, **options):
            starting.set()
            assert may_start.wait(DEADLINE)
            process = popen(*arguments, **options)
            order.append("started")
            return process

        def end():
            run.end()
            order.append("ended")

        monkeypatch.setattr("wsref.check.clients.command.subprocess.Popen", slow_popen)
        with grading(select(only=["c6.length.1"])) as grader:
            run = CommandRun(grader, ["sh", "-c", "exec sleep 60", "{url}"])
            player = threading.Thread(target=run.play, args=(1, lambda verdict: None))
            player.start()
            assert starting.wait(DEADLINE)
            run.stop("Ctrl-C")
            ender = threading.Thread(target=end)
            ender.start()
            ender.join(0.2)
            may_start.set()
            ender.join(DEADLINE)
            player.join(DEADLINE)
        assert order == ["started", "ended"]
        assert not run._processes

    def test_a_second_ctrl_c_leaves_no_client(self, tmp_path):
        file, log = tmp_path / "client.py", tmp_path / "log"
        hangs = f"    import os, time\n    print(os.getpid(), file=open({str(log)!r}, 'a'))\n    time.sleep(600)\n"
        file.write_text(SILENT.partition("    while")[0] + hangs)
        run = f"{PYTHON} -S -E {shlex.quote(str(file))} {{url}}"
        command = [sys.executable, "-m", "wsref", "check", "--client", "--no-echo", "--run", run]
        command += ["--timeout", str(DEADLINE), *only("c7.ping")]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            try:
                wait_until(lambda: log.exists() and len(log.read_text().split()) > 1)  # the first one shows its echo
                process.send_signal(signal.SIGINT)
                while "stopping" not in process.stderr.readline():
                    pass
                process.send_signal(signal.SIGINT)
                assert process.wait(DEADLINE) == 130
            finally:
                process.kill()
        left = [pid for pid in map(int, log.read_text().split()) if Path(f"/proc/{pid}").exists()]
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        assert left == []

    @pytest.mark.parametrize("cases", [0, 1])
    def test_ctrl_c_waits_for_no_client_that_has_not_connected(self, tmp_path, cases):
        """It ends with 130 and a report, before the first case and after it."""
        file, log = tmp_path / "client.py", tmp_path / "log"
        file.write_text(
            f"import os, signal, time\nlog = open({str(log)!r}, 'a')\nif log.tell() >= {cases}:\n"
            "    os.kill(os.getppid(), signal.SIGINT)\n    time.sleep(600)\nlog.write('x')\nlog.close()\n" + ECHO
        )
        run = f"{PYTHON} {shlex.quote(str(file))} {{url}}"
        command = [sys.executable, "-m", "wsref", "check", "--client", "--run", run, "--jobs", "1"]
        done = subprocess.run([*command, *only("c7.ping.text")], capture_output=True, text=True, timeout=2 * DEADLINE)
        assert done.returncode == 130, done.stderr
        assert "1 case not played: Ctrl-C" in done.stdout
        assert "the cases in progress end first" in done.stderr

    def test_without_a_client_the_time_ends_too(self, capsys):
        code, out, err = check(capsys, "--port", "0", "--max-time", "0.1", *only(*FEW))
        assert (code, out) == (1, "")
        assert err.endswith("wsref: --max-time: the time is over\n")

    def test_first_ends_the_serving_of_drivers_with_a_report(self, capsys):
        with free_port() as port:

            def is_played() -> bool:
                with contextlib.suppress(NotOpened, OSError):
                    BROKEN_CLIENTS["any-accept"]("127.0.0.1", port, "/next?agent=x").run()
                    return True
                return False

            def drive_twice() -> None:
                for _ in range(2):  # the first connection finds out what the client can do
                    wait_until(is_played)

            driver = threading.Thread(target=drive_twice)
            driver.start()
            code, out, _ = check(capsys, "--port", str(port), "--first", *only("c4.accept"))
            driver.join()
        assert code == 1
        assert "Stopped: --first: a case failed" in out

    @pytest.mark.parametrize(
        ("host", "words"),
        [
            ("no.such.host.invalid", "no such host"),
            ("[::1]", "an address is written without brackets, scheme and port: --host ::1"),
            ("a" * 70, "not the name of a host"),
            ("é..", "not the name of a host"),
            ("192.0.2.1", "not an address of this machine"),
        ],
    )
    def test_a_wrong_host_is_one_line_as_for_serve(self, capsys, host, words):
        code, _, err = check(capsys, "--host", host)
        assert (code, err.count("\n")) == (2, 1)
        assert words in err


WEBSOCKETS = """\
import sys
from websockets.sync.client import connect
with connect(sys.argv[1]) as ws:
    for message in ws:
        ws.send(message)
"""

WS = """\
import WebSocket from "ws";
const ws = new WebSocket(process.argv[2]);
ws.on("message", (data, isBinary) => ws.send(data, { binary: isBinary }));
ws.on("error", () => {});
"""


class TestRealClients:
    """Real clients: what is known to be right passes"""

    GOOD = ("c2.upgrade", "c3.key", "c4.accept.wrong", "c5.status", "c6.length.6*", "c6.masked", "c8.close.1000")

    @pytest.mark.slow
    def test_the_websockets_package(self, capsys, tmp_path):
        pytest.importorskip("websockets")
        file = tmp_path / "client.py"
        file.write_text(WEBSOCKETS)
        code, out, _ = check(
            capsys, "--run", f"{PYTHON} {shlex.quote(str(file))} {{url}}", "--level", "must", *only(*self.GOOD)
        )
        assert code == 0, out

    @pytest.mark.slow
    @pytest.mark.skipif(
        not shutil.which("node") or not (NODE / "node_modules").exists(), reason="npm install in tests/node"
    )
    def test_ws_of_node(self, capsys, tmp_path):
        file = tmp_path / "client.mjs"
        file.write_text(WS)
        os.symlink(NODE / "node_modules", tmp_path / "node_modules")
        code, out, _ = check(capsys, "--run", f"node {file} {{url}}", "--level", "must", *only(*self.GOOD))
        assert code == 0, out


#: After the public driver of websockets, and that of aiohttp: the same addresses in the same order.
AUTOBAHN_PYTHON = """\
import json, sys
from urllib.parse import quote
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

SERVER, AGENT = sys.argv[1], quote("websockets/1.0 sync")

with connect(f"{SERVER}/getCaseCount") as ws:
    count = json.loads(ws.recv())
for case in range(1, count + 1):
    try:
        with connect(f"{SERVER}/runCase?case={case}&agent={AGENT}", max_size=2**25) as ws:
            for message in ws:
                ws.send(message)
    except WebSocketException:
        pass
with connect(f"{SERVER}/updateReports?agent={AGENT}"):
    pass
"""

#: After the public driver of ws.
AUTOBAHN_NODE = """\
import WebSocket from "ws";
const server = process.argv[2];
let currentTest = 1;
let testCount;

function nextTest() {
  if (currentTest > testCount) {
    const ws = new WebSocket(`${server}/updateReports?agent=ws`);
    ws.on("close", () => process.exit());
    return;
  }
  const ws = new WebSocket(`${server}/runCase?case=${currentTest}&agent=ws`);
  ws.on("message", (data, isBinary) => ws.send(data, { binary: isBinary }));
  ws.on("close", () => { currentTest++; process.nextTick(nextTest); });
  ws.on("error", (error) => console.error(error.message));
}

const ws = new WebSocket(`${server}/getCaseCount`);
ws.on("message", (data) => { testCount = parseInt(data); });
ws.on("close", () => { if (testCount > 0) nextTest(); });
"""


@pytest.mark.slow
class TestAutobahnDrivers:
    """Drivers in the form of those that libraries have: they play all cases that have a number"""

    def play(self, command: list[str], folder: Path, name: str) -> dict[str, str]:
        """Run a driver; return the behaviour of each case."""
        spec = folder / "fuzzingserver.json"
        spec.write_text(json.dumps({"outdir": str(folder / "out"), "cases": ["*"]}))
        with serving("--once", "--spec", str(spec)) as (process, url):
            assert subprocess.run([*command, url], timeout=300, check=False, capture_output=True).returncode == 0
            process.communicate(timeout=DEADLINE)
        index = json.loads((folder / "out" / "index.json").read_text())
        return {case: row["behavior"] for case, row in index[name].items()}

    def check(self, behaviours: dict[str, str], known: set[str]) -> None:
        """Every case with a number was played, and only these failed."""
        opens = {case.id for case in CLIENT_CASES if case.opens}
        assert {name for name, word in behaviours.items() if word != "UNIMPLEMENTED"} >= opens
        assert {name for name, word in behaviours.items() if word == "FAILED"} == known

    def test_one_in_python(self, tmp_path):
        pytest.importorskip("websockets")
        driver = tmp_path / "autobahn_client.py"
        driver.write_text(AUTOBAHN_PYTHON)
        behaviours = self.play([sys.executable, str(driver)], tmp_path, "websockets/1.0 sync")
        self.check(behaviours, {"c9.message.final-then-another"})

    @pytest.mark.skipif(
        not shutil.which("node") or not (NODE / "node_modules").exists(), reason="npm install in tests/node"
    )
    def test_one_in_node(self, tmp_path):
        driver = tmp_path / "autobahn.mjs"
        driver.write_text(AUTOBAHN_NODE)
        os.symlink(NODE / "node_modules", tmp_path / "node_modules")
        self.check(self.play(["node", str(driver)], tmp_path, "ws"), set())
