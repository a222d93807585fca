"""Grade popular servers, and write docs/report-card.md, with the clients of ``client_card.py``
and the runs of ``autobahn_beside.py``.

``python docs/report_card/report_card.py --install`` installs the servers of ``peers.py`` as far as possible, and says
which are missing.  Without ``--install``, the script starts each installed server on a free port of loopback,
grades it with ``wsref.check``, stores the results in ``results.json``, and writes the page.
``--page`` writes the page again from the stored results.

The script replays every MUST failure without the grader: it sends the same bytes over a plain socket,
and the answer must be the same.  ``notes.json`` has a note for each failure, written by hand
from the answers and the RFC.  The script does not write the page if a failure has no note, or if the replay
differs.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import socket
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from peers import PEERS, Peer, install, missing, runtimes, started, version

from wsref import __version__
from wsref.check import CASES, Case, Level, NotAnswering, Outcome, grade, parse_target
from wsref.check.report import as_dict
from wsref.check.session import MAX_RECORDED

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"
NOTES = HERE / "notes.json"
PAGE = HERE.parent / "report-card.md"


def grade_one(peer: Peer, chosen: Sequence[Case]) -> dict[str, Any]:
    """Start a server, grade it, and replay its MUST failures.  The result has only the failures."""
    with started(peer) as port:
        report = grade(parse_target(f"ws://127.0.0.1:{port}/"), chosen)
        again = {
            verdict.case.id: [seen_again(port, line) for line in verdict.recorded]
            for verdict in report.failed
            if verdict.case.level is Level.MUST
        }
    result = as_dict(report, version=__version__, date="")
    cases = []
    for case in result["cases"]:
        if case["outcome"] == Outcome.FAIL.value:
            cases.append(row := {"id": case["id"], "level": case["level"]})
            if case["id"] in again:
                row["why"] = case["why"]
                row["again"] = None if None in again[case["id"]] else all(again[case["id"]])
    return {
        "key": peer.key,
        "name": peer.name,
        "language": peer.language,
        "about": peer.about,
        "version": version(peer),
        "date": datetime.now(UTC).date().isoformat(),
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
                with contextlib.suppress(OSError):  # the server has ended TCP
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
        old: Earlier results.
        names: The keys of the servers to grade, with the cases of the earlier results; the others keep their rows.
            Empty: all servers, with all cases.
    """
    if names and (gone := set(old["ids"]) - {case.id for case in CASES}):
        raise SystemExit(f"grade all servers: the stored rows count cases that are gone: {', '.join(sorted(gone))}")
    cases = [case for case in CASES if not names or case.id in old["ids"]]
    kept = {server["key"]: server for server in old["servers"]} if names else {}
    absent: dict[str, str] = {}
    for peer in PEERS:
        if names and peer.key not in names:
            continue
        reason = missing(peer)
        try:
            if not reason:
                result = grade_one(peer, cases)
        except (NotAnswering, RuntimeError, OSError) as error:
            reason = str(error)
        if reason:
            absent[peer.name] = reason
            print(f"{peer.name}: skipped: {reason}", file=sys.stderr)
            continue
        kept[peer.key] = result
        again = sum(bool(case.get("again")) for case in result["cases"])
        failed = result["summary"]["MUST"]["failed"]
        print(f"{peer.name} {result['version']}: {failed} MUST failures, {again} reproduced", file=sys.stderr)
    return {
        "wsref": __version__,
        "runtimes": runtimes(),
        "missing": absent,
        "ids": [case.id for case in cases],
        "servers": [kept[peer.key] for peer in PEERS if peer.key in kept],
    }


# -- The page ----------------------------------------------------------------------------

#: Pixels.  The longest bar.
BAR = 80

CHAPTERS = {
    1: "HTTP requests",
    2: "The request to upgrade",
    3: "The handshake",
    4: "The answer to the handshake",
    5: "Plain HTTP requests",
    6: "Frames",
    7: "Messages, Pings and UTF-8",
    8: "Closing",
    9: "Compression",
    10: "Several clients",
    11: "Limits and origins",
}


def render(results: dict[str, Any], notes: dict[str, dict[str, str]]) -> str:
    """Return the page, in MyST Markdown.

    Args:
        results: The results of :func:`run`.
        notes: ``servers``: notes by the key of a server; ``cases``: notes by ``KEY KEY: GLOB GLOB``, of which the
            first that matches counts, and without keys: for all servers; ``random``: failures whose replay may differ,
            by ``KEY ID`` or a glob, and why.
    Raises:
        ValueError: A MUST failure has no note, or the replay differed.
    """
    servers = sorted(results["servers"], key=lambda server: (server["key"] != "wsref", share(server), server["key"]))
    largest = max(map(share, servers)) or 1.0
    languages = dict.fromkeys(server["language"].split()[0] for server in results["servers"])
    days = sorted({server["date"] for server in servers})
    dates = " to ".join(dict.fromkeys((days[0], days[-1])))
    runtimes = ", ".join(f"{name} {number}" for name, number in results["runtimes"].items())
    lines = [
        "<!-- Written by docs/report_card/report_card.py; not by hand. -->",
        "# Report card",
        "",
        f"`python -m wsref check` has graded {len(servers)} servers in {len(languages)} languages on "
        f"{dates}, with {len(results['ids'])} cases of wsref {results['wsref']}.  Each server is a short "
        "echo server with the defaults of its library (`docs/report_card/servers/`), on loopback.  "
        "[What Autobahn finds](#what-autobahn-finds-in-three-of-them) and the [clients](#the-clients) follow below.",
        "",
        "| server | MUST failed | share | findings | language | SHOULD failed | INTEROP failed |",
        "|---|--:|---|--:|---|--:|--:|",
        *(table_row(server, largest, notes) for server in servers),
        "",
        "The servers with the smallest share of MUST failures come first.  wsref is above them because its authors "
        "wrote the grader.  A server without compression has fewer cases.  One fault can fail many cases: a server "
        "that does not check UTF-8 fails 26 of them.  The findings count such cases once.",
        "",
        "The servers in Python and JavaScript are current releases.  The others come from Debian, and some "
        f"of them have newer releases.  The runtimes: {runtimes}.",
        "",
    ]
    if newer := [case.id for case in CASES if case.id not in results["ids"]]:
        lines += [f"Newer cases, which these runs did not have: {', '.join(f'`{name}`' for name in newer)}.", ""]
    if results["missing"]:
        lines += [f"Not graded: {', '.join(f'{name} ({why})' for name, why in results['missing'].items())}.", ""]
    lines += [
        "## How to read it",
        "",
        "A **MUST** failure breaks a sentence of an RFC, which is quoted below.  The grader found each one, and a "
        "replay of the same bytes over a plain socket reproduced it, except for cases that send more than "
        f"{MAX_RECORDED >> 10} KiB or whose answer varies.  "
        "The notes were written by hand from the answers and the quoted rules.  A cause that a note names is mostly "
        "inferred from the answers, not read in the library's source.",
        "",
        "A failure need not matter in practice: browsers do not send most of these bytes, and some maintainers are "
        "lenient on purpose.  Some failures belong to the HTTP server around a library.  **SHOULD** is advice, and "
        "good reasons against it may exist.  **INTEROP** is not a rule.  [The list of cases](reference/check-cases.md) "
        "has all of them.  If you find a mistake here, a case has a bug: please report it.",
        "",
        "## The MUST failures, by rule",
        "",
        *findings(servers, notes, CASES),
        "## The servers, one by one",
        "",
    ]
    for server in servers:
        lines += details(server, notes)
    return "\n".join(lines).rstrip("\n") + "\n"


def title(server: dict[str, Any]) -> str:
    """Return name and version."""
    return f"{server['name']} {server['version']}"


def anchor(server: dict[str, Any]) -> str:
    """Return the anchor of a server."""
    return f"card-{server['key']}"


def share(server: dict[str, Any]) -> float:
    """Return the share of the MUST cases that failed, of those that apply to a server."""
    must = server["summary"]["MUST"]
    return float(must["failed"] / (must["passed"] + must["failed"]))


def bar(part: float) -> str:
    """Return a bar as long as this part of the longest one, in the colour of the text.  The number is beside it."""
    width = round(part * BAR, 1)
    return (
        f'<svg width="{width}" height="10" aria-hidden="true">'
        f'<rect width="{width}" height="10" fill="currentColor" opacity="0.6"/></svg>'
    )


def table_row(server: dict[str, Any], largest: float, notes: dict[str, dict[str, str]]) -> str:
    """Return a row of a table of servers, or of clients."""
    counts = [server["summary"][level.value] for level in Level]
    cells = [f"{count['failed']}&nbsp;of&nbsp;{count['passed'] + count['failed']}" for count in counts]
    findings = len({note_for(server, case, notes) for case in must_failures(server)})
    cells[1:1] = [bar(share(server) / largest), str(findings), server["language"]]
    link = f'<a href="#{anchor(server)}">{server["name"]}</a> {server["version"]}'
    return f"| {link} | {' | '.join(cells)} |"


def must_failures(server: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the MUST failures of a server."""
    return [case for case in server["cases"] if case["level"] == Level.MUST.value]


def findings(
    servers: Sequence[dict[str, Any]], notes: dict[str, dict[str, str]], cases: Sequence[Any]
) -> Iterator[str]:
    """Yield the MUST failures of all servers, grouped by their notes, in a fold for each chapter."""
    groups: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for server in servers:
        for case in must_failures(server):
            varies = any(fnmatchcase(f"{server['key']} {case['id']}", glob) for glob in notes["random"])
            if case["again"] is False and not varies:
                raise ValueError(f"{server['name']}: {case['id']} differed in the replay over a plain socket")
            groups.setdefault(note_for(server, case, notes), []).append((server["name"], case))
    rows = {case.id: case for case in cases}
    chapters: dict[int, list[str]] = {}
    for note, found in groups.items():
        chapters.setdefault(rows[_typical(found, cases)["id"]].chapter, []).append(note)
    for chapter, of_chapter in sorted(chapters.items()):
        count = len(of_chapter)
        yield f"<details><summary>{CHAPTERS[chapter]}: {count} finding{'s' * (count > 1)}</summary>\n"
        for note in sorted(of_chapter, key=lambda note: -len({name for name, _ in groups[note]})):
            names = dict.fromkeys(name for name, _ in groups[note])
            case = _typical(groups[note], cases)
            globs = ", ".join(f"`{glob}`" for glob in note.rpartition(": ")[2].split())
            more = len({rows[other["id"]].quote for _, other in groups[note]}) > 1
            what, _, more_words = notes["cases"][note].partition("  ")
            yield f"**{what}**  {more_words}".rstrip() + f"  \n{', '.join(names)}.\n"
            yield f"> {rows[case['id']].quote}  \n> ({rows[case['id']].section}{', and similar rules' * more})\n"
            example = f"`{case['id']}`"
            shown = globs if globs == example else f"{globs}; for example, {example}"
            yield f"{shown}: `{case['why'].replace('`', chr(39))[:120]}`\n"
        yield "</details>\n"


def _typical(found: Sequence[tuple[str, dict[str, Any]]], cases: Sequence[Any]) -> dict[str, Any]:
    """Return the first failure of the rule that most failures of a finding break."""
    quotes = {case.id: case.quote for case in cases}
    [(quote, _)] = Counter(quotes[case["id"]] for _, case in found).most_common(1)
    return next(case for _, case in found if quotes[case["id"]] == quote)


def details(server: dict[str, Any], notes: dict[str, dict[str, str]]) -> Iterator[str]:
    """Yield a fold with all failures of a server."""
    yield f'<details id="{anchor(server)}"><summary>{title(server)}</summary>\n'
    yield f"{server['about']}\n"
    if server["stopped"]:
        yield f"The run stopped: {server['stopped']}.\n"
    if words := notes["servers"].get(server["key"]):
        yield f"{words}\n"
    for level in Level:
        failed = [case["id"] for case in server["cases"] if case["level"] == level.value]
        if failed:
            yield f"{level.value}: {', '.join(f'`{name}`' for name in failed)}.\n"
    if skipped := sum(count["skipped"] for count in server["summary"].values()):
        yield f"{skipped} case{'s' * (skipped > 1)} did not apply.\n"
    if not server["cases"]:
        yield "Nothing failed.\n"
    yield "</details>\n"


def note_for(server: dict[str, Any], case: dict[str, Any], notes: dict[str, dict[str, str]]) -> str:
    """Return the key of the first note that is on a failure.

    Raises:
        ValueError: No note is.
    """
    for note in notes["cases"]:
        if is_on(note, server, case):
            return note
    raise ValueError(f"{server['name']} fails {case['id']} ({case['why']}), and notes.json has no note on it")


def is_on(note: str, server: dict[str, Any], case: dict[str, Any]) -> bool:
    """Return whether a note, ``KEY KEY: GLOB GLOB``, is on a failure."""
    keys, _, globs = note.rpartition(": ")
    of_server = not keys or server["key"] in keys.split()
    return of_server and any(fnmatchcase(case["id"], glob) for glob in globs.split())


def main() -> int:
    """Install servers, grade them and write the page, or only write the page."""
    parser = argparse.ArgumentParser(description="Grade popular servers, and write docs/report-card.md.")
    parser.add_argument("--install", action="store_true", help="install and compile what is possible; grade nothing")
    parser.add_argument("--page", action="store_true", help="write the page from results.json, without grading")
    parser.add_argument("key", nargs="*", help="grade only these servers, and keep the results of the others")
    options = parser.parse_args()
    if options.install:
        return 1 if install() else 0
    if not options.page:
        results = run(json.loads(RESULTS.read_text("utf-8")), options.key)
        RESULTS.write_text(dump(results), "utf-8")
    try:
        page = whole_page()
    except ValueError as error:
        print(f"report_card: {error}", file=sys.stderr)
        return 1
    PAGE.write_text(page, "utf-8")
    return 0


def whole_page() -> str:
    """Return the page with all tables, from the stored results.

    Raises:
        ValueError: As :func:`render`.
    """
    import autobahn_beside  # these use this module
    import client_card

    results, notes, beside, clients, client_notes = (
        json.loads(path.read_text("utf-8"))
        for path in (RESULTS, NOTES, autobahn_beside.RESULTS, client_card.RESULTS, client_card.NOTES)
    )
    return "\n".join(
        [
            render(results, notes),
            autobahn_beside.section(beside, results["servers"], notes),
            client_card.section(clients, client_notes),
        ]
    )


def dump(results: dict[str, Any]) -> str:
    """Return results as JSON, a line for each case."""
    return json.dumps(results, ensure_ascii=False).replace('{"id"', '\n{"id"').replace('{"key"', '\n{"key"') + "\n"


if __name__ == "__main__":
    sys.exit(main())
