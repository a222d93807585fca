"""Chapter 7 of the gallery: messages."""

from __future__ import annotations

import re

from ..codec import BINARY, CONTINUATION, PONG, TEXT, frame
from .reference import Failure, ReferenceServer


class OneByOne(ReferenceServer, case="7.fragments.two"):
    symptom = "a long message from Firefox comes back as several messages"
    bug = "it ignores FIN: every data frame is a message"

    def on_data(self, fin: bool, rsv: int, opcode: int, payload: bytes) -> None:
        if opcode == CONTINUATION and self.last and not self.done:
            opcode, self.opcode = self.last, 0
        self.last, self.done = (opcode or self.last), fin
        super().on_data(True, rsv, opcode, payload)

    last, done = 0, True


class LosesFragments(ReferenceServer, case="7.ping.inside-message"):
    symptom = "only the end of a long message comes back"
    bug = "it collects fragments with = instead of +="

    def on_data(self, fin: bool, rsv: int, opcode: int, payload: bytes) -> None:
        self.message = b""
        super().on_data(fin, rsv, opcode, payload)


class AnyText(ReferenceServer, case="7.utf8.overlong-2"):
    symptom = "sometimes a browser closes with 1007 because of an echo"
    bug = "it forwards text as bytes, without a check for UTF-8"

    def check_text(self, piece: bytes, last: bool) -> None:
        pass

    def check_beginning(self, payload: bytes) -> None:
        pass


class TextByFrame(ReferenceServer, case="7.utf8.split-2"):
    symptom = "long messages in Chinese sometimes close the connection with 1007; messages in English never do"
    bug = "it decodes each fragment separately, although a character may be split between two"

    def check_text(self, piece: bytes, last: bool) -> None:
        super().check_text(piece, True)


class LateText(ReferenceServer, case="7.utf8.fail-fast"):
    symptom = "no symptom: it is legal, but the server collects invalid messages"
    bug = "it checks UTF-8 only at FIN"

    def check_text(self, piece: bytes, last: bool) -> None:
        if last:
            self.decoder.reset()
            super().check_text(self.message if not self.compressed else piece, True)

    def check_beginning(self, payload: bytes) -> None:
        pass


class Surrogates(ReferenceServer, case="7.utf8.surrogate-first"):
    symptom = "a client that encodes UTF-16 strings by hand works here, but with no other server"
    bug = "it decodes with 'surrogatepass', which accepts ed a0 80"

    def check_text(self, piece: bytes, last: bool) -> None:
        super().check_text(re.sub(rb"\xed[\xa0-\xbf][\x80-\xbf]", b"", piece), last)


class AsciiOnly(ReferenceServer, case="7.utf8.80"):
    symptom = "an umlaut closes the connection"
    bug = "it decodes text as ASCII"

    def check_text(self, piece: bytes, last: bool) -> None:
        if not piece.isascii():
            raise Failure(1007, "not ASCII")


class ThreeBytesAtMost(ReferenceServer, case="7.utf8.10000"):
    symptom = "emoji close the connection"
    bug = "its hand-written UTF-8 decoder knows only forms of one to three bytes"

    def check_text(self, piece: bytes, last: bool) -> None:
        super().check_text(piece, last)
        if re.search(rb"[\xf0-\xf7]", piece):
            raise Failure(1007, "a character of four bytes")


class NoOddCharacters(ReferenceServer, case="7.utf8.nul"):
    symptom = "some messages come back shorter"
    bug = "it removes unprintable characters from messages"

    def on_message(self, opcode: int, message: bytes) -> None:
        if opcode == TEXT:
            message = "".join(filter(str.isprintable, message.decode())).encode()
        super().on_message(opcode, message)


class StripsTags(ReferenceServer, case="7.utf8.ascii"):
    symptom = "text in angle brackets disappears from messages"
    bug = "it removes HTML tags from messages; the page that shows a message must escape them"

    def on_message(self, opcode: int, message: bytes) -> None:
        super().on_message(opcode, re.sub(rb"<[a-z]+>", b"", message) if opcode == TEXT else message)


class NeverPongs(ReferenceServer, case="7.ping.hello"):
    symptom = "clients that send Pings close the connection after 20 seconds; browsers do not"
    bug = "it ignores Pings"

    def on_ping(self, payload: bytes) -> None:
        pass


class EmptyPongs(ReferenceServer, case="9.rsv1.own"):
    symptom = "clients that send Pings with a payload close the connection; others do not"
    bug = "its Pong does not have the Ping's payload"

    def on_ping(self, payload: bytes) -> None:
        super().on_ping(b"")


class LatePongs(ReferenceServer, case="7.ping.before-the-rest"):
    symptom = "during long uploads clients time out, although they send Pings"
    bug = "it queues control frames until the message is whole"

    def handle(self) -> None:
        self.waiting: list[bytes] = []
        super().handle()

    def on_ping(self, payload: bytes) -> None:
        self.waiting.append(payload)
        self.answer_pings()

    def on_data(self, fin: bool, rsv: int, opcode: int, payload: bytes) -> None:
        super().on_data(fin, rsv, opcode, payload)
        self.answer_pings()

    def answer_pings(self) -> None:
        while self.waiting and not self.opcode:
            super().on_ping(self.waiting.pop(0))


class PongsInFragments(ReferenceServer, case="7.ping.hello"):
    symptom = "clients close with 1002 after a Ping"
    bug = "it sends Pongs in two fragments, like long messages"

    def on_ping(self, payload: bytes) -> None:
        half = len(payload) // 2
        self.send(frame(PONG, payload[:half], fin=False, key=None))
        self.send(frame(CONTINUATION, payload[half:], key=None))


class PongsForPongs(ReferenceServer, case="7.pong.unsolicited"):
    symptom = "with a similar client, both sides send Pongs without end"
    bug = "it answers a Pong with a Pong"

    def on_frame(self, fin: bool, rsv: int, opcode: int, payload: bytes) -> bool:
        if opcode == PONG:
            self.send_frame(PONG, payload)
        return super().on_frame(fin, rsv, opcode, payload)


class LongControl(ReferenceServer, case="7.ping.126"):
    symptom = "no symptom with correct clients"
    bug = "it accepts a control frame of more than 125 bytes"

    def read_length(self, opcode: int, length: int) -> int:
        return super().read_length(BINARY, length)


class ControlInFragments(ReferenceServer, case="7.ping.fragmented"):
    symptom = "no symptom with correct clients"
    bug = "it ignores the FIN bit of control frames"

    def check_first_byte(self, fin: bool, rsv: int, opcode: int) -> None:
        super().check_first_byte(True, rsv, opcode)


class PingEndsMessage(ReferenceServer, case="7.ping.inside-message"):
    symptom = "long uploads sometimes fail: always if a keep-alive falls into one"
    bug = "one variable holds the current frame and the collected message: a Ping overwrites it"

    def on_ping(self, payload: bytes) -> None:
        super().on_ping(payload)
        self.message = b""
        self.decoder.reset()


class Interleaves(ReferenceServer, case="7.fragments.text-in-text"):
    symptom = "if two threads of a client send at once, parts of messages are lost without an error"
    bug = "a text or binary frame starts a new message, even inside an unfinished one"

    def on_data(self, fin: bool, rsv: int, opcode: int, payload: bytes) -> None:
        if opcode != CONTINUATION:
            self.opcode = 0
        super().on_data(fin, rsv, opcode, payload)


class ContinuesNothing(ReferenceServer, case="7.fragments.nothing-to-continue"):
    symptom = "no symptom with correct clients"
    bug = "it reads a continuation without an unfinished message as a binary message"

    def on_data(self, fin: bool, rsv: int, opcode: int, payload: bytes) -> None:
        if opcode == CONTINUATION and not self.opcode:
            opcode = BINARY
        super().on_data(fin, rsv, opcode, payload)


class DropsEmpty(ReferenceServer, case="6.length.0"):
    symptom = "an empty message gets no answer"
    bug = "it tests `if message:` instead of `if message is not None:`"

    def on_message(self, opcode: int, message: bytes) -> None:
        if message:
            super().on_message(opcode, message)
