"""The exercises of chapter 10."""

from __future__ import annotations

import ch10

import wsref


def test_a_private_word_reaches_one_and_no_other(serve):
    url = serve(ch10.Whisper).url
    with wsref.connect(f"{url}/?name=Ann") as ann:
        assert "Ann has joined" in ann.recv()  # her on_open has run; after the 101 alone, Bob may be faster
        with wsref.connect(f"{url}/?name=Bob") as bob:
            assert "Bob has joined" in ann.recv()
            assert "Bob has joined" in bob.recv()
            ann.send("/to Bob hello\nthere")
            assert bob.recv() == "Ann (to you): hello there"
            ann.send("/to Eve hello")
            assert ann.recv() == "* nobody is called Eve"
            ann.send("to all")
            assert ann.recv() == bob.recv() == "Ann: to all"


def test_who_was_dropped_is_named():
    assert ch10.missed(wsref.Delivery()) == []
    handler = ch10.Whisper.__new__(ch10.Whisper)
    handler.nick = "Cid"
    assert ch10.missed(wsref.Delivery(dropped=[handler])) == ["Cid"]
