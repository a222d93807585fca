"""What a failure means, how a case ends, and how a case says so."""

from __future__ import annotations

from enum import Enum


class Level(Enum):
    """What a failure means."""

    MUST = "MUST"  #: A sentence of the RFC is broken: one can quote it.
    SHOULD = "SHOULD"  #: The RFC advises otherwise, and there may be good reasons.
    INTEROP = "INTEROP"  #: No rule is broken; clients in the field, or their users, expect otherwise.


class Outcome(Enum):
    """How a case ended."""

    PASS = "pass"
    FAIL = "fail"
    SKIP = "skip"


class Failed(Exception):
    """The server did not do what the case asks.

    Args:
        got: What it did, in words.
        expected: What it should have done, where the case's own words do not say it.
    """

    def __init__(self, got: str, expected: str = "") -> None:
        super().__init__(got)
        self.got = got
        self.expected = expected


class Skipped(Exception):
    """The case does not apply to this server: the reason, in words."""
