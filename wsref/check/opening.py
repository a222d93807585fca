"""Chapters 2 to 5: the cases about the opening handshake.

A refusal may have any status from 400 to 599: the RFC says "an appropriate HTTP error code
(such as 400 Bad Request)".  Or TCP ends: whoever sees a handshake that is not as expected "MAY
drop the TCP connection" and "SHOULD return an appropriate HTTP status code" (RFC 6455 §10.7).
So one case looks whether there is an answer, and the others at what they are about.

Chapters 2 and 3 make sense for a server that cannot upgrade yet: a handshake is taken if it is
answered as the ordinary one is.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable

from .case import Case
from .codec import KEY, USUAL, Answer, accept_for, plain, text, upgrade
from .http_base import NAMES, OWS, asked_plainly, right_length, well_formed
from .peer import Peer
from .plays import accepted, answered, in_words, not_upgraded, refused, script, upgraded
from .verdict import Failed, Level, Skipped

MUST, SHOULD, INTEROP = Level.MUST, Level.SHOULD, Level.INTEROP

# -- Chapter 2: upgrade detection ----------------------------------------------------------------

TOKEN = 'A |Connection| header field that includes the token "Upgrade", treated as an ASCII case-insensitive value.'
WEBSOCKET = 'An |Upgrade| header field containing the value "websocket", treated as an ASCII case-insensitive value.'
ORDER = "the order of the header fields is not important"
HTTP_1_0 = "A server that receives an Upgrade header field in an HTTP/1.0 request MUST ignore that Upgrade field."
NOT_NAMED = (
    "A server MUST NOT switch to a protocol that was not indicated by the client in the corresponding request's "
)
NOT_NAMED += "Upgrade header field."
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


DETECTION = (
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
        NAMES,
        upgraded(_written(*(f"{name.lower()}: {value}" for name, value in USUAL.items()))),
        "Lower the names when you read them, and look them up in lower case.",
    ),
    Case(
        "2.names.upper-case",
        MUST,
        "RFC 9110 §5.1",
        "A handshake whose header names are all in upper case is taken",
        NAMES,
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

# -- Chapter 3: validation -------------------------------------------------------------------------

STOP = (
    "the server MUST stop processing the client's handshake and return an HTTP response with an appropriate error code "
)
STOP += "(such as 400 Bad Request)"
GET = "An HTTP/1.1 or higher GET request"
A_KEY = "A |Sec-WebSocket-Key| header field with a base64-encoded ... value that, when decoded, is 16 bytes in length."
A_VERSION = "A |Sec-WebSocket-Version| header field, with a value of 13."
ABNF = "including but not limited to any violations of the ABNF grammar specified for the components of the handshake"
LISTED = (
    "the server MUST abort the WebSocket handshake ... and instead send an appropriate HTTP error code (such as 426 "
)
LISTED += (
    "Upgrade Required) and a |Sec-WebSocket-Version| header field indicating the version(s) the server is capable of "
)
LISTED += "understanding"
PATTERN = (
    "Match [+/0-9A-Za-z]{22}==, or decode strictly and count 16 bytes: the article's 24 characters are not enough."
)


def _key(variant: str, value: str, title: str, level: Level = SHOULD) -> Case:
    # SHOULD, as §4.2.2 adds: "It is not necessary for the server to base64-decode" the key.
    return Case(
        f"3.key.{variant}",
        level,
        "RFC 6455 §4.2.1",
        title,
        A_KEY,
        refused(upgrade(Sec_WebSocket_Key=value), hanging_up=True),
        PATTERN,
    )


def _version(variant: str, value: str, title: str) -> Case:
    return Case(
        f"3.version.{variant}",
        MUST,
        "RFC 6455 §4.2.1",
        title,
        A_VERSION,
        refused(upgrade(Sec_WebSocket_Version=value), hanging_up=True),
        "Compare it as text with '13': Python's int() takes '+13', '013', '1_3' and digits of other scripts for 13.",
    )


def _method(method: str, title: str) -> Case:
    return Case(
        f"3.method.{method.lower() if method != 'get' else 'lower-case'}",
        MUST,
        "RFC 6455 §4.2.1",
        title,
        GET,
        not_upgraded(upgrade(line=f"{method} {{path}} HTTP/1.1")),
        "The method is GET, in upper case; anything else is no handshake: refuse it, with 400 or 405.",
    )


def _allow(peer: Peer, answer: Answer) -> None:
    if answer.status == 405 and not answer.lines("Allow"):
        raise Failed("405 without Allow", "Allow: GET")


def _lists_versions(peer: Peer, answer: Answer) -> None:
    if not 400 <= answer.status <= 599:
        raise Failed(str(answer), "a status from 400 to 599")
    if "13" not in answer.tokens("Sec-WebSocket-Version"):
        came = ", ".join(answer.lines("Sec-WebSocket-Version")) or "none"
        raise Failed(
            f"{answer}, with Sec-WebSocket-Version: {came}", "Sec-WebSocket-Version: 13, or a list with 13 in it"
        )


def _taken_or_refused(peer: Peer) -> None:
    line = peer.dial()
    line.send(upgrade(Sec_WebSocket_Version="8"))
    answer = line.answer()
    if answer is not None and answer.status != 101 and not 400 <= answer.status <= 599:
        raise Failed(str(answer), "101, or a status from 400 to 599, or the end of TCP")


FRAMING = "If this is in a request message, the server MUST respond with a 400 (Bad Request) status code and then "
FRAMING += "close the connection."


def _body(variant: str, title: str, section: str, quote: str, *lines: str, body: bytes = b"") -> Case:
    return Case(
        f"3.body.{variant}",
        MUST,
        section,
        title,
        quote,
        refused(upgrade(*lines) + body, hanging_up=True),
        "Refuse a handshake with Content-Length (0 may pass) or Transfer-Encoding: where the body ends is not clear.",
    )


def _body_is_not_frames(peer: Peer) -> None:
    line, inside = peer.dial(), text("Hello")
    line.send(upgrade(f"Content-Length: {len(inside)}") + inside)
    answer = line.answer()
    if answer is not None and answer.status == 101:
        line.send(text("after it"))
        if (came := line.message()).payload == b"Hello":
            raise Failed(f"the body was taken for a frame: {came} came back", "a refusal; or 101, and no echo of it")


VALIDATION = (
    _method("POST", "A POST is not upgraded"),
    _method("PUT", "A PUT is not upgraded"),
    _method("HEAD", "A HEAD is not upgraded"),
    _method("OPTIONS", "An OPTIONS is not upgraded"),
    _method("get", "The method get, in lower case, is another one, and not upgraded"),
    Case(
        "3.method.allow",
        MUST,
        "RFC 9110 §15.5.6",
        "If another method gets 405, the refusal says which are allowed",
        "The origin server MUST generate an Allow header field in a 405 response",
        answered(upgrade(line="POST {path} HTTP/1.1"), "a 405 with Allow, or another status", _allow),
        "405 needs Allow: GET beside it; 400 does not.",
    ),
    Case(
        "3.upgrade.another",
        MUST,
        "RFC 9110 §7.8",
        "An upgrade to another protocol does not get a WebSocket",
        NOT_NAMED,
        not_upgraded(upgrade(Upgrade="h2c")),
        "Is websocket among the protocols that Upgrade names?",
    ),
    Case(
        "3.upgrade.longer-word",
        MUST,
        "RFC 9110 §7.8",
        "A protocol whose name begins with websocket is not websocket",
        NOT_NAMED,
        not_upgraded(upgrade(Upgrade="websocket2")),
        "Compare the whole name.",
    ),
    Case(
        "3.key.missing",
        MUST,
        "RFC 6455 §4.2.1",
        "A handshake without a key is refused",
        A_KEY,
        refused(upgrade(without="Sec-WebSocket-Key"), hanging_up=True),
        "There is nothing to answer 101 with.",
    ),
    _key("empty", "", "An empty key is refused", MUST),
    _key("short", "AAAAAAAAAAAAAAAAAAAA", "A key of 15 bytes is refused"),
    _key(
        "17-bytes", base64.b64encode(bytes(17)).decode(), "A key of 17 bytes, which are 24 characters too, is refused"
    ),
    _key("long", base64.b64encode(bytes(32)).decode(), "A key of 32 bytes is refused"),
    _key("no-base64", "please-let-me-in-already", "24 characters that are no base64 are refused"),
    _key("url-safe", "__________________-_-A==", "A key in the alphabet of base64url is refused"),
    _key("no-padding", KEY.rstrip("="), "A key without its padding is refused"),
    _key("blank-inside", f"{KEY[:10]} {KEY[11:]}", "A key with a blank in it is refused"),
    Case(
        "3.key.twice",
        MUST,
        "RFC 6455 §11.3.1",
        "Two keys are refused",
        "The |Sec-WebSocket-Key| header field MUST NOT appear more than once in an HTTP request.",
        refused(upgrade(f"Sec-WebSocket-Key: {base64.b64encode(bytes(16)).decode()}"), hanging_up=True),
        "Count the lines: which of the two would you answer?",
    ),
    Case(
        "3.version.missing",
        MUST,
        "RFC 6455 §4.2.1",
        "A handshake without a version is refused",
        A_VERSION,
        refused(upgrade(without="Sec-WebSocket-Version"), hanging_up=True),
        "There must be one, and it must be 13 (or, if you like, 8).",
    ),
    _version("empty", "", "An empty version is refused"),
    _version("12", "12", "Version 12, a number that was reserved and never used, is refused"),
    _version("14", "14", "Version 14 is refused"),
    _version("255", "255", "Version 255 is refused"),
    _version("013", "013", "013 is not a version"),
    _version("plus-13", "+13", "+13 is not a version"),
    _version("underscore", "1_3", "1_3 is not a version"),
    _version("text", "thirteen", "A word is not a version"),
    _version("list", "13, 8", "A list is not a version: a client speaks one"),
    _version("other-digits", "１３".encode().decode("latin-1"), "Digits of another script are not a version"),
    Case(
        "3.version.twice",
        MUST,
        "RFC 6455 §11.3.5",
        "Two versions are refused",
        "The |Sec-WebSocket-Version| header field MUST NOT appear more than once in an HTTP request.",
        refused(upgrade("Sec-WebSocket-Version: 8"), hanging_up=True),
        "Count the lines.",
    ),
    Case(
        "3.version.told",
        MUST,
        "RFC 6455 §4.2.2",
        "The refusal of a version says which versions would do",
        LISTED,
        answered(
            upgrade(Sec_WebSocket_Version="255"),
            "a status from 400 to 599, and Sec-WebSocket-Version",
            _lists_versions,
        ),
        "Add Sec-WebSocket-Version: 13 to the refusal.",
    ),
    Case(
        "3.version.8",
        MUST,
        "RFC 6455 §4.2.2",
        "Version 8 is taken or refused",
        LISTED,
        script(
            in_words(upgrade(Sec_WebSocket_Version="8")),
            "101, or a status from 400 to 599, or the end of TCP",
            _taken_or_refused,
        ),
        "8 is what the drafts HyBi 08 to 12 called the same bytes; take it, or leave it and say 13.",
    ),
    Case(
        "3.host.missing",
        MUST,
        "RFC 6455 §4.2.1",
        "A handshake without Host is refused",
        "A |Host| header field containing the server's authority.",
        refused(upgrade(without="Host"), hanging_up=True),
        "In HTTP/1.1 there must be one Host.",
    ),
    Case(
        "3.protocol.malformed",
        SHOULD,
        "RFC 6455 §4.2.1",
        "A subprotocol that is no token is refused",
        ABNF,
        refused(upgrade("Sec-WebSocket-Protocol: chat, su per"), hanging_up=True),
        "Each name is a token: no blanks, no separators.",
    ),
    # SHOULD: a server that speaks no extension may not have read this header at all.
    Case(
        "3.extensions.malformed",
        SHOULD,
        "RFC 6455 §9.1",
        "An extension header that is not well-formed is refused",
        "If a value is received by either the client or the server during negotiation that does not conform to the "
        "ABNF "
        "below, the recipient of such malformed data MUST immediately _Fail the WebSocket Connection_.",
        refused(upgrade("Sec-WebSocket-Extensions: permessage-deflate; =; ;"), hanging_up=True),
        "NAME; NAME=VALUE; NAME, NAME ...: refuse what does not match.",
    ),
    Case(
        "3.extensions.unclosed-quote",
        SHOULD,
        "RFC 6455 §9.1",
        "A quoted string that does not end is refused, and costs no time",
        "If a value is received ... that does not conform to the ABNF below, the recipient of such malformed data MUST "
        "immediately _Fail the WebSocket Connection_.",
        refused(upgrade('Sec-WebSocket-Extensions: a; b="' + "\\a" * 1500), hanging_up=True),
        "A regular expression that backtracks takes for ever over this one (CVE-2020-7662).",
    ),
    _body(
        "negative",
        "A negative Content-Length is refused",
        "RFC 9112 §6.3",
        FRAMING,
        "Content-Length: -5",
    ),
    _body(
        "two-lengths",
        "Two Content-Lengths that differ are refused",
        "RFC 9112 §6.3",
        FRAMING,
        "Content-Length: 0",
        "Content-Length: 5",
    ),
    _body(
        "unknown-coding",
        "A Transfer-Encoding that does not end in chunked is refused",
        "RFC 9112 §6.3",
        "the message body length cannot be determined reliably; the server MUST respond with the 400 (Bad Request) "
        "status code and then close the connection",
        "Transfer-Encoding: tomatoes",
    ),
    Case(
        "3.body.length-and-coding",
        MUST,
        "RFC 9112 §6.1",
        "A handshake with both Content-Length and Transfer-Encoding is not upgraded",
        "Regardless, the server MUST close the connection after responding to such a request to avoid the potential "
        "attacks.",
        not_upgraded(upgrade("Content-Length: 5", "Transfer-Encoding: chunked") + b"0\r\n\r\n"),
        "Refuse it: the two contradict each other, and a proxy in front of you may believe the other one.",
    ),
    Case(
        "3.body.no-frames",
        SHOULD,
        "RFC 9112 §6.3",
        "The body of a handshake is not taken for frames",
        "If a valid Content-Length header field is present without Transfer-Encoding, its decimal value defines the "
        "expected message body length in octets.",
        script(
            f"a handshake with Content-Length: {len(text('Hello'))}, and as its body a TEXT frame",
            "a refusal; or 101, and no echo of what stood in the body",
            _body_is_not_frames,
            needs="echo",
        ),
        "Refuse a handshake that announces a body: a proxy that reads it as HTTP passes on what you read as frames.",
    ),
    Case(
        "3.refusal.answered",
        SHOULD,
        "RFC 6455 §10.7",
        "A bad handshake gets an HTTP status, not only the end of TCP",
        "If the invalid data is sent during the WebSocket handshake, the server SHOULD return an appropriate HTTP "
        "status code.",
        refused(upgrade(without="Sec-WebSocket-Key")),
        "Catch what goes wrong in the handshake, answer 400, and say why in the body: else nobody can find out.",
    ),
    Case(
        "3.refusal.well-formed",
        MUST,
        "RFC 9112 §4",
        "A refusal is a well-formed response",
        "status-line = HTTP-version SP status-code SP [ reason-phrase ]",
        answered(upgrade(Sec_WebSocket_Version="255"), "a response in HTTP/1.1, its lines ended by CRLF", well_formed),
        "Every line of the head ends in \\r\\n, and one empty line ends the head.",
    ),
    Case(
        "3.refusal.length",
        MUST,
        "RFC 9112 §6.2",
        "A refusal's body is as long as it says",
        "a Content-Length header field can provide the anticipated size, as a decimal number of octets",
        right_length(upgrade(without="Sec-WebSocket-Key")),
        "Count bytes, not characters.",
    ),
)

# -- Chapter 4: complete_upgrade ----------------------------------------------------------------------

PROOF = "constructed by concatenating /key/ ... with the string "
PROOF += '"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", taking the SHA-1 hash of this concatenated value to obtain a 20-byte '
PROOF += "value and base64-encoding"
PROOF_HINT = "base64(sha1(key + GUID)): the key as text, not decoded; nothing between the two; the digest, not its hex."


def _answers_key(peer: Peer, answer: Answer, key: str = KEY) -> None:
    came, wanted = answer.lines("Sec-WebSocket-Accept"), accept_for(key)
    if wanted not in came:
        raise Failed(f"Sec-WebSocket-Accept: {', '.join(came) or 'none'}", f"Sec-WebSocket-Accept: {wanted}")


def _is_101(peer: Peer) -> None:
    peer.open()


def _fresh(peer: Peer) -> None:
    key = base64.b64encode(os.urandom(16)).decode()
    line = peer.open(upgrade(Sec_WebSocket_Key=key))
    assert line.opening is not None
    if accept_for(key) not in line.opening.lines("Sec-WebSocket-Accept") and accept_for(KEY) in line.opening.lines(
        "Sec-WebSocket-Accept"
    ):
        raise Failed("the answer to another key, that of the RFC's example", f"Sec-WebSocket-Accept: {accept_for(key)}")


#: The same 16 bytes, written in two ways: of the last character but the padding only two bits count.
USUAL_KEY, UNUSUAL = "AAECAwQFBgcICQoLDA0ODw==", "AAECAwQFBgcICQoLDA0ODx=="


def _as_written(peer: Peer) -> None:
    line = peer.dial()
    line.send(upgrade(Sec_WebSocket_Key=UNUSUAL))
    answer = line.answer()
    if answer is not None and accept_for(USUAL_KEY) in answer.lines("Sec-WebSocket-Accept"):
        raise Failed(f"the accept value of {USUAL_KEY}", f"that of {UNUSUAL}, {accept_for(UNUSUAL)}; or a refusal")


def _nothing_follows(peer: Peer) -> None:
    line = peer.open()
    line.finish()
    try:
        for _ in line.frames():
            pass
    except Failed as failure:
        if "inside a frame" in failure.got:
            raise Failed(f"what follows the 101 is no frame: {failure.got}", "frames, or nothing") from None
    if any("reserved" in fault for fault in line.faults):
        raise Failed(f"what follows the 101 is no frame: {line.faults[0]}", "frames, or nothing")


def _says_1_1(peer: Peer, answer: Answer) -> None:
    if not answer.head.startswith(b"HTTP/1.1 "):
        raise Failed(str(answer), "HTTP/1.1 101 Switching Protocols")


def _early_frame(peer: Peer) -> None:
    line = peer.dial()
    line.send(upgrade() + text("Hello"))
    answer = line.answer()
    if answer is None or answer.status != 101:
        return
    try:
        line.message()
    except Failed as failure:
        if failure.got.startswith("nothing for"):
            raise Failed(f"101, and then {failure.got}", "TEXT 'Hello', or an error") from None


def _header(name: str, token: str) -> Callable[[Peer, Answer], None]:
    def judge(peer: Peer, answer: Answer) -> None:
        if token not in answer.tokens(name):
            raise Failed(f"{name}: {', '.join(answer.lines(name)) or 'none'}", f"{name}: {token}")

    return judge


def _none(name: str) -> Callable[[Peer, Answer], None]:
    def judge(peer: Peer, answer: Answer) -> None:
        if came := answer.lines(name):
            raise Failed(f"{name}: {', '.join(came)}", f"no {name}")

    return judge


def _at_most_one(name: str) -> Callable[[Peer, Answer], None]:
    def judge(peer: Peer, answer: Answer) -> None:
        if len(came := answer.lines(name)) > 1:
            raise Failed(f"{len(came)} lines of {name}", "one")

    return judge


def _one_of(*offered: str) -> Callable[[Peer, Answer], None]:
    def judge(peer: Peer, answer: Answer) -> None:
        came = answer.lines("Sec-WebSocket-Protocol")
        if came and (len(came) > 1 or came[0] not in offered):
            raise Failed(f"Sec-WebSocket-Protocol: {', '.join(came)}", f"none, or one of {', '.join(offered)}")

    return judge


def _not_agreed(peer: Peer, answer: Answer) -> None:
    if "x-wsref.check-unknown" in answer.lines("Sec-WebSocket-Protocol"):
        raise Failed("Sec-WebSocket-Protocol: x-wsref.check-unknown", "no Sec-WebSocket-Protocol")


def _no_framing(peer: Peer, answer: Answer) -> None:
    for name in ("Content-Length", "Transfer-Encoding"):
        _none(name)(peer, answer)


COMPLETE_UPGRADE = (
    Case(
        "4.status.101",
        INTEROP,
        "RFC 6455 §4.2.2",
        "An ordinary handshake gets 101",
        "A server may refuse whom it likes; but then there is no WebSocket, and nothing more can be graded.",
        script(
            in_words(upgrade()),
            "101 Switching Protocols",
            _is_101,
        ),
        "Which rule of yours does it break?  Your log should say; the grader sends what a browser sends.",
    ),
    Case(
        "4.accept.value",
        MUST,
        "RFC 6455 §4.2.2",
        "The accept value is the key and the GUID, hashed and in base64",
        PROOF,
        accepted(upgrade(), f"Sec-WebSocket-Accept: {accept_for(KEY)}", _answers_key),
        PROOF_HINT,
    ),
    Case(
        "4.accept.fresh",
        MUST,
        "RFC 6455 §4.2.2",
        "Another key gets another accept value",
        PROOF,
        script("a handshake with a key made just now", "not the accept value of another key", _fresh, needs="open"),
        "Compute it for each request.",
    ),
    Case(
        "4.accept.unusual-key",
        MUST,
        "RFC 6455 §4.2.2",
        "A key whose last bits are not zero is answered as it was written, or refused",
        "This (encoded) value is used in the creation of the server's handshake",
        script(
            f"a handshake with the key {UNUSUAL}, which decodes to the same bytes as {USUAL_KEY}",
            f"Sec-WebSocket-Accept: {accept_for(UNUSUAL)}; or a refusal",
            _as_written,
            needs="open",
        ),
        "Hash the key as it stands in the header; do not decode it and encode it again.",
    ),
    Case(
        "4.accept.once",
        MUST,
        "RFC 6455 §11.3.3",
        "There is one accept value",
        "The |Sec-WebSocket-Accept| header MUST NOT appear more than once in an HTTP response.",
        accepted(upgrade(), "one Sec-WebSocket-Accept line", _at_most_one("Sec-WebSocket-Accept")),
        "Is it added twice, by you and by your HTTP library?",
    ),
    Case(
        "4.answer.well-formed",
        MUST,
        "RFC 9112 §4",
        "The 101 is a well-formed response",
        "status-line = HTTP-version SP status-code SP [ reason-phrase ]",
        accepted(upgrade(), "a head in HTTP/1.1, its lines ended by CRLF", well_formed),
        "Every line ends in \\r\\n, and one empty line ends the head; after it come frames.",
    ),
    Case(
        "4.answer.upgrade",
        MUST,
        "RFC 6455 §4.2.2",
        "The 101 has Upgrade: websocket",
        'An |Upgrade| header field with value "websocket"',
        accepted(upgrade(), "Upgrade: websocket", _header("Upgrade", "websocket")),
        "Clients must fail the connection without it.",
    ),
    Case(
        "4.answer.connection",
        MUST,
        "RFC 6455 §4.2.2",
        "The 101 has Connection: Upgrade",
        'A |Connection| header field with value "Upgrade".',
        accepted(upgrade(), "Connection: Upgrade", _header("Connection", "upgrade")),
        "Clients must fail the connection without it.",
    ),
    Case(
        "4.answer.no-length",
        MUST,
        "RFC 9110 §8.6",
        "The 101 has neither Content-Length nor Transfer-Encoding",
        "A server MUST NOT send a Content-Length header field in any response with a status code of 1xx "
        "(Informational)",
        accepted(upgrade(), "no Content-Length, no Transfer-Encoding", _no_framing),
        "A 101 has no body; what follows is WebSocket.",
    ),
    Case(
        "4.answer.nothing-follows",
        MUST,
        "RFC 9110 §15.2",
        "What follows the 101's empty line are frames",
        "A 1xx response is terminated by the end of the header section; it cannot contain content or trailers.",
        script(f"{in_words(upgrade())} and FIN", "the 101, and after it frames, or nothing", _nothing_follows,
               needs="open"),
        "One empty line ends the head; a second one is the beginning of a frame with opcode 0xD.",
    ),
    Case(
        "4.answer.version",
        INTEROP,
        "RFC 9110 §15.2",
        "The 101 is a response in HTTP/1.1",
        "HTTP/1.0 has no status codes below 200, and there are clients that take no other version for a handshake.",
        accepted(upgrade(), "HTTP/1.1 101", _says_1_1),
        "Python's http.server says HTTP/1.0 unless protocol_version is set.",
    ),
    Case(
        "4.early.frame",
        INTEROP,
        "RFC 6455 §4.1",
        "A frame that comes in one packet with the handshake is not lost",
        "A client must wait for the 101 before it sends; where one does not, an answer or an error helps it, and "
        "silence does not.",
        script("an ordinary handshake, and in the same packet the TEXT frame 'Hello'", "TEXT 'Hello', or an error",
               _early_frame, needs="echo"),
        "What came after the empty line belongs to the WebSocket: hand it on to whoever reads the frames.",
    ),
    Case(
        "4.protocol.unasked",
        MUST,
        "RFC 6455 §4.2.2",
        "No subprotocol is chosen where none was offered",
        "the value chosen MUST be derived from the client's handshake",
        accepted(upgrade(), "no Sec-WebSocket-Protocol", _none("Sec-WebSocket-Protocol")),
        "Browsers fail the connection over it.",
    ),
    Case(
        "4.protocol.one-of-the-offered",
        MUST,
        "RFC 6455 §4.2.2",
        "Of the subprotocols that were offered one is chosen, or none",
        "the value chosen MUST be derived from the client's handshake, specifically by selecting one of the values "
        "from "
        "the |Sec-WebSocket-Protocol| field",
        accepted(
            upgrade("Sec-WebSocket-Protocol: wsref.check-1, wsref.check-2"),
            "no Sec-WebSocket-Protocol, or one line with one of the two",
            _one_of("wsref.check-1", "wsref.check-2"),
        ),
        "Answer with one name that stood in the offer; not with the list, not with a name of your own.",
    ),
    Case(
        "4.protocol.case",
        MUST,
        "RFC 6455 §4.2.2",
        "A subprotocol's name is answered as it was offered",
        "by selecting one of the values from the |Sec-WebSocket-Protocol| field",
        accepted(
            upgrade("Sec-WebSocket-Protocol: ECHO, CHAT"),
            "no Sec-WebSocket-Protocol, or one of the two, in upper case",
            _one_of("ECHO", "CHAT"),
        ),
        "Names of subprotocols are compared with their case.",
    ),
    Case(
        "4.protocol.two-lines",
        MUST,
        "RFC 6455 §4.2.2",
        "Subprotocols that are offered over two lines are one list",
        "the value chosen MUST be derived from the client's handshake",
        accepted(
            upgrade("Sec-WebSocket-Protocol: wsref.check-1", "Sec-WebSocket-Protocol: wsref.check-2"),
            "no Sec-WebSocket-Protocol, or one line with one of the two",
            _one_of("wsref.check-1", "wsref.check-2"),
        ),
        "Join the lines before you split at commas.",
    ),
    Case(
        "4.protocol.unknown",
        INTEROP,
        "RFC 6455 §4.2.2",
        "A subprotocol that nobody knows is not agreed on",
        "The value is 'the subprotocol the server is ready to use': a client that gets its own offer back believes it.",
        accepted(
            upgrade("Sec-WebSocket-Protocol: x-wsref.check-unknown"),
            "not that name",
            _not_agreed,
        ),
        "Choose among the names that your application speaks, not the first that is offered.",
    ),
    Case(
        "4.extensions.unasked",
        MUST,
        "RFC 6455 §4.2.2",
        "No extension is used where none was offered",
        "Extensions not listed by the client MUST NOT be listed.",
        accepted(upgrade(), "no Sec-WebSocket-Extensions", _none("Sec-WebSocket-Extensions")),
        "Agree on compression only with clients that offer it.",
    ),
    Case(
        "4.extensions.unknown",
        INTEROP,
        "RFC 6455 §9.1",
        "An extension that nobody knows is not agreed on",
        "Who agrees must then speak it; sending back what was offered is not an agreement, but a promise.",
        accepted(
            upgrade("Sec-WebSocket-Extensions: x-wsref-check-unknown; a=1"),
            "no Sec-WebSocket-Extensions",
            _none("Sec-WebSocket-Extensions"),
        ),
        "Answer with the extensions that you speak.",
    ),
)  # fmt: skip

# -- Chapter 5: the 426 fallback -------------------------------------------------------------------------

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


FALLBACK = (
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


CASES = (*DETECTION, *VALIDATION, *COMPLETE_UPGRADE, *FALLBACK)
