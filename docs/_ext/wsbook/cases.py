"""The directives for the cases of ``python -m wsref check`` and for its gallery."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from .runner import ROOT
from .toc import write_pages

PAGES = ROOT / "docs" / "reference" / "cases"

PAGE = """# {chapter}. {title}: {count} cases{about}

[The cases of `check{option}`](../{index}.md) explains the terms, and lists the other chapters.

```{{check-cases}} {chapter}{kind}
```
"""

#: For the pages about servers, and for those about clients.
SERVERS = {"kind": "", "option": "", "about": "", "index": "check-cases"}
CLIENTS = {"kind": " clients", "option": " --client", "about": " about clients", "index": "check-client-cases"}


def page_of_case(case: Any) -> str:
    """Return the page of a case, from the root of the book."""
    return f"reference/cases/{'client-' * case.is_for_clients}chapter-{case.chapter:02}"


def anchor_of_case(case: Any) -> str:
    """Return the anchor of a case on its page."""
    return "case-" + case.id.replace(".", "-")


def write() -> None:
    """Write a page for each chapter."""
    from wsref.check import CASES
    from wsref.check.clients.cases import CLIENT_CASES
    from wsref.check.report import CHAPTERS

    pages = {}
    for words, every in ((SERVERS, CASES), (CLIENTS, CLIENT_CASES)):
        for chapter, (title, _) in CHAPTERS.items():
            if cases := [case for case in every if case.chapter == chapter]:
                name = f"{page_of_case(cases[0]).rpartition('/')[2]}.md"
                pages[name] = PAGE.format(chapter=chapter, title=title, count=len(cases), **words)
    write_pages(PAGES, "*.md", pages)


class CheckCases(SphinxDirective):
    """A definition list of the cases of a chapter; with the word ``clients``, of those about clients."""

    required_arguments = 1
    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the list."""
        from wsref.check import CASES
        from wsref.check.clients.cases import CLIENT_CASES

        from . import traced

        _, self.rows = traced.read_all()
        for name in traced.TABLES:
            self.env.note_dependency(str(traced.FOLDER / f"{name}.toml"))
        self.env.note_dependency(str(ROOT / "wsref" / "check" / "cases" / "__init__.py"))
        self.env.note_dependency(str(ROOT / "wsref" / "check" / "clients" / "cases.py"))
        every = CLIENT_CASES if "clients" in self.arguments else CASES
        cases = [case for case in every if case.chapter == int(self.arguments[0])]
        return [nodes.definition_list("", *(self.item(case) for case in cases), classes=["cases"])]

    def marks(self, case: Any) -> str:
        """Return what a case about clients needs, in words."""
        if not case.is_for_clients:
            return ""
        words = [("echo", case.echo), ("deflate", case.deflate), ("no number", not case.opens)]
        return "".join(f" · {word}" for word, is_true in words if is_true)

    def item(self, case: Any) -> nodes.definition_list_item:
        """Return the item of one case."""
        term = nodes.term(
            "", "", nodes.literal("", case.id), nodes.Text(f" {case.level.value}, {case.section}{self.marks(case)}")
        )
        term["ids"].append(anchor_of_case(case))
        rows = nodes.field_list()
        quote = "Why" if case.level.value == "INTEROP" else "Rule"
        for label, body in (
            (
                "Sends",
                nodes.raw("", f'<code class="literal">{escape(case.play.sends)}</code>', format="html"),
            ),  # a page is long
            ("Accepts", nodes.Text(case.play.accepts)),
            (quote, nodes.Text(f"“{case.quote}”" if quote == "Rule" else case.quote)),
            ("Look at", nodes.Text(case.hint)),
        ):
            content = nodes.field_body("", nodes.paragraph("", "", body))
            rows += nodes.field("", nodes.field_name("", label), content)
        if traced := self.traced(case):
            rows += nodes.field("", nodes.field_name("", "Traced"), nodes.field_body("", traced))
        about = nodes.definition("", nodes.paragraph("", "", nodes.strong("", f"{case.title}.")), rows)
        return nodes.definition_list_item("", term, about)

    def traced(self, case: Any) -> nodes.paragraph | None:
        """Return links to the rows of ``docs/reference/musts`` whose sentence the case quotes."""
        from . import musts, traced

        up = "../" * self.env.docname.count("/")
        links = [
            nodes.reference("", "", nodes.literal("", row.id), refuri=up + musts.page_of_row(row), internal=True)
            for row in traced.rows_of(case, self.rows)
        ]
        return musts.with_commas(links) if links else None


class Gallery(SphinxDirective):
    """A definition list of the broken servers, with the bugs folded; with the argument ``clients``, of the clients."""

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the list."""
        return [nodes.definition_list("", *self.items(), classes=["gallery"])]

    def items(self) -> Iterator[nodes.definition_list_item]:
        """Yield an item for each server."""
        from wsref.check.clients.gallery import BROKEN_CLIENTS
        from wsref.check.gallery import BROKEN

        from .boxes import solution

        for name, server in (BROKEN_CLIENTS if self.arguments else BROKEN).items():
            bug = nodes.paragraph("", f"{server.bug[0].upper()}{server.bug[1:]}; found by ")
            bug += nodes.literal("", server.case)
            yield nodes.definition_list_item(
                "",
                nodes.term("", "", nodes.literal("", name)),
                nodes.definition(
                    "",
                    nodes.paragraph("", f"{server.symptom[0].upper()}{server.symptom[1:]}."),
                    solution("", bug, title="The bug"),
                ),
            )


class AutobahnIds(SphinxDirective):
    """A table of Autobahn's ids, and the cases here that test the same."""

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        from wsref.check.clients.autobahn import SAME

        table, group = nodes.table(), nodes.tgroup(cols=2)
        group += [nodes.colspec(colwidth=1), nodes.colspec(colwidth=4)]
        head, body = nodes.thead(), nodes.tbody()
        head += self.row(nodes.Text("Autobahn"), nodes.Text("cases here"))
        for pattern, words in SAME:
            body += self.row(nodes.literal("", pattern), nodes.literal("", words))
        group += [head, body]
        table += group
        return [table]

    def row(self, *cells: nodes.Node) -> nodes.row:
        """Return a row of the table."""
        return nodes.row("", *(nodes.entry("", nodes.paragraph("", "", cell)) for cell in cells))


def setup(app: Any) -> None:
    """Register the directives, and write the pages of the cases before Sphinx searches for pages."""
    app.connect("config-inited", lambda app, config: write())
    app.add_directive("check-cases", CheckCases)
    app.add_directive("autobahn-ids", AutobahnIds)
    app.add_directive("gallery", Gallery)
