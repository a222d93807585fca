"""What the commands share: colour or not, the log, and how to say that it cannot be done."""

from __future__ import annotations

import argparse
import logging
import math
import os
import sys
from typing import TextIO

from ..wire.trace import Printer, Recorder


class CommandError(Exception):
    """It cannot be done: one line for standard error, and exit code 1."""


def wants_colour(stream: TextIO) -> bool:
    """NO_COLOR and FORCE_COLOR decide (https://no-color.org); else whether it is a terminal."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("TERM") == "dumb" and not os.environ.get("FORCE_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or stream.isatty()


def seconds(text: str) -> float:
    """An argument of a command line that is a time.

    Raises:
        argparse.ArgumentTypeError: it is no number above 0.
    """
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"seconds are a number above 0, not {text!a}")
    return number


class LogFormatter(logging.Formatter):
    """``12:34:56 127.0.0.1:50000 101: '/echo'``; warnings and errors say so, and in colour."""

    def __init__(self, colour: bool) -> None:
        super().__init__("%(asctime)s %(message)s", "%H:%M:%S")
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        """One record, one line (and a traceback, if there is one)."""
        line = super().format(record)
        clock, rest = line[:8], line[8:]
        word = f" {record.levelname.lower()}:" if record.levelno >= logging.WARNING else ""
        if self._colour:
            clock = f"\x1b[2m{clock}\x1b[0m"
            word = word and f"\x1b[33m{word}\x1b[0m"
        return clock + word + rest


def set_up_log(level: str, stream: TextIO) -> None:
    """The log of the command line: to standard error."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LogFormatter(wants_colour(stream)))
    logger = logging.getLogger("wsref")
    logger.handlers[:] = [handler]
    logger.setLevel(level.upper())
    logger.propagate = False


def tracer(file: str | None, stream: TextIO | None = None) -> Printer | None:
    """What ``--trace [FILE]`` asks for.

    Args:
        file: Where to record; ``-``: print; None: there is no trace.
        stream: Where to print; None: standard error.
    Raises:
        CommandError: the file cannot be written.
    """
    if file is None:
        return None
    if file == "-":
        return Printer(stream or sys.stderr, colour=wants_colour(sys.stderr))
    try:
        return Recorder(open(file, "w", encoding="utf-8"))
    except OSError as error:
        raise CommandError(f"cannot write {file}: {error.strerror}") from None
