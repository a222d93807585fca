"""Chapter 2: cases about upgrade detection.

These cases also suit a server that cannot upgrade yet: a handshake counts as accepted if it gets
the status of the ordinary handshake.
"""

from __future__ import annotations

from ..case import Case
from ..codec import DEFAULT_HEADERS, plain, upgrade
from ..plays import in_words, not_upgraded, script, upgraded
from ..session import Peer
from ..verdict import Failed
from .common import CASE_INSENSITIVE, INTEROP, MUST, NOT_NAMED, OWS, plain_status

TOKEN = 'A |Connection| header field that includes the token "Upgrade", treated as an ASCII case-insensitive value.'
WEBSOCKET = 'An |Upgrade| header field containing the value "websocket", treated as an ASCII case-insensitive value.'
ORDER = "the order of the header fields is not important"
HTTP_1_0 = "A server that receives an Upgrade header field in an HTTP/1.0 request MUST ignore that Upgrade field."
AS_LIST = "Connection is a list: join its lines, split at commas, strip blanks and tabs, drop empty elements, compare "
AS_LIST += "without case."


def _written(*lines: str) -> bytes:
    """Return the ordinary handshake with these header lines."""
    return "\r\n".join(["GET {path} HTTP/1.1", *lines, "", ""]).encode()


def _seen(peer: Peer) -> None:
    expected_status, received = plain_status(peer), peer.baseline_status
    if received not in (101, 501) and (received < 400 or received == expected_status == 426):
        raise Failed(f"{received or 'the end of TCP'}, as for a plain request", "101, or an error about upgrading")


def _list(variant: str, value: str, title: str, quote: str = TOKEN, section: str = "RFC 6455 §4.2.1") -> Case:
    request = upgrade(Connection=value)
    return Case(f"2.connection.{variant}", MUST, section, title, quote, upgraded(request), AS_LIST)


def _no_upgrade(variant: str, request: bytes, title: str, hint: str, quote: str = TOKEN, section: str = "") -> Case:
    return Case(f"2.{variant}", MUST, section or "RFC 6455 §4.2.1", title, quote, not_upgraded(request), hint)


CASES = (
    Case(
        "2.upgrade.seen",
        INTEROP,
        "RFC 6455 §4.2.2",
        "The server distinguishes a request to upgrade from a plain request",
        "A server that answers it like a plain request does not detect the upgrade.",
        script(in_words(upgrade()), "101, 501, or an error that a plain request does not get", _seen),
        "Check that Connection has the token upgrade, and that there is an Upgrade header.",
    ),
    _list("list", "keep-alive, Upgrade", "The token upgrade is found after another token, as Firefox sends it"),
    _list("first-of-list", "Upgrade, keep-alive", "The token upgrade is found before another token"),
    _list("lower-case", "upgrade", "The token upgrade is found in lower case"),
    _list("upper-case", "UPGRADE", "The token upgrade is found in upper case"),
    _list("no-blank", "keep-alive,Upgrade", "The token upgrade is found after a comma without a blank"),
    _list("tabs", "keep-alive\t,\tUpgrade", "The token upgrade is found between tabs"),
    _list(
        "empty-elements",
        ", keep-alive,, Upgrade,",
        "Empty elements of the list are ignored",
        "a recipient MUST parse and ignore a reasonable number of empty list elements",
        "RFC 9110 §5.6.1",
    ),
    Case(
        "2.connection.two-lines",
        MUST,
        "RFC 9110 §5.2",
        "The token upgrade is found in the second of two Connection lines",
        "When a field name is repeated within a section, its combined field value consists of the list of "
        "corresponding field line values within that section, concatenated in order",
        upgraded(upgrade("Connection: Upgrade", Connection="keep-alive")),
        AS_LIST,
    ),
    Case(
        "2.upgrade.mixed-case",
        MUST,
        "RFC 6455 §4.2.1",
        "The protocol name is found as WebSocket, too",
        WEBSOCKET,
        upgraded(upgrade(Upgrade="WebSocket")),
        "Compare the value of Upgrade without case.",
    ),
    Case(
        "2.upgrade.upper-case",
        MUST,
        "RFC 6455 §4.2.1",
        "The protocol name is found as WEBSOCKET, too",
        WEBSOCKET,
        upgraded(upgrade(Upgrade="WEBSOCKET")),
        "Compare the value of Upgrade without case.",
    ),
    Case(
        "2.upgrade.list",
        INTEROP,
        "RFC 9110 §7.8",
        "The name websocket is found among other protocols",
        "Upgrade is a list of protocols, and the server chooses one.  Clients that offer several are rare.",
        upgraded(upgrade(Upgrade="h2c, websocket")),
        "Upgrade is a list, like Connection.",
    ),
    Case(
        "2.names.lower-case",
        MUST,
        "RFC 9110 §5.1",
        "A handshake whose header names are all in lower case is accepted",
        CASE_INSENSITIVE,
        upgraded(_written(*(f"{name.lower()}: {value}" for name, value in DEFAULT_HEADERS.items()))),
        "Convert names to lower case when you read them, and look them up in lower case.",
    ),
    Case(
        "2.names.upper-case",
        MUST,
        "RFC 9110 §5.1",
        "A handshake whose header names are all in upper case is accepted",
        CASE_INSENSITIVE,
        upgraded(_written(*(f"{name.upper()}: {value}" for name, value in DEFAULT_HEADERS.items()))),
        "Convert names to lower case when you read them, and look them up in lower case.",
    ),
    Case(
        "2.names.any-order",
        MUST,
        "RFC 6455 §4.2.1",
        "A handshake with headers in another order is accepted",
        ORDER,
        upgraded(_written(*(f"{name}: {value}" for name, value in reversed(DEFAULT_HEADERS.items())))),
        "Look up headers by name.",
    ),
    Case(
        "2.names.no-blanks",
        MUST,
        "RFC 9112 §5",
        "A handshake without blanks after the colons is accepted",
        OWS,
        upgraded(_written(*(f"{name}:{value}" for name, value in DEFAULT_HEADERS.items()))),
        "Split at the first colon, then strip the value.",
    ),
    Case(
        "2.names.of-a-browser",
        INTEROP,
        "RFC 6455 §4.1",
        "A handshake with all headers of a browser is accepted",
        "A server ignores headers that it does not know.",
        upgraded(
            upgrade(
                "Pragma: no-cache",
                "Cache-Control: no-cache",
                "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
                "Accept: */*",
                "Accept-Language: en-US,en;q=0.5",
                "Accept-Encoding: gzip, deflate",
                "Sec-Fetch-Dest: websocket",
                "Sec-Fetch-Mode: websocket",
                "Sec-Fetch-Site: same-origin",
                "Cookie: a=1; b=2",
                "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
                "Origin: http://{host}",
                Connection="keep-alive, Upgrade",
            )
        ),
        "Ignore headers that you do not know.  The request comes from the server's own page: Origin matches Host.",
    ),
    Case(
        "2.head.byte-by-byte",
        MUST,
        "RFC 9112 §2.2",
        "A handshake that arrives byte by byte is accepted",
        "until the empty line",
        upgraded(upgrade(), byte_by_byte=True),
        "TCP is a stream: read until \\r\\n\\r\\n arrives.",
    ),
    _no_upgrade(
        "plain.get", plain(), "A plain request is not upgraded", "Without Connection and Upgrade, it is plain HTTP.",
        NOT_NAMED, "RFC 9110 §7.8",
    ),
    _no_upgrade(
        "plain.only-websocket-headers",
        upgrade(without=("Connection", "Upgrade")),
        "A request that has a key and a version, but neither Connection nor Upgrade, is not upgraded",
        "Only Connection and Upgrade together ask to upgrade.",
        NOT_NAMED,
        "RFC 9110 §7.8",
    ),
    _no_upgrade(
        "connection.missing",
        upgrade(without="Connection"),
        "An Upgrade without Connection is not upgraded",
        "A proxy that does not know the protocol removes Connection, and forwards Upgrade by mistake.",
    ),
    _no_upgrade(
        "connection.keep-alive",
        upgrade(Connection="keep-alive"),
        "An Upgrade that Connection does not name is not upgraded",
        AS_LIST,
    ),
    _no_upgrade(
        "connection.longer-word",
        upgrade(Connection="no-upgrade"),
        "A token that contains the word upgrade is not the token upgrade",
        "Compare whole tokens: 'upgrade' in 'no-upgrade' is true in most languages.",
    ),
    _no_upgrade(
        "upgrade.missing",
        upgrade(without="Upgrade"),
        "A Connection: Upgrade without an Upgrade header is not upgraded",
        "Connection announces an Upgrade header; Upgrade names the protocol.",
        WEBSOCKET,
    ),
    _no_upgrade(
        "upgrade.nul-inside",
        upgrade(Upgrade="web\0socket"),
        "A name that contains a NUL is not websocket",
        "Refuse control characters in values, or replace them with blanks; do not remove them.",
        "MUST either reject the message or replace each of those characters with SP",
        "RFC 9110 §5.5",
    ),
    _no_upgrade(
        "line.bare-cr",
        upgrade("X-Note: a\rUpgrade: websocket", without="Upgrade"),
        "A bare CR does not end a line",
        "Only CRLF ends a line: refuse a CR inside a line.",
        "A recipient of such a bare CR MUST consider that element to be invalid or replace each bare CR with SP",
        "RFC 9112 §2.2",
    ),
    _no_upgrade(
        "line.vertical-tab",
        upgrade("X-Note: a\vUpgrade: websocket", without="Upgrade"),
        "A vertical tab does not end a line",
        "Only CRLF ends a line: no other control character does, whatever your library's line splitting says.",
        "A recipient MUST parse an HTTP message as a sequence of octets",
        "RFC 9112 §2.2",
    ),
    _no_upgrade(
        "http-1-0.upgrade",
        upgrade(request_line="GET {path} HTTP/1.0"),
        "A request in HTTP/1.0 is not upgraded",
        "Check the version in the request line.",
        HTTP_1_0,
        "RFC 9110 §7.8",
    ),
    _no_upgrade(
        "folded.connection",
        upgrade("X-Note: a\r\n Connection: Upgrade", without="Connection"),
        "A folded line is not a separate header",
        "A line that begins with a blank continues the previous line; the simplest way is to refuse it.",
        "MUST either reject the message ..., or replace each received obs-fold with one or more SP octets",
        "RFC 9112 §5.2",
    ),
    _no_upgrade(
        "folded.first-line",
        b"GET {path} HTTP/1.1\r\n Connection: Upgrade\r\n" + upgrade(without="Connection").split(b"\r\n", 1)[1],
        "A line that begins with a blank, right after the request line, is not a header",
        "Do not strip header lines before you parse them.",
        "MUST either reject the message as invalid or consume each whitespace-preceded line without further processing",
        "RFC 9112 §2.2",
    ),
)  # fmt: skip
