"""All servers of the gallery that are broken, by name."""

from __future__ import annotations

import re

from . import broken_frames, broken_opening
from .gallery import Good


def name_of(server: type[Good]) -> str:
    """``guid-with-space`` for ``GuidWithSpace``."""
    return re.sub(r"(?<!^)(?=[A-Z])|(?<=[a-z])(?=[0-9])", "-", server.__name__).lower()


def _all_in(*modules: object) -> dict[str, type[Good]]:
    servers = [
        thing
        for module in modules
        for thing in vars(module).values()
        if isinstance(thing, type) and issubclass(thing, Good) and thing.bug
    ]
    return {name_of(server): server for server in servers}


#: Name to server, in the order of the chapters.
BROKEN: dict[str, type[Good]] = _all_in(broken_opening, broken_frames)
