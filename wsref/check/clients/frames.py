"""Chapter 6: frames in both directions.

Where a rule binds the server, and no sentence says that the client must notice, a case is SHOULD.
"""

from __future__ import annotations

import contextlib
import itertools

from ..case import Play
from ..codec import BINARY, CLOSE, CONTINUATION, MASKING_KEY, PING, PONG, TEXT, frame
from ..verdict import Failed
from .plays import (
    INTEROP,
    MUST,
    SHOULD,
    ClientRule,
    client_cases_of,
    echoes,
    fails,
    one_at_a_time,
    pongs,
    receive_close,
    take_pongs,
)
from .session import Client, as_server


def pattern(size: int) -> bytes:
    """Bytes in which a piece lost, doubled or moved shows."""
    return (bytes(range(251)) * (size // 251 + 1))[:size]


def letters(size: int) -> bytes:
    """The same in ASCII."""
    return (b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ." * (size // 63 + 1))[:size]


# -- What the client sends ---------------------------------------------------------------------


def _no_fault(part: str) -> Play:
    """Expect no fault with this text in the client's frames: Pongs, and its Close."""

    def run(client: Client) -> None:
        wire = client.open()
        for size in (0, 5, 125):
            wire.send(as_server(PING, letters(size)))
            if not wire.has_sent_close:
                wire.frame()
        wire.send(as_server(8, b"\x03\xe8"))
        with contextlib.suppress(Failed):
            if not wire.has_sent_close:
                receive_close(wire)
        if faults := [fault for fault in wire.faults if part in fault]:
            raise Failed(f"a frame from the client: {faults[0]}")

    return Play("Pings of 0, 5 and 125 bytes, then a Close", "frames without this fault", run)


def _no_fault_in_echoes(part: str) -> Play:
    def run(client: Client) -> None:
        wire = client.open()
        for size in (0, 5, 125, 126, 65535, 65536):
            wire.send(as_server(BINARY, pattern(size)))
            try:
                received = wire.message()
            except Failed:
                return  # other cases test that, and a client may have a limit
            if faults := [fault for fault in wire.faults if part in fault]:
                raise Failed(f"a frame from the client: {faults[0]}")
            if received.opcode == CLOSE:
                return

    return Play("binary messages of 0 to 65,536 bytes", "frames without this fault", run)


def _is_random(keys: list[bytes]) -> str:
    """Return what is wrong with the masking keys of one connection; "": nothing.  Chance: below one in 10**8."""
    if any(key == b"" for key in keys):
        return "a frame without a mask"
    if len(set(keys)) == 1:
        return f"the same masking key, {keys[0].hex(' ')}, {len(keys)} times"
    for turned in (False, True):
        numbers = [int.from_bytes(key[::-1] if turned else key, "big") for key in keys]
        steps = {(b - a) % 2**32 for a, b in itertools.pairwise(numbers)}
        if len(steps) == 1:
            return f"masking keys that differ by {steps.pop()} each time: {keys[0].hex(' ')}, {keys[1].hex(' ')}, ..."
    if len(set(keys)) < len(keys):
        return f"one masking key twice in {len(keys)} frames"
    return ""


def _keys(client: Client) -> None:
    if wrong := _is_random(one_at_a_time(client, 6)):
        raise Failed(wrong, "a fresh, random masking key for each frame")


def _keys_of_connections(client: Client) -> None:
    first = one_at_a_time(client, 1)
    if first and first[0] in client.agent.first_masks:
        raise Failed(
            f"the masking key {first[0].hex(' ')} in the first frame of two connections", "another masking key"
        )


def _few_zeros(client: Client) -> None:
    keys = one_at_a_time(client, 6)
    if all(len(set(key)) == 1 for key in keys):
        raise Failed(f"masking keys of one repeated byte: {', '.join(key.hex(' ') for key in keys[:3])}", "random keys")


MASKED = "a client MUST mask all frames that it sends to the server"
FRESH = (
    "The masking key is a 32-bit value chosen at random by the client.  When preparing a masked frame, the client MUST "
    "pick a fresh masking key from the set of allowed 32-bit values."
)
UNPREDICTABLE = (
    "the masking key for a given frame MUST NOT make it simple for a server/proxy to predict the masking key for a "
    "subsequent frame."
)
MINIMAL = "in all cases, the minimal number of bytes MUST be used to encode the length"
SENDS = client_cases_of(
    ClientRule(MUST, "RFC 6455 §5.1", MASKED,
        "Set the mask bit in every frame, control frames included, and XOR the payload with the key."),
    ("c6.mask.control", "The client masks its Pongs and its Close", _no_fault("not masked")),

    ClientRule(MUST, "RFC 6455 §5.1", MASKED,
        "Set the mask bit in every frame, empty ones included, and XOR the payload with the key.", echo=True),
    ("c6.mask.data", "The client masks its messages", _no_fault_in_echoes("not masked")),

    ClientRule(MUST, "RFC 6455 §5.3", FRESH,
        "Ask the system for four random bytes for each frame (os.urandom, getrandom), not once."),
    ("c6.mask.fresh", "Each frame has another masking key", Play("six Pings, one after the other", "six keys", _keys)),

    ClientRule(MUST, "RFC 6455 §5.3", UNPREDICTABLE,
        "Use the system's random numbers, without a seed, a counter or a pattern."),
    ("c6.mask.connection", "Connections do not begin with the same masking key",
     Play("a Ping", "a key that no first frame had before", _keys_of_connections)),
    ("c6.mask.pattern", "Masking keys are not one byte, repeated", Play("six Pings", "random keys", _few_zeros)),

    ClientRule(MUST, "RFC 6455 §5.2", MINIMAL,
        "Write lengths up to 125 in the second byte, up to 65535 in two more bytes, and larger ones in eight.",
        echo=True),
    ("c6.sends.shortest-length", "The client writes lengths in the shortest form",
     _no_fault_in_echoes("fits in fewer")),

    ClientRule(MUST, "RFC 6455 §5.2",
        "MUST be 0 unless an extension is negotiated that defines meanings for non-zero values.",
        "Set RSV bits only for an extension that is in the 101."),
    ("c6.sends.no-rsv", "The client sets no RSV bit without an extension", _no_fault("RSV")),

    ClientRule(MUST, "RFC 6455 §5.5",
        "All control frames MUST have a payload length of 125 bytes or less and MUST NOT be fragmented.",
        "A Pong has the payload of the Ping, and FIN."),
    ("c6.sends.control", "The client's control frames are short and whole", _no_fault("control frame")),
)  # fmt: skip

# -- Lengths --------------------------------------------------------------------------------------

LENGTHS = {
    0: "the shortest possible",
    1: "the shortest with a payload",
    125: "the longest with a length in 7 bits",
    126: "the shortest with a length in 16 bits",
    127: "its length equals the marker of 64-bit lengths",
    128: "its length is negative as a signed byte",
    256: "its length differs in the other byte order",
    32768: "its length is negative as a signed 16-bit integer",
    65535: "the longest with a length in 16 bits",
    65536: "the shortest with a length in 64 bits",
    262144: "longer than one read",
}
LENGTH = "if 0-125, that is the payload length.  If 126, the following 2 bytes ... If 127, the following 8 bytes"
LENGTH_HINT = (
    "126 means that two bytes of length follow, and 127 that eight follow, in network byte order.  One read is not one "
    "frame: read until the whole payload arrives."
)
PARSED = "Incoming data MUST be parsed as WebSocket frames as defined in Section 5.2."
STREAM_HINT = "TCP is a stream: keep the bytes that are left after a frame, or after the 101, and read on."


def _glued(client: Client) -> None:
    """Send the 101, a Ping and a text in one packet."""
    head = client.response()
    client.wire.send(head + as_server(PING, b"glued"))
    take_pongs(client.opened(head), (b"glued",), ())


def _glued_in_two(client: Client) -> None:
    head = client.response()
    client.wire.send(head + as_server(PING, b"glued")[:3])
    wire = client.opened(head)
    wire.is_quiet(0.05)
    wire.awaits_pong(b"glued")
    wire.send(as_server(PING, b"glued")[3:])
    take_pongs(wire, (b"glued",), ())


RECEIVES = client_cases_of(
    ClientRule(MUST, "RFC 6455 §5.2", LENGTH, LENGTH_HINT, echo=True),
    *((f"c6.{name}.{size}",
       f"A {'binary' if opcode == BINARY else 'text'} message of {size} bytes comes back: {why}",
       echoes(as_server(opcode, make(size)), (opcode, make(size))))
      for opcode, name, make in ((BINARY, "length", pattern), (TEXT, "text-length", letters))
      for size, why in LENGTHS.items()),

    ClientRule(SHOULD, "RFC 6455 §5.2", MINIMAL,
        "The rule binds the server.  Check after the two bytes that the length is at least 126, and after the eight "
        "that it is at least 65536."),
    *((f"c6.length.{size}-in-{form}-bits", f"A length of {size} in {form} bits fails the connection",
       fails(as_server(TEXT, letters(size), form=form)))
      for size, form in ((5, 16), (125, 16), (5, 64), (65535, 64))),

    ClientRule(SHOULD, "RFC 6455 §5.2",
        "the following 8 bytes interpreted as a 64-bit unsigned integer (the most significant bit MUST be 0)",
        "Refuse a 64-bit length with its top bit set: a signed number would be negative."),
    ("c6.length.top-bit", "A 64-bit length with its top bit set fails the connection",
     fails(as_server(TEXT, b"Hello", form=64, declared=(1 << 63) | 5))),

    ClientRule(INTEROP, "RFC 6455 §10.4",
        "A frame of 2**62 bytes never ends: a client that reserves memory for it crashes, and one that reads on waits "
        "for ever.  The limit is the client's own.",
        "Compare the declared length with a limit before you read the payload, and send Close 1009."),
    ("c6.length.huge", "A frame that declares 2**62 bytes fails the connection",
     fails(as_server(BINARY, b"x" * 1000, form=64, declared=1 << 62))),

    ClientRule(MUST, "RFC 6455 §6.2", PARSED, STREAM_HINT),
    ("c6.stream.glued", "A Ping in one packet with the 101 is answered",
     Play("a 101 and a Ping in one packet", "PONG", _glued)),
    ("c6.stream.glued-part", "A frame that begins in the packet of the 101 is read",
     Play("a 101 and the beginning of a Ping in one packet, then its rest", "PONG", _glued_in_two)),
    ("c6.stream.byte-by-byte", "A Ping byte by byte is answered",
     pongs(as_server(PING, b"slowly"), b"slowly", packet_size=1)),
    ("c6.stream.many-in-one", "Many frames in one packet are all read",
     pongs(b"".join(as_server(PONG, b"%d" % i) for i in range(50)) + as_server(PING, b"last"), b"last")),

    ClientRule(MUST, "RFC 6455 §6.2", PARSED, STREAM_HINT, echo=True),
    ("c6.stream.echo-byte-by-byte", "A message byte by byte comes back",
     echoes(as_server(TEXT, letters(200)), (TEXT, letters(200)), packet_size=1)),
    ("c6.stream.echo-three-in-one", "Three messages in one packet come back, in order",
     echoes(as_server(TEXT, b"one") + as_server(BINARY, b"two") + as_server(TEXT, b"three"), (TEXT, b"one"),
            (BINARY, b"two"), (TEXT, b"three"))),
    ("c6.stream.echo-in-chunks", "A long message in packets of 997 bytes comes back",
     echoes(as_server(BINARY, pattern(70000)), (BINARY, pattern(70000)), packet_size=997)),

    ClientRule(MUST, "RFC 6455 §5.6",
        'The "Payload data" is arbitrary binary data whose interpretation is solely up to the application layer.',
        "Do not decode a binary message, and send binary back as binary.", echo=True),
    ("c6.echo.all-bytes", "All 256 bytes come back",
     echoes(as_server(BINARY, bytes(range(256))), (BINARY, bytes(range(256))))),
)  # fmt: skip

# -- Frames that break a rule ----------------------------------------------------------------------

RSV = (
    "If a nonzero value is received and none of the negotiated extensions defines the meaning of such a nonzero value, "
    "the receiving endpoint MUST _Fail the WebSocket Connection_."
)
UNKNOWN = "If an unknown opcode is received, the receiving endpoint MUST _Fail the WebSocket Connection_."
BROKEN = client_cases_of(
    ClientRule(MUST, "RFC 6455 §5.1", "A client MUST close a connection if it detects a masked frame.",
        "Check the mask bit of each received frame, and send Close 1002."),
    ("c6.masked.text", "A masked text fails the connection", fails(frame(TEXT, b"Hello"))),
    ("c6.masked.binary", "A masked binary message fails the connection", fails(frame(BINARY, b"Hello"))),
    ("c6.masked.empty", "A masked frame without a payload fails the connection", fails(frame(TEXT))),
    ("c6.masked.zero-key", "A frame masked with zeros, which change nothing, fails the connection",
     fails(frame(TEXT, b"Hello", key=bytes(4)))),
    ("c6.masked.ping", "A masked Ping fails the connection", fails(frame(PING, b"Hello"))),
    ("c6.masked.pong", "A masked Pong fails the connection", fails(frame(PONG, b"Hello", key=MASKING_KEY))),
    ("c6.masked.fragment", "A masked second fragment fails the connection",
     fails(as_server(TEXT, b"Hel", fin=False) + frame(CONTINUATION, b"lo"))),

    ClientRule(MUST, "RFC 6455 §5.2", RSV,
        "Check that the three bits are 0, unless an extension in the 101 uses them."),
    *((f"c6.rsv.text-{rsv:03b}", f"A text with the RSV bits {rsv:03b} fails the connection",
       fails(as_server(TEXT, b"Hello", rsv=rsv)))
      for rsv in range(1, 8)),
    ("c6.rsv.binary", "A binary message with RSV2 fails the connection", fails(as_server(BINARY, b"Hello", rsv=2))),
    ("c6.rsv.ping", "A Ping with RSV1 fails the connection", fails(as_server(PING, b"Hello", rsv=4))),
    ("c6.rsv.pong", "A Pong with RSV3 fails the connection", fails(as_server(PONG, b"Hello", rsv=1))),
    ("c6.rsv.fragment", "A second fragment with RSV1 fails the connection",
     fails(as_server(TEXT, b"Hel", fin=False) + as_server(CONTINUATION, b"lo", rsv=4))),

    ClientRule(MUST, "RFC 6455 §5.2", UNKNOWN,
        "Accept 0, 1, 2, 8, 9 and 10; fail the connection for any other opcode."),
    *((f"c6.opcode.{opcode}", f"The reserved opcode {opcode} fails the connection", fails(as_server(opcode, b"Hello")))
      for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)),

    ClientRule(MUST, "RFC 6455 §5.2", UNKNOWN,
        "Check the opcode also if the payload is empty, and inside a fragmented message."),
    ("c6.opcode.empty", "A reserved opcode without a payload fails the connection", fails(as_server(3))),
    ("c6.opcode.in-message", "A reserved opcode between two fragments fails the connection",
     fails(as_server(TEXT, b"Hel", fin=False) + as_server(11) + as_server(CONTINUATION, b"lo"))),

    ClientRule(SHOULD, "RFC 6455 §5.5",
        "All control frames MUST have a payload length of 125 bytes or less and MUST NOT be fragmented.",
        "The rule binds the server.  Check FIN and the length of each control frame."),
    ("c6.control.ping-without-fin", "A Ping without FIN fails the connection",
     fails(as_server(PING, b"Hello", fin=False))),
    ("c6.control.pong-without-fin", "A Pong without FIN fails the connection",
     fails(as_server(PONG, b"Hello", fin=False))),
    ("c6.control.ping-126", "A Ping of 126 bytes fails the connection", fails(as_server(PING, letters(126)))),
    ("c6.control.pong-126", "A Pong of 126 bytes fails the connection", fails(as_server(PONG, letters(126)))),
    ("c6.control.ping-65536", "A Ping of 65,536 bytes fails the connection", fails(as_server(PING, letters(65536)))),
    ("c6.control.close-without-fin", "A Close without FIN fails the connection",
     fails(as_server(8, b"\x03\xe8", fin=False))),
    ("c6.control.close-126", "A Close of 126 bytes fails the connection",
     fails(as_server(8, b"\x03\xe8" + letters(124)))),
)  # fmt: skip

CASES = (*SENDS, *RECEIVES, *BROKEN)
