"""Chapter 10: frames that a client does not take at once, in a bounded queue for each connection."""

from __future__ import annotations

import threading
from collections import deque

from ..protocol.errors import ConnectionClosed

#: Bytes.  Small frames that wait are joined into writes of at most this size.
MAX_WRITE = 64 * 1024

#: What waits where nothing has waited yet: one object for all connections, as an empty deque takes 0.7 KiB.
EMPTY: deque[bytes | memoryview] = deque(maxlen=0)


class SendQueue:
    """Frames that wait to be sent on one connection, bounded in bytes.

    Args:
        max_size: Bytes (``limits.max_backlog``).

    >>> queue = SendQueue(max_size=10)
    >>> queue.append(b"12345"), queue.append(b"67890")
    (True, True)
    >>> queue.append(b"!")
    False
    >>> queue.take(1000)
    b'1234567890'
    """

    def __init__(self, max_size: int) -> None:
        self.items = EMPTY
        self.size = 0  # bytes in it
        self.closed = False  # a Close is in it or was sent: nothing may follow
        self._max_size = max_size
        self._lock = threading.Lock()

    def append(self, data: bytes, *, last: bool = False, unsent: int = 0) -> bool:
        """Add a frame at the end.

        Args:
            data: The frame.
            last: It is a Close: nothing may follow it.  It is not limited.
            unsent: Bytes that wait before the queue.
        Returns:
            False if too much waits already; then the frame was not added.
        Raises:
            ConnectionClosed: A Close is before it.
        """
        with self._lock:
            if self.closed:
                raise ConnectionClosed("a Close has been sent")
            waiting = self.size + unsent
            if waiting and waiting + len(data) > self._max_size and not last:
                return False
            if self.items is EMPTY:
                self.items = deque()
            self.items.append(data)
            self.size += len(data)
            self.closed = last
            return True

    def close(self) -> None:
        """Refuse further frames: a Close is being sent."""
        with self._lock:
            self.closed = True

    def take(self, max_size: int) -> bytes | memoryview:
        """Remove the first frame, together with small ones after it, up to ``max_size`` bytes."""
        with self._lock:
            first = self.items.popleft()
            if len(first) > max_size:
                self.items.appendleft(memoryview(first)[max_size:])
                first = memoryview(first)[:max_size]
            pieces, size = [first], len(first)
            while self.items and size + len(self.items[0]) <= min(max_size, MAX_WRITE):
                pieces.append(self.items.popleft())
                size += len(pieces[-1])
            self.size -= size
        return first if len(pieces) == 1 else b"".join(pieces)
