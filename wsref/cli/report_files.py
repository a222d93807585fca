"""The files of ``check``, and its progress line."""

from __future__ import annotations

import contextlib
import errno
import io
import itertools
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, TextIO

from ..check import report
from ..check.case import Verdict
from ..check.clients.autobahn import index
from ..check.runner import Report
from ..check.verdict import Outcome
from .terminal import CommandError, has_escapes


def _as_json(result: Report, version: str, date: str) -> str:
    return json.dumps(report.as_dict(result, version=version, date=date), indent=1) + "\n"


class ReportFiles:
    """The reports that the command line asks for.

    Args:
        files: Kind to file; ``-``: standard output; None: no such report.
        others: Flag to file, of the files that a report must not overwrite; None: the flag is not given.
    Raises:
        ValueError: Two reports go to one file, or to standard output, or a report would overwrite one of the others.
        CommandError: A file cannot be written.
    """

    #: Kind of report, which is also the flag, to the function that formats it.
    KINDS: ClassVar[dict[str, Callable[[Report, str, str], str]]] = {
        "json": _as_json,
        "junit": lambda result, _, date: report.as_junit(result, date=date).decode(),
        "markdown": lambda result, version, date: report.as_markdown(result, version=version, date=date),
        "html": lambda result, version, date: report.as_html(result, version=version, date=date),
    }

    def __init__(
        self, files: Mapping[str, str | None], others: Mapping[str, str | None] = MappingProxyType({})
    ) -> None:
        self._files = {kind: file for kind, file in files.items() if file is not None}
        taken = {os.path.realpath(file): flag for flag, file in others.items() if file and not _is_special(file)}
        names = ["-" if file == "-" else os.path.realpath(file) for file in self._files.values()]
        for file, name in zip(self._files.values(), names, strict=True):
            if names.count(name) > 1:
                raise ValueError(f"only one report can go to {'standard output' if file == '-' else file}")
            if flag := taken.get(name):
                raise ValueError(f"a report to {file} would overwrite the file of {flag}")
            if file != "-":
                self.require_writable(file)

    @property
    def use_stdout(self) -> bool:
        """Whether a report goes to standard output."""
        return "-" in self._files.values()

    @staticmethod
    def require_writable(file: str) -> None:
        """Check before the run that a file can be written.

        Raises:
            CommandError: It cannot.
        """
        existed = os.path.lexists(file)
        try:
            if _is_special(file):
                return  # to open a named pipe, and to close it, would end its reader
            with open(file, "a"):
                pass
            if not existed:
                os.unlink(file)
        except OSError as error:
            raise CommandError(f"cannot write {file}: {error.strerror}") from None

    def write(self, result: Report, version: str) -> None:
        """Format and write the reports.

        Raises:
            CommandError: A file cannot be written.
        """
        date = datetime.now(UTC).isoformat(timespec="seconds")
        for kind, file in self._files.items():
            text = self.KINDS[kind](result, version, date)
            if file == "-":
                if isinstance(sys.stdout, io.TextIOWrapper):
                    sys.stdout.reconfigure(encoding="utf-8")  # as XML and the page declare, in every locale
                sys.stdout.write(text)
            else:
                write_whole(file, text.encode())


class AutobahnFolder:
    """The folder of a spec file of Autobahn: ``index.json``, and for each agent a report as JSON and as a page.

    Args:
        outdir: Its path.  It need not exist.
        version: Of this package, for the reports.
    Raises:
        CommandError: The folder cannot be made.
    """

    def __init__(self, outdir: str, version: str) -> None:
        self._folder = Path(outdir)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CommandError(f"cannot make the folder {self._folder}: {error.strerror}") from None
        self._version = version
        self._index: dict[str, object] = {}
        self._files: dict[str, str] = {}  # name of the agent to that of its files, without .json

    def add(self, name: str, result: Report, close_codes: Mapping[str, int | None]) -> None:
        """Write the report on an agent, and the index of all agents.

        Raises:
            CommandError: A file cannot be written.
        """
        date = datetime.now(UTC).isoformat(timespec="seconds")
        file = self._files.setdefault(name, self._new_file(name))
        self._index[name] = index(result.verdicts, close_codes, f"{file}.json")
        for path, text in (
            ("index.json", json.dumps(self._index, indent=1)),
            (f"{file}.json", _as_json(result, self._version, date)),
            (f"{file}.html", report.as_html(result, version=self._version, date=date)),
        ):
            write_whole(str(self._folder / path), text.encode())

    def _new_file(self, name: str) -> str:
        """Return a name for the files of an agent that no other file has, also where case does not count."""
        wanted = re.sub("[^0-9A-Za-z._-]+", "_", name).strip(".") or "agent"
        taken = {"index", *(file.lower() for file in self._files.values())}
        names = itertools.chain([wanted], (f"{wanted}-{n}" for n in itertools.count(2)))
        return next(file for file in names if file.lower() not in taken)


def _is_special(file: str) -> bool:
    """Return whether it is a pipe, a device or a socket."""
    return os.path.exists(file) and not os.path.isfile(file) and not os.path.isdir(file)


#: Errors of a folder in which no other file can be made, or of a file that is mounted by itself, as in a container.
ONLY_THE_FILE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY, errno.ENAMETOOLONG)


def write_whole(file: str, data: bytes) -> None:
    """Write a file wholly or not at all, so that no reader finds a half-written report.

    Where only this file can be written, and not its folder, it is written in place.

    Raises:
        CommandError: The file cannot be written.
    """
    path = Path(file).resolve()  # a link stays a link
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        if _is_special(file):
            Path(file).write_bytes(data)
            return
        try:
            part.write_bytes(data)
            if path.exists():
                shutil.copymode(path, part)
            os.replace(part, path)
        except OSError as error:
            if error.errno not in ONLY_THE_FILE:
                raise
            path.write_bytes(data)
    except OSError as error:
        raise CommandError(f"cannot write {file}: {error.strerror}") from None
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


class Progress:
    """A line that counts the played cases, on a terminal only.

    Attributes:
        ends: Whether Ctrl-C stopped the run.
    """

    def __init__(self, cases: int, stream: TextIO) -> None:
        self.ends = False
        self._cases = cases
        self._stream = stream
        self._is_shown = has_escapes(stream)
        self._played = self._failed = 0

    def update(self, verdict: Verdict) -> None:
        """Count one more verdict."""
        self._played += 1
        self._failed += verdict.outcome is Outcome.FAIL
        if self._is_shown:
            failed = f", {self._failed} failed" if self._failed else ""
            line = f"{self._played} of {self._cases}{failed}: {verdict.case.id}"
            self._stream.write(f"\r\x1b[K{line[: self._columns() - 1]}")
            self._stream.flush()

    def _columns(self) -> int:
        """Return the width of the terminal, which may change during the run."""
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or 80
        except OSError:
            return 80

    def announce_the_end(self) -> None:
        """Say after Ctrl-C what the run waits for: the cases in progress, at most a few timeouts."""
        self.ends = True
        with contextlib.suppress(RuntimeError, OSError):  # a signal handler: the stream may be in use
            print("\nwsref: stopping; the cases in progress end first, then the report follows", file=self._stream)
            self._stream.flush()

    def end(self) -> None:
        """Clear the line."""
        if self._is_shown and self._played:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
