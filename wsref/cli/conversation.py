r"""Chapter 0: the common part of both ways to talk with ``connect``, and the one for pipes.

As a filter (``echo hi | python -m wsref connect URL``), each line of standard input is sent, and
each message is one line of standard output.  Three threads share the work, because each of them
may block: one reads the input and sends it, one prints messages, and the main thread waits for
the end, so that Ctrl-C and ``--max-time`` always work.  A pipe must not lose anything silently:
input that was not sent and messages that were not printed make the exit code 1.

Bytes from a server are escaped before they reach a terminal: else they could move the cursor, or
change the lines above::

    >>> print(escaped("two\nlines, and \x1b[31mred"))
    two⏎lines, and \x1b[31mred
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import os
import select
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from ..network.client import WebSocket, how_it_ended, is_normal
from ..protocol.connection import Closed
from ..protocol.errors import ConnectionClosed
from ..protocol.spec import CloseCode
from .terminal import print_to_stderr, wait, wants_colour

#: Characters of a text message, and bytes of a binary one, that are printed on a terminal.
MAX_SHOWN = 2000

#: Seconds after ``--max-time`` in which the server may answer our Close.
GRACE = 1.0

#: Seconds of the closing handshake after which a notice says that it is not over.
NOTICE_AFTER = 1.5

#: Seconds without a message after which a filter ends, once the input has ended.
WAIT = 1.0

#: Bytes that a read of standard input asks for.
READ_SIZE = 65536

#: The exit code when ``--max-time`` is over, as of timeout(1).
TIMED_OUT = 124


def in_time(action: Callable[[], Any], seconds: float) -> Any:
    """Call a function in a thread, so that nothing in it delays Ctrl-C or the end of the time.

    Raises:
        TimeoutError: It takes longer.  It goes on until the process ends.
    """
    outcome: Future[Any] = Future()
    done = threading.Event()

    def work() -> None:
        try:
            outcome.set_result(action())
        except BaseException as error:
            outcome.set_exception(error)
        done.set()

    threading.Thread(target=work, name="wsref works", daemon=True).start()
    if not wait(done, seconds):
        raise TimeoutError
    return outcome.result()


# -- Output ---------------------------------------------------------------------------


def notify(notice: str, colour: str = "2") -> None:
    """Print a line about the connection to standard error."""
    print_to_stderr(f"\x1b[{colour}m{notice}\x1b[0m" if wants_colour(sys.stderr) else notice)


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


def ending(closed: Closed, max_size: int) -> str:
    """Say how the connection ended.

    >>> print(ending(Closed(4000, "à bientôt", 4000, True, False, None, b""), 1000))
    the server closed the connection: 4000 'à bientôt'
    """
    if closed.error is not None and closed.error.code == CloseCode.TOO_BIG:
        limit = f"the limit of this client, {max_size:,} bytes (we sent 1009)"
        return f"a message of the server is larger than {limit}: raise it by --max-message-size BYTES"
    if closed.error is not None or closed.code == CloseCode.ABNORMAL or not closed.reason:
        return how_it_ended(closed)
    return f"{how_it_ended(replace(closed, reason=''))} '{escaped(closed.reason)}'"


# -- The conversation -------------------------------------------------------------------


class Conversation(ABC):
    """The common part of :class:`Filter` and :class:`~wsref.cli.prompt.Terminal`.

    A second thread prints the messages; the main thread is in :meth:`converse`.

    Args:
        ws: The connection.
        options: Of the command line.
        deadline: ``time.monotonic()`` when ``--max-time`` is over.
    Attributes:
        ended: Set when no more messages will be printed, or no more time is left.
        received: The number of printed messages.
        last_message: ``time.monotonic()`` of the last message; infinite while one is printed.
        problem: The first failure of our input or output: a sentence, or "" if it needs no words.
    """

    def __init__(self, ws: WebSocket, options: argparse.Namespace, deadline: float = math.inf) -> None:
        self.ws = ws
        self.options = options
        self.ended = threading.Event()
        self.received = 0
        self.last_message = time.monotonic()
        self.problem: str | None = None
        self._deadline = deadline
        self._timed_out = False

    def run(self) -> int:
        """Run until the connection, the input or the time ends; return the exit code."""
        ws, interrupted = self.ws, False
        negotiated = [f"subprotocol {ws.protocol}"] if ws.protocol else []
        negotiated += [ws.extensions] if ws.extensions else []
        self.say(f"connected to {ws.url}" + (f" ({escaped('; '.join(negotiated))})" if negotiated else ""))
        if self.options.count:
            logging.getLogger("wsref").setLevel(logging.ERROR)  # messages after the last one are not missed
        printer = threading.Thread(target=self._print_messages, name="wsref prints", daemon=True)
        printer.start()
        if self._deadline < math.inf:
            timer = threading.Timer(max(self._deadline - time.monotonic(), 0.0), self._time_is_over)
            timer.daemon = True
            timer.start()
        try:
            self.converse()
        except ConnectionClosed:
            pass  # the last notice says how it ended
        except KeyboardInterrupt:
            interrupted = not self.ended.is_set()
        notice = threading.Timer(NOTICE_AFTER, self._say_that_it_waits)
        notice.daemon = True
        notice.start()
        try:
            in_time(lambda: self._close(printer), self._deadline + GRACE - time.monotonic())
        except TimeoutError:
            self._timed_out = True
        finally:
            notice.cancel()
        return self._exit_code(interrupted)

    def _say_that_it_waits(self) -> None:
        if self.ws.closed is None:
            self.say("waiting for the server's Close; Ctrl-C ends it at once")

    def _close(self, printer: threading.Thread) -> None:
        self.ws.close()
        printer.join()

    def _time_is_over(self) -> None:
        if not self.ended.is_set():
            self._timed_out = True
            self._end()

    def _exit_code(self, interrupted: bool) -> int:
        closed, count = self.ws.closed, self.options.count
        normal = closed is not None and is_normal(closed)
        if self.problem:
            notify(f"wsref: {self.problem}", "33")
        if closed is not None and self.problem != "":
            expected = normal and (closed.initiated_locally or self.problem is None)
            if not (self.options.quiet and expected):
                notify(ending(closed, self.options.max_message_size))
        if interrupted:
            return 130
        if self.problem is not None:
            return 1
        if self._timed_out:
            notify(f"wsref: --max-time: {self.options.max_time:g} s are over", "33")
            return TIMED_OUT
        if normal and count and self.received < count:
            notify(f"wsref: -n: the number of messages was {self.received}, not {count}", "33")
            return 1
        return 0 if normal else 1

    def _print_messages(self) -> None:
        try:
            for message in self.ws:
                self.last_message = math.inf  # a reader that is slow to take it is no silence
                try:
                    self.show(message)
                except OSError as error:
                    self.fail_output(error)
                    break
                self.last_message = time.monotonic()
                self.received += 1
                if self.received == self.options.count:
                    break
        except ConnectionClosed:
            pass
        self._end()

    def _end(self) -> None:
        self.ended.set()
        self.wake()

    def say(self, notice: str) -> None:
        """Print a notice, unless ``-q`` was given."""
        if not self.options.quiet:
            notify(notice)

    def fail(self, problem: str) -> None:
        """Note the first problem: it makes the exit code 1."""
        if self.problem is None:
            self.problem = problem

    def fail_output(self, error: OSError) -> None:
        """Note that standard output takes no more.  A reader that has ended, such as head, needs no words."""
        self.fail("" if isinstance(error, BrokenPipeError) else f"cannot write to standard output: {error.strerror}")

    @abstractmethod
    def converse(self) -> None:
        """Send the input, until it or the conversation ends.

        Raises:
            ConnectionClosed, KeyboardInterrupt: These end it, too.
        """

    @abstractmethod
    def show(self, message: str | bytes) -> None:
        """Print a message (in the printing thread)."""

    @abstractmethod
    def wake(self) -> None:
        """End :meth:`converse` (in another thread)."""


# -- As a filter --------------------------------------------------------------------------


class NotText(Exception):
    """A part of the input that is not UTF-8: it cannot be sent as text."""


class Filter(Conversation):
    """Sends standard input, or the texts of ``-x``, and prints messages to standard output.

    The input is read in a thread by ``os.read``: that works where nothing can wait for a pipe and
    something else, as on Windows; and the process can end while the thread is still reading.
    """

    def __init__(self, ws: WebSocket, options: argparse.Namespace, deadline: float = math.inf) -> None:
        super().__init__(ws, options, deadline)
        self._input_ended = threading.Event()
        self._has_input = threading.Lock()  # held while input was read that is not sent yet
        self._unsent = ""  # the part of the input that is being sent, or that the closed connection did not take

    def run(self) -> int:
        """Run; with ``--json`` the first and the last line are about the connection."""
        if self.options.json:
            ws = self.ws
            self._try_to_write({"type": "open", "url": ws.url, "subprotocol": ws.protocol, "extensions": ws.extensions})
        return super().run()

    def _exit_code(self, interrupted: bool) -> int:
        closed = self.ws.closed
        if closed is not None:
            if self._has_input.acquire(timeout=GRACE) and self._unsent and not closed.initiated_locally:
                self.fail(f"{self._unsent} was not sent: the connection was closed")
            if self.options.json and self.problem is None:
                by = "client" if closed.initiated_locally else "server" if closed.code != CloseCode.ABNORMAL else None
                line = {"type": "close", "code": closed.code, "reason": closed.reason}
                self._try_to_write({**line, "clean": closed.was_clean, "by": by})
        return super()._exit_code(interrupted)

    def converse(self) -> None:
        """Send the input; then wait for messages."""
        threading.Thread(target=self._send_input, name="wsref reads", daemon=True).start()
        wait(self._input_ended)
        pause = self.options.wait or (math.inf if self.options.count else WAIT)
        pause = pause if self.problem is None else min(pause, WAIT)
        since = time.monotonic()
        while (left := max(self.last_message, since) + pause - time.monotonic()) > 0:
            if wait(self.ended, min(left, pause)):
                return

    def wake(self) -> None:
        """End :meth:`converse`."""
        self._input_ended.set()

    # -- Input

    def _send_input(self) -> None:
        """Send all of the input (in the reading thread)."""
        try:
            with self._has_input:
                for name, message in self._messages():
                    self._unsent = name
                    self.ws.send(message)
                    self._unsent = ""
        except ConnectionClosed:
            pass  # the main thread says so
        except NotText as part:
            self.fail(
                f"{part} is not UTF-8, as text must be (RFC 6455 §5.6): it was not sent, and nothing after it; "
                "--binary sends any bytes"
            )
        except OSError as error:
            self.fail(f"cannot read standard input: {error.strerror}")
        self._input_ended.set()

    def _messages(self) -> Iterator[tuple[str, str | bytes]]:
        """Yield each message of the input, with words that name it."""
        binary = self.options.binary
        if self.options.execute:
            for n, text in enumerate(self.options.execute, 1):
                name = f"text {n} of -x"
                yield name, os.fsencode(text) if binary else _text(os.fsencode(text), name)
        elif binary:
            if data := b"".join(self._pieces()):
                yield "the input", data
        else:
            for n, line in enumerate(lines(self._pieces()), 1):
                name = f"line {n} of the input"
                yield name, _text(line, name)

    def _pieces(self) -> Iterator[bytes]:
        """Yield standard input as it arrives."""
        while True:
            self._has_input.release()
            try:
                data = _read(sys.stdin.fileno())
            finally:
                self._has_input.acquire()
            if not data:
                return
            yield data

    # -- Output

    def show(self, message: str | bytes) -> None:
        """Print a message as the options say."""
        if self.options.json:
            self._write_json(json_event(message))
        elif sys.stdout.isatty():
            write(f"{message_line(message)}\n".encode(sys.stdout.encoding, "backslashreplace"))
        elif self.options.binary:
            write(message if isinstance(message, bytes) else message.encode())
        else:
            write(f"{message.hex(' ') if isinstance(message, bytes) else message}\n".encode())

    def _write_json(self, event: dict[str, Any]) -> None:
        write(f"{json.dumps(event)}\n".encode())

    def _try_to_write(self, event: dict[str, Any]) -> None:
        try:
            self._write_json(event)
        except OSError as error:
            self.fail_output(error)
            self._end()


def json_event(message: str | bytes) -> dict[str, Any]:
    """Return a message as an object for ``--json``.

    >>> json_event("hi"), json_event(bytes([0, 255]))
    ({'type': 'text', 'data': 'hi'}, {'type': 'binary', 'hex': '00ff'})
    """
    if isinstance(message, bytes):
        return {"type": "binary", "hex": message.hex()}
    return {"type": "text", "data": message}


def lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    r"""Yield the lines of a stream, each as soon as it is complete.  A line ends in LF, or in CR LF as on Windows.

    >>> list(lines(iter([b"a\nb", b"c\r", b"\n\nd"])))
    [b'a', b'bc', b'', b'd']
    """
    line: list[bytes] = []
    for piece in pieces:
        *complete, rest = piece.split(b"\n")
        for end in complete:
            yield b"".join([*line, end]).removesuffix(b"\r")
            line.clear()
        line.append(rest)
    if last := b"".join(line):
        yield last


def _text(data: bytes, name: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise NotText(name) from None


def _read(source: int) -> bytes:
    """Wait for bytes, b"" at the end; also where another program made the pipe non-blocking."""
    while True:
        try:
            return os.read(source, READ_SIZE)
        except BlockingIOError:
            select.select([source], [], [])


def write(data: bytes) -> None:
    """Write all bytes to standard output.

    This does not use Python's buffer, which keeps its bytes after an error, and which the handler of
    a signal must not enter a second time.
    """
    target, left = sys.stdout.fileno(), memoryview(data)
    while left:
        try:
            left = left[os.write(target, left) :]
        except BlockingIOError:
            select.select([], [target], [])
