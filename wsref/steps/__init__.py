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
import threading
from collections.abc import Iterator
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from ..apps.demo import Demo, Echo
from ..network.server import PAGE, READ_SIZE, WebSocketHandler, WebSocketServer
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


class BeforeChapter2(WebSocketHandler):
    """Nobody asks whether it is an upgrade."""

    def wants_upgrade(self, request: Request) -> bool:
        """To an HTTP server every request is a plain one."""
        return False


class BeforeChapter3(WebSocketHandler):
    """Nobody asks whether it is a good one."""

    def validate(self, request: Request) -> None:
        """Whatever comes is good enough."""


class BeforeChapter4(WebSocketHandler):
    """An upgrade is seen, and nothing can be done about it."""

    def complete_upgrade(self, request: Request) -> None:
        """Not yet."""
        raise HTTPError(501, "an upgrade; chapter 4 opens it", "RFC 9110 §15.6.2")


class BeforeChapter5(WebSocketHandler):
    """Who is not here to upgrade is a visitor like any other."""

    def fallback(self, request: Request) -> None:
        """200, as from any HTTP server: the page, or a word of text."""
        html = bool(self.server.page) and handshake.prefers_html(request)
        body = self.server.page if html else b"Hello from an HTTP server.\n"
        kind = "text/html" if html else "text/plain"
        self.log(logging.INFO, f"200: {request.method}")
        with contextlib.suppress(ConnectionClosed):
            response = handshake.answer(HTTPStatus.OK, body, f"{kind}; charset=utf-8")
            self.respond(self._without_body_for_head(response))


class BeforeChapter6(WebSocketHandler):
    """The connection speaks WebSocket, and we do not."""

    def converse(self) -> None:
        """Hang up."""


class BeforeChapter7(WebSocketHandler):
    """Frames are all there is: no messages, no Pong for a Ping, no check of text."""

    def exchange(self, deliver: bool) -> Closed:
        """Echo each data frame by itself, and ignore the others, until a Close or the end."""
        data = self._early
        error = None
        try:
            while True:
                while (parsed := parse_frame(data, masked=True, max_payload=self.limits.max_message_size)) is not None:
                    frame, end = parsed
                    data = data[end:]
                    if frame.opcode is Opcode.CLOSE:
                        return self._hung_up(None)
                    if not frame.opcode & CONTROL:
                        self._transport.send(build_frame(Frame(frame.opcode, frame.payload, frame.fin)))
                piece = self.wait_for_bytes()
                if not piece:
                    return self._hung_up(None)
                data += piece
        except ProtocolError as broken:
            error = broken
        return self._hung_up(error)

    def _hung_up(self, error: ProtocolError | None) -> Closed:
        return Closed(int(CloseCode.ABNORMAL), "", None, False, error is not None, error, b"")


class BeforeChapter8(WebSocketHandler):
    """Who wants to end hangs up: nobody says Close."""

    def take_leave(self, closed: Closed) -> None:
        """The reply to a Close, or the reason for an error, stays unsaid."""
        super().take_leave(replace(closed, reply=b"", sent=None, clean=False))

    def close(self, code: int | None = CloseCode.NORMAL, reason: str = "") -> None:
        """End TCP."""
        self.cut("closing comes in chapter 8")

    def go_away(self) -> None:
        """End TCP."""
        self.cut("the server is going down")


class BeforeChapter9(WebSocketHandler):
    """Messages are sent as they are."""

    def choose_extensions(self, request: Request) -> str | None:
        """None."""
        return None


class BeforeChapter10(WebSocketHandler):
    """One application, and no thought of clients that vanish."""

    def check_path(self, request: Request) -> None:
        """Every path is as good as any other."""

    def wait_for_bytes(self) -> bytes:
        """Wait; nobody asks whether there is still somebody to wait for."""
        while (data := self._transport.receive(READ_SIZE, self.limits.ping_interval)) is None:
            pass
        return data


class BeforeChapter11(WebSocketHandler):
    """Nobody asks from where a page comes."""

    def admit(self, request: Request) -> None:
        """Come in, all of you."""
        self.check_path(request)


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
def running(handler: type[WebSocketHandler] | None = None, *, step: int | None = None, **options: Any) -> Iterator[str]:
    """Run a server on a free port of loopback, in the background, and stop it in the end.

    For notebooks and tests.

    Args:
        handler: As for :class:`~wsref.network.server.WebSocketServer`; None: as ``python -m wsref``.
        step: As it stood after this chapter; None: finished.
        options: As for :class:`~wsref.network.server.WebSocketServer`.
    Yields:
        Its URL, ``ws://127.0.0.1:port``.

    >>> with running(step=4) as url:
    ...     url.startswith("ws://127.0.0.1:")
    True
    """
    if step is not None:
        options.setdefault("page", page_at(step))
        handler = handler_at(step, handler)
    with WebSocketServer(("127.0.0.1", 0), handler or Demo, **options) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), name="wsref server")
        thread.start()
        try:
            yield server.url
        finally:
            server.shutdown()
            thread.join()
