"""The cases that each broken server of the gallery fails, as gallery.txt lists them.

A server names the one case that it is for.  What else fails with it is a snapshot: a test compares it,
and ``python tests/gallery.py`` writes it anew.  Read the change before you commit it: a case that
appears there without a reason accuses a server of what it does not do.

A line is an id, or ``sometimes`` and a glob: these cases depend on the ends of packets, or on the order
of clients.  A case that a glob matches can also have a line, added by hand: it always fails.
Servers of chapters 1 to 5 are graded in these chapters only, the others in 6 to 11.
"""

from __future__ import annotations

import sys
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from wsref.check import CASES, Outcome, grade, parse_target
from wsref.check.gallery import BROKEN
from wsref.check.gallery.reference import serving

FILE = Path(__file__).with_name("gallery.txt")


class Fails(NamedTuple):
    """The failing cases of one server."""

    always: set[str]
    sometimes: list[str]  # globs

    def may(self, name: str) -> bool:
        """Return whether a case may fail."""
        return name in self.always or any(fnmatchcase(name, glob) for glob in self.sometimes)


def read(file: Path = FILE) -> dict[str, Fails]:
    """Return a snapshot: the failing cases of each server, or client."""
    snapshot: dict[str, Fails] = {}
    for line in file.read_text("utf-8").splitlines():
        word, _, glob = line.strip().partition(" ")
        if not line.startswith(" "):
            fails = snapshot[word] = Fails(set(), [])
        elif glob:
            fails.sometimes.append(glob)
        else:
            fails.always.add(word)
    return snapshot


def jobs_for(name: str) -> int:
    """Return the number of cases at a time: the clients of global-message disturb each other."""
    return 1 if name == "global-message" else 4


def main() -> None:
    """Grade all servers, and write the snapshot."""
    before, lines = read(), []
    for number, (name, server) in enumerate(BROKEN.items(), 1):
        print(f"[{number}/{len(BROKEN)}] {name}", file=sys.stderr, flush=True)
        early = server.__module__ < "wsref.check.gallery.ch06"
        cases = [case for case in CASES if (case.chapter <= 5) == early]
        with serving(server) as url:
            report = grade(parse_target(url), cases, timeout=2.0, jobs=jobs_for(name))
        always, sometimes = before.get(name, Fails(set(), []))
        failed = [v.case.id for v in report.verdicts if v.outcome is Outcome.FAIL]
        lines += [name, *(f"  {one}" for one in failed if one in always or not Fails(set(), sometimes).may(one))]
        lines += [f"  sometimes {glob}" for glob in sometimes]
    FILE.write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()
