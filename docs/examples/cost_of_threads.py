"""Measures what an idle connection costs a server with threads, in resident memory (Linux).

python cost_of_threads.py [CONNECTIONS]
"""

import contextlib
import subprocess
import sys
from pathlib import Path

from wsref import connect

COUNT = int(sys.argv[1]) if len(sys.argv) > 1 else 400

SERVER = """
from wsref import Echo, WebSocketServer

with WebSocketServer(("127.0.0.1", 0), Echo) as server:
    print(server.url, flush=True)
    server.serve_forever()
"""


def resident(pid):
    """KiB of memory that a process has in use."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


server = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True)
try:
    url = server.stdout.readline().strip()
    with contextlib.ExitStack() as clients:

        def talk(count):
            for _ in range(count):
                client = clients.enter_context(connect(url))
                client.send("hi")  # each is used once, and then idle
                client.recv()

        talk(50)  # what is there once for all is not counted
        before = resident(server.pid)
        talk(COUNT)
        print(f"{COUNT} more connections: {(resident(server.pid) - before) / COUNT:.0f} KiB each")
finally:
    server.terminate()
    server.communicate()
