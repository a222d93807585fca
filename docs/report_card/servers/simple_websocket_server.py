"""simple-websocket under Werkzeug's development server, a thread for each client: its defaults."""

import sys
from importlib.metadata import version

from simple_websocket import ConnectionClosed, Server
from werkzeug.serving import make_server


def app(environ, start_response):  # type: ignore[no-untyped-def]
    """Send every message back."""
    ws = Server(environ)
    try:
        while True:
            ws.send(ws.receive())
    except ConnectionClosed:
        pass
    return []


print("simple-websocket", version("simple-websocket"), flush=True)
make_server("127.0.0.1", int(sys.argv[1]), app, threaded=True).serve_forever()
