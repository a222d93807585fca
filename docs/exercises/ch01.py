"""Solutions of the exercises of chapter 1."""

from collections.abc import Iterable

from wsref import WebSocketHandler
from wsref.protocol.errors import HTTPError
from wsref.protocol.http11 import Request


def head_of(pieces: Iterable[bytes]) -> tuple[bytes, bytes]:
    r"""The head, its empty line included, and what came behind it.

    Args:
        pieces: As they come from TCP; no more of them are taken than are needed.
    Raises:
        EOFError: they end before the head does.

    >>> head_of([b"GET / HT", b"TP/1.1\r\nHost: a\r", b"\n\r\n\x81\x85"])
    (b'GET / HTTP/1.1\r\nHost: a\r\n\r\n', b'\x81\x85')
    """
    data = b""
    for piece in pieces:
        looked = max(len(data) - 3, 0)  # the empty line may have begun in the piece before
        data += piece
        at = data.find(b"\r\n\r\n", looked)
        if at >= 0:
            return data[: at + 4], data[at + 4 :]
    raise EOFError(f"{len(data)} bytes, and no empty line")


class Teapot(WebSocketHandler):
    """Refuses those who ask for coffee, politely (RFC 2324 §2.3.2)."""

    def read_request(self) -> Request:
        """What was read anyway, unless it is for coffee."""
        request = super().read_request()
        if request.path == "/coffee":
            raise HTTPError(418, "this is a teapot", "RFC 2324 §2.3.2")
        return request
