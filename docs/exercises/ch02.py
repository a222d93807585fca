"""Solutions of the exercises of chapter 2."""

from wsref.protocol.handshake import wants_upgrade
from wsref.protocol.http11 import Headers, Request


def found_in(connection: str) -> bool:
    """What is often written: it looks for the word anywhere."""
    return "upgrade" in connection.lower()


def equals(connection: str) -> bool:
    """What is also often written: it knows one browser."""
    return connection == "Upgrade"


def named(connection: str) -> bool:
    """What wsref asks.

    >>> found_in("no-upgrade"), named("no-upgrade")
    (True, False)
    >>> equals("keep-alive, Upgrade"), named("keep-alive, Upgrade")
    (False, True)
    """
    return wants_upgrade(Request("GET", "/", (1, 1), Headers([("Connection", connection), ("Upgrade", "websocket")])))


#: Values that ``found_in`` takes and must not, and values that ``equals`` refuses and must not.
TAKEN = ["no-upgrade", "Upgrade-Insecure-Requests", "keep-alive upgrade", '"upgrade"']
REFUSED = ["upgrade", "keep-alive, Upgrade", "Upgrade ,close", "keep-alive,\tUPGRADE"]


def forwarded(request: Request) -> Request:
    """The request as a proxy passes it on that knows nothing of upgrades.  RFC 9110 §7.6.1.

    >>> fields = [("Host", "a"), ("Connection", "Upgrade"), ("Upgrade", "websocket")]
    >>> asked = Request("GET", "/", (1, 1), Headers(fields))
    >>> wants_upgrade(asked), wants_upgrade(forwarded(asked))
    (True, False)
    """
    for_me = {"connection", *(option.lower() for option in request.headers.elements("Connection"))}
    kept = [(name, value) for name, value in request.headers if name.lower() not in for_me]
    return Request(request.method, request.target, request.version, Headers(kept))
