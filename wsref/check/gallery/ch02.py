"""Chapters 1 to 5 of the gallery: servers whose opening handshake is broken by a few lines."""

from __future__ import annotations

from .reference import Good, Refusal, Request

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


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
        self.send_page(request, "Hello\n")


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
