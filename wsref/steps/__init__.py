"""The server that the book writes: eleven programs that grow by one short diff each.

Each program is complete: one file that needs the standard library and nothing of wsref.  It is
what a reader of the book has in the editor after that chapter.  ``python -m wsref --step N``
runs it, ``--step N --source`` prints it, ``--step N --diff`` shows the change from the step
before.  The programs repeat each other on purpose; ``tests/carry_step.py`` carries a correction
from one into the later ones, and ``tests/test_steps.py`` holds them to their chapters.
The client is the program of an interlude; ``python -m wsref.steps.client URL`` runs it.

========================  ========  ======================================================
module                    chapter   in one line
========================  ========  ======================================================
step01_http_base          1         a request read from a TCP stream, a response written
step02_upgrade_detection  2         an upgrade is seen
step03_validation         3         an invalid upgrade gets 400 with reasons
step04_complete_upgrade   4         a valid one gets 101
step05_the_426_fallback   5         every other request gets 426
step06_frames             6         frames, echoed one by one
step07_messages           7         fragments, Ping and Pong, UTF-8
step08_closing            8         the closing handshake and its codes
step09_compression        9         permessage-deflate
step10_many_clients       10        a chat, keep-alive, an orderly end
step11_out_in_the_world   11        TLS, Origin, limits
client                    8         the other half: an echo client
========================  ========  ======================================================
"""

from __future__ import annotations

import difflib
import importlib.resources
import importlib.util
from collections.abc import Callable
from importlib.resources.abc import Traversable
from types import ModuleType

#: What a client sees after each chapter.
SEEN = {
    1: "an HTTP base: every request gets 200",
    2: "upgrade detection: an upgrade gets 501, every other request 200",
    3: "validation: an invalid upgrade gets 400 with reasons, a valid one 501",
    4: "complete_upgrade: a valid upgrade gets 101, then the server closes",
    5: "the 426 fallback: a request that is not an upgrade gets 426",
    6: "frames: each is echoed by itself",
    7: "messages: whole ones are echoed, and a Ping gets a Pong",
    8: "closing: a Close is answered by a Close",
    9: "compression: permessage-deflate is negotiated",
    10: "many clients: a chat at /chat, 404 elsewhere, and keep-alive",
    11: "out in the world: pages from other sites get 403, and there is TLS",
}

LAST = max(SEEN)


def path_of(step: int) -> Traversable:
    """Return the file of a step's program: a path, or an entry of a zip.

    Args:
        step: The chapter, 1 to 11.
    Raises:
        ValueError: There is no such chapter.

    >>> path_of(5).name
    'step05_the_426_fallback.py'
    """
    if step not in SEEN:
        raise ValueError(f"a step is a chapter from 1 to {LAST}, not {step}")
    files = importlib.resources.files(__name__).iterdir()
    return next(file for file in files if file.name.startswith(f"step{step:02}_"))


def source_of(step: int) -> str:
    """Return a step's program."""
    return path_of(step).read_text("utf-8")


def diff_of(step: int, context: int = 3) -> str:
    """Return the change from the step before, as a unified diff; of step 1, the whole program.

    Args:
        step: The chapter, 1 to 11.
        context: Unchanged lines around each change.
    """
    before = source_of(step - 1).splitlines() if step > 1 else []
    name_before = path_of(step - 1).name if step > 1 else "nothing"
    lines = difflib.unified_diff(
        before, source_of(step).splitlines(), name_before, path_of(step).name, "", "", context, ""
    )
    return "\n".join(lines) + "\n"


def load(step: int, log: Callable[[str], None] | None = None) -> ModuleType:
    """Load a step's program as a new module, with ``Server`` and ``Handler``.

    Args:
        step: The chapter, 1 to 11.
        log: Gets each line that the program would print; None: it prints.
    """
    spec = importlib.util.find_spec(f"{__name__}.{path_of(step).name.removesuffix('.py')}")
    assert spec is not None and spec.loader is not None  # it is a .py file
    module = importlib.util.module_from_spec(spec)
    if log is not None:
        vars(module)["print"] = lambda line, flush=False: log(line)
    spec.loader.exec_module(module)
    return module
