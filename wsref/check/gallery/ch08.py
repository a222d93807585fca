"""The gallery, chapters 6 to 11: what goes wrong once the handshake is right.

Each server is :class:`~wsref.check.gallery.Good` with one mistake, of those that people
make: most of them can be found in the issues of some project.
"""

from __future__ import annotations

import contextlib
import struct

from ..codec import CLOSE
from .reference import Failure, Gone, Good


class NeverCloses(Good):
    """A Close is ignored."""

    symptom = "a page's ws.close() takes very long, and ends with wasClean false and 1006"
    bug = "the opcode 8 is not handled"
    fails = (
        "8.close.empty",
        "8.close.1000",
        "8.close.reason",
        "8.close.reason-*",
        "8.close.byte-by-byte",
        "8.close.inside-message",
        "8.code.good-*",
        "8.code.bad-*",
        "8.payload.one-byte",
        "8.payload.reason-*",
        "8.tcp.ends",
        "8.tcp.ends-empty",
        "8.tcp.ends-inside-message",
        "8.tcp.ends-after-ping",
        "8.after.discarded",
    )

    def on_frame(self, fin: bool, rsv: int, opcode: int, payload: bytes) -> bool:
        """All but Closes."""
        return opcode == CLOSE or super().on_frame(fin, rsv, opcode, payload)


class HangsUp(Good):
    """A Close is answered by the end of TCP."""

    symptom = "every onclose has wasClean false and the code 1006"
    bug = "TCP is closed without a Close in response"
    fails = (
        "8.close.empty",
        "8.close.1000",
        "8.close.reason",
        "8.close.reason-*",
        "8.close.byte-by-byte",
        "8.close.inside-message",
        "8.code.good-*",
    )

    def on_close(self, payload: bytes) -> None:
        """Goodbye."""


class LeavesTcpOpen(Good):
    """After the Closes TCP stays open."""

    symptom = "onclose comes seconds after close(); the server's sockets pile up"
    bug = "the server waits for the client to end TCP, and the client for the server"
    fails = ("1.close.asked", "5.close.kept", "8.tcp.*", "8.failing.ends-tcp")

    def hang_up(self) -> None:
        """Wait for the client's FIN, for half a minute."""
        with contextlib.suppress(OSError):
            self.request.settimeout(30)
            while self.request.recv(65536):
                pass


class Echoes1005(Good):
    """A Close without a code is answered with 1005."""

    symptom = "browsers show 1002 or 1006 after close() without arguments"
    bug = "1005, which means that there was no code, is sent as a code"
    fails = ("8.code.empty-is-not-1005",)

    def on_close(self, payload: bytes) -> None:
        """With some code."""
        if payload:
            super().on_close(payload)
        else:
            self.send_frame(CLOSE, struct.pack("!H", 1005))


class EchoesAnyCode(Good):
    """The payload of a Close is sent back as it is."""

    symptom = "nothing, from clients that keep the rules"
    bug = "a Close's payload is echoed unchecked, whatever its code"
    fails = (
        "8.code.never-*",
        "8.code.bad-*",
        "8.payload.one-byte",
        "8.payload.reason-*",
    )

    def check_close(self, payload: bytes) -> None:
        """Fine."""


class Always1000(Good):
    """Every Close is answered with 1000."""

    symptom = "onclose says 1000, whatever the page has said"
    bug = "the code of a Close is neither checked nor echoed"
    fails = (
        "8.close.same-code",
        "8.code.bad-*",
        "8.payload.one-byte",
        "8.payload.reason-*",
    )

    def on_close(self, payload: bytes) -> None:
        """A normal closure."""
        self.send_frame(CLOSE, struct.pack("!H", 1000))


class UnpacksNothing(Good):
    """A Close without a code is an error."""

    symptom = "close() without arguments ends with 1006; close(1000) is fine"
    bug = "the code is unpacked from a payload that has none, and the exception ends the connection"
    fails = ("8.close.empty",)

    def on_close(self, payload: bytes) -> None:
        """With its code."""
        if len(payload) < 2:
            raise Gone
        super().on_close(payload)


class OldCodes(Good):
    """Only the codes of 2011 are known."""

    symptom = "clients that close with 1012, or with a code of their own, get 1002"
    bug = "the table of codes ends at 1011"
    fails = (
        "8.close.same-code",
        "8.code.taken-*",
    )

    def may_travel(self, code: int) -> bool:
        """As in RFC 6455 §7.4.1."""
        return super().may_travel(code) and code <= 1011


class CloseOvertakes(Good):
    """A Close is answered before what came before it."""

    symptom = "the last answers before close() are missing, now and then"
    bug = "messages wait in a queue, and the Close does not"
    fails = (
        "8.after.a-message",
        "8.after.messages",
    )

    def handle(self) -> None:
        """With a queue."""
        self.queue: list[tuple[int, bytes]] = []
        super().handle()

    def on_message(self, opcode: int, message: bytes) -> None:
        """Later."""
        self.queue.append((opcode, message))

    def receive(self) -> bytes:
        """First what waits."""
        queue, self.queue = self.queue, []
        for opcode, message in queue:
            super().on_message(opcode, message)
        return super().receive()

    def fail(self, failure: Failure) -> None:
        """First what waits."""
        for opcode, message in self.queue:
            super().on_message(opcode, message)
        super().fail(failure)


class TalksAfterClose(Good):
    """After its Close the server goes on."""

    symptom = "browsers log errors after close(), if a message was on its way"
    bug = "the loop over the frames in the buffer does not stop at a Close"
    fails = (
        "8.after.no-data",
        "8.after.one-close",
    )

    def on_frame(self, fin: bool, rsv: int, opcode: int, payload: bytes) -> bool:
        """All that is in the buffer."""
        goes_on = super().on_frame(fin, rsv, opcode, payload)
        if not goes_on:
            with contextlib.suppress(Gone, Failure):
                self.request.settimeout(0.05)
                while True:
                    super().on_frame(*self.read_frame())
        return goes_on


class FailsSilently(Good):
    """A broken rule ends TCP."""

    symptom = "whoever writes a client sees 1006, and has to guess"
    bug = "no Close is sent when the connection is failed"
    fails = (
        "8.failing.with-*",
        "8.failing.1009-size",
    )

    def fail(self, failure: Failure) -> None:
        """Without a word."""


class FailsWith1000(Good):
    """A broken rule is a normal closure."""

    symptom = "whoever writes a client sees 1000, and finds nothing wrong"
    bug = "the connection is failed with Close 1000"
    fails = (
        "8.code.bad-*",
        "8.payload.*",
        "8.failing.1002-*",
        "8.failing.1007-*",
        "8.failing.1009-size",
    )

    def fail(self, failure: Failure) -> None:
        """As if nothing was."""
        super().fail(Failure(1000, str(failure)))


class FailsAndWaits(Good):
    """After a broken rule TCP stays open."""

    symptom = "sockets of clients that broke a rule pile up"
    bug = "after the Close that fails the connection, the server waits for the client to end TCP"
    fails = ("8.failing.ends-tcp",)

    def fail(self, failure: Failure) -> None:
        """And wait."""
        super().fail(failure)
        with contextlib.suppress(OSError):
            self.request.settimeout(30)
            while self.request.recv(65536):
                pass


class GoesOnAfterFailing(Good):
    """After a broken rule the next frames are read."""

    symptom = "a client that broke a rule gets a Close, and then answers"
    bug = "a Close with 1002 is sent, and the loop goes on"
    fails = ("8.failing.nothing-more",)

    def read_frame(self) -> tuple[bool, int, int, bytes]:
        """The next that is right."""
        while True:
            try:
                return super().read_frame()
            except Failure as failure:
                self.fail(failure)
                if len(self.buffer) >= 5 and self.buffer[0] & 0x80:
                    self.take(4 + (self.take(1)[0] & 0x7F))

    def on_frame(self, fin: bool, rsv: int, opcode: int, payload: bytes) -> bool:
        """And go on."""
        try:
            return super().on_frame(fin, rsv, opcode, payload)
        except Failure as failure:
            self.fail(failure)
            return opcode != CLOSE
