"""The gallery, chapters 6 to 11: what goes wrong once the handshake is right.

Each server is :class:`~wsref.check.gallery.Good` with one mistake, of those that people
make: most of them can be found in the issues of some project.
"""

from __future__ import annotations

from .reference import Good, Request


class AnyOrigin(Good):
    """Every page is welcome."""

    symptom = "nothing, until a page elsewhere uses a visitor's cookies"
    bug = "Origin is not looked at"
    fails = (
        "11.origin.foreign",
        "11.origin.lookalike",
        "11.origin.suffix",
        "11.origin.null",
        "11.origin.malformed",
        "11.origin.version-8",
    )

    def is_welcome(self, request: Request) -> bool:
        """Come in."""
        return True


class OriginContains(Good):
    """An origin that contains the host's name is welcome."""

    symptom = "nothing, until somebody registers your name with theirs behind it"
    bug = "`host in origin` instead of =="
    fails = (
        "11.origin.lookalike",
        "11.origin.suffix",
        "11.origin.malformed",
        "11.origin.version-8",
    )

    def is_welcome(self, request: Request) -> bool:
        """If it looks like us."""
        return all(request.lines("host")[0] in origin for origin in request.lines("origin"))


class NullIsWelcome(Good):
    """The origin null is welcome."""

    symptom = "works from a file on the disk, and from any sandboxed frame in the world"
    bug = "Origin: null is taken for 'no page'"
    fails = ("11.origin.null",)

    def is_welcome(self, request: Request) -> bool:
        """If it is nobody's."""
        return request.lines("origin") == ["null"] or super().is_welcome(request)


class OriginIs400(Good):
    """A foreign page is refused with 400."""

    symptom = "it looks as if the handshake was wrong"
    bug = "400 for a page from elsewhere, where 403 is meant for it"
    fails = ("11.origin.403",)

    def validate(self, request: Request) -> None:
        """As ever, but for the status."""
        try:
            super().validate(request)
        except Exception as refusal:
            if getattr(refusal, "status", 0) == 403:
                refusal.status = 400  # type: ignore[attr-defined]
            raise


class NoLimit(Good):
    """There is no limit."""

    symptom = "the server is killed for want of memory, now and then"
    bug = "whatever length is declared is waited for"
    fails = (
        "11.limits.frame",
        "11.limits.message",
    )

    MAX_MESSAGE = (1 << 63) - 2  # the most that zlib takes for a limit


class NoFragmentLimit(Good):
    """Fragments are not counted."""

    symptom = "one client can make it collect empty fragments for ever"
    bug = "the limit counts bytes, and empty fragments have none"
    fails = ("11.limits.fragments",)

    MAX_FRAGMENTS = 1 << 62
