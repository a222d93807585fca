"""The cases of chapters 6 to 11 find broken servers and pass legal ones; sessions; expectations."""

from __future__ import annotations

import codecs
import contextlib
import re
import selectors
import socket
import ssl
import struct
import threading
import time
import zlib
from fnmatch import fnmatchcase
from types import SimpleNamespace

import gallery
import pytest
from conftest import DEADLINE

from wsref.check import CASES, Level, Outcome, grade, parse_target, session
from wsref.check.cases import select
from wsref.check.cases.ch04 import _nothing_follows
from wsref.check.cases.ch06 import _no_message
from wsref.check.cases.common import take_pongs
from wsref.check.cases.deflate import parse_elements, response_fault
from wsref.check.codec import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Frame, frame
from wsref.check.gallery import BROKEN
from wsref.check.gallery.reference import Failure, ReferenceServer, Refusal, serving
from wsref.check.runner import play, probe
from wsref.check.session import Deadline, Silence, Wire
from wsref.check.verdict import Failed, Skipped

HERE = [case for case in CASES if 6 <= case.chapter <= 11]
BY_ID = {case.id: case for case in HERE}
GALLERY = {name: server for name, server in BROKEN.items() if server.__module__ >= "wsref.check.gallery.ch06"}


#: Broken servers that fail quickly, two for each group of chapters: the quick suite plays their cases.
QUICK = (
    "takes-unmasked",
    "zero-is-no-key",
    "ping-ends-message",
    "continues-nothing",
    "any-text",
    "hangs-up",
    "echoes1005",
    "bare-window",
    "any-path",
    "any-origin",
    "null-is-welcome",
)


def matching(*globs: str) -> list[str]:
    """The ids that match one of these globs, in order."""
    return [name for name in BY_ID if any(fnmatchcase(name, glob) for glob in globs)]


def graded(server: type[ReferenceServer], *only: str, timeout: float = 5.0, jobs: int = 4):
    """Grade a server that is derived from the reference server."""
    with serving(server) as url:
        return grade(parse_target(url), select(only=only) if only else HERE, timeout=timeout, jobs=jobs)


def failures(report, *levels: Level) -> dict[str, str]:
    return {v.case.id: v.why for v in report.failed if not levels or v.case.level in levels}


class TestTheRows:
    """The cases of chapters 6 to 11"""

    def test_there_are_at_least_140_and_some_for_each_chapter(self):
        assert len(HERE) >= 140
        assert {case.chapter for case in HERE} == set(range(6, 12))

    def test_every_length_at_a_boundary_is_sent_as_text_and_as_binary(self):
        for size in (0, 1, 124, 125, 126, 127, 128, 65535, 65536, 65537):
            assert f"6.length.{size}" in BY_ID
            assert f"6.text-length.{size}" in BY_ID

    def test_every_reserved_opcode_and_every_rsv_bit_is_sent(self):
        for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
            assert f"6.opcode.{opcode}" in BY_ID
        for bit in (1, 2, 3):
            assert f"6.rsv.{bit}" in BY_ID

    def test_every_must_quotes_an_rfc(self):
        must = [case for case in CASES if case.level is Level.MUST]
        assert [case.id for case in must if "`" in case.quote or len(case.quote) < 15] == []


@pytest.mark.slow
class TestLegalBehaviour:
    """§5.5.3, §7.1.7, §7.3, §10.4, RFC 7692 §7: unusual legal behaviour fails no MUST"""

    def test_a_server_that_fails_connections_by_ending_tcp(self):
        class EndsTcp(ReferenceServer):
            def fail(self, failure):
                pass

        report = graded(EndsTcp)
        assert failures(report, Level.MUST, Level.INTEROP) == {}
        assert set(failures(report)) == set(matching("8.failing.with-a-close*", "8.failing.1009-size"))

    def test_a_server_that_answers_the_last_of_several_pings_only(self):
        class LastPing(ReferenceServer):
            last = None

            def on_ping(self, payload):
                self.last = payload

            def receive(self):
                if self.last is not None:
                    self.send_frame(PONG, self.last)
                    self.last = None
                return super().receive()

            def on_close(self, payload):
                if self.last is not None:
                    self.send_frame(PONG, self.last)
                super().on_close(payload)

        assert failures(graded(LastPing)) == {}

    @pytest.mark.parametrize("heartbeat", [b"", b"alive"])
    def test_a_server_that_sends_unsolicited_pongs(self, heartbeat):
        class Heartbeat(ReferenceServer):
            def serve_frames(self):
                self.send_frame(PONG, heartbeat)
                super().serve_frames()

            def on_message(self, opcode, message):
                self.send_frame(PONG, heartbeat)
                super().on_message(opcode, message)

        assert set(failures(graded(Heartbeat))) <= {"7.pong.unsolicited-empty"}  # the case sends such Pongs, too

    def test_a_server_that_echoes_each_fragment_as_it_arrives(self):
        class Streams(ReferenceServer):
            def choose_extension(self, request):
                return None

            def on_data(self, fin, rsv, opcode, payload):
                self.opcode_before = self.opcode
                self.piece, self.fin = payload, fin
                super().on_data(fin, rsv, opcode, payload)
                if not fin:
                    self.echo(opcode, payload, fin)

            def on_message(self, opcode, message):
                self.echo(CONTINUATION if self.opcode_before else opcode, self.piece, True)

            def echo(self, opcode, payload, fin):
                whole = bytearray()
                self.send, kept = whole.extend, self.send
                self.send_frame(opcode, payload)
                self.send = kept
                whole[0] &= 0xFF if fin else 0x7F
                self.send(bytes(whole))

        assert set(failures(graded(Streams))) == {"9.agree.browser"}

    def test_a_server_that_refuses_binary_with_1003(self):
        class TextOnly(ReferenceServer):
            def on_message(self, opcode, message):
                if opcode == BINARY:
                    raise Failure(1003, "text only")
                super().on_message(opcode, message)

        report = graded(TextOnly)
        assert failures(report) == {}
        skipped = {v.case.id for v in report.verdicts if v.outcome is Outcome.SKIP}
        assert {"6.length.125", "6.echo.all-bytes", "7.fragments.binary", "9.message.binary"} <= skipped

    def test_a_server_that_closes_with_1009_above_16_kib(self):
        class Small(ReferenceServer):
            MAX_MESSAGE = 16 * 1024

        report = graded(Small)
        assert failures(report) == {}
        skipped = {v.case.id for v in report.verdicts if v.outcome is Outcome.SKIP}
        assert {"6.length.32768", "6.text-length.65536", "7.fragments.large", "9.message.long"} <= skipped

    def test_a_server_with_a_limit_of_200_bytes_fails_a_must(self):
        class Tiny(ReferenceServer):
            MAX_MESSAGE = 200

        assert "6.text-length.255" in failures(graded(Tiny, "6.text-length"), Level.MUST)

    def test_a_server_whose_library_answers_a_ping_before_its_program_decodes_the_text(self):
        class Lazy(ReferenceServer):
            def handle(self):
                self.late = None
                super().handle()

            def check_text(self, piece, last):
                if last:
                    decoder = codecs.getincrementaldecoder("utf-8")()
                    try:
                        decoder.decode(self.message if not self.compressed else piece, True)
                    except UnicodeDecodeError:
                        self.late = Failure(1007, "not UTF-8")

            def on_message(self, opcode, message):
                if self.late is None:
                    super().on_message(opcode, message)

            def read_frame(self):
                if self.late is not None:  # a Ping may overtake the failure
                    self.request.settimeout(0.1)
                    with contextlib.suppress(TimeoutError):
                        _, _, opcode, payload = super().read_frame()
                        if opcode == PING:
                            self.on_ping(payload)
                    raise self.late
                return super().read_frame()

        report = graded(Lazy, "7.utf8", "9.utf8")
        assert set(failures(report)) == {"7.utf8.fail-fast"}

    def test_a_server_that_refuses_a_handshake_with_a_bad_offer(self):
        class Refuses(ReferenceServer):
            def read_offer(self, words):
                parameters = super().read_offer(words)
                if parameters is None:
                    raise Refusal(400, "no offer at all")
                return parameters

        assert failures(graded(Refuses, "9")) == {}

    def test_a_server_that_requests_all_legal_parameters(self):
        class Asks(ReferenceServer):
            def agree(self, parameters):
                super().agree({**parameters, "client_no_context_takeover": True})

            def reply_to(self, parameters):
                reply = {**parameters, "client_no_context_takeover": True, "server_no_context_takeover": True}
                if "client_max_window_bits" in parameters:
                    most = parameters["client_max_window_bits"]
                    reply["client_max_window_bits"] = 15 if most is True else most
                return reply

            def compress(self, payload):
                self.new_deflater()
                return super().compress(payload)

        assert failures(graded(Asks, "9")) == {}

    def test_a_server_without_compression_skips_the_cases_about_it(self):
        report = graded(type("Plain", (ReferenceServer,), {"choose_extension": lambda self, request: None}), "9")
        assert set(failures(report)) == {"9.agree.browser"}
        assert {v.outcome for v in report.verdicts if v.case.id != "9.agree.browser"} == {Outcome.SKIP}

    def test_a_server_without_echo_is_graded_on_the_other_cases(self):
        class Silent(ReferenceServer):
            def on_message(self, opcode, message):
                pass

        with serving(Silent) as url:
            report = grade(parse_target(url), HERE, timeout=5.0, echo=False)
        assert failures(report) == {}
        assert report.count(Outcome.PASS) > 120


SNAPSHOT = gallery.read()


class TestTheGallery:
    """Each broken server fails exactly the cases that are meant for it"""

    def test_the_snapshot_has_all_servers_with_the_case_of_each_and_no_other_words(self):
        assert list(SNAPSHOT) == list(BROKEN)
        assert [name for name, server in BROKEN.items() if server.case not in SNAPSHOT[name].always] == []
        ids = {case.id for case in CASES}
        assert set().union(*(fails.always for fails in SNAPSHOT.values())) <= ids
        globs = [glob for fails in SNAPSHOT.values() for glob in fails.sometimes]
        assert [glob for glob in globs if not any(fnmatchcase(one, glob) for one in ids)] == []

    @pytest.mark.parametrize(
        "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in GALLERY]
    )
    def test_it_fails_what_it_should(self, name):
        server = GALLERY[name]
        few = [server.case, *(one for one in BY_ID if one in SNAPSHOT[name].always and one != server.case)][:3]
        with serving(server) as url:
            found = probe(parse_target(url), timeout=5.0)
            verdicts = [play(BY_ID[one], parse_target(url), found, timeout=0.5) for one in few]
        assert [(v.case.id, v.outcome) for v in verdicts] == [(one, Outcome.FAIL) for one in few]

    @pytest.mark.slow
    @pytest.mark.timeout(300)  # never-closes and one-recv-one-frame let most cases run into their timeout
    @pytest.mark.parametrize("name", GALLERY)
    def test_it_fails_nothing_else(self, name):
        server = GALLERY[name]
        report = graded(server, timeout=2.0, jobs=gallery.jobs_for(name))
        assert not report.stopped
        failed = set(failures(report))
        assert SNAPSHOT[name].always - failed == set()
        assert [one for one in failed if not SNAPSHOT[name].may(one)] == []

    def test_a_server_of_the_gallery_fails_every_must(self):
        caught = set().union(*(SNAPSHOT[name].always for name in GALLERY))
        assert {case.id for case in HERE if case.level is Level.MUST} - caught == set()


class TestTheOffers:
    """RFC 7692 §7: the valid answers to an offer"""

    @pytest.mark.parametrize(
        ("offer", "answer", "wrong"),
        [
            ("", "", ""),
            ("", "; server_no_context_takeover", ""),
            ("", "; server_max_window_bits=10", ""),
            ("", "; client_no_context_takeover", ""),
            ("", "; client_max_window_bits=10", "was not offered"),
            ("; client_max_window_bits", "; client_max_window_bits=10", ""),
            ("; client_max_window_bits", "; client_max_window_bits", "without a value"),
            ("; client_max_window_bits=10", "; client_max_window_bits=11", "more than the offered 10"),
            ("; client_max_window_bits=10", "", ""),
            ("; server_max_window_bits=10", "; server_max_window_bits=10", ""),
            ("; server_max_window_bits=10", "; server_max_window_bits=9", ""),
            ("; server_max_window_bits=10", "; server_max_window_bits=11", "more than the requested 10"),
            ("; server_max_window_bits=10", "", "is not in the answer"),
            ("; server_no_context_takeover", "", "is not in the answer"),
            ("; client_no_context_takeover", "", ""),
            ("", "; server_no_context_takeover=1", "takes no value"),
            ("", "; server_max_window_bits=7", "not a number from 8 to 15"),
            ("", "; server_max_window_bits=16", "not a number from 8 to 15"),
            ("", "; server_max_window_bits=09", "not a number from 8 to 15"),
            ("", "; foo", "not a parameter"),
            ("", "; server_no_context_takeover; server_no_context_takeover", "appears twice"),
            ("; server_max_window_bits=9, permessage-deflate", "", ""),
        ],
    )
    def test_an_answer_is_judged_by_the_offers(self, offer, answer, wrong):
        offers = [parameters for _, parameters in parse_elements(f"permessage-deflate{offer}")]
        ((_, response),) = parse_elements(f"permessage-deflate{answer}")
        found = response_fault(offers, response)
        assert wrong in found
        assert bool(wrong) == bool(found)

    @pytest.mark.parametrize("value", ["permessage-deflate; a=", "permessage-deflate;", "a b", "", 'a; b="c'])
    def test_an_invalid_header_is_a_failure(self, value):
        with pytest.raises(Failed):
            parse_elements(value)


@contextlib.contextmanager
def wire_that_receives(data: bytes):
    """A connection to a server that sends these bytes, and nothing more."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
        theirs.sendall(data)
        target = parse_target(f"ws://127.0.0.1:{listener.getsockname()[1]}/")
        wire = Wire(ours, target, 0.2)
        try:
            yield wire, theirs
        finally:
            wire.close()
            theirs.close()


def test_a_wait_ends_at_its_deadline_in_the_middle_of_a_flood_of_pings():
    with wire_that_receives(b"\x89\x00" * 1000) as (wire, _):
        wire.send(b"")
        while len(wire._buffer) < 2000:
            wire._receive_more(Deadline(DEADLINE))
        with pytest.raises(Silence, match="nothing for 0 s but Pings"):
            wire.message(Deadline(0))
        assert len(wire._buffer) == 1998


def test_an_endless_ping_is_no_message_and_ends_no_run(monkeypatch):
    monkeypatch.setattr(Wire, "MAX_RECEIVED", 1 << 17)
    with wire_that_receives(b"\x89\x7f" + bytes(4) + b"\xff" * 4 + bytes((1 << 17) - 10)) as (wire, theirs):
        while len(wire._buffer) < 1 << 17:
            wire._receive_more(Deadline(DEADLINE))
        theirs.sendall(b"more")
        assert session._wait(wire._socket, selectors.EVENT_READ, DEADLINE)
        assert not wire.has_received_a_message()


def test_of_a_message_without_end_no_more_is_kept_than_any_case_needs(monkeypatch):
    monkeypatch.setattr(Wire, "MAX_RECEIVED", 1 << 20)
    with wire_that_receives(frame(TEXT, b"", fin=False, key=None)) as (wire, theirs):
        wire.timeout = DEADLINE
        piece = frame(CONTINUATION, bytes(1 << 16), fin=False, key=None)
        thread = threading.Thread(target=theirs.sendall, args=(piece * 17,))
        thread.start()
        with pytest.raises(Failed, match="more than 1 MiB that the grader did not request"):
            wire.message()
        thread.join()


def test_of_frames_with_faults_no_more_faults_are_kept_than_a_report_needs(monkeypatch):
    monkeypatch.setattr(session, "MAX_FAULTS", 10)
    with wire_that_receives(frame(TEXT, b"x", rsv=7, key=None) * 1000) as (wire, _):
        for _ in range(1000):
            assert wire.frame(DEADLINE).faults
        assert wire.faults == ["RSV bits 111 are set (RFC 6455 §5.2)"] * 10


def test_tls_that_must_write_before_it_reads_is_not_the_end_of_tcp():
    class WantsToWrite:
        """As after a KeyUpdate whose answer does not fit into the send buffer."""

        def __init__(self, sock):
            self._socket, self._errors = sock, [ssl.SSLWantWriteError()]

        def recv(self, size):
            if self._errors:
                raise self._errors.pop()
            return self._socket.recv(size)

        def __getattr__(self, name):
            return getattr(self._socket, name)

    with wire_that_receives(frame(TEXT, b"Hello", key=None)) as (wire, _):
        wire._socket = WantsToWrite(wire._socket)
        assert wire.message(Deadline(DEADLINE)) == Frame(TEXT, b"Hello")


def served(*frames: bytes) -> bytes:
    return b"".join(frames)


def pong(payload: bytes) -> bytes:
    return frame(PONG, payload, key=None)


def ask(wire: Wire, *payloads: bytes) -> None:
    """Send Pings: unsolicited Pongs are ignored."""
    wire.send(b"".join(frame(PING, payload) for payload in payloads))


@contextlib.contextmanager
def wire_that_drips(first: bytes, drop: bytes, *, timeout: float = 0.3, drops: int = 1000):
    """A connection to a server that sends these bytes, then a few more every 0.05 s, for 50 s."""
    stop = threading.Event()
    with wire_that_receives(first) as (wire, theirs):
        wire.timeout = timeout

        def drip() -> None:
            with contextlib.suppress(OSError):
                for _ in range(drops):
                    if stop.wait(0.05):
                        return
                    theirs.sendall(drop)

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            yield wire, theirs
        finally:
            stop.set()
            thread.join()


HEAD = b"HTTP/1.1 200 OK\r\n"

#: The wait, the first bytes, and the bytes that the server repeats.
DRIPS = {
    "a head": (lambda wire: wire.answer(), HEAD, b"X-Note: not yet\r\n"),
    "a final answer": (lambda wire: wire.answer(), b"", b"HTTP/1.1 102 Processing\r\n\r\n"),
    "a frame in bytes": (lambda wire: wire.frame(), b"\x82\x7e\x10\x00", b"x"),
    "a frame with a shorter timeout": (lambda wire: wire.frame(0.2), b"\x82\x7e\x10\x00", b"x"),
    "a message after Pings": (lambda wire: wire.message(), b"", frame(PING, b"?", key=None)),
    "a message after Pongs": (lambda wire: wire.message(), b"", pong(b"alive")),
    "a message in fragments": (
        lambda wire: wire.message(),
        frame(TEXT, b"", fin=False, key=None),
        frame(CONTINUATION, b"x", fin=False, key=None),
    ),
    "an echo after Pings": (lambda wire: wire.expect(TEXT, b"Hello"), b"", frame(PING, b"?", key=None)),
    "a Close": (
        lambda wire: next(received for received in wire.frames() if received.opcode == CLOSE),
        b"",
        pong(b"alive"),
    ),
    "a Close after data": (
        lambda wire: next(received for received in wire.frames() if received.opcode == CLOSE),
        b"",
        frame(TEXT, b"more", key=None),
    ),
    "a failed connection": (lambda wire: wire.expect_failure(), b"", frame(PING, b"?", key=None)),
    "room to write": (
        lambda wire: wire.send(frame(BINARY, bytes(32 << 20), key=None)),
        b"",
        frame(PING, b"?", key=None),
    ),
}


class TestDeadlines:
    """Other bytes do not move the deadline of a wait"""

    @pytest.mark.parametrize("waited_for", DRIPS)
    def test_other_bytes_do_not_extend_a_wait(self, waited_for):
        wait, first, drop = DRIPS[waited_for]
        with wire_that_drips(first, drop) as (wire, _):
            began = time.monotonic()
            with pytest.raises(Failed, match=r"nothing for 0|accepted no more bytes for 0"):
                wait(wire)
            assert time.monotonic() - began < DEADLINE, "it waited for the last drop"

    def test_a_body_without_end_is_its_received_part(self):
        for length in (b"", b"Content-Length: 5000\r\n"):
            with wire_that_drips(HEAD + length + b"\r\nx", b"x") as (wire, _):
                body = wire.answer().body
                assert 0 < len(body) < 600, "it took 30 s of bytes"
                assert set(body) == {ord("x")}

    @pytest.mark.parametrize("width", [1, 8, 9, 16])
    def test_a_chunked_body_ends_with_its_last_chunk_however_long_the_sizes_are(self, width):
        chunks = b"".join(b"%0*x;x=y\r\n%b\r\n" % (width, len(piece), piece) for piece in (b"a\n", b"\r\n\r\n", b""))
        head = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
        with wire_that_receives(head + chunks + HEAD + b"Content-Length: 2\r\n\r\nok") as (wire, _):
            assert wire.answer().body == chunks
            assert wire.answer().body == b"ok"

    def test_other_bytes_do_not_extend_the_wait_for_the_end_of_tcp(self):
        with wire_that_drips(b"", b"x") as (wire, _):
            began = time.monotonic()
            assert not wire.ended()
            assert time.monotonic() - began < DEADLINE, "it waited for the last drop"

    def test_a_flood_of_pings_does_not_extend_a_wait(self):
        """The buffer always has another Ping, so no read waits."""
        stop = threading.Event()
        with wire_that_receives(b"") as (wire, theirs):

            def flood() -> None:
                theirs.settimeout(0.1)
                while not stop.is_set():
                    with contextlib.suppress(OSError):
                        theirs.send(frame(PING, key=None) * 20000)
                    with contextlib.suppress(OSError):
                        theirs.recv(1 << 20)

            thread = threading.Thread(target=flood)
            thread.start()
            try:
                began = time.monotonic()
                with pytest.raises(Failed, match=r"nothing for 0\.2 s"):
                    wire.message()
                assert time.monotonic() - began < DEADLINE
            finally:
                stop.set()
                thread.join()

    @pytest.mark.slow
    def test_the_grader_waits_for_a_large_message_that_makes_progress(self):
        """4 MiB in 16 pieces take more than one timeout, but less than one more for each MiB."""
        payload = bytes(4 << 20)
        data = b"".join(
            frame(CONTINUATION if i else BINARY, payload[i << 18 : (i + 1) << 18], fin=i == 15, key=None)
            for i in range(16)
        )
        for whole in (True, False):
            data = frame(BINARY, payload, key=None) if whole else data
            with wire_that_receives(b"") as (wire, theirs):
                wire.timeout = 1.2
                thread = threading.Thread(target=self.slowly, args=(theirs, data))
                thread.start()
                wire.expect(BINARY, payload)
                thread.join()

    @pytest.mark.slow
    def test_the_grader_waits_for_a_server_that_reads_slowly(self):
        data = frame(BINARY, bytes(32 << 20), key=None)
        with wire_that_receives(b"") as (wire, theirs):
            wire.timeout = 1.2

            def take() -> None:
                left = len(data)
                while left > 0:
                    threading.Event().wait(0.1)  # a slow server's pace
                    received = len(theirs.recv(min(left, 2 << 20), socket.MSG_WAITALL))
                    left = left - received if received else 0

            thread = threading.Thread(target=take)
            thread.start()
            wire.send(data)
            thread.join(DEADLINE)
            assert not thread.is_alive()

    @staticmethod
    def slowly(theirs: socket.socket, data: bytes) -> None:
        step = len(data) // 15
        for start in range(0, len(data), step):
            threading.Event().wait(0.1)  # a slow server's pace
            theirs.sendall(data[start : start + step])

    @pytest.mark.slow
    def test_the_grader_waits_for_a_large_body_that_makes_progress_but_not_for_a_silent_one(self):
        head = HEAD + b"Content-Length: %d\r\n\r\n" % (4 << 20)
        with wire_that_receives(head) as (wire, theirs):
            wire.timeout = 1.2
            thread = threading.Thread(target=self.slowly, args=(theirs, bytes(4 << 20)))
            thread.start()
            assert len(wire.answer().body) == 4 << 20
            thread.join()
        waits = []
        for first, wait in ((head, lambda: wire.answer().body == b""), (b"", lambda: not wire.ended())):
            with wire_that_receives(first) as (wire, _):
                wire.timeout = 1.0
                began = time.monotonic()
                assert wait()
                waits.append(time.monotonic() - began)
        assert waits[0] < 3 * waits[1], "one timeout for each declared MiB"


class TestInterimAnswers:
    """RFC 9110 §15.2: "A client MUST be able to parse one or more 1xx responses received prior to a final response" """

    EARLY = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"
    GO_ON = b"HTTP/1.1 100 Continue\r\n\r\n"

    @pytest.mark.parametrize("before", [b"", EARLY, GO_ON, EARLY + GO_ON + EARLY, EARLY * 8])
    def test_the_final_one_is_the_answer(self, before):
        for final, status, body in (
            (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", 101, b""),
            (HEAD + b"Content-Length: 2\r\n\r\nok", 200, b"ok"),
        ):
            with wire_that_receives(before + final) as (wire, _):
                answer = wire.answer()
                assert (answer.status, answer.body) == (status, body)

    def test_too_many_interim_answers_are_a_failure(self):
        with wire_that_receives(self.EARLY * 9 + HEAD + b"\r\n") as (wire, _), pytest.raises(Failed, match="9 interim"):
            wire.answer()

    def test_the_end_of_tcp_after_one_is_no_answer(self):
        with wire_that_receives(self.EARLY) as (wire, theirs):
            theirs.close()
            assert wire.answer() is None

    def test_a_server_that_sends_early_hints_before_every_answer(self):
        class Hints(ReferenceServer):
            def answer(self, status_line, *headers, body=""):
                self.send(TestInterimAnswers.EARLY + TestInterimAnswers.GO_ON)
                super().answer(status_line, *headers, body=body)

        report = graded(Hints, "1.answer", "2.upgrade", "3.key", "4", "5.plain", "6.length.12?", "9.agree")
        assert failures(report) == {}
        assert report.count(Outcome.SKIP) == 0


class TestLimits:
    """§10.4: a server may refuse a message above its limit with 1009 or 1008, or by the end of TCP"""

    LARGE = ("6.length", "6.text-length", "6.stream", "7.fragments", "9.message", "9.context")

    @pytest.mark.parametrize("how", ["the end of TCP", 1008, 1009])
    def test_a_server_with_a_limit_of_16_kib_is_not_blamed_for_it(self, how):
        class Small(ReferenceServer):
            MAX_MESSAGE = 16 * 1024

            def fail(self, failure):
                if how != "the end of TCP":
                    super().fail(Failure(how, str(failure)) if failure.code == 1009 else failure)

        report = graded(Small, *self.LARGE)
        assert failures(report) == {}
        skipped = {v.case.id: v.why for v in report.verdicts if v.outcome is Outcome.SKIP}
        assert {"6.length.32768", "6.text-length.524288", "7.fragments.small", "7.fragments.large"} <= set(skipped)
        assert {"7.fragments.unequal", "9.message.long", "6.stream.seven-by-seven"} <= set(skipped)
        assert "it does not accept messages of 32768 bytes" in skipped["6.length.32768"]
        assert "§10.4" in skipped["6.length.32768"]
        assert {"6.length.0", "6.length.256"} & set(skipped) == set()

    @pytest.mark.parametrize("how", ["the end of TCP", 1008, 1009])
    def test_a_limit_below_1_kib_is_a_failure(self, how):
        class Tiny(ReferenceServer):
            MAX_MESSAGE = 200

            def fail(self, failure):
                if how != "the end of TCP":
                    super().fail(Failure(how, str(failure)))

        assert "6.text-length.255" in failures(graded(Tiny, "6.text-length.255"), Level.MUST)

    @pytest.mark.parametrize(
        ("data", "got"),
        [
            (frame(CLOSE, b"\x03\xea", key=None), "CLOSE 1002"),
            (frame(TEXT, b"x" * 8999, key=None), "TEXT of 8999 bytes"),
            (frame(TEXT, b"x" * 9000, key=None)[:-1], "TCP ended inside a frame"),
        ],
    )
    def test_any_other_answer_to_a_large_message_is_a_failure(self, data, got):
        with wire_that_receives(data) as (wire, theirs):
            theirs.close()
            with pytest.raises(Failed, match=got):
                wire.expect(TEXT, b"x" * 9000)

    def test_silence_is_a_failure_whatever_the_size(self):
        with wire_that_receives(b"") as (wire, _), pytest.raises(Failed, match="nothing for 0"):
            wire.expect(TEXT, b"x" * 9000)


class TestUnfinishedFrames:
    """§5.4: a server may echo a message piece by piece before it has the whole message"""

    def test_a_fragment_of_an_unfinished_message_passes(self):
        with wire_that_receives(frame(TEXT, b"Hello, 4 GiB to go", fin=False, key=None)) as (wire, _):
            _no_message(SimpleNamespace(open=lambda: wire, timeout=0.2), b"")

    @pytest.mark.parametrize("data", [[(TEXT, b"Hello", True)], [(TEXT, b"Hel", False), (CONTINUATION, b"lo", True)]])
    def test_a_whole_message_fails(self, data):
        received = served(*(frame(opcode, payload, fin=fin, key=None) for opcode, payload, fin in data))
        with wire_that_receives(received) as (wire, _), pytest.raises(Failed, match="Hello"):
            _no_message(SimpleNamespace(open=lambda: wire, timeout=0.2), b"")


class TestTextWithoutFrames:
    """RFC 9110 §15.2: only frames follow a 101; a learner's server may send text as it is"""

    @pytest.mark.parametrize("ends", [True, False], ids=["ends", "stays"])
    @pytest.mark.parametrize("data", [b"hello\n", b"hello, world! " * 20, b'{"type": "welcome"}', b"\r\n"])
    def test_bytes_that_are_no_frames_are_a_failure(self, data, ends):
        with wire_that_receives(data) as (wire, theirs), pytest.raises(Failed, match="are not frames: ") as caught:
            if ends:
                theirs.close()
            _nothing_follows(SimpleNamespace(open=lambda: wire))
        assert "the text 'hello'" in caught.value.got or data != b"hello\n"

    @pytest.mark.parametrize("data", [b"", b"\x81\5Hello", b"\x01\5Hello", b"\x81\5Hel"])
    def test_frames_pass_also_when_the_last_is_not_complete_in_time(self, data):
        with wire_that_receives(data) as (wire, _):
            _nothing_follows(SimpleNamespace(open=lambda: wire))


class TestPongs:
    """§5.5.3: "the endpoint MAY elect to send a Pong frame for only the most recently processed Ping frame" """

    @pytest.mark.parametrize("received", [[b"0", b"1", b"2"], [b"2"], [b"0", b"2"], [b"1", b"2"]])
    def test_all_pongs_or_some_with_the_last_pass(self, received):
        with wire_that_receives(served(*map(pong, received))) as (wire, _):
            ask(wire, b"0", b"1", b"2")
            take_pongs(wire, [b"0", b"1", b"2"], [])

    @pytest.mark.parametrize("received", [[], [b"0"], [b"0", b"1"], [b"1", b"0", b"2"], [b"3"], [b"0", b"0", b"2"]])
    def test_without_the_last_or_out_of_order_is_a_failure(self, received):
        with wire_that_receives(served(*map(pong, received))) as (wire, _):
            ask(wire, b"0", b"1", b"2")
            with pytest.raises(Failed):
                take_pongs(wire, [b"0", b"1", b"2"], [])

    @pytest.mark.parametrize("first", [True, False])
    def test_a_message_may_come_before_or_after_the_pong(self, first):
        message = frame(TEXT, b"Hello", key=None)
        data = served(message, pong(b"p")) if first else served(pong(b"p"), message)
        with wire_that_receives(data) as (wire, _):
            ask(wire, b"p")
            take_pongs(wire, [b"p"], [(TEXT, b"Hello")])

    @pytest.mark.parametrize(
        ("received", "missing"),
        [
            (pong(b"p"), "missing: TEXT of 5 bytes: b'Hello'"),
            (frame(TEXT, b"Hello", key=None), "missing: PONG with b'p'"),
            (b"", "missing: PONG with b'p', TEXT of 5 bytes: b'Hello'"),
        ],
    )
    def test_a_failure_names_what_is_missing(self, received, missing):
        with wire_that_receives(served(received)) as (wire, _):
            ask(wire, b"p")
            with pytest.raises(Failed, match=re.escape(missing) + "$"):
                take_pongs(wire, [b"p"], [(TEXT, b"Hello")])


class TestFailing:
    """§7.1.7: by a Close, or by the end of TCP alone"""

    def test_a_close_or_the_end_is_a_failed_connection(self):
        with wire_that_receives(frame(CLOSE, b"\x03\xea", key=None)) as (wire, _):
            assert wire.expect_failure().code == 1002
        with wire_that_receives(b"") as (wire, theirs):
            theirs.close()
            assert wire.expect_failure() is None

    def test_a_pong_before_the_close_passes_and_only_a_pong_fails(self):
        with wire_that_receives(pong(b"still there?") + frame(CLOSE, b"\x03\xef", key=None)) as (wire, _):
            assert wire.expect_failure().code == 1007
        with (
            wire_that_receives(pong(b"still there?")) as (wire, _),
            pytest.raises(Failed, match="the connection stays open"),
        ):
            wire.expect_failure()

    @pytest.mark.parametrize("data", [pong(b"Hello"), frame(TEXT, b"Hello", key=None), pong(b"still there?") * 2])
    def test_any_other_answer_is_a_failure_at_once(self, data):
        with wire_that_receives(data) as (wire, _):
            ask(wire, b"Hello")
            with pytest.raises(Failed, match="the connection stays open: it sent"):
                wire.expect_failure()

    def test_an_unsolicited_pong_is_ignored(self):
        with wire_that_receives(pong(b"alive") + frame(CLOSE, b"\x03\xea", key=None)) as (wire, _):
            assert wire.expect_failure().code == 1002

    def test_silence_is_a_failure(self):
        with wire_that_receives(b"") as (wire, _), pytest.raises(Failed, match="neither a Close nor the end of TCP"):
            wire.expect_failure()

    def test_1009_for_a_long_message_and_1003_for_a_binary_one_skip_the_case(self):
        with wire_that_receives(b"") as (wire, _):
            for code, wanted in (
                (1009, Frame(TEXT, bytes(9000))),
                (1008, Frame(TEXT, bytes(9000))),
                (1003, Frame(BINARY, b"x")),
            ):
                with pytest.raises(Skipped):
                    wire.compare(Frame(CLOSE, struct.pack("!H", code)), wanted)
            for code, wanted in ((1009, Frame(TEXT, bytes(100))), (1003, Frame(TEXT, b"x"))):
                with pytest.raises(Failed):
                    wire.compare(Frame(CLOSE, struct.pack("!H", code)), wanted)

    def test_a_message_inside_a_message_is_noted(self):
        data = frame(TEXT, b"Hel", fin=False, key=None) + frame(TEXT, b"lo", key=None)
        with wire_that_receives(data) as (wire, _):
            wire.message()
            assert wire.faults == ["a new message begins inside a message (RFC 6455 §5.4)"]


class TestWindows:
    """RFC 7692 §7.2.1: a window that is larger than agreed is noticed"""

    @pytest.mark.parametrize("bits", range(9, 15))
    def test_a_server_that_uses_one_bit_more_than_agreed_fails(self, bits):
        class OneMore(ReferenceServer):
            def new_deflater(self):
                self.deflater = zlib.compressobj(wbits=-min(15, self.agreed.get("server_max_window_bits", 14) + 1))

        assert set(failures(graded(OneMore, f"9.window.server-{bits}"))) == {f"9.window.server-{bits}"}


class TestSendUnread:
    """send_unread returns when the server accepts no more bytes"""

    def test_it_stops_when_the_server_accepts_no_more_bytes(self):
        with wire_that_receives(b"") as (wire, _):
            data = bytes(64 << 20)
            assert 0 < wire.send_unread(data, 0.05) < len(data)


def test_nothing_is_left_of_a_run():
    """No thread of the grader outlives it."""
    before = {thread for thread in threading.enumerate() if "wsref check" in thread.name}
    graded(ReferenceServer, "10.clients", "9.bomb")
    assert {thread for thread in threading.enumerate() if "wsref check" in thread.name} == before
