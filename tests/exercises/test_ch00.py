"""The exercises of chapter 0."""

from __future__ import annotations

import itertools
import socket
import threading

import ch00

import wsref


class Chat(wsref.Echo):
    paths = ("/chat",)


def test_a_program_is_told_what_a_page_is_not(serve):
    url = serve(Chat).url
    assert ch00.what_happened(f"{url}/chat") == "open, subprotocol None"
    assert ch00.what_happened(f"{url}/caht") == "refused: 404"


def test_a_port_at_which_nobody_listens_and_one_at_which_somebody_else_does():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert ch00.what_happened(f"ws://127.0.0.1:{free.getsockname()[1]}/") == "nobody answered"
    with socket.create_server(("127.0.0.1", 0)) as mail:

        def greet():
            sock = mail.accept()[0]
            with sock:
                sock.sendall(b"220 mail.example ESMTP\r\n")
                sock.recv(65536)

        thread = threading.Thread(target=greet)
        thread.start()
        assert ch00.what_happened(f"ws://127.0.0.1:{mail.getsockname()[1]}/") == "no WebSocket server"
        thread.join()


def test_the_delays_get_longer_up_to_a_limit(monkeypatch):
    monkeypatch.setattr(ch00.random, "uniform", lambda least, most: most)
    assert list(itertools.islice(ch00.delays(most=30), 5)) == [5, 10, 20, 30, 30]


def test_the_delays_are_random():
    assert len(set(itertools.islice(ch00.delays(), 10))) == 10
