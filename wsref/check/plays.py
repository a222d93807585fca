"""The plays of most cases: each function sends something in one way and judges the answer.

Each function returns a :class:`~wsref.check.case.Play`, which also describes itself in words.
The other cases use a function in the module of their chapter.
"""

from __future__ import annotations

from collections.abc import Callable

from .case import Needs, Play
from .codec import BINARY, OPCODE_NAMES, PING, PONG, TEXT, Answer, frame, text
from .session import Peer, Silence, Wire
from .verdict import Failed, Skipped


def in_words(data: bytes, max_bytes: int = 48) -> str:
    r"""Return bytes in readable form: a head as lines, frames in hex.

    >>> in_words(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    'GET / HTTP/1.1 ⏎ Host: a'
    >>> in_words(bytes.fromhex("8180 37fa213d"))
    '81 80 37 fa 21 3d'
    """
    head, blank, _ = data.partition(b"\r\n\r\n")
    if blank and head.lstrip(b"\r\n")[:1].isalpha():
        lines = ascii(head.decode("latin-1"))[1:-1].replace("\\r\\n", " ⏎ ")
        return lines if len(lines) <= 400 else f"{lines[:400]} … ({len(data)} bytes)"
    return data.hex(" ") if len(data) <= max_bytes else f"{data[:max_bytes].hex(' ')} … ({len(data)} bytes)"


# -- Chapters 1 to 5: a request and its answer ---------------------------------------


def ask(peer: Peer, request: bytes, *, byte_by_byte: bool = False, fin: bool = False) -> Answer | None:
    """Return the answer to a request on a new connection; None: the server ended TCP.

    Args:
        fin: Whether to send FIN after the request.
    """
    wire = peer.connect()
    (wire.send_in_packets if byte_by_byte else wire.send)(request)
    if fin:
        wire.send_fin()
    return wire.answer(head_only=request.startswith(b"HEAD "))


def upgraded(request: bytes, *, byte_by_byte: bool = False) -> Play:
    """Expect 101 for this upgrade, or 501 if the server answers every handshake so (chapters 2 and 3)."""

    def run(peer: Peer) -> None:
        if peer.baseline_status not in (101, 501):
            raise Skipped(f"an ordinary handshake gets {peer.baseline_status or 'no answer'}, so this one may too")
        answer = ask(peer, request, byte_by_byte=byte_by_byte)
        if answer is None:
            raise Failed("the end of TCP", "101 Switching Protocols")
        if answer.status != 101 and not (answer.status == peer.baseline_status == 501):
            raise Failed(str(answer), "101 Switching Protocols")

    return Play(
        in_words(request) + (" (byte by byte)" if byte_by_byte else ""), "101; or 501, if every handshake gets 501", run
    )


def like_baseline(request: bytes, *, last_packet_size: int = 0, or_refusal: bool = False) -> Play:
    """Expect the answer of the ordinary handshake for this equivalent form of it.

    Args:
        last_packet_size: Bytes at the end of the request to send in a separate packet; 0: one packet.
        or_refusal: Also accept a status from 400 to 599, and the end of TCP.
    """
    also = ", or an error, or the end of TCP" if or_refusal else ""
    how = f" (the last {last_packet_size} bytes in a later packet)" if last_packet_size else ""

    def run(peer: Peer) -> None:
        wire = peer.connect()
        wire.send_in_two(request, last_packet_size) if last_packet_size else wire.send(request)
        answer = wire.answer()
        status = answer.status if answer else 0
        if status != peer.baseline_status and not (or_refusal and (not status or 400 <= status <= 599)):
            raise Failed(
                str(answer or "the end of TCP"), f"{peer.baseline_status}, as for the ordinary handshake{also}"
            )

    return Play(in_words(request) + how, f"the status of the ordinary handshake{also}", run)


def not_upgraded(request: bytes, *, in_time: bool = False) -> Play:
    """Expect any answer but a 101 to a WebSocket.

    The end of TCP is legal, and so is silence: the quoted rules forbid to upgrade, and ask for no answer.
    3.refusal.answered asks for one.

    Args:
        in_time: Fail if the server does nothing before the deadline.
    """

    def run(peer: Peer) -> None:
        try:
            answer = ask(peer, request)
        except Silence:
            if in_time or peer.wires[-1].received():
                raise
            return
        if answer is not None and answer.status == 101 and answer.is_websocket:
            raise Failed(str(answer), "any answer but a 101 to a WebSocket")
        must_differ(peer, answer)

    accepts = "any status but 101 to a WebSocket, or the end of TCP" if in_time else "anything but a 101 to a WebSocket"
    return Play(in_words(request), accepts, run)


def must_differ(peer: Peer, answer: Answer | None) -> None:
    """Skip the case if a good handshake gets the same refusal, so that this one proves nothing.

    RFC 9110 §7.8: "A server MAY ignore a received Upgrade header field if it wishes to continue using the
    current protocol on that connection."
    """
    status = answer.status if answer else 0
    if peer.baseline_status != 101 and status == peer.baseline_status:
        raise Skipped(f"a good handshake gets {status or 'the end of TCP'} too")


def refused(request: bytes, *, or_eof: bool = False, any_status: bool = False) -> Play:
    """Expect an error as the answer, a status from 400 to 599.

    Args:
        or_eof: Also accept the end of TCP.
        any_status: Accept any status.
    """
    wanted = ("an answer in HTTP" if any_status else "a status from 400 to 599") + ", or the end of TCP" * or_eof

    def run(peer: Peer) -> None:
        answer = ask(peer, request)
        if answer is None:
            if not or_eof:
                raise Failed("the end of TCP without an answer", wanted)
        elif not any_status and not 400 <= answer.status <= 599:
            raise Failed(str(answer), wanted)

    return Play(in_words(request), wanted, run)


def answered(request: bytes, accepts: str, judge: Callable[[Peer, Answer], None]) -> Play:
    """Judge the answer with a function that raises Failed if the answer is wrong; without an answer, skip the case."""

    def run(peer: Peer) -> None:
        if (answer := ask(peer, request)) is None:
            raise Skipped("the server closed the connection without an answer")
        judge(peer, answer)

    return Play(in_words(request), accepts, run)


def accepted(request: bytes, accepts: str, judge: Callable[[Peer, Answer], None], *, or_refusal: bool = False) -> Play:
    """Expect 101, and judge the answer with a function.

    Args:
        or_refusal: Also accept any other answer: the server may refuse what this handshake offers.
    """

    def run(peer: Peer) -> None:
        answer = ask(peer, request) if or_refusal else peer.open(request).opening
        if answer is not None and answer.status == 101:
            judge(peer, answer)

    return Play(in_words(request), accepts + "; or a refusal" * or_refusal, run, Needs.OPEN)


# -- Chapters 6 to 9: frames on an open connection ----------------------------------


def echoes(
    data: bytes,
    *messages: tuple[int, bytes],
    packet_size: int = 0,
    needs: Needs | None = None,
    sends: str = "",
    accepts: str = "",
) -> Play:
    """Expect the messages in these bytes back.

    Args:
        messages: Opcode and payload of each message, in order; Pongs are allowed.
        packet_size: Bytes in each packet; 0: send all bytes at once.
        needs: As for a case; None: BINARY_ECHO if a message is binary, otherwise ECHO.
        sends: As for a case; "": the bytes.
        accepts: As for a case; "": the messages.
    """
    if needs is None:
        needs = Needs.BINARY_ECHO if any(opcode == BINARY for opcode, _ in messages) else Needs.ECHO
    slowly = "" if not packet_size else f" ({packet_size} byte{'s' * (packet_size > 1)} at a time)"
    received = ", ".join(f"{OPCODE_NAMES[opcode]} of {len(payload)} bytes" for opcode, payload in messages)
    return dialogue(
        sends or in_words(data) + slowly,
        accepts or f"these messages back: {received}",
        data,
        *messages,
        packet_size=packet_size,
        needs=needs,
    )


def dialogue(
    sends: str, accepts: str, *steps: bytes | tuple[int, bytes], packet_size: int = 0, needs: Needs = Needs.ECHO
) -> Play:
    """Send and expect in turn, on one connection.

    Args:
        steps: Bytes to send, or the opcode and payload of an expected message.
        packet_size: Bytes in each packet; 0: send the bytes of a step at once.
    """

    def run(peer: Peer) -> None:
        wire = peer.open()
        for step in steps:
            if isinstance(step, tuple):
                wire.expect(*step)
            elif packet_size:
                wire.send_in_packets(step, packet_size)
            else:
                wire.send(step)

    return Play(sends, accepts, run, needs)


def reaction(
    data: bytes,
    accepts: str,
    judge: Callable[[Wire], object],
    *,
    sends: str = "",
    packet_size: int = 0,
    needs: Needs = Needs.OPEN,
) -> Play:
    """Send these bytes on a new connection, and judge what happens with a function that raises Failed.

    Args:
        packet_size: Bytes in each packet; 0: send all bytes at once.
        sends: As for a case; "": the bytes.
    """

    def run(peer: Peer) -> None:
        wire = peer.open()
        if packet_size:
            wire.send_in_packets(data, packet_size)
        elif data:
            wire.send(data)
        judge(wire)

    return Play(sends or in_words(data), accepts, run, needs)


#: Text that probes whether a connection is still open, for servers that do not answer Pings yet (chapter 6).
LIVENESS_TEXT = text("still there?")


def fails(
    data: bytes,
    *,
    before: tuple[tuple[int, bytes], ...] = (),
    probe_with_text: bool = False,
    sends: str = "",
    alone: bool = False,
) -> Play:
    """Expect that the server fails the connection for these bytes, which break a rule.  RFC 6455 §7.1.7.

    Args:
        before: The valid messages before the invalid frame, to which answers are legal.
        probe_with_text: Probe the connection with a text message if the server echoes; otherwise, with a Ping.
        sends: As for a case; "": the bytes.
        alone: As for a case.
    """

    def run(peer: Peer) -> None:
        wire = peer.open()
        wire.send(data)
        wire.expect_failure(LIVENESS_TEXT if probe_with_text and peer.echo else None, before)

    return Play(sends or in_words(data), "Close, or the end of TCP, and nothing else", run, Needs.OPEN, alone)


def works(peer: Peer, wire: Wire) -> None:
    """Check that this connection works: an echo server echoes a message, another server answers a Ping."""
    wire.send(text("Hello") if peer.echo else frame(PING, b"Hello"))
    wire.expect(TEXT if peer.echo else PONG, b"Hello")


def survives(
    sends: str,
    harm: Callable[[Peer], None],
    *,
    accepts: str = "the next connection works",
    times: int = 1,
    needs: Needs = Needs.OPEN,
    alone: bool = False,
) -> Play:
    """Expect that the server works for the next client after something happens on other connections.

    Args:
        times: How often; a crash may come later.
    """

    def run(peer: Peer) -> None:
        for _ in range(times):
            harm(peer)
            peer.close()  # a server of one client at a time waits for the end
            works(peer, peer.open())
            peer.close()

    return Play(sends, accepts, run, needs, alone)
