"""Chapter 4 of the gallery: ``complete_upgrade``."""

from __future__ import annotations

import base64
import hashlib

from ..codec import accept_for
from .reference import ReferenceServer, Request

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class HexAccept(ReferenceServer):
    symptom = "every browser reports a failed handshake, although the answer is 101"
    bug = "it sends the digest in hex instead of base64"
    case = "4.accept.value"

    def accept_value(self, key: str) -> str:
        return hashlib.sha1((key + GUID).encode()).hexdigest()


class GuidWithSpace(ReferenceServer):
    symptom = "every browser reports a failed handshake, although the answer is 101"
    bug = "it puts a blank between the key and the GUID"
    case = "4.accept.value"

    def accept_value(self, key: str) -> str:
        return accept_for(key + " ")


class DecodesKey(ReferenceServer):
    symptom = "every browser reports a failed handshake, although the answer is 101"
    bug = "it decodes the key before it appends the GUID"
    case = "4.accept.value"

    def accept_value(self, key: str) -> str:
        return base64.b64encode(hashlib.sha1(base64.b64decode(key + "==") + GUID.encode()).digest()).decode()


class GuidWithTypo(ReferenceServer):
    symptom = "every browser reports a failed handshake, although the answer is 101"
    bug = "one digit of the GUID is wrong"
    case = "4.accept.value"

    def accept_value(self, key: str) -> str:
        return base64.b64encode(hashlib.sha1((key + GUID.replace("95CA", "95C4")).encode()).digest()).decode()


class SameAcceptForAll(ReferenceServer):
    symptom = "it passes its author's test, but no browser can connect"
    bug = "it answers every key with the accept value of the RFC's example"
    case = "4.accept.fresh"

    def accept_value(self, key: str) -> str:
        return "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


class EncodesKeyAgain(ReferenceServer):
    symptom = "one client cannot connect, although its key looks valid"
    bug = "it decodes the key and hashes its own encoding of it, not the received key"
    case = "4.accept.unusual-key"

    def accept_value(self, key: str) -> str:
        return super().accept_value(base64.b64encode(base64.b64decode(key)).decode())


class OneLineTooMany(ReferenceServer):
    symptom = "the connection opens, and then every client reports a malformed frame"
    bug = "it sends a second empty line after the 101"
    case = "4.answer.nothing-follows"

    def answer(self, status_line: str, *headers: str, body: str = "") -> None:
        super().answer(status_line, *headers, body=body or ("\r\n" if status_line.startswith("101") else ""))


class Http10In101(ReferenceServer):
    symptom = "browsers connect, but some libraries report an unsupported HTTP version"
    bug = "its 101 is in HTTP/1.0"
    case = "4.answer.version"

    def send(self, data: bytes) -> None:
        super().send(data.replace(b"HTTP/1.1 101", b"HTTP/1.0 101", 1) if data.startswith(b"HTTP/1.1 101") else data)


class DropsWhatFollows(ReferenceServer):
    symptom = "the first message of a fast client is sometimes lost"
    bug = "it drops the bytes after the head in the same packet"
    case = "4.early.frame"

    def read_head(self) -> bytes:
        head = super().read_head()
        self.buffer = b""
        return head


class NoUpgradeIn101(ReferenceServer):
    symptom = "browsers report: 'Upgrade' header is missing"
    bug = "it sends a 101 without Upgrade: websocket"
    case = "4.answer.upgrade"

    def answer(self, status_line: str, *headers: str, body: str = "") -> None:
        if status_line.startswith("101"):
            headers = tuple(header for header in headers if not header.startswith("Upgrade"))
        super().answer(status_line, *headers, body=body)


class NoConnectionIn101(ReferenceServer):
    symptom = "browsers report: 'Connection' header is missing"
    bug = "it sends a 101 without Connection: Upgrade"
    case = "4.answer.connection"

    def answer(self, status_line: str, *headers: str, body: str = "") -> None:
        if status_line.startswith("101"):
            headers = tuple(header for header in headers if not header.startswith("Connection"))
        super().answer(status_line, *headers, body=body)


class LengthIn101(ReferenceServer):
    symptom = "some clients read the first frames as the body of the answer"
    bug = "it sends a 101 with Content-Length"
    case = "4.answer.no-length"

    def answer(self, status_line: str, *headers: str, body: str = "") -> None:
        more = ("Content-Length: 0",) if status_line.startswith("101") else ()
        super().answer(status_line, *headers, *more, body=body)


class SubprotocolUnasked(ReferenceServer):
    symptom = "browsers fail the connection unless the page offers 'chat'"
    bug = "it sends Sec-WebSocket-Protocol to clients that offered no subprotocol, or others"
    case = "4.protocol.unasked"

    def choose_protocol(self, request: Request) -> str | None:
        return "chat"


class SubprotocolList(ReferenceServer):
    symptom = "browsers fail the connection if a page offers two subprotocols"
    bug = "it answers Sec-WebSocket-Protocol with the whole offered list"
    case = "4.protocol.one-of-the-offered"

    def choose_protocol(self, request: Request) -> str | None:
        return ", ".join(request.tokens("sec-websocket-protocol")) or None


class FirstSubprotocol(ReferenceServer):
    symptom = "the server agrees on a subprotocol, but does not use it"
    bug = "it agrees on the first offered subprotocol, even an unknown one"
    case = "4.protocol.unknown"

    def choose_protocol(self, request: Request) -> str | None:
        return next(iter(request.tokens("sec-websocket-protocol")), None)


class SubprotocolInLowerCase(ReferenceServer):
    symptom = "browsers fail the connection if the page offers 'ECHO'"
    bug = "it answers with the subprotocol's name in lower case"
    case = "4.protocol.case"

    def choose_protocol(self, request: Request) -> str | None:
        return next((name.lower() for name in request.tokens("sec-websocket-protocol") if name.lower() == "echo"), None)


class AcceptTwice(ReferenceServer):
    symptom = "some clients connect, others report a wrong accept value"
    bug = "it sends Sec-WebSocket-Accept twice"
    case = "4.accept.once"

    def answer(self, status_line: str, *headers: str, body: str = "") -> None:
        more = [header for header in headers if header.startswith("Sec-WebSocket-Accept")]
        super().answer(status_line, *headers, *more, body=body)


class ExtensionUnasked(ReferenceServer):
    symptom = "clients without compression fail the connection at once"
    bug = "it sends Sec-WebSocket-Extensions to clients that offered no extension"
    case = "4.extensions.unasked"

    def choose_extension(self, request: Request) -> str | None:
        return super().choose_extension(request) or "permessage-deflate"


class EchoesExtensions(ReferenceServer):
    symptom = "Chrome connects, and then the first message fails: its frames have RSV1"
    bug = "it sends the client's Sec-WebSocket-Extensions back, but supports no extension"
    case = "4.extensions.unknown"

    def choose_extension(self, request: Request) -> str | None:
        return ", ".join(request.lines("sec-websocket-extensions")) or None
