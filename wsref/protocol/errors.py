"""What a peer can do wrong, each with the answer it deserves.

There are two kinds, because there are two protocols on the wire, one after the
other: before the 101 a mistake is answered with an HTTP status, afterwards with
a close code.  Each error carries its answer, so whoever catches it need not
know the rule that was broken.

:class:`ConnectionClosed` is another matter: no fault of the peer's but of the
caller's, who sends on a connection that has ended.
"""

from __future__ import annotations

from .spec import CloseCode


class HTTPError(Exception):
    """The request cannot be accepted; answer it with this status, then hang up.

    Args:
        status: The HTTP status of the answer, 400 to 599; 0: hang up without one
            (the peer does not speak HTTP).
        reason: What is wrong, and what came instead.  It goes into the answer's
            body and into the log.
        section: The rule that was broken, such as ``"RFC 9112 §5.1"``.
        headers: What the answer must carry besides.
    """

    def __init__(
        self, status: int, reason: str, section: str = "", *, headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        super().__init__(f"{reason} ({section})" if section else reason)
        self.status = status
        self.reason = reason
        self.section = section
        self.headers = headers


class ProtocolError(Exception):
    """The peer broke a rule of the WebSocket protocol: *fail the connection* (§7.1.7).

    Args:
        reason: What is wrong, and what came instead.
        section: Where the rule stands: ``"§5.2"`` is RFC 6455's, others are named, as in
            ``"RFC 7692 §6"``.
        code: The close code that the peer is told, 1002 unless a better one fits.

    >>> print(ProtocolError("RSV1 is set", "§5.2"))
    RSV1 is set (RFC 6455 §5.2)
    """

    def __init__(self, reason: str, section: str, *, code: int = CloseCode.PROTOCOL_ERROR) -> None:
        super().__init__(f"{reason} ({section})" if section.startswith("RFC") else f"{reason} (RFC 6455 {section})")
        self.reason = reason
        self.section = section
        self.code = int(code)


def too_long(most: int) -> ProtocolError:
    """A message that is longer than it may be, once it is decompressed.

    >>> print(too_long(1000))
    the message is longer than 1000 bytes when decompressed (RFC 6455 §10.4)
    """
    what = f"the message is longer than {most} bytes when decompressed"
    return ProtocolError(what, "§10.4", code=CloseCode.TOO_BIG)


class ConnectionClosed(Exception):
    """We tried to send on a connection that is closing or closed, or to receive from one that is.

    §5.5.1: "The application MUST NOT send any more data frames after sending a
    Close frame."

    Args:
        why: For whoever reads the log.
        code: What the peer's Close said, 1005 if it had no code, 1006 if there was no
            Close; None if that is not known yet.
        reason: What the peer's Close said besides.
    """

    def __init__(self, why: str, *, code: int | None = None, reason: str = "") -> None:
        super().__init__(why)
        self.code = code
        self.reason = reason


def shown(came: str | bytes, limit: int = 60) -> str:
    r"""What a peer sent, fit for a log line, an error page or a terminal.

    Quoted, one line, ASCII only, at most ``limit`` characters of it: neither a
    line break nor a terminal's escape code gets through.

    >>> shown("chat")
    "'chat'"
    >>> print(shown(b"\x1b[31mred\r\n"))
    '\x1b[31mred\r\n'
    >>> shown("x" * 100, limit=4)
    "'xxxx...' (100 characters)"
    """
    text = came.decode("latin-1") if isinstance(came, bytes) else came
    if len(text) <= limit:
        return ascii(text)
    return f"{text[:limit] + '...'!a} ({len(text)} characters)"
