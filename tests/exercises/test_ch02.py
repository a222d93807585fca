"""The exercises of chapter 2."""

from __future__ import annotations

import ch02
import pytest
from rawclient import connected, upgrade

from wsref.protocol.http11 import Headers, Request, build_request, parse_request


@pytest.mark.parametrize("connection", ch02.TAKEN)
def test_a_word_that_is_found_anywhere_is_found_where_it_is_not_meant(connection):
    assert ch02.found_in(connection) and not ch02.named(connection)


@pytest.mark.parametrize("connection", ch02.REFUSED)
def test_who_compares_with_one_word_knows_one_browser(connection):
    assert ch02.named(connection) and not ch02.equals(connection)


def test_a_proxy_passes_on_what_is_not_for_it_alone():
    fields = [("Host", "a"), ("Connection", "keep-alive, Upgrade, X-Mine"), ("Upgrade", "websocket")]
    fields += [("Keep-Alive", "timeout=5"), ("X-Mine", "1"), ("Sec-WebSocket-Version", "13")]
    passed = ch02.forwarded(Request("GET", "/chat", (1, 1), Headers(fields)))
    assert passed == Request("GET", "/chat", (1, 1), Headers([("Host", "a"), ("Sec-WebSocket-Version", "13")]))


def test_what_comes_through_such_a_proxy_gets_426(serve):
    request, _ = parse_request(upgrade())
    with connected(serve(), None) as client:
        client.send(build_request(ch02.forwarded(request)))
        assert client.head().startswith("HTTP/1.1 426 ")
