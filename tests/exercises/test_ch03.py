"""The exercises of chapter 3."""

from __future__ import annotations

import base64
import re

import pytest
from answers import refusal
from rawclient import KEY

from wsref.exercises.solutions import ch03
from wsref.protocol.handshake import RULES, violations
from wsref.protocol.http11 import Headers, Request


def forgiving(key):
    try:
        return len(base64.b64decode(key)) == 16
    except ValueError:
        return False


def by_pattern(key):
    return bool(re.match("^[+/0-9A-Za-z]{22}==$", key))  # $ also matches before a line feed at the end


def first_reason(method, headers):
    found = ch03.refusal(method, headers)
    return found and (found[0], found[1][:1])


def by_search(method, headers):
    found = ch03.refusal(method, headers)
    return None if "chat.v1" in str(headers) and method == "GET" else found


def first_line(method, headers):
    return ch03.refusal(method, {name: values[:1] for name, values in headers.items()})


@pytest.mark.parametrize(
    "name, answer, words",
    [
        ("is_valid_key", lambda key: len(key) == 24, "must return False, not True: it is 17 bytes in base64"),
        ("is_valid_key", by_pattern, "'dGhlIHNhbXBsZSBub25jZQ==\\n') must return False, not True: it is not base64"),
        ("refusal", lambda method, headers: ch03.refusal(method.upper(), headers), "methods are case-sensitive"),
        ("is_valid_key", forgiving, "must return False, not True: it is not base64"),
        (
            "is_valid_key",
            lambda key: len(base64.b64decode(key, validate=True)) == 16,
            "raises Error: Incorrect padding",
        ),
        ("is_valid_key", lambda key: True, "must return False, not True: it is 0 bytes in base64"),
        ("article_only_key", lambda: "short", "a string of 24 characters, not 'short'"),
        ("article_only_key", lambda: KEY, "RFC 6455 accepts it too"),
        ("refusal", first_reason, "(405, ['the method must be GET', 'chat.v1 must be offered']), not "),
        ("refusal", by_search, "chat.v10 is another subprotocol"),
        ("refusal", first_line, "the list may be on several lines (RFC 6455 §11.3.4)"),
        ("refusal", lambda method, headers: None, "must return (400, ['chat.v1 must be offered']), not None"),
    ],
)
def test_a_wrong_answer_is_refused_with_its_fault(name, answer, words):
    assert words in refusal(name, answer, "ch03")


@pytest.mark.parametrize(
    "key", [KEY, "please-let-me-in-already", "a" * 24, "=" * 24, "", KEY + " ", "dGhlIHNhbXBsZSBub25jZQ", "ä" * 24]
)
def test_the_solution_with_base64_says_what_the_servers_rule_says(key):
    request = Request("GET", "/", (1, 1), Headers([("Sec-WebSocket-Key", key)]))
    assert ch03.is_valid_key(key) == ("key" not in [rule.name for rule, _ in violations(RULES, request)])
