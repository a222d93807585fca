"""A transport that shows the bytes that pass to a *tap*, for ``--trace`` and the wire panel.

These are separate classes, so that a connection without a tap pays nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from .log import logger
from .tls import TLSTransport
from .transport import Transport

#: Called with bytes as the protocol sees them, in order: whether we sent them, and the bytes.
#: b"" received means the end of TCP.  It may not use the connection: a sender that calls it holds the write lock.
Tap = Callable[[bool, bytes], None]


class Tapped(Transport):
    """A transport with a tap."""

    passthrough = False
    tap: Tap | None = None

    def receive(self, size: int, timeout: float) -> bytes | None:
        """As without a tap."""
        data = super().receive(size, timeout)
        if data is not None:
            self._show(False, data)
        return data

    def _seal(self, data: bytes | memoryview) -> bytes | memoryview:
        # Every byte to send passes here once, in pieces of any size, before TLS.
        if data:
            self._show(True, bytes(data))
        return super()._seal(data)

    def _show(self, sent: bool, data: bytes) -> None:
        """Call the tap.  One that fails is removed: the connection does not depend on it."""
        if self.tap is None:
            return
        try:
            self.tap(sent, data)
        except Exception:
            self.tap = None
            logger.exception("the tap failed; this connection goes on without it")


class TappedTLS(Tapped, TLSTransport):
    """The same over TLS."""
