"""The house itself: who may import whom, what every part must have, and how large it may be."""

from __future__ import annotations

import ast
import functools
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

import wsref
from wsref.protocol.limits import MAX_SECONDS, Limits

PACKAGE = Path(wsref.__file__).parent
SOURCES = {str(path.relative_to(PACKAGE)): path for path in sorted(PACKAGE.rglob("*.py"))}


def table(docstring: str | None) -> list[list[str]]:
    """The rows of a docstring's table: columns are two blanks or more apart."""
    rows = re.split(r"^=[= ]+=$", docstring or "", flags=re.M)[2]
    return [re.split(r" {2,}", line) for line in rows.strip().splitlines()]


#: Folder to the folders that it may import from, in reading order: the contents page of the package.
FOLDERS = {folder: set(allowed[0].split(", ") if allowed else []) for folder, _, *allowed in table(wsref.__doc__)}
FOLDERS["exercises"] = set(wsref.__all__)
FOLDERS["cli"] = set(FOLDERS) - {"cli"}

#: What a folder or package imports of another one, where the rule names modules and not whole folders.
ONLY = {("wire", "network"): {"tap"}, ("check.report", "wire"): {"trace", "description"}}

#: Folders of which only one package may use another folder: of the grader, only its report draws with wire.
ONLY_IN = {("check", "wire"): "report"}


def order(folder: str) -> list[str]:
    """The modules and packages of a folder or package, as its docstring lists them."""
    return [row[0] for row in table(importlib.import_module(f"wsref.{folder}").__doc__)]


@functools.cache
def imports(file: str, source: str) -> list[tuple[str, ...]]:
    """Every import, also inside functions, as its parts: ``("wsref", "protocol", "frames")``, ``("ssl",)``."""
    return list(_imports(file, source))


def _imports(file: str, source: str) -> Iterator[tuple[str, ...]]:
    package = ("wsref", *Path(file).parts[:-1])
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (tuple(alias.name.split(".")) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = (*base, *(node.module or "").split(".")) if node.module else base
            for alias in node.names:
                path = PACKAGE / Path(*module[1:], alias.name)
                is_module = path.is_dir() or path.with_suffix(".py").exists()
                yield (*module, alias.name) if is_module or len(module) == 1 else module


def wrong_imports(file: str, source: str) -> list[str]:
    """The imports of a module that the contents pages do not allow."""
    folder, *inside = Path(file).with_suffix("").parts
    if folder not in FOLDERS:  # wsref itself and __main__: above them all
        return []
    wrong = []
    for first, *rest in imports(file, source):
        same = rest[:1] == [folder]
        if first == "wsref" and not (is_above(folder, inside, rest[1:]) if same else may_use(file, rest)):
            wrong.append(".".join(rest))
    return wrong


def is_above(folder: str, user: list[str], used: list[str]) -> bool:
    """Whether a module of a folder comes above another one in the folder's docstring, or in that of their package."""
    known = order(folder)
    if user[0] not in known:  # the user is the folder's __init__
        return not used or used[0] in known
    if not used:  # the folder itself
        return "." not in folder and len(user) == 1
    if user[0] == used[0] and len(user) == 2:  # both in one package
        return is_above(f"{folder}.{user[0]}", user[1:], used[1:])
    return used[0] in known[: known.index(user[0])]


def may_use(file: str, used: list[str]) -> bool:
    """Whether a module may import this one of another folder."""
    folder, *package, _ = Path(file).parts
    to, module = [*used, "", ""][:2]
    only = ONLY.get((".".join([folder, *package]), to))
    good = to in FOLDERS[folder] and (only is None or module in only)
    good = good and ((folder, to) not in ONLY_IN or package == [ONLY_IN[folder, to]])
    return good or (folder == "cli" and to == "__version__")


class TestImports:
    """Which part may use which: the tables in wsref/__init__.py and in the folders' docstrings"""

    def test_a_module_imports_only_from_what_stands_above_it(self):
        assert {file: wrong for file in SOURCES if (wrong := wrong_imports(file, SOURCES[file].read_text()))} == {}

    @pytest.mark.parametrize(
        "file, source, wrong",
        [
            ("protocol/frames.py", "from .messages import Assembler", ["protocol.messages"]),
            ("protocol/frames.py", "def f():\n    from ..network.server import x", ["network.server"]),
            ("protocol/frames.py", "import wsref.network.server", ["network.server"]),
            ("protocol/frames.py", "from .. import Echo", ["Echo"]),
            ("protocol/frames.py", "from .spec import FIN\nimport sys", []),
            ("network/server.py", "from ..cli import main", ["cli.main"]),
            ("network/client.py", "from ..fast import threads\nfrom . import transport", []),
            ("wire/trace.py", "from ..network import client", ["network.client"]),
            ("check/codec.py", "from ..protocol.frames import mask", ["protocol.frames"]),
            ("check/codec.py", "from .session import Peer", ["check.session"]),
            ("check/runner.py", "from ..wire import trace", ["wire.trace"]),
            ("check/report/transcript.py", "from ...wire import trace\nfrom ..runner import Report", []),
            ("check/report/transcript.py", "from ...wire.panel import x", ["wire.panel"]),
            ("check/report/text.py", "from .junit import as_junit", ["check.report.junit"]),
            ("check/cases/ch02.py", "from ..plays import refused\nfrom .common import MUST", []),
            ("check/cases/ch02.py", "from .ch03 import CASES", ["check.cases.ch03"]),
            ("check/cases/ch02.py", "from ..runner import play", ["check.runner"]),
            ("check/cases/ch02.py", "from .. import Case", ["check"]),
            ("check/cases/ch02.py", "from ..cases import CASES", ["check.cases"]),
            ("check/cases/ch02.py", "from ...wire import trace", ["wire.trace"]),
            ("exercises/ch02.py", "from .. import connect\nfrom ..network import client", ["network.client"]),
            ("exercises/solutions/ch02.py", "from wsref import Echo\nfrom ..ch02 import x", ["exercises.ch02"]),
            ("check/cases/__init__.py", "from . import ch02\nfrom ..gallery import BROKEN", ["check.gallery"]),
        ],
    )
    def test_this_very_test_sees_a_wrong_import(self, file, source, wrong):
        assert wrong_imports(file, source) == wrong

    def test_nothing_outside_the_standard_library_is_imported(self):
        theirs = {(file, first) for file in SOURCES for first, *_ in imports(file, SOURCES[file].read_text())}
        foreign = {(file, first) for file, first in theirs if first not in {"wsref", *sys.stdlib_module_names}}
        assert foreign == {("protocol/masking.py", "numpy"), ("apps/exchange.py", "redis")}  # both are optional

    def test_the_protocol_has_no_socket_and_no_clock(self):
        forbidden = {"socket", "socketserver", "ssl", "select", "selectors", "time", "asyncio", "random"}
        for file in SOURCES:
            if file.startswith("protocol/"):
                assert forbidden & {first for first, *_ in imports(file, SOURCES[file].read_text())} == set(), file


class TestContents:
    """The docstrings of the package and of its folders are its contents pages"""

    def test_they_list_every_folder_and_every_module(self):
        assert set(FOLDERS) == {Path(file).parts[0] for file in SOURCES if "/" in file}
        for folder in sorted({path.parent.relative_to(PACKAGE) for path in SOURCES.values()} - {Path()}):
            modules = {path.stem for path in (PACKAGE / folder).glob("*.py")} - {"__init__"}
            modules |= {path.parent.name for path in (PACKAGE / folder).glob("*/__init__.py")}
            assert set(order(".".join(folder.parts))) == modules, folder

    def test_the_public_names_exist_and_are_sorted(self):
        assert wsref.__all__ == sorted(wsref.__all__)
        assert all(hasattr(wsref, name) for name in wsref.__all__)


def undocumented(tree: ast.Module) -> Iterator[str]:
    """Public functions, classes and methods without a docstring."""

    def of(node: ast.Module | ast.ClassDef, prefix: str) -> Iterator[str]:
        for child in node.body:
            if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                continue
            if child.name.startswith("_") or "overload" in map(ast.unparse, child.decorator_list):
                continue
            if not ast.get_docstring(child):
                yield prefix + child.name
            if isinstance(child, ast.ClassDef):
                yield from of(child, f"{prefix}{child.name}.")

    if not ast.get_docstring(tree):
        yield "the module"
    yield from of(tree, "")


class TestDocstrings:
    """CONTRIBUTING: what is public says what it does; a broken server of the gallery says it by symptom and bug"""

    def test_everything_public_has_a_docstring(self):
        public = [file for file in SOURCES if not file.startswith(("check/gallery/ch", "check/clients/gallery"))]
        missing = {file: list(undocumented(ast.parse(SOURCES[file].read_text()))) for file in public}
        assert {file: names for file, names in missing.items() if names} == {}

    def test_this_very_test_sees_a_missing_docstring(self):
        source = '"""M."""\nclass A:\n    """A."""\n    def b(self): pass\n    def _c(self): pass\ndef d(): pass\n'
        assert list(undocumented(ast.parse(source))) == ["A.b", "d"]


def attributes(node: ast.ClassDef) -> set[str]:
    """What the methods of a class set on ``self``."""
    stored = (
        child for child in ast.walk(node) if isinstance(child, ast.Attribute) and isinstance(child.ctx, ast.Store)
    )
    return {child.attr for child in stored if isinstance(child.value, ast.Name) and child.value.id == "self"}


class TestSizes:
    """A class that is larger than most says why"""

    WHY = re.compile(r"more\s+attributes than most classes|Its attributes are those of the browser")

    @staticmethod
    def large(source: str) -> Iterator[ast.ClassDef]:
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ClassDef) and len(attributes(node)) > 8:
                yield node

    def test_a_class_of_more_than_eight_attributes_says_why(self):
        sources = {file: path.read_text() for file, path in SOURCES.items() if not file.startswith("steps")}
        large = [(file, node) for file, source in sources.items() for node in self.large(source)]
        assert [f"{file}: {one.name}" for file, one in large if not self.WHY.search(ast.get_docstring(one) or "")] == []

    def test_this_very_test_sees_a_large_class(self):
        source = (
            "class A:\n    def b(self):\n        (self.a, self.b), self.c = self.d = x\n        self.e: int = self.z\n"
        )
        assert attributes(ast.parse(source).body[0]) == set("abcde")
        assert not list(self.large(source))
        assert list(self.large(f"{source}        self.f = self.g = self.h = self.i = 1\n"))


class TestSignatures:
    """The protocol and the network: what holds for every function and for every dataclass"""

    def test_a_caller_may_name_every_argument(self):
        sources = {file: path.read_text() for file, path in SOURCES.items() if file.startswith(("protocol", "network"))}
        signatures = ((file, node) for file in sources for node in ast.walk(ast.parse(sources[file])))
        assert [(file, one.arg) for file, node in signatures for one in getattr(node, "posonlyargs", ())] == []

    @pytest.mark.parametrize("folder", ["protocol", "network"])
    def test_a_dataclass_takes_no_other_attribute_and_one_of_the_protocol_cannot_be_changed(self, folder):
        modules = [importlib.import_module(f"wsref.{folder}.{name}") for name in order(folder)]
        classes = {one for module in modules for one in vars(module).values() if isinstance(one, type)}
        values = [one for one in classes if is_dataclass(one) and one.__module__.startswith(f"wsref.{folder}.")]
        assert len(values) >= 3
        assert [one for one in values if "__slots__" not in vars(one)] == []
        assert folder == "network" or [one for one in values if not one.__dataclass_params__.frozen] == []


class TestLimits:
    """RFC 6455 §10.4"""

    @pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
    def test_a_limit_that_is_not_positive_or_infinite_is_refused_by_name_and_unit(self, value):
        for row in fields(Limits):
            with pytest.raises(ValueError, match=rf"{row.name} must be .*{row.metadata['unit']}"):
                Limits(**{row.name: value})

    def test_a_time_is_one_that_the_system_calls_can_take(self):
        times = [row.name for row in fields(Limits) if row.metadata["unit"].startswith("seconds")]
        assert len(times) == 7
        for name in times:
            Limits(**{name: MAX_SECONDS})
            with pytest.raises(ValueError, match=rf"{name} must be at most 2,000,000 seconds"):
                Limits(**{name: MAX_SECONDS + 1})
        for name in {row.name for row in fields(Limits)} - set(times):
            Limits(**{name: MAX_SECONDS + 1})

    def test_a_limit_has_a_default_a_unit_and_a_reason(self):
        for row in fields(Limits):
            assert row.default > 0 and row.metadata["unit"] and row.metadata["why"], row.name

    def test_the_defaults_are_those_of_the_peers_that_each_row_names(self):
        assert {row.name: row.default for row in fields(Limits)} == {
            "max_request_line": 8192,
            "max_header_line": 8192,
            "max_headers": 100,
            "max_head": 16_384,
            "head_timeout": 10,
            "max_message_size": 1_048_576,
            "max_empty_fragments": 1024,
            "ping_interval": 20,
            "ping_timeout": 20,
            "send_timeout": 10,
            "close_timeout": 10,
            "linger_timeout": 1,
            "max_connections": 1024,
            "max_backlog": 1_048_576,
            "shutdown_timeout": 1.5,
        }

    def test_the_default_head_has_room_for_the_longest_request_line_and_header_line(self):
        limits = Limits()
        assert limits.max_request_line >= 8000  # RFC 9112 §3
        assert limits.max_head >= limits.max_request_line
        assert limits.max_head >= limits.max_header_line


def test_no_source_archive_has_what_git_ignores(tmp_path):
    """``python -m build`` in a folder that was worked in: caches and generated pages stay out."""
    pytest.importorskip("setuptools")
    root = PACKAGE.parent
    if not (root / ".gitignore").exists():
        pytest.skip("this is not a clone")
    at_the_root = {".venv/", "*.egg-info/", "build/", "dist/", ".nox/", ".mutants/"}
    ignored = set()
    for pattern in (root / ".gitignore").read_text("utf-8").split():
        if pattern not in at_the_root:
            path = pattern.replace("*", "x") + ("deep/x" if pattern.endswith("/") else "")
            ignored |= (
                {path} if "/" in pattern.rstrip("/") else {f"{folder}/sub/{path}" for folder in ("docs", "tests")}
            )
    for path in ("wsref/__init__.py", "setup.py", "MANIFEST.in", "README.md", "docs/x.md", "tests/x.py", *ignored):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        source = root / path
        (tmp_path / path).write_text(source.read_text("utf-8") if source.is_file() else "", "utf-8")
    subprocess.run([sys.executable, "setup.py", "-q", "egg_info"], cwd=tmp_path, check=True, capture_output=True)
    packed = set((tmp_path / "wsref.egg-info/SOURCES.txt").read_text("utf-8").split())
    assert {"docs/x.md", "tests/x.py"} <= packed
    assert not packed & ignored
