"""The exercises of chapter 4."""

from __future__ import annotations

import base64
import hashlib

import ch04
import pytest
from rawclient import ACCEPT, KEY

from wsref.protocol.handshake import accept_key
from wsref.protocol.http11 import Headers, Request
from wsref.protocol.spec import GUID


def b64(data):
    return base64.b64encode(hashlib.sha1(data).digest()).decode()


@pytest.mark.parametrize(
    "accept, mistake",
    [
        (ACCEPT, "none: it is right"),
        (b64(base64.b64decode(KEY) + GUID.encode()), "the key was decoded first"),
        (b64(KEY.encode()), "the GUID is missing"),
        (b64((GUID + KEY).encode()), "the GUID comes first"),
        (b64((KEY + GUID.lower()).encode()), "the GUID is in lower case"),
        (b64((KEY + "\r\n" + GUID).encode()), "a line break stayed behind the key"),
        (hashlib.sha1((KEY + GUID).encode()).hexdigest(), "hex instead of base64"),
        (
            base64.b64encode(hashlib.sha1((KEY + GUID).encode()).hexdigest().encode()).decode(),
            "the digest's hex was put into base64",
        ),
        (ACCEPT.lower(), "another one"),
        ("", "another one"),
    ],
)
def test_each_mistake_is_told_by_its_answer(accept, mistake):
    assert ch04.diagnosed(KEY, accept) == mistake


def test_what_the_server_computes_is_no_mistake():
    key = base64.b64encode(bytes(range(16))).decode()
    assert ch04.diagnosed(key, accept_key(key)) == "none: it is right"


@pytest.mark.parametrize(
    "offer, chosen", [(["chat.v2", "chat.v1"], "chat.v2"), (["soap", "chat.v1"], "chat.v1"), (["soap"], None)]
)
def test_the_clients_order_decides(offer, chosen):
    request = Request("GET", "/", (1, 1), Headers([("Sec-WebSocket-Protocol", ", ".join(offer))]))
    assert ch04.client_chooses(request, ("chat.v1", "chat.v2")) == chosen
