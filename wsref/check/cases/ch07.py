"""Chapter 7: cases about messages: Ping and Pong, fragments, UTF-8.

Four behaviours look wrong but are legal, and pass: a Pong only for the latest of several Pings
(§5.5.3), a Pong before or after the echo of an earlier message, an echo in fragments, and the end of
TCP without a Close after a broken rule.

For some faults the RFC says explicitly that the receiver must fail the connection.  In the other MUST
cases here, the bytes of the client break a MUST, and failing is the only correct answer: "Incoming
data MUST always be validated by both clients and servers" (§10.7).
"""

from __future__ import annotations

from ..case import Case, Needs, Play
from ..codec import BINARY, CONTINUATION, OPCODE_NAMES, PING, PONG, TEXT, fragments, frame, text
from ..plays import echoes, fails, in_words, pongs, script, works
from ..session import Peer
from ..verdict import Failed
from .common import INTEROP, MUST, SHOULD, letters, pattern, take_pongs

# -- Ping and Pong -------------------------------------------------------------------------

ANSWERED = (
    "Upon receipt of a Ping frame, an endpoint MUST send a Pong frame in response, "
    "unless it already received a Close frame."
)
IDENTICAL = (
    'A Pong frame sent in response to a Ping frame must have identical "Application data" as found in the message '
    "body of the Ping frame being replied to."
)
AT_MOST_125 = "All control frames MUST have a payload length of 125 bytes or less and MUST NOT be fragmented."  # §5.5


def _ping(name: str, title: str, payload: bytes, quote: str, hint: str, section: str = "RFC 6455 §5.5.2") -> Case:
    return Case(f"7.ping.{name}", MUST, section, title, quote, pongs(frame(PING, payload), payload), hint)


def _several(data: bytes, payloads: list[bytes], *messages: tuple[int, bytes], needs: Needs = Needs.OPEN) -> Play:
    def run(peer: Peer) -> None:
        wire = peer.open()
        wire.send(data)
        take_pongs(wire, payloads, list(messages))

    received = [
        f"PONG with {payloads[-1]!r}" + " (after Pongs for earlier Pings, or without them)" * (len(payloads) > 1)
    ]
    received += [f"{OPCODE_NAMES[opcode]} of {len(payload)} bytes" for opcode, payload in messages]
    return Play(in_words(data), ", ".join(received) + " back", run, needs)


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


PINGS = [b"%d" % number for number in range(10)]
FIVE = [b"Hello"[i : i + 1] for i in range(5)]

PING_CASES = (
    _ping(
        "hello",
        "A Ping is answered by a Pong",
        b"Hello",
        ANSWERED,
        "Answer a frame with opcode 9 by opcode 10, at once.",
    ),
    _ping(
        "empty",
        "A Ping without a payload is answered by a Pong without a payload",
        b"",
        ANSWERED,
        "An empty payload is a payload: do not test `if payload`.",
    ),
    _ping(
        "125",
        "A Ping of 125 bytes, the maximum, is answered by a Pong with the same bytes",
        pattern(125),
        IDENTICAL,
        "Copy the unmasked payload unchanged.",
        "RFC 6455 §5.5.3",
    ),
    _ping(
        "not-text",
        "A Ping whose payload is not UTF-8 is answered by a Pong with the same bytes",
        bytes.fromhex("00 ff fe c3 28 0d 0a"),
        IDENTICAL,
        "A Ping's payload is bytes: do not decode it.",
        "RFC 6455 §5.5.3",
    ),
    Case(
        "7.ping.byte-by-byte",
        MUST,
        "RFC 6455 §5.5.2",
        "A Ping that arrives one byte at a time is answered",
        ANSWERED,
        script(
            "89 85 37 fa 21 3d ..., byte by byte", "PONG with b'Hello'", lambda peer: _slow_ping(peer), needs=Needs.OPEN
        ),
        "Wait for the whole frame, however it is split.",
    ),
    Case(
        "7.ping.three",
        MUST,
        "RFC 6455 §5.5.2",
        "Of three Pings in one packet, at least the last is answered, in order",
        "the endpoint MAY elect to send a Pong frame for only the most recently processed Ping frame.",
        _several(b"".join(frame(PING, payload) for payload in PINGS[:3]), PINGS[:3]),
        "Answer each Ping when you read it, in order.",
    ),
    Case(
        "7.ping.ten",
        MUST,
        "RFC 6455 §5.5.2",
        "Of ten Pings in one packet, at least the last is answered, in order",
        "the endpoint MAY elect to send a Pong frame for only the most recently processed Ping frame.",
        _several(b"".join(frame(PING, payload) for payload in PINGS), PINGS),
        "Loop over all frames in the buffer before you wait for more bytes.",
    ),
    Case(
        "7.ping.among-messages",
        MUST,
        "RFC 6455 §5.5.2",
        "A Ping between two messages is answered, and both messages come back",
        ANSWERED,
        _several(
            text("one") + frame(PING, b"Hello") + text("two"),
            [b"Hello"],
            (TEXT, b"one"),
            (TEXT, b"two"),
            needs=Needs.ECHO,
        ),
        "A Ping is not a message: do not deliver it to the application.",
    ),
    Case(
        "7.ping.inside-message",
        MUST,
        "RFC 6455 §5.4",
        "A Ping between the fragments of a message is answered, and the message comes back whole",
        "An endpoint MUST be capable of handling control frames in the middle of a fragmented message.",
        _several(
            frame(TEXT, b"Hel", fin=False) + frame(PING, b"p") + frame(CONTINUATION, b"lo"),
            [b"p"],
            (TEXT, b"Hello"),
            needs=Needs.ECHO,
        ),
        "Keep the collected fragments apart from the current frame; a control frame must not change them.",
    ),
    Case(
        "7.ping.inside-message-each",
        MUST,
        "RFC 6455 §5.4",
        "A Ping after each of five fragments does not disturb the message",
        "An endpoint MUST be capable of handling control frames in the middle of a fragmented message.",
        _several(
            b"".join(
                frame(TEXT if i == 0 else CONTINUATION, piece, fin=i == 4) + frame(PING, PINGS[i])
                for i, piece in enumerate(FIVE)
            ),
            PINGS[:5],
            (TEXT, b"Hello"),
            needs=Needs.ECHO,
        ),
        "Keep the collected fragments apart from the current frame; a control frame must not change them.",
    ),
    Case(
        "7.ping.before-the-rest",
        SHOULD,
        "RFC 6455 §5.5.2",
        "A Ping inside a message is answered before the rest of the message arrives",
        "It SHOULD respond with Pong frame as soon as is practical.",
        script(
            "a first fragment and a Ping; after the Pong, the last fragment",
            "the Pong, then the message",
            _before_the_rest,
            needs=Needs.OPEN,
        ),
        "Do not hold control frames back until the message is whole: they may overtake it.",
    ),
    Case(
        "7.ping.126",
        MUST,
        "RFC 6455 §5.5",
        "A Ping of 126 bytes fails the connection",
        AT_MOST_125,
        fails(frame(PING, letters(126))),
        "A control frame has at most 125 bytes: check the length before you read the payload.",
    ),
    Case(
        "7.ping.65536",
        MUST,
        "RFC 6455 §5.5",
        "A Ping of 65,536 bytes fails the connection",
        AT_MOST_125,
        fails(frame(PING, letters(65536))),
        "A control frame has at most 125 bytes: check the length before you read the payload.",
    ),
    Case(
        "7.ping.in-16-bits",
        SHOULD,
        "RFC 6455 §5.2",
        "A Ping of 5 bytes with a length in 16 bits fails the connection",
        "the minimal number of bytes MUST be used to encode the length",
        fails(frame(PING, b"Hello", form=16)),
        "In a control frame, neither 126 nor 127 is valid as a length.",
    ),
    Case(
        "7.ping.fragmented",
        MUST,
        "RFC 6455 §5.5",
        "A Ping without FIN fails the connection",
        AT_MOST_125,
        fails(frame(PING, b"Hel", fin=False) + frame(CONTINUATION, b"lo")),
        "Answer opcode & 8 without FIN by 1002.",
    ),
    Case(
        "7.ping.unfinished",
        MUST,
        "RFC 6455 §5.5",
        "A Ping without FIN fails the connection even without a continuation",
        AT_MOST_125,
        fails(frame(PING, b"Hello", fin=False)),
        "Answer opcode & 8 without FIN by 1002.",
    ),
    Case(
        "7.pong.well-formed",
        MUST,
        "RFC 6455 §5.5",
        "The server's Pongs are whole frames, without a mask and without RSV bits",
        AT_MOST_125,
        script("Pings of 0, 5 and 125 bytes", "frames that begin with 8a", _well_formed_pongs, needs=Needs.OPEN),
        "A Pong begins with 8a: FIN, no RSV bits, opcode 10; the second byte is the length.",
    ),
    Case(
        "7.pong.unsolicited",
        INTEROP,
        "RFC 6455 §5.5.3",
        "An unsolicited Pong is ignored",
        "A Pong frame MAY be sent unsolicited. ... A response to an unsolicited Pong frame is not expected.",
        _ignored(frame(PONG, b"Hello")),
        "Ignore a frame with opcode 10: an unexpected Pong must not break your list of open Pings.",
    ),
    Case(
        "7.pong.unsolicited-empty",
        INTEROP,
        "RFC 6455 §5.5.3",
        "Unsolicited empty Pongs are ignored",
        "A Pong frame MAY be sent unsolicited. ... A response to an unsolicited Pong frame is not expected.",
        _ignored(frame(PONG) * 3),
        "Ignore a frame with opcode 10: an unexpected Pong must not break your list of open Pings.",
    ),
    Case(
        "7.pong.inside-message",
        MUST,
        "RFC 6455 §5.4",
        "A Pong between the fragments of a message leaves the message whole",
        "An endpoint MUST be capable of handling control frames in the middle of a fragmented message.",
        echoes(frame(TEXT, b"Hel", fin=False) + frame(PONG, b"p") + frame(CONTINUATION, b"lo"), (TEXT, b"Hello")),
        "Keep the collected fragments apart from the current frame; a control frame must not change them.",
    ),
    Case(
        "7.pong.126",
        SHOULD,
        "RFC 6455 §5.5",
        "A Pong of 126 bytes fails the connection",
        AT_MOST_125,
        fails(frame(PONG, letters(126))),
        "The rule applies to all control frames, also to those that you ignore.",
    ),
    Case(
        "7.pong.unfinished",
        SHOULD,
        "RFC 6455 §5.5",
        "A Pong without FIN fails the connection",
        AT_MOST_125,
        fails(frame(PONG, b"Hello", fin=False)),
        "The rule applies to all control frames, also to those that you ignore.",
    ),
)


def _slow_ping(peer: Peer) -> None:
    wire = peer.open()
    wire.send_in_packets(frame(PING, b"Hello"))
    wire.expect(PONG, b"Hello")


# -- Fragments ----------------------------------------------------------------------------------

BOTH = "Clients and servers MUST support receiving both fragmented and unfragmented messages."
INTERLEAVED = (
    "The fragments of one message MUST NOT be interleaved between the fragments of another message unless an "
    "extension has been negotiated that can interpret the interleaving."
)
JOIN = "Collect payloads from the first frame, which has the opcode, to the frame with FIN."


def _joined(name: str, title: str, opcode: int, *pieces: bytes, hint: str = JOIN, packet_size: int = 0) -> Case:
    return Case(
        f"7.fragments.{name}",
        MUST,
        "RFC 6455 §5.4",
        title,
        BOTH,
        echoes(fragments(opcode, *pieces), (opcode, b"".join(pieces)), packet_size=packet_size),
        hint,
    )


def _in_pieces(payload: bytes, size: int) -> list[bytes]:
    return [payload[start : start + size] for start in range(0, len(payload), size)]


def _out_of_order(name: str, title: str, data: bytes, quote: str, hint: str, section: str = "RFC 6455 §5.4") -> Case:
    return Case(f"7.fragments.{name}", MUST, section, title, quote, fails(data), hint)


def _then_fails(good: bytes, message: bytes, bad: bytes) -> Play:
    """Expect a message back, and then a failed connection for the bad bytes."""

    def run(peer: Peer) -> None:
        wire = peer.open()
        wire.send(good)
        wire.expect(TEXT, message)
        wire.send(bad)
        wire.expect_failure()

    return Play(f"{in_words(good)}, then {in_words(bad)}", "the message, then Close or the end of TCP", run, Needs.ECHO)


A_FRAGMENTED = (
    "A fragmented message consists of a single frame with the FIN bit clear and an opcode other than 0, followed by "
    "zero or more frames with the FIN bit clear and the opcode set to 0, and terminated by a single frame with the "
    "FIN bit set and an opcode of 0."
)
NOTHING_OPEN = "A continuation needs an unfinished message: remember whether a message has begun, until FIN."
STILL_OPEN = "Inside an unfinished message, the next data frame must have opcode 0."

FRAGMENT_CASES = (
    _joined("two", "A text in two fragments comes back as one message", TEXT, b"Hel", b"lo"),
    _joined("three", "A text in three fragments comes back as one message", TEXT, b"He", b"l", b"lo"),
    _joined("binary", "A binary message in three fragments stays binary", BINARY, b"\x00\xff", b"\xfe", b"\x80"),
    _joined("many", "A text in 100 fragments comes back as one message", TEXT, *_in_pieces(letters(1000), 10)),
    _joined("one-byte-each", "A text in fragments of one byte comes back as one message", TEXT, *FIVE),
    _joined("empty-first", "A first fragment may be empty", TEXT, b"", b"Hello"),
    _joined("empty-middle", "A fragment in the middle may be empty", TEXT, b"Hel", b"", b"lo"),
    _joined("empty-last", "A last fragment may be empty", TEXT, b"Hello", b""),
    _joined("all-empty", "A message of three empty fragments is an empty message", TEXT, b"", b"", b""),
    _joined("small", "64 KiB in fragments of 64 bytes come back", TEXT, *_in_pieces(letters(65536), 64)),
    _joined("large", "256 KiB in fragments of 64 KiB come back", TEXT, *_in_pieces(letters(262144), 65536)),
    _joined(
        "unequal", "Fragments with all three forms of length make one message", TEXT, b"a", letters(300), letters(70000)
    ),
    _joined(
        "slowly", "Fragments that arrive one byte at a time make one message", TEXT, b"Hel", b"", b"lo", packet_size=1
    ),
    Case(
        "7.fragments.two-messages",
        MUST,
        "RFC 6455 §6.2",
        "After FIN a new message begins, without bytes of the previous one",
        "Subsequent data frames MUST be interpreted as belonging to a new WebSocket message.",
        echoes(
            fragments(TEXT, b"Hel", b"lo") + text("one") + fragments(TEXT, b"t", b"wo") + text("three"),
            (TEXT, b"Hello"),
            (TEXT, b"one"),
            (TEXT, b"two"),
            (TEXT, b"three"),
        ),
        "Clear the collected fragments after FIN, and take the type from the new first frame.",
    ),
    _out_of_order(
        "nothing-to-continue",
        "A continuation without an unfinished message fails the connection",
        frame(CONTINUATION, b"Hello"),
        A_FRAGMENTED,
        NOTHING_OPEN,
    ),
    _out_of_order(
        "nothing-to-continue-unfinished",
        "A continuation without FIN and without an unfinished message fails the connection",
        frame(CONTINUATION, b"Hello", fin=False),
        A_FRAGMENTED,
        NOTHING_OPEN,
    ),
    Case(
        "7.fragments.continued-after-the-end",
        MUST,
        "RFC 6455 §5.4",
        "A continuation after the last fragment of a message fails the connection",
        A_FRAGMENTED,
        _then_fails(fragments(TEXT, b"Hel", b"lo"), b"Hello", frame(CONTINUATION, b"!")),
        NOTHING_OPEN,
    ),
    Case(
        "7.fragments.continued-whole",
        MUST,
        "RFC 6455 §5.4",
        "A continuation after a message in one frame fails the connection",
        A_FRAGMENTED,
        _then_fails(text("Hello"), b"Hello", frame(CONTINUATION, b"!")),
        NOTHING_OPEN,
    ),
    _out_of_order(
        "text-in-text",
        "A text frame inside a fragmented text fails the connection",
        frame(TEXT, b"Hel", fin=False) + text("lo"),
        INTERLEAVED,
        STILL_OPEN,
    ),
    _out_of_order(
        "binary-in-text",
        "A binary frame inside a fragmented text fails the connection",
        frame(TEXT, b"Hel", fin=False) + frame(BINARY, b"lo"),
        INTERLEAVED,
        STILL_OPEN,
    ),
    _out_of_order(
        "first-in-first",
        "A second first fragment fails the connection",
        frame(TEXT, b"Hel", fin=False) + frame(TEXT, b"lo", fin=False),
        INTERLEAVED,
        STILL_OPEN,
    ),
    _out_of_order(
        "in-empty",
        "A text frame after an empty first fragment fails the connection",
        frame(TEXT, b"", fin=False) + text("Hello"),
        INTERLEAVED,
        "A message can begin without bytes: do not test whether the collected bytes are empty.",
    ),
    _out_of_order(
        "reserved-opcode",
        "A reserved opcode between fragments fails the connection",
        frame(TEXT, b"Hel", fin=False) + frame(3, b"lo"),
        "If an unknown opcode is received, the receiving endpoint MUST _Fail the WebSocket Connection_.",
        "Check the first byte of each frame, also inside a message.",
        "RFC 6455 §5.2",
    ),
)

# -- UTF-8 ------------------------------------------------------------------------------------------

UTF8 = 'The "Payload data" is text data encoded as UTF-8.'
INVALID = (
    "When an endpoint is to interpret a byte stream as UTF-8 but finds that the byte stream is not, in fact, a valid "
    "UTF-8 stream, that endpoint MUST _Fail the WebSocket Connection_."
)
DECODE = "Decode the whole message strictly: set your decoder to raise an error, not to replace."


def _valid(name: str, character: str, what: str) -> Case:
    message = f"<{character}>".encode()
    return Case(
        f"7.utf8.{name}",
        MUST,
        "RFC 6455 §5.6",
        f"{what} comes back in a text",
        UTF8,
        echoes(frame(TEXT, message), (TEXT, message)),
        "It is valid UTF-8 (RFC 3629): use the decoder of your language, and do not write one.",
    )


def _invalid(name: str, wrong: str, what: str) -> Case:
    return Case(
        f"7.utf8.{name}",
        MUST,
        "RFC 6455 §8.1",
        f"A text with {what} fails the connection",
        INVALID,
        fails(frame(TEXT, b"Hello " + bytes.fromhex(wrong))),
        DECODE,
    )


def _split(name: str, title: str, *pieces: bytes) -> Case:
    return Case(
        f"7.utf8.{name}",
        MUST,
        "RFC 6455 §5.6",
        title,
        "a particular text frame might include a partial UTF-8 sequence; however, the whole message MUST contain "
        "valid UTF-8.",
        echoes(fragments(TEXT, *pieces), (TEXT, b"".join(pieces))),
        "Check the message, not the frame; or use an incremental decoder, which keeps an unfinished character.",
    )


def _invalid_in_fragments(name: str, title: str, *pieces: bytes, opcode: int = TEXT) -> Case:
    return Case(f"7.utf8.{name}", MUST, "RFC 6455 §8.1", title, INVALID, fails(fragments(opcode, *pieces)), DECODE)


def _early(peer: Peer) -> None:
    wire = peer.open()
    wire.send(frame(TEXT, b"Hello \xff", fin=False))
    wire.expect_failure()


EVERY_LENGTH = "k\u00f6sme \u20ac \U0001f600"

UTF8_CASES = (
    _valid("ascii", "a", "U+0061, one byte,"),
    _valid("nul", "\0", "U+0000, a zero byte,"),
    _valid("7f", "\x7f", "U+007F, the last in one byte,"),
    _valid("80", "\x80", "U+0080, the first in two bytes,"),
    _valid("7ff", "\u07ff", "U+07FF, the last in two bytes,"),
    _valid("800", "\u0800", "U+0800, the first in three bytes,"),
    _valid("d7ff", "\ud7ff", "U+D7FF, the last before the surrogates,"),
    _valid("e000", "\ue000", "U+E000, the first after the surrogates,"),
    _valid("feff", "\ufeff", "U+FEFF, a byte order mark,"),
    _valid("ffff", "\uffff", "U+FFFF, a noncharacter and the last in three bytes,"),
    _valid("fdd0", "\ufdd0", "U+FDD0, a noncharacter,"),
    _valid("10000", "\U00010000", "U+10000, the first in four bytes,"),
    _valid("1fffe", "\U0001fffe", "U+1FFFE, a noncharacter in four bytes,"),
    _valid("10ffff", "\U0010ffff", "U+10FFFF, the last of all,"),
    _valid("all", EVERY_LENGTH, "A text with characters of one to four bytes"),
    _split("split-2", "A character of two bytes may be split between fragments", b"\xc3", b"\xb6"),
    _split("split-3", "A character of three bytes may be split after its first byte", b"\xe2", b"\x82\xac"),
    _split("split-3-later", "A character of three bytes may be split after its second byte", b"\xe2\x82", b"\xac"),
    _split("split-4", "A character of four bytes may be split in the middle", b"\xf0\x9f", b"\x98\x80"),
    _split(
        "split-everywhere",
        "A text may have fragments of one byte each",
        *(bytes([byte]) for byte in EVERY_LENGTH.encode()),
    ),
    _split("split-empty", "A character may be split by an empty fragment", b"\xe2", b"", b"\x82", b"", b"\xac"),
    Case(
        "7.utf8.split-by-ping",
        MUST,
        "RFC 6455 §5.4",
        "A character may be split by a Ping",
        "An endpoint MUST be capable of handling control frames in the middle of a fragmented message.",
        _several(
            frame(TEXT, b"\xe2", fin=False) + frame(PING, b"\xff") + frame(CONTINUATION, b"\x82\xac"),
            [b"\xff"],
            (TEXT, b"\xe2\x82\xac"),
            needs=Needs.ECHO,
        ),
        "Do not pass the payload of a Ping to the text decoder.",
    ),
    Case(
        "7.utf8.not-in-binary",
        MUST,
        "RFC 6455 §5.6",
        "A binary message need not be UTF-8, in one frame or in fragments",
        'The "Payload data" is arbitrary binary data whose interpretation is solely up to the application layer.',
        echoes(
            frame(BINARY, b"\xff\xfe\xc3\x28") + fragments(BINARY, b"\xed", b"\xa0\x80"),
            (BINARY, b"\xff\xfe\xc3\x28"),
            (BINARY, b"\xed\xa0\x80"),
        ),
        "A continuation has the type of its first frame: check only text.",
    ),
    _invalid("overlong-2", "c0 af", "an overlong form in two bytes (c0 af)"),
    _invalid("overlong-2-last", "c1 bf", "an overlong form in two bytes (c1 bf)"),
    _invalid("overlong-nul", "c0 80", "NUL as c0 80, as Java writes it,"),
    _invalid("overlong-3", "e0 80 af", "an overlong form in three bytes (e0 80 af)"),
    _invalid("overlong-3-last", "e0 9f bf", "an overlong form in three bytes (e0 9f bf)"),
    _invalid("overlong-4", "f0 80 80 af", "an overlong form in four bytes (f0 80 80 af)"),
    _invalid("overlong-4-last", "f0 8f bf bf", "an overlong form in four bytes (f0 8f bf bf)"),
    _invalid("surrogate-first", "ed a0 80", "the surrogate U+D800 (ed a0 80)"),
    _invalid("surrogate-last", "ed bf bf", "the surrogate U+DFFF (ed bf bf)"),
    _invalid("surrogate-pair", "ed a0 bd ed b8 80", "a pair of surrogates (CESU-8)"),
    _invalid("110000", "f4 90 80 80", "a character beyond U+10FFFF (f4 90 80 80)"),
    _invalid("f5", "f5 80 80 80", "a byte that begins no character (f5)"),
    _invalid("five-bytes", "f8 88 80 80 80", "a form in five bytes"),
    _invalid("six-bytes", "fc 84 80 80 80 80", "a form in six bytes"),
    _invalid("fe-ff", "fe ff", "the bytes fe ff"),
    _invalid("lone-80", "80", "a continuation byte without a first byte (80)"),
    _invalid("lone-bf", "bf 21", "a continuation byte without a first byte (bf)"),
    _invalid("two-too-many", "c3 b6 b6", "one continuation byte too many"),
    _invalid("not-continued", "c3 28", "a first byte before an ASCII character (c3 28)"),
    _invalid("cut-2", "c3", "half a character at its end (c3)"),
    _invalid("cut-3", "e2 82", "two thirds of a character at its end (e2 82)"),
    _invalid("cut-4", "f0 9f 98", "three quarters of a character at its end (f0 9f 98)"),
    _invalid_in_fragments(
        "invalid-first-fragment", "Invalid bytes in a first fragment fail the connection", b"Hello \xff", b"!"
    ),
    _invalid_in_fragments(
        "invalid-last-fragment", "Invalid bytes in a continuation fail the connection", b"Hello ", b"\xff!"
    ),
    _invalid_in_fragments(
        "invalid-across", "A surrogate split between fragments fails the connection", b"\xed", b"\xa0\x80"
    ),
    _invalid_in_fragments(
        "cut-before-empty",
        "A text with an unfinished character before an empty last fragment fails the connection",
        b"\xe2\x82",
        b"",
    ),
    Case(
        "7.utf8.fail-fast",
        INTEROP,
        "RFC 6455 §8.1",
        "Invalid bytes in a first fragment fail the connection before the rest arrives",
        "Both ways are legal; but a server that waits for FIN may collect many bytes of an invalid message.",
        script("a first fragment with the byte ff", "Close, or the end of TCP", _early, needs=Needs.OPEN),
        "Use an incremental decoder, and give it each fragment as it arrives.",
    ),
)

CASES = (*PING_CASES, *FRAGMENT_CASES, *UTF8_CASES)
