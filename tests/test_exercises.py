"""``python -m wsref exercise``: what it writes, what it says of a learner's code, and its exit codes."""

from __future__ import annotations

import ast
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import DEADLINE
from test_cli import ENVIRONMENT

from wsref.cli.main import main
from wsref.exercises import runner, solutions, stubs
from wsref.exercises.solutions.ch06 import header_size

ROOT = Path(__file__).parents[1]
EXERCISES = [(chapter, name) for chapter in stubs.CHAPTERS for name in stubs.definitions(stubs.solution_of(chapter))]
WAITS_FOR_THE_STUB = [(8, "ThreeOnly"), (10, "Whisper")]  # the check's clients wait for a message, 5 seconds


def python_m_wsref(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "wsref", *arguments]


@pytest.fixture
def exercise(tmp_path):
    """``exercise("3")`` runs the command in an empty folder; exit code, output, errors.

    In its own process: to check a learner's code it forks, and this process has threads.
    """

    def run(*arguments: str, **variables: str | None) -> tuple[int, str, str]:
        environment = {**ENVIRONMENT, "PYTHONPATH": str(ROOT), **variables}
        environment = {name: value for name, value in environment.items() if value is not None}
        done = subprocess.run(
            python_m_wsref("exercise", *arguments),
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            cwd=tmp_path,
            env=environment,
        )
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout, done.stderr

    return run


@pytest.fixture
def exercise_here(tmp_path, monkeypatch, capsys):
    """The same in this process, for everything before the first check."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        try:
            code = main(["exercise", *arguments])
        except SystemExit as ended:
            code = ended.code
        return code, *capsys.readouterr()

    return run


class TestEveryExercise:
    """A stub, a check, a solution, and a place in the book"""

    @pytest.mark.parametrize("chapter", stubs.CHAPTERS)
    def test_no_stub_is_taken_for_an_answer(self, chapter, tmp_path):
        path = tmp_path / "stub.py"
        path.write_text(stubs.stub_of(chapter), "utf-8")
        found = list(runner.results(chapter, path, timeout=DEADLINE))
        assert {result.state for result in found} == {"not begun"}
        assert [(chapter, result.name) for result in found] == [one for one in EXERCISES if one[0] == chapter]

    @pytest.mark.parametrize(
        ("chapter", "name"),
        [pytest.param(*one, marks=pytest.mark.slow if one in WAITS_FOR_THE_STUB else ()) for one in EXERCISES],
    )
    def test_a_stub_is_refused_if_it_is_called_all_the_same(self, chapter, name, tmp_path):
        path = tmp_path / "stub.py"
        path.write_text(stubs.stub_of(chapter), "utf-8")
        assert runner.verdict(chapter, name, path)

    @pytest.mark.parametrize(("chapter", "name"), EXERCISES)
    def test_the_solution_is_right(self, chapter, name):
        assert runner.verdict(chapter, name, Path(solutions.__file__).with_name(f"ch{chapter:02}.py")) == ""

    @pytest.mark.parametrize(("chapter", "name"), EXERCISES)
    def test_the_book_asks_for_it_and_shows_the_solution(self, chapter, name):
        (page,) = (ROOT / "docs" / "tutorial").glob(f"{chapter:02}-*.md")
        text = page.read_text("utf-8")
        assert f"solutions/ch{chapter:02}.py\n:pyobject: {name}\n" in text
        assert re.search(rf"`{name}[(`]", text)
        assert f"python -m wsref exercise {chapter}\n" in text

    @pytest.mark.parametrize("chapter", stubs.CHAPTERS)
    def test_a_stub_is_a_docstring_and_one_line_in_a_file_without_needless_imports(self, chapter):
        tree = ast.parse(stubs.stub_of(chapter))
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                assert ast.get_docstring(node) and ast.unparse(node.body[1:]) == "...", node.name
        used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        assert {alias.name for node in imports for alias in node.names} <= used


class TestWriting:
    """The first call for a chapter"""

    def test_it_writes_the_stubs_and_says_what_to_do_next(self, exercise_here, tmp_path):
        code, out, err = exercise_here("3")
        assert (code, err) == (0, "")
        assert out.startswith("exercise_03.py is written, with 3 exercises of chapter 3.\n")
        assert out.endswith("check it: python -m wsref exercise 3\n")
        assert [path.name for path in tmp_path.iterdir()] == ["exercise_03.py"]
        assert (tmp_path / "exercise_03.py").read_text("utf-8") == stubs.stub_of(3)

    @pytest.mark.slow
    def test_it_never_overwrites_a_file_and_leaves_nothing_else(self, exercise, tmp_path):
        for chapter in stubs.CHAPTERS:
            (tmp_path / f"exercise_{chapter:02}.py").write_text("mine = True\n")
        for chapter in stubs.CHAPTERS:
            exercise(str(chapter))
        exercise()
        assert {path.read_text() for path in tmp_path.iterdir()} == {"mine = True\n"}
        assert len(list(tmp_path.iterdir())) == len(stubs.CHAPTERS)

    def test_a_link_to_nowhere_is_not_followed(self, exercise_here, tmp_path):
        (tmp_path / "exercise_03.py").symlink_to(tmp_path / "elsewhere.py")
        assert exercise_here("3")[0::2] == (1, "wsref: cannot write exercise_03.py: File exists\n")

    @pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "ascii"])
    def test_the_printed_solutions_are_a_file_that_is_right(self, exercise, tmp_path, encoding):
        code, out, _ = exercise("1", "--solution", PYTHONIOENCODING=encoding)  # as the pipes of Windows have one
        assert code == 0
        (tmp_path / "exercise_01.py").write_text(out, "utf-8")
        code, out, _ = exercise("1")
        assert (code, out.splitlines()[-1]) == (0, "2 of 2 exercises right")


class TestChecking:
    """Every later call"""

    def test_each_exercise_is_ok_or_wrong_or_not_begun(self, exercise, tmp_path):
        text = stubs.stub_of(3)
        text = text.replace("...  # your code here", "return len(key) == 24", 1)
        text = text.replace("...  # your code here", 'return "please-let-me-in-already"', 1)
        (tmp_path / "exercise_03.py").write_text(text)
        code, out, _ = exercise("3")
        assert code == 1
        assert out.splitlines() == [
            "exercise_03.py, chapter 3: validation",
            "wrong      is_valid_key",
            "           is_valid_key('AAAAAAAAAAAAAAAAAAAAAAA=') must return False, not True: it is 17 bytes in base64",
            "ok         article_only_key",
            "not begun  refusal",
            "1 of 3 exercises right",
            "If you are stuck: python -m wsref exercise 3 --solution",
        ]

    @pytest.mark.parametrize(
        "answer",
        [
            "mine = lambda second: 2 + {126: 2, 127: 8}.get(second & 127, 0) + second // 128 * 4\nheader_size = mine",
            "import wsref.exercises.solutions.ch06 as solved\nheader_size, x = solved.header_size, 1",
            "from wsref.exercises.solutions.ch06 import header_size",
            "from wsref.exercises.solutions import ch06\nif True:\n    def header_size(n): return ch06.header_size(n)",
        ],
    )
    def test_a_stub_that_a_later_line_replaces_is_no_stub(self, exercise, tmp_path, answer):
        (tmp_path / "exercise_06.py").write_text(f"{stubs.stub_of(6)}\n{answer}\n", "utf-8")
        assert "ok         header_size\nnot begun  masked_frame\n" in exercise("6")[1]

    def test_a_long_chain_of_elif_is_an_answer(self, exercise, tmp_path):
        lines = ["def header_size(second):", "    if second == 0: return 2"]
        lines += [f"    elif second == {n}: return {header_size(n)}" for n in range(1, 256)]
        (tmp_path / "exercise_06.py").write_text("\n".join([*lines, "def masked_frame(text, key): ..."]))
        assert "ok         header_size\nnot begun  masked_frame\n" in exercise("6")[1]

    @pytest.mark.parametrize(
        ("source", "why"),
        [
            ("", "{path} has no header_size"),
            ("header_size = 5", "header_size must be a function or a class, as in the stub, not int"),
            ("x = 1\n1 / 0", "ZeroDivisionError: division by zero\n{path}, line 2: 1 / 0"),
            (
                "def header_size(second):\n    return SIZES[second]",
                "header_size(0) raises NameError: name 'SIZES' is not defined; it must return 2\n"
                "{path}, line 2: return SIZES[second]",
            ),
            pytest.param(
                f"def header_size(second):\n    raise ValueError('{'x' * 9999}')",
                f"header_size(0) raises ValueError: {'x' * 500}...; it must return 2\n"
                f"{{path}}, line 2: raise ValueError('{'x' * 82}",
                id="long",
            ),
            ("def header_size(second):\n    raise SystemExit", "SystemExit\n{path}, line 2: raise SystemExit"),
        ],
    )
    def test_the_verdict_on_an_answer(self, tmp_path, source, why):
        path = tmp_path / "answer.py"
        path.write_text(source)
        assert runner.verdict(6, "header_size", path) == why.format(path=path)

    def test_an_exception_comes_with_the_learners_line_and_an_end_of_the_process_is_told(self, exercise, tmp_path):
        (tmp_path / "exercise_06.py").write_text(
            "def header_size(second):\n    return SIZES[second]\n\n"
            "def masked_frame(text, key):\n    import os\n    os._exit(0)\n"
        )
        code, out, _ = exercise("6")
        assert code == 1
        assert "header_size(0) raises NameError: name 'SIZES' is not defined" in out
        assert "exercise_06.py, line 2: return SIZES[second]" in out
        assert "your code ended the whole process" in out

    def test_an_answer_that_cannot_be_called_is_named_with_its_type(self, exercise, tmp_path):
        (tmp_path / "exercise_06.py").write_text(
            "import functools\nheader_size = 5\nmasked_frame = functools.partial(lambda text, key: 1)\n"
        )
        _, out, _ = exercise("6")
        assert "header_size must be a function or a class, as in the stub, not int" in out
        assert "must be bytes, not 1" in out  # a partial has no __name__

    def test_where_there_is_no_fork_as_on_windows(self, exercise, tmp_path):
        text = stubs.solution_of(6).replace("def masked_frame", "def other") + "\n\ndef masked_frame(text, key):\n"
        (tmp_path / "exercise_06.py").write_text(text + "    while True:\n        pass\n")
        system = {"WSREF_TEST_SYSTEM": "windows", "PYTHONPATH": str(ROOT / "tests" / "other_system")}
        code, out, _ = exercise("6", "--timeout", "2", **system)
        assert code == 1
        assert "ok         header_size" in out
        assert "it still runs after 2 s" in out and "exercise_06.py, line " in out

    def test_an_exception_in_a_hook_comes_with_the_learners_line(self, exercise, tmp_path):
        text = stubs.solution_of(8).replace("self.taken += 1", "self.taken[0] += 1")
        (tmp_path / "exercise_08.py").write_text(text)
        _, out, _ = exercise("8")
        assert "a hook of ThreeOnly raises TypeError: 'int' object is not subscriptable" in out
        assert re.search(r"exercise_08\.py, line \d+: self\.taken\[0\] \+= 1", out)

    @pytest.mark.parametrize(
        "loop",
        [
            pytest.param("pass", id="plain"),
            pytest.param("try: pass\n        except: pass", id="one that catches all", marks=pytest.mark.slow),
        ],
    )
    def test_an_endless_loop_ends_and_the_next_exercise_is_checked(self, exercise, tmp_path, loop):
        text = f"def header_size(second):\n    while True:\n        {loop}\n\n\n"
        (tmp_path / "exercise_06.py").write_text(text + stubs.solution_of(6).partition("\n\n\n")[2].split("\n\n\n")[1])
        code, out, _ = exercise("6", "--timeout", "2")
        assert code == 1
        assert "it still runs after 2 s" in out
        assert re.search(r"exercise_06\.py, line [234]: ", out)
        assert "ok         masked_frame" in out

    def test_the_line_is_that_of_the_call_and_not_of_a_thread_beside_it(self, exercise, tmp_path):
        text = (
            "import threading\n"
            "threading.Thread(target=lambda: threading.Event().wait(), daemon=True).start()\n"
            "def header_size(second):\n    while True: pass\n"
        )
        (tmp_path / "exercise_06.py").write_text(text)
        assert "exercise_06.py, line 4: while True: pass\n" in exercise("6", "--timeout", "2")[1]

    @pytest.mark.parametrize(
        ("end", "words"),
        [("os._exit(0)", "your code ended the whole process"), ("os.waitpid(pid, 0)", "it still runs after 2 s")],
    )
    def test_a_process_that_the_learner_starts_is_not_waited_for(self, exercise, tmp_path, end, words):
        text = (
            "import os, pathlib, time\n"
            "def header_size(second):\n"
            "    if (pid := os.fork()) == 0:\n"
            "        os.closerange(0, 3)\n"  # the pipes of this test
            f"        time.sleep({2 * DEADLINE})\n"
            "    pathlib.Path('pid').write_text(str(pid))\n"
            f"    {end}\n"
        )
        (tmp_path / "exercise_06.py").write_text(text)
        try:
            assert words in exercise("6", "--timeout", "2")[1]
        finally:
            os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)

    @pytest.mark.slow
    def test_a_server_that_hangs_ends_too(self, exercise, tmp_path):
        text = stubs.solution_of(8).replace("self.taken = 0", "while True: pass")
        (tmp_path / "exercise_08.py").write_text(text)
        _, out, _ = exercise("8", "--timeout", "2")
        assert "ok         close_payload\nwrong      ThreeOnly\n           it still runs after 2 s" in out
        assert re.search(r"exercise_08\.py, line \d+: while True: pass", out)

    @pytest.mark.parametrize(
        ("source", "words"),
        [
            ("def join(frames:\n    pass\n", "exercise_07.py, line 1: '(' was never closed: def join(frames:"),
            ("x = 1\nreturn x\n", "exercise_07.py, line 2: 'return' outside function: return x"),
            pytest.param(
                "(" * 999, f"exercise_07.py, line 1: too many nested parentheses: {'(' * 100}", id="parentheses"
            ),
            pytest.param(
                "x = 1\n".encode("utf-16"),
                "exercise_07.py, line 1: the file has null bytes, as UTF-16 has: save it as UTF-8",
                id="UTF-16",
            ),
            pytest.param(f"x = {'-' * 100_000}1\n", "exercise_07.py is nested too deeply for Python", id="signs"),
        ],
    )
    def test_a_file_that_is_not_python_is_one_line(self, exercise_here, tmp_path, source, words):
        (tmp_path / "exercise_07.py").write_bytes(source if isinstance(source, bytes) else source.encode())
        code, _, err = exercise_here("7")
        assert (code, err) == (1, f"wsref: {words}\n")
        assert words in exercise_here()[1]

    def test_a_warning_of_the_compiler_is_shown_by_the_checks_alone(self, exercise, tmp_path):
        (tmp_path / "exercise_06.py").write_text(stubs.solution_of(6) + '\nblank = "\\s"\n')
        _, _, err = exercise("6", PYTHONWARNINGS="default")
        assert err.count("invalid escape sequence") == 2  # each exercise has its own process
        assert exercise(PYTHONWARNINGS="default")[2] == ""

    def test_an_exercise_that_is_not_there_and_a_file_that_cannot_be_read(self, exercise, exercise_here, tmp_path):
        (tmp_path / "exercise_07.py").write_text("")
        assert "exercise_07.py has no join" in exercise("7")[1]
        (tmp_path / "exercise_08.py").mkdir()
        assert exercise_here("8")[::2] == (1, "wsref: cannot read exercise_08.py: Is a directory\n")

    @pytest.mark.parametrize("safe_path", ["", "1"])  # 1: without the current folder, as for the command "wsref"
    def test_an_answer_may_import_the_file_beside_it(self, exercise, tmp_path, safe_path):
        (tmp_path / "exercise_06.py").write_text(stubs.solution_of(6), "utf-8")
        (tmp_path / "exercise_07.py").write_text("import exercise_06\n" + stubs.solution_of(7), "utf-8")
        assert "2 of 2 exercises right" in exercise("7", PYTHONSAFEPATH=safe_path)[1]

    def test_what_the_learner_prints_is_shown(self, exercise, tmp_path):
        text = "def header_size(second):\n    print('second is', second)\n    return 2\n"
        (tmp_path / "exercise_06.py").write_text(text)
        assert "second is 128\n" in exercise("6")[1]
        assert "second is" not in exercise()[1]

    @pytest.mark.parametrize("end", ["print('whole')", "print('part', end='')", "print('before'); while_true()"])
    def test_what_the_learner_prints_is_in_a_pipe_before_the_verdict(self, exercise, tmp_path, end):
        """The command kills the learner's process when it has the verdict."""
        text = (
            "import multiprocessing.connection, time\n"
            "send = multiprocessing.connection.Connection._send_bytes\n"
            "def slow(*arguments):\n    send(*arguments)\n    while_true()\n"
            "multiprocessing.connection.Connection._send_bytes = slow\n"
            "def while_true():\n    while True: time.sleep(1)\n"
            f"def header_size(second):\n    {end}\n"
        )
        (tmp_path / "exercise_06.py").write_text(text)
        _, out, _ = exercise("6", "--timeout", "2", PYTHONUNBUFFERED="")
        assert re.search(r"^(whole|part|before)", out, re.M)

    @pytest.mark.parametrize("system", ["", "windows"])
    def test_a_right_answer_prints_what_the_output_cannot_show(self, exercise, tmp_path, system):
        """On Windows a pipe has a code page, and Python starts the learner's process anew."""
        text = stubs.solution_of(6) + "\ndef header_size(second, right=header_size):\n    print('\\u2192 thé')\n"
        (tmp_path / "exercise_06.py").write_text(text + "    return right(second)\n", "utf-8")
        variables: dict[str, str | None] = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
        path = os.pathsep.join((str(ROOT / "tests" / "other_system"), str(ROOT)))
        variables |= {"WSREF_TEST_SYSTEM": system, "PYTHONPATH": path}
        variables["COVERAGE_PROCESS_CONFIG"] = None  # its folder may have a name that is not ASCII
        _, out, _ = exercise("6", **variables)
        assert "\\u2192 th\\xe9\n" in out
        assert "ok         header_size" in out
        assert " 6  frames                  2 of 2\n" in exercise(**variables)[1]

    def test_an_error_does_not_control_the_terminal(self, exercise, exercise_here, tmp_path):
        (tmp_path / "exercise_06.py").write_text("def header_size(second):\n    raise ValueError('\\x1b[2J')\n")
        assert r"raises ValueError: \x1b[2J" in exercise("6")[1]
        (tmp_path / "exercise_07.py").write_text("x = '\x1b[2J\n")
        assert exercise_here("7")[2].endswith(r"x = '\x1b[2J" + "\n")

    def test_colours_are_for_terminals_or_force_color(self, exercise, tmp_path):
        (tmp_path / "exercise_06.py").write_text(stubs.solution_of(6))
        assert "\x1b" not in exercise("6")[1]
        assert "\x1b[32mok" in exercise("6", FORCE_COLOR="1")[1]
        assert "\x1b" not in exercise("6", FORCE_COLOR="1", NO_COLOR="1")[1]


class TestProgress:
    """Without a number: all chapters, from the files in the current folder"""

    def test_it_counts_the_chapters_of_which_all_is_right(self, exercise, tmp_path):
        for chapter in (0, 6, 7):
            (tmp_path / f"exercise_{chapter:02}.py").write_text(stubs.solution_of(chapter), "utf-8")
        (tmp_path / "exercise_07.py").write_text(stubs.stub_of(7), "utf-8")
        code, out, err = exercise()
        assert (code, err) == (1, "")
        lines = out.splitlines()
        assert lines[0] == " 0  the client              2 of 2"
        assert lines[1] == " 1  an HTTP base            not begun"
        assert lines[7] == " 7  messages                0 of 2"
        assert lines[12:] == ["2 of 12 chapters done", "Next: python -m wsref exercise 1"]

    def test_it_exits_0_when_all_is_right(self, exercise, tmp_path):
        for chapter in stubs.CHAPTERS:
            (tmp_path / f"exercise_{chapter:02}.py").write_text(stubs.solution_of(chapter), "utf-8")
        code, out, _ = exercise()
        assert (code, out.splitlines()[-1]) == (0, "12 of 12 chapters done")


class TestCommandLine:
    """The conventions of all commands"""

    @pytest.mark.parametrize("arguments", [["12"], ["three"], ["--solution"], ["3", "--timeout", "0"], ["3", "4"]])
    def test_a_wrong_command_line_is_exit_code_2(self, exercise_here, arguments, tmp_path):
        code, out, err = exercise_here(*arguments)
        assert (code, out) == (2, "")
        assert err.startswith("usage: python -m wsref")
        assert list(tmp_path.iterdir()) == []

    def test_help_has_examples(self, capsys):
        with pytest.raises(SystemExit) as caught:
            main(["exercise", "-h"])
        assert caught.value.code == 0
        assert "python -m wsref exercise 3 --solution" in capsys.readouterr().out

    def test_a_pipe_without_a_reader_is_no_traceback(self, tmp_path):
        (tmp_path / "exercise_06.py").write_text(stubs.solution_of(6), "utf-8")
        python = shlex.quote(sys.executable)
        line = f"{python} -m wsref exercise 6 | true; {python} -m wsref exercise 6 --solution | head -1"
        environment = {**ENVIRONMENT, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            ["bash", "-c", line], capture_output=True, text=True, timeout=DEADLINE, cwd=tmp_path, env=environment
        )
        assert (done.stdout, done.stderr) == ('"""Exercises of chapter 6: frames.\n', "")

    def test_ctrl_c_ends_it_with_130_and_without_a_traceback(self, tmp_path):
        text = "def header_size(second):\n    print('begun', flush=True)\n    while True: pass\n"
        (tmp_path / "exercise_06.py").write_text(text)
        process = subprocess.Popen(
            python_m_wsref("exercise", "6", "--timeout", "60"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env={**ENVIRONMENT, "PYTHONPATH": str(ROOT)},
            start_new_session=True,
        )
        with process:
            while process.stdout.readline() not in ("begun\n", ""):
                pass
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the command and to the learner's code
            _, err = process.communicate(timeout=DEADLINE)
        assert (process.returncode, err) == (130, "\nwsref: interrupted\n")

    def test_ctrl_c_while_it_forks_is_not_lost(self, tmp_path):
        """Python ignores the exceptions of what it calls after a fork, such as logging's."""
        (tmp_path / "exercise_06.py").write_text("def header_size(second):\n    while True: pass\n")
        program = (
            "import os, signal, sys; from wsref.cli.main import main\n"
            "os.register_at_fork(after_in_parent=lambda: os.killpg(0, signal.SIGINT))\n"
            "sys.exit(main(['exercise', '6', '--timeout', '60']))"
        )
        done = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            cwd=tmp_path,
            env={**ENVIRONMENT, "PYTHONPATH": str(ROOT)},
            start_new_session=True,
        )
        assert (done.returncode, done.stderr) == (130, "\nwsref: interrupted\n")
