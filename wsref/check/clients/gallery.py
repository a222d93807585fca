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


class Posts(ReferenceClient):
    symptom = "every server refuses it with 400 or 405"
    bug = "it sends a POST"
    case = "c1.request.method"

    def request_line(self) -> str:
        return f"POST {self.path} HTTP/1.1"


class Http10(ReferenceClient):
    symptom = "servers answer as if it had asked for a page"
    bug = "it speaks HTTP/1.0"
    case = "c1.request.version"

    def request_line(self) -> str:
        return f"GET {self.path} HTTP/1.0"


class BareLf(ReferenceClient):
    symptom = "strict servers refuse it with 400"
    bug = "it ends its lines with LF"
    case = "c1.request.crlf"

    def request(self) -> bytes:
        return super().request().replace(b"\r\n", b"\n")


class BlankBeforeColon(ReferenceClient):
    symptom = "strict servers refuse it with 400"
    bug = "it writes a blank before the colon"
    case = "c1.request.headers"

    def request(self) -> bytes:
        return super().request().replace(b"Upgrade: websocket", b"Upgrade : websocket")


class NoHost(ReferenceClient):
    symptom = "servers of many sites refuse it with 400"
    bug = "it sends no Host"
    case = "c1.host.one"

    def request_headers(self) -> dict[str, str]:
        return {name: value for name, value in super().request_headers().items() if name != "Host"}


class HostWithoutPort(ReferenceClient):
    symptom = "a server that checks the Origin against Host refuses it"
    bug = "it leaves the port out of Host"
    case = "c1.host.port"

    def request_headers(self) -> dict[str, str]:
        return super().request_headers() | {"Host": self.host}


class SendsEarly(ReferenceClient):
    symptom = "the first message is sometimes lost"
    bug = "it sends a Ping before the response"
    case = "c1.request.waits"

    def read_head(self) -> bytes:
        self.send_frame(PING, b"early")
        return super().read_head()


class NoConnection(ReferenceClient):
    symptom = "it connects directly, but not through a proxy"
    bug = "it sends Connection: keep-alive without the token Upgrade"
    case = "c2.request.connection"

    def request_headers(self) -> dict[str, str]:
        return super().request_headers() | {"Connection": "keep-alive"}


class ShortKey(ReferenceClient):
    symptom = "strict servers refuse it with 400"
    bug = "its key is 12 bytes in base64"
    case = "c3.key.16-bytes"

    def new_key(self) -> str:
        return super().new_key()[:16]


class SameKey(ReferenceClient):
    symptom = "a cache on the way answers with an old response, and the client accepts it"
    bug = "it takes the key once, for all connections"
    case = "c3.key.fresh"
    KEY = "Zm9yIGFsbCBvZiB0aGVtIQ=="

    def new_key(self) -> str:
        return self.KEY


class PrintedKey(ReferenceClient):
    symptom = "no user complains, but each key is that of the RFC"
    bug = "it sends the example key of the RFC"
    case = "c3.key.random"

    def new_key(self) -> str:
        return "dGhlIHNhbXBsZSBub25jZQ=="


class Version8(ReferenceClient):
    symptom = "servers answer 426 with Sec-WebSocket-Version: 13"
    bug = "it speaks the draft of 2011"
    case = "c3.version.13"

    def request_headers(self) -> dict[str, str]:
        return super().request_headers() | {"Sec-WebSocket-Version": "8"}


class ProtocolTwice(ReferenceClient):
    symptom = "strict servers refuse it with 400"
    bug = "it offers one subprotocol twice"
    case = "c3.protocol.tokens"
    PROTOCOLS = ("chat", "chat")


class Window99(ReferenceClient):
    symptom = "no server compresses"
    bug = "it offers a window of 99 bits"
    case = "c3.extensions.deflate"
    OFFER = "permessage-deflate; client_max_window_bits=99"


# -- The response ----------------------------------------------------------------------------------


class CaseSensitive(ReferenceClient):
    symptom = "it connects to some servers only"
    bug = "it looks for header names with capitals"
    case = "c1.head.lower-case"

    def header_name(self, name: str) -> str:
        return name.lower() if name[:1].isupper() else ""


class OneBlank(ReferenceClient):
    symptom = "it connects to some servers only"
    bug = "it splits header lines at a colon and a blank"
    case = "c1.head.no-blank"

    def header_value(self, value: str) -> str:
        return value.strip() if value.startswith(" ") else ""


class OneRecv(ReferenceClient):
    symptom = "over slow networks it fails now and then"
    bug = "it takes what one recv returns for the whole head"
    case = "c1.head.byte-by-byte"

    def read_head(self) -> bytes:
        self.receive()
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        return head


class LosesTheRest(ReferenceClient):
    symptom = "the greeting of a fast server is lost"
    bug = "it throws away the bytes after the head"
    case = "c6.stream.glued"

    def read_head(self) -> bytes:
        head = super().read_head()
        self.buffer = b""
        return head


class ReadsForEver(ReferenceClient):
    symptom = "a bad server fills its memory"
    bug = "it has no limit for the head"
    case = "c1.head.endless"
    MAX_HEAD = 1 << 40


class PhraseMatters(ReferenceClient):
    symptom = "it does not connect to a server with its own words"
    bug = "it compares the status line with HTTP/1.1 101 Switching Protocols"
    case = "c1.head.phrase"

    def read_status(self, line: str) -> int:
        return 101 if line == "HTTP/1.1 101 Switching Protocols" else 400


class FirstResponse(ReferenceClient):
    symptom = "it does not connect through a server that sends early hints"
    bug = "it takes a 103 for the final response"
    case = "c1.head.after-103"

    def is_interim(self, status: int) -> bool:
        return False


class AnyStatus(ReferenceClient):
    symptom = "after an error of the server it reports garbage as messages"
    bug = "it does not check the status"
    case = "c5.status.200"

    def check_status(self, status: int) -> None:
        pass


class FindsItAnywhere(ReferenceClient):
    symptom = "a refusal is sometimes taken for a success"
    bug = "it looks for 101 anywhere in the status line"
    case = "c5.status.101-in-phrase"

    def read_status(self, line: str) -> int:
        return 101 if "101" in line else 400


class AnyUpgrade(ReferenceClient):
    symptom = "it sends frames to a server that speaks HTTP/2 now"
    bug = "it does not check Upgrade"
    case = "c2.upgrade.h2c"

    def check_upgrade(self, values: list[str]) -> None:
        pass


class UpgradeContains(ReferenceClient):
    symptom = "no user complains, but the check is wrong"
    bug = "it looks for websocket inside the value of Upgrade"
    case = "c2.upgrade.prefix"

    def check_upgrade(self, values: list[str]) -> None:
        super().check_upgrade(["websocket" if "websocket" in "".join(values).lower() else ""])


class AnyConnection(ReferenceClient):
    symptom = "no user complains, but the check is missing"
    bug = "it does not check Connection"
    case = "c2.connection.missing"

    def check_connection(self, values: list[str]) -> None:
        pass


class ConnectionIsOneWord(ReferenceClient):
    symptom = "it does not connect through a proxy that adds keep-alive"
    bug = "it compares Connection with one word"
    case = "c2.connection.list"

    def check_connection(self, values: list[str]) -> None:
        super().check_connection(values if ",".join(values).lower() == "upgrade" else [])


class AnyAccept(ReferenceClient):
    symptom = "it takes a cached response for a WebSocket"
    bug = "it does not check Sec-WebSocket-Accept"
    case = "c4.accept.wrong"

    def check_accept(self, values: list[str]) -> None:
        pass


class AcceptInLowerCase(ReferenceClient):
    symptom = "no user complains, but the check is too lax"
    bug = "it compares the accept value in lower case, as it does with all values"
    case = "c4.accept.other-case"

    def check_accept(self, values: list[str]) -> None:
        right = accept_for(self.key)
        super().check_accept([right if value.lower() == right.lower() else value for value in values])


class AcceptIfPresent(ReferenceClient):
    symptom = "no user complains, but the check is too lax"
    bug = "it checks the accept value only if there is one"
    case = "c4.accept.missing"

    def check_accept(self, values: list[str]) -> None:
        super().check_accept(values or [accept_for(self.key)])


class LastAccept(ReferenceClient):
    symptom = "no user complains, but the check is too lax"
    bug = "it keeps the last of several headers"
    case = "c4.accept.wrong-then-right"

    def check_accept(self, values: list[str]) -> None:
        super().check_accept(values[-1:])


class AnyProtocol(ReferenceClient):
    symptom = "the application meets a subprotocol that it does not know"
    bug = "it does not compare the subprotocol with its offer"
    case = "c3.protocol.unoffered"

    def check_protocol(self, values: list[str]) -> None:
        pass


class AnyExtension(ReferenceClient):
    symptom = "messages are garbage with some servers"
    bug = "it ignores extensions that it does not know"
    case = "c3.extension.unoffered"

    def check_extension(self, name: str, times: int) -> None:
        pass


class AnyParameter(ReferenceClient):
    symptom = "messages are garbage with some servers"
    bug = "it ignores parameters that it does not know"
    case = "c9.response.unknown"

    def check_parameter(self, name: str, has_value: bool, value: str) -> None:
        if name in ("server_max_window_bits", "client_max_window_bits") or name.endswith("takeover"):
            super().check_parameter(name, has_value, value)


class AnyWindow(ReferenceClient):
    symptom = "no user complains, but the check is missing"
    bug = "it does not check the value of a window"
    case = "c9.response.window-16"

    def check_parameter(self, name: str, has_value: bool, value: str) -> None:
        super().check_parameter(name, has_value, value if "window" not in name else "15")


# -- Frames ---------------------------------------------------------------------------------------


class NoMask(ReferenceClient):
    symptom = "servers close with 1002 after the first message"
    bug = "it sends frames without a mask"
    case = "c6.mask.data"

    def send_frame(self, opcode: int, payload: bytes, rsv: int = 0) -> None:
        length = self.length(len(payload))
        self.send(bytes([0x80 | rsv << 4 | opcode, length[0] & 0x7F]) + length[1:] + payload)


class ZeroKey(ReferenceClient):
    symptom = "no user complains: the bytes go out as they are"
    bug = "its masking key is always zero"
    case = "c6.mask.fresh"

    def masking_key(self) -> bytes:
        return bytes(4)


class KeyPerConnection(ReferenceClient):
    symptom = "no user complains, but an attacker can predict the masks"
    bug = "it takes one masking key for each connection"
    case = "c6.mask.fresh"

    def masking_key(self) -> bytes:
        self.mask_of_connection = getattr(self, "mask_of_connection", None) or super().masking_key()
        return self.mask_of_connection


class CountingKeys(ReferenceClient):
    symptom = "no user complains, but an attacker can predict the masks"
    bug = "its masking keys count"
    case = "c6.mask.fresh"
    count = 0x37FA213D

    def masking_key(self) -> bytes:
        self.count += 1
        return struct.pack("!I", self.count)


class SeededKeys(ReferenceClient):
    symptom = "no user complains, but an attacker can predict the masks"
    bug = "its random numbers begin with the same seed in every connection"
    case = "c6.mask.connection"
    state = 1

    def masking_key(self) -> bytes:
        self.state = (self.state * 1103515245 + 12345) % 2**32
        return struct.pack("!I", self.state)


class AcceptsMasked(ReferenceClient):
    symptom = "no user complains, but the check is missing"
    bug = "it unmasks frames of the server"
    case = "c6.masked.text"

    def on_masked(self) -> None:
        pass


class AnyRsv(ReferenceClient):
    symptom = "garbage arrives as messages"
    bug = "it ignores RSV bits"
    case = "c6.rsv.text-010"

    def check_rsv(self, rsv: int, opcode: int) -> None:
        pass


class AnyOpcode(ReferenceClient):
    symptom = "a future frame is lost without a word"
    bug = "it skips frames with reserved opcodes"
    case = "c6.opcode.3"

    def check_opcode(self, opcode: int) -> None:
        pass

    def on_data(self, fin: bool, rsv: int, opcode: int, payload: bytes) -> None:
        if opcode in (CONTINUATION, TEXT, BINARY):
            super().on_data(fin, rsv, opcode, payload)


class SignedLength(ReferenceClient):
    symptom = "messages of 32 KiB to 64 KiB end the connection"
    bug = "it reads the 16-bit length as a signed number"
    case = "c6.length.32768"

    def check_length(self, length: int, least: int) -> None:
        if least == 126 and length >= 32768:
            raise Failure(1002, "a negative length")
        super().check_length(length, least)


class OffByOne(ReferenceClient):
    symptom = "messages of 126 bytes arrive broken"
    bug = "it writes lengths up to 126 in 7 bits"
    case = "c6.length.126"

    def length(self, size: int) -> bytes:
        return struct.pack("!B", 0x80 | 126) if size == 126 else super().length(size)


class LongLengths(ReferenceClient):
    symptom = "strict servers close with 1002"
    bug = "it writes every length in 64 bits"
    case = "c6.sends.shortest-length"

    def length(self, size: int) -> bytes:
        return struct.pack("!BQ", 0x80 | 127, size)


# -- Messages ----------------------------------------------------------------------------------------


class NoPong(ReferenceClient):
    symptom = "the server closes the connection after a minute"
    bug = "it ignores Pings"
    case = "c7.ping.text"

    def on_ping(self, payload: bytes) -> None:
        pass


class EmptyPong(ReferenceClient):
    symptom = "the server closes the connection after a minute"
    bug = "its Pongs have no payload"
    case = "c7.ping.text"

    def on_ping(self, payload: bytes) -> None:
        super().on_ping(b"")


class DecodesPings(ReferenceClient):
    symptom = "some servers lose it after a minute"
    bug = "it decodes the payload of a Ping as UTF-8"
    case = "c7.ping.binary"

    def on_ping(self, payload: bytes) -> None:
        super().on_ping(payload.decode("utf-8", "replace").encode()[:125])


class PongForPong(ReferenceClient):
    symptom = "two of them on both sides never stop"
    bug = "it fails the connection for a Pong that it did not ask for"
    case = "c7.pong.unsolicited"

    def on_pong(self, payload: bytes) -> None:
        raise Failure(1002, "an unsolicited Pong")


class FragmentIsAMessage(ReferenceClient):
    symptom = "long messages arrive in pieces"
    bug = "it takes each fragment for a message"
    case = "c7.fragments.two"

    def on_data(self, fin: bool, rsv: int, opcode: int, payload: bytes) -> None:
        super().on_data(True, rsv, opcode or TEXT, payload)


class PingEndsMessage(ReferenceClient):
    symptom = "a message that a Ping interrupts is lost"
    bug = "a Ping resets the collected fragments"
    case = "c7.fragments.pings-between"

    def on_ping(self, payload: bytes) -> None:
        super().on_ping(payload)
        self.message = b""


class AnyOrder(ReferenceClient):
    symptom = "parts of two messages arrive as one"
    bug = "it does not check whether a fragment belongs to a message"
    case = "c7.fragments.text-in-text"

    def check_order(self, opcode: int) -> None:
        pass


class ReplacesUtf8(ReferenceClient):
    symptom = "question marks in the text"
    bug = "it replaces invalid UTF-8"
    case = "c7.utf-8.bad-ff"

    def check_text(self, piece: bytes, last: bool) -> None:
        pass


class AllowsSurrogates(ReferenceClient):
    symptom = "another program cannot read the stored text"
    bug = "it decodes with surrogatepass"
    case = "c7.utf-8.bad-surrogate"

    def check_text(self, piece: bytes, last: bool) -> None:
        if b"\xed" not in self.message and b"\xed" not in piece:
            super().check_text(piece, last)


class ChecksEachFragment(ReferenceClient):
    symptom = "long texts in other scripts end the connection"
    bug = "it demands that each fragment is UTF-8"
    case = "c7.fragments.split-character"

    def check_text(self, piece: bytes, last: bool) -> None:
        super().check_text(piece, True)


class EverythingIsText(ReferenceClient):
    symptom = "binary messages end the connection"
    bug = "it decodes binary messages"
    case = "c6.echo.all-bytes"

    def on_message(self, opcode: int, message: bytes) -> None:
        if opcode == BINARY:
            message = message.decode("utf-8", "replace").encode()
        super().on_message(opcode, message)


class TextComesBackBinary(ReferenceClient):
    symptom = "the other side gets bytes for text"
    bug = "it sends every message as binary"
    case = "c6.text-length.1"

    def on_message(self, opcode: int, message: bytes) -> None:
        super().on_message(BINARY, message)


class StripsBom(ReferenceClient):
    symptom = "the first character of a text is lost"
    bug = "it decodes with utf-8-sig, which removes a BOM"
    case = "c7.utf-8.good-bom"

    def on_message(self, opcode: int, message: bytes) -> None:
        super().on_message(opcode, message.removeprefix(b"\xef\xbb\xbf") if opcode == TEXT else message)


# -- Closing -----------------------------------------------------------------------------------------


class NoClose(ReferenceClient):
    symptom = "the server reports 1006 for each client"
    bug = "it ends TCP instead of answering a Close"
    case = "c8.close.1000"

    def on_close(self, payload: bytes) -> None:
        self.check_close(payload)
        self.socket.close()


class UnpacksTheCode(ReferenceClient):
    symptom = "a Close without a code ends the program"
    bug = "it unpacks the code of an empty Close"
    case = "c8.close.empty"

    def on_close(self, payload: bytes) -> None:
        if not payload:
            self.socket.close()
        super().on_close(payload)


class Sends1005(ReferenceClient):
    symptom = "strict servers report a protocol error for a normal end"
    bug = "it sends the code 1005 that its own API reports"
    case = "c8.code.empty-is-not-1005"

    def on_close(self, payload: bytes) -> None:
        self.check_close(payload)
        self.send_frame(CLOSE, payload[:2] or struct.pack("!H", 1005))


class EchoesAnyCode(ReferenceClient):
    symptom = "strict servers report a protocol error"
    bug = "it echoes the code of a Close without a look at it"
    case = "c8.code.never-1006"

    def check_close(self, payload: bytes) -> None:
        pass


class UnknownCodesAreErrors(ReferenceClient):
    symptom = "codes of the application arrive as 1002"
    bug = "it knows the codes 1000 to 1011 only"
    case = "c8.code.taken-4000"

    def is_valid_close_code(self, code: int) -> bool:
        return 1000 <= code <= 1011 and super().is_valid_close_code(code)


class EchoesTheReason(ReferenceClient):
    symptom = "strict servers report 1007 at the end"
    bug = "it cuts the echoed reason in the middle of a character"
    case = "c8.payload.answer-split"

    def on_close(self, payload: bytes) -> None:
        self.send_frame(CLOSE, payload)


class GoesOnAfterClose(ReferenceClient):
    symptom = "servers report data after the Close"
    bug = "it goes on after its Close"
    case = "c8.after.text"

    def on_frame(self, fin: bool, rsv: int, opcode: int, payload: bytes) -> bool:
        super().on_frame(fin, rsv, opcode, payload)
        return True


class HangsUp(ReferenceClient):
    symptom = "many sockets of the client are in TIME_WAIT"
    bug = "it ends TCP first"
    case = "c8.tcp.waits"

    def end_tcp(self) -> None:
        pass


class NeverEnds(ReferenceClient):
    symptom = "it runs out of sockets"
    bug = "it keeps TCP open after the end"
    case = "c8.tcp.ends"

    def end_tcp(self) -> None:
        time.sleep(2)


class AlwaysCode1000(ReferenceClient):
    symptom = "the log of the server shows a normal end after each error"
    bug = "it fails a connection with the code 1000"
    case = "c8.fail.code-opcode"

    def fail(self, failure: Failure) -> None:
        super().fail(Failure(1000, str(failure)))


class IgnoresEof(ReferenceClient):
    symptom = "it waits for ever after the server crashed"
    bug = "it takes an empty read for no news"
    case = "c8.end.in-payload"

    def receive(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            time.sleep(2)
        self.buffer += data or b"\0"


# -- Compression -------------------------------------------------------------------------------------


class NewWindow(ReferenceClient):
    symptom = "the second message ends the connection"
    bug = "it inflates each message with an empty window"
    case = "c9.message.context"

    def decompress(self, payload: bytes) -> bytes:
        self.inflater = zlib.decompressobj(-15)
        return super().decompress(payload)


class KeepsWindow(ReferenceClient):
    symptom = "servers that save memory close the connection"
    bug = "it ignores client_no_context_takeover"
    case = "c9.takeover.client"

    def compress(self, payload: bytes) -> bytes:
        return (self.deflater.compress(payload) + self.deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]


class LargeWindow(ReferenceClient):
    symptom = "servers that save memory close the connection"
    bug = "it ignores client_max_window_bits"
    case = "c9.window.client"

    def new_deflater(self) -> None:
        self.deflater = zlib.compressobj(wbits=-15)


class InflatesEverything(ReferenceClient):
    symptom = "short messages, which the server does not compress, end the connection"
    bug = "it inflates messages without RSV1"
    case = "c9.message.plain"

    def on_data(self, fin: bool, rsv: int, opcode: int, payload: bytes) -> None:
        super().on_data(fin, 4 if self.agreed is not None else rsv, opcode, payload)


class EndsAtFinal(ReferenceClient):
    symptom = "after the first message nothing arrives"
    bug = "it does not begin a new stream after BFINAL"
    case = "c9.message.final-then-another"

    def decompress(self, payload: bytes) -> bytes:
        try:
            return self.inflater.decompress(payload + b"\0\0\xff\xff")
        except zlib.error:
            raise Failure(1007, "not DEFLATE") from None


class AnyLength(ReferenceClient):
    symptom = "a bad server fills its memory"
    bug = "it has no limit for messages"
    case = "c11.limit.endless-message"
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
