"""The gallery: servers that are broken on purpose, each by a few lines.

They are what makes the grader worth its word: each must fail the case that is meant for
it, and no other.  And they are exercises: ``python -m wsref check --broken NAME`` serves
one, and the reader finds the bug, with the page, ``connect --trace`` and ``check``.

:class:`Good` is an echo server as a reader of the tutorial might write it in an afternoon: one
class, blocking sockets, one thread for each client.  It passes every case.  A broken
server is a subclass that overrides one of its methods, says in :attr:`~Good.symptom` what its
users complain about, and in :attr:`~Good.fails` which cases find it out::

    class GuidWithSpace(Good):
        symptom = "every browser says that the handshake failed, though the answer is 101"
        bug = "a space between the key and the GUID"
        fails = ("4.accept.*",)

        def accept_value(self, key: str) -> str:
            return super().accept_value(key + " ")

It shares the grader's encoder and decoder where it can, and nothing with the server in
this package; that one is the second good server which every case is tried on.
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

from ..codec import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, accept_for, mask

TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"

PARAMETER = rf'[ \t]*;[ \t]*{TOKEN}([ \t]*=[ \t]*({TOKEN}|"{TOKEN}"))?'
EXTENSIONS = rf"([ \t,]*{TOKEN}({PARAMETER})*[ \t]*(,|$))*[ \t]*"


class Refusal(Exception):
    """Answer the request with this status, these headers, and hang up."""

    def __init__(self, status: int, why: str, *headers: str) -> None:
        super().__init__(why)
        self.status = status
        self.headers = headers


class Failure(Exception):
    """Fail the connection with this close code.  RFC 6455 §7.1.7."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


class Gone(Exception):
    """The client has ended TCP."""


@dataclass
class Request:
    """A request's head."""

    method: str
    target: str
    version: str
    headers: list[tuple[str, str]]  # names in lower case

    def lines(self, name: str) -> list[str]:
        """The values of all headers of this name, given in lower case."""
        return [value for key, value in self.headers if key == name]

    def tokens(self, name: str) -> list[str]:
        """The elements of a list header, as they came."""
        return [word.strip() for value in self.lines(name) for word in value.split(",") if word.strip()]


class Good(socketserver.BaseRequestHandler):
    """An echo server that is right.

    Attributes:
        symptom: What is seen from outside, for whoever looks for the bug.
        bug: What it is, in a few words: the solution.
        fails: The ids of the cases that it fails, or globs for them; all others pass.
        sometimes: Those that it fails as the network will have it: what depends on where
            a packet ends, or on who is first.
    """

    symptom = ""
    bug = ""
    fails: tuple[str, ...] = ()
    sometimes: tuple[str, ...] = ()

    MAX_HEAD = 16 * 1024  # bytes
    MAX_LINES = 100
    MAX_MESSAGE = 1024 * 1024  # bytes
    MAX_FRAGMENTS = 16 * 1024  # of one message
    PATIENCE = 5.0  # seconds

    # -- From the first byte to the last ------------------------------------------------

    def handle(self) -> None:
        """Called by socketserver, in a thread of its own; ``request`` is the socket."""
        self.buffer = b""  # received and not used yet
        self.message = b""  # the fragments so far
        self.fragments = 0  # how many
        self.opcode = 0  # of the message that they belong to
        self.compressed = False
        self.agreed: dict[str, int] | None = None  # permessage-deflate's parameters
        self.decoder = codecs.getincrementaldecoder("utf-8")()
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if self.open():
                self.converse()
        except Refusal as refusal:
            self.refuse(refusal)
        except Failure as failure:
            self.fail(failure)
        except (Gone, OSError):
            pass
        self.hang_up()

    def hang_up(self) -> None:
        """End TCP so that what was sent last arrives: FIN, then read until the client's FIN."""
        with contextlib.suppress(OSError):
            self.request.shutdown(socket.SHUT_WR)
            self.request.settimeout(1.0)
            while self.request.recv(65536):
                pass

    def receive(self) -> bytes:
        """Whatever comes next."""
        data: bytes = self.request.recv(65536)
        if not data:
            raise Gone
        return data

    def take(self, size: int) -> bytes:
        """The next bytes, as many as that."""
        while len(self.buffer) < size:
            self.buffer += self.receive()
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def send(self, data: bytes) -> None:
        """All of it."""
        self.request.sendall(data)

    # -- Chapter 1: a head ------------------------------------------------------------------

    def read_head(self) -> bytes:
        """Up to and with the empty line; what follows stays in the buffer."""
        self.request.settimeout(self.PATIENCE)
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
        """Strictly, as RFC 9112 wants."""
        first, *lines = head.decode("latin-1").lstrip("\r\n").split("\r\n")
        found = re.fullmatch(rf"({TOKEN}) ([!-~]+) (HTTP/[0-9]\.[0-9])", first)
        if not found:
            raise Refusal(400, "no request line")
        if len(lines) > self.MAX_LINES:
            raise Refusal(431, "too many header lines")
        request = Request(found[1], found[2], found[3], [self.parse_line(line) for line in lines])
        self.check_head(request)
        return request

    def parse_line(self, line: str) -> tuple[str, str]:
        """A header line: its name in lower case, and its value."""
        found = re.fullmatch(rf"({TOKEN}):[ \t]*([\t -~\x80-\xff]*)", line)
        if not found:
            raise Refusal(400, "a header line that is none")
        return found[1].lower(), found[2].rstrip(" \t")

    def check_head(self, request: Request) -> None:
        """What HTTP asks of any request."""
        if not request.version.startswith("HTTP/1."):
            raise Refusal(505, "this is an HTTP/1.1 server")
        hosts = request.lines("host")
        if len(hosts) > 1 or (not hosts and request.version != "HTTP/1.0"):
            raise Refusal(400, "there must be one Host")
        if hosts and not re.fullmatch(r"([0-9A-Za-z.\-_~%]*|\[[0-9A-Fa-f:.]+\])(:[0-9]*)?", hosts[0]):
            raise Refusal(400, "a Host that is none")
        if request.lines("content-length") not in ([], ["0"]) or request.lines("transfer-encoding"):
            raise Refusal(400, "no body is taken")

    def answer(self, status_line: str, *headers: str, body: str = "") -> None:
        """Send a response."""
        self.send("\r\n".join([f"HTTP/1.1 {status_line}", *headers, "", body]).encode())

    def send_page(self, request: Request, body: str) -> None:
        """Send 200 with this body."""
        headers = (f"Date: {formatdate(usegmt=True)}", f"Content-Length: {len(body)}", "Connection: close")
        self.answer("200 OK", *headers, body="" if request.method == "HEAD" else body)

    def refuse(self, refusal: Refusal) -> None:
        """Send a refusal that says why."""
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
        """Read a request and answer it; whether the connection is a WebSocket now."""
        request = self.parse_head(self.read_head())
        self.method = request.method
        if not self.wants_upgrade(request):
            self.fallback(request)
            return False
        self.validate(request)
        self.complete_upgrade(request)
        return True

    def wants_upgrade(self, request: Request) -> bool:
        """Connection holds the token upgrade, there is an Upgrade, and it is HTTP/1.1."""
        named = "upgrade" in (token.lower() for token in request.tokens("connection"))
        return named and bool(request.tokens("upgrade")) and request.version > "HTTP/1.0"

    def fallback(self, request: Request) -> None:
        """Who is not here to upgrade is told that this is what one does here."""
        raise Refusal(426, "this is a WebSocket server", "Upgrade: websocket")

    def validate(self, request: Request) -> None:
        """RFC 6455 §4.2.1."""
        if request.method != "GET":
            raise Refusal(400, "an upgrade is a GET")
        if "websocket" not in (token.lower() for token in request.tokens("upgrade")):
            raise Refusal(400, "upgrade to websocket, or to nothing")
        keys = request.lines("sec-websocket-key")
        if len(keys) != 1 or not self.is_key(keys[0]):
            raise Refusal(400, "there must be one key of 16 bytes in base64")
        if not self.is_version(request.lines("sec-websocket-version")):
            raise Refusal(400, "the version is 13", "Sec-WebSocket-Version: 13, 8")
        if not all(re.fullmatch(TOKEN, name) for name in request.tokens("sec-websocket-protocol")):
            raise Refusal(400, "a subprotocol that is no token")
        if not re.fullmatch(EXTENSIONS, ",".join(request.lines("sec-websocket-extensions"))):
            raise Refusal(400, "extensions that are not well-formed")
        path = request.target.split("://", 1)[-1]
        path = "/" + path.partition("/")[2] if "://" in request.target else path
        if not self.is_served(path.partition("?")[0]):
            raise Refusal(404, "nothing is there")
        if not self.is_welcome(request):
            raise Refusal(403, "pages from elsewhere are not served")

    def is_key(self, key: str) -> bool:
        """16 bytes in base64."""
        return re.fullmatch(r"[+/0-9A-Za-z]{22}==", key) is not None

    def is_version(self, versions: list[str]) -> bool:
        """13, or the drafts' 8."""
        return versions in (["13"], ["8"])

    def is_served(self, path: str) -> bool:
        """Whether something is at this path."""
        return path in ("/", "/echo")

    def is_welcome(self, request: Request) -> bool:
        """No page asks, or a page of ours."""
        origins = request.lines("origin") + request.lines("sec-websocket-origin")
        hosts = request.lines("host")
        return all(
            re.fullmatch(rf"https?://{re.escape((hosts or [''])[0])}", origin, re.IGNORECASE) for origin in origins
        )

    def complete_upgrade(self, request: Request) -> None:
        """Answer 101."""
        headers = ["Upgrade: websocket", "Connection: Upgrade"]
        headers.append(f"Sec-WebSocket-Accept: {self.accept_value(request.lines('sec-websocket-key')[0])}")
        protocol, extension = self.choose_protocol(request), self.choose_extension(request)
        if protocol:
            headers.append(f"Sec-WebSocket-Protocol: {protocol}")
        if extension:
            headers.append(f"Sec-WebSocket-Extensions: {extension}")
        self.answer("101 Switching Protocols", *headers)

    def accept_value(self, key: str) -> str:
        """The key and the GUID, hashed, in base64."""
        return accept_for(key)

    def choose_protocol(self, request: Request) -> str | None:
        """One of those that we speak and the client offers."""
        return next((name for name in request.tokens("sec-websocket-protocol") if name == "echo"), None)

    # -- Chapter 9: permessage-deflate ------------------------------------------------------------

    def choose_extension(self, request: Request) -> str | None:
        """The first offer of permessage-deflate that can be kept."""
        for offer in _split(",".join(request.lines("sec-websocket-extensions")), ","):
            name, *words = _split(offer, ";")
            if name == "permessage-deflate" and (parameters := self.read_offer(words)) is not None:
                self.agree(parameters)
                reply = self.reply_to(parameters).items()
                return "; ".join([name, *(word if value is True else f"{word}={value}" for word, value in reply)])
        return None

    def read_offer(self, words: list[str]) -> dict[str, int | bool] | None:
        """The parameters of an offer; None: one of them is not right.  RFC 7692 §7.1."""
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
            return None  # zlib cannot keep it
        return parameters

    def reply_to(self, parameters: dict[str, int | bool]) -> dict[str, int | bool]:
        """What the answer says: all that was asked of us, and nothing of the client."""
        return {name: value for name, value in parameters.items() if name != "client_max_window_bits"}

    def agree(self, parameters: dict[str, int | bool]) -> None:
        """From now on messages may be compressed."""
        self.agreed = {name: int(value) for name, value in parameters.items()}
        self.new_deflater()
        self.inflater = zlib.decompressobj(-15)

    def new_deflater(self) -> None:
        """With an empty window, as large as agreed."""
        assert self.agreed is not None
        self.deflater = zlib.compressobj(wbits=-self.agreed.get("server_max_window_bits", 15))

    def compress(self, payload: bytes) -> bytes:
        """A message's payload, compressed.  RFC 7692 §7.2.1."""
        assert self.agreed is not None
        if "server_no_context_takeover" in self.agreed:
            self.new_deflater()
        return (self.deflater.compress(payload) + self.deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]

    def decompress(self, payload: bytes) -> bytes:
        """... and back.  RFC 7692 §7.2.2."""
        assert self.agreed is not None
        if "client_no_context_takeover" in self.agreed:
            self.inflater = zlib.decompressobj(-15)
        message, data = b"", payload + b"\0\0\xff\xff"
        while data:
            try:
                message += self.inflater.decompress(data, self.MAX_MESSAGE + 1 - len(message))
            except zlib.error as error:
                raise Failure(1007, f"no DEFLATE: {error}") from None
            if len(message) > self.MAX_MESSAGE:
                raise Failure(1009, "the message is too long when decompressed")
            data = self.inflater.unconsumed_tail
            if self.inflater.eof:  # a block with BFINAL: what follows starts anew
                data = self.inflater.unused_data
                self.inflater = zlib.decompressobj(-15)
        return message

    # -- Chapter 6: frames ----------------------------------------------------------------------

    def converse(self) -> None:
        """One frame after the other, until a Close."""
        while self.on_frame(*self.read_frame()):
            pass

    def read_frame(self) -> tuple[bool, int, int, bytes]:
        """FIN, the RSV bits, opcode and payload of the next frame."""
        first, second = self.take(2)
        fin, rsv, opcode = first >= 0x80, first >> 4 & 7, first & 15
        self.check_first_byte(fin, rsv, opcode)
        if not second & 0x80:
            self.not_masked()
        length = self.read_length(opcode, second & 0x7F)
        if len(self.message) + length > self.MAX_MESSAGE and not opcode & 8:
            raise Failure(1009, "the message is too long")
        key = self.take(4) if second & 0x80 else b"\0\0\0\0"
        return fin, rsv, opcode, self.unmask(self.take(length), key)

    def check_first_byte(self, fin: bool, rsv: int, opcode: int) -> None:
        """RSV bits, reserved opcodes, control frames in fragments."""
        if opcode not in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG):
            raise Failure(1002, "a reserved opcode")
        if rsv and not (rsv == 4 and self.agreed is not None and opcode in (TEXT, BINARY)):
            raise Failure(1002, "RSV bits that nobody agreed on")
        if opcode & 8 and not fin:
            raise Failure(1002, "a control frame in fragments")

    def not_masked(self) -> None:
        """A client's frame is masked."""
        raise Failure(1002, "a frame without a mask")

    def read_length(self, opcode: int, length: int) -> int:
        """7 bits, or the 2 or 8 bytes that they announce."""
        if opcode & 8 and length > 125:
            raise Failure(1002, "a control frame of more than 125 bytes")
        if length == 126:
            (length,) = struct.unpack("!H", self.take(2))
            self.check_length(length, 126)
        elif length == 127:
            (length,) = struct.unpack("!Q", self.take(8))
            self.check_length(length, 65536)
        return length

    def check_length(self, length: int, least: int) -> None:
        """No shorter form would do, and the top bit is not set."""
        if length < least:
            raise Failure(1002, "a length that fits in fewer bits")
        if length >> 63:
            raise Failure(1002, "a length with its top bit set")

    def unmask(self, payload: bytes, key: bytes) -> bytes:
        """XOR with the key, over and over."""
        return mask(payload, key)

    def send_frame(self, opcode: int, payload: bytes, rsv: int = 0) -> None:
        """One frame, with FIN, not masked."""
        length = len(payload)
        first = 0x80 | rsv << 4 | opcode
        if length < 126:
            head = struct.pack("!BB", first, length)
        elif length < 65536:
            head = struct.pack("!BBH", first, 126, length)
        else:
            head = struct.pack("!BBQ", first, 127, length)
        self.send(head + payload)

    # -- Chapter 7: messages --------------------------------------------------------------------

    def on_frame(self, fin: bool, rsv: int, opcode: int, payload: bytes) -> bool:
        """A frame came; False: it was the last."""
        if opcode == CLOSE:
            self.on_close(payload)
            return False
        if opcode == PING:
            self.on_ping(payload)
        elif opcode != PONG:
            self.on_data(fin, rsv, opcode, payload)
        return True

    def on_ping(self, payload: bytes) -> None:
        """A Pong with the same payload."""
        self.send_frame(PONG, payload)

    def on_data(self, fin: bool, rsv: int, opcode: int, payload: bytes) -> None:
        """A frame of a message."""
        if opcode == CONTINUATION and not self.opcode:
            raise Failure(1002, "nothing to continue")
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
        """UTF-8, checked as it comes."""
        try:
            self.decoder.decode(piece, last)
        except UnicodeDecodeError:
            raise Failure(1007, "text that is not UTF-8") from None

    def on_message(self, opcode: int, message: bytes) -> None:
        """A whole message: send it back, compressed if that was agreed."""
        if self.agreed is not None:
            self.send_frame(opcode, self.compress(message), 4)
        else:
            self.send_frame(opcode, message)

    # -- Chapter 8: closing ----------------------------------------------------------------------

    def on_close(self, payload: bytes) -> None:
        """Answer with the same code."""
        self.check_close(payload)
        self.send_frame(CLOSE, payload[:2])

    def check_close(self, payload: bytes) -> None:
        """A code that may travel, and a reason in UTF-8; or nothing."""
        if len(payload) == 1:
            raise Failure(1002, "half a close code")
        if payload and not self.may_travel(int.from_bytes(payload[:2], "big")):
            raise Failure(1002, "a close code that may not travel")
        try:
            payload[2:].decode()
        except UnicodeDecodeError:
            raise Failure(1007, "a close reason that is not UTF-8") from None

    def may_travel(self, code: int) -> bool:
        """RFC 6455 §7.4 and the IANA registry."""
        return code in (1000, 1001, 1002, 1003, *range(1007, 1015)) or 3000 <= code <= 4999

    def fail(self, failure: Failure) -> None:
        """Say why, and use nothing more."""
        with contextlib.suppress(OSError):
            self.send_frame(CLOSE, struct.pack("!H", failure.code) + str(failure).encode())


def _split(text: str, separator: str) -> list[str]:
    """At separators that are not inside quotes."""
    return [part.strip() for part in re.findall(rf'(?:[^{separator}"]|"[^"]*")+', text) if part.strip()]


# -- Serving one --------------------------------------------------------------------------------


class Server(socketserver.ThreadingTCPServer):
    """A thread for each client."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """A broken server may break: the client sees the end of TCP, and that is all."""


@contextlib.contextmanager
def serving(handler: type[Good], port: int = 0) -> Iterator[str]:
    """Serve one of the gallery on loopback, in the background.

    Yields:
        Its URL.
    """
    with Server(("127.0.0.1", port), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), name="wsref gallery", daemon=True)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join()
