"""The exercises of chapter 8."""

from __future__ import annotations

import ch08
import pytest

import wsref


@pytest.mark.parametrize(
    "code, clean, words",
    [(1000, True, "All was said."), (1006, False, "lost"), (1001, True, "went away"), (4000, True, "(4000)")],
)
def test_people_are_told(code, clean, words):
    assert words in ch08.told(code, clean)


def test_the_fourth_message_comes_too_late(serve):
    with wsref.connect(serve(ch08.ThreeOnly).url) as ws:
        for number in range(3):
            ws.send("x")
            assert ws.recv() == f"{number + 1} of 3"
        with pytest.raises(wsref.ConnectionClosed):
            ws.recv()
    assert (ws.closed.code, ws.closed.reason, ws.closed.was_clean) == (4000, "that was the third", True)
