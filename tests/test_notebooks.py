"""The labs: their files, the module that they share, and, with --slow, a run of all of them."""

from __future__ import annotations

import ast
import doctest
import importlib.util
import json
import re
import subprocess
import symtable
import sys
import threading
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import require, wait_until

import wsref
from wsref.protocol.frames import Frame, build_frame
from wsref.protocol.spec import Opcode
from wsref.steps import path_of

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
sys.path.insert(0, str(NOTEBOOKS))

import lab  # noqa: E402
import run  # noqa: E402

LABS = sorted(NOTEBOOKS.glob("*.ipynb"))
CHAPTERS = range(13)


def cells_of(path: Path) -> list[dict]:
    return json.loads(path.read_text("utf-8"))["cells"]


def code_of(path: Path) -> list[tuple[str, ast.Module]]:
    return [(c["id"], ast.parse(run.source_of(c))) for c in cells_of(path) if c["cell_type"] == "code"]


def test_every_chapter_has_a_lab():
    assert [path.name[:3] for path in LABS] == [f"{n:02}-" for n in CHAPTERS]


def test_the_readme_and_the_book_open_them_with_one_command():
    readme = (NOTEBOOKS.parent / "README.md").read_text("utf-8")
    (command,) = re.findall(r"^.*jupyter lab.*$", readme, re.M)
    assert "'.[notebooks]'" in command
    assert command in (NOTEBOOKS.parent / "docs/_ext/wsbook/labs.py").read_text("utf-8")


@pytest.mark.parametrize("path", LABS, ids=lambda path: path.stem)
class TestTheFile:
    def test_is_as_it_is_committed_without_outputs(self, path, tmp_path):
        copy = tmp_path / path.name
        copy.write_bytes(path.read_bytes())
        assert not run.clean(copy), "python notebooks/run.py --clean"
        assert json.loads(path.read_text("utf-8"))["metadata"]["kernelspec"]["name"] == "python3"

    def test_names_its_chapter_and_links_to_it(self, path):
        first = run.source_of(cells_of(path)[0])
        assert first.startswith(f"# Lab {int(path.name[:2])}: ")
        assert f"](../docs/tutorial/{path.stem}.md)" in first

    def test_has_cells_with_names_that_stay(self, path):
        ids = [cell["id"] for cell in cells_of(path)]
        assert len(set(ids)) == len(ids)
        assert all(re.fullmatch(path.name[:2] + r"-[a-z0-9-]+", name) for name in ids)

    def test_ends_with_exercises_that_have_a_check_and_a_folded_solution(self, path):
        cells = cells_of(path)
        found = list(run.exercises(cells))
        assert len(found) >= 2
        assert run.tagged(cells[-1], "solution")
        for yours, check, solution in found:
            ast.parse(run.solution_of(solution))
            assert run.solution_of(solution) != run.source_of(yours)
            assert "lab.exercise(" in run.source_of(check)

    def test_marks_the_place_for_the_code_of_an_exercise(self, path):
        """``def f(x):`` and its body are two lines, so that a learner can type between them."""
        for stub, _, _ in run.exercises(cells_of(path)):
            source = run.source_of(stub)
            assert source.count("# your code here") + source.count("# change it") == 1, stub["id"]
            for node in ast.walk(ast.parse(source)):
                if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                    assert node.body[0].lineno > node.lineno, stub["id"]

    def test_describes_every_plot(self, path):
        for cell in cells_of(path):
            if "lab.plot(" in run.source_of(cell):
                assert len(cell["metadata"]["mystnb"]["image"]["alt"]) > 40, cell["id"]

    def test_names_both_axes_of_every_plot(self, path):
        for name, tree in code_of(path):
            for call in ast.walk(tree):
                if isinstance(call, ast.Call) and ast.unparse(call.func) == "lab.plot":
                    assert {"x", "y"} <= {keyword.arg for keyword in call.keywords}, name

    def test_reads_no_name_that_several_other_cells_assign(self, path):
        """A learner runs cells again, in any order: then such a name has the value of the wrong cell."""

        def tables(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
            yield table
            for child in table.get_children():
                yield from tables(child)

        assigned, read = {}, {}
        for cell in cells_of(path):
            if cell["cell_type"] == "code":
                top = symtable.symtable(run.source_of(cell), cell["id"], "exec")
                assigned[cell["id"]] = {s.get_name() for s in top.get_symbols() if s.is_assigned()}
                read[cell["id"]] = {
                    symbol.get_name()
                    for table in tables(top)
                    for symbol in table.get_symbols()
                    if symbol.is_referenced() and (table is top or symbol.is_global())
                }
        every = [name for names in assigned.values() for name in names]
        several = {name for name in every if every.count(name) > 1}
        wrong = {cell: found for cell in read if (found := (read[cell] - assigned[cell]) & several)}
        assert not wrong

    def test_leaves_no_server_running_when_a_cell_fails(self, path):
        """A ``with`` block opens everything that needs an end."""
        endless = (
            "wsref.running",
            "socket.create_connection",
            "socket.create_server",
            "lab.Sleeper",
            "lab.pair",
            "lab.running_file",
            "lab.server_process",
            "WebSocketServer",
        )
        for name, tree in code_of(path):
            ended = set()
            for node in ast.walk(tree):
                if isinstance(node, (ast.With, ast.AsyncWith)):
                    ended |= {item.context_expr for item in node.items}
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "stack.enter_context":
                    ended |= set(node.args)
            for node in ast.walk(tree):
                if isinstance(node, ast.Call) and ast.unparse(node.func) in endless:
                    assert node in ended, f"{name}: {ast.unparse(node)}"


# -- lab.py ------------------------------------------------------------------------------


def test_the_examples_in_lab_and_run():
    for module in (lab, run):
        assert doctest.testmod(module).failed == 0


def test_lab_has_no_helper_without_a_user():
    public = [name for name, value in vars(lab).items() if getattr(value, "__module__", "") == "lab" and name[0] != "_"]
    cells = "".join(run.source_of(cell) for path in LABS for cell in cells_of(path))
    source = (NOTEBOOKS / "lab.py").read_text("utf-8")
    unused = [name for name in public if f"lab.{name}" not in cells and len(re.findall(rf"\b{name}\b", source)) < 2]
    assert public and not unused


@pytest.fixture
def trace():
    trace = lab.Trace("<Ann>")
    with wsref.running(wsref.Echo, tap=trace.tap) as server:
        with wsref.connect(server.url, compression=None) as ws:
            ws.send("<b>")
            ws.recv()
        lab.exchange(server.url, lab.handshake() + bytes.fromhex("8100"))
    return trace


class TestTheSequenceDiagram:
    def test_has_an_arrow_for_each_head_and_frame(self, trace):
        first = [(arrow.by_server, arrow.label) for arrow in trace.arrows() if arrow.client == 0]
        assert first[:4] == [
            (False, "GET / HTTP/1.1"),
            (True, "HTTP/1.1 101 Switching Protocols"),
            (False, "TEXT, FIN, masked, 3 bytes: '<b>'"),
            (True, "TEXT, FIN, 3 bytes: '<b>'"),
        ]
        assert [arrow.at for arrow in trace.arrows()] == sorted(arrow.at for arrow in trace.arrows())

    def test_marks_a_broken_rule_without_colour_too(self, trace):
        wrong = [arrow for arrow in trace.arrows() if arrow.wrong]
        assert [arrow.client for arrow in wrong] == [1]
        assert "✗ TEXT" in trace._repr_html_()

    def test_escapes_tags_and_is_well_formed(self, trace):
        html = trace._repr_html_()
        ElementTree.fromstring(html)
        assert "<b>" not in html and "<Ann>" not in html
        assert "&lt;Ann&gt;" in html

    def test_is_text_where_there_is_no_html(self, trace):
        assert len(repr(trace).splitlines()) >= len(trace.arrows())


class TestTheTable:
    def test_escapes_tags(self):
        html = lab.Table(["<i>"], [["<b>"], [True], [None]])._repr_html_()
        ElementTree.fromstring(html)
        assert "&lt;b&gt;" in html and "<b>" not in html and ">yes<" in html and ">None<" in html


def needs(*modules: str) -> None:
    """Skip the test without these modules.  CI has them: it installs the ``notebooks`` extra."""
    for module in modules:
        require(importlib.util.find_spec(module), f"{module} is not installed: pip install -e '.[notebooks]'")


@pytest.mark.slow
class TestAPlot:
    @pytest.fixture(autouse=True)
    def matplotlib(self, monkeypatch):
        needs("matplotlib")
        import matplotlib
        import matplotlib.pyplot as plt

        matplotlib.use("agg")

        monkeypatch.setattr(plt, "show", lambda: None)
        yield
        plt.close("all")

    def test_has_lines_that_differ_without_colour(self):
        with lab.plot("t", x="x (s)", y="y (B)") as ax:
            lines = [ax.plot([1, 2], [n, n], label=str(n))[0] for n in range(6)]
        assert len({line.get_marker() for line in lines}) == 6
        assert len({str(line.get_linestyle()) + str(line._dash_pattern) for line in lines}) == 6
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("x (s)", "y (B)")
        assert ax.get_legend() is not None
        assert ax.get_facecolor() == (1, 1, 1, 1)

    def test_that_fails_leaves_no_figure_open(self):
        import matplotlib.pyplot as plt

        with pytest.raises(ZeroDivisionError), lab.plot("t", x="x", y="y"):
            _ = 1 / 0
        assert plt.get_fignums() == []


class TestASleeper:
    def test_reads_nothing_until_it_is_woken(self, serve):
        server = serve()
        with lab.Sleeper(server.url) as client:
            wait_until(lambda: server.handlers)
            (handler,) = server.handlers
            while not server.broadcast(b"x" * 65536).kept:
                pass
            assert lab.backlog(handler) > 0
            client.wake()
            wait_until(lambda: lab.backlog(handler) == 0)

    def test_ends_its_thread_and_its_socket_when_the_block_fails(self, serve):
        before = threading.active_count()
        with pytest.raises(ZeroDivisionError), lab.Sleeper(serve().url) as client:
            client.wake()
            _ = 1 / 0
        assert client.socket.fileno() == -1
        # The server has a thread for its loop, and a spare one for the next connection.
        wait_until(lambda: threading.active_count() <= before + 2)

    def test_that_is_refused_raises_and_leaves_no_socket(self):
        with wsref.running(step=1) as server, pytest.raises(ConnectionError, match="did not answer 101"):
            lab.Sleeper(server.url)


def test_exchange_returns_all_bytes_until_the_server_closes(serve):
    close = build_frame(Frame(Opcode.CLOSE, b"\x03\xe8"), b"abcd")
    answer = lab.exchange(serve().url, lab.handshake() + close, patience=5)
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert answer.endswith(bytes.fromhex("880203e8"))


class TestARunningFile:
    def test_is_a_server_without_its_log(self, capsys):
        with lab.running_file(path_of(8)) as url, wsref.connect(url) as ws:
            ws.send("hi")
            assert ws.recv() == "hi"
        assert capsys.readouterr().out == ""

    def test_ends_when_the_block_fails(self):
        with pytest.raises(ZeroDivisionError), lab.running_file(path_of(8)) as url:
            _ = 1 / 0
        with pytest.raises(OSError):
            wsref.connect(url)

    def test_without_a_server_raises(self, tmp_path):
        with pytest.raises(OSError), lab.running_file(tmp_path / "nothing.py"):
            pass
        (tmp_path / "empty.py").touch()
        with pytest.raises(AttributeError, match="Server"), lab.running_file(str(tmp_path / "empty.py")):
            pass


@pytest.mark.slow
def test_a_server_process_has_its_own_memory_and_ends_with_the_block():
    needs("psutil")
    with lab.server_process("--no-wire") as (url, process):
        with wsref.connect(url) as ws:
            ws.send("hi")
            assert ws.recv() == "hi"
        assert process.memory_info().rss > 1_000_000
    assert not process.is_running()
    with pytest.raises(RuntimeError, match="unrecognized arguments: --nonsense"), lab.server_process("--nonsense"):
        pass


def test_the_best_time_of_a_millisecond_is_shorter_than_that_of_a_hundred():
    assert 0.001 <= lab.best_time(lambda: time.sleep(0.001)) < lab.best_time(lambda: time.sleep(0.1))


def test_until_names_the_event_that_did_not_come():
    lab.until(lambda: True, "nothing")
    with pytest.raises(TimeoutError, match=r"waited 0.01 s for a Close"):
        lab.until(lambda: False, "a Close", 0.01)


def test_an_exercise_lets_nothing_but_an_interrupt_through(capsys):
    for error, said in ((AssertionError("no"), "no"), (AssertionError(), "an assertion failed")):
        with lab.exercise("x"):
            raise error
        assert capsys.readouterr().out == f"✗ x: not yet. {said}\n"
    with lab.exercise("x"):
        raise wsref.ConnectionClosed("gone")
    assert capsys.readouterr().out == "✗ x: not yet. It raised ConnectionClosed: gone\n"
    with pytest.raises(KeyboardInterrupt), lab.exercise("x"):
        raise KeyboardInterrupt


# -- Running them ------------------------------------------------------------------------


def notebook(folder: Path, *cells: tuple[str, list[str]] | str) -> Path:
    """Write a notebook with these cells.  A cell that begins with ``<details>`` is Markdown."""
    made = []
    for n, cell in enumerate(cells):
        source, tags = (cell, []) if isinstance(cell, str) else cell
        kind = "markdown" if source.startswith("<details>") else "code"
        made.append({"cell_type": kind, "id": f"c{n}", "metadata": {"tags": tags}, "source": source})
        if kind == "code":
            made[-1] |= {"outputs": [], "execution_count": None}
    path = folder / "99-test.ipynb"
    path.write_text(json.dumps({"cells": made, "metadata": run.METADATA, "nbformat": 4, "nbformat_minor": 5}))
    return path


SERVER = "import wsref\nwith wsref.running() as server:\n    raise RuntimeError('as it happens')"
YOURS = ("def two():\n    pass  # your code here", ["exercise"])
CHECK = ("import lab\nwith lab.exercise('two'):\n    assert two() == 2, 'no'", ["check"])


def solution(code: str) -> tuple[str, list[str]]:
    return f"<details><summary>Solution</summary>\n\n```python\n{code}\n```\n\n</details>", ["solution"]


@pytest.mark.slow
class TestRunning:
    @pytest.fixture(autouse=True)
    def needs_nbclient(self):
        needs("nbclient", "ipykernel")

    @pytest.mark.parametrize(
        ("cells", "why"),
        [
            (["1 / 0"], "ZeroDivisionError"),
            (
                ["import threading, time\nthreading.Thread(target=time.sleep, args=(20,), daemon=True).start()"],
                "thread",
            ),
            (["import socket\ns = socket.create_server(('127.0.0.1', 0))"], "socket"),
            (["import subprocess\np = subprocess.Popen(['sleep', '20'])"], "child process"),
            (
                [("def two():\n    return 2", ["exercise"]), CHECK, solution("def two():\n    return 2")],
                "passes before",
            ),
            ([YOURS, CHECK, solution("def two():\n    return 3")], "fails on the solution"),
            ([YOURS, CHECK], "in this order"),
        ],
        ids=["an error", "a thread", "a socket", "a child", "an exercise done", "a wrong solution", "no solution"],
    )
    def test_fails_on(self, cells, why, tmp_path):
        with pytest.raises(run.LabFailed, match=why):
            run.execute(notebook(tmp_path, *cells), tmp_path / "out.ipynb")
        assert not (tmp_path / "out.ipynb").exists()

    def test_fails_on_a_lab_that_takes_too_long(self, tmp_path, monkeypatch):
        monkeypatch.setattr(run, "TIMEOUT", 3)
        with pytest.raises(run.LabFailed, match="not done after 3 s"):
            run.execute(notebook(tmp_path, "import time\ntime.sleep(30)"), tmp_path / "out.ipynb")

    def test_finds_nothing_left_of_a_server_whose_cell_failed(self, tmp_path):
        run.execute(notebook(tmp_path, (SERVER, ["raises-exception"])), tmp_path / "out.ipynb")
        (cell,) = cells_of(tmp_path / "out.ipynb")
        assert cell["outputs"][0]["evalue"] == "as it happens"

    def test_writes_a_copy_with_outputs_and_without_the_solved_cells(self, tmp_path):
        cells = ["print('hello')", YOURS, CHECK, solution("def two():\n    return 2")]
        run.execute(notebook(tmp_path, *cells), tmp_path / "new" / "out.ipynb")
        made = cells_of(tmp_path / "new" / "out.ipynb")
        assert [cell["id"] for cell in made] == ["c0", "c1", "c2", "c3"]
        assert "".join(made[0]["outputs"][0]["text"]) == "hello\n"
        assert run.printed({"outputs": [{**o, "text": "".join(o["text"])} for o in made[2]["outputs"]]}) == (
            "✗ two: not yet. no"
        )

    def test_adapts_links_to_the_folder_of_the_copy(self, tmp_path):
        cells = [("<details>[6](../docs/tutorial/06-frames.md)</details>", [])]
        run.execute(notebook(tmp_path, *cells), tmp_path / "out.ipynb")
        assert "](../tutorial/06-frames.md)" in "".join(cells_of(tmp_path / "out.ipynb")[0]["source"])


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_lab_runs(tmp_path):
    """From scratch, with its exercises undone and solved, and without leftovers."""
    needs("nbclient", "ipykernel", "matplotlib", "psutil", "trustme")
    command = [sys.executable, str(NOTEBOOKS / "run.py"), "--to", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {path.name for path in tmp_path.glob("*.ipynb")} == {path.name for path in LABS}


class TestTheProgram:
    def test_finds_labs_by_number_and_by_name(self):
        assert [path.stem for path in run.find(["06", "messages"])] == ["06-frames", "07-messages"]
        assert run.find([]) == LABS

    def test_lists_the_labs_for_an_unknown_name(self, capsys):
        with pytest.raises(SystemExit) as ended:
            run.main(["--clean", "nowhere"])
        assert ended.value.code == 2
        assert "06-frames" in capsys.readouterr().err

    @pytest.mark.slow
    def test_names_the_lab_that_failed_and_goes_on_and_returns_1(self, tmp_path, monkeypatch, capsys):
        needs("nbclient", "ipykernel")
        monkeypatch.setattr(run, "HERE", tmp_path)
        notebook(tmp_path, "1 / 0").rename(tmp_path / "00-bad.ipynb")
        notebook(tmp_path, "1").rename(tmp_path / "01-good.ipynb")
        assert run.main(["--to", str(tmp_path / "out")]) == 1
        said = capsys.readouterr().out
        assert re.search(r"00-bad +FAILED", said) and "ZeroDivisionError" in said
        assert re.search(r"01-good +ok", said) and "1 of 2 ok" in said
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["01-good.ipynb"]

    def test_removes_outputs_and_metadata(self, tmp_path, monkeypatch, capsys):
        monkeypatch.setattr(run, "HERE", tmp_path)
        path = tmp_path / "06-frames.ipynb"
        used = json.loads((NOTEBOOKS / path.name).read_text("utf-8"))
        used["metadata"]["language_info"]["version"] = "3.11.7"
        for cell in used["cells"]:
            cell["metadata"]["collapsed"] = True
            if cell["cell_type"] == "code":
                cell["outputs"], cell["execution_count"] = [{"output_type": "stream", "name": "stdout", "text": "x"}], 5
        path.write_text(json.dumps(used))
        assert run.main(["--clean"]) == 0
        assert path.read_text("utf-8") == (NOTEBOOKS / path.name).read_text("utf-8")
        assert run.main(["--clean"]) == 0
        assert capsys.readouterr().out == "06-frames: cleaned\n06-frames: was clean\n"
