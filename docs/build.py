"""Build the book: ``python docs/build.py``, then open ``docs/_build/html/index.html``.

It needs what ``pip install -e '.[docs]'`` installs, and no network.  A warning is an error.
Then every link between the pages is followed, and the doctests of the pages are run.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path

DOCS = Path(__file__).resolve().parent
BUILD = DOCS / "_build"

sys.path.insert(0, str(DOCS / "_ext"))


def sphinx(builder: str, *more: str) -> int:
    """Run Sphinx, on a terminal with its progress; the pages that it has read are kept for the next builder."""
    command = [sys.executable, "-m", "sphinx", "-b", builder, "-W", "--keep-going", "-n"]
    command += [] if sys.stdout.isatty() else ["-q"]
    command += ["-d", str(BUILD / "doctrees"), *more, str(DOCS), str(BUILD / builder)]
    failed = subprocess.run(command).returncode
    if failed:  # or the next build would leave out the pages that were read, and their warnings
        shutil.rmtree(BUILD / "doctrees", ignore_errors=True)
    return failed


def main() -> int:
    """Run it; the exit code is 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description="Build the book into docs/_build/html.")
    parser.add_argument("--pages-only", action="store_true", help="build the pages, and no more: no links, no doctests")
    parser.add_argument("--fresh", action="store_true", help="forget all that was built and run before")
    options = parser.parse_args()
    try:
        import furo  # noqa: F401
        import myst_nb  # noqa: F401
        import sphinx_argparse_cli  # noqa: F401
        import sphinxext.opengraph  # noqa: F401
    except ImportError as error:
        print(f"{error.name} is missing: pip install -e '.[docs]'", file=sys.stderr)
        return 1
    if options.fresh:
        shutil.rmtree(BUILD, ignore_errors=True)
        shutil.rmtree(DOCS / "labs", ignore_errors=True)
    began = time.monotonic()
    print("reading and writing the pages, running what they show ...", flush=True)
    failed = sphinx("html") != 0
    if not failed and not options.pages_only:
        from wsbook.links import broken

        wrong = broken(BUILD / "html")
        print("\n".join(wrong) if wrong else "links: all lead somewhere", flush=True)
        print("doctests ...", flush=True)
        failed = bool(wrong) or sphinx("doctest") != 0
    print(f"{'FAILED' if failed else 'open ' + str(BUILD / 'html' / 'index.html')} ({time.monotonic() - began:.0f} s)")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
