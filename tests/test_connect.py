"""``python -m wsref connect``: as a filter, and on a terminal."""

from __future__ import annotations

import argparse
import codecs
import contextlib
import fcntl
import json
import os
import pty
import re
import select
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import threading
import time
from pathlib import Path
from queue import SimpleQueue

import pytest
from conftest import DEADLINE, free_port, wait_until

from wsref import Chat, Compression, Echo, HTTPError, Limits, WebSocketHandler
from wsref.cli.conversation import escaped, message_line
from wsref.cli.main import main
from wsref.cli.prompt import Prompt, Terminal, cursor_of_readline
from wsref.cli.serve import tls_context
from wsref.wire.words import columns

ENVIRONMENT = {**os.environ, "PYTHONUNBUFFERED": "1", "TERM": "xterm", "NO_COLOR": "1", "PYTHONUTF8": "1"}
ENVIRONMENT.pop("FORCE_COLOR", None)
ENVIRONMENT["XDG_STATE_HOME"] = "/nonexistent"  # no test may write into the history of a person
COMMAND = [sys.executable, "-m", "wsref", "connect"]
ROOT = Path(__file__).parent.parent

slow = pytest.mark.slow  # of a test that starts a process, for a case that is much like the one beside it


@pytest.fixture
def command(monkeypatch, capfdbinary):
    """``command(*arguments, given="a line")`` runs it as a filter, in this process.

    If -n or the server ends it before it has read the end of its input, one of its threads is left behind.
    Such a test takes -x, or :func:`as_process`.
    """

    def run(*arguments, given="", stdin=None):
        with tempfile.TemporaryFile() as file, monkeypatch.context() as patch:
            file.write(given if isinstance(given, bytes) else given.encode())
            file.seek(0)
            patch.setattr(sys, "stdin", stdin or file)
            patch.delenv("FORCE_COLOR", raising=False)
            code = main(["connect", *arguments])
        return subprocess.CompletedProcess(arguments, code, *capfdbinary.readouterr())

    return run


def as_process(*arguments, given="", **environment):
    """Run it as a filter, in its own process."""
    return subprocess.run(
        [*COMMAND, *arguments],
        input=given if isinstance(given, bytes) else given.encode(),
        capture_output=True,
        timeout=DEADLINE,
        env={**ENVIRONMENT, **environment},
    )


class Talker(Echo):
    """An echo that obeys some commands."""

    subprotocols = ("chat",)

    def on_message(self, message):
        if message == "kick":
            self.close(4001, "you \x1b[31mare kicked")
        elif message == "enough":
            self.close(1000, "enough")
        elif message == "vanish":
            self._abort("vanish")
        elif message == "evil":
            self.send("\x1b[31mred\r\n\x07\u202e")
        else:
            self.send(message)


def is_asleep(pid):
    """Whether the main thread of a process sleeps, so it has read all its input."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:  # not Linux
        state = subprocess.run(["ps", "-o", "state=", "-p", str(pid)], capture_output=True, text=True).stdout
    else:
        state = stat.rpartition(") ")[2]
    return state.startswith("S")


class OnTerminal:
    """The command with a pseudo-terminal for all three streams."""

    def __init__(self, *arguments, command=COMMAND, cwd=None, **environment):
        self.ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [*command, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=cwd,
            env={**ENVIRONMENT, **environment},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(theirs)
        self.decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self.printed = ""
        self.at = 0

    def type(self, keys):
        left = keys.encode()
        while left:
            left = left[os.write(self.ours, left) :]

    def until(self, pattern):
        """Read until this is printed, after the last match."""
        deadline = time.monotonic() + DEADLINE
        while not (found := re.compile(pattern).search(self.printed, self.at)):
            left = deadline - time.monotonic()
            assert left > 0, f"not printed in time: {pattern!r}: {self.printed[self.at :]!r}"
            if select.select([self.ours], [], [], left)[0]:
                try:
                    data = os.read(self.ours, 65536)
                except OSError:  # EIO: the process has ended
                    data = b""
                assert data, f"ended without {pattern!r}: {self.printed[self.at :]!r}"
                self.printed += self.decode(data)
        self.at = found.end()
        return found[0]

    def ends(self):
        """Read the rest; the exit code."""
        with contextlib.suppress(OSError):
            while data := os.read(self.ours, 65536):
                self.printed += self.decode(data)
        return self.process.wait(DEADLINE)

    def tidy(self):
        self.process.kill()
        self.process.wait()
        os.close(self.ours)


@pytest.fixture
def on_terminal():
    with contextlib.ExitStack() as stack:

        def start(*arguments, **options):
            terminal = OnTerminal(*arguments, **options)
            stack.callback(terminal.tidy)
            return terminal

        yield start


class TestAsAFilter:
    """``echo hi | python -m wsref connect URL``"""

    def test_lines_go_out_and_messages_come_in(self, serve):
        done = as_process("--wait", "1", serve().url, given="hi\n\nhéllo €\nno newline")
        assert (done.returncode, done.stdout.decode()) == (0, "hi\n\nhéllo €\nno newline\n")
        assert re.fullmatch(
            r"connected to ws://127\.0\.0\.1:[0-9]+/\nwe closed the connection: 1000 NORMAL\n", done.stderr.decode()
        )

    def test_the_line_ends_of_windows_are_not_sent(self, serve, command):
        done = command("--json", "--wait", "1", serve().url, given=b"one\r\n\r\na\rb\r\n")
        events = [json.loads(line) for line in done.stdout.splitlines()]
        assert [event["data"] for event in events if event["type"] == "text"] == ["one", "", "a\rb"]

    def test_all_of_many_replies_come_back_in_order(self, serve, command):
        lines = "".join(f"line {n}\n" for n in range(20_000))
        done = command(serve(compression=Compression()).url, given=lines)
        assert (done.returncode, done.stdout.decode()) == (0, lines)

    def test_a_file_as_input(self, serve, command, tmp_path):
        file = tmp_path / "lines"
        file.write_text("a\nb\n")
        with file.open() as lines:
            done = command("--wait", "1", serve().url, stdin=lines)
        assert (done.returncode, done.stdout) == (0, b"a\nb\n")

    def test_messages_are_printed_before_the_input_ends(self, serve):
        child = subprocess.Popen(
            [*COMMAND, serve().url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT,
        )
        with child:
            for line in (b"one\n", b"two\n"):
                child.stdin.write(line)
                child.stdin.flush()
                assert child.stdout.readline() == line
            child.stdin.close()
            assert child.wait(DEADLINE) == 0

    def test_a_server_that_closes_ends_it_though_the_input_has_not_ended(self, serve):
        for line, code, words in [
            (b"enough\n", 0, b"the server closed the connection: 1000 NORMAL 'enough'"),
            (b"kick\n", 1, rb"the server closed the connection: 4001 'you \x1b[31mare kicked'"),
            (b"vanish\n", 1, b"the connection was lost"),
        ]:
            child = subprocess.Popen(
                [*COMMAND, serve(Talker).url],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=ENVIRONMENT,
            )
            with child:
                child.stdin.write(line)
                child.stdin.flush()
                assert child.wait(DEADLINE) == code
                assert words in child.stderr.read()

    def test_binary_is_hex_and_text_is_raw_through_a_pipe(self, serve, command):
        class Handler(WebSocketHandler):
            def on_open(self):
                self.send(b"\x00\xffh")
                self.send("\x1b[31mred\nline")

        done = command("-x", "hi", "-n", "2", serve(Handler).url)
        assert (done.returncode, done.stdout) == (0, b"00 ff 68\n\x1b[31mred\nline\n")

    def test_a_reader_that_ends_ends_it(self, serve):
        line = f"seq 100000 | {shlex.join(COMMAND)} {serve().url} | head -1; echo ${{PIPESTATUS[@]}}"
        done = subprocess.run(["bash", "-c", line], capture_output=True, timeout=DEADLINE, env=ENVIRONMENT)
        assert done.stdout.startswith(b"1\n")
        assert done.stdout.endswith(b" 1 0\n")
        assert b"Traceback" not in done.stderr
        assert b"BrokenPipe" not in done.stderr

    def test_ctrl_c_closes_and_is_130(self, serve):
        seen = []

        class Handler(Echo):
            def on_close(self, code, reason):
                seen.append(code)

        child = subprocess.Popen(
            [*COMMAND, serve(Handler).url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT,
        )
        with child:
            child.stdin.write(b"hi\n")
            child.stdin.flush()
            assert child.stdout.readline() == b"hi\n"
            wait_until(lambda: is_asleep(child.pid))  # it waits for input; Ctrl-C before that is 130 as well
            child.send_signal(signal.SIGINT)
            assert child.wait(DEADLINE) == 130
            assert b"Traceback" not in child.stderr.read()
        assert seen == [1000]

    def test_the_flags_reach_the_server(self, serve, command):
        requests = []

        class Handler(Talker):
            def check_request(self, request):
                requests.append(request)

        server = serve(Handler, compression=Compression(), allowed_origins=["http://h"])
        flags = ["--header", "X-A: 1", "--header", "Cookie:a=b", "--subprotocol", "soap", "--subprotocol", "chat"]
        done = command(*flags, "--origin", "http://h", "--wait", "0.1", server.url + "/p?q")
        assert done.returncode == 0, done.stderr
        assert b"(subprotocol chat; permessage-deflate; server_max_window_bits=12;" in done.stderr
        (request,) = requests
        assert request.target == "/p?q"
        headers = ("X-A", "Cookie", "Sec-WebSocket-Protocol", "Origin")
        assert [request.headers.get(name) for name in headers] == ["1", "a=b", "soap, chat", "http://h"]
        command("--no-compression", "--wait", "0.1", server.url)
        assert "Sec-WebSocket-Extensions" not in requests[1].headers


def in_shell(line, **environment):
    """Run a line of bash; ``$CONNECT`` in it is the command."""
    line = line.replace("$CONNECT", shlex.join(COMMAND))
    return subprocess.run(
        ["bash", "-c", line], capture_output=True, timeout=DEADLINE, env={**ENVIRONMENT, **environment}
    )


def started(*arguments, **options):
    """Start it with pipes."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([*COMMAND, *arguments], env=ENVIRONMENT, **{**pipes, **options})


@contextlib.contextmanager
def nonblocking_pipe():
    """The two ends of a pipe that another program has made non-blocking."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    yield reader, writer
    for end in (reader, writer):
        with contextlib.suppress(OSError):
            os.close(end)


class TestPipesLoseNothing:
    """Lost input or output is an error message and exit code 1"""

    @pytest.mark.parametrize("bad", [b"\xff", b"caf\xe9", b"\xed\xa0\x80", b"\xc3"])
    def test_input_that_is_not_utf_8_ends_the_input(self, serve, command, bad):
        done = command(serve().url, given=b"a\n" + bad + b"\nb\n")
        assert (done.returncode, done.stdout) == (1, b"a\n")
        assert b"line 2 of the input is not UTF-8" in done.stderr
        assert b"--binary" in done.stderr

    def test_a_last_line_that_is_cut_in_a_character_is_not_utf_8(self, serve, command):
        done = command(serve().url, given="a\né".encode()[:-1])
        assert (done.returncode, done.stdout) == (1, b"a\n")
        assert b"line 2 of the input is not UTF-8" in done.stderr

    def test_an_argument_that_is_not_utf_8(self, serve, command):
        done = command(serve().url, "-x", "hi", "-x", os.fsdecode(b"\xff"))
        assert (done.returncode, done.stdout) == (1, b"hi\n")
        assert b"text 2 of -x is not UTF-8" in done.stderr

    @pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
    @pytest.mark.parametrize(
        "flags", ["--json", *(pytest.param(one, marks=slow) for one in ("", "-q", "--binary", "-n 1"))]
    )
    def test_a_full_output(self, serve, flags):
        done = in_shell(f"echo hi | $CONNECT {flags} {serve().url} > /dev/full")
        assert done.returncode == 1
        assert b"cannot write to standard output: No space left on device" in done.stderr
        assert b"Traceback" not in done.stderr
        assert b"Exception ignored" not in done.stderr

    @pytest.mark.parametrize(
        ("redirection", "words"),
        [
            ("<&-", b"wsref: standard input is closed"),
            pytest.param("<&- >&-", b"wsref: standard input is closed", marks=slow),
            ("</dev/null >&-", b"wsref: standard output is closed"),
            ("0>/dev/null", b"wsref: cannot read standard input"),
        ],
    )
    def test_a_closed_stream(self, serve, redirection, words):
        done = in_shell(f"$CONNECT -q {serve().url} {redirection}")
        assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (1, b"", 1)
        assert done.stderr.startswith(words)

    def test_one_text_needs_no_input(self, serve):
        done = in_shell(f"$CONNECT -x hi -n 1 {serve().url} <&-")
        assert (done.returncode, done.stdout) == (0, b"hi\n")

    @pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full"])
    def test_without_standard_error_the_rest_works(self, serve, redirection):
        done = in_shell(f"$CONNECT -x hi -n 1 {serve().url} --trace {redirection}")
        assert (done.returncode, done.stdout) == (0, b"hi\n")
        done = in_shell(f"$CONNECT --cafile /no/file wss://localhost {redirection}")
        assert (done.returncode, done.stdout) == (1, b"")

    def test_a_pipe_that_another_program_made_non_blocking(self, serve):
        url = serve(limits=Limits(max_message_size=10_000_000)).url
        text = b"x" * 1_000_000  # more than a pipe holds
        with nonblocking_pipe() as (reader, writer), nonblocking_pipe() as (their_reader, their_writer):
            child = started(url, "-n", "2", stdin=reader, stdout=their_writer)
            os.close(their_writer)
            with child:
                os.write(writer, b"first\n")
                os.set_blocking(their_reader, True)
                assert os.read(their_reader, 100) == b"first\n"  # it waits for input now, or soon
                os.set_blocking(writer, True)
                os.set_blocking(reader, False)
                threading.Thread(target=os.write, args=(writer, text + b"\n")).start()
                received = b""
                while data := os.read(their_reader, 65536):
                    received += data
                assert (child.wait(DEADLINE), received == text + b"\n") == (0, True), child.stderr.read()

    def test_input_that_the_server_did_not_take(self, serve):
        done = in_shell(f"(echo enough; seq 1000000) | $CONNECT -q --wait inf {serve(Talker).url}")
        assert done.returncode == 1
        assert re.fullmatch(
            rb"wsref: line [0-9]+ of the input was not sent: the connection was closed\n"
            rb"the server closed the connection: 1000 NORMAL 'enough'\n",
            done.stderr,
        )

    def test_a_slow_reader_gets_all_though_the_input_has_ended(self, serve):
        begun = threading.Event()

        class Flood(WebSocketHandler):
            def on_message(self, message):
                for n in range(50):
                    self.send(f"{n:0100000}")  # together more than the pipe and the client hold
                    begun.set()
                self.close()

        with started("--wait", "1", "-x", "go", serve(Flood).url) as child:
            assert begun.wait(DEADLINE)
            with pytest.raises(subprocess.TimeoutExpired):
                child.wait(1.5)  # longer than --wait
            received = child.stdout.read()
            assert (child.wait(DEADLINE), len(received)) == (0, 50 * 100_001), child.stderr.read()

    def test_text_in_a_pipe_is_utf_8_whatever_the_locale(self, serve):
        done = as_process(serve().url, given="héllo €\n", PYTHONIOENCODING="ascii", PYTHONUTF8="0", LC_ALL="C")
        assert (done.returncode, done.stdout.decode()) == (0, "héllo €\n"), done.stderr

    def test_one_long_line(self, serve, command):
        url = serve(limits=Limits(max_message_size=10_000_000), compression=Compression()).url
        line = "0123456789abcdef" * 250_000
        done = command(url, "--max-message-size", "4000000", given=line)
        assert (done.returncode, done.stdout == line.encode() + b"\n") == (0, True), done.stderr


class TestForScripts:
    """Flags that end it, and other forms of input and output"""

    def test_texts_of_the_command_line(self, serve, command):
        done = command("-x", "one", "--execute", "two\nlines", "-n", "2", serve().url, given="not read\n")
        assert (done.returncode, done.stdout) == (0, b"one\ntwo\nlines\n")

    def test_a_count_ends_it_before_the_input_ends(self, serve):
        child = started("-n", "2", serve().url)
        with child:
            child.stdin.write(b"1\n2\n3\n4\n")
            child.stdin.flush()
            assert child.wait(DEADLINE) == 0
            assert child.stdout.read() == b"1\n2\n"
            assert b"we closed the connection: 1000 NORMAL" in child.stderr.read()

    def test_a_count_waits_for_slow_messages(self, serve, command):
        class Slow(Echo):
            def on_message(self, message):
                threading.Timer(1.2, self.send, [message]).start()  # longer than --wait is without -n

        done = command("-n", "1", serve(Slow).url, "-x", "hi")
        assert (done.returncode, done.stdout) == (0, b"hi\n")

    def test_fewer_messages_than_the_count(self, serve, command):
        done = command("-n", "3", serve(Talker).url, "-x", "hi", "-x", "enough")
        assert (done.returncode, done.stdout) == (1, b"hi\n")
        assert b"wsref: -n: the number of messages was 1, not 3\n" in done.stderr
        done = command("-n", "3", "--wait", "0.1", serve(Talker).url)
        assert (done.returncode, done.stdout) == (1, b"")

    def test_more_messages_than_the_count_are_no_warning(self, serve):
        class Flood(WebSocketHandler):
            def on_open(self):
                for _ in range(50):
                    self.send("x" * 100_000)

        done = as_process("-q", "-n", "1", serve(Flood).url)
        assert (done.returncode, len(done.stdout), done.stderr) == (0, 100_001, b"")

    def test_time_ends_a_silent_connection(self, serve):
        child = started("--max-time", "3", serve().url)
        with child:
            assert child.wait(DEADLINE) == 124
            assert b"wsref: --max-time: 3 s are over" in child.stderr.read()

    def test_time_ends_the_opening_handshake(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            done = as_process("--max-time", "0.5", f"ws://127.0.0.1:{listener.getsockname()[1]}/")
        assert (done.returncode, done.stderr) == (124, b"wsref: --max-time: no connection within 0.5 s\n")

    def test_time_ends_the_resolver(self, tmp_path):
        (tmp_path / "sitecustomize.py").write_text(
            "import socket, time\nsocket.getaddrinfo = lambda *_, **__: time.sleep(1000)\n"
        )
        path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
        done = as_process("--max-time", "0.5", "ws://example.invalid/", PYTHONPATH=path)
        assert (done.returncode, done.stderr) == (124, b"wsref: --max-time: no connection within 0.5 s\n")

    def test_time_ends_it_where_the_server_does_not_read(self, serve):
        stop = threading.Event()

        class Deaf(WebSocketHandler):
            def on_message(self, message):
                stop.wait(DEADLINE)

        try:
            done = in_shell(f"yes | $CONNECT --max-time 1 {serve(Deaf).url}")
        finally:
            stop.set()
        assert done.returncode == 124
        assert b"Traceback" not in done.stderr

    def test_time_ends_it_where_its_output_is_not_read(self, serve):
        child = started("--max-time", "1", serve().url, "--max-message-size", "9000000", "-x", "y" * 100_000)
        with child:
            assert child.wait(DEADLINE) == 124

    @pytest.mark.parametrize("data", [bytes(range(256)) * 1000, b"\n", b"\r\n\x00", "é".encode()])
    def test_bytes_in_and_bytes_out(self, serve, command, data):
        done = command("--binary", "-n", "1", serve().url, given=data)
        assert (done.returncode, done.stdout == data) == (0, True)

    def test_the_whole_input_is_one_binary_message(self, serve, command):
        messages = []

        class Handler(Echo):
            def on_message(self, message):
                messages.append(message)
                self.send("a text: é\n")

        url = serve(Handler).url
        done = command("-b", "-n", "1", url, given=b"a\nb")
        assert (done.returncode, done.stdout.decode(), messages) == (0, "a text: é\n", [b"a\nb"])
        done = command("-b", "-n", "1", "-x", os.fsdecode(b"\xff"), url)
        assert (done.returncode, messages[1:]) == (0, [b"\xff"])
        done = command("-b", "--wait", "0.1", url)
        assert (done.returncode, len(messages)) == (0, 2)

    def test_json_lines(self, serve, command):
        class Handler(Talker):
            def on_open(self):
                self.send(b"\x00\xff")
                self.send("\x1b[31mé\n")

        server = serve(Handler)
        done = command("--json", "-q", "-s", "chat", "--wait", "inf", server.url, "-x", "kick")
        lines = done.stdout.decode("ascii").splitlines()
        assert [json.loads(line) for line in lines] == [
            {"type": "open", "url": server.url + "/", "subprotocol": "chat", "extensions": None},
            {"type": "binary", "hex": "00ff"},
            {"type": "text", "data": "\x1b[31mé\n"},
            {"type": "close", "code": 4001, "reason": "you \x1b[31mare kicked", "clean": True, "by": "server"},
        ]
        assert done.returncode == 1
        done = command("--json", "-x", "vanish", "--wait", "inf", server.url)
        lost = {"type": "close", "code": 1006, "reason": "", "clean": False, "by": None}
        assert (done.returncode, json.loads(done.stdout.splitlines()[-1])) == (1, lost)

    def test_quiet_prints_errors_only(self, serve, command):
        url = serve(Talker).url
        assert command("-q", "-k", "-x", "hi", "-n", "1", url).stderr == b""
        assert command("-q", "-x", "enough", url).stderr == b""
        done = command("-q", "-x", "vanish", "--wait", "inf", url)
        assert done.stderr == b"the connection was lost: TCP ended without a Close (1006)\n"

    def test_a_message_over_our_limit_names_the_flag(self, serve, command):
        url = serve().url
        done = command("--max-message-size", "100", "-x", "x" * 101, "-n", "1", url)
        assert done.returncode == 1
        assert (
            b"a message of the server is larger than the limit of this client, 100 bytes (we sent 1009): "
            b"raise it by --max-message-size BYTES\n" in done.stderr
        )
        done = command("--max-message-size", "101", "-x", "x" * 101, "-n", "1", url)
        assert done.returncode == 0

    def test_short_forms(self, serve, command):
        requests = []

        class Handler(Talker):
            def check_request(self, request):
                requests.append(request)

        server = serve(Handler, allowed_origins=["http://h"])
        done = command("-H", "X-A: 1", "-s", "soap", "-s", "chat", "-o", "http://h", "-n", "1", "-x", "hi", server.url)
        assert done.returncode == 0, done.stderr
        headers = ("X-A", "Sec-WebSocket-Protocol", "Origin")
        assert [requests[0].headers.get(name) for name in headers] == ["1", "soap, chat", "http://h"]

    def test_no_history_in_a_pipe(self, serve, command, monkeypatch, tmp_path):
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
        command("--wait", "0.1", serve().url, given="hi\n")
        assert list(tmp_path.iterdir()) == []


class TestOnATerminalWithoutSignals:
    """As on Windows, whose consoles have no readline: a thread reads the lines."""

    @pytest.fixture
    def terminal_at(self, on_terminal):
        folders = [str(Path(__file__).parent / "other_system"), os.environ.get("PYTHONPATH", "")]
        system = {"PYTHONPATH": os.pathsep.join(filter(None, folders)), "WSREF_TEST_SYSTEM": "windows"}
        return lambda url, *arguments: on_terminal(url, *arguments, **system)

    def test_a_conversation(self, serve, terminal_at):
        server = serve(Talker)
        terminal = terminal_at(server.url)
        terminal.until("/help lists the commands\r\n")
        for typed, printed in [
            ("hello", "< hello\r\n"),
            ("/ping", r"Pong after [0-9]+\.[0-9] ms\r\n"),
            ("/binary 00 ff68", r"< \(binary, 3 bytes\) 00 ff 68\r\n"),
            ("/close 1005", "not done: close code 1005 may not be sent"),
            ("/nonsense", "unknown command /nonsense"),
        ]:
            terminal.until("> ")
            terminal.type(typed + "\r")
            terminal.until(printed)
        terminal.until("> ")
        server.broadcast("some news")
        terminal.until("\r< some news\r\n> ")
        terminal.type("\x04")
        terminal.until("we closed the connection: 1000 NORMAL")
        assert terminal.ends() == 0
        assert "Traceback" not in terminal.printed

    def test_a_message_that_comes_just_before_the_prompt_does_not_end_up_behind_it(self, monkeypatch):
        drawn, drawing, may_draw = [], threading.Event(), threading.Event()

        def draw(text):
            if "news" in text:
                drawing.set()
                may_draw.wait(DEADLINE)
            drawn.append(text)

        terminal = Terminal(None, None)
        monkeypatch.setattr(terminal, "_draw", draw)
        monkeypatch.setattr("builtins.input", lambda prompt="": drawn.append(f"input({prompt})"))
        printer = threading.Thread(target=terminal.print_above, args=("news",))
        printer.start()
        assert drawing.wait(DEADLINE)
        reader = threading.Thread(target=terminal._input)
        reader.start()
        reader.join(0.05)
        assert drawn == []
        may_draw.set()
        printer.join()
        reader.join()
        assert drawn == ["news\n", "\r> ", "input()"]

    @pytest.mark.parametrize(
        ("typed", "code"),
        [
            ("kick\rhalf", 1),
            pytest.param("enough\rhalf a line", 0, marks=slow),
            pytest.param("vanish\r", 1, marks=slow),
        ],
    )
    def test_a_server_that_closes_ends_it(self, serve, terminal_at, typed, code):
        terminal = terminal_at(serve(Talker).url)
        terminal.until("> ")
        terminal.type(typed)
        terminal.until("the server closed the connection|TCP ended without a Close")
        assert terminal.ends() == code
        assert not re.search("Traceback|Fatal", terminal.printed)

    def test_ctrl_c_is_130(self, serve, terminal_at):
        terminal = terminal_at(serve().url)
        terminal.until("> ")
        terminal.type("half\x03")
        terminal.until("we closed the connection: 1000 NORMAL")
        assert terminal.ends() == 130
        assert not re.search("Traceback|Fatal", terminal.printed)


@pytest.mark.skipif(
    os.environ.get("WSREF_TEST_SYSTEM") == "windows", reason="a terminal of Linux needs termios and signals"
)
class TestOnATerminal:
    """With readline, history and a prompt."""

    def test_a_conversation(self, serve, on_terminal):
        terminal = on_terminal(serve(Talker, compression=Compression()).url, "--subprotocol", "chat")
        terminal.until(r"connected to ws://127.0.0.1:[0-9]+/ \(subprotocol chat; permessage-deflate")
        terminal.until("/help lists the commands\r\n")
        for typed, printed in [
            ("hello", "< hello\r\n"),
            ("héllo 中文", "< héllo 中文\r\n"),
            ("//slash", "< /slash\r\n"),
            ("", r"< \(an empty text\)\r\n"),
            ("/ping", r"Pong after [0-9]+\.[0-9] ms\r\n"),
            ("/binary 00 ff68", r"< \(binary, 3 bytes\) 00 ff 68\r\n"),
            ("/binary xyz", "not done: a byte is two hex digits, as in /binary 00 ff 68690a, not 'xyz'"),
            ("/binary 0a", r"< \(binary, 1 byte\) 0a\r\n"),
            ("/binary 0", "not done: a byte is two hex digits"),
            ("/big 20", "< 0123456789abcdef0123\r\n"),
            ("/big 5000", r"\.\.\. \(5000 characters\)\r\n"),
            ("/big many", "not done: a size is a number of bytes"),
            ("/close 1005", "not done: close code 1005 may not be sent"),
            ("/close now", "not done: a close code is a number"),
            ("/nonsense", "unknown command /nonsense"),
            ("/help", "/close.*Ctrl-D"),
            ("evil", r"< \\x1b\[31mred\\r⏎\\x07\\u202e\r\n"),
        ]:
            terminal.until("> ")
            terminal.type(typed + "\r")
            if typed == "/help":
                terminal.until("(?s)" + printed)
            else:
                terminal.until(printed)
        terminal.until("> ")
        terminal.type("\x1b[A\x1b[A\x1b[A\x1b[A\x1b[A\x1b[A\x1b[A\x1b[A\r")  # up, eight times: history
        terminal.until("< 0123456789abcdef0123\r\n")
        terminal.type("/close 4000 bye\r")
        terminal.until("we closed the connection: 4000")
        assert terminal.ends() == 0
        assert "\x1b[31m" not in terminal.printed

    def test_a_message_does_not_mix_with_the_line_that_is_being_typed(self, serve, on_terminal):
        server = serve()
        terminal = on_terminal(server.url)
        terminal.until("> ")
        terminal.type("half a l")
        terminal.until("half a l")
        wait_until(lambda: server.handlers)
        server.broadcast("some news")
        terminal.until(re.escape("\r\x1b[J< some news\r\n> half a l"))
        terminal.type("ine\r")
        terminal.until("< half a line\r\n")
        terminal.until("> ")
        terminal.type("\x04")
        terminal.until("we closed the connection: 1000 NORMAL")
        assert terminal.ends() == 0

    @pytest.mark.parametrize(
        ("word", "code", "words"),
        [
            ("enough", 0, r"the server closed the connection: 1000 NORMAL 'enough'"),
            ("kick", 1, r"the server closed the connection: 4001 'you \x1b[31mare kicked'"),
            ("vanish", 1, r"the connection was lost: TCP ended without a Close (1006)"),
        ],
    )
    def test_a_server_that_closes_ends_it_in_the_middle_of_a_line(self, serve, on_terminal, word, code, words):
        terminal = on_terminal(serve(Talker).url)
        terminal.until("> ")
        terminal.type(f"{word}\rhalf a line")
        terminal.until(re.escape(words))
        assert terminal.ends() == code
        assert "Traceback" not in terminal.printed

    @slow
    def test_a_server_that_closes_at_once_ends_it_too(self, serve, on_terminal):
        class Handler(WebSocketHandler):
            def on_open(self):
                self.close(1000, "no time")

        for _ in range(5):
            terminal = on_terminal(serve(Handler).url)
            terminal.until("1000 NORMAL 'no time'")
            assert terminal.ends() == 0

    def test_ctrl_c_is_130_and_leaves_the_terminal_as_it_was(self, serve, on_terminal):
        terminal = on_terminal(serve().url)
        before = termios.tcgetattr(terminal.ours)
        terminal.until("> ")
        terminal.type("half")
        terminal.until("half")
        # CPython misses a signal just before readline waits; no human is that fast.
        wait_until(lambda: is_asleep(terminal.process.pid))
        terminal.type("\x03")
        terminal.until("we closed the connection: 1000 NORMAL")
        assert termios.tcgetattr(terminal.ours) == before
        assert terminal.ends() == 130
        assert "Traceback" not in terminal.printed

    def test_a_server_that_does_not_answer_the_close_is_waited_for_aloud(self, serve, on_terminal):
        gate = threading.Event()

        class Busy(Echo):
            def on_message(self, message):
                gate.wait(DEADLINE)

        terminal = on_terminal(serve(Busy).url)
        terminal.until("> ")
        terminal.type("hi\r")
        terminal.until("> ")
        terminal.type("\x04")
        try:
            terminal.until("waiting for the server's Close; Ctrl-C ends it at once\r\n")
            terminal.type("\x03")
            assert terminal.ends() == 130
            assert "Traceback" not in terminal.printed
        finally:
            gate.set()

    def test_colour_obeys_the_environment(self, serve, on_terminal):
        url = serve().url
        for environment, coloured in [({"NO_COLOR": ""}, True), ({"NO_COLOR": "1"}, False)]:
            terminal = on_terminal(url, **environment)
            terminal.until("> ")
            terminal.type("hi\r")
            terminal.until("< hi")
            terminal.until("> ")  # Ctrl-D is the end of the input only where a line begins
            terminal.type("\x04")
            terminal.ends()
            assert ("\x1b[32m" in terminal.printed) is coloured
            assert ("\x1b[2m" in terminal.printed) is coloured

    def test_pasted_lines_are_all_sent_in_order_while_replies_come(self, serve, on_terminal):
        received = []

        class Handler(Echo):
            def on_message(self, message):
                received.append(message)
                self.send(message)

        pasted = [f"line {n} {'x' * 40}" for n in range(500)]  # 24 kB, and a terminal holds 4
        terminal = on_terminal(serve(Handler).url)
        terminal.until("> ")
        writer = threading.Thread(target=terminal.type, args=("".join(f"{line}\r" for line in pasted),))
        writer.start()
        for line in pasted:
            terminal.until(f"< {line}")  # and perhaps, before its end, what the kernel echoes of the lines to come
        writer.join()
        assert received == pasted

    def test_a_signal_while_a_line_is_printed_neither_prints_the_next_one_first_nor_ends_it(self, monkeypatch):
        for name in ("signal", "siginterrupt", "pthread_sigmask"):
            monkeypatch.setattr(signal, name, lambda *_: None)
        printed = []

        class Interrupted(Prompt):
            def _draw(self, text):
                if not printed:
                    self._waiting.append(("second", SimpleQueue()))
                    self.ended.set()
                    self._may_end = True
                printed.append("begin")
                self._on_signal()
                printed.append(text)

        prompt = Interrupted(None, argparse.Namespace(no_history=True))
        prompt.print_above("first")
        assert printed == ["begin", "first\n", "begin", "second\n"]
        with pytest.raises(EOFError):
            prompt._on_signal()

    @pytest.mark.skipif(cursor_of_readline() is None, reason="this readline does not tell where the cursor is")
    @pytest.mark.parametrize(
        ("typed", "keys", "up", "back"),
        [
            ("typed", "\x02\x02", "", "\r\x1b[5C"),
            ("typed", "\x01", "", "\r\x1b[2C"),
            ("é中", "\x02", "", "\r\x1b[3C"),
            ("x" * 100, "\x01", "", "\r\x1b[1A\x1b[2C"),
            ("x" * 100, "\x02", "\x1b[1A", "\r\x1b[21C"),
            ("x" * 78, "", "\x1b[1A", " \r"),
        ],
    )
    def test_a_message_leaves_the_cursor_where_it_is(self, serve, on_terminal, typed, keys, up, back):
        server = serve()
        terminal = on_terminal(server.url)
        terminal.until("> ")
        terminal.type(typed)
        terminal.until("x" * 70 if len(typed) > 70 else typed)
        for key in keys:
            terminal.type(key)
            terminal.until("[\x08\r\x1b]")  # the cursor has moved
        wait_until(lambda: server.handlers)
        server.handlers[0].send("a message")
        screen = f"{up}\r\x1b[J< a message\r\n> {typed}{back}"
        terminal.until(re.escape(screen))

    def test_a_dumb_terminal_gets_no_escape_sequence(self, serve, on_terminal):
        server = serve()
        terminal = on_terminal(server.url, TERM="dumb")
        terminal.until("> ")
        terminal.type("typed")
        terminal.until("typed")
        wait_until(lambda: server.handlers)
        server.handlers[0].send("a message")
        terminal.until("\r< a message\r\n> typed")
        terminal.type("\r")
        terminal.until("< typed\r\n")
        terminal.type("/close\r")
        assert terminal.ends() == 0
        assert "\x1b" not in terminal.printed

    def test_many_messages_while_keys_are_typed(self, serve, on_terminal):
        server = serve()
        terminal = on_terminal(server.url)
        terminal.until("> ")
        wait_until(lambda: server.handlers)  # before that a broadcast does not reach it
        writer = threading.Thread(target=terminal.type, args=("abcdefgh" * 200,))
        writer.start()
        for n in range(500):
            server.broadcast(f"news {n}.")
        for n in range(500):
            terminal.until(f"< news {n}\\.")
        writer.join()
        terminal.type("\x01\x0bstill here\r")  # to the begin of the line, delete it
        terminal.until("< still here\r\n")

    def test_after_ctrl_z_and_fg_the_line_can_be_edited(self, serve, on_terminal):
        shell = on_terminal(command=["bash", "--norc", "-i"], PS1="SHELL ")
        shell.until("SHELL ")
        shell.type(f"{shlex.join(COMMAND)} {serve().url}\r")
        shell.until("commands\r\n> ")
        modes = termios.tcgetattr(shell.ours)
        shell.type("hXallo")
        shell.until("hXallo")
        wait_until(lambda: is_asleep(os.tcgetpgrp(shell.ours)))  # as with Ctrl-C
        shell.type("\x1a")
        shell.until("Stopped")
        shell.until("SHELL ")
        shell.type("fg\r")
        shell.until(re.escape("\r\x1b[J> hXallo"))
        assert termios.tcgetattr(shell.ours) == modes
        shell.type("\x01\x04\x04he\r")  # to the begin of the line, delete two characters
        shell.until("< heallo\r\n")
        shell.until("> ")
        shell.type("\x04")
        shell.until("we closed the connection: 1000 NORMAL")
        shell.until("SHELL ")
        shell.type("exit\r")
        shell.ends()

    def test_close_reasons_that_are_not_ascii(self, serve, on_terminal):
        reasons = []

        class Handler(Echo):
            def on_message(self, message):
                self.close(4000, message)

            def on_close(self, code, reason):
                reasons.append(reason)

        url = serve(Handler).url
        terminal = on_terminal(url)
        terminal.until("> ")
        terminal.type("/close 4000 à bientôt 再见\r")
        assert terminal.ends() == 0
        wait_until(lambda: reasons == ["à bientôt 再见"])
        terminal = on_terminal(url)
        terminal.until("> ")
        terminal.type("à bientôt 再见\r")
        terminal.until("the server closed the connection: 4000 'à bientôt 再见'")
        assert terminal.ends() == 1

    def test_a_typed_line_that_is_not_utf_8(self, serve, on_terminal, tmp_path):
        (tmp_path / "readline.py").write_text("raise ImportError")  # readline drops such bytes
        path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
        for encoding in ("utf-8:strict", "utf-8:surrogateescape"):
            terminal = on_terminal(serve().url, PYTHONIOENCODING=encoding, PYTHONPATH=path)
            terminal.until("> ")
            for line in (b"caf\xe9", b"//caf\xe9", b"/close 1000 caf\xe9"):
                os.write(terminal.ours, line + b"\r")
                terminal.until("not done: [^\\r]*UTF-8")
                terminal.until("> ")
            terminal.type("hi\r")
            terminal.until("< hi\r\n")

    @pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
    def test_no_key_sends_the_names_of_files(self, serve, on_terminal, tmp_path, locale):
        (tmp_path / "secret.txt").touch()
        terminal = on_terminal(serve().url, cwd=tmp_path, LC_ALL=locale, PYTHONPATH=str(ROOT))
        terminal.until("> ")
        terminal.type("日本語\r")  # its bytes are keys with Meta in the locale C: \xaa is Meta-*
        terminal.until("< 日本語\r\n")
        terminal.type("\x1b*\x1b?a\x1b=\tb\r")
        terminal.until(r"< a(\\t)?b\r\n")
        assert "secret" not in terminal.printed

    def test_the_history_is_kept_in_a_file(self, serve, on_terminal, tmp_path):
        url = serve().url

        def conversation(*keys, flags=()):
            terminal = on_terminal(url, *flags, XDG_STATE_HOME=str(tmp_path / "state"))
            terminal.until("> ")
            for line in keys:
                terminal.type(f"{line}\r")
                terminal.until("< .*\r\n")
                terminal.until("> ")
            terminal.type("\x04")
            assert terminal.ends() == 0
            return terminal.printed

        assert list(tmp_path.iterdir()) == []
        conversation("secret", flags=["--no-history"])
        assert list(tmp_path.iterdir()) == []
        conversation("first", "second é")
        file = tmp_path / "state/wsref/connect_history"
        assert file.read_text() == "first\nsecond é\n"
        assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
        assert "< first" in conversation("\x1b[A\x1b[A")
        assert file.read_text() == "first\nsecond é\nfirst\n"

    @pytest.mark.parametrize(
        "home",
        ["relative/path", pytest.param("/dev/null", marks=slow), pytest.param("/nonexistent", marks=slow)],
    )
    def test_no_place_for_the_history_is_no_error(self, serve, on_terminal, home):
        terminal = on_terminal(serve().url, XDG_STATE_HOME=home, HOME="/dev/null")
        terminal.until("> ")
        terminal.type("hi\r")
        terminal.until("< hi\r\n")
        terminal.until("> ")
        terminal.type("\x04")
        assert terminal.ends() == 0
        assert "Traceback" not in terminal.printed

    def test_a_count_and_a_time_end_the_prompt(self, serve, on_terminal):
        url = serve().url
        terminal = on_terminal(url, "-n", "2")
        terminal.until("> ")
        terminal.type("a\rb\rhalf a line")
        assert terminal.ends() == 0
        terminal = on_terminal(url, "--max-time", "3")
        terminal.until("> ")
        terminal.type("half a line")
        assert terminal.ends() == 124
        assert "Traceback" not in terminal.printed

    def test_one_text_has_no_prompt(self, serve, on_terminal):
        terminal = on_terminal(serve(Talker).url, "-q", "-x", "evil", "-n", "1")
        assert terminal.ends() == 0
        assert terminal.printed == "\\x1b[31mred\\r⏎\\x07\\u202e\r\n"

    def test_a_chat_of_two(self, serve, on_terminal):
        url = serve(Chat).url
        ann = on_terminal(f"{url}/?name=Ann")
        ann.until("< \\* Ann has joined")
        bob = on_terminal(f"{url}/?name=Bob")
        ann.until("< \\* Bob has joined")
        bob.until("Ann, Bob")
        bob.type("hi\r")
        ann.until("< Bob: hi")
        bob.until("< Bob: hi")
        bob.until("> ")
        bob.type("\x04")
        ann.until("< \\* Bob has left")


class TestErrors:
    """One clear line each; exit code 1, or 2 for a wrong command line"""

    def test_a_port_without_a_server(self, command):
        with free_port() as port:
            done = command(f"ws://127.0.0.1:{port}/")
        assert (done.returncode, done.stdout) == (1, b"")
        assert done.stderr.decode() == f"wsref: cannot connect: 127.0.0.1 port {port}: Connection refused\n"

    def test_no_such_host(self, command):
        done = command("ws://no.such.host.invalid/")
        assert (done.returncode, done.stderr.count(b"\n")) == (1, 1)
        assert b"wsref: no such host: 'no.such.host.invalid'" in done.stderr

    def test_a_server_that_says_nothing(self, command):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            done = command("--timeout", "0.3", f"ws://127.0.0.1:{listener.getsockname()[1]}/")
        assert (done.returncode, done.stderr.count(b"\n")) == (1, 1)
        assert b"wsref: no complete response to the opening handshake in time" in done.stderr

    def test_a_refusal_is_quoted(self, serve, command):
        class Handler(Echo):
            paths = ("/there",)

        done = command(serve(Handler).url + "/here")
        assert done.returncode == 1
        lines = done.stderr.decode().split("\n")
        assert lines[0] == "wsref: the server answered 404 Not Found, not 101 Switching Protocols"
        assert "  | - no handler for '/here'; there are /there (RFC 6455 §4.2.2)" in lines

    def test_an_untrusted_certificate_names_the_remedies(self, serve, command, certificate, monkeypatch):
        url = serve(ssl_context=tls_context(*certificate)).url
        done = command(url)
        assert (done.returncode, done.stderr.count(b"\n")) == (1, 1)
        assert b"self-signed certificate" in done.stderr
        assert b"--cafile" in done.stderr
        assert b"--insecure" in done.stderr
        monkeypatch.setenv("SSL_CERT_FILE", certificate[0])
        done = command(url, "-n", "1", "-x", "hi")
        assert (done.returncode, done.stdout) == (0, b"hi\n")
        monkeypatch.delenv("SSL_CERT_FILE")
        done = command(url, "--insecure", "-n", "1", "-x", "hi")
        assert (done.returncode, done.stdout) == (0, b"hi\n")
        assert done.stderr.startswith(b"warning: --insecure: ")

    def test_a_certificate_for_another_name(self, serve, command, certificate):
        url = serve(ssl_context=tls_context(*certificate)).url.replace("127.0.0.1", "127.1")
        done = command(url, "--cafile", certificate[0])
        assert (done.returncode, done.stderr.count(b"\n")) == (1, 1)
        assert b"not valid for '127.1'; connect to a name that it has, or accept any by --insecure" in done.stderr

    @pytest.mark.parametrize("content", [None, "no certificate"])
    def test_a_file_of_certificates(self, serve, command, certificate, tmp_path, content):
        url = serve(ssl_context=tls_context(*certificate)).url
        done = command(url, "--cafile", certificate[0], "-x", "hi", "-n", "1")
        assert (done.returncode, done.stdout) == (0, b"hi\n")
        file = tmp_path / "cert.pem"
        if content is not None:
            file.write_text(content)
        done = command(url, "--cafile", str(file))
        assert (done.returncode, done.stderr.count(b"\n")) == (1, 1)
        words = "cannot read" if content is None else "holds no certificate in PEM"
        assert words in done.stderr.decode()

    def test_ws_to_a_tls_port(self, serve, command, certificate):
        url = serve(ssl_context=tls_context(*certificate)).url.replace("wss:", "ws:")
        done = command(url + "/path?query")
        assert done.returncode == 1
        assert f"\n  (the port speaks TLS: try {url.replace('ws:', 'wss:')}/path?query)\n" in done.stderr.decode()

    def test_ws_to_a_port_that_ends_the_connection_without_tls(self, command):
        with socket.create_server(("127.0.0.1", 0)) as listener:

            def hang_up():
                with contextlib.suppress(OSError):
                    while True:
                        listener.accept()[0].close()

            thread = threading.Thread(target=hang_up)
            thread.start()
            done = command(f"ws://127.0.0.1:{listener.getsockname()[1]}/")
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
        assert done.returncode == 1
        assert b"wss://" not in done.stderr

    @pytest.mark.parametrize(
        ("location", "command_line"),
        [
            ("/there?a=b", "'ws://127.0.0.1:PORT/there?a=b'"),
            ("https://example.com/é", "wss://example.com/%C3%83%C2%A9"),
            ("http://[::1]/;touch%20x", "'ws://[::1]/;touch%20x'"),
            ("wss://example.com:444", "wss://example.com:444/"),
            ("https://user:password@example.com/", None),
            ("ftp://example.com/", None),
        ],
    )
    def test_a_redirect_is_named_with_the_command_to_repeat(self, serve, command, location, command_line):
        class Handler(Echo):
            def check_request(self, request):
                raise HTTPError(302, "elsewhere", headers={"Location": location.encode().decode("latin-1")})

        server = serve(Handler)
        done = command(server.url)
        assert done.returncode == 1
        repeat = rb"\(the server redirects; to follow: python -m wsref connect (.*)\)\n"
        found = re.search(repeat, done.stderr)
        assert done.stderr.count(b"redirects") == done.stderr.count(b"\n  (") == 1  # it is said once
        assert (found and found[1].decode().replace(str(server.server_address[1]), "PORT")) == command_line, done.stderr

    def test_wss_to_a_plain_port(self, serve, command):
        done = command(serve().url.replace("ws:", "wss:"))
        assert (done.returncode, done.stderr.count(b"\n")) == (1, 1)
        assert b"the port may not speak TLS: try ws://" in done.stderr

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ([], "required: URL"),
            (["--trace", "ws://h/"], "--trace: write it after the URL; 'ws://h/' would be the FILE to record in"),
            (["http://h/"], "did you mean ws://?"),
            (["localhost:8765"], "did you mean ws://localhost:8765?"),
            (["localhost"], "did you mean ws://localhost?"),
            (["127.0.0.1:8765/path?query"], "did you mean ws://127.0.0.1:8765/path?query?"),
            (["[::1]:8765"], "did you mean ws://[::1]:8765?"),
            (["wss:example.com"], "did you mean wss://example.com?"),
            (["ws:/example.com/a"], "did you mean ws://example.com/a?"),
            (["-n", "0", "ws://h/"], "a whole number above 0"),
            (["--max-message-size", "1e6", "ws://h/"], "a whole number above 0"),
            (["--max-time", "inf", "ws://h/"], "seconds are a number above 0"),
            (["--cafile", "f", "ws://h/"], "--cafile is for wss://"),
            (["ws://h/#x"], "no fragment"),
            (["--header", "nonsense", "ws://h/"], "a header is 'NAME: VALUE'"),
            (["--subprotocol", "a b", "ws://h/"], "a subprotocol is one word"),
            (["--subprotocol", "a", "--subprotocol", "a", "ws://h/"], "offer each subprotocol once"),
            (["--header", "Upgrade: x", "ws://h/"], "the handshake writes the header 'Upgrade' itself"),
            (["--origin", "a\nb", "ws://h/"], "not a header that HTTP can carry"),
            (["--timeout", "0", "ws://h/"], "seconds are a number above 0"),
            (["--wait", "soon", "ws://h/"], "seconds are a number above 0"),
            (["--max-time", "1e12", "ws://h/"], "seconds are a number above 0, at most 2,000,000, not '1e12'"),
            (["--wait", "1e12", "ws://h/"], "at most 2,000,000"),
        ],
    )
    def test_a_wrong_command_line_is_exit_code_2(self, arguments, words, capsys):
        try:
            code = main(["connect", *arguments])
        except SystemExit as ended:  # of argparse
            code = ended.code
        out, err = capsys.readouterr()
        assert (code, out) == (2, "")
        assert words in err

    @pytest.mark.parametrize(
        "url",
        [
            *("http://h/", "ftp://h/", "ws://user:secret@h/", "ws://h:99999/", "ws://::1/", "ws:///h", "ws://h/#x"),
            *("localhost:99999", "a b"),
        ],
    )
    def test_no_url_is_suggested_that_has_two_schemes_or_repeats_a_password(self, url, capsys):
        with pytest.raises(SystemExit):
            main(["connect", url])
        printed = capsys.readouterr().err
        assert f"//{url}" not in printed and "secret" not in printed

    def test_ctrl_c_while_connecting_is_130(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            child = subprocess.Popen(
                [*COMMAND, f"ws://127.0.0.1:{listener.getsockname()[1]}/"], stderr=subprocess.PIPE, env=ENVIRONMENT
            )
            with child:
                listener.settimeout(DEADLINE)
                sock, _ = listener.accept()
                with sock:
                    assert sock.recv(1) == b"G"
                    child.send_signal(signal.SIGINT)
                    assert child.wait(DEADLINE) == 130
                    assert child.stderr.read() == b""


class TestHelp:
    """``-h``"""

    def test_it_lists_the_flags_and_the_commands(self, capsys):
        with pytest.raises(SystemExit) as caught:
            main(["connect", "-h"])
        assert caught.value.code == 0
        printed = capsys.readouterr().out
        for word in ("--header", "--subprotocol", "--origin", "--insecure", "--timeout", "--no-compression", "--wait"):
            assert word in printed
        for word in ("/ping", "/close", "/binary", "/big", "//TEXT", "in hex", "exit code"):
            assert word in printed

    def test_the_commands_list_it(self, capsys):
        with pytest.raises(SystemExit):
            main(["-h"])
        assert "connect to a WebSocket server, and talk to it" in capsys.readouterr().out


class TestEscapes:
    """Bytes from a peer are escaped before they reach a terminal"""

    def test_no_control_character_gets_through(self):
        everything = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x3000), *range(0xE000, 0x110000)]))
        assert escaped(everything).isprintable()
        assert escaped("a\nb\rc\x9bd\u2028e\u200f") == r"a⏎b\rc\x9bd\u2028e\u200f"
        assert escaped("é中😀") == "é中😀"

    def test_a_long_message_is_cut(self):
        assert len(message_line("x" * 100_000)) < 2100
        assert len(message_line(bytes(100_000))) < 6100
        assert message_line(bytes(100_000)).startswith("(binary, 100000 bytes) 00 00 ")
        assert message_line(bytes(100_000)).endswith(" 00 ...")

    def test_columns(self):
        assert [columns(text) for text in ("", "abc", "中文", "e\u0301", "😀")] == [0, 3, 4, 1, 2]
