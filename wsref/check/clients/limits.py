"""Chapter 11: long messages, slow ones, and messages without end: the limits are the client's own."""

from __future__ import annotations

import functools
import time
import zlib

from ..case import Play
from ..codec import BINARY, PING, TEXT
from ..verdict import Failed, Skipped
from .compression import Session
from .frames import letters, pattern
from .plays import INTEROP, MUST, ClientRule, client_cases_of, echoes, take_pongs
from .session import Client, as_server

MIB = 1 << 20


@functools.cache
def bomb() -> bytes:
    """Return 64 MiB of zeros, compressed to less than 64 KiB."""
    deflater = zlib.compressobj(wbits=-15)
    pieces = [deflater.compress(bytes(MIB)) for _ in range(64)]
    return (b"".join(pieces) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]


def _endless(client: Client) -> None:
    wire, size = client.open(), 0
    piece = as_server(0, bytes(65536), fin=False)
    wire.send(as_server(BINARY, fin=False))
    while size < 32 * MIB and not wire.is_over and not wire.has_sent_close:
        try:
            wire.send(piece)
            if not wire.is_quiet(0.0001):
                wire.frame(0)
        except Failed:
            break
        size += 65536
    if not wire.is_over and not wire.has_sent_close:
        wire.expect_failure()


def _bomb(client: Client) -> None:
    session = Session(client)
    session.wire.send(as_server(BINARY, bomb(), rsv=4))
    try:
        session.wire.expect_failure()
    except Failed as failure:
        raise type(failure)(f"64 MiB in a message of 64 KiB: {failure.got}", failure.expected) from None


def _pause(client: Client) -> None:
    wire = client.open()
    data = as_server(PING, b"after a pause")
    wire.awaits_pong(b"after a pause")
    wire.send(data[:5])
    time.sleep(1.0)
    wire.send(data[5:])
    take_pongs(wire, (b"after a pause",))


def _quiet(client: Client) -> None:
    wire = client.open()
    if wire.ended(1.0):
        raise Skipped("the client closes connections by itself")
    wire.send(as_server(PING, b"later"))
    take_pongs(wire, (b"later",))


CASES = client_cases_of(
    ClientRule(MUST, "RFC 6455 §5.2",
        "if 0-125, that is the payload length.  If 126, the following 2 bytes ... If 127, the following 8 bytes",
        "Read until the whole payload arrives.  A client may limit the size of messages, and then sends Close 1009.",
        echo=True),
    ("c11.large.binary", "A binary message of 1 MiB comes back",
     echoes(as_server(BINARY, pattern(MIB)), (BINARY, pattern(MIB)))),
    ("c11.large.text", "A text of 1 MiB comes back", echoes(as_server(TEXT, letters(MIB)), (TEXT, letters(MIB)))),
    ("c11.large.packets", "A text of 100,000 bytes in packets of 100 bytes comes back",
     echoes(as_server(TEXT, letters(100000)), (TEXT, letters(100000)), packet_size=100)),

    ClientRule(INTEROP, "RFC 6455 §6.2",
        "Networks pause, also inside a frame: a client that gives up after a second loses good connections.",
        "A timeout for the rest of a frame is at least some seconds."),
    ("c11.slow.frame", "A pause of a second inside a frame does no harm",
     Play("half a Ping, its rest a second later", "PONG", _pause)),
    ("c11.slow.idle", "A second without a frame does no harm",
     Play("nothing for a second, then a Ping", "PONG", _quiet)),

    ClientRule(INTEROP, "RFC 6455 §10.4",
        "A message without end fills the memory of a client that has no limit.  The limit is the client's own.",
        "Add up the payloads of the fragments, and send Close 1009 above your limit."),
    ("c11.limit.endless-message", "A message without end fails the connection before 32 MiB",
     Play("fragments of 64 KiB, up to 32 MiB", "Close, or the end of TCP", _endless)),

    ClientRule(INTEROP, "RFC 7692 §8",
        "A compressed message may be a thousand times longer than its payload.  The limit is the client's own.",
        "Inflate with a limit (zlib's max_length), and send Close 1009 above it.", deflate=True),
    ("c11.limit.bomb", "A message of 64 KiB that inflates to 64 MiB fails the connection",
     Play("64 MiB of zeros, compressed", "Close, or the end of TCP", _bomb)),
)  # fmt: skip
