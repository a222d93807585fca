"""The cases, one module for each chapter of the book.

=========  ========  ==========================================
module     chapter   in one line
=========  ========  ==========================================
common               rules, payloads and checks of several chapters
deflate    9         the header of permessage-deflate, and a connection that uses it
ch01       1         an HTTP base
ch02       2         upgrade detection
ch03       3         validation
ch04       4         ``complete_upgrade``
ch05       5         the 426 fallback
ch06       6         frames
ch07       7         messages
ch08       8         closing
ch09       9         compression
ch10       10        many clients, and clients that vanish
ch11       11        Origin and limits
large                messages of 1 to 16 MiB, only if asked for
=========  ========  ==========================================
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from ..case import Case
from . import ch01, ch02, ch03, ch04, ch05, ch06, ch07, ch08, ch09, ch10, ch11, large

#: The cases of a run, without the large messages, in the order of the chapters.
CASES: tuple[Case, ...] = tuple(
    case for chapter in (ch01, ch02, ch03, ch04, ch05, ch06, ch07, ch08, ch09, ch10, ch11) for case in chapter.CASES
)


#: Large messages, which a run plays only if asked for.
LARGE_CASES: tuple[Case, ...] = large.CASES


def select(*, until: int | None = None, only: Sequence[str] = (), large: bool = False) -> list[Case]:
    """Return the cases to play, in the order of the chapters.

    Args:
        until: The last chapter whose cases are selected; None: all chapters.
        only: Select a case if its id equals one of these strings, matches one as a glob, or
            begins with one and a dot; empty: no restriction.
        large: Whether to add the large messages.  ``only`` may also name them.
    Raises:
        ValueError: An element of ``only`` matches no case.
    """
    every = sorted((*CASES, *LARGE_CASES), key=lambda case: case.chapter)
    for pattern in only:
        if not any(matches(case.id, pattern) for case in every):
            raise ValueError(f"no case is called {pattern!a}; check --list lists all of them")
    named = [pattern for pattern in only if not any(matches(case.id, pattern) for case in CASES)]
    return [
        case
        for case in every
        if (large or case not in LARGE_CASES or any(matches(case.id, p) for p in named))
        and (until is None or case.chapter <= until)
        and (not only or any(matches(case.id, p) for p in only))
    ]


def matches(name: str, pattern: str) -> bool:
    """Return whether an id equals a pattern, matches it as a glob, or begins with it and a dot."""
    return fnmatchcase(name, pattern) or name.startswith(pattern + ".")
