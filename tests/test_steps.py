"""The server as it stood after each chapter, over real sockets: one test for each cell of the table."""

from __future__ import annotations

import ast
import functools
import inspect
import re
import struct
import subprocess
import sys
import threading

import pytest
from conftest import DEADLINE, free_port, wait_until
from rawclient import CLOSE, PING, PONG, TEXT, RawClient, close, connected, frame, text, upgrade

from wsref import WebSocketHandler, running
from wsref.cli.main import main
from wsref.steps import LAST, SEEN, STAND_INS, handler_at, page_at, source
from wsref.steps.source import IMPORTS_FROM

PLAIN = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
BAD = upgrade(Sec_WebSocket_Key="short")
STEPS = list(SEEN)

source_at = functools.cache(source.source_at)  # half a second each


def status(address, request: bytes) -> int:
    client = RawClient(address)
    client.send(request)
    head = client.head()
    client.socket.close()
    return int(head.split(" ")[1])


@pytest.fixture(params=STEPS)
def step(request):
    return request.param


@pytest.fixture
def at(serve):
    """``at(step)``: a server as it stood after that chapter."""
    return lambda step: serve(handler_at(step), page=page_at(step))


class TestTheTable:
    """What a client sees after each chapter."""

    def test_a_plain_request(self, at, step):
        assert status(at(step).server_address, PLAIN) == (426 if step >= 5 else 200)

    def test_a_bad_upgrade(self, at, step):
        expected = {1: 200, 2: 501}.get(step, 400)
        assert status(at(step).server_address, BAD) == expected

    def test_a_good_upgrade(self, at, step):
        expected = {1: 200, 2: 501, 3: 501}.get(step, 101)
        assert status(at(step).server_address, upgrade()) == expected

    def test_bad_http_is_refused_at_every_step(self, at, step):
        assert status(at(step).server_address, b"garbage\r\n\r\n") == 400

    @pytest.mark.parametrize("step", [4, 5])
    def test_before_frames_the_server_hangs_up_after_the_101(self, at, step):
        with connected(at(step)) as client:
            assert client.rest() == b""

    @pytest.mark.parametrize("step", range(6, 12))
    def test_text_is_echoed(self, at, step):
        with connected(at(step)) as client:
            client.send(text("hello"))
            assert client.frame() == (TEXT, b"hello")

    @pytest.mark.parametrize("step", range(6, 12))
    def test_fragments(self, at, step):
        with connected(at(step)) as client:
            client.send(frame(TEXT, b"hel", fin=False) + frame(0, b"lo"))
            if step == 6:
                assert client.take(9) == b"\x01\x03hel\x80\x02lo"
            else:
                assert client.frame() == (TEXT, b"hello")

    @pytest.mark.parametrize("step", range(6, 12))
    def test_a_ping(self, at, step):
        with connected(at(step)) as client:
            client.send(frame(PING, b"?") + text("after"))
            if step >= 7:
                assert client.frame() == (PONG, b"?")
            assert client.frame() == (TEXT, b"after")

    @pytest.mark.parametrize("step", range(6, 12))
    def test_text_that_is_not_utf_8(self, at, step):
        with connected(at(step)) as client:
            client.send(frame(TEXT, b"\xff"))
            if step == 6:
                assert client.frame() == (TEXT, b"\xff")
            else:
                assert client.closed()[0] == (None if step == 7 else 1007)

    @pytest.mark.parametrize("step", range(6, 12))
    def test_a_close(self, at, step):
        with connected(at(step)) as client:
            client.send(close(4000))
            assert client.closed()[0] == (4000 if step >= 8 else None)

    @pytest.mark.parametrize("step", range(6, 12))
    def test_an_unmasked_frame(self, at, step):
        with connected(at(step)) as client:
            client.send(frame(TEXT, b"x", key=b""))
            assert client.closed()[0] == (1002 if step >= 8 else None)

    @pytest.mark.parametrize("step", range(4, 12))
    def test_an_offer_of_compression(self, serve, step):
        from wsref import Compression

        server = serve(handler_at(step), compression=Compression())
        with connected(server, None) as client:
            head = client.open(Sec_WebSocket_Extensions="permessage-deflate")
        assert ("permessage-deflate" in head) is (step >= 9)

    @pytest.mark.parametrize("step", range(4, 12))
    def test_an_unknown_path_and_the_chat(self, at, step):
        server = at(step)
        assert status(server.server_address, upgrade("/nowhere")) == (404 if step >= 10 else 101)
        if step >= 6:
            with connected(server, "/chat?name=Ann") as client:
                client.send(text("hi"))
                assert client.frame()[1] == (b"hi" if step < 10 else b"* Ann has joined; here: Ann")

    @pytest.mark.parametrize("step", range(6, 12))
    def test_silence(self, serve, step):
        from wsref import Limits

        limits = Limits(ping_interval=0.05, ping_timeout=0.05, shutdown_timeout=0.5)
        with connected(serve(handler_at(step), limits=limits)) as client:
            if step >= 10:
                assert client.frame() == (PING, b"")
                assert client.rest() == b""
            else:
                client.socket.settimeout(0.3)  # longer than both together
                with pytest.raises(TimeoutError):
                    client.more()
                client.socket.settimeout(DEADLINE)
                client.send(text("still here"))
                assert client.frame() == (TEXT, b"still here")

    @pytest.mark.parametrize("step", range(4, 12))
    def test_a_page_from_elsewhere(self, at, step):
        assert status(at(step).server_address, upgrade(Origin="https://evil.example")) == (403 if step >= 11 else 101)

    @pytest.mark.parametrize("step", range(6, 12))
    def test_the_end_of_the_server(self, at, step):
        server = at(step)
        with connected(server) as client:
            wait_until(lambda: server.handlers)
            server.shutdown()
            ender = threading.Thread(target=server.server_close)
            ender.start()
            if step >= 8:
                assert client.frame() == (CLOSE, struct.pack("!H", 1001) + b"the server is going down")
                client.send(close(1001))
            assert client.rest() == b""
            ender.join(DEADLINE)


class TestStandIns:
    """How it is done."""

    def test_every_chapter_from_2_on_has_some(self):
        assert list(STAND_INS) == list(range(2, LAST + 1))
        for stand_in in STAND_INS.values():
            assert [name for name in vars(stand_in) if not name.startswith("__")]

    @pytest.mark.parametrize("chapter", STAND_INS)
    def test_each_has_the_signature_of_what_it_stands_for(self, chapter):
        for name, method in vars(STAND_INS[chapter]).items():
            if not name.startswith("__"):
                ours, theirs = inspect.signature(method), inspect.signature(getattr(WebSocketHandler, name))
                assert name == "_converse" or list(ours.parameters) == list(theirs.parameters), name

    def test_the_server_knows_nothing_of_steps(self):
        source = inspect.getsource(sys.modules["wsref.network.server"])
        assert not re.search(r"\bsteps?\b(?! in)", source.lower().replace("step by step", ""))

    def test_the_last_step_is_the_finished_server(self):
        assert handler_at(LAST).__mro__[1].__name__ == "Demo"

    def test_there_is_no_step_0_and_no_step_12(self):
        for step in (0, 12, -1):
            with pytest.raises(ValueError, match="from 1 to 11"):
                handler_at(step)
            with pytest.raises(ValueError, match="from 1 to 11"):
                source_at(step)

    def test_running_runs_a_step_and_leaves_nothing(self):
        threads = threading.active_count()
        with running(step=4) as server:
            host, port = server.url.removeprefix("ws://").split(":")
            assert status((host, int(port)), upgrade()) == 101
        with pytest.raises(ZeroDivisionError), running():
            raise ZeroDivisionError
        assert threading.active_count() == threads

    def test_the_page_says_which_step_it_talks_to(self, step):
        assert (f"after chapter {step} of 11".encode() in page_at(step)) is (step < LAST)


class TestSource:
    """``python -m wsref --step N --source``: the program of that step."""

    def test_it_is_python_and_every_name_is_there_once(self, step):
        tree = ast.parse(source_at(step))
        names = [node.name for node in tree.body if isinstance(node, (ast.ClassDef, ast.FunctionDef))]
        assert len(names) == len(set(names))

    @pytest.mark.parametrize("step", range(1, IMPORTS_FROM))
    def test_for_the_first_chapters_it_needs_nothing_but_python(self, step):
        assert "wsref." not in "".join(line for line in source_at(step).splitlines() if "import" in line)

    @pytest.fixture
    def port(self):
        with free_port() as port:
            yield port

    def test_it_runs_as_a_file_of_its_own_and_does_what_the_step_does(self, step, tmp_path, port):
        program = tmp_path / "mine.py"
        program.write_text(source_at(step).replace("8765", str(port)))
        isolated = ["-I"] if step < IMPORTS_FROM else []  # -I: not even the folder that we are in
        process = subprocess.Popen(
            [sys.executable, *isolated, str(program)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        try:
            assert process.stdout.readline().startswith("Open http://127.0.0.1:")
            address = ("127.0.0.1", port)
            assert status(address, PLAIN) == (426 if step >= 5 else 200)
            assert status(address, BAD) == {1: 200, 2: 501}.get(step, 400)
            assert status(address, upgrade()) == {1: 200, 2: 501, 3: 501}.get(step, 101)
            assert status(address, b"garbage\r\n\r\n") == 400
        finally:
            process.kill()
            output = process.communicate()[0]
        assert "Traceback" not in output

    def test_the_command_line_prints_it(self, capsys):
        assert main(["--step", "4", "--source"]) == 0
        assert capsys.readouterr().out == source_at(4)

    def test_a_step_that_is_none_is_a_usage_error_that_lists_them(self, capsys):
        with pytest.raises(SystemExit) as caught:
            main(["--step", "12"])
        assert caught.value.code == 2
        assert "6  frames: each is echoed by itself" in capsys.readouterr().err

    def test_tls_before_its_chapter_is_refused(self, capsys):
        assert main(["--step", "4", "--certfile", "x.pem"]) == 1
        assert "TLS comes in chapter 11" in capsys.readouterr().err
