"""The gallery, chapters 6 to 11: what goes wrong once the handshake is right.

Each server is :class:`~wsref.check.gallery.Good` with one mistake, of those that people
make: most of them can be found in the issues of some project.
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Any, ClassVar

from ..codec import CONTINUATION
from .reference import Gone, Good


class OneAtATime(Good):
    """One client at a time."""

    symptom = "the first tab works; the second hangs until the first is closed"
    bug = "accept and serve in one loop, without a thread for each client"
    fails = ("10.clients.[mot]*",)
    sometimes = ("1.*", "11.limits.survives")  # whose turn it is

    turn = threading.Lock()

    def handle(self) -> None:
        """When it is our turn."""
        with self.turn:
            super().handle()


class GlobalMessage(Good):
    """The message so far is kept for all clients together."""

    symptom = "under load, people get parts of each other's messages"
    bug = "a class attribute, or a global, holds the fragments so far"
    fails = ("10.clients.fragments",)
    sometimes = ("10.survives.*-in-message",)

    shared: ClassVar[dict[str, Any]] = {}

    def handle(self) -> None:
        """A new client, an empty message."""
        self.shared.clear()
        super().handle()

    def on_data(self, fin: bool, rsv: int, opcode: int, payload: bytes) -> None:
        """From what all clients share, and back."""
        if "opcode" in self.shared:
            self.opcode, self.message = self.shared["opcode"], self.shared["message"]
        elif opcode == CONTINUATION:
            self.opcode = 0
        super().on_data(fin, rsv, opcode, payload)
        self.shared.update(opcode=self.opcode, message=self.message)


class OneLock(Good):
    """All sends wait for one lock."""

    symptom = "when one user closes the lid of a laptop, everybody's chat freezes"
    bug = "one lock for all clients is held while sendall waits for one that does not read"
    fails = ("10.clients.one-does-not-read",)

    sending = threading.Lock()

    def send(self, data: bytes) -> None:
        """One after the other."""
        with self.sending:
            super().send(data)


class DiesOnReset(Good):
    """A connection that is reset ends the server."""

    symptom = "after a while the server is gone, with ConnectionResetError in the log"
    bug = "the exception of one connection ends the loop that serves all"
    fails = (
        "10.survives.rst-in-head",
        "10.survives.rst-at-once",
        "10.survives.rst-in-header",
        "10.survives.rst-in-frame",
        "10.survives.rst-in-message",
    )
    sometimes = ("*",)

    def handle(self) -> None:
        """If there is somebody to; half a second later somebody has started it again."""
        if time.monotonic() > getattr(self.server, "dead_until", 0):
            super().handle()

    def receive(self) -> bytes:
        """Whatever comes next."""
        try:
            return super().receive()
        except ConnectionError:
            self.server.dead_until = time.monotonic() + 0.5  # type: ignore[attr-defined]
            raise


class WaitsAtTheEnd(Good):
    """The end of TCP is not noticed."""

    symptom = "after some tabs were closed, a processor is busy for ever"
    bug = "recv returns b'' at the end of TCP, and the loop asks again"
    fails = ("1.cut.head", "10.eof.*")

    def receive(self) -> bytes:
        """Until something comes (a real one would not sleep)."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                return super().receive()
            except Gone:
                time.sleep(0.05)
        raise Gone


class EndIsUrgent(Good):
    """What came before a FIN is thrown away."""

    symptom = "scripts that send and hang up get no answer"
    bug = "when the end of TCP is seen, what is still in the buffer is forgotten"
    fails = ("10.half-close.replies",)

    def receive(self) -> bytes:
        """And whether that was all."""
        data = super().receive()
        self.request.settimeout(0.05)
        with contextlib.suppress(TimeoutError):
            data += super().receive()
        self.request.settimeout(None)
        return data


class AnyPath(Good):
    """Every path is served."""

    symptom = "a typing error in a URL is found when nothing comes back"
    bug = "the path is not looked at"
    fails = ("10.path.unknown",)

    def is_served(self, path: str) -> bool:
        """Why not."""
        return True
