"""Chapter 12: one order of lines for many servers, on Redis Streams.

A server can broadcast to its own connections only.  Where several servers, on several machines,
carry one chat, each line goes through an *exchange*: every server publishes to it, and gets
every line back, in the same order.  :class:`Exchange` serves one process;
:class:`RedisExchange` keeps the lines in a Redis Stream (https://redis.io/docs/latest/develop/data-types/streams/).

A stream and not Redis's Pub/Sub: a server that was cut off from Redis reads on from the last
line that it saw, and loses nothing.  The stream is trimmed; a server that comes back too late
gets a :class:`Gap`.
"""

from __future__ import annotations

import itertools
import logging
import re
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

logger = logging.getLogger("wsref")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text in a room.

    Attributes:
        id: Its place in the order: two numbers, an epoch of the stream and a count from 1.
    """

    id: tuple[int, int]
    room: str
    text: str


@dataclass(frozen=True, slots=True)
class Gap:
    """Lines are missing here: the exchange had trimmed or lost them before this server read them.

    Attributes:
        count: How many; None: unknown.
    """

    count: int | None


class ExchangeError(Exception):
    """The exchange cannot do it now; the text says why."""


class Exchange:
    """The exchange of a single process, and what a chat needs of any.

    A *name* is in use in a room from :meth:`claim` to :meth:`release`, on all servers.
    """

    def __init__(self) -> None:
        self._order = threading.RLock()  # held while a line is delivered: all see one order
        self._count = itertools.count(1)
        self._names: dict[str, set[str]] = defaultdict(set)
        self._deliver: Callable[[Line | Gap], None] = lambda line: None

    def start(self, deliver: Callable[[Line | Gap], None]) -> None:
        """Call ``deliver`` with recent lines, and then with every line from now on, one at a time."""
        self._deliver = deliver

    def publish(self, room: str, text: str) -> None:
        """Add a line.

        Raises:
            ExchangeError: It is not certain that the line was added.
        """
        with self._order:
            self._deliver(Line((0, next(self._count)), room, text))

    def claim(self, room: str, name: str) -> bool:
        """Take a name; False: it is in use.

        Raises:
            ExchangeError: The exchange does not answer.
        """
        with self._order:
            free = name not in self._names[room]
            self._names[room].add(name)
            return free

    def release(self, room: str, name: str) -> None:
        """Give a name back.  If the exchange does not answer, the name comes free by itself."""
        with self._order:
            self._names[room].discard(name)

    def names(self, room: str) -> list[str]:
        """Return the names in use, sorted.

        Raises:
            ExchangeError: The exchange does not answer.
        """
        with self._order:
            return sorted(self._names[room])

    def close(self) -> None:
        """Deliver nothing more."""
        self._deliver = lambda line: None


#: Adds a line, whose id counts on from the last one: so a reader sees what is missing.  The last id and not the last
#: line: that one may have been deleted, and its id is never given again.  The token makes a second attempt harmless:
#: after a timeout the first one may have arrived, or not.  It is set last: an attempt that failed added nothing.
PUBLISH = """
if redis.call('EXISTS', KEYS[2]) == 1 then return false end
local epoch, count = redis.call('TIME')[1], 0
if redis.call('EXISTS', KEYS[1]) == 1 then
  local about = redis.call('XINFO', 'STREAM', KEYS[1])
  for i = 1, #about, 2 do
    if about[i] == 'last-generated-id' then epoch, count = string.match(about[i + 1], '(%d+)-(%d+)') end
  end
end
local id = string.format('%s-%d', epoch, count + 1)
redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], id, 'room', ARGV[1], 'text', ARGV[2])
redis.call('SET', KEYS[2], '', 'EX', 60)
return id
"""

#: Takes a name until the time of its server is over.  Redis's own clock counts: those of servers differ.
CLAIM = """
local now = tonumber(redis.call('TIME')[1])
local until_ = redis.call('ZSCORE', KEYS[1], ARGV[1])
if until_ and tonumber(until_) > now then return 0 end
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
return 1
"""

#: Keeps the names of a server that lives, and returns those whose server does not: each to one caller only, and at
#: most 1,000 at once, as Lua's ``unpack`` takes some thousands only.
KEEP = """
local now = tonumber(redis.call('TIME')[1])
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], now + ARGV[1], ARGV[i]) end
local gone = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 1000)
if #gone > 0 then redis.call('ZREM', KEYS[1], unpack(gone)) end
return gone
"""


class RedisExchange(Exchange):
    """An exchange on a Redis or Valkey server; it needs the package ``redis`` (``pip install redis``).

    One thread reads, for all clients of this process.

    The inherited names are those of this server's clients.  It has more attributes than most classes here: its
    options, the client of Redis, and the place in the stream.

    Args:
        url: ``redis://[[user]:password@]host:port/database``, or ``rediss://`` for TLS.
        key: What its keys in Redis begin with.
        max_lines: Lines that the stream keeps, and some more.
        recent: Lines that :meth:`start` delivers first, at most.
        timeout: Seconds to wait for an answer of Redis.
        patience: Seconds for which :meth:`publish` tries again.
        name_lifetime: Seconds after which the names of a server that was killed come free.
    Raises:
        ExchangeError: Redis cannot be used; the text says why.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str = "wsref",
        max_lines: int = 10_000,
        recent: int = 1000,
        timeout: float = 1.0,
        patience: float = 3.0,
        name_lifetime: int = 15,
    ) -> None:
        super().__init__()
        try:
            import redis
            from redis.backoff import NoBackoff
            from redis.retry import Retry
        except ImportError:
            raise ExchangeError("an exchange on Redis needs the package redis: pip install redis") from None
        self._stream, self._key = f"{key}:lines", key
        self._max_lines, self._recent = max_lines, recent
        self._timeout, self._patience, self._name_lifetime = timeout, patience, name_lifetime
        self._errors: Any = redis.RedisError
        self._where = re.sub(r"(?<=//).*@|\?.*", "", url)  # without the password, which may be an option: ?password=
        retry = Retry(NoBackoff(), 1, (redis.ConnectionError,))  # an idle connection of the pool may have ended
        try:
            self._redis: Any = redis.Redis.from_url(
                url,
                protocol=2,
                decode_responses=True,
                encoding_errors="replace",  # another program may have written bytes that are not UTF-8
                retry=retry,
                socket_timeout=timeout,
                socket_connect_timeout=timeout,
            )
            self._ask(self._redis.ping)
        except (ValueError, TypeError) as error:  # TypeError: ping connects, and an option of the URL is unknown
            words = str(error)
            if "cast to integer" in words:  # it quotes the port, which may be the beginning of a password
                words = "the port is not a number; in a password, write %2F for /, %3F for ? and %23 for #"
            raise ExchangeError(f"{self._where!r} is not the URL of a Redis server: {words}") from None
        self._last = Line((0, 0), "", "")  # that was read
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []

    def _ask(self, command: Callable[..., Any], *arguments: object) -> Any:
        """Call Redis.

        Raises:
            ExchangeError: It does not answer, or refuses.
        """
        try:
            return command(*arguments)
        except self._errors as error:
            raise ExchangeError(f"the exchange at {self._where} cannot be used: {explain(error)}") from None

    def start(self, deliver: Callable[[Line | Gap], None]) -> None:
        """As in the base class."""
        for entry in reversed(self._ask(self._redis.xrevrange, self._stream, "+", "-", self._recent)):
            self._last = line_of(entry)
            deliver(self._last)
        for run in (self._read, self._keep_names):
            thread = threading.Thread(target=run, args=(deliver,), name=f"wsref exchange {run.__name__}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def _read(self, deliver: Callable[[Line | Gap], None]) -> None:
        """Deliver every line once, in order, also after Redis was away."""
        away = False
        while not self._stopped.is_set():
            try:
                if away:
                    self._find_place(deliver)
                    logger.warning("the exchange at %s answers again", self._where)
                    away = False
                position = "{}-{}".format(*self._last.id)
                block = int(self._timeout * 500)  # milliseconds: Redis answers before the time of the socket is over
                for _, entries in self._redis.xread({self._stream: position}, count=1000, block=block) or ():
                    for entry in entries:
                        self._deliver_next(line_of(entry), deliver)
            except self._errors as error:
                if not away:
                    logger.error("the exchange at %s cannot be read: %s", self._where, explain(error))
                away = True
                self._stopped.wait(0.2)
            except Exception:  # of ``deliver``: the next line is not its fault
                logger.exception("a line of the exchange was not delivered")

    def _deliver_next(self, line: Line, deliver: Callable[[Line | Gap], None]) -> None:
        (epoch, count), self._last = self._last.id, line
        if line.id[0] == epoch:
            missing: int | None = line.id[1] - count - 1
        else:  # the stream began anew
            missing = None if epoch else line.id[1] - 1
        if missing != 0:
            deliver(Gap(missing))
        deliver(line)

    def _find_place(self, deliver: Callable[[Line | Gap], None]) -> None:
        """Go on behind our last line; if Redis has lost that one, behind the last line that it has."""
        newest = self._redis.xrevrange(self._stream, "+", "-", 1)
        line = line_of(newest[0]) if newest else Line((0, 0), "", "")
        if line.id < self._last.id:
            deliver(Gap(None))
            self._last = line
            return
        place = "{}-{}".format(*self._last.id)
        for entry in self._redis.xrange(self._stream, place, place):
            line = line_of(entry)
            if line != self._last:  # Redis lost our line, and another server's new line has its id
                deliver(Gap(None))
                self._last = line
                deliver(line)

    def publish(self, room: str, text: str) -> None:
        """As in the base class."""
        token = f"{self._key}:sent:{uuid.uuid4().hex}"
        deadline = time.monotonic() + self._patience
        while True:
            try:
                self._ask(self._redis.eval, PUBLISH, 2, self._stream, token, room, text, self._max_lines)
                return
            except ExchangeError:
                if time.monotonic() > deadline:
                    raise
                self._stopped.wait(0.1)

    def claim(self, room: str, name: str) -> bool:
        """As in the base class."""
        taken = bool(self._ask(self._redis.eval, CLAIM, 1, self._names_key(room), name, self._name_lifetime))
        if taken:
            super().claim(room, name)
        return taken

    def release(self, room: str, name: str) -> None:
        """As in the base class."""
        super().release(room, name)
        try:
            self._ask(self._redis.zrem, self._names_key(room), name)
        except ExchangeError as error:
            logger.warning("the name %r comes free later: %s", name, error)

    def names(self, room: str) -> list[str]:
        """As in the base class."""
        names: Iterable[str] = self._ask(self._redis.zrange, self._names_key(room), 0, -1)
        return sorted(names)

    def _names_key(self, room: str) -> str:
        return f"{self._key}:names:{room}"

    def _keep_names(self, deliver: Callable[[Line | Gap], None]) -> None:
        """Keep our names in use, and tell of those whose server has gone."""
        while not self._stopped.wait(self._name_lifetime / 3):
            with self._order:
                rooms = list(self._names)
            try:
                for room in rooms:
                    with self._order:  # release() waits: a name that it gave back before KEEP would be in use again
                        arguments = (1, self._names_key(room), self._name_lifetime, *self._names[room])
                        gone = self._ask(self._redis.eval, KEEP, *arguments)
                    for name in gone:
                        self.publish(room, f"* {name} has left")
            except ExchangeError as error:
                logger.warning("the names cannot be kept: %s", error)

    def close(self) -> None:
        """As in the base class."""
        self._stopped.set()
        for thread in self._threads:
            thread.join(self._timeout + self._patience)
        self._redis.close()


def line_of(entry: tuple[str, dict[str, str]]) -> Line:
    """Return the line of an entry of the stream.  An entry that another program wrote is a line in no room."""
    name, fields = entry
    epoch, count = name.split("-")
    return Line((int(epoch), int(count)), fields.get("room", ""), fields.get("text", ""))


def explain(error: Exception) -> str:
    """Return what an error of Redis means to the operator of the server."""
    text = str(error)
    if "WRONGPASS" in text or "invalid username-password" in text:
        return "the password or the user in the URL is wrong"
    if "NOAUTH" in text or "Authentication required" in text:
        return "it wants a password: redis://:PASSWORD@host:port/0"
    if "OOM" in text or "maxmemory" in text:
        return "Redis is full (maxmemory), and takes no lines"
    if "Timeout" in type(error).__name__:
        return "it does not answer in time"
    return text
