"""``python -m wsref check``: the command line of the grader.

The report goes to standard output; progress, warnings and errors go to standard error.  Exit code: 0, no MUST
failed; 1, a MUST failed, or the server stopped answering; 2, usage; 130, Ctrl-C.
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
from ..check.report import Ansi
from ..check.runner import NotAnswering, Report, grade
from ..check.session import Target, parse_target
from ..check.verdict import Level, Outcome
from .terminal import CommandError, seconds, wants_colour


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser], version: str) -> None:
    """Add the parser of ``check``."""
    parser = commands.add_parser(
        "check",
        help="grade any WebSocket server, chapter by chapter",
        description=f"Grade any WebSocket server, in any language: {len(CASES)} cases, chapter by chapter, each with\n"
        "its section of an RFC.  The grader tests whether the server echoes messages.  If it does not,\n"
        "the grader skips the cases that need an echo.",
        epilog="levels:\n"
        "  MUST     the server breaks a sentence of an RFC; only these set the exit code to 1\n"
        "  SHOULD   the RFC advises otherwise; good reasons may exist\n"
        "  INTEROP  the server breaks no rule; real clients, or their users, expect otherwise\n\n"
        "examples:\n"
        "  python -m wsref check ws://127.0.0.1:8765/echo\n"
        "  python -m wsref check --until 3 ws://127.0.0.1:8000/    grade chapters 1 to 3\n"
        "  python -m wsref check --only '6.length.*' -v URL        these cases, one line each\n"
        "  python -m wsref check --broken guid-with-space          serve an exercise with a bug to find\n\n"
        "exit code: 0, no MUST failed; 1, a MUST failed, or the server does not answer; 2, usage; 130, Ctrl-C",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run, parser=parser, version=version)
    add = parser.add_argument
    add("url", metavar="URL", nargs="?", help="ws://HOST:PORT/PATH or wss://...; choose a path where the server echoes")
    add("--until", metavar="N", type=int, choices=report.CHAPTERS, help="only the chapters up to N (1 to 11)")
    add(
        "--only",
        metavar="ID-OR-GLOB",
        action="append",
        default=[],
        help="only these cases: an id, its beginning (6.length), or a glob; repeatable",
    )
    add(
        "--level",
        choices=[level.value.lower() for level in Level],
        default="interop",
        help="must: only MUST; should: MUST and SHOULD; interop: all levels (default)",
    )
    add(
        "--no-echo",
        action="store_true",
        help="send no message to test for an echo, and skip the cases that need an echo",
    )
    add(
        "--timeout",
        metavar="SECONDS",
        type=seconds,
        default=3.0,
        help="the time to wait for each answer (default: %(default)g)",
    )
    add("--jobs", metavar="N", type=_jobs, default=4, help="the number of cases at a time (default: %(default)d)")
    add("--insecure", action="store_true", help="wss: accept any certificate")
    add("--cafile", metavar="FILE", help="wss: also trust the certificates in FILE")
    add(
        "-v",
        "--verbose",
        action="store_true",
        help="show a line for every case and a picture for every failure; with --list, all details",
    )
    add("--trace", action="store_true", help="show the bytes of every case")
    add("--json", metavar="FILE", help="write the report to FILE as JSON (-: standard output)")
    add("--junit", metavar="FILE", help="... as JUnit XML, for CI; only a failed MUST is a failure there")
    add("--html", metavar="FILE", help="... as an HTML page")
    add("--list", action="store_true", help="list the cases")
    add("--gallery", action="store_true", help="list the broken servers; with -v, also their bugs")
    add("--broken", metavar="NAME", choices=BROKEN, help="serve a broken server as an exercise, until Ctrl-C")
    add("--port", metavar="PORT", type=int, default=0, help="with --broken: the port (default: any free one)")


def _jobs(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 64:
        raise argparse.ArgumentTypeError(f"jobs must be a number from 1 to 64, not {text!a}")
    return int(text)


def run(options: argparse.Namespace) -> int:
    """Run ``python -m wsref check``.

    Returns:
        The exit code.
    Raises:
        CommandError: The server does not answer, or a report cannot be written.
    """
    parser: argparse.ArgumentParser = options.parser
    levels = list(Level)[: [level.value.lower() for level in Level].index(options.level) + 1]
    try:
        cases = [case for case in select(until=options.until, only=options.only) if case.level in levels]
        if not cases:
            raise ValueError("no case matches: see check --list")
        if options.gallery:
            return list_gallery(verbose=options.verbose)
        if options.list:
            return list_cases(cases, verbose=options.verbose)
        if options.broken:
            return serve_broken(options.broken, options.port)
        if options.url is None:
            raise ValueError("the URL is missing: give one such as ws://127.0.0.1:8765/echo (or --list, --gallery)")
        target = parse_target(options.url, verify=not options.insecure, cafile=options.cafile)
    except ValueError as error:
        parser.error(str(error))
    if options.cafile and not Path(options.cafile).is_file():
        raise CommandError(f"cannot read {options.cafile}: no such file")
    files = [open_for(file) for file in (options.json, options.junit, options.html)]
    try:
        return check(target, cases, options, *files)
    except KeyboardInterrupt:
        print("\nwsref: interrupted; there is no report", file=sys.stderr)
        return 130


def open_for(file: str | None) -> Path | None:
    """Check before the run that a report can be written.

    Raises:
        CommandError: The file cannot be written.
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
    """Grade the server, and write the reports.

    Returns:
        The exit code.
    """
    if not target.is_loopback:
        print(
            f"wsref: {target.authority} is not this machine.  The run opens about {2 * len(cases)} connections; many "
            "are malformed on purpose, some send megabytes.  Grade only servers that you are allowed to test",
            file=sys.stderr,
        )
    progress = Progress(len(cases), sys.stderr)
    try:
        result = grade(
            target,
            cases,
            timeout=options.timeout,
            jobs=options.jobs,
            echo=not options.no_echo,
            on_verdict=progress.update,
        )
    except NotAnswering as error:
        raise CommandError(f"cannot grade {target.url}: {error}") from None
    finally:
        progress.end()
    version = options.version
    date = datetime.now(UTC).isoformat(timespec="seconds")
    to_stdout = Path("-") in (json_file, junit_file, html_file)
    stream = sys.stderr if to_stdout else sys.stdout
    width = min(max(shutil.get_terminal_size((100, 24)).columns, 80), 120)
    ansi = Ansi(wants_colour(stream))
    for line in report.as_text(result, ansi, verbose=options.verbose, trace=options.trace, width=width):
        print(line, file=stream)
    _write(json_file, (json.dumps(report.as_dict(result, version=version, date=date), indent=1) + "\n").encode())
    _write(junit_file, report.as_junit(result))
    _write(html_file, report.as_html(result, version=version, date=date).encode())
    return exit_code(result)


def exit_code(result: Report) -> int:
    """Return 1 if a MUST failed or the run stopped early, else 0."""
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
    """A line that counts the played cases, on a terminal only."""

    def __init__(self, cases: int, stream: TextIO) -> None:
        self._cases = cases
        self._stream = stream if stream.isatty() else None
        self._played = self._failed = 0

    def update(self, verdict: Verdict) -> None:
        """Count one more verdict."""
        self._played += 1
        self._failed += verdict.outcome is Outcome.FAIL
        if self._stream:
            failed = f", {self._failed} failed" if self._failed else ""
            self._stream.write(f"\r\x1b[K{self._played} of {self._cases}{failed}: {verdict.case.id}")
            self._stream.flush()

    def end(self) -> None:
        """Clear the line."""
        if self._stream and self._played:
            self._stream.write("\r\x1b[K")
            self._stream.flush()


# -- Without a server ---------------------------------------------------------------------------


def list_cases(cases: list[Case], *, verbose: bool) -> int:
    """Run ``--list``."""
    width = max(len(case.id) for case in cases)
    for case in cases:
        print(f"{case.id:{width}}  {case.level.value:7}  {case.section:18}  {case.title}")
        if verbose:
            for name in ("quote", "sends", "accepts", "hint"):
                print(f"    {name:8} {report.case_as_dict(case)[name]}")
    return 0


def list_gallery(*, verbose: bool) -> int:
    """Run ``--gallery``: list the symptoms, and with ``verbose`` the bugs."""
    width = max(map(len, BROKEN), default=0)
    for name, server in BROKEN.items():
        print(f"{name:{width}}  {server.symptom}")
        if verbose:
            print(f"{'':{width}}    the bug: {server.bug}; found by {', '.join(server.fails)}")
    if not verbose:
        print("\nServe one with --broken NAME, and find its bug.  For the solutions: --gallery -v", file=sys.stderr)
    return 0


def serve_broken(name: str, port: int) -> int:
    """Run ``--broken``: serve a broken server until Ctrl-C."""
    try:
        with serving(BROKEN[name], port) as url:
            print(f"{url} is a broken server.  Symptom: {BROKEN[name].symptom}.")
            print(f"Find the bug: python -m wsref check {url}", flush=True)
            threading.Event().wait()
    except OSError as error:
        raise CommandError(f"cannot listen on port {port}: {error.strerror}") from None
    except OverflowError:
        raise CommandError(f"a port is a number from 0 to 65535, not {port}") from None
    except KeyboardInterrupt:
        print(f"\nThe bug was: {BROKEN[name].bug}.", file=sys.stderr)
    return 0
