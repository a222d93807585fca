"""Solutions of the exercises of chapter 4."""

import base64
import hashlib
from collections.abc import Sequence

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


def client_chooses(request: Request, supported: Sequence[str]) -> str | None:
    """The first subprotocol of the client's list that we support: the client's preference decides."""
    offered = request.headers.elements("Sec-WebSocket-Protocol")
    return next((name for name in offered if name in supported), None)
