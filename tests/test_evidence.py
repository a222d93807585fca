"""docs/evidence.json, and the tables of the page *How do we know?* that read it; the tools that write it."""

from __future__ import annotations

import ast
import importlib
import re
import sys
import tomllib
from pathlib import Path

import evidence
import mutants
import pytest

ROOT = Path(__file__).resolve().parents[1]

sys.path.insert(0, str(ROOT / "docs" / "_ext"))


@pytest.fixture
def tables():
    pytest.importorskip("sphinx")
    return importlib.import_module("wsbook.evidence")


class TestTables:
    """docs/_ext/wsbook/evidence.py"""

    def test_each_table_of_the_page_has_its_figures(self, tables):
        page = (ROOT / "docs" / "explanation" / "how-do-we-know.md").read_text("utf-8")
        for name, table in tables.TABLES.items():
            assert f"{{generated}} {name}" in page
            heading, *rows = table()
            assert rows, name
            assert {len(row) for row in rows} == {len(heading)}, name

    def test_figures_that_show_a_failure_are_not_recorded(self, tables):
        import soak

        assert soak.problems(tables.evidence("soak")) == []

    def test_the_tests_reach_95_percent_of_the_package_and_each_folder_has_its_row(self, tables):
        _, *rows = tables.coverage()
        quick, every = (tables.evidence("coverage")[key]["folders"] for key in ("quick", "all"))
        assert quick.keys() == every.keys() == {"", *tables.FOLDERS}
        assert float(rows[-1][2].removesuffix("%")) >= 95
        assert [row for row in rows if float(row[1][:-1]) > float(row[2][:-1])] == [], "all tests run at least the same"

    def test_the_picture_has_a_curve_for_each(self, tables):
        samples = [{"second": n, "memory": 2048 + n, "threads": 3 + n} for n in range(5)]
        assert tables.picture(samples).count("<polyline") == 2

    def test_every_target_has_its_words(self, tables):
        pytest.importorskip("websockets")
        from fuzz import targets

        assert set(tables.TARGETS) == {*targets.TARGETS, "differential"}


class TestMutants:
    """tests/mutants.py"""

    def test_each_module_and_its_tests_exist(self):
        assert all((ROOT / mutants.path_of(module)).exists() for module in mutants.TESTS)
        for tests in (*mutants.TESTS.values(), mutants.SLOW, mutants.ALWAYS):
            for file, *names in (test.split("::") for test in tests):
                source = (ROOT / "tests" / file).read_text("utf-8")
                assert all(re.search(rf"^ *(class|def) {name}\b", source, re.M) for name in names), (file, names)

    def test_the_line_before_each_examined_change_exists(self):
        for module, rows in tomllib.loads((ROOT / "tests" / "mutants.toml").read_text("utf-8")).items():
            text = " ".join(line.strip() for line in (ROOT / mutants.path_of(module)).read_text("utf-8").split("\n"))
            assert [row["before"] for row in rows if row["before"] not in text] == []
            assert all(row["reason"].endswith(".") for row in rows)

    def test_annotations_are_found_and_code_is_not(self):
        source = "x: int | None = 1 | 2\ndef f(a: int | str = 3 | 4) -> int | None:\n    return a | 5\n"
        lines = source.split("\n")
        found = [lines[begin[0] - 1][begin[1] : end[1]] for begin, end in mutants.annotations(source)]
        assert sorted(found) == ["int | None", "int | None", "int | str"]
        ast.parse(source)

    def test_a_protocol_is_no_code_at_run_time(self):
        source = "class A(Protocol):\n    @property\n    def x(self): ...\nclass B(A):\n    y = 1\n"
        places = mutants.annotations(source)
        assert [any(begin <= (line, 4) < end for begin, end in places) for line in (2, 3, 5)] == [True, True, False]

    def test_a_change_is_its_lines_without_indent(self):
        diff = "--- mutation diff ---\n--- aa\n+++ bb\n@@ -1 +1 @@\n     x\n-    if a < b:\n+    if a <= b:\n"
        assert mutants.change(diff) == ("if a < b:", "if a <= b:")


def test_a_record_changes_one_key_and_keeps_the_others(tmp_path, monkeypatch):
    monkeypatch.setattr(evidence, "PATH", tmp_path / "evidence.json")
    for key in ("a", "b"):
        with evidence.updated() as figures:
            figures[key] = 1
    with evidence.updated() as figures:
        assert figures == {"a": 1, "b": 1}
