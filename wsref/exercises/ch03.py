"""Checks of chapter 3: validation."""

from __future__ import annotations

import base64
import re
from typing import Any

from .expect import Wrong, call, expect, show

_KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def check_is_valid_key(theirs: Any) -> None:
    """Try keys of other lengths, other characters, and other padding."""
    expect(theirs, _KEY, gives=True)
    expect(theirs, "+/" * 10 + "+w==", gives=True, why="+ and / are base64 (RFC 4648 §4)")
    for size in (0, 15, 17, 18):
        expect(theirs, base64.b64encode(bytes(size)).decode(), gives=False, why=f"it is {size} bytes in base64")
    expect(theirs, _KEY[:-2], gives=False, why="its padding is missing (RFC 4648 §4)")
    for key in (
        "please-let-me-in-already",
        _KEY[:4] + "-" + _KEY[4:],
        _KEY + " ",
        _KEY + "\n",
        _KEY[:-3] + "é==",
        "=" * 24,
    ):
        expect(theirs, key, gives=False, why="it is not base64")


def check_article_only_key(theirs: Any) -> None:
    """Apply both rules."""
    key = call(theirs)
    if not isinstance(key, str) or len(key) != 24:
        raise Wrong(f"article_only_key() must return a string of 24 characters, not {show(key)}")
    if re.fullmatch("[+/0-9A-Za-z]{22}==", key):
        raise Wrong(f"{key!r} is 16 bytes in base64: RFC 6455 accepts it too")


def check_refusal(theirs: Any) -> None:
    """Break no rule, one, the other, and both."""
    name = "sec-websocket-protocol"
    get, chat = "the method must be GET", "chat.v1 must be offered"
    expect(theirs, "GET", {name: ["chat.v1"]}, gives=None)
    expect(theirs, "GET", {"host": ["a"]}, gives=(400, [chat]))
    expect(theirs, "POST", {name: ["chat.v1"]}, gives=(405, [get]))
    expect(theirs, "get", {name: ["chat.v1"]}, gives=(405, [get]), why="methods are case-sensitive (RFC 9110 §9.1)")
    expect(theirs, "POST", {name: ["soap"]}, gives=(405, [get, chat]))
    expect(theirs, "GET", {name: ["soap,\tchat.v1 , mqtt"]}, gives=None, why="the header is a list (RFC 6455 §11.3.4)")
    expect(
        theirs,
        "GET",
        {name: ["soap", "chat.v1"]},
        gives=None,
        why="the list may be on several lines (RFC 6455 §11.3.4)",
    )
    expect(theirs, "GET", {name: ["chat.v10"]}, gives=(400, [chat]), why="chat.v10 is another subprotocol")
    expect(theirs, "GET", {name: ["Chat.v1"]}, gives=(400, [chat]), why="names are case-sensitive")
