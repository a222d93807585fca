"""``python -m wsref check``: the command line of the grader.

The report goes to standard output; progress, warnings and errors to standard error.  Exit code: 0, no MUST
is broken; 1, one is, or there was no server to grade to the end; 2, usage; 130, Ctrl-C.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from ..check import report
from ..check.case import Case, Verdict
from ..check.cases import CASES, select
from ..check.gallery import BROKEN
from ..check.gallery.reference import serving
from ..check.report import Pen
from ..check.runner import NotAnswering, Report, grade
from ..check.session import Target, parse_target
from ..check.verdict import Level, Outcome
from .terminal import CommandError, seconds, wants_colour


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser], version: str) -> None:
    """The flags of ``check``."""
    parser = commands.add_parser(
        "check",
        help="grade any WebSocket server, chapter by chapter",
        description=f"Grade any WebSocket server, in any language: {len(CASES)} cases, chapter by chapter, each with\n"
        "the section of the RFC that it is about.  It assumes an echo server, finds out whether it\n"
        "is one, and skips what needs one if not.",
        epilog="levels:\n"
        "  MUST     a sentence of an RFC is broken; only these make the exit code 1\n"
        "  SHOULD   the RFC advises otherwise, and there may be good reasons\n"
        "  INTEROP  no rule is broken; clients in the field, or their users, expect otherwise\n\n"
        "examples:\n"
        "  python -m wsref check ws://127.0.0.1:8765/echo\n"
        "  python -m wsref check --until 3 ws://127.0.0.1:8000/    you have written chapters 1 to 3\n"
        "  python -m wsref check --only '6.length.*' -v URL        these cases, with a line for each\n"
        "  python -m wsref check --broken guid-with-space          serve an exercise: find the bug\n\n"
        "exit code: 0, no MUST is broken; 1, one is, or the server does not answer; 2, usage; 130, Ctrl-C",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run, parser=parser, version=version)
    add = parser.add_argument
    add("url", metavar="URL", nargs="?", help="ws://HOST:PORT/PATH, or wss://...; a path where it echoes")
    add("--until", metavar="N", type=int, choices=report.CHAPTERS, help="only the chapters up to N (1 to 11)")
    add(
        "--only",
        metavar="ID-OR-GLOB",
        action="append",
        default=[],
        help="only these cases: an id, its beginning (6.length), or a glob; may be given several times",
    )
    add(
        "--level",
        choices=[level.value.lower() for level in Level],
        default="interop",
        help="must: only MUST; should: MUST and SHOULD; interop: all (default)",
    )
    add("--no-echo", action="store_true", help="it is no echo server: skip what needs one, and send it no message")
    add("--timeout", metavar="SECONDS", type=seconds, default=3.0, help="for each answer (default: %(default)g)")
    add("--jobs", metavar="N", type=_jobs, default=4, help="cases at a time (default: %(default)d)")
    add("--insecure", action="store_true", help="wss: take any certificate")
    add("--cafile", metavar="FILE", help="wss: trust the certificates in FILE, too")
    add(
        "-v",
        "--verbose",
        action="store_true",
        help="a line for every case, a picture for every failure; with --list, all about each",
    )
    add("--trace", action="store_true", help="show what passed on the wire, for every case")
    add("--json", metavar="FILE", help="write the report to FILE as JSON (-: standard output)")
    add("--junit", metavar="FILE", help="... as JUnit XML, for CI; only a MUST is a failure there")
    add("--html", metavar="FILE", help="... as a page")
    add("--list", action="store_true", help="list the cases, and end")
    add("--gallery", action="store_true", help="list the broken servers, and end; with -v, what is broken")
    add("--broken", metavar="NAME", choices=BROKEN, help="serve one of them, as an exercise, until Ctrl-C")
    add("--port", metavar="PORT", type=int, default=0, help="with --broken: the port (default: any free one)")


def _jobs(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 64:
        raise argparse.ArgumentTypeError(f"jobs are a number from 1 to 64, not {text!a}")
    return int(text)


def run(options: argparse.Namespace) -> int:
    """``python -m wsref check``.

    Returns:
        The exit code.
    Raises:
        CommandError: there is no server to grade, or a report cannot be written.
    """
    parser: argparse.ArgumentParser = options.parser
    levels = list(Level)[: [level.value.lower() for level in Level].index(options.level) + 1]
    try:
        cases = [case for case in select(until=options.until, only=options.only) if case.level in levels]
        if not cases:
            raise ValueError("no case is left to play: see check --list")
        if options.gallery:
            return list_gallery(verbose=options.verbose)
        if options.list:
            return list_cases(cases, verbose=options.verbose)
        if options.broken:
            return serve_broken(options.broken, options.port)
        if options.url is None:
            raise ValueError("which server?  Give its URL, such as ws://127.0.0.1:8765/echo (or --list, --gallery)")
        target = parse_target(options.url, verify=not options.insecure, cafile=options.cafile)
    except ValueError as error:
        parser.error(str(error))
    if options.cafile and not Path(options.cafile).is_file():
        raise CommandError(f"cannot read {options.cafile}: there is no such file")
    files = [open_for(file) for file in (options.json, options.junit, options.html)]
    try:
        return check(target, cases, options, *files)
    except KeyboardInterrupt:
        print("\nwsref: interrupted; the cases that were played are not reported", file=sys.stderr)
        return 130


def open_for(file: str | None) -> Path | None:
    """Where a report goes.  It is found out before the run, not after it, whether it can.

    Raises:
        CommandError: it cannot.
    """
    if file is None or file == "-":
        return None if file is None else Path("-")
    try:
        with open(file, "a"):
            pass
    except OSError as error:
        raise CommandError(f"cannot write {file}: {error.strerror}") from None
    return Path(file)


def check(
    target: Target,
    cases: list[Case],
    options: argparse.Namespace,
    json_file: Path | None,
    junit_file: Path | None,
    html_file: Path | None,
) -> int:
    """Grade, and report.

    Returns:
        The exit code.
    """
    if not target.is_loopback:
        print(
            f"wsref: {target.authority} is not this machine: it gets some {2 * len(cases)} connections, many malformed "
            "on purpose, some with megabytes; grade only what you may test",
            file=sys.stderr,
        )
    progress = Progress(len(cases), sys.stderr)
    try:
        result = grade(
            target, cases, timeout=options.timeout, jobs=options.jobs, echo=not options.no_echo, tell=progress.tell
        )
    except NotAnswering as error:
        raise CommandError(f"nothing to grade at {target.url}: {error}") from None
    finally:
        progress.end()
    version = options.version
    date = datetime.now(UTC).isoformat(timespec="seconds")
    to_stdout = Path("-") in (json_file, junit_file, html_file)
    stream = sys.stderr if to_stdout else sys.stdout
    width = min(max(shutil.get_terminal_size((100, 24)).columns, 80), 120)
    pen = Pen(wants_colour(stream))
    for line in report.as_text(result, pen, verbose=options.verbose, trace=options.trace, width=width):
        print(line, file=stream)
    _write(json_file, (json.dumps(report.as_dict(result, version=version, date=date), indent=1) + "\n").encode())
    _write(junit_file, report.as_junit(result))
    _write(html_file, report.as_html(result, version=version, date=date).encode())
    return exit_code(result)


def exit_code(result: Report) -> int:
    """0: no MUST is broken; 1: one is, or the run could not be ended."""
    return int(result.broke_a_must or bool(result.stopped))


def _write(file: Path | None, data: bytes) -> None:
    if file is None:
        return
    if file == Path("-"):
        sys.stdout.write(data.decode())
        return
    try:
        file.write_bytes(data)
    except OSError as error:
        raise CommandError(f"cannot write {file}: {error.strerror}") from None


class Progress:
    """A line that counts, on a terminal; nothing elsewhere."""

    def __init__(self, cases: int, stream: TextIO) -> None:
        self._cases = cases
        self._stream = stream if stream.isatty() else None
        self._played = self._failed = 0

    def tell(self, verdict: Verdict) -> None:
        """One more."""
        self._played += 1
        self._failed += verdict.outcome is Outcome.FAIL
        if self._stream:
            failed = f", {self._failed} failed" if self._failed else ""
            self._stream.write(f"\r\x1b[K{self._played} of {self._cases}{failed}: {verdict.case.id}")
            self._stream.flush()

    def end(self) -> None:
        """Wipe it away."""
        if self._stream and self._played:
            self._stream.write("\r\x1b[K")
            self._stream.flush()


# -- Without a server ---------------------------------------------------------------------------


def list_cases(cases: list[Case], *, verbose: bool) -> int:
    """``--list``."""
    width = max(len(case.id) for case in cases)
    for case in cases:
        print(f"{case.id:{width}}  {case.level.value:7}  {case.section:18}  {case.title}")
        if verbose:
            for name in ("quote", "sends", "accepts", "hint"):
                print(f"    {name:8} {report.case_as_dict(case)[name]}")
    return 0


def list_gallery(*, verbose: bool) -> int:
    """``--gallery``: what their users complain about; what is wrong only if asked for."""
    width = max(map(len, BROKEN), default=0)
    for name, server in BROKEN.items():
        print(f"{name:{width}}  {server.symptom}")
        if verbose:
            print(f"{'':{width}}    the bug: {server.bug}; found by {', '.join(server.fails)}")
    if not verbose:
        print("\nServe one with --broken NAME, and find the bug.  The solutions: --gallery -v", file=sys.stderr)
    return 0


def serve_broken(name: str, port: int) -> int:
    """``--broken``: until Ctrl-C."""
    try:
        with serving(BROKEN[name], port) as url:
            print(f"{url} is broken: {BROKEN[name].symptom}.")
            print(f"Find the bug: python -m wsref check {url}", flush=True)
            threading.Event().wait()
    except OSError as error:
        raise CommandError(f"cannot listen on port {port}: {error.strerror}") from None
    except OverflowError:
        raise CommandError(f"a port is a number from 0 to 65535, not {port}") from None
    except KeyboardInterrupt:
        print(f"\nThe bug was: {BROKEN[name].bug}.", file=sys.stderr)
    return 0
