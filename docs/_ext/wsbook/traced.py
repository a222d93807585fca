"""Reads the tables that tie each rule and each threat to the code and the tests.  No Sphinx in it.

``docs/reference/musts/*.toml`` has the rules, ``docs/reference/threats.toml`` the threats.  The pages show
them, and ``tests/test_musts.py`` reports what :func:`problems` finds.
"""

from __future__ import annotations

import ast
import functools
import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .runner import ROOT

FOLDER = ROOT / "docs" / "reference" / "musts"
THREATS = ROOT / "docs" / "reference" / "threats.toml"
FAULTS = ROOT / "docs" / "reference" / "faults.toml"

#: The tables of rules, in the order of their pages.
TABLES = ("rfc6455", "rfc7692", "http")

#: RFC 2119's keywords; "text" is a sentence without one.
LEVELS = ("MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "RECOMMENDED", "MAY", "OPTIONAL", "text")
WHO = ("server", "client", "both", "intermediary", "other")

_KEYWORD = re.compile(r"\b(?:MUST|SHALL|SHOULD|REQUIRED|RECOMMENDED|MAY|OPTIONAL)\b")


@dataclass(frozen=True, slots=True)
class Section:
    """A section of an RFC.

    Attributes:
        sentences: The number of its sentences with a keyword; None if the table has only some of them.
    """

    rfc: int
    number: str
    title: str
    sentences: int | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One requirement.

    Attributes:
        id: RFC, section, number: ``6455-5.1-2``.
        level: One of :data:`LEVELS`.
        who: The side that it binds, one of :data:`WHO`.
        rule: The requirement in our words.
        quote: The RFC's words; ``...`` between two sentences.
        code: The functions and classes that obey it, below ``wsref``.
        tests: The tests that prove it, below ``tests``, without parameters.
        reason: Why it does not apply, if neither code nor tests are given.
        note: A remark.
    """

    id: str
    level: str
    who: str
    rule: str
    quote: str
    code: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    reason: str = ""
    note: str = ""

    @property
    def place(self) -> tuple[int, str]:
        """RFC and section."""
        rfc, section, _ = self.id.split("-")
        return int(rfc), section

    @property
    def is_tested(self) -> bool:
        """Whether code and tests are named."""
        return bool(self.code and self.tests)


@dataclass(frozen=True, slots=True)
class Threat:
    """An attack, and the answer to it.

    Attributes:
        limits: Fields of ``wsref.Limits`` that bound it.
        code, tests: As of a :class:`Row`.
    """

    id: str
    name: str
    attack: str
    answer: str
    code: tuple[str, ...]
    tests: tuple[str, ...]
    limits: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Advisory:
    """A fault that another library had, and the tests that look for it here."""

    id: str
    where: str
    what: str
    threat: str
    tests: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault around a connection, or a statement about all of them, with what must happen.

    Attributes:
        fault: What happens to the server; "" for a statement.
    """

    id: str
    name: str
    answer: str
    tests: tuple[str, ...]
    fault: str = ""


# -- Reading ------------------------------------------------------------------------------


def _made(kind: type[Any], table: dict[str, Any]) -> Any:
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in table.items()})


def read(path: Path) -> tuple[list[Section], list[Row]]:
    """Read one table of rules."""
    data = tomllib.loads(path.read_text("utf-8"))
    return [_made(Section, one) for one in data["section"]], [_made(Row, one) for one in data["row"]]


def read_all() -> tuple[list[Section], list[Row]]:
    """Read all tables of rules."""
    sections: list[Section] = []
    rows: list[Row] = []
    for name in TABLES:
        more_sections, more_rows = read(FOLDER / f"{name}.toml")
        sections += more_sections
        rows += more_rows
    return sections, rows


def read_threats(path: Path = THREATS) -> tuple[list[Threat], list[Advisory]]:
    """Read the table of threats."""
    data = tomllib.loads(path.read_text("utf-8"))
    return [_made(Threat, one) for one in data["threat"]], [_made(Advisory, one) for one in data["advisory"]]


def read_faults(path: Path = FAULTS) -> tuple[list[Fault], list[Fault]]:
    """Read the table of faults, and the statements behind them."""
    data = tomllib.loads(path.read_text("utf-8"))
    return [_made(Fault, one) for one in data["fault"]], [_made(Fault, one) for one in data["statement"]]


# -- Names to places ------------------------------------------------------------------------


@functools.cache
def names_in(path: Path) -> dict[str, int]:
    """Each function, class, method and constant of a module, and its line.

    >>> names_in(ROOT / "wsref" / "protocol" / "frames.py")["Header"] > 1
    True
    """
    return dict(_names(ast.parse(path.read_text("utf-8")).body, ""))


def _names(body: Sequence[ast.stmt], prefix: str) -> Iterator[tuple[str, int]]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield prefix + node.name, node.lineno
            if isinstance(node, ast.ClassDef):
                yield from _names(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                if isinstance(target, ast.Name):
                    yield prefix + target.id, node.lineno


def place_of_code(name: str) -> tuple[Path, int]:
    """Return file and line of a name below ``wsref``.

    Raises:
        LookupError: wsref has no such name.

    >>> path, line = place_of_code("protocol.frames.parse_header")
    >>> path.name, line > 1
    ('frames.py', True)
    """
    parts = name.split(".")
    for n in range(len(parts) - 1, 0, -1):
        path = ROOT.joinpath("wsref", *parts[:n]).with_suffix(".py")
        if path.exists():
            line = names_in(path).get(".".join(parts[n:]))
            if line is None:
                raise LookupError(f"{path.relative_to(ROOT)} has no {'.'.join(parts[n:])}")
            return path, line
    raise LookupError(f"no module of wsref is called {name.rpartition('.')[0]}")


def place_of_test(name: str) -> tuple[Path, int]:
    """Return file and line of a test, ``test_x.py::TestY::test_z``.

    Raises:
        LookupError: There is no such test.
    """
    file, *rest = name.split("::")
    path = ROOT / "tests" / file
    if not path.exists():
        raise LookupError(f"there is no tests/{file}")
    line = names_in(path).get(".".join(rest))
    if line is None or not rest[-1].startswith("test_"):
        raise LookupError(f"tests/{file} has no test {'::'.join(rest)}")
    return path, line


# -- The cases of check -----------------------------------------------------------------------


@functools.cache
def _plain(text: str) -> str:
    """Letters and digits, without references such as [RFC2616] and (Section 5.2)."""
    return re.sub(r"[^a-z0-9]+", " ", re.sub(r"\[[A-Z]\S*?\]|\(Section .*?\)", "", text).lower()).strip()


def rows_of(case: Any, rows: Iterable[Row]) -> list[Row]:
    """The rows whose sentence a case of ``check`` quotes.

    A case shortens its quote by ``...``; the longest piece decides.  If rows of the case's section have
    it, those of other sections do not count.
    """
    found = re.match(r"RFC (\d+) §(\S+)", case.section)
    if not found:
        return []
    rfc, section = int(found[1]), found[2]
    piece = max((_plain(part) for part in case.quote.split("...")), key=len)
    quoting = [row for row in rows if row.place[0] == rfc and _quotes(row, piece)]
    return [row for row in quoting if row.place[1] == section] or quoting


def _quotes(row: Row, piece: str) -> bool:
    if piece in _plain(row.quote):
        return True
    return any(len(part) > 40 and part in piece for part in map(_plain, row.quote.split(" ... ")))


def lost_sentences(case: Any, rows: Iterable[Row]) -> list[str]:
    """The sentences of a case's quote that no row of its section, or of a part of that section, has word for word.

    >>> from wsref.check import CASES
    >>> [lost_sentences(case, read_all()[1]) for case in CASES if case.id == "6.mask.missing"]
    [[]]
    """
    if not (found := re.match(r"RFC (\d+) §(\S+)", case.section)):
        return [case.quote]
    rfc, section = found.groups()
    words = [
        f" {_plain(row.quote)} "
        for row in rows
        if row.place[0] == int(rfc) and f"{row.place[1]}.".startswith(f"{section}.")
    ]
    pieces = re.split(r"\.\.\.|(?<=\.)\s+(?=[A-Z])", case.quote)
    return [piece for piece in pieces if _plain(piece) and not any(f" {_plain(piece)} " in one for one in words)]


# -- What can be wrong with a table -------------------------------------------------------------


def problems(sections: Sequence[Section], rows: Sequence[Row]) -> list[str]:
    """Return a sentence for each mistake in a table of rules."""
    wrong: list[str] = []
    seen: set[str] = set()
    placed: list[Row] = []
    places = {(section.rfc, section.number) for section in sections}
    for row in rows:
        if not re.fullmatch(r"\d+-[\d.]+-\d+", row.id):
            wrong.append(f"{row.id}: an id is RFC, section and number, as in 6455-5.1-2")
            continue
        placed.append(row)
        if row.id in seen:
            wrong.append(f"{row.id}: two rows have this id")
        seen.add(row.id)
        if row.place not in places:
            wrong.append(f"{row.id}: the table has no such section")
        if row.level not in LEVELS:
            wrong.append(f"{row.id}: the level is one of {', '.join(LEVELS)}, not {row.level}")
        elif row.level != "text" and row.level not in row.quote:
            wrong.append(f"{row.id}: the quote does not contain {row.level}")
        if row.who not in WHO:
            wrong.append(f"{row.id}: it binds one of {', '.join(WHO)}, not {row.who}")
        if not row.reason and not row.is_tested:
            wrong.append(f"{row.id}: it has neither code and tests nor a reason why it does not apply")
        if row.reason and row.is_tested:
            wrong.append(f"{row.id}: it has code and tests; a reason is for a row without, a note for a remark")
        wrong += unknown_names(row.id, row.code, row.tests)
    for section in sections:
        if section.sentences is not None:
            mine = [row for row in placed if row.place == (section.rfc, section.number)]
            there = {part for row in mine for part in row.quote.split(" ... ") if _KEYWORD.search(part)}
            if len(there) != section.sentences:
                wrong.append(
                    f"RFC {section.rfc} §{section.number} has {section.sentences} sentences with a keyword; "
                    f"the rows quote {len(there)}"
                )
    return wrong


def unknown_names(name: str, code: Iterable[str], tests: Iterable[str]) -> list[str]:
    """Return a sentence for each name that does not exist."""
    wrong = []
    for find, names in ((place_of_code, code), (place_of_test, tests)):
        for one in names:
            try:
                find(one)
            except LookupError as error:
                wrong.append(f"{name}: {error}")
    return wrong
