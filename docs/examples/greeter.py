"""A handler to test: it greets by name, and refuses binary messages."""

from wsref import HTTPError, WebSocketHandler


class Greeter(WebSocketHandler):
    subprotocols = ("greeting.v1",)

    def check_request(self, request):
        if "name" not in request.query:
            raise HTTPError(403, "the query has no name: add ?name=...")

    def on_open(self):
        self.send(f"hello, {self.request.query['name'][0]}")

    def on_message(self, message):
        if isinstance(message, bytes):
            self.close(1003, "text only, please")
        elif message == "everyone":
            self.server.broadcast("hello, everyone")
        else:
            self.send(message.upper())
