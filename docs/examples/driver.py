"""A driver for ``python -m wsref check --client``: it grades the client of the websockets package."""

import sys

from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

done = False
while not done:
    try:
        with connect(sys.argv[1]) as socket:  # ws://127.0.0.1:9001/next?agent=websockets
            for message in socket:
                done = message == "done"
                if not done:
                    socket.send(message)
    except (WebSocketException, OSError, EOFError):
        pass  # the grader breaks rules on purpose
