"""tests/soak.py in a short form; ``python -m nox -s soak -- --minutes 30`` is the long one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from soak import Run, problems, soak

SOAK = Path(__file__).parent / "soak.py"


def test_a_short_run_loses_nothing_and_leaves_nothing_behind():
    figures = soak(2, 10)
    assert problems(figures) == []
    assert figures["counts"]["messages"] > 10
    assert figures["server"]["opened"] >= 10


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_one_minute_with_100_clients():
    environment = {**os.environ, "PYTHONPATH": str(SOAK.parents[1])}
    done = subprocess.run(
        [sys.executable, str(SOAK), "--minutes", "1", "--connections", "100"],
        capture_output=True, text=True, env=environment, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "received, name",
    [(["0", "2"], "lost"), (["0", "1", "1", "2"], "doubled"), (["1", "0", "2"], "reordered")],
)
def test_the_count_notices(received, name):
    counts = Run([], None, 0).counts
    Run.compare(["0", "1", "2"], received, counts)
    assert counts[name] == 1
