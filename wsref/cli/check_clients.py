"""``python -m wsref check --client``: serve the cases for clients, and report on each client.

Exit code: as for a server; without ``--once`` and ``--run`` it is that of the last client that is done.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from ..check import report
from ..check.case import Verdict
from ..check.clients.agents import Session
from ..check.clients.autobahn import Spec, parse_spec
from ..check.clients.command import CommandRun, parse_command
from ..check.clients.grader import Grader, Listeners, Plan
from ..check.clients.plays import ClientCase
from ..check.runner import NotAnswering, Report, stopping_at_ctrl_c
from ..check.verdict import Outcome
from .check_options import IDLE, JOBS
from .report_files import AutobahnFolder, Progress
from .serve import explained_bind_errors, tls_context
from .terminal import CommandError, print_to_stderr

#: Autobahn's port.
PORT = 9001

#: Seconds between two looks at the clock.
TICK = 0.1


def read_spec(file: str) -> Spec:
    """Read the file of --spec.

    Raises:
        CommandError: It cannot be read, or it is wrong.
    """
    try:
        return parse_spec(Path(file).read_text("utf-8-sig"))
    except OSError as error:
        raise CommandError(f"cannot read {file}: {error.strerror}") from None
    except ValueError as error:  # of JSON and UTF-8 too
        raise CommandError(f"{file}: {error}") from None


def chosen(cases: Sequence[ClientCase], options: argparse.Namespace) -> tuple[Spec | None, list[ClientCase]]:
    """Return the spec of --spec, and the cases that it leaves."""
    if not options.spec:
        return None, list(cases)
    spec = read_spec(options.spec)
    left = spec.select(cases)
    if not left:
        raise CommandError(f"{options.spec} leaves no case")
    return spec, left


@dataclass
class Desk:
    """What becomes of the reports.

    Attributes:
        folder: The folder of a spec file; None: no spec.
        publish: Writes and prints a report, and returns its exit code.
        is_enough: Whether the run ends after this verdict.
    """

    options: argparse.Namespace
    folder: AutobahnFolder | None
    publish: Callable[[Report], int]
    is_enough: Callable[[Verdict], bool]
    progress: Progress
    over: list[Session] = field(default_factory=list)  # clients whose report is due
    enough: list[str] = field(default_factory=list)  # the cases that ended the run
    code: int = 0

    def note(self, session: Session, verdict: Verdict) -> None:
        """Count a verdict."""
        self.progress.update(verdict)
        if not (verdict.unanswered and self.options.command):  # which is played again, alone
            self.look_whether_enough(verdict)

    def look_whether_enough(self, verdict: Verdict) -> None:
        """End the run if this verdict is enough."""
        if self.is_enough(verdict):
            self.enough.append(verdict.case.id)

    def deliver(self, grader: Grader, session: Session, stopped: str = "", *, interrupted: bool = False) -> None:
        """Publish the report on a client."""
        self.progress.end()
        result = grader.report(session, stopped=stopped)
        result.interrupted = interrupted
        self.code = self.publish(result)
        if self.folder is not None:
            self.folder.add(session.agent.name, result, session.close_codes)


def grade_clients(
    cases: list[ClientCase],
    spec: Spec | None,
    options: argparse.Namespace,
    publish: Callable[[Report], int],
    is_enough: Callable[[Verdict], bool],
) -> int:
    """Grade clients.

    Returns:
        The exit code.
    Raises:
        CommandError: The port is taken, a certificate is wrong, or the command of --run does not connect.
        ValueError: The command of --run has no ``{url}``.
    """
    command = parse_command(options.command) if options.command is not None else None
    folder = AutobahnFolder(spec.outdir, options.version) if spec else None
    desk = Desk(options, folder, publish, is_enough, Progress(len(cases), sys.stderr))
    date = datetime.now(UTC).isoformat(timespec="seconds")
    listeners = Listeners(
        desk.note, desk.over.append, lambda result: report.as_html(result, version=options.version, date=date)
    )
    echo = False if options.no_echo else None
    plan = Plan(
        cases,
        options.timeout,
        spec or Spec(),
        keep_bytes=options.trace,
        echo=echo,
        tls=tls_context(options.certfile, options.keyfile),
    )
    with _listening(plan, listeners, options, spec) as grader:
        return _run_command(grader, desk, command) if command else _serve(grader, desk)


@contextlib.contextmanager
def _listening(plan: Plan, listeners: Listeners, options: argparse.Namespace, spec: Spec | None) -> Iterator[Grader]:
    host = options.host or (spec and spec.host) or "127.0.0.1"
    port = options.port if options.port is not None else (spec and spec.port) or (0 if options.command else PORT)
    with explained_bind_errors(host, port):
        grader = Grader(plan, listeners, host=host, port=port)
    grader.start()
    try:
        yield grader
    finally:
        grader.close()


# -- With a command ---------------------------------------------------------------------------------


def _run_command(grader: Grader, desk: Desk, command: list[str]) -> int:
    options, run, interrupted = desk.options, CommandRun(grader, command), threading.Event()

    def interrupt() -> None:
        run.stop("Ctrl-C")
        interrupted.set()

    def note(verdict: Verdict) -> None:
        if verdict.outcome is Outcome.SKIP or verdict.outcome is Outcome.UNPLAYED:
            desk.progress.update(verdict)  # the grader has seen no connection
        desk.look_whether_enough(verdict)

    with stopping_at_ctrl_c(interrupt, desk.progress.announce_the_end):
        try:
            run.find_out()
        except NotAnswering as error:
            raise CommandError(f"cannot grade {options.command}: {report.printable(str(error))}") from None
        over = threading.Event()
        threading.Thread(target=_watch, args=(run, desk, over), daemon=True).start()
        try:
            run.play(options.jobs or JOBS, note)
        finally:
            over.set()
            run.end()
    desk.deliver(grader, run.session, run.stopped, interrupted=interrupted.is_set())
    return 130 if interrupted.is_set() else desk.code


def _watch(run: CommandRun, desk: Desk, over: threading.Event) -> None:
    """Stop the run at the end of its time, or at the first failure if that is enough."""
    end = time.monotonic() + desk.options.max_time
    while not over.wait(TICK):
        if reason := _reason_to_stop(desk, end):
            run.stop(reason)


# -- With drivers ---------------------------------------------------------------------------------------


def _serve(grader: Grader, desk: Desk) -> int:
    """Serve until Ctrl-C, or with --once until a client is done."""
    _tell_addresses(grader, desk.options)
    end = time.monotonic() + desk.options.max_time
    stopped = ""
    try:
        while not stopped:
            time.sleep(TICK)
            while desk.over:
                desk.deliver(grader, desk.over.pop(0))
                if desk.options.once:
                    return desk.code
            stopped = _reason_to_stop(desk, end)
            if not stopped and _deliver_stalled(grader, desk) and desk.options.once:
                return desk.code
    except KeyboardInterrupt:
        stopped = "Ctrl-C"
    unfinished = [session for session in list(grader.sessions.values()) if not session.is_over and session.has_come]
    for session in unfinished:
        session.wait_until_idle(desk.options.timeout)
        desk.deliver(grader, session, stopped, interrupted=stopped == "Ctrl-C")
    if stopped == "Ctrl-C":
        print_to_stderr("wsref: stopped")
        return 130 if unfinished else desk.code
    if not unfinished and not desk.code:
        print_to_stderr(f"wsref: {stopped}")
    return desk.code or 1


def _reason_to_stop(desk: Desk, end: float) -> str:
    if desk.enough:
        return "--first: a case failed"
    return "--max-time: the time is over" if time.monotonic() > end else ""


def _deliver_stalled(grader: Grader, desk: Desk) -> bool:
    """Publish the report on each client that did not come back; return whether there is one."""
    idle = desk.options.idle or IDLE
    stalled = [s for s in list(grader.sessions.values()) if not s.is_over and s.idle_seconds() > idle]
    for session in stalled:
        session.is_over = True  # also one that played no case: another client may need its place
    stalled = [session for session in stalled if session.has_come]
    for session in stalled:
        desk.deliver(grader, session, f"the client did not come back for {idle:g} s")
    return bool(stalled)


def _tell_addresses(grader: Grader, options: argparse.Namespace) -> None:
    where, number = grader.url, len(grader.plan.cases)
    print_to_stderr(
        f"""\
wsref: {report.plural(number, "case")} for clients at {where}/
  a browser   open {where.replace("ws", "http", 1)}/ and press the button
  a driver    open {where}/next?agent=NAME, echo each message until the connection ends, and repeat;
              the message "done" comes after the last case
  Autobahn's  /getCaseCount, /runCase?case=N&agent=NAME, /updateReports?agent=NAME: {len(grader.numbered())} cases
  no driver   check --client --run 'COMMAND {{url}}' starts the client for each case
{"It ends after the first client." if options.once else "Ctrl-C ends it."}"""
    )
