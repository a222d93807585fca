"""``python -m wsref connect`` as a process: on a terminal, and as a filter."""

from __future__ import annotations

import codecs
import contextlib
import os
import pty
import re
import select
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import DEADLINE, free_port, wait_until

from wsref import Chat, Compression, Echo, WebSocketHandler, __version__
from wsref.cli.connect import escaped, message_line
from wsref.cli.main import main
from wsref.cli.serve import tls_context
from wsref.wire.words import columns

ENVIRONMENT = {**os.environ, "PYTHONUNBUFFERED": "1", "TERM": "xterm", "NO_COLOR": "1", "PYTHONUTF8": "1"}
ENVIRONMENT.pop("FORCE_COLOR", None)
COMMAND = [sys.executable, "-m", "wsref", "connect"]


def command(*arguments, given="", **environment):
    """Run it as a filter."""
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


def is_asleep(process):
    """Whether the main thread of a process sleeps, so it has read all its input."""
    try:
        stat = Path(f"/proc/{process.pid}/stat").read_text()
    except FileNotFoundError:  # not Linux
        state = subprocess.run(["ps", "-o", "state=", "-p", str(process.pid)], capture_output=True, text=True).stdout
    else:
        state = stat.rpartition(") ")[2]
    return state.startswith("S")


class OnTerminal:
    """The command with a pseudo-terminal for all three streams."""

    def __init__(self, *arguments, **environment):
        self.ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [*COMMAND, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**ENVIRONMENT, **environment},
            start_new_session=True,
            preexec_fn=lambda: __import__("fcntl").ioctl(0, __import__("termios").TIOCSCTTY, 0),
        )
        os.close(theirs)
        self.decode = codecs.getincrementaldecoder("utf-8")().decode
        self.printed = ""
        self.at = 0

    def type(self, keys):
        os.write(self.ours, keys.encode())

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

        def start(*arguments, **environment):
            terminal = OnTerminal(*arguments, **environment)
            stack.callback(terminal.tidy)
            return terminal

        yield start


class TestAsAFilter:
    """``echo hi | python -m wsref connect URL``"""

    def test_lines_go_out_and_messages_come_in(self, serve):
        done = command("--wait", "1", serve().url, given="hi\n\nhéllo €\nno newline")
        assert (done.returncode, done.stdout.decode()) == (0, "hi\n\nhéllo €\nno newline\n")
        assert re.fullmatch(
            r"connected to ws://127\.0\.0\.1:[0-9]+/\nwe closed the connection: 1000 NORMAL\n", done.stderr.decode()
        )

    def test_all_of_many_replies_come_back_in_order(self, serve):
        lines = "".join(f"line {n}\n" for n in range(20_000))
        done = command(serve(compression=Compression()).url, given=lines)
        assert (done.returncode, done.stdout.decode()) == (0, lines)

    def test_a_file_as_input(self, serve, tmp_path):
        file = tmp_path / "lines"
        file.write_text("a\nb\n")
        with file.open() as lines:
            done = subprocess.run(
                [*COMMAND, "--wait", "1", serve().url],
                stdin=lines,
                capture_output=True,
                timeout=DEADLINE,
                env=ENVIRONMENT,
            )
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

    def test_binary_is_hex_and_text_is_raw_through_a_pipe(self, serve):
        class Handler(WebSocketHandler):
            def on_open(self):
                self.send(b"\x00\xffh")
                self.send("\x1b[31mred\nline")
                self.close()

        done = command(serve(Handler).url)
        assert (done.returncode, done.stdout) == (0, b"00 ff 68\n\x1b[31mred\nline\n")

    def test_a_line_that_is_not_utf_8_is_reported_and_not_sent(self, serve):
        done = command("--wait", "1", serve().url, given=b"a\n\xff\nb\n")
        assert (done.returncode, done.stdout) == (0, b"a\nb\n")
        assert b"line 2 of the input is not UTF-8" in done.stderr

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
            wait_until(lambda: is_asleep(child))  # it waits for input; Ctrl-C before that is 130 as well
            child.send_signal(signal.SIGINT)
            assert child.wait(DEADLINE) == 130
            assert b"Traceback" not in child.stderr.read()
        assert seen == [1000]

    def test_the_flags_reach_the_server(self, serve):
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
            ("/binary xyz", "not done: non-hexadecimal"),
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

    def test_a_server_that_closes_at_once_ends_it_too(self, serve, on_terminal):
        class Handler(WebSocketHandler):
            def on_open(self):
                self.close(1000, "no time")

        for _ in range(5):
            terminal = on_terminal(serve(Handler).url)
            terminal.until("1000 NORMAL 'no time'")
            assert terminal.ends() == 0

    def test_ctrl_c_is_130_and_leaves_the_terminal_as_it_was(self, serve, on_terminal):
        import termios

        terminal = on_terminal(serve().url)
        before = termios.tcgetattr(terminal.ours)
        terminal.until("> ")
        terminal.type("half")
        terminal.until("half")
        # CPython misses a signal just before readline waits; no human is that fast.
        wait_until(lambda: is_asleep(terminal.process))
        terminal.type("\x03")
        terminal.until("we closed the connection: 1000 NORMAL")
        assert termios.tcgetattr(terminal.ours) == before
        assert terminal.ends() == 130
        assert "Traceback" not in terminal.printed

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

    def test_a_port_without_a_server(self):
        with free_port() as port:
            done = command(f"ws://127.0.0.1:{port}/")
        assert (done.returncode, done.stdout) == (1, b"")
        assert done.stderr.decode() == f"wsref: cannot connect: 127.0.0.1 port {port}: Connection refused\n"

    def test_no_such_host(self):
        done = command("ws://no.such.host.invalid/")
        assert (done.returncode, done.stderr.count(b"\n")) == (1, 1)
        assert b"wsref: no such host: 'no.such.host.invalid'" in done.stderr

    def test_a_server_that_says_nothing(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            done = command("--timeout", "0.3", f"ws://127.0.0.1:{listener.getsockname()[1]}/")
        assert (done.returncode, done.stderr.count(b"\n")) == (1, 1)
        assert b"wsref: no complete response to the opening handshake in time" in done.stderr

    def test_a_refusal_is_quoted(self, serve):
        class Handler(Echo):
            paths = ("/there",)

        done = command(serve(Handler).url + "/here")
        assert done.returncode == 1
        lines = done.stderr.decode().split("\n")
        assert lines[0] == "wsref: the server answered 404 Not Found, not 101 Switching Protocols"
        assert "  | - no handler for '/here'; there are /there (RFC 6455 §4.2.2)" in lines

    def test_an_untrusted_certificate_names_the_remedies(self, serve, certificate):
        url = serve(ssl_context=tls_context(*certificate)).url
        done = command(url)
        assert (done.returncode, done.stderr.count(b"\n")) == (1, 1)
        assert b"self-signed certificate" in done.stderr
        assert b"SSL_CERT_FILE" in done.stderr
        assert b"--insecure" in done.stderr
        done = command(url, "--wait", "1", given="hi\n", SSL_CERT_FILE=certificate[0])
        assert (done.returncode, done.stdout) == (0, b"hi\n")
        done = command(url, "--insecure", "--wait", "1", given="hi\n")
        assert (done.returncode, done.stdout) == (0, b"hi\n")
        assert done.stderr.startswith(b"warning: --insecure: ")

    def test_wss_to_a_plain_port(self, serve):
        done = command(serve().url.replace("ws:", "wss:"))
        assert (done.returncode, done.stderr.count(b"\n")) == (1, 1)
        assert b"the port may not speak TLS: try ws://" in done.stderr

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ([], "required: URL"),
            (["http://h/"], "did you mean ws://?"),
            (["localhost:8765"], "is ws://HOST:PORT/PATH"),
            (["ws://h/#x"], "no fragment"),
            (["--header", "nonsense", "ws://h/"], "a header is 'NAME: VALUE'"),
            (["--subprotocol", "a b", "ws://h/"], "a subprotocol is one word"),
            (["--subprotocol", "a", "--subprotocol", "a", "ws://h/"], "offer each subprotocol once"),
            (["--header", "Host: x", "ws://h/"], "the handshake writes the header 'Host' itself"),
            (["--origin", "a\nb", "ws://h/"], "not a header that HTTP can carry"),
            (["--timeout", "0", "ws://h/"], "seconds are a number above 0"),
            (["--wait", "soon", "ws://h/"], "seconds are a number above 0"),
        ],
    )
    def test_a_wrong_command_line_is_exit_code_2(self, arguments, words):
        done = command(*arguments)
        assert (done.returncode, done.stdout) == (2, b"")
        assert words in done.stderr.decode()

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

    def test_the_commands_list_it(self):
        done = subprocess.run([sys.executable, "-m", "wsref", "-h"], capture_output=True, text=True, env=ENVIRONMENT)
        assert "connect to a WebSocket server, and talk to it" in done.stdout
        assert __version__


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

    def test_columns(self):
        assert [columns(text) for text in ("", "abc", "中文", "e\u0301", "😀")] == [0, 3, 4, 1, 2]
