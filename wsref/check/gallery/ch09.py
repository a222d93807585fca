"""The gallery, chapters 6 to 11: what goes wrong once the handshake is right.

Each server is :class:`~wsref.check.gallery.Good` with one mistake, of those that people
make: most of them can be found in the issues of some project.
"""

from __future__ import annotations

import re
import time
import zlib

from ..codec import BINARY, PONG, TEXT
from .reference import Failure, Gone, Good, Request


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
