"""Chapters 1 to 5 of the gallery: servers whose opening handshake is broken by a few lines."""

from __future__ import annotations

from .reference import Good, Refusal, Request

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class UpgradeRequiredToWhat(Good):
    """426, as Node's ws sends it."""

    symptom = "a plain client is told to upgrade, and not to what"
    bug = "a 426 without Upgrade"
    fails = ("5.plain.says-to-what",)

    def fallback(self, request: Request) -> None:
        """Without the header."""
        raise Refusal(426, "this is a WebSocket server")


class UpgradeUnnamed(Good):
    """Upgrade, and Connection does not know."""

    symptom = "the Upgrade of its 426 gets lost behind a proxy"
    bug = "an answer with Upgrade that Connection does not name"
    fails = ("5.plain.names-upgrade",)

    def answer(self, status_line: str, *headers: str, body: str = "") -> None:
        """Connection says close, and no more."""
        if not status_line.startswith("101"):
            headers = tuple(header.replace("close, Upgrade", "close") for header in headers)
        super().answer(status_line, *headers, body=body)


class SaysNothing(Good):
    """A status says it all."""

    symptom = "who opens its address in a browser sees an empty page"
    bug = "refuses without a word in the body"
    fails = ("5.plain.explained",)

    def answer(self, status_line: str, *headers: str, body: str = "") -> None:
        """Never a body."""
        headers = tuple("Content-Length: 0" if header.startswith("Content-Length") else header for header in headers)
        super().answer(status_line, *headers)


class HelloWorld(Good):
    """An HTTP server by birth."""

    symptom = "opened in a browser it says Hello, and nobody sees that it is a WebSocket server"
    bug = "answers plain requests with 200"
    fails = ("5.plain.426", "5.plain.post")

    def fallback(self, request: Request) -> None:
        """As ever."""
        self.send_page(request, "Hello\n")


class SaysCloseAndKeeps(Good):
    """Says that it will hang up."""

    symptom = "clients that wait for the end of an answer wait for a long time"
    bug = "sends Connection: close and keeps the connection open"
    fails = ("1.close.asked", "5.close.kept")

    def refuse(self, refusal: Refusal) -> None:
        """And wait for the client to end."""
        super().refuse(refusal)
        while self.request.recv(65536):
            pass
