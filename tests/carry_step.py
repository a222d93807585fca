"""Carry a correction of one step of the book into the later ones.

    python tests/carry_step.py 6        after wsref/steps/step06_frames.py was edited

Each later step is merged with ``git merge-file``: what HEAD has as the step before it is the
base, the edited step before it is the other side.  A conflict is left in the file, marked as
git does, and the script ends with 1: solve it, and carry that step on.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STEPS = ROOT / "wsref" / "steps"


def committed(path: Path) -> str:
    """The file as HEAD has it."""
    command = ["git", "show", f"HEAD:{path.relative_to(ROOT).as_posix()}"]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def merged(ours: str, base: str, theirs: str) -> tuple[str, bool]:
    """The three-way merge, and whether it is free of conflicts."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, name) for name in ("ours", "base", "theirs")]
        for file, text in zip(files, (ours, base, theirs), strict=True):
            file.write_text(text, "utf-8")
        done = subprocess.run(["git", "merge-file", "-p", *map(str, files)], capture_output=True, text=True)
    if done.returncode > 127:
        raise RuntimeError(done.stderr)
    return done.stdout, done.returncode == 0


def carry(step: int) -> int:
    """Carry the change of a step into the later ones.

    Returns:
        The exit code: 0, or 1 after a conflict.
    """
    paths = sorted(STEPS.glob("step??_*.py"))
    for before, path in zip(paths[step - 1 :], paths[step:], strict=False):
        text, clean = merged(path.read_text("utf-8"), committed(before), before.read_text("utf-8"))
        changed = text != path.read_text("utf-8")
        path.write_text(text, "utf-8")
        print(f"{path.name}: {'conflict' if not clean else 'carried' if changed else 'nothing to carry'}")
        if not clean:
            return 1
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2 or not sys.argv[1].isdigit():
        print((__doc__ or "").strip(), file=sys.stderr)
        sys.exit(2)
    sys.exit(carry(int(sys.argv[1])))
