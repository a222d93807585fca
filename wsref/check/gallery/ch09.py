"""Chapter 9 of the gallery: compression."""

from __future__ import annotations

import re
import time
import zlib

from ..codec import BINARY, PONG, TEXT
from .reference import Disconnected, Failure, ReferenceServer, Request


class TakesRsv1(ReferenceServer, case="6.rsv.1"):
    symptom = "no symptom with correct clients"
    bug = "it allows RSV1 even without permessage-deflate"

    def check_first_byte(self, fin: bool, rsv: int, opcode: int) -> None:
        super().check_first_byte(fin, rsv & 3 if opcode in (TEXT, BINARY) else rsv, opcode)

    def decompress(self, payload: bytes) -> bytes:
        return payload if self.agreed is None else super().decompress(payload)


class Rsv1OnAnything(ReferenceServer, case="9.rsv1.continuation"):
    symptom = "no symptom with correct clients"
    bug = "with permessage-deflate, it allows RSV1 on control frames and continuations"

    def check_first_byte(self, fin: bool, rsv: int, opcode: int) -> None:
        super().check_first_byte(fin, rsv if self.agreed is None else rsv & 3, opcode)


class AnyRsvOnceAgreed(ReferenceServer, case="9.rsv2.reserved"):
    symptom = "no symptom with correct clients"
    bug = "with permessage-deflate, it ignores all RSV bits, not only RSV1"

    def read_frame(self) -> tuple[bool, int, int, bytes]:
        if self.agreed is not None:
            first = self.read_exactly(1)
            self.buffer = bytes([first[0] & 0xCF]) + self.buffer
        return super().read_frame()


class ForgetsRsv1(ReferenceServer, case="9.message.hello"):
    symptom = "with compression, browsers show garbage or close with 1007"
    bug = "it compresses messages, but does not set RSV1"

    def send_frame(self, opcode: int, payload: bytes, rsv: int = 0) -> None:
        super().send_frame(opcode, payload, 0)


class Rsv1OnPongs(ReferenceServer, case="9.rsv1.own"):
    symptom = "with compression, clients close with 1002 after a Ping"
    bug = "with permessage-deflate, it sets RSV1 on every frame"

    def on_ping(self, payload: bytes) -> None:
        self.send_frame(PONG, payload, 4 if self.agreed is not None else 0)


class InflatesAll(ReferenceServer, case="9.message.not-compressed"):
    symptom = "short messages from a browser, which are not compressed, close the connection"
    bug = "with permessage-deflate, it inflates every message and ignores RSV1"

    def on_data(self, fin: bool, rsv: int, opcode: int, payload: bytes) -> None:
        super().on_data(fin, 4 if self.agreed is not None else rsv, opcode, payload)


class NoTail(ReferenceServer, case="9.message.final-then-another"):
    symptom = "messages arrive late, or without their end"
    bug = "it does not append 00 00 ff ff before it inflates a message"

    def decompress(self, payload: bytes) -> bytes:
        try:
            return self.inflater.decompress(payload)
        except zlib.error:
            raise Failure(1007, "not DEFLATE") from None


class ZlibHeader(ReferenceServer, case="9.message.hello"):
    symptom = "with compression, browsers close with 1007 or 1006"
    bug = "it calls zlib.compressobj() without a negative wbits, which writes a zlib header before the DEFLATE stream"

    def new_deflater(self) -> None:
        self.deflater = zlib.compressobj()


class NewWindowToRead(ReferenceServer, case="9.message.mixed"):
    symptom = "the first message works, the second closes the connection"
    bug = "it creates a new decompressing object for each message, although the client keeps its window"

    def decompress(self, payload: bytes) -> bytes:
        self.inflater = zlib.decompressobj(-15)
        return super().decompress(payload)


class SmallWindowToRead(ReferenceServer, case="9.context.far-back"):
    symptom = "long compressed messages close the connection"
    bug = "it uses decompressobj(wbits=-10), although its answer has no client_max_window_bits"

    def decompress(self, payload: bytes) -> bytes:
        if not hasattr(self, "small"):
            self.small = zlib.decompressobj(-10)
        message, data = b"", payload + b"\0\0\xff\xff"
        try:
            while data and not self.small.eof and len(message) <= self.MAX_MESSAGE:
                message += self.small.decompress(data, 256)
                data = self.small.unconsumed_tail
        except zlib.error:
            raise Failure(1007, "not DEFLATE") from None
        if len(message) > self.MAX_MESSAGE:
            raise Failure(1009, "too long")
        if self.small.eof:
            self.small = zlib.decompressobj(-10)
        return message


class KeepsContext(ReferenceServer, case="9.context.server-starts-anew"):
    symptom = "clients that request server_no_context_takeover close on the second message"
    bug = "it agrees on server_no_context_takeover, but keeps its window"

    def compress(self, payload: bytes) -> bytes:
        return (self.deflater.compress(payload) + self.deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]


class LargeWindow(ReferenceServer, case="9.window.server-9"):
    symptom = "small devices that request a small window close on long messages"
    bug = "it agrees on server_max_window_bits, but uses a larger window"

    def new_deflater(self) -> None:
        self.deflater = zlib.compressobj(wbits=-15)


class AgreesToAnything(ReferenceServer, case="9.offer.browser"):
    symptom = "browsers with simple offers work; others fail the handshake, or get invalid messages"
    bug = "it sends the parameters of the first offer back, unchecked"

    def read_offer(self, words: list[str]) -> dict[str, int | bool] | None:
        self.words = words
        parameters: dict[str, int | bool] = {}
        for word in words:
            found = re.fullmatch(r'(\w+)\s*=\s*"?(9|1[0-5])"?', word)
            parameters[found[1] if found else word] = int(found[2]) if found else True
        return {name: value for name, value in parameters.items() if name.endswith("takeover") or value is not True}

    def choose_extension(self, request: Request) -> str | None:
        reply = super().choose_extension(request)
        return "; ".join(["permessage-deflate", *self.words]) if reply else None


class AnswersFifteen(ReferenceServer, case="9.offer.everything"):
    symptom = "clients that request a small window fail the handshake"
    bug = "it always answers with server_max_window_bits=15"

    def read_offer(self, words: list[str]) -> dict[str, int | bool] | None:
        return super().read_offer(
            [word.replace("server_max_window_bits=8", "server_max_window_bits=9") for word in words]
        )

    def reply_to(self, parameters: dict[str, int | bool]) -> dict[str, int | bool]:
        return {
            name: 15 if name == "server_max_window_bits" else value
            for name, value in super().reply_to(parameters).items()
        }


class BareWindow(ReferenceServer, case="9.offer.browser"):
    symptom = "browsers fail the handshake: 'invalid parameter'"
    bug = "it answers with client_max_window_bits without a value, which is valid only in an offer"

    def reply_to(self, parameters: dict[str, int | bool]) -> dict[str, int | bool]:
        bare = {name: True for name in parameters if name == "client_max_window_bits"}
        return {**super().reply_to(parameters), **bare}


class HintIsLaw(ReferenceServer, case="9.context.hint-only"):
    symptom = "clients that offer client_no_context_takeover get 1007 on the second message"
    bug = "it resets the window after each message as offered, but its answer does not say so"

    def reply_to(self, parameters: dict[str, int | bool]) -> dict[str, int | bool]:
        return {
            name: value for name, value in super().reply_to(parameters).items() if name != "client_no_context_takeover"
        }


class SwallowsErrors(ReferenceServer, case="9.invalid.block-type"):
    symptom = "sometimes an unexpected empty message arrives"
    bug = "it ignores errors: `except zlib.error: return b''`"

    def decompress(self, payload: bytes) -> bytes:
        try:
            return super().decompress(payload)
        except Failure as failure:
            if failure.code == 1009:
                raise
            return b""


class FallsOverBombs(ReferenceServer, case="9.bomb.survived"):
    symptom = "after one message of 48 KiB, the server is killed because it uses too much memory"
    bug = "it calls decompress() without max_length (in this exercise, it crashes at 16 MiB)"

    MAX_MESSAGE = 16 * 1024 * 1024

    def handle(self) -> None:
        if time.monotonic() > getattr(self.server, "dead_until", 0):
            super().handle()

    def decompress(self, payload: bytes) -> bytes:
        try:
            return super().decompress(payload)
        except Failure as failure:
            if failure.code == 1009:
                self.server.dead_until = time.monotonic() + 0.3  # type: ignore[attr-defined]
                raise Disconnected from None
            raise


class AsksForWindow(ReferenceServer, case="9.offer.plain"):
    symptom = "clients that did not offer client_max_window_bits fail the handshake"
    bug = "it includes client_max_window_bits in every answer"

    def reply_to(self, parameters: dict[str, int | bool]) -> dict[str, int | bool]:
        return {**super().reply_to(parameters), "client_max_window_bits": 15}


class TakesTheLast(ReferenceServer, case="9.decline.twice"):
    symptom = "no symptom with correct clients"
    bug = "it stores parameters in a dict, and does not detect repeated ones"

    def read_offer(self, words: list[str]) -> dict[str, int | bool] | None:
        return super().read_offer(list({word.partition("=")[0]: word for word in words}.values()))


class EmptyIsDefault(ReferenceServer, case="9.decline.server-window-empty"):
    symptom = "no symptom with correct clients"
    bug = "it reads a parameter with an empty value as its default"

    def parse_line(self, line: str) -> tuple[str, str]:
        return super().parse_line(re.sub("server_max_window_bits=$", "server_max_window_bits=15", line))


class StopsAtFinal(ReferenceServer, case="9.message.final-then-another"):
    symptom = "a client without zlib gets one answer, and then empty messages"
    bug = "it keeps the zlib object after BFINAL, which ignores further input"

    def decompress(self, payload: bytes) -> bytes:
        if self.inflater.eof:
            return b""
        try:
            message = self.inflater.decompress(payload + b"\0\0\xff\xff", self.MAX_MESSAGE + 1)
        except zlib.error:
            raise Failure(1007, "not DEFLATE") from None
        if len(message) > self.MAX_MESSAGE:
            raise Failure(1009, "too long")
        return message


class CompressedAnyText(ReferenceServer, case="9.utf8.invalid"):
    symptom = "sometimes a browser closes with 1007 because of an echo"
    bug = "it checks UTF-8 of uncompressed frames only"

    def check_text(self, piece: bytes, last: bool) -> None:
        if not self.compressed:
            super().check_text(piece, last)


class PingResetsCompression(ReferenceServer, case="9.message.ping-between"):
    symptom = "long compressed uploads sometimes fail: always if a keep-alive falls into one"
    bug = "it reads RSV1 from every frame except continuations, also from a Ping"

    def on_ping(self, payload: bytes) -> None:
        super().on_ping(payload)
        self.compressed = False
