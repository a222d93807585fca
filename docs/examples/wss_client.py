"""A client that trusts only the certificate in cert.pem."""

import ssl
import sys

from wsref import connect

URL = sys.argv[1] if len(sys.argv) > 1 else "wss://localhost:8765/"

context = ssl.create_default_context(cafile="cert.pem")
with connect(URL, ssl_context=context) as ws:
    ws.send("hi")
    print(ws.recv())
