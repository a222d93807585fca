"""Packets: the bytes of TCP in them, in order.

Each packet is a link header, an IP header (RFC 791, RFC 8200), a TCP header (RFC 9293 §3.1) and the payload.
Segments are put in order by their sequence numbers, and repeated ones are left out.
"""

from __future__ import annotations

import heapq
import ipaddress
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field

from ..wire.describe import recognise
from ..wire.words import count
from .pasted import Pasted, PasteError, Piece

#: The numbers of link types in captures (https://www.tcpdump.org/linktypes.html), and their names.
ETHERNET, NULL, RAW, LOOP, SLL, SLL2 = 1, 0, 101, 108, 113, 276
_RAW_TYPES = (RAW, 12, 14, 228, 229)
_LINK_NAMES = {
    ETHERNET: "Ethernet",
    NULL: "loopback",
    RAW: "IP",
    SLL: "Linux cooked (SLL)",
    SLL2: "Linux cooked (SLL2)",
}
_IPV4, _IPV6 = 0x0800, 0x86DD
_VLAN = (0x8100, 0x88A8)
_NULL_FAMILIES = (2, 10, 24, 28, 30)  # AF_INET, and AF_INET6 of several systems
_TCP = 6
_FRAGMENT = 44  # the header that IPv6 puts before a fragment
_EXTENSIONS = (0, 43, 60)  # IPv6 headers that may precede TCP
_FIN, _SYN, _RST, _ACK = 1, 2, 4, 16


class NotTcp(ValueError):
    """Bytes without TCP; the message names what a packet has instead, "" if they may be no packet at all."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A TCP segment."""

    source: str
    destination: str
    sequence: int
    flags: int
    payload: bytes
    exact: bool  # all lengths and the checksum of IP fit: these bytes are a packet
    cut: bool  # the capture has not all bytes of the packet


def _ip_at(data: bytes, link: int) -> int:
    """Return where the IP header begins.

    Raises:
        NotTcp: The packet carries another protocol.
    """
    if link in _RAW_TYPES:
        return 0
    if link in (NULL, LOOP):
        family = data[:4]
        if not any(family in (n.to_bytes(4, "big"), n.to_bytes(4, "little")) for n in _NULL_FAMILIES):
            raise NotTcp
        return 4
    if link == SLL:
        at, kind = 16, data[14:16]
    elif link == SLL2:
        at, kind = 20, data[:2]
    elif link == ETHERNET:
        at, kind = 14, data[12:14]
    else:
        raise PasteError(f"the capture has link type {link}, which is not read: capture on Ethernet or loopback")
    while int.from_bytes(kind, "big") in _VLAN and at + 4 <= len(data):
        at, kind = at + 4, data[at + 2 : at + 4]
    if int.from_bytes(kind, "big") not in (_IPV4, _IPV6):
        raise NotTcp
    return at


def parse_packet(data: bytes, link: int) -> Segment:
    """Return the TCP segment in a packet.

    Raises:
        NotTcp: The packet carries something else, or is too short.
    """
    at = _ip_at(data, link)
    version = data[at] >> 4 if at < len(data) else 0
    if version == 4 and len(data) >= at + 20:
        protocol, start, end, source, destination, exact = _ipv4(data, at)
    elif version == 6 and len(data) >= at + 40:
        protocol, start, end, source, destination, exact = _ipv6(data, at)
    else:
        raise NotTcp
    spare = len(data) - end
    exact = exact and (spare == 0 or (link == ETHERNET and 0 < spare <= 46))
    if protocol != _TCP or start + 20 > min(end, len(data)):
        names = {_TCP: "an incomplete TCP header", 1: "ICMP", 17: "UDP", 58: "ICMPv6", _FRAGMENT: "a fragment of IP"}
        raise NotTcp(names.get(protocol, f"IP protocol {protocol}") if exact else "")
    source_port, destination_port, sequence, _, offset, flags = struct.unpack_from("!HHIIBB", data, start)
    payload = start + (offset >> 4) * 4
    if not start + 20 <= payload <= end:
        raise NotTcp("an invalid TCP header" if exact else "")
    return Segment(
        f"{source}:{source_port}",
        f"{destination}:{destination_port}",
        sequence,
        flags,
        data[payload:end],
        exact,
        len(data) < end,
    )


def _ipv4(data: bytes, at: int) -> tuple[int, int, int, str, str, bool]:
    """Return protocol, where its bytes begin and end, source, destination, and whether it has a length."""
    size, length = (data[at] & 15) * 4, int.from_bytes(data[at + 2 : at + 4], "big")
    header = data[at : at + size]
    fragment = int.from_bytes(data[at + 6 : at + 8], "big") & 0x3FFF
    checksum = sum(struct.unpack(f"!{len(header) // 2}H", header[: len(header) // 2 * 2]))
    sound = size >= 20 and len(header) == size and (checksum % 0xFFFF == 0 or header[10:12] == b"\0\0")
    if not sound:
        raise NotTcp
    end = at + length if length else len(data)  # 0: the network card was to cut it
    source, destination = (str(ipaddress.IPv4Address(data[n : n + 4])) for n in (at + 12, at + 16))
    return _FRAGMENT if fragment else data[at + 9], at + size, end, source, destination, length > 0


def _ipv6(data: bytes, at: int) -> tuple[int, int, int, str, str, bool]:
    """The same for IPv6."""
    length, protocol = int.from_bytes(data[at + 4 : at + 6], "big"), data[at + 6]
    start, end = at + 40, at + 40 + length if length else len(data)
    while protocol in _EXTENSIONS and start + 8 <= len(data):
        protocol, start = data[start], start + 8 + data[start + 1] * 8
    source, destination = (f"[{ipaddress.IPv6Address(data[n : n + 16])}]" for n in (at + 8, at + 24))
    return protocol, start, end, source, destination, length > 0


def find_packet(data: bytes) -> tuple[Segment, str] | None:
    """Return the segment in pasted bytes, and the name of their link type; None: they are no whole packet.

    Raises:
        PasteError: They are a packet without TCP.
    """
    other = ""
    for link in (ETHERNET, RAW, NULL, SLL, SLL2):
        try:
            segment = parse_packet(data, link)
        except NotTcp as error:
            if str(error):
                other = other or f"these bytes are a packet ({_LINK_NAMES[link]}) with {error} in it, and no TCP"
            continue
        if segment.exact:
            return segment, _LINK_NAMES[link]
    if other:
        raise PasteError(other)
    return None


# -- Segments in order -------------------------------------------------------------------------


@dataclass(slots=True)
class _Direction:
    """What one side of a connection sends."""

    next: int | None = None  # the next sequence number
    position: int = 0  # bytes in order so far
    waiting: list[tuple[int, int, bytes]] = field(default_factory=list)  # (position, order, bytes), after a gap

    def add(self, segment: Segment, order: int) -> bytes:
        """Return the bytes that are now in order."""
        if segment.flags & _SYN:
            self.next = (segment.sequence + 1) % (1 << 32)
        if self.next is None:
            self.next = segment.sequence
        if not segment.payload:
            return b""
        ahead = (segment.sequence - self.next + (1 << 31)) % (1 << 32) - (1 << 31)
        if segment.flags & _SYN:
            ahead = 0
        heapq.heappush(self.waiting, (self.position + ahead, order, segment.payload))
        ready = bytearray()
        while self.waiting and self.waiting[0][0] <= self.position + len(ready):
            at, _, payload = heapq.heappop(self.waiting)
            ready += payload[self.position + len(ready) - at :]
        self.position += len(ready)
        self.next = (self.next + len(ready)) % (1 << 32)
        return bytes(ready)


class Reassembly:
    """Puts the segments of all connections in order."""

    def __init__(self) -> None:
        self.pieces: list[Piece] = []
        self.packets = 0
        self.cut = 0
        self._directions: dict[tuple[str, str], _Direction] = {}
        self._clients: dict[tuple[str, str], bool] = {}  # (source, destination): whether the source is the client
        self._conversations: dict[frozenset[str], int] = {}
        self._count = 0

    def add(self, segment: Segment) -> None:
        """Add the next segment of the capture."""
        way, back = (segment.source, segment.destination), (segment.destination, segment.source)
        self.packets += 1
        self.cut += segment.cut
        begins = segment.flags & (_SYN | _ACK) == _SYN
        first = (segment.sequence + 1) % (1 << 32)
        if begins and (way not in self._directions or self._directions[way].next != first):
            for direction in (way, back):  # the ports may be those of an older connection
                self._directions.pop(direction, None)
            self._conversations.pop(frozenset(way), None)
            self._clients |= {way: True, back: False}
        if frozenset(way) not in self._conversations:
            self._count += 1
            self._conversations[frozenset(way)] = self._count
        payload = self._directions.setdefault(way, _Direction()).add(segment, self.packets)
        if payload:
            kind = recognise(payload)
            if way not in self._clients and kind in ("request", "response"):
                self._clients |= {way: kind == "request", back: kind == "response"}
            sender = f"{segment.source} → {segment.destination}"
            number = self._conversations[frozenset(way)]
            self.pieces.append(Piece(payload, sender, self._clients.get(way), number))

    def result(self, form: str, notes: Iterable[str] = ()) -> Pasted:
        """Return the payload of all connections.

        Raises:
            PasteError: The payload is empty.
        """
        notes = [f"{count(self.packets, 'TCP packet')}, {count(self._count, 'connection')}", *notes]
        if self.cut:
            notes.append(f"the capture has cut off {count(self.cut, 'packet')} (tcpdump -s 0 does not)")
        lost = sum(bool(direction.waiting) for direction in self._directions.values())
        if lost:
            notes.append(f"packets are missing in {count(lost, 'direction')}: what follows them there is not drawn")
        if not self.pieces:
            raise PasteError(f"{form}: {notes[0]}, without a byte of payload")
        return Pasted(form, tuple(self.pieces), tuple(notes))
