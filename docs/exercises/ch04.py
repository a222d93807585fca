"""Solutions of the exercises of chapter 4."""

import base64
import hashlib

from wsref import WebSocketHandler
from wsref.protocol.http11 import Request
from wsref.protocol.spec import GUID


def sha1(text: str | bytes) -> bytes:
    """The digest, 20 bytes."""
    return hashlib.sha1(text.encode() if isinstance(text, str) else text, usedforsecurity=False).digest()


def diagnosed(key: str, accept: str) -> str:
    """Which mistake made this answer to this key.

    >>> key = "dGhlIHNhbXBsZSBub25jZQ=="
    >>> diagnosed(key, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    'none: it is right'
    >>> diagnosed(key, sha1(key + GUID).hex())
    'hex instead of base64'
    """
    base = {
        "none: it is right": sha1(key + GUID),
        "the key was decoded first": sha1(base64.b64decode(key) + GUID.encode()),
        "the GUID is missing": sha1(key),
        "the GUID comes first": sha1(GUID + key),
        "the GUID is in lower case": sha1(key + GUID.lower()),
        "a line break stayed behind the key": sha1(key + "\r\n" + GUID),
        "the digest's hex was put into base64": sha1(key + GUID).hex().encode(),
    }
    answers = {base64.b64encode(made).decode(): mistake for mistake, made in base.items()}
    answers[sha1(key + GUID).hex()] = "hex instead of base64"
    return answers.get(accept, "another one")


class ClientChooses(WebSocketHandler):
    """Takes the first subprotocol of the client's that it knows, and not the first of its own."""

    subprotocols = ("chat.v1", "chat.v2")

    def choose_subprotocol(self, request: Request) -> str | None:
        """The same question the other way round."""
        offered = request.headers.elements("Sec-WebSocket-Protocol")
        return next((name for name in offered if name in self.subprotocols), None)
