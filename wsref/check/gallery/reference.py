"""A good echo server, and how to serve it or one of its broken subclasses.

:class:`ReferenceServer` is an echo server as a reader of the book might write it: one class, blocking
sockets, one thread for each client.  It passes every case.  A broken server is a subclass that
overrides a method.  Its :attr:`~ReferenceServer.symptom` is the complaint of its users, and its
:attr:`~ReferenceServer.case` is the one that is for this bug::

    class GuidWithSpace(ReferenceServer, case="4.accept.value"):
        symptom = "every browser reports a failed handshake, although the answer is 101"
        bug = "it puts a blank between the key and the GUID"

        def accept_value(self, key: str) -> str:
            return super().accept_value(key + " ")

The reference server uses the grader's codec, and no code of the server in this package.  The tests
play every case against both of them.
"""

from __future__ import annotations

import codecs
import contextlib
import re
import socket
import socketserver
import struct
import threading
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import formatdate

from ..codec import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, accept_for, frame, mask

TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"

PARAMETER = rf'[ \t]*;[ \t]*{TOKEN}([ \t]*=[ \t]*({TOKEN}|"{TOKEN}"))?'
EXTENSIONS = rf"([ \t,]*{TOKEN}({PARAMETER})*[ \t]*(,|$))*[ \t]*"


class Refusal(Exception):
    """Answer the request with this status and these headers, then end TCP."""

    def __init__(self, status: int, why: str, *headers: str) -> None:
        super().__init__(why)
        self.status = status
        self.headers = headers


class Failure(Exception):
    """Fail the connection with this close code.  RFC 6455 §7.1.7."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


class Disconnected(Exception):
    """The client ended TCP."""


@dataclass
class Request:
    """The head of a request."""

    method: str
    target: str
    version: str
    headers: list[tuple[str, str]]  # names in lower case

    def lines(self, name: str) -> list[str]:
        """Return the values of all headers with this name, in lower case."""
        return [value for key, value in self.headers if key == name]

    def tokens(self, name: str) -> list[str]:
        """Return the elements of a list header, with their case."""
        return [word.strip() for value in self.lines(name) for word in value.split(",") if word.strip()]


class ReferenceServer(socketserver.BaseRequestHandler):
    """A correct echo server.

    It has more attributes than most classes here: it is all of a server, in one class to be broken by subclasses.

    Attributes:
        symptom: The complaint of the users of a broken server.
        bug: The bug of a broken server, which is the solution of the exercise.
        case: The id of the case that is for this bug.  Others may fail with it.
    """

    symptom = ""
    bug = ""
    case = ""

    MAX_HEAD = 16 * 1024  # bytes
    MAX_LINES = 100
    MAX_MESSAGE = 1024 * 1024  # bytes
    MAX_FRAGMENTS = 16 * 1024  # of one message
    HEAD_TIMEOUT = 5.0  # seconds

    def __init_subclass__(cls, case: str = "") -> None:
        cls.case = case

    # -- The connection ------------------------------------------------

    def handle(self) -> None:
        """Serve one client.  socketserver calls this method in a thread; ``request`` is the socket."""
        self.buffer = b""  # received and unused bytes
        self.message = b""  # the collected fragments
        self.fragments = 0  # their number
        self.opcode = 0  # of their message
        self.compressed = False
        self.text_key = b""  # while the payload of an uncompressed text arrives
        self.agreed: dict[str, int] | None = None  # permessage-deflate's parameters
        self.decoder = codecs.getincrementaldecoder("utf-8")()
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if self.open():
                self.serve_frames()
        except Refusal as refusal:
            self.refuse(refusal)
        except Failure as failure:
            self.fail(failure)
        except (Disconnected, OSError):
            pass
        self.end_tcp()

    def end_tcp(self) -> None:
        """End TCP so that the last bytes arrive: send FIN, then read until the client's FIN."""
        with contextlib.suppress(OSError):
            self.request.shutdown(socket.SHUT_WR)
        self.wait_for_the_end(1.0)

    def wait_for_the_end(self, seconds: float) -> None:
        """Read until the client ends TCP, or sends nothing for these seconds."""
        with contextlib.suppress(OSError):
            self.request.settimeout(seconds)
            while self.request.recv(65536):
                pass

    def receive(self) -> bytes:
        """Receive some bytes."""
        data: bytes = self.request.recv(65536)
        if not data:
            raise Disconnected
        return data

    def read_exactly(self, size: int) -> bytes:
        """Return exactly this number of bytes."""
        while len(self.buffer) < size:
            if self.text_key:
                self.check_beginning(self.buffer)
            self.buffer += self.receive()
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def send(self, data: bytes) -> None:
        """Send all bytes."""
        self.request.sendall(data)

    # -- Chapter 1: a head ------------------------------------------------------------------

    def read_head(self) -> bytes:
        """Read the head; the bytes after its empty line stay in the buffer."""
        self.request.settimeout(self.HEAD_TIMEOUT)
        try:
            while b"\r\n\r\n" not in self.buffer:
                if len(self.buffer) > self.MAX_HEAD:
                    raise Refusal(431, "the head is too long")
                self.buffer += self.receive()
        except TimeoutError:
            raise Refusal(408, "the head took too long") from None
        finally:
            self.request.settimeout(None)
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        if len(head) > self.MAX_HEAD:
            raise Refusal(431, "the head is too long")
        return head

    def parse_head(self, head: bytes) -> Request:
        """Parse a head strictly by RFC 9112."""
        first, *lines = head.decode("latin-1").lstrip("\r\n").split("\r\n")
        found = re.fullmatch(rf"({TOKEN}) ([!-~]+) (HTTP/[0-9]\.[0-9])", first)
        if not found:
            raise Refusal(400, "not a request line")
        if len(lines) > self.MAX_LINES:
            raise Refusal(431, "too many header lines")
        request = Request(found[1], found[2], found[3], [self.parse_line(line) for line in lines])
        self.check_head(request)
        return request

    def parse_line(self, line: str) -> tuple[str, str]:
        """Return the name, in lower case, and the value of a header line."""
        found = re.fullmatch(rf"({TOKEN}):[ \t]*([\t -~\x80-\xff]*)", line)
        if not found:
            raise Refusal(400, "an invalid header line")
        return found[1].lower(), found[2].rstrip(" \t")

    def check_head(self, request: Request) -> None:
        """Check the requirements of HTTP for any request."""
        if not request.version.startswith("HTTP/1."):
            raise Refusal(505, "this is an HTTP/1.1 server")
        hosts = request.lines("host")
        if len(hosts) > 1 or (not hosts and request.version != "HTTP/1.0"):
            raise Refusal(400, "a request has one Host")
        if hosts and not re.fullmatch(r"([0-9A-Za-z.\-_~%]*|\[[0-9A-Fa-f:.]+\])(:[0-9]*)?", hosts[0]):
            raise Refusal(400, "an invalid Host")
        if request.lines("content-length") not in ([], ["0"]) or request.lines("transfer-encoding"):
            raise Refusal(400, "a body is not allowed")

    def answer(self, status_line: str, *headers: str, body: str = "") -> None:
        """Send a response."""
        self.send("\r\n".join([f"HTTP/1.1 {status_line}", *headers, "", body]).encode())

    def send_page(self, request: Request, body: str) -> None:
        """Send 200 with this body."""
        headers = (f"Date: {formatdate(usegmt=True)}", f"Content-Length: {len(body)}", "Connection: close")
        self.answer("200 OK", *headers, body="" if request.method == "HEAD" else body)

    def refuse(self, refusal: Refusal) -> None:
        """Send a refusal with its reason."""
        phrases = {400: "Bad Request", 403: "Forbidden", 404: "Not Found", 408: "Request Timeout"}
        phrases |= {426: "Upgrade Required", 431: "Request Header Fields Too Large", 505: "HTTP Version Not Supported"}
        body = f"{refusal}\n"
        length = f"Content-Length: {len(body)}"
        if getattr(self, "method", "") == "HEAD":
            body = ""
        with contextlib.suppress(OSError):
            self.answer(
                f"{refusal.status} {phrases[refusal.status]}",
                *refusal.headers,
                f"Date: {formatdate(usegmt=True)}",
                "Content-Type: text/plain; charset=utf-8",
                length,
                "Connection: " + ", ".join(["close"] + ["Upgrade"] * (refusal.status == 426)),
                body=body,
            )

    # -- Chapters 2 to 5: the opening handshake ----------------------------------------------

    def open(self) -> bool:
        """Read a request and answer it; return whether the connection is a WebSocket now."""
        request = self.parse_head(self.read_head())
        self.method = request.method
        if not self.wants_upgrade(request):
            self.fallback(request)
            return False
        self.validate(request)
        self.complete_upgrade(request)
        return True

    def wants_upgrade(self, request: Request) -> bool:
        """Return whether an HTTP/1.1 request has the token upgrade in Connection, and an Upgrade."""
        named = "upgrade" in (token.lower() for token in request.tokens("connection"))
        return named and bool(request.tokens("upgrade")) and request.version > "HTTP/1.0"

    def fallback(self, request: Request) -> None:
        """Answer 426 to a request that is not an upgrade."""
        raise Refusal(426, "this is a WebSocket server", "Upgrade: websocket")

    def validate(self, request: Request) -> None:
        """Validate a handshake.  RFC 6455 §4.2.1."""
        if request.method != "GET":
            raise Refusal(400, "the method of an upgrade is GET")
        if "websocket" not in (token.lower() for token in request.tokens("upgrade")):
            raise Refusal(400, "Upgrade must name websocket")
        keys = request.lines("sec-websocket-key")
        if len(keys) != 1 or not self.is_key(keys[0]):
            raise Refusal(400, "a handshake has one key of 16 bytes in base64")
        if not self.is_version(request.lines("sec-websocket-version")):
            raise Refusal(400, "the version is 13", "Sec-WebSocket-Version: 13, 8")
        if not all(re.fullmatch(TOKEN, name) for name in request.tokens("sec-websocket-protocol")):
            raise Refusal(400, "a subprotocol is a token")
        if not re.fullmatch(EXTENSIONS, ",".join(request.lines("sec-websocket-extensions"))):
            raise Refusal(400, "malformed extensions")
        path = request.target.split("://", 1)[-1]
        path = "/" + path.partition("/")[2] if "://" in request.target else path
        if not self.is_served(path.partition("?")[0]):
            raise Refusal(404, "unknown path")
        if not self.is_allowed_origin(request):
            raise Refusal(403, "foreign pages are not allowed")

    def is_key(self, key: str) -> bool:
        """Return whether a key is 16 bytes in base64."""
        return re.fullmatch(r"[+/0-9A-Za-z]{22}==", key) is not None

    def is_version(self, versions: list[str]) -> bool:
        """Return whether the version is 13, or the 8 of the drafts."""
        return versions in (["13"], ["8"])

    def is_served(self, path: str) -> bool:
        """Return whether the server serves this path."""
        return path in ("/", "/echo")

    def is_allowed_origin(self, request: Request) -> bool:
        """Return whether the request has no Origin, or the server's own."""
        origins = request.lines("origin") + request.lines("sec-websocket-origin")
        hosts = request.lines("host")
        return all(
            re.fullmatch(rf"https?://{re.escape((hosts or [''])[0])}", origin, re.IGNORECASE) for origin in origins
        )

    def complete_upgrade(self, request: Request) -> None:
        """Send the 101."""
        headers = ["Upgrade: websocket", "Connection: Upgrade"]
        headers.append(f"Sec-WebSocket-Accept: {self.accept_value(request.lines('sec-websocket-key')[0])}")
        protocol, extension = self.choose_protocol(request), self.choose_extension(request)
        if protocol:
            headers.append(f"Sec-WebSocket-Protocol: {protocol}")
        if extension:
            headers.append(f"Sec-WebSocket-Extensions: {extension}")
        self.answer("101 Switching Protocols", *headers)

    def accept_value(self, key: str) -> str:
        """Return the hash of key and GUID, in base64."""
        return accept_for(key)

    def choose_protocol(self, request: Request) -> str | None:
        """Return an offered and supported subprotocol."""
        return next((name for name in request.tokens("sec-websocket-protocol") if name == "echo"), None)

    # -- Chapter 9: permessage-deflate ------------------------------------------------------------

    def choose_extension(self, request: Request) -> str | None:
        """Accept the first valid offer of permessage-deflate."""
        for offer in _split(",".join(request.lines("sec-websocket-extensions")), ","):
            name, *words = _split(offer, ";")
            if name == "permessage-deflate" and (parameters := self.read_offer(words)) is not None:
                self.agree(parameters)
                reply = self.reply_to(parameters).items()
                return "; ".join([name, *(word if value is True else f"{word}={value}" for word, value in reply)])
        return None

    def read_offer(self, words: list[str]) -> dict[str, int | bool] | None:
        """Return the parameters of an offer; None: one of them is invalid.  RFC 7692 §7.1."""
        parameters: dict[str, int | bool] = {}
        for word in words:
            name, equals, value = (part.strip() for part in word.partition("="))
            value = value[1:-1] if re.fullmatch('"[^"]*"', value) else value
            if name in parameters:
                return None
            if name in ("server_no_context_takeover", "client_no_context_takeover"):
                if equals:
                    return None
                parameters[name] = True
            elif name in ("server_max_window_bits", "client_max_window_bits"):
                if not equals and name == "client_max_window_bits":
                    parameters[name] = True
                elif re.fullmatch("[89]|1[0-5]", value):
                    parameters[name] = int(value)
                else:
                    return None
            else:
                return None
        if parameters.get("server_max_window_bits") == 8:
            return None  # zlib does not support it
        return parameters

    def reply_to(self, parameters: dict[str, int | bool]) -> dict[str, int | bool]:
        """Return the parameters of the answer: all offered ones but client_max_window_bits."""
        return {name: value for name, value in parameters.items() if name != "client_max_window_bits"}

    def agree(self, parameters: dict[str, int | bool]) -> None:
        """Use permessage-deflate from now on."""
        self.agreed = {name: int(value) for name, value in parameters.items()}
        self.new_deflater()
        self.inflater = zlib.decompressobj(-15)

    def new_deflater(self) -> None:
        """Create a deflater with the agreed window."""
        assert self.agreed is not None
        self.deflater = zlib.compressobj(wbits=-self.agreed.get("server_max_window_bits", 15))

    def compress(self, payload: bytes) -> bytes:
        """Compress the payload of a message.  RFC 7692 §7.2.1."""
        assert self.agreed is not None
        if "server_no_context_takeover" in self.agreed:
            self.new_deflater()
        return (self.deflater.compress(payload) + self.deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]

    def decompress(self, payload: bytes) -> bytes:
        """Decompress the payload of a message.  RFC 7692 §7.2.2."""
        assert self.agreed is not None
        if "client_no_context_takeover" in self.agreed:
            self.inflater = zlib.decompressobj(-15)
        message, data = b"", payload + b"\0\0\xff\xff"
        while data:
            try:
                message += self.inflater.decompress(data, self.MAX_MESSAGE + 1 - len(message))
            except zlib.error as error:
                raise Failure(1007, f"not DEFLATE: {error}") from None
            if len(message) > self.MAX_MESSAGE:
                raise Failure(1009, "the decompressed message is too long")
            data = self.inflater.unconsumed_tail
            if self.inflater.eof:  # after BFINAL, a new stream begins
                data = self.inflater.unused_data
                self.inflater = zlib.decompressobj(-15)
        return message

    # -- Chapter 6: frames ----------------------------------------------------------------------

    def serve_frames(self) -> None:
        """Handle frames until a Close."""
        while self.on_frame(*self.read_frame()):
            pass

    def read_frame(self) -> tuple[bool, int, int, bytes]:
        """Return FIN, RSV bits, opcode and payload of the next frame."""
        first, second = self.read_exactly(2)
        fin, rsv, opcode = first >= 0x80, first >> 4 & 7, first & 15
        self.check_first_byte(fin, rsv, opcode)
        if not second & 0x80:
            self.on_unmasked()
        length = self.read_length(opcode, second & 0x7F)
        if len(self.message) + length > self.MAX_MESSAGE and not opcode & 8:
            raise Failure(1009, "the message is too long")
        key = self.read_exactly(4) if second & 0x80 else b"\0\0\0\0"
        kind, compressed = (opcode, rsv == 4) if opcode else (self.opcode, self.compressed)
        self.text_key = key if kind == TEXT and not compressed else b""
        payload = self.read_exactly(length)
        self.text_key = b""
        return fin, rsv, opcode, self.unmask(payload, key)

    def check_first_byte(self, fin: bool, rsv: int, opcode: int) -> None:
        """Check RSV bits, reserved opcodes, and FIN of control frames."""
        if opcode not in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG):
            raise Failure(1002, "a reserved opcode")
        if rsv and not (rsv == 4 and self.agreed is not None and opcode in (TEXT, BINARY)):
            raise Failure(1002, "RSV bits without an agreed extension")
        if opcode & 8 and not fin:
            raise Failure(1002, "a control frame without FIN")

    def on_unmasked(self) -> None:
        """Handle a frame without a mask."""
        raise Failure(1002, "a frame without a mask")

    def read_length(self, opcode: int, length: int) -> int:
        """Return the length: 7 bits, or the 2 or 8 bytes that they announce."""
        if opcode & 8 and length > 125:
            raise Failure(1002, "a control frame of more than 125 bytes")
        if length == 126:
            (length,) = struct.unpack("!H", self.read_exactly(2))
            self.check_length(length, 126)
        elif length == 127:
            (length,) = struct.unpack("!Q", self.read_exactly(8))
            self.check_length(length, 65536)
        return length

    def check_length(self, length: int, least: int) -> None:
        """Check that the length has its shortest form, and that its top bit is not set."""
        if length < least:
            raise Failure(1002, "a length that fits in fewer bits")
        if length >> 63:
            raise Failure(1002, "a length with its top bit set")

    def unmask(self, payload: bytes, key: bytes) -> bytes:
        """Unmask a payload."""
        return mask(payload, key)

    def send_frame(self, opcode: int, payload: bytes, rsv: int = 0) -> None:
        """Send one frame with FIN and without a mask."""
        self.send(frame(opcode, payload, rsv=rsv, key=None))

    # -- Chapter 7: messages --------------------------------------------------------------------

    def on_frame(self, fin: bool, rsv: int, opcode: int, payload: bytes) -> bool:
        """Handle a frame; return whether to continue."""
        if opcode == CLOSE:
            self.on_close(payload)
            return False
        if opcode == PING:
            self.on_ping(payload)
        elif opcode != PONG:
            self.on_data(fin, rsv, opcode, payload)
        return True

    def on_ping(self, payload: bytes) -> None:
        """Send a Pong with the same payload."""
        self.send_frame(PONG, payload)

    def on_data(self, fin: bool, rsv: int, opcode: int, payload: bytes) -> None:
        """Handle a frame of a message."""
        if opcode == CONTINUATION and not self.opcode:
            raise Failure(1002, "a continuation without a message")
        if opcode != CONTINUATION and self.opcode:
            raise Failure(1002, "a new message inside a message")
        if opcode != CONTINUATION:
            self.opcode, self.compressed, self.message, self.fragments = opcode, rsv == 4, b"", 0
            self.decoder.reset()
        self.message += payload
        self.fragments += 1
        if self.fragments > self.MAX_FRAGMENTS:
            raise Failure(1008, "a message in too many fragments")
        if self.opcode == TEXT and not self.compressed:
            self.check_text(payload, fin)
        if fin:
            opcode, message, self.opcode, self.message = self.opcode, self.message, 0, b""
            if self.compressed:
                message = self.decompress(message)
                if opcode == TEXT:
                    self.check_text(message, True)
            self.on_message(opcode, message)

    def check_text(self, piece: bytes, last: bool) -> None:
        """Check UTF-8 incrementally."""
        try:
            self.decoder.decode(piece, last)
        except UnicodeDecodeError:
            raise Failure(1007, "text that is not UTF-8") from None

    def check_beginning(self, payload: bytes) -> None:
        """Check the UTF-8 of an incomplete frame, so that invalid text is not collected."""
        decoder = codecs.getincrementaldecoder("utf-8")()
        decoder.setstate(self.decoder.getstate())
        try:
            decoder.decode(self.unmask(payload, self.text_key))
        except UnicodeDecodeError:
            raise Failure(1007, "text that is not UTF-8") from None

    def on_message(self, opcode: int, message: bytes) -> None:
        """Echo a message, compressed if that is agreed."""
        if self.agreed is not None:
            self.send_frame(opcode, self.compress(message), 4)
        else:
            self.send_frame(opcode, message)

    # -- Chapter 8: closing ----------------------------------------------------------------------

    def on_close(self, payload: bytes) -> None:
        """Answer a Close with the same code."""
        self.check_close(payload)
        self.send_frame(CLOSE, payload[:2])

    def check_close(self, payload: bytes) -> None:
        """Check the payload of a Close: empty, or a valid code and a reason in UTF-8."""
        if len(payload) == 1:
            raise Failure(1002, "half a close code")
        if payload and not self.is_valid_close_code(int.from_bytes(payload[:2], "big")):
            raise Failure(1002, "an invalid close code")
        try:
            payload[2:].decode()
        except UnicodeDecodeError:
            raise Failure(1007, "a close reason that is not UTF-8") from None

    def is_valid_close_code(self, code: int) -> bool:
        """Return whether a close code may be sent.  RFC 6455 §7.4, and the IANA registry."""
        return code in (1000, 1001, 1002, 1003, *range(1007, 1015)) or 3000 <= code <= 4999

    def fail(self, failure: Failure) -> None:
        """Send a Close with the reason."""
        with contextlib.suppress(OSError):
            self.send_frame(CLOSE, struct.pack("!H", failure.code) + str(failure).encode())


def _split(text: str, separator: str) -> list[str]:
    """Split at separators outside quotes."""
    return [part.strip() for part in re.findall(rf'(?:[^{separator}"]|"[^"]*")+', text) if part.strip()]


# -- Serving --------------------------------------------------------------------------------


class Server(socketserver.ThreadingTCPServer):
    """A TCP server with one thread for each client."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore errors of a broken server: the client sees the end of TCP."""


@contextlib.contextmanager
def serving(handler: type[ReferenceServer], port: int = 0) -> Iterator[str]:
    """Serve a server of the gallery on loopback, in the background.

    Yields:
        The URL of the server.
    """
    with Server(("127.0.0.1", port), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), name="wsref gallery", daemon=True)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join()
