"""Runs the notebooks before Sphinx reads the pages, so that the book shows their real output.

``notebooks/`` holds the notebooks without outputs, and ``notebooks/run.py`` executes one.  The
executed copies go to ``docs/labs/``, which git ignores.  A copy is executed again when its notebook
or the package has changed: its metadata holds the digest of both.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .runner import ROOT

NOTEBOOKS = ROOT / "notebooks"
LABS = ROOT / "docs" / "labs"

INDEX = """# Labs

One notebook for each chapter, with live servers and pictures of the bytes.  These pages show the outputs
from the build of this book.  To run the notebooks yourself, from a checkout of wsref:

```sh
python3 -m venv .venv && .venv/bin/pip install -q -e '.[notebooks]' && .venv/bin/jupyter lab --preferred-dir notebooks
```

```{toctree}
:maxdepth: 1

%s
```
"""


def made_from(notebook: Path, package: Path = ROOT / "wsref") -> str:
    """Return a digest of the notebook, of the Python files beside it, and of the package."""
    digest = hashlib.sha256()
    beside = sorted(path for path in notebook.parent.glob("*.py"))
    for path in [notebook, *beside, *sorted(package.rglob("*"))]:
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(f"{path.name}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def executed_from(copy: Path) -> str:
    """Return the digest in a copy's metadata; "" if there is no copy."""
    if not copy.exists():
        return ""
    return str(json.loads(copy.read_text("utf-8")).get("metadata", {}).get("wsref", {}).get("made_from", ""))


def executor(notebooks: Path) -> Callable[[Path, Path], object] | None:
    """Return ``execute(source, target)`` of ``notebooks/run.py``; None: there are no notebooks."""
    path = notebooks / "run.py"
    if not path.exists():
        return None
    spec = importlib.util.spec_from_file_location("wsref_notebooks_run", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    execute: Callable[[Path, Path], object] = module.execute
    return execute


def bring_up_to_date(notebooks: Path = NOTEBOOKS, labs: Path = LABS, say: Callable[[str], object] = print) -> int:
    """Execute each notebook whose copy is out of date, and return the number of labs.

    Raises:
        Exception: From ``execute``, for a notebook that fails.
    """
    execute = executor(notebooks)
    sources = sorted(notebooks.glob("[0-9]*.ipynb")) if execute else []
    labs.mkdir(parents=True, exist_ok=True)
    for old in labs.iterdir():
        if old.name not in {source.name for source in sources}:
            old.unlink()
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(ROOT) + (os.pathsep + before if before else "")
    try:
        for source in sources:
            target, now = labs / source.name, made_from(source)
            if execute is None or executed_from(target) == now:
                continue
            say(f"running {source.relative_to(notebooks.parent)} ...")
            execute(source, target)
            notebook = json.loads(target.read_text("utf-8"))
            notebook.setdefault("metadata", {})["wsref"] = {"made_from": now}
            target.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", "utf-8")
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before
    if sources:
        (labs / "index.md").write_text(INDEX % "\n".join(source.stem for source in sources), "utf-8")
    return len(sources)


def _run(app: Any, config: Any) -> None:
    from sphinx.util import logging

    bring_up_to_date(say=logging.getLogger(__name__).info)


def setup(app: Any) -> None:
    """Run the notebooks before Sphinx collects the pages."""
    app.connect("config-inited", _run)
