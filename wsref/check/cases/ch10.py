"""Chapter 10: cases about many clients, clients that vanish, and paths.

No RFC says how many clients a server serves, or that it survives a lost connection.  Users expect
it, so most of these cases are INTEROP.
"""

from __future__ import annotations

from collections.abc import Callable

from ..case import Needs, Play
from ..codec import BINARY, CONTINUATION, TEXT, close, frame, text, upgrade
from ..plays import ask, echoes, reaction, survives, works
from ..rule import Rule, cases_of
from ..session import Peer, Wire
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
    if not peer.concurrent:
        raise Skipped("it serves one client at a time, which is legal")
    one, other = peer.open(), peer.open()
    one.send(frame(TEXT, b"Hel", fin=False))
    other.send(frame(TEXT, b"Good", fin=False))
    works(peer, peer.open())
    one.send(frame(CONTINUATION, b"lo"))
    other.send(frame(CONTINUATION, b"bye"))
    one.expect(TEXT, b"Hello")
    other.expect(TEXT, b"Goodbye")


def _many(peer: Peer) -> None:
    lines = [peer.open() for _ in range(32)]
    for i, wire in enumerate(lines):
        wire.send(text(f"client {i}"))
    for i, wire in reversed(list(enumerate(lines))):
        wire.expect(TEXT, b"client %d" % i)


def _one_does_not_read(peer: Peer) -> None:
    unread, other = peer.open(), peer.open()
    unread.send_unread(frame(TEXT, letters(60000)) * 200)  # 12 MB, without reading the echo
    for i in range(3):
        other.send(text(f"message {i}"))
        other.expect(TEXT, b"message %d" % i)
    unread.close()


def _half_a_frame(peer: Peer) -> None:
    slow, other = peer.open(), peer.open()
    slow.send(frame(TEXT, letters(1000))[:500])
    works(peer, other)
    silent = peer.connect()
    silent.send(b"GET / HTT")
    works(peer, other)
    slow.send(frame(TEXT, letters(1000))[500:])
    if peer.echo:
        slow.expect(TEXT, letters(1000))


def _others_beside(stop: Callable[[Peer], None], sends: str) -> Play:
    """Expect that an open connection and two new ones work beside clients that stopped in the middle."""

    def run(peer: Peer) -> None:
        other = peer.open()
        stop(peer)
        for wire in (other, peer.open(), peer.open()):
            works(peer, wire)

    return Play(f"{sends}; messages on other connections", "immediate answers to the messages", run, Needs.OPEN, True)


def _stop_in_head(peer: Peer) -> None:
    for size in (1, len(upgrade()) - 2):
        peer.connect().send(upgrade()[:size])


def _stop_in_frame(peer: Peer) -> None:
    for size in (1, 500):
        peer.open().send(frame(TEXT, letters(1000))[:size])


def _pipelined(count: int) -> tuple[bytes, list[tuple[int, bytes]]]:
    """Return messages as bytes to send, and as the expected ones."""
    messages = [b"message %d" % i for i in range(count)]
    return b"".join(frame(TEXT, message) for message in messages), [(TEXT, message) for message in messages]


THOUSAND, THE_THOUSAND = _pipelined(1000)
TEN, THE_TEN = _pipelined(10)
APART = "Two users of a server should not notice each other."

CLIENT_CASES = cases_of(
    Rule(INTEROP, "RFC 6455 §1.1", APART),
    ("10.clients.two", "The server serves two clients at once, and each gets its own messages",
     Play("one message each on two connections, read in the other order", "each message on its connection", _two,
          Needs.ECHO),
     "Use a thread or a task for each connection, and keep the state of a connection out of globals."),

    Rule(MUST, "RFC 6455 §5.4",
         "A fragmented message is conceptually equivalent to a single larger message whose payload is equal to the "
         "concatenation of the payloads of the fragments in order"),
    ("10.clients.fragments", "The server keeps the fragments of two connections apart",
     Play("two fragmented messages, interleaved on two connections", "both messages, whole", _fragments_apart,
          Needs.ECHO),
     "Keep the collected fragments with the connection, not in a global or a class attribute."),

    Rule(INTEROP, "RFC 6455 §1.1", APART),
    ("10.clients.many", "The server serves 32 clients at once",
     Play("one message each on 32 connections", "each message on its connection", _many, Needs.ECHO,
          alone=True),
     "Accept connections in a loop, and serve each one in a thread or a task."),

    Rule(INTEROP, "RFC 6455 §1.1",
         "A closed laptop or a train in a tunnel stops reading, and its TCP window fills up.  Others should not wait."),
    ("10.clients.one-does-not-read", "A client that does not read does not delay other clients",
     Play("12 MB on one connection, without reading the echo; messages on another connection",
          "answers on the other connection", _one_does_not_read, Needs.ECHO, alone=True),
     "Sending blocks if a client does not read: never send in a thread, or under a lock, of other clients."),

    Rule(INTEROP, "RFC 6455 §1.1", "Networks are slow, and some clients are slow on purpose."),
    ("10.clients.one-is-slow", "A client that sends half a frame, or half a handshake, does not delay other clients",
     Play("half a frame; half a head; a message on another connection", "an immediate answer to the message",
          _half_a_frame, Needs.OPEN),
     "Read each connection in its own thread or task, also during the handshake; never in the accepting thread."),
    ("10.clients.one-stops-in-head", "Clients that stop inside their handshake do not keep others out",
     _others_beside(_stop_in_head, "the first byte of a handshake; another without its last empty line"),
     "The accepting thread only accepts: read the head in the thread or task of its connection."),
    ("10.clients.one-stops-in-frame", "Clients that stop inside a frame do not delay others",
     _others_beside(_stop_in_frame, "the first byte of a frame; 500 bytes of another"),
     "An event loop keeps the incomplete frame and waits for events; it does not read until the frame is whole."),

    Rule(INTEROP, "RFC 6455 §6.2",
         "No rule defines the order of answers; but an echo in another order shows a race between messages."),
    ("10.pipeline.1000", "A thousand pipelined messages come back, separately and in order",
     echoes(THOUSAND, *THE_THOUSAND, sends="1,000 text messages without waiting",
            accepts="1,000 messages in order"),
     "Loop over all frames in the buffer; do not give messages of one connection to several threads."),

    Rule(MUST, "RFC 6455 §6.2", "Incoming data MUST be parsed as WebSocket frames as defined in Section 5.2."),
    ("10.packets.500", "A message in 500 small packets comes back whole",
     echoes(frame(TEXT, letters(8000)), (TEXT, letters(8000)), packet_size=16,
            sends="a text of 8,000 bytes, 16 bytes at a time", accepts="the text"),
     "Collect bytes until the whole frame arrives."),
)  # fmt: skip

# -- Clients that vanish -------------------------------------------------------------------------

LONG = frame(BINARY, pattern(50000))


def _cut_head(end: Callable[[Wire], None], what: str) -> Play:
    def run(peer: Peer) -> None:
        for head in (b"GET", b"GET / HTTP/1.1\r\nHost: a\r\nUpgr", upgrade()[:-2]):
            wire = peer.connect()
            wire.send(head)
            end(wire)
            wire = peer.open()
            works(peer, wire)
            wire.close()

    return Play(
        f"three incomplete requests, each followed by {what}", "the next connection works", run, needs=Needs.OPEN
    )


def _cut_off(data: bytes, end: Callable[[Wire], None], sends: str) -> Play:
    def harm(peer: Peer) -> None:
        wire = peer.open()
        if data:
            wire.send(data)
        end(wire)

    return survives(f"{sends}; 3 times", harm, times=3)


def _ends(data: bytes, sends: str) -> Play:
    """Expect that the server ends TCP after the grader's FIN."""

    def judge(wire: Wire) -> None:
        wire.send_fin()
        if not wire.ended():
            raise Failed(f"TCP is still open {wire.timeout:g} s after the client's FIN", "the end of TCP")

    return reaction(data, "the end of TCP", judge, sends=f"{sends}, then a FIN")


def _replies_after_fin(wire: Wire) -> None:
    wire.send_fin()
    for message in THE_TEN:
        wire.expect(*message)


VANISH_CASES = cases_of(
    Rule(INTEROP, "RFC 6455 §7.1.5",
         "Batteries die and tabs crash: TCP ends without a Close, and the server must serve the next client.",
         "A connection that ends, by FIN or by RST, ends no other; do not parse the missing bytes."),
    ("10.survives.fin-in-head", "A FIN inside a request's head does the server no harm",
     _cut_head(Wire.close, "a FIN")),
    ("10.survives.rst-in-head", "A reset inside a request's head does the server no harm",
     _cut_head(Wire.reset, "a reset")),
    *((f"10.survives.{short}-{name}", f"{what} {where} does the server no harm",
       _cut_off(data, end, f"{sent}, then {what}"))
      for short, what, end in (("fin", "A FIN", Wire.close), ("rst", "A reset", Wire.reset))
      for name, where, data, sent in (
        ("at-once", "right after the handshake", b"", "no bytes"),
        ("in-header", "inside a frame's header", LONG[:3], "3 bytes of a frame"),
        ("in-frame", "inside a frame", LONG[:2000], "2,000 bytes of a frame of 50,000"),
        ("in-message", "between two fragments", frame(TEXT, b"Hel", fin=False), "a first fragment"),
        ("after-message", "before the client reads the echo of a message", LONG * 10, "ten messages"),
        ("after-close", "after a Close", close(1000), "a Close"),
    )),

    Rule(INTEROP, "RFC 6455 §7.1.1",
         "A FIN ends one direction.  The received messages can be answered, because the other direction is open."),
    ("10.half-close.replies", "Messages before a FIN are answered",
     reaction(TEN, "ten messages", _replies_after_fin, sends="ten messages and a FIN", needs=Needs.ECHO),
     "Handle all frames in the buffer before you handle the end of TCP."),

    Rule(INTEROP, "RFC 6455 §7.1.4",
         "Otherwise the server keeps a socket, a thread or a busy processor for a client that has left.",
         "After a FIN every read returns at once, without bytes: stop reading, and close the connection."),
    ("10.eof.idle", "After a FIN between messages the server ends TCP too", _ends(b"", "no bytes")),
    ("10.eof.in-header", "After a FIN inside a frame's header the server ends TCP too", _ends(LONG[:1], "1 byte")),
    ("10.eof.in-frame", "After a FIN inside a frame the server ends TCP too",
     _ends(LONG[:2000], "2,000 bytes of a frame of 50,000")),
    ("10.eof.in-message", "After a FIN between two fragments the server ends TCP too",
     _ends(frame(TEXT, b"Hel", fin=False), "a first fragment")),
)  # fmt: skip

# -- Paths ------------------------------------------------------------------------------------------

NOWHERE = "/wsref-check/nothing-is-served-here"


def _unknown_path(peer: Peer) -> None:
    answer = ask(peer, upgrade(request_line=f"GET {NOWHERE} HTTP/1.1"))
    if answer is not None and not 300 <= answer.status <= 599:
        raise Failed(str(answer), "404")


PATH_CASES = cases_of(
    Rule(INTEROP, "RFC 6455 §4.2.2",
         "If the requested service is not available, the server MUST send an appropriate HTTP error code (such as 404 "
         "Not Found).  Only the server knows whether it is available."),
    ("10.path.unknown", "A handshake for an unknown path is refused",
     Play(f"a handshake for {NOWHERE}", "404, or another refusal", _unknown_path, Needs.OPEN),
     "Check the path before you answer 101, so that a typing error in a URL shows at once."),
)  # fmt: skip

CASES = (*CLIENT_CASES, *VANISH_CASES, *PATH_CASES)
