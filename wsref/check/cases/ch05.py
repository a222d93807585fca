"""Chapters 2 to 5: the cases about the opening handshake.

A refusal may have any status from 400 to 599: the RFC says "an appropriate HTTP error code
(such as 400 Bad Request)".  Or TCP ends: whoever sees a handshake that is not as expected "MAY
drop the TCP connection" and "SHOULD return an appropriate HTTP status code" (RFC 6455 §10.7).
So one case looks whether there is an answer, and the others at what they are about.

Chapters 2 and 3 make sense for a server that cannot upgrade yet: a handshake is taken if it is
answered as the ordinary one is.
"""

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
        raise Failed(f"426, with Upgrade: {', '.join(answer.lines('Upgrade')) or 'none'}", "Upgrade: websocket")


def _names_it(peer: Peer, answer: Answer) -> None:
    if answer.lines("Upgrade") and "upgrade" not in answer.tokens("Connection"):
        raise Failed(f"Connection: {', '.join(answer.lines('Connection')) or 'none'}", "Connection: Upgrade")


def _explains(peer: Peer, answer: Answer) -> None:
    if 400 <= answer.status < 500 and not answer.body:
        raise Failed(f"{answer}, without a word", "a body that explains it")


def _closes(peer: Peer) -> None:
    line = peer.dial()
    line.send(plain())
    answer = line.answer()
    if answer is None:
        raise Skipped("it hung up, so there is no answer to look at")
    if "close" in answer.tokens("Connection") and not line.ended():
        raise Failed(f"it said Connection: close, and kept it open for {peer.timeout:g} s", "the end of TCP")


CASES = (
    Case(
        "5.plain.426",
        INTEROP,
        "RFC 9110 §15.5.22",
        "A plain request is told to upgrade: 426",
        "It is the article's answer, and the clearest.  A server that has pages to show at this address is right not "
        "to.",
        answered(plain(), "426 Upgrade Required", _is_426),
        "Answer 426 to whoever is not here to upgrade; say in the body how to.",
    ),
    Case(
        "5.plain.says-to-what",
        MUST,
        "RFC 9110 §15.5.22",
        "If a plain request gets 426, its answer says to which protocol",
        REQUIRED,
        answered(plain(), "Upgrade: websocket, if it is a 426", _says_to_what),
        "Add Upgrade: websocket; and Connection: Upgrade, which has to name it.",
    ),
    Case(
        "5.plain.names-upgrade",
        MUST,
        "RFC 9110 §7.8",
        "An answer with Upgrade names it in Connection",
        'A sender of Upgrade MUST also send an "Upgrade" connection option in the Connection header field',
        answered(plain(), "Connection: Upgrade, if there is an Upgrade header", _names_it),
        "Connection: Upgrade, or Connection: Upgrade, close.",
    ),
    Case(
        "5.plain.explained",
        SHOULD,
        "RFC 9110 §15.5",
        "If a plain request is refused, the answer explains why",
        "Except when responding to a HEAD request, the server SHOULD send a representation containing an explanation "
        "of the error situation",
        answered(plain(), "a body, if the status is 4xx", _explains),
        "A sentence in the body: whoever opens the address in a browser sees nothing else.",
    ),
    Case(
        "5.plain.post",
        INTEROP,
        "RFC 9110 §15.5.22",
        "A plain POST is answered, and with an error",
        "Who posts to a WebSocket server is at the wrong address, and should be told.",
        refused(plain("Content-Length: 0", line="POST {path} HTTP/1.1")),
        "426, 405 or 400.",
    ),
    Case(
        "5.close.kept",
        MUST,
        "RFC 9112 §9.6",
        "Who says that the connection will be closed closes it",
        'A server that sends a "close" connection option MUST initiate closure of the connection ... after it sends '
        "the "
        'response containing the "close" connection option.',
        script(in_words(plain()), "the end of TCP after the answer, if it says Connection: close", _closes),
        "Close the socket after the answer; a thread that goes on reading from it keeps it open.",
    ),
)
