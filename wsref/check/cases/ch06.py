"""Chapter 6: the cases about frames: lengths, masks, reserved bits and opcodes.

They need no Pong and no answer to a Close, which later chapters bring: whether a server
has failed a connection is found out with a message that it would send back.

Where a client writes what it MUST NOT, and the RFC does not say that the server must fail
the connection for it (a length in too many bits), the level is SHOULD: "Incoming data MUST
always be validated" (§10.7), but servers differ in how far they go.
"""

from __future__ import annotations

import contextlib
import struct

from ..case import Case, Play
from ..codec import BINARY, PING, PONG, TEXT, frame, text
from ..plays import echoes, fails, script, survives
from ..session import Line, Peer
from ..verdict import Failed
from .common import INTEROP, MUST, SHOULD, letters, pattern

# -- Lengths -----------------------------------------------------------------------------

LENGTHS = (
    (0, "the shortest there is"),
    (1, "the shortest that has a payload"),
    (124, "in 7 bits"),
    (125, "the longest that 7 bits say"),
    (126, "the shortest that 16 bits say"),
    (127, "whose length is the number that announces 64 bits"),
    (128, "whose length would be negative as a signed byte"),
    (255, "the longest whose 16 bits begin with a zero byte"),
    (256, "whose 16 bits tell one byte order from the other"),
    (32768, "whose length would be negative as a signed short"),
    (65535, "the longest that 16 bits say"),
    (65536, "the shortest that 64 bits say"),
    (65537, "in 64 bits"),
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
        "Both ways: 126 means that two bytes of length follow, 127 that eight do; all in network byte order. "
        "And one recv is not one frame: read until the whole payload is there.",
    )


MINIMAL = "the minimal number of bytes MUST be used to encode the length"


def _own_frames(peer: Peer, part: str, sizes: tuple[int, ...] = (0, 5, 125, 126, 65535, 65536)) -> None:
    """Whether the server's own frames have a fault that is called so."""
    line = peer.open()
    for size in sizes:
        line.send(frame(TEXT, letters(size)))
        missing = False
        try:
            line.message()
        except Failed:
            missing = True  # other cases look at that
        for fault in line.faults:
            if part in fault:
                raise Failed(f"a frame of the server's: {fault}")
        if missing:
            return


def own_frames(part: str, accepts: str) -> Play:
    """The frames of its echoes do not have this fault."""
    return script("text messages of 0 to 65,536 bytes", accepts, lambda peer: _own_frames(peer, part), needs="echo")


def _too_wide(size: int, form: int) -> Case:
    return Case(
        "6.length.text-in-16-bits" if (size, form) == (5, 16) else f"6.length.{size}-in-{form}-bits",
        SHOULD,
        "RFC 6455 §5.2",
        f"A length of {size}, which fits in fewer bits, written in {form}, fails the connection",
        MINIMAL,
        fails(frame(TEXT, letters(size), form=form), by_echo=True),
        "After reading the two bytes: is the length at least 126?  After the eight: at least 65536?",
    )


def _huge(declared: int, payload: bytes = b"x" * 1000) -> bytes:
    return frame(BINARY, payload, form=64, declared=declared)


def _send_huge(line: Line) -> None:
    line.send(_huge(1 << 62))
    with contextlib.suppress(Failed):  # silence is its right here; it has a moment to fall over
        line.frame(0.3)


LENGTH_CASES = (
    *(_length(BINARY, size, why) for size, why in LENGTHS),
    *(_length(TEXT, size, why) for size, why in LENGTHS),
    Case(
        "6.length.shortest-form",
        MUST,
        "RFC 6455 §5.2",
        "The server writes its own lengths in as few bytes as will do",
        MINIMAL,
        own_frames("fits in fewer", "frames whose length is in the shortest form"),
        "When you build a frame: up to 125 in the second byte, up to 65535 in two bytes, and only then in eight.",
    ),
    *(
        _too_wide(size, form)
        for size, form in ((5, 16), (0, 16), (125, 16), (0, 64), (5, 64), (125, 64), (126, 64), (65535, 64))
    ),
    Case(
        "6.length.top-bit",
        SHOULD,
        "RFC 6455 §5.2",
        "A 64-bit length whose top bit is set fails the connection",
        "the following 8 bytes interpreted as a 64-bit unsigned integer (the most significant bit MUST be 0)",
        fails(frame(TEXT, b"Hello", form=64, declared=(1 << 63) | 5), by_echo=True),
        "2**63 or more is no length.  Take care that it does not become a negative number, or lose its top bit.",
    ),
    Case(
        "6.length.all-ones",
        SHOULD,
        "RFC 6455 §5.2",
        "A 64-bit length of all ones fails the connection",
        "the following 8 bytes interpreted as a 64-bit unsigned integer (the most significant bit MUST be 0)",
        fails(frame(TEXT, b"Hello", form=64, declared=(1 << 64) - 1), by_echo=True),
        "As a signed number it is -1: nothing to wait for, says a careless loop.",
    ),
    Case(
        "6.length.low-half-of-64",
        MUST,
        "RFC 6455 §5.2",
        "A 64-bit length is not cut to its lower 32 bits",
        "If 127, the following 8 bytes interpreted as a 64-bit unsigned integer",
        script(
            "a frame that declares 2**32 + 5 bytes, and then a whole frame",
            "nothing comes back but a Close, or the end of TCP, or silence: 4 GiB are still missing",
            lambda peer: _no_message(peer, frame(TEXT, b"Hello", form=64, declared=(1 << 32) + 5)),
            needs="echo",
        ),
        "Read all eight bytes as one number; a mask of 0xffffffff or a 32-bit integer cuts it.",
    ),
    Case(
        "6.length.huge",
        MUST,
        "RFC 6455 §10.4",
        "A frame that declares 2**62 bytes does the server no harm",
        "Implementations that have implementation- and/or platform-specific limitations regarding the frame size ... "
        "MUST protect themselves against exceeding those limits.",
        survives(_send_huge, "a frame that declares 2**62 bytes, and 1,000 of them"),
        "Do not allocate what a client declares: have a limit, look at the length, and close with 1009.",
    ),
)


def _no_message(peer: Peer, wire: bytes) -> None:
    """No message comes back, whatever else: the frame is not all here."""
    line = peer.open()
    line.send(wire + text("Hello"))
    try:
        came = line.frame(min(0.5, peer.timeout))
    except Failed:
        return
    if came is not None and came.opcode < 8:
        raise Failed(f"{came}", "no message")


# -- Masks ---------------------------------------------------------------------------------


def _own_rsv(peer: Peer) -> None:
    line = peer.open()
    for size in (0, 5, 125, 126, 65536):
        line.send(frame(TEXT, letters(size)))
        try:
            came = line.frame()
        except Failed:
            return  # other cases look at that
        if came is None:
            return
        if came.rsv:
            raise Failed(f"RSV bits {came.rsv:03b} are set on a {came}")


def _without_mask(name: str, wire: bytes, what: str) -> Case:
    return Case(
        f"6.mask.{name}",
        MUST,
        "RFC 6455 §5.1",
        f"{what} without a mask fails the connection",
        "The server MUST close the connection upon receiving a frame that is not masked.",
        fails(wire, by_echo=True),
        "Look at the second byte's top bit before you read the masking key; in control frames too.",
    )


UNMASKED = "Octet i of the transformed data ... is the XOR of octet i of the original data ... with octet at index i modulo 4 of the masking key"  # noqa: E501


def _masked_with(name: str, key: bytes, what: str) -> Case:
    return Case(
        f"6.mask.{name}",
        MUST,
        "RFC 6455 §5.3",
        f"A payload that is masked with {what} comes back as it was",
        UNMASKED,
        echoes(frame(TEXT, letters(101), key=key), (TEXT, letters(101))),
        "payload[i] ^ key[i % 4], for every key: MASK says whether there is one, not the key's value.",
    )


def _of_all_sizes() -> Play:
    keys = [struct.pack("!I", (size * 0x9E3779B1 + 1) & 0xFFFFFFFF) for size in range(20)]
    wire = b"".join(frame(TEXT, letters(size), key=keys[size]) for size in range(20))
    return echoes(wire, *((TEXT, letters(size)) for size in range(20)))


MASK_CASES = (
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
        "Payloads of 0 to 19 bytes, each under a key of its own, come back as they were",
        UNMASKED,
        _of_all_sizes(),
        "Sizes that are no multiple of 4, and a new key in every frame: keep nothing from the frame before.",
    ),
    Case(
        "6.mask.server",
        MUST,
        "RFC 6455 §5.1",
        "The server does not mask its frames",
        "A server MUST NOT mask any frames that it sends to the client.",
        own_frames("masked", "frames without a mask"),
        "Only clients mask.  A function that builds frames for both roles needs to know the role.",
    ),
)

# -- RSV bits and opcodes ----------------------------------------------------------------------

RSV = (
    "If a nonzero value is received and none of the negotiated extensions defines the meaning of such a nonzero "
    "value, the receiving endpoint MUST _Fail the WebSocket Connection_."
)
UNKNOWN = "If an unknown opcode is received, the receiving endpoint MUST _Fail the WebSocket Connection_."


def _reserved_bit(name: str, wire: bytes, what: str) -> Case:
    return Case(
        f"6.rsv.{name}",
        MUST,
        "RFC 6455 §5.2",
        f"{what}, with no extension agreed, fails the connection",
        RSV,
        fails(wire, by_echo=True),
        "first_byte & 0x70 must be 0, unless permessage-deflate was agreed: then 0x30.",
    )


def _reserved_opcode(opcode: int) -> Case:
    return Case(
        f"6.opcode.{opcode}",
        MUST,
        "RFC 6455 §5.2",
        f"The opcode {opcode:#x}, which is reserved, fails the connection",
        UNKNOWN,
        fails(frame(opcode, b"Hello"), by_echo=True),
        "Say which opcodes you know (0, 1, 2, 8, 9, 10) and refuse all others: no `else` that takes the rest.",
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
        "The server's frames have no RSV bits set while no extension is agreed",
        "MUST be 0 unless an extension is negotiated that defines meanings for non-zero values.",
        script("text messages of 0 to 65,536 bytes", "frames without RSV bits", _own_rsv, needs="echo"),
        "The first byte of a whole text message is 0x81, of a binary one 0x82.",
    ),
    *(_reserved_opcode(opcode) for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)),
    Case(
        "6.opcode.3-empty",
        MUST,
        "RFC 6455 §5.2",
        "A reserved opcode fails the connection though its frame is empty",
        UNKNOWN,
        fails(frame(3), by_echo=True),
        "Look at the opcode before you look at the payload.",
    ),
)

# -- The stream ----------------------------------------------------------------------------------

PARSED = "Incoming data MUST be parsed as WebSocket frames as defined in Section 5.2."


def _one_and_a_half(peer: Peer) -> None:
    line = peer.open()
    second = frame(TEXT, b"the second")
    line.send(text("the first") + second[:9])
    line.expect(TEXT, b"the first")
    line.send(second[9:])
    line.expect(TEXT, b"the second")


def _half_a_header(peer: Peer) -> None:
    line = peer.open()
    for size in (5, 200, 66000):
        wire = frame(TEXT, letters(size))
        for cut in (1, 3):
            line.send(text("a") + wire[:cut])
            line.expect(TEXT, b"a")
            line.send(wire[cut:])
            line.expect(TEXT, letters(size))


def _hello(peer: Peer) -> None:
    line = peer.open()
    line.send(text("Hello"))
    line.expect(TEXT, b"Hello")


def _stream(name: str, title: str, play: Play, hint: str) -> Case:
    return Case(f"6.stream.{name}", MUST, "RFC 6455 §6.2", title, PARSED, play, hint)


ALL_BYTES = (bytes(range(100)), bytes(range(100, 200)), bytes(range(200, 256)))
THREE = text("one") + text("two") + text("three")
AS_THREE = ((TEXT, b"one"), (TEXT, b"two"), (TEXT, b"three"))
BUFFER = "TCP is a stream of bytes: collect what comes, take whole frames from its front, keep the rest."

STREAM_CASES = (
    _stream(
        "byte-by-byte",
        "Frames that come one byte at a time are read as ever",
        echoes(THREE, *AS_THREE, dribble=1),
        "A recv of 2 may return 1.  " + BUFFER,
    ),
    _stream(
        "three-by-three",
        "Frames whose packets end anywhere are read as ever",
        echoes(text(letters(100).decode()) + THREE, (TEXT, letters(100)), *AS_THREE, dribble=3),
        BUFFER,
    ),
    _stream(
        "seven-by-seven",
        "Frames in 64 bits whose packets end anywhere are read as ever",
        echoes(frame(TEXT, letters(66000)), (TEXT, letters(66000)), dribble=997),
        BUFFER,
    ),
    _stream(
        "one-packet",
        "Three frames in one packet are three messages",
        echoes(THREE, *AS_THREE),
        "After the first frame there may be more in the buffer: loop until no whole frame is left.  " + BUFFER,
    ),
    _stream(
        "one-and-a-half",
        "A frame is answered while only half of the next has come",
        script("a frame and 9 bytes of the next, then the rest", "both messages", _one_and_a_half, needs="echo"),
        "Do not wait for the buffer to be empty, and do not drop what is left in it.  " + BUFFER,
    ),
    _stream(
        "half-a-header",
        "A packet may end inside a header of any form",
        script("packets that end 1 or 3 bytes into a frame", "all messages", _half_a_header, needs="echo"),
        "A header has 2 to 14 bytes, and they may come one by one.  " + BUFFER,
    ),
    Case(
        "6.echo.all-bytes",
        INTEROP,
        "RFC 6455 §5.6",
        "Binary messages of all 256 byte values come back",
        "What an application does with binary is its own affair; but an echo sends it back, whatever bytes there are.",
        echoes(
            b"".join(frame(BINARY, piece) for piece in ALL_BYTES),
            *((BINARY, piece) for piece in ALL_BYTES),
            needs="echo",
        ),
        "Binary stays bytes: decode nothing, strip nothing, end nothing at a zero.",
    ),
    Case(
        "6.echo.types",
        INTEROP,
        "RFC 6455 §6.1",
        "Text comes back as text and binary as binary",
        "What an application answers is its own affair; but an echo gives back the same kind of message.",
        echoes(
            frame(TEXT, b"Hello") + frame(BINARY, b"Hello") + frame(TEXT, b"Hello"),
            (TEXT, b"Hello"),
            (BINARY, b"Hello"),
            (TEXT, b"Hello"),
            needs="echo",
        ),
        "Remember the opcode with the message, and send with the same.",
    ),
    Case(
        "6.echo.hello",
        INTEROP,
        "RFC 6455 §6.1",
        "A text message comes back, as from an echo server",
        "Most cases from here on need a server that sends back what it gets.",
        script("81 85 37 fa 21 3d 7f 9f 4d 51 58", "TEXT of 5 bytes: b'Hello'", _hello, needs="asked"),
        "Give the grader a path where your server echoes; or --no-echo, and be graded on the rest.",
    ),
)


CASES = (*LENGTH_CASES, *MASK_CASES, *BIT_CASES, *STREAM_CASES)
