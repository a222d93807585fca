"""Chapter 6: the page's wire panel: the bytes of a connection, as the server sees them.

Browsers hide heads, frames, pings and pongs from scripts.  So the page asks the server.  It makes
up a token and opens ``/wire?of=TOKEN`` (a *subscription*).  When the server has answered
``{"subscribed": true}``, the page opens the connections to watch, with ``?wire=TOKEN``.  The server
sends the trace of those connections to the subscription, in JSON.

A trace shows everything that passes, so it must not reach another user.  The token is 128 random
bits, known only to the page that made it; and by default the panel exists on loopback only.  What
the panel shows may end in a screenshot: there the token is shortened.

A server without a panel runs no code for it.  With a panel, a connection that no page watches
pays for one more call in each direction: it echoes 91 pipelined messages of 32 bytes where a server
without a panel echoes 100 (medians of 5 rounds in one run).
"""

from __future__ import annotations

import json
import re
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from ..network.tap import Tap, Tapped
from ..protocol.errors import ConnectionClosed
from ..protocol.frames import Frame, build_frame
from ..protocol.http11 import Headers, Request
from ..protocol.spec import CloseCode, Opcode
from ..wire.description import Description
from ..wire.trace import Record, TraceTap
from .demo import Demo

#: The form of a token.
TOKEN = re.compile(r"[0-9a-f]{32}")

#: How many of the last heads and frames a page can ask for as a picture.
MAX_KEPT = 500

#: Bytes.  The token is in the request line; the search for it ends here.
MAX_REQUEST_LINE = 8 * 1024


class Subscription:
    """A page's ``/wire`` connection, and the descriptions that were sent to it."""

    def __init__(self, handler: WireDemo, token: str) -> None:
        self._handler = handler
        self._token = token
        self._lock = threading.Lock()
        self._kept: deque[tuple[int, Description]] = deque(maxlen=MAX_KEPT)
        self._count = 0
        self._connections = 0

    def begin(self, path: str) -> Callable[[Record], None]:
        """Return the function for the records of a new connection that the page watches.

        Args:
            path: The path of the connection's request.
        """
        with self._lock:
            self._connections += 1
            connection = {"connection": self._connections, "path": path}
        return lambda record: self._send_record(connection, record)

    def _send_record(self, connection: dict[str, object], record: Record) -> None:
        line = {**connection, "at": round(record.at * 1000), "sent": record.sent}  # milliseconds, as in JavaScript
        for description in record.descriptions:
            shown = without_token(description, self._token)
            with self._lock:
                number, self._count = self._count, self._count + 1
                self._kept.append((number, shown))
            about = {"what": shown.one_line, "wrong": bool(shown.problems), "data": is_data(shown)}
            self._send({**line, "number": number, **about})
        if record.is_end:
            self._send({**line, "what": "the end of TCP"})

    def send_picture(self, number: int) -> None:
        """Send the picture of the head or frame of this number; ``"svg": null`` if it is no longer kept."""
        with self._lock:
            found = [description for kept, description in self._kept if kept == number]
        picture: dict[str, object] = {"svg": None}
        if found:
            picture = {"svg": found[0].svg(), "narrow": found[0].svg(narrow=True), "text": found[0].text()}
        self._send({"number": number, **picture})

    def _send(self, message: dict[str, object]) -> None:
        frame = build_frame(Frame(Opcode.TEXT, json.dumps(message).encode()))
        try:
            self._handler._send_nowait(frame)
        except ConnectionClosed:
            pass  # the page closed it, or does not read


def without_token(description: Description, token: str) -> Description:
    r"""Return the description with the token shortened in all texts that show it.

    >>> from ..wire.describe import explain
    >>> (request,) = explain(b"GET /echo?wire=0123456789abcdef0123456789abcdef HTTP/1.1\r\nHost: a\r\n\r\n")
    >>> without_token(request, "0123456789abcdef" * 2).one_line
    'GET /echo?wire=0123… HTTP/1.1'
    """
    if token.encode() not in description.raw:
        return description
    short = f"{token[:4]}…"
    fields = tuple(replace(field, value=field.value.replace(token, short)) for field in description.fields)
    problems = tuple(replace(problem, text=problem.text.replace(token, short)) for problem in description.problems)
    one_line, title = (text.replace(token, short) for text in (description.one_line, description.title))
    return replace(description, fields=fields, problems=problems, one_line=one_line, title=title)


def is_data(description: Description) -> bool:
    """Whether it is a frame of a message, and not a control frame or a head."""
    opcode = next((field.value for field in description.fields if field.name == "opcode"), "")
    return opcode in (Opcode.TEXT.name, Opcode.BINARY.name, Opcode.CONTINUATION.name)


class Subscriptions:
    """The subscriptions of one server, by token; its ``tap`` attaches new connections to them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_token: dict[str, Subscription] = {}

    def tap(self, transport: Tapped, peer: str) -> Tap:
        """The ``tap`` of a :class:`~wsref.network.server.WebSocketServer`."""
        return RequestLineTap(self, transport, peer)

    def find(self, token: str) -> Subscription | None:
        """Return the subscription with this token, or None."""
        with self._lock:
            return self._by_token.get(token)

    def add(self, token: str, subscription: Subscription) -> bool:
        """Add a subscription; False: another page has this token."""
        with self._lock:
            return self._by_token.setdefault(token, subscription) is subscription

    def remove(self, token: str) -> None:
        """Remove a subscription whose page closed."""
        with self._lock:
            self._by_token.pop(token, None)


class RequestLineTap:
    """A tap that reads the request line, then replaces itself by a :class:`~wsref.wire.trace.TraceTap` or by None."""

    def __init__(self, subscriptions: Subscriptions, transport: Tapped, peer: str) -> None:
        self._subscriptions = subscriptions
        self._transport = transport
        self._peer = peer
        self._head = b""

    def __call__(self, sent: bool, data: bytes) -> None:
        """Collect bytes until the request line is complete."""
        self._head += data
        line, newline, _ = self._head.partition(b"\r\n")
        if not newline and not sent and data and len(self._head) < MAX_REQUEST_LINE:
            return
        self._transport.tap = None
        if not sent and newline and line.count(b" ") == 2:
            request = Request("GET", line.split(b" ")[1].decode("latin-1"), (1, 1), Headers())
            subscription = self._subscriptions.find(request.query.get("wire", [""])[0])
            if subscription is not None:
                self._transport.tap = tap = TraceTap(self._peer, subscription.begin(request.path))
                tap(False, self._head)


class WireDemo(Demo):
    """The chat and the echo, and at ``/wire`` the trace of the page's other connection."""

    paths = (*Demo.paths, "/wire")
    subscriptions = Subscriptions()  # each server has its own: with_wire

    _is_wire = False
    _subscription: Subscription | None = None
    _token = ""

    def on_open(self) -> None:
        """Add a subscription, if this is ``/wire``."""
        super().on_open()
        self._is_wire = self.request.path == "/wire"
        if self._is_wire:
            self._token = self.request.query.get("of", [""])[0]
            subscription = Subscription(self, self._token)
            if TOKEN.fullmatch(self._token) and self.subscriptions.add(self._token, subscription):
                self._subscription = subscription
                self.send(json.dumps({"subscribed": True}))
            else:
                self.close(CloseCode.POLICY_VIOLATION, "of=TOKEN must be 32 digits of 0-9a-f, and new")

    def on_message(self, message: str | bytes) -> None:
        """Answer a page that asks for a picture, by its number."""
        if not self._is_wire:
            super().on_message(message)
        elif self._subscription is not None and isinstance(message, str) and re.fullmatch("[0-9]{1,9}", message):
            self._subscription.send_picture(int(message))

    def on_close(self, code: int, reason: str) -> None:
        """Remove the subscription."""
        super().on_close(code, reason)
        if self._subscription is not None:
            self.subscriptions.remove(self._token)


def page_with_wire(page: bytes) -> bytes:
    """Return the client page with its wire panel switched on."""
    return page.replace(b'<meta name="wire" content="off">', b'<meta name="wire" content="on">')


def with_wire() -> tuple[type[WireDemo], Subscriptions]:
    """Return the demo with a wire panel, for one server: its handler, and the subscriptions with their ``tap``."""
    subscriptions = Subscriptions()
    handler = type("WireDemo", (WireDemo,), {"subscriptions": subscriptions, "__doc__": WireDemo.__doc__})
    return handler, subscriptions
