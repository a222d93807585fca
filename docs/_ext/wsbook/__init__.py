"""The Sphinx extension of this book: what its pages show is run, drawn or read from the code.

======================  =================================================================
:mod:`wsbook.runner`    runs commands, programs and raw exchanges; no Sphinx in it
:mod:`wsbook.shown`     the directives ``transcript``, ``run`` and ``exchange``
:mod:`wsbook.pictures`  ``wire`` and ``closing-states``: SVG
:mod:`wsbook.tables`    what is read from the code: limits, rules, steps, errors, the CLI
:mod:`wsbook.cases`     what ``check`` asks, and its gallery of broken servers
:mod:`wsbook.boxes`     ``differs``, ``break-it``, ``exercise``, ``solution``, ``columns``
:mod:`wsbook.api`       a page for each module
:mod:`wsbook.google`    our docstrings are Google's, nearly
:mod:`wsbook.js`        ``javascript``: functions of a script, by their names
:mod:`wsbook.labs`      runs the notebooks before the pages are read
:mod:`wsbook.steps`     ``step-diff``: the change that a chapter makes to the server
:mod:`wsbook.toc`       ``pages``: a toctree of those pages that there are
:mod:`wsbook.links`     follows the links between the pages that were built
======================  =================================================================

``docs/_ext/README.md`` tells writers how to use them.
"""

from __future__ import annotations

from typing import Any


def setup(app: Any) -> dict[str, Any]:
    """Register everything with Sphinx."""
    from . import api, boxes, cases, google, js, labs, pictures, shown, steps, tables, toc

    for part in (api, boxes, cases, google, js, labs, pictures, shown, steps, tables, toc):
        part.setup(app)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
