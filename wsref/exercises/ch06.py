"""Checks of chapter 6: frames."""

from __future__ import annotations

from typing import Any

from .expect import Wrong, bytes_of, call, expect, show

_SHOWN = 12  # bytes


def check_header_size(theirs: Any) -> None:
    """Try the lengths at which the size changes, with and without mask."""
    for length, size in ((0, 2), (1, 2), (125, 2), (126, 4), (127, 10)):
        expect(theirs, length, gives=size, why=f"the mask bit is not set, and the length is {length} (RFC 6455 §5.2)")
        expect(
            theirs,
            0x80 | length,
            gives=size + 4,
            why=f"the mask bit is set, and the length is {length} (RFC 6455 §5.2)",
        )


def check_masked_frame(theirs: Any) -> None:
    """Read the frame part by part, so that a fault has its name."""
    key = bytes.fromhex("37fa213d")
    for text in ("Hello", "", "5 €", "x" * 125, "x" * 126, "€" * 100, "x" * 65535, "x" * 65536):
        payload = text.encode()
        size = len(payload)
        length = [size] if size < 126 else [126, *size.to_bytes(2)] if size < 65536 else [127, *size.to_bytes(8)]
        masked = bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))
        what = f"the frame of a text of {size} bytes ({show(text)})"
        frame = bytes_of(call(theirs, text, key), what)
        for part, expected, section in (
            ("begin with FIN and opcode 1", b"\x81", "5.2"),
            ("have the mask bit and the length next", bytes([0x80 | length[0], *length[1:]]), "5.2"),
            ("have the masking key next", key, "5.2"),
            ("have the masked payload next", masked, "5.3"),
            ("end there", b"", "5.2"),
        ):
            if not frame.startswith(expected) or (part == "end there" and frame):
                got = frame[: max(len(expected), 1)]
                differing = (n for n, (a, b) in enumerate(zip(expected, got, strict=False)) if a != b)
                first = next(differing, min(len(expected), len(got)))
                start, where = (first, f", at its byte {first}") if first >= _SHOWN else (0, "")
                wrong = f"{_hex(expected[start:])}, not {_hex(got[start:])} (RFC 6455 §{section})"
                raise Wrong(f"{what} must {part}{where}: {wrong}")
            frame = frame[len(expected) :]


def _hex(data: bytes) -> str:
    """Return the first bytes in hex."""
    return (data[:_SHOWN].hex(" ") + (" ..." if len(data) > _SHOWN else "")) or "nothing"
