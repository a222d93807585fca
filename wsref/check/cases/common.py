"""What the cases of several chapters share."""

from __future__ import annotations

import re

from ..case import Play
from ..codec import BINARY, PONG, TEXT, Answer, Frame, plain
from ..plays import in_words
from ..session import Line, Peer
from ..verdict import Failed, Level, Skipped

MUST, SHOULD, INTEROP = Level

# -- Rules that several chapters quote --

CASE_INSENSITIVE = "Field names are case-insensitive"
OWS = 'field-line = field-name ":" OWS field-value OWS'
NOT_NAMED = (
    "A server MUST NOT switch to a protocol that was not indicated by the client in the corresponding request's "
)
NOT_NAMED += "Upgrade header field."


# -- Payloads --


def pattern(size: int) -> bytes:
    """Bytes in which a piece lost, doubled or moved shows."""
    return (bytes(range(251)) * (size // 251 + 1))[:size]


def letters(size: int) -> bytes:
    """The same in ASCII."""
    return (b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ." * (size // 63 + 1))[:size]


# -- Judging an answer in HTTP --


def well_formed(peer: Peer, answer: Answer) -> None:
    """Judge an answer's head: as RFC 9112 writes it."""
    if answer.faults:
        raise Failed("; ".join(answer.faults), "a head as RFC 9112 writes it")


def right_length(request: bytes) -> Play:
    """The answer's body is as long as its head says: no shorter, and nothing follows it."""

    def run(peer: Peer) -> None:
        line = peer.dial()
        line.send(request)
        if (answer := line.answer()) is None:
            raise Skipped("it hung up, so there is no answer to look at")
        lengths = set(answer.lines("Content-Length"))
        if lengths and answer.lines("Transfer-Encoding"):
            raise Failed("both Content-Length and Transfer-Encoding", "one of them")
        if len(lengths) > 1 or any(not re.fullmatch("[0-9]{1,18}", length) for length in lengths):
            raise Failed(f"Content-Length: {', '.join(sorted(lengths))}", "one number")
        size = len(answer.body) + len(line.rest(0.3))
        if lengths and int(next(iter(lengths))) != size:
            raise Failed(f"a body of {size} bytes", f"as many as its Content-Length says, {lengths.pop()}")

    return Play(in_words(request), "a body as long as Content-Length says, if it says so", run)


def asked_plainly(peer: Peer) -> int:
    """The status that answers an ordinary plain request; 0: TCP ended."""
    line = peer.dial()
    line.send(plain())
    answer = line.answer()
    line.hang_up()  # a server of one client at a time waits for that
    return answer.status if answer else 0


# -- Judging Pongs --


def take_pongs(line: Line, payloads: list[bytes], messages: list[tuple[int, bytes]]) -> None:
    """Pongs for these Pings, the last of them at least, and these messages; each in order.

    Raises:
        Failed: something else came, or not all of it.
    """
    waiting, due = list(payloads), [Frame(*message) for message in messages]
    wanted = f"PONG with {payloads[-1]!r}" + "".join(f", {message}" for message in due)
    while waiting or due:
        try:
            came = line.message()
        except Failed as failure:
            missing = [f"PONG with {waiting[-1]!r}"] * bool(waiting) + [str(message) for message in due]
            raise Failed(f"{failure.got}; missing: {', '.join(missing)}", wanted) from None
        if came.opcode == PONG and came.payload in waiting:
            del waiting[: waiting.index(came.payload) + 1]  # §5.5.3: the others need no Pong any more
        elif due and came.opcode in (TEXT, BINARY):
            line.compare(came, due.pop(0))
        else:
            raise Failed(f"{came}", wanted)
