"""One chat on many servers: the exchange in memory, and on a real Redis that fails in every way."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from conftest import DEADLINE, free_port, wait_until

from wsref import ConnectionClosed, connect
from wsref.apps.exchange import KEEP, Exchange, ExchangeError, Gap, Line, RedisExchange
from wsref.apps.shared_chat import as_text, with_exchange

redis = pytest.importorskip("redis")
if shutil.which("redis-server") is None and not os.environ.get("CI"):
    pytest.skip("redis-server is not installed", allow_module_level=True)


class Redis:
    """A Redis server on a port of its own."""

    def __init__(self, port, folder, *options):
        self.port, self.url = port, f"redis://127.0.0.1:{port}/0"
        self._command = ["redis-server", "--port", str(port), "--save", "", "--dir", str(folder), *options]
        self.start()

    def start(self):
        self.process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        once = redis.retry.Retry(redis.backoff.NoBackoff(), 0)  # its own default waits for seconds
        client = redis.Redis(port=self.port, socket_timeout=1, retry=once)
        wait_until(lambda: self._answers(client))
        client.close()

    @staticmethod
    def _answers(client):
        try:
            return client.ping()
        except redis.AuthenticationError:
            return True
        except redis.RedisError:
            return False

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def redis_server(tmp_path):
    """``redis_server(*options)`` starts one."""
    with free_port() as port:
        made = []

        def start(*options):
            made.append(Redis(port, tmp_path, *options))
            return made[-1]

        yield start
        for server in made:
            server.signal(signal.SIGCONT)
            server.kill()


@pytest.fixture
def exchanges(serve):  # ``serve`` sees that no thread is left: so it ends after them
    """``exchanges(url, ...)``: an exchange that is closed in the end."""
    made = []

    def make(url, **options):
        made.append(RedisExchange(url, **{"timeout": 0.5, "patience": 2.0, "name_lifetime": 2, **options}))
        return made[-1]

    yield make
    for exchange in made:
        exchange.close()


class Client:
    """A client of the chat that remembers all that it gets."""

    def __init__(self, server, name, query=""):
        self.ws = connect(f"{server.url}/chat?name={name}{query}")
        self.got = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        for message in self.ws:
            self.got.append(message)

    def has(self, pattern):
        return any(re.search(pattern, line) for line in list(self.got))

    def close(self):
        self.ws.close()
        self._thread.join(10)


@pytest.fixture
def clients():
    made = []

    def make(server, name, query=""):
        made.append(Client(server, name, query))
        return made[-1]

    yield make
    for client in made:
        client.close()


def places(lines):
    """The places in the order of numbered lines."""
    return [tuple(map(int, found.groups())) for line in lines if (found := re.match(r"(\d+)-(\d+) ", line))]


@pytest.fixture(params=["memory", "redis"])
def exchange(request, redis_server, exchanges):
    if request.param == "memory":
        return Exchange()
    return exchanges(redis_server().url, patience=DEADLINE / 2, name_lifetime=15)


class TestExchange:
    """Both kinds"""

    def test_lines_come_in_order_and_are_counted(self, exchange):
        got = []
        exchange.start(got.append)
        for i in range(5):
            exchange.publish("/chat", f"line {i}")
        wait_until(lambda: len(got) == 5)
        assert [line.text for line in got] == [f"line {i}" for i in range(5)]
        assert [line.id[1] for line in got] == [1, 2, 3, 4, 5]
        assert {line.room for line in got} == {"/chat"}

    def test_a_name_is_in_use_from_claim_to_release(self, exchange):
        exchange.start(lambda line: None)
        assert exchange.claim("/chat", "Ann")
        assert not exchange.claim("/chat", "Ann")
        assert exchange.claim("/other", "Ann")
        assert exchange.claim("/chat", "Bob")
        assert exchange.names("/chat") == ["Ann", "Bob"]
        exchange.release("/chat", "Ann")
        assert exchange.names("/chat") == ["Bob"]
        assert exchange.claim("/chat", "Ann")

    def test_after_its_end_it_delivers_nothing(self):
        exchange, got = Exchange(), []
        exchange.start(got.append)
        exchange.publish("/chat", "before")
        exchange.close()
        exchange.publish("/chat", "after")
        assert [line.text for line in got] == ["before"]

    def test_without_the_package_it_says_how_to_install_it(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "redis", None)
        with pytest.raises(ExchangeError, match=r"pip install redis$"):
            RedisExchange("redis://127.0.0.1/")

    def test_a_name_that_cannot_be_given_back_comes_free_later(self, redis_server, exchanges, log):
        redis = redis_server()
        exchange = exchanges(redis.url)
        assert exchange.claim("/chat", "Ann")
        redis.kill()
        exchange.release("/chat", "Ann")
        assert "the name 'Ann' comes free later: the exchange at redis://" in log.text

    def test_a_name_given_back_while_names_are_kept_stays_free(self, redis_server, exchanges, monkeypatch):
        exchange, given_back = exchanges(redis_server().url), []
        exchange.claim("/chat", "Ann")
        ask, release = exchange._redis.eval, threading.Thread(target=exchange.release, args=("/chat", "Ann"))

        def ask_late(script, *arguments):
            if script == KEEP and "Ann" in arguments and not given_back:
                release.start()
                given_back.append("Ann")
                release.join(1)  # it may end before KEEP, or wait for it
            return ask(script, *arguments)

        monkeypatch.setattr(exchange._redis, "eval", ask_late)
        exchange.start(lambda item: None)
        wait_until(lambda: given_back and not release.is_alive())
        exchange.close()  # ends the thread that keeps the names
        assert exchange._redis.zrange("wsref:names:/chat", 0, -1) == []


class TestSharedChat:
    """The chat over both kinds"""

    def test_a_newcomer_gets_the_last_50_lines_and_one_who_comes_back_what_was_missed(self, exchange, serve, clients):
        server = serve(with_exchange(exchange))
        ann = clients(server, "Ann", "&since=")
        wait_until(lambda: ann.has("Ann has joined"))
        for i in range(60):
            ann.ws.send(f"line {i}")
        wait_until(lambda: ann.has("line 59"))
        bob = clients(server, "Bob")
        wait_until(lambda: bob.has("Bob has joined"))
        assert bob.got == [*(f"Ann: line {i}" for i in range(10, 60)), "* here: Ann, Bob", "* Bob has joined"]
        wait_until(lambda: ann.has("Bob has joined"))
        place = ann.got[30].split(" ")[0]
        back = clients(server, "Cy", f"&since={place}")
        wait_until(lambda: back.has("Cy has joined"))
        assert places(back.got)[: len(ann.got) - 31] == places(ann.got)[30:]
        assert not back.has("missing")

    def test_a_gap_is_counted(self):
        words = [as_text(Gap(number), False) for number in (1, 2, None)]
        assert words == [f"* {lines} missing here" for lines in ("1 line is", "2 lines are", "some lines are")]

    def test_the_same_name_gets_a_number_and_comes_free(self, exchange, serve, clients):
        server = serve(with_exchange(exchange))
        first, second = clients(server, "Ann"), None
        wait_until(lambda: first.has("Ann has joined"))
        second = clients(server, "Ann")
        wait_until(lambda: first.has("Ann 2 has joined"))
        second.close()
        wait_until(lambda: first.has("Ann 2 has left"))
        assert exchange.names("/chat") == ["Ann"]

    def test_one_who_comes_back_after_too_many_lines_is_told(self, exchange, serve, clients, monkeypatch):
        monkeypatch.setattr("wsref.apps.shared_chat.REMEMBERED", 5)
        server = serve(with_exchange(exchange))
        ann = clients(server, "Ann", "&since=")
        for i in range(10):
            ann.ws.send(f"line {i}")
        wait_until(lambda: ann.has("line 9"))
        epoch = places(ann.got)[0][0]
        back = clients(server, "Bob", f"&since={epoch}-2")
        wait_until(lambda: back.has("line 9"))
        assert back.got[0] == "* some lines are missing here"
        assert len(places(back.got)) >= 5

    def test_a_line_that_is_too_long_is_not_published(self, exchange, serve, clients):
        """Each server remembers 1,000 lines."""
        demo = with_exchange(exchange)
        ann = clients(serve(demo), "Ann")
        longest = demo.MAX_LINE
        for size in (longest + 1, longest):
            ann.ws.send("x" * size)
        wait_until(lambda: ann.has("Ann: x"))
        assert any(line.startswith("* not sent: a line has at most 16384 characters") for line in ann.got)
        assert max(len(line.text) for line in demo.rooms.room("/chat")._items) == longest + len("Ann: ")

    def test_a_gap_is_told_to_everyone(self, serve, clients):
        exchange = Exchange()
        server = serve(with_exchange(exchange))
        ann = clients(server, "Ann")
        wait_until(lambda: ann.has("Ann has joined"))
        exchange._deliver(Gap(3))
        exchange._deliver(Gap(None))
        wait_until(lambda: ann.has("some lines are missing here"))
        assert ann.got[-2:] == ["* 3 lines are missing here", "* some lines are missing here"]


class TestManyServers:
    """Redis, three servers, and what fails"""

    def test_any_number_of_names_whose_servers_are_gone_come_free(self, redis_server, exchanges):
        """Lua's unpack takes some thousands: with more, no name could be kept any more."""
        exchange = exchanges(redis_server().url)
        key = exchange._names_key("/chat")
        exchange._redis.zadd(key, {f"guest {n}": 1 for n in range(9000)})
        gone = [name for _ in range(10) for name in exchange._redis.eval(KEEP, 1, key, 15, "Ann")]
        assert len(set(gone)) == len(gone) == 9000
        assert exchange.names("/chat") == ["Ann"]

    @pytest.fixture
    def three(self, redis_server, exchanges, serve):
        """Redis and three servers; Redis keeps each line on disk before it answers."""
        server = redis_server("--appendonly", "yes", "--appendfsync", "always")
        return server, [serve(with_exchange(exchanges(server.url))) for _ in range(3)]

    def test_one_order_for_everyone(self, three, clients):
        _, servers = three
        everyone = [clients(servers[i % 3], f"c{i}", "&since=") for i in range(9)]
        for client in everyone:
            wait_until(lambda client=client: client.has("has joined"))

        def talk(client, i):
            for n in range(20):
                client.ws.send(f"{i}:{n}")

        threads = [threading.Thread(target=talk, args=(client, i)) for i, client in enumerate(everyone)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        def said(client):
            return [line for line in list(client.got) if re.search(r": \d+:\d+$", line)]

        for client in everyone:
            wait_until(lambda client=client: len(said(client)) >= 180)
        orders = [said(client) for client in everyone]
        assert all(order == orders[0] for order in orders)
        assert len(orders[0]) == len(set(orders[0])) == 180

    def test_bytes_of_another_program_that_are_not_utf_8_harm_no_line_after_them(self, redis_server, exchanges):
        server, got = redis_server(), []
        exchange = exchanges(server.url)
        exchange.start(got.append)
        redis.Redis(port=server.port).xadd("wsref:lines", {"room": "/chat", "text": b"\xff"})
        exchange.publish("/chat", "hello")
        wait_until(lambda: any(isinstance(item, Line) and item.text == "hello" for item in got))
        assert "\ufffd" in [item.text for item in got if isinstance(item, Line)]

    def test_an_entry_of_another_program_stops_nothing(self, redis_server, exchanges, caplog):
        server = redis_server()
        exchange, got = exchanges(server.url), []
        add = exchange._redis.xadd
        add("wsref:lines", {"theirs": "1"})  # start reads it
        exchange.start(got.append)
        exchange.publish("/chat", "first")
        wait_until(lambda: any(line.text == "first" for line in got))
        add("wsref:lines", {"room": "/chat"})
        exchange.publish("/chat", "second")
        wait_until(lambda: any(isinstance(line, Line) and line.text == "second" for line in got))
        assert "Traceback" not in caplog.text

    def test_after_an_operator_deleted_the_last_lines_the_next_ones_come(self, redis_server, exchanges):
        """``XDEL`` or ``XTRIM``, of a line that must go: its id is used up."""
        server, got = redis_server(), []
        exchange, admin = exchanges(server.url), redis.Redis(port=server.port)
        exchange.start(got.append)
        for i in range(3):
            exchange.publish("/chat", str(i))
        admin.xdel("wsref:lines", admin.xrevrange("wsref:lines", count=1)[0][0])
        exchange.publish("/chat", "after XDEL")
        admin.xtrim("wsref:lines", 0, approximate=False)
        exchange.publish("/chat", "after XTRIM")
        wait_until(lambda: got and isinstance(got[-1], Line) and got[-1].text == "after XTRIM")
        assert got[-1].id[1] == 5
        admin.close()

    def test_a_line_that_redis_refuses_is_an_error_and_not_taken_for_added(self, redis_server, exchanges):
        server = redis_server()
        exchange, admin = exchanges(server.url, patience=0.5), redis.Redis(port=server.port)
        admin.set("wsref:lines", "the stream of another program")
        with pytest.raises(ExchangeError, match="WRONGTYPE"):
            exchange.publish("/chat", "lost")
        admin.close()

    @pytest.mark.parametrize(
        "url",
        [
            "redis//:secret@host",
            "http://me:secret@host/",
            "redis://:secret@127.0.0.1:1/0",
            "redis://:secret/more@host/0",
            "redis://:secret?more@host/0",
            "redis://:secret#more@host/0",
            "redis://127.0.0.1:1/0?password=secret",
            "redis://127.0.0.1:1/0?passwort=secret",
        ],
    )
    def test_no_error_shows_the_password(self, url):
        with pytest.raises(ExchangeError) as error:
            RedisExchange(url)
        assert "secret" not in str(error.value)

    @pytest.mark.slow
    def test_redis_is_killed_and_comes_back_while_50_talk(self, three, clients):
        server, servers = three
        everyone = [clients(servers[i % 3], f"c{i}", "&since=") for i in range(50)]
        for client in everyone:
            wait_until(lambda client=client: client.has("has joined"))
        last, go_on = 12, threading.Event()

        def talk(client, i):
            for n in range(last + 1):
                client.ws.send(f"{i}:{n}")
                if n == last // 2:
                    go_on.wait(30)

        threads = [threading.Thread(target=talk, args=(client, i)) for i, client in enumerate(everyone)]
        for thread in threads:
            thread.start()
        server.kill()
        go_on.set()
        server.start()
        for thread in threads:
            thread.join()
        uncertain = 0
        for i, client in enumerate(everyone):
            ended = rf"(: |late or lost.*){i}:{last}$"
            wait_until(lambda client=client, ended=ended: client.has(ended))
        for client in everyone:
            uncertain += sum("late or lost" in line for line in client.got)
        numbered = [[line for line in client.got if re.match(r"\d+-\d+ .*: \d+:\d+$", line)] for client in everyone]
        least = 50 * (last + 1) - uncertain
        wait_until(lambda: all(sum(": " in line for line in list(client.got)) >= least for client in everyone))
        newest = max(place for client in everyone for place in places(client.got))
        wait_until(lambda: all(newest in places(list(client.got)) for client in everyone))
        numbered = [[line for line in client.got if re.match(r"\d+-\d+ .*: \d+:\d+$", line)] for client in everyone]
        assert all(lines == numbered[0] for lines in numbered), "one order for everyone"
        assert len(set(numbered[0])) == len(numbered[0]) >= least, "no line lost or doubled"
        texts = [line.split(": ", 1)[1] for line in numbered[0]]
        assert len(set(texts)) == len(texts)
        assert not any(client.has("missing") for client in everyone)

    @pytest.mark.slow
    def test_redis_hangs_for_five_seconds(self, three, clients):
        server, servers = three
        ann, bob = clients(servers[0], "Ann", "&since="), clients(servers[1], "Bob", "&since=")
        wait_until(lambda: ann.has("Bob has joined") and bob.has("Bob has joined"))
        server.signal(signal.SIGSTOP)
        ann.ws.send("into the silence")
        wait_until(lambda: ann.has("late or lost, because the exchange does not answer: Ann: into the silence"))
        late = connect(f"{servers[2].url}/chat?name=Cy")
        with pytest.raises(ConnectionClosed, match="1013"):
            late.recv(timeout=20)
        server.signal(signal.SIGCONT)
        ann.ws.send("and after it")
        wait_until(lambda: bob.has("Ann: and after it"))
        assert sum("into the silence" in line for line in bob.got) <= 1
        assert places(bob.got) == sorted(set(places(bob.got)))

    @pytest.mark.slow
    def test_the_names_of_a_server_that_was_killed_come_free_and_that_is_told_once(self, three, clients):
        server, servers = three
        ann, bob = clients(servers[0], "Ann"), clients(servers[1], "Bob")
        wait_until(lambda: ann.has("Bob has joined") and bob.has("Bob has joined"))
        program = (
            "import sys; from wsref.apps.exchange import RedisExchange; exchange = RedisExchange(sys.argv[1], "
            "name_lifetime=2); exchange.start(print); exchange.claim('/chat', 'Cy'); print('ready', flush=True); "
            "sys.stdin.read()"
        )
        killed = subprocess.Popen(
            [sys.executable, "-c", program, server.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert any(line == "ready\n" for line in killed.stdout)
        second = clients(servers[0], "Cy")
        wait_until(lambda: second.has("here: Ann, Bob, Cy, Cy 2"))
        killed.kill()
        killed.communicate()
        wait_until(lambda: bob.has(r"\* Cy has left"))
        third = clients(servers[2], "Cy")
        wait_until(lambda: bob.has(r"\* Cy has joined"))
        assert sum(line == "* Cy has left" for line in bob.got) == 1
        third.close()


class TestRedisFails:
    """What Redis refuses, and what it forgot"""

    def test_a_wrong_password_and_a_wrong_address_are_named(self, redis_server):
        server = redis_server("--requirepass", "secret")
        with pytest.raises(ExchangeError, match="the password or the user in the URL is wrong") as caught:
            RedisExchange(server.url.replace("//", "//:wrong@"))
        assert "wrong@" not in str(caught.value)
        with pytest.raises(ExchangeError, match="it wants a password"):
            RedisExchange(server.url)
        RedisExchange(server.url.replace("//", "//:secret@")).close()
        server.kill()
        with pytest.raises(ExchangeError, match="Connection refused"):
            RedisExchange(server.url)
        with pytest.raises(ExchangeError, match="is not the URL of a Redis server"):
            RedisExchange("http://127.0.0.1/")

    def test_a_full_redis_is_named_and_clients_are_told(self, redis_server, exchanges, serve, clients, log):
        server = redis_server()
        handler = with_exchange(exchanges(server.url, patience=0.1))
        ann = clients(serve(handler), "Ann")
        wait_until(lambda: ann.has("Ann has joined"))
        admin = redis.Redis(port=server.port)
        admin.config_set("maxmemory", "1")
        ann.ws.send("too much")
        wait_until(lambda: ann.has("late or lost, because the exchange does not answer: Ann: too much"))
        assert "Redis is full (maxmemory), and takes no lines" in log.text
        admin.config_set("maxmemory", "0")
        ann.ws.send("there is room")
        wait_until(lambda: ann.has("Ann: there is room"))
        admin.close()

    def test_a_server_that_lags_behind_the_trim_is_told_how_much_it_missed(self, redis_server, exchanges):
        server = redis_server()
        slow, fast = exchanges(server.url, max_lines=100), exchanges(server.url, max_lines=100)
        got, go_on = [], threading.Event()

        def deliver(item):
            got.append(item)
            go_on.wait(20)

        slow.start(deliver)
        fast.publish("/chat", "0")
        wait_until(lambda: got)
        for i in range(1, 500):
            fast.publish("/chat", str(i))
        go_on.set()
        wait_until(lambda: isinstance(got[-1], Line) and got[-1].text == "499")
        gaps = [item for item in got if isinstance(item, Gap)]
        lines = [item for item in got if isinstance(item, Line)]
        assert len(gaps) == 1
        assert gaps[0].count + len(lines) == 500

    def test_a_redis_that_forgot_everything_is_a_gap_and_not_silence(self, redis_server, exchanges):
        server = redis_server()
        exchange, got = exchanges(server.url), []
        exchange.start(got.append)
        for i in range(3):
            exchange.publish("/chat", str(i))
        wait_until(lambda: len(got) == 3)
        server.kill()
        time.sleep(1.1)  # another second: the epoch of the new stream differs
        server.start()
        exchange.publish("/chat", "after it")
        wait_until(lambda: got[-1] != got[2] and isinstance(got[-1], Line) and got[-1].text == "after it")
        assert [type(item) for item in got] == [Line, Line, Line, Gap, Line]

    def test_a_line_that_has_the_id_of_a_lost_one_is_delivered(self, redis_server, exchanges, monkeypatch):
        """Redis came back without its last lines, and another server published before this one read again."""
        server = redis_server()
        exchange, got, admin = exchanges(server.url), [], redis.Redis(port=server.port)
        exchange.start(got.append)
        for text in ("0", "1", "lost"):
            exchange.publish("/chat", text)
        wait_until(lambda: len(got) == 3)
        epoch, read, fails = got[0].id[0], exchange._redis.xread, [redis.ConnectionError("Redis is restarted")]
        admin.delete("wsref:lines")
        for count, text in enumerate(("0", "1", "new"), 1):
            admin.xadd("wsref:lines", {"room": "/chat", "text": text}, id=f"{epoch}-{count}")

        def read_again(*arguments, **options):
            if fails:
                raise fails.pop()
            return read(*arguments, **options)

        monkeypatch.setattr(exchange._redis, "xread", read_again)
        wait_until(lambda: not fails)
        exchange.publish("/chat", "the next")
        wait_until(lambda: isinstance(got[-1], Line) and got[-1].text == "the next")
        assert [item.text if isinstance(item, Line) else item for item in got[3:]] == [Gap(None), "new", "the next"]
        admin.close()

    def test_a_line_whose_first_try_got_no_answer_is_added_once(self, redis_server, exchanges):
        server = redis_server()
        exchange, got = exchanges(server.url, timeout=0.3, patience=20), []
        exchange.start(got.append)
        server.signal(signal.SIGSTOP)
        thread = threading.Thread(target=exchange.publish, args=("/chat", "once"))
        thread.start()
        time.sleep(1)  # several tries, whose bytes wait in Redis's socket
        server.signal(signal.SIGCONT)
        thread.join()
        exchange.publish("/chat", "the next")
        wait_until(lambda: got and got[-1].text == "the next")
        assert [line.text for line in got] == ["once", "the next"]

    def test_what_deliver_raises_is_logged_and_the_next_line_comes(self, redis_server, exchanges, log):
        exchange, got = exchanges(redis_server().url), []

        def deliver(line):
            got.append(line.text)
            if line.text == "boom":
                raise ValueError("on purpose")

        exchange.start(deliver)
        for text in ("boom", "next"):
            exchange.publish("/chat", text)
        wait_until(lambda: got == ["boom", "next"])
        assert "on purpose" in log.text


class TestCommand:
    """``--exchange`` and ``--reuse-port``"""

    @pytest.mark.skipif(not hasattr(socket, "SO_REUSEPORT"), reason="the system cannot share a port")
    def test_two_processes_share_a_port_and_a_chat(self, redis_server):
        server = redis_server()
        with free_port() as port:
            command = [sys.executable, "-m", "wsref", "--port", str(port), "--reuse-port", "--exchange", server.url]
            processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
            try:
                for process in processes:
                    assert "Open http" in process.stdout.readline()
                sockets = [connect(f"ws://127.0.0.1:{port}/chat?name=c{i}") for i in range(8)]
                sockets[0].send("hello")
                for ws in sockets:
                    assert any(message == "c0: hello" for message in ws)
                    ws.close()
            finally:
                for process in processes:
                    process.send_signal(signal.SIGINT)
                    process.communicate(timeout=30)

    def test_a_redis_that_is_not_there_is_one_line(self):
        with free_port() as port:
            done = subprocess.run(
                [sys.executable, "-m", "wsref", "--exchange", f"redis://127.0.0.1:{port}/0"],
                capture_output=True,
                text=True,
            )
        assert done.returncode == 1
        assert done.stderr.startswith(f"wsref: the exchange at redis://127.0.0.1:{port}/0 cannot be used: ")
        assert done.stderr.count("\n") == 1
