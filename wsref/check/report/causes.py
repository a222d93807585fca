"""Failures grouped by their probable cause, so that a report shows each cause once.

The rule is a guess, and :data:`RULE` states it in the report.  It looks only at what the grader observed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..case import Verdict
from ..verdict import Level

#: The rule, for the report.
RULE = (
    "The rule for one cause: the behaviour is alike in one group of cases (such as 6.length) or in several groups "
    "of a chapter, or valid handshakes are refused."
)

#: The number of groups of a chapter that are several.  A status tells less than a frame: each missing check of a
#: handshake ends in the same 101.
SEVERAL_GROUPS, SEVERAL_GROUPS_FOR_A_STATUS = 2, 3

#: The observed behaviour if a valid handshake does not open a WebSocket.  RFC 6455 §4.2.2.
REFUSED_OPENING = "the handshake was answered with"


def behaviour(why: str) -> str:
    r"""Return the kind of an observed behaviour, without the details that differ from case to case.

    >>> behaviour("TEXT of 5 bytes: b'Hello'"), behaviour("BINARY of 126 bytes, without FIN: 00 01 ...")
    ('a message', 'a message')
    >>> behaviour("the connection stays open: it sent PONG of 0 bytes"), behaviour("CLOSE 1002 b'no: never'")
    ('the connection stays open', 'CLOSE #')
    >>> behaviour("HTTP/1.1 400 Bad Request")
    'HTTP/1.1 400 Bad Request'
    """
    if is_status(why):
        return why
    if re.match("(TEXT|BINARY) of", why):
        return "a message"
    why = re.sub(r" ?b?(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")", "", why)
    return re.sub(r"\d+(?:\.\d+)?", "#", re.split("[:;,]", why)[0])


def is_status(why: str) -> bool:
    """Return whether the observed behaviour is the status line of an answer."""
    return bool(re.match(r"HTTP/\S+ \d{3}", why))


def group(verdict: Verdict) -> str:
    """Return the group of a case: ``6.length`` for ``6.length.126``."""
    return ".".join(verdict.case.id.split(".")[:2])


def causes(failed: Sequence[Verdict]) -> list[list[Verdict]]:
    """Group failures by cause, in the order of their first cases; a crash of the server comes before them.

    Returns:
        For each cause its failures.  The first one is the one to explain: the first MUST, if there is a MUST.
    """
    groups: dict[tuple[int, str], set[str]] = {}
    for verdict in failed:
        groups.setdefault((verdict.case.chapter, behaviour(verdict.why)), set()).add(group(verdict))
    found: dict[tuple[str, str], list[Verdict]] = {}
    for verdict in failed:
        same = behaviour(verdict.why)
        if verdict.why.startswith(REFUSED_OPENING):
            key = ("", REFUSED_OPENING)
        elif len(groups[verdict.case.chapter, same]) >= (
            SEVERAL_GROUPS_FOR_A_STATUS if is_status(same) else SEVERAL_GROUPS
        ):
            key = (str(verdict.case.chapter), same)
        else:
            key = (group(verdict), same)
        found.setdefault(key, []).append(verdict)
    ordered = [sorted(verdicts, key=lambda v: v.case.level is not Level.MUST) for verdicts in found.values()]
    return sorted(ordered, key=lambda verdicts: not verdicts[0].crashed)
