"""A handler that is safe to subclass, and a server that ends wherever it runs."""

from __future__ import annotations

import functools
import gc
import inspect
import socket
import socketserver
import struct
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import DEADLINE, wait_until
from rawclient import CLOSE, TEXT, close, connected, text, upgrade

from wsref import Echo, HTTPError, Limits, Request, WebSocketHandler, WebSocketServer, connect, running
from wsref.network.server import name_of
from wsref.network.subclassing import OwnNames
from wsref.protocol.http11 import Headers

#: The names that a user of the handler may rely on.  A change here is a change of the API.
PUBLIC = {
    *("check_request", "on_open", "on_message", "on_pong", "on_close"),
    *("send", "send_fragments", "ping", "close"),
    *("ready_state", "request", "subprotocol", "extensions", "server", "closed", "client_address"),
    *("subprotocols", "paths"),
}

#: What socketserver calls.
SOCKETSERVER = {"setup", "handle", "finish"}


def subclass(**attributes: object) -> type[WebSocketHandler]:
    """A handler with these attributes, made as a program would."""
    return type("Mine", (WebSocketHandler,), attributes)


class TestMixins:
    """A mixin is checked as the class is: Python finds its methods first"""

    @pytest.mark.parametrize(
        ("name", "value", "complaint"),
        [
            ("_authorize", lambda self, request: None, "Mixin._authorize is wsref's own"),
            ("_channel", None, "Mixin._channel is wsref's own"),
            ("on_message", lambda self: None, "Mixin.on_message"),
            ("paths", "/chat", "Mixin.paths is a list of str"),
        ],
    )
    def test_what_is_wrong_in_it_is_refused(self, name, value, complaint):
        """The first would have taken away the check of the origin."""
        with pytest.raises(TypeError, match=complaint):
            type("Mine", (type("Mixin", (), {name: value}), WebSocketHandler), {})


@pytest.mark.parametrize(
    "hook",
    [
        functools.singledispatchmethod(lambda self, message: self.send("got it")),
        functools.partialmethod(lambda self, words, message: self.send(words), "got it"),
    ],
    ids=lambda hook: type(hook).__name__,
)
def test_a_hook_may_be_any_descriptor_that_makes_a_method(serve, hook):
    with connected(serve(subclass(on_message=hook))) as client:
        client.send(text("x"))
        assert client.frame() == (TEXT, b"got it")


def test_the_public_names_are_these():
    names = {*dir(WebSocketHandler), *inspect.get_annotations(WebSocketHandler)}
    assert {name for name in names if not name.startswith("_")} == PUBLIC | SOCKETSERVER


class TestNamesOfASubclass:
    """A subclass may use every name that is not wsref's own"""

    @pytest.mark.parametrize(
        "name", ["post", "admit", "validate", "log", "respond", "exchange", "cut", "name", "limits"]
    )
    def test_a_method_with_an_obvious_name_disturbs_nothing(self, serve, name):
        def theirs(self, *arguments):
            raise AssertionError("wsref called a method of the subclass")

        server = serve(type("Mine", (Echo,), {name: theirs}))
        with connected(server) as client:
            client.send(text("hi"))
            assert client.frame() == (TEXT, b"hi")
            server.broadcast("to all")
            assert client.frame() == (TEXT, b"to all")
            client.send(close(1000))
            assert client.closed() == (1000, "")

    def test_validate_does_not_turn_validation_off(self, serve):
        with connected(serve(subclass(validate=lambda self, m: True)), None) as client:
            client.send(upgrade(Sec_WebSocket_Version="99"))
            assert client.rest().startswith(b"HTTP/1.1 400 ")

    def test_admit_does_not_turn_the_origin_check_off(self, serve):
        with connected(serve(subclass(admit=lambda self, member: None)), None) as client:
            client.send(upgrade(Origin="https://evil.example"))
            assert client.rest().startswith(b"HTTP/1.1 403 ")

    @pytest.mark.parametrize("name", ["name", "limits", "log", "post", "exchange", "nick", "connection", "transport"])
    def test_an_attribute_with_an_obvious_name_disturbs_nothing(self, serve, name):
        class Mine(Echo):
            def on_open(self):
                setattr(self, name, "Ann")
                self.send(getattr(self, name))

        with connected(serve(Mine)) as client:
            assert client.frame() == (TEXT, b"Ann")
            client.send(text("hi") + close(1000))
            assert client.frame() == (TEXT, b"hi")
            assert client.closed() == (1000, "")

    INTERNAL = sorted(
        name
        for name in dir(WebSocketHandler)
        if not name.startswith("__") and name not in PUBLIC - {"ready_state", "subprotocol", "extensions", "closed"}
    )

    @pytest.mark.parametrize("name", INTERNAL)
    def test_a_name_that_overrides_an_internal_is_refused(self, name):
        instead = "; override on_open and on_close instead" if name in SOCKETSERVER else ""
        with pytest.raises(TypeError, match=rf"Mine\.{name} is wsref's own: choose another name{instead}$"):
            subclass(**{name: lambda self: None})

    @pytest.mark.parametrize(
        "name", ["_channel", "_transport", "closed", "subprotocol", "send", "on_message", "request"]
    )
    def test_an_attribute_that_would_replace_an_internal_is_refused_with_a_sentence(self, serve, log, name):
        class Mine(Echo):
            def on_open(self):
                setattr(self, name, "mine")

        with connected(serve(Mine)) as client:
            assert client.frame() == (CLOSE, struct.pack("!H", 1011))
        assert f"Mine.{name} is wsref's own" in log.text

    def test_options_and_attributes_are_no_methods(self):
        class Base:
            option = None
            only_annotated: str
            _attribute = None

            def call(self):
                pass

        options, attributes = {"option", "only_annotated"}, {"_attribute", "set_later"}
        own = OwnNames(Base, hooks={}, calls={"call"}, options=options, attributes=attributes)
        assert own.methods == {"call"}

    def test_who_knows_what_it_does_says_so(self):
        class Mine(WebSocketHandler, overrides_internals=True):
            def _wants_upgrade(self, request):
                return False

        assert Mine._wants_upgrade


class TestHooks:
    """A hook that could never work is refused when the class is made"""

    HOOKS = ("check_request", "on_open", "on_message", "on_pong", "on_close")

    @pytest.mark.parametrize("name", [*HOOKS, "send", "ping", "close"])
    def test_async(self, name):
        async def hook(self, *arguments):
            """Never awaited."""

        async def generator(self, *arguments):
            yield

        for made in (hook, generator, staticmethod(hook), classmethod(hook)):
            with pytest.raises(TypeError, match=rf"Mine\.{name} is async"):
                subclass(**{name: made})

    @pytest.mark.parametrize("name", HOOKS)
    def test_a_generator(self, name):
        def hook(self, *arguments):
            yield

        with pytest.raises(TypeError, match=rf"Mine\.{name} contains yield"):
            subclass(**{name: hook})

    @pytest.mark.parametrize("name", HOOKS)
    def test_the_wrong_number_of_arguments(self, name):
        with pytest.raises(TypeError, match=rf"Mine\.{name} is called with self"):
            subclass(**{name: lambda self, a, b, c, d: None})
        subclass(**{name: lambda self, *arguments: None})
        subclass(**{name: lambda *arguments, more=1: None})

    @pytest.mark.parametrize(
        "name, meant",
        [
            ("on_mesage", "on_message"),
            ("onMessage", "on_message"),
            ("on_messages", "on_message"),
            ("on_opened", "on_open"),
            ("on_closed", "on_close"),
            ("on_ping", "on_pong"),
        ],
    )
    def test_a_name_that_is_nearly_a_hook_would_never_be_called(self, name, meant):
        with pytest.raises(TypeError, match=rf"Mine\.{name} would never be called: {meant} is the hook"):
            subclass(**{name: lambda self, *arguments: None})

    def test_another_name_that_begins_so_is_free(self):
        subclass(on_join=lambda self: None, on_vote=lambda self: None, on_text=lambda self: None, online=True)

    @pytest.mark.parametrize(
        "hook",
        [
            print,
            staticmethod(lambda message: None),
            functools.singledispatchmethod(lambda self, message: None),
            functools.partialmethod(lambda self, words, message: None, "got it"),
        ],
        ids=lambda hook: type(hook).__name__,
    )
    def test_a_callable_that_is_no_function_of_ours_is_left_to_its_call(self, hook):
        assert subclass(on_message=hook).__dict__["on_message"] is hook

    @pytest.mark.parametrize("name", [*HOOKS, "send"])
    def test_not_a_function(self, name):
        with pytest.raises(TypeError, match=rf"Mine\.{name} is a method that wsref calls, not a str"):
            subclass(**{name: "yes"})

    @pytest.mark.parametrize(
        "name, value, words",
        [
            ("subprotocols", "chat", "is a list of str"),
            ("subprotocols", b"chat", "is a list of str"),
            ("subprotocols", ("chat", b"echo"), "b'echo' is not one"),
            ("subprotocols", ("a b",), "is not a token"),
            ("subprotocols", ("",), "is not a token"),
            ("paths", "/", "is a list of str"),
            ("paths", ("/", 5), "5 is not one"),
            ("paths", ("chat",), "begins with '/'"),
            ("paths", 5, "is a list of str"),
        ],
    )
    def test_an_option_of_the_wrong_type(self, name, value, words):
        with pytest.raises(TypeError, match=words):
            subclass(**{name: value})

    def test_options_that_are_right(self):
        subclass(subprotocols=["chat"], paths={"/", "/chat"})
        subclass(subprotocols=(), paths=None)


class TestCheckRequest:
    """It returns None or raises; nothing else lets a client in"""

    @pytest.mark.parametrize("answer", [False, True, 0, "no", 403])
    def test_another_return_value_is_a_500_and_says_what_to_do(self, serve, log, answer):
        with connected(serve(subclass(check_request=lambda self, request: answer)), None) as client:
            client.send(upgrade())
            assert client.rest().startswith(b"HTTP/1.1 500 ")
        assert f"check_request returned {answer!r}: it raises HTTPError to refuse a client" in log.text

    def test_close_in_it_does_not_open(self, serve, log):
        with connected(serve(subclass(check_request=lambda self, request: self.close())), None) as client:
            client.send(upgrade())
            assert client.rest().startswith(b"HTTP/1.1 500 ")
        assert "raise HTTPError to refuse it" in log.text

    @pytest.mark.parametrize("status", [999, 200, 101, 99, -1, "403", None])
    def test_a_status_that_no_refusal_has_is_a_500(self, serve, log, status):
        def check_request(self, request):
            raise HTTPError(status, "no")

        with connected(serve(subclass(check_request=check_request)), None) as client:
            client.send(upgrade())
            assert client.rest().startswith(b"HTTP/1.1 500 ")
        assert "a number from 300 to 599" in log.text

    @pytest.mark.parametrize("header", [
        ("X: Y", "z"), ("", "z"), ("X", "a\r\nSet-Cookie: b"), ("X", "a\nb"), ("X", "\0"), ("X", "\u20ac"), ("Ä", "z"),
        ("Content-Length", "5"), ("connection", "keep-alive"), ("Transfer-Encoding", "chunked"), ("Date", "now"),
    ])  # fmt: skip
    def test_a_header_that_cannot_be_sent_is_a_500(self, serve, log, header):
        def check_request(self, request):
            raise HTTPError(403, "no", headers=(header,))

        with connected(serve(subclass(check_request=check_request)), None) as client:
            client.send(upgrade())
            answer = client.rest()
        assert answer.startswith(b"HTTP/1.1 500 ")
        assert b"Set-Cookie" not in answer

    def test_an_error_that_was_changed_after_it_was_made_is_a_500(self, serve, log):
        def check_request(self, request):
            error = HTTPError(403, "no")
            error.headers = (("X", "a\r\nb"),)
            raise error

        with connected(serve(subclass(check_request=check_request)), None) as client:
            client.send(upgrade())
            assert client.rest().startswith(b"HTTP/1.1 500 ")

    def test_a_redirect_with_its_location(self, serve):
        def check_request(self, request):
            raise HTTPError(307, "elsewhere", headers={"Location": "ws://elsewhere/"})

        with connected(serve(subclass(check_request=check_request)), None) as client:
            client.send(upgrade())
            answer = client.rest()
        assert answer.startswith(b"HTTP/1.1 307 ")
        assert b"\r\nLocation: ws://elsewhere/\r\n" in answer

    def test_a_reason_cannot_forge_a_log_line(self, serve, log):
        def check_request(self, request):
            raise HTTPError(403, "no\x1b[31m\r127.0.0.1 101: '/'")

        with connected(serve(subclass(check_request=check_request)), None) as client:
            client.send(upgrade())
            client.rest()
        assert "\x1b" not in log.text
        assert "\r" not in log.text

    def test_cookies_are_parsed(self, serve):
        seen = []
        with connected(
            serve(subclass(check_request=lambda self, request: seen.append(request.cookies))), None
        ) as client:
            client.send(upgrade(Cookie='id=42; theme="dark blue"; id=43'))
            assert " 101 " in client.head()
        assert seen == [{"id": "42", "theme": "dark blue"}]
        assert Request("GET", "/", (1, 1), Headers()).cookies == {}
        assert Request("GET", "/", (1, 1), Headers([("Cookie", "a[]=1;;=;\x7f")])).cookies == {}


class TestStateOfAConnection:
    """on_open is where it is made; nobody reaches a handler before"""

    def test_handlers_and_broadcast_know_it_only_after_on_open(self, serve):
        in_it, go = threading.Event(), threading.Event()

        class Slow(WebSocketHandler):
            def on_open(self):
                in_it.set()
                go.wait(DEADLINE)
                self.state = "made"

        server = serve(Slow)
        with connected(server) as client:
            assert in_it.wait(DEADLINE)
            assert server.handlers == ()
            assert server.broadcast("too early").sent == []
            go.set()
            wait_until(lambda: server.handlers)
            assert [handler.state for handler in server.handlers] == ["made"]
            server.broadcast("now")
            assert client.frame() == (TEXT, b"now")

    def test_a_broadcast_to_a_handler_before_its_101_writes_nothing(self, serve):
        asked, go, handlers = threading.Event(), threading.Event(), []

        class Slow(WebSocketHandler):
            def check_request(self, request):
                handlers.append(self)
                asked.set()
                go.wait(DEADLINE)

        server = serve(Slow)
        with connected(server, None) as client:
            client.send(upgrade())
            assert asked.wait(DEADLINE)
            delivery = server.broadcast("before the 101", to=handlers)
            assert (delivery.sent, delivery.kept, delivery.dropped) == ([], [], [])
            go.set()
            assert client.head().startswith("HTTP/1.1 101 ")
            wait_until(lambda: server.handlers)
            server.broadcast("after", to=handlers)
            assert client.frame() == (TEXT, b"after")

    @pytest.mark.parametrize("kind", [set, list, dict.fromkeys])
    def test_the_receivers_may_change_while_a_broadcast_runs(self, serve, kind):
        server = serve(Echo)
        with connected(server) as client:
            wait_until(lambda: server.handlers)
            (handler,) = server.handlers
            receivers = kind([handler])
            original = handler._channel.transport.send_nowait

            def changes_them(wire):
                receivers.clear() if not isinstance(receivers, dict) else receivers.update({object(): None})
                return original(wire)

            handler._channel.transport.send_nowait = changes_them
            assert server.broadcast("hi", to=receivers).sent == [handler]
            assert client.frame() == (TEXT, b"hi")

    def test_close_codes_and_states_are_read_only(self):
        for name in ("ready_state", "closed", "subprotocol", "extensions"):
            assert getattr(WebSocketHandler, name).fset is None


class TestLifeOfAServer:
    """Leaving the block ends it, wherever it serves"""

    def test_a_server_that_cannot_be_made_leaves_nothing_open(self):
        with socket.create_server(("127.0.0.1", 0)) as busy:
            gc.collect()
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always", ResourceWarning)
                for address in (("no.such.host.invalid", 0), ("192.0.2.1", 0), busy.getsockname()):
                    with pytest.raises(OSError):
                        WebSocketServer(address, Echo)
                gc.collect()
        assert [str(warning.message) for warning in caught if "socket" in str(warning.message)] == []

    def test_with_and_a_thread_of_ones_own(self):
        with WebSocketServer(("127.0.0.1", 0), Echo, limits=Limits(shutdown_timeout=0.5)) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            with connect(server.url) as ws:
                ws.send("hi")
                assert ws.recv() == "hi"
        thread.join(DEADLINE)
        assert not thread.is_alive()
        with pytest.raises(OSError):
            socket.create_connection(server.server_address[:2], 1)

    @pytest.mark.parametrize("n", range(20))
    def test_it_may_end_before_its_thread_has_begun_to_serve(self, n):
        with WebSocketServer(("127.0.0.1", 0), Echo) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
        thread.join(DEADLINE)
        assert not thread.is_alive()

    def test_with_and_nothing_that_serves(self):
        with WebSocketServer(("127.0.0.1", 0), Echo) as server:
            pass
        assert server.socket.fileno() == -1

    def test_start_and_stop(self):
        server = WebSocketServer(("127.0.0.1", 0), Echo).start()
        with connect(server.url) as ws:
            ws.send("hi")
            assert ws.recv() == "hi"
        server.stop()
        server.stop()
        assert not [thread for thread in threading.enumerate() if thread.name == "wsref accepts"]

    def test_shutdown_of_a_server_that_does_not_serve_returns(self):
        with WebSocketServer(("127.0.0.1", 0), Echo) as server:
            server.shutdown()

    def test_shutdown_in_the_thread_that_serves_is_an_error_and_not_a_deadlock(self):
        caught = []

        class Server(WebSocketServer):
            def service_actions(self):
                try:
                    self.shutdown()
                except RuntimeError as error:
                    caught.append(error)

        with Server(("127.0.0.1", 0), Echo).start():
            wait_until(lambda: caught)
        assert "would wait for itself" in str(caught[0])

    def test_running_yields_the_server(self):
        with running(Echo) as server, connect(server.url) as ws:
            wait_until(lambda: server.handlers)
            server.broadcast("hi")
            assert ws.recv() == "hi"

    def test_host_empty_binds_all_ipv4_addresses(self):
        with WebSocketServer(("", 0), Echo) as server:
            assert server.server_address[0] == "0.0.0.0"
            assert server.is_loopback is False

    def test_a_scope_is_kept(self):
        """A link-local address means something only with its interface."""
        assert name_of(("fe80::1", 80, 0, 3)) == "[fe80::1%3]:80"
        assert name_of(("fe80::1%eth0", 80, 0, 3)) == "[fe80::1%eth0]:80"

    @pytest.mark.parametrize("address", ["127.0.0.1:8765", b"127.0.0.1", ("127.0.0.1",)])
    def test_an_address_of_the_wrong_type(self, address):
        with pytest.raises(TypeError, match="a pair of host and port"):
            WebSocketServer(address, Echo)

    @pytest.mark.parametrize(
        "handler", [lambda *a: None, Echo.on_message, socketserver.BaseRequestHandler, "Echo", None]
    )
    def test_a_handler_that_is_no_class_of_handlers(self, handler):
        with pytest.raises(TypeError, match="is a subclass of WebSocketHandler"):
            WebSocketServer(("127.0.0.1", 0), handler)

    def test_a_server_that_cannot_bind_leaves_nothing_open(self):
        with WebSocketServer(("127.0.0.1", 0), Echo) as server, pytest.raises(OSError):
            WebSocketServer(server.server_address[:2], Echo)


def test_the_chat_gives_no_name_twice_though_two_join_at_once(serve):
    from wsref import Chat

    server = serve(Chat)
    with ThreadPoolExecutor(8) as pool:
        clients = list(pool.map(lambda n: connect(f"{server.url}/chat?name=Ann"), range(8)))
    wait_until(lambda: len(server.handlers) == 8)
    assert len({handler.nick for handler in server.handlers}) == 8
    for client in clients:
        client.close()
    wait_until(lambda: not Chat._members)
