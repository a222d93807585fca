"""The exercises of chapter 10."""

from __future__ import annotations

import pytest
from answers import refusal

from wsref import Chat
from wsref.exercises.solutions.ch10 import Whisper, not_reached


class Loud(Chat):
    pass


class TwoLines(Whisper):
    def on_message(self, message):
        if not message.startswith("/to Bob "):
            return super().on_message(message)
        for member in self.room():
            if member.nick == "Bob":
                member.send(f"{self.nick} (to you): {message.removeprefix('/to Bob ')}")


class EveryoneIsTold(Whisper):
    def on_message(self, message):
        super().on_message(message)
        if message.startswith("/to Eve"):
            self.say("* there is no Eve here")


class TooEager(Whisper):
    def on_message(self, message):
        if message.startswith("/to") and not message.startswith("/to "):
            return self.say("* what?")
        super().on_message(message)


class InEveryRoom(Whisper):
    def on_message(self, message):
        if not message.startswith("/to "):
            return super().on_message(message)
        _, nick, words = " ".join(message.splitlines()).split(" ", 2)
        members = [member for member in self._members if member.nick == nick]
        line = f"{self.nick} (to you): {words}" if members else f"* there is no {nick} here"
        self.server.broadcast(line, to=members or [self])


class TextOnly(Whisper):
    def on_message(self, message):
        if message.startswith("/to "):
            return super().on_message(message)
        Chat.on_message(self, message)


@pytest.mark.parametrize(
    "name, answer, words",
    [
        ("Whisper", Loud, "Bob must get 'Ann (to you): hello there, you', not 'Ann: /to Bob hello there, you'"),
        ("Whisper", TwoLines, r"not 'Ann (to you): hello\nthere, you'"),
        ("Whisper", EveryoneIsTold, "Ann must get 'Ann: /together now', not '* there is no Eve here'"),
        ("Whisper", TextOnly, "a hook of Whisper raises TypeError: startswith first arg must be bytes"),
        pytest.param(
            "Whisper",
            InEveryRoom,
            "(the only Eve is in another room), Ann must get '* there is no Eve here', not nothing",
            marks=pytest.mark.slow,
        ),
        (
            "not_reached",
            lambda delivery: sorted(map(str, delivery.dropped)),
            "must return ['Cid', 'Eve'], not ['member C",
        ),
        ("Whisper", TooEager, "Ann must get 'Ann: /together now', not '* what?'"),
        ("not_reached", lambda delivery: [member.nick for member in delivery.dropped], "['Cid', 'Eve'], not ['Eve', "),
        ("not_reached", lambda delivery: sorted(not_reached(delivery) + [m.nick for m in delivery.kept]), "not ['Bob'"),
    ],
)
def test_a_wrong_answer_is_refused_with_its_fault(name, answer, words):
    assert words in refusal(name, answer, "ch10")
