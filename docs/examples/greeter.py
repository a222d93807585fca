"""A handler to be tested: it greets, and sends anything but text away."""

from wsref import HTTPError, WebSocketHandler


class Greeter(WebSocketHandler):
    subprotocols = ("greeting.v1",)

    def check_request(self, request):
        if "name" not in request.query:
            raise HTTPError(403, "who are you?  Say ?name=...")

    def on_open(self):
        self.send(f"hello, {self.request.query['name'][0]}")

    def on_message(self, message):
        if isinstance(message, bytes):
            self.close(1003, "text only, please")
        elif message == "everyone":
            self.server.broadcast("hello, everyone")
        else:
            self.send(message.upper())
