"""docs/evidence.json: the figures of long runs, which the page *How do we know?* shows.

``python tests/evidence.py coverage quick`` adds those of the last ``coverage combine`` after the quick tests, and
``coverage all`` those after all tests, the slow ones too.  The other figures come from ``tests/fuzz/run.py``,
``tests/mutants.py`` and ``tests/soak.py``, each with ``--record``.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PATH = Path(__file__).resolve().parents[1] / "docs" / "evidence.json"


@contextlib.contextmanager
def updated() -> Iterator[dict[str, Any]]:
    """The figures, to be changed in the block."""
    figures = json.loads(PATH.read_text("utf-8")) if PATH.exists() else {}
    yield figures
    PATH.write_text(json.dumps(figures, indent=1, sort_keys=True) + "\n", "utf-8")


def today() -> str:
    """The date of a record."""
    return datetime.date.today().isoformat()


def coverage() -> dict[str, Any]:
    """Lines and branches of each folder, as the last measurement has them, in percent."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "coverage.json")
        command = [
            sys.executable,
            "-m",
            "coverage",
            "json",
            "-q",
            "-o",
            str(path),
            "--fail-under=0",
            "--include=wsref/*",
        ]
        subprocess.run(command, check=True)
        files = json.loads(path.read_text("utf-8"))["files"]
    folders: dict[str, dict[str, int]] = {}
    for name, one in files.items():
        parts = Path(name).parts
        counts = folders.setdefault(parts[1] if len(parts) > 2 else "", {})
        for key in ("num_statements", "covered_lines", "num_branches", "covered_branches"):
            counts[key] = counts.get(key, 0) + one["summary"][key]
    return {"date": today(), "folders": folders}


if __name__ == "__main__":
    if sys.argv[1:] not in (["coverage", "quick"], ["coverage", "all"]):
        sys.exit(__doc__)
    with updated() as figures:
        figures.setdefault("coverage", {})[sys.argv[2]] = coverage()
