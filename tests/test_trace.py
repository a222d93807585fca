"""Traces: on a terminal, in a file, and in the page's wire panel."""

from __future__ import annotations

import io
import json
import re
import socket
import xml.etree.ElementTree as ET

import pytest
from conftest import wait_until
from rawclient import CLOSE, PONG, TEXT, close, connected, frame, text, upgrade

from wsref import Compression, Echo
from wsref.apps.panel import page_with_wire, with_wire
from wsref.cli.main import main
from wsref.cli.serve import tls_context
from wsref.network.tap import Tapped
from wsref.network.transport import Transport
from wsref.wire.colours import COLOURS
from wsref.wire.trace import Printer, Recorder, replay, trace_lines

TOKEN = "0123456789abcdef0123456789abcdef"

#: A line that a Recorder wrote, and lines that none wrote.
RECORD = {"at": 1.5, "peer": "x:1", "sent": False, "by_server": False, "data": "818000000000"}
WRONG = {
    "at": (float("inf"), float("nan"), -1e300, 1e18, 10**400, "1", None, True),
    "peer": (1, None, {"x": 1}),
    "sent": (0, "yes", None),
    "by_server": (0, "yes", None),
    "data": ("8", "zz", 1, None, [129]),
}
BROKEN = ["", "{}", "[]", "null", "1", '"x"', "[" * 100_000, '{"at":' * 100_000, "\x1b[31m", "1" * 5000]
BROKEN += [json.dumps({**RECORD, name: wrong}) for name, values in WRONG.items() for wrong in values]
BROKEN += [json.dumps(RECORD).replace("1.5", "1e999"), json.dumps(RECORD).replace('"at": 1.5, ', "")]


#: What a client sends before it ends TCP, and what the trace says of it.
CUT = {
    "a line": (b"GET / HT", "GET / HT, the head is not complete"),
    "a head": (b"GET /cut HTTP/1.1\r\nHost", "GET /cut HTTP/1.1, the head is not complete"),
    "a header": (upgrade() + text("hello")[:1], "TEXT, FIN, the header is not complete"),
    "a payload": (upgrade() + text("hello")[:7], "TEXT, FIN, masked, 5 bytes, 1 of them here: 'h'"),
}

#: The answer to ``upgrade()``.
ANSWER = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
ANSWER += b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"


def talk(server, context=None):
    with connected(server, None, context=context) as client:
        client.open("/chat?x=1", Sec_WebSocket_Extensions="permessage-deflate")
        client.send(text("hi \x1b[31m\r\n") + frame(9, b"?") + frame(TEXT, b"hel", fin=False) + frame(0, b"lo"))
        for _ in range(3):
            client.frame()
        client.send(close(4000, "bye"))
        client.closed()


class TestPrinter:
    """``--trace``"""

    @pytest.fixture
    def printed(self, serve):
        stream = io.StringIO()
        server = serve(Echo, tap=Printer(stream).tap, compression=Compression(threshold=1000))
        talk(server)
        wait_until(lambda: not server._connection_threads)
        return stream.getvalue()

    def test_it_shows_both_handshakes_each_frame_and_the_end(self, printed):
        for words in (
            "got  GET /chat?x=1 HTTP/1.1",
            "    Sec-WebSocket-Version: 13",
            "sent HTTP/1.1 101 Switching Protocols",
            "    Sec-WebSocket-Extensions: permessage-deflate",
            r"got  TEXT, FIN, masked, 10 bytes: 'hi \x1b[31m\r\n'",
            "got  PING, FIN, masked, 1 byte",
            "sent PONG, FIN, 1 byte",
            "got  TEXT, masked, 3 bytes: 'hel'",
            "got  CONTINUATION, FIN, masked, 2 bytes: 'lo'",
            "sent TEXT, FIN, 5 bytes: 'hello'",
            "got  CLOSE, FIN, masked, 5 bytes: 4000 'bye'",
            "sent CLOSE, FIN, 2 bytes: 4000",
        ):
            assert words in printed, printed

    def test_it_shows_the_bytes_masked_and_unmasked(self, printed):
        assert "    header  01 83 37 fa 21 3d\n    payload 5f 9f 4d\n         is 68 65 6c\n" in printed

    def test_no_control_character_of_a_peer_gets_through(self, printed):
        assert all(character.isprintable() or character == "\n" for character in printed)

    def test_a_long_payload_is_cut(self, serve):
        stream = io.StringIO()
        server = serve(Echo, tap=Printer(stream).tap)
        with connected(server) as client:
            client.send(frame(2, bytes(500_000)))
            client.frame()
        wait_until(lambda: not server._connection_threads)
        assert max(map(len, stream.getvalue().splitlines())) < 250
        assert len(stream.getvalue()) < 3000

    def test_a_problem_is_printed_in_red(self, serve):
        stream = io.StringIO()
        with connected(serve(Echo, tap=Printer(stream, colour=True).tap)) as client:
            client.send(frame(TEXT, b"x", key=b""))
            client.closed()
        assert "\x1b[31mTEXT, FIN, 1 byte: 'x'; WRONG: " in stream.getvalue()

    def test_the_bytes_have_the_colours_of_their_fields_and_got_differs_from_sent(self, serve):
        stream = io.StringIO()
        server = serve(Echo, tap=Printer(stream, colour=True).tap)
        with connected(server) as client:
            client.send(bytes.fromhex("818537fa213d7f9f4d5158"))
            client.frame()
        wait_until(lambda: not server._connection_threads)
        printed = stream.getvalue()
        received = {"opcode": "81", "length": "85", "mask": "37 fa 21 3d", "payload": "7f 9f 4d 51 58"}
        for kind, octets in (*received.items(), ("payload", "48 65 6c 6c 6f"), ("length", "05")):
            assert f"\x1b[{COLOURS[kind].ansi}m{octets}\x1b[0m" in printed
        got, sent = (re.search(rf"\x1b\[([\d;]+)m{verb}", printed)[1] for verb in ("got ", "sent"))
        assert got != sent
        for line in printed.splitlines():
            assert line.startswith("\x1b[2m") or "\x1b[2m" not in line  # only the time and the peer are dim

    def test_over_tls_it_shows_what_tls_carries(self, serve, certificate):
        import ssl

        stream = io.StringIO()
        server = serve(Echo, tap=Printer(stream).tap, ssl_context=tls_context(*certificate))
        talk(server, ssl.create_default_context(cafile=certificate[0]))
        assert "got  GET /chat?x=1 HTTP/1.1" in stream.getvalue()

    def test_a_transport_without_a_tap_runs_no_code_for_one(self, serve):
        server = serve()
        with connected(server):
            wait_until(lambda: server.handlers)
            assert type(server.handlers[0]._transport) is Transport
        assert "_show" not in Transport.receive.__code__.co_names + Transport._seal.__code__.co_names
        assert "_show" in Tapped.receive.__code__.co_names


class TestRecorder:
    """``--trace FILE``, and what ``decode --replay FILE`` draws again."""

    def test_a_replay_explains_a_record_as_it_was_explained_live(self, serve):
        file, live = io.StringIO(), []

        class Both(Recorder):
            def on_record(self, record):
                live.append(record)
                super().on_record(record)

        server = serve(Echo, tap=Both(file).tap, compression=Compression(threshold=0))
        with connected(server, None) as client:
            client.open()
            client.dribble(text("dribbled"))
            assert client.frame() == (TEXT, b"dribbled")
            client.send(close())
            client.closed()
        wait_until(lambda: not server._connection_threads)
        rows = file.getvalue().splitlines()
        assert all(json.loads(row)["peer"].startswith("127.0.0.1:") for row in rows)
        assert [record.descriptions for record in replay(rows)] == [record.descriptions for record in live]
        printed = [[list(trace_lines(record))[1:] for record in records] for records in (replay(rows), live)]
        assert printed[0] == printed[1]

    def test_decode_replay_draws_it_again(self, serve, tmp_path, capsys):
        file = tmp_path / "trace.jsonl"
        with file.open("w") as stream:
            server = serve(Echo, tap=Recorder(stream).tap)
            with connected(server) as client:
                client.send(text("hi") + frame(3))
                client.frame()
                client.closed()
            wait_until(lambda: not server._connection_threads)
        assert main(["decode", "--replay", str(file)]) == 1  # something was wrong: opcode 3
        printed = capsys.readouterr().out
        for words in ("got  GET / HTTP/1.1", "TEXT frame from a client", "masking key", "opcode 0x3 is reserved"):
            assert words in printed
        assert main(["decode", "--replay", str(tmp_path / "none")]) == 1
        assert "cannot read" in capsys.readouterr().err
        assert main(["decode", "--replay", __file__]) == 1
        assert "line 1 is not a record of --trace" in capsys.readouterr().err

    def test_a_stream_that_takes_no_more_ends_the_trace_with_one_line(self, serve, caplog):
        class Full(io.StringIO):
            name = "trace.jsonl"

            def flush(self):
                raise OSError(28, "No space left on device")

        server = serve(Echo, tap=Recorder(Full()).tap)
        for _ in range(2):
            with connected(server) as client:
                client.send(text("hi"))
                assert client.frame() == (TEXT, b"hi")
        ends = [record for record in caplog.records if record.levelname == "ERROR"]
        assert [record.getMessage() for record in ends] == [
            "the trace ends here: cannot write to 'trace.jsonl': No space left on device"
        ]
        assert ends[0].exc_info is None

    @pytest.mark.parametrize("has_end", [True, False])
    def test_a_port_that_is_used_again_is_another_connection(self, has_end):
        def row(data, sent):
            return json.dumps({**RECORD, "sent": sent, "by_server": sent, "data": data.hex()})

        like_a_head = text("GET / HTTP/1.1", key=bytes(4))
        pieces = [upgrade(), text("hi"), like_a_head[:6], like_a_head[6:]]
        once = [row(piece, False) for piece in pieces]
        once += [row(b"", False)] if has_end else []
        first, second = (list(replay(rows)) for rows in (once, once + once))
        assert [record.descriptions for record in second] == [record.descriptions for record in first] * 2
        assert not any(description.problems for record in first for description in record.descriptions)

    @pytest.mark.parametrize("form", ["--json", "--svg"])
    def test_decode_replay_writes_one_document(self, form, tmp_path, capsys):
        (tmp_path / "trace").write_text(
            (json.dumps({**RECORD, "by_server": True, "data": "8100 8901 78"}) + "\r\n") * 2, "utf-8-sig"
        )
        main(["decode", "--replay", str(tmp_path / "trace"), form])
        printed = capsys.readouterr().out
        if form == "--svg":
            assert len(ET.fromstring(printed)) > 4
        else:
            assert [(row["peer"], row["sent"], row["one_line"][:4]) for row in json.loads(printed)] == [
                (RECORD["peer"], RECORD["sent"], word) for word in ("TEXT", "PING") * 2
            ]

    @pytest.mark.parametrize(
        "option", ["8100", "--base64", "--raw", "--port 80", "--client", "--server", "--key k", "--deflate off"]
    )
    def test_decode_replay_ignores_no_option(self, option, tmp_path, capsys):
        (tmp_path / "trace").write_text(json.dumps(RECORD) + "\n")
        assert main(["decode", *option.split(), "--replay", str(tmp_path / "trace")]) == 2
        assert "--replay FILE takes no " in capsys.readouterr().err

    @pytest.mark.parametrize("line", BROKEN, ids=lambda line: line[:40])
    def test_a_line_that_is_not_a_record_is_named(self, line, tmp_path, capsys):
        with pytest.raises(ValueError, match="line 2 is not a record of --trace"):
            list(replay([json.dumps(RECORD), line]))
        (tmp_path / "trace").write_text(line + "\n")
        assert main(["decode", "--replay", str(tmp_path / "trace")]) == 1
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        assert err[:-1].isprintable()

    def test_a_file_that_is_no_text_is_named(self, tmp_path, capsys):
        (tmp_path / "trace").write_bytes(json.dumps(RECORD).encode() + b"\n\x81\x05\n")
        assert main(["decode", "--replay", str(tmp_path / "trace")]) == 1
        assert "is not a record of --trace: not UTF-8" in capsys.readouterr().err

    @pytest.mark.parametrize("peer", ["\x1b[31mx", "\x9b31m", "\u202ex", "a\nb", "\u0301", "x" * 5000])
    def test_no_control_character_of_a_recorded_peer_gets_through(self, peer, tmp_path, capsys):
        row = {**RECORD, "peer": peer, "data": "", "by_server": True}
        (tmp_path / "trace").write_text(json.dumps({**RECORD, "peer": peer}) + "\n" + json.dumps(row) + "\n")
        assert main(["decode", "--replay", str(tmp_path / "trace")]) == 0
        printed = capsys.readouterr().out
        assert all(character.isprintable() or character == "\n" for character in printed)
        assert max(map(len, printed.split("\n"))) < 200
        for colour in (True, False):
            (record,) = replay([json.dumps({**RECORD, "peer": peer})])
            assert peer not in "".join(trace_lines(record, colour=colour))


class TestWhatStaysIncomplete:
    """A head or a frame that never ends: nothing that passed is lost silently."""

    @pytest.mark.parametrize(("wire", "words"), CUT.values(), ids=CUT)
    def test_the_end_of_tcp_tells_it(self, serve, wire, words):
        stream, recording = io.StringIO(), io.StringIO()
        for printer in (Printer(stream), Recorder(recording)):
            server = serve(Echo, tap=printer.tap)
            with connected(server, None) as client:
                client.send(wire)
                client.socket.shutdown(socket.SHUT_WR)
                client.rest()
            wait_until(lambda server=server: not server._connection_threads)
        printed, recorded = stream.getvalue(), [json.loads(row) for row in recording.getvalue().splitlines()]
        assert re.search(rf" got  .*{re.escape(words)}\n(    .*\n)*.* got  the end of TCP\n", printed), printed
        assert [words in what for row in recorded if not row["data"] for what in row["what"]] == [True]
        ends = [record for record in replay(recording.getvalue().splitlines()) if record.is_end]
        assert [words in each.one_line for record in ends for each in record.descriptions] == [True]

    @pytest.mark.parametrize(
        ("sent", "by_server", "data", "words"),
        [
            (False, False, text("hello")[:7], "got  TEXT, FIN, masked, 5 bytes, 1 of them here: 'h'"),
            (True, True, b"\x81\x05h", "sent TEXT, FIN, 5 bytes, 1 of them here: 'h'"),
            (True, False, text("hello")[:7], "sent TEXT, FIN, masked, 5 bytes, 1 of them here: 'h'"),
            (False, True, b"\x81\x05h", "got  TEXT, FIN, 5 bytes, 1 of them here: 'h'"),
        ],
    )
    def test_a_recording_that_stops_in_it_tells_it(self, sent, by_server, data, words, tmp_path, capsys):
        recorder_is_server = by_server is sent
        rows = [(not recorder_is_server, False, upgrade()), (recorder_is_server, True, ANSWER), (sent, by_server, data)]
        if by_server:
            rows += rows[:2]  # the port is used again: another connection
        lines = [{**RECORD, "sent": sent, "by_server": by_server, "data": data.hex()} for sent, by_server, data in rows]
        (tmp_path / "trace").write_text("\n".join(map(json.dumps, lines)))
        assert main(["decode", "--replay", str(tmp_path / "trace")]) == 0
        out = capsys.readouterr().out
        assert out.count(words) == 1, out
        assert "not here yet: 4 more bytes of payload" in out
        assert "the end of TCP" not in out


class TestWire:
    """The page's wire panel"""

    @pytest.fixture
    def server(self, serve):
        handler, subscriptions = with_wire()
        return serve(handler, tap=subscriptions.tap)

    def message(self, client):
        opcode, payload = client.frame()
        assert opcode == TEXT
        return json.loads(payload)

    def test_a_page_sees_the_trace_of_the_connection_with_its_token(self, server):
        with connected(server, f"/wire?of={TOKEN}") as watcher:
            assert self.message(watcher) == {"subscribed": True}
            with connected(server, f"/echo?wire={TOKEN}") as client:
                client.send(text("hi"))
                assert client.frame() == (TEXT, b"hi")
                what = [self.message(watcher) for _ in range(4)]
                assert [one["sent"] for one in what] == [False, True, False, True]
                assert what[0]["what"].startswith("GET /echo?wire=")
                assert {(one["connection"], one["path"]) for one in what} == {(1, "/echo")}
                assert [one["data"] for one in what] == [False, False, True, True]
                assert what[1]["what"] == "HTTP/1.1 101 Switching Protocols"
                assert what[2]["what"] == "TEXT, FIN, masked, 2 bytes: 'hi'"
                watcher.send(text(str(what[2]["number"])))
                picture = self.message(watcher)
                assert picture["svg"].startswith("<svg ")
                assert "TEXT" in picture["text"]
                client.send(frame(9, b"?"))
                assert client.frame() == (PONG, b"?")
                assert self.message(watcher)["what"].startswith("PING")
            with connected(server, f"/chat?wire={TOKEN}") as second:
                assert second.frame()[0] == TEXT
                lines = [self.message(watcher) for _ in range(4)]
                assert (2, "/chat") in {(one["connection"], one["path"]) for one in lines}

    @pytest.mark.parametrize("referer", ["Referer: x", "Referer x"], ids=["valid", "no colon"])
    def test_the_token_is_shortened_in_all_that_is_shown(self, server, referer):
        with connected(server, f"/wire?of={TOKEN}") as watcher:
            assert self.message(watcher) == {"subscribed": True}
            head = upgrade(f"/echo?wire={TOKEN}").replace(b"\r\n\r\n", f"\r\n{referer}{TOKEN}\r\n\r\n".encode())
            with connected(server, None) as client:
                client.send(head)
                line = self.message(watcher)
                watcher.send(text(str(line["number"])))
                shown = json.dumps([line, self.message(watcher), self.message(watcher)])
                assert f"/echo?wire={TOKEN[:4]}\\u2026" in shown
                assert "Referer" in shown
                assert TOKEN[4:20] not in shown

    def test_a_page_sees_no_other_connection(self, server):
        with connected(server, f"/wire?of={TOKEN}") as watcher:
            assert self.message(watcher) == {"subscribed": True}
            for path in ("/echo", "/echo?wire=", f"/echo?wire={TOKEN[::-1]}"):
                with connected(server, path) as client:
                    client.send(text("secret"))
                    assert client.frame() == (TEXT, b"secret")
                    (other,) = (h for h in server.handlers if h.client_address == client.socket.getsockname())
                    assert other._transport.tap is None
            watcher.send(close())
            assert watcher.frame()[0] == CLOSE  # and nothing before it

    @pytest.mark.parametrize("token", ["", "short", TOKEN.upper(), TOKEN + "0"])
    def test_an_invalid_token_is_refused(self, server, token):
        with connected(server, f"/wire?of={token}") as client:
            assert client.frame()[1][:2] == b"\x03\xf0"  # 1008
            client.send(close(1008))

    def test_a_token_cannot_be_used_by_a_second_page(self, server):
        with connected(server, f"/wire?of={TOKEN}") as watcher:
            assert self.message(watcher) == {"subscribed": True}
            with connected(server, f"/wire?of={TOKEN}") as second:
                assert second.frame()[1][:2] == b"\x03\xf0"
                second.send(close(1008))

    def test_an_unknown_picture_is_answered_without_one(self, server):
        """The page waits for the answer before it asks again."""
        with connected(server, f"/wire?of={TOKEN}") as watcher:
            assert self.message(watcher) == {"subscribed": True}
            watcher.send(text("99"))
            assert self.message(watcher) == {"number": 99, "svg": None}

    def test_a_request_for_a_picture_that_is_no_number_is_not_answered(self, server):
        with connected(server, f"/wire?of={TOKEN}") as watcher:
            for nonsense in ("x", "-1", "9" * 20, "1; drop"):
                watcher.send(text(nonsense))
            watcher.send(close())
            assert self.message(watcher) == {"subscribed": True}
            assert watcher.frame()[0] == CLOSE

    def test_a_request_that_is_not_http_does_no_harm(self, server, caplog):
        for wire in (b"garbage\r\n\r\n", b"\xff\r\n", b"GET\r\n\r\n", upgrade("/echo?wire=%zz")):
            with connected(server, None) as client:
                client.send(wire)
                client.more()
        assert "Traceback" not in caplog.text

    @pytest.mark.parametrize(
        "target", ["//[", "http://[::1/", "//[x]/", "//\u2100/", "?" + "a&" * 200, "/echo?wire=\udcff", "http://", "*"]
    )
    def test_no_target_of_a_request_makes_the_tap_fail(self, server, target, caplog):
        with connected(server, None) as client:
            client.send(b"GET " + target.encode("utf-8", "surrogateescape") + b" HTTP/1.1\r\nHost: a\r\n\r\n")
            client.rest()
        assert "Traceback" not in caplog.text

    def test_a_target_in_absolute_form_names_the_token_too(self, server):
        with connected(server, f"/wire?of={TOKEN}") as watcher:
            assert self.message(watcher) == {"subscribed": True}
            with connected(server, None) as client:
                client.send(upgrade(f"http://a/echo?wire={TOKEN}"))
                assert self.message(watcher)["path"] == "/echo"

    def test_the_page_says_whether_there_is_a_panel(self):
        from wsref.network.server import PAGE

        page = PAGE.read_bytes()
        assert b'name="wire" content="off"' in page
        assert b'name="wire" content="on"' in page_with_wire(page)
