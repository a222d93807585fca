"""The grader accuses no good server: each of these obeys the RFC and fails no MUST."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
import time
from typing import ClassVar

import pytest

from wsref import HTTPError, WebSocketHandler, running
from wsref.apps.demo import Demo
from wsref.check import CASES, Level, Outcome, grade, parse_target, runner, session
from wsref.check.cases import select
from wsref.check.codec import PING, PONG, TEXT, frame
from wsref.check.gallery import BROKEN
from wsref.check.gallery.reference import Disconnected, Failure, ReferenceServer, Refusal, serving
from wsref.check.report.summary import capabilities_line
from wsref.check.runner import Capabilities
from wsref.check.session import Peer
from wsref.check.verdict import Failed


class Greets(ReferenceServer):
    """Says something before the client does."""

    def serve_frames(self):
        self.send_frame(TEXT, b"Welcome!")
        self.send_frame(TEXT, b"Hello")  # what many cases send, too
        super().serve_frames()


class Ticks(ReferenceServer):
    """Sends the time, five times a second, and echoes."""

    greeting = None

    def serve_frames(self):
        lock, over = threading.Lock(), threading.Event()
        plain = self.send_frame

        def send_frame(*frame):
            with lock:
                if not over.is_set():
                    plain(*frame)
                if frame[0] == 8:
                    over.set()  # nothing follows a Close

        def tick():
            for number in itertools.count():
                if over.wait(0.2):
                    return
                with contextlib.suppress(OSError, Disconnected):
                    send_frame(TEXT, b"tick %d" % number)

        self.send_frame = send_frame
        clock = threading.Thread(target=tick)
        clock.start()
        try:
            super().serve_frames()
        finally:
            over.set()
            clock.join()


class TicksOnly(Ticks):
    """Sends the time, and does not answer messages."""

    def on_message(self, opcode, message):
        pass


class TellsAll(WebSocketHandler):
    """Sends each message to all clients, as a chat does."""

    def on_message(self, message):
        self.server.broadcast(message)


class RefusesSubprotocols(ReferenceServer):
    """Refuses a client that offers only subprotocols it does not know.  §4.2.2 allows it."""

    def choose_protocol(self, request):
        if request.lines("sec-websocket-protocol") and super().choose_protocol(request) is None:
            raise Refusal(400, "none of these subprotocols")
        return super().choose_protocol(request)


class WantsASubprotocol(ReferenceServer):
    """Refuses a client that does not offer its subprotocol."""

    def choose_protocol(self, request):
        if (chosen := super().choose_protocol(request)) is None:
            raise Refusal(400, "the subprotocol echo is required")
        return chosen


class TextOnly(ReferenceServer):
    """Answers binary messages with their size, as text."""

    def on_message(self, opcode, message):
        super().on_message(TEXT, message if opcode == TEXT else b"%d bytes" % len(message))


class IgnoresBadHandshakes(ReferenceServer):
    """Answers a bad handshake like a plain request: with its page.  RFC 9110 §7.8 allows it."""

    def validate(self, request):
        try:
            super().validate(request)
        except Refusal as refusal:
            if refusal.status == 400 and "host" not in str(refusal).lower():
                self.send_page(request, "A page.\n")
                raise Disconnected from None
            raise


class WaitsForARealHead(ReferenceServer):
    """Takes a head with a control character for unfinished, and waits for more bytes."""

    def parse_head(self, head):
        if set(head.replace(b"\r\n", b"")) & {*b"\0\v\r"}:
            self.receive()
        return super().parse_head(head)


class SpeaksH2c(ReferenceServer):
    """Switches to HTTP/2 for a client that asks for it."""

    def validate(self, request):
        if request.tokens("upgrade") == ["h2c"]:
            self.answer("101 Switching Protocols", "Connection: Upgrade", "Upgrade: h2c")
            self.send(bytes.fromhex("000000 04 00 00000000"))  # SETTINGS
            raise Disconnected
        super().validate(request)


class Page(ReferenceServer):
    """Answers every request with 200, and knows no WebSocket."""

    def wants_upgrade(self, request):
        return False

    def fallback(self, request):
        self.send_page(request, "A page.\n")


class SmallLimit(WebSocketHandler):
    """Takes messages of up to 16 KiB."""

    def on_message(self, message):
        if len(message) > 16 << 10:
            self.close(1009, "too big")
        else:
            self.send(message)


class NeverSends(WebSocketHandler):
    """Takes messages, and answers none."""


class SmallDevice(ReferenceServer):
    """Takes messages of up to 4 KiB."""

    MAX_MESSAGE = 4 << 10


class LimitsConnections(ReferenceServer):
    """Serves four clients at once, and refuses more."""

    LIMIT = 4
    clients = 0
    lock = threading.Lock()

    def handle(self):
        with self.lock:
            LimitsConnections.clients += 1
        try:
            super().handle()
        finally:
            with self.lock:
                LimitsConnections.clients -= 1

    def validate(self, request):
        if self.clients > self.LIMIT:
            raise Refusal(403, "too many connections")
        super().validate(request)


class ClosesAfterOneMessage(ReferenceServer):
    """Answers one message, and closes the connection."""

    def on_message(self, opcode, message):
        super().on_message(opcode, message)
        raise Failure(1000, "that was it")


class SaysWhy(ReferenceServer):
    """Sends the reason as a text, then fails the connection."""

    def fail(self, failure):
        self.send_frame(TEXT, f"error: {failure}".encode())
        super().fail(failure)


class PingsAtEachMessage(ReferenceServer):
    """Sends a Ping before each echo, and expects the Pong in order."""

    def on_message(self, opcode, message):
        self.send_frame(PING, b"still there?!")
        super().on_message(opcode, message)


class WaitsForTheAnswer(ReferenceServer):
    """Closes with 1009 above 16 KiB, and waits some seconds for the client's Close."""

    MAX_MESSAGE = 16 << 10

    def fail(self, failure):
        super().fail(failure)
        if failure.code == 1009:
            self.wait_for_the_end(8.0)


class MembersOnly(ReferenceServer):
    """Refuses a client without a cookie before it looks at the rest of the handshake."""

    def validate(self, request):
        raise Refusal(403, "a member's cookie is required")


class WantsTLS(ReferenceServer):
    """Requires another protocol than websocket for a plain request: RFC 2817 §4.2."""

    def fallback(self, request):
        raise Refusal(426, "TLS is required", "Upgrade: TLS/1.2, HTTP/1.1")


class CutsAFrame(ReferenceServer):
    """Sends a long greeting, and ends TCP inside it when the client ends TCP."""

    def serve_frames(self):
        self.send(frame(TEXT, b"x" * 1000, key=None)[:500])
        with contextlib.suppress(TimeoutError):
            self.request.settimeout(0.2)
            self.receive()
        self.request.settimeout(None)
        self.send(frame(TEXT, b"x" * 1000, key=None)[500:])
        super().serve_frames()


class RefusesForeignReferers(ReferenceServer):
    """Serves its page only to clients that come from its own pages."""

    def fallback(self, request):
        if request.lines("referer"):
            raise Refusal(403, "no hot links")
        super().fallback(request)


class RedirectsQueries(ReferenceServer):
    """Has one page, and redirects a plain request with a query to it."""

    MAX_HEAD = 1 << 20

    def fallback(self, request):
        if "?" in request.target:
            self.answer("308 Permanent Redirect", "Location: /", "Content-Length: 0", "Connection: close")
            raise Disconnected
        super().fallback(request)


class NotAllowed(WebSocketHandler):
    """Lets nobody in."""

    def check_request(self, request):
        raise HTTPError(403, "a member's cookie is required")


@contextlib.contextmanager
def serving_a(kind):
    """The URL of a server of this class."""
    if issubclass(kind, ReferenceServer):
        with serving(kind) as url:
            yield url
    else:
        with running(kind) as server:
            yield f"{server.url}/chat" if kind is Demo else server.url


GOOD = [Greets, Ticks, TicksOnly, TellsAll, RefusesSubprotocols, WantsASubprotocol, TextOnly, IgnoresBadHandshakes]
GOOD += [WaitsForARealHead, SpeaksH2c, Page, SmallLimit, NeverSends, NotAllowed, Demo, SmallDevice, LimitsConnections]
GOOD += [ClosesAfterOneMessage, SaysWhy, WaitsForTheAnswer, MembersOnly, WantsTLS, RefusesForeignReferers]
GOOD += [RedirectsQueries, PingsAtEachMessage]


@pytest.mark.slow
@pytest.mark.parametrize("echo", [True, False], ids=["", "no-echo"])
@pytest.mark.parametrize("kind", GOOD, ids=lambda kind: kind.__name__)
def test_a_good_server_fails_no_must(kind, echo):
    with serving_a(kind) as url:
        report = grade(parse_target(url), CASES, timeout=3.0, echo=echo)
    assert not report.stopped
    assert [(v.case.id, v.why) for v in report.failed if v.case.level is Level.MUST] == []


def outcomes(kind, *only, timeout=3.0):
    with serving_a(kind) as url:
        report = grade(parse_target(url), select(only=only), timeout=timeout)
    return {v.case.id: (v.outcome, v.why) for v in report.verdicts}


def test_a_connection_beside_the_cases_that_is_refused_ends_nothing(monkeypatch):
    def refuse(peer, request=None):
        raise Failed("HTTP/1.1 503 Service Unavailable")

    monkeypatch.setattr(runner, "probe", lambda *_, **__: Capabilities(101, echo=True))
    monkeypatch.setattr(Peer, "open", refuse)
    with serving_a(ReferenceServer) as url:
        report = grade(parse_target(url), select(only=["2.plain.get"]))
    assert [v.outcome for v in report.verdicts] == [Outcome.PASS]


LEGAL = [
    (SmallDevice, {"10.packets.500", "9.window.server-11"}),
    (LimitsConnections, {"11.limits.survives"}),
    (ClosesAfterOneMessage, {"6.mask.every-size", "6.stream.one-packet"}),
    (SaysWhy, {"6.mask.missing", "6.rsv.1", "7.utf8.f5", "7.fragments.text-in-text", "9.rsv1.ping"}),
    (SaysWhy, {"6.length.low-half-of-64", "8.failing.nothing-more"}),
    (PingsAtEachMessage, {"6.stream.one-and-a-half", "6.stream.half-a-header"}),
    (WaitsForTheAnswer, {"9.rsv1.own"}),
    (MembersOnly, {"3.version.told"}),
    (WantsTLS, {"5.plain.says-to-what"}),
    (CutsAFrame, {"4.answer.nothing-follows"}),
    (RefusesForeignReferers, {"1.header.colon-in-value"}),
    (RedirectsQueries, {"1.target.long"}),
]


@pytest.mark.parametrize(("kind", "names"), LEGAL, ids=lambda value: getattr(value, "__name__", ""))
def test_a_good_server_does_not_fail_the_case_that_its_behaviour_is_about(kind, names):
    found = outcomes(kind, *sorted(names), timeout=1.5)
    assert {name: why for name, (outcome, why) in found.items() if outcome is Outcome.FAIL} == {}
    assert set(found) == names


def test_a_ping_inside_a_frame_of_the_grader_is_answered_after_this_frame():
    class WantsPongs(PingsAtEachMessage):
        pongs: ClassVar[list[bytes]] = []

        def on_frame(self, fin, rsv, opcode, payload):
            if opcode == PONG:
                self.pongs.append(payload)
            return super().on_frame(fin, rsv, opcode, payload)

    with serving_a(WantsPongs) as url:
        peer = Peer(parse_target(url))
        wire = peer.open()
        data = frame(TEXT, b"x" * 300)
        for cut in (1, 3, 7, 20):
            wire.send(frame(TEXT, b"one") + data[:cut])
            wire.expect(TEXT, b"one")
            wire.send(data[cut:])
            wire.expect(TEXT, b"x" * 300)
            wire.send(frame(TEXT, b"last"))
            wire.expect(TEXT, b"last")
        wire.send(frame(PING, b"end"))
        wire.expect(PONG, b"end")
        peer.close()
    assert WantsPongs.pongs == [b"still there?!"] * 12


def test_a_server_that_limits_the_connections_is_graded_by_one_case_at_a_time():
    found = outcomes(LimitsConnections, "6.length.*", "6.rsv.*")
    assert {outcome for outcome, _ in found.values()} == {Outcome.PASS}


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable"])
def test_a_case_that_the_server_answers_by_429_or_503_is_skipped(monkeypatch, status):
    monkeypatch.setattr(session, "PAUSES", (0.001,))  # here no pause makes it answer otherwise
    monkeypatch.setattr(runner, "PAUSES", (0.001,))

    class LimitsRequests(ReferenceServer):
        number = 0

        def open(self):
            LimitsRequests.number += 1
            if LimitsRequests.number > 12:
                self.read_head()
                self.answer(status, "Content-Length: 0", "Connection: close")
                raise Disconnected
            return super().open()

    with serving_a(LimitsRequests) as url:
        report = grade(parse_target(url), select(only=["2.connection.*", "6.length.*", "1.header.*"]), jobs=1)
    assert report.failed == []
    assert f"it limits the number of requests ({status})" in {v.case.id: v.why for v in report.verdicts}["6.length.126"]


def test_a_503_of_a_proxy_whose_server_has_ended_does_not_excuse_the_rest(monkeypatch):
    monkeypatch.setattr(session, "PAUSES", (0.001,))
    monkeypatch.setattr(runner, "PAUSES", (0.001,))

    class EndsBehindAProxy(ReferenceServer):
        has_ended = False

        def open(self):
            if EndsBehindAProxy.has_ended:
                self.read_head()
                self.answer("503 Service Unavailable", "Content-Length: 0", "Connection: close")
                raise Disconnected
            return super().open()

        def on_unmasked(self):
            EndsBehindAProxy.has_ended = True
            super().on_unmasked()

    with serving_a(EndsBehindAProxy) as url:
        report = grade(parse_target(url), select(only=["6.length.1", "6.mask.missing", "6.rsv.*"]), jobs=1)
    assert report.is_bad
    assert report.stopped == "the server no longer answers an ordinary handshake; perhaps since 6.rsv.1"


@pytest.mark.parametrize("status", ["", "503 Service Unavailable"])
def test_a_case_is_played_again_if_the_server_turned_its_client_away(status):
    class TurnsAwaySome(ReferenceServer):
        """Has no place for every fifth client."""

        numbers = itertools.count()

        def open(self):
            number = next(TurnsAwaySome.numbers)
            if number > 20 and number % 5 == 0:
                if status:
                    self.read_head()
                    self.answer(status, "Content-Length: 0", "Connection: close")
                raise Disconnected
            return super().open()

    found = outcomes(TurnsAwaySome, "1.header.*", "2.connection.*", "4.accept.*", "6.length.1*")
    assert {name: verdict for name, verdict in found.items() if verdict[0] is not Outcome.PASS} == {}


def test_a_server_that_turns_a_second_client_away_gets_time_to_notice_that_the_first_has_left():
    class OneClient(ReferenceServer):
        is_busy = False

        def handle(self):
            if OneClient.is_busy:
                return
            OneClient.is_busy = True
            super().handle()
            threading.Event().wait(0.03)  # a slow server's pace
            OneClient.is_busy = False

    found = outcomes(OneClient, "1.flood.*", "2.connection.*", "8.close.well-formed")
    assert {name: verdict for name, verdict in found.items() if verdict[0] is not Outcome.PASS} == {}


def test_a_request_that_ends_the_server_is_blamed_also_if_it_gets_no_answer():
    class DiesOfAHeader(ReferenceServer):
        def validate(self, request):
            if request.lines("connection") == ["upgrade"]:
                self.server.socket.shutdown(socket.SHUT_RDWR)  # as when a process ends
                raise Disconnected
            super().validate(request)

    with serving_a(DiesOfAHeader) as url:
        report = grade(parse_target(url), select(only=["2.connection.*"]), jobs=1)
    assert [(v.case.id, v.crashed) for v in report.failed] == [("2.connection.lower-case", True)]
    assert report.stopped == "2.connection.lower-case ended the server: it accepts no connection now"


def test_a_slow_body_is_played_again_alone():
    class SlowOnce(ReferenceServer):
        slow = threading.Event()

        def refuse(self, refusal):
            if SlowOnce.slow.is_set():
                return super().refuse(refusal)
            SlowOnce.slow.set()
            self.answer("426 Upgrade Required", "Upgrade: websocket", "Connection: Upgrade", "Content-Length: 5")
            time.sleep(2.0)
            self.send(b"slow\n")
            return None

    assert outcomes(SlowOnce, "1.answer.length", timeout=1.0)["1.answer.length"][0] is Outcome.PASS


def test_a_server_that_closes_after_one_message_is_no_echo_server_and_the_report_says_so():
    with serving_a(ClosesAfterOneMessage) as url:
        report = grade(parse_target(url), select(only=["6.echo.hello", "6.length.1"]))
    assert "it answers one text, and then closes the connection, which is legal: CLOSE 1000" in capabilities_line(
        report
    )


def test_a_text_before_the_close_does_not_excuse_a_server_that_stays_open():
    class Complains(ReferenceServer):
        def check_first_byte(self, fin, rsv, opcode):
            if rsv:
                self.send_frame(TEXT, b"error: RSV bits")

    found = outcomes(Complains, "6.rsv.2", "6.rsv.1-ping", timeout=1.5)
    assert {outcome for outcome, _ in found.values()} == {Outcome.FAIL}
    assert "it sent TEXT of 15 bytes: b'error: RSV bits'" in found["6.rsv.2"][1]


def test_the_echo_of_an_invalid_message_before_the_close_is_a_failure():
    class EchoesThenCloses(ReferenceServer):
        def check_first_byte(self, fin, rsv, opcode):
            if rsv:
                self.send_frame(TEXT, b"Hello")
            super().check_first_byte(fin, rsv, opcode)

    assert outcomes(EchoesThenCloses, "6.rsv.2")["6.rsv.2"][0] is Outcome.FAIL


@pytest.mark.parametrize("rubbish", [b"\n", b"hello", b"\r\n", b"\t", b"\x0bhi"])
def test_bytes_after_the_101_that_begin_no_frame_are_a_failure(rubbish):
    class Rubbish(ReferenceServer):
        def complete_upgrade(self, request):
            super().complete_upgrade(request)
            self.send(rubbish)

    assert outcomes(Rubbish, "4.answer.nothing-follows", timeout=0.5)["4.answer.nothing-follows"][0] is Outcome.FAIL


def test_a_5xx_for_a_long_target_or_a_426_without_a_protocol_is_a_failure():
    class Breaks(ReferenceServer):
        MAX_HEAD = 1 << 20

        def fallback(self, request):
            if "?" in request.target:
                self.answer("500 Internal Server Error", "Content-Length: 0", "Connection: close")
                raise Disconnected
            raise Refusal(426, "another protocol", "Upgrade: ")

    found = outcomes(Breaks, "1.target.long", "5.plain.says-to-what")
    assert {outcome for outcome, _ in found.values()} == {Outcome.FAIL}


class TestUnaskedMessages:
    """A server may speak first, and at any time"""

    @pytest.mark.parametrize("kind", [Greets, Ticks])
    def test_the_echo_is_found_among_them(self, kind):
        found = outcomes(kind, "6.echo.hello", "6.length.125", "6.mask.missing")
        assert {outcome for outcome, _ in found.values()} == {Outcome.PASS}

    def test_a_server_that_does_not_fail_the_connection_is_not_excused_by_them(self):
        class TakesUnmasked(Ticks):
            def on_unmasked(self):
                pass

        found = outcomes(TakesUnmasked, "6.mask.missing", "6.mask.missing-ping", timeout=1.5)
        assert {outcome for outcome, _ in found.values()} == {Outcome.FAIL}

    def test_what_another_client_says_is_noticed(self):
        with running(TellsAll) as server:
            report = grade(parse_target(server.url), select(only=["6.*"]))
        assert report.capabilities.unasked
        assert report.failed == []

    def test_what_another_client_says_does_not_end_a_run_until_the_first_failure(self):
        with running(TellsAll) as server:
            cases = select(only=["6.length.*", "6.mask.*"])
            report = grade(parse_target(server.url), cases, is_enough=lambda v: v.outcome is Outcome.FAIL)
        assert (report.stopped, report.failed) == ("", [])
        assert played(report) == {case.id for case in cases}

    def test_a_failure_beside_other_cases_ends_such_a_run_if_it_happens_again_alone(self):
        class TakesUnmasked(ReferenceServer):
            def on_unmasked(self):
                pass

        with serving_a(TakesUnmasked) as url:
            cases = select(only=["6.length.*", "6.mask.missing", "6.rsv.*"])
            report = grade(parse_target(url), cases, is_enough=lambda v: v.outcome is Outcome.FAIL)
        assert report.stopped == "--first: a case failed"
        assert [v.case.id for v in report.failed] == ["6.mask.missing"]
        assert played(report) < {case.id for case in cases}


@pytest.mark.parametrize(
    "kind, advice",
    [
        (Page, "gets 200 (is there a WebSocket at this path?)"),
        (WantsASubprotocol, "gets 400, “the subprotocol echo is required” (a server may demand"),
        (NotAllowed, "gets 403, “403 Forbidden” (a server may demand a --subprotocol, an --origin, or a --header)"),
    ],
)
def test_a_server_that_lets_nobody_in_says_why_and_what_may_help(kind, advice):
    with serving_a(kind) as url:
        report = grade(parse_target(url), select(only=["4.status.101"]))
    assert advice in capabilities_line(report)


def test_a_refusal_that_every_handshake_gets_proves_nothing():
    found = outcomes(Page, "3.key.short", "3.version.12")
    assert {outcome for outcome, _ in found.values()} == {Outcome.SKIP}
    assert "a good handshake gets 200 too" in found["3.key.short"][1]


def test_a_101_without_its_empty_line_is_one_failure_and_not_the_end():
    class NoEmptyLine(ReferenceServer):
        def send(self, data):
            super().send(data.replace(b"\r\n\r\n", b"\r\n") if data.startswith(b"HTTP/1.1 101") else data)

    found = outcomes(NoEmptyLine, "2.plain.get", "4.*", "6.length.1", timeout=0.5)
    assert [name for name, (outcome, _) in found.items() if outcome is Outcome.FAIL] == ["4.status.101"]
    assert found["2.plain.get"][0] is Outcome.PASS
    assert "the 101 is not complete" in found["6.length.1"][1]


def test_a_silence_that_ends_when_the_case_is_replayed_does_not_count():
    class SlowOnce(ReferenceServer):
        slow = threading.Event()

        def on_ping(self, payload):
            if not SlowOnce.slow.is_set():
                SlowOnce.slow.set()
                time.sleep(2.0)
            super().on_ping(payload)

    found = outcomes(SlowOnce, "7.ping.hello", timeout=1.0)
    assert SlowOnce.slow.is_set()
    assert found["7.ping.hello"][0] is Outcome.PASS


def test_a_server_that_is_slow_with_a_large_head_breaks_no_rule():
    class Slow(ReferenceServer):
        MAX_HEAD = 1 << 20

        def read_head(self):
            head = super().read_head()
            if len(head) > 10_000:
                time.sleep(3.0)
            return head

    found = outcomes(Slow, "1.target.long", "1.flood.*header*", timeout=2.0)
    assert len(found) == 3
    assert {outcome for outcome, _ in found.values()} == {Outcome.PASS}


def test_silence_is_no_upgrade():
    found = outcomes(WaitsForARealHead, "2.upgrade.nul-inside", "2.line.*", timeout=0.5)
    assert {outcome for outcome, _ in found.values()} == {Outcome.PASS}


def test_silence_after_a_header_that_takes_exponential_time_is_a_failure():
    class Backtracks(ReferenceServer):
        def validate(self, request):
            if any(value.count("\\") > 100 for value in request.lines("sec-websocket-extensions")):
                self.receive()
            super().validate(request)

    found = outcomes(Backtracks, "3.extensions.unclosed-quote", timeout=0.5)
    assert [outcome for outcome, _ in found.values()] == [Outcome.FAIL]


def test_the_echo_of_a_valid_first_fragment_is_no_answer_to_an_invalid_second_one():
    two = ("6.mask.missing-fragment", "6.rsv.1-continuation")
    found = outcomes(BROKEN["one-by-one"], *two)
    assert {outcome for outcome, _ in found.values()} == {Outcome.PASS}
    for lax, name in zip(("takes-unmasked", "ignores-rsv"), two, strict=True):
        assert outcomes(BROKEN[lax], name)[name][0] is Outcome.FAIL


def test_a_fault_that_is_not_noticed_is_one_failure_even_if_a_pong_overtakes_the_echo():
    class PongsFirst(BROKEN["close-overtakes"]):
        def check_first_byte(self, fin, rsv, opcode):
            pass

    found = outcomes(PongsFirst, "6.rsv.2", "8.failing.nothing-more")
    assert found["6.rsv.2"][0] is Outcome.FAIL
    assert found["8.failing.nothing-more"][0] is Outcome.SKIP


class Crash(ReferenceServer):
    """Ends its process, for one frame."""

    def check_length(self, length, least):
        if length > 1 << 62:
            self.server.socket.shutdown(socket.SHUT_RDWR)  # as when a process ends
            self.request.shutdown(socket.SHUT_RDWR)
            raise Disconnected
        super().check_length(length, least)


def played(report):
    """The ids of the cases that were played, or do not apply."""
    return {v.case.id for v in report.verdicts if v.outcome is not Outcome.UNPLAYED}


def crashed(jobs, *only):
    with serving_a(Crash) as url:
        return grade(parse_target(url), select(only=only), timeout=3.0, jobs=jobs)


class TestCrashes:
    """A server that ends is a verdict of its own"""

    def test_the_case_that_ends_the_server_is_blamed_and_no_other(self):
        report = crashed(1, "6.length.*")
        assert [(v.case.id, v.crashed) for v in report.failed] == [("6.length.top-bit", True)]
        assert report.stopped == "6.length.top-bit ended the server: it accepts no connection now"
        assert "6.length.126" in played(report)
        assert "6.length.huge" not in played(report)

    def test_also_beside_other_cases_as_a_dangerous_case_runs_alone(self):
        report = crashed(4, "6.*")
        assert [(v.case.id, v.crashed) for v in report.failed] == [("6.length.top-bit", True)]

    def test_of_several_cases_none_is_blamed_and_all_are_named(self):
        class Barrier(Crash):
            both = threading.Barrier(2)

            def on_unmasked(self):
                self.both.wait(10)
                with contextlib.suppress(OSError):
                    self.server.socket.shutdown(socket.SHUT_RDWR)
                raise Disconnected

        with serving_a(Barrier) as url:
            report = grade(
                parse_target(url), select(only=["6.mask.missing", "6.mask.missing-ping"]), timeout=3.0, jobs=2
            )
        assert report.failed == []
        assert report.stopped.startswith("the server ended during or after one of 6.mask.missing, 6.mask.missing-ping")

    def test_a_case_that_finds_the_server_gone_is_not_the_one(self):
        class GoesAfterItsClose(ReferenceServer):
            def on_unmasked(self):
                self.server.socket.shutdown(socket.SHUT_RDWR)
                super().on_unmasked()

        with serving_a(GoesAfterItsClose) as url:
            report = grade(parse_target(url), select(only=["6.mask.*"]), timeout=3.0, jobs=1)
        assert report.failed == []
        assert "6.mask.missing" in report.stopped
        assert "6.mask.missing-binary" not in played(report)
