"""Chapters 2 to 5: a request to a 101, or to a refusal that says why.

The order is that of the article from which the book begins: is the request an upgrade (:func:`wants_upgrade`)?  Is it
a valid one (:data:`RULES`, :func:`validate`)?  Then :func:`complete_upgrade`; else
:func:`refusal` (the article's ``abortHandshake``).  A request that is not an upgrade gets
426, :func:`upgrade_required`.

The rules are rows of one table.  The check, the text of a refusal, the tests and the
documentation use these rows.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from email.utils import formatdate

from .errors import HTTPError, quote_ascii
from .extensions import parse_extensions
from .http11 import Headers, Request, Response, reason_phrase
from .spec import GUID, KEY_BYTES, TOKEN, VERSIONS

# -- Chapter 2: upgrade detection ---------------------------------------------


def wants_upgrade(request: Request) -> bool:
    """Whether a request asks to switch protocols, to any protocol.

    Node's ``server.on('upgrade')`` fires for the same requests, and for those in
    HTTP/1.0.  ``Connection`` and ``Upgrade`` are lists (Firefox sends ``keep-alive,
    Upgrade``), in any case, perhaps over several lines.

    Source:
        RFC 9110 §7.8: "A server that receives an Upgrade header field in an HTTP/1.0
        request MUST ignore that Upgrade field".  The sender MUST also name it in Connection.
    """
    named = "upgrade" in (element.lower() for element in request.headers.elements("Connection"))
    return named and bool(request.headers.elements("Upgrade")) and request.version >= (1, 1)


# -- Chapter 3: validation ----------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rule:
    """One requirement of an opening handshake, on the request or on the response.

    Attributes:
        name: A short name, for tests and tables.
        text: The requirement, as a sentence.
        section: Where it is written.
        violation: Given the request (and the response, for a rule on the response): what
            breaks the rule, in words; None if nothing does.
        status: Of the refusal.
        headers: Headers that the refusal must carry.
    """

    name: str
    text: str
    section: str
    violation: Callable[..., str | None]
    status: int = 400
    headers: tuple[tuple[str, str], ...] = ()


def violations(rules: Iterable[Rule], *heads: Request | Response) -> list[tuple[Rule, str]]:
    """Return every rule that is broken, each with what was received instead.

    Args:
        rules: :data:`RULES` or :data:`~wsref.protocol.client_handshake.RESPONSE_RULES`.
        heads: What the rules are about: the request, or the request and the response.

    >>> request = Request("POST", "/", (1, 1), Headers([("Upgrade", "websocket")]))
    >>> for rule, received in violations(RULES, request):
    ...     print(rule.name, "-", received)
    method - 'POST'
    key - nothing
    version - nothing
    """
    pairs = ((rule, rule.violation(*heads)) for rule in rules)
    return [(rule, received) for rule, received in pairs if received is not None]


def describe_violations(broken: Iterable[tuple[Rule, str]]) -> list[str]:
    """Each broken rule as one line: the rule, what was received, the section."""
    return [f"{rule.text}; received {received} ({rule.section})" for rule, received in broken]


def unless(valid: bool, received: list[str]) -> str | None:
    """The received values, quoted; None if they are valid."""
    if valid:
        return None
    return quote_ascii(", ".join(received)) if received else "nothing"


def _method(request: Request) -> str | None:
    return unless(request.method == "GET", [request.method])


def _upgrade(request: Request) -> str | None:
    offered = request.headers.elements("Upgrade")
    return unless("websocket" in (name.lower() for name in offered), offered)


def _key(request: Request) -> str | None:
    keys = request.headers.lines("Sec-WebSocket-Key")
    # The article checks for 24 characters; this pattern implies it.
    return unless(len(keys) == 1 and re.fullmatch(r"[+/0-9A-Za-z]{22}==", keys[0]) is not None, keys)


def _version(request: Request) -> str | None:
    versions = request.headers.lines("Sec-WebSocket-Version")
    return unless(len(versions) == 1 and versions[0] in VERSIONS, versions)


def _protocols(request: Request) -> str | None:
    offered = request.headers.elements("Sec-WebSocket-Protocol")
    lines = request.headers.lines("Sec-WebSocket-Protocol")
    valid = all(re.fullmatch(TOKEN, name) for name in offered) and len(set(offered)) == len(offered)
    return unless(valid and (not lines or bool(offered)), lines)


def _extensions(request: Request) -> str | None:
    try:
        parse_extensions(request.headers.get("Sec-WebSocket-Extensions"))
    except ValueError as error:
        return str(error)
    return None


def _body(request: Request) -> str | None:
    if "Transfer-Encoding" in request.headers:
        return "Transfer-Encoding"
    lengths = request.headers.lines("Content-Length")
    return None if set(lengths) <= {"0"} else f"Content-Length {quote_ascii(', '.join(lengths))}"


#: What an upgrade must be to be accepted.  In the order of the article; the rules that it
#: does not name follow.
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
        "a handshake must have no body: its bytes would be read as frames",
        "RFC 9112 §6.3",
        _body,
    ),
)


def validate(request: Request) -> None:
    """Chapter 3's question: is this upgrade a valid one, to WebSocket?

    Raises:
        HTTPError: With every broken rule, not only the first.
    """
    if broken := violations(RULES, request):
        headers = tuple(header for rule, _ in broken for header in rule.headers)
        raise HTTPError(max(rule.status for rule, _ in broken), "\n".join(describe_violations(broken)), headers=headers)


# -- Chapter 4: complete_upgrade ------------------------------------------------


def accept_key(key: str) -> str:
    """Return the answer to a key: base64(SHA-1(key + GUID)).  RFC 6455 §4.2.2.

    It proves that the server speaks WebSocket, and is not a cache or a form handler that
    was tricked into answering.  It authenticates nothing and keeps nothing secret.

    >>> accept_key("dGhlIHNhbXBsZSBub25jZQ==")  # §1.3
    's3pPLMBiTxaQ9kYGzzhZRbK+xOo='
    """
    digest = hashlib.sha1((key + GUID).encode(), usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()


def choose_subprotocol(request: Request, supported: Iterable[str]) -> str | None:
    """Return the first supported subprotocol that the client offers; None: go on without one.

    §4.2.2: the value chosen "MUST be derived from the client's handshake".

    >>> offer = Request("GET", "/", (1, 1), Headers([("Sec-WebSocket-Protocol", "soap, chat")]))
    >>> choose_subprotocol(offer, ("chat", "superchat"))
    'chat'
    """
    offered = request.headers.elements("Sec-WebSocket-Protocol")
    return next((name for name in supported if name in offered), None)


def complete_upgrade(request: Request, subprotocol: str | None = None, extensions: str | None = None) -> Response:
    r"""Accept: build the 101 after which the connection speaks WebSocket.

    Args:
        request: A request that :func:`validate` accepted.
        subprotocol: One that the client offered, or None.
        extensions: The value of Sec-WebSocket-Extensions, or None.
    Raises:
        ValueError: The client did not offer the subprotocol.
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
            raise ValueError(f"the client did not offer the subprotocol {subprotocol!r} (RFC 6455 §4.2.2)")
        headers.append(("Sec-WebSocket-Protocol", subprotocol))
    if extensions is not None:
        headers.append(("Sec-WebSocket-Extensions", extensions))
    return Response(101, Headers(headers))


# -- Chapters 3 and 5: answers other than 101 -----------------------------------


def answer(
    status: int, body: bytes, content_type: str = "text/plain; charset=utf-8", headers: Iterable[tuple[str, str]] = ()
) -> Response:
    """Build a response after which the server closes: it serves one request per connection.

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
    """Refuse: the article's ``abortHandshake``, with the reasons in the body.

    A browser does not show the body to the page's script, which sees close code 1006 and
    nothing else; curl and the developer tools do.
    """
    lines = str(error).split("\n")
    text = f"{error.status} {reason_phrase(error.status)}\n\n" + "".join(f"- {line}\n" for line in lines)
    return answer(error.status, text.encode(), headers=error.headers)


def upgrade_required(request: Request, page: bytes = b"", address: str = "") -> Response:
    """Chapter 5, for every other request: 426, this service needs an upgrade.

    RFC 9110 §15.5.22: "The server MUST send an Upgrade header field in a 426".  The
    body says how: in plain text, or, to a client that prefers HTML, with a page whose
    script opens a WebSocket.

    Args:
        request: A request that is not an upgrade (:func:`wants_upgrade`).
        page: HTML; b"" for none.
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
    """Whether the Accept header prefers text/html to text/plain (RFC 9110 §12.5.1).

    ``*/*``, which is all that curl sends, does not.

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

    def weight_of(media: str) -> float:  # the most specific range that matches decides
        return next((weights[name] for name in (media, "text/*", "*/*") if name in weights), 0.0)

    return weight_of("text/html") > weight_of("text/plain")
