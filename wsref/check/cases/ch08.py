"""Chapter 8: cases about closing: the Close, its codes, the end of TCP.

The RFC requires little of the answer to a Close: "MUST send a Close frame in response" (§5.5.1),
without a code or with one that may be sent.  "Typically" the answer echoes the code, so another code
is legal.  An invalid Close has a reserved code, half a code, or a reason that is not UTF-8.  The
server answers it with 1002 or 1007, or ends TCP.  The RFC forbids to send such a Close, but does not
say how to answer it, so these cases are SHOULD.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..case import Needs, Play
from ..codec import CLOSE, CONTINUATION, PING, TEXT, Frame, close, fragments, frame, text
from ..plays import in_words, reaction
from ..rule import Row, Rule, cases_of
from ..session import Peer, Silence, Wire
from ..verdict import Failed, Skipped
from .common import INTEROP, MUST, SHOULD, SMALL_CONTROL_FRAMES, letters

IN_RESPONSE = (
    "If an endpoint receives a Close frame and did not previously send a Close frame, the endpoint MUST send a Close "
    "frame in response."
)
HEL = frame(TEXT, b"Hel", fin=False)

# -- A Close is answered ------------------------------------------------------------------


def _receive_close(wire: Wire) -> Frame:
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
        return _receive_close(wire)
    except Failed:
        return None


def _answered(data: bytes, packet_size: int = 0) -> Play:
    slowly = f"{data[:2].hex(' ')} ..., byte by byte" if packet_size else ""
    return reaction(data, "Close", _receive_close, sends=slowly, packet_size=packet_size)


def _if_answered(data: bytes, is_wrong: Callable[[Frame], bool], accepts: str, wanted: str = "") -> Play:
    """Judge the Close if there is one; other cases require a Close."""

    def judge(wire: Wire) -> None:
        if (received := _close_received(wire)) is not None and is_wrong(received):
            raise Failed(str(received), wanted)

    return reaction(data, accepts, judge)


def _same_code(peer: Peer) -> None:
    for code in (1000, 3000, 4999):
        wire = peer.open()
        wire.send(close(code, b"bye"))
        if (received := _close_received(wire)) is not None and received.code != code:
            raise Failed(f"{received} for Close {code}", f"Close {code}")
        wire.close()


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


CLOSE_CASES = cases_of(
    Rule(MUST, "RFC 6455 §5.5.1", IN_RESPONSE, "Answer a frame with opcode 8 by opcode 8, then end TCP."),
    ("8.close.empty", "A Close without a code is answered by a Close",
     _answered(close(None)), "An empty payload has no code: do not unpack it."),
    ("8.close.1000", "A Close with the code 1000 is answered by a Close", _answered(close(1000))),
    ("8.close.reason", "A Close with a code and a reason is answered by a Close", _answered(close(1000, b"bye"))),
    ("8.close.reason-utf8", "A Close with a reason in UTF-8 is answered by a Close",
     _answered(close(1000, "adi\u00f3s \u20ac".encode()))),
    ("8.close.reason-123", "A Close with a reason of 123 bytes, the maximum, is answered by a Close",
     _answered(close(1000, letters(123)))),
    ("8.close.byte-by-byte", "A Close that arrives one byte at a time is answered",
     _answered(close(1000, b"bye"), packet_size=1), "Wait for the whole frame, however it is split."),
    ("8.close.inside-message", "A Close inside a fragmented message is answered by a Close",
     _answered(HEL + close(1000)),
     "A Close may arrive between fragments: the message stays unfinished, which is not an error."),

    Rule(MUST, "RFC 6455 §5.5", SMALL_CONTROL_FRAMES),
    ("8.close.well-formed",
     "The server's Close is one whole frame without a mask; its payload is empty, or a code and UTF-8",
     Play("four Closes", "a Close that begins with 88, of 0 or 2 to 125 bytes", _well_formed_closes, Needs.OPEN),
     "A Close has 88, the length, then nothing, or two bytes of code and at most 123 bytes of reason."),

    Rule(INTEROP, "RFC 6455 §5.5.1",
         "When sending a Close frame in response, the endpoint typically echos the status code it received."),
    ("8.close.same-code", "The answer to a Close has the same code",
     Play("Closes with 1000, 3000 and 4999, each on a separate connection", "the same code", _same_code,
          Needs.OPEN),
     "Send the first two bytes of the payload back.  The close event of a browser shows them."),
)  # fmt: skip

# -- Codes -----------------------------------------------------------------------------------

MUST_NOT_BE_SENT = (1005, 1006, 1015)


def _is_not_to_be_sent(received: Frame) -> bool:
    return received.code in MUST_NOT_BE_SENT


def _is_outside_all_ranges(received: Frame) -> bool:
    return received.code is not None and not 1000 <= received.code <= 4999


def _not_an_error(code: int) -> Play:
    return _if_answered(
        close(code, b"bye"),
        lambda received: received.code == 1002,
        "Close, with a code other than 1002",
        f"a Close that does not report the code {code} as an error",
    )


def _never(code: int) -> Play:
    return _if_answered(
        close(code),
        _is_not_to_be_sent,
        "a Close with another code, or the end of TCP",
        "a Close without a code, or with one that may be sent",
    )


def _fails_with(data: bytes, *codes: int) -> Play:
    """Expect the end of TCP, or a Close with one of these codes."""
    accepts = f"Close {' or '.join(map(str, codes))}, or the end of TCP"

    def judge(wire: Wire) -> None:
        received = wire.expect_failure()
        if received is not None and received.code not in codes:
            raise Failed(str(received), accepts)

    return reaction(data, accepts, judge)


def _bad_codes(quote: str, *rows: tuple[int, str]) -> Iterator[Rule | Row]:
    hint = "Check the code against the table of §7.4, and answer 1002 to any other code."
    yield Rule(SHOULD, "RFC 6455 §7.4.2", quote, hint)
    for code, why in rows:
        title = f"A Close with the code {code} ({why}) is a protocol error"
        yield f"8.code.bad-{code}", title, _fails_with(close(code), 1002)


def _reserved(code: int) -> Iterator[Rule | Row]:
    yield Rule(MUST, "RFC 6455 §7.4.1",
               f"{code} is a reserved value and MUST NOT be set as a status code in a Close control frame by an "
               "endpoint.",
               "Check the code before you echo it; answer 1002 to a code that must not be sent.")  # fmt: skip
    yield f"8.code.never-{code}", f"The server does not send the code {code} back", _never(code)


CODE_CASES = cases_of(
    Rule(MUST, "RFC 6455 §5.5.1", IN_RESPONSE, "Accept the codes 1000 to 1003, 1007 to 1014, and 3000 to 4999."),
    *((f"8.code.good-{code}", f"A Close with the code {code} is answered by a Close", _answered(close(code, b"bye")))
      for code in (1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)),

    Rule(INTEROP, "RFC 6455 §7.4.2",
         "Status codes in the range 3000-3999 are reserved for use by libraries, frameworks, and applications. ... "
         "Status codes in the range 4000-4999 are reserved for private use",
         "Libraries and applications define 3000 to 4999: such a code is not a protocol error."),
    *((f"8.code.taken-{code}", f"The code {code} is not reported as an error", _not_an_error(code))
      for code in (3000, 3999, 4000, 4999)),

    Rule(INTEROP, "RFC 6455 §7.4.2",
         "The IANA registry added 1012, 1013 and 1014 to the codes of the RFC, and clients send them.",
         "Add 1012 to 1014 to the accepted codes."),
    *((f"8.code.taken-{code}", f"The code {code} ({name}) is not reported as an error", _not_an_error(code))
      for code, name in ((1012, "Service Restart"), (1013, "Try Again Later"), (1014, "Bad Gateway"))),

    Rule(MUST, "RFC 6455 §7.4.1",
         "1005 is a reserved value and MUST NOT be set as a status code in a Close control frame by an endpoint."),
    ("8.code.empty-is-not-1005", "A Close without a code is not answered with 1005",
     _if_answered(close(None), _is_not_to_be_sent, "a Close without a code, or with one that may be sent"),
     "1005 only tells an application that the Close had no code; answer with an empty Close, or 1000."),
    *(row for code in MUST_NOT_BE_SENT for row in _reserved(code)),

    Rule(MUST, "RFC 6455 §5.5.1",
         "If there is a body, the first two bytes of the body MUST be a 2-byte unsigned integer (in network byte "
         "order) representing a status code with value /code/ defined in Section 7.4."),
    ("8.code.empty-in-range", "A Close without a code is not answered with a code outside 1000 to 4999",
     _if_answered(close(None), _is_outside_all_ranges, "a Close without a code, or with one of 1000 to 4999"),
     "§7.4 has no code below 1000 or above 4999.  If the Close has no code, answer with an empty Close, or 1000."),

    *_bad_codes("Status codes in the range 0-999 are not used.", (0, "not used"), (999, "not used")),

    *_bad_codes("Status codes in the range 1000-2999 are reserved for definition by this protocol, its future "
               "revisions, and extensions specified in a permanent and readily available public specification.",
               (1004, "reserved"),
               (1005, "never sent: it means that the Close has no code"),
               (1006, "never sent: it means that there is no Close"),
               (1015, "never sent: it means that TLS failed"),
               (1016, "not registered"), (1100, "not registered"), (2000, "not registered"), (2999, "not registered")),

    *_bad_codes("Status codes in the range 4000-4999 are reserved for private use and thus can't be registered.",
               (5000, "above all ranges"), (65535, "above all ranges")),
)  # fmt: skip

# -- Invalid payloads ----------------------------------------------------------------------

PAYLOAD_CASES = cases_of(
    Rule(SHOULD, "RFC 6455 §5.5.1",
         "If there is a body, the first two bytes of the body MUST be a 2-byte unsigned integer (in network byte "
         "order) representing a status code"),
    ("8.payload.one-byte", "A Close of one byte, half a code, is a protocol error",
     _fails_with(frame(CLOSE, b"\x03"), 1002),
     "A payload of 0 bytes has no code; answer 1002 to 1 byte; 2 bytes or more are a code and a reason."),

    Rule(SHOULD, "RFC 6455 §5.5.1",
         "Following the 2-byte integer, the body MAY contain UTF-8-encoded data with value /reason/"),
    ("8.payload.reason-not-utf8", "A reason that is not UTF-8 is an error",
     _fails_with(close(1000, b"bye \xff"), 1007, 1002),
     "Decode the reason strictly, and answer 1007 if that fails.  Do not echo unchecked bytes."),
    ("8.payload.reason-surrogate", "A reason that contains a surrogate is an error",
     _fails_with(close(1000, bytes.fromhex("ce ba ed a0 80")), 1007, 1002),
     "Decode the reason strictly, and answer 1007 if that fails."),

    Rule(SHOULD, "RFC 6455 §5.5", SMALL_CONTROL_FRAMES),
    ("8.payload.126", "A Close of 126 bytes is a protocol error", _fails_with(close(1000, letters(124)), 1002, 1009),
     "A control frame has at most 125 bytes: check the length before you read the payload."),
    ("8.payload.without-fin", "A Close without FIN is a protocol error",
     _fails_with(frame(CLOSE, b"\x03\xe8", fin=False), 1002), "Answer opcode & 8 without FIN by 1002."),

    Rule(SHOULD, "RFC 6455 §5.1", "a server MAY send a Close frame with a status code of 1002 (protocol error)"),
    ("8.payload.without-mask", "A Close without a mask is a protocol error",
     _fails_with(frame(CLOSE, b"\x03\xe8", key=None), 1002), "Every frame from a client needs a mask."),
)  # fmt: skip

# -- After the Close ---------------------------------------------------------------------------------


def _nothing_after(data: bytes, is_wrong: Callable[[Frame], bool], accepts: str) -> Play:
    def judge(wire: Wire) -> None:
        late = None
        try:
            _receive_close(wire)
            late = next((received for received in wire.frames() if is_wrong(received)), None)
        except Failed:
            pass  # no Close, or TCP stays open, which other cases test; nothing wrong arrived
        if late is not None:
            raise Failed(f"after its Close: {late}", accepts)

    return reaction(data, accepts, judge)


def _no_echo(wire: Wire) -> None:
    for received in wire.frames():
        if received.opcode in (TEXT, CONTINUATION) and not wire.answers_nothing(received, Frame(TEXT, b"too late")):
            raise Failed(str(received), "Close, and no echo of the message after the Close")
        if received.opcode == CLOSE:
            return


def _ends_tcp(data: bytes) -> Play:
    def judge(wire: Wire) -> None:
        if not wire.ended():
            raise Failed(f"TCP is still open {wire.timeout:g} s after the Close", "the end of TCP")

    return reaction(data, "the end of TCP", judge)


def _before_the_close(count: int) -> Play:
    """Expect as many echoes as there are messages in front of a Close."""
    many = f"{count} messages" if count > 1 else "a message"
    messages = [Frame(TEXT, b"message %d" % i) for i in range(count)]

    def judge(wire: Wire) -> None:
        received = 0
        for one in wire.frames():
            if one.opcode == CLOSE:
                break
            received += one.fin and one.opcode < 8 and not wire.answers_nothing(one, *messages)
            if received == count:
                return
        raise Failed(f"{received} of {count} echoes, then Close or the end of TCP", f"{count} echoes, then Close")

    data = b"".join(frame(TEXT, message.payload) for message in messages) + close(1000)
    return reaction(
        data, f"{many} back, then Close", judge, sends=f"{many} and a Close in one packet", needs=Needs.ECHO
    )


def _ends_cleanly(wire: Wire) -> None:
    closed = _close_received(wire) is not None
    if wire.ended() and wire.was_reset:
        raise Failed(f"RST{', after its Close' if closed else ' instead of a Close'}", "Close, then FIN")


AFTER_CASES = cases_of(
    Rule(MUST, "RFC 6455 §5.5.1", "The server MUST close the underlying TCP connection immediately"),
    ("8.tcp.ends", "After both Closes the server ends TCP", _ends_tcp(close(1000)),
     "Shut the socket down after your Close in response: the client waits for the server."),
    ("8.tcp.ends-empty", "After both Closes the server ends TCP, also if the client's Close had no code",
     _ends_tcp(close(None)), "Shut the socket down after your Close in response."),
    ("8.tcp.ends-inside-message", "After both Closes the server ends TCP, even inside an unfinished message",
     _ends_tcp(HEL + close(1000)), "Do not wait for the rest of a message after a Close."),
    ("8.tcp.ends-after-ping", "After both Closes the server ends TCP, even with a Ping after the Close",
     _ends_tcp(close(1000) + frame(PING, b"Hello")),
     "A Ping after a Close needs no answer (§5.5.2), and must not keep the connection open."),
    ("8.tcp.ends-after-rubbish", "After both Closes the server ends TCP, even with invalid bytes after the Close",
     _ends_tcp(close(1000) + bytes.fromhex("ff ff ff ff 00 00 00")), "Read no more frames after a Close."),

    Rule(SHOULD, "RFC 6455 §7.1.1",
         "An endpoint SHOULD use a method that cleanly closes the TCP connection, ... discarding any trailing bytes "
         "that may have been received."),
    ("8.tcp.trailing-bytes", "Bytes after the client's Close are discarded, and TCP ends with FIN",
     reaction(close(1000) + frame(TEXT, letters(60_000)) * 16, "Close, then FIN", _ends_cleanly,
              sends="a Close, and behind it 16 text messages of 60,000 bytes"),
     "A socket that is closed with unread bytes sends RST, and the client may lose your Close: send FIN, then read "
     "until the client's FIN, for a second or two."),

    Rule(MUST, "RFC 6455 §5.5.1", "The application MUST NOT send any more data frames after sending a Close frame."),
    ("8.after.no-data", "After its Close the server sends no more data",
     _nothing_after(close(1000) + text("too late") + fragments(TEXT, b"much ", b"too late"),
                    lambda received: received.opcode < 8, "no data after the server's Close"),
     "After your Close, refuse to send messages."),

    Rule(SHOULD, "RFC 6455 §1.4",
         "after receiving a control frame indicating the connection should be closed, a peer discards any further data "
         "received."),
    ("8.after.discarded", "The server does not answer messages after the client's Close",
     reaction(close(1000) + text("too late"), "Close, and no echo", _no_echo, sends="a Close, then a text message"),
     "Stop reading frames at the Close."),

    Rule(SHOULD, "RFC 6455 §5.5.1", IN_RESPONSE),
    ("8.after.one-close", "Two Closes are answered by one Close",
     _nothing_after(close(1000) + close(1000), lambda received: received.opcode == CLOSE, "one Close"),
     "Remember that you sent a Close; each side sends one."),

    Rule(INTEROP, "RFC 6455 §5.5.1", "Otherwise a client that sends its last message and a Close loses the answer."),
    ("8.after.a-message", "A message before the Close, in the same packet, is answered before the Close",
     _before_the_close(1), "Handle frames in order, and finish each one before the next."),

    Rule(INTEROP, "RFC 6455 §5.5.1", "Otherwise a client that sends its last messages and a Close loses answers."),
    ("8.after.messages", "Two hundred messages before the Close are all answered before the Close",
     _before_the_close(200), "Do not let the Close overtake queued messages."),
)  # fmt: skip

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


def _ends_after_failing(wire: Wire) -> None:
    received = _failed(wire)
    if received is not None:
        wire.send(close(received.code if received.code and received.code not in MUST_NOT_BE_SENT else 1000))
        if not wire.ended():
            raise Failed(f"TCP is still open {wire.timeout:g} s after the answer to its Close", "the end of TCP")


def _nothing_more(wire: Wire) -> None:
    wrong = None
    try:
        for received in wire.frames():
            if received.payload == b"Hello":  # perhaps after a Pong: some servers answer Pings first
                raise Skipped(NOT_NOTICED)
            if received.payload and b"and now?".startswith(received.payload):  # another text may say why it closes
                wrong = wrong or received
    except Silence:
        pass  # other cases test that
    if wrong is not None:
        raise Failed(f"{wrong}", "only a Close, or the end of TCP")


def _with_a_close(data: bytes) -> Play:
    def judge(wire: Wire) -> None:
        if _failed(wire) is None:
            raise Failed("the end of TCP without a Close", "Close")

    return reaction(data, "Close", judge)


def _says_why(data: bytes, code: int) -> Play:
    def judge(wire: Wire) -> None:
        if (received := _failed(wire)) is None:
            raise Skipped("it ends TCP without a Close, which 8.failing.with-a-close tests")
        if received.code != code:
            raise Failed(str(received), f"Close {code}")

    return reaction(data, f"Close {code}", judge)


def _too_big(wire: Wire) -> None:
    try:
        # A server may echo fragments as they arrive: ignore unfinished frames.
        received = next(
            (one for one in wire.frames() if (one.opcode >= 8 or one.fin) and not wire.answers_nothing(one)), None
        )
    except Failed:
        raise Skipped("it waits for more bytes: 11.limits.frame tests that") from None
    if received is None or received.opcode != CLOSE or received.code not in (1009, 1002, 1008):
        raise Failed(str(received or "the end of TCP without a Close"), "Close 1009, or 1002 or 1008")


FAILING_CASES = cases_of(
    Rule(MUST, "RFC 6455 §7.1.7",
         "Similarly, to do so, the server MUST _Close the WebSocket Connection_, and SHOULD log the problem."),
    ("8.failing.ends-tcp", "A server that fails the connection ends TCP",
     reaction(WRONG, "the end of TCP", _ends_after_failing,
              sends=f"{in_words(WRONG)} (RSV2), then an answer to the Close"),
     "Send the Close, then shut the socket down."),

    Rule(MUST, "RFC 6455 §7.1.7",
         "An endpoint MUST NOT continue to attempt to process data (including a responding Close frame) from the "
         "remote endpoint after being instructed to _Fail the WebSocket Connection_."),
    ("8.failing.nothing-more", "After a fault the server does not answer a good message in the same packet",
     reaction(WRONG + text("and now?") + frame(PING, b"and now?"), "only a Close, or the end of TCP", _nothing_more,
              sends="a frame with RSV2, a text message and a Ping in one packet"),
     "Leave the loop at the first fault, and drop the rest of the buffer."),

    Rule(SHOULD, "RFC 6455 §7.1.7",
         "the endpoint SHOULD send a Close frame with an appropriate status code (Section 7.4) before proceeding to "
         "_Close the WebSocket Connection_."),
    ("8.failing.with-a-close", "A server that fails the connection sends a Close first",
     _with_a_close(WRONG), "Send a Close with a code before you end TCP: 1002 for a broken rule."),
    ("8.failing.with-a-close-text",
     "A server that fails the connection for a text that is not UTF-8 sends a Close first",
     _with_a_close(frame(TEXT, b"\xff")),
     "Catch the error of your decoder, and send a Close with 1007 before you end TCP."),

    Rule(SHOULD, "RFC 6455 §7.4.1",
         "1002 indicates that an endpoint is terminating the connection due to a protocol error.",
         "Send a Close with 1002 (88 02 03ea) before you end TCP: it helps to debug the client."),
    *((f"8.failing.1002-{name}", f"{what} is answered with Close 1002", _says_why(data, 1002))
      for name, data, what in (
          ("rsv", frame(TEXT, b"Hello", rsv=4), "An RSV bit without an agreed extension"),
          ("opcode", frame(5, b"Hello"), "A reserved opcode"),
          ("mask", frame(TEXT, b"Hello", key=None), "A frame without a mask"),
          ("continuation", frame(CONTINUATION, b"Hello"), "A continuation without an unfinished message"),
          ("interleaved", HEL + text("lo"), "A message inside a message"),
          ("ping", frame(PING, letters(126)), "A Ping of 126 bytes"),
      )),

    Rule(SHOULD, "RFC 6455 §7.4.1",
         "1007 indicates that an endpoint is terminating the connection because it has received data within a message "
         "that was not consistent with the type of the message (e.g., non-UTF-8 [RFC3629] data within a text message).",
         "Send a Close with 1007 (88 02 03ef) before you end TCP: it helps to debug the client."),
    ("8.failing.1007-text", "A text that is not UTF-8 is answered with Close 1007",
     _says_why(frame(TEXT, b"\xff"), 1007)),
    ("8.failing.1007-fragments", "A text in fragments that is not UTF-8 is answered with Close 1007",
     _says_why(fragments(TEXT, b"\xe2", b"\x28\xa1"), 1007)),

    Rule(SHOULD, "RFC 6455 §7.4.1",
         "1009 indicates that an endpoint is terminating the connection because it has received a message that is too "
         "big for it to process."),
    ("8.failing.1009-size", "A frame of 2**62 bytes is answered with Close 1009",
     reaction(frame(TEXT, letters(1000), form=64, declared=(1 << 62) + 1), "Close 1009, or 1002 or 1008", _too_big,
              sends="a frame that declares 2**62 bytes, and its first 1,000 bytes"),
     "Check the length before you read the payload, and send 1009 for a length above your limit."),
)  # fmt: skip

CASES = (*CLOSE_CASES, *CODE_CASES, *PAYLOAD_CASES, *AFTER_CASES, *FAILING_CASES)
