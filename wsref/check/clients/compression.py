"""Chapter 9: permessage-deflate, RFC 7692, with a client that offers it."""

from __future__ import annotations

import functools
import hashlib
import zlib
from collections.abc import Callable

from ..case import Play
from ..codec import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Frame
from ..session import Deadline
from ..verdict import Failed, Skipped
from .frames import letters
from .plays import INTEROP, MUST, SHOULD, ClientRule, client_cases_of, refuses, take_pongs, takes
from .session import Client, as_server

NAME = "permessage-deflate"
TAIL = b"\0\0\xff\xff"
HELLO = bytes.fromhex("f248cdc9c90700")  # RFC 7692 §7.2.3.1


def offer(client: Client) -> dict[str, str]:
    """Return the parameters of the client's first offer; a parameter without a value has ""."""
    for element in client.offered:
        name, *parameters = (part.strip() for part in element.split(";"))
        if name == NAME:
            pairs = (parameter.partition("=") for parameter in parameters)
            return {key.strip(): value.strip(' "').replace("\\", "") for key, _, value in pairs}
    raise Skipped("the client does not offer permessage-deflate")


def agreement(client: Client, *more: str) -> str:
    """Return a response to the client's first offer: what it demands, and more parameters."""
    offered = offer(client)
    names = {parameter.partition("=")[0] for parameter in more}
    words = [NAME]
    if "server_no_context_takeover" in offered and "server_no_context_takeover" not in names:
        words.append("server_no_context_takeover")
    if (bits := offered.get("server_max_window_bits")) and "server_max_window_bits" not in names:
        words.append(f"server_max_window_bits={bits}")
    return "; ".join([*words, *more])


def with_extension(*more: str, instead: str = "") -> Callable[[Client], bytes]:
    """Return a function that makes a 101 with this response to the offer."""

    def made(client: Client) -> bytes:
        return client.response("Sec-WebSocket-Extensions: " + (instead or agreement(client, *more)))

    return made


class Session:
    """A connection with permessage-deflate.

    Args:
        more: Parameters to agree on, beyond those that the client demands.
    """

    def __init__(self, client: Client, *more: str) -> None:
        agreed = agreement(client, *more)
        self.wire = client.open(f"Sec-WebSocket-Extensions: {agreed}")
        parameters = dict(part.strip().partition("=")[::2] for part in agreed.split(";")[1:])
        self._fresh_out = "server_no_context_takeover" in parameters
        self._fresh_in = "client_no_context_takeover" in parameters
        self._bits_out = max(9, int(parameters.get("server_max_window_bits") or 15))
        self._bits_in = int(parameters.get("client_max_window_bits") or 15)
        self._deflater = zlib.compressobj(wbits=-self._bits_out)
        self._inflater = zlib.decompressobj(-self._bits_in)

    def compress(self, payload: bytes) -> bytes:
        """Compress a message to the client.  RFC 7692 §7.2.1."""
        if self._fresh_out:
            self._deflater = zlib.compressobj(wbits=-self._bits_out)
        return (self._deflater.compress(payload) + self._deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]

    def send(self, opcode: int, payload: bytes) -> None:
        """Send a compressed message."""
        self.wire.send(as_server(opcode, self.compress(payload), rsv=4))

    def expect(self, opcode: int, payload: bytes) -> None:
        """Expect a message, compressed or not; pass over Pongs, and over messages that answer nothing."""
        wanted, deadline = Frame(opcode, payload), self.wire.deadline_for(len(payload))
        while (received := self._next(wanted, deadline)).opcode == PONG or self.wire.answers_nothing(received, wanted):
            pass
        self.wire.compare(received, wanted)

    def _next(self, wanted: Frame, deadline: Deadline) -> Frame:
        received = self.wire.message_for(wanted, deadline)
        if received.rsv & 4 and received.opcode in (TEXT, BINARY):
            received = Frame(received.opcode, self._inflate(received.payload))
        return received

    def _inflate(self, payload: bytes) -> bytes:
        if self._fresh_in:
            self._inflater = zlib.decompressobj(-self._bits_in)
        message, data = b"", payload + TAIL
        try:
            while data and len(message) < 1 << 24:
                message += self._inflater.decompress(data, 1 << self._bits_in)  # so that only the window is known
                data = self._inflater.unconsumed_tail
                if self._inflater.eof:  # after BFINAL, a new stream begins
                    data, self._inflater = self._inflater.unused_data, zlib.decompressobj(-self._bits_in)
        except zlib.error as error:
            raise Failed(f"a compressed message that does not decompress: {error}", "a compressed message") from None
        return message


def _raw(data: bytes, *messages: tuple[int, bytes], more: tuple[str, ...] = ()) -> Play:
    """Send these bytes, and expect the messages back."""

    def run(client: Client) -> None:
        session = Session(client, *more)
        session.wire.send(data)
        for opcode, payload in messages:
            session.expect(opcode, payload)

    return Play(data[:32].hex(" "), f"{len(messages)} message{'s' * (len(messages) > 1)} back", run)


def _round_trip(*messages: tuple[int, bytes], more: tuple[str, ...] = (), may_refuse: bool = False) -> Play:
    """Compress messages and send them, one after the other, and expect each one back."""

    def run(client: Client) -> None:
        session = Session(client, *more)
        for number, (opcode, payload) in enumerate(messages):
            session.send(opcode, payload)
            try:
                session.expect(opcode, payload)
            except Failed as failure:
                if may_refuse and not number and failure.got == "it ended TCP":
                    raise Skipped(f"the client does not agree on {', '.join(more)}, which is legal") from None
                raise

    words = ", ".join(f"{len(payload)} bytes" for _, payload in messages[:3])
    return Play(f"compressed: {words}" + f"; with {', '.join(more)}" * bool(more), "the same messages back", run)


def _fails(data: bytes) -> Play:
    def run(client: Client) -> None:
        session = Session(client)
        session.wire.send(data)
        session.wire.expect_failure()

    return Play(data[:32].hex(" "), "Close, or the end of TCP, and nothing else", run)


def _pinged(data: bytes) -> Play:
    """Send these bytes and a Ping, and expect the Pong: the client did not fail the connection."""

    def run(client: Client) -> None:
        session = Session(client)
        session.wire.send(data + as_server(PING, b"after"))
        take_pongs(session.wire, (b"after",))

    return Play(f"{data[:32].hex(' ')} and a Ping", "PONG", run)


def _fragmented(opcode: int, *pieces: bytes) -> bytes:
    last = len(pieces) - 1
    return b"".join(
        as_server(0 if i else opcode, piece, fin=i == last, rsv=0 if i else 4) for i, piece in enumerate(pieces)
    )


@functools.cache
def shuffled(size: int) -> bytes:
    """Return bytes that DEFLATE does not shrink."""
    return b"".join(hashlib.sha256(b"%d" % i).digest() for i in range(size // 32))


def _control_frames(client: Client) -> None:
    session = Session(client)
    wire = session.wire
    wire.send(as_server(PING, letters(100)) + as_server(CLOSE, b"\x03\xe8" + letters(100)))
    for received in wire.frames():
        if received.opcode >= 8 and received.rsv:
            raise Failed(f"{received} with the RSV bits {received.rsv:03b}", "control frames without RSV bits")
        if received.opcode == CLOSE:
            return


def _narrow(client: Client) -> None:
    """Agree on the smallest window for the client that zlib supports, and inflate its echoes with it."""
    if "client_max_window_bits" not in offer(client):
        raise Skipped("the client does not offer client_max_window_bits")
    session = Session(client, "client_max_window_bits=9")
    payload = shuffled(4096) * 3  # it repeats at a distance of 4 KiB, which a window of 512 bytes does not reach
    session.send(BINARY, payload)
    session.expect(BINARY, payload)


FAILS = (
    "A client MUST _Fail the WebSocket Connection_ if the peer server accepted an extension negotiation offer for this "
    "extension with an extension negotiation response meeting any of the following conditions: "
)
UNDEFINED = FAILS + "The negotiation response contains an extension parameter not defined for use in a response."
BAD_VALUE = FAILS + "The negotiation response contains an extension parameter with an invalid value."
TWICE = FAILS + "The negotiation response contains multiple extension parameters with the same name."
BOTH_RSV1 = (
    "A client that received a response accepting a PMCE extension negotiation offer together with such an extension "
    "MUST _Fail the WebSocket Connection_."
)
INFLATE = (
    "Append 4 octets of 0x00 0x00 0xff 0xff to the tail end of the payload of the message. ... Decompress the "
    "resulting data using DEFLATE."
)
TAKEN_OVER = (
    "Otherwise, the client MUST decompress each new message using the LZ77 sliding window used to process the last "
    "compressed message."
)
RSV1 = (
    'An endpoint MUST NOT set the "Per-Message Compressed" bit of control frames and non-first fragments of a data '
    "message. An endpoint receiving such a frame MUST _Fail the WebSocket Connection_."
)
ONE_BIT = "On a WebSocket connection where a PMCE is in use, this bit indicates whether a message is compressed or not."
CHECK = "Check each parameter of the response: its name, its value, and that it appears once."
INFLATE_ALL = "Join the payloads, append 00 00 ff ff once, and inflate as raw DEFLATE, without a zlib header."


def _refused(words: str, *more: str, instead: str = "") -> Play:
    return refuses(made=with_extension(*more, instead=instead), words=f"a 101 with {words}")


NEGOTIATION = client_cases_of(
    ClientRule(MUST, "RFC 7692 §7", UNDEFINED, CHECK, opens=False, deflate=True),
    ("c9.response.unknown", "An unknown parameter is refused", _refused("the parameter x-unknown", "x-unknown")),
    ("c9.response.unknown-value", "An unknown parameter with a value is refused",
     _refused("x-unknown=10", "x-unknown=10")),

    ClientRule(MUST, "RFC 7692 §7", BAD_VALUE, CHECK, opens=False, deflate=True),
    *((f"c9.response.{name}", f"{parameter}{words} is refused", _refused(parameter, parameter))
      for name, parameter, words in (
          ("window-7", "server_max_window_bits=7", ""),
          ("window-16", "server_max_window_bits=16", ""),
          ("window-0", "server_max_window_bits=0", ""),
          ("window-zero-first", "server_max_window_bits=010", ""),
          ("window-word", "server_max_window_bits=ten", ""),
          ("window-negative", "server_max_window_bits=-10", ""),
          ("window-no-value", "server_max_window_bits", " without a value"),
          ("client-window-7", "client_max_window_bits=7", ""),
          ("client-window-16", "client_max_window_bits=16", ""),
          ("client-window-no-value", "client_max_window_bits", " without a value"),
          ("takeover-value", "server_no_context_takeover=1", ""),
          ("client-takeover-value", "client_no_context_takeover=true", ""),
      )),

    ClientRule(MUST, "RFC 7692 §7", TWICE, CHECK, opens=False, deflate=True),
    *((f"c9.response.{name}", f"{parameter} twice is refused", _refused(f"{parameter} twice", parameter, parameter))
      for name, parameter in (
          ("window-twice", "server_max_window_bits=15"),
          ("takeover-twice", "server_no_context_takeover"),
          ("client-takeover-twice", "client_no_context_takeover"),
      )),

    ClientRule(MUST, "RFC 7692 §5", BOTH_RSV1, "Accept permessage-deflate once.", opens=False, deflate=True),
    ("c9.response.two", "permessage-deflate twice is refused", _refused(f"{NAME}, {NAME}", instead=f"{NAME}, {NAME}")),

    ClientRule(SHOULD, "RFC 6455 §9.1", "Sec-WebSocket-Extensions = extension-list",
        "Refuse a response that does not follow the grammar.", opens=False, deflate=True),
    ("c9.response.no-name", "A response without a name is refused",
     _refused("an empty element", instead=f"{NAME}; =10")),
    ("c9.response.empty-parameter", "An empty parameter is refused", _refused("; ; at its end", instead=f"{NAME}; ;")),

    ClientRule(MUST, "RFC 6455 §4.1",
        "The _Extensions In Use_ is defined to be a (possibly empty) string, the value of which is equal to the value "
        "of the |Sec-WebSocket-Extensions| header field supplied by the server's handshake or the null value if that "
        "header field was not present in the server's handshake.",
        "Without the extension in the 101, send and expect uncompressed messages.", deflate=True),
    ("c9.decline.works", "A server may decline the offer", takes(words="a 101 without an extension")),

    ClientRule(INTEROP, "RFC 7692 §7.1",
        "The most common responses: a client that offers the extension without parameters can accept them all.",
        "Accept the four parameters of the response, and compress and decompress as they say.", opens=False,
        deflate=True),
    *((f"c9.agree.{name}", f"A response with {words} is accepted",
       takes(made=with_extension(*more), words=f"a 101 with {words}"))
      for name, words, more in (
          ("plain", "no more than the client demands", ()),
          ("server-takeover", "server_no_context_takeover", ("server_no_context_takeover",)),
          ("client-takeover", "client_no_context_takeover", ("client_no_context_takeover",)),
      )),
)  # fmt: skip

MESSAGES = client_cases_of(
    ClientRule(MUST, "RFC 7692 §7.2.2", INFLATE, INFLATE_ALL, echo=True, deflate=True),
    ("c9.message.hello", "The RFC's compressed Hello comes back",
     _raw(as_server(TEXT, HELLO, rsv=4), (TEXT, b"Hello"))),
    ("c9.message.stored", "A block without compression is inflated",
     _raw(as_server(TEXT, bytes.fromhex("000500faff48656c6c6f00"), rsv=4), (TEXT, b"Hello"))),
    ("c9.message.two-blocks", "A message of two blocks is inflated",
     _raw(as_server(TEXT, bytes.fromhex("f248050000 00ffffcac9c90700"), rsv=4), (TEXT, b"Hello"))),
    ("c9.message.final", "A block with BFINAL is inflated",
     _raw(as_server(TEXT, bytes.fromhex("f348cdc9c9070000"), rsv=4), (TEXT, b"Hello"))),
    ("c9.message.final-then-another", "The message after a block with BFINAL is inflated",
     _raw(as_server(TEXT, bytes.fromhex("f348cdc9c9070000"), rsv=4) + as_server(TEXT, HELLO, rsv=4), (TEXT, b"Hello"),
          (TEXT, b"Hello"))),
    ("c9.message.empty", "An empty compressed message comes back", _raw(as_server(TEXT, b"\0", rsv=4), (TEXT, b""))),
    ("c9.message.fragments", "A compressed message in two fragments comes back",
     _raw(_fragmented(TEXT, HELLO[:3], HELLO[3:]), (TEXT, b"Hello"))),
    ("c9.message.byte-fragments", "A compressed message in fragments of one byte comes back",
     _raw(_fragmented(TEXT, *(HELLO[i : i + 1] for i in range(7))), (TEXT, b"Hello"))),
    ("c9.message.empty-last", "A compressed message whose last fragment is empty comes back",
     _raw(_fragmented(TEXT, HELLO, b""), (TEXT, b"Hello"))),
    ("c9.message.text", "A compressed text of 10,000 bytes comes back", _round_trip((TEXT, letters(10000)))),
    ("c9.message.binary", "Compressed bytes that do not shrink come back", _round_trip((BINARY, shuffled(16384)))),
    ("c9.message.shrinks", "128 KiB of one letter come back", _round_trip((TEXT, b"a" * 131072))),
    ("c9.message.utf-8", "Compressed UTF-8 comes back", _round_trip((TEXT, "κόσμε 😀".encode()))),

    ClientRule(MUST, "RFC 7692 §7.2.2", TAKEN_OVER,
        "Keep the inflater from message to message, unless server_no_context_takeover is agreed.", echo=True,
        deflate=True),
    ("c9.message.context", "A message may refer to the one before it", _round_trip(*[(TEXT, letters(3000))] * 3)),
    ("c9.message.context-between", "An uncompressed message does not change the window",
     _raw(as_server(TEXT, HELLO, rsv=4) + as_server(TEXT, b"plain") + as_server(PING) + as_server(TEXT, HELLO, rsv=4),
          (TEXT, b"Hello"), (TEXT, b"plain"), (TEXT, b"Hello"))),

    ClientRule(MUST, "RFC 7692 §6", ONE_BIT, "Inflate a message only if its first frame has RSV1.", echo=True,
        deflate=True),
    ("c9.message.plain", "A message without RSV1 is not inflated", _raw(as_server(TEXT, b"Hello"), (TEXT, b"Hello"))),
    ("c9.message.plain-fragments", "A fragmented message without RSV1 is not inflated",
     _raw(as_server(TEXT, b"Hel", fin=False) + as_server(CONTINUATION, b"lo"), (TEXT, b"Hello"))),

    ClientRule(MUST, "RFC 7692 §7.2.2", INFLATE, INFLATE_ALL, deflate=True),
    ("c9.works.hello", "The RFC's compressed Hello is no error", _pinged(as_server(TEXT, HELLO, rsv=4))),
    ("c9.works.fragments", "A compressed message in two fragments is no error",
     _pinged(_fragmented(TEXT, HELLO[:3], HELLO[3:]))),
    ("c9.works.context", "The RFC's second Hello, which refers to the first, is no error",
     _pinged(as_server(TEXT, HELLO, rsv=4) + as_server(TEXT, HELLO, rsv=4))),

    ClientRule(MUST, "RFC 7692 §6.1", RSV1, "Accept RSV1 only in the first frame of a text or binary message.",
        deflate=True),
    ("c9.rsv.continuation", "RSV1 in a second fragment fails the connection",
     _fails(as_server(TEXT, HELLO[:3], fin=False, rsv=4) + as_server(CONTINUATION, HELLO[3:], rsv=4))),
    ("c9.rsv.only-continuation", "RSV1 in the second fragment only fails the connection",
     _fails(as_server(TEXT, HELLO[:3], fin=False) + as_server(CONTINUATION, HELLO[3:], rsv=4))),
    ("c9.rsv.ping", "RSV1 in a Ping fails the connection", _fails(as_server(PING, b"Hello", rsv=4))),
    ("c9.rsv.pong", "RSV1 in a Pong fails the connection", _fails(as_server(PONG, b"Hello", rsv=4))),

    ClientRule(MUST, "RFC 6455 §5.2",
        "If a nonzero value is received and none of the negotiated extensions defines the meaning of such a nonzero "
        "value, the receiving endpoint MUST _Fail the WebSocket Connection_.", "permessage-deflate defines RSV1 only.",
        deflate=True),
    ("c9.rsv.rsv2", "RSV2 fails the connection also with permessage-deflate", _fails(as_server(TEXT, HELLO, rsv=6))),
    ("c9.rsv.rsv3", "RSV3 fails the connection also with permessage-deflate", _fails(as_server(TEXT, b"Hello", rsv=1))),

    ClientRule(MUST, "RFC 6455 §8.1",
        "When an endpoint is to interpret a byte stream as UTF-8 but finds that the byte stream is not, in fact, a "
        "valid UTF-8 stream, that endpoint MUST _Fail the WebSocket Connection_.", "Check UTF-8 after decompression.",
        deflate=True),
    ("c9.bad.utf-8", "A compressed text that is not UTF-8 fails the connection",
     _fails(as_server(TEXT, zlib.compress(b"Hello \xff", wbits=-15), rsv=4))),

    ClientRule(SHOULD, "RFC 7692 §7.2.2", INFLATE,
        "The RFC does not say what follows data that is not DEFLATE; no message can come of it: fail the connection.",
        deflate=True),
    ("c9.bad.block-type", "A block of the reserved type fails the connection",
     _fails(as_server(TEXT, b"\x07\xff\xff", rsv=4))),
    ("c9.bad.distance", "A reference before the first byte fails the connection",
     _fails(as_server(BINARY, bytes.fromhex("f2001100 00"), rsv=4))),
    ("c9.bad.zlib-header", "Data with a zlib header fails the connection",
     _fails(as_server(TEXT, zlib.compress(b"Hello"), rsv=4))),

    ClientRule(MUST, "RFC 7692 §7.2.1",
        'If the "agreed parameters" contain the "client_no_context_takeover" extension parameter, the client MUST '
        "start compressing each new message with an empty LZ77 sliding window.",
        "If the response has client_no_context_takeover, make a new deflater for each message.", echo=True,
        deflate=True),
    ("c9.takeover.client", "With client_no_context_takeover each echo can be inflated alone",
     _round_trip(*[(TEXT, letters(3000))] * 3, more=("client_no_context_takeover",), may_refuse=True)),

    ClientRule(MUST, "RFC 7692 §7.2.2", INFLATE,
        "With server_no_context_takeover each message can be inflated alone; keeping the window does no harm.",
        echo=True, deflate=True),
    ("c9.takeover.server", "With server_no_context_takeover three messages come back",
     _round_trip(*[(TEXT, letters(3000))] * 3, more=("server_no_context_takeover",), may_refuse=True)),

    ClientRule(MUST, "RFC 7692 §7.2.1",
        'If the "agreed parameters" contain the "client_max_window_bits" extension parameter with a value of w, the '
        "client MUST NOT use an LZ77 sliding window longer than the w-th power of 2 bytes to compress messages to "
        "send.", "If the response has client_max_window_bits=w, give w to the deflater.", echo=True, deflate=True),
    ("c9.window.client", "With client_max_window_bits=9 the echo refers back at most 512 bytes",
     Play("12 KiB that repeat after 4 KiB, with client_max_window_bits=9", "an echo with a small window", _narrow)),

    ClientRule(MUST, "RFC 7692 §6.1", RSV1, "Set RSV1 only in the first frame of a message.", deflate=True),
    ("c9.sends.control", "The client's control frames have no RSV1",
     Play("a Ping and a Close of 100 bytes", "a Pong and a Close without RSV1", _control_frames)),
)  # fmt: skip

CASES = (*NEGOTIATION, *MESSAGES)
