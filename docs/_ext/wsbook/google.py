"""Docstrings in Google's style, with two differences that napoleon does not know.

A ``Returns:`` section has sentences, without a type before a colon, because the signature has
the type.  The text about a constant or a property is a sentence, even if it contains a colon.
"""

from __future__ import annotations

from typing import Any

from sphinx.ext import napoleon


def returns_as_field(lines: list[str]) -> list[str]:
    """Turn ``Returns:`` and ``Yields:``, in which napoleon would search for types, into RST's fields.

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
    """Index a property once, if the docstring of its class names it, too."""
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
    """Replace a dataclass's ``= <factory>``: it is not Python, and Sphinx would split the text before it at commas."""
    return signature.replace("<factory>", "...") if signature else signature, returns


def setup(app: Any) -> None:
    """Replace napoleon's own handler."""
    app.setup_extension("sphinx.ext.napoleon")
    event = "autodoc-process-docstring"
    for listener in list(app.events.listeners[event]):
        if listener.handler is napoleon._process_docstring:
            app.disconnect(listener.id)
    app.connect(event, _process)
    app.connect("autodoc-process-signature", _signature)
