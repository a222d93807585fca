"""A client for tests that sends what it is told, right or wrong, byte by byte if need be.

Its frames come from framing.py and its decoder is its own: neither shares code with wsref, so a mistake in
wsref cannot hide behind the same mistake here.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from collections.abc import Iterator

from framing import BINARY, CLOSE, PING, PONG, TEXT, ZERO, close, frame, text

__all__ = [
    "ACCEPT",
    "BINARY",
    "CLOSE",
    "KEY",
    "PING",
    "PONG",
    "TEXT",
    "ZERO",
    "RawClient",
    "close",
    "connected",
    "frame",
    "text",
    "upgrade",
]

KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455 §1.3
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def upgrade(path: str = "/", **headers: str | None) -> bytes:
    """An opening handshake; ``Sec_WebSocket_Version="8"`` replaces, ``Host=None`` leaves out."""
    fields: dict[str, str | None] = {
        "Host": "127.0.0.1",
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": KEY,
        "Sec-WebSocket-Version": "13",
    }
    fields.update({name.replace("_", "-"): value for name, value in headers.items()})
    lines = [f"{name}: {value}" for name, value in fields.items() if value is not None]
    return "\r\n".join([f"GET {path} HTTP/1.1", *lines, "", ""]).encode("latin-1")


class RawClient:
    """A TCP connection with a deadline on everything."""

    def __init__(
        self, address: tuple[str, int], *, context: ssl.SSLContext | None = None, timeout: float = 30.0
    ) -> None:
        self.socket = socket.create_connection(address[:2], timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_hostname="localhost")
        self.buffer = bytearray()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def dribble(self, data: bytes) -> None:
        for i in range(len(data)):
            self.socket.sendall(data[i : i + 1])

    def more(self) -> bool:
        """Read something; False at the end."""
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            data = b""
        self.buffer += data
        return bool(data)

    def take(self, n: int) -> bytes:
        while len(self.buffer) < n:
            assert self.more(), f"ended after {len(self.buffer)} bytes: {bytes(self.buffer[:500])}"
        data = bytes(self.buffer[:n])
        del self.buffer[:n]
        return data

    def head(self) -> str:
        """A response's head."""
        while b"\r\n\r\n" not in self.buffer:
            assert self.more(), f"ended after {len(self.buffer)} bytes: {bytes(self.buffer[:500])}"
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        return head.decode()

    def rest(self) -> bytes:
        """All that comes until the end."""
        while self.more():
            pass
        data = bytes(self.buffer)
        self.buffer.clear()
        return data

    def open(self, path: str = "/", **headers: str | None) -> str:
        """The opening handshake; fails if it is refused."""
        self.send(upgrade(path, **headers))
        head = self.head()
        assert head.startswith("HTTP/1.1 101 "), head + self.buffer.decode()
        return head

    def frame(self) -> tuple[int, bytes]:
        """The next frame, which must be whole, unmasked and without RSV bits."""
        first, second = self.take(2)
        assert first & 0xF0 == 0x80, f"FIN and RSV bits of {first:#x}"
        assert second < 128, "a server must not mask"
        n = second
        if n == 126:
            (n,) = struct.unpack("!H", self.take(2))
            assert n > 125
        elif n == 127:
            (n,) = struct.unpack("!Q", self.take(8))
            assert n > 65535
        return first & 15, self.take(n)

    def closed(self) -> tuple[int | None, str]:
        """Read until Close and end of TCP: the code and the reason, (None, "") without a Close."""
        while True:
            if not self.buffer and not self.more():
                return None, ""
            opcode, payload = self.frame()
            if opcode == CLOSE:
                assert self.rest() == b"", "nothing may follow a Close"
                return (struct.unpack("!H", payload[:2])[0] if payload else 1005), payload[2:].decode()

    def reset(self) -> None:
        """End TCP with a RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


@contextlib.contextmanager
def connected(server: object, path: str | None = "/", **options: object) -> Iterator[RawClient]:
    """A client of this server, its handshake done (``path=None``: not yet)."""
    client = RawClient(server.server_address, **options)  # type: ignore[attr-defined,arg-type]
    try:
        if path is not None:
            client.open(path)
        yield client
    finally:
        client.socket.close()
