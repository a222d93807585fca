"""gevent-websocket: an echo server with its defaults."""

import sys

from gevent.pywsgi import WSGIServer
from geventwebsocket.handler import WebSocketHandler


def echo(environ, start_response):
    """Send every message back; answer plain HTTP by 204."""
    ws = environ.get("wsgi.websocket")
    if ws is None:
        start_response("204 No Content", [])
        return []
    while (message := ws.receive()) is not None:
        ws.send(message)
    return []


WSGIServer(("127.0.0.1", int(sys.argv[1])), echo, handler_class=WebSocketHandler, log=None).serve_forever()
