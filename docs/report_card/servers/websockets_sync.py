"""websockets, threads: an echo server with its defaults."""

import sys

from websockets.sync.server import ServerConnection, serve


def echo(connection: ServerConnection) -> None:
    """Send every message back."""
    for message in connection:
        connection.send(message)


with serve(echo, "127.0.0.1", int(sys.argv[1])) as server:
    server.serve_forever()
