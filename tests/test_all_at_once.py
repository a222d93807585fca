"""Everything at once, from many threads: what one lock of the interpreter might hide.

The result is the same with the GIL, where threads change after 10 µs here, and without it:
``PYTHON_GIL=0 python3.13t -m pytest tests/test_all_at_once.py``.
"""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import DEADLINE, wait_until

from wsref import Compression, Echo, connect

TALKERS, MESSAGES = 4, 150
COMERS, VISITS = 3, 30
SPEAKERS, BROADCASTS = 2, 100


@pytest.fixture
def quick_switches():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("quick_switches")
@pytest.mark.parametrize("compression", [None, Compression(threshold=0)], ids=["plain", "compressed"])
def test_talk_come_go_and_broadcast_at_once(serve, compression):
    server = serve(Echo, compression=compression)
    everyone_is_here = threading.Barrier(TALKERS + COMERS + SPEAKERS)

    def talk(me):
        """Return what came of the broadcasts, after an echo of each message in order."""
        with connect(server.url) as ws:
            ws.send("here")
            assert ws.recv() == "here"
            everyone_is_here.wait(DEADLINE)
            sender = threading.Thread(target=lambda: [ws.send(f"talker {me}: {n}") for n in range(MESSAGES)])
            sender.start()
            echoes, broadcasts = [], []
            while len(echoes) < MESSAGES or len(broadcasts) < SPEAKERS * BROADCASTS:
                message = ws.recv(DEADLINE)
                (echoes if message.startswith("talker") else broadcasts).append(message)
            sender.join()
            assert echoes == [f"talker {me}: {n}" for n in range(MESSAGES)]
            return broadcasts

    def come_and_go():
        everyone_is_here.wait(DEADLINE)
        for n in range(VISITS):
            with connect(server.url) as ws:
                ws.send(f"visit {n}")
                while (message := ws.recv(DEADLINE)) != f"visit {n}":
                    assert message.startswith("speaker")

    def speak(me):
        everyone_is_here.wait(DEADLINE)
        for n in range(BROADCASTS):
            delivery = server.broadcast(f"speaker {me}: {n}")
            assert len(delivery.sent) + len(delivery.kept) >= TALKERS

    with ThreadPoolExecutor(TALKERS + COMERS + SPEAKERS) as pool:
        heard = [pool.submit(talk, me) for me in range(TALKERS)]
        others = [pool.submit(come_and_go) for _ in range(COMERS)]
        others += [pool.submit(speak, me) for me in range(SPEAKERS)]
        for other in others:
            other.result(DEADLINE)
        orders = [one.result(DEADLINE) for one in heard]
    assert all(order == orders[0] for order in orders), "all see the broadcasts in the same order"
    for me in range(SPEAKERS):
        assert [one for one in orders[0] if one.startswith(f"speaker {me}:")] == [
            f"speaker {me}: {n}" for n in range(BROADCASTS)
        ]
    connections = TALKERS + COMERS * VISITS
    wait_until(lambda: server.counts.closed == connections)
    assert (server.counts.accepted, server.counts.opened, server.counts.refused) == (connections, connections, 0)
    assert server.handlers == ()
