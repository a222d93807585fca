"""Chapter 1: cases about HTTP: reading a request from a TCP stream, and answering it.

These cases suit any HTTP server.  Where an RFC allows two behaviours, both pass: a server may refuse
a bad head, or repair some faults.  A valid request counts as accepted if it gets the status of an
ordinary request.  A bad head is a valid handshake with one bad line: a WebSocket server refuses
plain requests anyway, so a plain request would not show whether the server found the fault.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from ..case import Case, Play
from ..codec import KEY, Answer, plain, upgrade
from ..plays import answered, in_words, like_baseline, refused, script
from ..session import Peer
from ..verdict import Failed, Skipped
from .common import CASE_INSENSITIVE, INTEROP, MUST, OWS, SHOULD, plain_status, right_length, well_formed


def _date(peer: Peer, answer: Answer) -> None:
    imf = r"[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT"
    received = answer.lines("Date")
    if answer.status < 500 and (len(received) != 1 or not re.fullmatch(imf, received[0])):
        raise Failed(f"Date: {', '.join(received) or 'missing'}", "a Date such as Sun, 06 Nov 1994 08:49:37 GMT")


def like_plain(request: bytes, *, byte_by_byte: bool = False) -> Play:
    """Expect the status of an ordinary plain request.

    Args:
        byte_by_byte: Send the request byte by byte.
    """

    def run(peer: Peer) -> None:
        expected_status = plain_status(peer)
        wire = peer.connect()
        (wire.send_in_packets if byte_by_byte else wire.send)(request)
        answer = wire.answer()
        if (answer.status if answer else 0) != expected_status:
            raise Failed(
                str(answer or "the end of TCP, and no answer"), f"{expected_status}, as for an ordinary request"
            )

    return Play(
        in_words(request) + (" (byte by byte)" if byte_by_byte else ""), "the status of an ordinary request", run
    )


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
    wire = peer.connect()
    wire.send(plain(request_line="HEAD {path} HTTP/1.1"))
    if wire.answer(head_only=True) is None:
        raise Skipped("the server closed the connection without an answer")
    if received := wire.rest(0.3):
        raise Failed(f"{received[:40]!r} after the head", "nothing after the head")


def _long_line(peer: Peer) -> None:
    path = peer.target.path + ("&" if "?" in peer.target.path else "?")
    padding = 8000 - len(f"GET {path} HTTP/1.1")
    like_baseline(upgrade(request_line=f"GET {path}{'a' * padding} HTTP/1.1")).run(peer)


def _closes_when_asked(peer: Peer) -> None:
    wire = peer.connect()
    wire.send(plain("Connection: close"))
    if wire.answer() is not None and not wire.ended():
        raise Failed(f"an answer, and TCP open for {peer.timeout:g} s after it", "the end of TCP")


def _large(request: bytes) -> Play:
    """Expect acceptance, a 4xx, or the end of TCP (which may discard the answer), and then a working server."""

    def run(peer: Peer) -> None:
        expected_status = plain_status(peer)
        wire = peer.connect()
        wire.send(request)
        answer = wire.answer()
        if answer is not None and answer.status != expected_status and not 400 <= answer.status <= 499:
            raise Failed(str(answer), f"{expected_status}, as for a small request, or a 4xx")
        if plain_status(peer) != expected_status:
            raise Failed("the next ordinary request did not get the same answer", f"{expected_status}, as before")

    words = f"{in_words(request)[:90]} … ({len(request)} bytes)"
    return Play(
        words, "a 4xx, the status of an ordinary request, or the end of TCP; then an answer to the next request", run
    )


def _ends(request: bytes, *, fin: bool) -> Callable[[Peer], None]:
    """Expect an error or the end of TCP, in time, for bytes that never become a request."""

    def run(peer: Peer) -> None:
        wire = peer.connect()
        wire.send(request)
        if fin:
            wire.send_fin()
        answer = wire.answer()
        if answer is not None and answer.status < 400:
            raise Failed(str(answer), "a status of 400 or above, or the end of TCP")

    return run


CASES = (
    Case(
        "1.answer.well-formed",
        MUST,
        "RFC 9112 §4",
        "A plain request gets a well-formed response",
        "status-line = HTTP-version SP status-code SP [ reason-phrase ]",
        answered(plain(), "a response in HTTP/1.1, with lines that end in CRLF", well_formed),
        "Check the bytes of the answer: every line of the head ends in \\r\\n, and one empty line ends the head.",
    ),
    Case(
        "1.answer.length",
        MUST,
        "RFC 9112 §6.2",
        "The body has the length that the response declares",
        "When a message does not have a Transfer-Encoding header field, a Content-Length header field can provide the "
        "anticipated size, as a decimal number of octets",
        right_length(plain()),
        "Content-Length counts bytes, not characters: encode the body first.",
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
        "A MUST for a server with a clock; the grader cannot know whether yours has one.  The "
        "format is fixed, in English and in GMT.",
    ),
    Case(
        "1.answer.head-without-content",
        MUST,
        "RFC 9110 §9.3.2",
        "The answer to HEAD has no content",
        "The HEAD method is identical to GET except that the server MUST NOT send content in the response.",
        script("HEAD {path} HTTP/1.1 ⏎ Host: {host}", "a head and nothing after it", _no_content),
        "Send the same head as for GET, Content-Length included, and leave out the body.",
    ),
    Case(
        "1.head.byte-by-byte",
        MUST,
        "RFC 9112 §2.2",
        "The server reads a head that arrives byte by byte",
        "The normal procedure for parsing an HTTP message is to read the start-line into a structure, read each header "
        "field line into a hash table by field name until the empty line",
        like_plain(plain("Accept: */*"), byte_by_byte=True),
        "TCP is a stream: one read is not one request.  Read until \\r\\n\\r\\n arrives.",
    ),
    Case(
        "1.head.split-in-crlf",
        MUST,
        "RFC 9112 §2.2",
        "The server reads a head that is split between CR and LF",
        "until the empty line",
        like_baseline(upgrade(), last_packet_size=2),
        "Search for \\r\\n\\r\\n in all received bytes, not only in the last packet.",
    ),
    Case(
        "1.head.leading-empty-line",
        SHOULD,
        "RFC 9112 §2.2",
        "The server ignores an empty line before the request line",
        "a server that is expecting to receive and parse a request-line SHOULD ignore at least one empty line (CRLF) "
        "received prior to the request-line",
        like_baseline(b"\r\n" + upgrade()),
        "Strip \\r\\n from the beginning before you parse the request line.",
    ),
    Case(
        "1.header.lower-case",
        MUST,
        "RFC 9110 §5.1",
        "Header names are valid in lower case too",
        CASE_INSENSITIVE,
        like_plain(plain(host="host: {host}")),
        "Convert names to lower case when you read them, and look them up in lower case.",
    ),
    Case(
        "1.header.no-blank",
        MUST,
        "RFC 9112 §5",
        "A header is valid without a blank after its colon",
        OWS,
        like_plain(plain(host="Host:{host}")),
        "The name ends at the first colon; the blanks around the value do not belong to it.",
    ),
    Case(
        "1.header.blanks-around",
        MUST,
        "RFC 9112 §5.1",
        "Blanks and tabs around a value are not part of it",
        "The field line value does not include that leading or trailing whitespace",
        like_baseline(
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
        "A value may contain colons",
        OWS,
        like_plain(plain("Referer: http://a.example:80/?q=1:2")),
        "Split at the first colon only.",
    ),
    Case(
        "1.header.blank-before-colon",
        MUST,
        "RFC 9112 §5.1",
        "A blank between a header name and its colon is refused",
        COLON,
        refused(upgrade("X-Note : a"), or_eof=True),
        "Match names against the token characters; do not strip names.",
    ),
    Case(
        "1.header.no-colon",
        SHOULD,
        "RFC 9112 §2.2",
        "A header line without a colon is refused",
        GRAMMAR,
        refused(upgrade("X-Note"), or_eof=True),
        "A line that is not NAME: VALUE makes the head invalid; do not ignore it.",
    ),
    Case(
        "1.header.no-name",
        SHOULD,
        "RFC 9112 §2.2",
        "A header line without a name is refused",
        GRAMMAR,
        refused(upgrade(": a"), or_eof=True),
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
        like_baseline(upgrade("X-Note: a\r\n b"), or_refusal=True),
        "A line that begins with a blank continues the previous line; the simplest way is to refuse it.",
    ),
    Case(
        "1.host.missing",
        MUST,
        "RFC 9112 §3.2",
        "A request without Host is refused",
        HOST,
        refused(plain(host=None), or_eof=True),
        "An HTTP/1.1 request has exactly one Host.",
    ),
    Case(
        "1.host.twice",
        MUST,
        "RFC 9112 §3.2",
        "A request with two Host lines is refused",
        HOST,
        refused(upgrade("Host: {host}"), or_eof=True),
        "Keep all lines of a name and count them: a dict keeps only the last one.",
    ),
    Case(
        "1.host.invalid",
        MUST,
        "RFC 9112 §3.2",
        "An invalid Host is refused",
        HOST,
        refused(upgrade(Host="a b/c"), or_eof=True),
        "A Host value is a host and an optional port, without blank, slash or user.",
    ),
    Case(
        "1.target.absolute",
        MUST,
        "RFC 9112 §3.2.2",
        "A target in absolute form is accepted",
        "a server MUST accept the absolute-form in requests",
        like_baseline(upgrade(request_line="GET {scheme}://{host}{path} HTTP/1.1")),
        "Remove scheme and host: the path begins at the first slash after them.",
    ),
    Case(
        "1.target.long",
        MUST,
        "RFC 9112 §3",
        "A target of 100,000 bytes is accepted, or refused with a 4xx, and does no harm",
        "A server that receives a request-target longer than any URI it wishes to parse MUST respond with a 414 (URI "
        "Too "
        "Long) status code.",
        _large(plain(request_line="GET {path}?" + "a" * 100_000 + " HTTP/1.1")),
        "Limit the request line, and answer 414 to a longer one.",
    ),
    Case(
        "1.flood.many-headers",
        MUST,
        "RFC 9110 §5.4",
        "2,000 header lines are accepted, or refused with a 4xx, and do no harm",
        LARGE,
        _large(plain(*(f"X-{number}: a" for number in range(2000)))),
        "Limit the number of lines and the size of the head; answer 431 beyond the limit.",
    ),
    Case(
        "1.flood.long-header",
        MUST,
        "RFC 9110 §5.4",
        "A header line of 200,000 bytes is accepted, or refused with a 4xx, and does no harm",
        LARGE,
        _large(plain("X-Long: " + "a" * 200_000)),
        "Limit the length of a line; answer 431 to a longer one.",
    ),
    Case(
        "1.flood.endless-head",
        INTEROP,
        "RFC 6455 §10.4",
        "The server does not read an endless head for ever",
        "A server that reads until an empty line keeps everything before it: 1 MiB here, or as much as a client sends.",
        script(
            "a request line, and 1 MiB of header lines without an empty line",
            "a status of 400 or above, or the end of TCP",
            _ends(plain(*["X-Flood: " + "a" * 1000] * 1040)[:-2], fin=False),
        ),
        "Limit the whole head, for example to 16 KiB, and answer 431 beyond the limit.",
    ),
    Case(
        "1.line.of-8000-bytes",
        SHOULD,
        "RFC 9112 §3",
        "A request line of 8,000 bytes is accepted",
        "It is RECOMMENDED that all HTTP senders and recipients support, at a minimum, request-line lengths of 8000 "
        "octets.",
        script("an ordinary handshake whose request line has 8,000 bytes, most of them in the query",
               "the status of the ordinary handshake", _long_line),
        "Queries carry tokens and state: set the limit to at least 8,000 bytes.",
    ),
    Case(
        "1.line.two-blanks",
        INTEROP,
        "RFC 9112 §3",
        "A request line with two blanks in a row is refused",
        "A recipient MAY accept several blanks.  But an attacker can use a line that two programs read differently.",
        refused(upgrade(request_line="GET  {path} HTTP/1.1"), or_eof=True),
        "The grammar is METHOD SP TARGET SP HTTP/DIGIT.DIGIT, and SP is exactly one blank.",
    ),
    Case(
        "1.line.lower-case-version",
        SHOULD,
        "RFC 9112 §2.3",
        "The version http/1.1, in lower case, is refused",
        "HTTP-version is case-sensitive.",
        refused(upgrade(request_line="GET {path} http/1.1"), or_eof=True),
        "Compare the version with its case.",
    ),
    Case(
        "1.line.no-version",
        INTEROP,
        "RFC 9112 §3",
        "A request line without a version is refused",
        "HTTP/0.9 has no headers for an answer, and no client has used it for decades.",
        refused(b"GET {path}\r\n\r\n", or_eof=True),
        "A request line has three words; answer 400 to any other.",
    ),
    Case(
        "1.line.version-2",
        INTEROP,
        "RFC 9110 §15.6.6",
        "HTTP/2.0 in a request line is refused",
        "HTTP/2 has no request lines: the client expects something that this server cannot do.",
        refused(upgrade(request_line="GET {path} HTTP/2.0"), or_eof=True),
        "The status for it is 505 HTTP Version Not Supported.",
    ),
    Case(
        "1.garbage.binary",
        SHOULD,
        "RFC 9112 §2.2",
        "Bytes that are not HTTP are refused, or TCP ends",
        GRAMMAR,
        script("48 random-looking bytes, then CRLF CRLF", "a status of 400 or above, or the end of TCP",
               _ends(bytes(range(128, 176)) + b"\r\n\r\n", fin=False)),
        "Answer 400 to bytes that you cannot parse; an exception in the parser must not end the server.",
    ),
    Case(
        "1.close.asked",
        MUST,
        "RFC 9112 §9.6",
        "The server closes the connection if the client asks for it",
        'A server that receives a "close" connection option MUST initiate closure of the connection ... after it sends '
        "the final response to the request",
        script(in_words(plain("Connection: close")), "an answer, then the end of TCP", _closes_when_asked),
        "Close the socket after the answer, at least if Connection says close.",
    ),
    Case(
        "1.cut.head",
        INTEROP,
        "RFC 9112 §8",
        "A head that ends with TCP is not a request",
        "The client sends nothing more.  A server that waits, or loops over empty reads, keeps a useless connection.",
        script("GET {path} HTTP/1.1 ⏎ Host: {host} ⏎ and FIN", "a status of 400 or above, or the end of TCP",
               _ends(plain()[:-2], fin=True)),
        "After the client's FIN no more bytes arrive: stop reading, and close the connection.",
    ),
)  # fmt: skip
