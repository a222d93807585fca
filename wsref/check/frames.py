"""Chapter 6: the cases about frames: lengths, masks, reserved bits and opcodes.

They need no Pong and no answer to a Close, which later chapters bring: whether a server
has failed a connection is found out with a message that it would send back.
"""

from __future__ import annotations

from .case import Case, Level
from .codec import BINARY, TEXT, frame, text
from .plays import echoes, fails

MUST, SHOULD, INTEROP = Level.MUST, Level.SHOULD, Level.INTEROP

MINIMAL = "the minimal number of bytes MUST be used to encode the length"


def _length(size: int, why: str) -> Case:
    payload = bytes(i % 251 for i in range(size))
    return Case(
        f"6.length.{size}",
        MUST,
        "RFC 6455 §5.2",
        f"A message of {size} bytes comes back: {why}",
        "if 0-125, that is the payload length.  If 126, the following 2 bytes ... If 127, the following 8 bytes",
        echoes(frame(BINARY, payload), (BINARY, payload)),
        "Both ways: 126 means that two bytes of length follow, 127 that eight do; all in network byte order.",
    )


CASES = (
    *(
        _length(size, why)
        for size, why in (
            (125, "the longest that 7 bits say"),
            (126, "the shortest that 16 bits say"),
        )
    ),
    Case(
        "6.length.text-in-16-bits",
        MUST,
        "RFC 6455 §5.2",
        "A length that fits in 7 bits and is written in 16 fails the connection",
        MINIMAL,
        fails(frame(TEXT, b"Hello", form=16), by_echo=True),
        "After reading the two bytes: is the length at least 126?  After the eight: at least 65536?",
    ),
    Case(
        "6.mask.missing",
        MUST,
        "RFC 6455 §5.1",
        "A frame without a mask fails the connection",
        "The server MUST close the connection upon receiving a frame that is not masked.",
        fails(frame(TEXT, b"Hello", key=None), by_echo=True),
        "Look at the second byte's top bit before you read the masking key.",
    ),
    Case(
        "6.echo.hello",
        INTEROP,
        "RFC 6455 §6.1",
        "A text message comes back, as from an echo server",
        "Most cases from here on need a server that sends back what it gets.",
        echoes(text("Hello"), (TEXT, b"Hello")),
        "Give the grader a path where your server echoes; or --no-echo, and be graded on the rest.",
    ),
)
