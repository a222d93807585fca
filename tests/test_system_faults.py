"""Faults of the system around the server: a restart, a kill, the clock, other programs, many at once.

``docs/reference/faults.toml`` lists these and all other faults; here are also the tests of that table.
"""

from __future__ import annotations

import ast
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from conftest import DEADLINE, wait_until
from rawclient import CLOSE, TEXT, RawClient, close, connected, text, upgrade

import wsref
from wsref import ConnectionClosed, Echo, Limits, WebSocketServer, connect

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "docs" / "_ext"))

from wsbook import traced

PROGRAM = """
import sys
from wsref import Echo, WebSocketServer
with WebSocketServer(("127.0.0.1", int(sys.argv[1])), Echo) as server:
    print(server.server_address[1], flush=True)
    server.serve_forever(0.01)
"""


@pytest.fixture
def process():
    """A server in another process, and its port."""
    path = os.pathsep.join(filter(None, [str(Path(wsref.__file__).parents[1]), os.environ.get("PYTHONPATH")]))
    started = []

    def start(port=0):
        command = [sys.executable, "-c", PROGRAM, str(port)]
        environment = {**os.environ, "PYTHONPATH": path}
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        started.append(child)
        return child, int(child.stdout.readline())

    yield start
    for child in started:
        child.kill()
        child.wait()
        child.stdout.close()


class TestTheServerGoes:
    """F11, F12, F2"""

    def test_a_server_that_restarts_has_its_port_again_and_said_1001_to_all(self, serve):
        first = serve()
        address = first.server_address
        clients = [RawClient(address) for _ in range(100)]
        for client in clients:
            client.open()
        first.shutdown()
        ending = threading.Thread(target=first.server_close)
        ending.start()
        for client in clients:
            opcode, payload = client.frame()
            assert (opcode, payload[:2]) == (CLOSE, b"\x03\xe9")
            client.send(close(1001))
            client.rest()
        ending.join(DEADLINE)
        # The connections that the server closed first are in TIME_WAIT, and hold the port without SO_REUSEADDR.
        with WebSocketServer(address, Echo) as second:
            second.start()
            with connected(second) as client:
                client.send(text("again"))
                assert client.frame() == (TEXT, b"again")
        for client in clients:
            client.socket.close()

    def test_a_server_that_is_killed_is_1006_to_its_clients_and_its_port_is_free(self, process):
        child, port = process()
        clients = [connect(f"ws://127.0.0.1:{port}/") for _ in range(10)]
        child.kill()
        for client in clients:
            with pytest.raises(ConnectionClosed) as caught:
                client.recv(timeout=DEADLINE)
            assert caught.value.code == 1006
            assert not client.closed.was_clean
            client.close()
        _, again = process(port)
        with connect(f"ws://127.0.0.1:{again}/") as client:
            client.send("again")
            assert client.recv(timeout=DEADLINE) == "again"

    def test_a_server_that_is_stopped_is_found_out_by_the_ping(self, process):
        child, port = process()
        limits = Limits(ping_interval=0.2, ping_timeout=0.3)
        with connect(f"ws://127.0.0.1:{port}/", limits=limits) as client:
            child.send_signal(signal.SIGSTOP)
            with pytest.raises(ConnectionClosed) as caught:
                client.recv(timeout=DEADLINE)
            assert caught.value.code == 1006
            child.send_signal(signal.SIGCONT)


class TestTheClock:
    """F16"""

    def test_no_deadline_is_counted_with_the_wall_clock(self):
        """Steps of the wall clock move nothing that does not read it: only a trace does, to print the time of day."""
        package = Path(wsref.__file__).parent
        reading = set()
        for folder in ("protocol", "network", "fast", "apps"):
            for path in (package / folder).glob("*.py"):
                for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                    name = ast.unparse(node) if isinstance(node, ast.Attribute) else ""
                    if name in ("time.time", "time.time_ns", "datetime.now", "datetime.datetime.now"):
                        reading.add(f"{folder}/{path.name}")
        assert reading == set()

    def test_a_step_of_the_clock_ends_no_connection(self, serve, monkeypatch):
        with connected(serve(limits=Limits(ping_interval=40, shutdown_timeout=0.5))) as client:
            for step in (86_400, -86_400):
                monkeypatch.setattr(time, "time", lambda step=step, now=time.time: now() + step)
                client.send(text("there?"))
                assert client.frame() == (TEXT, b"there?")


class TestOtherPrograms:
    """A hook that starts a program"""

    def test_a_program_that_a_hook_starts_does_not_hold_the_connection(self, serve):
        """PEP 446: it inherits no descriptor, so the client sees the end of TCP while the program runs."""
        children = []

        class Starts(Echo):
            def on_open(self):
                program = [sys.executable, "-c", "import sys; sys.stdin.read()"]
                children.append(subprocess.Popen(program, stdin=subprocess.PIPE, close_fds=False))

        try:
            with connected(serve(Starts)) as client:
                wait_until(lambda: children)
                client.send(close())
                assert client.closed() == (1000, "")
                assert client.rest() == b""
                assert children[0].poll() is None, "the program has ended, so this shows nothing"
        finally:
            for child in children:
                child.communicate()


class TestManyAtOnce:
    """F14"""

    def test_of_a_storm_of_connections_all_that_speak_are_served_and_the_silent_get_408(self, serve):
        server = serve(limits=Limits(head_timeout=2, shutdown_timeout=0.5))
        all_of_them = [RawClient(server.server_address) for _ in range(300)]
        silent, speaking = all_of_them[::2], all_of_them[1::2]
        try:
            for client in speaking:
                client.send(upgrade() + text("here"))
            for client in speaking:
                assert client.head().startswith("HTTP/1.1 101 ")
                assert client.frame() == (TEXT, b"here")
            for client in silent:
                assert client.rest().startswith(b"HTTP/1.1 408 ")
        finally:
            for client in all_of_them:
                client.socket.close()


class TestTheTable:
    """docs/reference/faults.toml"""

    def test_each_fault_has_tests_that_exist_and_each_statement_too(self):
        faults, statements = traced.read_faults()
        wrong = [one for row in (*faults, *statements) for one in traced.unknown_names(row.id, (), row.tests)]
        wrong += [row.id for row in (*faults, *statements) if not row.tests]
        assert wrong == []

    def test_ids_are_unique_and_in_order(self):
        faults, statements = traced.read_faults()
        for letter, rows in (("F", faults), ("N", statements)):
            assert [row.id for row in rows] == [f"{letter}{n}" for n in range(1, len(rows) + 1)]

    def test_faults_that_are_injected_by_the_soak_are_in_the_soak(self):
        text = (Path(__file__).parent / "soak.py").read_text("utf-8")
        faults, _ = traced.read_faults()
        named = {row.id for row in faults if "soak.py" in row.answer or "soak" in row.name.lower()}
        assert named <= set(re.findall(r"F\d+", text)) | {"F22"}
