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
import zlib

from ..case import Needs, Play
from ..codec import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Answer, frame, text, upgrade
from ..plays import ask, in_words, survives
from ..rule import Row, Rule, cases_of
from ..session import Peer
from ..verdict import Failed
from .common import (
    IDENTICAL,
    IN_THE_MIDDLE,
    INTEROP,
    LIMITS,
    MUST,
    NOT_UTF8,
    RSV,
    SHOULD,
    in_pieces,
    letters,
    pattern,
    take_pongs,
)
from .deflate import (
    EXTENSIONS,
    NAME,
    WINDOWS,
    DeflateSession,
    Parameters,
    deflated,
    flushed,
    parse_elements,
    parse_response,
    response_fault,
)

# -- The negotiation ---------------------------------------------------------------------


def _negotiate(peer: Peer, *lines: str) -> tuple[Answer | None, Parameters | None]:
    """Send a handshake with these offers.

    Returns:
        The answer (None: the handshake was refused), and the accepted parameters (None: declined).
    """
    answer = ask(peer, upgrade(*(f"{EXTENSIONS}: {offer}" for offer in lines)))
    peer.wires[-1].close()
    if answer is None or answer.status != 101:
        return None, None
    return answer, parse_response(answer)


def _legal(*lines: str) -> Play:
    """Expect a legal answer to this offer."""
    offers = [found for name, found in parse_elements(", ".join(lines)) if name == NAME]

    def run(peer: Peer) -> None:
        answer, response = _negotiate(peer, *lines)
        if answer is None or response is None:
            return  # declined, which is legal
        if wrong := response_fault(offers, response):
            received = answer.lines(EXTENSIONS)[0]
            raise Failed(f"{EXTENSIONS}: {received}: {wrong}", "an answer to this offer, or no such header")

    return Play(f"the offer {' ⏎ '.join(lines)}", "an answer that this offer allows, or none", run, Needs.DEFLATE)


def _declined(offer: str, fallback: str = "") -> Play:
    """Expect that the server declines the first offer; it may accept the second one."""

    def run(peer: Peer) -> None:
        answer, response = _negotiate(peer, f"{offer}, {fallback}" if fallback else offer)
        if answer is None or response is None:
            return
        received = f"{EXTENSIONS}: {answer.lines(EXTENSIONS)[0]}"
        if not fallback:
            raise Failed(received, f"101 without {EXTENSIONS}")
        if wrong := response_fault([found for _, found in parse_elements(fallback)], response):
            raise Failed(f"{received}: {wrong}", f"an answer to {fallback}, or no such header")

    return Play(
        f"the offer {offer}" + f", {fallback}" * bool(fallback), "the bad offer is declined", run, Needs.DEFLATE
    )


DECLINE = (
    "A server MUST decline an extension negotiation offer for this extension if any of the following conditions are "
    "met: "
)
UNSUPPORTED = DECLINE + "The server doesn't support the offered configuration."
CHECK_EACH = (
    "Check each parameter of an offer: its name, that it appears once, and its value.  If a check fails, try the "
    "client's next offer, or answer 101 without the extension."
)
SAME_OR_SMALLER = (
    'A server accepts an extension negotiation offer with this parameter by including the "server_max_window_bits" '
    "extension parameter in the extension negotiation response to send back to the client with the same or smaller "
    "value as the offer."
)
REPEAT_WINDOW = "Include it in the answer with the same value or a smaller one; if you cannot, decline the offer."


def _accepted(peer: Peer) -> None:
    answer, response = _negotiate(peer, f"{NAME}; client_max_window_bits")
    if answer is None:
        raise Failed("the handshake is refused", f"101, with {NAME}")
    if response is None:
        raise Failed("the offer is declined", f"{EXTENSIONS}: {NAME} ...")


def _not_asked(peer: Peer) -> None:
    for parameters in ("", "; client_no_context_takeover", "; server_max_window_bits=12"):
        answer, response = _negotiate(peer, NAME + parameters)
        if answer is not None and WINDOWS[1] in dict(response or ()):
            received = answer.lines(EXTENSIONS)[0]
            raise Failed(f"{EXTENSIONS}: {received} for {NAME}{parameters}", f"no {WINDOWS[1]}")


def _server_window(bits: int) -> Row:
    return (
        f"9.offer.server-window-{bits}",
        f"An offer of server_max_window_bits={bits} is answered with a value up to {bits}, or declined",
        _legal(f"{NAME}; server_max_window_bits={bits}"),
    )


def _bad(name: str, parameters: str, what: str, fallback: str = "") -> Row:
    return f"9.decline.{name}", f"{what} is declined", _declined(f"{NAME}; {parameters}", fallback)


NEGOTIATION_CASES = cases_of(
    Rule(INTEROP, "RFC 7692 §5",
         "Both ways are legal.  Every browser offers compression, and text shrinks to a fraction."),
    ("9.agree.browser", "The server accepts the offer of browsers",
     Play(f"the offer {NAME}; client_max_window_bits", "an answer that accepts the offer", _accepted, Needs.OPEN),
     "Find permessage-deflate in Sec-WebSocket-Extensions, and name it in your answer."),

    Rule(MUST, "RFC 7692 §7", UNSUPPORTED),
    ("9.offer.plain", "An offer without parameters gets a legal answer", _legal(NAME),
     "Answer only with parameters of RFC 7692, each one once, and no client parameter that was not offered."),
    ("9.offer.browser", "The offer of browsers gets a legal answer", _legal(f"{NAME}; client_max_window_bits"),
     "In an answer, client_max_window_bits needs a value from 8 to 15; or leave it out."),

    Rule(MUST, "RFC 7692 §7.1.2.2",
         'If a received extension negotiation offer doesn\'t have the "client_max_window_bits" extension parameter, '
         'the corresponding extension negotiation response to the offer MUST NOT include the "client_max_window_bits" '
         "extension parameter."),
    ("9.offer.client-window-not-offered", "The server sends client_max_window_bits only to a client that offered it",
     Play("offers without client_max_window_bits", "an answer without client_max_window_bits", _not_asked,
          Needs.DEFLATE),
     "A client that does not offer client_max_window_bits need not understand it in the answer."),

    Rule(MUST, "RFC 7692 §7.1.1.1",
         'A server accepts an extension negotiation offer that includes the "server_no_context_takeover" extension '
         'parameter by including the "server_no_context_takeover" extension parameter in the corresponding extension '
         "negotiation response to send back to the client."),
    ("9.offer.server-no-context", "An answer to server_no_context_takeover includes this parameter",
     _legal(f"{NAME}; server_no_context_takeover"),
     "Include it in the answer, and compress each message with an empty window; or decline the offer."),

    Rule(MUST, "RFC 7692 §7", UNSUPPORTED),
    ("9.offer.client-no-context", "An offer of client_no_context_takeover gets a legal answer",
     _legal(f"{NAME}; client_no_context_takeover"), "The parameter is a hint: repeat it, or leave it out."),

    Rule(MUST, "RFC 7692 §7.1.2.1", SAME_OR_SMALLER, REPEAT_WINDOW),
    ("9.offer.everything", "An offer with all four parameters gets a legal answer",
     _legal(f"{NAME}; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10; "
            "client_max_window_bits"),
     "Include the two server parameters, with values no larger than the offered ones."),
    *(_server_window(bits) for bits in range(8, 15)),

    # SHOULD: an answer without the parameter means 15, too.
    Rule(SHOULD, "RFC 7692 §7.1.2.1", SAME_OR_SMALLER, REPEAT_WINDOW),
    _server_window(15),

    Rule(SHOULD, "RFC 7692 §7.1.2.2",
         "the parameter also informs the peer server of a hint that even if the server doesn't include the "
         '"client_max_window_bits" extension parameter in the corresponding extension negotiation response with a '
         "value greater than the one in the extension negotiation offer ..., the client is not going to use an LZ77 "
         "sliding window size greater than the size specified by the value in the extension negotiation offer",
         "A client with a small window gains nothing from a larger value, and may misread it."),
    *((f"9.offer.client-window-{bits}",
       f"An offer of client_max_window_bits={bits} is answered with a value up to {bits}, or without it",
       _legal(f"{NAME}; client_max_window_bits={bits}"))
      for bits in (8, 9, 12, 15)),

    Rule(MUST, "RFC 6455 §9.1",
         "When using the quoted-string syntax variant, the value after quoted-string unescaping MUST conform to the "
         "'token' ABNF."),
    ("9.offer.quoted", "A value in quotes means the same as without quotes",
     _legal(f'{NAME}; server_max_window_bits="10"'), "Remove the quotes before you check a value."),

    Rule(MUST, "RFC 6455 §9.1", "Any extension-token used MUST be a registered token (see Section 11.4)."),
    ("9.offer.among-others", "The server accepts only the known one of two offered extensions",
     _legal(f"x-unknown; a=1, {NAME}"),
     "Answer with the extensions that you use; do not send the client's header back."),

    Rule(MUST, "RFC 6455 §9.1",
         "Note that like other HTTP header fields, this header field MAY be split or combined across multiple lines."),
    ("9.offer.two-lines", "Offers on two header lines are one list",
     _legal("x-unknown", NAME), "Join the lines of the header with commas before you parse the list."),

    Rule(MUST, "RFC 7692 §5",
         "A server MUST NOT accept a PMCE extension negotiation offer together with another extension if the PMCE will "
         "conflict with the extension on their use of the RSV1 bit."),
    ("9.offer.two-good", "The server answers one of two offers, not both",
     _legal(f"{NAME}; server_max_window_bits=10, {NAME}"), "Stop at the first offer that you accept."),

    Rule(MUST, "RFC 7692 §7",
         DECLINE + "The negotiation offer contains an extension parameter with an invalid value.", CHECK_EACH),
    *(_bad(f"server-window-{name}", f"server_max_window_bits{value}", f"An offer of server_max_window_bits{what}")
      for name, value, what in (
        ("7", "=7", "=7"),
        ("16", "=16", "=16"),
        ("010", "=010", "=010, with a leading zero,"),
        ("text", "=abc", "=abc"),
        ("minus", "=-10", "=-10"),
        ("plus", "=+10", "=+10"),
        ("alone", "", " without a value"),
        ("empty", "=", "= with an empty value"),
    )),
    *(_bad(f"client-window-{name}", f"client_max_window_bits={name}", f"An offer of client_max_window_bits={what}")
      for name, what in (("7", "7"), ("16", "16"), ("08", "08, with a leading zero,"))),
    _bad("server-flag-value", "server_no_context_takeover=1",
         "An offer of server_no_context_takeover with a value"),
    _bad("client-flag-value", "client_no_context_takeover=true",
         "An offer of client_no_context_takeover with a value"),

    Rule(MUST, "RFC 7692 §7",
         DECLINE + "The negotiation offer contains an extension parameter not defined for use in an offer.",
         CHECK_EACH),
    _bad("unknown", "x_unknown", "An offer with an unknown parameter"),
    _bad("unknown-value", "max_window_bits=10", "An offer of max_window_bits, which is not a parameter,"),

    Rule(MUST, "RFC 7692 §7",
         DECLINE + "The negotiation offer contains multiple extension parameters with the same name.", CHECK_EACH),
    _bad("twice", "server_no_context_takeover; server_no_context_takeover", "An offer with a repeated parameter"),
    _bad("twice-value", "server_max_window_bits=10; server_max_window_bits=12",
         "An offer with a repeated parameter and two values"),

    Rule(MUST, "RFC 7692 §7",
         DECLINE + "The negotiation offer contains an extension parameter with an invalid value.", CHECK_EACH),
    _bad("then-good", "server_max_window_bits=7", "The bad first one of two offers",
         f"{NAME}; server_max_window_bits=10"),
)  # fmt: skip

# -- Messages --------------------------------------------------------------------------------


def _compressed(*pieces: bytes) -> bytes:
    """Return the payload of a message, compressed with an empty window."""
    deflater = zlib.compressobj(9, wbits=-15)
    return flushed(deflater, b"".join(map(deflater.compress, pieces)))


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


def _round_trip(opcode: int, payload: bytes) -> Play:
    def run(session: DeflateSession) -> None:
        session.send(opcode, payload)
        session.expect(opcode, payload)

    return deflated(f"compressed messages of {len(payload)} bytes", "all messages back", run, binary=opcode == BINARY)


def _fails(data: bytes) -> Play:
    def run(session: DeflateSession) -> None:
        session.wire.send(data)
        session.wire.expect_failure()

    return deflated(in_words(data), "Close, or the end of TCP, and nothing else", run)


def _text(payload: str | bytes) -> bytes:
    """Build a text message with RSV1 from a payload, in hex or as it is."""
    return frame(TEXT, bytes.fromhex(payload) if isinstance(payload, str) else payload, rsv=4)


def _fragmented(*pieces: bytes) -> bytes:
    """Build a text message with RSV1 of one frame for each piece."""
    last = len(pieces) - 1
    return b"".join(frame(0 if i else TEXT, piece, fin=i == last, rsv=0 if i else 4) for i, piece in enumerate(pieces))


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
    for received in session.wire.frames():
        if received.rsv & 3:
            raise Failed(f"RSV2 or RSV3 is set on {received}", "at most RSV1")
        if received.rsv and (received.opcode >= 8 or received.opcode == CONTINUATION):
            raise Failed(f"RSV1 is set on {received}", "RSV1 only on the first frame of a message")
        if received.opcode in (PONG, CLOSE):  # a server may limit the size of messages
            return


def _plain_pong(session: DeflateSession) -> None:
    session.wire.send(frame(PING, HELLO))
    take_pongs(session.wire, [HELLO], [])


HELLO = bytes.fromhex("f2 48 cd c9 c9 07 00")  # RFC 7692 §7.2.3.1
HELLO_AGAIN = "f2 00 11 00 00"  # §7.2.3.2: a reference to the first
FINAL_HELLO = "f3 48 cd c9 c9 07 00 00"  # §7.2.3.4: with BFINAL
EUROS = "€ €".encode()
SHUFFLED = b"".join(hashlib.sha256(b"%d" % i).digest() for i in range(2048))  # 64 KiB that DEFLATE does not shrink

INFLATE = (  # §7.2.2
    "Append 4 octets of 0x00 0x00 0xff 0xff to the tail end of the payload of the message. ... Decompress the "
    "resulting data using DEFLATE."
)
ANY_BLOCKS = (  # §7.2.1
    "An endpoint MAY use multiple DEFLATE blocks to compress one message. ... An endpoint MAY use DEFLATE blocks of "
    "any type."
)
BOTH_BFINALS = (  # §7.2.1
    'An endpoint MAY use both DEFLATE blocks with the "BFINAL" bit set to 0 and DEFLATE blocks with the "BFINAL" bit '
    "set to 1."
)
RSV1 = (
    'An endpoint MUST NOT set the "Per-Message Compressed" bit of control frames and non-first fragments of a data '
    "message. An endpoint receiving such a frame MUST _Fail the WebSocket Connection_."
)
UNCOMPRESSED = (
    "On a WebSocket connection where a PMCE is in use, this bit indicates whether a message is compressed or not."
)
JOINED = (
    'If the frame is part of a fragmented message, the "Application data" of the subsequent data frames is '
    "concatenated to form the /data/."
)
INFLATE_ALL = "Join the payloads, append 00 00 ff ff once, and inflate as raw DEFLATE, without a zlib header."
CHECK_RSV1 = "Inflate a message only if its first frame has RSV1."

MESSAGE_CASES = cases_of(
    Rule(MUST, "RFC 7692 §7.2.2", INFLATE, INFLATE_ALL),
    ("9.message.hello", "The RFC's compressed Hello comes back", _raw(_text(HELLO), (TEXT, b"Hello"))),
    ("9.message.binary", "A compressed binary message comes back as binary", _round_trip(BINARY, pattern(1000))),
    ("9.message.empty", "A compressed empty message, the single byte 00, comes back empty",
     _raw(_text("00"), (TEXT, b"")),
     "An empty message is the byte 00 (§7.2.3.6); it inflates to an empty message, which is a message."),

    Rule(MUST, "RFC 7692 §7.2", f"{ANY_BLOCKS} ... {INFLATE}"),
    ("9.message.two-blocks", "Two DEFLATE blocks in one message are inflated",
     _raw(_text("f2 48 05 00 00 00 ff ff ca c9 c9 07 00"), (TEXT, b"Hello")),
     "Inflate to the end of the input: 00 00 ff ff inside is not the end."),
    ("9.message.stored", "A stored, uncompressed DEFLATE block is inflated",
     _raw(_text("00 05 00 fa ff 48 65 6c 6c 6f 00"), (TEXT, b"Hello")), INFLATE_ALL),

    Rule(MUST, "RFC 7692 §7.2", f"{BOTH_BFINALS} ... {INFLATE}"),
    ("9.message.final", "A DEFLATE block with BFINAL is inflated", _raw(_text(FINAL_HELLO), (TEXT, b"Hello")),
     "BFINAL ends the stream for zlib, and the tail remains: handle the remaining input."),
    ("9.message.final-then-another", "The message after a message with BFINAL is inflated too",
     _raw(_text(FINAL_HELLO) + _text(HELLO), (TEXT, b"Hello"), (TEXT, b"Hello")),
     "After BFINAL, the zlib object ignores further input: create a new one."),

    Rule(MUST, "RFC 7692 §7.2.2", INFLATE),
    ("9.message.long", "64 KiB of compressed text come back", _round_trip(TEXT, letters(65536)), INFLATE_ALL),
    ("9.message.does-not-shrink", "A compressed message of 64 KiB that does not shrink comes back",
     _round_trip(BINARY, SHUFFLED),
     "A compressed payload may be longer than the message: allow for it, and read the whole payload."),
    ("9.message.shrinks-much", "A message of 512 KiB in less than 1 KiB of payload comes back",
     _round_trip(TEXT, b"a" * 524288), "Inflate until zlib has used all input: the output may need several buffers."),

    Rule(MUST, "RFC 7692 §6", UNCOMPRESSED, CHECK_RSV1),
    ("9.message.not-compressed", "A message without RSV1 is not inflated",
     _raw(frame(TEXT, b"Hello"), (TEXT, b"Hello"))),
    ("9.message.looks-compressed", "A binary message without RSV1 is not inflated, even if it looks compressed",
     _raw(frame(BINARY, HELLO), (BINARY, HELLO))),
    ("9.message.mixed", "Compressed and uncompressed messages may alternate",
     deflated("six messages, every second one compressed", "all messages back", _mixed)),

    Rule(MUST, "RFC 6455 §6.2", JOINED, INFLATE_ALL),
    ("9.message.two-fragments", "A compressed message in two fragments comes back",
     _raw(_fragmented(HELLO[:3], HELLO[3:]), (TEXT, b"Hello")),
     INFLATE_ALL + "  Only the first frame has RSV1: remember it with the opcode."),
    ("9.message.many-fragments", "A compressed message in fragments of one byte and empty ones comes back",
     _raw(_fragmented(b"", *in_pieces(HELLO, 1), b""), (TEXT, b"Hello"))),

    Rule(MUST, "RFC 7692 §7.2.2", INFLATE),
    ("9.message.fragment-with-tail", "A fragment may end in 00 00 ff ff, which is not the end of the message",
     _raw(_fragmented(bytes.fromhex("f2 48 05 00 00 00 ff ff"), bytes.fromhex("ca c9 c9 07 00")), (TEXT, b"Hello")),
     "Append the tail after the last fragment, not after each."),

    Rule(MUST, "RFC 6455 §5.4", IN_THE_MIDDLE),
    ("9.message.ping-between", "A Ping inside a compressed message is answered, and the message comes back whole",
     deflated("a compressed message in two fragments, with a Ping between them", "the Pong and the message",
              _pings_between),
     "Control frames are never compressed, and do not change the message."),

    Rule(MUST, "RFC 7692 §7.2.2", INFLATE),
    ("9.message.utf8-split", "A character may be split between compressed fragments",
     _raw(_fragmented(_compressed(EUROS)[:4], _compressed(EUROS)[4:]), (TEXT, EUROS)),
     "Check text after inflating it; compressed bytes are not text."),

    Rule(MUST, "RFC 7692 §6.1", RSV1),
    ("9.rsv1.own", "The server sets RSV1 only on the first frame of a message",
     deflated("a long compressed text and a Ping", "no RSV1 on a continuation or a Pong", _own_bits),
     "Set RSV1 only on frames with opcode 1 or 2."),

    Rule(MUST, "RFC 6455 §5.5.3", IDENTICAL),
    ("9.rsv1.pong-is-plain", "A Pong has the payload of the Ping, neither compressed nor inflated",
     deflated("a Ping whose payload is valid DEFLATE", "PONG with the same bytes", _plain_pong),
     "Compress and inflate only data frames, never control frames."),

    Rule(MUST, "RFC 7692 §6.1", RSV1, "RSV1 with opcodes 8 to 10 is an error."),
    ("9.rsv1.continuation", "RSV1 on a continuation fails the connection",
     _fails(frame(TEXT, HELLO[:3], fin=False, rsv=4) + frame(CONTINUATION, HELLO[3:], rsv=4)),
     "RSV1 with opcode 0 is an error, even with permessage-deflate."),
    ("9.rsv1.continuation-only", "RSV1 on a continuation of an uncompressed message fails the connection",
     _fails(frame(TEXT, b"Hel", fin=False) + frame(CONTINUATION, HELLO, rsv=4)),
     "Only the first frame says whether a message is compressed."),
    ("9.rsv1.ping", "RSV1 on a Ping fails the connection", _fails(frame(PING, HELLO, rsv=4))),
    ("9.rsv1.pong", "RSV1 on a Pong fails the connection", _fails(frame(PONG, HELLO, rsv=4))),

    Rule(MUST, "RFC 6455 §5.2", RSV, "permessage-deflate defines only RSV1: first_byte & 0x30 must be 0."),
    ("9.rsv2.reserved", f"RSV2 fails the connection, even with {NAME}", _fails(frame(TEXT, HELLO, rsv=4 | 2))),
    ("9.rsv3.reserved", f"RSV3 fails the connection, even with {NAME}", _fails(frame(TEXT, HELLO, rsv=4 | 1))),
)  # fmt: skip

# -- Invalid data -----------------------------------------------------------------------------


def _send_bomb(peer: Peer) -> None:
    session = DeflateSession(peer)
    session.wire.send(frame(BINARY, _compressed(*[bytes(1 << 20)] * 48), rsv=4))
    with contextlib.suppress(Failed):  # the server may still be busy; the next connection shows whether it works
        session.wire.message()


INVALID_CASES = cases_of(
    Rule(MUST, "RFC 6455 §10.7", "Incoming data MUST always be validated by both clients and servers.",
         "If zlib raises, fail the connection (1007, for example), and do not deliver the inflated part."),
    ("9.invalid.block-type", "A DEFLATE block of the reserved type 3 fails the connection",
     _fails(_text(b"\x06" + b"\xff" * 16))),
    ("9.invalid.stored-length", "A stored block with two different lengths fails the connection",
     _fails(_text("00 05 00 00 00 48 65 6c 6c 6f 00"))),
    ("9.invalid.too-far-back", "A reference to bytes before the start of the stream fails the connection",
     _fails(_text(HELLO_AGAIN))),
    ("9.invalid.text", "Plain text with RSV1 fails the connection", _fails(_text(b"Hello, Hello, Hello, Hello"))),

    Rule(MUST, "RFC 6455 §8.1", NOT_UTF8, "Check compressed text after inflating it."),
    ("9.utf8.invalid", "A compressed text that is not UTF-8 fails the connection",
     _fails(_text(_compressed(b"Hello \xff")))),
    ("9.utf8.surrogate", "A compressed text that contains a surrogate fails the connection",
     _fails(_text(_compressed(b"\xed\xa0\x80")))),
    ("9.utf8.cut", "A compressed text that ends inside a character fails the connection",
     _fails(_text(_compressed(b"Hello \xe2\x82")))),

    Rule(MUST, "RFC 6455 §10.4", LIMITS),
    ("9.bomb.survived", "A message of 48 MiB of zeros in 48 KiB of payload does the server no harm",
     survives("a compressed message of 48 MiB of zeros", _send_bomb, needs=Needs.DEFLATE_ECHO, alone=True,
              accepts="any answer, and then a working next connection"),
     "Limit the output of the inflater, and close with 1009 at the limit."),
)  # fmt: skip

# -- Context takeover and windows -------------------------------------------------------------------

KEEP_INFLATER = "Keep one inflating object for the whole connection, unless client_no_context_takeover is agreed."
TAKEN_OVER = (
    "Otherwise, the server MUST decompress each new message using the LZ77 sliding window used to process the last "
    "compressed message."
)
ANEW = (
    'If the "agreed parameters" contain the "server_no_context_takeover" extension parameter, the server MUST start '
    "compressing each new message with an empty LZ77 sliding window."
)
WHOLE_WINDOW = "Otherwise, the server MUST use a 32,768-byte LZ77 sliding window to decompress received messages."


def _hex_noise(size: int, seed: str = "") -> bytes:
    """Return hex digits, which shrink to a half and contain no repetitions."""
    blocks = (hashlib.sha256(f"{seed}{i}".encode()).hexdigest() for i in range(size // 64 + 1))
    return "".join(blocks).encode()[:size]


def _hello_twice(session: DeflateSession) -> None:
    for payload in (HELLO, bytes.fromhex(HELLO_AGAIN)):
        session.wire.send(_text(payload))
        session.expect(TEXT, b"Hello")


def _hello_twice_past_plain(session: DeflateSession) -> None:
    session.wire.send(_text(HELLO))
    session.expect(TEXT, b"Hello")
    session.wire.send(text("something else") + frame(PING, b"and a Ping"))
    session.expect_with_pong(b"something else", b"and a Ping")
    session.wire.send(_text(HELLO_AGAIN))
    session.expect(TEXT, b"Hello")


def _noise_of_a_window(session: DeflateSession) -> bytes:
    return _hex_noise((1 << session.bits("client_max_window_bits")) - 300)


def _far_back(session: DeflateSession) -> None:
    """Refer to another message, at the largest distance in the client's window."""
    noise = _noise_of_a_window(session)
    for message in (noise, noise[:200]):
        session.send(TEXT, message)
        session.expect(TEXT, message)


def _far_back_in_one(session: DeflateSession) -> None:
    noise = _noise_of_a_window(session)
    session.send(TEXT, noise + noise[:200])
    session.expect(TEXT, noise + noise[:200])


def _server_starts_anew(session: DeflateSession) -> None:
    for payload in (letters(200), letters(200), _hex_noise(300) * 2, letters(200)):
        session.inflater = zlib.decompressobj(-session.bits("server_max_window_bits"))
        session.send(TEXT, payload)
        session.expect(TEXT, payload)


def _client_starts_anew(session: DeflateSession) -> None:
    for payload in (letters(200), letters(200), letters(100)):
        session.start_anew()
        session.send(TEXT, payload)
        session.expect(TEXT, payload)


def _small_server_window(session: DeflateSession) -> None:
    """Send repetitions just outside the agreed window: a server with a larger window would refer to them."""
    size = 1 << session.bits("server_max_window_bits")
    for distance in (size + 300, 2 * size, 32000):
        noise = _hex_noise(300, f"{distance}")
        message = noise + _hex_noise(max(distance, 600) - 300, "filler") + noise
        session.send(TEXT, message)
        session.expect(TEXT, message)


CONTEXT_CASES = cases_of(
    Rule(MUST, "RFC 7692 §7.2.2", TAKEN_OVER),
    ("9.context.taken-over", "A message may refer to the previous one: the RFC's second Hello comes back",
     deflated("Hello, then Hello as a reference to the first", "Hello twice", _hello_twice, takes_over=True),
     KEEP_INFLATER),

    Rule(MUST, "RFC 7692 §7.2.2",
         'Note that even if the client has included the "client_no_context_takeover" extension parameter in its offer, '
         "the server MUST decompress each new message using the LZ77 sliding window used to process the last "
         'compressed message if the "agreed parameters" don\'t contain the "client_no_context_takeover" extension '
         "parameter."),
    ("9.context.hint-only",
     "If client_no_context_takeover is offered but not agreed, messages may refer to earlier ones",
     deflated("Hello, then Hello as a reference to the first, unless client_no_context_takeover is agreed",
              "Hello twice", _hello_twice, "; client_no_context_takeover", takes_over=True),
     "Only the answer counts: include client_no_context_takeover there, or keep the window."),

    Rule(MUST, "RFC 7692 §7.2.2", TAKEN_OVER),
    ("9.context.past-plain", "An uncompressed message and a Ping do not change the window",
     deflated("Hello, an uncompressed message, a Ping, Hello as a reference", "all messages back",
              _hello_twice_past_plain, takes_over=True), KEEP_INFLATER + "  Pass only compressed messages to it."),
    ("9.context.far-back", "A message may refer to an earlier one at the largest distance in the window",
     deflated("two messages, the second a reference to the start of the first", "both messages back", _far_back,
              takes_over=True),
     KEEP_INFLATER),

    Rule(MUST, "RFC 7692 §7.2.2", WHOLE_WINDOW),
    ("9.window.client-32768",
     "A message may refer to its own bytes at a distance of 32 KiB, unless a smaller window is agreed",
     deflated("a message with a repetition at almost 32,768 bytes", "the message back", _far_back_in_one),
     "Inflate with a window of 15 bits, unless client_max_window_bits is agreed."),

    Rule(MUST, "RFC 7692 §7.2", f"{ANEW} ... {TAKEN_OVER}"),
    ("9.context.server-starts-anew",
     "With server_no_context_takeover, the server starts each message with an empty window, and keeps the client's",
     deflated("four similar messages, which refer to each other", "each inflates with an empty window",
              _server_starts_anew, "; server_no_context_takeover"),
     "Create a new compressing object for each message, and keep the inflating one: each direction has its own "
     "parameter."),

    Rule(MUST, "RFC 7692 §7.2.2", INFLATE),
    ("9.context.client-starts-anew",
     "With an offer of client_no_context_takeover, independently compressed messages come back",
     deflated("three similar messages, each compressed independently", "all messages back", _client_starts_anew,
              "; client_no_context_takeover"),
     "A message without references inflates with any window, kept or new."),

    Rule(MUST, "RFC 7692 §7.2.1", ANEW),
    ("9.context.both-start-anew",
     "With both no_context_takeover parameters, messages come back and inflate independently",
     deflated("four similar messages", "each inflates with an empty window", _server_starts_anew,
              "; server_no_context_takeover; client_no_context_takeover"),
     "Each direction has its own zlib object and its own parameter."),

    Rule(MUST, "RFC 7692 §7.2.1",
         'If the "agreed parameters" contain the "server_max_window_bits" extension parameter with a value of w, the '
         "server MUST NOT use an LZ77 sliding window longer than the w-th power of 2 bytes to compress messages to "
         "send.", "Compress with a window of the agreed number of bits.  The minimum of zlib is 9: decline 8."),
    *((f"9.window.server-{bits}",
       f"With server_max_window_bits={bits}, the server refers only to bytes in this window",
       deflated(f"messages with repetitions at more than 2**{bits} bytes",
                f"each inflates with a window of 2**{bits} bytes",
                _small_server_window, f"; server_max_window_bits={bits}"))
      for bits in range(8, 16)),

    Rule(MUST, "RFC 7692 §7.2.2", WHOLE_WINDOW,
         "Inflate with a window at least as large as the one in your answer; without a value there, with 15."),
    *((f"9.window.client-{bits}",
       f"With an offer of client_max_window_bits={bits}, messages that use the whole agreed window come back",
       deflated("messages with repetitions at the largest distance in the window", "all messages back", _far_back,
                f"; client_max_window_bits={bits}", takes_over=True))
      for bits in (9, 10, 12, 15)),
)  # fmt: skip

CASES = (*NEGOTIATION_CASES, *MESSAGE_CASES, *INVALID_CASES, *CONTEXT_CASES)
