"""Chapter 8: the Close payload, its codes, and the table of states."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vectors import prop

from wsref.protocol.closing import TRANSITIONS, build_close_payload, may_travel, parse_close_payload
from wsref.protocol.errors import ProtocolError
from wsref.protocol.spec import CloseCode, Role, State

TRAVELS = {1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)}


def refused(payload):
    """The code and section with which a payload is refused."""
    with pytest.raises(ProtocolError) as caught:
        parse_close_payload(payload)
    return caught.value.code, caught.value.section


class TestCodes:
    """RFC 6455 §7.4"""

    def test_of_all_65536_codes_just_these_may_travel(self):
        assert {code for code in range(-1, 65537) if may_travel(code)} == TRAVELS

    def test_of_all_65536_codes_just_these_are_accepted_and_all_others_are_1002(self):
        for code in range(65536):
            payload = code.to_bytes(2, "big")
            if code in TRAVELS:
                assert parse_close_payload(payload) == (code, "")
            else:
                assert refused(payload) == (1002, "§7.4")

    def test_of_all_codes_just_these_may_be_sent(self):
        for code in range(-2, 65540):
            try:
                payload = build_close_payload(code, role=Role.CLIENT)
            except ValueError as error:
                assert code not in TRAVELS
                assert str(code) in str(error)
            else:
                assert code in TRAVELS
                assert payload == code.to_bytes(2, "big")

    def test_1010_is_for_clients(self):
        assert build_close_payload(1010, role=Role.CLIENT) == b"\x03\xf2"
        with pytest.raises(ValueError, match="1010"):
            build_close_payload(1010, role=Role.SERVER)
        assert parse_close_payload(b"\x03\xf2") == (1010, "")

    def test_a_code_is_a_plain_int(self):
        assert type(parse_close_payload(b"\x03\xe8")[0]) is int
        assert type(parse_close_payload(b"")[0]) is int
        assert build_close_payload(CloseCode.GOING_AWAY) == b"\x03\xe9"


class TestPayload:
    """RFC 6455 §5.5.1, §8.1"""

    def test_an_empty_payload_is_1005(self):
        assert parse_close_payload(b"") == (1005, "")
        assert build_close_payload(None) == b""

    def test_the_default_is_1000(self):
        assert build_close_payload() == b"\x03\xe8"

    @pytest.mark.parametrize("octet", [0, 3, 255])
    def test_half_a_code_is_1002(self, octet):
        assert refused(bytes([octet])) == (1002, "§5.5.1")

    @pytest.mark.parametrize(
        "reason", ["ff", "c080", "eda080", "f4908080", "80", "e282", "6f6bff", "c3", "f09f98", "c1bf", "f8888080"]
    )
    def test_a_reason_that_is_not_utf_8_is_1007(self, reason):
        assert refused(b"\x03\xe8" + bytes.fromhex(reason)) == (1007, "§8.1")

    def test_a_bad_code_counts_more_than_a_bad_reason(self):
        assert refused(b"\x03\xed\xff") == (1002, "§7.4")

    @pytest.mark.parametrize("reason", ["", "bye", "für immer", "日本", "😀", "\0", "\ufeff", "x" * 123, "é" * 61])
    def test_a_reason_both_ways(self, reason):
        payload = build_close_payload(4000, reason)
        assert payload == b"\x0f\xa0" + reason.encode()
        assert parse_close_payload(payload) == (4000, reason)

    @pytest.mark.parametrize("reason", ["x" * 124, "x" * 126, "é" * 62, "😀" * 31, "x" * 10000])
    def test_a_reason_of_more_than_123_bytes_is_refused_not_cut(self, reason):
        with pytest.raises(ValueError, match=rf"at most 123 bytes of UTF-8 .*, not {len(reason.encode())}$"):
            build_close_payload(1000, reason=reason)

    def test_a_reason_needs_a_code(self):
        with pytest.raises(ValueError, match="code"):
            build_close_payload(None, "bye")

    def test_half_a_surrogate_pair_is_no_reason(self):
        with pytest.raises(ValueError, match="surrogate"):
            build_close_payload(1000, "\ud800")

    @pytest.mark.parametrize("reason", [None, b"bye", bytearray(b"bye"), memoryview(b"bye"), 5, ["bye"], object()])
    @pytest.mark.parametrize("code", [1000, None])
    def test_a_reason_is_a_str(self, code, reason):  # a TypedArray sent uninitialised memory in ws < 8.20.1
        with pytest.raises(TypeError, match="str"):
            build_close_payload(code, reason)

    @pytest.mark.parametrize("code", ["1000", 1000.0, b"\x03\xe8", [1000], object()])
    def test_a_code_is_an_int(self, code):
        with pytest.raises(TypeError, match="int"):
            build_close_payload(code)

    @pytest.mark.parametrize("code", [True, False, 0, -1000, 1 << 16, 10**30])
    def test_an_int_that_is_no_code_is_a_value_error(self, code):
        with pytest.raises(ValueError, match="close code"):
            build_close_payload(code)

    @prop
    @given(st.sampled_from(sorted(TRAVELS - {1010})), st.text(max_size=60))
    def test_round_trip(self, code, reason):
        try:
            payload = build_close_payload(code, reason)
        except ValueError:
            assert any("\ud800" <= c <= "\udfff" for c in reason) or len(reason.encode()) > 123
        else:
            assert parse_close_payload(payload) == (code, reason)

    @prop
    @given(st.binary(max_size=125))
    def test_random_payloads_are_taken_or_refused(self, payload):
        try:
            code, reason = parse_close_payload(payload)
        except ProtocolError as error:
            assert error.code in (1002, 1007)
        else:
            assert build_close_payload(None if code == 1005 else code, reason, role=Role.CLIENT) == payload


class TestTransitions:
    """RFC 6455 §7.1"""

    def test_the_table_is_complete(self):
        assert {
            (State.OPEN, "send Close"): State.CLOSING,
            (State.OPEN, "receive Close"): State.CLOSING,
            (State.OPEN, "fail"): State.CLOSING,
            (State.OPEN, "TCP ends"): State.CLOSED,
            (State.CLOSING, "receive Close"): State.CLOSING,
            (State.CLOSING, "fail"): State.CLOSING,
            (State.CLOSING, "TCP ends"): State.CLOSED,
        } == TRANSITIONS

    def test_what_can_happen_when_open_can_happen_when_closing_but_for_a_second_close(self):
        causes = {state: {cause for at, cause in TRANSITIONS if at is state} for state in State}
        assert causes[State.OPEN] - causes[State.CLOSING] == {"send Close"}
        assert causes[State.CLOSING] - causes[State.OPEN] == set()
        assert causes[State.CLOSED] == causes[State.CONNECTING] == set()

    def test_the_state_never_goes_back(self):
        assert all(after >= before for (before, _), after in TRANSITIONS.items())
