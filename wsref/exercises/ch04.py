"""Checks of chapter 4: complete_upgrade."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from .expect import expect

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def check_diagnose(theirs: Any) -> None:
    """Make each mistake, with two keys."""
    for key in ("dGhlIHNhbXBsZSBub25jZQ==", base64.b64encode(bytes(range(240, 256))).decode()):
        ascii_key = key.encode()
        for name, data in {
            "right": ascii_key + _GUID,
            "no GUID": ascii_key,
            "GUID first": _GUID + ascii_key,
            "lower case": ascii_key + _GUID.lower(),
            "decoded": base64.b64decode(key) + _GUID,
        }.items():
            accept = base64.b64encode(hashlib.sha1(data).digest()).decode()
            expect(theirs, key, accept, gives=name)
            expect(theirs, key, accept.swapcase(), gives="other")
        expect(theirs, key, hashlib.sha1(ascii_key + _GUID).hexdigest(), gives="hex")
        expect(theirs, key, "", gives="other")


def check_client_chooses(theirs: Any) -> None:
    """Offer lists in which the order, the line or the case decides."""
    supported = ["chat.v1", "chat.v2"]
    expect(theirs, ["chat.v2, chat.v1"], supported, gives="chat.v2", why="the client's order decides")
    expect(theirs, ["soap,chat.v1 ,\tmqtt"], supported, gives="chat.v1")
    expect(
        theirs,
        ["soap", "chat.v2", "chat.v1"],
        supported,
        gives="chat.v2",
        why="the lines are one list (RFC 6455 §11.3.4)",
    )
    expect(theirs, ["soap, chat.v10"], supported, gives=None)
    expect(theirs, ["CHAT.V1"], supported, gives=None, why="names are case-sensitive")
    expect(theirs, [], supported, gives=None)
