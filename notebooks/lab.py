"""Tools that the labs share: a sequence diagram, tables, plots, raw clients, exercises.

The package does not contain this module.  Notebooks import it because a kernel starts in the
folder of its notebook.  The protocol itself is in :mod:`wsref`.
"""

from __future__ import annotations

import contextlib
import importlib
import re
import socket
import subprocess
import sys
import threading
import time
import timeit
import types
from collections.abc import Callable, Iterable, Iterator, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from wsref import WebSocketHandler
from wsref.network.tap import Tap, Tapped
from wsref.protocol.url import parse_url
from wsref.wire.trace import Record, TraceTap, trace_lines

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# -- A conversation as a sequence diagram ---------------------------------------------


class Arrow(NamedTuple):
    """One arrow of the diagram: a head, a frame, or the end of TCP."""

    at: float  # seconds since the first arrow
    client: int  # the number of its lifeline, from 0
    by_server: bool
    label: str
    wrong: bool  # it breaks a rule
    end: bool  # it is the end of TCP


class Trace:
    """A recorded conversation between a server and its clients, drawn as a sequence diagram.

    ::

        trace = lab.Trace()
        with wsref.running(wsref.Echo, tap=trace.tap) as server:
            ...
        trace

    Args:
        names: Names for the clients, in the order in which they connect.

    Attributes:
        seen: The records so far.
    """

    def __init__(self, *names: str) -> None:
        self.seen: list[Record] = []
        self._names = names
        self._lock = threading.Lock()

    def tap(self, transport: Tapped, peer: str) -> Tap:
        """Return the tap of one connection: the argument ``tap`` of :func:`wsref.running`."""
        return TraceTap(peer, self._on_record)

    def _on_record(self, record: Record) -> None:
        with self._lock:
            self.seen.append(record)

    @property
    def clients(self) -> list[str]:
        """The addresses of the clients, in the order in which they connected."""
        return list(dict.fromkeys(seen.peer for seen in self.seen))

    def arrows(self) -> list[Arrow]:
        """Return an arrow for each complete head and frame, and for each client's end of TCP."""
        clients, arrows = self.clients, []
        for seen in self.seen:
            at, client = seen.at - self.seen[0].at, clients.index(seen.peer)
            for description in seen.descriptions:
                line, wrong = description.one_line, bool(description.problems)
                arrows.append(Arrow(at, client, seen.by_server, line, wrong, False))
            if seen.is_end:
                arrows.append(Arrow(at, client, seen.by_server, "the end of TCP", False, True))
        return arrows

    def __repr__(self) -> str:
        return "\n".join(
            line for seen in self.seen for line in trace_lines(seen) if not line.startswith("    ")
        )

    def _repr_html_(self) -> str:
        count = len(self.clients)
        names = ["client"] if count == 1 else [f"client {n}" for n in range(1, count + 1)]
        names[: len(self._names)] = self._names[:count]
        return sequence_diagram(names, self.arrows())


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
_TO_SERVER = 560  # pixels between a single client and the server
_TO_CLIENT = 150  # pixels between two clients
_CHARACTER = 6.2  # pixels: the average width of a character of a label


def sequence_diagram(clients: Sequence[str], arrows: Sequence[Arrow]) -> str:
    """Return an SVG in a ``div`` that scrolls on a narrow page.  It suits light and dark pages.

    Args:
        clients: The names of the clients' lifelines, from the left.  The server is on the right.
        arrows: The arrows, from the top down.
    """
    places = [120 + n * _TO_CLIENT for n in range(max(1, len(clients)))]
    server = places[-1] + (_TO_SERVER if len(places) == 1 else _TO_SERVER - _TO_CLIENT)
    width, height = server + 60, 56 + _ROW * len(arrows) + 14
    parts = []
    for x, name in zip([*places[: len(clients)], server], [*clients, "server"], strict=True):
        parts.append(f'<rect x="{x - 45}" y="6" width="90" height="24" rx="3" class="box"/>')
        parts.append(f'<text x="{x}" y="22" text-anchor="middle">{escape(name)}</text>')
        parts.append(f'<line x1="{x}" x2="{x}" y1="30" y2="{height - 4}" class="life"/>')
    for n, arrow in enumerate(arrows):
        parts += _draw(arrow, 56 + _ROW * n, places[arrow.client], server)
    words = "; ".join(
        f"{'server' if a.by_server else clients[a.client]}: {a.label}" for a in arrows
    )
    return (
        '<div style="overflow-x:auto;padding-top:.75em">'
        '<svg xmlns="http://www.w3.org/2000/svg" class="wsref-sequence" role="img" '
        f'width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}"><title>A conversation</title><desc>{escape(words)}</desc>'
        f"<style>{_STYLE}</style>{''.join(parts)}</svg></div>"
    )


def _draw(arrow: Arrow, y: int, client: int, server: int) -> Iterator[str]:
    """Yield the parts of one arrow: its time, line, head and label."""
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


_CELL = (
    "padding:.25em .9em .25em 0;text-align:left;vertical-align:top;white-space:pre-line;"
    "background:transparent"
)


class Table:
    """A table that a notebook shows as HTML, and a terminal as text.

    Args:
        heading: The names of the columns.
        rows: One sequence of cells for each row.  True and False become "yes" and "no".

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
        line = "border-top:1px solid rgba(128,128,128,.35);background:transparent"
        head = "".join(f'<th style="{_CELL}" scope="col">{escape(n)}</th>' for n in self.heading)
        body = "".join(
            f'<tr style="{line}">{"".join(map(self._cell, row))}</tr>' for row in self.rows
        )
        return (
            '<div style="overflow-x:auto"><table style="border-collapse:collapse;border:0">'
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        )

    @staticmethod
    def _cell(text: str) -> str:
        """Return a cell as HTML.  Only words that are longer than any English one may be cut."""
        wrap = "anywhere" if any(len(word) > 24 for word in text.split()) else "normal"
        return f'<td style="{_CELL};overflow-wrap:{wrap}">{escape(text)}</td>'


# -- Plots --------------------------------------------------------------------------------

# Okabe and Ito's colours suit every kind of colour vision.  Markers and dashes distinguish the
# lines on a black-and-white print.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#000000", "#e69f00")
_MARKERS = ("o", "s", "^", "D", "v", "X")
_DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))


@contextlib.contextmanager
def plot(
    title: str, *, x: str, y: str, log: bool = False, size: tuple[float, float] = (7.5, 4.2)
) -> Iterator[Axes]:
    """Yield the axes of a figure, and show the figure when the block ends.

    The background is white on a dark page, too: the letters are black.

    Args:
        title: The title of the figure.
        x, y: The labels of the axes, with units.
        log: Whether both axes are logarithmic.
        size: Width and height in inches.
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
    """Return the seconds that one call takes, at best.

    It measures three runs and returns the fastest: other programs can only slow a call down.

    Args:
        function: The function to call.
        seconds: The rough length of the three runs together.
    """
    timer = timeit.Timer(function)
    once = max(timer.timeit(1), 1e-9)
    number = max(1, int(seconds / 3 / once))
    return min(once, *(timer.timeit(number) / number for _ in range(3)))


# -- Raw clients and servers ----------------------------------------------------------------


def exchange(url: str, data: bytes, *, patience: float = 1.0) -> bytes:
    """Send bytes over plain TCP, and return all bytes that come back.

    Args:
        url: ``ws://host:port``; the path does not matter.
        data: The bytes to send.
        patience: Seconds without a byte after which the server has said everything.
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
    r"""Return a client's opening handshake, with the key of RFC 6455 §1.3.

    Args:
        path: The target of the request.
        more: More header lines.

    >>> handshake("/chat").splitlines()[0]
    b'GET /chat HTTP/1.1'
    """
    head = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1", "Upgrade: websocket", "Connection: Upgrade"]
    head += ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13", *more]
    return "".join(line + "\r\n" for line in [*head, ""]).encode()


class Sleeper:
    """A connected client that reads nothing until it is woken.

    ::

        with lab.Sleeper(url) as client:
            ...
            client.wake()

    Args:
        url: As for :func:`exchange`.
        buffer: The size of the kernel's receive buffer in bytes, roughly.

    Attributes:
        socket: The connection, after the 101.

    Raises:
        OSError: There is no server, or it does not answer 101.
    """

    def __init__(self, url: str, *, buffer: int = 8192) -> None:
        where = parse_url(url)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self.socket = socket.socket()
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
            self.socket.settimeout(5)
            self.socket.connect((where.host, where.port))
            self.socket.sendall(handshake())
            answer = b""
            while not answer.endswith(b"\r\n\r\n"):  # byte by byte: frames may follow the head
                if not (byte := self.socket.recv(1)):
                    raise ConnectionError(f"the server closed TCP after {answer!r}")
                answer += byte
            if not answer.startswith(b"HTTP/1.1 101 "):
                raise ConnectionError(f"the server did not answer 101: {answer!r}")
        except BaseException:
            self.socket.close()
            raise

    def wake(self) -> None:
        """Read from now on, in a thread, and discard the bytes.  Idempotent."""
        if self._reader.ident is None:  # not started yet
            self._reader.start()

    def _read(self) -> None:
        self.socket.settimeout(None)
        with contextlib.suppress(OSError):
            while self.socket.recv(1 << 20):
                pass

    def __enter__(self) -> Sleeper:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # the server may have aborted the connection
            self.socket.shutdown(socket.SHUT_RDWR)  # unlike close, it ends a recv that waits
        if self._reader.ident is not None:
            self._reader.join()
        self.socket.close()


def backlog(handler: WebSocketHandler) -> int:
    """Return the bytes of broadcasts that the server keeps for a client that does not read.

    A program needs no such number, so wsref has no public name for it:
    :meth:`~wsref.network.server.WebSocketServer.broadcast` returns the clients that lag behind.
    """
    transport = handler._transport
    return transport.queue.size + len(transport._unsent)


@contextlib.contextmanager
def running_file(path: str | Path) -> Iterator[str]:
    """Run a program that was written with the book, on a free port and without its log.

    Args:
        path: A Python file with a ``Server`` and a ``Handler``.  ``~`` is the home folder.
    Yields:
        The URL of the server.
    Raises:
        AttributeError: The file has no ``Server`` or no ``Handler``.
        OSError: There is no such file.
    """
    path = Path(path).expanduser()
    program: Any = types.ModuleType(path.stem)  # not __main__: the end of the file does not run
    program.__file__, program.print = str(path), lambda *_, **__: None
    exec(compile(path.read_bytes(), path, "exec"), vars(program))
    with program.Server(("127.0.0.1", 0), program.Handler) as server:
        accepting = threading.Thread(target=server.serve_forever, args=(0.02,))
        accepting.start()
        try:
            yield "ws://{}:{}/".format(*server.server_address)
        finally:
            server.shutdown()
            accepting.join()


@contextlib.contextmanager
def server_process(*flags: str) -> Iterator[tuple[str, Any]]:
    """Run ``python -m wsref`` in another process, which shares no memory and no lock with ours.

    Args:
        flags: Options of ``python -m wsref serve``.
    Yields:
        The URL of the server, and its process as an object of ``psutil``:
        ``process.memory_info().rss`` is its memory in bytes, ``process.num_threads()`` the
        number of its threads.
    Raises:
        RuntimeError: The server did not start.
    """
    psutil: Any = importlib.import_module("psutil")  # comes with ipykernel, without type hints
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
            child.terminate()  # the end of the block waits for it


@contextlib.contextmanager
def pair() -> Iterator[tuple[socket.socket, bytearray]]:
    """Yield a socket, and a bytearray that collects all bytes sent on it.

    The bytearray is complete when the block has ended.

    >>> with pair() as (sock, received):
    ...     sock.sendall(b"Hello")
    >>> received
    bytearray(b'Hello')
    """
    ours, theirs = socket.socketpair()
    received = bytearray()

    def read() -> None:
        while piece := theirs.recv(1 << 20):
            received.extend(piece)

    reader = threading.Thread(target=read)
    with ours, theirs:
        reader.start()
        try:
            yield ours, received
        finally:
            ours.shutdown(socket.SHUT_RDWR)
            reader.join()


def until(condition: Callable[[], object], what: str, seconds: float = 5.0) -> None:
    """Wait until a condition is true, as after the work of another thread.

    Args:
        condition: Called again and again.
        what: The awaited event, for the error.
        seconds: The longest time to wait.
    Raises:
        TimeoutError: The condition is still false.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:g} s for {what}")
        time.sleep(0.002)


# -- Exercises ------------------------------------------------------------------------------


@contextlib.contextmanager
def exercise(title: str) -> Iterator[None]:
    """Print whether the assertions in the block hold, and the first one that does not.

    No error leaves the block, so that "run all" gets past an exercise that is not done yet.

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
        print(f"✗ {title}: not yet. {str(error) or 'an assertion failed'}")
    except Exception as error:
        print(f"✗ {title}: not yet. It raised {type(error).__name__}: {error}")
    else:
        print(f"✓ {title}: right.")


def same(got: Any, wanted: Any, what: str) -> None:
    """Assert that two values are equal, and name both if not.

    >>> with exercise("Three"):
    ...     same(b"a", b"b", "the first byte")
    ✗ Three: not yet. the first byte: wanted b'b', got b'a'
    """
    received = "None (is there a return?)" if got is None else _short(got)
    assert got == wanted, f"{what}: wanted {_short(wanted)}, got {received}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 160 else text[:157] + "..."
