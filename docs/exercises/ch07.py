"""Solutions of the exercises of chapter 7."""

from collections.abc import Iterable, Iterator

from wsref.protocol.messages import decode_some


def joined(frames: Iterable[tuple[bool, int, bytes]]) -> Iterator[tuple[int, bytes]]:
    """Messages, in the order in which they become complete.

    >>> list(joined([(False, 1, b"Hel"), (True, 9, b"?"), (True, 0, b"lo")]))
    [(1, b'Hello')]
    """
    opcode, pieces = 0, b""
    for fin, number, payload in frames:
        if number & 8:  # a control frame: none of a message's business
            continue
        if number:
            opcode, pieces = number, b""
        pieces += payload
        if fin:
            yield opcode, pieces


def longest_tail(text: str) -> int:
    """Bytes that wait, at most, wherever the text is cut.

    >>> longest_tail("Hello"), longest_tail("Grüße"), longest_tail("5 €"), longest_tail("😀")
    (0, 1, 2, 3)
    """
    wire = text.encode()
    return max(len(decode_some(wire[:cut])[1]) for cut in range(len(wire) + 1))
