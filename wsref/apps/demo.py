"""Chapter 10: two small applications: an echo and a chat.

They are what ``python -m wsref`` serves, and what a program that uses wsref looks
like: a handler is a class, and its hooks are what happens.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Collection

from ..network.server import WebSocketHandler
from ..protocol.spec import CloseCode


class Echo(WebSocketHandler):
    """Sends every message back, text as text and binary as binary."""

    def on_message(self, message: str | bytes) -> None:
        """Send it back."""
        self.send(message)


class Chat(WebSocketHandler):
    """What one says, all see: ``ws://host/chat?name=Ann``.

    Every message is one line of text: ``Ann: hello``, or ``* Ann has joined``.  Names
    have no colon and begin with no star, and lines are joined, so nobody can speak for
    another.  It goes out by ``server.broadcast``: who does not read delays nobody.
    """

    MAX_NAME = 32  # characters

    nick = ""
    _joining = threading.Lock()  # two who come at once shall not get one name

    def on_open(self) -> None:
        """Find a name that is free, and tell everyone."""
        wanted = self.request.query.get("name", [""])[0]
        wanted = "".join(filter(str.isprintable, wanted)).replace(":", "").strip(" *")[: self.MAX_NAME] or "guest"
        names = itertools.chain([wanted], (f"{wanted} {n}" for n in itertools.count(2)))
        with self._joining:
            others = {other.nick for other in self.room() if other is not self}
            self.nick = next(name for name in names if name not in others)
        self.say(f"* {self.nick} has joined; here: {', '.join(sorted(others - {''} | {self.nick}))}")

    def on_message(self, message: str | bytes) -> None:
        """Tell everyone what was said."""
        if isinstance(message, bytes):
            self.close(CloseCode.UNSUPPORTED_DATA, "the chat is text")
        else:
            self.say(f"{self.nick}: {' '.join(message.splitlines())}")

    def on_close(self, code: int, reason: str) -> None:
        """Tell the others."""
        self.say(f"* {self.nick} has left")

    def room(self) -> list[Chat]:
        """All who are in the same chat: connected to this server, at this path."""
        path = self.request.path
        return [other for other in self.server.handlers if isinstance(other, Chat) and other.request.path == path]

    def say(self, line: str) -> None:
        """Send a line to everyone in the room."""
        self.server.broadcast(line, to=self.room())


class Demo(Chat):
    """Both on one port: the chat at ``/chat``, the echo at ``/`` and ``/echo``."""

    paths: Collection[str] = ("/", "/echo", "/chat")
    subprotocols = ("chat", "echo")  # for trying out what a browser does with one

    def on_open(self) -> None:
        """A newcomer to the chat is announced."""
        self.chats = self.request.path == "/chat"
        if self.chats:
            super().on_open()

    def on_message(self, message: str | bytes) -> None:
        """Say it to all, or send it back."""
        if self.chats:
            super().on_message(message)
        else:
            self.send(message)

    def on_close(self, code: int, reason: str) -> None:
        """Who leaves the chat is missed."""
        if self.chats:
            super().on_close(code, reason)
