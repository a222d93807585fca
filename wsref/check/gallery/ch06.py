"""The gallery, chapters 6 to 11: what goes wrong once the handshake is right.

Each server is :class:`~wsref.check.gallery.Good` with one mistake, of those that people
make: most of them can be found in the issues of some project.
"""

from __future__ import annotations

import struct

from ..codec import BINARY, MASKING_KEY, TEXT, mask
from .reference import Gone, Good


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
