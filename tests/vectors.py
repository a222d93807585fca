"""What the tests of the sans-I/O modules share: bytes in every cut, and the events of a connection.

The frames come from framing.py, which shares no code with wsref.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from framing import KEY, ZERO, close, frame, more, text, unframe, xor
from hypothesis import settings

from wsref.protocol.connection import Closed, Connection, Event
from wsref.protocol.limits import Limits
from wsref.protocol.spec import Role

__all__ = [
    "KEY",
    "ZERO",
    "all_splits",
    "close",
    "events_of",
    "every_way",
    "failure",
    "frame",
    "more",
    "outcome",
    "plain",
    "prop",
    "take",
    "text",
    "unframe",
    "xor",
]

#: How a property is tested: see ``pytest_configure`` in conftest.py.
prop = settings()


# -- Every way in which bytes may come ------------------------------------------


def all_splits(data: bytes, most: int = 80) -> Iterator[list[bytes]]:
    """``data`` whole, byte by byte, in all pairs of pieces (if it is short), in threes and sevens."""
    yield [data]
    yield [data[i : i + 1] for i in range(len(data))]
    step = 1 if len(data) <= most else len(data) // most
    for i in range(1, len(data), step):
        yield [data[:i], data[i:]]
    for size in (3, 7):
        yield [data[i : i + size] for i in range(0, len(data), size)]


def every_way(feed: Callable[[Sequence[bytes]], Any], data: bytes, tail: bytes = b"") -> Any:
    """What ``feed`` makes of ``data``, which must not depend on how it is cut, nor on a tail that follows."""
    whole = feed([data])
    for pieces in all_splits(data):
        assert feed(pieces) == whole, f"cut into {[len(piece) for piece in pieces]} it is another"
    if tail:
        assert feed([data + tail]) == whole, "a tail has changed it"
    return whole


# -- Connections -----------------------------------------------------------------


def plain(event: Event) -> tuple[Any, ...]:
    """An event as a tuple that can be compared: exceptions by their text, replies unmasked."""
    reply = unframe(event.reply)
    if isinstance(event, Closed):
        error = event.error and (event.error.code, event.error.section, str(event.error))
        return (
            "Closed",
            event.code,
            event.reason,
            event.sent_code,
            event.was_clean,
            event.initiated_locally,
            error,
            reply,
        )
    return (type(event).__name__, type(event.data).__name__, event.data, reply)


def take(connection: Connection) -> list[Event]:
    """All events that are there."""
    events = []
    while (event := connection.next_event()) is not None:
        events.append(event)
    return events


def events_of(
    pieces: Sequence[bytes], role: Role = Role.SERVER, limits: Limits = Limits(), end: bool = False
) -> list[tuple[Any, ...]]:
    """The events of a new connection to which these pieces come, plain."""
    connection = Connection(role, limits)
    events = []
    for piece in filter(None, pieces):  # (b"" would say that TCP has ended)
        connection.receive(piece)
        events += take(connection)
    if end:
        connection.receive(b"")
        events += take(connection)
    return [plain(event) for event in events]


def outcome(data: bytes, role: Role = Role.SERVER, limits: Limits = Limits()) -> list[tuple[Any, ...]]:
    """The events of these bytes, in whichever pieces they come, and with half a frame behind them."""
    tail = b"\x8a"  # the first byte of a Pong: no event yet
    return every_way(lambda pieces: events_of(pieces, role, limits), data, tail)


def failure(data: bytes, role: Role = Role.SERVER, limits: Limits = Limits()) -> int:
    """The close code with which the connection fails at the end of these bytes; the reply must say so too."""
    *before, last = outcome(data, role, limits)
    assert last[0] == "Closed", f"it did not fail: {last}"
    assert not any(event[0] == "Closed" for event in before)
    _, code, reason, sent, clean, by_us, error, reply = last
    assert (code, reason, clean, by_us) == (1006, "", False, True)
    assert error is not None, f"closed, but without an error: {last}"
    ((first, payload),) = reply
    assert first == 0x88
    assert len(payload) <= 125
    assert int.from_bytes(payload[:2], "big") == sent == error[0]
    assert payload[2:].decode(), "the Close says why"
    return int(sent)


def fragmented(sender, message, size, **options):
    """The frames of a message in fragments of this size; None: of one frame."""
    if size is None:
        return sender.send(message, **options)
    pieces = [message[i : i + size] for i in range(0, len(message) or 1, size)]
    return b"".join(sender.send_fragments(pieces, **options))
