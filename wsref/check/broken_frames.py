"""The gallery, chapters 6 to 11: what goes wrong once the handshake is right.

Each server is :class:`~wsref.check.gallery.Good` with one mistake, of those that people
make: most of them can be found in the issues of some project.
"""

from __future__ import annotations

import contextlib
import re
import struct
import threading
import time
import zlib
from typing import Any, ClassVar

from .codec import BINARY, CLOSE, CONTINUATION, MASKING_KEY, PONG, TEXT, mask
from .gallery import Failure, Gone, Good, Request

# -- Chapter 6: frames -------------------------------------------------------------------


class LongIsShort(Good):
    """A length of 126 or 127 is taken for a length."""

    symptom = "short messages work; one of 200 characters does not, and after it nothing does"
    bug = "126 and 127 announce a longer length; here they are taken for one"
    fails = (
        "6.length.12[678]",
        "6.length.25[56]",
        "6.length.32768",
        "6.length.65535",
        "6.length.65536",
        "6.length.65537",
        "6.length.262144",
        "6.length.524288",
        "6.text-length.12[678]",
        "6.text-length.25[56]",
        "6.text-length.32768",
        "6.text-length.655*",
        "6.text-length.262144",
        "6.text-length.524288",
        "6.length.*-16-bits",
        "6.length.0-in-64-bits",
        "6.length.5-in-64-bits",
        "6.length.top-bit",
        "6.length.all-ones",
        "6.stream.seven-by-seven",
        "6.stream.half-a-header",
        "7.ping.126",
        "7.ping.65536",
        "7.ping.in-16-bits",
        "7.fragments.large",
        "7.fragments.unequal",
        "8.failing.1009-size",
        "9.message.binary",
        "9.message.long",
        "9.message.does-not-shrink",
        "9.message.shrinks-much",
        "9.context.far-back",
        "9.window.client-*",
        "9.context.server-starts-anew",
        "9.context.both-start-anew",
        "9.window.server-9",
        "9.window.*-1*",
        "10.clients.one-is-slow",
        "10.packets.500",
        "11.limits.frame",
        "11.limits.message",
    )

    def read_length(self, opcode: int, length: int) -> int:
        """7 bits."""
        return length


class OneTooEarly(Good):
    """A length of 125 is taken for the announcement of a longer one."""

    symptom = "messages of exactly 125 bytes never arrive"
    bug = ">= 125 where >= 126 was meant"
    fails = (
        "6.length.125",
        "6.text-length.125",
        "7.ping.125",
    )

    def read_length(self, opcode: int, length: int) -> int:
        """16 bits from 125 on."""
        return super().read_length(opcode, 126 if length == 125 else length)


class SixBits(Good):
    """Of a 7-bit length six bits are used."""

    symptom = "messages of 64 bytes and more never arrive whole"
    bug = "& 0x3f for & 0x7f"
    fails = (
        "6.length.124",
        "6.length.125",
        "6.text-length.124",
        "6.text-length.125",
        "6.mask.zeros",
        "6.mask.ones",
        "6.mask.four-bytes",
        "6.mask.newlines",
        "6.stream.three-by-three",
        "6.echo.all-bytes",
        "7.ping.125",
        "7.fragments.small",
        "9.context.*-anew",
    )

    def read_length(self, opcode: int, length: int) -> int:
        """Without the uppermost bit."""
        return super().read_length(opcode, length if length >= 126 else length & 0x3F)


class LittleEndian(Good):
    """The 16-bit length is read in the wrong order."""

    symptom = "messages of more than 125 bytes never arrive, or arrive with rubbish at their end"
    bug = "the 16-bit length is read as little-endian: struct's '<H' for '!H'"
    fails = (
        "6.length.12[678]",
        "6.length.25[56]",
        "6.length.32768",
        "6.text-length.12[678]",
        "6.text-length.25[56]",
        "6.text-length.32768",
        "6.length.*-16-bits",
        "6.stream.half-a-header",
        "7.fragments.unequal",
        "9.message.binary",
        "9.message.long",
        "9.message.shrinks-much",
        "9.rsv1.own",
        "9.context.far-back",
        "9.window.client-*",
        "9.context.server-starts-anew",
        "9.context.both-start-anew",
        "9.window.server-9",
        "9.window.*-1*",
        "10.clients.one-is-slow",
        "10.packets.500",
    )

    def read_length(self, opcode: int, length: int) -> int:
        """Two bytes, the lower one first."""
        if length != 126 or opcode & 8:
            return super().read_length(opcode, length)
        (length,) = struct.unpack("<H", self.take(2))
        return int(length)


class SignedLength(Good):
    """The 16-bit length is signed."""

    symptom = "messages of up to 32,767 bytes work; longer ones do not, until they are longer than 65,535"
    bug = "struct's '!h', which is signed, for '!H'"
    fails = (
        "6.length.32768",
        "6.length.65535",
        "6.text-length.32768",
        "6.text-length.65535",
        "9.window.server-15",
    )

    def read_length(self, opcode: int, length: int) -> int:
        """Two bytes, the first bit a sign."""
        if length != 126 or opcode & 8:
            return super().read_length(opcode, length)
        (length,) = struct.unpack("!h", self.take(2))
        self.check_length(length, 126)
        return int(length)


class HalfOf64(Good):
    """Of the 64-bit length the lower half is used."""

    symptom = "all messages that browsers send work; a reviewer is not amused"
    bug = "the upper four of the eight bytes of a length are ignored"
    fails = (
        "6.length.low-half-of-64",
        "8.failing.1009-size",
        "11.limits.frame",
        "11.limits.message",
    )

    def read_length(self, opcode: int, length: int) -> int:
        """Four of eight bytes."""
        return super().read_length(opcode, length) & 0xFFFFFFFF


class AnyForm(Good):
    """A length may be written in any number of bits."""

    symptom = "nothing: it takes more than it should"
    bug = "a length that fits in fewer bits is taken, and so is one with its top bit set"
    fails = ("6.length.*-bits",)

    def check_length(self, length: int, least: int) -> None:
        """Whatever it is."""


class LongForm(Good):
    """Replies have their length in 64 bits, if 7 will not do."""

    symptom = "browsers are happy; a strict client closes with 1002 on messages of 126 to 65,535 bytes"
    bug = "the 16-bit form is never used for replies"
    fails = ("6.length.shortest-form",)

    def send(self, data: bytes) -> None:
        """Every 16-bit length becomes one of 64 bits."""
        if len(data) > 4 and data[0] & 0x70 == 0 and data[0] >= 0x80 and data[1] == 126:
            data = data[:1] + struct.pack("!BQ", 127, int.from_bytes(data[2:4], "big")) + data[4:]
        super().send(data)


class MasksReplies(Good):
    """The server masks too."""

    symptom = "browsers close with 1002: 'A server must not mask any frames that it sends to the client'"
    bug = "one function builds frames for both roles, and masks"
    fails = (
        "6.mask.server",
        "7.pong.well-formed",
        "8.close.well-formed",
    )

    def send_frame(self, opcode: int, payload: bytes, rsv: int = 0) -> None:
        """Masked."""
        length, first = len(payload), 0x80 | rsv << 4 | opcode
        if length < 126:
            head = struct.pack("!BB", first, 0x80 | length)
        elif length < 65536:
            head = struct.pack("!BBH", first, 0xFE, length)
        else:
            head = struct.pack("!BBQ", first, 0xFF, length)
        self.send(head + MASKING_KEY + mask(payload, MASKING_KEY))


class TakesUnmasked(Good):
    """A frame without a mask is taken."""

    symptom = "nothing, from a browser; a client that forgets the mask is not told"
    bug = "the MASK bit only decides whether to read a key"
    fails = (
        "6.mask.missing",
        "6.mask.missing-*",
        "8.payload.without-mask",
    )

    def not_masked(self) -> None:
        """Never mind."""


class WholeWords(Good):
    """The last bytes of a payload stay masked."""

    symptom = "the last one to three characters of most messages are rubbish, or the connection closes with 1007"
    bug = "unmasking works in words of 4 bytes, and leaves the rest"
    fails = (
        "7.pong.well-formed",
        "6.length.huge",
        "6.echo.hello",
        "7.ping.hello",
        "7.ping.125",
        "7.ping.not-text",
        "7.ping.byte-by-byte",
        "7.ping.three",
        "7.ping.ten",
        "7.ping.before-the-rest",
        "7.pong.unsolicited",
        "7.pong.unsolicited-empty",
        "7.utf8.lone-80",
        "7.utf8.invalid-across",
        "8.failing.1002-interleaved",
        "10.clients.one-is-slow",
        "10.survives.*",
        "11.limits.survives",
    )

    def unmask(self, payload: bytes, key: bytes) -> bytes:
        """Four bytes at a time."""
        whole = len(payload) // 4 * 4
        return mask(payload[:whole], key) + payload[whole:]


class OldKey(Good):
    """The first frame's key is used for all."""

    symptom = "the first message is right, all others are rubbish"
    bug = "the masking key is read once and kept; each frame has its own"
    fails = ("6.mask.every-size",)

    key = b""

    def unmask(self, payload: bytes, key: bytes) -> bytes:
        """With the key that came first."""
        self.key = self.key or key
        return super().unmask(payload, self.key)


class ZeroIsNoKey(Good):
    """A key of zeros is taken for none."""

    symptom = "one client, whose author left the key at zero, is refused: 'a frame without a mask'"
    bug = "`if key` asks for the key's value, where the MASK bit was meant"
    fails = ("6.mask.zeros",)

    def unmask(self, payload: bytes, key: bytes) -> bytes:
        """With a key that is one."""
        if not any(key):
            self.not_masked()
        return super().unmask(payload, key)


class MarksAll(Good):
    """Every message has RSV1."""

    symptom = "browsers close with 1002 on the first message, unless compression is agreed"
    bug = "RSV1 is set on every message, whether compression is agreed or not"
    fails = ("6.rsv.server",)

    def on_message(self, opcode: int, message: bytes) -> None:
        """With RSV1."""
        if self.agreed is not None:
            super().on_message(opcode, message)
        else:
            self.send_frame(opcode, message, 4)


class IgnoresRsv(Good):
    """RSV bits are not looked at."""

    symptom = "nothing, until a client uses an extension that the server knows nothing of"
    bug = "the RSV bits are masked away"
    fails = ("6.rsv.[!s]*",)

    def read_frame(self) -> tuple[bool, int, int, bytes]:
        """As if they were not set, unless permessage-deflate is agreed."""
        if self.agreed is None:
            first = self.take(1)
            self.buffer = bytes([first[0] & 0x8F]) + self.buffer
        return super().read_frame()


class ReservedIsBinary(Good):
    """An opcode that is not known is data."""

    symptom = "nothing, with today's clients"
    bug = "an `else` takes every opcode that is no control frame for binary"
    fails = ("6.opcode.*",)

    def read_frame(self) -> tuple[bool, int, int, bytes]:
        """Reserved opcodes are read as 2."""
        first = self.take(1)
        opcode = first[0] & 15
        if opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
            first = bytes([first[0] & 0xF0 | BINARY])
        self.buffer = first + self.buffer
        return super().read_frame()


class OneRecvOneFrame(Good):
    """What one recv returns is taken for one frame."""

    symptom = "works on this machine; through a network, or with long messages, frames get lost or stick"
    bug = "after a frame the buffer is emptied: what else the packet held is gone"
    fails = (
        "6.mask.every-size",
        "6.stream.one-packet",
        "6.stream.one-and-a-half",
        "7.fragments.two",
        "7.fragments.many",
        "7.ping.ten",
        "10.pipeline.1000",
    )
    sometimes = ("6.*", "7.*", "8.*", "9.*", "10.*", "11.*")  # it depends on where packets end

    def read_frame(self) -> tuple[bool, int, int, bytes]:
        """And forget the rest."""
        found = super().read_frame()
        self.buffer = b""
        return found


class OneRecvIsEnough(Good):
    """A recv is expected to return all that was asked for."""

    symptom = "long messages arrive cut off, and then everything goes wrong"
    bug = "recv(n) returns up to n bytes; a frame that comes in two packets is taken for a whole one"
    fails = (
        "6.length.524288",
        "6.text-length.524288",
        "6.stream.half-a-header",
        "10.packets.500",
    )
    sometimes = ("6.*", "7.*", "8.*", "9.*", "10.*", "11.*")  # it depends on where packets end

    def take(self, size: int) -> bytes:
        """What is there."""
        if size and not self.buffer:
            self.buffer = self.receive()
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def read_frame(self) -> tuple[bool, int, int, bytes]:
        """As ever; what is too short for a header is the end."""
        try:
            return super().read_frame()
        except (ValueError, struct.error):
            raise Gone from None


class AllIsText(Good):
    """Every message is sent back as text."""

    symptom = "an image that was sent comes back as a string, or the browser closes with 1007"
    bug = "replies always have the opcode 1"
    fails = (
        "6.echo.all-bytes",
        "6.echo.types",
        "9.message.binary",
        "9.message.does-not-shrink",
        "9.message.looks-compressed",
    )

    def on_message(self, opcode: int, message: bytes) -> None:
        """As text."""
        super().on_message(TEXT, message)


class BinaryIsDecoded(Good):
    """Binary messages must be text."""

    symptom = "chat works; sending a file closes the connection"
    bug = "binary payloads are decoded as UTF-8 too"
    fails = (
        "6.echo.all-bytes",
        "9.message.binary",
        "9.message.looks-compressed",
    )

    def on_message(self, opcode: int, message: bytes) -> None:
        """Decoded, whatever it is."""
        if opcode == BINARY:
            try:
                message.decode()
            except UnicodeDecodeError:
                raise Gone from None
        super().on_message(opcode, message)


# -- Chapter 7: messages --------------------------------------------------------------------


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


# -- Chapter 8: closing -------------------------------------------------------------------------


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


# -- Chapter 9: compression ------------------------------------------------------------------------


class TakesRsv1(Good):
    """RSV1 is taken though nothing was agreed."""

    symptom = "nothing, from clients that keep the rules"
    bug = "RSV1 is allowed whether permessage-deflate was agreed or not"
    fails = (
        "6.rsv.1",
        "6.rsv.1-binary",
    )

    def check_first_byte(self, fin: bool, rsv: int, opcode: int) -> None:
        """RSV1 on data is fine."""
        super().check_first_byte(fin, rsv & 3 if opcode in (TEXT, BINARY) else rsv, opcode)

    def decompress(self, payload: bytes) -> bytes:
        """If it was agreed."""
        return payload if self.agreed is None else super().decompress(payload)


class Rsv1OnAnything(Good):
    """RSV1 is taken on every frame."""

    symptom = "nothing, from clients that keep the rules"
    bug = "RSV1 is allowed on control frames and on continuations, once permessage-deflate is agreed"
    fails = (
        "9.rsv1.continuation",
        "9.rsv1.ping",
        "9.rsv1.pong",
    )

    def check_first_byte(self, fin: bool, rsv: int, opcode: int) -> None:
        """On any frame."""
        super().check_first_byte(fin, rsv if self.agreed is None else rsv & 3, opcode)


class AnyRsvOnceAgreed(Good):
    """Once compression is agreed, RSV2 and RSV3 are not looked at."""

    symptom = "nothing, from clients that keep the rules"
    bug = "agreeing on permessage-deflate switches the check of all RSV bits off, not of RSV1 only"
    fails = (
        "9.rsv2.reserved",
        "9.rsv3.reserved",
    )

    def read_frame(self) -> tuple[bool, int, int, bytes]:
        """As if RSV2 and RSV3 were not set."""
        if self.agreed is not None:
            first = self.take(1)
            self.buffer = bytes([first[0] & 0xCF]) + self.buffer
        return super().read_frame()


class ForgetsRsv1(Good):
    """Compressed replies are not marked."""

    symptom = "browsers show rubbish, or close with 1007, as soon as the extension is agreed"
    bug = "messages are compressed, and RSV1 is not set"
    fails = (
        "9.message.*",
        "9.context.taken-over",
        "9.context.past-plain",
        "9.context.far-back",
        "9.window.client-*",
        "9.context.*-anew",
        "9.window.server-9",
        "9.window.*-1*",
    )

    def send_frame(self, opcode: int, payload: bytes, rsv: int = 0) -> None:
        """Without RSV bits."""
        super().send_frame(opcode, payload, 0)


class Rsv1OnPongs(Good):
    """Pongs have RSV1."""

    symptom = "clients close with 1002 when they ping, if the extension is agreed"
    bug = "RSV1 is set on every frame, once permessage-deflate is agreed"
    fails = ("9.rsv1.own",)

    def on_ping(self, payload: bytes) -> None:
        """With RSV1."""
        self.send_frame(PONG, payload, 4 if self.agreed is not None else 0)


class InflatesAll(Good):
    """Every message is inflated."""

    symptom = "short messages from a browser close the connection: it does not compress those"
    bug = "RSV1 is not looked at: once the extension is agreed, every message is inflated"
    fails = (
        "9.message.*-compressed",
        "9.message.mixed",
        "9.context.past-plain",
    )

    def on_data(self, fin: bool, rsv: int, opcode: int, payload: bytes) -> None:
        """As if RSV1 was set."""
        super().on_data(fin, 4 if self.agreed is not None else rsv, opcode, payload)


class NoTail(Good):
    """The tail is not put back."""

    symptom = "messages come late, or lack their end"
    bug = "00 00 ff ff is not appended before a message is inflated"
    fails = (
        "9.message.final-then-another",
        "9.message.mixed",
        "9.context.taken-over",
        "9.context.past-plain",
        "9.context.far-back",
        "9.context.*-anew",
        "9.window.*-9",
        "9.window.*-1*",
    )

    def decompress(self, payload: bytes) -> bytes:
        """As it is."""
        try:
            return self.inflater.decompress(payload)
        except zlib.error:
            raise Failure(1007, "no DEFLATE") from None


class ZlibHeader(Good):
    """zlib's header is on every message."""

    symptom = "browsers close with 1007 or 1006 as soon as the extension is agreed"
    bug = "zlib.compressobj() without a negative wbits writes zlib's header before the DEFLATE stream"
    fails = (
        "9.message.*",
        "9.context.taken-over",
        "9.context.past-plain",
        "9.context.far-back",
        "9.window.client-*",
        "9.context.*-anew",
        "9.window.server-9",
        "9.window.*-1*",
    )

    def new_deflater(self) -> None:
        """As zlib has it."""
        self.deflater = zlib.compressobj()


class NewWindowToRead(Good):
    """Each message is inflated with an empty window."""

    symptom = "the first message works, the second closes the connection"
    bug = "a new decompressing object for each message, though the client takes its context over"
    fails = (
        "9.message.mixed",
        "9.context.taken-over",
        "9.context.past-plain",
        "9.context.far-back",
        "9.context.server-starts-anew",
        "9.window.*-9",
        "9.window.*-1*",
    )

    def decompress(self, payload: bytes) -> bytes:
        """From nothing."""
        self.inflater = zlib.decompressobj(-15)
        return super().decompress(payload)


class SmallWindowToRead(Good):
    """Messages are inflated with a small window."""

    symptom = "long compressed messages close the connection"
    bug = "decompressobj(wbits=-10), though the client was not told to use a smaller window than 15"
    fails = (
        "9.context.far-back",
        "9.window.client-*",
        "9.window.server-9",
        "9.window.*-1*",
    )

    def decompress(self, payload: bytes) -> bytes:
        """In small steps, with a window of 1 KiB."""
        if not hasattr(self, "small"):
            self.small = zlib.decompressobj(-10)
        message, data = b"", payload + b"\0\0\xff\xff"
        try:
            while data and not self.small.eof and len(message) <= self.MAX_MESSAGE:
                message += self.small.decompress(data, 256)
                data = self.small.unconsumed_tail
        except zlib.error:
            raise Failure(1007, "no DEFLATE") from None
        if len(message) > self.MAX_MESSAGE:
            raise Failure(1009, "too long")
        if self.small.eof:
            self.small = zlib.decompressobj(-10)
        return message


class KeepsContext(Good):
    """The server keeps its window, though it agreed not to."""

    symptom = "clients that asked for server_no_context_takeover close on the second message"
    bug = "server_no_context_takeover is agreed, and not kept"
    fails = (
        "9.context.server-starts-anew",
        "9.context.both-start-anew",
    )

    def compress(self, payload: bytes) -> bytes:
        """With what is in the window."""
        return (self.deflater.compress(payload) + self.deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]


class LargeWindow(Good):
    """The server uses the largest window, whatever it agreed to."""

    symptom = "small devices that asked for a small window close on long messages"
    bug = "server_max_window_bits is agreed, and not kept"
    fails = (
        "9.window.server-9",
        "9.window.server-1[0-4]",
    )

    def new_deflater(self) -> None:
        """With 32 KiB."""
        self.deflater = zlib.compressobj(wbits=-15)


class AgreesToAnything(Good):
    """The client's offer is sent back."""

    symptom = "works with browsers that offer little; others fail the handshake, or get what they cannot read"
    bug = "the first offer's parameters are sent back as they came, unchecked"
    fails = (
        "9.offer.browser",
        "9.decline.[!s]*",
        "9.decline.server-[!w]*",
        "9.decline.server-window-[!e]*",  # one that is not even well-formed is refused before it comes here
        "9.window.server-8",
    )

    def read_offer(self, words: list[str]) -> dict[str, int | bool] | None:
        """Whatever they are."""
        self.words = words
        parameters: dict[str, int | bool] = {}
        for word in words:
            found = re.fullmatch(r'(\w+)\s*=\s*"?(9|1[0-5])"?', word)
            parameters[found[1] if found else word] = int(found[2]) if found else True
        return {name: value for name, value in parameters.items() if name.endswith("takeover") or value is not True}

    def choose_extension(self, request: Request) -> str | None:
        """The first element, word for word."""
        reply = super().choose_extension(request)
        return "; ".join(["permessage-deflate", *self.words]) if reply else None


class AnswersFifteen(Good):
    """The answer's window is always the largest."""

    symptom = "clients that ask for a small window fail the handshake"
    bug = "server_max_window_bits=15 in the answer, whatever was asked for"
    fails = (
        "9.offer.everything",
        "9.offer.server-window-8",
        "9.offer.server-window-9",
        "9.offer.server-window-10",
        "9.offer.server-window-11",
        "9.offer.server-window-12",
        "9.offer.server-window-13",
        "9.offer.server-window-14",
        "9.offer.quoted",
        "9.decline.then-good",
    )

    def read_offer(self, words: list[str]) -> dict[str, int | bool] | None:
        """8 is as good as 9."""
        return super().read_offer(
            [word.replace("server_max_window_bits=8", "server_max_window_bits=9") for word in words]
        )

    def reply_to(self, parameters: dict[str, int | bool]) -> dict[str, int | bool]:
        """15."""
        return {
            name: 15 if name == "server_max_window_bits" else value
            for name, value in super().reply_to(parameters).items()
        }


class BareWindow(Good):
    """The answer has client_max_window_bits without a value."""

    symptom = "browsers fail the handshake: 'invalid parameter'"
    bug = "client_max_window_bits may stand alone in an offer, not in an answer"
    fails = (
        "9.offer.browser",
        "9.offer.everything",
        "9.offer.client-window-8",
        "9.offer.client-window-9",
        "9.offer.client-window-12",
        "9.offer.client-window-15",
    )

    def reply_to(self, parameters: dict[str, int | bool]) -> dict[str, int | bool]:
        """As in the offer, without the value."""
        bare = {name: True for name in parameters if name == "client_max_window_bits"}
        return {**super().reply_to(parameters), **bare}


class HintIsLaw(Good):
    """The client's hint is taken for an agreement."""

    symptom = (
        "clients that offer client_no_context_takeover, and are not told to keep it, get 1007 on the second message"
    )
    bug = "the window is dropped after each message because the offer said so; but the answer does not"
    fails = (
        "9.context.hint-only",
        "9.context.both-start-anew",
    )

    def reply_to(self, parameters: dict[str, int | bool]) -> dict[str, int | bool]:
        """Without it."""
        return {
            name: value for name, value in super().reply_to(parameters).items() if name != "client_no_context_takeover"
        }


class SwallowsErrors(Good):
    """What cannot be inflated is an empty message."""

    symptom = "now and then an empty message arrives that nobody sent"
    bug = "`except zlib.error: return b''`"
    fails = ("9.invalid.*",)

    def decompress(self, payload: bytes) -> bytes:
        """Or nothing."""
        try:
            return super().decompress(payload)
        except Failure as failure:
            if failure.code == 1009:
                raise
            return b""


class FallsOverBombs(Good):
    """Memory is taken for all that comes out of zlib."""

    symptom = "one message of 48 KiB, and the machine kills the server for want of memory"
    bug = "decompress() without max_length (here it falls over at 16 MiB, so that nothing else does)"
    fails = ("9.bomb.survived",)
    sometimes = (
        "10.clients.one-does-not-read",
        "11.limits.fragments",
    )

    MAX_MESSAGE = 16 * 1024 * 1024

    def handle(self) -> None:
        """Unless it lies on the floor."""
        if time.monotonic() > getattr(self.server, "dead_until", 0):
            super().handle()

    def decompress(self, payload: bytes) -> bytes:
        """All of it."""
        try:
            return super().decompress(payload)
        except Failure as failure:
            if failure.code == 1009:
                self.server.dead_until = time.monotonic() + 0.3  # type: ignore[attr-defined]
                raise Gone from None
            raise


class AsksForWindow(Good):
    """The client is asked for a small window, whether it can or not."""

    symptom = "clients that did not offer client_max_window_bits fail the handshake"
    bug = "client_max_window_bits is in every answer"
    fails = (
        "9.offer.plain",
        "9.offer.client-window-[!1]*",
        "9.offer.*-context",
        "9.offer.everything",
        "9.offer.server-window-[91]*",
        "9.offer.client-window-12",
        "9.offer.quoted",
        "9.offer.among-others",
        "9.offer.two-*",
        "9.decline.then-good",
    )

    def reply_to(self, parameters: dict[str, int | bool]) -> dict[str, int | bool]:
        """And a window of ours."""
        return {**super().reply_to(parameters), "client_max_window_bits": 15}


class TakesTheLast(Good):
    """An offer that stands twice is taken by its last value."""

    symptom = "nothing, from clients that keep the rules"
    bug = "parameters are put in a dict without looking whether they are there"
    fails = (
        "9.decline.twice",
        "9.decline.twice-value",
    )

    def read_offer(self, words: list[str]) -> dict[str, int | bool] | None:
        """Later ones win."""
        return super().read_offer(list({word.partition("=")[0]: word for word in words}.values()))


class StopsAtFinal(Good):
    """After a block with BFINAL nothing is inflated any more."""

    symptom = "a client that is not built on zlib gets one answer, and then empty messages"
    bug = "zlib's object is at its end after BFINAL, and swallows what it is given"
    fails = ("9.message.final-then-another",)

    def decompress(self, payload: bytes) -> bytes:
        """With the object that there is."""
        if self.inflater.eof:
            return b""
        try:
            message = self.inflater.decompress(payload + b"\0\0\xff\xff", self.MAX_MESSAGE + 1)
        except zlib.error:
            raise Failure(1007, "no DEFLATE") from None
        if len(message) > self.MAX_MESSAGE:
            raise Failure(1009, "too long")
        return message


class CompressedAnyText(Good):
    """Compressed text is not checked."""

    symptom = "now and then a browser that gets such a message back closes with 1007"
    bug = "UTF-8 is checked as frames come in, which compressed ones pass by"
    fails = ("9.utf8.*",)

    def check_text(self, piece: bytes, last: bool) -> None:
        """If it was not compressed."""
        if not self.compressed:
            super().check_text(piece, last)


class PingResetsCompression(Good):
    """A Ping inside a compressed message makes it plain."""

    symptom = "long compressed uploads fail now and then: always when a keep-alive falls into one"
    bug = "RSV1 is noted from every frame but continuations, also from a Ping"
    fails = ("9.message.ping-between",)

    def on_ping(self, payload: bytes) -> None:
        """And the message is plain from here on."""
        super().on_ping(payload)
        self.compressed = False


# -- Chapters 10 and 11 ---------------------------------------------------------------------------------


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


class AnyOrigin(Good):
    """Every page is welcome."""

    symptom = "nothing, until a page elsewhere uses a visitor's cookies"
    bug = "Origin is not looked at"
    fails = (
        "11.origin.foreign",
        "11.origin.lookalike",
        "11.origin.suffix",
        "11.origin.null",
        "11.origin.malformed",
        "11.origin.version-8",
    )

    def is_welcome(self, request: Request) -> bool:
        """Come in."""
        return True


class OriginContains(Good):
    """An origin that contains the host's name is welcome."""

    symptom = "nothing, until somebody registers your name with theirs behind it"
    bug = "`host in origin` instead of =="
    fails = (
        "11.origin.lookalike",
        "11.origin.suffix",
        "11.origin.malformed",
        "11.origin.version-8",
    )

    def is_welcome(self, request: Request) -> bool:
        """If it looks like us."""
        return all(request.lines("host")[0] in origin for origin in request.lines("origin"))


class NullIsWelcome(Good):
    """The origin null is welcome."""

    symptom = "works from a file on the disk, and from any sandboxed frame in the world"
    bug = "Origin: null is taken for 'no page'"
    fails = ("11.origin.null",)

    def is_welcome(self, request: Request) -> bool:
        """If it is nobody's."""
        return request.lines("origin") == ["null"] or super().is_welcome(request)


class OriginIs400(Good):
    """A foreign page is refused with 400."""

    symptom = "it looks as if the handshake was wrong"
    bug = "400 for a page from elsewhere, where 403 is meant for it"
    fails = ("11.origin.403",)

    def validate(self, request: Request) -> None:
        """As ever, but for the status."""
        try:
            super().validate(request)
        except Exception as refusal:
            if getattr(refusal, "status", 0) == 403:
                refusal.status = 400  # type: ignore[attr-defined]
            raise


class NoLimit(Good):
    """There is no limit."""

    symptom = "the server is killed for want of memory, now and then"
    bug = "whatever length is declared is waited for"
    fails = (
        "11.limits.frame",
        "11.limits.message",
    )

    MAX_MESSAGE = (1 << 63) - 2  # the most that zlib takes for a limit


class NoFragmentLimit(Good):
    """Fragments are not counted."""

    symptom = "one client can make it collect empty fragments for ever"
    bug = "the limit counts bytes, and empty fragments have none"
    fails = ("11.limits.fragments",)

    MAX_FRAGMENTS = 1 << 62
