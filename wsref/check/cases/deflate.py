"""permessage-deflate: its header, and a connection that uses it.  RFC 7692."""

from __future__ import annotations

import contextlib
import re
import zlib
from collections.abc import Callable

from ..case import Needs, Play
from ..codec import PONG, TEXT, Answer, Frame, frame, upgrade
from ..plays import ask, in_words
from ..session import Ended, Peer, Silence
from ..verdict import Failed, Skipped
from .common import in_pieces

NAME = "permessage-deflate"
EXTENSIONS = "Sec-WebSocket-Extensions"
TAIL = b"\0\0\xff\xff"

# -- The negotiation ---------------------------------------------------------------------

#: Names and values of one element of Sec-WebSocket-Extensions; None: no value.
Parameters = list[tuple[str, str | None]]

TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"


def parse_elements(value: str) -> list[tuple[str, Parameters]]:
    """Parse a Sec-WebSocket-Extensions header.  RFC 6455 §9.1.

    Raises:
        Failed: The header is not valid.

    >>> parse_elements('permessage-deflate; server_max_window_bits="10", foo')
    [('permessage-deflate', [('server_max_window_bits', '10')]), ('foo', [])]
    """
    malformed = Failed(f"{EXTENSIONS}: {value}", "NAME; NAME=VALUE ... in the grammar of RFC 6455 §9.1")
    elements = []
    for element in (part.strip() for part in value.split(",")):
        name, *words = (word.strip() for word in element.split(";"))
        parameters: Parameters = []
        for word in words:
            found = re.fullmatch(rf'({TOKEN})(?:\s*=\s*(?:({TOKEN})|"({TOKEN})"))?', word)
            if not found:
                raise malformed
            parameters.append((found[1], found[2] or found[3]))
        if not re.fullmatch(TOKEN, name):
            raise malformed
        elements.append((name, parameters))
    return elements


def parse_response(answer: Answer) -> Parameters | None:
    """Return the parameters of the accepted offer; None: the server declined.

    Raises:
        Failed: The answer has several elements, or another extension.
    """
    lines = answer.lines(EXTENSIONS)
    if not lines:
        return None
    if len(lines) > 1:
        raise Failed(f"two {EXTENSIONS} headers in one answer", "at most one header (RFC 6455 §11.3.2)")
    elements = parse_elements(lines[0])
    if [name for name, _ in elements] != [NAME]:
        raise Failed(f"{EXTENSIONS}: {lines[0]}", f"one {NAME}, or no such header")
    return elements[0][1]


FLAGS = ("server_no_context_takeover", "client_no_context_takeover")
WINDOWS = ("server_max_window_bits", "client_max_window_bits")


def response_fault(offers: list[Parameters], response: Parameters) -> str:
    """Return the reason why a response does not answer any of these offers; "": it is valid.  RFC 7692 §7."""
    names = [name for name, _ in response]
    for name, value in response:
        if names.count(name) > 1:
            return f"{name} appears twice"
        if name not in FLAGS + WINDOWS:
            return f"{name} is not a parameter of {NAME}"
        if name in FLAGS and value is not None:
            return f"{name} takes no value"
        if name in WINDOWS and (value is None or not re.fullmatch("[89]|1[0-5]", value)):
            return f"{name} is {value or 'without a value'}, not a number from 8 to 15"
    reasons = [_mismatch(dict(offer), dict(response)) for offer in offers]
    return "" if "" in reasons or not reasons else reasons[0]


def _mismatch(offer: dict[str, str | None], response: dict[str, str | None]) -> str:
    if FLAGS[0] in offer and FLAGS[0] not in response:
        return f"{FLAGS[0]} was requested, and is not in the answer"
    if (asked := offer.get(WINDOWS[0])) is not None:
        if (given := response.get(WINDOWS[0])) is None:
            return f"{WINDOWS[0]}={asked} was requested, and is not in the answer"
        if int(given) > int(asked):
            return f"{WINDOWS[0]} is {given}, more than the requested {asked}"
    if (given := response.get(WINDOWS[1])) is not None:
        if WINDOWS[1] not in offer:
            return f"{WINDOWS[1]} is in the answer, and was not offered"
        if (offered := offer[WINDOWS[1]]) is not None and int(given) > int(offered):
            return f"{WINDOWS[1]} is {given}, more than the offered {offered}"
    return ""


# -- A connection ---------------------------------------------------------------------------


def flushed(deflater: zlib._Compress, data: bytes) -> bytes:
    """Return the payload of a message, without the tail of its last block.  RFC 7692 §7.2.1."""
    return (data + deflater.flush(zlib.Z_SYNC_FLUSH))[: -len(TAIL)]


class Declined(Skipped):
    """The server declines this offer."""


class DeflateSession:
    """A connection with permessage-deflate.

    Attributes:
        agreed: The parameters of the answer.
    Raises:
        Declined: The server declines the offer, which is legal.
    """

    def __init__(self, peer: Peer, parameters: str = "") -> None:
        offer = NAME + parameters
        answer = ask(peer, upgrade(f"{EXTENSIONS}: {offer}"))
        self.wire = peer.wires[-1]
        if answer is None:
            raise Failed("the handshake was answered with the end of TCP", "101 Switching Protocols")
        if answer.status != 101:
            raise Declined(f"the handshake with the offer {offer} is refused: {answer}")
        response = parse_response(answer)
        if response is None:
            raise Declined(f"the offer {offer} is declined, which is legal")
        self.agreed = dict(response)
        self.start_anew()
        self.inflater = zlib.decompressobj(-self.bits("server_max_window_bits"))

    def bits(self, name: str) -> int:
        """Return the agreed value of a window parameter, or 15."""
        value = self.agreed.get(name)
        return int(value) if value and re.fullmatch("[89]|1[0-5]", value) else 15

    def start_anew(self) -> None:
        """Compress the next message with an empty window."""
        self.deflater = zlib.compressobj(wbits=-max(9, self.bits("client_max_window_bits")))

    def compress(self, payload: bytes) -> bytes:
        """Compress a message from the grader.  RFC 7692 §7.2.1."""
        if "client_no_context_takeover" in self.agreed or self.bits("client_max_window_bits") == 8:
            self.start_anew()  # with 8 bits too, as zlib has no window of 256 bytes
        return flushed(self.deflater, self.deflater.compress(payload))

    def send(self, opcode: int, payload: bytes) -> None:
        """Send a message, compressed."""
        self.wire.send(frame(opcode, self.compress(payload), rsv=4))

    def inflate(self, payload: bytes) -> bytes:
        """Inflate a message from the server, in small steps, which detect a window that is too large.

        Raises:
            Failed: The payload is not valid DEFLATE, or refers to bytes outside the window.
        """
        message = []
        try:
            for data in in_pieces(payload + TAIL, 1024):  # zlib copies the unconsumed input of each step
                while data:
                    message.append(self.inflater.decompress(data, 64))
                    data = self.inflater.unconsumed_tail
                    if self.inflater.eof:
                        data = self.inflater.unused_data
                        self.inflater = zlib.decompressobj(-self.bits("server_max_window_bits"))
        except zlib.error as error:
            raise Failed(f"a compressed message that zlib cannot inflate: {error}: {in_words(payload)}") from None
        return b"".join(message)

    def expect(self, opcode: int, payload: bytes) -> None:
        """Check that the next message is this one, compressed or not."""
        wanted = Frame(opcode, payload)
        deadline = self.wire.deadline_for(len(payload))
        while self.wire.answers_nothing(received := self._inflated(self.wire.message_for(wanted, deadline)), wanted):
            pass
        self.wire.compare(received, wanted)

    def _inflated(self, received: Frame) -> Frame:
        """Return a message, inflated if it is compressed; each passes here, as the next may refer to it."""
        if received.rsv & 4 and received.opcode < 8:
            return Frame(received.opcode, self.inflate(received.payload), received.fin, received.rsv)
        return received

    def expect_with_pong(self, payload: bytes, ping: bytes) -> None:
        """Check that this text, compressed or not, and this Pong arrive, in any order."""
        missing = [Frame(TEXT, payload), Frame(PONG, ping)]
        while missing:
            try:
                received = self._inflated(self.wire.message())
            except (Ended, Silence) as failure:
                raise type(failure)(failure.got, " and ".join(map(str, missing))) from None
            if self.wire.answers_nothing(received, *missing):
                continue
            if not any((received.opcode, received.payload) == (one.opcode, one.payload) for one in missing):
                raise Failed(str(received), " and ".join(map(str, missing)))
            missing = [one for one in missing if one.opcode != received.opcode]


def deflated(
    sends: str,
    accepts: str,
    run: Callable[[DeflateSession], None],
    parameters: str = "",
    *,
    binary: bool = False,
    takes_over: bool = False,
) -> Play:
    """Return a play that calls a function with a connection that has permessage-deflate.

    Args:
        binary: Whether the case needs the echo of a binary message.
        takes_over: Whether the case uses the window of earlier messages.  It passes if the server has asked for
            client_no_context_takeover, an empty window for each message.
    """
    needs = Needs.DEFLATE_BINARY_ECHO if binary else Needs.DEFLATE_ECHO

    def play(peer: Peer) -> None:
        with contextlib.suppress(Declined):
            session = DeflateSession(peer, parameters)
            if not (takes_over and "client_no_context_takeover" in session.agreed):
                run(session)

    return Play(sends, f"{accepts}; or the server declines the offer" if parameters else accepts, play, needs)
