"""One case against one mistake: those of the gallery, and others that no server and no client of it makes."""

from __future__ import annotations

import itertools
import re
import socket
import threading
import zlib

import pytest
from conftest import DEADLINE
from test_check import listening, speaking
from test_check_client import graded

from wsref.check import CASES, NotAnswering, Outcome, grade, parse_target
from wsref.check.clients.cases import select as select_client_cases
from wsref.check.clients.reference import ReferenceClient
from wsref.check.codec import CLOSE, PONG, TEXT, frame
from wsref.check.gallery import BROKEN
from wsref.check.gallery.reference import ReferenceServer, Refusal, serving
from wsref.check.runner import Capabilities, play, probe
from wsref.check.session import Peer, Wire
from wsref.check.verdict import Failed

BY_ID = {case.id: case for case in CASES}
ABLE = Capabilities(101, echo=True, binary=True, deflate=True)


def verdict_on(server: type[ReferenceServer], name: str, **abilities: bool) -> tuple[Outcome, str]:
    """The verdict of one case on a server that is broken here."""
    with serving(server) as url:
        verdict = play(BY_ID[name], parse_target(url), Capabilities(**{**vars(ABLE), **abilities}), timeout=1.0)
    return verdict.outcome, verdict.why


#: Broken servers that only the slow suite plays: their case waits, their clients must meet (global-message), or they
#: open no WebSocket (just-http).
LEFT_OUT = (
    *("drops-empty", "drops-what-follows", "empty-pongs", "fails-and-waits", "falls-over-bombs", "late-pongs"),
    *("goes-on-after-failing", "heads-in-turn", "late-text", "leaves-tcp-open", "little-endian", "never-closes"),
    *("looks-in-the-last-piece", "never-hangs-up", "never-pongs", "no-fragment-limit", "no-head-limit", "no-limit"),
    *("one-at-a-time", "one-is-none", "one-lock", "one-recv-one-frame", "one-too-early", "says-close-and-keeps"),
    *("silent-for-version-8", "spins-in-the-head", "waits-at-the-end", "waits-for-the-frame", "whole-frames"),
    *("whole-words", "global-message", "just-http"),
)


class TestTheGallery:
    """A broken server, and the one case that is for it: without the probe, a few milliseconds each"""

    @pytest.mark.parametrize("name", [name for name in BROKEN if name not in LEFT_OUT])
    def test_it_is_caught(self, name):
        assert verdict_on(BROKEN[name], BROKEN[name].case)[0] is Outcome.FAIL


def refuse(server: ReferenceServer, request: object) -> None:
    raise Refusal(400, "no offers")


class TestServers:
    """One mistake each"""

    @pytest.mark.parametrize(
        ("name", "method", "broken", "why"),
        [
            ("7.pong.well-formed", "on_ping", lambda s, p: s.send_frame(PONG, p, 4), "a Pong with the RSV bits 100"),
            (
                "8.close.well-formed",
                "on_close",
                lambda s, p: s.send_frame(CLOSE, p[:2], 4),
                "a Close: its RSV bits 100 are set (RFC 6455 §5.2)",
            ),
            (
                "8.close.well-formed",
                "on_close",
                lambda s, p: s.send_frame(CLOSE, p[:1]),
                "a Close: its payload is 1 byte, half a code (RFC 6455 §5.5.1)",
            ),
            (
                "8.close.well-formed",
                "on_close",
                lambda s, p: s.send_frame(CLOSE, p[:2] and p[:2] + b"\xff"),
                "a Close: its reason is not UTF-8 (RFC 6455 §5.5.1)",
            ),
            (
                "8.after.messages",
                "on_message",
                lambda s, opcode, message: s.end_tcp(),
                "0 of 200 echoes, then Close or the end of TCP",
            ),
            (
                "9.rsv1.own",
                "on_message",
                lambda s, opcode, message: s.send_frame(opcode, s.compress(message), 6),
                "RSV2 or RSV3 is set on TEXT",
            ),
            (
                "9.agree.browser",
                "choose_extension",
                refuse,
                "the handshake is refused",
            ),
            (
                "9.agree.browser",
                "choose_extension",
                lambda s, request: "permessage-deflate\r\nSec-WebSocket-Extensions: permessage-deflate",
                "two Sec-WebSocket-Extensions headers in one answer",
            ),
            (
                "9.agree.browser",
                "choose_extension",
                lambda s, request: "x-mine",
                "Sec-WebSocket-Extensions: x-mine",
            ),
            (
                "4.answer.nothing-follows",
                "serve_frames",
                lambda s: s.send(frame(3, b"", key=None)),
                "the bytes after the 101 are not frames: its opcode, 0x3, is reserved (RFC 6455 §5.2)",
            ),
            (
                "2.upgrade.upper-case",
                "wants_upgrade",
                lambda s, request: s.end_tcp(),
                "the end of TCP",
            ),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_it_is_found_and_named(self, name, method, broken, why):
        server = type("Broken", (ReferenceServer,), {method: broken})
        outcome, said = verdict_on(server, name)
        assert (outcome, said[: len(why)]) == (Outcome.FAIL, why)

    @pytest.mark.parametrize(
        ("headers", "why"),
        [
            (("Content-Length: 2", "Transfer-Encoding: chunked"), "both Content-Length and Transfer-Encoding"),
            (("Content-Length: 2", "Content-Length: 3"), "Content-Length: 2, 3"),
            (("Content-Length: two",), "Content-Length: two"),
        ],
    )
    def test_a_length_that_is_no_length(self, headers, why):
        class Broken(ReferenceServer):
            def fallback(self, request):
                self.answer("200 OK", *headers, body="0\r\n\r\n")

        assert verdict_on(Broken, "1.answer.length") == (Outcome.FAIL, why)

    def test_a_large_request_that_breaks_the_next_one(self):
        class Broken(ReferenceServer):
            spoilt = False

            def read_head(self):
                head = super().read_head()
                if type(self).spoilt:
                    raise Refusal(400, "not again")
                return head

            def refuse(self, refusal):
                type(self).spoilt |= refusal.status == 431
                super().refuse(refusal)

        found = verdict_on(Broken, "1.flood.long-header")
        assert found == (Outcome.FAIL, "the next ordinary request did not get the same answer")

    def test_a_final_block_is_legal_and_the_next_message_begins_anew(self):
        class Final(ReferenceServer):
            def compress(self, payload):
                deflater = zlib.compressobj(wbits=-15)
                return deflater.compress(payload) + deflater.flush(zlib.Z_FINISH) + b"\0"  # RFC 7692 §7.2.3.4

        assert verdict_on(Final, "9.message.mixed")[0] is Outcome.PASS

    def test_a_greeting_is_not_taken_for_the_echo_of_a_body(self):
        class Greets(ReferenceServer):
            def check_head(self, request):
                pass

            def serve_frames(self):
                self.buffer = self.buffer[11:]  # the body, which is no frame
                self.send_frame(TEXT, b"Welcome")
                super().serve_frames()

        assert verdict_on(Greets, "3.body.no-frames", unasked=True)[0] is Outcome.PASS


class TestTheProbe:
    """What the runner finds out before the first case, and how it ends"""

    def test_an_answer_in_tls_is_named(self):
        def alert(sock: socket.socket) -> None:
            sock.recv(65536)
            sock.sendall(b"\x15\x03\x03\x00\x02\x02\x46")
            listening(sock)

        with speaking(alert) as url, pytest.raises(NotAnswering, match="it answers in TLS: its URL begins with wss://"):
            probe(parse_target(url), timeout=0.2)

    def test_a_server_that_hangs_up_on_handshakes_and_is_silent_else_is_no_http_server(self):
        def mute(sock: socket.socket) -> None:
            if b"Upgrade" not in sock.recv(65536):
                listening(sock)

        with speaking(mute) as url, pytest.raises(NotAnswering, match="closes them without an answer: is it an HTTP"):
            probe(parse_target(url), timeout=0.2)

    def test_a_server_that_ends_during_the_probe_is_graded_as_far_as_it_is_known(self):
        class Once(ReferenceServer):
            served = 0

            def handle(self):
                type(self).served += 1
                if self.served <= 2:
                    super().handle()

        with serving(Once) as url:
            found = probe(parse_target(url), timeout=0.5)
        assert (found.baseline_status, found.echo, found.binary, found.deflate) == (101, True, False, False)

    def test_a_host_name_that_is_none_is_one_sentence(self):
        with pytest.raises(NotAnswering, match="is not a valid host name"):
            probe(parse_target(f"ws://{'a' * 64}.example/"), timeout=1.0)

    def test_in_another_thread_there_is_no_ctrl_c(self):
        reports = []
        with serving(ReferenceServer) as url:
            run = lambda: reports.append(grade(parse_target(url), [BY_ID["6.length.126"]]))  # noqa: E731
            thread = threading.Thread(target=run)
            thread.start()
            thread.join(DEADLINE)
        assert [verdict.outcome for verdict in reports[0].verdicts] == [Outcome.PASS]

    def test_more_bytes_than_any_case_needs_are_a_failure(self, monkeypatch):
        monkeypatch.setattr(Wire, "MAX_RECEIVED", 1 << 20)

        def flood(sock: socket.socket) -> None:
            while True:
                sock.sendall(bytes(1 << 16))

        with speaking(flood) as url:
            wire = Peer(parse_target(url)).connect()
            with pytest.raises(Failed, match="more than 1 MiB that the grader did not request"):
                while True:
                    wire._receive_more(wire.deadline_for())
            wire.close()

    def test_a_head_that_is_cut_off_says_where(self):
        with speaking(lambda sock: sock.sendall(b"HTTP/1.1 4")) as url:
            peer = Peer(parse_target(url))
            with pytest.raises(Failed, match=re.escape("inside the head of the answer, after b'HTTP/1.1 4'")):
                peer.connect().answer()
            peer.close()

    def test_a_connection_that_fails_inside_an_echo_has_failed(self):
        def talk(sock: socket.socket) -> None:
            sock.sendall(frame(TEXT, b"Hello", key=None)[:4])

        with speaking(talk) as url:
            peer = Peer(parse_target(url))
            assert peer.connect().expect_failure() is None
            peer.close()


def verdict_on_client(client: type[ReferenceClient], name: str) -> tuple[Outcome, str]:
    """The verdict of one case on a client that is broken here."""
    (verdict,) = graded(client, select_client_cases(only=[name]), timeout=0.5).verdicts
    return verdict.outcome, verdict.why


def with_header(name: str, value: str):
    """A method of a client that sends this header."""
    return lambda client: {**ReferenceClient.request_headers(client), name: value}


def final(client: ReferenceClient, payload: bytes) -> bytes:
    """Compress a message into a block with BFINAL: RFC 7692 §7.2.3.4."""
    deflater = zlib.compressobj(wbits=-15)
    return deflater.compress(payload) + deflater.flush(zlib.Z_FINISH) + b"\0"


class TestClients:
    """One mistake each, or none"""

    @pytest.mark.parametrize(
        ("name", "method", "broken", "why"),
        [
            ("c1.host.one", "request_headers", with_header("Host", "a b"), "Host: a b"),
            (
                "c1.request.line",
                "request_line",
                lambda c: f"GET  {c.path} HTTP/1.1",
                "the request line b'GET  /case/c1.request.line?agent=x HTTP/1.1' is not METHOD TARGET HTTP/1.1",
            ),
            ("c3.key.16-bytes", "new_key", lambda c: "AAAAAAAAAAAAAAAAAAAAAAA!", "Sec-WebSocket-Key: AAAAAA"),
            (
                "c3.protocol.tokens",
                "request_headers",
                with_header("Sec-WebSocket-Protocol", "a, b/c"),
                "the subprotocol 'b/c'",
            ),
            (
                "c3.extensions.deflate",
                "request_headers",
                with_header("Sec-WebSocket-Extensions", "x-mine, permessage-deflate; client_window"),
                "the offer 'permessage-deflate; client_window': client_window",
            ),
            (
                "c6.stream.glued",
                "on_ping",
                lambda c, payload: c.send_frame(TEXT, payload),
                "TEXT of 5 bytes: ",
            ),
            (
                "c6.stream.glued-part",
                "on_ping",
                lambda c, payload: c.send_frame(TEXT, payload),
                "TEXT of 5 bytes: ",
            ),
            (
                "c8.payload.answer-reason",
                "on_close",
                lambda c, payload: c.send_frame(CLOSE, b"\x03"),
                "a Close with a payload of 1 byte, half a code",
            ),
            (
                "c9.sends.control",
                "on_ping",
                lambda c, payload: c.send_frame(PONG, payload, 4),
                "PONG",
            ),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_it_is_found_and_named(self, name, method, broken, why):
        outcome, said = verdict_on_client(type("Broken", (ReferenceClient,), {method: broken}), name)
        assert (outcome, said[: len(why)]) == (Outcome.FAIL, why)

    def test_a_final_block_is_legal_and_the_next_message_begins_anew(self):
        client = type("Final", (ReferenceClient,), {"compress": final})
        assert verdict_on_client(client, "c9.message.context") == (Outcome.PASS, "")

    @pytest.mark.parametrize(
        ("name", "offer", "why"),
        [
            ("c9.window.client", "permessage-deflate", "the client does not offer client_max_window_bits"),
            ("c9.window.client", "x-mine", "the client does not offer permessage-deflate"),
        ],
    )
    def test_a_case_about_an_offer_that_it_does_not_make_is_skipped(self, name, offer, why):
        client = type("Offers", (ReferenceClient,), {"OFFER": offer})
        outcome, said = verdict_on_client(client, name)
        assert (outcome, said[: len(why)]) == (Outcome.SKIP, why)

    def test_one_key_twice_is_named(self):
        keys = itertools.cycle([b"abcd", b"1234", b"#+*!"])
        client = type("Twice", (ReferenceClient,), {"masking_key": lambda self: next(keys)})
        outcome, said = verdict_on_client(client, "c6.mask.fresh")
        assert (outcome, said) == (Outcome.FAIL, "one masking key twice in 6 frames")

    @pytest.mark.parametrize(
        ("code", "outcome", "why"),
        [
            (1011, Outcome.FAIL, "it does not accept the response: CLOSE"),
            (1000, Outcome.SKIP, "the client closes connections by itself (CLOSE 1000"),
        ],
    )
    def test_a_client_that_closes_before_it_answers(self, code, outcome, why):
        closes = lambda client, payload: client.send_frame(CLOSE, code.to_bytes(2, "big"))  # noqa: E731
        client = type("Closes", (ReferenceClient,), {"on_ping": closes, "on_message": lambda c, o, m: closes(c, m)})
        found, said = verdict_on_client(client, "c1.head.lower-case")
        assert (found, said[: len(why)]) == (outcome, why)
