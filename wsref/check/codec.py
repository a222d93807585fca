"""The grader's own encoder and decoder: heads and frames, correct, or wrong on purpose.

It shares no code with the server in this package: if both used one function, a mistake in
that function would hide in both, and the grader would not find it.

The decoder is lenient where the meaning is clear.  A server that masks its frames breaks one rule,
so one case should report it, not all cases.  Therefore :func:`parse_frame` removes the mask and adds
an entry to :attr:`Frame.faults`; the case about masks checks these entries.
"""

from __future__ import annotations

import base64
import hashlib
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

OPCODE_NAMES = {0: "CONTINUATION", 1: "TEXT", 2: "BINARY", 8: "CLOSE", 9: "PING", 10: "PONG"}

#: The example key of RFC 6455 §1.3.  A fixed key makes a run repeatable.
KEY = "dGhlIHNhbXBsZSBub25jZQ=="

MASKING_KEY = bytes.fromhex("37fa213d")  # RFC 6455 §5.7's example

# -- The opening handshake -------------------------------------------------------


def accept_for(key: str) -> str:
    """Return the Sec-WebSocket-Accept value for a key.  RFC 6455 §4.2.2.

    >>> accept_for("dGhlIHNhbXBsZSBub25jZQ==")  # §1.3
    's3pPLMBiTxaQ9kYGzzhZRbK+xOo='
    """
    digest = hashlib.sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    return base64.b64encode(digest).decode()


#: The header lines of an ordinary handshake; ``{host}`` is a placeholder for the host and port of the URL.
DEFAULT_HEADERS = {
    "Host": "{host}",
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
}


def upgrade(
    *more: str, request_line: str = "GET {path} HTTP/1.1", without: str | tuple[str, ...] = (), **instead: str
) -> bytes:
    r"""Return a request to upgrade, which is valid unless the arguments make it invalid.

    :meth:`Wire.send <wsref.check.session.Wire.send>` replaces ``{host}`` and ``{path}``.

    Args:
        more: Header lines to add at the end.
        request_line: The request line.
        without: Names of headers to leave out.
        instead: Values to replace: ``Sec_WebSocket_Version="8"``.

    >>> upgrade(without=tuple(DEFAULT_HEADERS)[1:], Host="a.example")
    b'GET {path} HTTP/1.1\r\nHost: a.example\r\n\r\n'
    """
    without = (without,) if isinstance(without, str) else without
    values = DEFAULT_HEADERS | {name.replace("_", "-"): value for name, value in instead.items()}
    unknown = (set(without) | set(values)) - set(DEFAULT_HEADERS)
    if unknown:
        raise ValueError(f"not among the default headers: {', '.join(sorted(unknown))}")
    lines = [f"{name}: {value}" for name, value in values.items() if name not in without]
    return "\r\n".join([request_line, *lines, *more, "", ""]).encode("latin-1")


def plain(*more: str, request_line: str = "GET {path} HTTP/1.1", host: str | None = "Host: {host}") -> bytes:
    r"""Return a request that does not ask to upgrade.

    >>> plain("Accept: */*")
    b'GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\n\r\n'
    """
    return "\r\n".join([request_line, *([host] if host else []), *more, "", ""]).encode("latin-1")


def printable(text: str) -> str:
    r"""Escape the characters that a terminal obeys instead of printing them.

    >>> print(printable("HTTP/1.1 200 \x1b[2J\x07"))
    HTTP/1.1 200 \x1b[2J\x07
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def hex_and_text(data: bytes) -> str:
    r"""Return bytes in hex, and as text if they look like text: a learner's server may forget the frame.

    >>> hex_and_text(b"hello\n")
    "68 65 6c 6c 6f 0a, the text 'hello'"
    >>> hex_and_text(b"\x81\5hell")
    '81 05 68 65 6c 6c'
    """
    text = data.decode("latin-1").rstrip()
    return data.hex(" ") + f", the text {text!r}" * (text.isascii() and text.isprintable() and bool(text))


@dataclass(frozen=True)
class Answer:
    """A response, read leniently, with its faults.

    Attributes:
        status: 0 if the status line has no three digits.
        headers: ``(name, value)`` pairs in order, names as received, values without surrounding blanks.
        faults: The rules that the head breaks, each with its section.
        head: All bytes up to and including the blank line.
        body: The bytes after the head that belong to this response.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    faults: tuple[str, ...]
    head: bytes
    body: bytes = b""

    def lines(self, name: str) -> list[str]:
        """Return the values of all headers with this name."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def shown(self, name: str) -> str:
        """Return all headers with this name as one line, for a person."""
        return f"{name}: {', '.join(self.lines(name)) or 'missing'}"

    def tokens(self, name: str) -> list[str]:
        """Return the elements of a list header in lower case, from all its lines."""
        return [word.strip().lower() for value in self.lines(name) for word in value.split(",") if word.strip()]

    @property
    def is_websocket(self) -> bool:
        """Whether a 101 opens a WebSocket, and not another protocol such as h2c."""
        upgrade = self.tokens("Upgrade")
        return not upgrade or "websocket" in upgrade or bool(self.lines("Sec-WebSocket-Accept"))

    def __str__(self) -> str:
        return printable(self.head.split(b"\n", 1)[0].decode("latin-1").strip())


#: Faults of a head that a report shows; a head of a MiB may have hundreds of thousands.
MAX_FAULTS = 8


def first_faults(faults: list[str]) -> tuple[str, ...]:
    """Return the first faults of a head, and the number of the others."""
    more = [f"{len(faults) - MAX_FAULTS} more faults"] if len(faults) > MAX_FAULTS else []
    return (*faults[:MAX_FAULTS], *more)


TCHAR = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"


def parse_answer(head: bytes) -> Answer:
    r"""Parse the head of a response, up to and including its blank line.

    >>> answer = parse_answer(b"HTTP/1.1 200 OK\r\nContent-Length : 0\n\r\n")
    >>> answer.status, answer.lines("content-length")
    (200, ['0'])
    >>> for fault in answer.faults: print(fault)
    a line ends in a bare LF, not in CRLF (RFC 9112 §2.2)
    the header line b'Content-Length : 0' is not NAME: VALUE (RFC 9112 §5.1)
    """
    faults = []
    if head.count(b"\n") != head.count(b"\r\n"):
        faults.append("a line ends in a bare LF, not in CRLF (RFC 9112 §2.2)")
    first, *lines = head.replace(b"\r\n", b"\n").rstrip(b"\n").split(b"\n")
    found = re.fullmatch(rb"HTTP/1\.[01] ([1-5][0-9]{2}) [\t -~\x80-\xff]*", first)
    if not found:
        faults.append(f"the status line {first[:80]!r} is not HTTP/1.1, three digits, and a phrase (RFC 9112 §4)")
        found = re.match(rb"HTTP/\S+ +([0-9]{3})", first)
    headers = []
    for line in lines:
        if not re.fullmatch(TCHAR + rb":[\t -~\x80-\xff]*", line):
            faults.append(f"the header line {line[:80]!r} is not NAME: VALUE (RFC 9112 §5.1)")
        name, _, value = line.decode("latin-1").partition(":")
        headers.append((name.strip(), value.strip(" \t")))
    return Answer(int(found[1]) if found else 0, tuple(headers), first_faults(faults), head)


# -- Frames ---------------------------------------------------------------------------


def mask(payload: bytes, key: bytes) -> bytes:
    """Return the XOR of a payload and a repeated masking key.  RFC 6455 §5.3.

    >>> mask(b"Hello", MASKING_KEY).hex(" ")  # §5.7
    '7f 9f 4d 51 58'
    """
    pad = (key * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(pad, "big")).to_bytes(len(payload), "big")


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    key: bytes | None = MASKING_KEY,
    form: int | None = None,
    declared: int | None = None,
) -> bytes:
    """Build one frame as a client sends it.  RFC 6455 §5.2.

    Args:
        opcode: 0 to 15.
        rsv: RSV1 is 4, RSV2 is 2, RSV3 is 1.
        key: The masking key; None: no mask, which is invalid for a client.
        form: Bits for the length: 7, 16 or 64; None: the shortest form.
        declared: The length to write; None: the length of the payload.

    >>> frame(TEXT, b"Hello").hex(" ")  # §5.7
    '81 85 37 fa 21 3d 7f 9f 4d 51 58'
    >>> frame(TEXT, b"Hello", key=None, form=16).hex(" ")
    '81 7e 00 05 48 65 6c 6c 6f'
    """
    length = len(payload) if declared is None else declared
    if form is None:
        form = 7 if length < 126 else 16 if length < 65536 else 64
    first, masked = fin << 7 | rsv << 4 | opcode, 0 if key is None else 0x80
    if form == 7:
        head = struct.pack("!BB", first, masked | length)
    elif form == 16:
        head = struct.pack("!BBH", first, masked | 126, length)
    else:
        head = struct.pack("!BBQ", first, masked | 127, length)
    return head + payload if key is None else head + key + mask(payload, key)


def header_size(begun: bytes) -> int:
    """Return the size of the header that begins with these bytes, as far as they tell.

    >>> [header_size(bytes.fromhex(begun)) for begun in ("", "81", "81 85", "81 fe", "81 7f")]
    [2, 2, 6, 8, 10]
    """
    if len(begun) < 2:
        return 2
    return 2 + {126: 2, 127: 8}.get(begun[1] & 0x7F, 0) + 4 * (begun[1] >> 7)


def declared_length(header: bytes) -> int:
    """Return the length of the payload that a header declares.

    >>> declared_length(bytes.fromhex("81 fe 01 00 37 fa 21 3d"))
    256
    """
    short = header[1] & 0x7F
    return int.from_bytes(header[2:4] if short == 126 else header[2:10], "big") if short > 125 else short


def text(message: str, **how: bool | int) -> bytes:
    """Build a text message in one frame.

    >>> text("Hi").hex(" ")
    '81 82 37 fa 21 3d 7f 93'
    """
    return frame(TEXT, message.encode(), **how)  # type: ignore[arg-type]


def close(code: int | None = 1000, reason: bytes = b"") -> bytes:
    """Build a Close with any code; None: no code.

    >>> close(1000).hex(" "), close(None).hex(" ")
    ('88 82 37 fa 21 3d 34 12', '88 80 37 fa 21 3d')
    """
    return frame(CLOSE, (b"" if code is None else struct.pack("!H", code)) + reason)


def fragments(opcode: int, *pieces: bytes) -> bytes:
    """Build a message of one frame for each piece.

    >>> fragments(TEXT, b"", b"").hex(" ")
    '01 80 37 fa 21 3d 80 80 37 fa 21 3d'
    """
    last = len(pieces) - 1
    return b"".join(frame(0 if i else opcode, piece, fin=i == last) for i, piece in enumerate(pieces))


@dataclass(frozen=True)
class Frame:
    """A received frame.

    Attributes:
        payload: Unmasked, if it was masked.
        rsv: RSV1 is 4, RSV2 is 2, RSV3 is 1.
        faults: The framing rules that the frame breaks, each with its section.
        key: The masking key; empty: no mask.
    """

    opcode: int
    payload: bytes
    fin: bool = True
    rsv: int = 0
    faults: tuple[str, ...] = field(default=(), compare=False)
    key: bytes = field(default=b"", compare=False)

    @property
    def code(self) -> int | None:
        """The code of a Close; None: no code."""
        return struct.unpack("!H", self.payload[:2])[0] if len(self.payload) >= 2 else None

    def __str__(self) -> str:
        name = OPCODE_NAMES.get(self.opcode, f"opcode {self.opcode:#x}")
        if self.opcode == CLOSE:
            said = f" {self.payload[2:60]!r}" if self.payload[2:] else ""
            return f"CLOSE {self.code}{said}" if self.code is not None else "CLOSE without a code"
        shown = self.payload[:24].hex(" ") if self.opcode == BINARY else f"{self.payload[:40]!r}"
        content = shown + (" ..." if len(self.payload) > (24 if self.opcode == BINARY else 40) else "")
        unfinished = "" if self.fin else ", without FIN"
        return f"{name} of {len(self.payload)} bytes{unfinished}" + (f": {content}" if self.payload else "")


def parse_frame(data: bytes | bytearray | memoryview, *, from_client: bool = False) -> tuple[Frame, int] | None:
    """Parse one frame, leniently; None: the frame is incomplete.

    Args:
        from_client: Whether a client sent it, so that it must have a mask.
    Returns:
        The frame and its size on the wire, bytes.

    >>> frame, size = parse_frame(bytes.fromhex("c1 85 37fa213d 7f9f4d5158 ff"))
    >>> print(frame, size)
    TEXT of 5 bytes: b'Hello' 11
    >>> frame.faults
    ('it is masked (RFC 6455 §5.1)',)
    """
    if len(data) < 2:
        return None
    first, second = data[0], data[1]
    length, at, faults = second & 0x7F, 2, []
    if length >= 126:
        wide = 2 if length == 126 else 8
        at += wide
        if len(data) < at:
            return None
        length = int.from_bytes(data[2:at], "big")
        if length < 126 or (wide == 8 and length < 65536):
            faults.append(f"its length, {length}, is written in {wide * 8} bits and fits in fewer (RFC 6455 §5.2)")
        if length >> 63:
            faults.append("the top bit of its 64-bit length is set (RFC 6455 §5.2)")
    key = b""
    if second & 0x80:
        key = bytes(data[at : at + 4])
        at += 4
        if not from_client:
            faults.append("it is masked (RFC 6455 §5.1)")
    elif from_client:
        faults.append("it is not masked (RFC 6455 §5.1)")
    if len(data) < at + length:
        return None
    payload = bytes(data[at : at + length])
    opcode, fin = first & 15, first >= 0x80
    if opcode not in OPCODE_NAMES:
        faults.append(f"its opcode, {opcode:#x}, is reserved (RFC 6455 §5.2)")
    if opcode & 8 and not fin:
        faults.append("it is a control frame without FIN (RFC 6455 §5.5)")
    if opcode & 8 and length > 125:
        faults.append(f"it is a control frame of {length} bytes (RFC 6455 §5.5)")
    if first & 0x30:
        faults.append(f"RSV bits {first >> 4 & 7:03b} are set (RFC 6455 §5.2)")
    unmasked = mask(payload, key) if key else payload
    return Frame(opcode, unmasked, fin, first >> 4 & 7, tuple(faults), key), at + length


def frames_in(data: bytes) -> Iterator[Frame]:
    """Yield the whole frames at the beginning of these bytes.

    >>> [len(frame.payload) for frame in frames_in(bytes.fromhex("8100 8a01 78 8105 48"))]
    [0, 1]
    """
    rest = memoryview(data)
    while (parsed := parse_frame(rest)) is not None:
        yield parsed[0]
        rest = rest[parsed[1] :]
