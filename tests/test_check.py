"""The grader: its codec, its cases, the run, and the reports."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from xml.etree import ElementTree

import pytest
from conftest import DEADLINE, free_port, wait_until

import wsref
from wsref import Compression, Echo, Limits, running
from wsref.apps.demo import Demo
from wsref.check import CASES, Level, NotAnswering, Outcome, grade, parse_target
from wsref.check.case import Case, Play
from wsref.check.cases import LARGE_CASES, select
from wsref.check.codec import BINARY, PING, TEXT, Frame, frame, mask, parse_answer, parse_frame, text
from wsref.check.gallery import BROKEN
from wsref.check.gallery.reference import ReferenceServer, serving
from wsref.check.report import CHAPTERS, Ansi, as_text
from wsref.check.session import MAX_BODY, Peer
from wsref.check.verdict import Failed, Skipped
from wsref.cli.main import main

FEW = select(only=["4.accept.value", "6.length.126", "6.mask.missing", "6.echo.hello"])


class Shifts(ReferenceServer):
    """Adds one to every byte of a long message."""

    symptom = "long messages come back wrong"
    bug = "adds one to each byte of them"

    def on_message(self, opcode: int, message: bytes) -> None:
        super().on_message(opcode, message if len(message) < 126 else bytes((b + 1) % 256 for b in message))


@contextlib.contextmanager
def speaking(talk: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that calls a function with each client, in a thread."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            while not stop.is_set():
                try:
                    sock, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=serve, args=(sock,), daemon=True).start()

        def serve(sock: socket.socket) -> None:
            with sock, contextlib.suppress(OSError):
                talk(sock)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"ws://127.0.0.1:{listener.getsockname()[1]}/"
        stop.set()
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(DEADLINE)


def listening(sock: socket.socket) -> None:
    """Say nothing until the client ends the connection."""
    while sock.recv(65536):
        pass


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """``python -m wsref check ...`` in this process: exit code, standard output, standard error."""
    try:
        code = main(["check", *arguments])
    except SystemExit as end:
        code = int(end.code or 0)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


class TestCodec:
    """The codec of the grader, against the examples of §5.7 and §1.3"""

    @pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536])
    @pytest.mark.parametrize("key", [None, b"\0\0\0\0", b"\x37\xfa\x21\x3d"])
    def test_a_built_frame_is_parsed_again_when_it_is_complete(self, size, key):
        payload = bytes(i % 255 for i in range(size))
        wire = frame(BINARY, payload, key=key)
        assert parse_frame(wire + b"tail") == (Frame(BINARY, payload), len(wire))
        for cut in {1, 2, 3, len(wire) // 2, len(wire) - 1} & set(range(1, len(wire))):
            assert parse_frame(wire[:cut]) is None

    def test_the_frame_of_section_5_7(self):
        assert frame(TEXT, b"Hello", key=None) == bytes.fromhex("8105 48656c6c6f")
        assert text("Hello") == bytes.fromhex("8185 37fa213d 7f9f4d5158")

    def test_masking_twice_undoes_it_for_every_length_of_the_last_word(self):
        for size in range(9):
            assert mask(mask(bytes(range(size)), b"wxyz"), b"wxyz") == bytes(range(size))

    @pytest.mark.parametrize(
        "wire, fault",
        [
            ("8185 37fa213d 7f9f4d5158", "masked"),
            ("817e 0005 48656c6c6f", "16 bits"),
            ("817f 0000000000000005 48656c6c6f", "64 bits"),
            ("a100", "RSV bits 010"),
            ("9100", "RSV bits 001"),
            ("8300", "reserved"),
            ("0900", "control frame without FIN"),
            ("897e 007e" + "00" * 126, "control frame of 126 bytes"),
        ],
    )
    def test_the_faults_of_a_frame_are_noted(self, wire, fault):
        received, _ = parse_frame(bytes.fromhex(wire))
        assert len(received.faults) == 1
        assert fault in received.faults[0]

    @pytest.mark.parametrize(
        "head, fault",
        [
            (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n", ""),
            (b"HTTP/1.1 101\r\n\r\n", "status line"),
            (b"HTTP/1.1 101 \r\n\r\n", ""),
            (b"HTTP/1.1 101 OK\n\n", "bare LF"),
            (b"HTTP/1.1 101 OK\r\nUpgrade : websocket\r\n\r\n", "not NAME: VALUE"),
            (b"HTTP/1.1 101 OK\r\nno colon\r\n\r\n", "not NAME: VALUE"),
            (b"HTTP/1.1 1x1 OK\r\n\r\n", "status line"),
        ],
    )
    def test_the_faults_of_a_head_are_noted(self, head, fault):
        faults = parse_answer(head).faults
        assert (fault == "") == (not faults), faults
        assert not fault or any(fault in f for f in faults)


class TestTheRows:
    """The cases"""

    def test_ids_are_unique_and_begin_with_a_chapter(self):
        ids = [case.id for case in CASES]
        assert len(ids) == len(set(ids))
        assert {case.chapter for case in CASES} <= set(CHAPTERS)
        assert [case.chapter for case in CASES] == sorted(case.chapter for case in CASES), "in the order of chapters"

    def test_every_row_is_complete(self):
        checks = {
            "id": lambda case: re.fullmatch(r"[0-9]+(\.[a-z0-9-]+)+", case.id),
            "section": lambda case: re.fullmatch(r"RFC [0-9]{4} §[0-9A-Z]+(\.[0-9]+)*", case.section),
            "title": lambda case: re.fullmatch(r"[^a-z\s](.*[^.\s])?", case.title),
            "quote": lambda case: case.quote.strip() == case.quote != "",
            "hint": lambda case: case.hint.strip() == case.hint != "",
            "sends": lambda case: case.play.sends.strip(),
            "accepts": lambda case: case.play.accepts.strip() == case.play.accepts != "",
        }
        assert [(case.id, name) for case in CASES for name, check in checks.items() if not check(case)] == []

    def test_there_are_525_cases(self):
        assert len(CASES) == 525

    def test_the_large_messages_are_played_only_if_asked_for(self):
        assert [case for case in select() if case in LARGE_CASES] == []
        assert [case for case in select(only=["6.*"]) if case in LARGE_CASES] == []
        assert [case.id for case in select(only=["6.large.text-1-mib"])] == ["6.large.text-1-mib"]
        everything = select(large=True)
        assert len(everything) == len(CASES) + len(LARGE_CASES)
        assert [case.chapter for case in everything] == sorted(case.chapter for case in everything)

    def test_select_by_chapter_by_id_by_beginning_and_by_glob(self):
        assert {case.chapter for case in select(until=3)} == {1, 2, 3}
        assert [case.id for case in select(only=["4.accept.value"])] == ["4.accept.value"]
        assert all(case.id.startswith("6.length.") for case in select(only=["6.length"]))
        assert select(only=["6.length"]) == select(only=["6.length.*"])
        with pytest.raises(ValueError, match=r"no case is called '6\.nothing'"):
            select(only=["6.nothing"])


class TestGoodServers:
    """A correct server passes every case"""

    @pytest.mark.parametrize("server", ["wsref", pytest.param("the reference server", marks=pytest.mark.slow)])
    def test_every_case_passes(self, server):
        opened = running(Demo, compression=Compression()) if server == "wsref" else serving(ReferenceServer)
        with opened as started:
            url = started if isinstance(started, str) else started.url
            report = grade(parse_target(url), CASES)
        assert [(v.case.id, v.outcome, v.why) for v in report.verdicts if v.outcome is not Outcome.PASS] == []
        assert len(report.verdicts) == len(CASES)

    @pytest.mark.slow
    @pytest.mark.parametrize("step", range(1, 12))
    def test_a_step_passes_its_own_chapters_and_fails_something_of_the_next(self, step):
        with running(step=step) as server:
            report = grade(parse_target(server.url + "/"), select(until=step + 1))
        whole_frames = "11.utf8.fail-fast"  # legal: a step reads a whole frame before it looks at the text
        serious = [v for v in report.failed if v.case.level is not Level.SHOULD and v.case.id != whole_frames]
        assert {verdict.case.id: verdict.why for verdict in serious if verdict.case.chapter <= step} == {}
        assert step == 11 or any(verdict.case.chapter == step + 1 for verdict in serious)
        lax = {verdict.case.id for verdict in report.failed if verdict.case.chapter <= step} - {
            verdict.case.id for verdict in serious
        }
        assert lax - {whole_frames} <= {"3.protocol.malformed", "3.extensions.malformed", "3.extensions.unclosed-quote"}


class TestLargeMessages:
    """--large"""

    @pytest.mark.slow
    def test_a_server_without_a_small_limit_passes_them(self):
        limits = Limits(max_message_size=32 << 20)
        with running(Echo, limits=limits, compression=Compression()) as server:
            report = grade(parse_target(server.url), LARGE_CASES, timeout=10)
        assert [(v.case.id, v.outcome, v.why) for v in report.verdicts if v.outcome is not Outcome.PASS] == []

    def test_a_limit_is_legal_and_a_wrong_message_is_a_failure(self):
        with running(Echo, limits=Limits(max_message_size=1 << 20)) as server:
            report = grade(parse_target(server.url), select(only=["6.large.binary-*"]), timeout=10)
        assert [v.outcome for v in report.verdicts] == [Outcome.PASS, Outcome.SKIP, Outcome.SKIP]
        with serving(Shifts) as url:
            report = grade(parse_target(url), select(only=["6.large.binary-1-mib"]), timeout=10)
        assert "differs from byte 0 on" in report.failed[0].why


class TestFindings:
    """The report on a broken server"""

    def test_a_failure_shows_the_sent_the_received_and_the_expected_bytes(self, capsys):
        with serving(Shifts) as url:
            code, out, err = run(capsys, url, "--only", "6.length.126", "--only", "6.length.125")
        assert code == 1
        assert "✗ 6.length.126  MUST  RFC 6455 §5.2" in out
        assert "(differs from byte 0 on)" in out
        assert re.search(r"expected  BINARY of 126 bytes: 00 01 02", out)
        assert "sent BINARY, FIN, masked, 126 bytes" in out
        assert "hint      " in out
        assert "read      chapter 6 of the book, “Frames”" in out
        assert "extended length" in out, "the frame is drawn"
        assert "1 MUST failure: a rule is broken (2 played: 1 passed, 1 failed; " in out
        assert "✗ 6.length.125" not in out
        assert err == ""

    def test_only_a_must_sets_the_exit_code(self, capsys):
        class NoDeflate(ReferenceServer):
            def choose_extension(self, request):
                return None

        with serving(NoDeflate) as url:
            code, out, _ = run(capsys, url, "--only", "9.agree", "--only", "4.accept.value")
        assert "✗ 9.agree" in out
        assert "INTEROP" in out
        assert code == 0

    def test_a_server_without_echo_fails_no_must(self, capsys):
        class Silent(ReferenceServer):
            def on_message(self, opcode, message):
                pass

        with serving(Silent) as url:
            code, out, _ = run(capsys, url, "--only", "6.length", "--only", "6.mask.missing", "--timeout", "2")
        assert code == 0
        assert "no echo server (the answer to the text 'Hello " in out
        assert "skipped" in out

    def test_no_echo_sends_it_no_message_to_find_out(self, capsys):
        heard = []

        class Listens(ReferenceServer):
            def on_message(self, opcode, message):
                heard.append(message)

        with serving(Listens) as url:
            code, _, _ = run(capsys, url, "--no-echo", "--only", "7.ping", "--only", "6.length.125")
        assert code == 0
        assert heard == []

    def test_what_a_server_sends_reaches_the_terminal_without_escape_codes(self, capsys):
        class Rude(ReferenceServer):
            def accept_value(self, key):
                return "\x1b[31mred\x07"

        with serving(Rude) as url:
            _, out, _ = run(capsys, url, "--only", "4.accept.value", "-v", "--trace")
        assert "\x1b" not in out
        assert "\x07" not in out
        assert "\\x1b[31mred" in out

    def test_a_server_of_one_client_at_a_time_is_graded_one_case_at_a_time(self, capsys):
        class OneByOne(ReferenceServer):
            lock = threading.Lock()

            def handle(self):
                with self.lock:
                    super().handle()

        with serving(OneByOne) as url:
            code, out, _ = run(capsys, url, "--only", "6.length.12*", "--only", "4.accept.value")
        assert "agrees on permessage-deflate; serves one client at a time" in out
        assert code == 0, out


class TestItEnds:
    """A dead or hanging server ends the run in bounded time, with a clear word"""

    def test_no_server_listens(self, capsys):
        with free_port() as port:
            code, out, err = run(capsys, f"ws://127.0.0.1:{port}/", "--timeout", "20")
        assert (code, out) == (2, "")
        assert f"cannot grade ws://127.0.0.1:{port}/: no connection to 127.0.0.1:{port}: Connection refused" in err

    def test_the_server_accepts_and_sends_nothing(self, capsys):
        with speaking(listening) as url:
            code, _, err = run(capsys, url, "--timeout", "0.5")
        assert code == 2
        assert "accepts the connection, and then: nothing for 0.5 s" in err

    def test_the_server_closes_every_connection(self, capsys):
        with speaking(lambda sock: None) as url:
            code, _, err = run(capsys, url, "--timeout", "20")
        assert code == 2
        assert "closes them without an answer" in err

    def test_the_server_does_not_speak_http(self, capsys):
        with speaking(lambda sock: sock.sendall(b"220 mail.example ESMTP\r\n") or listening(sock)) as url:
            code, _, err = run(capsys, url, "--timeout", "1")
        assert code == 2
        assert "does not answer in HTTP" in err
        assert "220 mail.example" in err

    @pytest.mark.slow
    def test_the_server_stops_answering(self, capsys):
        answers = []

        def talk(sock):
            answers.append(1)
            sock.recv(65536)
            if len(answers) < 12:
                sock.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            else:
                listening(sock)

        with speaking(talk) as url:
            code, out, _ = run(capsys, url, "--until", "4", "--jobs", "2", "--timeout", "2")
        assert code == 1
        assert re.search(r"Stopped: after [0-9]\.[a-z.0-9-]+ the server no longer answered an ordinary handshake", out)

    def test_an_endless_answer_is_not_kept(self):
        def talk(sock):
            sock.recv(65536)
            while True:
                sock.sendall(b"x" * 65536)

        with speaking(talk) as url, pytest.raises(NotAnswering, match="more than 1 MiB"):
            grade(parse_target(url), FEW, timeout=20)

    def test_bytes_that_are_not_http_and_end_like_a_head_are_not_an_answer(self):
        with (
            speaking(lambda sock: sock.recv(65536) and sock.sendall(os.urandom(64) + b"\r\n\r\n")) as url,
            pytest.raises(NotAnswering, match="does not answer in HTTP"),
        ):
            grade(parse_target(url), FEW)

    @pytest.mark.parametrize(
        "head, piece",
        [
            (b"Transfer-Encoding: chunked", b"1\r\nx\r\n" * 4000),
            pytest.param(b"Transfer-Encoding: chunked", b"0\r\n" * 8000, marks=pytest.mark.slow),
            (b"Transfer-Encoding: chunked", b"ffffffff\r\n" + b"x" * 30_000),
            (b"Content-Length: 999999999", b"x" * 65536),
            (b"X: y", b"x" * 65536),
        ],
    )
    def test_a_body_costs_time_and_memory_in_proportion_to_what_is_kept_of_it(self, head, piece):
        def talk(sock):
            sock.recv(65536)
            sock.sendall(b"HTTP/1.1 400 Bad Request\r\n" + head + b"\r\n\r\n")
            for _ in range(200):
                sock.sendall(piece)

        with speaking(talk) as url:
            peer = Peer(parse_target(url), 20)
            wire = peer.connect()
            wire.send(b"GET / HTTP/1.1\r\n\r\n")
            began = time.process_time()
            answer = wire.answer()
            used = time.process_time() - began
            peer.close()
        assert len(answer.body) <= MAX_BODY
        assert used < 5

    def test_a_plain_url_for_a_server_that_speaks_tls_and_the_other_way_round(self, capsys, certificate):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        with running(Echo, ssl_context=context) as server:
            code, _, err = run(capsys, server.url.replace("wss", "ws"))
        assert code == 2
        assert "wss://" in err
        with running(Echo) as server:
            code, _, err = run(capsys, server.url.replace("ws", "wss"))
        assert code == 2
        assert "its URL begins with ws://" in err

    @pytest.mark.slow
    def test_wss_is_graded_with_a_certificate_that_is_trusted_or_with_insecure(self, capsys, certificate):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        with running(Echo, ssl_context=context) as server:
            code, _, err = run(capsys, server.url, "--only", "4")
            assert code == 2
            assert "its certificate is not trusted: self-signed certificate" in err
            assert "--insecure" in err
            other = server.url.replace("127.0.0.1", "127.1")
            code, _, err = run(capsys, other, "--cafile", certificate[0])
            assert code == 2 and "at a name that its certificate has, or with --insecure" in err
            for flags in (["--insecure"], ["--cafile", certificate[0]]):
                code, out, _ = run(capsys, server.url, "--only", "4", "--only", "6.length", *flags)
                assert code == 0, out

    def test_the_trusted_certificates_are_read_once_and_not_for_each_connection(self, certificate, monkeypatch):
        made, make = [], ssl.create_default_context
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        with running(Echo, ssl_context=context) as server:
            monkeypatch.setattr(ssl, "create_default_context", lambda *_, **__: made.append(1) or make())
            report = grade(parse_target(server.url, cafile=certificate[0]), FEW)
        assert report.count(Outcome.PASS) == len(FEW)
        assert len(made) <= 1

    @pytest.mark.parametrize(
        ("answers", "timeout"),
        [
            pytest.param(0, "60", id="during the probe"),
            pytest.param(20, "3", id="during the cases", marks=pytest.mark.slow),
        ],
    )
    def test_ctrl_c_ends_the_run_with_130(self, answers, timeout):
        """A case ends with its timeout, and so does the run."""
        asked = []

        def talk(sock):
            sock.recv(65536)
            asked.append(1)
            if len(asked) <= answers:
                sock.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            else:
                listening(sock)

        with speaking(talk) as url:
            command = [sys.executable, "-m", "wsref", "check", url, "--timeout", timeout]
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
                try:
                    wait_until(lambda: len(asked) > answers)
                    process.send_signal(signal.SIGINT)
                    _, err = process.communicate(timeout=DEADLINE)
                finally:
                    process.kill()
        assert process.returncode == 130, err
        assert "Traceback" not in err

    def test_ctrl_c_raises_nothing_while_cases_run_and_the_second_one_does(self):
        """An exception between any two instructions could leave a lock locked for which the cases' threads wait."""
        told = []

        def interrupt(verdict):
            if not told:
                signal.raise_signal(signal.SIGINT)

        with serving(ReferenceServer) as url:
            cases = [case for case in CASES if case.chapter == 3]
            report = grade(
                parse_target(url), cases, jobs=2, on_verdict=interrupt, on_ctrl_c=lambda: told.append("ends")
            )
            assert told == ["ends"]
            assert (report.interrupted, report.stopped) == (True, "Ctrl-C")
            assert 0 < report.count(Outcome.PASS) <= 20 < report.count(Outcome.UNPLAYED)
            with pytest.raises(KeyboardInterrupt):
                grade(
                    parse_target(url),
                    cases,
                    on_verdict=lambda verdict: signal.raise_signal(signal.SIGINT),
                    on_ctrl_c=lambda: signal.raise_signal(signal.SIGINT),
                )
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


class TestRunner:
    """Each case has a thread and its own connections"""

    def test_a_bug_in_a_case_is_not_the_servers_fault_and_ends_nothing_else(self, caplog):
        def buggy(peer: Peer) -> None:
            raise ZeroDivisionError("a mistake")

        def passing(peer: Peer) -> None:
            peer.open().send(frame(PING))

        cases = [
            Case(f"6.test.{play.__name__}", Level.MUST, "RFC 6455 §1", "T", "q", Play("s", "that", play), "h")
            for play in (buggy, passing)
        ]
        with serving(ReferenceServer) as url:
            report = grade(parse_target(url), cases)
        assert [v.outcome for v in report.verdicts] == [Outcome.SKIP, Outcome.PASS]
        assert report.verdicts[0].why == "a bug of the grader: ZeroDivisionError: a mistake"
        assert "6.test.buggy was not judged" in caplog.text
        assert report.is_bad  # the run proves nothing

    def test_the_exception_of_a_play_is_its_verdict(self):
        def failing(peer: Peer) -> None:
            raise Failed("wrong")

        def skipping(peer: Peer) -> None:
            raise Skipped("not for you")

        def passing(peer: Peer) -> None:
            peer.open().send(frame(PING))

        def case(name: str, play: Callable[[Peer], None]) -> Case:
            return Case(f"6.test.{name}", Level.SHOULD, "RFC 6455 §1", "T", "q", Play("s", "that", play), "h")

        told = []
        cases = [case("fails", failing), case("skips", skipping), case("passes", passing)]
        with serving(ReferenceServer) as url:
            report = grade(parse_target(url), cases, on_verdict=lambda verdict: told.append(verdict.case.id))
        assert [v.outcome for v in report.verdicts] == [Outcome.FAIL, Outcome.SKIP, Outcome.PASS]
        assert [(v.why, v.expected) for v in report.verdicts] == [("wrong", "that"), ("not for you", ""), ("", "")]
        assert sorted(told) == sorted(c.id for c in cases)
        assert report.verdicts[2].recorded[0][0][0] is True, "the bytes are recorded"

    def test_a_run_leaves_no_thread(self):
        with running(Demo, limits=Limits(shutdown_timeout=0.3)) as server:
            grade(parse_target(server.url), FEW)
        wait_until(lambda: not [t for t in threading.enumerate() if "check" in t.name])

    @pytest.mark.parametrize("url", ["http://a/", "ws://", "ws://a/#x", "ws://a:99999/", "ws://u:p@a/", "ws://a /", ""])
    def test_an_invalid_url_is_refused(self, url):
        with pytest.raises(ValueError):
            parse_target(url)

    @pytest.mark.parametrize(
        "url, authority, path, loopback",
        [
            ("ws://localhost", "localhost", "/", True),
            ("ws://LOCALHOST:80/a?b", "localhost", "/a?b", True),
            ("ws://[::1]:9000/", "[::1]:9000", "/", True),
            ("ws://[::1%25lo]:9000/", "[::1]:9000", "/", True),
            ("ws://[fe80::1%eth0]/", "[fe80::1]", "/", False),
            ("ws://127.8.9.1:1/", "127.8.9.1:1", "/", True),
            ("wss://example.com:443", "example.com", "/", False),
            ("wss://example.com:8443?q", "example.com:8443", "/?q", False),
        ],
    )
    def test_a_url_has_an_authority_and_a_path(self, url, authority, path, loopback):
        target = parse_target(url)
        assert (target.authority, target.path, target.is_loopback) == (authority, path, loopback)

    @pytest.mark.parametrize("zone", ["%25eth0", "%eth0"])
    def test_a_zone_reaches_the_socket_and_not_the_server(self, zone, monkeypatch):
        ours, theirs = socket.socketpair(socket.AF_UNIX)
        dialled = []

        def connect(address, *_, **__):
            dialled.append(address)
            return ours

        monkeypatch.setattr(socket, "create_connection", connect)
        monkeypatch.setattr(socket.socket, "setsockopt", lambda *_: None)  # no TCP here
        with theirs:
            wire = Peer(parse_target(f"ws://[fe80::1{zone}]:9001/")).connect()
            wire.send(b"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")
            assert theirs.recv(1000) == b"GET / HTTP/1.1\r\nHost: [fe80::1]:9001\r\n\r\n"
            wire.close()
        assert dialled == [("fe80::1%eth0", 9001)]

    def test_a_server_elsewhere_gets_a_warning_first(self, capsys, monkeypatch):
        def refuse(*_: object, **__: object) -> None:
            raise OSError(113, "No route to host")

        monkeypatch.setattr(socket, "create_connection", refuse)
        code, _, err = run(capsys, "ws://ws.example:9/")
        assert code == 2
        assert "ws.example:9 is not this machine" in err
        assert "No route to host" in err

    def test_it_connects_only_to_the_host_and_port_of_the_url(self, monkeypatch):
        real, dialled = socket.create_connection, set()

        def connect(address, *more, **options):
            dialled.add(address)
            return real(address, *more, **options)

        monkeypatch.setattr(socket, "create_connection", connect)
        with serving(ReferenceServer) as url:
            target = parse_target(url)
            grade(target, select(until=4))
        assert dialled == {(target.host, target.port)}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports")
    names = {kind: folder / f"report.{kind}" for kind in ("json", "junit", "html")}
    flags = [part for kind, file in names.items() for part in (f"--{kind}", str(file))]
    with serving(Shifts) as url:
        code = main(["check", url, "--only", "6.length.*", "--only", "4.accept.value", "--only", "9.agree", *flags])
    assert code == 1
    return {kind: file.read_text() for kind, file in names.items()}


class TestReports:
    """JSON, JUnit, HTML and text"""

    def test_json_has_every_case_and_the_bytes_of_failed_cases(self, files):
        report = json.loads(files["json"])
        assert report["wsref"] == wsref.__version__
        assert report["found"] | {"echo": True, "baseline_status": 101} == report["found"]
        assert report["found"]["echo"] is True
        cases = {case["id"]: case for case in report["cases"]}
        assert cases["6.length.125"]["outcome"] == "pass"
        assert cases["6.length.125"]["wire"] == []
        failed = cases["6.length.126"]
        assert (failed["outcome"], failed["level"], failed["section"]) == ("fail", "MUST", "RFC 6455 §5.2")
        sent = bytes.fromhex("".join(part["hex"] for part in failed["wire"][0] if part["sent"]))
        assert sent.endswith(frame(BINARY, bytes(i % 251 for i in range(126))))
        assert report["summary"]["MUST"]["failed"] == sum(c["outcome"] == "fail" for c in report["cases"])

    def test_junit_has_a_suite_for_each_chapter_with_correct_counts(self, files):
        root = ElementTree.fromstring(files["junit"])
        assert root.tag == "testsuites"
        assert root[0].get("name") == "chapter 4: complete_upgrade"
        for suite in root:
            assert int(suite.get("tests")) == len(suite.findall("testcase"))
            assert int(suite.get("failures")) == len(suite.findall("testcase/failure"))
            assert int(suite.get("skipped")) == len(suite.findall("testcase/skipped"))
        failure = root.find(".//testcase[@name='6.length.126']/failure")
        assert "A binary message of 126 bytes comes back" in failure.get("message")
        assert "hint" in failure.text

    def test_html_is_complete_without_scripts_or_external_files(self, files):
        page = files["html"]
        assert page.startswith("<!doctype html>")
        assert "<script" not in page
        assert not re.search(r'(src|href)="(?!#)', page)
        assert 'id="6.length.126"' in page
        assert "<svg" in page
        assert "prefers-color-scheme: dark" in page

    def test_bytes_from_the_server_are_escaped_in_html(self, tmp_path, capsys):
        class Rude(ReferenceServer):
            def accept_value(self, key):
                return "<script>alert(1)</script>"

        with serving(Rude) as url:
            run(capsys, url, "--only", "4.accept.value", "--html", str(tmp_path / "r.html"))
        assert "<script" not in (tmp_path / "r.html").read_text()

    def test_json_to_standard_output_leaves_nothing_else_there(self, capsys):
        with serving(ReferenceServer) as url:
            code, out, err = run(capsys, url, "--only", "4.accept.value", "--json", "-")
        assert code == 0
        assert json.loads(out)["cases"][0]["outcome"] == "pass"
        assert "no MUST is broken" in err

    def test_a_file_that_cannot_be_written_stops_the_run_before_it_begins(self, capsys):
        began = []
        with speaking(lambda sock: began.append(1)) as url:
            code, _, err = run(capsys, url, "--html", "/nowhere/report.html")
        assert code == 2
        assert "cannot write /nowhere/report.html: No such file or directory" in err
        assert began == []

    def test_only_a_terminal_gets_colour(self):
        with serving(Shifts) as url:
            report = grade(parse_target(url), FEW)
        assert "\x1b[31m" in "\n".join(as_text(report, Ansi(True)))
        assert "\x1b" not in "\n".join(as_text(report, Ansi(False)))

    def test_a_pipe_gets_no_progress_and_a_terminal_does(self):
        with serving(ReferenceServer) as url:
            command = [sys.executable, "-m", "wsref", "check", url, "--only", "4"]
            piped = subprocess.run(command, capture_output=True, timeout=60)
            assert piped.stderr == b""
            ours, theirs = os.openpty()
            env = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "TERM")}
            subprocess.run(command, stdout=theirs, stderr=theirs, timeout=60, env={**env, "TERM": "xterm"})
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):
            while data := os.read(ours, 65536):
                shown += data
        os.close(ours)
        assert re.search(rb"1 of [0-9]+: 4\.", shown)
        assert b"\x1b[32m" in shown

    def test_verbose_has_a_line_for_every_case_and_trace_has_the_bytes(self, capsys):
        with serving(ReferenceServer) as url:
            _, out, _ = run(capsys, url, "--only", "6.length.125", "--only", "6.mask.missing", "-v")
            assert "✓ 6.length.125 " in out
            assert "✓ 6.mask.missing " in out
            _, out, _ = run(capsys, url, "--only", "6.mask.missing", "--trace")
        assert "WRONG: a frame from a client must be masked" in out
        assert "got  CLOSE, FIN" in out


class TestTheCommandLine:
    """The arguments of check"""

    def test_list_names_every_case_and_obeys_the_filters(self, capsys):
        _, out, _ = run(capsys, "--list")
        assert len(out.splitlines()) == len(CASES)
        _, out, _ = run(capsys, "--list", "--until", "3", "--level", "must")
        assert all(re.match(r"[123]\.\S+ +MUST ", line) for line in out.splitlines())
        _, out, _ = run(capsys, "--list", "--only", "6.mask.missing", "-v")
        assert "hint" in out
        assert "81 05 48 65 6c 6c 6f" in out

    @pytest.mark.parametrize(
        "arguments, complaint",
        [
            ([], "the URL is missing"),
            (["http://127.0.0.1/"], "begins with ws:// or wss://"),
            (["ws://127.0.0.1/", "--only", "6.nothing"], "no case is called"),
            (["ws://127.0.0.1/", "--until", "12"], "invalid choice"),
            (["ws://127.0.0.1/", "--until", "1", "--only", "6.length"], "no case matches"),
            (["ws://127.0.0.1/", "--timeout", "0"], "seconds are a number above 0"),
            (["ws://127.0.0.1/", "--jobs", "0"], "from 1 to 64"),
            (["ws://127.0.0.1/", "--timeout", "1e12"], "at most 2,000,000"),
            (["localhost:8765/echo"], "did you mean ws://localhost:8765/echo?"),
            (["https://h/"], "did you mean wss://h/?"),
            (["ws://[::1/"], "brackets in a URL hold an IPv6 address"),
            (["ws:///echo"], "a URL to check has a host"),
            (["--broken", "guid-with-spaces"], "did you mean guid-with-space"),
            (["--broken", "nothing"], "no broken server is called 'nothing'; check --gallery lists all"),
            (["--broken", "any-path", "ws://127.0.0.1/"], "URL would have no effect: --broken serves until Ctrl-C"),
            (["--client", "ws://127.0.0.1/"], "URL would have no effect: --client serves cases to clients"),
            (["--client", "--header", "A: b"], "--header would have no effect"),
            (["--client", "--run", ""], "--run needs {url}"),
            (["ws://127.0.0.1/", "--run", "x {url}"], "--run would have no effect: it is for --client"),
            (["ws://127.0.0.1/", "--port", "1"], "--port would have no effect"),
            (["--client", "--port", "65536"], "a port is a number from 0 to 65535, not '65536'"),
            (["--broken", "any-path", "--port", "-1"], "a port is a number from 0 to 65535, not '-1'"),
            (["ws://127.0.0.1/", "--json", "a", "--html", "a"], "only one report can go to a"),
            (["ws://127.0.0.1/", "--json", "./a", "--html", "a"], "only one report can go to ./a"),
            (["ws://127.0.0.1/", "--subprotocol", "a,b"], "one word of printable ASCII, without commas, not 'a,b'"),
            (["--spec", "a", "ws://127.0.0.1/"], "URL would have no effect: --spec grades the servers of its file"),
            *(
                (["--spec", "a", option, "b"], f"{option} would have no effect: --spec grades the servers of its file")
                for option in ("--baseline", "--write-baseline", "--json", "--junit", "--markdown", "--html")
            ),
            (["--spec", "a", "--except", "*"], "--except leaves no case"),
            *(
                (["--client", "--run", "x {url}", *option], f"{option[0]} would have no effect: --run ends with")
                for option in (["--once"], ["--idle", "5"], ["--idle", "60"])
            ),
            (["--client", "--jobs", "4"], "--jobs would have no effect: it is for --run"),
            *(
                (["--broken", "any-path", *option], f"{option[0]} would have no effect: --broken serves until Ctrl-C")
                for option in (["--json", "a"], ["--only", "6"], ["--client"], ["--spec", "a"], ["--timeout", "1"])
            ),
            *(
                (["--list", *option], f"{option[0]} would have no effect: --list lists the cases")
                for option in (["--json", "a"], ["--first"], ["--broken", "any-path"], ["--jobs", "1"])
            ),
            (["--list", "ws://127.0.0.1/"], "URL would have no effect: --list lists the cases"),
            (["--list", "--client", "--large"], "--large would have no effect: --client serves cases to clients"),
            (
                ["ws://a/", "--baseline", "a", "--write-baseline", "b"],
                "--baseline would have no effect: --write-baseline",
            ),
            (["--gallery", "--list"], "--list would have no effect: --gallery lists the broken servers"),
            (["--gallery", "--only", "6"], "--only would have no effect: --gallery lists the broken servers"),
        ],
    )
    def test_usage_errors_say_what_is_wrong_and_exit_with_2(self, capsys, arguments, complaint):
        code, out, err = run(capsys, *arguments)
        assert (code, out) == (2, "")
        assert complaint in err

    def test_options_of_tls_without_tls_are_usage_errors(self, capsys, certificate, tmp_path):
        insecure, cafile = ["--insecure"], ["--cafile", certificate[0]]
        spec = tmp_path / "spec"
        spec.write_text(json.dumps({"outdir": str(tmp_path / "out"), "servers": [{"url": "ws://127.0.0.1:1/"}]}))
        for where in (["ws://127.0.0.1:1/"], ["--spec", str(spec)]):
            for option in (insecure, cafile):
                code, out, err = run(capsys, *where, *option)
                assert (code, out) == (2, "")
                assert f"{option[0]} would have no effect: it is for wss://, and this is ws://" in err
        assert not (tmp_path / "out").exists()
        code, _, err = run(capsys, "wss://127.0.0.1:1/", *insecure, *cafile)
        assert code == 2
        assert "--cafile would have no effect: --insecure accepts any certificate" in err

    def test_the_gallery_is_a_list_of_symptoms_and_v_tells_the_bugs(self, capsys):
        code, out, err = run(capsys, "--gallery")
        assert code == 0
        assert [line.split()[0] for line in out.splitlines()] == list(BROKEN)
        assert [name for name, server in BROKEN.items() if server.symptom not in out] == []
        assert "Serve one with --broken NAME" in err
        code, out, err = run(capsys, "--gallery", "-v")
        assert (code, err) == (0, "")
        assert [name for name, s in BROKEN.items() if f"the bug: {s.bug}; found by {s.case}\n" not in out] == []

    def test_a_broken_server_is_served_until_ctrl_c_which_tells_its_bug(self, capsys, monkeypatch):
        def wait(event):
            with wsref.connect(re.match("ws://[0-9.:]+/", capsys.readouterr().out)[0]) as ws:
                ws.send(b"x")
                assert ws.recv() == "x"
            raise KeyboardInterrupt

        monkeypatch.setattr("wsref.cli.check.wait", wait)
        code, _, err = run(capsys, "--broken", "all-is-text")
        assert (code, err) == (0, f"\nThe bug was: {BROKEN['all-is-text'].bug}.\n")

    def test_a_broken_server_needs_a_free_port(self, capsys):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = str(taken.getsockname()[1])
            code, _, err = run(capsys, "--broken", "any-path", "--port", port)
        assert (code, err) == (2, f"wsref: cannot listen on port {port}: Address already in use\n")

    def test_a_baseline_that_cannot_be_read_is_one_sentence(self, capsys, tmp_path):
        code, _, err = run(capsys, "ws://127.0.0.1:1/", "--baseline", str(tmp_path))
        assert (code, err) == (2, f"wsref: cannot read {tmp_path}: Is a directory\n")

    @pytest.mark.parametrize(
        ("text", "flags", "complaint"),
        [
            (None, [], "cannot read {}: No such file or directory"),
            ("[]", [], "{}: a spec is a JSON object"),
            ("{}", [], '{} has no "servers"; for a fuzzingserver.json, add --client'),
            ('{"cases": ["1.1.1"], "exclude-cases": ["*"]}', ["--client"], "{} leaves no case"),
        ],
    )
    def test_a_spec_that_cannot_be_used_is_one_sentence(self, capsys, tmp_path, text, flags, complaint):
        spec = tmp_path / "spec.json"
        if text is not None:
            spec.write_text(text)
        code, _, err = run(capsys, "--spec", str(spec), *flags)
        assert (code, err) == (2, f"wsref: {complaint.format(spec)}\n")

    def test_an_outdir_that_is_a_file_is_one_sentence(self, capsys, tmp_path):
        spec, outdir = tmp_path / "spec.json", tmp_path / "out"
        outdir.touch()
        spec.write_text(json.dumps({"outdir": str(outdir), "servers": [{"agent": "x", "url": "ws://127.0.0.1:1/"}]}))
        code, _, err = run(capsys, "--spec", str(spec))
        assert (code, err) == (2, f"wsref: cannot make the folder {outdir}: File exists\n")

    def test_a_second_ctrl_c_is_130_without_a_traceback_or_a_report(self, capsys, monkeypatch):
        def grade(*_: object, on_ctrl_c: Callable[[], None], **__: object) -> None:
            on_ctrl_c()
            raise KeyboardInterrupt

        monkeypatch.setattr("wsref.cli.check.grade", grade)
        code, out, err = run(capsys, "ws://127.0.0.1:1/")
        assert (code, out) == (130, "")
        assert err == (
            "\nwsref: stopping; the cases in progress end first, then the report follows\n\nwsref: interrupted\n"
        )

    def test_an_error_does_not_repeat_a_password(self, capsys):
        for scheme in ("ws", "http"):
            code, _, err = run(capsys, f"{scheme}://user:secret@127.0.0.1/")
            assert code == 2
            assert "does not send a user and password" in err and "secret" not in err
