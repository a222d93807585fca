"""A program that type-checkers accept: `mypy --strict` and pyright read it (.ci/run); nothing runs it."""

from wsref import Delivery, Request, WebSocketHandler, WebSocketServer, running


class Member(WebSocketHandler):
    nick = ""

    def check_request(self, request: Request) -> None:
        self.nick = request.cookies.get("nick", "")

    def on_message(self, message: str | bytes) -> None:
        delivery = self.server.broadcast(message)
        print(delivery.sent)


class ChatServer(WebSocketServer[Member]):
    def nicks(self) -> list[str]:
        return [handler.nick for handler in self.handlers]


with ChatServer(("127.0.0.1", 0), Member) as server:
    delivery: Delivery[Member] = server.broadcast("hi", to=server.handlers)
    names: list[str] = [handler.nick for handler in delivery.dropped]
with WebSocketServer(("127.0.0.1", 0), Member) as plain:
    more: list[str] = [handler.nick for handler in plain.handlers]
with running(Member) as started:
    url: str = started.url
