"""The README shows real output, and its commands are what it says they are."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
import types
from pathlib import Path

import pytest
from rawclient import close, connected

import wsref
from wsref import Echo, running
from wsref.apps.panel import with_wire
from wsref.check.gallery import BROKEN
from wsref.check.gallery.reference import serving
from wsref.cli.main import main
from wsref.steps import SEEN
from wsref.wire.trace import Printer

README = Path(__file__).parents[1] / "README.md"


def shown(command: str) -> str:
    """What the README shows below a command."""
    found = re.search(rf"^\$ {re.escape(command)}\n(.*?)^(?:```|\$)", README.read_text("utf-8"), re.M | re.S)
    assert found, command
    return found[1]


def is_excerpt(excerpt: str, output: str) -> bool:
    """Whether the lines are in the output, in order; ``...`` stands for some that are left out."""
    pieces = [piece.strip("\n") for piece in re.split(r"^\.\.\.$", excerpt, flags=re.M)]
    at = 0
    for piece in pieces:
        at = output.find(piece, at)
        if at < 0:
            return False
        at += len(piece)
    return True


def test_the_picture_that_decode_draws(capsys):
    assert main(["decode", "8185", "37fa213d", "7f9f4d5158"]) == 0
    out, err = capsys.readouterr()
    assert is_excerpt(shown("python -m wsref decode 8185 37fa213d 7f9f4d5158"), err + out)


def test_the_trace(serve):
    import io

    stream = io.StringIO()
    with connected(serve(Echo, tap=Printer(stream).tap), "/echo") as client:
        client.send(bytes.fromhex("818537fa213d7f9f4d5158") + close())
        client.closed()

    def without_time(text: str) -> str:
        return re.sub(r"^[0-9:.]+ 127\.0\.0\.1:[0-9]+ ", "", text, flags=re.M)

    assert is_excerpt(without_time(shown("python -m wsref --trace")), without_time(stream.getvalue()))


def test_the_refusal(serve):
    with connected(serve(), None) as client:
        client.send(
            b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8765\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Key: abc\r\n\r\n"
        )
        answer = client.rest().decode().replace("\r", "")
    command = (
        "curl -i http://127.0.0.1:8765/ -H 'Connection: Upgrade' -H 'Upgrade: websocket' -H 'Sec-WebSocket-Key: abc'"
    )
    assert is_excerpt(shown(command), answer)


def test_the_exercise(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["exercise", "3"]) == 0
    assert is_excerpt(shown("python -m wsref exercise 3"), capsys.readouterr().out)


def test_the_table_of_steps():
    rows = re.findall(r"^\| ([0-9]+) \| ([^|\[]*) \| (`[^|\[]*) \|$", README.read_text("utf-8"), re.M)
    assert {int(step): seen for step, seen, _ in rows} == SEEN
    modules = {path.stem: path.read_text("utf-8") for path in (README.parent / "wsref").glob("[pn]*/*.py")}
    for _, _, places in rows:
        for place in places.split(";"):
            first, *functions = re.findall("`([A-Za-z_0-9]+)`", place)
            named = functions if ": " in place and place.lstrip().startswith("`") else []
            assert first in modules
            assert all(name in modules or name in modules[first] for name in named), place


def test_the_table_of_folders():
    named = re.findall(r"^\| \[`(\w+)/`\]\(wsref/(\w+)/__init__\.py\) \| (.*?) \|", README.read_text("utf-8"), re.M)
    assert all(shown == linked for shown, linked, _ in named)
    listed = re.findall(r"^(\w+)  +(.*?)(?:  |$)", (wsref.__doc__ or "").replace("``", "`"), re.M)
    assert [(folder, words) for folder, _, words in named] == listed[1:]


def test_the_five_line_server_runs(tmp_path):
    program, client = re.findall(r"^```python\n(.*?)^```", README.read_text("utf-8"), re.M | re.S)
    program = program.replace("8765", "0").replace("server.serve_forever()", "print(server.url)")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    assert done.stdout.startswith("ws://127.0.0.1:"), done.stderr
    with running() as server:
        client = client.replace("ws://127.0.0.1:8765", server.url)
        done = subprocess.run([sys.executable, "-c", client], capture_output=True, text=True, timeout=30)
        assert done.stdout == "hi\n", done.stderr


def test_the_client_in_a_pipe_and_refused():
    handler, watches = with_wire()
    with running(handler, tap=watches.tap) as server:

        def run(path: str, words: str = "") -> str:
            command = [sys.executable, "-m", "wsref", "connect", server.url + path, "--wait", "0.3"]
            done = subprocess.run(command, input=words, capture_output=True, text=True, timeout=30)
            return done.stdout or done.stderr

        assert shown("echo hi | python -m wsref connect ws://127.0.0.1:8765/echo") == run("/echo", "hi\n")
        assert shown("python -m wsref connect ws://127.0.0.1:8765/nowhere") == run("/nowhere")


def test_the_report_of_check(capsys):
    with serving(BROKEN["guid-with-space"]) as url:
        port = url.rstrip("/").rpartition(":")[2]
        assert main(["check", "--until", "4", url]) == 1
    shown_here = shown("python -m wsref check --until 4 ws://127.0.0.1:9000/")
    assert is_excerpt(shown_here, capsys.readouterr().out.replace(port, "9000"))


@pytest.mark.parametrize("name", re.findall(r'\]\(([^)#:]+)\)|(?:src|srcset)="([^":]+)"', README.read_text("utf-8")))
def test_what_it_links_to_is_there(name):
    assert (README.parent / max(name)).exists()


class TestLongDescription:
    """What a package index shows: README.md by setup.py"""

    @pytest.fixture
    def metadata(self):
        """The arguments that setup.py gives to setuptools."""
        given = {}
        setuptools = types.SimpleNamespace(setup=given.update, find_packages=lambda **options: [])
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(sys.modules, "setuptools", setuptools)
            runpy.run_path(str(README.with_name("setup.py")))
        return types.SimpleNamespace(**given)

    def test_its_links_and_images_lead_somewhere(self, metadata):
        targets = re.findall(r"\]\(([^)]+)\)", metadata.long_description)
        targets += re.findall(r'(?:src|srcset)="([^"]+)"', metadata.long_description)
        assert [target for target in targets if not target.startswith(("https://", "http://"))] == []
        assert f'src="{metadata.url}/raw/main/docs/_static/page.png"' in metadata.long_description
        for target in targets:
            if target.startswith(metadata.url):
                assert (README.parent / re.sub(r"^/(raw|blob)/main/", "", target.removeprefix(metadata.url))).exists()

    def test_the_project_has_one_address(self, metadata):
        addresses = re.findall(r"(?:clone |git\+)(https://\S+)", README.read_text("utf-8"))
        assert len(addresses) == 2
        assert set(addresses) == {metadata.url}
        assert f"<{metadata.url}/issues>" in README.with_name("SECURITY.md").read_text("utf-8")
