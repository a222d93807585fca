"""Chapters 2 to 5: a request to a 101, or to a refusal that says why.

This is where the article's code stands: is it an upgrade (:func:`wants_upgrade`)?
Is it a good one (:data:`RULES`, :func:`broken_rules`)?  Then
:func:`complete_upgrade`; else :func:`refusal` (the article's ``abortHandshake``), or,
for who is not here to upgrade at all, :func:`upgrade_required`: 426.

The rules are rows of one table.  The check, the text of a refusal, the tests and
the table in the documentation are these rows.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from typing import NamedTuple

from .errors import HTTPError, shown
from .http11 import TOKEN, Headers, Request, Response, host_and_port, reason_phrase
from .spec import GUID, KEY_BYTES, VERSIONS

# -- Chapter 2: upgrade detection ---------------------------------------------


def wants_upgrade(request: Request) -> bool:
    """Whether a request asks to switch protocols, to whichever.

    Node's ``server.on('upgrade')`` fires for the same requests, and for those in
    HTTP/1.0.  ``Connection`` and ``Upgrade`` are lists (Firefox sends ``keep-alive,
    Upgrade``), in any case, perhaps over several lines.

    Source:
        RFC 9110 §7.8: "A server that receives an Upgrade header field in an HTTP/1.0
        request MUST ignore that Upgrade field", and its sender MUST name it in Connection.
    """
    named = "upgrade" in (element.lower() for element in request.headers.elements("Connection"))
    return named and bool(request.headers.elements("Upgrade")) and request.version >= (1, 1)


# -- Chapter 3: validation ----------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that the RFC asks of an opening handshake.

    Attributes:
        name: To address it by.
        text: What is asked, as a sentence.
        section: Who asks.
        came_instead: Given a request, what breaks the rule; None if nothing does.
        status: Of the refusal.
        headers: What the refusal must carry.
    """

    name: str
    text: str
    section: str
    came_instead: Callable[[Request], str | None]
    status: int = 400
    headers: tuple[tuple[str, str], ...] = ()


def _unless(good: bool, came: str | list[str]) -> str | None:
    """What came, in words, unless it is good."""
    if good:
        return None
    if isinstance(came, str):
        return shown(came)
    if not came:
        return "none"
    return shown(came[0]) if len(came) == 1 else f"{len(came)} of them"


def _method(request: Request) -> str | None:
    return _unless(request.method == "GET", request.method)


def _upgrade(request: Request) -> str | None:
    offered = request.headers.elements("Upgrade")
    return _unless("websocket" in (name.lower() for name in offered), ", ".join(offered))


def _key(request: Request) -> str | None:
    keys = request.headers.lines("Sec-WebSocket-Key")
    return _unless(len(keys) == 1 and _is_key(keys[0]), keys)


def _is_key(key: str) -> bool:
    # The article checks for 24 characters; this implies it.
    return re.fullmatch(r"[+/0-9A-Za-z]{22}==", key) is not None


def _version(request: Request) -> str | None:
    versions = request.headers.lines("Sec-WebSocket-Version")
    return _unless(len(versions) == 1 and versions[0] in VERSIONS, versions)


def _protocols(request: Request) -> str | None:
    offered = request.headers.elements("Sec-WebSocket-Protocol")
    lines = request.headers.lines("Sec-WebSocket-Protocol")
    good = all(re.fullmatch(TOKEN, name) for name in offered) and len(set(offered)) == len(offered)
    return _unless(good and (not lines or bool(offered)), ", ".join(lines))


def _extensions(request: Request) -> str | None:
    try:
        parse_extensions(request.headers.get("Sec-WebSocket-Extensions"))
    except ValueError as error:
        return str(error)
    return None


def _body(request: Request) -> str | None:
    lengths = request.headers.lines("Content-Length")
    if "Transfer-Encoding" in request.headers:
        return "Transfer-Encoding"
    return _unless(set(lengths) <= {"0"}, f"Content-Length {', '.join(lengths)}")


#: What a handshake must be once it is one.  In the order of the article; the rules
#: that it does not name follow.
RULES: tuple[Rule, ...] = (
    Rule("method", "the method must be GET", "RFC 6455 §4.2.1", _method),
    Rule("upgrade", "the Upgrade header must name websocket", "RFC 6455 §4.2.1", _upgrade),
    Rule(
        "key",
        f"there must be one Sec-WebSocket-Key, {KEY_BYTES} bytes in base64: 24 characters, the last two '=='",
        "RFC 6455 §4.2.1",
        _key,
    ),
    Rule(
        "version",
        f"there must be one Sec-WebSocket-Version, {' or '.join(VERSIONS)}",
        "RFC 6455 §4.4",
        _version,
        headers=(("Sec-WebSocket-Version", ", ".join(VERSIONS)),),
    ),
    Rule(
        "protocol",
        "Sec-WebSocket-Protocol, if present, must be a list of different tokens",
        "RFC 6455 §4.1, §4.2.1",
        _protocols,
    ),
    Rule(
        "extensions",
        "Sec-WebSocket-Extensions, if present, must be a list of names with parameters",
        "RFC 6455 §9.1",
        _extensions,
    ),
    Rule(
        "body",
        "a handshake must have no body: its bytes would be taken for frames",
        "RFC 9112 §6.3",
        _body,
    ),
)


def broken_rules(request: Request, rules: Sequence[Rule] = RULES) -> list[tuple[Rule, str]]:
    """Every rule that a request breaks, each with what came instead.

    >>> request = Request("POST", "/", (1, 1), Headers([("Upgrade", "websocket")]))
    >>> for rule, came in broken_rules(request):
    ...     print(rule.name, "-", came)
    method - 'POST'
    key - none
    version - none
    """
    pairs = ((rule, rule.came_instead(request)) for rule in rules)
    return [(rule, came) for rule, came in pairs if came is not None]


def validate(request: Request) -> None:
    """Chapter 3's question: is this upgrade one to a WebSocket, and a good one?

    Raises:
        HTTPError: with every rule that is broken, not only the first.
    """
    broken = broken_rules(request)
    if broken:
        reason = "\n".join(f"{rule.text}; got {came} ({rule.section})" for rule, came in broken)
        headers = tuple(header for rule, _ in broken for header in rule.headers)
        raise HTTPError(max(rule.status for rule, _ in broken), reason, headers=headers)


# -- Chapter 9: extensions ------------------------------------------------------


class Extension(NamedTuple):
    """One element of Sec-WebSocket-Extensions: something offered, or accepted."""

    name: str
    parameters: tuple[tuple[str, str | None], ...]  # each with its value, if it has one


#: The words of the grammar: a token, a quoted string, or a separator.
_WORD = re.compile(rf'({TOKEN}|"(?:[^"\\]|\\.)*"|[,;=])[ \t]*')


def parse_extensions(value: str | None) -> list[Extension]:
    """Read Sec-WebSocket-Extensions, all its lines joined with commas.

    Args:
        value: None if there is no such header.
    Returns:
        The elements in order: the client's preference comes first.
    Raises:
        ValueError: it does not follow the grammar; says where.
    Cost:
        Linear in the value's length, whatever it is.
    Source:
        RFC 6455 §9.1.

    >>> parse_extensions('foo, permessage-deflate; client_max_window_bits; server_max_window_bits="10"')
    ... # doctest: +NORMALIZE_WHITESPACE
    [Extension(name='foo', parameters=()),
     Extension(name='permessage-deflate',
               parameters=(('client_max_window_bits', None), ('server_max_window_bits', '10')))]
    >>> parse_extensions("foo; =1")
    Traceback (most recent call last):
        ...
    ValueError: neither a name nor name=value: '=1'
    """
    extensions = []
    for element in _split(_words(value or ""), ","):
        if element:  # RFC 9110 §5.6.1.2: empty ones are ignored
            first, *parameters = _split(element, ";")
            name, value_of_name = _name_and_value(first)
            if value_of_name is not None:
                raise ValueError(f"an extension's name has no value: {shown(''.join(first))}")
            extensions.append(Extension(name, tuple(_name_and_value(part) for part in parameters)))
    if value is not None and not extensions:
        raise ValueError("an empty list")
    return extensions


def _words(value: str) -> list[str]:
    words, at = [], len(value) - len(value.lstrip(" \t"))
    while at < len(value):
        found = _WORD.match(value, at)
        if not found:
            raise ValueError(f"neither a word nor a separator: {shown(value[at:])}")
        words.append(found[1])
        at = found.end()
    return words


def _split(words: list[str], separator: str) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    for word in words:
        if word == separator:
            parts.append([])
        else:
            parts[-1].append(word)
    return parts


def _name_and_value(words: list[str]) -> tuple[str, str | None]:
    """§9.1: "the value after quoted-string unescaping MUST conform to the 'token' ABNF"."""
    match words:
        case [name]:
            value = None
        case [name, "=", value]:
            if value.startswith('"'):
                value = re.sub(r"\\(.)", r"\1", value[1:-1])
        case _:
            name = value = ""
    if not all(re.fullmatch(TOKEN, word) for word in (name, value) if word is not None):
        raise ValueError(f"neither a name nor name=value: {shown(''.join(words))}")
    return name, value


# -- Chapter 11: who may come from where ----------------------------------------


def origin_of(request: Request) -> str | None:
    """Where the page comes from that opens this WebSocket; None: no browser, no page.

    §4.1 item 8: a browser MUST send it.  Version 8 calls it ``Sec-WebSocket-Origin``
    (draft-ietf-hybi-thewebsocketprotocol-10 §1.3).
    """
    old = request.headers.get("Sec-WebSocket-Version") == "8"
    origin = request.headers.get("Sec-WebSocket-Origin") if old else None
    return origin if origin is not None else request.headers.get("Origin")


def check_origin(request: Request, *, allowed: Collection[str] = (), secure: bool, loopback: bool) -> None:
    """Refuse a page from elsewhere: it could act with its visitor's cookies (§10.2).

    Browsers let any page open a WebSocket to any server, and tell the server which
    page it was.  What is let in: no origin (not a browser), an origin in ``allowed``,
    and pages from this very server.  To a server bound to loopback "this very server"
    is any loopback address on any port, for the learner whose own page comes from
    another port; and no other name, for a name that is the attacker's may be made to
    point to 127.0.0.1 (DNS rebinding), and would agree with the Host header.

    Args:
        allowed: Origins as browsers write them, ``https://example.com``, or ``null``;
            ``*`` allows all.
        secure: Whether the connection came over TLS.
        loopback: Whether the server is bound to a loopback address.
    Raises:
        HTTPError: 403, with the origin that came and the flag that would let it in.
    """
    origin = origin_of(request)
    if origin is None or origin in allowed or "*" in allowed:
        return
    if loopback:
        hosts = (_host_of(origin), host_and_port(request.host, 80))
        if all(pair and is_loopback(pair[0]) for pair in hosts):
            return
    elif _is_same_origin(origin, request, secure):
        return
    reason = f"pages from origin {shown(origin, 100)} may not connect here"
    if origin == "null":
        reason += " (null is what a page has that was opened as a file)"
    if _is_origin(origin) and len(origin) <= 100:
        reason += f"; to let it in: --allow-origin {origin} (in a program: allowed_origins)"
    raise HTTPError(403, reason, "RFC 6455 §10.2")


def _is_origin(origin: str) -> bool:
    """RFC 6454 §6.2: scheme, host and perhaps a port; or null."""
    return re.fullmatch(r"null|[a-z][a-z0-9+.\-]*://[a-z0-9.\-_\[\]:]+", origin) is not None


def _host_of(origin: str) -> tuple[str, int] | None:
    """Host and port of an origin of the web, exactly as a browser writes it; else None."""
    if not _is_origin(origin) or not origin.startswith(("http://", "https://")):
        return None
    scheme, _, authority = origin.partition("://")
    return host_and_port(authority, 443 if scheme == "https" else 80)


def _is_same_origin(origin: str, request: Request, secure: bool) -> bool:
    """RFC 6454 §5: the same scheme, host and port."""
    scheme, port = ("https", 443) if secure else ("http", 80)
    ours = host_and_port(request.host, port)
    return origin.startswith(scheme + "://") and ours is not None and _host_of(origin) == ours


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this very machine.

    >>> [is_loopback(host) for host in ("localhost", "127.8.9.1", "::1", "example.com", "127.0.0.1.evil.com")]
    [True, True, True, False, False]
    """
    if host == "localhost" or host.endswith(".localhost"):  # RFC 6761 §6.3
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


# -- Chapter 4: complete_upgrade ------------------------------------------------


def accept_key(key: str) -> str:
    """The answer to a key: base64(SHA-1(key + GUID)).  RFC 6455 §4.2.2.

    It proves that whoever answers speaks WebSocket, and is no cache or form handler
    that was tricked into it.  It authenticates nobody and keeps nothing secret.

    >>> accept_key("dGhlIHNhbXBsZSBub25jZQ==")  # §1.3
    's3pPLMBiTxaQ9kYGzzhZRbK+xOo='
    """
    digest = hashlib.sha1((key + GUID).encode(), usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()


def choose_subprotocol(request: Request, supported: Iterable[str]) -> str | None:
    """The first of ours that the client offers too; None: go on without one.

    §4.2.2: the value chosen "MUST be derived from the client's handshake".

    >>> offer = Request("GET", "/", (1, 1), Headers([("Sec-WebSocket-Protocol", "soap, chat")]))
    >>> choose_subprotocol(offer, ("chat", "superchat"))
    'chat'
    """
    offered = request.headers.elements("Sec-WebSocket-Protocol")
    return next((name for name in supported if name in offered), None)


def complete_upgrade(request: Request, subprotocol: str | None = None, extensions: str | None = None) -> Response:
    r"""Accept: the 101 after which the connection speaks WebSocket.

    Args:
        request: One that :func:`validate` let pass.
        subprotocol: One that the client offered, or None.
        extensions: What was agreed, as Sec-WebSocket-Extensions says it, or None.
    Raises:
        ValueError: the subprotocol was not offered.
    Source:
        RFC 6455 §4.2.2; RFC 9110 §7.8 (a 101 has an Upgrade header).

    >>> from wsref.protocol.http11 import build_response
    >>> request = Request("GET", "/", (1, 1), Headers([("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")]))
    >>> print(build_response(complete_upgrade(request)).decode().replace("\r", ""))
    HTTP/1.1 101 Switching Protocols
    Upgrade: websocket
    Connection: Upgrade
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=
    <BLANKLINE>
    <BLANKLINE>
    """
    (key,) = request.headers.lines("Sec-WebSocket-Key")
    headers = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept_key(key))]
    if subprotocol is not None:
        if subprotocol not in request.headers.elements("Sec-WebSocket-Protocol"):
            raise ValueError(f"subprotocol {subprotocol!r} was not offered by the client (RFC 6455 §4.2.2)")
        headers.append(("Sec-WebSocket-Protocol", subprotocol))
    if extensions is not None:
        headers.append(("Sec-WebSocket-Extensions", extensions))
    return Response(101, Headers(headers))


# -- Chapters 3 and 5: answers that are no 101 ----------------------------------


def answer(
    status: int, body: bytes, content_type: str = "text/plain; charset=utf-8", headers: Iterable[tuple[str, str]] = ()
) -> Response:
    """A response after which we hang up: one request per connection, and this was it.

    RFC 9112 §9.6: ``Connection: close``.  RFC 9110 §6.6.1: a Date.  A 426 keeps its
    connection option ``upgrade`` beside ``close``.
    """
    headers = tuple(headers)
    upgrade = any(name == "Upgrade" for name, _ in headers)
    fields = [
        ("Date", formatdate(usegmt=True)),
        *headers,
        ("Connection", "Upgrade, close" if upgrade else "close"),
        ("Content-Type", content_type),
        ("Content-Length", str(len(body))),
        ("X-Content-Type-Options", "nosniff"),
        ("Cache-Control", "no-store"),
    ]
    return Response(status, Headers(fields), body)


def refusal(error: HTTPError) -> Response:
    """Refuse: the article's ``abortHandshake``, and the reasons in the body.

    A browser does not show it to the page's script, which sees code 1006 and nothing
    else; curl and the developer tools do.
    """
    lines = str(error).split("\n")
    text = f"{error.status} {reason_phrase(error.status)}\n\n" + "".join(f"- {line}\n" for line in lines)
    return answer(error.status, text.encode(), headers=error.headers)


def upgrade_required(request: Request, page: bytes = b"", address: str = "") -> Response:
    """Chapter 5, for everybody else: 426, this is a service you must upgrade to.

    RFC 9110 §15.5.22: "The server MUST send an Upgrade header field in a 426".  The
    body says how: in plain text, or, to a client that would rather have HTML, with a
    page whose script does it.

    Args:
        request: One that :func:`wants_upgrade` did not take.
        page: HTML.  b"": there is none.
        address: ``ws://host:port/path`` of this server, for the text.
    """
    headers = [("Upgrade", "websocket"), ("Vary", "Accept")]
    if page and prefers_html(request):
        return answer(426, page, "text/html; charset=utf-8", headers)
    text = (
        "426 Upgrade Required\n\n"
        "This is a WebSocket server, and that was a plain HTTP request.\n"
        "Nothing is broken: open a WebSocket instead, as in a browser's console:\n\n"
        f'    new WebSocket("{address}")\n'
    )
    if page:
        text += "\nA browser that opens this address gets a page that does it.\n"
    return answer(426, text.encode(), headers=headers)


def prefers_html(request: Request) -> bool:
    """Whether the Accept header puts text/html above text/plain (RFC 9110 §12.5.1).

    ``*/*``, which is all that curl says, does not.

    >>> browser = Request("GET", "/", (1, 1), Headers([("Accept", "text/html,*/*;q=0.8")]))
    >>> prefers_html(browser)
    True
    """
    weights: dict[str, float] = {}
    for element in request.headers.elements("Accept"):
        media, *parameters = (part.strip() for part in element.lower().split(";"))
        weight = next((part[2:] for part in parameters if part.startswith("q=")), "1")
        if re.fullmatch(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?", weight):
            weights[media] = float(weight)

    def rank(media: str) -> float:  # the most specific range that the media type is in counts
        return next((weights[name] for name in (media, "text/*", "*/*") if name in weights), 0.0)

    return rank("text/html") > rank("text/plain")
