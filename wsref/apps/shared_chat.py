"""Chapter 12: the chat of chapter 10 on many servers, over an exchange."""

from __future__ import annotations

import contextlib
import logging
import re
import threading
from collections import defaultdict, deque
from typing import ClassVar

from ..network.server import WebSocketServer
from ..protocol.spec import CloseCode
from .demo import Chat, Demo
from .exchange import Exchange, ExchangeError, Gap, Line

logger = logging.getLogger("wsref")

#: Lines of a room that a server remembers, for clients that come back.
REMEMBERED = 1000

#: Of these, what a newcomer gets.
HISTORY = 50


class Room:
    """The members and the recent lines of a room, on this server.

    Under its lock a newcomer gets the lines so far and becomes a member: so no line is missed, and none
    comes twice.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._items: deque[Line | Gap] = deque(maxlen=REMEMBERED)
        self._members: list[SharedChat] = []

    def deliver(self, item: Line | Gap) -> None:
        """Send a line, or the news of a gap, to the members on this server."""
        with self._lock:
            self._items.append(item)
            for server in {member.server for member in self._members}:
                members = [member for member in self._members if member.server is server]
                for numbered in (False, True):
                    to = [member for member in members if member.numbered is numbered]
                    if to:
                        server.broadcast(as_text(item, numbered), to=to)

    def join(self, member: SharedChat, since: tuple[int, int] | None) -> None:
        """Send a newcomer the recent lines, and a member that comes back the lines after ``since``."""
        with self._lock:
            items = list(self._items)
            if since is None:
                items = items[-HISTORY:]
                since = (0, 0)
            elif items and since < _before(items[0]):
                send_later(member, as_text(Gap(None), False))
            place = since
            for item in items:
                place = item.id if isinstance(item, Line) else place
                if place > since or (isinstance(item, Gap) and place == since):
                    send_later(member, as_text(item, member.numbered))
            self._members.append(member)

    def leave(self, member: SharedChat) -> None:
        """Send nothing more to this member.  Idempotent."""
        with self._lock, contextlib.suppress(ValueError):
            self._members.remove(member)


class Rooms:
    """All rooms on this server, and the exchange that joins them to those of other servers."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self._rooms: dict[str, Room] = defaultdict(Room)
        self._lock = threading.Lock()
        exchange.start(self._deliver)

    def room(self, name: str) -> Room:
        """Return a room, which may be new."""
        with self._lock:
            return self._rooms[name]

    def _deliver(self, item: Line | Gap) -> None:
        if isinstance(item, Line):
            self.room(item.room).deliver(item)
            return
        with self._lock:
            rooms = list(self._rooms.values())
        for room in rooms:
            room.deliver(item)


class SharedChat(Chat):
    """A chat whose lines pass through an exchange, so that many servers carry one chat.

    A client that asks for it by ``since`` gets each line behind its place in the order, ``7-12 Ann: hello``,
    and when it comes back with the last one, ``/chat?name=Ann&since=7-12``, the lines that it missed.
    """

    MAX_LINE = 16 * 1024  # of a megabyte each, the remembered lines would fill a gigabyte

    rooms: ClassVar[Rooms]

    numbered = False  # each line with its place
    announced = False  # the line that it has joined was published

    def on_open(self) -> None:
        """Find a free name, catch up, and tell everyone."""
        given = self.request.query.get("since")
        self.numbered = given is not None
        found = re.fullmatch("([0-9]{1,15})-([0-9]{1,15})", given[0]) if given else None
        exchange, path = self.rooms.exchange, self.request.path
        try:
            self.nick = next(name for name in self.candidates() if exchange.claim(path, name))
            self.rooms.room(path).join(self, (int(found[1]), int(found[2])) if found else None)
            self.send(f"* here: {', '.join(exchange.names(path))}")
            exchange.publish(path, f"* {self.nick} has joined")
            self.announced = True
        except ExchangeError as error:
            logger.warning("a client must try again later: %s", error)
            self.close(CloseCode.TRY_AGAIN_LATER, "the chat's exchange does not answer")

    def say(self, line: str) -> None:
        """Publish a line, or tell this client that it may be lost."""
        try:
            self.rooms.exchange.publish(self.request.path, line)
        except ExchangeError as error:
            logger.warning("a line is late or lost: %s", error)
            self.send(f"* late or lost, because the exchange does not answer: {line}")

    def on_close(self, code: int, reason: str) -> None:
        """Give the name back, and tell the others."""
        if self.nick:
            self.rooms.room(self.request.path).leave(self)
            self.rooms.exchange.release(self.request.path, self.nick)
        if self.announced:
            with contextlib.suppress(ExchangeError):  # its name comes free later, and then this line is published
                self.rooms.exchange.publish(self.request.path, f"* {self.nick} has left")


def with_exchange(exchange: Exchange, demo: type[Demo] = Demo) -> type[Demo]:
    """Return this demo with its chat on an exchange."""
    return type("SharedDemo", (demo, SharedChat), {"rooms": Rooms(exchange)})


def page_for_exchange(page: bytes) -> bytes:
    """Return the page with its chat shared: it reconnects with the place of the last line that it saw."""
    return page.replace(b'<meta name="shared-chat" content="off">', b'<meta name="shared-chat" content="on">')


def _before(item: Line | Gap) -> tuple[int, int]:
    """Return the place in the order before this item."""
    return (item.id[0], item.id[1] - 1) if isinstance(item, Line) else (0, 0)


def as_text(item: Line | Gap, numbered: bool) -> str:
    """Return the message for a line, or for a gap."""
    if isinstance(item, Gap):
        return "* 1 line is missing here" if item.count == 1 else f"* {item.count or 'some'} lines are missing here"
    return f"{item.id[0]}-{item.id[1]} {item.text}" if numbered else item.text


def send_later(member: SharedChat, text: str) -> None:
    """Send without waiting for a client that does not read."""
    server: WebSocketServer[SharedChat] = member.server
    server.broadcast(text, to=[member])
