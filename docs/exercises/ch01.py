"""Solutions of the exercises of chapter 1."""

from collections.abc import Iterable

from wsref.protocol.errors import HTTPError
from wsref.protocol.handshake import answer, refusal
from wsref.protocol.http11 import build_response, parse_request


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


def answer_to(data: bytes) -> bytes:
    r"""The response to a request: 418 for coffee (RFC 2324 §2.3.2), 200 for everything else.

    Args:
        data: A whole head.

    >>> answer_to(b"GET /coffee HTTP/1.1\r\nHost: a\r\n\r\n").partition(b"\r\n")[0]
    b"HTTP/1.1 418 I'm a Teapot"
    """
    try:
        parsed = parse_request(data)
        if parsed is None:
            raise HTTPError(400, "the head has no end", "RFC 9112 §8")
        request, _ = parsed
        if request.path == "/coffee":
            raise HTTPError(418, "this is a teapot", "RFC 2324 §2.3.2")
    except HTTPError as error:
        return build_response(refusal(error))
    return build_response(answer(200, b"Hello from an HTTP server.\n"))
