"""Chapters 10 and 11: many clients, clients that vanish, pages from elsewhere, limits.

No RFC says how many clients a server serves, or that it must survive a lost connection;
users do, so most of these are INTEROP.
"""

from __future__ import annotations

from collections.abc import Callable

from ..case import Case, Play
from ..codec import BINARY, CONTINUATION, TEXT, close, frame, text, upgrade
from ..plays import script, works
from ..session import Line, Peer
from ..verdict import Failed, Skipped
from .common import INTEROP, MUST, letters, pattern

# -- Several clients at once ---------------------------------------------------------------


def _two(peer: Peer) -> None:
    one, other = peer.open(), peer.open()
    one.send(text("from one"))
    other.send(text("from the other"))
    other.expect(TEXT, b"from the other")
    one.expect(TEXT, b"from one")
    one.send(text("again"))
    one.expect(TEXT, b"again")


def _fragments_apart(peer: Peer) -> None:
    if not peer.many:
        raise Skipped("it serves one client at a time, which no rule forbids")
    one, other = peer.open(), peer.open()
    one.send(frame(TEXT, b"Hel", fin=False))
    other.send(frame(TEXT, b"Good", fin=False))
    works_on_a_third = peer.open()
    works(peer, works_on_a_third)
    one.send(frame(CONTINUATION, b"lo"))
    other.send(frame(CONTINUATION, b"bye"))
    one.expect(TEXT, b"Hello")
    other.expect(TEXT, b"Goodbye")


def _many(peer: Peer) -> None:
    lines = [peer.open() for _ in range(32)]
    for i, line in enumerate(lines):
        line.send(text(f"client {i}"))
    for i, line in reversed(list(enumerate(lines))):
        line.expect(TEXT, b"client %d" % i)


def _one_does_not_read(peer: Peer) -> None:
    lazy, other = peer.open(), peer.open()
    lazy.stuff(frame(TEXT, letters(60000)) * 200)  # 12 MB, of which nothing is read back
    for i in range(3):
        other.send(text(f"message {i}"))
        other.expect(TEXT, b"message %d" % i)
    lazy.hang_up()


def _half_a_frame(peer: Peer) -> None:
    slow, other = peer.open(), peer.open()
    slow.send(frame(TEXT, letters(1000))[:500])
    works(peer, other)
    silent = peer.dial()
    silent.send(b"GET / HTT")
    works(peer, other)
    slow.send(frame(TEXT, letters(1000))[500:])
    if peer.echo:
        slow.expect(TEXT, letters(1000))


def _thousand(peer: Peer) -> None:
    line = peer.open()
    line.send(b"".join(text(f"message {i}") for i in range(1000)))
    for i in range(1000):
        line.expect(TEXT, b"message %d" % i)


def _packets(peer: Peer) -> None:
    line = peer.open()
    line.dribble(frame(TEXT, letters(8000)), 16)
    line.expect(TEXT, letters(8000))


APART = "Two people who use your server at once should not notice each other."

CLIENT_CASES = (
    Case(
        "10.clients.two",
        INTEROP,
        "RFC 6455 §1.1",
        "Two clients at once are served, and each gets its own messages",
        APART,
        script("one message each on two connections, answered in another order", "to each its own", _two, needs="echo"),
        "A thread or a task for each connection; what belongs to a connection is kept with it, not in a global.",
    ),
    Case(
        "10.clients.fragments",
        MUST,
        "RFC 6455 §5.4",
        "Fragments that come in on two connections are not mixed up",
        "A fragmented message is conceptually equivalent to a single larger message whose payload is equal to the "
        "concatenation of the payloads of the fragments in order",
        script("two fragmented messages, in turns on two connections", "both, whole", _fragments_apart, needs="echo"),
        "The fragments so far belong to a connection: no global, no class attribute.",
    ),
    Case(
        "10.clients.many",
        INTEROP,
        "RFC 6455 §1.1",
        "Thirty-two clients at once are served",
        APART,
        script("one message each on 32 connections", "to each its own", _many, needs="echo"),
        "Accept in a loop, and serve elsewhere: in a thread or a task.",
    ),
    Case(
        "10.clients.one-does-not-read",
        INTEROP,
        "RFC 6455 §1.1",
        "A client that does not read what is sent to it delays no other",
        "A laptop that is shut, a train in a tunnel: their TCP windows fill up, and the rest should not wait.",
        script(
            "12 MB on one connection, of whose echo nothing is read; messages on another",
            "the other is answered",
            _one_does_not_read,
            needs="echo",
            alone=True,
        ),
        "sendall blocks when the client does not read: not in the thread that serves the others, and not under a lock "
        "that they need.",
    ),
    Case(
        "10.clients.one-is-slow",
        INTEROP,
        "RFC 6455 §1.1",
        "A client that has sent half a frame, or half a handshake, delays no other",
        "Networks are slow, and some clients mean it.",
        script(
            "half a frame; half a head; a message on another connection",
            "the message is answered at once",
            _half_a_frame,
            needs="open",
        ),
        "Read each connection on its own; do the handshake in its thread too, not in the one that accepts.",
    ),
    Case(
        "10.pipeline.1000",
        INTEROP,
        "RFC 6455 §6.2",
        "A thousand messages in one go come back, each by itself and in order",
        "No rule says in which order an application answers; an echo that changes it lets messages race each other.",
        script("1,000 text messages, none waited for", "1,000 messages, in order", _thousand, needs="echo"),
        "Loop over all frames in the buffer; do not hand messages to threads that race each other.",
    ),
    Case(
        "10.packets.500",
        MUST,
        "RFC 6455 §6.2",
        "A message in five hundred small packets comes back whole",
        "Incoming data MUST be parsed as WebSocket frames as defined in Section 5.2.",
        script("a text of 8,000 bytes, 16 bytes at a time", "the text", _packets, needs="echo"),
        "Collect what comes until the whole frame is there.",
    ),
)

# -- Clients that vanish -------------------------------------------------------------------------


def _lost(wire: bytes, end: Callable[[Line], None]) -> Callable[[Line], None]:
    def harm(line: Line) -> None:
        if wire:
            line.send(wire)
        end(line)

    return harm


def _in_head(end: Callable[[Line], None]) -> Play:
    def run(peer: Peer) -> None:
        for head in (b"GET", b"GET / HTTP/1.1\r\nHost: a\r\nUpgr", upgrade()[:-2]):
            line = peer.dial()
            line.send(head)
            end(line)
            line = peer.open()
            works(peer, line)
            line.hang_up()

    return script("three requests that are cut off", "the next connection works as ever", run, needs="open")


def _several_times(harm: Callable[[Line], None], sends: str) -> Play:
    def run(peer: Peer) -> None:
        for _ in range(3):  # it may need a moment to fall over
            harm(peer.open())
            line = peer.open()
            works(peer, line)
            line.hang_up()

    return Play(sends, "the next connection works as ever", run, "open")


def _ends(wire: bytes, sends: str) -> Play:
    """After our FIN the server ends its side too."""

    def run(peer: Peer) -> None:
        line = peer.open()
        if wire:
            line.send(wire)
        line.finish()
        if not line.ended():
            raise Failed(f"TCP is still open {line.timeout:g} s after the client's FIN", "the end of TCP")

    return Play(sends, "the end of TCP", run, "open")


def _replies_after_fin(peer: Peer) -> None:
    line = peer.open()
    line.send(b"".join(text(f"message {i}") for i in range(10)))
    line.finish()
    for i in range(10):
        line.expect(TEXT, b"message %d" % i)


VANISH = "Batteries die and tabs crash: TCP ends without a Close, and the server must be there for the next client."
ON_EOF = "recv returned b'' or raised: this connection is over.  End it, and it alone; do not unpack what is not there."


def _survives(name: str, title: str, play: Play) -> Case:
    return Case(
        f"10.survives.{name}", INTEROP, "RFC 6455 §7.1.5", f"{title} does the server no harm", VANISH, play, ON_EOF
    )


LONG = frame(BINARY, pattern(50000))

VANISH_CASES = (
    _survives("fin-in-head", "A FIN inside a request's head", _in_head(Line.hang_up)),
    _survives("rst-in-head", "A reset inside a request's head", _in_head(Line.reset)),
    *(
        _survives(
            f"{short}-{name}", f"{what} {where}", _several_times(_lost(wire, end), f"{sent}, and then {what}; 3 times")
        )
        for short, what, end in (("fin", "A FIN", Line.hang_up), ("rst", "A reset", Line.reset))
        for name, where, wire, sent in (
            ("at-once", "right after the handshake", b"", "nothing"),
            ("in-header", "inside a frame's header", LONG[:3], "3 bytes of a frame"),
            ("in-frame", "inside a frame", LONG[:2000], "2,000 bytes of a frame of 50,000"),
            ("in-message", "between two fragments", frame(TEXT, b"Hel", fin=False), "a first fragment"),
            ("after-message", "after a message whose echo is not read", LONG * 10, "ten messages"),
            ("after-close", "after a Close", close(1000), "a Close"),
        )
    ),
    Case(
        "10.half-close.replies",
        INTEROP,
        "RFC 6455 §7.1.1",
        "Messages that came before a FIN are answered",
        "A FIN says that no more will come; what has come is there to be answered, and the way back is open.",
        script("ten messages and a FIN", "ten messages", _replies_after_fin, needs="echo"),
        "Use up what is in the buffer before you look at the end of TCP.",
    ),
    *(
        Case(
            f"10.eof.{name}",
            INTEROP,
            "RFC 6455 §7.1.4",
            f"After a FIN {where} the server ends TCP too",
            "A server that does not keeps a socket, a thread or a whole processor for a client that has gone.",
            _ends(wire, f"{sent}, and then a FIN"),
            "recv returns b'' from then on, at once, again and again: leave the loop, and close the socket.",
        )
        for name, where, wire, sent in (
            ("idle", "between messages", b"", "nothing"),
            ("in-header", "inside a frame's header", LONG[:1], "1 byte"),
            ("in-frame", "inside a frame", LONG[:2000], "2,000 bytes of a frame of 50,000"),
            ("in-message", "between two fragments", frame(TEXT, b"Hel", fin=False), "a first fragment"),
        )
    ),
)

# -- Paths ------------------------------------------------------------------------------------------

NOWHERE = "/wsref-check/nothing-is-served-here"


def _nobody_there(peer: Peer) -> None:
    line = peer.dial()
    line.send(upgrade(line=f"GET {NOWHERE} HTTP/1.1"))
    answer = line.answer()
    if answer is not None and not 300 <= answer.status <= 599:
        raise Failed(str(answer), "404")


PATH_CASES = (
    Case(
        "10.path.unknown",
        INTEROP,
        "RFC 6455 §4.2.2",
        "A path at which nothing is served is refused",
        "If the requested service is not available, the server MUST send an appropriate HTTP error code (such as 404 "
        "Not "
        "Found); whether it is, only the server knows.",
        script(f"a handshake for {NOWHERE}", "404, or another refusal", _nobody_there, needs="open"),
        "Look at the path before you answer 101, so that a typing error in a URL is found at once.",
    ),
)

CASES = (*CLIENT_CASES, *VANISH_CASES, *PATH_CASES)
