"""Step 2: upgrade detection: does the request ask to switch protocols?"""

import contextlib
import re
import socket
import socketserver
import traceback
from email.utils import formatdate
from http import HTTPStatus

ADDRESS = ("127.0.0.1", 8765)
TIMEOUT = 10  # seconds to wait for a client's next bytes
MAX_HEAD = 16 * 1024  # bytes of a request line and its headers together

TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # RFC 9110 section 5.6.2
REQUEST_LINE = re.compile(rb"(" + TOKEN + rb") ([!\"$-~]+) HTTP/1\.([0-9])")
HEADER_LINE = re.compile(rb"(" + TOKEN + rb"):([\t -~\x80-\xff]*)")  # no control character but tab
HOST = re.compile(r"([!$&'()*+,;=._~%0-9A-Za-z-]*|\[[0-9A-Fa-f:.]+\])(:[0-9]*)?")


class HTTPError(Exception):
    """The request is refused with this status and these reasons."""

    def __init__(self, status, *reasons):
        super().__init__("; ".join(reasons))
        self.status, self.reasons = status, reasons


class Handler(socketserver.BaseRequestHandler):
    """One connection, in its own thread."""

    def handle(self):
        """Read one request and answer it.  (socketserver calls the socket ``self.request``.)"""
        self.request.settimeout(TIMEOUT)
        self.received = bytearray()  # bytes that arrived and are not used yet
        self.method = ""
        try:
            self.read_request()
            if self.wants_upgrade():
                raise HTTPError(501, "an upgrade: chapter 4 opens it")
            self.respond(200, "Hello from an HTTP server.\n")
        except HTTPError as error:
            self.abort_handshake(error)
        except OSError:
            pass  # the client is gone, or silent for too long
        except Exception:  # a mistake in this program
            traceback.print_exc()
            self.abort_handshake(HTTPError(500, "the server failed"))

    def read_request(self):
        """Read a request's head: method, target, version, headers (RFC 9112 sections 3 and 5)."""
        while b"\r\n\r\n" not in self.received[:MAX_HEAD]:  # TCP is a stream: it comes in pieces
            if len(self.received) > MAX_HEAD:
                raise HTTPError(431, f"the request's head is larger than {MAX_HEAD} bytes")
            if self.received.count(b"\n") > self.received.count(b"\r\n"):
                raise HTTPError(400, "each line must end in CRLF")
            self.receive()
        head, _, self.received = self.received.partition(b"\r\n\r\n")
        first, *lines = head.removeprefix(b"\r\n").split(b"\r\n")
        if not (found := REQUEST_LINE.fullmatch(first)):
            raise HTTPError(400, "the first line must be METHOD TARGET HTTP/1.1")
        self.method, self.target, self.minor_version = found[1].decode(), found[2].decode(), int(found[3])
        self.headers = {}  # name in lower case: the values of its lines
        for line in lines:
            if not (found := HEADER_LINE.fullmatch(line)):  # no blank before the colon, no folding
                raise HTTPError(400, "each header line must be NAME: VALUE")
            name, value = found[1].decode().lower(), found[2].decode("latin-1").strip(" \t")
            self.headers.setdefault(name, []).append(value)
        hosts = self.headers.get("host", [])
        if self.minor_version >= 1 and (len(hosts) != 1 or not HOST.fullmatch(hosts[0])):
            raise HTTPError(400, "there must be one Host header, and it must be a host")

    def elements(self, name):
        """The elements of a header that is a list, from all its lines, in lower case."""
        elements = ",".join(self.headers.get(name, [])).lower().split(",")
        return [element.strip(" \t") for element in elements if element.strip(" \t")]

    def wants_upgrade(self):
        """RFC 9110 section 7.8: HTTP/1.1, "Connection: Upgrade", and an Upgrade header."""
        return "upgrade" in self.elements("connection") and self.elements("upgrade") and self.minor_version >= 1

    def receive(self):
        """Wait for the next bytes and add them to ``self.received``."""
        data = self.request.recv(64 * 1024)
        if not data:
            raise ConnectionError("the client has ended TCP")
        self.received += data

    def respond(self, status, text, *headers, content_type="text/plain; charset=utf-8"):
        """Send a response with a body, the only one on this connection."""
        body = text.encode()
        headers += (f"Content-Type: {content_type}", f"Content-Length: {len(body)}")
        headers += ("Connection: close",)
        self.send_head(status, f"Date: {formatdate(usegmt=True)}", *headers)
        if self.method != "HEAD":  # a HEAD is a GET without a body in its answer
            self.request.sendall(body)

    def send_head(self, status, *headers):
        """Send a status line, header lines and an empty line."""
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *headers, "", ""]
        self.request.sendall("\r\n".join(lines).encode())
        print("{}:{} {}".format(*self.client_address, status), flush=True)

    def abort_handshake(self, error):
        """Refuse the request, and say why."""
        with contextlib.suppress(OSError):  # the client may be gone
            self.respond(error.status, "".join(f"- {reason}\n" for reason in error.reasons))

    def finish(self):
        """End TCP in two stages: closing with unread bytes can make the client lose our answer."""
        with contextlib.suppress(OSError):
            self.request.shutdown(socket.SHUT_WR)
            self.request.settimeout(1)
            for _ in range(100):
                if not self.request.recv(64 * 1024):
                    break


class Server(socketserver.ThreadingTCPServer):
    """A thread for each connection."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128


if __name__ == "__main__":
    with Server(ADDRESS, Handler) as server, contextlib.suppress(KeyboardInterrupt):
        print("Open http://{}:{}/ in a browser.  Ctrl-C ends it.".format(*ADDRESS), flush=True)
        server.serve_forever()
