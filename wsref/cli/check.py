"""``python -m wsref check``: the command line of the grader.

The report goes to standard output; progress, warnings and errors go to standard error.  Exit code: 0, all right;
1, a failure, or the run stopped early; 2, a wrong command line, no server, or a file that cannot be read or
written; 130, Ctrl-C.
"""

from __future__ import annotations

import argparse
import functools
import re
import shutil
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from .. import __version__
from ..check import baseline, report
from ..check.case import Case, Verdict
from ..check.cases import select
from ..check.clients import cases as client_cases
from ..check.gallery import BROKEN
from ..check.gallery.reference import serving
from ..check.report import Ansi
from ..check.runner import Capabilities, NotAnswering, Report, grade
from ..check.session import MIN_BEGINNING, Target, parse_target
from ..check.verdict import Level, Outcome
from . import check_clients, check_options
from .report_files import AutobahnFolder, Progress, ReportFiles, write_whole
from .terminal import CommandError, UsageError, print_to_stderr, trust_only, wait, wants_colour


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the parser of ``check``."""
    parser = check_options.add_parser(commands)
    parser.set_defaults(run=run, parser=parser, version=__version__)


@dataclass
class Order:
    """What the command line asks for.

    Attributes:
        cases: The cases to play.
        left_out: The cases that --except leaves out, each with the reason.
        known: The failures of --baseline: id to reason; None: no baseline.
        before: The failures in the file of --write-baseline, before it is written.
        on_report: Called with the report.
    """

    target: Target | None  # None: clients are graded
    cases: list[Case]
    left_out: dict[str, str] = field(default_factory=dict)
    known: dict[str, str] | None = None
    before: Mapping[str, str] = field(default_factory=dict)
    on_report: Callable[[Report], None] = lambda result: None


def run(options: argparse.Namespace) -> int:
    """Run ``python -m wsref check``.

    Returns:
        The exit code.
    Raises:
        UsageError: There is no server, or a file cannot be read or written.
    """
    try:
        return _run(options)
    except CommandError as error:
        raise UsageError(str(error)) from None  # 1 is the code of failed cases


def _run(options: argparse.Namespace) -> int:
    parser: argparse.ArgumentParser = options.parser
    try:
        cases = _selected(options)
        left_out = {
            case.id: f"--except {glob}" for glob in options.left_out for case in _named(glob, options) if case in cases
        }
        if len(left_out) == len(cases):
            raise ValueError("--except leaves no case")
        check_options.refuse_unused(options)
        if options.gallery:
            return list_gallery(verbose=options.verbose)
        if options.list:
            return list_cases([case for case in cases if case.id not in left_out], verbose=options.verbose)
        if options.broken:
            return serve_broken(options.broken, options.port or 0)
        if options.cafile is not None:
            trust_only(options.cafile)  # a file that cannot be read is an error before the run
        if options.spec and not options.client:
            return check_all(cases, left_out, options)
        target = None if options.client else _target(options, options.url)
        if target is not None:
            check_options.refuse_without_tls(options, [target])
        files = ReportFiles({kind: getattr(options, kind) for kind in ReportFiles.KINDS}, _other_files(options))
    except ValueError as error:
        parser.error(str(error))
    order = Order(target, cases, left_out)
    if options.baseline:
        order.known = read_baseline(options.baseline)
    if options.write_baseline:
        order.before = read_baseline(options.write_baseline, may_be_missing=True)
        files.require_writable(options.write_baseline)
    try:
        return _grade_clients(order, options, files) if options.client else check(order, options, files)
    except ValueError as error:
        parser.error(str(error))


def _target(options: argparse.Namespace, url: str | None) -> Target:
    if url is None:
        raise ValueError(
            "the URL is missing: give one such as ws://127.0.0.1:8765/echo (or --client, --list, --gallery)"
        )
    headers = list(options.header)
    if options.origin:
        headers.append(("Origin", options.origin))
    if options.subprotocol:
        headers.append(("Sec-WebSocket-Protocol", ", ".join(options.subprotocol)))
    secrets = tuple(dict.fromkeys(secret for _, value in options.header for secret in _secrets(value)))
    target = parse_target(url, verify=not options.insecure, cafile=options.cafile)
    return replace(target, headers=tuple(headers), secrets=secrets)


def _secrets(value: str) -> list[str]:
    """Return what no report may show of the value of a header: the value, and its long words, such as a token.

    >>> _secrets("Bearer 0123456789"), _secrets("id=1; session=abcdefgh")
    (['Bearer 0123456789', '0123456789'], ['id=1; session=abcdefgh', 'abcdefgh'])
    """
    words = [word for word in re.split("[ ;,=]+", value) if len(word) >= MIN_BEGINNING]
    return [value] * (len(value) > 3) + words


def _other_files(options: argparse.Namespace) -> dict[str, str | None]:
    """Return the files of the options that no report may overwrite."""
    return {
        "--baseline": options.baseline,
        "--write-baseline": options.write_baseline,
        "--spec": options.spec,
        "--cafile": options.cafile,
        "--certfile": options.certfile,
        "--keyfile": options.keyfile,
    }


def _named(glob: str, options: argparse.Namespace) -> Sequence[Case]:
    return client_cases.select(only=[glob]) if options.client else select(only=[glob])


def _grade_clients(order: Order, options: argparse.Namespace, files: ReportFiles) -> int:
    """Grade clients, instead of a server."""
    spec, cases = check_clients.chosen(
        [case for case in client_cases.CLIENT_CASES if case in order.cases and case.id not in order.left_out], options
    )

    def publish(result: Report) -> int:
        return _publish(result, order, options, files)

    return check_clients.grade_clients(cases, spec, options, publish, _is_enough(options, order))


def _selected(options: argparse.Namespace) -> list[Case]:
    levels = list(Level)[: [level.value.lower() for level in Level].index(options.level) + 1]
    every: Sequence[Case] = (
        client_cases.select(until=options.until, only=options.only)
        if options.client
        else select(until=options.until, only=options.only, large=options.large)
    )
    cases = [case for case in every if case.level in levels]
    if not cases:
        raise ValueError("no case matches: see check --list")
    return cases


def read_baseline(file: str, *, may_be_missing: bool = False) -> dict[str, str]:
    """Read the file of --baseline.

    Raises:
        CommandError: It cannot be read, or a line of it is wrong.
    """
    try:
        return baseline.parse(Path(file).read_text("utf-8-sig").splitlines())
    except FileNotFoundError as error:
        if may_be_missing:
            return {}
        raise CommandError(f"cannot read {file}: {error.strerror}; --write-baseline {file} writes it") from None
    except OSError as error:
        raise CommandError(f"cannot read {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CommandError(f"{file} is not UTF-8") from None
    except ValueError as error:
        raise CommandError(f"{file}: {error}") from None


def check(order: Order, options: argparse.Namespace, files: ReportFiles) -> int:
    """Grade the server, and write the reports.

    Returns:
        The exit code.
    Raises:
        CommandError: The server does not answer, or a report cannot be written.
    """
    assert order.target is not None
    target, cases = order.target, [case for case in order.cases if case.id not in order.left_out]
    if not target.is_loopback:
        print_to_stderr(
            f"wsref: {target.authority} is not this machine.  The run opens about {2 * len(cases)} connections; many "
            "are malformed on purpose, some send megabytes.  Grade only servers that you are allowed to test"
        )
    progress = Progress(len(cases), sys.stderr)
    no_server = ""
    try:
        result = grade(
            target,
            cases,
            timeout=options.timeout,
            jobs=options.jobs or check_options.JOBS,
            echo=not options.no_echo,
            max_time=options.max_time,
            is_enough=_is_enough(options, order),
            on_verdict=progress.update,
            on_ctrl_c=progress.announce_the_end,
        )
    except NotAnswering as error:
        no_server = f"cannot grade {target.url}: {report.printable(str(error))}"
        result = _nothing_played(target, cases, no_server)
    except KeyboardInterrupt:
        if progress.ends:  # the second one
            raise
        result = _nothing_played(target, cases, "Ctrl-C")
        result.interrupted = True
    finally:
        progress.end()
    return _publish(result, order, options, files, no_server)


def _publish(result: Report, order: Order, options: argparse.Namespace, files: ReportFiles, no_server: str = "") -> int:
    """Write the reports; return the exit code.

    Raises:
        CommandError: There is no server, or a report cannot be written.
    """
    result.known = order.known
    _list_left_out(result, order)
    if options.write_baseline:
        _write_baseline(result, order, options.write_baseline)
    files.write(result, options.version)
    order.on_report(result)
    if no_server:
        raise CommandError(no_server)
    stream = sys.stderr if files.use_stdout else sys.stdout
    width = min(max(shutil.get_terminal_size((100, 24)).columns, 80), 120)
    style = report.Style(options.all, options.verbose, options.trace, width)
    for line in report.as_text(result, Ansi(wants_colour(stream)), style):
        print(line, file=stream)
    return 130 if result.interrupted else int(result.is_bad)


def check_all(cases: list[Case], left_out: dict[str, str], options: argparse.Namespace) -> int:
    """Grade the servers of Autobahn's ``fuzzingclient.json``, and write its ``index.json``.

    Args:
        cases: The cases to play, if the file does not exclude them.
        left_out: As in :class:`Order`.
    Returns:
        The exit code: the largest one of the servers; after Ctrl-C that is 130, and the next servers are not graded.
    Raises:
        CommandError: The file cannot be read, or a report cannot be written.
        ValueError: A URL in it is not valid.
    """
    spec = check_clients.read_spec(options.spec)
    if not spec.servers:
        raise CommandError(f'{options.spec} has no "servers"; for a fuzzingserver.json, add --client')
    targets = [(name, _target(options, url)) for name, url in spec.servers]
    check_options.refuse_without_tls(options, [target for _, target in targets])
    folder, code = AutobahnFolder(spec.outdir, options.version), 0
    for name, target in targets:
        on_report = functools.partial(folder.add, name, close_codes={})
        order = Order(target, spec.select(cases, name), left_out, on_report=on_report)
        try:
            code = max(code, check(order, options, ReportFiles({})))
        except CommandError as error:  # the others may answer
            print_to_stderr(f"wsref: {error}")
            code = 2
        if code == 130:
            break
    return code


def _nothing_played(target: Target, cases: list[Case], why: str) -> Report:
    verdicts = [Verdict(case, Outcome.UNPLAYED, why) for case in cases]
    return Report(target, Capabilities(), verdicts, stopped=why)


def _is_enough(options: argparse.Namespace, order: Order) -> Callable[[Verdict], bool]:
    return lambda v: bool(options.first) and v.outcome is Outcome.FAIL and v.case.id not in (order.known or {})


def _list_left_out(result: Report, order: Order) -> None:
    """Add the cases of --except to the verdicts, in their places."""
    played = {verdict.case.id: verdict for verdict in result.verdicts}
    result.verdicts = [
        played.get(case.id) or Verdict(case, Outcome.UNPLAYED, order.left_out.get(case.id, "--spec"))
        for case in order.cases
    ]


def _write_baseline(result: Report, order: Order, file: str) -> None:
    if result.stopped:
        print_to_stderr(f"wsref: {file} is not written, because the run stopped early")
        return
    text = baseline.as_lines(result, order.before)
    write_whole(file, text.encode())
    result.known = baseline.parse(text.splitlines())
    print_to_stderr(f"wsref: {file} lists {report.plural(len(result.known), 'known failure')}")


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
            print(f"{'':{width}}    the bug: {server.bug}; found by {server.case}")
    if not verbose:
        print_to_stderr("\nServe one with --broken NAME, and find its bug.  For the solutions: --gallery -v")
    return 0


def serve_broken(name: str, port: int) -> int:
    """Run ``--broken``: serve a broken server until Ctrl-C."""
    try:
        with serving(BROKEN[name], port) as url:
            print(f"{url} is a broken server.  Symptom: {BROKEN[name].symptom}.")
            print(f"Find the bug: python -m wsref check {url}", flush=True)
            wait(threading.Event())
    except OSError as error:
        raise CommandError(f"cannot listen on port {port}: {error.strerror}") from None
    except KeyboardInterrupt:
        print_to_stderr(f"\nThe bug was: {BROKEN[name].bug}.")
    return 0
