"""Chapters 1 to 11: one handler without a server: its reads, its answers, its hooks and its lines of the log."""

from __future__ import annotations

import contextlib
import logging
import threading
from types import SimpleNamespace

import pytest
from rawclient import PING, PONG, TEXT, close, frame, text, upgrade

from wsref import Compression, ConnectionClosed, Echo, HTTPError, Limits, Request, State, WebSocketHandler
from wsref.network import handler as module
from wsref.protocol.connection import Closed
from wsref.protocol.errors import ProtocolError
from wsref.protocol.http11 import Headers, parse_head


class Transport:
    """It gives the pieces that a test has prepared, and keeps the bytes that are sent."""

    def __init__(self, limits):
        self.limits, self.write_lock = limits, threading.Lock()
        self.pieces, self.reads, self.sent, self.calls = [], [], b"", []
        self.secure, self.received_any, self.abort_reason, self.aborted_locally = False, False, "", False
        self.last_sent, self.nowait = False, True

    def handshake(self, deadline):
        self.calls.append(("handshake", deadline))

    def receive(self, size, timeout):
        self.reads.append((size, timeout))
        piece = self.pieces.pop(0)
        return piece() if callable(piece) else piece

    def send(self, data, more=b"", *, last=False):
        assert self.write_lock.locked()
        if self.abort_reason or self.last_sent:
            raise ConnectionClosed(self.abort_reason or "a Close has been sent")
        self.sent += data + more
        self.last_sent = last

    def send_nowait(self, data, *, last=False):
        self.sent += data
        return self.nowait

    def drain(self):
        pass

    def abort(self, why, *, reset=False):
        self.abort_reason, self.aborted_locally = self.abort_reason or why, True

    def close_gracefully(self, timeout):
        self.calls.append(("close", timeout))


class Server:
    """It writes down what a handler tells it."""

    def __init__(self, limits, transport):
        self.limits, self.transport, self.calls = limits, transport, []
        self.compression, self.page, self.host_and_port = None, b"<p>", "127.0.0.1:8765"
        self.allowed_origins, self.is_loopback, self._is_closing = frozenset(), True, False
        self._backlog_writer = self

    def _make_transport(self, sock, address):
        if isinstance(sock, Exception):
            raise sock
        return self.transport

    def _count(self, **counts):
        self.calls.append(counts)

    def start_batch(self, transport):
        self.calls.append("start_batch")
        return True

    def __getattr__(self, name):
        return lambda handler: self.calls.append(name)


@pytest.fixture
def make():
    """``make(Handler, **attributes of the server)``: a handler, its transport and its server."""

    def make(kind=Echo, *, limits=Limits(), **attributes):
        handler = object.__new__(kind)
        transport = Transport(limits)
        handler.client_address = ("1.2.3.4", 5)
        handler.server = Server(limits, transport)
        handler.server.__dict__.update(attributes)
        return handler, transport, handler.server

    return make


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now=100.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(module, "time", clock)
    return clock


def with_transport(made):
    handler, transport, server = made
    handler._transport = transport
    return handler, transport, server


def lines(log):
    return [(record.levelno, record.getMessage()) for record in log.records]


class TestReadingTheHead:
    """Chapter 1"""

    def test_each_read_has_the_time_that_is_left(self, make, clock):
        clock.now = 4.0
        handler, transport, _ = with_transport(make(limits=Limits(head_timeout=10)))
        head = upgrade("/chat")

        def later(piece, seconds):
            clock.now += seconds
            return piece

        cuts = head[:10], head[10:50], head[50:] + b"early"
        transport.pieces = [lambda n=n, piece=piece: later(piece, n + 3) for n, piece in enumerate(cuts)]
        request = handler._read_request()
        assert transport.calls == [("handshake", 14.0)]
        assert transport.reads == [(4096, 10.0), (4096, 7.0), (4096, 3.0)]
        assert (request.path, handler._early, transport.received_any) == ("/chat", b"early", True)
        assert handler.request is request

    def test_no_byte_is_searched_for_the_end_twice(self, make, monkeypatch):
        handler, transport, _ = with_transport(make())
        searched, find = [], module.find_end_of_head

        def find_end_of_head(data, checked, limits):
            assert limits is handler.server.limits
            searched.append((len(data), checked))
            return find(data, checked, limits)

        monkeypatch.setattr(module, "find_end_of_head", find_end_of_head)
        head = upgrade()
        transport.pieces = [head[:10], head[10:50], head[50:]]
        handler._read_request()
        assert searched == [(0, 0), (10, 0), (50, 10), (len(head), 50)]

    @pytest.mark.parametrize(("left", "reads"), [(-0.5, 1), (0.0, 1), (0.5, 2), (1.0, 2)])
    def test_when_the_time_is_over_nothing_more_is_read(self, make, clock, left, reads):
        handler, transport, _ = with_transport(make(limits=Limits(head_timeout=10)))

        def slow():
            clock.now = 110.0 - left
            return b"GET / "

        transport.pieces = [slow, None]
        with pytest.raises(HTTPError, match="no complete request within 10 s") as caught:
            handler._read_request()
        assert (caught.value.status, len(transport.reads)) == (408, reads)

    @pytest.mark.parametrize(("pieces", "status", "count"), [([b""], 0, 0), ([b"GET", b""], 400, 3)])
    def test_an_end_before_the_first_byte_has_no_answer(self, make, pieces, status, count):
        handler, transport, _ = with_transport(make())
        transport.pieces = list(pieces)
        with pytest.raises(HTTPError, match=f"the request ended after {count} bytes") as caught:
            handler._read_request()
        assert (caught.value.status, transport.received_any) == (status, bool(count))


class TestAnswers:
    """Chapters 2 to 5 and 9"""

    def handle(self, made, wire):
        """Let a handler read a request; the answer's head and body."""
        handler, transport, _ = with_transport(made)
        handler.request = "the socket"  # as socketserver has it
        transport.pieces = [wire, b""]
        handler.handle()
        head, _, body = transport.sent.partition(b"\r\n\r\n")
        return head.decode().split("\r\n"), body

    @pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "OPTIONS"])
    def test_only_head_gets_no_body(self, make, method):
        made = make()
        head, body = self.handle(made, f"{method} / HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert head[0].startswith("HTTP/1.1 426 ")
        assert bool(body) is (method != "HEAD")
        assert f"426: {method} '/'" not in head

    @pytest.mark.parametrize(
        ("host", "path", "secure", "url"),
        [
            ("a.example:80", "/chat", False, "ws://a.example:80/chat"),
            ("a.example", "/chat", True, "wss://a.example/chat"),
            ("a" * 100, "/" + "b" * 99, False, "ws://" + "a" * 100 + "/" + "b" * 99),
            ("a" * 101, "/" + "b" * 100, False, "ws://127.0.0.1:8765/"),
            ("[::1]:80", "/';alert(1)//", False, "ws://[::1]:80/"),
        ],
    )
    def test_the_url_in_a_426_is_harmless(self, make, log, host, path, secure, url):
        made = make()
        made[1].secure = secure
        _, body = self.handle(made, f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: text/plain\r\n\r\n".encode())
        assert f'"{url}"' in body.decode() or url in body.decode().split()
        assert made[2].calls == [{"refused": 1}]
        assert lines(log) == [(logging.INFO, f"1.2.3.4:5 426: GET {module.quote_ascii(path)}")]

    @pytest.mark.parametrize(
        ("offer", "config", "accepted"),
        [
            (None, Compression(), None),
            ("permessage-deflate", None, None),
            ("permessage-deflate", Compression(), "permessage-deflate"),
            ("x-other", Compression(), None),
            ("deflate-frame", Compression(), None),
            ("x-other, permessage-deflate; no_such=1, permessage-deflate", Compression(), "permessage-deflate"),
        ],
    )
    def test_the_first_good_offer_of_compression_is_accepted(self, make, offer, config, accepted):
        made = make(compression=config)
        headers = {} if offer is None else {"Sec_WebSocket_Extensions": offer}
        head, _ = self.handle(made, upgrade(**headers))
        assert head[0].startswith("HTTP/1.1 101 ")
        found = [line.partition(": ")[2].partition(";")[0] for line in head if line.startswith("Sec-WebSocket-Ext")]
        assert found == ([accepted] if accepted else [])
        extensions = made[0].extensions
        assert (extensions or "").startswith(accepted or "")
        assert (extensions is None) is (accepted is None)

    def test_a_path_that_is_not_served_is_a_404_for_a_page_and_for_an_upgrade(self, make):
        kind = type("Mine", (Echo,), {"paths": ["/a", "/b"]})
        for wire in (upgrade("/c"), b"GET /c HTTP/1.1\r\nHost: x\r\n\r\n"):
            head, body = self.handle(make(kind), wire)
            assert head[0].startswith("HTTP/1.1 404 ")
            assert b"no handler for '/c'; there are /a, /b" in body
        head, _ = self.handle(make(kind), upgrade("/b"))
        assert head[0].startswith("HTTP/1.1 101 ")

    @pytest.mark.parametrize(("pieces", "level"), [([b""], logging.DEBUG), ([b"x", b""], logging.INFO)])
    def test_a_connection_that_was_never_used_is_not_worth_a_line(self, make, log, pieces, level):
        handler, transport, server = with_transport(make())
        transport.pieces = list(pieces)
        handler.request = "the socket"
        handler.handle()
        answered = level == logging.INFO
        assert [found for found, _ in lines(log)] == [level]
        first = "1.2.3.4:5 400: " if answered else "1.2.3.4:5 closed: "
        assert log.records[0].getMessage().startswith(f"{first}the request ended after {len(pieces) - 1} bytes")
        assert (bool(transport.sent), server.calls) == (answered, [{"refused": 1}])

    def test_reasons_are_one_line_of_the_log_and_escaped(self, make, log):
        def check_request(self, request):
            raise HTTPError(403, "one\ntwo \x1b[31m é\u202e")

        head, _ = self.handle(make(type("Mine", (Echo,), {"check_request": check_request})), upgrade())
        assert head[0].startswith("HTTP/1.1 403 ")
        assert lines(log) == [(logging.INFO, r"1.2.3.4:5 403: one; two \x1b[31m é\u202e")]

    @pytest.mark.parametrize("error", [KeyError("bug"), SystemExit()])
    def test_any_error_of_check_request_is_a_500(self, make, log, error):
        def check_request(self, request):
            raise error

        made = make(type("Mine", (Echo,), {"check_request": check_request}))
        head, body = self.handle(made, upgrade())
        assert head[0].startswith("HTTP/1.1 500 ")
        assert b"the server failed" in body
        assert made[2].calls == [{"refused": 1}]
        assert log.records[0].getMessage() == "1.2.3.4:5: the handshake failed"

    def test_a_client_that_has_gone_gets_no_answer_and_that_is_no_error(self, make, log):
        made = make()
        made[1].abort_reason = "gone"
        self.handle(made, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert [level for level, _ in lines(log)] == [logging.INFO]
        assert not made[1].write_lock.locked()


class TestTheLoop:
    """Chapters 6 to 8"""

    def converse(self, make, kind, *reads, **attributes):
        """Let a handler read these bytes after its 101; what it sent, and what it told its server."""
        handler, transport, server = with_transport(make(kind, **attributes))
        handler.request = parse_head(upgrade(), Limits())
        handler._early = reads[0]
        transport.pieces = list(reads[1:])
        handler._converse(None, None, None)
        return handler, transport, server.calls

    def test_what_the_server_is_told_and_when(self, make, log):
        handler, transport, calls = self.converse(make, Echo, text("hi"), close(1000))
        assert transport.sent == frame(TEXT, b"hi", key=b"") + frame(8, b"\x03\xe8", key=b"")
        assert calls == [{"opened": 1}, "_mark_open", "_mark_closed", "forget", "_mark_closed", {"closed": 1}]
        assert (handler.ready_state, handler.closed.code) == (State.CLOSED, 1000)
        assert lines(log) == [
            (logging.INFO, "1.2.3.4:5 101: '/'"),
            (logging.INFO, "1.2.3.4:5 closed by the client, clean: received 1000, sent 1000"),
        ]

    def test_a_batch_begins_where_more_follows_and_ends_before_each_read(self, make):
        two = text("a") + text("b")
        _, transport, calls = self.converse(make, Echo, two, text("c"), frame(PING, b"") * 2, two, close())
        batches = [call for call in calls if "batch" in str(call)]
        assert batches == ["start_batch", "end_batch"] * 3
        a, b, c = (frame(TEXT, letter, key=b"") for letter in (b"a", b"b", b"c"))
        assert transport.sent == a + b + c + frame(PONG, b"", key=b"") * 2 + a + b + frame(8, b"\x03\xe8", key=b"")

    def test_a_message_in_fragments_is_one(self, make):
        wire = frame(TEXT, b"Hel", fin=False) + frame(PING, b"?") + frame(0, b"lo")
        _, transport, _ = self.converse(make, Echo, wire, close())
        assert transport.sent.startswith(frame(PONG, b"?", key=b"") + frame(TEXT, b"Hello", key=b"") + b"\x88")

    def test_a_server_that_has_closed_in_the_meantime_says_so_at_once(self, make):
        handler, transport, _ = self.converse(make, WebSocketHandler, close(1001), _is_closing=True)
        assert transport.sent == frame(8, b"\x03\xe9the server is going down", key=b"")
        assert handler.closed.initiated_locally

    @pytest.mark.parametrize("hook", ["on_open", "on_message", "on_pong"])
    def test_after_a_hook_has_failed_no_other_is_called_and_the_close_is_waited_for(self, make, log, hook):
        called = []

        def fails(self, *arguments):
            called.append("fails")
            raise KeyError("bug")

        hooks = {
            name: lambda self, *arguments, n=name: called.append(n) for name in ("on_open", "on_message", "on_pong")
        }
        kind = type("Mine", (WebSocketHandler,), {**hooks, hook: fails})
        wire = text("a") + frame(10, b"") + text("b")
        handler, transport, _ = self.converse(make, kind, wire, text("c") + frame(PING, b""), close(1011))
        assert called[-1] == "fails"
        assert transport.sent == frame(8, b"\x03\xf3", key=b"")
        assert (handler.closed.code, handler.closed.sent_code) == (1011, 1011)
        assert log.text.count("1.2.3.4:5: a hook failed") == 1

    def test_a_failure_of_wsref_s_own_is_not_repeated_without_end(self, make, log, monkeypatch):
        kind = type("Mine", (WebSocketHandler,), {"on_open": lambda self: 1 / 0})
        failures = [KeyError("bug")]

        def fails(self, *_):
            raise failures[0]

        monkeypatch.setattr(module.Channel, "read", fails)
        handler, transport, _ = self.converse(make, kind, b"")
        assert (transport.abort_reason, handler.closed.code) == ("the server failed", 1006)
        assert log.text.count("1.2.3.4:5: a hook failed") == 2

    def test_a_hook_that_sends_to_a_client_that_has_gone_is_not_at_fault(self, make, log):
        got = []

        class Mine(WebSocketHandler):
            def on_message(self, message):
                got.append(message)
                self._transport.abort("gone")
                self.send("too late")

        self.converse(make, Mine, text("a") + text("b"), b"")
        assert got == ["a", "b"]
        assert [text for level, text in lines(log) if level == logging.DEBUG] == ["1.2.3.4:5 not sent: gone"] * 2
        assert "a hook failed" not in log.text

    def test_another_error_of_a_hook_whose_client_has_gone_is_logged(self, make, log):
        class Mine(WebSocketHandler):
            def on_message(self, message):
                self._transport.abort("gone")
                raise KeyError("bug")

        self.converse(make, Mine, text("a"), b"")
        assert "1.2.3.4:5: a hook failed" in log.text

    @pytest.mark.parametrize(
        ("error", "line"), [(ConnectionClosed("gone"), "not sent: gone"), (KeyError("bug"), "on_close failed")]
    )
    def test_an_error_of_on_close_is_logged(self, make, log, error, line):
        def on_close(self, code, reason):
            raise error

        _, _, calls = self.converse(make, type("Mine", (Echo,), {"on_close": on_close}), close())
        separator = ": " if isinstance(error, KeyError) else " "
        assert log.records[-1].getMessage() == f"1.2.3.4:5{separator}{line}"
        assert calls[-1] == {"closed": 1}

    @pytest.mark.parametrize(
        ("closed", "abort_reason", "level", "line"),
        [
            (Closed(1000, "", 1000, True, True, None, b""), "", "INFO", "by us, clean: received 1000, sent 1000"),
            (
                Closed(1005, "", 1005, True, False, None, b""),
                "",
                "INFO",
                "by the client, clean: received 1005, sent 1005",
            ),
            (
                Closed(4001, "a\nb", None, False, False, None, b""),
                "gone",
                "INFO",
                r"by the client, not clean: received 4001 'a\nb', sent none: gone",
            ),
            (
                Closed(1006, "", None, False, False, None, b""),
                "",
                "INFO",
                "by the client, not clean: no Close came (1006), sent none",
            ),
            (
                Closed(1006, "", 1002, False, True, ProtocolError("bad", "§5.2"), b""),
                "gone",
                "WARNING",
                "by us, not clean: no Close came (1006), sent 1002: bad (RFC 6455 §5.2)",
            ),
        ],
        ids=lambda value: value if isinstance(value, str) else None,
    )
    def test_the_line_of_the_log_says_who_closed_and_how(self, make, log, closed, abort_reason, level, line):
        handler, transport, _ = with_transport(make())
        transport.abort_reason = abort_reason
        channel = SimpleNamespace(finish_close=lambda event: event, transport=transport)
        handler._finish_close(channel, closed)
        assert channel.closed is closed
        assert lines(log) == [(getattr(logging, level), f"1.2.3.4:5 closed {line}")]


class TestItsEnds:
    """Before the first byte, and after the last"""

    def test_a_connection_that_has_ended_already_is_counted(self, make):
        handler, _, server = make()
        handler.request = OSError("gone")
        with pytest.raises(OSError, match="gone"):
            handler.setup()
        assert server.calls == [{"refused": 1}]

    def test_setup_makes_the_transport_and_tells_the_server(self, make):
        handler, transport, server = make()
        handler.request = "the socket"
        handler.setup()
        assert (handler._transport, server.calls) == (transport, ["_register"])

    @pytest.mark.parametrize("fails", [False, True])
    @pytest.mark.parametrize("opened", [False, True])
    def test_finish_ends_tcp_and_tells_the_server(self, make, opened, fails):
        handler, transport, server = with_transport(make(limits=Limits(linger_timeout=7)))
        ended = []

        def end(*arguments):
            ended.append(arguments)
            if fails:
                raise KeyError("bug")

        if opened:
            handler._channel = SimpleNamespace(end=end)
        else:
            transport.close_gracefully = end
        with pytest.raises(KeyError) if fails else contextlib.nullcontext():
            handler.finish()
        assert (ended, server.calls) == ([()] if opened else [(7,)], ["_unregister"])

    @pytest.mark.parametrize("done", [True, False])
    def test_the_rest_of_a_broadcast_is_for_the_backlog_writer(self, make, done):
        handler, _, server = with_transport(make())
        handler._channel = SimpleNamespace(send_nowait=lambda wire: done)
        assert handler._send_nowait(b"frame") is done
        assert server.calls == ([] if done else ["add"])

    @pytest.mark.parametrize("done", [True, False])
    def test_the_rest_of_a_close_is_for_the_backlog_writer(self, make, done):
        handler, transport, server = with_transport(make())
        closes = []

        def close(code, reason, *, wait):
            closes.append((code, reason, wait))
            return done

        handler._channel = SimpleNamespace(close=close)
        handler._go_away()
        assert closes == [(1001, "the server is going down", False)]
        assert (server.calls, transport.abort_reason) == ([] if done else ["add"], "")

    @pytest.mark.parametrize("accepted", [False, True])
    def test_without_a_101_it_is_aborted_unless_one_is_on_its_way(self, make, accepted):
        handler, transport, server = with_transport(make())
        if accepted:
            handler.request = parse_head(upgrade(), Limits())
            handler._complete_upgrade(handler.request)
        handler._go_away()
        assert transport.abort_reason == ("" if accepted else "the server is going down")
        assert server.calls == []

    def test_before_it_is_open_nothing_can_be_sent_and_nothing_is_negotiated(self, make):
        handler, _, _ = with_transport(make())
        calls = [handler.ping, handler.close, lambda: handler.send("x"), lambda: handler.send_fragments(["x"])]
        for call in (*calls, lambda: handler._send_nowait(b"x")):
            with pytest.raises(ConnectionClosed, match="not open yet"):
                call()
        assert (handler.ready_state, handler.subprotocol, handler.extensions, handler.closed) == (0, None, None, None)

    def test_calls_are_those_of_its_channel(self, make):
        handler, _, _ = with_transport(make())
        calls = []

        class Channel:
            def __getattr__(self, name):
                return lambda *arguments: calls.append((name, *arguments))

        handler._channel = Channel()
        handler.send("a")
        handler.send("a", compress=False)
        handler.send_fragments(["a"])
        handler.send_fragments(["a"], compress=False)
        handler.ping()
        handler.close()
        handler.close(None, "bye")
        assert calls == [
            ("send", "a", True),
            ("send", "a", False),
            ("send_fragments", ["a"], True),
            ("send_fragments", ["a"], False),
            ("ping", b""),
            ("close", 1000, ""),
            ("close", None, "bye"),
        ]

    def test_the_origin_is_judged_by_what_the_server_is(self, make):
        request = Request("GET", "/", (1, 1), Headers([("Host", "127.0.0.1:8765"), ("Origin", "https://a.example")]))
        handler, _, server = with_transport(make())
        with pytest.raises(HTTPError, match="may not connect here"):
            handler._authorize(request)
        server.allowed_origins = frozenset(["https://a.example"])
        assert handler._authorize(request) is None
