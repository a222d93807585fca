"""Solutions of the exercises of chapter 3."""

import base64
import binascii
from dataclasses import replace

from wsref import WebSocketHandler
from wsref.protocol.errors import HTTPError
from wsref.protocol.handshake import RULES, Rule, broken_rules
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
    return None if "chat.v1" in offered else ", ".join(offered) or "none"


SPEAKS_CHAT = Rule("chat", "the subprotocol chat.v1 must be offered", "our own", _speaks_chat)


class Choosy(WebSocketHandler):
    """Checks the RFC's rules, and one of ours."""

    subprotocols = ("chat.v1",)

    def validate(self, request: Request) -> None:
        """The same loop, over one row more."""
        broken = broken_rules(request, (METHOD_AS_IN_WS, *RULES[1:], SPEAKS_CHAT))
        if broken:
            reason = "\n".join(f"{rule.text}; got {came} ({rule.section})" for rule, came in broken)
            headers = tuple(header for rule, _ in broken for header in rule.headers)
            raise HTTPError(max(rule.status for rule, _ in broken), reason, headers=headers)
