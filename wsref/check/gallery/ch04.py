"""Chapters 1 to 5 of the gallery: servers whose opening handshake is broken by a few lines."""

from __future__ import annotations

import base64
import hashlib

from ..codec import accept_for
from .reference import Good, Request

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class HexAccept(Good):
    """Forgets the base64."""

    symptom = "every browser says that the handshake failed, though the answer is 101"
    bug = "sends the digest in hex instead of base64"
    fails = ("4.accept.value",)

    def accept_value(self, key: str) -> str:
        """In hex."""
        return hashlib.sha1((key + GUID).encode()).hexdigest()


class GuidWithSpace(Good):
    """Joins key and GUID with a blank."""

    symptom = "every browser says that the handshake failed, though the answer is 101"
    bug = "a blank between the key and the GUID"
    fails = ("4.accept.value",)

    def accept_value(self, key: str) -> str:
        """With a blank between them."""
        return accept_for(key + " ")


class DecodesKey(Good):
    """Decodes the key first."""

    symptom = "every browser says that the handshake failed, though the answer is 101"
    bug = "decodes the key before it appends the GUID"
    fails = ("4.accept.value",)

    def accept_value(self, key: str) -> str:
        """Of the bytes that the key stands for."""
        return base64.b64encode(hashlib.sha1(base64.b64decode(key + "==") + GUID.encode()).digest()).decode()


class GuidWithTypo(Good):
    """Copied the GUID by hand."""

    symptom = "every browser says that the handshake failed, though the answer is 101"
    bug = "one digit of the GUID is wrong"
    fails = ("4.accept.value",)

    def accept_value(self, key: str) -> str:
        """With another GUID."""
        return base64.b64encode(hashlib.sha1((key + GUID.replace("95CA", "95C4")).encode()).digest()).decode()


class SameAcceptForAll(Good):
    """Sends the answer of the RFC's example to everybody."""

    symptom = "it passes the test that its author wrote, and no browser connects"
    bug = "answers every key with the accept value of the RFC's example"
    fails = ("4.accept.fresh",)

    def accept_value(self, key: str) -> str:
        """That of §1.3."""
        return "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


class EncodesKeyAgain(Good):
    """Decodes the key to see whether it is one, and encodes it again."""

    symptom = "one client in some language cannot connect, and its key looks as good as any"
    bug = "hashes the key as it would have written it, not as it came"
    fails = ("4.accept.unusual-key",)

    def accept_value(self, key: str) -> str:
        """Of the same bytes."""
        return super().accept_value(base64.b64encode(base64.b64decode(key)).decode())


class OneLineTooMany(Good):
    """Ends the 101 with two empty lines."""

    symptom = "the connection opens, and the first thing that every client says is that a frame is malformed"
    bug = "an empty line too many after the 101"
    fails = ("4.answer.nothing-follows",)

    def answer(self, status_line: str, *headers: str, body: str = "") -> None:
        """One for the head, and one to be sure."""
        super().answer(status_line, *headers, body=body or ("\r\n" if status_line.startswith("101") else ""))


class Http10In101(Good):
    """What http.server says unless it is told otherwise."""

    symptom = "browsers connect, and some libraries say that the server's HTTP version is not supported"
    bug = "the 101 is in HTTP/1.0"
    fails = ("4.answer.version",)

    def send(self, data: bytes) -> None:
        """The status line is another one."""
        super().send(data.replace(b"HTTP/1.1 101", b"HTTP/1.0 101", 1) if data.startswith(b"HTTP/1.1 101") else data)


class DropsWhatFollows(Good):
    """Reads the head into a buffer of its own."""

    symptom = "the first message of fast clients is lost, sometimes"
    bug = "throws away what came in one packet with the head"
    fails = ("4.early.frame",)

    def read_head(self) -> bytes:
        """And forgets the rest."""
        head = super().read_head()
        self.buffer = b""
        return head


class NoUpgradeIn101(Good):
    """Forgets a header of the 101."""

    symptom = "browsers say: 'Upgrade' header is missing"
    bug = "a 101 without Upgrade: websocket"
    fails = ("4.answer.upgrade",)

    def answer(self, status_line: str, *headers: str, body: str = "") -> None:
        """Without it."""
        if status_line.startswith("101"):
            headers = tuple(header for header in headers if not header.startswith("Upgrade"))
        super().answer(status_line, *headers, body=body)


class NoConnectionIn101(Good):
    """Forgets the other one."""

    symptom = "browsers say: 'Connection' header is missing"
    bug = "a 101 without Connection: Upgrade"
    fails = ("4.answer.connection",)

    def answer(self, status_line: str, *headers: str, body: str = "") -> None:
        """Without it."""
        if status_line.startswith("101"):
            headers = tuple(header for header in headers if not header.startswith("Connection"))
        super().answer(status_line, *headers, body=body)


class LengthIn101(Good):
    """Adds what its HTTP library adds to every response."""

    symptom = "some clients take the first frames for the answer's body"
    bug = "a 101 with Content-Length"
    fails = ("4.answer.no-length",)

    def answer(self, status_line: str, *headers: str, body: str = "") -> None:
        """With a length, always."""
        more = ("Content-Length: 0",) if status_line.startswith("101") else ()
        super().answer(status_line, *headers, *more, body=body)


class SubprotocolUnasked(Good):
    """Says what it speaks, whether asked or not."""

    symptom = "browsers fail the connection unless the page asks for 'chat'"
    bug = "sends Sec-WebSocket-Protocol to clients that offered none, or others"
    fails = (
        "4.protocol.unasked",
        "4.protocol.one-of-the-offered",
        "4.protocol.case",
        "4.protocol.two-lines",
    )

    def choose_protocol(self, request: Request) -> str | None:
        """Its own."""
        return "chat"


class SubprotocolList(Good):
    """Sends the offer back."""

    symptom = "browsers fail the connection as soon as a page offers two subprotocols"
    bug = "answers Sec-WebSocket-Protocol with the whole list that was offered"
    fails = (
        "4.protocol.one-of-the-offered",
        "4.protocol.case",
        "4.protocol.two-lines",
        "4.protocol.unknown",
    )

    def choose_protocol(self, request: Request) -> str | None:
        """All of them."""
        return ", ".join(request.tokens("sec-websocket-protocol")) or None


class FirstSubprotocol(Good):
    """Takes the first that is offered."""

    symptom = "clients that offer two subprotocols get the better one agreed on, and then it is not spoken"
    bug = "agrees on the first subprotocol that is offered, whatever it is"
    fails = ("4.protocol.unknown",)

    def choose_protocol(self, request: Request) -> str | None:
        """Whatever the client likes best."""
        return next(iter(request.tokens("sec-websocket-protocol")), None)


class SubprotocolInLowerCase(Good):
    """Lowers what it compares."""

    symptom = "browsers fail the connection when the page offers 'ECHO'"
    bug = "answers with the subprotocol's name in lower case"
    fails = ("4.protocol.case",)

    def choose_protocol(self, request: Request) -> str | None:
        """Whatever its case, in lower case."""
        return next((name.lower() for name in request.tokens("sec-websocket-protocol") if name.lower() == "echo"), None)


class AcceptTwice(Good):
    """Adds what its library has added already."""

    symptom = "some clients connect, others say that the accept value is wrong"
    bug = "sends Sec-WebSocket-Accept twice"
    fails = ("4.accept.once",)

    def answer(self, status_line: str, *headers: str, body: str = "") -> None:
        """Each line of it."""
        more = [header for header in headers if header.startswith("Sec-WebSocket-Accept")]
        super().answer(status_line, *headers, *more, body=body)


class ExtensionUnasked(Good):
    """Compresses for everybody."""

    symptom = "clients without compression fail the connection at once"
    bug = "sends Sec-WebSocket-Extensions to clients that offered none"
    fails = ("4.extensions.unasked", "4.extensions.unknown")
    sometimes = ("9.*",)

    def choose_extension(self, request: Request) -> str | None:
        """Always."""
        return super().choose_extension(request) or "permessage-deflate"


class EchoesExtensions(Good):
    """Agrees to everything."""

    symptom = "Chrome connects, and fails at the first message: its frames have RSV1 set"
    bug = "sends the client's Sec-WebSocket-Extensions back without speaking any"
    fails = ("4.extensions.unknown",)
    sometimes = ("9.*",)

    def choose_extension(self, request: Request) -> str | None:
        """Whatever was offered."""
        return ", ".join(request.lines("sec-websocket-extensions")) or None
