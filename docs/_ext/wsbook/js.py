"""Includes JavaScript by its name, as ``literalinclude`` with ``:pyobject:`` does for Python."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective


def object_named(name: str, source: str) -> str:
    r"""Return a function, class or method of a source in which each ends at its own indentation.

    Args:
        name: ``connectTo``, or ``take`` for a method.
        source: A script, or a page with one in it.
    Raises:
        ValueError: No object has this name, or two have it.

    >>> print(object_named("b", "function a() {}\n  function b(c) {\n    d();\n  }\nfunction e() {}\n"))
    function b(c) {
      d();
    }
    >>> object_named("a", "function a() { return 1; }\n}\n")
    'function a() { return 1; }'
    >>> object_named("f", "function a() {}\n")
    Traceback (most recent call last):
        ...
    ValueError: 0 objects are called 'f'
    """
    begin = rf"^(?P<indent> *)(?:export )?(?:async )?(?:(?:function|class) )?{re.escape(name)}\b[^\n;=]*\{{"
    found = list(re.finditer(rf"{begin}(?:[^\n]*\}}$|\n(?:(?P=indent)  .*\n|\n)*(?P=indent)\}}$)", source, re.M))
    if len(found) != 1:
        raise ValueError(f"{len(found)} objects are called {name!r}")
    return textwrap.dedent(found[0][0])


class JavaScript(SphinxDirective):
    """Show functions of a file, one after another::

    ```{javascript} ../node/server.mjs
    :names: handleUpgrade completeUpgrade
    :caption: Node
    ```
    """

    required_arguments = 1
    final_argument_whitespace = True
    option_spec: ClassVar[dict[str, Any]] = {
        "names": lambda words: words.split(),
        "caption": directives.unchanged_required,
    }

    def run(self) -> list[nodes.Node]:
        """Find the functions."""
        relative, path = self.env.relfn2path(self.arguments[0])
        self.env.note_dependency(relative)
        try:
            source = Path(path).read_text("utf-8")
            text = "\n\n".join(object_named(name, source) for name in self.options["names"])
        except (OSError, ValueError) as error:
            raise self.error(f"javascript: {self.arguments[0]}: {error}") from None
        literal = nodes.literal_block(text, text, language="js")
        self.set_source_info(literal)
        if "caption" not in self.options:
            return [literal]
        wrapper = nodes.container("", literal_block=True, classes=["literal-block-wrapper"])
        words, messages = self.parse_inline(self.options["caption"])
        wrapper += nodes.caption(self.options["caption"], "", *words)
        wrapper += literal
        return [wrapper, *messages]


def setup(app: Any) -> None:
    """Register the directive."""
    app.add_directive("javascript", JavaScript)
