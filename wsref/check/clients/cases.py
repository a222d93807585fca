"""All cases about clients, and the choice among them."""

from __future__ import annotations

from collections.abc import Sequence

from ..cases import matches
from . import closing, compression, frames, limits, messages, requests, responses
from .plays import ClientCase

MODULES = (requests, responses, frames, messages, closing, compression, limits)

#: In the order of the chapters.
CLIENT_CASES: tuple[ClientCase, ...] = tuple(
    sorted((case for module in MODULES for case in module.CASES), key=lambda case: case.chapter)
)


def select(*, until: int | None = None, only: Sequence[str] = ()) -> list[ClientCase]:
    """Return the cases to play, in the order of the chapters.

    Args:
        until: The last chapter whose cases are selected; None: all chapters.
        only: As for :func:`wsref.check.cases.select`.
    Raises:
        ValueError: An element of ``only`` matches no case.
    """
    for pattern in only:
        if not any(matches(case.id, pattern) for case in CLIENT_CASES):
            raise ValueError(f"no case about clients is called {pattern!a}; check --client --list lists all of them")
    return [
        case
        for case in CLIENT_CASES
        if (until is None or case.chapter <= until) and (not only or any(matches(case.id, p) for p in only))
    ]
