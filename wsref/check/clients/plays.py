"""The tables of cases about clients, and the plays of most cases."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ..case import Case, Play
from ..codec import BINARY, CLOSE, CONTINUATION, OPCODE_NAMES, PING, PONG, TEXT, Frame
from ..rule import Row, Rule, case_fields, with_rules
from ..session import Silence
from ..verdict import Failed, Level, Skipped
from .session import Client, ClientWire, as_server

MUST, SHOULD, INTEROP = Level


@dataclass(frozen=True)
class ClientCase(Case):
    """A case about clients.

    Attributes:
        opens: Whether the handshake of the case is an ordinary one.  Only such a case has a number for drivers of
            Autobahn: many of them end at a handshake that fails.
        echo: Whether the client must echo messages.
        deflate: Whether the client must offer permessage-deflate.
    """

    opens: bool = field(default=True, kw_only=True)
    echo: bool = field(default=False, kw_only=True)
    deflate: bool = field(default=False, kw_only=True)


@dataclass(frozen=True)
class ClientRule(Rule):
    """A rule for clients, whose cases get its flags: see :class:`ClientCase`."""

    opens: bool = field(default=True, kw_only=True)
    echo: bool = field(default=False, kw_only=True)
    deflate: bool = field(default=False, kw_only=True)


def client_cases_of(*rows: ClientRule | Row) -> tuple[ClientCase, ...]:
    """Return the cases of a table: a rule, then the rows that test it, then the next rule."""
    return tuple(
        ClientCase(*case_fields(rule, row), opens=rule.opens, echo=rule.echo, deflate=rule.deflate)
        for rule, row in with_rules(rows)
    )


def in_words(data: bytes, max_bytes: int = 32) -> str:
    """Return bytes in hex, shortened."""
    return data.hex(" ") if len(data) <= max_bytes else f"{data[:max_bytes].hex(' ')} … ({len(data)} bytes)"


# -- The opening handshake -----------------------------------------------------------------


def request(accepts: str, judge: Callable[[Client], str]) -> Play:
    """Judge the request, after an ordinary 101.

    Args:
        judge: Returns what is wrong, in words; "": nothing.
    """

    def run(client: Client) -> None:
        client.open()
        if wrong := judge(client):
            raise Failed(wrong, accepts)

    return Play("an ordinary 101", accepts, run)


def _changed(more: tuple[str, ...], how: Mapping[str, object]) -> str:
    words = [f"without {', '.join(value)}" if name == "without" else str(value) for name, value in how.items()]  # type: ignore[arg-type]
    words = [
        f"{name.replace('_', '-')}: {value}" if name[0].isupper() else word
        for (name, value), word in zip(how.items(), words, strict=True)
    ]
    return "; ".join([*words, *more])


def refuses(*more: str, made: Callable[[Client], bytes] | None = None, words: str = "", **how: object) -> Play:
    """Expect that the client does not accept this 101.

    Args:
        more, how: As for :meth:`~wsref.check.clients.session.Client.response`.
        made: Returns the response instead.
        words: The response in words.
    """

    def run(client: Client) -> None:
        client.wire.send(made(client) if made else client.response(*more, **how))  # type: ignore[arg-type]
        client.must_refuse()

    return Play(words or f"a 101 with: {_changed(more, how)}", "the end of TCP, and no frame", run)


def ignores_status(status: str, *more: str) -> Play:
    """Expect that the client opens no WebSocket for an answer with this status, although the rest is right."""

    def run(client: Client) -> None:
        head = client.response("Content-Length: 0", "Connection: close", *more, status_line=f"HTTP/1.1 {status}")
        client.wire.send(head)
        client.must_refuse(may_wait=True)

    return Play(f"HTTP/1.1 {status}, otherwise like a right 101", "no frame; the end of TCP, or another request", run)


def takes(
    *more: str,
    made: Callable[[Client], bytes] | None = None,
    words: str = "",
    packet_size: int = 0,
    **how: object,
) -> Play:
    """Expect that the client accepts this 101, and that the WebSocket works.

    Args:
        packet_size: Bytes in each packet; 0: send all bytes at once.
    """

    def run(client: Client) -> None:
        head = made(client) if made else client.response(*more, **how)  # type: ignore[arg-type]
        client.wire.send_in_packets(head, packet_size) if packet_size else client.wire.send(head)
        client.opened(head)
        try:
            client.works()
        except Silence:
            raise
        except Failed as failure:
            raise Failed(f"it does not accept the response: {failure.got}", "an open WebSocket") from None

    slowly = f" ({packet_size} byte{'s' * (packet_size > 1)} at a time)" if packet_size else ""
    return Play(
        (words or f"a 101 with: {_changed(more, how) or 'nothing special'}") + slowly, "the WebSocket works", run
    )


# -- Frames ------------------------------------------------------------------------------------


def fails(data: bytes, *, opening: tuple[str, ...] = ()) -> Play:
    """Expect that the client fails the connection for these bytes, which break a rule.  RFC 6455 §7.1.7.

    Args:
        opening: Header lines to add to the 101.
    """

    def run(client: Client) -> None:
        wire = client.open(*opening)
        wire.send(data)
        wire.expect_failure()

    return Play(in_words(data), "Close, or the end of TCP, and nothing else", run)


def fails_with(data: bytes, *codes: int) -> Play:
    """Expect the end of TCP, or a Close with one of these codes."""
    accepts = f"Close {' or '.join(map(str, codes))}, or the end of TCP"

    def run(client: Client) -> None:
        wire = client.open()
        wire.send(data)
        received = wire.expect_failure()
        if received is not None and received.code not in codes:
            wire.skip_if_its_own(received)
            raise Failed(str(received), accepts)

    return Play(in_words(data), accepts, run)


def echoes(data: bytes, *messages: tuple[int, bytes], packet_size: int = 0) -> Play:
    """Expect the messages in these bytes back.

    Args:
        messages: Opcode and payload of each message, in order.
        packet_size: Bytes in each packet; 0: send all bytes at once.
    """

    def run(client: Client) -> None:
        wire = client.open()
        wire.send_in_packets(data, packet_size) if packet_size else wire.send(data)
        for opcode, payload in messages:
            wire.expect(opcode, payload)

    received = ", ".join(f"{OPCODE_NAMES[opcode]} of {len(payload)} bytes" for opcode, payload in messages)
    slowly = f" ({packet_size} byte{'s' * (packet_size > 1)} at a time)" if packet_size else ""
    return Play(in_words(data) + slowly, f"these messages back: {received}", run)


def pongs(data: bytes, *payloads: bytes, packet_size: int = 0) -> Play:
    """Expect Pongs for the Pings in these bytes, in order, at least for the last one; messages are ignored.

    RFC 6455 §5.5.3 allows to answer only the last of several Pings.
    """

    def run(client: Client) -> None:
        wire = client.open()
        wire.send_in_packets(data, packet_size) if packet_size else wire.send(data)
        take_pongs(wire, payloads)

    received = ", ".join(f"{payload!r}" if len(payload) < 20 else f"{len(payload)} bytes" for payload in payloads)
    slowly = f" ({packet_size} byte{'s' * (packet_size > 1)} at a time)" if packet_size else ""
    return Play(in_words(data) + slowly, f"PONG with {received}", run)


def take_pongs(wire: ClientWire, payloads: tuple[bytes, ...], ignore: tuple[int, ...] = (TEXT, BINARY)) -> None:
    """Expect Pongs with these payloads, in order, at least the last one; ignore messages with these opcodes."""
    waiting, wanted = list(payloads), f"PONG with {payloads[-1][:40]!r}"
    deadline = wire.deadline_for()
    while waiting:
        try:
            received = wire.message(deadline)
        except Failed as failure:
            failure.expected = wanted
            raise
        if received.opcode == PONG and received.payload in waiting:
            del waiting[: waiting.index(received.payload) + 1]
        elif received.opcode not in ignore and not wire.answers_nothing(received):
            wire.skip_if_its_own(received)
            raise Failed(str(received), wanted)


def receive_close(wire: ClientWire) -> Frame:
    """Return the client's Close, and ignore messages before it.

    Raises:
        Failed: No Close arrived.
    """
    deadline = wire.deadline_for()
    for received in wire.frames(deadline):
        if received.opcode == CLOSE:
            return received
        if received.opcode not in (CONTINUATION, TEXT, BINARY, PONG):
            raise Failed(str(received), "Close")
    raise Failed("it ended TCP without a Close", "Close")


def ends_tcp(data: bytes) -> Play:
    """Expect that the client ends TCP after these bytes and the end of TCP."""

    def run(client: Client) -> None:
        wire = client.open()
        wire.send(data)
        wire.send_fin()
        if not wire.ended():
            raise Silence(f"it keeps TCP open for {wire.timeout:g} s after the server's end", "the end of TCP")

    return Play(f"{in_words(data)} and FIN" if data else "FIN", "the end of TCP", run)


def one_at_a_time(client: Client, number: int) -> list[bytes]:
    """Return the masking keys of the frames of some Pongs, each sent after a Ping.

    Raises:
        Skipped: The client answers no Ping, which other cases test.
    """
    wire = client.open()
    before = len(wire.masking_keys)
    for turn in range(number):
        payload = b"ping %d" % turn
        wire.send(as_server(PING, payload))
        try:
            take_pongs(wire, (payload,))
        except Failed as failure:
            raise Skipped(f"a Ping gets no Pong, so the keys are unknown: {failure.got}") from None
    return list(wire.masking_keys)[before:]
