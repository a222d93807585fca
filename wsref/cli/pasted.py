"""What a reader makes of a paste: its bytes, how it read them, and which side sent them."""

from __future__ import annotations

from dataclasses import dataclass

from ..wire.words import count


class PasteError(ValueError):
    """A paste that cannot be read as bytes; the message names the place, and what to do."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes that one side sent.

    Attributes:
        data: The bytes.
        sender: A heading, such as ``127.0.0.1:50000 → 127.0.0.1:8765``; "": not known.
        by_client: Whether the client sent them; None: not known.
        conversation: Pieces of one connection have one number.
    """

    data: bytes
    sender: str = ""
    by_client: bool | None = None
    conversation: int = 0


@dataclass(frozen=True, slots=True)
class Pasted:
    """A paste that was read.

    Attributes:
        form: How it was read: ``hex``, ``binary digits``.
        pieces: Its bytes, in order.
        notes: What the reader changed or left out, in words.
    """

    form: str
    pieces: tuple[Piece, ...]
    notes: tuple[str, ...] = ()

    @property
    def data(self) -> bytes:
        """The bytes of all pieces."""
        return b"".join(piece.data for piece in self.pieces)

    @property
    def words(self) -> str:
        """How it was read, on one line.

        >>> print(pasted("hex", bytes(11)).words)
        hex, 11 bytes
        """
        return "; ".join([f"{self.form}, {count(len(self.data), 'byte')}", *self.notes])


def pasted(form: str, data: bytes, *notes: str) -> Pasted:
    """Return the usual result of a reader: bytes of one unknown sender."""
    return Pasted(form, (Piece(data),), notes)


def place(text: str, at: int) -> str:
    r"""Return where a character of a paste is.

    >>> place("81 05\n0g", 7)
    'at line 2, column 2'
    """
    return f"at line {text.count(chr(10), 0, at) + 1}, column {at - text.rfind(chr(10), 0, at)}"
