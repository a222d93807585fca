"""Run Autobahn's test suite on three servers of the report card and on wsref, for a section of docs/report-card.md.

The suite runs on CPython 2.7 only.  Install it once, with a virtualenv older than 20.22:
``virtualenv -p python2.7 docs/report_card/installed/autobahn``, then
``docs/report_card/installed/autobahn/bin/pip install autobahntestsuite``.

Without options, the script starts each server as ``report_card.py`` does, on a free port of loopback, plays the cases
of the suite's "fuzzing client", and stores the counts and all verdicts but OK in ``autobahn.json``.
``report_card.py --page`` writes the page.  ``notes.json`` has a note for each verdict, written by hand from the logs of
both programs; ``--logs`` keeps those of Autobahn.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import report_card
from peers import INSTALLED, PEERS, Peer, missing, started, version

HERE = Path(__file__).parent
RESULTS = HERE / "autobahn.json"
WSTEST = INSTALLED / "autobahn" / "bin" / "wstest"

#: The keys of the servers.
SERVERS = ("wsref", "ws", "picows", "em-websocket")

#: The cases of groups 12 and 13 that are played, of 18 in each subgroup: 1000 messages each of 16 to 4096 bytes, and of
#: 8192 bytes in fragments of 256.  The others have up to 128 KiB, and take several times as long.
COMPRESSED = (1, 2, 3, 4, 5, 11)
CASES = [
    *(f"{group}.*" for group in (1, 2, 3, 4, 5, 6, 7, 9, 10)),
    *(f"12.{part}.{number}" for part in range(1, 6) for number in COMPRESSED),
    *(f"13.{part}.{number}" for part in range(1, 8) for number in COMPRESSED),
]

#: Verdicts about a Close that are as good as OK.
GOOD_CLOSES = ("OK", "INFORMATIONAL")


def play(wstest: Path, peer: Peer, folder: Path) -> dict[str, Any]:
    """Start a server, play the cases with it, and return a row of ``autobahn.json``."""
    with started(peer) as port:
        spec = {
            "outdir": str(folder / peer.key),
            "servers": [{"agent": peer.key, "url": f"ws://127.0.0.1:{port}/"}],
            "cases": CASES,
            "exclude-cases": [],
            "exclude-agent-cases": {},
        }
        path = folder / f"{peer.key}.spec.json"
        path.write_text(json.dumps(spec), "utf-8")
        command = [str(wstest), "--mode", "fuzzingclient", "--spec", str(path)]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return {
        "key": peer.key,
        "version": version(peer),
        "date": datetime.now(UTC).date().isoformat(),
        **read(folder / peer.key, peer.key),
    }


def read(folder: Path, agent: str) -> dict[str, Any]:
    """Return the counts and the cases of a run, from the files of the suite.

    Autobahn has two verdicts on each case: on the messages (``behavior``) and on the end (``behaviorClose``).
    """
    index = json.loads((folder / "index.json").read_text("utf-8"))[agent]
    cases = []
    for name in sorted(index, key=lambda name: [int(part) for part in name.split(".")]):
        row = index[name]
        if row["behavior"] == "OK" and row["behaviorClose"] in GOOD_CLOSES:
            continue
        report = json.loads((folder / row["reportfile"]).read_text("utf-8"))
        case = {"id": name, "verdict": row["behavior"], "close": row["behaviorClose"], "code": row["remoteCloseCode"]}
        said = report["resultClose" if row["behavior"] == "OK" else "result"]
        cases.append({**case, "why": f"{one_line(report['description'])}  {said}"})
    return {"counts": dict(sorted(Counter(row["behavior"] for row in index.values()).items())), "cases": cases}


def one_line(words: str) -> str:
    """Return the first line of a description, without tags."""
    first = re.split(r"<br>|\n", words.strip())[0]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", first)).strip()


def suite_version(wstest: Path) -> str:
    """Return the version of the suite and of Autobahn below it.

    Raises:
        OSError: The suite is not installed.
    """
    done = subprocess.run([str(wstest), "--autobahnversion"], capture_output=True, text=True, check=True)
    return ", ".join(done.stdout.split("\n")[::-1]).strip(", ")


# -- The page ----------------------------------------------------------------------------


def section(results: dict[str, Any], servers: Sequence[dict[str, Any]], notes: dict[str, dict[str, str]]) -> str:
    """Return the part of the page about Autobahn, in MyST Markdown.

    Args:
        results: The results of this script.
        servers: The rows of ``results.json``.
        notes: ``autobahn``: notes on Autobahn's verdicts; ``beside-autobahn``: notes on the MUST failures that
            Autobahn does not find.  Both have the keys of ``cases``.
    Raises:
        ValueError: A verdict of Autobahn has no note.
    """
    graded = {server["key"]: server for server in servers}
    rows = [{**row, "name": graded[row["key"]]["name"]} for row in results["servers"]]
    rows.sort(key=lambda row: row["key"] == "wsref")
    days = sorted({row["date"] for row in rows})
    [count] = {sum(row["counts"].values()) for row in rows}
    return "\n".join(
        [
            "## What Autobahn finds in three of them",
            "",
            f"On {' to '.join(dict.fromkeys(days))}, Autobahn's test suite ({results['suite']}, CPython 2.7) played "
            f"{count} cases with three of these servers and with wsref, on loopback.  Of the groups 12 and 13, which "
            "send compressed messages of up to 128 KiB, it played those of up to 4 KiB, and of 8 KiB in fragments; "
            "the others take long.",
            "",
            "| server | Autobahn: FAILED | because of a limit | NON-STRICT | wsref: MUST failed | unseen by Autobahn |",
            "|---|--:|--:|--:|--:|--:|",
            *(_table_row(row, graded[row["key"]], notes) for row in rows),
            "",
            "FAILED is not MUST: Autobahn also gives it to a server with a limit, and to a server that sends another "
            "close code than Autobahn expects.  A limit is legal (RFC 6455 §10.4).",
            "",
            "### The verdicts of Autobahn",
            "",
            *_found_by_autobahn(rows, notes["autobahn"]),
            "### What only wsref finds",
            "",
            *_only_here([graded[row["key"]] for row in rows], notes["beside-autobahn"]),
        ]
    )


def _table_row(row: dict[str, Any], server: dict[str, Any], notes: dict[str, dict[str, str]]) -> str:
    """Return the row of a server."""
    failed = [case for case in row["cases"] if case["verdict"] == "FAILED"]
    limits = [case for case in failed if is_limit(case)]
    unseen = [case for case in report_card.must_failures(server) if is_unseen(server, case, notes)]
    numbers = (
        *(len(failed), len(limits), row["counts"].get("NON-STRICT", 0)),
        *(server["summary"]["MUST"]["failed"], len(unseen)),
    )
    link = f'<a href="#{report_card.anchor(server)}">{server["name"]}</a> {row["version"]}'
    return f"| {link} | {' | '.join(map(str, numbers))} |"


def is_limit(case: dict[str, Any]) -> bool:
    """Return whether a large message failed because the server has a limit."""
    return case["id"].startswith("9.") and case["code"] in (1008, 1009)


def is_unseen(server: dict[str, Any], case: dict[str, Any], notes: dict[str, dict[str, str]]) -> bool:
    """Return whether a note says that Autobahn does not find this MUST failure."""
    return any(report_card.is_on(note, server, case) for note in notes["beside-autobahn"])


def _found_by_autobahn(rows: Sequence[dict[str, Any]], notes: dict[str, str]) -> Iterator[str]:
    """Yield Autobahn's verdicts, grouped by their notes."""
    groups: dict[str, dict[str, list[dict[str, Any]]]] = {note: {} for note in notes}
    for row in rows:
        for case in row["cases"]:
            note = report_card.note_for(row, case, {"cases": notes})
            groups[note].setdefault(row["name"], []).append(case)
    shown = [(note, found) for note, found in groups.items() if found]
    for note, found in sorted(shown, key=lambda group: min(map(_rank, chain(*group[1].values())))):
        what, _, more = notes[note].partition("  ")
        verdicts = "; ".join(dict.fromkeys(map(_verdict, chain(*found.values()))))
        yield f"**{what}**  {more}".rstrip() + "  "
        yield f"{verdicts}: {'; '.join(f'{name} {_ids(cases)}' for name, cases in found.items())}.\n"


def _rank(case: dict[str, Any]) -> int:
    """Return the place of a verdict on the page."""
    return ("FAILED", "OK", "NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED").index(case["verdict"])


def _verdict(case: dict[str, Any]) -> str:
    """Return Autobahn's verdict on a case.  If that is OK, the one on the end of the connection is not."""
    return str(case["verdict"] if case["verdict"] != "OK" else f"OK, its end {case['close']}")


def _ids(cases: Sequence[dict[str, Any]]) -> str:
    """Return the ids; of more than six, the first and the last, and the count."""
    names = [f"`{case['id']}`" for case in cases]
    return ", ".join(names) if len(names) <= 6 else f"{len(names)} cases, {names[0]} to {names[-1]}"


def _only_here(servers: Sequence[dict[str, Any]], notes: dict[str, str]) -> Iterator[str]:
    """Yield the MUST failures that Autobahn does not find, grouped by their notes."""
    for note, words in notes.items():
        found = [
            f"{server['name']} {count}"
            for server in servers
            if (count := sum(report_card.is_on(note, server, case) for case in report_card.must_failures(server)))
        ]
        what, _, more = words.partition("  ")
        globs = ", ".join(f"`{glob}`" for glob in note.rpartition(": ")[2].split())
        yield f"**{what}**  {more}".rstrip() + f"  \n{globs}: {', '.join(found)}.\n"


def main() -> int:
    """Play the cases, and store the results."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=str(__doc__).replace("``", ""), formatter_class=raw)
    parser.add_argument("--wstest", type=Path, default=WSTEST, help="the program of the suite (default: %(default)s)")
    parser.add_argument("--logs", type=Path, help="a folder for the reports of the suite")
    parser.add_argument("key", nargs="*", help="only these servers; the others keep their rows")
    options = parser.parse_args()
    if unknown := set(options.key) - set(SERVERS):
        parser.error(f"no such server: {', '.join(sorted(unknown))}; there are {', '.join(SERVERS)}")
    rows = {row["key"]: row for row in json.loads(RESULTS.read_text("utf-8"))["servers"]} if options.key else {}
    table = {peer.key: peer for peer in PEERS}
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.logs or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        try:
            suite = suite_version(options.wstest)
            for key in options.key or SERVERS:
                if reason := missing(table[key]):
                    raise RuntimeError(f"{key}: {reason}")
                rows[key] = play(options.wstest, table[key], folder)
                print(key, rows[key]["counts"], file=sys.stderr)
        except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
            print(f"autobahn_beside: {error} (--help says how to install the suite)", file=sys.stderr)
            return 1
    results = {"suite": suite, "played": CASES, "servers": [rows[key] for key in SERVERS if key in rows]}
    RESULTS.write_text(report_card.dump(results), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
