"""Chapter 11: wss: TLS and threads."""

from __future__ import annotations

import os
import socket
import ssl
import threading

import pytest
from conftest import DEADLINE, wait_until
from rawclient import BINARY, CLOSE, PING, TEXT, close, connected, frame, text, upgrade

from wsref import Echo, Limits, WebSocketHandler
from wsref.cli.serve import tls_context


@pytest.fixture
def contexts(certificate):
    """The server's TLS context and a client's that trusts it."""
    client = ssl.create_default_context(cafile=certificate[0])
    return tls_context(*certificate), client


#: For broadcasts in a loop that waits for nobody.
PATIENT = Limits(max_backlog=100_000_000, shutdown_timeout=0.5)


class TestTLS:
    """RFC 6455 §10.6; and OpenSSL's objects, which are for one thread at a time."""

    def test_an_echo_over_wss_small_and_large(self, serve, contexts):
        server = serve(ssl_context=contexts[0])
        assert server.url.startswith("wss://127.0.0.1:")
        with connected(server, context=contexts[1]) as client:
            for size in (0, 1, 125, 16_384, 70_000, 1_000_000):
                client.send(frame(BINARY, bytes(size)))
                assert client.frame() == (BINARY, bytes(size))
            client.send(close(4000))
            assert client.closed() == (4000, "")  # and close_notify: else SSLEOFError

    def test_tls_1_1_is_refused_and_1_2_taken(self, serve, contexts):
        server = serve(ssl_context=contexts[0])
        contexts[1].maximum_version = ssl.TLSVersion.TLSv1_2
        with connected(server, context=contexts[1]) as client:
            assert client.socket.version() == "TLSv1.2"

    def test_50_silent_clients_do_not_stop_the_51st(self, serve, contexts):
        server = serve(ssl_context=contexts[0], limits=Limits(head_timeout=1, shutdown_timeout=0.5))
        silent = [socket.create_connection(server.server_address, timeout=DEADLINE) for _ in range(50)]
        with connected(server, context=contexts[1]) as client:
            client.send(text("hi"))
            assert client.frame() == (TEXT, b"hi")
        for sock in silent:
            assert sock.recv(1) == b""  # hung up on, after the deadline
            sock.close()

    def test_plain_http_on_the_tls_port_is_hung_up_on_with_a_word_in_the_log(self, serve, contexts, log):
        with connected(serve(ssl_context=contexts[0]), None) as client:
            client.send(upgrade())
            assert not client.rest().startswith(b"HTTP")
        assert "plain HTTP: this port speaks wss://" in log.text

    @pytest.mark.parametrize("cut", [b"", b"\x16", b"\x16\x03\x01\x02\x00\x01\x00", b"\x16\x03\x01\x00\x05junk!"])
    def test_a_handshake_that_is_cut_or_junk_ends_in_the_log_and_nowhere_else(self, serve, contexts, log, cut):
        server = serve(ssl_context=contexts[0])
        with connected(server, None) as client:
            client.send(cut)
            client.socket.shutdown(socket.SHUT_WR)
            client.rest()
        wait_until(lambda: not server._connection_threads)
        assert "TLS handshake" in log.text
        assert "unexpected" not in log.text

    def test_an_end_without_close_notify_is_1006(self, serve, contexts):
        ended = threading.Event()
        codes = []

        class Handler(Echo):
            def on_close(self, code, reason):
                codes.append(code)
                ended.set()

        server = serve(Handler, ssl_context=contexts[0])
        with connected(server, context=contexts[1]) as client:
            client.socket.shutdown(socket.SHUT_RDWR)  # of TCP, under the TLS session
            assert ended.wait(DEADLINE)
        assert codes == [1006]

    def test_a_close_notify_is_the_end_and_is_answered_at_once(self, serve, contexts):
        server = serve(ssl_context=contexts[0])
        with connected(server, context=contexts[1]) as client:
            raw = client.socket.unwrap()  # ours is sent, and theirs is waited for
            raw.close()
        wait_until(lambda: server.counts.closed == 1)

    @pytest.mark.parametrize("early", [True, False])
    def test_a_record_that_comes_byte_by_byte_does_not_outwit_a_deadline(self, serve, contexts, early):
        limits = Limits(head_timeout=0.3, ping_interval=0.1, ping_timeout=0.2, shutdown_timeout=0.5)
        server = serve(ssl_context=contexts[0], limits=limits)
        with connected(server, None if early else "/", context=contexts[1]) as client:
            raw = socket.socket(fileno=os.dup(client.socket.fileno()))  # beside the TLS session
            with raw, pytest.raises(OSError):
                raw.sendall(b"\x17\x03\x03\x40\x00")
                for _ in range(1000):
                    raw.sendall(b"x")
                    threading.Event().wait(0.01)
        wait_until(lambda: not server._connection_threads)

    def test_a_peer_that_makes_tls_refuse_to_write_hurts_nobody_else(self, serve, contexts, log):
        """As one does that stops inside a KeyUpdate: OpenSSL says "want read" to a write."""
        server = serve(WebSocketHandler, ssl_context=contexts[0])
        with connected(server, context=contexts[1]) as bad, connected(server, context=contexts[1]) as good:
            wait_until(lambda: len(server.handlers) == 2)
            port = bad.socket.getsockname()[1]
            (broken,) = (handler for handler in server.handlers if handler.client_address[1] == port)

            class Stuck:
                def write(self, data):
                    raise ssl.SSLWantReadError

                def __getattr__(self, name):
                    return getattr(real, name)

            real, broken._transport._tls = broken._transport._tls, Stuck()
            delivery = server.broadcast("to all")
            assert delivery.dropped == [broken]
            assert good.frame() == (TEXT, b"to all")

    def test_a_reader_and_broadcasters_share_a_connection(self, serve, contexts):
        server = serve(ssl_context=contexts[0], limits=PATIENT)
        per_thread, threads = 300, 4
        with connected(server, context=contexts[1]) as client:
            wait_until(lambda: server.handlers)
            (handler,) = server.handlers

            def broadcast(me):
                for n in range(per_thread):
                    server.broadcast(f"{me} {n} " + "y" * (n * 37 % 5000))

            def send(me):
                for n in range(per_thread):
                    handler.send(f"{me} {n} " + "y" * (n * 37 % 5000))

            work = [threading.Thread(target=broadcast, args=(me,)) for me in range(threads)]
            work += [threading.Thread(target=send, args=(threads,))]
            for thread in work:
                thread.start()
            last = dict.fromkeys(range(threads + 1), -1)
            for _ in range((threads + 1) * per_thread):
                opcode, payload = client.frame()
                me, n, rest = payload.decode().split(" ")
                assert (opcode, int(n)) == (TEXT, last[int(me)] + 1)
                assert rest == "y" * (int(n) * 37 % 5000)
                last[int(me)] = int(n)
                client.send(frame(10, b"z" * 100))  # keeps the reading thread busy in the same TLS session
            for thread in work:
                thread.join()

    def test_keep_alive_and_1001_reach_a_tls_client(self, serve, contexts):
        server = serve(
            WebSocketHandler, ssl_context=contexts[0], limits=Limits(ping_interval=0.05, shutdown_timeout=0.5)
        )
        with connected(server, context=contexts[1]) as client:
            assert client.frame() == (PING, b"")
            client.send(frame(10))
            server.shutdown()
            ender = threading.Thread(target=server.server_close)
            ender.start()
            while (got := client.frame())[0] == PING:
                pass
            assert got[0] == CLOSE
            assert got[1][:2] == b"\x03\xe9"
            client.send(close(1001))
            assert client.rest() == b""
            ender.join(DEADLINE)

    def test_a_tls_client_that_does_not_read_delays_no_broadcast(self, serve, contexts):
        server = serve(WebSocketHandler, ssl_context=contexts[0])
        with connected(server, context=contexts[1]) as lazy, connected(server, context=contexts[1]) as client:
            wait_until(lambda: len(server.handlers) == 2)
            port = lazy.socket.getsockname()[1]
            dropped = []
            for _ in range(200):
                delivery = server.broadcast(bytes(100_000))
                dropped += [handler.client_address[1] for handler in delivery.dropped]
                if client not in delivery.dropped:
                    assert client.frame() == (BINARY, bytes(100_000))
            assert dropped == [port]
