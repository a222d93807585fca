"""Chapter 9: permessage-deflate, without I/O.  RFC 7692."""

from __future__ import annotations

import itertools
import random
import zlib
from dataclasses import replace

import pytest
from conftest import peak_memory
from hypothesis import given, settings
from hypothesis import strategies as st
from vectors import fragmented, prop

from wsref import Closed, Connection, Limits, Message, Ping, ProtocolError, Role
from wsref.protocol.deflate import (
    Compression,
    DeflateParameters,
    Deflater,
    Inflater,
    accept_offer,
    accept_response,
    build_element,
    build_offer,
)
from wsref.protocol.extensions import parse_extensions
from wsref.protocol.frames import Frame, build_frame
from wsref.protocol.spec import RSV1, Opcode

KEY = b"\x01\x02\x03\x04"


def wire(*frames: Frame) -> bytes:
    return b"".join(build_frame(frame, KEY) for frame in frames)


def compressed(payload: bytes, *, fin: bool = True, opcode: Opcode = Opcode.TEXT) -> Frame:
    return Frame(opcode, payload, fin, RSV1)


def server(agreement: DeflateParameters = DeflateParameters(), **options) -> Connection:
    return Connection(Role.SERVER, parameters=agreement, **options)


def events(connection: Connection, data: bytes, size: int = 1 << 30) -> list:
    found = []
    for start in range(0, len(data), size):
        connection.receive(data[start : start + size])
        while (event := connection.next_event()) is not None:
            found.append(event)
    return found


def offer(value: str) -> list[tuple[str, str | None]]:
    (extension,) = parse_extensions(value)
    return list(extension.parameters)


class TestTheHeader:
    """RFC 6455 §9.1: the list of extensions"""

    @pytest.mark.parametrize("blanks", ["", " ", "\t ", " " * 300])
    def test_blanks_around_it_mean_nothing(self, blanks):
        assert parse_extensions(f"{blanks}foo; a=1,{blanks}bar{blanks}") == parse_extensions("foo;a=1,bar")

    def test_a_list_may_be_long(self):
        names = [f"extension-{n}" for n in range(200)]
        assert [extension.name for extension in parse_extensions(", ".join(names))] == names


class TestOffers:
    """RFC 7692 §7.1: what a server takes, and what it must decline."""

    @pytest.mark.parametrize(
        ("parameters", "answer"),
        [
            ("", "server_max_window_bits=12"),
            ("; client_max_window_bits", "server_max_window_bits=12; client_max_window_bits=12"),
            ("; client_max_window_bits=15", "server_max_window_bits=12; client_max_window_bits=12"),
            ("; client_max_window_bits=10", "server_max_window_bits=12; client_max_window_bits=10"),
            ("; client_max_window_bits=8", "server_max_window_bits=12; client_max_window_bits=8"),
            ("; server_max_window_bits=9", "server_max_window_bits=9"),
            ('; server_max_window_bits="9"', "server_max_window_bits=9"),
            ("; server_max_window_bits=15", "server_max_window_bits=12"),
            ("; server_no_context_takeover", "server_no_context_takeover; server_max_window_bits=12"),
            ("; client_no_context_takeover", "client_no_context_takeover; server_max_window_bits=12"),
        ],
    )
    def test_an_offer_is_answered_with_what_was_asked_or_less(self, parameters, answer):
        _, response = accept_offer(offer("permessage-deflate" + parameters))
        assert response == f"permessage-deflate; {answer}"

    @pytest.mark.parametrize(
        "parameters",
        [
            "server_no_context_takeover=1",
            'server_no_context_takeover="true"',
            "client_no_context_takeover=x",
            "server_no_context_takeover; server_no_context_takeover",
            "server_max_window_bits",
            "server_max_window_bits=7",
            "server_max_window_bits=8",  # zlib has no such window
            "server_max_window_bits=16",
            "server_max_window_bits=08",
            "server_max_window_bits=+9",
            "server_max_window_bits=1e1",
            "server_max_window_bits=99999999999999999999",
            "client_max_window_bits=7",
            "client_max_window_bits=16",
            "client_max_window_bits=012",
            "client_max_window_bits; client_max_window_bits=12",
            "foo",
            "foo=1",
            "__class__",
            "hasOwnProperty",
        ],
    )
    def test_an_offer_with_a_mistake_is_declined(self, parameters):
        assert accept_offer(offer(f"permessage-deflate; {parameters}")) is None

    def test_a_parameter_may_have_no_digits_of_other_scripts(self):
        assert accept_offer([("server_max_window_bits", "1\uff10")]) is None
        assert accept_offer([("server_max_window_bits", "\u0669")]) is None

    def test_a_server_that_wants_no_context_takeover_says_so(self):
        _, response = accept_offer([], Compression(context_takeover=False, window_bits=15))
        assert response == "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

    def test_client_max_window_bits_is_not_returned_to_a_client_that_did_not_offer_it(self):
        agreement, response = accept_offer([], Compression(window_bits=9))
        assert "client_max_window_bits" not in response
        assert agreement.client_max_window_bits == 15

    def test_the_response_says_what_was_agreed(self):
        for bits, more in itertools.product(range(9, 16), itertools.product([False, True], repeat=2)):
            agreement = DeflateParameters(*more, bits, 24 - bits)
            client = Compression(window_bits=15)
            assert accept_response(offer(build_element(agreement)), client) == agreement

    @pytest.mark.parametrize(
        ("name", "lowest", "highest"), [("window_bits", 9, 15), ("memory_level", 1, 9), ("level", 0, 9)]
    )
    def test_a_wish_that_zlib_cannot_fulfil_is_refused(self, name, lowest, highest):
        for value in (lowest, highest):
            assert getattr(Compression(**{name: value}), name) == value
        for value in (lowest - 1, highest + 1):
            with pytest.raises(ValueError, match=f"{name} must be from {lowest} to {highest}, not {value}"):
                Compression(**{name: value})
        with pytest.raises(TypeError):
            Compression(**{name: str(lowest)})

    def test_the_defaults_are_those_of_the_package_websockets_and_of_the_rfc(self):
        assert Compression() == Compression(12, 5, 6, True, 64)
        assert DeflateParameters() == DeflateParameters(False, False, 15, 15)


class TestResponses:
    """RFC 7692 §7.1: what a client must not accept."""

    @pytest.mark.parametrize(
        ("parameters", "words"),
        [
            ("server_max_window_bits=12; foo", "unknown parameter 'foo'"),
            ("server_no_context_takeover=1", "takes no value"),
            ("server_max_window_bits", "8 to 15"),
            ("client_max_window_bits", "8 to 15"),  # in a response it needs a value
            ("server_max_window_bits=12; client_max_window_bits=8", "zlib cannot"),
            ("client_max_window_bits=12; client_max_window_bits=12", "twice"),
        ],
    )
    def test_an_answer_that_no_element_of_the_offer_allows_fails_and_names_what_avoids_it(self, parameters, words):
        with pytest.raises(ProtocolError, match=rf"{words}.*compression=None \(--no-compression\)"):
            accept_response(offer(f"permessage-deflate; {parameters}"))

    @pytest.mark.parametrize("wish", [Compression(), Compression(window_bits=9, context_takeover=False)])
    @pytest.mark.parametrize("takeover", [False, True])
    @pytest.mark.parametrize("bits", [*range(9, 16), None])
    def test_what_a_server_sends_after_it_ignored_what_we_asked_for_can_be_read(self, wish, takeover, bits):
        """As gorilla/websocket and Jetty; the second element of the offer allows it, too: §7.1.2.1, §7.1.3."""
        answer = [] if bits is None else [("server_max_window_bits", str(bits))]
        answer += [] if takeover else [("server_no_context_takeover", None)]
        agreed = accept_response(answer, wish)
        theirs = DeflateParameters(server_no_context_takeover=not takeover, server_max_window_bits=bits or 15)
        sender = Connection(Role.SERVER, parameters=theirs, compression=Compression(window_bits=15))
        receiver = Connection(Role.CLIENT, parameters=agreed, compression=wish)
        words = random.Random(1).randbytes(15_000).hex()  # a reference reaches back up to 30,000 bytes
        for _ in range(2):
            receiver.receive(sender.send(words))
            assert receiver.next_event() == Message(words)

    def test_the_fallback_is_an_element_of_its_own_and_only_where_it_differs(self):
        assert build_offer(Compression(window_bits=15)) == "permessage-deflate; client_max_window_bits"
        for wish in (Compression(), Compression(window_bits=15, context_takeover=False)):
            first, second = parse_extensions(build_offer(wish))
            assert (len(first.parameters) > 1, second.parameters) == (True, (("client_max_window_bits", None),))

    def test_our_offer_and_our_answer_fit(self):
        for window, takeover in itertools.product(range(9, 16), [False, True]):
            wish = Compression(window_bits=window, context_takeover=takeover)
            agreement, response = accept_offer(offer(build_offer(wish).split(", ")[0]))
            agreed = accept_response(offer(response), wish)
            assert agreed.client_max_window_bits <= agreement.client_max_window_bits
            assert replace(agreed, client_max_window_bits=0) == replace(agreement, client_max_window_bits=0)


# RFC 7692 §7.2.3: payloads, and what they mean.
HELLO = {
    "7.2.3.1 one block": bytes.fromhex("f248cdc9c90700"),
    "7.2.3.3 no compression": bytes.fromhex("000500faff48656c6c6f00"),
    "7.2.3.4 BFINAL": bytes.fromhex("f348cdc9c9070000"),
    "7.2.3.5 two blocks": bytes.fromhex("f248050000 00ffffcac9c90700".replace(" ", "")),
}


class TestVectors:
    """RFC 7692 §7.2.3, all of them."""

    @pytest.mark.parametrize("name", HELLO)
    def test_each_form_of_hello_is_hello_and_so_is_what_follows(self, name):
        data = wire(compressed(HELLO[name]), Frame(Opcode.TEXT, b"plain"), compressed(HELLO["7.2.3.1 one block"]))
        expected = [Message("Hello"), Message("plain"), Message("Hello")]
        assert events(server(), data) == expected
        assert events(server(), data, 1) == expected
        for cut in range(1, len(data)):
            connection = server()
            assert events(connection, data[:cut]) + events(connection, data[cut:]) == expected

    def test_7_2_3_1_in_two_fragments_cut_anywhere(self):
        payload = HELLO["7.2.3.1 one block"]
        for cut in range(len(payload) + 1):
            frames = [compressed(payload[:cut], fin=False), Frame(Opcode.PING, b"?")]
            frames.append(Frame(Opcode.CONTINUATION, payload[cut:]))
            assert [type(event) for event in events(server(), wire(*frames))] == [Ping, Message]

    def test_7_2_3_1_as_we_send_it_in_fragments(self):
        """RSV1 on the first frame only; zlib keeps what it has until it is flushed."""
        connection = server(compression=Compression(threshold=0))
        assert fragmented(connection, "Hello", 3).hex(" ") == "c1 07 f2 48 cd c9 c9 07 00"
        words = random.Random(1).randbytes(30_000).hex()
        frames = [build.hex()[:1] for build in connection.send_fragments([words[:30_000], words[30_000:]])]
        assert frames[0] == "4" and set(frames[1:-1]) == {"0"} and frames[-1] == "8"

    def test_an_empty_message_in_fragments_is_one_byte_each_time(self):
        """§7.2.3.6"""
        connection = server()
        for _ in range(2):
            assert fragmented(connection, "", 1) == b"\xc1\x01\x00"

    def test_7_2_3_2_the_second_hello_refers_to_the_first(self):
        connection = server(compression=Compression(threshold=0))
        assert connection.send("Hello").hex(" ") == "c1 07 f2 48 cd c9 c9 07 00"
        assert connection.send("Hello").hex(" ") == "c1 05 f2 00 11 00 00"
        data = wire(compressed(HELLO["7.2.3.1 one block"]), compressed(bytes.fromhex("f200110000")))
        assert events(server(), data) == [Message("Hello"), Message("Hello")]

    def test_7_2_3_2_without_context_takeover_it_does_not(self):
        connection = server(DeflateParameters(server_no_context_takeover=True), compression=Compression(threshold=0))
        assert connection.send("Hello") == connection.send("Hello")
        data = wire(compressed(HELLO["7.2.3.1 one block"]), compressed(bytes.fromhex("f200110000")))
        first, second = events(server(DeflateParameters(client_no_context_takeover=True)), data)
        assert first == Message("Hello")
        assert isinstance(second, Closed)
        assert second.sent_code == 1007

    @pytest.mark.parametrize("forgets", [False, True])
    @pytest.mark.parametrize("role", list(Role))
    def test_each_end_forgets_its_own_messages_and_not_those_of_the_other(self, role, forgets):
        for end in Role:
            parameters = DeflateParameters(**{f"{end.name.lower()}_no_context_takeover": forgets})
            deflater = Deflater(parameters, role)
            repeats = deflater.compress(b"Hello") == deflater.compress(b"Hello")
            assert repeats is (forgets and end is role)

    def test_7_2_3_6_the_empty_message_is_one_byte(self):
        connection = server(compression=Compression(threshold=0))
        for _ in range(3):
            assert connection.send("").hex(" ") == "c1 01 00"
            assert connection.send("Hello")[:1] == b"\xc1"
        assert events(server(), wire(compressed(b"\0"), compressed(b"\0"))) == [Message(""), Message("")]

    def test_a_payload_of_no_byte_at_all_is_empty_too(self):
        assert events(server(), wire(compressed(b""), compressed(HELLO["7.2.3.1 one block"]))) == [
            Message(""),
            Message("Hello"),
        ]

    def test_many_final_blocks_in_one_message(self):
        block = zlib.compressobj(wbits=-15)
        one = block.compress(b"Hello") + block.flush()
        payload = one * 1000 + b"\0"
        assert events(server(), wire(compressed(payload))) == [Message("Hello" * 1000)]


class TestWholeMessages:
    """RFC 7692 §7.2.2: an inflater that gets the payload of a message whole, and a copy of it"""

    FIRST, SECOND = HELLO["7.2.3.1 one block"], bytes.fromhex("f200110000")

    @pytest.mark.parametrize("name", HELLO)
    def test_each_form_of_hello_is_hello(self, name):
        inflater = Inflater(DeflateParameters(), Role.SERVER)
        for _ in range(2):
            assert inflater.inflate_message(HELLO[name], 5) == b"Hello"
        assert inflater.inflate_message(b"", 5) == inflater.inflate_message(b"\0", 5) == b""

    def test_the_limit_itself_is_taken_and_one_more_byte_is_not(self):
        inflater = Inflater(DeflateParameters(), Role.SERVER)
        with pytest.raises(ProtocolError) as caught:
            inflater.inflate_message(self.FIRST, 4)
        assert caught.value.code == 1009

    @pytest.mark.parametrize("role", list(Role))
    def test_the_window_is_kept_unless_the_sender_forgets_it(self, role):
        for forgets in (False, True):
            flag = "client_no_context_takeover" if role is Role.SERVER else "server_no_context_takeover"
            inflater = Inflater(DeflateParameters(**{flag: forgets}), role)
            inflater.inflate_message(self.FIRST, 5)
            if forgets:
                with pytest.raises(ProtocolError):
                    inflater.inflate_message(self.SECOND, 5)
            else:
                assert inflater.inflate_message(self.SECOND, 5) == b"Hello"

    def test_a_copy_goes_on_where_the_other_is_and_changes_nothing_there(self):
        inflater = Inflater(DeflateParameters(), Role.SERVER)
        assert inflater.copy().inflate_message(self.FIRST, 5) == b"Hello"
        with pytest.raises(ProtocolError):
            inflater.copy().inflate_message(self.SECOND, 5)
        inflater.inflate_message(self.FIRST, 5)
        twin = inflater.copy()
        assert twin.inflate_message(self.FIRST[:-1] + b"\0", 5) == b"Hello"
        assert inflater.inflate_message(self.SECOND, 5) == twin.copy().inflate_message(self.SECOND, 5) == b"Hello"


class TestRSV1:
    """RFC 7692 §6."""

    @pytest.mark.parametrize(
        "frames",
        [
            [Frame(Opcode.PING, b"", rsv=RSV1)],
            [Frame(Opcode.CLOSE, b"", rsv=RSV1)],
            [Frame(Opcode.TEXT, b"x", False), Frame(Opcode.CONTINUATION, b"y", rsv=RSV1)],
            [compressed(b"\xf2", fin=False), Frame(Opcode.CONTINUATION, b"\x48", rsv=RSV1)],
            [Frame(Opcode.TEXT, b"", rsv=0x20)],
            [Frame(Opcode.TEXT, b"", rsv=0x70)],
        ],
    )
    def test_where_it_may_not_stand_it_fails_the_connection_with_1002(self, frames):
        (closed,) = events(server(), wire(*frames))
        assert closed.sent_code == 1002

    def test_without_the_extension_it_fails_the_connection_with_1002(self):
        (closed,) = events(Connection(Role.SERVER), wire(compressed(HELLO["7.2.3.1 one block"])))
        assert closed.sent_code == 1002
        assert "RSV bits 100" in str(closed.error)

    def test_it_is_never_set_on_what_is_sent_uncompressed(self):
        connection = server(compression=Compression(threshold=10))
        assert connection.send("short")[0] == 0x81
        assert connection.send("secret " * 10, compress=False)[0] == 0x81
        assert connection.send("long enough")[0] == 0xC1
        assert b"".join(connection.send_parts("long enough"))[0] == 0xC1
        assert b"".join(connection.send_parts("long enough", compress=False))[0] == 0x81
        assert connection.ping(b"x" * 100)[0] == 0x89

    def test_data_that_looks_compressed_is_given_as_it_is_without_it(self):
        payload = HELLO["7.2.3.1 one block"]
        assert events(server(), wire(Frame(Opcode.BINARY, payload))) == [Message(payload)]


class TestBadData:
    """RFC 6455 §7.4.1: 1007 for data "not consistent with the type of the message"."""

    @pytest.mark.parametrize(
        "payload",
        ["ff", "06", "0001000000", "4b4c4c0400ff", "f200110000"],  # the last: a reference to nothing
    )
    def test_what_is_not_deflate_fails_the_connection_with_1007(self, payload):
        got = events(server(), wire(compressed(bytes.fromhex(payload) + bytes(20)), Frame(Opcode.TEXT, b"never")))
        assert [closed.sent_code for closed in got] == [1007]
        assert got[0].error.reason.startswith("the message cannot be decompressed: invalid ")

    def test_text_that_is_not_utf_8_when_decompressed_fails_at_once(self):
        deflater = Deflater(DeflateParameters(), Role.CLIENT)
        payload = deflater.compress(b"ok\xff" + b"x" * 1000)
        connection = server()
        (closed,) = events(connection, wire(compressed(payload, fin=False)))
        assert closed.sent_code == 1007

    @given(st.binary(max_size=200))
    @settings(prop, max_examples=2 * prop.max_examples)
    def test_whatever_comes_it_is_a_message_or_1007_or_1009(self, payload):
        for event in events(server(limits=Limits(max_message_size=5000)), wire(compressed(payload))):
            assert isinstance(event, Message) or event.sent_code in (1007, 1009)


class TestBounds:
    """No limit is checked after memory was taken."""

    def bomb(self, size: int) -> bytes:
        zeros = zlib.compressobj(9, wbits=-15)
        return zeros.compress(bytes(size)) + zeros.flush(zlib.Z_SYNC_FLUSH)[:-4]

    @pytest.mark.parametrize("more", [-1, 0, 1, 2])
    @pytest.mark.parametrize("limit", [1000, 65_535, 65_536, 65_537, 200_000])
    def test_the_limit_counts_what_comes_out_and_nothing_is_cut_off(self, limit, more):
        for content in (bytes(limit + more), random.Random(1).randbytes(limit + more)):
            payload = Deflater(DeflateParameters(), Role.CLIENT).compress(content)
            frame = compressed(payload, opcode=Opcode.BINARY)
            (event,) = events(server(limits=Limits(max_message_size=limit)), wire(frame))
            if more <= 0:
                assert event == Message(content)
            else:
                assert event.sent_code == 1009

    def test_a_bomb_takes_no_more_memory_than_the_limit(self):
        limit = 10 * 1024 * 1024
        bomb = wire(compressed(self.bomb(1 << 28), opcode=Opcode.BINARY))
        assert len(bomb) < 275_000  # 1000:1

        def receive() -> None:
            got = events(server(limits=Limits(max_message_size=limit)), bomb, 65_536)
            assert [closed.sent_code for closed in got] == [1009]

        assert peak_memory(receive) < limit * 9 // 8 + 1_000_000  # a growing buffer keeps an eighth in hand

    def test_ten_thousand_small_bombs_with_context_takeover_are_ten_thousand_messages(self):
        deflater = Deflater(DeflateParameters(), Role.CLIENT)
        bombs = b"".join(wire(compressed(deflater.compress(bytes(5000)), opcode=Opcode.BINARY)) for _ in range(10_000))
        assert len(bombs) < 300_000  # for 50 MB
        assert events(server(), bombs, 65_536) == [Message(bytes(5000))] * 10_000

    @pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 200_000])
    def test_output_comes_in_pieces_of_at_most_64_kib(self, size):
        inflater = Inflater(DeflateParameters(), Role.SERVER)
        sizes = [len(piece) for piece in [*inflater.inflate(self.bomb(size)), *inflater.end_message()]]
        assert sum(sizes) == size
        assert max(sizes) == min(size, 65_536)

    def test_many_tiny_compressed_fragments_are_one_message(self):
        content = bytes(range(256)) * 400
        payload = Deflater(DeflateParameters(), Role.CLIENT).compress(content)
        frames = [compressed(payload[:1], fin=False, opcode=Opcode.BINARY)]
        frames += [Frame(Opcode.CONTINUATION, payload[i : i + 1], False) for i in range(1, len(payload))]
        assert events(server(), wire(*frames, Frame(Opcode.CONTINUATION))) == [Message(content)]

    def test_an_uncompressed_message_has_the_same_limit_as_without_the_extension(self):
        connection = server(limits=Limits(max_message_size=100))
        assert events(connection, wire(Frame(Opcode.BINARY, bytes(100)))) == [Message(bytes(100))]
        (closed,) = events(connection, wire(Frame(Opcode.BINARY, bytes(101))))
        assert closed.sent_code == 1009
        assert closed.error.reason == "a frame declares 101 bytes; the message may have 100 more"

    def test_an_idle_connection_has_no_zlib_objects(self):
        assert Deflater(DeflateParameters(), Role.SERVER)._zlib is None
        assert Inflater(DeflateParameters(), Role.SERVER)._zlib is None


agreements = st.builds(
    DeflateParameters,
    st.booleans(),
    st.booleans(),
    st.integers(9, 15),
    st.integers(9, 15),
)
texts = st.text(max_size=300) | st.sampled_from(["", "Hello", "chat " * 1000]) | st.binary(max_size=3000)


def chat_lines() -> list[bytes]:
    """2,000 lines as people write them, more or less: 45 bytes each on average."""
    rnd = random.Random(42)
    names = ["Ann", "Bo", "Chandra", "Dmitri", "Eve", "Femi"]
    text = "the a to and you I it is that was for of in on are with my we have this be not what so but do there at if "
    text += "they can get like just no all up out about one good know how when who time see come here make then now"
    words = text.split()
    return [
        f"{rnd.choice(names)}: {' '.join(rnd.choice(words) for _ in range(rnd.randint(2, 18)))}".encode()
        for _ in range(2000)
    ]


class TestFigures:
    """What the docstrings say was measured, measured."""

    def ratio(self, lines: list[bytes], agreement: DeflateParameters, wish: Compression = Compression()) -> float:
        deflater = Deflater(agreement, Role.SERVER, wish)
        return round(sum(len(deflater.compress(line)) for line in lines) / sum(map(len, lines)), 2)

    def test_what_context_takeover_buys_on_chat_like_text(self):
        lines = chat_lines()
        assert sum(map(len, lines)) / len(lines) == pytest.approx(45, abs=0.5)
        small = DeflateParameters(server_max_window_bits=12)
        assert self.ratio(lines, small) == pytest.approx(0.47, abs=0.03)
        assert self.ratio(lines, replace(small, server_no_context_takeover=True)) == pytest.approx(0.93, abs=0.03)
        assert self.ratio(lines, DeflateParameters(), Compression(15, 8)) == pytest.approx(0.42, abs=0.03)


class TestRoundTrips:
    """What one end sends the other gets, whatever was agreed; and zlib agrees."""

    @given(agreements, st.lists(texts, max_size=8), st.data())
    @prop
    def test_any_messages_in_any_fragments_in_any_pieces_both_ways(self, agreement, messages, data):
        wish = Compression(threshold=data.draw(st.sampled_from([0, 10, 1000])))
        ends = [Connection(role, parameters=agreement, compression=wish) for role in Role]
        for sender, receiver in (ends, reversed(ends)):
            sent = b""
            for message in messages:
                sent += fragmented(sender, message, data.draw(st.none() | st.integers(1, 500)))
                sent += sender.ping(b"between")
            size = data.draw(st.integers(1, 5000))
            assert [event.data for event in events(receiver, sent, size) if isinstance(event, Message)] == messages

    @given(st.integers(9, 15), st.lists(st.binary(max_size=5000), min_size=1, max_size=5), st.booleans())
    @prop
    def test_zlib_with_the_agreed_window_reads_what_we_send(self, bits, messages, forget):
        deflater = Deflater(DeflateParameters(forget, False, bits, 15), Role.SERVER)
        reader = zlib.decompressobj(-bits)
        for message in messages:
            if forget:
                reader = zlib.decompressobj(-bits)
            payload = deflater.compress(message)
            assert not payload.endswith(b"\0\0\xff\xff")
            assert reader.decompress(payload + b"\0\0\xff\xff") == message

    @given(st.integers(8, 15), st.integers(0, 9), st.integers(1, 9), st.binary(max_size=70_000))
    @prop
    def test_we_read_what_zlib_writes_with_the_agreed_window(self, bits, level, memory, message):
        writer = zlib.compressobj(level, zlib.DEFLATED, -max(bits, 9), memory)
        payload = writer.compress(message) + writer.flush(zlib.Z_SYNC_FLUSH)[:-4]
        inflater = Inflater(DeflateParameters(client_max_window_bits=max(bits, 9)), Role.SERVER)
        assert b"".join([*inflater.inflate(payload), *inflater.end_message()]) == message
