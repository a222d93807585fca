"""An echo, and a second port for health checks: ``GET /healthz`` answers 200.

python healthz.py [PORT [HEALTH_PORT]]        (0: any free port)
"""

import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from wsref import Echo, WebSocketServer


def serve_health(server, address=("127.0.0.1", 0)):
    """Answer health checks about a server in the background; return the HTTP server."""

    class Health(BaseHTTPRequestHandler):
        def do_GET(self):
            status, text = (200, f"{len(server.handlers)} connections\n") if self.path == "/healthz" else (404, "")
            self.send_response(status)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_):
            pass  # a line every few seconds

    health = ThreadingHTTPServer(address, Health)
    threading.Thread(target=health.serve_forever, daemon=True).start()
    return health


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8765
    health_port = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    with WebSocketServer(("127.0.0.1", port), Echo) as server:
        health = serve_health(server, ("127.0.0.1", health_port))
        print(f"listening on {server.url}, for health checks on port {health.server_port}", flush=True)
        server.serve_forever()
