"""Step 11: out in the world: TLS, the Origin of a page, and limits."""

import argparse
import base64
import codecs
import contextlib
import hashlib
import re
import socket
import socketserver
import ssl
import threading
import traceback
import zlib
from email.utils import formatdate
from http import HTTPStatus
from urllib.parse import parse_qs

ADDRESS = ("127.0.0.1", 8765)
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
TIMEOUT = 10  # seconds to wait for a client's next bytes, and for it to read ours
PING_AFTER = 20  # seconds of silence before we ask whether the client is alive
MAX_HEAD = 16 * 1024  # bytes of a request line and its headers together
MAX_CLIENTS = 1000
MAX_EMPTY_FRAGMENTS = 1000  # of a message: they cost time and bring no byte
MAX_MESSAGE = 1024 * 1024  # bytes of a message, over all its frames

OPCODES = CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10  # RFC 6455 section 5.2

TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # RFC 9110 section 5.6.2
REQUEST_LINE = re.compile(rb"(" + TOKEN + rb") ([!\"$-~]+) HTTP/1\.([0-9])")
HEADER_LINE = re.compile(rb"(" + TOKEN + rb"):([\t -~\x80-\xff]*)")  # no control character but tab
WINDOW = '_max_window_bits="?(8|9|1[0-5])"?'  # RFC 7692 section 7.1: the parameters of an offer
PARAMETER = re.compile(f"(server|client)(_no_context_takeover|{WINDOW})|client_max_window_bits")
TAIL = b"\x00\x00\xff\xff"  # the end of every flushed message, which is not sent
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

    def __init__(self, rule, code):
        super().__init__(rule)
        self.code = code


def require(valid, rule, code=1002):
    """Fail the connection unless it is valid."""
    if not valid:
        raise ProtocolError(rule, code)


class Handler(socketserver.BaseRequestHandler):
    """One connection, in its own thread."""

    def handle(self):
        """Read one request and answer it.  (socketserver calls the socket ``self.request``.)"""
        self.request.settimeout(TIMEOUT)
        self.received = bytearray()  # bytes that arrived and are not used yet
        self.method = ""
        self.sending, self.writable = threading.Lock(), True  # whole frames, none after a Close
        try:
            if self.server.context:  # not where the server accepts: a handshake takes time
                self.request = self.server.context.wrap_socket(self.request, server_side=True)
            self.read_request()
            path, _, query = re.sub("^[A-Za-z]+://[^/?]*", "", self.target).partition("?")
            if path not in ("", "/", "/echo", "/chat"):
                raise HTTPError(404, "there is / and /echo, an echo, and /chat, a chat")
            if self.wants_upgrade():
                self.validate()
                self.check_origin()
                self.name = parse_qs(query).get("name", ["guest"])[0] if path == "/chat" else ""
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

    def check_origin(self):
        """Section 10.2: any page may connect, with its visitor's cookies.  Accept only our own."""
        old = self.headers["sec-websocket-version"] == ["8"] and self.headers.get("sec-websocket-origin")
        origins = old or self.headers.get("origin", [])
        own = ("https://" if self.server.context else "http://") + self.headers["host"][0]
        if origins not in ([], [own]):
            raise HTTPError(403, f"only pages from {own} may connect")
        if len(self.server.clients) >= MAX_CLIENTS:
            raise HTTPError(503, "too many clients")

    def complete_upgrade(self):
        """RFC 6455 section 4.2.2: answer 101.  The accept value proves that we read the key."""
        self.window_bits, extension = self.choose_extension()
        digest = hashlib.sha1((self.headers["sec-websocket-key"][0] + GUID).encode()).digest()
        accept = f"Sec-WebSocket-Accept: {base64.b64encode(digest).decode()}"
        self.send_head(101, "Upgrade: websocket", "Connection: Upgrade", accept, *extension)

    def choose_extension(self):
        """Accept the first usable offer of permessage-deflate: window bits, and header lines."""
        for offer in self.elements("sec-websocket-extensions"):
            name, *parameters = (part.strip(" \t") for part in offer.split(";"))
            values = dict(parameter.partition("=")[::2] for parameter in parameters)
            valid = all(map(PARAMETER.fullmatch, parameters)) and len(values) == len(parameters)
            bits = values.get("server_max_window_bits", "15").strip('"')
            if name == "permessage-deflate" and valid and bits != "8":  # zlib has no 8-bit window
                answer = f"{name}; server_no_context_takeover; client_no_context_takeover"
                if "server_max_window_bits" in values:
                    answer += f"; server_max_window_bits={bits}"
                return int(bits), [f"Sec-WebSocket-Extensions: {answer}"]
        return 0, []

    def fallback(self):
        """RFC 9110 section 15.5.22: answer 426, with a page for a browser, a sentence for curl."""
        if "text/html" in self.elements("accept"):
            self.respond(426, PAGE, "Upgrade: websocket", content_type="text/html; charset=utf-8")
        else:
            self.respond(426, "This is a WebSocket server: open a WebSocket to this address.\n", "Upgrade: websocket")

    def converse(self):
        """Answer frames, until the client says Close, is gone, or breaks a rule."""
        try:
            self.chat()
        except ProtocolError as error:
            self.close(error.code, str(error))
        except OSError as error:
            print(f"ended: {error}", flush=True)
        except Exception:  # a mistake in this program; the client speaks no HTTP any more
            traceback.print_exc()
            self.close(1011, "the server failed")

    def chat(self):
        """Send each message back, or to everyone in the chat."""
        self.request.settimeout(PING_AFTER)
        self.server.join(self)
        try:
            while message := self.read_message():
                if self.name:
                    self.server.tell(f"{self.name}: {message[1].decode(errors='replace')}")
                else:
                    self.send_message(*message)
        finally:
            self.server.leave(self)

    def read_message(self):
        """Read one whole message: opcode and data; None after a Close.  RFC 6455 section 5.4."""
        kind, data, empty = None, bytearray(), 0
        while True:
            fin, compressed, opcode, payload = self.read_frame(MAX_MESSAGE - len(data))
            if opcode == CLOSE:
                self.answer_close(payload)
                return None
            if opcode == PING:  # control frames may come between the fragments of a message
                self.send_frame(PONG, payload)
            elif opcode != PONG:
                order = "a continuation without a message, or a message in another (section 5.4)"
                require((opcode == CONTINUATION) == (kind is not None), order)
                if kind is None:
                    kind, utf8 = opcode, codecs.getincrementaldecoder("utf-8")()
                    inflater = zlib.decompressobj(-15) if compressed else None
                if inflater:
                    payload += TAIL if fin else b""
                    inflater, payload = self.inflate(inflater, payload, MAX_MESSAGE - len(data))
                data += payload
                empty += not payload
                require(empty <= MAX_EMPTY_FRAGMENTS, "too many empty frames (section 10.4)", 1008)
                if kind == TEXT:
                    self.check_utf8(utf8, payload, fin)
                if fin:
                    return kind, data

    def inflate(self, inflater, payload, room):
        """Decompress a piece of a message, to at most ``room`` bytes.  RFC 7692 section 7.2.2."""
        data, at = bytearray(), 0
        while at < len(payload):
            try:  # a short piece, because zlib copies what follows a final block
                data += inflater.decompress(payload[at : at + 1024], room + 1 - len(data))
            except zlib.error:
                raise ProtocolError("it cannot be decompressed (section 7.4.1)", 1007) from None
            require(len(data) <= room, f"more than {MAX_MESSAGE} bytes (section 10.4)", 1009)
            at = min(at + 1024, len(payload)) - len(inflater.unused_data)
            if inflater.eof:  # a final block, which zlib takes for the end: more blocks may follow
                inflater = zlib.decompressobj(-15)
        return inflater, data

    def check_utf8(self, decoder, payload, fin):
        """Section 8.1: fail as soon as a byte cannot be UTF-8, before the message is complete."""
        try:
            decoder.decode(payload, bool(fin))
        except UnicodeDecodeError as error:
            raise ProtocolError(f"not UTF-8: {error.reason} (section 8.1)", 1007) from None

    def answer_close(self, payload):
        """Answer a Close with the same code.  Its payload: nothing, or a code and a reason."""
        if not payload:
            return self.close(None, "no code")
        code, reason = int.from_bytes(payload[:2], "big"), payload[2:]
        known = code in (1000, 1001, 1002, 1003, *range(1007, 1015)) or 3000 <= code <= 4999
        require(known and len(payload) > 1, f"a Close may not carry the code {code} (section 7.4)")
        self.check_utf8(codecs.getincrementaldecoder("utf-8")(), reason, True)
        self.close(code, reason.decode())

    def close(self, code, reason=""):
        """Send a Close; TCP ends after it (section 7.1.1: the server ends it first)."""
        with contextlib.suppress(OSError):  # the client may be gone
            self.send_frame(CLOSE, code.to_bytes(2, "big") + reason.encode()[:123] if code else b"")
            print(f"closed: {code} {reason!a}", flush=True)

    def read_frame(self, max_payload):
        """Read one frame: FIN, RSV1, opcode and unmasked payload.  RFC 6455 section 5.2."""
        first, second = self.read(2)
        fin, rsv, opcode = first & 0x80, first & 0x70, first & 0x0F
        masked, length = second & 0x80, second & 0x7F
        compressed = rsv == 0x40 and self.window_bits and opcode in (TEXT, BINARY)  # RFC 7692
        require(not rsv or compressed, "an RSV bit that no extension defines (section 5.2)")
        require(opcode in OPCODES, f"opcode {opcode} is reserved (section 5.2)")
        require(opcode < CLOSE or (fin and length <= 125), "a control frame is one frame of 125 bytes (section 5.5)")
        require(masked, "a frame from a client must be masked (section 5.1)")
        if size := {126: 2, 127: 8}.get(length):  # bytes of a longer length, which follow
            length = int.from_bytes(self.read(size), "big")
            shortest = 126 if size == 2 else 65536
            require(shortest <= length < 1 << 63, f"{length} is not a minimal length (section 5.2)")
        require(opcode >= CLOSE or length <= max_payload, f"more than {MAX_MESSAGE} bytes (section 10.4)", 1009)
        key = self.read(4)
        payload = self.read(length)
        return fin, compressed, opcode, bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))

    def send_message(self, opcode, data):
        """Send a message in one frame, compressed if negotiated.  RFC 7692 section 7.2.1."""
        if self.window_bits:
            deflater = zlib.compressobj(wbits=-self.window_bits)
            data = (deflater.compress(data) + deflater.flush(zlib.Z_SYNC_FLUSH)).removesuffix(TAIL)
        self.send_frame(opcode, data, rsv=0x40 if self.window_bits else 0)

    def send_frame(self, opcode, payload, rsv=0):
        """Send one frame.  Section 5.1: a server does not mask."""
        length = len(payload)
        if length < 126:
            head = bytes([length])
        elif length < 65536:
            head = bytes([126]) + length.to_bytes(2, "big")
        else:
            head = bytes([127]) + length.to_bytes(8, "big")
        with self.sending:
            if self.writable:
                self.writable = False  # for ever, if only a part of the frame leaves
                self.request.sendall(bytes([0x80 | rsv | opcode]) + head + payload)
                self.writable = opcode != CLOSE  # no frame may follow it (section 5.5.1)

    def read(self, count):
        """Return the next ``count`` bytes."""
        while len(self.received) < count:
            try:
                self.receive()
            except TimeoutError:  # silence: ask, and wait once more
                self.send_frame(PING, b"")
                self.receive()
        data, self.received[:count] = self.received[:count], b""
        return data

    def receive(self):
        """Wait for the next bytes and add them to ``self.received``."""
        if self.server.context and not self.request.pending():  # one thread at a time in TLS:
            socket.socket.recv(self.request, 1, socket.MSG_PEEK)  # wait below it, without the lock
        with self.sending if self.server.context else contextlib.nullcontext():
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
            with self.sending:  # it ends TLS first: another thread would send in plain
                self.request.shutdown(socket.SHUT_WR)
            self.request.settimeout(1)
            for _ in range(100):
                if not self.request.recv(64 * 1024):
                    break
        self.request.close()  # socketserver knows the socket under TLS only


class Server(socketserver.ThreadingTCPServer):
    """A thread for each connection."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address, handler, context=None):
        self.context = context  # certificate and key: with them it speaks https:// and wss://
        self.clients = []  # handlers with an open WebSocket
        self.changing = threading.Lock()  # hold it to change the list
        super().__init__(address, handler)  # last: where the port is in use, it calls server_close

    def join(self, client):
        """Add a client; tell the chat."""
        with self.changing:
            self.clients.append(client)
        if client.name:
            self.tell(f"* {client.name} has joined")

    def leave(self, client):
        """Remove a client; tell the chat."""
        with self.changing:
            self.clients.remove(client)
        if client.name:
            self.tell(f"* {client.name} has left")

    def tell(self, line):
        """Send a line to the chat.  A client that does not read delays it, PING_AFTER at most."""
        with self.changing:
            members = [client for client in self.clients if client.name]
        for client in members:
            try:
                client.send_message(TEXT, line.encode())
            except OSError:  # a part of the frame may have left: nothing can follow it
                with contextlib.suppress(OSError):
                    client.request.shutdown(socket.SHUT_RDWR)  # its own thread notices

    def server_close(self):
        """Say Close 1001 to everyone, and end."""
        super().server_close()
        for client in list(self.clients):
            client.close(1001, "the server is going down")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--certfile", help="certificate chain and private key, PEM: speak TLS")
    certfile = parser.parse_args().certfile
    if context := certfile and ssl.create_default_context(ssl.Purpose.CLIENT_AUTH):
        context.load_cert_chain(certfile)
    with Server(ADDRESS, Handler, context) as server, contextlib.suppress(KeyboardInterrupt):
        print("Open http{}://{}:{}/ in a browser.  Ctrl-C ends it.".format("s" * bool(context), *ADDRESS), flush=True)
        server.serve_forever()
