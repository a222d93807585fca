"""Chapter 4: cases about ``complete_upgrade``: the 101 and its headers."""

from __future__ import annotations

import base64
import contextlib
import os
from collections.abc import Callable

from ..case import Needs, Play
from ..codec import KEY, OPCODE_NAMES, TEXT, Answer, accept_for, hex_and_text, text, upgrade
from ..plays import accepted, ask, in_words
from ..rule import Rule, cases_of
from ..session import Peer, Silence
from ..verdict import Failed, Skipped
from .common import INTEROP, MUST, STATUS_LINE, well_formed

ACCEPT, PROTOCOL, EXTENSIONS = "Sec-WebSocket-Accept", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions"

#: The same 16 bytes in two encodings: only two bits of the last character before the padding matter.
CANONICAL_KEY, NON_CANONICAL_KEY = "AAECAwQFBgcICQoLDA0ODw==", "AAECAwQFBgcICQoLDA0ODx=="

DERIVED = "the value chosen MUST be derived from the client's handshake"

Judge = Callable[[Peer, Answer], None]


def _answers_key(peer: Peer, answer: Answer) -> None:
    if accept_for(KEY) not in answer.lines(ACCEPT):
        raise Failed(answer.shown(ACCEPT), f"{ACCEPT}: {accept_for(KEY)}")


def _is_101(peer: Peer) -> None:
    peer.open()


def _fresh(peer: Peer) -> None:
    key = base64.b64encode(os.urandom(16)).decode()
    answer = peer.open(upgrade(Sec_WebSocket_Key=key)).opening
    received = answer.lines(ACCEPT) if answer else []
    if accept_for(key) not in received and accept_for(KEY) in received:
        raise Failed("the accept value of another key, the example of the RFC", f"{ACCEPT}: {accept_for(key)}")


def _as_written(peer: Peer) -> None:
    answer = ask(peer, upgrade(Sec_WebSocket_Key=NON_CANONICAL_KEY))
    if answer is not None and accept_for(CANONICAL_KEY) in answer.lines(ACCEPT):
        raise Failed(
            f"the accept value of {CANONICAL_KEY}",
            f"the one of {NON_CANONICAL_KEY}, {accept_for(NON_CANONICAL_KEY)}; or a refusal",
        )


def _begins_a_frame(byte: int) -> bool:
    """Return whether a frame may begin with this byte: no RSV bits, a known opcode, and FIN in a control frame."""
    return not byte & 0x70 and byte & 15 in OPCODE_NAMES and (byte & 15 < 8 or byte >= 0x80)


def _nothing_follows(peer: Peer) -> None:
    wire = peer.open()
    wire.send_fin()
    with contextlib.suppress(Failed):  # a server may end TCP inside a frame, as it received FIN
        for _ in wire.frames():
            pass
    rest = wire.rest(0)
    fault = f"they begin with {hex_and_text(rest[:40])}" if rest and not _begins_a_frame(rest[0]) else ""
    fault = fault or next((fault for fault in wire.faults if "reserved" in fault or "RSV" in fault), "")
    if fault:
        raise Failed(f"the bytes after the 101 are not frames: {fault}", "frames, or nothing")


def _says_1_1(peer: Peer, answer: Answer) -> None:
    if not answer.head.startswith(b"HTTP/1.1 "):
        raise Failed(str(answer), "HTTP/1.1 101 Switching Protocols")


def _early_frame(peer: Peer) -> None:
    answer = ask(peer, upgrade() + text("Hello"))
    if answer is None or answer.status != 101:
        return
    wire = peer.wires[-1]
    try:
        wire.expect(TEXT, b"Hello") if wire.unasked else wire.message()
    except Failed as failure:
        if isinstance(failure, Silence):
            raise Silence(f"101, and then {failure.got}", "TEXT 'Hello', or an error") from None


# -- Judges of one header of the 101 --


def _has(name: str, token: str) -> Judge:
    def judge(peer: Peer, answer: Answer) -> None:
        if token not in answer.tokens(name):
            raise Failed(answer.shown(name), f"{name}: {token}")

    return judge


def _has_no(*names: str) -> Judge:
    def judge(peer: Peer, answer: Answer) -> None:
        for name in names:
            if name in dict(peer.target.headers):
                raise Skipped(f"the caller adds {name} to each handshake")
            if answer.lines(name):
                raise Failed(answer.shown(name), f"no {name}")

    return judge


def _at_most_one_accept(peer: Peer, answer: Answer) -> None:
    if len(received := answer.lines(ACCEPT)) > 1:
        raise Failed(f"{len(received)} lines of {ACCEPT}", "one line")


def _one_of(*offered: str) -> Judge:
    def judge(peer: Peer, answer: Answer) -> None:
        received = answer.lines(PROTOCOL)
        if received and (len(received) > 1 or received[0] not in offered):
            raise Failed(answer.shown(PROTOCOL), f"no such header, or one of {', '.join(offered)}")

    return judge


def _not_agreed(peer: Peer, answer: Answer) -> None:
    if "x-wsref.check-unknown" in answer.lines(PROTOCOL):
        raise Failed(f"{PROTOCOL}: x-wsref.check-unknown", f"no {PROTOCOL}")


CASES = cases_of(
    Rule(INTEROP, "RFC 6455 §4.2.2",
         "A server may refuse any client; but without a WebSocket, the grader cannot grade the rest."),
    ("4.status.101", "An ordinary handshake gets 101", Play(in_words(upgrade()), "101 Switching Protocols", _is_101),
     "Find out which rule of your server refuses it; the grader sends the handshake of a browser."),

    Rule(MUST, "RFC 6455 §4.2.2",
         'constructed by concatenating /key/ ... with the string "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", taking the '
         "SHA-1 hash of this concatenated value to obtain a 20-byte value and base64-encoding"),
    ("4.accept.value", "The accept value is the SHA-1 hash of key and GUID, in base64",
     accepted(upgrade(), f"Sec-WebSocket-Accept: {accept_for(KEY)}", _answers_key),
     "base64(sha1(key + GUID)): the key as text, not decoded; nothing between key and GUID; the digest, not its hex."),
    ("4.accept.fresh", "A different key gets a different accept value",
     Play("a handshake with a random key", "not the accept value of another key", _fresh, Needs.OPEN),
     "Compute the accept value for each request."),

    Rule(MUST, "RFC 6455 §4.2.2", "This (encoded) value is used in the creation of the server's handshake"),
    ("4.accept.unusual-key", "A key whose unused bits are not zero is hashed as received, or refused",
     Play(f"a handshake with the key {NON_CANONICAL_KEY}, which decodes to the same bytes as {CANONICAL_KEY}",
          f"Sec-WebSocket-Accept: {accept_for(NON_CANONICAL_KEY)}; or a refusal", _as_written, Needs.OPEN),
     "Hash the key as received; do not decode and encode it again."),

    Rule(MUST, "RFC 6455 §11.3.3",
         "The |Sec-WebSocket-Accept| header MUST NOT appear more than once in an HTTP response."),
    ("4.accept.once", "The 101 has one accept value",
     accepted(upgrade(), "one Sec-WebSocket-Accept line", _at_most_one_accept),
     "Check whether both you and your HTTP library add it."),

    Rule(MUST, "RFC 9112 §4", STATUS_LINE),
    ("4.answer.well-formed", "The 101 is a well-formed response",
     accepted(upgrade(), "a head in HTTP/1.1, with lines that end in CRLF", well_formed),
     "Every line ends in \\r\\n, and one empty line ends the head; frames follow it."),

    Rule(MUST, "RFC 6455 §4.2.2", 'An |Upgrade| header field with value "websocket"'),
    ("4.answer.upgrade", "The 101 has Upgrade: websocket",
     accepted(upgrade(), "Upgrade: websocket", _has("Upgrade", "websocket")),
     "A client must fail the connection without it."),

    Rule(MUST, "RFC 6455 §4.2.2", 'A |Connection| header field with value "Upgrade".'),
    ("4.answer.connection", "The 101 has Connection: Upgrade",
     accepted(upgrade(), "Connection: Upgrade", _has("Connection", "upgrade")),
     "A client must fail the connection without it."),

    Rule(MUST, "RFC 9110 §8.6",
         "A server MUST NOT send a Content-Length header field in any response with a status code of 1xx "
         "(Informational)"),
    ("4.answer.no-length", "The 101 has neither Content-Length nor Transfer-Encoding",
     accepted(upgrade(), "no Content-Length, no Transfer-Encoding", _has_no("Content-Length", "Transfer-Encoding")),
     "A 101 has no body; WebSocket frames follow it."),

    Rule(MUST, "RFC 9110 §15.2",
         "A 1xx response is terminated by the end of the header section; it cannot contain content or trailers."),
    ("4.answer.nothing-follows", "Only frames follow the empty line of the 101",
     Play(f"{in_words(upgrade())} and FIN", "the 101, then frames or nothing", _nothing_follows, Needs.OPEN),
     "One empty line ends the head; a second one would begin a frame with opcode 0xD.  Text needs a frame, too."),

    Rule(INTEROP, "RFC 9110 §15.2",
         "HTTP/1.0 has no status codes below 200, and some clients accept only HTTP/1.1 for a handshake."),
    ("4.answer.version", "The 101 is a response in HTTP/1.1", accepted(upgrade(), "HTTP/1.1 101", _says_1_1),
     "A 101 is a status of HTTP/1.1: some HTTP libraries answer in HTTP/1.0 by default."),

    Rule(INTEROP, "RFC 6455 §4.1",
         "A client must wait for the 101.  If it does not, an answer or an error helps it; silence does not."),
    ("4.early.frame", "A frame in the same packet as the handshake is not lost",
     Play("an ordinary handshake, and in the same packet the TEXT frame 'Hello'", "TEXT 'Hello', or an error",
          _early_frame, Needs.ECHO),
     "The bytes after the empty line are frames: pass them to the code that reads frames."),

    Rule(MUST, "RFC 6455 §4.2.2", DERIVED),
    ("4.protocol.unasked", "The server chooses no subprotocol if the client offers none",
     accepted(upgrade(), "no Sec-WebSocket-Protocol", _has_no(PROTOCOL)), "Browsers fail the connection for it."),

    Rule(MUST, "RFC 6455 §4.2.2",
         "the value chosen MUST be derived from the client's handshake, specifically by selecting one of the values "
         "from the |Sec-WebSocket-Protocol| field"),
    ("4.protocol.one-of-the-offered", "The server chooses one of the offered subprotocols, or none",
     accepted(upgrade("Sec-WebSocket-Protocol: wsref.check-1, wsref.check-2"),
              "no Sec-WebSocket-Protocol, or one line with one of the names",
              _one_of("wsref.check-1", "wsref.check-2"), or_refusal=True),
     "Answer with one name of the offer, not with the list, and not with another name."),

    Rule(MUST, "RFC 6455 §4.2.2", "by selecting one of the values from the |Sec-WebSocket-Protocol| field"),
    ("4.protocol.case", "The name of a subprotocol keeps its case",
     accepted(upgrade("Sec-WebSocket-Protocol: ECHO, CHAT"),
              "no Sec-WebSocket-Protocol, or one of the two, in upper case", _one_of("ECHO", "CHAT"),
              or_refusal=True),
     "Compare names of subprotocols with their case."),

    Rule(MUST, "RFC 6455 §4.2.2", DERIVED),
    ("4.protocol.two-lines", "Subprotocols on two header lines are one list",
     accepted(upgrade("Sec-WebSocket-Protocol: wsref.check-1", "Sec-WebSocket-Protocol: wsref.check-2"),
              "no Sec-WebSocket-Protocol, or one line with one of the names",
              _one_of("wsref.check-1", "wsref.check-2"), or_refusal=True),
     "Join the lines before you split at commas."),

    Rule(INTEROP, "RFC 6455 §4.2.2",
         "The value is 'the subprotocol the server is ready to use': a client relies on it."),
    ("4.protocol.unknown", "The server does not agree on an unknown subprotocol",
     accepted(upgrade("Sec-WebSocket-Protocol: x-wsref.check-unknown"), "not that name", _not_agreed,
              or_refusal=True),
     "Choose a name that your application supports, not the first name of the offer."),

    Rule(MUST, "RFC 6455 §4.2.2", "Extensions not listed by the client MUST NOT be listed."),
    ("4.extensions.unasked", "The server uses no extension if the client offers none",
     accepted(upgrade(), "no Sec-WebSocket-Extensions", _has_no(EXTENSIONS)),
     "Agree on compression only with clients that offer it."),

    Rule(INTEROP, "RFC 6455 §9.1",
         "A server that agrees on an extension must use it: do not send the offer back unread."),
    ("4.extensions.unknown", "The server does not agree on an unknown extension",
     accepted(upgrade("Sec-WebSocket-Extensions: x-wsref-check-unknown; a=1"), "no Sec-WebSocket-Extensions",
              _has_no(EXTENSIONS), or_refusal=True),
     "Answer with the extensions that you support."),
)  # fmt: skip
