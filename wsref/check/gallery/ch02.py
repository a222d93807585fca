"""Chapter 2 of the gallery: upgrade detection."""

from __future__ import annotations

from .reference import ReferenceServer, Refusal, Request


class CrEndsLines(ReferenceServer, case="2.line.bare-cr"):
    symptom = "a proxy that filters headers does not stop some of them"
    bug = "bytes.splitlines() also splits at a bare CR"

    def parse_head(self, head: bytes) -> Request:
        return super().parse_head(b"\r\n".join(head.splitlines()))


class SplitsLines(ReferenceServer, case="2.line.bare-cr"):
    symptom = "a header that contains control characters becomes two headers"
    bug = "str.splitlines() splits at ten characters, HTTP only at CR LF"

    def parse_head(self, head: bytes) -> Request:
        return super().parse_head("\r\n".join(head.decode("latin-1").splitlines()).encode("latin-1"))


class RejectsFirefox(ReferenceServer, case="2.connection.list"):
    symptom = "Chrome can connect, Firefox cannot"
    bug = "it reads Connection as one word; Firefox sends 'keep-alive, Upgrade'"

    def wants_upgrade(self, request: Request) -> bool:
        one = [value.lower() for value in request.lines("connection")] == ["upgrade"]
        return one and super().wants_upgrade(request)


class UpgradeInLowerCase(ReferenceServer, case="2.connection.lower-case"):
    symptom = "a client that sends 'Connection: upgrade' gets 426, although it asks to upgrade"
    bug = "it compares the token Upgrade with its case"

    def wants_upgrade(self, request: Request) -> bool:
        return "Upgrade" in request.tokens("connection") and super().wants_upgrade(request)


class UpgradeAsSubstring(ReferenceServer, case="2.connection.longer-word"):
    symptom = "a proxy that sends 'Connection: no-upgrade' gets an upgrade"
    bug = "it searches Connection for the word upgrade, not for the token"

    def wants_upgrade(self, request: Request) -> bool:
        return any("upgrade" in token.lower() for token in request.tokens("connection")) and bool(
            request.tokens("upgrade") and request.version > "HTTP/1.0"
        )


class NeverMindsConnection(ReferenceServer, case="2.connection.missing"):
    symptom = "clients behind an old proxy open WebSockets that do not work"
    bug = "it does not check Connection"

    def wants_upgrade(self, request: Request) -> bool:
        return bool(request.tokens("upgrade")) and request.version > "HTTP/1.0"


class UpgradesHttp10(ReferenceServer, case="2.http-1-0.upgrade"):
    symptom = "old clients and health checkers with HTTP/1.0 get a 101 that they do not know"
    bug = "it upgrades HTTP/1.0 requests"

    def wants_upgrade(self, request: Request) -> bool:
        request.version = "HTTP/1.1"
        return super().wants_upgrade(request)


class UnfoldsAndStrips(ReferenceServer, case="2.folded.connection"):
    symptom = "a security scanner reports header smuggling"
    bug = "it strips lines, so a line that begins with a blank becomes a separate header"

    def parse_line(self, line: str) -> tuple[str, str]:
        return super().parse_line(line.strip())


class JustHttp(ReferenceServer, case="2.upgrade.seen"):
    symptom = "it serves its page, and WebSockets fail with status 200"
    bug = "it does not detect a request to upgrade: chapter 2 is missing"

    def wants_upgrade(self, request: Request) -> bool:
        return False

    def fallback(self, request: Request) -> None:
        self.send_page(request, "Hello\n")


class WebSocketInLowerCase(ReferenceServer, case="2.upgrade.mixed-case"):
    symptom = "a client that sends 'Upgrade: WebSocket' is refused"
    bug = "it compares the value of Upgrade with its case"

    def validate(self, request: Request) -> None:
        if "websocket" not in request.tokens("upgrade"):
            raise Refusal(400, "upgrade to websocket")
        super().validate(request)


class OneProtocol(ReferenceServer, case="2.upgrade.list"):
    symptom = "a client that also offers h2c is refused"
    bug = "it does not read Upgrade as a list"

    def validate(self, request: Request) -> None:
        if [value.lower() for value in request.lines("upgrade")] != ["websocket"]:
            raise Refusal(400, "upgrade to websocket")
        super().validate(request)


class HostFirst(ReferenceServer, case="2.names.any-order"):
    symptom = "one HTTP library is always refused, for no visible reason"
    bug = "it requires Host as the first header"

    def check_head(self, request: Request) -> None:
        super().check_head(request)
        if request.headers[:1] and request.headers[0][0] != "host":
            raise Refusal(400, "Host comes first")


class UpgradesEverybody(ReferenceServer, case="2.plain.get"):
    symptom = "a browser that opens its address downloads garbage"
    bug = "it upgrades requests that do not ask to upgrade"

    def wants_upgrade(self, request: Request) -> bool:
        return True

    def validate(self, request: Request) -> None:
        request.headers.append(("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="))


class UpgradeToWhatever(ReferenceServer, case="3.upgrade.another"):
    symptom = "curl --http2 gets a 101, and then bytes that it does not understand"
    bug = "it does not check the protocol that Upgrade names"

    def parse_line(self, line: str) -> tuple[str, str]:
        name, value = super().parse_line(line.replace("\0", ""))
        return (name, "websocket" if name == "upgrade" and value else value)
