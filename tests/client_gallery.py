"""The cases that each broken client of the gallery fails, as client_gallery.txt lists them.

It is the snapshot of ``gallery.py``, for ``check --client``.  ``python tests/client_gallery.py`` plays all
cases with each client twice, and writes it anew; what fails in only one of the two runs gets a line with ``sometimes``.
"""

from __future__ import annotations

import contextlib
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gallery import Fails, read

from wsref.check.clients.agents import PROBE
from wsref.check.clients.cases import CLIENT_CASES
from wsref.check.clients.gallery import BROKEN_CLIENTS
from wsref.check.clients.grader import Grader, Plan
from wsref.check.verdict import Outcome

FILE = Path(__file__).with_name("client_gallery.txt")

#: Seconds for an answer, and for all that is under way to end.
TIMEOUT, DEADLINE = 2.0, 60.0

#: These clients sleep for 2 s after most cases: more of them play at a time, and the grader waits less.
SLEEPERS = ("never-ends",)

#: These need minutes for all cases, as they do not notice the end of TCP.  The snapshot does not have them.
TOO_SLOW = ("ignores-eof",)

#: What these fail depends on how TCP cuts the bytes, and so on the load of the machine.
BY_CHANCE = ("one-recv", "loses-the-rest")

NAMES = [name for name in BROKEN_CLIENTS if name not in TOO_SLOW + BY_CHANCE]


def failing(name: str) -> list[str]:
    """Play all cases with a broken client, and return the ids of those that fail, in order."""
    client, sleeps = BROKEN_CLIENTS[name], name in SLEEPERS
    grader = Grader(Plan(CLIENT_CASES, 1.0 if sleeps else TIMEOUT))
    grader.start()
    try:
        session = grader.session("x")
        assert session is not None  # the first of this grader

        def play(case: object) -> None:
            with contextlib.suppress(Exception):  # some of them crash, as real clients do
                client("127.0.0.1", grader.target.port, f"/case/{case.id}?agent=x").run()  # type: ignore[attr-defined]

        play(PROBE)
        session.wait_until_idle(DEADLINE)
        with ThreadPoolExecutor(48 if sleeps else 16) as pool:
            list(pool.map(play, CLIENT_CASES))
        session.wait_until_idle(DEADLINE)
        return [verdict.case.id for verdict in grader.report(session).verdicts if verdict.outcome is Outcome.FAIL]
    finally:
        grader.close()


def main() -> None:
    """Play with all clients, and write the snapshot."""
    before, lines = read(FILE) if FILE.exists() else {}, []
    for number, name in enumerate(NAMES, 1):
        print(f"[{number}/{len(NAMES)}] {name}", file=sys.stderr, flush=True)
        _, sometimes = before.get(name, Fails(set(), []))
        runs = [set(failing(name)), set(failing(name))]
        ordered = [case.id for case in CLIENT_CASES]
        varying = Fails(set(), sometimes)
        sometimes = [*sometimes, *(one for one in ordered if one in runs[0] ^ runs[1] and not varying.may(one))]
        lines += [name, *(f"  {one}" for one in ordered if one in runs[0] & runs[1] and not varying.may(one))]
        lines += [f"  sometimes {glob}" for glob in sometimes]
    FILE.write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()
