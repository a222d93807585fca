"""What several labs share: a trace drawn as a sequence diagram, tables, plots, exercises.

It is not part of the package: only the notebooks in this folder import it, and they
find it because a kernel starts in the folder of its notebook.  Whatever is about the
protocol is in :mod:`wsref`; here is only how to look at it.
"""

from __future__ import annotations

import contextlib
import importlib
import re
import socket
import socketserver
import subprocess
import sys
import threading
import time
import timeit
from collections.abc import Callable, Iterable, Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

from wsref import HTTPError, WebSocketHandler
from wsref.network.tap import Tap, Tapped
from wsref.protocol.handshake import (
    complete_upgrade,
    refusal,
    upgrade_required,
    validate,
    wants_upgrade,
)
from wsref.protocol.http11 import build_response, parse_request
from wsref.protocol.url import parse_url
from wsref.wire.trace import Record, TraceTap, trace_lines

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# -- A conversation as a sequence diagram ---------------------------------------------


class Arrow(NamedTuple):
    """One thing that passed, as the diagram draws it."""

    at: float  # seconds since the first
    client: int  # its lifeline, from 0
    by_server: bool
    label: str
    wrong: bool
    end: bool  # of TCP


class Trace:
    """What passed between a server and its clients, drawn as a sequence diagram.

    ::

        trace = lab.Trace()
        with wsref.running(wsref.Echo, tap=trace.tap) as server:
            ...
        trace

    Args:
        names: What the clients are called, in the order in which they come.
    """

    def __init__(self, *names: str) -> None:
        self.seen: list[Record] = []
        self._names = names
        self._lock = threading.Lock()

    def tap(self, transport: Tapped, peer: str) -> Tap:
        """For :class:`~wsref.network.server.WebSocketServer`, and so for :func:`wsref.running`."""
        return TraceTap(peer, self._on_record)

    def _on_record(self, record: Record) -> None:
        with self._lock:
            self.seen.append(record)

    @property
    def clients(self) -> list[str]:
        """Their addresses, in the order in which they came."""
        return list(dict.fromkeys(seen.peer for seen in self.seen))

    def arrows(self) -> list[Arrow]:
        """Everything that was complete, and the end of TCP where the server saw it."""
        clients, arrows = self.clients, []
        for seen in self.seen:
            at, client = seen.at - self.seen[0].at, clients.index(seen.peer)
            for description in seen.descriptions:
                line, wrong = description.one_line, bool(description.problems)
                arrows.append(Arrow(at, client, seen.by_server, line, wrong, False))
            if not seen.data and not seen.sent:
                arrows.append(Arrow(at, client, seen.by_server, "the end of TCP", False, True))
        return arrows

    def __repr__(self) -> str:
        return "\n".join(
            line for seen in self.seen for line in trace_lines(seen) if not line.startswith("    ")
        )

    def _repr_html_(self) -> str:
        clients = self.clients
        plain = (
            ["client"] if len(clients) == 1 else [f"client {n}" for n in range(1, len(clients) + 1)]
        )
        return sequence_diagram(
            [*self._names[: len(clients)], *plain[len(self._names) :]], self.arrows()
        )


_STYLE = """\
.wsref-sequence { font: 12px system-ui, sans-serif; fill: currentColor; }
.wsref-sequence .life { stroke: currentColor; stroke-opacity: .35; stroke-dasharray: 2 4; }
.wsref-sequence .arrow { stroke: currentColor; stroke-width: 1.5; fill: none; }
.wsref-sequence .end { stroke-dasharray: 6 4; }
.wsref-sequence .wrong { stroke: #d4483a; }
.wsref-sequence text.wrong { stroke: none; fill: #d4483a; font-weight: 600; }
.wsref-sequence .box { fill: none; stroke: currentColor; stroke-opacity: .55; }
.wsref-sequence .soft { opacity: .72; }
.wsref-sequence .label { paint-order: stroke; }
"""

_ROW = 32  # pixels from one arrow to the next
_APART = 560  # pixels between a single client and the server
_MORE_APART = 150  # pixels between two clients
_CHARACTER = 6.2  # pixels: what a character of a label takes, on average


def sequence_diagram(clients: Sequence[str], arrows: Sequence[Arrow]) -> str:
    """An SVG in a ``div`` that scrolls where the page is narrow; for light and dark.

    Args:
        clients: Their names, for the lifelines; the server's is the last.
        arrows: In the order in which they are to be drawn, from the top down.
    """
    places = [120 + n * _MORE_APART for n in range(len(clients))]
    server = (places[-1] if places else 120) + (
        _APART if len(clients) < 2 else _APART - _MORE_APART
    )
    width, height = server + 60, 56 + _ROW * len(arrows) + 14
    parts = []
    for x, name in zip([*places, server], [*clients, "server"], strict=True):
        parts.append(f'<rect x="{x - 45}" y="6" width="90" height="24" rx="3" class="box"/>')
        parts.append(f'<text x="{x}" y="22" text-anchor="middle">{escape(name)}</text>')
        parts.append(f'<line x1="{x}" x2="{x}" y1="30" y2="{height - 4}" class="life"/>')
    for n, arrow in enumerate(arrows):
        parts += _draw(arrow, 56 + _ROW * n, places[arrow.client], server)
    words = "; ".join(
        f"{'server' if a.by_server else clients[a.client]}: {a.label}" for a in arrows
    )
    return (
        '<div style="overflow-x:auto">'
        '<svg xmlns="http://www.w3.org/2000/svg" class="wsref-sequence" role="img" '
        f'width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}"><title>A conversation</title><desc>{escape(words)}</desc>'
        f"<style>{_STYLE}</style>{''.join(parts)}</svg></div>"
    )


def _draw(arrow: Arrow, y: int, client: int, server: int) -> Iterator[str]:
    start, stop = (server, client) if arrow.by_server else (client, server)
    point = 8 if start < stop else -8
    style = f"arrow{' end' if arrow.end else ''}{' wrong' if arrow.wrong else ''}"
    room = int((server - client - 24) / _CHARACTER)
    label = ("✗ " if arrow.wrong else "") + arrow.label
    short = label if len(label) <= room else label[: room - 1] + "…"
    yield f'<text x="66" y="{y + 4}" text-anchor="end" class="soft">{arrow.at * 1000:.1f} ms</text>'
    yield f'<path d="M{start} {y} H{stop - point / 8:g}" class="{style}"/>'
    head = f"M{stop - point} {y - 4} L{stop} {y} L{stop - point} {y + 4}"
    yield f'<path d="{head}" class="{style.replace(" end", "")}"/>'
    wrong = " wrong" if arrow.wrong else ""
    yield (
        f'<text x="{(start + stop) / 2:g}" y="{y - 5}" text-anchor="middle" class="label{wrong}">'
        f"<title>{escape(label)}</title>{escape(short)}</text>"
    )


# -- Tables ------------------------------------------------------------------------------


class Table:
    """Rows with a heading, as HTML in a notebook and as text elsewhere.

    >>> print(Table("state what".split(), [("OPEN", "1"), ("CLOSED", "3")]))
    state   what
    OPEN    1
    CLOSED  3
    """

    def __init__(self, heading: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        self.heading = list(heading)
        self.rows = [
            [{True: "yes", False: "no"}[c] if isinstance(c, bool) else str(c) for c in row]
            for row in rows
        ]

    def __repr__(self) -> str:
        table = [self.heading, *self.rows]
        widths = [max(len(row[n]) for row in table) for n in range(len(self.heading))]
        padded = (
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            for row in table
        )
        return "\n".join(line.rstrip() for line in padded)

    def _repr_html_(self) -> str:
        cell = (
            "padding:.25em .9em .25em 0;text-align:left;vertical-align:top;background:transparent"
        )
        line = "border-top:1px solid rgba(128,128,128,.35);background:transparent"
        head = "".join(
            f'<th style="{cell}" scope="col">{escape(name)}</th>' for name in self.heading
        )
        body = "".join(
            f'<tr style="{line}">'
            + "".join(
                f'<td style="{cell};overflow-wrap:anywhere">{escape(text)}</td>' for text in row
            )
            + "</tr>"
            for row in self.rows
        )
        return (
            '<div style="overflow-x:auto"><table style="border-collapse:collapse;border:0">'
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        )


# -- Plots --------------------------------------------------------------------------------

# Okabe and Ito's colours, which people with any colour vision tell apart; for who sees or
# prints none, each line has a marker and a dash of its own too.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#000000", "#e69f00")
_MARKERS = ("o", "s", "^", "D", "v", "X")
_DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))


@contextlib.contextmanager
def plot(
    title: str, *, x: str, y: str, log: bool = False, size: tuple[float, float] = (7.5, 4.2)
) -> Iterator[Axes]:
    """Axes to draw on; the figure is shown when the block ends.

    The ground is white, in a dark page too: a transparent one would leave black letters
    on black.

    Args:
        title: What is to be seen.
        x, y: What the axes show, with units.
        log: Both axes are logarithmic.
        size: Inches.
    """
    import matplotlib.pyplot as plt
    from cycler import cycler

    figure, ax = plt.subplots(figsize=size, facecolor="white", layout="constrained")
    ax.set_prop_cycle(cycler(color=_COLOURS) + cycler(marker=_MARKERS) + cycler(linestyle=_DASHES))
    ax.set_facecolor("white")
    ax.set_title(title)
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    ax.grid(True, color="#dddddd", linewidth=0.8)
    ax.set_axisbelow(True)
    if log:
        ax.set_xscale("log")
        ax.set_yscale("log")
    try:
        yield ax
    except BaseException:
        plt.close(figure)
        raise
    if ax.get_legend_handles_labels()[1]:
        ax.legend(frameon=True, facecolor="white", framealpha=0.9)
    plt.show()


def best_time(function: Callable[[], object], seconds: float = 0.02) -> float:
    """Seconds that a call takes: the best of three runs of at least ``seconds`` together.

    The best, because whatever else the machine does can only make it slower.
    """
    timer = timeit.Timer(function)
    once = max(timer.timeit(1), 1e-9)
    number = max(1, int(seconds / 3 / once))
    return min(once, *(timer.timeit(number) / number for _ in range(3)))


# -- Raw bytes, and what the server keeps ---------------------------------------------------


def exchange(url: str, data: bytes, *, patience: float = 1.0) -> bytes:
    """Send bytes over plain TCP, and give all that comes back.

    Args:
        url: ``ws://host:port``; its path is of no interest.
        data: What to send, as it is.
        patience: Seconds.  A server that has not hung up is silent for so long: then that
            was all.
    """
    where = parse_url(url)
    with socket.create_connection((where.host, where.port), timeout=patience) as sock:
        sock.sendall(data)
        answer = b""
        with contextlib.suppress(TimeoutError, ConnectionError):
            while piece := sock.recv(65536):
                answer += piece
        return answer


def handshake(path: str = "/", *more: str) -> bytes:
    r"""A client's opening handshake with RFC 6455 §1.3's key, as bytes.

    >>> handshake("/chat").splitlines()[0]
    b'GET /chat HTTP/1.1'
    """
    head = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1", "Upgrade: websocket", "Connection: Upgrade"]
    head += ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13", *more]
    return "".join(line + "\r\n" for line in [*head, ""]).encode()


class Sleeper:
    """A client that is connected, and reads nothing until it is woken.

    ::

        with lab.Sleeper(url) as client:
            ...
            client.wake()

    Args:
        url: As for :func:`exchange`.
        buffer: Bytes that the kernel may keep for it, more or less.

    Attributes:
        socket: Past the 101.

    Raises:
        OSError: there is no server, or one that does not answer 101.
    """

    def __init__(self, url: str, *, buffer: int = 8192) -> None:
        where = parse_url(url)
        self._reader: threading.Thread | None = None
        self.socket = socket.socket()
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
            self.socket.settimeout(5)
            self.socket.connect((where.host, where.port))
            self.socket.sendall(handshake())
            answer = b""
            while not answer.endswith(b"\r\n\r\n"):  # no more than the head, so byte by byte
                piece = self.socket.recv(1)
                if not piece:
                    raise ConnectionError(f"the server hung up after {answer!r}")
                answer += piece
            if not answer.startswith(b"HTTP/1.1 101 "):
                raise ConnectionError(f"the server did not answer 101: {answer!r}")
        except BaseException:
            self.socket.close()
            raise

    def wake(self) -> None:
        """Read from now on, as fast as it goes, and throw away what comes."""
        if self._reader is None:
            self._reader = threading.Thread(target=self._read, daemon=True)
            self._reader.start()

    def _read(self) -> None:
        self.socket.settimeout(None)
        with contextlib.suppress(OSError):
            while self.socket.recv(1 << 20):
                pass

    def __enter__(self) -> Sleeper:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # the server may have cut it
            self.socket.shutdown(socket.SHUT_RDWR)  # this, and not close, ends a recv that waits
        if self._reader is not None:
            self._reader.join()
        self.socket.close()


def backlog(handler: WebSocketHandler) -> int:
    """Bytes of broadcasts that the server keeps for a client that does not read.

    It has no public name: a program learns from
    :meth:`~wsref.network.server.WebSocketServer.broadcast` which clients lag behind, and needs
    no number.
    """
    transport = handler._transport
    return transport.queue.size + len(transport._unsent)


#: A conversation: it is given ``receive() -> bytes`` and ``send(bytes)``.
Talk = Callable[[Callable[[], bytes], Callable[[bytes], None]], object]


class _Speaking(socketserver.ThreadingTCPServer):
    """A server whose handshake is wsref's, and whose conversation is yours."""

    allow_reuse_address = daemon_threads = True

    def __init__(self, talk: Talk, patience: float) -> None:
        super().__init__(("127.0.0.1", 0), _Conversation)
        self.talk = talk
        self.patience = patience

    @property
    def url(self) -> str:
        """``ws://host:port``."""
        return "ws://{}:{}".format(*self.server_address)


class _Conversation(socketserver.BaseRequestHandler):
    """One connection of it."""

    server: _Speaking

    def handle(self) -> None:
        """Answer the request; after a 101, let the conversation begin."""
        sock: socket.socket = self.request
        sock.settimeout(self.server.patience)
        data, ended = b"", False
        with contextlib.suppress(ConnectionError, TimeoutError):
            try:
                while (parsed := parse_request(data)) is None:
                    piece = sock.recv(65536)
                    if not piece:
                        return
                    data += piece
                request, end = parsed
                data = data[end:]  # what came behind the request
                if not wants_upgrade(request):
                    return sock.sendall(build_response(upgrade_required(request)))
                validate(request)
            except HTTPError as error:
                return sock.sendall(build_response(refusal(error)))
            sock.sendall(build_response(complete_upgrade(request)))

            def receive() -> bytes:
                nonlocal data, ended
                if ended:
                    raise EOFError("receive was called again after it had given b''")
                received, data = data, b""
                if not received:
                    with contextlib.suppress(ConnectionError, TimeoutError):
                        received = sock.recv(65536)
                ended = not received
                return received

            self.server.talk(receive, sock.sendall)

    def finish(self) -> None:
        """End TCP in stages, or a RST may overtake the last bytes."""
        with contextlib.suppress(OSError):
            self.request.shutdown(socket.SHUT_WR)
            self.request.settimeout(1)
            while self.request.recv(65536):
                pass


@contextlib.contextmanager
def speaking(talk: Talk, *, patience: float = 5.0) -> Iterator[_Speaking]:
    """Run a server whose handshake is wsref's, and whose conversation is yours.

    Args:
        talk: Called when the 101 has been sent; when it returns, TCP is ended.  Its
            ``receive`` gives what comes next, b"" at the end; asked again after that, it
            raises EOFError, as a loop that does not look for the end would run for ever.
        patience: Seconds.  A client that says nothing for so long has gone.
    Yields:
        The server; it has a ``url``.
    """
    with _Speaking(talk, patience) as server:
        accepting = threading.Thread(target=server.serve_forever, args=(0.02,))
        accepting.start()
        try:
            yield server
        finally:
            server.shutdown()
            accepting.join()


@contextlib.contextmanager
def server_process(*flags: str) -> Iterator[tuple[str, Any]]:
    """``python -m wsref`` in a process of its own, which shares neither memory nor lock with us.

    Args:
        flags: For ``serve``.
    Yields:
        Its URL, and what ``psutil`` knows of it: ``process.memory_info().rss``, bytes,
        ``process.num_threads()``.
    """
    psutil: Any = importlib.import_module("psutil")  # ipykernel brings it; it has no type hints
    command = [sys.executable, "-m", "wsref", "serve", "--port", "0", "--log-level", "error"]
    pipe = subprocess.PIPE
    with subprocess.Popen([*command, *flags], stdout=pipe, stderr=pipe, text=True) as child:
        try:
            assert child.stdout is not None and child.stderr is not None  # they are pipes
            found = re.search(r"http://([^/\s]+)", child.stdout.readline())
            if not found:
                raise RuntimeError(f"python -m wsref did not start: {child.stderr.read()}")
            yield f"ws://{found[1]}", psutil.Process(child.pid)
        finally:
            child.terminate()  # and leaving the block waits for it


@contextlib.contextmanager
def pair() -> Iterator[tuple[socket.socket, bytearray]]:
    """A socket to send on, and what comes out of its other end: all, once the block has ended.

    >>> with pair() as (sock, came):
    ...     sock.sendall(b"Hello")
    >>> came
    bytearray(b'Hello')
    """
    ours, theirs = socket.socketpair()
    came = bytearray()

    def read() -> None:
        while piece := theirs.recv(1 << 20):
            came.extend(piece)

    reader = threading.Thread(target=read)
    with ours, theirs:
        reader.start()
        try:
            yield ours, came
        finally:
            ours.shutdown(socket.SHUT_RDWR)
            reader.join()


def until(true: Callable[[], object], seconds: float = 5.0) -> None:
    """Wait for what another thread does.

    Raises:
        TimeoutError: it did not.
    """
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:g} s in vain")
        time.sleep(0.002)


# -- Exercises ------------------------------------------------------------------------------


@contextlib.contextmanager
def exercise(title: str) -> Iterator[None]:
    """Says whether the assertions in the block hold, and if not, what is missing.

    Nothing is raised, so that "run all" reaches the end while an exercise is undone.

    >>> with exercise("One"):
    ...     assert 1 + 1 == 3, "1 + 1 is not 3"
    ✗ One: not yet. 1 + 1 is not 3
    >>> with exercise("Two"):
    ...     assert 1 + 1 == 2
    ✓ Two: right.
    """
    try:
        yield
    except AssertionError as error:
        print(f"✗ {title}: not yet. {str(error) or 'an assertion without words failed'}")
    except Exception as error:
        print(f"✗ {title}: not yet. It raised {type(error).__name__}: {error}")
    else:
        print(f"✓ {title}: right.")


def same(got: Any, wanted: Any, what: str) -> None:
    """An assertion that says what came instead.

    >>> with exercise("Three"):
    ...     same(b"a", b"b", "the first byte")
    ✗ Three: not yet. the first byte: wanted b'b', got b'a'
    """
    if got is None or got is ...:
        got = "nothing: is there a return?" if wanted is not None else got
    assert got == wanted, f"{what}: wanted {_short(wanted)}, got {_short(got)}"


def _short(value: object) -> str:
    text = value if isinstance(value, str) and value.startswith("nothing") else repr(value)
    return text if len(text) <= 160 else text[:157] + "..."
