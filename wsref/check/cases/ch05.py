"""Chapter 5: cases about the 426 fallback for plain requests."""

from __future__ import annotations

from ..case import Case
from ..codec import Answer, plain
from ..plays import answered, in_words, refused, script
from ..session import Peer
from ..verdict import Failed, Skipped
from .common import INTEROP, MUST, SHOULD

REQUIRED = "The server MUST send an Upgrade header field in a 426 response to indicate the required protocol(s)"


def _is_426(peer: Peer, answer: Answer) -> None:
    if answer.status != 426:
        raise Failed(str(answer), "426 Upgrade Required")


def _says_to_what(peer: Peer, answer: Answer) -> None:
    if answer.status == 426 and "websocket" not in answer.tokens("Upgrade"):
        raise Failed(f"426, with Upgrade: {', '.join(answer.lines('Upgrade')) or 'missing'}", "Upgrade: websocket")


def _names_it(peer: Peer, answer: Answer) -> None:
    if answer.lines("Upgrade") and "upgrade" not in answer.tokens("Connection"):
        raise Failed(f"Connection: {', '.join(answer.lines('Connection')) or 'missing'}", "Connection: Upgrade")


def _explains(peer: Peer, answer: Answer) -> None:
    if 400 <= answer.status < 500 and not answer.body:
        raise Failed(f"{answer}, without a body", "a body with an explanation")


def _closes(peer: Peer) -> None:
    wire = peer.connect()
    wire.send(plain())
    answer = wire.answer()
    if answer is None:
        raise Skipped("the server closed the connection without an answer")
    if "close" in answer.tokens("Connection") and not wire.ended():
        raise Failed(f"Connection: close, and TCP open for {peer.timeout:g} s after it", "the end of TCP")


CASES = (
    Case(
        "5.plain.426",
        INTEROP,
        "RFC 9110 §15.5.22",
        "A plain request gets 426 Upgrade Required",
        "426 is the clearest answer.  A server that serves pages at this address may answer 200.",
        answered(plain(), "426 Upgrade Required", _is_426),
        "Answer 426 to a request that is not an upgrade, and explain in the body how to upgrade.",
    ),
    Case(
        "5.plain.says-to-what",
        MUST,
        "RFC 9110 §15.5.22",
        "If a plain request gets 426, the answer names the protocol",
        REQUIRED,
        answered(plain(), "Upgrade: websocket, if it is a 426", _says_to_what),
        "Add Upgrade: websocket, and Connection: Upgrade, which must name it.",
    ),
    Case(
        "5.plain.names-upgrade",
        MUST,
        "RFC 9110 §7.8",
        "An answer with Upgrade names Upgrade in Connection",
        'A sender of Upgrade MUST also send an "Upgrade" connection option in the Connection header field',
        answered(plain(), "Connection: Upgrade, if there is an Upgrade header", _names_it),
        "Connection: Upgrade, or Connection: Upgrade, close.",
    ),
    Case(
        "5.plain.explained",
        SHOULD,
        "RFC 9110 §15.5",
        "If the server refuses a plain request, the answer gives the reason",
        "Except when responding to a HEAD request, the server SHOULD send a representation containing an explanation "
        "of the error situation",
        answered(plain(), "a body, if the status is 4xx", _explains),
        "Put a sentence into the body: a user who opens the address in a browser sees only the body.",
    ),
    Case(
        "5.plain.post",
        INTEROP,
        "RFC 9110 §15.5.22",
        "A plain POST gets an error as its answer",
        "A client that sends a POST to a WebSocket server uses the wrong address, and an error shows that.",
        refused(plain("Content-Length: 0", request_line="POST {path} HTTP/1.1")),
        "Answer 426, 405 or 400.",
    ),
    Case(
        "5.close.kept",
        MUST,
        "RFC 9112 §9.6",
        "A server that announces Connection: close closes the connection",
        'A server that sends a "close" connection option MUST initiate closure of the connection ... after it sends '
        "the "
        'response containing the "close" connection option.',
        script(in_words(plain()), "the end of TCP after the answer, if the answer has Connection: close", _closes),
        "Close the socket after the answer; a thread that still reads from it keeps it open.",
    ),
)
