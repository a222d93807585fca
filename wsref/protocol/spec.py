"""Every number that the RFCs fix, each with its section.

None of them is our choice; our choices (how large is too large, how long is too long) are in
:mod:`wsref.protocol.limits`.

The frame header, as RFC 6455 §5.2 draws it::

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-------+-+-------------+-------------------------------+
    |F|R|R|R|       |M|             |  16 more bits, if length 126  |
    |I|S|S|S| opcode|A|   length    |  64 more bits, if length 127  |
    |N|V|V|V|  (4)  |S|     (7)     |                               |
    | |1|2|3|       |K|             |                               |
    +-+-+-+-+-------+-+-------------+ - - - - - - - - - - - - - - - +
    |  masking key, 4 bytes, if MASK is set  |  payload ...         |
    +----------------------------------------+----------------------+
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

# -- The opening handshake ---------------------------------------------------

#: RFC 9110 §5.6.2: what a method, a header's name or an element of a list consists of.
TOKEN: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"

#: §1.3: appended to the key before SHA-1.  It is the same for everyone: that a server knows it
#: proves only that it was written for WebSocket.
GUID: Final = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

#: §4.1: the version of the protocol that the RFC describes.  8 is the number
#: that the drafts HyBi 08 to 12 used for the same bytes on the wire; the
#: article accepts it too.  §4.4: a refusal lists all of them, the best first.
VERSIONS: Final = ("13", "8")

#: §4.1 item 7: the key is this many random bytes, in base64.
KEY_BYTES: Final = 16

#: §3: the default ports of the two schemes.
DEFAULT_PORTS: Final = {"ws": 80, "wss": 443}

# -- The frame header, §5.2 --------------------------------------------------

# Bits of the first byte.
FIN: Final = 0x80  # this frame is the message's last
RSV1: Final = 0x40  # RFC 7692 §6: "this message is compressed"
RSV2: Final = 0x20
RSV3: Final = 0x10
RSV: Final = RSV1 | RSV2 | RSV3
OPCODE: Final = 0x0F
CONTROL: Final = 0x08  # §5.5: the opcode's top bit: set in control frames

# Bits of the second byte.
MASK: Final = 0x80
LENGTH: Final = 0x7F

LENGTH_16: Final = 126  # this length means: the length is in the next 2 bytes
LENGTH_64: Final = 127  # ... in the next 8 bytes

MASKING_KEY_BYTES: Final = 4  # §5.3
MAX_CONTROL_PAYLOAD: Final = 125  # bytes, §5.5


class Opcode(IntEnum):
    """The kinds of frames.  RFC 6455 §5.2; 3-7 and 11-15 are reserved."""

    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


#: Use ``OPCODES.get(number)``: ``Opcode(number)`` costs about twenty times as much, and
#: this runs for every frame.
OPCODES: Final[dict[int, Opcode]] = {int(opcode): opcode for opcode in Opcode}

# -- Closing, §7.4 -----------------------------------------------------------


class CloseCode(IntEnum):
    """The numbers with a name.  RFC 6455 §7.4.1 and the IANA registry (§11.7)."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    RESERVED = 1004
    NO_STATUS = 1005
    ABNORMAL = 1006
    INVALID_DATA = 1007
    POLICY_VIOLATION = 1008
    TOO_BIG = 1009
    MANDATORY_EXTENSION = 1010
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013
    BAD_GATEWAY = 1014
    TLS_HANDSHAKE = 1015


#: §7.4.1: an endpoint reports these codes to its own program and MUST NOT put them in a
#: Close frame.  (1004 is reserved.)
NEVER_SENT: Final = frozenset({1004, 1005, 1006, 1015})


class Role(IntEnum):
    """The two ends of a connection.  They differ in the handshake, in masking (§5.1) and
    in which end closes TCP first (§7.1.1), and in nothing else.
    """

    SERVER = 0
    CLIENT = 1


class State(IntEnum):
    """The numbers of the browser's ``readyState``, and the states of RFC 6455.

    §4.1 CONNECTING, §4.2.2 OPEN, §7.1.3 CLOSING (a Close was sent or received),
    §7.1.4 CLOSED.
    """

    CONNECTING = 0
    OPEN = 1
    CLOSING = 2
    CLOSED = 3
