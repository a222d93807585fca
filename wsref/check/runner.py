"""Play cases against a server, several at a time, with a bound on the total time.

First the runner probes the server: whether it answers, the status of an ordinary handshake, whether
it echoes messages, whether it serves two clients at once.  The runner skips a case that needs more
than the server can do, and reports the reason.
"""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from .case import Case, Verdict
from .codec import BINARY, TEXT, frame, text, upgrade
from .session import Peer, Target, Wire, without_secrets
from .verdict import Failed, Level, Outcome, Skipped

#: An offer that every server with permessage-deflate can accept unchanged.
OFFER = upgrade("Sec-WebSocket-Extensions: permessage-deflate")


#: The reason for no echo if the caller did not want the server to get a message.
NO_ECHO_FLAG = "--no-echo"


class NotAnswering(Exception):
    """The server does not answer.  The text is a sentence, and sometimes advice."""


@dataclass
class Capabilities:
    """The abilities of the server that decide which cases apply.

    Attributes:
        baseline_status: The status of an ordinary handshake; 0: the server closed the connection.
        echo: Whether the server echoes messages.
        no_echo: The reason why it does not, in words.
        binary: Whether it echoes binary messages too.
        deflate: Whether it agrees on permessage-deflate.
        concurrent: Whether it serves a second client before the first one leaves.
    """

    baseline_status: int = 0
    echo: bool = False
    no_echo: str = ""
    binary: bool = False
    deflate: bool = False
    concurrent: bool = True


@dataclass
class Report:
    """The result of a run.

    Attributes:
        verdicts: The verdicts in the order of the cases, also those of cases that were not played.
        stopped: The reason why the run stopped early; "": it did not.
        interrupted: Whether Ctrl-C stopped it.
        seconds: The duration of the run.
        known: The failures of a baseline: id to reason; None: no baseline.
    """

    target: Target
    capabilities: Capabilities
    verdicts: list[Verdict] = field(default_factory=list)
    stopped: str = ""
    interrupted: bool = False
    seconds: float = 0.0
    known: dict[str, str] | None = None

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
        """Whether the run stopped early, played nothing, or a MUST failed; with a baseline: any failure that is new."""
        serious = [v for v in self.new if self.known is not None or v.case.level is Level.MUST]
        played_nothing = not any(v.outcome in (Outcome.PASS, Outcome.FAIL) for v in self.verdicts)
        return bool(serious or self.stopped or played_nothing)


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
    peer = Peer(target, timeout)
    try:
        wire = peer.connect()
        wire.send(upgrade())
        try:
            answer = wire.answer()
        except Failed as failure:
            raise NotAnswering(_why_no_answer(target, wire, failure)) from None
        capabilities.baseline_status = answer.status if answer else 0
        if answer is None and not _answers_http(peer):
            raise NotAnswering(
                "it accepts TCP connections and closes them without an answer: is it an HTTP server?  "
                "If it speaks TLS, its URL begins with wss://"
            )
        if capabilities.baseline_status == 101:
            capabilities.no_echo = _why_no_echo(wire) if echo else NO_ECHO_FLAG
            capabilities.echo = not capabilities.no_echo
        capabilities.concurrent = _serves_many(peer, capabilities.baseline_status)
        peer.close()
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
    if "not trusted" in why:
        return "; --cafile FILE trusts the certificates in FILE, --insecure trusts any"
    if target.secure and re.search("record layer|wrong.version|EOF occurred|closed|reset", why, re.IGNORECASE):
        return "; does it use TLS?  If not, its URL begins with ws://"
    return ""


def _why_no_answer(target: Target, wire: Wire, failure: Failed) -> str:
    received = b"".join(data for sent, data in wire.recorded if not sent)
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
    """Send a message, and return the reason why no echo arrived; "": the echo arrived."""
    wire.send(text("Hello"))
    try:
        wire.expect(TEXT, b"Hello")
    except Failed as failure:
        return f"the answer to the text 'Hello' was: {failure.got}"
    return ""


def _sends_binary(peer: Peer) -> bool:
    wire = peer.open()
    wire.send(frame(BINARY, b"\x00\xff"))
    try:
        wire.expect(BINARY, b"\x00\xff")
    except (Failed, Skipped):
        return False
    return True


def _serves_many(peer: Peer, baseline_status: int) -> bool:
    """Return whether the server serves a second client during the first one's silence."""
    first = peer.connect()
    first.send(b"GET ")
    second = peer.connect()
    second.send(upgrade())
    second.timeout = min(peer.timeout, 1.5)
    try:
        answer = second.answer()
    except Failed:
        return False
    finally:
        first.close()
        second.close()
    return (answer.status if answer else 0) == baseline_status  # a server with a limit for each address may say 503


# -- The run ---------------------------------------------------------------------------------


def play(case: Case, target: Target, capabilities: Capabilities, *, timeout: float = 3.0) -> Verdict:
    """Play one case."""
    peer = Peer(target, timeout, capabilities.baseline_status, capabilities.echo, capabilities.concurrent)
    began = time.monotonic()
    verdict = Verdict(case, Outcome.PASS)
    try:
        reason = _skip_reason(case, capabilities)
        if reason:
            raise Skipped(reason)
        case.play.run(peer)
    except Skipped as skipped:
        verdict.outcome, verdict.why = Outcome.SKIP, str(skipped)
    except Failed as failure:
        verdict.outcome, verdict.why = Outcome.FAIL, failure.got
        verdict.expected = failure.expected or case.play.accepts
    finally:
        peer.close()
    verdict.recorded = [without_secrets(wire.recorded, target.secrets) for wire in peer.wires]
    verdict.seconds = time.monotonic() - began
    return verdict


def _skip_reason(case: Case, capabilities: Capabilities) -> str:
    """Return the reason why this case does not apply to the server; "": the case applies."""
    needs = case.play.needs
    if needs and capabilities.baseline_status != 101:
        return "an ordinary handshake does not get 101"
    if needs == "asked" and capabilities.no_echo == NO_ECHO_FLAG:
        return NO_ECHO_FLAG
    if needs in ("echo", "binary", "deflate") and not capabilities.echo:
        return "the server does not echo messages"
    if needs == "binary" and not capabilities.binary:
        return "the server does not echo binary messages; 6.echo.all-bytes tests that"
    if needs in ("agree", "deflate") and not capabilities.deflate:
        return "the server does not agree on permessage-deflate, which is legal"
    return ""


def is_alive(target: Target, capabilities: Capabilities, timeout: float) -> bool:
    """Return whether the server still answers an ordinary handshake with the same status."""
    for _ in range(3):
        peer = Peer(target, timeout)
        try:
            wire = peer.connect()
            wire.send(upgrade())
            answer = wire.answer()
            if (answer.status if answer else 0) == capabilities.baseline_status:
                return True
        except Failed:
            pass
        finally:
            peer.close()
        time.sleep(0.2)
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
) -> Report:
    """Play the cases, and return the report.

    Args:
        cases: The cases, in the order of the report.
        timeout: Seconds to wait for each answer.
        jobs: The number of cases at a time; 1 if the server serves one client at a time.
        echo: Whether to test for an echo server; if not, cases that need an echo are skipped.
        max_time: Seconds after which no further case begins.
        is_enough: Whether no further case begins after this verdict.  It is called in the thread of the case.
        on_verdict: Called with each verdict as it becomes known, in the calling thread.
    Raises:
        NotAnswering: The server does not answer.
        KeyboardInterrupt: Ctrl-C before the first case.  Later, Ctrl-C stops the run, and the report says so.
    Cost:
        At most a few timeouts for each case, divided by ``jobs``; the run stops if the server stops answering.
    """
    began = time.monotonic()
    capabilities = probe(target, timeout=timeout, echo=echo)
    report = Report(target, capabilities)
    stop = threading.Event()
    done: dict[str, Verdict] = {}

    def one(case: Case) -> Verdict | None:
        if time.monotonic() - began > max_time:
            report.stopped = report.stopped or f"--max-time: {max_time:g} s have passed"
            stop.set()
        if stop.is_set():
            return None
        verdict = done[case.id] = play(case, target, capabilities, timeout=timeout)
        if is_enough(verdict):
            report.stopped = report.stopped or "--first: a case failed"
            stop.set()
        if _looks_dead(verdict) and not stop.is_set() and not is_alive(target, capabilities, timeout):
            report.stopped = report.stopped or f"after {case.id} the server no longer answered an ordinary handshake"
            stop.set()
        return verdict

    together = [case for case in cases if not case.play.alone]
    alone = [case for case in cases if case.play.alone]
    try:
        with ThreadPoolExecutor(jobs if capabilities.concurrent else 1, thread_name_prefix="wsref check") as pool:
            try:
                for verdict in _as_completed(pool.submit(one, case) for case in together):
                    on_verdict(verdict)
                for case in alone:
                    if (last := one(case)) is not None:
                        on_verdict(last)
            except BaseException:  # Ctrl-C: each thread ends after its current case
                stop.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    except KeyboardInterrupt:
        report.stopped, report.interrupted = "Ctrl-C", True
    report.verdicts = [done.get(case.id) or Verdict(case, Outcome.UNPLAYED, report.stopped) for case in cases]
    report.seconds = time.monotonic() - began
    return report


def _as_completed(submitted: Iterable[Future[Verdict | None]]) -> Iterable[Verdict]:
    waiting = set(submitted)
    while waiting:
        finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
        for future in finished:
            if (verdict := future.result()) is not None:
                yield verdict


def _looks_dead(verdict: Verdict) -> bool:
    return verdict.outcome is Outcome.FAIL and ("nothing for" in verdict.why or "no connection" in verdict.why)
