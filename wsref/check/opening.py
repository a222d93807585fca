"""Chapters 1 to 5: the cases about the opening handshake, and about HTTP before it.

A refusal may have any status from 400 to 599: the RFCs say "an appropriate HTTP error code
(such as 400 Bad Request)".  Where an RFC leaves two ways open, both pass: a bad head may
be refused, or, for some of its ills, repaired.
"""

from __future__ import annotations

from .case import Case, Failed, Level
from .codec import KEY, Answer, accept_for, plain, upgrade
from .peer import Peer
from .plays import accepted, answered, refused, upgraded

MUST, SHOULD, INTEROP = Level.MUST, Level.SHOULD, Level.INTEROP


def _well_formed(peer: Peer, answer: Answer) -> None:
    if answer.faults:
        raise Failed("; ".join(answer.faults), "a head as RFC 9112 writes it")


HTTP_BASE = (
    Case(
        "1.answer.well-formed",
        MUST,
        "RFC 9112 §4",
        "A plain request gets a well-formed response",
        "status-line = HTTP-version SP status-code SP [ reason-phrase ]",
        answered(plain(), "a response in HTTP/1.1, its lines ended by CRLF", _well_formed),
        "Look at the answer's bytes: every line of the head ends in \\r\\n, and one empty line ends the head.",
    ),
)

DETECTION = (
    Case(
        "2.connection.list",
        MUST,
        "RFC 6455 §4.2.1",
        "The token upgrade is found among others, as Firefox sends it",
        'A |Connection| header field that includes the token "Upgrade", treated as an ASCII case-insensitive value.',
        upgraded(upgrade(Connection="keep-alive, Upgrade")),
        "Connection is a list: split it at commas, strip blanks, compare without case.",
    ),
)

VALIDATION = (
    Case(
        "3.key.short",
        MUST,
        "RFC 6455 §4.2.1",
        "A key of 15 bytes is refused",
        "A |Sec-WebSocket-Key| header field with a base64-encoded value that, when decoded, is 16 bytes in length.",
        refused(upgrade(Sec_WebSocket_Key="AAAAAAAAAAAAAAAAAAAA")),
        "Decode the key, or match [+/0-9A-Za-z]{22}==: the article's 24 characters are not enough.",
    ),
)


def _accept(peer: Peer, answer: Answer) -> None:
    came = answer.lines("Sec-WebSocket-Accept")
    if came != [accept_for(KEY)]:
        raise Failed(f"Sec-WebSocket-Accept: {', '.join(came) or 'none'}", f"Sec-WebSocket-Accept: {accept_for(KEY)}")


COMPLETE_UPGRADE = (
    Case(
        "4.accept.value",
        MUST,
        "RFC 6455 §4.2.2",
        "The accept value is the key and the GUID, hashed and in base64",
        "concatenating |Sec-WebSocket-Key| ... with the string 258EAFA5-E914-47DA-95CA-C5AB0DC85B11, "
        "taking the SHA-1 hash of this concatenated value ... and base64-encoding",
        accepted(upgrade(), f"Sec-WebSocket-Accept: {accept_for(KEY)}", _accept),
        "base64(sha1(key + GUID)): the key as text, not decoded; nothing between the two; the digest, not its hex.",
    ),
)

FALLBACK: tuple[Case, ...] = ()

CASES = (*HTTP_BASE, *DETECTION, *VALIDATION, *COMPLETE_UPGRADE, *FALLBACK)
