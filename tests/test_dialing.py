"""Chapter 0: what comes before a WebSocket of the client, without a server and with a clock of the test."""

from __future__ import annotations

import re
import socket
import ssl
import threading

import pytest
from conftest import DEADLINE, wait_until

from wsref.network import dialing
from wsref.network.dialing import addresses_of, dial, make_transport, read_response, start_tls, turn
from wsref.network.tap import Tapped, TappedTLS
from wsref.network.tls import TLSTransport
from wsref.network.transport import Transport
from wsref.protocol.client_handshake import HandshakeFailed
from wsref.protocol.errors import HTTPError
from wsref.protocol.limits import Limits
from wsref.protocol.url import parse_url


@pytest.fixture
def clock(monkeypatch):
    """Time that passes only while a transport waits."""

    class Clock:
        now = 1000.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(dialing, "time", clock)
    return clock


class Script:
    """A transport to which pieces come: bytes, a number of seconds before the next, b"" for the end."""

    def __init__(self, clock, *pieces):
        self.clock, self.pieces, self.reads = clock, list(pieces), []

    def receive(self, size, timeout):
        self.reads.append((size, timeout))
        assert len(self.reads) < 100, "it reads for ever"
        if self.pieces and isinstance(self.pieces[0], bytes):
            return self.pieces.pop(0)
        if self.pieces and self.pieces[0] <= timeout:
            self.clock.now += self.pieces.pop(0)
            return self.receive(size, timeout)
        self.clock.now += timeout
        return None


GOOD = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"


def read(clock, *pieces, deadline=1010.0, limits=Limits()):
    transport = Script(clock, *pieces)
    return (*read_response(transport, deadline, limits), transport)


def body(clock, head, *pieces):
    response, rest, transport = read(clock, b"HTTP/1.1 " + head + b"\r\n\r\n", *pieces)
    assert rest == b""
    return response.body, len(transport.reads)


class TestTheResponse:
    """RFC 6455 §4.1, RFC 9110 §15.2"""

    def test_a_101_in_any_pieces_and_the_bytes_behind_it(self, clock):
        for cut in range(1, len(GOOD)):
            response, rest, _ = read(clock, GOOD[:cut], GOOD[cut:] + b"\x81\x00")
            assert (response.status, response.body, rest) == (101, b"", b"\x81\x00")

    def test_other_responses_of_1xx_may_come_before(self, clock):
        response, rest, transport = read(clock, b"HTTP/1.1 100 \r\n\r\nHTTP/1.1 199 \r\nA: b\r\n\r\n" + GOOD + b"x")
        assert (response.status, rest, len(transport.reads)) == (101, b"x", 1)

    def test_it_asks_for_16_kib_and_waits_2_seconds_inside_a_head(self, clock):
        *_, transport = read(clock, 3, GOOD[:5], 1.5, GOOD[5:9], 2, GOOD[9:])
        assert transport.reads[0] == (16_384, 10)
        assert [timeout for _, timeout in transport.reads if timeout != 10] == [2, 2, 2, 2]

    def test_the_time_that_is_left_is_what_a_read_may_take(self, clock):
        clock.now = 3.0
        *_, transport = read(clock, 1, GOOD, deadline=10.0)
        assert [timeout for _, timeout in transport.reads][:1] == [7]

    def test_the_last_second_counts_too(self, clock):
        assert read(clock, 0.25, GOOD, deadline=1000.5)[0].status == 101

    def test_without_a_byte_the_deadline_decides(self, clock):
        with pytest.raises(TimeoutError, match="no complete response"):
            read(clock, 11, GOOD)
        assert clock.now == 1010
        for clock.now in (1010.0, 1010.5, 1012.0):  # its time is over: it does not read
            with pytest.raises(TimeoutError, match="no complete response"):
                read(clock, GOOD)

    @pytest.mark.parametrize(
        ("head", "words", "status"),
        [
            (GOOD[:-2], "the server answered 101 Switching Protocols, but its head does not end", 101),
            (b"HTTP/1.0 499", "the server answered 499 , but its head does not end", 499),
            (b"HTTP/1.1 4", "the response does not end: an empty line must follow 'HTTP/1.1 4' (RFC 9112", 0),
            (b"HTTP/1.1 " + b"x" * 99, f"must follow '{'x' * 60}' (RFC", 0),
        ],
    )
    def test_a_pause_inside_a_head_says_that_the_rest_is_missing(self, clock, head, words, status):
        with pytest.raises(HandshakeFailed, match=re.escape(words)) as caught:
            read(clock, head)
        assert (caught.value.status, clock.now) == (status, 1002)
        for left in (2, 1.5, 0.5):
            with pytest.raises(TimeoutError, match=re.escape(words)):
                read(clock, head, deadline=clock.now + left)

    @pytest.mark.parametrize(
        ("pieces", "words", "status"),
        [
            ([b""], "the server ended the connection without a response", 0),
            ([b"HT", b""], "in the middle of its response: 'HT'", 0),
            ([GOOD[:30], b""], "in the middle of its response: 'HTTP/1.1 101", 101),
            ([b"\x15\x03"], "the response is a TLS alert: this port speaks wss", 0),
            ([b"\x15\x03\x01\0\2\2F"], "the response is a TLS alert: this port speaks wss", 0),
            ([b"\x15", b"\x04"], r"does not speak HTTP: it sent '\x15'", 0),
            ([b"HTTQ"], "does not speak HTTP: it sent 'HTTQ'", 0),
            ([b"HTTP/1.1 403 X\n"], "answered 403 Forbidden, but its head is invalid: a line ends in a bare LF", 403),
            ([b"HTTP/1.1 600 X\r\n"], "the response is invalid: the first line must be", 0),
            ([b"HTTP/1.1 403 X\r\n" + b"A: b\r\n" * 101], "exceeds our limit: 101 header lines; at most 100", 403),
        ],
    )
    def test_an_invalid_response_fails_and_says_why(self, clock, pieces, words, status):
        with pytest.raises(HandshakeFailed, match=re.escape(words)) as caught:
            read(clock, *pieces)
        assert caught.value.status == status
        assert ("to raise it: limits=Limits(" in str(caught.value)) == ("limit" in words)


class TestTheBodyOfARefusal:
    """RFC 9112 §6.3, §7.1"""

    def test_it_is_as_long_as_it_says(self, clock):
        assert body(clock, b"403 No\r\nContent-Length: 6", b"rea", b"son and more") == (b"reason", 3)
        assert body(clock, b"403 No\r\nContent-Length: 0") == (b"", 1)
        for second in (b"2", b"x"):
            head = b"403 No\r\nContent-Length: 6\r\nContent-Length: " + second
            assert body(clock, head, b"reason") == (b"reason", 2)

    def test_else_it_is_read_to_the_end_or_the_deadline(self, clock):
        assert body(clock, b"403 No", b"rea", b"son", b"") == (b"reason", 4)
        assert body(clock, b"403 No\r\nContent-Length: x", b"rea", b"son", b"") == (b"reason", 4)
        assert body(clock, b"403 No\r\nContent-Length: 99", b"rea", 2, b"son", 20, b"late") == (b"reason", 5)
        assert clock.now == 1010
        with pytest.raises(TimeoutError):
            body(clock, b"403 No")

    def test_at_the_deadline_nothing_more_is_read(self, clock):
        assert body(clock, b"403 No", b"rea", 10.0, b"son", b"late") == (b"reason", 4)

    def test_each_read_has_the_time_that_is_left(self, clock):
        clock.now = 3.0
        *_, transport = read(clock, b"HTTP/1.1 403 No\r\n\r\n", b"rea", 2, b"so", 4.5, b"n", b"", deadline=10.0)
        assert [timeout for _, timeout in transport.reads] == [7, 7, 7, 7, 5, 5, 0.5]

    def test_a_read_that_took_too_long_is_the_last(self, clock):
        transport = Script(clock, b"HTTP/1.1 403 No\r\n\r\n", b"rea", b"son")
        receive = transport.receive

        def slow(size, timeout):
            clock.now += 4
            return receive(size, timeout)

        transport.receive = slow
        response, _ = read_response(transport, 1007.0, Limits())
        assert response.body == b"rea"

    def test_16_kib_of_it_are_kept(self, clock):
        for head in (b"200 OK", b"403 No\r\nContent-Length: 99999"):
            found, reads = body(clock, head, bytes(16_383), b"x", b"y")
            assert (len(found), reads) == (16_384, 3)
        assert body(clock, b"403 No", bytes(16_384) + b"y") == (bytes(16_384), 2)

    @pytest.mark.parametrize(("status", "reads"), [(b"204 A", 1), (b"304 B", 1), (b"200 C", 2), (b"303 D", 2)])
    def test_a_204_and_a_304_have_none(self, clock, status, reads):
        assert body(clock, status + b"\r\nContent-Length: 1", b"x") == (b"x" * (reads - 1), reads)

    @pytest.mark.parametrize("coding", [b"chunked", b"gzip, CHUNKED"])
    def test_chunks_are_joined(self, clock, coding):
        head = b"403 No\r\nContent-Length: 1\r\nTransfer-Encoding: " + coding
        chunks = b"3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n"
        assert body(clock, head, chunks) == (b"abc0123456789", 2)
        assert body(clock, head, chunks[:9], chunks[9:20], chunks[20:]) == (b"abc0123456789", 4)
        assert body(clock, head, chunks[:12], b"") == (b"abc", 3)
        assert body(clock, head, b"1F\r\n" + b"x" * 31 + b"\r\n0\r\n\r\n") == (b"x" * 31, 2)

    def test_other_codings_are_kept_as_they_are(self, clock):
        for last in (b"gzip", b"br"):
            head = b"403 No\r\nTransfer-Encoding: chunked, " + last
            assert body(clock, head, b"1\r\nx", b"") == (b"1\r\nx", 3)


class TestTurn:
    """RFC 6455 §4.1 item 2: one connection at a time to one address"""

    def test_the_first_has_it_at_once_and_nothing_is_left(self):
        with turn(("192.0.2.1", 80), 0.0), turn(("192.0.2.2", 80), 0.0), turn(("192.0.2.1", 81), 0.0):
            assert len(dialing._waiting) == 3
        assert dialing._waiting == {}

    def test_a_second_one_waits_until_its_deadline(self):
        address = ("192.0.2.1", 80)
        with turn(address, 0.0):
            with (
                pytest.raises(TimeoutError, match=r"192.0.2.1 port 80 is still being opened \(RFC 6455 §4.1\)"),
                turn(address, 0),
            ):
                raise AssertionError("two at a time")
            assert len(dialing._waiting[address]) == 1
        assert dialing._waiting == {}

    @pytest.mark.parametrize(("deadline", "left"), [(10.0, 7.0), (3.0, 0.0), (1.0, 0.0)])
    def test_it_waits_for_the_time_that_is_left(self, clock, monkeypatch, deadline, left):
        times = []
        clock.now = 3.0
        monkeypatch.setattr(
            dialing._waiting_changed, "wait_for", lambda has_it, timeout: times.append(timeout) or has_it()
        )
        with turn(("192.0.2.1", 80), deadline):
            assert times == [left]

    def test_they_come_in_order_also_after_one_that_failed(self):
        address, order, threads = ("192.0.2.1", 80), [], []

        def work(number):
            with turn(address, dialing.time.monotonic() + DEADLINE):
                order.append(number)

        with pytest.raises(KeyError), turn(address, 0.0):
            for number in range(5):
                threads.append(threading.Thread(target=work, args=(number,)))
                threads[-1].start()
                wait_until(lambda number=number: len(dialing._waiting[address]) == number + 2)
            raise KeyError("it failed")
        for thread in threads:
            thread.join(DEADLINE)
        assert order == list(range(5))
        assert dialing._waiting == {}


class TestBefore:
    """The resolver, the transport and TLS"""

    def test_an_unknown_host_is_named(self, monkeypatch):
        def unknown(*_, **__):
            raise socket.gaierror(-2, "unknown")

        monkeypatch.setattr(socket, "getaddrinfo", unknown)
        with pytest.raises(socket.gaierror, match=r"no such host: 'h.example' \(unknown\)") as caught:
            addresses_of(parse_url("ws://h.example/"))
        assert caught.value.errno == -2

    def test_addresses_keep_the_order_of_the_resolver(self, monkeypatch):
        found = [(family, 1, 6, "", (name, 81)) for family, name in ((socket.AF_INET6, "::1"), (socket.AF_INET, "a"))]
        asked = []
        monkeypatch.setattr(socket, "getaddrinfo", lambda *where, **how: asked.append((where, how)) or found)
        assert addresses_of(parse_url("ws://h:81/")) == [(family, address) for family, _, _, _, address in found]
        assert asked == [(("h", 81), {"type": socket.SOCK_STREAM})]

    @pytest.mark.parametrize(
        ("secure", "tapped", "kind"),
        [(False, False, Transport), (True, False, TLSTransport), (False, True, Tapped), (True, True, TappedTLS)],
    )
    def test_the_transport_is_plain_or_tls_with_a_tap_or_without(self, secure, tapped, kind):
        tap = (lambda sent, data: None) if tapped else None
        for host in ("h.example", "h.example.", "[fe80::1%25eth0]"):
            with (
                socket.create_server(("127.0.0.1", 0)) as listener,
                socket.create_connection(listener.getsockname()) as sock,
            ):
                context = ssl.create_default_context() if secure else None
                transport = make_transport(sock, parse_url(f"ws://{host}/"), context, Limits(), tap)
                assert type(transport) is kind
                assert getattr(transport, "tap", None) is tap
                if secure:
                    assert transport._tls.server_hostname == ("h.example" if host[0] == "h" else "fe80::1")

    @pytest.mark.parametrize(
        ("reason", "hint"),
        [("failed: WRONG_VERSION", "; the port may not speak TLS: try ws://h:81/x"), ("failed: SSLV3_ALERT_X", "")],
    )
    def test_tls_that_fails_is_a_failed_handshake_and_a_timeout_if_the_time_is_over(self, clock, reason, hint):
        class Fails:
            def handshake(self, deadline):
                assert deadline == 1010
                raise HTTPError(0, reason)

        with pytest.raises(HandshakeFailed) as caught:
            start_tls(Fails(), parse_url("wss://h:81/x"), 1010)
        assert str(caught.value) == reason + hint
        for clock.now in (1010.0, 1011.0):
            with pytest.raises(TimeoutError, match=f"^{reason}$"):
                start_tls(Fails(), parse_url("wss://h:81/x"), 1010)

    @pytest.mark.parametrize(("timeout", "bounded"), [(0.25, 0.25), (0.0, 0.001), (-1.0, 0.001)])
    def test_tcp_is_opened_in_time_and_a_socket_that_fails_is_closed(self, monkeypatch, timeout, bounded):
        calls = []

        class Fake:
            def __init__(self, *kind):
                calls.append(kind)

            def settimeout(self, seconds):
                calls.append(seconds)

            def connect(self, address):
                calls.append(address)
                raise KeyboardInterrupt

            def close(self):
                calls.append("closed")

        monkeypatch.setattr(socket, "socket", Fake)
        with pytest.raises(KeyboardInterrupt):
            dial(socket.AF_INET, ("192.0.2.1", 80), timeout)
        assert calls == [(socket.AF_INET, socket.SOCK_STREAM), bounded, ("192.0.2.1", 80), "closed"]
