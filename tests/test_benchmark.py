"""docs/benchmark: the script runs, and its page says what it measured."""

from __future__ import annotations

import doctest
import importlib.util
import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "docs/benchmark/benchmark.py"
RESULTS = SCRIPT.with_name("results.json")
PAGE = ROOT / "docs/benchmark.md"


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("benchmark", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["benchmark"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["benchmark"]


def run(*arguments, **options):
    options.setdefault("timeout", 50)
    command = [sys.executable, str(SCRIPT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


class TestCommand:
    """What who runs it sees"""

    def test_help_names_every_server_and_scenario(self, benchmark):
        result = run("-h")
        assert result.returncode == 0
        words = result.stdout.replace("\n", "").replace(" ", "")
        for row in (*benchmark.SERVERS, *benchmark.SCENARIOS):
            assert row.name in words

    @pytest.mark.parametrize(
        "arguments, why",
        [
            (["--only", "apache"], "there is no server 'apache'; there are: floor, wsref"),
            (["--scenario", "pong"], "there is no scenario 'pong'; there are: ping, pipe32"),
            (["--rounds", "-1"], "--rounds and --seconds must be more than 0"),
            (["--rounds", "0"], "--rounds and --seconds must be more than 0"),
            (["--seconds", "0"], "--rounds and --seconds must be more than 0"),
            (["--json", "/nowhere/out.json"], "--json /nowhere/out.json: it cannot be written"),
            (["--plot", "out.pdf"], "its name must end in .svg or .png"),
            (["--from", "/nowhere/in.json"], "No such file"),
        ],
    )
    def test_what_cannot_be_is_said_and_ends_with_2(self, benchmark, monkeypatch, capsys, arguments, why):
        for module, name in ((benchmark.signal, "signal"), (benchmark.resource, "setrlimit")):
            monkeypatch.setattr(module, name, lambda *_: None)  # they would hold for the tests that follow
        with pytest.raises(SystemExit) as ended:
            benchmark.main(arguments)
        assert ended.value.code == 2
        assert why in capsys.readouterr().err

    @pytest.mark.slow
    def test_a_round_of_wsref_and_the_floor_leaves_figures_and_no_process(self, benchmark, tmp_path):
        file = tmp_path / "out.json"
        arguments = ["--quick", "--seconds", "0.05", "--only", "wsref,floor,wsref-numpy"]
        mark = f"mark-{uuid.uuid4()}"
        arguments += ["--scenario", "ping,pipe32,bin64k,broadcast", "--json", str(file)]
        result = run(*arguments, env={**os.environ, "WSREF_TEST": mark})
        assert result.returncode == 0, result.stderr
        data = json.loads(file.read_text())
        assert [row["name"] for row in data["scenarios"]] == ["ping", "pipe32", "bin64k", "broadcast"]
        for row in data["scenarios"]:
            for name, figures in row["results"].items():
                assert figures["median"] > 0, (row["name"], name, result.stderr)
        for process in Path("/proc").glob("[0-9]*/environ"):
            try:
                assert mark.encode() not in process.read_bytes(), f"{process} was left running"
            except OSError:
                pass  # it has ended, or is somebody else's

    @pytest.mark.slow
    def test_every_scenario_runs(self, tmp_path):
        file = tmp_path / "out.json"
        result = run("--quick", "--only", "wsref,floor", "--json", str(file), timeout=300)
        assert result.returncode == 0, result.stderr
        wrong = [
            (row["name"], name, figures["median"])
            for row in json.loads(file.read_text())["scenarios"]
            for name, figures in row["results"].items()
            if not isinstance(figures["median"], float)
        ]
        assert wrong == [], result.stderr


class TestShown:
    """Figures in a table"""

    def test_the_examples_in_its_docstrings_hold(self, benchmark):
        assert doctest.testmod(benchmark) == doctest.TestResults(failed=0, attempted=4)


class TestLoad:
    """The frames of the load generator's own making"""

    def test_a_masked_frame_is_what_5_7_shows(self, benchmark):
        assert benchmark.masked_frame(1, b"Hello") == bytes.fromhex("8185 37fa213d 7f9f4d5158")

    @pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
    def test_headers_have_the_shortest_form(self, benchmark, size):
        from vectors import frame

        assert benchmark.header(2, size) + bytes(size) == frame(2, bytes(size), key=b"")

    def test_fragments_are_one_message(self, benchmark):
        from vectors import events_of

        server = next(row for row in benchmark.SERVERS if row.kind == "ours")
        load = benchmark.Load.of(1, b"abcdefg", server, fragment=3)
        assert events_of([load.request]) == [("Message", "str", "abcdefg", [])]

    def test_the_text_is_utf_8_and_one_mib(self, benchmark):
        assert len(benchmark.MIXED_TEXT) == 1024 * 1024
        assert "网络" in benchmark.MIXED_TEXT.decode()


class TestPage:
    """docs/benchmark.md"""

    def test_its_table_is_made_of_the_figures(self, benchmark):
        page, data = PAGE.read_text("utf-8"), json.loads(RESULTS.read_text("utf-8"))
        assert benchmark.with_table(page, data) == page

    def test_this_very_test_sees_a_changed_figure(self, benchmark):
        page, data = PAGE.read_text("utf-8"), json.loads(RESULTS.read_text("utf-8"))
        data["scenarios"][0]["results"]["wsref"]["median"] = 1.0
        assert benchmark.with_table(page, data) != page

    def test_targets_are_judged_by_the_figures(self, benchmark):
        data = json.loads(RESULTS.read_text("utf-8"))
        rows = {row["name"]: row["results"] for row in data["scenarios"]}
        judged = {words: (here, met) for words, here, met in benchmark.targets(data)}
        (words,) = (words for words in judged if words.startswith("ping-pong"))
        ours, floor = rows["ping"]["wsref"]["rounds"], rows["ping"]["floor"]["rounds"]
        floor[:] = [figure * 1.3 for figure in ours]
        assert {w: m for w, _, m in benchmark.targets(data)}[words] is False
        floor[:] = [figure * 1.2 for figure in ours]
        assert {w: m for w, _, m in benchmark.targets(data)}[words] is True

    def test_what_was_not_measured_is_not_judged(self, benchmark):
        data = json.loads(RESULTS.read_text("utf-8"))
        data["scenarios"] = [row for row in data["scenarios"] if row["name"] == "ping"]
        (row,) = data["scenarios"]
        row["results"] = {name: row["results"][name] for name in ("wsref", "floor")}
        (judged,) = benchmark.targets(data)
        assert judged[0].startswith("ping-pong, to the floor")

    def test_it_names_every_scenario_and_server_that_there_is(self, benchmark):
        data = json.loads(RESULTS.read_text("utf-8"))
        assert [row["name"] for row in data["scenarios"]] == [row.name for row in benchmark.SCENARIOS]
        assert [row["name"] for row in data["servers"]] == [row.name for row in benchmark.SERVERS]

    @pytest.mark.parametrize("name", ["results", "results-dark", "interpreters", "interpreters-dark"])
    def test_there_is_a_picture_without_a_date_in_it(self, name):
        picture = SCRIPT.with_name(f"{name}.svg").read_text("utf-8")
        assert picture.lstrip().startswith("<?xml")
        assert "<dc:date>" not in picture
