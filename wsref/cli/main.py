"""The command line: ``python -m wsref COMMAND``.

Results go to standard output, the log and errors to standard error.  Exit codes: 0, success;
1, failure; 2, a wrong command line; 130, Ctrl-C (for ``serve`` only the second one).
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import importlib
import io
import os
import sys
from collections.abc import Sequence

from .. import __version__
from .terminal import CommandError, discard, print_to_stderr

#: The modules of this folder that are commands, in the order of the help.
COMMANDS = ("serve", "connect", "decode", "check", "exercise")

#: The disk is full or broken, or standard output is open for reading only.
UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EBADF)


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``python -m wsref`` with these arguments.

    Returns:
        The exit code.
    """
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115  (None if it was closed)
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that cannot show § gets an escape
    for standard in (sys.stdin, sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError):  # None, no descriptor, or Windows
            os.set_blocking(standard.fileno(), True)  # Python's files fail where another program made it non-blocking
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in ("-h", "--help", "--version")):
        arguments.insert(0, "serve")  # "python -m wsref --port 9000" serves
    try:
        try:
            return _run(arguments)
        finally:
            sys.stdout.flush()  # here, and not at the end of Python, where an error would be a traceback
    except CommandError as error:
        print_to_stderr(f"wsref: {error}")
        return error.code
    except KeyboardInterrupt:  # at a moment when the command does not expect it
        print_to_stderr("\nwsref: interrupted")
        return 130
    except OSError as error:
        if error.errno not in (errno.EPIPE, *UNWRITABLE):
            raise
        if error.errno in UNWRITABLE:
            print_to_stderr(f"wsref: cannot write the output: {error.strerror}")
        discard(sys.stdout)
        return 1


def _run(arguments: Sequence[str]) -> int:
    options = build_parser(arguments[0]).parse_args(arguments)
    code: int = options.run(options)
    return code


def build_parser(command: str = "") -> argparse.ArgumentParser:
    """Return the parser of the command line; the documentation prints its tables from it.

    Args:
        command: Import and add only this command; ``connect`` then starts in half the time.  Any
            other text: all commands.
    """
    parser = argparse.ArgumentParser(
        prog="python -m wsref",
        description="Learn the WebSocket protocol from a server you can read.",
        epilog="Without a command: serve.  Each command has its own -h.",
    )
    parser.add_argument("--version", action="version", version=f"wsref {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in (command,) if command in COMMANDS else COMMANDS:
        importlib.import_module(f".{name}", __package__).add_parser(commands)
    return parser
