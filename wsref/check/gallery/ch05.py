"""Chapter 5 of the gallery: the 426 fallback."""

from __future__ import annotations

from .reference import ReferenceServer, Refusal, Request


class UpgradeRequiredToWhat(ReferenceServer, case="5.plain.says-to-what"):
    symptom = "a plain client gets a 426, and does not learn which protocol to use"
    bug = "its 426 has no Upgrade header"

    def fallback(self, request: Request) -> None:
        raise Refusal(426, "this is a WebSocket server")


class UpgradeUnnamed(ReferenceServer, case="5.plain.names-upgrade"):
    symptom = "a proxy removes the Upgrade header of its 426"
    bug = "its answer has Upgrade, but Connection does not name it"

    def answer(self, status_line: str, *headers: str, body: str = "") -> None:
        if not status_line.startswith("101"):
            headers = tuple(header.replace("close, Upgrade", "close") for header in headers)
        super().answer(status_line, *headers, body=body)


class SaysNothing(ReferenceServer, case="5.plain.explained"):
    symptom = "a browser that opens its address shows an empty page"
    bug = "it refuses with an empty body"

    def answer(self, status_line: str, *headers: str, body: str = "") -> None:
        headers = tuple("Content-Length: 0" if header.startswith("Content-Length") else header for header in headers)
        super().answer(status_line, *headers)


class HelloWorld(ReferenceServer, case="5.plain.426"):
    symptom = "a browser shows Hello, and nothing about a WebSocket server"
    bug = "it answers plain requests with 200"

    def fallback(self, request: Request) -> None:
        self.send_page(request, "Hello\n")


class SaysCloseAndKeeps(ReferenceServer, case="1.close.asked"):
    symptom = "clients that wait for the end of an answer wait too long"
    bug = "it sends Connection: close and keeps the connection open"

    def refuse(self, refusal: Refusal) -> None:
        super().refuse(refusal)
        while self.request.recv(65536):
            pass
