"""Chapters 1 to 3: the client's request, which each case judges after an ordinary 101."""

from __future__ import annotations

import base64
import binascii
import itertools
import re
from collections.abc import Callable

from ..case import Play
from ..verdict import Failed, Skipped
from .plays import MUST, SHOULD, ClientRule, client_cases_of, request
from .session import Client

#: Returns what is wrong with a request, in words; "": nothing.
Judge = Callable[[Client], str]

TCHAR = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
TOKEN = rf"{TCHAR}+"


def _number(client: Client, name: str) -> str:
    lines = client.request.lines(name)
    return "" if len(lines) == 1 else f"{len(lines)} header lines {name}"


def _version(client: Client) -> str:
    found = re.fullmatch(r"HTTP/([0-9])\.([0-9])", client.request.version)
    good = found and (int(found[1]), int(found[2])) >= (1, 1)
    return "" if good else f"the version {client.request.version!r}"


def _faults(part: str) -> Judge:
    return lambda client: "; ".join(fault for fault in client.request.faults if part in fault)


#: A name, an IPv6 address, perhaps with a zone, or an address of the future; then perhaps a port.  RFC 3986 §3.2.2
#: and RFC 6874 §2.
HOST = re.compile(
    r"""([0-9A-Za-z\-._~%!$&'()*+,;=]+
        |\[[0-9A-Fa-f:.]+(%25[0-9A-Za-z\-._~%]+)?\]
        |\[[vV][0-9A-Fa-f]+\.[0-9A-Za-z\-._~!$&'()*+,;=:]+\])
        (:[0-9]*)?""",
    re.VERBOSE,
)


def _host(client: Client) -> str:
    hosts = client.request.lines("Host")
    return f"Host: {hosts[0]}" if len(hosts) == 1 and not HOST.fullmatch(hosts[0]) else _number(client, "Host")


def _host_port(client: Client) -> str:
    host, port = client.request.lines("Host")[:1] or [""], client.wire.port
    is_default = port == (443 if client.wire.is_secure else 80)
    return "" if host[0].endswith(f":{port}") or is_default else f"Host: {host[0]}, for the port {port}"


def _body(client: Client) -> str:
    lengths = [value for value in client.request.lines("Content-Length") if value != "0"]
    coded = client.request.lines("Transfer-Encoding")
    return ", ".join([f"Content-Length: {value}" for value in lengths] + [f"Transfer-Encoding: {v}" for v in coded])


def _waits(client: Client) -> None:
    if not client.wire.is_quiet(0.3):
        raise Failed("it sends bytes after its request, before the response", "nothing before the response")
    client.open()


NO_FAULT = "a head as RFC 9112 writes it"

ONE = "one header line"

REQUEST = client_cases_of(
    ClientRule(MUST, "RFC 6455 §4.1",
        "The method of the request MUST be GET, and the HTTP version MUST be at least 1.1.",
        "Send “GET /path HTTP/1.1”."),
    ("c1.request.method", "The method of the request is GET",
     request("GET", lambda c: "" if c.request.method == "GET" else f"the method {c.request.method!r}")),
    ("c1.request.version", "The version of the request is at least HTTP/1.1", request("HTTP/1.1", _version)),

    ClientRule(MUST, "RFC 6455 §4.1", "The handshake MUST be a valid HTTP request as specified by [RFC2616].",
        "Write METHOD SP TARGET SP HTTP/1.1 CRLF, then NAME: VALUE CRLF for each header, then CRLF."),
    ("c1.request.line", "The request line is well formed", request(NO_FAULT, _faults("the request line"))),
    ("c1.request.crlf", "Each line of the request ends in CRLF", request(NO_FAULT, _faults("bare LF"))),
    ("c1.request.headers", "Each header line is NAME: VALUE", request(NO_FAULT, _faults("the header line"))),
    ("c1.request.fragment", "The target of the request has no fragment",
     request("a target without #", lambda c: c.request.target if "#" in c.request.target else "")),

    ClientRule(MUST, "RFC 6455 §4.1",
        'The request MUST contain a |Host| header field whose value contains /host/ plus optionally ":" followed by '
        "/port/ (when not using the default port).",
        "Send Host once, with the host of the URL, and its port if it is not 80 (ws) or 443 (wss)."),
    ("c1.host.one", "The request has one Host, which is a host and perhaps a port", request("one Host", _host)),

    ClientRule(SHOULD, "RFC 6455 §4.1",
        'The request MUST contain a |Host| header field whose value contains /host/ plus optionally ":" followed by '
        "/port/ (when not using the default port).",
        "A server behind a proxy may have another port, so this is no MUST here.  Add the port of the URL to Host."),
    ("c1.host.port", "Host has the port of the server", request("the port of the URL", _host_port)),

    ClientRule(SHOULD, "RFC 9110 §9.3.1", "A client SHOULD NOT generate content in a GET request",
        "The request ends with its blank line: no Content-Length, no Transfer-Encoding."),
    ("c1.request.body", "The request has no content", request("no content", _body)),

    ClientRule(MUST, "RFC 6455 §4.1",
        "Once the client's opening handshake has been sent, the client MUST wait for a response from the server before "
        "sending any further data.", "Send no frame before the 101 is validated."),
    ("c1.request.waits", "The client waits for the response before it sends more",
     Play("nothing for 0.3 s, then an ordinary 101", "silence before the 101", _waits)),
)  # fmt: skip


def _names_token(name: str, token: str) -> Judge:
    def judge(client: Client) -> str:
        tokens = [word.lower().partition("/")[0] for word in client.request.tokens(name)]
        return "" if token in tokens else f"{name}: {', '.join(client.request.lines(name)) or '(missing)'}"

    return judge


def _decoded(client: Client) -> bytes | None:
    try:
        return base64.b64decode(client.key, validate=True)
    except (binascii.Error, ValueError):
        return None


def _key(client: Client) -> str:
    found = _decoded(client)
    if found is None or len(found) != 16:
        return f"Sec-WebSocket-Key: {client.key}"
    return ""


#: Keys that documents print, so that programs copy them.
PRINTED = (
    "dGhlIHNhbXBsZSBub25jZQ==",
    "AQIDBAUGBwgJCgsMDQ4PEC==",
    "AQIDBAUGBwgJCgsMDQ4PEA==",
    "x3JJHMbDL1EzLkh9GBhXDw==",
)


def _random(client: Client) -> str:
    found = _decoded(client) or b""
    steps = {(b - a) % 256 for a, b in itertools.pairwise(found)}  # one step: all alike, or counting
    if client.key in PRINTED or len(steps) == 1:
        return f"Sec-WebSocket-Key: {client.key}, which is not random"
    return ""


def _fresh(client: Client) -> None:
    client.open()
    if not client.agent.keys:
        raise Skipped("this is the first connection of the client, so no earlier key is known")
    if client.key in client.agent.keys:
        raise Failed(f"Sec-WebSocket-Key: {client.key}, as in an earlier connection", "another key")


def _is_version_13(client: Client) -> str:
    lines = client.request.lines("Sec-WebSocket-Version")
    return "" if lines[:1] == ["13"] else f"Sec-WebSocket-Version: {', '.join(lines) or '(missing)'}"


def _protocols(client: Client) -> str:
    names = [name.strip() for value in client.request.lines("Sec-WebSocket-Protocol") for name in value.split(",")]
    wrong = [name for name in names if not re.fullmatch(TOKEN, name)]
    if wrong:
        return f"the subprotocol {wrong[0]!r}"
    return f"the subprotocols {', '.join(names)}: one of them twice" if len(set(names)) < len(names) else ""


#: A token, also after its backslashes are gone.
QUOTED = rf'"(\\?{TCHAR})+"'
EXTENSION = rf"{TOKEN}([ \t]*;[ \t]*{TOKEN}([ \t]*=[ \t]*({TOKEN}|{QUOTED}))?)*"


def _extensions(client: Client) -> str:
    value = ",".join(client.request.lines("Sec-WebSocket-Extensions"))
    good = not client.request.lines("Sec-WebSocket-Extensions") or re.fullmatch(
        rf"[ \t,]*{EXTENSION}([ \t]*,([ \t]*{EXTENSION})?)*[ \t]*", value
    )
    return "" if good else f"Sec-WebSocket-Extensions: {value}"


KNOWN = {
    "server_no_context_takeover": None,
    "client_no_context_takeover": None,
    "server_max_window_bits": "8|9|1[0-5]",
    "client_max_window_bits": "|8|9|1[0-5]",
}


def _offer(client: Client) -> str:
    for offer in client.offered:
        name, *parameters = (part.strip() for part in offer.split(";"))
        if name != "permessage-deflate":
            continue
        names = [parameter.partition("=")[0].strip() for parameter in parameters]
        for parameter in parameters:
            key, equals, value = (part.strip(' "').replace("\\", "") for part in parameter.partition("="))
            if key not in KNOWN or names.count(key) > 1:
                return f"the offer {offer!r}: {key}"
            pattern = KNOWN[key]
            if (pattern is None and equals) or (pattern is not None and not re.fullmatch(pattern, value)):
                return f"the offer {offer!r}: {parameter}"
    return ""


NONCE = (
    "The value of this header field MUST be a nonce consisting of a randomly selected 16-byte value that has been "
    "base64-encoded ...  The nonce MUST be selected randomly for each connection."
)

HANDSHAKE = client_cases_of(
    ClientRule(MUST, "RFC 6455 §4.1",
        'The request MUST contain an |Upgrade| header field whose value MUST include the "websocket" keyword.',
        "Send Upgrade: websocket."),
    ("c2.request.upgrade", "Upgrade names websocket",
     request("Upgrade: websocket", _names_token("Upgrade", "websocket"))),

    ClientRule(MUST, "RFC 6455 §4.1",
        'The request MUST contain a |Connection| header field whose value MUST include the "Upgrade" token.',
        "Send Connection: Upgrade."),
    ("c2.request.connection", "Connection has the token Upgrade",
     request("Connection: Upgrade", _names_token("Connection", "upgrade"))),

    ClientRule(MUST, "RFC 6455 §4.1", NONCE,
        "Make 16 random bytes for each connection, and encode them in base64: 24 characters."),
    ("c3.key.16-bytes", "The key is 16 bytes in base64", request("16 bytes in base64", _key)),
    ("c3.key.random", "The key is not one that a document prints, and not a pattern", request("a random key", _random)),
    ("c3.key.fresh", "Each connection has another key",
     Play("an ordinary 101", "a key that no earlier connection had", _fresh)),

    ClientRule(MUST, "RFC 6455 §11.3.1",
        "The |Sec-WebSocket-Key| header field MUST NOT appear more than once in an HTTP request.",
        "Send Sec-WebSocket-Key once."),
    ("c3.key.one", "The request has one key", request(ONE, lambda c: _number(c, "Sec-WebSocket-Key"))),

    ClientRule(MUST, "RFC 6455 §4.1",
        "The request MUST include a header field with the name |Sec-WebSocket-Version|.  The value of this header "
        "field MUST be 13.", "Send Sec-WebSocket-Version: 13, once."),
    ("c3.version.13", "The version is 13", request("Sec-WebSocket-Version: 13", _is_version_13)),
    ("c3.version.one", "The request has one version", request(ONE, lambda c: _number(c, "Sec-WebSocket-Version"))),

    ClientRule(MUST, "RFC 6455 §4.1",
        "The elements that comprise this value MUST be non-empty strings with characters in the range U+0021 to U+007E "
        "not including separator characters as defined in [RFC2616] and MUST all be unique strings.",
        "Check the caller's subprotocols before you send them: tokens, each one once; without one, send no header."),
    ("c3.protocol.tokens", "Offered subprotocols are tokens, each one once",
     request("tokens, or no header", _protocols)),

    ClientRule(MUST, "RFC 6455 §9.1", "Sec-WebSocket-Extensions = extension-list",
        "Write NAME; PARAMETER=VALUE, NAME; without an extension, send no header."),
    ("c3.extensions.grammar", "Offered extensions follow the grammar", request("the grammar of §9.1", _extensions)),

    ClientRule(SHOULD, "RFC 7692 §7",
        "A server MUST decline an extension negotiation offer for this extension if ... The negotiation offer contains "
        "an extension parameter not defined for use in an offer.",
        "Offer only the four parameters of RFC 7692, each one once, with a value from 8 to 15 where there is one.  "
        "(The rule binds the server, so this is no MUST: a client may add an offer that only some servers "
        "understand.)"),
    ("c3.extensions.deflate", "An offer of permessage-deflate has only valid parameters",
     request("a valid offer", _offer)),
)  # fmt: skip

CASES = (*REQUEST, *HANDSHAKE)
