"""An echo that pings after 0.2 s of silence, and cuts the connection after 0.3 s more.

python impatient.py [PORT]
"""

import logging
import sys

from wsref import Echo, Limits, WebSocketServer

PORT = int(sys.argv[1]) if len(sys.argv) > 1 else 8765

logging.basicConfig(format="%(message)s", level=logging.INFO)  # wsref logs to the logger "wsref"
limits = Limits(ping_interval=0.2, ping_timeout=0.3)
with WebSocketServer(("127.0.0.1", PORT), Echo, limits=limits) as server:
    print(f"listening on {server.url}", flush=True)
    server.serve_forever()
