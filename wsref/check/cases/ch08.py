"""Chapter 8: the cases about closing: the Close, its codes, the end of TCP.

What is asked of an answer to a Close is little: "MUST send a Close frame in response"
(§5.5.1), with a code that may travel or none.  "Typically" it echoes the code, so another
is legal.  What a Close may not say (a code that is reserved, half a code, a reason that is
no UTF-8) is answered with 1002 or 1007, or by the end of TCP; the RFC says that such a
Close must not be sent, and not in so many words what to do with it, so that is SHOULD.
"""

from __future__ import annotations

from collections.abc import Callable

from ..case import Case, Play
from ..codec import CLOSE, CONTINUATION, PING, TEXT, Frame, close, fragments, frame, text
from ..plays import in_words, script
from ..session import Line, Peer
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


def the_close(line: Line) -> Frame:
    """The server's Close, after whatever comes before it.

    Raises:
        Failed: none comes.
    """
    try:
        for came in line.frames():
            if came.opcode == CLOSE:
                return came
    except Failed as failure:
        raise Failed(failure.got, "Close") from None
    raise Failed("it ended TCP without a Close", "Close")


def _a_close(line: Line) -> Frame | None:
    """The same, but that none comes is no failure here."""
    try:
        return the_close(line)
    except Failed:
        return None


def _answered(wire: bytes, judge: Callable[[Frame], None] = lambda came: None, accepts: str = "Close") -> Play:
    def run(peer: Peer) -> None:
        line = peer.open()
        line.send(wire)
        judge(the_close(line))

    return Play(in_words(wire), accepts, run, "open")


def _if_answered(wire: bytes, judge: Callable[[Frame], None], accepts: str) -> Play:
    """Look at the Close, if one comes; that one must come is asked elsewhere."""

    def run(peer: Peer) -> None:
        line = peer.open()
        line.send(wire)
        if (came := _a_close(line)) is not None:
            judge(came)

    return Play(in_words(wire), accepts, run, "open")


def _taken(name: str, wire: bytes, title: str, hint: str = "") -> Case:
    return Case(
        f"8.close.{name}",
        MUST,
        "RFC 6455 §5.5.1",
        title,
        IN_RESPONSE,
        _answered(wire),
        hint or "Opcode 8 came: send opcode 8, then end TCP.",
    )


def _same_code(peer: Peer) -> None:
    for code in (1000, 3000, 4999):
        line = peer.open()
        line.send(close(code, b"bye"))
        if (came := _a_close(line)) is not None and came.code != code:
            raise Failed(f"{came}, to Close {code}", f"Close {code}")
        line.hang_up()


MUST_NOT_BE_SENT = (1005, 1006, 1015)


def _may_travel(came: Frame) -> None:
    if came.code in MUST_NOT_BE_SENT:
        raise Failed(str(came), "a Close without a code, or with one that may be sent")


def _well_formed_closes(peer: Peer) -> None:
    for payload in (b"", b"\x03\xe8", b"\x03\xe8bye", b"\x03\xe8" + letters(123)):
        line = peer.open()
        line.send(frame(CLOSE, payload))
        if (came := _a_close(line)) is None:
            return
        wrong = list(came.faults)
        if came.rsv:
            wrong.append(f"the RSV bits {came.rsv:03b} are set (RFC 6455 §5.2)")
        if len(came.payload) == 1:
            wrong.append("its payload is 1 byte, half a code (RFC 6455 §5.5.1)")
        try:
            came.payload[2:].decode()
        except UnicodeDecodeError:
            wrong.append("its reason is not UTF-8 (RFC 6455 §5.5.1)")
        if wrong:
            raise Failed(f"a Close: {wrong[0]}")
        line.hang_up()


def _slowly(peer: Peer) -> None:
    line = peer.open()
    line.dribble(close(1000, b"bye"))
    the_close(line)


CLOSE_CASES = (
    _taken(
        "empty", close(None), "A Close without a code is answered by a Close", "No payload, no code: do not unpack one."
    ),
    _taken("1000", close(1000), "A Close with the code 1000 is answered by a Close"),
    _taken("reason", close(1000, b"bye"), "A Close with a code and a reason is answered by a Close"),
    _taken("reason-utf8", close(1000, "adi\u00f3s \u20ac".encode()), "A reason may hold any UTF-8"),
    _taken("reason-123", close(1000, letters(123)), "A reason of 123 bytes, the most there may be, is taken"),
    Case(
        "8.close.byte-by-byte",
        MUST,
        "RFC 6455 §5.5.1",
        "A Close that comes one byte at a time is answered",
        IN_RESPONSE,
        script("88 85 ..., byte by byte", "Close", _slowly, needs="open"),
        "Wait for the whole frame, in whatever pieces it comes.",
    ),
    _taken(
        "inside-message",
        frame(TEXT, b"Hel", fin=False) + close(1000),
        "A Close inside a fragmented message is answered by a Close",
        "A Close may come between fragments: the message will never be finished, and that is no error.",
    ),
    Case(
        "8.close.well-formed",
        MUST,
        "RFC 6455 §5.5",
        "The server's Close is one whole frame without a mask; its payload is none, or a code and UTF-8",
        "All control frames MUST have a payload length of 125 bytes or less and MUST NOT be fragmented.",
        script("four Closes", "a Close that begins with 88, of 0 or 2 to 125 bytes", _well_formed_closes, needs="open"),
        "A Close begins with 88; then the length; then nothing, or two bytes of code and at most 123 of reason.",
    ),
    Case(
        "8.close.same-code",
        INTEROP,
        "RFC 6455 §5.5.1",
        "The answer to a Close has its code",
        "When sending a Close frame in response, the endpoint typically echos the status code it received.",
        script(
            "Closes with 1000, 3000 and 4999, each on a connection of its own",
            "the same code",
            _same_code,
            needs="open",
        ),
        "Send back the first two bytes of the payload.  A browser's onclose shows what you send.",
    ),
)

# -- Codes -----------------------------------------------------------------------------------

VALID = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
REGISTERED_LATER = {1012: "Service Restart", 1013: "Try Again Later", 1014: "Bad Gateway"}
INVALID = {
    0: "not used",
    999: "not used",
    1004: "reserved",
    1005: "never sent: it means that there was no code",
    1006: "never sent: it means that there was no Close",
    1015: "never sent: it means that TLS failed",
    1016: "not registered",
    1100: "not registered",
    2000: "not registered",
    2999: "not registered",
    5000: "beyond all ranges",
    65535: "beyond all ranges",
}
RESERVED = (
    "Status codes in the range 1000-2999 are reserved for definition by this protocol, its future revisions, and "
    "extensions specified in a permanent and readily available public specification."
)


def _not_an_error(code: int) -> Play:
    def judge(came: Frame) -> None:
        if came.code == 1002 != code:
            raise Failed(str(came), f"a Close that does not call the code {code} an error")

    return _if_answered(close(code, b"bye"), judge, "Close, with another code than 1002")


def _refused(*codes: int) -> Callable[[Peer, bytes], None]:
    def run(peer: Peer, wire: bytes) -> None:
        line = peer.open()
        line.send(wire)
        came = line.expect_failure()
        if came is not None and came.code not in codes:
            raise Failed(str(came), f"Close {' or '.join(map(str, codes))}, or the end of TCP")

    return run


def refused_with(wire: bytes, *codes: int) -> Play:
    """The end of TCP, or a Close with one of these codes."""
    return script(
        in_words(wire),
        f"Close {' or '.join(map(str, codes))}, or the end of TCP",
        lambda peer: _refused(*codes)(peer, wire),
        needs="open",
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
            "1000 to 1003, 1007 to 1014, and all from 3000 to 4999 may be sent; take them.",
        )
        for code in VALID[1:]
    ),
    *(
        Case(
            f"8.code.taken-{code}",
            INTEROP,
            "RFC 6455 §7.4.2",
            f"The code {code} is not called an error",
            "Status codes in the range 3000-3999 are reserved for use by libraries, frameworks, and applications. ... "
            "Status codes in the range 4000-4999 are reserved for private use",
            _not_an_error(code),
            "3000 to 4999 are the applications' own: whatever they mean, they are no protocol error.",
        )
        for code in (3000, 3999, 4000, 4999)
    ),
    *(
        Case(
            f"8.code.taken-{code}",
            INTEROP,
            "RFC 6455 §7.4.2",
            f"The code {code} ({name}) is not called an error",
            "IANA's registry has added 1012, 1013 and 1014 to the RFC's own; clients send them.",
            _not_an_error(code),
            "Add 1012 to 1014 to the codes that you take.",
        )
        for code, name in REGISTERED_LATER.items()
    ),
    Case(
        "8.code.empty-is-not-1005",
        MUST,
        "RFC 6455 §7.4.1",
        "A Close without a code is not answered with 1005",
        "1005 is a reserved value and MUST NOT be set as a status code in a Close control frame by an endpoint.",
        _if_answered(close(None), _may_travel, "a Close without a code, or with one that may be sent"),
        "1005 is what you tell your own program when there was no code; answer with an empty Close, or 1000.",
    ),
    *(
        Case(
            f"8.code.never-{code}",
            MUST,
            "RFC 6455 §7.4.1",
            f"The code {code} does not come back",
            f"{code} is a reserved value and MUST NOT be set as a status code in a Close control frame by an endpoint.",
            _if_answered(close(code), _may_travel, "a Close with another code, or the end of TCP"),
            "Check the code before you echo it: what may not travel is answered with 1002.",
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
            "Close codes have a table (§7.4): what is not in it is answered with 1002.",
        )
        for code, why in INVALID.items()
    ),
)

# -- Payloads that are none ----------------------------------------------------------------------

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
        "0 bytes: no code.  1 byte: 1002.  2 or more: a code and a reason.",
    ),
    Case(
        "8.payload.reason-not-utf8",
        SHOULD,
        "RFC 6455 §5.5.1",
        "A reason that is not UTF-8 is an error",
        "Following the 2-byte integer, the body MAY contain UTF-8-encoded data with value /reason/",
        refused_with(close(1000, b"bye \xff"), 1007, 1002),
        "Decode the reason strictly, and answer 1007 if that fails.  Do not echo what you have not checked.",
    ),
    Case(
        "8.payload.reason-surrogate",
        SHOULD,
        "RFC 6455 §5.5.1",
        "A reason with a surrogate in it is an error",
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
        "A control frame's length is below 126: look at it before you read a longer one.",
    ),
    Case(
        "8.payload.without-fin",
        SHOULD,
        "RFC 6455 §5.5",
        "A Close without FIN is a protocol error",
        "All control frames MUST have a payload length of 125 bytes or less and MUST NOT be fragmented.",
        refused_with(frame(CLOSE, b"\x03\xe8", fin=False), 1002),
        "opcode & 8 and no FIN: 1002.",
    ),
    Case(
        "8.payload.without-mask",
        SHOULD,
        "RFC 6455 §5.1",
        "A Close without a mask is a protocol error",
        "a server MAY send a Close frame with a status code of 1002 (protocol error)",
        refused_with(frame(CLOSE, b"\x03\xe8", key=None), 1002),
        "The mask is asked for in every frame.",
    ),
)

# -- After the Close ---------------------------------------------------------------------------------


class Late(Failed):
    """Something came after the server's Close."""


def _nothing_after(wire: bytes, wrong: Callable[[Frame], bool], wanted: str) -> Play:
    def run(peer: Peer) -> None:
        line = peer.open()
        line.send(wire)
        if _a_close(line) is None:
            return
        try:
            for came in line.frames():
                if wrong(came):
                    raise Late(f"after its Close: {came}", wanted)
        except Late:
            raise
        except Failed:
            return  # TCP stays open, which another case looks at; nothing came

    return Play(in_words(wire), wanted, run, "open")


def _discarded(peer: Peer) -> None:
    line = peer.open()
    line.send(close(1000) + text("too late"))
    for came in line.frames():
        if came.opcode in (TEXT, CONTINUATION):
            raise Failed(str(came), "Close, and no echo of what came after the Close")
        if came.opcode == CLOSE:
            return


def _ends_tcp(wire: bytes) -> Play:
    def run(peer: Peer) -> None:
        line = peer.open()
        line.send(wire)
        if not line.ended():
            raise Failed(f"TCP is still open {line.timeout:g} s after the Close", "the end of TCP")

    return Play(in_words(wire), "the end of TCP, after a Close", run, "open")


def _after_all(count: int) -> Play:
    def run(peer: Peer) -> None:
        line = peer.open()
        line.send(b"".join(text(f"message {i}") for i in range(count)) + close(1000))
        came = 0
        for one in line.frames():
            if one.opcode == CLOSE:
                break
            came += one.fin and one.opcode < 8
            if came == count:
                return
        if came != count:
            raise Failed(f"{came} of {count} echoes, and then Close or the end of TCP", f"{count} echoes, then Close")

    many = f"{count} messages" if count > 1 else "a message"
    return Play(f"{many} and a Close, in one go", f"{many} back, and then Close", run, "echo")


AFTER_CASES = (
    Case(
        "8.tcp.ends",
        MUST,
        "RFC 6455 §5.5.1",
        "After both Closes the server ends TCP",
        TCP,
        _ends_tcp(close(1000)),
        "After sending your Close in response: shut the socket down.  The client waits for you, not you for it.",
    ),
    Case(
        "8.tcp.ends-empty",
        MUST,
        "RFC 6455 §5.5.1",
        "After both Closes the server ends TCP, if the client's had no code too",
        TCP,
        _ends_tcp(close(None)),
        "After sending your Close in response: shut the socket down.",
    ),
    Case(
        "8.tcp.ends-inside-message",
        MUST,
        "RFC 6455 §5.5.1",
        "After both Closes the server ends TCP, though a message was not finished",
        TCP,
        _ends_tcp(frame(TEXT, b"Hel", fin=False) + close(1000)),
        "Do not wait for the rest of a message after a Close.",
    ),
    Case(
        "8.tcp.ends-after-ping",
        MUST,
        "RFC 6455 §5.5.1",
        "After both Closes the server ends TCP, though a Ping came after the Close",
        TCP,
        _ends_tcp(close(1000) + frame(PING, b"Hello")),
        "What comes after a Close needs no answer (§5.5.2), and must not keep the connection.",
    ),
    Case(
        "8.tcp.ends-after-rubbish",
        MUST,
        "RFC 6455 §5.5.1",
        "After both Closes the server ends TCP, whatever came after the Close",
        TCP,
        _ends_tcp(close(1000) + bytes.fromhex("ff ff ff ff 00 00 00")),
        "After a Close, read no more frames.",
    ),
    Case(
        "8.after.no-data",
        MUST,
        "RFC 6455 §5.5.1",
        "After its Close the server sends no more data",
        NO_MORE_DATA,
        _nothing_after(
            close(1000) + text("too late") + fragments(TEXT, b"much ", b"too late"),
            lambda came: came.opcode < 8,
            "no data after the server's Close",
        ),
        "Once a Close is sent, send refuses.",
    ),
    Case(
        "8.after.discarded",
        SHOULD,
        "RFC 6455 §1.4",
        "What a client sends after its Close is not answered",
        "after receiving a control frame indicating the connection should be closed, a peer discards any further data "
        "received.",
        script("a Close, and then a text message", "Close; no echo", _discarded, needs="open"),
        "Stop reading frames at the Close.",
    ),
    Case(
        "8.after.one-close",
        SHOULD,
        "RFC 6455 §5.5.1",
        "Two Closes are answered by one",
        IN_RESPONSE,
        _nothing_after(close(1000) + close(1000), lambda came: came.opcode == CLOSE, "one Close"),
        "Remember that you have sent a Close; one from each side is all.",
    ),
    Case(
        "8.after.a-message",
        INTEROP,
        "RFC 6455 §5.5.1",
        "A message that came before the Close, in one packet with it, is answered before the Close is",
        "A client that says what it has to say and closes loses an answer otherwise.",
        _after_all(1),
        "Take frames in the order in which they came, and finish with one before you look at the next.",
    ),
    Case(
        "8.after.messages",
        INTEROP,
        "RFC 6455 §5.5.1",
        "Two hundred messages that came before the Close are all answered before the Close is",
        "A client that says what it has to say and closes loses answers otherwise.",
        _after_all(200),
        "Do not let the Close overtake what is waiting in a queue.",
    ),
)

# -- Failing -------------------------------------------------------------------------------------------

WRONG = frame(TEXT, b"Hello", rsv=2)


NOT_NOTICED = "it does not fail the connection for this fault, which another case looks at"


def _failed(line: Line) -> Frame | None:
    """How it fails the connection.

    Raises:
        Skipped: it does not.
    """
    try:
        return line.expect_failure()
    except Failed:
        raise Skipped(NOT_NOTICED) from None


def _ends_after_failing(peer: Peer) -> None:
    line = peer.open()
    line.send(WRONG)
    came = _failed(line)
    if came is not None:
        line.send(close(came.code if came.code and came.code not in MUST_NOT_BE_SENT else 1000))
        if not line.ended():
            raise Failed(f"TCP is still open {line.timeout:g} s after its Close was answered", "the end of TCP")


def _nothing_more(peer: Peer) -> None:
    line = peer.open()
    line.send(WRONG + text("and now?") + frame(PING, b"and now?"))
    try:
        for came in line.frames():
            if came.payload == b"Hello":
                raise Skipped(NOT_NOTICED)
            if came.opcode != CLOSE:
                raise Failed(f"{came}", "nothing but a Close, or the end of TCP")
    except Failed as failure:
        if not failure.got.startswith("nothing for"):
            raise


def _says_so(wire: bytes) -> Play:
    def run(peer: Peer) -> None:
        line = peer.open()
        line.send(wire)
        if _failed(line) is None:
            raise Failed("the end of TCP, without a Close", "Close")

    return Play(in_words(wire), "Close", run, "open")


def _says_why(wire: bytes, code: int) -> Play:
    def run(peer: Peer) -> None:
        line = peer.open()
        line.send(wire)
        if (came := _failed(line)) is None:
            raise Skipped("it ends TCP without a Close, which 8.failing.with-a-close looks at")
        if came.code != code:
            raise Failed(str(came), f"Close {code}")

    return Play(in_words(wire), f"Close {code}", run, "open")


def _fails_with(name: str, code: int, wire: bytes, what: str) -> Case:
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
        _says_why(wire, code),
        f"Before you end TCP, send a Close with {code} (88 02 {code:04x}): the client's programmer will thank you.",
    )


def _too_big(peer: Peer) -> None:
    line = peer.open()
    line.send(frame(TEXT, letters(1000), form=64, declared=(1 << 62) + 1))
    try:
        # (It may send back as it receives: what is not finished is passed over.)
        came = next((sent for sent in line.frames() if sent.opcode >= 8 or sent.fin), None)
    except Failed:
        raise Skipped("it waits for more: 11.limits.frame looks at that") from None
    if came is None or (came.opcode, came.code) not in ((CLOSE, 1009), (CLOSE, 1002), (CLOSE, 1008)):
        raise Failed(str(came or "the end of TCP, without a Close"), "Close 1009, or 1002 or 1008")


FAILING_CASES = (
    Case(
        "8.failing.ends-tcp",
        MUST,
        "RFC 6455 §7.1.7",
        "A server that fails the connection ends TCP",
        "Similarly, to do so, the server MUST _Close the WebSocket Connection_, and SHOULD log the problem.",
        script(f"{in_words(WRONG)} (RSV2); its Close is answered", "the end of TCP", _ends_after_failing, needs="open"),
        "Send the Close, and shut the socket down.",
    ),
    Case(
        "8.failing.nothing-more",
        MUST,
        "RFC 6455 §7.1.7",
        "After a fault nothing more is read: a good message in the same packet is not answered",
        "An endpoint MUST NOT continue to attempt to process data (including a responding Close frame) from the remote "
        "endpoint after being instructed to _Fail the WebSocket Connection_.",
        script(
            "a frame with RSV2, a text message, a Ping, in one packet",
            "nothing but a Close, or the end of TCP",
            _nothing_more,
            needs="open",
        ),
        "Leave the loop at the first fault; what is left in the buffer is not to be trusted.",
    ),
    Case(
        "8.failing.with-a-close",
        SHOULD,
        "RFC 6455 §7.1.7",
        "A server that fails the connection sends a Close first",
        APPROPRIATE,
        _says_so(WRONG),
        "Before you end TCP, send a Close with a code: 1002 for a broken rule.",
    ),
    Case(
        "8.failing.with-a-close-text",
        SHOULD,
        "RFC 6455 §7.1.7",
        "A server that fails the connection for a text that is not UTF-8 sends a Close first",
        APPROPRIATE,
        _says_so(frame(TEXT, b"\xff")),
        "Catch what your decoder raises, and send a Close with 1007 before you end TCP.",
    ),
    _fails_with("rsv", 1002, frame(TEXT, b"Hello", rsv=4), "An RSV bit that nobody agreed on"),
    _fails_with("opcode", 1002, frame(5, b"Hello"), "A reserved opcode"),
    _fails_with("mask", 1002, frame(TEXT, b"Hello", key=None), "A frame without a mask"),
    _fails_with("continuation", 1002, frame(CONTINUATION, b"Hello"), "A continuation of nothing"),
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
            "a frame that declares 2**62 bytes, and 1,000 of them",
            "Close 1009, or 1002 or 1008",
            _too_big,
            needs="open",
        ),
        "Look at the length before you read the payload, and say that it is too much for you.",
    ),
)

CASES = (*CLOSE_CASES, *CODE_CASES, *PAYLOAD_CASES, *AFTER_CASES, *FAILING_CASES)
