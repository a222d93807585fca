"""Solutions of the exercises of chapter 5."""

from wsref.protocol.handshake import answer, upgrade_required
from wsref.protocol.http11 import Request, Response


def fallback(request: Request) -> Response:
    """The response to a plain request: 200 to a load balancer at /health, 426 to every other.

    >>> from wsref.protocol.http11 import Headers
    >>> asks = [("GET", "/health"), ("POST", "/health"), ("GET", "/")]
    >>> [fallback(Request(method, path, (1, 1), Headers())).status for method, path in asks]
    [200, 426, 426]
    """
    if request.method == "GET" and request.path == "/health":
        return answer(200, b"ok\n")
    return upgrade_required(request)


def is_a_good_426(answer: bytes) -> bool:
    r"""Whether an answer says 426 as RFC 9110 §15.5.22 and §7.8 want it.

    >>> is_a_good_426(b"HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
    True
    >>> is_a_good_426(b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n")
    False
    """
    first, *lines = answer.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    fields: dict[str, list[str]] = {}
    for line in lines:
        name, _, value = line.partition(":")
        words = [word.strip().lower() for word in value.split(",")]
        fields[name.lower()] = fields.get(name.lower(), []) + words
    return (
        first.split()[1:2] == ["426"]
        and "websocket" in fields.get("upgrade", [])
        and "upgrade" in fields.get("connection", [])
    )
