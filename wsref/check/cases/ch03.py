"""Chapter 3: cases about the validation of the handshake.

A bad handshake must not get a 101.  Any other answer is legal, and so is the end of TCP: a server
"MAY drop the TCP connection" and "SHOULD return an appropriate HTTP status code" (RFC 6455 §10.7),
and it "MAY ignore a received Upgrade header field" (RFC 9110 §7.8).  Two cases test the status.

If a good handshake gets no 101 and a bad one the same answer, the answer proves nothing: the case
is skipped.
"""

from __future__ import annotations

import base64

from ..case import Case, Needs
from ..codec import KEY, TEXT, Answer, Frame, text, upgrade
from ..plays import answered, in_words, not_upgraded, refused, script
from ..session import Peer
from ..verdict import Failed, Level, Skipped
from .common import MUST, NOT_NAMED, SHOULD, right_length, well_formed

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
PATTERN = "Match [+/0-9A-Za-z]{22}==, or decode strictly and count 16 bytes: counting 24 characters is not enough."


def _key(variant: str, value: str, title: str, level: Level = SHOULD) -> Case:
    # SHOULD, because §4.2.2 adds: "It is not necessary for the server to base64-decode" the key.
    return Case(
        f"3.key.{variant}",
        level,
        "RFC 6455 §4.2.1",
        title,
        A_KEY,
        not_upgraded(upgrade(Sec_WebSocket_Key=value)),
        PATTERN,
    )


def _version(variant: str, value: str, title: str) -> Case:
    return Case(
        f"3.version.{variant}",
        MUST,
        "RFC 6455 §4.2.1",
        title,
        A_VERSION,
        not_upgraded(upgrade(Sec_WebSocket_Version=value)),
        "Compare the text with 13: many number parsers also read +13, 013, 1_3 and digits of other scripts as 13.",
    )


def _method(method: str, title: str) -> Case:
    return Case(
        f"3.method.{method.lower() if method != 'get' else 'lower-case'}",
        MUST,
        "RFC 6455 §4.2.1",
        title,
        GET,
        not_upgraded(upgrade(request_line=f"{method} {{path}} HTTP/1.1")),
        "The method of a handshake is GET, in upper case; answer 400 or 405 to any other.",
    )


def _allow(peer: Peer, answer: Answer) -> None:
    if answer.status == 405 and not answer.lines("Allow"):
        raise Failed("405 without Allow", "Allow: GET")


def _lists_versions(peer: Peer, answer: Answer) -> None:
    if answer.status < 400:
        raise Skipped(f"{answer}, which is no refusal; 3.refusal.status tests that")
    if "13" not in answer.tokens("Sec-WebSocket-Version"):
        received = ", ".join(answer.lines("Sec-WebSocket-Version")) or "missing"
        raise Failed(
            f"{answer}, with Sec-WebSocket-Version: {received}", "Sec-WebSocket-Version: 13, or a list that contains 13"
        )


def _taken_or_refused(peer: Peer) -> None:
    wire = peer.connect()
    wire.send(upgrade(Sec_WebSocket_Version="8"))
    wire.answer()


def _is_error(peer: Peer, answer: Answer) -> None:
    if peer.baseline_status < 400 and peer.baseline_status != 101:
        raise Skipped(f"a good handshake gets {peer.baseline_status}")
    if not 400 <= answer.status <= 599:
        raise Failed(str(answer), "a status from 400 to 599")


FRAMING = "If this is in a request message, the server MUST respond with a 400 (Bad Request) status code and then "
FRAMING += "close the connection."


def _body(variant: str, title: str, section: str, quote: str, *lines: str, body: bytes = b"") -> Case:
    return Case(
        f"3.body.{variant}",
        MUST,
        section,
        title,
        quote,
        refused(upgrade(*lines) + body, or_eof=True),
        "Refuse a handshake with Transfer-Encoding or a Content-Length other than 0: its body has no clear end.",
    )


def _body_is_not_frames(peer: Peer) -> None:
    wire, inside = peer.connect(), text("Hello")
    wire.send(upgrade(f"Content-Length: {len(inside)}") + inside)
    answer = wire.answer()
    if answer is not None and answer.status == 101:
        wire.send(text("after it"))
        while wire.answers_nothing(received := wire.message(), Frame(TEXT, b"Hello"), Frame(TEXT, b"after it")):
            pass
        if received.payload == b"Hello":
            raise Failed(
                f"the server read the body as a frame and sent {received}", "a refusal; or 101 and no echo of the body"
            )


CASES = (
    _method("POST", "A POST is not upgraded"),
    _method("PUT", "A PUT is not upgraded"),
    _method("HEAD", "A HEAD is not upgraded"),
    _method("OPTIONS", "An OPTIONS is not upgraded"),
    _method("get", "The method get, in lower case, is not GET, and not upgraded"),
    Case(
        "3.method.allow",
        MUST,
        "RFC 9110 §15.5.6",
        "If another method gets 405, the refusal lists the allowed methods",
        "The origin server MUST generate an Allow header field in a 405 response",
        answered(upgrade(request_line="POST {path} HTTP/1.1"), "a 405 with Allow, or another status", _allow),
        "A 405 needs Allow: GET; a 400 does not.",
    ),
    Case(
        "3.upgrade.another",
        MUST,
        "RFC 9110 §7.8",
        "An upgrade to another protocol does not get a WebSocket",
        NOT_NAMED,
        not_upgraded(upgrade(Upgrade="h2c")),
        "Check that Upgrade names websocket.",
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
        not_upgraded(upgrade(without="Sec-WebSocket-Key")),
        "Without a key, the server cannot compute the accept value of a 101.",
    ),
    _key("empty", "", "An empty key is refused", MUST),
    _key("short", "AAAAAAAAAAAAAAAAAAAA", "A key of 15 bytes is refused"),
    _key(
        "17-bytes", base64.b64encode(bytes(17)).decode(), "A key of 17 bytes, which also has 24 characters, is refused"
    ),
    _key("long", base64.b64encode(bytes(32)).decode(), "A key of 32 bytes is refused"),
    _key("no-base64", "please-let-me-in-already", "24 characters that are not base64 are refused"),
    _key("url-safe", "__________________-_-A==", "A key in the alphabet of base64url is refused"),
    _key("no-padding", KEY.rstrip("="), "A key without its padding is refused"),
    _key("blank-inside", f"{KEY[:10]} {KEY[11:]}", "A key that contains a blank is refused"),
    Case(
        "3.key.twice",
        MUST,
        "RFC 6455 §11.3.1",
        "Two keys are refused",
        "The |Sec-WebSocket-Key| header field MUST NOT appear more than once in an HTTP request.",
        not_upgraded(upgrade(f"Sec-WebSocket-Key: {base64.b64encode(bytes(16)).decode()}")),
        "Count the lines: the server cannot know which key to answer.",
    ),
    Case(
        "3.version.missing",
        MUST,
        "RFC 6455 §4.2.1",
        "A handshake without a version is refused",
        A_VERSION,
        not_upgraded(upgrade(without="Sec-WebSocket-Version")),
        "The version is required, and must be 13 (8 is optional).",
    ),
    _version("empty", "", "An empty version is refused"),
    _version("12", "12", "Version 12, a reserved number that was never used, is refused"),
    _version("14", "14", "Version 14 is refused"),
    _version("255", "255", "Version 255 is refused"),
    _version("013", "013", "013 is not a version"),
    _version("plus-13", "+13", "+13 is not a version"),
    _version("underscore", "1_3", "1_3 is not a version"),
    _version("text", "thirteen", "A word is not a version"),
    _version("list", "13, 8", "A list is not a version: a client names one version"),
    _version("other-digits", "１３".encode().decode("latin-1"), "Digits of another script are not a version"),
    Case(
        "3.version.twice",
        MUST,
        "RFC 6455 §11.3.5",
        "Two versions are refused",
        "The |Sec-WebSocket-Version| header field MUST NOT appear more than once in an HTTP request.",
        not_upgraded(upgrade("Sec-WebSocket-Version: 8")),
        "Count the lines.",
    ),
    Case(
        "3.version.told",
        MUST,
        "RFC 6455 §4.2.2",
        "The refusal of a version lists the supported versions",
        LISTED,
        answered(
            upgrade(Sec_WebSocket_Version="255"),
            "a status from 400 to 599, with Sec-WebSocket-Version",
            _lists_versions,
        ),
        "Add Sec-WebSocket-Version: 13 to the refusal.",
    ),
    Case(
        "3.version.8",
        MUST,
        "RFC 6455 §4.2.2",
        "Version 8 is accepted or refused",
        LISTED,
        script(
            in_words(upgrade(Sec_WebSocket_Version="8")),
            "any answer, or the end of TCP",
            _taken_or_refused,
        ),
        "The drafts HyBi 08 to 12 used version 8 with the same frames.  Accept it, or refuse it and name 13.",
    ),
    Case(
        "3.host.missing",
        MUST,
        "RFC 6455 §4.2.1",
        "A handshake without Host is refused",
        "A |Host| header field containing the server's authority.",
        not_upgraded(upgrade(without="Host")),
        "An HTTP/1.1 request has exactly one Host.",
    ),
    Case(
        "3.protocol.malformed",
        SHOULD,
        "RFC 6455 §4.2.1",
        "A subprotocol that is not a token is refused",
        ABNF,
        not_upgraded(upgrade("Sec-WebSocket-Protocol: chat, su per")),
        "Each name is a token, without blanks or separators.",
    ),
    # SHOULD: a server without extensions may not read this header at all.
    Case(
        "3.extensions.malformed",
        SHOULD,
        "RFC 6455 §9.1",
        "An extension header that is not well-formed is refused",
        "If a value is received by either the client or the server during negotiation that does not conform to the "
        "ABNF "
        "below, the recipient of such malformed data MUST immediately _Fail the WebSocket Connection_.",
        not_upgraded(upgrade("Sec-WebSocket-Extensions: permessage-deflate; =; ;")),
        "Refuse a value that does not match NAME; NAME=VALUE; NAME, NAME ...",
    ),
    Case(
        "3.extensions.unclosed-quote",
        SHOULD,
        "RFC 6455 §9.1",
        "An unclosed quoted string is refused without a delay",
        "If a value is received ... that does not conform to the ABNF below, the recipient of such malformed data MUST "
        "immediately _Fail the WebSocket Connection_.",
        not_upgraded(upgrade('Sec-WebSocket-Extensions: a; b="' + "\\a" * 1500)),
        "A regular expression that backtracks does not finish on this value (CVE-2020-7662).",
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
        "Refuse it: the two headers contradict each other, and a proxy may use the other one.",
    ),
    Case(
        "3.body.no-frames",
        SHOULD,
        "RFC 9112 §6.3",
        "The server does not read the body of a handshake as frames",
        "If a valid Content-Length header field is present without Transfer-Encoding, its decimal value defines the "
        "expected message body length in octets.",
        script(
            f"a handshake with Content-Length: {len(text('Hello'))}, and a TEXT frame as its body",
            "a refusal; or 101 and no echo of the body",
            _body_is_not_frames,
            needs=Needs.ECHO,
        ),
        "Refuse a handshake that announces a body: a proxy forwards as a body what you read as frames.",
    ),
    Case(
        "3.refusal.answered",
        SHOULD,
        "RFC 6455 §10.7",
        "A bad handshake gets an HTTP status, not only the end of TCP",
        "If the invalid data is sent during the WebSocket handshake, the server SHOULD return an appropriate HTTP "
        "status code.",
        refused(upgrade(without="Sec-WebSocket-Key"), any_status=True),
        "Catch the errors of the handshake, answer 400, and give the reason in the body.",
    ),
    Case(
        "3.refusal.status",
        SHOULD,
        "RFC 6455 §4.2.2",
        "A bad handshake gets an error as its status",
        STOP,
        answered(upgrade(without="Sec-WebSocket-Key"), "a status from 400 to 599", _is_error),
        "Answer 400 to an invalid handshake: a client that gets 200 does not know what is wrong.",
    ),
    Case(
        "3.refusal.well-formed",
        MUST,
        "RFC 9112 §4",
        "A refusal is a well-formed response",
        "status-line = HTTP-version SP status-code SP [ reason-phrase ]",
        answered(
            upgrade(Sec_WebSocket_Version="255"), "a response in HTTP/1.1, with lines that end in CRLF", well_formed
        ),
        "Every line of the head ends in \\r\\n, and one empty line ends the head.",
    ),
    Case(
        "3.refusal.length",
        MUST,
        "RFC 9112 §6.2",
        "The body of a refusal has the length that the refusal declares",
        "a Content-Length header field can provide the anticipated size, as a decimal number of octets",
        right_length(upgrade(without="Sec-WebSocket-Key")),
        "Count bytes, not characters.",
    ),
)
