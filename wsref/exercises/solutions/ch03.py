"""Exercises of chapter 3: validation.

Check them: python -m wsref exercise 3
"""

import base64


def is_valid_key(key: str) -> bool:
    """Return whether a Sec-WebSocket-Key is 16 bytes in base64, as RFC 6455 §4.2.1 demands.

    Use the base64 module instead of a pattern.  b64decode is more forgiving than it looks.

    >>> is_valid_key("dGhlIHNhbXBsZSBub25jZQ=="), is_valid_key("too short")
    (True, False)
    """
    try:
        return len(base64.b64decode(key, validate=True)) == 16  # without validate, it skips what is not base64
    except ValueError:  # binascii.Error is one
        return False


def article_only_key() -> str:
    """Return a key that the article accepts, as it has 24 characters, and RFC 6455 §4.2.1 does not."""
    return "please-let-me-in-already"


def refusal(method: str, headers: dict[str, list[str]]) -> tuple[int, list[str]] | None:
    """Return the status and all reasons to refuse a handshake, or None if there are no reasons.

    This server has two rules.  A request that breaks both gets both reasons, in this order, and 405:
    - the method is GET; else 405, and the reason "the method must be GET";
    - the client offers the subprotocol chat.v1; else 400, and the reason "chat.v1 must be offered".

    The headers are those of the chapter's program: a name in lower case, and the values of its lines.
    The names of subprotocols are case-sensitive.

    >>> refusal("GET", {"sec-websocket-protocol": ["chat.v2, chat.v1"]}) is None
    True
    >>> refusal("POST", {})
    (405, ['the method must be GET', 'chat.v1 must be offered'])
    """
    offered = ",".join(headers.get("sec-websocket-protocol", [])).split(",")
    checks = [
        (method == "GET", "the method must be GET"),
        ("chat.v1" in [name.strip(" \t") for name in offered], "chat.v1 must be offered"),
    ]
    reasons = [reason for valid, reason in checks if not valid]
    return (400 if method == "GET" else 405, reasons) if reasons else None
