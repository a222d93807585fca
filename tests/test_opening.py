"""Chapters 1 to 5 and 11 over real sockets: from the first byte to the 101, or to a refusal."""

from __future__ import annotations

import re
import socket
import time

import pytest
from conftest import DEADLINE, wait_until
from rawclient import ACCEPT, KEY, TEXT, connected, frame, text, upgrade

from wsref import Echo, HTTPError, Limits, WebSocketHandler, WebSocketServer
from wsref.apps.demo import Demo
from wsref.protocol.http11 import Request, parse_response


def ask(server, request: bytes) -> tuple[int, str, str]:
    """Send this, read to the end: status, head and body; the head parses strictly."""
    with connected(server, None) as client:
        client.send(request)
        data = client.rest()
    response, end = parse_response(data)
    body = data[end:]
    assert int(response.headers.get("Content-Length")) == len(body)
    return response.status, data[:end].decode(), body.decode()


class TestAnHTTPBase:
    """Chapter 1; RFC 9112."""

    @pytest.mark.parametrize(
        ("request_", "status", "words"),
        [
            (b"garbage\n", 400, "bare LF"),
            (b"garbage\r\n", 400, "METHOD SP TARGET SP HTTP/1.1"),
            (b"\x00\x01\x02", 400, "first line"),
            (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400, "blank before the colon"),
            (b"GET / HTTP/1.1\r\n\r\n", 400, "Host"),
            (b"GET / HTTP/2.0\r\n\r\n", 505, "HTTP/2.0"),
            (b"GET /" + b"a" * 9000, 414, "8192"),
            (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 20000, 431, "16384"),
            (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 100 + b"\r\n", 431, "101 header lines"),
        ],
    )
    def test_a_bad_head_is_answered_at_once_and_told_why(self, serve, request_, status, words):
        got, _, body = ask(serve(), request_)
        assert got == status
        assert words in body

    def test_a_head_that_comes_byte_by_byte_is_taken(self, serve):
        with connected(serve(), None) as client:
            client.dribble(upgrade())
            assert client.head().startswith("HTTP/1.1 101 Switching Protocols\r\n")

    def test_bytes_after_the_head_belong_to_the_websocket(self, serve):
        with connected(serve(), None) as client:
            client.send(upgrade() + text("early") + text("bird"))
            assert " 101 " in client.head()
            assert client.frame() == (TEXT, b"early")
            assert client.frame() == (TEXT, b"bird")

    def test_an_incomplete_head_gets_408_after_the_deadline_for_all_of_it(self, serve):
        server = serve(limits=Limits(head_timeout=0.4))
        began = time.monotonic()
        with connected(server, None) as client:
            client.send(b"GET / HTTP/1.1\r\nX: ")
            client.socket.settimeout(0.05)
            while not client.buffer:  # each byte comes well within the deadline; all of it does not
                client.send(b"x")
                try:
                    client.more()
                except TimeoutError:
                    assert time.monotonic() - began < DEADLINE
            client.socket.settimeout(DEADLINE)
            assert b"HTTP/1.1 408 " in client.buffer + client.rest()

    def test_a_client_that_says_nothing_gets_408_too(self, serve):
        with connected(serve(limits=Limits(head_timeout=0.1)), None) as client:
            assert client.rest().startswith(b"HTTP/1.1 408 Request Timeout\r\n")

    def test_a_head_that_ends_too_early_gets_400(self, serve):
        with connected(serve(), None) as client:
            client.send(b"GET / HT")
            client.socket.shutdown(socket.SHUT_WR)
            assert b"ended after 8 bytes" in client.rest()

    def test_a_connection_without_a_byte_is_closed_without_a_word(self, serve):
        with connected(serve(), None) as client:
            client.socket.shutdown(socket.SHUT_WR)
            assert client.rest() == b""

    @pytest.mark.parametrize(
        ("first", "words"),
        [(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "TLS"), (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/2")],
    )
    def test_another_protocol_is_hung_up_on_with_a_word_in_the_log(self, serve, log, first, words):
        with connected(serve(), None) as client:
            client.send(first)
            assert client.rest() == b""
        assert words in log.text

    def test_a_refusal_arrives_though_the_client_sends_a_body_meanwhile(self, serve):
        server = serve()
        head = b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 600000\r\n\r\n"
        for _ in range(20):
            status, _, body = ask(server, head + bytes(600_000))
            assert status == 426
            assert body.startswith("426 Upgrade Required")

    def test_a_second_request_on_the_connection_is_not_answered(self, serve):
        with connected(serve(), None) as client:
            client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 2)
            assert client.rest().count(b"HTTP/1.1") == 1


class TestUpgradeDetectionAndFallback:
    """Chapters 2 and 5; RFC 9110 §7.8, §15.5.22."""

    @pytest.mark.parametrize(
        "request_",
        [
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            upgrade(Connection="keep-alive"),
            upgrade(Connection=None),
            upgrade(Upgrade=None),
            upgrade().replace(b"HTTP/1.1", b"HTTP/1.0"),
        ],
    )
    def test_who_is_not_here_to_upgrade_gets_426_with_upgrade(self, serve, request_):
        status, head, body = ask(serve(), request_)
        assert status == 426
        assert "\r\nUpgrade: websocket\r\n" in head
        assert re.search(r"\r\nConnection: Upgrade, close\r\n", head)
        assert 'new WebSocket("ws://' in body

    def test_what_the_426_invites_to_paste_into_a_console_is_harmless(self, serve):
        request = b'GET /");alert(1)// HTTP/1.1\r\nHost: x\r\n\r\n'
        assert 'new WebSocket("ws://x/")' in ask(serve(), request)[2]

    def test_a_browser_gets_the_page_as_the_body(self, serve):
        status, head, body = ask(serve(), b"GET / HTTP/1.1\r\nHost: x\r\nAccept: text/html,*/*;q=0.8\r\n\r\n")
        assert status == 426
        assert "Content-Type: text/html; charset=utf-8" in head
        assert body.lstrip().lower().startswith("<!doctype html>")

    def test_head_gets_the_head_alone(self, serve):
        with connected(serve(), None) as client:
            client.send(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = client.rest()
            assert answer.startswith(b"HTTP/1.1 426 ")
            assert answer.endswith(b"\r\n\r\n")

    def test_firefox_is_understood(self, serve):
        with connected(serve(), None) as client:
            client.open(Connection="keep-alive, Upgrade")


class TestValidation:
    """Chapter 3; RFC 6455 §4.2.1."""

    def test_every_broken_rule_is_named_in_the_body_and_in_the_log(self, serve, log):
        request = upgrade(Upgrade="h2c", Sec_WebSocket_Key="short", Sec_WebSocket_Version="7")
        status, head, body = ask(serve(), request.replace(b"GET", b"POST"))
        assert status == 400
        for words in (
            "GET; received 'POST'",
            "websocket; received 'h2c'",
            "received 'short'",
            "13 or 8; received '7'",
            "RFC 6455 §4.2.1",
        ):
            assert words in body
            assert words in log.text
        assert "\r\nSec-WebSocket-Version: 13, 8\r\n" in head

    @pytest.mark.parametrize("header", [{"Content_Length": "5"}, {"Transfer_Encoding": "chunked"}])
    def test_a_body_is_refused_lest_it_be_taken_for_frames(self, serve, header):
        status, _, body = ask(serve(), upgrade(**header) + b"hello")
        assert status == 400
        assert "no body" in body

    def test_101_headers_with_upgrade_last_get_431_and_the_server_lives(self, serve):
        # CVE-2024-37890: the header that counted was dropped with those over the limit
        server = serve()
        lines = b"X: y\r\n" * 98
        request = upgrade(Upgrade=None)[:-2] + lines + b"Upgrade: websocket\r\n\r\n"
        assert ask(server, request)[0] == 431
        with connected(server):
            pass

    def test_an_unknown_path_gets_404_and_the_ones_there_are(self, serve):
        server = serve(Demo)
        for request in (upgrade("/nowhere"), b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n"):
            status, _, body = ask(server, request)
            assert status == 404
            assert "/, /echo, /chat" in body


class TestCompleteUpgrade:
    """Chapter 4; RFC 6455 §4.2.2."""

    def test_the_101_is_these_bytes(self, serve):
        with connected(serve(), None) as client:
            client.send(upgrade(Sec_WebSocket_Key=KEY))
            assert client.head() == (
                "HTTP/1.1 101 Switching Protocols\r\n"
                "Upgrade: websocket\r\n"
                "Connection: Upgrade\r\n"
                f"Sec-WebSocket-Accept: {ACCEPT}"
            )

    def test_version_8_is_taken(self, serve):
        with connected(serve(), None) as client:
            client.open(Sec_WebSocket_Version="8")

    def test_the_servers_favourite_of_the_subprotocols_is_chosen(self, serve):
        class Handler(Echo):
            subprotocols = ("superchat", "chat")

            def on_open(self):
                self.send(f"{self.subprotocol}")

        server = serve(Handler)
        with connected(server, None) as client:
            assert client.open(Sec_WebSocket_Protocol="chat, superchat").endswith("Sec-WebSocket-Protocol: superchat")
            assert client.frame() == (TEXT, b"superchat")
        with connected(server, None) as client:
            assert "Protocol:" not in client.open(Sec_WebSocket_Protocol="soap")
            assert client.frame() == (TEXT, b"None")

    def test_on_open_may_send_before_the_client_says_a_thing(self, serve):
        class Handler(Echo):
            def on_open(self):
                self.send("welcome")

        with connected(serve(Handler)) as client:
            assert client.frame() == (TEXT, b"welcome")

    def test_a_handler_may_refuse_with_a_status_of_its_own(self, serve):
        class Handler(Echo):
            def check_request(self, request: Request) -> None:
                if request.headers.get("Cookie") != "token=42":
                    raise HTTPError(401, "who are you?", headers=(("WWW-Authenticate", "Cookie"),))

        server = serve(Handler)
        status, head, body = ask(server, upgrade())
        assert status == 401
        assert "WWW-Authenticate: Cookie" in head
        assert "who are you?" in body
        with connected(server, None) as client:
            client.open(Cookie="token=42")


class TestOrigin:
    """Chapter 11; RFC 6455 §10.2."""

    @pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1.evil.example"])
    def test_a_page_from_elsewhere_gets_403_and_the_flag_that_would_let_it_in(self, serve, origin, log):
        status, _, body = ask(serve(), upgrade(Origin=origin))
        assert status == 403
        for words in (f"'{origin}'", f"--allow-origin {origin}"):
            assert words in body
            assert words in log.text

    @pytest.mark.parametrize("origin", ["http://127.0.0.1:3000", "http://localhost:5173", "http://[::1]"])
    def test_a_learners_own_page_on_another_port_of_loopback_may_come(self, serve, origin):
        with connected(serve(), None) as client:
            client.open(Origin=origin)

    def test_a_name_that_was_made_to_point_here_may_not(self, serve):
        assert ask(serve(), upgrade(Host="evil.example:80", Origin="http://evil.example"))[0] == 403

    def test_one_origin_alone_is_no_list(self):
        with pytest.raises(TypeError):
            WebSocketServer(("127.0.0.1", 0), Echo, allowed_origins="https://good.com")

    def test_an_allowed_origin_may_come(self, serve):
        with connected(serve(allowed_origins=["https://example.com", "null"]), None) as client:
            client.open(Origin="null")

    def test_version_8_names_it_otherwise(self, serve):
        request = upgrade(Sec_WebSocket_Version="8", Sec_WebSocket_Origin="https://evil.example")
        assert ask(serve(), request)[0] == 403


class TestFull:
    """more connections than there may be."""

    def test_the_one_too_many_gets_503_with_retry_after_and_the_next_a_place(self, serve):
        server = serve(limits=Limits(max_connections=2))
        with connected(server) as first, connected(server):
            status, head, body = ask(server, upgrade())
            assert status == 503
            assert "\r\nRetry-After: 5\r\n" in head
            assert "at most 2 are served" in body
            first.send(frame(8, b"\x03\xe8"))
            assert first.closed()[0] == 1000
            wait_until(lambda: len(server._connection_threads) < 2)
            with connected(server):
                pass
        counts = server.counts
        wait_until(lambda: counts.accepted == counts.refused + counts.opened and counts.opened == counts.closed)

    def test_a_thread_that_cannot_start_is_a_503_and_not_the_end(self, serve, monkeypatch):
        server = serve()
        import threading

        start = threading.Thread.start

        def refuse(thread):
            if thread.name.startswith("wsref 127"):
                raise RuntimeError("can't start new thread")
            start(thread)

        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            assert ask(server, upgrade())[0] == 503
        with connected(server):
            pass

    def test_one_silent_client_does_not_stop_others(self, serve):
        server = serve()
        with connected(server, None), connected(server) as client:
            client.send(text("hi"))
            assert client.frame() == (TEXT, b"hi")


def test_every_step_of_handle_is_named_as_in_the_article():
    for name in ("_read_request", "_wants_upgrade", "_validate", "_abort_handshake", "_complete_upgrade", "_fallback"):
        assert callable(getattr(WebSocketHandler, name))
