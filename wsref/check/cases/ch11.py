"""Chapter 11: cases about pages from other origins, and about limits."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from ..case import Case, Needs, Play
from ..codec import BINARY, CONTINUATION, TEXT, frame, upgrade
from ..plays import script, works
from ..session import Peer
from ..verdict import Failed, Level, Skipped
from .common import INTEROP, MUST, SHOULD, letters

# -- Origin ---


def _origin(*lines: str, statuses: tuple[int, ...] = (), version: str = "13") -> Play:
    """Expect a refusal of a handshake with these headers."""
    wanted = " or ".join(map(str, statuses)) or "a status from 400 to 599"

    def run(peer: Peer) -> None:
        wire = peer.connect()
        wire.send(
            upgrade(*(one.replace("{host}", peer.target.authority) for one in lines), Sec_WebSocket_Version=version)
        )
        answer = wire.answer()
        if answer is None or (not statuses and 400 <= answer.status <= 599) or answer.status in statuses:
            return
        if statuses and 400 <= answer.status <= 599:
            raise Failed(str(answer), wanted)
        if statuses:
            raise Skipped("it is not refused, which 11.origin.foreign tests")
        raise Failed(str(answer), wanted)

    return Play(f"a handshake with {', '.join(lines)}", wanted, run, Needs.OPEN)


def _own_page(peer: Peer) -> None:
    scheme = "https" if peer.target.secure else "http"
    wire = peer.connect()
    wire.send(upgrade(f"Origin: {scheme}://{peer.target.authority}"))
    answer = wire.answer()
    if answer is None or answer.status != 101:
        raise Failed(str(answer or "the end of TCP"), "101 Switching Protocols")


ORIGIN = (
    "Servers that are not intended to process input from any web page but only for certain sites SHOULD verify the "
    "|Origin| field is an origin they expect."
)
COOKIES = (
    "Every page can open a WebSocket to your server, with the cookies of your user.  Compare the whole Origin with the "
    "origins that you serve.  If your server is meant for all pages, this failure is not a fault."
)


def _foreign(name: str, title: str, play: Play, level: Level = SHOULD) -> Case:
    return Case(f"11.origin.{name}", level, "RFC 6455 §10.2", title, ORIGIN, play, COOKIES)


ORIGIN_CASES = (
    _foreign("foreign", "A page from another origin is refused", _origin("Origin: https://evil.example")),
    _foreign(
        "lookalike",
        "An origin that begins like the server's own is refused",
        _origin("Origin: http://{host}.evil.example"),
    ),
    _foreign("suffix", "An origin that ends like the server's own is refused", _origin("Origin: http://evil-{host}")),
    _foreign("null", "The origin null, of a sandboxed frame or a file, is refused", _origin("Origin: null")),
    _foreign("malformed", "An invalid origin is refused", _origin("Origin: %%% http://{host}")),
    _foreign(
        "version-8",
        "A page from another origin is refused in version 8 too, with its header Sec-WebSocket-Origin",
        _origin("Sec-WebSocket-Origin: https://evil.example", version="8"),
    ),
    Case(
        "11.origin.403",
        SHOULD,
        "RFC 6455 §10.2",
        "A page from another origin gets 403",
        "If the origin indicated is unacceptable to the server, then it SHOULD respond to the WebSocket handshake "
        "with a "
        "reply containing HTTP 403 Forbidden status code.",
        _origin("Origin: https://evil.example", statuses=(403,)),
        "Answer 403 Forbidden.",
    ),
    Case(
        "11.origin.own",
        INTEROP,
        "RFC 6455 §10.2",
        "A page from the server itself is accepted",
        "In the simplest set-up, page and WebSocket have one address, and Origin names the host of the URL.",
        script(
            "a handshake with the server's own address as Origin",
            "101 Switching Protocols",
            _own_page,
            needs=Needs.OPEN,
        ),
        "Compare host and port of Origin with Host, or add the server's address to the allowed origins.",
    ),
)

# -- Limits ---------------------------------------------------------------------------------------------

LIMIT = (
    "Such an implementation SHOULD impose a limit on frame sizes and the total message size after reassembly from "
    "multiple frames."
)


def _too_long(data: bytes) -> Callable[[Peer], None]:
    def run(peer: Peer) -> None:
        wire = peer.open()
        wire.send(data)
        wire.expect_failure(b"\0" * 16)

    return run


def _stream_of_fragments(peer: Peer) -> None:
    wire = peer.open()
    with contextlib.suppress(Failed):  # the server may stop reading, which is a limit too
        wire.send(frame(TEXT, b"", fin=False) + frame(CONTINUATION, b"", fin=False) * 100_000)
    wire.expect_failure()


LIMIT_CASES = (
    Case(
        "11.limits.frame",
        SHOULD,
        "RFC 6455 §10.4",
        "A frame that declares 2**62 bytes fails the connection",
        LIMIT,
        script(
            "the header of a frame of 2**62 bytes, and its first 100 bytes",
            "Close, or the end of TCP",
            _too_long(frame(BINARY, letters(100), form=64, declared=1 << 62)),
            needs=Needs.OPEN,
        ),
        "Compare the declared length with a limit before you read the payload, and close with 1009.",
    ),
    Case(
        "11.limits.message",
        SHOULD,
        "RFC 6455 §10.4",
        "A second fragment that declares 2**61 bytes fails the connection",
        LIMIT,
        script(
            "a fragment of 5 bytes, then a fragment that declares 2**61 bytes",
            "Close, or the end of TCP",
            _too_long(
                frame(BINARY, b"Hello", fin=False) + frame(CONTINUATION, letters(100), form=64, declared=1 << 61)
            ),
            needs=Needs.OPEN,
        ),
        "Limit the whole message: add up the declared lengths of its fragments.",
    ),
    Case(
        "11.limits.fragments",
        INTEROP,
        "RFC 6455 §10.4",
        "A message of 100,000 empty fragments fails the connection",
        "Its size stays 0, so a limit in bytes does not apply; but a list of the fragments grows.",
        script(
            "a first fragment and 100,000 more, all empty and without FIN",
            "Close, or the end of TCP",
            _stream_of_fragments,
            needs=Needs.OPEN,
            alone=True,
        ),
        "Limit the number of fragments, at least of empty ones.",
    ),
    Case(
        "11.limits.survives",
        MUST,
        "RFC 6455 §10.4",
        "Ten clients that each declare 2 GiB do the server no harm",
        "Implementations that have implementation- and/or platform-specific limitations regarding the frame size ... "
        "MUST protect themselves against exceeding those limits.",
        script(
            "on ten connections, a frame that declares 2 GiB, and its first 1,000 bytes",
            "the next connection works",
            lambda peer: _ten(peer),
            needs=Needs.OPEN,
        ),
        "Allocate memory for received bytes, not for the declared length.",
    ),
)


def _ten(peer: Peer) -> None:
    for _ in range(10):
        wire = peer.open()
        wire.send(frame(BINARY, letters(1000), form=64, declared=1 << 31))
        if not peer.concurrent:
            wire.close()
    works(peer, peer.open())


CASES = (*ORIGIN_CASES, *LIMIT_CASES)
