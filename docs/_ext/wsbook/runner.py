r"""Runs the commands and programs of the book, and makes their output the same in every build.

It runs commands (:func:`run_commands`), a program (:func:`run_program`), or bytes sent and
received on a socket (:func:`exchange`).  Each may have a server, started before it and stopped
after it.  Everything runs on loopback, in an empty directory, with a deadline.  A result that
the page does not expect raises :class:`Failed`, which fails the build.

Some values differ from one build to the next.  :func:`normalise` makes them the same:

- *Ports.*  The pages say 8765.  The server listens on any free port of four digits (four, so
  that no length changes).  The number is put into a command before it runs, and replaced in its
  output.  The ports of clients become 50001, 50002 and so on.
- *Times.*  A time of day becomes 12:00:00, a ``Date`` header the first of January 2026.
- *Random bytes.*  Programs get them from a fixed sequence (``fixed/sitecustomize.py``).

Everything else stays as it is.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]  # the checkout
EXAMPLES = ROOT / "docs" / "examples"
NODE = ROOT / "docs" / "node"
CLIENT = ROOT / "wsref" / "steps" / "client.py"
FIXED = HERE / "fixed"

SHOWN_PORT = 8765  # the port on the pages
TIMEOUT = 20.0  # seconds, for one command
LONGEST = 120.0  # seconds: the maximum that a page may ask for
QUIET = 0.2  # seconds without a line, after which a server's log is whole
SILENCE = 0.4  # seconds without a byte that `< nothing` waits for

if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))


class Failed(Exception):
    """A command, program or exchange did not do what its page says."""


# -- The same in every build ------------------------------------------------------


def normalise(text: str, port: int = SHOWN_PORT) -> str:
    r"""Make output the same in every build; see the top of this module.

    Args:
        text: The output of a program.
        port: The port of its server.

    >>> normalise("16:42:40.923 127.0.0.1:52032 connected to ws://127.0.0.1:9001/echo", 9001)
    '12:00:00.000 127.0.0.1:50001 connected to ws://127.0.0.1:8765/echo'
    >>> normalise("Date: Tue, 24 Nov 2026 08:16:00 GMT\r\n")
    'Date: Thu, 01 Jan 2026 12:00:00 GMT\n'
    """
    text = text.replace("\r\n", "\n")
    text = re.sub(rf"(?<![0-9]){port}(?![0-9])", str(SHOWN_PORT), text)
    text = re.sub(
        r"[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT", "Thu, 01 Jan 2026 12:00:00 GMT", text
    )
    text = re.sub(r"(?<![0-9:])[0-2][0-9]:[0-5][0-9]:[0-5][0-9](?![0-9:])", "12:00:00", text)
    text = re.sub(r"(?<=12:00:00[.,])[0-9]+", lambda found: "0" * len(found[0]), text)
    clients: dict[str, str] = {}

    def client(found: re.Match[str]) -> str:
        if found[2] == str(SHOWN_PORT):
            return found[0]
        return found[1] + clients.setdefault(found[2], str(50001 + len(clients)))

    return re.sub(r"(127\.0\.0\.1:|\[::1\]:)([0-9]{4,5})(?![0-9])", client, text)


def plain(text: str) -> str:
    r"""Remove a terminal's escape codes.

    >>> plain("\x1b[31mred\x1b[0m")
    'red'
    """
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def shortened(text: str, head: int | None = None, tail: int | None = None) -> str:
    r"""Return the first and the last lines, with ``...`` for the others.

    >>> shortened("1\n2\n3\n4\n", head=1, tail=1)
    '1\n...\n4\n'
    """
    if head is None and tail is None:
        return text
    lines = text.splitlines()
    if len(lines) <= (head or 0) + (tail or 0):
        return text
    kept = [*lines[: head or 0], "...", *(lines[-tail:] if tail else [])]
    return "\n".join(kept) + "\n"


# -- A place to run in ---------------------------------------------------------------


@functools.cache
def written_numbers() -> frozenset[int]:
    """Return the numbers of four digits in the package and on the pages.

    If 9110 were a server's port, :func:`normalise` would make "RFC 8765" of "RFC 9110".
    """
    files = [*(ROOT / "wsref").rglob("*.py"), *(ROOT / "docs").rglob("*.md"), *EXAMPLES.glob("*.py")]
    texts = (file.read_text("utf-8", "replace") for file in files)
    return frozenset(int(number) for text in texts for number in re.findall(r"(?<!\d)\d{4}(?!\d)", text))


def hold_port() -> socket.socket:
    """Return a socket that holds a free port of four digits for one server until the socket is closed.

    The socket does not listen, and ``SO_REUSEADDR`` lets the server share its port.  The option comes
    after ``bind``: a port that another program holds, another build for example, is not free.
    """
    for _ in range(200):
        port = random.randrange(SHOWN_PORT + 1, 10_000)
        if port in written_numbers():
            continue
        holder = socket.socket()
        try:
            holder.bind(("127.0.0.1", port))
        except OSError:
            holder.close()
        else:
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            return holder
    raise Failed("no port of four digits is free")


@contextlib.contextmanager
def workplace() -> Iterator[tuple[Path, dict[str, str]]]:
    """Yield a directory with ``client.py``, copies of ``docs/examples`` and ``docs/node``, and an environment.

    ``python`` is the interpreter of the build, ``wsref`` is this checkout.  The user's settings
    have no effect: no colour, no proxies, the C.UTF-8 locale, 80 columns.
    """
    with tempfile.TemporaryDirectory(prefix="wsref-book-") as folder:
        here = Path(folder)
        if EXAMPLES.is_dir():
            shutil.copytree(EXAMPLES, here, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(NODE, here / NODE.relative_to(ROOT))
        shutil.copy(CLIENT, here)  # as a reader has it; `-m wsref.steps.client` takes 0.1 s a case, this 0.04
        programs = here / ".bin"
        programs.mkdir()
        for name in ("python", "python3"):
            script = programs / name
            script.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
            script.chmod(0o755)
        if shutil.which("curl") is None:
            script = programs / "curl"
            script.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{FIXED / "curl.py"}" "$@"\n')
            script.chmod(0o755)
        (here / ".curlrc").write_text("no-progress-meter\n")  # as on a terminal
        environment = {
            "PATH": f"{programs}:{os.environ.get('PATH', os.defpath)}",
            "PYTHONPATH": f"{FIXED}:{ROOT}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
            "PYTHONHASHSEED": "0",
            "HOME": folder,
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
            "COLUMNS": "80",
            "NO_COLOR": "1",
        }
        yield here, environment


class Server:
    """A server that runs while the commands of a page run."""

    def __init__(self, command: str, here: Path, environment: dict[str, str]) -> None:
        self._holder = hold_port()
        self.port: int = self._holder.getsockname()[1]
        self.command = with_port(command, self.port)
        self.said: list[str] = []  # lines of standard output and standard error
        self._process = subprocess.Popen(
            ["bash", "-c", f"exec {self.command}"],
            cwd=here,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self._wait_until_it_listens()
        except BaseException:
            self.stop()
            raise

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.said.append(line)

    def _wait_until_it_listens(self) -> None:
        deadline = time.monotonic() + TIMEOUT
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                self._reader.join(1)
                raise Failed(f"the server ended with {self._process.returncode}: {self.command}\n{''.join(self.said)}")
            # A test connection would appear in the log.
            if f":{self.port}" in "".join(self.said):
                return
            time.sleep(0.01)
        raise Failed(f"the server did not name its port {self.port} in {TIMEOUT:g} s: {self.command}")

    def settle(self) -> None:
        """Wait until the server writes nothing for :data:`QUIET`: it may log an answer after the client has it."""
        lines = -1
        while lines < len(self.said):
            lines = len(self.said)
            time.sleep(QUIET)

    def stop(self, *, settled: bool = False) -> str:
        """End the server, if it still runs, and return its whole output; ``settled``: when its log is quiet."""
        if settled:
            self.settle()
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._holder.close()
        self._reader.join(2)
        if self._process.stdout is not None and not self._reader.is_alive():
            self._process.stdout.close()
        return "".join(self.said)


def with_port(text: str, port: int) -> str:
    """Replace the port of the pages by the actual one.

    >>> with_port("ws://127.0.0.1:8765/ 18765", 9000)
    'ws://127.0.0.1:9000/ 18765'
    """
    return re.sub(rf"(?<![0-9]){SHOWN_PORT}(?![0-9])", str(port), text)


def server_command(step: int | None, server: str | None) -> str | None:
    """Return the command for the server of a page; None for a page without a server."""
    if server is not None:
        return server
    if step is None:
        return None
    return f"python -m wsref --port {SHOWN_PORT}" + (f" --step {step}" if step else "")


@contextlib.contextmanager
def around(command: str | None, here: Path, environment: dict[str, str]) -> Iterator[Server | None]:
    """Run a server, if there is a command for it."""
    if command is None:
        yield None
        return
    server = Server(command, here, environment)
    try:
        yield server
    finally:
        server.stop()


# -- Commands ---------------------------------------------------------------------


@dataclass
class Shown:
    """A command, or one side of an exchange, with its output."""

    command: str
    output: str


def split_commands(text: str) -> list[str]:
    r"""Return the commands of a transcript: each begins with ``$``, and may continue after ``\`` or ``>``.

    >>> split_commands("$ echo a\n$ echo b \\\n    c\n")
    ['echo a', 'echo b \\\n    c']
    """
    commands: list[str] = []
    for line in text.strip("\n").splitlines():
        if line.startswith("$ "):
            commands.append(line[2:])
        elif commands and line.strip():
            commands[-1] += "\n" + line
        elif line.strip():
            raise Failed(f"a transcript's line begins with '$ ' or continues such a line, not {line!r}")
    if not commands:
        raise Failed("a transcript without a command: a line that begins with '$ '")
    return commands


def run_commands(
    commands: Sequence[str],
    *,
    server: str | None = None,
    exits: Sequence[int] = (0,),
    timeout: float = TIMEOUT,
    stdin: str = "",
    log: bool = True,
) -> tuple[list[Shown], str]:
    """Run commands one after another, in one directory.

    Args:
        commands: For bash.
        server: The command of a server to run around them.
        exits: The expected exit code of each; the last one is for the rest.
        timeout: Seconds, for each.
        stdin: The standard input of each.
        log: Wait until the server has written its log.
    Returns:
        The commands with their output, and the output of the server.
    Raises:
        Failed: An unexpected exit code, or a timeout.
    """
    done: list[Shown] = []
    with workplace() as (here, environment), around(server, here, environment) as running:
        port = running.port if running else SHOWN_PORT
        for n, command in enumerate(commands):
            expected = exits[min(n, len(exits) - 1)]
            output, code = _run(["bash", "-c", with_port(command, port)], here, environment, timeout, stdin)
            if code != expected:
                raise Failed(f"exit code {code}, not {expected}: $ {command}\n{output}")
            done.append(Shown(command, plain(output)))
        said = running.stop(settled=log) if running else ""
    # Normalised together, so that a client has the same port in all of them.
    mark = "\x00"
    texts = normalise(mark.join([*(shown.output for shown in done), said]), port).split(mark)
    return [Shown(shown.command, text) for shown, text in zip(done, texts, strict=False)], plain(texts[-1])


def _run(
    command: list[str], here: Path, environment: dict[str, str], timeout: float, stdin: str = ""
) -> tuple[str, int]:
    process = subprocess.Popen(
        command,
        cwd=here,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(stdin, timeout=min(timeout, LONGEST))
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        raise Failed(f"still running after {timeout:g} s: {' '.join(command)}\n{output}") from None
    return output, process.returncode


def run_program(
    source: str, *, server: str | None = None, exit_code: int = 0, timeout: float = TIMEOUT, log: bool = True
) -> tuple[str, str]:
    """Run a Python program, and return its output and the server's, with ``log`` the whole of it."""
    with workplace() as (here, environment), around(server, here, environment) as running:
        port = running.port if running else SHOWN_PORT
        (here / "program.py").write_text(with_port(source, port), "utf-8")
        output, code = _run([sys.executable, "program.py"], here, environment, timeout)
        if code != exit_code:
            raise Failed(f"exit code {code}, not {exit_code}, of this program:\n{source}\n{output}")
        said = running.stop(settled=log) if running else ""
    text, said = normalise(f"{plain(output)}\x00{plain(said)}", port).split("\x00")
    return text, said


# -- Bytes ------------------------------------------------------------------------------

#: The request for ``:open:``, which the page does not show.
HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class Wire:
    """A socket whose every read has a deadline."""

    def __init__(self, port: int, timeout: float) -> None:
        self.deadline = time.monotonic() + timeout
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.buffer = b""
        self.reset = False

    def more(self) -> bool:
        """Read once; return False at the end."""
        self.socket.settimeout(max(self.deadline - time.monotonic(), 0.001))
        try:
            piece = self.socket.recv(65536)
        except TimeoutError:
            raise Failed(f"no more bytes in time after {self.buffer!r}") from None
        except ConnectionResetError:
            self.reset = True
            return False
        self.buffer += piece
        return bool(piece)

    def take(self, end: Callable[[bytes], int | None], what: str) -> bytes:
        """Read until ``end`` finds the end of the expected bytes, and return them."""
        while (at := end(self.buffer)) is None:
            if not self.more():
                raise Failed(f"the server closed the connection before {what} was complete; got {self.buffer!r}")
        taken, self.buffer = self.buffer[:at], self.buffer[at:]
        return taken


def end_of_answer(data: bytes) -> int | None:
    r"""Return where an HTTP answer ends, with its body.

    >>> end_of_answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi...")
    40
    """
    head, found, _ = data.partition(b"\r\n\r\n")
    if not found:
        return None
    length = re.search(rb"(?im)^content-length: *([0-9]+)", head)
    end = len(head) + 4 + (int(length[1]) if length else 0)
    return end if len(data) >= end else None


def end_of_frame(data: bytes) -> int | None:
    """Return where a frame ends.

    >>> end_of_frame(bytes.fromhex("8102686989"))
    4
    """
    if len(data) < 2:
        return None
    length, at = data[1] & 127, 2
    if length > 125:
        at += 2 if length == 126 else 8
        length = int.from_bytes(data[2:at], "big")
    at += length + (4 if data[1] & 128 else 0)
    return at if len(data) >= at else None


def exchange(
    script: str,
    *,
    server: str,
    opened: str | None = None,
    handshake: str = HANDSHAKE,
    timeout: float = TIMEOUT,
    log: bool = True,
) -> tuple[list[Shown], str]:
    """Send and receive the lines of a script.

    Args:
        script: Lines.  ``> text`` sends a line of HTTP with CR LF.  After the 101, ``> 81 85 ...``
            sends bytes in hex, with a comment after ``#``; ``>> 81 85 ...`` does so before the 101.
            ``< answer`` reads an HTTP answer, ``< frame`` one frame, ``< end`` the end of the
            connection, and ``< nothing`` checks that no byte arrives.
        server: The command of the server.
        opened: Do the opening handshake at this path first, without showing it.
        handshake: The request of that handshake.
        timeout: Seconds, for the whole script.
        log: Wait until the server has written its log.
    Returns:
        The lines to show, each with its side (``>``, ``<`` or ``""``), and the server's log.
    Raises:
        Failed: An unexpected result, or a timeout.
    """
    from wsref.wire.describe import Explainer

    lines: list[Shown] = []
    with workplace() as (here, environment), around(server, here, environment) as running:
        assert running is not None
        port = running.port
        wire = Wire(port, timeout)
        ours, theirs = Explainer(masked=None), Explainer(masked=None)
        with wire.socket:
            framed = opened is not None
            if opened is not None:
                wire.socket.sendall(handshake.format(path=opened, port=port).encode())
                answer = wire.take(end_of_answer, "the answer")
                if not answer.startswith(b"HTTP/1.1 101 "):
                    raise Failed(f"the server refused: {answer!r}")
            for line in script.strip("\n").splitlines():
                side, _, rest = line.partition(" ")
                if not line.strip():
                    continue
                if side == ">>" or (side == ">" and framed):
                    octets = bytes.fromhex(rest.partition("#")[0])
                    wire.socket.sendall(octets)
                    lines.append(Shown(">", _with_words(octets, ours)))
                elif side == ">":
                    rest = with_port(rest, port)
                    wire.socket.sendall(rest.encode("latin-1", "backslashreplace") + b"\r\n")
                    lines.append(Shown(">", rest))
                elif side == "<" and rest == "answer":
                    answer = wire.take(end_of_answer, "the answer")
                    framed = answer.startswith(b"HTTP/1.1 101 ")
                    text = answer.decode(errors="replace")
                    lines += [Shown("<", part.rstrip("\r")) for part in text.removesuffix("\n").split("\n")]
                elif side == "<" and rest == "frame":
                    lines.append(Shown("<", _with_words(wire.take(end_of_frame, "the frame"), theirs)))
                elif side == "<" and rest == "end":
                    while wire.more():
                        pass
                    if wire.buffer:
                        raise Failed(f"more bytes before the end: {wire.buffer!r}")
                    lines.append(Shown("", "(the server ends the connection)"))
                    running.settle()
                elif side == "<" and rest == "nothing":
                    _nothing(wire)
                    lines.append(Shown("", "(nothing comes)"))
                else:
                    raise Failed(f"neither '> ...' nor '< answer', '< frame', '< end', '< nothing': {line!r}")
            if log:
                running.settle()  # before we end TCP, which the server would log, or not
        said = running.stop()
    mark = "\x00"
    texts = normalise(mark.join([*(line.output for line in lines), said]), port).split(mark)
    return [Shown(line.command, text) for line, text in zip(lines, texts, strict=False)], plain(texts[-1])


def _nothing(wire: Wire) -> None:
    wire.socket.settimeout(SILENCE)
    with contextlib.suppress(TimeoutError):
        piece = wire.buffer or wire.socket.recv(65536)
        raise Failed(f"received {piece!r}, not nothing" if piece else "the server closed the connection")


def _with_words(octets: bytes, explainer: object) -> str:
    """Return bytes in hex, with their meaning."""
    feed: Callable[[bytes], Iterator[object]] = explainer.feed  # type: ignore[attr-defined]
    words = "; ".join(str(description.one_line) for description in feed(octets))  # type: ignore[attr-defined]
    written = octets.hex(" ") if len(octets) <= 24 else f"{octets[:16].hex(' ')} … ({len(octets)} bytes)"
    return f"{written}   {words}".rstrip()


# -- Once a build --------------------------------------------------------------------------


def fingerprint() -> str:
    """Return a digest of the package, the examples, the server for Node and this extension."""
    digest = hashlib.sha256(sys.version.encode())
    for folder in (ROOT / "wsref", HERE, EXAMPLES, NODE):
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


class Cache:
    """The results of earlier runs, by the command and by the digest of the code.

    Args:
        folder: It has a file for each result; old files are never removed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._code = fingerprint()

    def get(self, what: object, run: Callable[[], object]) -> object:
        """Return the result for ``what``, which must be JSON; call ``run`` if it is unknown."""
        key = hashlib.sha256(json.dumps([self._code, what], sort_keys=True).encode()).hexdigest()[:32]
        path = self._folder / f"{key}.json"
        if path.exists():
            return json.loads(path.read_text("utf-8"))
        result = run()
        self._folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(result), "utf-8")
        return json.loads(json.dumps(result))
