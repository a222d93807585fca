"""Chapter 1: cases about HTTP: reading a request from a TCP stream, and answering it.

These cases suit any HTTP server.  Where an RFC allows two behaviours, both pass: a server may refuse
a bad head, or repair some faults.  A valid request counts as accepted if it gets the status of an
ordinary request.  A bad head is a valid handshake with one bad line: a WebSocket server refuses
plain requests anyway, so a plain request would not show whether the server found the fault.
"""

from __future__ import annotations

import re
from dataclasses import replace

from ..case import Play
from ..codec import KEY, Answer, plain, upgrade
from ..plays import answered, ask, in_words, like_baseline, refused
from ..rule import Rule, cases_of
from ..session import Peer
from ..verdict import Failed
from .common import (
    CASE_INSENSITIVE,
    INTEROP,
    LENGTH,
    MUST,
    OWS,
    SHOULD,
    STATUS_LINE,
    closes,
    plain_status,
    right_length,
    well_formed,
)

GRAMMAR = (
    "When a server ... receives a sequence of octets that does not match the HTTP-message grammar ..., the server "
    "SHOULD respond with a 400 (Bad Request) response and close the connection."
)


def _date(peer: Peer, answer: Answer) -> None:
    imf = r"[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT"
    received = answer.lines("Date")
    if answer.status < 500 and (len(received) != 1 or not re.fullmatch(imf, received[0])):
        raise Failed(answer.shown("Date"), "a Date such as Sun, 06 Nov 1994 08:49:37 GMT")


def _like_plain(request: bytes, *, byte_by_byte: bool = False) -> Play:
    """Expect the status of an ordinary plain request."""

    def run(peer: Peer) -> None:
        expected_status = plain_status(peer)
        answer = ask(peer, request, byte_by_byte=byte_by_byte)
        if (answer.status if answer else 0) != expected_status:
            raise Failed(
                str(answer or "the end of TCP, and no answer"), f"{expected_status}, as for an ordinary request"
            )

    return Play(in_words(request) + " (byte by byte)" * byte_by_byte, "the status of an ordinary request", run)


def _no_content(peer: Peer, answer: Answer) -> None:
    if received := peer.wires[-1].rest(0.3):
        raise Failed(f"{received[:40]!r} after the head", "nothing after the head")


def _long_line(peer: Peer) -> None:
    path = peer.target.path + ("&" if "?" in peer.target.path else "?")
    padding = 8000 - len(f"GET {path} HTTP/1.1")
    like_baseline(upgrade(request_line=f"GET {path}{'a' * padding} HTTP/1.1")).run(peer)


def _large(request: bytes) -> Play:
    """Expect no 5xx, or the end of TCP (which may discard the answer), and then a working server.

    A server that takes the request may answer it unlike a small one: it may redirect a client that sends a query.
    """

    def run(peer: Peer) -> None:
        expected_status = plain_status(peer)
        # A slow server breaks no rule.
        answer = ask(replace(peer, timeout=4 * peer.timeout), request)
        peer.wires[-1].close()  # a server of one client at a time waits for the end
        if answer is not None and answer.status != expected_status and not 200 <= answer.status <= 499:
            raise Failed(str(answer), "an answer to the request, or a 4xx")
        if plain_status(peer) != expected_status:
            raise Failed("the next ordinary request did not get the same answer", f"{expected_status}, as before")

    words = f"{in_words(request)[:90]} … ({len(request)} bytes)"
    return Play(
        words, "a 4xx or another answer, but no 5xx; or the end of TCP; then an answer to the next request", run
    )


def _no_request(sends: str, data: bytes, *, fin: bool = False) -> Play:
    """Expect an error or the end of TCP, in time, for bytes that never become a request."""

    def run(peer: Peer) -> None:
        answer = ask(peer, data, fin=fin)
        if answer is not None and answer.status < 400:
            raise Failed(str(answer), "a status of 400 or above, or the end of TCP")

    return Play(sends, "a status of 400 or above, or the end of TCP", run)


CASES = cases_of(
    Rule(MUST, "RFC 9112 §4", STATUS_LINE),
    ("1.answer.well-formed", "A plain request gets a well-formed response",
     answered(plain(), "a response in HTTP/1.1, with lines that end in CRLF", well_formed),
     "Check the bytes of the answer: every line of the head ends in \\r\\n, and one empty line ends the head."),

    Rule(MUST, "RFC 9112 §6.3", LENGTH),
    ("1.answer.length", "The body has the length that the response declares",
     right_length(plain()), "Content-Length counts bytes, not characters: encode the body first."),

    Rule(SHOULD, "RFC 9110 §6.6.1",
         "An origin server with a clock ... MUST generate a Date header field in all 2xx (Successful), 3xx "
         "(Redirection), and 4xx (Client Error) responses"),
    ("1.answer.date", "The response has a Date", answered(plain(), "one Date header, unless the status is 5xx", _date),
     "A MUST for a server with a clock; the grader cannot know whether yours has one.  The format is fixed, in "
     "English and in GMT."),

    Rule(MUST, "RFC 9110 §9.3.2",
         "The HEAD method is identical to GET except that the server MUST NOT send content in the response."),
    ("1.answer.head-without-content", "The answer to HEAD has no content",
     answered(plain(request_line="HEAD {path} HTTP/1.1"), "a head and nothing after it", _no_content),
     "Send the same head as for GET, Content-Length included, and leave out the body."),

    Rule(MUST, "RFC 9112 §2.2",
         "The normal procedure for parsing an HTTP message is to read the start-line into a structure, read each "
         "header field line into a hash table by field name until the empty line"),
    ("1.head.byte-by-byte", "The server reads a head that arrives byte by byte",
     _like_plain(plain("Accept: */*"), byte_by_byte=True),
     "TCP is a stream: one read is not one request.  Read until \\r\\n\\r\\n arrives."),

    Rule(MUST, "RFC 9112 §2.2", "until the empty line"),
    ("1.head.split-in-crlf", "The server reads a head that is split between CR and LF",
     like_baseline(upgrade(), last_packet_size=2),
     "Search for \\r\\n\\r\\n in all received bytes, not only in the last packet."),

    Rule(SHOULD, "RFC 9112 §2.2",
         "a server that is expecting to receive and parse a request-line SHOULD ignore at least one empty line (CRLF) "
         "received prior to the request-line"),
    ("1.head.leading-empty-line", "The server ignores an empty line before the request line",
     like_baseline(b"\r\n" + upgrade()), "Strip \\r\\n from the beginning before you parse the request line."),

    Rule(MUST, "RFC 9110 §5.1", CASE_INSENSITIVE),
    ("1.header.lower-case", "Header names are valid in lower case too", _like_plain(plain(host="host: {host}")),
     "Convert names to lower case when you read them, and look them up in lower case."),

    Rule(MUST, "RFC 9112 §5", OWS),
    ("1.header.no-blank", "A header is valid without a blank after its colon", _like_plain(plain(host="Host:{host}")),
     "The name ends at the first colon; the blanks around the value do not belong to it."),

    Rule(MUST, "RFC 9112 §5.1", "The field line value does not include that leading or trailing whitespace"),
    ("1.header.blanks-around", "Blanks and tabs around a value are not part of it",
     like_baseline(upgrade(Host=" \t {host} \t ", Connection="\tUpgrade ", Upgrade=" websocket\t",
                           Sec_WebSocket_Key=f" {KEY} \t", Sec_WebSocket_Version="13 ")),
     "Strip blanks and tabs from both ends of the value."),

    Rule(MUST, "RFC 9112 §5", OWS),
    ("1.header.colon-in-value", "A value may contain colons",
     _like_plain(plain("X-Note: http://a.example:80/?q=1:2")), "Split at the first colon only."),

    Rule(MUST, "RFC 9112 §5.1",
         "A server MUST reject, with a response status code of 400 (Bad Request), any received request message that "
         "contains whitespace between a header field name and colon."),
    ("1.header.blank-before-colon", "A blank between a header name and its colon is refused",
     refused(upgrade("X-Note : a"), or_eof=True), "Match names against the token characters; do not strip names."),

    Rule(SHOULD, "RFC 9112 §2.2", GRAMMAR),
    ("1.header.no-colon", "A header line without a colon is refused", refused(upgrade("X-Note"), or_eof=True),
     "A line that is not NAME: VALUE makes the head invalid; do not ignore it."),
    ("1.header.no-name", "A header line without a name is refused",
     refused(upgrade(": a"), or_eof=True), "A name has at least one character."),

    Rule(MUST, "RFC 9112 §5.2",
         "MUST either reject the message by sending a 400 (Bad Request) ..., or replace each received obs-fold with "
         "one or more SP octets"),
    ("1.header.folded", "A folded header line is refused with 400, or unfolded",
     like_baseline(upgrade("X-Note: a\r\n b"), or_refusal=True),
     "A line that begins with a blank continues the previous line; the simplest way is to refuse it."),

    Rule(MUST, "RFC 9112 §3.2",
         "A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1 request message that lacks a Host "
         "header field and to any request message that contains more than one Host header field line or a Host header "
         "field with an invalid field value."),
    ("1.host.missing", "A request without Host is refused",
     refused(plain(host=None), or_eof=True), "An HTTP/1.1 request has exactly one Host."),
    ("1.host.twice", "A request with two Host lines is refused", refused(upgrade("Host: {host}"), or_eof=True),
     "Keep all lines of a name and count them: a dict keeps only the last one."),
    ("1.host.invalid", "An invalid Host is refused", refused(upgrade(Host="a b/c"), or_eof=True),
     "A Host value is a host and an optional port, without blank, slash or user."),

    Rule(MUST, "RFC 9112 §3.2.2", "a server MUST accept the absolute-form in requests"),
    ("1.target.absolute", "A target in absolute form is accepted",
     like_baseline(upgrade(request_line="GET {scheme}://{host}{path} HTTP/1.1")),
     "Remove scheme and host: the path begins at the first slash after them."),

    Rule(MUST, "RFC 9112 §3",
         "A server that receives a request-target longer than any URI it wishes to parse MUST respond with a 414 (URI "
         "Too Long) status code."),
    ("1.target.long", "A target of 100,000 bytes is accepted, or refused with a 4xx, and does no harm",
     _large(plain(request_line="GET {path}?" + "a" * 100_000 + " HTTP/1.1")),
     "Limit the request line, and answer 414 to a longer one."),

    Rule(MUST, "RFC 9110 §5.4",
         "A server that receives a request header field line, field value, or set of fields larger than it wishes to "
         "process MUST respond with an appropriate 4xx (Client Error) status code."),
    ("1.flood.many-headers", "2,000 header lines are accepted, or refused with a 4xx, and do no harm",
     _large(plain(*(f"X-{number}: a" for number in range(2000)))),
     "Limit the number of lines and the size of the head; answer 431 beyond the limit."),
    ("1.flood.long-header", "A header line of 200,000 bytes is accepted, or refused with a 4xx, and does no harm",
     _large(plain("X-Long: " + "a" * 200_000)), "Limit the length of a line; answer 431 to a longer one."),

    Rule(INTEROP, "RFC 6455 §10.4",
         "A server that reads until an empty line keeps everything before it: 1 MiB here, or as much as a client "
         "sends."),
    ("1.flood.endless-head", "The server does not read an endless head for ever",
     _no_request("a request line, and 1 MiB of header lines without an empty line",
                 plain(*["X-Flood: " + "a" * 1000] * 1040)[:-2]),
     "Limit the whole head, for example to 16 KiB, and answer 431 beyond the limit."),

    Rule(SHOULD, "RFC 9112 §3",
         "It is RECOMMENDED that all HTTP senders and recipients support, at a minimum, request-line lengths of 8000 "
         "octets."),
    ("1.line.of-8000-bytes", "A request line of 8,000 bytes is accepted",
     Play("an ordinary handshake whose request line has 8,000 bytes, most of them in the query",
          "the status of the ordinary handshake", _long_line),
     "Queries carry tokens and state: set the limit to at least 8,000 bytes."),

    Rule(INTEROP, "RFC 9112 §3",
         "A recipient MAY accept several blanks.  But an attacker can use a line that two programs read differently."),
    ("1.line.two-blanks", "A request line with two blanks in a row is refused",
     refused(upgrade(request_line="GET  {path} HTTP/1.1"), or_eof=True),
     "The grammar is METHOD SP TARGET SP HTTP/DIGIT.DIGIT, and SP is exactly one blank."),

    Rule(SHOULD, "RFC 9112 §2.3", "HTTP-version is case-sensitive."),
    ("1.line.lower-case-version", "The version http/1.1, in lower case, is refused",
     refused(upgrade(request_line="GET {path} http/1.1"), or_eof=True), "Compare the version with its case."),

    Rule(INTEROP, "RFC 9112 §3", "HTTP/0.9 has no headers for an answer, and no client has used it for decades."),
    ("1.line.no-version", "A request line without a version is refused",
     refused(b"GET {path}\r\n\r\n", or_eof=True), "A request line has three words; answer 400 to any other."),

    Rule(INTEROP, "RFC 9110 §15.6.6",
         "HTTP/2 has no request lines: the client expects something that this server cannot do."),
    ("1.line.version-2", "HTTP/2.0 in a request line is refused",
     refused(upgrade(request_line="GET {path} HTTP/2.0"), or_eof=True),
     "The status for it is 505 HTTP Version Not Supported."),

    Rule(SHOULD, "RFC 9112 §2.2", GRAMMAR),
    ("1.garbage.binary", "Bytes that are not HTTP are refused, or TCP ends",
     _no_request("48 random-looking bytes, then CRLF CRLF", bytes(range(128, 176)) + b"\r\n\r\n"),
     "Answer 400 to bytes that you cannot parse; an exception in the parser must not end the server."),

    Rule(MUST, "RFC 9112 §9.6",
         'A server that receives a "close" connection option MUST initiate closure of the connection ... after it '
         "sends the final response to the request"),
    ("1.close.asked", "The server closes the connection if the client asks for it",
     closes(plain("Connection: close"), "an answer, then the end of TCP"),
     "Close the socket after the answer, at least if Connection says close."),

    Rule(INTEROP, "RFC 9112 §8",
         "The client sends nothing more.  A server that waits, or loops over empty reads, keeps a useless connection."),
    ("1.cut.head", "A head that ends with TCP is not a request",
     _no_request("GET {path} HTTP/1.1 ⏎ Host: {host} ⏎ and FIN", plain()[:-2], fin=True),
     "After the client's FIN no more bytes arrive: stop reading, and close the connection."),
)  # fmt: skip
