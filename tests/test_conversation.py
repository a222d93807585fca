"""Chapters 6 to 8 and 10 over real sockets: hooks, order, closing, and nothing lost.

"Nothing lost", as statements that can be checked:

N1  Every complete valid message that came before a Close or a failure is given to the
    handler once, whole, in order.
N2  Replies to messages that came before the peer's Close leave before our answer to it.
N3  ``send`` returns when the kernel has the whole frame, else it raises, and nothing
    more is written; frames of two senders never mix.
N4  A clean close is the only proof that the peer got everything, and the API says so.
N5  Codes are truthful: what was received is not mixed up with what was sent.
N6  ``on_open`` and ``on_close`` once for each connection; accepted = refused + opened.
N7  A broadcast says what became of it for each client; a drop is never silent.
N8  When the server ends, each client gets 1001 or is cut in bounded time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import DEADLINE, wait_until
from rawclient import BINARY, CLOSE, PING, PONG, TEXT, close, connected, frame, text, upgrade

from wsref import Chat, Compression, ConnectionClosed, Echo, Limits, State, WebSocketHandler, connect
from wsref.apps.demo import Demo


class Journal(Echo):
    """An echo that writes down what happens to it; a class of its own for each test."""

    def __init_subclass__(cls):
        cls.happened = queue.SimpleQueue()

    def on_open(self):
        self.happened.put(("open", self))

    def on_message(self, message):
        self.happened.put(("message", message))
        super().on_message(message)

    def on_close(self, code, reason):
        self.happened.put(("close", code, reason, self.closed))

    @classmethod
    def next(cls):
        return cls.happened.get(timeout=DEADLINE)


@pytest.fixture
def journal():
    class Fresh(Journal):
        pass

    return Fresh


class TestHooks:
    """What a handler's author is promised."""

    def test_text_is_str_and_binary_is_bytes(self, serve, journal):
        with connected(serve(journal)) as client:
            client.send(frame(TEXT, "héllo €".encode()) + frame(BINARY, b"\x00\xff"))
            assert client.frame() == (TEXT, "héllo €".encode())
            assert client.frame() == (BINARY, b"\x00\xff")
        assert [journal.next() for _ in range(3)][1:] == [("message", "héllo €"), ("message", b"\x00\xff")]

    def test_the_handler_mirrors_the_browsers_object(self, serve, journal):
        with connected(serve(journal), "/chat?name=Ann") as client:
            _, handler = journal.next()
            assert handler.ready_state is State.OPEN == 1
            assert (handler.request.path, handler.request.query) == ("/chat", {"name": ["Ann"]})
            assert handler.subprotocol is None
            client.send(close(4000, "bye"))
            assert client.closed() == (4000, "")
        assert journal.next()[:3] == ("close", 4000, "bye")
        wait_until(lambda: handler.ready_state is State.CLOSED == 3)
        with pytest.raises(ConnectionClosed):
            handler.send("too late")
        handler.close()  # as in the browser: no error, no effect

    def test_an_exception_in_a_hook_is_logged_and_closes_this_connection_with_1011(self, serve, log):
        class Handler(Echo):
            def on_message(self, message):
                if message == "boom":
                    raise ZeroDivisionError("on purpose")
                super().on_message(message)

        server = serve(Handler)
        with connected(server) as other, connected(server) as client:
            client.send(text("boom") + text("not given to a broken handler"))
            assert client.frame() == (CLOSE, struct.pack("!H", 1011))
            client.send(close(1011))
            assert client.rest() == b""
            other.send(text("alive"))
            assert other.frame() == (TEXT, b"alive")
        assert "ZeroDivisionError: on purpose" in log.text

    @pytest.mark.parametrize("error", [SystemExit, MemoryError, KeyboardInterrupt, asyncio.CancelledError])
    @pytest.mark.parametrize("hook", ["on_open", "on_message", "on_pong", "on_close"])
    def test_nothing_that_a_hook_raises_ends_the_server(self, serve, hook, error, log):
        def fail(self, *args):
            raise error

        server = serve(type("Handler", (Echo,), {hook: fail}))
        with connected(server) as client:
            client.send(text("x") + frame(PONG) + close(1000))
            client.rest()
        assert error.__name__ in log.text
        with connected(server):
            pass
        wait_until(lambda: server.counts.closed == 2)

    def test_on_close_may_send_in_vain(self, serve, log):
        class Handler(Echo):
            def on_close(self, code, reason):
                self.send("too late")

        with connected(serve(Handler)) as client:
            client.send(close())
            assert client.closed() == (1000, "")
        assert not [record for record in log.records if record.levelno >= logging.ERROR]

    def test_close_from_a_hook_closes_with_that_code(self, serve, journal):
        class Handler(journal):
            happened = journal.happened

            def on_message(self, message):
                self.close(4321, "enough")

        with connected(serve(Handler)) as client:
            client.send(text("x"))
            assert client.frame() == (CLOSE, struct.pack("!H", 4321) + b"enough")
            client.send(close(4321))
            assert client.rest() == b""

    def test_close_from_another_thread_that_is_not_answered_ends_after_the_timeout(self, serve, journal):
        limits = Limits(close_timeout=0.2, ping_interval=60, shutdown_timeout=0.5)
        with connected(serve(journal, limits=limits)) as client:
            _, handler = journal.next()
            handler.close(1000, "go")  # the reading thread has 60 s of patience left
            assert client.frame()[0] == CLOSE
            assert client.rest() == b""
            kind, code, _, closed = journal.next()
            assert (kind, code, closed.sent_code, closed.was_clean, closed.initiated_locally) == (
                "close",
                1006,
                1000,
                False,
                True,
            )

    def test_messages_that_come_after_our_close_are_still_given(self, serve, journal):
        class Handler(journal):
            happened = queue.SimpleQueue()

            def on_message(self, message):
                self.happened.put(message)
                self.close(1000)

        with connected(serve(Handler)) as client:
            client.send(text("1") + text("2") + close())
            assert client.closed() == (1000, "")
        assert [Handler.next() for _ in range(3)][1:] == ["1", "2"]

    def test_a_pong_comes_to_on_pong(self, serve):
        got = queue.SimpleQueue()

        class Handler(Echo):
            def on_open(self):
                self.ping(b"are you there?")

            def on_pong(self, data):
                got.put(data)

        with connected(serve(Handler)) as client:
            assert client.frame() == (PING, b"are you there?")
            client.send(frame(PONG, b"are you there?"))
            assert got.get(timeout=DEADLINE) == b"are you there?"


class TestNothingLost:
    """N1 to N8."""

    def test_n1_n2_200_messages_a_ping_and_a_close_in_one_packet(self, serve, journal):
        server = serve(journal)
        wire = b"".join(text(str(n)) for n in range(200)) + frame(PING, b"?") + close(1000, "done")
        with connected(server, None) as client:
            client.send(upgrade() + wire)
            assert " 101 " in client.head()
            for n in range(200):
                assert client.frame() == (TEXT, str(n).encode())
            assert client.frame() == (PONG, b"?")
            assert client.frame() == (CLOSE, struct.pack("!H", 1000))
            assert client.rest() == b""
        events = [journal.next() for _ in range(202)]
        assert [event[1] for event in events[1:-1]] == [str(n) for n in range(200)]
        assert events[-1][:3] == ("close", 1000, "done")

    def test_n1_what_came_before_a_failure_is_given_and_nothing_after(self, serve, journal):
        with connected(serve(journal)) as client:
            client.send(text("good") + frame(3, b"bad") + text("never") + close())
            assert client.frame() == (TEXT, b"good")
            code, reason = client.closed()
            assert code == 1002
            assert "opcode 0x3 is reserved (RFC 6455 §5.2)" in reason
        assert [journal.next()[:2] for _ in range(3)][1:] == [("message", "good"), ("close", 1006)]

    def test_n3_send_raises_when_not_all_was_sent_and_nothing_follows(self, serve):
        sent, failed = [], threading.Event()

        class Handler(Echo):
            def on_message(self, message):
                try:
                    while True:
                        self.send(bytes(100_000))
                        sent.append(1)
                except ConnectionClosed:
                    with pytest.raises(ConnectionClosed):
                        self.send("after that")
                    failed.set()

        server = serve(Handler, limits=Limits(send_timeout=0.3, shutdown_timeout=0.5))
        with connected(server) as client:
            client.send(text("go"))
            assert failed.wait(DEADLINE)
            wire = client.rest()
        # Some of what the kernel took it has thrown away with the connection.
        assert len(wire) <= len(sent) * 100_010 + 100_009
        for start in range(0, len(wire), 100_010):
            assert wire[start : start + 10].startswith(b"\x82\x7f\0\0\0\0\0\x01\x86\xa0"[: len(wire) - start])
        assert not wire.strip(b"\x82\x7f\0\x01\x86\xa0")  # nothing but these messages

    def test_n3_n7_messages_of_eight_threads_arrive_whole_and_each_threads_in_order(self, serve, journal):
        server = serve(journal)
        with connected(server) as client:
            _, handler = journal.next()

            def talk(me):
                for n in range(500):
                    handler.send(f"{me} {n} " + "x" * (n * 7 % 3000))

            threads = [threading.Thread(target=talk, args=(me,)) for me in range(8)]
            for thread in threads:
                thread.start()
            last = dict.fromkeys(range(8), -1)
            for _ in range(8 * 500):
                opcode, payload = client.frame()
                me, n, rest = payload.decode().split(" ")
                assert (opcode, int(n)) == (TEXT, last[int(me)] + 1)
                assert rest == "x" * (int(n) * 7 % 3000)
                last[int(me)] = int(n)
            for thread in threads:
                thread.join()

    def test_n4_n5_who_closed_and_how_is_told_truthfully(self, serve, journal):
        server = serve(journal)
        cases = [
            (close(3000, "x"), (3000, 3000, True, False)),
            (frame(CLOSE), (1005, 1005, True, False)),
            (b"", (1006, None, False, False)),  # EOF, and no Close
            (frame(TEXT, b"\xff"), (1006, 1007, False, True)),
            (frame(TEXT, b"hi", key=b""), (1006, 1002, False, True)),
        ]
        for wire, expected in cases:
            with connected(server) as client:
                client.send(wire)
                client.socket.shutdown(socket.SHUT_WR)
                client.rest()
            journal.next()
            kind, code, _, closed = journal.next()
            assert (kind, code) == ("close", closed.code)
            assert (closed.code, closed.sent_code, closed.was_clean, closed.initiated_locally) == expected

    def test_n6_on_open_and_on_close_are_called_once_for_each_connection(self, serve, journal):
        server = serve(journal)
        for end in (close(), b"", frame(7), text("x") + close()):
            with connected(server) as client:
                client.send(end)
                client.socket.shutdown(socket.SHUT_WR)
                client.rest()
        wait_until(lambda: server.counts.closed == 4 and not server._connection_threads)
        kinds = [journal.next()[0] for _ in range(9)]
        assert (kinds.count("open"), kinds.count("close")) == (4, 4)
        assert journal.happened.empty()
        assert server.counts.accepted == server.counts.opened + server.counts.refused

    def test_n8_everyone_gets_1001_when_the_server_ends_also_those_who_are_busy(self, serve, journal):
        server = serve(journal)
        clients = [connected(server) for _ in range(20)]
        opened = [client.__enter__() for client in clients]
        ended = threading.Thread(target=server.server_close)
        server.shutdown()
        ended.start()
        for client in opened:
            opcode, payload = client.frame()
            assert (opcode, payload[:2]) == (CLOSE, struct.pack("!H", 1001))
            client.send(close(1001))
            assert client.rest() == b""
        ended.join(DEADLINE)
        assert not ended.is_alive()
        for client in clients:
            client.__exit__(None, None, None)
        wait_until(lambda: server.counts.closed == 20)

    def test_n8_a_client_that_does_not_answer_is_cut_in_bounded_time(self, serve, journal, log):
        server = serve(journal, limits=Limits(close_timeout=40, shutdown_timeout=0.2))
        with connected(server) as client, connected(server, None):
            journal.next()
            server.shutdown()
            began = time.monotonic()
            server.server_close()
            assert time.monotonic() - began < DEADLINE, "it waited for the client's Close"
            assert client.closed()[0] == 1001
        assert "not all clients answered Close 1001" in log.text

    def test_n8_a_connection_whose_thread_begins_while_the_server_ends_is_cut(self, serve, monkeypatch):
        accepted, may_begin = threading.Event(), threading.Event()

        def tap(*_):
            accepted.set()
            may_begin.wait(DEADLINE)
            return lambda *_: None

        server = serve(tap=tap, limits=Limits(shutdown_timeout=2 * DEADLINE))
        wait = server._connection_threads.wait

        def wait_for_the_last(timeout):
            may_begin.set()  # everyone else has got a 1001
            return wait(timeout)

        monkeypatch.setattr(server._connection_threads, "wait", wait_for_the_last)
        with connected(server, None) as client:
            assert accepted.wait(DEADLINE)
            ended = threading.Thread(target=server.stop)
            ended.start()
            assert client.rest() == b""
            ended.join(DEADLINE)
            assert not ended.is_alive()

    def test_n8_a_hook_that_never_returns_is_named_and_does_not_keep_the_server(self, serve, log):
        entered, may_return = threading.Event(), threading.Event()

        class Handler(WebSocketHandler):
            def on_message(self, message):
                entered.set()
                may_return.wait(DEADLINE)

        server = serve(Handler, limits=Limits(shutdown_timeout=0.2))
        with connected(server) as client:
            client.send(text("for ever"))
            assert entered.wait(DEADLINE)
            (handler,) = server.handlers
            ended = threading.Thread(target=server.stop)
            ended.start()
            ended.join(DEADLINE / 2)
            assert not ended.is_alive(), "it waited for the hook"
            assert f"hooks that still run: 1 ({handler._name})" in log.text
            may_return.set()


class TestWhenThingsCross:
    """What a review found: what is posted, claimed or raised at an awkward moment."""

    def test_a_close_that_waits_behind_a_frame_leaves_though_the_peers_close_comes_first(self, serve, journal):
        server = serve(journal, limits=Limits(send_timeout=DEADLINE, close_timeout=DEADLINE, shutdown_timeout=5))
        with connected(server) as client:
            _, handler = journal.next()
            wait_until(lambda: len(server.handlers) == 1)  # its on_open has returned
            blob = bytes(20_000_000)
            server.broadcast(blob)  # the kernel takes a part of it
            handler._go_away()
            client.send(close(4000))
            assert client.frame() == (BINARY, blob)
            assert client.closed()[0] == 1001
            kind, code, _, closed = journal.next()
            assert (kind, code, closed.sent_code, closed.was_clean) == ("close", 4000, 1001, True)

    def test_a_close_that_could_not_be_sent_is_not_said_to_be_sent(self, serve, journal):
        server = serve(journal, limits=Limits(send_timeout=0.2, shutdown_timeout=0.5))
        with connected(server):
            _, handler = journal.next()
            wait_until(lambda: len(server.handlers) == 1)  # its on_open has returned
            server.broadcast(bytes(20_000_000))
            handler.close(4000)
            closed = journal.next()[3]
            assert (closed.code, closed.sent_code, closed.was_clean) == (1006, None, False)

    def test_a_dropped_client_is_reported_once(self, serve, journal):
        server = serve(journal)
        with connected(server):
            journal.next()
            wait_until(lambda: len(server.handlers) == 1)  # its on_open has returned
            dropped = [len(server.broadcast(bytes(1_000_000)).dropped) for _ in range(40)]
            assert sum(dropped) == 1

    def test_a_burst_of_small_broadcasts_is_no_reason_to_drop_who_reads(self, serve, journal):
        server = serve(journal)
        with connected(server) as client:
            _, handler = journal.next()
            wait_until(lambda: len(server.handlers) == 1)  # its on_open has returned
            handler._transport.write_lock.acquire()  # as a sender does that was just interrupted
            for n in range(5000):
                assert not server.broadcast(str(n)).dropped
            handler._transport.write_lock.release()
            for n in range(5000):
                assert client.frame() == (TEXT, str(n).encode())

    def test_the_error_of_another_connection_is_an_error_of_the_hook(self, serve, log):
        class Relay(Echo):
            def on_message(self, message):
                raise ConnectionClosed("of somebody else")

        with connected(serve(Relay)) as client:
            client.send(text("x"))
            assert client.frame() == (CLOSE, struct.pack("!H", 1011))
        assert "a hook failed" in log.text

    def test_a_hook_that_fails_in_the_handshake_is_a_500_and_counted(self, serve, log):
        def fail(self, request):
            raise ZeroDivisionError

        server = serve(type("Handler", (Echo,), {"check_request": fail}))
        with connected(server, None) as client:
            client.send(upgrade())
            assert client.rest().startswith(b"HTTP/1.1 500 ")
        assert server.counts.refused == 1

    def test_nothing_can_be_sent_before_the_connection_is_open(self, serve, log):
        class Handler(Echo):
            def check_request(self, request):
                self.send("too early")

        with connected(serve(Handler), None) as client:
            client.send(upgrade())
            assert client.rest().startswith(b"HTTP/1.1 500 ")
        assert "not open yet" in log.text

    def test_a_send_that_is_interrupted_is_followed_by_nothing(self, serve, journal, monkeypatch):
        server = serve(journal)
        with connected(server) as client:
            _, handler = journal.next()

            def interrupted(rest):
                raise KeyboardInterrupt

            monkeypatch.setattr(handler._transport, "_send_rest", interrupted)
            with pytest.raises(KeyboardInterrupt):
                handler.send(bytes(20_000_000))
            with pytest.raises(ConnectionClosed):
                handler.send("after that")
            assert len(client.rest()) < 20_000_000

    def test_the_flusher_outlives_a_transport_that_fails(self, serve, journal, monkeypatch, log):
        server = serve(journal, limits=Limits(max_backlog=100_000_000, shutdown_timeout=0.5))
        with connected(server) as bad, connected(server) as good:
            handlers = {journal.next()[1] for _ in range(2)}
            wait_until(lambda: len(server.handlers) == 2)  # its on_open has returned
            (broken,) = (h for h in handlers if h.client_address == bad.socket.getsockname())
            server.broadcast(bytes(20_000_000))
            monkeypatch.setattr(broken._transport, "flush", lambda: 1 // 0)
            assert good.frame() == (BINARY, bytes(20_000_000))
            wait_until(lambda: server.counts.closed == 1)

    def test_a_flusher_whose_thread_cannot_start_tries_again(self, serve, journal, monkeypatch):
        server = serve(journal, limits=Limits(max_backlog=100_000_000, shutdown_timeout=0.5))
        with connected(server) as client:
            journal.next()
            wait_until(lambda: len(server.handlers) == 1)  # its on_open has returned

            def refuse(thread):
                raise RuntimeError("can't start new thread")

            with monkeypatch.context() as patch:
                patch.setattr(threading.Thread, "start", refuse)
                server.broadcast(bytes(20_000_000))
            server.broadcast("and one more")
            assert client.frame() == (BINARY, bytes(20_000_000))
            assert client.frame() == (TEXT, b"and one more")


class TestClosing:
    """RFC 6455 §5.5.1, §7."""

    def test_both_close_at_once_and_both_call_it_clean(self, serve, journal):
        server = serve(journal)
        for _ in range(50):
            with connected(server) as client:
                _, handler = journal.next()
                barrier = threading.Barrier(2)

                def ours(handler=handler, barrier=barrier):
                    barrier.wait()
                    handler.close(4001)

                thread = threading.Thread(target=ours)
                thread.start()
                barrier.wait()
                client.send(close(4002))
                code, _ = client.closed()  # one Close, then the end
                thread.join()
                assert code in (4001, 4002)
                kind, received, _, closed = journal.next()
                assert (kind, received, closed.was_clean) == ("close", 4002, True)
                assert closed.sent_code == code

    def test_the_server_ends_tcp_first(self, serve):
        with connected(serve()) as client:
            client.send(close())
            assert client.frame()[0] == CLOSE
            assert client.rest() == b""  # its FIN came though we have sent none

    def test_a_client_that_never_ends_tcp_is_left_after_the_linger_timeout(self, serve):
        server = serve(limits=Limits(linger_timeout=0.2))
        with connected(server) as client:
            client.send(close())
            assert client.closed() == (1000, "")
            wait_until(lambda: not server._connection_threads)

    def test_a_fin_right_after_the_close_is_clean(self, serve, journal):
        with connected(serve(journal)) as client:
            client.send(close(1000))
            client.socket.shutdown(socket.SHUT_WR)
            assert client.closed() == (1000, "")
        journal.next()
        assert journal.next()[3].was_clean

    def test_a_half_closed_client_still_gets_its_replies(self, serve, journal):
        with connected(serve(journal)) as client:
            client.send(b"".join(text(str(n)) for n in range(100)))
            client.socket.shutdown(socket.SHUT_WR)
            for n in range(100):
                assert client.frame() == (TEXT, str(n).encode())
            assert client.rest() == b""


class TestKeepAlive:
    """RFC 6455 §5.5.2: "as a means to verify that the remote endpoint is still responsive"."""

    LIMITS = Limits(ping_interval=0.1, ping_timeout=0.2, shutdown_timeout=0.5)

    def test_silence_is_answered_by_a_ping_and_a_pong_keeps_the_connection(self, serve, journal):
        limits = Limits(ping_interval=0.1, ping_timeout=10, shutdown_timeout=0.5)
        with connected(serve(journal, limits=limits)) as client:
            for _ in range(5):
                assert client.frame() == (PING, b"")
                client.send(frame(PONG))
            client.send(text("still here"))
            while (got := client.frame()) == (PING, b""):
                pass
            assert got == (TEXT, b"still here")

    def test_no_sign_of_life_after_the_ping_ends_the_connection_with_1006(self, serve, journal, log):
        with connected(serve(journal, limits=self.LIMITS)) as client:
            assert client.frame() == (PING, b"")
            assert client.rest() == b""
        journal.next()
        assert journal.next()[1] == 1006
        assert "closed by us, not clean: no Close came (1006), sent none: no sign of life" in log.text

    def test_a_client_that_vanishes_while_we_send_has_ended_it_itself(self, serve, log):
        server = serve(Echo)
        with connected(server) as client:
            wait_until(lambda: server.handlers)
            (handler,) = server.handlers
            client.reset()
            with pytest.raises(ConnectionClosed):
                while True:
                    handler.send(b"x" * 10_000)
        wait_until(lambda: server.counts.closed == 1)
        assert handler.closed.initiated_locally is False
        assert "closed by the client, not clean" in log.text

    def test_a_client_that_said_close_first_ended_it_though_it_was_given_up_then(self, serve):
        class GivesUp(Echo):
            def take_leave(self, closed):
                self._transport.abort("it does not read our answer")
                super().take_leave(closed)

        server = serve(GivesUp)
        with connected(server) as client:
            wait_until(lambda: server.handlers)
            (handler,) = server.handlers
            client.send(close(1000))
            client.rest()
        wait_until(lambda: handler.closed)
        assert (handler.closed.code, handler.closed.initiated_locally) == (1000, False)

    def test_any_byte_is_a_sign_of_life(self, serve, journal):
        # Together the bytes take 1.9 s: longer than a client may be silent after a Ping.
        limits = Limits(ping_interval=0.1, ping_timeout=1.5, shutdown_timeout=0.5)
        with connected(serve(journal, limits=limits)) as client:
            for octet in text("slow but here"):
                assert client.frame() == (PING, b"")
                client.send(bytes([octet]))
            while (got := client.frame()) == (PING, b""):
                pass
            assert got == (TEXT, b"slow but here")


class TestBroadcast:
    """Chapter 10: it waits for nobody, and what is dropped is reported."""

    @pytest.fixture
    def room(self, serve):
        """``room(n)``: a server and n clients that are connected to it."""
        with contextlib.ExitStack() as stack:

            def fill(count, **limits):
                server = serve(WebSocketHandler, limits=Limits(shutdown_timeout=0.5, **limits))
                clients = [stack.enter_context(connected(server)) for _ in range(count)]
                wait_until(lambda: len(server.handlers) == count)
                return server, clients

            yield fill

    def test_everyone_gets_every_message_in_one_order(self, room):
        server, opened = room(10)

        def talk(me):
            for n in range(50):
                server.broadcast(f"{me} {n}")

        threads = [threading.Thread(target=talk, args=(me,)) for me in range(4)]
        for thread in threads:
            thread.start()
        orders = [[client.frame() for _ in range(200)] for client in opened]
        for thread in threads:
            thread.join()
        assert all(order == orders[0] for order in orders)
        for me in range(4):
            mine = [payload for _, payload in orders[0] if payload.startswith(b"%d " % me)]
            assert mine == [b"%d %d" % (me, n) for n in range(50)]

    def test_who_does_not_read_delays_nobody_is_dropped_and_reported(self, room, log):
        server, opened = room(12, max_backlog=500_000, send_timeout=40)
        readers, lazy = opened[:10], opened[10:]
        payload = bytes(60_000)
        received = []

        def read(client):
            received.append(sum(client.frame() == (BINARY, payload) for _ in range(300)))

        threads = [threading.Thread(target=read, args=(client,)) for client in readers]
        for thread in threads:
            thread.start()
        dropped, slowest = [], 0.0
        for _ in range(300):
            began = time.monotonic()
            delivery = server.broadcast(payload)
            slowest = max(slowest, time.monotonic() - began)
            dropped += delivery.dropped
            # A program that must not lose a slow reader waits here until it has caught up.
            reading = [handler for handler in delivery.kept if handler.client_address[1] not in ports_of(lazy)]
            wait_until(lambda reading=reading: not any(handler._transport.has_backlog for handler in reading))
        for thread in threads:
            thread.join(DEADLINE)
        assert received == [300] * 10
        assert {handler.client_address[1] for handler in dropped} == ports_of(lazy)
        assert slowest < DEADLINE, "a broadcast waited for a client that does not read"
        wait_until(lambda: server.counts.closed == 2)
        assert "the peer does not read" in log.text

    def test_who_reads_late_gets_all_that_was_kept_in_order(self, room):
        server, (client,) = room(1, max_backlog=50_000_000)
        kept = 0
        n = 0
        while kept < 20:  # until the kernel takes no more, and some beyond
            delivery = server.broadcast(b"%08d" % n + bytes(50_000))
            assert not delivery.dropped
            kept += len(delivery.kept)
            n += 1
        (handler,) = server.handlers
        direct = threading.Thread(target=handler.send, args=("and then a send",))
        direct.start()
        for i in range(n):
            opcode, payload = client.frame()
            assert (opcode, payload[:8]) == (BINARY, b"%08d" % i)
        assert client.frame() == (TEXT, b"and then a send")
        direct.join(DEADLINE)

    def test_who_takes_nothing_for_the_send_timeout_is_dropped_by_the_flusher(self, room, log):
        server, _ = room(1, send_timeout=0.2, max_backlog=50_000_000)
        for _ in range(300):  # 30 MB: more than any kernel holds for one connection
            server.broadcast(bytes(100_000))
        wait_until(lambda: server.counts.closed == 1)
        assert "closed by us, not clean" in log.text
        assert "has not read for 0.2 s" in log.text

    def test_a_broadcast_while_a_sender_waits_for_the_same_client_does_not_wait(self, room):
        server, (client,) = room(1, send_timeout=40)
        (handler,) = server.handlers
        blob = bytes(20_000_000)
        sender = threading.Thread(target=handler.send, args=(blob,))
        sender.start()
        wait_until(handler._transport.write_lock.locked)
        began = time.monotonic()
        delivery = server.broadcast("meanwhile")
        assert time.monotonic() - began < DEADLINE, "it waited for the sender"
        assert delivery.kept == [handler]
        # In either order (the sender may not have begun), and neither inside the other.
        assert sorted([client.frame(), client.frame()]) == [(TEXT, b"meanwhile"), (BINARY, blob)]
        sender.join(DEADLINE)

    def test_nothing_follows_a_close_though_broadcasts_go_on(self, room):
        for _ in range(20):
            server, (client,) = room(1)
            (handler,) = server.handlers
            stop = threading.Event()

            def talk(server=server, stop=stop):
                while not stop.is_set():
                    server.broadcast("x")

            thread = threading.Thread(target=talk)
            thread.start()
            handler.close(4000)
            client.socket.settimeout(DEADLINE)
            while (got := client.frame()) == (TEXT, b"x"):
                pass
            assert got == (CLOSE, struct.pack("!H", 4000))
            client.send(close(4000))
            assert client.rest() == b""
            stop.set()
            thread.join()

    def test_clients_that_come_and_go_meanwhile_see_a_contiguous_run(self, serve):
        server = serve(WebSocketHandler)
        stop = threading.Event()

        def talk():
            n = 0
            while not stop.is_set():
                server.broadcast(str(n))
                n += 1
                time.sleep(0.0005)

        thread = threading.Thread(target=talk)
        thread.start()
        try:
            for _ in range(30):
                with connected(server) as client:
                    run = [int(client.frame()[1]) for _ in range(10)]
                    assert run == list(range(run[0], run[0] + 10))
        finally:
            stop.set()
            thread.join()


def ports_of(clients):
    return {client.socket.getsockname()[1] for client in clients}


class TestDemo:
    """What ``python -m wsref`` serves."""

    @pytest.mark.parametrize(
        ("query", "agrees"),
        [("", True), ("?compression=off", False), ("?compression=on", True), ("?compression", True)],
    )
    def test_a_client_declines_compression_in_its_url(self, serve, query, agrees):
        with connect(f"{serve(Demo, compression=Compression()).url}/echo{query}") as ws:
            assert bool(ws.extensions) is agrees
            ws.send("Hello")
            assert ws.recv() == "Hello"


class TestChat:
    """Chapter 10: what ``/chat`` says."""

    def test_all_see_what_one_says_and_who_comes_and_goes(self, serve):
        server = serve(Demo)
        with connected(server, "/chat?name=Ann") as ann, connected(server, "/echo") as echo:
            assert ann.frame() == (TEXT, b"* Ann has joined; here: Ann")
            with connected(server, "/chat?name=Ann") as second:
                assert second.frame() == (TEXT, b"* Ann 2 has joined; here: Ann, Ann 2")
                assert ann.frame() == (TEXT, b"* Ann 2 has joined")
                second.send(text("hello <b>"))
                assert ann.frame() == second.frame() == (TEXT, b"Ann 2: hello <b>")
                second.send(close())
                second.closed()
            assert ann.frame() == (TEXT, b"* Ann 2 has left")
            echo.send(text("only me"))
            assert echo.frame() == (TEXT, b"only me")
            assert ann.buffer == b""

    def test_of_many_that_join_at_once_each_learns_each_name_once(self, serve):
        class Slow(Chat):
            def room(self):
                time.sleep(0.002)  # others come meanwhile
                return super().room()

        server, names = serve(Slow), [f"guest {n}" for n in range(12)]
        ready = threading.Barrier(len(names))

        def join(name):
            with connect(f"{server.url}/?name={name.replace(' ', '%20')}") as ws:
                heard = []
                while len(heard) < len(names):
                    line = str(ws.recv())
                    _, listed, here = line.partition("; here: ")
                    heard += here.split(", ") if listed else [line.removeprefix("* ").removesuffix(" has joined")]
                ready.wait(DEADLINE)
                ws.send("over")
                while not (line := str(ws.recv())).endswith(": over"):
                    heard.append(line)  # nobody is announced a second time
                ready.wait(DEADLINE)
                return heard

        with ThreadPoolExecutor(len(names)) as pool:
            for heard in pool.map(join, names):
                assert sorted(heard) == sorted(names)

    def test_a_name_cannot_smuggle_lines_or_escapes(self, serve):
        with connected(serve(Chat), "/chat?name=%1b%5b31m%0aEve%0a%E2%80%AE") as client:
            assert client.frame() == (TEXT, b"* [31mEve has joined; here: [31mEve")

    def test_nobody_can_speak_for_another(self, serve):
        with connected(serve(Chat), "/chat?name=*+Ann:+hi") as client:
            assert client.frame() == (TEXT, b"* Ann hi has joined; here: Ann hi")
            client.send(text("hi\n* Bo has left\r\nBo: bye"))
            assert client.frame() == (TEXT, b"Ann hi: hi * Bo has left Bo: bye")

    def test_a_line_that_others_may_not_accept_is_not_sent(self, serve):
        """A message of our limit and a name before it exceed the same limit of a member, who then closes with 1009."""
        server = serve(Chat)
        with connect(f"{server.url}/?name=Ann") as ann:
            assert "Ann has joined" in next(iter(ann))
            with connect(f"{server.url}/?name=Bo") as bo:
                assert all("Bo has joined" in next(iter(member)) for member in (ann, bo))
                for size in (1 << 20, Chat.MAX_LINE):
                    ann.send("x" * size)
                sent = f"Ann: {'x' * Chat.MAX_LINE}"
                assert next(iter(ann)) == "* not sent: a line has at most 131072 characters"
                assert [next(iter(member)) for member in (ann, bo)] == [sent, sent]

    def test_binary_is_refused_with_1003(self, serve):
        with connected(serve(Chat)) as client:
            client.frame()
            client.send(frame(BINARY, b"\0"))
            assert client.frame() == (CLOSE, struct.pack("!H", 1003) + b"the chat is text")
            client.send(close(1003))
            assert client.rest() == b""
