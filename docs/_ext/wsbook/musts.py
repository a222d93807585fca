"""The directives for what is traced: ``musts``, ``musts-coverage``, ``threats``, ``advisories``, ``faults``.

They link each name to its line, so the files that they name become pages, too.
"""

from __future__ import annotations

import functools
import html
import re
from collections.abc import Iterable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from . import traced, walk
from .runner import ROOT
from .toc import write_pages

#: The kinds of requirements that the picture tells apart, each with the levels in it.
KINDS = {
    "must": ("MUST", "MUST NOT"),
    "should": ("SHOULD", "SHOULD NOT", "RECOMMENDED"),
    "may": ("MAY", "OPTIONAL", "text"),
}

STYLE = """<style>
.coverage { width: 100%; border-collapse: collapse; font-size: .9em; }
.coverage th, .coverage td { padding: .2rem .4rem; text-align: left; vertical-align: top; font-weight: normal; }
.coverage tbody tr { border-top: 1px solid var(--color-background-border); }
.coverage th[colspan] { padding-top: 1rem; font-weight: 600; }
.coverage td:last-child, .coverage th:last-child { text-align: right; white-space: nowrap; }
.coverage th[colspan]:last-child { text-align: left; }
.cells { display: flex; flex-wrap: wrap; gap: 2px; padding-top: .3em; }
.cells i { width: .7em; height: .7em; border-radius: 2px; background: var(--cell); }
.cells .must { --cell: var(--color-brand-content); }
.cells .should { --cell: color-mix(in srgb, var(--color-brand-content) 60%, var(--color-background-primary)); }
.cells .may { --cell: color-mix(in srgb, var(--color-brand-content) 32%, var(--color-background-primary)); }
.cells .may.without { --cell: color-mix(in srgb, var(--color-brand-content) 60%, var(--color-background-primary)); }
.cells .without { background: none; box-shadow: inset 0 0 0 1.5px var(--cell); }
.coverage-key { display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; font-size: .9em; }
.coverage-key .cells { display: inline-flex; padding: 0 .3em 0 0; }
</style>"""


# -- Links to lines ---------------------------------------------------------------------------


def page_of(path: Path) -> str:
    """Return the name of the page that shows a file.

    >>> page_of(ROOT / "wsref" / "protocol" / "frames.py")
    'source/wsref/protocol/frames'
    """
    return f"source/{path.relative_to(ROOT).with_suffix('')}"


def anchor_of(section: traced.Section | tuple[int, str]) -> str:
    """Return the anchor of a section of an RFC.

    >>> anchor_of((6455, "5.1"))
    'rfc-6455-5-1'
    """
    rfc, number = section if isinstance(section, tuple) else (section.rfc, section.number)
    return f"rfc-{rfc}-{number.replace('.', '-')}"


def page_of_section(rfc: int, number: str) -> str:
    """Return the page of a section, from the root of the book.

    >>> page_of_section(6455, "5.1"), page_of_section(9110, "7.8")
    ('reference/musts/rfc6455-05', 'reference/musts/http')
    """
    part = int(number.partition(".")[0])
    return f"reference/musts/{f'rfc{rfc}-{part:02}' if rfc in WHOLE else 'http'}"


def page_of_row(row: traced.Row) -> str:
    """Return the page of a row, and its anchor, from the root of the book."""
    return f"{page_of_section(*row.place)}.html#{row_anchor(row.id)}"


def page_of_case(case: Any) -> str:
    """Return the page of a case of ``check``, and its anchor, from the root of the book."""
    from . import cases

    return f"{cases.page_of_case(case)}.html#{cases.anchor_of_case(case)}"


def row_anchor(name: str) -> str:
    """Return the anchor of a row.

    >>> row_anchor("6455-5.1-2"), row_anchor("websockets #407")
    ('row-6455-5-1-2', 'row-websockets-407')
    """
    return "row-" + "-".join(re.findall(r"\w+", name))


def sentence_of(test: str) -> str:
    """Return the name of a test as a sentence.

    >>> sentence_of("test_frames.py::TestMasking::test_masking_twice_is_nothing")
    'masking twice is nothing'
    """
    return test.rpartition("::test_")[2].replace("_", " ")


class Traced(SphinxDirective):
    """Links to lines, relative to the page: the base of the directives here and of ``walk``."""

    def up(self, page: str) -> str:
        """Return the link from this page to another one."""
        return "../" * self.env.docname.count("/") + page

    def link(self, place: tuple[Path, int], text: nodes.Node) -> nodes.reference:
        """Return a link to a line of a file."""
        path, line = place
        self.env.note_dependency(str(path))
        uri = self.up(f"{page_of(path)}.html#L-{line}")
        return nodes.reference("", "", text, refuri=uri, internal=True)

    def code(self, names: Iterable[str]) -> nodes.paragraph:
        """Return links to code, separated by commas."""
        links = [self.link(traced.place_of_code(name), nodes.literal("", name)) for name in names]
        return with_commas(links)

    def tests(self, names: Iterable[str]) -> nodes.bullet_list:
        """Return links to tests, each a sentence with its file."""
        items = nodes.bullet_list()
        for name in names:
            about = nodes.paragraph("", "", self.link(traced.place_of_test(name), nodes.Text(sentence_of(name))))
            about += [nodes.Text(" ("), nodes.literal("", name.partition("::")[0]), nodes.Text(")")]
            items += nodes.list_item("", about)
        return items

    def item(self, name: str, rest: str, title: str, parts: Iterable[tuple[str, nodes.Node]]) -> nodes.Node:
        """Return an item of a definition list with an anchor."""
        term = nodes.term("", "", nodes.literal("", name), nodes.Text(rest))
        term["ids"].append(row_anchor(name))
        rows = nodes.field_list()
        for label, body in parts:
            rows += nodes.field("", nodes.field_name("", label), nodes.field_body("", body))
        about = nodes.definition("", nodes.paragraph("", "", nodes.strong("", title)), rows)
        return nodes.definition_list_item("", term, about)


def with_commas(links: list[nodes.reference]) -> nodes.paragraph:
    """Return links as a paragraph."""
    paragraph = nodes.paragraph()
    for n, link in enumerate(links):
        if n:
            paragraph += nodes.Text(", ")
        paragraph += link
    return paragraph


def _said(text: str) -> nodes.paragraph:
    return nodes.paragraph("", text)


# -- Rules --------------------------------------------------------------------------------------


#: The RFCs that the tables have as a whole.
WHOLE = (6455, 7692)

#: Sections without sentences of their own.
TITLES = {
    (6455, "4"): "Opening Handshake",
    (6455, "5"): "Data Framing",
    (6455, "6"): "Sending and Receiving Data",
    (6455, "7"): "Closing the Connection",
    (6455, "8"): "Error Handling",
    (6455, "10"): "Security Considerations",
    (6455, "11"): "IANA Considerations",
}

PAGE = """# RFC {rfc} §{part}, {title}

Sentence by sentence.  [How to read a row](index.md#how-a-row-is-written).  Links lead to the line in the source.

```{{musts}} rfc{rfc} {part}
```
"""


def write() -> None:
    """Write a page for each of the first-level sections that have rows."""
    pages = {}
    for rfc in WHOLE:
        sections, _ = traced.read(traced.FOLDER / f"rfc{rfc}.toml")
        titles = {section.number: section.title for section in sections}
        for number in titles:
            part = number.partition(".")[0]
            name = f"{page_of_section(rfc, number).rpartition('/')[2]}.md"
            pages[name] = PAGE.format(rfc=rfc, part=part, title=TITLES.get((rfc, part)) or titles[part])
    write_pages(traced.FOLDER, "rfc*.md", pages)


@functools.cache
def cases_of_rows() -> dict[str, list[Any]]:
    """Return the cases of ``check`` that quote the sentence of a row, by the row's id."""
    from wsref.check import CASES
    from wsref.check.clients.cases import CLIENT_CASES

    _, every = traced.read_all()
    cases: dict[str, list[Any]] = {}
    for case in (*CASES, *CLIENT_CASES):
        for row in traced.rows_of(case, every):
            cases.setdefault(row.id, []).append(case)
    return cases


class Musts(Traced):
    """The rows of one table, section by section; with a number, those of a first-level section."""

    required_arguments = 1
    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return a section for each section of the RFC."""
        path = traced.FOLDER / f"{self.arguments[0]}.toml"
        self.env.note_dependency(str(path))
        sections, rows = traced.read(path)
        cases = cases_of_rows()
        made: list[nodes.Node] = []
        for section in sections:
            if self.arguments[1:] not in ([], [section.number.partition(".")[0]]):
                continue
            mine = [row for row in rows if row.place == (section.rfc, section.number)]
            name = anchor_of(section)
            one = nodes.section(ids=[name], names=[name])
            one += nodes.title("", f"RFC {section.rfc} §{section.number}, {section.title}")
            one += nodes.definition_list("", *(self.row(row, cases.get(row.id, [])) for row in mine), classes=["cases"])
            self.state.document.note_explicit_target(one)
            made.append(one)
        return made

    def row(self, row: traced.Row, cases: list[Any]) -> nodes.Node:
        """Return the item of a row."""
        level = "no keyword" if row.level == "text" else row.level
        who = {"both": "server and client", "other": "others"}.get(row.who, row.who)
        parts: list[tuple[str, nodes.Node]] = [("RFC", _said(f"“{row.quote}”"))]
        if row.code:
            parts.append(("Code", self.code(row.code)))
        if row.tests:
            parts.append(("Tests", self.tests(row.tests)))
        if cases:
            links = [
                nodes.reference("", "", nodes.literal("", case.id), refuri=self.up(page_of_case(case)), internal=True)
                for case in cases
            ]
            parts.append(("check", with_commas(links)))
        if row.reason:
            parts.append(("Why not", _said(row.reason)))
        if row.note:
            parts.append(("Note", _said(row.note)))
        return self.item(row.id, f" {level}, {who}", row.rule, parts)


class Coverage(SphinxDirective):
    """A picture of the whole: a cell for each row, filled if it has code and tests."""

    def run(self) -> list[nodes.Node]:
        """Return HTML, and the same figures for other formats."""
        sections, rows = traced.read_all()
        for name in traced.TABLES:
            self.env.note_dependency(str(traced.FOLDER / f"{name}.toml"))
        return [nodes.raw("", coverage_html(sections, rows), format="html")]


def coverage_html(sections: Iterable[traced.Section], rows: Iterable[traced.Row]) -> str:
    """Return the picture: a table with a line for each section."""
    rows = list(rows)
    key = "".join(
        f'<span><span class="cells"><i class="{kind}"></i></span>{html.escape(", ".join(levels))}</span>'
        for kind, levels in (("must", KINDS["must"]), ("should", KINDS["should"]), ("may", ("MAY, or no keyword",)))
    )
    key += '<span><span class="cells"><i class="must without"></i></span>a reason why it does not apply</span>'
    lines = [STYLE, f'<p class="coverage-key">{key}</p>', '<table class="coverage">']
    lines.append("<thead><tr><th>Section</th><th>Requirements</th><th>Tested</th></tr></thead><tbody>")
    rfc = 0
    for section in sections:
        if section.rfc != rfc:
            rfc = section.rfc
            all_of_it = [row for row in rows if row.place[0] == rfc]
            words = f"RFC {rfc}: {len(all_of_it)} requirements, {_tested(all_of_it)} tested"
            lines.append(f'<tr><th colspan="3" scope="rowgroup">{words}</th></tr>')
        mine = [row for row in rows if row.place == (section.rfc, section.number)]
        page = page_of_section(section.rfc, section.number).rpartition("/")[2] + ".html"
        title = html.escape(f"§{section.number} {section.title}")
        cells = "".join(_cell(row) for row in mine)
        lines.append(
            f'<tr><th scope="row"><a href="{page}#{anchor_of(section)}">{title}</a></th>'
            f'<td><div class="cells" aria-hidden="true">{cells}</div></td><td>{_tested(mine)} of {len(mine)}</td></tr>'
        )
    lines.append("</tbody></table>")
    return "\n".join(lines)


def _tested(rows: Iterable[traced.Row]) -> int:
    return sum(row.is_tested for row in rows)


def _cell(row: traced.Row) -> str:
    kind = next(kind for kind, levels in KINDS.items() if row.level in levels)
    without = "" if row.is_tested else " without"
    return f'<i class="{kind}{without}" title="{html.escape(f"{row.id} {row.rule}")}"></i>'


# -- Threats -------------------------------------------------------------------------------------


class Threats(Traced):
    """The threats, each with its answer."""

    def run(self) -> list[nodes.Node]:
        """Return a definition list."""
        self.env.note_dependency(str(traced.THREATS))
        threats, _ = traced.read_threats()
        return [nodes.definition_list("", *(self.threat(threat) for threat in threats), classes=["cases"])]

    def threat(self, threat: traced.Threat) -> nodes.Node:
        """Return the item of a threat."""
        parts: list[tuple[str, nodes.Node]] = [("Answer", _said(threat.answer))]
        if threat.limits:
            parts.append(("Limits", _limits(threat.limits)))
        parts += [("Code", self.code(threat.code)), ("Tests", self.tests(threat.tests))]
        return self.item(threat.id, f" {threat.name}", threat.attack, parts)


def _limits(names: Iterable[str]) -> nodes.paragraph:
    from wsref import Limits

    rows = {row.name: row for row in fields(Limits)}
    paragraph = nodes.paragraph()
    for n, name in enumerate(names):
        row = rows[name]
        default = f"{row.default:,.10g} {row.metadata['unit']}"
        paragraph += [nodes.Text("; " if n else ""), nodes.literal("", name), nodes.Text(f" {default}")]
    return paragraph


class Advisories(Traced):
    """Faults that other libraries had, and the tests that look for them here."""

    def run(self) -> list[nodes.Node]:
        """Return a definition list."""
        self.env.note_dependency(str(traced.THREATS))
        _, advisories = traced.read_threats()
        return [nodes.definition_list("", *(self.advisory(one) for one in advisories), classes=["cases"])]

    def advisory(self, one: traced.Advisory) -> nodes.Node:
        """Return the item of an advisory."""
        threat = nodes.reference("", "", nodes.Text(one.threat), refuri=f"#{row_anchor(one.threat)}", internal=True)
        parts = [("Threat", nodes.paragraph("", "", threat)), ("Tests", self.tests(one.tests))]
        return self.item(one.id, f" {one.where}", one.what, parts)


class Faults(Traced):
    """The faults, or with the argument ``statements`` what holds during all of them."""

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return a definition list."""
        self.env.note_dependency(str(traced.FAULTS))
        faults, statements = traced.read_faults()
        rows = statements if self.arguments == ["statements"] else faults
        return [nodes.definition_list("", *(self.fault(row) for row in rows), classes=["cases"])]

    def fault(self, row: traced.Fault) -> nodes.Node:
        """Return the item of a fault or a statement."""
        parts: list[tuple[str, nodes.Node]] = [("Then", self.prose(row.answer))] if row.fault else []
        parts.append(("Tests", self.tests(row.tests)))
        return self.item(row.id, f" {row.name}", row.fault or row.answer.replace("`", ""), parts)

    def prose(self, text: str) -> nodes.paragraph:
        """Return a sentence with its code."""
        words, _ = self.parse_inline(text)
        return nodes.paragraph("", "", *words)


# -- The pages of the linked files ------------------------------------------------------------------


def linked_files() -> list[Path]:
    """Return every file that a table names, or a part of which the walk shows."""
    _, rows = traced.read_all()
    threats, advisories = traced.read_threats()
    faults, statements = traced.read_faults()
    paths = {traced.place_of_code(name)[0] for one in (*rows, *threats) for name in one.code}
    paths |= {
        traced.place_of_test(name)[0]
        for one in (*rows, *threats, *advisories, *faults, *statements)
        for name in one.tests
    }
    return sorted(paths | {piece.path for piece in walk.pieces()})


def source_pages(app: Any) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Make a page for each linked file, with an anchor for each line."""
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    for path in linked_files():
        name = path.relative_to(ROOT)
        lines = highlight(path.read_text("utf-8"), PythonLexer(stripnl=False), HtmlFormatter(nowrap=True)).split("\n")
        marked = "\n".join(f'<span id="L-{n}">{line}</span>' for n, line in enumerate(lines, 1))
        body = "<style>.highlight span:target { background: var(--color-highlight-on-target); }</style>"
        body += f'<h1>{name}</h1><div class="highlight"><pre><code>{marked}</code></pre></div>'
        yield page_of(path), {"title": str(name), "body": body}, "page.html"


def setup(app: Any) -> None:
    """Register, and write the pages of the sections before Sphinx searches for pages."""
    app.connect("config-inited", lambda app, config: write())
    app.add_directive("musts", Musts)
    app.add_directive("musts-coverage", Coverage)
    app.add_directive("threats", Threats)
    app.add_directive("advisories", Advisories)
    app.add_directive("faults", Faults)
    app.connect("html-collect-pages", source_pages)
