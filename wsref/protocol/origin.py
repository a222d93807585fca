"""Chapter 11: which page may connect: the Origin header.

Browsers let any page open a WebSocket to any server, with the cookies of its visitor, and
tell the server which page it is (RFC 6455 §10.2).  The server decides.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection

from .errors import HTTPError, quote_ascii
from .http11 import Request, host_and_port


def origin_of(request: Request) -> str | None:
    """Return the origin of the page that opens this WebSocket; None: not a browser's page.

    §4.1 item 8: a browser MUST send it.  Version 8 calls it ``Sec-WebSocket-Origin``
    (draft-ietf-hybi-thewebsocketprotocol-10 §1.3).
    """
    old = request.headers.get("Sec-WebSocket-Version") == "8"
    origin = request.headers.get("Sec-WebSocket-Origin") if old else None
    return origin if origin is not None else request.headers.get("Origin")


def check_origin(request: Request, *, allowed: Collection[str] = (), secure: bool, loopback: bool) -> None:
    """Refuse a page from another site: it could act with its visitor's cookies (§10.2).

    Allowed are: no origin (not a browser), an origin in ``allowed``, and pages from this
    very server.  To a server bound to loopback "this very server" is any loopback address
    on any port, for the learner whose own page comes from another port.

    Otherwise equal names in Origin and Host prove nothing without TLS: an attacker can make a
    name point to our address (DNS rebinding).  Equal IP addresses do prove it, and so do names
    over TLS, which the browser has compared with the certificate.  Any other name must be in
    ``allowed``.

    Args:
        allowed: Origins as browsers write them, ``https://example.com``, or ``null``;
            ``*`` allows all.
        secure: Whether the connection came over TLS.
        loopback: Whether the server is bound to a loopback address.
    Raises:
        HTTPError: 403, with the received origin and the flag that would allow it.
    """
    origin = origin_of(request)
    if origin is None or origin in allowed or "*" in allowed:
        return
    if loopback:
        hosts = (_host_of(origin), host_and_port(request.host, 80))
        if all(pair and is_loopback(pair[0]) for pair in hosts):
            return
    elif same_origin := _is_same_origin(origin, request, secure):
        host, _ = host_and_port(request.host, 80) or ("", 0)
        if secure or is_loopback(host) or _is_address(host):
            return
    reason = f"pages from origin {quote_ascii(origin, 100)} may not connect here"
    if not loopback and same_origin:
        reason += " (it is the name in Host, but without TLS any name may be made to point here)"
    if origin == "null":
        reason += " (null is the origin of a page that was opened as a file)"
    if is_origin(origin) and len(origin) <= 100:
        reason += f"; to let it in: --allow-origin {origin} (in a program: allowed_origins)"
    raise HTTPError(403, reason, "RFC 6455 §10.2")


def is_origin(origin: str) -> bool:
    """Whether this is an origin as a browser writes it: scheme, host and perhaps a port; or null.  RFC 6454 §6.2.

    >>> [is_origin(text) for text in ("https://example.com", "http://[::1]:8000", "example.com", "https://example.com/")]
    [True, True, False, False]
    """
    return re.fullmatch(r"null|[a-z][a-z0-9+.\-]*://[a-z0-9.\-_\[\]:]+", origin) is not None


def _host_of(origin: str) -> tuple[str, int] | None:
    """Host and port of an http or https origin, exactly as a browser writes it; else None."""
    if not is_origin(origin) or not origin.startswith(("http://", "https://")):
        return None
    scheme, _, authority = origin.partition("://")
    return host_and_port(authority, 443 if scheme == "https" else 80)


def _is_same_origin(origin: str, request: Request, secure: bool) -> bool:
    """RFC 6454 §5: the same scheme, host and port."""
    scheme, port = ("https", 443) if secure else ("http", 80)
    ours = host_and_port(request.host, port)
    return origin.startswith(scheme + "://") and ours is not None and _host_of(origin) == ours


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine.

    >>> [is_loopback(host) for host in ("localhost", "127.8.9.1", "::1", "example.com", "127.0.0.1.evil.com")]
    [True, True, True, False, False]
    """
    if host == "localhost" or host.endswith(".localhost"):  # RFC 6761 §6.3
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
