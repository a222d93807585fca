"""Chapter 0: the client: what it sends, what it believes, and how it ends; with servers that others wrote."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path

import pytest
from conftest import DEADLINE, found, free_port, open_files, peak_memory, require, wait_until
from rawclient import BINARY, CLOSE, PING, PONG, TEXT, connected, frame, text
from vectors import all_splits, unframe

from wsref import Compression, ConnectionClosed, Echo, HandshakeFailed, HTTPError, Limits, State, WebSocketHandler
from wsref.cli.serve import tls_context
from wsref.network import dialing
from wsref.network.client import connect
from wsref.network.transport import Transport
from wsref.protocol.client_handshake import RESPONSE_RULES, build_handshake, check_response, new_key
from wsref.protocol.handshake import accept_key, validate, violations, wants_upgrade
from wsref.protocol.http11 import Headers, Response, build_request, parse_request
from wsref.protocol.url import parse_url

KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # §1.3
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

MESSAGES = ["", "hi", "héllo €😀", b"", b"\x00\xff"]
MESSAGES += [kind * size for size in (125, 126, 65_535, 65_536, 200_000) for kind in ("x", b"\x07")]


def unmasked(opcode, payload=b"", **options):
    """A frame from a server."""
    return frame(opcode, payload, key=b"", **options)


def goodbye(code=1000, reason=b""):
    return unmasked(CLOSE, code.to_bytes(2, "big") + reason)


class Fake:
    """A server for one connection after another, that says what the test wants it to."""

    def __init__(self, script, host="127.0.0.1"):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.listener = socket.create_server((host, 0), family=family)
        self.script = script
        self.requests = []
        self.failed = None
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    @property
    def port(self):
        return self.listener.getsockname()[1]

    @property
    def url(self):
        return f"ws://127.0.0.1:{self.port}/"

    def run(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            sock.settimeout(DEADLINE)
            with sock:
                try:
                    self.script(self, sock)
                except Exception as error:  # told to the test in stop()
                    self.failed = error

    def request(self, sock):
        """Read the request; its key."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += sock.recv(65536)
        self.requests.append(data)
        return re.search(rb"Sec-WebSocket-Key: (.*)\r\n", data)[1].decode()

    def open(self, sock, *, behind=b""):
        """The opening handshake, with these bytes behind the 101 and in one packet with it."""
        sock.sendall(good_answer(self.request(sock)) + behind)

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(DEADLINE)
        assert not self.thread.is_alive()
        if self.failed is not None:
            raise self.failed


def good_answer(key, *, without=(), extra=(), first="HTTP/1.1 101 Switching Protocols", **instead):
    pairs = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept_key(key))]
    instead = {name.replace("_", "-"): value for name, value in instead.items()}
    pairs = [(name, instead.get(name, value)) for name, value in pairs if name not in without] + list(extra)
    return "\r\n".join([first, *(f"{name}: {value}" for name, value in pairs), "", ""]).encode()


def frames_until_end(sock):
    """All that the client sends until it ends TCP, as ``[(first byte, payload), ...]``."""
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := sock.recv(65536):
            data += piece
    return unframe(data)


def unread_bytes(sock):
    """How many bytes the kernel has for us."""
    fcntl, termios = pytest.importorskip("fcntl"), pytest.importorskip("termios")
    return int.from_bytes(fcntl.ioctl(sock, termios.FIONREAD, bytes(4)), sys.byteorder)


@pytest.fixture
def fake():
    threads, files = threading.active_count(), open_files()
    with contextlib.ExitStack() as stack:

        def start(script, **options):
            server = Fake(script, **options)
            stack.callback(server.stop)
            return server

        yield start
    wait_until(lambda: threading.active_count() <= threads)
    wait_until(lambda: open_files() <= files)


class TestURL:
    """§3, §11.1.1, §11.1.2"""

    @pytest.mark.parametrize(
        ("url", "secure", "host", "port", "resource", "authority"),
        [
            ("ws://h", False, "h", 80, "/", "h"),
            ("wss://h", True, "h", 443, "/", "h"),
            ("WSS://H/P", True, "h", 443, "/P", "h"),
            ("ws://h:81", False, "h", 81, "/", "h:81"),
            ("ws://h:80/", False, "h", 80, "/", "h"),
            ("ws://h:443/", False, "h", 443, "/", "h:443"),
            ("wss://h:443/", True, "h", 443, "/", "h"),
            ("wss://h:80/", True, "h", 80, "/", "h:80"),
            ("ws://h:/", False, "h", 80, "/", "h"),
            ("ws://h:00081/", False, "h", 81, "/", "h:81"),
            ("ws://h:1/", False, "h", 1, "/", "h:1"),
            ("ws://h:65535/", False, "h", 65535, "/", "h:65535"),
            ("ws://h/" + "p" * 1000, False, "h", 80, "/" + "p" * 1000, "h"),
            ("ws://h?a", False, "h", 80, "/?a", "h"),
            ("ws://h/p?a=b&c", False, "h", 80, "/p?a=b&c", "h"),
            ("ws://h/p?", False, "h", 80, "/p", "h"),
            ("ws://h/?a?b/c", False, "h", 80, "/?a?b/c", "h"),
            ("ws://h/a%23b", False, "h", 80, "/a%23b", "h"),
            ("ws://h//a/../b", False, "h", 80, "//a/../b", "h"),
            ("ws://h/é?ü=€", False, "h", 80, "/%C3%A9?%C3%BC=%E2%82%AC", "h"),
            ("wss://h/😀", True, "h", 443, "/%F0%9F%98%80", "h"),
            ("ws://bücher.example/", False, "xn--bcher-kva.example", 80, "/", "xn--bcher-kva.example"),
            ("ws://例え.テスト/", False, "xn--r8jz45g.xn--zckzah", 80, "/", "xn--r8jz45g.xn--zckzah"),
            ("ws://example.com./", False, "example.com.", 80, "/", "example.com."),
            ("ws://my_host-1/", False, "my_host-1", 80, "/", "my_host-1"),
            ("ws://[::1]/", False, "::1", 80, "/", "[::1]"),
            ("ws://[0:0::1]:81/x", False, "::1", 81, "/x", "[::1]:81"),
            ("ws://[fe80::1%25eth0]/", False, "fe80::1%eth0", 80, "/", "[fe80::1]"),
            ("ws://[fe80::1%eth0]/", False, "fe80::1%eth0", 80, "/", "[fe80::1]"),
            ("wss://[FE80:0::1%252]:81/", True, "fe80::1%2", 81, "/", "[fe80::1]:81"),
            ("ws://[fe80::1%25Eth-0.1]/", False, "fe80::1%Eth-0.1", 80, "/", "[fe80::1]"),
            ("wss://127.0.0.1:8765/", True, "127.0.0.1", 8765, "/", "127.0.0.1:8765"),
        ],
    )
    def test_a_good_one(self, url, secure, host, port, resource, authority):
        parsed = parse_url(url)
        assert (parsed.secure, parsed.host, parsed.port, parsed.resource) == (secure, host, port, resource)
        assert parsed.authority == authority
        assert parse_url(str(parsed)) == parsed

    @pytest.mark.parametrize(
        ("url", "words"),
        [
            ("ws://h/p#x", "no fragment; a '#' in its path is written %23"),
            ("ws://h/#", "no fragment"),
            ("ws://h#", "no fragment"),
            ("http://h/", "ws or wss, not 'http'; did you mean ws://"),
            ("HTTPS://h/", "did you mean wss://"),
            ("ftp://h/", "not 'ftp' (RFC"),
            ("localhost:8765/x", "is ws://HOST:PORT/PATH"),
            ("ws:/h/", "is ws://HOST:PORT/PATH"),
            ("", "is ws://HOST:PORT/PATH"),
            (" ws://h/", "is ws://HOST:PORT/PATH"),
            ("ws:///p", "a host is a name or an address, not ''"),
            ("ws://:80/", "a host is a name"),
            ("ws://h:0/", "a port is a number from 1 to 65535, not '0'"),
            ("ws://h:65536/", "a port is"),
            ("ws://h:000080/", "a port is"),
            ("ws://h:0000080/", "a port is"),
            ("ws://h:８０/", "HOST:PORT"),
            ("ws://h:-1/", "HOST:PORT"),
            ("ws://h:80:80/", "HOST:PORT"),
            ("ws://user:secret@h/", "no user and password"),
            ("ws://::1/", "IPv6 address in brackets"),
            ("ws://[::1/", "IPv6 address in brackets"),
            ("ws://[::1]x/", "IPv6 address in brackets"),
            ("ws://[::g]/", "perhaps with a zone such as %25eth0, not '[::g]'"),
            ("ws://[fe80::1%25]/", "brackets hold"),
            ("ws://[fe80::1%]/", "brackets hold"),
            ("ws://[fe80::1%25a%25b]/", "brackets hold"),
            ("ws://[fe80::1%25a b]/", "brackets hold"),
            ("ws://[fe80::1%25a\r\nX: y]/", "brackets hold"),
            ("ws://[127.0.0.1]/", "brackets hold"),
            ("ws://a..b/", "a host is"),
            ("ws://.a/", "a host is"),
            ("ws://-a/", "a host is"),
            ("ws://a b/", "a host is"),
            ("ws://a%41/", "a host is"),
            ("ws://℀.com/", "a host is"),
            ("ws://h\r\nX: y/", "HOST:PORT"),
            ("ws://" + "a" * 64 + "/", "a host is"),
            ("ws://h/a b", "' ' is not allowed in a URL: write %20"),
            ("ws://h/\r\nX: y", r"'\r' is not allowed in a URL: write %0D"),
            ("ws://h/?a=[]", "write %5B"),
            ("ws://h/100%", "'%' is not allowed in a URL: write %25"),
            ("ws://h/%g1", "%25"),
            ("ws://h/\x00", "%00"),
            ("ws://h/\ud800", "surrogates"),
        ],
    )
    def test_one_that_is_none_raises_before_anything_is_done(self, url, words, monkeypatch):
        monkeypatch.setattr(socket, "getaddrinfo", None)  # whoever calls it fails
        with pytest.raises(ValueError, match=re.escape(words)) as caught:
            connect(url)
        assert "secret" not in str(caught.value)


class TestTheRequest:
    """§4.1, the second list"""

    def test_the_golden_bytes(self):
        request = build_handshake(
            parse_url("wss://example.com:8765/chat?x=1"),
            KEY,
            subprotocols=["chat", "superchat"],
            origin="https://example.com",
            extensions="permessage-deflate",
            headers=[("Cookie", "a=b"), ("X-Y", "é")],
        )
        assert build_request(request) == (
            b"GET /chat?x=1 HTTP/1.1\r\n"
            b"Host: example.com:8765\r\n"
            b"Upgrade: websocket\r\n"
            b"Connection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            b"Sec-WebSocket-Version: 13\r\n"
            b"Origin: https://example.com\r\n"
            b"Sec-WebSocket-Protocol: chat, superchat\r\n"
            b"Sec-WebSocket-Extensions: permessage-deflate\r\n"
            b"User-Agent: wsref\r\n"
            b"Cookie: a=b\r\n"
            b"X-Y: \xe9\r\n\r\n"
        )

    @pytest.mark.parametrize("url", ["ws://h", "ws://h:81/p", "wss://[::1]:81/?q", "ws://bücher.example/é"])
    def test_our_own_strict_server_has_nothing_against_it(self, url):
        wire = build_request(build_handshake(parse_url(url), new_key(), subprotocols=["a"], origin="null"))
        request, end = parse_request(wire)
        assert end == len(wire)
        assert wants_upgrade(request)
        validate(request)

    def test_the_key_is_16_bytes_and_never_the_same(self):
        keys = {new_key() for _ in range(10_000)}
        assert len(keys) == 10_000
        assert all(len(key) == 24 and len(base64.b64decode(key)) == 16 for key in keys)

    def test_what_is_sent_is_that_and_no_more_before_the_answer(self, fake):
        def script(server, sock):
            key = server.request(sock)
            sock.settimeout(0.2)
            with pytest.raises(TimeoutError):
                sock.recv(1)
            sock.settimeout(DEADLINE)
            sock.sendall(good_answer(key))
            server.frames = frames_until_end(sock)

        server = fake(script)
        ws = connect(server.url + "chat", compression=None, headers={"Cookie": "a=b"}, limits=QUICK)
        ws.send("hi")
        ws.close()
        lines = server.requests[0].decode().split("\r\n")
        assert lines[0] == "GET /chat HTTP/1.1"
        assert lines[1] == f"Host: 127.0.0.1:{server.port}"
        assert re.fullmatch("Sec-WebSocket-Key: [+/0-9A-Za-z]{22}==", lines[4])
        assert lines[6:] == ["User-Agent: wsref", "Cookie: a=b", "", ""]
        wait_until(lambda: hasattr(server, "frames"))
        assert server.frames == [(0x81, b"hi"), (0x88, b"\x03\xe8")]

    @pytest.mark.parametrize(
        "names", [["a b"], [""], ["a,b"], ["\r\nX: y"], ["a", "a"], ["é"], ["a\x00"], ["a;b"], ['"a"'], ["a\x7f"]]
    )
    def test_subprotocols_that_are_no_tokens_or_stand_twice_are_refused_before_sending(self, names, monkeypatch):
        monkeypatch.setattr(socket, "getaddrinfo", None)
        with pytest.raises(ValueError, match="subprotocol"):
            connect("ws://127.0.0.1:1/", subprotocols=names)

    def test_one_str_is_no_list_of_subprotocols(self):
        with pytest.raises(TypeError, match="not one str"):
            connect("ws://127.0.0.1:1/", subprotocols="chat")

    @pytest.mark.parametrize(
        "header",
        [
            ("X", "a\r\nY: b"),
            ("X", "a\nb"),
            ("X", "\x00"),
            ("X\r\nY", "b"),
            ("X:", "b"),
            ("", "b"),
            ("X Y", "b"),
            ("Host", "a b"),
            ("host", "b\r\nX: y"),
            ("Host", "b:port"),
            ("Host", "http://b"),
            ("Upgrade", "h2c"),
            ("Connection", "close"),
            ("Sec-WebSocket-Key", KEY),
            ("Sec-WebSocket-Anything", "x"),
            ("Content-Length", "5"),
            ("Transfer-Encoding", "chunked"),
            ("Origin", "null"),
        ],
    )
    def test_headers_that_http_cannot_carry_or_that_are_the_handshakes_own_are_refused(self, header, monkeypatch):
        monkeypatch.setattr(socket, "getaddrinfo", None)
        with pytest.raises(ValueError, match="header"):
            connect("ws://127.0.0.1:1/", origin="http://h", headers=[header])
        with pytest.raises(ValueError, match="header"):
            connect("ws://127.0.0.1:1/", origin="http://h\r\nX: y")

    def test_a_user_agent_replaces_ours(self):
        request = build_handshake(parse_url("ws://a/"), KEY, headers=[("User-Agent", "mine")])
        assert request.headers.lines("user-agent") == ["mine"]

    def test_a_host_for_a_virtual_host_replaces_that_of_the_url_and_comes_first(self, fake):
        """RFC 9110 §7.2"""
        server = fake(lambda server, sock: (server.open(sock, behind=goodbye()), frames_until_end(sock)))
        with connect(server.url, headers=[("X", "y"), ("hOST", "chat.example:81")]):
            pass
        (request,) = server.requests
        assert request.startswith(b"GET / HTTP/1.1\r\nHost: chat.example:81\r\nUpgrade:")
        assert request.lower().count(b"\r\nhost:") == 1
        with pytest.raises(ValueError, match="one host and perhaps a port, not 'a, b'"):
            connect("ws://127.0.0.1:1/", headers=[("Host", "a"), ("host", "b")])

    @pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), 1e300])
    def test_a_timeout_is_positive_and_one_that_the_system_calls_can_take(self, timeout):
        with pytest.raises(ValueError, match="timeout must be more than 0 and at most 2,000,000 seconds, not"):
            connect("ws://127.0.0.1:1/", timeout=timeout)

    def test_an_ssl_context_is_for_wss(self):
        with pytest.raises(ValueError, match="ssl_context is for wss"):
            connect("ws://127.0.0.1:1/", ssl_context=ssl.create_default_context())


#: A client that does not wait long.
QUICK = Limits(close_timeout=0.3, linger_timeout=0.3, ping_interval=60, ping_timeout=60)

PMD = ("Sec-WebSocket-Extensions", "permessage-deflate")

#: For each rule, answers that break it and no other.
BREAKS = {
    "status": [{"first": f"HTTP/1.1 {status} X"} for status in (200, 204, 301, 400, 403, 404, 426, 503)],
    "upgrade": [{"without": ["Upgrade"]}, {"extra": [("Upgrade", "websocket")]}]
    + [{"Upgrade": value} for value in ("", "foo", "h2c", "websocket, foo", "web socket", "websocket/13")],
    "connection": [{"without": ["Connection"]}]
    + [{"Connection": value} for value in ("", "keep-alive", "Upgraded", "close")],
    "accept": [{"without": ["Sec-WebSocket-Accept"]}, {"extra": [("Sec-WebSocket-Accept", ACCEPT)]}]
    + [
        {"Sec_WebSocket_Accept": value}
        for value in (
            "",
            ACCEPT[:-1],
            ACCEPT.lower(),
            ACCEPT + "=",
            f'"{ACCEPT}"',
            f"{ACCEPT}, {ACCEPT}",
            accept_key(base64.b64decode(KEY).decode()),  # of the decoded key
            KEY,
        )
    ],
    "protocol": [{"extra": [("Sec-WebSocket-Protocol", value)]} for value in ("zzz", "", "Chat", "chat, soap", "cha")]
    + [{"extra": [("Sec-WebSocket-Protocol", "chat"), ("sec-websocket-protocol", "chat")]}],
    "extensions": [{"extra": [("Sec-WebSocket-Extensions", value)]} for value in ("foo", "", "x; =", ",")]
    + [{"extra": [PMD, PMD]}, {"extra": [("Sec-WebSocket-Extensions", "permessage-deflate, foo")]}],
}  # fmt: skip

ASKED = build_handshake(
    parse_url("ws://h/"), KEY, subprotocols=["chat", "soap"], extensions="permessage-deflate; client_max_window_bits"
)


def answer_of(change):
    from wsref.protocol.http11 import parse_response

    return parse_response(good_answer(KEY, **change))[0]


class TestTheAnswer:
    """§4.1, the last list"""

    def test_every_rule_is_broken_here(self):
        assert set(BREAKS) == {rule.name for rule in RESPONSE_RULES}

    @pytest.mark.parametrize(("name", "change"), [(name, change) for name in BREAKS for change in BREAKS[name]])
    def test_a_broken_rule_fails_and_no_other_is_named(self, name, change):
        broken = violations(RESPONSE_RULES, ASKED, answer_of(change))
        assert [rule.name for rule, _ in broken] == [name]
        with pytest.raises(HandshakeFailed) as caught:
            check_response(ASKED, answer_of(change), Compression())
        if name != "status":
            ((rule, came),) = broken
            assert f"\n  {rule.text}; received {came} ({rule.section})" in str(caught.value)
            assert caught.value.status == 101

    @pytest.mark.parametrize(
        "change",
        [
            {},
            {"Upgrade": "WebSocket"},
            {"Upgrade": ", websocket ,"},
            {"Connection": "keep-alive, UPGRADE"},
            {"Sec_WebSocket_Accept": f"  {ACCEPT}\t"},
            {"first": "HTTP/1.1 101"},
            {"first": "HTTP/1.1 101 Web Socket Protocol Handshake"},
            {"extra": [("Sec-WebSocket-Protocol", "soap")]},
            {"extra": [("Sec-WebSocket-Extensions", "permessage-deflate; server_max_window_bits=12")]},
            {"extra": [("X-Other", "1"), ("Content-Length", "0")]},
        ],
    )
    def test_a_good_one_passes(self, change):
        assert violations(RESPONSE_RULES, ASKED, answer_of(change)) == []
        check_response(ASKED, answer_of(change), Compression())

    def test_what_was_not_offered_is_refused_when_nothing_was_too(self):
        plain = build_handshake(parse_url("ws://h/"), KEY)
        for header in [("Sec-WebSocket-Protocol", "chat"), ("Sec-WebSocket-Protocol", ""), PMD]:
            assert len(violations(RESPONSE_RULES, plain, answer_of({"extra": [header]}))) == 1

    def test_all_broken_rules_are_named(self):
        with pytest.raises(HandshakeFailed) as caught:
            check_response(ASKED, Response(101, Headers([("Upgrade", "\x1b[31m")])))
        assert str(caught.value).count("\n") == 3
        assert r"received '\x1b[31m'" in str(caught.value)

    def test_an_answer_that_the_offer_of_compression_does_not_allow_is_refused(self):
        answer = answer_of({"extra": [("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits=8")]})
        with pytest.raises(HandshakeFailed, match=r"zlib cannot do; .* \(--no-compression\) avoids this"):
            check_response(ASKED, answer, Compression())

    @pytest.mark.parametrize("parameters", ["", "; server_no_context_takeover; client_no_context_takeover"])
    def test_a_server_that_ignores_the_parameters_of_our_offer_is_taken(self, fake, parameters):
        """gorilla/websocket and Jetty; RFC 7692 §7.1.3: the second element of the offer is a fallback."""

        def script(server, sock):
            extension = ("Sec-WebSocket-Extensions", f"permessage-deflate{parameters}")
            sock.sendall(good_answer(server.request(sock), extra=[extension]))
            sock.sendall(unmasked(TEXT, bytes.fromhex("f248cdc9c90700"), rsv=0x40) + goodbye())  # RFC 7692 §7.2.3.1
            frames_until_end(sock)

        server = fake(script)
        with connect(server.url) as ws:
            assert list(ws) == ["Hello"]
        offer = b"permessage-deflate; server_max_window_bits=12; client_max_window_bits, permessage-deflate; client_max"
        assert b"\r\nSec-WebSocket-Extensions: " + offer in server.requests[0]

    @pytest.mark.parametrize("change", [change for name in BREAKS if name != "status" for change in BREAKS[name]])
    def test_over_a_socket_nothing_but_the_request_is_sent_to_such_a_server(self, fake, change):
        def script(server, sock):
            key = server.request(sock)
            change_here = {
                name: value.replace(ACCEPT, accept_key(key)) if isinstance(value, str) else value
                for name, value in change.items()
            }
            if "Sec_WebSocket_Accept" in change_here and change_here["Sec_WebSocket_Accept"] == accept_key(key):
                change_here["Sec_WebSocket_Accept"] = "wrong"
            sock.sendall(good_answer(key, **change_here))
            server.frames = frames_until_end(sock)

        server = fake(script)
        with pytest.raises(HandshakeFailed, match="101"):
            connect(server.url, subprotocols=["chat", "soap"])
        wait_until(lambda: hasattr(server, "frames"))
        assert server.frames == []

    @pytest.mark.slow
    def test_the_answer_may_come_in_any_pieces_and_with_messages_behind_it(self, fake):
        splits = []

        def script(server, sock):
            whole = good_answer(server.request(sock)) + unmasked(TEXT, b"first") + unmasked(BINARY, b"second")
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if not splits:
                splits.extend([len(piece) for piece in pieces] for pieces in all_splits(whole, 12))
            for size in splits.pop():
                sock.sendall(whole[:size])
                whole = whole[size:]
            sock.sendall(goodbye())
            frames_until_end(sock)

        server = fake(script)
        while True:
            with connect(server.url, limits=QUICK) as ws:
                assert list(ws) == ["first", b"second"]
            if not splits:
                break

    def test_a_103_may_come_before_it(self, fake):
        def script(server, sock):
            key = server.request(sock)
            sock.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")
            sock.sendall(good_answer(key) + unmasked(TEXT, b"hi") + goodbye())
            frames_until_end(sock)

        with connect(fake(script).url) as ws:
            assert list(ws) == ["hi"]


def answering(wire, *, end=True):
    """A server that says this whatever it is asked."""

    def script(server, sock):
        server.request(sock)
        with contextlib.suppress(OSError):  # a client that has read enough hangs up
            sock.sendall(wire)
            if end:
                sock.shutdown(socket.SHUT_WR)
            frames_until_end(sock)

    return script


class TestRefusals:
    """§4.1 item 1: "If the status code received from the server is not 101, the client handles
    the response per HTTP procedures."
    """

    @pytest.mark.parametrize("framing", ["length", "chunked", "end"])
    @pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 426, 503, 599])
    def test_status_headers_and_body_are_told(self, fake, status, framing):
        body = b"first line\n\n\x1b[31msecond line \xe2\x82\xac\n"
        head = f"HTTP/1.1 {status} Because\r\nLocation: ws://else.where/\r\n"
        if framing == "length":
            wire = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body + b"more"
        elif framing == "chunked":
            chunks = b"%x\r\n%b\r\n%x;a=b\r\n%b\r\n0\r\n\r\n" % (9, body[:9], len(body) - 9, body[9:])
            wire = f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunks
        else:
            wire = f"{head}\r\n".encode() + body
        with pytest.raises(HandshakeFailed) as caught:
            connect(fake(answering(wire, end=framing == "end")).url + "some/path")
        error = caught.value
        assert (error.status, error.headers.get("location"), error.body) == (status, "ws://else.where/", body)
        lines = str(error).split("\n")
        assert lines[0].startswith(f"the server answered {status}")
        assert lines[1:3] == ["  | first line", r"  | \x1b[31msecond line €"]
        hints = {
            404: "'/some/path'",
            401: "Authorization",
            403: "Origin",
            426: "proxy",
            301: "connect ws://else.where/",
        }
        assert hints.get(status, "") in str(error)

    @pytest.mark.parametrize("coding", ["Chunked", "gzip, CHUNKED"])
    def test_a_transfer_coding_is_named_in_any_case(self, fake, coding):
        """RFC 9112 §7: "All transfer-coding names are case-insensitive"."""
        wire = f"HTTP/1.1 400 Bad\r\nTransfer-Encoding: {coding}\r\n\r\n7\r\nbecause\r\n0\r\n\r\n"
        with pytest.raises(HandshakeFailed) as caught:
            connect(fake(answering(wire.encode(), end=False)).url, timeout=60)
        assert caught.value.body == b"because"

    def test_a_long_body_is_cut(self, fake):
        wire = b"HTTP/1.1 400 Bad\r\n\r\n" + b"line\n" * 100_000
        with pytest.raises(HandshakeFailed) as caught:
            connect(fake(answering(wire)).url)
        assert len(caught.value.body) == 16 * 1024
        assert len(str(caught.value)) < 1000

    def test_a_body_that_does_not_end_is_waited_for_until_the_deadline(self, fake):
        wire = b"HTTP/1.1 400 Bad\r\nContent-Length: 100\r\n\r\nbecause"
        began = time.monotonic()
        with pytest.raises(HandshakeFailed, match="because"):
            connect(fake(answering(wire, end=False)).url, timeout=1)
        assert 0.9 < time.monotonic() - began < DEADLINE

    def test_a_426_that_names_its_versions_is_understood(self, fake):
        wire = b"HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 99\r\nContent-Length: 0\r\n\r\n"
        with pytest.raises(HandshakeFailed, match="speaks version '99' of the protocol, and this client 13"):
            connect(fake(answering(wire)).url)

    @pytest.mark.parametrize(
        ("url", "location", "hint"),
        [
            ("ws://h:81/a/b", "/x/?q=1", "python -m wsref connect 'ws://h:81/x/?q=1'"),
            ("ws://h:81/a/b", "c", "python -m wsref connect ws://h:81/a/c"),
            ("wss://h/a", "/x", "python -m wsref connect wss://h/x"),
            ("ws://h/a", "https://http.example/x", "python -m wsref connect wss://http.example/x"),
            ("wss://h/a", "HTTP://o/x", "python -m wsref connect ws://o/x"),
            ("wss://h/a", "//o/x", "python -m wsref connect wss://o/x"),
            ("ws://h/a", "wss://o:82/x;$(y)&'z", """python -m wsref connect 'wss://o:82/x;$(y)&'"'"'z'"""),
            ("ws://h/a", "/a b\x1b", r"redirects to '/a b\x1b'"),
            ("ws://h/a", "mailto:x", "redirects to 'mailto:x'"),
            ("ws://h/a", "http://[bad", "redirects to 'http://[bad'"),
            ("ws://h/a", "http://u:p@o/", "redirects to 'http://u:p@o/'"),
        ],
    )
    def test_a_redirect_is_told_with_the_command_that_follows_it(self, url, location, hint):
        request = build_handshake(parse_url(url), KEY)
        for status in (301, 302, 303, 307, 308):
            with pytest.raises(HandshakeFailed, match=re.escape(f" {hint})")):
                response = Response(status, Headers([("Location", location)]))
                check_response(request, response, secure=url.startswith("wss"))

    def test_a_redirect_of_wss_without_a_scheme_stays_secure(self, serve, certificate):
        class Handler(Echo):
            def check_request(self, request):
                raise HTTPError(307, "elsewhere", headers={"Location": "/there"})

        url = serve(Handler, ssl_context=tls_context(*certificate)).url.replace("127.0.0.1", "localhost")
        with pytest.raises(HandshakeFailed, match=f"python -m wsref connect {url}/there"):
            connect(f"{url}/here", ssl_context=ssl.create_default_context(cafile=certificate[0]))

    def test_wsref_itself_says_why(self, serve):
        class Handler(Echo):
            paths = ("/there",)

        server = serve(Handler)
        with pytest.raises(HandshakeFailed, match=r"(?s)404 Not Found.*no handler for '/here'; there are /there"):
            connect(server.url + "/here")
        with pytest.raises(HandshakeFailed, match=r"(?s)403 Forbidden.*--allow-origin http://evil.example"):
            connect(server.url + "/there", origin="http://evil.example")

    @pytest.mark.parametrize(
        ("wire", "words", "status"),
        [
            (b"SSH-2.0-OpenSSH_9.2\r\n", r"does not speak HTTP: it sent 'SSH-2.0-OpenSSH_9.2\r\n'", 0),
            (b"\x00\x01\x02", r"it sent '\x00\x01\x02'", 0),
            (b"\x15\x03\x01\x00\x02\x02\x46", "this port speaks wss://, not ws://", 0),
            (b"HTTP/2 101\r\n", "the first line must be 'HTTP/1.1 STATUS REASON', not 'HTTP/2 101'", 0),
            (b"HTTP/1.0 101 Old\r\n\r\n", "the first line must be", 101),
            (b"HTTP/1.1 101 X\r\nUpgrade websocket\r\n\r\n", "no colon", 101),
            (b"HTTP/1.1 101 X\r\nX: " + b"y" * 9000 + b"\r\n\r\n", "longer than 8192", 101),
            (
                b"HTTP/1.1 403 X\r\nX: " + b"y" * 9000 + b"\r\n\r\n",
                "403 Forbidden, but its head exceeds our limit",
                403,
            ),
            (b"HTTP/1.1 403 X\r\nX: " + b"y" * 20_000, "limit: the response's head is larger than 16384", 403),
            (
                b"HTTP/1.1 503 X\r\n" + b"X: y\r\n" * 101 + b"\r\n",
                "at most 100 are allowed (RFC 6585 §5); to raise it: limits=Limits(max_head",
                503,
            ),
            (b"HTTP/1.1 101 X\n", "101 Switching Protocols, but its head is invalid: a line ends in a bare LF", 101),
            (b"HTTP/1.1 101 X\nUpgrade: websocket\n\n", "a line ends in a bare LF", 101),
            (b"HTTP/1.1 101 X\r\nUpgrade: websocket\n", "a line ends in a bare LF", 101),
            (b"HTTP/1.1 101 X\rUpgrade: websocket\r\r", "a CR is not followed by LF", 101),
            (b"HTTP/1.1 101 X\r\nA: b\r\n\x81\x05hello", r"'\x81\x05hello' begins no header line", 101),
            (b"HTTP/1.1 101 X\r\nA: b\x81\x05hello", r"'A: b\x81\x05hello' begins no header line", 101),
            (b"HTTP/1.1 101 Switch", r"ended the connection in the middle of its response: 'HTTP/1.1 101 Switch'", 101),
            (b"HT", "in the middle of its response: 'HT'", 0),
            (b"", "ended the connection without a response", 0),
        ],
    )
    def test_what_is_no_answer_of_http_1_1_is_told_at_once_with_the_status_if_there_is_one(
        self, fake, wire, words, status
    ):
        began = time.monotonic()
        ends = wire in (b"", b"HT", b"HTTP/1.1 101 Switch")
        with pytest.raises(HandshakeFailed, match=re.escape(words)) as caught:
            connect(fake(answering(wire, end=ends)).url, timeout=60)
        assert caught.value.status == status
        assert time.monotonic() - began < DEADLINE, "told at once, not by the deadline"

    @pytest.mark.parametrize("end", ["", "\r", "\r\n", "\r\n\r"])
    def test_a_101_without_its_empty_line_is_told_after_a_pause_and_not_by_the_deadline(self, fake, monkeypatch, end):
        monkeypatch.setattr("wsref.network.dialing.HEAD_PAUSE", 0.5)

        def script(server, sock):
            sock.sendall(good_answer(server.request(sock)).removesuffix(b"\r\n\r\n") + end.encode())
            frames_until_end(sock)

        began = time.monotonic()
        words = r"answered 101 Switching Protocols, but its head does not end: an empty line must follow '.*Accept: "
        with pytest.raises(HandshakeFailed, match=words) as caught:
            connect(fake(script).url, timeout=60)
        assert caught.value.status == 101
        assert time.monotonic() - began < DEADLINE
        monkeypatch.setattr("wsref.network.dialing.HEAD_PAUSE", DEADLINE)
        with pytest.raises(TimeoutError, match=words):
            connect(fake(script).url, timeout=1)

    def test_an_answer_that_dribbles_ends_at_the_deadline(self, fake):
        def script(server, sock):
            server.request(sock)
            with contextlib.suppress(OSError):
                sock.sendall(b"HTTP/1.1 101 ")
                for _ in range(10_000):
                    sock.sendall(b"x")
                    time.sleep(0.01)

        began = time.monotonic()
        with pytest.raises(TimeoutError, match="answered 101 Switching Protocols, but its head does not end"):
            connect(fake(script).url, timeout=1)
        assert 0.9 < time.monotonic() - began < DEADLINE, "the whole answer takes 100 s"

    def test_a_server_that_says_nothing_ends_at_the_deadline(self, fake):
        with pytest.raises(TimeoutError):
            connect(fake(answering(b"", end=False)).url, timeout=0.3)


def words_of(status, body=b"", headers=(), target="/p"):
    """The lines in which the client tells this refusal."""
    asked = build_handshake(parse_url(f"ws://h{target}"), KEY)
    with pytest.raises(HandshakeFailed) as caught:
        check_response(asked, Response(status, Headers(list(headers)), body))
    assert (caught.value.status, caught.value.body) == (status, body)
    return str(caught.value).split("\n")


class TestTheWordsOfARefusal:
    """§4.1 item 1: the status, the first lines of the body, and what it often means"""

    @pytest.mark.parametrize(
        ("status", "first", "hint"),
        [
            (200, "200 OK", None),
            (100, "100 Continue", None),
            (299, "299", None),
            (400, "400 Bad Request", "a proxy before it may have removed Upgrade"),
            (401, "401 Unauthorized", "an Authorization header or a cookie"),
            (402, "402 Payment Required", None),
            (403, "403 Forbidden", "another Origin, a cookie or a token"),
            (404, "404 Not Found", "(is the path right?  It was '/p')"),
            (405, "405 Method Not Allowed", "This one does not open WebSockets"),
            (426, "426 Upgrade Required", "did not see one"),
            (499, "499", None),
            (502, "502 Bad Gateway", "it cannot reach the server behind it"),
            (503, "503 Service Unavailable", "try again later"),
        ],
    )
    def test_each_status(self, status, first, hint):
        lines = words_of(status)
        assert lines[0] == f"the server answered {first}, not 101 Switching Protocols"
        assert len(lines) == (1 if hint is None else 2)
        assert hint is None or (hint in lines[1] and lines[1].startswith("  ("))

    def test_without_a_response_there_is_no_status(self):
        error = HandshakeFailed("why")
        assert (str(error), error.status, error.headers, error.body) == ("why", 0, Headers(), b"")

    @pytest.mark.parametrize("count", [0, 1, 5, 6, 7, 100])
    def test_six_lines_of_a_body_are_quoted(self, count):
        lines = words_of(200, "".join(f"line {n} \n\n" for n in range(count)).encode())[1:]
        assert lines == [f"  | line {n}" for n in range(min(count, 6))] + ["  | ..."] * (count > 6)

    def test_the_lines_are_cut_and_cannot_control_a_terminal(self):
        lines = words_of(200, b"x" * 300 + "\né€\x1b[31m\u202e\t\xff \r\n".encode("utf-8", "replace") + b"\xff")
        assert lines[1:] == ["  | " + "x" * 200, r"  | é€\x1b[31m\u202e\tÿ", "  | \ufffd"]

    @pytest.mark.parametrize(
        ("status", "versions", "hint"),
        [
            (426, "99", "  (the server speaks version '99' of the protocol, and this client 13)"),
            (400, "7, 8", "  (the server speaks version '7, 8' of the protocol, and this client 13)"),
            (
                426,
                "8, 13",
                "  (the server wants an upgrade and did not see one: a proxy before it may have removed it)",
            ),
        ],
    )
    def test_versions_that_the_server_names(self, status, versions, hint):
        assert words_of(status, headers=[("Sec-WebSocket-Version", versions)])[1:] == [hint]

    @pytest.mark.parametrize(("status", "told"), [(299, False), (300, True), (399, True), (400, False), (503, False)])
    def test_only_a_redirect_is_told_as_one(self, status, told):
        lines = words_of(status, headers=[("Location", "/there")])
        assert any("python -m wsref connect ws://h/there" in line for line in lines) is told
        assert not any("redirect" in line for line in words_of(status))

    @pytest.mark.parametrize("size", [200, 201])
    def test_200_characters_of_a_location_are_told(self, size):
        location = "mailto:" + "x" * (size - 7)
        told = f"'{location}'" if size == 200 else f"'{location[:200]}...' (201 characters)"
        assert words_of(302, headers=[("Location", location)])[1:] == [f"  (the server redirects to {told})"]


class TestTheNetwork:
    """§4.1 items 2 to 4"""

    def test_a_closed_port_is_a_refused_connection_and_leaves_no_file(self):
        with free_port() as port:
            files = open_files()
            with pytest.raises(ConnectionRefusedError, match=f"127.0.0.1 port {port}: Connection refused"):
                connect(f"ws://127.0.0.1:{port}/")
            assert open_files() == files

    def test_a_host_that_is_none(self):
        with pytest.raises(socket.gaierror, match=r"no such host: 'no\.such\.host\.invalid'"):
            connect("ws://no.such.host.invalid/")

    def test_the_next_address_is_tried_when_one_refuses_or_does_not_answer(self, serve, monkeypatch):
        port = serve().server_address[1]
        stream = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
        addresses = [(*stream, ("127.0.0.2", port)), (*stream, ("192.0.2.1", port)), (*stream, ("127.0.0.1", port))]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: addresses)
        with connect(f"ws://three.example:{port}/", timeout=3) as ws:
            ws.send("hi")
            assert ws.recv(DEADLINE) == "hi"

    def test_an_address_that_does_not_answer_leaves_time_for_the_others(self, monkeypatch):
        patiences = []

        def dial(family, address, patience):
            patiences.append(round(patience, 1))
            raise TimeoutError("timed out")

        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"192.0.2.{n}", 80)) for n in range(3)]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        monkeypatch.setattr("wsref.network.client.dial", dial)
        with pytest.raises(TimeoutError, match=r"192\.0\.2\.0 port 80: timed out; .*192\.0\.2\.2 port 80: timed out"):
            connect("ws://three.example/", timeout=6)
        assert patiences == [2, 3, 6]

    def test_attempts_at_one_address_are_made_one_after_the_other(self, fake):
        """ "There MUST be no more than one connection in a CONNECTING state.\""""
        at_once, most = 0, 0

        def talk(server, sock):
            nonlocal at_once, most
            key = server.request(sock)
            at_once += 1
            most = max(most, at_once)
            time.sleep(0.02)
            at_once -= 1
            sock.sendall(good_answer(key) + goodbye())
            frames_until_end(sock)
            sock.close()

        def script(server, sock):  # a thread each, so that the server is not what serializes them
            threading.Thread(target=talk, args=(server, sock.dup())).start()

        server = fake(script)
        threads = [threading.Thread(target=lambda: connect(server.url).close()) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(DEADLINE)
        assert (len(server.requests), most) == (5, 1)

    def test_who_waits_for_his_turn_waits_no_longer_than_his_timeout(self, fake):
        over = threading.Event()
        server = fake(lambda server, sock: (server.request(sock), over.wait(DEADLINE)))
        failures = []

        def attempt():
            try:
                connect(server.url, timeout=60)
            except HandshakeFailed as error:
                failures.append(str(error))

        thread = threading.Thread(target=attempt)
        thread.start()
        try:
            wait_until(lambda: server.requests)
            with pytest.raises(TimeoutError, match=r"another connection to 127\.0\.0\.1 port"):
                connect(server.url, timeout=0.2)
            assert thread.is_alive(), "the first attempt goes on"
        finally:
            over.set()
        thread.join(DEADLINE)
        assert len(failures) == 1
        assert "ended the connection without a response" in failures[0]

    def test_who_comes_first_connects_first(self):
        address, order = ("192.0.2.1", 80), []
        release = threading.Event()

        def attempt(n):
            with dialing.turn(address, time.monotonic() + DEADLINE):
                order.append(n)
                release.wait(DEADLINE)

        threads = [threading.Thread(target=attempt, args=(n,)) for n in range(8)]
        for n, thread in enumerate(threads, 1):
            thread.start()
            wait_until(lambda n=n: len(dialing._waiting[address]) == n)
        release.set()
        for thread in threads:
            thread.join(DEADLINE)
        assert order == list(range(8))
        assert address not in dialing._waiting

    def test_ipv6(self, fake):
        try:
            server = fake(
                lambda server, sock: (server.open(sock, behind=goodbye()), frames_until_end(sock)), host="::1"
            )
        except OSError:
            pytest.skip("there is no IPv6 here")
        with connect(f"ws://[::1]:{server.port}/") as ws:
            assert list(ws) == []
        assert f"\r\nHost: [::1]:{server.port}\r\n".encode() in server.requests[0]
        assert ws.url == f"ws://[::1]:{server.port}/"

    def test_a_zone_reaches_the_socket_and_not_the_server(self, monkeypatch, fake):
        """RFC 6874 §4"""
        dialled = []
        server = fake(lambda server, sock: (server.open(sock, behind=goodbye()), frames_until_end(sock)))

        def dial(family, address, timeout):
            dialled.append(address)
            return socket.create_connection(("127.0.0.1", server.port))

        monkeypatch.setattr("wsref.network.client.dial", dial)
        name = socket.if_nameindex()[0][1]
        with connect(f"ws://[fe80::1%25{name}]:81/") as ws:
            assert ws.url == f"ws://[fe80::1%25{name}]:81/"
        assert dialled[0][1:] == (81, 0, socket.if_nametoindex(name))
        assert b"\r\nHost: [fe80::1]:81\r\n" in server.requests[0]


class TestTLS:
    """§4.1 item 5"""

    @pytest.fixture
    def trusting(self, certificate):
        return ssl.create_default_context(cafile=certificate[0])

    @pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
    def test_a_trusted_certificate(self, serve, certificate, trusting, host):
        server = serve(ssl_context=tls_context(*certificate), compression=Compression())
        url = server.url.replace("127.0.0.1", host)
        with connect(url, ssl_context=trusting) as ws:
            for message in MESSAGES:
                ws.send(message)
                assert ws.recv(DEADLINE) == message
            assert ws.ping() < DEADLINE
        assert (ws.closed.code, ws.closed.was_clean) == (1000, True)

    def test_an_untrusted_one_and_one_of_another_host_fail_before_http(self, serve, certificate, trusting, log):
        server = serve(ssl_context=tls_context(*certificate))
        with pytest.raises(ssl.SSLCertVerificationError, match="self-signed certificate"):
            connect(server.url)
        trusting.check_hostname = True
        other = server.url.replace("127.0.0.1", "127.0.0.2")
        real = socket.getaddrinfo
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(socket, "getaddrinfo", lambda _, *rest, **options: real("127.0.0.1", *rest, **options))
            with pytest.raises(ssl.SSLCertVerificationError, match=r"IP address mismatch.*127\.0\.0\.2"):
                connect(other, ssl_context=trusting)
            with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
                connect(server.url.replace("127.0.0.1", "other.example"), ssl_context=trusting)
        wait_until(lambda: not server._connection_threads)
        assert server.counts.opened == 0
        assert "GET" not in log.text

    def test_the_host_is_named_in_the_tls_handshake(self, serve, certificate, trusting):
        names = []
        context = tls_context(*certificate)
        context.sni_callback = lambda _, name, __: names.append(name)
        with connect(serve(ssl_context=context).url.replace("127.0.0.1", "localhost"), ssl_context=trusting):
            assert names == ["localhost"]

    def test_tls_to_a_plain_port(self, serve):
        with pytest.raises(HandshakeFailed, match=r"TLS handshake .*; the port may not speak TLS: try ws://127"):
            connect(serve().url.replace("ws:", "wss:"))

    @pytest.mark.parametrize("wire", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-x\r\n"])
    def test_tls_to_something_that_answers_in_plain(self, fake, wire):
        def script(server, sock):
            sock.recv(65536)
            sock.sendall(wire)
            frames = sock.recv(65536)
            assert b"GET" not in frames

        with pytest.raises(HandshakeFailed, match="the port may not speak TLS"):
            connect(fake(script).url.replace("ws:", "wss:"))

    def test_plain_to_a_tls_port(self, serve, certificate):
        with pytest.raises(HandshakeFailed, match=r"TLS alert: this port speaks wss|ended the connection without"):
            connect(serve(ssl_context=tls_context(*certificate)).url.replace("wss:", "ws:"))

    def test_a_tls_handshake_that_is_not_answered_ends_at_the_deadline(self, fake):
        def script(server, sock):
            with contextlib.suppress(OSError):
                while sock.recv(65536):
                    pass

        with pytest.raises(TimeoutError, match="the TLS handshake took too long"):
            connect(fake(script).url.replace("ws:", "wss:"), timeout=1)


class TestConversation:
    """Against wsref's own server."""

    @pytest.mark.parametrize("ours", [None, Compression()])
    @pytest.mark.parametrize("theirs", [None, Compression()])
    def test_an_echo_of_every_length_with_and_without_compression(self, serve, ours, theirs):
        with connect(serve(compression=theirs).url, compression=ours) as ws:
            assert bool(ws.extensions) is (ours is not None and theirs is not None)
            for message in MESSAGES:
                ws.send(message)
                assert ws.recv(DEADLINE) == message
            ws.send(bytearray(b"abc"))
            assert ws.recv(DEADLINE) == b"abc"

    def test_the_browsers_attributes(self, serve):
        class Handler(Echo):
            subprotocols = ("chat",)

        url = serve(Handler).url
        ws = connect(url.upper().replace("WS:", "ws:"), subprotocols=["soap", "chat"])
        assert (ws.url, ws.protocol, ws.extensions, ws.ready_state) == (f"{url}/", "chat", None, State.OPEN)
        assert ws.buffered_amount == 0
        assert repr(ws) == f"<WebSocket {url}/ OPEN>"
        ws.close()
        assert ws.ready_state == State.CLOSED == 3

    @pytest.mark.parametrize("message", [5, None, ["a"], object()], ids=lambda message: type(message).__name__)
    def test_what_is_not_a_message_is_refused_with_its_type(self, serve, message):
        with connect(serve(Echo).url) as ws:
            with pytest.raises(
                TypeError, match=rf"a message is a str \(text\) or bytes \(binary\), not {type(message).__name__}"
            ):
                ws.send(message)
            ws.send("still open")
            assert ws.recv(timeout=DEADLINE) == "still open"

    def test_a_send_that_waits_is_seen_in_buffered_amount(self, fake):
        go = threading.Event()

        def script(server, sock):
            server.open(sock)
            go.wait(DEADLINE)
            while sock.recv(1_000_000):
                pass

        ws = connect(fake(script).url, limits=QUICK, compression=None)
        sender = threading.Thread(target=ws.send, args=(bytes(30_000_000),))
        sender.start()
        wait_until(lambda: ws.buffered_amount >= 30_000_000)
        go.set()
        sender.join(DEADLINE)
        assert ws.buffered_amount == 0
        ws.close()

    def test_a_timeout_of_recv_loses_nothing(self, fake):
        go = [threading.Event() for _ in range(3)]

        def script(server, sock):
            server.open(sock)
            wire = unmasked(TEXT, b"hel", fin=False) + unmasked(0, b"lo")
            for event, piece in zip(go, [wire[:1], wire[1:6], wire[6:]], strict=True):
                event.wait(DEADLINE)
                sock.sendall(piece)
            frames_until_end(sock)

        with connect(fake(script).url, limits=QUICK) as ws:
            for event in go:
                with pytest.raises(TimeoutError, match=r"no message within 0\.05 s"):
                    ws.recv(timeout=0.05)
                event.set()
            assert ws.recv(timeout=DEADLINE) == "hello"

    def test_a_timeout_of_0_takes_what_is_there(self, serve):
        with connect(serve().url) as ws:
            with pytest.raises(TimeoutError):
                ws.recv(timeout=0)
            ws.send("hi")
            wait_until(lambda: self.taken(ws) == "hi")

    @staticmethod
    def taken(ws):
        try:
            return ws.recv(timeout=0)
        except TimeoutError:
            return None

    @pytest.mark.parametrize("timeout", [0, -1, float("-inf")])
    @pytest.mark.parametrize(
        "wire",
        [
            unmasked(PING) + unmasked(TEXT, b"hi"),
            unmasked(PONG) * 100 + unmasked(TEXT, b"hi"),
            unmasked(TEXT, b"h", fin=False) + unmasked(PING) + unmasked(0, b"i"),
            unmasked(TEXT, b"hi" * 300),
            unmasked(BINARY, bytes(40_000)),
        ],
        ids=["ping", "pongs", "fragments", "600 bytes", "40,000 bytes"],
    )
    def test_a_message_that_has_arrived_is_returned_by_the_first_call_without_waiting(self, fake, wire, timeout):
        go = threading.Event()

        def script(server, sock):
            server.open(sock)
            go.wait(DEADLINE)
            sock.sendall(wire)
            frames_until_end(sock)

        with connect(fake(script).url, limits=QUICK) as ws:
            go.set()
            sock = ws._channel.transport._socket
            wait_until(lambda: unread_bytes(sock) == len(wire))
            message = ws.recv(timeout)
            assert message in ("hi", "hi" * 300, bytes(40_000))
            with pytest.raises(TimeoutError, match="no message within 0 s"):
                ws.recv(timeout)

    @pytest.mark.parametrize("timeout", [float("inf"), 1e300, 1e12, None])
    def test_a_timeout_may_be_of_any_length_alone_and_while_another_thread_reads(self, fake, timeout):
        go = threading.Event()

        def script(server, sock):
            server.open(sock)
            go.wait(DEADLINE)
            sock.sendall(unmasked(TEXT, b"hi") * 2)
            while piece := sock.recv(65536):
                sock.sendall(b"".join(unmasked(PONG, payload) for first, payload in unframe(piece) if first == 0x89))

        with connect(fake(script).url, limits=QUICK) as ws:
            messages, waiting = [], []
            wait = ws._changed.wait
            ws._changed.wait = lambda seconds: (waiting.append(seconds), wait(seconds))
            threads = [threading.Thread(target=lambda: messages.append(ws.recv(timeout))) for _ in range(2)]
            for thread in threads:
                thread.start()
            wait_until(lambda: waiting)
            go.set()
            for thread in threads:
                thread.join(DEADLINE)
            assert messages == ["hi", "hi"]
            assert ws.ping(b"x", timeout) < DEADLINE

    def test_nan_is_not_a_timeout_and_nothing_is_sent(self, fake):
        def script(server, sock):
            server.open(sock)
            server.frames = frames_until_end(sock)

        server = fake(script)
        with connect(server.url, limits=QUICK) as ws:
            for call in (ws.recv, lambda timeout: ws.ping(b"", timeout)):
                with pytest.raises(ValueError, match="a timeout is a number of seconds, not nan"):
                    call(float("nan"))
                with pytest.raises(TypeError):
                    call("1")
            for data in ("text", None, 5):
                with pytest.raises(TypeError):
                    ws.ping(data)
        wait_until(lambda: hasattr(server, "frames"))
        assert server.frames == [(0x88, b"\x03\xe8")]

    @pytest.mark.parametrize("timeout", [0, -1])
    def test_a_ping_without_time_is_sent_and_not_waited_for(self, fake, timeout):
        def script(server, sock):
            server.open(sock)
            server.frames = frames_until_end(sock)

        server = fake(script)
        with connect(server.url, limits=QUICK) as ws, pytest.raises(TimeoutError, match="no Pong within 0 s"):
            ws.ping(b"x", timeout)
        wait_until(lambda: hasattr(server, "frames"))
        assert server.frames == [(0x89, b"x"), (0x88, b"\x03\xe8")]

    def test_a_first_read_without_time_does_not_wait(self):
        """In a thread: the main thread waits another way, for the sake of signals."""
        received = []
        with socket.create_server(("127.0.0.1", 0)) as listener:
            transport = Transport(socket.create_connection(listener.getsockname()), Limits())
            thread = threading.Thread(target=lambda: received.append(transport.receive(10, 0.0)), daemon=True)
            thread.start()
            thread.join(DEADLINE)
            assert received == [None]
        transport.close_gracefully(0)

    @pytest.mark.parametrize("compression", [None, Compression(threshold=0)])
    @pytest.mark.parametrize("secure", [False, True])
    def test_a_message_in_fragments_both_ways(self, serve, certificate, compression, secure, tmp_path):
        file = tmp_path / "file"
        file.write_bytes(os.urandom(200_000))
        lines = tmp_path / "lines"
        lines.write_text("é€😀\n" * 50_000, "utf-8")
        empty = tmp_path / "empty"
        empty.touch()

        class Handler(WebSocketHandler):
            def on_message(self, message):
                self.send_fragments(message[i : i + 50_000] for i in range(0, len(message) or 1, 50_000))

        context = tls_context(*certificate) if secure else None
        url = serve(Handler, ssl_context=context, compression=compression).url.replace("127.0.0.1", "localhost")
        trusting = ssl.create_default_context(cafile=certificate[0]) if secure else None
        with connect(url, compression=compression, ssl_context=trusting) as ws:
            ws.send_fragments(str(n) for n in range(1000))
            assert ws.recv(DEADLINE) == "".join(str(n) for n in range(1000))
            for path, mode in ((file, "rb"), (lines, "r"), (empty, "rb"), (empty, "r")):
                with path.open(mode, encoding=None if "b" in mode else "utf-8") as opened:
                    ws.send_fragments(opened, compress=path != file)
                assert ws.recv(DEADLINE) == (path.read_bytes() if "b" in mode else path.read_text("utf-8"))

    def test_a_message_in_fragments_is_not_in_memory(self, fake):
        def script(server, sock):
            server.open(sock)
            while sock.recv(1_000_000):
                pass

        block = bytes(64 * 1024)
        for compression in (None, Compression()):
            with connect(fake(script).url, compression=compression, limits=QUICK) as ws:
                assert peak_memory(lambda ws=ws: ws.send_fragments(block for _ in range(500))) < 2_000_000

    def test_nothing_comes_between_fragments(self, serve):
        class Handler(WebSocketHandler):
            def on_message(self, message):
                def pieces():
                    for _ in range(10):
                        self.server.broadcast("b" * 10)  # from this thread, and kept until the message is complete
                        yield "f" * 100_000

                self.send("before")
                self.send_fragments(pieces())

        server = serve(Handler)
        with connect(server.url) as ws:
            wait_until(lambda: server.handlers)
            ws.send("go")
            got = [ws.recv(DEADLINE) for _ in range(12)]
        assert sorted(got) == ["b" * 10] * 10 + ["before", "f" * 1_000_000]
        assert got[0] == "before"

    def test_replies_that_are_gathered_and_fragments_keep_their_order(self, serve):
        class Handler(WebSocketHandler):
            def on_message(self, message):
                self.send(message)
                self.send_fragments([message, "!"])
                self.send(message)

        with connected(serve(Handler)) as client:
            client.send(text("a") + text("b"))  # in one read, so replies are gathered
            assert client.take(2 * 14) == b"".join(
                bytes.fromhex("8101 %02x  0101 %02x  0001 21  8000  8101 %02x".replace("%02x", f"{ord(word):02x}"))
                for word in "ab"
            )

    @pytest.mark.parametrize(
        ("pieces", "error"),
        [
            (iter([]), ValueError),
            (iter(["a", b"b"]), TypeError),
            (iter(["a", 5]), TypeError),
            ((1 / n for n in (1, 0)), TypeError),
            (("a" * (1 // n) for n in (1, 0)), ZeroDivisionError),
        ],
    )
    def test_a_message_that_cannot_be_completed_ends_the_connection_with_1011(self, fake, pieces, error):
        """§5.4: its first part may be on the wire, and nothing but the rest may follow."""

        def script(server, sock):
            server.open(sock)
            server.frames = []
            while server.frames[-1:] != [(0x88, b"\x03\xf3the message cannot be completed")]:
                server.frames += unframe(sock.recv(65536))
            sock.sendall(goodbye(1011))

        with connect(fake(script).url) as ws:
            with pytest.raises(error):
                ws.send_fragments(pieces)
            with pytest.raises(ConnectionClosed, match="1011"):
                ws.recv(DEADLINE)

    @pytest.mark.parametrize("pieces", ["text", b"bytes", bytearray(b"x"), memoryview(b"x"), None, 5])
    def test_what_are_no_pieces_is_refused_and_the_connection_lives(self, serve, pieces):
        with connect(serve().url) as ws:
            with pytest.raises(TypeError):
                ws.send_fragments(pieces)
            ws.send("alive")
            assert ws.recv(DEADLINE) == "alive"
        with pytest.raises(ConnectionClosed, match="we closed"):
            ws.send_fragments(["x"])

    @pytest.mark.parametrize("use", ["send", "send_fragments", "ping", "close", "recv"])
    def test_pieces_that_use_their_own_connection_are_told_so_and_do_not_wait_for_ever(self, fake, use):
        def script(server, sock):
            server.open(sock, behind=unmasked(PING))
            frames_until_end(sock)

        ws = connect(fake(script).url, limits=QUICK)

        def pieces():
            yield "a"
            getattr(ws, use)(*{"send": ["x"], "send_fragments": [["x"]]}.get(use, []))

        with pytest.raises(RuntimeError, match="the pieces of a message may not use the connection that sends it"):
            ws.send_fragments(pieces())
        ws.close()
        assert ws.closed.sent_code == 1011

    def test_a_flood_of_pings_does_not_outlast_the_timeout(self, fake):
        stop = threading.Event()

        def script(server, sock):
            server.open(sock)
            with contextlib.suppress(OSError):
                sock.setblocking(False)
                while not stop.is_set():
                    with contextlib.suppress(BlockingIOError):
                        sock.send(unmasked(PING))
                    with contextlib.suppress(BlockingIOError):
                        sock.recv(65536)

        with connect(fake(script).url, limits=QUICK) as ws:
            began = time.monotonic()
            with pytest.raises(TimeoutError):
                ws.recv(timeout=0.2)
            assert 0.15 < time.monotonic() - began < DEADLINE
            stop.set()

    def test_pings_are_answered_while_we_wait(self, fake):
        def script(server, sock):
            server.open(sock, behind=unmasked(PING, b"there?") + unmasked(TEXT, b"x") + unmasked(PING) + goodbye())
            server.frames = frames_until_end(sock)

        server = fake(script)
        with connect(server.url) as ws:
            assert list(ws) == ["x"]
        wait_until(lambda: hasattr(server, "frames"))
        assert server.frames == [(0x80 | PONG, b"there?"), (0x80 | PONG, b""), (0x88, b"\x03\xe8")]

    def test_every_frame_is_masked_with_another_key(self, fake):
        def script(server, sock):
            server.open(sock)
            data = b""
            while piece := sock.recv(65536):
                data += piece
            server.keys = [data[at + 2 : at + 6] for at in range(0, 100 * 8, 8)]
            assert all(data[at + 1] == 0x82 for at in range(0, 800, 8))

        server = fake(script)
        ws = connect(server.url, limits=QUICK)
        for _ in range(100):
            ws.send("hi")
        ws.close()
        wait_until(lambda: hasattr(server, "keys"))
        assert len(set(server.keys)) == 100

    def test_ping_takes_a_while_and_messages_before_the_pong_are_kept(self, fake):
        def script(server, sock):
            server.open(sock)
            first = sock.recv(65536)
            ((opcode, data),) = unframe(first)
            assert opcode == 0x80 | PING
            sock.sendall(unmasked(TEXT, b"one") + unmasked(PONG, b"other") + unmasked(BINARY, b"two"))
            time.sleep(0.1)
            sock.sendall(unmasked(PONG, data))
            frames_until_end(sock)

        with connect(fake(script).url, limits=QUICK) as ws:
            assert 0.1 <= ws.ping(b"there?") < DEADLINE
            assert (ws.recv(DEADLINE), ws.recv(DEADLINE)) == ("one", b"two")

    def test_a_pong_to_a_later_ping_answers_those_before_it(self, fake):
        """§5.5.3: "MAY elect to send a Pong frame for only the most recently processed Ping"."""

        def script(server, sock):
            server.open(sock)
            data = b""
            while data.count(b"\x89") < 2 or len(unframe(data)) < 2:
                data += sock.recv(65536)
            sock.sendall(unmasked(PONG, unframe(data)[1][1]))
            frames_until_end(sock)

        with connect(fake(script).url, limits=QUICK) as ws:
            taken = []
            threads = [
                threading.Thread(target=lambda n=n: taken.append(ws.ping(b"%d" % n, DEADLINE))) for n in range(2)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(DEADLINE)
            assert len(taken) == 2

    def test_a_ping_that_is_not_answered_times_out_and_one_of_126_bytes_is_refused(self, fake):
        with connect(fake(lambda server, sock: (server.open(sock), frames_until_end(sock))).url, limits=QUICK) as ws:
            with pytest.raises(TimeoutError, match=r"no Pong within 0\.1 s"):
                ws.ping(timeout=0.1)
            with pytest.raises(ValueError, match="125"):
                ws.ping(bytes(126))
            assert ws._pings == []

    def test_a_ping_does_not_keep_messages_without_end(self, fake):
        def script(server, sock):
            server.open(sock)
            with contextlib.suppress(OSError):
                while True:
                    sock.sendall(unmasked(TEXT) * 1000)

        limits = Limits(close_timeout=0.2, linger_timeout=0.2, max_backlog=6400)
        ws = connect(fake(script).url, limits=limits)
        with pytest.raises(TimeoutError, match="101 messages came before the Pong"):
            ws.ping()
        assert [ws.recv(DEADLINE) for _ in range(300)] == [""] * 300
        ws.close()

    def test_silence_is_answered_by_a_ping_and_then_by_1006(self, fake):
        def script(server, sock):
            server.open(sock)
            server.frames = frames_until_end(sock)

        server = fake(script)
        ws = connect(server.url, limits=Limits(ping_interval=0.2, ping_timeout=0.2, linger_timeout=0.1))
        with pytest.raises(ConnectionClosed, match=r"no sign of life within 0\.2 s after our Ping"):
            while True:
                with contextlib.suppress(TimeoutError):
                    ws.recv(timeout=0.05)  # the silence of all these together counts
        assert (ws.closed.code, ws.closed.was_clean) == (1006, False)
        wait_until(lambda: hasattr(server, "frames"))
        assert server.frames == [(0x80 | PING, b"")]

    def test_two_threads_one_sends_and_one_receives(self, serve):
        with connect(serve().url) as ws:
            sender = threading.Thread(target=lambda: [ws.send(f"{n} " + "x" * (n * 37 % 3000)) for n in range(2000)])
            sender.start()
            for n in range(2000):
                assert ws.recv(DEADLINE) == f"{n} " + "x" * (n * 37 % 3000)
            sender.join()

    def test_many_threads_send_and_many_receive_and_nothing_is_lost(self, serve):
        with connect(serve().url) as ws:
            got = []
            work = [
                threading.Thread(target=lambda me=me: [ws.send(f"{me} {n}") for n in range(200)]) for me in range(4)
            ]
            work += [
                threading.Thread(target=lambda: got.extend([ws.recv(DEADLINE) for _ in range(200)])) for _ in range(4)
            ]
            for thread in work:
                thread.start()
            rtt = [ws.ping() for _ in range(20)]
            for thread in work:
                thread.join(DEADLINE)
            assert sorted(got) == sorted(f"{me} {n}" for me in range(4) for n in range(200))
            assert max(rtt) < DEADLINE

    def test_a_close_from_another_thread_ends_the_iteration(self, serve):
        ws = connect(serve().url)

        def end():
            wait_until(lambda: ws._reading)
            ws.close(4000, "bye")

        closer = threading.Thread(target=end)
        closer.start()
        assert list(ws) == []
        closer.join()
        assert (ws.closed.code, ws.closed.initiated_locally, ws.closed.was_clean) == (4000, True, True)


class TestTheEnd:
    """§7"""

    @pytest.mark.parametrize("code", [1000, 1001, 1011, 3000, 4999, None])
    def test_our_close_comes_back_and_the_server_sees_it(self, serve, code):
        seen = []

        class Handler(WebSocketHandler):
            def on_close(self, code, reason):
                seen.append((code, reason))

        ws = connect(serve(Handler).url)
        ws.close(code, "" if code is None else "bye €")
        assert (ws.closed.code, ws.closed.sent_code, ws.closed.was_clean, ws.closed.initiated_locally) == (
            code or 1005,
        ) * 2 + (True, True)
        wait_until(lambda: seen)
        assert seen == [(code or 1005, "" if code is None else "bye €")]
        ws.close()  # again: nothing happens
        with pytest.raises(ConnectionClosed, match="we closed the connection") as caught:
            ws.recv()
        assert caught.value.code == (code or 1005)
        for call in (lambda: ws.send("x"), ws.ping):
            with pytest.raises(ConnectionClosed, match="we closed the connection"):
                call()

    @pytest.mark.parametrize(("code", "normal"), [(1000, True), (1001, True), (1011, False), (4000, False)])
    def test_the_servers_close_is_told_and_iteration_ends_at_a_normal_one(self, serve, code, normal):
        class Handler(WebSocketHandler):
            def on_open(self):
                self.send("one")
                self.close(code, "bye \x1b[31m")

        url = serve(Handler).url
        with connect(url) as ws:
            assert ws.recv() == "one"
            with pytest.raises(
                ConnectionClosed, match=rf"the server closed the connection: {code}.*'bye \\x1b"
            ) as caught:
                ws.recv()
            assert (caught.value.code, caught.value.reason) == (code, "bye \x1b[31m")
            assert (ws.closed.code, ws.closed.was_clean, ws.closed.initiated_locally) == (code, True, False)
        with connect(url) as ws, contextlib.nullcontext() if normal else pytest.raises(ConnectionClosed):
            assert list(ws) == ["one"]

    @pytest.mark.parametrize(
        ("code", "reason", "error"),
        [(code, "", ValueError) for code in (-1, 0, 1, True, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65536)]
        + [(code, "", TypeError) for code in (1000.0, float("nan"), float("inf"), "1000", b"")]
        + [(1000, reason, TypeError) for reason in (None, b"bye", 5)]
        + [(1000, reason, ValueError) for reason in ("x" * 124, "é" * 62, "\ud800")]
        + [(None, "bye", ValueError)],
    )
    def test_what_no_close_may_carry_is_refused_and_the_connection_lives(self, serve, code, reason, error):
        with connect(serve().url) as ws:
            with pytest.raises(error):
                ws.close(code, reason)
            ws.send("alive")
            assert ws.recv(DEADLINE) == "alive"

    def test_an_exception_in_the_block_is_1001_for_the_server(self, serve):
        seen = []

        class Handler(WebSocketHandler):
            def on_close(self, code, reason):
                seen.append(code)

        with pytest.raises(ZeroDivisionError), connect(serve(Handler).url):
            print(1 / 0)
        wait_until(lambda: seen)
        assert seen == [1001]

    @pytest.mark.parametrize("how", ["FIN", "RST"])
    @pytest.mark.parametrize(
        "wire", [b"", b"\x81", unmasked(TEXT, b"hello")[:4], unmasked(TEXT, b"hel", fin=False)], ids=lambda w: w.hex()
    )
    def test_a_server_that_vanishes_is_1006_and_half_a_message_is_none(self, fake, how, wire):
        def script(server, sock):
            server.open(sock, behind=unmasked(TEXT, b"whole") + wire)
            sock.recv(65536)
            if how == "RST":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

        with connect(fake(script).url, limits=QUICK) as ws:
            assert ws.recv(DEADLINE) == "whole"
            ws.send("go")
            with pytest.raises(ConnectionClosed, match=r"the connection was lost: TCP ended without a Close \(1006\)"):
                ws.recv(DEADLINE)
            with pytest.raises(ConnectionClosed, match="1006"):
                list(ws)
        assert (ws.closed.code, ws.closed.was_clean, ws.closed.initiated_locally) == (1006, False, False)

    @pytest.mark.parametrize(
        ("wire", "code"),
        [
            (frame(TEXT, b"masked"), 1002),
            (b"\x83\x00", 1002),
            (b"\x91\x00", 1002),
            (unmasked(TEXT, b"\xff"), 1007),
            (unmasked(CLOSE, b"\x03"), 1002),
            (unmasked(CLOSE, b"\x03\xed"), 1002),
        ],
        ids=lambda value: str(value)[:20],
    )
    def test_a_server_that_breaks_the_protocol_is_told_so(self, fake, wire, code):
        def script(server, sock):
            server.open(sock)
            with contextlib.suppress(ConnectionError):
                sock.sendall(wire)
            server.frames = frames_until_end(sock)

        server = fake(script)
        ws = connect(server.url, limits=Limits(linger_timeout=1))
        with pytest.raises(ConnectionClosed, match=f"the server broke the protocol \\(we sent {code}\\): "):
            ws.recv(DEADLINE)
        assert (ws.closed.code, ws.closed.sent_code, ws.closed.initiated_locally) == (1006, code, True)
        wait_until(lambda: hasattr(server, "frames"))
        ((opcode, payload),) = server.frames
        assert (opcode, int.from_bytes(payload[:2], "big")) == (0x88, code)

    @pytest.mark.parametrize(
        ("wire", "code", "limit"),
        [
            (unmasked(BINARY, bytes(1001)), 1009, "limits=Limits(max_message_size=...), or --max-message-size"),
            (unmasked(TEXT, bytes(501), fin=False) + unmasked(0, bytes(500)), 1009, "--max-message-size"),
            (unmasked(TEXT, zlib.compress(bytes(1001))[2:-4] + b"\0", rsv=0x40), 1009, "--max-message-size"),
            (unmasked(TEXT, fin=False) + unmasked(0, fin=False) * 3, 1008, "limits=Limits(max_empty_fragments=...)"),
        ],
        ids=["frame", "fragments", "compressed", "empty fragments"],
    )
    def test_a_limit_of_ours_is_called_ours_with_what_raises_it(self, fake, wire, code, limit):
        def script(server, sock):
            sock.sendall(good_answer(server.request(sock), extra=[PMD]) + wire)
            server.frames = frames_until_end(sock)

        server = fake(script)
        limits = Limits(max_message_size=1000, max_empty_fragments=3, linger_timeout=1)
        ws = connect(server.url, limits=limits)
        words = rf"a message exceeds our limit \(we sent {code}\): .* \(RFC 6455 §10\.4\); to raise it: .*"
        with pytest.raises(ConnectionClosed, match=words + re.escape(limit)):
            ws.recv(DEADLINE)
        wait_until(lambda: hasattr(server, "frames"))
        assert [int.from_bytes(payload[:2], "big") for _, payload in server.frames] == [code]

    @pytest.mark.parametrize("secure", [False, True])
    def test_a_close_that_lies_unread_when_sending_fails_is_told(self, fake, certificate, secure):
        """A server that closes TCP with our bytes unread resets it: after its Close, sending fails."""

        def script(server, sock):
            if secure:
                sock = tls_context(*certificate).wrap_socket(sock, server_side=True)
            server.open(sock, behind=unmasked(TEXT, b"hi") + unmasked(PING) + goodbye(1009, b"too long"))
            sock.recv(1)
            sock.close()  # with bytes unread

        for call in (lambda ws: ws.send(bytes(1_000_000)), lambda ws: ws.ping(bytes(125), timeout=0)):
            context = ssl.create_default_context(cafile=certificate[0]) if secure else None
            url = fake(script).url.replace("ws://127.0.0.1", "wss://localhost" if secure else "ws://127.0.0.1")
            ws = connect(url, limits=QUICK, ssl_context=context)
            with pytest.raises(ConnectionClosed, match="the server closed the connection: 1009 TOO_BIG") as caught:
                while True:
                    with contextlib.suppress(TimeoutError):
                        call(ws)
            assert (caught.value.code, caught.value.reason) == (1009, "too long")
            assert ws.recv() == "hi"  # what came before the Close is kept
            with pytest.raises(ConnectionClosed, match="1009 TOO_BIG 'too long'"):
                ws.recv()

    @pytest.mark.parametrize("end", [b"", goodbye(1011, b"keepalive ping timeout")], ids=["reset", "1011"])
    def test_a_client_that_only_sends_is_told_that_pings_lay_unread(self, fake, end):
        def script(server, sock):
            server.open(sock, behind=unmasked(TEXT, b"hi") + unmasked(PING, b"there?") + end)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

        ws = connect(fake(script).url, limits=QUICK)
        why = (
            "1011 INTERNAL_ERROR 'keepalive ping timeout'" if end else "the connection was lost: sending failed: .*1006"
        )
        unread = "; unread messages and Pings of the server: 2; recv() reads and answers them"
        with pytest.raises(ConnectionClosed, match=f"{why}.*{re.escape(unread)}") as caught:
            while True:
                ws.send("x")
        assert caught.value.code == (1011 if end else 1006)

    def test_a_client_that_reads_is_not_told_so(self, fake):
        def script(server, sock):
            server.open(sock, behind=unmasked(PING, b"there?") + unmasked(TEXT, b"hi"))
            sock.recv(1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

        ws = connect(fake(script).url, limits=QUICK)
        assert ws.recv(DEADLINE) == "hi"
        with pytest.raises(ConnectionClosed) as caught:
            while True:
                ws.send("x")
        assert "unread" not in str(caught.value)

    def test_what_lies_unread_when_sending_fails_takes_no_more_memory_than_is_kept(self, fake, log):
        def script(server, sock):
            server.open(sock, behind=unmasked(TEXT, b"x" * 100) * 1000)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

        ws = connect(fake(script).url, limits=Limits(max_backlog=1000))
        with pytest.raises(ConnectionClosed, match="unread messages and Pings of the server: 1000;"):
            while True:
                ws.send("x")
        assert "994 messages that came before the end were discarded" in log.text
        assert len(ws._inbox) == 6

    def test_a_close_that_is_not_answered_is_waited_for_no_longer_than_the_timeout(self, fake):
        with connect(fake(lambda server, sock: (server.open(sock), frames_until_end(sock))).url, limits=QUICK) as ws:
            began = time.monotonic()
            ws.close()
            assert 0.25 < time.monotonic() - began < DEADLINE
        assert (ws.closed.code, ws.closed.sent_code, ws.closed.was_clean) == (1006, 1000, False)
        with pytest.raises(ConnectionClosed, match=r"our Close was not answered within 0\.3 s"):
            ws.recv()

    def test_a_close_while_another_thread_reads_is_bounded_too(self, fake):
        ws = connect(fake(lambda server, sock: (server.open(sock), frames_until_end(sock))).url, limits=QUICK)
        ended = []

        def read():
            try:
                ws.recv()
            except ConnectionClosed as error:
                ended.append(error.code)

        reader = threading.Thread(target=read)
        reader.start()
        wait_until(lambda: ws._reading)
        ws.close()
        reader.join(DEADLINE)
        assert ended == [1006]

    def test_messages_that_come_before_the_servers_close_are_kept_and_how_many_were_not_is_logged(self, fake, log):
        def script(server, sock):
            server.open(sock)
            sock.recv(65536)
            for n in range(10):
                sock.sendall(unmasked(TEXT, b"%d" % n))
            sock.sendall(goodbye())
            frames_until_end(sock)

        server = fake(script)
        ws = connect(server.url)
        ws.close()
        assert list(ws) == [str(n) for n in range(10)]
        ws = connect(server.url, limits=Limits(max_backlog=195))
        ws.close()
        assert list(ws) == ["0", "1", "2"]
        assert "7 messages that came before the end were discarded" in log.text

    def test_the_client_waits_for_the_server_to_end_tcp_first(self, fake):
        """§7.1.1"""

        def script(server, sock):
            server.open(sock)
            sock.recv(65536)
            sock.sendall(goodbye())
            sock.settimeout(0.3)
            with pytest.raises(TimeoutError):
                sock.recv(1)  # no FIN yet
            server.waited = True

        server = fake(script)
        ws = connect(server.url, limits=Limits(linger_timeout=40))
        began = time.monotonic()
        ws.close()
        assert 0.25 < time.monotonic() - began < DEADLINE, "it waited on after the server's FIN"
        assert server.waited
        assert ws.closed.was_clean

    def test_a_server_that_never_ends_tcp_is_not_waited_for(self, fake):
        def script(server, sock):
            server.open(sock)
            sock.recv(65536)
            sock.sendall(goodbye())
            frames_until_end(sock)

        ws = connect(fake(script).url, limits=Limits(linger_timeout=0.1))
        ws.close()
        assert (ws.closed.was_clean, ws.ready_state) == (True, State.CLOSED)

    def test_a_server_that_does_not_read_makes_send_give_up(self, fake):
        stop = threading.Event()
        server = fake(lambda server, sock: (server.open(sock), stop.wait(DEADLINE)))
        ws = connect(server.url, limits=Limits(send_timeout=0.2, linger_timeout=0.1))
        with pytest.raises(ConnectionClosed, match=r"the peer has not read for 0\.2 s"):
            ws.send(bytes(50_000_000))
        with pytest.raises(ConnectionClosed, match=r"the peer has not read for 0\.2 s"):
            ws.recv(DEADLINE)
        stop.set()


class TestWebsocketsPackage:
    """Its threaded server."""

    @pytest.fixture
    def package(self):
        pytest.importorskip("websockets")
        from websockets.sync.server import serve

        with contextlib.ExitStack() as stack:

            def start(handler, **options):
                server = stack.enter_context(serve(handler, "127.0.0.1", 0, **options))
                thread = threading.Thread(target=server.serve_forever)
                thread.start()
                stack.callback(thread.join)
                stack.callback(server.shutdown)
                return f"ws://127.0.0.1:{server.socket.getsockname()[1]}/"

            yield start

    @staticmethod
    def echo(ws):
        for message in ws:
            if message == "please close":
                ws.close(4001, "as you wish")
            else:
                ws.send(message)

    @pytest.mark.parametrize("theirs", [None, "deflate"])
    @pytest.mark.parametrize("ours", [None, Compression(), Compression(window_bits=15, context_takeover=False)])
    def test_an_echo_of_every_length(self, package, ours, theirs):
        url = package(self.echo, compression=theirs, subprotocols=["chat"])
        with connect(url, compression=ours, subprotocols=["chat"]) as ws:
            assert bool(ws.extensions) is (ours is not None and theirs is not None)
            assert ws.protocol == "chat"
            for message in MESSAGES * 2:
                ws.send(message)
                assert ws.recv(DEADLINE) == message
            assert ws.ping(b"x") < DEADLINE
            ws.close(4000, "bye")
            assert (ws.closed.code, ws.closed.was_clean) == (4000, True)

    def test_its_close_its_fragments_and_its_pings(self, package):
        pongs = []

        def handler(ws):
            ws.send(["frag", "men", "ted"])
            pongs.append(ws.ping().wait(DEADLINE))
            self.echo(ws)

        with connect(package(handler)) as ws:
            assert ws.recv(DEADLINE) == "fragmented"
            ws.send("please close")
            with pytest.raises(ConnectionClosed, match="4001 'as you wish'"):
                ws.recv(DEADLINE)
        assert pongs == [True]

    def test_its_refusal(self, package):
        def refuse(connection, request):
            return connection.respond(401, "who are you?\n")

        with pytest.raises(HandshakeFailed, match=r"(?s)401 Unauthorized.*\| who are you\?.*Authorization"):
            connect(package(self.echo, process_request=refuse))


NODE_PROGRAM = """
const WebSocket = require('ws');
const fs = require('fs');
const [, compress, cert, key] = process.argv;
const options = {perMessageDeflate: compress === 'yes' && {threshold: 0}, handleProtocols: set => [...set][0] || false};
const server = (cert ? require('https') : require('http')).createServer(
  cert && {cert: fs.readFileSync(cert), key: fs.readFileSync(key)});
const wss = new WebSocket.Server({server, ...options});
wss.on('connection', ws => {
  ws.on('message', (data, binary) => {
    if (!binary && data.toString() === 'please close') ws.close(4001, 'as you wish');
    else if (!binary && data.toString() === 'please vanish') ws.terminate();
    else ws.send(data, {binary});
  });
  ws.on('close', (code, reason) => console.log(JSON.stringify([code, reason.toString()])));
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
"""


class TestNodeWs:
    """https://github.com/websockets/ws: npm install --prefix tests/node"""

    @pytest.fixture
    def node(self):
        require(found("node"), "node is not installed")
        folder = Path(os.environ.get("WSREF_NODE_MODULES") or Path(__file__).parent / "node" / "node_modules")
        require((folder / "ws").is_dir(), "Node's ws is not installed: npm install --prefix tests/node")
        with contextlib.ExitStack() as stack:

            def start(*arguments):
                child = subprocess.Popen(
                    ["node", "-e", NODE_PROGRAM, *arguments],
                    env={**os.environ, "NODE_PATH": str(folder)},
                    stdout=subprocess.PIPE,
                    text=True,
                )
                stack.enter_context(child)
                stack.callback(child.kill)
                return child, int(child.stdout.readline())

            yield start

    @pytest.mark.parametrize("compress", ["no", "yes"])
    def test_an_echo_of_every_length(self, node, compress):
        child, port = node(compress)
        with connect(f"ws://127.0.0.1:{port}/", subprotocols=["chat"]) as ws:
            assert bool(ws.extensions) is (compress == "yes")
            assert ws.protocol == "chat"
            for message in MESSAGES * 2:
                ws.send(message)
                assert ws.recv(DEADLINE) == message
            assert ws.ping(b"x") < DEADLINE
            ws.close(4000, "bye €")
            assert (ws.closed.code, ws.closed.was_clean) == (4000, True)
        assert json.loads(child.stdout.readline()) == [4000, "bye €"]

    def test_its_close_and_its_end(self, node):
        _, port = node("no")
        with connect(f"ws://127.0.0.1:{port}/") as ws:
            ws.send("please close")
            with pytest.raises(ConnectionClosed, match="4001 'as you wish'"):
                ws.recv(DEADLINE)
        with connect(f"ws://127.0.0.1:{port}/") as ws:
            ws.send("please vanish")
            with pytest.raises(ConnectionClosed, match="1006"):
                ws.recv(DEADLINE)

    def test_over_tls(self, node, certificate):
        _, port = node("yes", *certificate)
        context = ssl.create_default_context(cafile=certificate[0])
        with connect(f"wss://localhost:{port}/", ssl_context=context) as ws:
            for message in MESSAGES:
                ws.send(message)
                assert ws.recv(DEADLINE) == message


def test_it_is_a_public_name_and_a_function():
    import wsref.cli.connect  # a module named connect would hide the function, once imported

    assert wsref.connect is connect
