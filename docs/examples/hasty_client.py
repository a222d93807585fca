"""A client that was written in one evening: it echoes, and it has bugs."""

import os
import socket
import sys
from urllib.parse import urlsplit

url = urlsplit(sys.argv[1])
sock = socket.create_connection((url.hostname, url.port))
sock.sendall(
    f"GET {url.path} HTTP/1.1\r\nHost: {url.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
)
stream = sock.makefile("rb")
status = stream.readline()
while stream.readline().strip():
    pass  # the headers
if b" 101 " not in status:
    sys.exit("no WebSocket")
while header := stream.read(2):
    size = header[1] & 127
    if size == 126:
        size = int.from_bytes(stream.read(2), "big")
    payload = stream.read(size)
    opcode = header[0] & 15
    key = os.urandom(4)
    masked = bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))
    length = bytes([128 | size]) if size < 126 else bytes([254]) + size.to_bytes(2, "big")
    sock.sendall(bytes([128 | (10 if opcode == 9 else opcode)]) + length + key + masked)
    if opcode == 8:
        break
