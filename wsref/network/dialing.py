"""Chapter 0: what a client does before there is a WebSocket: an address, TCP, TLS, the response.

:func:`~wsref.network.client.connect` calls these functions in this order, for one address after another.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import replace

from ..protocol.client_handshake import HandshakeFailed
from ..protocol.errors import HTTPError, quote_ascii
from ..protocol.http11 import Response, parse_response, reason_phrase
from ..protocol.limits import Limits
from ..protocol.url import URL
from .tap import Tap, Tapped, TappedTLS
from .tls import TLSTransport
from .transport import Transport

#: Bytes that a read of the response's head, or of a refusal's body, asks for.
HEAD_READ_SIZE = 16 * 1024

#: Seconds.  A server writes the head of a response at once; after this pause inside it the rest is missing.
HEAD_PAUSE = 2.0

#: Bytes of a refusal's body that are read.
MAX_BODY = 16 * 1024


# -- TCP and TLS -----------------------------------------------------------------------


def addresses_of(url: URL) -> list[tuple[socket.AddressFamily, tuple[str | int, ...]]]:
    """Ask the system's resolver; keep its order.  (An IPv6 address has four parts: the last is its zone.)"""
    try:
        found = socket.getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise socket.gaierror(error.errno, f"no such host: {quote_ascii(url.host)} ({error.strerror})") from None
    return [(family, address) for family, _, _, _, address in found]  # type: ignore[misc]


_waiting: dict[tuple[str | int, ...], deque[object]] = {}  # for each address: who connects, and who waits for it
_waiting_changed = threading.Condition()


@contextlib.contextmanager
def turn(address: tuple[str | int, ...], deadline: float) -> Iterator[None]:
    """§4.1 item 2: "There MUST be no more than one connection in a CONNECTING state" to one
    host and port, by its IP address; "the client MUST serialize them".  First come, first served.

    So a program cannot open a thousand connections to a server that answers none of them.
    """
    mine = object()
    with _waiting_changed:
        queue = _waiting.setdefault(address, deque())
        queue.append(mine)
    try:
        with _waiting_changed:
            left = deadline - time.monotonic()
            if not _waiting_changed.wait_for(lambda: queue[0] is mine, max(left, 0.0)):
                raise TimeoutError(
                    f"another connection to {address[0]} port {address[1]} is still being opened (RFC 6455 §4.1)"
                )
        yield
    finally:
        with _waiting_changed:
            queue.remove(mine)
            if not queue:
                del _waiting[address]
            _waiting_changed.notify_all()


def dial(family: socket.AddressFamily, address: tuple[str | int, ...], timeout: float) -> socket.socket:
    """Open a TCP connection."""
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.settimeout(max(timeout, 0.001))
        sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock


def make_transport(
    sock: socket.socket, url: URL, context: ssl.SSLContext | None, limits: Limits, tap: Tap | None
) -> Transport:
    """Return what carries the bytes: plain or TLS, with a tap or without."""
    # §4.1 item 5: the TLS handshake names the host (SNI).  Certificates have no final dot, and no zone.
    host = url.host.removesuffix(".").partition("%")[0]
    if tap is None:
        return Transport(sock, limits) if context is None else TLSTransport(sock, context, limits, server_hostname=host)
    tapped: Tapped = Tapped(sock, limits)
    if context is not None:
        tapped = TappedTLS(sock, context, limits, server_hostname=host)
    tapped.tap = tap
    return tapped


def start_tls(transport: Transport, url: URL, deadline: float) -> None:
    """§4.1 item 5: for wss, TLS comes first; if it fails, so does the connection."""
    try:
        transport.handshake(deadline)
    except HTTPError as error:
        if time.monotonic() >= deadline:
            raise TimeoutError(str(error)) from None
        plain = "" if "ALERT" in error.reason else f"; the port may not speak TLS: try {replace(url, secure=False)}"
        raise HandshakeFailed(f"{error}{plain}") from None


# -- The response ----------------------------------------------------------------------


def read_response(transport: Transport, deadline: float, limits: Limits) -> tuple[Response, bytes]:
    """Read the response's head, in pieces of any size, and the body of a refusal.

    Returns:
        The response, and the bytes after the head of a 101.
    Raises:
        HandshakeFailed: It is not HTTP, or its head does not end.
        TimeoutError: The deadline has passed.
    """
    data = b""
    while True:
        _check_is_http(data)
        status = int(found[1]) if (found := re.match(rb"HTTP/1\.[01] ([1-5][0-9]{2})", data)) else 0
        answered = f"the server answered {status} {reason_phrase(status)}, but its head" if status else "the response"
        try:
            parsed = parse_response(data, 0, limits)
        except HTTPError as error:
            ours = error.section == "RFC 6585 §5"
            hint = "; to raise it: limits=Limits(max_header_line=..., max_headers=..., max_head=...)" if ours else ""
            what = "exceeds our limit" if ours else "is invalid"
            raise HandshakeFailed(f"{answered} {what}: {error}{hint}", status) from None
        if parsed is not None:
            response, end = parsed
            data = data[end:]
            if response.status == 101:
                return response, data
            if response.status >= 200:
                return replace(response, body=_read_body(transport, response, data, deadline)), b""
            continue  # RFC 9110 §15.2: "one or more 1xx responses", such as 103, may come before the response
        left = deadline - time.monotonic()
        piece = transport.receive(HEAD_READ_SIZE, min(left, HEAD_PAUSE) if data else left) if left > 0 else None
        if piece is None:
            if not data:
                raise TimeoutError("no complete response to the opening handshake in time")
            why = f"{answered} does not end: an empty line must follow {quote_ascii(data[-60:])} (RFC 9112 §2.1)"
            raise TimeoutError(why) if left <= HEAD_PAUSE else HandshakeFailed(why, status)
        if not piece:
            when = f"in the middle of its response: {quote_ascii(data)}" if data else "without a response"
            raise HandshakeFailed(f"the server ended the connection {when}", status)
        data += piece


def _check_is_http(data: bytes) -> None:
    """Fail early: a server that speaks another protocol may go on for ever."""
    if data[:2] == b"\x15\x03":  # RFC 8446 §5.1: an alert record
        raise HandshakeFailed("the response is a TLS alert: this port speaks wss://, not ws://")
    if not data.startswith(b"HTTP/"[: len(data)]):
        raise HandshakeFailed(f"the server does not speak HTTP: it sent {quote_ascii(data)}")


def _read_body(transport: Transport, response: Response, data: bytes, deadline: float) -> bytes:
    """Read a refusal's body, or the part that comes in time.  RFC 9112 §6.3."""
    if response.status in (204, 304):
        return b""
    codings = response.headers.elements("Transfer-Encoding")
    chunked = codings != [] and codings[-1].lower() == "chunked"  # RFC 9112 §7: case-insensitive
    lengths = response.headers.lines("Content-Length")
    size = MAX_BODY
    if not chunked and lengths and re.fullmatch("[0-9]{1,18}", lengths[0]):
        size = min(size, int(lengths[0]))
    while len(data) < size and not (chunked and data.endswith(b"0\r\n\r\n")):
        left = deadline - time.monotonic()
        piece = transport.receive(HEAD_READ_SIZE, left) if left > 0 else None
        if not piece:
            break  # the part that came must do
        data += piece
    return _without_chunks(data)[:size] if chunked else data[:size]


def _without_chunks(data: bytes) -> bytes:
    r"""RFC 9112 §7.1: "A recipient MUST be able to parse and decode the chunked transfer coding."

    >>> _without_chunks(b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n")
    b'abcde'
    """
    chunk_head = re.compile(rb"([0-9A-Fa-f]{1,8})[^\r\n]*\r\n")
    body, at = b"", 0
    while found := chunk_head.match(data, at):
        begin, size = found.end(), int(found[1], 16)
        body += data[begin : begin + size]
        at = begin + size + 2
    return body
