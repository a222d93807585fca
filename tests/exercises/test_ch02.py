"""The exercises of chapter 2."""

from __future__ import annotations

import functools

import pytest
from answers import refusal
from rawclient import connected, upgrade

from wsref.exercises.ch02 import check_misses
from wsref.exercises.expect import Wrong
from wsref.exercises.solutions import ch02
from wsref.protocol.handshake import wants_upgrade
from wsref.protocol.http11 import Headers, Request, build_request, parse_request


def keeps_named(headers):
    return [(name, value) for name, value in headers if name.lower() != "connection"]


def one_line(headers):
    named = {name.lower(): value for name, value in headers}.get("connection", "").lower().split(",")
    return [(name, value) for name, value in keeps_named(headers) if name.lower() not in [n.strip() for n in named]]


def by_search(headers):
    named = " ".join(value.lower() for name, value in headers if name.lower() == "connection")
    return [(name, value) for name, value in keeps_named(headers) if name.lower() not in named]


def never_an_upgrade(headers):
    return [header for header in ch02.forward(headers) if header[0] != "Upgrade"]


@pytest.mark.parametrize(
    "name, answer, words",
    [
        ("false_alarms", lambda: ["no-upgrade", "close", "a", "b"], "'close' is no false alarm: the search does not"),
        (
            "false_alarms",
            lambda: ["no-upgrade", "x, upgrade", "upgradex", "y"],
            "one of its elements is upgrade (RFC 9110 §5.6.1)",
        ),
        ("false_alarms", lambda: ["no-upgrade"] * 4, "a list of four different strings"),
        ("false_alarms", lambda: [*ch02.false_alarms(), "no-upgrade"], "a list of four different strings"),
        (
            "misses",
            lambda: ["upgrade", "Upgrade", "x, upgrade", "UPGRADE"],
            "'Upgrade' is no miss: the comparison sees",
        ),
        (
            "misses",
            lambda: ["no-upgrade", "upgrade", "x, upgrade", "UPGRADE"],
            "none of its elements is upgrade (RFC 9110 §5.6.1)",
        ),
        ("misses", lambda: None, "a list of four different strings, not None"),
        ("forward", keeps_named, "must return [('Host', 'a'), ('Sec-WebSocket-Version', '13')]"),
        ("forward", one_line, "there are two lines of Connection (RFC 9110 §5.3)"),
        ("forward", by_search, "no-upgrade is another name"),
        ("forward", never_an_upgrade, "no Connection names Upgrade"),
    ],
)
def test_a_wrong_answer_is_refused_with_its_fault(name, answer, words):
    assert words in refusal(name, answer, "ch02")


def test_an_answer_may_have_no_name():
    with pytest.raises(Wrong, match=r"partial\(\) must return a list of four different strings, not \['a', 'b'\]"):
        check_misses(functools.partial(list, "ab"))


@pytest.mark.parametrize("value", ch02.false_alarms() + ch02.misses())
def test_the_server_is_not_fooled_by_the_values(value):
    request = Request("GET", "/", (1, 1), Headers([("Connection", value), ("Upgrade", "websocket")]))
    assert wants_upgrade(request) == (value in ch02.misses())


def test_what_comes_through_such_a_proxy_gets_426(serve):
    request, _ = parse_request(upgrade())
    forwarded = Request(request.method, request.target, request.version, Headers(ch02.forward(list(request.headers))))
    with connected(serve(), None) as client:
        client.send(build_request(forwarded))
        assert client.head().startswith("HTTP/1.1 426 ")
