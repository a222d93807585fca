"""Chapter 6: the page's wire panel: a connection as the server saw it.

Browsers hide from scripts what passes: heads, frames, pings and pongs.  So the page asks
the server.  It makes up a token, opens ``/wire?of=TOKEN``, and then the connection that it
wants to see, with ``?wire=TOKEN``: what passes there is told here, in JSON, live.

A trace is everybody's data.  The token is 128 random bits, and known to the page alone
that made it; and the panel is there on loopback only, unless asked for.

A server without it runs the very code it would run if there were none.  Where it is on
and nobody watches, a connection pays for one more call each way: of 32-byte messages sent
in a pipeline it echoes 91 where a server without it echoes 100 (medians of 5 rounds in
one run).
"""

from __future__ import annotations

import json
import re
import threading
from collections import deque
from urllib.parse import parse_qs, urlsplit

from ..network.transport import Tap, Tapped
from ..protocol.errors import ConnectionClosed
from ..protocol.frames import Frame, build_frame
from ..protocol.spec import CloseCode, Opcode
from ..wire.picture import Description
from ..wire.trace import Seen, Watcher
from .demo import Demo

#: What a page may call its connections.
TOKEN = re.compile(r"[0-9a-f]{32}")

#: How many of the last things that passed can be asked for as a picture.
KEPT = 500

#: Bytes.  The token stands in the request line; it is not looked for any further.
MOST_OF_HEAD = 8 * 1024


class Watch:
    """A page that watches: its ``/wire`` connection, and what it has been told."""

    def __init__(self, handler: WireDemo) -> None:
        self._handler = handler
        self._lock = threading.Lock()
        self._kept: deque[tuple[int, Description]] = deque(maxlen=KEPT)
        self._count = 0

    def tell(self, seen: Seen) -> None:
        """Something has passed on a connection that this page watches."""
        at = round(seen.at * 1000)  # milliseconds, as JavaScript counts
        if not seen.data and not seen.sent:
            self._post({"at": at, "sent": False, "what": "the end of TCP"})
        for description in seen.descriptions:
            with self._lock:
                number, self._count = self._count, self._count + 1
                self._kept.append((number, description))
            what, wrong = description.one_line, bool(description.problems)
            self._post({"number": number, "at": at, "sent": seen.sent, "what": what, "wrong": wrong})

    def show(self, number: int) -> None:
        """The page asks for a picture."""
        with self._lock:
            found = [description for at, description in self._kept if at == number]
        if found:
            self._post({"number": number, "svg": found[0].svg(), "text": found[0].text()})

    def _post(self, words: dict[str, object]) -> None:
        wire = build_frame(Frame(Opcode.TEXT, json.dumps(words).encode()))
        try:
            self._handler.post(wire)
        except ConnectionClosed:
            pass  # the page has gone, or does not read


class Watches:
    """Who watches what, on one server: a tap for each connection, off unless it is asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_token: dict[str, Watch] = {}

    def tap(self, transport: Tapped, peer: str) -> Tap:
        """For :class:`~wsref.network.server.WebSocketServer`: what is told of a new connection's bytes."""
        return Opening(self, transport, peer)

    def find(self, token: str) -> Watch | None:
        """The page that has made this token."""
        with self._lock:
            return self._by_token.get(token)

    def begin(self, token: str, watch: Watch) -> bool:
        """A page begins to watch; False if another has this token."""
        with self._lock:
            return self._by_token.setdefault(token, watch) is watch

    def end(self, token: str) -> None:
        """A page has gone."""
        with self._lock:
            self._by_token.pop(token, None)


class Opening:
    """A tap until the request line is here, and tells whether somebody wants to watch."""

    def __init__(self, watches: Watches, transport: Tapped, peer: str) -> None:
        self._watches = watches
        self._transport = transport
        self._peer = peer
        self._head = b""

    def __call__(self, sent: bool, data: bytes) -> None:
        """Bytes passed."""
        self._head += data
        line, newline, _ = self._head.partition(b"\r\n")
        if not newline and not sent and data and len(self._head) < MOST_OF_HEAD:
            return
        self._transport.tap = None
        if not sent and newline and line.count(b" ") == 2:
            query = parse_qs(urlsplit(line.split(b" ")[1].decode("latin-1")).query)
            watch = self._watches.find(query.get("wire", [""])[0])
            if watch is not None:
                self._transport.tap = watcher = Watcher(self._peer, watch.tell)
                watcher(False, self._head)


class WireDemo(Demo):
    """The chat, the echo, and at ``/wire`` what passes on the page's other connection."""

    paths = (*Demo.paths, "/wire")
    watches = Watches()  # of the server that this class was made for, see with_wire

    _watches = False
    _watch: Watch | None = None
    _token = ""

    def on_open(self) -> None:
        """A page begins to watch."""
        super().on_open()
        self._watches = self.request.path == "/wire"
        if self._watches:
            self._token = self.request.query.get("of", [""])[0]
            watch = Watch(self)
            if TOKEN.fullmatch(self._token) and self.watches.begin(self._token, watch):
                self._watch = watch
            else:
                self.close(CloseCode.POLICY_VIOLATION, "of=TOKEN must be 32 digits of 0-9a-f, and new")

    def on_message(self, message: str | bytes) -> None:
        """A page asks for a picture, by its number."""
        if not self._watches:
            super().on_message(message)
        elif self._watch is not None and isinstance(message, str) and re.fullmatch("[0-9]{1,9}", message):
            self._watch.show(int(message))

    def on_close(self, code: int, reason: str) -> None:
        """A page has gone."""
        super().on_close(code, reason)
        if self._watch is not None:
            self.watches.end(self._token)


def page_with_wire(page: bytes) -> bytes:
    """The client page, its wire panel switched on."""
    return page.replace(b'<meta name="wire" content="off">', b'<meta name="wire" content="on">')


def with_wire() -> tuple[type[WireDemo], Watches]:
    """The demo with a wire panel, for one server: its handler, and whose ``tap`` the server needs."""
    watches = Watches()
    return type("WireDemo", (WireDemo,), {"watches": watches, "__doc__": WireDemo.__doc__}), watches
