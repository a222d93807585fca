"""Run the quick tests again and again, to find one that depends on luck.

``python tests/repeat.py 50`` runs them fifty times, and stops at the first failure.  ``--load 10`` lets ten processes
compute beside them, and ``--slow-threads`` lets threads lose the processor at socket calls (tests/other_system).
``--record`` writes the figures to ``docs/evidence.json``, which the page *How do we know?* reads: it adds to those of
the same commit.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from evidence import today, updated

ROOT = Path(__file__).resolve().parents[1]
TESTS = [sys.executable, "-m", "pytest", "-q", "-n", "auto", "--dist", "worksteal", "-p", "no:cacheprovider"]


@contextlib.contextmanager
def load(processes: int) -> Iterator[None]:
    """Let processes compute."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def commit() -> str:
    """The commit that is checked out."""
    return subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()


def record(seconds: float, average: float) -> None:
    """Add a run without a failure."""
    with updated() as figures:
        runs = figures.get("repeat", {})
        if runs.get("commit") != commit():
            runs = {"commit": commit(), "cores": os.cpu_count(), "seconds": [], "load": []}
        runs["date"] = today()
        runs["seconds"].append(round(seconds))
        runs["load"].append(round(average, 1))
        figures["repeat"] = runs


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("times", type=int, help="how many times")
    parser.add_argument("--load", type=int, default=0, metavar="N", help="processes that compute beside the tests")
    parser.add_argument("--slow-threads", action="store_true", help="let threads lose the processor at socket calls")
    parser.add_argument("--record", action="store_true", help="write the figures to docs/evidence.json")
    options = parser.parse_args()
    if options.slow_threads and options.record:
        parser.error("--record is for runs without --slow-threads: their seconds say nothing")
    environment = {**os.environ, **({"WSREF_TEST_SYSTEM": "slow"} if options.slow_threads else {})}
    with load(options.load):
        for n in range(1, options.times + 1):
            began = time.monotonic()
            ran = subprocess.run(
                TESTS, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
            seconds, average = time.monotonic() - began, os.getloadavg()[1]  # of the last 5 minutes
            if ran.returncode:
                print(ran.stdout)
                return 1
            print(
                f"{n} of {options.times}: {seconds:.0f} s, load {average:.1f}: {ran.stdout.splitlines()[-1]}",
                flush=True,
            )
            if options.record:
                record(seconds, average)
    return 0


if __name__ == "__main__":
    sys.exit(main())
