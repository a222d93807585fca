"""The server for Node of the book, docs/node: the article's, completed; graded, and asked more."""

from __future__ import annotations

import os
import re
import selectors
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import DEADLINE, found, require, wait_until
from rawclient import ACCEPT, BINARY, KEY, PING, PONG, TEXT, ZERO, RawClient, close, frame, text, upgrade

import wsref
from wsref.check import Level, Outcome, grade, parse_target
from wsref.check.cases import select

pytestmark = pytest.mark.slow

NODE = Path(__file__).parents[1] / "docs" / "node"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A running ``node docs/node/server.mjs``."""
    require(found("node"), "node is not installed")
    process = subprocess.Popen(
        ["node", str(NODE / "server.mjs"), "0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=NODE
    )
    assert process.stdout is not None
    try:
        with selectors.DefaultSelector() as ready:
            ready.register(process.stdout, selectors.EVENT_READ)
            assert ready.select(DEADLINE), "it says nothing"
        first = os.read(process.stdout.fileno(), 65536).decode()
        address = re.search(r"ws://127\.0\.0\.1:[0-9]+/", first)
        assert address, first
        yield address[0]
        assert process.poll() is None, "it has ended"
    finally:
        process.kill()
        rest = process.communicate()[0].decode()
    assert rest == "", "it complained"


#: A server that tells what Node makes of a request to upgrade.
PROGRAM = """
    const server = require('node:http').createServer((request, response) => response.end('plain'));
    server.on('upgrade', (request, socket) => {
      const { host } = request.headers;
      socket.end(`HTTP/1.1 400 Bad Request\\r\\n\\r\\n${request.httpVersion} ${request.method} host=${host}`);
    });
    server.listen(0, '127.0.0.1', () => console.log(server.address().port));
"""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Its port."""
    require(found("node"), "node is not installed")
    process = subprocess.Popen(["node", "-e", PROGRAM], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def dial(url: str) -> Iterator[object]:
    """``dial()``: a TCP connection to it, closed in the end."""
    clients: list[RawClient] = []
    target = parse_target(url)

    def start(*, opened: bool = False) -> RawClient:
        clients.append(RawClient((target.host, target.port)))
        if opened:
            clients[-1].open()
        return clients[-1]

    yield start
    for client in clients:
        client.socket.close()


def answer(client: RawClient, request: bytes) -> tuple[int, str, str]:
    client.send(request)
    head = client.head()
    return int(head.split()[1]), head, client.rest().decode()


class TestGraded:
    """The verdicts of ``python -m wsref check``."""

    def test_it_breaks_no_must_of_chapters_1_to_5(self, url):
        report = grade(parse_target(url), select(until=5))
        assert [verdict.case.id for verdict in report.failed if verdict.case.level is Level.MUST] == []
        assert report.capabilities.echo and report.count(Outcome.PASS) > 0

    def test_it_breaks_no_must_and_no_should_of_chapters_1_to_8(self, url):
        report = grade(parse_target(url), select(until=8))
        assert [verdict.case.id for verdict in report.failed if verdict.case.level is not Level.INTEROP] == []
        assert report.stopped == ""

    def test_it_breaks_no_must_at_all(self, url):
        assert not grade(parse_target(url), select()).broke_a_must


class TestOpening:
    """Chapters 1 to 5.  RFC 6455 §4.2, RFC 9110 §7.8 and §15.5.22, RFC 9112 §3.2."""

    @pytest.mark.parametrize(
        "request_bytes",
        [
            upgrade(),
            upgrade(Connection="keep-alive, Upgrade"),
            upgrade(Connection="close,\tUPGRADE", Upgrade="h2c, WebSocket"),
            upgrade(Sec_WebSocket_Version="8"),
            upgrade(Sec_WebSocket_Protocol="a, , b"),
            upgrade(Sec_WebSocket_Extensions='foo, , permessage-deflate ; client_max_window_bits; a="1\\0" ; b = c'),
            upgrade(Content_Length="0"),
            upgrade(Origin="http://localhost:8765"),
        ],
    )
    def test_a_good_handshake_gets_101(self, dial, request_bytes):
        client = dial()
        client.send(request_bytes)
        head = client.head()
        assert head.startswith("HTTP/1.1 101 Switching Protocols\r\n")
        assert f"\r\nSec-WebSocket-Accept: {ACCEPT}" in head
        assert "Sec-WebSocket-Protocol" not in head and "Sec-WebSocket-Extensions" not in head

    @pytest.mark.parametrize(
        "request_bytes, reason",
        [
            (upgrade().replace(b"GET", b"POST"), "GET"),
            (upgrade(Upgrade="h2c"), "websocket"),
            (upgrade(Sec_WebSocket_Key=None), "key"),
            (upgrade(Sec_WebSocket_Key="please-let-me-in-already"), "key"),
            (upgrade().replace(b"\r\n\r\n", f"\r\nSec-WebSocket-Key: {KEY}\r\n\r\n".encode()), "key"),
            (upgrade(Sec_WebSocket_Version="7"), "version"),
            (upgrade(Sec_WebSocket_Version="13, 13"), "version"),
            (upgrade(Sec_WebSocket_Version=None), "version"),
            (upgrade(Sec_WebSocket_Protocol="a, a"), "subprotocol"),
            (upgrade(Sec_WebSocket_Protocol="a b"), "subprotocol"),
            (upgrade(Sec_WebSocket_Extensions="foo; =1"), "extension"),
            (upgrade(Sec_WebSocket_Extensions="foo bar"), "extension"),
            (upgrade(Sec_WebSocket_Extensions="foo; a=b c"), "extension"),
            (upgrade(Sec_WebSocket_Extensions='foo; a="b'), "extension"),
            (upgrade(Sec_WebSocket_Extensions='foo; a="b;c"'), "extension"),
            (upgrade(Sec_WebSocket_Extensions='foo; a=""'), "extension"),
            (upgrade(Sec_WebSocket_Extensions='foo; a="' + "\\x" * 3000), "extension"),
            (upgrade(Content_Length="3"), "body"),
            (upgrade(Transfer_Encoding="chunked"), "body"),
            (upgrade(Host=None), "Host"),
            (upgrade(Host="a b"), "Host"),
            (upgrade().replace(b"Host: 127.0.0.1\r\n", b"Host: a\r\nHost: b\r\n"), "Host"),
        ],
    )
    def test_a_bad_handshake_gets_400_with_the_reason(self, dial, request_bytes, reason):
        status, head, body = answer(dial(), request_bytes)
        assert status == 400 and "\r\nSec-WebSocket-Version: 13, 8" in head
        (line,) = re.findall("^- (.*)$", body, re.M)
        assert reason in line

    def test_a_refusal_names_every_broken_rule(self, dial):
        request = upgrade(Sec_WebSocket_Key="abc", Sec_WebSocket_Version="12").replace(b"GET", b"POST")
        assert answer(dial(), request)[2].count("\n- ") == 3

    @pytest.mark.parametrize(
        "fields",
        [
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {"Origin": "http://127.0.0.1.evil.example"},
            {"Sec_WebSocket_Version": "8", "Sec_WebSocket_Origin": "https://evil.example"},
        ],
    )
    def test_a_page_from_elsewhere_gets_403(self, dial, fields):
        assert answer(dial(), upgrade(**fields))[0] == 403

    @pytest.mark.parametrize(
        "request_bytes",
        [
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi",
            upgrade(Connection=None),
            upgrade(Connection="upgraded"),
            upgrade(Upgrade=None),
            upgrade().replace(b"HTTP/1.1", b"HTTP/1.0"),
            upgrade(Host=None).replace(b"HTTP/1.1", b"HTTP/1.0"),
        ],
    )
    def test_who_is_not_here_to_upgrade_gets_426(self, dial, request_bytes):
        status, head, body = answer(dial(), request_bytes)
        assert status == 426 and body.startswith("426 Upgrade Required\n")
        assert "\r\nUpgrade: websocket" in head and "\r\nConnection: Upgrade, close" in head

    def test_head_gets_no_body(self, dial):
        assert answer(dial(), b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")[2] == ""
        assert answer(dial(), upgrade().replace(b"GET", b"HEAD"))[::2] == (400, "")

    @pytest.mark.parametrize("lines", ["", "Host: a\r\nHost: b\r\n", "Host: a b\r\n"])
    def test_a_plain_request_without_one_good_host_gets_400(self, dial, lines):
        assert answer(dial(), f"GET / HTTP/1.1\r\n{lines}\r\n".encode())[0] == 400


class TestConversation:
    """Chapters 6 to 8.  RFC 6455 §5, §7, §8."""

    @pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 1024 * 1024])
    def test_an_echo_of_every_length(self, url, size):
        with wsref.connect(url) as ws:
            for message in ("x" * size, bytes(size)):
                ws.send(message)
                assert ws.recv(DEADLINE) == message

    def test_bytes_that_come_with_the_request_are_frames(self, dial):
        client = dial()
        client.send(upgrade() + text("early") + close())
        client.head()
        assert client.frame() == (TEXT, b"early")
        assert client.closed() == (1000, "")

    def test_one_byte_at_a_time(self, dial):
        client = dial(opened=True)
        client.dribble(frame(TEXT, "h€".encode()[:2], fin=False) + frame(PING, b"?") + frame(0, "h€".encode()[2:]))
        assert client.frame() == (PONG, b"?")
        assert client.frame() == (TEXT, "h€".encode())

    def test_200_messages_sent_before_a_close_are_all_answered(self, dial):
        client = dial(opened=True)
        client.send(b"".join(frame(BINARY, bytes([n])) for n in range(200)) + close(4000, "bye"))
        assert [client.frame()[1] for _ in range(200)] == [bytes([n]) for n in range(200)]
        assert client.closed() == (4000, "")

    @pytest.mark.parametrize(
        "wire, code",
        [
            (frame(TEXT, b"hi", key=b""), 1002),
            (frame(3), 1002),
            (frame(TEXT, rsv=0x40), 1002),
            (frame(PING, b"x" * 126), 1002),
            (frame(PING, fin=False), 1002),
            (frame(0), 1002),
            (frame(TEXT, fin=False) + frame(TEXT), 1002),
            (frame(8, b"\x03"), 1002),
            (close(1006), 1002),
            (close(2999), 1002),
            (frame(8, b"\x03\xe8\xff"), 1007),
            (frame(TEXT, b"\xff"), 1007),
            (frame(TEXT, b"\xce\xba\xe1", fin=False) + frame(0, b"\x80\x41", fin=False), 1007),
            (frame(TEXT, b"\xe2\x82"), 1007),
            (bytes.fromhex("81fe0001") + bytes(5), 1002),
            (bytes.fromhex("82ff0000000000000001") + bytes(5), 1002),
            (bytes.fromhex("82ff8000000000000000"), 1002),
            (bytes.fromhex("82ff0000000000100001"), 1009),
            (frame(BINARY, bytes(1024 * 1024), fin=False, key=ZERO) + frame(0, b"x"), 1009),
            (frame(BINARY, fin=False) + frame(0, fin=False) * 10_000, 1008),
        ],
    )
    def test_who_breaks_a_rule_is_told_which(self, dial, wire, code):
        client = dial(opened=True)
        client.send(wire)
        came, reason = client.closed()
        assert came == code and reason

    def test_a_byte_order_mark_is_a_character_like_any_other(self, url):
        with wsref.connect(url) as ws:
            ws.send("\ufeffhi")
            assert ws.recv(DEADLINE) == "\ufeffhi"

    def test_who_does_not_read_is_not_read_from(self, dial):
        client = dial(opened=True)
        client.socket.settimeout(1)
        wire = frame(BINARY, bytes(1024 * 1024), key=bytes(4))
        with pytest.raises(TimeoutError):  # the kernel's buffers take a few of them
            for _ in range(64):
                client.send(wire)
        client.reset()

    def test_it_ends_tcp_first_and_does_not_wait_for_ever_for_the_client_to_follow(self, dial):
        client = dial(opened=True)
        client.send(close())
        assert client.closed() == (1000, "")  # closed() reads to the end, and does not end our side

        def cut():
            try:
                client.send(b"?")
            except OSError:
                return True

        wait_until(cut)

    def test_a_client_that_ends_its_side_without_a_close_is_not_kept(self, dial):
        client = dial(opened=True)
        client.send(text("hi"))
        client.socket.shutdown(socket.SHUT_WR)
        assert client.frame() == (TEXT, b"hi")
        assert client.rest() == b""

    def test_clients_that_vanish_do_no_harm(self, dial):
        for wire in (b"", upgrade()[:40], upgrade(), upgrade() + text("hi")[:4], upgrade() + text("x" * 100_000)):
            client = dial()
            client.send(wire)
            client.reset()
        dial(opened=True)


class TestNodeItself:
    """What docs/node.md says that Node does, and the server mends."""

    @pytest.mark.parametrize(
        "request_bytes, end",
        [
            (upgrade().replace(b"HTTP/1.1", b"HTTP/1.0"), b"1.0 GET host=127.0.0.1"),
            (upgrade().replace(b"GET", b"POST"), b"1.1 POST host=127.0.0.1"),
            (upgrade(Upgrade="fax"), b"1.1 GET host=127.0.0.1"),
            (upgrade(Host=None), b"1.1 GET host=undefined"),
            (upgrade().replace(b"Host: 127.0.0.1\r\n", b"Host: a\r\nHost: b\r\n"), b"1.1 GET host=a"),
            (upgrade(Connection=None).replace(b"Upgrade", b"X"), b"plain"),
            (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n", b"plain"),
        ],
    )
    def test_for_what_it_fires_and_what_it_keeps_of_two_hosts(self, port, request_bytes, end):
        client = RawClient(("127.0.0.1", port))
        client.send(request_bytes)
        client.head()
        assert client.take(len(end)) == end
        client.socket.close()

    def test_it_refuses_a_plain_request_without_a_host(self, port):
        client = RawClient(("127.0.0.1", port))
        client.send(b"GET / HTTP/1.1\r\n\r\n")
        assert client.head().startswith("HTTP/1.1 400 ")
        client.socket.close()
