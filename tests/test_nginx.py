"""docs/howto/nginx: the configuration that the book shows, tried on the nginx that is installed."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import ssl
import subprocess
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import DEADLINE, found, free_port, require, wait_until
from rawclient import KEY, connected, upgrade

from wsref import ConnectionClosed, Echo, HandshakeFailed, Limits, WebSocketHandler, connect
from wsref.check import Level, grade, parse_target
from wsref.check.cases import select

pytestmark = pytest.mark.slow

FILES = Path(__file__).parents[1] / "docs" / "howto" / "nginx"


def with_ports(text: str, listens: int, behind: int) -> str:
    """The two ports that stand in the file, and nothing else, replaced."""
    text, once = re.subn(r"(?<=listen )8080(?=;)|(?<=listen )8443(?= ssl;)", str(listens), text)
    text, twice = re.subn(r"(?<=http://127\.0\.0\.1:)8765(?=;)", str(behind), text)
    assert (once, twice) == (1, 1)
    return text


Proxy = Callable[..., types.SimpleNamespace]


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Proxy]:
    """``proxy(server)`` starts nginx before a server; what comes has ``url`` and ``server_address``."""
    require(found("nginx"), "nginx is not installed")
    with contextlib.ExitStack() as stack:

        def start(
            server: object, site: str = "wsref.conf", change: Callable[[str], str] = lambda text: text
        ) -> types.SimpleNamespace:
            port, behind = stack.enter_context(free_port()), server.server_address[1]  # type: ignore[attr-defined]
            whole = (FILES / "nginx.conf").read_text()
            (tmp_path / "nginx.conf").write_text(whole.replace("include wsref.conf;", f"include {site};"))
            (tmp_path / site).write_text(change(with_ports((FILES / site).read_text(), port, behind)))
            directives = "daemon off;" + (" user root;" if os.geteuid() == 0 else "")
            log = stack.enter_context(open(tmp_path / "log", "w"))
            process = subprocess.Popen(
                ["nginx", "-p", f"{tmp_path}/", "-c", "nginx.conf", "-g", directives], stdout=log, stderr=log
            )
            stack.callback(process.wait, DEADLINE)
            stack.callback(process.terminate)

            def listens() -> bool:
                assert process.poll() is None, (tmp_path / "log").read_text()
                with contextlib.suppress(ConnectionRefusedError):
                    socket.create_connection(("127.0.0.1", port), DEADLINE).close()
                    return True
                return False

            wait_until(listens)
            scheme = "wss" if "tls" in site else "ws"
            return types.SimpleNamespace(server_address=("127.0.0.1", port), url=f"{scheme}://127.0.0.1:{port}")

        yield start


def asked(proxy: object, request: bytes) -> str:
    """What nginx answers: its head, and the body."""
    with connected(proxy, None) as client:
        client.send(request)
        head = client.head()
        length = re.search(r"(?im)^content-length: ([0-9]+)", head)
        return head + (client.take(int(length[1])).decode() if length else "")


def test_messages_of_any_size_pass_both_ways(serve, proxy):
    with connect(proxy(serve()).url) as ws:
        for message in ("hi", "", "é" * 70_000, b"\x00\xff", bytes(1_000_000)):
            ws.send(message)
            assert ws.recv(DEADLINE) == message
        assert ws.ping(timeout=DEADLINE) < DEADLINE


def test_a_close_passes_with_its_code_and_its_reason(serve, proxy, log):
    class Closing(WebSocketHandler):
        def on_message(self, message):
            self.close(4000, message)

    with connect(proxy(serve(Closing)).url) as ws:
        ws.send("enough")
        with pytest.raises(ConnectionClosed) as caught:
            ws.recv(DEADLINE)
    assert (caught.value.code, caught.value.reason) == (4000, "enough")


def test_compression_and_a_subprotocol_are_agreed_on_through_it(serve, proxy):
    from wsref import Compression

    class Chatty(Echo):
        subprotocols = ("chat",)

    with connect(proxy(serve(Chatty, compression=Compression())).url, subprotocols=["chat"]) as ws:
        assert ws.protocol == "chat" and str(ws.extensions).startswith("permessage-deflate")


def test_host_query_and_address_reach_the_handler(serve, proxy):
    class Mirror(WebSocketHandler):
        def on_open(self):
            self.send(f"{self.request.host} {self.request.target} {self.request.headers.get('X-Forwarded-For')}")

    front = proxy(serve(Mirror))
    with connect(f"{front.url}/a/b?c=d", headers={"X-Forwarded-For": "1.2.3.4"}) as ws:
        assert ws.recv(DEADLINE) == f"{front.url.removeprefix('ws://')} /a/b?c=d 127.0.0.1"


class TestWithoutAnUpgrade:
    """426 and refusals, as they come out of nginx."""

    def test_a_plain_request_gets_426_with_upgrade(self, serve, proxy):
        front = proxy(serve())
        answer = asked(front, b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % front.url.removeprefix("ws://").encode())
        assert answer.startswith("HTTP/1.1 426 ")
        assert "\r\nUpgrade: websocket\r\n" in answer  # RFC 9110 §15.5.22: MUST; nginx lets it pass
        assert f'new WebSocket("{front.url}/")' in answer

    def test_a_browser_gets_the_page(self, serve, proxy):
        server = serve()
        answer = asked(proxy(server), b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n\r\n")
        assert answer.startswith("HTTP/1.1 426 ")
        assert answer.encode().endswith(server.page)

    def test_a_refusal_keeps_its_reasons(self, serve, proxy):
        answer = asked(proxy(serve()), upgrade(Sec_WebSocket_Version="7", Sec_WebSocket_Key=KEY))
        assert answer.startswith("HTTP/1.1 400 ")
        assert "\r\nSec-WebSocket-Version: 13, 8\r\n" in answer and "received '7'" in answer


class TestOrigin:
    """RFC 6455 §10.2, with a name that nginx passes on."""

    def test_a_page_of_the_proxy_itself_on_loopback(self, serve, proxy):
        front = proxy(serve())
        connect(front.url, origin=front.url.replace("ws", "http")).close()

    def test_a_page_of_the_sites_name_must_be_allowed(self, serve, proxy):
        front = proxy(serve())
        assert asked(front, upgrade(Host="example.com", Origin="http://example.com")).startswith("HTTP/1.1 403 ")

    @pytest.mark.parametrize("origin, status", [("https://example.com", 101), ("https://evil.example", 403)])
    def test_and_then_it_is_and_no_other_one(self, serve, proxy, origin, status):
        front = proxy(serve(allowed_origins=["https://example.com"]))
        answer = asked(front, upgrade(Host="example.com", Origin=origin))
        assert answer.startswith(f"HTTP/1.1 {status} ")


class TestSilence:
    """proxy_read_timeout, and the server's pings."""

    @staticmethod
    def impatient(text: str) -> str:
        assert "proxy_read_timeout 60s;" in text
        return text.replace("proxy_read_timeout 60s;", "proxy_read_timeout 2s;")

    def test_the_server_pings_before_nginx_runs_out_of_patience(self):
        text = (FILES / "wsref.conf").read_text()
        assert Limits().ping_interval * 2 < int(re.search(r"proxy_read_timeout ([0-9]+)s", text)[1])

    def test_pings_keep_a_silent_connection_open(self, serve, proxy):
        server = serve(limits=Limits(ping_interval=0.2, shutdown_timeout=0.5))
        with connect(proxy(server, change=self.impatient).url) as ws:
            with pytest.raises(TimeoutError):
                ws.recv(5)  # more than twice nginx's patience
            ws.send("still here")
            assert ws.recv(DEADLINE) == "still here"

    def test_without_them_nginx_cuts_it(self, serve, proxy):
        server = serve(limits=Limits(ping_interval=60, shutdown_timeout=0.5))
        with connect(proxy(server, change=self.impatient).url, limits=Limits(ping_interval=60)) as ws:
            began = time.monotonic()
            with pytest.raises(ConnectionClosed) as caught:
                ws.recv(DEADLINE)
        assert caught.value.code == 1006
        assert time.monotonic() - began > 0.3


@pytest.mark.parametrize("line", ["proxy_http_version 1.1;", "proxy_set_header Upgrade $http_upgrade;"])
def test_without_a_line_of_it_an_upgrade_gets_426(serve, proxy, line):
    """So each of them is needed; and the client says what may be wrong."""

    def without(text: str) -> str:
        assert line in text
        return text.replace(line, "proxy_http_version 1.0;" if "version" in line else "")  # the default up to 1.29.6

    with pytest.raises(HandshakeFailed, match="a proxy before it may have removed it") as caught:
        connect(proxy(serve(), change=without).url)
    assert caught.value.status == 426


def test_a_grade_through_it_has_failures_of_its_own(serve, proxy):
    report = grade(parse_target(proxy(serve()).url), select(only=["2", "3", "4", "5"]))
    failed = {verdict.case.id for verdict in report.failed if verdict.case.level is Level.MUST}
    assert {"2.connection.missing", "2.http-1-0.upgrade"} <= failed
    assert {name.partition(".")[0] for name in failed} <= {"2", "5"}


def test_with_tls_at_nginx(serve, proxy, tmp_path, certificate):
    for file, name in zip(certificate, ("cert.pem", "key.pem"), strict=True):
        shutil.copy(file, tmp_path / name)
    front = proxy(serve(allowed_origins=["https://example.com"]), site="wsref-tls.conf")
    context = ssl.create_default_context(cafile=certificate[0])
    with connect(front.url, ssl_context=context, origin="https://example.com") as ws:
        ws.send("hi")
        assert ws.recv(DEADLINE) == "hi"


def test_the_file_with_tls_differs_in_nothing_else():
    def lines(name: str) -> set[str]:
        return {line.strip() for line in (FILES / name).read_text().splitlines() if line.strip() and "#" not in line}

    assert lines("wsref.conf") ^ lines("wsref-tls.conf") == {
        "listen 8080;",
        "listen 8443 ssl;",
        "ssl_certificate     cert.pem;",
        "ssl_certificate_key key.pem;",
    }
