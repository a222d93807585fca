"""The exercises of chapter 5."""

from __future__ import annotations

import pytest
from answers import refusal
from rawclient import connected, upgrade

from wsref import Echo
from wsref.exercises.solutions.ch05 import fallback, is_good_426


def by_search(answer):
    return b" 426 " in answer and b"upgrade: websocket" in answer.lower() and b"connection: upgrade" in answer.lower()


def body_too(answer):
    return is_good_426(answer.replace(b"\r\n\r\n", b"\r\n", 1))


def any_word_of_the_first_line(answer):
    return b" 426 " in answer.partition(b"\n")[0] and is_good_426(b"HTTP/1.1 426 \r\n" + answer.partition(b"\n")[2])


def any_name(answer):
    return is_good_426(answer.replace(b"X-", b""))


@pytest.mark.parametrize(
    "name, answer, words",
    [
        ("fallback", lambda method, target: fallback("GET", target), "the load balancer sends a GET"),
        ("fallback", lambda method, target: fallback(method.upper(), target), "methods are case-sensitive"),
        ("is_good_426", any_word_of_the_first_line, "the status is 400"),
        ("is_good_426", any_name, "X-Upgrade is another header"),
        ("fallback", lambda method, target: fallback(method, target[:7]), "it is another path"),
        ("fallback", lambda method, target: fallback(method, target + "!"), "must return (200, []), not (426, ["),
        ("fallback", lambda method, target: (426, ["Upgrade: websocket"]), "must return (200, []), not (426, ["),
        ("is_good_426", by_search, "the blank after a colon is optional (RFC 9112 §5)"),
        ("is_good_426", body_too, "Upgrade is in the body"),
        ("is_good_426", lambda answer: True, "the status is 400"),
        ("is_good_426", lambda answer: is_good_426(answer.replace(b"websockets", b"websocket")), "another protocol"),
    ],
)
def test_a_wrong_answer_is_refused_with_its_fault(name, answer, words):
    assert words in refusal(name, answer, "ch05")


@pytest.mark.parametrize(
    "request_bytes, good", [(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", True), (upgrade(Upgrade="h2c"), False)]
)
def test_the_servers_own_426_is_good_and_its_400_is_not(serve, request_bytes, good):
    with connected(serve(Echo), None) as client:
        client.send(request_bytes)
        assert is_good_426(client.rest()) == good
