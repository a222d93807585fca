"""The exercises of chapter 11."""

from __future__ import annotations

import hmac

import pytest
from answers import refusal

import wsref
from wsref import Echo, HTTPError
from wsref.exercises.ch11 import check_Ticketed
from wsref.exercises.solutions.ch11 import Ticketed, origins


class Open(Echo):
    ticket = "x"


class LetterByLetter(Echo):
    ticket = "a-word"

    def check_request(self, request):
        if request.query.get("ticket") != [self.ticket]:
            raise HTTPError(403, "no")


class Mentions(LetterByLetter):
    def check_request(self, request):
        if request.query.get("ticket") != [self.ticket]:  # better with compare_digest(a, b)
            raise HTTPError(403, "no")


def same(a, b):
    return hmac.compare_digest(a.encode(), b if isinstance(b, bytes) else b.encode())


class WithAFunction(Echo):
    ticket = "a-word"

    def check_request(self, request):
        if not same(request.query.get("ticket", [""])[0], self.ticket):
            raise HTTPError(403, "no")


class Blank(WithAFunction):
    ticket = "a word & ä"


class Binary(WithAFunction):
    ticket = b"a-word"


class NeedsOne(Echo):
    ticket = "a-word"

    def check_request(self, request):
        if request.query["ticket"] != [self.ticket]:
            raise HTTPError(403, "no")


class AsciiOnly(Echo):
    ticket = "a-word"

    def check_request(self, request):
        if not hmac.compare_digest(request.query.get("ticket", [""])[0], self.ticket):
            raise HTTPError(403, "no")


class Unauthorized(Ticketed):
    def check_request(self, request):
        try:
            super().check_request(request)
        except HTTPError:
            raise HTTPError(401, "no") from None


class Closed(Echo):
    ticket = "a-word"

    def check_request(self, request):
        raise HTTPError(403, "no")


@pytest.mark.parametrize(
    "name, answer, words",
    [
        ("Ticketed", Open, "a request of / must get 403, and it opens a WebSocket"),
        ("Ticketed", LetterByLetter, "use hmac.compare_digest"),
        ("Ticketed", Mentions, "use hmac.compare_digest"),
        ("Ticketed", NeedsOne, "a hook of Ticketed raises KeyError: 'ticket'"),
        ("Ticketed", AsciiOnly, "a hook of Ticketed raises TypeError: comparing strings with non-ASCII"),
        ("Ticketed", Unauthorized, "a request of / must get 403, not 401"),
        ("Ticketed", Closed, "a request with the right ticket must open a WebSocket, not get 403"),
        ("origins", lambda host, ports: [f"http://{host}:{port}" for port in ports], "must return ['http://app.exam"),
        ("origins", lambda host, ports: sorted(origins(host, ports)), "must return ['http://a', 'https://a:80', "),
    ],
)
def test_a_wrong_answer_is_refused_with_its_fault(name, answer, words):
    assert words in refusal(name, answer, "ch11")


@pytest.mark.parametrize("answer", [WithAFunction, Blank, Binary])
def test_the_ticket_and_the_comparison_may_be_written_otherwise(answer):
    check_Ticketed(answer)


def test_the_server_takes_the_origins(serve):
    url = serve(Echo, allowed_origins=origins("app.example", [443])).url
    wsref.connect(url, origin="https://app.example").close()
    with pytest.raises(wsref.HandshakeFailed, match="403"):
        wsref.connect(url, origin="https://app.example.evil")
