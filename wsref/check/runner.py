"""Plays cases against a server, several at a time, and sees to it that it ends.

First it finds out what the server is: whether it answers at all, with which status it
answers an ordinary handshake, whether it sends messages back, whether it serves two
clients at once.  Cases that need more than there is are skipped, with the reason.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from .case import Case, Verdict
from .codec import BINARY, TEXT, frame, text, upgrade
from .session import Line, Peer, Target
from .verdict import Failed, Level, Outcome, Skipped

#: An offer that any server that knows permessage-deflate can accept as it is.
OFFER = upgrade("Sec-WebSocket-Extensions: permessage-deflate")


#: Why a server does not echo that nobody asked to.
NOT_ASKED = "--no-echo"


class NotAnswering(Exception):
    """There is no server to grade: one sentence, and perhaps a second on what to do."""


@dataclass
class Found:
    """What the server is, as far as the grader must know.

    Attributes:
        usual: The status that answers an ordinary handshake; 0: it hung up.
        echo: Whether it sends messages back.
        no_echo: Why not, in words.
        binary: Whether it sends binary messages back too.
        deflate: Whether it agrees on permessage-deflate.
        many: Whether it serves a second client while it has a first.
    """

    usual: int = 0
    echo: bool = False
    no_echo: str = ""
    binary: bool = False
    deflate: bool = False
    many: bool = True


@dataclass
class Report:
    """What a run found out.

    Attributes:
        verdicts: In the order of the cases.
        stopped: Why not all cases were played; "": they were.
        seconds: The run took so long.
    """

    target: Target
    found: Found
    verdicts: list[Verdict] = field(default_factory=list)
    stopped: str = ""
    seconds: float = 0.0

    def count(self, outcome: Outcome, level: Level | None = None) -> int:
        """How many cases ended so."""
        return sum(v.outcome is outcome and level in (None, v.case.level) for v in self.verdicts)

    @property
    def failed(self) -> list[Verdict]:
        """Those that failed, of whatever level."""
        return [verdict for verdict in self.verdicts if verdict.outcome is Outcome.FAIL]

    @property
    def broke_a_must(self) -> bool:
        """Whether a sentence of the RFC was broken."""
        return self.count(Outcome.FAIL, Level.MUST) > 0


# -- What is it? ---------------------------------------------------------------------------


def look_at(target: Target, *, timeout: float = 3.0, echo: bool = True) -> Found:
    """What the server is.

    Args:
        timeout: Seconds to wait for whatever is due.
        echo: Whether to find out if it is an echo server (it is sent "Hello").
    Raises:
        NotAnswering: nobody is there, or nobody who answers.
    """
    found = Found()
    peer = Peer(target, timeout)
    try:
        line = peer.dial()
        line.send(upgrade())
        try:
            answer = line.answer()
        except Failed as failure:
            raise NotAnswering(_why_no_answer(target, line, failure)) from None
        found.usual = answer.status if answer else 0
        if answer is None and not _answers_http(peer):
            raise NotAnswering(
                "it takes TCP connections, and hangs up on whatever it is sent: is it an HTTP server?  "
                "If it speaks TLS, its URL begins with wss://"
            )
        if found.usual == 101:
            found.no_echo = _why_no_echo(line) if echo else NOT_ASKED
            found.echo = not found.no_echo
        found.many = _serves_many(peer, found.usual)
        peer.hang_up()
        if found.echo:
            found.binary = _sends_binary(peer)
            peer.hang_up()
        if found.usual == 101:
            offered = peer.open(OFFER).opening
            found.deflate = offered is not None and "permessage-deflate" in " ".join(
                offered.tokens("Sec-WebSocket-Extensions")
            )
    except Failed as failure:
        if not found.usual:
            raise NotAnswering(failure.got + _what_to_try(target, failure.got)) from None
    finally:
        peer.hang_up()
    return found


def _what_to_try(target: Target, why: str) -> str:
    """What to try, when TLS failed."""
    if "not trusted" in why:
        return "; --cafile FILE trusts the certificates in FILE, --insecure trusts any"
    if target.secure and re.search("record layer|wrong.version|EOF occurred|closed|reset", why, re.IGNORECASE):
        return "; does it speak TLS?  If not, its URL begins with ws://"
    return ""


def _why_no_answer(target: Target, line: Line, failure: Failed) -> str:
    came = b"".join(data for sent, data in line.wire if not sent)
    if came[:2] in (b"\x15\x03", b"\x16\x03"):
        return "it answers in TLS: its URL begins with wss://"
    if not came:
        return f"{target.authority} takes the connection, and then: {failure.got}"
    return f"{target.authority} does not answer in HTTP: {failure.got}; it sent {came[:40]!r}"


def _answers_http(peer: Peer) -> bool:
    line = peer.dial()
    line.send(b"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")
    try:
        return line.answer() is not None
    except Failed:
        return False


def _why_no_echo(line: Line) -> str:
    """Send a message, and see whether it comes back; "": it does."""
    line.send(text("Hello"))
    try:
        line.expect(TEXT, b"Hello")
    except Failed as failure:
        return f"it was sent the text 'Hello', and what came was: {failure.got}"
    return ""


def _sends_binary(peer: Peer) -> bool:
    line = peer.open()
    line.send(frame(BINARY, b"\x00\xff"))
    try:
        line.expect(BINARY, b"\x00\xff")
    except (Failed, Skipped):
        return False
    return True


def _serves_many(peer: Peer, usual: int) -> bool:
    """A second client is served while a first says nothing (it is still open from before)."""
    first = peer.dial()
    first.send(b"GET ")
    second = peer.dial()
    second.send(upgrade())
    second.timeout = min(peer.timeout, 1.5)
    try:
        answer = second.answer()
    except Failed:
        return False
    finally:
        first.hang_up()
        second.hang_up()
    return (answer.status if answer else 0) == usual  # it may have a limit for each address, and say 503


# -- The run ---------------------------------------------------------------------------------


def play(case: Case, target: Target, found: Found, *, timeout: float = 3.0) -> Verdict:
    """Play one case."""
    peer = Peer(target, timeout, found.usual, found.echo, found.many)
    began = time.monotonic()
    verdict = Verdict(case, Outcome.PASS)
    try:
        reason = _why_not(case, found)
        if reason:
            raise Skipped(reason)
        case.play.run(peer)
    except Skipped as skipped:
        verdict.outcome, verdict.why = Outcome.SKIP, str(skipped)
    except Failed as failure:
        verdict.outcome, verdict.why = Outcome.FAIL, failure.got
        verdict.expected = failure.expected or case.play.accepts
    finally:
        peer.hang_up()
    verdict.wire = [line.wire for line in peer.lines]
    verdict.seconds = time.monotonic() - began
    return verdict


def _why_not(case: Case, found: Found) -> str:
    """Why this case cannot be played with this server; "": it can."""
    needs = case.play.needs
    if needs and found.usual != 101:
        return "an ordinary handshake does not get 101"
    if needs == "asked" and found.no_echo == NOT_ASKED:
        return NOT_ASKED
    if needs in ("echo", "binary", "deflate") and not found.echo:
        return "the server does not send messages back"
    if needs == "binary" and not found.binary:
        return "the server does not send binary messages back; 6.echo.all-bytes looks at that"
    if needs in ("agree", "deflate") and not found.deflate:
        return "the server does not agree on permessage-deflate, which is its right"
    return ""


def is_alive(target: Target, found: Found, timeout: float) -> bool:
    """Whether it still answers an ordinary handshake as it did."""
    for _ in range(3):
        peer = Peer(target, timeout)
        try:
            line = peer.dial()
            line.send(upgrade())
            answer = line.answer()
            if (answer.status if answer else 0) == found.usual:
                return True
        except Failed:
            pass
        finally:
            peer.hang_up()
        time.sleep(0.2)
    return False


def grade(
    target: Target,
    cases: Sequence[Case],
    *,
    timeout: float = 3.0,
    jobs: int = 4,
    echo: bool = True,
    tell: Callable[[Verdict], None] = lambda verdict: None,
) -> Report:
    """Play the cases, and report.

    Args:
        cases: In the order of the report.
        timeout: Seconds to wait for whatever is due.
        jobs: How many cases at a time; one, if the server serves one client at a time.
        echo: Whether to find out if it is an echo server; without, cases that need one are skipped.
        tell: Told of each verdict as it comes, in the calling thread.
    Raises:
        NotAnswering: there is nobody to grade.
    Cost:
        At worst some timeouts for each case, divided by ``jobs``; a server that stops answering ends it.
    """
    began = time.monotonic()
    found = look_at(target, timeout=timeout, echo=echo)
    report = Report(target, found)
    stop = threading.Event()
    done: dict[str, Verdict] = {}

    def one(case: Case) -> Verdict | None:
        if stop.is_set():
            return None
        verdict = play(case, target, found, timeout=timeout)
        if _looks_dead(verdict) and not stop.is_set() and not is_alive(target, found, timeout):
            report.stopped = (
                report.stopped or f"after {case.id} the server did not answer an ordinary handshake any more"
            )
            stop.set()
        return verdict

    together = [case for case in cases if not case.play.alone]
    alone = [case for case in cases if case.play.alone]
    with ThreadPoolExecutor(jobs if found.many else 1, thread_name_prefix="wsref check") as pool:
        try:
            for verdict in _as_they_come(pool.submit(one, case) for case in together):
                done[verdict.case.id] = verdict
                tell(verdict)
            for case in alone:
                if (last := one(case)) is not None:
                    done[case.id] = last
                    tell(last)
        except BaseException:  # Ctrl-C: the threads end with the cases that they are playing
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    report.verdicts = [done[case.id] for case in cases if case.id in done]
    report.seconds = time.monotonic() - began
    return report


def _as_they_come(submitted: Iterable[Future[Verdict | None]]) -> Iterable[Verdict]:
    waiting = set(submitted)
    while waiting:
        finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
        for future in finished:
            if (verdict := future.result()) is not None:
                yield verdict


def _looks_dead(verdict: Verdict) -> bool:
    return verdict.outcome is Outcome.FAIL and ("nothing for" in verdict.why or "no connection" in verdict.why)
