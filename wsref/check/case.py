"""What a case is, and how it comes to its verdict.

A case is a row: where the rule stands, what is sent, what is taken for an answer, and
what helps whoever fails.  The page of cases in the documentation, ``check --list`` and
the report are these rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from .session import Peer
from .verdict import Level, Outcome


@dataclass(frozen=True)
class Play:
    """What happens in a case.

    Attributes:
        sends: What the grader sends, in words, for people.
        accepts: Which answers are right, in words.
        run: Does it; returns if the server is right, raises :class:`~wsref.check.verdict.Failed` if it is
            wrong, :class:`~wsref.check.verdict.Skipped` if nothing can be said.
        needs: What the server must be able to do for this case to make sense:
            "" (speak TCP), "open" (answer 101), "asked" (that, and --no-echo was not said), "echo"
            (send messages back), "binary" (binary ones too), "agree" (agree on permessage-deflate),
            "deflate" (that, and echo).
        alone: Whether other cases must wait, because this one is a burden.
    """

    sends: str
    accepts: str
    run: Callable[[Peer], None]
    needs: str = ""
    alone: bool = False


@dataclass(frozen=True)
class Case:
    """One thing that is asked of a server.

    Attributes:
        id: Chapter, subject, variant: ``3.key.short``.
        level: What a failure means.
        section: Where the rule stands: ``RFC 6455 §4.2.1``.
        title: What is asked, as a sentence about the server.
        quote: The rule's own words, short; for INTEROP, why it matters.
        play: What is sent, and what is taken.
        hint: What to look at in one's own server.
    """

    id: str
    level: Level
    section: str
    title: str
    quote: str
    play: Play
    hint: str

    @property
    def chapter(self) -> int:
        """The chapter of the tutorial that teaches it."""
        return int(self.id.partition(".")[0])


@dataclass
class Verdict:
    """One case, played against one server.

    Attributes:
        why: Of a failure: what came instead; of a skip: why.
        expected: What should have come.
        wire: What passed: whether the grader sent it, and which bytes; b"" received: the
            server ended TCP.  One list for each TCP connection of the case.
        seconds: How long it took.
    """

    case: Case
    outcome: Outcome
    why: str = ""
    expected: str = ""
    wire: list[list[tuple[bool, bytes]]] = field(default_factory=list)
    seconds: float = 0.0
