"""Faults over real sockets: what clients do when things go wrong.

While each fault happens, a healthy client must not notice, and afterwards nothing may
be left: no thread, no file, no handler (the ``serve`` fixture looks).
"""

from __future__ import annotations

import errno
import logging
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from conftest import DEADLINE, wait_until
from rawclient import BINARY, CLOSE, PONG, TEXT, ZERO, RawClient, close, connected, frame, text, upgrade

from wsref import ConnectionClosed, Echo, Limits, WebSocketHandler, connect
from wsref.network.transport import Transport


@pytest.fixture
def healthy(serve):
    """A server, and a client of it for whom all must be well."""
    server = serve()
    with connected(server) as client:
        yield server, client
        client.send(text("still well"))
        assert client.frame() == (TEXT, b"still well")
        client.send(close())
        assert client.closed() == (1000, "")
    wait_until(lambda: not server._connection_threads)
    assert server.counts.opened == server.counts.closed
    assert not server.handlers


PLACES = {
    "in a header": text("hello")[:1],
    "in the masking key": text("hello")[:4],
    "in the payload": text("hello")[:8],
    "between fragments": frame(TEXT, b"hel", fin=False),
    "in a long frame": frame(BINARY, bytes(300_000), key=ZERO)[:150_000],
    "after a message": text("hello"),
}


class TestTheClientGoes:
    """By RST, by FIN, in the middle of anything."""

    @pytest.mark.parametrize("place", PLACES)
    @pytest.mark.parametrize("how", ["RST", "FIN"])
    def test_in_mid_frame(self, healthy, place, how):
        server, _ = healthy
        for _ in range(20):
            with connected(server) as client:
                client.send(PLACES[place])
                if how == "RST":
                    client.reset()
        wait_until(lambda: len(server._connection_threads) == 1)

    def test_in_the_handshake(self, healthy):
        server, _ = healthy
        for n in range(1, len(upgrade()), 7):
            with connected(server, None) as client:
                client.send(upgrade()[:n])
                client.reset()
        wait_until(lambda: len(server._connection_threads) == 1)

    def test_by_kill_9(self, healthy):
        server, _ = healthy
        program = (
            "import sys; sys.path.insert(0, sys.argv[1]); from rawclient import *\n"
            "c = RawClient(('127.0.0.1', int(sys.argv[2]))); c.open(); c.send(text('hello')[:5])\n"
            "print('there', flush=True); sys.stdin.read()"
        )
        here = os.path.dirname(__file__)
        child = subprocess.Popen(
            [sys.executable, "-c", program, here, str(server.server_address[1])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        with child:
            assert child.stdout.readline() == b"there\n"
            child.kill()
        wait_until(lambda: len(server._connection_threads) == 1)

    def test_while_we_wait_for_its_close(self, serve):
        class Handler(Echo):
            def on_open(self):
                self.close(4000)

        server = serve(Handler)
        for end in ("RST", "FIN"):
            with connected(server) as client:
                assert client.frame()[0] == CLOSE
                if end == "RST":
                    client.reset()
        wait_until(lambda: server.counts.closed == 2)


class TestPieces:
    """How the bytes are cut makes no difference."""

    WIRE = (
        text("one") + frame(TEXT, "€".encode()[:2], fin=False) + frame(9, b"?") + frame(0, "€".encode()[2:]) + close()
    )

    def test_one_byte_at_a_time(self, healthy):
        with connected(healthy[0]) as client:
            client.dribble(self.WIRE)
            assert [client.frame() for _ in range(3)] == [(TEXT, b"one"), (PONG, b"?"), (TEXT, "€".encode())]
            assert client.closed() == (1000, "")

    def test_in_two_pieces_wherever_the_cut_is(self, healthy):
        for cut in range(1, len(self.WIRE)):
            with connected(healthy[0]) as client:
                client.send(self.WIRE[:cut])
                client.send(self.WIRE[cut:])
                assert [client.frame() for _ in range(3)] == [(TEXT, b"one"), (PONG, b"?"), (TEXT, "€".encode())]
                assert client.closed() == (1000, "")


class TestFloods:
    """Refused in time, with the right code, and without memory."""

    @pytest.mark.parametrize(
        ("wire", "code"),
        [
            (bytes.fromhex("82ff 7fffffffffffffff 00000000"), 1009),
            (bytes.fromhex("82ff 8000000000000001 00000000"), 1002),
            (bytes.fromhex("82ff 0000000000100001 00000000"), 1009),
            (frame(BINARY, bytes(1_000_000), fin=False, key=ZERO) + frame(0, bytes(48_577), key=ZERO), 1009),
            (frame(TEXT, fin=False) + frame(0, fin=False) * 1024, 1008),
            (frame(TEXT, b"ok\xff", fin=False), 1007),
            (frame(TEXT, b"ok\xff" + bytes(1000))[:11], 1007),
            (frame(TEXT, b"hello", key=b""), 1002),
        ],
    )
    def test_what_may_not_be_is_refused_before_more_of_it_comes(self, healthy, wire, code):
        with connected(healthy[0]) as client:
            client.send(wire)
            assert client.closed()[0] == code

    def test_a_message_of_just_the_limit_is_echoed(self, healthy):
        with connected(healthy[0]) as client:
            threading.Thread(target=client.send, args=(frame(BINARY, bytes(1_048_576), key=ZERO),)).start()
            assert client.frame() == (BINARY, bytes(1_048_576))

    def test_1024_empty_fragments_pass(self, healthy):
        with connected(healthy[0]) as client:
            client.send(frame(TEXT, fin=False) + frame(0, fin=False) * 1023 + frame(0, b"x"))
            assert client.frame() == (TEXT, b"x")

    def test_65536_fragments_of_64_bytes_are_a_message_of_4_mib(self, serve):
        server = serve(limits=Limits(max_message_size=1 << 22, shutdown_timeout=0.5))
        wire = frame(BINARY, bytes(64), fin=False) + frame(0, bytes(64), fin=False) * 65_534 + frame(0, bytes(64))
        with connected(server) as client:
            threading.Thread(target=client.send, args=(wire,)).start()
            assert client.frame() == (BINARY, bytes(1 << 22))

    def test_a_million_pings_from_a_client_that_does_not_read_end_with_the_send_timeout(self, serve):
        server = serve(limits=Limits(send_timeout=0.3, shutdown_timeout=0.5))
        with connected(server) as client:
            pings = frame(9, bytes(125)) * 1000
            with pytest.raises(OSError):
                for _ in range(1000):
                    client.send(pings)
        wait_until(lambda: server.counts.closed == 1)


class TestManyConnections:
    """A thousand at once, and a hundred that say nothing."""

    @pytest.fixture(autouse=True)
    def room(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = 4096 if hard == resource.RLIM_INFINITY else min(hard, 4096)
        if wanted < 2500:
            pytest.skip(f"at most {hard} open files are allowed here")
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
        yield
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    @pytest.mark.skipif(not hasattr(select, "poll"), reason="on Linux select can watch no file number above 1023")
    def test_1000_connect_at_once_and_sit_idle_while_one_chats(self, serve):
        server = serve(limits=Limits(head_timeout=60, ping_interval=60, shutdown_timeout=2))
        clients = [RawClient(server.server_address) for _ in range(1000)]  # none waits to be accepted
        try:
            for client in clients:
                client.send(upgrade())
            for client in clients:
                assert client.head().startswith("HTTP/1.1 101 ")
            with connected(server) as one:
                for n in range(200):
                    one.send(text(str(n)))
                    assert one.frame() == (TEXT, str(n).encode())
            for client in clients[::50]:
                client.send(text("awake"))
                assert client.frame() == (TEXT, b"awake")
        finally:
            for client in clients:
                client.socket.close()
        wait_until(lambda: not server._connection_threads)

    @pytest.mark.slow
    def test_5000_connect_at_once_and_all_speak(self, serve):
        number, (soft, hard) = 5000, resource.getrlimit(resource.RLIMIT_NOFILE)
        needed = 2 * number + 500  # both ends are in this process
        if hard < needed:
            pytest.skip(f"a process may open {hard} files here, and this needs {needed}")
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed), hard))
        server = serve(limits=Limits(max_connections=number, head_timeout=60, ping_interval=120, shutdown_timeout=2))
        clients = []
        try:
            clients += [RawClient(server.server_address) for _ in range(number)]
            for client in clients:
                client.send(upgrade())
            for client in clients:
                assert client.head().startswith("HTTP/1.1 101 ")
            for n, client in enumerate(clients):
                client.send(text(str(n)))
            for n, client in enumerate(clients):
                assert client.frame() == (TEXT, str(n).encode())
            assert (server.counts.opened, server.counts.refused) == (number, 0)
        finally:
            for client in clients:
                client.socket.close()
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        wait_until(lambda: not server._connection_threads)

    def test_100_who_say_nothing_do_not_keep_out_the_101st(self, serve):
        server = serve(limits=Limits(head_timeout=1, shutdown_timeout=0.5))
        silent = [RawClient(server.server_address) for _ in range(100)]
        try:
            with connected(server) as client:
                client.send(text("hi"))
                assert client.frame() == (TEXT, b"hi")
            for client in silent:
                assert client.rest().startswith(b"HTTP/1.1 408 ")
        finally:
            for client in silent:
                client.socket.close()


class TestTheSystemRunsOut:
    """No file descriptors, and signals in the middle of calls."""

    def test_no_file_descriptors_left_is_survived_without_spinning(self, serve, log, monkeypatch):
        server = serve()
        accept = socket.socket.accept
        calls = []

        def fail(sock):
            if sock is not server.socket:
                return accept(sock)
            calls.append(time.monotonic())
            raise OSError(errno.EMFILE, "Too many open files")

        with monkeypatch.context() as patch:
            patch.setattr(socket.socket, "accept", fail)
            with connected(server, None) as waiting:
                waiting.send(upgrade())
                wait_until(lambda: len(calls) >= 5)
                assert calls[4] - calls[0] >= 0.15, "it backs off"
                patch.setattr(socket.socket, "accept", accept)
                assert " 101 " in waiting.head()  # it was kept waiting, not lost
        complaints = log.text.count("cannot accept connections")
        assert 1 <= complaints <= 1 + (calls[-1] - calls[0]), f"at most one a second: {log.text}"

    def test_signals_that_interrupt_calls_lose_nothing(self, serve):
        """PEP 475."""
        server = serve()
        signal.signal(signal.SIGALRM, lambda *_: None)
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        try:
            with connected(server) as client:
                for n in range(300):
                    message = f"{n} " + "x" * (n * 100)
                    client.send(text(message))
                    assert client.frame() == (TEXT, message.encode())
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)


class TestSlow:
    """Who is slow is waited for, within bounds."""

    def test_a_client_that_reads_late_gets_everything_in_order(self, serve):
        class Handler(WebSocketHandler):
            def on_message(self, message):
                for n in range(200):
                    self.send(b"%04d" % n + bytes(50_000))

        server = serve(Handler)
        with connected(server) as client:
            client.send(text("go"))
            wait_until(lambda: server.handlers)
            (handler,) = server.handlers
            wait_until(lambda: handler._transport.write_lock.locked())
            for n in range(200):
                opcode, payload = client.frame()
                assert (opcode, payload[:4]) == (BINARY, b"%04d" % n)

    def test_a_slow_hook_does_not_cost_the_connection(self, serve):
        class Handler(Echo):
            def on_message(self, message):
                time.sleep(0.3)  # longer than interval and timeout together
                super().on_message(message)

        limits = Limits(ping_interval=0.05, ping_timeout=0.05, shutdown_timeout=0.5)
        with connected(serve(Handler, limits=limits), None) as client:
            # In one packet: a client that is slow to send the second part would be silent for too long.
            client.send(upgrade() + text("x") + frame(9, b"are you there?"))
            assert " 101 " in client.head()
            frames = [client.frame(), client.frame()]
            assert frames == [(TEXT, b"x"), (PONG, b"are you there?")]


@pytest.fixture
def ends():
    """A transport, and the socket at the other end."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        peer = socket.create_connection(listener.getsockname())
        sock, _ = listener.accept()
    with peer, sock:
        yield Transport(sock, Limits()), peer


@pytest.mark.parametrize("per_call", [True, False], ids=["linux", "elsewhere"])
@pytest.mark.parametrize("timeout", [None, 0.0, 5.0])
def test_whatever_timeout_a_socket_has_its_transport_alone_bounds_a_call(monkeypatch, per_call, timeout):
    """The socket of a client has a timeout: that of its connect()."""
    monkeypatch.setattr("wsref.network.transport.PER_CALL", per_call)
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as sock,
    ):
        sock.settimeout(timeout)
        Transport(sock, Limits())
        assert sock.gettimeout() == (None if per_call else 0.0)


class TestInterrupted:
    """A KeyboardInterrupt, and signals that come again and again, in the main thread."""

    def test_what_was_sent_in_part_is_not_sent_again(self, ends, monkeypatch):
        """Nobody knows how much of it is on the wire: nothing may follow."""
        transport, peer = ends
        transport._unsent = memoryview(b"the rest of a frame")

        def interrupted(data):
            transport._socket.sendall(data[:5])
            raise KeyboardInterrupt

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt), transport.write_lock:
            patch.setattr(transport, "_write_sealed", interrupted)
            transport.send(b"the next")
        with pytest.raises(ConnectionClosed, match="sending was interrupted"), transport.write_lock:
            transport.send(b"the next")
        assert peer.recv(100) == b"the r"

    @pytest.mark.parametrize("where", ["finish_close", "transport._send_close_notify", "transport.receive"])
    def test_a_client_that_is_interrupted_in_closing_is_closed_after_it(self, serve, monkeypatch, where):
        ws = connect(serve().url)
        *owner, method = where.split(".")
        owner = ws._channel.transport if owner else ws._channel
        original = getattr(owner, method)

        def interrupted(*args):
            monkeypatch.setattr(owner, method, original)
            raise KeyboardInterrupt

        monkeypatch.setattr(owner, method, interrupted)
        with pytest.raises(KeyboardInterrupt):
            ws.close()
        ws.close()  # returns
        assert ws.closed is not None
        assert ws._channel.transport.fileno() == -1

    def test_a_signal_handler_may_close_the_connection_from_which_its_thread_receives(self, serve):
        """It is called in the middle of the read, and does not wait for itself."""
        ws = connect(serve().url, limits=Limits(close_timeout=DEADLINE))
        signal.signal(signal.SIGALRM, lambda *_: ws.close())
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        try:
            with pytest.raises(ConnectionClosed):
                ws.recv(DEADLINE)
        finally:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
        assert ws.closed.was_clean

    def test_a_read_that_was_interrupted_keeps_no_other_from_reading(self, serve, monkeypatch):
        ws = connect(serve().url)
        notify_all = ws._changed.notify_all

        def interrupted():
            monkeypatch.setattr(ws._changed, "notify_all", notify_all)
            ws._reading = threading.get_ident()  # as if it came one instruction earlier
            raise KeyboardInterrupt

        monkeypatch.setattr(ws._changed, "notify_all", interrupted)
        with pytest.raises(KeyboardInterrupt):
            ws.recv(0)
        ws.send("hi")
        assert ws.recv(DEADLINE) == "hi"
        ws.close()

    def test_signals_do_not_start_a_timeout_again(self, serve):
        """The kernel would: SO_RCVTIMEO counts from the call, and Python calls again (PEP 475)."""
        with connect(serve().url) as ws:
            signal.signal(signal.SIGALRM, lambda *_: None)
            signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
            start = time.monotonic()
            later = threading.Timer(10, ws.send, ["too late"])
            later.start()
            try:
                with pytest.raises(TimeoutError):
                    ws.recv(timeout=0.3)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
                later.cancel()
            assert time.monotonic() - start < 5

    def test_system_exit_in_check_request_is_a_500_and_is_counted(self, serve, log):
        class Exits(WebSocketHandler):
            def check_request(self, request):
                raise SystemExit(1)

        server = serve(Exits)
        with connected(server, None) as client:
            client.send(upgrade())
            assert " 500 " in client.head()
        assert server.counts.refused == 1


class TestATapThatFails:
    """A tap looks on: the connection does not depend on it."""

    @pytest.mark.parametrize("when", ["made", "sent", "received", "at the end"])
    def test_the_connection_goes_on_without_it(self, serve, log, when):
        calls = []

        def tap(sent, data):
            calls.append(data)
            if when == ("at the end" if data == b"" else "sent" if sent else "received"):
                raise OSError("the disk is full")

        def make(transport, name):
            if when == "made":
                raise OSError("the disk is full")
            return tap

        server = serve(tap=make)
        with connected(server) as client:
            client.send(text("hello"))
            assert client.frame() == (TEXT, b"hello")
        wait_until(lambda: server.counts.closed == 1)
        assert log.text.count("OSError: the disk is full") == 1
        assert len(calls) < 10


class TestALogThatFails:
    """A filter or a handler of the user that raises."""

    @pytest.fixture(params=["filter", "handler"])
    def broken_log(self, request, monkeypatch):
        """The log of wsref, with a part that raises; yields the lines that reached it."""
        lines = []

        def fail(record):
            lines.append(record.getMessage())
            raise OSError(28, "no space left on device")

        logger, part = logging.getLogger("wsref"), logging.Handler()
        monkeypatch.setattr(part, "emit" if request.param == "handler" else "filter", fail)
        monkeypatch.setattr(logger, "level", logging.DEBUG)
        logger.addHandler(part)
        yield lines
        logger.removeHandler(part)

    def test_every_line_may_fail_and_the_server_serves(self, serve, broken_log, capfd):
        class Handler(Echo):
            def on_message(self, message):
                if message == "boom":
                    raise ValueError(message)
                super().on_message(message)

        server = serve(Handler, limits=Limits(max_connections=2))
        with connected(server) as healthy:
            for wire, last in [(text("boom") + close(), 1011), (close(), 1000), (frame(TEXT, b"\xff"), 1007)]:
                with connected(server) as client:
                    client.send(wire)
                    assert client.closed()[0] == last
                wait_until(lambda: len(server._connection_threads) == 1)
            for request, status in [
                (b"BAD\r\n\r\n", "400"),
                (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "426"),
                (upgrade(origin="http://evil.example"), "403"),
            ]:
                with connected(server, None) as client:
                    client.send(request)
                    assert status in client.head().split("\r\n")[0]
                wait_until(lambda: len(server._connection_threads) == 1)
            with connected(server), connected(server, None) as third:
                assert "503" in third.head()
            healthy.send(text("well"))
            assert healthy.frame() == (TEXT, b"well")
        wanted = ("101:", "a hook failed", "400:", "426:", "403:", "503:", "closed by")
        wait_until(lambda: all(words in "\n".join(broken_log) for words in wanted))
        assert "no space left on device" in capfd.readouterr().err
        wait_until(lambda: server.counts.closed == server.counts.opened == 5)

    def test_a_transport_that_cannot_be_made_is_counted(self, serve, broken_log, monkeypatch):
        server = serve()
        monkeypatch.setattr(server, "_make_transport", lambda *_: 1 / 0)
        with connected(server, None) as client:
            assert client.rest() == b""
        wait_until(lambda: server.counts.refused == 1)
        monkeypatch.undo()
        with connected(server):
            pass


class TestTwoThreads:
    """What another thread does between two lines of ours."""

    def test_no_data_follows_a_close_that_another_thread_has_queued(self, ends, monkeypatch):
        transport, peer = ends
        transport.queue.append(b"<broadcast>")
        drain = transport.drain

        def preempted():
            monkeypatch.setattr(transport, "drain", drain)
            other = threading.Thread(target=transport.send_nowait, args=(b"<Close>",), kwargs={"last": True})
            other.start()
            other.join()
            drain()

        monkeypatch.setattr(transport, "drain", preempted)
        with pytest.raises(ConnectionClosed, match="a Close has been sent"), transport.write_lock:
            transport.send(b"<data>")
        assert peer.recv(100) == b"<broadcast><Close>"

    def test_a_close_that_did_not_leave_was_not_sent(self, ends, monkeypatch):
        transport, _ = ends

        def fail(data, more=b""):
            transport.abort("the peer is gone")
            raise ConnectionClosed("the peer is gone")

        monkeypatch.setattr(transport, "_write", fail)
        with pytest.raises(ConnectionClosed, match="gone"), transport.write_lock:
            transport.send(b"<Close>", last=True)
        assert not transport.last_sent

    def test_our_close_and_the_clients_at_the_same_time(self, serve, monkeypatch):
        """The server's Close is made, and not queued yet, when the client's comes."""
        server = serve()
        with connected(server) as client:
            wait_until(lambda: server.handlers)
            (handler,) = server.handlers
            begin = handler._channel._begin_close
            begun = threading.Event()

            def slow(*args):
                wire = begin(*args)
                begun.set()
                time.sleep(0.2)
                return wire

            monkeypatch.setattr(handler._channel, "_begin_close", slow)
            thread = threading.Thread(target=handler._go_away)
            thread.start()
            begun.wait()
            client.send(close())
            assert client.closed()[0] == 1001
            thread.join()

    def test_a_slow_on_close_is_not_taken_for_a_close_without_an_answer(self, serve):
        class Slow(WebSocketHandler):
            def on_message(self, message):
                self.close()

            def on_close(self, code, reason):
                transport = self._transport
                time.sleep(1.0)
                reasons.append(transport.abort_reason)

        reasons = []
        server = serve(Slow, limits=Limits(close_timeout=0.3))
        with connected(server) as client:
            client.send(text("x"))
            assert client.frame()[0] == CLOSE
            client.send(close())
            wait_until(lambda: reasons)
        assert reasons == [""]

    def test_recv_without_waiting_finds_what_is_there(self, serve):
        with connect(serve(Echo).url) as ws:
            ws.send("there")
            wait_until(lambda: select.select([ws._channel.transport], [], [], 0)[0])
            assert ws.recv(timeout=0) == "there"
