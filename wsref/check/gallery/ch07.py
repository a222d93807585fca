"""The gallery, chapters 6 to 11: what goes wrong once the handshake is right.

Each server is :class:`~wsref.check.gallery.Good` with one mistake, of those that people
make: most of them can be found in the issues of some project.
"""

from __future__ import annotations

import re
import struct

from ..codec import BINARY, CONTINUATION, PONG, TEXT
from .reference import Failure, Good


class OneByOne(Good):
    """Each fragment is taken for a message."""

    symptom = "a long message from Firefox comes back in pieces, each a message of its own"
    bug = "FIN is not looked at: every data frame is a message"
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
        """Every frame has FIN."""
        if opcode == CONTINUATION and self.last and not self.done:
            opcode, self.opcode = self.last, 0
        self.last, self.done = (opcode or self.last), fin
        super().on_data(True, rsv, opcode, payload)

    last, done = 0, True


class LosesFragments(Good):
    """Only the last fragment of a message is kept."""

    symptom = "of long messages only the end comes back"
    bug = "= instead of += where fragments are collected"
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
        """Forget what was before."""
        self.message = b""
        super().on_data(fin, rsv, opcode, payload)


class AnyText(Good):
    """Text is not checked."""

    symptom = "now and then a browser that gets such a message back closes with 1007"
    bug = "text is passed on as bytes: nobody checks that it is UTF-8"
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
        """Whatever it is."""


class TextByFrame(Good):
    """Each frame of a text is checked by itself."""

    symptom = "long messages in Chinese close the connection with 1007, sometimes; in English they never do"
    bug = "each fragment is decoded by itself, though a character may be split between two"
    fails = ("7.utf8.split-*",)

    def check_text(self, piece: bytes, last: bool) -> None:
        """By itself."""
        super().check_text(piece, True)


class LateText(Good):
    """Text is checked when it is whole."""

    symptom = "nothing: it is within its rights, but collects for long what it will throw away"
    bug = "UTF-8 is checked at FIN only"
    fails = ("7.utf8.fail-fast",)

    def check_text(self, piece: bytes, last: bool) -> None:
        """At the end."""
        if last:
            self.decoder.reset()
            super().check_text(self.message if not self.compressed else piece, True)


class Surrogates(Good):
    """Surrogates are taken for characters."""

    symptom = "a client in Java or JavaScript that encodes its strings by hand works here, and nowhere else"
    bug = "'surrogatepass': ed a0 80 is taken for text"
    fails = (
        "7.utf8.surrogate-*",
        "9.utf8.surrogate",
    )

    def check_text(self, piece: bytes, last: bool) -> None:
        """All that Python can decode, if it must."""
        super().check_text(re.sub(rb"\xed[\xa0-\xbf][\x80-\xbf]", b"", piece), last)


class AsciiOnly(Good):
    """Text is ASCII."""

    symptom = "an umlaut closes the connection"
    bug = "text is decoded as ASCII"
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
        """ASCII."""
        if not piece.isascii():
            raise Failure(1007, "that is no text")


class ThreeBytesAtMost(Good):
    """Characters of four bytes are no text."""

    symptom = "emoji close the connection"
    bug = "a UTF-8 decoder of one's own knows forms of one to three bytes"
    fails = (
        "7.utf8.10000",
        "7.utf8.1fffe",
        "7.utf8.10ffff",
        "7.utf8.all",
        "7.utf8.split-4",
        "7.utf8.split-everywhere",
    )

    def check_text(self, piece: bytes, last: bool) -> None:
        """No byte from f0 on."""
        super().check_text(piece, last)
        if re.search(rb"[\xf0-\xf7]", piece):
            raise Failure(1007, "that is no character")


class NoOddCharacters(Good):
    """What cannot be printed is taken out."""

    symptom = "some messages come back shorter than they were"
    bug = "a filter for printable characters sits where it does not belong"
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
        """What can be printed."""
        if opcode == TEXT:
            message = "".join(filter(str.isprintable, message.decode())).encode()
        super().on_message(opcode, message)


class NeverPongs(Good):
    """Pings are ignored."""

    symptom = "clients that send Pings hang up after 20 seconds; browsers do not care"
    bug = "there is no Pong"
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
        """Nothing."""


class EmptyPongs(Good):
    """A Pong has no payload."""

    symptom = "clients that send Pings with a number in them hang up; others do not"
    bug = "the Pong does not carry the Ping's payload"
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
        """A Pong, at least."""
        super().on_ping(b"")


class LatePongs(Good):
    """A Ping inside a message is answered after it."""

    symptom = "during long uploads clients time out, though they send Pings"
    bug = "control frames wait in a queue until the message is whole"
    fails = ("7.ping.before-the-rest",)

    def handle(self) -> None:
        """With a list of Pings that wait."""
        self.waiting: list[bytes] = []
        super().handle()

    def on_ping(self, payload: bytes) -> None:
        """Now, or later."""
        self.waiting.append(payload)
        self.answer_pings()

    def on_data(self, fin: bool, rsv: int, opcode: int, payload: bytes) -> None:
        """And then the Pongs."""
        super().on_data(fin, rsv, opcode, payload)
        self.answer_pings()

    def answer_pings(self) -> None:
        """If no message is coming in."""
        while self.waiting and not self.opcode:
            super().on_ping(self.waiting.pop(0))


class PongsInFragments(Good):
    """A Pong goes out in fragments."""

    symptom = "clients close with 1002 when they ping"
    bug = "the Pong has no FIN, and a continuation follows: what was made for long messages is used for Pongs too"
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
        """In two pieces."""
        half = len(payload) // 2
        self.send(struct.pack("!BB", PONG, half) + payload[:half])
        self.send(struct.pack("!BB", 0x80, len(payload) - half) + payload[half:])


class PongsForPongs(Good):
    """A Pong is answered by a Pong."""

    symptom = "with a client that does the same, the line is busy all night"
    bug = "a Pong is answered"
    fails = (
        "7.pong.unsolicited",
        "7.pong.unsolicited-empty",
        "7.pong.inside-message",
    )

    def on_frame(self, fin: bool, rsv: int, opcode: int, payload: bytes) -> bool:
        """Ping-pong."""
        if opcode == PONG:
            self.send_frame(PONG, payload)
        return super().on_frame(fin, rsv, opcode, payload)


class LongControl(Good):
    """Control frames may have any length."""

    symptom = "nothing, from clients that keep the rules"
    bug = "nobody checks that a control frame has at most 125 bytes"
    fails = (
        "7.ping.126",
        "7.ping.65536",
        "7.pong.126",
        "8.payload.126",
    )

    def read_length(self, opcode: int, length: int) -> int:
        """As for data."""
        return super().read_length(BINARY, length)


class ControlInFragments(Good):
    """Control frames need no FIN."""

    symptom = "nothing, from clients that keep the rules"
    bug = "FIN of a control frame is not looked at"
    fails = (
        "7.ping.fragmented",
        "7.ping.unfinished",
        "7.pong.unfinished",
        "8.payload.without-fin",
    )

    def check_first_byte(self, fin: bool, rsv: int, opcode: int) -> None:
        """As if it had FIN."""
        super().check_first_byte(True, rsv, opcode)


class PingEndsMessage(Good):
    """A Ping inside a message is taken for its last fragment's place."""

    symptom = "long uploads fail now and then: always when a keep-alive falls into one"
    bug = "one variable holds the current frame and the message so far: a Ping overwrites it"
    fails = (
        "7.ping.inside-*",
        "7.ping.before-the-rest",
        "7.utf8.split-by-ping",
        "9.message.ping-between",
    )

    def on_ping(self, payload: bytes) -> None:
        """And the message so far is gone."""
        super().on_ping(payload)
        self.message = b""
        self.decoder.reset()


class Interleaves(Good):
    """A new message may begin inside a message."""

    symptom = "when two threads of a client send at once, halves of messages are mixed up or lost, and nobody complains"
    bug = "a text or binary frame starts a new message, whether the last was finished or not"
    fails = (
        "7.fragments.*-text",
        "7.fragments.first-in-first",
        "7.fragments.in-empty",
    )

    def on_data(self, fin: bool, rsv: int, opcode: int, payload: bytes) -> None:
        """Start anew."""
        if opcode != CONTINUATION:
            self.opcode = 0
        super().on_data(fin, rsv, opcode, payload)


class ContinuesNothing(Good):
    """A continuation may begin a message."""

    symptom = "nothing, from clients that keep the rules"
    bug = "a continuation with nothing to continue is taken for a binary message"
    fails = (
        "7.fragments.nothing-*",
        "7.fragments.continued-*",
    )

    def on_data(self, fin: bool, rsv: int, opcode: int, payload: bytes) -> None:
        """Something must be done with it."""
        if opcode == CONTINUATION and not self.opcode:
            opcode = BINARY
        super().on_data(fin, rsv, opcode, payload)


class DropsEmpty(Good):
    """An empty message is dropped."""

    symptom = "an empty message gets no answer"
    bug = "`if message:` where `if message is not None:` was meant"
    fails = (
        "6.length.0",
        "6.text-length.0",
        "6.mask.every-size",
        "7.fragments.all-empty",
        "9.message.empty",
    )

    def on_message(self, opcode: int, message: bytes) -> None:
        """If there is something."""
        if message:
            super().on_message(opcode, message)
