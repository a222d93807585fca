"""wsref itself: its echo server, with permessage-deflate."""

import sys

from wsref import Compression, WebSocketServer
from wsref.apps.demo import Demo

with WebSocketServer(("127.0.0.1", int(sys.argv[1])), Demo, compression=Compression()) as server:
    server.serve_forever()
