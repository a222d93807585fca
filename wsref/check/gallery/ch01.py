"""Chapters 1 to 5 of the gallery: servers whose opening handshake is broken by a few lines."""

from __future__ import annotations

import time

from .reference import Gone, Good, Refusal, Request

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class OneRecv(Good):
    """Takes what the first recv gives for the whole head."""

    symptom = "it works on the developer's machine, and not over a slow network"
    bug = "reads the head with one recv, and does not wait for the rest"
    fails = ("1.head.split-in-crlf",)
    sometimes = ("1.head.byte-by-byte", "2.head.byte-by-byte", "1.flood.*", "1.target.long")

    def read_head(self) -> bytes:
        """Whatever the first recv gives."""
        head, _, self.buffer = self.receive().partition(b"\r\n\r\n")
        return head


class BareLf(Good):
    """Ends its lines as a text file does."""

    symptom = "some clients take its answers, some say that they are no HTTP"
    bug = "ends header lines with LF instead of CRLF"
    fails = ("1.answer.well-formed", "3.refusal.well-formed", "4.answer.well-formed")

    def send(self, data: bytes) -> None:
        """The head's line ends are replaced."""
        if data.startswith(b"HTTP/1.1 "):
            head, end, rest = data.partition(b"\r\n\r\n")
            data = (head + end).replace(b"\r\n", b"\n") + rest
        super().send(data)


class SplitsAtColonBlank(Good):
    """Splits header lines at ``": "``."""

    symptom = "a client that saves every byte it can is always refused"
    bug = "splits header lines at ': ', and so wants a blank after the colon"
    fails = ("1.header.no-blank", "2.names.no-blanks")

    def parse_line(self, line: str) -> tuple[str, str]:
        """Only with a blank."""
        if ": " not in line.replace(":\t", ": "):
            raise Refusal(400, "a header line without ': '")
        return super().parse_line(line)


class SplitsAtEveryColon(Good):
    """Takes what stands between the first two colons for the value."""

    symptom = "everything is refused with 400 as soon as the port is not 80"
    bug = "splits header lines at every colon, and refuses lines that have more than one"
    fails = ("1.header.colon-in-value", "2.names.of-a-browser")

    def parse_line(self, line: str) -> tuple[str, str]:
        """One colon, or two in Host, which was mended after the first complaint."""
        if line.count(":") > 1 and not line.lower().startswith(("host", "origin")):
            raise Refusal(400, "a header line with two colons")
        return super().parse_line(line)


class CaseSensitiveNames(Good):
    """Looks headers up as they are written in the RFC."""

    symptom = "a client behind a proxy that writes header names in lower case is refused"
    bug = "compares header names with their case"
    fails = ("1.header.lower-case", "2.names.lower-case", "2.names.upper-case")

    NAMES = ("Host", "Connection", "Upgrade", "Origin", "Sec-WebSocket-Key", "Sec-WebSocket-Version")

    def parse_line(self, line: str) -> tuple[str, str]:
        """A name that is written otherwise is another name."""
        name, value = super().parse_line(line)
        written = line.partition(":")[0]
        known = {good.lower() for good in self.NAMES}
        return (name if written in self.NAMES or name not in known else f"x-{name}"), value


class BlankBeforeColon(Good):
    """Strips names."""

    symptom = "a security scanner says that requests can be smuggled past the proxy in front of it"
    bug = "takes a header line with a blank before its colon"
    fails = ("1.header.blank-before-colon",)

    def parse_line(self, line: str) -> tuple[str, str]:
        """Blanks around a name do not count."""
        name, colon, value = line.partition(":")
        return super().parse_line(name.rstrip(" ") + colon + value)


class NeedsNoHost(Good):
    """Never looks at Host."""

    symptom = "nobody complains, but a checker does"
    bug = "takes requests without Host, or with two"
    fails = ("1.host.twice", "3.host.missing")

    def check_head(self, request: Request) -> None:
        """Everything but Host."""
        if not request.lines("host") or len(request.lines("host")) > 1:
            request.headers = [(name, value) for name, value in request.headers if name != "host"]
            request.headers.append(("host", "localhost"))
        super().check_head(request)


class BodyForHead(Good):
    """Answers HEAD like GET."""

    symptom = "a load balancer that asks with HEAD says that the answer has garbage behind it"
    bug = "sends content in the answer to HEAD"
    fails = ("1.answer.head-without-content",)

    def open(self) -> bool:
        """Forgets what the method was."""
        request = self.parse_head(self.read_head())
        if not self.wants_upgrade(request):
            self.fallback(request)
            return False
        self.validate(request)
        self.complete_upgrade(request)
        return True


class NoHeadLimit(Good):
    """Reads a head for as long as one comes."""

    symptom = "its memory grows when somebody who means no good connects"
    bug = "has no limit for a head"
    fails = ("1.flood.endless-head",)

    MAX_HEAD = 1 << 30
    MAX_LINES = 1 << 30


class DiesOnGarbage(Good):
    """A request line has three words, or else."""

    symptom = "port scanners get no answer, and the log is full of tracebacks"
    bug = "an exception in the parser ends the connection without an answer: no 400 for a bad request"
    fails = ("3.refusal.answered",)

    def refuse(self, refusal: Refusal) -> None:
        """Nobody catches it."""
        if refusal.status != 426:
            raise Gone
        super().refuse(refusal)


class CountsCharacters(Good):
    """Counts its body before it is encoded."""

    symptom = "its error pages look cut off, but only those with an ellipsis in them"
    bug = "Content-Length counts characters, not bytes"
    fails = ("1.answer.length", "3.refusal.length")

    def answer(self, status_line: str, *headers: str, body: str = "") -> None:
        """A body with a character of three bytes."""
        super().answer(status_line, *headers, body=body.replace("\n", "…"))


class NoDate(Good):
    """Has no clock, or does not look at it."""

    symptom = "caches in front of it log that they had to add a Date"
    bug = "sends no Date"
    fails = ("1.answer.date",)

    def answer(self, status_line: str, *headers: str, body: str = "") -> None:
        """Without it."""
        super().answer(status_line, *(header for header in headers if not header.startswith("Date")), body=body)


class LooksInTheLastPiece(Good):
    """Looks for the end of the head in what came last."""

    symptom = "one in some thousand requests is answered only after a long time, with 408"
    bug = "looks for the empty line in the last piece only, and misses one that is cut in two"
    fails = ("1.head.split-in-crlf",)
    sometimes = ("1.head.byte-by-byte", "2.head.byte-by-byte", "1.target.long", "1.flood.*")

    PATIENCE = 0.5

    def read_head(self) -> bytes:
        """Piece by piece."""
        self.request.settimeout(self.PATIENCE)
        try:
            while b"\r\n\r\n" not in (piece := self.receive()):
                self.buffer += piece
        except TimeoutError:
            raise Refusal(408, "the head took too long") from None
        finally:
            self.request.settimeout(None)
        head, _, self.buffer = (self.buffer + piece).partition(b"\r\n\r\n")
        return head


class NoEmptyLine(Good):
    """Takes the first line for the request line, whatever it is."""

    symptom = "a robust old client that sends an empty line first is refused"
    bug = "does not pass over an empty line before the request line"
    fails = ("1.head.leading-empty-line",)

    def parse_head(self, head: bytes) -> Request:
        """The first line is the request line."""
        if head.startswith(b"\r\n"):
            raise Refusal(400, "no request line")
        return super().parse_head(head)


class StripsNothing(Good):
    """Takes all that stands after the blank for the value."""

    symptom = "a client that ends its header lines with a blank is refused"
    bug = "does not strip blanks from the end of a value"
    fails = ("1.header.blanks-around",)

    def parse_line(self, line: str) -> tuple[str, str]:
        """The blank after the colon is taken off, and no other."""
        super().parse_line(line)
        name, _, value = line.partition(":")
        return name.lower(), value.removeprefix(" ")


class OnlyPaths(Good):
    """A target begins with a slash."""

    symptom = "a client that goes through an HTTP proxy is refused"
    bug = "does not take a target in absolute form"
    fails = ("1.target.absolute",)

    def parse_head(self, head: bytes) -> Request:
        """Or it is none."""
        request = super().parse_head(head)
        if not request.target.startswith("/"):
            raise Refusal(400, "a target begins with a slash")
        return request


class CrashesOnLargeHeads(Good):
    """A buffer of a fixed size, and 500 if it is full."""

    symptom = "cookies that have grown too large make it answer 500"
    bug = "answers a head that is too large with 500, as if the fault were its own"
    fails = ("1.flood.many-headers", "1.flood.long-header", "1.target.long")

    def refuse(self, refusal: Refusal) -> None:
        """It did not mean to."""
        if refusal.status == 431:
            return self.answer("500 Internal Server Error", "Content-Length: 0", "Connection: close")
        super().refuse(refusal)


class AnyVersionOfHttp(Good):
    """HTTP is HTTP."""

    symptom = "a client that says HTTP/2.0 is answered in HTTP/1.1, and hangs"
    bug = "does not refuse HTTP/2.0 in a request line"
    fails = ("1.line.version-2",)

    def check_head(self, request: Request) -> None:
        """As if it were 1.1."""
        request.version = request.version.replace("HTTP/2.0", "HTTP/1.1")
        super().check_head(request)


class ShortLines(Good):
    """Nobody's address is as long as that."""

    symptom = "users with a long token in the query cannot connect, the others can"
    bug = "takes no request line of more than 4,096 bytes"
    fails = ("1.line.of-8000-bytes",)

    def parse_head(self, head: bytes) -> Request:
        """Only short ones."""
        if len(head.lstrip(b"\r\n").split(b"\r\n")[0]) > 4096:
            raise Refusal(431, "the request line is too long")
        return super().parse_head(head)


class NeverHangsUp(Good):
    """Waits for the client to end."""

    symptom = "after a day of health checks there are no file descriptors left"
    bug = "keeps the connection open after a refusal, also when the client said Connection: close"
    fails = ("1.close.asked",)

    def answer(self, status_line: str, *headers: str, body: str = "") -> None:
        """Never says that it will close."""
        kept = [header.replace("close, ", "") for header in headers if header != "Connection: close"]
        super().answer(status_line, *kept, body=body)

    def refuse(self, refusal: Refusal) -> None:
        """And does not."""
        super().refuse(refusal)
        while self.request.recv(65536):
            pass


class SpinsInTheHead(Good):
    """Reads until the empty line comes, and reads, and reads."""

    symptom = "after some days it takes all of a processor, though nobody is connected"
    bug = "goes on reading when the client has gone: recv gives b'' for ever"
    fails = ("1.cut.head",)

    def receive(self) -> bytes:
        """Whatever comes, also when nothing will; slowly, to be kind to the machine that it is shown on."""
        data: bytes = self.request.recv(65536)
        while not data and self.message == b"" and not hasattr(self, "method"):
            time.sleep(0.05)
            data = self.request.recv(65536)
        if not data:
            raise Gone
        return data
