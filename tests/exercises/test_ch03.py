"""The exercises of chapter 3."""

from __future__ import annotations

import ch03
import pytest
from rawclient import KEY, connected, upgrade

from wsref.protocol.handshake import _is_key


@pytest.mark.parametrize(
    "key", [KEY, "please-let-me-in-already", "a" * 24, "=" * 24, "", KEY + " ", "dGhlIHNhbXBsZSBub25jZQ", "ä" * 24]
)
def test_the_solution_with_base64_says_what_the_servers_check_says(key):
    assert ch03.rfc_takes(key) == _is_key(key)


def test_the_articles_check_takes_more():
    assert ch03.article_takes("please-let-me-in-already")
    assert not _is_key("please-let-me-in-already")


@pytest.mark.parametrize(
    "request_bytes, status",
    [
        (upgrade(Sec_WebSocket_Protocol="chat.v1"), "101 "),
        (upgrade(), "400 "),
        (upgrade(Sec_WebSocket_Protocol="chat.v1").replace(b"GET", b"POST"), "405 "),
        (upgrade().replace(b"GET", b"POST"), "405 "),
    ],
)
def test_a_rule_of_ones_own_and_405_for_another_method(serve, request_bytes, status):
    with connected(serve(ch03.Choosy), None) as client:
        client.send(request_bytes)
        head = client.head()
        assert head.startswith("HTTP/1.1 " + status)
        assert ("Allow: GET" in head) == (status == "405 ")
