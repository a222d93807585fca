"""Chapter 10: the server without clients: its registry, its threads and its clock, one call at a time."""

from __future__ import annotations

import errno
import os
import socket
import socketserver
import ssl
import threading
from types import SimpleNamespace

import pytest

from wsref import Echo, Limits, WebSocketServer
from wsref.network import server as module
from wsref.network.server import Counts, name_of
from wsref.protocol.errors import ConnectionClosed


class Member:
    """What the server needs of a handler."""

    def __init__(self, name="1.2.3.4:5", can_send=True, sends=True):
        self._name, self._channel = name, SimpleNamespace(can_send=can_send, abort_if_unanswered=self._look)
        self.sends, self.wires, self.calls = sends, [], []

    def _look(self):
        self.calls.append("look")

    def _send_nowait(self, wire):
        self.wires.append(wire)
        if isinstance(self.sends, Exception):
            raise self.sends
        return self.sends

    def _go_away(self):
        self.calls.append("go away")

    def _abort(self, why):
        self.calls.append(why)


@pytest.fixture
def server():
    with WebSocketServer(("127.0.0.1", 0), Echo, limits=Limits(shutdown_timeout=0.01)) as server:
        yield server
        server._handlers.clear()


@pytest.fixture
def clock(monkeypatch):
    """The module's clock, which the test sets, and the seconds of each sleep."""
    clock = SimpleNamespace(now=100.0, slept=[])
    clock.monotonic, clock.sleep = lambda: clock.now, clock.slept.append
    monkeypatch.setattr(module, "time", clock)
    return clock


class TestArguments:
    """What a server is made of"""

    def test_the_settings_for_socketserver(self):
        assert WebSocketServer.allow_reuse_address is (os.name == "posix")
        assert WebSocketServer.daemon_threads
        assert WebSocketServer.request_queue_size == 1024

    @pytest.mark.parametrize("port", [0, 1, 65535])
    def test_every_port_is_bound_as_given(self, port, monkeypatch):
        monkeypatch.setattr(socketserver.TCPServer, "__init__", lambda self, address, handler: self.made(address))
        monkeypatch.setattr(
            WebSocketServer, "made", lambda self, address: setattr(self, "server_address", address), raising=False
        )
        for address in (("127.0.0.1", port), ["127.0.0.1", port], ("127.0.0.1", port, "more", "of it")):
            server = WebSocketServer(address, Echo)
            server._backlog_writer.stop()
            assert server.server_address == ("127.0.0.1", port)
            assert server.address_family == socket.AF_INET

    @pytest.mark.parametrize("port", [-1, 65536, "80", None, 80.0])
    def test_no_other_port_is_taken(self, port):
        with pytest.raises(ValueError, match=r"^the port is a number from 0 to 65535, not "):
            WebSocketServer(("127.0.0.1", port), Echo)

    def test_an_ipv6_address_is_one_of_four(self):
        if not socket.has_ipv6:
            pytest.skip("no IPv6")
        try:
            server = WebSocketServer(("::1", 0, 0, 0), Echo)
        except OSError:
            pytest.skip("no IPv6")
        with server:
            assert server.url == f"ws://[::1]:{server.server_address[1]}"
            assert server.is_loopback

    def test_of_several_addresses_the_first_is_bound(self, monkeypatch):
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, 0)) for host in ("127.0.0.1", "192.0.2.1")]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        with WebSocketServer(("a.example", 0), Echo) as server:
            assert server.server_address[0] == "127.0.0.1"

    def test_the_page_is_wsref_s_own_or_the_given_one(self):
        for page, expected in ((None, module.PAGE.read_bytes()), (b"", b""), (b"<p>", b"<p>")):
            with WebSocketServer(("127.0.0.1", 0), Echo, page=page) as server:
                assert server.page == expected

    def test_all_origins_and_single_ones(self):
        with WebSocketServer(("127.0.0.1", 0), Echo, allowed_origins=["*", "https://a.example"]) as server:
            assert server.allowed_origins == {"*", "https://a.example"}

    @pytest.mark.parametrize("origin", ["", "!", "**", "a.example", "https://a.example/"])
    def test_a_text_that_is_no_origin_is_refused(self, origin):
        with pytest.raises(ValueError, match=r"^allowed_origins: .* is not an origin"):
            WebSocketServer(("127.0.0.1", 0), Echo, allowed_origins=["https://a.example", origin])

    def test_the_url_says_whether_it_is_tls(self):
        for context, scheme in ((None, "ws"), (ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), "wss")):
            with WebSocketServer(("127.0.0.1", 0), Echo, ssl_context=context) as server:
                assert server.url == f"{scheme}://127.0.0.1:{server.server_address[1]}"

    @pytest.mark.parametrize(
        ("address", "name"),
        [
            (("127.0.0.1", 80), "127.0.0.1:80"),
            (("::1", 80), "[::1]:80"),
            (("::1", 80, 0, 0), "[::1]:80"),
            (("::1", 80, 5), "[::1]:80"),
            (("fe80::1", 80, 5, 1), "[fe80::1%1]:80"),
            (("fe80::1%eth0", 80, 5, 1), "[fe80::1%eth0]:80"),
        ],
    )
    def test_a_name_in_the_log(self, address, name):
        assert name_of(address) == name


class TestRegistry:
    """The connections, and what became of them"""

    def test_counts(self, server):
        assert server.counts == Counts(0, 0, 0, 0)
        server._count(refused=2)
        server._count(opened=3)
        server._count(closed=1)
        assert server.counts == Counts(accepted=0, refused=2, opened=3, closed=1)

    def test_a_handler_is_known_while_it_is_open(self, server):
        member = Member()
        server._register(member)
        assert server.handlers == ()
        server._mark_open(member)
        assert server.handlers == (member,)
        for _ in range(2):
            server._mark_closed(member)
            assert (server.handlers, server._handlers) == ((), {member})
        for _ in range(2):
            server._unregister(member)
            assert server._handlers == set()
        assert member.calls == []

    def test_one_that_comes_while_the_server_ends_is_sent_away(self, server):
        member = Member()
        server._is_closing = True
        server._register(member)
        assert member.calls == ["go away"]

    def test_a_broadcast_says_what_became_of_each(self, server):
        sent, kept, dropped = Member(), Member(sends=False), Member(sends=ConnectionClosed("gone"))
        closing, early = Member(can_send=False), Member()
        early._channel = None
        for member in (sent, kept, dropped, closing, early):
            server._mark_open(member)
        delivery = server.broadcast("hi")
        assert (delivery.sent, delivery.kept, delivery.dropped) == ([sent], [kept], [dropped])
        assert sent.wires == kept.wires == dropped.wires == [b"\x81\x02hi"]
        assert closing.wires == early.wires == []
        with pytest.raises(AttributeError):
            delivery.sent = []
        assert server.broadcast(b"", to=iter([kept])).kept == [kept]
        assert kept.wires[1:] == [b"\x82\x00"]

    def test_nothing_is_broadcast_to_a_handler_twice_at_once(self, server):
        member = Member()
        member._send_nowait = lambda wire: server._broadcasting.locked()
        assert server.broadcast("hi", to=[member]).sent == [member]
        assert not server._broadcasting.locked()


class TestAccepting:
    """What socketserver calls"""

    def test_connections_whose_time_is_over_are_looked_for_every_50_ms(self, server, clock, monkeypatch):
        member, early, finished = Member(), Member(), []
        early._channel = None
        server._handlers |= {member, early}
        monkeypatch.setattr(server._refused, "close_finished", lambda: finished.append(clock.now))
        for clock.now in (0.049, 0.05, 0.099, 0.125):
            server.service_actions()
        assert finished == [0.05, 0.125]
        assert member.calls == ["look"] * 2

    @pytest.mark.parametrize("number", ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"])
    def test_without_resources_it_backs_off_and_says_so_once_a_second(self, server, clock, log, monkeypatch, number):
        def fails(self):
            raise OSError(getattr(errno, number), "none left")

        monkeypatch.setattr(socketserver.TCPServer, "get_request", fails)
        for clock.now in (100.0, 100.5, 101.0, 101.25, 102.0):
            with pytest.raises(OSError, match="none left"):
                server.get_request()
        assert clock.slept == [0.05] * 5
        assert [record.message for record in log.records] == ["cannot accept connections: none left; they wait"] * 2
        assert server._reported == 101.25

    def test_another_error_is_socketserver_s(self, server, clock, log, monkeypatch):
        def fails(self):
            raise OSError(errno.ECONNABORTED, "the client has gone")

        monkeypatch.setattr(socketserver.TCPServer, "get_request", fails)
        with pytest.raises(OSError, match="the client has gone"):
            server.get_request()
        assert (clock.slept, log.records) == ([], [])

    @pytest.mark.parametrize("free", [True, False])
    def test_a_connection_gets_its_thread_or_is_refused(self, server, monkeypatch, free):
        began, refused, served = [], [], []
        monkeypatch.setattr(server._connection_threads, "start", lambda *each: began.append(each) or free)
        monkeypatch.setattr(server, "_refuse", lambda *each: refused.append(each))
        monkeypatch.setattr(server, "process_request_thread", lambda *each: served.append(each))
        server.process_request("socket", ("1.2.3.4", 5))
        ((name, work),) = began
        work()
        assert (name, served, server.counts.accepted) == ("wsref 1.2.3.4:5", [("socket", ("1.2.3.4", 5))], 1)
        assert refused == ([] if free else [("socket", ("1.2.3.4", 5))])

    @pytest.mark.parametrize("tls", [False, True])
    def test_a_refusal_is_a_503_and_a_line_a_second(self, server, log, monkeypatch, tls):
        answers, before = [], [0, None, 2]
        monkeypatch.setattr(
            server._refused, "add", lambda sock, answer: answers.append((sock, answer)) or before.pop(0)
        )
        server._ssl_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if tls else None
        for _ in range(3):
            server._refuse("socket", ("1.2.3.4", 5))
        assert (server.counts.refused, server.counts.opened, server.counts.closed) == (3, 0, 0)
        sock, answer = answers[0]
        assert sock == "socket"
        if tls:
            assert answer == b""
        else:
            head, _, body = answer.decode().partition("\r\n\r\n")
            assert head.startswith("HTTP/1.1 503 ")
            assert "\r\nRetry-After: 5\r\n" in head
            assert f"at most {server.limits.max_connections} are served" in body
        first, second = (record.getMessage() for record in log.records)
        assert first.startswith("1.2.3.4:5 503: no thread is free")
        assert "since the last" not in first
        assert second == first + "; 2 more since the last such line"

    def test_an_error_that_no_handler_expected_is_logged(self, server, log):
        try:
            raise KeyError("bug")
        except KeyError:
            server.handle_error("socket", ("1.2.3.4", 5))
        assert "1.2.3.4:5: unexpected" in log.text
        assert "KeyError: 'bug'" in log.text

    @pytest.mark.parametrize("fails", [False, True])
    def test_a_tap_is_made_for_each_connection(self, server, log, fails):
        asked = []

        def tap(transport, name):
            asked.append((transport, name))
            return 1 / 0 if fails else print

        server.tap = tap
        with socket.create_connection(server.server_address) as client:
            transport = server._make_transport(client, ("1.2.3.4", 5))
            assert asked == [(transport, "1.2.3.4:5")]
            assert transport.limits is server.limits
            assert (transport.tap is print) is not fails
        assert ("no tap could be made" in log.text) is fails


class TestTheEnd:
    """1001 to every client, and a bounded time for their answers"""

    @pytest.fixture
    def threads(self, server, monkeypatch):
        """What each wait for the threads of connections finds, and how long it was to be."""
        threads = SimpleNamespace(found=[], waited=[])
        monkeypatch.setattr(
            server._connection_threads, "wait", lambda seconds: threads.waited.append(seconds) or threads.found.pop(0)
        )
        yield threads
        threads.found = [True]

    def test_when_all_clients_answer_nothing_is_aborted(self, server, threads, log):
        member = Member()
        server._register(member)
        threads.found = [True]
        server.server_close()
        assert (threads.waited, member.calls, log.records) == ([0.01], ["go away"], [])
        assert server.socket.fileno() == -1

    def test_one_that_fails_does_not_keep_the_close_from_the_others(self, server, threads, log):
        members = [Member(f"1.2.3.4:{n}") for n in range(3)]
        for member in members:
            server._register(member)
        members[1]._go_away = lambda: 1 / 0
        threads.found = [True]
        server.server_close()
        assert [member.calls for member in members] == [["go away"], [], ["go away"]]
        assert "1.2.3.4:1: unexpected" in log.text

    @pytest.mark.parametrize("late", [False, True])
    def test_those_that_do_not_answer_are_aborted_and_named(self, server, threads, log, late):
        members = [Member(f"1.2.3.4:{n:02}") for n in range(12)]
        for member in members:
            server._register(member)
        threads.found = [False, not late]
        server.server_close()
        assert threads.waited == [0.01, 0.25]
        assert all(member.calls == ["go away", "the server has ended"] for member in members)
        first, *more = [record.getMessage() for record in log.records]
        assert first == "not all clients answered Close 1001 in time: aborting 12"
        names = ", ".join(f"1.2.3.4:{n:02}" for n in range(10))
        assert more == ([f"hooks that still run: 0 ({names})"] if late else [])

    def test_its_other_threads_and_sockets_end_with_it(self, server, threads, monkeypatch):
        ended = []
        for name, method in (("_connection_threads", "end"), ("_backlog_writer", "stop"), ("_refused", "close_all")):
            original = getattr(getattr(server, name), method)
            monkeypatch.setattr(getattr(server, name), method, lambda o=original, n=name: ended.append(n) or o())
        threads.found = [True]
        server.server_close()
        assert ended == ["_connection_threads", "_backlog_writer", "_refused"]

    def test_start_serves_in_a_thread_that_looks_at_the_clock_often(self, server, monkeypatch):
        served = []
        monkeypatch.setattr(server, "serve_forever", lambda interval: served.append(interval))
        assert server.start() is server
        thread = server._background
        thread.join()
        assert (thread.name, thread.daemon, served) == ("wsref accepts", True, [0.02])
        with pytest.raises(RuntimeError, match="running already"):
            server.start()

    def test_where_no_thread_can_be_started_it_can_be_stopped_all_the_same(self, server, monkeypatch):
        def no_thread(thread):
            raise RuntimeError("can't start new thread")

        with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="new thread"):
            patch.setattr(threading.Thread, "start", no_thread)
            server.start()
        server.stop()

    def test_while_another_thread_serves_start_is_an_error(self, server):
        server._serving = 1
        with pytest.raises(RuntimeError, match="running already"):
            server.start()
        server._serving = None

    def test_serving_is_known_until_it_ends_even_by_an_error(self, server, monkeypatch):
        seen = []

        def serve_forever(self, interval):
            seen.append((interval, self._serving == threading.get_ident(), self._stopped.is_set()))
            raise KeyboardInterrupt

        monkeypatch.setattr(socketserver.BaseServer, "serve_forever", serve_forever)
        with pytest.raises(KeyboardInterrupt):
            server.serve_forever()
        assert seen == [(0.1, True, False)]
        assert (server._serving, server._stopped.is_set()) == (None, True)

    def test_a_server_that_was_stopped_does_not_serve(self, server, monkeypatch):
        monkeypatch.setattr(socketserver.BaseServer, "serve_forever", lambda *_: 1 / 0)
        server.stop()
        assert server.serve_forever() is None

    def test_what_begins_to_serve_while_the_server_is_stopped_does_not_serve(self, server, monkeypatch):
        monkeypatch.setattr(socketserver.BaseServer, "serve_forever", lambda *_: 1 / 0)
        began = []
        monkeypatch.setattr(server, "shutdown", lambda: began.append(server.serve_forever()))
        server.stop()
        assert began == [None]

    def test_stop_waits_5_seconds_for_its_thread_but_not_for_itself(self, server):
        joined = []
        server._background = SimpleNamespace(join=joined.append)
        server.stop()
        assert joined == [5]
        server._background = threading.current_thread()
        server.stop()
        server._background = None
