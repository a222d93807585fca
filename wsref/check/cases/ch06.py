"""Chapter 6: cases about frames: lengths, masks, reserved bits and opcodes.

These cases need no Pong and no answer to a Close, which later chapters teach.  To test whether a
server failed the connection, a case sends a message that the server would echo.

Some rules bind the client, and the RFC does not say that the server must fail the connection: for
example, the rule about a length in too many bits.  Such cases are SHOULD: "Incoming data MUST always
be validated" (§10.7), but the RFC does not say how strictly.
"""

from __future__ import annotations

import contextlib
import struct

from ..case import Needs, Play
from ..codec import BINARY, CONTINUATION, MASKING_KEY, PING, PONG, TEXT, frame, text
from ..plays import dialogue, echoes, fails, survives
from ..rule import Rule, cases_of
from ..session import Deadline, Peer
from ..verdict import Failed
from .common import INTEROP, LIMITS, MINIMAL, MUST, RSV, SHOULD, UNKNOWN_OPCODE, letters, pattern


def _fails(data: bytes, *before: tuple[int, bytes], alone: bool = False) -> Play:
    return fails(data, before=before, probe_with_text=True, alone=alone)


def _server_frames(fault: str, accepts: str) -> Play:
    """Expect echoes in frames without this fault."""

    def run(peer: Peer) -> None:
        wire = peer.open()
        for size in (0, 5, 125, 126, 65535, 65536):
            wire.send(frame(TEXT, letters(size)))
            received = None
            with contextlib.suppress(Failed):  # other cases test that
                received = wire.message()
            if received is not None and received.rsv:
                wire.faults.append(f"RSV bits {received.rsv:03b} are set (RFC 6455 §5.2)")
            for found in wire.faults:
                if fault in found:
                    raise Failed(f"a frame from the server: {found}")
            if received is None:
                return

    return Play("text messages of 0 to 65,536 bytes", accepts, run, Needs.ECHO)


# -- Lengths -----------------------------------------------------------------------------

LENGTHS = (
    (0, "the shortest possible"),
    (1, "the shortest with a payload"),
    (124, "its length fits in 7 bits"),
    (125, "the longest with a length in 7 bits"),
    (126, "the shortest with a length in 16 bits"),
    (127, "its length equals the marker of 64-bit lengths"),
    (128, "its length is negative as a signed byte"),
    (255, "the longest with a zero first byte of 16 bits"),
    (256, "its length differs in the other byte order"),
    (32768, "its length is negative as a signed 16-bit integer"),
    (65535, "the longest with a length in 16 bits"),
    (65536, "the shortest with a length in 64 bits"),
    (65537, "its length needs 64 bits"),
    (262144, "longer than one read"),
    (524288, "much longer than one read"),
)


def _send_huge(peer: Peer) -> None:
    wire = peer.open()
    wire.send(frame(BINARY, b"x" * 1000, form=64, declared=1 << 62))
    with contextlib.suppress(Failed):  # silence is legal here; the server gets time to crash
        wire.frame(0.3)


def _no_message(peer: Peer, data: bytes) -> None:
    """Check that no whole message comes back: the frame is incomplete.  A server may send pieces of it as fragments."""
    wire = peer.open()
    wire.send(data + text("Hello"))
    try:
        received = wire.message(Deadline(min(0.5, peer.timeout)))
    except Failed:
        return
    if received.opcode < 8 and received.payload == b"Hello":  # another text may say why it closes
        raise Failed(f"{received}", "no message")


def _four_gib_missing(peer: Peer) -> None:
    _no_message(peer, frame(TEXT, b"Hello", form=64, declared=(1 << 32) + 5))


LENGTH_CASES = cases_of(
    Rule(MUST, "RFC 6455 §5.2",
         "if 0-125, that is the payload length.  If 126, the following 2 bytes ... If 127, the following 8 bytes",
         "In both directions, 126 means that two bytes of length follow, and 127 that eight follow, in network byte "
         "order.  One read is not one frame: read until the whole payload arrives."),
    *((f"6.{name}.{size}", f"A {kind} message of {size} byte{'s' * (size != 1)} comes back: {why}",
       echoes(frame(opcode, content(size)), (opcode, content(size))))
      for name, kind, opcode, content in (
          ("length", "binary", BINARY, pattern), ("text-length", "text", TEXT, letters),
      )
      for size, why in LENGTHS),

    Rule(MUST, "RFC 6455 §5.2", MINIMAL),
    ("6.length.shortest-form", "The server writes its lengths in the shortest form",
     _server_frames("fits in fewer", "frames with lengths in the shortest form"),
     "Write lengths up to 125 in the second byte, up to 65535 in two more bytes, and larger ones in eight."),

    Rule(SHOULD, "RFC 6455 §5.2", MINIMAL,
         "Check after the two bytes that the length is at least 126, and after the eight that it is at least 65536."),
    *((f"6.length.{name}", f"A length of {size} in {bits} bits, more bits than necessary, fails the connection",
       _fails(frame(TEXT, letters(size), form=bits)))
      for name, size, bits in (
          ("text-in-16-bits", 5, 16), ("0-in-16-bits", 0, 16), ("125-in-16-bits", 125, 16),
          ("0-in-64-bits", 0, 64), ("5-in-64-bits", 5, 64), ("125-in-64-bits", 125, 64),
          ("126-in-64-bits", 126, 64), ("65535-in-64-bits", 65535, 64),
      )),

    Rule(SHOULD, "RFC 6455 §5.2",
         "the following 8 bytes interpreted as a 64-bit unsigned integer (the most significant bit MUST be 0)"),
    ("6.length.top-bit", "A 64-bit length with its top bit set fails the connection",
     _fails(frame(TEXT, b"Hello", form=64, declared=(1 << 63) | 5), alone=True),
     "2**63 or more is not a valid length.  It must not become a negative number, or lose its top bit."),
    ("6.length.all-ones", "A 64-bit length of all ones fails the connection",
     _fails(frame(TEXT, b"Hello", form=64, declared=(1 << 64) - 1), alone=True),
     "As a signed number this length is -1, and a careless loop waits for no bytes."),

    Rule(MUST, "RFC 6455 §5.2", "If 127, the following 8 bytes interpreted as a 64-bit unsigned integer"),
    ("6.length.low-half-of-64", "The server reads all 64 bits of a length, not only the lower 32",
     Play("a frame that declares 2**32 + 5 bytes, then a whole frame",
          "only a Close, the end of TCP, or silence: 4 GiB are still missing", _four_gib_missing, Needs.ECHO),
     "Read all eight bytes as one number; a mask of 0xffffffff or a 32-bit integer truncates it."),

    Rule(MUST, "RFC 6455 §10.4", LIMITS),
    ("6.length.huge", "A frame that declares 2**62 bytes does the server no harm",
     survives("a frame that declares 2**62 bytes, and its first 1,000 bytes", _send_huge, alone=True),
     "Do not allocate the declared length: compare it with a limit, and close with 1009."),
)  # fmt: skip

# -- Masks ---------------------------------------------------------------------------------

UNMASKED = (
    "Octet i of the transformed data ... is the XOR of octet i of the original data ... with octet at index i modulo 4 "
    "of the masking key"
)
KEYS = [struct.pack("!I", (size * 0x9E3779B1 + 1) & 0xFFFFFFFF) for size in range(20)]


def _other_bytes(peer: Peer) -> None:
    """Fail if the answer is as long as the message, and its bytes are the message's under another mask."""
    differences = {0, *MASKING_KEY, *(one ^ other for one in MASKING_KEY for other in MASKING_KEY)}
    for opcode in (BINARY, TEXT):
        wire = peer.open()
        wire.send(frame(opcode, letters(16)))
        try:
            received = wire.message()
        except Failed:
            wire.close()
            continue  # other cases test that
        between = {got ^ sent for got, sent in zip(received.payload, letters(16), strict=False)}
        wire.close()  # a server of one client at a time waits for the end
        if received.opcode < 8 and len(received.payload) == 16 and between != {0} and between <= differences:
            raise Failed(
                f"{received}, the message with a mask: byte i is not unmasked with byte i % 4 of the key", "the message"
            )


MASK_CASES = cases_of(
    Rule(MUST, "RFC 6455 §5.3", UNMASKED),
    ("6.mask.undone", "Each byte is unmasked with its own byte of the key",
     Play(f"a message of 16 bytes with the key {MASKING_KEY.hex(' ')}",
          "these bytes, or any answer that is not the same message under another mask", _other_bytes,
          Needs.MESSAGES),
     "Byte i of the payload is XORed with byte i % 4 of the key, in the order in which the key arrives."),

    Rule(MUST, "RFC 6455 §5.1", "The server MUST close the connection upon receiving a frame that is not masked.",
         "Check the top bit of the second byte before you read the masking key, in control frames too."),
    ("6.mask.missing", "A text frame without a mask fails the connection", _fails(frame(TEXT, b"Hello", key=None))),
    ("6.mask.missing-binary", "A binary frame without a mask fails the connection",
     _fails(frame(BINARY, b"Hello", key=None))),
    ("6.mask.missing-empty", "An empty frame without a mask fails the connection", _fails(frame(TEXT, b"", key=None))),
    ("6.mask.missing-long", "A frame of 1,000 bytes without a mask fails the connection",
     _fails(frame(BINARY, pattern(1000), key=None))),
    ("6.mask.missing-fragment", "A last fragment without a mask fails the connection",
     _fails(frame(TEXT, b"Hel", fin=False) + frame(CONTINUATION, b"lo", key=None), (TEXT, b"Hel"))),
    ("6.mask.missing-ping", "A Ping without a mask fails the connection", _fails(frame(PING, b"Hello", key=None))),
    ("6.mask.missing-pong", "A Pong without a mask fails the connection", _fails(frame(PONG, b"Hello", key=None))),

    Rule(MUST, "RFC 6455 §5.3", UNMASKED,
         "Compute payload[i] ^ key[i % 4] for every key: the MASK bit announces a key, not the value of the key."),
    *((f"6.mask.{name}", f"A payload that is masked with {what} comes back unchanged",
       echoes(frame(TEXT, letters(101), key=key), (TEXT, letters(101))))
      for name, key, what in (
          ("zeros", b"\0\0\0\0", "a key of zeros"),
          ("ones", b"\xff\xff\xff\xff", "a key of ones"),
          ("four-bytes", b"\x01\x20\x80\xfe", "a key of four different bytes"),
          ("newlines", b"\r\n\r\n", "the key CR LF CR LF"),
      )),
    ("6.mask.every-size", "Payloads of 0 to 19 bytes, each with a different key, come back unchanged",
     echoes(b"".join(frame(TEXT, letters(size), key=key) for size, key in enumerate(KEYS)),
            *((TEXT, letters(size)) for size in range(20))),
     "Sizes need not be multiples of 4, and every frame has a new key: keep no state from the previous frame."),

    Rule(MUST, "RFC 6455 §5.1", "A server MUST NOT mask any frames that it sends to the client."),
    ("6.mask.server", "The server does not mask its frames", _server_frames("masked", "frames without a mask"),
     "Only clients mask.  A function that builds frames for both roles needs the role as an argument."),
)  # fmt: skip

# -- RSV bits and opcodes ----------------------------------------------------------------------

BIT_CASES = cases_of(
    Rule(MUST, "RFC 6455 §5.2", RSV,
         "first_byte & 0x70 must be 0; if permessage-deflate is agreed, first_byte & 0x30."),
    *((f"6.rsv.{name}", f"{what}, without an agreed extension, fails the connection", _fails(data))
      for name, data, what in (
        ("1", frame(TEXT, b"Hello", rsv=4), "RSV1 on a text frame"),
        ("2", frame(TEXT, b"Hello", rsv=2), "RSV2 on a text frame"),
        ("3", frame(TEXT, b"Hello", rsv=1), "RSV3 on a text frame"),
        ("all", frame(TEXT, b"Hello", rsv=7), "All RSV bits on a text frame"),
        ("1-binary", frame(BINARY, b"Hello", rsv=4), "RSV1 on a binary frame"),
        ("2-empty", frame(BINARY, b"", rsv=2), "RSV2 on an empty frame"),
        ("1-ping", frame(PING, b"Hello", rsv=4), "RSV1 on a Ping"),
        ("3-pong", frame(PONG, b"Hello", rsv=1), "RSV3 on a Pong"),
    )),
    ("6.rsv.1-continuation", "RSV1 on a continuation, without an agreed extension, fails the connection",
     _fails(frame(TEXT, b"Hel", fin=False) + frame(CONTINUATION, b"lo", rsv=4), (TEXT, b"Hel"))),

    Rule(MUST, "RFC 6455 §5.2",
         "MUST be 0 unless an extension is negotiated that defines meanings for non-zero values."),
    ("6.rsv.server", "The server sets no RSV bits without an agreed extension",
     _server_frames("RSV bits", "frames without RSV bits"),
     "The first byte of a whole text message is 0x81, and 0x82 of a binary one."),

    Rule(MUST, "RFC 6455 §5.2", UNKNOWN_OPCODE,
         "List the known opcodes (0, 1, 2, 8, 9, 10) and refuse all others: no `else` that accepts the rest."),
    *((f"6.opcode.{opcode}", f"The reserved opcode {opcode:#x} fails the connection", _fails(frame(opcode, b"Hello")))
      for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)),
    ("6.opcode.3-empty", "A reserved opcode fails the connection even if the frame is empty",
     _fails(frame(3)), "Check the opcode before the payload."),
)  # fmt: skip

# -- The stream ----------------------------------------------------------------------------------

ALL_BYTES = (bytes(range(100)), bytes(range(100, 200)), bytes(range(200, 256)))
THREE = text("one") + text("two") + text("three")
AS_THREE = ((TEXT, b"one"), (TEXT, b"two"), (TEXT, b"three"))
SECOND = text("the second")
BUFFER = "TCP is a stream: collect the received bytes, take whole frames from the front, and keep the rest."


def _cut_after(cut: int, size: int) -> list[bytes | tuple[int, bytes]]:
    """Return the steps of a dialogue in which the first packet ends inside the header of the second frame."""
    data = frame(TEXT, letters(size))
    return [text("a") + data[:cut], (TEXT, b"a"), data[cut:], (TEXT, letters(size))]


STREAM_CASES = cases_of(
    Rule(MUST, "RFC 6455 §6.2", "Incoming data MUST be parsed as WebSocket frames as defined in Section 5.2.", BUFFER),
    ("6.stream.byte-by-byte", "The server reads frames that arrive one byte at a time",
     echoes(THREE, *AS_THREE, packet_size=1), "A read of 2 bytes may return 1.  " + BUFFER),
    ("6.stream.three-by-three", "The server reads frames that are split anywhere",
     echoes(frame(TEXT, letters(100)) + THREE, (TEXT, letters(100)), *AS_THREE, packet_size=3)),
    ("6.stream.seven-by-seven", "The server reads a frame with a 64-bit length that is split anywhere",
     echoes(frame(TEXT, letters(66000)), (TEXT, letters(66000)), packet_size=997)),
    ("6.stream.one-packet", "Three frames in one packet are three messages", echoes(THREE, *AS_THREE),
     "The buffer may contain more than one frame: loop until no whole frame is left.  " + BUFFER),
    ("6.stream.one-and-a-half", "The server answers a frame before the rest of the next frame arrives",
     dialogue("a frame and 9 bytes of the next, then the rest", "both messages",
              text("the first") + SECOND[:9], (TEXT, b"the first"), SECOND[9:], (TEXT, b"the second")),
     "Do not wait for an empty buffer, and do not drop the rest of the buffer.  " + BUFFER),
    ("6.stream.half-a-header", "A packet may end inside a header of any form",
     dialogue("packets that end 1 or 3 bytes into a frame", "all messages",
              *(step for size in (5, 200, 66000) for cut in (1, 3) for step in _cut_after(cut, size))),
     "A header has 2 to 14 bytes, which may arrive one by one.  " + BUFFER),

    Rule(INTEROP, "RFC 6455 §5.6",
         "An application may do anything with binary messages; but an echo server sends all bytes back."),
    ("6.echo.all-bytes", "Binary messages of all 256 byte values come back",
     echoes(b"".join(frame(BINARY, piece) for piece in ALL_BYTES), *((BINARY, piece) for piece in ALL_BYTES),
            needs=Needs.ECHO),
     "Binary messages are bytes: do not decode, strip or cut them."),

    Rule(INTEROP, "RFC 6455 §6.1",
         "An application may send any answer; but an echo server sends the same type of message back."),
    ("6.echo.types", "Text comes back as text and binary as binary",
     echoes(frame(TEXT, b"Hello") + frame(BINARY, b"Hello") + frame(TEXT, b"Hello"),
            (TEXT, b"Hello"), (BINARY, b"Hello"), (TEXT, b"Hello"), needs=Needs.ECHO),
     "Remember the opcode of the message, and use it for the echo."),

    Rule(INTEROP, "RFC 6455 §6.1", "Most of the following cases need a server that echoes messages."),
    ("6.echo.hello", "A text message comes back, as from an echo server",
     echoes(text("Hello"), (TEXT, b"Hello"), needs=Needs.MESSAGES),
     "Give the grader a path where your server echoes, or use --no-echo to grade only the rest."),
)  # fmt: skip

CASES = (*LENGTH_CASES, *MASK_CASES, *BIT_CASES, *STREAM_CASES)
