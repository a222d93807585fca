"""gevent-websocket: an echo server with its defaults."""

import sys

from gevent.pywsgi import WSGIServer
from geventwebsocket.handler import WebSocketHandler


def echo(environ, start_response):
    """Send every message back; answer plain HTTP by 200."""
    ws = environ.get("wsgi.websocket")
    if ws is None:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"an echo server\n"]
    while (message := ws.receive()) is not None:
        ws.send(message)
    return []


WSGIServer(("127.0.0.1", int(sys.argv[1])), echo, handler_class=WebSocketHandler, log=None).serve_forever()
