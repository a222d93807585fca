"""Grade popular servers, and write docs/report-card.md.

``python docs/report_card/report_card.py`` starts each server of ``servers/`` on a free port of loopback,
grades it with ``wsref.check``, stores the results in ``results.json``, and writes the page.
``--page`` writes the page again from the stored results.  The script needs ``pip install -e '.[peers]'``,
and ``npm install --prefix docs/report_card/servers`` for Node's ws.

The script replays every MUST failure without the grader: it sends the same bytes over a plain socket,
and the answer must be the same.  ``notes.json`` has a note for each failure, written by a person
after reading the bytes and the RFC.  The script does not write the page if a failure has no note, or if the replay
differs.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from wsref import __version__
from wsref.check import CASES, Level, grade, parse_target
from wsref.check.report import as_dict
from wsref.check.session import MAX_RECORDED

HERE = Path(__file__).parent
SERVERS = HERE / "servers"
RESULTS = HERE / "results.json"
NOTES = HERE / "notes.json"
PAGE = HERE.parent / "report-card.md"

ORDER = (
    "wsref_server.py",
    "websockets_sync.py",
    "websockets_asyncio.py",
    "ws.mjs",
    "aiohttp_server.py",
    "tornado_server.py",
    "wsproto_server.py",
    "simple_websocket_server.py",
    "websocket_server_server.py",
)


def free_port() -> int:
    """Return a free port of loopback."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def wait_for(port: int, process: subprocess.Popen[str], seconds: float = 15.0) -> None:
    """Wait until a server listens on the port.

    Raises:
        RuntimeError: The server ended, or does not listen in time.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        try:
            return socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} did not start")


def grade_one(file: str) -> dict[str, Any]:
    """Start a server, grade it, replay its MUST failures, and end it."""
    port = free_port()
    program = ["node"] if file.endswith(".mjs") else [sys.executable]
    command = [*program, str(SERVERS / file), str(port)]
    env = {**os.environ, "PYTHONPATH": str(HERE.parent.parent)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=env) as process:
        try:
            assert process.stdout is not None
            name = process.stdout.readline().strip()
            wait_for(port, process)
            report = grade(parse_target(f"ws://127.0.0.1:{port}/"), CASES)
            again = {
                verdict.case.id: [seen_again(port, line) for line in verdict.recorded]
                for verdict in report.failed
                if verdict.case.level is Level.MUST
            }
        finally:
            process.kill()
    result = as_dict(report, version=__version__, date="")
    for case in result["cases"]:
        for key in ("quote", "sends", "accepts", "hint", "seconds", "title", "section", "chapter", "wire"):
            case.pop(key)
        for key in ("why", "expected"):
            if not case[key]:
                case.pop(key)
        if case["id"] in again:
            case["again"] = None if None in again[case["id"]] else all(again[case["id"]])
    what = (SERVERS / file).read_text().split("\n", 1)[0].strip('"/ ')
    return {"file": file, "name": name, "what": what, **result}


def seen_again(port: int, line: list[tuple[bool, bytes]]) -> bool | None:
    """Replay a connection up to three times: some servers depend on the timing of threads."""
    tries = (same_again(port, line) for _ in range(3))
    return next((received for received in tries if received is not False), False)


def same_again(port: int, line: list[tuple[bool, bytes]]) -> bool | None:
    """Replay one connection over a plain socket; return whether the answer is the same, except for dates.

    None: the record is incomplete, because the grader keeps only the first bytes.
    """
    if sum(len(data) for sent, data in line if sent) >= MAX_RECORDED:
        return None
    with socket.create_connection(("127.0.0.1", port), 5) as sock:
        sock.settimeout(2)
        for sent, data in line:
            if sent:
                sock.sendall(data)
                continue
            received = b""
            try:
                while len(received) < len(data) and (piece := sock.recv(len(data) - len(received))):
                    received += piece
            except OSError:  # a timeout, or a RST
                pass
            if without_dates(received) != without_dates(data):
                return False
    return True


def without_dates(data: bytes) -> bytes:
    """Remove the dates."""
    return re.sub(rb"(?im)^date: [^\r\n]*", b"Date:", data)


def run() -> dict[str, Any]:
    """Grade all servers."""
    servers = []
    for file in ORDER:
        print(f"{file} ...", end=" ", file=sys.stderr, flush=True)
        servers.append(result := grade_one(file))
        must = result["summary"]["MUST"]
        again = sum(bool(case.get("again")) for case in result["cases"])
        print(f"{result['name']}: {must['failed']} MUST failures, {again} reproduced", file=sys.stderr)
    date = datetime.now(UTC).date().isoformat()
    python = f"CPython {platform.python_version()}"
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False).stdout.strip()
    return {"date": date, "wsref": __version__, "python": python, "node": node, "servers": servers}


# -- The page ----------------------------------------------------------------------------


def render(results: dict[str, Any], notes: dict[str, dict[str, str]]) -> str:
    """Return the page, in MyST Markdown.

    Args:
        results: The results of :func:`run`.
        notes: ``servers``: notes by the file of a server; ``cases``: notes by the id of a case, or a glob.
    Raises:
        ValueError: A MUST failure has no note, or the replay differed.
    """
    lines = [
        "<!-- Written by docs/report_card/report_card.py; not by hand. -->",
        "# Report card",
        "",
        f"The results of popular servers in `python -m wsref check`, on {results['date']}: {len(CASES)} cases, "
        f"wsref {results['wsref']}, {results['python']}, Node {results['node']}.  Each server is a short echo server "
        "with the defaults of its library (`docs/report_card/servers/`), on loopback.",
        "",
        "A **MUST** failure breaks a sentence of an RFC, which is quoted below.  The grader found each one, and a "
        "replay of the same bytes over a plain socket reproduced it, except for cases that send more than "
        f"{MAX_RECORDED >> 10} KiB.  A person compared each one with the RFC, and its meaning is written below.  A "
        "failure need not matter in practice: browsers do not send most of these bytes, and some maintainers are "
        "lenient on purpose.  **SHOULD** is advice, and good reasons against it may exist.  **INTEROP** is not a "
        "rule.  Skipped cases do not apply to the server (for example, compression if the server declines it), "
        "which is not a fault.  [The list of cases](reference/check-cases.md) has all of them.  If you find a "
        "mistake here, a case has a bug: please report it.",
        "",
        "| server | MUST | SHOULD | INTEROP | skipped |",
        "|---|--:|--:|--:|--:|",
    ]
    for server in results["servers"]:
        counts = [server["summary"][level.value] for level in Level]
        cells = [f"{count['passed']} of {count['passed'] + count['failed']}" for count in counts]
        skipped = sum(count["skipped"] for count in counts)
        lines.append(f"| [{title(server)}](#{anchor(server)}) | {' | '.join(cells)} | {skipped} |")
    for server in results["servers"]:
        lines += ["", f"({anchor(server)})=", f"## {title(server)}", "", f"{server['what']}", ""]
        lines += _findings(server, notes)
    return "\n".join(lines).rstrip("\n") + "\n"


def title(server: dict[str, Any]) -> str:
    """Return name and version; also the variant, for a library with two servers."""
    which = {"websockets_sync.py": ", threads", "websockets_asyncio.py": ", asyncio"}.get(server["file"], "")
    return f"{server['name']}{which}"


def anchor(server: dict[str, Any]) -> str:
    """Return the anchor of a server."""
    return "card-" + server["file"].split(".")[0].replace("_", "-")


def _findings(server: dict[str, Any], notes: dict[str, dict[str, str]]) -> Iterator[str]:
    rows = {case.id: case for case in CASES}
    failed = [case for case in server["cases"] if case["outcome"] == "fail"]
    if server["stopped"]:
        yield f"The run stopped: {server['stopped']}.\n"
    if words := notes["servers"].get(server["file"]):
        yield f"{words}\n"
    if not failed:
        yield "Nothing failed."
    must = [case for case in failed if case["level"] == Level.MUST.value]
    groups: dict[str, list[dict[str, Any]]] = {}
    for case in must:
        if case.get("again") is False:
            raise ValueError(f"{server['file']}: {case['id']} differed in the replay over a plain socket")
        groups.setdefault(_note_for(server["file"], case, notes), []).append(case)
    for glob, cases in groups.items():
        quotes = list(dict.fromkeys(f"“{rows[case['id']].quote}” ({rows[case['id']].section})" for case in cases))
        ids = ", ".join(f"`{case['id']}`" for case in cases)
        yield f"**{notes['cases'][glob]}**  \n{ids}."
        yield f": {quotes[0]}\n" if len(quotes) == 1 else f": {quotes[0]}, and similar rules\n"
        yield f"  The answer in the first case: `{cases[0]['why'].replace('`', chr(39))[:160]}`\n"
    for level in (Level.SHOULD, Level.INTEROP):
        ids = ", ".join(f"`{case['id']}`" for case in failed if case["level"] == level.value)
        if ids:
            yield f"{level.value}: {ids}.\n"


def _note_for(file: str, case: dict[str, Any], notes: dict[str, dict[str, str]]) -> str:
    for glob in notes["cases"]:
        if fnmatchcase(case["id"], glob):
            return glob
    raise ValueError(f"{file} fails {case['id']} ({case['why']}), and notes.json has no note on it")


def main() -> int:
    """Grade the servers and write the page, or only write the page."""
    parser = argparse.ArgumentParser(description="Grade popular servers, and write docs/report-card.md.")
    parser.add_argument("--page", action="store_true", help="write the page from results.json, without grading")
    options = parser.parse_args()
    if not options.page:
        RESULTS.write_text(json.dumps(run()).replace('{"id"', '\n{"id"') + "\n")
    try:
        page = render(json.loads(RESULTS.read_text()), json.loads(NOTES.read_text()))
    except ValueError as error:
        print(f"report_card: {error}", file=sys.stderr)
        return 1
    PAGE.write_text(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
