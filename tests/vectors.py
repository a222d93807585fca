"""What the tests of the sans-I/O floors share.

The builders here are written from RFC 6455 §5.2 with plain loops, and use nothing of
``wsref.protocol.frames``: an oracle that shares code with what it judges would agree with its bugs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from hypothesis import settings

from wsref.protocol.connection import Closed, Connection, Event
from wsref.protocol.limits import Limits
from wsref.protocol.spec import Role

KEY = bytes.fromhex("37fa213d")  # the masking key of §5.7
ZERO = bytes(4)  # a masking key too: payload in the clear, and quick to build

#: How a property is tested: the same examples on each run, and few enough for a slow machine.
prop = settings(deadline=None, derandomize=True, max_examples=150)


def xor(payload: bytes, key: bytes) -> bytes:
    """§5.3, as it is written there."""
    return bytes(octet ^ key[i % 4] for i, octet in enumerate(payload))


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, key: bytes = KEY, form: int | None = None
) -> bytes:
    """A frame; ``key=b""`` for one from a server; ``form``: 7, 16 or 64 bits for the length, however short it is."""
    size = len(payload)
    if form is None:
        form = 7 if size < 126 else 16 if size < 65536 else 64
    mask = 0x80 if key else 0
    head = bytes([(0x80 if fin else 0) | rsv | opcode])
    if form == 7:
        head += bytes([mask | size])
    elif form == 16:
        head += bytes([mask | 126, size >> 8, size & 255])
    else:
        head += bytes([mask | 127]) + bytes((size >> shift) & 255 for shift in range(56, -1, -8))
    if not key:
        return head + payload
    return head + key + (payload if key == ZERO else xor(payload, key))


def text(words: str | bytes, *, fin: bool = True, key: bytes = KEY) -> bytes:
    """A text frame."""
    return frame(1, words.encode() if isinstance(words, str) else words, fin=fin, key=key)


def more(words: str | bytes, *, fin: bool = True, key: bytes = KEY) -> bytes:
    """A continuation frame."""
    return frame(0, words.encode() if isinstance(words, str) else words, fin=fin, key=key)


def close(code: int | None = 1000, reason: str | bytes = b"", *, key: bytes = KEY) -> bytes:
    """A Close frame."""
    reason = reason.encode() if isinstance(reason, str) else reason
    return frame(8, (b"" if code is None else bytes([code >> 8, code & 255])) + reason, key=key)


def unframe(wire: bytes) -> list[tuple[int, bytes]]:
    """``[(first byte, payload), ...]`` of whole frames, masked or not; nothing may be left over."""
    found, at = [], 0
    while at < len(wire):
        first, second = wire[at], wire[at + 1]
        size, at = second & 127, at + 2
        if size >= 126:
            width = 2 if size == 126 else 8
            size, at = int.from_bytes(wire[at : at + width], "big"), at + width
        key = wire[at : at + 4] if second & 128 else b""
        at += len(key)
        payload = wire[at : at + size]
        assert len(payload) == size, "half a frame"
        found.append((first, xor(payload, key) if key else payload))
        at += size
    return found


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
        return ("Closed", event.code, event.reason, event.sent, event.clean, event.by_us, error, reply)
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
