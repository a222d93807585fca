"""Our docstrings are Google's, with two differences that napoleon has to be told.

A ``Returns:`` section holds sentences, and no type before a colon (the signature has it); and
the sentence about a constant or a property is a sentence, even with a colon in it.
"""

from __future__ import annotations

from typing import Any

from sphinx.ext import napoleon


def returns_as_field(lines: list[str]) -> list[str]:
    """``Returns:`` and ``Yields:``, which napoleon would search for types, as RST's fields.

    >>> returns_as_field(["Returns:", "    The offset: of what.", "    More.", "Raises:"])
    [':returns: The offset: of what.', '    More.', '', 'Raises:']
    """
    made: list[str] = []
    inside = begin = False
    for line in lines:
        if line in ("Returns:", "Yields:"):
            inside = begin = True
            made.append(":returns:" if line == "Returns:" else ":yields:")
        elif inside and line.startswith(" "):
            if begin:
                made[-1] += " " + line.strip()
            else:
                made.append(line)
            begin = False
        else:
            if inside and line.strip():
                made.append("")
            inside = inside and not line.strip()
            made.append(line)
    return made


def _process(app: Any, what: str, name: str, obj: object, options: Any, lines: list[str]) -> None:
    what = "module" if what in ("attribute", "data", "property") else what
    made = napoleon.GoogleDocstring(returns_as_field(lines), app.config, app, what, name, obj, options).lines()
    lines[:] = described_once(made, obj) if what == "class" else made


def described_once(lines: list[str], described: object) -> list[str]:
    """An attribute named in a class's docstring that is a property too has its entry there."""
    made: list[str] = []
    for line in lines:
        made.append(line)
        name = line.strip().removeprefix(".. attribute:: ")
        if name != line.strip() and isinstance(getattr(described, name, None), property):
            made.append(line[: len(line) - len(line.lstrip())] + "   :no-index:")
    return made


def _signature(
    app: Any, what: str, name: str, obj: object, options: Any, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """A dataclass's ``= <factory>`` is no Python, and Sphinx would split what is before it at any comma."""
    return signature.replace("<factory>", "...") if signature else signature, returns


def setup(app: Any) -> None:
    """Take the place of napoleon's own handler."""
    app.setup_extension("sphinx.ext.napoleon")
    event = "autodoc-process-docstring"
    for listener in list(app.events.listeners[event]):
        if listener.handler is napoleon._process_docstring:
            app.disconnect(listener.id)
    app.connect(event, _process)
    app.connect("autodoc-process-signature", _signature)
