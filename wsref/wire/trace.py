"""Every byte that passes, explained: for a terminal, for a file, for the page.

A *tap* (:data:`wsref.network.transport.Tap`) is told of bytes in both directions.  Here they go
to a :class:`wsref.wire.describe.Explainer` for each direction, and what it makes of them to
whoever wants to know.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TextIO

from ..network.transport import Tap, Tapped
from .describe import Explainer
from .picture import Description

#: Bytes of a frame that are shown in hex on a line.
SHOWN = 32


@dataclass(frozen=True, slots=True)
class Seen:
    """Something that passed: a head, a frame, or the end of TCP."""

    at: float  # seconds since 1970
    peer: str  # host:port
    sent: bool  # by us; else received
    by_server: bool  # else by the client
    data: bytes  # that completed it; b"" received: the peer has ended TCP
    descriptions: tuple[Description, ...]  # none: it is not complete yet


class Watcher:
    """A tap that explains both directions of one connection.

    Args:
        peer: ``host:port``, for the record.
        tell: Called for all bytes that pass, in the thread that sends or receives them, so
            it must not wait.
        we_are_the_server: Which end we are: clients mask.
    """

    def __init__(self, peer: str, tell: Callable[[Seen], None], *, we_are_the_server: bool = True) -> None:
        self._peer = peer
        self._tell = tell
        self._client = Explainer(masked=True, opening=True)
        self._server = Explainer(masked=False, opening=True)
        self._we_are_the_server = we_are_the_server

    def __call__(self, sent: bool, data: bytes, at: float | None = None) -> None:
        """Bytes passed."""
        by_server = sent is self._we_are_the_server
        explainer = self._server if by_server else self._client
        descriptions = explainer.feed(data)
        # Each side's handshake says what the other's bytes mean.
        if by_server:
            if any(description.kind == "response" for description in descriptions):
                self._client.deflate = self._server.deflate
        else:
            self._server.key = self._client.key
        self._tell(Seen(time.time() if at is None else at, self._peer, sent, by_server, data, tuple(descriptions)))

    def pending(self, *, sent: bool) -> Description | None:
        """What has begun in one direction and is not complete; None: nothing has."""
        return (self._server if sent is self._we_are_the_server else self._client).pending()


# -- On a terminal ------------------------------------------------------------------


def lines(seen: Seen, *, colour: bool = False) -> Iterator[str]:
    """What passed, a line for each thing and its first bytes below it; nothing if none is complete."""
    clock = datetime.fromtimestamp(seen.at).strftime("%H:%M:%S.%f")[:-3]
    arrow = "sent" if seen.sent else "got "
    begin = f"{clock} {seen.peer} {arrow} "
    if colour:
        begin = f"\x1b[2m{clock} {seen.peer}\x1b[0m \x1b[1m{arrow}\x1b[0m "
    if not seen.data and not seen.sent:
        yield begin + "the end of TCP"
    for description in seen.descriptions:
        line = description.one_line
        yield begin + (f"\x1b[31m{line}\x1b[0m" if colour and description.problems else line)
        for below in _below(description):
            yield f"    \x1b[2m{below}\x1b[0m" if colour else f"    {below}"


def _below(description: Description) -> Iterator[str]:
    """A head's lines; a frame's bytes, its header, its payload as it came, and unmasked."""
    if description.kind != "frame":
        for field in description.fields:
            yield f"{field.name}: {field.value}"
        return
    payload = description.payload
    yield f"header  {description.raw.hex(' ')}"
    if payload is not None and payload.here:
        more = f" ... ({payload.here} bytes)" if payload.here > SHOWN else ""
        yield f"payload {payload.wire[:SHOWN].hex(' ')}{more}"
        if payload.masking_key:
            yield f"     is {payload.plain[:SHOWN].hex(' ')}{more}"


class Printer:
    """Prints what passes on all connections, one thing at a time.

    Args:
        stream: Where to.
        colour: Whether it is a terminal that likes colour.
    """

    def __init__(self, stream: TextIO, *, colour: bool = False) -> None:
        self._stream = stream
        self._colour = colour
        self._lock = threading.Lock()

    def tell(self, seen: Seen) -> None:
        """Something passed."""
        text = "".join(line + "\n" for line in lines(seen, colour=self._colour))
        if text:
            with self._lock:
                self._stream.write(text)
                self._stream.flush()

    def tap(self, transport: Tapped, peer: str) -> Tap:
        """For :class:`~wsref.network.server.WebSocketServer`."""
        return Watcher(peer, self.tell)

    def client_tap(self, peer: str) -> Tap:
        """For :func:`wsref.network.client.connect`."""
        return Watcher(peer, self.tell, we_are_the_server=False)


# -- In a file -----------------------------------------------------------------------


class Recorder(Printer):
    """Writes what passes on all connections as JSON, one object a line."""

    def tell(self, seen: Seen) -> None:
        """Something passed."""
        record = {
            "at": round(seen.at, 6),
            "peer": seen.peer,
            "sent": seen.sent,
            "by_server": seen.by_server,
            "data": seen.data.hex(),
            "what": [description.one_line for description in seen.descriptions],
        }
        with self._lock:
            self._stream.write(json.dumps(record) + "\n")
            self._stream.flush()


def replay(records: Iterable[str]) -> Iterator[Seen]:
    """What a :class:`Recorder` has written, explained again.

    Raises:
        ValueError: a line is no such record; says which.
    """
    watchers: dict[str, Watcher] = {}
    seen: list[Seen] = []
    for number, line in enumerate(records, 1):
        try:
            record = json.loads(line)
            peer, sent, at = str(record["peer"]), bool(record["sent"]), float(record["at"])
            data = bytes.fromhex(record["data"])
            we_are_the_server = bool(record["by_server"]) is sent
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"line {number} is no record of --trace: {error}") from None
        watcher = watchers.setdefault(peer, Watcher(peer, seen.append, we_are_the_server=we_are_the_server))
        watcher(sent, data, at)
        yield from seen
        seen.clear()
