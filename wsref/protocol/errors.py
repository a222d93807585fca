"""What a peer can do wrong, each with the answer it gets.

There are two kinds of errors, because two protocols follow each other on the wire.  Before
the 101 the answer to an error is an HTTP status, after it a close code.  Each error carries
its answer, so the code that catches it need not know which rule was broken.

:class:`ConnectionClosed` is different: it is the caller's error, a send on a connection that
has ended.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from .spec import TOKEN, CloseCode

#: Headers of a refusal that the server writes itself (:func:`wsref.protocol.handshake.answer`).
_OWN_HEADERS = {"cache-control", "connection", "content-length", "content-type", "date", "transfer-encoding"}


class HTTPError(Exception):
    """The server refuses the request: it answers with this status and closes the connection.

    Args:
        status: HTTP status of the answer, 300 to 599; 0: close without an answer (the peer
            does not speak HTTP).
        reason: What is wrong, and what was received.  Sent in the answer's body and logged.
        section: The rule that was broken, such as ``"RFC 9112 §5.1"``.
        headers: Further headers of the answer: pairs or a mapping.
    Raises:
        ValueError: A status or a header that HTTP cannot carry here; the message says which.

    >>> print(HTTPError(401, "a token is missing", "RFC 9110 §15.5.2", headers={"WWW-Authenticate": "Token"}))
    a token is missing (RFC 9110 §15.5.2)
    """

    def __init__(
        self,
        status: int,
        reason: str,
        section: str = "",
        *,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    ) -> None:
        if not isinstance(status, int) or not (status == 0 or 300 <= status <= 599):
            raise ValueError(f"the status of a refusal is a number from 300 to 599, not {status!r} (RFC 9110 §15)")
        self.headers = tuple(headers.items() if isinstance(headers, Mapping) else headers)
        for name, value in self.headers:
            if not re.fullmatch(TOKEN, name) or not re.fullmatch(r"[\t -~\x80-\xff]*", value):
                raise ValueError(f"not a header that HTTP can carry: {quote_ascii(f'{name}: {value}')} (RFC 9110 §5)")
            if name.lower() in _OWN_HEADERS:
                raise ValueError(f"the server writes the header {name} itself: leave it out")
        super().__init__(f"{reason} ({section})" if section else reason)
        self.status = status
        self.reason = reason
        self.section = section


class ProtocolError(Exception):
    """The peer broke a rule of the WebSocket protocol: *fail the connection* (§7.1.7).

    Args:
        reason: What is wrong, and what was received.
        section: Where the rule is written: ``"§5.2"`` means RFC 6455; others are named, as in
            ``"RFC 7692 §6"``.
        code: The close code for the peer; 1002 unless another fits better.

    >>> print(ProtocolError("RSV1 is set", "§5.2"))
    RSV1 is set (RFC 6455 §5.2)
    """

    def __init__(self, reason: str, section: str, *, code: int = CloseCode.PROTOCOL_ERROR) -> None:
        super().__init__(f"{reason} ({section})" if section.startswith("RFC") else f"{reason} (RFC 6455 {section})")
        self.reason = reason
        self.section = section
        self.code = int(code)


def message_too_long(max_size: int) -> ProtocolError:
    """The error for a message that exceeds its limit once it is decompressed.

    >>> print(message_too_long(1000))
    the message is longer than 1000 bytes when decompressed (RFC 6455 §10.4)
    """
    reason = f"the message is longer than {max_size} bytes when decompressed"
    return ProtocolError(reason, "§10.4", code=CloseCode.TOO_BIG)


class ConnectionClosed(Exception):
    """The caller sends on a connection that is closing or closed, or receives from a closed one.

    §5.5.1: "The application MUST NOT send any more data frames after sending a
    Close frame."

    Args:
        why: For the log.
        code: From the peer's Close: 1005 if it had no code, 1006 if there was no Close;
            None if not known yet.
        reason: From the peer's Close.
    """

    def __init__(self, why: str, *, code: int | None = None, reason: str = "") -> None:
        super().__init__(why)
        self.code = code
        self.reason = reason


def quote_ascii(received: str | bytes, limit: int = 60) -> str:
    r"""Quote received text for a log line, an error page or a terminal.

    One line, ASCII only, at most ``limit`` characters of it: neither a line break nor an
    escape sequence of a terminal gets through.

    >>> quote_ascii("chat")
    "'chat'"
    >>> print(quote_ascii(b"\x1b[31mred\r\n"))
    '\x1b[31mred\r\n'
    >>> quote_ascii("x" * 100, limit=4)
    "'xxxx...' (100 characters)"
    """
    text = received.decode("latin-1") if isinstance(received, bytes) else received
    if len(text) <= limit:
        return ascii(text)
    return f"{text[:limit] + '...'!a} ({len(text)} characters)"
