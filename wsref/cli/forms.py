r"""Any paste or file to bytes: the readers, in the order in which they are tried.

A reader returns None if a text is not in its notation, and raises an error if it is but
cannot be read.  So a paste is read in one way, which is named, or not at all.  The cost of each reader is
linear in the text.
"""

from __future__ import annotations

import re

from .captures import is_capture, read_capture
from .digits import guess_base64, read_base64, read_binary, read_hex
from .dumps import read_dump
from .lists import read_indexed, read_json, read_list
from .literals import read_bare_escapes, read_string
from .packets import Reassembly, find_packet
from .pasted import Pasted, PasteError, Piece, pasted
from .transcripts import read_http, read_strace

_PERHAPS_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{8,}={0,2}")

#: Bytes of a text: as numbers, words and letters, each of them may take a hundred bytes of memory.
MAX_TEXT = 16 << 20

_READERS = (
    read_json,
    read_http,
    read_strace,
    read_indexed,
    read_dump,
    read_list,
    read_string,
    read_bare_escapes,
    read_binary,
)


def read_text(text: str) -> Pasted:
    r"""Return the bytes of a text, in the notation of any common tool.

    Raises:
        PasteError: It cannot be read as bytes; the message names the character and its place.

    >>> forms = ["8105", "81 05", "81:05", "0x81, 0x05", r"\x81\x05", "{0x81, 0x05};", "[129, 5]", "<Buffer 81 05>"]
    >>> {read_text(form).data.hex() for form in forms}
    {'8105'}
    >>> print(read_text("0000   81 05 48 65 6c 6c 6f   ..Hello").words)
    a dump with offsets, hex, 7 bytes
    >>> read_text("81 0g")
    Traceback (most recent call last):
        ...
    wsref.cli.pasted.PasteError: this is not hex: 'g' at line 1, column 5
    """
    text = text.removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}")
    for reader in _READERS:
        if (found := reader(text)) is not None:
            return _without_packets(found)
    try:
        return _without_packets(read_hex(text))
    except PasteError as error:
        if (found := guess_base64(text)) is not None:
            return _without_packets(found)
        hint = "; if it is base64, say --base64" if _PERHAPS_BASE64.fullmatch(text.strip()) else ""
        raise PasteError(f"{error}{hint}") from None


def read_bytes(data: bytes, *, base64: bool = False, raw: bool = False, port: int | None = None) -> Pasted:
    """Return the bytes of a file or of standard input: a capture, a text, or the bytes themselves.

    Args:
        data: The file.
        base64: It is base64.
        raw: It is the bytes themselves.
        port: Of a capture, only connections from or to this port; None: all.
    Raises:
        PasteError: It cannot be read.

    >>> read_bytes(b"81 05").form, read_bytes(bytes.fromhex("8105")).form
    ('hex', 'raw bytes')
    """
    if raw:
        return pasted("raw bytes", data)
    if is_capture(data):
        return read_capture(data, port)
    if data[:2] == b"\x1f\x8b":
        raise PasteError("this is a gzip file: write what gunzip -c prints")
    text = _as_text(data)
    if text is not None and len(data) > MAX_TEXT:
        raise PasteError(f"this text has more than {MAX_TEXT >> 20} MiB: cut it, or give the bytes themselves (--raw)")
    if base64:
        return _without_packets(read_base64(text if text is not None else ""))
    return _without_packets(pasted("raw bytes", data)) if text is None else read_text(text)


def _as_text(data: bytes) -> str | None:
    """Return the text in a file; None: it is not text."""
    powershell = data[:2] in (b"\xff\xfe", b"\xfe\xff") and len(data) % 2 == 0 and len(data) > 2
    try:
        text = data.decode("utf-16" if powershell else "utf-8")
    except UnicodeDecodeError:
        return None
    return None if any(character < " " and character not in "\t\n\r\f\x1b" for character in text) else text


def _without_packets(found: Pasted) -> Pasted:
    """Replace whole packets by the TCP payload in them."""
    alone = [piece.data for piece in found.pieces if piece.by_client is None]
    if not alone or len(alone) < len(found.pieces):
        return found
    reassembly = Reassembly()
    links = set()
    for data in alone:
        packet = find_packet(data)
        if packet is None and len(alone) == 1:
            return found
        if packet is None:
            break
        reassembly.add(packet[0])
        links.add(packet[1])
    else:
        return reassembly.result(f"{found.form}: {' and '.join(sorted(links))}", found.notes)
    if found.form == "tcpdump -X":
        raise PasteError("a packet of tcpdump is not whole, or has no TCP: print it with tcpdump -s 0 -X")
    return Pasted(found.form, (Piece(found.data),), found.notes) if _same_sender(found) else found


def _same_sender(found: Pasted) -> bool:
    return len({(piece.sender, piece.conversation) for piece in found.pieces}) == 1
