"""The client of the book's interlude: echo until the connection ends, then the next case."""

import sys

from wsref.steps.client import Client, HandshakeError


class Driver(Client):
    """Ends at the message "done"."""

    done = "/next" not in sys.argv[1]

    def send_frame(self, opcode: int, payload: bytes) -> None:
        """Send a frame, but no echo of "done"."""
        if payload == b"done":
            Driver.done = True
        else:
            super().send_frame(opcode, payload)


while True:
    try:
        Driver(sys.argv[1]).run()
    except (HandshakeError, OSError):
        pass  # the grader breaks rules on purpose
    if Driver.done:
        break
