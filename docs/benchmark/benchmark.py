#!/usr/bin/env python3
"""wsref beside its peers: the same bytes to each server in turn, and how fast the answers come.

The load is made beforehand: frames as bytes, sent over plain sockets.  Answers are counted, not
parsed: how long each must be is known.  The first answer of every connection is compared byte for
byte.  All servers are measured in one run, scenario by scenario, one after the other and round
after round, so what else the machine does hits all alike; each figure is the median of the rounds.
Compare figures of one run with each other, and with nothing else.

    python docs/benchmark/benchmark.py --quick          # two minutes: a first look
    python docs/benchmark/benchmark.py                  # all, some ten minutes
    python docs/benchmark/benchmark.py --only wsref,floor --scenario ping,pipe32

The peers are in the extra: pip install -e '.[bench]'; and Node's ws: npm install --prefix
docs/benchmark.  What is not installed is left out, and the run says so.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import random
import resource
import select
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "benchmark.md"
TABLE_BEGINS = "<!-- The table is made of results.json by benchmark.py; a test compares them. -->"
TABLE_ENDS = "<!-- The table ends. -->"

KIB, MIB = 1024, 1024 * 1024

#: A space and a place at which no line is broken.
NO_BREAK, JOINED = "\N{NO-BREAK SPACE}", "\N{WORD JOINER}"

#: Of one: from here on it is the load generator that is measured, and the table says so.
BUSY = 0.9

#: Seconds that a server has to answer; longer, and the cell says "stalled".
PATIENCE = 8.0


# -- Servers --------------------------------------------------------------------------


@dataclass(frozen=True)
class Server:
    """One row of the table."""

    name: str  # as --only and servers.py call it
    title: str
    kind: str  # "ours", "threads", "events" or "floor"
    package: str = ""  # on PyPI; "": nothing to install
    cannot: tuple[str, ...] = ()  # scenarios that it does not do
    python: str = ""  # the interpreter of its process; "": this one


SERVERS = (
    Server(
        "floor",
        "floor: echo of bytes",
        "floor",
        cannot=("pipe32", "pipe1k", "text1m", "fragments", "deflate", "stopped"),
    ),
    Server("wsref", "wsref", "ours"),
    Server("wsref-numpy", "wsref with NumPy", "ours", "numpy", cannot=("broadcast", "stopped", "idle", "handshakes")),
    Server("websockets-sync", "websockets, threads", "threads", "websockets"),
    Server("simple-websocket", "simple-websocket", "threads", "simple-websocket"),
    Server(
        "websocket-server",
        "websocket-server",
        "threads",
        "websocket-server",
        cannot=("bin64k", "bin1m", "bin16m", "fragments", "deflate"),
    ),
    Server("websockets-asyncio", "websockets, asyncio", "events", "websockets"),
    Server("picows", "picows", "events", "picows", cannot=("deflate",)),
    Server("ws", "ws (Node)", "events"),
)


def version_of(server: Server) -> str | None:
    """What is installed of it, for the record; None: it is not."""
    if server.name == "ws":
        package = HERE / "node_modules/ws/package.json"
        bufferutil = HERE / "node_modules/bufferutil/package.json"
        if not shutil.which("node") or not package.exists() or not bufferutil.exists():
            return None
        node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
        versions = [json.loads(path.read_text())["version"] for path in (package, bufferutil)]
        return f"ws {versions[0]}, bufferutil {versions[1]}, Node {node}"
    if not server.package:
        return ""
    try:
        return f"{server.package} {importlib.metadata.version(server.package)}"
    except importlib.metadata.PackageNotFoundError:
        return None


class Running:
    """A server in a process of its own, on a free port of loopback, until the ``with`` block ends."""

    def __init__(self, server: Server, mode: str, port: int = 0) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = port or free.getsockname()[1]
        python = [server.python or sys.executable, "servers.py", server.name.partition("@")[0]]
        program = ["node", "ws.mjs"] if server.name == "ws" else python
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed in __exit__
        self.process = subprocess.Popen(
            [*program, str(self.port), mode],
            cwd=HERE,
            stdin=subprocess.PIPE,  # the server ends when this does, that is, with us at the latest
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
            env={
                **os.environ,
                "PYTHONPATH": str(HERE.parent.parent),
                "PYTHONDONTWRITEBYTECODE": "1",
                "WEBSOCKETS_MAX_FRAGMENTS": "1000000",  # for 4 MiB in 64-byte fragments
            },
        )

    def wait(self) -> None:
        """Until it listens."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"it does not start: {self.errors()}") from None
                time.sleep(0.02)

    def errors(self) -> str:
        """The end of what it wrote to standard error."""
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace").strip()[-500:]

    def memory(self) -> float:
        """KiB that are resident now."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith("VmRSS:"))

    def __enter__(self) -> Running:
        """Wait until it listens."""
        try:
            self.wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        """Kill it."""
        self.process.kill()
        self.process.wait()
        assert self.process.stdin is not None
        self.process.stdin.close()
        self._errors.close()


# -- Bytes, made beforehand -------------------------------------------------------------

TEXT, BINARY, CONTINUATION = 1, 2, 0
KEY = b"\x37\xfa\x21\x3d"


def header(opcode: int, size: int, *, fin: bool = True, rsv1: bool = False, masked: bool = False) -> bytes:
    """A frame's header, of the load generator's own making."""
    first, mask = fin << 7 | rsv1 << 6 | opcode, 128 if masked else 0
    if size < 126:
        return struct.pack("!BB", first, mask | size)
    if size < 65536:
        return struct.pack("!BBH", first, mask | 126, size)
    return struct.pack("!BBQ", first, mask | 127, size)


def masked_frame(opcode: int, payload: bytes, *, fin: bool = True, rsv1: bool = False) -> bytes:
    """A client's frame."""
    key = int.from_bytes((KEY * (len(payload) // 4 + 1))[: len(payload)], "little")
    masked = (int.from_bytes(payload, "little") ^ key).to_bytes(len(payload), "little")
    return header(opcode, len(payload), fin=fin, rsv1=rsv1, masked=True) + KEY + masked


@dataclass(frozen=True)
class Load:
    """What is sent, and what must come back for it."""

    request: bytes
    reply: bytes

    @staticmethod
    def of(opcode: int, payload: bytes, server: Server, fragment: int = 0) -> Load:
        """One message, whole or in fragments of so many bytes; to the floor, bytes are bytes."""
        if fragment:
            starts = range(0, len(payload), fragment)
            request = b"".join(
                masked_frame(
                    CONTINUATION if start else opcode,
                    payload[start : start + fragment],
                    fin=start + fragment >= len(payload),
                )
                for start in starts
            )
        else:
            request = masked_frame(opcode, payload)
        if server.kind == "floor":
            return Load(request, request)
        return Load(request, header(opcode, len(payload)) + payload)


ASCII = b"The quick brown fox jumps over a lazy dog, and nobody minds it. "
SHORT = ASCII[:32]
KILO = ASCII * 16
MIXED = (
    ("WebSocket 是一种网络传输协议，可在单个 TCP 连接上进行全双工通信。" * 20000).encode()[:MIB].decode(errors="ignore")
)
MIXED_TEXT = MIXED.encode() + b"." * (MIB - len(MIXED.encode()))
NOISE = random.Random(6455).randbytes(16 * MIB)
CHAT = json.dumps(
    {
        "type": "message",
        "room": "general",
        "from": {"id": 4711, "name": "Ada"},
        "text": "Has anybody seen the new build? It compresses rather well, I think.",
        "at": "2026-11-24T08:16:00Z",
    }
).encode()

HANDSHAKE = (
    b"GET /chat?name=Ada HTTP/1.1\r\nHost: 127.0.0.1:8765\r\nConnection: Upgrade\r\nPragma: no-cache\r\n"
    b"Cache-Control: no-cache\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\r\n"
    b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nAccept-Encoding: gzip, deflate, br\r\n"
    b"Accept-Language: en-GB,en;q=0.9\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%b\r\n"
)
OFFER = b"Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover; server_no_context_takeover\r\n"
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455 §1.3


# -- Connections -------------------------------------------------------------------------


class Stalled(Exception):
    """No answer came in time."""


def receive_exactly(sock: socket.socket, size: int) -> bytes:
    """So many bytes, for what is compared."""
    data = bytearray()
    while len(data) < size:
        piece = sock.recv(min(size - len(data), MIB))
        if not piece:
            raise ConnectionError("the server has closed the connection")
        data += piece
    return bytes(data)


def dial(port: int, *, receive_buffer: int = 0) -> socket.socket:
    """A TCP connection."""
    sock = socket.socket()
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    timeval = struct.pack("@ll", int(PATIENCE), 0)  # the kernel counts: a blocking call costs no poll
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeval)
    sock.connect(("127.0.0.1", port))
    return sock


def upgrade(sock: socket.socket, server: Server, offer: bytes = b"") -> None:
    """The opening handshake; the floor echoes it."""
    request = HANDSHAKE % offer
    sock.sendall(request)
    if server.kind == "floor":
        receive_exactly(sock, len(request))
        return
    head = b""
    while b"\r\n\r\n" not in head:
        piece = sock.recv(4096)
        if not piece:
            raise ConnectionError(f"no 101: {head!r}")
        head += piece
    if not head.startswith(b"HTTP/1.1 101 ") or ACCEPT not in head:
        raise ConnectionError(f"no 101: {head!r}")
    if offer and b"permessage-deflate" not in head:
        raise ConnectionError("the server does not compress")


@contextlib.contextmanager
def connections(port: int, server: Server, count: int = 1, offer: bytes = b"") -> Iterator[list[socket.socket]]:
    """So many open WebSockets, closed in the end with a RST: thousands in TIME_WAIT would fill the ports."""
    socks: list[socket.socket] = []
    try:
        for _ in range(count):
            sock = dial(port)
            socks.append(sock)
            upgrade(sock, server, offer)
        yield socks
    finally:
        for sock in socks:
            hang_up(sock)


def hang_up(sock: socket.socket) -> None:
    """With a RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def check(sock: socket.socket, load: Load) -> None:
    """One message, whose answer is compared."""
    buffer = memoryview(bytearray(MIB))
    view, sent, reply = memoryview(load.request), 0, bytearray()
    poll = select.poll()
    poll.register(sock, select.POLLIN | select.POLLOUT)
    while len(reply) < len(load.reply):
        poll.modify(sock, select.POLLIN | (select.POLLOUT if sent < len(view) else 0))
        events = poll.poll(PATIENCE * 1000)
        if not events:
            raise Stalled
        if events[0][1] & select.POLLOUT:
            sent += sock.send(view[sent : sent + MIB], socket.MSG_DONTWAIT)
        if events[0][1] & ~select.POLLOUT:
            n = sock.recv_into(buffer)
            if not n:
                raise ConnectionError(f"the connection was closed after {len(reply)} bytes of the answer")
            reply += buffer[:n]
    if bytes(reply) != load.reply:
        raise ValueError("the answer is not what it must be")


# -- Scenarios ------------------------------------------------------------------------------


class Stopwatch:
    """Counts what is done in a second, and how much of that second we were busy ourselves."""

    busy = 0.0  # of the last figure: 1.0 means that the load generator could not have done more

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self._cpu = time.process_time()

    def per_second(self, count: float) -> float:
        """So many a second, since it was started."""
        seconds = time.perf_counter() - self.began
        Stopwatch.busy = (time.process_time() - self._cpu) / seconds
        return count / seconds


def ping_pong(port: int, server: Server, seconds: float, load: Load) -> float:
    """One message at a time: messages a second."""
    with connections(port, server) as (sock,):
        check(sock, load)
        send, receive, request, size = sock.send, sock.recv_into, load.request, len(load.reply)
        buffer = bytearray(size)
        count, watch = 0, Stopwatch()
        end = watch.began + seconds
        while time.perf_counter() < end:
            for _ in range(20):
                send(request)
                missing = size
                while missing:
                    n = receive(buffer, missing)
                    if not n:
                        raise ConnectionError("the server has closed the connection")
                    missing -= n
            count += 20
        return watch.per_second(count)


def pipelined(port: int, server: Server, seconds: float, load: Load) -> float:
    """Many messages under way, 64 KiB of them: messages a second."""
    at_once = max(1, 16 * KIB // len(load.request))
    batch, window = load.request * at_once, 4 * at_once * len(load.reply)
    buffer = bytearray(256 * KIB)
    with connections(port, server) as (sock,):
        check(sock, load)
        send, receive, expected = sock.sendall, sock.recv_into, at_once * len(load.reply)
        count, open_bytes, watch = 0, 0, Stopwatch()
        end = watch.began + seconds
        while time.perf_counter() < end:
            while open_bytes + expected <= window:
                send(batch)
                open_bytes += expected
                count += at_once
            n = receive(buffer)
            if not n:
                raise ConnectionError("the server has closed the connection")
            open_bytes -= n
        while open_bytes > 0:
            n = receive(buffer)
            if not n:
                raise ConnectionError("the server has closed the connection")
            open_bytes -= n
        return watch.per_second(count)


def stream(port: int, server: Server, seconds: float, load: Load, payload: int) -> float:
    """Large messages, two under way: MiB of payload a second, each way."""
    request, size = memoryview(load.request), len(load.reply)
    buffer = bytearray(MIB)
    poll = select.poll()
    with connections(port, server) as (sock,):
        check(sock, load)
        poll.register(sock, select.POLLIN)
        count = done = at = missing = 0
        wants_to_send = False
        watch = Stopwatch()
        end = watch.began + seconds
        while True:
            # The next message is begun while at most one other has no answer yet.
            if at or (count - done < 2 and (not count or time.perf_counter() < end)):
                count += not at
                try:
                    at += sock.send(request[at:], socket.MSG_DONTWAIT)
                    wants_to_send = False
                except BlockingIOError:
                    wants_to_send = True
                if at == len(request):
                    at = 0
            elif done == count:
                return watch.per_second(payload / MIB * count)
            try:
                n = sock.recv_into(buffer, 0, socket.MSG_DONTWAIT)
                if not n:
                    raise ConnectionError("the server has closed the connection")
                missing += n
                done, missing = done + missing // size, missing % size
            except BlockingIOError:
                if wants_to_send or not at:
                    poll.modify(sock, select.POLLIN | (select.POLLOUT if wants_to_send else 0))
                    if count - done < 2 and not at and time.perf_counter() < end:
                        continue
                    if not poll.poll(PATIENCE * 1000):
                        raise Stalled from None


def many(port: int, server: Server, seconds: float, load: Load, count: int) -> float:
    """Many connections, one message under way on each: messages a second, over all."""
    size, request = len(load.reply), load.request
    buffer = bytearray(size)
    with connections(port, server, count) as socks:
        for sock in socks[:: max(1, count // 10)]:
            check(sock, load)
        epoll = select.epoll()
        calls = {}
        for sock in socks:
            epoll.register(sock, select.EPOLLIN)
            calls[sock.fileno()] = (sock.recv_into, sock.send)
        missing = dict.fromkeys(calls, size)
        messages, watch = 0, Stopwatch()
        end = watch.began + seconds
        try:
            for _, send in calls.values():
                send(request)
            open_messages = count
            while open_messages:
                events = epoll.poll(PATIENCE)
                if not events:
                    raise Stalled
                more = time.perf_counter() < end
                for fd, _ in events:
                    receive, send = calls[fd]
                    n = receive(buffer)
                    if n != missing[fd]:
                        if not n:
                            raise ConnectionError("the server has closed a connection")
                        missing[fd] -= n
                        continue
                    missing[fd] = size
                    messages += 1
                    if more:
                        send(request)
                    else:
                        open_messages -= 1
            return watch.per_second(messages)
        finally:
            epoll.close()


def handshakes(port: int, server: Server, seconds: float) -> float:
    """Connect, upgrade, hang up; eight at once: handshakes a second."""
    count, watch = 0, Stopwatch()
    request = HANDSHAKE % b""
    while time.perf_counter() < watch.began + seconds:
        socks = [dial(port) for _ in range(8)]
        for sock in socks:
            sock.send(request)
        for sock in socks:
            answer = sock.recv(4096)
            if server.kind != "floor" and not answer.startswith(b"HTTP/1.1 101 "):
                raise ConnectionError(f"no 101: {answer!r}")
            hang_up(sock)
        count += 8
    return watch.per_second(count)


def idle(running: Running, server: Server, load: Load, count: int) -> float:
    """KiB of resident memory that a connection takes which was opened, used once and is idle."""
    with connections(running.port, server, 10) as warm:
        for sock in warm:
            check(sock, load)
    time.sleep(0.3)
    before = running.memory()
    with connections(running.port, server, count) as socks:
        for sock in socks:
            check(sock, load)
        time.sleep(0.3)
        return (running.memory() - before) / count


def broadcast(port: int, server: Server, seconds: float, load: Load, count: int, *, stopped: bool) -> float:
    """A message to many, again when all have it: deliveries a second."""
    size = len(load.request if server.kind == "floor" else load.reply)
    with contextlib.ExitStack() as stack:
        (speaker,) = stack.enter_context(connections(port, server))
        if stopped:
            # It is there before the others, and what it does not read fills all buffers.
            deaf = dial(port, receive_buffer=4096)
            stack.callback(hang_up, deaf)
            upgrade(deaf, server)
            filler = Load.of(TEXT, ASCII * 512, server)
            for _ in range(300):
                check(speaker, filler)
        socks = stack.enter_context(connections(port, server, count))
        epoll = stack.enter_context(select.epoll())
        calls = {}
        for sock in (speaker, *socks):
            epoll.register(sock, select.EPOLLIN)
            calls[sock.fileno()] = sock.recv_into
        buffer = bytearray(64 * KIB)
        expected = size * (count + 1)
        # Some servers say 101 before they count a client in: messages until all have got one.
        deadline, came = time.perf_counter() + PATIENCE, 0
        while came != expected:
            if time.perf_counter() > deadline:
                raise Stalled
            speaker.send(load.request)
            came = 0
            while events := epoll.poll(0.2):
                came += sum(calls[fd](buffer) for fd, _ in events)
        rounds, watch = 0, Stopwatch()
        while time.perf_counter() < watch.began + seconds:
            speaker.send(load.request)
            missing = expected
            while missing:
                events = epoll.poll(PATIENCE)
                if not events:
                    raise Stalled
                for fd, _ in events:
                    n = calls[fd](buffer)
                    if not n:
                        raise ConnectionError("the server has closed a connection")
                    missing -= n
            rounds += 1
        return watch.per_second(rounds * (count + 1))


def compressed(port: int, server: Server, seconds: float) -> float:
    """Chat lines in permessage-deflate, in a pipeline, each line by itself: messages a second."""
    deflater = zlib.compressobj(6, zlib.DEFLATED, -15)
    payload = (deflater.compress(CHAT) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]
    request = masked_frame(TEXT, payload, rsv1=True)
    at_once = 64
    batch, window = request * at_once, 4 * at_once
    buffer = bytearray(256 * KIB)
    with connections(port, server, 1, OFFER) as (sock,):
        sock.send(request)
        first, second = receive_exactly(sock, 2)
        size = struct.unpack("!H", receive_exactly(sock, 2))[0] if second == 126 else second
        answer = receive_exactly(sock, size)
        inflated = zlib.decompressobj(-15).decompress(answer + b"\0\0\xff\xff")
        if first != 0x80 | 0x40 | TEXT or inflated != CHAT:
            raise ValueError("the answer is not what it must be")
        size += 2 if size < 126 else 4  # without context takeover all answers are alike
        count, open_bytes, watch = 0, 0, Stopwatch()
        while time.perf_counter() < watch.began + seconds:
            while open_bytes + at_once * size <= window * size:
                sock.sendall(batch)
                open_bytes += at_once * size
                count += at_once
            n = sock.recv_into(buffer)
            if not n:
                raise ConnectionError("the server has closed the connection")
            open_bytes -= n
        while open_bytes > 0:
            n = sock.recv_into(buffer)
            if not n:
                raise ConnectionError("the server has closed the connection")
            open_bytes -= n
        return watch.per_second(count)


@dataclass(frozen=True)
class Scenario:
    """One column of the table."""

    name: str  # as --scenario calls it
    title: str
    unit: str
    measure: Callable[[Running, Server, float], float]
    mode: str = "echo"
    lower_is_better: bool = False
    fresh: bool = False  # in a process of its own


def _echo(run: Callable[..., float], opcode: int, payload: bytes, *more: Any, fragment: int = 0) -> Any:
    return lambda running, server, seconds: run(
        running.port, server, seconds, Load.of(opcode, payload, server, fragment), *more
    )


SCENARIOS = (
    Scenario("ping", "ping-pong, 32 B", "messages/s", _echo(ping_pong, TEXT, SHORT)),
    Scenario("pipe32", "pipelined, 32 B", "messages/s", _echo(pipelined, TEXT, SHORT)),
    Scenario("pipe1k", "pipelined, 1 KiB", "messages/s", _echo(pipelined, TEXT, KILO)),
    Scenario("conn100", "100 connections", "messages/s", _echo(many, TEXT, SHORT, 100)),
    Scenario("conn1000", "1,000 connections", "messages/s", _echo(many, TEXT, SHORT, 1000)),
    Scenario("bin64k", "binary, 64 KiB", "MiB/s", _echo(stream, BINARY, NOISE[: 64 * KIB], 64 * KIB)),
    Scenario("bin1m", "binary, 1 MiB", "MiB/s", _echo(stream, BINARY, NOISE[:MIB], MIB)),
    Scenario("bin16m", "binary, 16 MiB", "MiB/s", _echo(stream, BINARY, NOISE, 16 * MIB)),
    Scenario("text1m", "text, 1 MiB, Chinese and ASCII", "MiB/s", _echo(stream, TEXT, MIXED_TEXT, MIB)),
    Scenario(
        "fragments",
        "4 MiB in 64-byte fragments",
        "MiB/s",
        _echo(stream, BINARY, NOISE[: 4 * MIB], 4 * MIB, fragment=64),
    ),
    Scenario("deflate", "compressed chat text", "messages/s", lambda r, s, t: compressed(r.port, s, t), "deflate"),
    Scenario("handshakes", "opening handshakes", "handshakes/s", lambda r, s, t: handshakes(r.port, s, t)),
    Scenario(
        "idle",
        "an idle connection",
        "KiB",
        lambda r, s, t: idle(r, s, Load.of(TEXT, SHORT, s), 500),
        lower_is_better=True,
        fresh=True,
    ),
    Scenario(
        "broadcast",
        "broadcast to 500",
        "deliveries/s",
        lambda r, s, t: broadcast(r.port, s, t, Load.of(TEXT, SHORT, s), 500, stopped=False),
        "broadcast",
        fresh=True,
    ),
    Scenario(
        "stopped",
        "... and one reads nothing",
        "deliveries/s",
        lambda r, s, t: broadcast(r.port, s, t, Load.of(TEXT, SHORT, s), 500, stopped=True),
        "broadcast",
        fresh=True,
    ),
)


# -- A run --------------------------------------------------------------------------------------


def run(
    servers: Sequence[Server], scenarios: Sequence[Scenario], rounds: int, seconds: float
) -> tuple[dict[str, dict[str, list[float | str]]], dict[str, dict[str, list[float]]]]:
    """Measure.

    Returns:
        By scenario and server, each round's figure, or what went wrong instead; and how busy
        the load generator was.
    """
    results: dict[str, dict[str, list[float | str]]] = {scenario.name: {} for scenario in scenarios}
    busy: dict[str, dict[str, list[float]]] = {scenario.name: {} for scenario in scenarios}
    cells = rounds * sum(scenario.name not in server.cannot for scenario in scenarios for server in servers)
    done, began = 0, time.monotonic()
    for number in range(rounds):
        with contextlib.ExitStack() as stack:
            running: dict[tuple[str, str], Running] = {}
            for scenario in scenarios:
                if not sys.stderr.isatty():
                    print(f"round {number + 1} of {rounds}: {scenario.title}", file=sys.stderr, flush=True)
                # Every round begins with another server: none is always the first.
                for server in [*servers[number % len(servers) :], *servers[: number % len(servers)]]:
                    if scenario.name in server.cannot:
                        continue
                    label = f"round {number + 1} of {rounds}  {scenario.title}: {server.title}"
                    left = (time.monotonic() - began) / done * (cells - done) if done else 0
                    progress(f"{done / cells:4.0%}  {label}" + (f"  ({left:.0f} s left)" if done else ""))
                    figure: float | str
                    Stopwatch.busy = 0.0
                    earlier = results[scenario.name].setdefault(server.name, [])
                    try:
                        if "stalled" in earlier:
                            raise Stalled  # it would take as long again
                        if scenario.fresh:
                            with Running(server, scenario.mode) as fresh:
                                figure = scenario.measure(fresh, server, seconds)
                        else:
                            at = (server.name, scenario.mode)
                            if at not in running:
                                running[at] = stack.enter_context(Running(server, scenario.mode))
                            figure = scenario.measure(running[at], server, seconds)
                    except (Stalled, BlockingIOError, TimeoutError):
                        figure = "stalled"
                    except (OSError, ValueError, RuntimeError) as error:
                        figure = "failed"
                        progress("")
                        print(f"{label}: {error}", file=sys.stderr)
                    if isinstance(figure, str):
                        running.pop((server.name, scenario.mode), None)
                    earlier.append(figure)
                    busy[scenario.name].setdefault(server.name, []).append(Stopwatch.busy)
                    done += 1
    progress("")
    return results, busy


def progress(line: str) -> None:
    """On a terminal, one line that is written over; elsewhere :func:`run` says less."""
    if sys.stderr.isatty():
        width = shutil.get_terminal_size().columns - 1
        print("\r\x1b[K" + line[:width], end="", file=sys.stderr, flush=True)


def record(
    servers: Sequence[Server],
    scenarios: Sequence[Scenario],
    rounds: int,
    seconds: float,
    results: dict[str, dict[str, list[float | str]]],
    busy: dict[str, dict[str, list[float]]],
) -> dict[str, Any]:
    """What is kept of a run."""
    return {
        "date": date.today().isoformat(),
        "machine": {
            "processor": processor(),
            "cores": os.cpu_count(),
            "system": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
            "python": platform.python_version(),
            "load": [round(load, 2) for load in os.getloadavg()],
        },
        "rounds": rounds,
        "seconds": seconds,
        "servers": [
            {"name": server.name, "title": server.title, "kind": server.kind, "version": version_of(server) or ""}
            for server in servers
        ],
        "scenarios": [
            {
                "name": scenario.name,
                "title": scenario.title,
                "unit": scenario.unit,
                "lower_is_better": scenario.lower_is_better,
                "results": {
                    name: {
                        "median": median(figures),
                        "load_generator_busy": round(statistics.median(busy[scenario.name][name]), 2),
                        "rounds": [rounded(figure) for figure in figures],
                    }
                    for name, figures in results[scenario.name].items()
                },
            }
            for scenario in scenarios
        ],
    }


def median(figures: Sequence[float | str]) -> float | str:
    """Of the rounds; what went wrong in any of them goes before."""
    wrong = [figure for figure in figures if isinstance(figure, str)]
    return wrong[0] if wrong else rounded(statistics.median(figures))  # type: ignore[type-var]


def rounded(figure: Any) -> Any:
    """Four digits: the machine does not have more."""
    return figure if isinstance(figure, str) else float(f"{figure:.4g}")


def processor() -> str:
    """As the system calls it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(": ")[2]
    return platform.machine()


# -- What is shown of it ----------------------------------------------------------------------------


def shown(figure: float | str | None) -> str:
    """A figure in a table.

    >>> shown(183400.0), shown(1234.0), shown(48.31), shown(None)
    ('183 k', '1,234', '48', '–')
    """
    if figure is None:
        return "–"
    if isinstance(figure, str):
        return figure
    if figure >= 10_000:
        return f"{figure / 1000:,.0f} k"
    return f"{figure:,.0f}" if figure >= 10 else f"{figure:.1f}"


def between(rounds: Sequence[float | str]) -> str:
    """The lowest and the highest round; nothing if they look alike, or if one went wrong.

    >>> between([183400.0, 171000.0, 190000.0]), between([48.3, 52.1]), between([26.2, 26.3]), between(["stalled"])
    ('171–190 k', '48–52', '', '')
    """
    figures = [figure for figure in rounds if isinstance(figure, float)]
    if not figures or len(figures) < len(rounds):
        return ""
    low, high = shown(min(figures)), shown(max(figures))
    if low == high:
        return ""
    return f"{low.removesuffix(' k')}–{high}" if high.endswith(" k") and low.endswith(" k") else f"{low}–{high}"


def table(data: dict[str, Any]) -> str:
    """Markdown: a row for each scenario, a column for each server; the best of each row is bold."""
    servers = data["servers"]
    lines = ["| | " + " | ".join(server["title"] for server in servers) + " |", "|---|" + "--:|" * len(servers)]
    for scenario in data["scenarios"]:
        medians = {name: result["median"] for name, result in scenario["results"].items()}
        raced = [medians.get(s["name"]) for s in servers if s["kind"] != "floor"]
        figures = [figure for figure in raced if isinstance(figure, float)]
        best = (min if scenario["lower_is_better"] else max)(figures, default=None)
        cells = []
        for server in servers:
            figure = medians.get(server["name"])
            bold = figure == best and figure is not None and server["kind"] != "floor"
            busy = scenario["results"].get(server["name"], {}).get("load_generator_busy", 0)
            mark = " †" if busy >= BUSY else ""
            rounds = scenario["results"].get(server["name"], {}).get("rounds", [])
            span = between(rounds).replace("–", f"–{JOINED}")
            cell = (f"**{shown(figure)}**" if bold else shown(figure)) + mark
            cells.append((cell + (f"<br><small>{span}</small>" if span else "")).replace(" ", NO_BREAK))
        lines.append(f"| {scenario['title']}, {scenario['unit']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def shown_ratio(rounds: Sequence[float]) -> str:
    """The median, and between what it lies.

    >>> shown_ratio([1.061, 0.98, 1.1]), shown_ratio([float("inf")])
    ('1.06 (0.98–1.10)', 'inf')
    """
    middle, low, high = (f"{figure:.2f}" for figure in (statistics.median(rounds), min(rounds), max(rounds)))
    return f"{middle} ({low}–{high})" if low != high else middle


def targets(data: dict[str, Any]) -> list[tuple[str, str, bool]]:
    """What we want of ourselves, what it is here, and whether that is met.

    A ratio is formed in each round, of figures that were taken within a minute, to the server with
    the best median; it is judged by the median of the rounds.
    """
    rows = {scenario["name"]: scenario["results"] for scenario in data["scenarios"]}
    kinds = {server["name"]: server["kind"] for server in data["servers"]}

    def ratios(scenario: str, ours: str, theirs: Sequence[str]) -> list[float]:
        """Ours over the best of theirs, who stalled or failed being no match; nothing: it was not measured."""
        row = rows.get(scenario, {})
        there = [row[name] for name in theirs if name in row]
        if ours not in row or not there:
            return []
        if not isinstance(row[ours]["median"], float):
            return [0.0]
        rivals = [rival for rival in there if isinstance(rival["median"], float)]
        if not rivals:
            return [float("inf")]
        best = max(rivals, key=lambda rival: rival["median"])
        return [mine / other for mine, other in zip(row[ours]["rounds"], best["rounds"], strict=True)]

    found: list[tuple[str, str, bool]] = []

    def want(words: str, least: float, scenarios: Sequence[str], ours: str, theirs: Sequence[str]) -> None:
        measured = {name: rounds for name in scenarios if (rounds := ratios(name, ours, theirs))}
        if measured:
            names = {name: f"{name} " if len(scenarios) > 1 else "" for name in measured}
            here = ", ".join(names[name] + shown_ratio(rounds) for name, rounds in measured.items())
            met = min(statistics.median(rounds) for rounds in measured.values()) >= least
            found.append((f"{words}: at least {least:g}", here, met))

    threads = [name for name, kind in kinds.items() if kind == "threads"]
    peers = [name for name, kind in kinds.items() if kind in ("threads", "events")]
    websockets = ["websockets-sync", "websockets-asyncio"]
    all_but_binary = [name for name in rows if name not in ("bin64k", "bin1m", "bin16m", "idle")]
    want(
        "every row but binary and idle, to the best threaded peer",
        1,
        all_but_binary,
        "wsref",
        threads,
    )
    binary = ("bin64k", "bin1m", "bin16m")
    want("binary, to websockets (threads), which has C for it", 0.55, binary, "wsref", threads)
    want("pipelined 32 B, to the best of all", 1.15, ["pipe32"], "wsref", peers)
    want("pipelined 1 KiB, to ws", 1, ["pipe1k"], "wsref", ["ws"])
    want("pipelined 1 KiB, to picows", 0.9, ["pipe1k"], "wsref", ["picows"])
    want("ping-pong, to the floor", 0.8, ["ping"], "wsref", ["floor"])
    want("opening handshakes, to the floor", 0.8, ["handshakes"], "wsref", ["floor"])
    want("opening handshakes, to the best threaded peer", 1, ["handshakes"], "wsref", threads)
    want("100 and 1,000 connections, to the floor", 0.5, ["conn100", "conn1000"], "wsref", ["floor"])
    large = (*binary, "text1m")
    want("with NumPy, from 64 KiB up, to ws and websockets", 1, large, "wsref-numpy", ["ws", *websockets])
    want("text of 1 MiB without NumPy, to websockets", 1, ["text1m"], "wsref", websockets)
    want("broadcast, to bare sends in a loop (the floor)", 0.5, ["broadcast"], "wsref", ["floor"])
    together = {name: rows.get(name, {}).get("wsref", {}) for name in ("broadcast", "stopped", "idle")}
    if all(isinstance(together[name].get("median"), float) for name in ("broadcast", "stopped")):
        pairs = zip(together["stopped"]["rounds"], together["broadcast"]["rounds"], strict=True)
        rounds = [stopped / row for stopped, row in pairs]
        words = "a client that reads nothing costs the others nothing: at least 0.9"
        found.append((words, shown_ratio(rounds), statistics.median(rounds) >= 0.9))
    if isinstance(memory := together["idle"].get("median"), float):
        found.append(("an idle connection: at most 26 KiB", f"{memory:.0f} KiB", memory <= 26))
    return found


def with_table(page: str, data: dict[str, Any]) -> str:
    """The page with what stands between its two marks made anew."""
    before, _, rest = page.partition(TABLE_BEGINS)
    _, _, after = rest.partition(TABLE_ENDS)
    if not rest or not after:
        raise ValueError("the page has no place for the table")
    machine = data["machine"]
    versions = ", ".join(dict.fromkeys(server["version"] for server in data["servers"] if server["version"]))
    figures = table(data)
    busy = f"†: the load generator was busy {BUSY:.0%} of the time or more, so the server may be faster than that."
    caption = (
        f"{data['date']}; {machine['cores']} cores of {machine['processor']}, {machine['system']}, "
        f"Python {machine['python']}; {versions}. "
        f"Medians of {data['rounds']} rounds of {data['seconds']:g} s, beside them the lowest and the highest round. "
        f"The best of each row is bold. {busy if '†' in figures else ''}"
    ).strip()
    judged = ["| wanted, as a ratio | here (lowest and highest round) | |", "|---|---|---|"]
    judged += [f"| {words} | {here} | {'met' if met else '**not met**'} |" for words, here, met in targets(data)]
    made = "\n\n".join([figures, caption, "\n".join(judged)])
    return f"{before}{TABLE_BEGINS}\n\n{made}\n\n{TABLE_ENDS}{after}"


@dataclass(frozen=True)
class Colours:
    """Of a picture, for a light page or a dark one."""

    paper: str
    ink: str
    soft: str  # edges, and all that is not ours
    ours: str
    second: str  # where two lines are compared
    threads: str
    events: str


LIGHT = Colours("#fbfaf7", "#22262a", "#5b6b7a", "#1f4e79", "#8a5a00", "#c8d3de", "#eceff2")
DARK = Colours("#14171a", "#e6e3dc", "#93a1ae", "#6cb2e8", "#e0a83e", "#45525f", "#262e36")


def drawing(colours: Colours, **settings: Any) -> Any:
    """Return pyplot, which draws in these colours, and writes the same file for the same figures."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    names = ("text.color", "axes.labelcolor", "xtick.color", "ytick.color", "axes.edgecolor")
    mpl.rcParams.update({"svg.hashsalt": "wsref", "svg.fonttype": "none", "font.size": 8, **settings})
    mpl.rcParams.update(dict.fromkeys(names, colours.ink))
    mpl.rcParams.update({"figure.facecolor": colours.paper, "axes.facecolor": "none", "savefig.facecolor": "auto"})
    return plt


def dark(path: Path) -> Path:
    """Return the name of a picture's dark version.

    >>> dark(Path("results.svg")).name
    'results-dark.svg'
    """
    return path.with_stem(f"{path.stem}-dark")


def save(plt: Any, figure: Any, path: Path) -> None:
    """Write a picture without its date, and an SVG without blanks at the ends of lines."""
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, dpi=100)
    plt.close(figure)
    if path.suffix == ".svg":
        path.write_text("".join(line.rstrip() + "\n" for line in path.read_text().splitlines()))


def plot(data: dict[str, Any], path: Path, colours: Colours = LIGHT) -> None:
    """Small pictures, one for each scenario: bars with their names and figures beside them.

    What a bar is, its label says, and no colour.
    """
    plt = drawing(colours, **{"hatch.linewidth": 0.6})
    styles = {
        "ours": {"facecolor": colours.ours, "edgecolor": colours.ours},
        "threads": {"facecolor": colours.threads, "edgecolor": colours.soft},
        "events": {"facecolor": colours.events, "edgecolor": colours.soft},
        "floor": {"facecolor": colours.paper, "edgecolor": colours.soft, "hatch": "////"},
    }
    columns = 3
    rows = -(-len(data["scenarios"]) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(11, 2.2 * rows), squeeze=False)
    for axis in axes.flat[len(data["scenarios"]) :]:
        axis.set_visible(False)
    for axis, scenario in zip(axes.flat, data["scenarios"], strict=False):
        shown_servers = [server for server in data["servers"] if server["name"] in scenario["results"]][::-1]
        figures = [scenario["results"][server["name"]]["median"] for server in shown_servers]
        lengths = [figure if isinstance(figure, float) else 0.0 for figure in figures]
        longest = max(lengths, default=0) or 1
        for place, (server, length) in enumerate(zip(shown_servers, lengths, strict=True)):
            axis.barh(place, length, 0.72, linewidth=0.6, **styles[server["kind"]])
            axis.text(length + longest * 0.02, place, shown(figures[place]), va="center")
        axis.set_yticks(range(len(shown_servers)), [server["title"] for server in shown_servers])
        for label, server in zip(axis.get_yticklabels(), shown_servers, strict=True):
            label.set_fontweight("bold" if server["kind"] == "ours" else "normal")
        axis.set_xlim(0, longest * 1.2)
        axis.set_xticks([])
        axis.tick_params(length=0)
        axis.spines[["top", "right", "bottom"]].set_visible(False)
        less = " (less is better)" if scenario["lower_is_better"] else ""
        axis.set_title(
            f"{scenario['title']}, {scenario['unit']}{less}", loc="left", x=-0.5, fontweight="bold", fontsize=9
        )
    figure.tight_layout(h_pad=1.6)
    save(plt, figure, path)


def text_table(data: dict[str, Any]) -> str:
    """For a terminal: a row for each server and scenario would be long, so scenarios are blocks."""
    lines = []
    for scenario in data["scenarios"]:
        lines.append(f"{scenario['title']}, {scenario['unit']}")
        for server in data["servers"]:
            result = scenario["results"].get(server["name"])
            if result is not None:
                numbers = [f for f in result["rounds"] if isinstance(f, float)]
                spread = f"   ({shown(min(numbers))} to {shown(max(numbers))})" if len(numbers) > 1 else ""
                lines.append(f"  {server['title']:24}{shown(result['median']):>9}{spread}")
    return "\n".join(lines)


def chosen(names: str | None, there: Sequence[Any], what: str, parser: argparse.ArgumentParser) -> list[Any]:
    """What --only and --scenario name."""
    if names is None:
        return list(there)
    wanted = [name for name in names.split(",") if name]
    known = {row.name: row for row in there}
    for name in wanted:
        if name not in known:
            parser.error(f"there is no {what} {name!r}; there are: {', '.join(known)}")
    return [row for row in there if row.name in wanted]


def check_outputs(options: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Whether what is to be written can be."""
    for flag, path in (("--json", options.json), ("--plot", options.plot)):
        if path is not None and (path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK)):
            parser.error(f"{flag} {path}: it cannot be written")
    if options.plot is not None and options.plot.suffix not in (".svg", ".png"):
        parser.error(f"--plot {options.plot}: its name must end in .svg or .png")
    if (options.plot or options.write) and importlib.util.find_spec("matplotlib") is None:
        parser.error("matplotlib draws the picture, and is not installed: pip install -e '.[bench]'")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--only", metavar="SERVERS", help=f"of: {', '.join(server.name for server in SERVERS)}")
    parser.add_argument("--scenario", metavar="NAMES", help=f"of: {', '.join(row.name for row in SCENARIOS)}")
    parser.add_argument("--rounds", type=int, metavar="N", help="default 5; 1 with --quick")
    parser.add_argument("--seconds", type=float, metavar="S", help="for each figure; default 0.4; 0.2 with --quick")
    parser.add_argument("--quick", action="store_true", help="one short round: a first look, and no figures to quote")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw them, as .svg or .png (needs matplotlib)")
    parser.add_argument(
        "--write", action="store_true", help="for the documentation: results.json, results.svg and the page's table"
    )
    parser.add_argument("--targets", action="store_true", help="say which of our targets are met")
    parser.add_argument("--from", dest="source", type=Path, metavar="FILE", help="measure nothing, take these figures")
    options = parser.parse_args(arguments)
    rounds = (1 if options.quick else 5) if options.rounds is None else options.rounds
    seconds = (0.2 if options.quick else 0.4) if options.seconds is None else options.seconds
    if rounds < 1 or seconds <= 0:
        parser.error("--rounds and --seconds must be more than 0")
    check_outputs(options, parser)  # before ten minutes of measuring

    if options.source:
        try:
            data = json.loads(options.source.read_text("utf-8"))
        except (OSError, ValueError) as error:
            parser.error(f"--from {options.source}: {error}")
    else:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that all servers are killed
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        servers, scenarios = [], chosen(options.scenario, SCENARIOS, "scenario", parser)
        for server in chosen(options.only, SERVERS, "server", parser):
            if version_of(server) is None:
                print(f"not installed, left out: {server.title}", file=sys.stderr)
            else:
                servers.append(server)
        if not servers:
            parser.error("no server to measure")
        data = record(servers, scenarios, rounds, seconds, *run(servers, scenarios, rounds, seconds))
    print(text_table(data))
    files = [(options.json, options.plot)]
    if options.write:
        files.append((HERE / "results.json", HERE / "results.svg"))
        PAGE.write_text(with_table(PAGE.read_text("utf-8"), data), "utf-8")
    for as_json, as_plot in files:
        if as_json:
            as_json.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", "utf-8")
        if as_plot:
            plot(data, as_plot)
    if options.write:
        plot(data, dark(HERE / "results.svg"), DARK)
    if options.write or options.targets:
        for words, here, met in targets(data):
            print(f"{'met    ' if met else 'NOT MET'} {words}: {here}")
    failed = any(isinstance(r["median"], str) for s in data["scenarios"] for r in s["results"].values())
    if failed:
        print("what stalled or failed is said so above", file=sys.stderr)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        progress("")
        print("interrupted; nothing was written", file=sys.stderr)
        sys.exit(130)
