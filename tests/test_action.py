"""action.yml, the action for GitHub: its shell steps run here as GitHub runs them, without GitHub."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from conftest import DEADLINE, free_port, require

from wsref.check.gallery import BROKEN
from wsref.check.gallery.reference import serving
from wsref.cli.main import build_parser

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(os.name == "nt", reason="it needs bash and process groups")


@pytest.fixture(scope="module")
def action():
    """The parsed file."""
    require(importlib.util.find_spec("yaml"), "PyYAML comes with pip install -e '.[docs]'", "CI_DOCS")
    import yaml

    return yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))


class Job:
    """A job that uses the action: a workspace, and the files that GitHub names in the environment."""

    def __init__(self, action: dict, folder: Path) -> None:
        self.action = action
        self.workspace = folder / "work space"
        self.workspace.mkdir()
        self.summary, self.outputs, self.temp = folder / "summary.md", folder / "outputs", folder / "temp"
        self.temp.mkdir()
        self.processes: list[subprocess.Popen[str]] = []

    def use(self, **given: str) -> tuple[int, str]:
        """Run the steps with these inputs, up to the first that fails: exit code and output."""
        inputs = {name: one["default"] for name, one in self.action["inputs"].items()}
        inputs |= {name.replace("_", "-"): value for name, value in given.items()}
        output = ""
        for step in self.action["runs"]["steps"]:
            if "if" in step:
                name = re.fullmatch(r"inputs\.([\w-]+) != ''", step["if"])[1]
                if not inputs[name]:
                    continue
            code, printed = self.run(step, inputs)
            output += printed
            if code:
                return code, output
        return 0, output

    def run(self, step: dict, inputs: dict[str, str]) -> tuple[int, str]:
        script = self.temp / "script.sh"
        script.write_text(step["run"])
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        environment |= {
            "GITHUB_ACTION_PATH": str(ROOT),
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "GITHUB_OUTPUT": str(self.outputs),
            "RUNNER_TEMP": str(self.temp),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        for name, value in step["env"].items():
            environment[name] = inputs[re.fullmatch(r"\$\{\{ inputs\.([\w-]+) \}\}", value)[1]]
        process = subprocess.Popen(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
            cwd=self.workspace,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.processes.append(process)
        printed, _ = process.communicate(timeout=2 * DEADLINE)  # the server in the background does not hold the pipe
        return process.returncode, printed

    def end(self) -> None:
        """End the servers that the steps started, as GitHub does after the job."""
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)


@pytest.fixture
def job(action, tmp_path) -> Iterator[Job]:
    one = Job(action, tmp_path)
    yield one
    one.end()


class TestItsText:
    """What GitHub reads"""

    def test_the_steps_are_shell_and_get_their_inputs_by_the_environment_only(self, action):
        assert action["runs"]["using"] == "composite"
        for step in action["runs"]["steps"]:
            assert step["shell"] == "bash"
            assert "${{" not in step["run"], "an input in a script is an injection"
            for name in step["env"]:
                assert re.search(rf"\${name}\b", step["run"]), name

    def test_each_input_is_described_and_used_and_all_have_defaults(self, action):
        used = " ".join(value for step in action["runs"]["steps"] for value in step["env"].values())
        for name, one in action["inputs"].items():
            assert one["description"].endswith(".")
            assert isinstance(one["default"], str)
            assert f"inputs.{name} }}}}" in used
        assert action["outputs"]["junit"]["value"] == "${{ steps.grade.outputs.junit }}"

    def test_its_flags_exist(self, action):
        flags = re.findall(r"--[a-z-]+", action["runs"]["steps"][-1]["run"])
        known = build_parser().parse_args(["check", "ws://h/"]).parser.format_help()
        assert [flag for flag in flags if f"{flag} " not in known] == []
        assert len(flags) == 7

    def test_the_example_of_the_how_to_gives_inputs_that_exist(self, action):
        import yaml

        text = (ROOT / "docs" / "examples" / "check-action.yml").read_text("utf-8")
        steps = yaml.safe_load(text)["jobs"]["check"]["steps"]
        [given] = [step["with"] for step in steps if "wsref" in step["uses"]]
        assert set(given) <= set(action["inputs"])
        assert all(isinstance(value, str) for value in given.values())


class TestARun:
    """The exit code of the step, its summary and its report"""

    def test_it_starts_a_server_and_passes(self, job):
        with free_port() as port:
            command = f"PYTHONPATH={shlex.quote(str(ROOT))} exec {shlex.quote(sys.executable)} -m wsref --port {port}"
            url = f"ws://127.0.0.1:{port}/echo"
            code, output = job.use(url=url, command=command, only="4.accept\n6.length.12?", until="6", junit="a b.xml")
            job.end()
        assert code == 0, output
        assert "✅" in job.summary.read_text("utf-8")
        suites = ElementTree.parse(job.workspace / "a b.xml").getroot()
        assert {one.get("name") for one in suites.iter("testcase")} >= {"4.accept.value", "6.length.125"}
        assert job.outputs.read_text() == "junit=a b.xml\n"

    def test_a_broken_rule_fails_the_step_and_a_baseline_or_except_lets_it_pass(self, job):
        with serving(BROKEN["guid-with-space"]) as url:
            code, output = job.use(url=url, only="4.accept")
            assert code == 1
            assert "4.accept.value" in output and "4.accept.value" in job.summary.read_text("utf-8")
            code, output = job.use(url=url, only="4.accept 4.status", **{"except": "4.accept.*"})
            assert code == 0, output
            (job.workspace / "known.txt").write_text("4.accept.value  until the next release\n")
            code, output = job.use(url=url, only="4.accept.value", baseline="known.txt")
            assert code == 0, output

    def test_ids_are_patterns_of_ids_and_not_of_files_and_a_folder_wsref_does_not_matter(self, job):
        (job.workspace / "4.x").write_text("")
        (job.workspace / "wsref").mkdir()
        (job.workspace / "wsref" / "__init__.py").write_text("raise SystemExit('another wsref')")
        with serving(BROKEN["any-path"]) as url:
            code, output = job.use(url=url, only="4.*")
        assert code == 0, output

    def test_a_server_that_does_not_start_is_an_error_with_its_output(self, job):
        with free_port() as port:
            url = f"ws://127.0.0.1:{port}/"
            code, output = job.use(url=url, command="echo the port is taken; exit 3", wait="0.5")
        assert code == 1
        assert f"no server at {url} after 0.5 s" in output
        assert "the port is taken" in output
        assert not job.summary.exists()

    def test_without_a_server_the_reports_give_the_reason(self, job):
        with free_port() as port:
            code, output = job.use(url=f"ws://127.0.0.1:{port}/")
        assert code == 2
        assert "cannot grade" in output and "cannot grade" in job.summary.read_text("utf-8")
