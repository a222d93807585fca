"""Chapter 4: cases about ``complete_upgrade``: the 101 and its headers."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable

from ..case import Case, Needs
from ..codec import KEY, TEXT, Answer, accept_for, text, upgrade
from ..plays import accepted, in_words, script
from ..session import Peer, Silence
from ..verdict import Failed, Skipped
from .common import INTEROP, MUST, well_formed

PROOF = "constructed by concatenating /key/ ... with the string "
PROOF += '"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", taking the SHA-1 hash of this concatenated value to obtain a 20-byte '
PROOF += "value and base64-encoding"
PROOF_HINT = (
    "base64(sha1(key + GUID)): the key as text, not decoded; nothing between key and GUID; the digest, not its hex."
)


def _answers_key(peer: Peer, answer: Answer, key: str = KEY) -> None:
    received, wanted = answer.lines("Sec-WebSocket-Accept"), accept_for(key)
    if wanted not in received:
        raise Failed(f"Sec-WebSocket-Accept: {', '.join(received) or 'missing'}", f"Sec-WebSocket-Accept: {wanted}")


def _is_101(peer: Peer) -> None:
    peer.open()


def _fresh(peer: Peer) -> None:
    key = base64.b64encode(os.urandom(16)).decode()
    wire = peer.open(upgrade(Sec_WebSocket_Key=key))
    assert wire.opening is not None
    if accept_for(key) not in wire.opening.lines("Sec-WebSocket-Accept") and accept_for(KEY) in wire.opening.lines(
        "Sec-WebSocket-Accept"
    ):
        raise Failed(
            "the accept value of another key, the example of the RFC", f"Sec-WebSocket-Accept: {accept_for(key)}"
        )


#: The same 16 bytes in two encodings: only two bits of the last character before the padding matter.
CANONICAL_KEY, NON_CANONICAL_KEY = "AAECAwQFBgcICQoLDA0ODw==", "AAECAwQFBgcICQoLDA0ODx=="


def _as_written(peer: Peer) -> None:
    wire = peer.connect()
    wire.send(upgrade(Sec_WebSocket_Key=NON_CANONICAL_KEY))
    answer = wire.answer()
    if answer is not None and accept_for(CANONICAL_KEY) in answer.lines("Sec-WebSocket-Accept"):
        raise Failed(
            f"the accept value of {CANONICAL_KEY}",
            f"the one of {NON_CANONICAL_KEY}, {accept_for(NON_CANONICAL_KEY)}; or a refusal",
        )


def _nothing_follows(peer: Peer) -> None:
    wire = peer.open()
    wire.send_fin()
    try:
        for _ in wire.frames():
            pass
    except Failed as failure:
        if "inside a frame" in failure.got:
            raise Failed(f"the bytes after the 101 are not frames: {failure.got}", "frames, or nothing") from None
    if any("reserved" in fault for fault in wire.faults):
        raise Failed(f"the bytes after the 101 are not frames: {wire.faults[0]}", "frames, or nothing")


def _says_1_1(peer: Peer, answer: Answer) -> None:
    if not answer.head.startswith(b"HTTP/1.1 "):
        raise Failed(str(answer), "HTTP/1.1 101 Switching Protocols")


def _early_frame(peer: Peer) -> None:
    wire = peer.connect()
    wire.send(upgrade() + text("Hello"))
    answer = wire.answer()
    if answer is None or answer.status != 101:
        return
    try:
        wire.expect(TEXT, b"Hello") if wire.unasked else wire.message()
    except Failed as failure:
        if isinstance(failure, Silence):
            raise Silence(f"101, and then {failure.got}", "TEXT 'Hello', or an error") from None


def _header(name: str, token: str) -> Callable[[Peer, Answer], None]:
    def judge(peer: Peer, answer: Answer) -> None:
        if token not in answer.tokens(name):
            raise Failed(f"{name}: {', '.join(answer.lines(name)) or 'missing'}", f"{name}: {token}")

    return judge


def _none(name: str) -> Callable[[Peer, Answer], None]:
    def judge(peer: Peer, answer: Answer) -> None:
        if name in dict(peer.target.headers):
            raise Skipped(f"the caller adds {name} to each handshake")
        if received := answer.lines(name):
            raise Failed(f"{name}: {', '.join(received)}", f"no {name}")

    return judge


def _at_most_one(name: str) -> Callable[[Peer, Answer], None]:
    def judge(peer: Peer, answer: Answer) -> None:
        if len(received := answer.lines(name)) > 1:
            raise Failed(f"{len(received)} lines of {name}", "one line")

    return judge


def _one_of(*offered: str) -> Callable[[Peer, Answer], None]:
    def judge(peer: Peer, answer: Answer) -> None:
        received = answer.lines("Sec-WebSocket-Protocol")
        if received and (len(received) > 1 or received[0] not in offered):
            raise Failed(
                f"Sec-WebSocket-Protocol: {', '.join(received)}", f"no such header, or one of {', '.join(offered)}"
            )

    return judge


def _not_agreed(peer: Peer, answer: Answer) -> None:
    if "x-wsref.check-unknown" in answer.lines("Sec-WebSocket-Protocol"):
        raise Failed("Sec-WebSocket-Protocol: x-wsref.check-unknown", "no Sec-WebSocket-Protocol")


def _no_framing(peer: Peer, answer: Answer) -> None:
    for name in ("Content-Length", "Transfer-Encoding"):
        _none(name)(peer, answer)


CASES = (
    Case(
        "4.status.101",
        INTEROP,
        "RFC 6455 §4.2.2",
        "An ordinary handshake gets 101",
        "A server may refuse any client; but without a WebSocket, the grader cannot grade the rest.",
        script(
            in_words(upgrade()),
            "101 Switching Protocols",
            _is_101,
        ),
        "Find out which rule of your server refuses it; the grader sends the handshake of a browser.",
    ),
    Case(
        "4.accept.value",
        MUST,
        "RFC 6455 §4.2.2",
        "The accept value is the SHA-1 hash of key and GUID, in base64",
        PROOF,
        accepted(upgrade(), f"Sec-WebSocket-Accept: {accept_for(KEY)}", _answers_key),
        PROOF_HINT,
    ),
    Case(
        "4.accept.fresh",
        MUST,
        "RFC 6455 §4.2.2",
        "A different key gets a different accept value",
        PROOF,
        script("a handshake with a random key", "not the accept value of another key", _fresh, needs=Needs.OPEN),
        "Compute the accept value for each request.",
    ),
    Case(
        "4.accept.unusual-key",
        MUST,
        "RFC 6455 §4.2.2",
        "A key whose unused bits are not zero is hashed as received, or refused",
        "This (encoded) value is used in the creation of the server's handshake",
        script(
            f"a handshake with the key {NON_CANONICAL_KEY}, which decodes to the same bytes as {CANONICAL_KEY}",
            f"Sec-WebSocket-Accept: {accept_for(NON_CANONICAL_KEY)}; or a refusal",
            _as_written,
            needs=Needs.OPEN,
        ),
        "Hash the key as received; do not decode and encode it again.",
    ),
    Case(
        "4.accept.once",
        MUST,
        "RFC 6455 §11.3.3",
        "The 101 has one accept value",
        "The |Sec-WebSocket-Accept| header MUST NOT appear more than once in an HTTP response.",
        accepted(upgrade(), "one Sec-WebSocket-Accept line", _at_most_one("Sec-WebSocket-Accept")),
        "Check whether both you and your HTTP library add it.",
    ),
    Case(
        "4.answer.well-formed",
        MUST,
        "RFC 9112 §4",
        "The 101 is a well-formed response",
        "status-line = HTTP-version SP status-code SP [ reason-phrase ]",
        accepted(upgrade(), "a head in HTTP/1.1, with lines that end in CRLF", well_formed),
        "Every line ends in \\r\\n, and one empty line ends the head; frames follow it.",
    ),
    Case(
        "4.answer.upgrade",
        MUST,
        "RFC 6455 §4.2.2",
        "The 101 has Upgrade: websocket",
        'An |Upgrade| header field with value "websocket"',
        accepted(upgrade(), "Upgrade: websocket", _header("Upgrade", "websocket")),
        "A client must fail the connection without it.",
    ),
    Case(
        "4.answer.connection",
        MUST,
        "RFC 6455 §4.2.2",
        "The 101 has Connection: Upgrade",
        'A |Connection| header field with value "Upgrade".',
        accepted(upgrade(), "Connection: Upgrade", _header("Connection", "upgrade")),
        "A client must fail the connection without it.",
    ),
    Case(
        "4.answer.no-length",
        MUST,
        "RFC 9110 §8.6",
        "The 101 has neither Content-Length nor Transfer-Encoding",
        "A server MUST NOT send a Content-Length header field in any response with a status code of 1xx "
        "(Informational)",
        accepted(upgrade(), "no Content-Length, no Transfer-Encoding", _no_framing),
        "A 101 has no body; WebSocket frames follow it.",
    ),
    Case(
        "4.answer.nothing-follows",
        MUST,
        "RFC 9110 §15.2",
        "Only frames follow the empty line of the 101",
        "A 1xx response is terminated by the end of the header section; it cannot contain content or trailers.",
        script(f"{in_words(upgrade())} and FIN", "the 101, then frames or nothing", _nothing_follows,
               needs=Needs.OPEN),
        "One empty line ends the head; a second one would begin a frame with opcode 0xD.",
    ),
    Case(
        "4.answer.version",
        INTEROP,
        "RFC 9110 §15.2",
        "The 101 is a response in HTTP/1.1",
        "HTTP/1.0 has no status codes below 200, and some clients accept only HTTP/1.1 for a handshake.",
        accepted(upgrade(), "HTTP/1.1 101", _says_1_1),
        "A 101 is a status of HTTP/1.1: some HTTP libraries answer in HTTP/1.0 by default.",
    ),
    Case(
        "4.early.frame",
        INTEROP,
        "RFC 6455 §4.1",
        "A frame in the same packet as the handshake is not lost",
        "A client must wait for the 101.  If it does not, an answer or an error helps it; silence does not.",
        script("an ordinary handshake, and in the same packet the TEXT frame 'Hello'", "TEXT 'Hello', or an error",
               _early_frame, needs=Needs.ECHO),
        "The bytes after the empty line are frames: pass them to the code that reads frames.",
    ),
    Case(
        "4.protocol.unasked",
        MUST,
        "RFC 6455 §4.2.2",
        "The server chooses no subprotocol if the client offers none",
        "the value chosen MUST be derived from the client's handshake",
        accepted(upgrade(), "no Sec-WebSocket-Protocol", _none("Sec-WebSocket-Protocol")),
        "Browsers fail the connection for it.",
    ),
    Case(
        "4.protocol.one-of-the-offered",
        MUST,
        "RFC 6455 §4.2.2",
        "The server chooses one of the offered subprotocols, or none",
        "the value chosen MUST be derived from the client's handshake, specifically by selecting one of the values "
        "from "
        "the |Sec-WebSocket-Protocol| field",
        accepted(
            upgrade("Sec-WebSocket-Protocol: wsref.check-1, wsref.check-2"),
            "no Sec-WebSocket-Protocol, or one line with one of the names",
            _one_of("wsref.check-1", "wsref.check-2"),
            or_refusal=True,
        ),
        "Answer with one name of the offer, not with the list, and not with another name.",
    ),
    Case(
        "4.protocol.case",
        MUST,
        "RFC 6455 §4.2.2",
        "The name of a subprotocol keeps its case",
        "by selecting one of the values from the |Sec-WebSocket-Protocol| field",
        accepted(
            upgrade("Sec-WebSocket-Protocol: ECHO, CHAT"),
            "no Sec-WebSocket-Protocol, or one of the two, in upper case",
            _one_of("ECHO", "CHAT"),
            or_refusal=True,
        ),
        "Compare names of subprotocols with their case.",
    ),
    Case(
        "4.protocol.two-lines",
        MUST,
        "RFC 6455 §4.2.2",
        "Subprotocols on two header lines are one list",
        "the value chosen MUST be derived from the client's handshake",
        accepted(
            upgrade("Sec-WebSocket-Protocol: wsref.check-1", "Sec-WebSocket-Protocol: wsref.check-2"),
            "no Sec-WebSocket-Protocol, or one line with one of the names",
            _one_of("wsref.check-1", "wsref.check-2"),
            or_refusal=True,
        ),
        "Join the lines before you split at commas.",
    ),
    Case(
        "4.protocol.unknown",
        INTEROP,
        "RFC 6455 §4.2.2",
        "The server does not agree on an unknown subprotocol",
        "The value is 'the subprotocol the server is ready to use': a client relies on it.",
        accepted(
            upgrade("Sec-WebSocket-Protocol: x-wsref.check-unknown"),
            "not that name",
            _not_agreed,
            or_refusal=True,
        ),
        "Choose a name that your application supports, not the first name of the offer.",
    ),
    Case(
        "4.extensions.unasked",
        MUST,
        "RFC 6455 §4.2.2",
        "The server uses no extension if the client offers none",
        "Extensions not listed by the client MUST NOT be listed.",
        accepted(upgrade(), "no Sec-WebSocket-Extensions", _none("Sec-WebSocket-Extensions")),
        "Agree on compression only with clients that offer it.",
    ),
    Case(
        "4.extensions.unknown",
        INTEROP,
        "RFC 6455 §9.1",
        "The server does not agree on an unknown extension",
        "A server that agrees on an extension must use it: do not send the offer back unread.",
        accepted(
            upgrade("Sec-WebSocket-Extensions: x-wsref-check-unknown; a=1"),
            "no Sec-WebSocket-Extensions",
            _none("Sec-WebSocket-Extensions"),
            or_refusal=True,
        ),
        "Answer with the extensions that you support.",
    ),
)  # fmt: skip
