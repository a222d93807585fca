"""Chapter 0: the URL of a WebSocket: ``ws:`` and ``wss:``, RFC 6455 §3."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import quote

from .errors import quote_ascii
from .spec import DEFAULT_PORTS


@dataclass(frozen=True, slots=True)
class URL:
    """The parts of a ``ws:`` or ``wss:`` URL.  §3.

    Attributes:
        secure: Whether it is ``wss``.
        host: As in DNS and certificates: ASCII, lower case, an IPv6 address without brackets.  The
            zone of a link-local address, such as ``%eth0``, is part of it.
        port: From the URL, else the scheme's default.
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
        """The value of the Host header: the port only if it is not the scheme's default (§4.1).

        RFC 6874 §4: without the zone, which "has only local significance at the sending host".
        """
        return self._authority(self.host.partition("%")[0])

    def _authority(self, host: str) -> str:
        host = f"[{host}]" if ":" in host else host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self._authority(self.host.replace('%', '%25'))}{self.resource}"


def parse_url(url: str) -> URL:
    """Read a WebSocket URL.  Inverse: ``str``.

    Raises:
        ValueError: Not a WebSocket URL; the message names the part and what to write instead.
    Source:
        RFC 6455 §3, §11.1.1 (non-ASCII); RFC 3986 (the rest).

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
        raise ValueError(f"a WebSocket URL is ws://HOST:PORT/PATH or wss://HOST:PORT/PATH, not {quote_ascii(url)}")
    scheme, authority, path, query, fragment = found.groups()
    scheme = scheme.lower()
    if scheme not in DEFAULT_PORTS:
        meant = {"http": "; did you mean ws://?", "https": "; did you mean wss://?"}.get(scheme, "")
        raise ValueError(f"the scheme of a WebSocket URL is ws or wss, not {quote_ascii(scheme)}{meant} (RFC 6455 §3)")
    if fragment:
        raise ValueError("a WebSocket URL has no fragment; a '#' in its path is written %23 (RFC 6455 §3)")
    if "@" in authority:  # it may contain a password: do not repeat it
        raise ValueError("a WebSocket URL has no user and password (RFC 6455 §3); send an Authorization header")
    host, port = _host_and_port(authority, DEFAULT_PORTS[scheme])
    resource = _percent_encoded(path or "/") + (f"?{_percent_encoded(query)}" if query else "")
    return URL(scheme == "wss", host, port, resource)


def _host_and_port(authority: str, default: int) -> tuple[str, int]:
    found = re.fullmatch(r"(\[[^\[\]]*\]|[^:\[\]]*)(?::([0-9]*))?", authority)
    if not found:
        raise ValueError(
            f"after '://' comes HOST or HOST:PORT, and an IPv6 address in brackets; not {quote_ascii(authority)}"
        )
    host, port = found[1], found[2] or str(default)
    if len(port) > 5 or not 1 <= int(port) <= 65535:
        raise ValueError(f"a port is a number from 1 to 65535, not {quote_ascii(port)}")
    return _ipv6(host) if host.startswith("[") else _name(host), int(port)


def _ipv6(text: str) -> str:
    """RFC 6874 §2: a zone follows ``%25``; §3: or a bare ``%``, "for user interface convenience"."""
    try:
        address = ipaddress.IPv6Address(text[1:-1].replace("%25", "%", 1))
        if re.fullmatch(r"[0-9A-Za-z._~\-]*", address.scope_id or ""):
            return address.compressed
    except ValueError:
        pass
    raise ValueError(f"brackets hold an IPv6 address, perhaps with a zone such as %25eth0, not {quote_ascii(text)}")


def _name(text: str) -> str:
    """A host name, or an IPv4 address.  §11.1.1: a name that is not ASCII is sent in its IDNA form."""
    try:
        name = text.encode("idna").decode().lower()  # refuses labels that are empty or too long, too
    except UnicodeError:
        name = ""
    if not re.fullmatch(r"[0-9a-z_][0-9a-z_.\-]*", name):
        raise ValueError(f"a host is a name or an address, not {quote_ascii(text)}")
    return name


def _percent_encoded(text: str) -> str:
    """§11.1.1: non-ASCII characters are sent as percent-encoded UTF-8; the rest must be valid already."""
    text = "".join(character if character.isascii() else quote(character) for character in text)
    good = re.match(r"(?:[!$&'()*+,;=:@/?\-._~0-9A-Za-z]|%[0-9A-Fa-f]{2})*", text)
    if good and good.end() < len(text):
        wrong = text[good.end()]
        raise ValueError(f"{quote_ascii(wrong)} is not allowed in a URL: write %{ord(wrong):02X} (RFC 3986 §2)")
    return text
