"""One client over all its connections: its verdicts, its next case, and its report."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Sequence

from ..case import Play, Verdict
from ..codec import CLOSE, TEXT
from ..runner import Capabilities, Report
from ..session import Deadline, Target
from ..verdict import Failed, Level, Outcome
from .plays import ClientCase
from .session import NORMAL, Agent, Client, as_server

#: The reasons for cases that are not played.
NO_NUMBER = "it has no number: /next and --run play it too"
NOT_REACHED = "the client did not come for it"
NO_ECHO = "the client does not echo messages"
CLOSES = "the client closes connections by itself, which is legal"
NO_DEFLATE = "the client does not offer permessage-deflate, which is legal"

#: Seconds for a client to say something by itself, after the echoes on its first connection.
LATER = 0.2


def probe(client: Client) -> None:
    """Find out whether the client echoes messages, unless the caller said that it does not.

    The first connection also shows whether the client sends messages by itself, and whether it closes by itself.
    """
    wire, agent = client.open(), client.agent
    message = f"Hello {os.urandom(4).hex()}".encode()
    ours = (message, message + b" again")

    def receive(deadline: Deadline) -> bytes:
        received = wire.message(deadline)
        if received.opcode == CLOSE:
            agent.closes = received.code in NORMAL
            agent.echo = agent.echo and not agent.closes
            raise Failed(str(received))
        agent.unasked |= received.opcode < CLOSE and received.payload not in ours
        return received.payload

    may_send, agent.echo = agent.echo is None, bool(agent.echo)
    with contextlib.suppress(Failed):
        for payload in ours if may_send else ():
            wire.send(as_server(TEXT, payload))
            deadline = wire.deadline_for()
            while receive(deadline) != payload:
                pass
            agent.echo = True
        deadline = Deadline(LATER)
        while True:  # until a Close, or the end of the time
            receive(deadline)


PROBE = ClientCase(
    "c1.probe",
    Level.INTEROP,
    "",
    "The client echoes a message",
    "",
    Play("a text", "any behaviour", probe),
    "",
)


class Session:
    """The run of one client.

    It has more attributes than most classes here: its options, its results, and which cases are under way.

    Args:
        cases: The cases of the run, in the order of the report.
        echo: Whether the client echoes messages; None: the first connection shows it.
        once: Whether each case is played once: with ``--run``, a second connection is a client that tries again.
    """

    def __init__(self, name: str, cases: Sequence[ClientCase], *, once: bool = False, echo: bool | None = None) -> None:
        self.agent = Agent(name, echo)
        self.cases = cases
        self.once = once
        self.verdicts: dict[str, Verdict] = {}
        self.close_codes: dict[str, int | None] = {}
        self.last_seen = self._began = time.monotonic()
        self.by_number = False  # its last case was one with a number
        self.is_over = False  # it received "done", or asked for its report
        self._changed = threading.Condition()
        self._running: set[str] = set()
        self._at = 0  # of the next case
        self._is_probed = False

    # -- The cases ------------------------------------------------------------------------

    def next_case(self) -> ClientCase | None:
        """Return the case for the next connection, first the probe; None: all are played, or under way."""
        with self._changed:
            self.last_seen = time.monotonic()
            if self.agent.echo is None and PROBE.id not in self._running and not self._at:
                self._running.add(PROBE.id)
                return PROBE
            while self._at < len(self.cases):
                case = self.cases[self._at]
                self._at += 1
                if case.id in self.verdicts or case.id in self._running:
                    continue
                if reason := self.skip_reason(case):
                    self.verdicts[case.id] = Verdict(case, Outcome.SKIP, reason)
                    continue
                self._running.add(case.id)
                return case
            return None

    def begin(self, case: ClientCase) -> bool:
        """Note that a connection plays this case; return False if it must not."""
        with self._changed:
            self.last_seen = time.monotonic()
            if self.once and (case.id in self._running or self._is_finished(case.id)):
                return False
            self._running.add(case.id)
            self._changed.notify_all()
            return True

    def end(self, case: ClientCase, verdict: Verdict, close_code: int | None) -> None:
        """Note the verdict on a case."""
        with self._changed:
            self.last_seen = time.monotonic()
            self._running.discard(case.id)
            if case is PROBE:
                self._is_probed = True
            else:
                self.verdicts[case.id] = verdict
                self.close_codes[case.id] = close_code
            self._changed.notify_all()

    def wait_until_idle(self, timeout: float, name: str = "") -> None:
        """Wait until no case is played, or not this one."""
        with self._changed:
            self._changed.wait_for(lambda: not (name in self._running if name else self._running), timeout)

    def _is_finished(self, name: str) -> bool:
        known = self._is_probed if name == PROBE.id else name in self.verdicts
        return known and name not in self._running

    def has_begun(self, name: str) -> bool:
        """Return whether a connection plays this case, or has played it."""
        with self._changed:
            return name in self._running or self._is_finished(name)

    def wait_until_begun(self, name: str, timeout: float) -> None:
        """Wait until a connection plays this case."""
        with self._changed:
            self._changed.wait_for(lambda: name in self._running or self._is_finished(name), timeout)

    def wait_until_finished(self, name: str) -> None:
        """Wait for the verdict on this case, whose waits all have deadlines."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_finished(name))

    def forget(self, case: ClientCase) -> None:
        """Forget the verdict on a case that is to be played again."""
        with self._changed:
            self.verdicts.pop(case.id, None)

    def skip_reason(self, case: ClientCase) -> str:
        """Return the reason why this case does not apply to the client; "": it applies, or nothing is known."""
        if case.echo and self.agent.echo is False:
            return CLOSES if self.agent.closes else NO_ECHO
        if case.deflate and self.agent.offers_deflate is False:
            return NO_DEFLATE
        return ""

    @property
    def has_come(self) -> bool:
        """Whether a connection has played a case."""
        return bool(self.verdicts or self._running) or self._is_probed

    def idle_seconds(self) -> float:
        """Return the time since the client's last sign; 0: a case is under way."""
        with self._changed:
            return 0.0 if self._running else time.monotonic() - self.last_seen

    # -- The report ------------------------------------------------------------------------

    def report(self, target: Target, *, stopped: str = "") -> Report:
        """Return the report.

        Args:
            stopped: The reason why the run stopped early; "": it did not.
        """
        agent = self.agent
        report = Report(target, Capabilities(101, echo=agent.echo is not False, deflate=bool(agent.offers_deflate)))
        report.client, report.abilities, report.stopped = agent.name, self._abilities(), stopped
        report.seconds = self.last_seen - self._began
        with self._changed:
            for case in self.cases:
                reason = stopped or (NO_NUMBER if self.by_number and not case.opens else NOT_REACHED)
                report.verdicts.append(self.verdicts.get(case.id) or Verdict(case, Outcome.UNPLAYED, reason))
        return report

    def _abilities(self) -> str:
        words = [
            "it echoes messages"
            if self.agent.echo is not False
            else "it closes connections by itself: cases of an echo are skipped"
            if self.agent.closes
            else "it echoes no messages: cases of an echo are skipped"
        ]
        words.append("offers permessage-deflate" if self.agent.offers_deflate else "does not offer permessage-deflate")
        return "; ".join(words)
