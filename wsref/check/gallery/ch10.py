"""Chapter 10 of the gallery: many clients, and clients that vanish."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Any, ClassVar

from ..codec import CONTINUATION
from .reference import Disconnected, ReferenceServer


class OneAtATime(ReferenceServer, case="10.clients.two"):
    symptom = "the first tab works; the second one hangs until the first one is closed"
    bug = "it accepts and serves in one loop, without a thread for each client"

    turn = threading.Lock()

    def handle(self) -> None:
        with self.turn:
            super().handle()


class GlobalMessage(ReferenceServer, case="10.clients.fragments"):
    symptom = "under load, users get parts of the messages of others"
    bug = "it keeps the collected fragments in a class attribute or a global"

    shared: ClassVar[dict[str, Any]] = {}

    def handle(self) -> None:
        self.shared.clear()
        super().handle()

    def on_data(self, fin: bool, rsv: int, opcode: int, payload: bytes) -> None:
        if "opcode" in self.shared:
            self.opcode, self.message = self.shared["opcode"], self.shared["message"]
        elif opcode == CONTINUATION:
            self.opcode = 0
        super().on_data(fin, rsv, opcode, payload)
        self.shared.update(opcode=self.opcode, message=self.message)


class OneLock(ReferenceServer, case="10.clients.one-does-not-read"):
    symptom = "if one user closes a laptop, the chat freezes for all users"
    bug = "it holds one lock for all clients while sendall waits for a client that does not read"

    sending = threading.Lock()

    def send(self, data: bytes) -> None:
        with self.sending:
            super().send(data)


class HeadsInTurn(ReferenceServer, case="10.clients.one-stops-in-head"):
    symptom = "if one client hangs while it connects, no other client gets in; the connected ones do not notice"
    bug = "it reads the head in the accepting thread, before it starts a thread for the client"

    HEAD_TIMEOUT = 60.0  # seconds
    accepting = threading.Lock()

    def read_head(self) -> bytes:
        with self.accepting:
            return super().read_head()


class WaitsForTheFrame(ReferenceServer, case="10.clients.one-stops-in-frame"):
    symptom = "the chat freezes for all users while one on a bad line sends a long message"
    bug = "when a socket is readable, its event loop reads a whole frame with blocking calls"

    loop = threading.Lock()

    def read_exactly(self, size: int) -> bytes:
        if size and not self.buffer:
            self.buffer = self.receive()
        with self.loop:
            return super().read_exactly(size)


class DiesOnReset(ReferenceServer, case="10.survives.rst-in-head"):
    symptom = "after some time the server ends, with ConnectionResetError in the log"
    bug = "an exception of one connection ends the loop that serves all clients"

    def handle(self) -> None:
        if time.monotonic() > getattr(self.server, "dead_until", 0):
            super().handle()

    def receive(self) -> bytes:
        try:
            return super().receive()
        except ConnectionError:
            self.server.dead_until = time.monotonic() + 0.5  # type: ignore[attr-defined]
            raise


class WaitsAtTheEnd(ReferenceServer, case="10.eof.idle"):
    symptom = "after some tabs are closed, a processor stays busy"
    bug = "it reads again after recv returned b'' at the end of TCP"

    def receive(self) -> bytes:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                return super().receive()
            except Disconnected:
                time.sleep(0.05)
        raise Disconnected


class EndIsUrgent(ReferenceServer, case="10.half-close.replies"):
    symptom = "scripts that send messages and then FIN get no answer"
    bug = "at the end of TCP, it drops the bytes in the buffer"

    def receive(self) -> bytes:
        data = super().receive()
        self.request.settimeout(0.05)
        with contextlib.suppress(TimeoutError):
            data += super().receive()
        self.request.settimeout(None)
        return data


class AnyPath(ReferenceServer, case="10.path.unknown"):
    symptom = "a typing error in a URL shows only by missing answers"
    bug = "it does not check the request target"

    def is_served(self, path: str) -> bool:
        return True
