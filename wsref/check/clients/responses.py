"""Chapters 1 to 5: the responses that the client must accept or refuse."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable

from ..case import Play
from ..codec import PING, TEXT
from ..verdict import Failed, Skipped
from .plays import INTEROP, MUST, SHOULD, ClientRule, client_cases_of, ignores_status, refuses, takes
from .session import Client, as_server

#: Makes a response.
Made = Callable[[Client], bytes]


# -- Chapter 1: the head --------------------------------------------------------------------------


def _mapped(change: Callable[[bytes], bytes]) -> Made:
    """Return a function that makes a right response and changes its bytes."""
    return lambda client: change(client.response())


def _names(change: Callable[[str], str]) -> Made:
    def made(client: Client) -> bytes:
        first, *lines = client.response().decode("latin-1").split("\r\n")
        pairs = [line.partition(":") for line in lines]
        return "\r\n".join([first, *(change(n) + c + v for n, c, v in pairs)]).encode("latin-1")

    return made


def _endless(client: Client) -> None:
    wire, size = client.wire, 0
    wire.send(client.response()[:-2])
    while size < 4 << 20 and not wire.is_over:
        try:
            wire.send(b"X-Padding: " + b"x" * 8000 + b"\r\n")
        except Failed:
            break  # it reads no more
        wire.is_quiet(0)
        size += 8013
    if size >= 4 << 20 and not wire.ended(0.5):
        raise Failed("it reads a head of 4 MiB", "the end of TCP")


def _interim(status: str) -> Made:
    return lambda client: f"HTTP/1.1 {status}\r\nLink: </a.css>\r\n\r\n".encode() + client.response()


INSENSITIVE = "all header field names in both HTTP requests and HTTP responses are case-insensitive."

HEAD = client_cases_of(
    ClientRule(MUST, "RFC 6455 §4.1", INSENSITIVE, "Compare the names of headers in lower case.", opens=False),
    ("c1.head.lower-case", "Header names in lower case are recognised",
     takes(made=_names(str.lower), words="a 101 with names in lower case")),
    ("c1.head.upper-case", "Header names in upper case are recognised",
     takes(made=_names(str.upper), words="a 101 with names in upper case")),

    ClientRule(MUST, "RFC 9112 §5.1", "The field line value does not include that leading or trailing whitespace",
        "Remove blanks and tabs on both sides of a value.", opens=False),
    ("c1.head.no-blank", "A header needs no blank after its colon",
     takes(made=_mapped(lambda head: head.replace(b": ", b":")), words="a 101 without blanks")),
    ("c1.head.blanks", "Blanks and tabs around a value do not belong to it",
     takes(made=_mapped(lambda head: _padded(head)), words="a 101 with blanks and tabs around each value")),

    ClientRule(MUST, "RFC 9112 §2.2",
        "The normal procedure for parsing an HTTP message is to read the start-line into a structure, read each header "
        "field line into a hash table by field name until the empty line",
        "TCP is a stream: read until the empty line, however the bytes arrive."),
    ("c1.head.two-pieces", "A head in two packets is read as one", takes(words="a 101", packet_size=60)),
    ("c1.head.many-lines", "Thirty unknown headers are ignored",
     takes(*(f"X-Unknown-{i}: {i}" for i in range(30)), words="a 101 with 30 more headers")),
    ("c1.head.order", "The order of the headers does not matter",
     takes(made=_mapped(lambda head: _reversed(head)), words="a 101 with its headers in reverse order")),

    ClientRule(INTEROP, "RFC 9112 §2.2",
        "The normal procedure for parsing an HTTP message is to read the start-line into a structure, read each header "
        "field line into a hash table by field name until the empty line",
        "Read until the empty line, however the bytes arrive.  (A client may count packets as a defence against slow "
        "senders, so this is no MUST here.)"),
    ("c1.head.byte-by-byte", "A head byte by byte is read as one", takes(words="a 101", packet_size=1)),

    ClientRule(SHOULD, "RFC 9112 §4",
        "A client SHOULD ignore the reason-phrase content because it is not a reliable channel for information",
        "Read the status code only: three digits after the version.", opens=False),
    ("c1.head.phrase", "Another reason phrase changes nothing",
     takes(status_line="HTTP/1.1 101 Web Socket Protocol Handshake")),
    ("c1.head.no-phrase", "An empty reason phrase is allowed", takes(status_line="HTTP/1.1 101 ")),

    ClientRule(SHOULD, "RFC 9110 §15.2",
        "A client MUST be able to parse one or more 1xx responses received prior to a final response, even if the "
        "client does not expect one.",
        "Skip each response of the 1xx class but 101.  (A 101 is no final response, so this is no MUST here.)",
        opens=False),
    ("c1.head.after-103", "A 103 before the 101 is skipped",
     takes(made=_interim("103 Early Hints"), words="a 103, then a 101")),
    ("c1.head.after-100", "A 100 before the 101 is skipped",
     takes(made=_interim("100 Continue"), words="a 100, then a 101")),

    ClientRule(INTEROP, "RFC 6455 §10.4",
        "A head without end fills the memory of a client that has no limit.  The limit is the client's own.",
        "End TCP when the head is longer than a limit such as 64 KiB.", opens=False),
    ("c1.head.endless", "A head of 4 MiB is not read to its end",
     Play("a 101 whose headers do not end, up to 4 MiB", "the end of TCP before 4 MiB", _endless)),
)  # fmt: skip

# -- Chapter 2: Upgrade and Connection -------------------------------------------------------------

UPGRADE = (
    "If the response lacks an |Upgrade| header field or the |Upgrade| header field contains a value that is not an "
    'ASCII case-insensitive match for the value "websocket", the client MUST _Fail the WebSocket Connection_.'
)

CONNECTION = (
    "If the response lacks a |Connection| header field or the |Connection| header field doesn't contain a token that "
    'is an ASCII case-insensitive match for the value "Upgrade", the client MUST _Fail the WebSocket Connection_.'
)

CHAPTER_2 = client_cases_of(
    ClientRule(MUST, "RFC 6455 §4.1", UPGRADE,
        "Demand Upgrade, and compare its whole value with websocket, in lower case.", opens=False),
    ("c2.upgrade.missing", "A 101 without Upgrade is refused", refuses(without=("Upgrade",))),
    ("c2.upgrade.h2c", "A 101 to h2c is refused", refuses(Upgrade="h2c")),
    ("c2.upgrade.prefix", "A protocol whose name begins with websocket is refused", refuses(Upgrade="websocket2")),
    ("c2.upgrade.suffix", "A protocol whose name ends with websocket is refused", refuses(Upgrade="my-websocket")),
    ("c2.upgrade.empty", "An empty Upgrade is refused", refuses(Upgrade="")),

    ClientRule(MUST, "RFC 6455 §4.1", 'an ASCII case-insensitive match for the value "websocket"',
        "Compare in lower case.", opens=False),
    ("c2.upgrade.case", "WebSocket with capitals is accepted", takes(Upgrade="WebSocket")),
    ("c2.upgrade.upper-case", "WEBSOCKET is accepted", takes(Upgrade="WEBSOCKET")),

    ClientRule(MUST, "RFC 6455 §4.1", CONNECTION,
        "Split Connection at its commas, and look for the token upgrade, in lower case.", opens=False),
    ("c2.connection.missing", "A 101 without Connection is refused", refuses(without=("Connection",))),
    ("c2.connection.keep-alive", "Connection: keep-alive is refused", refuses(Connection="keep-alive")),
    ("c2.connection.close", "Connection: close is refused", refuses(Connection="close")),
    ("c2.connection.prefix", "A token that begins with Upgrade is another one", refuses(Connection="Upgraded")),
    ("c2.connection.suffix", "A token that ends with upgrade is another one", refuses(Connection="no-upgrade")),
    ("c2.connection.empty", "An empty Connection is refused", refuses(Connection="")),

    ClientRule(MUST, "RFC 6455 §4.1", 'a token that is an ASCII case-insensitive match for the value "Upgrade"',
        "Compare the tokens of Connection in lower case.", opens=False),
    ("c2.connection.lower-case", "Connection: upgrade is accepted", takes(Connection="upgrade")),
    ("c2.connection.upper-case", "Connection: UPGRADE is accepted", takes(Connection="UPGRADE")),

    ClientRule(SHOULD, "RFC 6455 §4.1", 'a token that is an ASCII case-insensitive match for the value "Upgrade"',
        "Connection is a list of tokens (RFC 9110 §7.6.1): split it at its commas.  (§4.2.2 has servers send the value "
        "Upgrade alone, and §4.1 lets a client refuse other responses, so this is no MUST here.)", opens=False),
    ("c2.connection.list", "Upgrade may be one of several tokens", takes(Connection="keep-alive, Upgrade")),
    ("c2.connection.list-tight", "The list needs no blanks", takes(Connection="keep-alive,Upgrade")),

    ClientRule(SHOULD, "RFC 9110 §5.3",
        "A recipient MAY combine multiple field lines within a field section that have the same field name into one "
        "field line, without changing the semantics of the message",
        "Join the values of all lines of a list header before you look for the token.", opens=False),
    ("c2.connection.two-lines", "Upgrade may be in the second of two Connection lines",
     takes("Connection: Upgrade", Connection="keep-alive")),
)  # fmt: skip

# -- Chapter 3: subprotocols and extensions --------------------------------------------------------

CHAPTER_3 = client_cases_of(
    ClientRule(MUST, "RFC 6455 §4.1",
        "this header field indicates the use of a subprotocol that was not present in the client's handshake (the "
        "server has indicated a subprotocol not requested by the client), the client MUST _Fail the WebSocket "
        "Connection_.",
        "Look for the received subprotocol among the offered ones; without an offer, any subprotocol is wrong.",
        opens=False),
    ("c3.protocol.unoffered", "A subprotocol that the client did not offer is refused",
     refuses(Sec_WebSocket_Protocol="wsref-not-offered")),
    ("c3.protocol.other-case", "An offered subprotocol in the other case is another subprotocol",
     refuses(made=lambda c: _other_case(c), words="a 101 with the offered subprotocol in the other case")),
    ("c3.protocol.list", "A list with a subprotocol that was not offered is refused",
     refuses(made=lambda c: c.response(Sec_WebSocket_Protocol=", ".join(
                 [*c.request.tokens("Sec-WebSocket-Protocol")[:1], "wsref-not-offered"])),
             words="a 101 with Sec-WebSocket-Protocol: (an offered one), wsref-not-offered")),

    ClientRule(MUST, "RFC 6455 §4.1",
        "this header field indicates the use of an extension that was not present in the client's handshake (the "
        "server has indicated an extension not requested by the client), the client MUST _Fail the WebSocket "
        "Connection_.", "Look for each received extension among the offered ones.", opens=False),
    ("c3.extension.unoffered", "An extension that the client did not offer is refused",
     refuses("Sec-WebSocket-Extensions: x-wsref-unknown")),
    ("c3.extension.deflate-unoffered", "permessage-deflate is refused if the client did not offer it",
     refuses(made=lambda c: _without_offer(c), words="a 101 with Sec-WebSocket-Extensions: permessage-deflate")),
    ("c3.extension.second", "An extension that was not offered, after an offered one, is refused",
     refuses(made=lambda c: c.response("Sec-WebSocket-Extensions: "
                                       + ", ".join([*(e.split(";")[0] for e in c.offered[:1]), "x-wsref-unknown"])),
             words="a 101 with Sec-WebSocket-Extensions: (an offered one), x-wsref-unknown")),
    ("c3.extension.second-line", "An extension that was not offered, in a second header line, is refused",
     refuses(made=lambda c: c.response(*(f"Sec-WebSocket-Extensions: {e.split(';')[0]}" for e in c.offered[:1]),
                                       "Sec-WebSocket-Extensions: x-wsref-unknown"),
             words="a 101 with two lines Sec-WebSocket-Extensions, the second with x-wsref-unknown")),
)  # fmt: skip


def _other_case(client: Client) -> bytes:
    names = client.request.tokens("Sec-WebSocket-Protocol")
    swapped = names[0].swapcase() if names else ""
    if not names or swapped in names:
        raise Skipped("the client offers no subprotocol whose case can be swapped")
    return client.response(Sec_WebSocket_Protocol=swapped)


def _without_offer(client: Client) -> bytes:
    if any(offer.startswith("permessage-deflate") for offer in client.offered):
        raise Skipped("the client offers permessage-deflate")
    return client.response("Sec-WebSocket-Extensions: permessage-deflate")


def _padded(head: bytes) -> bytes:
    first, *lines = head.split(b"\r\n")
    return b"\r\n".join([first, *(line.replace(b": ", b": \t ") + b" \t" if line else line for line in lines)])


def _reversed(head: bytes) -> bytes:
    first, *lines = head.split(b"\r\n")[:-2]
    return b"\r\n".join([first, *reversed(lines), b"", b""])


# -- Chapter 4: Sec-WebSocket-Accept ---------------------------------------------------------------


def _accept(change: Callable[[Client], str], words: str) -> Play:
    return refuses(
        made=lambda client: client.response(Sec_WebSocket_Accept=change(client)),
        words=f"a 101 whose Sec-WebSocket-Accept is {words}",
    )


def _sha1(client: Client, guid: str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11") -> bytes:
    return hashlib.sha1(client.key.encode() + guid.encode()).digest()


def _swapped(client: Client) -> str:
    return client.accept.swapcase()


ACCEPT = (
    "If the response lacks a |Sec-WebSocket-Accept| header field or the |Sec-WebSocket-Accept| contains a value other "
    "than the base64-encoded SHA-1 of the concatenation of the |Sec-WebSocket-Key| ... with the string "
    '"258EAFA5-E914-47DA-95CA-C5AB0DC85B11" but ignoring any leading and trailing whitespace, the client MUST _Fail '
    "the WebSocket Connection_."
)

CHAPTER_4 = client_cases_of(
    ClientRule(MUST, "RFC 6455 §4.1", ACCEPT,
        "Compute base64(SHA-1(key + GUID)) from the key of this request, and compare it with the whole value.",
        opens=False),
    ("c4.accept.missing", "A 101 without Sec-WebSocket-Accept is refused", refuses(without=("Sec-WebSocket-Accept",))),
    ("c4.accept.empty", "An empty Sec-WebSocket-Accept is refused", refuses(Sec_WebSocket_Accept="")),
    ("c4.accept.wrong", "The accept value of another key is refused",
     refuses(Sec_WebSocket_Accept="s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")),
    ("c4.accept.other-case", "The accept value in the other case is refused", _accept(_swapped, "in the other case")),
    ("c4.accept.prefix", "The beginning of the accept value is refused", _accept(lambda c: c.accept[:-1], "cut off")),
    ("c4.accept.longer", "A longer accept value is refused", _accept(lambda c: c.accept + "A", "one letter longer")),
    ("c4.accept.last-letter", "An accept value whose last letter differs is refused",
     _accept(lambda c: c.accept[:-2] + ("A" if c.accept[-2] != "A" else "B") + "=", "wrong in one letter")),
    ("c4.accept.key", "The key itself is refused", _accept(lambda c: c.key, "the key")),
    ("c4.accept.hex", "The hash in hex is refused", _accept(lambda c: _sha1(c).hex(), "in hex")),
    ("c4.accept.no-guid", "The hash of the key alone is refused",
     _accept(lambda c: base64.b64encode(_sha1(c, "")).decode(), "the hash without the GUID")),
    ("c4.accept.lower-guid", "The hash with the GUID in lower case is refused",
     _accept(lambda c: base64.b64encode(_sha1(c, "258eafa5-e914-47da-95ca-c5ab0dc85b11")).decode(),
             "the hash with the GUID in lower case")),

    ClientRule(MUST, "RFC 6455 §4.1", "ignoring any leading and trailing whitespace",
        "Remove blanks and tabs around the value before you compare it.", opens=False),
    ("c4.accept.blanks", "Blanks and tabs around the accept value are ignored",
     takes(made=lambda c: c.response(Sec_WebSocket_Accept=f"\t {c.accept} \t"),
           words="a 101 with blanks and tabs around the accept value")),

    ClientRule(MUST, "RFC 6455 §4.1",
        "If the server's response does not conform to the requirements for the server's handshake as defined in this "
        "section and in Section 4.2.2, the client MUST _Fail the WebSocket Connection_.",
        "Sec-WebSocket-Accept appears once (§11.3.3): refuse a response with two of them.", opens=False),
    ("c4.accept.wrong-then-right", "Two accept values, the second one right, are refused",
     refuses(made=lambda c: c.response(f"Sec-WebSocket-Accept: {c.accept}",
                                       Sec_WebSocket_Accept="s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
             words="a 101 with a wrong and a right Sec-WebSocket-Accept")),
    ("c4.accept.right-then-wrong", "Two accept values, the first one right, are refused",
     refuses("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")),

    ClientRule(SHOULD, "RFC 6455 §11.3.3",
        "The |Sec-WebSocket-Accept| header MUST NOT appear more than once in an HTTP response.",
        "The rule binds the server, so this is a SHOULD: refuse a response with two accept values.", opens=False),
    ("c4.accept.twice", "The right accept value twice is refused",
     refuses(made=lambda c: c.response(f"Sec-WebSocket-Accept: {c.accept}"),
             words="a 101 with the right Sec-WebSocket-Accept twice")),
)  # fmt: skip

# -- Chapter 5: other statuses, and the end of TCP -------------------------------------------------

STATUS = "If the status code received from the server is not 101, the client handles the response per HTTP [RFC2616] procedures."  # noqa: E501

STATUSES = {
    "200": ("200 OK",),
    "204": ("204 No Content",),
    "301": ("301 Moved Permanently",),
    "307": ("307 Temporary Redirect", "Location: /nowhere"),
    "400": ("400 Bad Request",),
    "401": ("401 Unauthorized", 'WWW-Authenticate: Basic realm="wsref"'),
    "403": ("403 Forbidden",),
    "404": ("404 Not Found",),
    "407": ("407 Proxy Authentication Required", 'Proxy-Authenticate: Basic realm="wsref"'),
    "426": ("426 Upgrade Required", "Sec-WebSocket-Version: 13"),
    "429": ("429 Too Many Requests", "Retry-After: 60"),
    "500": ("500 Internal Server Error",),
    "503": ("503 Service Unavailable",),
}

CHAPTER_5 = client_cases_of(
    ClientRule(MUST, "RFC 6455 §4.1", STATUS,
        "Only 101 opens a WebSocket, also if all other lines of the response are right.", opens=False),
    *((f"c5.status.{name}", f"Status {words[0]} opens no WebSocket", ignores_status(*words))
      for name, words in STATUSES.items()),

    ClientRule(MUST, "RFC 6455 §4.1", STATUS,
        "Parse the status line: HTTP/1.1, one blank, three digits.  Do not look for 101 anywhere in it.", opens=False),
    ("c5.status.101-in-phrase", "A 101 in the phrase of a 400 opens no WebSocket", ignores_status("400 Not 101")),
    ("c5.status.not-http", "A greeting of another protocol is refused",
     refuses(made=lambda _: b"SSH-2.0-OpenSSH_9.6\r\n\r\n", words="SSH-2.0-OpenSSH_9.6 and a blank line")),
    ("c5.status.only-frames", "Frames without a response are refused",
     refuses(made=lambda _: as_server(TEXT, b"Hello") + as_server(PING) + b"\r\n\r\n",
             words="a text, a Ping and a blank line instead of a response")),

    ClientRule(SHOULD, "RFC 9112 §4",
        "status-line = HTTP-version SP status-code SP [ reason-phrase ] ... status-code = 3DIGIT",
        "Match the whole status line: HTTP/1.1, one blank, exactly three digits.", opens=False),
    ("c5.status.four-digits", "A status of four digits is no 101", refuses(status_line="HTTP/1.1 1011 Switching")),
    ("c5.status.no-version", "A status line without a version is refused",
     refuses(status_line="101 Switching Protocols")),
    ("c5.status.other-protocol", "A status line of another protocol is refused",
     refuses(status_line="ICY/1.1 101 Switching Protocols")),
)  # fmt: skip


def _cut(client: Client) -> None:
    client.wire.send(client.response()[:-20])
    client.wire.send_fin()
    try:
        received = client.wire.frame()
    except Failed as failure:
        raise type(failure)(failure.got, "the end of TCP") from None
    if received is not None:
        raise Failed(f"it opens the WebSocket: it sent {received}", "the end of TCP")


def _nothing(client: Client) -> None:
    client.wire.send_fin()
    if not client.wire.ended():
        raise Failed("it keeps TCP open after the server's end", "the end of TCP")


ENDS = client_cases_of(
    ClientRule(MUST, "RFC 6455 §4.1",
        "If the connection could not be opened, either because a direct connection failed or because any proxy used "
        "returned an error, then the client MUST _Fail the WebSocket Connection_ and abort the connection attempt.",
        "An empty read is the end of TCP: report it, and close the socket.", opens=False),
    ("c5.end.no-response", "The end of TCP instead of a response fails the connection",
     Play("FIN", "the end of TCP", _nothing)),
    ("c5.end.in-head", "The end of TCP inside the head fails the connection",
     Play("a 101 without its last 20 bytes, and FIN", "the end of TCP", _cut)),
)  # fmt: skip

CASES = (*HEAD, *CHAPTER_2, *CHAPTER_3, *CHAPTER_4, *CHAPTER_5, *ENDS)
