"""The client under test, as one case sees it: one connection that it opened, and its request.

The waits, the record and the checks of messages are those of :class:`wsref.check.session.Wire`.
Here the grader is the server: its frames have no mask, and the frames of the client need one.
"""

from __future__ import annotations

import contextlib
import re
import socket
from collections import deque
from dataclasses import dataclass, field
from typing import ClassVar
from urllib.parse import parse_qsl, unquote, urlsplit

from ..codec import (
    CLOSE,
    PING,
    PONG,
    TCHAR,
    TEXT,
    Frame,
    accept_for,
    first_faults,
    frame,
    frames_in,
    parse_answer,
    printable,
)
from ..session import Deadline, Ended, Silence, Target, Wire
from ..verdict import Failed, Skipped

#: Bytes of a request's head that the grader reads.
MAX_HEAD = 64 * 1024

#: The codes of a Close that reports no error.
NORMAL = (None, 1000, 1001)

#: Seconds.  After the verdict the grader ends the connection in order, and waits so long for the client's end.
FAREWELL = 1.0


def as_server(opcode: int, payload: bytes = b"", **how: int | None) -> bytes:
    """Build one frame as a server sends it.

    >>> as_server(TEXT, b"Hello").hex(" ")  # RFC 6455 §5.7
    '81 05 48 65 6c 6c 6f'
    """
    return frame(opcode, payload, key=None, **how)  # type: ignore[arg-type]


# -- The request ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Request:
    """A request, read leniently, with its faults.

    Attributes:
        headers: ``(name, value)`` pairs in order, names as received, values without surrounding blanks.
        faults: The rules of HTTP that the head breaks, each with its section.
        head: All bytes up to and including the blank line.
    """

    method: str
    target: str
    version: str
    headers: tuple[tuple[str, str], ...]
    faults: tuple[str, ...]
    head: bytes

    def lines(self, name: str) -> list[str]:
        """Return the values of all headers with this name."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def tokens(self, name: str) -> list[str]:
        """Return the elements of a list header, with their case, from all its lines."""
        return [word.strip() for value in self.lines(name) for word in value.split(",") if word.strip()]

    @property
    def path(self) -> str:
        """The decoded path of the target."""
        return unquote(urlsplit(self._origin_form).path)

    @property
    def query(self) -> dict[str, str]:
        """The decoded query of the target."""
        return dict(parse_qsl(urlsplit(self._origin_form).query, keep_blank_values=True))

    @property
    def _origin_form(self) -> str:
        """The target without scheme and authority, which the absolute form has."""
        return "/" + re.sub("^[A-Za-z]+://[^/?]*", "", self.target).lstrip("/")

    @property
    def is_upgrade(self) -> bool:
        """Whether the request tries to open a WebSocket, well or badly."""
        names = " ".join(name.lower() for name, _ in self.headers)
        return "sec-websocket" in names or "websocket" in " ".join(self.lines("Upgrade")).lower()


def parse_request(head: bytes) -> Request:
    r"""Parse the head of a request, up to and including its blank line.

    >>> request = parse_request(b"GET /next?agent=a%20b HTTP/1.1\r\nHost : x\n\r\n")
    >>> request.path, request.query, request.lines("host")
    ('/next', {'agent': 'a b'}, ['x'])
    >>> for fault in request.faults: print(fault)
    a line ends in a bare LF, not in CRLF (RFC 9112 §2.2)
    the header line b'Host : x' is not NAME: VALUE (RFC 9112 §5.1)
    """
    faults = []
    if head.count(b"\n") != head.count(b"\r\n"):
        faults.append("a line ends in a bare LF, not in CRLF (RFC 9112 §2.2)")
    first, *lines = head.replace(b"\r\n", b"\n").rstrip(b"\n").split(b"\n")
    if not re.fullmatch(TCHAR + rb" [!-~]+ HTTP/[0-9]\.[0-9]", first):
        faults.append(f"the request line {first[:80]!r} is not METHOD TARGET HTTP/1.1 (RFC 9112 §3)")
    method, target, version = [*first.decode("latin-1").split(), "", "", ""][:3]
    headers = []
    for line in lines:
        if not re.fullmatch(TCHAR + rb":[\t -~\x80-\xff]*", line):
            faults.append(f"the header line {line[:80]!r} is not NAME: VALUE (RFC 9112 §5.1)")
        name, _, value = line.decode("latin-1").partition(":")
        headers.append((name.strip(), value.strip(" \t")))
    return Request(method, target, version, tuple(headers), first_faults(faults), head)


# -- The connection --------------------------------------------------------------------------


class ClientWire(Wire):
    """One TCP connection from the client.

    Attributes:
        masking_keys: Of the frames so far, at most 4096.
        may_close: Whether the client may close at any time, as it did before.
        close_code: Of the client's Close; None: no Close, or no code.
    """

    IS_SERVER = True
    MAX_RECEIVED: ClassVar[int] = 8 * 1024 * 1024

    def __init__(self, sock: socket.socket, target: Target, timeout: float) -> None:
        super().__init__(sock, target, timeout)
        self.masking_keys: deque[bytes] = deque(maxlen=4096)
        self.may_close = False
        self.close_code: int | None = None
        self._sent_close = False

    def _filled_in(self, data: bytes) -> bytes:
        return data  # only requests have placeholders

    def request(self, deadline: Deadline) -> Request | None:
        """Return the request; None: TCP ended, the deadline passed, or the head is too long."""
        with contextlib.suppress(Failed):
            while not (found := re.search(rb"\r?\n\r?\n", self._buffer)):
                if len(self._buffer) > MAX_HEAD or not self._receive_more(deadline):
                    return None
            head = bytes(self._buffer[: found.end()])
            del self._buffer[: found.end()]
            return parse_request(head)
        return None

    def _frame(self, deadline: Deadline) -> Frame | None:
        received = super()._frame(deadline)
        if received is not None:
            self.masking_keys.append(received.key)
            if received.opcode == CLOSE:
                self.close_code = received.code
        return received

    def _note_control(self, data: bytes) -> None:
        if data.startswith(b"HTTP/"):
            head, _, data = data.partition(b"\r\n\r\n")
            data = data if head[9:12] == b"101" else b""  # after another status there are no frames
        super()._note_control(data)
        if self.opening is not None:
            self._sent_close |= any(sent.opcode == CLOSE for sent in frames_in(data))

    def awaits_pong(self, payload: bytes) -> None:
        """Note that a Pong with this payload is no unsolicited one, for a Ping that is sent in pieces."""
        self._ping_payloads.add(payload)

    def skip_if_its_own(self, received: Frame) -> None:
        """Skip the case if this is a Close that answers nothing, from a client that closes by itself.

        Raises:
            Skipped: It is.
        """
        if self.may_close and received.opcode == CLOSE and received.code in NORMAL:
            raise Skipped(f"the client closes connections by itself ({received})")

    @property
    def port(self) -> int:
        """The port of the grader."""
        return self._target.port

    @property
    def is_secure(self) -> bool:
        """Whether the connection uses TLS."""
        return self._target.secure

    def is_quiet(self, seconds: float) -> bool:
        """Return whether no byte arrives for some time."""
        with contextlib.suppress(Silence):
            self._receive_more(Deadline(seconds))
        return not self._buffer

    @property
    def is_over(self) -> bool:
        """Whether the client ended TCP."""
        return self._ended

    @property
    def has_sent_close(self) -> bool:
        """Whether the client sent a Close."""
        return self._got_close

    def finish(self) -> None:
        """End the connection in order: a Close if the WebSocket is open, then the end of TCP."""
        with contextlib.suppress(Failed, OSError):
            if self.opening is not None and not self._ended and not self._sent_close:
                self.send(as_server(CLOSE, b"\x03\xe8"))
            self.send_fin()
            self.ended(FAREWELL)
        self.close()


@dataclass
class Agent:
    """What the grader knows of one client beyond the present connection.

    Attributes:
        echo: Whether it echoes messages; None: not known yet.
        unasked: Whether it sends messages that answer nothing, such as a greeting.
        closes: Whether it closes connections by itself, before the second message.
        keys: Its last values of Sec-WebSocket-Key.
        first_masks: The masking keys of the first frames of its last connections.
        offers_deflate: Whether a request offered permessage-deflate; None: no request yet.
    """

    name: str = ""
    echo: bool | None = None
    unasked: bool = False
    closes: bool = False
    keys: deque[str] = field(default_factory=lambda: deque(maxlen=1024))
    first_masks: deque[bytes] = field(default_factory=lambda: deque(maxlen=1024))
    offers_deflate: bool | None = None


@dataclass
class Client:
    """The client during one case.

    Attributes:
        wire: The connection.
        request: Its opening handshake.
        timeout: Seconds to wait for each answer.
    """

    wire: ClientWire
    request: Request
    agent: Agent
    timeout: float = 3.0

    @property
    def key(self) -> str:
        """The client's Sec-WebSocket-Key; "": none."""
        return next(iter(self.request.lines("Sec-WebSocket-Key")), "")

    @property
    def accept(self) -> str:
        """The right value of Sec-WebSocket-Accept."""
        return accept_for(self.key)

    @property
    def offered(self) -> list[str]:
        """The offered extensions, each with its parameters."""
        return self.request.tokens("Sec-WebSocket-Extensions")

    def response(
        self,
        *more: str,
        status_line: str = "HTTP/1.1 101 Switching Protocols",
        without: tuple[str, ...] = (),
        **instead: str,
    ) -> bytes:
        """Return a response to the handshake, which is valid unless the arguments make it invalid.

        It agrees on the first subprotocol that the client offers: some clients demand one of theirs.

        Args:
            more: Header lines to add at the end.
            without: Names of headers to leave out.
            instead: Values to replace: ``Upgrade="h2c"``.
        """
        values = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": self.accept}
        if offered := self.request.tokens("Sec-WebSocket-Protocol"):
            values["Sec-WebSocket-Protocol"] = printable(offered[0])
        values |= {name.replace("_", "-"): value for name, value in instead.items()}
        lines = [f"{name}: {value}" for name, value in values.items() if name not in without]
        return "\r\n".join([status_line, *lines, *more, "", ""]).encode("latin-1", "replace")

    def opened(self, head: bytes) -> ClientWire:
        """Note that the grader sent this 101: the connection is a WebSocket now."""
        self.wire.opening = parse_answer(head)
        self.wire.unasked = self.agent.echo is False or self.agent.unasked
        self.wire.may_close = self.agent.closes
        return self.wire

    def open(self, *more: str) -> ClientWire:
        """Complete the opening handshake.

        Args:
            more: Header lines to add.
        """
        head = self.response(*more)
        self.wire.send(head)
        return self.opened(head)

    def works(self) -> None:
        """Check that the connection is open: an echo client echoes a message.

        Another client answers a Ping, and so does one with an extension, which may compress its echo.

        Raises:
            Failed: It is not.
            Skipped: The client closed it by itself.
        """
        extended = self.wire.opening is not None and self.wire.opening.lines("Sec-WebSocket-Extensions")
        echo = self.agent.echo is not False and not extended
        payload = b"Hello"
        wanted = Frame(TEXT if echo else PONG, payload)
        self.wire.send(as_server(TEXT if echo else PING, payload))
        try:
            while (received := self.wire.message()).opcode != CLOSE:
                if (received.opcode, received.payload) == (wanted.opcode, payload):
                    return
                if echo and not self.wire.answers_nothing(received, wanted):
                    raise Failed(str(received), "the message back")
        except Ended:
            raise Failed("it ended TCP", "an open connection") from None
        if received.code not in NORMAL:
            raise Failed(str(received), "an open connection")
        raise Skipped(f"the client closes connections by itself ({received})")

    def must_refuse(self, *, may_wait: bool = False) -> None:
        """Check that the client does not open a WebSocket after this response.

        A client may end TCP.  It may also use the connection for another request.

        Args:
            may_wait: Whether the client may keep TCP open: after an answer in HTTP.
        Raises:
            Failed: It did open one.
        """
        wire, wanted = self.wire, "the end of TCP" + ", or another request" * may_wait
        wire.send(as_server(PING, b"open?") + as_server(TEXT, b"open?"))
        if may_wait:
            wire.send_fin()
        try:
            received = wire.frame()
        except Silence:
            if may_wait:
                return
            raise Silence("the client neither ended TCP nor sent a frame", wanted) from None
        except Failed:  # TCP ended inside a frame
            received = None
        if received is None or wire.received()[len(self.request.head) :].startswith(b"GET "):
            return
        if received.opcode == CLOSE and received.code not in NORMAL:
            return
        raise Failed(f"it opens the WebSocket: it sent {received}", wanted)
