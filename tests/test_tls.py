"""Chapter 11: wss: TLS and threads."""

from __future__ import annotations

import os
import socket
import ssl
import threading
import time
from types import SimpleNamespace

import pytest
from conftest import DEADLINE, wait_until
from rawclient import BINARY, CLOSE, PING, TEXT, close, connected, frame, text, upgrade

from wsref import Echo, Limits, WebSocketHandler
from wsref.cli.serve import tls_context
from wsref.network import tls as module
from wsref.network.tls import TLSTransport
from wsref.network.transport import Transport
from wsref.protocol.errors import ConnectionClosed, HTTPError


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


@pytest.fixture
def tcp():
    """Both ends of one TCP connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname(), DEADLINE)
        ours, _ = listener.accept()
    with ours, theirs:
        yield ours, theirs


def shake_hands(*ends):
    """The handshake of each end in a thread of its own; returns their errors, or None."""
    errors = [None] * len(ends)

    def run(n, end):
        try:
            end.handshake(time.monotonic() + DEADLINE)
        except Exception as error:
            errors[n] = error

    threads = [threading.Thread(target=run, args=each) for each in enumerate(ends)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    return errors


@pytest.fixture
def ends(tcp, contexts):
    """The server's and the client's end of a connection, after the handshake."""
    server = TLSTransport(tcp[0], contexts[0], PATIENT)
    client = TLSTransport(tcp[1], contexts[1], PATIENT, server_hostname="localhost")
    assert shake_hands(server, client) == [None, None]
    return server, client


class TestTLSTransport:
    """One end of a TLS connection, without a server"""

    def test_it_says_what_it_is(self, ends):
        for end in ends:
            assert (end.secure, end.passthrough, end.max_record) == (True, False, 262_144)
            assert end.received_any
            assert (end.abort_reason, end.has_backlog) == ("", False)

    @pytest.mark.parametrize("size", [1, 16_384, 300_000])
    def test_what_one_sends_the_other_receives(self, ends, size):
        for sender, receiver in (ends, ends[::-1]):
            data = os.urandom(size)
            writer = threading.Thread(target=sender.send, args=(data,))
            writer.start()
            received = b""
            while len(received) < size:
                received += receiver.receive(65_536, DEADLINE)
            writer.join(DEADLINE)
            assert received == data

    def test_no_more_than_asked_for_and_the_rest_without_waiting(self, ends):
        server, client = ends
        client.send(b"Hello")
        assert server.receive(2, DEADLINE) == b"He"
        assert server.receive(1, DEADLINE) == b"l"
        assert server.receive(300, 0) == b"lo"
        assert server.receive(300, 0) is None

    def test_records_that_are_here_come_together(self, ends, tcp):
        server, client = ends
        tcp[1].sendall(b"".join(bytes(client._seal(data)) for data in (b"one", b"two", b"three")))
        assert server.receive(5, DEADLINE) == b"onetw"
        assert server.receive(5, DEADLINE) == b"othre"
        assert server.receive(5, DEADLINE) == b"e"

    @pytest.mark.parametrize("timeout", [-1, 0, 0.05])
    def test_none_after_the_time_which_is_for_decrypted_bytes(self, ends, tcp, timeout):
        server, client = ends
        record = bytes(client._seal(b"late"))
        for n in range(len(record)):
            began = time.monotonic()
            tcp[1].sendall(record[n : n + 1])
            if n == len(record) - 1:
                break
            if n < 2:
                assert server.receive(100, timeout) is None
                assert time.monotonic() - began >= timeout - 0.01
        assert server.receive(100, DEADLINE) == b"late"

    @pytest.mark.parametrize(("size", "asked"), [(5, 16_896), (16_896, 16_896), (65_536, 65_536)])
    def test_it_reads_a_whole_record_at_least(self, ends, monkeypatch, size, asked):
        asked_for = []
        monkeypatch.setattr(Transport, "receive", lambda self, size, timeout: asked_for.append((size, timeout > 5)))
        assert ends[0].receive(size, DEADLINE) is None
        assert asked_for == [(asked, True)]

    def test_a_close_notify_is_the_end_after_what_came_before(self, ends):
        server, client = ends
        client.send(b"last words")
        closer = threading.Thread(target=client.close_gracefully, args=(DEADLINE,))
        closer.start()
        assert server.receive(100, DEADLINE) == b"last words"
        assert server.receive(100, DEADLINE) == b""
        assert server._tls.read(1) == b""  # OpenSSL has seen a close_notify: without it, "want read"
        server.close_gracefully(DEADLINE)
        closer.join(DEADLINE)
        assert (client.fileno(), client.abort_reason) == (-1, "the connection is closed")

    def test_an_end_of_tcp_and_a_forged_record_are_the_end(self, ends, tcp):
        server, client = ends
        client.send(b"good")
        tcp[1].sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
        assert server.receive(100, DEADLINE) == b"good"
        assert server.receive(100, DEADLINE) == b""
        server.abort("forged")
        while (data := client.receive(100, DEADLINE)) is None:
            pass
        assert data == b""

    def test_a_close_notify_does_not_cut_into_a_record_that_waits(self, ends, monkeypatch):
        server = ends[0]
        while server.send_nowait(bytes(100_000)):
            pass
        sent = []
        monkeypatch.setattr(server, "_try_send", sent.append)
        server.close_gracefully(0)
        assert sent == []

    def test_a_close_notify_to_a_peer_that_has_gone_is_not_missed(self, ends):
        server, client = ends
        client._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client._socket.close()
        assert server.receive(100, DEADLINE) == b""
        server.close_gracefully(DEADLINE)
        assert server.fileno() == -1

    def test_long_data_is_sealed_in_pieces(self, ends, monkeypatch):
        server = ends[0]
        pieces = []
        monkeypatch.setattr(server, "_seal", lambda data: pieces.append(len(data)) or b"")
        server.send(bytes(600_000), bytes(10))
        assert pieces == [262_144, 262_144, 75_722]

    @pytest.mark.parametrize("send", ["send", "send_nowait"])
    def test_when_tls_cannot_send_the_connection_ends(self, ends, send):
        """As with a peer that stops inside a KeyUpdate: OpenSSL says "want read" to a write."""
        server = ends[0]

        class Stuck:
            def write(self, data):
                raise ssl.SSLWantReadError("stuck")

        server._tls = Stuck()
        with pytest.raises(ConnectionClosed, match=r"^TLS cannot send: .*stuck"):
            getattr(server, send)(b"data")
        assert (server.abort_reason[:15], server.aborted_locally) == ("TLS cannot send", True)
        assert not server._tls_lock.locked()

    def test_tls_s_own_records_are_sent_by_a_read(self, ends):
        """As the answer to a KeyUpdate is."""
        server, client = ends
        client._to_wire.write(b"own records")
        assert client.receive(100, 0) is None
        assert server._socket.recv(100) == b"own records"
        assert not client.write_lock.locked()

    def test_tls_s_own_records_to_a_peer_that_has_gone_are_no_error(self, ends):
        server = ends[0]
        server._to_wire.write(b"own records")
        server.abort("gone")
        assert server.receive(100, 0) is None
        assert server.receive(100, DEADLINE) == b""

    def test_a_server_that_is_not_trusted_is_the_client_s_error_and_an_alert(self, tcp, contexts):
        server = TLSTransport(tcp[0], contexts[0])
        client = TLSTransport(tcp[1], ssl.create_default_context(), server_hostname="localhost")
        theirs, ours = shake_hands(server, client)
        assert type(ours) is ssl.SSLCertVerificationError
        assert (type(theirs), theirs.status) == (HTTPError, 0)
        assert str(theirs).lower().startswith("the tls handshake failed: ")
        assert "unknown_ca" in str(theirs).lower()

    def test_a_client_that_is_not_trusted_has_no_answer_in_http(self, tcp, contexts, certificate):
        contexts[0].verify_mode = ssl.CERT_REQUIRED
        contexts[1].load_cert_chain(*certificate)
        server = TLSTransport(tcp[0], contexts[0])
        error, _ = shake_hands(server, TLSTransport(tcp[1], contexts[1], server_hostname="localhost"))
        assert (type(error), error.status) == (HTTPError, 0)
        assert "CERTIFICATE_VERIFY_FAILED" in str(error)

    def test_a_server_that_does_not_speak_tls_is_a_handshake_that_failed(self, tcp, contexts):
        tcp[0].sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        client = TLSTransport(tcp[1], contexts[1], server_hostname="localhost")
        with pytest.raises(HTTPError, match="the TLS handshake failed: ") as caught:
            client.handshake(time.monotonic() + DEADLINE)
        assert caught.value.status == 0

    def test_the_name_of_the_host_counts(self, tcp, contexts):
        server = TLSTransport(tcp[0], contexts[0])
        client = TLSTransport(tcp[1], contexts[1], server_hostname="other.example")
        _, ours = shake_hands(server, client)
        assert "other.example" in str(ours)
        assert (server._tls.server_side, client._tls.server_side) == (True, False)

    @pytest.mark.parametrize(
        ("sent", "ended", "words", "received_any"),
        [
            (b"", False, "the TLS handshake took too long", False),
            (b"", True, "the TLS handshake was cut off by the peer", False),
            (b"\x16\x03\x01", True, "the TLS handshake was cut off by the peer", True),
            (b"\x16\x03\x01", False, "the TLS handshake took too long", True),
            (b"GET / HTTP/1.1\r\n\r\n", False, "plain HTTP: this port speaks wss:// and https://", True),
        ],
    )
    def test_a_handshake_that_fails_has_no_answer_in_http(self, tcp, contexts, sent, ended, words, received_any):
        server = TLSTransport(tcp[0], contexts[0])
        tcp[1].sendall(sent)
        if ended:
            tcp[1].shutdown(socket.SHUT_WR)
        with pytest.raises(HTTPError, match=words) as caught:
            server.handshake(time.monotonic() + (DEADLINE if ended or len(sent) > 3 else 1 if sent else 0.05))
        assert (caught.value.status, server.received_any) == (0, received_any)
        assert caught.value.__suppress_context__

    @pytest.mark.parametrize(("left", "timeouts"), [(5.0, [5.0]), (0.25, [0.25]), (-0.5, []), (-2.0, [])])
    def test_each_read_of_a_handshake_has_the_time_that_is_left(self, tcp, contexts, monkeypatch, left, timeouts):
        asked_for = []
        monkeypatch.setattr(Transport, "receive", lambda self, size, timeout: asked_for.append(timeout))
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: 100.0))
        with pytest.raises(HTTPError, match="took too long"):
            TLSTransport(tcp[0], contexts[0]).handshake(100.0 + left)
        assert asked_for == timeouts
