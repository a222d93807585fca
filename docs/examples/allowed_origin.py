"""An echo for pages of two origins, and for programs, which send no Origin.

python allowed_origin.py [PORT]
"""

import sys

from wsref import Echo, WebSocketServer

PORT = int(sys.argv[1]) if len(sys.argv) > 1 else 8765
PAGES = ["https://example.com", "http://localhost:3000"]

with WebSocketServer(("127.0.0.1", PORT), Echo, allowed_origins=PAGES) as server:
    print(f"listening on {server.url}", flush=True)
    server.serve_forever()
