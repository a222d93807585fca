#!/usr/bin/env python3
"""wsref on several Pythons, side by side in one run: with and without the global lock (the GIL), or by version.

It measures as benchmark.py does, with the same load generator:

    python docs/benchmark/interpreters.py --python 3.13=PROGRAM --python '3.13 without the GIL=PROGRAM'
    python docs/benchmark/interpreters.py --versions --python 3.11=PROGRAM --python 3.14=PROGRAM

The load generator runs on this Python.  --write is for the documentation: interpreters.json and
the pictures beside it, or versions.json.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmark import (
    DARK,
    HERE,
    LIGHT,
    SCENARIOS,
    SHORT,
    TEXT,
    Colours,
    Scenario,
    Server,
    _echo,
    dark,
    drawing,
    many,
    record,
    run,
    save,
    text_table,
)

#: Connections that are busy at once; a thread each.
COUNTS = (1, 2, 4, 8, 32, 100, 300, 1000)

#: Rows of the benchmark that are measured too.
OTHERS = ("pipe32", "bin1m", "handshakes", "idle", "broadcast")

#: With --versions, the rows of the benchmark: one connection's work, and what a connection costs.
BY_VERSION = ("ping", "pipe32", "pipe1k", "bin1m", "text1m", "deflate", "handshakes", "idle", "broadcast")

BUSY = tuple(
    Scenario(f"conn{count}", f"{count:,} connection{'s' * (count > 1)}", "messages/s", _echo(many, TEXT, SHORT, count))
    for count in COUNTS
)


def described(program: str) -> str:
    """Return version and build of an interpreter, such as ``Python 3.13.15, no GIL``."""
    code = (
        "import sys, platform; gil = getattr(sys, '_is_gil_enabled', lambda: True)();"
        "print(f'Python {platform.python_version()}' + ', no GIL' * (not gil))"
    )
    return subprocess.run([program, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def plot(data: dict[str, Any], path: Path, colours: Colours) -> None:
    """Draw messages per second over the number of connections, with the range of the rounds."""
    plt = drawing(colours, **{"font.size": 9})
    figure, axis = plt.subplots(figsize=(7.4, 3.6))
    rows = {scenario["name"]: scenario["results"] for scenario in data["scenarios"]}
    lines = ((colours.second, "--", "s"), (colours.ours, "-", "o"))
    for server, (colour, dashes, mark) in zip(data["servers"], lines, strict=False):
        results = [rows[scenario.name][server["name"]] for scenario in BUSY]
        low, high = ([one(result["rounds"]) / 1000 for result in results] for one in (min, max))
        medians = [result["median"] / 1000 for result in results]
        axis.fill_between(COUNTS, low, high, color=colour, alpha=0.15, linewidth=0)
        axis.plot(COUNTS, medians, dashes, color=colour, marker=mark, markersize=4, label=server["title"])
    axis.set_xscale("log")
    axis.set_xticks(COUNTS, [f"{count:,}" for count in COUNTS])
    axis.minorticks_off()
    axis.set_ylim(bottom=0)
    axis.set_xlabel("busy connections, each with a thread")
    axis.set_title("thousand messages of 32 bytes per second", loc="left", fontsize=9)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False)
    figure.tight_layout()
    save(plt, figure, path)


def main() -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", action="append", required=True, metavar="NAME=PROGRAM", help="twice or more")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="default %(default)s")
    parser.add_argument("--seconds", type=float, default=0.4, metavar="S", help="for each figure; default %(default)s")
    parser.add_argument("--versions", action="store_true", help="by version: rows of the benchmark")
    parser.add_argument("--write", action="store_true", help="write the documentation's file and pictures")
    options = parser.parse_args()
    servers, versions = [], {}
    for number, text in enumerate(options.python):
        title, _, program = text.partition("=")
        if not program:
            parser.error(f"--python is NAME=PROGRAM, not {text!r}")
        servers.append(Server(f"wsref@{number}", title, "ours", python=program))
        versions[f"wsref@{number}"] = described(program)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    names = BY_VERSION if options.versions else OTHERS
    scenarios = [*(BUSY * (not options.versions)), *(scenario for scenario in SCENARIOS if scenario.name in names)]
    measured = run(servers, scenarios, options.rounds, options.seconds)
    data = record(servers, scenarios, options.rounds, options.seconds, *measured)
    for server in data["servers"]:
        server["version"] = versions[server["name"]]
    print(text_table(data))
    if options.write:
        file = HERE / ("versions.json" if options.versions else "interpreters.json")
        file.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", "utf-8")
    if options.write and not options.versions:
        picture = HERE / "interpreters.svg"
        plot(data, picture, LIGHT)
        plot(data, dark(picture), DARK)
    return 0


if __name__ == "__main__":
    sys.exit(main())
