"""Chapter 9: the cases about permessage-deflate, RFC 7692.

A server may decline any offer: then a case that needs the extension is skipped.  What it
agrees to must be what was offered, and what it agreed to must be kept.

DEFLATE itself is the standard library's zlib, on both sides of most tests in the world;
so the cases also send streams that zlib would not write: stored blocks, a final block, two
blocks in one message, and the examples of §7.2.3, byte for byte.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import zlib
from collections.abc import Callable

from ..case import Case, Play
from ..codec import BINARY, CONTINUATION, PING, PONG, TEXT, Answer, Frame, frame, upgrade
from ..plays import in_words, script
from ..session import Peer
from ..verdict import Failed, Level, Skipped
from .common import INTEROP, MUST, SHOULD, letters, pattern, take_pongs

NAME = "permessage-deflate"
TAIL = b"\0\0\xff\xff"

# -- The negotiation ---------------------------------------------------------------------

#: Names and values of one element of Sec-WebSocket-Extensions; None: no value.
Parameters = list[tuple[str, str | None]]

TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"


def parse_elements(value: str) -> list[tuple[str, Parameters]]:
    """The elements of a Sec-WebSocket-Extensions header.  RFC 6455 §9.1.

    Raises:
        Failed: it is none.

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
                raise Failed(f"Sec-WebSocket-Extensions: {value}", "NAME; NAME=VALUE ... as RFC 6455 §9.1 writes it")
            parameters.append((found[1], found[2] or found[3]))
        if not re.fullmatch(TOKEN, name):
            raise Failed(f"Sec-WebSocket-Extensions: {value}", "NAME; NAME=VALUE ... as RFC 6455 §9.1 writes it")
        elements.append((name, parameters))
    return elements


def response_of(answer: Answer) -> Parameters | None:
    """What a server answered to an offer; None: it declined.

    Raises:
        Failed: more than one element, or another extension.
    """
    lines = answer.lines("Sec-WebSocket-Extensions")
    if not lines:
        return None
    if len(lines) > 1:
        raise Failed("two Sec-WebSocket-Extensions in one answer", "at most one (RFC 6455 §11.3.2)")
    elements = parse_elements(lines[0])
    if [name for name, _ in elements] != [NAME]:
        raise Failed(f"Sec-WebSocket-Extensions: {lines[0]}", f"{NAME}, once, or no such header")
    return elements[0][1]


FLAGS = ("server_no_context_takeover", "client_no_context_takeover")
WINDOWS = ("server_max_window_bits", "client_max_window_bits")


def what_is_wrong(offers: list[Parameters], response: Parameters) -> str:
    """Why a response answers none of these offers; "": it does answer one.  RFC 7692 §7."""
    names = [name for name, _ in response]
    for name, value in response:
        if names.count(name) > 1:
            return f"{name} stands twice"
        if name not in FLAGS + WINDOWS:
            return f"{name} is no parameter of {NAME}"
        if name in FLAGS and value is not None:
            return f"{name} takes no value"
        if name in WINDOWS and (value is None or not re.fullmatch("[89]|1[0-5]", value)):
            return f"{name} is {value or 'without a value'}, not a number from 8 to 15"
    reasons = [_not_for(dict(offer), dict(response)) for offer in offers]
    return "" if "" in reasons or not reasons else reasons[0]


def _not_for(offer: dict[str, str | None], response: dict[str, str | None]) -> str:
    if FLAGS[0] in offer and FLAGS[0] not in response:
        return f"{FLAGS[0]} was asked for, and is not in the answer"
    if (asked := offer.get(WINDOWS[0])) is not None:
        if (given := response.get(WINDOWS[0])) is None:
            return f"{WINDOWS[0]}={asked} was asked for, and is not in the answer"
        if int(given) > int(asked):
            return f"{WINDOWS[0]} is {given}, more than the {asked} that was asked for"
    if (given := response.get(WINDOWS[1])) is not None:
        if WINDOWS[1] not in offer:
            return f"{WINDOWS[1]} is in the answer, and was not offered"
        if (most := offer[WINDOWS[1]]) is not None and int(given) > int(most):
            return f"{WINDOWS[1]} is {given}, more than the {most} that was offered"
    return ""


def _negotiate(peer: Peer, *lines: str) -> tuple[Answer | None, Parameters | None]:
    """Offer this; None: refused, and None: declined."""
    line = peer.dial()
    line.send(upgrade(*(f"Sec-WebSocket-Extensions: {offer}" for offer in lines)))
    answer = line.answer()
    line.hang_up()
    if answer is None or answer.status != 101:
        return None, None
    return answer, response_of(answer)


def _legal(*lines: str, good: str | None = None) -> Play:
    """The answer to this offer is a legal one.

    Args:
        good: The elements that may be accepted, where they are not all.
    """
    offers = [found for name, found in parse_elements(", ".join(lines) if good is None else good) if name == NAME]

    def run(peer: Peer) -> None:
        answer, response = _negotiate(peer, *lines)
        if answer is None or response is None:
            return  # declined, which is the server's right
        if wrong := what_is_wrong(offers, response):
            came = answer.lines("Sec-WebSocket-Extensions")[0]
            raise Failed(f"Sec-WebSocket-Extensions: {came}: {wrong}", "an answer to this offer, or none")

    return Play(
        f"the offer {' ⏎ '.join(lines)}", "an answer that this offer allows; or the offer is declined", run, "agree"
    )


def _declined(offer: str, fallback: str = "") -> Play:
    """The first offer must be declined; the second, if there is one, may be accepted."""

    def run(peer: Peer) -> None:
        answer, response = _negotiate(peer, f"{offer}, {fallback}" if fallback else offer)
        if answer is None or response is None:
            return
        came = f"Sec-WebSocket-Extensions: {answer.lines('Sec-WebSocket-Extensions')[0]}"
        if not fallback:
            raise Failed(came, "101 without Sec-WebSocket-Extensions")
        if wrong := what_is_wrong([found for _, found in parse_elements(fallback)], response):
            raise Failed(f"{came}: {wrong}", f"an answer to {fallback}, or none")

    return Play(f"the offer {offer}" + f", {fallback}" * bool(fallback), "the bad offer is declined", run, "agree")


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
            came = answer.lines("Sec-WebSocket-Extensions")[0]
            raise Failed(f"Sec-WebSocket-Extensions: {came}, to {NAME}{parameters}", f"no {WINDOWS[1]}")


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
        "Check each parameter of an offer: known, once, and its value a number from 8 to 15, or none.  If one is "
        "wrong, "
        "try the client's next offer, or answer 101 without the extension.",
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
        "The offer that browsers make is accepted",
        "Legal either way; text shrinks to a fraction, and every browser offers it.",
        script(
            "the offer permessage-deflate; client_max_window_bits", "an answer that accepts it", _accepted, needs="open"
        ),
        "Look for permessage-deflate in Sec-WebSocket-Extensions, and name it in your answer.",
    ),
    _offer(
        "plain",
        "",
        "An offer without parameters gets a legal answer",
        UNSUPPORTED,
        "RFC 7692 §7",
        "Answer with parameters of RFC 7692 only, each once, and none of the client's that it did not offer.",
    ),
    _offer(
        "browser",
        "; client_max_window_bits",
        "The offer of browsers gets a legal answer",
        UNSUPPORTED,
        "RFC 7692 §7",
        "In an answer client_max_window_bits needs a value from 8 to 15; or leave it out.",
    ),
    Case(
        "9.offer.client-window-not-offered",
        MUST,
        "RFC 7692 §7.1.2.2",
        "The parameter client_max_window_bits is not asked of a client that has not offered it",
        'If a received extension negotiation offer doesn\'t have the "client_max_window_bits" extension parameter, the '
        'corresponding extension negotiation response to the offer MUST NOT include the "client_max_window_bits" '
        "extension parameter.",
        script(
            "offers without client_max_window_bits",
            "an answer without client_max_window_bits",
            _not_asked,
            needs="agree",
        ),
        "Only who writes client_max_window_bits in the offer knows what it means in the answer.",
    ),
    _offer(
        "server-no-context",
        "; server_no_context_takeover",
        "An offer of server_no_context_takeover is accepted by saying so",
        'A server accepts an extension negotiation offer that includes the "server_no_context_takeover" extension '
        'parameter by including the "server_no_context_takeover" extension parameter in the corresponding extension '
        "negotiation response to send back to the client.",
        "RFC 7692 §7.1.1.1",
        "Accept it by saying it, and compress each message with an empty window; or decline the offer.",
    ),
    _offer(
        "client-no-context",
        "; client_no_context_takeover",
        "An offer of client_no_context_takeover gets a legal answer",
        UNSUPPORTED,
        "RFC 7692 §7.1.1.2",
        "It is a hint: repeat it, or leave it out.",
    ),
    _offer(
        "everything",
        "; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10; "
        "client_max_window_bits=11",
        "An offer with all four parameters gets a legal answer",
        SAME_OR_SMALLER,
        "RFC 7692 §7.1",
        "Say what you accept of the server's two parameters; answer no more than was offered.",
    ),
    *(
        _offer(
            f"server-window-{bits}",
            f"; server_max_window_bits={bits}",
            f"An offer of server_max_window_bits={bits} is answered with a value up to {bits}, or declined",
            SAME_OR_SMALLER,
            "RFC 7692 §7.1.2.1",
            "Accept it by saying it, with the same value or a smaller one; if you cannot, decline the offer.",
            SHOULD if bits == 15 else MUST,  # 15 left unsaid means the same
        )
        for bits in range(8, 16)
    ),
    *(
        _offer(
            f"client-window-{bits}",
            f"; client_max_window_bits={bits}",
            f"An offer of client_max_window_bits={bits} is answered with a value up to {bits}, or with none",
            UNSUPPORTED,
            "RFC 7692 §7.1.2.2",
            "Do not ask the client for a larger window than it offers.",
        )
        for bits in (8, 9, 12, 15)
    ),
    Case(
        "9.offer.quoted",
        MUST,
        "RFC 6455 §9.1",
        "A value in quotes is the same value",
        "When using the quoted-string syntax variant, the value after quoted-string unescaping MUST conform to the "
        "'token' ABNF.",
        _legal(f'{NAME}; server_max_window_bits="10"'),
        "Take the quotes off before you look at a value.",
    ),
    Case(
        "9.offer.among-others",
        MUST,
        "RFC 6455 §9.1",
        "Of an extension that is known and one that is not, only the known one is accepted",
        "Any extension-token used MUST be a registered token (see Section 11.4).",
        _legal(f"x-unknown; a=1, {NAME}"),
        "Answer with the extensions that you use; do not send the client's header back.",
    ),
    Case(
        "9.offer.two-lines",
        MUST,
        "RFC 6455 §9.1",
        "Offers over two header lines are one list",
        "Note that like other HTTP header fields, this header field MAY be split or combined across multiple lines.",
        _legal("x-unknown", NAME),
        "Join the header's lines with commas before you read the list.",
    ),
    Case(
        "9.offer.two-good",
        MUST,
        "RFC 7692 §6",
        "Of two offers one is answered, not both",
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
    _bad("server-window-empty", "server_max_window_bits=", "server_max_window_bits= with nothing after it", BAD_VALUE),
    _bad("client-window-7", "client_max_window_bits=7", "client_max_window_bits=7", BAD_VALUE),
    _bad("client-window-16", "client_max_window_bits=16", "client_max_window_bits=16", BAD_VALUE),
    _bad("client-window-08", "client_max_window_bits=08", "client_max_window_bits=08, with a leading zero,", BAD_VALUE),
    _bad("server-flag-value", "server_no_context_takeover=1", "server_no_context_takeover with a value", BAD_VALUE),
    _bad("client-flag-value", "client_no_context_takeover=true", "client_no_context_takeover with a value", BAD_VALUE),
    _bad("unknown", "x_unknown", "A parameter that there is not", UNDEFINED),
    _bad("unknown-value", "max_window_bits=10", "max_window_bits, which is no parameter,", UNDEFINED),
    _bad("twice", "server_no_context_takeover; server_no_context_takeover", "A parameter that stands twice", TWICE),
    _bad(
        "twice-value",
        "server_max_window_bits=10; server_max_window_bits=12",
        "A parameter that stands twice, with two values,",
        TWICE,
    ),
    _bad(
        "then-good",
        "server_max_window_bits=7",
        "Of two offers the bad first one",
        BAD_VALUE,
        f"{NAME}; server_max_window_bits=10",
    ),
)

# -- Messages --------------------------------------------------------------------------------


class Declined(Skipped):
    """The server does not agree to this offer."""


class Talk:
    """A connection on which permessage-deflate is agreed.

    Attributes:
        agreed: The answer's parameters.
    Raises:
        Declined: the offer is declined, which is the server's right.
    """

    def __init__(self, peer: Peer, parameters: str = "") -> None:
        offer = NAME + parameters
        self.line = peer.dial()
        self.line.send(upgrade(f"Sec-WebSocket-Extensions: {offer}"))
        answer = self.line.answer()
        if answer is None:
            raise Failed("the handshake was answered with the end of TCP", "101 Switching Protocols")
        if answer.status != 101:
            raise Declined(f"the handshake with the offer {offer} is refused: {answer}")
        response = response_of(answer)
        if response is None:
            raise Declined(f"the offer {offer} is declined, which is the server's right")
        self.agreed = dict(response)
        self.deflater = self._new_deflater()
        self.inflater = zlib.decompressobj(-self.bits("server_max_window_bits"))
        self.last = b""  # the payload of the last message that came, as it was on the wire

    def bits(self, name: str) -> int:
        """The agreed value, or 15."""
        value = self.agreed.get(name)
        return int(value) if value and re.fullmatch("[89]|1[0-5]", value) else 15

    def _new_deflater(self) -> zlib._Compress:
        return zlib.compressobj(wbits=-max(9, self.bits("client_max_window_bits")))

    def compress(self, payload: bytes) -> bytes:
        """A message of ours.  RFC 7692 §7.2.1."""
        if "client_no_context_takeover" in self.agreed or self.bits("client_max_window_bits") == 8:
            self.deflater = self._new_deflater()  # a window of 256 bytes is beyond zlib: keep messages below it
        return (self.deflater.compress(payload) + self.deflater.flush(zlib.Z_SYNC_FLUSH))[: -len(TAIL)]

    def send(self, opcode: int, payload: bytes) -> None:
        """A message, compressed."""
        self.line.send(frame(opcode, self.compress(payload), rsv=4))

    def inflate(self, payload: bytes, most: int = 1 << 26) -> bytes:
        """A message of the server's, in steps so small that a window that is too large is noticed.

        Raises:
            Failed: it is no DEFLATE, or refers to what is not in the window.
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
            raise Failed(f"a compressed message that cannot be inflated: {error}: {in_words(payload)}") from None
        return b"".join(message)

    def expect(self, opcode: int, payload: bytes) -> None:
        """The next message is this one, compressed or not."""
        wanted = Frame(opcode, payload)
        came = self.line.due(wanted)
        self.last = came.payload
        if came.rsv & 4 and came.opcode < 8:
            came = Frame(came.opcode, self.inflate(came.payload), came.fin, came.rsv)
        self.line.compare(came, wanted)

    def expect_with_pong(self, payload: bytes, ping: bytes) -> None:
        """The next two are this text, compressed or not, and this Pong; which is first is free."""
        due = [Frame(TEXT, payload), Frame(PONG, ping)]
        while due:
            try:
                came = self.line.message()
            except Failed as failure:
                raise Failed(failure.got, " and ".join(map(str, due))) from None
            if came.rsv & 4 and came.opcode < 8:
                came = Frame(came.opcode, self.inflate(came.payload), came.fin, came.rsv)
            if not any((came.opcode, came.payload) == (one.opcode, one.payload) for one in due):
                raise Failed(str(came), " and ".join(map(str, due)))
            due = [one for one in due if one.opcode != came.opcode]

    def fails(self, wire: bytes) -> None:
        """This fails the connection."""
        self.line.send(wire)
        self.line.expect_failure()


def talk(sends: str, accepts: str, run: Callable[[Talk], None], parameters: str = "") -> Play:
    """Whatever the function does with a connection on which permessage-deflate is agreed."""

    def play(peer: Peer) -> None:
        with contextlib.suppress(Declined):
            run(Talk(peer, parameters))

    return Play(sends, f"{accepts}; or the offer is declined" if parameters else accepts, play, "deflate")


def hexed(text: str) -> bytes:
    """Hex to bytes."""
    return bytes.fromhex(text)


HELLO = hexed("f2 48 cd c9 c9 07 00")  # RFC 7692 §7.2.3.1


def _raw(wire: bytes, *messages: tuple[int, bytes]) -> Play:
    """Bytes, and the messages that come back for them."""

    def run(it: Talk) -> None:
        it.line.send(wire)
        for opcode, payload in messages:
            it.expect(opcode, payload)

    came = ", ".join(f"a message of {len(payload)} bytes" for _, payload in messages)
    return talk(in_words(wire), f"back come: {came}", run)


def _round_trip(*messages: tuple[int, bytes], parameters: str = "") -> Play:
    def run(it: Talk) -> None:
        for opcode, payload in messages:
            it.send(opcode, payload)
            it.expect(opcode, payload)

    sizes = ", ".join(f"{len(payload)}" for _, payload in messages)
    return talk(
        f"compressed messages of {sizes} bytes" + f" ({parameters[2:]})" * bool(parameters),
        "all come back",
        run,
        parameters,
    )


def _fails(wire: bytes) -> Play:
    return talk(in_words(wire), "Close, or the end of TCP: nothing else comes back", lambda it: it.fails(wire))


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
SHUFFLED = b"".join(hashlib.sha256(b"%d" % i).digest() for i in range(2048))  # 64 KiB that do not shrink


def _message(
    name: str, title: str, play: Play, hint: str, quote: str = INFLATE, section: str = "RFC 7692 §7.2.2"
) -> Case:
    return Case(f"9.message.{name}", MUST, section, title, quote, play, hint)


INFLATE_ALL = "Join the payloads, append 00 00 ff ff once, inflate as raw DEFLATE (wbits=-15)."
LOOK_AT_RSV1 = "Inflate a message if RSV1 is set on its first frame, and only then."


def _fragmented(opcode: int, *pieces: bytes) -> bytes:
    last = len(pieces) - 1
    return b"".join(
        frame(0 if i else opcode, piece, fin=i == last, rsv=0 if i else 4) for i, piece in enumerate(pieces)
    )


def _pings_between(it: Talk) -> None:
    it.line.send(frame(TEXT, HELLO[:3], fin=False, rsv=4) + frame(PING, b"Hello") + frame(CONTINUATION, HELLO[3:]))
    it.expect_with_pong(b"Hello", b"Hello")


def _mixed(it: Talk) -> None:
    for i in range(6):
        payload = b"message %d, message %d" % (i, i)
        if i % 2:
            it.line.send(frame(TEXT, payload))
        else:
            it.send(TEXT, payload)
        it.expect(TEXT, payload)


def _own_bits(it: Talk) -> None:
    """RSV1 of the server's frames: on first frames of messages only."""
    it.send(TEXT, letters(70000))
    it.line.send(frame(PING, b"Hello" * 20))
    pongs = 0
    for came in it.line.frames():
        if came.rsv & 3:
            raise Failed(f"RSV2 or RSV3 is set on {came}", "at most RSV1")
        if came.rsv and (came.opcode >= 8 or came.opcode == CONTINUATION):
            raise Failed(f"RSV1 is set on {came}", "RSV1 on the first frame of a message only")
        pongs += came.opcode == PONG
        if pongs:
            return


def _plain_pong(it: Talk) -> None:
    it.line.send(frame(PING, HELLO))
    take_pongs(it.line, [HELLO], [])


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
        "An empty message is 00 on the wire (§7.2.3.6); inflating gives nothing, which is a message.",
    ),
    _message(
        "two-blocks",
        "Two DEFLATE blocks in one message are inflated",
        _raw(frame(TEXT, hexed("f2 48 05 00 00 00 ff ff ca c9 c9 07 00"), rsv=4), (TEXT, b"Hello")),
        "Inflate to the end of the input: 00 00 ff ff inside is no end.",
        ANY_BLOCKS,
        "RFC 7692 §7.2.3.5",
    ),
    _message(
        "stored",
        "A stored DEFLATE block, not compressed, is inflated",
        _raw(frame(TEXT, hexed("00 05 00 fa ff 48 65 6c 6c 6f 00"), rsv=4), (TEXT, b"Hello")),
        INFLATE_ALL,
        ANY_BLOCKS,
        "RFC 7692 §7.2.3.3",
    ),
    _message(
        "final",
        "A DEFLATE block with BFINAL is inflated",
        _raw(frame(TEXT, hexed("f3 48 cd c9 c9 07 00 00"), rsv=4), (TEXT, b"Hello")),
        "BFINAL ends the stream for zlib: what follows, the tail at least, is left over; do not choke on it.",
        PADDED,
        "RFC 7692 §7.2.3.4",
    ),
    _message(
        "final-then-another",
        "After a message with BFINAL the next message is inflated too",
        _raw(
            frame(TEXT, hexed("f3 48 cd c9 c9 07 00 00"), rsv=4) + frame(TEXT, HELLO, rsv=4),
            (TEXT, b"Hello"),
            (TEXT, b"Hello"),
        ),
        "After BFINAL zlib's object is at its end and swallows what it is given: make a new one.",
        TAKEN_OVER,
        "RFC 7692 §7.2.2",
    ),
    _message("long", "64 KiB of text, compressed, come back", _round_trip((TEXT, letters(65536))), INFLATE_ALL),
    _message(
        "does-not-shrink",
        "64 KiB that do not shrink, compressed all the same, come back",
        _round_trip((BINARY, SHUFFLED)),
        "Compressed data may be longer than the message: give zlib room, and read the whole payload.",
    ),
    _message(
        "shrinks-much",
        "512 KiB in less than 1 KiB on the wire come back",
        _round_trip((TEXT, b"a" * 524288)),
        "Inflate until the input is used up: zlib may have more to give than one buffer holds.",
    ),
    _message(
        "not-compressed",
        "A message without RSV1 is taken as it is",
        _raw(frame(TEXT, b"Hello"), (TEXT, b"Hello")),
        LOOK_AT_RSV1,
        UNCOMPRESSED,
        "RFC 7692 §6",
    ),
    _message(
        "looks-compressed",
        "A binary message without RSV1 is taken as it is, even if it looks compressed",
        _raw(frame(BINARY, HELLO), (BINARY, HELLO)),
        LOOK_AT_RSV1,
        UNCOMPRESSED,
        "RFC 7692 §6",
    ),
    _message(
        "mixed",
        "Compressed messages and others may take turns",
        talk("six messages, every second one compressed", "all come back", _mixed),
        LOOK_AT_RSV1,
        UNCOMPRESSED,
        "RFC 7692 §6",
    ),
    _message(
        "two-fragments",
        "A compressed message in two fragments comes back",
        _raw(_fragmented(TEXT, HELLO[:3], HELLO[3:]), (TEXT, b"Hello")),
        INFLATE_ALL + "  RSV1 is on the first frame: remember it with the opcode.",
        JOINED,
        "RFC 6455 §6.2",
    ),
    _message(
        "many-fragments",
        "A compressed message in fragments of one byte, and an empty one, comes back",
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
        "A Ping inside a compressed message is answered, and the message is whole",
        talk("a compressed message in two fragments, a Ping between them", "the Pong and the message", _pings_between),
        "Control frames are never compressed, and do not touch the message.",
        "An endpoint MUST be capable of handling control frames in the middle of a fragmented message.",
        "RFC 6455 §5.4",
    ),
    _message(
        "utf8-split",
        "A character may be split between compressed fragments",
        _raw(
            (lambda data: _fragmented(TEXT, data[:4], data[4:]))(
                (lambda it: (it.compress("€ €".encode()) + it.flush(zlib.Z_SYNC_FLUSH))[:-4])(
                    zlib.compressobj(wbits=-15)
                )
            ),
            (TEXT, "€ €".encode()),
        ),
        "Text is checked after it is inflated; compressed bytes are no text.",
        INFLATE,
    ),
    Case(
        "9.rsv1.own",
        MUST,
        "RFC 7692 §6",
        "The server sets RSV1 on the first frame of a message only",
        RSV1,
        talk("a long compressed text, and a Ping", "RSV1 neither on a continuation nor on a Pong", _own_bits),
        "RSV1 goes with the opcode 1 or 2, never with 0, 8, 9 or 10.",
    ),
    Case(
        "9.rsv1.pong-is-plain",
        MUST,
        "RFC 6455 §5.5.3",
        "A Pong has the Ping's payload, not compressed and not inflated",
        'A Pong frame sent in response to a Ping frame must have identical "Application data" as found in the message '
        "body of the Ping frame being replied to.",
        talk("a Ping whose payload is valid DEFLATE", "PONG with the same bytes", _plain_pong),
        "Compression is for data frames: let control frames pass it by.",
    ),
    *(
        Case(f"9.rsv1.{name}", MUST, "RFC 7692 §6", f"{title} fails the connection", RSV1, _fails(wire), hint)
        for name, title, wire, hint in (
            (
                "continuation",
                "RSV1 on a continuation",
                frame(TEXT, HELLO[:3], fin=False, rsv=4) + frame(CONTINUATION, HELLO[3:], rsv=4),
                "RSV1 with the opcode 0 is an error, also when the extension is agreed.",
            ),
            (
                "continuation-only",
                "RSV1 on a continuation of a message that is not compressed",
                frame(TEXT, b"Hel", fin=False) + frame(CONTINUATION, HELLO, rsv=4),
                "Whether a message is compressed is said in its first frame.",
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
            f"RSV{bit} fails the connection, though {NAME} is agreed",
            "If a nonzero value is received and none of the negotiated extensions defines the meaning of such a "
            "nonzero "
            "value, the receiving endpoint MUST _Fail the WebSocket Connection_.",
            _fails(frame(TEXT, HELLO, rsv=4 | rsv)),
            "permessage-deflate defines RSV1 only: first_byte & 0x30 must be 0.",
        )
        for bit, rsv in ((2, 2), (3, 1))
    ),
)

# -- What is no good -----------------------------------------------------------------------------

VALIDATED = "Incoming data MUST always be validated by both clients and servers."


def _deflated(message: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-15)
    return (deflater.compress(message) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]


def _bomb(mebibytes: int) -> bytes:
    deflater = zlib.compressobj(9, wbits=-15)
    data = b"".join(deflater.compress(bytes(1 << 20)) for _ in range(mebibytes))
    return (data + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]


def _drop_bomb(peer: Peer) -> None:
    it = Talk(peer)
    it.line.send(frame(BINARY, _bomb(48), rsv=4))
    try:
        it.line.message()
    except Failed:
        pass  # it may be at work still; whether it lives is seen by the next connection
    it.line.hang_up()


def _survives_bomb(peer: Peer) -> None:
    _drop_bomb(peer)
    line = peer.open()
    line.send(frame(TEXT, b"Hello"))
    line.expect(TEXT, b"Hello")


INVALID_CASES = (
    *(
        Case(
            f"9.invalid.{name}",
            MUST,
            "RFC 6455 §10.7",
            f"{title} fails the connection",
            VALIDATED,
            _fails(frame(TEXT, payload, rsv=4)),
            "When zlib raises, fail the connection (1007, say); do not deliver what came out before.",
        )
        for name, title, payload in (
            ("block-type", "A DEFLATE block of the type 3, which is reserved,", b"\x06" + b"\xff" * 16),
            ("stored-length", "A stored block whose two lengths differ", hexed("00 05 00 00 00 48 65 6c 6c 6f 00")),
            ("too-far-back", "A reference to what was never sent", hexed("f2 00 11 00 00")),
            ("text", "Plain text that is marked as compressed", b"Hello, Hello, Hello, Hello"),
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
            _fails(frame(TEXT, _deflated(payload), rsv=4)),
            "Check text after inflating it too.",
        )
        for name, title, payload in (
            ("invalid", "A compressed text that is not UTF-8", b"Hello \xff"),
            ("surrogate", "A compressed text with a surrogate", b"\xed\xa0\x80"),
            ("cut", "A compressed text that ends inside a character", b"Hello \xe2\x82"),
        )
    ),
    Case(
        "9.bomb.survived",
        MUST,
        "RFC 6455 §10.4",
        "48 MiB of zeros in 48 KiB on the wire do the server no harm",
        "Implementations that have implementation- and/or platform-specific limitations regarding the frame size or "
        "total message size after reassembly from multiple frames MUST protect themselves against exceeding those "
        "limits.",
        script(
            "a compressed message of 48 MiB of zeros",
            "whatever it does, the next connection works as ever",
            _survives_bomb,
            needs="deflate",
            alone=True,
        ),
        "Give zlib a limit for its output (max_length in Python), and close with 1009 when it is reached.",
    ),
)

# -- Context takeover and windows -------------------------------------------------------------------

KEEP_INFLATER = "Keep one inflating object for the whole connection, unless client_no_context_takeover was agreed."


def _hex_noise(size: int, seed: str = "") -> bytes:
    """Hex digits: they shrink to a half, and hold no repetitions."""
    blocks = (hashlib.sha256(f"{seed}{i}".encode()).hexdigest() for i in range(size // 64 + 1))
    return "".join(blocks).encode()[:size]


ANEW = (
    'If the "agreed parameters" contain the "server_no_context_takeover" extension parameter, the server MUST start '
    "compressing each new message with an empty LZ77 sliding window."
)


def _takeover(it: Talk) -> None:
    if "client_no_context_takeover" in it.agreed:
        return  # the server has asked us not to
    it.line.send(frame(TEXT, HELLO, rsv=4))
    it.expect(TEXT, b"Hello")
    it.line.send(frame(TEXT, hexed("f2 00 11 00 00"), rsv=4))  # §7.2.3.2
    it.expect(TEXT, b"Hello")


def _takeover_past_plain(it: Talk) -> None:
    if "client_no_context_takeover" in it.agreed:
        return  # the server has asked us not to
    it.line.send(frame(TEXT, HELLO, rsv=4))
    it.expect(TEXT, b"Hello")
    it.line.send(frame(TEXT, b"something else") + frame(PING, b"and a Ping"))
    it.expect_with_pong(b"something else", b"and a Ping")
    it.line.send(frame(TEXT, hexed("f2 00 11 00 00"), rsv=4))
    it.expect(TEXT, b"Hello")


def _far_back(it: Talk) -> None:
    """A repetition at the distance that our window just allows, from message to message."""
    if "client_no_context_takeover" in it.agreed:
        return  # the server has asked us not to
    size = (1 << it.bits("client_max_window_bits")) - 300
    noise = _hex_noise(size)
    it.send(TEXT, noise)
    it.expect(TEXT, noise)
    it.send(TEXT, noise[:200])
    it.expect(TEXT, noise[:200])


def _far_back_in_one(it: Talk) -> None:
    size = (1 << it.bits("client_max_window_bits")) - 300
    noise = _hex_noise(size)
    it.send(TEXT, noise + noise[:200])
    it.expect(TEXT, noise + noise[:200])


def _server_starts_anew(it: Talk) -> None:
    for payload in (letters(200), letters(200), _hex_noise(300) * 2, letters(200)):
        it.inflater = zlib.decompressobj(-it.bits("server_max_window_bits"))
        it.send(TEXT, payload)
        it.expect(TEXT, payload)


def _client_starts_anew(it: Talk) -> None:
    for payload in (letters(200), letters(200), letters(100)):
        it.deflater = zlib.compressobj(wbits=-max(9, it.bits("client_max_window_bits")))
        it.send(TEXT, payload)
        it.expect(TEXT, payload)


def _server_window(it: Talk) -> None:
    """Repetitions just beyond the agreed window: a server that uses a larger one refers to them."""
    size = 1 << it.bits("server_max_window_bits")
    for distance in (size + 300, 2 * size, 32000):
        noise = _hex_noise(300, f"{distance}")
        message = noise + _hex_noise(max(distance, 600) - 300, "filler") + noise
        it.send(TEXT, message)
        it.expect(TEXT, message)


def _window(bits: int) -> Case:
    return Case(
        f"9.window.server-{bits}",
        MUST,
        "RFC 7692 §7.2.1",
        f"Where server_max_window_bits={bits} was asked for and agreed, the server refers to nothing farther back",
        'If the "agreed parameters" contain the "server_max_window_bits" extension parameter with a value of w, the '
        "server MUST NOT use an LZ77 sliding window longer than the w-th power of 2 bytes to compress messages to "
        "send.",
        talk(
            f"messages that repeat themselves beyond 2**{bits} bytes",
            f"each inflates with a window of 2**{bits} bytes",
            _server_window,
            f"; server_max_window_bits={bits}",
        ),
        "Make the compressing object with wbits=-(the agreed value).  zlib's smallest is 9: decline 8.",
    )


def _client_window(bits: int) -> Case:
    return Case(
        f"9.window.client-{bits}",
        MUST,
        "RFC 7692 §7.2.2",
        f"Messages compressed with the window agreed on come back, where client_max_window_bits={bits} is offered",
        "Otherwise, the server MUST use a 32,768-byte LZ77 sliding window to decompress received messages.",
        talk(
            "messages that repeat themselves as far back as the window allows",
            "all come back",
            _far_back,
            f"; client_max_window_bits={bits}",
        ),
        "Inflate with a window that is at least as large as you have told the client: 15, if you have told nothing.",
    )


CONTEXT_CASES = (
    Case(
        "9.context.taken-over",
        MUST,
        "RFC 7692 §7.2.2",
        "A message may refer to the one before: the RFC's second Hello comes back",
        TAKEN_OVER,
        talk("Hello, and Hello as a reference to the first", "Hello, twice", _takeover),
        KEEP_INFLATER,
    ),
    Case(
        "9.context.hint-only",
        MUST,
        "RFC 7692 §7.2.2",
        "A client that has offered client_no_context_takeover, and was not taken at its word, may refer to earlier "
        "messages",
        'Note that even if the client has included the "client_no_context_takeover" extension parameter in its offer, '
        "the server MUST decompress each new message using the LZ77 sliding window used to process the last compressed "
        "message "
        'if the "agreed parameters" don\'t contain the "client_no_context_takeover" extension parameter.',
        talk(
            "Hello, and Hello as a reference to the first, unless client_no_context_takeover is agreed",
            "Hello, twice",
            _takeover,
            "; client_no_context_takeover",
        ),
        "What counts is your answer: name client_no_context_takeover there, or keep the window.",
    ),
    Case(
        "9.context.past-plain",
        MUST,
        "RFC 7692 §7.2.2",
        "A message that is not compressed, and a Ping, leave the window as it is",
        TAKEN_OVER,
        talk("Hello, a plain message, a Ping, Hello as a reference", "all come back", _takeover_past_plain),
        KEEP_INFLATER + "  What is not compressed does not go through it.",
    ),
    Case(
        "9.context.far-back",
        MUST,
        "RFC 7692 §7.2.2",
        "A message may refer to another that is as far back as the window allows",
        TAKEN_OVER,
        talk("two messages, the second a reference to the start of the first", "both come back", _far_back),
        KEEP_INFLATER,
    ),
    Case(
        "9.window.client-32768",
        MUST,
        "RFC 7692 §7.2.2",
        "A message may refer to what is 32 KiB back in itself, where no smaller window is agreed",
        "Otherwise, the server MUST use a 32,768-byte LZ77 sliding window to decompress received messages.",
        talk("a message that repeats itself at almost 32,768 bytes", "it comes back", _far_back_in_one),
        "Inflate with wbits=-15, unless client_max_window_bits was agreed.",
    ),
    Case(
        "9.context.server-starts-anew",
        MUST,
        "RFC 7692 §7.2.1",
        "Where server_no_context_takeover is agreed, each message of the server's inflates by itself",
        ANEW,
        talk(
            "four messages that are alike",
            "each inflates with an empty window",
            _server_starts_anew,
            "; server_no_context_takeover",
        ),
        "Make a new compressing object for each message.",
    ),
    Case(
        "9.context.client-starts-anew",
        MUST,
        "RFC 7692 §7.2.2",
        "Where client_no_context_takeover is offered, messages compressed each by itself come back",
        INFLATE,
        talk(
            "three messages that are alike, each compressed by itself",
            "all come back",
            _client_starts_anew,
            "; client_no_context_takeover",
        ),
        "A message that refers to nothing is right with any window, kept or new.",
    ),
    Case(
        "9.context.both-start-anew",
        MUST,
        "RFC 7692 §7.2.1",
        "Where both sides agreed to start anew, messages come back, each inflating by itself",
        ANEW,
        talk(
            "four messages that are alike",
            "each inflates with an empty window",
            _server_starts_anew,
            "; server_no_context_takeover; client_no_context_takeover",
        ),
        "Each direction has its own object, and its own parameter.",
    ),
    *(_window(bits) for bits in range(8, 16)),
    *(_client_window(bits) for bits in (9, 10, 12, 15)),
)

CASES = (*NEGOTIATION_CASES, *MESSAGE_CASES, *INVALID_CASES, *CONTEXT_CASES)
