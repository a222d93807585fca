"""The exercises of chapter 4."""

from __future__ import annotations

import base64

import pytest
from answers import refusal

from wsref.exercises.solutions import ch04
from wsref.protocol.handshake import accept_key


def servers_order(lines, supported):
    return next((name for name in supported if name in ", ".join(lines).split(", ")), None)


def first_line(lines, supported):
    return ch04.client_chooses(lines[:1], supported)


def any_case(lines, supported):
    return ch04.client_chooses([line.lower() for line in lines], supported)


@pytest.mark.parametrize(
    "name, answer, words",
    [
        ("diagnose", lambda key, accept: "right", "must return 'other', not 'right'"),
        ("diagnose", lambda key, accept: ch04.diagnose(key, accept).replace("hex", "other"), "'hex', not 'other'"),
        ("diagnose", lambda key, accept: ch04.diagnose(accept, key), "must return 'right', not "),
        ("client_chooses", servers_order, "'chat.v2', not 'chat.v1': the client's order decides"),
        ("client_chooses", first_line, "the lines are one list (RFC 6455 §11.3.4)"),
        ("client_chooses", any_case, "names are case-sensitive"),
        ("client_chooses", lambda lines, supported: "chat.v2", "must return 'chat.v1', not 'chat.v2'"),
    ],
)
def test_a_wrong_answer_is_refused_with_its_fault(name, answer, words):
    assert words in refusal(name, answer, "ch04")


def test_the_servers_own_answer_is_right():
    key = base64.b64encode(bytes(range(16))).decode()
    assert ch04.diagnose(key, accept_key(key)) == "right"
