"""A client that vanishes after half a message, as when a train enters a tunnel."""

import socket
import struct
import sys

PORT = int(sys.argv[1]) if len(sys.argv) > 1 else 8765

with socket.create_connection(("127.0.0.1", PORT)) as sock:
    sock.sendall(
        f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{PORT}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    print(sock.recv(4096).decode().splitlines()[0])
    sock.sendall(bytes.fromhex("81 8a 00 00 00 00") + b"half")  # of ten bytes
    # The kernel sends RST instead of FIN, as after a crash.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
