"""Exercises of chapter 5: the 426 fallback.

Check them: python -m wsref exercise 5
"""


def fallback(method: str, target: str) -> tuple[int, list[str]]:
    """Return the status and the additional header lines of the response to a plain request.

    A load balancer's GET of the path /health, with or without a query, gets 200 and no further lines.
    Every other request gets 426, "Upgrade: websocket" and "Connection: Upgrade".

    >>> fallback("GET", "/health?from=balancer"), fallback("GET", "/")
    ((200, []), (426, ['Upgrade: websocket', 'Connection: Upgrade']))
    """
    if method == "GET" and target.partition("?")[0] == "/health":
        return 200, []
    return 426, ["Upgrade: websocket", "Connection: Upgrade"]


def is_good_426(answer: bytes) -> bool:
    r"""Return whether the bytes of an answer are a 426 as RFC 9110 §15.5.22 and §7.8 demand.

    Its status is 426, Upgrade names websocket, and Connection names Upgrade.  Both headers are lists,
    which may be spread over several lines.  Case does not matter, and the body does not count.

    >>> is_good_426(b"HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: close, Upgrade\r\n\r\n")
    True
    """
    first, *lines = answer.partition(b"\r\n\r\n")[0].decode("latin-1").lower().split("\r\n")
    elements: dict[str, list[str]] = {"upgrade": [], "connection": []}
    for line in lines:
        name, _, value = line.partition(":")
        if name in elements:
            elements[name] += [element.strip(" \t") for element in value.split(",")]
    is_426 = first.split(" ")[1:2] == ["426"]
    return is_426 and "websocket" in elements["upgrade"] and "upgrade" in elements["connection"]
