r"""What people copy from curl, from a browser's DevTools and from strace: heads and system calls as text."""

from __future__ import annotations

import re
import textwrap

from ..protocol.errors import quote_ascii
from ..wire.words import count
from .literals import cut_off, unescape
from .pasted import Pasted, PasteError, Piece

# -- HTTP ------------------------------------------------------------------------------------

_HTTP = re.compile(r"HTTP/[0-9]|[A-Z]{3,} [!-~]+ HTTP/[0-9]")
_URL_TARGET = re.compile(r"([A-Z]{3,}) (?:wss?|https?)://[^/?# ]*([^# ]*)\S* (HTTP/[0-9.]+)")
_CURL_LINE = re.compile(r"[*<>{}](?: |$)", re.MULTILINE)
_CURL_HEAD = re.compile(r"^(?:> [A-Z]+ [!-~]+|<) HTTP/([0-9])", re.MULTILINE)
_NEXT_HEAD = re.compile(r"\n[ \t]*\n(?=HTTP/1\.|[A-Z]{3,} [!-~]+ HTTP/1\.)")
_EMPTY_LINE = re.compile(r"\n[ \t]*\n")


def read_http(text: str) -> Pasted | None:
    r"""Read HTTP as text: a request, a response, or both; the output of curl -v too.  None: it is not HTTP.

    An editor or a terminal loses the line ends of HTTP, CR LF, and the empty line that ends a
    head: they are restored, and a note says so.

    >>> read_http("GET / HTTP/1.1\nHost: x\n").data
    b'GET / HTTP/1.1\r\nHost: x\r\n\r\n'
    >>> read_http("> GET /chat HTTP/1.1\n> Host: x\n>\n< HTTP/1.1 426 Upgrade Required\n<\n").words
    'curl -v, 64 bytes'
    """
    if _CURL_LINE.match(text.lstrip("\r\n")) and (found := _CURL_HEAD.search(text)):
        if found[1] != "1":
            raise PasteError("curl spoke HTTP/2 here, whose bytes are not this text: repeat it with --http1.1")
        return _read_curl(text)
    text = text.lstrip("\r\n")
    if not _HTTP.match(text.lstrip()) or re.match(r"[^\n]*\\r\\n", text):
        return None  # (or the line ends are escapes)
    if text[0] in " \t":
        text = textwrap.dedent(text)
    if _is_exact(text):
        return Pasted("HTTP as text", (Piece(text.encode("utf-8", "surrogateescape")),))
    notes = ["line ends restored"]
    parts = _NEXT_HEAD.split(text.strip().replace("\r\n", "\n"))
    if len(parts) == 1:
        return Pasted("HTTP as text", (Piece(_restored(parts[0], notes)),), tuple(notes))
    pieces: list[Piece] = []
    requests = 0
    for part in parts:
        by_client = not part.startswith("HTTP/")
        requests += by_client
        pieces.append(Piece(_restored(part, notes), _SIDES[by_client], by_client, requests))
    return Pasted("HTTP as text", tuple(pieces), tuple(notes))


_SIDES = {True: "the client", False: "the server"}


def _is_exact(text: str) -> bool:
    """Return whether a text has the line ends of HTTP."""
    head, end, _ = text.partition("\r\n\r\n")
    return bool(end) and "\n" not in head.replace("\r\n", "") and _URL_TARGET.match(text) is None


def _restored(text: str, notes: list[str]) -> bytes:
    """Return a head, and perhaps a body, with the line ends of HTTP."""
    empty = _EMPTY_LINE.search(text)
    head, body = (text[: empty.start()], text[empty.end() :]) if empty else (text, "")
    lines = [line.rstrip(" \t") for line in head.split("\n")]
    if target := _URL_TARGET.fullmatch(lines[0]):
        path = target[2] if target[2].startswith("/") else f"/{target[2]}"
        lines[0] = f"{target[1]} {path} {target[3]}"
        notes.append(f"the request line has only the path, {quote_ascii(path)}: DevTools shows the whole URL")
    return ("\r\n".join(lines) + f"\r\n\r\n{body}").encode("utf-8", "surrogateescape")


def _read_curl(text: str) -> Pasted:
    """Read curl -v: ``>`` is before the lines of the request, ``<`` before those of the response."""
    pieces: list[Piece] = []
    lines: list[str] = []
    side, requests, left_out = ">", 0, 0
    for line in [*text.replace("\r\n", "\n").split("\n"), ""]:
        mark = line[:1]
        if lines and (mark != side or not line.strip("<> \t")):
            by_client = side == ">"
            requests += by_client
            pieces.append(Piece(_restored("\n".join(lines), []), _SIDES[by_client], by_client, requests))
            lines = []
        if mark in ("<", ">") and line.strip("<> \t"):
            side = mark
            lines.append(line[2:])
        elif mark not in ("<", ">", "*", "{", "}", ""):
            left_out += 1
    notes = (f"{count(left_out, 'line')} of the body or the terminal left out",) if left_out else ()
    return Pasted("curl -v", tuple(pieces), notes)


# -- strace ----------------------------------------------------------------------------------

_CALL = re.compile(
    r"(?:\[pid +\d+\] |\d+ +)?(?:[\d:.]+ )?"
    r"(?P<name>read|recv|recvfrom|recvmsg|readv|write|send|sendto|sendmsg|writev)\((?P<socket>\d{1,9})(?:<[^>]*>)?, "
    r"(?P<arguments>.*)\) += (?P<result>-?\d{1,12})(?: .*)?"
)
_STRING = re.compile(r'"((?:[^"\\]|\\.)*+)"(\.\.\.)?')
_VECTOR = re.compile(r'iov_base="((?:[^"\\]|\\.)*+)"(\.\.\.)?')


def read_strace(text: str) -> Pasted | None:
    r"""Read the bytes that system calls read and wrote; None: it is not the output of strace.

    Raises:
        PasteError: strace has cut off a string.

    >>> read_strace(r'read(4, "\201\205\067\372!=\177\237MQX", 1024) = 11').data.hex(" ")
    '81 85 37 fa 21 3d 7f 9f 4d 51 58'
    """
    found: list[tuple[int, str, bytes]] = []
    other, at = 0, 0
    calls = False
    for line in text.split("\n"):
        call = _CALL.fullmatch(line.strip())
        if call is not None:
            calls = True
            verb = "read from" if call["name"].startswith(("read", "recv")) else "written to"
            if data := _call_data(call, text, at):
                found.append((int(call["socket"]), verb, data))
        elif line.strip() and not line.startswith(" | "):
            other += 1
        at += len(line) + 1
    if not calls:
        return None
    notes = (f"{count(other, 'other line')} left out",) if other else ()
    if len({(socket, verb) for socket, verb, _ in found}) == 1:
        return Pasted("strace", (Piece(b"".join(data for _, _, data in found)),), notes)
    pieces = [Piece(data, f"{verb} descriptor {socket}", None, socket) for socket, verb, data in found]
    return Pasted("strace", tuple(pieces), notes)


def _call_data(call: re.Match[str], text: str, at: int) -> bytes:
    """Return the bytes that a call moved."""
    done = int(call["result"])
    if done <= 0:
        return b""
    arguments, start = call["arguments"], at + call.start("arguments")
    if call["name"] in ("recvmsg", "readv", "sendmsg", "writev"):
        strings = list(_VECTOR.finditer(arguments))
    else:
        strings = [string for string in (_STRING.match(arguments),) if string is not None]
    if any(string[2] for string in strings):
        raise PasteError("strace has cut off a string: repeat it with -s 65535, and -xx for hex")
    data = b"".join(unescape(string[1], text, start + string.start(1)) for string in strings)
    reads = call["name"].startswith(("read", "recv"))
    if len(data) > done and reads:
        moved = f"{call['name']} moved {count(done, 'byte')}"
        raise PasteError(f"{moved}, and its string has {len(data)}: paste it whole, and unchanged")
    if len(data) < done:
        raise cut_off(
            f"string of {call['name']}, which moved {count(done, 'byte')} and shows {len(data)},", text, start
        )
    return data[:done]
