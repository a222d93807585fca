"""An echo over wss://, with the certificate in cert.pem and the key in key.pem."""

import ssl
import sys

from wsref import Echo, WebSocketServer

PORT = int(sys.argv[1]) if len(sys.argv) > 1 else 8765

context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.minimum_version = ssl.TLSVersion.TLSv1_2
context.load_cert_chain("cert.pem", "key.pem")

with WebSocketServer(("127.0.0.1", PORT), Echo, ssl_context=context) as server:
    print(f"listening on {server.url}", flush=True)
    server.serve_forever()
