"""Solutions of the exercises of chapter 11."""

import hmac
from collections.abc import Iterable

from wsref import Echo, HTTPError
from wsref.protocol.http11 import Request


class Ticketed(Echo):
    """An echo for those who have a ticket."""

    ticket = b"a-long-and-random-word"

    def check_request(self, request: Request) -> None:
        """Called before the 101."""
        offered = request.query.get("ticket", [""])[0]
        if not hmac.compare_digest(offered.encode(), self.ticket):
            raise HTTPError(403, "this needs a ticket", "RFC 9110 §15.5.4")


def origins(host: str, ports: Iterable[int]) -> list[str]:
    """As browsers write them.

    >>> origins("app.example", [443, 8443])
    ['http://app.example:443', 'https://app.example', 'http://app.example:8443', 'https://app.example:8443']
    """
    own = {"http": 80, "https": 443}
    return [
        f"{scheme}://{host}" + ("" if port == default else f":{port}")
        for port in ports
        for scheme, default in own.items()
    ]
