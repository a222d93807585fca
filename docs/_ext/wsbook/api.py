"""Writes one page for each module of the package, before Sphinx searches for pages.

So a new module has its page immediately.  The pages go to ``docs/reference/api/``, which git
ignores.  A name of ``wsref`` itself (``wsref.connect`` is ``wsref.network.client.connect``)
is linked to the place of its description.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path
from typing import Any

from docutils import nodes

from .runner import ROOT
from .tables import folders, modules_of
from .toc import write_pages

PAGES = ROOT / "docs" / "reference" / "api"

INDEX = """# The API

A program needs only the names in `wsref` itself:

```{generated} names
```

The folders below it and their modules, in reading order:

```{generated} contents
```

```{toctree}
:hidden:

%s
```
"""

PAGE = """# {name}

```{{eval-rst}}
.. automodule:: {name}
{options}```
"""

#: Modules whose names are a table: list each name, even if the source has no docstring for it.
ALL_NAMES = ("wsref.protocol.spec",)

#: Names whose values would fill the page: it describes them without.
LONG_VALUES = {
    "wsref.check.baseline": ("EVERY",),
    "wsref.check.cases": ("CASES", "LARGE_CASES"),
    "wsref.check.clients.cases": ("CLIENT_CASES",),
    "wsref.check.clients.gallery": ("BROKEN_CLIENTS",),
}


def modules() -> list[str]:
    """Return the names of all modules in reading order, without programs."""
    import wsref

    programs = re.compile(r"\.__main__$|^wsref\.steps\.(step|client)|^wsref\.exercises\.solutions\.")
    there = [module.name for module in pkgutil.walk_packages(wsref.__path__, "wsref.")]
    reading_order = []
    for folder, *_ in folders():
        reading_order += [f"wsref.{folder}", *(f"wsref.{folder}.{module}" for module, *_ in modules_of(folder))]
    order = {name: n for n, name in enumerate(reading_order)}
    there = [name for name in there if not programs.search(name)]
    return sorted(there, key=lambda name: (order.get(name, len(order)), name))


def _page(name: str) -> str:
    options = "   :undoc-members:\n" if name in ALL_NAMES else ""
    if long := LONG_VALUES.get(name):
        options += f"   :exclude-members: {', '.join(long)}\n"
        options += "".join(f"\n.. autodata:: {name}.{value}\n   :no-value:\n" for value in long)
    return PAGE.format(name=name, options=options)


def write(folder: Path = PAGES) -> None:
    """Write the changed pages, and remove pages without a module."""
    names = modules()
    pages = {f"{name.removeprefix('wsref.')}.md": _page(name) for name in names}
    pages["index.md"] = INDEX % "\n".join(name.removeprefix("wsref.") for name in names)
    write_pages(folder, "*.md", pages)


def home_of(name: str) -> str | None:
    """Return where a name of ``wsref`` is defined; None for an unknown name.

    >>> home_of("wsref.connect"), home_of("wsref.Closed.code"), home_of("wsref.nothing")
    ('wsref.network.client.connect', 'wsref.protocol.connection.Closed.code', None)
    """
    package, _, rest = name.partition(".")
    first, _, more = rest.partition(".")
    if package != "wsref" or not first:
        return None
    there = getattr(importlib.import_module("wsref"), first, None)
    module = getattr(there, "__module__", None)
    if not isinstance(module, str) or not module.startswith("wsref."):
        return None
    return f"{module}.{first}" + (f".{more}" if more else "")


def _find(app: Any, env: Any, node: nodes.Element, contents: nodes.Element) -> nodes.Node | None:
    """Resolve a reference that Sphinx could not resolve, if it is a second name."""
    if node.get("refdomain") != "py":
        return None
    home = home_of(str(node.get("reftarget")))
    if home is None:
        return None
    domain = env.get_domain("py")
    found: nodes.Node | None = domain.resolve_xref(env, node["refdoc"], app.builder, "obj", home, node, contents)
    return found


def setup(app: Any) -> None:
    """Register."""
    app.connect("config-inited", lambda app, config: write())
    app.connect("missing-reference", _find)
