"""The program of a step, as one file to read, to run and to type along with.

For chapters 1 to 5 it needs nothing but the standard library: what a learner types is
not half hidden behind an import.  It is cut out of the package itself: the handler's
methods as they are at that step, and whatever they use of the lower floors.  Only the
ground they stand on is replaced, by a ``Transport`` and a ``Server`` (:data:`GROUND`), as a first
server needs no backlog and no registry.

From chapter 6 on the program would be most of the package.  There it is what the step
is made of, its stand-ins and the application, on top of ``import wsref``.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType

from .. import steps
from ..network.handler import WebSocketHandler
from ..protocol import errors, extensions, handshake, http11, limits, spec
from . import LAST, SEEN, STAND_INS, handler_at

#: From this chapter on the program imports wsref.
IMPORTS_FROM = 6

#: The floors that a standalone program is cut out of, the lowest first.
CUT_FROM = (spec, errors, limits, http11, extensions, handshake)

#: The ground that the handler stands on, simpler than in server.py and transport.py.
GROUND = '''
logger = logging.getLogger("wsref")


class Transport:
    """One TCP connection, read with a deadline."""

    secure = False
    received_any = False

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self.write_lock = threading.Lock()

    def handshake(self, deadline: float) -> None:
        """What comes before the first byte of HTTP: in plain TCP, nothing."""

    def receive(self, size: int, timeout: float) -> bytes | None:
        """Whatever comes next; b"" at the end, None when nothing came in time."""
        self._socket.settimeout(max(timeout, 0.001))
        try:
            return self._socket.recv(size)
        except TimeoutError:
            return None
        except OSError:
            return b""

    def send(self, data: bytes) -> None:
        """All of it."""
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise ConnectionClosed(str(error)) from None

    def end(self) -> None:
        """RFC 9112 section 9.6: end TCP in stages, or a RST may overtake the answer."""
        try:
            self._socket.shutdown(socket.SHUT_WR)
            deadline = time.monotonic() + 1
            while (left := deadline - time.monotonic()) > 0 and self.receive(READ_SIZE, left):
                pass
        except OSError:
            pass


class Server(socketserver.ThreadingTCPServer):
    """A thread for each connection."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 1024
    page = b""
    limits = Limits()

    @property
    def host_and_port(self) -> str:
        """As bound."""
        return "{}:{}".format(*self.server_address)

    def _count(self, *, refused: int) -> None:
        """The finished server counts; this one does not."""


SERVER_FAILED = HTTPError(500, "the server failed", "RFC 9110 section 15.6.1")


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
'''

#: What every standalone handler begins with.
HANDLER = '''
class Handler(socketserver.BaseRequestHandler):
    """One connection, in a thread of its own."""

    subprotocols: Sequence[str] = ()

    def setup(self) -> None:
        self._transport = Transport(self.request)
        self._early = b""

    def finish(self) -> None:
        self._transport.end()

    _name = ""

    def _log(self, level: int, message: str) -> None:
        print("{}:{}".format(*self.client_address), message)

'''

MAIN = """

if __name__ == "__main__":
    with {server} as server:
        print("Open http://127.0.0.1:8765/ in a browser.  Ctrl-C ends it.", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            pass
"""


def source_at(step: int) -> str:
    """The program of a step.

    Args:
        step: The chapter, 1 to 11.
    Raises:
        ValueError: there is no such chapter.
    """
    if step not in SEEN:
        raise ValueError(f"a step is a chapter from 1 to {LAST}, not {step}")
    title = f'"""A WebSocket server after chapter {step} of {LAST}.\n\n{SEEN[step]}.\n"""\n\n'
    body = _standalone(step) if step < IMPORTS_FROM else _on_top_of_wsref(step)
    return title + "from __future__ import annotations\n\n" + body


# -- Chapters 6 to 11 ---------------------------------------------------------------


def _on_top_of_wsref(step: int) -> str:
    stand_ins = [inspect.getsource(STAND_INS[chapter]) for chapter in range(step + 1, LAST + 1)]
    app = inspect.getsource(handler_at(step).__mro__[LAST - step + 1])
    names = [f"BeforeChapter{chapter}" for chapter in range(step + 1, LAST + 1)]
    handler = f"class After{step}({', '.join([*names, _class_name(app)])}):\n"
    handler += f'    """After chapter {step}: {SEEN[step]}."""\n'
    sources = [*stand_ins, app, handler]
    main = MAIN.format(server=f'WebSocketServer(("127.0.0.1", 8765), After{step})')
    known = {"Chat": "from wsref.apps.demo import Chat"}
    known |= _imported_by(steps) | _imported_by(sys.modules["wsref.apps.demo"])
    del known[_class_name(app)]  # it is written out
    imports = _imports("\n".join(sources) + main, known)
    return "\n".join([imports, *("\n" + source.rstrip() + "\n" for source in sources)]) + main


def _class_name(source: str) -> str:
    return source.removeprefix("class ").partition("(")[0]


# -- Chapters 1 to 5 ------------------------------------------------------------------


def _standalone(step: int) -> str:
    handler = handler_at(step, WebSocketHandler)
    methods = _reachable(handler, "handle")
    handler_source = HANDLER + "".join("\n" + _indented(method) for method in methods)
    # In one file a module's name before a function's is gone.
    handler_source = re.sub(r"\b(handshake|deflate)\.", "", handler_source)
    ground = GROUND + "\n" + handler_source

    chosen: dict[str, str] = {}  # name: source
    todo = _names(ground) | {"READ_SIZE"}
    there = dict(_definitions())
    while todo:
        name = todo.pop()
        if name in there and name not in chosen:
            chosen[name] = there[name]
            todo |= _names(there[name])
    definitions = "\n\n\n".join(there[name].rstrip() for name in there if name in chosen)
    sizes = "READ_SIZE = HEAD_READ_SIZE = 64 * 1024  # bytes that one read asks for"
    everything = "\n\n\n".join((definitions, sizes, ground.lstrip()))
    known: dict[str, str] = {}
    for module in (*CUT_FROM, sys.modules["wsref.network.transport"], sys.modules["wsref.network.handler"]):
        known |= _imported_by(module)
    known = {name: statement for name, statement in known.items() if "wsref" not in statement}
    main = MAIN.format(server='Server(("127.0.0.1", 8765), Handler)')
    return _imports(everything, known) + "\n\n" + everything.rstrip() + "\n" + main


def _reachable(handler: type, first: str) -> list[FunctionType]:
    """The methods that ``first`` leads to by ``self.name``, in the order of their first use."""
    found: dict[str, FunctionType] = {}
    todo = [first]
    while todo:
        name = todo.pop(0)
        method = inspect.getattr_static(handler, name, None)
        if name in found or name in ("_log", "setup", "finish") or not isinstance(method, FunctionType):
            continue
        found[name] = method
        tree = ast.parse(textwrap.dedent(inspect.getsource(method)))
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
                todo.append(node.attr)
    return list(found.values())


def _indented(method: FunctionType) -> str:
    return textwrap.indent(_shortened(textwrap.dedent(inspect.getsource(method))), "    ")


def _definitions() -> Iterator[tuple[str, str]]:
    """Every top-level definition of the floors we cut from, with the comment above it."""
    for module in CUT_FROM:
        source = Path(str(module.__file__)).read_text("utf-8")
        lines = source.splitlines()
        for node in ast.parse(source).body:
            names: list[str] = []
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                names = [node.name]
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                names = [node.targets[0].id]
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                names = [node.target.id]
            if names:
                decorators = getattr(node, "decorator_list", [])
                begin = min([node.lineno, *(decorator.lineno for decorator in decorators)]) - 1
                while begin and lines[begin - 1].startswith("#"):
                    begin -= 1
                yield names[0], _shortened("\n".join(lines[begin : node.end_lineno]))


def _shortened(source: str) -> str:
    """The same code; of each docstring the first line: the whole of it is in the package."""
    lines = source.splitlines()
    for node in reversed(list(ast.walk(ast.parse(source)))):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and ast.get_docstring(node):
            begin, end = node.body[0].lineno - 1, node.body[0].end_lineno
            if end is not None and end > begin + 1:
                lines[begin:end] = [lines[begin] + '"""']
    return "\n".join(lines) + "\n"


def _names(source: str) -> set[str]:
    """Every name that a piece of code uses, annotations included."""
    return {node.id for node in ast.walk(ast.parse(textwrap.dedent(source))) if isinstance(node, ast.Name)}


def _imported_by(module: object) -> dict[str, str]:
    """Name to import statement, for every top-level import of a module; ours become wsref's."""
    found: dict[str, str] = {}
    for node in ast.parse(inspect.getsource(module)).body:  # type: ignore[arg-type]
        if isinstance(node, ast.Import):
            found |= {alias.name: f"import {alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module != "__future__":
            package = f"wsref{'.' * bool(node.module)}{node.module or ''}" if node.level else node.module
            found |= {alias.name: f"from {package} import {alias.name}" for alias in node.names}
    return found


def _imports(source: str, known: dict[str, str]) -> str:
    """The import statements for the names that the source uses, one module a line."""
    used = sorted(statement for name, statement in known.items() if name in _names(source))
    plain = [statement for statement in used if statement.startswith("import ")]
    grouped: dict[str, list[str]] = {}
    for statement in used:
        if statement.startswith("from "):
            package, _, name = statement.removeprefix("from ").partition(" import ")
            grouped.setdefault(package, []).append(name)
    lines = plain + [f"from {package} import {', '.join(sorted(names))}" for package, names in grouped.items()]
    return "\n".join(lines) + "\n"
