"""The heads of the opening handshake: each line, every broken rule, and how the key becomes the answer."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from ..protocol.client_handshake import RESPONSE_RULES
from ..protocol.deflate import NAME, DeflateParameters, read_parameters
from ..protocol.errors import HTTPError
from ..protocol.extensions import parse_extensions
from ..protocol.handshake import RULES, accept_key, unless, violations, wants_upgrade
from ..protocol.http11 import Headers, Request, Response, find_end_of_head, parse_head, parse_response, reason_phrase
from ..protocol.limits import Limits
from ..protocol.spec import GUID, CloseCode
from .description import Description
from .parts import FIRST, LAST, Field, Payload, Problem, Step
from .words import count, quote_unicode

_HEADER_MEANINGS = {
    "host": ("the server that the request is for", "RFC 9112 §3.2"),
    "connection": ("names the headers that are for the next hop only; 'upgrade' among them", "RFC 9110 §7.6.1"),
    "upgrade": ("the protocol to continue with on this connection", "RFC 9110 §7.8"),
    "origin": ("the site whose page opens this WebSocket; only browsers must send it", "RFC 6455 §10.2"),
    "sec-websocket-key": (
        "16 random bytes in base64; the answer shows that the server speaks WebSocket",
        "RFC 6455 §4.1",
    ),
    "sec-websocket-version": ("the version of the protocol; RFC 6455 defines 13", "RFC 6455 §4.4"),
    "sec-websocket-protocol": ("subprotocols: how the messages are to be read", "RFC 6455 §1.9"),
    "sec-websocket-extensions": ("extensions, such as compression", "RFC 6455 §9.1"),
    "sec-websocket-accept": ("the answer to the key: base64(SHA-1(key + GUID))", "RFC 6455 §4.2.2"),
    "cookie": ("the values that the server asked the browser to send back", "RFC 6265 §4.2"),
    "user-agent": ("the client's program, by its own account", "RFC 9110 §10.1.5"),
    "content-length": ("bytes of body that follow", "RFC 9110 §8.6"),
    "content-type": ("the format of the body", "RFC 9110 §8.3"),
    "date": ("when the response was made", "RFC 9110 §6.6.1"),
    "server": ("the server's program, by its own account", "RFC 9110 §10.2.4"),
    "location": ("where to go instead; browsers' WebSockets do not follow it", "RFC 9110 §10.2.2"),
}

#: The field that each rule of :data:`~wsref.protocol.handshake.RULES` is about, in lower case.
REQUEST_RULE_FIELDS = {
    "method": "request line",
    "upgrade": "upgrade",
    "key": "sec-websocket-key",
    "version": "sec-websocket-version",
    "protocol": "sec-websocket-protocol",
    "extensions": "sec-websocket-extensions",
    "body": "content-length",
}

#: The same for :data:`~wsref.protocol.client_handshake.RESPONSE_RULES`.
RESPONSE_RULE_FIELDS = {
    "status": "status line",
    "upgrade": "upgrade",
    "connection": "connection",
    "accept": "sec-websocket-accept",
    "extensions": "sec-websocket-extensions",
    "protocol": "sec-websocket-protocol",
}


@dataclass(slots=True)
class _Head:
    """An HTTP head while it is being described."""

    kind: str  # "request" or "response"
    raw: bytes
    complete: bool
    title: str
    fields: list[Field] = field(default_factory=list)
    payload: Payload | None = None
    steps: list[Step] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def fields_named(self, *names: str) -> tuple[str, ...]:
        """Return those of these names (in lower case) that the head has, as it writes them."""
        return tuple(field.name for field in self.fields if field.name.lower() in names)

    def describe(self) -> Description:
        line = self.fields[0].value if self.fields else ""
        if self.problems:
            more = f" and {len(self.problems) - 1} more" if len(self.problems) > 1 else ""
            line += f"; WRONG: {self.problems[0].text} ({self.problems[0].section}){more}"
        missing = "" if self.complete or self.problems else "the rest of the head; an empty line ends it"
        if missing:
            line += ", the head is not complete"
        return Description(
            kind=self.kind,
            title=f"{self.title}: {count(len(self.raw), 'byte')}",
            one_line=line,
            start=0,
            raw=self.raw,
            fields=tuple(self.fields),
            payload=self.payload,
            steps=tuple(self.steps),
            problems=tuple(self.problems),
            notes=tuple(self.notes),
            missing=missing,
            missing_bytes=1 if missing else 0,
        )


def _cut_head(data: bytes, kind: str) -> _Head:
    """Cut off the head, at most as many bytes as a head may have, and read its lines."""
    end = data.find(b"\r\n\r\n", 2 if data.startswith(b"\r\n") else 0)
    raw = data[: end + 4] if end >= 0 else data[: Limits().max_head + 1]
    return _Head(kind, raw, end >= 0, f"HTTP {kind}", list(_fields(raw, kind)))


def _fields(raw: bytes, kind: str) -> Iterator[Field]:
    """Yield a field for each line of a head."""
    at = len(raw) - len(raw.removeprefix(b"\r\n"))
    for number, line in enumerate(raw.removeprefix(b"\r\n").removesuffix(b"\r\n\r\n").split(b"\r\n")):
        name, colon, value = line.partition(b":")
        place = (at * 8, len(line) * 8, line.hex(" "))
        if number == 0 and kind == "request":
            yield Field("request line", *place, _unquoted(line), "method, target and version", "RFC 9112 §3")
        elif number == 0:
            yield Field("status line", *place, _unquoted(line), "version, status and its name", "RFC 9112 §4")
        elif colon:
            meaning, section = _HEADER_MEANINGS.get(name.decode("latin-1").lower(), ("", ""))
            yield Field(_unquoted(name), *place, _unquoted(value.strip(b" \t")), meaning, section)
        elif line:
            yield Field("line", *place, _unquoted(line), "", "")
        at += len(line) + 2


def _unquoted(received: bytes, limit: int = 200) -> str:
    """Return printable ASCII as it is, and everything else quoted."""
    text = received.decode("latin-1")
    return text if text.isascii() and text.isprintable() and len(text) <= limit else quote_unicode(received, limit)


# -- The request ----------------------------------------------------------------------


def explain_request(data: bytes) -> Description:
    r"""Describe a client's opening handshake, or any other HTTP request.

    Args:
        data: Its head, or the beginning of it; bytes after the head are ignored.

    >>> request = explain_request(b"GET / HTTP/1.1\r\nHost: example\r\n\r\n")
    >>> request.one_line, request.notes[0]
    ('GET / HTTP/1.1', 'a plain HTTP request, no upgrade: a WebSocket server answers 426 (RFC 9110 §15.5.22)')
    """
    head = _cut_head(data, "request")
    try:
        find_end_of_head(head.raw)
        if head.complete:
            _judge_request(head, parse_head(head.raw))
    except HTTPError as error:
        head.problems.append(Problem(error.reason, error.section, error.status))
    return head.describe()


def _judge_request(head: _Head, request: Request) -> None:
    if wants_upgrade(request):
        head.title = "opening handshake, the client's request"
        broken = violations(RULES, request)
        for rule, received in broken:
            fields = head.fields_named(REQUEST_RULE_FIELDS[rule.name])
            head.problems.append(Problem(f"{rule.text}; received {received}", rule.section, rule.status, fields))
        if not any(rule.name == "key" for rule, _ in broken):
            head.steps = key_steps(request.headers.lines("Sec-WebSocket-Key")[0])
    elif any(name.lower().startswith("sec-websocket-") for name, _ in request.headers):
        words = "it has Sec-WebSocket headers, and does not ask for an upgrade: over HTTP/1.1, Connection must name "
        words += "'upgrade' and Upgrade 'websocket' (a proxy on the way may have removed them)"
        head.problems.append(Problem(words, "RFC 6455 §4.2.1", 426, head.fields_named("connection", "upgrade")))
    else:
        head.notes.append("a plain HTTP request, no upgrade: a WebSocket server answers 426 (RFC 9110 §15.5.22)")


def key_steps(key: str) -> list[Step]:
    """Return how a key becomes its answer, step by step.  RFC 6455 §4.2.2.

    >>> key_steps("dGhlIHNhbXBsZSBub25jZQ==")[-1].value  # §1.3
    's3pPLMBiTxaQ9kYGzzhZRbK+xOo='
    """
    joined = (key + GUID).encode()
    digest = hashlib.sha1(joined, usedforsecurity=False).digest()
    text = "the key as text, not the bytes that it encodes, and the GUID"
    return [
        Step("key + GUID", _unquoted(joined), text, "RFC 6455 §1.3"),
        Step("SHA-1", digest.hex(" "), f"{len(digest)} bytes", "RFC 6455 §4.2.2"),
        Step("base64", base64.b64encode(digest).decode(), "the right Sec-WebSocket-Accept", "RFC 6455 §4.2.2"),
    ]


# -- The response ---------------------------------------------------------------------


def explain_response(data: bytes, key: str | None = None) -> Description:
    r"""Describe a server's response to an opening handshake.

    Args:
        data: Its head and the received bytes of its body, or the beginning of a head.
        key: The Sec-WebSocket-Key that it answers; None: not known.

    >>> wire = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    >>> wire += b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
    >>> for step in explain_response(wire, "dGhlIHNhbXBsZSBub25jZQ==").steps:  # §1.3
    ...     print(step.name, step.value)
    key + GUID dGhlIHNhbXBsZSBub25jZQ==258EAFA5-E914-47DA-95CA-C5AB0DC85B11
    SHA-1 b3 7a 4f 2c c0 62 4f 16 90 f6 46 06 cf 38 59 45 b2 be c4 ea
    base64 s3pPLMBiTxaQ9kYGzzhZRbK+xOo=
    Sec-WebSocket-Accept s3pPLMBiTxaQ9kYGzzhZRbK+xOo=
    """
    head = _cut_head(data, "response")
    try:
        parsed = parse_response(head.raw)
    except HTTPError as error:
        head.problems.append(Problem(error.reason, error.section or "RFC 9112 §4", int(CloseCode.ABNORMAL)))
        parsed = None
    if parsed is not None:
        response, end = parsed
        if response.status == 101:
            head.title = "opening handshake, the server's answer"
            head.problems += _response_problems(head, response, key)
            head.steps = _accept_steps(response, key)
        else:
            _judge_refusal(head, response, data[end:])
    return head.describe()


def _response_problems(head: _Head, response: Response, key: str | None) -> Iterator[Problem]:
    """Yield the client's rules that a 101 breaks, as far as they can be checked without the request.

    Without the key, any one Sec-WebSocket-Accept passes; the client's offers are unknown.
    """
    headers = response.headers
    accepts = headers.lines("Sec-WebSocket-Accept")
    for rule in RESPONSE_RULES:
        received: str | None
        if rule.name == "accept":
            expected = accepts[:1] if key is None else [accept_key(key)]
            received = unless(len(accepts) == 1 and accepts == expected, accepts)
        elif rule.name == "extensions":
            received = _extension_error(headers)
        elif rule.name == "protocol":
            received = None
        else:
            received = rule.violation(None, response)
        if received is not None:
            fields = head.fields_named(RESPONSE_RULE_FIELDS[rule.name])
            section = rule.section.partition(" item")[0]
            yield Problem(f"{rule.text}; received {received}", section, int(CloseCode.ABNORMAL), fields)


def _extension_error(headers: Headers) -> str | None:
    try:
        negotiated(headers)
    except ValueError as error:
        return str(error)
    return None


def _accept_steps(response: Response, key: str | None) -> list[Step]:
    accepts = response.headers.lines("Sec-WebSocket-Accept")
    if not accepts:
        return []
    value = quote_unicode(accepts[0])[1:-1]
    if key is None:
        unknown = "whether it answers the key is unknown without the request (--key)"
        return [Step("Sec-WebSocket-Accept", value, unknown, "RFC 6455 §4.1")]
    right = accepts[0] == accept_key(key)
    verdict = (
        "right: this server read the request, and speaks WebSocket" if right else "wrong: it does not answer the key"
    )
    return [*key_steps(key), Step("Sec-WebSocket-Accept", value, verdict, "RFC 6455 §4.1")]


def _judge_refusal(head: _Head, response: Response, body: bytes) -> None:
    status = f"{response.status} {reason_phrase(response.status)}".rstrip()
    head.notes.append(f"{status} is not a 101: the connection stays HTTP; a browser's page sees 1006 and nothing else")
    head.notes.append(
        "read as a frame, its first bytes, 48 54 54 50, are a CLOSE with RSV1 set: "
        "a client that reports one has received HTTP"
    )
    if response.status == 426 and "Upgrade" not in response.headers:
        text = "a 426 must have an Upgrade header"
        head.problems.append(Problem(text, "RFC 9110 §15.5.22", int(CloseCode.ABNORMAL)))
    options = [option.lower() for option in response.headers.elements("Connection")]
    if "Upgrade" in response.headers and "upgrade" not in options:
        text = "an Upgrade header must be named in Connection"
        fields = head.fields_named("upgrade", "connection")
        head.problems.append(Problem(text, "RFC 9110 §7.8", int(CloseCode.ABNORMAL), fields))
    if body:
        first, last = (body, b"") if len(body) <= FIRST + LAST else (body[:FIRST], body[-LAST:])
        head.payload = Payload(len(body), len(body), b"", first, first, last, last)


def negotiated(headers: Headers) -> DeflateParameters | None:
    """Return the parameters of permessage-deflate in the headers of a 101; None: it is not used.

    Raises:
        ValueError: An extension breaks the grammar, or a parameter does not exist.

    >>> negotiated(Headers([("Sec-WebSocket-Extensions", "permessage-deflate; server_max_window_bits=10")]))
    ... # doctest: +NORMALIZE_WHITESPACE
    DeflateParameters(server_no_context_takeover=False, client_no_context_takeover=False,
              server_max_window_bits=10, client_max_window_bits=15)
    """
    for extension in parse_extensions(headers.get("Sec-WebSocket-Extensions")):
        if extension.name == NAME:
            values = read_parameters(extension.parameters, response=True)
            return DeflateParameters(
                server_no_context_takeover="server_no_context_takeover" in values,
                client_no_context_takeover="client_no_context_takeover" in values,
                server_max_window_bits=values.get("server_max_window_bits", 15),
                client_max_window_bits=values.get("client_max_window_bits", 15),
            )
    return None
