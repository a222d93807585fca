"""Chapter 3: cases about the validation of the handshake.

A bad handshake must not get a 101.  Any other answer is legal, and so are the end of TCP and silence:
a server "MAY drop the TCP connection" and "SHOULD return an appropriate HTTP status code" (RFC 6455
§10.7), and it "MAY ignore a received Upgrade header field" (RFC 9110 §7.8).  Two cases test the status.

If a good handshake gets no 101 and a bad one the same answer, the answer proves nothing: the case
is skipped.
"""

from __future__ import annotations

import base64

from ..case import Needs, Play
from ..codec import KEY, TEXT, Answer, Frame, text, upgrade
from ..plays import answered, ask, in_words, must_differ, not_upgraded, refused
from ..rule import Rule, cases_of
from ..session import Peer
from ..verdict import Failed, Skipped
from .common import LENGTH, MUST, NOT_NAMED, SHOULD, STATUS_LINE, right_length, well_formed

A_KEY = "A |Sec-WebSocket-Key| header field with a base64-encoded ... value that, when decoded, is 16 bytes in length."
A_VERSION = "A |Sec-WebSocket-Version| header field, with a value of 13."
FRAMING = (
    "If the unrecoverable error is in a request message, the server MUST respond with a 400 (Bad Request) status code "
    "and then close the connection."
)
LISTED = (
    "the server MUST abort the WebSocket handshake ... and instead send an appropriate HTTP error code (such as 426 "
    "Upgrade Required) and a |Sec-WebSocket-Version| header field indicating the version(s) the server is capable of "
    "understanding"
)
WITHOUT_KEY = upgrade(without="Sec-WebSocket-Key")
NO_CLEAR_END = "Refuse a handshake with Transfer-Encoding or a Content-Length other than 0: its body has no clear end."


def _method(method: str) -> Play:
    return not_upgraded(upgrade(request_line=f"{method} {{path}} HTTP/1.1"))


def _base64(size: int) -> str:
    return base64.b64encode(bytes(size)).decode()


def _allow(peer: Peer, answer: Answer) -> None:
    if answer.status == 405 and not answer.lines("Allow"):
        raise Failed("405 without Allow", "Allow: GET")


def _lists_versions(peer: Peer, answer: Answer) -> None:
    if answer.status < 400:
        raise Skipped(f"{answer}, which is no refusal; 3.refusal.status tests that")
    if peer.baseline_status != 501:  # the 501 of chapter 2 is about the upgrade; another refusal has another reason
        must_differ(peer, answer)
    if "13" not in answer.tokens("Sec-WebSocket-Version"):
        raise Failed(
            f"{answer}, with {answer.shown('Sec-WebSocket-Version')}",
            "Sec-WebSocket-Version: 13, or a list that contains 13",
        )


def _version_8(peer: Peer) -> None:
    ask(peer, upgrade(Sec_WebSocket_Version="8"))


def _is_error(peer: Peer, answer: Answer) -> None:
    if peer.baseline_status < 400 and peer.baseline_status != 101:
        raise Skipped(f"a good handshake gets {peer.baseline_status}")
    if not 400 <= answer.status <= 599:
        raise Failed(str(answer), "a status from 400 to 599")


def _body_is_not_frames(peer: Peer) -> None:
    inside = text("Hello")
    answer = ask(peer, upgrade(f"Content-Length: {len(inside)}") + inside)
    if answer is not None and answer.status == 101:
        wire = peer.wires[-1]
        wire.send(text("after it"))
        while wire.answers_nothing(received := wire.message(), Frame(TEXT, b"Hello"), Frame(TEXT, b"after it")):
            pass
        if received.payload == b"Hello":
            raise Failed(
                f"the server read the body as a frame and sent {received}", "a refusal; or 101 and no echo of the body"
            )


CASES = cases_of(
    Rule(MUST, "RFC 6455 §4.2.1", "An HTTP/1.1 or higher GET request",
         "The method of a handshake is GET, in upper case; answer 400 or 405 to any other."),
    ("3.method.post", "A POST is not upgraded", _method("POST")),
    ("3.method.put", "A PUT is not upgraded", _method("PUT")),
    ("3.method.head", "A HEAD is not upgraded", _method("HEAD")),
    ("3.method.options", "An OPTIONS is not upgraded", _method("OPTIONS")),
    ("3.method.lower-case", "The method get, in lower case, is not GET, and not upgraded", _method("get")),

    Rule(MUST, "RFC 9110 §15.5.6", "The origin server MUST generate an Allow header field in a 405 response"),
    ("3.method.allow", "If another method gets 405, the refusal lists the allowed methods",
     answered(upgrade(request_line="POST {path} HTTP/1.1"), "a 405 with Allow, or another status", _allow),
     "A 405 needs Allow: GET; a 400 does not."),

    Rule(MUST, "RFC 9110 §7.8", NOT_NAMED),
    ("3.upgrade.another", "An upgrade to another protocol does not get a WebSocket",
     not_upgraded(upgrade(Upgrade="h2c")), "Check that Upgrade names websocket."),
    ("3.upgrade.longer-word", "A protocol whose name begins with websocket is not websocket",
     not_upgraded(upgrade(Upgrade="websocket2")), "Compare the whole name."),

    Rule(MUST, "RFC 6455 §4.2.1", A_KEY),
    ("3.key.missing", "A handshake without a key is refused",
     not_upgraded(WITHOUT_KEY), "Without a key, the server cannot compute the accept value of a 101."),
    ("3.key.empty", "An empty key is refused", not_upgraded(upgrade(Sec_WebSocket_Key="")),
     "Match [+/0-9A-Za-z]{22}==, or decode strictly and count 16 bytes: counting 24 characters is not enough."),

    # SHOULD, because §4.2.2 adds: "It is not necessary for the server to base64-decode" the key.
    Rule(SHOULD, "RFC 6455 §4.2.1", A_KEY,
         "Match [+/0-9A-Za-z]{22}==, or decode strictly and count 16 bytes: counting 24 characters is not enough."),
    *((f"3.key.{name}", title, not_upgraded(upgrade(Sec_WebSocket_Key=key)))
      for name, key, title in (
          ("short", "AAAAAAAAAAAAAAAAAAAA", "A key of 15 bytes is refused"),
          ("17-bytes", _base64(17), "A key of 17 bytes, which also has 24 characters, is refused"),
          ("long", _base64(32), "A key of 32 bytes is refused"),
          ("no-base64", "please-let-me-in-already", "24 characters that are not base64 are refused"),
          ("url-safe", "__________________-_-A==", "A key in the alphabet of base64url is refused"),
          ("no-padding", KEY.rstrip("="), "A key without its padding is refused"),
          ("blank-inside", f"{KEY[:10]} {KEY[11:]}", "A key that contains a blank is refused"),
      )),

    # SHOULD, because the sentence binds the client, and no sentence says how the server treats a second line.
    Rule(SHOULD, "RFC 6455 §11.3.1",
         "The |Sec-WebSocket-Key| header field MUST NOT appear more than once in an HTTP request."),
    ("3.key.twice", "Two keys are refused", not_upgraded(upgrade(f"Sec-WebSocket-Key: {_base64(16)}")),
     "Count the lines: the server cannot know which key to answer."),

    Rule(MUST, "RFC 6455 §4.2.1", A_VERSION,
         "Compare the text with 13: many number parsers also read +13, 013, 1_3 and digits of other scripts as 13."),
    ("3.version.missing", "A handshake without a version is refused",
     not_upgraded(upgrade(without="Sec-WebSocket-Version")),
     "The version is required, and must be 13 (8 is optional)."),
    *((f"3.version.{name}", title, not_upgraded(upgrade(Sec_WebSocket_Version=version)))
      for name, version, title in (
          ("empty", "", "An empty version is refused"),
          ("12", "12", "Version 12, a reserved number that was never used, is refused"),
          ("14", "14", "Version 14 is refused"),
          ("255", "255", "Version 255 is refused"),
          ("013", "013", "013 is not a version"),
          ("plus-13", "+13", "+13 is not a version"),
          ("underscore", "1_3", "1_3 is not a version"),
          ("text", "thirteen", "A word is not a version"),
          ("list", "13, 8", "A list is not a version: a client names one version"),
          ("other-digits", "１３".encode().decode("latin-1"), "Digits of another script are not a version"),
      )),

    Rule(SHOULD, "RFC 6455 §11.3.5",
         "The |Sec-WebSocket-Version| header field MUST NOT appear more than once in an HTTP request."),
    ("3.version.twice", "Two versions are refused",
     not_upgraded(upgrade("Sec-WebSocket-Version: 8")), "Count the lines."),

    Rule(MUST, "RFC 6455 §4.2.2", LISTED),
    ("3.version.told", "The refusal of a version lists the supported versions",
     answered(upgrade(Sec_WebSocket_Version="255"),
              "a status from 400 to 599, with Sec-WebSocket-Version", _lists_versions),
     "Add Sec-WebSocket-Version: 13 to the refusal."),
    ("3.version.8", "Version 8 is accepted or refused",
     Play(in_words(upgrade(Sec_WebSocket_Version="8")), "any answer, or the end of TCP", _version_8),
     "The drafts HyBi 08 to 12 used version 8 with the same frames.  Accept it, or refuse it and name 13."),

    Rule(MUST, "RFC 6455 §4.2.1", "A |Host| header field containing the server's authority."),
    ("3.host.missing", "A handshake without Host is refused",
     not_upgraded(upgrade(without="Host")), "An HTTP/1.1 request has exactly one Host."),

    Rule(SHOULD, "RFC 6455 §4.2.1",
         "including but not limited to any violations of the ABNF grammar specified for the components of the "
         "handshake"),
    ("3.protocol.malformed", "A subprotocol that is not a token is refused",
     not_upgraded(upgrade("Sec-WebSocket-Protocol: chat, su per")),
     "Each name is a token, without blanks or separators."),

    # SHOULD: a server without extensions may not read this header at all.
    Rule(SHOULD, "RFC 6455 §9.1",
         "If a value is received by either the client or the server during negotiation that does not conform to the "
         "ABNF below, the recipient of such malformed data MUST immediately _Fail the WebSocket Connection_."),
    ("3.extensions.malformed", "An extension header that is not well-formed is refused",
     not_upgraded(upgrade("Sec-WebSocket-Extensions: permessage-deflate; =; ;")),
     "Refuse a value that does not match NAME; NAME=VALUE; NAME, NAME ..."),
    ("3.extensions.unclosed-quote", "An unclosed quoted string is refused without a delay",
     not_upgraded(upgrade('Sec-WebSocket-Extensions: a; b="' + "\\a" * 1500), in_time=True),
     "A regular expression that backtracks does not finish on this value (CVE-2020-7662)."),

    Rule(MUST, "RFC 9112 §6.3", FRAMING, NO_CLEAR_END),
    ("3.body.negative", "A negative Content-Length is refused", refused(upgrade("Content-Length: -5"), or_eof=True)),
    ("3.body.two-lengths", "Two Content-Lengths that differ are refused",
     refused(upgrade("Content-Length: 0", "Content-Length: 5"), or_eof=True)),

    Rule(MUST, "RFC 9112 §6.3",
         "the message body length cannot be determined reliably; the server MUST respond with the 400 (Bad Request) "
         "status code and then close the connection", NO_CLEAR_END),
    ("3.body.unknown-coding", "A Transfer-Encoding that does not end in chunked is refused",
     refused(upgrade("Transfer-Encoding: tomatoes"), or_eof=True)),

    Rule(MUST, "RFC 9112 §6.1",
         "Regardless, the server MUST close the connection after responding to such a request to avoid the potential "
         "attacks."),
    ("3.body.length-and-coding", "A handshake with both Content-Length and Transfer-Encoding is not upgraded",
     not_upgraded(upgrade("Content-Length: 5", "Transfer-Encoding: chunked") + b"0\r\n\r\n"),
     "Refuse it: the two headers contradict each other, and a proxy may use the other one."),

    Rule(SHOULD, "RFC 9112 §6.3", LENGTH),
    ("3.body.no-frames", "The server does not read the body of a handshake as frames",
     Play(f"a handshake with Content-Length: {len(text('Hello'))}, and a TEXT frame as its body",
          "a refusal; or 101 and no echo of the body", _body_is_not_frames, Needs.ECHO),
     "Refuse a handshake that announces a body: a proxy forwards as a body what you read as frames."),

    Rule(SHOULD, "RFC 6455 §10.7",
         "If the invalid data is sent during the WebSocket handshake, the server SHOULD return an appropriate HTTP "
         "status code."),
    ("3.refusal.answered", "A bad handshake gets an HTTP status, not only the end of TCP",
     refused(WITHOUT_KEY, any_status=True),
     "Catch the errors of the handshake, answer 400, and give the reason in the body."),

    Rule(SHOULD, "RFC 6455 §4.2.1",
         "the server MUST stop processing the client's handshake and return an HTTP response with an appropriate error "
         "code (such as 400 Bad Request)"),
    ("3.refusal.status", "A bad handshake gets an error as its status",
     answered(WITHOUT_KEY, "a status from 400 to 599", _is_error),
     "Answer 400 to an invalid handshake: a client that gets 200 does not know what is wrong."),

    Rule(MUST, "RFC 9112 §4", STATUS_LINE),
    ("3.refusal.well-formed", "A refusal is a well-formed response",
     answered(upgrade(Sec_WebSocket_Version="255"),
              "a response in HTTP/1.1, with lines that end in CRLF", well_formed),
     "Every line of the head ends in \\r\\n, and one empty line ends the head."),

    Rule(MUST, "RFC 9112 §6.3", LENGTH),
    ("3.refusal.length", "The body of a refusal has the length that the refusal declares",
     right_length(WITHOUT_KEY), "Count bytes, not characters."),
)  # fmt: skip
