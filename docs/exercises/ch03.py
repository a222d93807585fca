"""Solutions of the exercises of chapter 3."""

import base64
import binascii
from dataclasses import replace

from wsref.protocol.errors import HTTPError
from wsref.protocol.handshake import RULES, Rule, describe_violations, violations
from wsref.protocol.http11 import Request


def article_takes(key: str) -> bool:
    """What the article checks."""
    return len(key) == 24


def rfc_takes(key: str) -> bool:
    """What RFC 6455 §4.2.1 asks for, written with the base64 module.

    >>> rfc_takes("dGhlIHNhbXBsZSBub25jZQ==")
    True
    >>> article_takes("please-let-me-in-already"), rfc_takes("please-let-me-in-already")
    (True, False)
    """
    try:
        # Without validate=True, b64decode skips what is no base64: "let me in" and all.
        return len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        return False


#: The method's rule, with the answer that Node's ws gives since 2022.
METHOD_AS_IN_WS = replace(RULES[0], status=405, headers=(("Allow", "GET"),))


def _speaks_chat(request: Request) -> str | None:
    offered = request.headers.elements("Sec-WebSocket-Protocol")
    return None if "chat.v1" in offered else ", ".join(offered) or "nothing"


SPEAKS_CHAT = Rule("chat", "the subprotocol chat.v1 must be offered", "our own", _speaks_chat)


def validate_choosy(request: Request) -> None:
    """The same as the server's ``validate``, over one row more.

    Raises:
        HTTPError: With every broken rule.
    """
    if broken := violations((METHOD_AS_IN_WS, *RULES[1:], SPEAKS_CHAT), request):
        headers = tuple(header for rule, _ in broken for header in rule.headers)
        raise HTTPError(max(rule.status for rule, _ in broken), "\n".join(describe_violations(broken)), headers=headers)
