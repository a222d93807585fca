"""Chapter 1 of the gallery: an HTTP base."""

from __future__ import annotations

import time

from .reference import Disconnected, ReferenceServer, Refusal, Request


class OneRecv(ReferenceServer, case="1.head.split-in-crlf"):
    symptom = "it works on the developer's machine, but not over a slow network"
    bug = "it reads the head with one recv and does not wait for the rest"

    def read_head(self) -> bytes:
        head, _, self.buffer = self.receive().partition(b"\r\n\r\n")
        return head


class BareLf(ReferenceServer, case="1.answer.well-formed"):
    symptom = "some clients accept its answers, others report invalid HTTP"
    bug = "it ends header lines with LF instead of CRLF"

    def send(self, data: bytes) -> None:
        if data.startswith(b"HTTP/1.1 "):
            head, end, rest = data.partition(b"\r\n\r\n")
            data = (head + end).replace(b"\r\n", b"\n") + rest
        super().send(data)


class SplitsAtColonBlank(ReferenceServer, case="1.header.no-blank"):
    symptom = "a client with very compact headers is always refused"
    bug = "it splits header lines at ': ', so it needs a blank after the colon"

    def parse_line(self, line: str) -> tuple[str, str]:
        if ": " not in line.replace(":\t", ": "):
            raise Refusal(400, "a header line without ': '")
        return super().parse_line(line)


class SplitsAtEveryColon(ReferenceServer, case="1.header.colon-in-value"):
    symptom = "some requests with a URL in a header get 400"
    bug = "it splits header lines at every colon, and refuses lines with more than one"

    def parse_line(self, line: str) -> tuple[str, str]:
        if line.count(":") > 1 and not line.lower().startswith(("host", "origin")):
            raise Refusal(400, "a header line with two colons")
        return super().parse_line(line)


class CaseSensitiveNames(ReferenceServer, case="1.header.lower-case"):
    symptom = "a client behind a proxy that writes header names in lower case is refused"
    bug = "it compares header names with their case"

    NAMES = ("Host", "Connection", "Upgrade", "Origin", "Sec-WebSocket-Key", "Sec-WebSocket-Version")

    def parse_line(self, line: str) -> tuple[str, str]:
        name, value = super().parse_line(line)
        written = line.partition(":")[0]
        known = {good.lower() for good in self.NAMES}
        return (name if written in self.NAMES or name not in known else f"x-{name}"), value


class BlankBeforeColon(ReferenceServer, case="1.header.blank-before-colon"):
    symptom = "a security scanner reports that requests can be smuggled past its proxy"
    bug = "it accepts a header line with a blank before the colon"

    def parse_line(self, line: str) -> tuple[str, str]:
        name, colon, value = line.partition(":")
        return super().parse_line(name.rstrip(" ") + colon + value)


class NeedsNoHost(ReferenceServer, case="1.host.twice"):
    symptom = "no user complains, but a checker reports an invalid request as accepted"
    bug = "it accepts requests without Host, or with two"

    def check_head(self, request: Request) -> None:
        if not request.lines("host") or len(request.lines("host")) > 1:
            request.headers = [(name, value) for name, value in request.headers if name != "host"]
            request.headers.append(("host", "localhost"))
        super().check_head(request)


class BodyForHead(ReferenceServer, case="1.answer.head-without-content"):
    symptom = "a load balancer that sends HEAD reports garbage after the answer"
    bug = "it sends content in the answer to HEAD"

    def open(self) -> bool:
        request = self.parse_head(self.read_head())
        if not self.wants_upgrade(request):
            self.fallback(request)
            return False
        self.validate(request)
        self.complete_upgrade(request)
        return True


class NoHeadLimit(ReferenceServer, case="1.flood.endless-head"):
    symptom = "its memory grows when a malicious client connects"
    bug = "it has no limit for the size of a head"

    MAX_HEAD = 1 << 30
    MAX_LINES = 1 << 30


class DiesOnGarbage(ReferenceServer, case="3.refusal.answered"):
    symptom = "port scanners get no answer, and the log is full of tracebacks"
    bug = "an exception in the parser ends the connection without a 400"

    def refuse(self, refusal: Refusal) -> None:
        if refusal.status != 426:
            raise Disconnected
        super().refuse(refusal)


class CountsCharacters(ReferenceServer, case="1.answer.length"):
    symptom = "its error pages look cut off, but only those that contain an ellipsis"
    bug = "Content-Length counts characters, not bytes"

    def answer(self, status_line: str, *headers: str, body: str = "") -> None:
        super().answer(status_line, *headers, body=body.replace("\n", "…"))


class NoDate(ReferenceServer, case="1.answer.date"):
    symptom = "a cache in front of it logs that it had to add a Date"
    bug = "it sends no Date header"

    def answer(self, status_line: str, *headers: str, body: str = "") -> None:
        super().answer(status_line, *(header for header in headers if not header.startswith("Date")), body=body)


class LooksInTheLastPiece(ReferenceServer, case="1.head.split-in-crlf"):
    symptom = "one in some thousand requests gets a late 408"
    bug = "it searches only the last packet for the empty line, and misses a split one"

    HEAD_TIMEOUT = 0.5

    def read_head(self) -> bytes:
        self.request.settimeout(self.HEAD_TIMEOUT)
        try:
            while b"\r\n\r\n" not in (piece := self.receive()):
                self.buffer += piece
        except TimeoutError:
            raise Refusal(408, "the head took too long") from None
        finally:
            self.request.settimeout(None)
        head, _, self.buffer = (self.buffer + piece).partition(b"\r\n\r\n")
        return head


class NoEmptyLine(ReferenceServer, case="1.head.leading-empty-line"):
    symptom = "an old client that sends an empty line first is refused"
    bug = "it does not ignore an empty line before the request line"

    def parse_head(self, head: bytes) -> Request:
        if head.startswith(b"\r\n"):
            raise Refusal(400, "no request line")
        return super().parse_head(head)


class StripsNothing(ReferenceServer, case="1.header.blanks-around"):
    symptom = "a client that ends its header lines with a blank is refused"
    bug = "it does not strip blanks from the end of a value"

    def parse_line(self, line: str) -> tuple[str, str]:
        super().parse_line(line)
        name, _, value = line.partition(":")
        return name.lower(), value.removeprefix(" ")


class OnlyPaths(ReferenceServer, case="1.target.absolute"):
    symptom = "a client that uses an HTTP proxy is refused"
    bug = "it does not accept a target in absolute form"

    def parse_head(self, head: bytes) -> Request:
        request = super().parse_head(head)
        if not request.target.startswith("/"):
            raise Refusal(400, "a target begins with a slash")
        return request


class CrashesOnLargeHeads(ReferenceServer, case="1.flood.many-headers"):
    symptom = "a client with very large cookies gets 500"
    bug = "it answers 500, an error of the server, to a head that is too large"

    def refuse(self, refusal: Refusal) -> None:
        if refusal.status == 431:
            return self.answer("500 Internal Server Error", "Content-Length: 0", "Connection: close")
        super().refuse(refusal)


class AnyVersionOfHttp(ReferenceServer, case="1.line.version-2"):
    symptom = "a client that sends HTTP/2.0 gets an answer in HTTP/1.1, and hangs"
    bug = "it does not refuse HTTP/2.0 in a request line"

    def check_head(self, request: Request) -> None:
        request.version = request.version.replace("HTTP/2.0", "HTTP/1.1")
        super().check_head(request)


class ShortLines(ReferenceServer, case="1.line.of-8000-bytes"):
    symptom = "users with a long token in the query cannot connect, others can"
    bug = "it refuses a request line of more than 4,096 bytes"

    def parse_head(self, head: bytes) -> Request:
        if len(head.lstrip(b"\r\n").split(b"\r\n")[0]) > 4096:
            raise Refusal(431, "the request line is too long")
        return super().parse_head(head)


class NeverHangsUp(ReferenceServer, case="1.close.asked"):
    symptom = "after a day of health checks the server has no free file descriptors"
    bug = "it keeps the connection open after a refusal, even if the client sent Connection: close"

    def answer(self, status_line: str, *headers: str, body: str = "") -> None:
        kept = [header.replace("close, ", "") for header in headers if header != "Connection: close"]
        super().answer(status_line, *kept, body=body)

    def refuse(self, refusal: Refusal) -> None:
        super().refuse(refusal)
        while self.request.recv(65536):
            pass


class SpinsInTheHead(ReferenceServer, case="1.cut.head"):
    symptom = "after some days it uses a whole processor, without any client"
    bug = "it reads for ever after the client's FIN: recv returns b'' each time"

    def receive(self) -> bytes:
        data: bytes = self.request.recv(65536)
        while not data and self.message == b"" and not hasattr(self, "method"):
            time.sleep(0.05)
            data = self.request.recv(65536)
        if not data:
            raise Disconnected
        return data
