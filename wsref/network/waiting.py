"""Wait until sockets can be read or written, on every system.

Two ways to bound a call on a socket:

* Linux: the socket blocks, ``SO_RCVTIMEO`` bounds a read and ``MSG_DONTWAIT`` a write.  The
  kernel does it all, in one call.
* Everywhere: the socket does not block, and before a read, or after a write that takes
  nothing, the system is asked to wait.  On macOS ``MSG_DONTWAIT`` does not keep a send from
  blocking, and Windows has neither that flag nor ``poll``.
"""

from __future__ import annotations

import select
import socket
import sys
from collections.abc import Iterable

#: Whether flags of each call bound it; else sockets do not block.
PER_CALL = sys.platform == "linux"

#: Milliseconds that ``poll`` can wait.
MAX_POLL = 2**31 - 1

#: Sockets that ``select`` can watch on Windows.
MAX_SELECT = 512


def wait(sock: socket.socket, timeout: float, *, writing: bool = False) -> bool:
    """Wait until a read, or a write, would not block.

    Args:
        sock: One socket.
        timeout: Seconds.
        writing: Whether to wait for a write.
    Returns:
        False if the time is over.
    """
    if hasattr(select, "poll"):
        poller = select.poll()
        poller.register(sock, select.POLLOUT if writing else select.POLLIN)
        return bool(poller.poll(max(min(timeout * 1000, MAX_POLL), 0)))  # below 0 would be for ever
    sockets = [sock]
    # On Windows a connection that fails is neither readable nor writable, but exceptional.
    return any(select.select([] if writing else sockets, sockets if writing else [], sockets, timeout))


def wait_for_any(reader: socket.socket, writers: Iterable[int], timeout: float | None) -> None:
    """Wait until ``reader`` can be read or one of ``writers``, file descriptors, can be written.

    Args:
        timeout: Seconds; None: for ever.
    """
    if hasattr(select, "poll"):
        poller = select.poll()
        poller.register(reader, select.POLLIN)
        for fd in writers:
            poller.register(fd, select.POLLOUT)
        poller.poll(None if timeout is None else min(timeout * 1000, MAX_POLL))
        return
    writers = list(writers)
    if len(writers) >= MAX_SELECT:  # the others are looked at without waiting, and soon again
        timeout = 0.01 if timeout is None else min(timeout, 0.01)
    writers = writers[: MAX_SELECT - 1]
    select.select([reader], writers, writers, timeout)
