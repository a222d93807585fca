"""A good echo client, to be broken by its subclasses.

:class:`ReferenceClient` is one class with a blocking socket, as a reader of the book might write it.  It passes every
case.  A broken client overrides a method; its :attr:`~ReferenceClient.case` is the one that is for its bug.

It uses the grader's codec, and no code of the client in this package.  The tests grade both of them.
"""

from __future__ import annotations

import base64
import codecs
import contextlib
import os
import re
import socket
import struct
import zlib

from ..codec import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, accept_for, mask

FLAGS = ("server_no_context_takeover", "client_no_context_takeover")
WINDOWS = ("server_max_window_bits", "client_max_window_bits")


class NotOpened(Exception):
    """The response does not open a WebSocket."""


class Failure(Exception):
    """Fail the connection with this close code.  RFC 6455 §7.1.7."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


class Disconnected(Exception):
    """The server ended TCP."""


class ReferenceClient:
    """A correct echo client: it sends each message back until the connection ends.

    It has more attributes than most classes here: it is all of a client, in one class to be broken by subclasses.

    Attributes:
        symptom: The complaint of the users of a broken client.
        bug: The bug of a broken client.
        case: The id of the case that is for this bug.  Others may fail with it.
    """

    symptom = ""
    bug = ""
    case = ""

    MAX_HEAD = 64 * 1024  # bytes
    MAX_MESSAGE = 4 * 1024 * 1024  # bytes
    TIMEOUT = 15.0  # seconds without a byte
    PROTOCOLS: tuple[str, ...] = ()
    OFFER = "permessage-deflate; client_max_window_bits"

    def __init_subclass__(cls, case: str = "") -> None:
        cls.case = case

    def __init__(self, host: str, port: int, path: str) -> None:
        self.host, self.port, self.path = host, port, path
        self.buffer = b""  # received and unused bytes
        self.message = b""  # the collected fragments
        self.opcode = 0  # of their message
        self.compressed = False
        self.agreed: dict[str, str] | None = None  # permessage-deflate's parameters
        self.decoder = codecs.getincrementaldecoder("utf-8")()

    def run(self) -> None:
        """Open a connection, and echo until it ends."""
        with socket.create_connection((self.host, self.port), timeout=self.TIMEOUT) as self.socket:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with contextlib.suppress(NotOpened, Disconnected, OSError):
                self.open()
                try:
                    while self.on_frame(*self.read_frame()):
                        pass
                except Failure as failure:
                    self.fail(failure)
                self.end_tcp()

    def end_tcp(self) -> None:
        """Wait for the server's FIN: it ends TCP first.  RFC 6455 §7.1.1."""
        self.socket.settimeout(2.0)
        while self.socket.recv(65536):
            pass

    def receive(self) -> None:
        """Receive some bytes."""
        data = self.socket.recv(65536)
        if not data:
            raise Disconnected
        self.buffer += data

    def read_exactly(self, size: int) -> bytes:
        """Return exactly this number of bytes."""
        while len(self.buffer) < size:
            self.receive()
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def send(self, data: bytes) -> None:
        """Send all bytes."""
        self.socket.sendall(data)

    # -- Chapters 1 to 5: the opening handshake -----------------------------------------------

    def new_key(self) -> str:
        """Return 16 random bytes in base64."""
        return base64.b64encode(os.urandom(16)).decode()

    def request_line(self) -> str:
        """Return the request line."""
        return f"GET {self.path} HTTP/1.1"

    def request_headers(self) -> dict[str, str]:
        """Return the headers of the request."""
        headers = {
            "Host": f"{self.host}:{self.port}",
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": self.key,
            "Sec-WebSocket-Version": "13",
        }
        if self.PROTOCOLS:
            headers["Sec-WebSocket-Protocol"] = ", ".join(self.PROTOCOLS)
        if self.OFFER:
            headers["Sec-WebSocket-Extensions"] = self.OFFER
        return headers

    def request(self) -> bytes:
        """Return the request."""
        lines = [f"{name}: {value}" for name, value in self.request_headers().items()]
        return "\r\n".join([self.request_line(), *lines, "", ""]).encode()

    def open(self) -> None:
        """Send the request, and validate the response.  RFC 6455 §4.1."""
        self.key = self.new_key()
        self.send(self.request())
        status, headers = self.read_response()
        while self.is_interim(status):
            status, headers = self.read_response()
        self.check_status(status)
        self.check_upgrade(headers.get("upgrade", []))
        self.check_connection(headers.get("connection", []))
        self.check_accept(headers.get("sec-websocket-accept", []))
        self.check_protocol(headers.get("sec-websocket-protocol", []))
        self.check_extensions(headers.get("sec-websocket-extensions", []))

    def is_interim(self, status: int) -> bool:
        """Return whether another response follows.  RFC 9110 §15.2."""
        return 100 <= status < 200 and status != 101

    def read_response(self) -> tuple[int, dict[str, list[str]]]:
        """Return the status and the headers of a response: name in lower case to values."""
        head = self.read_head()
        first, *lines = head.decode("latin-1").split("\r\n")
        status = self.read_status(first)
        headers: dict[str, list[str]] = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers.setdefault(self.header_name(name), []).append(self.header_value(value))
        return status, headers

    def read_head(self) -> bytes:
        """Return the head, without its blank line; the bytes after it stay in the buffer."""
        while b"\r\n\r\n" not in self.buffer:
            if len(self.buffer) > self.MAX_HEAD:
                raise NotOpened("the head is too long")
            self.receive()
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        return head

    def read_status(self, line: str) -> int:
        """Return the status of a status line."""
        found = re.fullmatch(r"HTTP/1\.1 ([0-9]{3}) [\t -~\x80-\xff]*", line)
        if not found:
            raise NotOpened("not a status line")
        return int(found[1])

    def header_name(self, name: str) -> str:
        """Return the name of a header as the key of the dictionary."""
        return name.lower()

    def header_value(self, value: str) -> str:
        """Return a value without the blanks around it."""
        return value.strip(" \t")

    def check_status(self, status: int) -> None:
        """Check the status."""
        if status != 101:
            raise NotOpened(f"status {status}")

    def check_upgrade(self, values: list[str]) -> None:
        """Check Upgrade."""
        if [value.lower() for value in values] != ["websocket"]:
            raise NotOpened("not an upgrade to websocket")

    def check_connection(self, values: list[str]) -> None:
        """Check Connection."""
        if "upgrade" not in (token.strip().lower() for token in ",".join(values).split(",")):
            raise NotOpened("no token Upgrade in Connection")

    def check_accept(self, values: list[str]) -> None:
        """Check Sec-WebSocket-Accept."""
        if values != [accept_for(self.key)]:
            raise NotOpened("a wrong Sec-WebSocket-Accept")

    def check_protocol(self, values: list[str]) -> None:
        """Check that the subprotocol is an offered one."""
        if values and (len(values) > 1 or values[0] not in self.PROTOCOLS):
            raise NotOpened("a subprotocol that was not offered")

    # -- Chapter 9: permessage-deflate -----------------------------------------------------------

    def check_extensions(self, values: list[str]) -> None:
        """Check the response to the offer.  RFC 7692 §7."""
        if not values:
            return
        for element in ",".join(values).split(","):
            name, *parameters = (part.strip() for part in element.split(";"))
            self.check_extension(name, ",".join(values).count(name))
            self.agreed = {}
            for parameter in parameters:
                key, equals, value = (part.strip() for part in parameter.partition("="))
                self.check_parameter(key, bool(equals), value)
                self.agreed[key] = value
        self.new_deflater()
        self.inflater = zlib.decompressobj(-15)

    def check_extension(self, name: str, times: int) -> None:
        """Check the name of an extension."""
        if name != "permessage-deflate" or not self.OFFER or times > 1:
            raise NotOpened("an extension that was not offered")

    def check_parameter(self, name: str, has_value: bool, value: str) -> None:
        """Check a parameter of permessage-deflate."""
        assert self.agreed is not None
        good = not has_value if name in FLAGS else name in WINDOWS and re.fullmatch("[89]|1[0-5]", value)
        if not good or name in self.agreed:
            raise NotOpened(f"the parameter {name}")

    def new_deflater(self) -> None:
        """Create a deflater with the agreed window."""
        assert self.agreed is not None
        self.deflater = zlib.compressobj(wbits=-int(self.agreed.get("client_max_window_bits") or 15))

    def compress(self, payload: bytes) -> bytes:
        """Compress a message.  RFC 7692 §7.2.1."""
        assert self.agreed is not None
        if "client_no_context_takeover" in self.agreed:
            self.new_deflater()
        return (self.deflater.compress(payload) + self.deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]

    def decompress(self, payload: bytes) -> bytes:
        """Decompress a message.  RFC 7692 §7.2.2."""
        assert self.agreed is not None
        if "server_no_context_takeover" in self.agreed:
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

    def read_frame(self) -> tuple[bool, int, int, bytes]:
        """Return FIN, RSV bits, opcode and payload of the next frame."""
        first, second = self.read_exactly(2)
        fin, rsv, opcode = first >= 0x80, first >> 4 & 7, first & 15
        self.check_first_byte(fin, rsv, opcode)
        if second & 0x80:
            self.on_masked()
        length = self.read_length(opcode, second & 0x7F)
        if len(self.message) + length > self.MAX_MESSAGE and not opcode & 8:
            raise Failure(1009, "the message is too long")
        key = self.read_exactly(4) if second & 0x80 else b"\0\0\0\0"
        return fin, rsv, opcode, mask(self.read_exactly(length), key)

    def check_first_byte(self, fin: bool, rsv: int, opcode: int) -> None:
        """Check RSV bits, reserved opcodes, and FIN of control frames."""
        self.check_opcode(opcode)
        self.check_rsv(rsv, opcode)
        if opcode & 8 and not fin:
            raise Failure(1002, "a control frame without FIN")

    def check_opcode(self, opcode: int) -> None:
        """Check that the opcode is not reserved."""
        if opcode not in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG):
            raise Failure(1002, "a reserved opcode")

    def check_rsv(self, rsv: int, opcode: int) -> None:
        """Check RSV bits."""
        if rsv and not (rsv == 4 and self.agreed is not None and opcode in (TEXT, BINARY)):
            raise Failure(1002, "RSV bits without an agreed extension")

    def on_masked(self) -> None:
        """Handle a frame with a mask."""
        raise Failure(1002, "a masked frame")

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
        if length < least or length >> 63:
            raise Failure(1002, "an invalid length")

    def masking_key(self) -> bytes:
        """Return a fresh, random masking key."""
        return os.urandom(4)

    def length(self, size: int) -> bytes:
        """Return the second byte of a frame, and the bytes of a long length."""
        if size < 126:
            return struct.pack("!B", 0x80 | size)
        return struct.pack("!BH", 0x80 | 126, size) if size < 65536 else struct.pack("!BQ", 0x80 | 127, size)

    def send_frame(self, opcode: int, payload: bytes, rsv: int = 0) -> None:
        """Send one frame with FIN and a mask."""
        key = self.masking_key()
        self.send(bytes([0x80 | rsv << 4 | opcode]) + self.length(len(payload)) + key + mask(payload, key))

    # -- Chapter 7: messages --------------------------------------------------------------------

    def on_frame(self, fin: bool, rsv: int, opcode: int, payload: bytes) -> bool:
        """Handle a frame; return whether to continue."""
        if opcode == CLOSE:
            self.on_close(payload)
            return False
        if opcode == PING:
            self.on_ping(payload)
        elif opcode == PONG:
            self.on_pong(payload)
        else:
            self.on_data(fin, rsv, opcode, payload)
        return True

    def on_ping(self, payload: bytes) -> None:
        """Send a Pong with the same payload."""
        self.send_frame(PONG, payload)

    def on_pong(self, payload: bytes) -> None:
        """Ignore a Pong."""

    def on_data(self, fin: bool, rsv: int, opcode: int, payload: bytes) -> None:
        """Handle a frame of a message."""
        self.check_order(opcode)
        if opcode != CONTINUATION:
            self.opcode, self.compressed, self.message = opcode, rsv == 4, b""
            self.decoder.reset()
        self.message += payload
        if self.opcode == TEXT and not self.compressed:
            self.check_text(payload, fin)
        if fin:
            opcode, message, self.opcode, self.message = self.opcode, self.message, 0, b""
            if self.compressed:
                message = self.decompress(message)
                if opcode == TEXT:
                    self.check_text(message, True)
            self.on_message(opcode, message)

    def check_order(self, opcode: int) -> None:
        """Check that a continuation continues a message, and that no message begins inside another."""
        if (opcode == CONTINUATION) != bool(self.opcode):
            raise Failure(1002, "a frame of another message")

    def check_text(self, piece: bytes, last: bool) -> None:
        """Check UTF-8 incrementally."""
        try:
            self.decoder.decode(piece, last)
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
        if len(payload) == 1 or (payload and not self.is_valid_close_code(int.from_bytes(payload[:2], "big"))):
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
        self.send_frame(CLOSE, struct.pack("!H", failure.code) + str(failure).encode())
