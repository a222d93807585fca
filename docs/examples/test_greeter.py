"""Tests of greeter.py: pytest test_greeter.py"""

import pytest
from greeter import Greeter

from wsref import ConnectionClosed, HandshakeFailed, Limits, connect, running

SOON = 30  # seconds: enough for an answer on the slowest machine


@pytest.fixture
def url():
    """A new server for each test, on a free port, stopped after it."""
    with running(Greeter, limits=Limits(max_message_size=1000, shutdown_timeout=0.5)) as server:
        yield server.url


def test_it_greets_by_name(url):
    with connect(f"{url}/?name=Ann") as ws:
        assert ws.recv(timeout=SOON) == "hello, Ann"


def test_it_shouts_back(url):
    with connect(f"{url}/?name=Ann", subprotocols=["greeting.v1"]) as ws:
        assert ws.protocol == "greeting.v1"
        ws.recv(timeout=SOON)
        ws.send("hi")
        assert ws.recv(timeout=SOON) == "HI"


def test_a_client_without_a_name_is_refused(url):
    with pytest.raises(HandshakeFailed) as caught:
        connect(url)
    assert caught.value.status == 403
    assert b"the query has no name" in caught.value.body


def test_binary_is_refused_with_1003(url):
    with connect(f"{url}/?name=Ann") as ws:
        ws.recv(timeout=SOON)
        ws.send(b"\x00\x01")
        with pytest.raises(ConnectionClosed) as caught:
            ws.recv(timeout=SOON)
    assert (caught.value.code, caught.value.reason) == (1003, "text only, please")


def test_a_long_message_is_refused_with_1009(url):
    with connect(f"{url}/?name=Ann", compression=None) as ws:
        ws.recv(timeout=SOON)
        ws.send("x" * 1001)
        with pytest.raises(ConnectionClosed) as caught:
            ws.recv(timeout=SOON)
    assert caught.value.code == 1009


def test_a_broadcast_reaches_every_client(url):
    with connect(f"{url}/?name=Ann") as ann, connect(f"{url}/?name=Bob") as bob:
        for ws in (ann, bob):
            ws.recv(timeout=SOON)
            ws.send("hi")
            assert ws.recv(timeout=SOON) == "HI"  # on_message ran, so on_open has returned
        ann.send("everyone")
        assert [ws.recv(timeout=SOON) for ws in (ann, bob)] == ["hello, everyone"] * 2


def test_a_page_of_another_origin_is_refused(url):
    with pytest.raises(HandshakeFailed, match="403"):
        connect(f"{url}/?name=Ann", origin="https://evil.example")
