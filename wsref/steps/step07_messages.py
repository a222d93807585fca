"""Step 7: messages: join fragments, check UTF-8, answer a Ping between them."""

import base64
import codecs
import contextlib
import hashlib
import re
import socket
import socketserver
import traceback
from email.utils import formatdate
from http import HTTPStatus

ADDRESS = ("127.0.0.1", 8765)
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
TIMEOUT = 10  # seconds to wait for a client's next bytes
MAX_HEAD = 16 * 1024  # bytes of a request line and its headers together
MAX_MESSAGE = 1024 * 1024  # bytes of a message, over all its frames

OPCODES = CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10  # RFC 6455 section 5.2

TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # RFC 9110 section 5.6.2
REQUEST_LINE = re.compile(rb"(" + TOKEN + rb") ([!\"$-~]+) HTTP/1\.([0-9])")
HEADER_LINE = re.compile(rb"(" + TOKEN + rb"):([\t -~\x80-\xff]*)")  # no control character but tab
KEY = re.compile("[+/0-9A-Za-z]{22}==")  # 16 bytes in base64; the article checks for 24 characters
PAGE = """<!doctype html><title>A WebSocket server</title>
<p>This is the body of a 426.  Its script opens a WebSocket here: <b id="state">...</b></p>
<script>new WebSocket(location.href.replace("http", "ws")).onopen = () => (state.textContent = "open")</script>
"""
HOST = re.compile(r"([!$&'()*+,;=._~%0-9A-Za-z-]*|\[[0-9A-Fa-f:.]+\])(:[0-9]*)?")


class HTTPError(Exception):
    """The request is refused with this status and these reasons."""

    def __init__(self, status, *reasons):
        super().__init__("; ".join(reasons))
        self.status, self.reasons = status, reasons


class ProtocolError(Exception):
    """The client broke a rule of the WebSocket protocol: the connection fails (section 7.1.7)."""


def require(valid, rule):
    """Fail the connection unless it is valid."""
    if not valid:
        raise ProtocolError(rule)


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
                self.validate()
                self.complete_upgrade()
                self.converse()
            else:
                self.fallback()
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

    def validate(self):
        """RFC 6455 section 4.2.1: refuse an invalid handshake, with every reason."""
        keys = self.headers.get("sec-websocket-key", [])
        versions = self.headers.get("sec-websocket-version", [])
        has_body = "transfer-encoding" in self.headers or set(self.headers.get("content-length", [])) - {"0"}
        checks = [
            (self.method == "GET", f"the method must be GET, not {self.method}"),
            ("websocket" in self.elements("upgrade"), "the Upgrade header must name websocket"),
            (len(keys) == 1 and KEY.fullmatch(keys[0]), "there must be one Sec-WebSocket-Key, 16 bytes in base64"),
            (versions in (["13"], ["8"]), "there must be one Sec-WebSocket-Version, 13 or 8"),
            (not has_body, "a handshake must have no body: its bytes would be read as frames"),
        ]
        if reasons := [reason for valid, reason in checks if not valid]:
            raise HTTPError(400, *reasons)

    def complete_upgrade(self):
        """RFC 6455 section 4.2.2: answer 101.  The accept value proves that we read the key."""
        digest = hashlib.sha1((self.headers["sec-websocket-key"][0] + GUID).encode()).digest()
        accept = f"Sec-WebSocket-Accept: {base64.b64encode(digest).decode()}"
        self.send_head(101, "Upgrade: websocket", "Connection: Upgrade", accept)

    def fallback(self):
        """RFC 9110 section 15.5.22: answer 426, with a page for a browser, a sentence for curl."""
        if "text/html" in self.elements("accept"):
            self.respond(426, PAGE, "Upgrade: websocket", content_type="text/html; charset=utf-8")
        else:
            self.respond(426, "This is a WebSocket server: open a WebSocket to this address.\n", "Upgrade: websocket")

    def converse(self):
        """Answer frames, until the client says Close, is gone, or breaks a rule."""
        try:
            self.echo()
        except (ProtocolError, OSError) as error:
            print(f"ended: {error}", flush=True)
        except Exception:  # a mistake in this program; the client speaks no HTTP any more
            traceback.print_exc()

    def echo(self):
        """Send each message back."""
        while message := self.read_message():
            self.send_frame(*message)

    def read_message(self):
        """Read one whole message: opcode and data; None after a Close.  RFC 6455 section 5.4."""
        kind, data = None, bytearray()
        while True:
            fin, opcode, payload = self.read_frame(MAX_MESSAGE - len(data))
            if opcode == CLOSE:
                return None
            if opcode == PING:  # control frames may come between the fragments of a message
                self.send_frame(PONG, payload)
            elif opcode != PONG:
                order = "a continuation without a message, or a message in another (section 5.4)"
                require((opcode == CONTINUATION) == (kind is not None), order)
                if kind is None:
                    kind, utf8 = opcode, codecs.getincrementaldecoder("utf-8")()
                data += payload
                if kind == TEXT:
                    self.check_utf8(utf8, payload, fin)
                if fin:
                    return kind, data

    def check_utf8(self, decoder, payload, fin):
        """Section 8.1: fail as soon as a byte cannot be UTF-8, before the message is complete."""
        try:
            decoder.decode(payload, bool(fin))
        except UnicodeDecodeError as error:
            raise ProtocolError(f"not UTF-8: {error.reason} (section 8.1)") from None

    def read_frame(self, max_payload):
        """Read one frame: FIN, opcode and unmasked payload.  RFC 6455 section 5.2."""
        first, second = self.read(2)
        fin, rsv, opcode = first & 0x80, first & 0x70, first & 0x0F
        masked, length = second & 0x80, second & 0x7F
        require(not rsv, "an RSV bit that no extension defines (section 5.2)")
        require(opcode in OPCODES, f"opcode {opcode} is reserved (section 5.2)")
        require(opcode < CLOSE or (fin and length <= 125), "a control frame is one frame of 125 bytes (section 5.5)")
        require(masked, "a frame from a client must be masked (section 5.1)")
        if size := {126: 2, 127: 8}.get(length):  # bytes of a longer length, which follow
            length = int.from_bytes(self.read(size), "big")
            shortest = 126 if size == 2 else 65536
            require(shortest <= length < 1 << 63, f"{length} is not a minimal length (section 5.2)")
        require(opcode >= CLOSE or length <= max_payload, f"more than {MAX_MESSAGE} bytes (section 10.4)")
        key = self.read(4)
        payload = self.read(length)
        return fin, opcode, bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))

    def send_frame(self, opcode, payload):
        """Send one frame.  Section 5.1: a server does not mask."""
        length = len(payload)
        if length < 126:
            head = bytes([length])
        elif length < 65536:
            head = bytes([126]) + length.to_bytes(2, "big")
        else:
            head = bytes([127]) + length.to_bytes(8, "big")
        self.request.sendall(bytes([0x80 | opcode]) + head + payload)

    def read(self, count):
        """Return the next ``count`` bytes."""
        while len(self.received) < count:
            self.receive()
        data, self.received[:count] = self.received[:count], b""
        return data

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
        headers += ("Connection: Upgrade, close" if status == 426 else "Connection: close",)
        self.send_head(status, f"Date: {formatdate(usegmt=True)}", *headers)
        if self.method != "HEAD":  # a HEAD is a GET without a body in its answer
            self.request.sendall(body)

    def send_head(self, status, *headers):
        """Send a status line, header lines and an empty line."""
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *headers, "", ""]
        self.request.sendall("\r\n".join(lines).encode())
        print("{}:{} {}".format(*self.client_address, status), flush=True)

    def abort_handshake(self, error):
        """Refuse the request, and say why.  Section 4.4: name the versions that we speak."""
        reasons = "".join(f"- {reason}\n" for reason in error.reasons)
        with contextlib.suppress(OSError):  # the client may be gone
            self.respond(error.status, reasons, "Sec-WebSocket-Version: 13, 8")

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
