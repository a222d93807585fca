"""What happens in most cases: a few verbs, each a way to send something and to judge the answer.

Each returns a :class:`~wsref.check.case.Play`, which says in words what it does, so
that the row of a case says it once.  A case that none of them fits is a :func:`script`.
"""

from __future__ import annotations

from collections.abc import Callable

from .case import Play
from .codec import BINARY, OPCODE_NAMES, PING, PONG, TEXT, Answer, frame, text
from .session import Line, Peer
from .verdict import Failed, Skipped


def in_words(data: bytes, most: int = 48) -> str:
    r"""Bytes for people: a head as its lines, frames in hex.

    >>> in_words(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    'GET / HTTP/1.1 ⏎ Host: a'
    >>> in_words(bytes.fromhex("8180 37fa213d"))
    '81 80 37 fa 21 3d'
    """
    head, blank, _ = data.partition(b"\r\n\r\n")
    if blank and head.lstrip(b"\r\n")[:1].isalpha():
        lines = ascii(head.decode("latin-1"))[1:-1].replace("\\r\\n", " ⏎ ")
        return lines if len(lines) <= 400 else f"{lines[:400]} … ({len(data)} bytes)"
    return data.hex(" ") if len(data) <= most else f"{data[:most].hex(' ')} … ({len(data)} bytes)"


def script(sends: str, accepts: str, run: Callable[[Peer], None], *, needs: str = "", alone: bool = False) -> Play:
    """Whatever the function does."""
    return Play(sends, accepts, run, needs, alone)


# -- Chapters 1 to 5: a head, and what answers it ---------------------------------------


def _asked(peer: Peer, request: bytes, *, dribble: bool = False) -> Answer | None:
    line = peer.dial()
    (line.dribble if dribble else line.send)(request)
    return line.answer(head_only=request.startswith(b"HEAD "))


def upgraded(request: bytes, *, dribble: bool = False) -> Play:
    """It is an upgrade like any other: 101, or 501 from a server that cannot yet (chapters 2 and 3)."""

    def run(peer: Peer) -> None:
        if peer.usual not in (101, 501):
            raise Skipped(f"an ordinary handshake gets {peer.usual or 'hung up on'}, so this one may too")
        answer = _asked(peer, request, dribble=dribble)
        if answer is None:
            raise Failed("the end of TCP", "101 Switching Protocols")
        if answer.status != 101 and not (answer.status == peer.usual == 501):
            raise Failed(str(answer), "101 Switching Protocols")

    return Play(
        in_words(request) + (" (byte by byte)" if dribble else ""), "101 (501, if that answers every handshake)", run
    )


def as_usual(request: bytes, *, last_alone: int = 0, refusing: bool = False) -> Play:
    """It is the ordinary handshake in a form that makes no difference, and is answered as that is.

    Args:
        last_alone: Bytes at its end that come in a packet of their own.
        refusing: Whether a status from 400 to 599, or the end of TCP, will do too.
    """
    also = ", or an error, or the end of TCP" if refusing else ""
    how = f" (the last {last_alone} bytes come later)" if last_alone else ""

    def run(peer: Peer) -> None:
        line = peer.dial()
        line.send_in_two(request, last_alone) if last_alone else line.send(request)
        answer = line.answer()
        status = answer.status if answer else 0
        if status != peer.usual and not (refusing and (not status or 400 <= status <= 599)):
            raise Failed(str(answer or "the end of TCP"), f"{peer.usual}, as for the ordinary handshake{also}")

    return Play(in_words(request) + how, f"the status of the ordinary handshake{also}", run)


def not_upgraded(request: bytes) -> Play:
    """Whatever it is, it is no upgrade: any answer but 101, or the end of TCP."""

    def run(peer: Peer) -> None:
        answer = _asked(peer, request)
        if answer is not None and answer.status == 101:
            raise Failed(str(answer), "any status but 101")

    return Play(in_words(request), "any status but 101, or the end of TCP", run)


def refused(request: bytes, *statuses: int, hanging_up: bool = False, most: int = 599) -> Play:
    """It is answered with an error.

    Args:
        statuses: One of these; none given: any from 400 to 599.
        hanging_up: Whether the end of TCP will do too.
    """
    wanted = " or ".join(map(str, statuses)) if statuses else "a status from 400 to 599"
    if hanging_up:
        wanted += ", or the end of TCP"

    def run(peer: Peer) -> None:
        answer = _asked(peer, request)
        if answer is None:
            if not hanging_up:
                raise Failed("the end of TCP, and no answer", wanted)
        elif answer.status not in (statuses or range(400, most + 1)):
            raise Failed(str(answer), wanted)

    return Play(in_words(request), wanted, run)


def answered(request: bytes, accepts: str, judge: Callable[[Peer, Answer], None], *, always: bool = False) -> Play:
    """If there is an answer, a function judges it: it raises Failed if it is not good.

    Args:
        always: Whether there must be one.
    """

    def run(peer: Peer) -> None:
        answer = _asked(peer, request)
        if answer is not None:
            judge(peer, answer)
        elif always:
            raise Failed("the end of TCP, and no answer", accepts)
        else:
            raise Skipped("it hung up, so there is no answer to look at")

    return Play(in_words(request), accepts, run)


def accepted(request: bytes, accepts: str, judge: Callable[[Peer, Answer], None]) -> Play:
    """It is answered with 101, and a function judges the answer."""

    def run(peer: Peer) -> None:
        line = peer.open(request)
        assert line.opening is not None
        judge(peer, line.opening)

    return Play(in_words(request), accepts, run, "open")


# -- Chapters 6 to 9: frames, on a connection that is open ----------------------------------


def echoes(
    wire: bytes, *messages: tuple[int, bytes], dribble: int = 0, past: tuple[int, ...] = (), needs: str = ""
) -> Play:
    """These bytes are messages, and the server sends them back.

    Args:
        messages: Opcode and payload of each, as they come back; a Pong may be among them.
        dribble: Bytes for each packet; 0: all at once.
        past: Opcodes to pass over: ``(PONG,)``.
        needs: "": "binary" if there are binary messages among them, else "echo".
    """
    needs = needs or ("binary" if any(opcode == BINARY for opcode, _ in messages) else "echo")

    def run(peer: Peer) -> None:
        line = peer.open()
        line.dribble(wire, dribble) if dribble else line.send(wire)
        for opcode, payload in messages:
            line.expect(opcode, payload, past=past)

    came = ", ".join(f"{OPCODE_NAMES[opcode]} of {len(payload)} bytes" for opcode, payload in messages)
    slowly = "" if not dribble else f" ({dribble} byte{'s' * (dribble > 1)} at a time)"
    return Play(in_words(wire) + slowly, f"back come: {came}", run, needs)


def pongs(wire: bytes, *payloads: bytes, past: tuple[int, ...] = ()) -> Play:
    """These bytes hold Pings, and Pongs answer them, in order."""

    def run(peer: Peer) -> None:
        line = peer.open()
        line.send(wire)
        for payload in payloads:
            line.expect(PONG, payload, past=past)

    came = ", ".join(f"{payload!r}" if len(payload) < 20 else f"{len(payload)} bytes" for payload in payloads)
    return Play(in_words(wire), f"PONG with {came}", run, "open")


#: Sent after what must fail the connection, where a Pong cannot be counted on yet (chapter 6).
ALIVE = text("still there?")


def fails(wire: bytes, *, by_echo: bool = False, request: bytes | None = None) -> Play:
    """These bytes break a rule, and the server fails the connection.  RFC 6455 §7.1.7.

    Args:
        by_echo: Look for life with a text message, where the server sends them back; else, and
            else always, with a Ping.
        request: The handshake; None: the usual one.
    """

    def run(peer: Peer) -> None:
        line = peer.open(request)
        line.send(wire)
        line.expect_failure(ALIVE if by_echo and peer.echo else None)

    return Play(in_words(wire), "Close, or the end of TCP: nothing else comes back", run, "open")


def works(peer: Peer, line: Line) -> None:
    """A message comes back on this connection; or, where none does, a Pong."""
    line.send(text("Hello") if peer.echo else frame(PING, b"Hello"))
    line.expect(TEXT if peer.echo else PONG, b"Hello")


def survives(harm: Callable[[Line], None], sends: str, *, needs: str = "open", alone: bool = False) -> Play:
    """Something happens on one connection, and the server is there for the next."""

    def run(peer: Peer) -> None:
        harmed = peer.open() if needs else peer.dial()
        harm(harmed)
        harmed.hang_up()
        line = peer.open() if needs else peer.dial()
        if needs:
            works(peer, line)

    return Play(sends, "the next connection works as ever", run, needs, alone)
