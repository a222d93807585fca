"""Chapter 9: cases about permessage-deflate, RFC 7692.

A server may decline any offer, and then a case that needs the extension is skipped.  A server must
agree only to an offer of the client, and must keep the agreement.

The grader compresses with zlib, and most servers do so too.  Therefore the cases also send streams
that zlib does not write: stored blocks, a final block, two blocks in one message, and the examples
of §7.2.3, byte for byte.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import zlib
from collections.abc import Callable

from ..case import Case, Needs, Play
from ..codec import BINARY, CONTINUATION, PING, PONG, TEXT, Answer, Frame, frame, upgrade
from ..plays import in_words, script
from ..session import Ended, Peer, Silence
from ..verdict import Failed, Level, Skipped
from .common import INTEROP, MUST, SHOULD, letters, pattern, take_pongs

NAME = "permessage-deflate"
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
    elements = []
    for element in (part.strip() for part in value.split(",")):
        name, *words = (word.strip() for word in element.split(";"))
        parameters: Parameters = []
        for word in words:
            found = re.fullmatch(rf'({TOKEN})(?:\s*=\s*(?:({TOKEN})|"({TOKEN})"))?', word)
            if not found:
                raise Failed(
                    f"Sec-WebSocket-Extensions: {value}", "NAME; NAME=VALUE ... in the grammar of RFC 6455 §9.1"
                )
            parameters.append((found[1], found[2] or found[3]))
        if not re.fullmatch(TOKEN, name):
            raise Failed(f"Sec-WebSocket-Extensions: {value}", "NAME; NAME=VALUE ... in the grammar of RFC 6455 §9.1")
        elements.append((name, parameters))
    return elements


def parse_response(answer: Answer) -> Parameters | None:
    """Return the parameters of the accepted offer; None: the server declined.

    Raises:
        Failed: The answer has several elements, or another extension.
    """
    lines = answer.lines("Sec-WebSocket-Extensions")
    if not lines:
        return None
    if len(lines) > 1:
        raise Failed("two Sec-WebSocket-Extensions headers in one answer", "at most one header (RFC 6455 §11.3.2)")
    elements = parse_elements(lines[0])
    if [name for name, _ in elements] != [NAME]:
        raise Failed(f"Sec-WebSocket-Extensions: {lines[0]}", f"one {NAME}, or no such header")
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


def _negotiate(peer: Peer, *lines: str) -> tuple[Answer | None, Parameters | None]:
    """Send a handshake with these offers.

    Returns:
        The answer (None: the handshake was refused), and the accepted parameters (None: declined).
    """
    wire = peer.connect()
    wire.send(upgrade(*(f"Sec-WebSocket-Extensions: {offer}" for offer in lines)))
    answer = wire.answer()
    wire.close()
    if answer is None or answer.status != 101:
        return None, None
    return answer, parse_response(answer)


def _legal(*lines: str, good: str | None = None) -> Play:
    """Expect a legal answer to this offer.

    Args:
        good: The elements that the server may accept; None: all of them.
    """
    offers = [found for name, found in parse_elements(", ".join(lines) if good is None else good) if name == NAME]

    def run(peer: Peer) -> None:
        answer, response = _negotiate(peer, *lines)
        if answer is None or response is None:
            return  # declined, which is legal
        if wrong := response_fault(offers, response):
            received = answer.lines("Sec-WebSocket-Extensions")[0]
            raise Failed(f"Sec-WebSocket-Extensions: {received}: {wrong}", "an answer to this offer, or no such header")

    return Play(f"the offer {' ⏎ '.join(lines)}", "an answer that this offer allows, or none", run, Needs.DEFLATE)


def _declined(offer: str, fallback: str = "") -> Play:
    """Expect that the server declines the first offer; it may accept the second one."""

    def run(peer: Peer) -> None:
        answer, response = _negotiate(peer, f"{offer}, {fallback}" if fallback else offer)
        if answer is None or response is None:
            return
        received = f"Sec-WebSocket-Extensions: {answer.lines('Sec-WebSocket-Extensions')[0]}"
        if not fallback:
            raise Failed(received, "101 without Sec-WebSocket-Extensions")
        if wrong := response_fault([found for _, found in parse_elements(fallback)], response):
            raise Failed(f"{received}: {wrong}", f"an answer to {fallback}, or no such header")

    return Play(
        f"the offer {offer}" + f", {fallback}" * bool(fallback), "the bad offer is declined", run, Needs.DEFLATE
    )


DECLINE = "A server MUST decline an extension negotiation offer for this extension if any of the following conditions are met: "  # noqa: E501
UNDEFINED = DECLINE + "The negotiation offer contains an extension parameter not defined for use in an offer."
BAD_VALUE = DECLINE + "The negotiation offer contains an extension parameter with an invalid value."
TWICE = DECLINE + "The negotiation offer contains multiple extension parameters with the same name."
UNSUPPORTED = DECLINE + "The server doesn't support the offered configuration."


def _accepted(peer: Peer) -> None:
    answer, response = _negotiate(peer, "permessage-deflate; client_max_window_bits")
    if answer is None:
        raise Failed("the handshake is refused", "101, with permessage-deflate")
    if response is None:
        raise Failed("the offer is declined", "Sec-WebSocket-Extensions: permessage-deflate ...")


def _not_asked(peer: Peer) -> None:
    for parameters in ("", "; client_no_context_takeover", "; server_max_window_bits=12"):
        answer, response = _negotiate(peer, NAME + parameters)
        if answer is not None and WINDOWS[1] in dict(response or ()):
            received = answer.lines("Sec-WebSocket-Extensions")[0]
            raise Failed(f"Sec-WebSocket-Extensions: {received} for {NAME}{parameters}", f"no {WINDOWS[1]}")


def _offer(name: str, parameters: str, title: str, quote: str, section: str, hint: str, level: Level = MUST) -> Case:
    return Case(f"9.offer.{name}", level, section, title, quote, _legal(f"{NAME}{parameters}"), hint)


def _bad(name: str, parameters: str, title: str, quote: str, fallback: str = "") -> Case:
    return Case(
        f"9.decline.{name}",
        MUST,
        "RFC 7692 §7",
        f"{title if title[0].isupper() else f'An offer of {title}'} is declined",
        quote,
        _declined(f"{NAME}; {parameters}", fallback),
        "Check each parameter of an offer: its name, that it appears once, and its value.  If a check fails, try the "
        "client's next offer, or answer 101 without the extension.",
    )


HINT = (
    "the parameter also informs the peer server of a hint that even if the server doesn't include the "
    '"client_max_window_bits" extension parameter in the corresponding extension negotiation response with a value '
    "greater than the one in the extension negotiation offer ..., the client is not going to use an LZ77 sliding "
    "window size greater than the size specified by the value in the extension negotiation offer"
)
SAME_OR_SMALLER = (
    'A server accepts an extension negotiation offer with this parameter by including the "server_max_window_bits" '
    "extension parameter in the corresponding extension negotiation response to send back to the client with the same "
    "or smaller value as the offer."
)

NEGOTIATION_CASES = (
    Case(
        "9.agree.browser",
        INTEROP,
        "RFC 7692 §5",
        "The server accepts the offer of browsers",
        "Both ways are legal.  Every browser offers compression, and text shrinks to a fraction.",
        script(
            "the offer permessage-deflate; client_max_window_bits",
            "an answer that accepts the offer",
            _accepted,
            needs=Needs.OPEN,
        ),
        "Find permessage-deflate in Sec-WebSocket-Extensions, and name it in your answer.",
    ),
    _offer(
        "plain",
        "",
        "An offer without parameters gets a legal answer",
        UNSUPPORTED,
        "RFC 7692 §7",
        "Answer only with parameters of RFC 7692, each one once, and no client parameter that was not offered.",
    ),
    _offer(
        "browser",
        "; client_max_window_bits",
        "The offer of browsers gets a legal answer",
        UNSUPPORTED,
        "RFC 7692 §7",
        "In an answer, client_max_window_bits needs a value from 8 to 15; or leave it out.",
    ),
    Case(
        "9.offer.client-window-not-offered",
        MUST,
        "RFC 7692 §7.1.2.2",
        "The server sends client_max_window_bits only to a client that offered it",
        'If a received extension negotiation offer doesn\'t have the "client_max_window_bits" extension parameter, the '
        'corresponding extension negotiation response to the offer MUST NOT include the "client_max_window_bits" '
        "extension parameter.",
        script(
            "offers without client_max_window_bits",
            "an answer without client_max_window_bits",
            _not_asked,
            needs=Needs.DEFLATE,
        ),
        "A client that does not offer client_max_window_bits need not understand it in the answer.",
    ),
    _offer(
        "server-no-context",
        "; server_no_context_takeover",
        "An answer to server_no_context_takeover includes this parameter",
        'A server accepts an extension negotiation offer that includes the "server_no_context_takeover" extension '
        'parameter by including the "server_no_context_takeover" extension parameter in the corresponding extension '
        "negotiation response to send back to the client.",
        "RFC 7692 §7.1.1.1",
        "Include it in the answer, and compress each message with an empty window; or decline the offer.",
    ),
    _offer(
        "client-no-context",
        "; client_no_context_takeover",
        "An offer of client_no_context_takeover gets a legal answer",
        UNSUPPORTED,
        "RFC 7692 §7.1.1.2",
        "The parameter is a hint: repeat it, or leave it out.",
    ),
    _offer(
        "everything",
        "; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10; client_max_window_bits",
        "An offer with all four parameters gets a legal answer",
        SAME_OR_SMALLER,
        "RFC 7692 §7.1",
        "Include the two server parameters, with values no larger than the offered ones.",
    ),
    *(
        _offer(
            f"server-window-{bits}",
            f"; server_max_window_bits={bits}",
            f"An offer of server_max_window_bits={bits} is answered with a value up to {bits}, or declined",
            SAME_OR_SMALLER,
            "RFC 7692 §7.1.2.1",
            "Include it in the answer with the same value or a smaller one; if you cannot, decline the offer.",
            SHOULD if bits == 15 else MUST,  # an answer without it means 15, too
        )
        for bits in range(8, 16)
    ),
    *(
        _offer(
            f"client-window-{bits}",
            f"; client_max_window_bits={bits}",
            f"An offer of client_max_window_bits={bits} is answered with a value up to {bits}, or without it",
            HINT,
            "RFC 7692 §7.1.2.2",
            "A client with a small window gains nothing from a larger value, and may misread it.",
            SHOULD,
        )
        for bits in (8, 9, 12, 15)
    ),
    Case(
        "9.offer.quoted",
        MUST,
        "RFC 6455 §9.1",
        "A value in quotes means the same as without quotes",
        "When using the quoted-string syntax variant, the value after quoted-string unescaping MUST conform to the "
        "'token' ABNF.",
        _legal(f'{NAME}; server_max_window_bits="10"'),
        "Remove the quotes before you check a value.",
    ),
    Case(
        "9.offer.among-others",
        MUST,
        "RFC 6455 §9.1",
        "The server accepts only the known one of two offered extensions",
        "Any extension-token used MUST be a registered token (see Section 11.4).",
        _legal(f"x-unknown; a=1, {NAME}"),
        "Answer with the extensions that you use; do not send the client's header back.",
    ),
    Case(
        "9.offer.two-lines",
        MUST,
        "RFC 6455 §9.1",
        "Offers on two header lines are one list",
        "Note that like other HTTP header fields, this header field MAY be split or combined across multiple lines.",
        _legal("x-unknown", NAME),
        "Join the lines of the header with commas before you parse the list.",
    ),
    Case(
        "9.offer.two-good",
        MUST,
        "RFC 7692 §6",
        "The server answers one of two offers, not both",
        "A server MUST NOT accept a PMCE extension negotiation offer together with another extension if the PMCE "
        "conflicts with the extension on their use of the RSV1 bit.",
        _legal(f"{NAME}; server_max_window_bits=10, {NAME}"),
        "Stop at the first offer that you accept.",
    ),
    _bad("server-window-7", "server_max_window_bits=7", "server_max_window_bits=7", BAD_VALUE),
    _bad("server-window-16", "server_max_window_bits=16", "server_max_window_bits=16", BAD_VALUE),
    _bad(
        "server-window-010", "server_max_window_bits=010", "server_max_window_bits=010, with a leading zero,", BAD_VALUE
    ),
    _bad("server-window-text", "server_max_window_bits=abc", "server_max_window_bits=abc", BAD_VALUE),
    _bad("server-window-minus", "server_max_window_bits=-10", "server_max_window_bits=-10", BAD_VALUE),
    _bad("server-window-plus", "server_max_window_bits=+10", "server_max_window_bits=+10", BAD_VALUE),
    _bad("server-window-alone", "server_max_window_bits", "server_max_window_bits without a value", BAD_VALUE),
    _bad("server-window-empty", "server_max_window_bits=", "server_max_window_bits= with an empty value", BAD_VALUE),
    _bad("client-window-7", "client_max_window_bits=7", "client_max_window_bits=7", BAD_VALUE),
    _bad("client-window-16", "client_max_window_bits=16", "client_max_window_bits=16", BAD_VALUE),
    _bad("client-window-08", "client_max_window_bits=08", "client_max_window_bits=08, with a leading zero,", BAD_VALUE),
    _bad("server-flag-value", "server_no_context_takeover=1", "server_no_context_takeover with a value", BAD_VALUE),
    _bad("client-flag-value", "client_no_context_takeover=true", "client_no_context_takeover with a value", BAD_VALUE),
    _bad("unknown", "x_unknown", "An offer with an unknown parameter", UNDEFINED),
    _bad("unknown-value", "max_window_bits=10", "max_window_bits, which is not a parameter,", UNDEFINED),
    _bad(
        "twice", "server_no_context_takeover; server_no_context_takeover", "An offer with a repeated parameter", TWICE
    ),
    _bad(
        "twice-value",
        "server_max_window_bits=10; server_max_window_bits=12",
        "An offer with a repeated parameter and two values",
        TWICE,
    ),
    _bad(
        "then-good",
        "server_max_window_bits=7",
        "The bad first one of two offers",
        BAD_VALUE,
        f"{NAME}; server_max_window_bits=10",
    ),
)

# -- Messages --------------------------------------------------------------------------------


class Declined(Skipped):
    """The server declines this offer."""


class DeflateSession:
    """A connection with permessage-deflate.

    Attributes:
        agreed: The parameters of the answer.
        last: The payload of the last received message, as sent, before inflating.
    Raises:
        Declined: The server declines the offer, which is legal.
    """

    def __init__(self, peer: Peer, parameters: str = "") -> None:
        offer = NAME + parameters
        self.wire = peer.connect()
        self.wire.send(upgrade(f"Sec-WebSocket-Extensions: {offer}"))
        answer = self.wire.answer()
        if answer is None:
            raise Failed("the handshake was answered with the end of TCP", "101 Switching Protocols")
        if answer.status != 101:
            raise Declined(f"the handshake with the offer {offer} is refused: {answer}")
        response = parse_response(answer)
        if response is None:
            raise Declined(f"the offer {offer} is declined, which is legal")
        self.agreed = dict(response)
        self.deflater = self._new_deflater()
        self.inflater = zlib.decompressobj(-self.bits("server_max_window_bits"))
        self.last = b""

    def bits(self, name: str) -> int:
        """Return the agreed value of a window parameter, or 15."""
        value = self.agreed.get(name)
        return int(value) if value and re.fullmatch("[89]|1[0-5]", value) else 15

    def _new_deflater(self) -> zlib._Compress:
        return zlib.compressobj(wbits=-max(9, self.bits("client_max_window_bits")))

    def compress(self, payload: bytes) -> bytes:
        """Compress a message from the grader.  RFC 7692 §7.2.1."""
        if "client_no_context_takeover" in self.agreed or self.bits("client_max_window_bits") == 8:
            self.deflater = (
                self._new_deflater()
            )  # zlib has no window of 256 bytes: start every message with an empty window
        return (self.deflater.compress(payload) + self.deflater.flush(zlib.Z_SYNC_FLUSH))[: -len(TAIL)]

    def send(self, opcode: int, payload: bytes) -> None:
        """Send a message, compressed."""
        self.wire.send(frame(opcode, self.compress(payload), rsv=4))

    def inflate(self, payload: bytes) -> bytes:
        """Inflate a message from the server, in small steps, which detect a window that is too large.

        Raises:
            Failed: The payload is not valid DEFLATE, or refers to bytes outside the window.
        """
        message, data = [], payload + TAIL
        try:
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
        self.last = received.payload
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

    def fails(self, data: bytes) -> None:
        """Check that these bytes fail the connection."""
        self.wire.send(data)
        self.wire.expect_failure()


def deflated(
    sends: str, accepts: str, run: Callable[[DeflateSession], None], parameters: str = "", *, binary: bool = False
) -> Play:
    """Return a play that calls a function with a connection that has permessage-deflate.

    Args:
        binary: Whether the case needs the echo of a binary message.
    """
    needs = Needs.DEFLATE_BINARY_ECHO if binary else Needs.DEFLATE_ECHO

    def play(peer: Peer) -> None:
        with contextlib.suppress(Declined):
            run(DeflateSession(peer, parameters))

    return Play(sends, f"{accepts}; or the server declines the offer" if parameters else accepts, play, needs)


def hexed(text: str) -> bytes:
    """Convert hex to bytes."""
    return bytes.fromhex(text)


HELLO = hexed("f2 48 cd c9 c9 07 00")  # RFC 7692 §7.2.3.1


def _has_binary(messages: tuple[tuple[int, bytes], ...]) -> bool:
    return any(opcode == BINARY for opcode, _ in messages)


def _raw(data: bytes, *messages: tuple[int, bytes]) -> Play:
    """Expect these messages back for these bytes."""

    def run(session: DeflateSession) -> None:
        session.wire.send(data)
        for opcode, payload in messages:
            session.expect(opcode, payload)

    received = ", ".join(f"a message of {len(payload)} bytes" for _, payload in messages)
    return deflated(in_words(data), f"{received} back", run, binary=_has_binary(messages))


def _round_trip(*messages: tuple[int, bytes], parameters: str = "") -> Play:
    def run(session: DeflateSession) -> None:
        for opcode, payload in messages:
            session.send(opcode, payload)
            session.expect(opcode, payload)

    sizes = ", ".join(f"{len(payload)}" for _, payload in messages)
    return deflated(
        f"compressed messages of {sizes} bytes" + f" ({parameters[2:]})" * bool(parameters),
        "all messages back",
        run,
        parameters,
        binary=_has_binary(messages),
    )


def _fails(data: bytes) -> Play:
    return deflated(in_words(data), "Close, or the end of TCP, and nothing else", lambda session: session.fails(data))


INFLATE = "Append 4 octets of 0x00 0x00 0xff 0xff to the tail end of the payload of the message. ... Decompress the resulting data using DEFLATE."  # noqa: E501
ANY_BLOCKS = "An endpoint MAY use multiple DEFLATE blocks to compress one message. ... An endpoint MAY use DEFLATE blocks of any type."  # noqa: E501
TAKEN_OVER = "Otherwise, the server MUST decompress each new message using the LZ77 sliding window used to process the last compressed message."  # noqa: E501
RSV1 = (
    'An endpoint MUST NOT set the "Per-Message Compressed" bit of control frames and non-first fragments of a data '
    "message. An endpoint receiving such a frame MUST _Fail the WebSocket Connection_."
)
UNCOMPRESSED = (
    "On a WebSocket connection where a PMCE is in use, this bit indicates whether a message is compressed or not."
)
PADDED = (
    'When any DEFLATE block with the "BFINAL" bit set to 1 doesn\'t end at a byte boundary, an endpoint MUST add '
    "minimal padding bits of 0 to make it end at a byte boundary.  The next DEFLATE block follows the padded data if "
    "any."
)
JOINED = (
    'If the frame is part of a fragmented message, the "Application data" of the subsequent data frames is '
    "concatenated to form the /data/."
)
SHUFFLED = b"".join(hashlib.sha256(b"%d" % i).digest() for i in range(2048))  # 64 KiB that DEFLATE does not shrink


def _message(
    name: str, title: str, play: Play, hint: str, quote: str = INFLATE, section: str = "RFC 7692 §7.2.2"
) -> Case:
    return Case(f"9.message.{name}", MUST, section, title, quote, play, hint)


INFLATE_ALL = "Join the payloads, append 00 00 ff ff once, and inflate as raw DEFLATE, without a zlib header."
CHECK_RSV1 = "Inflate a message only if its first frame has RSV1."


def _fragmented(opcode: int, *pieces: bytes) -> bytes:
    last = len(pieces) - 1
    return b"".join(
        frame(0 if i else opcode, piece, fin=i == last, rsv=0 if i else 4) for i, piece in enumerate(pieces)
    )


def _pings_between(session: DeflateSession) -> None:
    session.wire.send(frame(TEXT, HELLO[:3], fin=False, rsv=4) + frame(PING, b"Hello") + frame(CONTINUATION, HELLO[3:]))
    session.expect_with_pong(b"Hello", b"Hello")


def _mixed(session: DeflateSession) -> None:
    for i in range(6):
        payload = b"message %d, message %d" % (i, i)
        if i % 2:
            session.wire.send(frame(TEXT, payload))
        else:
            session.send(TEXT, payload)
        session.expect(TEXT, payload)


def _own_bits(session: DeflateSession) -> None:
    """Check that the server sets RSV1 only on first frames of messages."""
    session.send(TEXT, letters(70000))
    session.wire.send(frame(PING, b"Hello" * 20))
    pongs = 0
    for received in session.wire.frames():
        if received.rsv & 3:
            raise Failed(f"RSV2 or RSV3 is set on {received}", "at most RSV1")
        if received.rsv and (received.opcode >= 8 or received.opcode == CONTINUATION):
            raise Failed(f"RSV1 is set on {received}", "RSV1 only on the first frame of a message")
        pongs += received.opcode == PONG
        if pongs:
            return


def _plain_pong(session: DeflateSession) -> None:
    session.wire.send(frame(PING, HELLO))
    take_pongs(session.wire, [HELLO], [])


MESSAGE_CASES = (
    _message(
        "hello", "The RFC's compressed Hello comes back", _raw(frame(TEXT, HELLO, rsv=4), (TEXT, b"Hello")), INFLATE_ALL
    ),
    _message(
        "binary", "A compressed binary message comes back as binary", _round_trip((BINARY, pattern(1000))), INFLATE_ALL
    ),
    _message(
        "empty",
        "A compressed empty message, the single byte 00, comes back empty",
        _raw(frame(TEXT, b"\0", rsv=4), (TEXT, b"")),
        "An empty message is the byte 00 (§7.2.3.6); it inflates to an empty message, which is a message.",
    ),
    _message(
        "two-blocks",
        "Two DEFLATE blocks in one message are inflated",
        _raw(frame(TEXT, hexed("f2 48 05 00 00 00 ff ff ca c9 c9 07 00"), rsv=4), (TEXT, b"Hello")),
        "Inflate to the end of the input: 00 00 ff ff inside is not the end.",
        ANY_BLOCKS,
        "RFC 7692 §7.2.3.5",
    ),
    _message(
        "stored",
        "A stored, uncompressed DEFLATE block is inflated",
        _raw(frame(TEXT, hexed("00 05 00 fa ff 48 65 6c 6c 6f 00"), rsv=4), (TEXT, b"Hello")),
        INFLATE_ALL,
        ANY_BLOCKS,
        "RFC 7692 §7.2.3.3",
    ),
    _message(
        "final",
        "A DEFLATE block with BFINAL is inflated",
        _raw(frame(TEXT, hexed("f3 48 cd c9 c9 07 00 00"), rsv=4), (TEXT, b"Hello")),
        "BFINAL ends the stream for zlib, and the tail remains: handle the remaining input.",
        PADDED,
        "RFC 7692 §7.2.3.4",
    ),
    _message(
        "final-then-another",
        "The message after a message with BFINAL is inflated too",
        _raw(
            frame(TEXT, hexed("f3 48 cd c9 c9 07 00 00"), rsv=4) + frame(TEXT, HELLO, rsv=4),
            (TEXT, b"Hello"),
            (TEXT, b"Hello"),
        ),
        "After BFINAL, the zlib object ignores further input: create a new one.",
        TAKEN_OVER,
        "RFC 7692 §7.2.2",
    ),
    _message("long", "64 KiB of compressed text come back", _round_trip((TEXT, letters(65536))), INFLATE_ALL),
    _message(
        "does-not-shrink",
        "A compressed message of 64 KiB that does not shrink comes back",
        _round_trip((BINARY, SHUFFLED)),
        "A compressed payload may be longer than the message: allow for it, and read the whole payload.",
    ),
    _message(
        "shrinks-much",
        "A message of 512 KiB in less than 1 KiB of payload comes back",
        _round_trip((TEXT, b"a" * 524288)),
        "Inflate until zlib has used all input: the output may need several buffers.",
    ),
    _message(
        "not-compressed",
        "A message without RSV1 is not inflated",
        _raw(frame(TEXT, b"Hello"), (TEXT, b"Hello")),
        CHECK_RSV1,
        UNCOMPRESSED,
        "RFC 7692 §6",
    ),
    _message(
        "looks-compressed",
        "A binary message without RSV1 is not inflated, even if it looks compressed",
        _raw(frame(BINARY, HELLO), (BINARY, HELLO)),
        CHECK_RSV1,
        UNCOMPRESSED,
        "RFC 7692 §6",
    ),
    _message(
        "mixed",
        "Compressed and uncompressed messages may alternate",
        deflated("six messages, every second one compressed", "all messages back", _mixed),
        CHECK_RSV1,
        UNCOMPRESSED,
        "RFC 7692 §6",
    ),
    _message(
        "two-fragments",
        "A compressed message in two fragments comes back",
        _raw(_fragmented(TEXT, HELLO[:3], HELLO[3:]), (TEXT, b"Hello")),
        INFLATE_ALL + "  Only the first frame has RSV1: remember it with the opcode.",
        JOINED,
        "RFC 6455 §6.2",
    ),
    _message(
        "many-fragments",
        "A compressed message in fragments of one byte and empty ones comes back",
        _raw(_fragmented(TEXT, b"", *(HELLO[i : i + 1] for i in range(len(HELLO))), b""), (TEXT, b"Hello")),
        INFLATE_ALL,
        JOINED,
        "RFC 6455 §6.2",
    ),
    _message(
        "fragment-with-tail",
        "A fragment may end in 00 00 ff ff, which is not the end of the message",
        _raw(_fragmented(TEXT, hexed("f2 48 05 00 00 00 ff ff"), hexed("ca c9 c9 07 00")), (TEXT, b"Hello")),
        "Append the tail after the last fragment, not after each.",
        INFLATE,
        "RFC 7692 §7.2.2",
    ),
    _message(
        "ping-between",
        "A Ping inside a compressed message is answered, and the message comes back whole",
        deflated(
            "a compressed message in two fragments, with a Ping between them",
            "the Pong and the message",
            _pings_between,
        ),
        "Control frames are never compressed, and do not change the message.",
        "An endpoint MUST be capable of handling control frames in the middle of a fragmented message.",
        "RFC 6455 §5.4",
    ),
    _message(
        "utf8-split",
        "A character may be split between compressed fragments",
        _raw(
            (lambda data: _fragmented(TEXT, data[:4], data[4:]))(
                (lambda session: (session.compress("€ €".encode()) + session.flush(zlib.Z_SYNC_FLUSH))[:-4])(
                    zlib.compressobj(wbits=-15)
                )
            ),
            (TEXT, "€ €".encode()),
        ),
        "Check text after inflating it; compressed bytes are not text.",
        INFLATE,
    ),
    Case(
        "9.rsv1.own",
        MUST,
        "RFC 7692 §6",
        "The server sets RSV1 only on the first frame of a message",
        RSV1,
        deflated("a long compressed text and a Ping", "no RSV1 on a continuation or a Pong", _own_bits),
        "Set RSV1 only on frames with opcode 1 or 2.",
    ),
    Case(
        "9.rsv1.pong-is-plain",
        MUST,
        "RFC 6455 §5.5.3",
        "A Pong has the payload of the Ping, neither compressed nor inflated",
        'A Pong frame sent in response to a Ping frame must have identical "Application data" as found in the message '
        "body of the Ping frame being replied to.",
        deflated("a Ping whose payload is valid DEFLATE", "PONG with the same bytes", _plain_pong),
        "Compress and inflate only data frames, never control frames.",
    ),
    *(
        Case(f"9.rsv1.{name}", MUST, "RFC 7692 §6", f"{title} fails the connection", RSV1, _fails(data), hint)
        for name, title, data, hint in (
            (
                "continuation",
                "RSV1 on a continuation",
                frame(TEXT, HELLO[:3], fin=False, rsv=4) + frame(CONTINUATION, HELLO[3:], rsv=4),
                "RSV1 with opcode 0 is an error, even with permessage-deflate.",
            ),
            (
                "continuation-only",
                "RSV1 on a continuation of an uncompressed message",
                frame(TEXT, b"Hel", fin=False) + frame(CONTINUATION, HELLO, rsv=4),
                "Only the first frame says whether a message is compressed.",
            ),
            ("ping", "RSV1 on a Ping", frame(PING, HELLO, rsv=4), "RSV1 with opcodes 8 to 10 is an error."),
            ("pong", "RSV1 on a Pong", frame(PONG, HELLO, rsv=4), "RSV1 with opcodes 8 to 10 is an error."),
        )
    ),
    *(
        Case(
            f"9.rsv{bit}.reserved",
            MUST,
            "RFC 6455 §5.2",
            f"RSV{bit} fails the connection, even with {NAME}",
            "If a nonzero value is received and none of the negotiated extensions defines the meaning of such a "
            "nonzero "
            "value, the receiving endpoint MUST _Fail the WebSocket Connection_.",
            _fails(frame(TEXT, HELLO, rsv=4 | rsv)),
            "permessage-deflate defines only RSV1: first_byte & 0x30 must be 0.",
        )
        for bit, rsv in ((2, 2), (3, 1))
    ),
)

# -- Invalid data -----------------------------------------------------------------------------

VALIDATED = "Incoming data MUST always be validated by both clients and servers."


def _compressed(message: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-15)
    return (deflater.compress(message) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]


def _bomb(mebibytes: int) -> bytes:
    deflater = zlib.compressobj(9, wbits=-15)
    data = b"".join(deflater.compress(bytes(1 << 20)) for _ in range(mebibytes))
    return (data + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]


def _send_bomb(peer: Peer) -> None:
    session = DeflateSession(peer)
    session.wire.send(frame(BINARY, _bomb(48), rsv=4))
    try:
        session.wire.message()
    except Failed:
        pass  # the server may still be busy; the next connection shows whether it works
    session.wire.close()


def _survives_bomb(peer: Peer) -> None:
    _send_bomb(peer)
    wire = peer.open()
    wire.send(frame(TEXT, b"Hello"))
    wire.expect(TEXT, b"Hello")


INVALID_CASES = (
    *(
        Case(
            f"9.invalid.{name}",
            MUST,
            "RFC 6455 §10.7",
            f"{title} fails the connection",
            VALIDATED,
            _fails(frame(TEXT, payload, rsv=4)),
            "If zlib raises, fail the connection (1007, for example), and do not deliver the inflated part.",
        )
        for name, title, payload in (
            ("block-type", "A DEFLATE block of the reserved type 3", b"\x06" + b"\xff" * 16),
            ("stored-length", "A stored block with two different lengths", hexed("00 05 00 00 00 48 65 6c 6c 6f 00")),
            ("too-far-back", "A reference to bytes before the start of the stream", hexed("f2 00 11 00 00")),
            ("text", "Plain text with RSV1", b"Hello, Hello, Hello, Hello"),
        )
    ),
    *(
        Case(
            f"9.utf8.{name}",
            MUST,
            "RFC 6455 §8.1",
            f"{title} fails the connection",
            "When an endpoint is to interpret a byte stream as UTF-8 but finds that the byte stream is not, in fact, a "
            "valid UTF-8 stream, that endpoint MUST _Fail the WebSocket Connection_.",
            _fails(frame(TEXT, _compressed(payload), rsv=4)),
            "Check compressed text after inflating it.",
        )
        for name, title, payload in (
            ("invalid", "A compressed text that is not UTF-8", b"Hello \xff"),
            ("surrogate", "A compressed text that contains a surrogate", b"\xed\xa0\x80"),
            ("cut", "A compressed text that ends inside a character", b"Hello \xe2\x82"),
        )
    ),
    Case(
        "9.bomb.survived",
        MUST,
        "RFC 6455 §10.4",
        "A message of 48 MiB of zeros in 48 KiB of payload does the server no harm",
        "Implementations that have implementation- and/or platform-specific limitations regarding the frame size or "
        "total message size after reassembly from multiple frames MUST protect themselves against exceeding those "
        "limits.",
        script(
            "a compressed message of 48 MiB of zeros",
            "any answer, and then a working next connection",
            _survives_bomb,
            needs=Needs.DEFLATE_ECHO,
            alone=True,
        ),
        "Limit the output of the inflater, and close with 1009 at the limit.",
    ),
)

# -- Context takeover and windows -------------------------------------------------------------------

KEEP_INFLATER = "Keep one inflating object for the whole connection, unless client_no_context_takeover is agreed."


def _hex_noise(size: int, seed: str = "") -> bytes:
    """Return hex digits, which shrink to a half and contain no repetitions."""
    blocks = (hashlib.sha256(f"{seed}{i}".encode()).hexdigest() for i in range(size // 64 + 1))
    return "".join(blocks).encode()[:size]


ANEW = (
    'If the "agreed parameters" contain the "server_no_context_takeover" extension parameter, the server MUST start '
    "compressing each new message with an empty LZ77 sliding window."
)


def _takeover(session: DeflateSession) -> None:
    if "client_no_context_takeover" in session.agreed:
        return  # the server requested an empty window for each message
    session.wire.send(frame(TEXT, HELLO, rsv=4))
    session.expect(TEXT, b"Hello")
    session.wire.send(frame(TEXT, hexed("f2 00 11 00 00"), rsv=4))  # §7.2.3.2
    session.expect(TEXT, b"Hello")


def _takeover_past_plain(session: DeflateSession) -> None:
    if "client_no_context_takeover" in session.agreed:
        return  # the server requested an empty window for each message
    session.wire.send(frame(TEXT, HELLO, rsv=4))
    session.expect(TEXT, b"Hello")
    session.wire.send(frame(TEXT, b"something else") + frame(PING, b"and a Ping"))
    session.expect_with_pong(b"something else", b"and a Ping")
    session.wire.send(frame(TEXT, hexed("f2 00 11 00 00"), rsv=4))
    session.expect(TEXT, b"Hello")


def _far_back(session: DeflateSession) -> None:
    """Refer to another message, at the largest distance in the client's window."""
    if "client_no_context_takeover" in session.agreed:
        return  # the server requested an empty window for each message
    size = (1 << session.bits("client_max_window_bits")) - 300
    noise = _hex_noise(size)
    session.send(TEXT, noise)
    session.expect(TEXT, noise)
    session.send(TEXT, noise[:200])
    session.expect(TEXT, noise[:200])


def _far_back_in_one(session: DeflateSession) -> None:
    size = (1 << session.bits("client_max_window_bits")) - 300
    noise = _hex_noise(size)
    session.send(TEXT, noise + noise[:200])
    session.expect(TEXT, noise + noise[:200])


def _server_starts_anew(session: DeflateSession) -> None:
    for payload in (letters(200), letters(200), _hex_noise(300) * 2, letters(200)):
        session.inflater = zlib.decompressobj(-session.bits("server_max_window_bits"))
        session.send(TEXT, payload)
        session.expect(TEXT, payload)


def _client_starts_anew(session: DeflateSession) -> None:
    for payload in (letters(200), letters(200), letters(100)):
        session.deflater = zlib.compressobj(wbits=-max(9, session.bits("client_max_window_bits")))
        session.send(TEXT, payload)
        session.expect(TEXT, payload)


def _server_window(session: DeflateSession) -> None:
    """Send repetitions just outside the agreed window: a server with a larger window would refer to them."""
    size = 1 << session.bits("server_max_window_bits")
    for distance in (size + 300, 2 * size, 32000):
        noise = _hex_noise(300, f"{distance}")
        message = noise + _hex_noise(max(distance, 600) - 300, "filler") + noise
        session.send(TEXT, message)
        session.expect(TEXT, message)


def _window(bits: int) -> Case:
    return Case(
        f"9.window.server-{bits}",
        MUST,
        "RFC 7692 §7.2.1",
        f"With server_max_window_bits={bits}, the server refers only to bytes in this window",
        'If the "agreed parameters" contain the "server_max_window_bits" extension parameter with a value of w, the '
        "server MUST NOT use an LZ77 sliding window longer than the w-th power of 2 bytes to compress messages to "
        "send.",
        deflated(
            f"messages with repetitions at more than 2**{bits} bytes",
            f"each inflates with a window of 2**{bits} bytes",
            _server_window,
            f"; server_max_window_bits={bits}",
        ),
        "Compress with a window of the agreed number of bits.  The minimum of zlib is 9: decline 8.",
    )


def _client_window(bits: int) -> Case:
    return Case(
        f"9.window.client-{bits}",
        MUST,
        "RFC 7692 §7.2.2",
        f"With an offer of client_max_window_bits={bits}, messages that use the whole agreed window come back",
        "Otherwise, the server MUST use a 32,768-byte LZ77 sliding window to decompress received messages.",
        deflated(
            "messages with repetitions at the largest distance in the window",
            "all messages back",
            _far_back,
            f"; client_max_window_bits={bits}",
        ),
        "Inflate with a window at least as large as the one in your answer; without a value there, with 15.",
    )


CONTEXT_CASES = (
    Case(
        "9.context.taken-over",
        MUST,
        "RFC 7692 §7.2.2",
        "A message may refer to the previous one: the RFC's second Hello comes back",
        TAKEN_OVER,
        deflated("Hello, then Hello as a reference to the first", "Hello twice", _takeover),
        KEEP_INFLATER,
    ),
    Case(
        "9.context.hint-only",
        MUST,
        "RFC 7692 §7.2.2",
        "If client_no_context_takeover is offered but not agreed, messages may refer to earlier ones",
        'Note that even if the client has included the "client_no_context_takeover" extension parameter in its offer, '
        "the server MUST decompress each new message using the LZ77 sliding window used to process the last compressed "
        "message "
        'if the "agreed parameters" don\'t contain the "client_no_context_takeover" extension parameter.',
        deflated(
            "Hello, then Hello as a reference to the first, unless client_no_context_takeover is agreed",
            "Hello twice",
            _takeover,
            "; client_no_context_takeover",
        ),
        "Only the answer counts: include client_no_context_takeover there, or keep the window.",
    ),
    Case(
        "9.context.past-plain",
        MUST,
        "RFC 7692 §7.2.2",
        "An uncompressed message and a Ping do not change the window",
        TAKEN_OVER,
        deflated(
            "Hello, an uncompressed message, a Ping, Hello as a reference", "all messages back", _takeover_past_plain
        ),
        KEEP_INFLATER + "  Pass only compressed messages to it.",
    ),
    Case(
        "9.context.far-back",
        MUST,
        "RFC 7692 §7.2.2",
        "A message may refer to an earlier one at the largest distance in the window",
        TAKEN_OVER,
        deflated("two messages, the second a reference to the start of the first", "both messages back", _far_back),
        KEEP_INFLATER,
    ),
    Case(
        "9.window.client-32768",
        MUST,
        "RFC 7692 §7.2.2",
        "A message may refer to its own bytes at a distance of 32 KiB, unless a smaller window is agreed",
        "Otherwise, the server MUST use a 32,768-byte LZ77 sliding window to decompress received messages.",
        deflated("a message with a repetition at almost 32,768 bytes", "the message back", _far_back_in_one),
        "Inflate with a window of 15 bits, unless client_max_window_bits is agreed.",
    ),
    Case(
        "9.context.server-starts-anew",
        MUST,
        "RFC 7692 §7.2.1",
        "With server_no_context_takeover, each message of the server inflates independently",
        ANEW,
        deflated(
            "four similar messages",
            "each inflates with an empty window",
            _server_starts_anew,
            "; server_no_context_takeover",
        ),
        "Create a new compressing object for each message.",
    ),
    Case(
        "9.context.client-starts-anew",
        MUST,
        "RFC 7692 §7.2.2",
        "With an offer of client_no_context_takeover, independently compressed messages come back",
        INFLATE,
        deflated(
            "three similar messages, each compressed independently",
            "all messages back",
            _client_starts_anew,
            "; client_no_context_takeover",
        ),
        "A message without references inflates with any window, kept or new.",
    ),
    Case(
        "9.context.both-start-anew",
        MUST,
        "RFC 7692 §7.2.1",
        "With both no_context_takeover parameters, messages come back and inflate independently",
        ANEW,
        deflated(
            "four similar messages",
            "each inflates with an empty window",
            _server_starts_anew,
            "; server_no_context_takeover; client_no_context_takeover",
        ),
        "Each direction has its own zlib object and its own parameter.",
    ),
    *(_window(bits) for bits in range(8, 16)),
    *(_client_window(bits) for bits in (9, 10, 12, 15)),
)

CASES = (*NEGOTIATION_CASES, *MESSAGE_CASES, *INVALID_CASES, *CONTEXT_CASES)
