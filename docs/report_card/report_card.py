"""Grades servers that people use, and writes docs/report-card.md.

``python docs/report_card/report_card.py`` starts each server of ``servers/`` on a free port of loopback,
grades it with ``wsref.check``, keeps what came out in ``results.json``, and writes the page.
``--page`` writes the page again from what was kept.  It needs ``pip install -e '.[peers]'``, and
``npm install --prefix docs/report_card/servers`` for Node's ws.

What the grader found broken and a person has reproduced stands in ``notes.json``, with that person's
words; a MUST failure without a note stops the script from writing the page.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wsref import __version__
from wsref.check import CASES, Level, grade, parse_target
from wsref.check.report import as_dict

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
    """Start the server, grade it, end it."""
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
        finally:
            process.kill()
    result = as_dict(report, version=__version__, date="")
    for case in result["cases"]:
        for key in ("quote", "sends", "accepts", "hint", "seconds", "title", "section", "chapter", "wire"):
            case.pop(key)
    what = (SERVERS / file).read_text().split("\n", 1)[0].strip('"/ ')
    return {"file": file, "name": name, "what": what, **result}


def run() -> dict[str, Any]:
    """Grade them all."""
    servers = []
    for file in ORDER:
        print(f"{file} ...", end=" ", file=sys.stderr, flush=True)
        servers.append(result := grade_one(file))
        must = result["summary"]["MUST"]
        print(f"{result['name']}: {must['failed']} MUST failures, {result['seconds']:.1f} s", file=sys.stderr)
    date = datetime.now(UTC).date().isoformat()
    python = f"CPython {platform.python_version()}"
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False).stdout.strip()
    return {"date": date, "wsref": __version__, "python": python, "node": node, "servers": servers}


# -- The page ----------------------------------------------------------------------------


def render(results: dict[str, Any], notes: dict[str, dict[str, str]]) -> str:
    """The page, in MyST Markdown.

    Raises:
        ValueError: a MUST failure has no note: nobody has reproduced it.
    """
    cases = {case.id: case for case in CASES}
    lines = [
        "<!-- Written by docs/report_card/report_card.py; not by hand. -->",
        "# Report card",
        "",
        f"How servers that people use do in `python -m wsref check`, on {results['date']}: {len(CASES)} cases, "
        f"wsref {results['wsref']}, {results['python']}, Node {results['node']}.  Each is an echo server of a few "
        "lines with the library's defaults (`docs/report_card/servers/`), on loopback.",
        "",
        "A **MUST** failure is a sentence of an RFC that the server does not keep; each was reproduced by hand with a "
        "plain socket, and is quoted below.  It need not matter in practice: many of these are bytes that no browser "
        "sends.  **SHOULD** is advice of the RFC that there may be good reasons not to follow.  **INTEROP** is no rule "
        "at all.  Cases that a server cannot be asked (compression, where it declines it) are skipped, which is no "
        "fault.  A maintainer who finds one of these wrong has found a bug in a case: please say so.",
        "",
        "| server | MUST | SHOULD | INTEROP | skipped |",
        "|---|--:|--:|--:|--:|",
    ]
    for server in results["servers"]:
        cells = []
        for level in Level:
            count = server["summary"][level.value]
            cells.append(f"{count['passed']} of {count['passed'] + count['failed']}")
        skipped = sum(server["summary"][level.value]["skipped"] for level in Level)
        lines.append(f"| [{server['name']}](#{anchor(server)}) | {' | '.join(cells)} | {skipped} |")
    for server in results["servers"]:
        lines += ["", f"({anchor(server)})=", f"## {server['name']}", "", f"{server['what']}", ""]
        lines += _findings(server, notes.get(server["file"], {}), cases)
    return "\n".join(lines) + "\n"


def anchor(server: dict[str, Any]) -> str:
    """What the table links to."""
    return "card-" + server["file"].split(".")[0].replace("_", "-")


def _findings(server: dict[str, Any], notes: dict[str, str], cases: dict[str, Any]) -> Iterator[str]:
    failed = [case for case in server["cases"] if case["outcome"] == "fail"]
    if server["stopped"]:
        yield f"The run stopped: {server['stopped']}."
        yield ""
    if general := notes.get(""):
        yield general
        yield ""
    if not failed:
        yield "Nothing failed."
    for level in Level:
        of_level = [case for case in failed if case["level"] == level.value]
        if not of_level:
            continue
        yield f"**{level.value}**"
        yield ""
        for case in of_level:
            row = cases[case["id"]]
            if level is Level.MUST and case["id"] not in notes:
                raise ValueError(
                    f"{server['file']} fails {case['id']} ({case['why']}), and notes.json says nothing of it"
                )
            came = case["why"].replace("`", "'")
            quote = f"  “{row.quote}” ({row.section})." if level is Level.MUST else f"  ({row.section})"
            note = f"  {notes[case['id']]}" if case["id"] in notes else ""
            yield f"- `{case['id']}`: {row.title}.  Came: `{came}`.{quote}{note}"
        yield ""


def main() -> int:
    """Run, or write the page again."""
    parser = argparse.ArgumentParser(description="Grade servers that people use, and write docs/report-card.md.")
    parser.add_argument("--page", action="store_true", help="write the page from results.json, without grading")
    options = parser.parse_args()
    if not options.page:
        RESULTS.write_text(json.dumps(run(), indent=1) + "\n")
    try:
        page = render(json.loads(RESULTS.read_text()), json.loads(NOTES.read_text()))
    except ValueError as error:
        print(f"report_card: {error}", file=sys.stderr)
        return 1
    PAGE.write_text(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
