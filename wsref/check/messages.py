"""Chapter 7: cases."""

from __future__ import annotations

from .case import Case

CASES: tuple[Case, ...] = ()
