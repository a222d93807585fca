"""Exercises of chapter 10: many clients.

Check them: python -m wsref exercise 10
"""

from wsref import Chat, Delivery


class Whisper(Chat):
    """A chat in which "/to Bob hello" is seen by Bob alone.

    If Ann says that, Bob gets "Ann (to you): hello", as one line, like every message of the chat.  If
    the room has no member of that name, Ann alone gets "* there is no Bob here".  All other messages
    go to everyone, as before.  (self.nick is the name, self.room() lists the members.)
    """

    def on_message(self, message: str | bytes) -> None:
        """Send it to one, or to everyone."""
        if not isinstance(message, str) or not message.startswith("/to "):
            return super().on_message(message)
        _, nick, words = (*message.split(" ", 2), "")[:3]
        members = [member for member in self.room() if member.nick == nick]
        line = f"{self.nick} (to you): {words}" if members else f"* there is no {nick} here"
        self.server.broadcast(" ".join(line.splitlines()), to=members or [self])


def not_reached(delivery: Delivery[Chat]) -> list[str]:
    """Return the sorted names of the members that did not get a broadcast, and will not."""
    return sorted(member.nick for member in delivery.dropped)
