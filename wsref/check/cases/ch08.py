"""Chapter 8: cases about closing: the Close, its codes, the end of TCP.

The RFC requires little of the answer to a Close: "MUST send a Close frame in response" (§5.5.1),
without a code or with one that may be sent.  "Typically" the answer echoes the code, so another code
is legal.  An invalid Close has a reserved code, half a code, or a reason that is not UTF-8.  The
server answers it with 1002 or 1007, or ends TCP.  The RFC forbids to send such a Close, but does not
say how to answer it, so these cases are SHOULD.
"""

from __future__ import annotations

from collections.abc import Callable

from ..case import Case, Needs, Play
from ..codec import CLOSE, CONTINUATION, PING, TEXT, Frame, close, fragments, frame, text
from ..plays import in_words, script
from ..session import Peer, Silence, Wire
from ..verdict import Failed, Skipped
from .common import INTEROP, MUST, SHOULD, letters

IN_RESPONSE = (
    "If an endpoint receives a Close frame and did not previously send a Close frame, the endpoint MUST send a Close "
    "frame in response."
)
TCP = "The server MUST close the underlying TCP connection immediately"
NO_MORE_DATA = "The application MUST NOT send any more data frames after sending a Close frame."
APPROPRIATE = (
    "the endpoint SHOULD send a Close frame with an appropriate status code (Section 7.4) before proceeding to "
    "_Close the WebSocket Connection_."
)

# -- A Close is answered ------------------------------------------------------------------


def receive_close(wire: Wire) -> Frame:
    """Return the Close from the server, and ignore all frames before it.

    Raises:
        Failed: No Close arrived.
    """
    try:
        for received in wire.frames():
            if received.opcode == CLOSE:
                return received
    except Failed as failure:
        failure.expected = "Close"
        raise
    raise Failed("it ended TCP without a Close", "Close")


def _close_received(wire: Wire) -> Frame | None:
    """Return the Close from the server; None: no Close arrived."""
    try:
        return receive_close(wire)
    except Failed:
        return None


def _answered(data: bytes, judge: Callable[[Frame], None] = lambda received: None, accepts: str = "Close") -> Play:
    def run(peer: Peer) -> None:
        wire = peer.open()
        wire.send(data)
        judge(receive_close(wire))

    return Play(in_words(data), accepts, run, Needs.OPEN)


def _if_answered(data: bytes, judge: Callable[[Frame], None], accepts: str) -> Play:
    """Judge the Close if there is one; other cases require a Close."""

    def run(peer: Peer) -> None:
        wire = peer.open()
        wire.send(data)
        if (received := _close_received(wire)) is not None:
            judge(received)

    return Play(in_words(data), accepts, run, Needs.OPEN)


def _taken(name: str, data: bytes, title: str, hint: str = "") -> Case:
    return Case(
        f"8.close.{name}",
        MUST,
        "RFC 6455 §5.5.1",
        title,
        IN_RESPONSE,
        _answered(data),
        hint or "Answer a frame with opcode 8 by opcode 8, then end TCP.",
    )


def _same_code(peer: Peer) -> None:
    for code in (1000, 3000, 4999):
        wire = peer.open()
        wire.send(close(code, b"bye"))
        if (received := _close_received(wire)) is not None and received.code != code:
            raise Failed(f"{received} for Close {code}", f"Close {code}")
        wire.close()


MUST_NOT_BE_SENT = (1005, 1006, 1015)


def _is_valid_close_code(received: Frame) -> None:
    if received.code in MUST_NOT_BE_SENT:
        raise Failed(str(received), "a Close without a code, or with one that may be sent")


def _well_formed_closes(peer: Peer) -> None:
    for payload in (b"", b"\x03\xe8", b"\x03\xe8bye", b"\x03\xe8" + letters(123)):
        wire = peer.open()
        wire.send(frame(CLOSE, payload))
        if (received := _close_received(wire)) is None:
            return
        wrong = list(received.faults)
        if received.rsv:
            wrong.append(f"its RSV bits {received.rsv:03b} are set (RFC 6455 §5.2)")
        if len(received.payload) == 1:
            wrong.append("its payload is 1 byte, half a code (RFC 6455 §5.5.1)")
        try:
            received.payload[2:].decode()
        except UnicodeDecodeError:
            wrong.append("its reason is not UTF-8 (RFC 6455 §5.5.1)")
        if wrong:
            raise Failed(f"a Close: {wrong[0]}")
        wire.close()


def _slowly(peer: Peer) -> None:
    wire = peer.open()
    wire.send_in_packets(close(1000, b"bye"))
    receive_close(wire)


CLOSE_CASES = (
    _taken(
        "empty",
        close(None),
        "A Close without a code is answered by a Close",
        "An empty payload has no code: do not unpack it.",
    ),
    _taken("1000", close(1000), "A Close with the code 1000 is answered by a Close"),
    _taken("reason", close(1000, b"bye"), "A Close with a code and a reason is answered by a Close"),
    _taken(
        "reason-utf8",
        close(1000, "adi\u00f3s \u20ac".encode()),
        "A Close with a reason in UTF-8 is answered by a Close",
    ),
    _taken(
        "reason-123",
        close(1000, letters(123)),
        "A Close with a reason of 123 bytes, the maximum, is answered by a Close",
    ),
    Case(
        "8.close.byte-by-byte",
        MUST,
        "RFC 6455 §5.5.1",
        "A Close that arrives one byte at a time is answered",
        IN_RESPONSE,
        script("88 85 ..., byte by byte", "Close", _slowly, needs=Needs.OPEN),
        "Wait for the whole frame, however it is split.",
    ),
    _taken(
        "inside-message",
        frame(TEXT, b"Hel", fin=False) + close(1000),
        "A Close inside a fragmented message is answered by a Close",
        "A Close may arrive between fragments: the message stays unfinished, which is not an error.",
    ),
    Case(
        "8.close.well-formed",
        MUST,
        "RFC 6455 §5.5",
        "The server's Close is one whole frame without a mask; its payload is empty, or a code and UTF-8",
        "All control frames MUST have a payload length of 125 bytes or less and MUST NOT be fragmented.",
        script(
            "four Closes", "a Close that begins with 88, of 0 or 2 to 125 bytes", _well_formed_closes, needs=Needs.OPEN
        ),
        "A Close has 88, the length, then nothing, or two bytes of code and at most 123 bytes of reason.",
    ),
    Case(
        "8.close.same-code",
        INTEROP,
        "RFC 6455 §5.5.1",
        "The answer to a Close has the same code",
        "When sending a Close frame in response, the endpoint typically echos the status code it received.",
        script(
            "Closes with 1000, 3000 and 4999, each on a separate connection",
            "the same code",
            _same_code,
            needs=Needs.OPEN,
        ),
        "Send the first two bytes of the payload back.  The close event of a browser shows them.",
    ),
)

# -- Codes -----------------------------------------------------------------------------------

VALID = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
REGISTERED_LATER = {1012: "Service Restart", 1013: "Try Again Later", 1014: "Bad Gateway"}
INVALID = {
    0: "not used",
    999: "not used",
    1004: "reserved",
    1005: "never sent: it means that the Close has no code",
    1006: "never sent: it means that there is no Close",
    1015: "never sent: it means that TLS failed",
    1016: "not registered",
    1100: "not registered",
    2000: "not registered",
    2999: "not registered",
    5000: "above all ranges",
    65535: "above all ranges",
}
RESERVED = (
    "Status codes in the range 1000-2999 are reserved for definition by this protocol, its future revisions, and "
    "extensions specified in a permanent and readily available public specification."
)


def _not_an_error(code: int) -> Play:
    def judge(received: Frame) -> None:
        if received.code == 1002 != code:
            raise Failed(str(received), f"a Close that does not report the code {code} as an error")

    return _if_answered(close(code, b"bye"), judge, "Close, with a code other than 1002")


def _refused(*codes: int) -> Callable[[Peer, bytes], None]:
    def run(peer: Peer, data: bytes) -> None:
        wire = peer.open()
        wire.send(data)
        received = wire.expect_failure()
        if received is not None and received.code not in codes:
            raise Failed(str(received), f"Close {' or '.join(map(str, codes))}, or the end of TCP")

    return run


def refused_with(data: bytes, *codes: int) -> Play:
    """Expect the end of TCP, or a Close with one of these codes."""
    return script(
        in_words(data),
        f"Close {' or '.join(map(str, codes))}, or the end of TCP",
        lambda peer: _refused(*codes)(peer, data),
        needs=Needs.OPEN,
    )


CODE_CASES = (
    *(
        Case(
            f"8.code.good-{code}",
            MUST,
            "RFC 6455 §5.5.1",
            f"A Close with the code {code} is answered by a Close",
            IN_RESPONSE,
            _answered(close(code, b"bye")),
            "Accept the codes 1000 to 1003, 1007 to 1014, and 3000 to 4999.",
        )
        for code in VALID[1:]
    ),
    *(
        Case(
            f"8.code.taken-{code}",
            INTEROP,
            "RFC 6455 §7.4.2",
            f"The code {code} is not reported as an error",
            "Status codes in the range 3000-3999 are reserved for use by libraries, frameworks, and applications. ... "
            "Status codes in the range 4000-4999 are reserved for private use",
            _not_an_error(code),
            "Libraries and applications define 3000 to 4999: such a code is not a protocol error.",
        )
        for code in (3000, 3999, 4000, 4999)
    ),
    *(
        Case(
            f"8.code.taken-{code}",
            INTEROP,
            "RFC 6455 §7.4.2",
            f"The code {code} ({name}) is not reported as an error",
            "The IANA registry added 1012, 1013 and 1014 to the codes of the RFC, and clients send them.",
            _not_an_error(code),
            "Add 1012 to 1014 to the accepted codes.",
        )
        for code, name in REGISTERED_LATER.items()
    ),
    Case(
        "8.code.empty-is-not-1005",
        MUST,
        "RFC 6455 §7.4.1",
        "A Close without a code is not answered with 1005",
        "1005 is a reserved value and MUST NOT be set as a status code in a Close control frame by an endpoint.",
        _if_answered(close(None), _is_valid_close_code, "a Close without a code, or with one that may be sent"),
        "1005 only tells an application that the Close had no code; answer with an empty Close, or 1000.",
    ),
    *(
        Case(
            f"8.code.never-{code}",
            MUST,
            "RFC 6455 §7.4.1",
            f"The server does not send the code {code} back",
            f"{code} is a reserved value and MUST NOT be set as a status code in a Close control frame by an endpoint.",
            _if_answered(close(code), _is_valid_close_code, "a Close with another code, or the end of TCP"),
            "Check the code before you echo it; answer 1002 to a code that must not be sent.",
        )
        for code in MUST_NOT_BE_SENT
    ),
    *(
        Case(
            f"8.code.bad-{code}",
            SHOULD,
            "RFC 6455 §7.4",
            f"A Close with the code {code} ({why}) is a protocol error",
            RESERVED
            if 1000 <= code < 3000
            else "Status codes in the range 0-999 are not used."
            if code < 1000
            else "Status codes in the range 4000-4999 are reserved for private use and thus can't be registered.",
            refused_with(close(code), 1002),
            "Check the code against the table of §7.4, and answer 1002 to any other code.",
        )
        for code, why in INVALID.items()
    ),
)

# -- Invalid payloads ----------------------------------------------------------------------

BODY = (
    "If there is a body, the first two bytes of the body MUST be a 2-byte unsigned integer (in network byte order) "
    "representing a status code"
)

PAYLOAD_CASES = (
    Case(
        "8.payload.one-byte",
        SHOULD,
        "RFC 6455 §5.5.1",
        "A Close of one byte, half a code, is a protocol error",
        BODY,
        refused_with(frame(CLOSE, b"\x03"), 1002),
        "A payload of 0 bytes has no code; answer 1002 to 1 byte; 2 bytes or more are a code and a reason.",
    ),
    Case(
        "8.payload.reason-not-utf8",
        SHOULD,
        "RFC 6455 §5.5.1",
        "A reason that is not UTF-8 is an error",
        "Following the 2-byte integer, the body MAY contain UTF-8-encoded data with value /reason/",
        refused_with(close(1000, b"bye \xff"), 1007, 1002),
        "Decode the reason strictly, and answer 1007 if that fails.  Do not echo unchecked bytes.",
    ),
    Case(
        "8.payload.reason-surrogate",
        SHOULD,
        "RFC 6455 §5.5.1",
        "A reason that contains a surrogate is an error",
        "Following the 2-byte integer, the body MAY contain UTF-8-encoded data with value /reason/",
        refused_with(close(1000, bytes.fromhex("ce ba ed a0 80")), 1007, 1002),
        "Decode the reason strictly, and answer 1007 if that fails.",
    ),
    Case(
        "8.payload.126",
        SHOULD,
        "RFC 6455 §5.5",
        "A Close of 126 bytes is a protocol error",
        "All control frames MUST have a payload length of 125 bytes or less and MUST NOT be fragmented.",
        refused_with(close(1000, letters(124)), 1002, 1009),
        "A control frame has at most 125 bytes: check the length before you read the payload.",
    ),
    Case(
        "8.payload.without-fin",
        SHOULD,
        "RFC 6455 §5.5",
        "A Close without FIN is a protocol error",
        "All control frames MUST have a payload length of 125 bytes or less and MUST NOT be fragmented.",
        refused_with(frame(CLOSE, b"\x03\xe8", fin=False), 1002),
        "Answer opcode & 8 without FIN by 1002.",
    ),
    Case(
        "8.payload.without-mask",
        SHOULD,
        "RFC 6455 §5.1",
        "A Close without a mask is a protocol error",
        "a server MAY send a Close frame with a status code of 1002 (protocol error)",
        refused_with(frame(CLOSE, b"\x03\xe8", key=None), 1002),
        "Every frame from a client needs a mask.",
    ),
)

# -- After the Close ---------------------------------------------------------------------------------


class Late(Failed):
    """The server sent something after its Close."""


def _nothing_after(data: bytes, wrong: Callable[[Frame], bool], wanted: str) -> Play:
    def run(peer: Peer) -> None:
        wire = peer.open()
        wire.send(data)
        if _close_received(wire) is None:
            return
        try:
            for received in wire.frames():
                if wrong(received):
                    raise Late(f"after its Close: {received}", wanted)
        except Late:
            raise
        except Failed:
            return  # TCP stays open, which another case tests; nothing arrived

    return Play(in_words(data), wanted, run, Needs.OPEN)


def _discarded(peer: Peer) -> None:
    wire = peer.open()
    wire.send(close(1000) + text("too late"))
    for received in wire.frames():
        if received.opcode in (TEXT, CONTINUATION) and not wire.answers_nothing(received, Frame(TEXT, b"too late")):
            raise Failed(str(received), "Close, and no echo of the message after the Close")
        if received.opcode == CLOSE:
            return


def _ends_tcp(data: bytes) -> Play:
    def run(peer: Peer) -> None:
        wire = peer.open()
        wire.send(data)
        if not wire.ended():
            raise Failed(f"TCP is still open {wire.timeout:g} s after the Close", "the end of TCP")

    return Play(in_words(data), "the end of TCP", run, Needs.OPEN)


def _after_all(count: int) -> Play:
    def run(peer: Peer) -> None:
        wire = peer.open()
        messages = [Frame(TEXT, b"message %d" % i) for i in range(count)]
        wire.send(b"".join(frame(TEXT, message.payload) for message in messages) + close(1000))
        received = 0
        for one in wire.frames():
            if one.opcode == CLOSE:
                break
            received += one.fin and one.opcode < 8 and not wire.answers_nothing(one, *messages)
            if received == count:
                return
        if received != count:
            raise Failed(f"{received} of {count} echoes, then Close or the end of TCP", f"{count} echoes, then Close")

    many = f"{count} messages" if count > 1 else "a message"
    return Play(f"{many} and a Close in one packet", f"{many} back, then Close", run, Needs.ECHO)


def _trailing_bytes(peer: Peer) -> None:
    wire = peer.open()
    wire.send(close(1000) + frame(TEXT, letters(60_000)) * 16)
    closed = _close_received(wire) is not None
    if wire.ended() and wire.was_reset:
        raise Failed(f"RST{', after its Close' if closed else ' instead of a Close'}", "Close, then FIN")


AFTER_CASES = (
    Case(
        "8.tcp.ends",
        MUST,
        "RFC 6455 §5.5.1",
        "After both Closes the server ends TCP",
        TCP,
        _ends_tcp(close(1000)),
        "Shut the socket down after your Close in response: the client waits for the server.",
    ),
    Case(
        "8.tcp.ends-empty",
        MUST,
        "RFC 6455 §5.5.1",
        "After both Closes the server ends TCP, also if the client's Close had no code",
        TCP,
        _ends_tcp(close(None)),
        "Shut the socket down after your Close in response.",
    ),
    Case(
        "8.tcp.ends-inside-message",
        MUST,
        "RFC 6455 §5.5.1",
        "After both Closes the server ends TCP, even inside an unfinished message",
        TCP,
        _ends_tcp(frame(TEXT, b"Hel", fin=False) + close(1000)),
        "Do not wait for the rest of a message after a Close.",
    ),
    Case(
        "8.tcp.ends-after-ping",
        MUST,
        "RFC 6455 §5.5.1",
        "After both Closes the server ends TCP, even with a Ping after the Close",
        TCP,
        _ends_tcp(close(1000) + frame(PING, b"Hello")),
        "A Ping after a Close needs no answer (§5.5.2), and must not keep the connection open.",
    ),
    Case(
        "8.tcp.ends-after-rubbish",
        MUST,
        "RFC 6455 §5.5.1",
        "After both Closes the server ends TCP, even with invalid bytes after the Close",
        TCP,
        _ends_tcp(close(1000) + bytes.fromhex("ff ff ff ff 00 00 00")),
        "Read no more frames after a Close.",
    ),
    Case(
        "8.tcp.trailing-bytes",
        SHOULD,
        "RFC 6455 §7.1.1",
        "Bytes after the client's Close are discarded, and TCP ends with FIN",
        "An endpoint SHOULD use a method that cleanly closes the TCP connection ..., discarding any trailing bytes "
        "that may be received.",
        script(
            "a Close, and behind it 16 text messages of 60,000 bytes",
            "Close, then FIN",
            _trailing_bytes,
            needs=Needs.OPEN,
        ),
        "A socket that is closed with unread bytes sends RST, and the client may lose your Close: send FIN, then read "
        "until the client's FIN, for a second or two.",
    ),
    Case(
        "8.after.no-data",
        MUST,
        "RFC 6455 §5.5.1",
        "After its Close the server sends no more data",
        NO_MORE_DATA,
        _nothing_after(
            close(1000) + text("too late") + fragments(TEXT, b"much ", b"too late"),
            lambda received: received.opcode < 8,
            "no data after the server's Close",
        ),
        "After your Close, refuse to send messages.",
    ),
    Case(
        "8.after.discarded",
        SHOULD,
        "RFC 6455 §1.4",
        "The server does not answer messages after the client's Close",
        "after receiving a control frame indicating the connection should be closed, a peer discards any further data "
        "received.",
        script("a Close, then a text message", "Close, and no echo", _discarded, needs=Needs.OPEN),
        "Stop reading frames at the Close.",
    ),
    Case(
        "8.after.one-close",
        SHOULD,
        "RFC 6455 §5.5.1",
        "Two Closes are answered by one Close",
        IN_RESPONSE,
        _nothing_after(close(1000) + close(1000), lambda received: received.opcode == CLOSE, "one Close"),
        "Remember that you sent a Close; each side sends one.",
    ),
    Case(
        "8.after.a-message",
        INTEROP,
        "RFC 6455 §5.5.1",
        "A message before the Close, in the same packet, is answered before the Close",
        "Otherwise a client that sends its last message and a Close loses the answer.",
        _after_all(1),
        "Handle frames in order, and finish each one before the next.",
    ),
    Case(
        "8.after.messages",
        INTEROP,
        "RFC 6455 §5.5.1",
        "Two hundred messages before the Close are all answered before the Close",
        "Otherwise a client that sends its last messages and a Close loses answers.",
        _after_all(200),
        "Do not let the Close overtake queued messages.",
    ),
)

# -- Failing -------------------------------------------------------------------------------------------

WRONG = frame(TEXT, b"Hello", rsv=2)


NOT_NOTICED = "it does not fail the connection for this fault, which another case tests"


def _failed(wire: Wire) -> Frame | None:
    """Return the Close with which the server fails the connection; None: it ended TCP without one.

    Raises:
        Skipped: The server does not fail the connection.
    """
    try:
        return wire.expect_failure()
    except Failed:
        raise Skipped(NOT_NOTICED) from None


def _ends_after_failing(peer: Peer) -> None:
    wire = peer.open()
    wire.send(WRONG)
    received = _failed(wire)
    if received is not None:
        wire.send(close(received.code if received.code and received.code not in MUST_NOT_BE_SENT else 1000))
        if not wire.ended():
            raise Failed(f"TCP is still open {wire.timeout:g} s after the answer to its Close", "the end of TCP")


def _nothing_more(peer: Peer) -> None:
    wire = peer.open()
    wire.send(WRONG + text("and now?") + frame(PING, b"and now?"))
    try:
        for received in wire.frames():
            if received.payload == b"Hello":
                raise Skipped(NOT_NOTICED)
            if received.opcode != CLOSE and not wire.answers_nothing(received, Frame(TEXT, b"and now?")):
                raise Failed(f"{received}", "only a Close, or the end of TCP")
    except Silence:
        pass  # other cases test that


def _says_so(data: bytes) -> Play:
    def run(peer: Peer) -> None:
        wire = peer.open()
        wire.send(data)
        if _failed(wire) is None:
            raise Failed("the end of TCP without a Close", "Close")

    return Play(in_words(data), "Close", run, Needs.OPEN)


def _says_why(data: bytes, code: int) -> Play:
    def run(peer: Peer) -> None:
        wire = peer.open()
        wire.send(data)
        if (received := _failed(wire)) is None:
            raise Skipped("it ends TCP without a Close, which 8.failing.with-a-close tests")
        if received.code != code:
            raise Failed(str(received), f"Close {code}")

    return Play(in_words(data), f"Close {code}", run, Needs.OPEN)


def _fails_with(name: str, code: int, data: bytes, what: str) -> Case:
    meaning = {
        1002: "1002 indicates that an endpoint is terminating the connection due to a protocol error.",
        1007: "1007 indicates that an endpoint is terminating the connection because it has received data within a "
        "message that was not consistent with the type of the message (e.g., non-UTF-8 [RFC3629] data within a text "
        "message).",
        1009: "1009 indicates that an endpoint is terminating the connection because it has received a message that is "
        "too big for it to process.",
    }[code]
    return Case(
        f"8.failing.{code}-{name}",
        SHOULD,
        "RFC 6455 §7.4.1",
        f"{what} is answered with Close {code}",
        meaning,
        _says_why(data, code),
        f"Send a Close with {code} (88 02 {code:04x}) before you end TCP: it helps to debug the client.",
    )


def _too_big(peer: Peer) -> None:
    wire = peer.open()
    wire.send(frame(TEXT, letters(1000), form=64, declared=(1 << 62) + 1))
    try:
        # A server may echo fragments as they arrive: ignore unfinished frames.
        received = next(
            (one for one in wire.frames() if (one.opcode >= 8 or one.fin) and not wire.answers_nothing(one)), None
        )
    except Failed:
        raise Skipped("it waits for more bytes: 11.limits.frame tests that") from None
    if received is None or (received.opcode, received.code) not in ((CLOSE, 1009), (CLOSE, 1002), (CLOSE, 1008)):
        raise Failed(str(received or "the end of TCP without a Close"), "Close 1009, or 1002 or 1008")


FAILING_CASES = (
    Case(
        "8.failing.ends-tcp",
        MUST,
        "RFC 6455 §7.1.7",
        "A server that fails the connection ends TCP",
        "Similarly, to do so, the server MUST _Close the WebSocket Connection_, and SHOULD log the problem.",
        script(
            f"{in_words(WRONG)} (RSV2), then an answer to the Close",
            "the end of TCP",
            _ends_after_failing,
            needs=Needs.OPEN,
        ),
        "Send the Close, then shut the socket down.",
    ),
    Case(
        "8.failing.nothing-more",
        MUST,
        "RFC 6455 §7.1.7",
        "After a fault the server does not answer a good message in the same packet",
        "An endpoint MUST NOT continue to attempt to process data (including a responding Close frame) from the remote "
        "endpoint after being instructed to _Fail the WebSocket Connection_.",
        script(
            "a frame with RSV2, a text message and a Ping in one packet",
            "only a Close, or the end of TCP",
            _nothing_more,
            needs=Needs.OPEN,
        ),
        "Leave the loop at the first fault, and drop the rest of the buffer.",
    ),
    Case(
        "8.failing.with-a-close",
        SHOULD,
        "RFC 6455 §7.1.7",
        "A server that fails the connection sends a Close first",
        APPROPRIATE,
        _says_so(WRONG),
        "Send a Close with a code before you end TCP: 1002 for a broken rule.",
    ),
    Case(
        "8.failing.with-a-close-text",
        SHOULD,
        "RFC 6455 §7.1.7",
        "A server that fails the connection for a text that is not UTF-8 sends a Close first",
        APPROPRIATE,
        _says_so(frame(TEXT, b"\xff")),
        "Catch the error of your decoder, and send a Close with 1007 before you end TCP.",
    ),
    _fails_with("rsv", 1002, frame(TEXT, b"Hello", rsv=4), "An RSV bit without an agreed extension"),
    _fails_with("opcode", 1002, frame(5, b"Hello"), "A reserved opcode"),
    _fails_with("mask", 1002, frame(TEXT, b"Hello", key=None), "A frame without a mask"),
    _fails_with("continuation", 1002, frame(CONTINUATION, b"Hello"), "A continuation without an unfinished message"),
    _fails_with("interleaved", 1002, frame(TEXT, b"Hel", fin=False) + text("lo"), "A message inside a message"),
    _fails_with("ping", 1002, frame(PING, letters(126)), "A Ping of 126 bytes"),
    _fails_with("text", 1007, frame(TEXT, b"\xff"), "A text that is not UTF-8"),
    _fails_with("fragments", 1007, fragments(TEXT, b"\xe2", b"\x28\xa1"), "A text in fragments that is not UTF-8"),
    Case(
        "8.failing.1009-size",
        SHOULD,
        "RFC 6455 §7.4.1",
        "A frame of 2**62 bytes is answered with Close 1009",
        "1009 indicates that an endpoint is terminating the connection because it has received a message that is too "
        "big for it to process.",
        script(
            "a frame that declares 2**62 bytes, and its first 1,000 bytes",
            "Close 1009, or 1002 or 1008",
            _too_big,
            needs=Needs.OPEN,
        ),
        "Check the length before you read the payload, and send 1009 for a length above your limit.",
    ),
)

CASES = (*CLOSE_CASES, *CODE_CASES, *PAYLOAD_CASES, *AFTER_CASES, *FAILING_CASES)
