"""A client that echoes what it receives: ``python -m wsref check --client --run 'python echo_client.py {url}'``."""

import sys

from wsref import connect

with connect(sys.argv[1]) as socket:
    for message in socket:
        socket.send(message)
