"""The words of a check."""

from __future__ import annotations

import pytest

from wsref.exercises.expect import Wrong, call, expect, expect_error


def empties_and_returns(items):
    items.clear()


def empties_and_fails(items):
    items.clear()
    raise KeyError("x")


@pytest.mark.parametrize(
    ("check", "answer"),
    [
        (call, empties_and_fails),
        (lambda *arguments: expect(*arguments, gives=1), empties_and_returns),
        (lambda *arguments: expect_error(*arguments, raises=EOFError), empties_and_returns),
        (lambda *arguments: expect_error(*arguments, raises=EOFError), empties_and_fails),
    ],
)
def test_a_message_shows_the_arguments_before_the_answer_changed_them(check, answer):
    with pytest.raises(Wrong) as caught:
        check(answer, [1, 2])
    assert str(caught.value).startswith(f"{answer.__name__}([1, 2]) ")
