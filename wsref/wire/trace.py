"""The trace of a connection: its bytes in both directions, explained on a terminal or recorded in a file.

A *tap* (:data:`wsref.network.tap.Tap`) is called with all bytes of a connection.  A
:class:`TraceTap` gives them to an :class:`~wsref.wire.describe.Explainer` for each direction, and
makes :class:`Record` of them.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TextIO

from ..network.tap import Tap, Tapped
from .colours import COLOURS
from .describe import Explainer, recognise
from .description import Description
from .words import quote_unicode

logger = logging.getLogger("wsref")

#: Bytes of a frame that a line shows in hex.
MAX_HEX = 32

#: Characters of ``host:port`` that a line shows.
MAX_PEER = 80


@dataclass(frozen=True, slots=True)
class Record:
    """Bytes that were sent or received at once, and the heads and frames that they complete."""

    at: float  # seconds since 1970
    peer: str  # host:port
    sent: bool  # by us; else received
    by_server: bool  # else by the client
    data: bytes
    descriptions: tuple[Description, ...]  # empty: the bytes complete nothing; without bytes: what stays incomplete
    is_end: bool = False  # the peer ended TCP


class TraceTap:
    """A tap that explains both directions of one connection.

    Args:
        peer: ``host:port``, for the records.
        on_record: Called with each record, in the thread that sends or receives the bytes:
            it must not block.
        is_server: Whether our end is the server; clients mask.
    """

    def __init__(self, peer: str, on_record: Callable[[Record], None], *, is_server: bool = True) -> None:
        self._peer = peer
        self._on_record = on_record
        self._client = Explainer(masked=True, opening=True)
        self._server = Explainer(masked=False, opening=True)
        self._is_server = is_server
        self._is_over = False  # the peer ended TCP

    def __call__(self, sent: bool, data: bytes, at: float | None = None) -> None:
        """Explain bytes.

        Args:
            sent: By us; else received.
            data: Bytes; received b"" is the end of TCP.
            at: Seconds since 1970; None: now.
        """
        by_server = sent is self._is_server
        explainer = self._server if by_server else self._client
        descriptions = explainer.feed(data)
        # Each handshake says how to read the bytes of the other side.
        if by_server:
            if any(description.kind == "response" for description in descriptions):
                self._client.deflate = self._server.deflate
        else:
            self._server.key = self._client.key
        is_end = not data and not sent
        if is_end and (rest := self.pending(sent=False)) is not None:
            descriptions = [rest]
        self._is_over = self._is_over or is_end
        at = time.time() if at is None else at
        self._on_record(Record(at, self._peer, sent, by_server, data, tuple(descriptions), is_end))

    def pending(self, *, sent: bool) -> Description | None:
        """Return the incomplete head or frame of one direction.

        None: nothing is incomplete; or the peer ended TCP, and the record of that has it.
        """
        if self._is_over and not sent:
            return None
        return (self._server if sent is self._is_server else self._client).pending()

    def unfinished(self, at: float) -> Iterator[Record]:
        """Yield a record for each direction in which a head or frame is incomplete; ``at``: seconds since 1970."""
        for sent in (True, False):
            if (rest := self.pending(sent=sent)) is not None:
                yield Record(at, self._peer, sent, sent is self._is_server, b"", (rest,))


# -- On a terminal ------------------------------------------------------------------


def trace_lines(record: Record, *, colour: bool = False) -> Iterator[str]:
    """Yield a line for each head or frame, and below it its bytes, indented by four blanks."""
    clock = datetime.fromtimestamp(record.at).strftime("%H:%M:%S.%f")[:-3]
    verb = "sent" if record.sent else "got "
    plain = record.peer.isascii() and record.peer.isprintable() and len(record.peer) <= MAX_PEER
    peer = record.peer if plain else quote_unicode(record.peer, MAX_PEER)
    begin = f"{clock} {peer} {verb} "
    if colour:
        begin = f"\x1b[2m{clock} {peer}\x1b[0m \x1b[{_SENT if record.sent else _GOT}m{verb}\x1b[0m "
    for description in record.descriptions:
        line = description.one_line
        yield begin + (f"\x1b[31m{line}\x1b[0m" if colour and description.problems else line)
        for label, pieces in _details(description):
            octets = " ".join(_painted(text, kind) if colour else text for kind, text in pieces if text)
            yield f"    {label} {octets}"
    if record.is_end:
        yield begin + "the end of TCP"


#: How a terminal writes the two directions: bold and blue, bold.
_GOT, _SENT = "1;34", "1"


def _painted(text: str, kind: str) -> str:
    return f"\x1b[{COLOURS[kind].ansi}m{text}\x1b[0m" if kind else text


def _details(description: Description) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yield the lines of a head; or the header of a frame, and its payload as received and unmasked.

    A line is a label, and pieces: a key of :data:`COLOURS` or "", and the text.
    """
    if description.kind != "frame":
        for field in description.fields:
            yield f"{field.name}:", [("", field.value)]
        return
    payload = description.payload
    key = payload.masking_key if payload is not None else b""
    header = description.raw.removesuffix(key)
    kinds = (("opcode", header[:1]), ("length", header[1:]), ("mask", key))
    yield "header ", [(kind, octets.hex(" ")) for kind, octets in kinds]
    if payload is not None and payload.received:
        more = f"... ({payload.received} bytes)" if payload.received > MAX_HEX else ""
        yield "payload", [("payload", payload.wire[:MAX_HEX].hex(" ")), ("", more)]
        if payload.masking_key:
            yield "     is", [("payload", payload.plain[:MAX_HEX].hex(" ")), ("", more)]


class Printer:
    """Prints the records of all connections, one at a time.

    Args:
        stream: To print to.
        colour: With ANSI colours.
    """

    def __init__(self, stream: TextIO, *, colour: bool = False) -> None:
        self._stream = stream
        self._colour = colour
        self._lock = threading.Lock()
        self._is_over = False

    def on_record(self, record: Record) -> None:
        """Print a record."""
        self._write("".join(line + "\n" for line in trace_lines(record, colour=self._colour)))

    def _write(self, text: str) -> None:
        if not text:
            return
        with self._lock:
            if self._is_over:
                return
            try:
                self._stream.write(text)
                self._stream.flush()
            except OSError as error:  # a full disk, a reader that has ended
                self._is_over = True
                name = quote_unicode(str(getattr(self._stream, "name", "the stream")), MAX_PEER)
                logger.error("the trace ends here: cannot write to %s: %s", name, error.strerror)

    def tap(self, transport: Tapped, peer: str) -> Tap:
        """The ``tap`` of a :class:`~wsref.network.server.WebSocketServer`."""
        return TraceTap(peer, self.on_record)

    def client_tap(self, peer: str) -> Tap:
        """Return the ``tap`` for :func:`wsref.network.client.connect`."""
        return TraceTap(peer, self.on_record, is_server=False)


# -- In a file -----------------------------------------------------------------------


class Recorder(Printer):
    """Writes the records of all connections as JSON, one object a line."""

    def on_record(self, record: Record) -> None:
        """Write a record."""
        row = {
            "at": round(record.at, 6),
            "peer": record.peer,
            "sent": record.sent,
            "by_server": record.by_server,
            "data": record.data.hex(),
            "what": [description.one_line for description in record.descriptions],
        }
        self._write(json.dumps(row) + "\n")


def replay(rows: Iterable[str]) -> Iterator[Record]:
    """Read the lines that a :class:`Recorder` wrote, and explain their bytes again.

    Raises:
        ValueError: A line is not a record; the message names the line.
    """
    taps: dict[str, TraceTap] = {}
    ended: set[str] = set()
    records: list[Record] = []
    for number, line in enumerate(_lines(rows), 1):
        try:
            peer, sent, by_server, at, data = _record(line)
        except (ValueError, KeyError, TypeError, OverflowError, OSError, RecursionError) as error:
            words = f"it has no {error}" if isinstance(error, KeyError) else f"{error}" or type(error).__name__
            raise ValueError(f"line {number} is not a record of --trace: {words}") from None
        if not by_server and peer in taps:
            # The port may be used again.  A connection that was reset has no recorded end.
            begins = recognise(data) == "request" and taps[peer].pending(sent=sent) is None
            if begins or peer in ended:
                yield from taps.pop(peer).unfinished(at)
                ended.discard(peer)
        tap = taps.setdefault(peer, TraceTap(peer, records.append, is_server=by_server is sent))
        tap(sent, data, at)
        if not data and not by_server:
            ended.add(peer)
        yield from records
        records.clear()
    for tap in taps.values():
        yield from tap.unfinished(at)


def _lines(rows: Iterable[str]) -> Iterator[str]:
    """Yield lines, with an error that names the first one that is not text."""
    number = 1
    try:
        for row in rows:
            yield row
            number += 1
    except UnicodeDecodeError:
        raise ValueError(f"line {number} is not a record of --trace: not UTF-8") from None


def _record(line: str) -> tuple[str, bool, bool, float, bytes]:
    """Read a line that a :class:`Recorder` wrote."""
    if not line.strip():
        raise ValueError("it is empty")
    row = json.loads(line)
    if not isinstance(row, dict):
        raise TypeError("not a JSON object")
    for name, kinds in (("peer", str), ("sent", bool), ("by_server", bool), ("at", (int, float)), ("data", str)):
        if not isinstance(row[name], kinds) or (name == "at" and isinstance(row[name], bool)):
            raise TypeError(f"{name} is of type {type(row[name]).__name__}")
    at = float(row["at"])
    datetime.fromtimestamp(at)  # else a time that no calendar has fails later
    return row["peer"], row["sent"], row["by_server"], at, bytes.fromhex(row["data"])
