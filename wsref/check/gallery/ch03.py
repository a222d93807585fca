"""Chapter 3 of the gallery: validation."""

from __future__ import annotations

from email.utils import formatdate

from .reference import ReferenceServer, Refusal, Request


class AnyMethod(ReferenceServer, case="3.method.post"):
    symptom = "a form that sends a POST opens a WebSocket"
    bug = "it upgrades requests with any method"

    def validate(self, request: Request) -> None:
        request.method = "GET"
        super().validate(request)


class NoAllow(ReferenceServer, case="3.method.allow"):
    symptom = "a client with a wrong method does not learn the correct one"
    bug = "it sends a 405 without Allow"

    def refuse(self, refusal: Refusal) -> None:
        if str(refusal) == "the method of an upgrade is GET":
            return self.answer("405 Method Not Allowed", "Content-Length: 0", "Connection: close")
        super().refuse(refusal)


class TwentyFourCharacters(ReferenceServer, case="3.key.17-bytes"):
    symptom = "a client with keys of random letters works here, but another server refuses it"
    bug = "it checks only that the key has 24 characters"

    def is_key(self, key: str) -> bool:
        return len(key) == 24


class AnyKey(ReferenceServer, case="3.key.empty"):
    symptom = "a client with a constant, short key works"
    bug = "it does not check the key, if there is one"

    def is_key(self, key: str) -> bool:
        return True


class FirstKey(ReferenceServer, case="3.key.missing"):
    symptom = "a client that is broken itself connects here, and nowhere else"
    bug = "it takes the first key of several, and an empty one for none"

    def validate(self, request: Request) -> None:
        keys = [key for key in request.lines("sec-websocket-key") if key] or ["A" * 22 + "=="]
        others = [header for header in request.headers if header[0] != "sec-websocket-key"]
        request.headers = [*others, ("sec-websocket-key", keys[0])]
        super().validate(request)


class AnySubprotocolName(ReferenceServer, case="3.protocol.malformed"):
    symptom = "a client that offers names with blanks connects here, and nowhere else"
    bug = "it does not check the names of offered subprotocols"

    def validate(self, request: Request) -> None:
        headers = request.headers
        request.headers = [header for header in headers if header[0] != "sec-websocket-protocol"]
        super().validate(request)
        request.headers = headers


class AnyVersion(ReferenceServer, case="3.version.missing"):
    symptom = "a client of a future version of the protocol gets 101, and then nothing works"
    bug = "it does not check the version"

    def is_version(self, versions: list[str]) -> bool:
        return True


class VersionByInt(ReferenceServer, case="3.version.013"):
    symptom = "no user complains, but a checker reports invalid versions as accepted"
    bug = "it uses int(), which also reads '+13', '013', '1_3' and digits of other scripts as 13"

    def is_version(self, versions: list[str]) -> bool:
        try:
            return [int(version.encode("latin-1").decode()) for version in versions] in ([8], [13])
        except ValueError:
            return False


class VersionsUntold(ReferenceServer, case="3.version.told"):
    symptom = "a client that supports several versions cannot find out which one to use"
    bug = "it refuses a version without Sec-WebSocket-Version"

    def refuse(self, refusal: Refusal) -> None:
        if refusal.status != 426:
            refusal.headers = ()
        super().refuse(refusal)


class BadRequestIs200(ReferenceServer, case="1.header.blank-before-colon"):
    symptom = "clients and monitors report status 200, but no client can connect"
    bug = "it refuses with 200 and an error in the body"

    def refuse(self, refusal: Refusal) -> None:
        if refusal.status != 400:
            return super().refuse(refusal)
        body = "" if getattr(self, "method", "") == "HEAD" else f"{refusal}\n"
        date = f"Date: {formatdate(usegmt=True)}"
        self.answer("200 OK", date, f"Content-Length: {len(str(refusal)) + 1}", "Connection: close", body=body)


class SilentForVersion8(ReferenceServer, case="3.version.8"):
    symptom = "a client of 2011 waits forever"
    bug = "it does not answer a handshake of version 8"

    def is_version(self, versions: list[str]) -> bool:
        while versions == ["8"]:
            self.receive()  # until the client leaves
        return super().is_version(versions)


class NeverMindsBody(ReferenceServer, case="3.body.negative"):
    symptom = "behind one kind of proxy, messages of strangers appear in conversations"
    bug = "it ignores Content-Length and Transfer-Encoding, and reads a body as frames"

    def check_head(self, request: Request) -> None:
        announced = ("content-length", "transfer-encoding")
        request.headers = [(name, value) for name, value in request.headers if name not in announced]
        super().check_head(request)


class WantsNoExtensions(ReferenceServer, case="3.extensions.malformed"):
    symptom = "a client with an invalid header works here, but not with other servers"
    bug = "it ignores an invalid Sec-WebSocket-Extensions"

    def validate(self, request: Request) -> None:
        kept = request.headers
        request.headers = [(name, value) for name, value in kept if name != "sec-websocket-extensions"]
        super().validate(request)
        request.headers = kept

    def choose_extension(self, request: Request) -> str | None:
        return None if '"' in "".join(request.lines("sec-websocket-extensions")) else super().choose_extension(request)
