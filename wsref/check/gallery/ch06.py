"""Chapter 6 of the gallery: frames."""

from __future__ import annotations

import struct

from ..codec import BINARY, MASKING_KEY, TEXT, mask
from .reference import Disconnected, ReferenceServer


class LongIsShort(ReferenceServer):
    symptom = "short messages work; one of 200 characters does not, and then none does"
    bug = "it reads 126 and 127 as lengths; they announce a longer length"
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
        return length


class OneTooEarly(ReferenceServer):
    symptom = "messages of exactly 125 bytes never arrive"
    bug = "it tests >= 125 instead of >= 126"
    fails = (
        "6.length.125",
        "6.text-length.125",
        "7.ping.125",
    )

    def read_length(self, opcode: int, length: int) -> int:
        return super().read_length(opcode, 126 if length == 125 else length)


class SixBits(ReferenceServer):
    symptom = "messages of 64 bytes or more never arrive whole"
    bug = "it uses & 0x3f instead of & 0x7f"
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
        return super().read_length(opcode, length if length >= 126 else length & 0x3F)


class LittleEndian(ReferenceServer):
    symptom = "messages of more than 125 bytes never arrive, or end in garbage"
    bug = "it reads the 16-bit length as little-endian: '<H' instead of '!H' for struct"
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
        if length != 126 or opcode & 8:
            return super().read_length(opcode, length)
        (length,) = struct.unpack("<H", self.read_exactly(2))
        return int(length)


class SignedLength(ReferenceServer):
    symptom = "messages of 32,768 to 65,535 bytes do not work; shorter and longer ones do"
    bug = "it reads the length with the signed '!h' instead of '!H'"
    fails = (
        "6.length.32768",
        "6.length.65535",
        "6.text-length.32768",
        "6.text-length.65535",
        "9.window.server-15",
    )

    def read_length(self, opcode: int, length: int) -> int:
        if length != 126 or opcode & 8:
            return super().read_length(opcode, length)
        (length,) = struct.unpack("!h", self.read_exactly(2))
        self.check_length(length, 126)
        return int(length)


class HalfOf64(ReferenceServer):
    symptom = "all messages from browsers work; only a reviewer complains"
    bug = "it ignores the upper four of the eight bytes of a length"
    fails = (
        "6.length.low-half-of-64",
        "8.failing.1009-size",
        "11.limits.frame",
        "11.limits.message",
    )

    def read_length(self, opcode: int, length: int) -> int:
        return super().read_length(opcode, length) & 0xFFFFFFFF


class AnyForm(ReferenceServer):
    symptom = "no symptom: it accepts more than it should"
    bug = "it accepts a length in too many bits, and one with its top bit set"
    fails = ("6.length.*-bits",)

    def check_length(self, length: int, least: int) -> None:
        pass


class LongForm(ReferenceServer):
    symptom = "browsers work; a strict client closes with 1002 on messages of 126 to 65,535 bytes"
    bug = "it never writes lengths in 16 bits"
    fails = ("6.length.shortest-form",)

    def send(self, data: bytes) -> None:
        if len(data) > 4 and data[0] & 0x70 == 0 and data[0] >= 0x80 and data[1] == 126:
            data = data[:1] + struct.pack("!BQ", 127, int.from_bytes(data[2:4], "big")) + data[4:]
        super().send(data)


class MasksReplies(ReferenceServer):
    symptom = "browsers close with 1002: 'A server must not mask any frames that it sends to the client'"
    bug = "one function builds frames for both roles, and always masks"
    fails = (
        "6.mask.server",
        "7.pong.well-formed",
        "8.close.well-formed",
    )

    def send_frame(self, opcode: int, payload: bytes, rsv: int = 0) -> None:
        length, first = len(payload), 0x80 | rsv << 4 | opcode
        if length < 126:
            head = struct.pack("!BB", first, 0x80 | length)
        elif length < 65536:
            head = struct.pack("!BBH", first, 0xFE, length)
        else:
            head = struct.pack("!BBQ", first, 0xFF, length)
        self.send(head + MASKING_KEY + mask(payload, MASKING_KEY))


class TakesUnmasked(ReferenceServer):
    symptom = "no symptom with a browser; a client without masks gets no error"
    bug = "it uses the MASK bit only to decide whether to read a key"
    fails = (
        "6.mask.missing",
        "6.mask.missing-*",
        "8.payload.without-mask",
    )

    def on_unmasked(self) -> None:
        pass


class WholeWords(ReferenceServer):
    symptom = "the last one to three characters of most messages are garbage, or the connection closes with 1007"
    bug = "it unmasks whole words of 4 bytes, and not the rest"
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
        whole = len(payload) // 4 * 4
        return mask(payload[:whole], key) + payload[whole:]


class OldKey(ReferenceServer):
    symptom = "the first message is correct, all others are garbage"
    bug = "it keeps the first masking key; each frame has its own"
    fails = ("6.mask.every-size",)

    key = b""

    def unmask(self, payload: bytes, key: bytes) -> bytes:
        self.key = self.key or key
        return super().unmask(payload, self.key)


class ZeroIsNoKey(ReferenceServer):
    symptom = "a client with a key of zeros is refused: 'a frame without a mask'"
    bug = "it tests the value of the key instead of the MASK bit"
    fails = ("6.mask.zeros",)

    def unmask(self, payload: bytes, key: bytes) -> bytes:
        if not any(key):
            self.on_unmasked()
        return super().unmask(payload, key)


class MarksAll(ReferenceServer):
    symptom = "browsers close with 1002 on the first message, unless compression is agreed"
    bug = "it sets RSV1 on every message, also without compression"
    fails = ("6.rsv.server",)

    def on_message(self, opcode: int, message: bytes) -> None:
        if self.agreed is not None:
            super().on_message(opcode, message)
        else:
            self.send_frame(opcode, message, 4)


class IgnoresRsv(ReferenceServer):
    symptom = "no symptom, until a client uses an unknown extension"
    bug = "it ignores the RSV bits"
    fails = ("6.rsv.[!s]*",)

    def read_frame(self) -> tuple[bool, int, int, bytes]:
        if self.agreed is None:
            first = self.read_exactly(1)
            self.buffer = bytes([first[0] & 0x8F]) + self.buffer
        return super().read_frame()


class ReservedIsBinary(ReferenceServer):
    symptom = "no symptom with today's clients"
    bug = "an `else` reads every unknown opcode as binary"
    fails = ("6.opcode.*",)

    def read_frame(self) -> tuple[bool, int, int, bytes]:
        first = self.read_exactly(1)
        opcode = first[0] & 15
        if opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
            first = bytes([first[0] & 0xF0 | BINARY])
        self.buffer = first + self.buffer
        return super().read_frame()


class OneRecvOneFrame(ReferenceServer):
    symptom = "it works on this machine; over a network, or with long messages, frames get lost or delayed"
    bug = "it clears the buffer after a frame, with the rest of the packet"
    fails = (
        "6.mask.every-size",
        "6.stream.one-packet",
        "6.stream.one-and-a-half",
        "7.fragments.two",
        "7.fragments.many",
        "7.ping.ten",
        "10.pipeline.1000",
    )
    sometimes = ("6.*", "7.*", "8.*", "9.*", "10.*", "11.*")  # depends on the ends of packets

    def read_frame(self) -> tuple[bool, int, int, bytes]:
        found = super().read_frame()
        self.buffer = b""
        return found


class OneRecvIsEnough(ReferenceServer):
    symptom = "long messages arrive truncated, and then the connection fails"
    bug = "it expects n bytes from recv(n), so a frame in two packets is truncated"
    fails = (
        "6.length.524288",
        "6.text-length.524288",
        "6.stream.half-a-header",
        "10.packets.500",
    )
    sometimes = ("6.*", "7.*", "8.*", "9.*", "10.*", "11.*")  # depends on the ends of packets

    def read_exactly(self, size: int) -> bytes:
        if size and not self.buffer:
            self.buffer = self.receive()
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def read_frame(self) -> tuple[bool, int, int, bytes]:
        try:
            return super().read_frame()
        except (ValueError, struct.error):
            raise Disconnected from None


class KeyBackwards(ReferenceServer):
    symptom = "every message arrives as garbage"
    bug = "it uses the bytes of the key in reverse order"
    fails = ("6.mask.undone", "6.echo.hello")
    sometimes = ("6.length.huge", "7.*", "8.*", "10.*", "11.*")  # a Ping, a code and a reason are payloads, too

    def unmask(self, payload: bytes, key: bytes) -> bytes:
        return super().unmask(payload, key[::-1])


class AllIsText(ReferenceServer):
    symptom = "an image comes back as a string, or the browser closes with 1007"
    bug = "its replies always have opcode 1"
    fails = (
        "6.echo.all-bytes",
        "6.echo.types",
    )

    def on_message(self, opcode: int, message: bytes) -> None:
        super().on_message(TEXT, message)


class BinaryIsDecoded(ReferenceServer):
    symptom = "chat works, but a file closes the connection"
    bug = "it decodes binary payloads as UTF-8 too"
    fails = ("6.echo.all-bytes",)

    def on_message(self, opcode: int, message: bytes) -> None:
        if opcode == BINARY:
            try:
                message.decode()
            except UnicodeDecodeError:
                raise Disconnected from None
        super().on_message(opcode, message)
