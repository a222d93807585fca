"""Chapter 7 of the gallery: messages."""

from __future__ import annotations

import re
import struct

from ..codec import BINARY, CONTINUATION, PONG, TEXT
from .reference import Failure, ReferenceServer


class OneByOne(ReferenceServer):
    symptom = "a long message from Firefox comes back as several messages"
    bug = "it ignores FIN: every data frame is a message"
    fails = (
        "6.mask.missing-fragment",
        "6.rsv.1-continuation",
        "7.ping.inside-*",
        "7.ping.before-the-rest",
        "7.pong.inside-message",
        "7.fragments.two",
        "7.fragments.three",
        "7.fragments.binary",
        "7.fragments.many",
        "7.fragments.one-byte-each",
        "7.fragments.*-first",
        "7.fragments.empty-middle",
        "7.fragments.small",
        "7.fragments.large",
        "7.fragments.unequal",
        "7.fragments.slowly",
        "7.fragments.two-messages",
        "7.fragments.continued-after-the-end",
        "7.fragments.*-text",
        "7.fragments.in-empty",
        "7.fragments.reserved-opcode",
        "7.utf8.split-*",
        "7.utf8.not-in-binary",
        "7.utf8.invalid-last-fragment",
        "9.message.*-fragments",
        "9.message.fragment-with-tail",
        "9.message.ping-between",
        "9.message.utf8-split",
        "9.rsv1.continuation",
        "9.rsv1.continuation-only",
        "10.clients.fragments",
        "11.limits.message",
        "11.limits.fragments",
    )

    def on_data(self, fin: bool, rsv: int, opcode: int, payload: bytes) -> None:
        if opcode == CONTINUATION and self.last and not self.done:
            opcode, self.opcode = self.last, 0
        self.last, self.done = (opcode or self.last), fin
        super().on_data(True, rsv, opcode, payload)

    last, done = 0, True


class LosesFragments(ReferenceServer):
    symptom = "only the end of a long message comes back"
    bug = "it collects fragments with = instead of +="
    fails = (
        "7.ping.inside-*",
        "7.ping.before-the-rest",
        "7.pong.inside-message",
        "7.fragments.two",
        "7.fragments.three",
        "7.fragments.binary",
        "7.fragments.many",
        "7.fragments.one-byte-each",
        "7.fragments.empty-middle",
        "7.fragments.empty-last",
        "7.fragments.small",
        "7.fragments.large",
        "7.fragments.unequal",
        "7.fragments.slowly",
        "7.fragments.two-messages",
        "7.fragments.continued-after-the-end",
        "7.utf8.split-*",
        "7.utf8.not-in-binary",
        "9.message.*-fragments",
        "9.message.fragment-with-tail",
        "9.message.ping-between",
        "9.message.utf8-split",
        "10.clients.fragments",
    )

    def on_data(self, fin: bool, rsv: int, opcode: int, payload: bytes) -> None:
        self.message = b""
        super().on_data(fin, rsv, opcode, payload)


class AnyText(ReferenceServer):
    symptom = "sometimes a browser closes with 1007 because of an echo"
    bug = "it forwards text as bytes, without a check for UTF-8"
    fails = (
        "7.utf8.overlong-*",
        "7.utf8.surrogate-*",
        "7.utf8.110000",
        "7.utf8.f5",
        "7.utf8.*-bytes",
        "7.utf8.fe-ff",
        "7.utf8.lone-*",
        "7.utf8.two-too-many",
        "7.utf8.not-continued",
        "7.utf8.cut-*",
        "7.utf8.invalid-*",
        "7.utf8.fail-fast",
        "9.utf8.*",
    )

    def check_text(self, piece: bytes, last: bool) -> None:
        pass


class TextByFrame(ReferenceServer):
    symptom = "long messages in Chinese sometimes close the connection with 1007; messages in English never do"
    bug = "it decodes each fragment separately, although a character may be split between two"
    fails = ("7.utf8.split-*",)

    def check_text(self, piece: bytes, last: bool) -> None:
        super().check_text(piece, True)


class LateText(ReferenceServer):
    symptom = "no symptom: it is legal, but the server collects invalid messages"
    bug = "it checks UTF-8 only at FIN"
    fails = ("7.utf8.fail-fast",)

    def check_text(self, piece: bytes, last: bool) -> None:
        if last:
            self.decoder.reset()
            super().check_text(self.message if not self.compressed else piece, True)


class Surrogates(ReferenceServer):
    symptom = "a client that encodes UTF-16 strings by hand works here, but with no other server"
    bug = "it decodes with 'surrogatepass', which accepts ed a0 80"
    fails = (
        "7.utf8.surrogate-*",
        "9.utf8.surrogate",
    )

    def check_text(self, piece: bytes, last: bool) -> None:
        super().check_text(re.sub(rb"\xed[\xa0-\xbf][\x80-\xbf]", b"", piece), last)


class AsciiOnly(ReferenceServer):
    symptom = "an umlaut closes the connection"
    bug = "it decodes text as ASCII"
    fails = (
        "7.utf8.80",
        "7.utf8.7ff",
        "7.utf8.800",
        "7.utf8.d7ff",
        "7.utf8.e000",
        "7.utf8.feff",
        "7.utf8.ffff",
        "7.utf8.fdd0",
        "7.utf8.10000",
        "7.utf8.1fffe",
        "7.utf8.10ffff",
        "7.utf8.all",
        "7.utf8.split-*",
        "9.message.utf8-split",
    )

    def check_text(self, piece: bytes, last: bool) -> None:
        if not piece.isascii():
            raise Failure(1007, "not ASCII")


class ThreeBytesAtMost(ReferenceServer):
    symptom = "emoji close the connection"
    bug = "its hand-written UTF-8 decoder knows only forms of one to three bytes"
    fails = (
        "7.utf8.10000",
        "7.utf8.1fffe",
        "7.utf8.10ffff",
        "7.utf8.all",
        "7.utf8.split-4",
        "7.utf8.split-everywhere",
    )

    def check_text(self, piece: bytes, last: bool) -> None:
        super().check_text(piece, last)
        if re.search(rb"[\xf0-\xf7]", piece):
            raise Failure(1007, "a character of four bytes")


class NoOddCharacters(ReferenceServer):
    symptom = "some messages come back shorter"
    bug = "it removes unprintable characters from messages"
    fails = (
        "7.utf8.nul",
        "7.utf8.7f",
        "7.utf8.80",
        "7.utf8.d7ff",
        "7.utf8.e000",
        "7.utf8.feff",
        "7.utf8.ffff",
        "7.utf8.fdd0",
        "7.utf8.1fffe",
        "7.utf8.10ffff",
    )

    def on_message(self, opcode: int, message: bytes) -> None:
        if opcode == TEXT:
            message = "".join(filter(str.isprintable, message.decode())).encode()
        super().on_message(opcode, message)


class NeverPongs(ReferenceServer):
    symptom = "clients that send Pings close the connection after 20 seconds; browsers do not"
    bug = "it ignores Pings"
    fails = (
        "7.ping.hello",
        "7.ping.empty",
        "7.ping.125",
        "7.ping.not-text",
        "7.ping.byte-by-byte",
        "7.ping.three",
        "7.ping.ten",
        "7.ping.among-messages",
        "7.ping.inside-*",
        "7.ping.before-the-rest",
        "7.pong.well-formed",
        "7.utf8.split-by-ping",
        "9.message.ping-between",
        "9.rsv1.own",
        "9.rsv1.pong-is-plain",
        "9.context.past-plain",
    )

    def on_ping(self, payload: bytes) -> None:
        pass


class EmptyPongs(ReferenceServer):
    symptom = "clients that send Pings with a payload close the connection; others do not"
    bug = "its Pong does not have the Ping's payload"
    fails = (
        "9.rsv1.own",
        "7.ping.hello",
        "7.ping.125",
        "7.ping.not-text",
        "7.ping.byte-by-byte",
        "7.ping.three",
        "7.ping.ten",
        "7.ping.among-messages",
        "7.ping.inside-*",
        "7.ping.before-the-rest",
        "7.utf8.split-by-ping",
        "9.message.ping-between",
        "9.rsv1.pong-is-plain",
        "9.context.past-plain",
    )

    def on_ping(self, payload: bytes) -> None:
        super().on_ping(b"")


class LatePongs(ReferenceServer):
    symptom = "during long uploads clients time out, although they send Pings"
    bug = "it queues control frames until the message is whole"
    fails = ("7.ping.before-the-rest",)

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


class PongsInFragments(ReferenceServer):
    symptom = "clients close with 1002 after a Ping"
    bug = "it sends Pongs in two fragments, like long messages"
    fails = (
        "7.ping.hello",
        "7.ping.125",
        "7.ping.not-text",
        "7.ping.byte-by-byte",
        "7.ping.three",
        "7.ping.ten",
        "7.ping.among-messages",
        "7.ping.inside-*",
        "7.ping.before-the-rest",
        "7.pong.well-formed",
        "7.utf8.split-by-ping",
        "9.message.ping-between",
        "9.rsv1.pong-is-plain",
        "9.context.past-plain",
    )

    def on_ping(self, payload: bytes) -> None:
        half = len(payload) // 2
        self.send(struct.pack("!BB", PONG, half) + payload[:half])
        self.send(struct.pack("!BB", 0x80, len(payload) - half) + payload[half:])


class PongsForPongs(ReferenceServer):
    symptom = "with a similar client, both sides send Pongs without end"
    bug = "it answers a Pong with a Pong"
    fails = (
        "7.pong.unsolicited",
        "7.pong.unsolicited-empty",
        "7.pong.inside-message",
    )

    def on_frame(self, fin: bool, rsv: int, opcode: int, payload: bytes) -> bool:
        if opcode == PONG:
            self.send_frame(PONG, payload)
        return super().on_frame(fin, rsv, opcode, payload)


class LongControl(ReferenceServer):
    symptom = "no symptom with correct clients"
    bug = "it accepts a control frame of more than 125 bytes"
    fails = (
        "7.ping.126",
        "7.ping.65536",
        "7.pong.126",
        "8.payload.126",
    )

    def read_length(self, opcode: int, length: int) -> int:
        return super().read_length(BINARY, length)


class ControlInFragments(ReferenceServer):
    symptom = "no symptom with correct clients"
    bug = "it ignores the FIN bit of control frames"
    fails = (
        "7.ping.fragmented",
        "7.ping.unfinished",
        "7.pong.unfinished",
        "8.payload.without-fin",
    )

    def check_first_byte(self, fin: bool, rsv: int, opcode: int) -> None:
        super().check_first_byte(True, rsv, opcode)


class PingEndsMessage(ReferenceServer):
    symptom = "long uploads sometimes fail: always if a keep-alive falls into one"
    bug = "one variable holds the current frame and the collected message: a Ping overwrites it"
    fails = (
        "7.ping.inside-*",
        "7.ping.before-the-rest",
        "7.utf8.split-by-ping",
        "9.message.ping-between",
    )

    def on_ping(self, payload: bytes) -> None:
        super().on_ping(payload)
        self.message = b""
        self.decoder.reset()


class Interleaves(ReferenceServer):
    symptom = "if two threads of a client send at once, parts of messages are lost without an error"
    bug = "a text or binary frame starts a new message, even inside an unfinished one"
    fails = (
        "7.fragments.*-text",
        "7.fragments.first-in-first",
        "7.fragments.in-empty",
    )

    def on_data(self, fin: bool, rsv: int, opcode: int, payload: bytes) -> None:
        if opcode != CONTINUATION:
            self.opcode = 0
        super().on_data(fin, rsv, opcode, payload)


class ContinuesNothing(ReferenceServer):
    symptom = "no symptom with correct clients"
    bug = "it reads a continuation without an unfinished message as a binary message"
    fails = (
        "7.fragments.nothing-*",
        "7.fragments.continued-*",
    )

    def on_data(self, fin: bool, rsv: int, opcode: int, payload: bytes) -> None:
        if opcode == CONTINUATION and not self.opcode:
            opcode = BINARY
        super().on_data(fin, rsv, opcode, payload)


class DropsEmpty(ReferenceServer):
    symptom = "an empty message gets no answer"
    bug = "it tests `if message:` instead of `if message is not None:`"
    fails = (
        "6.length.0",
        "6.text-length.0",
        "6.mask.every-size",
        "7.fragments.all-empty",
        "9.message.empty",
    )

    def on_message(self, opcode: int, message: bytes) -> None:
        if message:
            super().on_message(opcode, message)
