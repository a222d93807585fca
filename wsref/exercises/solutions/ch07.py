"""Exercises of chapter 7: messages.

Check them: python -m wsref exercise 7
"""

import codecs
from collections.abc import Iterable


def join(frames: Iterable[tuple[bool, int, bytes]]) -> list[tuple[int, bytes]]:
    """Return the messages of a connection, each as opcode and data, in the order in which they end.

    Each frame is FIN, opcode and payload.  All frames are valid; control frames (opcodes 8 and above)
    come between them and are no messages.  A message that has not ended is not returned.

    >>> join([(False, 1, b"Hel"), (True, 9, b"?"), (True, 0, b"lo"), (False, 2, b"...")])
    [(1, b'Hello')]
    """
    messages = []
    kind, data = 0, bytearray()
    for fin, opcode, payload in frames:
        if opcode >= 8:
            continue
        if opcode:  # not a continuation: a message begins
            kind, data = opcode, bytearray()
        data += payload
        if fin:
            messages.append((kind, bytes(data)))
    return messages


def tail_size(data: bytes) -> int:
    """Return how many bytes at the end of the data begin a character that is not complete.

    The data is valid UTF-8 that was cut anywhere, as a fragment of a text message is.

    >>> tail_size(b"5"), tail_size("5 €".encode()[:-1])
    (0, 2)
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    decoder.decode(data)
    return len(decoder.getstate()[0])  # the bytes that it keeps for the next call
