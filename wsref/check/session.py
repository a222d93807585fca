"""The server under test, as one case sees it: TCP connections that record their bytes.

Every wait has a fixed deadline.  A server that hangs costs a case one timeout, even if the server
sends Pings or single bytes all the time.  A large message may take one more timeout for each MiB.
A :class:`Wire` never raises an error of the network.  The end of TCP is ``None``, by FIN or by RST,
as in the RFC.  Silence raises :class:`~wsref.check.verdict.Failed`: where the protocol requires an
answer, silence is always wrong.
"""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import re
import selectors
import socket
import ssl
import struct
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import AnyStr, ClassVar
from urllib.parse import urlsplit

from .codec import (
    BINARY,
    CLOSE,
    MASKING_KEY,
    PING,
    PONG,
    TEXT,
    Answer,
    Frame,
    declared_length,
    frame,
    frames_in,
    header_size,
    hex_and_text,
    parse_answer,
    parse_frame,
    upgrade,
)
from .verdict import Failed, Skipped

#: Bytes.  The largest answer or message that the grader keeps; no case needs so much.
MAX_RECEIVED = 64 * 1024 * 1024

#: Faults of the server's frames that the grader keeps of one connection, the first ones.
MAX_FAULTS = 1000

#: Bytes.  The largest body of a response that the grader keeps.
MAX_BODY = 8 * 1024 * 1024

#: Accepted interim responses (such as 103 Early Hints) before the final one; more than that is a fault.
MAX_INTERIM_RESPONSES = 8

#: Bytes that a report keeps of one direction of one connection.
MAX_RECORDED = 64 * 1024

#: Bytes.  A server may limit the size of messages (RFC 6455 §10.4), which names no minimum: a small device may
#: have 4 KiB.  Below this size a refusal is taken for a length that the server misread.
MIN_MESSAGE_LIMIT = 1024

#: Bytes of frames that the grader sends at once, and whose payloads it remembers.
MAX_NOTED = 4096

#: Seconds after a first packet, so that the network does not join it with the next one.
FIRST_PACKET_ALONE = 0.1

#: Seconds after a refusal of an ordinary handshake, before the next one: a server that limits the number of clients
#: may still count those that have just left.
PAUSES = (0.1, 0.4)

#: Characters of a secret that no report may show, also if the rest is cut off.
MIN_BEGINNING = 8

#: The payload of a Ping that tests whether the server has failed the connection.
LIVENESS_PAYLOAD = b"still there?"


@dataclass(frozen=True)
class Target:
    """The address of the server.

    Attributes:
        host: Name or address, without brackets; with the zone of a link-local address.
        authority: The value of Host: ``127.0.0.1:8765``.
        path: The request target, query included.
        secure: Whether to use TLS (wss).
        verify: Whether to verify the server's certificate.
        cafile: A PEM file with additional trusted certificates; None: no file.
        headers: Header lines to add to each request that does not set the header itself: (name, value).
        secrets: Values of these headers that no report may show.
    """

    host: str
    port: int
    authority: str
    path: str = "/"
    secure: bool = False
    verify: bool = True
    cafile: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    secrets: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        """``ws://host:port/path``."""
        return f"{'wss' if self.secure else 'ws'}://{self.authority}{self.path}"

    @property
    def is_loopback(self) -> bool:
        """Whether the server is on this machine."""
        if self.host.lower() == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def with_headers(head: bytes, headers: Sequence[tuple[str, str]]) -> bytes:
    """Return the head of a request, without its empty line, with more header lines.

    A header that the request sets keeps its value: it belongs to the case.  Two exceptions make Origin consistent:
    the page of the URL's own host is the caller's page, and Sec-WebSocket-Origin is the Origin of version 8.
    """
    names = {line.partition(b":")[0].strip().lower().decode("latin-1") for line in head.split(b"\r\n")[1:]}
    if "sec-websocket-origin" in names:
        names.add("origin")
    for name, value in headers:
        line = f"{name}: {value}".encode()
        if name.lower() == "origin":
            head = re.sub(rb"\bOrigin: http://\{host\}(?=\r\n|$)", line.replace(b"\\", rb"\\"), head)
        if name.lower() not in names:
            head += b"\r\n" + line
    return head


def without_secrets(recorded: list[tuple[bool, bytes]], secrets: Sequence[str]) -> list[tuple[bool, bytes]]:
    """Return the chunks of a connection with ``***`` for each secret; neighbouring sent chunks become one."""
    if not secrets:
        return recorded
    merged: list[tuple[bool, bytes]] = []
    for sent, data in recorded:
        if merged and merged[-1][0] == sent and data and merged[-1][1]:
            data = merged.pop()[1] + data
        merged.append((sent, data))
    for secret in sorted(secrets, key=len, reverse=True):
        merged = [(sent, _without(secret.encode(), data, b"***")) for sent, data in merged]
    return merged


def hide(text: str, secrets: Sequence[str]) -> str:
    r"""Return a text with ``***`` for each secret: an answer may repeat what a header said.

    A text quotes received bytes with backslashes before some of them.

    >>> hide(r"TEXT of 9 bytes: b'a\\b: c3po'", [r"a\b: c3po"]), hide("CLOSE 1008 b'no: 0123456789'", ["0123456789abc"])
    ("TEXT of 9 bytes: b'***'", "CLOSE 1008 b'no: ***'")
    """
    for secret in sorted(secrets, key=len, reverse=True):
        escaped = secret.replace("\\", "\\\\")
        for form in (escaped.replace("'", "\\'"), escaped, secret):
            text = _without(form, text, "***")
    return text


def _without(secret: AnyStr, text: AnyStr, stars: AnyStr) -> AnyStr:
    """Return a text with stars for a secret, also where only its beginning fits, as in the reason of a Close."""
    text = text.replace(secret, stars)
    if secret[:MIN_BEGINNING] in text:
        for size in range(len(secret) - 1, MIN_BEGINNING - 1, -1):
            text = text.replace(secret[:size], stars)
    return text


def parse_target(url: str, *, verify: bool = True, cafile: str | None = None) -> Target:
    """Parse a ws or wss URL.  RFC 6455 §3.

    Raises:
        ValueError: The URL is not valid.

    >>> parse_target("ws://localhost:8765/echo?a=1").path
    '/echo?a=1'
    >>> parse_target("http://localhost/")
    Traceback (most recent call last):
        ...
    ValueError: a URL to check begins with ws:// or wss://, not 'http://localhost/'; did you mean ws://localhost/?
    """
    if re.search(r"[^!-~]", url):
        raise ValueError(f"a URL contains only printable ASCII without blanks, not {url!a}")
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError(f"brackets in a URL hold an IPv6 address: {url!a}") from None
    if parts.username is not None:  # it may come with a password: do not repeat it
        raise ValueError("the grader does not send a user and password; leave them out of the URL")
    if parts.scheme not in ("ws", "wss"):
        meant = re.sub(r"\Ahttp|\A(?!.*://)", lambda found: "ws" if found[0] else "ws://", url, count=1)
        raise ValueError(f"a URL to check begins with ws:// or wss://, not {url!a}; did you mean {meant}?")
    if not parts.hostname:
        raise ValueError(f"a URL to check has a host, as in ws://127.0.0.1:8765/, not {url!a}")
    if parts.fragment or url.endswith("#"):
        raise ValueError(f"a WebSocket URL has no fragment (RFC 6455 §3): {url!a}")
    try:
        port = parts.port
    except ValueError:
        raise ValueError(f"the port in {url!a} is not a number from 0 to 65535") from None
    default = {"ws": 80, "wss": 443}[parts.scheme]
    host = name = parts.hostname
    if ":" in host:
        host = host.replace("%25", "%", 1)  # RFC 6874 §2: a zone follows %25; §3: or a bare %
        name = f"[{host.partition('%')[0]}]"  # §4: the zone is of no use to the server
    authority = name if port in (None, default) else f"{name}:{port}"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(host, default if port is None else port, authority, path, parts.scheme == "wss", verify, cafile)


class Deadline:
    """The end of a wait.

    Args:
        seconds: The duration of the wait, from now on.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = time.monotonic() + seconds

    def remaining(self) -> float:
        """Return the remaining seconds; 0: the deadline has passed."""
        return max(0.0, self._end - time.monotonic())

    def __str__(self) -> str:
        return f"{round(self._seconds, 2):g} s"


class Ended(Failed):
    """TCP ended before the expected message."""


class NoConnection(Failed):
    """The server accepts no TCP connection."""


class Silence(Failed):
    """The server did not answer before the deadline.  It may be slow only because other cases run beside this one."""


@dataclass
class Peer:
    """The server during one case.

    Args:
        timeout: Seconds to wait for each answer.
        baseline_status: The status of an ordinary handshake; 0: unknown.
        echo: Whether the server echoes messages.
        unasked: Whether the server sends messages that answer nothing: a greeting, the time, another client's words.
        concurrent: Whether the server serves a second client before the first one leaves.
        turns_away: Whether it refuses the second client, so that each connection comes after a pause, in which it can
            notice that the one before has left.
    """

    target: Target
    timeout: float = 3.0
    baseline_status: int = 0
    echo: bool = True
    unasked: bool = False
    concurrent: bool = True
    turns_away: bool = False
    wires: list[Wire] = field(default_factory=list)

    def connect(self) -> Wire:
        """Open a TCP connection, with TLS for a wss URL.

        Raises:
            Failed: The connection failed.
        """
        time.sleep(PAUSES[0] * self.turns_away)
        try:
            sock = socket.create_connection((self.target.host, self.target.port), timeout=self.timeout)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.target.secure:
                sock = self._with_tls(sock)
        except ssl.SSLCertVerificationError as error:
            what = error.verify_message.rstrip(".")
            raise Failed(f"its certificate is not trusted: {what}", "a trusted certificate") from None
        except UnicodeError:
            raise Failed(f"{self.target.host!a} is not a valid host name") from None
        except OSError as error:
            raise NoConnection(f"no connection to {self.target.authority}: {error.strerror or error}") from None
        wire = Wire(sock, self.target, self.timeout, unasked=not self.echo or self.unasked)
        self.wires.append(wire)
        return wire

    def _with_tls(self, sock: socket.socket) -> socket.socket:
        try:
            context = _tls_context(self.target.verify, self.target.cafile)
            return context.wrap_socket(sock, server_hostname=self.target.host.partition("%")[0])
        except BaseException:
            sock.close()
            raise

    def open(self, request: bytes | None = None) -> Wire:
        """Open a connection and complete the opening handshake.

        Args:
            request: The handshake; None: the ordinary one.
        Raises:
            Failed: The answer is not 101.
        """
        for pause in (*PAUSES, 0.0):
            wire = self.connect()
            wire.send(request or upgrade())
            answer = wire.answer()
            if answer is not None and answer.status == 101:
                wire.opening = answer
                return wire
            if answer is None or request is not None or self.baseline_status != 101:
                break
            wire.close()
            time.sleep(pause)
        raise Failed(f"the handshake was answered with {answer or 'the end of TCP'}", "101 Switching Protocols")

    def close(self) -> None:
        """Close all connections."""
        for wire in self.wires:
            wire.close()


@functools.cache
def _tls_context(verify: bool, cafile: str | None) -> ssl.SSLContext:
    """Return the client's side of TLS.  To read the system's certificates takes some 30 ms of CPU."""
    context = ssl.create_default_context()
    if cafile:
        context.load_verify_locations(cafile)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class Wire:
    """One TCP connection to the server.

    It has more attributes than most classes here: the protocol's state, and the record for the report.

    Attributes:
        timeout: Seconds to wait for each answer.
        recorded: The chunks that passed, in order: whether the grader sent the chunk, and its bytes.
        faults: The rules that the server's frames broke so far, each with its section; about MAX_FAULTS at most.
        opening: The answer to the handshake; None: no handshake is complete.
        unasked: Whether to pass over messages that answer nothing.  A server that does not echo, greets, or
            sends the time may send any message at any time.
        passed_over: The number of such messages so far.
        was_reset: Whether the server ended TCP with RST.
        IS_SERVER: Whether the grader is the server, and the peer a client: see :mod:`~wsref.check.clients`.
    """

    IS_SERVER: ClassVar[bool] = False
    MAX_RECEIVED: ClassVar[int] = MAX_RECEIVED

    def __init__(self, sock: socket.socket, target: Target, timeout: float, *, unasked: bool = False) -> None:
        self._socket = sock
        self._target = target
        self.timeout = timeout
        self.unasked = unasked
        self._buffer = bytearray()
        self._ended = False
        self.recorded: list[tuple[bool, bytes]] = []
        self._recorded = {True: 0, False: 0}
        self.faults: list[str] = []
        self.opening: Answer | None = None
        self.passed_over = 0
        self._first: Frame | None = None  # of the incomplete message
        self._message = bytearray()  # the payloads of its frames so far
        self._got_close = False
        self.was_reset = False
        self._beside = ""  # in words, the last frame that answers nothing
        self._ping_payloads: set[bytes] = set()  # of the Pings and Pongs from the grader
        self._header, self._missing = b"", 0  # of the frame in progress: its incomplete header, its missing bytes
        self._due_pongs: list[bytes] = []  # to send after this frame
        self._payloads: set[bytes] = set()  # of its short frames, and of its messages in fragments

    # -- Sending ------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Send all bytes, and replace ``{host}``, ``{path}`` and ``{scheme}`` in the head of a request.

        If the server has ended TCP, this method returns: only a reader sees the server's last words.
        It also reads during the wait.  Otherwise a server that echoes a message before its end
        would wait for the grader, and the grader for the server.

        Bytes that the server accepts extend the deadline; bytes that it sends do not.

        Raises:
            Failed: The server accepted no byte for one timeout.
        """
        data = self._filled_in(data)
        self._record(True, data)
        self._note_control(data)
        self._note_frame_in_progress(data)
        rest = memoryview(data)
        self._socket.setblocking(False)
        deadline = self.deadline_for()
        while rest:
            try:
                rest = rest[self._socket.send(rest[: 1 << 18]) :]
                deadline = self.deadline_for()
            except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                if not self._wait(deadline, writing=True):
                    raise Failed(
                        f"it accepted no more bytes for {self.timeout:g} s, with {len(rest)} bytes unsent"
                    ) from None
            except OSError:  # EPIPE, ECONNRESET
                self.was_reset = True
                return
        if self._due_pongs and not self._is_in_frame:
            pongs, self._due_pongs = b"".join(self._due_pongs), []
            self.send(pongs)

    @property
    def _is_in_frame(self) -> bool:
        """Whether the grader has sent only a part of a frame: a Pong would become a part of it."""
        return bool(self._header or self._missing)

    def _note_frame_in_progress(self, data: bytes) -> None:
        """Follow the frames that the grader sends, each by its header."""
        at = 0 if self.opening is not None else len(data)
        while at < len(data):
            if self._missing:
                step = min(self._missing, len(data) - at)
                self._missing -= step
                at += step
                continue
            size = header_size(self._header)
            piece = data[at : at + size - len(self._header)]
            self._header += piece
            at += len(piece)
            if len(self._header) == header_size(self._header):
                self._missing, self._header = declared_length(self._header), b""

    def control(self, opcode: int, payload: bytes) -> bytes:
        """Return a valid control frame of the grader: with a mask, unless the grader is the server."""
        return frame(opcode, payload, key=None if self.IS_SERVER else MASKING_KEY)

    def _filled_in(self, data: bytes) -> bytes:
        head, blank, rest = data.partition(b"\r\n\r\n")
        if not re.match(rb"[\s]*[A-Za-z]", head):  # frames, not a request
            return data
        if blank and re.match(rb"\s*\S+ +\S+ HTTP/1\.", head):
            head = with_headers(head, self._target.headers)
        head = head.replace(b"{host}", self._target.authority.encode()).replace(b"{path}", self._target.path.encode())
        head = head.replace(b"{scheme}", b"https" if self._target.secure else b"http")
        return head + blank + rest

    def send_unread(self, data: bytes, timeout: float = 0.25) -> int:
        """Send until the server accepts no more bytes, without reading.

        Args:
            timeout: Seconds without progress after which to stop.
        Returns:
            The number of bytes sent.
        """
        sent = 0
        self._socket.setblocking(False)
        with contextlib.suppress(BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError, OSError):
            while sent < len(data) and _wait(self._socket, selectors.EVENT_WRITE, timeout):
                sent += self._socket.send(memoryview(data)[sent : sent + (1 << 16)])
        self._record(True, data[:sent])
        return sent

    def send_in_packets(self, data: bytes, size: int = 1) -> None:
        """Send the bytes in packets of ``size`` bytes, with a pause in which the server can read the first."""
        data = self._filled_in(data)
        self._note_control(data)
        self.send(data[:size])
        time.sleep(FIRST_PACKET_ALONE)
        for start in range(size, len(data), size):
            self.send(data[start : start + size])

    def send_in_two(self, data: bytes, last: int) -> None:
        """Send two packets, the second of ``last`` bytes, with a pause in which the server can read the first."""
        data = self._filled_in(data)
        self.send(data[:-last])
        time.sleep(FIRST_PACKET_ALONE)
        self.send(data[-last:])

    def send_fin(self) -> None:
        """Send FIN.  The server's bytes remain readable, also with TLS."""
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._socket, socket.SHUT_WR)  # SSLSocket.shutdown would end decryption

    def reset(self) -> None:
        """End TCP with RST."""
        with contextlib.suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()
        self._ended = True

    def close(self) -> None:
        """Close the socket."""
        self._ended = True
        self._socket.close()

    # -- Receiving ------------------------------------------------------------------

    def _record(self, sent: bool, data: bytes) -> None:
        room = MAX_RECORDED - self._recorded[sent]
        if not data or room > 0:
            self.recorded.append((sent, data[:room] if data else data))
            self._recorded[sent] += len(data)

    def deadline_for(self, size: int = 0) -> Deadline:
        """Return the deadline of a wait that begins now: one timeout, and one more for each MiB.

        Args:
            size: Bytes of the expected answer.  A slow machine needs time for a large answer.
        """
        return Deadline(self.timeout * (1 + size / (1 << 20)))

    def _wait(self, deadline: Deadline, *, writing: bool = False) -> bool:
        """Wait until bytes arrived, or with ``writing`` until bytes can be sent; False: the deadline passed."""
        wanted = 0 if self._ended else selectors.EVENT_READ  # after its FIN the socket is always readable
        wanted |= selectors.EVENT_WRITE if writing else 0
        while left := deadline.remaining():
            happened = _wait(self._socket, wanted, left)
            if not happened:
                return False
            if happened & selectors.EVENT_WRITE:
                return True
            before = len(self._buffer)
            if self._read_available() and (len(self._buffer) > before or self._ended):
                return True
        return False

    def _read_available(self) -> bool:
        """Read without waiting; False: nothing is readable."""
        if self._ended:
            return True
        try:
            data = self._socket.recv(1 << 18)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):  # the last one for a TLS KeyUpdate
            return False
        except OSError as error:
            data, self.was_reset = b"", self.was_reset or isinstance(error, ConnectionResetError)
        self._record(False, data)
        self._ended = not data
        self._buffer += data
        self._check_size(self._buffer)
        return True

    def _check_size(self, received: bytearray) -> None:
        if len(received) > self.MAX_RECEIVED:
            raise Failed(f"it sent more than {self.MAX_RECEIVED >> 20} MiB that the grader did not request")

    def _receive_more(self, deadline: Deadline) -> bool:
        """Wait for more bytes.

        Returns:
            False at the end of TCP.
        Raises:
            Failed: The deadline passed.
        """
        if self._ended:
            return False
        before = len(self._buffer)
        self._socket.setblocking(False)
        if not deadline.remaining() or not (self._read_available() or self._wait(deadline)):
            what = " that is complete" if self._buffer else self._beside
            raise Silence(f"nothing for {deadline}{what}")
        return len(self._buffer) > before

    def ended(self, seconds: float | None = None) -> bool:
        """Return whether the server ends TCP in time, after any bytes."""
        deadline = self.deadline_for() if seconds is None else Deadline(seconds)
        try:
            while not self._ended:
                self._receive_more(deadline)
        except Failed:
            return False
        return True

    @property
    def cut_off(self) -> bool:
        """Whether the server ended TCP on an open WebSocket without a Close."""
        return self.opening is not None and self._ended and not self._got_close and (False, b"") in self.recorded

    def received(self) -> bytes:
        """Return the recorded bytes of the server."""
        return b"".join(data for sent, data in self.recorded if not sent)

    def has_received_a_message(self) -> bool:
        """Return whether a data frame has begun to arrive, without waiting; read all frames before it."""
        self._socket.setblocking(False)
        if len(self._buffer) < 1 << 16:  # bytes; an endless control frame is no message
            self._read_available()
        while (parsed := parse_frame(self._buffer)) is not None and parsed[0].opcode >= 8:
            del self._buffer[: parsed[1]]
        return bool(self._buffer) and self._buffer[0] & 15 < 8

    def rest(self, seconds: float) -> bytes:
        """Wait for the end of TCP, at most for these seconds, and return the unused bytes."""
        self.ended(seconds)
        return bytes(self._buffer)

    def answer(self, *, head_only: bool = False) -> Answer | None:
        """Return the next final response, with its body; None: TCP ended before its first byte.

        Interim responses are ignored, except 101, which ends HTTP on this connection.  RFC 9110 §15.2: "A client
        MUST be able to parse one or more 1xx responses received prior to a final response, even if the client
        does not expect one."

        Args:
            head_only: The response answers HEAD, so it has no body.
        Raises:
            Failed: No complete response arrived in time.
        """
        deadline = self.deadline_for()
        for _ in range(MAX_INTERIM_RESPONSES + 1):
            if (head := self._head(deadline)) is None:
                return None
            answer = parse_answer(head)
            if not 100 <= answer.status < 200 or answer.status == 101:
                break
        else:
            raise Failed(f"{MAX_INTERIM_RESPONSES + 1} interim responses, the last one {answer}", "a final response")
        if head_only or answer.status < 200 or answer.status in (204, 304):
            return answer
        return Answer(answer.status, answer.headers, answer.faults, head, self._body(answer))

    def _head(self, deadline: Deadline) -> bytes | None:
        """Return the next head, up to and including its blank line; None: TCP ended before its first byte."""
        while not (found := re.search(rb"\r?\n\r?\n", self._buffer)):
            if not self._receive_more(deadline):
                if self._buffer:
                    raise Failed(f"TCP ended inside the head of the answer, after {bytes(self._buffer[:80])!r}")
                return None
            if len(self._buffer) > 1 << 20:
                raise Failed("the head of the answer has more than 1 MiB")
        head = bytes(self._buffer[: found.end()])
        del self._buffer[: found.end()]
        return head

    def _body(self, answer: Answer) -> bytes:
        """Return the body as the head declares it, or the part that arrived: until the deadline, and MAX_BODY bytes."""
        lengths, chunked, at = answer.lines("Content-Length"), bool(answer.tokens("Transfer-Encoding")), 0
        size = int(lengths[0]) if lengths and re.fullmatch("[0-9]{1,9}", lengths[0]) and not chunked else MAX_BODY
        whole = self.deadline_for(min(size, MAX_BODY))
        while len(self._buffer) < min(size, MAX_BODY):
            if chunked:
                at, last = _walk_chunks(self._buffer, at)
                if last:
                    size = at
                    break
            try:
                # A server that declares a large body and sends nothing gets one timeout, not one for each MiB.
                if not self._receive_more(Deadline(min(self.timeout, whole.remaining()))):
                    break
            except Failed:
                break
        size = min(size, MAX_BODY)
        body = bytes(self._buffer[:size])
        del self._buffer[:size]
        return body

    def frame(self, seconds: float | None = None) -> Frame | None:
        """Return the next frame; None: TCP ended.

        Args:
            seconds: Time to wait; None: the timeout.
        Raises:
            Failed: No complete frame arrived in time, or TCP ended inside a frame.
        """
        return self._frame(self.deadline_for() if seconds is None else Deadline(seconds))

    def _frame(self, deadline: Deadline) -> Frame | None:
        while (parsed := parse_frame(self._buffer, from_client=self.IS_SERVER)) is None:
            if not self._receive_more(deadline):
                if self._buffer:
                    raise Failed(f"TCP ended inside a frame, after {hex_and_text(bytes(self._buffer[:40]))}")
                return None
        received, size = parsed
        del self._buffer[:size]
        self._got_close |= received.opcode == CLOSE
        self._note_faults(*received.faults)
        return received

    def _note_faults(self, *faults: str) -> None:
        if len(self.faults) < MAX_FAULTS:
            self.faults += faults

    def frames(self, deadline: Deadline | None = None) -> Iterator[Frame]:
        """Yield all frames until the end of TCP.

        This method answers the server's Pings and does not yield them.  It also drops unsolicited
        Pongs without other faults.  §5.5.3: "A Pong frame MAY be sent unsolicited."

        Args:
            deadline: The deadline for all frames together; None: one timeout.
        Raises:
            Failed: TCP did not end in time, or ended inside a frame.
        """
        deadline = deadline or self.deadline_for()
        while (received := self._frame(deadline)) is not None:
            if received.opcode == PING:
                pong = self.control(PONG, received.payload)
                if self._is_in_frame:
                    self._due_pongs.append(pong)
                else:
                    self.send(pong)
                if not deadline.remaining():  # the buffer may hold a million more
                    raise Silence(f"nothing for {deadline} but Pings")
            elif received.opcode != PONG or received.payload in self._ping_payloads or received.faults:
                yield received
            else:
                self._beside = f" but {received}, which answers no Ping"

    def _note_control(self, data: bytes) -> None:
        """Remember payloads: Pongs with those of Pings and Pongs are not unsolicited, and texts may be echoes."""
        joined = b""
        is_short = len(data) <= MAX_NOTED
        for sent in frames_in(data):
            if is_short:
                joined += sent.payload
                self._payloads |= {sent.payload, joined, begin_of_inflated(sent.payload), begin_of_inflated(joined)}
            if sent.opcode in (PING, PONG):
                self._ping_payloads.add(sent.payload)

    def message(self, deadline: Deadline | None = None) -> Frame:
        """Return the next whole message, as one frame, or the next Pong or Close.

        Args:
            deadline: None: one timeout.
        Raises:
            Ended: TCP ended.
            Failed: No whole message arrived in time.
        """
        for received in self.frames(deadline):
            if received.opcode >= 8:
                return received
            if self._first and received.opcode:
                self._note_faults("a new message begins inside a message (RFC 6455 §5.4)")
            self._first = first = self._first or received
            self._message += received.payload
            self._check_size(self._message)
            if received.fin:
                payload, self._first, self._message = bytes(self._message), None, bytearray()
                return Frame(first.opcode, payload, True, first.rsv)
        raise Ended("it ended TCP")

    # -- Expectations ------------------------------------------------------------

    def expect(self, opcode: int, payload: bytes) -> None:
        """Check that the next message is this one; on a server that sends by itself, that this one arrives.

        Raises:
            Failed: Another message, a Close or nothing arrived before the deadline.
            Skipped: The server may refuse this message: see :meth:`message_for` and :meth:`compare`.
        """
        wanted = Frame(opcode, payload)
        deadline = self.deadline_for(len(payload))
        while self.answers_nothing(received := self.message_for(wanted, deadline), wanted):
            pass
        self.compare(received, wanted)

    def answers_nothing(self, received: Frame, *wanted: Frame) -> bool:
        """Return whether this is a message that the server may have sent by itself, and count it."""
        if not self.unasked or received.opcode >= 8:
            return False
        if any((received.opcode, received.payload) == (one.opcode, one.payload) for one in wanted):
            return False
        self.passed_over += 1
        self._beside = " but messages of its own"
        return True

    def message_for(self, wanted: Frame, deadline: Deadline | None = None) -> Frame:
        """Return the next message, which may differ from the expected one.

        Args:
            deadline: None: one timeout, and one more for each MiB of the expected message.
        Raises:
            Failed: No message arrived in time.
            Skipped: TCP ended, and the expected message is large.
        """
        try:
            return self.message(deadline or self.deadline_for(len(wanted.payload)))
        except Failed as failure:
            if isinstance(failure, Ended):
                _may_be_too_long(wanted, f"{failure.got}; without a limit, this is a fault")
            failure.expected = str(wanted)
            raise

    def compare(self, received: Frame, wanted: Frame) -> None:
        """Check the opcode and payload of a received message.

        Raises:
            Failed: They differ from the expected ones.
            Skipped: The server legally refused a large message (Close 1008, 1009) or a binary one (Close 1003).
        """
        if received.opcode == CLOSE and received.code in (1008, 1009):
            _may_be_too_long(wanted, f"Close {received.code}")
        if received.opcode == CLOSE and received.code == 1003 and wanted.opcode == BINARY:
            raise Skipped("it refuses binary messages (Close 1003), which is legal")
        if (received.opcode, received.payload) != (wanted.opcode, wanted.payload):
            raise Failed(f"{received}{_where_they_differ(received, wanted)}", str(wanted))

    def expect_failure(self, alive: bytes | None = None, before: tuple[tuple[int, bytes], ...] = ()) -> Frame | None:
        """Check that the server fails the connection.  RFC 6455 §7.1.7.

        The server may send a Close and end TCP, or only end TCP: it "SHOULD send a Close frame".

        Args:
            alive: The bytes that test whether the server still reads; None: a Ping.
            before: The valid messages, or pieces of one, that the invalid bytes follow: their echo is legal.
        Returns:
            The Close; None: TCP ended without one.
        Raises:
            Failed: The server answered, or did nothing.
        """
        self.send(self.control(PING, LIVENESS_PAYLOAD) if alive is None else alive)
        answered = False
        said: Frame | None = None  # a server may send the reason as a text before its Close
        try:
            for received in self.frames():
                if received.opcode == CLOSE:
                    return received
                is_pong = received.opcode == PONG and alive is None and received.payload == LIVENESS_PAYLOAD
                if is_pong and not answered and not said:
                    answered = True  # a library may answer before its application decodes the text and finds the fault
                elif (received.opcode, received.payload) in before or self.answers_nothing(received):
                    continue  # a server that does not fail the connection sends no Close in time
                elif received.opcode >= 8 or received.fin:  # unless it echoes fragments before it sees the fault
                    if said or not self._may_be_a_reason(received):
                        raise Failed(
                            f"the connection stays open: it sent {said or received}", "Close, or the end of TCP"
                        )
                    said = received
        except Failed as failure:
            if said and isinstance(failure, Silence):
                raise Failed(f"the connection stays open: it sent {said}", "Close, or the end of TCP") from None
            if failure.got.startswith("TCP ended inside a frame"):
                return None  # it failed the connection while it echoed a fragment
            if isinstance(failure, Silence):
                how = (
                    "the connection stays open: it answered a Ping, then"
                    if answered
                    else "neither a Close nor the end of TCP:"
                )
                raise Silence(f"{how} {failure.got}", "Close, or the end of TCP") from None
            raise
        return None

    def _may_be_a_reason(self, received: Frame) -> bool:
        """Return whether a frame may say in words why the server closes.

        It may not be an echo of what the grader sent, not even of a part of it: a broken server may cut or spoil
        a message.
        """
        words = begin_of_inflated(received.payload) if received.rsv & 4 else received.payload
        if received.opcode != TEXT or any(words in sent for sent in self._payloads):
            return False
        return all(letter.isprintable() or letter.isspace() for letter in words.decode(errors="replace"))


def begin_of_inflated(payload: bytes) -> bytes:
    """Return the first bytes of a compressed message, or of a part of it; b"": it is not compressed.

    >>> begin_of_inflated(bytes.fromhex("f2 48 cd c9")), begin_of_inflated(b"Hello")
    (b'Hel', b'')
    """
    with contextlib.suppress(zlib.error):
        return zlib.decompressobj(-15).decompress(payload, MAX_NOTED)
    return b""


#: ``epoll`` would need another file for each wait; ``select`` is all that Windows has.
_Selector = getattr(selectors, "PollSelector", selectors.SelectSelector)


def _wait(sock: socket.socket, events: int, timeout: float) -> int:
    """Wait until one of the events of :mod:`selectors`, and return those that happened; 0: the time is over."""
    with _Selector() as selector:
        selector.register(sock, events)
        return sum(happened for _, happened in selector.select(timeout))


def _walk_chunks(data: bytearray, at: int) -> tuple[int, bool]:
    r"""Pass over the whole chunks from ``at`` on, each once.  RFC 9112 §7.1.

    Returns:
        The position after the last whole chunk, and whether that was the end of the body, its trailers included.

    >>> _walk_chunks(bytearray(b"2\r\nab\r\n1;x=y\r\nc"), 0)
    (7, False)
    >>> _walk_chunks(bytearray(b"2\r\nab\r\n0\r\nA: b\r\n\r\ntail"), 0)
    (18, True)
    >>> _walk_chunks(bytearray(b"0000000002\r\n\r\n\r\n0000000000\r\n\r\ntail"), 0)
    (30, True)
    """
    while (line := re.compile(rb"(?=[0-9A-Fa-f])0*+([0-9A-Fa-f]{0,8}+)[^\n]*+\n").match(data, at)) is not None:
        size = int(line[1] or b"0", 16)
        if not size:
            end = re.compile(rb"(?:[^\r\n][^\n]*\n)*\r?\n").match(data, line.end())
            return (end.end(), True) if end else (at, False)
        if len(data) < line.end() + size + 2:
            break
        at = line.end() + size + 2
    return at, False


def _may_be_too_long(wanted: Frame, how: str) -> None:
    """Skip the case if the server may refuse a message of this size.

    RFC 6455 §10.4: implementations that have limits "MUST protect themselves against exceeding those limits".
    A server may send Close 1009 or the general 1008 (§7.4.1), or end TCP without a Close (§7.1.7).

    Raises:
        Skipped: The message is larger than :data:`MIN_MESSAGE_LIMIT`.
    """
    if (size := len(wanted.payload)) > MIN_MESSAGE_LIMIT:
        raise Skipped(f"it does not accept messages of {size} bytes (RFC 6455 §10.4): {how}")


def _where_they_differ(received: Frame, wanted: Frame) -> str:
    """Return a note on the first differing byte of long payloads; "" for short ones."""
    if received.opcode != wanted.opcode or min(len(received.payload), len(wanted.payload)) <= 40:
        return ""
    pairs = zip(received.payload, wanted.payload, strict=False)
    at = next((i for i, (ours, theirs) in enumerate(pairs) if ours != theirs), None)
    return "" if at is None else f" (differs from byte {at} on)"
