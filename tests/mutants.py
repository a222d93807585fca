"""How strong the tests are: change one thing in the code, and see whether a test fails.

``python tests/mutants.py frames closing`` makes the mutants of these modules of wsref/protocol with
Cosmic Ray, in a copy of the repository, and plays the tests that TESTS names against each of them.
With ``--minutes`` it stops in time, and another run goes on from there; with ``--again`` it plays survivors
again, with the tests of today.  Survivors are printed; ``tests/mutants.toml`` has the examined ones, each with
the reason why it changes nothing.  ``--record`` writes the figures to ``docs/evidence.json``, which the page
*How do we know?* reads.

Annotations are no code at run time (``from __future__ import annotations``), so their mutants are left out.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from evidence import today, updated  # noqa: E402

#: The tests that judge a module; its doctests always do.
TESTS = {
    "closing": ["test_closing", "test_connection"],
    "deflate": ["test_deflate"],
    "extensions": ["test_handshake", "test_deflate"],
    "frames": ["test_frames", "test_connection"],
    "handshake": ["test_handshake", "test_opening"],
    "http11": ["test_http11", "test_handshake"],
    "masking": ["test_frames", "test_speed"],
    "messages": ["test_messages", "test_connection"],
    "origin": ["test_handshake"],
    "connection": ["test_connection"],
}


def annotations(source: str) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """The places of all annotations: ``((line, column), (line, column))``."""
    found: list[ast.expr | None] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.AnnAssign | ast.arg):
            found.append(node.annotation)
        elif isinstance(node, ast.FunctionDef):
            found.append(node.returns)
    return [((n.lineno, n.col_offset), (n.end_lineno or 0, n.end_col_offset or 0)) for n in found if n is not None]


def prepare(module: str, work: Path) -> Path:
    """A copy of the package and its tests, and the session with the mutants of one module."""
    copy, session = work / module, work / f"{module}.sqlite"
    if session.exists():
        return session
    shutil.rmtree(copy, ignore_errors=True)
    for folder in ("wsref", "tests"):
        ignore = shutil.ignore_patterns("__pycache__", "node_modules")
        shutil.copytree(HERE.parent / folder, copy / folder, ignore=ignore)
    shutil.copy(HERE.parent / "pyproject.toml", copy)
    target = f"wsref/protocol/{module}.py"
    tests = " ".join([target, *(f"tests/{name}.py" for name in TESTS[module])])
    (copy / "cosmic.toml").write_text(
        f'[cosmic-ray]\nmodule-path = "{target}"\ntimeout = 60.0\nexcluded-modules = []\n'
        # With --slow a property has all its examples.
        f"test-command = \"{sys.executable} -m pytest -q -x -p no:cacheprovider --slow -m 'not slow' {tests}\"\n"
        '[cosmic-ray.distributor]\nname = "local"\n'
    )
    subprocess.run(["cosmic-ray", "init", "cosmic.toml", str(session)], cwd=copy, env=environment(copy), check=True)
    from cosmic_ray.work_db import use_db
    from cosmic_ray.work_item import WorkerOutcome, WorkResult

    places = annotations((copy / target).read_text())
    with use_db(str(session)) as db:
        for item in list(db.pending_work_items):
            (mutation,) = item.mutations
            if any(begin <= mutation.start_pos and mutation.end_pos <= end for begin, end in places):
                db.set_result(item.job_id, WorkResult(WorkerOutcome.SKIPPED, "an annotation"))
    return session


def again(module: str, work: Path) -> None:
    """Forget the results of the survivors, and take the tests of today, which may kill them."""
    shutil.copytree(HERE, work / module / "tests", dirs_exist_ok=True, ignore=shutil.ignore_patterns("node_modules"))
    with contextlib.closing(sqlite3.connect(work / f"{module}.sqlite")) as session, session:
        session.execute("DELETE FROM work_results WHERE test_outcome = 'SURVIVED'")


def environment(copy: Path) -> dict[str, str]:
    """The copy is the wsref that is imported, and no byte code of a former mutant is."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}


def play(module: str, work: Path, deadline: float) -> None:
    """Play the tests against the mutants that are left, until the deadline."""
    copy = work / module
    command = ["cosmic-ray", "exec", "cosmic.toml", str(work / f"{module}.sqlite")]
    try:
        left = max(1, deadline - time.monotonic())
        subprocess.run(command, cwd=copy, env=environment(copy), timeout=left, check=True)
    except subprocess.TimeoutExpired:
        shutil.copy(HERE.parent / "wsref" / "protocol" / f"{module}.py", copy / "wsref" / "protocol")


def examined(module: str) -> dict[tuple[str, str], str]:
    """The survivors with a reason: ``{(line before, line after): reason}``."""
    rows = tomllib.loads((HERE / "mutants.toml").read_text()).get(module, [])
    return {(row["before"], row["after"]): row["reason"] for row in rows}


def change(diff: str) -> tuple[str, str]:
    """The changed lines of a diff, before and after, without their indent."""
    lines = [line for line in diff.splitlines() if not line.startswith(("---", "+++"))]
    return tuple(" ".join(line[1:].strip() for line in lines if line[:1] == sign) for sign in "-+")  # type: ignore[return-value]


def report(module: str, work: Path) -> dict[str, Any]:
    """Print the survivors without a reason; return the figures."""
    from cosmic_ray.work_db import use_db

    reasons = examined(module)
    counts = {"mutants": 0, "killed": 0, "equivalent": 0, "survived": 0, "not_played": 0}
    with use_db(str(work / f"{module}.sqlite")) as db:
        results = dict(db.results)
        for item in db.work_items:
            result = results.get(item.job_id)
            if result is not None and result.worker_outcome.value == "skipped":
                continue
            if result is None:
                counts["not_played"] += 1
                continue
            counts["mutants"] += 1
            if result.is_killed:
                counts["killed"] += 1
            elif change(result.diff or "") in reasons:
                counts["equivalent"] += 1
            else:
                counts["survived"] += 1
                before, after = change(result.diff or "")
                print(f"{module}:{item.mutations[0].start_pos[0]}\n  - {before}\n  + {after}")
    print(f"{module}: {counts}")
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="+", choices=sorted(TESTS), help="of wsref/protocol")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--work", type=Path, default=HERE.parent / ".mutants", help="folder of copies and sessions")
    parser.add_argument("--again", action="store_true", help="play the survivors again, with the tests of today")
    parser.add_argument("--report-only", action="store_true", help="play nothing")
    parser.add_argument("--record", action="store_true", help="write the figures to docs/evidence.json")
    args = parser.parse_args()
    args.work.mkdir(exist_ok=True)
    deadline = time.monotonic() + 60 * args.minutes
    figures = {}
    for module in args.modules:
        if not args.report_only:
            prepare(module, args.work.resolve())
            if args.again:
                again(module, args.work.resolve())
            play(module, args.work.resolve(), deadline)
        if (args.work / f"{module}.sqlite").exists():
            figures[module] = report(module, args.work.resolve())
    if args.record:
        with updated() as evidence:
            evidence.setdefault("mutants", {}).update({name: {"date": today(), **one} for name, one in figures.items()})


if __name__ == "__main__":
    main()
