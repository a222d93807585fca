"""The log of the server and the client, which ends no connection and no loop.

``logging`` lets an exception of a filter, or of a handler that does not catch its own, pass to
whoever writes a line: here to a thread that serves a client, or accepts all of them.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import traceback
from typing import Any


class SafeLogger(logging.LoggerAdapter[logging.Logger]):
    """A logger whose calls raise nothing: the exception goes to standard error, as ``logging`` does it."""

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """As in the base class."""
        try:
            super().log(level, msg, *args, stacklevel=kwargs.pop("stacklevel", 1) + 1, **kwargs)
        except Exception:
            if logging.raiseExceptions and sys.stderr is not None:
                with contextlib.suppress(Exception):
                    traceback.print_exc()


logger = SafeLogger(logging.getLogger("wsref"))
