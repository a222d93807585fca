"""Exercises of chapter 0: the client.

Check them: python -m wsref exercise 0
"""

import random
from collections.abc import Iterator

from wsref import HandshakeFailed, connect


def connect_result(url: str) -> str:
    """Return the result of an attempt to open a WebSocket.

    Returns:
        "open", if it opens (close it before you return);
        "refused: 404", if the server answers HTTP and does not open it, with the status of the answer;
        "not HTTP", if the server answers something else;
        "no server", if no server listens there.
    """
    try:
        connect(url).close()
    except HandshakeFailed as error:
        return f"refused: {error.status}" if error.status else "not HTTP"
    except OSError:
        return "no server"
    return "open"


def delays(longest: float = 300.0) -> Iterator[float]:
    """Yield the seconds to wait before each attempt to connect again, without end.

    Each delay is random, anywhere from 0 to a limit.  The first limit is 5 seconds, and each limit is
    twice the one before, but never more than `longest`: for delays(12) the limits are 5, 10, 12, 12, ...
    """
    limit = 5.0  # RFC 6455 §7.2.3: "between 0 and 5 seconds would be a reasonable initial delay"
    while True:
        yield random.uniform(0, min(limit, longest))
        limit = min(limit * 2, longest)
