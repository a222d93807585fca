"""``python -m wsref decode``: every form of pasted bytes, and the printed picture."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import re
import subprocess
import sys
import textwrap
import time
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vectors import close, frame, prop, text

from wsref.cli.decode import PasteError, parse_paste
from wsref.cli.main import main
from wsref.wire.describe import explain

HELLO = bytes.fromhex("818537fa213d7f9f4d5158")
LONG = frame(2, bytes(range(256)) + b"abcdef" * 3)  # letters that look like hex


class Terminal(io.StringIO):
    def isatty(self):
        return True


def decode(capsys, monkeypatch, *arguments, stdin=""):
    """Exit code, standard output, standard error."""
    data = stdin if isinstance(stdin, bytes) else stdin.encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    code = main(["decode", *arguments])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


@pytest.fixture
def run(capsys, monkeypatch):
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    return lambda *arguments, stdin="": decode(capsys, monkeypatch, *arguments, stdin=stdin)


# -- The output of common tools, written here by their rules


def letters(row):
    return "".join(chr(octet) if 0x20 <= octet < 0x7F else "." for octet in row)


def rows(data):
    return [(at, data[at : at + 16]) for at in range(0, len(data), 16)]


def xxd(data):
    lines = []
    for at, row in rows(data):
        groups = " ".join(row[i : i + 2].hex() for i in range(0, len(row), 2))
        lines.append(f"{at:08x}: {groups:39}  {letters(row)}")
    return "\n".join(lines) + "\n"


def hexdump(data):
    lines = []
    for at, row in rows(data):
        hexes = f"{row[:8].hex(' '):23}  {row[8:].hex(' '):23}"
        lines.append(f"{at:08x}  {hexes}  |{letters(row)}|")
    return "\n".join([*lines, f"{len(data):08x}", ""])


def wireshark(data):
    return "\n".join(f"{at:04x}   {row.hex(' '):47}   {letters(row)}" for at, row in rows(data)) + "\n"


def wireshark_stream(data):
    lines = (f"{at:08x}  {row[:8].hex(' '):23}  {row[8:].hex(' '):23}   {letters(row)}" for at, row in rows(data))
    return textwrap.indent("\n".join(lines), "    ")


FORMS = {
    "a hex stream": lambda data: data.hex(),
    "upper case": lambda data: data.hex().upper(),
    "spaces": lambda data: data.hex(" "),
    "colons": lambda data: data.hex(":"),
    "dashes": lambda data: data.hex("-"),
    "commas": lambda data: data.hex(","),
    "one 0x": lambda data: "0x" + data.hex(),
    "0x each": lambda data: " ".join(f"0x{octet:02x}" for octet in data),
    "0x without zeros": lambda data: ", ".join(f"{octet:#x}" for octet in data),
    "lines": lambda data: data.hex("\n") + "\r\n",
    "escapes": lambda data: "".join(f"\\x{octet:02x}" for octet in data),
    "escapes in quotes": lambda data: '"' + "".join(f"\\x{octet:02x}" for octet in data) + '"',
    "escapes whose backslashes a shell removed": lambda data: "".join(f"x{octet:02x}" for octet in data),
    "Python's bytes": repr,
    "Python's bytearray": lambda data: repr(bytearray(data)),
    "Python's fromhex": lambda data: f'bytes.fromhex("{data.hex(" ")}")',
    "Python's list": lambda data: "[" + ", ".join(f"0x{octet:02x}" for octet in data) + "]",
    "Python's list of decimals": lambda data: str(list(data)),
    "bytes of a list": lambda data: f"bytes({list(data)})",
    "JavaScript's Uint8Array": lambda data: f"Uint8Array({len(data)}) {list(data)}",
    "JavaScript's new Uint8Array": lambda data: f"new Uint8Array({list(data)});",
    "Node's Buffer": lambda data: f"<Buffer {data.hex(' ')}>",
    "C": lambda data: f"unsigned char frame[{len(data)}] = {{{', '.join(f'0x{octet:02X}' for octet in data)}}};",
    "C, many lines": lambda data: "uint8_t x[] = {\n  " + ",\n  ".join(f"0x{octet:02x}" for octet in data) + ",\n};\n",
    "xxd": xxd,
    "hexdump -C": hexdump,
    "Wireshark's hex dump": wireshark,
    "Wireshark's stream": wireshark_stream,
    "tabs and blanks around": lambda data: f"\t {data.hex(' ')} \n\n",
}


class TestPastes:
    """Every form gives the same bytes"""

    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize("data", [HELLO, HELLO * 3, LONG, close(1000, "abcdef"), b"\x81\x0eabcdefabcdefab"])
    def test_of_all_forms(self, form, data):
        assert parse_paste(FORMS[form](data)) == data

    @prop
    @given(st.binary(min_size=1, max_size=70), st.sampled_from(sorted(FORMS)))
    def test_of_any_bytes(self, data, form):
        assert parse_paste(FORMS[form](data)) == data

    @pytest.mark.parametrize("program, arguments", [("xxd", []), ("xxd", ["-p"]), ("xxd", ["-i"]), ("hexdump", ["-C"])])
    def test_of_the_tools_themselves(self, program, arguments):
        try:
            done = subprocess.run([program, *arguments], input=LONG, capture_output=True, check=True)
        except FileNotFoundError:
            pytest.skip(f"{program} is not installed")
        assert parse_paste(done.stdout.decode()) == LONG

    def test_hexdump_writes_a_star_for_lines_like_the_last(self):
        dump = "00000000  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|\n*\n"
        assert (
            parse_paste(dump + "00000040  81                                                |.|\n00000041\n")
            == bytes(64) + b"\x81"
        )

    def test_a_star_with_a_huge_offset_is_bounded(self):
        line = "0000000000000000  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|\n*\n"
        assert len(parse_paste(line + "7fffffffffffffff\n")) <= 2 << 20

    def test_letters_between_escapes_are_letters(self):
        assert parse_paste(r"\x81\x05Hello") == b"\x81\x05Hello"
        assert parse_paste(r"b'\x89\x02\r\n'") == b"\x89\x02\r\n"

    def test_http_as_text_gets_its_line_ends_and_its_empty_line_back(self):
        assert parse_paste("GET / HTTP/1.1\nHost: x\n") == b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
        assert parse_paste("HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody\nmore") == b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody\nmore"

    @pytest.mark.parametrize("words", ["", " \n", "[]", "{}", "0x", "<>"])
    def test_an_empty_paste_has_no_bytes_or_is_an_error(self, words):
        try:
            assert parse_paste(words) == b""
        except PasteError as error:
            assert "not hex" in str(error)

    @pytest.mark.parametrize(
        "paste, words",
        [
            ("81 0g", "this is not hex: 'g' at line 1, column 5"),
            ("81 05\n48 zz", "this is not hex: 'z' at line 2, column 4"),
            ("8105é", r"this is not hex: '\xe9' at line 1, column 5"),
            ("81 05 4", "half a byte: '4' at line 1, column 7; a byte is two hex digits"),
            ("81054", "half a byte: '81054' at line 1, column 1; a byte is two hex digits"),
            ("[129, 256]", "a byte is a number from 0 to 255, not 256"),
            (r"\x81\q", r"this escape is unknown: '\\q' at line 1, column 5"),
            ("0000   81 05   ..\nhello", "line 2 is not offset and hex, as in a dump: 'hello'"),
            ("\x1b[31m", r"this is not hex: '\x1b' at line 1, column 1"),
        ],
    )
    def test_an_error_names_the_character_and_its_place(self, paste, words):
        with pytest.raises(PasteError) as caught:
            parse_paste(paste)
        assert str(caught.value) == words

    @prop
    @given(st.text(max_size=80))
    def test_any_text_is_bytes_or_a_printable_error(self, words):
        try:
            parse_paste(words)
        except PasteError as error:
            assert str(error).isprintable()
            assert str(error).isascii()

    @pytest.mark.parametrize(
        "unit", ["81 05 ", "\\x81", "0x81, ", "[1, ", "x", "a ", "((", "1,", '"', "<Buffer ", "A B "]
    )
    def test_the_cost_is_linear(self, unit):
        def cost(size):
            """CPU seconds, the best of three: other processes only make it slower."""
            took = []
            for _ in range(3):
                began = time.process_time()
                with contextlib.suppress(PasteError):
                    parse_paste(unit * size)
                took.append(time.process_time() - began)
            return min(took)

        assert cost(160_000) < 40 * cost(20_000) + 0.02, "eight times the text: 8 if linear, 64 if quadratic"


class TestCommand:
    """``python -m wsref decode``"""

    def test_bytes_as_arguments_and_from_standard_input_print_the_same(self, run):
        code, out, err = run("8185", "37fa213d", "7f9f4d5158")
        assert (code, err) == (0, "")
        assert out == explain(HELLO)[0].text() + "\n"
        assert run(stdin=xxd(HELLO)) == (0, out, "")
        assert run("-", stdin=HELLO.hex()) == (0, out, "")

    def test_several_frames_have_an_empty_line_between_them(self, run):
        _, out, _ = run((HELLO + frame(9)).hex())
        assert "Hello\n\nPING frame" in out

    @pytest.mark.parametrize(
        "arguments, code",
        [
            (["8105 48656c6c6f"], 0),
            (["8105 48656c6c6f", "--server"], 0),
            (["8105 48656c6c6f", "--client"], 1),
            (["8100", "--client"], 1),
            (["8304 00000000"], 1),
            (["8105 4865"], 0),  # the received part is valid
            (["c107 f248cdc9c90700"], 0),
            (["c107 f248cdc9c90700", "--deflate", "off"], 1),
            (["c107 f248cdc9c90700", "--deflate", "client_no_context_takeover; server_max_window_bits=10"], 0),
            (["GET / HTTP/1.1\nHost: x"], 0),
            (["GET / HTTP/1.1"], 1),
            (["16 03 01 02 00"], 1),
            (["xyz"], 2),
            ([""], 2),
            (["81 0"], 2),
        ],
    )
    def test_exit_codes(self, run, arguments, code):
        assert run(*arguments)[0] == code

    def test_no_bytes_is_an_error_with_an_example(self, run):
        code, out, err = run()
        assert (code, out) == (2, "")
        assert err == "wsref: no bytes; try: python -m wsref decode 81 05 48 65 6c 6c 6f\n"

    def test_a_paste_that_is_not_hex_is_one_line_on_standard_error(self, run):
        code, out, err = run("hello")
        assert (code, out) == (2, "")
        assert err == "wsref: this is not hex: 'h' at line 1, column 1\n"

    @pytest.mark.parametrize("arguments", [["--client", "--server"], ["--svg", "--json"], ["--deflate", "x=1"]])
    def test_flags_that_make_no_sense_are_usage(self, run, arguments):
        with pytest.raises(SystemExit) as caught:
            run("8105", *arguments)
        assert caught.value.code == 2

    def test_base64(self, run):
        packed = base64.b64encode(HELLO).decode()
        assert run("--base64", packed)[1] == run(HELLO.hex())[1]
        assert run("--base64", packed.rstrip("="))[1] == run(HELLO.hex())[1]
        assert run("--base64", stdin=packed[:4] + "\n" + packed[4:])[0] == 0
        code, _, err = run("--base64", "!!!")
        assert (code, err.startswith("wsref: this is not base64")) == (2, True)

    def test_a_key_judges_the_answer(self, run):
        answer = "HTTP/1.1 101 Switching Protocols\nUpgrade: websocket\nConnection: Upgrade\n"
        answer += "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        assert run(answer, "--key", "dGhlIHNhbXBsZSBub25jZQ==")[0] == 0
        assert run(answer, "--key", "AAAAAAAAAAAAAAAAAAAAAA==")[0] == 1

    def test_svg_is_one_document_however_many_frames(self, run):
        code, out, _ = run("--svg", (HELLO + frame(9)).hex())
        assert code == 0
        assert ET.fromstring(out).tag == "{http://www.w3.org/2000/svg}svg"
        assert out.count("<svg") == 1

    def test_json(self, run):
        code, out, _ = run("--json", (HELLO + b"\x83\0").hex())
        hello, wrong = json.loads(out)
        assert code == 1
        assert (hello["one_line"], wrong["answer"]) == ("TEXT, FIN, masked, 5 bytes: 'Hello'", 1002)

    @pytest.mark.parametrize(
        "variables, coloured",
        [({}, False), ({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False)],
    )
    def test_without_a_terminal_force_color_decides(self, run, monkeypatch, variables, coloured):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        assert ("\x1b[" in run(HELLO.hex())[1]) is coloured

    @pytest.mark.parametrize("no_color, coloured", [("", True), ("1", False)])
    def test_a_terminal_gets_colour_without_no_color(self, run, monkeypatch, no_color, coloured):
        monkeypatch.setenv("NO_COLOR", no_color)
        monkeypatch.setattr(sys, "stdout", Terminal())
        main(["decode", HELLO.hex()])
        assert ("\x1b[" in sys.stdout.getvalue()) is coloured

    def test_no_line_is_wider_than_80_columns(self, run):
        for data in (HELLO, LONG, close(1006, "x" * 100), bytes.fromhex("f3ff") + bytes(8), text("你" * 60)):
            _, out, _ = run(data.hex())
            assert max(len(line) + len(re.findall("[你]", line)) for line in out.split("\n")) <= 80

    def test_nothing_hostile_reaches_the_terminal(self, run):
        _, out, _ = run((text("\x1b[31m\x9b\u202e") + close(4000, "\x1b]0;x\x07")).hex())
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", out)

    def test_a_mebibyte_from_standard_input(self, run):
        code, out, _ = run(stdin=frame(2, bytes(1 << 20)).hex())
        assert code == 0
        assert len(out) < 5000

    def test_as_a_process_in_an_ascii_locale_and_into_a_pipe_that_closes(self):
        command = [sys.executable, "-m", "wsref", "decode", HELLO.hex()]
        done = subprocess.run(command, capture_output=True, env={**os.environ, "PYTHONIOENCODING": "ascii"}, timeout=30)
        assert (done.returncode, done.stderr) == (0, b"")
        assert b"Hello" in done.stdout
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, timeout=30)
        os.close(writer)
        assert done.stderr == b""

    def test_help_names_the_flags_and_the_exit_codes(self, capsys):
        with pytest.raises(SystemExit):
            main(["decode", "-h"])
        printed = capsys.readouterr().out
        for word in ("--client", "--server", "--key", "--deflate", "--svg", "--json", "--base64", "xxd", "Exit code"):
            assert word in printed
