"""docs/howto/several: the files that the book shows, tried on the nginx, HAProxy and systemd that are installed."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from conftest import DEADLINE, found, free_port, require, wait_until

from wsref import Compression, ConnectionClosed, WebSocketServer, connect
from wsref.apps.exchange import Exchange
from wsref.apps.shared_chat import with_exchange

pytestmark = pytest.mark.slow

FILES = Path(__file__).parents[1] / "docs" / "howto" / "several"


@pytest.fixture(params=["nginx", "haproxy"])
def balancer(request, tmp_path):
    """``balancer(port, port)`` starts it before two servers; its URL."""
    require(found(request.param), f"{request.param} is not installed")
    with contextlib.ExitStack() as stack:

        def start(*behind):
            name = {"nginx": "nginx.conf", "haproxy": "haproxy.cfg"}[request.param]
            text = (FILES / name).read_text()
            front = stack.enter_context(free_port())
            for number, port in zip((8080, 8765, 8766), (front, *behind), strict=True):
                text, count = re.subn(rf"\b{number}\b", str(port), text)
                assert count == 1
            (tmp_path / name).write_text(text)
            command = ["haproxy", "-db", "-f", name]
            if request.param == "nginx":
                whole = (FILES.parent / "nginx" / "nginx.conf").read_text()
                (tmp_path / "whole.conf").write_text(whole.replace("include wsref.conf;", f"include {name};"))
                directives = "daemon off;" + (" user root;" if os.geteuid() == 0 else "")
                command = ["nginx", "-p", f"{tmp_path}/", "-c", "whole.conf", "-g", directives]
            log = stack.enter_context(open(tmp_path / "log", "w"))
            process = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log)
            stack.callback(process.wait, DEADLINE)
            stack.callback(process.terminate)

            def listens():
                assert process.poll() is None, (tmp_path / "log").read_text()
                with contextlib.suppress(ConnectionRefusedError):
                    socket.create_connection(("127.0.0.1", front), DEADLINE).close()
                    return True
                return False

            wait_until(listens)
            return f"ws://127.0.0.1:{front}"

        yield start


@contextlib.contextmanager
def chat_server(handler, port=0):
    """A server of the shared chat."""
    with WebSocketServer(("127.0.0.1", port), handler, compression=Compression()) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.stop()
            thread.join(DEADLINE)


def until(ws, words):
    """Receive lines up to one with these words."""
    lines = []
    while not lines or words not in lines[-1]:
        lines.append(ws.recv(DEADLINE))
    return lines


def test_a_server_ends_its_clients_come_back_to_the_other_and_miss_nothing(balancer):
    handler = with_exchange(Exchange())
    with contextlib.ExitStack() as stack:
        first, second = stack.enter_context(contextlib.ExitStack()), stack.enter_context(chat_server(handler))
        ending = first.enter_context(chat_server(handler))
        url = balancer(ending.server_address[1], second.server_address[1])
        clients = [stack.enter_context(connect(f"{url}/chat?name=guest{n}&since=")) for n in range(6)]
        for ws in clients:
            until(ws, "guest5 has joined")
        wait_until(lambda: [len(server.handlers) for server in (ending, second)] == [3, 3])  # the fewest connections
        clients[0].send("before")
        places = [until(ws, "guest0: before")[-1].split(" ")[0] for ws in clients]
        assert len(set(places)) == 1, "one order for all"
        first.close()  # as SIGTERM does
        moved = [n for n, ws in enumerate(clients) if is_closed_with_1001(ws)]
        assert len(moved) == 3
        stays = next(ws for n, ws in enumerate(clients) if n not in moved)
        stays.send("while some are away")
        until(stays, "while some are away")
        for n in moved:
            again = stack.enter_context(connect(f"{url}/chat?name=guest{n}&since={places[n]}", timeout=DEADLINE))
            missed = until(again, "while some are away")
            assert sum("while some are away" in line for line in missed) == 1
            assert not any("before" in line for line in missed)
        wait_until(lambda: len(second.handlers) == 6)


def is_closed_with_1001(ws):
    """Whether the server has ended this connection in order."""
    try:
        while True:
            ws.recv(0.5)
    except TimeoutError:
        return False
    except ConnectionClosed as closed:
        return closed.code == 1001


def test_the_service_file_is_accepted():
    require(found("systemd-analyze"), "systemd is not installed")
    text = (FILES / "wsref@.service").read_text()
    assert "/usr/bin/python3 -m wsref --port %i" in text
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(FILES / "wsref@.service")], capture_output=True, text=True
    )
    said = [line for line in done.stderr.splitlines() if "wsref@" in line]
    assert said == [], said


def test_the_service_starts_again_for_as_long_as_redis_is_away():
    # systemd.unit(5): by default the sixth start within 10 s is refused, also with Restart=always.
    text = (FILES / "wsref@.service").read_text()
    settings = dict(re.findall(r"^(\w+)=(.*)$", text, re.M))
    assert settings["Restart"] == "always"
    assert settings["StartLimitIntervalSec"] == "0" or 5 * float(settings["RestartSec"]) > 10


def test_the_command_of_the_service_file_is_one():
    text = (FILES / "wsref@.service").read_text()
    command = re.search(r"^ExecStart=/usr/bin/python3 (.*)$", text, re.M)[1].replace("%i", "0").split()
    done = subprocess.run([sys.executable, *command, "-h"], capture_output=True, text=True)
    assert done.returncode == 0
    assert "--exchange" in done.stdout
