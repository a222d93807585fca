"""An echo behind a load balancer that speaks the PROXY protocol, version 1 or 2.

python proxy_protocol.py [PORT]

Only the load balancer may reach this port, because a client could claim any address.
"""

import ipaddress
import logging
import struct
import sys

from wsref import Echo, WebSocketServer

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"  # the first bytes of version 2
HEADER_TIMEOUT = 5.0  # seconds without a byte of the header


class BehindProxy(WebSocketServer):
    """Reads the PROXY header, and gives its address to the handler as ``client_address``."""

    def finish_request(self, request, client_address):  # socketserver calls it in the connection's thread
        try:
            request.settimeout(HEADER_TIMEOUT)
            client_address = read_header(request) or client_address
            request.settimeout(None)
        except (OSError, ValueError) as error:
            logging.warning("%s no PROXY header: %s", client_address, error)
            return  # socketserver closes the connection
        super().finish_request(request, client_address)


def read_header(sock):
    """Return the client's host and port; None for a header without them, as in health checks."""
    start = read_exactly(sock, len(SIGNATURE))
    if start == SIGNATURE:
        version_and_command, family, size = struct.unpack("!BBH", read_exactly(sock, 4))
        body = read_exactly(sock, size)
        if version_and_command == 0x21 and family in (0x11, 0x21):  # PROXY; TCP over IPv4 or IPv6
            length = 4 if family == 0x11 else 16
            host = ipaddress.ip_address(body[:length])
            return str(host), int.from_bytes(body[2 * length : 2 * length + 2])
        if version_and_command in (0x20, 0x21):
            return None
        raise ValueError(f"version and command are {version_and_command:#x}")
    line = start
    while not line.endswith(b"\r\n"):
        if len(line) >= 107 or not line.startswith(b"PROXY "):
            raise ValueError(f"received {line!r}")
        line += read_exactly(sock, 1)
    match line.decode("ascii").split():
        case ["PROXY", "TCP4" | "TCP6", source, _, port, _]:
            return str(ipaddress.ip_address(source)), int(port)
        case ["PROXY", "UNKNOWN", *_]:
            return None
    raise ValueError(f"received {line!r}")


def read_exactly(sock, size):
    data = b""
    while len(data) < size:
        piece = sock.recv(size - len(data))
        if not piece:
            raise ValueError(f"the connection ended after {data!r}")
        data += piece
    return data


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8765
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    with BehindProxy(("127.0.0.1", port), Echo) as server:
        print(f"listening on {server.url}", flush=True)
        server.serve_forever()
