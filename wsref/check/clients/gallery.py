"""Clients that are broken on purpose: each has one mistake of a few lines, and the case that is for it."""

from __future__ import annotations

import re
import struct
import time
import zlib
from collections.abc import Iterator

from ..codec import BINARY, CLOSE, CONTINUATION, PING, TEXT, accept_for
from .reference import Failure, ReferenceClient

# -- The request --------------------------------------------------------------------------------


class Posts(ReferenceClient, case="c1.request.method"):
    symptom = "every server refuses it with 400 or 405"
    bug = "it sends a POST"

    def request_line(self) -> str:
        return f"POST {self.path} HTTP/1.1"


class Http10(ReferenceClient, case="c1.request.version"):
    symptom = "servers answer as if it had asked for a page"
    bug = "it speaks HTTP/1.0"

    def request_line(self) -> str:
        return f"GET {self.path} HTTP/1.0"


class BareLf(ReferenceClient, case="c1.request.crlf"):
    symptom = "strict servers refuse it with 400"
    bug = "it ends its lines with LF"

    def request(self) -> bytes:
        return super().request().replace(b"\r\n", b"\n")


class BlankBeforeColon(ReferenceClient, case="c1.request.headers"):
    symptom = "strict servers refuse it with 400"
    bug = "it writes a blank before the colon"

    def request(self) -> bytes:
        return super().request().replace(b"Upgrade: websocket", b"Upgrade : websocket")


class NoHost(ReferenceClient, case="c1.host.one"):
    symptom = "servers of many sites refuse it with 400"
    bug = "it sends no Host"

    def request_headers(self) -> dict[str, str]:
        return {name: value for name, value in super().request_headers().items() if name != "Host"}


class HostWithoutPort(ReferenceClient, case="c1.host.port"):
    symptom = "a server that checks the Origin against Host refuses it"
    bug = "it leaves the port out of Host"

    def request_headers(self) -> dict[str, str]:
        return super().request_headers() | {"Host": self.host}


class SendsEarly(ReferenceClient, case="c1.request.waits"):
    symptom = "the first message is sometimes lost"
    bug = "it sends a Ping before the response"

    def read_head(self) -> bytes:
        self.send_frame(PING, b"early")
        return super().read_head()


class NoConnection(ReferenceClient, case="c2.request.connection"):
    symptom = "it connects directly, but not through a proxy"
    bug = "it sends Connection: keep-alive without the token Upgrade"

    def request_headers(self) -> dict[str, str]:
        return super().request_headers() | {"Connection": "keep-alive"}


class ShortKey(ReferenceClient, case="c3.key.16-bytes"):
    symptom = "strict servers refuse it with 400"
    bug = "its key is 12 bytes in base64"

    def new_key(self) -> str:
        return super().new_key()[:16]


class SameKey(ReferenceClient, case="c3.key.fresh"):
    symptom = "a cache on the way answers with an old response, and the client accepts it"
    bug = "it takes the key once, for all connections"

    KEY = "Zm9yIGFsbCBvZiB0aGVtIQ=="

    def new_key(self) -> str:
        return self.KEY


class PrintedKey(ReferenceClient, case="c3.key.random"):
    symptom = "no user complains, but each key is that of the RFC"
    bug = "it sends the example key of the RFC"

    def new_key(self) -> str:
        return "dGhlIHNhbXBsZSBub25jZQ=="


class Version8(ReferenceClient, case="c3.version.13"):
    symptom = "servers answer 426 with Sec-WebSocket-Version: 13"
    bug = "it speaks the draft of 2011"

    def request_headers(self) -> dict[str, str]:
        return super().request_headers() | {"Sec-WebSocket-Version": "8"}


class ProtocolTwice(ReferenceClient, case="c3.protocol.tokens"):
    symptom = "strict servers refuse it with 400"
    bug = "it offers one subprotocol twice"

    PROTOCOLS = ("chat", "chat")


class Window99(ReferenceClient, case="c3.extensions.deflate"):
    symptom = "no server compresses"
    bug = "it offers a window of 99 bits"

    OFFER = "permessage-deflate; client_max_window_bits=99"


# -- The response ----------------------------------------------------------------------------------


class CaseSensitive(ReferenceClient, case="c1.head.lower-case"):
    symptom = "it connects to some servers only"
    bug = "it looks for header names with capitals"

    def header_name(self, name: str) -> str:
        return name.lower() if name[:1].isupper() else ""


class OneBlank(ReferenceClient, case="c1.head.no-blank"):
    symptom = "it connects to some servers only"
    bug = "it splits header lines at a colon and a blank"

    def header_value(self, value: str) -> str:
        return value.strip() if value.startswith(" ") else ""


class OneRecv(ReferenceClient, case="c1.head.two-pieces"):
    symptom = "over slow networks it fails now and then"
    bug = "it takes what one recv returns for the whole head"

    def read_head(self) -> bytes:
        self.receive()
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        return head


class LosesTheRest(ReferenceClient, case="c6.stream.glued"):
    symptom = "the greeting of a fast server is lost"
    bug = "it throws away the bytes after the head"

    def read_head(self) -> bytes:
        head = super().read_head()
        self.buffer = b""
        return head


class ReadsForEver(ReferenceClient, case="c1.head.endless"):
    symptom = "a bad server fills its memory"
    bug = "it has no limit for the head"

    MAX_HEAD = 1 << 40


class PhraseMatters(ReferenceClient, case="c1.head.phrase"):
    symptom = "it does not connect to a server with its own words"
    bug = "it compares the status line with HTTP/1.1 101 Switching Protocols"

    def read_status(self, line: str) -> int:
        return 101 if line == "HTTP/1.1 101 Switching Protocols" else 400


class FirstResponse(ReferenceClient, case="c1.head.after-103"):
    symptom = "it does not connect through a server that sends early hints"
    bug = "it takes a 103 for the final response"

    def is_interim(self, status: int) -> bool:
        return False


class AnyStatus(ReferenceClient, case="c5.status.200"):
    symptom = "after an error of the server it reports garbage as messages"
    bug = "it does not check the status"

    def check_status(self, status: int) -> None:
        pass


class FindsItAnywhere(ReferenceClient, case="c5.status.101-in-phrase"):
    symptom = "a refusal is sometimes taken for a success"
    bug = "it looks for 101 anywhere in the status line"

    def read_status(self, line: str) -> int:
        return 101 if "101" in line else 400


class AnyUpgrade(ReferenceClient, case="c2.upgrade.h2c"):
    symptom = "it sends frames to a server that speaks HTTP/2 now"
    bug = "it does not check Upgrade"

    def check_upgrade(self, values: list[str]) -> None:
        pass


class UpgradeContains(ReferenceClient, case="c2.upgrade.prefix"):
    symptom = "no user complains, but the check is wrong"
    bug = "it looks for websocket inside the value of Upgrade"

    def check_upgrade(self, values: list[str]) -> None:
        super().check_upgrade(["websocket" if "websocket" in "".join(values).lower() else ""])


class AnyConnection(ReferenceClient, case="c2.connection.missing"):
    symptom = "no user complains, but the check is missing"
    bug = "it does not check Connection"

    def check_connection(self, values: list[str]) -> None:
        pass


class ConnectionIsOneWord(ReferenceClient, case="c2.connection.list"):
    symptom = "it does not connect through a proxy that adds keep-alive"
    bug = "it compares Connection with one word"

    def check_connection(self, values: list[str]) -> None:
        super().check_connection(values if ",".join(values).lower() == "upgrade" else [])


class AnyAccept(ReferenceClient, case="c4.accept.wrong"):
    symptom = "it takes a cached response for a WebSocket"
    bug = "it does not check Sec-WebSocket-Accept"

    def check_accept(self, values: list[str]) -> None:
        pass


class AcceptInLowerCase(ReferenceClient, case="c4.accept.other-case"):
    symptom = "no user complains, but the check is too lax"
    bug = "it compares the accept value in lower case, as it does with all values"

    def check_accept(self, values: list[str]) -> None:
        right = accept_for(self.key)
        super().check_accept([right if value.lower() == right.lower() else value for value in values])


class AcceptIfPresent(ReferenceClient, case="c4.accept.missing"):
    symptom = "no user complains, but the check is too lax"
    bug = "it checks the accept value only if there is one"

    def check_accept(self, values: list[str]) -> None:
        super().check_accept(values or [accept_for(self.key)])


class LastAccept(ReferenceClient, case="c4.accept.wrong-then-right"):
    symptom = "no user complains, but the check is too lax"
    bug = "it keeps the last of several headers"

    def check_accept(self, values: list[str]) -> None:
        super().check_accept(values[-1:])


class AnyProtocol(ReferenceClient, case="c3.protocol.unoffered"):
    symptom = "the application meets a subprotocol that it does not know"
    bug = "it does not compare the subprotocol with its offer"

    def check_protocol(self, values: list[str]) -> None:
        pass


class AnyExtension(ReferenceClient, case="c3.extension.unoffered"):
    symptom = "messages are garbage with some servers"
    bug = "it ignores extensions that it does not know"

    def check_extension(self, name: str, times: int) -> None:
        pass


class AnyParameter(ReferenceClient, case="c9.response.unknown"):
    symptom = "messages are garbage with some servers"
    bug = "it ignores parameters that it does not know"

    def check_parameter(self, name: str, has_value: bool, value: str) -> None:
        if name in ("server_max_window_bits", "client_max_window_bits") or name.endswith("takeover"):
            super().check_parameter(name, has_value, value)


class AnyWindow(ReferenceClient, case="c9.response.window-16"):
    symptom = "no user complains, but the check is missing"
    bug = "it does not check the value of a window"

    def check_parameter(self, name: str, has_value: bool, value: str) -> None:
        super().check_parameter(name, has_value, value if "window" not in name else "15")


# -- Frames ---------------------------------------------------------------------------------------


class NoMask(ReferenceClient, case="c6.mask.data"):
    symptom = "servers close with 1002 after the first message"
    bug = "it sends frames without a mask"

    def send_frame(self, opcode: int, payload: bytes, rsv: int = 0) -> None:
        length = self.length(len(payload))
        self.send(bytes([0x80 | rsv << 4 | opcode, length[0] & 0x7F]) + length[1:] + payload)


class ZeroKey(ReferenceClient, case="c6.mask.fresh"):
    symptom = "no user complains: the bytes go out as they are"
    bug = "its masking key is always zero"

    def masking_key(self) -> bytes:
        return bytes(4)


class KeyPerConnection(ReferenceClient, case="c6.mask.fresh"):
    symptom = "no user complains, but an attacker can predict the masks"
    bug = "it takes one masking key for each connection"

    def masking_key(self) -> bytes:
        self.mask_of_connection = getattr(self, "mask_of_connection", None) or super().masking_key()
        return self.mask_of_connection


class CountingKeys(ReferenceClient, case="c6.mask.fresh"):
    symptom = "no user complains, but an attacker can predict the masks"
    bug = "its masking keys count"

    count = 0x37FA213D

    def masking_key(self) -> bytes:
        self.count += 1
        return struct.pack("!I", self.count)


class SeededKeys(ReferenceClient, case="c6.mask.connection"):
    symptom = "no user complains, but an attacker can predict the masks"
    bug = "its random numbers begin with the same seed in every connection"

    state = 1

    def masking_key(self) -> bytes:
        self.state = (self.state * 1103515245 + 12345) % 2**32
        return struct.pack("!I", self.state)


class AcceptsMasked(ReferenceClient, case="c6.masked.text"):
    symptom = "no user complains, but the check is missing"
    bug = "it unmasks frames of the server"

    def on_masked(self) -> None:
        pass


class AnyRsv(ReferenceClient, case="c6.rsv.text-010"):
    symptom = "garbage arrives as messages"
    bug = "it ignores RSV bits"

    def check_rsv(self, rsv: int, opcode: int) -> None:
        pass


class AnyOpcode(ReferenceClient, case="c6.opcode.3"):
    symptom = "a future frame is lost without a word"
    bug = "it skips frames with reserved opcodes"

    def check_opcode(self, opcode: int) -> None:
        pass

    def on_data(self, fin: bool, rsv: int, opcode: int, payload: bytes) -> None:
        if opcode in (CONTINUATION, TEXT, BINARY):
            super().on_data(fin, rsv, opcode, payload)


class SignedLength(ReferenceClient, case="c6.length.32768"):
    symptom = "messages of 32 KiB to 64 KiB end the connection"
    bug = "it reads the 16-bit length as a signed number"

    def check_length(self, length: int, least: int) -> None:
        if least == 126 and length >= 32768:
            raise Failure(1002, "a negative length")
        super().check_length(length, least)


class OffByOne(ReferenceClient, case="c6.length.126"):
    symptom = "messages of 126 bytes arrive broken"
    bug = "it writes lengths up to 126 in 7 bits"

    def length(self, size: int) -> bytes:
        return struct.pack("!B", 0x80 | 126) if size == 126 else super().length(size)


class LongLengths(ReferenceClient, case="c6.sends.shortest-length"):
    symptom = "strict servers close with 1002"
    bug = "it writes every length in 64 bits"

    def length(self, size: int) -> bytes:
        return struct.pack("!BQ", 0x80 | 127, size)


# -- Messages ----------------------------------------------------------------------------------------


class NoPong(ReferenceClient, case="c7.ping.text"):
    symptom = "the server closes the connection after a minute"
    bug = "it ignores Pings"

    def on_ping(self, payload: bytes) -> None:
        pass


class EmptyPong(ReferenceClient, case="c7.ping.text"):
    symptom = "the server closes the connection after a minute"
    bug = "its Pongs have no payload"

    def on_ping(self, payload: bytes) -> None:
        super().on_ping(b"")


class DecodesPings(ReferenceClient, case="c7.ping.binary"):
    symptom = "some servers lose it after a minute"
    bug = "it decodes the payload of a Ping as UTF-8"

    def on_ping(self, payload: bytes) -> None:
        super().on_ping(payload.decode("utf-8", "replace").encode()[:125])


class PongForPong(ReferenceClient, case="c7.pong.unsolicited"):
    symptom = "two of them on both sides never stop"
    bug = "it fails the connection for a Pong that it did not ask for"

    def on_pong(self, payload: bytes) -> None:
        raise Failure(1002, "an unsolicited Pong")


class FragmentIsAMessage(ReferenceClient, case="c7.fragments.two"):
    symptom = "long messages arrive in pieces"
    bug = "it takes each fragment for a message"

    def on_data(self, fin: bool, rsv: int, opcode: int, payload: bytes) -> None:
        super().on_data(True, rsv, opcode or TEXT, payload)


class PingEndsMessage(ReferenceClient, case="c7.fragments.pings-between"):
    symptom = "a message that a Ping interrupts is lost"
    bug = "a Ping resets the collected fragments"

    def on_ping(self, payload: bytes) -> None:
        super().on_ping(payload)
        self.message = b""


class AnyOrder(ReferenceClient, case="c7.fragments.text-in-text"):
    symptom = "parts of two messages arrive as one"
    bug = "it does not check whether a fragment belongs to a message"

    def check_order(self, opcode: int) -> None:
        pass


class ReplacesUtf8(ReferenceClient, case="c7.utf-8.bad-ff"):
    symptom = "question marks in the text"
    bug = "it replaces invalid UTF-8"

    def check_text(self, piece: bytes, last: bool) -> None:
        pass


class AllowsSurrogates(ReferenceClient, case="c7.utf-8.bad-surrogate"):
    symptom = "another program cannot read the stored text"
    bug = "it decodes with surrogatepass"

    def check_text(self, piece: bytes, last: bool) -> None:
        if b"\xed" not in self.message and b"\xed" not in piece:
            super().check_text(piece, last)


class ChecksEachFragment(ReferenceClient, case="c7.fragments.split-character"):
    symptom = "long texts in other scripts end the connection"
    bug = "it demands that each fragment is UTF-8"

    def check_text(self, piece: bytes, last: bool) -> None:
        super().check_text(piece, True)


class EverythingIsText(ReferenceClient, case="c6.echo.all-bytes"):
    symptom = "binary messages end the connection"
    bug = "it decodes binary messages"

    def on_message(self, opcode: int, message: bytes) -> None:
        if opcode == BINARY:
            message = message.decode("utf-8", "replace").encode()
        super().on_message(opcode, message)


class TextComesBackBinary(ReferenceClient, case="c6.text-length.1"):
    symptom = "the other side gets bytes for text"
    bug = "it sends every message as binary"

    def on_message(self, opcode: int, message: bytes) -> None:
        super().on_message(BINARY, message)


class StripsBom(ReferenceClient, case="c7.utf-8.good-bom"):
    symptom = "the first character of a text is lost"
    bug = "it decodes with utf-8-sig, which removes a BOM"

    def on_message(self, opcode: int, message: bytes) -> None:
        super().on_message(opcode, message.removeprefix(b"\xef\xbb\xbf") if opcode == TEXT else message)


# -- Closing -----------------------------------------------------------------------------------------


class NoClose(ReferenceClient, case="c8.close.1000"):
    symptom = "the server reports 1006 for each client"
    bug = "it ends TCP instead of answering a Close"

    def on_close(self, payload: bytes) -> None:
        self.check_close(payload)
        self.socket.close()


class UnpacksTheCode(ReferenceClient, case="c8.close.empty"):
    symptom = "a Close without a code ends the program"
    bug = "it unpacks the code of an empty Close"

    def on_close(self, payload: bytes) -> None:
        if not payload:
            self.socket.close()
        super().on_close(payload)


class Sends1005(ReferenceClient, case="c8.code.empty-is-not-1005"):
    symptom = "strict servers report a protocol error for a normal end"
    bug = "it sends the code 1005 that its own API reports"

    def on_close(self, payload: bytes) -> None:
        self.check_close(payload)
        self.send_frame(CLOSE, payload[:2] or struct.pack("!H", 1005))


class EchoesAnyCode(ReferenceClient, case="c8.code.never-1006"):
    symptom = "strict servers report a protocol error"
    bug = "it echoes the code of a Close without a look at it"

    def check_close(self, payload: bytes) -> None:
        pass


class UnknownCodesAreErrors(ReferenceClient, case="c8.code.taken-4000"):
    symptom = "codes of the application arrive as 1002"
    bug = "it knows the codes 1000 to 1011 only"

    def is_valid_close_code(self, code: int) -> bool:
        return 1000 <= code <= 1011 and super().is_valid_close_code(code)


class EchoesTheReason(ReferenceClient, case="c8.payload.answer-split"):
    symptom = "strict servers report 1007 at the end"
    bug = "it cuts the echoed reason in the middle of a character"

    def on_close(self, payload: bytes) -> None:
        self.send_frame(CLOSE, payload)


class GoesOnAfterClose(ReferenceClient, case="c8.after.text"):
    symptom = "servers report data after the Close"
    bug = "it goes on after its Close"

    def on_frame(self, fin: bool, rsv: int, opcode: int, payload: bytes) -> bool:
        super().on_frame(fin, rsv, opcode, payload)
        return True


class HangsUp(ReferenceClient, case="c8.tcp.waits"):
    symptom = "many sockets of the client are in TIME_WAIT"
    bug = "it ends TCP first"

    def end_tcp(self) -> None:
        pass


class NeverEnds(ReferenceClient, case="c8.tcp.ends"):
    symptom = "it runs out of sockets"
    bug = "it keeps TCP open after the end"

    def end_tcp(self) -> None:
        time.sleep(2)


class AlwaysCode1000(ReferenceClient, case="c8.fail.code-opcode"):
    symptom = "the log of the server shows a normal end after each error"
    bug = "it fails a connection with the code 1000"

    def fail(self, failure: Failure) -> None:
        super().fail(Failure(1000, str(failure)))


class IgnoresEof(ReferenceClient, case="c8.end.in-payload"):
    symptom = "it waits for ever after the server crashed"
    bug = "it takes an empty read for no news"

    def receive(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            time.sleep(2)
        self.buffer += data or b"\0"


# -- Compression -------------------------------------------------------------------------------------


class NewWindow(ReferenceClient, case="c9.message.context"):
    symptom = "the second message ends the connection"
    bug = "it inflates each message with an empty window"

    def decompress(self, payload: bytes) -> bytes:
        self.inflater = zlib.decompressobj(-15)
        return super().decompress(payload)


class KeepsWindow(ReferenceClient, case="c9.takeover.client"):
    symptom = "servers that save memory close the connection"
    bug = "it ignores client_no_context_takeover"

    def compress(self, payload: bytes) -> bytes:
        return (self.deflater.compress(payload) + self.deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]


class LargeWindow(ReferenceClient, case="c9.window.client"):
    symptom = "servers that save memory close the connection"
    bug = "it ignores client_max_window_bits"

    def new_deflater(self) -> None:
        self.deflater = zlib.compressobj(wbits=-15)


class InflatesEverything(ReferenceClient, case="c9.message.plain"):
    symptom = "short messages, which the server does not compress, end the connection"
    bug = "it inflates messages without RSV1"

    def on_data(self, fin: bool, rsv: int, opcode: int, payload: bytes) -> None:
        super().on_data(fin, 4 if self.agreed is not None else rsv, opcode, payload)


class EndsAtFinal(ReferenceClient, case="c9.message.final-then-another"):
    symptom = "after the first message nothing arrives"
    bug = "it does not begin a new stream after BFINAL"

    def decompress(self, payload: bytes) -> bytes:
        try:
            return self.inflater.decompress(payload + b"\0\0\xff\xff")
        except zlib.error:
            raise Failure(1007, "not DEFLATE") from None


class AnyLength(ReferenceClient, case="c11.limit.endless-message"):
    symptom = "a bad server fills its memory"
    bug = "it has no limit for messages"

    MAX_MESSAGE = 1 << 40

    def on_data(self, fin: bool, rsv: int, opcode: int, payload: bytes) -> None:
        super().on_data(fin, rsv, opcode, payload)
        self.message = self.message[-65536:]  # the memory of the tests has a limit


def name_of(client: type[ReferenceClient]) -> str:
    """Return the name of a client: ``any-accept`` for ``AnyAccept``."""
    return re.sub(r"(?<!^)(?=[A-Z])|(?<=[a-z])(?=[0-9])", "-", client.__name__).lower()


def _broken() -> Iterator[type[ReferenceClient]]:
    for value in list(globals().values()):
        if isinstance(value, type) and issubclass(value, ReferenceClient) and value.bug:
            yield value


#: The broken clients by name, in the order of this file.
BROKEN_CLIENTS: dict[str, type[ReferenceClient]] = {name_of(client): client for client in _broken()}
