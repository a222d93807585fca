"""Chapter 11: cases about pages from other origins, and about limits."""

from __future__ import annotations

import contextlib

from ..case import Needs, Play
from ..codec import BINARY, CONTINUATION, TEXT, frame, upgrade
from ..plays import ask, reaction, works
from ..rule import Rule, cases_of
from ..session import Peer, Wire
from ..verdict import Failed, Skipped
from .common import INTEROP, LIMITS, MUST, SHOULD, letters

# -- Origin ---


def _refused(line: str, *, status: int = 0, version: str = "13") -> Play:
    """Expect a refusal of a handshake with this header.

    Args:
        status: The accepted status; 0: 400 to 599.
    """
    wanted = str(status or "a status from 400 to 599")

    def run(peer: Peer) -> None:
        own_host = line.replace("{host}", peer.target.authority)
        answer = ask(peer, upgrade(own_host, Sec_WebSocket_Version=version))
        if answer is None:
            return
        is_refusal = 400 <= answer.status <= 599
        if status and not is_refusal:
            raise Skipped("it is not refused, which 11.origin.foreign tests")
        if not is_refusal or (status and answer.status != status):
            raise Failed(str(answer), wanted)

    return Play(f"a handshake with {line}", wanted, run, Needs.OPEN)


def _own_page(peer: Peer) -> None:
    scheme = "https" if peer.target.secure else "http"
    answer = ask(peer, upgrade(f"Origin: {scheme}://{peer.target.authority}"))
    if answer is None or answer.status != 101:
        raise Failed(str(answer or "the end of TCP"), "101 Switching Protocols")


ORIGIN_CASES = cases_of(
    Rule(SHOULD, "RFC 6455 §10.2",
         "Servers that are not intended to process input from any web page but only for certain sites SHOULD verify "
         "the |Origin| field is an origin they expect.",
         "Every page can open a WebSocket to your server, with the cookies of your user.  Compare the whole Origin "
         "with the origins that you serve.  If your server is meant for all pages, this failure is not a fault."),
    ("11.origin.foreign", "A page from another origin is refused", _refused("Origin: https://evil.example")),
    ("11.origin.lookalike", "An origin that begins like the server's own is refused",
     _refused("Origin: http://{host}.evil.example")),
    ("11.origin.suffix", "An origin that ends like the server's own is refused",
     _refused("Origin: http://evil-{host}")),
    ("11.origin.null", "The origin null, of a sandboxed frame or a file, is refused", _refused("Origin: null")),
    ("11.origin.malformed", "An invalid origin is refused", _refused("Origin: %%% http://{host}")),
    ("11.origin.version-8",
     "A page from another origin is refused in version 8 too, with its header Sec-WebSocket-Origin",
     _refused("Sec-WebSocket-Origin: https://evil.example", version="8")),

    Rule(SHOULD, "RFC 6455 §10.2",
         "If the origin indicated is unacceptable to the server, then it SHOULD respond to the WebSocket handshake "
         "with a reply containing HTTP 403 Forbidden status code."),
    ("11.origin.403", "A page from another origin gets 403",
     _refused("Origin: https://evil.example", status=403), "Answer 403 Forbidden."),

    Rule(INTEROP, "RFC 6455 §10.2",
         "In the simplest set-up, page and WebSocket have one address, and Origin names the host of the URL."),
    ("11.origin.own", "A page from the server itself is accepted",
     Play("a handshake with the server's own address as Origin", "101 Switching Protocols", _own_page, Needs.OPEN),
     "Compare host and port of Origin with Host, or add the server's address to the allowed origins."),
)  # fmt: skip

# -- Limits ---------------------------------------------------------------------------------------------


def _fails_early(wire: Wire) -> None:
    """Expect a failed connection for the beginning of a frame, even if more of its payload arrives."""
    wire.expect_failure(b"\0" * 16)


def _too_long(sends: str, data: bytes) -> Play:
    return reaction(data, "Close, or the end of TCP", _fails_early, sends=sends)


def _endless_fragments(peer: Peer) -> None:
    wire = peer.open()
    with contextlib.suppress(Failed):  # the server may stop reading, which is a limit too
        wire.send(frame(TEXT, b"", fin=False) + frame(CONTINUATION, b"", fin=False) * 100_000)
    wire.expect_failure()


def _open(peer: Peer) -> Wire:
    """Open a connection; first close the others where a server limits the connections of one address."""
    try:
        return peer.open()
    except Failed:
        peer.close()
        return peer.open()


def _ten_times_two_gib(peer: Peer) -> None:
    for _ in range(10):
        wire = _open(peer)
        wire.send(frame(BINARY, letters(1000), form=64, declared=1 << 31))
        if not peer.concurrent:
            wire.close()
    works(peer, _open(peer))


# Half a character at the end of the first packet, and an invalid byte in the second, of a frame of 1,000 bytes.
INVALID_EARLY = frame(TEXT, letters(99) + "ö".encode() + b"\xff" + letters(898))[: 2 * 108]


LIMIT_CASES = cases_of(
    Rule(SHOULD, "RFC 6455 §10.4",
         "Such an implementation SHOULD impose a limit on frame sizes and the total message size after reassembly from "
         "multiple frames."),
    ("11.limits.frame", "A frame that declares 2**62 bytes fails the connection",
     _too_long("the header of a frame of 2**62 bytes, and its first 100 bytes",
               frame(BINARY, letters(100), form=64, declared=1 << 62)),
     "Compare the declared length with a limit before you read the payload, and close with 1009."),
    ("11.limits.message", "A second fragment that declares 2**61 bytes fails the connection",
     _too_long("a fragment of 5 bytes, then a fragment that declares 2**61 bytes",
               frame(BINARY, b"Hello", fin=False)
               + frame(CONTINUATION, letters(100), form=64, declared=1 << 61)),
     "Limit the whole message: add up the declared lengths of its fragments."),

    Rule(INTEROP, "RFC 6455 §10.4",
         "Its size stays 0, so a limit in bytes does not apply; but a list of the fragments grows."),
    ("11.limits.fragments", "A message of 100,000 empty fragments fails the connection",
     Play("a first fragment and 100,000 more, all empty and without FIN", "Close, or the end of TCP",
          _endless_fragments, Needs.OPEN, alone=True),
     "Limit the number of fragments, at least of empty ones."),

    Rule(INTEROP, "RFC 6455 §8.1",
         "No rule says when.  A server that waits for the end of the frame collects an invalid text, up to its limit."),
    ("11.utf8.fail-fast", "Invalid bytes in a text frame fail the connection before the rest of the frame arrives",
     reaction(INVALID_EARLY, "Close, or the end of TCP", _fails_early, packet_size=108,
              sends="the header of a text frame of 1,000 bytes, and 208 of them, with the byte ff"),
     "Unmask and decode the bytes of a text frame as they arrive, with an incremental decoder."),

    Rule(MUST, "RFC 6455 §10.4", LIMITS),
    ("11.limits.survives", "Ten clients that each declare 2 GiB do the server no harm",
     Play("on ten connections, a frame that declares 2 GiB, and its first 1,000 bytes",
          "the next connection works", _ten_times_two_gib, Needs.OPEN, alone=True),
     "Allocate memory for received bytes, not for the declared length."),
)  # fmt: skip

CASES = (*ORIGIN_CASES, *LIMIT_CASES)
