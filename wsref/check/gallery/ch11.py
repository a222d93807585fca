"""Chapter 11 of the gallery: Origin and limits."""

from __future__ import annotations

from .reference import ReferenceServer, Request


class AnyOrigin(ReferenceServer, case="11.origin.foreign"):
    symptom = "no symptom, until a foreign page uses the cookies of a visitor"
    bug = "it does not check Origin"

    def is_allowed_origin(self, request: Request) -> bool:
        return True


class OriginContains(ReferenceServer, case="11.origin.lookalike"):
    symptom = "no symptom, until an attacker registers a domain that begins with the server's name"
    bug = "it tests `host in origin` instead of =="

    def is_allowed_origin(self, request: Request) -> bool:
        return all(request.lines("host")[0] in origin for origin in request.lines("origin"))


class NullIsWelcome(ReferenceServer, case="11.origin.null"):
    symptom = "it works from a file on disk, and from any sandboxed frame"
    bug = "it treats Origin: null like no Origin"

    def is_allowed_origin(self, request: Request) -> bool:
        return request.lines("origin") == ["null"] or super().is_allowed_origin(request)


class OriginIs400(ReferenceServer, case="11.origin.403"):
    symptom = "users of foreign pages see an error about an invalid handshake"
    bug = "it refuses a foreign page with 400 instead of 403"

    def validate(self, request: Request) -> None:
        try:
            super().validate(request)
        except Exception as refusal:
            if getattr(refusal, "status", 0) == 403:
                refusal.status = 400  # type: ignore[attr-defined]
            raise


class NoLimit(ReferenceServer, case="11.limits.frame"):
    symptom = "sometimes the server is killed because it uses too much memory"
    bug = "it waits for any declared length"

    MAX_MESSAGE = (1 << 63) - 2  # the largest limit that zlib accepts


class NoFragmentLimit(ReferenceServer, case="11.limits.fragments"):
    symptom = "one client can make it collect empty fragments without end"
    bug = "its limit counts bytes, and empty fragments have none"

    MAX_FRAGMENTS = 1 << 62


class WholeFrames(ReferenceServer, case="11.utf8.fail-fast"):
    symptom = "no symptom: it is legal, but the server collects the rest of a text that is invalid from its first byte"
    bug = "it checks the UTF-8 of a frame when the whole frame is there"

    def check_beginning(self, payload: bytes) -> None:
        pass
