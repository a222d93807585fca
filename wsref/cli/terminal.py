"""What the commands share: colour, the log, the trace, arguments, and the error that ends a command."""

from __future__ import annotations

import argparse
import contextlib
import logging
import math
import os
import re
import signal
import ssl
import sys
import threading
import time
from pathlib import Path
from typing import TextIO

from ..protocol.limits import MAX_SECONDS
from ..wire.trace import Printer, Recorder


class CommandError(Exception):
    """The command failed: one line on standard error, and an exit code."""

    code = 1


class UsageError(CommandError):
    """The command line, or what it names, cannot be used."""

    code = 2


#: Whether a signal can interrupt a thread at will, as on Linux and macOS, and not on Windows.
HAS_SIGNALS = hasattr(signal, "pthread_kill")

#: Seconds for which the main thread waits at once: on Windows Ctrl-C ends no wait before Python 3.14 (cpython#125541).
STEP = math.inf if HAS_SIGNALS else 0.2


def wants_colour(stream: TextIO) -> bool:
    """Return whether to write ANSI colours to a stream.

    NO_COLOR and FORCE_COLOR decide (https://no-color.org); without them, a terminal gets colours.
    """
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or has_escapes(stream)


def has_escapes(stream: TextIO) -> bool:
    """Return whether a stream is a terminal that understands escape sequences; the one of Emacs does not."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def print_line(line: str, stream: TextIO) -> None:
    """Print a line at once.  If the stream is full, or its reader has gone, discard this line and the later ones."""
    try:
        print(line, file=stream, flush=True)
    except OSError:
        discard(stream)


def print_to_stderr(line: str) -> None:
    """Print a line to standard error.  Where that is full or closed there is no other place to say so."""
    print_line(line, sys.stderr)


def discard(stream: TextIO) -> None:
    """Send the output of a stream to nowhere, so that Python's last flush cannot fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def wait(event: threading.Event, seconds: float = math.inf) -> bool:
    """Wait for an event in the main thread, so that Ctrl-C ends the wait.

    Returns:
        Whether the event is set.
    """
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if event.wait(None if STEP == left == math.inf else min(left, STEP)):
            return True
    return event.is_set()


def positive(text: str) -> int:
    """Parse a number of things on the command line.

    Raises:
        argparse.ArgumentTypeError: It is not a whole number above 0.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= 12 and int(text)):
        raise argparse.ArgumentTypeError(f"it takes a whole number above 0, not {text!a}")
    return int(text)


def port(text: str) -> int:
    """Parse the number of a port on the command line; 0: any.

    Raises:
        argparse.ArgumentTypeError: It is not a number from 0 to 65535.
    """
    if not re.fullmatch("[0-9]{1,5}", text) or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"a port is a number from 0 to 65535, not {text!a}")
    return int(text)


def seconds(text: str) -> float:
    """Parse a time on the command line.

    Raises:
        argparse.ArgumentTypeError: It is not a number above 0, or more than the system can wait for.
    """
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number <= MAX_SECONDS:
        raise argparse.ArgumentTypeError(f"seconds are a number above 0, at most {MAX_SECONDS:,}, not {text!a}")
    return number


def trust_only(file: str) -> ssl.SSLContext:
    """Return a context for TLS as a client that trusts the certificates in a file, and no others.

    Raises:
        CommandError: The file of ``--cafile`` cannot be read, or holds no certificate.
    """
    try:
        data = Path(file).read_bytes()
        return ssl.create_default_context(cafile=file)
    except ssl.SSLError:
        reason = "holds no certificate in PEM (-----BEGIN CERTIFICATE-----)"
        if b"PRIVATE KEY-----" in data:
            reason = "holds a private key: give the file of the certificate that belongs to it"
        raise CommandError(f"--cafile: {file!a} {reason}") from None
    except OSError as error:
        raise CommandError(f"--cafile: cannot read {file!a}: {error.strerror}") from None


class LogFormatter(logging.Formatter):
    """``12:34:56 127.0.0.1:50000 101: '/echo'``; warnings and errors begin with their level, in colour."""

    def __init__(self, colour: bool) -> None:
        super().__init__("%(asctime)s %(message)s")
        self._colour = colour
        self._clock = (0, "")  # the second, and its text: most lines share it with the line before

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        """Return the time of day, without a date."""
        second, clock = self._clock
        if int(record.created) != second:
            second = int(record.created)
            clock = time.strftime("%H:%M:%S", time.localtime(second))
            self._clock = (second, clock)
        return clock

    def format(self, record: logging.LogRecord) -> str:
        """Return one line for a record, and its traceback if it has one."""
        line = super().format(record)
        clock, rest = line[:8], line[8:]
        word = f" {record.levelname.lower()}:" if record.levelno >= logging.WARNING else ""
        if self._colour:
            clock = f"\x1b[2m{clock}\x1b[0m"
            word = word and f"\x1b[33m{word}\x1b[0m"
        return clock + word + rest


def set_up_log(level: str, stream: TextIO) -> None:
    """Send the log of the command line to a stream.

    Cost:
        8 µs of CPU for a line; 13 if each looked for what no line shows: the caller, the thread, the process.
    """
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LogFormatter(wants_colour(stream)))
    logger = logging.getLogger("wsref")
    logger.handlers[:] = [handler]
    logger.setLevel(level.upper())
    logger.propagate = False


def open_trace(file: str | None, stream: TextIO | None = None) -> Printer | None:
    """Open the trace that ``--trace [FILE]`` asks for.  An earlier recording stays, until :func:`begin_trace`.

    Args:
        file: To record to; ``-``: print instead; None: no trace.
        stream: To print to; None: standard error.
    Raises:
        CommandError: The file cannot be written.
    """
    if file is None:
        return None
    if file == "-":
        return Printer(stream or sys.stderr, colour=wants_colour(sys.stderr))
    try:
        return Recorder(open(file, "a", encoding="utf-8"))
    except OSError as error:
        raise CommandError(f"cannot write {file}: {error.strerror}") from None


def begin_trace(file: str | None) -> None:
    """Empty the file of ``--trace FILE``.  A command that fails before it has something to record leaves it alone."""
    if file is not None and file != "-":
        with contextlib.suppress(OSError):  # a pipe, a device
            os.truncate(file, 0)
