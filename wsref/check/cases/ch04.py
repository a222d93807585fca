"""Chapters 2 to 5: the cases about the opening handshake.

A refusal may have any status from 400 to 599: the RFC says "an appropriate HTTP error code
(such as 400 Bad Request)".  Or TCP ends: whoever sees a handshake that is not as expected "MAY
drop the TCP connection" and "SHOULD return an appropriate HTTP status code" (RFC 6455 §10.7).
So one case looks whether there is an answer, and the others at what they are about.

Chapters 2 and 3 make sense for a server that cannot upgrade yet: a handshake is taken if it is
answered as the ordinary one is.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable

from ..case import Case
from ..codec import KEY, Answer, accept_for, text, upgrade
from ..plays import accepted, in_words, script
from ..session import Peer
from ..verdict import Failed
from .common import INTEROP, MUST, well_formed

PROOF = "constructed by concatenating /key/ ... with the string "
PROOF += '"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", taking the SHA-1 hash of this concatenated value to obtain a 20-byte '
PROOF += "value and base64-encoding"
PROOF_HINT = "base64(sha1(key + GUID)): the key as text, not decoded; nothing between the two; the digest, not its hex."


def _answers_key(peer: Peer, answer: Answer, key: str = KEY) -> None:
    came, wanted = answer.lines("Sec-WebSocket-Accept"), accept_for(key)
    if wanted not in came:
        raise Failed(f"Sec-WebSocket-Accept: {', '.join(came) or 'none'}", f"Sec-WebSocket-Accept: {wanted}")


def _is_101(peer: Peer) -> None:
    peer.open()


def _fresh(peer: Peer) -> None:
    key = base64.b64encode(os.urandom(16)).decode()
    line = peer.open(upgrade(Sec_WebSocket_Key=key))
    assert line.opening is not None
    if accept_for(key) not in line.opening.lines("Sec-WebSocket-Accept") and accept_for(KEY) in line.opening.lines(
        "Sec-WebSocket-Accept"
    ):
        raise Failed("the answer to another key, that of the RFC's example", f"Sec-WebSocket-Accept: {accept_for(key)}")


#: The same 16 bytes, written in two ways: of the last character but the padding only two bits count.
USUAL_KEY, UNUSUAL = "AAECAwQFBgcICQoLDA0ODw==", "AAECAwQFBgcICQoLDA0ODx=="


def _as_written(peer: Peer) -> None:
    line = peer.dial()
    line.send(upgrade(Sec_WebSocket_Key=UNUSUAL))
    answer = line.answer()
    if answer is not None and accept_for(USUAL_KEY) in answer.lines("Sec-WebSocket-Accept"):
        raise Failed(f"the accept value of {USUAL_KEY}", f"that of {UNUSUAL}, {accept_for(UNUSUAL)}; or a refusal")


def _nothing_follows(peer: Peer) -> None:
    line = peer.open()
    line.finish()
    try:
        for _ in line.frames():
            pass
    except Failed as failure:
        if "inside a frame" in failure.got:
            raise Failed(f"what follows the 101 is no frame: {failure.got}", "frames, or nothing") from None
    if any("reserved" in fault for fault in line.faults):
        raise Failed(f"what follows the 101 is no frame: {line.faults[0]}", "frames, or nothing")


def _says_1_1(peer: Peer, answer: Answer) -> None:
    if not answer.head.startswith(b"HTTP/1.1 "):
        raise Failed(str(answer), "HTTP/1.1 101 Switching Protocols")


def _early_frame(peer: Peer) -> None:
    line = peer.dial()
    line.send(upgrade() + text("Hello"))
    answer = line.answer()
    if answer is None or answer.status != 101:
        return
    try:
        line.message()
    except Failed as failure:
        if failure.got.startswith("nothing for"):
            raise Failed(f"101, and then {failure.got}", "TEXT 'Hello', or an error") from None


def _header(name: str, token: str) -> Callable[[Peer, Answer], None]:
    def judge(peer: Peer, answer: Answer) -> None:
        if token not in answer.tokens(name):
            raise Failed(f"{name}: {', '.join(answer.lines(name)) or 'none'}", f"{name}: {token}")

    return judge


def _none(name: str) -> Callable[[Peer, Answer], None]:
    def judge(peer: Peer, answer: Answer) -> None:
        if came := answer.lines(name):
            raise Failed(f"{name}: {', '.join(came)}", f"no {name}")

    return judge


def _at_most_one(name: str) -> Callable[[Peer, Answer], None]:
    def judge(peer: Peer, answer: Answer) -> None:
        if len(came := answer.lines(name)) > 1:
            raise Failed(f"{len(came)} lines of {name}", "one")

    return judge


def _one_of(*offered: str) -> Callable[[Peer, Answer], None]:
    def judge(peer: Peer, answer: Answer) -> None:
        came = answer.lines("Sec-WebSocket-Protocol")
        if came and (len(came) > 1 or came[0] not in offered):
            raise Failed(f"Sec-WebSocket-Protocol: {', '.join(came)}", f"none, or one of {', '.join(offered)}")

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
        "A server may refuse whom it likes; but then there is no WebSocket, and nothing more can be graded.",
        script(
            in_words(upgrade()),
            "101 Switching Protocols",
            _is_101,
        ),
        "Which rule of yours does it break?  Your log should say; the grader sends what a browser sends.",
    ),
    Case(
        "4.accept.value",
        MUST,
        "RFC 6455 §4.2.2",
        "The accept value is the key and the GUID, hashed and in base64",
        PROOF,
        accepted(upgrade(), f"Sec-WebSocket-Accept: {accept_for(KEY)}", _answers_key),
        PROOF_HINT,
    ),
    Case(
        "4.accept.fresh",
        MUST,
        "RFC 6455 §4.2.2",
        "Another key gets another accept value",
        PROOF,
        script("a handshake with a key made just now", "not the accept value of another key", _fresh, needs="open"),
        "Compute it for each request.",
    ),
    Case(
        "4.accept.unusual-key",
        MUST,
        "RFC 6455 §4.2.2",
        "A key whose last bits are not zero is answered as it was written, or refused",
        "This (encoded) value is used in the creation of the server's handshake",
        script(
            f"a handshake with the key {UNUSUAL}, which decodes to the same bytes as {USUAL_KEY}",
            f"Sec-WebSocket-Accept: {accept_for(UNUSUAL)}; or a refusal",
            _as_written,
            needs="open",
        ),
        "Hash the key as it stands in the header; do not decode it and encode it again.",
    ),
    Case(
        "4.accept.once",
        MUST,
        "RFC 6455 §11.3.3",
        "There is one accept value",
        "The |Sec-WebSocket-Accept| header MUST NOT appear more than once in an HTTP response.",
        accepted(upgrade(), "one Sec-WebSocket-Accept line", _at_most_one("Sec-WebSocket-Accept")),
        "Is it added twice, by you and by your HTTP library?",
    ),
    Case(
        "4.answer.well-formed",
        MUST,
        "RFC 9112 §4",
        "The 101 is a well-formed response",
        "status-line = HTTP-version SP status-code SP [ reason-phrase ]",
        accepted(upgrade(), "a head in HTTP/1.1, its lines ended by CRLF", well_formed),
        "Every line ends in \\r\\n, and one empty line ends the head; after it come frames.",
    ),
    Case(
        "4.answer.upgrade",
        MUST,
        "RFC 6455 §4.2.2",
        "The 101 has Upgrade: websocket",
        'An |Upgrade| header field with value "websocket"',
        accepted(upgrade(), "Upgrade: websocket", _header("Upgrade", "websocket")),
        "Clients must fail the connection without it.",
    ),
    Case(
        "4.answer.connection",
        MUST,
        "RFC 6455 §4.2.2",
        "The 101 has Connection: Upgrade",
        'A |Connection| header field with value "Upgrade".',
        accepted(upgrade(), "Connection: Upgrade", _header("Connection", "upgrade")),
        "Clients must fail the connection without it.",
    ),
    Case(
        "4.answer.no-length",
        MUST,
        "RFC 9110 §8.6",
        "The 101 has neither Content-Length nor Transfer-Encoding",
        "A server MUST NOT send a Content-Length header field in any response with a status code of 1xx "
        "(Informational)",
        accepted(upgrade(), "no Content-Length, no Transfer-Encoding", _no_framing),
        "A 101 has no body; what follows is WebSocket.",
    ),
    Case(
        "4.answer.nothing-follows",
        MUST,
        "RFC 9110 §15.2",
        "What follows the 101's empty line are frames",
        "A 1xx response is terminated by the end of the header section; it cannot contain content or trailers.",
        script(f"{in_words(upgrade())} and FIN", "the 101, and after it frames, or nothing", _nothing_follows,
               needs="open"),
        "One empty line ends the head; a second one is the beginning of a frame with opcode 0xD.",
    ),
    Case(
        "4.answer.version",
        INTEROP,
        "RFC 9110 §15.2",
        "The 101 is a response in HTTP/1.1",
        "HTTP/1.0 has no status codes below 200, and there are clients that take no other version for a handshake.",
        accepted(upgrade(), "HTTP/1.1 101", _says_1_1),
        "Python's http.server says HTTP/1.0 unless protocol_version is set.",
    ),
    Case(
        "4.early.frame",
        INTEROP,
        "RFC 6455 §4.1",
        "A frame that comes in one packet with the handshake is not lost",
        "A client must wait for the 101 before it sends; where one does not, an answer or an error helps it, and "
        "silence does not.",
        script("an ordinary handshake, and in the same packet the TEXT frame 'Hello'", "TEXT 'Hello', or an error",
               _early_frame, needs="echo"),
        "What came after the empty line belongs to the WebSocket: hand it on to whoever reads the frames.",
    ),
    Case(
        "4.protocol.unasked",
        MUST,
        "RFC 6455 §4.2.2",
        "No subprotocol is chosen where none was offered",
        "the value chosen MUST be derived from the client's handshake",
        accepted(upgrade(), "no Sec-WebSocket-Protocol", _none("Sec-WebSocket-Protocol")),
        "Browsers fail the connection over it.",
    ),
    Case(
        "4.protocol.one-of-the-offered",
        MUST,
        "RFC 6455 §4.2.2",
        "Of the subprotocols that were offered one is chosen, or none",
        "the value chosen MUST be derived from the client's handshake, specifically by selecting one of the values "
        "from "
        "the |Sec-WebSocket-Protocol| field",
        accepted(
            upgrade("Sec-WebSocket-Protocol: wsref.check-1, wsref.check-2"),
            "no Sec-WebSocket-Protocol, or one line with one of the two",
            _one_of("wsref.check-1", "wsref.check-2"),
        ),
        "Answer with one name that stood in the offer; not with the list, not with a name of your own.",
    ),
    Case(
        "4.protocol.case",
        MUST,
        "RFC 6455 §4.2.2",
        "A subprotocol's name is answered as it was offered",
        "by selecting one of the values from the |Sec-WebSocket-Protocol| field",
        accepted(
            upgrade("Sec-WebSocket-Protocol: ECHO, CHAT"),
            "no Sec-WebSocket-Protocol, or one of the two, in upper case",
            _one_of("ECHO", "CHAT"),
        ),
        "Names of subprotocols are compared with their case.",
    ),
    Case(
        "4.protocol.two-lines",
        MUST,
        "RFC 6455 §4.2.2",
        "Subprotocols that are offered over two lines are one list",
        "the value chosen MUST be derived from the client's handshake",
        accepted(
            upgrade("Sec-WebSocket-Protocol: wsref.check-1", "Sec-WebSocket-Protocol: wsref.check-2"),
            "no Sec-WebSocket-Protocol, or one line with one of the two",
            _one_of("wsref.check-1", "wsref.check-2"),
        ),
        "Join the lines before you split at commas.",
    ),
    Case(
        "4.protocol.unknown",
        INTEROP,
        "RFC 6455 §4.2.2",
        "A subprotocol that nobody knows is not agreed on",
        "The value is 'the subprotocol the server is ready to use': a client that gets its own offer back believes it.",
        accepted(
            upgrade("Sec-WebSocket-Protocol: x-wsref.check-unknown"),
            "not that name",
            _not_agreed,
        ),
        "Choose among the names that your application speaks, not the first that is offered.",
    ),
    Case(
        "4.extensions.unasked",
        MUST,
        "RFC 6455 §4.2.2",
        "No extension is used where none was offered",
        "Extensions not listed by the client MUST NOT be listed.",
        accepted(upgrade(), "no Sec-WebSocket-Extensions", _none("Sec-WebSocket-Extensions")),
        "Agree on compression only with clients that offer it.",
    ),
    Case(
        "4.extensions.unknown",
        INTEROP,
        "RFC 6455 §9.1",
        "An extension that nobody knows is not agreed on",
        "Who agrees must then speak it; sending back what was offered is not an agreement, but a promise.",
        accepted(
            upgrade("Sec-WebSocket-Extensions: x-wsref-check-unknown; a=1"),
            "no Sec-WebSocket-Extensions",
            _none("Sec-WebSocket-Extensions"),
        ),
        "Answer with the extensions that you speak.",
    ),
)  # fmt: skip
