"""Exercises of chapter 11: out in the world.

Check them: python -m wsref exercise 11
"""

import hmac

from wsref import Echo, HTTPError, Request


class Ticketed(Echo):
    """An echo for clients that bring the ticket in their query: ws://host/?ticket=...

    Every other request is refused with an HTTPError 403.  The time that the comparison takes must not
    depend on how many letters of a wrong ticket are right.
    """

    ticket = "a-long-and-random-word"

    def check_request(self, request: Request) -> None:
        """Refuse a request without the ticket.  (request.query maps a name to the list of its values.)"""
        offered = request.query.get("ticket", [""])[0]
        if not hmac.compare_digest(offered.encode(), self.ticket.encode()):
            raise HTTPError(403, "this needs a ticket")


def origins(host: str, ports: list[int]) -> list[str]:
    """Return the origins of a front end as browsers write them: one port after the other, first http, then https.

    Browsers leave out the port if it is the scheme's own: 80 for http, 443 for https.

    >>> origins("app.example", [443])
    ['http://app.example:443', 'https://app.example']
    """
    own = {"http": 80, "https": 443}
    return [f"{scheme}://{host}" + (f":{port}" if port != own[scheme] else "") for port in ports for scheme in own]
