"""Solutions of the exercises of chapter 0."""

import random
from collections.abc import Iterator

import wsref


def what_happened(url: str) -> str:
    """What a page is not told: why its WebSocket did not open."""
    try:
        with wsref.connect(url, timeout=5) as ws:
            return f"open, subprotocol {ws.protocol}"
    except wsref.HandshakeFailed as error:
        return f"refused: {error.status}" if error.status else "no WebSocket server"
    except OSError:  # nobody listens, no such host, or no answer in time
        return "nobody answered"


def delays(most: float = 300.0) -> Iterator[float]:
    """Seconds to wait before each attempt to connect again.  RFC 6455 §7.2.3.

    >>> tries = delays(most=60)
    >>> first = next(tries)
    >>> 0 <= first <= 5
    True
    >>> all(0 <= next(tries) <= 60 for _ in range(100))
    True
    """
    longest = 5.0  # §7.2.3: "a value chosen randomly between 0 and 5 seconds would be a reasonable initial delay"
    while True:
        yield random.uniform(0, longest)
        longest = min(longest * 2, most)
