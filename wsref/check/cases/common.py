"""Rules, payloads and checks that several chapters use."""

from __future__ import annotations

import re

from ..case import Play
from ..codec import BINARY, PONG, TEXT, Answer, Frame, plain
from ..plays import answered, ask, in_words
from ..session import MAX_BODY, Peer, Silence, Wire
from ..verdict import Failed, Level, Skipped

MUST, SHOULD, INTEROP = Level

# -- Rules that several chapters quote --

CASE_INSENSITIVE = "Field names are case-insensitive"  # RFC 9110 §5.1
OWS = 'field-line = field-name ":" OWS field-value OWS'  # RFC 9112 §5
STATUS_LINE = "status-line = HTTP-version SP status-code SP [ reason-phrase ]"  # RFC 9112 §4
LENGTH = (  # RFC 9112 §6.3
    "If a valid Content-Length header field is present without Transfer-Encoding, its decimal value defines the "
    "expected message body length in octets."
)
NOT_NAMED = (  # RFC 9110 §7.8
    "A server MUST NOT switch to a protocol that was not indicated by the client in the corresponding request's "
    "Upgrade header field."
)
MINIMAL = "the minimal number of bytes MUST be used to encode the length"  # RFC 6455 §5.2
RSV = (  # RFC 6455 §5.2
    "If a nonzero value is received and none of the negotiated extensions defines the meaning of such a nonzero "
    "value, the receiving endpoint MUST _Fail the WebSocket Connection_."
)
UNKNOWN_OPCODE = (  # RFC 6455 §5.2
    "If an unknown opcode is received, the receiving endpoint MUST _Fail the WebSocket Connection_."
)
IN_THE_MIDDLE = (  # RFC 6455 §5.4
    "An endpoint MUST be capable of handling control frames in the middle of a fragmented message."
)
SMALL_CONTROL_FRAMES = (  # RFC 6455 §5.5
    "All control frames MUST have a payload length of 125 bytes or less and MUST NOT be fragmented."
)
IDENTICAL = (  # RFC 6455 §5.5.3
    'A Pong frame sent in response to a Ping frame must have identical "Application data" as found in the message '
    "body of the Ping frame being replied to."
)
LIMITS = (  # RFC 6455 §10.4
    "Implementations that have implementation- and/or platform-specific limitations regarding the frame size or "
    "total message size after reassembly from multiple frames MUST protect themselves against exceeding those limits."
)
NOT_UTF8 = (  # RFC 6455 §8.1
    "When an endpoint is to interpret a byte stream as UTF-8 but finds that the byte stream is not, in fact, a valid "
    "UTF-8 stream, that endpoint MUST _Fail the WebSocket Connection_."
)


# -- Payloads --


def pattern(size: int) -> bytes:
    """Bytes in which a piece lost, doubled or moved shows."""
    return (bytes(range(251)) * (size // 251 + 1))[:size]


def letters(size: int) -> bytes:
    """The same in ASCII."""
    return (b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ." * (size // 63 + 1))[:size]


def in_pieces(payload: bytes, size: int) -> list[bytes]:
    """Cut a payload into pieces of this size."""
    return [payload[start : start + size] for start in range(0, len(payload), size)]


# -- Judging an answer in HTTP --


def well_formed(peer: Peer, answer: Answer) -> None:
    """Check that the head of an answer follows the grammar of RFC 9112."""
    if answer.faults:
        raise Failed("; ".join(answer.faults), "a head as RFC 9112 writes it")


def right_length(request: bytes) -> Play:
    """Expect a body that is exactly as long as the head says."""

    def judge(peer: Peer, answer: Answer) -> None:
        lengths = set(answer.lines("Content-Length"))
        if lengths and answer.lines("Transfer-Encoding"):
            raise Failed("both Content-Length and Transfer-Encoding", "one of them")
        if len(lengths) > 1 or any(not re.fullmatch("[0-9]{1,18}", length) for length in lengths):
            raise Failed(f"Content-Length: {', '.join(sorted(lengths))}", "one number")
        if len(answer.body) >= MAX_BODY:
            raise Skipped(f"the grader reads only {MAX_BODY >> 20} MiB of a body")
        size = len(answer.body) + len(peer.wires[-1].rest(0.3))
        if lengths and size < int(next(iter(lengths))) and not peer.wires[-1].ended(0):
            raise Silence(f"{size} bytes of the body, then nothing", f"{lengths.pop()} bytes, as Content-Length says")
        if lengths and int(next(iter(lengths))) != size:
            raise Failed(f"a body of {size} bytes", f"a body of {lengths.pop()} bytes, as Content-Length says")

    return answered(request, "a body as long as Content-Length says, if there is one", judge)


def closes(request: bytes, accepts: str, *, if_announced: bool = False) -> Play:
    """Expect the end of TCP after the answer.

    Args:
        if_announced: Expect it only if the answer has Connection: close, and skip the case without an answer.
    """

    def run(peer: Peer) -> None:
        answer = ask(peer, request)
        if answer is None:
            if if_announced:
                raise Skipped("the server closed the connection without an answer")
        elif (not if_announced or "close" in answer.tokens("Connection")) and not peer.wires[-1].ended():
            what = "Connection: close" if if_announced else "an answer"
            raise Failed(f"{what}, and TCP open for {peer.timeout:g} s after it", "the end of TCP")

    return Play(in_words(request), accepts, run)


def plain_status(peer: Peer) -> int:
    """Return the status of an ordinary plain request; 0: the server ended TCP."""
    answer = ask(peer, plain())
    peer.wires[-1].close()  # a server of one client at a time waits for the end
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
