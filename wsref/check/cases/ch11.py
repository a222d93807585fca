"""Chapters 10 and 11: many clients, clients that vanish, pages from elsewhere, limits.

No RFC says how many clients a server serves, or that it must survive a lost connection;
users do, so most of these are INTEROP.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from ..case import Case, Play
from ..codec import BINARY, CONTINUATION, TEXT, frame, upgrade
from ..plays import script, works
from ..session import Peer
from ..verdict import Failed, Level, Skipped
from .common import INTEROP, MUST, SHOULD, letters

# -- Origin ---


def _origin(*lines: str, statuses: tuple[int, ...] = (), version: str = "13") -> Play:
    """A handshake with these headers is refused."""
    wanted = " or ".join(map(str, statuses)) or "a status from 400 to 599"

    def run(peer: Peer) -> None:
        line = peer.dial()
        line.send(
            upgrade(*(one.replace("{host}", peer.target.authority) for one in lines), Sec_WebSocket_Version=version)
        )
        answer = line.answer()
        if answer is None or (not statuses and 400 <= answer.status <= 599) or answer.status in statuses:
            return
        if statuses and 400 <= answer.status <= 599:
            raise Failed(str(answer), wanted)
        if statuses:
            raise Skipped("it is not refused: 11.origin.foreign looks at that")
        raise Failed(str(answer), wanted)

    return Play(f"a handshake with {', '.join(lines)}", wanted, run, "open")


def _own_page(peer: Peer) -> None:
    scheme = "https" if peer.target.secure else "http"
    line = peer.dial()
    line.send(upgrade(f"Origin: {scheme}://{peer.target.authority}"))
    answer = line.answer()
    if answer is None or answer.status != 101:
        raise Failed(str(answer or "the end of TCP"), "101 Switching Protocols")


ORIGIN = (
    "Servers that are not intended to process input from any web page but only for certain sites SHOULD verify the "
    "|Origin| field is an origin they expect."
)
COOKIES = (
    "Every page in the world can open a WebSocket to your server, with your user's cookies.  Compare Origin with the "
    "origins that you serve, whole and exactly.  If your server is for every page there is, this failure is no fault."
)


def _foreign(name: str, title: str, play: Play, level: Level = SHOULD) -> Case:
    return Case(f"11.origin.{name}", level, "RFC 6455 §10.2", title, ORIGIN, play, COOKIES)


ORIGIN_CASES = (
    _foreign("foreign", "A page from elsewhere is refused", _origin("Origin: https://evil.example")),
    _foreign(
        "lookalike",
        "An origin that begins like the server's own is refused",
        _origin("Origin: http://{host}.evil.example"),
    ),
    _foreign("suffix", "An origin that ends like the server's own is refused", _origin("Origin: http://evil-{host}")),
    _foreign("null", "The origin null, of a sandboxed frame or a file, is refused", _origin("Origin: null")),
    _foreign("malformed", "An origin that is none is refused", _origin("Origin: %%% http://{host}")),
    _foreign(
        "version-8",
        "A page from elsewhere is refused in version 8 too, whose header is Sec-WebSocket-Origin",
        _origin("Sec-WebSocket-Origin: https://evil.example", version="8"),
    ),
    Case(
        "11.origin.403",
        SHOULD,
        "RFC 6455 §10.2",
        "A page that is refused for its origin is told 403",
        "If the origin indicated is unacceptable to the server, then it SHOULD respond to the WebSocket handshake "
        "with a "
        "reply containing HTTP 403 Forbidden status code.",
        _origin("Origin: https://evil.example", statuses=(403,)),
        "403 Forbidden is the status for it.",
    ),
    Case(
        "11.origin.own",
        INTEROP,
        "RFC 6455 §10.2",
        "A page from the server itself is let in",
        "The page and the socket on one port: the simplest set-up there is, and Origin then names the host of the URL.",
        script(
            "a handshake whose Origin is the server's own address", "101 Switching Protocols", _own_page, needs="open"
        ),
        "Compare Origin's host and port with Host, or put your own address on the list of origins.",
    ),
)

# -- Limits ---------------------------------------------------------------------------------------------

LIMIT = (
    "Such an implementation SHOULD impose a limit on frame sizes and the total message size after reassembly from "
    "multiple frames."
)


def _too_long(wire: bytes) -> Callable[[Peer], None]:
    def run(peer: Peer) -> None:
        line = peer.open()
        line.send(wire)
        line.expect_failure(b"\0" * 16)

    return run


def _stream_of_fragments(peer: Peer) -> None:
    line = peer.open()
    with contextlib.suppress(Failed):  # it may stop reading: that, too, is a limit
        line.send(frame(TEXT, b"", fin=False) + frame(CONTINUATION, b"", fin=False) * 100_000)
    line.expect_failure()


LIMIT_CASES = (
    Case(
        "11.limits.frame",
        SHOULD,
        "RFC 6455 §10.4",
        "A frame that declares 2**62 bytes fails the connection",
        LIMIT,
        script(
            "the header of a frame of 2**62 bytes, and a few bytes of it",
            "Close, or the end of TCP",
            _too_long(frame(BINARY, letters(100), form=64, declared=1 << 62)),
            needs="open",
        ),
        "Compare the declared length with a limit before you wait for the payload: 1009.",
    ),
    Case(
        "11.limits.message",
        SHOULD,
        "RFC 6455 §10.4",
        "A first fragment, and a second that declares 2**61 bytes, fail the connection",
        LIMIT,
        script(
            "a fragment of 5 bytes, and the header of one of 2**61",
            "Close, or the end of TCP",
            _too_long(
                frame(BINARY, b"Hello", fin=False) + frame(CONTINUATION, letters(100), form=64, declared=1 << 61)
            ),
            needs="open",
        ),
        "The limit is for the message: add up what its fragments declare.",
    ),
    Case(
        "11.limits.fragments",
        INTEROP,
        "RFC 6455 §10.4",
        "A message of 100,000 empty fragments fails the connection",
        "It never grows, so a limit in bytes does not catch it; a list of its pieces grows all the same.",
        script(
            "a first fragment and 100,000 more, all empty, without FIN",
            "Close, or the end of TCP",
            _stream_of_fragments,
            needs="open",
            alone=True,
        ),
        "Count fragments, at least the empty ones, and set a limit.",
    ),
    Case(
        "11.limits.survives",
        MUST,
        "RFC 6455 §10.4",
        "Ten clients that each declare 2 GiB do the server no harm",
        "Implementations that have implementation- and/or platform-specific limitations regarding the frame size ... "
        "MUST protect themselves against exceeding those limits.",
        script(
            "on ten connections, a frame that declares 2 GiB, and 1,000 bytes of it",
            "the next connection works as ever",
            lambda peer: _ten(peer),
            needs="open",
        ),
        "Take memory for what has come, not for what has been declared.",
    ),
)


def _ten(peer: Peer) -> None:
    for _ in range(10):
        line = peer.open()
        line.send(frame(BINARY, letters(1000), form=64, declared=1 << 31))
        if not peer.many:
            line.hang_up()
    works(peer, peer.open())


CASES = (*ORIGIN_CASES, *LIMIT_CASES)
