"""The exercises of chapter 5."""

from __future__ import annotations

import ch05
import pytest
from rawclient import connected, upgrade

from wsref import Echo
from wsref.protocol.http11 import build_response, parse_request


@pytest.mark.parametrize(
    "line, status",
    [("GET /health", 200), ("GET /", 426), ("POST /health", 426), ("GET /healthy", 426)],
)
def test_a_load_balancer_is_told_that_it_lives(line, status):
    request, _ = parse_request(f"{line} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    response = ch05.fallback(request)
    assert response.status == status
    assert (response.body == b"ok\n") == (status == 200)
    assert ch05.is_a_good_426(build_response(response)) == (status == 426)


def test_our_426_is_a_good_one_and_others_are_not(serve):
    with connected(serve(Echo), None) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = client.rest()
    assert ch05.is_a_good_426(answer)
    assert not ch05.is_a_good_426(answer.replace(b"Upgrade: websocket\r\n", b""))
    assert not ch05.is_a_good_426(answer.replace(b"Connection: Upgrade, close", b"Connection: close"))
    with connected(serve(Echo), None) as client:
        client.send(upgrade(Upgrade="h2c"))
        assert not ch05.is_a_good_426(client.rest())
