"""Chapter 7: cases about messages: Ping and Pong, fragments, UTF-8.

Four behaviours look wrong but are legal, and pass: a Pong only for the latest of several Pings
(§5.5.3), a Pong before or after the echo of an earlier message, an echo in fragments, and the end of
TCP without a Close after a broken rule.

For some faults the RFC says explicitly that the receiver must fail the connection.  In the other MUST
cases here, the bytes of the client break a MUST, and failing is the only correct answer: "Incoming
data MUST always be validated by both clients and servers" (§10.7).
"""

from __future__ import annotations

from ..case import Needs, Play
from ..codec import BINARY, CONTINUATION, OPCODE_NAMES, PING, PONG, TEXT, fragments, frame, text
from ..plays import dialogue, echoes, fails, in_words, works
from ..rule import Rule, cases_of
from ..session import Peer
from ..verdict import Failed
from .common import (
    IDENTICAL,
    IN_THE_MIDDLE,
    INTEROP,
    MINIMAL,
    MUST,
    NOT_UTF8,
    SHOULD,
    SMALL_CONTROL_FRAMES,
    UNKNOWN_OPCODE,
    in_pieces,
    letters,
    pattern,
    take_pongs,
)

# -- Ping and Pong -------------------------------------------------------------------------

ANSWERED = (
    "Upon receipt of a Ping frame, an endpoint MUST send a Pong frame in response, "
    "unless it already received a Close frame."
)
KEEP_APART = "Keep the collected fragments apart from the current frame; a control frame must not change them."
CHECK_LENGTH = "A control frame has at most 125 bytes: check the length before you read the payload."
CHECK_FIN = "Answer opcode & 8 without FIN by 1002."

NOT_TEXT = bytes.fromhex("00 ff fe c3 28 0d 0a")
PINGS = [b"%d" % number for number in range(10)]
FIVE = in_pieces(b"Hello", 1)
PING_AFTER_EACH = b"".join(
    frame(CONTINUATION if i else TEXT, piece, fin=i == 4) + frame(PING, PINGS[i]) for i, piece in enumerate(FIVE)
)


def _hello_around(inside: bytes) -> bytes:
    """Return the text Hello in two fragments, with another frame between them."""
    return frame(TEXT, b"Hel", fin=False) + inside + frame(CONTINUATION, b"lo")


def _ping(payload: bytes, packet_size: int = 0) -> Play:
    data = frame(PING, payload)
    sends = in_words(data) + ", byte by byte" * bool(packet_size)
    pong = f"PONG with {payload!r}" if len(payload) < 20 else f"PONG with {len(payload)} bytes"
    return dialogue(sends, pong, data, (PONG, payload), packet_size=packet_size, needs=Needs.OPEN)


def _several(data: bytes, payloads: list[bytes], *messages: tuple[int, bytes]) -> Play:
    """Expect Pongs, at least for the last of these payloads, and these messages."""

    def run(peer: Peer) -> None:
        wire = peer.open()
        wire.send(data)
        take_pongs(wire, payloads, list(messages))

    received = [
        f"PONG with {payloads[-1]!r}" + " (after Pongs for earlier Pings, or without them)" * (len(payloads) > 1)
    ]
    received += [f"{OPCODE_NAMES[opcode]} of {len(payload)} bytes" for opcode, payload in messages]
    return Play(in_words(data), ", ".join(received) + " back", run, Needs.ECHO if messages else Needs.OPEN)


def _before_the_rest(peer: Peer) -> None:
    wire = peer.open()
    wire.send(frame(TEXT, b"Hel", fin=False) + frame(PING, b"now"))
    wire.expect(PONG, b"now")
    if peer.echo:
        wire.send(frame(CONTINUATION, b"lo"))
        wire.expect(TEXT, b"Hello")


def _well_formed_pongs(peer: Peer) -> None:
    wire = peer.open()
    for payload in (b"", b"Hello", pattern(125)):
        wire.send(frame(PING, payload))
        while wire.answers_nothing(received := wire.message()):
            pass
        if received.opcode == PONG and received.fin and wire.faults:
            raise Failed(f"a Pong: {wire.faults[0]}")
        if received.opcode == PONG and not received.fin:
            raise Failed("a Pong without FIN")
        if received.opcode == PONG and received.rsv:
            raise Failed(f"a Pong with the RSV bits {received.rsv:03b}")


def _ignored(data: bytes) -> Play:
    """Expect no answer to these Pongs: only the next message is answered."""

    def run(peer: Peer) -> None:
        wire = peer.open()
        wire.send(data)
        works(peer, wire)

    return Play(
        f"{in_words(data)}, then a message (a Ping, if the server does not echo)", "only its answer", run, Needs.OPEN
    )


PING_CASES = cases_of(
    Rule(MUST, "RFC 6455 §5.5.2", ANSWERED),
    ("7.ping.hello", "A Ping is answered by a Pong",
     _ping(b"Hello"), "Answer a frame with opcode 9 by opcode 10, at once."),
    ("7.ping.empty", "A Ping without a payload is answered by a Pong without a payload",
     _ping(b""), "An empty payload is a payload: do not test `if payload`."),

    Rule(MUST, "RFC 6455 §5.5.3", IDENTICAL),
    ("7.ping.125", "A Ping of 125 bytes, the maximum, is answered by a Pong with the same bytes",
     _ping(pattern(125)), "Copy the unmasked payload unchanged."),
    ("7.ping.not-text", "A Ping whose payload is not UTF-8 is answered by a Pong with the same bytes",
     _ping(NOT_TEXT), "A Ping's payload is bytes: do not decode it."),

    Rule(MUST, "RFC 6455 §5.5.2", ANSWERED),
    ("7.ping.byte-by-byte", "A Ping that arrives one byte at a time is answered",
     _ping(b"Hello", packet_size=1), "Wait for the whole frame, however it is split."),

    Rule(MUST, "RFC 6455 §5.5.3",
         "the endpoint MAY elect to send a Pong frame for only the most recently processed Ping frame."),
    ("7.ping.three", "Of three Pings in one packet, at least the last is answered, in order",
     _several(b"".join(frame(PING, payload) for payload in PINGS[:3]), PINGS[:3]),
     "Answer each Ping when you read it, in order."),
    ("7.ping.ten", "Of ten Pings in one packet, at least the last is answered, in order",
     _several(b"".join(frame(PING, payload) for payload in PINGS), PINGS),
     "Loop over all frames in the buffer before you wait for more bytes."),

    Rule(MUST, "RFC 6455 §5.5.2", ANSWERED),
    ("7.ping.among-messages", "A Ping between two messages is answered, and both messages come back",
     _several(text("one") + frame(PING, b"Hello") + text("two"), [b"Hello"], (TEXT, b"one"), (TEXT, b"two")),
     "A Ping is not a message: do not deliver it to the application."),

    Rule(MUST, "RFC 6455 §5.4", IN_THE_MIDDLE, KEEP_APART),
    ("7.ping.inside-message", "A Ping between the fragments of a message is answered, and the message comes back whole",
     _several(_hello_around(frame(PING, b"p")), [b"p"], (TEXT, b"Hello"))),
    ("7.ping.inside-message-each", "A Ping after each of five fragments does not disturb the message",
     _several(PING_AFTER_EACH, PINGS[:5], (TEXT, b"Hello"))),

    Rule(SHOULD, "RFC 6455 §5.5.2", "It SHOULD respond with Pong frame as soon as is practical."),
    ("7.ping.before-the-rest", "A Ping inside a message is answered before the rest of the message arrives",
     Play("a first fragment and a Ping; after the Pong, the last fragment", "the Pong, then the message",
          _before_the_rest, Needs.OPEN),
     "Do not hold control frames back until the message is whole: they may overtake it."),

    Rule(MUST, "RFC 6455 §5.5", SMALL_CONTROL_FRAMES, CHECK_LENGTH),
    ("7.ping.126", "A Ping of 126 bytes fails the connection", fails(frame(PING, letters(126)))),
    ("7.ping.65536", "A Ping of 65,536 bytes fails the connection", fails(frame(PING, letters(65536)))),

    Rule(SHOULD, "RFC 6455 §5.2", MINIMAL),
    ("7.ping.in-16-bits", "A Ping of 5 bytes with a length in 16 bits fails the connection",
     fails(frame(PING, b"Hello", form=16)), "In a control frame, neither 126 nor 127 is valid as a length."),

    Rule(MUST, "RFC 6455 §5.5", SMALL_CONTROL_FRAMES),
    ("7.ping.fragmented", "A Ping without FIN fails the connection",
     fails(frame(PING, b"Hel", fin=False) + frame(CONTINUATION, b"lo")), CHECK_FIN),
    ("7.ping.unfinished", "A Ping without FIN fails the connection even without a continuation",
     fails(frame(PING, b"Hello", fin=False)), CHECK_FIN),
    ("7.pong.well-formed", "The server's Pongs are whole frames, without a mask and without RSV bits",
     Play("Pings of 0, 5 and 125 bytes", "frames that begin with 8a", _well_formed_pongs, Needs.OPEN),
     "A Pong begins with 8a: FIN, no RSV bits, opcode 10; the second byte is the length."),

    Rule(INTEROP, "RFC 6455 §5.5.3",
         "A Pong frame MAY be sent unsolicited. ... A response to an unsolicited Pong frame is not expected.",
         "Ignore a frame with opcode 10: an unexpected Pong must not break your list of open Pings."),
    ("7.pong.unsolicited", "An unsolicited Pong is ignored", _ignored(frame(PONG, b"Hello"))),
    ("7.pong.unsolicited-empty", "Unsolicited empty Pongs are ignored", _ignored(frame(PONG) * 3)),

    Rule(MUST, "RFC 6455 §5.4", IN_THE_MIDDLE, KEEP_APART),
    ("7.pong.inside-message", "A Pong between the fragments of a message leaves the message whole",
     echoes(_hello_around(frame(PONG, b"p")), (TEXT, b"Hello"))),

    Rule(SHOULD, "RFC 6455 §5.5", SMALL_CONTROL_FRAMES,
         "The rule applies to all control frames, also to those that you ignore."),
    ("7.pong.126", "A Pong of 126 bytes fails the connection", fails(frame(PONG, letters(126)))),
    ("7.pong.unfinished", "A Pong without FIN fails the connection", fails(frame(PONG, b"Hello", fin=False))),
)  # fmt: skip

# -- Fragments ----------------------------------------------------------------------------------

A_FRAGMENTED = (
    "A fragmented message consists of a single frame with the FIN bit clear and an opcode other than 0, followed by "
    "zero or more frames with the FIN bit clear and the opcode set to 0, and terminated by a single frame with the "
    "FIN bit set and an opcode of 0."
)
INTERLEAVED = (
    "The fragments of one message MUST NOT be interleaved between the fragments of another message unless an "
    "extension has been negotiated that can interpret the interleaving."
)
NOTHING_OPEN = "A continuation needs an unfinished message: remember whether a message has begun, until FIN."
STILL_OPEN = "Inside an unfinished message, the next data frame must have opcode 0."
HEL = frame(TEXT, b"Hel", fin=False)


def _joined(*pieces: bytes, opcode: int = TEXT, packet_size: int = 0) -> Play:
    """Expect the pieces back as one message."""
    return echoes(fragments(opcode, *pieces), (opcode, b"".join(pieces)), packet_size=packet_size)


def _hello_then_fails(good: bytes) -> Play:
    """Expect the message Hello back, and then a failed connection for a continuation of nothing."""
    bad = frame(CONTINUATION, b"!")

    def run(peer: Peer) -> None:
        wire = peer.open()
        wire.send(good)
        wire.expect(TEXT, b"Hello")
        wire.send(bad)
        wire.expect_failure()

    return Play(f"{in_words(good)}, then {in_words(bad)}", "the message, then Close or the end of TCP", run, Needs.ECHO)


FRAGMENT_CASES = cases_of(
    Rule(MUST, "RFC 6455 §5.4", "Clients and servers MUST support receiving both fragmented and unfragmented messages.",
         "Collect payloads from the first frame, which has the opcode, to the frame with FIN."),
    ("7.fragments.two", "A text in two fragments comes back as one message", _joined(b"Hel", b"lo")),
    ("7.fragments.three", "A text in three fragments comes back as one message", _joined(b"He", b"l", b"lo")),
    ("7.fragments.binary", "A binary message in three fragments stays binary",
     _joined(b"\x00\xff", b"\xfe", b"\x80", opcode=BINARY)),
    ("7.fragments.many", "A text in 100 fragments comes back as one message", _joined(*in_pieces(letters(1000), 10))),
    ("7.fragments.one-byte-each", "A text in fragments of one byte comes back as one message", _joined(*FIVE)),
    ("7.fragments.empty-first", "A first fragment may be empty", _joined(b"", b"Hello")),
    ("7.fragments.empty-middle", "A fragment in the middle may be empty", _joined(b"Hel", b"", b"lo")),
    ("7.fragments.empty-last", "A last fragment may be empty", _joined(b"Hello", b"")),
    ("7.fragments.all-empty", "A message of three empty fragments is an empty message", _joined(b"", b"", b"")),
    ("7.fragments.small", "64 KiB in fragments of 64 bytes come back", _joined(*in_pieces(letters(65536), 64))),
    ("7.fragments.large", "256 KiB in fragments of 64 KiB come back", _joined(*in_pieces(letters(262144), 65536))),
    ("7.fragments.unequal", "Fragments with all three forms of length make one message",
     _joined(b"a", letters(300), letters(70000))),
    ("7.fragments.slowly", "Fragments that arrive one byte at a time make one message",
     _joined(b"Hel", b"", b"lo", packet_size=1)),

    Rule(MUST, "RFC 6455 §6.2", "Subsequent data frames MUST be interpreted as belonging to a new WebSocket message."),
    ("7.fragments.two-messages", "After FIN a new message begins, without bytes of the previous one",
     echoes(fragments(TEXT, b"Hel", b"lo") + text("one") + fragments(TEXT, b"t", b"wo") + text("three"),
            (TEXT, b"Hello"), (TEXT, b"one"), (TEXT, b"two"), (TEXT, b"three")),
     "Clear the collected fragments after FIN, and take the type from the new first frame."),

    Rule(MUST, "RFC 6455 §5.4", A_FRAGMENTED, NOTHING_OPEN),
    ("7.fragments.nothing-to-continue", "A continuation without an unfinished message fails the connection",
     fails(frame(CONTINUATION, b"Hello"))),
    ("7.fragments.nothing-to-continue-unfinished",
     "A continuation without FIN and without an unfinished message fails the connection",
     fails(frame(CONTINUATION, b"Hello", fin=False))),
    ("7.fragments.continued-after-the-end", "A continuation after the last fragment of a message fails the connection",
     _hello_then_fails(fragments(TEXT, b"Hel", b"lo"))),
    ("7.fragments.continued-whole", "A continuation after a message in one frame fails the connection",
     _hello_then_fails(text("Hello"))),

    Rule(MUST, "RFC 6455 §5.4", INTERLEAVED, STILL_OPEN),
    ("7.fragments.text-in-text", "A text frame inside a fragmented text fails the connection", fails(HEL + text("lo"))),
    ("7.fragments.binary-in-text", "A binary frame inside a fragmented text fails the connection",
     fails(HEL + frame(BINARY, b"lo"))),
    ("7.fragments.first-in-first", "A second first fragment fails the connection",
     fails(HEL + frame(TEXT, b"lo", fin=False))),
    ("7.fragments.in-empty", "A text frame after an empty first fragment fails the connection",
     fails(frame(TEXT, b"", fin=False) + text("Hello")),
     "A message can begin without bytes: do not test whether the collected bytes are empty."),

    Rule(MUST, "RFC 6455 §5.2", UNKNOWN_OPCODE),
    ("7.fragments.reserved-opcode", "A reserved opcode between fragments fails the connection",
     fails(HEL + frame(3, b"lo")), "Check the first byte of each frame, also inside a message."),
)  # fmt: skip

# -- UTF-8 ------------------------------------------------------------------------------------------

EVERY_LENGTH = "k\u00f6sme \u20ac \U0001f600"


def _echo_of(character: str) -> Play:
    message = f"<{character}>".encode()
    return echoes(frame(TEXT, message), (TEXT, message))


UTF8_CASES = cases_of(
    Rule(MUST, "RFC 6455 §5.6", 'The "Payload data" is text data encoded as UTF-8.',
         "It is valid UTF-8 (RFC 3629): use the decoder of your language, and do not write one."),
    *((f"7.utf8.{name}", f"{what} comes back in a text", _echo_of(character))
      for name, character, what in (
          ("ascii", "a", "U+0061, one byte,"),
          ("nul", "\0", "U+0000, a zero byte,"),
          ("7f", "\x7f", "U+007F, the last in one byte,"),
          ("80", "\x80", "U+0080, the first in two bytes,"),
          ("7ff", "\u07ff", "U+07FF, the last in two bytes,"),
          ("800", "\u0800", "U+0800, the first in three bytes,"),
          ("d7ff", "\ud7ff", "U+D7FF, the last before the surrogates,"),
          ("e000", "\ue000", "U+E000, the first after the surrogates,"),
          ("feff", "\ufeff", "U+FEFF, a byte order mark,"),
          ("ffff", "\uffff", "U+FFFF, a noncharacter and the last in three bytes,"),
          ("fdd0", "\ufdd0", "U+FDD0, a noncharacter,"),
          ("10000", "\U00010000", "U+10000, the first in four bytes,"),
          ("1fffe", "\U0001fffe", "U+1FFFE, a noncharacter in four bytes,"),
          ("10ffff", "\U0010ffff", "U+10FFFF, the last of all,"),
          ("all", EVERY_LENGTH, "A text with characters of one to four bytes"),
      )),

    Rule(MUST, "RFC 6455 §5.6",
         "a particular text frame might include a partial UTF-8 sequence; however, the whole message MUST contain "
         "valid UTF-8.",
         "Check the message, not the frame; or use an incremental decoder, which keeps an unfinished character."),
    ("7.utf8.split-2", "A character of two bytes may be split between fragments", _joined(b"\xc3", b"\xb6")),
    ("7.utf8.split-3", "A character of three bytes may be split after its first byte", _joined(b"\xe2", b"\x82\xac")),
    ("7.utf8.split-3-later", "A character of three bytes may be split after its second byte",
     _joined(b"\xe2\x82", b"\xac")),
    ("7.utf8.split-4", "A character of four bytes may be split in the middle", _joined(b"\xf0\x9f", b"\x98\x80")),
    ("7.utf8.split-everywhere", "A text may have fragments of one byte each",
     _joined(*in_pieces(EVERY_LENGTH.encode(), 1))),
    ("7.utf8.split-empty", "A character may be split by an empty fragment",
     _joined(b"\xe2", b"", b"\x82", b"", b"\xac")),

    Rule(MUST, "RFC 6455 §5.4", IN_THE_MIDDLE),
    ("7.utf8.split-by-ping", "A character may be split by a Ping",
     _several(frame(TEXT, b"\xe2", fin=False) + frame(PING, b"\xff") + frame(CONTINUATION, b"\x82\xac"),
              [b"\xff"], (TEXT, b"\xe2\x82\xac")),
     "Do not pass the payload of a Ping to the text decoder."),

    Rule(MUST, "RFC 6455 §5.6",
         'The "Payload data" is arbitrary binary data whose interpretation is solely up to the application layer.'),
    ("7.utf8.not-in-binary", "A binary message need not be UTF-8, in one frame or in fragments",
     echoes(frame(BINARY, b"\xff\xfe\xc3\x28") + fragments(BINARY, b"\xed", b"\xa0\x80"),
            (BINARY, b"\xff\xfe\xc3\x28"), (BINARY, b"\xed\xa0\x80")),
     "A continuation has the type of its first frame: check only text."),

    Rule(MUST, "RFC 6455 §8.1", NOT_UTF8,
         "Decode the whole message strictly: set your decoder to raise an error, not to replace."),
    *((f"7.utf8.{name}", f"A text with {what} fails the connection",
       fails(frame(TEXT, b"Hello " + bytes.fromhex(wrong))))
      for name, wrong, what in (
        ("overlong-2", "c0 af", "an overlong form in two bytes (c0 af)"),
        ("overlong-2-last", "c1 bf", "an overlong form in two bytes (c1 bf)"),
        ("overlong-nul", "c0 80", "NUL as c0 80, as Java writes it,"),
        ("overlong-3", "e0 80 af", "an overlong form in three bytes (e0 80 af)"),
        ("overlong-3-last", "e0 9f bf", "an overlong form in three bytes (e0 9f bf)"),
        ("overlong-4", "f0 80 80 af", "an overlong form in four bytes (f0 80 80 af)"),
        ("overlong-4-last", "f0 8f bf bf", "an overlong form in four bytes (f0 8f bf bf)"),
        ("surrogate-first", "ed a0 80", "the surrogate U+D800 (ed a0 80)"),
        ("surrogate-last", "ed bf bf", "the surrogate U+DFFF (ed bf bf)"),
        ("surrogate-pair", "ed a0 bd ed b8 80", "a pair of surrogates (CESU-8)"),
        ("110000", "f4 90 80 80", "a character beyond U+10FFFF (f4 90 80 80)"),
        ("f5", "f5 80 80 80", "a byte that begins no character (f5)"),
        ("five-bytes", "f8 88 80 80 80", "a form in five bytes"),
        ("six-bytes", "fc 84 80 80 80 80", "a form in six bytes"),
        ("fe-ff", "fe ff", "the bytes fe ff"),
        ("lone-80", "80", "a continuation byte without a first byte (80)"),
        ("lone-bf", "bf 21", "a continuation byte without a first byte (bf)"),
        ("two-too-many", "c3 b6 b6", "one continuation byte too many"),
        ("not-continued", "c3 28", "a first byte before an ASCII character (c3 28)"),
        ("cut-2", "c3", "half a character at its end (c3)"),
        ("cut-3", "e2 82", "two thirds of a character at its end (e2 82)"),
        ("cut-4", "f0 9f 98", "three quarters of a character at its end (f0 9f 98)"),
    )),
    ("7.utf8.invalid-first-fragment", "Invalid bytes in a first fragment fail the connection",
     fails(fragments(TEXT, b"Hello \xff", b"!"))),
    ("7.utf8.invalid-last-fragment", "Invalid bytes in a continuation fail the connection",
     fails(fragments(TEXT, b"Hello ", b"\xff!"))),
    ("7.utf8.invalid-across", "A surrogate split between fragments fails the connection",
     fails(fragments(TEXT, b"\xed", b"\xa0\x80"))),
    ("7.utf8.cut-before-empty",
     "A text with an unfinished character before an empty last fragment fails the connection",
     fails(fragments(TEXT, b"\xe2\x82", b""))),

    Rule(INTEROP, "RFC 6455 §8.1",
         "Both ways are legal; but a server that waits for FIN may collect many bytes of an invalid message."),
    ("7.utf8.fail-fast", "Invalid bytes in a first fragment fail the connection before the rest arrives",
     fails(frame(TEXT, b"Hello \xff", fin=False), sends="a first fragment with the byte ff"),
     "Use an incremental decoder, and give it each fragment as it arrives."),
)  # fmt: skip

CASES = (*PING_CASES, *FRAGMENT_CASES, *UTF8_CASES)
