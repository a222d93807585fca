"""Solutions of the exercises of chapter 10."""

from wsref import Chat, Delivery


class Whisper(Chat):
    """A chat with ``/to NICK WORDS``."""

    def on_message(self, message: str | bytes) -> None:
        """To one, or to all."""
        if not isinstance(message, str) or not message.startswith("/to "):
            return super().on_message(message)
        _, nick, words = (*message.split(" ", 2), "")[:3]
        there = [other for other in self.room() if other.nick == nick]
        line = f"{self.nick} (to you): {' '.join(words.splitlines())}"
        self.server.broadcast(line if there else f"* nobody is called {nick}", to=there or [self])


def missed(delivery: Delivery) -> list[str]:
    """Nicks of those for whom it was dropped."""
    return sorted(handler.nick for handler in delivery.dropped if isinstance(handler, Chat))
