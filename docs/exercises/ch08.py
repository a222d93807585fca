"""Solutions of the exercises of chapter 8."""

from wsref import WebSocketHandler


def told(code: int, was_clean: bool) -> str:
    """What to tell people about the end of a connection.

    >>> told(1000, True)
    'All was said.'
    >>> told(1006, False)
    'The connection was lost.'
    """
    if not was_clean:
        return "The connection was lost."
    words = {
        1000: "All was said.",
        1001: "The server went away.",
        1005: "The server closed, and did not say why.",
        1009: "The message was too long.",
        1011: "The server failed.",
        1012: "The server is being restarted.",
    }
    return words.get(code, f"The server closed the connection ({code}).")


class ThreeOnly(WebSocketHandler):
    """Takes three messages."""

    taken = 0

    def on_message(self, message: str | bytes) -> None:
        """Count, and close."""
        self.taken += 1
        self.send(f"{self.taken} of 3")
        if self.taken == 3:
            self.close(4000, "that was the third")
