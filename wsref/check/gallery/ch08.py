"""Chapter 8 of the gallery: closing."""

from __future__ import annotations

import contextlib
import struct

from ..codec import CLOSE
from .reference import Disconnected, Failure, ReferenceServer


class NeverCloses(ReferenceServer, case="8.close.empty"):
    symptom = "ws.close() of a page takes very long, and ends with wasClean false and 1006"
    bug = "it does not handle opcode 8"

    def on_frame(self, fin: bool, rsv: int, opcode: int, payload: bytes) -> bool:
        return opcode == CLOSE or super().on_frame(fin, rsv, opcode, payload)


class HangsUp(ReferenceServer, case="8.close.empty"):
    symptom = "every close event has wasClean false and the code 1006"
    bug = "it ends TCP without a Close in response"

    def on_close(self, payload: bytes) -> None:
        pass


class ClosesAtOnce(ReferenceServer, case="8.tcp.trailing-bytes"):
    symptom = "over a slow network, some clients report 1006 instead of the code that they sent"
    bug = "it closes the socket right after its Close, with unread bytes in it"

    def end_tcp(self) -> None:
        self.request.close()


class LeavesTcpOpen(ReferenceServer, case="8.tcp.ends"):
    symptom = "the close event comes seconds after close(), and the server keeps many open sockets"
    bug = "it waits for the client to end TCP, and the client waits for the server"

    def end_tcp(self) -> None:
        self.wait_for_the_end(30)


class Echoes1005(ReferenceServer, case="8.code.empty-is-not-1005"):
    symptom = "browsers show 1002 or 1006 after close() without arguments"
    bug = "it sends 1005, the code for a Close without a code"

    def on_close(self, payload: bytes) -> None:
        if payload:
            super().on_close(payload)
        else:
            self.send_frame(CLOSE, struct.pack("!H", 1005))


class Answers0(ReferenceServer, case="8.code.empty-in-range"):
    symptom = "close() without arguments ends with 1002 or 1006; close(1000) works"
    bug = "its code of an empty Close is 0, and it sends that back"

    def on_close(self, payload: bytes) -> None:
        if payload:
            super().on_close(payload)
        else:
            self.send_frame(CLOSE, bytes(2))


class EchoesAnyCode(ReferenceServer, case="8.code.never-1005"):
    symptom = "no symptom with correct clients"
    bug = "it echoes the payload of a Close unchecked, with any code"

    def check_close(self, payload: bytes) -> None:
        pass


class Always1000(ReferenceServer, case="8.close.same-code"):
    symptom = "the close event always has 1000, even if the page sent another code"
    bug = "it neither checks nor echoes the code of a Close"

    def on_close(self, payload: bytes) -> None:
        self.send_frame(CLOSE, struct.pack("!H", 1000))


class UnpacksNothing(ReferenceServer, case="8.close.empty"):
    symptom = "close() without arguments ends with 1006; close(1000) works"
    bug = "it unpacks the code from an empty payload, and the exception ends the connection"

    def on_close(self, payload: bytes) -> None:
        if len(payload) < 2:
            raise Disconnected
        super().on_close(payload)


class OldCodes(ReferenceServer, case="8.close.same-code"):
    symptom = "clients that close with 1012, or with a private code, get 1002"
    bug = "its table of codes ends at 1011"

    def is_valid_close_code(self, code: int) -> bool:
        return super().is_valid_close_code(code) and code <= 1011


class CloseOvertakes(ReferenceServer, case="8.after.a-message"):
    symptom = "sometimes the last answers before close() are missing"
    bug = "it queues messages, but answers the Close at once"

    def handle(self) -> None:
        self.queue: list[tuple[int, bytes]] = []
        super().handle()

    def on_message(self, opcode: int, message: bytes) -> None:
        self.queue.append((opcode, message))

    def receive(self) -> bytes:
        queue, self.queue = self.queue, []
        for opcode, message in queue:
            super().on_message(opcode, message)
        return super().receive()

    def fail(self, failure: Failure) -> None:
        for opcode, message in self.queue:
            super().on_message(opcode, message)
        super().fail(failure)


class TalksAfterClose(ReferenceServer, case="8.after.no-data"):
    symptom = "browsers log errors after close() if another message was in transit"
    bug = "its loop over the frames in the buffer does not stop at a Close"

    def on_frame(self, fin: bool, rsv: int, opcode: int, payload: bytes) -> bool:
        goes_on = super().on_frame(fin, rsv, opcode, payload)
        if not goes_on:
            with contextlib.suppress(Disconnected, Failure):
                self.request.settimeout(0.05)
                while True:
                    super().on_frame(*self.read_frame())
        return goes_on


class FailsSilently(ReferenceServer, case="8.failing.with-a-close"):
    symptom = "the author of a client sees 1006, and must guess the reason"
    bug = "it sends no Close when it fails the connection"

    def fail(self, failure: Failure) -> None:
        pass


class FailsWith1000(ReferenceServer, case="8.code.bad-0"):
    symptom = "the author of a client sees 1000, and finds no fault"
    bug = "it fails the connection with Close 1000"

    def fail(self, failure: Failure) -> None:
        super().fail(Failure(1000, str(failure)))


class FailsAndWaits(ReferenceServer, case="8.failing.ends-tcp"):
    symptom = "the server keeps many sockets of clients that broke a rule"
    bug = "after a failing Close, it waits for the client to end TCP"

    def fail(self, failure: Failure) -> None:
        super().fail(failure)
        self.wait_for_the_end(30)


class GoesOnAfterFailing(ReferenceServer, case="8.failing.nothing-more"):
    symptom = "a client that broke a rule gets a Close, and then more answers"
    bug = "it sends a Close with 1002, and its loop continues"

    def read_frame(self) -> tuple[bool, int, int, bytes]:
        while True:
            try:
                return super().read_frame()
            except Failure as failure:
                self.fail(failure)
                if len(self.buffer) >= 5 and self.buffer[0] & 0x80:
                    self.read_exactly(4 + (self.read_exactly(1)[0] & 0x7F))

    def on_frame(self, fin: bool, rsv: int, opcode: int, payload: bytes) -> bool:
        try:
            return super().on_frame(fin, rsv, opcode, payload)
        except Failure as failure:
            self.fail(failure)
            return opcode != CLOSE
