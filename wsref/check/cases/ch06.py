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

from ..case import Case, Needs, Play
from ..codec import BINARY, MASKING_KEY, PING, PONG, TEXT, Frame, frame, text
from ..plays import echoes, fails, script, survives
from ..session import Deadline, Peer, Wire
from ..verdict import Failed
from .common import INTEROP, MUST, SHOULD, letters, pattern

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


def _length(opcode: int, size: int, why: str) -> Case:
    binary = opcode == BINARY
    payload = pattern(size) if binary else letters(size)
    return Case(
        f"6.length.{size}" if binary else f"6.text-length.{size}",
        MUST,
        "RFC 6455 §5.2",
        f"A {'binary' if binary else 'text'} message of {size} byte{'s' * (size != 1)} comes back: {why}",
        "if 0-125, that is the payload length.  If 126, the following 2 bytes ... If 127, the following 8 bytes",
        echoes(frame(opcode, payload), (opcode, payload)),
        "In both directions, 126 means that two bytes of length follow, and 127 that eight follow, in network byte "
        "order.  One read is not one frame: read until the whole payload arrives.",
    )


MINIMAL = "the minimal number of bytes MUST be used to encode the length"


def _server_frames(peer: Peer, part: str, sizes: tuple[int, ...] = (0, 5, 125, 126, 65535, 65536)) -> None:
    """Check that no fault of the server's frames contains this text."""
    wire = peer.open()
    for size in sizes:
        wire.send(frame(TEXT, letters(size)))
        missing = False
        try:
            wire.message()
        except Failed:
            missing = True  # other cases test that
        for fault in wire.faults:
            if part in fault:
                raise Failed(f"a frame from the server: {fault}")
        if missing:
            return


def server_frames(part: str, accepts: str) -> Play:
    """Expect frames without this fault as echoes."""
    return script(
        "text messages of 0 to 65,536 bytes", accepts, lambda peer: _server_frames(peer, part), needs=Needs.ECHO
    )


def _too_wide(size: int, form: int) -> Case:
    return Case(
        "6.length.text-in-16-bits" if (size, form) == (5, 16) else f"6.length.{size}-in-{form}-bits",
        SHOULD,
        "RFC 6455 §5.2",
        f"A length of {size} in {form} bits, more bits than necessary, fails the connection",
        MINIMAL,
        fails(frame(TEXT, letters(size), form=form), probe_with_text=True),
        "Check after the two bytes that the length is at least 126, and after the eight that it is at least 65536.",
    )


def _huge(declared: int, payload: bytes = b"x" * 1000) -> bytes:
    return frame(BINARY, payload, form=64, declared=declared)


def _send_huge(wire: Wire) -> None:
    wire.send(_huge(1 << 62))
    with contextlib.suppress(Failed):  # silence is legal here; the server gets time to crash
        wire.frame(0.3)


LENGTH_CASES = (
    *(_length(BINARY, size, why) for size, why in LENGTHS),
    *(_length(TEXT, size, why) for size, why in LENGTHS),
    Case(
        "6.length.shortest-form",
        MUST,
        "RFC 6455 §5.2",
        "The server writes its lengths in the shortest form",
        MINIMAL,
        server_frames("fits in fewer", "frames with lengths in the shortest form"),
        "Write lengths up to 125 in the second byte, up to 65535 in two more bytes, and larger ones in eight.",
    ),
    *(
        _too_wide(size, form)
        for size, form in ((5, 16), (0, 16), (125, 16), (0, 64), (5, 64), (125, 64), (126, 64), (65535, 64))
    ),
    Case(
        "6.length.top-bit",
        SHOULD,
        "RFC 6455 §5.2",
        "A 64-bit length with its top bit set fails the connection",
        "the following 8 bytes interpreted as a 64-bit unsigned integer (the most significant bit MUST be 0)",
        fails(frame(TEXT, b"Hello", form=64, declared=(1 << 63) | 5), probe_with_text=True, alone=True),
        "2**63 or more is not a valid length.  It must not become a negative number, or lose its top bit.",
    ),
    Case(
        "6.length.all-ones",
        SHOULD,
        "RFC 6455 §5.2",
        "A 64-bit length of all ones fails the connection",
        "the following 8 bytes interpreted as a 64-bit unsigned integer (the most significant bit MUST be 0)",
        fails(frame(TEXT, b"Hello", form=64, declared=(1 << 64) - 1), probe_with_text=True, alone=True),
        "As a signed number this length is -1, and a careless loop waits for no bytes.",
    ),
    Case(
        "6.length.low-half-of-64",
        MUST,
        "RFC 6455 §5.2",
        "The server reads all 64 bits of a length, not only the lower 32",
        "If 127, the following 8 bytes interpreted as a 64-bit unsigned integer",
        script(
            "a frame that declares 2**32 + 5 bytes, then a whole frame",
            "only a Close, the end of TCP, or silence: 4 GiB are still missing",
            lambda peer: _no_message(peer, frame(TEXT, b"Hello", form=64, declared=(1 << 32) + 5)),
            needs=Needs.ECHO,
        ),
        "Read all eight bytes as one number; a mask of 0xffffffff or a 32-bit integer truncates it.",
    ),
    Case(
        "6.length.huge",
        MUST,
        "RFC 6455 §10.4",
        "A frame that declares 2**62 bytes does the server no harm",
        "Implementations that have implementation- and/or platform-specific limitations regarding the frame size ... "
        "MUST protect themselves against exceeding those limits.",
        survives(_send_huge, "a frame that declares 2**62 bytes, and its first 1,000 bytes", alone=True),
        "Do not allocate the declared length: compare it with a limit, and close with 1009.",
    ),
)


def _no_message(peer: Peer, data: bytes) -> None:
    """Check that no whole message comes back: the frame is incomplete.  A server may send pieces of it as fragments."""
    wire = peer.open()
    wire.send(data + text("Hello"))
    try:
        received = wire.message(Deadline(min(0.5, peer.timeout)))
    except Failed:
        return
    if received.opcode < 8 and not wire.answers_nothing(received, Frame(TEXT, b"Hello")):
        raise Failed(f"{received}", "no message")


# -- Masks ---------------------------------------------------------------------------------


def _own_rsv(peer: Peer) -> None:
    wire = peer.open()
    for size in (0, 5, 125, 126, 65536):
        wire.send(frame(TEXT, letters(size)))
        try:
            received = wire.frame()
        except Failed:
            return  # other cases test that
        if received is None:
            return
        if received.rsv:
            raise Failed(f"RSV bits {received.rsv:03b} are set on {received}")


def _without_mask(name: str, data: bytes, what: str) -> Case:
    return Case(
        f"6.mask.{name}",
        MUST,
        "RFC 6455 §5.1",
        f"{what} without a mask fails the connection",
        "The server MUST close the connection upon receiving a frame that is not masked.",
        fails(data, probe_with_text=True),
        "Check the top bit of the second byte before you read the masking key, in control frames too.",
    )


UNMASKED = "Octet i of the transformed data ... is the XOR of octet i of the original data ... with octet at index i modulo 4 of the masking key"  # noqa: E501


def _masked_with(name: str, key: bytes, what: str) -> Case:
    return Case(
        f"6.mask.{name}",
        MUST,
        "RFC 6455 §5.3",
        f"A payload that is masked with {what} comes back unchanged",
        UNMASKED,
        echoes(frame(TEXT, letters(101), key=key), (TEXT, letters(101))),
        "Compute payload[i] ^ key[i % 4] for every key: the MASK bit announces a key, not the value of the key.",
    )


def _of_all_sizes() -> Play:
    keys = [struct.pack("!I", (size * 0x9E3779B1 + 1) & 0xFFFFFFFF) for size in range(20)]
    data = b"".join(frame(TEXT, letters(size), key=keys[size]) for size in range(20))
    return echoes(data, *((TEXT, letters(size)) for size in range(20)))


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


MASK_CASES = (
    Case(
        "6.mask.undone",
        MUST,
        "RFC 6455 §5.3",
        "Each byte is unmasked with its own byte of the key",
        UNMASKED,
        script(
            f"a message of 16 bytes with the key {MASKING_KEY.hex(' ')}",
            "these bytes, or any answer that is not the same message under another mask",
            _other_bytes,
            needs=Needs.MESSAGES,
        ),
        "Byte i of the payload is XORed with byte i % 4 of the key, in the order in which the key arrives.",
    ),
    _without_mask("missing", frame(TEXT, b"Hello", key=None), "A text frame"),
    _without_mask("missing-binary", frame(BINARY, b"Hello", key=None), "A binary frame"),
    _without_mask("missing-empty", frame(TEXT, b"", key=None), "An empty frame"),
    _without_mask("missing-long", frame(BINARY, pattern(1000), key=None), "A frame of 1,000 bytes"),
    _without_mask("missing-fragment", frame(TEXT, b"Hel", fin=False) + frame(0, b"lo", key=None), "A last fragment"),
    _without_mask("missing-ping", frame(PING, b"Hello", key=None), "A Ping"),
    _without_mask("missing-pong", frame(PONG, b"Hello", key=None), "A Pong"),
    _masked_with("zeros", b"\0\0\0\0", "a key of zeros"),
    _masked_with("ones", b"\xff\xff\xff\xff", "a key of ones"),
    _masked_with("four-bytes", b"\x01\x20\x80\xfe", "a key of four different bytes"),
    _masked_with("newlines", b"\r\n\r\n", "the key CR LF CR LF"),
    Case(
        "6.mask.every-size",
        MUST,
        "RFC 6455 §5.3",
        "Payloads of 0 to 19 bytes, each with a different key, come back unchanged",
        UNMASKED,
        _of_all_sizes(),
        "Sizes need not be multiples of 4, and every frame has a new key: keep no state from the previous frame.",
    ),
    Case(
        "6.mask.server",
        MUST,
        "RFC 6455 §5.1",
        "The server does not mask its frames",
        "A server MUST NOT mask any frames that it sends to the client.",
        server_frames("masked", "frames without a mask"),
        "Only clients mask.  A function that builds frames for both roles needs the role as an argument.",
    ),
)

# -- RSV bits and opcodes ----------------------------------------------------------------------

RSV = (
    "If a nonzero value is received and none of the negotiated extensions defines the meaning of such a nonzero "
    "value, the receiving endpoint MUST _Fail the WebSocket Connection_."
)
UNKNOWN = "If an unknown opcode is received, the receiving endpoint MUST _Fail the WebSocket Connection_."


def _reserved_bit(name: str, data: bytes, what: str) -> Case:
    return Case(
        f"6.rsv.{name}",
        MUST,
        "RFC 6455 §5.2",
        f"{what}, without an agreed extension, fails the connection",
        RSV,
        fails(data, probe_with_text=True),
        "first_byte & 0x70 must be 0; if permessage-deflate is agreed, first_byte & 0x30.",
    )


def _reserved_opcode(opcode: int) -> Case:
    return Case(
        f"6.opcode.{opcode}",
        MUST,
        "RFC 6455 §5.2",
        f"The reserved opcode {opcode:#x} fails the connection",
        UNKNOWN,
        fails(frame(opcode, b"Hello"), probe_with_text=True),
        "List the known opcodes (0, 1, 2, 8, 9, 10) and refuse all others: no `else` that accepts the rest.",
    )


BIT_CASES = (
    _reserved_bit("1", frame(TEXT, b"Hello", rsv=4), "RSV1 on a text frame"),
    _reserved_bit("2", frame(TEXT, b"Hello", rsv=2), "RSV2 on a text frame"),
    _reserved_bit("3", frame(TEXT, b"Hello", rsv=1), "RSV3 on a text frame"),
    _reserved_bit("all", frame(TEXT, b"Hello", rsv=7), "All RSV bits on a text frame"),
    _reserved_bit("1-binary", frame(BINARY, b"Hello", rsv=4), "RSV1 on a binary frame"),
    _reserved_bit("2-empty", frame(BINARY, b"", rsv=2), "RSV2 on an empty frame"),
    _reserved_bit("1-ping", frame(PING, b"Hello", rsv=4), "RSV1 on a Ping"),
    _reserved_bit("3-pong", frame(PONG, b"Hello", rsv=1), "RSV3 on a Pong"),
    _reserved_bit("1-continuation", frame(TEXT, b"Hel", fin=False) + frame(0, b"lo", rsv=4), "RSV1 on a continuation"),
    Case(
        "6.rsv.server",
        MUST,
        "RFC 6455 §5.2",
        "The server sets no RSV bits without an agreed extension",
        "MUST be 0 unless an extension is negotiated that defines meanings for non-zero values.",
        script("text messages of 0 to 65,536 bytes", "frames without RSV bits", _own_rsv, needs=Needs.ECHO),
        "The first byte of a whole text message is 0x81, and 0x82 of a binary one.",
    ),
    *(_reserved_opcode(opcode) for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)),
    Case(
        "6.opcode.3-empty",
        MUST,
        "RFC 6455 §5.2",
        "A reserved opcode fails the connection even if the frame is empty",
        UNKNOWN,
        fails(frame(3), probe_with_text=True),
        "Check the opcode before the payload.",
    ),
)

# -- The stream ----------------------------------------------------------------------------------

PARSED = "Incoming data MUST be parsed as WebSocket frames as defined in Section 5.2."


def _one_and_a_half(peer: Peer) -> None:
    wire = peer.open()
    second = frame(TEXT, b"the second")
    wire.send(text("the first") + second[:9])
    wire.expect(TEXT, b"the first")
    wire.send(second[9:])
    wire.expect(TEXT, b"the second")


def _half_a_header(peer: Peer) -> None:
    wire = peer.open()
    for size in (5, 200, 66000):
        data = frame(TEXT, letters(size))
        for cut in (1, 3):
            wire.send(text("a") + data[:cut])
            wire.expect(TEXT, b"a")
            wire.send(data[cut:])
            wire.expect(TEXT, letters(size))


def _hello(peer: Peer) -> None:
    wire = peer.open()
    wire.send(text("Hello"))
    wire.expect(TEXT, b"Hello")


def _stream(name: str, title: str, play: Play, hint: str) -> Case:
    return Case(f"6.stream.{name}", MUST, "RFC 6455 §6.2", title, PARSED, play, hint)


ALL_BYTES = (bytes(range(100)), bytes(range(100, 200)), bytes(range(200, 256)))
THREE = text("one") + text("two") + text("three")
AS_THREE = ((TEXT, b"one"), (TEXT, b"two"), (TEXT, b"three"))
BUFFER = "TCP is a stream: collect the received bytes, take whole frames from the front, and keep the rest."

STREAM_CASES = (
    _stream(
        "byte-by-byte",
        "The server reads frames that arrive one byte at a time",
        echoes(THREE, *AS_THREE, packet_size=1),
        "A read of 2 bytes may return 1.  " + BUFFER,
    ),
    _stream(
        "three-by-three",
        "The server reads frames that are split anywhere",
        echoes(text(letters(100).decode()) + THREE, (TEXT, letters(100)), *AS_THREE, packet_size=3),
        BUFFER,
    ),
    _stream(
        "seven-by-seven",
        "The server reads a frame with a 64-bit length that is split anywhere",
        echoes(frame(TEXT, letters(66000)), (TEXT, letters(66000)), packet_size=997),
        BUFFER,
    ),
    _stream(
        "one-packet",
        "Three frames in one packet are three messages",
        echoes(THREE, *AS_THREE),
        "The buffer may contain more than one frame: loop until no whole frame is left.  " + BUFFER,
    ),
    _stream(
        "one-and-a-half",
        "The server answers a frame before the rest of the next frame arrives",
        script("a frame and 9 bytes of the next, then the rest", "both messages", _one_and_a_half, needs=Needs.ECHO),
        "Do not wait for an empty buffer, and do not drop the rest of the buffer.  " + BUFFER,
    ),
    _stream(
        "half-a-header",
        "A packet may end inside a header of any form",
        script("packets that end 1 or 3 bytes into a frame", "all messages", _half_a_header, needs=Needs.ECHO),
        "A header has 2 to 14 bytes, which may arrive one by one.  " + BUFFER,
    ),
    Case(
        "6.echo.all-bytes",
        INTEROP,
        "RFC 6455 §5.6",
        "Binary messages of all 256 byte values come back",
        "An application may do anything with binary messages; but an echo server sends all bytes back.",
        echoes(
            b"".join(frame(BINARY, piece) for piece in ALL_BYTES),
            *((BINARY, piece) for piece in ALL_BYTES),
            needs=Needs.ECHO,
        ),
        "Binary messages are bytes: do not decode, strip or cut them.",
    ),
    Case(
        "6.echo.types",
        INTEROP,
        "RFC 6455 §6.1",
        "Text comes back as text and binary as binary",
        "An application may send any answer; but an echo server sends the same type of message back.",
        echoes(
            frame(TEXT, b"Hello") + frame(BINARY, b"Hello") + frame(TEXT, b"Hello"),
            (TEXT, b"Hello"),
            (BINARY, b"Hello"),
            (TEXT, b"Hello"),
            needs=Needs.ECHO,
        ),
        "Remember the opcode of the message, and use it for the echo.",
    ),
    Case(
        "6.echo.hello",
        INTEROP,
        "RFC 6455 §6.1",
        "A text message comes back, as from an echo server",
        "Most of the following cases need a server that echoes messages.",
        script("81 85 37 fa 21 3d 7f 9f 4d 51 58", "TEXT of 5 bytes: b'Hello'", _hello, needs=Needs.MESSAGES),
        "Give the grader a path where your server echoes, or use --no-echo to grade only the rest.",
    ),
)


CASES = (*LENGTH_CASES, *MASK_CASES, *BIT_CASES, *STREAM_CASES)
