"""Chapter 6: frames, one at a time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vectors import KEY, ZERO, frame, prop, xor

from wsref.protocol import masking
from wsref.protocol.errors import ProtocolError
from wsref.protocol.frames import Frame, Header, build_frame, build_header, parse_frame, parse_header
from wsref.protocol.masking import apply_mask
from wsref.protocol.spec import Opcode

#: §5.7, in its order: (the bytes, first byte's meaning, payload, masking key).
GOLDEN = {
    "a single-frame unmasked text message": ("810548656c6c6f", Frame(Opcode.TEXT, b"Hello"), b""),
    "a single-frame masked text message": ("818537fa213d7f9f4d5158", Frame(Opcode.TEXT, b"Hello"), KEY),
    "a fragmented unmasked text message, 1": ("010348656c", Frame(Opcode.TEXT, b"Hel", fin=False), b""),
    "a fragmented unmasked text message, 2": ("80026c6f", Frame(Opcode.CONTINUATION, b"lo"), b""),
    "unmasked ping": ("890548656c6c6f", Frame(Opcode.PING, b"Hello"), b""),
    "masked pong": ("8a8537fa213d7f9f4d5158", Frame(Opcode.PONG, b"Hello"), KEY),
    "256 bytes": ("827e0100" + bytes(range(256)).hex(), Frame(Opcode.BINARY, bytes(range(256))), b""),
    "64 KiB": ("827f0000000000010000" + "00" * 65536, Frame(Opcode.BINARY, bytes(65536)), b""),
}


def fails(data, *, masked=True, **options):
    """The code and section with which a header fails, at the earliest byte and with all that follows."""
    for stop in range(len(data) + 1):
        try:
            assert parse_header(data[:stop], masked=masked, **options) is None
        except ProtocolError as error:
            early = error
            break
    else:
        raise AssertionError("it did not fail")
    for later in (data, data + bytes(20)):
        with pytest.raises(ProtocolError) as caught:
            parse_frame(later, masked=masked, **options)
        assert (caught.value.code, str(caught.value)) == (early.code, str(early))
    return early.code, early.section, stop


class TestGoldenVectors:
    """RFC 6455 §5.7"""

    @pytest.mark.parametrize("name", GOLDEN)
    def test_both_ways(self, name):
        wire, one, key = GOLDEN[name]
        wire = bytes.fromhex(wire)
        assert build_frame(one, key) == wire
        assert parse_frame(wire, masked=bool(key)) == (one, len(wire))
        assert parse_frame(b"xyz" + wire + b"tail", 3, masked=bool(key)) == (one, 3 + len(wire))

    @pytest.mark.parametrize("name", [name for name in GOLDEN if name != "64 KiB"])
    def test_every_shorter_prefix_is_none(self, name):
        wire, _, key = GOLDEN[name]
        wire = bytes.fromhex(wire)
        assert [n for n in range(len(wire)) if parse_frame(wire[:n], masked=bool(key)) is not None] == []


class TestFirstByte:
    """RFC 6455 §5.2: FIN, RSV, opcode"""

    @pytest.mark.parametrize("masked", [True, False], ids=["server", "client"])
    @pytest.mark.parametrize("rsv_allowed", [0, 0x40, 0x70])
    def test_all_256_first_bytes_against_an_oracle(self, masked, rsv_allowed):
        taken = 0
        for first in range(256):
            fin, rsv, opcode = first >> 7, first & 0x70, first & 15
            data = bytes([first, 0x80 if masked else 0]) + (KEY if masked else b"")
            allowed = rsv_allowed if opcode in (1, 2) else 0  # RFC 7692 §6.1: on the first frame of a message
            good = (rsv | allowed) == allowed and opcode in (0, 1, 2, 8, 9, 10) and (fin or opcode < 8)
            if good:
                taken += 1
                header = parse_header(data, masked=masked, rsv_allowed=rsv_allowed)
                assert header == Header(bool(fin), rsv, Opcode(opcode), 0, KEY if masked else b"", len(data))
                assert isinstance(header.opcode, Opcode)
                assert isinstance(header.fin, bool)
            else:
                code, section, at = fails(data, masked=masked, rsv_allowed=rsv_allowed)
                assert (code, at) == (1002, 2), "both bytes are judged before the third is there"
                unknown = opcode not in (0, 1, 2, 8, 9, 10) or rsv & ~rsv_allowed
                assert section == ("§5.2" if unknown else "RFC 7692 §6.1" if rsv else "§5.5")
        assert taken == 2 + 4 * {0: 1, 0x40: 2, 0x70: 8}[rsv_allowed] + 3

    @pytest.mark.parametrize(
        "first, words",
        [
            (0xB1, "RSV bits 011 are set"),
            (0xC2, "RSV bits 100 are set"),
            (0x8B, "opcode 0xb is"),
            (0x03, "opcode 0x3 is"),
        ],
    )
    def test_the_error_names_the_bits(self, first, words):
        with pytest.raises(ProtocolError, match=words):
            parse_header(bytes([first, 0x80]), masked=True)

    @pytest.mark.parametrize("text", [b"hello", b'{"a": 1}', b"0: ok", b"<p>"])
    @pytest.mark.parametrize("masked", [True, False], ids=["server", "client"])
    def test_text_without_a_frame_is_called_text(self, text, masked):
        with pytest.raises(ProtocolError) as caught:
            parse_header(b"\x81\x00" + text, 2, masked=masked, rsv_allowed=0x40)
        assert f"; {text[:2].decode()!r} looks like text, not like a frame (RFC 6455 §5.2)" in str(caught.value)

    @pytest.mark.parametrize("data", ["c280", "7105", "71a5", "f161"])
    def test_no_other_frame_is_called_text(self, data):
        with pytest.raises(ProtocolError, match=r"set; no extension defines them \(RFC 6455 §5.2\)$"):
            parse_header(bytes.fromhex(data), masked=True)


class TestSecondByte:
    """RFC 6455 §5.1, §5.5"""

    @pytest.mark.parametrize("opcode", [0, 1, 2, 8, 9, 10])
    @pytest.mark.parametrize("masked", [True, False], ids=["server", "client"])
    def test_all_256_second_bytes_against_an_oracle(self, opcode, masked):
        for second in range(256):
            data = bytes([0x80 | opcode, second])
            if bool(second & 0x80) != masked:
                code, section, at = fails(data, masked=masked)
                assert (code, at) == (1002, 2)
                assert section == ("§5.5" if opcode >= 8 and second & 127 > 125 else "§5.1")
            elif opcode >= 8 and second & 127 > 125:
                assert fails(data, masked=masked) == (1002, "§5.5", 2)
            elif masked or second in (126, 127):
                assert parse_header(data, masked=masked) is None
            else:
                assert parse_header(data, masked=masked) == Header(True, 0, Opcode(opcode), second, b"", 2)

    @pytest.mark.parametrize("opcode", [8, 9, 10])
    def test_a_control_frame_of_125_bytes_is_taken_and_one_of_126_is_not(self, opcode):
        good = frame(opcode, bytes(125))
        assert parse_frame(good, masked=True) == (Frame(Opcode(opcode), bytes(125)), len(good))
        assert fails(frame(opcode, bytes(126))) == (1002, "§5.5", 2)
        assert fails(frame(opcode, bytes(65536))) == (1002, "§5.5", 2)
        assert fails(frame(opcode, b"x", form=16)) == (1002, "§5.5", 2)


class TestLengths:
    """RFC 6455 §5.2"""

    @pytest.mark.parametrize("size", [0, 1, 124, 125, 126, 127, 128, 255, 256, 65534, 65535, 65536, 65537])
    @pytest.mark.parametrize("key", [KEY, b""], ids=["server", "client"])
    def test_each_boundary_both_ways(self, size, key):
        payload = bytes(i % 251 for i in range(size))
        wire = frame(2, payload, key=key)
        head = (2 if size < 126 else 4 if size < 65536 else 10) + len(key)
        assert len(wire) == head + size
        assert build_frame(Frame(Opcode.BINARY, payload), key) == wire
        assert parse_header(wire, masked=bool(key)) == Header(True, 0, Opcode.BINARY, size, key, head)
        assert parse_frame(wire, masked=bool(key)) == (Frame(Opcode.BINARY, payload), len(wire))
        assert parse_frame(wire[:-1], masked=bool(key)) is None
        assert [n for n in range(head) if parse_header(wire[:n], masked=bool(key)) is not None] == []
        assert parse_header(wire[:head], masked=bool(key)) is not None

    @pytest.mark.parametrize("key", [KEY, b""], ids=["server", "client"])
    @pytest.mark.parametrize(
        "size, form", [(0, 16), (5, 16), (125, 16), (0, 64), (5, 64), (125, 64), (126, 64), (65535, 64)]
    )
    def test_a_length_in_more_bytes_than_it_needs_fails_as_soon_as_it_is_there(self, size, form, key):
        data = frame(1, bytes(size), form=form, key=key)[:14]
        assert fails(data, masked=bool(key)) == (1002, "§5.2", 2 + form // 8)

    @pytest.mark.parametrize("key", [KEY, b""], ids=["server", "client"])
    @pytest.mark.parametrize("length", [1 << 63, (1 << 63) + 1, (1 << 64) - 1, 0x80000000000000FF])
    def test_the_top_bit_of_a_64_bit_length_fails(self, length, key):
        data = bytes([0x82, 0xFF if key else 0x7F]) + length.to_bytes(8, "big")
        for limit in (1, 1 << 70):
            assert fails(data, masked=bool(key), max_payload=limit) == (1002, "§5.2", 10)

    def test_the_largest_length_there_is(self):
        data = b"\x82\xff" + ((1 << 63) - 1).to_bytes(8, "big") + KEY
        assert parse_header(data, masked=True).length == (1 << 63) - 1
        assert parse_frame(data + b"some", masked=True) is None

    @pytest.mark.parametrize("opcode", [0, 1, 2])
    @pytest.mark.parametrize("limit", [0, 5, 125, 126, 65535, 65536])
    def test_too_much_payload_fails_with_1009_before_a_byte_of_it_or_of_the_key_is_there(self, opcode, limit):
        wire = frame(opcode, bytes(limit))
        assert parse_header(wire, masked=True, max_payload=limit).length == limit
        wire = frame(opcode, bytes(limit + 1))
        size = 2 if limit < 125 else 4 if limit < 65535 else 10
        assert fails(wire[:size], max_payload=limit) == (1009, "§10.4", size)

    def test_the_limit_of_messages_is_none_of_control_frames(self):
        assert parse_header(frame(9, bytes(125)), masked=True, max_payload=0).length == 125


class TestMasking:
    """RFC 6455 §5.3"""

    @pytest.mark.parametrize("key", [KEY, ZERO, b"\xff" * 4, b"\x00\x00\x00\x01", b"\x80\x00\x00\x00"])
    def test_lengths_from_0_to_300_against_the_oracle(self, key):
        for size in range(301):
            data = bytes((i * 7 + size) % 256 for i in range(size))
            assert apply_mask(data, key) == xor(data, key)

    @pytest.mark.parametrize("near", [512, masking._TRANSLATE_FROM, 4096, 65536])
    def test_lengths_around_every_threshold_against_the_oracle(self, near):
        for size in range(near - 5, near + 6):
            data = bytes((i * 13 + 5) % 256 for i in range(size))
            masked = apply_mask(data, KEY)
            assert masked == xor(data, KEY)
            assert type(masked) is bytes

    @pytest.mark.parametrize("times", [1, 4, 8])  # a length for each of the three ways
    def test_every_octet_under_every_octet_of_a_key(self, times):
        data = bytes(range(256)) * times
        for octet in range(256):
            key = bytes([octet, 255 - octet, octet ^ 0x55, 0])
            assert apply_mask(data, key) == xor(data, key)

    @pytest.mark.parametrize("start", [0, 6, 14, 700])
    @pytest.mark.parametrize("size", [0, 1, 599, 600, 601, 1535, 1536, 5000])
    def test_a_range_is_unmasked_wherever_it_begins_and_a_long_one_is_a_bytearray(self, start, size):
        data = bytes(i * 7 % 256 for i in range(start + size + 9))
        found = masking.unmask_range(data, start, start + size, KEY)
        assert found == xor(data[start : start + size], KEY)
        assert type(found) is (bytes if size < 600 else bytearray)

    def test_the_data_is_not_modified(self):
        data = bytearray(b"x" * 3000)
        apply_mask(data, KEY)
        assert data == b"x" * 3000

    @prop
    @given(st.binary(max_size=3000), st.binary(min_size=4, max_size=4))
    def test_masking_twice_is_nothing(self, data, key):
        masked = apply_mask(data, key)
        assert len(masked) == len(data)
        assert apply_mask(masked, key) == data


OPCODES = st.sampled_from(list(Opcode))


class TestRoundTrips:
    """What is built is what is parsed"""

    def test_a_frame_does_not_change(self):
        with pytest.raises(AttributeError):
            Frame(Opcode.TEXT).fin = False

    def test_every_argument_has_a_name_and_the_options_have_no_place(self):
        assert build_header(opcode=Opcode.TEXT, length=5) == b"\x81\x05"
        assert parse_header(data=b"\x81\x00", start=0, masked=False) is not None
        with pytest.raises(TypeError):
            build_header(Opcode.TEXT, 5, False)

    @prop
    @given(
        OPCODES,
        st.binary(max_size=125) | st.binary(min_size=126, max_size=2000),
        st.booleans(),
        st.sampled_from([0, 0x40, 0x70]),
        st.binary(min_size=4, max_size=4) | st.just(b""),
        st.binary(max_size=5),
        st.binary(max_size=5),
    )
    def test_a_frame(self, opcode, payload, fin, rsv, key, before, after):
        if opcode >= 8:
            payload, fin = payload[:125], True
        if opcode not in (1, 2):
            rsv = 0
        one = Frame(opcode, payload, fin, rsv)
        wire = build_frame(one, key)
        assert wire == frame(int(opcode), payload, fin=fin, rsv=rsv, key=key)
        found = parse_frame(before + wire + after, len(before), masked=bool(key), rsv_allowed=0x70)
        assert found == (one, len(before) + len(wire))

    @prop
    @given(
        st.sampled_from([0, 1, 2]),
        st.integers(0, (1 << 63) - 1),
        st.booleans(),
        st.binary(min_size=4, max_size=4) | st.just(b""),
    )
    def test_a_header(self, opcode, length, fin, key):
        wire = build_header(Opcode(opcode), length, fin=fin, masking_key=key)
        assert parse_header(wire + b"\xff", masked=bool(key)) == Header(fin, 0, Opcode(opcode), length, key, len(wire))

    @prop
    @given(st.binary(max_size=30), st.booleans(), st.integers(0, 200))
    def test_random_bytes_are_a_frame_or_none_or_a_protocol_error(self, data, masked, limit):
        try:
            found = parse_frame(data, masked=masked, max_payload=limit)
        except ProtocolError as error:
            assert error.code in (1002, 1009)
            assert error.section.startswith("§")
        else:
            if found:
                one, end = found
                key = data[end - len(one.payload) - 4 : end - len(one.payload)] if masked else b""
                assert build_frame(one, key) == data[:end], "there is one way only to write a frame"
