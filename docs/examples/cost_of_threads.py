"""Measures the resident memory of an idle connection in a server with threads (Linux).

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
    """Return the resident memory of a process in KiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


server = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True)
try:
    url = server.stdout.readline().strip()
    with contextlib.ExitStack() as clients:

        def talk(count):
            for _ in range(count):
                client = clients.enter_context(connect(url))
                client.send("hi")  # use each once; then it is idle
                client.recv()

        talk(50)  # so that memory for the first connections does not count
        before = resident(server.pid)
        talk(COUNT)
        print(f"{COUNT} more connections: {(resident(server.pid) - before) / COUNT:.0f} KiB each")
finally:
    server.terminate()
    server.communicate()
