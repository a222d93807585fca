"""Chapter 4 of the gallery: ``complete_upgrade``."""

from __future__ import annotations

import base64
import hashlib

from ..codec import accept_for
from .reference import ReferenceServer, Request

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class HexAccept(ReferenceServer, case="4.accept.value"):
    symptom = "every browser reports a failed handshake, although the answer is 101"
    bug = "it sends the digest in hex instead of base64"

    def accept_value(self, key: str) -> str:
        return hashlib.sha1((key + GUID).encode()).hexdigest()


class GuidWithSpace(ReferenceServer, case="4.accept.value"):
    symptom = "every browser reports a failed handshake, although the answer is 101"
    bug = "it puts a blank between the key and the GUID"

    def accept_value(self, key: str) -> str:
        return accept_for(key + " ")


class DecodesKey(ReferenceServer, case="4.accept.value"):
    symptom = "every browser reports a failed handshake, although the answer is 101"
    bug = "it decodes the key before it appends the GUID"

    def accept_value(self, key: str) -> str:
        return base64.b64encode(hashlib.sha1(base64.b64decode(key + "==") + GUID.encode()).digest()).decode()


class GuidWithTypo(ReferenceServer, case="4.accept.value"):
    symptom = "every browser reports a failed handshake, although the answer is 101"
    bug = "one digit of the GUID is wrong"

    def accept_value(self, key: str) -> str:
        return base64.b64encode(hashlib.sha1((key + GUID.replace("95CA", "95C4")).encode()).digest()).decode()


class SameAcceptForAll(ReferenceServer, case="4.accept.fresh"):
    symptom = "it passes its author's test, but no browser can connect"
    bug = "it answers every key with the accept value of the RFC's example"

    def accept_value(self, key: str) -> str:
        return "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


class EncodesKeyAgain(ReferenceServer, case="4.accept.unusual-key"):
    symptom = "one client cannot connect, although its key looks valid"
    bug = "it decodes the key and hashes its own encoding of it, not the received key"

    def accept_value(self, key: str) -> str:
        return super().accept_value(base64.b64encode(base64.b64decode(key)).decode())


class OneLineTooMany(ReferenceServer, case="4.answer.nothing-follows"):
    symptom = "the connection opens, and then every client reports a malformed frame"
    bug = "it sends a second empty line after the 101"

    def answer(self, status_line: str, *headers: str, body: str = "") -> None:
        super().answer(status_line, *headers, body=body or ("\r\n" if status_line.startswith("101") else ""))


class Http10In101(ReferenceServer, case="4.answer.version"):
    symptom = "browsers connect, but some libraries report an unsupported HTTP version"
    bug = "its 101 is in HTTP/1.0"

    def send(self, data: bytes) -> None:
        super().send(data.replace(b"HTTP/1.1 101", b"HTTP/1.0 101", 1) if data.startswith(b"HTTP/1.1 101") else data)


class DropsWhatFollows(ReferenceServer, case="4.early.frame"):
    symptom = "the first message of a fast client is sometimes lost"
    bug = "it drops the bytes after the head in the same packet"

    def read_head(self) -> bytes:
        head = super().read_head()
        self.buffer = b""
        return head


class NoUpgradeIn101(ReferenceServer, case="4.answer.upgrade"):
    symptom = "browsers report: 'Upgrade' header is missing"
    bug = "it sends a 101 without Upgrade: websocket"

    def answer(self, status_line: str, *headers: str, body: str = "") -> None:
        if status_line.startswith("101"):
            headers = tuple(header for header in headers if not header.startswith("Upgrade"))
        super().answer(status_line, *headers, body=body)


class NoConnectionIn101(ReferenceServer, case="4.answer.connection"):
    symptom = "browsers report: 'Connection' header is missing"
    bug = "it sends a 101 without Connection: Upgrade"

    def answer(self, status_line: str, *headers: str, body: str = "") -> None:
        if status_line.startswith("101"):
            headers = tuple(header for header in headers if not header.startswith("Connection"))
        super().answer(status_line, *headers, body=body)


class LengthIn101(ReferenceServer, case="4.answer.no-length"):
    symptom = "some clients read the first frames as the body of the answer"
    bug = "it sends a 101 with Content-Length"

    def answer(self, status_line: str, *headers: str, body: str = "") -> None:
        more = ("Content-Length: 0",) if status_line.startswith("101") else ()
        super().answer(status_line, *headers, *more, body=body)


class SubprotocolUnasked(ReferenceServer, case="4.protocol.unasked"):
    symptom = "browsers fail the connection unless the page offers 'chat'"
    bug = "it sends Sec-WebSocket-Protocol to clients that offered no subprotocol, or others"

    def choose_protocol(self, request: Request) -> str | None:
        return "chat"


class SubprotocolList(ReferenceServer, case="4.protocol.one-of-the-offered"):
    symptom = "browsers fail the connection if a page offers two subprotocols"
    bug = "it answers Sec-WebSocket-Protocol with the whole offered list"

    def choose_protocol(self, request: Request) -> str | None:
        return ", ".join(request.tokens("sec-websocket-protocol")) or None


class FirstSubprotocol(ReferenceServer, case="4.protocol.unknown"):
    symptom = "the server agrees on a subprotocol, but does not use it"
    bug = "it agrees on the first offered subprotocol, even an unknown one"

    def choose_protocol(self, request: Request) -> str | None:
        return next(iter(request.tokens("sec-websocket-protocol")), None)


class SubprotocolInLowerCase(ReferenceServer, case="4.protocol.case"):
    symptom = "browsers fail the connection if the page offers 'ECHO'"
    bug = "it answers with the subprotocol's name in lower case"

    def choose_protocol(self, request: Request) -> str | None:
        return next((name.lower() for name in request.tokens("sec-websocket-protocol") if name.lower() == "echo"), None)


class AcceptTwice(ReferenceServer, case="4.accept.once"):
    symptom = "some clients connect, others report a wrong accept value"
    bug = "it sends Sec-WebSocket-Accept twice"

    def answer(self, status_line: str, *headers: str, body: str = "") -> None:
        more = [header for header in headers if header.startswith("Sec-WebSocket-Accept")]
        super().answer(status_line, *headers, *more, body=body)


class ExtensionUnasked(ReferenceServer, case="4.extensions.unasked"):
    symptom = "clients without compression fail the connection at once"
    bug = "it sends Sec-WebSocket-Extensions to clients that offered no extension"

    def choose_extension(self, request: Request) -> str | None:
        return super().choose_extension(request) or "permessage-deflate"


class EchoesExtensions(ReferenceServer, case="4.extensions.unknown"):
    symptom = "Chrome connects, and then the first message fails: its frames have RSV1"
    bug = "it sends the client's Sec-WebSocket-Extensions back, but supports no extension"

    def choose_extension(self, request: Request) -> str | None:
        return ", ".join(request.lines("sec-websocket-extensions")) or None
