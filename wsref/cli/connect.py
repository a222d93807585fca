r"""Chapter 0: ``python -m wsref connect URL``: a client to type at.

On a terminal, each typed line is sent as a text message; ``/help`` lists the commands.  Input and
messages arrive independently, so there are two threads: the main thread reads lines, the other
one prints messages.  A message is printed above the line that is being typed.

As a filter (``echo hi | python -m wsref connect URL``), each line of standard input is sent, and
each message is one line of standard output.

Bytes from a server are escaped before they reach a terminal: else they could move the cursor, or
change the lines above::

    >>> print(escaped("two\nlines, and \x1b[31mred"))
    two⏎lines, and \x1b[31mred
"""

from __future__ import annotations

import argparse
import io
import os
import re
import selectors
import shlex
import shutil
import signal
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator

from ..network.client import WebSocket, connect, how_it_ended, is_normal
from ..network.tap import Tap
from ..protocol.client_handshake import HandshakeFailed
from ..protocol.deflate import Compression
from ..protocol.errors import ConnectionClosed
from ..protocol.spec import TOKEN
from ..protocol.url import parse_url
from ..wire.words import columns
from .terminal import CommandError, open_trace, seconds, wants_colour

try:
    import readline  # gives input() history and editing, and has the text that was typed so far
except ImportError:  # Python was built without it
    readline = None  # type: ignore[assignment]

#: Whether readline can call a function after it printed the prompt.  (libedit may replace it, and may not.)
HAS_HOOK = readline is not None and hasattr(readline, "set_pre_input_hook")

PROMPT = "> "

#: Characters of a text message, and bytes of a binary one, that are printed on a terminal.
MAX_SHOWN = 2000

#: Seconds between two attempts to wake the thread that waits for input.
WAKE_INTERVAL = 0.05

HELP = """\
  TEXT                   send TEXT as a text message; type //TEXT if it begins with a slash
  /ping                  send a Ping, and print how long its Pong took
  /binary HEX            send a binary message: /binary 00 ff 68690a
  /big N                 send a text of N bytes
  /close [CODE [REASON]] close, with code 1000 or another
  /help                  list these commands
  Ctrl-D or Ctrl-C closes with 1000 and ends the program."""


# -- The command line ---------------------------------------------------------------


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the flags of ``connect``."""
    parser = commands.add_parser(
        "connect",
        help="connect to a WebSocket server, and talk to it",
        description="Connect to a WebSocket server, and talk to it.",
        epilog="on a terminal:\n" + HELP + "\n\n"
        "as a filter (standard input or output is not a terminal):\n"
        "  Each line of standard input is sent as a text message.  Each received message is one\n"
        "  line of standard output: text as it is, binary in hex.  After the end of the input, the\n"
        "  command ends --wait seconds after the last message, or when the server closes.\n\n"
        "exit code: 0, a normal close; 1, no connection, or it was lost; 2, a wrong command line;\n"
        "130, Ctrl-C",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    add = parser.add_argument
    add("url", metavar="URL", type=_url, help="ws://HOST:PORT/PATH, or wss://...")
    add(
        "--header",
        metavar="'NAME: VALUE'",
        dest="headers",
        action="append",
        default=[],
        type=_header,
        help="send this header as well; may be given several times",
    )
    add(
        "--subprotocol",
        metavar="NAME",
        dest="subprotocols",
        action="append",
        default=[],
        type=_subprotocol,
        help="offer this subprotocol; may be given several times, the best first",
    )
    add("--origin", help="send this Origin, as a browser does for a page from there")
    add("--insecure", action="store_true", help="wss: accept any certificate, so any machine in between can read along")
    add("--timeout", metavar="SECONDS", type=seconds, default=10.0, help="limit for connecting (default: %(default)g)")
    add(
        "--trace",
        metavar="FILE",
        nargs="?",
        const="-",
        help="explain all bytes on standard error; or record them in FILE, as JSON lines for decode --replay "
        "(write it after the URL)",
    )
    add(
        "--wait",
        metavar="SECONDS",
        type=seconds,
        default=1.0,
        help="as a filter: how long to wait for another message after the end of the input (default: %(default)g)",
    )
    add(
        "--no-compression",
        dest="compression",
        action="store_const",
        const=None,
        default=Compression(),
        help="do not offer permessage-deflate",
    )


def _url(text: str) -> str:
    try:
        parse_url(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _header(text: str) -> tuple[str, str]:
    found = re.fullmatch(rf"({TOKEN}):[ \t]*(.*)", text)
    if not found:
        raise argparse.ArgumentTypeError(f"a header is 'NAME: VALUE', not {text!a}")
    return found[1], found[2]


def _subprotocol(text: str) -> str:
    if not re.fullmatch(TOKEN, text):
        raise argparse.ArgumentTypeError(f"a subprotocol is one word without separators, not {text!a}")
    return text


def run(options: argparse.Namespace) -> int:
    """Connect, and exchange messages until the connection or the input ends.

    Returns:
        The exit code.
    Raises:
        CommandError: The connection failed.
    """
    try:
        output = TraceOutput()
        printer = open_trace(options.trace, output)
        url = parse_url(options.url)
        ws = _open(options, None if printer is None else printer.client_tap(f"{url.host}:{url.port}"))
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            return Filter(ws, options.wait).run()
        output.terminal = Terminal(ws)
        return output.terminal.run()
    except KeyboardInterrupt:
        return 130  # while connecting, or a second time: end without a closing handshake


class TraceOutput(io.StringIO):
    """The stream of a trace: standard error, or above the line that is being typed."""

    terminal: Terminal | None = None

    def write(self, text: str) -> int:
        """Print whole lines."""
        if self.terminal is None:
            sys.stderr.write(text)
            sys.stderr.flush()
        else:
            self.terminal.print_above(text.rstrip("\n"))
        return len(text)


def _open(options: argparse.Namespace, tap: Tap | None) -> WebSocket:
    """Connect, or raise an error of one line."""
    context = None
    if options.insecure:
        notify("warning: --insecure: the server is not authenticated")
        if parse_url(options.url).secure:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
    try:
        return connect(
            options.url,
            subprotocols=options.subprotocols,
            origin=options.origin,
            headers=options.headers,
            ssl_context=context,
            timeout=options.timeout,
            compression=options.compression,
            tap=tap,
        )
    except ValueError as error:
        if isinstance(error, ssl.SSLCertVerificationError):  # a ValueError, too
            raise CommandError(
                f"the server's certificate is not trusted: {error.verify_message}; "
                "trust another one by SSL_CERT_FILE=FILE, or accept any by --insecure"
            ) from None
        print(f"wsref: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except HandshakeFailed as error:
        raise CommandError(str(error)) from None
    except OSError as error:
        raise CommandError(str(error.strerror or error)) from None


# -- Output ---------------------------------------------------------------------------


def notify(notice: str, colour: str = "2") -> None:
    """Print a line about the connection to standard error."""
    if wants_colour(sys.stderr):
        notice = f"\x1b[{colour}m{notice}\x1b[0m"
    print(notice, file=sys.stderr, flush=True)


def escaped(text: str) -> str:
    r"""Return a text on one line, without characters that control a terminal.

    >>> print(escaped("tab\there, café"), escaped("\u202eright to left"))
    tab\there, café \u202eright to left
    """
    return "".join(c if c.isprintable() else "⏎" if c == "\n" else ascii(c)[1:-1] for c in text)


def message_line(message: str | bytes) -> str:
    """Return a message as a line for a terminal.

    >>> print(message_line("hi"), message_line(bytes([0, 255])), message_line(""))
    hi (binary, 2 bytes) 00 ff (an empty text)
    """
    rest = f" ... ({len(message)} {'bytes' if isinstance(message, bytes) else 'characters'})"
    rest = rest if len(message) > MAX_SHOWN else ""
    if isinstance(message, bytes):
        return f"(binary, {len(message)} bytes) {message[:MAX_SHOWN].hex(' ')}{rest}".rstrip()
    return (escaped(message[:MAX_SHOWN]) + rest) or "(an empty text)"


# -- The conversation -------------------------------------------------------------------


class Conversation:
    """The common part of :class:`Terminal` and :class:`Filter`: a second thread prints the messages.

    The main thread reads lines, in :meth:`read_lines`.

    Attributes:
        ws: The connection.
        ended: Set after the last message.
        last_message: ``time.monotonic()`` of the last message.
        output_closed: The reader of our standard output has gone.
    """

    def __init__(self, ws: WebSocket) -> None:
        self.ws = ws
        self.ended = threading.Event()
        self.last_message = time.monotonic()
        self.output_closed = False

    def run(self) -> int:
        """Run until the connection or the input ends; return the exit code."""
        ws = self.ws
        negotiated = [f"subprotocol {ws.protocol}"] if ws.protocol else []
        negotiated += [ws.extensions] if ws.extensions else []
        notify(f"connected to {ws.url}" + (f" ({escaped('; '.join(negotiated))})" if negotiated else ""))
        printer = threading.Thread(target=self._print_messages, name="wsref prints", daemon=True)
        printer.start()
        interrupted = False
        try:
            self.read_lines()
        except ConnectionClosed:
            pass  # the last notice says how it ended
        except KeyboardInterrupt:
            interrupted = not self.ended.is_set()
        ws.close()
        printer.join()
        if ws.closed is not None and not self.output_closed:
            notify(how_it_ended(ws.closed))
        if interrupted:
            return 130
        return 0 if ws.closed is not None and is_normal(ws.closed) and not self.output_closed else 1

    def _print_messages(self) -> None:
        try:
            for message in self.ws:
                self.last_message = time.monotonic()
                self.show(message)
        except ConnectionClosed:
            pass
        except BrokenPipeError:  # the reader, such as head, has ended
            self.output_closed = True
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that Python's last flush is silent
        self.ended.set()
        self.wake()

    def read_lines(self) -> None:
        """Read lines and send them, until the input or the connection ends.

        Raises:
            ConnectionClosed, KeyboardInterrupt: These end it, too.
        """
        raise NotImplementedError

    def show(self, message: str | bytes) -> None:
        """Print a message (in the printing thread)."""
        raise NotImplementedError

    def wake(self) -> None:
        """End :meth:`read_lines` (in the printing thread)."""
        raise NotImplementedError


class Filter(Conversation):
    """Sends the lines of standard input, and prints messages to standard output.

    Args:
        wait: Seconds without a message after which it ends, once the input has ended.
    """

    def __init__(self, ws: WebSocket, wait: float) -> None:
        super().__init__(ws)
        self._wait = wait
        self._wake_r, self._wake_w = socket.socketpair()  # the end of this stream wakes _lines

    def read_lines(self) -> None:
        """Send each line as a text message; then wait for messages."""
        with self._wake_r:
            for n, line in enumerate(self._lines(), 1):
                try:
                    text = line.decode()
                except UnicodeDecodeError:
                    notify(f"line {n} of the input is not UTF-8: not sent", "33")
                    continue
                self.ws.send(text)
        since = time.monotonic()
        while (left := max(self.last_message, since) + self._wait - time.monotonic()) > 0:
            if self.ended.wait(left):
                return

    def _lines(self) -> Iterator[bytes]:
        """Yield lines as they arrive, until :meth:`wake`: nothing can wake a blocking read of a pipe."""
        rest, source = b"", sys.stdin.fileno()
        while True:
            if not _is_readable(source, self._wake_r):
                return
            data = os.read(source, 65536)
            if not data:
                break
            *lines, rest = (rest + data).split(b"\n")
            yield from lines
        if rest:
            yield rest

    def show(self, message: str | bytes) -> None:
        """Print text as it is, unless standard output is a terminal; binary in hex."""
        if sys.stdout.isatty():
            line = message_line(message)
        else:
            line = message.hex(" ") if isinstance(message, bytes) else message
        print(line, flush=True)

    def wake(self) -> None:
        """End :meth:`read_lines`."""
        self._wake_w.close()


def _is_readable(source: int, wake_r: socket.socket) -> bool:
    """Wait for input, True, or for the end of ``wake_r``, False."""
    with selectors.DefaultSelector() as selector:
        selector.register(wake_r, selectors.EVENT_READ)
        try:
            selector.register(source, selectors.EVENT_READ)
        except PermissionError:  # epoll refuses a plain file, which is always readable
            return not selector.select(0)
        return all(key.fileobj is not wake_r for key, _ in selector.select())


class Terminal(Conversation):
    """Sends typed lines, and prints messages above the line that is being typed."""

    def __init__(self, ws: WebSocket) -> None:
        super().__init__(ws)
        self._screen = threading.Lock()  # held to print, and to change _typing
        self._typing = False  # the last line of the screen is the prompt and the typed text
        self._done_reading = threading.Event()  # read_lines has ended
        self._colour = wants_colour(sys.stdout)

    def read_lines(self) -> None:
        """Run each line as a command, until Ctrl-D."""
        notify("type a line to send it; /help lists the commands")
        before = signal.signal(signal.SIGINT, signal.default_int_handler)  # wake() needs it, also if it was ignored
        if HAS_HOOK:
            readline.set_pre_input_hook(self._begin_typing)
        try:
            while not self.ended.is_set():
                self._run_line(self._input())
        except EOFError:
            print()
        finally:
            self._done_reading.set()
            signal.signal(signal.SIGINT, before)
            if HAS_HOOK:
                readline.set_pre_input_hook(None)

    def _input(self) -> str:
        """Read a typed line."""
        self._screen.acquire()  # print nothing between here and the prompt
        try:
            if not HAS_HOOK:
                self._begin_typing()
            return input(PROMPT)
        except KeyboardInterrupt:
            print()
            raise
        finally:
            if self._typing:
                self._screen.acquire()
            self._typing = False
            self._screen.release()

    def _begin_typing(self) -> None:
        """The prompt is printed: from now on messages may be printed above it."""
        self._typing = True
        self._screen.release()

    def _run_line(self, line: str) -> None:
        if not line.startswith("/") or line.startswith("//"):
            return self._try(lambda: self.ws.send(line[1:] if line.startswith("//") else line))
        command, _, rest = line.partition(" ")
        if command == "/ping":
            self._try(self._ping)
        elif command == "/binary":
            self._try(lambda: self.ws.send(bytes.fromhex(rest)))
        elif command == "/big":
            self._try(lambda: self.ws.send(big_text(rest)))
        elif command == "/close":
            self._try(lambda: self._close(rest))
        elif command == "/help":
            notify(HELP)
        else:
            name = shlex.quote(escaped(command))
            notify(f"unknown command {name}: /help lists the commands; // begins a text with a slash", "33")

    def _try(self, action: Callable[[], None]) -> None:
        try:
            action()
        except (ValueError, TimeoutError) as error:
            notify(f"not done: {escaped(str(error))}", "33")

    def _ping(self) -> None:
        notify(f"Pong after {self.ws.ping() * 1000:.1f} ms")

    def _close(self, rest: str) -> None:
        code, _, reason = rest.strip().partition(" ")
        if code and not re.fullmatch("[0-9]{1,5}", code):
            raise ValueError(f"a close code is a number, not {code}")
        self.ws.close(int(code or 1000), reason)
        self.ended.wait()

    def show(self, message: str | bytes) -> None:
        """Print a message above the line that is being typed."""
        line = f"< {message_line(message)}"
        self.print_above(f"\x1b[32m{line}\x1b[0m" if self._colour else line)

    def print_above(self, line: str) -> None:
        """Print a line above the one that is being typed, and draw that one again."""
        with self._screen:
            typed = PROMPT + (readline.get_line_buffer() if readline is not None else "") if self._typing else ""
            rows = columns(typed) // shutil.get_terminal_size().columns
            up = f"\x1b[{rows}A" if rows else ""  # to the first row of the typed text; clear from there
            sys.stdout.write(f"{up}\r\x1b[J{line}\n{typed}" if self._typing else f"{line}\n")
            sys.stdout.flush()

    def wake(self) -> None:
        """Interrupt ``input()``: only a signal can.

        Python's handler of SIGINT raises KeyboardInterrupt in the main thread; ``ended`` tells it
        from a Ctrl-C.  The signal is sent while the main thread waits for input, and again until
        the thread notices it.
        """
        while not self._done_reading.is_set():
            with self._screen:
                if self._typing:
                    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            self._done_reading.wait(WAKE_INTERVAL)


def big_text(size: str) -> str:
    """Return a text of this many bytes.

    >>> big_text("12")
    '0123456789ab'
    """
    if not re.fullmatch("[0-9]{1,9}", size.strip()):
        raise ValueError(f"a size is a number of bytes, not {size}")
    pattern = "0123456789abcdef"
    return (pattern * (int(size) // 16 + 1))[: int(size)]
