"""The exercises of chapter 0."""

from __future__ import annotations

import contextlib
import errno
import itertools
import random
import socket
import struct
from urllib.parse import urlsplit

import pytest
from answers import refusal
from rawclient import upgrade

import wsref
from wsref.exercises.ch00 import check_connect_result
from wsref.exercises.solutions.ch00 import connect_result


def status_only(url):
    try:
        wsref.connect(url).close()
    except wsref.HandshakeFailed as error:
        return f"refused: {error.status}"
    except OSError:
        return "no server"
    return "open"


def after_a_probe(url):
    """Reset a first connection, and open another one."""
    where = urlsplit(url)
    with contextlib.suppress(OSError), socket.create_connection((where.hostname, where.port)) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return status_only(url).replace("refused: 0", "not HTTP")


def always_404(url):
    return status_only(url).replace("503", "404").replace("refused: 0", "not HTTP")


def without_a_close(url):
    where = urlsplit(url)
    with socket.create_connection((where.hostname, where.port)) as sock:
        sock.sendall(upgrade(where.path))
        return "open" if sock.recv(65536).startswith(b"HTTP/1.1 101 ") else "not HTTP"


def line_by_line(url):
    """Ask in HTTP first, each line in a packet of its own."""
    where = urlsplit(url)
    try:
        with socket.create_connection((where.hostname, where.port)) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for line in [f"GET {where.path} HTTP/1.1", "Host: a", *(f"X-{n}: y" for n in range(50)), ""]:
                sock.sendall(f"{line}\r\n".encode())
    except OSError:
        return "no server"
    return status_only(url).replace("refused: 0", "not HTTP")


def without_the_first(longest):
    limit = 5
    while True:
        yield random.uniform(0, limit)
        limit = min(limit * 2, longest)


def jitter(longest):
    for n in itertools.count():
        yield min(5 * 2**n, longest) * random.uniform(0.9, 1)


def unlimited(longest):
    return (random.uniform(0, 5 * 2**n) for n in itertools.count())


def never_longer(longest):
    return (random.uniform(0, 5) for _ in itertools.count())


@pytest.mark.parametrize(
    "name, answer, words",
    [
        ("connect_result", status_only, "must return 'not HTTP', not 'refused: 0': this is a mail server"),
        ("connect_result", always_404, "must return 'refused: 503', not 'refused: 404'"),
        ("connect_result", lambda url: wsref.connect(url).close() or "open", "raises HandshakeFailed: "),
        ("connect_result", without_a_close, "/echo') must close the WebSocket before it returns"),
        ("delays", without_the_first, "it must be random, anywhere from 0 to 2"),
        (
            "delays",
            lambda longest: itertools.repeat(None),
            "delay 1 of delays(300) must be a number of seconds, not None",
        ),
        ("delays", jitter, "it must be random, anywhere from 0 to 5"),
        ("delays", unlimited, "delay 7 is from "),
        ("delays", never_longer, "delay 2 is from "),
        ("delays", lambda longest: iter([1.0]), "delays(300) must go on without end, and it ends after delay 1"),
        ("delays", lambda longest: [1.0], "must return a generator: write it with yield"),
    ],
)
def test_a_wrong_answer_is_refused_with_its_fault(name, answer, words):
    assert words in refusal(name, answer, "ch00")


@pytest.mark.timeout(30)
@pytest.mark.parametrize("answer", [after_a_probe, line_by_line])
def test_an_answer_may_connect_twice(answer):
    check_connect_result(answer)


def test_it_works_where_a_listener_has_no_shutdown(monkeypatch):
    """On macOS and Windows it is an error: the listener is not connected."""

    def shutdown(sock, how, original=socket.socket.shutdown):
        if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise OSError(errno.ENOTCONN, "Socket is not connected")
        original(sock, how)

    monkeypatch.setattr(socket.socket, "shutdown", shutdown)
    check_connect_result(connect_result)
