"""A first server, written in one evening.  It works with one browser, and has bugs.

python mine.py [PORT]
"""

import base64
import hashlib
import socket
import struct
import sys
import threading

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def read(sock, size):
    data = b""
    while len(data) < size:
        piece = sock.recv(size - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


def read_headers(sock):
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += read(sock, 1)
    lines = head.decode("latin-1").split("\r\n")[1:-2]
    return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


def write(sock, first, payload):
    if len(payload) <= 126:
        header = struct.pack("!BB", first, len(payload))
    elif len(payload) < 65536:
        header = struct.pack("!BBH", first, 126, len(payload))
    else:
        header = struct.pack("!BBQ", first, 127, len(payload))
    sock.sendall(header + payload)


def converse(sock):
    headers = read_headers(sock)
    if headers.get("connection") != "Upgrade":
        return sock.sendall(b"HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n")
    accept = base64.b64encode(hashlib.sha1((headers["sec-websocket-key"] + GUID).encode()).digest())
    sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n")
    sock.sendall(b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
    while True:
        first, second = read(sock, 2)
        length = second & 127
        if length == 126:
            (length,) = struct.unpack("!H", read(sock, 2))
        elif length == 127:
            (length,) = struct.unpack("!Q", read(sock, 8))
        key = read(sock, 4)
        payload = bytes(octet ^ key[i % 4] for i, octet in enumerate(read(sock, length)))
        opcode = first & 15
        write(sock, 0x8A if opcode == 9 else first, payload)
        if opcode == 8:
            return


def serve(sock):
    with sock:
        try:
            converse(sock)
        except (EOFError, OSError, KeyError):
            pass


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8765
    with socket.create_server(("127.0.0.1", port)) as listener:
        print(f"listening on ws://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        while True:
            threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
