"""Chapter 7: fragments to whole messages, UTF-8 checked as it arrives."""

from __future__ import annotations

import contextlib
import itertools

import pytest
from conftest import peak_memory
from hypothesis import given
from hypothesis import strategies as st
from vectors import ZERO, close, events_of, failure, frame, more, outcome, prop, text, unframe

from wsref.protocol.connection import Connection
from wsref.protocol.errors import ProtocolError
from wsref.protocol.frames import Header
from wsref.protocol.limits import Limits
from wsref.protocol.messages import Assembler, decode, decode_some, opcode_and_payload
from wsref.protocol.spec import RSV1, Opcode, Role


def message(data):
    """The plain event of a message."""
    return ("Message", type(data).__name__, data, [])


class TestFragments:
    """RFC 6455 §5.4"""

    @pytest.mark.parametrize(
        "wire, whole",
        [
            (text("Hel", fin=False) + more("lo"), "Hello"),
            (text("", fin=False) + more("", fin=False) + more(""), ""),
            (text("a", fin=False) + more("", fin=False) + more("b"), "ab"),
            (text("", fin=False) + more("a"), "a"),
            (text("a", fin=False) + more(""), "a"),
            (frame(2, b"\0\xff", fin=False) + more(b"\xfe"), b"\0\xff\xfe"),
            (frame(2, b"", fin=False) + more(b""), b""),
            (text(b"\xe2", fin=False) + more(b"\x82", fin=False) + more(b"\xac"), "€"),
            (text(b"\xf0\x9f", fin=False) + more(b"", fin=False) + more(b"\x98\x80"), "😀"),
            (text("a\r\nb\rc\n", fin=False) + more("\r\n"), "a\r\nb\rc\n\r\n"),
            (text("\ufeff", fin=False) + more("x"), "\ufeffx"),
            (text("\0", fin=False) + more("\0"), "\0\0"),
        ],
    )
    def test_fragments_make_one_message_of_the_first_ones_type(self, wire, whole):
        assert outcome(wire) == [message(whole)]

    @pytest.mark.parametrize("data", ["", "x", "a\r\nb\n\rc\r", "\ufeff€😀\0", b"", bytes(range(256))])
    def test_a_message_in_one_frame(self, data):
        wire = frame(*((1, data.encode()) if isinstance(data, str) else (2, data)))
        assert outcome(wire) == [message(data)]

    def test_binary_need_not_be_utf_8(self):
        assert outcome(frame(2, b"\xff", fin=False) + more(b"\xc0\x80")) == [message(b"\xff\xc0\x80")]

    def test_control_frames_between_fragments_are_handled_at_once_and_change_nothing(self):
        wire = text(b"\xe2", fin=False) + frame(9, b"p") + more(b"\x82", fin=False) + frame(10, b"q") + more(b"\xac")
        assert outcome(wire) == [
            ("Ping", "bytes", b"p", [(0x8A, b"p")]),
            ("Pong", "bytes", b"q", []),
            message("€"),
        ]

    def test_a_close_between_fragments_ends_it_and_the_half_message_is_lost(self):
        ((kind, code, *_),) = outcome(text("Hel", fin=False) + close(1001) + more("lo"))
        assert (kind, code) == ("Closed", 1001)

    @pytest.mark.parametrize(
        "wire",
        [
            more("x"),
            more("x", fin=False),
            more(""),
            text("a") + more("b"),
            text("a", fin=False) + text("b"),
            text("a", fin=False) + text("b", fin=False),
            text("a", fin=False) + frame(2, b"b"),
            text("", fin=False) + text(""),
            frame(2, b"a", fin=False) + frame(9) + frame(2, b"b"),
            text("a", fin=False) + more("b") + more("c"),
        ],
    )
    def test_a_frame_out_of_order_fails_with_1002(self, wire):
        assert failure(wire) == 1002

    def test_two_messages_do_not_know_of_each_other(self):
        wire = (
            text("a", fin=False)
            + more("b")
            + frame(2, b"c", fin=False)
            + more(b"\xff")
            + text("d")
            + text("", fin=False)
        )
        assert outcome(wire + more("e")) == [message("ab"), message(b"c\xff"), message("d"), message("e")]


def utf8_oracle(octets):
    """The index of the first octet that no valid text can have there, by RFC 3629 §4's grammar; None: it may go on."""
    lead = [
        (0x00, 0x7F, []),
        (0xC2, 0xDF, [(0x80, 0xBF)]),
        (0xE0, 0xE0, [(0xA0, 0xBF), (0x80, 0xBF)]),
        (0xE1, 0xEC, [(0x80, 0xBF)] * 2),
        (0xED, 0xED, [(0x80, 0x9F), (0x80, 0xBF)]),
        (0xEE, 0xEF, [(0x80, 0xBF)] * 2),
        (0xF0, 0xF0, [(0x90, 0xBF)] + [(0x80, 0xBF)] * 2),
        (0xF1, 0xF3, [(0x80, 0xBF)] * 3),
        (0xF4, 0xF4, [(0x80, 0x8F)] + [(0x80, 0xBF)] * 2),
    ]
    wanted = []
    for i, octet in enumerate(octets):
        if wanted:
            low, high = wanted.pop(0)
            if not low <= octet <= high:
                return i
            continue
        for low, high, rest in lead:
            if low <= octet <= high:
                wanted = list(rest)
                break
        else:
            return i
    return None


#: Sequences and the index of the octet at which they must fail, None: they may go on.
SEQUENCES = [
    ("80", 0),
    ("bf", 0),
    ("c0", 0),
    ("c080", 0),
    ("c1bf", 0),
    ("c280", None),
    ("c2", None),
    ("c241", 1),
    ("c2c2", 1),
    ("dfbf", None),
    ("e0", None),
    ("e080", 1),
    ("e09f", 1),
    ("e0a0", None),
    ("e0a080", None),
    ("e0a041", 2),
    ("e282ac", None),
    ("e28241", 2),
    ("e282e2", 2),
    ("ed9f", None),
    ("ed9fbf", None),
    ("eda0", 1),
    ("eda080", 1),
    ("edafbf", 1),
    ("edb080", 1),
    ("edbf", 1),
    ("ee8080", None),
    ("efbfbf", None),
    ("efbfbe", None),
    ("f0", None),
    ("f080", 1),
    ("f08f", 1),
    ("f090", None),
    ("f0908080", None),
    ("f09080c0", 3),
    ("f09041", 2),
    ("f48f", None),
    ("f48fbfbf", None),
    ("f490", 1),
    ("f4908080", 1),
    ("f4bf", 1),
    ("f5", 0),
    ("f58080", 0),
    ("f7bfbfbf", 0),
    ("f8", 0),
    ("fc", 0),
    ("fe", 0),
    ("ff", 0),
    ("6f6bff", 2),
    ("cebae1bdb9cf83cebcceb5", None),
    ("cebae1bdb9cf83cebcceb5eda080656469746564", 12),
    ("cebae1bdb9cf83cebcceb5f4908080", 12),
]


class TestUTF8:
    """RFC 6455 §8.1, RFC 3629 §4"""

    @pytest.mark.parametrize("octets, index", SEQUENCES)
    def test_the_oracle_agrees_with_the_table(self, octets, index):
        assert utf8_oracle(bytes.fromhex(octets)) == index

    @pytest.mark.parametrize("octets, index", SEQUENCES)
    @pytest.mark.parametrize("before", [b"", b"ok ", "€".encode()])
    def test_a_bad_octet_fails_when_it_arrives_though_the_frame_is_not_complete(self, octets, index, before):
        octets = before + bytes.fromhex(octets)
        wire = frame(1, octets + bytes(50), key=ZERO)
        server = Connection(Role.SERVER)
        server.receive(wire[:6])
        failed = None
        for i in range(len(octets)):
            assert server.next_event() is None
            server.receive(wire[6 + i : 7 + i])
            if (event := server.next_event()) is not None:
                assert event.error.code == event.sent_code == 1007
                failed = i
                break
        assert failed == (None if index is None else len(before) + index)

    @pytest.mark.parametrize("octets, index", [row for row in SEQUENCES if row[1] is not None])
    def test_a_bad_octet_fails_in_any_kind_of_frame_and_in_any_cut(self, octets, index):
        octets = bytes.fromhex(octets)
        assert failure(text(octets)) == 1007
        assert failure(text(octets, fin=False)) == 1007
        assert failure(text("ok", fin=False) + more(octets, fin=False)) == 1007
        assert failure(text(octets[:1], fin=False) + frame(9) + more(octets[1:] + b"x")) == 1007
        # ... and without the rest of the frame
        (*_, event) = events_of([frame(1, octets[: index + 1] + bytes(9), key=ZERO)[: 6 + index + 1]])
        assert event[3] == 1007

    def test_all_prefixes_of_one_to_three_octets_against_the_oracle(self):
        edges = [
            0x00,
            0x41,
            0x7F,
            0x80,
            0x8F,
            0x90,
            0x9F,
            0xA0,
            0xBF,
            0xC0,
            0xC1,
            0xC2,
            0xDF,
            0xE0,
            0xE1,
            0xEC,
            0xED,
            0xEE,
            0xEF,
            0xF0,
            0xF1,
            0xF3,
            0xF4,
            0xF5,
            0xF8,
            0xFF,
        ]
        alls = range(256)
        prefixes = itertools.chain(
            itertools.product(alls),
            itertools.product(alls, alls),
            itertools.product(edges, edges, edges),
            itertools.product((0xE0, 0xED, 0xF0, 0xF4), (0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF), alls),
        )
        for octets in map(bytes, prefixes):
            # one by one, as decode_some's caller does it; and in one go
            tail, failed = b"", None
            for i in range(len(octets)):
                try:
                    _, tail = decode_some(tail + octets[i : i + 1])
                except ProtocolError as error:
                    assert error.code == 1007
                    failed = i
                    break
            wanted = utf8_oracle(octets)
            assert failed == wanted, octets.hex()
            try:
                decode_some(octets)
            except ProtocolError:
                assert wanted is not None, octets.hex()
            else:
                assert wanted is None, octets.hex()

    @pytest.mark.parametrize("octets", ["c2", "e2", "e282", "f0", "f09f", "f09f98", "6f6bc3"])
    def test_a_text_that_ends_inside_a_character_fails_at_its_end_and_not_before(self, octets):
        octets = bytes.fromhex(octets)
        assert outcome(text(octets, fin=False)) == []
        assert failure(text(octets)) == 1007
        assert failure(text(octets, fin=False) + more("")) == 1007
        assert failure(text("ok", fin=False) + more(octets)) == 1007

    def test_a_half_character_does_not_leak_into_the_next_message(self):
        assert outcome(text(b"\xe2", fin=False) + more(b"\x82\xac") + text("x")) == [message("€"), message("x")]

    def test_the_error_shows_the_octets(self):
        with pytest.raises(ProtocolError, match="'f4 90'"):
            decode(bytes.fromhex("6f6bf4908080"))

    @prop
    @given(st.binary(max_size=12), st.data())
    def test_decode_is_what_python_decodes(self, octets, data):
        try:
            wanted = octets.decode()
        except UnicodeDecodeError:
            wanted = None
        try:
            assert decode(octets) == wanted
        except ProtocolError as error:
            assert wanted is None
            assert error.code == 1007

    @prop
    @given(st.text(max_size=40), st.lists(st.integers(0, 160), max_size=6))
    def test_a_text_cut_anywhere_is_the_same_text(self, words, cuts):
        octets = words.encode(errors="replace")
        edges = [0, *sorted(cut for cut in cuts if cut <= len(octets)), len(octets)]
        text_, tail = "", b""
        for a, b in itertools.pairwise(edges):
            some, tail = decode_some(tail + octets[a:b])
            text_ += some
            assert len(tail) <= 3
        assert (text_, tail) == (octets.decode(), b"")


class TestLimits:
    """RFC 6455 §10.4"""

    def test_1024_empty_fragments_pass_and_the_1025th_fails_with_1008(self):
        flood = frame(2, fin=False, key=ZERO) + more("", fin=False, key=ZERO) * 1023
        assert events_of([flood]) == []
        assert events_of([flood + more("x", key=ZERO)]) == [message(b"x")]
        (event,) = events_of([flood + more("", fin=False, key=ZERO)])
        assert (event[0], event[3]) == ("Closed", 1008)

    def test_an_empty_last_frame_does_not_count(self):
        flood = frame(2, fin=False, key=ZERO) + more("", fin=False, key=ZERO) * 1023
        assert events_of([flood + more("", key=ZERO)]) == [message(b"")]

    def test_they_are_counted_over_the_message_and_not_in_a_row(self):
        limits = Limits(max_empty_fragments=3)
        wire = text("a", fin=False) + (more("", fin=False) + more("b", fin=False)) * 3
        assert outcome(wire, limits=limits) == []
        assert outcome(wire + more("c"), limits=limits) == [message("abbbc")]
        assert failure(wire + more("", fin=False), limits=limits) == 1008

    def test_each_message_is_counted_anew(self):
        limits = Limits(max_empty_fragments=2)
        one = text("", fin=False) + more("", fin=False) + more("x")
        assert outcome(one * 3, limits=limits) == [message("x")] * 3

    def test_pings_between_them_do_not_hide_them(self):
        limits = Limits(max_empty_fragments=2)
        wire = text("", fin=False) + frame(9) + more("", fin=False) + frame(9) + more("", fin=False)
        assert failure(wire, limits=limits) == 1008

    def test_any_number_of_fragments_with_payload_is_legal(self):
        wire = frame(2, b"x", fin=False, key=ZERO) + more(b"x", fin=False, key=ZERO) * 5000 + more(b"x", key=ZERO)
        assert events_of([wire]) == [message(b"x" * 5002)]

    @pytest.mark.parametrize("opcode", [1, 2])
    @pytest.mark.parametrize("size", [1, 125, 126, 200, 65536])
    def test_the_largest_message_is_taken_and_one_more_byte_fails_with_1009(self, opcode, size):
        limits = Limits(max_message_size=size)
        limit = b"x" * size
        good = message(limit if opcode == 2 else limit.decode())
        assert events_of([frame(opcode, limit, key=ZERO)], limits=limits) == [good]
        for cut in {0, 1, size // 2, size}:
            halves = frame(opcode, limit[:cut], fin=False, key=ZERO) + more(limit[cut:], key=ZERO)
            assert events_of([halves, halves], limits=limits) == [good, good]

        assert events_of([frame(opcode, limit + b"x", key=ZERO)], limits=limits)[0][3] == 1009
        for cut in {0, 1, size // 2, size}:
            halves = frame(opcode, limit[:cut], fin=False, key=ZERO) + more(limit[cut:] + b"x", key=ZERO)
            (event,) = events_of([halves], limits=limits)
            assert (event[0], event[3]) == ("Closed", 1009)

    def test_too_much_fails_at_the_header_in_any_cut(self):
        limits = Limits(max_message_size=10)
        assert failure(text("x" * 11)[:2], limits=limits) == 1009
        assert failure(text("x" * 6, fin=False) + more("x" * 5)[:2], limits=limits) == 1009
        assert failure(b"\x82\xff" + ((1 << 63) - 1).to_bytes(8, "big"), limits=limits) == 1009

    def test_it_is_bytes_that_are_counted_and_not_characters(self):
        assert failure(text("€€€€"), limits=Limits(max_message_size=11)) == 1009
        assert outcome(text("€€€€"), limits=Limits(max_message_size=12)) == [message("€€€€")]

    @pytest.mark.parametrize("size", [1, 7, 8, 100, 512, 1 << 20])
    def test_compressed_data_may_be_longer_than_the_message_by_an_eighth_and_64_bytes(self, size):
        most = size + size // 8 + 64
        for length in (most, most + 1):
            message = Assembler(Limits(max_message_size=size), compression=True)
            header = Header(True, RSV1, Opcode.BINARY, length, b"", 2)
            with pytest.raises(ProtocolError) if length > most else contextlib.nullcontext() as caught:
                message.begin_frame(header)
        assert caught.value.code == 1009
        assert caught.value.reason == f"a frame declares {most + 1} bytes; the message may have {most} more"
        with pytest.raises(ProtocolError, match=f"may have {size} more"):  # compression was not agreed
            Assembler(Limits(max_message_size=size)).begin_frame(Header(True, RSV1, Opcode.BINARY, size + 1, b"", 2))

    def test_control_frames_do_not_count(self):
        limits = Limits(max_message_size=4)
        wire = text("ab", fin=False) + frame(9, bytes(125)) + more("cd")
        assert outcome(wire, limits=limits)[1:] == [message("abcd")]

    @pytest.mark.parametrize("opcode, character", [(2, b"x"), (1, b"x"), (1, "€".encode())])
    @pytest.mark.slow
    def test_a_message_that_comes_byte_by_byte_takes_memory_in_proportion_to_its_size(self, opcode, character):
        size = 1 << 16
        payload = (character * (size // len(character) + 1))[: size - size % len(character)]
        wire = frame(opcode, payload, key=ZERO)
        message = payload if opcode == 2 else payload.decode()

        def receive() -> None:
            server = Connection(Role.SERVER)
            for i in range(len(wire) - 1):
                server.receive(wire[i : i + 1])
                server.next_event()
            server.receive(wire[-1:])
            assert server.next_event().data == message

        peak = peak_memory(receive)
        # what a str of it takes, some growing room, and both buffer and message at the end
        assert peak <= 4 * len(payload) + 64 * 1024, f"{peak / len(payload):.1f} times the payload"

    def test_small_pieces_of_text_take_memory_in_proportion_to_their_size(self):
        def receive() -> None:
            message = Assembler()
            message.begin_frame(Header(True, 0, Opcode.TEXT, 3000, b"", 2))
            for _ in range(3000):
                message.add(b"x")

        assert peak_memory(receive) < 10_000  # a list of them would take 8 bytes for each, and 24,000 in all

    def test_nothing_is_kept_for_a_declared_length(self):
        def receive() -> None:
            server = Connection(Role.SERVER, Limits(max_message_size=1 << 62))
            server.receive(b"\x82\xff" + (1 << 61).to_bytes(8, "big") + bytes(4) + b"x")
            assert server.next_event() is None
            assert server.bytes_needed == (1 << 61) - 1

        assert peak_memory(receive) < 64 * 1024


class TestOpcodeAndPayload:
    """RFC 6455 §6.1"""

    @pytest.mark.parametrize(
        "data, wanted",
        [
            ("", (Opcode.TEXT, b"")),
            ("é", (Opcode.TEXT, b"\xc3\xa9")),
            (b"", (Opcode.BINARY, b"")),
            (b"\xff", (Opcode.BINARY, b"\xff")),
            (bytearray(b"ab"), (Opcode.BINARY, b"ab")),
            (memoryview(b"abcdef")[::2], (Opcode.BINARY, b"ace")),
        ],
    )
    def test_a_str_is_text_and_bytes_are_binary(self, data, wanted):
        opcode, payload = opcode_and_payload(data)
        assert (opcode, payload) == wanted
        assert type(payload) is bytes

    @pytest.mark.parametrize("data", [None, 5, ["a"], object(), {"a": 1}, 1.5, [1, 2]])
    def test_anything_else_is_a_type_error(self, data):
        with pytest.raises(TypeError, match=type(data).__name__):
            opcode_and_payload(data)

    def test_half_a_surrogate_pair_is_no_text(self):
        with pytest.raises(UnicodeEncodeError):
            opcode_and_payload("\ud83d")

    def test_a_bytearray_that_changes_afterwards_does_not_change_the_wire(self):
        data = bytearray(b"before")
        wire = Connection(Role.SERVER).send(data)
        data[:] = b"after!"
        assert unframe(wire) == [(0x82, b"before")]
