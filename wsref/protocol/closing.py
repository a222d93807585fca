"""Chapter 8: the closing handshake: states, the Close payload, its codes.

RFC 6455 §5.5.1 and §7.  Each side sends one Close frame; when both have been
sent, the server closes the TCP connection.  A Close may carry a code, two bytes,
and a reason, UTF-8.

Some codes never travel: with 1005 ("there was no code"), 1006 ("there was no Close") and 1015
("TLS failed") an endpoint reports to its own program.
"""

from __future__ import annotations

from .errors import ProtocolError
from .spec import MAX_CONTROL_PAYLOAD, NEVER_SENT, CloseCode, Role, State

#: The life of a connection from OPEN on: (state, what happens) to the next state.  The
#: documentation draws its diagram from this table.
TRANSITIONS: dict[tuple[State, str], State] = {
    (State.OPEN, "send Close"): State.CLOSING,  # §7.1.2, §7.1.3
    (State.OPEN, "receive Close"): State.CLOSING,  # §5.5.1: we owe a Close, then TCP ends
    (State.OPEN, "fail"): State.CLOSING,  # §7.1.7: a Close with the error's code, then TCP ends
    (State.OPEN, "TCP ends"): State.CLOSED,  # §7.1.5: no Close: 1006
    (State.CLOSING, "receive Close"): State.CLOSING,  # both sides sent a Close: clean (§7.1.4)
    (State.CLOSING, "fail"): State.CLOSING,  # one Close each is enough
    (State.CLOSING, "TCP ends"): State.CLOSED,  # §7.1.4
}


def may_travel(code: int) -> bool:
    """Whether a Close frame may carry this code.

    §7.4.1 names 1000 to 1011 and 1015, IANA added 1012 to 1014; §7.4.2 gives 3000-3999 to
    libraries and 4000-4999 to applications; the rest is reserved.

    >>> [code for code in (999, 1000, 1004, 1005, 1006, 1014, 1015, 2999, 3000, 4999, 5000) if may_travel(code)]
    [1000, 1014, 3000, 4999]
    """
    return (1000 <= code <= 1014 and code not in NEVER_SENT) or 3000 <= code <= 4999


def parse_close_payload(payload: bytes) -> tuple[int, str]:
    """Read the payload of a Close: ``(code, reason)``.  Inverse: :func:`build_close_payload`.

    Returns:
        1005 as the code of an empty payload (§7.1.5).
    Raises:
        ProtocolError: 1002 for half a code or a code that may not travel, 1007 for
            a reason that is not UTF-8.
    Source:
        RFC 6455 §5.5.1, §7.4, §8.1.

    >>> parse_close_payload(bytes.fromhex("03e8") + b"bye")
    (1000, 'bye')
    >>> parse_close_payload(b"")
    (1005, '')
    """
    if not payload:
        return int(CloseCode.NO_STATUS), ""
    if len(payload) == 1:
        raise ProtocolError("a Close payload of 1 byte; a code has 2", "§5.5.1")
    code = int.from_bytes(payload[:2], "big")
    if not may_travel(code):
        raise ProtocolError(f"close code {code} may not be sent in a Close frame", "§7.4")
    try:
        return code, str(payload[2:], "utf-8")
    except UnicodeDecodeError as error:
        raise ProtocolError(
            f"the reason of a Close is not UTF-8: {error.reason} at byte {error.start}",
            "§8.1",
            code=CloseCode.INVALID_DATA,
        ) from None


def build_close_payload(code: int | None = CloseCode.NORMAL, reason: str = "", *, role: Role = Role.SERVER) -> bytes:
    """Write the payload of a Close.  Inverse: :func:`parse_close_payload`.

    Args:
        code: A code that may travel; None for an empty payload, which the peer's program sees
            as 1005.
        reason: At most 123 bytes of UTF-8.
        role: Our end.  §7.4.1: only a client sends 1010, about a server.
    Raises:
        TypeError: The code is not an int or the reason not a str.
        ValueError: A code that may not travel, a reason without a code, or a reason that is
            too long.

    >>> build_close_payload(1000, "bye").hex(" ")
    '03 e8 62 79 65'
    """
    if not isinstance(reason, str):
        raise TypeError(f"a reason is a str, not {type(reason).__name__}")
    if code is None:
        if reason:
            raise ValueError("a reason needs a code before it (RFC 6455 §5.5.1)")
        return b""
    if not isinstance(code, int):
        raise TypeError(f"a close code is an int, not {type(code).__name__}")
    if not may_travel(code):
        raise ValueError(f"close code {int(code)} may not be sent (RFC 6455 §7.4); use 1000, or 3000 to 4999")
    if code == CloseCode.MANDATORY_EXTENSION and role is Role.SERVER:
        raise ValueError(
            "only a client sends close code 1010: it says that the server lacks an extension (RFC 6455 §7.4.1)"
        )
    payload = int(code).to_bytes(2, "big") + reason.encode()
    if len(payload) > MAX_CONTROL_PAYLOAD:
        raise ValueError(f"a reason has at most 123 bytes of UTF-8 (§5.5), not {len(payload) - 2}")
    return payload
