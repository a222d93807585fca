"""Exercises of chapter 4: complete_upgrade.

Check them: python -m wsref exercise 4
"""

import base64
import hashlib

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def diagnose(key: str, accept: str) -> str:
    """Return how a server has computed its Sec-WebSocket-Accept from a key.

    Returns:
        "right", if it is base64 of the SHA-1 digest of key and GUID;
        "no GUID", if the digest is of the key alone;
        "GUID first", if the digest is of GUID and key;
        "lower case", if the GUID was in lower case;
        "decoded", if the key was decoded to its 16 bytes before the GUID was added;
        "hex", if the digest of key and GUID is written in hexadecimal digits instead of base64;
        "other", if it is none of these.

    >>> diagnose("dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    'right'
    """
    hashed = {
        "right": key.encode() + GUID.encode(),
        "no GUID": key.encode(),
        "GUID first": GUID.encode() + key.encode(),
        "lower case": key.encode() + GUID.lower().encode(),
        "decoded": base64.b64decode(key) + GUID.encode(),
    }
    for name, data in hashed.items():
        if accept == base64.b64encode(hashlib.sha1(data).digest()).decode():
            return name
    return "hex" if accept == hashlib.sha1(hashed["right"]).hexdigest() else "other"


def client_chooses(lines: list[str], supported: list[str]) -> str | None:
    """Return the first subprotocol of the client's list that the server supports, or None.

    The lines are the values of the Sec-WebSocket-Protocol headers; together they are one list.

    >>> client_chooses(["chat.v2, chat.v1"], supported=["chat.v1", "chat.v2"])
    'chat.v2'
    """
    for name in ",".join(lines).split(","):
        if name.strip(" \t") in supported:
            return name.strip(" \t")
    return None
