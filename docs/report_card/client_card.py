"""Grade popular clients, for the second table of docs/report-card.md.

``python docs/report_card/client_card.py --install`` installs each client of ``CLIENTS`` into a separate environment,
in ``--folder``, outside the repository; packages of Debian go on the machine (as root).  Without ``--install``, the
script starts the program of each installed client (``clients/``), plays the cases of ``check --client`` with it, and
stores the results in ``client_results.json``.  ``report_card.py --page`` writes the page.

Each MUST failure is played a second time, with a new process and without the cases that passed.  ``client_notes.json``
has a note for each failure, written by hand; its form is that of ``notes.json``, with ``client-`` before each key.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import peers
import report_card

from wsref import __version__
from wsref.check import Level, Outcome
from wsref.check.clients.agents import Session
from wsref.check.clients.cases import CLIENT_CASES
from wsref.check.clients.grader import Grader, Plan
from wsref.check.clients.plays import ClientCase
from wsref.check.report import as_dict
from wsref.check.runner import Report

HERE = Path(__file__).parent
PROGRAMS = HERE / "clients"
RESULTS = HERE / "client_results.json"
NOTES = HERE / "client_notes.json"
FOLDER = Path.home() / ".cache" / "wsref-clients"

#: Seconds without a connection, after which a client is over.
IDLE = 60.0

#: Processes that may end before the last case.
MAX_STARTS = 50

#: By the suffix of a program: how to start it; ``{home}`` is the folder of the client.
START = {
    ".py": "{python} {file} {url}",
    ".mjs": "node {file} {url} {home}",
    ".go": "{home}/{stem} {url}",
}

#: How to start a program with a runtime of npm.
RUNTIME = "{home}/node_modules/.bin/"


@dataclass(frozen=True)
class Peer:
    """A client.

    Attributes:
        packages: ``pip``, ``npm`` or ``apt``, and the packages; the first one has the version.  "": a browser, or this
            package.
        file: Its program in ``clients/``.
        start: How to start it; "": see ``START``.
        python: The interpreter, if the package needs a newer one; "": the one that runs this script.
    """

    key: str
    name: str
    language: str
    about: str
    packages: str
    file: str
    start: str = ""
    python: str = ""

    @property
    def manager(self) -> str:
        """``pip``, ``npm``, ``apt`` or ""."""
        return self.packages.partition(" ")[0]

    @property
    def package(self) -> str:
        """The package that has the version; "": none."""
        return (*self.packages.split(), "", "")[1]


CLIENTS = [
    Peer("wsref", "wsref", "Python", "`wsref.connect`, the client of this package.", "", "wsref_client.py"),
    Peer("step", "the book's client", "Python", "The program of [the interlude](client.md).", "", "step_client.py"),
    Peer(
        "websockets-sync", "websockets", "Python", "`websockets.sync.client`.", "pip websockets", "websockets_sync.py"
    ),
    Peer(
        *("websockets-asyncio", "websockets (asyncio)", "Python", "`websockets.asyncio.client`."),
        *("pip websockets", "websockets_asyncio.py"),
    ),
    Peer(
        *("websocket-client", "websocket-client", "Python", "`create_connection` and `recv_data`."),
        *("pip websocket-client", "websocket_client.py"),
    ),
    Peer("aiohttp", "aiohttp", "Python", "`ClientSession.ws_connect`.", "pip aiohttp", "aiohttp_client.py"),
    Peer("tornado", "tornado", "Python", "`websocket_connect`.", "pip tornado", "tornado_client.py"),
    Peer("picows", "picows", "Python", "`picows.websockets.asyncio.client`.", "pip picows", "picows_client.py"),
    Peer("ws", "ws", "JavaScript", "The client of Node's `ws`.", "npm ws", "ws.mjs"),
    Peer(
        *("undici", "undici", "JavaScript", "The `WebSocket` that Node has had since version 22."),
        *("npm undici", "undici.mjs"),
    ),
    Peer(
        *("node", "Node", "JavaScript", "The global `WebSocket`.", "npm node", "builtin.mjs"),
        start=RUNTIME + "node {file} {url}",
    ),
    Peer(
        *("deno", "Deno", "JavaScript on Rust", "The global `WebSocket`.", "npm deno", "builtin.mjs"),
        start=RUNTIME + "deno run --no-config --no-remote --allow-net=127.0.0.1 {file} {url}",
    ),
    Peer(
        *("bun", "Bun", "JavaScript on C++", "The global `WebSocket`.", "npm bun", "builtin.mjs"),
        start=RUNTIME + "bun {file} {url}",
    ),
    Peer(
        *("gorilla", "gorilla/websocket", "Go", "`websocket.DefaultDialer`."),
        *("apt golang-github-gorilla-websocket-dev golang-go", "gorilla.go"),
    ),
    Peer(
        *("tungstenite", "websocket-rs (tungstenite)", "Python on Rust", "`websocket_rs.sync.client`."),
        *("pip websocket-rs", "tungstenite.py"),
        python="python3.12",
    ),
    Peer(
        "curl",
        "PycURL (libcurl)",
        "Python on C",
        "`perform`, with `ws_meta` and `ws_send` in the callback.",
        "pip pycurl",
        "curl.py",
    ),
    Peer("chromium", "Chromium", "JavaScript", "The grader's own page, headless.", "", "chromium.py"),
]


# -- Installing and starting ------------------------------------------------------------------


def home(peer: Peer, folder: Path) -> Path:
    """Return the folder of a client."""
    return folder / peer.package


def install(folder: Path) -> list[str]:
    """Install each client, and compile its program; return what went wrong."""
    return [f"{peer.name}: {words}" for peer in CLIENTS if (words := install_one(peer, folder))]


def install_one(peer: Peer, folder: Path) -> str:
    """Install the packages of a client, and compile its program; return what went wrong."""
    there, commands = home(peer, folder), []
    if peer.manager == "pip" and not there.exists():
        commands.append([peer.python or sys.executable, "-m", "venv", str(there)])
        commands.append([str(there / "bin" / "pip"), "install", "-q", *peer.packages.split()[1:]])
    elif peer.manager == "npm" and not there.exists():
        there.mkdir(parents=True)
        (there / "package.json").write_text('{"private": true}\n')
        packages = peer.packages.split()[1:]
        commands.append(["npm", "install", "-s", "--no-audit", "--no-fund", "--prefix", str(there), *packages])
    elif peer.manager == "apt":
        there.mkdir(parents=True, exist_ok=True)
        code, words = peers.install_from_debian(peer.packages.split()[1:])
        if code:
            return words.strip() or f"apt-get: exit code {code}"
    if build := peers.BUILD.get(Path(peer.file).suffix):
        out, file = (shlex.quote(str(path)) for path in (there / Path(peer.file).stem, PROGRAMS / peer.file))
        commands.append(["sh", "-c", build.format(out=out, file=file)])
    for command in commands:
        code, words = peers.run(command)
        if code:
            shutil.rmtree(there, ignore_errors=True)
            return words.strip() or f"{command[0]}: exit code {code}"
    return ""


def missing(peer: Peer, folder: Path) -> str:
    """Return why a client cannot be started; "": it can."""
    if peer.package and not home(peer, folder).exists():
        return "not installed"
    program = "chromium" if peer.key == "chromium" else command(peer, folder, "")[0]
    return "" if shutil.which(program) else f"no {Path(program).name}"


def command(peer: Peer, folder: Path, url: str) -> list[str]:
    """Return the command that starts a client."""
    path = PROGRAMS / peer.file
    there = home(peer, folder)
    python = str(there / "bin" / "python") if peer.manager == "pip" else sys.executable
    words = (peer.start or START[path.suffix]).split()
    return [word.format(python=python, file=path, stem=path.stem, home=there, url=url) for word in words]


def version(peer: Peer, folder: Path) -> str:
    """Return the version of a client."""
    if peer.manager == "npm":
        manifest = home(peer, folder) / "node_modules" / peer.package / "package.json"
        return str(json.loads(manifest.read_text("utf-8"))["version"])
    if peer.manager == "pip":
        code = f"import importlib.metadata; print(importlib.metadata.version({peer.package!r}))"
        return peers.run([str(home(peer, folder) / "bin" / "python"), "-c", code])[1].strip()
    if peer.manager == "apt":
        return peers.debian_version(peer.package)
    if peer.key == "chromium":
        found = re.search(r"^Chromium (\S+)", peers.run(["chromium", "--version"])[1], re.MULTILINE)
        return found[1] if found else ""
    return __version__


@contextmanager
def grading(cases: Sequence[ClientCase]) -> Iterator[Grader]:
    """Run a grader with these cases."""
    grader = Grader(Plan(cases))
    grader.start()
    try:
        yield grader
    finally:
        grader.close()


def play(peer: Peer, folder: Path, cases: Sequence[ClientCase]) -> Report:
    """Play cases with a client, and start it again when it ends early."""
    with grading(cases) as grader:
        session = grader.session(peer.name)
        assert session is not None  # the only one
        url = f"ws://{grader.target.authority}/next?agent={peer.name.replace(' ', '+')}"
        stopped = ""
        for _ in range(MAX_STARTS):
            null = subprocess.DEVNULL
            with subprocess.Popen(command(peer, folder, url), stdout=null, stderr=null) as process:
                stopped = _wait(process, session)
                process.terminate()
            if session.is_over or stopped:
                break
        return grader.report(session, stopped=stopped)


def _wait(process: subprocess.Popen[bytes], session: Session) -> str:
    """Wait until a client is done, ends, or does not come back; return the reason to stop."""
    while process.poll() is None and not session.is_over:
        if session.idle_seconds() > IDLE:
            return f"the client did not come back for {IDLE:g} s"
        time.sleep(0.1)
    return ""


def grade_one(peer: Peer, folder: Path) -> dict[str, Any]:
    """Play all cases with a client, and its MUST failures again."""
    report = play(peer, folder, CLIENT_CASES)
    failed = {verdict.case.id for verdict in report.failed if verdict.case.level is Level.MUST}
    again: dict[str, bool] = {}
    if failed:
        second = play(peer, folder, [case for case in CLIENT_CASES if case.id in failed])
        again = {verdict.case.id: verdict.outcome is Outcome.FAIL for verdict in second.verdicts}
    result = as_dict(report, version=__version__, date="")
    cases = []
    for case in result["cases"]:
        if case["outcome"] == Outcome.FAIL.value:
            cases.append(row := {"id": case["id"], "level": case["level"]})
            if case["id"] in failed:
                row |= {"why": case["why"], "again": again[case["id"]]}
    return {
        "key": peer.key,
        "name": peer.name,
        "language": peer.language,
        "about": peer.about,
        "version": version(peer, folder),
        "date": datetime.now(UTC).date().isoformat(),
        "summary": result["summary"],
        "stopped": result["stopped"],
        "cases": cases,
    }


def run(old: dict[str, Any], folder: Path, names: Sequence[str], jobs: int) -> dict[str, Any]:
    """Grade the installed clients.

    Args:
        old: Earlier results, which keep the rows of clients that are not graded now.
        names: The keys of the clients to grade; empty: all.
        jobs: Clients at a time.
    """
    ids = [case.id for case in CLIENT_CASES]
    kept = {row["key"]: row for row in old["clients"]} if old["ids"] == ids else {}
    chosen = [peer for peer in CLIENTS if not names or peer.key in names]
    absent = {peer.name: reason for peer in chosen if (reason := missing(peer, folder))}

    def grade(peer: Peer) -> None:
        kept[peer.key] = row = grade_one(peer, folder)
        print(f"{peer.name} {row['version']}: {row['summary']['MUST']['failed']} MUST failures", file=sys.stderr)

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(grade, [peer for peer in chosen if peer.name not in absent]))
    return {
        "wsref": __version__,
        "missing": absent,
        "ids": ids,
        "clients": [kept[peer.key] for peer in CLIENTS if peer.key in kept],
    }


# -- The page -----------------------------------------------------------------------------------


def section(results: dict[str, Any], notes: dict[str, dict[str, str]]) -> str:
    """Return the part of the page about clients, in MyST Markdown.

    Raises:
        ValueError: A MUST failure has no note, or did not occur again.
    """
    rows = [{**row, "key": f"client-{row['key']}"} for row in results["clients"]]
    rows.sort(key=lambda row: (row["key"] not in ("client-wsref", "client-step"), report_card.share(row), row["key"]))
    largest = max(map(report_card.share, rows)) or 1.0
    days = sorted({row["date"] for row in rows})
    lines = [
        "## The clients",
        "",
        f"`python -m wsref check --client` has graded {len(rows)} clients on {' to '.join(dict.fromkeys(days))}, with "
        f"{len(results['ids'])} cases.  Each is a short echo client with the defaults of its library "
        "(`docs/report_card/clients/`), on loopback.  A client that offers no compression has fewer cases.",
        "",
        "| client | MUST failed | share | findings | language | SHOULD failed | INTEROP failed |",
        "|---|--:|---|--:|---|--:|--:|",
        *(report_card.table_row(row, largest, notes) for row in rows),
        "",
        "Each MUST failure was played a second time with a new process, and failed again, if no note says otherwise.  "
        "A replay over a plain socket, without the grader, showed an example of each finding.  The notes were written "
        "by hand.  One fault can fail many cases, so compare the findings rather than the failures.  "
        "[The list of cases](reference/check-client-cases.md) has all of them, and "
        "[Grade a client](howto/grading-a-client.md) says what is legal.",
        "",
    ]
    if results["missing"]:
        lines += [f"Not graded: {', '.join(f'{name} ({why})' for name, why in results['missing'].items())}.", ""]
    lines += ["### The MUST failures of clients, by rule", "", *report_card.findings(rows, notes, CLIENT_CASES)]
    lines += ["### The clients, one by one", ""]
    for row in rows:
        lines += report_card.details(row, notes)
    return "\n".join(lines).rstrip("\n") + "\n"


def main() -> int:
    """Install clients, or grade them."""
    parser = argparse.ArgumentParser(description="Grade popular clients for docs/report-card.md.")
    parser.add_argument("--install", action="store_true", help="install what is possible; grade nothing")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the clients are installed")
    parser.add_argument("--jobs", type=int, default=1, help="clients at a time")
    parser.add_argument("key", nargs="*", help="grade only these clients, and keep the results of the others")
    options = parser.parse_args()
    if options.install:
        for words in (wrong := install(options.folder)):
            print(words, file=sys.stderr)
        return 1 if wrong else 0
    old = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {"ids": [], "clients": []}
    results = run(old, options.folder, options.key, options.jobs)
    with tempfile.NamedTemporaryFile("w", dir=HERE, delete=False, encoding="utf-8") as file:
        file.write(report_card.dump(results))
    Path(file.name).replace(RESULTS)
    RESULTS.chmod(0o644)
    return 0


if __name__ == "__main__":
    sys.exit(main())
