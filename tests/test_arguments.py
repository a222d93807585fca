"""A wrong argument of ``WebSocketServer`` or ``connect`` is refused where it is given, and so is a late call."""

from __future__ import annotations

from enum import StrEnum

import pytest
from conftest import wait_until

from wsref import Echo, WebSocketHandler, WebSocketServer, connect

SERVER = [
    pytest.param({"address": "127.0.0.1:8765"}, "address", id="address: str"),
    pytest.param({"address": 8765}, "address", id="address: int"),
    pytest.param({"address": ("127.0.0.1", 99999)}, "port", id="port: 99999 (listens on 34463)"),
    pytest.param({"address": ("127.0.0.1", -1)}, "port", id="port: -1"),
    pytest.param({"handler": "Echo"}, "handler", id="handler: str"),
    pytest.param({"allowed_origins": "https://a.example"}, "allowed_origins", id="allowed_origins: str"),
    pytest.param({"allowed_origins": ["a.example"]}, "allowed_origins", id="allowed_origins: no scheme"),
    pytest.param({"allowed_origins": ["https://a.example/"]}, "allowed_origins", id="allowed_origins: path"),
    pytest.param({"ssl_context": "cert.pem"}, "ssl_context", id="ssl_context: str"),
    pytest.param({"compression": True}, "compression", id="compression: True"),
    pytest.param({"limits": {"max_message_size": 5}}, "limits", id="limits: dict"),
    pytest.param({"limits": None}, "limits", id="limits: None"),
    pytest.param({"page": "<!doctype html>"}, "page", id="page: str"),
]

CLIENT = [
    pytest.param({"url": 8765}, "url", id="url: int"),
    pytest.param({"url": b"ws://127.0.0.1/"}, "url", id="url: bytes"),
    pytest.param({"url": None}, "url", id="url: None"),
    pytest.param({"timeout": 0}, "timeout", id="timeout: 0"),
    pytest.param({"timeout": None}, "timeout", id="timeout: None"),
    pytest.param({"timeout": "5"}, "timeout", id="timeout: str"),
    pytest.param({"subprotocols": "chat"}, "subprotocols", id="subprotocols: str"),
    pytest.param({"headers": ["A: b"]}, "headers", id="headers: list of str"),
    pytest.param({"compression": True}, "compression", id="compression: True"),
]


def test_a_member_of_a_string_enumeration_is_a_str(serve):
    class Name(StrEnum):
        COOKIE = "Cookie"

    connect(serve().url, headers=[(Name.COOKIE, "a=b")]).close()


@pytest.mark.parametrize(("arguments", "name"), SERVER)
def test_the_server_names_a_wrong_argument(arguments, name):
    with pytest.raises((TypeError, ValueError), match=name):
        WebSocketServer(**{"address": ("127.0.0.1", 0), "handler": Echo, **arguments}).server_close()


@pytest.mark.parametrize(("arguments", "name"), CLIENT)
def test_the_client_names_a_wrong_argument(arguments, name, serve):
    with pytest.raises((TypeError, ValueError), match=name):
        connect(**{"url": serve().url, **arguments}).close()


def test_a_handler_with_its_own_init_is_refused():
    # socketserver runs the whole connection in __init__: the lines after super().__init__() come too late.
    with pytest.raises(TypeError, match="__init__"):

        class Late(WebSocketHandler):
            def __init__(self, *arguments):
                super().__init__(*arguments)
                self.count = 0


def test_a_stopped_server_refuses_to_start():
    server = WebSocketServer(("127.0.0.1", 0), Echo)
    server.start()
    server.stop()
    with pytest.raises(RuntimeError, match="stopped"):
        server.start()


def test_a_running_server_refuses_to_start_again():
    with WebSocketServer(("127.0.0.1", 0), Echo) as server:
        server.start()
        with pytest.raises(RuntimeError, match="already"):
            server.start()


def test_two_threads_cannot_serve_at_once():
    with WebSocketServer(("127.0.0.1", 0), Echo) as server:
        server.start()
        wait_until(lambda: server._serving)
        with pytest.raises(RuntimeError, match="already"):
            server.serve_forever()
