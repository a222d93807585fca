"""Checks of chapter 5: the 426 fallback."""

from __future__ import annotations

from typing import Any

from .expect import expect


def check_fallback(theirs: Any) -> None:
    """Ask as a load balancer, and as other clients."""
    refused = (426, ["Upgrade: websocket", "Connection: Upgrade"])
    for target in ("/health", "/health?from=balancer"):
        expect(theirs, "GET", target, gives=(200, []))
    expect(theirs, "POST", "/health", gives=refused, why="the load balancer sends a GET")
    expect(theirs, "get", "/health", gives=refused, why="methods are case-sensitive (RFC 9110 §9.1)")
    for target in ("/", "/healthy", "/chat?next=/health", "/Health"):
        expect(theirs, "GET", target, gives=refused, why="it is another path")


def check_is_good_426(theirs: Any) -> None:
    """Show good answers, and answers with one fault."""
    good = b"HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\n\r\n"
    first, headers = good[:30], good[30:]
    expect(theirs, good, gives=True)
    expect(theirs, first + headers.lower(), gives=True, why="case does not matter (RFC 9110 §5.1)")
    expect(theirs, good.replace(b": ", b":"), gives=True, why="the blank after a colon is optional (RFC 9112 §5)")
    expect(theirs, good.replace(b"websocket", b"h2c ,WebSocket"), gives=True, why="Upgrade is a list (RFC 9110 §7.8)")
    two_lines = good.replace(b"Upgrade, close", b"close\r\nConnection: upgrade")
    expect(theirs, two_lines, gives=True, why="the list may be on several lines (RFC 9110 §5.3)")
    upgrade, connection = b"Upgrade: websocket\r\n", b"Connection: Upgrade, close\r\n"
    expect(theirs, good.replace(b"426 Upgrade Required", b"400 is not 426 here"), gives=False, why="the status is 400")
    expect(theirs, good.replace(upgrade, b""), gives=False, why="there is no Upgrade")
    expect(theirs, good.replace(connection, b""), gives=False, why="there is no Connection")
    expect(theirs, good.replace(b"websocket", b"websockets"), gives=False, why="websockets is another protocol")
    expect(theirs, good.replace(b"Upgrade, c", b"no-upgrade, c"), gives=False, why="no-upgrade is another word")
    for name in (b"Upgrade: w", b"Connection: U"):
        why = f"X-{name[:-3].decode()} is another header"
        expect(theirs, good.replace(name, b"X-" + name), gives=False, why=why)
    expect(theirs, good.replace(upgrade, b"") + upgrade, gives=False, why="Upgrade is in the body")
