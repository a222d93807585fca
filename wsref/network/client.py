"""Chapter 0: the browser's ``WebSocket``, for Python.

::

    with wsref.connect("ws://127.0.0.1:8765/echo") as ws:
        ws.send("hi")
        print(ws.recv())            # str for text, bytes for binary
        for message in ws:          # until the server closes
            print(message)

It is the other half of what :mod:`wsref.network.server` does: where the server reads a request and
writes a 101, the client writes a request and reads a 101, and believes none of it before
every rule of §4.1 has been looked at (:data:`ANSWER_RULES`).  After that both are the same
:class:`~wsref.protocol.connection.Connection`, in another role: the client masks (§5.1), and waits
for the server to end TCP first (§7.1.1).

There is no background thread.  Bytes are read while somebody waits for something: in
:meth:`WebSocket.recv`, :meth:`~WebSocket.ping` or :meth:`~WebSocket.close`; and only then
are the server's Pings answered.

Left out: proxies (§4.1 item 3 lets a client connect directly), redirects (the error says
where to), cookies (a header, to be given), and connecting again (§7.2.3: who does that
SHOULD wait a random time first, and longer each time).
"""

from __future__ import annotations

import base64
import contextlib
import errno
import ipaddress
import logging
import math
import os
import re
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TypeVar
from urllib.parse import quote

from ..protocol import deflate
from ..protocol.connection import Closed, Connection, Message, Ping, Pong
from ..protocol.deflate import Agreement, Compression
from ..protocol.errors import ConnectionClosed, HTTPError, ProtocolError, shown
from ..protocol.handshake import accept_key, parse_extensions
from ..protocol.http11 import TOKEN, Headers, Request, Response, build_request, parse_response, reason_phrase
from ..protocol.limits import Limits
from ..protocol.spec import DEFAULT_PORTS, KEY_BYTES, VERSIONS, CloseCode, Role, State
from .transport import Tap, Tapped, TappedTLS, TLSTransport, Transport, require_supported_system

logger = logging.getLogger("wsref")

#: Bytes that one read asks for, unless a frame is known to be longer ...
READ_SIZE = 64 * 1024
#: ... and at most.
MAX_READ_SIZE = 1024 * 1024

#: Bytes of a refusal's body that are read, and lines of it that its error quotes.
MAX_BODY = 16 * 1024
MAX_BODY_LINES = 6

Found = TypeVar("Found")

#: Bytes.  What a message is counted for besides its own: an empty one takes memory too.
PER_MESSAGE = 64


class HandshakeFailed(Exception):
    """What answered did not open a WebSocket: another status, a bad 101, or no HTTP at all.

    Attributes:
        status: The answer's; 0 if it was no HTTP.
        headers: The answer's.
        body: The answer's, its first 16 KiB; of a refusal only.
    """

    def __init__(self, why: str, status: int = 0, headers: Headers = Headers(), body: bytes = b"") -> None:
        super().__init__(why)
        self.status = status
        self.headers = headers
        self.body = body


# -- The URL, §3 -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class URL:
    """What a ``ws:`` or ``wss:`` URL says.  §3.

    Attributes:
        secure: Whether it is ``wss``.
        host: As DNS and certificates have it: ASCII, lower case, an IPv6 address without
            brackets.
        port: The one that is named, or the scheme's.
        resource: §3's *resource name*: the path and the query.
    """

    secure: bool
    host: str
    port: int
    resource: str

    @property
    def scheme(self) -> str:
        """``ws`` or ``wss``."""
        return "wss" if self.secure else "ws"

    @property
    def authority(self) -> str:
        """What the Host header says: "optionally followed by ":" ... port", if it is no default."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.resource}"


def parse_url(url: str) -> URL:
    """Read a WebSocket URL.  Inverse: ``str``.

    Raises:
        ValueError: it is none; says which part, and what to write instead.
    Source:
        RFC 6455 §3, §11.1.1 (what is not ASCII); RFC 3986 (all else).

    >>> parse_url("ws://Example.com?a")
    URL(secure=False, host='example.com', port=80, resource='/?a')
    >>> parse_url("wss://[::1]:8765/é").resource
    '/%C3%A9'
    >>> parse_url("ws://example.com/#top")
    Traceback (most recent call last):
        ...
    ValueError: a WebSocket URL has no fragment; a '#' in its path is written %23 (RFC 6455 §3)
    """
    found = re.fullmatch(r"([A-Za-z][A-Za-z0-9+.\-]*)://([^/?#]*)([^?#]*)\??([^#]*)(#?).*", url, re.DOTALL)
    if not found:
        raise ValueError(f"a WebSocket URL is ws://HOST:PORT/PATH or wss://HOST:PORT/PATH, not {shown(url)}")
    scheme, authority, path, query, fragment = found.groups()
    scheme = scheme.lower()
    if scheme not in DEFAULT_PORTS:
        meant = {"http": "; did you mean ws://?", "https": "; did you mean wss://?"}.get(scheme, "")
        raise ValueError(f"the scheme of a WebSocket URL is ws or wss, not {shown(scheme)}{meant} (RFC 6455 §3)")
    if fragment:
        raise ValueError("a WebSocket URL has no fragment; a '#' in its path is written %23 (RFC 6455 §3)")
    if "@" in authority:  # its text may be a password: do not repeat it
        raise ValueError("a WebSocket URL has no user and password (RFC 6455 §3); send an Authorization header")
    host, port = _host_and_port(authority, DEFAULT_PORTS[scheme])
    resource = _percent_encoded(path or "/") + (f"?{_percent_encoded(query)}" if query else "")
    return URL(scheme == "wss", host, port, resource)


def _host_and_port(authority: str, default: int) -> tuple[str, int]:
    found = re.fullmatch(r"(\[[^\[\]]*\]|[^:\[\]]*)(?::([0-9]*))?", authority)
    if not found:
        raise ValueError(
            f"after '://' comes HOST or HOST:PORT, and an IPv6 address in brackets; not {shown(authority)}"
        )
    host, port = found[1], found[2] or str(default)
    if len(port) > 5 or not 1 <= int(port) <= 65535:
        raise ValueError(f"a port is a number from 1 to 65535, not {shown(port)}")
    return _ipv6(host) if host.startswith("[") else _name(host), int(port)


def _ipv6(text: str) -> str:
    try:
        if "%" not in text:  # a zone, such as %eth0, means something on this machine only
            return ipaddress.IPv6Address(text[1:-1]).compressed
    except ValueError:
        pass
    raise ValueError(f"in brackets stands an IPv6 address, not {shown(text)}")


def _name(text: str) -> str:
    """A host name, or an IPv4 address.  §11.1.1: a name that is not ASCII goes by its IDNA form."""
    try:
        name = text.encode("idna").decode().lower()  # it also refuses labels that are empty or too long
    except UnicodeError:
        name = ""
    if not re.fullmatch(r"[0-9a-z_][0-9a-z_.\-]*", name):
        raise ValueError(f"a host is a name or an address, not {shown(text)}")
    return name


def _percent_encoded(text: str) -> str:
    """§11.1.1: what is not ASCII is sent as percent-encoded UTF-8; the rest must be right already."""
    text = "".join(character if character.isascii() else quote(character) for character in text)
    good = re.match(r"(?:[!$&'()*+,;=:@/?\-._~0-9A-Za-z]|%[0-9A-Fa-f]{2})*", text)
    if good and good.end() < len(text):
        wrong = text[good.end()]
        raise ValueError(f"{shown(wrong)} may not stand in a URL: it is written %{ord(wrong):02X} (RFC 3986 §2)")
    return text


# -- What we ask, §4.1 -------------------------------------------------------------

#: Headers that are the handshake's own, or would announce a body, which it has not.
OWN_HEADERS = re.compile(r"host|upgrade|connection|sec-websocket-.*|content-length|transfer-encoding", re.IGNORECASE)


def new_key() -> str:
    """§4.1 item 7: "The nonce MUST be selected randomly for each connection".

    >>> len(new_key()), len(base64.b64decode(new_key()))
    (24, 16)
    """
    return base64.b64encode(os.urandom(KEY_BYTES)).decode()


def build_handshake(
    url: URL,
    key: str,
    *,
    subprotocols: Sequence[str] = (),
    origin: str | None = None,
    extensions: str | None = None,
    headers: Iterable[tuple[str, str]] = (),
) -> Request:
    r"""The opening handshake's request.

    Args:
        url: Where to.
        key: See :func:`new_key`.
        subprotocols: What we speak, the best first.
        origin: A browser MUST send one; others may.
        extensions: The offer, as Sec-WebSocket-Extensions says it.
        headers: What else to send.
    Raises:
        ValueError: a subprotocol that is no token or stands twice, or a header that the
            handshake writes itself.  (A value that HTTP cannot carry is found by
            :func:`~wsref.protocol.http11.build_request`.)
    Source:
        RFC 6455 §4.1, the second list.

    >>> request = build_handshake(parse_url("ws://server.example.com/chat"), "dGhlIHNhbXBsZSBub25jZQ==")
    >>> print(build_request(request).decode().replace("\r", ""))
    GET /chat HTTP/1.1
    Host: server.example.com
    Upgrade: websocket
    Connection: Upgrade
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==
    Sec-WebSocket-Version: 13
    User-Agent: wsref
    <BLANKLINE>
    <BLANKLINE>
    """
    if isinstance(subprotocols, str):
        raise TypeError("subprotocols is a list of names, not one str")
    for name in subprotocols:
        if not re.fullmatch(TOKEN, name):
            raise ValueError(f"a subprotocol is a token, without blanks and separators, not {shown(name)} (§4.1)")
    if len(set(subprotocols)) < len(subprotocols):
        raise ValueError(f"each subprotocol is offered once, not as in {shown(', '.join(subprotocols))} (§4.1)")
    headers = tuple(headers)
    for name, _ in headers:
        if OWN_HEADERS.fullmatch(name) or (origin is not None and name.lower() == "origin"):
            raise ValueError(f"the header {shown(name)} is written by the handshake itself")
    fields = [
        ("Host", url.authority),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", key),
        ("Sec-WebSocket-Version", VERSIONS[0]),
    ]
    if origin is not None:
        fields.append(("Origin", origin))
    if subprotocols:
        fields.append(("Sec-WebSocket-Protocol", ", ".join(subprotocols)))
    if extensions is not None:
        fields.append(("Sec-WebSocket-Extensions", extensions))
    if "user-agent" not in (name.lower() for name, _ in headers):
        fields.append(("User-Agent", "wsref"))  # RFC 9110 §10.1.5: SHOULD; some proxies refuse who has none
    return Request("GET", url.resource, (1, 1), Headers([*fields, *headers]))


# -- What is answered, §4.1 ----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AnswerRule:
    """One thing that the RFC asks of the answer to an opening handshake.

    Attributes:
        name: To address it by.
        text: What is asked, as a sentence.
        section: Who asks.
        came_instead: Given request and answer, what breaks the rule; None if nothing does.
    """

    name: str
    text: str
    section: str
    came_instead: Callable[[Request, Response], str | None]


def _unless(good: bool, came: Sequence[str]) -> str | None:
    """What came, in words, unless it is good."""
    return None if good else shown(", ".join(came)) if came else "none"


def _status(request: Request, answer: Response) -> str | None:
    return _unless(answer.status == 101, [str(answer.status)])


def _upgrade(request: Request, answer: Response) -> str | None:
    upgrades = answer.headers.elements("Upgrade")
    return _unless([name.lower() for name in upgrades] == ["websocket"], upgrades)


def _connection(request: Request, answer: Response) -> str | None:
    options = answer.headers.elements("Connection")
    return _unless("upgrade" in (option.lower() for option in options), options)


def _accept(request: Request, answer: Response) -> str | None:
    (key,) = request.headers.lines("Sec-WebSocket-Key")
    accepts = answer.headers.lines("Sec-WebSocket-Accept")
    return _unless(accepts == [accept_key(key)], accepts)


def _protocol(request: Request, answer: Response) -> str | None:
    offered = request.headers.elements("Sec-WebSocket-Protocol")
    chosen = answer.headers.lines("Sec-WebSocket-Protocol")
    return _unless(not chosen or (len(chosen) == 1 and chosen[0] in offered), chosen)


def _extensions(request: Request, answer: Response) -> str | None:
    try:
        offered = {extension.name for extension in parse_extensions(request.headers.get("Sec-WebSocket-Extensions"))}
        used = [extension.name for extension in parse_extensions(answer.headers.get("Sec-WebSocket-Extensions"))]
    except ValueError as error:
        return str(error)
    return _unless(set(used) <= offered and len(set(used)) == len(used), used)


#: "The client MUST validate the server's response as follows", §4.1.  (That it is HTTP/1.1
#: is seen to by :func:`~wsref.protocol.http11.parse_response`: there is no 101 in HTTP/1.0.)
ANSWER_RULES: tuple[AnswerRule, ...] = (
    AnswerRule("status", "the status must be 101", "RFC 6455 §4.1 item 1", _status),
    AnswerRule("upgrade", "the Upgrade header must be websocket, and no more", "RFC 6455 §4.1 item 2", _upgrade),
    AnswerRule("connection", "the Connection header must name Upgrade", "RFC 6455 §4.1 item 3", _connection),
    AnswerRule(
        "accept",
        "there must be one Sec-WebSocket-Accept, the answer to our key",
        "RFC 6455 §4.1 item 4",
        _accept,
    ),
    AnswerRule(
        "extensions",
        "Sec-WebSocket-Extensions, if present, must name what was offered, and each once",
        "RFC 6455 §4.1 item 5",
        _extensions,
    ),
    AnswerRule(
        "protocol",
        "Sec-WebSocket-Protocol, if present, must be one of those that were offered",
        "RFC 6455 §4.1 item 6",
        _protocol,
    ),
)


def broken_answer_rules(request: Request, answer: Response) -> list[tuple[AnswerRule, str]]:
    """Every rule that an answer breaks, each with what came instead.

    >>> request = build_handshake(parse_url("ws://example.com/"), "dGhlIHNhbXBsZSBub25jZQ==")
    >>> answer = Response(101, Headers([("Upgrade", "websocket"), ("Connection", "keep-alive")]))
    >>> for rule, came in broken_answer_rules(request, answer):
    ...     print(rule.name, "-", came)
    connection - 'keep-alive'
    accept - none
    """
    pairs = ((rule, rule.came_instead(request, answer)) for rule in ANSWER_RULES)
    return [(rule, came) for rule, came in pairs if came is not None]


def check_answer(
    request: Request, answer: Response, compression: Compression | None = None
) -> tuple[str | None, Agreement | None]:
    """Believe an answer, or fail.

    Args:
        request: What we have asked.
        answer: What came, with its body if it is a refusal.
        compression: What we have offered.
    Returns:
        The subprotocol, and what was agreed about compression; None: there is none.
    Raises:
        HandshakeFailed: says every broken rule; or, for another status than 101, quotes
            the body.
    """
    status, headers = answer.status, answer.headers
    if status != 101:
        raise HandshakeFailed(_why_refused(request, answer), status, headers, answer.body)
    if broken := broken_answer_rules(request, answer):
        reasons = "".join(f"\n  {rule.text}; got {came} ({rule.section})" for rule, came in broken)
        raise HandshakeFailed(f"the server's 101 is not one to our request:{reasons}", status, headers)
    agreement = None
    if compression is not None:
        try:
            for extension in parse_extensions(headers.get("Sec-WebSocket-Extensions")):
                agreement = deflate.accept_response(extension.parameters, compression)
        except ProtocolError as error:
            raise HandshakeFailed(str(error), status, headers) from None
    return headers.get("Sec-WebSocket-Protocol"), agreement


#: What a refusal often means.
HINTS = {
    400: "the server takes this for no good handshake; a proxy before it may have removed Upgrade",
    401: "the server wants to know who you are: an Authorization header or a cookie",
    403: "the server does not let this client in: it may want another Origin, a cookie or a token",
    404: "is the path right?",
    405: "is the path right?  What is there does not open WebSockets",
    426: "the server wants an upgrade and has seen none: a proxy before it may have removed it",
    502: "a proxy answered: what is behind it cannot be reached",
    503: "the server is busy: try again later",
}


def _why_refused(request: Request, answer: Response) -> str:
    """One line; the first lines of the body; and a hint."""
    status, versions = answer.status, answer.headers.get("Sec-WebSocket-Version")
    lines = [f"the server answered {status} {reason_phrase(status)}".rstrip() + ", not 101 Switching Protocols"]
    body = answer.body.decode(errors="replace").split("\n")
    quoted = [line.rstrip()[:200] for line in body if line.strip()]
    lines += ["  | " + "".join(c if c.isprintable() else shown(c)[1:-1] for c in line) for line in quoted]
    if len(lines) > MAX_BODY_LINES + 1:
        lines[MAX_BODY_LINES + 1 :] = ["  | ..."]
    hint = HINTS.get(status, "")
    if versions is not None and VERSIONS[0] not in versions:  # §4.2.2: a 426 that says which it takes
        hint = f"the server speaks version {shown(versions)} of the protocol, and this client {VERSIONS[0]}"
    if 300 <= status < 400:
        hint = f"it is elsewhere, says the server: {shown(answer.headers.get('Location') or '?', 200)}"
    if status == 404:
        hint = f"is the path right?  It was {shown(request.target)}"
    return "\n".join([*lines, f"  ({hint})"] if hint else lines)


# -- Connecting -----------------------------------------------------------------------


def connect(
    url: str,
    *,
    subprotocols: Sequence[str] = (),
    origin: str | None = None,
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    ssl_context: ssl.SSLContext | None = None,
    timeout: float = 10.0,
    compression: Compression | None = Compression(),
    limits: Limits = Limits(),
    tap: Tap | None = None,
) -> WebSocket:
    """Open a WebSocket.

    Args:
        url: ``ws://host:port/path?query`` or ``wss://...``.
        subprotocols: Names to offer, the best first.
        origin: What the Origin header says; None: there is none, as we are no browser.
        headers: What else to send: cookies, an ``Authorization``.
        ssl_context: For ``wss``; None: the system's certificates decide.
        timeout: Seconds for all of it: TCP, TLS and the handshake.  (The system's resolver
            has a patience of its own; what it takes is counted, but cannot be cut short.)
        compression: Offer permessage-deflate; None: do not.
        limits: Of the answer's head, of messages, and of patience once it is open.
        tap: Told of all bytes that pass, see :class:`~wsref.network.transport.Tapped`.
    Returns:
        A :class:`WebSocket` that is open.
    Raises:
        ValueError: a URL, a subprotocol or a header that cannot be, or an ``ssl_context``
            for ``ws``: nothing was sent.
        HandshakeFailed: something answered, and did not open a WebSocket.
        TimeoutError: it took longer than ``timeout``.
        ssl.SSLCertVerificationError: the server's certificate is not to be trusted, or
            not that of this host.
        OSError: nobody answered: no such host, connection refused, no route.
        NotImplementedError: this system is Windows.
    Source:
        RFC 6455 §4.1.
    """
    require_supported_system()
    where = parse_url(url)
    if ssl_context is not None and not where.secure:
        raise ValueError("an ssl_context is for wss://; this is ws://")
    if not timeout > 0:
        raise ValueError(f"timeout must be more than 0 seconds, not {timeout!r}")
    request = build_handshake(
        where,
        new_key(),
        subprotocols=subprotocols,
        origin=origin,
        extensions=None if compression is None else deflate.build_offer(compression),
        headers=headers.items() if isinstance(headers, Mapping) else headers,
    )
    wire = build_request(request)
    if where.secure and ssl_context is None:
        ssl_context = ssl.create_default_context()

    deadline = time.monotonic() + timeout
    addresses = _addresses(where)
    failures = []
    for n, (family, address) in enumerate(addresses):
        with _turn(address, deadline):
            # An address that does not answer shall not use up the time of the others.
            patience = (deadline - time.monotonic()) / (len(addresses) - n)
            try:
                sock = _dial(family, address, patience)
            except OSError as error:
                failures.append((f"{address[0]} port {address[1]}: {error.strerror or error}", error.errno))
                continue
            with contextlib.ExitStack() as on_failure:
                on_failure.callback(sock.close)
                transport = _transport(sock, where, ssl_context, limits, tap)
                _tls_handshake(transport, where, deadline)
                with transport.write_lock, contextlib.suppress(ConnectionClosed):  # then the first read finds out
                    transport.send(wire)
                answer, early = _read_answer(transport, deadline, limits)
                protocol, agreement = check_answer(request, answer, compression)
                on_failure.pop_all()
        connection = Connection(Role.CLIENT, limits, agreement=agreement, compression=compression or Compression())
        if early:
            connection.receive(early)  # what came after the 101 belongs to the WebSocket
        return WebSocket(transport, connection, str(where), protocol, answer.headers.get("Sec-WebSocket-Extensions"))
    # OSError makes itself a ConnectionRefusedError, a TimeoutError, ..., by the number.
    raise OSError(failures[-1][1] or errno.ETIMEDOUT, f"cannot connect: {'; '.join(why for why, _ in failures)}")


def _addresses(url: URL) -> list[tuple[socket.AddressFamily, tuple[str, int]]]:
    """What the system's resolver says, in its order."""
    try:
        found = socket.getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise socket.gaierror(error.errno, f"no such host: {shown(url.host)} ({error.strerror})") from None
    return [(family, address) for family, _, _, _, address in found]  # type: ignore[misc]


_connecting: set[tuple[str, int]] = set()  # addresses to which a connection is in the state CONNECTING
_connecting_changed = threading.Condition()


@contextlib.contextmanager
def _turn(address: tuple[str, int], deadline: float) -> Iterator[None]:
    """§4.1 item 2: "There MUST be no more than one connection in a CONNECTING state" to one
    host and port, by its IP address; "the client MUST serialize them".

    So a page, or a program, cannot open a thousand connections to somebody who answers
    none of them.
    """
    address = address[:2]
    with _connecting_changed:
        left = deadline - time.monotonic()
        if not _connecting_changed.wait_for(lambda: address not in _connecting, max(left, 0.0)):
            raise TimeoutError(f"another connection to {address[0]} port {address[1]} was being opened all the time")
        _connecting.add(address)
    try:
        yield
    finally:
        with _connecting_changed:
            _connecting.discard(address)
            _connecting_changed.notify_all()


def _dial(family: socket.AddressFamily, address: tuple[str, int], patience: float) -> socket.socket:
    """A TCP connection, within so many seconds."""
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.settimeout(max(patience, 0.001))
        sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock


def _transport(
    sock: socket.socket, url: URL, context: ssl.SSLContext | None, limits: Limits, tap: Tap | None
) -> Transport:
    # §4.1 item 5: the host name goes into the handshake (SNI).  Certificates have no final dot.
    host = url.host.removesuffix(".")
    if tap is None:
        return Transport(sock, limits) if context is None else TLSTransport(sock, context, limits, server_hostname=host)
    tapped: Tapped = Tapped(sock, limits)
    if context is not None:
        tapped = TappedTLS(sock, context, limits, server_hostname=host)
    tapped.tap = tap
    return tapped


def _tls_handshake(transport: Transport, url: URL, deadline: float) -> None:
    """§4.1 item 5: for wss, TLS comes first; if it fails, so does the connection."""
    try:
        transport.handshake(deadline)
    except HTTPError as error:
        if time.monotonic() >= deadline:
            raise TimeoutError(str(error)) from None
        plain = "" if "ALERT" in error.reason else f"; perhaps the port speaks no TLS: try ws://{url.host}:{url.port}"
        raise HandshakeFailed(f"{error}{plain}") from None


def _read_answer(transport: Transport, deadline: float, limits: Limits) -> tuple[Response, bytes]:
    """The answer's head, in whatever pieces it comes, and the body if it is a refusal.

    Returns:
        The answer, and what came behind the head of a 101.
    Raises:
        HandshakeFailed: it is no HTTP, or was cut off.
        TimeoutError: the deadline has passed.
    """
    data, checked = b"", 0
    while True:
        found = None
        if data.find(b"\r\n\r\n", max(checked - 3, 0)) >= 0 or len(data) > limits.max_head:
            try:
                found = parse_response(data, 0, limits)
            except HTTPError as error:
                raise HandshakeFailed(f"the answer is not one of HTTP/1.1: {error}") from None
        if found is not None:
            answer, end = found
            data, checked = data[end:], 0
            if answer.status == 101:
                return answer, data
            if answer.status >= 200:
                return replace(answer, body=_read_body(transport, answer, data, deadline)), b""
            continue  # RFC 9110 §15.2: "one or more 1xx responses", such as 103, may come before the answer
        _refuse_what_is_no_http(data)
        left = deadline - time.monotonic()
        piece = transport.receive(READ_SIZE, left) if left > 0 else None
        if piece is None:
            raise TimeoutError(f"no complete answer to the opening handshake in time, {len(data)} bytes of one")
        if not piece:
            what = f"in the middle of its answer: {shown(data)}" if data else "without an answer"
            raise HandshakeFailed(f"the server ended the connection {what}")
        data, checked = data + piece, len(data)


def _refuse_what_is_no_http(data: bytes) -> None:
    """As early as it can be told: who speaks something else may go on for ever."""
    if data[:2] == b"\x15\x03":  # RFC 8446 §5.1: an alert record
        raise HandshakeFailed("the answer is a TLS alert: this port speaks wss://, not ws://")
    if not data.startswith(b"HTTP/"[: len(data)]):
        raise HandshakeFailed(f"what answered does not speak HTTP: it said {shown(data)}")


def _read_body(transport: Transport, answer: Response, data: bytes, deadline: float) -> bytes:
    """A refusal's body, or as much of it as comes in time.  RFC 9112 §6.3."""
    if answer.status in (204, 304):
        return b""
    chunked = answer.headers.elements("Transfer-Encoding")[-1:] == ["chunked"]
    lengths = answer.headers.lines("Content-Length")
    size = MAX_BODY
    if not chunked and lengths and re.fullmatch("[0-9]{1,18}", lengths[0]):
        size = min(size, int(lengths[0]))
    while len(data) < size and not (chunked and data.endswith(b"0\r\n\r\n")):
        left = deadline - time.monotonic()
        piece = transport.receive(READ_SIZE, left) if left > 0 else None
        if not piece:
            break  # what has come must do
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


# -- The conversation -------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class _Asked:
    """A Ping that waits for its Pong."""

    data: bytes
    answered: float | None = None  # monotonic seconds


class WebSocket:
    """One WebSocket connection, from the client's end.  Made by :func:`connect`.

    Its attributes are those of the browser's ``WebSocket``, in snake case.  Where the
    browser has events, this has calls that wait: :meth:`recv` for ``onmessage``, and
    :class:`~wsref.protocol.errors.ConnectionClosed` or the end of the iteration for ``onclose``.

    Any thread may call anything.  Of those that wait one reads, for all of them.  But
    somebody must: while nobody is in :meth:`recv`, :meth:`ping` or :meth:`close`, nothing is
    read, no Ping of the server is answered, and a server that does not get rid of what it
    has to say may stop to listen, so that :meth:`send` gives up.

    Attributes:
        url: As it was asked for, normalized.
        protocol: The subprotocol that the server chose, or None.
        extensions: What was agreed, such as ``permessage-deflate``, or None.
        closed: How it ended, a :class:`~wsref.protocol.connection.Closed`; None before that.
    """

    def __init__(
        self, transport: Transport, connection: Connection, url: str, protocol: str | None, extensions: str | None
    ) -> None:
        self.url = url
        self.protocol = protocol
        self.extensions = extensions
        self.closed: Closed | None = None
        self.limits = connection.limits

        self._transport = transport
        self._connection = connection
        self._sending = 0  # bytes that a send is waiting to get rid of
        self._silence = 0.0  # seconds that we have listened since the server's last byte
        self._pinged = False  # because of it

        self._changed = threading.Condition()  # for all that follows, and for ``closed``
        self._reading = False  # whether a thread does
        self._inbox: deque[Message] = deque()  # those that nobody has taken yet
        self._inbox_size = 0  # characters or bytes in it, and PER_MESSAGE for each
        self._asked: list[_Asked] = []  # in the order in which they were sent
        self._discarded = 0  # messages

    def __repr__(self) -> str:
        return f"<WebSocket {self.url} {self.ready_state.name}>"

    # -- The browser's attributes ------------------------------------------------

    @property
    def ready_state(self) -> State:
        """1 OPEN, 2 CLOSING or 3 CLOSED, as in the browser (a WebSocket that is here is past 0)."""
        return self._connection.state

    @property
    def buffered_amount(self) -> int:
        """Bytes of the message that another thread is sending right now; 0 if none is.

        In a browser ``send`` returns at once and this grows; here ``send`` waits.
        """
        return self._sending

    # -- What its user calls -------------------------------------------------------

    def send(self, message: str | bytes | bytearray | memoryview, *, compress: bool = True) -> None:
        """Send one message: text if it is a ``str``, else binary.

        When it returns, the kernel has all of it.  It waits while the server does not
        read, for ``limits.send_timeout`` at most.

        Args:
            message: What to send.
            compress: Whether it may be compressed, where that was agreed.  Say False for
                secrets: see :mod:`wsref.protocol.deflate`.
        Raises:
            ConnectionClosed: the connection is closing or closed, or the server does not
                read.  Not all of the message was sent, and nothing more can be.
            TypeError, ValueError: this is no message.
        """
        with self._transport.write_lock:
            if self.closed is not None:
                raise self._ended()
            wire = self._connection.send(message, compress=compress)
            self._sending = len(wire)
            try:
                self._transport.send(wire)
            finally:
                self._sending = 0

    def recv(self, timeout: float | None = None) -> str | bytes:
        """The next message: ``str`` if it was text, ``bytes`` if it was binary.

        Args:
            timeout: Seconds; None: as long as the connection lives.
        Raises:
            TimeoutError: none came in time.  Nothing is lost by that: what has come of
                one is kept for the next call.
            ConnectionClosed: there will be none, as the connection is closed; its ``code``
                and ``reason`` say why.  Messages that came before have been given out.
        """
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        message = self._wait_for(self._take_message, deadline)
        if message is not None:
            return message.data
        if self.closed is not None:
            raise self._ended()
        raise TimeoutError(f"no message within {timeout:g} s")

    def __iter__(self) -> Iterator[str | bytes]:
        """Every message until a normal close, see :func:`is_normal`.

        Raises:
            ConnectionClosed: it was no normal one.
        """
        while True:
            try:
                yield self.recv()
            except ConnectionClosed:
                if self.closed is not None and is_normal(self.closed):
                    return
                raise

    def ping(self, data: bytes = b"", timeout: float | None = None) -> float:
        """Ask the server whether it is there, which a browser's page cannot do (§5.5.2).

        Messages that come before the answer are kept for :meth:`recv`.

        Args:
            data: At most 125 bytes, which come back.
            timeout: Seconds; None: ``limits.ping_timeout``.
        Returns:
            Seconds from the Ping to its Pong.
        Raises:
            TimeoutError: no answer in time, or too many messages before it (more than
                ``limits.max_backlog`` bytes).
            ConnectionClosed: the connection is closing or closed.
            ValueError: more than 125 bytes.
        """
        patience = self.limits.ping_timeout if timeout is None else timeout
        with self._transport.write_lock:
            if self.closed is not None:
                raise self._ended()
            wire = self._connection.ping(data)
            asked = _Asked(bytes(memoryview(data)))
            with self._changed:
                self._asked.append(asked)
            began = time.monotonic()
            self._transport.send(wire)

        def answered() -> float | None:
            if asked.answered is None and self._is_full():
                raise TimeoutError(f"{len(self._inbox)} messages came before the Pong: recv() them first")
            return asked.answered

        try:
            came = self._wait_for(answered, began + patience)
        finally:
            with self._changed:
                self._asked = [other for other in self._asked if other is not asked]
        if came is not None:
            return came - began
        if self.closed is not None:
            raise self._ended()
        raise TimeoutError(f"no Pong within {patience:g} s")

    def close(self, code: int | None = CloseCode.NORMAL, reason: str = "") -> None:
        """Close: say so, wait for the server to say so too, and to end TCP.  §7.1.1, §7.1.2.

        It waits for ``limits.close_timeout`` at most; then it cuts the connection.  On
        a connection that is closed it does nothing.  Messages that come before the server's
        Close are kept for :meth:`recv`, up to ``limits.max_backlog`` bytes; how many more
        there were, the log says.

        Args:
            code: 1000, or 3000 to 4999; None for a Close without a code.
            reason: At most 123 bytes of UTF-8.
        Raises:
            TypeError, ValueError: a code or a reason that no Close may carry.
        """
        with self._transport.write_lock, contextlib.suppress(ConnectionClosed):  # then reading finds out
            if wire := self._connection.close(code, reason):
                self._transport.send(wire, last=True)
        patience = self.limits.close_timeout
        self._wait_for(self._discard_some, time.monotonic() + patience)
        if self.closed is None:
            self._transport.give_up(f"our Close was not answered within {patience:g} s", reset=True)
            self._wait_for(self._discard_some, math.inf)  # it reads the end that we have just made
        if self._discarded:
            logger.warning("%d messages that came after our Close were discarded", self._discarded)
            self._discarded = 0

    def __enter__(self) -> WebSocket:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        # §7.4.1: 1001, "such as ... a browser having navigated away from a page".
        self.close(CloseCode.NORMAL if kind is None else CloseCode.GOING_AWAY)

    # -- Reading: one thread at a time, for all that wait -----------------------------

    def _wait_for(self, take: Callable[[], Found | None], deadline: float) -> Found | None:
        """Read until ``take`` finds what it looks for, the connection is closed, or time is up.

        One thread reads; the others wait for what it finds.  When it has what it
        wants, the next one reads.

        Args:
            take: Called under the lock, after each thing that happened.
            deadline: Monotonic seconds.  What is there already is found after it, too.
        """
        tried = False
        while True:
            with self._changed:
                while True:
                    found = take()
                    if found is not None or self.closed is not None:
                        return found
                    left = deadline - time.monotonic()
                    if tried and left <= 0:
                        return None
                    if not self._reading:
                        break
                    tried = True
                    self._changed.wait(None if left == math.inf else max(left, 0.0))
                self._reading = tried = True
            try:
                self._read(deadline)
            finally:
                with self._changed:
                    self._reading = False
                    self._changed.notify_all()

    def _read(self, deadline: float) -> None:
        """Take one thing that happened, or read once."""
        event = self._connection.next_event()
        if event is None:
            data = self._wait_for_bytes(deadline)
            if data is not None:
                self._connection.receive(data)
        elif isinstance(event, Message):
            with self._changed:
                self._inbox.append(event)
                self._inbox_size += len(event.data) + PER_MESSAGE
        elif isinstance(event, Ping):
            with self._transport.write_lock, contextlib.suppress(ConnectionClosed):  # the server may have said more
                self._transport.send(event.reply)
        elif isinstance(event, Pong):
            self._note_pong(event.data)
        else:
            self._take_leave(event)

    def _wait_for_bytes(self, deadline: float) -> bytes | None:
        """What comes next; b"" if nothing will, None if nothing did.  Silence is answered by a Ping."""
        limits, transport = self.limits, self._transport
        size = min(max(self._connection.missing, READ_SIZE), MAX_READ_SIZE)
        patience = limits.ping_interval + (limits.ping_timeout if self._pinged else 0.0)
        began = time.monotonic()
        data = transport.receive(size, max(min(patience - self._silence, deadline - began), 0.0))
        if data is not None:
            self._silence, self._pinged = 0.0, False
            return data
        self._silence += time.monotonic() - began
        if self._silence < patience:
            return None
        if self._pinged:
            transport.give_up(f"no sign of life within {limits.ping_timeout:g} s after our Ping", reset=True)
            return b""
        self._pinged = True
        with transport.write_lock, contextlib.suppress(ConnectionClosed):
            transport.send(self._connection.ping())
        return None

    def _note_pong(self, data: bytes) -> None:
        """§5.5.3: a Pong may answer "only the most recently processed Ping", and so all before it."""
        with self._changed:
            same = [n for n, asked in enumerate(self._asked) if asked.data == data]
            for asked in self._asked[: same[-1] + 1] if same else ():
                asked.answered = time.monotonic()
            self._asked = [asked for asked in self._asked if asked.answered is None]

    def _take_leave(self, closed: Closed) -> None:
        """Both Closes, an error, or the end of TCP: the last words."""
        transport, linger = self._transport, self.limits.linger_timeout
        if closed.reply:
            try:
                with transport.write_lock:
                    transport.send(closed.reply, last=True)
            except ConnectionClosed:
                closed = replace(closed, clean=False, sent=None)
        # §7.1.1: "the client SHOULD wait for the server to close the connection but MAY close
        # the connection at any time": so it is the server's port that stays in TIME_WAIT.
        deadline = time.monotonic() + linger
        while closed.clean and (left := deadline - time.monotonic()) > 0:
            if not transport.receive(READ_SIZE, left):
                break
        transport.end(linger)
        self._connection.receive(b"")
        with self._changed:
            self.closed = closed

    # -- Small things -------------------------------------------------------------------

    def _take_message(self) -> Message | None:
        if not self._inbox:
            return None
        message = self._inbox.popleft()
        self._inbox_size -= len(message.data) + PER_MESSAGE
        return message

    def _is_full(self) -> bool:
        """Whether messages came that nobody has taken yet, and no more of them shall be kept."""
        limits = self.limits
        return self._inbox_size > limits.max_backlog

    def _discard_some(self) -> None:
        """While closing: what nobody can be expected to take."""
        while self._is_full():
            self._inbox_size -= len(self._inbox.pop().data) + PER_MESSAGE
            self._discarded += 1

    def _ended(self) -> ConnectionClosed:
        """For whoever goes on."""
        closed = self.closed
        if closed is None:
            return ConnectionClosed("the connection is open")
        return ConnectionClosed(how_it_ended(closed, self._transport.broken), code=closed.code, reason=closed.reason)


def is_normal(closed: Closed) -> bool:
    """Whether a connection ended as it should: we closed it, or the server did and had no complaint.

    >>> is_normal(Closed(1000, "bye", 1000, True, False, None, b""))
    True
    >>> is_normal(Closed(1011, "", 1011, True, False, None, b""))
    False
    """
    return closed.clean and (
        closed.by_us or closed.code in (CloseCode.NORMAL, CloseCode.GOING_AWAY, CloseCode.NO_STATUS)
    )


def how_it_ended(closed: Closed, broken: str = "") -> str:
    """In words, fit for a terminal.

    Args:
        closed: The event.
        broken: Why nothing more could be written, if that is known.

    >>> how_it_ended(Closed(1001, "bye", 1001, True, False, None, b""))
    "the server closed the connection: 1001 GOING_AWAY 'bye'"
    >>> how_it_ended(Closed(1006, "", None, False, False, None, b""))
    'the connection was lost: TCP ended without a Close (1006)'
    """
    if closed.error is not None:
        return f"the server broke the protocol, and was sent {closed.sent or 'no Close'}: {closed.error}"
    if closed.code == CloseCode.ABNORMAL:
        known = broken and broken != "the connection is closed"
        return f"the connection was lost: {broken if known else 'TCP ended without a Close'} (1006)"
    name = CloseCode(closed.code).name if closed.code in tuple(CloseCode) else ""
    words = " ".join(filter(None, (str(closed.code), name, shown(closed.reason, 130) if closed.reason else "")))
    return f"{'we' if closed.by_us else 'the server'} closed the connection: {words}"
