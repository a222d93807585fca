"""Chapter 6 of the gallery: frames."""

from __future__ import annotations

import struct

from ..codec import BINARY, TEXT, frame, mask
from .reference import Disconnected, ReferenceServer


class LongIsShort(ReferenceServer, case="6.length.126"):
    symptom = "short messages work; one of 200 characters does not, and then none does"
    bug = "it reads 126 and 127 as lengths; they announce a longer length"

    def read_length(self, opcode: int, length: int) -> int:
        return length


class OneTooEarly(ReferenceServer, case="6.length.125"):
    symptom = "messages of exactly 125 bytes never arrive"
    bug = "it tests >= 125 instead of >= 126"

    def read_length(self, opcode: int, length: int) -> int:
        return super().read_length(opcode, 126 if length == 125 else length)


class SixBits(ReferenceServer, case="6.length.124"):
    symptom = "messages of 64 bytes or more never arrive whole"
    bug = "it uses & 0x3f instead of & 0x7f"

    def read_length(self, opcode: int, length: int) -> int:
        return super().read_length(opcode, length if length >= 126 else length & 0x3F)


class LittleEndian(ReferenceServer, case="6.length.126"):
    symptom = "messages of more than 125 bytes never arrive, or end in garbage"
    bug = "it reads the 16-bit length as little-endian: '<H' instead of '!H' for struct"

    def read_length(self, opcode: int, length: int) -> int:
        if length != 126 or opcode & 8:
            return super().read_length(opcode, length)
        (length,) = struct.unpack("<H", self.read_exactly(2))
        return int(length)


class SignedLength(ReferenceServer, case="6.length.32768"):
    symptom = "messages of 32,768 to 65,535 bytes do not work; shorter and longer ones do"
    bug = "it reads the length with the signed '!h' instead of '!H'"

    def read_length(self, opcode: int, length: int) -> int:
        if length != 126 or opcode & 8:
            return super().read_length(opcode, length)
        (length,) = struct.unpack("!h", self.read_exactly(2))
        self.check_length(length, 126)
        return int(length)


class HalfOf64(ReferenceServer, case="6.length.low-half-of-64"):
    symptom = "all messages from browsers work; only a reviewer complains"
    bug = "it ignores the upper four of the eight bytes of a length"

    def read_length(self, opcode: int, length: int) -> int:
        return super().read_length(opcode, length) & 0xFFFFFFFF


class AnyForm(ReferenceServer, case="6.length.text-in-16-bits"):
    symptom = "no symptom: it accepts more than it should"
    bug = "it accepts a length in too many bits, and one with its top bit set"

    def check_length(self, length: int, least: int) -> None:
        pass


class LongForm(ReferenceServer, case="6.length.shortest-form"):
    symptom = "browsers work; a strict client closes with 1002 on messages of 126 to 65,535 bytes"
    bug = "it never writes lengths in 16 bits"

    def send_frame(self, opcode: int, payload: bytes, rsv: int = 0) -> None:
        self.send(frame(opcode, payload, rsv=rsv, key=None, form=7 if len(payload) < 126 else 64))


class MasksReplies(ReferenceServer, case="6.mask.server"):
    symptom = "browsers close with 1002: 'A server must not mask any frames that it sends to the client'"
    bug = "one function builds frames for both roles, and always masks"

    def send_frame(self, opcode: int, payload: bytes, rsv: int = 0) -> None:
        self.send(frame(opcode, payload, rsv=rsv))


class TakesUnmasked(ReferenceServer, case="6.mask.missing"):
    symptom = "no symptom with a browser; a client without masks gets no error"
    bug = "it uses the MASK bit only to decide whether to read a key"

    def on_unmasked(self) -> None:
        pass


class WholeWords(ReferenceServer, case="7.pong.well-formed"):
    symptom = "the last one to three characters of most messages are garbage, or the connection closes with 1007"
    bug = "it unmasks whole words of 4 bytes, and not the rest"

    def unmask(self, payload: bytes, key: bytes) -> bytes:
        whole = len(payload) // 4 * 4
        return mask(payload[:whole], key) + payload[whole:]


class OldKey(ReferenceServer, case="6.mask.every-size"):
    symptom = "the first message is correct, all others are garbage"
    bug = "it keeps the first masking key; each frame has its own"

    key = b""

    def unmask(self, payload: bytes, key: bytes) -> bytes:
        self.key = self.key or key
        return super().unmask(payload, self.key)


class ZeroIsNoKey(ReferenceServer, case="6.mask.zeros"):
    symptom = "a client with a key of zeros is refused: 'a frame without a mask'"
    bug = "it tests the value of the key instead of the MASK bit"

    def unmask(self, payload: bytes, key: bytes) -> bytes:
        if not any(key):
            self.on_unmasked()
        return super().unmask(payload, key)


class MarksAll(ReferenceServer, case="6.rsv.server"):
    symptom = "browsers close with 1002 on the first message, unless compression is agreed"
    bug = "it sets RSV1 on every message, also without compression"

    def on_message(self, opcode: int, message: bytes) -> None:
        if self.agreed is not None:
            super().on_message(opcode, message)
        else:
            self.send_frame(opcode, message, 4)


class IgnoresRsv(ReferenceServer, case="6.rsv.1"):
    symptom = "no symptom, until a client uses an unknown extension"
    bug = "it ignores the RSV bits"

    def read_frame(self) -> tuple[bool, int, int, bytes]:
        if self.agreed is None:
            first = self.read_exactly(1)
            self.buffer = bytes([first[0] & 0x8F]) + self.buffer
        return super().read_frame()


class ReservedIsBinary(ReferenceServer, case="6.opcode.3"):
    symptom = "no symptom with today's clients"
    bug = "an `else` reads every unknown opcode as binary"

    def read_frame(self) -> tuple[bool, int, int, bytes]:
        first = self.read_exactly(1)
        opcode = first[0] & 15
        if opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
            first = bytes([first[0] & 0xF0 | BINARY])
        self.buffer = first + self.buffer
        return super().read_frame()


class OneRecvOneFrame(ReferenceServer, case="6.mask.every-size"):
    symptom = "it works on this machine; over a network, or with long messages, frames get lost or delayed"
    bug = "it clears the buffer after a frame, with the rest of the packet"

    def read_frame(self) -> tuple[bool, int, int, bytes]:
        found = super().read_frame()
        self.buffer = b""
        return found


class OneRecvIsEnough(ReferenceServer, case="6.length.524288"):
    symptom = "long messages arrive truncated, and then the connection fails"
    bug = "it expects n bytes from recv(n), so a frame in two packets is truncated"

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


class KeyBackwards(ReferenceServer, case="6.mask.undone"):
    symptom = "every message arrives as garbage"
    bug = "it uses the bytes of the key in reverse order"

    def unmask(self, payload: bytes, key: bytes) -> bytes:
        return super().unmask(payload, key[::-1])


class OneIsNone(ReferenceServer, case="6.length.1"):
    symptom = "a user who types a single letter gets no answer"
    bug = "it takes messages of one byte for empty ones: `if len(message) > 1`"

    def on_message(self, opcode: int, message: bytes) -> None:
        if len(message) != 1:
            super().on_message(opcode, message)


class AllIsText(ReferenceServer, case="6.echo.all-bytes"):
    symptom = "an image comes back as a string, or the browser closes with 1007"
    bug = "its replies always have opcode 1"

    def on_message(self, opcode: int, message: bytes) -> None:
        super().on_message(TEXT, message)


class BinaryIsDecoded(ReferenceServer, case="6.echo.all-bytes"):
    symptom = "chat works, but a file closes the connection"
    bug = "it decodes binary payloads as UTF-8 too"

    def on_message(self, opcode: int, message: bytes) -> None:
        if opcode == BINARY:
            try:
                message.decode()
            except UnicodeDecodeError:
                raise Disconnected from None
        super().on_message(opcode, message)
