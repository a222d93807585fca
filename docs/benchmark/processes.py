#!/usr/bin/env python3
"""wsref in 1, 2 and 4 processes that share a port, side by side in one run.

It measures as benchmark.py does, with the same load generator, which needs a core for itself:

    python docs/benchmark/processes.py

--write is for the documentation: processes.json.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import benchmark
from benchmark import HERE, PATIENCE, SHORT, TEXT, Running, Scenario, Server

COUNTS = (1, 2, 4)

LISTENS = "0A"  # the state in /proc/net/tcp


def listeners(port: int) -> int:
    """Return how many sockets listen on a port of this machine."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].endswith(f":{port:04X}") and row[3] == LISTENS for row in rows)


def with_all(measure: Callable[[Running, Server, float], float]) -> Callable[[Running, Server, float], float]:
    """Start the other processes of a server before it is measured."""

    def measured(running: Running, server: Server, seconds: float) -> float:
        count = int(server.name.partition("@")[2])
        with contextlib.ExitStack() as stack:
            for _ in range(count - 1):
                stack.enter_context(Running(server, "echo", port=running.port))
            deadline = time.monotonic() + PATIENCE
            while listeners(running.port) < count:
                if time.monotonic() > deadline:
                    raise RuntimeError("not all processes listen")
                time.sleep(0.02)
            return measure(running, server, seconds)

    return measured


def busy(count: int) -> Scenario:
    """Return the scenario of so many busy connections."""
    measure = with_all(benchmark._echo(benchmark.many, TEXT, SHORT, count))
    return Scenario(f"conn{count}", f"{count:,} connections", "messages/s", measure, fresh=True)


SCENARIOS = (
    busy(10),
    busy(100),
    busy(1000),
    Scenario(
        "handshakes",
        "opening handshakes",
        "handshakes/s",
        with_all(lambda running, server, seconds: benchmark.handshakes(running.port, server, seconds)),
        fresh=True,
    ),
)


def main() -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="default %(default)s")
    parser.add_argument("--seconds", type=float, default=0.6, metavar="S", help="for each figure; default %(default)s")
    parser.add_argument("--write", action="store_true", help="write processes.json")
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    servers = [Server(f"wsref-shared@{n}", f"{n} process{'es' * (n > 1)}", "ours") for n in COUNTS]
    measured = benchmark.run(servers, SCENARIOS, options.rounds, options.seconds)
    data = benchmark.record(servers, SCENARIOS, options.rounds, options.seconds, *measured)
    print(benchmark.text_table(data))
    if options.write:
        (HERE / "processes.json").write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
