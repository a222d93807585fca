"""The gallery: a good server, and servers that are broken on purpose.

Each broken server has one mistake of a few lines.  They test the grader: each server must fail the
cases that are meant for it, and no other.  They are also exercises: ``python -m wsref check --broken
NAME`` serves one, and the reader finds the bug with the page, ``connect --trace`` and ``check``.

=========  ========  ==========================================
module     chapter   in one line
=========  ========  ==========================================
reference            a good server, to be broken by its subclasses
ch01       1         an HTTP base
ch02       2         upgrade detection
ch03       3         validation
ch04       4         ``complete_upgrade``
ch05       5         the 426 fallback
ch06       6         frames
ch07       7         messages
ch08       8         closing
ch09       9         compression
ch10       10        many clients, and clients that vanish
ch11       11        Origin and limits
=========  ========  ==========================================
"""

from __future__ import annotations

import re

from . import ch01, ch02, ch03, ch04, ch05, ch06, ch07, ch08, ch09, ch10, ch11
from .reference import ReferenceServer


def name_of(server: type[ReferenceServer]) -> str:
    """Return the name of a server on the command line: ``guid-with-space`` for ``GuidWithSpace``."""
    return re.sub(r"(?<!^)(?=[A-Z])|(?<=[a-z])(?=[0-9])", "-", server.__name__).lower()


def _broken_in(*modules: object) -> dict[str, type[ReferenceServer]]:
    servers = [
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, ReferenceServer) and value.bug
    ]
    return {name_of(server): server for server in servers}


#: The broken servers by name, in the order of the chapters.
BROKEN: dict[str, type[ReferenceServer]] = _broken_in(ch01, ch02, ch03, ch04, ch05, ch06, ch07, ch08, ch09, ch10, ch11)
