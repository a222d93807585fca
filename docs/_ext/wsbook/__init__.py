"""The Sphinx extension of this book: it runs, draws or reads from the code what the pages show.

======================  =================================================================
:mod:`wsbook.runner`    runs commands, programs and raw exchanges; no Sphinx in it
:mod:`wsbook.shown`     the directives ``transcript``, ``run`` and ``exchange``
:mod:`wsbook.pictures`  ``wire`` and ``closing-states``: SVG
:mod:`wsbook.tables`    tables from the code: limits, rules, steps, errors
:mod:`wsbook.cases`     the cases of ``check``, and its gallery of broken servers
:mod:`wsbook.traced`    reads what ties rules and threats to code and tests; no Sphinx in it
:mod:`wsbook.walk`      records the code that one connection runs; no Sphinx in it
:mod:`wsbook.musts`     ``musts``, ``musts-coverage``, ``threats``, ``advisories``, ``faults``
:mod:`wsbook.walked`    ``walk``: shows that code
:mod:`wsbook.evidence`  tables of long runs: fuzzing, mutants, coverage, the soak
:mod:`wsbook.boxes`     ``differs``, ``break-it``, ``exercise``, ``solution``, ``columns``
:mod:`wsbook.api`       a page for each module
:mod:`wsbook.google`    docstrings in Google's style, with two differences
:mod:`wsbook.js`        ``javascript``: functions of a script, by their names
:mod:`wsbook.labs`      runs the notebooks before the pages are read
:mod:`wsbook.steps`     ``step-diff``: the change that a chapter makes to the server
:mod:`wsbook.toc`       ``lab`` and ``next-chapter``; writes generated pages
:mod:`wsbook.look`      the colours; lines that wrap, bars in tables, the numbers for the search
:mod:`wsbook.links`     follows the links between the built pages
======================  =================================================================

``docs/_ext/README.md`` explains the directives to writers.
"""

from __future__ import annotations

import importlib
from typing import Any

#: The modules that register something.
PARTS = ("api", "boxes", "cases", "evidence", "google", "js", "labs", "look", "musts", "pictures", "shown", "steps")
PARTS += ("tables", "toc", "walked")


def setup(app: Any) -> dict[str, Any]:
    """Register everything with Sphinx."""
    for part in PARTS:
        importlib.import_module(f"{__name__}.{part}").setup(app)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
