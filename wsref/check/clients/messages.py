"""Chapter 7: messages: fragments, Pings between them, UTF-8."""

from __future__ import annotations

from ..case import Play
from ..codec import BINARY, CONTINUATION, PING, PONG, TEXT
from ..verdict import Failed
from .frames import letters, pattern
from .plays import INTEROP, MUST, SHOULD, ClientRule, client_cases_of, echoes, fails, fails_with, pongs, take_pongs
from .session import Client, as_server


def fragments(opcode: int, *pieces: bytes) -> bytes:
    """Build a message of one frame for each piece."""
    last = len(pieces) - 1
    return b"".join(as_server(0 if i else opcode, piece, fin=i == last) for i, piece in enumerate(pieces))


def _in_fragments(opcode: int, *pieces: bytes) -> Play:
    return echoes(fragments(opcode, *pieces), (opcode, b"".join(pieces)))


def _pings_between(*, echo: bool) -> Play:
    data = (
        as_server(TEXT, b"Hel", fin=False)
        + as_server(PING, b"between")
        + as_server(CONTINUATION, b"lo")
        + as_server(PING, b"after")
    )

    def run(client: Client) -> None:
        wire = client.open()
        wire.send(data)
        if not echo:
            take_pongs(wire, (b"between", b"after"))
            return
        texts, pings = [b"Hello"], [b"between", b"after"]
        while texts or pings:
            received = wire.message()
            if received.opcode == PONG and received.payload in pings:
                del pings[: pings.index(received.payload) + 1]
            elif received.opcode == TEXT and [received.payload] == texts:
                texts = []
            elif not wire.answers_nothing(received):
                raise Failed(str(received), "the text Hello, and a Pong")

    accepts = "PONG with b'between' and b'after'" + ", and TEXT of 5 bytes" * echo
    return Play("a text in two fragments, with a Ping between them and one after them", accepts, run)


def _no_answer(client: Client) -> None:
    wire = client.open()
    wire.send(as_server(PONG, b"unsolicited") + as_server(PING, b"Hello"))
    take_pongs(wire, (b"Hello",), (TEXT, BINARY, PONG))


def _after_the_end(client: Client) -> None:
    wire = client.open()
    wire.send(fragments(TEXT, b"Hel", b"lo"))
    if client.agent.echo is not False:
        wire.expect(TEXT, b"Hello")
    wire.send(as_server(CONTINUATION, b"!"))
    wire.expect_failure()


def _flood(client: Client) -> None:
    wire = client.open()
    payloads = tuple(b"%d" % i for i in range(1000))
    for start in range(0, 1000, 50):
        wire.send(b"".join(as_server(PING, payload) for payload in payloads[start : start + 50]))
    try:
        take_pongs(wire, payloads)
    except Failed:
        if not wire.is_over and not wire.has_sent_close:  # it may protect itself: RFC 6455 §10.4
            raise


FRAGMENTED = (
    "A fragmented message consists of a single frame with the FIN bit clear and an opcode other than 0, followed by "
    "zero or more frames with the FIN bit clear and the opcode set to 0, and terminated by a single frame with the FIN "
    "bit set and an opcode of 0."
)
INJECTED = "Control frames (see Section 5.5) MAY be injected in the middle of a fragmented message."
PONG_RULE = (
    "Upon receipt of a Ping frame, an endpoint MUST send a Pong frame in response, unless it already received a Close "
    "frame."
)
SAME = (
    'A Pong frame sent in response to a Ping frame must have identical "Application data" as found in the message body '
    "of the Ping frame being replied to."
)
CONTROL = client_cases_of(
    ClientRule(MUST, "RFC 6455 §5.5.3", SAME, "Send a Pong with the payload of the Ping, byte for byte."),
    ("c7.ping.empty", "An empty Ping gets an empty Pong", pongs(as_server(PING), b"")),
    ("c7.ping.text", "A Ping with a text gets it back", pongs(as_server(PING, b"Hello"), b"Hello")),
    ("c7.ping.binary", "A Ping with bytes that are no text gets them back",
     pongs(as_server(PING, b"\x00\xff\xfe\xfd"), b"\x00\xff\xfe\xfd")),
    ("c7.ping.125", "A Ping of 125 bytes gets them back", pongs(as_server(PING, letters(125)), letters(125))),

    ClientRule(MUST, "RFC 6455 §5.5.2", PONG_RULE,
        "Answer Pings where you read frames, also between the fragments of a message."),
    ("c7.ping.three", "Three Pings in one packet get Pongs in order, at least the last",
     pongs(b"".join(as_server(PING, b"%d" % i) for i in range(3)), b"0", b"1", b"2")),
    ("c7.ping.in-message", "A Ping between two fragments is answered", _pings_between(echo=False)),
    ("c7.ping.after-text", "A Ping after a message is answered",
     pongs(as_server(TEXT, b"Hello") + as_server(PING, b"after"), b"after")),
    ("c7.ping.flood", "A thousand Pings are answered, at least the last, or end the connection",
     Play("1000 Pings", "PONG with b'999'; or Close, or the end of TCP", _flood)),

    ClientRule(INTEROP, "RFC 6455 §5.5.3",
        "A Pong frame MAY be sent unsolicited.  This serves as a unidirectional heartbeat.  A response to an "
        "unsolicited Pong frame is not expected.", "Ignore a Pong that answers no Ping."),
    ("c7.pong.unsolicited", "A Pong that answers nothing is ignored",
     Play("a Pong, then a Ping", "PONG for the Ping", _no_answer)),
)  # fmt: skip
ECHOED = client_cases_of(
    ClientRule(MUST, "RFC 6455 §5.4", FRAGMENTED,
        "Collect the payloads until FIN; the opcode of the first frame is that of the message.", echo=True),
    ("c7.fragments.two", "A text in two fragments comes back", _in_fragments(TEXT, b"Hel", b"lo")),
    ("c7.fragments.binary", "A binary message in three fragments comes back",
     _in_fragments(BINARY, b"\x00\x01", b"\xff", b"\xfe")),
    ("c7.fragments.empty-first", "A message whose first fragment is empty comes back",
     _in_fragments(TEXT, b"", b"Hello")),
    ("c7.fragments.empty-middle", "A message with an empty fragment in its middle comes back",
     _in_fragments(TEXT, b"Hel", b"", b"lo")),
    ("c7.fragments.empty-last", "A message whose last fragment is empty comes back",
     _in_fragments(TEXT, b"Hello", b"")),
    ("c7.fragments.all-empty", "A message of empty fragments comes back empty", _in_fragments(TEXT, b"", b"", b"")),
    ("c7.fragments.many", "A message of 500 fragments comes back",
     _in_fragments(TEXT, *(b"%d," % i for i in range(500)))),
    ("c7.fragments.long", "A message of fragments of 20 KiB comes back", _in_fragments(BINARY, *[pattern(20480)] * 5)),
    ("c7.fragments.split-character", "A text with fragments that split a character comes back",
     _in_fragments(TEXT, b"\xe2", b"\x82", b"\xac and \xf0\x9f", b"\x98\x80")),
    ("c7.fragments.two-messages", "Two fragmented messages come back, in order",
     echoes(fragments(TEXT, b"on", b"e") + fragments(BINARY, b"tw", b"o"), (TEXT, b"one"), (BINARY, b"two"))),
    ("c7.fragments.pings-between", "A message with a Ping between its fragments comes back", _pings_between(echo=True)),
    ("c7.fragments.byte-by-byte", "A fragmented message byte by byte comes back",
     echoes(fragments(TEXT, b"Hel", b"lo"), (TEXT, b"Hello"), packet_size=1)),
)  # fmt: skip
ORDER = (
    "The fragments of one message MUST NOT be interleaved between the fragments of another message unless an extension "
    "has been negotiated that can interpret the interleaving."
)
SEQUENCE = client_cases_of(
    ClientRule(SHOULD, "RFC 6455 §5.4", ORDER,
        "The rule binds the server.  Remember whether a message is incomplete: a frame with opcode 0 needs one, a "
        "frame with opcode 1 or 2 must not have one."),
    ("c7.fragments.no-beginning", "A continuation without a beginning fails the connection",
     fails(as_server(CONTINUATION, b"lo"))),
    ("c7.fragments.no-beginning-unfinished", "An unfinished continuation without a beginning fails the connection",
     fails(as_server(CONTINUATION, b"lo", fin=False))),
    ("c7.fragments.after-the-end", "A continuation after a whole message fails the connection",
     Play("a text in two fragments, and then a continuation", "Close, or the end of TCP", _after_the_end)),
    ("c7.fragments.text-in-text", "A text inside a text fails the connection",
     fails(as_server(TEXT, b"Hel", fin=False) + as_server(TEXT, b"lo"))),
    ("c7.fragments.binary-in-text", "A binary message inside a text fails the connection",
     fails(as_server(TEXT, b"Hel", fin=False) + as_server(BINARY, b"lo", fin=False))),
)  # fmt: skip

# -- UTF-8 ------------------------------------------------------------------------------------------

VALID = {
    "ascii": b"Hello",
    "two-bytes": "é".encode(),
    "three-bytes": "κόσμε€".encode(),
    "four-bytes": "😀".encode(),
    "nul": b"\x00",
    "last": b"\xf4\x8f\xbf\xbf",
    "before-surrogates": b"\xed\x9f\xbf",
    "after-surrogates": b"\xee\x80\x80",
    "noncharacter": b"\xef\xbf\xbf",
    "bom": b"\xef\xbb\xbfHello",
    "replacement": b"\xef\xbf\xbd",
}
INVALID = {
    "continuation": (b"\x80", "a continuation byte alone"),
    "ff": (b"Hello \xff", "the byte ff"),
    "overlong-2": (b"\xc0\xaf", "a slash in two bytes"),
    "overlong-3": (b"\xe0\x80\xaf", "a slash in three bytes"),
    "overlong-4": (b"\xf0\x80\x80\xaf", "a slash in four bytes"),
    "overlong-nul": (b"\xc0\x80", "NUL in two bytes"),
    "surrogate": (b"\xed\xa0\x80", "half of a surrogate pair"),
    "surrogate-pair": (b"\xed\xa0\xbd\xed\xb8\x80", "a surrogate pair, as CESU-8 writes it"),
    "too-large": (b"\xf4\x90\x80\x80", "U+110000"),
    "five-bytes": (b"\xf8\x88\x80\x80\x80", "five bytes for a character"),
    "cut-off": (b"Hello \xe2\x82", "a character without its last byte"),
    "cut-off-4": (b"\xf0\x9f\x98", "a character of four bytes without its last"),
    "latin-1": (b"caf\xe9!", "Latin-1"),
}
UTF_8 = (
    "When an endpoint is to interpret a byte stream as UTF-8 but finds that the byte stream is not, in fact, a valid "
    "UTF-8 stream, that endpoint MUST _Fail the WebSocket Connection_."
)
STRICT = "Decode strictly, without a replacement character, and send Close 1007."
TEXTS = client_cases_of(
    ClientRule(MUST, "RFC 6455 §5.6", 'The "Payload data" is text data encoded as UTF-8.',
        "Decode and encode UTF-8 by the standard library, and keep every character: also NUL and the BOM.", echo=True),
    *((f"c7.utf-8.good-{name}", f"The text {text!r} comes back", echoes(as_server(TEXT, text), (TEXT, text)))
      for name, text in VALID.items()),

    ClientRule(MUST, "RFC 6455 §8.1", UTF_8, STRICT),
    *((f"c7.utf-8.bad-{name}", f"A text with {words} fails the connection", fails(as_server(TEXT, text)))
      for name, (text, words) in INVALID.items()),

    ClientRule(MUST, "RFC 6455 §8.1", UTF_8,
        "A character may continue in the next fragment, but not in the next message."),
    ("c7.utf-8.bad-at-end", "A fragmented text that ends inside a character fails the connection",
     fails(fragments(TEXT, b"Hello \xe2", b"\x82"))),
    ("c7.utf-8.bad-in-last-fragment", "A fragmented text with an invalid last fragment fails the connection",
     fails(fragments(TEXT, b"Hello ", b"\xff"))),
    ("c7.utf-8.bad-split", "Fragments that together are no character fail the connection",
     fails(fragments(TEXT, b"\xf4", b"\x90\x80\x80"))),

    ClientRule(SHOULD, "RFC 6455 §8.1", UTF_8,
        "The RFC does not say when: a client that checks each fragment as it arrives needs no memory for bad text."),
    ("c7.utf-8.fail-fast", "A first fragment with the byte ff fails the connection before the message ends",
     fails(as_server(TEXT, b"Hello \xff", fin=False))),
    ("c7.utf-8.fail-fast-split", "Two fragments that can be no character fail the connection before the message ends",
     fails(as_server(TEXT, b"\xed", fin=False) + as_server(CONTINUATION, b"\xa0\x80", fin=False))),

    ClientRule(SHOULD, "RFC 6455 §7.4.1",
        "1007 indicates that an endpoint is terminating the connection because it has received data within a message "
        "that was not consistent with the type of the message (e.g., non-UTF-8 [RFC3629] data within a text message).",
        "Send Close 1007 for text that is not UTF-8."),
    ("c7.utf-8.code", "The Close for invalid UTF-8 has the code 1007", fails_with(as_server(TEXT, b"\xff"), 1007)),
)  # fmt: skip

CASES = (*CONTROL, *ECHOED, *SEQUENCE, *TEXTS)
