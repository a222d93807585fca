"""Chapter 5: cases about the 426 fallback for plain requests."""

from __future__ import annotations

from ..codec import Answer, plain
from ..plays import answered, refused
from ..rule import Rule, cases_of
from ..session import Peer
from ..verdict import Failed
from .common import INTEROP, MUST, SHOULD, closes


def _is_426(peer: Peer, answer: Answer) -> None:
    if answer.status != 426:
        raise Failed(str(answer), "426 Upgrade Required")


def _says_to_what(peer: Peer, answer: Answer) -> None:
    if answer.status == 426 and not answer.tokens("Upgrade"):  # it may also require TLS (RFC 2817 §4.2)
        raise Failed(f"426, with {answer.shown('Upgrade')}", "Upgrade: websocket")


def _names_it(peer: Peer, answer: Answer) -> None:
    if answer.lines("Upgrade") and "upgrade" not in answer.tokens("Connection"):
        raise Failed(answer.shown("Connection"), "Connection: Upgrade")


def _explains(peer: Peer, answer: Answer) -> None:
    if 400 <= answer.status < 500 and not answer.body:
        raise Failed(f"{answer}, without a body", "a body with an explanation")


CASES = cases_of(
    Rule(INTEROP, "RFC 9110 §15.5.22",
         "426 is the clearest answer.  A server that serves pages at this address may answer 200."),
    ("5.plain.426", "A plain request gets 426 Upgrade Required", answered(plain(), "426 Upgrade Required", _is_426),
     "Answer 426 to a request that is not an upgrade, and explain in the body how to upgrade."),

    Rule(MUST, "RFC 9110 §15.5.22",
         "The server MUST send an Upgrade header field in a 426 response to indicate the required protocol(s)"),
    ("5.plain.says-to-what", "If a plain request gets 426, the answer names the protocol",
     answered(plain(), "an Upgrade header that names a protocol, if it is a 426", _says_to_what),
     "Add Upgrade: websocket, and Connection: Upgrade, which must name it."),

    Rule(MUST, "RFC 9110 §7.8",
         'A sender of Upgrade MUST also send an "Upgrade" connection option in the Connection header field'),
    ("5.plain.names-upgrade", "An answer with Upgrade names Upgrade in Connection",
     answered(plain(), "Connection: Upgrade, if there is an Upgrade header", _names_it),
     "Connection: Upgrade, or Connection: Upgrade, close."),

    Rule(SHOULD, "RFC 9110 §15.5",
         "Except when responding to a HEAD request, the server SHOULD send a representation containing an explanation "
         "of the error situation"),
    ("5.plain.explained", "If the server refuses a plain request, the answer gives the reason",
     answered(plain(), "a body, if the status is 4xx", _explains),
     "Put a sentence into the body: a user who opens the address in a browser sees only the body."),

    Rule(INTEROP, "RFC 9110 §15.5.22",
         "A client that sends a POST to a WebSocket server uses the wrong address, and an error shows that."),
    ("5.plain.post", "A plain POST gets an error as its answer",
     refused(plain("Content-Length: 0", request_line="POST {path} HTTP/1.1")), "Answer 426, 405 or 400."),

    Rule(MUST, "RFC 9112 §9.6",
         'A server that sends a "close" connection option MUST initiate closure of the connection ... after it sends '
         'the response containing the "close" connection option.'),
    ("5.close.kept", "A server that announces Connection: close closes the connection",
     closes(plain(), "the end of TCP after the answer, if the answer has Connection: close", if_announced=True),
     "Close the socket after the answer; a thread that still reads from it keeps it open."),
)  # fmt: skip
