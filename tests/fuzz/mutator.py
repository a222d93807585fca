"""Random changes of inputs, random frames, and the corpus: one file for each target, one input a line, in hex."""

from __future__ import annotations

import random
from pathlib import Path

from framing import frame

CORPUS = Path(__file__).parent / "corpus"

#: Words that the parsers look for: a byte at a time, chance does not find them.
WORDS = [
    b"GET / HTTP/1.1\r\n", b"HTTP/1.1 101 Switching Protocols\r\n", b"\r\n", b"\r\n\r\n", b"Host: a\r\n", b": ", b",",
    b";", b"Upgrade: websocket\r\n", b"Connection: Upgrade\r\n", b"Sec-WebSocket-Version: 13\r\n",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
    b"Sec-WebSocket-Extensions: ", b"Sec-WebSocket-Protocol: chat\r\n", b"permessage-deflate",
    b"server_max_window_bits=10", b"client_max_window_bits", b"server_no_context_takeover", b'"', b"=", b"\\",
    b"Content-Length: 1\r\n", b"\0\0\xff\xff", b"\xf2\x48\xcd\xc9\xc9\x07\x00", b"\x81\x80\0\0\0\0",
    b"\x88\x82\0\0\0\0\x03\xe8", b"\x7e\0\x7e", b"\xfe\x01\0", b"\xc3\xa9", b"\xe2\x82\xac", b"\xed\xa0\x80",
    b"\xf0\x9f\x98\x80", b"\xff", b"\0", b"0x81, 0x05", b"8105", b"\\x81", b"00000000  81 05", b"gQVIZWxsbw==",
    b"[129, 5]", b"> GET / HTTP/1.1\n", b"recvfrom(3, \"",
]  # fmt: skip


def random_frames(chance: random.Random) -> bytes:
    """Bytes that are frames for the most part; the last one may be cut off."""
    masked = chance.random() < 0.6
    wire = b""
    for _ in range(chance.randint(1, 6)):
        opcode = chance.choice([0, 0, 1, 1, 2, 8, 9, 10, 3, 11])
        words = [b"", b"ok", b"\x03\xe8", b"\x03\xe8ok", b"\x03\xed", b"\xe2\x82", b"\xac", b"\xed\xa0", b"x" * 130]
        packed = [bytes.fromhex(one) for one in ("f248cdc9c90700", "00", "f348cdc9c9070000", "f200110000")]
        payload = chance.choice([*words, *packed, chance.randbytes(chance.randint(0, 8))])
        key = chance.choice([bytes(4), b"\x37\xfa\x21\x3d"]) if masked ^ (chance.random() < 0.03) else b""
        form = chance.choice([None] * 20 + [16, 64])
        fin, rsv = chance.random() < 0.7, chance.choice([0] * 12 + [0x40] * 6 + [0x10])
        wire += frame(opcode, payload, fin=fin, rsv=rsv, key=key, form=form)
    return wire[: len(wire) - chance.choice([0, 0, 0, 1, 2])]


def mutate(data: bytes, chance: random.Random, others: list[bytes]) -> bytes:
    """One to four changes: a bit, a byte, a word, a piece less, a piece twice, a piece of another input."""
    out = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 4])):
        at = chance.randint(0, len(out))
        match chance.randrange(7):
            case 0 if at < len(out):
                out[at] ^= 1 << chance.randrange(8)
            case 1 if at < len(out):
                out[at] = chance.choice([0, 1, 0x7E, 0x7F, 0x80, 0x81, 0xFE, 0xFF, chance.randrange(256)])
            case 2:
                out[at:at] = chance.choice(WORDS)
            case 3:
                del out[at : at + chance.randint(1, 8)]
            case 4:
                out[at:at] = out[at : at + chance.randint(1, 16)]
            case 5 if others:
                other = chance.choice(others)
                out[at:] = other[chance.randint(0, len(other)) :]
            case 6:
                out[at:at] = bytes([chance.randrange(256)]) + random_frames(chance) if not at else random_frames(chance)
    return bytes(out[:2000])


def load(target: str) -> list[bytes]:
    """The saved inputs of a target."""
    path = CORPUS / f"{target}.txt"
    return [bytes.fromhex(line) for line in path.read_text().split("\n")] if path.exists() else []


def save(target: str, inputs: list[bytes]) -> None:
    """Save them, the shortest first."""
    lines = sorted({data.hex() for data in inputs}, key=lambda line: (len(line), line))
    CORPUS.mkdir(exist_ok=True)
    (CORPUS / f"{target}.txt").write_text("\n".join(lines))
