"""Chapter 2: cases about upgrade detection.

These cases also suit a server that cannot upgrade yet: a handshake counts as accepted if it gets
the status of the ordinary handshake.
"""

from __future__ import annotations

from ..case import Play
from ..codec import DEFAULT_HEADERS, plain, upgrade
from ..plays import in_words, not_upgraded, upgraded
from ..rule import Rule, cases_of
from ..session import Peer
from ..verdict import Failed
from .common import CASE_INSENSITIVE, INTEROP, MUST, NOT_NAMED, OWS, plain_status

TOKEN = 'A |Connection| header field that includes the token "Upgrade", treated as an ASCII case-insensitive value.'
WEBSOCKET = 'An |Upgrade| header field containing the value "websocket", treated as an ASCII case-insensitive value.'

IS_A_LIST = (
    "Connection is a list: join its lines, split at commas, strip blanks and tabs, drop empty elements, compare "
    "without case."
)
LOWER_CASE_NAMES = "Convert names to lower case when you read them, and look them up in lower case."

A_BROWSER = upgrade(
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
FIRST_LINE_FOLDED = upgrade(request_line="GET {path} HTTP/1.1\r\n Connection: Upgrade", without="Connection")


def _written(*lines: str) -> bytes:
    """Return the ordinary handshake with these header lines."""
    return "\r\n".join(["GET {path} HTTP/1.1", *lines, "", ""]).encode()


def _seen(peer: Peer) -> None:
    expected_status, received = plain_status(peer), peer.baseline_status
    if received not in (101, 501) and (received < 400 or received == expected_status == 426):
        raise Failed(f"{received or 'the end of TCP'}, as for a plain request", "101, or an error about upgrading")


CASES = cases_of(
    Rule(INTEROP, "RFC 6455 §4.2.2", "A server that answers it like a plain request does not detect the upgrade."),
    ("2.upgrade.seen", "The server distinguishes a request to upgrade from a plain request",
     Play(in_words(upgrade()), "101, 501, or an error that a plain request does not get", _seen),
     "Check that Connection has the token upgrade, and that there is an Upgrade header."),

    Rule(MUST, "RFC 6455 §4.2.1", TOKEN, IS_A_LIST),
    *((f"2.connection.{name}", f"The token upgrade is found {where}", upgraded(upgrade(Connection=value)))
      for name, value, where in (
          ("list", "keep-alive, Upgrade", "after another token, as Firefox sends it"),
          ("first-of-list", "Upgrade, keep-alive", "before another token"),
          ("lower-case", "upgrade", "in lower case"),
          ("upper-case", "UPGRADE", "in upper case"),
          ("no-blank", "keep-alive,Upgrade", "after a comma without a blank"),
          ("tabs", "keep-alive\t,\tUpgrade", "between tabs"),
      )),

    Rule(MUST, "RFC 9110 §5.6.1.2",
         "a recipient MUST parse and ignore a reasonable number of empty list elements", IS_A_LIST),
    ("2.connection.empty-elements", "Empty elements of the list are ignored",
     upgraded(upgrade(Connection=", keep-alive,, Upgrade,"))),

    Rule(MUST, "RFC 9110 §5.2",
         "When a field name is repeated within a section, its combined field value consists of the list of "
         "corresponding field line values within that section, concatenated in order", IS_A_LIST),
    ("2.connection.two-lines", "The token upgrade is found in the second of two Connection lines",
     upgraded(upgrade("Connection: Upgrade", Connection="keep-alive"))),

    Rule(MUST, "RFC 6455 §4.2.1", WEBSOCKET, "Compare the value of Upgrade without case."),
    ("2.upgrade.mixed-case", "The protocol name is found as WebSocket, too", upgraded(upgrade(Upgrade="WebSocket"))),
    ("2.upgrade.upper-case", "The protocol name is found as WEBSOCKET, too", upgraded(upgrade(Upgrade="WEBSOCKET"))),

    Rule(INTEROP, "RFC 9110 §7.8",
         "Upgrade is a list of protocols, and the server chooses one.  Clients that offer several are rare."),
    ("2.upgrade.list", "The name websocket is found among other protocols",
     upgraded(upgrade(Upgrade="h2c, websocket")), "Upgrade is a list, like Connection."),

    Rule(MUST, "RFC 9110 §5.1", CASE_INSENSITIVE, LOWER_CASE_NAMES),
    ("2.names.lower-case", "A handshake whose header names are all in lower case is accepted",
     upgraded(_written(*(f"{name.lower()}: {value}" for name, value in DEFAULT_HEADERS.items())))),
    ("2.names.upper-case", "A handshake whose header names are all in upper case is accepted",
     upgraded(_written(*(f"{name.upper()}: {value}" for name, value in DEFAULT_HEADERS.items())))),

    Rule(MUST, "RFC 6455 §4.2.1", "the order of the header fields is not important"),
    ("2.names.any-order", "A handshake with headers in another order is accepted",
     upgraded(_written(*(f"{name}: {value}" for name, value in reversed(DEFAULT_HEADERS.items())))),
     "Look up headers by name."),

    Rule(MUST, "RFC 9112 §5", OWS),
    ("2.names.no-blanks", "A handshake without blanks after the colons is accepted",
     upgraded(_written(*(f"{name}:{value}" for name, value in DEFAULT_HEADERS.items()))),
     "Split at the first colon, then strip the value."),

    Rule(INTEROP, "RFC 6455 §4.1", "A server ignores headers that it does not know."),
    ("2.names.of-a-browser", "A handshake with all headers of a browser is accepted", upgraded(A_BROWSER),
     "Ignore headers that you do not know.  The request comes from the server's own page: Origin matches Host."),

    Rule(MUST, "RFC 9112 §2.2", "until the empty line"),
    ("2.head.byte-by-byte", "A handshake that arrives byte by byte is accepted",
     upgraded(upgrade(), byte_by_byte=True), "TCP is a stream: read until \\r\\n\\r\\n arrives."),

    Rule(MUST, "RFC 9110 §7.8", NOT_NAMED),
    ("2.plain.get", "A plain request is not upgraded",
     not_upgraded(plain()), "Without Connection and Upgrade, it is plain HTTP."),
    ("2.plain.only-websocket-headers",
     "A request that has a key and a version, but neither Connection nor Upgrade, is not upgraded",
     not_upgraded(upgrade(without=("Connection", "Upgrade"))), "Only Connection and Upgrade together ask to upgrade."),

    Rule(MUST, "RFC 6455 §4.2.1", TOKEN),
    ("2.connection.missing", "An Upgrade without Connection is not upgraded",
     not_upgraded(upgrade(without="Connection")),
     "A proxy that does not know the protocol removes Connection, and forwards Upgrade by mistake."),
    ("2.connection.keep-alive", "An Upgrade that Connection does not name is not upgraded",
     not_upgraded(upgrade(Connection="keep-alive")), IS_A_LIST),
    ("2.connection.longer-word", "A token that contains the word upgrade is not the token upgrade",
     not_upgraded(upgrade(Connection="no-upgrade")),
     "Compare whole tokens: 'upgrade' in 'no-upgrade' is true in most languages."),

    Rule(MUST, "RFC 6455 §4.2.1", WEBSOCKET),
    ("2.upgrade.missing", "A Connection: Upgrade without an Upgrade header is not upgraded",
     not_upgraded(upgrade(without="Upgrade")), "Connection announces an Upgrade header; Upgrade names the protocol."),

    Rule(MUST, "RFC 9110 §5.5",
         "a recipient of CR, LF, or NUL within a field value MUST either reject the message or replace each of those "
         "characters with SP before further processing"),
    ("2.upgrade.nul-inside", "A name that contains a NUL is not websocket",
     not_upgraded(upgrade(Upgrade="web\0socket")),
     "Refuse control characters in values, or replace them with blanks; do not remove them."),

    Rule(MUST, "RFC 9112 §2.2",
         "A recipient of such a bare CR MUST consider that element to be invalid or replace each bare CR with SP"),
    ("2.line.bare-cr", "A bare CR does not end a line",
     not_upgraded(upgrade("X-Note: a\rUpgrade: websocket", without="Upgrade")),
     "Only CRLF ends a line: refuse a CR inside a line."),

    Rule(MUST, "RFC 9112 §2.2",
         "A recipient MUST parse an HTTP message as a sequence of octets in an encoding that is a superset of "
         "US-ASCII"),
    ("2.line.vertical-tab", "A vertical tab does not end a line",
     not_upgraded(upgrade("X-Note: a\vUpgrade: websocket", without="Upgrade")),
     "Only CRLF ends a line: no other control character does, whatever your library's line splitting says."),

    Rule(MUST, "RFC 9110 §7.8",
         "A server that receives an Upgrade header field in an HTTP/1.0 request MUST ignore that Upgrade field."),
    ("2.http-1-0.upgrade", "A request in HTTP/1.0 is not upgraded",
     not_upgraded(upgrade(request_line="GET {path} HTTP/1.0")), "Check the version in the request line."),

    Rule(MUST, "RFC 9112 §5.2",
         "MUST either reject the message ..., or replace each received obs-fold with one or more SP octets"),
    ("2.folded.connection", "A folded line is not a separate header",
     not_upgraded(upgrade("X-Note: a\r\n Connection: Upgrade", without="Connection")),
     "A line that begins with a blank continues the previous line; the simplest way is to refuse it."),

    Rule(MUST, "RFC 9112 §2.2",
         "MUST either reject the message as invalid or consume each whitespace-preceded line without further "
         "processing"),
    ("2.folded.first-line", "A line that begins with a blank, right after the request line, is not a header",
     not_upgraded(FIRST_LINE_FOLDED), "Do not strip header lines before you parse them."),
)  # fmt: skip
