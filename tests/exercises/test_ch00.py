"""The exercises of chapter 0."""

from __future__ import annotations

import itertools
import random

import pytest
from answers import refusal

import wsref


def status_only(url):
    try:
        wsref.connect(url).close()
    except wsref.HandshakeFailed as error:
        return f"refused: {error.status}"
    except OSError:
        return "no server"
    return "open"


def always_404(url):
    return status_only(url).replace("503", "404").replace("refused: 0", "not HTTP")


def jitter(longest):
    for n in itertools.count():
        yield min(5 * 2**n, longest) * random.uniform(0.9, 1)


def unlimited(longest):
    return (random.uniform(0, 5 * 2**n) for n in itertools.count())


def never_longer(longest):
    return (random.uniform(0, 5) for _ in itertools.count())


@pytest.mark.parametrize(
    "name, answer, words",
    [
        ("connect_result", status_only, "must return 'not HTTP', not 'refused: 0': this is a mail server"),
        ("connect_result", always_404, "must return 'refused: 503', not 'refused: 404'"),
        ("connect_result", lambda url: wsref.connect(url).close() or "open", "raises HandshakeFailed: "),
        ("delays", jitter, "it must be random, anywhere from 0 to 5"),
        ("delays", unlimited, "delay 7 is from "),
        ("delays", never_longer, "delay 2 is from "),
        ("delays", lambda longest: iter([1.0]), "ends after 1 delays: it must go on without end"),
        ("delays", lambda longest: [1.0], "must return a generator: write it with yield"),
    ],
)
def test_a_wrong_answer_is_refused_with_its_fault(name, answer, words):
    assert words in refusal(name, answer, "ch00")
