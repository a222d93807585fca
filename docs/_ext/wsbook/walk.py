"""The code that one connection runs, in the order in which it runs; no Sphinx in it.

``python -m wsbook.walk`` serves three clients, records each line of ``wsref/protocol`` and ``wsref/network`` that
runs, and prints the record.  :func:`pieces` makes a listing of it: each function as in its file, but with ``...`` in
place of what did not run.
"""

from __future__ import annotations

import ast
import functools
import itertools
import json
import os
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from .runner import ROOT

#: The folders whose lines are recorded.
FOLDERS = tuple(str(ROOT / "wsref" / name) + os.sep for name in ("protocol", "network"))

#: The parts of the walk: what ``handle`` and the loop in it call, and what comes before and after it.
PARTS = {
    "server": "The server",
    "setup": "A connection gets its handler",
    "handle": "`handle()`",
    "_read_request": "Chapter 1",
    "_wants_upgrade": "Chapter 2",
    "_validate": "Chapter 3: a valid request",
    "_authorize": "Chapters 10 and 11",
    "_complete_upgrade": "Chapter 4",
    "_converse": "Chapters 6 to 8: the loop",
    "read": "Bytes come in",
    "next_event": "Frames become messages",
    "on_message": "A message goes out",
    "reply": "A Pong goes out",
    "_finish_close": "The last Close",
    "finish": "The end of TCP",
    "_abort_handshake": "Chapter 3: an invalid request",
    "_fallback": "Chapter 5",
}

#: Who calls them; ``socketserver`` does it in ``__init__``.
CALLERS = ("__init__", "handle", "_converse", "_run_hooks")

UPGRADE = (
    "GET /echo HTTP/1.1\r\nHost: example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: {}\r\n\r\n"
)

#: What the first client sends, one piece at a time, each with the number of bytes of its answer.
CONVERSATION = (
    (UPGRADE.format(13).encode(), 129),
    (bytes.fromhex("8185 37fa213d 7f9f4d5158"), 7),  # "Hello"
    (bytes.fromhex("0182 37fa213d 7f9f"), 0),  # "He", the first fragment
    (bytes.fromhex("8981 37fa213d 16"), 3),  # a Ping between the fragments
    (bytes.fromhex("8083 37fa213d 5b964e"), 7),  # "llo", the last
    (bytes.fromhex("8882 37fa213d 3412"), 4),  # Close 1000
)

#: What the second and the third send.
REFUSED = (UPGRADE.format(7).encode(), b"GET / HTTP/1.1\r\nHost: example\r\n\r\n")


# -- The record ------------------------------------------------------------------------------------


class Recorder:
    """Records the lines that run, and the order in which functions are called first."""

    def __init__(self) -> None:
        self.lines: dict[str, set[int]] = {}
        self.calls: dict[tuple[str, str, int], None] = {}  # the part, the file and the first line, in order

    def __call__(self, frame: FrameType, event: str, arg: Any) -> Any:
        """As ``sys.settrace`` wants it: called with each new frame."""
        name = frame.f_code.co_filename
        part = self.part_of(frame) if name.startswith(FOLDERS) else None
        if part is None:
            return None
        self.calls[part, name, frame.f_code.co_firstlineno] = None
        lines = self.lines.setdefault(name, set())

        def line(frame: FrameType, event: str, arg: Any) -> Any:
            lines.add(frame.f_lineno)
            return line

        return line

    def part_of(self, frame: FrameType | None) -> str | None:
        """Return the part of the walk in which a function is called; None: it is called again and again."""
        while frame is not None:
            name, caller = frame.f_code.co_name, frame.f_back
            if name == "service_actions":
                return None
            if name in PARTS and caller is not None and caller.f_code.co_name in CALLERS:
                return name
            frame = caller
        return "server"


def wait_for_a_fragment(server: Any) -> None:
    """Wait until a fragment has been read: else the next frame might come with it, and other lines would run."""
    deadline = time.monotonic() + 10
    while all(handler._channel.connection._message.opcode is None for handler in server.handlers):
        if time.monotonic() > deadline:
            raise TimeoutError("the server has not read the first fragment")
        time.sleep(0.001)


def record() -> dict[str, Any]:
    """Serve the clients with the plain classes, and return what ran."""
    import wsref
    from wsref.network import channel, overload, server
    from wsref.protocol.connection import Connection

    channel.FastConnection = Connection  # type: ignore[misc, assignment]
    server.ReusedThreads = overload.ConnectionThreads  # type: ignore[misc, assignment]

    class Echo(wsref.WebSocketHandler):
        def on_message(self, message: str | bytes) -> None:
            self.send(message)

    recorder = Recorder()
    threading.settrace(recorder)
    sys.settrace(recorder)
    try:
        serving = wsref.WebSocketServer(("127.0.0.1", 0), Echo)
        serving.start()
        for pieces in (CONVERSATION, *(((piece, 1),) for piece in REFUSED)):
            with socket.create_connection(serving.server_address[:2]) as client:
                for piece, size in pieces:
                    client.sendall(piece)
                    if not size:
                        wait_for_a_fragment(serving)
                    while size > 0:
                        size -= len(client.recv(size))
                while client.recv(4096):
                    pass
    finally:
        sys.settrace(None)
        threading.settrace(None)  # type: ignore[arg-type]
    serving.stop()  # also waits for the threads, which still record
    return {"lines": {name: sorted(lines) for name, lines in recorder.lines.items()}, "calls": list(recorder.calls)}


# -- The listing -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Piece:
    """A function, or a class or constant that it uses, without what did not run."""

    part: str
    path: Path
    line: int  # in the file
    name: str
    code: str


@functools.cache
def pieces() -> tuple[Piece, ...]:
    """Return what runs, in the order in which it runs first."""
    folders = os.pathsep.join([str(ROOT), str(ROOT / "docs" / "_ext")])
    command = [sys.executable, "-m", "wsbook.walk"]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | {"PYTHONPATH": folders})
    found = json.loads(ran.stdout)
    files: dict[Path, File] = {}
    for path in (path for folder in FOLDERS for path in Path(folder).glob("*.py")):
        files[path] = File(path, set(found["lines"].get(str(path), ())), files)
    made: dict[tuple[Path, str], Piece] = {}
    for part, name, line in found["calls"]:
        for piece in files[Path(name)].pieces_for(part, line):
            made.setdefault((piece.path, piece.name), piece)
    return tuple(sorted(made.values(), key=lambda piece: list(PARTS).index(piece.part)))


def counts() -> list[tuple[str, ...]]:
    """Return how many pieces and lines each part has, as a table."""
    rows: list[tuple[str, ...]] = [("Part", "Functions, and what they use", "Lines of code")]
    for part, title in PARTS.items():
        mine = [piece for piece in pieces() if piece.part == part]
        rows.append((title, str(len(mine)), str(sum(code_lines(piece.code) for piece in mine))))
    total = sum(code_lines(piece.code) for piece in pieces())
    files = [path.read_text("utf-8") for name in FOLDERS for path in Path(name).glob("*.py")]
    whole = sum(code_lines(code) for code in files)
    return [*rows, ("together", str(len(pieces())), f"{total:,} of {whole:,}")]


def code_lines(code: str) -> int:
    r"""Return the number of lines that are neither empty nor a comment nor part of a docstring.

    >>> code_lines("def f():\n    'Say\n    so.'\n\n    # because\n    return 1".replace("'", '"' * 3))
    2
    """
    text = textwrap.dedent(code)
    about: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            about |= set(range(node.lineno, (node.end_lineno or 0) + 1))
    lines = enumerate(text.split("\n"), 1)
    return sum(number not in about and line.strip()[:1] not in ("", "#") for number, line in lines)


class File:
    """One file, and the lines of it that ran.

    Args:
        files: All files by their paths, this one among them.
    """

    def __init__(self, path: Path, ran: set[int], files: dict[Path, File]) -> None:
        self.path = path
        self.ran = ran
        self.files = files
        self.source = path.read_text("utf-8").split("\n")
        self.tree = ast.parse("\n".join(self.source))
        self.classes = {node.name: node for node in self.tree.body if isinstance(node, ast.ClassDef)}

    def pieces_for(self, part: str, line: int) -> Iterator[Piece]:
        """Yield the function that begins at this line, and before it the classes and constants that it uses."""
        for owner, node in self.functions():
            first = min(one.lineno for one in (node, *node.decorator_list))
            if first == line:
                used = {one.id for one in _evaluated(node) if isinstance(one, ast.Name) and self.runs(one)}
                yield from self.definitions_of(part, used | {owner})
                name = f"{owner}.{node.name}" if owner else node.name
                yield Piece(part, self.path, first, name, "\n".join(self.function(node, first)))

    def definitions_of(self, part: str, names: set[str]) -> Iterator[Piece]:
        """Yield classes and constants by their names, those of other modules first."""
        for name, path in self.imports():
            if name in names:
                yield from self.files[path].definitions_of(part, {name})
        for name, about in self.classes.items():
            if name in names:
                start = min(one.lineno for one in (about, *about.decorator_list))
                yield Piece(part, self.path, start, name, "\n".join(self.class_without_methods(about, start)))
        for name, place in self.constants():
            if name in names and place.value is not None:
                yield from self.definitions_of(
                    part, {one.id for one in _evaluated(place) if isinstance(one, ast.Name)} - {name}
                )
                code = [*self.comment_above(place), *self.lines(place.lineno, place.end_lineno)]
                yield Piece(part, self.path, place.lineno, name, "\n".join(code))

    def imports(self) -> Iterator[tuple[str, Path]]:
        """Yield the names that the module imports from these folders, each with its file; numbers are left out."""
        for node in self.tree.body:
            if isinstance(node, ast.ImportFrom) and node.level:
                base = self.path.parents[node.level - 1]
                path = base.joinpath(*(node.module or "").split(".")).with_suffix(".py")
                if path in self.files and path.stem not in ("spec", "limits"):
                    yield from ((one.name, path) for one in node.names)

    def functions(self) -> Iterator[tuple[str, ast.FunctionDef]]:
        """Yield the functions and methods, each with the name of its class."""
        for owner, body in [("", self.tree.body), *((name, one.body) for name, one in self.classes.items())]:
            yield from ((owner, node) for node in body if isinstance(node, ast.FunctionDef))

    def constants(self) -> Iterator[tuple[str, ast.Assign | ast.AnnAssign]]:
        """Yield the names that the module sets, each with the statement."""
        for node in self.tree.body:
            for target in getattr(node, "targets", [getattr(node, "target", None)]):
                if isinstance(target, ast.Name) and isinstance(node, ast.Assign | ast.AnnAssign):
                    yield target.id, node

    def runs(self, node: ast.stmt | ast.expr) -> bool:
        """Whether a line of this code ran."""
        return not self.ran.isdisjoint(range(node.lineno, (node.end_lineno or node.lineno) + 1))

    def lines(self, first: int, last: int | None) -> list[str]:
        """Return these lines of the file, from 1, both included."""
        return self.source[first - 1 : last]

    def comment_above(self, node: ast.stmt) -> list[str]:
        """Return the comment directly above a statement."""
        first = node.lineno
        while self.source[first - 2].strip().startswith("#"):
            first -= 1
        return self.lines(first, node.lineno - 1)

    def class_without_methods(self, node: ast.ClassDef, first: int) -> Iterator[str]:
        """Yield the lines of a class, its docstring cut to the first paragraph, without methods."""
        yield from self.lines(first, self.end_of_header(node.lineno))
        yield from self.docstring(node)
        for one in node.body:
            if isinstance(one, ast.Assign | ast.AnnAssign):
                yield from self.comment_above(one)
                yield from self.lines(one.lineno, one.end_lineno)

    def function(self, node: ast.FunctionDef, first: int) -> Iterator[str]:
        """Yield the lines of a function that ran, its docstring cut to the first paragraph."""
        yield from self.lines(first, self.end_of_header(node.lineno))
        yield from self.docstring(node)
        yield from self.block(node.body[1:] if ast.get_docstring(node) else node.body)

    def docstring(self, node: ast.ClassDef | ast.FunctionDef) -> Iterator[str]:
        """Yield the first paragraph of a docstring."""
        if ast.get_docstring(node) is None:
            return
        first, *lines = self.lines(node.body[0].lineno, node.body[0].end_lineno)
        more = list(itertools.takewhile(str.strip, lines))
        if len(more) == len(lines):
            yield from (first, *lines)
        elif (last := [first, *more][-1]).endswith('"'):
            yield from (first, *more, last[: -len(last.lstrip())] + '"""')
        else:
            yield from [first, *more][:-1]
            yield last + '"""'

    def end_of_header(self, line: int) -> int:
        """Return the line on which the header of a compound statement ends: its colon."""
        while not self.source[line - 1].partition("  #")[0].rstrip().endswith(":"):
            line += 1
        return line

    def block(self, body: list[ast.stmt]) -> Iterator[str]:
        """Yield the lines of the statements that ran, and ``...`` for the others."""
        gap = False
        for node in body:
            comment = self.comment_above(node)
            if node is not body[0] and not self.source[node.lineno - len(comment) - 2].strip():
                yield ""
            if self.runs(node):
                yield from comment
                yield from self.statement(node)
            elif not gap:
                yield " " * node.col_offset + "..."
            gap = not self.runs(node)

    def statement(self, node: ast.stmt) -> Iterator[str]:
        """Yield the lines of a statement that ran."""
        body: list[ast.stmt] = getattr(node, "body", [])
        if not body or body[0].lineno == node.lineno:
            yield from self.lines(node.lineno, node.end_lineno)
            return
        yield from self.branch(node.lineno, body)
        for handler in getattr(node, "handlers", []):
            yield from self.branch(handler.lineno, handler.body)
        for key in ("orelse", "finalbody"):
            rest: list[ast.stmt] = getattr(node, key, [])
            if len(rest) == 1 and self.source[rest[0].lineno - 1].strip().startswith("elif ") and self.runs(rest[0]):
                yield from self.statement(rest[0])
            elif rest:
                yield from self.branch(self.header_before(rest[0], key), rest)

    def header_before(self, node: ast.stmt, key: str) -> int:
        """Return the line of the ``else:`` or ``finally:`` above a statement."""
        line = node.lineno
        while not self.source[line - 1].strip().startswith(("el", "finally")):
            line -= 1
        return line

    def branch(self, first: int, body: list[ast.stmt]) -> Iterator[str]:
        """Yield a header and its body, with ``...`` behind the colon if the body did not run."""
        last = self.end_of_header(first)
        if any(self.runs(node) for node in body):
            yield from self.lines(first, last)
            yield from self.block(body)
            return
        *header, end = self.lines(first, last)
        code, mark, comment = end.partition("  #")
        if header and header[0].strip().startswith("elif "):
            header = []
        yield from header
        yield f"{code.rstrip()} ...{mark}{comment}"


def _evaluated(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what is in a piece of code, but for annotations."""
    for key, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and key not in ("annotation", "returns"):
                yield child
                yield from _evaluated(child)


if __name__ == "__main__":
    print(json.dumps(record()))
