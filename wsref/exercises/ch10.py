"""Checks of chapter 10: many clients."""

from __future__ import annotations

from typing import Any

from .. import Chat, Delivery, connect
from .expect import expect, expect_event, receive, serving


def check_Whisper(theirs: Any) -> None:  # noqa: N802
    """Let Ann speak to Bob, to an unknown name and to everyone, and in binary, while Cid listens."""
    with serving(theirs) as url, connect(f"{url}/?name=Ann") as ann:
        receive(ann)  # "Ann has joined": her on_open has run, so Bob comes after her
        with connect(f"{url}/?name=Bob") as bob:
            receive(bob)
            with connect(f"{url}/?name=Cid") as cid, connect(f"{url}/elsewhere?name=Eve") as eve:
                receive(eve), receive(cid)
                receive(bob), receive(ann), receive(ann)
                ann.send("/to Bob hello\nthere, you")
                after = r"'/to Bob hello\nthere, you' from Ann"
                expect_event("Bob", bob, "'Ann (to you): hello there, you'", after)
                ann.send("/to Eve hello")
                after = "'/to Bob ...' and '/to Eve hello' from Ann (the only Eve is in another room)"
                expect_event("Ann", ann, "'* there is no Eve here'", after)
                ann.send("/together now")
                for who, ws in (("Ann", ann), ("Bob", bob), ("Cid", cid)):
                    expect_event(who, ws, "'Ann: /together now'", "'/together now' from Ann, and private words")
                ann.send(b"/to Bob hello")
                expect_event("Ann", ann, "Close 1003 'the chat is text'", "a binary message, which Chat refuses")


class _Member(Chat, overrides_internals=True):
    """A member without a connection."""

    def __init__(self, nick: str) -> None:
        self.nick = nick

    def __repr__(self) -> str:
        return f"member {self.nick}"


def check_not_reached(theirs: Any) -> None:
    """Deliver to some, keep for some, drop some."""
    empty: Delivery[Chat] = Delivery()
    everyone: Delivery[Chat] = Delivery([_Member("Ann")], [_Member("Bob")], [_Member("Eve"), _Member("Cid")])
    for delivery, names in ((empty, []), (everyone, ["Cid", "Eve"])):
        expect(theirs, delivery, gives=names)
