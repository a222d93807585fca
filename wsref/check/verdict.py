"""The meaning of a failure, the outcomes of a case, and the exceptions that end a case early."""

from __future__ import annotations

from enum import Enum

from .codec import printable


class Level(Enum):
    """The meaning of a failure."""

    MUST = "MUST"  #: The server breaks a sentence of an RFC.
    SHOULD = "SHOULD"  #: The RFC advises otherwise; good reasons may exist.
    INTEROP = "INTEROP"  #: The server breaks no rule; real clients, or their users, expect otherwise.


class Outcome(Enum):
    """The outcome of a case."""

    PASS = "pass"
    FAIL = "fail"
    SKIP = "skip"  #: The case does not apply to this server.
    UNPLAYED = "unplayed"  #: The run ended before this case, or the caller left it out.


class Failed(Exception):
    """The server did not meet the requirement of the case.

    Args:
        got: The server's behaviour, in words.  Its control characters are escaped here, for every report.
        expected: The correct behaviour; "": the text of the case says it.
    """

    def __init__(self, got: str, expected: str = "") -> None:
        super().__init__(printable(got))
        self.got = printable(got)
        self.expected = printable(expected)


class Skipped(Exception):
    """The case does not apply to this server; the argument is the reason, in words."""

    def __init__(self, why: str) -> None:
        super().__init__(printable(why))
