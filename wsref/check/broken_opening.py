"""Chapters 1 to 5 of the gallery: servers whose opening handshake is broken by a few lines."""

from __future__ import annotations

import base64
import hashlib
import time
from email.utils import formatdate

from .codec import accept_for
from .gallery import Gone, Good, Refusal, Request

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

# -- Chapter 1: an HTTP base -----------------------------------------------------------


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


def page(server: Good, request: Request, body: str) -> None:
    """200, as any HTTP server."""
    length = f"Content-Length: {len(body)}"
    date = f"Date: {formatdate(usegmt=True)}"
    server.answer("200 OK", date, length, "Connection: close", body="" if request.method == "HEAD" else body)


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


# -- Chapter 2: upgrade detection ---------------------------------------------------------


class CrEndsLines(Good):
    """Splits the head with ``bytes.splitlines``."""

    symptom = "a proxy that looks for headers lets through what it should stop"
    bug = "bytes.splitlines() takes a bare CR for the end of a line"
    fails = ("2.line.bare-cr",)

    def parse_head(self, head: bytes) -> Request:
        """At CR, at LF, and at both."""
        return super().parse_head(b"\r\n".join(head.splitlines()))


class SplitsLines(Good):
    """Splits the head with ``str.splitlines``."""

    symptom = "a header with strange characters in it becomes two headers"
    bug = "str.splitlines() splits at ten characters, HTTP only at CR LF"
    fails = ("2.line.bare-cr", "2.line.vertical-tab")

    def parse_head(self, head: bytes) -> Request:
        """At whatever Unicode calls the end of a line."""
        return super().parse_head("\r\n".join(head.decode("latin-1").splitlines()).encode("latin-1"))


class RejectsFirefox(Good):
    """Compares the whole of Connection with one word."""

    symptom = "Chrome can connect, Firefox cannot"
    bug = "takes Connection for one word; Firefox sends 'keep-alive, Upgrade'"
    fails = (
        "2.connection.list",
        "2.connection.first-of-list",
        "2.connection.no-blank",
        "2.connection.tabs",
        "2.connection.empty-elements",
        "2.connection.two-lines",
        "2.names.of-a-browser",
    )

    def wants_upgrade(self, request: Request) -> bool:
        """One word, whatever its case."""
        one = [value.lower() for value in request.lines("connection")] == ["upgrade"]
        return one and super().wants_upgrade(request)


class UpgradeInLowerCase(Good):
    """Compares the token with its case."""

    symptom = "a client that writes 'Connection: upgrade' gets 426, and its author is sure that it asked to upgrade"
    bug = "compares the token Upgrade with its case"
    fails = ("2.connection.lower-case", "2.connection.upper-case")

    def wants_upgrade(self, request: Request) -> bool:
        """As browsers write it."""
        return "Upgrade" in request.tokens("connection") and super().wants_upgrade(request)


class UpgradeAsSubstring(Good):
    """Looks for the letters anywhere."""

    symptom = "a proxy that says 'Connection: no-upgrade' gets an upgrade"
    bug = "looks for the word upgrade anywhere in Connection, not for the token"
    fails = ("2.connection.longer-word",)

    def wants_upgrade(self, request: Request) -> bool:
        """Somewhere in it."""
        return any("upgrade" in token.lower() for token in request.tokens("connection")) and bool(
            request.tokens("upgrade") and request.version > "HTTP/1.0"
        )


class NeverMindsConnection(Good):
    """Looks at Upgrade alone."""

    symptom = "clients behind an old proxy open WebSockets that then do not work"
    bug = "does not look at Connection at all"
    fails = (
        "2.connection.missing",
        "2.connection.keep-alive",
        "2.connection.longer-word",
    )

    def wants_upgrade(self, request: Request) -> bool:
        """Upgrade is enough."""
        return bool(request.tokens("upgrade")) and request.version > "HTTP/1.0"


class UpgradesHttp10(Good):
    """Never looks at the version of HTTP."""

    symptom = "ancient clients and health checkers in HTTP/1.0 get a 101 that they do not know"
    bug = "upgrades HTTP/1.0"
    fails = ("2.http-1-0.upgrade",)

    def wants_upgrade(self, request: Request) -> bool:
        """In any version."""
        request.version = "HTTP/1.1"
        return super().wants_upgrade(request)


class UnfoldsAndStrips(Good):
    """Strips every line before it looks at it."""

    symptom = "a security scanner says that headers can be smuggled in"
    bug = "takes a line with a blank before it for a header of its own"
    fails = ("2.folded.connection", "2.folded.first-line")

    def parse_line(self, line: str) -> tuple[str, str]:
        """Blanks at its beginning do not count."""
        return super().parse_line(line.strip())


class JustHttp(Good):
    """An HTTP server that has never heard of upgrades."""

    symptom = "it shows its page, and WebSockets fail with status 200"
    bug = "does not look whether a request asks to upgrade: chapter 2 is missing"
    fails = ("2.upgrade.seen", "4.status.101", "5.plain.426", "5.plain.post")
    sometimes = ("3.*",)

    def wants_upgrade(self, request: Request) -> bool:
        """Whatever."""
        return False

    def fallback(self, request: Request) -> None:
        """A page."""
        page(self, request, "Hello\n")


class WebSocketInLowerCase(Good):
    """Compares the protocol's name with its case."""

    symptom = "a client that writes 'Upgrade: WebSocket' is refused"
    bug = "compares the value of Upgrade with its case"
    fails = ("2.upgrade.mixed-case", "2.upgrade.upper-case")

    def validate(self, request: Request) -> None:
        """In lower case, as browsers write it."""
        if "websocket" not in request.tokens("upgrade"):
            raise Refusal(400, "upgrade to websocket")
        super().validate(request)


class OneProtocol(Good):
    """Takes Upgrade for one word."""

    symptom = "a client that offers h2c besides is refused"
    bug = "does not take Upgrade for a list"
    fails = ("2.upgrade.list",)

    def validate(self, request: Request) -> None:
        """One."""
        if [value.lower() for value in request.lines("upgrade")] != ["websocket"]:
            raise Refusal(400, "upgrade to websocket")
        super().validate(request)


class HostFirst(Good):
    """Counts on an order."""

    symptom = "one HTTP library is always refused, and nobody knows why"
    bug = "wants Host to be the first header"
    fails = ("2.names.any-order",)

    def check_head(self, request: Request) -> None:
        """Where it is usual."""
        super().check_head(request)
        if request.headers[:1] and request.headers[0][0] != "host":
            raise Refusal(400, "Host comes first")


class UpgradesEverybody(Good):
    """Every request is a handshake that only needs some help."""

    symptom = "opened in a browser it downloads garbage"
    bug = "upgrades requests that did not ask to"
    fails = (
        "2.plain.get",
        "2.plain.only-websocket-headers",
        "2.connection.missing",
        "2.connection.keep-alive",
        "2.connection.longer-word",
        "2.upgrade.missing",
        "2.http-1-0.upgrade",
        "3.upgrade.*",
        "5.plain.426",
        "5.plain.post",
    )
    sometimes = ("1.*", "2.*", "3.*", "5.*", "10.path.*", "11.origin.*")

    def wants_upgrade(self, request: Request) -> bool:
        """Surely."""
        return True

    def validate(self, request: Request) -> None:
        """All is well."""
        request.headers.append(("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="))


class UpgradeToWhatever(Good):
    """Upgrade is enough; to what is not asked."""

    symptom = "curl --http2 gets a 101, and then nothing that it understands"
    bug = "does not look at which protocol Upgrade names"
    fails = ("3.upgrade.another", "3.upgrade.longer-word", "2.upgrade.nul-inside")

    def parse_line(self, line: str) -> tuple[str, str]:
        """Whatever it names is websocket."""
        name, value = super().parse_line(line.replace("\0", ""))
        return (name, "websocket" if name == "upgrade" and value else value)


# -- Chapter 3: validation -------------------------------------------------------------------


class AnyMethod(Good):
    """Never looks at the method."""

    symptom = "a form that posts to it opens a WebSocket"
    bug = "upgrades whatever the method is"
    fails = ("3.method.post", "3.method.put", "3.method.head", "3.method.options", "3.method.lower-case")

    def validate(self, request: Request) -> None:
        """GET, as far as it is concerned."""
        request.method = "GET"
        super().validate(request)


class NoAllow(Good):
    """405, as Node's ws, and as little beside it."""

    symptom = "a client that would like to know which method to use is not told"
    bug = "405 without Allow"
    fails = ("3.method.allow",)

    def refuse(self, refusal: Refusal) -> None:
        """405 for another method."""
        if str(refusal) == "an upgrade is a GET":
            return self.answer("405 Method Not Allowed", "Content-Length: 0", "Connection: close")
        super().refuse(refusal)


class TwentyFourCharacters(Good):
    """As in the article."""

    symptom = "a client that makes its keys up with random letters is served; another server refuses it"
    bug = "checks that the key has 24 characters, and not what they are"
    fails = ("3.key.17-bytes", "3.key.no-base64", "3.key.url-safe", "3.key.blank-inside")

    def is_key(self, key: str) -> bool:
        """Twenty-four of them."""
        return len(key) == 24


class AnyKey(Good):
    """Takes what comes."""

    symptom = "a client without a random generator is happy with it"
    bug = "does not look at the key at all, as long as there is one"
    fails = (
        "3.key.empty",
        "3.key.short",
        "3.key.17-bytes",
        "3.key.long",
        "3.key.no-base64",
        "3.key.url-safe",
        "3.key.no-padding",
        "3.key.blank-inside",
    )

    def is_key(self, key: str) -> bool:
        """Yes."""
        return True


class AnyVersion(Good):
    """Takes what comes."""

    symptom = "a client of the next version of the protocol is told that all is well, and then nothing works"
    bug = "does not look at the version"
    fails = (
        "3.version.missing",
        "3.version.empty",
        "3.version.12",
        "3.version.14",
        "3.version.255",
        "3.version.013",
        "3.version.plus-13",
        "3.version.underscore",
        "3.version.text",
        "3.version.list",
        "3.version.other-digits",
        "3.version.twice",
        "3.version.told",
    )

    def is_version(self, versions: list[str]) -> bool:
        """Yes."""
        return True


class VersionByInt(Good):
    """Reads the version as a number."""

    symptom = "nobody complains, but a checker does"
    bug = "int() takes '+13', '013', '1_3' and digits of other scripts for 13"
    fails = ("3.version.013", "3.version.plus-13", "3.version.underscore", "3.version.other-digits")

    def is_version(self, versions: list[str]) -> bool:
        """8 or 13, as Python reads numbers."""
        try:
            return [int(version.encode("latin-1").decode()) for version in versions] in ([8], [13])
        except ValueError:
            return False


class VersionsUntold(Good):
    """Refuses a version, and says no more."""

    symptom = "a client that speaks several versions cannot find out which one to try"
    bug = "refuses a version without Sec-WebSocket-Version"
    fails = ("3.version.told",)

    def refuse(self, refusal: Refusal) -> None:
        """Without its headers, except those of a 426."""
        if refusal.status != 426:
            refusal.headers = ()
        super().refuse(refusal)


class BadRequestIs200(Good):
    """An error page is a page."""

    symptom = "clients say that the status was 200, and so do the monitors, though nobody can connect"
    bug = "refuses with 200 and an error in the body"
    fails = (
        "1.header.blank-before-colon",
        "1.header.no-colon",
        "1.header.no-name",
        "1.header.folded",
        "1.host.*",
        "1.line.two-blanks",
        "1.line.lower-case-version",
        "1.line.no-version",
        "1.garbage.binary",
        "3.key.*",
        "3.version.[!8]*",
        "3.host.missing",
        "3.protocol.*",
        "3.extensions.*",
        "3.body.negative",
        "3.body.two-lengths",
        "3.body.unknown-coding",
        "3.refusal.answered",
    )

    def refuse(self, refusal: Refusal) -> None:
        """200, where 400 is meant."""
        if refusal.status != 400:
            return super().refuse(refusal)
        body = "" if getattr(self, "method", "") == "HEAD" else f"{refusal}\n"
        date = f"Date: {formatdate(usegmt=True)}"
        self.answer("200 OK", date, f"Content-Length: {len(str(refusal)) + 1}", "Connection: close", body=body)


class PageForVersion8(Good):
    """Knows that 8 is something, and not what."""

    symptom = "a client of 2011 gets a page that tells it to be newer, and takes that for a success"
    bug = "answers version 8 with 200"
    fails = ("3.version.8",)

    def is_version(self, versions: list[str]) -> bool:
        """A page, and that is all."""
        if versions == ["8"]:
            self.answer("200 OK", f"Date: {formatdate(usegmt=True)}", "Content-Length: 9", body="Too old.\n")
            raise Gone
        return super().is_version(versions)


class NeverMindsBody(Good):
    """A handshake is a GET, and a GET has no body."""

    symptom = "behind one kind of proxy, strangers' messages appear in conversations"
    bug = "does not look at Content-Length and Transfer-Encoding, and takes a body for frames"
    fails = ("3.body.*",)

    def check_head(self, request: Request) -> None:
        """As if nothing had been announced."""
        announced = ("content-length", "transfer-encoding")
        request.headers = [(name, value) for name, value in request.headers if name not in announced]
        super().check_head(request)


class WantsNoExtensions(Good):
    """Never looks at an extension header that it does not understand."""

    symptom = "a client with a broken header is served, and finds out elsewhere"
    bug = "does not look at Sec-WebSocket-Extensions unless it likes what stands there"
    fails = ("3.extensions.malformed", "3.extensions.unclosed-quote")

    def validate(self, request: Request) -> None:
        """As if there were none."""
        kept = request.headers
        request.headers = [(name, value) for name, value in kept if name != "sec-websocket-extensions"]
        super().validate(request)
        request.headers = kept

    def choose_extension(self, request: Request) -> str | None:
        """None that it cannot read."""
        return None if '"' in "".join(request.lines("sec-websocket-extensions")) else super().choose_extension(request)


# -- Chapter 4: complete_upgrade -----------------------------------------------------------------


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


# -- Chapter 5: the 426 fallback ---------------------------------------------------------------------


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
        page(self, request, "Hello\n")


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
