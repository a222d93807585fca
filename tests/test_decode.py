"""``python -m wsref decode``: every form of pasted bytes, and the printed picture."""

from __future__ import annotations

import base64
import contextlib
import gc
import gzip
import io
import json
import os
import re
import signal
import struct
import subprocess
import sys
import textwrap
import time
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vectors import close, frame, prop, text

from wsref.cli.forms import read_bytes, read_text
from wsref.cli.main import main
from wsref.cli.pasted import PasteError, pasted
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


#: A program that runs the command line, and says when it begins to read its standard input.
WAITS = """
import io, sys, time
from wsref.cli.main import main

class Keyboard(io.RawIOBase):
    def readable(self):
        return True

    def readinto(self, buffer):
        print("reading", file=sys.stderr, flush=True)
        while True:  # signal.pause() would miss a signal that comes just before it
            time.sleep(0.02)

sys.stdin = io.TextIOWrapper(io.BufferedReader(Keyboard()))
sys.exit(main(sys.argv[1:]))
"""


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


def xxd_bits(data):
    lines = []
    for at in range(0, len(data), 6):
        row = data[at : at + 6]
        lines.append(f"{at:08x}: {' '.join(f'{octet:08b}' for octet in row):53}  {letters(row)}")
    return "\n".join(lines) + "\n"


def xxd_include(data):
    inside = ",\n  ".join(", ".join(f"0x{octet:02x}" for octet in row) for _, row in rows(data))
    return f"unsigned char frame_bin[] = {{\n  {inside}\n}};\nunsigned int frame_bin_len = {len(data)};\n"


def od(data, base="o", number="{:02x}"):
    """od -t x1; with other arguments od -A x, od -A d, od -t u1, od -t o1."""
    width = 6 if base == "x" else 7
    lines = [f"{at:0{width}{base}} {' '.join(number.format(octet) for octet in row)}" for at, row in rows(data)]
    return "\n".join([*lines, f"{len(data):0{width}{base}}", ""])


def od_words(data, base="o"):
    """od -t x2, and with another base hexdump: numbers of two bytes, the low byte first."""
    lines = []
    for at, row in rows(data):
        full = row + bytes(len(row) % 2)
        words = " ".join(f"{full[n + 1]:02x}{full[n]:02x}" for n in range(0, len(full), 2))
        lines.append(f"{at:07{base}} {words}")
    return "\n".join([*lines, f"{len(data):07{base}}", ""])


def gdb(data, form="0x{:02x}"):
    lines = []
    for at in range(0, len(data), 8):
        name = f"<frame+{at}>" if at else "<frame>"
        numbers = "\t".join(form.format(octet) for octet in data[at : at + 8])
        lines.append(f"{0x555555558010 + at:#x} {name}:\t{numbers}")
    return "\n".join(lines)


def strace_string(data, form="octal"):
    """As strace writes it, or with -xx."""
    if form == "hex":
        return "".join(f"\\x{octet:02x}" for octet in data)
    named = {9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r", 34: '\\"', 92: "\\\\"}
    words = []
    for n, octet in enumerate(data):
        digit_follows = data[n + 1 : n + 2].isdigit()
        if octet in named:
            words.append(named[octet])
        elif 0x20 <= octet < 0x7F:
            words.append(chr(octet))
        else:
            words.append(f"\\{octet:03o}" if digit_follows else f"\\{octet:o}")
    return "".join(words)


def strace(data, form="octal"):
    half = len(data) // 2
    calls = [f'read(4, "{strace_string(part, form)}", 1024) = {len(part)}' for part in (data[:half], data[half:])]
    return "\n".join(calls) + "\n+++ exited with 0 +++\n"


def console(data):
    """The elements that Chrome lists when a long array is expanded."""
    lines = [f"Uint8Array({len(data)})"]
    for at in range(0, len(data), 100):
        lines.append(f"[{at} … {min(at + 99, len(data) - 1)}]")
        lines += [f"{at + n}: {octet}" for n, octet in enumerate(data[at : at + 100])]
    end = ["buffer: ArrayBuffer(300)", f"byteLength: {len(data)}", "[[Prototype]]: TypedArray"]
    return "\n".join([*lines, *end])


def signed(data):
    return ", ".join(str(octet - 256 if octet > 127 else octet) for octet in data)


def escaped_rows(data):
    """Wireshark's "as Escaped String"."""
    return " \\\n".join('"' + "".join(f"\\x{octet:02x}" for octet in row) + '"' for _, row in rows(data))


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
    "h": lambda data: " ".join(f"{octet:02X}h" for octet in data),
    "lines": lambda data: data.hex("\n") + "\r\n",
    "0b": lambda data: " ".join(f"0b{octet:08b}" for octet in data),
    "escapes": lambda data: "".join(f"\\x{octet:02x}" for octet in data),
    "escapes and spaces": lambda data: " ".join(f"\\x{octet:02x}" for octet in data),
    "escapes in quotes": lambda data: '"' + "".join(f"\\x{octet:02x}" for octet in data) + '"',
    "escapes in rows": escaped_rows,
    "escapes whose backslashes a shell removed": lambda data: "".join(f"x{octet:02x}" for octet in data),
    "octal escapes": lambda data: '"' + "".join(f"\\{octet:03o}" for octet in data) + '"',
    "PostgreSQL's bytea": lambda data: "\\x" + data.hex(),
    "Python's bytes": repr,
    "Python's bytearray": lambda data: repr(bytearray(data)),
    "Python's bytes in an assignment": lambda data: f"frame: bytes = {data!r}",
    "Python's fromhex": lambda data: f'bytes.fromhex("{data.hex(" ")}")',
    "Python's list": lambda data: "[" + ", ".join(f"0x{octet:02x}" for octet in data) + "]",
    "Python's list of decimals": lambda data: str(list(data)),
    "Python's tuple": lambda data: str(tuple(data)),
    "Python's array": lambda data: f"array('B', {list(data)})",
    "bytes of a list": lambda data: f"bytes({list(data)})",
    "JavaScript's Uint8Array": lambda data: f"Uint8Array({len(data)}) {list(data)}",
    "JavaScript's new Uint8Array": lambda data: f"new Uint8Array({list(data)});",
    "JavaScript's Buffer.from": lambda data: f"const frame = Buffer.from('{data.hex()}', 'hex');",
    "Chrome's long Uint8Array": console,
    "JSON's Buffer": lambda data: json.dumps({"type": "Buffer", "data": list(data)}),
    "JSON's Uint8Array": lambda data: json.dumps({str(n): octet for n, octet in enumerate(data)}, indent=2),
    "Node's Buffer": lambda data: f"<Buffer {data.hex(' ')}>",
    "Node's ArrayBuffer": lambda data: (
        f"ArrayBuffer {{\n  [Uint8Contents]: <{data.hex(' ')}>,\n  byteLength: {len(data)}\n}}"
    ),
    "C": lambda data: f"unsigned char frame[{len(data)}] = {{{', '.join(f'0x{octet:02X}' for octet in data)}}};",
    "C, many lines": lambda data: "uint8_t x[] = {\n  " + ",\n  ".join(f"0x{octet:02x}" for octet in data) + ",\n};\n",
    "C with comments": lambda data: (
        "char x[] = { /* 81 */\n" + ", ".join(f"0x{octet:02x}" for octet in data) + "}; // 05"
    ),
    "C's string": lambda data: f'const char *frame =\n  "\\{data[0]:03o}{strace_string(data[1:])}";',
    "Rust's array": lambda data: f"let frame: [u8; {len(data)}] = [{', '.join(f'{octet}u8' for octet in data)}];",
    "Rust's vec!": lambda data: f"vec![{', '.join(f'0x{octet:02x}' for octet in data)}]",
    "Rust's slice": lambda data: f"&{list(data)}",
    "Rust's byte string": lambda data: 'let frame = b"' + "".join(f"\\x{octet:02x}" for octet in data) + '";',
    "Go's numbers": lambda data: f"[{' '.join(map(str, data))}]",
    "Go's slice": lambda data: f"frame := []byte{{{', '.join(f'{octet:#x}' for octet in data)}}}",
    "Erlang": lambda data: f"<<{','.join(map(str, data))}>>",
    "Erlang in hex": lambda data: f"<<{', '.join(f'16#{octet:02X}' for octet in data)}>>.",
    "Elixir": lambda data: f"<<{', '.join(f'0x{octet:02X}' for octet in data)}>>",
    "Java's Arrays.toString": lambda data: f"[{signed(data)}]",
    "Java's bytes": lambda data: f"byte[] frame = {{{', '.join(f'(byte) 0x{octet:02x}' for octet in data)}}};",
    "Kotlin": lambda data: f"byteArrayOf({signed(data)})",
    "xxd": xxd,
    "xxd -b": xxd_bits,
    "xxd -i": xxd_include,
    "hexdump -C": hexdump,
    "hexdump": lambda data: od_words(data, "x"),
    "od -t x1": od,
    "od -A x -t x1": lambda data: od(data, "x"),
    "od -A d -t x1": lambda data: od(data, "d"),
    "od -A n -t x1": lambda data: "\n".join(" " + row.hex(" ") for _, row in rows(data)),
    "od -t x2": od_words,
    "od -t u1": lambda data: od(data, number="{:3}"),
    "od -t o1": lambda data: od(data, number="{:03o}"),
    "gdb's x/xb": gdb,
    "gdb's x/ub": lambda data: gdb(data, "{}"),
    "gdb's x/tb": lambda data: gdb(data, "{:08b}"),
    "gdb's print/x": lambda data: f"$1 = {{{', '.join(f'{octet:#x}' for octet in data)}}}",
    "strace": strace,
    "strace -xx": lambda data: strace(data, "hex"),
    "lines with a short offset": lambda data: "\n".join(f"{at:02x}: {row.hex(' ')}" for at, row in rows(data)),
    "Wireshark's hex dump": wireshark,
    "Wireshark's stream": wireshark_stream,
    "base64": lambda data: base64.b64encode(data).decode(),
    "base64 in quotes": lambda data: f'"{base64.b64encode(data).decode()}"',
    "tabs and blanks around": lambda data: f"\t {data.hex(' ')} \n\n",
}

#: The notations in which some bytes can be read in two ways: those are refused.
DOUBTFUL = {
    "a hex stream": "these digits may be binary or hex",  # 00000001
    "upper case": "these digits may be binary or hex",
    "Go's numbers": "these numbers may be hex or decimal",  # [81 10]
    "od -t o1": "these numbers may be octal or decimal",  # 100
    "od -t u1": "these numbers may be octal or decimal",
    "base64": "",  # a word
    "base64 in quotes": "",
}


def misread(form, data):
    """What a notation of bytes is read as, if it is not read rightly."""
    if form.startswith("base64") and re.fullmatch("[0-9a-fA-F]+", base64.b64encode(data).decode()):
        return None  # AAAA is hex
    try:
        found = read_text(FORMS[form](data))
    except PasteError as error:
        return None if form in DOUBTFUL and DOUBTFUL[form] in str(error) else f"{form}: {error}"
    return None if found.data == data else f"{form}: {found.words}: {found.data.hex(' ')}"


SAMPLES = [
    HELLO,
    HELLO * 3,
    LONG,
    close(1000, "abcdef"),
    b"\x81\x0eabcdefabcdefab",
    b"\x81",
    b"\x81\x05   a ",
    b"\x81\x03\"'\\",
]


class TestPastes:
    """Every notation gives the same bytes"""

    @pytest.mark.parametrize("form", FORMS)
    def test_of_frames(self, form):
        assert [wrong for data in SAMPLES if (wrong := misread(form, data))] == []

    @prop
    @given(st.binary(min_size=1, max_size=70))
    def test_of_any_bytes(self, data):
        assert [wrong for form in FORMS if (wrong := misread(form, data))] == []

    @prop
    @given(st.lists(st.sampled_from([0x00, 0x01, 0x10, 0x20, 0x30, 0x41, 0x61, 0x81, 0xFF]), min_size=1, max_size=40))
    def test_of_bytes_that_look_like_another_notation(self, octets):
        data = bytes(octets)
        wrong = [misread(form, data) for form in FORMS if form not in ("a hex stream", "upper case")]
        assert [words for words in wrong if words] == []

    TOOLS: ClassVar = [
        *("xxd", "xxd -p", "xxd -i", "xxd -b", "xxd -g 1", "xxd -c 32", "xxd -u", "xxd -s 16", "base64", "cat"),
        *("hexdump", "hexdump -C", "hexdump -b", "hexdump -x", "hexdump -o", "od", "od -b", "od -t x1", "od -t x1z"),
        *(
            "od -A x -t x1",
            "od -A d -t x1",
            "od -v -A n -t x1",
            "od -t u1",
            "od -t d1",
            "od -t x2",
            "od -t x4",
            "od -t x8",
        ),
    ]

    @pytest.mark.parametrize("command", TOOLS)
    def test_of_the_tools_themselves(self, command, tmp_path):
        data = LONG + bytes(100) + HELLO * 5  # the zeros become a "*"
        (tmp_path / "file").write_bytes(data)
        try:
            done = subprocess.run([*command.split(), "file"], cwd=tmp_path, capture_output=True, check=True)
        except FileNotFoundError:
            pytest.skip(f"{command.split()[0]} is not installed")
        assert read_bytes(done.stdout).data == (data[16:] if "-s 16" in command else data)

    @pytest.mark.parametrize(
        "command", ["xxd -e", "od -c", "hexdump -c", "hexdump -d", "od -t x1 -w8 -v -j3 -A n -t c"]
    )
    def test_what_the_tools_write_and_cannot_be_read_is_refused(self, command, tmp_path):
        (tmp_path / "file").write_bytes(LONG)
        try:
            done = subprocess.run([*command.split(), "file"], cwd=tmp_path, capture_output=True, check=True)
        except FileNotFoundError:
            pytest.skip(f"{command.split()[0]} is not installed")
        with pytest.raises(PasteError):
            read_bytes(done.stdout)

    def test_the_stars_of_a_dump_may_not_fill_the_memory(self):
        row, size = "  " + " ".join(["00"] * 16), 1 << 19
        paste = "\n*\n".join(f"{at:08x}{row}" for at in range(0, 8 * size, size))
        with pytest.raises(PasteError, match=r"line 7: the '\*' up to it stand for more than 1048576 bytes"):
            read_text(paste)
        assert len(read_text("\n".join(paste.split("\n")[:5])).data) == 2 * size + 16

    def test_hexdump_writes_a_star_for_lines_like_the_last(self):
        dump = "00000000  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|\n*\n"
        end = "00000040  81                                                |.|\n00000041\n"
        assert read_text(dump + end).data == bytes(64) + b"\x81"

    def test_a_star_with_a_huge_offset_is_refused(self):
        line = "0000000000000000  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|\n*\n"
        with pytest.raises(PasteError, match="does not count the 16 bytes before it"):
            read_text(line + "7fffffffffffffff\n")

    def test_letters_between_escapes_are_letters(self):
        assert read_text(r"\x81\x05Hello").data == b"\x81\x05Hello"
        assert read_text(r"b'\x89\x02\r\n'").data == b"\x89\x02\r\n"
        assert read_text(r"HTTP/1.1 200 OK\r\n\r\n").data == b"HTTP/1.1 200 OK\r\n\r\n"

    def test_a_number_that_a_terminal_wrapped_at_an_odd_column_is_one_number(self):
        wrapped = "\n".join(textwrap.wrap(LONG.hex(), 79))
        assert read_text(wrapped).data == LONG

    def test_a_file_of_powershell_is_utf_16(self):
        assert read_bytes(xxd(HELLO).encode("utf-16")).data == HELLO

    def test_bytes_that_are_no_text_are_read_as_they_are(self):
        request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
        for data in (HELLO, LONG, request + HELLO, b"\x01\x05Hello", b"\xff\xfe"):
            assert read_bytes(data) == pasted("raw bytes", data)

    @pytest.mark.parametrize("words", ["", " \n", "[]", "{}", "0x", "<>"])
    def test_an_empty_paste_has_no_bytes_or_is_an_error(self, words):
        try:
            assert read_text(words).data == b""
        except PasteError as error:
            assert "not hex" in str(error)


class TestHttp:
    """HTTP as text: its line ends, curl -v, DevTools"""

    REQUEST = "GET /chat?x=1 HTTP/1.1\nHost: example\nUpgrade: websocket\n"
    ANSWER = "HTTP/1.1 101 Switching Protocols\nUpgrade: websocket\n"

    def test_it_gets_its_line_ends_and_its_empty_line_back_and_a_note_says_so(self):
        found = read_text("GET / HTTP/1.1\nHost: x\n")
        assert found.data == b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
        assert found.words == "HTTP as text, 27 bytes; line ends restored"

    def test_exact_bytes_stay_as_they_are(self):
        data = "HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody\n\nmore\r\n"
        assert read_text(data) == pasted("HTTP as text", data.encode())

    @pytest.mark.parametrize(
        "line, path",
        [
            ("GET ws://example:80/chat?x=1 HTTP/1.1", "/chat?x=1"),
            ("GET wss://example HTTP/1.1", "/"),
            ("GET ws://example?x HTTP/1.1", "/?x"),
            ("GET http://[::1]:8765/a#b HTTP/1.1", "/a"),
        ],
    )
    def test_devtools_shows_the_url_in_the_place_of_the_path(self, line, path):
        found = read_text(f"{line}\nHost: example\n")
        assert found.data == f"GET {path} HTTP/1.1\r\nHost: example\r\n\r\n".encode()
        assert f"the request line has only the path, '{path}': DevTools shows the whole URL" in found.words

    def test_a_request_and_its_answer_are_two_pieces(self):
        request, answer = read_text(f"{self.REQUEST}\n{self.ANSWER}").pieces
        assert (request.by_client, answer.by_client) == (True, False)
        assert request.data == self.REQUEST.replace("\n", "\r\n").encode() + b"\r\n"
        assert answer.data == self.ANSWER.replace("\n", "\r\n").encode() + b"\r\n"

    @prop
    @given(st.lists(st.sampled_from(["Host: x", "Upgrade: websocket", "A: > b"]), max_size=4), st.integers(1, 3))
    def test_curl_v(self, headers, exchanges):
        lines = ["*   Trying 127.0.0.1:8765...", "* Connected to 127.0.0.1 (127.0.0.1) port 8765 (#0)"]
        for _ in range(exchanges):
            lines += [f"> {line}" for line in ["GET / HTTP/1.1", *headers]] + ["> ", "* Mark bundle"]
            lines += [f"< {line}" for line in ["HTTP/1.1 426 Upgrade Required", *headers]] + ["< ", "{ [5 bytes data]"]
        found = read_text("\n".join([*lines, "* Closing connection 0"]))
        end = "".join(f"\r\n{line}" for line in headers) + "\r\n\r\n"
        assert [piece.data.decode() for piece in found.pieces] == [
            f"GET / HTTP/1.1{end}",
            f"HTTP/1.1 426 Upgrade Required{end}",
        ] * exchanges
        assert {piece.conversation for piece in found.pieces} == set(range(1, exchanges + 1))

    def test_the_key_of_a_pasted_request_judges_the_answer(self, run):
        request = (
            "> GET / HTTP/1.1\n> Host: x\n> Connection: Upgrade\n> Upgrade: websocket\n> Sec-WebSocket-Version: 13\n"
        )
        request += "> Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n>\n"
        answer = "< HTTP/1.1 101 Switching Protocols\n< Upgrade: websocket\n< Connection: Upgrade\n"
        right = "< Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\n< \n"
        code, out, _ = run(stdin=request + answer + right)
        assert code == 0
        assert out.index("━━ the client ━━") < out.index("━━ the server ━━")
        assert "right: this server read the request" in out
        assert run(stdin=request + answer + right.replace("s3p", "S3p"))[0] == 1

    def test_curl_trace(self):
        head = b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8765\r\n\r\n"
        answer = [b"HTTP/1.1 426 Upgrade Required\r\n", b"Content-Length: 2\r\n", b"\r\n"]
        lines = ["== Info:   Trying 127.0.0.1:8765..."]
        for title, data in [("=> Send", head), *(("<= Recv", line) for line in answer)]:
            lines.append(f"{title} header, {len(data)} bytes ({len(data):#x})")
            lines += [f"{at:04x}: {row.hex(' '):47} {letters(row)}" for at, row in rows(data)]
        found = read_text("\n".join([*lines, "ok"]))
        assert [(piece.by_client, piece.data) for piece in found.pieces] == [
            (True, head),
            *((False, x) for x in answer),
        ]
        assert found.words.endswith("1 line of the body left out")

    def test_of_curl_trace_with_tls_only_what_is_inside_is_read_and_a_second_request_is_another_conversation(self):
        request, answer = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 426 Upgrade Required\r\n\r\n"
        lines = []
        for title, data in [
            ("=> Send SSL data", b"\x16\x03\x01"),
            *[("=> Send header", request), ("<= Recv header", answer)] * 2,
        ]:
            lines.append(f"{title}, {len(data)} bytes ({len(data):#x})")
            lines += [f"{at:04x}: {row.hex(' '):47} {letters(row)}" for at, row in rows(data)]
        found = read_text("\n".join(lines))
        assert [(piece.conversation, piece.data) for piece in found.pieces] == [
            *((0, request), (0, answer)),
            *((1, request), (1, answer)),
        ]
        assert found.words.endswith("1 block of SSL data left out")


class TestStreams:
    """Dumps of both directions: Wireshark's "Follow stream", strace"""

    @prop
    @given(
        st.lists(st.tuples(st.booleans(), st.binary(min_size=1, max_size=40)), min_size=1, max_size=6),
        st.integers(0, 99),
    )
    def test_wireshark_indents_the_server(self, parts, start):
        at = {True: start * 16, False: 5}
        lines = []
        for by_client, data in parts:
            for n, row in rows(data):
                line = f"{at[by_client] + n:08x}  {row[:8].hex(' '):23}  {row[8:].hex(' '):23}   {letters(row)}"
                lines.append(line if by_client else "    " + line)
            at[by_client] += len(data)
        found = read_text("\n".join(lines) + "\n")
        for by_client in (True, False):
            data = b"".join(data for client, data in parts if client is by_client)
            if len({client for client, _ in parts}) == 2:
                assert b"".join(piece.data for piece in found.pieces if piece.by_client is by_client) == data
            else:
                assert found.data in (data, b"".join(data for _, data in parts))

    def test_wiresharks_c_arrays_name_the_peer(self):
        arrays = "char peer0_0[] = { /* Packet 4 */\n0x81, 0x80, 0x00, 0x00, 0x00, 0x00 };\n"
        arrays += "char peer1_0[] = { /* Packet 6 */\n0x81, 0x00 };\n"
        client, server = read_text(arrays).pieces
        assert (client.by_client, client.data.hex(), server.by_client, server.data.hex()) == (
            True,
            "818000000000",
            False,
            "8100",
        )

    def test_strace_has_reads_and_writes(self, run):
        request = strace_string(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        lines = f'accept(3, NULL, NULL) = 4\nread(4, "{request}", 512) = 27\nread(4, 0x7f, 512) = -1 EAGAIN (x)\n'
        lines += 'writev(4, [{iov_base="\\201\\5", iov_len=2}, {iov_base="Hello", iov_len=5}], 2) = 7\n'
        found = read_text(lines)
        assert [(piece.sender, len(piece.data)) for piece in found.pieces] == [
            ("read from descriptor 4", 27),
            ("written to descriptor 4", 7),
        ]
        assert found.notes == ("1 other line left out",)
        _, out, _ = run(stdin=lines)
        assert "TEXT frame from a server" in out

    def test_a_dump_of_strace_is_between_bars(self):
        """strace -e read=4"""
        assert read_text(f" | 00000  {HELLO.hex(' '):49}  {letters(HELLO)} |").data == HELLO


# -- Packets, written here by their RFCs


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def tcp(payload, ports=(50000, 8765), sequence=1, flags=0x18, options=bytes(12)):
    offset = (20 + len(options)) // 4 << 4
    return struct.pack("!HHIIBBHHH", *ports, sequence % (1 << 32), 0, offset, flags, 500, 0, 0) + options + payload


def ipv4(inside, protocol=6, ends=("127.0.0.1", "127.0.0.2"), fragment=0x4000):
    source, destination = (bytes(map(int, end.split("."))) for end in ends)
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(inside), 7, fragment, 64, protocol, 0, source, destination)
    return head[:10] + checksum(head).to_bytes(2, "big") + head[12:] + inside


def ipv6(inside, protocol=6, extension=b""):
    here = bytes(15) + b"\1"
    first = 60 if extension else protocol
    return struct.pack("!IHBB", 6 << 28, len(extension + inside), first, 64) + here + here + extension + inside


def ethernet(packet, kind=None):
    kind = kind or (b"\x08\0" if packet[0] >> 4 == 4 else b"\x86\xdd")
    return (bytes(12) + kind + packet).ljust(60, b"\0")


def vlan(packet):
    return ethernet(packet, b"\x81\0\0\7" + (b"\x08\0" if packet[0] >> 4 == 4 else b"\x86\xdd"))


def sll(packet):
    return bytes(14) + (b"\x08\0" if packet[0] >> 4 == 4 else b"\x86\xdd") + packet


def sll2(packet):
    return (b"\x08\0" if packet[0] >> 4 == 4 else b"\x86\xdd") + bytes(18) + packet


def null(packet):
    return (2 if packet[0] >> 4 == 4 else 30).to_bytes(4, "little") + packet


def tcpdump(packets):
    """tcpdump -X."""
    lines = []
    for number, packet in enumerate(packets):
        title = f"IP 127.0.0.1.50000 > 127.0.0.2.8765: Flags [P.], seq 1:12, ack 1, win 64, length {len(packet)}"
        lines.append(f"12:00:0{number}.187182 {title}")
        for at, row in rows(packet):
            groups = " ".join(row[i : i + 2].hex() for i in range(0, len(row), 2))
            lines.append(f"\t{at:#06x}:  {groups:39}  {letters(row)}")
    return "\n".join(lines) + "\n"


LINKS = {1: ethernet, 0: null, 101: bytes, 113: sll, 276: sll2}
OPTION = bytes([6, 0, 1, 4, 0, 0, 0, 0])  # an IPv6 destination option: PadN


def pcap(packets, link=1, order="<", nanoseconds=False):
    magic = 0xA1B23C4D if nanoseconds else 0xA1B2C3D4
    file = struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 65535, link)
    return file + b"".join(struct.pack(f"{order}IIII", 1, 2, len(p), len(p)) + p for p in packets)


def pcapng(packets, link=1, order="<", simple=False):
    def block(kind, body):
        body += bytes(-len(body) % 4)
        size = (len(body) + 12).to_bytes(4, "little" if order == "<" else "big")
        return kind.to_bytes(4, "little" if order == "<" else "big") + size + body + size

    file = block(0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1))
    file += block(1, struct.pack(f"{order}HHI", link, 0, 65535)) + block(5, bytes(12))
    for packet in packets:
        head = struct.pack(f"{order}I", len(packet))
        file += block(3, head + packet) if simple else block(6, struct.pack(f"{order}III", 0, 1, 2) + head * 2 + packet)
    return file


def connection(parts, sizes=(1000,), ip=ipv4, syn=True):
    """The packets of a connection; ``parts`` are pairs of (by the client, bytes)."""
    ports = {True: (50000, 8765), False: (8765, 50000)}
    ends = {True: ("127.0.0.1", "127.0.0.2"), False: ("127.0.0.2", "127.0.0.1")}
    at = {True: (1 << 32) - 5, False: 77}
    wrap = (
        (lambda by_client, inside: ipv4(inside, ends=ends[by_client])) if ip is ipv4 else (lambda _, inside: ip(inside))
    )
    packets = [wrap(True, tcp(b"", ports[True], at[True] - 1, 2))] if syn else []
    packets += [wrap(False, tcp(b"", ports[False], at[False] - 1, 0x12))] if syn else []
    n = 0
    for by_client, data in parts:
        while data:
            size = sizes[n % len(sizes)]
            packets.append(wrap(by_client, tcp(data[:size], ports[by_client], at[by_client])))
            at[by_client] += len(data[:size])
            data, n = data[size:], n + 1
    return packets


REQUEST = (
    b"GET /chat HTTP/1.1\r\nHost: example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
RESPONSE = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
TALK = [(True, REQUEST), (False, RESPONSE), (True, HELLO), (False, text("Hi", key=b"")), (True, close(1000))]


def sent(found, by_client):
    return b"".join(piece.data for piece in found.pieces if piece.by_client is by_client)


class TestPackets:
    """RFC 791, RFC 8200 and RFC 9293: one pasted packet"""

    @pytest.mark.parametrize("ip", [ipv4, ipv6, lambda inside: ipv6(inside, extension=OPTION)], ids=["4", "6", "6+"])
    @pytest.mark.parametrize("link", [*LINKS.values(), vlan], ids=lambda link: link.__name__)
    def test_its_payload_is_found_in_any_notation(self, link, ip):
        for data in (HELLO, LONG, b"\x81\0"):
            packet = link(ip(tcp(data)))
            for form in ("a hex stream", "hexdump -C", "Wireshark's hex dump", "Python's bytes", "xxd -i", "base64"):
                try:
                    found = read_text(FORMS[form](packet))
                except PasteError as error:
                    assert form == "base64", error
                    continue
                assert found.data == data
                assert "1 TCP packet" in found.words

    def test_it_is_said(self, run):
        code, out, err = run(stdin=ethernet(ipv4(tcp(HELLO))).hex())
        assert code == 0
        assert err == "read as: hex: Ethernet, 11 bytes; 1 TCP packet, 1 connection\n"
        assert out.startswith("━━ 127.0.0.1:50000 → 127.0.0.2:8765 ━━\n\nTEXT frame from a client")

    @pytest.mark.parametrize(
        "packet, words",
        [
            (
                ethernet(ipv4(bytes(8), protocol=17)),
                r"these bytes are a packet \(Ethernet\) with UDP in it, and no TCP",
            ),
            (ethernet(ipv6(bytes(8), protocol=58)), "with ICMPv6 in it, and no TCP"),
            (ethernet(ipv4(tcp(HELLO), fragment=0x2000)), "with a fragment of IP in it, and no TCP"),
            (ipv4(tcp(b"")), "1 TCP packet, 1 connection, without a byte of payload"),
        ],
    )
    def test_a_packet_without_payload_of_tcp_is_refused_by_name(self, packet, words):
        with pytest.raises(PasteError, match=words):
            read_text(packet.hex())

    @prop
    @given(st.binary(min_size=1, max_size=200))
    def test_frames_are_not_taken_for_packets(self, payload):
        for data in (text("x") + frame(2, payload), frame(2, payload, key=b""), frame(0, payload), bytes(14) + payload):
            assert read_text(data.hex(" ")).data == data

    @prop
    @given(st.binary(min_size=40, max_size=80), st.integers(0, 255))
    def test_bytes_that_begin_as_a_packet_does_are_not_taken_for_one(self, payload, octet):
        for begin in (b"\x60", b"\x45\0", bytes(12) + b"\x08\0\x45\0", bytes(12) + b"\x86\xdd\x60", b"\x02\0\0\0\x45"):
            data = begin + bytes([octet]) + payload
            assert read_text(data.hex(" ")).data == data

    @pytest.mark.parametrize("number", [2, 20, 60])
    def test_a_part_of_a_packet_is_not_taken_for_one(self, number):
        packet = ethernet(ipv4(tcp(LONG)))
        for data in (packet[number:], packet[:-number]):
            with contextlib.suppress(PasteError):
                assert read_text(data.hex(" ")).data == data

    def test_an_invalid_tcp_header_is_named(self):
        segment = tcp(HELLO)
        short = segment[:12] + b"\x40" + segment[13:]  # a header of 16 bytes
        with pytest.raises(PasteError, match="with an invalid TCP header in it, and no TCP"):
            read_text(ethernet(ipv4(short)).hex())

    def test_tcpdump_without_whole_packets(self):
        with pytest.raises(PasteError, match="a packet of tcpdump is not whole, or has no TCP"):
            read_text(tcpdump([HELLO, LONG]))

    def test_tcpdump(self):
        found = read_text(tcpdump(connection(TALK)))
        assert sent(found, True) == b"".join(data for by_client, data in TALK if by_client)
        assert sent(found, False) == b"".join(data for by_client, data in TALK if not by_client)


class TestCaptures:
    """pcap and pcapng"""

    @pytest.mark.parametrize("link", LINKS)
    @pytest.mark.parametrize("order", "<>")
    def test_both_directions_of_a_connection(self, link, order):
        packets = [LINKS[link](packet) for packet in connection(TALK)]
        files = [pcap(packets, link, order), pcap(packets, link, order, nanoseconds=True), pcapng(packets, link, order)]
        for file in [*files, pcapng(packets, link, order, simple=True)]:
            found = read_bytes(file)
            assert [(piece.by_client, piece.data) for piece in found.pieces] == TALK
            assert "7 TCP packets, 1 connection" in found.words

    def test_it_is_drawn_in_the_order_of_time_and_judged_as_one_connection(self, run, tmp_path):
        (tmp_path / "seen.pcap").write_bytes(pcap(map(ethernet, connection(TALK))))
        code, out, err = run(str(tmp_path / "seen.pcap"))
        assert code == 0
        assert err == "read as: a pcap file, 302 bytes; 7 TCP packets, 1 connection\n"
        assert re.findall("━━ (.*) ━━", out) == [
            "127.0.0.1:50000 → 127.0.0.2:8765",
            "127.0.0.2:8765 → 127.0.0.1:50000",
        ] * 2 + ["127.0.0.1:50000 → 127.0.0.2:8765"]
        assert "right: this server read the request" in out
        wrong = [*TALK[:2], (False, HELLO)]  # a masked frame of the server
        (tmp_path / "wrong.pcap").write_bytes(pcap(map(ethernet, connection(wrong))))
        code, out, _ = run(str(tmp_path / "wrong.pcap"))
        assert code == 1
        assert "a frame from a server must not be masked" in out
        _, out, _ = run("--json", str(tmp_path / "seen.pcap"))
        assert [row["sender"].partition(" ")[0] for row in json.loads(out)] == [
            *["127.0.0.1:50000", "127.0.0.2:8765"] * 2,
            "127.0.0.1:50000",
        ]

    @prop
    @given(
        st.lists(st.tuples(st.booleans(), st.binary(min_size=1, max_size=60)), max_size=5),
        st.lists(st.integers(1, 30), min_size=1, max_size=4),
        st.randoms(use_true_random=False),
    )
    def test_segments_are_put_in_order_and_repeated_ones_left_out(self, parts, sizes, random):
        packets = connection([*TALK[:1], *parts], sizes)
        begin, rest = packets[:2], packets[2:]
        rest += random.sample(rest, len(rest) // 2)
        for _ in range(len(rest)):
            n = random.randrange(len(rest))
            rest.insert(random.randrange(len(rest)), rest.pop(n))
        found = read_bytes(pcap(map(ethernet, begin + rest)))
        for by_client in (True, False):
            assert sent(found, by_client) == b"".join(
                data for client, data in [*TALK[:1], *parts] if client is by_client
            )

    def test_what_follows_a_missing_packet_is_not_drawn(self):
        packets = connection([(True, REQUEST), (True, LONG)], (100,))
        found = read_bytes(pcap(map(ethernet, packets[:3] + packets[4:])))
        assert found.data == REQUEST[:100]
        assert "packets are missing in 1 direction: what follows them there is not drawn" in found.notes

    @pytest.mark.parametrize("first", [1, (1 << 32) - 2, (1 << 32) - 1, 0])
    def test_a_repeated_syn_is_no_new_connection(self, first):
        syn = ipv4(tcp(b"", sequence=first, flags=2))
        data = ipv4(tcp(HELLO, sequence=first + 1))
        found = read_bytes(pcap([syn, syn, data], 101))
        assert found.data == HELLO
        assert "3 TCP packets, 1 connection" in found.words

    def test_ports_used_again_are_another_connection(self):
        found = read_bytes(pcap(map(ethernet, connection(TALK) + connection(TALK)[0:1] + connection(TALK))))
        assert [(piece.by_client, piece.data) for piece in found.pieces] == TALK * 2 or found.data.count(HELLO) == 2

    def test_the_port_selects_connections(self):
        other = [ipv4(tcp(LONG, (40000, 443)))]
        file = pcap(map(ethernet, connection(TALK) + other))
        assert len(read_bytes(file).data) == 302 + len(LONG)
        assert len(read_bytes(file, port=8765).data) == 302
        assert read_bytes(file, port=443).data == LONG
        with pytest.raises(PasteError, match="without a byte of payload"):
            read_bytes(file, port=1)

    def test_a_capture_from_the_middle_does_not_know_the_client(self):
        found = read_bytes(pcap(map(ethernet, connection([(True, HELLO), (False, text("x", key=b""))], syn=False))))
        assert [piece.by_client for piece in found.pieces] == [None, None]
        found = read_bytes(pcap(map(ethernet, connection(TALK[1:4], syn=False))))  # from the answer on
        assert [piece.by_client for piece in found.pieces] == [False, True, False]

    def test_the_bytes_of_a_syn_are_the_first_ones(self):
        packets = [ipv4(tcp(HELLO, sequence=7, flags=2)), ipv4(tcp(LONG, sequence=8 + len(HELLO)))]
        assert read_bytes(pcap(map(ethernet, packets))).data == HELLO + LONG

    def test_every_beginning_of_a_capture_is_read_or_refused(self):
        packets = list(map(ethernet, connection(TALK)))
        for file in (pcap(packets), pcapng(packets)):
            for n in range(16, len(file)):
                with contextlib.suppress(PasteError):
                    found = read_bytes(file[:n])
                    assert b"".join(data for _, data in TALK).startswith(found.data)

    def test_other_packets_are_counted(self):
        packets = [*connection(TALK), ipv4(bytes(20), protocol=17), ipv4(tcp(HELLO), fragment=0x2000)]
        assert "2 packets without TCP left out" in read_bytes(pcap(map(ethernet, packets))).notes
        short = pcap([ethernet(ipv4(tcp(LONG)))[:100]])
        assert "the capture has cut off 1 packet (tcpdump -s 0 does not)" in read_bytes(short).notes

    def test_a_link_type_that_is_not_read_is_named(self):
        with pytest.raises(PasteError, match="the capture has link type 105, which is not read"):
            read_bytes(pcap([bytes(100)], link=105))

    def test_a_gzip_file_is_named(self):
        with pytest.raises(PasteError, match="this is a gzip file"):
            read_bytes(gzip.compress(pcap([])))


class TestRefusals:
    """A paste that is cut off, doubtful or something else is refused, and the message names the place"""

    @pytest.mark.parametrize(
        "paste, words",
        [
            ("81 0g", "this is not hex: 'g' at line 1, column 5"),
            ("81 05\n48 zz", "this is not hex: 'z' at line 2, column 4"),
            ("8105é", r"this is not hex: '\xe9' at line 1, column 5"),
            ("81 05 4", "half a byte: '4' at line 1, column 7; a byte is two hex digits"),
            ("81054", "half a byte: '81054' at line 1, column 1; a byte is two hex digits"),
            ("8 1 0 5 5", "these are decimal numbers, not hex: write them in brackets, as [8, 1, 0, ...]"),
            ("129 5 72 101", "these are decimal numbers, not hex: write them in brackets, as [129, 5, 72, ...]"),
            ("[129, 256]", "a byte is a number from 0 to 255, not 256"),
            ("[-127, 200]", "a list with negative numbers has bytes from -128 to 127, and this one has more"),
            ("[81 85 37]", "these numbers may be hex or decimal: remove the brackets of hex, or add commas to decimal"),
            (
                "01000001 01100001",
                "these digits may be binary or hex: write 0b before binary ones, or a blank between hex bytes",
            ),
            (
                "0000 81 05",
                "0000 may be an offset or bytes: write '0000:', or remove it, or set a blank in it",
            ),
            (r"\x81\q", r"this escape is unknown: '\\q' at line 1, column 5"),
            (
                r'"\x81\u0005"',
                r"\u at line 1, column 6 is a character, not a byte: print the bytes in hex, before decoding",
            ),
            (r"'\x81\x857ú!'", r"'\xfa' at line 1, column 11 may be the byte fa or its UTF-8: print the bytes in hex"),
            ("0000   81 05   ..\nhello", "line 2 is not offset and hex, as in a dump: 'hello'"),
            (
                "00000000: 8105 48  ..X",
                "line 1: the letters '..X' are not those of the bytes before them (as with xxd -e)",
            ),
            (
                "00000000: 8105\n00000010: 4865",
                "line 2: the offset 00000010 does not count the 2 bytes before it",
            ),
            ("\x1b[31m", r"this is not hex: '\x1b' at line 1, column 1"),
            ("<<129,5,...>>", "the list is cut off at line 1, column 9: print all of it, best as hex"),
            ("Uint8Array(300) [129, 126, …]", "the list is cut off at line 1, column 28: print all of it, best as hex"),
            (
                "<Buffer 81 05 ... 70 more bytes>",
                "the list is cut off at line 1, column 15: print all of it, best as hex",
            ),
            ("Uint8Array(3) [129, 5]", "the list has 2 bytes, but there is '3' at line 1, column 12"),
            ("12:05:01 got [129, 5]", "the list has 2 bytes, but there is '12' at line 1, column 1"),
            ("[129, 5] [1, 2]", "there are 2 lists: paste one of them"),
            (r'{"\x81\x05", "Hello"}', "there are 2 strings: paste one of them"),
            ('"hello"', "this string is neither hex nor base64, and has no escapes: 'hello'"),
            ("0: 129\n2: 5", "line 2 has element 2, after 1 element: expand all"),
            ('{"type": "Buffer", "data": [256]}', "this JSON is neither"),
            ('{"log": {"entries": []}}', "a HAR file has messages, not the bytes of frames"),
            (
                '{"at": 1, "peer": "x", "sent": true, "by_server": true, "data": ""}',
                "this is a recording of --trace: python -m wsref decode --replay FILE",
            ),
            ('read(4, "abc"..., 1024) = 99', "strace has cut off a string: repeat it with -s 65535, and -xx for hex"),
            ('write(4, "abc", 9) = 9', "the string of write, which moved 9 bytes and shows 3, is cut off"),
            (
                "0x7ffe10 <x>:\t0xfa378581\t0x9f7f3d21",
                r"line 1: this is not read as bytes: '0xfa378581\t0x9f7f3d21' (gdb: x/...xb)",
            ),
            ("0xfa378581 0x9f7f3d21", "these numbers have several bytes each, and their order is unknown"),
            ("> GET / HTTP/2\n> Host: x\n", "curl spoke HTTP/2 here, whose bytes are not this text"),
            (
                "12:00:00.1 IP 1.2.3.4.5 > 1.2.3.4.6: Flags [.], length 0\nE..4",
                "tcpdump has printed no hex: repeat it with -X",
            ),
            ("81 05 ...", "the hex is cut off at line 1, column 6: print all of it"),
            ("8105...", "the hex is cut off at line 1, column 5: print all of it"),
            ("81 05 …", r"this is not hex: '\u2026' at line 1, column 7"),
            ("ArrayBuffer(7)", "this is not hex"),
            ("frame[7]", "this is not hex"),
            ("DataView(7) {}", "this is not hex"),
            ("Uint16Array(2) [129, 5]", "the elements of 'Uint16Array' have several bytes: print them byte by byte"),
            ("let frame: [u32; 2] = [129, 5];", "the elements of 'u32' have several bytes"),
            ("uint32_t frame[2] = {0x81, 0x05};", "the elements of 'uint32_t' have several bytes"),
            ("0010  48 65 6c", "0010 may be an offset or bytes"),
            ("00000010  48 65 6c", "00000010 may be an offset or bytes"),
            ("gQVIZWxsbw", "this is not hex: 'g' at line 1, column 1; if it is base64, say --base64"),
            ("-127 5 72", "these are decimal numbers, not hex: write them in brackets, as [-127, 5, 72, ...]"),
            ("[0x81, 010]", "010 at line 1, column 8 may be octal or decimal"),
            ("<Buffer 81 5>", "this is not a byte in hex: '5' at line 1, column 12"),
            ("81 0b00000101", "0b00000101 at line 1, column 4 is binary, and not all numbers are: write all in hex"),
            ("a0x81", "this is not hex: 'x' at line 1, column 3"),
            ("0000000 129 5\n0000002", "line 1: this is not read as bytes"),
            ('read(4, "abc", 9) = 2', "read moved 2 bytes, and its string has 3"),
            ('read(4, "abc", 9) = 1', "read moved 1 byte, and its string has 3"),
            ('read(4, "", 9) = 1', "the string of read, which moved 1 byte and shows 0, is cut off"),
            ("00000000: 81\n00000010: 05", "line 2: the offset 00000010 does not count the 1 byte before it"),
            (r"\0x5555 <x>: 1", "this is not hex: '\\\\'"),
            ("fe80::1", "half a byte: '1' at line 1, column 7"),
            ("[129, 5] ...", "the list is cut off at line 1, column 10: print all of it, best as hex"),
            ("[129, 5], 'x'", """this is not in the list: "'x'" at line 1, column 11"""),
            ("0: 129\n1: 256", "a byte is a number from 0 to 255, not 256"),
            (r'"\x81" /* a', "this comment has no end: '/*' at line 1, column 8"),
            (r'"\x81"...', "the string is cut off at line 1, column 7: print all of it, best as hex"),
            (r'"\x81", "\000" <repeats 20 times>', "gdb has shortened repeated bytes: use x/...xb"),
            (
                '{"at": 1, "by_server": true, "data": ""}\n{"at": 2, "by_server": true, "data": ""}',
                "this is a recording of --trace: python -m wsref decode --replay FILE",
            ),
            ("hello", "this is not hex: 'h' at line 1, column 1"),
            ("hell", "this is not hex: 'h' at line 1, column 1"),
        ],
    )
    def test_of_a_paste(self, paste, words):
        with pytest.raises(PasteError) as caught:
            read_text(paste)
        assert str(caught.value).startswith(words)

    @prop
    @given(st.text(max_size=80))
    def test_any_text_is_bytes_or_a_printable_error(self, words):
        try:
            read_text(words)
        except PasteError as error:
            assert str(error).isprintable()
            assert str(error).isascii()

    @prop
    @given(
        st.lists(
            st.sampled_from(
                [
                    *(
                        "81",
                        " ",
                        "  ",
                        "0000",
                        "0000000",
                        ":",
                        "[",
                        "]",
                        "<<",
                        "{",
                        "'",
                        '"',
                        "\\",
                        "x81",
                        ",",
                        "-1",
                        "0x",
                    ),
                    *("b", "\n", "\t", "|", "...", "129", "HTTP/1.1", "GET / HTTP/1.1", "> ", "< ", "* ", "read(4, "),
                    *(") = 2", "="),
                ]
            ),
            max_size=12,
        )
    )
    def test_any_words_of_the_notations_are_bytes_or_a_printable_error(self, words):
        self.test_any_text_is_bytes_or_a_printable_error.hypothesis.inner_test(self, "".join(words))

    @prop
    @given(
        st.binary(max_size=80),
        st.sampled_from([b"", b"\xd4\xc3\xb2\xa1", b"\x0a\x0d\x0d\x0a\x1c\0\0\0\x4d\x3c\x2b\x1a"]),
    )
    def test_any_file_is_bytes_or_a_printable_error(self, data, magic):
        try:
            read_bytes(magic + data)
        except PasteError as error:
            assert str(error).isprintable()

    @prop
    @given(st.sampled_from(sorted(FORMS)), st.binary(min_size=20, max_size=60), st.data())
    def test_a_dump_that_lost_a_row_is_refused(self, form, data, draw):
        if not any(word in form for word in ("xxd", "hexdump -C", "gdb's x", "Wireshark's")):
            return
        lines = FORMS[form](data).rstrip("\n").split("\n")
        if form == "xxd -i" or len(lines) < 3:
            return
        del lines[draw.draw(st.integers(1, len(lines) - 2))]
        with pytest.raises(PasteError, match=r"does not count|not read as bytes"):
            read_text("\n".join(lines))


class TestPage:
    """docs/howto/debugging.md"""

    #: By curl 7.88.1, against wsref.
    CURL = """\
*   Trying 127.0.0.1:8765...
* Connected to 127.0.0.1 (127.0.0.1) port 8765 (#0)
> GET /echo HTTP/1.1
> Host: 127.0.0.1:8765
> User-Agent: curl/7.88.1
> Accept: */*
> Connection: Upgrade
> Upgrade: websocket
> Sec-WebSocket-Version: 13
> Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==
>
< HTTP/1.1 101 Switching Protocols
< Upgrade: websocket
< Connection: Upgrade
< Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=
<
* Operation timed out after 2000 milliseconds with 0 bytes received
* Closing connection 0
"""
    #: By the tool and the way to copy: the paste.
    PASTES: ClassVar = {
        "Hex Stream": ethernet(ipv4(tcp(HELLO))).hex(),
        "Hex + ASCII": wireshark(ethernet(ipv4(tcp(HELLO)))),
        "Hex Dump": "00000000" + wireshark(HELLO)[4:] + wireshark_stream(text("Hello", key=b"")) + "\n",
        "seen.pcap": pcap([ethernet(ipv4(tcp(HELLO)))]),
        "-X": tcpdump([ipv4(tcp(HELLO))]),
        "curl -v": CURL,
        "Raw": "GET ws://localhost:8765/echo HTTP/1.1\nHost: localhost:8765\n",
        "Copy object": FORMS["JSON's Uint8Array"](HELLO),
        "console.log": FORMS["Node's Buffer"](HELLO),
        "print(data)": repr(HELLO),
        "fmt.Println": FORMS["Go's numbers"](HELLO),
        "%q": f'"{strace_string(HELLO, "hex")}"',
        "Arrays": FORMS["Java's Arrays.toString"](HELLO),
        "println!": str(list(HELLO)),
        "io:format": FORMS["Erlang"](HELLO),
        "xxd -i": xxd_include(HELLO),
        "x/11xb": gdb(HELLO),
        "strace": strace(HELLO, "hex"),
        "xxd -b": xxd_bits(HELLO),
        "od -t": od(HELLO),
        "`hexdump`": od_words(HELLO, "x"),
        "frame.bin": HELLO,
        "`base64 ": base64.b64encode(HELLO).decode(),
    }

    def test_its_table_is_what_decode_says(self):
        page = Path(__file__).parent.parent.joinpath("docs", "howto", "debugging.md").read_text()
        table = page.partition("| `read as:` |\n")[2].partition("\n\n")[0].split("\n")[1:]
        assert len(table) == len(self.PASTES)
        for row, (name, paste) in zip(table, self.PASTES.items(), strict=True):
            assert name in row
            found = read_bytes(paste if isinstance(paste, bytes) else paste.encode())
            assert f"| `{found.words}` |" in row


class TestCost:
    """The cost of each reader is linear"""

    @pytest.fixture
    def no_gc(self):
        """Collections cost more the more objects other tests have left."""
        gc.disable()
        yield
        gc.enable()

    @pytest.mark.parametrize(
        "before, unit, after",
        [
            ("", unit, "")
            for unit in ("81 05 ", "\\x81", "0x81, ", "[1, ", "x", "a ", "((", "1,", '"', "<Buffer ", "A B ")
        ]
        + [
            ("", unit, "")
            for unit in ("'", "\\", "\\x", "\\\n", "b", "/*", "//", "(byte)", "<<", ">>", "{}", "()", "-", "*\n")
        ]
        + [
            ("", unit, "")
            for unit in ("0", "1", "01", "10000001 ", "0b", "=", "A=", "aB1/", "aB1/\n", "\n", "\t", "... ", "| ")
        ]
        + [
            ("", unit, "")
            for unit in ("0000 ", "00000000: 81\n", "0000  81\n", "0000000 81\n", "0x0000:  8105\n", "> ", "< \n")
        ]
        + [
            ("", unit, "")
            for unit in ("> GET / HTTP/1.1\n", "HTTP/1.1 ", "GET / HTTP/1.1\n\n", "\n \n", "[[", '{"a":', "0: 1\n")
        ]
        + [
            ("", unit, "")
            for unit in ("read(4, ", ") = 1", 'read(4, "a", 1) = 1\n', "1.1 ", "12:00 ", "peer0_0[] = {1};", "[1]")
        ]
        + [
            ("", unit, "")
            for unit in ('\\"', "\\'", "\\\"'", '{\\"a\\":1}', 'b"\\', "=> Send header, 1 bytes (0x1)\n0000: 81\n")
        ]
        + [
            (start, " ", end)
            for start in ("A", "A[", "81", "0000", "0000:", "0x81", "'", "{", "read(")
            for end in ("", "=", "!")
        ]
        + [
            ("00000000: ", "81 ", ""),
            ("00000000  ", "81  ", "|"),
            ("0000000 ", "1 ", ""),
            ("[1", "\t", "x"),
            ("GET ", "a", ""),
        ]
        + [
            ("IP ", "a ", ""),
            ("12:00:00 ", " ", "IP"),
            ("0000000", " 8", ""),
            ("0x1000:", "\t0x81", ""),
            ("HTTP/1.1 1", "\n\n", ""),
        ],
    )
    @pytest.mark.usefixtures("no_gc")
    def test_of_a_repeated_unit(self, before, unit, after):
        def cost(size):
            """Return CPU seconds."""
            paste = before + unit * (size // len(unit)) + after
            began = time.process_time()
            with contextlib.suppress(PasteError):
                read_text(paste)
            return time.process_time() - began

        # other processes only make it slower: one good round out of five proves it
        assert any(cost(32_000) < 40 * cost(4_000) + 0.02 for _ in range(5)), (
            "eight times the text: 8 if linear, 64 if quadratic"
        )

    @pytest.mark.parametrize("before, after", [('"', '"'), ("'", "'"), ('read(4, "', '", 9) = 300000')])
    def test_a_long_string_needs_little_memory(self, before, after):
        pytest.importorskip("resource")
        # Of Python's regular expressions only Linux's peak tells: tracemalloc does not see their stack.
        program = (
            "import resource, sys; from wsref.cli.forms import read_text, PasteError\n"
            "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
            "text = sys.argv[1] + 'a' * 300_000 * 10 + sys.argv[2]; before = peak()\n"
            "try: read_text(text)\nexcept PasteError: pass\nprint(peak() - before)"
        )
        kib = subprocess.run([sys.executable, "-c", program, before, after], capture_output=True, check=True).stdout
        assert int(kib) < 100_000, "3 MB of letters: 330 MB where each of them can be taken back"


class TestCommand:
    """``python -m wsref decode``"""

    def test_bytes_as_arguments_and_from_standard_input_print_the_same(self, run):
        code, out, err = run("8185", "37fa213d", "7f9f4d5158")
        assert (code, err) == (0, "read as: hex, 11 bytes\n")
        assert out == explain(HELLO)[0].text() + "\n"
        assert run(stdin=xxd(HELLO)) == (0, out, "read as: a dump with offsets, hex, 11 bytes\n")
        assert run("-", stdin=HELLO.hex()) == (0, out, err)
        assert run(stdin=HELLO) == (0, out, "read as: raw bytes, 11 bytes\n")

    def test_a_file_is_read_if_its_name_is_not_bytes(self, run, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        for name in ("frame.bin", "8105"):
            (tmp_path / name).write_bytes(HELLO)
        for name in ("frame.bin", "./frame.bin", "./8105"):
            assert run(name)[1:] == (explain(HELLO)[0].text() + "\n", "read as: raw bytes, 11 bytes\n")
        code, _, err = run("8105")
        assert code == 0
        assert err == "wsref: there is a file of this name, too: './8105' reads it\nread as: hex, 2 bytes\n"
        code, out, err = run("seen.pcap")
        assert (code, out) == (2, "")
        assert err == "wsref: this is not hex: 's' at line 1, column 1; and there is no file of this name\n"
        code, out, err = run("frame.bin", "x")
        assert (code, out) == (2, "")
        assert run("--raw", "8105")[1:] == (explain(HELLO)[0].text() + "\n", "read as: raw bytes, 11 bytes\n")
        code, _, err = run(str(tmp_path))
        assert code == 1 and err.endswith("Is a directory\n")

    def test_a_file_that_is_too_large_is_refused_before_it_is_read_to_its_end(self, run, tmp_path, monkeypatch):
        monkeypatch.setattr("wsref.cli.decode._MAX_INPUT", 1 << 20)
        monkeypatch.chdir(tmp_path)
        with open("large.pcap", "wb") as stream:
            stream.truncate(1 << 30)
        code, _, err = run("large.pcap")
        assert (code, err) == (2, "wsref: 'large.pcap' has more than 1 MiB: cut it, or filter the capture\n")

    def test_a_text_that_is_too_large_is_refused(self, run, tmp_path, monkeypatch):
        monkeypatch.setattr("wsref.cli.forms.MAX_TEXT", 1 << 20)
        file = tmp_path / "large"
        file.write_bytes(b"81 " * (1 << 19))
        code, _, err = run(str(file))
        assert (code, err) == (
            2,
            "wsref: this text has more than 1 MiB: cut it, or give the bytes themselves (--raw)\n",
        )

    def test_a_recording_without_an_end_of_line_does_not_fill_the_memory(self):
        pytest.importorskip("resource")
        program = (
            "import resource, sys; from wsref.cli import decode, main\n"
            "resource.setrlimit(resource.RLIMIT_AS, (1 << 29, 1 << 29)); decode._MAX_INPUT = 1 << 20\n"
            "sys.exit(main.main(['decode', '--replay', '/dev/zero']))"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        assert done.returncode == 1
        assert done.stderr.startswith("wsref: /dev/zero: line 1 is not a record of --trace: ")

    def test_raw_bytes_that_look_like_text(self, run):
        assert run("--raw", stdin="81")[2] == "read as: raw bytes, 2 bytes\n"
        assert run(stdin="81")[2] == "read as: hex, 1 byte\n"
        code, _, err = run("--raw", "81")
        assert (code, err) == (2, "wsref: --raw takes a file or standard input, and there is no file '81'\n")

    def test_what_stands_after_an_answer_without_an_upgrade_is_counted(self, run):
        code, _, err = run("GET / HTTP/1.1\nHost: x\n\nbody")
        assert code == 0
        assert err.endswith("wsref: 4 bytes after a head that opens no WebSocket: not drawn\n")

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

    @pytest.mark.parametrize(
        "arguments",
        [
            *(["--client", "--server"], ["--svg", "--json"], ["--deflate", "x=1"]),
            *(["--port", "x"], ["--port", "65536"]),
        ],
    )
    def test_flags_that_make_no_sense_are_usage(self, run, arguments):
        with pytest.raises(SystemExit) as caught:
            run("8105", *arguments)
        assert caught.value.code == 2

    def test_base64(self, run):
        packed = base64.b64encode(HELLO).decode()
        assert run("--base64", packed)[1] == run(HELLO.hex())[1]
        assert run("--base64", packed.rstrip("="))[1] == run(HELLO.hex())[1]
        assert run("--base64", stdin=packed[:4] + "\n" + packed[4:])[0] == 0
        for wrong, why in [
            ("gQVI\nZW!xsbw", "'!' at line 2, column 3"),
            ("gQVI=ZWxsbw", "'=' at line 1, column 5"),
            ("gQVIZ", "5 letters, and one letter is less than a byte"),
            ("gQVIé", r"'\xe9' at line 1, column 5"),
        ]:
            code, _, err = run("--base64", wrong)
            assert (code, err) == (2, f"wsref: this is not base64: {why}\n")

    def test_a_key_judges_the_answer(self, run):
        answer = "HTTP/1.1 101 Switching Protocols\nUpgrade: websocket\nConnection: Upgrade\n"
        answer += "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        assert run(answer, "--key", "dGhlIHNhbXBsZSBub25jZQ==")[0] == 0
        assert run(answer, "--key", "AAAAAAAAAAAAAAAAAAAAAA==")[0] == 1
        assert run(answer, "--key", "é") == (2, "", "wsref: --key: a key is 24 characters of base64, not '\\xe9'\n")

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
        assert (done.returncode, done.stderr) == (0, b"read as: hex, 11 bytes\n")
        assert b"Hello" in done.stdout
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, timeout=30)
        os.close(writer)
        assert (done.returncode, done.stderr) == (1, b"read as: hex, 11 bytes\n")

    def test_json_and_svg_are_the_same_documents_in_every_locale(self, run):
        data = text("Zürich").hex()
        for form in ("--json", "--svg"):
            command = [sys.executable, "-m", "wsref", "decode", form, data]
            _, out, _ = run(form, data)
            for encoding in ("ascii", "cp1252", "utf-8"):
                environment = {**os.environ, "PYTHONIOENCODING": encoding}
                assert subprocess.run(command, capture_output=True, env=environment).stdout == out.encode()
        (description,) = json.loads(run("--json", data)[1])
        assert description["one_line"] == explain(bytes.fromhex(data))[0].one_line
        assert "Zürich" in "".join(ET.fromstring(run("--svg", data)[1]).itertext())

    def test_the_first_pictures_do_not_wait_for_the_last(self, tmp_path):
        (tmp_path / "frames").write_bytes(bytes(1 << 20))  # half a million frames: minutes
        command = [sys.executable, "-m", "wsref", "decode", str(tmp_path / "frames")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            try:
                assert process.stdout.readline() == b"CONTINUATION frame from a server: 2 bytes on the wire\n"
                process.stdout.close()  # as head does
                assert process.wait(30) == 1
            finally:
                process.kill()

    @pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no /dev/full")
    @pytest.mark.parametrize(
        "arguments",
        [
            [HELLO.hex()],
            pytest.param(["--json", HELLO.hex()], marks=pytest.mark.slow),
            pytest.param(["--replay", "trace"], marks=pytest.mark.slow),
        ],
    )
    def test_a_full_disk_is_one_line_and_exit_code_1(self, arguments, tmp_path):
        row = {"at": 1, "peer": "x:1", "sent": False, "by_server": False, "data": HELLO.hex()}
        (tmp_path / "trace").write_text(json.dumps(row) + "\n")
        with open("/dev/full", "w") as full:
            command = [sys.executable, "-m", "wsref", "decode", *arguments]
            done = subprocess.run(command, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, timeout=30)
        assert done.returncode == 1
        assert done.stderr.endswith(b"wsref: cannot write the output: No space left on device\n")
        assert b"Traceback" not in done.stderr

    @pytest.mark.skipif(os.name != "posix", reason="a shell closes the streams")
    @pytest.mark.parametrize(
        "command, code, words",
        [
            ("decode <&-", 1, "wsref: standard input is closed: give the bytes as arguments, or the name of a file\n"),
            pytest.param("decode --replay - <&-", 1, "wsref: standard input is closed", marks=pytest.mark.slow),
            pytest.param(f"decode {HELLO.hex()} <&-", 0, "read as: hex, 11 bytes\n", marks=pytest.mark.slow),
            (f"decode {HELLO.hex()} >&-", 0, "read as: hex, 11 bytes\n"),
            pytest.param(f"decode {HELLO.hex()} 2>&- >/dev/null", 0, "", marks=pytest.mark.slow),
        ],
    )
    def test_streams_that_are_closed_print_no_traceback(self, command, code, words):
        line = f"exec '{sys.executable}' -m wsref {command}"
        done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=30)
        assert done.returncode == code, done.stderr
        assert done.stderr.startswith(words)
        assert "Traceback" not in done.stderr
        assert "Exception" not in done.stderr

    @pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGINT for one process")
    @pytest.mark.parametrize("arguments", [[], pytest.param(["--replay", "-"], marks=pytest.mark.slow)])
    def test_ctrl_c_is_exit_code_130_without_a_traceback(self, arguments):
        command = [sys.executable, "-c", WAITS, "decode", *arguments]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr.readline() == "reading\n"
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=30)
        assert (process.returncode, err) == (130, "\nwsref: interrupted\n")

    @pytest.mark.parametrize("width", [40, 47, 56, 71, 72, 80])
    def test_a_narrow_terminal_gets_a_narrow_picture(self, monkeypatch, width, run):
        monkeypatch.setattr(sys, "stdout", Terminal())
        monkeypatch.setattr("shutil.get_terminal_size", lambda *_, **__: os.terminal_size((width, 24)))
        answer = "HTTP/1.1 101 Switching Protocols\nUpgrade: websocket\nConnection: Upgrade\n"
        packet = ipv6(tcp(HELLO)).replace(bytes(15), bytes(range(16, 31))).hex()
        for paste in (
            packet,
            HELLO.hex(),
            LONG.hex(),
            (close(1006, "x" * 100) + text("ab" * 9)).hex(),
            "c107f248cdc9c90700",
            answer,
        ):
            sys.stdout.truncate(sys.stdout.seek(0))
            main(["decode", paste])
            drawn = re.sub(r"\x1b\[[0-9;]*m", "", sys.stdout.getvalue())
            assert max(map(len, drawn.split("\n"))) <= width

    def test_a_line_that_a_terminal_has_cut_off_is_refused(self, capsys, monkeypatch):
        class Keyboard(io.BytesIO):
            def isatty(self):
                return True

        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Keyboard(b"81" * 2047 + b"0\n")))
        assert main(["decode"]) == 2
        assert "a terminal drops what follows the first 4095 characters of a line" in capsys.readouterr().err

    def test_help_names_the_flags_and_the_exit_codes(self, capsys):
        with pytest.raises(SystemExit):
            main(["decode", "-h"])
        printed = capsys.readouterr().out
        for word in ("--client", "--server", "--key", "--deflate", "--svg", "--json", "--base64", "xxd", "Exit code"):
            assert word in printed
