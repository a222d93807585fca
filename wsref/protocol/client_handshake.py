"""Chapter 0: the client's half of the opening handshake: build the request, check the response.

RFC 6455 §4.1.  Where the server validates a request (:mod:`wsref.protocol.handshake`), the
client validates the server's response, against :data:`RESPONSE_RULES`.
"""

from __future__ import annotations

import base64
import os
import re
import shlex
from collections.abc import Iterable, Sequence
from urllib.parse import urljoin

from .deflate import Compression, DeflateParameters, accept_response
from .errors import ProtocolError, quote_ascii
from .extensions import parse_extensions
from .handshake import Rule, accept_key, describe_violations, unless, violations
from .http11 import HOST, Headers, Request, Response, reason_phrase
from .spec import KEY_BYTES, TOKEN, VERSIONS
from .url import URL, parse_url

#: Lines of a refusal's body that the error quotes.
MAX_BODY_LINES = 6


class HandshakeFailed(Exception):
    """The server's response did not open a WebSocket: another status, an invalid 101, or not HTTP.

    Attributes:
        status: Of the response; 0 if it was not HTTP.
        headers: Of the response.
        body: Of a refusal, its first 16 KiB; else b"".
    """

    def __init__(self, why: str, status: int = 0, headers: Headers = Headers(), body: bytes = b"") -> None:
        super().__init__(why)
        self.status = status
        self.headers = headers
        self.body = body


# -- The request, §4.1 -------------------------------------------------------------

#: Headers that the handshake writes itself, and headers that would announce a body.
OWN_HEADERS = re.compile(r"upgrade|connection|sec-websocket-.*|content-length|transfer-encoding", re.IGNORECASE)


def new_key() -> str:
    """Return a new Sec-WebSocket-Key.  §4.1 item 7: "The nonce MUST be selected randomly for each connection".

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
    r"""Build the request of the opening handshake.

    Args:
        url: Of the WebSocket.
        key: See :func:`new_key`.
        subprotocols: To offer, the best first.
        origin: A browser MUST send one; other clients may.
        extensions: The offer: the value of Sec-WebSocket-Extensions.
        headers: Further headers.  A Host replaces that of the URL: for a virtual host.
    Raises:
        TypeError: ``subprotocols`` is one str, or a header is not a pair of str.
        ValueError: A subprotocol that is not a token or is offered twice, or a header that the
            handshake writes itself, or an invalid Host.  (:func:`~wsref.protocol.http11.build_request` finds a value
            that HTTP cannot carry.)
    Source:
        RFC 6455 §4.1, the second list.

    >>> from wsref.protocol.http11 import build_request
    >>> from wsref.protocol.url import parse_url
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
            raise ValueError(
                f"a subprotocol is a token, without blanks and separators, not {quote_ascii(name)} (RFC 6455 §4.1)"
            )
    if len(set(subprotocols)) < len(subprotocols):
        raise ValueError(
            f"offer each subprotocol once, not as in {quote_ascii(', '.join(subprotocols))} (RFC 6455 §4.1)"
        )
    headers = tuple(headers)
    for header in headers:
        pair = isinstance(header, (tuple, list)) and len(header) == 2
        if not pair or not all(isinstance(part, str) for part in header):
            raise TypeError(f"headers are a mapping, or pairs of name and value, both str: not {header!a}")
    for name, _ in headers:
        if OWN_HEADERS.fullmatch(name) or (origin is not None and name.lower() == "origin"):
            raise ValueError(f"the handshake writes the header {quote_ascii(name)} itself: leave it out")
    hosts = [value for name, value in headers if name.lower() == "host"] or [url.authority]
    if len(hosts) > 1 or not HOST.fullmatch(hosts[0]):
        raise ValueError(f"the header Host is one host and perhaps a port, not {quote_ascii(', '.join(hosts))}")
    fields = [
        ("Host", hosts[0]),  # RFC 9110 §7.2: first
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
        fields.append(("User-Agent", "wsref"))  # RFC 9110 §10.1.5: SHOULD; some proxies refuse requests without one
    fields += [field for field in headers if field[0].lower() != "host"]
    return Request("GET", url.resource, (1, 1), Headers(fields))


# -- The response, §4.1 ------------------------------------------------------------


def _status(request: Request, response: Response) -> str | None:
    return unless(response.status == 101, [str(response.status)])


def _upgrade(request: Request, response: Response) -> str | None:
    upgrades = response.headers.elements("Upgrade")
    return unless([name.lower() for name in upgrades] == ["websocket"], upgrades)


def _connection(request: Request, response: Response) -> str | None:
    options = response.headers.elements("Connection")
    return unless("upgrade" in (option.lower() for option in options), options)


def _accept(request: Request, response: Response) -> str | None:
    (key,) = request.headers.lines("Sec-WebSocket-Key")
    accepts = response.headers.lines("Sec-WebSocket-Accept")
    return unless(accepts == [accept_key(key)], accepts)


def _extensions(request: Request, response: Response) -> str | None:
    try:
        offered = {extension.name for extension in parse_extensions(request.headers.get("Sec-WebSocket-Extensions"))}
        used = [extension.name for extension in parse_extensions(response.headers.get("Sec-WebSocket-Extensions"))]
    except ValueError as error:
        return str(error)
    return unless(set(used) <= offered and len(set(used)) == len(used), used)


def _protocol(request: Request, response: Response) -> str | None:
    offered = request.headers.elements("Sec-WebSocket-Protocol")
    chosen = response.headers.lines("Sec-WebSocket-Protocol")
    return unless(not chosen or (len(chosen) == 1 and chosen[0] in offered), chosen)


#: "The client MUST validate the server's response as follows", §4.1.  (That it is HTTP/1.1 is
#: checked by :func:`~wsref.protocol.http11.parse_response`: HTTP/1.0 has no 101.)
RESPONSE_RULES: tuple[Rule, ...] = (
    Rule("status", "the status must be 101", "RFC 6455 §4.1 item 1", _status),
    Rule("upgrade", "the Upgrade header must be websocket, and nothing else", "RFC 6455 §4.1 item 2", _upgrade),
    Rule("connection", "the Connection header must name Upgrade", "RFC 6455 §4.1 item 3", _connection),
    Rule("accept", "there must be one Sec-WebSocket-Accept, the answer to our key", "RFC 6455 §4.1 item 4", _accept),
    Rule(
        "extensions",
        "Sec-WebSocket-Extensions, if present, must name extensions that were offered, and each once",
        "RFC 6455 §4.1 item 5",
        _extensions,
    ),
    Rule(
        "protocol",
        "Sec-WebSocket-Protocol, if present, must be one of the subprotocols that were offered",
        "RFC 6455 §4.1 item 6",
        _protocol,
    ),
)


def check_response(
    request: Request, response: Response, compression: Compression | None = None, *, secure: bool = False
) -> tuple[str | None, DeflateParameters | None]:
    """Validate the server's response.

    Args:
        request: Our handshake.
        response: The server's, with its body if it is a refusal.
        compression: Our offer.
        secure: Whether the URL is ``wss``: a redirect may leave out the scheme.
    Returns:
        The subprotocol, or None; and the parameters of compression, or None.
    Raises:
        HandshakeFailed: Names every broken rule; for a status other than 101, quotes the body.

    >>> from wsref.protocol.url import parse_url
    >>> request = build_handshake(parse_url("ws://example.com/"), "dGhlIHNhbXBsZSBub25jZQ==")
    >>> response = Response(101, Headers([("Upgrade", "websocket"), ("Connection", "keep-alive")]))
    >>> check_response(request, response)
    Traceback (most recent call last):
        ...
    wsref.protocol.client_handshake.HandshakeFailed: the server's 101 does not answer our request:
      the Connection header must name Upgrade; received 'keep-alive' (RFC 6455 §4.1 item 3)
      there must be one Sec-WebSocket-Accept, the answer to our key; received nothing (RFC 6455 §4.1 item 4)
    """
    status, headers = response.status, response.headers
    if status != 101:
        raise HandshakeFailed(_why_refused(request, response, secure), status, headers, response.body)
    if broken := violations(RESPONSE_RULES, request, response):
        reasons = "".join(f"\n  {line}" for line in describe_violations(broken))
        raise HandshakeFailed(f"the server's 101 does not answer our request:{reasons}", status, headers)
    parameters = None
    if compression is not None:
        try:
            for extension in parse_extensions(headers.get("Sec-WebSocket-Extensions")):
                parameters = accept_response(extension.parameters, compression)
        except ProtocolError as error:
            raise HandshakeFailed(str(error), status, headers) from None
    return headers.get("Sec-WebSocket-Protocol"), parameters


#: What a refusal often means.
HINTS = {
    400: "the server does not accept this handshake; a proxy before it may have removed Upgrade",
    401: "the server asks for authentication: an Authorization header or a cookie",
    403: "the server does not accept this client: it may want another Origin, a cookie or a token",
    405: "is the path right?  This one does not open WebSockets",
    426: "the server wants an upgrade and did not see one: a proxy before it may have removed it",
    502: "a proxy answered: it cannot reach the server behind it",
    503: "the server is busy: try again later",
}


def _why_refused(request: Request, response: Response, secure: bool) -> str:
    """One line for the status; the first lines of the body; and a hint."""
    status, versions = response.status, response.headers.get("Sec-WebSocket-Version")
    lines = [f"the server answered {status} {reason_phrase(status)}".rstrip() + ", not 101 Switching Protocols"]
    body = response.body.decode(errors="replace").split("\n")
    quoted = [line.rstrip()[:200] for line in body if line.strip()]
    lines += ["  | " + "".join(c if c.isprintable() else quote_ascii(c)[1:-1] for c in line) for line in quoted]
    if len(lines) > MAX_BODY_LINES + 1:
        lines[MAX_BODY_LINES + 1 :] = ["  | ..."]
    hint = HINTS.get(status, "")
    if versions is not None and VERSIONS[0] not in versions:  # §4.2.2: a 426 names the versions that it supports
        hint = f"the server speaks version {quote_ascii(versions)} of the protocol, and this client {VERSIONS[0]}"
    if 300 <= status < 400 and (location := response.headers.get("Location")):
        hint = _redirect(f"http{'s' * secure}://{request.host}{request.target}", location)
    if status == 404:
        hint = f"is the path right?  It was {quote_ascii(request.target)}"
    return "\n".join([*lines, f"  ({hint})"] if hint else lines)


def _redirect(base: str, location: str) -> str:
    """Name the command that follows a redirect (RFC 9110 §10.2.2: a Location may be relative)."""
    try:
        url = parse_url(re.sub("(?i)^http", "ws", urljoin(base, location)))
    except ValueError:
        return f"the server redirects to {quote_ascii(location, 200)}"
    return f"the server redirects; to follow: python -m wsref connect {shlex.quote(str(url))}"
