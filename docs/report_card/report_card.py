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
import re
import socket
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from peers import PEERS, Peer, install, missing, started, version

from wsref import __version__
from wsref.check import CASES, Level, NotAnswering, Outcome, grade, parse_target
from wsref.check.report import as_dict
from wsref.check.session import MAX_RECORDED

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"
NOTES = HERE / "notes.json"
PAGE = HERE.parent / "report-card.md"


def grade_one(peer: Peer) -> dict[str, Any]:
    """Start a server, grade it, and replay its MUST failures.  The result has only the cases that it does not pass."""
    with started(peer) as port:
        report = grade(parse_target(f"ws://127.0.0.1:{port}/"), CASES)
        again = {
            verdict.case.id: [seen_again(port, line) for line in verdict.recorded]
            for verdict in report.failed
            if verdict.case.level is Level.MUST
        }
    result = as_dict(report, version=__version__, date="")
    cases = []
    for case in result["cases"]:
        if case["outcome"] == Outcome.PASS.value:
            continue
        row = {key: case[key] for key in ("id", "level", "outcome", "why", "expected") if case[key]}
        if case["id"] in again:
            row["again"] = None if None in again[case["id"]] else all(again[case["id"]])
        cases.append(row)
    return {
        "key": peer.key,
        "name": peer.name,
        "language": peer.language,
        "version": version(peer),
        "summary": result["summary"],
        "stopped": result["stopped"],
        "cases": cases,
    }


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


def run(old: dict[str, Any], names: Sequence[str] = ()) -> dict[str, Any]:
    """Grade the servers that are installed.

    Args:
        old: Earlier results; a server that is not graded keeps its row if the cases are the same.
        names: The keys of the servers to grade; empty: all.
    """
    ids = [case.id for case in CASES]
    kept = {server["key"]: server for server in old["servers"]} if names and old["ids"] == ids else {}
    for peer in PEERS:
        if names and peer.key not in names:
            continue
        if reason := missing(peer):
            print(f"{peer.name}: skipped: {reason}", file=sys.stderr)
            continue
        try:
            result = grade_one(peer)
        except (NotAnswering, RuntimeError) as error:
            print(f"{peer.name}: skipped: {error}", file=sys.stderr)
            continue
        kept[peer.key] = result
        again = sum(bool(case.get("again")) for case in result["cases"])
        failed = result["summary"]["MUST"]["failed"]
        print(f"{peer.name} {result['version']}: {failed} MUST failures, {again} reproduced", file=sys.stderr)
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "wsref": __version__,
        "ids": ids,
        "servers": [kept[peer.key] for peer in PEERS if peer.key in kept],
    }


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
