"""``python -m wsref check``: the command line of the grader.

The report goes to standard output; progress, warnings and errors go to standard error.  Exit code: 0, all right;
1, a failure, or the run stopped early; 2, a wrong command line, no server, or a file that cannot be read or
written; 130, Ctrl-C.
"""

from __future__ import annotations

import argparse
import math
import re
import shutil
import ssl
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..check import baseline, report
from ..check.case import Case, Verdict
from ..check.cases import CASES, select
from ..check.gallery import BROKEN
from ..check.gallery.reference import serving
from ..check.report import Ansi
from ..check.runner import Capabilities, NotAnswering, Report, grade
from ..check.session import Target, parse_target
from ..check.verdict import Level, Outcome
from .report_files import Progress, ReportFiles, announcing_ctrl_c, write_whole
from .terminal import CommandError, seconds, wants_colour

DESCRIPTION = f"""\
Grade any WebSocket server, in any language: {len(CASES)} cases, chapter by chapter, each with its
section of an RFC.  The grader tests whether the server echoes messages.  If it does not, the
grader skips the cases that need an echo.
"""

EPILOG = """\
levels:
  MUST     the server breaks a sentence of an RFC; only these set the exit code to 1
  SHOULD   the RFC advises otherwise; good reasons may exist
  INTEROP  the server breaks no rule; real clients, or their users, expect otherwise

examples:
  python -m wsref check ws://127.0.0.1:8765/echo
  python -m wsref check --until 3 ws://127.0.0.1:8000/    grade chapters 1 to 3
  python -m wsref check --first URL                       fix one failure at a time
  python -m wsref check --only '6.length.*' -v URL        these cases, one line each
  python -m wsref check --header 'Cookie: id=1' --origin https://app.example --subprotocol chat URL
  python -m wsref check --write-baseline known.txt URL    accept the failures of today, and then in CI:
  python -m wsref check --baseline known.txt --junit check.xml --max-time 120 URL
  python -m wsref check --broken guid-with-space          serve an exercise with a bug to find

exit code:
  0    no MUST failed; with --baseline: no case failed that it does not list
  1    a failure, or the run stopped early (--first, --max-time, a server that stopped answering)
  2    a wrong command line, no server, or a file that cannot be read or written
  130  Ctrl-C; the reports are written, with the cases played so far

NO_COLOR=1 switches colours off, FORCE_COLOR=1 on; a pipe gets none.
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser], version: str) -> None:
    """Add the parser of ``check``."""
    parser = commands.add_parser(
        "check",
        help="grade any WebSocket server, chapter by chapter",
        usage="python -m wsref check [options] URL",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run, parser=parser, version=version)
    parser.add_argument(
        "url", metavar="URL", nargs="?", help="ws://HOST:PORT/PATH or wss://...; choose a path where the server echoes"
    )
    _add_selection(parser.add_argument_group("which cases"))
    _add_connection(parser.add_argument_group("the connections"))
    _add_output(parser.add_argument_group("the report"))
    _add_gate(parser.add_argument_group("known failures"))
    add = parser.add_argument_group("without a server").add_argument
    add("--list", action="store_true", help="list the cases")
    add("--gallery", action="store_true", help="list the broken servers; with -v, also their bugs")
    add("--broken", metavar="NAME", choices=BROKEN, help="serve a broken server as an exercise, until Ctrl-C")
    add("--port", metavar="PORT", type=int, default=0, help="with --broken: the port (default: any free one)")


def _add_selection(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--until", metavar="N", type=int, choices=report.CHAPTERS, help="only the chapters up to N (1 to 11)")
    add(
        "--only",
        metavar="ID-OR-GLOB",
        action="append",
        default=[],
        help="only these cases: an id, its beginning (6.length), or a glob; repeatable",
    )
    add(
        "--except",
        dest="left_out",
        metavar="GLOB",
        action="append",
        default=[],
        help="all cases but these, which the report lists as not played; repeatable",
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
    add("--first", action="store_true", help="stop at the first failure")
    add(
        "--max-time",
        metavar="SECONDS",
        type=seconds,
        default=math.inf,
        help="begin no further case after this time (default: no limit)",
    )


def _add_connection(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--timeout",
        metavar="SECONDS",
        type=seconds,
        default=3.0,
        help="the time to wait for each answer (default: %(default)g)",
    )
    add("--jobs", metavar="N", type=_jobs, default=4, help="the number of cases at a time (default: %(default)d)")
    add(
        "--header",
        metavar="'NAME: VALUE'",
        type=_header,
        action="append",
        default=[],
        help="add this line to each request, for a login for example; no report shows the value; repeatable",
    )
    add("--origin", metavar="ORIGIN", type=_word, help="the Origin of each request: https://app.example")
    add(
        "--subprotocol",
        metavar="NAME",
        type=_word,
        action="append",
        default=[],
        help="offer this subprotocol in each handshake; repeatable",
    )
    add("--insecure", action="store_true", help="wss: accept any certificate")
    add("--cafile", metavar="FILE", help="wss: also trust the certificates in FILE")


def _add_output(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--all", action="store_true", help="show every failure in full, not only the first of the first cause")
    add(
        "-v",
        "--verbose",
        action="store_true",
        help="show a line for every case, and each cause in full; with --list, all details",
    )
    add("--trace", action="store_true", help="show the bytes of every case")
    add("--json", metavar="FILE", help="write the report to FILE as JSON (-: standard output)")
    add("--junit", metavar="FILE", help="... as JUnit XML, for CI; only a failed MUST is a failure there")
    add("--markdown", metavar="FILE", help="... as Markdown, for the summary of a CI job")
    add("--html", metavar="FILE", help="... as an HTML page")


def _add_gate(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--baseline",
        metavar="FILE",
        help="accept the failures that FILE lists: only another failure, of any level, sets the exit code to 1",
    )
    add("--write-baseline", metavar="FILE", help="write the failures to FILE, and exit with 0")


def _jobs(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 64:
        raise argparse.ArgumentTypeError(f"jobs must be a number from 1 to 64, not {text!a}")
    return int(text)


#: Headers that --header cannot set, and the flag for each.
OF_THE_CASES = {
    **dict.fromkeys(("host", "connection", "upgrade", "content-length", "transfer-encoding", "expect"), ""),
    **dict.fromkeys(("sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions"), ""),
    "origin": "--origin",
    "sec-websocket-protocol": "--subprotocol",
}


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not re.fullmatch(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+", name) or not re.fullmatch(r"[ -~]*", value):
        raise argparse.ArgumentTypeError(f"a header is 'Name: value', in printable ASCII, not {text!a}")
    if (flag := OF_THE_CASES.get(name.lower())) is not None:
        raise argparse.ArgumentTypeError(f"{name} has a flag: {flag}" if flag else f"the cases set {name} themselves")
    return name, value.strip()


def _word(text: str) -> str:
    if not re.fullmatch(r"[!-+\--~]+", text):
        raise argparse.ArgumentTypeError(f"this is one word of printable ASCII, without commas, not {text!a}")
    return text


@dataclass
class Order:
    """What the command line asks for.

    Attributes:
        cases: The cases to play.
        left_out: The cases that --except leaves out, each with the reason.
        known: The failures of --baseline: id to reason; None: no baseline.
        before: The failures in the file of --write-baseline, before it is written.
    """

    target: Target
    cases: list[Case]
    left_out: dict[str, str] = field(default_factory=dict)
    known: dict[str, str] | None = None
    before: Mapping[str, str] = field(default_factory=dict)


def run(options: argparse.Namespace) -> int:
    """Run ``python -m wsref check``.

    Returns:
        The exit code.
    """
    try:
        return _run(options)
    except CommandError as error:
        print(f"wsref: {error}", file=sys.stderr)
        return 2


def _run(options: argparse.Namespace) -> int:
    parser: argparse.ArgumentParser = options.parser
    try:
        cases = _selected(options)
        if options.gallery:
            return list_gallery(verbose=options.verbose)
        if options.list:
            return list_cases(cases, verbose=options.verbose)
        if options.broken:
            return serve_broken(options.broken, options.port)
        if options.url is None:
            raise ValueError("the URL is missing: give one such as ws://127.0.0.1:8765/echo (or --list, --gallery)")
        target = parse_target(options.url, verify=not options.insecure, cafile=options.cafile)
        left_out = {
            case.id: f"--except {glob}" for glob in options.left_out for case in select(only=[glob]) if case in cases
        }
        if len(left_out) == len(cases):
            raise ValueError("--except leaves no case")
        files = ReportFiles({kind: getattr(options, kind) for kind in ReportFiles.KINDS})
    except ValueError as error:
        parser.error(str(error))
    require_certificates(options.cafile)
    order = Order(_with_headers(target, options), cases, left_out)
    if options.baseline:
        order.known = read_baseline(options.baseline)
    if options.write_baseline:
        order.before = read_baseline(options.write_baseline, may_be_missing=True)
        files.require_writable(options.write_baseline)
    return check(order, options, files)


def _selected(options: argparse.Namespace) -> list[Case]:
    levels = list(Level)[: [level.value.lower() for level in Level].index(options.level) + 1]
    cases = [case for case in select(until=options.until, only=options.only) if case.level in levels]
    if not cases:
        raise ValueError("no case matches: see check --list")
    return cases


def _with_headers(target: Target, options: argparse.Namespace) -> Target:
    headers = list(options.header)
    if options.origin:
        headers.append(("Origin", options.origin))
    if options.subprotocol:
        headers.append(("Sec-WebSocket-Protocol", ", ".join(options.subprotocol)))
    secrets = tuple(value for _, value in options.header if len(value) > 3)
    return replace(target, headers=tuple(headers), secrets=secrets)


def require_certificates(file: str | None) -> None:
    """Check that a file of --cafile holds certificates.

    Raises:
        CommandError: It does not.
    """
    if file is None:
        return
    try:
        data = Path(file).read_bytes()
        ssl.create_default_context(cafile=file)
    except ssl.SSLError:
        reason = "holds no certificate in PEM (-----BEGIN CERTIFICATE-----)"
        if b"PRIVATE KEY-----" in data:
            reason = "holds a private key: give the file of the certificate that belongs to it"
        raise CommandError(f"--cafile {file} {reason}") from None
    except OSError as error:
        raise CommandError(f"cannot read the certificates of --cafile {file}: {error.strerror}") from None


def read_baseline(file: str, *, may_be_missing: bool = False) -> dict[str, str]:
    """Read the file of --baseline.

    Raises:
        CommandError: It cannot be read, or a line of it is wrong.
    """
    try:
        return baseline.parse(Path(file).read_text("utf-8").splitlines())
    except FileNotFoundError as error:
        if may_be_missing:
            return {}
        raise CommandError(f"cannot read {file}: {error.strerror}; --write-baseline {file} writes it") from None
    except OSError as error:
        raise CommandError(f"cannot read {file}: {error.strerror}") from None
    except ValueError as error:  # a UnicodeDecodeError too
        raise CommandError(f"{file}: {error}") from None


def check(order: Order, options: argparse.Namespace, files: ReportFiles) -> int:
    """Grade the server, and write the reports.

    Returns:
        The exit code.
    Raises:
        CommandError: The server does not answer, or a report cannot be written.
    """
    target, cases = order.target, [case for case in order.cases if case.id not in order.left_out]
    if not target.is_loopback:
        print(
            f"wsref: {target.authority} is not this machine.  The run opens about {2 * len(cases)} connections; many "
            "are malformed on purpose, some send megabytes.  Grade only servers that you are allowed to test",
            file=sys.stderr,
        )
    progress = Progress(len(cases), sys.stderr)
    no_server = ""
    try:
        with announcing_ctrl_c(sys.stderr):
            result = grade(
                target,
                cases,
                timeout=options.timeout,
                jobs=options.jobs,
                echo=not options.no_echo,
                max_time=options.max_time,
                is_enough=_is_enough(options, order),
                on_verdict=progress.update,
            )
    except NotAnswering as error:
        no_server = f"cannot grade {target.url}: {report.printable(str(error))}"
        result = _nothing_played(target, cases, no_server)
    except KeyboardInterrupt:
        result = _nothing_played(target, cases, "Ctrl-C")
        result.interrupted = True
    finally:
        progress.end()
    result.known = order.known
    _list_left_out(result, order)
    if options.write_baseline:
        _write_baseline(result, order, options.write_baseline)
    files.write(result, options.version)
    if no_server:
        raise CommandError(no_server)
    stream = sys.stderr if files.use_stdout else sys.stdout
    width = min(max(shutil.get_terminal_size((100, 24)).columns, 80), 120)
    style = report.Style(options.all, options.verbose, options.trace, width)
    for line in report.as_text(result, Ansi(wants_colour(stream)), style):
        print(line, file=stream)
    return 130 if result.interrupted else int(result.is_bad)


def _nothing_played(target: Target, cases: list[Case], why: str) -> Report:
    verdicts = [Verdict(case, Outcome.UNPLAYED, why) for case in cases]
    return Report(target, Capabilities(), verdicts, stopped=why)


def _is_enough(options: argparse.Namespace, order: Order) -> Callable[[Verdict], bool]:
    return lambda v: bool(options.first) and v.outcome is Outcome.FAIL and v.case.id not in (order.known or {})


def _list_left_out(result: Report, order: Order) -> None:
    """Add the cases of --except to the verdicts, in their places."""
    played = {verdict.case.id: verdict for verdict in result.verdicts}
    result.verdicts = [
        played.get(case.id) or Verdict(case, Outcome.UNPLAYED, order.left_out[case.id]) for case in order.cases
    ]


def _write_baseline(result: Report, order: Order, file: str) -> None:
    if result.stopped:
        print(f"wsref: {file} is not written, because the run stopped early", file=sys.stderr)
        return
    text = baseline.as_lines(result, order.before)
    write_whole(file, text.encode())
    result.known = baseline.parse(text.splitlines())
    print(f"wsref: {file} lists {report.plural(len(result.known), 'known failure')}", file=sys.stderr)


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
