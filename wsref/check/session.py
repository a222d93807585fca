"""The server under test, as one case sees it: TCP connections that remember what passed.

Every wait has a deadline, which what comes in between does not move: a server that hangs
costs a case its timeout and no more, though it sends Pings meanwhile, or one byte after
the other.  A large message may take one timeout more for each MiB.  A :class:`Line` never
raises what the network did: the end of TCP is ``None``, by FIN or by RST, as it is for the
RFC; only silence is an exception, :class:`~wsref.check.verdict.Failed`, because no rule of
this protocol is kept by saying nothing where something is due.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
import select
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from .codec import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    Answer,
    Frame,
    frame,
    parse_answer,
    parse_frame,
    upgrade,
)
from .verdict import Failed, Skipped

#: Bytes of one answer or one message that are kept at most; no case needs as many.
MOST = 64 * 1024 * 1024

#: Interim responses (103 Early Hints, say) before the final one; who sends more has lost its way.
MOST_INTERIM = 8

#: Bytes of one direction of one connection that a report keeps.
RECORDED = 64 * 1024

#: Bytes.  A server may have a limit (RFC 6455 §10.4), and say so with Close 1009; but not one as small as this.
ANY_SERVER_TAKES = 8 * 1024

#: What a Ping says that is sent to see whether the server has failed the connection.
STILL_THERE = b"still there?"


@dataclass(frozen=True)
class Target:
    """Where the server is.

    Attributes:
        host: Name or address, without brackets.
        authority: What goes into Host: ``127.0.0.1:8765``.
        path: The request target, query included.
        secure: wss.
        verify: Whether its certificate must be one that is trusted.
        cafile: Whom to trust besides, a PEM file; None: nobody.
    """

    host: str
    port: int
    authority: str
    path: str = "/"
    secure: bool = False
    verify: bool = True
    cafile: str | None = None

    @property
    def url(self) -> str:
        """``ws://host:port/path``."""
        return f"{'wss' if self.secure else 'ws'}://{self.authority}{self.path}"

    @property
    def is_loopback(self) -> bool:
        """Whether it is on this machine."""
        if self.host.lower() == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def parse_target(url: str, *, verify: bool = True, cafile: str | None = None) -> Target:
    """A ws or wss URL to a target.  RFC 6455 §3.

    Raises:
        ValueError: it is none.

    >>> parse_target("ws://localhost:8765/echo?a=1").path
    '/echo?a=1'
    >>> parse_target("http://localhost/")
    Traceback (most recent call last):
        ...
    ValueError: a URL to check begins with ws:// or wss://, not 'http://localhost/'
    """
    if re.search(r"[^!-~]", url):
        raise ValueError(f"a URL is printable ASCII without blanks, not {url!a}")
    parts = urlsplit(url)
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise ValueError(f"a URL to check begins with ws:// or wss://, not {url!a}")
    if parts.fragment or url.endswith("#"):
        raise ValueError(f"a WebSocket's URL has no fragment (RFC 6455 §3): {url!a}")
    if parts.username is not None:
        raise ValueError(f"a user and password in the URL are not sent; leave them out: {url!a}")
    try:
        port = parts.port
    except ValueError:
        raise ValueError(f"the port in {url!a} is not a number from 0 to 65535") from None
    default = {"ws": 80, "wss": 443}[parts.scheme]
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    authority = name if port in (None, default) else f"{name}:{port}"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(
        parts.hostname, default if port is None else port, authority, path, parts.scheme == "wss", verify, cafile
    )


class Deadline:
    """Until when one thing is waited for.

    Args:
        seconds: From now on.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds; 0: it is over."""
        return max(0.0, self._end - time.monotonic())

    def __str__(self) -> str:
        return f"{round(self._seconds, 2):g} s"


class Ended(Failed):
    """The end of TCP, where a message was due."""


@dataclass
class Peer:
    """The server, for the time of one case.

    Args:
        timeout: Seconds to wait for whatever is due.
        usual: The status that answers an ordinary handshake; 0: not known.
        echo: Whether the server sends back what it gets.
        many: Whether it serves a second client while it has a first.
    """

    target: Target
    timeout: float = 3.0
    usual: int = 0
    echo: bool = True
    many: bool = True
    lines: list[Line] = field(default_factory=list)

    def dial(self) -> Line:
        """A new TCP connection (and TLS, if the URL says wss).

        Raises:
            Failed: it cannot be had.
        """
        try:
            sock = socket.create_connection((self.target.host, self.target.port), timeout=self.timeout)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.target.secure:
                sock = self._with_tls(sock)
        except ssl.SSLCertVerificationError as error:
            raise Failed(f"its certificate is not trusted: {error.verify_message}", "a trusted one") from None
        except UnicodeError:
            raise Failed(f"{self.target.host!a} is not the name of a host") from None
        except OSError as error:
            raise Failed(f"no connection to {self.target.authority}: {error.strerror or error}") from None
        line = Line(sock, self.target, self.timeout)
        self.lines.append(line)
        return line

    def _with_tls(self, sock: socket.socket) -> socket.socket:
        context = ssl.create_default_context()
        if self.target.cafile:
            context.load_verify_locations(self.target.cafile)
        if not self.target.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        try:
            return context.wrap_socket(sock, server_hostname=self.target.host)
        except BaseException:
            sock.close()
            raise

    def open(self, request: bytes | None = None) -> Line:
        """A connection whose handshake is done.

        Args:
            request: The handshake; None: the usual one.
        Raises:
            Failed: the answer is not 101.
        """
        line = self.dial()
        line.send(request or upgrade())
        answer = line.answer()
        if answer is None or answer.status != 101:
            raise Failed(f"the handshake was answered with {answer or 'the end of TCP'}", "101 Switching Protocols")
        line.opening = answer
        return line

    def hang_up(self) -> None:
        """Close what is open."""
        for line in self.lines:
            line.hang_up()


class Line:
    """One TCP connection to the server.

    Attributes:
        wire: What passed, in order: whether we sent it, and which bytes.
        faults: What the server's frames did wrong so far, each with its section.
        opening: The answer to the handshake, once there is one.
    """

    def __init__(self, sock: socket.socket, target: Target, timeout: float) -> None:
        self._socket = sock
        self._target = target
        self.timeout = timeout
        self._buffer = bytearray()
        self._ended = False
        self.wire: list[tuple[bool, bytes]] = []
        self._recorded = {True: 0, False: 0}
        self.faults: list[str] = []
        self.opening: Answer | None = None
        self._pieces: list[Frame] = []  # of the message that is coming in
        self._asked: set[bytes] = set()  # payloads of the Pings and Pongs that we have sent

    # -- Sending ------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Send all of it; ``{host}``, ``{path}`` and ``{scheme}`` in a request's head are filled in.

        If the server has ended TCP meanwhile, that is found by reading, not here: it may
        have said why.  It reads, too, while it waits to write: a server that echoes what it
        has not read to the end would wait for us for ever.

        Only bytes that it takes give it more time, not those that it sends.

        Raises:
            Failed: the server took nothing for as long as the timeout.
        """
        data = self._filled_in(data)
        self._record(True, data)
        self._note_control(data)
        rest = memoryview(data)
        self._socket.setblocking(False)
        deadline = self.within()
        while rest:
            try:
                rest = rest[self._socket.send(rest[: 1 << 18]) :]
                deadline = self.within()
            except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                if not self._wait(deadline, writing=True):
                    raise Failed(f"it took no more bytes for {self.timeout:g} s, {len(rest)} were left") from None
            except OSError:
                return  # EPIPE, ECONNRESET

    def _filled_in(self, data: bytes) -> bytes:
        head, blank, rest = data.partition(b"\r\n\r\n")
        if not re.match(rb"[\s]*[A-Za-z]", head):  # these are frames
            return data
        head = head.replace(b"{host}", self._target.authority.encode()).replace(b"{path}", self._target.path.encode())
        head = head.replace(b"{scheme}", b"https" if self._target.secure else b"http")
        return head + blank + rest

    def stuff(self, data: bytes, patience: float = 0.25) -> int:
        """Send as much as goes while nothing is read; how many bytes went.

        Args:
            patience: Seconds without progress after which no more is tried.
        """
        sent, ready = 0, select.poll()
        ready.register(self._socket, select.POLLOUT)
        self._socket.setblocking(False)
        with contextlib.suppress(BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError, OSError):
            while sent < len(data) and ready.poll(patience * 1000):
                sent += self._socket.send(memoryview(data)[sent : sent + (1 << 16)])
        self._record(True, data[:sent])
        return sent

    def dribble(self, data: bytes, size: int = 1) -> None:
        """Send it in packets of ``size`` bytes."""
        data = self._filled_in(data)
        self._note_control(data)
        for start in range(0, len(data), size):
            self.send(data[start : start + size])

    def send_in_two(self, data: bytes, last: int) -> None:
        """Send it in two packets, the second of ``last`` bytes, with a moment between them to read the first."""
        data = self._filled_in(data)
        self.send(data[:-last])
        time.sleep(0.05)
        self.send(data[-last:])

    def finish(self) -> None:
        """FIN: nothing more will come from here.  What the server sends can still be read, in TLS too."""
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._socket, socket.SHUT_WR)  # SSLSocket's own would give up its TLS state

    def reset(self) -> None:
        """RST: gone, without a word."""
        with contextlib.suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()
        self._ended = True

    def hang_up(self) -> None:
        """Close the socket."""
        self._ended = True
        self._socket.close()

    # -- Receiving ------------------------------------------------------------------

    def _record(self, sent: bool, data: bytes) -> None:
        room = RECORDED - self._recorded[sent]
        if not data or room > 0:
            self.wire.append((sent, data[:room] if data else data))
            self._recorded[sent] += len(data)

    def within(self, size: int = 0) -> Deadline:
        """The deadline of a wait that begins now: one timeout, and one more for each MiB of what is due.

        Args:
            size: Bytes that are due, where these are many: a slow machine that is at work on them has not failed.
        """
        return Deadline(self.timeout * (1 + size / (1 << 20)))

    def _wait(self, deadline: Deadline, *, writing: bool = False) -> bool:
        """Until it can be written to or, having read what was there, read from; False: not in time."""
        ready = select.poll()
        wanted = 0 if self._ended else select.POLLIN  # after its FIN there is always something to read: nothing
        ready.register(self._socket, wanted | (select.POLLOUT if writing else 0))
        while left := deadline.left():
            happened = ready.poll(left * 1000)
            if not happened:
                return False
            if happened[0][1] & select.POLLOUT:
                return True
            before = len(self._buffer)
            if self._receive() and (len(self._buffer) > before or self._ended):
                return True
        return False

    def _receive(self) -> bool:
        """Read what is there without waiting; False if nothing is."""
        if self._ended:
            return True
        try:
            data = self._socket.recv(1 << 18)
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        except OSError:
            data = b""
        self._record(False, data)
        self._ended = not data
        self._buffer += data
        if len(self._buffer) > MOST:
            raise Failed(f"it sent more than {MOST >> 20} MiB that nobody asked for")
        return True

    def _more(self, deadline: Deadline) -> bool:
        """Wait for more bytes; False at the end of TCP.

        Raises:
            Failed: nothing came in time, or the time is up.
        """
        if self._ended:
            return False
        before = len(self._buffer)
        self._socket.setblocking(False)
        if not deadline.left() or not (self._receive() or self._wait(deadline)):
            raise Failed(f"nothing for {deadline}{' that is whole' if self._buffer else ''}")
        return len(self._buffer) > before

    def ended(self, seconds: float | None = None) -> bool:
        """Whether the server ends TCP in time, whatever it sends before."""
        deadline = self.within() if seconds is None else Deadline(seconds)
        try:
            while not self._ended:
                self._more(deadline)
        except Failed:
            return False
        return True

    def rest(self, seconds: float) -> bytes:
        """What has come and was not taken, after waiting for the end of TCP for so long at most."""
        self.ended(seconds)
        return bytes(self._buffer)

    def answer(self, *, head_only: bool = False) -> Answer | None:
        """The next final response, with its body; None: TCP ended before a byte of it.

        Interim ones are passed over, but for 101, which is the end of HTTP here.  RFC 9110 §15.2: "A client
        MUST be able to parse one or more 1xx responses received prior to a final response, even if the client
        does not expect one."

        Args:
            head_only: It answers HEAD: no body follows, whatever it declares.
        Raises:
            Failed: none came in time, or it was cut off.
        """
        deadline = self.within()
        for _ in range(MOST_INTERIM + 1):
            if (head := self._head(deadline)) is None:
                return None
            answer = parse_answer(head)
            if not 100 <= answer.status < 200 or answer.status == 101:
                break
        else:
            raise Failed(f"{MOST_INTERIM + 1} interim responses, the last of them {answer}", "a final one")
        if head_only or answer.status < 200 or answer.status in (204, 304):
            return answer
        return Answer(answer.status, answer.headers, answer.faults, head, self._body(answer))

    def _head(self, deadline: Deadline) -> bytes | None:
        """The next head, up to and with its blank line; None: TCP ended before a byte of it."""
        while not (found := re.search(rb"\r?\n\r?\n", self._buffer)):
            if not self._more(deadline):
                if self._buffer:
                    raise Failed(f"TCP ended inside the answer's head, after {bytes(self._buffer[:80])!r}")
                return None
            if len(self._buffer) > 1 << 20:
                raise Failed("an answer's head of more than 1 MiB")
        head = bytes(self._buffer[: found.end()])
        del self._buffer[: found.end()]
        return head

    def _body(self, answer: Answer) -> bytes:
        """As long as its head says; or what has come of it when the time is up."""
        lengths, size = answer.lines("Content-Length"), 0
        if answer.tokens("Transfer-Encoding"):
            end: Callable[[], int | None] = self._end_of_chunks
        elif lengths and re.fullmatch("[0-9]{1,9}", lengths[0]):
            size = int(lengths[0])
            end = lambda: size if len(self._buffer) >= size else None  # noqa: E731
        else:
            end = lambda: None  # noqa: E731  (to the end of TCP: RFC 9112 §6.3)
        whole = self.within(min(size, MOST))
        while (size_of_it := end()) is None:
            try:
                # (The size is the server's word, not ours: who declares much and sends nothing gets one timeout.)
                if not self._more(Deadline(min(self.timeout, whole.left()))):
                    size_of_it = len(self._buffer)
                    break
            except Failed:
                size_of_it = len(self._buffer)
                break
        body = bytes(self._buffer[:size_of_it])
        del self._buffer[:size_of_it]
        return body

    def _end_of_chunks(self) -> int | None:
        found = re.search(rb"(?:^|\r\n)0+\r\n(?:[^\r\n]+\r\n)*\r\n", self._buffer)
        return found.end() if found else None

    def frame(self, seconds: float | None = None) -> Frame | None:
        """The next frame, whatever it is; None: TCP ended.

        Args:
            seconds: How long to wait; None: the timeout.
        Raises:
            Failed: none came in time, or TCP ended inside one.
        """
        return self._frame(self.within() if seconds is None else Deadline(seconds))

    def _frame(self, deadline: Deadline) -> Frame | None:
        while (parsed := parse_frame(self._buffer)) is None:
            if not self._more(deadline):
                if self._buffer:
                    raise Failed(f"TCP ended inside a frame, after {bytes(self._buffer[:40]).hex(' ')}")
                return None
        came, size = parsed
        del self._buffer[:size]
        self.faults += came.faults
        return came

    def frames(self, deadline: Deadline | None = None) -> Iterator[Frame]:
        """All frames until the end of TCP.

        The server's Pings are answered, and not among them; nor are Pongs that nobody asked
        for, if nothing else is wrong with them.  §5.5.3: "A Pong frame MAY be sent unsolicited."

        Args:
            deadline: For all of them together; None: the timeout.
        Raises:
            Failed: TCP has not ended in time, or ended inside a frame.
        """
        deadline = deadline or self.within()
        while (came := self._frame(deadline)) is not None:
            if came.opcode == PING:
                self.send(frame(PONG, came.payload))
            elif came.opcode != PONG or came.payload in self._asked or came.faults:
                yield came

    def _note_control(self, data: bytes) -> None:
        """Which Pongs may come, because we have asked for them (or sent one, which some answer)."""
        while data and (parsed := parse_frame(data)) is not None:
            sent, size = parsed
            if sent.opcode in (PING, PONG):
                self._asked.add(sent.payload)
            data = data[size:]

    def message(self, deadline: Deadline | None = None) -> Frame:
        """The next whole message, as one frame, or the next Pong or Close.

        Args:
            deadline: None: the timeout.
        Raises:
            Ended: TCP ended.
            Failed: nothing whole came in time.
        """
        for came in self.frames(deadline):
            if came.opcode >= 8:
                return came
            if self._pieces and came.opcode:
                self.faults.append("a new message begins inside a message (RFC 6455 §5.4)")
            self._pieces.append(came)
            if came.fin:
                pieces, self._pieces = self._pieces, []
                payload = b"".join(piece.payload for piece in pieces)
                return Frame(pieces[0].opcode, payload, True, pieces[0].rsv)
        raise Ended("it ended TCP")

    # -- What is asked of it ------------------------------------------------------------

    def expect(self, opcode: int, payload: bytes, *, past: tuple[int, ...] = ()) -> None:
        """The next message is this one.

        Args:
            past: Opcodes to pass over on the way: ``(PONG,)``.
        Raises:
            Failed: another one came, a Close, or none; for all of it there is one deadline.
            Skipped: it may refuse this one: as :meth:`due` and :meth:`compare`.
        """
        wanted = Frame(opcode, payload)
        deadline = self.within(len(payload))
        while (came := self.due(wanted, deadline)).opcode in past and came.opcode != opcode:
            pass
        self.compare(came, wanted)

    def due(self, wanted: Frame, deadline: Deadline | None = None) -> Frame:
        """The next message, whatever it is, where this one should come.

        Args:
            deadline: None: the timeout, and one more for each MiB that is wanted.
        Raises:
            Failed: none came, in time or at all.
            Skipped: TCP ended, and the message is a large one.
        """
        try:
            return self.message(deadline or self.within(len(wanted.payload)))
        except Failed as failure:
            if isinstance(failure, Ended):
                _may_be_too_long(wanted, f"{failure.got}; if that is no limit, it is a fault")
            raise Failed(failure.got, str(wanted)) from None

    def compare(self, came: Frame, wanted: Frame) -> None:
        """What came is what was wanted: opcode and payload.

        Raises:
            Failed: it is not.
            Skipped: Close 1008 or 1009 came for a large one, or Close 1003 for a binary one: it may refuse those.
        """
        if came.opcode == CLOSE and came.code in (1008, 1009):
            _may_be_too_long(wanted, f"Close {came.code}")
        if came.opcode == CLOSE and came.code == 1003 and wanted.opcode == BINARY:
            raise Skipped("it takes no binary messages (Close 1003), which is its right")
        if (came.opcode, came.payload) != (wanted.opcode, wanted.payload):
            raise Failed(f"{came}{_where_they_differ(came, wanted)}", str(wanted))

    def expect_failure(self, alive: bytes | None = None) -> Frame | None:
        """It fails the connection.  RFC 6455 §7.1.7.

        By a Close, and then the end of TCP, or by the end of TCP alone: "SHOULD send a Close frame".

        Args:
            alive: What to send to see whether it still listens: a message, or a Ping (None).
        Returns:
            The Close, if one came.
        Raises:
            Failed: it answered, or it neither answered nor ended.
        """
        self.send(frame(PING, STILL_THERE) if alive is None else alive)
        answered = False
        try:
            for came in self.frames():
                if came.opcode == CLOSE:
                    return came
                if came.opcode == PONG and alive is None and came.payload == STILL_THERE and not answered:
                    answered = True  # a program that decodes text itself finds the fault after its library sent this
                elif came.opcode >= 8 or came.fin:  # else it sends back as it receives, and has not seen the fault yet
                    raise Failed(f"it goes on, and sends {came}", "Close, or the end of TCP")
        except Failed as failure:
            if failure.got.startswith("TCP ended inside a frame"):
                return None  # it was sending back as it received, and has failed the connection on the way
            if failure.got.startswith("nothing for"):
                how = (
                    "it goes on: a Ping is answered, and then comes"
                    if answered
                    else "neither a Close nor the end of TCP,"
                )
                raise Failed(f"{how} {failure.got}", "Close, or the end of TCP") from None
            raise
        return None


def _may_be_too_long(wanted: Frame, how: str) -> None:
    """It has refused a message: is that one so long that it may?

    RFC 6455 §10.4: implementations that have limits "MUST protect themselves against exceeding those limits".
    It may say so with 1009, or with 1008, the general one (§7.4.1), or end TCP without a Close (§7.1.7).

    Raises:
        Skipped: it is.
    """
    if (size := len(wanted.payload)) > ANY_SERVER_TAKES:
        raise Skipped(f"the server does not take messages of {size} bytes (RFC 6455 §10.4): {how}")


def _where_they_differ(came: Frame, wanted: Frame) -> str:
    """For long payloads: the first byte that is another."""
    if came.opcode != wanted.opcode or min(len(came.payload), len(wanted.payload)) <= 40:
        return ""
    pairs = zip(came.payload, wanted.payload, strict=False)
    at = next((i for i, (ours, theirs) in enumerate(pairs) if ours != theirs), None)
    return "" if at is None else f" (other bytes from byte {at} on)"
