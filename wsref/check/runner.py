"""Play cases against a server, several at a time, with a bound on the total time.

First the runner probes the server: whether it answers, the status of an ordinary handshake, whether
it echoes messages, whether it serves two clients at once.  The runner skips a case that needs more
than the server can do, and reports the reason.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import queue
import re
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from .case import Case, Needs, Verdict
from .codec import BINARY, CLOSE, TEXT, Frame, frame, text, upgrade
from .session import PAUSES, NoConnection, Peer, Silence, Target, Wire, hide, without_secrets
from .verdict import Failed, Level, Outcome, Skipped, shown

#: An offer that every server with permessage-deflate can accept unchanged.
OFFER = upgrade("Sec-WebSocket-Extensions: permessage-deflate")


#: Replays of cases that the server left without an answer; if all of them fail again, so would the others.
ENOUGH_REPLAYS = 4

#: The reasons why the caller ends a run before its last case.
FIRST, OUT_OF_TIME = "--first: a case failed", "--max-time: the time is over"

#: The reason to skip a case that the server answers by 429 or 503, but not each handshake.
LIMITED = "it limits the number of requests ({}), which is legal: --jobs 1 sends fewer, or raise its limit"

#: The reason for no echo if the caller did not want the server to get a message.
NO_ECHO_FLAG = "--no-echo"


logger = logging.getLogger("wsref.check")


class NotAnswering(Exception):
    """The server does not answer.  The text is a sentence, and sometimes advice."""


@dataclass
class Capabilities:
    """The abilities of the server that decide which cases apply.

    Attributes:
        baseline_status: The status of an ordinary handshake; 0: the server closed the connection.
        refusal: The first line of the body if that is an error, in words.
        echo: Whether the server echoes messages.
        no_echo: The reason why it does not, in words.
        binary: Whether it echoes binary messages too.
        unasked: Whether it sends messages that answer nothing: a greeting, the time, another client's words.
        no_head: Why the head of its 101 cannot be read; "": it can.
        deflate: Whether it agrees on permessage-deflate.
        concurrent: Whether it serves a second client before the first one leaves.
        turns_away: Whether it refuses the second client, instead of letting it wait.
    """

    baseline_status: int = 0
    refusal: str = ""
    echo: bool = False
    no_echo: str = ""
    binary: bool = False
    unasked: bool = False
    no_head: str = ""
    deflate: bool = False
    concurrent: bool = True
    turns_away: bool = False


@dataclass
class Report:
    """The result of a run.

    Attributes:
        verdicts: The verdicts in the order of the cases, also those of cases that were not played.
        stopped: The reason why the run stopped early; "": it did not.
        interrupted: Whether Ctrl-C stopped it.
        seconds: The duration of the run.
        known: The failures of a baseline: id to reason; None: no baseline.
        client: The name of the graded client; "": a server is graded, which is at the target.
        abilities: What the client can do, in words.
    """

    target: Target
    capabilities: Capabilities
    verdicts: list[Verdict] = field(default_factory=list)
    stopped: str = ""
    interrupted: bool = False
    seconds: float = 0.0
    known: dict[str, str] | None = None
    client: str = ""
    abilities: str = ""

    @property
    def subject(self) -> str:
        """The graded server's URL, or the graded client's name."""
        return f"--client {self.client}" if self.client else self.target.url

    def count(self, outcome: Outcome, level: Level | None = None) -> int:
        """Return the number of cases with this outcome, and this level if one is given."""
        return sum(v.outcome is outcome and level in (None, v.case.level) for v in self.verdicts)

    @property
    def failed(self) -> list[Verdict]:
        """The failed verdicts of all levels."""
        return [verdict for verdict in self.verdicts if verdict.outcome is Outcome.FAIL]

    @property
    def broke_a_must(self) -> bool:
        """Whether a MUST case failed."""
        return self.count(Outcome.FAIL, Level.MUST) > 0

    @property
    def new(self) -> list[Verdict]:
        """The failed verdicts that no baseline knows."""
        return [verdict for verdict in self.failed if verdict.case.id not in (self.known or {})]

    @property
    def fixed(self) -> list[str]:
        """The ids of the baseline whose cases pass."""
        passed = {verdict.case.id for verdict in self.verdicts if verdict.outcome is Outcome.PASS}
        return [name for name in self.known or {} if name in passed]

    @property
    def is_bad(self) -> bool:
        """Whether a MUST failed; with a baseline: any new failure.  Or the run proves nothing.

        It proves nothing if it stopped early, played no case, or the grader itself failed.
        """
        serious = [v for v in self.new if self.known is not None or v.case.level is Level.MUST]
        played_nothing = not any(v.outcome in (Outcome.PASS, Outcome.FAIL) for v in self.verdicts)
        grader_failed = any(verdict.grader_failed for verdict in self.verdicts)
        return bool(serious or self.stopped or played_nothing or grader_failed)


# -- The probe ---------------------------------------------------------------------------


def probe(target: Target, *, timeout: float = 3.0, echo: bool = True) -> Capabilities:
    """Find out the abilities of a server.

    Args:
        timeout: Seconds to wait for each answer.
        echo: Whether to test for an echo server, with the message "Hello".
    Raises:
        NotAnswering: No server listens, or it does not answer.
    """
    capabilities = Capabilities()
    peer = Peer(target, timeout, echo=False)
    try:
        wire = peer.connect()
        wire.send(upgrade())
        try:
            answer = wire.answer()
        except Failed as failure:
            if (received := wire.received()).startswith(b"HTTP/1.1 101"):
                capabilities.baseline_status = 101
                capabilities.no_head = f"the 101 is not complete: {failure.got} ({received[-40:]!r} is its end)"
                return capabilities
            raise NotAnswering(_why_no_answer(target, wire, failure)) from None
        if answer is not None and not answer.status:
            raise NotAnswering(f"{target.authority} does not answer in HTTP: it sent {wire.received()[:40]!r}")
        capabilities.baseline_status = answer.status if answer else 0
        if answer is not None and answer.status >= 400:
            words = hide(answer.body.decode("utf-8", "replace"), target.secrets)
            capabilities.refusal = words.strip().partition("\n")[0].strip()[:100]
        if answer is None and not _answers_http(peer):
            raise NotAnswering(
                "it accepts TCP connections and closes them without an answer: is it an HTTP server?  "
                "If it speaks TLS, its URL begins with wss://"
            )
        if capabilities.baseline_status == 101:
            capabilities.no_echo = _why_no_echo(wire) if echo else NO_ECHO_FLAG
            capabilities.echo = not capabilities.no_echo
            capabilities.unasked = wire.passed_over > 0
        second = _status_of_second(peer)
        capabilities.concurrent = second == capabilities.baseline_status
        capabilities.turns_away = second is not None and not capabilities.concurrent
        peer.close()
        peer.turns_away = capabilities.turns_away
        if capabilities.echo:
            capabilities.binary = _sends_binary(peer)
            peer.close()
        if capabilities.baseline_status == 101:
            offered = peer.open(OFFER).opening
            capabilities.deflate = offered is not None and "permessage-deflate" in " ".join(
                offered.tokens("Sec-WebSocket-Extensions")
            )
    except Failed as failure:
        if not capabilities.baseline_status:
            raise NotAnswering(failure.got + _what_to_try(target, failure.got)) from None
    finally:
        peer.close()
    return capabilities


def _what_to_try(target: Target, why: str) -> str:
    """Return advice for a failure of TLS."""
    if "mismatch" in why:
        return "; grade it at a name that its certificate has, or with --insecure"
    if "not trusted" in why:
        return "; --cafile FILE trusts the certificates in FILE, --insecure trusts any"
    if target.secure and re.search("record layer|wrong.version|EOF occurred|closed|reset", why, re.IGNORECASE):
        return "; does it use TLS?  If not, its URL begins with ws://"
    return ""


def _why_no_answer(target: Target, wire: Wire, failure: Failed) -> str:
    received = wire.received()
    if received[:2] in (b"\x15\x03", b"\x16\x03"):
        return "it answers in TLS: its URL begins with wss://"
    if not received:
        return f"{target.authority} accepts the connection, and then: {failure.got}"
    return f"{target.authority} does not answer in HTTP: {failure.got}; it sent {received[:40]!r}"


def _answers_http(peer: Peer) -> bool:
    wire = peer.connect()
    wire.send(b"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")
    try:
        return wire.answer() is not None
    except Failed:
        return False


def _why_no_echo(wire: Wire) -> str:
    """Send two messages, and return the reason why no echo arrived; "": the first echo arrived, and no Close.

    No server sends this message by itself, as its greeting.
    """
    message = f"Hello {os.urandom(4).hex()}"
    wire.send(text(message))
    try:
        wire.expect(TEXT, message.encode())
    except Failed as failure:
        return f"the answer to the text {message!r} was: {failure.got}"
    again = Frame(TEXT, f"{message} again".encode())
    wire.send(frame(TEXT, again.payload))
    with contextlib.suppress(Failed):  # cases test that
        while wire.answers_nothing(received := wire.message(), again):
            pass
        if received.opcode == CLOSE and received.code in (1000, 1001):
            return f"it answers one text, and then closes the connection, which is legal: {received}"
    return ""


def _sends_binary(peer: Peer) -> bool:
    wire = peer.open()
    wire.send(frame(BINARY, b"\x00\xff"))
    try:
        wire.expect(BINARY, b"\x00\xff")
    except (Failed, Skipped):
        return False
    return True


def _status_of_second(peer: Peer) -> int | None:
    """Return the status that a second client gets during the first one's silence, 0 for the end of TCP; None: none."""
    first = peer.connect()
    first.send(b"GET ")
    second = peer.connect()
    second.send(upgrade())
    second.timeout = min(peer.timeout, 1.5)
    try:
        answer = second.answer()
    except Failed:
        return None
    finally:
        first.close()
        second.close()
    return answer.status if answer else 0  # a server with a limit for each address may say 503


def _serves_as_many(target: Target, can: Capabilities, count: int, timeout: float) -> bool:
    """Return whether this number of clients at once get the same status; a server may limit them for each address."""
    if count <= 2 or can.no_head:
        return True
    peer = Peer(target, timeout)
    try:
        statuses = set()
        for _ in range(count):
            wire = peer.connect()
            wire.send(upgrade())
            answer = wire.answer()
            statuses.add(answer.status if answer else 0)
    except Failed:
        statuses = set()
    finally:
        peer.close()
    if len(statuses) != 1:
        peer.baseline_status = can.baseline_status
        with contextlib.suppress(Failed):
            peer.open()  # which waits until the server has noticed that these clients left
        peer.close()
    return len(statuses) == 1


# -- The run ---------------------------------------------------------------------------------


def play(case: Case, target: Target, capabilities: Capabilities, *, timeout: float = 3.0) -> Verdict:
    """Play one case."""
    peer = Peer(
        target,
        timeout,
        capabilities.baseline_status,
        capabilities.echo,
        capabilities.unasked,
        capabilities.concurrent,
        capabilities.turns_away,
    )
    verdict = Verdict(case, Outcome.PASS, unasked=capabilities.unasked)

    def run() -> None:
        if reason := _skip_reason(case, capabilities):
            raise Skipped(reason)
        case.play.run(peer)

    try:
        judge(verdict, run)
    finally:
        peer.close()
    if verdict.outcome is Outcome.FAIL and peer.wires:
        received = peer.wires[-1].received()
        verdict.turned_away = not received and not verdict.unanswered
        limited = re.match(rb"HTTP/1\.[01] ((429|503) [^\r\n]*)", received)
        if limited and capabilities.baseline_status != int(limited[2]):
            verdict.outcome, verdict.why = Outcome.SKIP, LIMITED.format(shown(limited[1].decode("latin-1")))
            verdict.expected, verdict.unanswered, verdict.turned_away = "", False, True
    verdict.why, verdict.expected = (hide(words, target.secrets) for words in (verdict.why, verdict.expected))
    verdict.cut_off = any(wire.cut_off for wire in peer.wires)
    verdict.recorded = [without_secrets(wire.recorded, target.secrets) for wire in peer.wires]
    return verdict


def judge(verdict: Verdict, run: Callable[[], None]) -> None:
    """Run a play, and write its outcome and its duration into a verdict."""
    case, began = verdict.case, time.monotonic()
    try:
        run()
    except Skipped as skipped:
        verdict.outcome, verdict.why = Outcome.SKIP, str(skipped)
    except Failed as failure:
        verdict.outcome, verdict.why = Outcome.FAIL, failure.got
        verdict.expected = failure.expected or case.play.accepts
        verdict.unanswered = isinstance(failure, Silence | NoConnection)
    except Exception as error:
        logger.exception("%s was not judged: the grader itself has a bug", case.id)
        verdict.outcome, verdict.why = Outcome.SKIP, f"a bug of the grader: {type(error).__name__}: {error}"
        verdict.grader_failed = True
    verdict.seconds = time.monotonic() - began


def _skip_reason(case: Case, capabilities: Capabilities) -> str:
    """Return the reason why this case does not apply to the server; "": the case applies."""
    needs, can = case.play.needs, capabilities
    opens, deflate = can.baseline_status == 101, can.deflate
    able = {
        Needs.NOTHING: True,
        Needs.OPEN: opens,
        Needs.MESSAGES: opens and can.no_echo != NO_ECHO_FLAG,
        Needs.ECHO: opens and can.echo,
        Needs.BINARY_ECHO: can.echo and can.binary,
        Needs.DEFLATE: deflate,
        Needs.DEFLATE_ECHO: deflate and can.echo,
        Needs.DEFLATE_BINARY_ECHO: deflate and can.echo and can.binary,
    }
    if needs is not Needs.NOTHING and (can.no_head or not opens):
        return can.no_head or Needs.OPEN.value
    return "" if able[needs] else needs.value


def is_alive(target: Target, capabilities: Capabilities, timeout: float, *, tries: int = 3) -> bool:
    """Return whether the server still answers an ordinary handshake with the same status, or by 429.

    A 503 is no sign of life: a proxy may send it for a server that has ended.
    """
    for _ in range(tries):
        peer = Peer(target, timeout)
        try:
            wire = peer.connect()
            wire.send(upgrade())
            answer = wire.answer()
            if (answer.status if answer else 0) in (capabilities.baseline_status, 429):
                return True
        except Failed:
            pass
        finally:
            peer.close()
        time.sleep(0.2)
    return False


def accepts_connections(target: Target, timeout: float) -> bool:
    """Return whether the server accepts a TCP connection."""
    for _ in range(3):
        with contextlib.suppress(OSError), socket.create_connection((target.host, target.port), timeout):
            return True
        time.sleep(0.1)
    return False


def grade(
    target: Target,
    cases: Sequence[Case],
    *,
    timeout: float = 3.0,
    jobs: int = 4,
    echo: bool = True,
    max_time: float = math.inf,
    is_enough: Callable[[Verdict], bool] = lambda verdict: False,
    on_verdict: Callable[[Verdict], None] = lambda verdict: None,
    on_ctrl_c: Callable[[], None] = lambda: None,
) -> Report:
    """Play the cases, and return the report.

    Args:
        cases: The cases, in the order of the report.
        timeout: Seconds to wait for each answer.
        jobs: The number of cases at a time; 1 if the server does not serve twice as many clients at once.
        echo: Whether to test for an echo server; if not, cases that need an echo are skipped.
        max_time: Seconds after which no further case begins.
        is_enough: Whether no further case begins after this verdict.  It is called in several threads.  A failure that
            may come from the cases beside it is played again first, alone.
        on_verdict: Called with each verdict as it becomes known, in the calling thread.
        on_ctrl_c: Called when Ctrl-C stops the run, as a signal handler.
    Raises:
        NotAnswering: The server does not answer.
        KeyboardInterrupt: Ctrl-C before the first case, or a second one.  After the first one the cases in progress
            end, no further case begins, and the report says so.
    Cost:
        At most a few timeouts for each case, divided by ``jobs``; the run stops if the server stops answering.
    """
    began = time.monotonic()
    try:
        capabilities = probe(target, timeout=timeout, echo=echo)
    except NotAnswering as error:
        raise NotAnswering(hide(str(error), target.secrets)) from None
    capabilities.no_echo = hide(capabilities.no_echo, target.secrets)
    capabilities.no_head = hide(capabilities.no_head, target.secrets)
    report = Report(target, capabilities)
    run = _Run(report, timeout, on_verdict, began + max_time, is_enough)
    with stopping_at_ctrl_c(run.interrupt, on_ctrl_c):
        if not capabilities.concurrent or not _serves_as_many(target, capabilities, 2 * jobs, timeout):
            jobs = 1
        left = [case for case in cases if not case.play.alone]
        while left:
            run.play_together(left, jobs)
            run.replay(were_together=jobs > 1)
            left = run.held_back(left)
        run.play_alone([case for case in cases if case.play.alone])
    run.look_whether_it_ended_behind_a_proxy()
    report.verdicts = [run.done.get(case.id) or Verdict(case, Outcome.UNPLAYED, report.stopped) for case in cases]
    report.seconds = time.monotonic() - began
    return report


@contextlib.contextmanager
def stopping_at_ctrl_c(interrupt: Callable[[], None], on_ctrl_c: Callable[[], None]) -> Iterator[None]:
    """Let the first Ctrl-C call these functions; a second one raises KeyboardInterrupt.

    The first one raises nothing: an exception between any two instructions of the main thread could leave
    a lock locked for which the threads of the cases wait.  Nor does it set an Event, which has such a lock.
    """

    def handle(number: int, frame: object) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        interrupt()
        on_ctrl_c()

    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


class _Run:
    """The cases of one report while they are played.

    A failure counts after the last case that runs beside others, for three reasons.  The server may have been
    silent, or turned the client away, only because it was busy: such a case is replayed alone.  It may have
    turned out to send messages by itself, which were taken for answers: then each failed case is replayed.
    And the caller may end the run after this failure: then no case begins until it is replayed.

    If the server ends, only the cases of that moment can be the reason.  One case is blamed; of several,
    none is judged, and the report names them.

    It has more attributes than most classes here: what was asked for, how far the run is, and what may be to blame.
    """

    def __init__(
        self,
        report: Report,
        timeout: float,
        on_verdict: Callable[[Verdict], None],
        end: float,
        is_enough: Callable[[Verdict], bool],
    ) -> None:
        self._report = report
        self._timeout = timeout
        self._on_verdict = on_verdict
        self._end = end  # monotonic seconds
        self._is_enough = is_enough
        self._stopped = False
        self._stopped_early = False  # by the caller, not by the server
        self._is_held = False  # no case begins until the failures so far are played again
        self._looking = threading.Lock()
        self._running: set[str] = set()
        self._finished: deque[str] = deque(maxlen=4)  # the last ones
        self._suspects: set[str] = set()  # the cases that ran when the server ended
        self._let_in = self._turned_away = 0  # cases that a pause helped, and those that none did
        self._failures: list[Verdict] = []
        self.done: dict[str, Verdict] = {}

    def stop_early(self, reason: str) -> None:
        """Begin no further case."""
        if not self._stopped:
            self._report.stopped = reason
            self._stopped = self._stopped_early = True

    def interrupt(self) -> None:
        """Begin no further case after Ctrl-C."""
        self._report.interrupted = True
        self.stop_early("Ctrl-C")

    def play_together(self, cases: Sequence[Case], jobs: int) -> None:
        """Play cases, several at a time, and listen beside them to what the server sends by itself."""
        listener = Peer(self._report.target, self._timeout)
        try:
            if jobs > 1 and self._report.capabilities.echo:
                with contextlib.suppress(Failed):  # then the server is not watched beside the cases
                    listener.open()
            for verdict in self._play_in_threads(cases, jobs):
                if not self._report.capabilities.unasked and any(
                    wire.has_received_a_message() for wire in listener.wires
                ):
                    self._report.capabilities.unasked = True
                    listener.close()
                if verdict.outcome is Outcome.FAIL:
                    self._failures.append(verdict)
                else:
                    self._count(verdict)
        finally:
            listener.close()

    def _play_in_threads(self, cases: Sequence[Case], jobs: int) -> Iterator[Verdict]:
        """Yield the verdicts as they become known."""
        waiting = iter(cases)
        verdicts: queue.SimpleQueue[Verdict | None] = queue.SimpleQueue()  # None: a thread has ended

        def play_the_next() -> None:
            try:
                for case in waiting:
                    if (verdict := self._play(case)) is None:
                        break
                    verdicts.put(verdict)
            finally:
                verdicts.put(None)

        for number in range(jobs):
            threading.Thread(target=play_the_next, name=f"wsref check {number}", daemon=True).start()
        running = jobs
        while running:
            if (verdict := verdicts.get()) is not None:
                yield verdict
            else:
                running -= 1

    def replay(self, *, were_together: bool) -> None:
        """Play again, each alone, the failed cases whose failure may not be the server's.

        After :meth:`stop_early` no case is played: such a failure does not count.

        Args:
            were_together: Whether they were played beside other cases.
        """
        confirmed = innocent = 0
        self._let_in = self._turned_away = 0  # alone, a case may be let in
        failures, self._failures = self._failures, []
        would_end_the_run, self._is_held = self._is_held and were_together, False
        for failure in failures:
            verdict = failure
            if (
                would_end_the_run
                or self._report.capabilities.unasked != failure.unasked
                or ((failure.unanswered or failure.turned_away) and (innocent or confirmed < ENOUGH_REPLAYS))
            ):
                again = self._play(failure.case)
                if again is None and self._stopped_early:
                    continue
                verdict = again or failure
                confirmed += verdict.outcome is Outcome.FAIL
                innocent += verdict.outcome is not Outcome.FAIL
            self._count(verdict)
            self._is_held = False

    def held_back(self, cases: Sequence[Case]) -> list[Case]:
        """Return the cases that have not begun, unless the run has ended."""
        return [] if self._stopped else [case for case in cases if case.id not in self.done]

    def play_alone(self, cases: Sequence[Case]) -> None:
        """Play cases one after the other."""
        for case in cases:
            if (verdict := self._play(case)) is not None:
                self._count(verdict)

    def _count(self, verdict: Verdict) -> None:
        if verdict.case.id not in self._suspects or verdict.crashed:
            self.done[verdict.case.id] = verdict
            self._on_verdict(verdict)
            if self._is_enough(verdict):
                self.stop_early(FIRST)

    def _play(self, case: Case) -> Verdict | None:
        """Play a case, then see whether the server still works; None: the run has ended, or is held."""
        if time.monotonic() > self._end:
            self.stop_early(OUT_OF_TIME)
        if self._stopped or self._is_held:
            return None
        self._running.add(case.id)
        verdict = self._play_until_let_in(case)
        if verdict.unanswered or verdict.cut_off:
            with self._looking:  # the first to look stops the run, and the others are suspects
                if not self._stopped:
                    self._look_after_the_server(verdict)
        if self._is_enough(verdict):  # here, before this thread begins another case
            self._is_held = True
        self._running.discard(case.id)
        self._finished.append(case.id)
        return verdict

    def _play_until_let_in(self, case: Case) -> Verdict:
        """Play a case, and after pauses again while the server turns its client away.

        A server with a limit may still count a client that has just left.  If no pause ever helps, there is no more.
        """
        target, capabilities = self._report.target, self._report.capabilities
        verdict = play(case, target, capabilities, timeout=self._timeout)
        for pause in PAUSES:
            may_help = self._let_in or self._turned_away < ENOUGH_REPLAYS
            if not verdict.turned_away or not may_help or self._stopped:
                break
            time.sleep(pause)
            again = play(case, target, capabilities, timeout=self._timeout)
            if not again.recorded:  # it accepts no connection now: was it this case that ended it?
                verdict.unanswered = True
                break
            verdict = again
            self._let_in += not verdict.turned_away
        self._turned_away += verdict.turned_away
        return verdict

    def look_whether_it_ended_behind_a_proxy(self) -> None:
        """If cases were skipped for a 503, check that this was a limit, and not the end of the server."""
        limited = [name for name, verdict in self.done.items() if verdict.turned_away]
        capabilities = self._report.capabilities
        if limited and not self._stopped and not is_alive(self._report.target, capabilities, self._timeout, tries=10):
            self._report.stopped = f"the server no longer answers an ordinary handshake; perhaps since {limited[0]}"

    def _look_after_the_server(self, verdict: Verdict) -> None:
        """End the run if the server has ended, or hangs."""
        report, name = self._report, verdict.case.id
        if not accepts_connections(report.target, self._timeout):
            self._stopped = True
            self._suspects = set(self._running)
            if verdict.recorded and self._suspects == {name}:
                report.stopped = f"{name} ended the server: it accepts no connection now"
                verdict.outcome, verdict.why, verdict.crashed = Outcome.FAIL, "the end of the server itself", True
                verdict.expected = f"{verdict.case.play.accepts}; the next client can connect"
            else:
                ran = self._running if verdict.recorded else {*self._running, *self._finished} - {name}
                report.stopped = f"the server ended during or after one of {', '.join(sorted(ran))}"
        elif verdict.unanswered and not is_alive(report.target, report.capabilities, self._timeout):
            self._stopped = True
            report.stopped = f"after {name} the server no longer answered an ordinary handshake"
