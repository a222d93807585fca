"""The other half: a client that sends back each message, until the server says Close."""

import base64
import codecs
import contextlib
import hashlib
import os
import re
import socket
import sys
from urllib.parse import urlsplit

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
TIMEOUT = 10  # seconds to wait for the server's next bytes
MAX_HEAD = 16 * 1024  # bytes of a status line and its headers together
MAX_MESSAGE = 1024 * 1024  # bytes of a message, over all its frames

OPCODES = CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10  # RFC 6455 section 5.2

TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # RFC 9110 section 5.6.2
STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5][0-9]{2}) [\t -~\x80-\xff]*")
HEADER_LINE = re.compile(rb"(" + TOKEN + rb"):([\t -~\x80-\xff]*)")  # no control character but tab


class HandshakeError(Exception):
    """The server's answer does not open a WebSocket."""


class ProtocolError(Exception):
    """The server broke a rule of the WebSocket protocol: the connection fails (section 7.1.7)."""

    def __init__(self, rule, code):
        super().__init__(rule)
        self.code = code


def require(valid, rule, code=1002):
    """Fail the connection unless it is valid."""
    if not valid:
        raise ProtocolError(rule, code)


class Client:
    """One connection to a server.  It offers no subprotocol and no extension."""

    def __init__(self, url):
        """Take a URL apart (section 3)."""
        parts = urlsplit(url)
        if parts.scheme != "ws" or not parts.hostname or "#" in url or not re.fullmatch("[!-~]+", url):
            raise ValueError(f"a URL is ws://HOST[:PORT][/PATH][?QUERY], in ASCII, not {url!a}")
        self.address = (parts.hostname, parts.port or 80)
        self.host = parts.netloc.rpartition("@")[2]
        self.target = (parts.path or "/") + ("?" + parts.query if parts.query else "")
        self.received = bytearray()  # bytes that arrived and are not used yet

    def run(self):
        """Open the connection, echo until it ends, and end TCP."""
        with socket.create_connection(self.address, TIMEOUT) as self.socket:
            self.send_request()
            self.read_response()
            self.validate()
            self.converse()
            self.finish()

    def send_request(self):
        """Ask for an upgrade (section 4.1).  The key is new for each connection."""
        self.key = base64.b64encode(os.urandom(16)).decode()
        lines = [f"GET {self.target} HTTP/1.1", f"Host: {self.host}"]
        lines += ["Upgrade: websocket", "Connection: Upgrade"]
        lines += [f"Sec-WebSocket-Key: {self.key}", "Sec-WebSocket-Version: 13", "", ""]
        self.socket.sendall("\r\n".join(lines).encode())

    def read_response(self):
        """Read the head of the response.  The bytes behind it are frames: ``received`` keeps them."""
        self.status = 100
        while 100 <= self.status < 200 and self.status != 101:  # RFC 9110 section 15.2
            while b"\r\n\r\n" not in self.received[:MAX_HEAD]:
                if len(self.received) > MAX_HEAD:
                    raise HandshakeError(f"the response's head is larger than {MAX_HEAD} bytes")
                self.receive()
            head, _, self.received = self.received.partition(b"\r\n\r\n")
            self.parse_head(*head.split(b"\r\n"))

    def parse_head(self, first, *lines):
        """Take the status and the headers from the lines of a head (RFC 9112 sections 4 and 5)."""
        if not (found := STATUS_LINE.fullmatch(first)):
            raise HandshakeError("the first line must be HTTP/1.1 STATUS REASON")
        self.status = int(found[1])
        self.headers = {}  # name in lower case: the values of its lines
        for line in lines:
            if not (found := HEADER_LINE.fullmatch(line)):
                raise HandshakeError("each header line must be NAME: VALUE")
            name, value = found[1].decode().lower(), found[2].decode("latin-1").strip(" \t")
            self.headers.setdefault(name, []).append(value)

    def elements(self, name):
        """The elements of a header that is a list, from all its lines, in lower case."""
        elements = ",".join(self.headers.get(name, [])).lower().split(",")
        return [element.strip(" \t") for element in elements if element.strip(" \t")]

    def validate(self):
        """Section 4.1: only such an answer opens a WebSocket.  Its accept value answers our key."""
        accept = base64.b64encode(hashlib.sha1((self.key + GUID).encode()).digest()).decode()
        checks = [
            (self.status == 101, f"the status must be 101, not {self.status}"),
            (self.elements("upgrade") == ["websocket"], "the Upgrade header must be websocket"),
            ("upgrade" in self.elements("connection"), "the Connection header must name Upgrade"),
            (self.headers.get("sec-websocket-accept") == [accept], f"there must be one Sec-WebSocket-Accept, {accept}"),
            ("sec-websocket-protocol" not in self.headers, "a subprotocol, and we offered none"),
            (not self.elements("sec-websocket-extensions"), "an extension, and we offered none"),
        ]
        if reasons := [reason for valid, reason in checks if not valid]:
            raise HandshakeError("; ".join(reasons))

    def converse(self):
        """Answer frames, until the server says Close, is gone, or breaks a rule."""
        try:
            self.echo()
        except ProtocolError as error:
            self.close(error.code, str(error))
        except OSError as error:
            print(f"ended: {error}", flush=True)

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
                self.answer_close(payload)
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
        """Send a Close.  No frame may follow it (section 5.5.1)."""
        with contextlib.suppress(OSError):  # the server may be gone
            self.send_frame(CLOSE, code.to_bytes(2, "big") + reason.encode()[:123] if code else b"")
        print(f"closed: {code} {reason!a}", flush=True)

    def finish(self):
        """Section 7.1.1: wait until the server ends TCP, not for ever.  No data follows a Close."""
        with contextlib.suppress(OSError):
            self.socket.settimeout(1)
            for _ in range(100):
                if not self.socket.recv(64 * 1024):
                    break

    def read_frame(self, max_payload):
        """Read one frame: FIN, opcode and payload.  RFC 6455 section 5.2."""
        first, second = self.read(2)
        fin, rsv, opcode = first & 0x80, first & 0x70, first & 0x0F
        masked, length = second & 0x80, second & 0x7F
        require(not rsv, "an RSV bit that no extension defines (section 5.2)")
        require(opcode in OPCODES, f"opcode {opcode} is reserved (section 5.2)")
        require(opcode < CLOSE or (fin and length <= 125), "a control frame is one frame of 125 bytes (section 5.5)")
        require(not masked, "a frame from a server must not be masked (section 5.1)")
        if size := {126: 2, 127: 8}.get(length):  # bytes of a longer length, which follow
            length = int.from_bytes(self.read(size), "big")
            shortest = 126 if size == 2 else 65536
            require(shortest <= length < 1 << 63, f"{length} is not a minimal length (section 5.2)")
        require(opcode >= CLOSE or length <= max_payload, f"more than {MAX_MESSAGE} bytes (section 10.4)", 1009)
        return fin, opcode, self.read(length)

    def send_frame(self, opcode, payload):
        """Send one frame.  Section 5.3: a client masks each frame with a new random key."""
        length = len(payload)
        if length < 126:
            head = bytes([0x80 | length])
        elif length < 65536:
            head = bytes([0x80 | 126]) + length.to_bytes(2, "big")
        else:
            head = bytes([0x80 | 127]) + length.to_bytes(8, "big")
        key = os.urandom(4)
        masked = bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))
        self.socket.sendall(bytes([0x80 | opcode]) + head + key + masked)

    def read(self, count):
        """Return the next ``count`` bytes."""
        while len(self.received) < count:
            self.receive()
        data, self.received[:count] = self.received[:count], b""
        return data

    def receive(self):
        """Wait for the next bytes and add them to ``self.received``."""
        data = self.socket.recv(64 * 1024)
        if not data:
            raise ConnectionError("the server has ended TCP")
        self.received += data


if __name__ == "__main__":
    try:
        Client(sys.argv[1]).run()
    except (HandshakeError, ValueError, OSError) as error:
        sys.exit(f"not opened: {error}")
