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
from ..codec import USUAL, plain, upgrade
from ..plays import in_words, not_upgraded, script, upgraded
from ..session import Peer
from ..verdict import Failed
from .common import CASE_INSENSITIVE, INTEROP, MUST, NOT_NAMED, OWS, asked_plainly

TOKEN = 'A |Connection| header field that includes the token "Upgrade", treated as an ASCII case-insensitive value.'
WEBSOCKET = 'An |Upgrade| header field containing the value "websocket", treated as an ASCII case-insensitive value.'
ORDER = "the order of the header fields is not important"
HTTP_1_0 = "A server that receives an Upgrade header field in an HTTP/1.0 request MUST ignore that Upgrade field."
AS_LIST = (
    "Connection is a list: join its lines, split at commas, strip blanks and tabs, leave out what is empty, compare "
)
AS_LIST += "without case."


def _written(*lines: str) -> bytes:
    """The usual handshake, its header lines written so."""
    return "\r\n".join(["GET {path} HTTP/1.1", *lines, "", ""]).encode()


def _seen(peer: Peer) -> None:
    usual, came = asked_plainly(peer), peer.usual
    if came not in (101, 501) and (came < 400 or came == usual == 426):
        raise Failed(f"{came or 'the end of TCP'}, as to a plain request", "101; or an error that is about upgrading")


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
        "A request to upgrade is told from a plain one",
        "A server that answers it like any other request does not know yet that somebody wants a WebSocket.",
        script(in_words(upgrade()), "101, 501, or an error that a plain request does not get", _seen),
        "Is upgrade among the tokens of Connection, and is there an Upgrade header?",
    ),
    _list("list", "keep-alive, Upgrade", "The token upgrade is found among others, as Firefox sends it"),
    _list("first-of-list", "Upgrade, keep-alive", "The token upgrade is found before others"),
    _list("lower-case", "upgrade", "The token upgrade counts in lower case"),
    _list("upper-case", "UPGRADE", "The token upgrade counts in upper case"),
    _list("no-blank", "keep-alive,Upgrade", "The token upgrade is found after a comma without a blank"),
    _list("tabs", "keep-alive\t,\tUpgrade", "The token upgrade is found between tabs"),
    _list(
        "empty-elements",
        ", keep-alive,, Upgrade,",
        "Empty elements of the list are passed over",
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
        "The protocol's name counts as WebSocket, too",
        WEBSOCKET,
        upgraded(upgrade(Upgrade="WebSocket")),
        "Compare the value of Upgrade without case.",
    ),
    Case(
        "2.upgrade.upper-case",
        MUST,
        "RFC 6455 §4.2.1",
        "The protocol's name counts as WEBSOCKET, too",
        WEBSOCKET,
        upgraded(upgrade(Upgrade="WEBSOCKET")),
        "Compare the value of Upgrade without case.",
    ),
    Case(
        "2.upgrade.list",
        INTEROP,
        "RFC 9110 §7.8",
        "The name websocket is found among other protocols",
        "Upgrade is a list of protocols, of which the server takes one that it likes; clients that offer several are "
        "rare.",
        upgraded(upgrade(Upgrade="h2c, websocket")),
        "Upgrade is a list, like Connection.",
    ),
    Case(
        "2.names.lower-case",
        MUST,
        "RFC 9110 §5.1",
        "A handshake whose header names are all in lower case is taken",
        CASE_INSENSITIVE,
        upgraded(_written(*(f"{name.lower()}: {value}" for name, value in USUAL.items()))),
        "Lower the names when you read them, and look them up in lower case.",
    ),
    Case(
        "2.names.upper-case",
        MUST,
        "RFC 9110 §5.1",
        "A handshake whose header names are all in upper case is taken",
        CASE_INSENSITIVE,
        upgraded(_written(*(f"{name.upper()}: {value}" for name, value in USUAL.items()))),
        "Lower the names when you read them, and look them up in lower case.",
    ),
    Case(
        "2.names.any-order",
        MUST,
        "RFC 6455 §4.2.1",
        "A handshake whose headers come in another order is taken",
        ORDER,
        upgraded(_written(*(f"{name}: {value}" for name, value in reversed(USUAL.items())))),
        "Look headers up by name.",
    ),
    Case(
        "2.names.no-blanks",
        MUST,
        "RFC 9112 §5",
        "A handshake without blanks after the colons is taken",
        OWS,
        upgraded(_written(*(f"{name}:{value}" for name, value in USUAL.items()))),
        "Split at the first colon, then strip.",
    ),
    Case(
        "2.names.of-a-browser",
        INTEROP,
        "RFC 6455 §4.1",
        "A handshake with all that a browser adds is taken",
        "Headers that a server does not know are none of its business.",
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
        "Pass over headers that you do not know.  A page of this very server is asking: its Origin is the Host.",
    ),
    Case(
        "2.head.byte-by-byte",
        MUST,
        "RFC 9112 §2.2",
        "A handshake that comes byte by byte is taken",
        "until the empty line",
        upgraded(upgrade(), dribble=True),
        "TCP is a stream: read until \\r\\n\\r\\n is there.",
    ),
    _no_upgrade(
        "plain.get", plain(), "A plain request is not upgraded", "Without the two headers it is plain HTTP.",
        NOT_NAMED, "RFC 9110 §7.8",
    ),
    _no_upgrade(
        "plain.only-websocket-headers",
        upgrade(without=("Connection", "Upgrade")),
        "A request that has a key and a version, but neither Connection nor Upgrade, is not upgraded",
        "It is Connection and Upgrade that ask to upgrade.",
        NOT_NAMED,
        "RFC 9110 §7.8",
    ),
    _no_upgrade(
        "connection.missing",
        upgrade(without="Connection"),
        "An Upgrade without Connection is not upgraded",
        "A proxy that does not know the protocol takes Connection away, and passes Upgrade on by mistake.",
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
        "A token that holds the word upgrade is not the token upgrade",
        "Compare whole tokens: 'upgrade' in 'no-upgrade' is true in most languages.",
    ),
    _no_upgrade(
        "upgrade.missing",
        upgrade(without="Upgrade"),
        "A Connection: Upgrade without an Upgrade header is not upgraded",
        "Connection says that there is an Upgrade header; Upgrade says to what.",
        WEBSOCKET,
    ),
    _no_upgrade(
        "upgrade.nul-inside",
        upgrade(Upgrade="web\0socket"),
        "A name with a NUL in it is not websocket",
        "Refuse control characters in values (or take them for blanks); do not leave them out.",
        "MUST either reject the message or replace each of those characters with SP",
        "RFC 9110 §5.5",
    ),
    _no_upgrade(
        "line.bare-cr",
        upgrade("X-Note: a\rUpgrade: websocket", without="Upgrade"),
        "A bare CR does not end a line",
        "Split the head at \\r\\n, and refuse a \\r that is left: splitlines() splits at it.",
        "A recipient of such a bare CR MUST consider that element to be invalid or replace each bare CR with SP",
        "RFC 9112 §2.2",
    ),
    _no_upgrade(
        "line.vertical-tab",
        upgrade("X-Note: a\vUpgrade: websocket", without="Upgrade"),
        "A vertical tab does not end a line",
        "Python's str.splitlines() splits at ten characters, of which HTTP knows one pair: split at \\r\\n.",
        "A recipient MUST parse an HTTP message as a sequence of octets",
        "RFC 9112 §2.2",
    ),
    _no_upgrade(
        "http-1-0.upgrade",
        upgrade(line="GET {path} HTTP/1.0"),
        "In HTTP/1.0 nothing is upgraded",
        "Look at the version in the request line.",
        HTTP_1_0,
        "RFC 9110 §7.8",
    ),
    _no_upgrade(
        "folded.connection",
        upgrade("X-Note: a\r\n Connection: Upgrade", without="Connection"),
        "What stands in a folded line is not a header of its own",
        "A line that begins with a blank continues the one before; it is simplest to refuse it.",
        "MUST either reject the message ..., or replace each received obs-fold with one or more SP octets",
        "RFC 9112 §5.2",
    ),
    _no_upgrade(
        "folded.first-line",
        b"GET {path} HTTP/1.1\r\n Connection: Upgrade\r\n" + upgrade(without="Connection").split(b"\r\n", 1)[1],
        "A line with a blank before it, right after the request line, is not a header",
        "Do not strip header lines before you look at them.",
        "MUST either reject the message as invalid or consume each whitespace-preceded line without further processing",
        "RFC 9112 §2.2",
    ),
)  # fmt: skip
