"""A case, and its verdict.

A case is a row: the section of the rule, the bytes to send, the accepted answers, and a hint for a
failing server.  ``check --list``, the report and the documentation's page of cases show these rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from .verdict import Level, Outcome


class Needs(Enum):
    """The ability of the server that a case needs; the value is the reason to skip the case without it."""

    NOTHING = ""
    OPEN = "an ordinary handshake does not get 101"
    MESSAGES = "--no-echo"  #: OPEN, and the caller allows messages to the application.
    ECHO = "the server does not echo messages"
    BINARY_ECHO = "the server does not echo binary messages; 6.echo.all-bytes tests that"
    DEFLATE = "the server does not agree on permessage-deflate, which is legal"
    DEFLATE_ECHO = "the server does not echo messages, or not on a connection with permessage-deflate"
    DEFLATE_BINARY_ECHO = "the server does not echo binary messages, or not on a connection with permessage-deflate"


@dataclass(frozen=True)
class Play:
    """The action of a case.

    Attributes:
        sends: The bytes that the grader sends, in words.
        accepts: The correct answers, in words.
        run: Plays the case.  It returns if the server is right, raises :class:`~wsref.check.verdict.Failed`
            if the server is wrong, and :class:`~wsref.check.verdict.Skipped` if the case does not apply.
            Its argument is the :class:`~wsref.check.session.Peer`, or for a case about clients the
            :class:`~wsref.check.clients.session.Client`.
        needs: The ability that the case needs.
        alone: Whether the case must run alone because it loads the server, or may end it.
    """

    sends: str
    accepts: str
    run: Callable[[Any], None]
    needs: Needs = Needs.NOTHING
    alone: bool = False


@dataclass(frozen=True)
class Case:
    """One requirement, and the play that tests it.

    Attributes:
        id: Chapter, subject, variant: ``3.key.short``; ``c4.accept.wrong`` for a case about clients.
        level: The meaning of a failure.
        section: The section of the rule: ``RFC 6455 §4.2.1``.
        title: The requirement, as a sentence about the server.
        quote: The words of the rule, shortened; for INTEROP, the reason for the case.
        play: The bytes to send, and the accepted answers.
        hint: The place to look at in the failing server.
    """

    id: str
    level: Level
    section: str
    title: str
    quote: str
    play: Play
    hint: str

    @property
    def is_for_clients(self) -> bool:
        """Whether the case is about a client, so that the grader is the server."""
        return self.id.startswith("c")

    @property
    def chapter(self) -> int:
        """The chapter of the book that teaches the rule."""
        return int(self.id.partition(".")[0].removeprefix("c"))


@dataclass
class Verdict:
    """The result of one case against one server.

    Attributes:
        why: For a failure, the server's wrong behaviour; for a skipped case, the reason.
        expected: For a failure, the correct behaviour.
        recorded: For each TCP connection of the case, the chunks that passed, in order.  A chunk is a pair:
            whether the grader sent it, and its bytes.  Empty received bytes: the server ended TCP.
        seconds: The duration of the case.
        unanswered: For a failure, whether the server did not answer, or did not take a connection.
        turned_away: Whether the server may have refused the client only because of other clients or requests.
        cut_off: Whether TCP ended on an open WebSocket without a Close.
        crashed: For a failure, whether the case ended the server.
        unasked: Whether it was known during the case that the server sends messages that answer nothing.
        grader_failed: For a skipped case, whether a bug of the grader is the reason.
    """

    case: Case
    outcome: Outcome
    why: str = ""
    expected: str = ""
    recorded: list[list[tuple[bool, bytes]]] = field(default_factory=list)
    seconds: float = 0.0
    unanswered: bool = False
    turned_away: bool = False
    cut_off: bool = False
    crashed: bool = False
    unasked: bool = False
    grader_failed: bool = False
