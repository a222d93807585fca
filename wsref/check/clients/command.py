"""``--run COMMAND``: start the client anew for every case, so that it needs no driver."""

from __future__ import annotations

import contextlib
import os
import queue
import shlex
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence

from ..case import Verdict
from ..codec import printable
from ..runner import ENOUGH_REPLAYS, NotAnswering
from ..verdict import Outcome
from .agents import PROBE, Session
from .grader import Grader
from .plays import ClientCase

#: Seconds from the start of the command until its connection: some languages start slowly.
START_TIMEOUT = 30.0

#: Seconds for the command to end after its connection.
END_TIMEOUT = 1.0

#: Cases in a row without a connection, after which the run stops.
ENOUGH_MISSING = 3


def parse_command(text: str) -> list[str]:
    """Split a command with ``{url}`` into its arguments.

    Raises:
        ValueError: It has no ``{url}``, or a quote does not end.

    >>> parse_command("node 'my client.mjs' {url}")
    ['node', 'my client.mjs', '{url}']
    """
    arguments = shlex.split(text)
    if not any("{url}" in argument for argument in arguments):
        raise ValueError(
            f"--run needs {{url}} where the command takes its URL: --run 'node client.mjs {{url}}', not {text!a}"
        )
    return arguments


class CommandRun:
    """Plays cases with a command.

    Args:
        command: The arguments; ``{url}`` is a placeholder.
    """

    def __init__(self, grader: Grader, command: Sequence[str]) -> None:
        self._grader = grader
        self._command = command
        grader.unnamed = printable(shlex.join(word for word in command if word != "{url}"))
        self.session: Session = grader.session(grader.unnamed, once=True)  # type: ignore[assignment]
        self._stopped = ""
        self._missing = 0  # in a row
        self._last_end = ""  # of a process that did not connect, in words
        self._processes: set[subprocess.Popen[bytes]] = set()  # that run now
        self._starting = threading.Lock()  # held while a process starts, so that end() misses none

    def stop(self, reason: str) -> None:
        """Begin no further case."""
        self._stopped = self._stopped or reason

    def end(self) -> None:
        """End the processes that still run: a second Ctrl-C does not wait for the threads that would end them.

        After :meth:`stop` none starts any more.
        """
        with self._starting:
            left = list(self._processes)
        for process in left:
            end_group(process)

    @property
    def stopped(self) -> str:
        """The reason why the run stopped early; "": it did not."""
        return self._stopped

    def find_out(self) -> None:
        """Start the command once, and find out whether it connects and echoes.

        Raises:
            NotAnswering: It does not connect, and the run is not stopped.
        """
        with tempfile.TemporaryFile() as errors:
            if not self._start(PROBE, errors.fileno()) and not self._stopped:
                errors.seek(max(0, errors.seek(0, os.SEEK_END) - 2000))
                last = errors.read().decode("utf-8", "replace").strip().rpartition("\n")[2]
                raise NotAnswering(f"it {self._last_end}" + f": {last}" * bool(last))

    def play(self, jobs: int, on_verdict: Callable[[Verdict], None]) -> None:
        """Play all cases of the session, several at a time; then, each alone, those that the client left unanswered."""
        waiting: queue.SimpleQueue[ClientCase] = queue.SimpleQueue()
        for case in self.session.cases:
            waiting.put(case)
        done: queue.SimpleQueue[Verdict | None] = queue.SimpleQueue()  # None: a thread has ended

        def play_the_next() -> None:
            with contextlib.suppress(queue.Empty):
                while not self._stopped:
                    done.put(self._play(waiting.get_nowait()))
            done.put(None)

        for number in range(jobs):
            threading.Thread(target=play_the_next, name=f"wsref check --run {number}", daemon=True).start()
        unanswered, running = [], jobs
        while running:
            if (verdict := done.get()) is None:
                running -= 1
            elif verdict.unanswered and jobs > 1:
                unanswered.append(verdict)
            else:
                on_verdict(verdict)
        self._replay(unanswered, on_verdict)

    def _replay(self, unanswered: Sequence[Verdict], on_verdict: Callable[[Verdict], None]) -> None:
        """Play cases again, each alone.  After :meth:`stop` such a failure does not count."""
        confirmed = innocent = 0
        for verdict in unanswered:
            case = next(case for case in self.session.cases if case.id == verdict.case.id)
            if self._stopped:
                self.session.forget(case)
                continue
            if innocent or confirmed < ENOUGH_REPLAYS:
                self.session.forget(case)
                again = self._play(case)
                verdict = verdict if again.outcome is Outcome.UNPLAYED else again
                self.session.verdicts[verdict.case.id] = verdict
                confirmed += verdict.outcome is Outcome.FAIL
                innocent += verdict.outcome is not Outcome.FAIL
            on_verdict(verdict)

    def _play(self, case: ClientCase) -> Verdict:
        """Play a case with a new process."""
        if reason := self.session.skip_reason(case):
            verdict = Verdict(case, Outcome.SKIP, reason)
        elif self._start(case, subprocess.DEVNULL):
            self._missing = 0
            return self.session.verdicts[case.id]
        else:
            verdict = Verdict(case, Outcome.UNPLAYED, self._stopped or f"the client {self._last_end}")
            self._missing += 1
            if self._missing >= ENOUGH_MISSING:
                self.stop(f"{ENOUGH_MISSING} times in a row the client {self._last_end}")
        self.session.verdicts[case.id] = verdict
        return verdict

    def _start(self, case: ClientCase, errors: int) -> bool:
        """Start the command for a case; return whether it connected, after the verdict."""
        url = f"{self._grader.url}/case/{case.id}"
        arguments = [argument.replace("{url}", url) for argument in self._command]
        null = subprocess.DEVNULL
        try:
            with self._starting:
                if self._stopped:
                    return False
                process = subprocess.Popen(arguments, stdin=null, stdout=null, stderr=errors, start_new_session=True)
                self._processes.add(process)
        except OSError as error:
            self._last_end = f"cannot be started: {error.strerror}"
            return False
        try:
            return self._wait_for(case, process)
        finally:
            end_group(process)
            self._processes.discard(process)

    def _wait_for(self, case: ClientCase, process: subprocess.Popen[bytes]) -> bool:
        deadline = time.monotonic() + START_TIMEOUT
        while not self.session.has_begun(case.id):
            if self._stopped:
                return False  # its case is not in progress
            if process.poll() is not None:
                self.session.wait_until_begun(case.id, 0.2)  # its request may be under way
                if not self.session.has_begun(case.id):
                    self._last_end = f"ended with status {process.returncode} and did not connect"
                    return False
            elif time.monotonic() > deadline:
                self._last_end = f"did not connect in {START_TIMEOUT:g} s"
                return False
            self.session.wait_until_begun(case.id, 0.02)
        self.session.wait_until_finished(case.id)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(END_TIMEOUT)
        return True


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and its children, if they still run."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
