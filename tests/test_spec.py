"""The numbers of RFC 6455, as it prints them."""

from __future__ import annotations

import pytest

from wsref.protocol import spec
from wsref.protocol.spec import NEVER_SENT, OPCODES, CloseCode, Opcode, Role, State


class TestNumbers:
    """RFC 6455 §4.1, §5.2, §7.4.1, §11.7, §11.8"""

    @pytest.mark.parametrize(
        "kind, numbers",
        [
            (Opcode, {"CONTINUATION": 0, "TEXT": 1, "BINARY": 2, "CLOSE": 8, "PING": 9, "PONG": 10}),
            (Role, {"SERVER": 0, "CLIENT": 1}),
            (State, {"CONNECTING": 0, "OPEN": 1, "CLOSING": 2, "CLOSED": 3}),
            (
                CloseCode,
                {
                    "NORMAL": 1000,
                    "GOING_AWAY": 1001,
                    "PROTOCOL_ERROR": 1002,
                    "UNSUPPORTED_DATA": 1003,
                    "RESERVED": 1004,
                    "NO_STATUS": 1005,
                    "ABNORMAL": 1006,
                    "INVALID_DATA": 1007,
                    "POLICY_VIOLATION": 1008,
                    "TOO_BIG": 1009,
                    "MANDATORY_EXTENSION": 1010,
                    "INTERNAL_ERROR": 1011,
                    "SERVICE_RESTART": 1012,
                    "TRY_AGAIN_LATER": 1013,
                    "BAD_GATEWAY": 1014,
                    "TLS_HANDSHAKE": 1015,
                },
            ),
        ],
    )
    def test_each_member_has_the_number_of_the_registry(self, kind, numbers):
        assert {member.name: member.value for member in kind} == numbers

    def test_the_bits_of_the_first_two_bytes_do_not_overlap_and_fill_them(self):
        first = [spec.FIN, spec.RSV1, spec.RSV2, spec.RSV3, spec.OPCODE]
        assert (first, sum(first), spec.RSV) == ([128, 64, 32, 16, 15], 255, 112)
        assert (spec.MASK, spec.LENGTH, spec.CONTROL) == (128, 127, 8)
        assert all((opcode & spec.CONTROL > 0) == (opcode >= 8) for opcode in Opcode)

    def test_lengths_keys_and_ports(self):
        assert (spec.LENGTH_16, spec.LENGTH_64, spec.MAX_CONTROL_PAYLOAD) == (126, 127, 125)
        assert (spec.MASKING_KEY_BYTES, spec.KEY_BYTES) == (4, 16)
        assert spec.DEFAULT_PORTS == {"ws": 80, "wss": 443}
        assert spec.VERSIONS == ("13", "8")

    def test_an_opcode_is_found_by_its_number(self):
        assert {number: OPCODES.get(number) for number in range(16) if number in OPCODES} == {int(o): o for o in Opcode}

    def test_the_codes_that_no_close_frame_has(self):
        assert sorted(NEVER_SENT) == [1004, 1005, 1006, 1015]
