"""The exercises of chapter 3."""

from __future__ import annotations

import ch03
import pytest
from rawclient import KEY, upgrade

from wsref.protocol.errors import HTTPError
from wsref.protocol.handshake import RULES, violations
from wsref.protocol.http11 import Headers, Request, parse_request


def is_key(key):
    """What the server's rule says of it."""
    request = Request("GET", "/", (1, 1), Headers([("Sec-WebSocket-Key", key)]))
    return "key" not in [rule.name for rule, _ in violations(RULES, request)]


@pytest.mark.parametrize(
    "key", [KEY, "please-let-me-in-already", "a" * 24, "=" * 24, "", KEY + " ", "dGhlIHNhbXBsZSBub25jZQ", "ä" * 24]
)
def test_the_solution_with_base64_says_what_the_servers_check_says(key):
    assert ch03.rfc_takes(key) == is_key(key)


def test_the_articles_check_takes_more():
    assert ch03.article_takes("please-let-me-in-already")
    assert not is_key("please-let-me-in-already")


@pytest.mark.parametrize(
    "request_bytes, status",
    [
        (upgrade(Sec_WebSocket_Protocol="chat.v1"), None),
        (upgrade(), 400),
        (upgrade(Sec_WebSocket_Protocol="chat.v1").replace(b"GET", b"POST"), 405),
        (upgrade().replace(b"GET", b"POST"), 405),
    ],
)
def test_a_rule_of_ones_own_and_405_for_another_method(request_bytes, status):
    (request, _) = parse_request(request_bytes)
    if status is None:
        return ch03.validate_choosy(request)
    with pytest.raises(HTTPError) as refused:
        ch03.validate_choosy(request)
    assert refused.value.status == status
    assert (("Allow", "GET") in refused.value.headers) == (status == 405)
