"""Chapter 10: two small applications: an echo and a chat.

``python -m wsref`` serves them.  They show how a program uses wsref: a handler is a class, and
its hooks are called for what happens.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Collection, Iterator
from typing import ClassVar

from ..network.handler import WebSocketHandler
from ..protocol.deflate import DeflateParameters
from ..protocol.http11 import Request
from ..protocol.spec import CloseCode


class Echo(WebSocketHandler):
    """Sends every message back, text as text and binary as binary."""

    def on_message(self, message: str | bytes) -> None:
        """Send it back."""
        self.send(message)


class Chat(WebSocketHandler):
    """A chat: every client gets what one says: ``ws://host/chat?name=Ann``.

    Every message is one line of text: ``Ann: hello``, or ``* Ann has joined``.  Names have no
    colon and begin with no star, and lines are joined, so a client cannot speak for another.
    Lines go out by ``server.broadcast``: a client that does not read delays no other.
    """

    MAX_NAME = 32  # characters
    MAX_LINE = 128 * 1024  # characters: a member may accept no message of more than a megabyte

    nick = ""
    _members: ClassVar[list[Chat]] = []  # of all chats in this process, in the order of their arrival
    _lock = threading.Lock()  # guards it: two clients that join at the same time must not get one name

    def on_open(self) -> None:
        """Find a free name, list the members to the newcomer, and tell the others."""
        with self._lock:  # two that join at once learn of each other: one by the list, one by a line
            others = self.room()
            taken = {member.nick for member in others}
            self.nick = next(name for name in self.candidates() if name not in taken)
            self._members.append(self)
            here = ", ".join(sorted(taken | {self.nick}))
            self.server.broadcast(f"* {self.nick} has joined; here: {here}", to=[self])  # unlike send, without waiting
        self.server.broadcast(f"* {self.nick} has joined", to=others)  # without the list: it would cost N² bytes

    def on_message(self, message: str | bytes) -> None:
        """Tell everyone what the client said."""
        if isinstance(message, bytes):
            self.close(CloseCode.UNSUPPORTED_DATA, "the chat is text")
        elif len(message) > self.MAX_LINE:
            self.send(f"* not sent: a line has at most {self.MAX_LINE} characters")
        else:
            self.say(f"{self.nick}: {' '.join(message.splitlines())}")

    def on_close(self, code: int, reason: str) -> None:
        """Tell the others."""
        with self._lock:
            self._members.remove(self)
        self.say(f"* {self.nick} has left")

    def candidates(self) -> Iterator[str]:
        """Yield the name that the client asks for, then the same with a number."""
        wanted = self.request.query.get("name", [""])[0]
        wanted = "".join(filter(str.isprintable, wanted)).replace(":", "").strip(" *")[: self.MAX_NAME] or "guest"
        return itertools.chain([wanted], (f"{wanted} {n}" for n in itertools.count(2)))

    def room(self) -> list[Chat]:
        """The members of the same chat: on this server, at this path."""
        path = self.request.path
        members = tuple(self._members)  # a copy: another member may leave
        return [member for member in members if member.server is self.server and member.request.path == path]

    def say(self, line: str) -> None:
        """Send a line to everyone in the room."""
        self.server.broadcast(line, to=self.room())


class Demo(Chat, overrides_internals=True):
    """Both on one port: the chat at ``/chat``, the echo at ``/`` and ``/echo``.

    A browser always offers compression, and its script cannot change that.  The script chooses the
    URL: with ``?compression=off`` the server declines, so that the page can show plain frames.
    """

    paths: Collection[str] = ("/", "/echo", "/chat")
    subprotocols = ("chat", "echo")  # for trying out what a browser does with one

    def _choose_extensions(self, request: Request) -> tuple[str | None, DeflateParameters | None]:
        """Decline compression if the URL asks for that."""
        if request.query.get("compression") == ["off"]:
            return None, None
        return super()._choose_extensions(request)

    def on_open(self) -> None:
        """Announce a client that joins the chat."""
        self.chats = self.request.path == "/chat"
        if self.chats:
            super().on_open()

    def on_message(self, message: str | bytes) -> None:
        """Send it to everyone in the chat, or back."""
        if self.chats:
            super().on_message(message)
        else:
            self.send(message)

    def on_close(self, code: int, reason: str) -> None:
        """Announce a client that leaves the chat."""
        if self.chats:
            super().on_close(code, reason)
