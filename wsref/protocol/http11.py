"""Chapter 1: just enough HTTP/1.1: bytes to Request, Response to bytes.

A WebSocket begins as an HTTP request.  A server that only opens WebSockets needs little of
HTTP: one *head* (a request line, header lines, an empty line) comes in, one response goes
out.  It reads no body, no second request, no chunked coding.

It reads the rest strictly, by RFC 9112 (the syntax) and RFC 9110 (the meaning).  If two
programs read one request differently because one is lenient, a request can be smuggled past
one of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

from .errors import HTTPError, quote_ascii
from .limits import Limits
from .spec import TOKEN

TOKEN_BYTES = re.compile(TOKEN.encode())

# RFC 9112 §3: "method SP request-target SP HTTP-version".  The target: visible
# ASCII without "#", because a fragment never leaves the client (RFC 6455 §3).
REQUEST_LINE = re.compile(rf"({TOKEN}) ([!-\"$-~]+) HTTP/([0-9])\.([0-9])")
STATUS_LINE = re.compile(r"HTTP/1\.([0-9]) ([1-5][0-9][0-9])(?: ([\t -~\x80-\xff]*))?")

# RFC 9112 §5: "field-name ":" OWS field-value OWS", RFC 9110 §5.5: a value has no
# control characters except the tab.  str.strip trims the value: a regular expression that
# trims can be made to try every split of a run of spaces.
HEADER_LINE = re.compile(rf"({TOKEN}):([\t -~\x80-\xff]*)")

# The beginning of a line that cannot become a header or the empty line: a frame, say.
NO_HEADER = re.compile(rb"[^\r\t -~]|.*[\0-\x08\x0b-\x0c\x0e-\x1f\x7f]", re.DOTALL)

# RFC 9110 §7.2 and RFC 3986 §3.2.2: a host name, an IPv4 address, or an IPv6
# address in brackets; then, perhaps, a port.
HOST = re.compile(r"(?:(?:[!$&'()*+,;=\-._~0-9A-Za-z]|%[0-9A-Fa-f]{2})*|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?")

# Names that most requests have.  A connection keeps its request: these strings, shared, save 0.7 KiB of it.
# (``sys.intern`` would keep each name that a client invents, for ever, in Python without the GIL.)
_USUAL = ("Host", "Connection", "Upgrade", "Origin", "User-Agent", "Cookie", "Accept-Encoding", "Accept-Language")
_WEBSOCKET = tuple(f"Sec-WebSocket-{word}" for word in ("Key", "Version", "Protocol", "Extensions"))
_SHARED = {name: name for usual in _USUAL + _WEBSOCKET for name in (usual, usual.lower())}

#: The first bytes of a peer that speaks another protocol.
HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n"  # RFC 9113 §3.4
TLS_CLIENT_HELLO = b"\x16\x03"  # RFC 8446 §5.1: handshake record, version 3.x


class Headers:
    """Header fields in the order of their lines; names are case-insensitive (RFC 9110 §5.1).

    A name may have several lines.  For a field that is a list they mean the same as one line
    with commas (RFC 9110 §5.3), for another field they are an error; so there is a method for
    each of the two.

    >>> headers = Headers([("Connection", "keep-alive"), ("connection", "Upgrade")])
    >>> headers.get("CONNECTION")
    'keep-alive, Upgrade'
    >>> headers.lines("Connection")
    ['keep-alive', 'Upgrade']
    >>> headers.elements("Connection")
    ['keep-alive', 'Upgrade']
    >>> headers.get("Origin") is None
    True
    """

    def __init__(self, pairs: list[tuple[str, str]] | tuple[tuple[str, str], ...] = ()) -> None:
        self._pairs = tuple(pairs)
        # Once: a handshake looks up some 15 names.
        self._names = [_SHARED.get(lower := name.lower(), lower) for name, _ in self._pairs]

    def lines(self, name: str) -> list[str]:
        """Return the value of each line with that name, in order."""
        name = name.lower()
        return [value for key, (_, value) in zip(self._names, self._pairs, strict=True) if key == name]

    def get(self, name: str, default: str | None = None) -> str | None:
        """Return all lines with that name joined with commas; the default if no line has it."""
        lines = self.lines(name)
        return ", ".join(lines) if lines else default

    def elements(self, name: str) -> list[str]:
        """Return the elements of a list field over all its lines, without empty ones.

        RFC 9110 §5.6.1.2: a recipient MUST ignore a reasonable number of empty
        elements.
        """
        parts = (part.strip(" \t") for line in self.lines(name) for part in line.split(","))
        return [part for part in parts if part]

    def __contains__(self, name: str) -> bool:
        return bool(self.lines(name))

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._pairs)

    def __len__(self) -> int:
        return len(self._pairs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self._pairs == other._pairs

    def __hash__(self) -> int:
        return hash(self._pairs)

    def __repr__(self) -> str:
        return f"Headers({list(self._pairs)!r})"


@dataclass(frozen=True, slots=True)
class Request:
    """A request's head.  ``version`` is ``(1, 1)`` for HTTP/1.1."""

    method: str
    target: str
    version: tuple[int, int]
    headers: Headers

    @property
    def path(self) -> str:
        """The target without its query: RFC 6455 §3's resource name begins with it.

        >>> Request("GET", "http://host/chat?name=Ann", (1, 1), Headers()).path
        '/chat'
        """
        return _after_authority(self.target).partition("?")[0] or "/"

    @property
    def host(self) -> str:
        """The host that the request is for, with the port if given.

        RFC 9112 §3.2.2: a server MUST ignore Host if the target is in absolute-form.

        >>> Request("GET", "http://example:81/chat", (1, 1), Headers([("Host", "proxy")])).host
        'example:81'
        """
        return self.headers.get("Host") or "" if self.target.startswith("/") else _authority(self.target)

    @property
    def query(self) -> dict[str, list[str]]:
        """The target's query, decoded.

        >>> Request("GET", "/chat?name=Ann&name=Bo", (1, 1), Headers()).query
        {'name': ['Ann', 'Bo']}
        """
        query = _after_authority(self.target).partition("?")[2]
        try:
            return parse_qs(query, keep_blank_values=True, max_num_fields=100)
        except ValueError:  # more than 100 fields: not an honest query
            return {}

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies, name to value; of two with one name the first, whose path is longer.

        A pair that is not valid is left out and hides none of the others, as it would with
        ``http.cookies``: another program on this host may have set it.

        Source:
            RFC 6265 §5.4.

        >>> Request("GET", "/", (1, 1), Headers([("Cookie", "id=42; theme=dark; odd")])).cookies
        {'id': '42', 'theme': 'dark'}
        """
        found: dict[str, str] = {}
        for pair in ";".join(self.headers.lines("Cookie")).split(";"):
            name, equals, value = (part.strip() for part in pair.partition("="))
            if equals and re.fullmatch(TOKEN, name):
                found.setdefault(name, value[1:-1] if re.fullmatch('".*"', value) else value)
        return found


@dataclass(frozen=True, slots=True)
class Response:
    """A whole response: status, header fields in order, body."""

    status: int
    headers: Headers
    body: bytes = b""


def _authority(target: str) -> str:
    """``host:port`` of a target in absolute-form; "" of one in origin-form."""
    rest = "" if target.startswith("/") else target.partition("://")[2]
    return rest.removesuffix(_after_authority(target))


def _after_authority(target: str) -> str:
    """``/path?query`` of a target in origin-form or in absolute-form (RFC 9112 §3.2)."""
    if target.startswith("/"):
        return target
    rest = target.partition("://")[2]
    cut = min((at for at in (rest.find("/"), rest.find("?")) if at >= 0), default=len(rest))
    return rest[cut:]


def find_end_of_head(data: bytes, checked: int = 0, limits: Limits = Limits()) -> int | None:
    r"""Find the empty line that ends a request's head, and check the bytes so far.

    A head arrives in pieces of any size, so this runs once for each piece.  It reports an
    error as early as possible: a learner who types ``echo garbage | nc`` wants an answer, not
    a timeout.

    Args:
        data: The bytes so far, from the head's first byte on.
        checked: How many of these bytes an earlier call has checked.  They are not read
            again, so a head that arrives byte by byte costs no more than a whole one
            (otherwise 16 KiB would be 16,384 searches of 8 KiB).
        limits: ``max_request_line`` and ``max_head`` apply.
    Returns:
        The offset just past the empty line; None: more bytes are needed.
    Raises:
        HTTPError: 400 for bytes that no head may contain or an invalid request line, 414
            and 431 for too many bytes, 505 for another version of HTTP, and 0 (close: the
            peer would not understand HTTP) for TLS and HTTP/2.
    Source:
        RFC 9112 §2.2, §3; RFC 9110 §15.5.15; RFC 6585 §5.

    >>> find_end_of_head(b"GET / HTTP/1.1\r\nHost: example\r\n\r\nmore")
    33
    >>> find_end_of_head(b"GET / HTTP/1.1\r\nHost: exa") is None
    True
    """
    if checked < len(HTTP2_PREFACE):
        if data.startswith(TLS_CLIENT_HELLO):
            raise HTTPError(0, "a TLS ClientHello: this port speaks plain ws:// and http://, not wss:// or https://")
        if data.startswith(HTTP2_PREFACE):
            raise HTTPError(0, "an HTTP/2 preface: this port speaks HTTP/1.1, which has the Upgrade mechanism")

        if data == TLS_CLIENT_HELLO[:1]:
            return None  # one byte is not enough to tell

    # RFC 9112 §2.2: a server SHOULD ignore an empty line before the request line.
    start = 2 if data.startswith(b"\r\n") else 0
    if checked <= max(start, 1) and data[start : start + 1] not in (b"", b"\r") and not TOKEN_BYTES.match(data, start):
        parse_request_line(data[start:])  # not the beginning of a method: raises

    # First the request line, then the rest, each up to its limit: so the same fault is reported,
    # however the bytes are cut.
    seen = checked - data.endswith(b"\r", 0, checked)  # a CR LF may have begun in the previous piece
    most = start + limits.max_request_line + 2
    line_end = data.find(b"\n", start, most) + 1  # a search for one byte; for CR LF it takes ten times as long
    if not line_end or line_end > checked:  # it is not complete, or this piece completes it
        _refuse_stray_characters(data, seen, line_end or min(len(data), most))
        if line_end:
            parse_request_line(data[start : line_end - 2])
        elif len(data) > most - 1:
            raise HTTPError(
                414, f"the request line is longer than {limits.max_request_line} bytes", "RFC 9110 §15.5.15"
            )

    # The empty line, too, may have begun in the previous piece.
    end = data.find(b"\r\n\r\n", max(checked - 3, line_end - 2, start))
    stop = len(data) if end < 0 else end + 4
    _refuse_stray_characters(data, max(seen, line_end), min(stop, limits.max_head))
    if stop > limits.max_head:
        raise HTTPError(431, f"the request's head is larger than {limits.max_head} bytes", "RFC 6585 §5")
    return None if end < 0 else stop


def _refuse_stray_characters(data: bytes, start: int, stop: int) -> None:
    """No NUL; CR and LF only together.  A CR that ends the data may yet get its LF."""
    pairs = data.count(b"\r\n", start, stop)
    if data.count(b"\n", start, stop) > pairs:
        raise HTTPError(400, "a line ends in a bare LF; a line ends in CR LF", "RFC 9112 §2.2")
    if data.count(b"\r", start, stop) > pairs + data.endswith(b"\r", start, stop):
        raise HTTPError(400, "a CR is not followed by LF", "RFC 9112 §2.2")
    if data.find(b"\0", start, stop) >= 0:
        raise HTTPError(400, "a NUL byte", "RFC 9110 §5.5")


def parse_request(data: bytes, start: int = 0, limits: Limits = Limits()) -> tuple[Request, int] | None:
    r"""Read one request's head from ``data[start:]``.  Inverse: :func:`build_request`.

    Args:
        data: Bytes received.  Never modified.
        start: Offset of the head's first byte.
        limits: See :class:`~wsref.protocol.limits.Limits`.
    Returns:
        ``(request, end)``, with ``end`` just past the head (the bytes after it belong to the
        WebSocket); None: more bytes are needed.
    Raises:
        HTTPError: 400, 414, 431 or 505, with the broken rule.
    Source:
        RFC 9112 §2-§5, §3.2 (Host).

    >>> request, end = parse_request(b"GET /chat HTTP/1.1\r\nHost: example\r\n\r\n\x81")
    >>> request.method, request.path, request.headers.get("host"), end
    ('GET', '/chat', 'example', 37)
    """
    end = find_end_of_head(data[start:], 0, limits)
    if end is None:
        return None
    return parse_head(data[start : start + end], limits), start + end


def parse_head(head: bytes, limits: Limits = Limits()) -> Request:
    """Read a complete head, including its empty line.

    Raises:
        HTTPError: 400, 431 or 505.
    """
    first, *lines = head.removeprefix(b"\r\n")[:-4].split(b"\r\n")
    method, target, version = parse_request_line(first)
    headers = _parse_headers(lines, limits)
    if version >= (1, 1) or "Host" in headers:
        _check_host(headers)
    _check_length(headers)
    return Request(method, target, version, headers)


def parse_request_line(line: bytes) -> tuple[str, str, tuple[int, int]]:
    """``b"GET /chat HTTP/1.1"`` to ``("GET", "/chat", (1, 1))``.

    Raises:
        HTTPError: 400, or 505 for a version other than 1.x.
    Source:
        RFC 9112 §3, §3.2 (the forms of a target), §2.3 (the version).
    """
    found = REQUEST_LINE.fullmatch(line.decode("latin-1"))
    if not found:
        what = f"the first line must be 'METHOD SP TARGET SP HTTP/1.1', not {quote_ascii(line)}"
        raise HTTPError(400, what, "RFC 9112 §3")
    method, target, major, minor = found.groups()
    if major != "1":
        raise HTTPError(505, f"this server speaks HTTP/1.1, not HTTP/{major}.{minor}", "RFC 9110 §15.6.6")
    if not re.match(r"/|https?://[^/?:]", target, re.IGNORECASE):
        what = f"the target must begin with '/' or 'http://', not {quote_ascii(target)}"
        raise HTTPError(400, what, "RFC 6455 §4.2.1")
    if not HOST.fullmatch(_authority(target)):
        what = f"the target must name a host and perhaps a port, not {quote_ascii(target)}"
        raise HTTPError(400, what, "RFC 9110 §4.2")
    return method, target, (int(major), int(minor))


def parse_header(line: bytes) -> tuple[str, str]:
    """``b"Host: example"`` to ``("Host", "example")``.

    Raises:
        HTTPError: 400; a blank before the colon and a folded line have messages of their own.
    Source:
        RFC 9112 §5.1, §5.2; RFC 9110 §5.1, §5.5.
    """
    text = line.decode("latin-1")
    if found := HEADER_LINE.fullmatch(text):
        name, value = found.groups()
        return _SHARED.get(name, name), value.strip(" \t")
    name, colon, value = text.partition(":")
    if text[:1] in (" ", "\t"):
        raise HTTPError(400, f"a header line begins with a blank: {quote_ascii(line)}", "RFC 9112 §5.2: obs-fold")
    if not colon:
        raise HTTPError(400, f"a header line has no colon: {quote_ascii(line)}", "RFC 9112 §5")
    if name.rstrip(" \t") != name:
        raise HTTPError(400, f"a blank before the colon of header {quote_ascii(name)}", "RFC 9112 §5.1")
    if not re.fullmatch(TOKEN, name):
        raise HTTPError(400, f"a header name must be a token, not {quote_ascii(name)}", "RFC 9110 §5.1")
    raise HTTPError(400, f"a control character in header {quote_ascii(name)}: {quote_ascii(value)}", "RFC 9110 §5.5")


def _check_header_count(lines: list[bytes], limits: Limits) -> None:
    if len(lines) > limits.max_headers:
        raise HTTPError(431, f"{len(lines)} header lines; at most {limits.max_headers} are allowed", "RFC 6585 §5")


def _parse_headers(lines: list[bytes], limits: Limits) -> Headers:
    _check_header_count(lines, limits)
    for line in lines:
        if len(line) > limits.max_header_line:
            name = quote_ascii(line.partition(b":")[0])
            raise HTTPError(431, f"header {name} is longer than {limits.max_header_line} bytes", "RFC 6585 §5")
    return Headers([parse_header(line) for line in lines])


def _check_host(headers: Headers) -> None:
    """RFC 9112 §3.2: 400 unless there is exactly one Host, and it is valid."""
    hosts = headers.lines("Host")
    if len(hosts) != 1:
        raise HTTPError(400, f"there must be exactly one Host header, not {len(hosts)}", "RFC 9112 §3.2")
    if not HOST.fullmatch(hosts[0]):
        raise HTTPError(400, f"Host must be a host and perhaps a port, not {quote_ascii(hosts[0])}", "RFC 9112 §3.2")


def _check_length(headers: Headers) -> None:
    """RFC 9112 §6.3: 400 if the length of the body cannot be known, also for a request that gets no 101."""
    if "Transfer-Encoding" in headers:
        codings = headers.elements("Transfer-Encoding")
        if not codings or codings[-1].lower() != "chunked":
            received = quote_ascii(", ".join(codings))
            raise HTTPError(400, f"Transfer-Encoding must end with chunked, not {received}", "RFC 9112 §6.3")
    elif "Content-Length" in headers:
        lengths = headers.elements("Content-Length")
        if len(set(lengths)) != 1 or not re.fullmatch("[0-9]+", lengths[0]):
            received = quote_ascii(", ".join(lengths))
            raise HTTPError(400, f"Content-Length must be one number of bytes, not {received}", "RFC 9112 §6.3")


def build_request(request: Request) -> bytes:
    r"""Write a request's head.  Inverse: :func:`parse_request`.

    Raises:
        ValueError: A name or value that HTTP cannot carry.

    >>> build_request(Request("GET", "/", (1, 1), Headers([("Host", "example")])))
    b'GET / HTTP/1.1\r\nHost: example\r\n\r\n'
    """
    line = f"{request.method} {request.target} HTTP/{request.version[0]}.{request.version[1]}"
    if not REQUEST_LINE.fullmatch(line):
        raise ValueError(f"not a request line: {quote_ascii(line)}")
    return _build_head(line, request.headers)


def parse_response(data: bytes, start: int = 0, limits: Limits = Limits()) -> tuple[Response, int] | None:
    r"""Read one response's head from ``data[start:]``.  Inverse: :func:`build_response`.

    It does not read a body: a 101 has none.  It reports an invalid head as early as possible.

    Returns:
        ``(response, end)``, with ``end`` just past the head; None: more bytes are needed.
    Raises:
        HTTPError: 502: not an HTTP/1.1 response, or too large.
    Source:
        RFC 9112 §4, §5.

    >>> response, end = parse_response(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n")
    >>> response.status, response.headers.get("upgrade")
    (101, 'websocket')
    """
    end = data.find(b"\r\n\r\n", start)
    stop = len(data) if end < 0 else end + 4
    if stop - start > limits.max_head:
        raise HTTPError(502, f"the response's head is larger than {limits.max_head} bytes", "RFC 6585 §5")
    try:
        _refuse_stray_characters(data, start, stop)
        first, *lines = data[start : stop if end < 0 else end].split(b"\r\n")
        found = STATUS_LINE.fullmatch(first.decode("latin-1"))
        if found and found[1] == "0" and found[2] < "200":
            found = None  # RFC 9110 §15.2: HTTP/1.0 has no 1xx
        if not found and (end >= 0 or lines):  # the line is complete
            what = f"the first line must be 'HTTP/1.1 STATUS REASON', not {quote_ascii(first)}"
            raise HTTPError(502, what, "RFC 9112 §4")
        if found and end >= 0:
            return Response(int(found[2]), _parse_headers(lines, limits)), end + 4
        _check_header_count(lines[:-1], limits)
    except HTTPError as error:
        raise HTTPError(502, error.reason, error.section) from None
    if wrong := [line for line in lines if NO_HEADER.match(line)]:
        what = f"{quote_ascii(wrong[0])} begins no header line, and is not the empty line that ends a head"
        raise HTTPError(502, what, "RFC 9112 §2.1")
    return None


def build_response(response: Response) -> bytes:
    r"""Write a response.  Inverse: :func:`parse_response`.

    Raises:
        ValueError: A header name that is not a token, or a value with CR, LF, NUL or another
            control character: so an echoed value cannot smuggle a second header, or a second
            response, into this one.
    Source:
        RFC 9112 §4, RFC 9110 §5.5.

    >>> build_response(Response(204, Headers([("Server", "wsref")])))
    b'HTTP/1.1 204 No Content\r\nServer: wsref\r\n\r\n'
    """
    line = f"HTTP/1.1 {response.status} {reason_phrase(response.status)}"
    return _build_head(line, response.headers) + response.body


def reason_phrase(status: int) -> str:
    """Return the words after a status; "" if it has no name (RFC 9112 §4: they may be missing).

    >>> reason_phrase(426), reason_phrase(499)
    ('Upgrade Required', '')
    """
    if status == 414:
        return "URI Too Long"  # RFC 9110 renamed it; Python 3.11 has the name of 1999
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _build_head(first_line: str, headers: Headers) -> bytes:
    lines = [f"{name}: {value}" for name, value in headers]
    for line, (name, _) in zip(lines, headers, strict=True):
        found = HEADER_LINE.fullmatch(line)
        if not found or found[1] != name:  # a colon in the name would make it another name
            raise ValueError(f"not a header that HTTP can carry: {quote_ascii(line)}")
    return "\r\n".join([first_line, *lines, "", ""]).encode("latin-1")


def host_and_port(authority: str, default_port: int) -> tuple[str, int] | None:
    """Read ``"Example:8765"`` as ``("example", 8765)``; None if it is not a host and a port.

    >>> host_and_port("[::1]:80", 443), host_and_port("LocalHost", 80), host_and_port("a:b", 80)
    (('::1', 80), ('localhost', 80), None)
    """
    try:
        parts = urlsplit(f"//{authority}")
        return (parts.hostname or "", default_port if parts.port is None else parts.port)
    except ValueError:
        return None
