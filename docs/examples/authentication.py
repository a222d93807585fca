"""Three ways to authenticate: a cookie, a token in the query, a token in the first message.

python authentication.py [PORT]
"""

import hmac
import sys
import threading

from wsref import HTTPError, WebSocketHandler, WebSocketServer

#: A real application makes random tokens (``secrets.token_urlsafe()``) at the login, and keeps
#: them with its sessions.
TOKENS = {"ann": "7f3kQ0cXw2", "bob": "Zt81LmN4vB"}


def owner_of(token: str) -> str | None:
    """Return the owner of a token; None for an unknown token.

    ``==`` stops at the first different character, so its time reveals how much of a guess was
    right.  The time of ``compare_digest`` does not.
    """
    found = None
    for name, known in TOKENS.items():
        if hmac.compare_digest(token.encode(), known.encode()):
            found = name
    return found


class Members(WebSocketHandler):
    """Greets its members, and echoes their messages with their name."""

    paths = ("/cookie", "/query", "/first-message")
    IDLE_TIMEOUT = 5.0  # seconds for the first message

    user: str | None = None

    def check_request(self, request):
        """Check a cookie or a token before the 101, depending on the path."""
        if request.path == "/cookie":
            self.user = owner_of(request.cookies.get("session", ""))
        elif request.path == "/query":
            self.user = owner_of(request.query.get("token", [""])[0])
        else:
            return  # on_message checks the token
        if self.user is None:
            raise HTTPError(403, "log in first: this session or token is unknown")

    def on_open(self):
        if self.user is None:
            self.alarm = threading.Timer(self.IDLE_TIMEOUT, self.close, (4401, "no token arrived"))
            self.alarm.start()
        else:
            self.send(f"hello, {self.user}")

    def on_message(self, message):
        if self.user is not None:
            self.send(f"{self.user}: {message}")
        elif isinstance(message, str) and (user := owner_of(message)):
            self.alarm.cancel()
            self.user = user
            self.send(f"hello, {self.user}")
        else:
            self.close(4401, "this token is unknown")

    def on_close(self, code, reason):
        if hasattr(self, "alarm"):
            self.alarm.cancel()


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8765
    with WebSocketServer(("127.0.0.1", port), Members) as server:
        print(f"listening on {server.url}", flush=True)
        server.serve_forever()
