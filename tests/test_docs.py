"""The book: the rules that its pages keep, and the machine that builds it."""

from __future__ import annotations

import ast
import doctest
import importlib
import importlib.util
import inspect
import re
import shlex
import shutil
import sys
import textwrap
from dataclasses import fields
from pathlib import Path

import pytest
from conftest import require

import wsref
from wsref.protocol.closing import TRANSITIONS, may_travel
from wsref.protocol.handshake import RULES
from wsref.steps import LAST, SEEN, source_of

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
SITE = DOCS / "_build" / "html"
sys.path.insert(0, str(DOCS / "_ext"))

from wsbook import links, runner  # noqa: E402  (neither needs Sphinx)

GENERATED = (DOCS / "_build", DOCS / "_ext", DOCS / "labs", DOCS / "reference" / "api")
PAGES = [
    path
    for path in sorted(DOCS.rglob("*.md"))
    if "node_modules" not in path.parts and not any(path.is_relative_to(folder) for folder in GENERATED)
]
#: Chapter 12 has no step: it is read.
CHAPTERS = [path for path in PAGES if re.match("(0|10|11)", path.name) and path.parent.name == "tutorial"]


def named(path: Path) -> str:
    return str(path.relative_to(DOCS))


def fences(text: str) -> list[tuple[str, str]]:
    """The innermost fenced blocks of a page: what stands after the backticks, and what is in it."""
    return re.findall(r"^(?:```+|~~~+)([^\n`]*)\n((?:(?!```|~~~).*\n)*?)(?:```+|~~~+)$", text, re.M)


def sphinx_is_there() -> None:
    there = all(importlib.util.find_spec(name) for name in ("sphinx", "furo", "myst_nb"))
    require(there, "the book needs pip install -e '.[docs]'", "CI_DOCS")


# -- The pages ---------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=named)
class TestPages:
    """What every page keeps to."""

    def test_code_of_the_package_is_included_by_its_name(self, page):
        for directive, body in fences(page.read_text("utf-8")):
            if "{literalinclude}" in directive:
                assert not re.search(r"^:(lines|start-\w+|end-\w+):", body, re.M), directive
                if "/wsref/" in directive and directive.endswith(".py"):
                    assert re.search(r"^:pyobject: \S", body, re.M), directive

    def test_code_of_the_package_is_not_copied(self, page):
        source = "\n".join(significant(path.read_text("utf-8")) for path in sorted((ROOT / "wsref").rglob("*.py")))
        for directive, body in fences(page.read_text("utf-8")):
            lines = significant(body).split("\n")
            for n in range(len(lines) - 5):
                piece = "\n".join(lines[n : n + 6])
                assert f"\n{piece}\n" not in source, f"{directive}:\n{piece}"

    def test_no_output_is_typed_by_hand(self, page):
        for language, body in fences(page.read_text("utf-8")):
            if not language.startswith("{"):
                assert language.strip() not in ("console", "pycon", "http", ""), f"use transcript or exchange:\n{body}"
                assert not re.search(r"^(\$|>>>) ", body, re.M), f"use transcript or doctest:\n{body}"

    def test_every_exercise_has_its_solution(self, page):
        text = page.read_text("utf-8")
        assert len(re.findall(r":::+\{exercise\}", text)) == len(re.findall(r":::+\{solution\}", text))


def significant(source: str) -> str:
    """Without blank lines and indentation."""
    return "\n".join(line.strip() for line in source.splitlines() if line.strip())


@pytest.mark.parametrize("page", CHAPTERS, ids=named)
class TestChapters:
    """The pattern of a chapter of the tutorial; docs/_ext/README.md describes it."""

    def test_it_has_its_number(self, page):
        number = int(page.name[:2])
        assert page.read_text("utf-8").startswith(f"# {number}. ")

    def test_it_has_all_its_parts(self, page):
        text, number = page.read_text("utf-8"), int(page.name[:2])
        parts = ["{literalinclude}", "{rfc}", "{break-it}", "{exercise}", f"{{lab}} {number:02}"]
        if number:
            parts.append(f"python -m wsref check --until {number} ")
        if number > 1:
            parts += ["## What the server cannot do yet", f":step: {number - 1}\n", f":step: {number}\n"]
        if number < LAST:
            parts.append(f"{{next-chapter}} {number + 1}\n")
        if number == LAST:
            parts.remove(f":step: {number}\n")  # the finished server
        assert [part for part in parts if part not in text] == []


def test_the_solutions_of_each_chapter_have_their_tests():
    solved = {path.stem for path in (ROOT / "wsref" / "exercises" / "solutions").glob("ch*.py")}
    assert solved == {path.stem.removeprefix("test_") for path in (ROOT / "tests" / "exercises").glob("test_ch*.py")}


def test_the_readme_builds_it_with_one_command():
    command = re.search(r"<!-- book command -->\n```sh\n(.*)\n```", (ROOT / "README.md").read_text("utf-8"))[1]
    assert command.endswith(" && .venv/bin/python docs/build.py") and "'.[docs]'" in command
    assert command in (DOCS / "about.md").read_text("utf-8")


# -- What runs the examples ----------------------------------------------------------------


class TestRunning:
    """wsbook.runner."""

    def test_a_command_and_its_output_and_the_servers_log(self):
        commands = ["curl -s http://127.0.0.1:8765/", "echo 8765"]
        shown, log = runner.run_commands(commands, server=runner.server_command(1, None))
        assert [one.output for one in shown] == ["Hello from an HTTP server.\n", "8765\n"]
        assert "12:00:00 127.0.0.1:50001 200" in log

    def test_another_exit_code_than_the_page_says_is_a_failure(self):
        with pytest.raises(runner.Failed, match="exit code 3, not 0"):
            runner.run_commands(["exit 3"])
        with pytest.raises(runner.Failed, match="exit code 0, not 1"):
            runner.run_commands(["true"], exits=[1])
        assert runner.run_commands(["false", "true"], exits=[1, 0])

    def test_what_does_not_end_is_a_failure(self):
        with pytest.raises(runner.Failed, match="still running after"):
            runner.run_commands(["sleep 100"], timeout=0.3)

    def test_a_server_that_does_not_start_is_a_failure(self):
        with pytest.raises(runner.Failed, match="the server ended with 2"):
            runner.run_commands(["true"], server="python -m wsref --step 12 --port 8765")

    def test_it_is_this_checkout_that_runs(self):
        shown, _ = runner.run_commands(["python -c 'import wsref; print(wsref.__file__)'"])
        assert Path(shown[0].output.strip()) == ROOT / "wsref" / "__init__.py"

    def test_random_bytes_are_the_same_in_every_build(self):
        outputs = {runner.run_program("import os\nprint(os.urandom(16).hex())")[0] for _ in range(2)}
        assert len(outputs) == 1

    def test_a_program_against_a_server(self):
        source = "from wsref import connect\nwith connect('ws://127.0.0.1:8765/') as ws:\n"
        source += "    ws.send('hi')\n    print(ws.recv(), ws.url)\n"
        assert runner.run_program(source, server=runner.server_command(7, None))[0] == "hi ws://127.0.0.1:8765/\n"

    def test_frames_sent_and_received(self):
        script = "> 81 85 37 fa 21 3d 7f 9f 4d 51 58\n< frame\n< nothing\n> 88 80 00 00 00 00\n< frame\n< end\n"
        lines, _ = runner.exchange(script, server=runner.server_command(8, None), opened="/")
        assert [line.command for line in lines] == [">", "<", "", ">", "<", ""]
        assert lines[1].output == "81 05 48 65 6c 6c 6f   TEXT, FIN, 5 bytes: 'Hello'"

    @pytest.mark.parametrize(
        "script, complaint",
        [
            ("> 81 80 00 00 00 00\n< end\n", "more bytes before the end|no more bytes in time"),
            ("> 81 80 00 00 00 00\n< nothing\n", "not nothing"),
            ("< frame\n", "no more bytes in time"),
            ("? what\n", "neither"),
        ],
    )
    def test_what_does_not_come_or_comes_too_much_is_a_failure(self, script, complaint):
        with pytest.raises(runner.Failed, match=complaint):
            runner.exchange(script, server=runner.server_command(7, None), opened="/", timeout=1)

    def test_the_stand_in_for_curl_sends_what_curl_sends(self):
        require(shutil.which("curl"), "curl is not installed")
        command = (
            "-s -i http://127.0.0.1:8765/ -X POST -H 'Connection: Upgrade' -H 'Upgrade: websocket' -H 'Host: a.example'"
        )
        ours = f"python {shlex.quote(str(runner.FIXED / 'curl.py'))}"
        server = "python -m wsref --port 8765 --trace"

        def seen(program: str) -> tuple[str, list[str]]:
            shown, log = runner.run_commands([f"{program} {command}"], server=server)
            # Which curl it is decides its version's length, and the order of its fields: 8.23 sends
            # Upgrade before Connection.  Neither means anything (RFC 9110 §5.3).
            log = re.sub(r"curl/[0-9.]+|[0-9]+ bytes", "", log)
            return shown[0].output, sorted(log.splitlines())

        assert seen("curl") == seen(ours)

    def test_a_result_is_kept_until_the_code_changes(self, tmp_path):
        cache, runs = runner.Cache(tmp_path), []
        assert [cache.get("a", lambda: runs.append(1) or 5), cache.get("a", lambda: runs.append(1) or 6)] == [5, 5]
        cache._code = "other"
        assert cache.get("a", lambda: 7) == 7

    def test_its_doctests(self):
        assert doctest.testmod(runner).failed == 0


def test_a_link_that_leads_nowhere_is_found(tmp_path):
    (tmp_path / "a.html").write_text(
        '<p id="x">:::{wire} <a href="b.html">b</a> <a href="a.html#y">y</a> <a href="#x">x</a>'
        '<a href="https://example.com/">far</a> <img src="a.html"> <code>:::{wire}</code>'
    )
    found = links.broken(tmp_path)
    assert len(found) == 4
    assert [word for word in ("b.html", "#y", "no alt text", "markup") if not any(word in one for one in found)] == []


# -- What is read from the code ------------------------------------------------------------


@pytest.fixture
def tables():
    sphinx_is_there()
    return importlib.import_module("wsbook.tables")


class TestGenerated:
    """wsbook.tables and wsbook.pictures."""

    def test_the_tables_have_a_row_for_everything(self, tables):
        assert len(tables.limits()) == 1 + len(fields(wsref.Limits))
        assert len(tables.rules()) == 1 + len(RULES)
        assert [row[0] for row in tables.steps()[1:]] == [str(step) for step in SEEN]
        for row in tables.close_codes()[1:]:
            assert (row[2] == "yes") == may_travel(int(row[0].partition("–")[2] or row[0])), row
        (ours,) = (row for row in tables.threads() if row[0] == "wsref")
        assert re.fullmatch(r"[\d.]+ k \([\d.]+–[\d.]+\)", ours[2]) and ours[5].isdigit()

    def test_no_fault_is_left_out(self, tables):
        there = {(fault.module, fault.line) for fault in tables.faults()}
        for path in sorted((ROOT / "wsref").rglob("*.py")):
            module = ".".join(path.relative_to(ROOT / "wsref").with_suffix("").parts).removesuffix(".__init__")
            if module.startswith(("steps.", "exercises.solutions.")):  # the page is about the reference
                continue
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("HTTPError", "ProtocolError"):
                    assert (module, node.lineno) in there

    def test_a_fault_has_its_words_and_its_answer(self, tables):
        found = {(fault.answer, fault.reason, fault.section) for fault in tables.faults()}
        assert (1002, "a control frame (…) holds at most 125 bytes", "§5.5") in found
        assert (1009, "a frame declares … bytes; the message may have … more", "§10.4") in found
        assert (414, "the request line is longer than … bytes", "RFC 9110 §15.5.15") in found

    def test_the_picture_of_the_states_has_all_of_them(self):
        sphinx_is_there()
        svg = importlib.import_module("wsbook.pictures").states_svg(TRANSITIONS)
        words = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
        assert {"OPEN", "CLOSING", "CLOSED"} <= set(words)
        for _, event in TRANSITIONS:
            assert words.count(event) == sum(event == other for _, other in TRANSITIONS)
        assert svg.count('class="arrow"') == len({(state, after) for (state, _), after in TRANSITIONS.items()})

    @pytest.mark.parametrize("name", ["api", "google", "js", "pictures", "tables"])
    def test_doctests(self, name):
        sphinx_is_there()
        assert doctest.testmod(importlib.import_module(f"wsbook.{name}")).failed == 0


class TestLabs:
    """wsbook.labs: notebooks are executed when they, or the package, have changed."""

    def test_a_change_in_a_folder_of_the_package_is_noticed(self, tmp_path):
        sphinx_is_there()
        from wsbook import labs

        notebook, module = tmp_path / "01.ipynb", tmp_path / "package" / "protocol" / "frames.py"
        module.parent.mkdir(parents=True)
        notebook.write_text("{}")
        module.write_text("1")
        before = labs.made_from(notebook, tmp_path / "package")
        module.write_text("2")
        assert labs.made_from(notebook, tmp_path / "package") != before

    RUN = textwrap.dedent("""
        import json
        def execute(source, target):
            notebook = json.loads(source.read_text())
            notebook["metadata"]["ran"] = True
            target.write_text(json.dumps(notebook))
    """)

    def test_a_notebook_is_executed_once(self, tmp_path):
        from wsbook import labs

        notebooks, copies, said = tmp_path / "notebooks", tmp_path / "labs", []
        assert labs.bring_up_to_date(notebooks, copies) == 0
        notebooks.mkdir()
        (notebooks / "run.py").write_text(self.RUN)
        (notebooks / "03-validation.ipynb").write_text('{"metadata": {}, "cells": []}')
        for _ in range(2):
            assert labs.bring_up_to_date(notebooks, copies, said.append) == 1
        assert said == ["running notebooks/03-validation.ipynb ..."]
        assert '"ran": true' in (copies / "03-validation.ipynb").read_text()
        assert "03-validation" in (copies / "index.md").read_text()
        (notebooks / "03-validation.ipynb").write_text('{"metadata": {}, "cells": [] }')
        labs.bring_up_to_date(notebooks, copies, said.append)
        assert len(said) == 2
        (notebooks / "03-validation.ipynb").unlink()
        labs.bring_up_to_date(notebooks, copies)
        assert list(copies.iterdir()) == []


# -- The site --------------------------------------------------------------------------------


@pytest.fixture
def inventory():
    """The Python names that the built pages describe."""
    sphinx_is_there()
    require((SITE / "objects.inv").exists(), "the book is not built: python docs/build.py", "CI_DOCS")
    from sphinx.util.inventory import InventoryFile

    loaded = InventoryFile.loads((SITE / "objects.inv").read_bytes(), uri="").data
    return {name for kind, entries in loaded.items() if kind.startswith("py:") for name in entries}


def test_every_public_name_is_described(inventory):
    from wsbook import api

    missing = [
        name for name in wsref.__all__ if name != "__version__" and api.home_of(f"wsref.{name}") not in inventory
    ]
    for module in api.modules():
        for name, there in vars(importlib.import_module(module)).items():
            ours = getattr(there, "__module__", None) == module and (
                inspect.isclass(there) or inspect.isfunction(there)
            )
            if ours and not name.startswith("_") and f"{module}.{name}" not in inventory:
                missing.append(f"{module}.{name}")
    assert missing == []


def test_no_link_of_the_built_pages_leads_nowhere():
    sphinx_is_there()
    require(SITE.exists(), "the book is not built: python docs/build.py", "CI_DOCS")
    assert links.broken(SITE) == []


@pytest.mark.parametrize("step", range(1, LAST + 1))
def test_a_chapter_shows_its_new_methods_in_the_order_of_the_file(step):
    """A reader types them as they come."""

    def methods(source: str) -> list[str]:
        return re.findall(r"^    def (\w+)\(self", source, re.M)

    (page,) = (DOCS / "tutorial").glob(f"{step:02}-*.md")
    pattern = rf"\{{literalinclude\}} \S+/step{step:02}_\w+\.py\n:pyobject: Handler\.(\w+)$"
    shown = re.findall(pattern, page.read_text("utf-8"), re.M)
    old = methods(source_of(step - 1)) if step > 1 else []
    new = [name for name in shown if name not in old]
    assert new == [name for name in methods(source_of(step)) if name in new]
