"""Exercises of chapter 8: closing.

Check them: python -m wsref exercise 8
"""

from wsref import WebSocketHandler


def close_event(payload: bytes | None) -> tuple[int, str, bool]:
    r"""Return code, reason and wasClean, as the close event tells them to a page.

    Args:
        payload: Of the server's valid Close, which the browser has answered; None: TCP has ended without a Close.

    >>> close_event(b"\x03\xe8bye"), close_event(None)
    ((1000, 'bye', True), (1006, '', False))
    """
    if payload is None:
        return 1006, "", False
    if not payload:
        return 1005, "", True
    return int.from_bytes(payload[:2], "big"), payload[2:].decode(), True


def close_payload(code: int, reason: str) -> bytes:
    r"""Return the payload of a Close frame: the code in two bytes, and the reason in UTF-8.

    A control frame has room for 125 bytes.  Shorten a longer reason to as many whole characters as fit.

    Raises:
        ValueError: The code is 1005, 1006 or 1015: these are never sent (RFC 6455 §7.4.1).

    >>> close_payload(4000, "€" * 42) == b"\x0f\xa0" + ("€" * 41).encode()
    True
    """
    if code in (1005, 1006, 1015):
        raise ValueError(f"a Close may not carry the code {code}")
    return code.to_bytes(2, "big") + reason.encode()[:123].decode(errors="ignore").encode()


class ThreeOnly(WebSocketHandler):
    """A handler that sends back the first three messages of each client.

    After the third it closes with the code 4000 and the reason "that was the third".
    """

    def on_open(self) -> None:
        """Begin to count."""
        self.taken = 0

    def on_message(self, message: str | bytes) -> None:
        """Send it back; close after the third."""
        self.taken += 1
        self.send(message)
        if self.taken == 3:
            self.close(4000, "that was the third")
