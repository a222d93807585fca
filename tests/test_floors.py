"""The house itself: who may import whom, and what every part must have."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

import wsref
from wsref.limits import Limits

PACKAGE = Path(wsref.__file__).parent

#: A module imports only from strictly lower floors.
FLOORS = {
    "spec": 0,
    "limits": 1,
    "errors": 1,
    "http11": 2,
    "frames": 2,
    "closing": 2,
    "handshake": 3,
    "messages": 3,
    "deflate": 3,
    "connection": 4,
    "transport": 5,
    "workers": 5,
    "server": 6,
    "client": 6,
    "apps": 7,
    "terminal": 7,
    "steps": 8,
    "source": 9,
    "picture": 4,
    "trace": 8,
    "wire": 9,
    "decode": 9,
    "console": 9,
    "explain": 7,
    "check": 8,
    "": 9,  # wsref itself, that is __init__: the contents page of what is below
    "cli": 10,
    "__main__": 11,
}

MODULES = {path.stem: path for path in sorted(PACKAGE.glob("*.py")) if path.stem != "__init__"}
SOURCES = {str(path.relative_to(PACKAGE)): path for path in sorted(PACKAGE.rglob("*.py"))}


def floor_name(path: Path) -> str:
    """``check`` for check/report.py, ``spec`` for spec.py, ``""`` for __init__.py."""
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def imports(tree: ast.AST) -> Iterator[tuple[str, bool]]:
    """``(name, is it of this package)`` of every import, also of those inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                package, _, rest = alias.name.partition(".")
                yield (rest.partition(".")[0], True) if package == "wsref" else (package, False)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level == 0 and module.partition(".")[0] != "wsref":
                yield module.partition(".")[0], False
                continue
            inside = module if node.level else module.partition(".")[2]
            if inside:
                yield inside.partition(".")[0], True
            else:  # "from . import handshake", "from . import __version__"
                for alias in node.names:
                    yield (alias.name if alias.name in FLOORS else ""), True


def upward(name: str, source: str) -> list[str]:
    """The imports of a module that its floor does not allow."""
    reachable = min(FLOORS[name], 5) if name == "explain" else FLOORS[name]
    ours = {to for to, inside in imports(ast.parse(source)) if inside}
    return sorted(to for to in ours if to not in FLOORS or FLOORS[to] >= reachable)


class TestFloors:
    """Which floor may use which"""

    @pytest.mark.parametrize("file", SOURCES)
    def test_a_module_imports_only_from_floors_below_its_own(self, file):
        name = floor_name(SOURCES[file])
        assert name in FLOORS, f"on which floor is {file}?"
        if len(Path(file).parts) == 1:  # (within a sub-package its own modules know each other)
            assert upward(name, SOURCES[file].read_text()) == []

    @pytest.mark.parametrize(
        "name, source, wrong",
        [
            ("frames", "from .messages import Assembler", ["messages"]),
            ("frames", "from .http11 import TOKEN", ["http11"]),
            ("frames", "def f():\n    from wsref.connection import Connection", ["connection"]),
            ("frames", "import wsref.server", ["server"]),
            ("frames", "import wsref", [""]),
            ("errors", "from .limits import Limits", ["limits"]),
            ("server", "from . import handshake, cli", ["cli"]),
            ("frames", "from .surprise import x", ["surprise"]),
            ("explain", "from .server import running", ["server"]),
            ("frames", "from .spec import FIN\nimport sys", []),
        ],
    )
    def test_this_very_test_sees_an_upward_import(self, name, source, wrong):
        assert upward(name, source) == wrong

    @pytest.mark.parametrize("file", SOURCES)
    def test_nothing_outside_the_standard_library_is_imported(self, file):
        theirs = {name for name, inside in imports(ast.parse(SOURCES[file].read_text())) if not inside}
        optional = {"numpy"} if floor_name(SOURCES[file]) == "frames" else set()
        assert theirs - sys.stdlib_module_names - optional == set()

    @pytest.mark.parametrize("file", [file for file in SOURCES if FLOORS[floor_name(SOURCES[file])] < 5])
    def test_below_floor_5_there_is_no_socket_and_no_clock(self, file):
        theirs = {name for name, inside in imports(ast.parse(SOURCES[file].read_text())) if not inside}
        assert theirs & {"socket", "socketserver", "ssl", "select", "selectors", "time", "asyncio", "random"} == set()


def undocumented(tree: ast.Module) -> Iterator[str]:
    """Public functions, classes and methods without a docstring."""

    def of(node: ast.Module | ast.ClassDef, prefix: str) -> Iterator[str]:
        for child in node.body:
            if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                continue
            if child.name.startswith("_"):
                continue
            if not ast.get_docstring(child):
                yield prefix + child.name
            if isinstance(child, ast.ClassDef):
                yield from of(child, f"{prefix}{child.name}.")

    if not ast.get_docstring(tree):
        yield "the module"
    yield from of(tree, "")


class TestDocstrings:
    """CONTRIBUTING: what is public says what it does"""

    @pytest.mark.parametrize("file", SOURCES)
    def test_everything_public_has_a_docstring(self, file):
        assert list(undocumented(ast.parse(SOURCES[file].read_text()))) == []

    def test_this_very_test_sees_a_missing_docstring(self):
        source = '"""M."""\nclass A:\n    """A."""\n    def b(self): pass\n    def _c(self): pass\ndef d(): pass\n'
        assert list(undocumented(ast.parse(source))) == ["A.b", "d"]

    @pytest.mark.parametrize("name", MODULES)
    def test_a_module_names_its_own_floor_first(self, name):
        found = re.match(r"Floor (\d+)\b", ast.get_docstring(ast.parse(MODULES[name].read_text())) or "")
        if name != "__main__":
            assert found, "the docstring begins with 'Floor N'"
            assert int(found[1]) == FLOORS[name]

    def test_the_contents_page_lists_every_module_with_its_floor(self):
        rows = re.findall(r"^(\d+) +([a-z_0-9]+)/? ", wsref.__doc__ or "", re.MULTILINE)
        there = {floor_name(path) for path in SOURCES.values()} - {"", "__main__"}
        assert {name for _, name in rows} == there
        assert {name: int(floor) for floor, name in rows} == {name: FLOORS[name] for name in there}
        assert [int(floor) for floor, _ in rows] == sorted(int(floor) for floor, _ in rows), "in reading order"

    def test_the_public_names_exist_and_are_sorted(self):
        assert wsref.__all__ == sorted(wsref.__all__)
        assert all(hasattr(wsref, name) for name in wsref.__all__)


class TestLimits:
    """RFC 6455 §10.4"""

    @pytest.mark.parametrize("row", fields(Limits), ids=lambda row: row.name)
    @pytest.mark.parametrize("value", [0, -1, float("nan")])
    def test_a_limit_that_is_not_positive_is_refused_by_name_and_unit(self, row, value):
        with pytest.raises(ValueError, match=rf"{row.name} must be .*{row.metadata['unit']}"):
            Limits(**{row.name: value})

    @pytest.mark.parametrize("row", fields(Limits), ids=lambda row: row.name)
    def test_a_limit_has_a_default_a_unit_and_a_reason(self, row):
        assert row.default > 0
        assert row.metadata["unit"]
        assert row.metadata["why"]

    def test_the_default_head_has_room_for_the_longest_request_line_and_header_line(self):
        limits = Limits()
        assert limits.max_request_line >= 8000  # RFC 9112 §3
        assert limits.max_head >= limits.max_request_line
        assert limits.max_head >= limits.max_header_line
