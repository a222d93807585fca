"""Chapter 1: the cases about HTTP: a request that is read off a TCP stream, and its answer.

They make sense for any HTTP server.  Where an RFC leaves two ways open, both pass: a bad
head may be refused, or, for some of its ills, repaired.  What must be taken is taken if it is
answered as an ordinary request is.  A bad head is a handshake that is good but for one line:
a WebSocket server refuses a plain request anyway, and would seem to have found the fault.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from ..case import Case, Play
from ..codec import KEY, Answer, plain, upgrade
from ..plays import answered, as_usual, in_words, refused, script
from ..session import Peer
from ..verdict import Failed, Skipped
from .common import CASE_INSENSITIVE, INTEROP, MUST, OWS, SHOULD, asked_plainly, right_length, well_formed


def _date(peer: Peer, answer: Answer) -> None:
    imf = r"[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT"
    came = answer.lines("Date")
    if answer.status < 500 and (len(came) != 1 or not re.fullmatch(imf, came[0])):
        raise Failed(f"Date: {', '.join(came) or 'none'}", "a Date such as Sun, 06 Nov 1994 08:49:37 GMT")


def as_plain(request: bytes, *, dribble: bool = False) -> Play:
    """It is answered as an ordinary plain request is.

    Args:
        dribble: Whether it is sent byte by byte.
    """

    def run(peer: Peer) -> None:
        usual = asked_plainly(peer)
        line = peer.dial()
        (line.dribble if dribble else line.send)(request)
        answer = line.answer()
        if (answer.status if answer else 0) != usual:
            raise Failed(str(answer or "the end of TCP, and no answer"), f"{usual}, as for an ordinary request")

    return Play(in_words(request) + (" (byte by byte)" if dribble else ""), "the status of an ordinary request", run)


# -- Chapter 1: an HTTP base ------------------------------------------------------------------

COLON = "A server MUST reject, with a response status code of 400 (Bad Request), any received request message that "
COLON += "contains whitespace between a header field name and colon."
HOST = "A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1 request message that lacks a Host "
HOST += "header field and to any request message that contains more than one Host header field line or a Host header "
HOST += "field with an invalid field value."
GRAMMAR = (
    "When a server ... receives a sequence of octets that does not match the HTTP-message grammar ..., the server "
)
GRAMMAR += "SHOULD respond with a 400 (Bad Request) response and close the connection."
LARGE = "A server that receives a request header field line, field value, or set of fields larger than it wishes to "
LARGE += "process MUST respond with an appropriate 4xx (Client Error) status code."


def _no_content(peer: Peer) -> None:
    line = peer.dial()
    line.send(plain(line="HEAD {path} HTTP/1.1"))
    if line.answer(head_only=True) is None:
        raise Skipped("it hung up, so there is no answer to look at")
    if came := line.rest(0.3):
        raise Failed(f"after the head came {came[:40]!r}", "nothing after the head")


def _long_line(peer: Peer) -> None:
    path = peer.target.path + ("&" if "?" in peer.target.path else "?")
    room = 8000 - len(f"GET {path} HTTP/1.1")
    as_usual(upgrade(line=f"GET {path}{'a' * room} HTTP/1.1")).run(peer)


def _closes_when_asked(peer: Peer) -> None:
    line = peer.dial()
    line.send(plain("Connection: close"))
    if line.answer() is not None and not line.ended():
        raise Failed(f"an answer, and then TCP was kept open for {peer.timeout:g} s", "the end of TCP")


def _large(request: bytes, most: int = 499) -> Play:
    """It is taken or refused with a 4xx (or TCP ends, which may eat the answer); and the server is there after it."""

    def run(peer: Peer) -> None:
        usual = asked_plainly(peer)
        line = peer.dial()
        line.send(request)
        answer = line.answer()
        if answer is not None and answer.status != usual and not 400 <= answer.status <= most:
            raise Failed(str(answer), f"{usual}, as for a small one, or a 4xx")
        if asked_plainly(peer) != usual:
            raise Failed("the next ordinary request was not answered as before", f"{usual}, as before")

    words = f"{in_words(request)[:90]} … ({len(request)} bytes)"
    return Play(words, "a 4xx, the usual status, or the end of TCP; the next request is answered as ever", run)


def _ends(request: bytes, *, fin: bool) -> Callable[[Peer], None]:
    """What never becomes a request is answered with an error, or TCP ends, in time."""

    def run(peer: Peer) -> None:
        line = peer.dial()
        line.send(request)
        if fin:
            line.finish()
        answer = line.answer()
        if answer is not None and answer.status < 400:
            raise Failed(str(answer), "a status from 400 on, or the end of TCP")

    return run


CASES = (
    Case(
        "1.answer.well-formed",
        MUST,
        "RFC 9112 §4",
        "A plain request gets a well-formed response",
        "status-line = HTTP-version SP status-code SP [ reason-phrase ]",
        answered(plain(), "a response in HTTP/1.1, its lines ended by CRLF", well_formed),
        "Look at the answer's bytes: every line of the head ends in \\r\\n, and one empty line ends the head.",
    ),
    Case(
        "1.answer.length",
        MUST,
        "RFC 9112 §6.2",
        "The body is as long as the response says",
        "When a message does not have a Transfer-Encoding header field, a Content-Length header field can provide the "
        "anticipated size, as a decimal number of octets",
        right_length(plain()),
        "Count bytes, not characters: len(body.encode()).",
    ),
    Case(
        "1.answer.date",
        SHOULD,
        "RFC 9110 §6.6.1",
        "The response has a Date",
        "An origin server with a clock ... MUST generate a Date header field in all 2xx (Successful), 3xx "
        "(Redirection), "
        "and 4xx (Client Error) responses",
        answered(plain(), "one Date header, unless the status is 5xx", _date),
        "A MUST for servers with a clock; the grader cannot know whether yours has one.  In Python: "
        "email.utils.formatdate"
        "(usegmt=True).",
    ),
    Case(
        "1.answer.head-without-content",
        MUST,
        "RFC 9110 §9.3.2",
        "The answer to HEAD has no content",
        "The HEAD method is identical to GET except that the server MUST NOT send content in the response.",
        script("HEAD {path} HTTP/1.1 ⏎ Host: {host}", "a head, and nothing after it", _no_content),
        "Send the same head as for GET, Content-Length included, and leave out the body.",
    ),
    Case(
        "1.head.byte-by-byte",
        MUST,
        "RFC 9112 §2.2",
        "A head that comes byte by byte is read to its end",
        "The normal procedure for parsing an HTTP message is to read the start-line into a structure, read each header "
        "field line into a hash table by field name until the empty line",
        as_plain(plain("Accept: */*"), dribble=True),
        "TCP is a stream: one recv is not one request.  Read until \\r\\n\\r\\n is there.",
    ),
    Case(
        "1.head.split-in-crlf",
        MUST,
        "RFC 9112 §2.2",
        "A head whose lines are cut between CR and LF is read to its end",
        "until the empty line",
        as_usual(upgrade(), last_alone=2),
        "Look for \\r\\n\\r\\n in all that has come so far, not in the last piece.",
    ),
    Case(
        "1.head.leading-empty-line",
        SHOULD,
        "RFC 9112 §2.2",
        "An empty line before the request line is passed over",
        "a server that is expecting to receive and parse a request-line SHOULD ignore at least one empty line (CRLF) "
        "received prior to the request-line",
        as_usual(b"\r\n" + upgrade()),
        "Strip \\r\\n from the beginning before you parse the request line.",
    ),
    Case(
        "1.header.lower-case",
        MUST,
        "RFC 9110 §5.1",
        "Header names count in lower case too",
        CASE_INSENSITIVE,
        as_plain(plain(host="host: {host}")),
        "Lower the names when you read them, and look them up in lower case.",
    ),
    Case(
        "1.header.no-blank",
        MUST,
        "RFC 9112 §5",
        "A header needs no blank after its colon",
        OWS,
        as_plain(plain(host="Host:{host}")),
        "Split at the first colon, then strip: not at ': '.",
    ),
    Case(
        "1.header.blanks-around",
        MUST,
        "RFC 9112 §5.1",
        "Blanks and tabs around a value do not belong to it",
        "The field line value does not include that leading or trailing whitespace",
        as_usual(
            upgrade(
                Host=" \t {host} \t ",
                Connection="\tUpgrade ",
                Upgrade=" websocket\t",
                Sec_WebSocket_Key=f" {KEY} \t",
                Sec_WebSocket_Version="13 ",
            )
        ),
        "Strip blanks and tabs from both ends of the value.",
    ),
    Case(
        "1.header.colon-in-value",
        MUST,
        "RFC 9112 §5",
        "A value may have colons in it",
        OWS,
        as_plain(plain("Referer: http://a.example:80/?q=1:2")),
        "Split at the first colon only.",
    ),
    Case(
        "1.header.blank-before-colon",
        MUST,
        "RFC 9112 §5.1",
        "A blank between a header's name and its colon is refused",
        COLON,
        refused(upgrade("X-Note : a"), hanging_up=True),
        "Match names against the token characters, and do not strip them.",
    ),
    Case(
        "1.header.no-colon",
        SHOULD,
        "RFC 9112 §2.2",
        "A header line without a colon is refused",
        GRAMMAR,
        refused(upgrade("X-Note"), hanging_up=True),
        "A line that is not NAME: VALUE makes the head invalid; do not pass it over.",
    ),
    Case(
        "1.header.no-name",
        SHOULD,
        "RFC 9112 §2.2",
        "A header line without a name is refused",
        GRAMMAR,
        refused(upgrade(": a"), hanging_up=True),
        "A name has at least one character.",
    ),
    Case(
        "1.header.folded",
        MUST,
        "RFC 9112 §5.2",
        "A folded header line is refused with 400, or unfolded",
        "MUST either reject the message by sending a 400 (Bad Request) ..., or replace each received obs-fold with one "
        "or "
        "more SP octets",
        as_usual(upgrade("X-Note: a\r\n b"), refusing=True),
        "A line that begins with a blank continues the one before; it is simplest to refuse it.",
    ),
    Case(
        "1.host.missing",
        MUST,
        "RFC 9112 §3.2",
        "A request without Host is refused",
        HOST,
        refused(plain(host=None), hanging_up=True),
        "In HTTP/1.1 there must be one Host.",
    ),
    Case(
        "1.host.twice",
        MUST,
        "RFC 9112 §3.2",
        "A request with two Host lines is refused",
        HOST,
        refused(upgrade("Host: {host}"), hanging_up=True),
        "Keep all lines of a name, and count them: a dict keeps the last one only.",
    ),
    Case(
        "1.host.invalid",
        MUST,
        "RFC 9112 §3.2",
        "A Host that is none is refused",
        HOST,
        refused(upgrade(Host="a b/c"), hanging_up=True),
        "A host and perhaps a port: no blank, no slash, no user.",
    ),
    Case(
        "1.target.absolute",
        MUST,
        "RFC 9112 §3.2.2",
        "A target in absolute form is taken",
        "a server MUST accept the absolute-form in requests",
        as_usual(upgrade(line="GET {scheme}://{host}{path} HTTP/1.1")),
        "Cut off scheme and host: what is asked for begins at the first slash after them.",
    ),
    Case(
        "1.target.long",
        MUST,
        "RFC 9112 §3",
        "A target of 100,000 bytes is taken, or refused with a 4xx, and does no harm",
        "A server that receives a request-target longer than any URI it wishes to parse MUST respond with a 414 (URI "
        "Too "
        "Long) status code.",
        _large(plain(line="GET {path}?" + "a" * 100_000 + " HTTP/1.1")),
        "Have a limit for the request line, and answer 414 beyond it.",
    ),
    Case(
        "1.flood.many-headers",
        MUST,
        "RFC 9110 §5.4",
        "2,000 header lines are taken, or refused with a 4xx, and do no harm",
        LARGE,
        _large(plain(*(f"X-{number}: a" for number in range(2000)))),
        "Have a limit for the number of lines and for the whole head; 431 says so.",
    ),
    Case(
        "1.flood.long-header",
        MUST,
        "RFC 9110 §5.4",
        "A header line of 200,000 bytes is taken, or refused with a 4xx, and does no harm",
        LARGE,
        _large(plain("X-Long: " + "a" * 200_000)),
        "Have a limit for a line; 431 says so.",
    ),
    Case(
        "1.flood.endless-head",
        INTEROP,
        "RFC 6455 §10.4",
        "A head that never ends is not read for ever",
        "Who reads until an empty line comes keeps all that came before it: 1 MiB here, and as much as anybody likes.",
        script(
            "a request line, and 1 MiB of header lines without an end",
            "a status from 400 on, or the end of TCP",
            _ends(plain(*["X-Flood: " + "a" * 1000] * 1040)[:-2], fin=False),
        ),
        "Stop reading at a limit for the whole head, such as 16 KiB, and answer 431.",
    ),
    Case(
        "1.line.of-8000-bytes",
        SHOULD,
        "RFC 9112 §3",
        "A request line of 8,000 bytes is taken",
        "It is RECOMMENDED that all HTTP senders and recipients support, at a minimum, request-line lengths of 8000 "
        "octets.",
        script("an ordinary handshake whose request line has 8,000 bytes, most of them in the query",
               "the status of the ordinary handshake", _long_line),
        "Tokens and state travel in queries; let your limit be 8,000 at least.",
    ),
    Case(
        "1.line.two-blanks",
        INTEROP,
        "RFC 9112 §3",
        "A request line with two blanks in a row is refused",
        "A recipient MAY take any blanks for the one that the grammar has; but what two programs read differently can "
        "be used against one of them.",
        refused(upgrade(line="GET  {path} HTTP/1.1"), hanging_up=True),
        "Match the line against METHOD SP TARGET SP HTTP/DIGIT.DIGIT; split() forgives too much.",
    ),
    Case(
        "1.line.lower-case-version",
        SHOULD,
        "RFC 9112 §2.3",
        "The version http/1.1, in lower case, is refused",
        "HTTP-version is case-sensitive.",
        refused(upgrade(line="GET {path} http/1.1"), hanging_up=True),
        "Compare the version as it came.",
    ),
    Case(
        "1.line.no-version",
        INTEROP,
        "RFC 9112 §3",
        "A request line without a version is refused",
        "HTTP/0.9 has no headers to answer with, and no client has spoken it for decades.",
        refused(b"GET {path}\r\n\r\n", hanging_up=True),
        "Three words, or 400.",
    ),
    Case(
        "1.line.version-2",
        INTEROP,
        "RFC 9110 §15.6.6",
        "HTTP/2.0 in a request line is refused",
        "HTTP/2 is not spoken in request lines; whoever says so here expects something that this server cannot do.",
        refused(upgrade(line="GET {path} HTTP/2.0"), hanging_up=True),
        "505 HTTP Version Not Supported says it.",
    ),
    Case(
        "1.garbage.binary",
        SHOULD,
        "RFC 9112 §2.2",
        "Bytes that are no HTTP are refused, or TCP ends",
        GRAMMAR,
        script("48 random-looking bytes, ended by CRLF CRLF", "a status from 400 on, or the end of TCP",
               _ends(bytes(range(128, 176)) + b"\r\n\r\n", fin=False)),
        "Whatever cannot be parsed is answered 400; an exception in the parser must not end the server.",
    ),
    Case(
        "1.close.asked",
        MUST,
        "RFC 9112 §9.6",
        "A client that asks for the end of the connection gets it",
        'A server that receives a "close" connection option MUST initiate closure of the connection ... after it sends '
        "the final response to the request",
        script(in_words(plain("Connection: close")), "an answer, and the end of TCP", _closes_when_asked),
        "Close the socket after the answer, or at least when Connection says close.",
    ),
    Case(
        "1.cut.head",
        INTEROP,
        "RFC 9112 §8",
        "A head that is cut off by the end of TCP is not taken for a request",
        "The client has gone, or will say nothing more: a server that goes on waiting, or spins on the empty reads, "
        "keeps "
        "a connection for nobody.",
        script("GET {path} HTTP/1.1 ⏎ Host: {host} ⏎ and FIN", "a status from 400 on, or the end of TCP",
               _ends(plain()[:-2], fin=True)),
        "recv returns b'' when the client has ended: leave the loop.",
    ),
)  # fmt: skip
