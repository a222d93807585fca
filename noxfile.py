"""Sessions for nox: each makes a venv of its own.

``nox -l`` lists them, ``nox`` runs lint and tests, ``nox -s tests-3.12 -- -k opening`` one with arguments.
"""

from __future__ import annotations

import glob
import shutil
import sys
import tempfile
import zipapp as zip_application
from pathlib import Path

import nox

nox.options.sessions = ["lint", "tests"]
nox.options.reuse_existing_virtualenvs = True
nox.options.error_on_missing_interpreters = False  # "tests" runs on every Python found

QUICKLY = ["pytest", "-q", "-n", "auto", "--dist", "worksteal"]


@nox.session(python=["3.11", "3.12", "3.13", "3.14", "3.14t", "3.15", "3.15t"])
def tests(session: nox.Session) -> None:
    """The quick tests, on every Python found; ``-- --slow`` for all."""
    session.install("-e", ".[test]")
    session.run(*QUICKLY, *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff and mypy."""
    session.install("-e", ".[lint,notebooks]")  # mypy reads what the labs import
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy", "--strict", "wsref", "tests/typed_program.py", *sorted(glob.glob("notebooks/*.py")))


@nox.session
def coverage(session: nox.Session) -> None:
    """The quick tests under coverage; fails below the floor that pyproject.toml sets."""
    session.install("-e", ".[test,coverage]")
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", *QUICKLY, *session.posargs)
    session.run("coverage", "combine", "-q")
    session.run("coverage", "report")


@nox.session(python=["3.11"])
def fuzz(session: nox.Session) -> None:
    """Random and coverage-guided inputs: ``nox -s fuzz -- --minutes 60``; some targets: ``-- frames connection``."""
    session.install("-e", ".[test,fuzz]")
    session.run("python", "tests/fuzz/run.py", *session.posargs)


@nox.session
def repeat(session: nox.Session) -> None:
    """The quick tests again and again: ``nox -s repeat -- 50 --load 10``."""
    session.install("-e", ".[test]")
    session.run("python", "tests/repeat.py", *session.posargs)


@nox.session
def soak(session: nox.Session) -> None:
    """Clients that join, talk, and break off, for as long as you say: ``nox -s soak -- --minutes 30``."""
    session.install("-e", ".[test]")
    session.run("python", "tests/soak.py", *session.posargs)


@nox.session
def mutants(session: nox.Session) -> None:
    """Does a test fail when the code is wrong?  ``nox -s mutants -- frames closing``."""
    session.install("-e", ".[test,mutants]")
    session.run("python", "tests/mutants.py", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """The book, and the tests of its pages; ``-- --pages-only`` for a quick look."""
    session.install("-e", ".[docs,test]")
    session.run("python", "docs/build.py", *session.posargs)
    session.run("pytest", "-q", "tests/test_docs.py", env={"CI_DOCS": "true"})


@nox.session
def labs(session: nox.Session) -> None:
    """The notebooks, each from scratch; ``-- 06 messages`` for some."""
    session.install("-e", ".[notebooks]")
    session.run("python", "notebooks/run.py", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """The benchmark: a first look, or with the arguments behind ``--``."""
    session.install("-e", ".[bench]")
    session.run("python", "docs/benchmark/benchmark.py", *(session.posargs or ["--quick", "--only", "wsref,floor"]))


def build_zipapp(target: Path) -> None:
    """Write a program in one file: ``python wsref.pyz check URL`` needs a Python and nothing else."""
    package = Path(__file__).parent / "wsref"
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(package, Path(folder, "wsref"), ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(package / "__main__.py", folder)
        target.parent.mkdir(exist_ok=True)
        zip_application.create_archive(folder, target, "/usr/bin/env python3", compressed=True)


@nox.session(python=False)
def zipapp(session: nox.Session) -> None:
    """dist/wsref.pyz, a program in one file, and its first run."""
    target = Path(__file__).parent / "dist" / "wsref.pyz"
    build_zipapp(target)
    session.run(sys.executable, str(target), "check", "--list", "--only", "6.length", silent=True)
    session.log(f"{target.relative_to(Path.cwd())}: {target.stat().st_size // 1024} KiB")
