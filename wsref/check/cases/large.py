"""Large messages, which ``check`` plays only with ``--large`` or by name: 1 to 16 MiB, and many of them.

No rule asks for them: a server may have a limit (RFC 6455 §10.4), and then these cases are skipped.
They take a few seconds and some memory on both sides, so they run one after the other.
"""

from __future__ import annotations

from collections.abc import Callable

from ..case import Needs, Play
from ..codec import BINARY, TEXT, fragments, frame
from ..rule import Row, Rule, cases_of
from ..session import Peer
from .ch09 import SHUFFLED
from .common import INTEROP, in_pieces, letters, pattern
from .deflate import DeflateSession

MIB = 1 << 20


def _play(sends: str, run: Callable[[Peer], None], needs: Needs) -> Play:
    return Play(sends, "the same back; or Close 1009, or the end of TCP", run, needs, alone=True)


def _echo(
    sends: str, opcode: int, content: Callable[[int], bytes], mebibytes: int, *, packet: int = 0, fragment: int = 0
) -> Play:
    """Expect a large message back.

    Args:
        packet: Bytes in each packet; 0: one packet.
        fragment: Bytes in each fragment; 0: one frame.
    """

    def run(peer: Peer) -> None:
        wire, payload = peer.open(), content(mebibytes * MIB)
        data = fragments(opcode, *in_pieces(payload, fragment)) if fragment else frame(opcode, payload)
        wire.send_in_packets(data, packet) if packet else wire.send(data)
        wire.expect(opcode, payload)

    return _play(sends, run, Needs.ECHO if opcode == TEXT else Needs.BINARY_ECHO)


def _compressed(sends: str, content: Callable[[], bytes]) -> Play:
    def run(peer: Peer) -> None:
        session, payload = DeflateSession(peer), content()
        session.send(BINARY, payload)
        session.expect(BINARY, payload)

    return _play(sends, run, Needs.DEFLATE_BINARY_ECHO)


def _many_compressed(sends: str, count: int, size: int) -> Play:
    def run(peer: Peer) -> None:
        session = DeflateSession(peer)
        for number in range(count):
            payload = b"message %d " % number + letters(size)
            session.send(TEXT, payload)
            session.expect(TEXT, payload)

    return _play(sends, run, Needs.DEFLATE_ECHO)


def _whole(kind: str, mebibytes: int) -> Row:
    opcode, content = (TEXT, letters) if kind == "text" else (BINARY, pattern)
    return (
        f"6.large.{kind}-{mebibytes}-mib",
        f"A {kind} message of {mebibytes} MiB in one frame comes back",
        _echo(f"a {kind} message of {mebibytes} MiB", opcode, content, mebibytes),
    )


def _in_fragments(mebibytes: int, size: int) -> Row:
    words = f"message of {mebibytes} MiB in fragments of {size} bytes"
    return (
        f"7.large.{mebibytes}-mib-in-fragments-of-{size}",
        f"A {words} comes back",
        _echo(f"a binary {words}", BINARY, pattern, mebibytes, fragment=size),
    )


def _many(size: int) -> Row:
    return (
        f"9.large.1000-messages-of-{size}",
        f"1000 compressed messages of {size} bytes, one after the other, come back",
        _many_compressed(f"1000 compressed text messages of about {size} bytes", 1000, size),
        "Keep one deflater and one inflater for each connection, and do not make them anew for each message.",
    )


CASES = cases_of(
    Rule(INTEROP, "RFC 6455 §10.4",
         "A server may have a limit (§10.4).  Below it, a large message comes back whole, in seconds.",
         "Join the pieces of a message once, at its end: bytes += piece copies the whole message for each piece."),
    *(_whole(kind, mebibytes) for kind in ("text", "binary") for mebibytes in (1, 4, 16)),
    ("6.large.1-mib-in-small-packets", "A message of 1 MiB that arrives in packets of 1,024 bytes comes back",
     _echo("a binary message of 1 MiB, in packets of 1,024 bytes", BINARY, pattern, 1, packet=1024)),
    *(_in_fragments(mebibytes, size) for mebibytes, size in ((1, 64), (4, 1024), (16, 65536))),
    ("9.large.16-mib-that-shrink", "A compressed message of 16 MiB, in 16 KiB of payload, comes back",
     _compressed("a compressed binary message of 16 MiB of zeros", lambda: bytes(16 * MIB)),
     "Inflate in steps, with the limit of the message in mind."),
    ("9.large.4-mib-that-do-not-shrink", "A compressed message of 4 MiB that does not shrink comes back",
     _compressed("a compressed binary message of 4 MiB of random bytes", lambda: SHUFFLED * 64)),
    *(_many(size) for size in (16, 1024, 16384)),
)  # fmt: skip
