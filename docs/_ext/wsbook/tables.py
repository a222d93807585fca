"""Tables that are read from the code, so that they cannot contradict it.

Each table is a plain function that returns rows of cells, written in MyST's inline Markdown;
one directive class makes the table.
"""

from __future__ import annotations

import ast
import importlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from http import HTTPStatus
from pathlib import Path
from statistics import median
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective

from . import evidence, walk
from .runner import ROOT

Rows = list[tuple[str, ...]]  # the first row is the heading

PACKAGE = ROOT / "wsref"

#: The figures of the benchmark's page.
RESULTS = ROOT / "docs" / "benchmark" / "results.json"
INTERPRETERS = RESULTS.with_name("interpreters.json")
VERSIONS = RESULTS.with_name("versions.json")
PROCESSES = RESULTS.with_name("processes.json")


def code(text: object) -> str:
    """Return text as code, also text with a backtick."""
    words = str(text)
    ticks = "``" if "`" in words else "`"
    return f"{ticks}{words}{ticks}"


def prose(text: str) -> str:
    """Return a sentence of the code for a page: RST's double backticks become Markdown's."""
    return re.sub(r"``(.+?)``", r"`\1`", text).replace("<", "&lt;").replace("*", "\\*")


# -- The tables ---------------------------------------------------------------------


def contents() -> Rows:
    """The contents pages of ``wsref`` and of its folders, each module linked to its page here."""
    rows: Rows = [("Module", "Chapter", "In one line")]
    for folder, words, _ in folders():
        rows.append((f"{{py:mod}}`wsref.{folder}`", "", prose(words)))
        for module, chapter, line in modules_of(folder):
            name = f"`{module}`" if folder == "steps" else f"{{py:mod}}`~wsref.{folder}.{module}`"  # programs: no API
            rows.append((name, chapter, prose(line)))
    return rows


def directions() -> Rows:
    """The folders, each with the folders that it imports from."""
    rows: Rows = [("Folder", "In one line", "Imports from")]
    for folder, words, imports in folders():
        rows.append((f"{{py:mod}}`wsref.{folder}`", prose(words), prose(imports) or "–"))
    return rows


def folders() -> list[tuple[str, ...]]:
    """Folder, one line, what it imports from: the table in ``wsref/__init__.py``, in reading order."""
    import wsref

    return list(_table(wsref.__doc__ or ""))


def modules_of(folder: str) -> list[tuple[str, ...]]:
    """Module, chapter, one line: the table in a folder's ``__init__.py``, in reading order."""
    return list(_table(importlib.import_module(f"wsref.{folder}").__doc__ or ""))


def _table(text: str) -> Iterator[tuple[str, ...]]:
    """The rows of the table in a docstring: an RST table with fixed columns."""
    lines = text.splitlines()
    rulers = [n for n, line in enumerate(lines) if re.fullmatch(r"=+( +=+)+", line)]
    columns = [(found.start(), found.end()) for found in re.finditer("=+", lines[rulers[0]])]
    columns[-1] = (columns[-1][0], 1000)
    for line in lines[rulers[1] + 1 : rulers[2]]:
        yield tuple(line[start:end].strip() for start, end in columns)


def names() -> Rows:
    """The public names of ``wsref``, each with the first sentence about it."""
    import wsref

    rows: Rows = [("Name", "What it is")]
    for name in wsref.__all__:
        there = getattr(wsref, name)
        if not name.startswith("_"):
            about = (there.__doc__ or "").strip().partition("\n\n")[0]
            about = re.sub(r":\w+:`~?([\w.]+\.)?([^`]+)`", r"`\2`", " ".join(about.split()))
            rows.append((f"{{py:obj}}`wsref.{name}`", prose(about)))
    return rows


def steps() -> Rows:
    """What a client sees after each chapter."""
    from wsref.steps import SEEN

    return [("`--step`", "After it, a client sees"), *((str(step), prose(seen)) for step, seen in SEEN.items())]


def limits() -> Rows:
    """:class:`wsref.Limits`."""
    from wsref import Limits

    rows: Rows = [("Limit", "Default", "Unit", "Meaning, and the precedent")]
    for row in fields(Limits):
        rows.append((code(row.name), f"{row.default:,.10g}", row.metadata["unit"], prose(row.metadata["why"])))
    return rows


def rules() -> Rows:
    """:data:`wsref.protocol.handshake.RULES`."""
    from wsref.protocol.handshake import RULES

    rows: Rows = [("Rule", "Requirement", "Source", "Otherwise")]
    for rule in RULES:
        answer = f"{rule.status} {HTTPStatus(rule.status).phrase}"
        answer += "".join(f", with `{name}: {value}`" for name, value in rule.headers)
        rows.append((code(rule.name), prose(rule.text), rule.section, answer))
    return rows


def answer_rules() -> Rows:
    """:data:`wsref.protocol.client_handshake.RESPONSE_RULES`."""
    from wsref.protocol.client_handshake import RESPONSE_RULES

    return [
        ("Rule", "Requirement", "Source"),
        *((code(rule.name), prose(rule.text), rule.section) for rule in RESPONSE_RULES),
    ]


#: The meaning of each code, shortened from RFC 6455 §7.4.1 and the IANA registry.
CLOSE_MEANINGS = {
    1000: ("the purpose is fulfilled", "§7.4.1"),
    1001: ("the server stops, or the user leaves the page", "§7.4.1"),
    1002: ("the peer broke a rule of the protocol", "§7.4.1"),
    1003: ("a kind of data that the endpoint cannot accept", "§7.4.1"),
    1004: ("reserved for a future meaning", "§7.4.1"),
    1005: ("for the own program only: the Close had no code", "§7.4.1"),
    1006: ("for the own program only: there was no Close", "§7.4.1"),
    1007: ("data that does not fit its type, such as text that is not UTF-8", "§7.4.1"),
    1008: ("a message that the endpoint's policy forbids, if no better code fits", "§7.4.1"),
    1009: ("a message that is too big", "§7.4.1"),
    1010: ("from a client only: the server did not accept a necessary extension", "§7.4.1"),
    1011: ("the server failed unexpectedly", "§7.4.1"),
    1012: ("the service restarts: reconnect", "IANA registry"),
    1013: ("overloaded: try again later", "IANA registry"),
    1014: ("a gateway received an invalid answer from its server", "IANA registry"),
    1015: ("for the own program only: the TLS handshake failed", "§7.4.1"),
}


def close_codes() -> Rows:
    """Return every code and range; the third column is :func:`wsref.protocol.closing.may_travel`."""
    from wsref.protocol.closing import may_travel
    from wsref.protocol.spec import CloseCode

    rows: Rows = [("Code", "Name", "May travel?", "Meaning", "Source")]

    def travels(number: int) -> str:
        return "yes" if may_travel(number) else "**no**"

    rows.append(("0–999", "", travels(999), "not used", "§7.4.2"))
    for close in CloseCode:
        meaning, where = CLOSE_MEANINGS[int(close)]
        rows.append((str(int(close)), code(close.name), travels(int(close)), meaning, where))
    rows.append(("1016–2999", "", travels(2999), "reserved for the protocol's future", "§7.4.2"))
    rows.append(("3000–3999", "", travels(3000), "for libraries and frameworks; IANA registers them", "§7.4.2"))
    rows.append(("4000–4999", "", travels(4000), "for applications", "§7.4.2"))
    return rows


def transitions() -> Rows:
    """:data:`wsref.protocol.closing.TRANSITIONS`."""
    from wsref.protocol.closing import TRANSITIONS

    return [
        ("State", "Event", "Next state"),
        *((code(state.name), event, code(after.name)) for (state, event), after in TRANSITIONS.items()),
    ]


def threads() -> Rows:
    """Return the cost of many connections from the benchmark: medians, the lowest and the highest round."""
    data = json.loads(RESULTS.read_text("utf-8"))
    results = {scenario["name"]: scenario["results"] for scenario in data["scenarios"]}
    kinds = {"floor": "threads", "ours": "threads", "threads": "threads", "events": "event loop"}
    columns = {"ping": "1 busy", "conn100": "100 busy", "conn1000": "1,000 busy", "idle": "an idle one, KiB"}
    rows: Rows = [(f"messages/s, {data['date']}", "", *columns.values())]
    for server in data["servers"]:
        if all(server["name"] in results[name] for name in columns):
            cells = (_figure(results[name][server["name"]], name == "idle") for name in columns)
            rows.append((server["title"], kinds[server["kind"]], *cells))
    return rows


def interpreters() -> Rows:
    """Return what one server does on several Pythons, from ``interpreters.json``: medians and ratios."""
    return _side_by_side(INTERPRETERS)


def versions() -> Rows:
    """Return what one server does on several versions of Python, from ``versions.json``."""
    return _side_by_side(VERSIONS)


def processes() -> Rows:
    """Return what several processes do on one port, from ``processes.json``."""
    return _side_by_side(PROCESSES)


def _side_by_side(path: Path) -> Rows:
    data = json.loads(path.read_text("utf-8"))
    names = [server["name"] for server in data["servers"]]
    titles = [": ".join(filter(None, (server["title"], server["version"]))) for server in data["servers"]]
    rows: Rows = [(f"{data['date']}, {data['rounds']} rounds", *titles, "last to first")]
    for scenario in data["scenarios"]:
        results = [scenario["results"][name] for name in names]
        whole = scenario["lower_is_better"] or scenario["unit"] == "MiB/s"
        first, last = (result["rounds"] for result in (results[0], results[-1]))
        ratio = median(there / here for here, there in zip(first, last, strict=True))
        cells = (_figure(result, whole) for result in results)
        rows.append((f"{scenario['title']}, {scenario['unit']}", *cells, f"{ratio:.2f}"))
    return rows


def _figure(result: dict[str, Any], whole: bool) -> str:
    """Return a median with its range, ``35 k (23-44)``; a median alone if it hardly varies."""
    if isinstance(result["median"], str):
        return str(result["median"])  # it stalled
    if whole:
        return f"{result['median']:.0f}"
    figures = (result["median"], min(result["rounds"]), max(result["rounds"]))
    middle, low, high = (f"{figure / 1000:,.{0 if figure >= 9_950 else 1}f}" for figure in figures)
    return f"{middle} k ({low}–{high})"


# -- What can go wrong: collected from the source --------------------------------------


@dataclass(frozen=True, slots=True)
class Fault:
    """A place in the source that makes an error for the peer.

    Attributes:
        answer: The HTTP status, or the close code; None if it depends.
        reason: The text, with ``…`` for values; "" if another place makes the text.
        section: Of the RFC.
        module: Such as ``protocol.frames``.
        line: The line in the module.
    """

    kind: str
    answer: int | None
    reason: str
    section: str
    module: str
    line: int


def faults(package: Path = PACKAGE) -> list[Fault]:
    """Find every ``HTTPError(...)`` and ``ProtocolError(...)`` of the reference with ``ast``."""
    found: list[Fault] = []
    for path in sorted(package.rglob("*.py")):
        if path.parent.name in ("steps", "solutions"):
            continue
        module = ".".join(path.relative_to(package).with_suffix("").parts).removesuffix(".__init__")
        tree = ast.parse(path.read_text("utf-8"))
        found += _faults_in(tree, module)  # outside of functions; the loop finds the others again
        for function in ast.walk(tree):
            if isinstance(function, ast.FunctionDef):
                found += _faults_in(function, module)  # with the texts assigned in this function
    unique = {(fault.module, fault.line): fault for fault in found}
    return sorted(unique.values(), key=lambda fault: (fault.kind, fault.answer or 0, fault.module, fault.line))


def _faults_in(part: ast.AST, module: str) -> Iterator[Fault]:
    said = {
        node.targets[0].id: node.value
        for node in ast.walk(part)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    for node in ast.walk(part):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
            continue
        named = {keyword.arg: keyword.value for keyword in node.keywords}
        if node.func.id == "HTTPError":
            status, reason, section, *_ = [*node.args, None, None, None]
            yield Fault("HTTP", _number(status), _words(reason, said), _words(section, said), module, node.lineno)
        elif node.func.id == "ProtocolError":
            reason, section, *_ = [*node.args, None, None]
            answer = _number(named.get("code")) if "code" in named else 1002
            yield Fault("close", answer, _words(reason, said), _words(section, said), module, node.lineno)


def _number(node: ast.expr | None) -> int | None:
    from wsref.protocol.spec import CloseCode

    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return node.value
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "CloseCode":
        return int(CloseCode[node.attr])
    if isinstance(node, ast.IfExp):
        return _number(node.body)
    return None


def _words(node: ast.expr | None, said: dict[str, ast.expr]) -> str:
    """Return the text of an expression, with ``…`` for values."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_words(part, {}) if isinstance(part, ast.Constant) else "…" for part in node.values)
    if isinstance(node, ast.Name) and node.id in said:
        return _words(said[node.id], {})
    return "" if node is None else "…"


def errors_http() -> Rows:
    """Return the answers before the 101."""
    rows: Rows = [("Status", "Reason", "Section", "From")]
    for fault in faults():
        if fault.kind == "HTTP":
            status = "hangs up" if fault.answer == 0 else str(fault.answer or "…")
            words = prose(fault.reason)
            if fault.answer is None:
                status, words = "400", "one line for each broken [rule of the handshake](rules.md)"
            elif words == "…":
                words = "as for a header line of a request"
            rows.append((status, words, fault.section, f"{{py:mod}}`~wsref.{fault.module}`"))
    return rows


def errors_close() -> Rows:
    """Return the errors that fail a connection after the 101."""
    rows: Rows = [("Code", "Reason", "Section", "From")]
    for fault in faults():
        if fault.kind == "close":
            rows.append(
                (str(fault.answer or "…"), prose(fault.reason), fault.section, f"{{py:mod}}`~wsref.{fault.module}`")
            )
    return rows


def cases() -> Rows:
    """Return how many cases of each kind ``check`` has for a chapter, with a link to their page."""
    from wsref.check import CASES

    return _counted(CASES)


def client_cases() -> Rows:
    """Return the same for ``check --client``."""
    from wsref.check.clients.cases import CLIENT_CASES

    return _counted(CLIENT_CASES)


def _counted(every: Sequence[Any]) -> Rows:
    from wsref.check.report import CHAPTERS

    from .cases import page_of_case

    levels = ("MUST", "SHOULD", "INTEROP")
    rows: Rows = [("Chapter", *levels)]
    for chapter, (title, _) in CHAPTERS.items():
        if there := [case for case in every if case.chapter == chapter]:
            found = [case.level.value for case in there]
            link = f"[{chapter}. {title}]({page_of_case(there[0]).removeprefix('reference/')}.md)"
            rows.append((link, *(str(found.count(level) or "–") for level in levels)))
    return rows


TABLES: dict[str, Callable[[], Rows]] = {
    "contents": contents,
    "folders": directions,
    "names": names,
    "steps": steps,
    "limits": limits,
    "rules": rules,
    "answer-rules": answer_rules,
    "cases": cases,
    "client-cases": client_cases,
    "close-codes": close_codes,
    "transitions": transitions,
    "errors-http": errors_http,
    "errors-close": errors_close,
    "threads": threads,
    "interpreters": interpreters,
    "versions": versions,
    "processes": processes,
    "walk": walk.counts,
    **evidence.TABLES,
}


def place_of(table: str, cell: str) -> str:
    """Return the id of a row for links to it; "" if its table has none.

    >>> place_of("close-codes", "1006"), place_of("rules", "`key`"), place_of("limits", "`max_depth`")
    ('code-1006', 'rule-key', '')
    """
    kinds = {"close-codes": "code", "rules": "rule"}
    words = re.sub(r"\W+", "-", cell).strip("-").lower()
    return f"{kinds[table]}-{words}" if table in kinds and words else ""


class Generated(SphinxDirective):
    """Show a table of :data:`TABLES` by its name; ``:rows:`` selects rows by their first cell."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {"rows": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        name = self.arguments[0]
        if name not in TABLES:
            raise self.error(f"generated: one of {', '.join(TABLES)}, not {name!r}")
        heading, *rows = TABLES[name]()
        if name == "threads":
            self.env.note_dependency(str(RESULTS))
        if name in evidence.TABLES:
            for path in (evidence.PATH, evidence.DIFFERENCES, evidence.SURVIVORS):
                self.env.note_dependency(str(path))
        if "rows" in self.options:
            wanted = self.options["rows"].split()
            rows = [row for row in rows if row[0].strip("`") in wanted]
            if len(rows) < len(wanted):
                raise self.error(f"generated: not all of {wanted} are in {name}")
        return self.table(name, heading, rows)

    def table(self, name: str, heading: Sequence[str], rows: Sequence[Sequence[str]]) -> list[nodes.Node]:
        """Return rows as a table of docutils."""
        group = nodes.tgroup(cols=len(heading))
        for n in range(len(heading)):
            longest = max(len(row[n]) for row in [heading, *rows])
            group += nodes.colspec(colwidth=min(max(longest, 4), 60))
        messages: list[nodes.Node] = []
        for part, some in ((nodes.thead(), [heading]), (nodes.tbody(), rows)):
            for cells in some:
                row = nodes.row()
                if place := place_of(name, cells[0]):
                    row["ids"].append(place)  # the search leads to it
                for cell in cells:
                    words, wrong = self.parse_inline(cell)
                    row += nodes.entry("", nodes.paragraph("", "", *words))
                    messages += wrong
                part += row
            group += part
        table = nodes.table("", group, classes=["generated", f"table-{name}"])
        self.set_source_info(table)
        return [nodes.container("", table, classes=["table-moves"]), *messages]


def setup(app: Any) -> None:
    """Register the directive."""
    app.add_directive("generated", Generated)
