"""Chapters 1 to 5 of the gallery: servers whose opening handshake is broken by a few lines."""

from __future__ import annotations

from email.utils import formatdate

from .reference import Gone, Good, Refusal, Request

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


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
