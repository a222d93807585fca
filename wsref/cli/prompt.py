"""Chapter 0: ``connect`` on a terminal: a prompt, with messages printed above the typed line.

:class:`Terminal` runs typed lines and works on every system.  :class:`Prompt` needs signals.

With signals, the main thread reads lines, and it alone may touch readline: a second thread that asks
for the typed text while a key changes it makes the C library abort the process.  So a thread with a
line to print hands it to the main thread and sends it a signal; the main thread runs the
handler of the signal, also while it waits for a key.  The same signal ends the prompt.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import re
import shlex
import shutil
import signal
import sys
import threading
from collections import deque
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from ..network.client import WebSocket
from ..protocol.errors import ConnectionClosed, quote_ascii
from ..wire.words import columns
from .conversation import Conversation, escaped, message_line, notify, write
from .terminal import has_escapes, wait, wants_colour

try:
    import readline  # gives input() history and editing, and has the text that was typed so far
    import termios
except ImportError:  # Python was built without it
    readline = termios = None  # type: ignore[assignment]

#: Whether readline can call a function after it printed the prompt.  (libedit may replace it, and may not.)
HAS_HOOK = readline is not None and hasattr(readline, "set_pre_input_hook")

PROMPT = "> "

#: Seconds between two signals to the main thread: one that arrives just before it waits for a key is not noticed.
WAKE_INTERVAL = 0.02

#: Lines that the file of the history keeps.
HISTORY_LENGTH = 1000

HELP = """\
  TEXT                   send TEXT as a text message; type //TEXT if it begins with a slash
  /ping                  send a Ping, and print how long its Pong took
  /binary HEX            send a binary message: /binary 00 ff 68690a
  /big N                 send a text of N bytes
  /close [CODE [REASON]] close, with code 1000 or another
  /help                  list these commands
  Ctrl-D or Ctrl-C closes with 1000 and ends the program."""


class Terminal(Conversation):
    """Sends typed lines, and prints messages.

    A thread reads the lines, and the main thread waits, as no signal could end its reading on Windows.
    A line that is being typed when a message arrives is not drawn again.
    """

    def __init__(self, ws: WebSocket, options: argparse.Namespace, deadline: float = math.inf) -> None:
        super().__init__(ws, options, deadline)
        self._typing = False  # the last line of the screen is the prompt and the typed text
        self._screen = threading.Lock()  # held while that changes, and while a message is drawn
        self._done_reading = threading.Event()
        self._colour = wants_colour(sys.stdout)

    # -- Input

    def converse(self) -> None:
        """Run each line as a command, until Ctrl-D (on Windows: Ctrl-Z, Enter)."""
        self.say("type a line to send it; /help lists the commands")
        threading.Thread(target=self._run_lines, name="wsref reads", daemon=True).start()
        try:
            wait(self._done_reading)
        finally:
            if self._typing:
                self._draw("\n")  # what follows is not behind the prompt

    def _run_lines(self) -> None:
        with contextlib.suppress(EOFError, ConnectionClosed):
            while not self.ended.is_set():
                try:
                    line = self._input()
                except UnicodeDecodeError:
                    notify("not done: the line is not UTF-8", "33")
                else:
                    self._run_line(line)
        self._done_reading.set()

    def _input(self) -> str:
        """Read a typed line.

        Raises:
            EOFError: There is no more.
        """
        with self._screen:
            self._typing = True
            self._draw(f"\r{PROMPT}")  # over the one that a message may have drawn
        try:
            return input()
        finally:
            with self._screen:
                self._typing = False

    def _run_line(self, line: str) -> None:
        try:
            self._run_command(line)
        except (ValueError, TimeoutError) as error:
            notify(f"not done: {escaped(str(error))}", "33")

    def _run_command(self, line: str) -> None:
        if not_utf_8 := re.search("[\ud800-\udfff]", line):  # Python's way to keep such a byte of the terminal
            raise ValueError(f"text must be UTF-8 (RFC 6455 §5.6), and {not_utf_8[0]!a} is not")
        command, _, rest = line.partition(" ")
        if not line.startswith("/"):
            self.ws.send(line)
        elif line.startswith("//"):
            self.ws.send(line[1:])
        elif command == "/ping":
            notify(f"Pong after {self.ws.ping() * 1000:.1f} ms")
        elif command == "/binary":
            self.ws.send(bytes_of(rest))
        elif command == "/big":
            self.ws.send(big_text(rest))
        elif command == "/close":
            self._close_with(rest)
        elif command == "/help":
            notify(HELP)
        else:
            name = shlex.quote(escaped(command))
            notify(f"unknown command {name}: /help lists the commands; // begins a text with a slash", "33")

    def _close_with(self, rest: str) -> None:
        code, _, reason = rest.strip().partition(" ")
        if code and not re.fullmatch("[0-9]{1,5}", code):
            raise ValueError(f"a close code is a number, as in /close 4000 bye, not {quote_ascii(code)}")
        self.ws.close(int(code or 1000), reason)
        self.ended.wait()

    # -- Output

    def show(self, message: str | bytes) -> None:
        """Print a message above the line that is being typed."""
        line = f"< {message_line(message)}"
        self.print_above(f"\x1b[32m{line}\x1b[0m" if self._colour else line)

    def print_above(self, line: str) -> None:
        """Print a line, and the prompt again (in any thread)."""
        with self._screen:
            self._draw(f"\r{line}\n{PROMPT}" if self._typing else f"{line}\n")

    def wake(self) -> None:
        """End :meth:`converse`."""
        self._done_reading.set()

    def _draw(self, text: str) -> None:
        with contextlib.suppress(OSError):  # the terminal has gone, and input() fails, too
            write(text.encode(sys.stdout.encoding, "backslashreplace"))


class Prompt(Terminal):
    """Draws the line that is being typed again, below each message.

    It has more attributes than most classes here: the line shares the terminal with messages and signals.
    """

    def __init__(self, ws: WebSocket, options: argparse.Namespace, deadline: float = math.inf) -> None:
        super().__init__(ws, options, deadline)
        self._waiting: deque[tuple[str, SimpleQueue[None]]] = deque()  # lines for the main thread to print
        self._drawing = False  # readline is about to draw the prompt
        self._printing = False  # the main thread prints lines: a signal must not print the next one in between
        self._may_end = False  # the main thread is in input(), and an exception would end that
        self._modes: list[Any] = []  # of the terminal while a line is typed
        self._clear = "\x1b[J" if has_escapes(sys.stdout) else ""  # from the cursor on
        self._cursor = cursor_of_readline()
        self._history = None if options.no_history else History.open()
        signal.signal(signal.SIGUSR1, self._on_signal)
        # The signal always ends select(), in which readline waits for a key, and must not end what it writes.
        signal.siginterrupt(signal.SIGUSR1, readline is None)
        signal.signal(signal.SIGCONT, self._come_back)
        # The threads that run() starts inherit this: only the main thread takes the signal, which ends its wait.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCONT})

    # -- Input

    def converse(self) -> None:
        """Run each line as a command, until Ctrl-D."""
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCONT})
        self.say("type a line to send it; /help lists the commands")
        if readline is not None:
            set_up_readline()
        if HAS_HOOK:
            readline.set_pre_input_hook(self._begin_typing)
        try:
            self._run_lines()
        finally:
            self._done_reading.set()
            if HAS_HOOK:
                readline.set_pre_input_hook(None)

    def _input(self) -> str:
        """Read a typed line.

        Raises:
            EOFError: Ctrl-D, or the end of the conversation.
        """
        self._drawing = HAS_HOOK
        try:
            if not HAS_HOOK:
                self._begin_typing()
            line = input(PROMPT)
        except (EOFError, KeyboardInterrupt):
            self._typing = self._may_end = False
            self._print("")
            raise
        finally:
            self._drawing = self._typing = self._may_end = False
        if self._history is not None:
            self._history.save()
        return line

    def _begin_typing(self) -> None:
        """The prompt is drawn: from now on messages are printed above it."""
        self._typing = True
        self._drawing = False
        if termios is not None:
            with contextlib.suppress(termios.error):
                self._modes = termios.tcgetattr(sys.stdin.fileno())
        self._print_waiting()
        self._may_end = True  # last: readline ignores an exception in this function

    # -- Output

    def print_above(self, line: str) -> None:
        """Print a line above the one that is being typed, and draw that one again (in any thread)."""
        printed: SimpleQueue[None] = SimpleQueue()
        job = line, printed
        self._waiting.append(job)
        if threading.current_thread() is threading.main_thread():
            return self._print_waiting()
        while job in self._waiting:
            self._signal_main_thread()
            with contextlib.suppress(Empty):
                printed.get(timeout=WAKE_INTERVAL)

    def wake(self) -> None:
        """End :meth:`converse`."""
        while not self._done_reading.is_set():
            self._signal_main_thread()
            self._done_reading.wait(WAKE_INTERVAL)

    def _signal_main_thread(self) -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    def _on_signal(self, *_: object) -> None:
        """Do what another thread asks for (in the main thread, between any two steps of it)."""
        self._print_waiting()
        if self._may_end and self.ended.is_set() and not self._printing:
            self._may_end = False
            raise EOFError

    def _print_waiting(self) -> None:
        if self._printing:
            return  # a signal has interrupted the loop below, which prints the rest
        self._printing = True
        try:
            while self._waiting and not self._drawing:
                line, printed = self._waiting.popleft()
                self._print(line)
                printed.put(None)
        finally:
            self._printing = False

    def _print(self, line: str) -> None:
        if not self._typing:
            return self._draw(f"{line}\n")
        rows = columns(self._typed(to_cursor=True)) // shutil.get_terminal_size().columns
        up = f"\x1b[{rows}A" if rows and self._clear else ""  # to the first row of the typed text; clear from there
        self._draw(f"{up}\r{self._clear}{line}\n{self._redrawn()}")

    def _redrawn(self) -> str:
        """Return what draws the typed text on an empty row, and takes the cursor to its place."""
        typed, width = self._typed(), shutil.get_terminal_size().columns
        end, at = columns(typed), columns(self._typed(to_cursor=True))
        if not self._clear:
            return typed
        if end % width == 0:
            typed += " \r"  # a terminal goes to the next row only with the next character
        if at == end:
            return typed
        up, right = end // width - at // width, at % width
        return f"{typed}\r" + (f"\x1b[{up}A" if up else "") + (f"\x1b[{right}C" if right else "")

    def _typed(self, *, to_cursor: bool = False) -> str:
        """Return the prompt and the typed text, to its end or to the cursor."""
        text = readline.get_line_buffer() if readline is not None else ""
        if to_cursor and self._cursor is not None:
            text = os.fsdecode(os.fsencode(text)[: self._cursor.value])
        return PROMPT + text

    def _come_back(self, *_: object) -> None:
        """After Ctrl-Z and ``fg``: set the modes of the terminal, which the shell has changed, and draw the line."""
        if self._typing:
            if self._modes:
                termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, self._modes)
            self._draw(f"\r{self._clear}{self._redrawn()}")


def cursor_of_readline() -> Any:
    """Return the variable of the C library in which the cursor is, in bytes of the typed text.

    The module does not show it.  None: nor does the library; then the cursor is taken to be at the end.
    """
    try:
        import ctypes  # not every Python has it

        return ctypes.c_int.in_dll(ctypes.CDLL(readline.__file__), "rl_point")
    except (AttributeError, ImportError, OSError, ValueError):
        return None


def set_up_readline() -> None:
    """Turn off the completion of file names, and take bytes above 127 as characters in every locale.

    In the locale C a byte above 127 is a key with Meta for readline, and some of those insert the
    names of all files.  They would go to the server.
    """
    readline.set_completer(lambda text, state: None)
    for setting in ("convert-meta off", "input-meta on", "output-meta on"):
        readline.parse_and_bind(f"set {setting}")


class History:
    """The typed lines, kept in a file for the next time."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._saved = readline.get_current_history_length()

    @classmethod
    def open(cls) -> History | None:
        """Read the history.  None: there is no place for one."""
        file = history_file()
        if readline is None or file is None or not hasattr(readline, "append_history_file"):
            return None
        try:
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(file, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600))
            readline.set_history_length(HISTORY_LENGTH)
            readline.read_history_file(file)
        except OSError:
            return None
        return cls(file)

    def save(self) -> None:
        """Append the lines that are new, so that two programs may use one file."""
        length = readline.get_current_history_length()
        if length > self._saved:
            with contextlib.suppress(OSError):
                readline.append_history_file(length - self._saved, self._file)
        self._saved = length


def history_file() -> Path | None:
    """Return the place for the history, by the XDG Base Directory Specification."""
    state = os.environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(state):  # "consider the path invalid and ignore it"
        state = os.path.expanduser("~/.local/state")
    return Path(state, "wsref", "connect_history") if os.path.isabs(state) else None


def bytes_of(digits: str) -> bytes:
    r"""Return the bytes of ``/binary``.

    >>> bytes_of("00 ff68")
    b'\x00\xffh'
    """
    try:
        return bytes.fromhex(digits)
    except ValueError:
        raise ValueError(f"a byte is two hex digits, as in /binary 00 ff 68690a, not {quote_ascii(digits)}") from None


def big_text(size: str) -> str:
    """Return a text of this many bytes.

    >>> big_text("12")
    '0123456789ab'
    """
    if not re.fullmatch("[0-9]{1,9}", size.strip()):
        raise ValueError(f"a size is a number of bytes below 1,000,000,000, as in /big 70000, not {quote_ascii(size)}")
    pattern = "0123456789abcdef"
    return (pattern * (int(size) // 16 + 1))[: int(size)]
