"""``python -m wsref`` as a process: its output, its errors, its end."""

from __future__ import annotations

import contextlib
import errno
import io
import logging
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading

import pytest
from conftest import DEADLINE, free_port, wait_until
from rawclient import CLOSE, TEXT, RawClient, close, text

from wsref import Limits, __version__
from wsref.cli import serve
from wsref.cli.main import build_parser, main
from wsref.cli.serve import limits_table
from wsref.cli.terminal import set_up_log

ENVIRONMENT = {**os.environ, "PYTHONUNBUFFERED": "1"}
ENVIRONMENT.pop("FORCE_COLOR", None)


def command(*arguments, **options):
    options.setdefault("env", ENVIRONMENT)
    return subprocess.run(
        [sys.executable, "-m", "wsref", *arguments], capture_output=True, text=True, timeout=DEADLINE, **options
    )


class Served:
    """A running ``python -m wsref``; a thread collects its log."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "wsref", *arguments, "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # nohup may run the tests
        )
        self.first = self.process.stdout.readline()
        found = re.search(r"(https?)://([^/]+):([0-9]+)/", self.first)
        assert found, self.first + self.process.stderr.read()
        self.address = (found[2].strip("[]"), int(found[3]))
        self.log = ""
        self.clients = []
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self):
        for line in self.process.stderr:
            self.log += line

    def dial(self, **options):
        """A client of this server, closed in the end."""
        self.clients.append(RawClient(self.address, **options))
        return self.clients[-1]

    def end(self, number=signal.SIGINT):
        """Send the signal; the exit code."""
        self.process.send_signal(number)
        return self.process.wait(DEADLINE)


@pytest.fixture
def served():
    with contextlib.ExitStack() as stack:

        def start(*arguments):
            server = Served(*arguments)

            @stack.callback
            def tidy():
                for client in server.clients:
                    client.socket.close()
                server.process.kill()
                server.process.wait()
                server.reader.join()
                server.process.stdout.close()
                server.process.stderr.close()

            return server

        yield start


class TestServe:
    """``python -m wsref``, which is ``python -m wsref serve``."""

    def test_it_prints_the_one_url_to_open(self, served):
        server = served()
        assert re.fullmatch(r"Open http://127\.0\.0\.1:[0-9]+/ in a browser\.  Ctrl-C ends it\.\n", server.first)

    def test_it_serves_echo_and_chat(self, served):
        server = served("serve")
        client = server.dial()
        client.open("/echo")
        client.send(text("hi"))
        assert client.frame() == (TEXT, b"hi")
        chat = server.dial()
        chat.open("/chat?name=Ann")
        assert chat.frame() == (TEXT, b"* Ann has joined; here: Ann")

    @pytest.mark.parametrize(
        "number",
        [
            signal.SIGINT,
            signal.SIGTERM,
            pytest.param(
                signal.SIGHUP,
                marks=pytest.mark.skipif(
                    os.environ.get("WSREF_TEST_SYSTEM") == "windows", reason="Windows has no such signal"
                ),
            ),
        ],
    )
    def test_a_signal_sends_1001_to_everyone_and_exits_0_at_once(self, served, number):
        server = served()
        clients = [server.dial() for _ in range(5)]
        for client in clients:
            client.open()
        saw = []

        def answer(client):
            opcode, payload = client.frame()
            saw.append((opcode, payload[:2]))
            client.send(close(1001))
            assert client.rest() == b""
            client.socket.close()

        threads = [threading.Thread(target=answer, args=(client,)) for client in clients]
        for thread in threads:
            thread.start()
        code = server.end(number)
        for thread in threads:
            thread.join()
        assert code == 0
        assert saw == [(CLOSE, b"\x03\xe9")] * 5
        again = socket.create_server(server.address)  # the port is free at once
        again.close()

    def test_ctrl_c_ends_it_though_clients_do_not_answer(self, served):
        server = served()
        clients = [server.dial() for _ in range(3)]
        for client in clients[:2]:
            client.open()  # the third sends nothing
        assert server.end() == 0
        assert "Traceback" not in server.log

    def test_a_second_ctrl_c_ends_it_at_once_with_130(self, served):
        server = served()
        client = server.dial()
        client.open()
        server.process.send_signal(signal.SIGINT)
        assert client.frame()[0] == CLOSE  # it waits for our Close
        assert server.end() == 130

    def test_the_limits_of_the_command_line_hold(self, served):
        server = served("--max-message-size", "10", "--max-connections", "1")
        client = server.dial()
        client.open()
        second = server.dial()
        assert second.rest().startswith(b"HTTP/1.1 503 ")
        client.send(text("x" * 11))
        code, reason = client.closed()
        assert code == 1009
        assert "declares 11 bytes; the message may have 10 more" in reason

    def test_the_flag_admits_a_page_of_another_origin(self, served):
        server = served("--allow-origin", "HTTPS://Example.com:443/")
        client = server.dial()
        client.open(Origin="https://example.com")

    @pytest.mark.parametrize(
        ("typed", "origin"),
        [
            ("HTTPS://Example.com:443/", "https://example.com"),
            ("http://example.com:443", "http://example.com:443"),
            ("http://[::1]:80", "http://[::1]"),
            ("app://x:80", "app://x:80"),
            ("null", "null"),
        ],
    )
    def test_an_origin_is_written_as_browsers_write_it(self, typed, origin):
        assert build_parser().parse_args(["serve", "--allow-origin", typed]).allow_origin == [origin]

    @pytest.mark.parametrize(("hard", "limit"), [(4096, 1256), (1100, 1100), (-1, 1256)])
    def test_the_limit_of_open_files_is_raised_as_far_as_it_may_be(self, monkeypatch, hard, limit):
        resource = pytest.importorskip("resource")  # Windows has none
        monkeypatch.setattr(resource, "getrlimit", lambda kind: (1024, hard if hard > 0 else resource.RLIM_INFINITY))
        changed = []
        monkeypatch.setattr(resource, "setrlimit", lambda kind, limits: changed.append(limits[0]))
        serve.raise_open_files_limit(1000)
        serve.raise_open_files_limit(100)
        assert changed == [limit]

    def test_it_speaks_tls_with_a_certificate(self, served, certificate):
        import ssl

        server = served("--certfile", certificate[0], "--keyfile", certificate[1])
        assert server.first.startswith("Open https://127.0.0.1:")
        client = server.dial(context=ssl.create_default_context(cafile=certificate[0]))
        client.open()
        client.send(text("hi"))
        assert client.frame() == (TEXT, b"hi")

    def test_ipv6(self, served):
        try:
            socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        except OSError:
            pytest.skip("there is no IPv6 here")
        server = served("--host", "::1")
        assert "http://[::1]:" in server.first
        client = server.dial()
        client.open(Origin="http://[::1]:1234", Host="[::1]:1")

    @pytest.mark.parametrize(("own", "words"), [("192.0.2.7", ": a phone, at http://192.0.2.7:80/"), (None, "")])
    def test_on_all_addresses_it_prints_the_one_for_another_machine(self, monkeypatch, own, words):
        monkeypatch.setattr(serve, "network_address", lambda: own)
        for every in ("0.0.0.0", "[::]"):
            printed = serve.startup_message(f"ws://{every}:80")
            assert printed.startswith("Open http://localhost:80/ in a browser.")
            assert printed.endswith(f"so others on your network can connect{words}")

    def test_the_address_for_another_machine_is_one_of_this_machine(self):
        if own := serve.network_address():  # without a network there is none
            with socket.create_server((own, 0)) as listener, socket.create_connection(listener.getsockname(), DEADLINE):
                pass

    def test_bytes_from_a_client_reach_the_log_escaped(self, served):
        server = served()
        client = server.dial()
        client.send(b"GET /\x1b[31m HTTP/1.1\r\nHost: x\r\n\r\n")
        client.rest()
        client = server.dial()
        client.open()
        client.send(close(4000, "\x1b[31m\r\nforged"))
        client.closed()
        client.socket.close()
        server.end()
        server.reader.join()
        assert "\x1b" not in server.log
        assert r"\x1b[31m\r\nforged" in server.log


class TestErrors:
    """One clear line each; exit code 1, or 2 for a wrong command line"""

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["--host", "no.such.host.invalid"], "no such host"),
            (["--host", "a" * 70], "not the name of a host"),
            (["--host", "é.."], "not the name of a host"),
            (["--step", "3", "--host", "a" * 70], "not the name of a host"),
            (["--step", "3", "--host", "é.."], "not the name of a host"),
            (["--step", "3", "--host", "192.0.2.1"], "not an address of this machine"),
            (["--step", "3", "--certfile", "CERTFILE"], "cannot read CERTFILE"),
            (["--host", "192.0.2.1"], "not an address of this machine"),
            (["--host", "[::1]"], "an address is written without brackets, scheme and port: --host ::1"),
            (["--host", "127.0.0.1:80"], "an address is written without brackets, scheme and port"),
            (["--host", "http://localhost/"], "an address is written without brackets, scheme and port"),
            (["--certfile", "/no/such/file"], "cannot read /no/such/file: No such file or directory"),
            (["--trace=/no/such/file"], "cannot write /no/such/file: No such file or directory"),
        ],
    )
    def test_a_failure_is_one_line_and_exit_code_1(self, arguments, words, capsys):
        assert main(arguments) == 1
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert err.startswith("wsref: ")
        assert words in err

    def test_other_reasons_why_it_cannot_listen(self):
        denied, other = OSError(errno.EACCES, "Permission denied"), OSError(errno.ENOBUFS, "No buffer space available")
        assert serve.explain_bind_error(denied, "::", 80) == (
            "cannot listen on :: port 80: not permitted (ports below 1024 belong to root)"
        )
        assert serve.explain_bind_error(other, "::", 80) == "cannot listen on :: port 80: No buffer space available"

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["--keyfile", "/no/such/file"], "--keyfile needs --certfile"),
            (["--max-message-size", "0"], "--max-message-size: it takes a whole number above 0, not '0'"),
            (["--max-message-size", "1e6"], "--max-message-size: it takes a whole number above 0, not '1e6'"),
            (["--max-connections", "-1"], "--max-connections: it takes a whole number above 0, not '-1'"),
            (["--trace", "--wire"], "--wire cannot be used with --trace"),
            (["--step", "3", "--host", "::1"], "the programs of the book speak no IPv6"),
            (["--source"], "say which, --step N"),
        ],
    )
    def test_options_that_do_not_go_together_are_exit_code_2(self, arguments, words, capsys):
        try:
            code = main(arguments)
        except SystemExit as ended:
            code = ended.code
        out, err = capsys.readouterr()
        assert (code, out) == (2, "")
        assert words in err

    @pytest.mark.parametrize(
        ("arguments", "code"),
        [
            (["--wire"], 2),
            (["--keyfile", "x"], 2),
            (["--host", "192.0.2.1"], 1),
            (["--step", "3", "--host", "::1"], 2),
            (["--step", "3", "--host", "192.0.2.1"], 1),
            (["--exchange", "redis://127.0.0.1:1/"], 1),
            (["connect", "ws://h/", "--cafile", "x"], 2),
            (["connect", "wss://h/", "--cafile", "/no/such/file"], 1),
        ],
    )
    def test_a_command_that_does_not_begin_keeps_an_earlier_recording(self, arguments, code, tmp_path):
        recording = tmp_path / "recording"
        recording.write_text("earlier")
        assert command(*arguments, "--trace", str(recording)).returncode == code
        assert recording.read_text() == "earlier"

    def test_a_new_recording_replaces_an_earlier_one(self, served, tmp_path):
        recording = tmp_path / "recording"
        recording.write_text("earlier")
        client = served("--trace", str(recording)).dial()
        assert recording.read_text() == ""
        client.open()
        assert recording.read_text().startswith('{"at": ')

    def test_a_busy_port(self):
        with socket.create_server(("127.0.0.1", 0)) as busy:
            done = command("--port", str(busy.getsockname()[1]))
        assert done.returncode == 1
        assert re.fullmatch(
            r"wsref: cannot listen on 127\.0\.0\.1 port \d+: it is in use; try another, --port \d+\n", done.stderr
        )

    def test_invalid_certificates_and_keys_that_do_not_match(self, certificate, tmp_path, capsys):
        cert, key = certificate
        other = tmp_path / "other.pem"
        subprocess.run(
            ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-out", str(other)],
            check=True,
            capture_output=True,
        )
        junk = tmp_path / "junk.pem"
        junk.write_text("no pem")
        locked = tmp_path / "locked.pem"
        subprocess.run(
            ["openssl", "pkey", "-in", key, "-aes128", "-passout", "pass:secret", "-out", str(locked)],
            check=True,
            capture_output=True,
        )
        for arguments, words in [
            ([cert, str(other)], "is not that of the certificate"),
            ([str(junk), key], "is not a certificate in PEM"),
            ([cert, str(locked)], "has a password"),
        ]:
            code, (_, err) = main(["--certfile", arguments[0], "--keyfile", arguments[1]]), capsys.readouterr()
            assert (code, err.count("\n")) == (1, 1), err
            assert words in err
        code, (_, err) = main(["--certfile", cert]), capsys.readouterr()
        assert (code, err.count("\n")) == (1, 1), err

    @pytest.mark.parametrize(
        "arguments",
        [
            ["--port", "http"],
            ["--port", "65536"],
            ["--nonsense"],
            ["nonsense"],
            ["--allow-origin", "example.com"],
            ["--step", "3", "--source", "--diff"],
        ],
    )
    def test_a_wrong_command_line_is_exit_code_2(self, arguments, capsys):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        out, err = capsys.readouterr()
        assert (ended.value.code, out) == (2, "")
        assert err.startswith("usage: python -m wsref")


class TestOutputThatCannotBeWritten:
    """A pipe without a reader, a full disk, a closed output"""

    @pytest.mark.parametrize(
        "shell",
        [
            ">/dev/full",
            "| true",
            *(pytest.param(one, marks=pytest.mark.slow) for one in (">&-", ">&- 2>&-", "2>&1 | true", "2>/dev/full")),
        ],
    )
    def test_it_serves_and_ends_well(self, shell, tmp_path):
        pid = tmp_path / "pid"

        def listening():
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return True

        with free_port() as port:
            serve = shlex.join([sys.executable, "-m", "wsref", "--port", str(port)])
            line = f"(echo $BASHPID > {shlex.quote(str(pid))}; exec {serve}; ) {shell}"
            shell_process = subprocess.Popen(["bash", "-c", line], env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)
            wait_until(listening)
            os.kill(int(pid.read_text()), signal.SIGTERM)
            assert "Traceback" not in shell_process.communicate(timeout=DEADLINE)[1]

    @pytest.mark.parametrize(
        "arguments",
        [
            "serve --step 3 --source",
            *(
                pytest.param(one, marks=pytest.mark.slow)
                for one in ("check --list", "check --gallery", "decode 810548656c6c6f", "exercise")
            ),
        ],
    )
    def test_a_full_disk_is_named_and_the_code_is_1(self, arguments):
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                [sys.executable, "-m", "wsref", *arguments.split()],
                stdout=full,
                stderr=subprocess.PIPE,
                env=ENVIRONMENT,
                text=True,
            )
        assert done.returncode == 1
        assert done.stderr.endswith("wsref: cannot write the output: No space left on device\n")
        assert "Traceback" not in done.stderr

    @pytest.mark.parametrize(
        ("arguments", "code"),
        [
            ("serve --source", 2),
            ("serve --host 192.0.2.1", 1),
            ("check ws://127.0.0.1:1/", 2),
            ("check --baseline /no/such/file ws://127.0.0.1:1/", 2),
            ("decode zz", 2),
            ("decode --replay /no/such/file", 1),
            ("connect -x hi ws://127.0.0.1:1/", 1),
            ("connect -x hi --cafile x ws://127.0.0.1:1/", 2),
        ],
    )
    @pytest.mark.parametrize("shell", ["2>/dev/full", pytest.param("2>&-", marks=pytest.mark.slow)])
    def test_the_code_is_the_same_where_standard_error_takes_nothing(self, arguments, code, shell):
        line = f"{shlex.quote(sys.executable)} -m wsref {arguments} {shell}"
        assert subprocess.run(["bash", "-c", line], env=ENVIRONMENT, timeout=DEADLINE).returncode == code

    def test_an_output_that_is_open_for_reading_only_is_named(self):
        with open(os.devnull) as reader:
            done = subprocess.run(
                [sys.executable, "-m", "wsref", "--step", "3", "--source"],
                stdout=reader,
                stderr=subprocess.PIPE,
                env=ENVIRONMENT,
                text=True,
            )
        assert (done.returncode, done.stderr) == (1, "wsref: cannot write the output: Bad file descriptor\n")

    def test_ctrl_c_at_any_other_moment_is_130_without_a_traceback(self, monkeypatch, capsys):
        def interrupted(options):
            raise KeyboardInterrupt

        monkeypatch.setattr("wsref.cli.exercise.run", interrupted)
        assert main(["exercise"]) == 130
        assert capsys.readouterr().err == "\nwsref: interrupted\n"

    def test_help_in_ascii(self):
        done = command("serve", "-h", env={**ENVIRONMENT, "LC_ALL": "C", "PYTHONIOENCODING": "ascii"})
        assert (done.returncode, done.stderr) == (0, "")


class TestNonBlockingStreams:
    """Another program made a pipe or a terminal non-blocking, and left it so"""

    @pytest.mark.parametrize("arguments", [["decode"], ["decode", "--replay", "-"]])
    def test_input_is_waited_for(self, arguments):
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        line = '{"at": 1, "peer": "x:1", "sent": false, "by_server": true, "data": "810141"}\n'
        with subprocess.Popen(
            [sys.executable, "-m", "wsref", *arguments],
            stdin=reader,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT,
            text=True,
        ) as process:
            wait_until(lambda: os.get_blocking(reader))
            os.write(writer, b"81 01 41" if arguments == ["decode"] else line.encode())
            os.close(writer)
            out, err = process.communicate(timeout=DEADLINE)
        os.close(reader)
        assert (process.returncode, "Traceback" in err) == (0, False), err
        assert "TEXT" in out

    @pytest.mark.parametrize("arguments", ["check --list -v", "decode " + "8100" * 100, "serve --step 11 --source"])
    def test_output_waits_for_its_reader(self, arguments):
        expected = command(*arguments.split()).stdout
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        with subprocess.Popen(
            [sys.executable, "-m", "wsref", *arguments.split()], stdout=writer, stderr=subprocess.PIPE, env=ENVIRONMENT
        ) as process:
            wait_until(lambda: os.get_blocking(writer))
            os.close(writer)
            with open(reader, encoding="utf-8") as output:
                assert output.read() == expected
            assert process.wait(DEADLINE) == 0


class TestHelp:
    """``-h`` and ``--version``."""

    def test_version(self, capsys):
        with pytest.raises(SystemExit) as ended:
            main(["--version"])
        assert (ended.value.code, capsys.readouterr().out) == (0, f"wsref {__version__}\n")

    def test_help_lists_the_commands_and_serve_its_flags_and_all_limits(self, capsys):
        for arguments, words in [(["-h"], ["serve"]), (["serve", "-h"], ["--allow-origin", "--max-connections"])]:
            with pytest.raises(SystemExit) as caught:
                main(arguments)
            assert caught.value.code == 0
            printed = capsys.readouterr().out
            assert all(word in printed for word in words)
        assert limits_table() in printed
        for name in Limits.__slots__:
            assert name in limits_table()

    @pytest.mark.parametrize(
        ("variables", "coloured"),
        [
            ({"FORCE_COLOR": "1"}, True),
            ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
            ({"FORCE_COLOR": "1", "TERM": "dumb"}, True),
            ({"TERM": "dumb"}, False),
            ({}, False),
        ],
    )
    def test_the_log_is_coloured_by_force_color_and_never_with_no_color(self, monkeypatch, variables, coloured):
        for name in ("FORCE_COLOR", "NO_COLOR", "TERM"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        stream = io.StringIO()
        set_up_log("info", stream)
        logging.getLogger("wsref").warning("x")
        assert ("\x1b[" in stream.getvalue()) is coloured
        assert "warning:" in stream.getvalue()
