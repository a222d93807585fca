"""Checks of chapter 10: many clients."""

from __future__ import annotations

from typing import Any

from .. import Chat, Delivery, connect
from .expect import expect, expect_event, receive, serving


def check_Whisper(theirs: Any) -> None:  # noqa: N802
    """Let Ann speak to Bob, to nobody and to everyone, while Cid listens."""
    with serving(theirs) as url, connect(f"{url}/?name=Ann") as ann:
        receive(ann)  # "Ann has joined": her on_open has run, so Bob comes after her
        with connect(f"{url}/?name=Bob") as bob:
            receive(bob)
            with connect(f"{url}/?name=Cid") as cid, connect(f"{url}/elsewhere?name=Bob"):
                receive(cid)
                receive(bob), receive(ann), receive(ann)
                ann.send("/to Bob hello\nthere, you")
                after = r"'/to Bob hello\nthere, you' from Ann"
                expect_event("Bob", bob, "'Ann (to you): hello there, you'", after)
                ann.send("/to Eve hello")
                expect_event("Ann", ann, "'* there is no Eve here'", "'/to Bob ...' and '/to Eve hello' from Ann")
                ann.send("/together now")
                for who, ws in (("Ann", ann), ("Bob", bob), ("Cid", cid)):
                    expect_event(who, ws, "'Ann: /together now'", "'/together now' from Ann, and private words")


def check_not_reached(theirs: Any) -> None:
    """Deliver to some, keep for some, drop some."""

    def members(*names: str) -> list[Chat]:
        found = [Chat.__new__(Chat) for _ in names]  # without a connection
        for member, name in zip(found, names, strict=True):
            member.nick = name
        return found

    nobody: Delivery[Chat] = Delivery()
    everyone = Delivery(sent=members("Ann"), kept=members("Bob"), dropped=members("Eve", "Cid"))
    for delivery, names in ((nobody, []), (everyone, ["Cid", "Eve"])):
        expect(theirs, delivery, gives=names)
