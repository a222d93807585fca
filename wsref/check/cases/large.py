"""Large messages, which ``check`` plays only with ``--large`` or by name: 1 to 16 MiB, and many of them.

No rule asks for them: a server may have a limit (RFC 6455 §10.4), and then these cases are skipped.
They take a few seconds and some memory on both sides, so they run one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..case import Case, Needs
from ..codec import BINARY, TEXT, frame
from ..plays import script
from ..session import Peer
from .ch09 import SHUFFLED, DeflateSession
from .common import INTEROP, letters, pattern

MIB = 1 << 20
EXPECTED = "A server may have a limit (§10.4).  Below it, a large message comes back whole, in seconds."
LINEAR = "Join the pieces of a message once, at its end: bytes += piece copies the whole message for each piece."


def _content(opcode: int, size: int) -> bytes:
    return letters(size) if opcode == TEXT else pattern(size)


def _whole(opcode: int, size: int, packet_size: int = 0) -> Callable[[Peer], None]:
    def run(peer: Peer) -> None:
        wire, payload = peer.open(), _content(opcode, size)
        wire.send_in_packets(frame(opcode, payload), packet_size) if packet_size else wire.send(frame(opcode, payload))
        wire.expect(opcode, payload)

    return run


def _in_fragments(opcode: int, size: int, fragment_size: int) -> Callable[[Peer], None]:
    def run(peer: Peer) -> None:
        wire, payload = peer.open(), _content(opcode, size)
        wire.send(b"".join(_fragments(opcode, payload, fragment_size)))
        wire.expect(opcode, payload)

    return run


def _fragments(opcode: int, payload: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(payload), size):
        yield frame(0 if start else opcode, payload[start : start + size], fin=start + size >= len(payload))


def _compressed(content: Callable[[], bytes]) -> Callable[[Peer], None]:
    def run(peer: Peer) -> None:
        session, payload = DeflateSession(peer), content()
        session.send(BINARY, payload)
        session.expect(BINARY, payload)

    return run


def _many_compressed(count: int, size: int) -> Callable[[Peer], None]:
    def run(peer: Peer) -> None:
        session = DeflateSession(peer)
        for number in range(count):
            payload = b"message %d " % number + letters(size)
            session.send(TEXT, payload)
            session.expect(TEXT, payload)

    return run


def _case(name: str, title: str, sends: str, run: Callable[[Peer], None], needs: Needs, hint: str = LINEAR) -> Case:
    play = script(sends, "the same back; or Close 1009, or the end of TCP", run, needs=needs, alone=True)
    return Case(name, INTEROP, "RFC 6455 §10.4", title, EXPECTED, play, hint)


def _whole_case(opcode: int, mebibytes: int) -> Case:
    kind, needs = ("text", Needs.ECHO) if opcode == TEXT else ("binary", Needs.BINARY_ECHO)
    return _case(
        f"6.large.{kind}-{mebibytes}-mib",
        f"A {kind} message of {mebibytes} MiB in one frame comes back",
        f"a {kind} message of {mebibytes} MiB",
        _whole(opcode, mebibytes * MIB),
        needs,
    )


def _fragments_case(mebibytes: int, fragment_size: int) -> Case:
    return _case(
        f"7.large.{mebibytes}-mib-in-fragments-of-{fragment_size}",
        f"A message of {mebibytes} MiB in fragments of {fragment_size} bytes comes back",
        f"a binary message of {mebibytes} MiB, in fragments of {fragment_size} bytes",
        _in_fragments(BINARY, mebibytes * MIB, fragment_size),
        Needs.BINARY_ECHO,
    )


def _many_case(count: int, size: int) -> Case:
    return _case(
        f"9.large.{count}-messages-of-{size}",
        f"{count} compressed messages of {size} bytes, one after the other, come back",
        f"{count} compressed text messages of about {size} bytes",
        _many_compressed(count, size),
        Needs.DEFLATE_ECHO,
        "Keep one deflater and one inflater for each connection, and do not make them anew for each message.",
    )


CASES = (
    *(_whole_case(opcode, mebibytes) for opcode in (TEXT, BINARY) for mebibytes in (1, 4, 16)),
    _case(
        "6.large.1-mib-in-small-packets",
        "A message of 1 MiB that arrives in packets of 1,024 bytes comes back",
        "a binary message of 1 MiB, in packets of 1,024 bytes",
        _whole(BINARY, MIB, 1024),
        Needs.BINARY_ECHO,
    ),
    *(_fragments_case(*sizes) for sizes in ((1, 64), (4, 1024), (16, 65536))),
    _case(
        "9.large.16-mib-that-shrink",
        "A compressed message of 16 MiB, in 16 KiB of payload, comes back",
        "a compressed binary message of 16 MiB of zeros",
        _compressed(lambda: bytes(16 * MIB)),
        Needs.DEFLATE_BINARY_ECHO,
        "Inflate in steps, with the limit of the message in mind.",
    ),
    _case(
        "9.large.4-mib-that-do-not-shrink",
        "A compressed message of 4 MiB that does not shrink comes back",
        "a compressed binary message of 4 MiB of random bytes",
        _compressed(lambda: SHUFFLED * 64),
        Needs.DEFLATE_BINARY_ECHO,
    ),
    *(_many_case(1000, size) for size in (16, 1024, 16384)),
)
