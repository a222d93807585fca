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


#: Characters of the server's behaviour that a report shows; a status line may have a million.
MAX_SHOWN = 1000


def shown(text: str) -> str:
    r"""Return a text for a report: without control characters, and not too long.

    >>> shown("\x1b[2J"), len(shown("x" * 1_000_000))
    ('\\x1b[2J', 1002)
    """
    text = printable(text[: MAX_SHOWN + 1])
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]} …"


class Failed(Exception):
    """The server did not meet the requirement of the case.

    Args:
        got: The server's behaviour, in words.  It is shortened and its control characters are escaped here, for every
            report.
        expected: The correct behaviour; "": the text of the case says it.
    """

    def __init__(self, got: str, expected: str = "") -> None:
        super().__init__(shown(got))
        self.got = shown(got)
        self.expected = shown(expected)


class Skipped(Exception):
    """The case does not apply to this server; the argument is the reason, in words."""

    def __init__(self, why: str) -> None:
        super().__init__(shown(why))
