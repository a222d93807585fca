"""Rules, payloads and checks that several chapters use."""

from __future__ import annotations

import re

from ..case import Play
from ..codec import BINARY, PONG, TEXT, Answer, Frame, plain
from ..plays import in_words
from ..session import MAX_BODY, Peer, Wire
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
    """Check that the head of an answer follows the grammar of RFC 9112."""
    if answer.faults:
        raise Failed("; ".join(answer.faults), "a head as RFC 9112 writes it")


def right_length(request: bytes) -> Play:
    """Expect a body that is exactly as long as the head says."""

    def run(peer: Peer) -> None:
        wire = peer.connect()
        wire.send(request)
        if (answer := wire.answer()) is None:
            raise Skipped("the server closed the connection without an answer")
        lengths = set(answer.lines("Content-Length"))
        if lengths and answer.lines("Transfer-Encoding"):
            raise Failed("both Content-Length and Transfer-Encoding", "one of them")
        if len(lengths) > 1 or any(not re.fullmatch("[0-9]{1,18}", length) for length in lengths):
            raise Failed(f"Content-Length: {', '.join(sorted(lengths))}", "one number")
        if len(answer.body) >= MAX_BODY:
            raise Skipped(f"the grader reads only {MAX_BODY >> 20} MiB of a body")
        size = len(answer.body) + len(wire.rest(0.3))
        if lengths and int(next(iter(lengths))) != size:
            raise Failed(f"a body of {size} bytes", f"a body of {lengths.pop()} bytes, as Content-Length says")

    return Play(in_words(request), "a body as long as Content-Length says, if there is one", run)


def plain_status(peer: Peer) -> int:
    """Return the status of an ordinary plain request; 0: the server ended TCP."""
    wire = peer.connect()
    wire.send(plain())
    answer = wire.answer()
    wire.close()  # a server of one client at a time waits for the end
    return answer.status if answer else 0


# -- Judging Pongs --


def take_pongs(wire: Wire, payloads: list[bytes], messages: list[tuple[int, bytes]]) -> None:
    """Expect Pongs for these Pings, at least for the last one, and these messages; each kind in order.

    Raises:
        Failed: Something is missing, or the server sent something else.
    """
    waiting, due = list(payloads), [Frame(*message) for message in messages]
    wanted = f"PONG with {payloads[-1]!r}" + "".join(f", {message}" for message in due)
    while waiting or due:
        try:
            received = wire.message()
        except Failed as failure:
            missing = [f"PONG with {payload!r}" for payload in waiting[-1:]] + [str(message) for message in due]
            raise type(failure)(f"{failure.got}; missing: {', '.join(missing)}", wanted) from None
        if received.opcode == PONG and received.payload in waiting:
            del waiting[: waiting.index(received.payload) + 1]  # §5.5.3: earlier Pings need no Pong now
        elif wire.answers_nothing(received, *due[:1]):
            continue
        elif due and received.opcode in (TEXT, BINARY):
            wire.compare(received, due.pop(0))
        else:
            raise Failed(f"{received}", wanted)
