"""A server in the background, for notebooks and tests: the reference, or a step of the book."""

from __future__ import annotations

import contextlib
import logging
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, overload

from ..network.handler import WebSocketHandler
from ..network.server import WebSocketServer, name_of
from ..network.tap import Tap
from ..steps import load
from .demo import Demo

logger = logging.getLogger("wsref")

Handler = TypeVar("Handler", bound=WebSocketHandler)


class StepServer:
    """A step of the book as a server: its program's ``Server``, with a ``url``.

    Args:
        step: The chapter, 1 to 11.
        address: Host and port.
        tap: Called with None and the client's address; returns a function that gets all bytes
            that pass on this connection (see :mod:`wsref.network.tap`), or None.
        ssl_context: For TLS; step 11 only.
    Raises:
        OSError: The address cannot be bound.
        ValueError: There is no such step, or it does not speak TLS.
    """

    def __init__(
        self,
        step: int,
        address: tuple[str, int] = ("127.0.0.1", 0),
        *,
        tap: Callable[[Any, str], Tap | None] | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        program = load(step, logger.info)
        handler = program.Handler if tap is None else _with_tap(program.Handler, tap)
        if ssl_context is not None and not hasattr(program, "ssl"):
            raise ValueError(f"TLS comes in chapter 11: step {step} does not speak it")
        self._server = program.Server(address, handler, *([ssl_context] if ssl_context is not None else []))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="wsref step", daemon=True)
        self.server_address = self._server.server_address
        self.url = f"{'ws' if ssl_context is None else 'wss'}://{name_of(self._server.server_address)}"

    def start(self) -> StepServer:
        """Serve in a background thread, and return this server."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """End the server.  Idempotent."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join(5)
        self._server.server_close()

    def __enter__(self) -> StepServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


class _TappedSocket:
    """A socket that shows what its user receives and sends to a tap."""

    def __init__(self, sock: Any, tap: Tap) -> None:
        self._socket = sock
        self._tap: Tap | None = tap

    def recv(self, size: int) -> bytes:
        data: bytes = self._socket.recv(size)
        self._show(False, data)
        return data

    def sendall(self, data: bytes) -> None:
        self._show(True, data)
        self._socket.sendall(data)

    def _show(self, sent: bool, data: bytes) -> None:
        """Call the tap.  One that fails is removed: the program does not depend on it."""
        try:
            if self._tap is not None:
                self._tap(sent, data)
        except Exception:
            self._tap = None
            logger.exception("the tap failed; this connection goes on without it")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)


def _with_tap(handler: Any, make_tap: Callable[[Any, str], Tap | None]) -> Any:
    """A step's handler whose socket has a tap."""

    class Tapped(handler):  # type: ignore[misc]
        def setup(self) -> None:
            super().setup()
            tap = make_tap(None, name_of(self.client_address))
            if tap is not None:
                self.__dict__["request"] = _TappedSocket(self.__dict__["request"], tap)

    return Tapped


@overload
def running(*, step: int, **options: Any) -> contextlib.AbstractContextManager[StepServer]: ...


@overload
def running(
    handler: type[Handler] = ..., *, step: None = None, **options: Any
) -> contextlib.AbstractContextManager[WebSocketServer[Handler]]: ...


@contextlib.contextmanager
def running(handler: Any = None, *, step: int | None = None, **options: Any) -> Iterator[Any]:
    """Run a server on a free port of loopback, in the background, and stop it at the end.

    For notebooks and tests.

    Args:
        handler: As for :class:`~wsref.WebSocketServer`; None: as ``python -m wsref``.
        step: The program of this chapter instead.
        options: As for :class:`~wsref.WebSocketServer`; with a step, as for :class:`StepServer`.
    Yields:
        The server; its ``url`` is ``ws://127.0.0.1:port``.

    >>> with running(step=4) as server:
    ...     server.url.startswith("ws://127.0.0.1:")
    True
    """
    if step is not None:
        with StepServer(step, **options) as step_server:
            yield step_server
    else:
        with WebSocketServer(("127.0.0.1", 0), handler or Demo, **options) as server:
            yield server.start()
