"""simple-websocket with its defaults, a thread for each client, under an HTTP server of a few lines."""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from simple_websocket import ConnectionClosed, Server


class Handler(BaseHTTPRequestHandler):
    """One connection: the head is read by http.server, the rest is simple-websocket's."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Send every message back, if it is a WebSocket."""
        environ = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in self.headers.items()}
        environ |= {"REQUEST_METHOD": self.command, "werkzeug.socket": self.connection}
        self.close_connection = True
        try:
            ws = Server(environ)
        except Exception:  # whatever it raises: it has answered nothing
            return self.send_error(400)
        try:
            while True:
                ws.send(ws.receive())
        except ConnectionClosed:
            ws.thread.join(1)  # it wakes us before it has sent its answer to a Close

    do_HEAD = do_POST = do_PUT = do_OPTIONS = do_GET  # noqa: N815  (http.server's names)

    def log_message(self, *words: object) -> None:
        """Nothing."""


ThreadingHTTPServer.request_queue_size = 128
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
