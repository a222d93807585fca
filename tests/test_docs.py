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
import struct
import sys
import textwrap
from dataclasses import fields
from fnmatch import fnmatch
from pathlib import Path

import pytest
from conftest import DEADLINE, require
from test_browser import driver

import wsref
from wsref.protocol.closing import TRANSITIONS, may_travel
from wsref.protocol.handshake import RULES
from wsref.steps import LAST, SEEN, source_of

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
CONF = DOCS / "conf.py"
SITE = DOCS / "_build" / "html"
sys.path.insert(0, str(DOCS / "_ext"))

from wsbook import links, runner  # noqa: E402  (neither needs Sphinx)

REFERENCE = DOCS / "reference"
GENERATED = (DOCS / "_build", DOCS / "_ext", DOCS / "labs", REFERENCE / "api", REFERENCE / "cases")
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


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_the_limits_that_a_page_names_can_be_set(page):
    for call in re.findall(r"\bLimits\([^()…]*\)", page.read_text("utf-8")):
        eval(call, {"Limits": wsref.Limits})  # raises an error, if the page is wrong


def sphinx_is_there() -> None:
    names = ("sphinx", "furo", "myst_nb", "sphinx_argparse_cli", "sphinxext", "sphinxext.opengraph")
    there = all(importlib.util.find_spec(name) for name in names)  # all() ends before a child of what is missing
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

    def test_no_server_has_the_number_of_an_rfc_as_its_port(self, monkeypatch):
        numbers = iter([9110, 9112, 9110, *range(9500, 9600)])
        monkeypatch.setattr(runner.random, "randrange", lambda first, end: next(numbers))
        with runner.hold_port() as holder:
            assert holder.getsockname()[1] >= 9500

    def test_the_log_is_whole_also_if_the_server_writes_it_late(self, tmp_path, monkeypatch):
        monkeypatch.setattr(runner, "QUIET", 2.0)
        late = tmp_path / "late.py"
        late.write_text(
            "import socket, time\n"
            "with socket.create_server(('127.0.0.1', 8765)) as server:\n"
            "    print('on :8765', flush=True)\n"
            "    peer, _ = server.accept()\n"
            "    peer.sendall(b'HTTP/1.1 204 No Content\\r\\n\\r\\n')\n"
            "    time.sleep(0.05)\n"
            "    print('late', flush=True)\n"
            "    time.sleep(60)\n"
        )
        serve = f'bash -c "sed s/876[5]/8765/ {late} > late.py && exec python late.py"'
        _, log = runner.run_commands(
            ["python -c 'import socket; socket.create_connection((\"127.0.0.1\", 8765)).recv(9)'"], server=serve
        )
        assert log.splitlines() == ["on :8765", "late"]
        _, log = runner.exchange("> GET / HTTP/1.1\n> \n< answer", server=serve)
        assert log.splitlines() == ["on :8765", "late"]

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

    @pytest.mark.parametrize("name", ["api", "google", "js", "pictures", "steps", "tables", "toc"])
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


@pytest.fixture
def site():
    """The folder of the built pages."""
    sphinx_is_there()
    require((SITE / "index.html").exists(), "the book is not built: python docs/build.py", "CI_DOCS")
    return SITE


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


# -- The look ----------------------------------------------------------------------------------


def test_the_index_of_the_tutorial_has_a_card_for_each_chapter():
    cards = re.findall(r"^:::\{chapter\} (\d+)$", (DOCS / "tutorial" / "index.md").read_text("utf-8"), re.M)
    assert [int(card) for card in cards] == [int(page.name[:2]) for page in CHAPTERS]


def brightness(colour: str) -> float:
    """The relative luminance of WCAG 2."""
    shares = [int(colour.lstrip("#")[n : n + 2], 16) / 255 for n in (0, 2, 4)]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return sum(weight * share for weight, share in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    low, high = sorted((brightness(one), brightness(other)))
    return (high + 0.05) / (low + 0.05)


class TestContrast:
    """WCAG 2, level AA: 4.5 to 1 for text."""

    def test_the_measure_is_that_of_wcag(self):
        assert contrast("#000000", "#ffffff") == pytest.approx(21)
        assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)  # the grey that just fails

    @pytest.mark.parametrize("theme", ["LIGHT", "DARK"])
    def test_the_letters_of_the_pages(self, theme):
        sphinx_is_there()
        from wsbook import look

        colours = getattr(look, theme)
        grounds = ("color-background-primary", "color-background-secondary", "color-wash")
        letters = ("color-foreground-primary", "color-foreground-secondary", "color-foreground-muted")
        letters += ("color-brand-content", "color-brand-visited", "color-sent")
        pairs = [(letter, ground) for letter in letters for ground in grounds]
        pairs += [("color-on-accent", "color-brand-content")]
        assert [pair for pair in pairs if contrast(colours[pair[0]], colours[pair[1]]) < 4.5] == []

    @pytest.mark.parametrize("theme", ["LIGHT", "DARK"])
    def test_the_letters_of_code(self, theme):
        sphinx_is_there()
        from pygments.styles import get_style_by_name
        from wsbook import look

        name = re.search(rf"^pygments_{'dark_' * (theme == 'DARK')}style = \"(.+?)\"", CONF.read_text("utf-8"), re.M)[1]
        colours = getattr(look, theme)
        grounds = [colours[f"color-{ground}"] for ground in ("code-background", "added", "removed")]
        letters = {rule["color"] or colours["color-code-foreground"] for _, rule in get_style_by_name(name)}
        assert [letter for letter in letters for ground in grounds if contrast(letter, ground) < 4.5] == []


class TestLines:
    """Output wraps with a hanging indent, and so does code that is too long."""

    BLOCK = '<div class="{}"><div class="highlight"><pre>{}</pre></div></div>'

    @pytest.mark.parametrize("classes", ["ran highlight-console notranslate", "highlight-diff x", "highlight-python x"])
    def test_no_character_changes_and_no_element_overlaps_another(self, classes):
        sphinx_is_there()
        from html.parser import HTMLParser

        from wsbook import look

        emphasized = (
            f'<span></span>a\n<span class="hll"><span class="k">{"b " * 60}</span>\n</span>&lt;c\n\n{"d" * 101}\n'
        )
        before = self.BLOCK.format(classes, emphasized)
        after = look.with_lines(before)
        assert re.sub("<.*?>", "", after) == re.sub("<.*?>", "", before)
        opened: list[str] = []

        class Nesting(HTMLParser):
            def handle_starttag(self, tag, attrs):
                opened.append(tag)

            def handle_endtag(self, tag):
                assert opened.pop() == tag

        Nesting().feed(after)
        assert opened == []
        assert "long" in after or "wraps" in after

    def test_short_code_stays_as_it_is(self):
        sphinx_is_there()
        from wsbook import look

        block = self.BLOCK.format("highlight-python notranslate", "<span></span>pass\n")
        assert look.with_lines(block) == block


class TestNumbers:
    """What the search answers to a number."""

    def test_every_close_code_and_status_of_the_tables_has_an_answer(self):
        sphinx_is_there()
        from wsbook import look, tables

        answered = {number for row in look.numbers() for number in range(row["from"], row["to"] + 1)}
        assert set(range(1000, 5000)) <= answered
        statuses = {fault.answer for fault in tables.faults() if fault.kind == "HTTP" and fault.answer}
        assert statuses | {rule.status for rule in RULES} | {101, 426} <= answered

    def test_each_answer_leads_to_a_place_in_the_book(self, site):
        from wsbook import look

        wrong = []
        for row in look.numbers():
            page, _, place = row["page"].partition("#")
            text = (site / page).read_text("utf-8") if (site / page).exists() else ""
            if not text or (place and f'id="{place}"' not in text):
                wrong.append(row["page"])
        assert wrong == []


def test_a_piece_of_a_change_names_its_place():
    sphinx_is_there()
    from wsbook import steps

    heads = [
        steps.with_place(hunk, step).partition("\n")[0] for step in range(2, LAST + 1) for hunk in steps.hunks(step)
    ]
    assert heads[:3] == ["@@ -1,3 +1,3 @@", "@@ -37,4 +37,6 @@ in Handler.handle", "@@ -68,4 +70,13 @@ in Handler"]
    assert [head for head in heads if head.endswith(("in ", "@@ in"))] == []


# Larger, on purpose.
LARGE_PAGES = (
    "report-card.html",  # every finding in every server
    "genindex-all.html",
    "node.html",  # two programs side by side
    "explanation/one-connection.html",  # a third of the server's code
    "source/tests/*.html",  # whole files
    "reference/musts/rfc6455-05.html",  # every sentence about frames, with code and tests
    "reference/api/check.clients.gallery.html",  # 76 broken clients
)


def test_a_page_has_at_most_200_kb_without_its_pictures(site):
    sizes = {}
    for path in site.rglob("*.html"):
        name = str(path.relative_to(site))
        if not any(fnmatch(name, pattern) for pattern in LARGE_PAGES):
            sizes[name] = len(re.sub(r"<svg.*?</svg>", "", path.read_text("utf-8"), flags=re.S))
    assert {name: size for name, size in sizes.items() if size > 200_000} == {}


def test_the_book_loads_nothing_from_elsewhere(site):
    loads = re.compile(r"""<(?:script|img|link|iframe|source)\b[^>]*?\b(?:src|href)=["'](https?:|//)[^"']*["']""")
    styles = re.compile(r"""url\(\s*["']?(?:https?:|//)|@import""")
    found = {}
    for path in site.rglob("*"):
        if path.suffix in (".html", ".css"):
            text = path.read_text("utf-8")
            wrong = [match[0] for match in (loads if path.suffix == ".html" else styles).finditer(text)]
            wrong = [element for element in wrong if 'rel="canonical"' not in element]
            if wrong:
                found[str(path.relative_to(site))] = wrong[:3]
    assert found == {}


def test_no_heading_is_empty(site):
    empty = re.compile(r'<h[1-6][^>]*>\s*(?:<a class="headerlink"|</h)')
    pages = [str(path.relative_to(site)) for path in site.rglob("*.html") if empty.search(path.read_text("utf-8"))]
    assert pages == []


def test_the_tree_beside_a_page_marks_the_way_to_it(site):
    ways = {
        "about.html": ["#"],
        "index.html": [],
        "genindex-A.html": [],
        "tutorial/03-validation.html": ["index.html", "#"],
        "reference/api/protocol.frames.html": ["../index.html", "index.html", "#"],
    }
    found = {}
    for name in ways:
        tree = re.search(r'<div class="sidebar-tree">.*?</div>', (site / name).read_text("utf-8"), re.S)[0]
        found[name] = re.findall(r'<li class="[^"]*\bcurrent\b[^"]*"><a class="[^"]*" href="([^"]*)"', tree)
        assert tree.count('checked=""') == max(len(ways[name]) - 1, 0)  # these branches are open
    assert found == ways


def test_a_link_to_a_page_shows_its_title_and_the_card(site):
    titles = {"index.html": "Write a WebSocket server of 400 lines", "reference/cli.html": "The command line"}
    for name, title in titles.items():
        page = (site / name).read_text("utf-8")
        tags = dict(re.findall(r'<meta (?:property|name)="((?:og|twitter):[^"]*)" content="([^"]*)"', page))
        assert tags["og:title"] == title
        assert len(tags["og:description"]) > 20
        assert tags["twitter:card"] == "summary_large_image"
        assert (site / tags["og:image"]).read_bytes() == (DOCS / "_static" / "card.png").read_bytes()


def test_the_card_has_the_size_that_the_pages_say():
    width, height = struct.unpack("!II", (DOCS / "_static" / "card.png").read_bytes()[16:24])
    said = re.findall(r'og:image:(width|height)" content="(\d+)"', CONF.read_text("utf-8"))
    assert said == [("width", str(width)), ("height", str(height))] == [("width", "1200"), ("height", "630")]


chromium = driver  # the fixture


class TestInABrowser:
    """The built book, opened as files: no server, nothing from elsewhere."""

    WIDTHS = (1280, 375)

    def open(self, chromium, site: Path, page: str, width: int = 1280) -> None:
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
        chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        chromium.get(f"{site.as_uri()}/{page}")

    @pytest.mark.parametrize(
        ("number", "title"),
        [("1006", "ABNORMAL"), ("1009", "TOO_BIG"), ("426", "Upgrade Required"), ("400", "key"), ("4001", "4000–4999")],
    )
    def test_the_search_answers_a_number(self, chromium, site, number, title):
        self.open(chromium, site, f"search.html?q={number}")
        answers = chromium.find_elements("css selector", ".number-answers a")
        assert any(title in answer.text for answer in answers), [answer.text for answer in answers]
        summaries = chromium.find_elements("css selector", "#search-results > .search-summary")
        assert not any(summary.is_displayed() for summary in summaries)  # "did not match any documents"

    def test_the_search_finds_words_without_an_error(self, chromium, site):
        chromium.get_log("browser")
        self.open(chromium, site, "search.html?q=masking")
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(chromium, DEADLINE).until(lambda _: chromium.find_elements("css selector", "ul.search li a"))
        assert [entry["message"] for entry in chromium.get_log("browser") if entry["level"] == "SEVERE"] == []

    @pytest.mark.parametrize("width", WIDTHS)
    @pytest.mark.parametrize(
        "page",
        [
            *("index", "tutorial/index", "reference/close-codes", "benchmark", "report-card", "faq", "node"),
            *(f"tutorial/{chapter.stem}" for chapter in CHAPTERS),
        ],
    )
    def test_nothing_is_too_wide_and_all_that_moves_can_be_reached(self, chromium, site, page, width):
        self.open(chromium, site, f"{page}.html", width)
        script = """
            const moves = (part) => part.scrollWidth > part.clientWidth + 1;
            const named = (part) => `${part.tagName}.${part.className}: ${part.textContent.trim().slice(0, 60)}`;
            const all = [...document.querySelectorAll(".content *")].filter((part) =>
                moves(part) && ["auto", "scroll"].includes(getComputedStyle(part).overflowX));
            return {
              page: document.documentElement.scrollWidth - document.documentElement.clientWidth,
              unreachable: all.filter((part) => part.tabIndex < 0).map(named),
              output: all.filter((part) => part.matches(".wraps *, .exchange")).map(named),
              code: all.filter((part) => part.matches(".highlight *")).map(named),
            };"""
        seen = chromium.execute_script(script)
        assert seen["page"] == 0
        assert seen["unreachable"] == []
        assert seen["output"] == []
        if width == 1280:
            assert seen["code"] == []

    def test_a_line_that_wraps_hides_none_of_its_neighbours(self, chromium, site):
        self.open(chromium, site, "tutorial/06-frames.html")
        script = """
            const beside = [];
            for (const line of document.querySelectorAll(".highlight .long")) {
              const range = document.createRange();
              if (!line.nextSibling) continue;
              range.selectNode(line.nextSibling);
              const next = [...range.getClientRects()].find((place) => place.height);
              if (next && next.top < line.getBoundingClientRect().bottom - 1) beside.push(line.textContent);
            }
            return [document.querySelectorAll(".highlight .long").length, beside];"""
        count, beside = chromium.execute_script(script)
        assert count > 0
        assert beside == []

    def test_a_docstring_shows_its_first_line_and_the_rest_on_request(self, chromium, site):
        self.open(chromium, site, "tutorial/06-frames.html")
        button = chromium.find_element("css selector", ".unfold")
        rest = chromium.execute_script("return arguments[0].nextSibling", button)
        assert not rest.is_displayed()
        button.send_keys("\n")
        assert rest.is_displayed()
        assert button.get_attribute("aria-expanded") == "true"

    def test_the_first_screen_has_the_bytes_two_buttons_and_the_command(self, chromium, site):
        self.open(chromium, site, "index.html")
        for selector in ("h1", "figure.wire", "a.button.main", "a.button:not(.main)", ".highlight-sh"):
            place = chromium.find_element("css selector", selector).rect
            assert place["y"] + place["height"] <= 800, selector
        links = chromium.find_elements("css selector", ".door .box-title a")
        assert len(links) == 3
        for link in links:  # the whole card is the link
            script = """const card = arguments[0].closest(".door").getBoundingClientRect();
                arguments[0].closest(".door").scrollIntoView({block: "center", behavior: "instant"});
                const now = arguments[0].closest(".door").getBoundingClientRect();
                return document.elementFromPoint(now.right - 4, now.bottom - 4) === arguments[0]"""
            assert chromium.execute_script(script, link)
