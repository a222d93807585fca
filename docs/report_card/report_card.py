"""Grades servers that people use, and writes docs/report-card.md.

``python docs/report_card/report_card.py`` starts each server of ``servers/`` on a free port of loopback,
grades it with ``wsref.check``, keeps what came out in ``results.json``, and writes the page.
``--page`` writes the page again from what was kept.  It needs ``pip install -e '.[peers]'``, and
``npm install --prefix docs/report_card/servers`` for Node's ws.

Every MUST failure is then played again without the grader: the bytes that it sent go over a plain
socket, and what comes back must be what it had seen.  What a person has to say about a failure, having
looked at the bytes and the RFC, stands in ``notes.json``; one that has no note there, or that the plain
socket did not see, stops the script from writing the page.
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
    """A port of loopback that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def wait_for(port: int, process: subprocess.Popen[str], seconds: float = 15.0) -> None:
    """Until somebody listens there.

    Raises:
        RuntimeError: nobody does, in time; or the server has ended.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        try:
            return socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} did not start")


def grade_one(file: str) -> dict[str, Any]:
    """Start the server, grade it, play its MUST failures again, end it."""
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
    """Three tries: what a server does depends, in some, on which of its threads is faster."""
    tries = (same_again(port, line) for _ in range(3))
    return next((received for received in tries if received is not False), False)


def same_again(port: int, line: list[tuple[bool, bytes]]) -> bool | None:
    """Send what was sent on one connection, over a plain socket; whether what comes back is the same, dates apart.

    None: more was sent than the grader keeps.
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
            except OSError:  # silence, or a RST
                pass
            if without_dates(received) != without_dates(data):
                return False
    return True


def without_dates(data: bytes) -> bytes:
    """Bytes that may differ from one second to the next left out."""
    return re.sub(rb"(?im)^date: [^\r\n]*", b"Date:", data)


def run() -> dict[str, Any]:
    """Grade them all."""
    servers = []
    for file in ORDER:
        print(f"{file} ...", end=" ", file=sys.stderr, flush=True)
        servers.append(result := grade_one(file))
        must = result["summary"]["MUST"]
        again = sum(bool(case.get("again")) for case in result["cases"])
        print(f"{result['name']}: {must['failed']} MUST failures, {again} seen again", file=sys.stderr)
    date = datetime.now(UTC).date().isoformat()
    python = f"CPython {platform.python_version()}"
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False).stdout.strip()
    return {"date": date, "wsref": __version__, "python": python, "node": node, "servers": servers}


# -- The page ----------------------------------------------------------------------------


def render(results: dict[str, Any], notes: dict[str, dict[str, str]]) -> str:
    """The page, in MyST Markdown.

    Args:
        results: What :func:`run` gave.
        notes: ``servers``: what there is to say of one, by its file; ``cases``: what a person says
            of a case, by its id or a glob.
    Raises:
        ValueError: a MUST failure has no note, or was not seen again: nobody has reproduced it.
    """
    lines = [
        "<!-- Written by docs/report_card/report_card.py; not by hand. -->",
        "# Report card",
        "",
        f"How servers that people use do in `python -m wsref check`, on {results['date']}: {len(CASES)} cases, "
        f"wsref {results['wsref']}, {results['python']}, Node {results['node']}.  Each is an echo server of a few "
        "lines with the library's defaults (`docs/report_card/servers/`), on loopback.",
        "",
        "A **MUST** failure is a sentence of an RFC that is not kept, and it is quoted below.  Each was seen twice: by "
        f"the grader, and (but for those that send more than {MAX_RECORDED >> 10} KiB) when the same bytes were sent over "
        f"a "
        "plain socket without it; and it was held against the RFC, with what it means written below.  It need not "
        "matter in practice: most of these are bytes that no browser sends, and several maintainers are lenient on "
        "purpose.  **SHOULD** is advice, with good reasons not to follow it at times.  **INTEROP** is no rule at all.  "
        "Cases that a server cannot be asked (compression, "
        "where it declines it) are skipped, which is no fault.  All of them are in "
        "[the list of cases](reference/check-cases.md).  Who finds one of these wrong has found a bug in a case: "
        "please say so.",
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
    """Name and version; for a library that has two servers, which."""
    which = {"websockets_sync.py": ", threads", "websockets_asyncio.py": ", asyncio"}.get(server["file"], "")
    return f"{server['name']}{which}"


def anchor(server: dict[str, Any]) -> str:
    """What the table links to."""
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
            raise ValueError(f"{server['file']}: {case['id']} was not seen again over a plain socket")
        groups.setdefault(_note_for(server["file"], case, notes), []).append(case)
    for glob, cases in groups.items():
        quotes = list(dict.fromkeys(f"“{rows[case['id']].quote}” ({rows[case['id']].section})" for case in cases))
        ids = ", ".join(f"`{case['id']}`" for case in cases)
        yield f"**{notes['cases'][glob]}**  \n{ids}."
        yield f": {quotes[0]}\n" if len(quotes) == 1 else f": {quotes[0]}, and others of its kind\n"
        yield f"  What came, in the first of them: `{cases[0]['why'].replace('`', chr(39))[:160]}`\n"
    for level in (Level.SHOULD, Level.INTEROP):
        ids = ", ".join(f"`{case['id']}`" for case in failed if case["level"] == level.value)
        if ids:
            yield f"{level.value}: {ids}.\n"


def _note_for(file: str, case: dict[str, Any], notes: dict[str, dict[str, str]]) -> str:
    for glob in notes["cases"]:
        if fnmatchcase(case["id"], glob):
            return glob
    raise ValueError(f"{file} fails {case['id']} ({case['why']}), and notes.json says nothing of it")


def main() -> int:
    """Run, or write the page again."""
    parser = argparse.ArgumentParser(description="Grade servers that people use, and write docs/report-card.md.")
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
