r"""Chapter 0: ``python -m wsref connect URL``: a client to type at.

On a terminal, each line that is typed is sent as a text message; ``/help`` lists what else
there is.  Two things happen at a time there, somebody types and messages come, so there are
two threads: the main thread reads lines, the other one prints messages.  What comes is
printed above the line that is being typed.

As a filter (``echo hi | python -m wsref connect URL``) each line of standard input is sent,
and each message goes to standard output, one a line.

What a server sends never reaches a terminal as it is: it could move the cursor, or change
what was printed before::

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
import unicodedata
from collections.abc import Callable, Iterator

from ..network.client import HandshakeFailed, WebSocket, connect, how_it_ended, is_normal, parse_url
from ..network.transport import Tap
from ..protocol.deflate import Compression
from ..protocol.errors import ConnectionClosed
from ..protocol.http11 import TOKEN
from .terminal import CommandError, seconds, tracer, wants_colour

try:
    import readline  # with it, input() has history and editing, and tells what has been typed so far
except ImportError:  # a Python that was built without it
    readline = None  # type: ignore[assignment]

#: Whether it calls us when it has printed the prompt.  (libedit, which may stand in for it, may not.)
HAS_HOOK = readline is not None and hasattr(readline, "set_pre_input_hook")

PROMPT = "> "

#: Characters of a message, and bytes of a binary one, that are printed on a terminal.
MAX_SHOWN = 2000

#: Seconds between two attempts to wake a thread that waits for somebody to type.
RING = 0.05

HELP = """\
  TEXT                   send TEXT as a text message; a TEXT that begins with a slash: //TEXT
  /ping                  send a Ping, and say how long its Pong took
  /binary HEX            send a binary message: /binary 00 ff 68690a
  /big N                 send a text of N bytes
  /close [CODE [REASON]] close, with code 1000 or another
  /help                  this
  Ctrl-D closes with 1000 and ends, Ctrl-C too."""


# -- The command line ---------------------------------------------------------------


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The flags of ``connect``."""
    parser = commands.add_parser(
        "connect",
        help="connect to a WebSocket server, and talk to it",
        description="Connect to a WebSocket server, and talk to it.",
        epilog="on a terminal:\n" + HELP + "\n\n"
        "as a filter (standard input or output is no terminal):\n"
        "  Each line of standard input is sent as a text message.  Each message that comes is a\n"
        "  line of standard output: text as it is, binary in hex.  After the end of the input it\n"
        "  waits until nothing has come for --wait seconds, or the server closes.\n\n"
        "exit code: 0, a normal close; 1, no connection or another end; 2, usage; 130, Ctrl-C",
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
        help="send this header too; may be given several times",
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
    add("--origin", help="send this Origin, as a browser's page from there would")
    add("--insecure", action="store_true", help="wss: take any certificate, so anybody may be listening")
    add("--timeout", metavar="SECONDS", type=seconds, default=10.0, help="to connect within (default: %(default)g)")
    add(
        "--trace",
        metavar="FILE",
        nargs="?",
        const="-",
        help="explain every byte that passes, to standard error; or, to FILE, as JSON lines for decode --replay "
        "(after the URL)",
    )
    add(
        "--wait",
        metavar="SECONDS",
        type=seconds,
        default=1.0,
        help="as a filter: how long to wait for another message after the input's end (default: %(default)g)",
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
        raise argparse.ArgumentTypeError(f"a subprotocol is one word, without separators, not {text!a}")
    return text


def run(options: argparse.Namespace) -> int:
    """``python -m wsref connect``.

    Returns:
        The exit code.
    Raises:
        CommandError: no connection.
    """
    try:
        above = Above()
        printer = tracer(options.trace, above)
        where = parse_url(options.url)
        ws = _open(options, None if printer is None else printer.client_tap(f"{where.host}:{where.port}"))
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            return Filter(ws, options.wait).run()
        above.terminal = Terminal(ws)
        return above.terminal.run()
    except KeyboardInterrupt:
        return 130  # while connecting, or for the second time: then nothing is waited for


class Above(io.StringIO):
    """Where a trace is printed: standard error, or above the line that is being typed."""

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
    """Connect, or say in one line why not."""
    context = None
    if options.insecure:
        say("warning: --insecure: nobody knows who is at the other end")
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
        if isinstance(error, ssl.SSLCertVerificationError):  # which is a ValueError too
            raise CommandError(
                f"the server's certificate is not to be trusted: {error.verify_message}; "
                "trust another one by SSL_CERT_FILE=FILE, or take any by --insecure"
            ) from None
        print(f"wsref: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except HandshakeFailed as error:
        raise CommandError(str(error)) from None
    except OSError as error:
        raise CommandError(str(error.strerror or error)) from None


# -- What is printed ------------------------------------------------------------------


def say(notice: str, colour: str = "2") -> None:
    """A line about the connection, to standard error."""
    if wants_colour(sys.stderr):
        notice = f"\x1b[{colour}m{notice}\x1b[0m"
    print(notice, file=sys.stderr, flush=True)


def escaped(text: str) -> str:
    r"""Fit for a terminal: one line, and no character that a terminal would obey.

    >>> print(escaped("tab\there, café"), escaped("\u202eright to left"))
    tab\there, café \u202eright to left
    """
    return "".join(c if c.isprintable() else "⏎" if c == "\n" else ascii(c)[1:-1] for c in text)


def shown_message(message: str | bytes) -> str:
    """A message as a terminal's line.

    >>> print(shown_message("hi"), shown_message(bytes([0, 255])), shown_message(""))
    hi (binary, 2 bytes) 00 ff (an empty text)
    """
    rest = f" ... ({len(message)} {'bytes' if isinstance(message, bytes) else 'characters'})"
    rest = rest if len(message) > MAX_SHOWN else ""
    if isinstance(message, bytes):
        return f"(binary, {len(message)} bytes) {message[:MAX_SHOWN].hex(' ')}{rest}".rstrip()
    return (escaped(message[:MAX_SHOWN]) + rest) or "(an empty text)"


def columns(text: str) -> int:
    """How many columns of a terminal a text takes: a Chinese character takes two.

    >>> columns("ab"), columns("中文")
    (2, 4)
    """
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return len(text) + wide - sum(unicodedata.combining(character) > 0 for character in text)


# -- The conversation -------------------------------------------------------------------


class Talk:
    """What terminal and filter have in common: a thread that prints what comes.

    The main thread reads lines, in :meth:`read_lines`.
    """

    def __init__(self, ws: WebSocket) -> None:
        self.ws = ws
        self.over = threading.Event()  # nothing will come any more
        self.heard = time.monotonic()  # seconds: when the last message came
        self.unwritable = False  # nobody reads our standard output any more

    def run(self) -> int:
        """Until it is over; the exit code."""
        ws = self.ws
        agreed = [f"subprotocol {ws.protocol}"] if ws.protocol else []
        agreed += [ws.extensions] if ws.extensions else []
        say(f"connected to {ws.url}" + (f" ({escaped('; '.join(agreed))})" if agreed else ""))
        printer = threading.Thread(target=self._print_messages, name="wsref prints", daemon=True)
        printer.start()
        interrupted = False
        try:
            self.read_lines()
        except ConnectionClosed:
            pass  # how it ended is said below
        except KeyboardInterrupt:
            interrupted = not self.over.is_set()
        ws.close()
        printer.join()
        if ws.closed is not None and not self.unwritable:
            say(how_it_ended(ws.closed))
        if interrupted:
            return 130
        return 0 if ws.closed is not None and is_normal(ws.closed) and not self.unwritable else 1

    def _print_messages(self) -> None:
        try:
            for message in self.ws:
                self.heard = time.monotonic()
                self.show(message)
        except ConnectionClosed:
            pass
        except BrokenPipeError:  # "| head -1" has seen enough
            self.unwritable = True
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that Python's last flush is silent
        self.over.set()
        self.wake()

    def read_lines(self) -> None:
        """Read lines and send them, until they end or it is over.

        Raises:
            ConnectionClosed, KeyboardInterrupt: that, too, is an end.
        """
        raise NotImplementedError

    def show(self, message: str | bytes) -> None:
        """Print a message (in the printing thread)."""
        raise NotImplementedError

    def wake(self) -> None:
        """It is over: end :meth:`read_lines` (in the printing thread)."""
        raise NotImplementedError


class Filter(Talk):
    """Standard input to messages, messages to standard output.

    Args:
        wait: Seconds without a message, after the end of the input.
    """

    def __init__(self, ws: WebSocket, wait: float) -> None:
        super().__init__(ws)
        self._wait = wait
        self._bell, self._bell_rope = socket.socketpair()  # its end wakes who waits for input

    def read_lines(self) -> None:
        """Each line is a text message; then wait for what comes."""
        with self._bell:
            for n, line in enumerate(self._lines(), 1):
                try:
                    text = line.decode()
                except UnicodeDecodeError:
                    say(f"line {n} of the input is not UTF-8: not sent", "33")
                    continue
                self.ws.send(text)
        since = time.monotonic()
        while (left := max(self.heard, since) + self._wait - time.monotonic()) > 0:
            if self.over.wait(left):
                return

    def _lines(self) -> Iterator[bytes]:
        """Lines as they come, and none when it is over: a read of a pipe cannot be woken."""
        rest, source = b"", sys.stdin.fileno()
        while True:
            if not _is_readable(source, self._bell):
                return
            data = os.read(source, 65536)
            if not data:
                break
            *lines, rest = (rest + data).split(b"\n")
            yield from lines
        if rest:
            yield rest

    def show(self, message: str | bytes) -> None:
        """Text as it is, unless this is a terminal; binary in hex."""
        if sys.stdout.isatty():
            line = shown_message(message)
        else:
            line = message.hex(" ") if isinstance(message, bytes) else message
        print(line, flush=True)

    def wake(self) -> None:
        """Ring."""
        self._bell_rope.close()


def _is_readable(source: int, bell: socket.socket) -> bool:
    """Wait until there is input, True, or the bell rings, False."""
    with selectors.DefaultSelector() as selector:
        selector.register(bell, selectors.EVENT_READ)
        try:
            selector.register(source, selectors.EVENT_READ)
        except PermissionError:  # a plain file is readable at any time, and epoll will not hear of it
            return not selector.select(0)
        return all(key.fileobj is not bell for key, _ in selector.select())


class Terminal(Talk):
    """Lines that somebody types, and messages above them."""

    def __init__(self, ws: WebSocket) -> None:
        super().__init__(ws)
        self._screen = threading.Lock()  # hold it to print, and for the next one
        self._typing = False  # whether the prompt and what has been typed stand in the last line
        self._left = threading.Event()  # nobody is typing, nor will be
        self._colour = wants_colour(sys.stdout)

    def read_lines(self) -> None:
        """Do what each line says, until Ctrl-D."""
        say("type a line to send it; /help lists what else there is")
        before = signal.signal(signal.SIGINT, signal.default_int_handler)  # if it was ignored, wake() could not
        if HAS_HOOK:
            readline.set_pre_input_hook(self._begin_typing)
        try:
            while not self.over.is_set():
                self._do(self._input())
        except EOFError:
            print()
        finally:
            self._left.set()
            signal.signal(signal.SIGINT, before)
            if HAS_HOOK:
                readline.set_pre_input_hook(None)

    def _input(self) -> str:
        """A line, typed."""
        self._screen.acquire()  # nothing is printed between here and the prompt
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
        """The prompt stands there: from now on messages may be printed, above it."""
        self._typing = True
        self._screen.release()

    def _do(self, line: str) -> None:
        """What a line says."""
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
            say(HELP)
        else:
            say(f"there is no command {shlex.quote(escaped(command))}; /help lists them; // begins a text", "33")

    def _try(self, action: Callable[[], None]) -> None:
        try:
            action()
        except (ValueError, TimeoutError) as error:
            say(f"not done: {escaped(str(error))}", "33")

    def _ping(self) -> None:
        say(f"Pong after {self.ws.ping() * 1000:.1f} ms")

    def _close(self, rest: str) -> None:
        code, _, reason = rest.strip().partition(" ")
        if code and not re.fullmatch("[0-9]{1,5}", code):
            raise ValueError(f"a close code is a number, not {code}")
        self.ws.close(int(code or 1000), reason)
        self.over.wait()

    def show(self, message: str | bytes) -> None:
        """Above the line that is being typed."""
        line = f"< {shown_message(message)}"
        self.print_above(f"\x1b[32m{line}\x1b[0m" if self._colour else line)

    def print_above(self, line: str) -> None:
        """Above the line that is being typed, which is drawn again."""
        with self._screen:
            typed = PROMPT + (readline.get_line_buffer() if readline is not None else "") if self._typing else ""
            rows = columns(typed) // shutil.get_terminal_size().columns
            up = f"\x1b[{rows}A" if rows else ""  # to the first row of what has been typed; clear from there
            sys.stdout.write(f"{up}\r\x1b[J{line}\n{typed}" if self._typing else f"{line}\n")
            sys.stdout.flush()

    def wake(self) -> None:
        """Interrupt ``input()``, which nothing but a signal can.

        Python's handler for SIGINT raises KeyboardInterrupt in the main thread; that it was
        not Ctrl-C, :attr:`over` says.  The signal is sent while the main thread is typing,
        and again if it came too early to be noticed.
        """
        while not self._left.is_set():
            with self._screen:
                if self._typing:
                    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            self._left.wait(RING)


def big_text(size: str) -> str:
    """A text of so many bytes.

    >>> big_text("12")
    '0123456789ab'
    """
    if not re.fullmatch("[0-9]{1,9}", size.strip()):
        raise ValueError(f"a size is a number of bytes, not {size}")
    pattern = "0123456789abcdef"
    return (pattern * (int(size) // 16 + 1))[: int(size)]
