"""The exercises of chapter 8."""

from __future__ import annotations

import pytest
from answers import refusal
from hypothesis import given
from hypothesis import strategies as st

from wsref import Connection, Role, WebSocketHandler
from wsref.exercises.solutions.ch08 import ThreeOnly, close_event, close_payload


def cut_in_a_character(code, reason):
    if code in (1005, 1006, 1015):
        raise ValueError
    return code.to_bytes(2, "big") + reason.encode()[:123]


KEY_ERROR = "close_payload(1005, '') must raise ValueError, not KeyError: 1005"


class CountsAllClientsTogether(ThreeOnly):
    def on_open(self):
        self.taken = self.together
        type(self).together += 1

    together = 0


class CountsTheLastClient(ThreeOnly):
    def on_open(self):
        type(self).taken = 0

    def on_message(self, message):
        type(self).taken += 1
        self.send(message)
        if self.taken == 3:
            self.close(4000, "that was the third")


class ClosesOnTheFourth(ThreeOnly):
    def on_message(self, message):
        if self.taken == 3:
            return self.close(4000, "that was the third")
        self.taken += 1
        self.send(message)


class Silent(WebSocketHandler):
    pass


class Fails(WebSocketHandler):
    def on_message(self, message):
        self.send(message)
        raise KeyError(message)


class Answers(ThreeOnly):
    def on_message(self, message):
        super().on_message(f"{self.taken + 1} of 3")


class OtherCode(ThreeOnly):
    def on_message(self, message):
        self.taken += 1
        self.send(message)
        if self.taken == 3:
            self.close(1000, "that was the third")


@pytest.mark.parametrize(
    "name, answer, words",
    [
        (
            "close_event",
            lambda payload: close_event(payload or None),
            "(1006, '', False): the Close carries no code (RFC 6455 §7.1.5)",
        ),
        ("close_event", lambda payload: (1000, "", True), "must return (4000, 'tschüs', True), not (1000, '', True)"),
        ("close_payload", cut_in_a_character, "61 whole characters fit into 123 bytes"),
        (
            "close_payload",
            lambda code, reason: close_payload(code, reason[:120]),
            "123 bytes of reason fit (RFC 6455 §5.5)",
        ),
        ("close_payload", lambda code, reason: close_payload(code if code < 1005 else 1000, reason), "must return "),
        ("close_payload", lambda code, reason: (code == 1005 and {}[code]) or close_payload(code, reason), KEY_ERROR),
        ("ThreeOnly", CountsAllClientsTogether, "the second client must get 'message 3', not Close 4000"),
        (
            "ThreeOnly",
            CountsTheLastClient,
            "the first client must get Close 4000 'that was the third', not 'message 4'",
        ),
        pytest.param(
            "ThreeOnly",
            ClosesOnTheFourth,
            "after 3 messages and 3 answers, the second client must get Close 4000 'that was the third', not nothing",
            marks=pytest.mark.slow,
        ),
        ("ThreeOnly", Answers, "the first client must get 'message 1', not '1 of 3'"),
        ("ThreeOnly", OtherCode, "must get Close 4000 'that was the third', not Close 1000"),
        pytest.param("ThreeOnly", Silent, "the first client must get 'message 1', not nothing", marks=pytest.mark.slow),
        ("ThreeOnly", Fails, "a hook of ThreeOnly raises KeyError: 'message 1'"),
    ],
)
def test_a_wrong_answer_is_refused_with_its_fault(name, answer, words):
    assert words in refusal(name, answer, "ch08")


@given(st.sampled_from([1000, 1001, 1011, 3000, 4999]), st.text(max_size=130))
def test_a_client_takes_the_payload_and_reads_the_same_event(code, reason):
    payload = close_payload(code, reason)
    client = Connection(Role.CLIENT)
    client.receive(bytes([0x88, len(payload)]) + payload)
    closed = client.next_event()
    assert (closed.code, closed.reason, closed.was_clean) == close_event(payload)
