"""Checks of chapter 2: upgrade detection."""

from __future__ import annotations

from typing import Any

from .expect import Wrong, call, call_text, expect, show


def _asks_for_upgrade(value: str) -> bool:
    return "upgrade" in [element.strip(" \t").lower() for element in value.split(",")]


def _four_values(theirs: Any) -> list[str]:
    """Return the learner's values."""
    values = call(theirs)
    if (
        not isinstance(values, list)
        or not all(isinstance(v, str) for v in values)
        or not len(values) == len(set(values)) == 4
    ):
        raise Wrong(f"{call_text(theirs)} must return a list of four different strings, not {show(values)}")
    return values


def check_false_alarms(theirs: Any) -> None:
    """Search each value, and read it as a list."""
    for value in _four_values(theirs):
        if "upgrade" not in value.lower():
            raise Wrong(f"{value!r} is no false alarm: the search does not find upgrade in it")
        if _asks_for_upgrade(value):
            raise Wrong(f"{value!r} is no false alarm: one of its elements is upgrade (RFC 9110 §5.6.1)")


def check_misses(theirs: Any) -> None:
    """Compare each value, and read it as a list."""
    for value in _four_values(theirs):
        if value == "Upgrade":
            raise Wrong(f"{value!r} is no miss: the comparison sees it")
        if not _asks_for_upgrade(value):
            raise Wrong(f"{value!r} is no miss: none of its elements is upgrade (RFC 9110 §5.6.1)")


def check_forward(theirs: Any) -> None:
    """Send headers through the proxy."""
    host, version = ("Host", "a"), ("Sec-WebSocket-Version", "13")
    upgrade = ("Upgrade", "websocket")
    expect(theirs, [host, version], gives=[host, version])
    expect(theirs, [host, ("Connection", "Upgrade"), upgrade, version], gives=[host, version])
    expect(theirs, [upgrade, ("connection", "keep-alive,\tUPGRADE"), host], gives=[host])
    two_lines = [("Connection", "close"), ("X-Mine", "1"), ("Close", "2"), ("Connection", "X-MINE , upgrade"), host]
    expect(theirs, two_lines, gives=[host], why="there are two lines of Connection (RFC 9110 §5.3)")
    expect(theirs, [host, upgrade], gives=[host, upgrade], why="no Connection names Upgrade")
    expect(theirs, [("Connection", "no-upgrade"), upgrade], gives=[upgrade], why="no-upgrade is another name")
