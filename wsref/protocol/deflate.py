r"""Chapter 9: permessage-deflate: negotiate, one message in, one message out.

RFC 7692.  A message's payload may be compressed by DEFLATE (RFC 1951), which the standard
library's ``zlib`` does.  The rest is what RFC 7692 adds:

*RSV1.*  Each message says whether it is compressed: RSV1 is set on its first frame.  So a
sender may choose anew for every message, and a receiver must look.  The bit belongs to the
message, so it is never set on a continuation, and never on a control frame: a control frame
must be readable at once, by every receiver.

*The tail.*  DEFLATE output is a stream of bits, and a message must end on a byte.
``Z_SYNC_FLUSH`` ensures that: it adds an empty stored block, the five bytes ``00 00 00 ff
ff`` (or four, if the three bits of the block's header fit into the byte before).  The last
four are always the same, so they are not sent (§7.2.1), and the receiver puts them back
(§7.2.2)::

    >>> import zlib
    >>> deflater = zlib.compressobj(wbits=-15)
    >>> (deflater.compress(b"Hello") + deflater.flush(zlib.Z_SYNC_FLUSH)).hex(" ")
    'f2 48 cd c9 c9 07 00 00 00 ff ff'

RFC 7692 §7.2.3.1 sends ``f2 48 cd c9 c9 07 00``.

*Context takeover.*  DEFLATE replaces bytes that it has seen before by a reference to them.  If
the window of these bytes is kept from message to message, the second "Hello" is shorter than
the first (§7.2.3.2)::

    >>> (deflater.compress(b"Hello") + deflater.flush(zlib.Z_SYNC_FLUSH)).hex(" ")
    'f2 00 11 00 00 00 00 ff ff'

Small messages that resemble each other gain most: 2,000 lines of chat-like text, 45 bytes each
on average, shrink to 47 % of their size with it, and to 93 % without (to 42 % with the largest
window; ``tests/test_deflate.py`` makes the lines and measures).  The price is memory for each
connection, for as long as it lives.  So each side may ask for less: a smaller window
(``..._max_window_bits``), or a new one for every message (``..._no_context_takeover``).

*A danger.*  An attacker who can inject text next to a secret and observe the compressed length
can guess the secret letter by letter (CRIME, BREACH; §8).  Send secrets with
``compress=False``.
"""

from __future__ import annotations

import copy
import re
import zlib
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass

from .errors import ProtocolError, message_too_long
from .messages import decode_some
from .spec import CloseCode, Role

#: §7: the name of the extension.
NAME = "permessage-deflate"

#: §7.2.1: the end of every flushed message, which is therefore not sent.
TAIL = bytes.fromhex("0000ffff")

#: Bytes.  Input is inflated in slices: zlib copies its unused input, and a slice bounds how
#: much a peer can make it copy repeatedly.
SLICE = 16 * 1024

#: Bytes.  Output comes in pieces of at most this size, for every compression ratio.
PIECE = 64 * 1024

#: A parameter of an offer or a response: its name, and its value if it has one.
Parameter = tuple[str, str | None]


@dataclass(frozen=True, slots=True)
class Compression:
    """How much memory and effort compression may cost.

    The defaults are those of the ``websockets`` package: a connection that has sent and
    received compressed messages keeps 50 KiB (36 of them for sending).  With zlib's own
    defaults, 15 and 8, it keeps 248 KiB (207), and its messages are a tenth smaller.
    (Resident memory of 300 such pairs, divided.)  A connection without such messages keeps
    nothing.

    Args:
        window_bits: 9 to 15.  References reach back 2**window_bits bytes.  The peer is asked
            for the same; a client also takes more from a server that does not support that.
        memory_level: 1 to 9, zlib's memLevel.
        level: 0 to 9, zlib's level: the effort.
        context_takeover: Whether windows are kept between messages, in both directions.
        threshold: Bytes.  Shorter messages are not compressed.  64 bytes of chat-like text
            become 29, for 5.3 µs, more than the rest of sending takes; 16 bytes become 10,
            for 2.7 µs.  TCP/IP's headers are 40 bytes in any case.
    """

    window_bits: int = 12
    memory_level: int = 5
    level: int = 6
    context_takeover: bool = True
    threshold: int = 64

    def __post_init__(self) -> None:
        for name, lowest, highest in (("window_bits", 9, 15), ("memory_level", 1, 9), ("level", 0, 9)):
            if not lowest <= getattr(self, name) <= highest:
                raise ValueError(f"{name} must be from {lowest} to {highest}, not {getattr(self, name)!r}")


@dataclass(frozen=True, slots=True)
class DeflateParameters:
    """The negotiated parameters of RFC 7692 §7.1.

    ``server_...`` applies to the messages that the server sends, ``client_...`` to the client's.
    """

    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int = 15
    client_max_window_bits: int = 15


# -- Negotiation ---------------------------------------------------------------


def accept_offer(
    offered: Iterable[Parameter], config: Compression = Compression()
) -> tuple[DeflateParameters, str] | None:
    """The server's part: accept one offer, or decline it.

    Args:
        offered: The parameters of one element named ``permessage-deflate`` in the client's
            Sec-WebSocket-Extensions.
        config: How we compress.
    Returns:
        The negotiated parameters, and the element of the response; None: declined.
    Source:
        RFC 7692 §7 (what must be declined), §7.1 (the parameters).

    >>> parameters, response = accept_offer([("client_max_window_bits", None)])
    >>> response
    'permessage-deflate; server_max_window_bits=12; client_max_window_bits=12'
    >>> accept_offer([("server_max_window_bits", "7")]) is None
    True
    """
    try:
        offer = read_parameters(offered, response=False)
    except ValueError:
        return None
    asked = offer.get("server_max_window_bits", 15)
    if asked == 8:
        # zlib has no raw DEFLATE with a window of 256 bytes: it uses one of 512, which the
        # client could not follow.  We cannot do what it asks: decline.
        return None
    ours = min(asked, config.window_bits)
    parameters = DeflateParameters(
        server_no_context_takeover="server_no_context_takeover" in offer or not config.context_takeover,
        client_no_context_takeover="client_no_context_takeover" in offer or not config.context_takeover,
        server_max_window_bits=ours,
        # §7.1.2.2: we may return the parameter only to a client that offered it; another
        # client may use the largest window.
        client_max_window_bits=(
            min(offer["client_max_window_bits"], config.window_bits) if "client_max_window_bits" in offer else 15
        ),
    )
    # §7.1.2.1: server_max_window_bits is accepted "by including" it, 15 or not.
    return parameters, build_element(parameters, named=offer)


def build_element(parameters: DeflateParameters, named: Container[str] = ()) -> str:
    """Write negotiated parameters as an element of Sec-WebSocket-Extensions.

    Args:
        parameters: To write; defaults are left out, except ...
        named: ... those with these names.

    >>> build_element(DeflateParameters(server_no_context_takeover=True))
    'permessage-deflate; server_no_context_takeover'
    """
    words = [NAME]
    flags = ("server_no_context_takeover", "client_no_context_takeover")
    words += [name for name in flags if getattr(parameters, name)]
    for name in ("server_max_window_bits", "client_max_window_bits"):
        if getattr(parameters, name) != 15 or name in named:
            words.append(f"{name}={getattr(parameters, name)}")
    return "; ".join(words)


def build_offer(config: Compression = Compression()) -> str:
    """The client's part: write the elements of Sec-WebSocket-Extensions that offer compression.

    A server that does not support a parameter declines its element (§7.1.2.1), so a second
    element asks the server for nothing, as in §7.1.3.

    >>> build_offer()
    'permessage-deflate; server_max_window_bits=12; client_max_window_bits, permessage-deflate; client_max_window_bits'
    """
    asked = "" if config.context_takeover else "; server_no_context_takeover; client_no_context_takeover"
    if config.window_bits != 15:
        asked += f"; server_max_window_bits={config.window_bits}"
    return ", ".join(f"{NAME}{words}; client_max_window_bits" for words in dict.fromkeys((asked, "")))


def accept_response(answered: Iterable[Parameter], config: Compression = Compression()) -> DeflateParameters:
    """The client's part: check the server's answer to :func:`build_offer`.

    Every window and both forms of takeover for the server's messages are valid: the second element
    of the offer allows them, and an :class:`Inflater` can read them all.  Some servers, such as
    gorilla/websocket, accept the first element and ignore its parameters.

    Args:
        answered: The parameters of the element named ``permessage-deflate`` in the server's
            Sec-WebSocket-Extensions.
        config: Our offer.
    Raises:
        ProtocolError: The offer does not allow this answer: fail the connection.
    Source:
        RFC 7692 §7, §7.1.

    >>> accept_response([("server_max_window_bits", "10")])
    ... # doctest: +NORMALIZE_WHITESPACE
    DeflateParameters(server_no_context_takeover=False, client_no_context_takeover=False,
              server_max_window_bits=10, client_max_window_bits=12)
    """
    try:
        answer = read_parameters(answered, response=True)
        ours = answer.get("client_max_window_bits", 15)
        if ours == 8:
            raise ValueError("client_max_window_bits is 8, which zlib cannot do; 9 to 15 are possible")
    except ValueError as error:
        reason = f"the server's answer to our offer of {NAME}: {error}; compression=None (--no-compression) avoids this"
        raise ProtocolError(reason, "RFC 7692 §7.1") from None
    return DeflateParameters(
        server_no_context_takeover="server_no_context_takeover" in answer,
        client_no_context_takeover="client_no_context_takeover" in answer or not config.context_takeover,
        server_max_window_bits=answer.get("server_max_window_bits", 15),
        client_max_window_bits=min(ours, config.window_bits),
    )


def read_parameters(parameters: Iterable[Parameter], *, response: bool) -> dict[str, int]:
    """Check the parameters of one element; return their values, 0 for one without a value.

    Raises:
        ValueError: A parameter is unknown, is given twice, or has an invalid value.
    Source:
        RFC 7692 §7.1.1, §7.1.2.

    >>> read_parameters([("server_max_window_bits", "10"), ("client_no_context_takeover", None)], response=False)
    {'server_max_window_bits': 10, 'client_no_context_takeover': 0}
    """
    values: dict[str, int] = {}
    for name, value in parameters:
        if name in values:
            raise ValueError(f"{name} is given twice")
        if name in ("server_no_context_takeover", "client_no_context_takeover"):
            if value is not None:
                raise ValueError(f"{name} takes no value, not {value!a}")
            values[name] = 0
        elif name in ("server_max_window_bits", "client_max_window_bits"):
            # In an offer, client_max_window_bits may have no value: "I support it".
            if value is None and name == "client_max_window_bits" and not response:
                values[name] = 15
            elif value is None or not re.fullmatch("[89]|1[0-5]", value):
                raise ValueError(f"{name} takes a number from 8 to 15, not {value!a}")
            else:
                values[name] = int(value)
        else:
            raise ValueError(f"unknown parameter {name!a}")
    return values


# -- One message in, one message out ----------------------------------------------


class Deflater:
    """Compresses the messages that we send.

    Args:
        parameters: As negotiated.
        role: Our end.
        config: ``memory_level``, ``level`` and ``threshold`` apply.

    >>> deflater = Deflater(DeflateParameters(), Role.SERVER)
    >>> deflater.compress(b"Hello").hex(" ")  # §7.2.3.1
    'f2 48 cd c9 c9 07 00'
    >>> deflater.compress(b"Hello").hex(" ")  # §7.2.3.2: a reference to the first
    'f2 00 11 00 00'
    """

    def __init__(self, parameters: DeflateParameters, role: Role, config: Compression = Compression()) -> None:
        server = role is Role.SERVER
        self.threshold = config.threshold
        self._level = config.level
        self._memory_level = config.memory_level
        self._window_bits = parameters.server_max_window_bits if server else parameters.client_max_window_bits
        self._reset = parameters.server_no_context_takeover if server else parameters.client_no_context_takeover
        self._zlib: zlib._Compress | None = None  # made with the first message: an idle connection has none

    def compress(self, piece: bytes, *, last: bool = True) -> bytes:
        """Return the payload of a compressed message, or the bytes of it that are ready.

        Args:
            piece: Of the message.
            last: Whether it ends the message.
        Source:
            RFC 7692 §7.2.1.
        """
        if self._zlib is None:
            self._zlib = zlib.compressobj(self._level, zlib.DEFLATED, -self._window_bits, self._memory_level)
        data = self._zlib.compress(piece)
        if not last:
            return data
        data += self._zlib.flush(zlib.Z_SYNC_FLUSH)
        if self._reset:
            self._zlib = None
        return data[: -len(TAIL)] or b"\0"  # §7.2.3.6: an empty message; zlib does not flush twice without input

    def restart(self) -> None:
        """Refer to no message so far, for one that was compressed and perhaps not sent."""
        self._zlib = None


class Inflater:
    """Decompresses the messages that we receive, as they arrive.

    Args:
        parameters: As negotiated.
        role: Our end.

    >>> inflater = Inflater(DeflateParameters(), Role.SERVER)
    >>> b"".join(inflater.inflate(bytes.fromhex("f248cdc9c90700"))) + b"".join(inflater.end_message())
    b'Hello'
    """

    def __init__(self, parameters: DeflateParameters, role: Role) -> None:
        server = role is Role.SERVER
        self._window_bits = parameters.client_max_window_bits if server else parameters.server_max_window_bits
        self._reset = parameters.client_no_context_takeover if server else parameters.server_no_context_takeover
        self._zlib: zlib._Decompress | None = None
        self._empty = True  # no byte of the current message has arrived

    def inflate(self, data: bytes | bytearray) -> Iterator[bytes]:
        """Decompress a piece of a message's payload, into pieces of at most 64 KiB.

        It is a generator so that the caller can stop at a limit, with no more memory taken than
        one piece beyond it, for every ratio (1000:1 and more is possible).

        Raises:
            ProtocolError: 1007, not DEFLATE.
        Cost:
            Linear in input and output.
        Source:
            RFC 7692 §7.2.2.  It names no close code for data that cannot be decompressed;
            RFC 6455 §7.4.1 has 1007 for data "not consistent with the type of the message".
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
                    # A block with BFINAL = 1: legal (§7.2.3.4).  zlib takes it for the end of
                    # the stream and would silently drop what follows.  So begin another stream,
                    # with an empty window, as the senders of such blocks do.
                    piece, self._zlib = self._zlib.unused_data, None
                elif len(out) < PIECE:
                    break  # the whole slice is used
                else:
                    piece = self._zlib.unconsumed_tail  # may be b"", with output still to come
                if not piece and self._zlib is None:
                    break

    def copy(self) -> Inflater:
        """Return another with the same state, to inflate the same bytes twice."""
        twin = copy.copy(self)
        if self._zlib is not None:
            twin._zlib = self._zlib.copy()
        return twin

    def inflate_message(self, data: bytes, max_size: int, *, text: bool = False) -> bytes:
        """Decompress a whole message.

        Args:
            data: Its payload, from all its frames.
            max_size: Bytes, decompressed.
            text: Whether an octet that cannot be UTF-8, in the first ``max_size``, is an error before
                the length.  (A text that is not too long is not checked.)
        Raises:
            ProtocolError: As :meth:`inflate`; and 1009 for more than ``max_size`` bytes.

        >>> Inflater(DeflateParameters(), Role.SERVER).inflate_message(bytes.fromhex("f248cdc9c90700"), 5)
        b'Hello'
        """
        pieces, size = [], 0
        # Inflate the tail together with the data: separately, as end_message does it, a server
        # echoes 4 to 10 % fewer lines of chat.
        for piece in self.inflate(data + TAIL if data else data):
            size += len(piece)
            pieces.append(piece)
            if size > max_size:
                if text:
                    decode_some(b"".join(pieces)[:max_size])
                raise message_too_long(max_size)
        self._empty = True
        if self._reset:
            self._zlib = None
        return b"".join(pieces)

    def end_message(self) -> Iterator[bytes]:
        """Put the tail back after the last piece, and drop the window if that was negotiated.

        Raises:
            ProtocolError: As :meth:`inflate`.
        """
        # §7.2.3.6 sends 00 for an empty message.  No byte at all can mean nothing else, and
        # the tail alone would leave zlib in the middle of a block.
        if not self._empty:
            yield from self.inflate(TAIL)
        self._empty = True
        if self._reset:
            self._zlib = None
