"""All cases, in the order of the chapters."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from . import closing, compression, frames, http_base, messages, opening, world
from .case import Case

#: All there are.
CASES: tuple[Case, ...] = (
    *http_base.CASES,
    *opening.CASES,
    *frames.CASES,
    *messages.CASES,
    *closing.CASES,
    *compression.CASES,
    *world.CASES,
)


def select(*, until: int | None = None, only: Sequence[str] = ()) -> list[Case]:
    """Some of them.

    Args:
        until: Of chapters up to this one.
        only: Whose id is one of these, or matches one of these globs, or begins with one of them and a dot.
    Raises:
        ValueError: one of ``only`` matches no case.
    """
    for pattern in only:
        if not any(_matches(case.id, pattern) for case in CASES):
            raise ValueError(f"no case is called {pattern!a}; check --list has them all")
    return [
        case
        for case in CASES
        if (until is None or case.chapter <= until) and (not only or any(_matches(case.id, p) for p in only))
    ]


def _matches(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) or name.startswith(pattern + ".")
