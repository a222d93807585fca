r"""Chapter 9: permessage-deflate: negotiate, one message in, one message out.

RFC 7692.  A message's payload may be compressed by DEFLATE (RFC 1951), which the
standard library's ``zlib`` does.  What is left for us is what RFC 7692 adds:

*RSV1.*  Which messages are compressed is said in each: RSV1 is set on the first frame
of those that are.  So a sender may choose anew for every message, and a receiver must
look.  It belongs to the message, so it stands on its first frame only, never on a
continuation, and never on a control frame: those must be readable at once, by everyone.

*The tail.*  DEFLATE output is a stream of bits, and a message must end on a byte.
``Z_SYNC_FLUSH`` sees to it: it adds an empty stored block, whose five bytes are ``00 00 00
ff ff`` (or four, after the three bits of its header found room in the byte before).  As
that is always so, the last four are not sent (§7.2.1), and the receiver puts them
back (§7.2.2)::

    >>> import zlib
    >>> deflater = zlib.compressobj(wbits=-15)
    >>> (deflater.compress(b"Hello") + deflater.flush(zlib.Z_SYNC_FLUSH)).hex(" ")
    'f2 48 cd c9 c9 07 00 00 00 ff ff'

and ``f2 48 cd c9 c9 07 00`` is what RFC 7692 §7.2.3.1 sends.

*Context takeover.*  DEFLATE replaces what it has seen before by a reference to it.  If
the window of what was seen lives on from message to message, the second "Hello" is
shorter than the first (§7.2.3.2)::

    >>> (deflater.compress(b"Hello") + deflater.flush(zlib.Z_SYNC_FLUSH)).hex(" ")
    'f2 00 11 00 00 00 00 ff ff'

That is where the gain is when messages are small and alike: 2,000 lines of chat-like text,
45 bytes each on average, shrink to 47 % of their size with it, and to 93 % without (to 42 %
with the largest window; ``tests/test_deflate.py`` makes the lines and measures).  The price is memory for
each connection, for as long as it lives; so each side may ask for less of it: a smaller
window (``..._max_window_bits``), or none that outlives a message
(``..._no_context_takeover``).

*A danger.*  Who can make us send text of his choice beside a secret, and sees how long
the result is, can guess the secret letter by letter (CRIME, BREACH; §8).  Send secrets
with ``compress=False``.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass

from .errors import ProtocolError, too_long
from .spec import CloseCode, Role

#: §7: the name of the extension.
NAME = "permessage-deflate"

#: §7.2.1: what ends every flushed message, and is therefore not sent.
TAIL = bytes.fromhex("0000ffff")

#: Bytes.  Input is inflated in slices: zlib copies what it has not used yet, and a
#: slice bounds what a peer can make us copy again and again.
SLICE = 16 * 1024

#: Bytes.  And in pieces of at most this much output, whatever the ratio.
PIECE = 64 * 1024

#: A parameter of an offer or a response: its name, and its value if it has one.
Parameter = tuple[str, str | None]


@dataclass(frozen=True, slots=True)
class Compression:
    """What we would like: how much memory and effort compression may cost.

    The defaults are those of the ``websockets`` package: a connection that has sent and
    received compressed messages keeps 50 KiB for it (36 of them for sending); with zlib's
    own defaults, 15 and 8, it would be 248 KiB (207), and its messages a tenth smaller.
    (Resident memory of 300 such pairs, divided.)  One that has not keeps nothing.

    Args:
        window_bits: 9 to 15.  What was sent in the last 2**window_bits bytes can be
            referred to.  Asked of the peer too, where it lets us ask.
        memory_level: 1 to 9, zlib's memLevel.
        level: 0 to 9, zlib's level: the effort.
        context_takeover: Whether windows outlive a message, in both directions.
        threshold: Bytes.  Shorter messages are sent as they are.  64 bytes of chat-like
            text become 29, for 5.3 µs, which is more than all the rest of sending takes;
            16 bytes become 10, for 2.7 µs; and TCP/IP's headers are 40 bytes in any case.
    """

    window_bits: int = 12
    memory_level: int = 5
    level: int = 6
    context_takeover: bool = True
    threshold: int = 64

    def __post_init__(self) -> None:
        for name, least, most in (("window_bits", 9, 15), ("memory_level", 1, 9), ("level", 0, 9)):
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be from {least} to {most}, not {getattr(self, name)!r}")


@dataclass(frozen=True, slots=True)
class Agreement:
    """What both sides agreed on: the four parameters of RFC 7692 §7.1.

    ``server_...`` is about what the server sends, ``client_...`` about what the client does.
    """

    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int = 15
    client_max_window_bits: int = 15


# -- Negotiation ---------------------------------------------------------------


def accept_offer(parameters: Iterable[Parameter], wish: Compression = Compression()) -> tuple[Agreement, str] | None:
    """The server's part: take one offer, or decline it.

    Args:
        parameters: Of one element named ``permessage-deflate`` in the client's
            Sec-WebSocket-Extensions.
        wish: What we would like.
    Returns:
        What is agreed, and the element of the response that says so; None: declined.
    Source:
        RFC 7692 §7 (what must be declined), §7.1 (the parameters).

    >>> agreement, response = accept_offer([("client_max_window_bits", None)])
    >>> response
    'permessage-deflate; server_max_window_bits=12; client_max_window_bits=12'
    >>> accept_offer([("server_max_window_bits", "7")]) is None
    True
    """
    try:
        offer = read_parameters(parameters, response=False)
    except ValueError:
        return None
    asked = offer.get("server_max_window_bits", 15)
    if asked == 8:
        # zlib has no raw DEFLATE with a window of 256 bytes: it would use one of 512,
        # which the client could not follow.  We cannot do what is asked: decline.
        return None
    ours = min(asked, wish.window_bits)
    agreement = Agreement(
        server_no_context_takeover="server_no_context_takeover" in offer or not wish.context_takeover,
        client_no_context_takeover="client_no_context_takeover" in offer or not wish.context_takeover,
        server_max_window_bits=ours,
        # §7.1.2.2: only to a client that has offered the parameter may we return it;
        # of any other we must expect the largest window.
        client_max_window_bits=(
            min(offer["client_max_window_bits"], wish.window_bits) if "client_max_window_bits" in offer else 15
        ),
    )
    # §7.1.2.1: server_max_window_bits is accepted "by including" it, 15 or not.
    return agreement, build_element(agreement, named=offer)


def build_element(agreement: Agreement, named: Container[str] = ()) -> str:
    """An agreement as an element of Sec-WebSocket-Extensions.

    Args:
        agreement: Its values; defaults are left out ...
        named: ... unless their names are in here.

    >>> build_element(Agreement(server_no_context_takeover=True))
    'permessage-deflate; server_no_context_takeover'
    """
    words = [NAME]
    words += [name for name in ("server_no_context_takeover", "client_no_context_takeover") if getattr(agreement, name)]
    for name in ("server_max_window_bits", "client_max_window_bits"):
        if getattr(agreement, name) != 15 or name in named:
            words.append(f"{name}={getattr(agreement, name)}")
    return "; ".join(words)


def build_offer(wish: Compression = Compression()) -> str:
    """The client's part: the element of its Sec-WebSocket-Extensions that offers this.

    >>> build_offer()
    'permessage-deflate; server_max_window_bits=12; client_max_window_bits'
    """
    words = [NAME]
    if not wish.context_takeover:
        words += ["server_no_context_takeover", "client_no_context_takeover"]
    if wish.window_bits != 15:
        words.append(f"server_max_window_bits={wish.window_bits}")
    return "; ".join([*words, "client_max_window_bits"])


def accept_response(parameters: Iterable[Parameter], wish: Compression = Compression()) -> Agreement:
    """The client's part: check the server's answer to :func:`build_offer`.

    Args:
        parameters: Of the element named ``permessage-deflate`` in the server's
            Sec-WebSocket-Extensions.
        wish: What we have offered.
    Raises:
        ProtocolError: the answer is none that the offer allows: fail the connection.
    Source:
        RFC 7692 §7, §7.1.

    >>> accept_response([("server_max_window_bits", "10")])
    ... # doctest: +NORMALIZE_WHITESPACE
    Agreement(server_no_context_takeover=False, client_no_context_takeover=False,
              server_max_window_bits=10, client_max_window_bits=12)
    """
    try:
        answer = read_parameters(parameters, response=True)
        theirs = answer.get("server_max_window_bits", 15)
        ours = answer.get("client_max_window_bits", 15)
        if theirs > wish.window_bits:
            raise ValueError(f"server_max_window_bits is {theirs}; {wish.window_bits} was the most we offered")
        if ours == 8:
            raise ValueError("client_max_window_bits is 8, which zlib cannot do; 9 to 15 are possible")
        if not wish.context_takeover and "server_no_context_takeover" not in answer:
            raise ValueError("server_no_context_takeover is missing, which we asked for")
    except ValueError as error:
        raise ProtocolError(f"the server's answer to our offer of {NAME}: {error}", "RFC 7692 §7.1") from None
    return Agreement(
        server_no_context_takeover="server_no_context_takeover" in answer,
        client_no_context_takeover="client_no_context_takeover" in answer or not wish.context_takeover,
        server_max_window_bits=theirs,
        client_max_window_bits=min(ours, wish.window_bits),
    )


def read_parameters(parameters: Iterable[Parameter], *, response: bool) -> dict[str, int]:
    """Check the parameters of one element; their values, 0 for those that have none.

    Raises:
        ValueError: one is unknown, stands twice, or has a value that it may not have.
    Source:
        RFC 7692 §7.1.1, §7.1.2.

    >>> read_parameters([("server_max_window_bits", "10"), ("client_no_context_takeover", None)], response=False)
    {'server_max_window_bits': 10, 'client_no_context_takeover': 0}
    """
    values: dict[str, int] = {}
    for name, value in parameters:
        if name in values:
            raise ValueError(f"{name} stands twice")
        if name in ("server_no_context_takeover", "client_no_context_takeover"):
            if value is not None:
                raise ValueError(f"{name} takes no value, not {value!a}")
            values[name] = 0
        elif name in ("server_max_window_bits", "client_max_window_bits"):
            # In an offer, client_max_window_bits may stand alone: "I can do it".
            if value is None and name == "client_max_window_bits" and not response:
                values[name] = 15
            elif value is None or not re.fullmatch("[89]|1[0-5]", value):
                raise ValueError(f"{name} takes a number from 8 to 15, not {value!a}")
            else:
                values[name] = int(value)
        else:
            raise ValueError(f"there is no parameter {name!a}")
    return values


# -- One message in, one message out ----------------------------------------------


class Deflater:
    """Compresses what we send.

    Args:
        agreement: What was negotiated.
        role: Which end we are.
        wish: ``memory_level``, ``level`` and ``threshold`` count here.

    >>> deflater = Deflater(Agreement(), Role.SERVER)
    >>> deflater.compress(b"Hello").hex(" ")  # §7.2.3.1
    'f2 48 cd c9 c9 07 00'
    >>> deflater.compress(b"Hello").hex(" ")  # §7.2.3.2: a reference to the first
    'f2 00 11 00 00'
    """

    def __init__(self, agreement: Agreement, role: Role, wish: Compression = Compression()) -> None:
        server = role is Role.SERVER
        self.threshold = wish.threshold
        self._level = wish.level
        self._memory_level = wish.memory_level
        self._window_bits = agreement.server_max_window_bits if server else agreement.client_max_window_bits
        self._forget = agreement.server_no_context_takeover if server else agreement.client_no_context_takeover
        self._zlib: zlib._Compress | None = None  # made with the first message: an idle connection has none

    def compress(self, message: bytes) -> bytes:
        """The payload of a compressed message, over all its frames.

        Source:
            RFC 7692 §7.2.1.
        """
        if not message:
            return b"\0"  # §7.2.3.6: zlib would not flush nothing twice
        if self._zlib is None:
            self._zlib = zlib.compressobj(self._level, zlib.DEFLATED, -self._window_bits, self._memory_level)
        data = self._zlib.compress(message) + self._zlib.flush(zlib.Z_SYNC_FLUSH)
        if self._forget:
            self._zlib = None
        return data[: -len(TAIL)]


class Inflater:
    """Decompresses what we receive, as it arrives.

    Args:
        agreement: What was negotiated.
        role: Which end we are.

    >>> inflater = Inflater(Agreement(), Role.SERVER)
    >>> b"".join(inflater.inflate(bytes.fromhex("f248cdc9c90700"))) + b"".join(inflater.end_message())
    b'Hello'
    """

    def __init__(self, agreement: Agreement, role: Role) -> None:
        server = role is Role.SERVER
        self._window_bits = agreement.client_max_window_bits if server else agreement.server_max_window_bits
        self._forget = agreement.client_no_context_takeover if server else agreement.server_no_context_takeover
        self._zlib: zlib._Decompress | None = None
        self._empty = True  # nothing of the current message has come

    def inflate(self, data: bytes | bytearray) -> Iterator[bytes]:
        """A piece of a message's payload to what it means, in pieces of at most 64 KiB.

        It is a generator so that its caller can stop: at a limit, with no more memory
        taken than a piece beyond it, whatever the ratio (1000:1 and more is possible).

        Raises:
            ProtocolError: 1007, this is not DEFLATE.
        Cost:
            Linear in what comes in and what goes out.
        Source:
            RFC 7692 §7.2.2.  For data that cannot be decompressed it names no close
            code; RFC 6455 §7.4.1 has 1007 for data "not consistent with the type of the
            message".
        """
        for start in range(0, len(data), SLICE):
            self._empty = False
            piece = bytes(data[start : start + SLICE])
            while True:
                if self._zlib is None:
                    self._zlib = zlib.decompressobj(-self._window_bits)
                try:
                    out = self._zlib.decompress(piece, PIECE)
                except zlib.error as error:
                    why = str(error).partition(": ")[2] or str(error)
                    raise ProtocolError(
                        f"the message cannot be decompressed: {why}", "§7.4.1", code=CloseCode.INVALID_DATA
                    ) from None
                yield out
                if self._zlib.eof:
                    # A block with BFINAL = 1: legal (§7.2.3.4), and the end of a stream for
                    # zlib, which would silently drop all that follows.  Another begins,
                    # with an empty window, as with the senders that end blocks so.
                    piece, self._zlib = self._zlib.unused_data, None
                elif len(out) < PIECE:
                    break  # all of the slice is used
                else:
                    piece = self._zlib.unconsumed_tail  # may be b"", with output still to come
                if not piece and self._zlib is None:
                    break

    def inflate_message(self, data: bytes, most: int) -> bytes:
        """A message that is all here, in one go.

        Args:
            data: Its payload, from all its frames.
            most: Bytes that it may be when decompressed.
        Raises:
            ProtocolError: as :meth:`inflate`; and 1009 for more than ``most``.

        >>> Inflater(Agreement(), Role.SERVER).inflate_message(bytes.fromhex("f248cdc9c90700"), 5)
        b'Hello'
        """
        pieces, size = [], 0
        # The tail goes with the data.  With it apart, by end_message, a server echoes 4 to 10 %
        # fewer lines of chat.
        for piece in self.inflate(data + TAIL if data else data):
            size += len(piece)
            if size > most:
                raise too_long(most)
            pieces.append(piece)
        self._empty = True
        if self._forget:
            self._zlib = None
        return b"".join(pieces)

    def end_message(self) -> Iterator[bytes]:
        """After the last piece: put the tail back, and forget the window if that was agreed.

        Raises:
            ProtocolError: As :meth:`inflate`.
        """
        # §7.2.3.6 has 00 for an empty message.  No byte at all can mean nothing else, and
        # with the tail alone zlib would be left in the middle of a block.
        if not self._empty:
            yield from self.inflate(TAIL)
        self._empty = True
        if self._forget:
            self._zlib = None
