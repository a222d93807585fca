"""Chapter 8: closing, from either side, and the end of TCP at each place."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..case import Play
from ..codec import CLOSE, CONTINUATION, PING, PONG, TEXT, Frame, frame
from ..session import Silence
from ..verdict import Failed, Skipped
from .frames import letters
from .plays import INTEROP, MUST, SHOULD, ClientRule, client_cases_of, ends_tcp, fails_with, in_words, receive_close
from .session import Client, as_server


def close(code: int | None = 1000, reason: bytes = b"") -> bytes:
    """Build a Close with any code; None: no code."""
    return as_server(CLOSE, (b"" if code is None else code.to_bytes(2, "big")) + reason)


def _answered(data: bytes, judge: Callable[[Frame], None] = lambda received: None, accepts: str = "Close") -> Play:
    def run(client: Client) -> None:
        wire = client.open()
        wire.send(data)
        judge(receive_close(wire))

    return Play(in_words(data), accepts, run)


def _if_answered(data: bytes, judge: Callable[[Frame], None], accepts: str) -> Play:
    """Judge the Close; pass without one, which another case tests."""

    def run(client: Client) -> None:
        wire = client.open()
        wire.send(data)
        try:
            received = receive_close(wire)
        except Failed as failure:
            raise Skipped(f"no Close arrived, which c8.close tests: {failure.got}") from None
        judge(received)

    return Play(in_words(data), accepts, run)


NEVER = (1005, 1006, 1015)
VALID = (1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
REGISTERED_LATER = {1012: "Service Restart", 1013: "Try Again Later", 1014: "Bad Gateway"}
INVALID = {0: "not used", 999: "not used", 1004: "reserved", 1005: "never sent", 1006: "never sent", 1015: "never sent"}
INVALID |= {1016: "not registered", 2999: "not registered", 5000: "above all ranges", 65535: "above all ranges"}


def _may_be_sent(received: Frame) -> None:
    if received.code in NEVER:
        raise Failed(str(received), "a Close without a code, or with one that may be sent")


def _well_formed(received: Frame) -> None:
    if len(received.payload) == 1:
        raise Failed("a Close with a payload of 1 byte, half a code", "a Close without a code, or with two bytes")
    try:
        received.payload[2:].decode()
    except UnicodeDecodeError:
        raise Failed(f"{received}, whose reason is not UTF-8", "a reason in UTF-8") from None


def _no_error(code: int) -> Play:
    def judge(received: Frame) -> None:
        if received.code in (1002, 1007) and code != received.code:
            raise Failed(str(received), f"a Close that does not report the code {code} as an error")

    return _if_answered(close(code, b"bye"), judge, "Close, with a code other than 1002 and 1007")


def _quiet_after(data: bytes, words: str) -> Play:
    """Expect no frame after the client's Close."""

    def run(client: Client) -> None:
        wire = client.open()
        wire.send(close() + data)
        receive_close(wire)
        try:
            received = wire.frame(0.5)
        except Failed:
            return
        if received is not None:
            raise Failed(f"after its Close it sent {received}", "nothing after the Close")

    return Play(f"a Close and {words}, in one packet", "one Close, and nothing after it", run)


def _then_ends(client: Client) -> None:
    wire = client.open()
    wire.send(close())
    receive_close(wire)
    wire.send_fin()
    if not wire.ended():
        raise Silence(f"it keeps TCP open for {wire.timeout:g} s after the closing handshake and the server's end")


def _waits_for_server(client: Client) -> None:
    wire = client.open()
    wire.send(close())
    receive_close(wire)
    if wire.ended(0.2):
        raise Failed("it ends TCP first, at once", "the server ends TCP first")


def _slow_close(client: Client) -> None:
    wire = client.open()
    wire.send_in_packets(close(1000, b"bye"))
    receive_close(wire)


def _answers_late(client: Client) -> None:
    """Let the client begin the closing handshake, and answer its Close late."""
    wire = client.open()
    wire.send(as_server(3, b"reserved"))
    try:
        received = receive_close(wire)
    except Failed as failure:
        raise Skipped(f"it sends no Close when it fails the connection, which is legal: {failure.got}") from None
    _may_be_sent(received)
    _well_formed(received)
    time.sleep(0.1)
    wire.send(close(received.code if received.code not in (None, *NEVER) else 1002))
    wire.send_fin()
    if not wire.ended():
        raise Silence(f"it keeps TCP open for {wire.timeout:g} s after the closing handshake and the server's end")


def _after_failing(client: Client) -> None:
    """Send valid frames after the client failed the connection."""
    wire = client.open()
    wire.send(as_server(3, b"reserved"))
    wire.expect_failure()
    wire.send(as_server(TEXT, b"late") + as_server(PING, b"late"))
    try:
        received = wire.frame(0.5)
    except Failed:
        return
    if received is not None and received.opcode != CLOSE:
        raise Failed(f"after its Close it sent {received}", "nothing")


IN_RESPONSE = (
    "If an endpoint receives a Close frame and did not previously send a Close frame, the endpoint MUST send a Close "
    "frame in response."
)
NO_MORE = "The application MUST NOT send any more data frames after sending a Close frame."
BODY = (
    "If there is a body, the first two bytes of the body MUST be a 2-byte unsigned integer (in network byte order) "
    "representing a status code"
)
RESERVED = (
    "Status codes in the range 1000-2999 are reserved for definition by this protocol, its future revisions, and "
    "extensions specified in a permanent and readily available public specification."
)

CASES = client_cases_of(
    ClientRule(MUST, "RFC 6455 §5.5.1", IN_RESPONSE,
        "Answer a frame with opcode 8 by opcode 8, with the same code or without one, then wait for the end of TCP."),
    ("c8.close.1000", "A Close is answered by a Close", _answered(close())),
    ("c8.close.empty", "A Close without a code is answered by a Close", _answered(close(None))),
    ("c8.close.reason", "A Close with a reason is answered by a Close", _answered(close(1000, b"bye"))),
    ("c8.close.reason-utf-8", "A Close with a reason in UTF-8 is answered",
     _answered(close(1000, "até logo €".encode()))),
    ("c8.close.reason-123", "A Close with a reason of 123 bytes is answered", _answered(close(1000, letters(123)))),
    ("c8.close.slowly", "A Close byte by byte is answered", Play("a Close, 1 byte at a time", "Close", _slow_close)),
    ("c8.close.after-text", "A Close in one packet with a message is answered",
     _answered(as_server(TEXT, b"Hello") + close())),
    ("c8.close.in-message", "A Close between two fragments is answered",
     _answered(as_server(TEXT, b"Hel", fin=False) + close())),
    *((f"c8.close.{code}", f"A Close with the code {code} is answered", _answered(close(code, b"bye")))
      for code in VALID),

    ClientRule(INTEROP, "RFC 6455 §7.4.2",
        "Libraries and applications define 3000 to 4999, and the IANA registry added 1012 to 1014: servers send them.",
        "Do not report these codes as a protocol error."),
    *((f"c8.code.taken-{code}", f"The code {code} is not reported as an error", _no_error(code))
      for code in (3000, 3999, 4000, 4999, *REGISTERED_LATER)),

    ClientRule(MUST, "RFC 6455 §7.4.1",
        "1005 is a reserved value and MUST NOT be set as a status code in a Close control frame by an endpoint.",
        "1005, 1006 and 1015 only tell an application how a connection ended: never send them."),
    ("c8.code.empty-is-not-1005", "A Close without a code is not answered with 1005",
     _if_answered(close(None), _may_be_sent, "a Close without a code, or with one that may be sent")),
    *((f"c8.code.never-{code}", f"The client does not send the code {code} back",
       _if_answered(close(code), _may_be_sent, "a Close with another code, or the end of TCP"))
      for code in NEVER),

    ClientRule(SHOULD, "RFC 6455 §7.4.2", RESERVED,
        "Check the code against the table of §7.4, and send Close 1002 for any other code."),
    *((f"c8.code.bad-{code}", f"A Close with the code {code} ({why}) is a protocol error",
       fails_with(close(code), 1002))
      for code, why in INVALID.items()),

    ClientRule(MUST, "RFC 6455 §5.5.1", BODY, "A Close has no payload, or two bytes and a reason in UTF-8."),
    *((f"c8.payload.{name}", f"The answer to {words} is a well-formed Close",
       _if_answered(data, _well_formed, "a well-formed Close"))
      for name, words, data in (
          ("answer-empty", "an empty Close", close(None)),
          ("answer-reason", "a Close with a reason", close(1000, b"bye")),
          ("answer-long", "a Close with a reason of 123 bytes", close(1000, letters(123))),
          ("answer-split", "a Close whose last character is cut off", close(1000, b"caf\xc3")),
      )),

    ClientRule(SHOULD, "RFC 6455 §5.5.1", BODY,
        "The rule binds the server.  Send Close 1002 for a payload of one byte."),
    ("c8.payload.one-byte", "A Close with half a code is a protocol error",
     fails_with(as_server(CLOSE, b"\x03"), 1002)),

    ClientRule(SHOULD, "RFC 6455 §8.1",
        "When an endpoint is to interpret a byte stream as UTF-8 but finds that the byte stream is not, in fact, a "
        "valid UTF-8 stream, that endpoint MUST _Fail the WebSocket Connection_.",
        "An endpoint need not read the reason, so this is a SHOULD: decode it strictly, and send Close 1007."),
    ("c8.payload.utf-8", "A Close whose reason is not UTF-8 is an error",
     fails_with(close(1000, b"\xff\xfe"), 1007, 1002)),

    ClientRule(MUST, "RFC 6455 §5.5.1", NO_MORE, "After the Close, read no further frame, and send none."),
    ("c8.after.text", "A text after the Close gets no answer", _quiet_after(as_server(TEXT, b"late"), "a text")),

    ClientRule(SHOULD, "RFC 6455 §1.4",
        "after receiving a control frame indicating the connection should be closed, a peer discards any further data "
        "received.",
        "After the Close, read no further frame.  (The rule against frames after a Close names data frames only, so "
        "this is no MUST.)"),
    ("c8.after.ping", "A Ping after the Close gets no answer", _quiet_after(as_server(PING, b"late"), "a Ping")),
    ("c8.after.close", "A second Close gets no second answer", _quiet_after(close(), "another Close")),

    ClientRule(MUST, "RFC 6455 §5.5.1", NO_MORE, "After the Close, read no further frame, and send none."),
    ("c8.after.fragment", "A fragmented text after the Close gets no answer",
     _quiet_after(as_server(TEXT, b"a", fin=False) + as_server(CONTINUATION, b"b"), "a text in two fragments")),

    ClientRule(MUST, "RFC 6455 §7.1.7",
        "An endpoint MUST NOT continue to attempt to process data (including a responding Close frame) from the remote "
        "endpoint after being instructed to _Fail the WebSocket Connection_.",
        "After a protocol error, process no further frame."),
    ("c8.after.failing", "Frames after a protocol error get no answer",
     Play("a reserved opcode, then a text and a Ping", "a Close or the end of TCP, and nothing else", _after_failing)),

    ClientRule(SHOULD, "RFC 6455 §7.4.1",
        "1002 indicates that an endpoint is terminating the connection due to a protocol error.",
        "Send Close 1002 for a frame that breaks a rule."),
    *((f"c8.fail.{name}", f"The Close for {words} has the code 1002", fails_with(data, 1002))
      for name, words, data in (
          ("code-opcode", "a reserved opcode", as_server(3)),
          ("code-rsv", "an RSV bit", as_server(TEXT, b"a", rsv=1)),
          ("code-masked", "a masked frame", frame(TEXT, b"a")),
          ("code-fragments", "a continuation without a beginning", as_server(CONTINUATION, b"a")),
      )),

    ClientRule(MUST, "RFC 6455 §7.4.1",
        "1006 is a reserved value and MUST NOT be set as a status code in a Close control frame by an endpoint.",
        "Check what your Close contains when you fail a connection: a code that may be sent, and a reason in UTF-8."),
    ("c8.fail.answered", "The closing handshake that the client begins ends well",
     Play("a reserved opcode; after the client's Close, a Close and FIN", "a well-formed Close, then the end of TCP",
          _answers_late)),

    ClientRule(SHOULD, "RFC 6455 §5.5.1",
        "the client SHOULD wait for the server to close the connection but MAY close the connection at any time after "
        "sending and receiving a Close message",
        "After the closing handshake, read until the server's FIN, with a timeout, and then close the socket."),
    ("c8.tcp.waits", "After the closing handshake the client waits for the server's end",
     Play("a Close", "Close, and TCP open for 0.2 s", _waits_for_server)),

    ClientRule(MUST, "RFC 6455 §5.5.1",
        "After both sending and receiving a Close message, an endpoint considers the WebSocket connection closed and "
        "MUST close the underlying TCP connection.",
        "Close the socket after the closing handshake, at the latest when the server ends TCP."),
    ("c8.tcp.ends", "After the closing handshake and the server's FIN the client ends TCP",
     Play("a Close; after the client's Close, FIN", "Close, then the end of TCP", _then_ends)),

    ClientRule(MUST, "RFC 6455 §7.2.1",
        "If at any point the underlying transport layer connection is unexpectedly lost, the client MUST _Fail the "
        "WebSocket Connection_.",
        "An empty read is the end of TCP: report 1006 to the application, and close the socket."),
    ("c8.end.idle", "The end of TCP without a Close ends the connection", ends_tcp(b"")),
    ("c8.end.in-header", "The end of TCP inside a header ends the connection", ends_tcp(as_server(TEXT, b"Hello")[:1])),
    ("c8.end.in-length", "The end of TCP inside a length ends the connection",
     ends_tcp(as_server(TEXT, letters(300))[:3])),
    ("c8.end.in-payload", "The end of TCP inside a payload ends the connection",
     ends_tcp(as_server(TEXT, b"Hello")[:-2])),
    ("c8.end.in-message", "The end of TCP inside a message ends the connection",
     ends_tcp(as_server(TEXT, b"Hel", fin=False))),
    ("c8.end.after-pong", "The end of TCP after a Pong ends the connection", ends_tcp(as_server(PONG, b"bye"))),
    ("c8.end.in-close", "The end of TCP inside a Close ends the connection", ends_tcp(close(1000, b"bye")[:-1])),
)  # fmt: skip
