"""The directives for the cases of ``python -m wsref check`` and for its gallery."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from .runner import ROOT

PAGES = ROOT / "docs" / "reference" / "cases"

PAGE = """# {chapter}. {title}: {count} cases

[The cases of `check`](../check-cases.md) explains the terms, and lists the other chapters.

```{{check-cases}} {chapter}
```
"""


def write(folder: Path = PAGES) -> None:
    """Write the changed pages, one for each chapter, and remove the others."""
    from wsref.check import CASES
    from wsref.check.report import CHAPTERS

    folder.mkdir(parents=True, exist_ok=True)
    pages = {}
    for chapter, (title, _) in CHAPTERS.items():
        count = sum(case.chapter == chapter for case in CASES)
        pages[f"chapter-{chapter:02}.md"] = PAGE.format(chapter=chapter, title=title, count=count)
    for path in folder.glob("*.md"):
        if path.name not in pages:
            path.unlink()
    for name, text in pages.items():
        path = folder / name
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")


class CheckCases(SphinxDirective):
    """A definition list of the cases of a chapter."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the list."""
        from wsref.check import CASES

        self.env.note_dependency(str(ROOT / "wsref" / "check" / "cases" / "__init__.py"))
        cases = [case for case in CASES if case.chapter == int(self.arguments[0])]
        return [nodes.definition_list("", *(self.item(case) for case in cases), classes=["cases"])]

    def item(self, case: Any) -> nodes.definition_list_item:
        """Return the item of one case."""
        name = "case-" + case.id.replace(".", "-")
        term = nodes.term("", "", nodes.literal("", case.id), nodes.Text(f" {case.level.value}, {case.section}"))
        term["ids"].append(name)
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
        about = nodes.definition("", nodes.paragraph("", "", nodes.strong("", f"{case.title}.")), rows)
        return nodes.definition_list_item("", term, about)


class Gallery(SphinxDirective):
    """A definition list of the broken servers, with the bugs folded."""

    def run(self) -> list[nodes.Node]:
        """Return the list."""
        return [nodes.definition_list("", *self.items(), classes=["gallery"])]

    def items(self) -> Iterator[nodes.definition_list_item]:
        """Yield an item for each server."""
        from wsref.check.gallery import BROKEN

        from .boxes import solution

        for name, server in BROKEN.items():
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


def setup(app: Any) -> None:
    """Register the directives, and write the pages of the cases before Sphinx searches for pages."""
    app.connect("config-inited", lambda app, config: write())
    app.add_directive("check-cases", CheckCases)
    app.add_directive("gallery", Gallery)
