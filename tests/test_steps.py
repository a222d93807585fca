"""The steps of the book: what each does over real sockets, its size, and the change that its chapter makes."""

from __future__ import annotations

import ast
import contextlib
import errno
import io
import re
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import tokenize
import zlib
from pathlib import Path
from types import SimpleNamespace

import pytest
from carry_step import merged
from conftest import DEADLINE, free_port, wait_until
from rawclient import BINARY, CLOSE, PING, PONG, TEXT, RawClient, close, connected, frame, text, upgrade

from wsref import connect, running
from wsref.apps.running import StepServer
from wsref.cli.main import main
from wsref.steps import SEEN, diff_of, load, path_of, source_of

PLAIN = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
BAD = upgrade(Sec_WebSocket_Key="short")
STEPS = list(SEEN)


#: Heads that each step refuses: the status and the reason.
BAD_HEADS = [
    (PLAIN.removesuffix(b"\r\n") + b"X: " + b"x" * 16384, 431, "larger than 16384 bytes"),
    (b"GET / HTTP/1.1\nHost: x\n\n", 400, "each line must end in CRLF"),
    (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400, "each header line must be NAME: VALUE"),
    (b"GET / HTTP/1.1\r\n\r\n", 400, "one Host header"),
    (b"GET / HTTP/1.1\r\nHost: x/y\r\n\r\n", 400, "it must be a host"),
]

TAIL = b"\x00\x00\xff\xff"  # RFC 7692 §7.2.1: it is not sent


def deflated(data: bytes, flush: int) -> bytes:
    deflater = zlib.compressobj(wbits=-15)
    return deflater.compress(data) + deflater.flush(flush)


def server_context(certificate) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


@contextlib.contextmanager
def serving(step, *arguments, Handler=(), **changed):  # noqa: N803
    """A step's server whose program has other constants, and whose handler has other methods."""
    program = load(step, log=[].append)
    vars(program).update(changed)
    for name, method in dict(Handler).items():
        setattr(program.Handler, name, method)
    with program.Server(("127.0.0.1", 0), program.Handler, *arguments) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        try:
            yield server
        finally:
            server.shutdown()


def alone(step, *pieces):
    """A step's handler without a server: its socket receives these pieces, and what it sends goes nowhere."""
    program, arriving = load(step, log=[].append), iter(pieces)
    handler = object.__new__(program.Handler)
    handler.request = SimpleNamespace(recv=lambda size: next(arriving, b""), sendall=len)
    handler.server, handler.received, handler.window_bits = SimpleNamespace(context=None), bytearray(), 0
    handler.sending, handler.writable = threading.Lock(), True
    return program, handler


def rest_of(address, request: bytes) -> bytes:
    """The whole answer to a request."""
    client = RawClient(address)
    client.send(request)
    with contextlib.closing(client.socket):
        return client.rest()


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
def at():
    """``at(step)``: a running server of that step."""
    with contextlib.ExitStack() as stack:
        yield lambda step: stack.enter_context(StepServer(step))


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

    def test_a_bad_head_is_refused_with_the_reason_at_every_step(self, at, step):
        address = at(step).server_address
        for head, code, reason in BAD_HEADS:
            answer = rest_of(address, head)
            assert answer.startswith(b"HTTP/1.1 %d " % code), reason
            assert reason.encode() in answer

    def test_the_answer_to_head_has_no_body(self, at, step):
        head, _, body = rest_of(at(step).server_address, PLAIN.replace(b"GET", b"HEAD")).partition(b"\r\n\r\n")
        assert re.search(rb"\r\nContent-Length: [1-9]", head)
        assert body == b""

    @pytest.mark.parametrize("step", range(5, 12))
    def test_a_browser_gets_a_page_with_the_426(self, at, step):
        answer = rest_of(at(step).server_address, PLAIN.replace(b"\r\n\r\n", b"\r\nAccept: text/html\r\n\r\n"))
        assert answer.startswith(b"HTTP/1.1 426 ")
        assert b"\r\nContent-Type: text/html; charset=utf-8\r\n" in answer and b"<!doctype html>" in answer

    def test_a_client_that_leaves_inside_its_head_gets_no_answer(self, at, step):
        with connected(at(step), None) as client:
            client.send(b"GET / HT")
            client.socket.shutdown(socket.SHUT_WR)
            assert client.rest() == b""

    @pytest.mark.parametrize("step", [4, 5])
    def test_before_frames_the_server_closes_after_the_101(self, at, step):
        with connected(at(step)) as client:
            assert client.rest() == b""

    @pytest.mark.parametrize("step", range(6, 12))
    def test_text_is_echoed(self, at, step):
        with connected(at(step)) as client:
            client.send(text("hello"))
            assert client.frame() == (TEXT, b"hello")

    @pytest.mark.parametrize("step", range(6, 12))
    def test_lengths_of_all_three_forms(self, at, step):
        with connected(at(step)) as client:
            for size in (125, 126, 65535, 65536):
                client.send(frame(BINARY, b"x" * size))
                assert client.frame() == (BINARY, b"x" * size)

    @pytest.mark.parametrize("step", range(6, 12))
    def test_a_length_that_is_not_minimal(self, at, step):
        with connected(at(step)) as client:
            client.send(frame(TEXT, b"x", form=16))
            assert client.closed()[0] == (1002 if step >= 8 else None)

    @pytest.mark.parametrize("step", range(7, 12))
    def test_a_pong_that_nobody_asked_for(self, at, step):
        with connected(at(step)) as client:
            client.send(frame(PONG, b"?") + text("after"))
            assert client.frame() == (TEXT, b"after")

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

    @pytest.mark.parametrize("step", range(8, 12))
    def test_a_close_without_a_code(self, at, step):
        with connected(at(step)) as client:
            client.send(frame(CLOSE, b""))
            assert client.closed()[0] == 1005

    @pytest.mark.parametrize("step", range(6, 12))
    def test_an_unmasked_frame(self, at, step):
        with connected(at(step)) as client:
            client.send(frame(TEXT, b"x", key=b""))
            assert client.closed()[0] == (1002 if step >= 8 else None)

    @pytest.mark.parametrize("step", range(4, 12))
    def test_an_offer_of_compression(self, at, step):
        with connected(at(step), None) as client:
            head = client.open(Sec_WebSocket_Extensions="permessage-deflate")
        assert ("permessage-deflate" in head) is (step >= 9)

    @pytest.mark.parametrize("step", range(9, 12))
    @pytest.mark.parametrize(
        ("offer", "answer"),
        [
            ("x, permessage-deflate; server_max_window_bits=8, permessage-deflate; x", None),
            (
                "permessage-deflate; server_max_window_bits=8, permessage-deflate; server_max_window_bits=10",
                "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10",
            ),
        ],
        ids=["none that it can accept", "the second one"],
    )
    def test_the_first_offer_that_it_can_accept(self, at, step, offer, answer):
        with connected(at(step), None) as client:
            head = client.open(Sec_WebSocket_Extensions=offer)
        found = re.search("\r\nSec-WebSocket-Extensions: (.*)\r\n", head + "\r\n")
        assert (found and found[1]) == answer

    @pytest.mark.parametrize("step", range(9, 12))
    def test_a_compressed_message(self, at, step):
        whole, final = deflated(b"Hello", zlib.Z_SYNC_FLUSH).removesuffix(TAIL), deflated(b"Hel", zlib.Z_FINISH)
        for frames in (
            frame(TEXT, whole, rsv=0x40),
            frame(TEXT, whole[:3], rsv=0x40, fin=False) + frame(0, whole[3:]),
            frame(TEXT, final + deflated(b"lo", zlib.Z_SYNC_FLUSH).removesuffix(TAIL), rsv=0x40),  # RFC 7692 §7.2.3.4
        ):
            with connected(at(step), None) as client:
                client.open(Sec_WebSocket_Extensions="permessage-deflate")
                client.send(frames)
                first, length = client.take(2)
                assert first == 0xC0 | TEXT
                assert zlib.decompressobj(-15).decompress(client.take(length) + TAIL) == b"Hello"

    @pytest.mark.parametrize("step", range(9, 12))
    @pytest.mark.parametrize("block", [b"\x03\x00", b"\x4b\x04\x00"], ids=["empty", "of one byte"])
    def test_final_blocks_without_end_cost_what_their_bytes_cost(self, step, block, monkeypatch):
        """zlib copies all that follows a final block: with a whole message as the rest that is quadratic."""
        module, given = load(step), []

        class Inflater:
            def __init__(self, wbits):
                self.real = zlib.decompressobj(wbits)

            def __getattr__(self, name):
                return getattr(self.real, name)

            def decompress(self, data, room):
                given.append(len(data))
                return self.real.decompress(data, room)

        monkeypatch.setattr(module, "zlib", SimpleNamespace(decompressobj=Inflater, error=zlib.error))
        _, data = object.__new__(module.Handler).inflate(Inflater(-15), block * 10_000, 1 << 20)
        assert data in (b"", b"a" * 10_000)
        assert len(given) == 10_000
        assert max(given) <= 1024

    @pytest.mark.parametrize("step", range(9, 12))
    def test_a_message_that_cannot_be_decompressed(self, at, step):
        with connected(at(step), None) as client:
            client.open(Sec_WebSocket_Extensions="permessage-deflate")
            client.send(frame(TEXT, b"\xff", rsv=0x40))
            assert client.closed()[0] == 1007

    @pytest.mark.parametrize("step", range(4, 12))
    def test_an_unknown_path_and_the_chat(self, at, step):
        server = at(step)
        assert status(server.server_address, upgrade("/nowhere")) == (404 if step >= 10 else 101)
        if step >= 6:
            with connected(server, "/chat?name=Ann") as client:
                client.send(text("hi"))
                assert client.frame()[1] == (b"hi" if step < 10 else b"* Ann has joined")

    @pytest.mark.parametrize(
        ("target", "code"),
        [
            ("http://x", 426),
            ("HTTP://x/echo?a=b", 426),
            ("//echo", 404),
            ("//[", 404),
            ("http://[", 426),
            ("nowhere", 404),
        ],
    )
    @pytest.mark.parametrize("step", [10, 11])
    def test_a_strange_target_is_not_a_mistake_in_the_program(self, at, step, target, code):
        assert status(at(step).server_address, f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode()) == code

    @pytest.mark.parametrize(("step", "tls"), [(10, False), (11, False), (11, True)])
    def test_silence(self, step, tls, certificate):
        contexts = [server_context(certificate)] if tls else []
        with serving(step, *contexts, PING_AFTER=0.05) as server:
            trusted = ssl.create_default_context(cafile=certificate[0]) if tls else None
            with connected(server, context=trusted) as client:
                assert client.frame() == (PING, b"")
                assert client.closed()[0] is None

    @pytest.mark.parametrize("step", range(4, 12))
    def test_a_page_from_elsewhere(self, at, step):
        assert status(at(step).server_address, upgrade(Origin="https://evil.example")) == (403 if step >= 11 else 101)

    def test_one_client_too_many(self):
        with serving(11, MAX_CLIENTS=1) as server, connected(server) as client:
            client.send(text("hi"))
            assert client.frame() == (TEXT, b"hi")  # it is in the list of clients
            assert status(server.server_address, upgrade()) == 503

    @pytest.mark.parametrize("step", [10, 11])
    def test_the_end_of_the_server(self, step):
        server = StepServer(step).start()
        with connected(server) as client:
            client.send(text("hi"))
            assert client.frame() == (TEXT, b"hi")  # it is in the list of clients
            server.stop()
            assert client.frame() == (CLOSE, struct.pack("!H", 1001) + b"the server is going down")

    @pytest.mark.timeout(30)
    def test_stop_also_ends_a_server_that_did_not_start_or_has_ended(self):
        for server in (StepServer(8), StepServer(8).start()):
            server.stop()
            server.stop()
            with pytest.raises(OSError):
                connect(server.url)

    @pytest.mark.parametrize("step", [10, 11])
    def test_a_chat_of_two(self, at, step):
        server = at(step)
        with connect(f"{server.url}/chat?name=Ann") as ann:
            assert ann.recv() == "* Ann has joined"
            with connect(f"{server.url}/chat?name=Bob") as bob:
                assert [bob.recv(), ann.recv()] == ["* Bob has joined"] * 2
                bob.send("hello")
                assert [bob.recv(), ann.recv()] == ["Bob: hello"] * 2
            assert ann.recv() == "* Bob has left"

    @pytest.mark.parametrize("step", [10, 11])
    def test_a_member_of_the_chat_that_takes_no_more_is_cut_off(self, step):
        ours, theirs = socket.socketpair()

        def takes_no_more(*message):
            raise BlockingIOError

        full = SimpleNamespace(name="Ann", request=ours, send_message=takes_no_more)
        with ours, theirs, load(step).Server(("127.0.0.1", 0), None) as server:
            server.clients.append(full)
            server.tell("hello")
            assert theirs.recv(1) == b""
            server.clients.clear()

    def test_the_end_does_not_wait_for_a_client_that_sends_for_ever(self, step):
        pieces = iter([b"x"] * 1000)
        endless = SimpleNamespace(
            shutdown=lambda how: None, settimeout=lambda seconds: None, recv=lambda size: next(pieces), close=list
        )
        load(step).Handler.finish(SimpleNamespace(request=endless, sending=threading.Lock()))
        assert len([*pieces]) == 900

    def test_tls_in_step_11(self, certificate):
        server_side, client_side = server_context(certificate), ssl.create_default_context(cafile=certificate[0])
        with running(step=11, ssl_context=server_side) as server, connect(server.url, ssl_context=client_side) as ws:
            for message in ("hi", "x" * 100_000):
                ws.send(message)
                assert ws.recv() == message

    def test_tls_before_its_chapter_is_an_error(self, certificate):
        with pytest.raises(ValueError, match="TLS comes in chapter 11"):
            StepServer(10, ssl_context=ssl.create_default_context())


class TestCosts:
    """What the bytes of a client may cost: as much in small pieces as in large ones"""

    PIECES = staticmethod(lambda data, size: [data[at : at + size] for at in range(0, len(data), size)])

    @pytest.mark.parametrize("size", [pytest.param(1, marks=pytest.mark.slow), 7, 1000, 1 << 16])
    def test_the_limit_of_a_head_does_not_depend_on_its_pieces(self, step, size):
        beginning = PLAIN.removesuffix(b"\r\n") + b"X: "
        for head in (16384, 16385):
            data = beginning + b"x" * (head - len(beginning) - 4) + b"\r\n\r\n"
            program, handler = alone(step, *self.PIECES(data + b"frames" * (size > 1000), size))
            if head <= program.MAX_HEAD:
                handler.read_request()
                assert handler.received == b"frames" * (size > 1000)
            else:
                with pytest.raises(program.HTTPError, match="larger than 16384 bytes"):
                    handler.read_request()

    def test_no_pattern_searches_an_unfinished_head_for_each_piece(self, step):
        """16 KiB in pieces of one byte took 1.4 s."""
        program, handler = alone(step, *self.PIECES(PLAIN, 1))
        program.re = None
        handler.read_request()
        assert handler.target == "/"

    @pytest.mark.parametrize("step", range(6, 12))
    def test_bytes_that_arrive_are_added_and_removed_in_place(self, step):
        """As new objects, a frame of n bytes in pieces of one copies n² / 2 bytes."""
        _, handler = alone(step, *self.PIECES(text("hello") * 2, 1))
        received = handler.received
        for _ in range(2):
            assert handler.read_frame(*[99] * (step > 6))[-1] == b"hello"
            assert handler.received is received

    @pytest.mark.parametrize("step", range(7, 12))
    def test_fragments_are_joined_in_place(self, step):
        _, handler = alone(step, frame(TEXT, b"a", fin=False) + frame(0, b"b"))
        kind, data = handler.read_message()
        assert (kind, data, type(data)) == (TEXT, b"ab", bytearray)


class TestTwoThreads:
    """In a chat a client's own thread closes, while that of another member has a line for it"""

    @pytest.mark.parametrize("step", [10, 11])
    def test_no_frame_follows_a_close(self, step):
        """RFC 6455 §5.5.1.  A line that waited for a slow member came after it, and so did a second Close."""
        _, handler = alone(step)
        handler.request.sendall = (sent := []).append
        handler.close(1001, "x")
        handler.send_message(TEXT, b"late")
        handler.close(1000)
        assert sent == [b"\x88\x03\x03\xe9x"]

    @pytest.mark.parametrize("step", [10, 11])
    def test_no_frame_follows_a_part_of_one(self, step):
        _, handler = alone(step)
        sent = []

        def takes_a_part(data):
            sent.append(data[:1])
            raise TimeoutError

        handler.request.sendall = takes_a_part
        with pytest.raises(TimeoutError):
            handler.send_message(TEXT, b"hello")
        handler.send_message(TEXT, b"late")
        assert sent == [b"\x81"]

    def test_the_end_of_tls_waits_for_a_frame_that_is_being_sent(self):
        """SSLSocket.shutdown first forgets TLS: what another thread sends until it is done would be plain."""
        _, handler = alone(11)
        locked = []
        handler.request = SimpleNamespace(
            shutdown=lambda how: locked.append(handler.sending.locked()),
            settimeout=lambda seconds: locked.append(handler.sending.locked()),
            recv=lambda size: b"",
            close=list,
        )
        handler.finish()
        assert locked == [True, False]

    def test_tls_waits_on_a_socket_of_any_number(self):
        """select takes no descriptor from 1024 on: there each TLS client got a 500."""
        fcntl, resource = pytest.importorskip("fcntl"), pytest.importorskip("resource")
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if 0 <= hard < 2048:
            pytest.skip("this process may not have so many open files")
        resource.setrlimit(resource.RLIMIT_NOFILE, (2048, hard))
        ours, theirs = socket.socketpair()
        try:
            high = type("OfTLS", (socket.socket,), {"pending": lambda self: 0})(
                fileno=fcntl.fcntl(ours, fcntl.F_DUPFD, 1024)
            )
            _, handler = alone(11)
            with ours, theirs, high:
                handler.request, handler.server.context = high, True
                theirs.sendall(b"x")
                handler.receive()
                assert handler.received == b"x"
                high.settimeout(0.01)
                with pytest.raises(TimeoutError):
                    handler.receive()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class TestAMistakeInTheProgram:
    """A learner's own mistake is said, to the learner and to the client"""

    @pytest.mark.parametrize("step", STEPS)
    def test_before_the_101_it_is_a_500(self, step, capfd):
        with serving(step, Handler={"read_request": lambda self: 1 / 0}) as server:
            assert status(server.server_address, upgrade()) == 500
        assert "ZeroDivisionError" in capfd.readouterr().err

    @pytest.mark.parametrize("step", range(6, 12))
    def test_after_it_the_end_and_from_step_8_on_a_1011(self, step, capfd):
        broken = {"read_frame": lambda self, max_payload=0: 1 / 0}
        with serving(step, Handler=broken) as server, connected(server) as client:
            assert client.closed()[0] == (1011 if step >= 8 else None)
        assert "ZeroDivisionError" in capfd.readouterr().err


#: Lines of a program, comments included.
MAX_LINES = {5: 170, 8: 290, 11: 420}

#: Lines that a chapter may change.  Chapters 6 and 9 bring a protocol each, chapter 10 a second class.
MAX_CHANGED = dict.fromkeys(range(2, 12), 60) | {6: 75, 9: 70, 10: 80}


def has_one_thread(pid):
    """Whether a process has only the thread that accepts; where there is no /proc, that is taken for granted.

    Ctrl-C while it starts another thread can be lost: Python's threading then raises RuntimeError, "release unlocked
    lock", in place of KeyboardInterrupt, and socketserver goes on.
    """
    tasks = Path("/proc", str(pid), "task")
    return not tasks.exists() or len(list(tasks.iterdir())) == 1


class TestPrograms:
    """DESIGN: complete, small, and no more than a chapter apart"""

    def test_there_is_one_for_each_chapter(self):
        assert [path_of(step).name[:6] for step in STEPS] == [f"step{step:02}" for step in STEPS]

    @pytest.mark.parametrize("step", MAX_LINES)
    def test_its_size(self, step):
        assert len(source_of(step).splitlines()) <= MAX_LINES[step]

    @pytest.mark.parametrize("step", STEPS)
    def test_no_comment_and_no_docstring_ends_beyond_column_100(self, step):
        tokens = tokenize.generate_tokens(io.StringIO(source_of(step)).readline)
        words = [token for token in tokens if token.type == tokenize.COMMENT or token.string.startswith('"""')]
        assert [token.line for token in words if token.end[1] > 100] == []

    @pytest.mark.parametrize("step", MAX_CHANGED)
    def test_the_size_of_its_change(self, step):
        changed = [line for line in diff_of(step).splitlines()[2:] if line[:1] in "+-" and line]
        assert 5 <= len(changed) <= MAX_CHANGED[step]

    def test_they_need_nothing_but_the_standard_library(self):
        for step in STEPS:
            for node in ast.walk(ast.parse(source_of(step))):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [node.module] if isinstance(node, ast.ImportFrom) else []
                assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names, step

    def test_what_is_imported_is_used(self):
        for step in STEPS:
            tree = ast.parse(source_of(step))
            imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
            used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
            assert imported <= used, step

    @pytest.mark.parametrize("step", STEPS)
    def test_it_runs_as_a_file_of_its_own_until_ctrl_c(self, step, tmp_path):
        with free_port() as port:
            program = tmp_path / "mine.py"
            program.write_text(source_of(step).replace("8765", str(port)), "utf-8")
            process = subprocess.Popen(
                [sys.executable, program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
            )
            try:
                assert process.stdout.readline() == f"Open http://127.0.0.1:{port}/ in a browser.  Ctrl-C ends it.\n"
                assert status(("127.0.0.1", port), PLAIN) == (426 if step >= 5 else 200)
                wait_until(lambda: has_one_thread(process.pid))
                process.send_signal(signal.SIGINT)
                _, err = process.communicate(timeout=DEADLINE)
            finally:
                process.kill()
                process.wait()
        assert (process.returncode, err) == (0, "")

    @pytest.mark.parametrize("step", STEPS)
    def test_a_port_in_use_is_what_it_complains_about(self, step, tmp_path, capsys):
        with socket.create_server(("127.0.0.1", 0)) as busy:
            port = str(busy.getsockname()[1])
            program = tmp_path / "mine.py"
            program.write_text(source_of(step).replace("8765", port), "utf-8")
            done = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=DEADLINE)
            assert done.stderr.splitlines()[-1] == f"OSError: [Errno {errno.EADDRINUSE}] Address already in use"
            assert main(["--step", str(step), "--port", port]) == 1
        assert "it is in use; try another, --port" in capsys.readouterr().err

    def test_there_is_no_step_0_and_no_step_12(self):
        for step in (0, 12):
            with pytest.raises(ValueError, match="a chapter from 1 to 11"):
                path_of(step)


class TestCommandLine:
    """--step N, --source, --diff"""

    def test_the_source_and_the_change(self, capsys):
        assert main(["--step", "3", "--source"]) == 0
        assert capsys.readouterr().out == source_of(3)
        assert main(["--step", "3", "--diff"]) == 0
        assert "+    def validate(self):\n" in capsys.readouterr().out

    @pytest.mark.parametrize("flag", ["--source", "--diff"])
    def test_they_need_a_step(self, flag, capsys):
        assert main([flag]) == 2
        assert "say which, --step N" in capsys.readouterr().err

    def test_a_step_that_there_is_not_is_a_usage_error_that_lists_them(self, capsys):
        with pytest.raises(SystemExit) as caught:
            main(["--step", "12"])
        assert caught.value.code == 2
        err = capsys.readouterr().err
        assert [seen for seen in SEEN.values() if seen not in err] == []

    def test_tls_before_its_chapter_is_refused(self, capsys, certificate):
        assert main(["--step", "4", "--certfile", certificate[0], "--keyfile", certificate[1]]) == 1
        assert "TLS comes in chapter 11" in capsys.readouterr().err

    @pytest.mark.parametrize(
        "words",
        [
            ["--wire"],
            ["--allow-origin", "*"],
            ["--no-compression"],
            ["--max-message-size", "1000"],
            ["--max-connections", "2"],
        ],
        ids=lambda words: words[0],
    )
    def test_an_option_that_the_programs_do_not_have_is_refused(self, words, capsys):
        assert main(["--step", "11", "--port", "0", *words]) == 2
        assert f"{words[0]} cannot be used with --step" in capsys.readouterr().err

    def test_a_tap_that_fails_does_not_end_the_connection(self):
        def tap(sent, data):
            raise OSError("full")

        with running(step=8, tap=lambda transport, peer: tap) as step, connect(step.url) as ws:
            ws.send("hi")
            assert ws.recv() == "hi"

    def test_a_connection_without_a_tap(self):
        with running(step=8, tap=lambda transport, peer: None) as step, connect(step.url) as ws:
            ws.send("hi")
            assert ws.recv() == "hi"

    def test_a_tap_sees_what_passes(self):
        seen = []
        server = running(step=8, tap=lambda transport, peer: lambda sent, data: seen.append((sent, data)))
        with server as step, connect(step.url) as ws:
            ws.send("hi")
            assert ws.recv() == "hi"
        assert seen[0][0] is False and seen[0][1].startswith(b"GET / HTTP/1.1")
        assert (True, b"\x81\x02hi") in seen


class TestCarrying:
    """tests/carry_step.py: a correction in one step reaches the later ones"""

    def test_a_merge_keeps_both_changes(self):
        base = "a\nb\nc\nd\n"
        assert merged("a\nb\nc\nd\nnew\n", base, "A\nb\nc\nd\n") == ("A\nb\nc\nd\nnew\n", True)

    def test_a_conflict_is_said(self):
        text, clean = merged("x\n", "a\n", "y\n")
        assert not clean
        assert "<<<<<<<" in text
