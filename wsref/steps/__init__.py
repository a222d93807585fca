"""The server as it stood after each chapter, by taking later chapters away.

The finished handler knows nothing of chapters.  Here is, for each chapter from 2 on,
what stood in the place of the methods that it introduces: its *stand-ins*.  The server
after chapter N is the finished one with the stand-ins of all chapters after N put back,
by nothing but inheritance.  So there are no copies to keep in step, and a fix shows in
all of them.

A stand-in has the signature of what it stands for.

================  ========  ==============================================================
module            chapter   in one line
================  ========  ==============================================================
source            1-11      the program of a step, as one file
================  ========  ==============================================================
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from ..apps.demo import Demo, Echo
from ..network.channel import Channel
from ..network.handler import HEAD_READ_SIZE, WebSocketHandler
from ..network.server import PAGE, WebSocketServer
from ..protocol import handshake
from ..protocol.connection import Closed
from ..protocol.errors import ConnectionClosed, HTTPError, ProtocolError
from ..protocol.frames import Frame, build_frame, parse_frame
from ..protocol.http11 import Request
from ..protocol.spec import CONTROL, CloseCode, Opcode

#: What a client sees after each chapter.
SEEN = {
    1: "an HTTP base: every request gets 200",
    2: "upgrade detection: an upgrade gets 501, all else 200",
    3: "validation: a bad upgrade gets 400 with reasons, a good one 501",
    4: "complete_upgrade: a good upgrade gets 101, then the server hangs up",
    5: "the 426 fallback: who is not here to upgrade gets 426",
    6: "frames: each is echoed by itself",
    7: "messages: whole ones are echoed, and a Ping gets a Pong",
    8: "closing: a Close is answered by a Close",
    9: "compression: permessage-deflate is negotiated",
    10: "many clients: a chat at /chat, 404 elsewhere, and keep-alive",
    11: "out in the world: pages from elsewhere get 403, and there is TLS",
}

LAST = max(SEEN)


class BeforeChapter2(WebSocketHandler, overrides_internals=True):
    """Nobody asks whether it is an upgrade."""

    def _wants_upgrade(self, request: Request) -> bool:
        """To an HTTP server every request is a plain one."""
        return False


class BeforeChapter3(WebSocketHandler, overrides_internals=True):
    """Nobody asks whether it is a good one."""

    def _validate(self, request: Request) -> None:
        """Whatever comes is good enough."""


class BeforeChapter4(WebSocketHandler, overrides_internals=True):
    """An upgrade is seen, and nothing can be done about it."""

    def _complete_upgrade(self, request: Request) -> Any:
        """Not yet."""
        raise HTTPError(501, "an upgrade; chapter 4 opens it", "RFC 9110 §15.6.2")


class BeforeChapter5(WebSocketHandler, overrides_internals=True):
    """Who is not here to upgrade is a visitor like any other."""

    def _fallback(self, request: Request) -> None:
        """200, as from any HTTP server: the page, or a word of text."""
        html = bool(self.server.page) and handshake.prefers_html(request)
        body = self.server.page if html else b"Hello from an HTTP server.\n"
        kind = "text/html" if html else "text/plain"
        self._log(logging.INFO, f"200: {request.method}")
        self._respond(handshake.answer(HTTPStatus.OK, body, f"{kind}; charset=utf-8"))


class BeforeChapter6(WebSocketHandler, overrides_internals=True):
    """The connection speaks WebSocket, and we do not."""

    def _converse(self, *agreed: Any) -> None:
        """Hang up."""


class BeforeChapter7(WebSocketHandler, overrides_internals=True):
    """Frames are all there is: no messages, no Pong for a Ping, no check of text."""

    def _run_hooks(self, channel: Channel) -> Closed:
        """Echo each data frame by itself, and ignore the others, until a Close or the end."""
        self.on_open()
        self.server._mark_open(self)
        data = self._early
        error = None
        try:
            while True:
                max_payload = self.server.limits.max_message_size
                while (parsed := parse_frame(data, masked=True, max_payload=max_payload)) is not None:
                    frame, end = parsed
                    data = data[end:]
                    if frame.opcode is Opcode.CLOSE:
                        return Closed(int(CloseCode.ABNORMAL), "", None, False, False, None, b"")
                    if not frame.opcode & CONTROL:
                        self._transport.send(build_frame(Frame(frame.opcode, frame.payload, frame.fin)))
                piece = self._transport.receive(HEAD_READ_SIZE, self.server.limits.ping_interval)
                if piece == b"":
                    break
                data += piece or b""
        except ProtocolError as broken:
            error = broken
        except ConnectionClosed:
            pass
        return Closed(int(CloseCode.ABNORMAL), "", None, False, error is not None, error, b"")


class BeforeChapter8(WebSocketHandler, overrides_internals=True):
    """Who wants to end hangs up: nobody says Close."""

    def _finish_close(self, channel: Channel, closed: Closed) -> None:
        """The reply to a Close, or the reason for an error, stays unsaid."""
        super()._finish_close(channel, replace(closed, reply=b"", sent_code=None, was_clean=False))

    def close(self, code: int | None = CloseCode.NORMAL, reason: str = "") -> None:
        """End TCP."""
        self._abort("closing comes in chapter 8")

    def _go_away(self) -> None:
        """End TCP."""
        self._abort("the server is going down")


class BeforeChapter9(WebSocketHandler, overrides_internals=True):
    """Messages are sent as they are."""

    def _choose_extensions(self, request: Request) -> tuple[None, None]:
        """None."""
        return None, None


class BeforeChapter10(WebSocketHandler, overrides_internals=True):
    """One application, and no thought of clients that vanish."""

    def _check_path(self, request: Request) -> None:
        """Every path is as good as any other."""

    def _run_hooks(self, channel: Channel) -> Closed:
        """Wait without end for a client that is silent: no Ping asks whether it is there."""
        channel.keeps_alive = False
        return super()._run_hooks(channel)


class BeforeChapter11(WebSocketHandler, overrides_internals=True):
    """Nobody asks from where a page comes."""

    def _authorize(self, request: Request) -> None:
        """Come in, all of you."""
        self._check_path(request)


#: The stand-ins for what each chapter introduces.
STAND_INS: dict[int, type[WebSocketHandler]] = {
    2: BeforeChapter2,
    3: BeforeChapter3,
    4: BeforeChapter4,
    5: BeforeChapter5,
    6: BeforeChapter6,
    7: BeforeChapter7,
    8: BeforeChapter8,
    9: BeforeChapter9,
    10: BeforeChapter10,
    11: BeforeChapter11,
}


def handler_at(step: int, handler: type[WebSocketHandler] | None = None) -> type[WebSocketHandler]:
    """The handler as it stood after a chapter.

    Args:
        step: The chapter, 1 to 11.
        handler: The application on top; None: the chat and the echo, or, before the chat
            comes in chapter 10, the echo.
    Raises:
        ValueError: there is no such chapter.

    >>> [base.__name__ for base in handler_at(9).__mro__[1:4]]
    ['BeforeChapter10', 'BeforeChapter11', 'Echo']
    """
    if step not in SEEN:
        raise ValueError(f"a step is a chapter from 1 to {LAST}, not {step}")
    app = handler or (Demo if step >= 10 else Echo)
    taken_away = [STAND_INS[chapter] for chapter in range(step + 1, LAST + 1)]
    return type(f"After{step}", (*taken_away, app), {"__doc__": f"After chapter {step}: {SEEN[step]}."})


def page_at(step: int) -> bytes:
    """The client page, which says which step it talks to, unless it is the last."""
    if step == LAST:
        return PAGE.read_bytes()
    note = f'<p id="step">The server stands after chapter {step} of {LAST}: {SEEN[step]}.</p>'
    return PAGE.read_bytes().replace(b'<p id="step" hidden></p>', note.encode())


@contextlib.contextmanager
def running(
    handler: type[WebSocketHandler] | None = None, *, step: int | None = None, **options: Any
) -> Iterator[WebSocketServer[Any]]:
    """Run a server on a free port of loopback, in the background, and stop it in the end.

    For notebooks and tests.

    Args:
        handler: As for :class:`~wsref.network.server.WebSocketServer`; None: as ``python -m wsref``.
        step: As it stood after this chapter; None: finished.
        options: As for :class:`~wsref.network.server.WebSocketServer`.
    Yields:
        The server; its ``url`` is ``ws://127.0.0.1:port``.

    >>> with running(step=4) as server:
    ...     server.url.startswith("ws://127.0.0.1:")
    True
    """
    if step is not None:
        options.setdefault("page", page_at(step))
        handler = handler_at(step, handler)
    with WebSocketServer(("127.0.0.1", 0), handler or Demo, **options) as server:
        yield server.start()
