"""The client of the interlude: its parts without a network, a conversation, and its report."""

from __future__ import annotations

import ast
import contextlib
import socket
import subprocess
import sys
import threading
from importlib import resources
from pathlib import Path

import pytest
from conftest import DEADLINE

from wsref import running
from wsref.check.clients.cases import CLIENT_CASES, select
from wsref.check.clients.command import CommandRun
from wsref.check.clients.grader import Grader, Plan
from wsref.check.verdict import Level, Outcome
from wsref.steps import client as program
from wsref.steps import source_of
from wsref.steps.client import CLOSE, PING, TEXT, Client, HandshakeError, ProtocolError

SOURCE = resources.files("wsref.steps").joinpath("client.py").read_text("utf-8")
ANSWER = [b"HTTP/1.1 101 Switching Protocols", b"Upgrade: websocket", b"Connection: Upgrade"]
ACCEPT = b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455 §1.3


def functions(source: str) -> dict[str, str]:
    """The source of each function and method, by its name."""
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    return {node.name: ast.get_source_segment(source, node) or "" for node in nodes}


@pytest.fixture
def pair():
    """A client without a handshake, and the socket of its server."""
    client = Client("ws://a.example/")
    client.key = "dGhlIHNhbXBsZSBub25jZQ=="
    client.socket, server = socket.socketpair()
    with client.socket, server:
        yield client, server


class TestProgram:
    """One file, small, of the standard library"""

    def test_its_size(self):
        tree = ast.parse(SOURCE)
        documented = [n for n in ast.walk(tree) if isinstance(n, ast.Module | ast.ClassDef | ast.FunctionDef)]
        words = sum(len((ast.get_docstring(node) or "").splitlines()) for node in documented)
        lines = [line for line in SOURCE.splitlines() if line.strip()]
        assert len(lines) - words <= 180

    @pytest.mark.parametrize(
        "url", ["localhost:8765", "http://a.example/", "ws://a:b/", "ws://[::1/", "ws://127.0.0.1:1/"]
    )
    def test_a_url_that_does_not_open_is_one_line(self, url):
        file = Path(program.__file__)
        done = subprocess.run([sys.executable, file, url], capture_output=True, text=True, timeout=DEADLINE)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
        assert done.stderr.startswith("not opened: ")

    def test_it_needs_nothing_but_the_standard_library(self):
        for node in ast.walk(ast.parse(SOURCE)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names

    @pytest.mark.parametrize(
        "name", ["require", "elements", "echo", "read_message", "check_utf8", "answer_close", "read"]
    )
    def test_what_the_book_copies_from_the_server_is_equal(self, name):
        assert functions(SOURCE)[name] == functions(source_of(8))[name]


class TestURLs:
    """RFC 6455 §3"""

    @pytest.mark.parametrize(
        "url, address, host, target",
        [
            ("ws://a.example", ("a.example", 80), "a.example", "/"),
            ("ws://a.example:8765/x?y=1", ("a.example", 8765), "a.example:8765", "/x?y=1"),
            ("ws://[::1]:9001/?q", ("::1", 9001), "[::1]:9001", "/?q"),
            ("ws://me:secret@a.example/", ("a.example", 80), "a.example", "/"),
        ],
    )
    def test_it_is_taken_apart(self, url, address, host, target):
        client = Client(url)
        assert (client.address, client.host, client.target) == (address, host, target)

    @pytest.mark.parametrize(
        "url", ["http://a/", "wss://a/", "ws:///x", "ws://a/#b", "ws://a/#", "ws://a/b c", "ws://a/\r\nX: y", "ws://ü/"]
    )
    def test_what_is_no_url_is_refused(self, url):
        with pytest.raises(ValueError, match="a URL is ws://"):
            Client(url)


class TestResponses:
    """RFC 6455 §4.1"""

    def read(self, pair, *lines: bytes, before: bytes = b"", after: bytes = b"") -> Client:
        client, server = pair
        server.sendall(before + b"\r\n".join([*lines, b"", b""]) + after)
        server.shutdown(socket.SHUT_WR)
        client.read_response()
        client.validate()
        return client

    def test_a_good_one(self, pair):
        assert self.read(pair, *ANSWER, ACCEPT, after=b"\x81\x01x").received == b"\x81\x01x"

    def test_an_interim_response_before_it(self, pair):
        assert self.read(pair, *ANSWER, ACCEPT, before=b"HTTP/1.1 103 Early Hints\r\n\r\n").status == 101

    @pytest.mark.parametrize(
        "lines, words",
        [
            ([b"HTTP/1.1 200 OK", *ANSWER[1:], ACCEPT], "must be 101, not 200"),
            ([b"HTTP/1.0 101 x", *ANSWER[1:], ACCEPT], "the first line"),
            ([*ANSWER[:2], ACCEPT], "Connection"),
            ([ANSWER[0], ANSWER[2], ACCEPT], "Upgrade header"),
            (ANSWER, "one Sec-WebSocket-Accept"),
            ([*ANSWER, ACCEPT.lower()], "one Sec-WebSocket-Accept"),
            ([*ANSWER, ACCEPT, ACCEPT], "one Sec-WebSocket-Accept"),
            ([*ANSWER, ACCEPT, b"Sec-WebSocket-Protocol: chat"], "subprotocol"),
            ([*ANSWER, ACCEPT, b"Sec-WebSocket-Extensions: permessage-deflate"], "extension"),
            ([*ANSWER, b" folded", ACCEPT], "NAME: VALUE"),
            ([*ANSWER, b"X: " + b"x" * program.MAX_HEAD * 5], "larger than"),
            ([*ANSWER, b"X: " + b"x" * program.MAX_HEAD], "larger than"),
        ],
    )
    def test_a_bad_one_is_refused(self, pair, lines, words):
        with pytest.raises(HandshakeError, match=words):
            self.read(pair, *lines)


class TestFrames:
    """RFC 6455 §5"""

    def read(self, pair, data: bytes):
        client, server = pair
        server.sendall(data)
        server.shutdown(socket.SHUT_WR)
        return client.read_message()

    def test_fragments_with_a_ping_between(self, pair):
        assert self.read(pair, b"\x01\x01a\x89\x01p\x80\x02bc") == (TEXT, b"abc")
        pong = pair[1].recv(100)
        assert pong[:2] == b"\x8a\x81" and pong[2] ^ pong[6] == ord("p")

    @pytest.mark.parametrize(
        "data, code",
        [
            (b"\x81\x81\0\0\0\0a", 1002),
            (b"\xc1\x01a", 1002),
            (b"\x83\x00", 1002),
            (b"\x09\x00", 1002),
            (b"\x89\x7e\x00\x7e", 1002),
            (b"\x81\x7e\x00\x05", 1002),
            (b"\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff", 1002),
            (b"\x82\x7f\x00\x00\x00\x01\x00\x00\x00\x00", 1009),
            (b"\x80\x01a", 1002),
            (b"\x01\x01a\x81\x01b", 1002),
            (b"\x01\x01\xff", 1007),
            (b"\x81\x01\xc3", 1007),
            (b"\x88\x01\x03", 1002),
            (b"\x88\x02\x03\xed", 1002),
            (b"\x88\x03\x03\xe8\xff", 1007),
        ],
    )
    def test_a_broken_rule_has_its_code(self, pair, data, code):
        with pytest.raises(ProtocolError) as error:
            self.read(pair, data)
        assert error.value.code == code

    @pytest.mark.parametrize(
        ("data", "sent", "printed"),
        [
            (b"\x8a\x01p\x88\x00", b"\x88\x80", "closed: None 'no code'"),
            (b"\x83\x00", b"\x88\xa4", "closed: 1002 'opcode 3 is reserved (section 5.2)'"),
            (b"\x81", b"", "ended: the server has ended TCP"),
        ],
        ids=["a Close without a code, after a Pong", "a broken rule", "the end of TCP"],
    )
    def test_how_a_conversation_ends(self, pair, data, sent, printed, capsys):
        client, server = pair
        server.sendall(data)
        server.shutdown(socket.SHUT_WR)
        client.converse()
        client.socket.shutdown(socket.SHUT_WR)
        assert server.recv(100)[:2] == sent
        assert capsys.readouterr().out == printed + "\n"

    @pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
    def test_what_it_sends_is_masked_with_a_new_key(self, pair, size):
        client, server = pair
        received = []
        reader = threading.Thread(target=lambda: received.extend(iter(lambda: server.recv(65536), b"")))
        reader.start()
        client.send_frame(PING if size < 126 else TEXT, b"x" * size)
        client.send_frame(CLOSE, b"")
        client.socket.shutdown(socket.SHUT_WR)
        reader.join()
        data = b"".join(received)
        head = 2 + (2 if 126 <= size < 65536 else 8 if size >= 65536 else 0)
        key, payload, last = data[head : head + 4], data[head + 4 : -6], data[-6:]
        assert data[1] & 0x80 and last[:2] == b"\x88\x80" and key != last[2:]
        assert bytes(byte ^ key[n % 4] for n, byte in enumerate(payload)) == b"x" * size


class TestConversation:
    """Over a real socket"""

    def test_it_echoes_until_the_close_and_waits_for_the_end(self, capsys):
        cases = select(only=["c6.length.126", "c7.ping.text", "c8.close.1000", "c4.accept.wrong"])
        grader = Grader(Plan(cases))
        grader.start()
        try:
            for case in cases:
                with contextlib.suppress(HandshakeError):
                    Client(f"ws://{grader.target.authority}/case/{case.id}?agent=x").run()
            session = grader.session("x")
            session.wait_until_idle(DEADLINE)
        finally:
            grader.close()
        assert {v.case.id: v.why for v in grader.report(session).verdicts if v.outcome is not Outcome.PASS} == {}
        assert "closed: 1000 ''" in capsys.readouterr().out

    def test_it_talks_to_the_server_of_chapter_8(self, capsys):
        replies = []

        class Begins(Client):
            def echo(self):
                self.send_frame(TEXT, "Zürich".encode())
                replies.append(self.read_message())
                self.close(4000, "have to go")

        with running(step=8) as server:
            Begins(server.url).run()
        assert replies == [(TEXT, "Zürich".encode())]
        assert "closed: 4000 'have to go'" in capsys.readouterr().out

    @pytest.mark.slow
    def test_it_fails_no_must(self):
        cases = [case for case in CLIENT_CASES if case.level is Level.MUST and case.chapter <= 8]
        grader = Grader(Plan(cases))
        grader.start()
        try:
            run = CommandRun(grader, [sys.executable, "-m", "wsref.steps.client", "{url}"])
            run.find_out()
            run.play(4, lambda verdict: None)
        finally:
            grader.close()
        verdicts = grader.report(run.session).verdicts
        assert {v.case.id: v.why for v in verdicts if v.outcome in (Outcome.FAIL, Outcome.UNPLAYED)} == {}
        assert sum(v.outcome is Outcome.PASS for v in verdicts) >= 230
