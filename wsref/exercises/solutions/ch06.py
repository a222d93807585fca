"""Exercises of chapter 6: frames.

Check them: python -m wsref exercise 6
"""


def header_size(second: int) -> int:
    """Return the number of bytes of a frame's whole header, given its second byte.

    >>> header_size(0x05), header_size(0xFE)
    (2, 8)
    """
    extended = {126: 2, 127: 8}.get(second & 0x7F, 0)
    return 2 + extended + (4 if second & 0x80 else 0)


def masked_frame(text: str, key: bytes) -> bytes:
    """Return the frame in which a client sends a text: one frame, masked with this key.

    >>> masked_frame("Hello", bytes.fromhex("37fa213d")).hex()  # RFC 6455 §5.7
    '818537fa213d7f9f4d5158'
    """
    payload = text.encode()
    if len(payload) < 126:
        length = bytes([0x80 | len(payload)])
    elif len(payload) < 65536:
        length = bytes([0x80 | 126]) + len(payload).to_bytes(2, "big")
    else:
        length = bytes([0x80 | 127]) + len(payload).to_bytes(8, "big")
    return b"\x81" + length + key + bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))
