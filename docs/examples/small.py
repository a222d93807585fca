"""An echo with small limits, to show the effect of each.

python small.py [PORT]
"""

import logging
import sys

from wsref import Echo, Limits, WebSocketServer

PORT = int(sys.argv[1]) if len(sys.argv) > 1 else 8765

logging.basicConfig(format="%(message)s", level=logging.INFO)
limits = Limits(max_message_size=16, max_head=512, head_timeout=0.5, max_connections=2)
with WebSocketServer(("127.0.0.1", PORT), Echo, limits=limits) as server:
    print(f"listening on {server.url}", flush=True)
    server.serve_forever()
