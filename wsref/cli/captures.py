"""Captures of a network: pcap files (draft-ietf-opsawg-pcap) and pcapng files (draft-ietf-opsawg-pcapng)."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from ..wire.words import count
from .packets import ETHERNET, NotTcp, Reassembly, parse_packet
from .pasted import Pasted

_PCAP = {
    b"\xa1\xb2\xc3\xd4": ">",
    b"\xd4\xc3\xb2\xa1": "<",
    b"\xa1\xb2\x3c\x4d": ">",  # with nanoseconds
    b"\x4d\x3c\xb2\xa1": "<",
}
_PCAPNG = b"\x0a\x0d\x0d\x0a"


def is_capture(data: bytes) -> bool:
    """Return whether bytes begin as a pcap or pcapng file does."""
    return data[:4] in _PCAP or (data[:4] == _PCAPNG and data[8:12] in (b"\x1a\x2b\x3c\x4d", b"\x4d\x3c\x2b\x1a"))


def read_capture(data: bytes, port: int | None = None) -> Pasted:
    """Return the payload of the TCP connections in a capture.

    Args:
        data: The file.
        port: Only connections from or to it; None: all.
    Raises:
        PasteError: There is no payload.
    """
    reassembly = Reassembly()
    notes = []
    other = 0
    packets = _pcap(data) if data[:4] in _PCAP else _pcapng(data)
    for link, packet in packets:
        if packet is None:
            notes.append("the file ends inside a packet")
            continue  # it was the last one
        try:
            segment = parse_packet(packet, link)
        except NotTcp:
            other += 1
            continue
        if port is None or any(end.endswith(f":{port}") for end in (segment.source, segment.destination)):
            reassembly.add(segment)
    if other:
        notes.append(f"{count(other, 'packet')} without TCP left out")
    return reassembly.result("a pcap file" if data[:4] in _PCAP else "a pcapng file", notes)


def _pcap(data: bytes) -> Iterator[tuple[int, bytes | None]]:
    """Yield link type and bytes of each packet; None: the file ends inside one."""
    order = _PCAP[data[:4]]
    if len(data) < 24:
        yield 0, None
        return
    link = struct.unpack_from(f"{order}I", data, 20)[0] & 0xFFFF
    at = 24
    while at < len(data):
        end = at + 16
        if end <= len(data):
            end += struct.unpack_from(f"{order}I", data, at + 8)[0]
        if end > len(data) or end < at + 16:
            yield link, None
            return
        yield link, data[at + 16 : end]
        at = end


def _pcapng(data: bytes) -> Iterator[tuple[int, bytes | None]]:
    """The same for pcapng: sections of blocks, each with its type and its length."""
    order, at = "<", 0
    links: list[int] = []
    while at < len(data):
        if data[at : at + 4] == _PCAPNG:
            order = "<" if data[at + 8 : at + 12] == b"\x4d\x3c\x2b\x1a" else ">"
            links = []
        if at + 12 > len(data):
            yield 0, None
            return
        kind, length = struct.unpack_from(f"{order}II", data, at)
        body = data[at + 8 : at + length - 4]
        if length < 12 or at + length > len(data):
            yield 0, None
            return
        if kind == 1 and len(body) >= 8:  # a description of an interface
            links.append(struct.unpack_from(f"{order}H", body)[0])
        elif kind == 6 and len(body) >= 20:
            interface, _, _, size = struct.unpack_from(f"{order}IIII", body)
            yield links[interface] if interface < len(links) else ETHERNET, body[20 : 20 + size]
        elif kind == 3 and len(body) >= 4:  # a packet without its time
            yield links[0] if links else ETHERNET, body[4 : 4 + struct.unpack_from(f"{order}I", body)[0]]
        at += length
