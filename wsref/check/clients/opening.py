"""Chapters 1 to 5: the client's request, and the responses that it must accept or refuse."""

from __future__ import annotations

import base64
import binascii
import hashlib
import itertools
import re
from collections.abc import Callable

from ..case import Play
from ..codec import PING, TEXT
from ..verdict import Failed, Skipped
from .plays import INTEROP, MUST, SHOULD, ignores_status, refuses, request, rule, takes
from .session import Client, as_server

#: A function that says what is wrong with a request, in words; and one that makes a response.
Judge = Callable[[Client], str]
Made = Callable[[Client], bytes]

TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"

# -- Chapter 1: the request, and the head of the response ---------------------------------------


def _number(client: Client, name: str) -> str:
    lines = client.request.lines(name)
    return "" if len(lines) == 1 else f"{len(lines)} header lines {name}"


def _version(client: Client) -> str:
    found = re.fullmatch(r"HTTP/([0-9])\.([0-9])", client.request.version)
    good = found and (int(found[1]), int(found[2])) >= (1, 1)
    return "" if good else f"the version {client.request.version!r}"


def _faults(part: str) -> Judge:
    return lambda client: "; ".join(fault for fault in client.request.faults if part in fault)


def _host(client: Client) -> str:
    hosts = client.request.lines("Host")
    if len(hosts) == 1 and not re.fullmatch(r"([0-9A-Za-z.\-_~%]+|\[[0-9A-Fa-f:.]+\])(:[0-9]*)?", hosts[0]):
        return f"Host: {hosts[0]}"
    return _number(client, "Host")


def _host_port(client: Client) -> str:
    host, port = client.request.lines("Host")[:1] or [""], client.wire.port
    return "" if host[0].endswith(f":{port}") or port == 80 else f"Host: {host[0]}, for the port {port}"


def _body(client: Client) -> str:
    lengths = [value for value in client.request.lines("Content-Length") if value != "0"]
    coded = client.request.lines("Transfer-Encoding")
    return ", ".join([f"Content-Length: {value}" for value in lengths] + [f"Transfer-Encoding: {v}" for v in coded])


def _waits(client: Client) -> None:
    if not client.wire.is_quiet(0.3):
        raise Failed("it sends bytes after its request, before the response", "nothing before the response")
    client.open()


NO_FAULT = "a head as RFC 9112 writes it"
ONE = "one header line"

REQUEST = (
    *rule(
        "c1.request",
        MUST,
        "RFC 6455 §4.1",
        "The method of the request MUST be GET, and the HTTP version MUST be at least 1.1.",
        "Send “GET /path HTTP/1.1”.",
        {
            "method": (
                "The method of the request is GET",
                request("GET", lambda c: "" if c.request.method == "GET" else f"the method {c.request.method!r}"),
            ),
            "version": ("The version of the request is at least HTTP/1.1", request("HTTP/1.1", _version)),
        },
    ),
    *rule(
        "c1.request",
        MUST,
        "RFC 6455 §4.1",
        "The handshake MUST be a valid HTTP request as specified by [RFC2616].",
        "Write METHOD SP TARGET SP HTTP/1.1 CRLF, then NAME: VALUE CRLF for each header, then CRLF.",
        {
            "line": ("The request line is well formed", request(NO_FAULT, _faults("the request line"))),
            "crlf": ("Each line of the request ends in CRLF", request(NO_FAULT, _faults("bare LF"))),
            "headers": ("Each header line is NAME: VALUE", request(NO_FAULT, _faults("the header line"))),
            "fragment": (
                "The target of the request has no fragment",
                request("a target without #", lambda c: c.request.target if "#" in c.request.target else ""),
            ),
        },
    ),
    *rule(
        "c1.host",
        MUST,
        "RFC 6455 §4.1",
        'The request MUST contain a |Host| header field whose value contains /host/ plus optionally ":" followed by '
        "/port/ (when not using the default port).",
        "Send Host once, with the host of the URL, and its port if it is not 80 (ws) or 443 (wss).",
        {"one": ("The request has one Host, which is a host and perhaps a port", request("one Host", _host))},
    ),
    *rule(
        "c1.host",
        SHOULD,
        "RFC 6455 §4.1",
        'The request MUST contain a |Host| header field whose value contains /host/ plus optionally ":" followed by '
        "/port/ (when not using the default port).",
        "A server behind a proxy may have another port, so this is no MUST here.  Add the port of the URL to Host.",
        {"port": ("Host has the port of the server", request("the port of the URL", _host_port))},
    ),
    *rule(
        "c1.request",
        SHOULD,
        "RFC 9110 §9.3.1",
        "A client SHOULD NOT generate content in a GET request",
        "The request ends with its blank line: no Content-Length, no Transfer-Encoding.",
        {"body": ("The request has no content", request("no content", _body))},
    ),
    *rule(
        "c1.request",
        MUST,
        "RFC 6455 §4.1",
        "Once the client's opening handshake has been sent, the client MUST wait for a response from the server "
        "before sending any further data.",
        "Send no frame before the 101 is validated.",
        {
            "waits": (
                "The client waits for the response before it sends more",
                Play("nothing for 0.3 s, then an ordinary 101", "silence before the 101", _waits),
            )
        },
    ),
)


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
HEAD = (
    *rule(
        "c1.head",
        MUST,
        "RFC 6455 §4.1",
        INSENSITIVE,
        "Compare the names of headers in lower case.",
        {
            "lower-case": (
                "Header names in lower case are recognised",
                takes(made=_names(str.lower), words="a 101 with names in lower case"),
            ),
            "upper-case": (
                "Header names in upper case are recognised",
                takes(made=_names(str.upper), words="a 101 with names in upper case"),
            ),
        },
        opens=False,
    ),
    *rule(
        "c1.head",
        MUST,
        "RFC 9112 §5.1",
        "The field line value does not include that leading or trailing whitespace",
        "Remove blanks and tabs on both sides of a value.",
        {
            "no-blank": (
                "A header needs no blank after its colon",
                takes(made=_mapped(lambda head: head.replace(b": ", b":")), words="a 101 without blanks"),
            ),
            "blanks": (
                "Blanks and tabs around a value do not belong to it",
                takes(
                    made=_mapped(lambda head: _padded(head)),
                    words="a 101 with blanks and tabs around each value",
                ),
            ),
        },
        opens=False,
    ),
    *rule(
        "c1.head",
        MUST,
        "RFC 9112 §2.2",
        "The normal procedure for parsing an HTTP message is to read the start-line into a structure, read each header "
        "field line into a hash table by field name until the empty line",
        "TCP is a stream: read until the empty line, however the bytes arrive.",
        {
            "two-pieces": (
                "A head in two packets is read as one",
                takes(words="a 101", packet_size=60),
            ),
            "byte-by-byte": ("A head byte by byte is read as one", takes(words="a 101", packet_size=1)),
            "many-lines": (
                "Thirty unknown headers are ignored",
                takes(*(f"X-Unknown-{i}: {i}" for i in range(30)), words="a 101 with 30 more headers"),
            ),
            "order": (
                "The order of the headers does not matter",
                takes(made=_mapped(lambda head: _reversed(head)), words="a 101 with its headers in reverse order"),
            ),
        },
    ),
    *rule(
        "c1.head",
        SHOULD,
        "RFC 9112 §4",
        "A client SHOULD ignore the reason-phrase content because it is not a reliable channel for information",
        "Read the status code only: three digits after the version.",
        {
            "phrase": (
                "Another reason phrase changes nothing",
                takes(status_line="HTTP/1.1 101 Web Socket Protocol Handshake"),
            ),
            "no-phrase": ("An empty reason phrase is allowed", takes(status_line="HTTP/1.1 101 ")),
        },
        opens=False,
    ),
    *rule(
        "c1.head",
        SHOULD,
        "RFC 9110 §15.2",
        "A client MUST be able to parse one or more 1xx responses received prior to a final response, even if the "
        "client does not expect one.",
        "Skip each response of the 1xx class but 101.  (A 101 is no final response, so this is no MUST here.)",
        {
            "after-103": (
                "A 103 before the 101 is skipped",
                takes(made=_interim("103 Early Hints"), words="a 103, then a 101"),
            ),
            "after-100": (
                "A 100 before the 101 is skipped",
                takes(made=_interim("100 Continue"), words="a 100, then a 101"),
            ),
        },
        opens=False,
    ),
    *rule(
        "c1.head",
        INTEROP,
        "RFC 6455 §10.4",
        "A head without end fills the memory of a client that has no limit.  The limit is the client's own.",
        "End TCP when the head is longer than a limit such as 64 KiB.",
        {
            "endless": (
                "A head of 4 MiB is not read to its end",
                Play("a 101 whose headers do not end, up to 4 MiB", "the end of TCP before 4 MiB", _endless),
            ),
        },
        opens=False,
    ),
)


# -- Chapter 2: Upgrade and Connection ------------------------------------------------------------


def _names_token(name: str, token: str) -> Judge:
    def judge(client: Client) -> str:
        tokens = [word.lower().partition("/")[0] for word in client.request.tokens(name)]
        return "" if token in tokens else f"{name}: {', '.join(client.request.lines(name)) or '(missing)'}"

    return judge


UPGRADE = (
    "If the response lacks an |Upgrade| header field or the |Upgrade| header field contains a value that is not an "
    'ASCII case-insensitive match for the value "websocket", the client MUST _Fail the WebSocket Connection_.'
)
CONNECTION = (
    "If the response lacks a |Connection| header field or the |Connection| header field doesn't contain a token that "
    'is an ASCII case-insensitive match for the value "Upgrade", the client MUST _Fail the WebSocket Connection_.'
)
CHAPTER_2 = (
    *rule(
        "c2.request",
        MUST,
        "RFC 6455 §4.1",
        'The request MUST contain an |Upgrade| header field whose value MUST include the "websocket" keyword.',
        "Send Upgrade: websocket.",
        {"upgrade": ("Upgrade names websocket", request("Upgrade: websocket", _names_token("Upgrade", "websocket")))},
    ),
    *rule(
        "c2.request",
        MUST,
        "RFC 6455 §4.1",
        'The request MUST contain a |Connection| header field whose value MUST include the "Upgrade" token.',
        "Send Connection: Upgrade.",
        {
            "connection": (
                "Connection has the token Upgrade",
                request("Connection: Upgrade", _names_token("Connection", "upgrade")),
            )
        },
    ),
    *rule(
        "c2.upgrade",
        MUST,
        "RFC 6455 §4.1",
        UPGRADE,
        "Demand Upgrade, and compare its whole value with websocket, in lower case.",
        {
            "missing": ("A 101 without Upgrade is refused", refuses(without=("Upgrade",))),
            "h2c": ("A 101 to h2c is refused", refuses(Upgrade="h2c")),
            "prefix": ("A protocol whose name begins with websocket is refused", refuses(Upgrade="websocket2")),
            "suffix": ("A protocol whose name ends with websocket is refused", refuses(Upgrade="my-websocket")),
            "empty": ("An empty Upgrade is refused", refuses(Upgrade="")),
        },
        opens=False,
    ),
    *rule(
        "c2.upgrade",
        MUST,
        "RFC 6455 §4.1",
        'an ASCII case-insensitive match for the value "websocket"',
        "Compare in lower case.",
        {
            "case": ("WebSocket with capitals is accepted", takes(Upgrade="WebSocket")),
            "upper-case": ("WEBSOCKET is accepted", takes(Upgrade="WEBSOCKET")),
        },
        opens=False,
    ),
    *rule(
        "c2.connection",
        MUST,
        "RFC 6455 §4.1",
        CONNECTION,
        "Split Connection at its commas, and look for the token upgrade, in lower case.",
        {
            "missing": ("A 101 without Connection is refused", refuses(without=("Connection",))),
            "keep-alive": ("Connection: keep-alive is refused", refuses(Connection="keep-alive")),
            "close": ("Connection: close is refused", refuses(Connection="close")),
            "prefix": ("A token that begins with Upgrade is another one", refuses(Connection="Upgraded")),
            "suffix": ("A token that ends with upgrade is another one", refuses(Connection="no-upgrade")),
            "empty": ("An empty Connection is refused", refuses(Connection="")),
        },
        opens=False,
    ),
    *rule(
        "c2.connection",
        MUST,
        "RFC 6455 §4.1",
        'a token that is an ASCII case-insensitive match for the value "Upgrade"',
        "Connection is a list of tokens: split it at its commas, and compare in lower case.",
        {
            "lower-case": ("Connection: upgrade is accepted", takes(Connection="upgrade")),
            "upper-case": ("Connection: UPGRADE is accepted", takes(Connection="UPGRADE")),
            "list": ("Upgrade may be one of several tokens", takes(Connection="keep-alive, Upgrade")),
            "list-tight": ("The list needs no blanks", takes(Connection="keep-alive,Upgrade")),
        },
        opens=False,
    ),
    *rule(
        "c2.connection",
        SHOULD,
        "RFC 9110 §5.3",
        "A recipient MAY combine multiple field lines within a field section that have the same field name into one "
        "field line, without changing the semantics of the message",
        "Join the values of all lines of a list header before you look for the token.",
        {
            "two-lines": (
                "Upgrade may be in the second of two Connection lines",
                takes("Connection: Upgrade", Connection="keep-alive"),
            )
        },
        opens=False,
    ),
)

# -- Chapter 3: key, version, subprotocols, extensions ----------------------------------------------


def _decoded(client: Client) -> bytes | None:
    try:
        return base64.b64decode(client.key, validate=True)
    except (binascii.Error, ValueError):
        return None


def _key(client: Client) -> str:
    found = _decoded(client)
    if found is None or len(found) != 16:
        return f"Sec-WebSocket-Key: {client.key}"
    return ""


#: Keys that documents print, so that programs copy them.
PRINTED = (
    "dGhlIHNhbXBsZSBub25jZQ==",
    "AQIDBAUGBwgJCgsMDQ4PEC==",
    "AQIDBAUGBwgJCgsMDQ4PEA==",
    "x3JJHMbDL1EzLkh9GBhXDw==",
)


def _random(client: Client) -> str:
    found = _decoded(client) or b""
    steps = {(b - a) % 256 for a, b in itertools.pairwise(found)}  # one step: all alike, or counting
    if client.key in PRINTED or len(steps) == 1:
        return f"Sec-WebSocket-Key: {client.key}, which is not random"
    return ""


def _fresh(client: Client) -> None:
    client.open()
    if not client.agent.keys:
        raise Skipped("this is the first connection of the client, so no earlier key is known")
    if client.key in client.agent.keys:
        raise Failed(f"Sec-WebSocket-Key: {client.key}, as in an earlier connection", "another key")


def _is_version_13(client: Client) -> str:
    lines = client.request.lines("Sec-WebSocket-Version")
    return "" if lines[:1] == ["13"] else f"Sec-WebSocket-Version: {', '.join(lines) or '(missing)'}"


def _protocols(client: Client) -> str:
    names = [name.strip() for value in client.request.lines("Sec-WebSocket-Protocol") for name in value.split(",")]
    wrong = [name for name in names if not re.fullmatch(TOKEN, name)]
    if wrong:
        return f"the subprotocol {wrong[0]!r}"
    return f"the subprotocols {', '.join(names)}: one of them twice" if len(set(names)) < len(names) else ""


EXTENSION = rf'{TOKEN}([ \t]*;[ \t]*{TOKEN}([ \t]*=[ \t]*({TOKEN}|"{TOKEN}"))?)*'


def _extensions(client: Client) -> str:
    value = ",".join(client.request.lines("Sec-WebSocket-Extensions"))
    good = not client.request.lines("Sec-WebSocket-Extensions") or re.fullmatch(
        rf"[ \t,]*{EXTENSION}([ \t]*,([ \t]*{EXTENSION})?)*[ \t]*", value
    )
    return "" if good else f"Sec-WebSocket-Extensions: {value}"


KNOWN = {
    "server_no_context_takeover": None,
    "client_no_context_takeover": None,
    "server_max_window_bits": "8|9|1[0-5]",
    "client_max_window_bits": "|8|9|1[0-5]",
}


def _offer(client: Client) -> str:
    for offer in client.offered:
        name, *parameters = (part.strip() for part in offer.split(";"))
        if name != "permessage-deflate":
            continue
        names = [parameter.partition("=")[0].strip() for parameter in parameters]
        for parameter in parameters:
            key, equals, value = (part.strip(' "') for part in parameter.partition("="))
            if key not in KNOWN or names.count(key) > 1:
                return f"the offer {offer!r}: {key}"
            pattern = KNOWN[key]
            if (pattern is None and equals) or (pattern is not None and not re.fullmatch(pattern, value)):
                return f"the offer {offer!r}: {parameter}"
    return ""


NONCE = (
    "The value of this header field MUST be a nonce consisting of a randomly selected 16-byte value that has been "
    "base64-encoded ...  The nonce MUST be selected randomly for each connection."
)
CHAPTER_3 = (
    *rule(
        "c3.key",
        MUST,
        "RFC 6455 §4.1",
        NONCE,
        "Make 16 random bytes for each connection, and encode them in base64: 24 characters.",
        {
            "16-bytes": ("The key is 16 bytes in base64", request("16 bytes in base64", _key)),
            "random": (
                "The key is not one that a document prints, and not a pattern",
                request("a random key", _random),
            ),
            "fresh": (
                "Each connection has another key",
                Play("an ordinary 101", "a key that no earlier connection had", _fresh),
            ),
        },
    ),
    *rule(
        "c3.key",
        MUST,
        "RFC 6455 §11.3.1",
        "The |Sec-WebSocket-Key| header field MUST NOT appear more than once in an HTTP request.",
        "Send Sec-WebSocket-Key once.",
        {"one": ("The request has one key", request(ONE, lambda c: _number(c, "Sec-WebSocket-Key")))},
    ),
    *rule(
        "c3.version",
        MUST,
        "RFC 6455 §4.1",
        "The request MUST include a header field with the name |Sec-WebSocket-Version|.  The value of this header "
        "field MUST be 13.",
        "Send Sec-WebSocket-Version: 13, once.",
        {
            "13": (
                "The version is 13",
                request(
                    "Sec-WebSocket-Version: 13",
                    _is_version_13,
                ),
            ),
            "one": ("The request has one version", request(ONE, lambda c: _number(c, "Sec-WebSocket-Version"))),
        },
    ),
    *rule(
        "c3.protocol",
        MUST,
        "RFC 6455 §4.1",
        "The elements that comprise this value MUST be non-empty strings with characters in the range U+0021 to U+007E "
        "not including separator characters as defined in [RFC2616] and MUST all be unique strings.",
        "Check the caller's subprotocols before you send them: tokens, each one once; without one, send no header.",
        {"tokens": ("Offered subprotocols are tokens, each one once", request("tokens, or no header", _protocols))},
    ),
    *rule(
        "c3.extensions",
        MUST,
        "RFC 6455 §9.1",
        "Sec-WebSocket-Extensions = extension-list",
        "Write NAME; PARAMETER=VALUE, NAME; without an extension, send no header.",
        {"grammar": ("Offered extensions follow the grammar", request("the grammar of §9.1", _extensions))},
    ),
    *rule(
        "c3.extensions",
        MUST,
        "RFC 7692 §7",
        "A server MUST decline an extension negotiation offer for this extension if ... The negotiation offer contains "
        "an extension parameter not defined for use in an offer.",
        "Offer only the four parameters of RFC 7692, each one once, with a value from 8 to 15 where there is one.",
        {"deflate": ("An offer of permessage-deflate has only valid parameters", request("a valid offer", _offer))},
    ),
    *rule(
        "c3.protocol",
        MUST,
        "RFC 6455 §4.1",
        "this header field indicates the use of a subprotocol that was not present in the client's handshake (the "
        "server has indicated a subprotocol not requested by the client), the client MUST _Fail the WebSocket "
        "Connection_.",
        "Look for the received subprotocol among the offered ones; without an offer, any subprotocol is wrong.",
        {
            "unoffered": (
                "A subprotocol that the client did not offer is refused",
                refuses(Sec_WebSocket_Protocol="wsref-not-offered"),
            ),
            "other-case": (
                "An offered subprotocol in the other case is another subprotocol",
                refuses(made=lambda c: _other_case(c), words="a 101 with the offered subprotocol in the other case"),
            ),
            "list": (
                "A list with a subprotocol that was not offered is refused",
                refuses(
                    made=lambda c: c.response(
                        Sec_WebSocket_Protocol=", ".join(
                            [*c.request.tokens("Sec-WebSocket-Protocol")[:1], "wsref-not-offered"]
                        )
                    ),
                    words="a 101 with Sec-WebSocket-Protocol: (an offered one), wsref-not-offered",
                ),
            ),
        },
        opens=False,
    ),
    *rule(
        "c3.extension",
        MUST,
        "RFC 6455 §4.1",
        "this header field indicates the use of an extension that was not present in the client's handshake (the "
        "server has indicated an extension not requested by the client), the client MUST _Fail the WebSocket "
        "Connection_.",
        "Look for each received extension among the offered ones.",
        {
            "unoffered": (
                "An extension that the client did not offer is refused",
                refuses("Sec-WebSocket-Extensions: x-wsref-unknown"),
            ),
            "deflate-unoffered": (
                "permessage-deflate is refused if the client did not offer it",
                refuses(
                    made=lambda c: _without_offer(c), words="a 101 with Sec-WebSocket-Extensions: permessage-deflate"
                ),
            ),
            "second": (
                "An extension that was not offered, after an offered one, is refused",
                refuses(
                    made=lambda c: c.response(
                        "Sec-WebSocket-Extensions: "
                        + ", ".join([*(e.split(";")[0] for e in c.offered[:1]), "x-wsref-unknown"])
                    ),
                    words="a 101 with Sec-WebSocket-Extensions: (an offered one), x-wsref-unknown",
                ),
            ),
            "second-line": (
                "An extension that was not offered, in a second header line, is refused",
                refuses(
                    made=lambda c: c.response(
                        *(f"Sec-WebSocket-Extensions: {e.split(';')[0]}" for e in c.offered[:1]),
                        "Sec-WebSocket-Extensions: x-wsref-unknown",
                    ),
                    words="a 101 with two lines Sec-WebSocket-Extensions, the second with x-wsref-unknown",
                ),
            ),
        },
        opens=False,
    ),
)


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


# -- Chapter 4: Sec-WebSocket-Accept --------------------------------------------------------------


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
CHAPTER_4 = (
    *rule(
        "c4.accept",
        MUST,
        "RFC 6455 §4.1",
        ACCEPT,
        "Compute base64(SHA-1(key + GUID)) from the key of this request, and compare it with the whole value.",
        {
            "missing": ("A 101 without Sec-WebSocket-Accept is refused", refuses(without=("Sec-WebSocket-Accept",))),
            "empty": ("An empty Sec-WebSocket-Accept is refused", refuses(Sec_WebSocket_Accept="")),
            "wrong": (
                "The accept value of another key is refused",
                refuses(Sec_WebSocket_Accept="s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
            ),
            "other-case": ("The accept value in the other case is refused", _accept(_swapped, "in the other case")),
            "prefix": ("The beginning of the accept value is refused", _accept(lambda c: c.accept[:-1], "cut off")),
            "longer": ("A longer accept value is refused", _accept(lambda c: c.accept + "A", "one letter longer")),
            "last-letter": (
                "An accept value whose last letter differs is refused",
                _accept(lambda c: c.accept[:-2] + ("A" if c.accept[-2] != "A" else "B") + "=", "wrong in one letter"),
            ),
            "key": ("The key itself is refused", _accept(lambda c: c.key, "the key")),
            "hex": ("The hash in hex is refused", _accept(lambda c: _sha1(c).hex(), "in hex")),
            "no-guid": (
                "The hash of the key alone is refused",
                _accept(lambda c: base64.b64encode(_sha1(c, "")).decode(), "the hash without the GUID"),
            ),
            "lower-guid": (
                "The hash with the GUID in lower case is refused",
                _accept(
                    lambda c: base64.b64encode(_sha1(c, "258eafa5-e914-47da-95ca-c5ab0dc85b11")).decode(),
                    "the hash with the GUID in lower case",
                ),
            ),
        },
        opens=False,
    ),
    *rule(
        "c4.accept",
        MUST,
        "RFC 6455 §4.1",
        "ignoring any leading and trailing whitespace",
        "Remove blanks and tabs around the value before you compare it.",
        {
            "blanks": (
                "Blanks and tabs around the accept value are ignored",
                takes(
                    made=lambda c: c.response(Sec_WebSocket_Accept=f"\t {c.accept} \t"),
                    words="a 101 with blanks and tabs around the accept value",
                ),
            )
        },
        opens=False,
    ),
    *rule(
        "c4.accept",
        MUST,
        "RFC 6455 §4.1",
        "If the server's response does not conform to the requirements for the server's handshake as defined in this "
        "section and in Section 4.2.2, the client MUST _Fail the WebSocket Connection_.",
        "Sec-WebSocket-Accept appears once (§11.3.3): refuse a response with two of them.",
        {
            "wrong-then-right": (
                "Two accept values, the second one right, are refused",
                refuses(
                    made=lambda c: c.response(
                        f"Sec-WebSocket-Accept: {c.accept}", Sec_WebSocket_Accept="s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
                    ),
                    words="a 101 with a wrong and a right Sec-WebSocket-Accept",
                ),
            ),
            "right-then-wrong": (
                "Two accept values, the first one right, are refused",
                refuses("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
            ),
        },
        opens=False,
    ),
    *rule(
        "c4.accept",
        SHOULD,
        "RFC 6455 §11.3.3",
        "The |Sec-WebSocket-Accept| header MUST NOT appear more than once in an HTTP response.",
        "The rule binds the server, so this is a SHOULD: refuse a response with two accept values.",
        {
            "twice": (
                "The right accept value twice is refused",
                refuses(
                    made=lambda c: c.response(f"Sec-WebSocket-Accept: {c.accept}"),
                    words="a 101 with the right Sec-WebSocket-Accept twice",
                ),
            )
        },
        opens=False,
    ),
)

# -- Chapter 5: other statuses ----------------------------------------------------------------------

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
CHAPTER_5 = (
    *rule(
        "c5.status",
        MUST,
        "RFC 6455 §4.1",
        STATUS,
        "Only 101 opens a WebSocket, also if all other lines of the response are right.",
        {name: (f"Status {words[0]} opens no WebSocket", ignores_status(*words)) for name, words in STATUSES.items()},
        opens=False,
    ),
    *rule(
        "c5.status",
        MUST,
        "RFC 6455 §4.1",
        STATUS,
        "Parse the status line: HTTP/1.1, one blank, three digits.  Do not look for 101 anywhere in it.",
        {
            "101-in-phrase": ("A 101 in the phrase of a 400 opens no WebSocket", ignores_status("400 Not 101")),
            "not-http": (
                "A greeting of another protocol is refused",
                refuses(made=lambda _: b"SSH-2.0-OpenSSH_9.6\r\n\r\n", words="SSH-2.0-OpenSSH_9.6 and a blank line"),
            ),
            "only-frames": (
                "Frames without a response are refused",
                refuses(
                    made=lambda _: as_server(TEXT, b"Hello") + as_server(PING) + b"\r\n\r\n",
                    words="a text, a Ping and a blank line instead of a response",
                ),
            ),
        },
        opens=False,
    ),
    *rule(
        "c5.status",
        SHOULD,
        "RFC 9112 §4",
        "status-line = HTTP-version SP status-code SP [ reason-phrase ] ... status-code = 3DIGIT",
        "Match the whole status line: HTTP/1.1, one blank, exactly three digits.",
        {
            "four-digits": ("A status of four digits is no 101", refuses(status_line="HTTP/1.1 1011 Switching")),
            "no-version": (
                "A status line without a version is refused",
                refuses(status_line="101 Switching Protocols"),
            ),
            "other-protocol": (
                "A status line of another protocol is refused",
                refuses(status_line="ICY/1.1 101 Switching Protocols"),
            ),
        },
        opens=False,
    ),
)


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


ENDS = rule(
    "c5.end",
    MUST,
    "RFC 6455 §4.1",
    "If the connection could not be opened, either because a direct connection failed or because any proxy used "
    "returned an error, then the client MUST _Fail the WebSocket Connection_ and abort the connection attempt.",
    "An empty read is the end of TCP: report it, and close the socket.",
    {
        "no-response": (
            "The end of TCP instead of a response fails the connection",
            Play("FIN", "the end of TCP", _nothing),
        ),
        "in-head": (
            "The end of TCP inside the head fails the connection",
            Play("a 101 without its last 20 bytes, and FIN", "the end of TCP", _cut),
        ),
    },
    opens=False,
)

CASES = (*REQUEST, *HEAD, *CHAPTER_2, *CHAPTER_3, *CHAPTER_4, *CHAPTER_5, *ENDS)
