"""Every number that is our choice: how much, how many, how long.

RFC 6455 §10.4 asks an implementation to protect itself against messages and frames that are
too large, and names no size; no RFC names a timeout either.  So each choice is one row here:
its default, its unit, what happens beyond it, and a precedent.  Each is checked *before*
memory is taken for what exceeds it.  ``python -m wsref serve -h`` and the documentation print
this table.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Any

#: Seconds.  The longest time that a limit may have: poll() counts milliseconds in 32 bits, which is 24 days.
MAX_SECONDS = 2_000_000


def limit(default: float, unit: str, why: str) -> Any:
    """Make one row of :class:`Limits`."""
    return field(default=default, metadata={"unit": unit, "why": why})


@dataclass(frozen=True, slots=True)
class Limits:
    """All limits of one server or one connection.

    Raises:
        ValueError: A limit is not a positive number, or a time of more than :data:`MAX_SECONDS`.

    >>> Limits(max_message_size=4096).max_message_size
    4096
    >>> Limits(head_timeout=0)
    Traceback (most recent call last):
        ...
    ValueError: head_timeout must be more than 0 seconds, not 0
    """

    max_request_line: int = limit(8192, "bytes", "longer: 414 (RFC 9112 §3 recommends at least 8000)")
    max_header_line: int = limit(8192, "bytes", "longer: 431 (as in websockets, aiohttp)")
    max_headers: int = limit(100, "header lines", "more: 431 (as in uWebSockets; others 124-128)")
    max_head: int = limit(16 * 1024, "bytes", "request line and headers together; more: 431 (as in Node)")
    head_timeout: float = limit(10.0, "seconds", "TLS handshake and head together; longer: 408 (as in websockets)")

    max_message_size: int = limit(1024 * 1024, "bytes", "over all fragments; more: 1009 (as in websockets)")
    max_empty_fragments: int = limit(1024, "fragments", "without payload, in one message; more: 1008")

    ping_interval: float = limit(20.0, "seconds", "of silence before we send a Ping (as in websockets)")
    ping_timeout: float = limit(20.0, "seconds", "of silence after our ping; longer: 1006 (as in websockets)")
    send_timeout: float = limit(10.0, "seconds", "in which the peer reads less than 64 KiB of our output; longer: 1006")
    close_timeout: float = limit(10.0, "seconds", "from our Close to the peer's; longer: 1006 (as in websockets)")
    linger_timeout: float = limit(1.0, "seconds", "for the peer to end TCP after our last byte; longer: we end it")

    max_connections: int = limit(1024, "connections", "at a time; more: 503")
    max_backlog: int = limit(1024 * 1024, "bytes", "of broadcasts that wait for one client; more: it is dropped")
    shutdown_timeout: float = limit(1.5, "seconds", "for clients to answer Close 1001 when the server ends")

    def __post_init__(self) -> None:
        for row in fields(self):
            value = getattr(self, row.name)
            if not 0 < value < math.inf:  # written so that NaN fails, too
                raise ValueError(f"{row.name} must be more than 0 {row.metadata['unit']}, not {value!r}")
            if row.metadata["unit"] == "seconds" and value > MAX_SECONDS:
                raise ValueError(f"{row.name} must be at most {MAX_SECONDS:,} seconds (23 days), not {value!r}")
