"""How the pages look: the colours, output that wraps, bars in tables; and the numbers for the search."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

from docutils import nodes

from .tables import close_codes, faults, place_of, rules

# -- Colours: those of wsref/apps/page.html ---------------------------------------------

_FONTS = {
    "font-stack": 'Charter, "Bitstream Charter", "Iowan Old Style", Cambria, Georgia, serif',
    "font-stack--headings": "var(--font-stack)",
    "font-stack--monospace": 'ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace',
    "font-stack--sans": "system-ui, sans-serif",
    "code-font-size": "0.8125rem",  # 100 columns
}


def _theme(paper: str, card: str, ink: str, soft: str, line: str, edge: str, accent: str, wash: str) -> dict[str, str]:
    """Return furo's variables from the few colours of the page."""
    return {
        "color-brand-primary": accent,
        "color-brand-content": accent,
        "color-foreground-primary": ink,
        "color-foreground-secondary": soft,
        "color-foreground-muted": soft,
        "color-foreground-border": edge,
        "color-background-primary": paper,
        "color-background-secondary": card,
        "color-background-hover": wash,
        "color-background-hover--transparent": "transparent",
        "color-background-border": line,
        "color-background-item": line,
        "color-code-background": card,
        "color-code-foreground": ink,
        "color-inline-code-background": wash,
        "color-api-background": wash,
        "color-api-background-hover": wash,
        "color-highlighted-background": wash,
        "color-highlight-on-target": wash,
        "color-sidebar-background": paper,
        "color-sidebar-search-background": card,
        "color-sidebar-search-background--focus": card,
        "color-sidebar-search-border": edge,
        "color-sidebar-item-background--hover": wash,
        "color-sidebar-item-background--current": wash,
        "color-table-border": line,
        "color-wash": wash,
    }


LIGHT = {
    **_FONTS,
    **_theme("#fbfaf6", "#ffffff", "#22262a", "#5a6066", "#dedad0", "#85888a", "#0b5c6e", "#e4f0f1"),
    "color-brand-visited": "#5b4a8a",
    "color-on-accent": "#ffffff",
    "color-added": "#e3f2e6",
    "color-removed": "#f9e7e3",
    "color-sent": "#7a4a00",
}
DARK = {
    **_theme("#14171a", "#1b1f23", "#e6e3dc", "#a6abb0", "#32383d", "#7c848b", "#7fcbd8", "#1f353a"),
    "color-brand-visited": "#b8a6e0",
    "color-on-accent": "#0c2328",
    "color-added": "#1b3323",
    "color-removed": "#3a2320",
    "color-sent": "#e6b877",
}


# -- Lines of output wrap, with a hanging indent -------------------------------------------

LONGEST = 96  # columns that fit beside the sidebar, also in a box
LONGEST_IN_COLUMN = 52  # and where two blocks are side by side

_BLOCK = re.compile(r'(<div class="(?P<classes>[^"]*)"><div class="highlight"><pre>)(?P<code>.*?)(</pre>)', re.S)
_LINE = re.compile(r"[^\n]*\n(?:</span>)?|[^\n]+")  # an emphasized line ends after its line break


def with_lines(body: str) -> str:
    r"""Mark each line of output and of a diff, and long lines of code, so that CSS can wrap or colour them.

    >>> print(with_lines('<div class="ran highlight-text notranslate"><div class="highlight"><pre>a\nb\n</pre></div>'))
    <div class="ran highlight-text notranslate wraps"><div class="highlight"><pre><span class="line">a
    </span><span class="line">b
    </span></pre></div>
    """

    def mark(block: re.Match[str]) -> str:
        classes = block["classes"].split()
        output = "ran" in classes and ("highlight-text" in classes or "highlight-console" in classes)
        line = _output_line if output else _diff_line if "highlight-diff" in classes else _code_line
        if line is _code_line and "in-column" in classes:
            line = _code_line_in_column
        opening = block[1].replace(block["classes"], block["classes"] + " wraps", 1) if output else block[1]
        return opening + "".join(map(line, _LINE.findall(block["code"]))) + block[4]

    return _BLOCK.sub(mark, body)


def _text_of(line: str) -> str:
    return html.unescape(re.sub(r"<[^>]*>", "", line)).rstrip("\n")


def _output_line(line: str) -> str:
    return f'<span class="line">{line}</span>'


def _diff_line(line: str) -> str:
    text = _text_of(line)
    kind = {"+": " added", "-": " removed"}.get(text[:1], "")
    return f'<span class="line{kind}{_long(text, LONGEST)}>{line}</span>'


def _code_line(line: str, longest: int = LONGEST) -> str:
    text = _text_of(line)
    if len(text) <= longest:
        return line
    if line.startswith('<span class="hll">'):
        return line.replace('hll"', f"hll{_long(text, longest)}", 1)
    return f'<span class="code{_long(text, longest)}>{line}</span>'


def _code_line_in_column(line: str) -> str:
    return _code_line(line, LONGEST_IN_COLUMN)


def _long(text: str, longest: int) -> str:
    """Return the end of a class, and the indent of a long line: the line that continues it has eight more."""
    return f' long" style="--in:{len(text) - len(text.lstrip("+- "))}"' if len(text) > longest else '"'


def _mark_lines(app: Any, pagename: str, templatename: str, context: dict[str, Any], doctree: object) -> None:
    if "body" in context:
        context["body"] = with_lines(context["body"])
    if pagename == "search":
        app.add_js_file("numbers.js", priority=300)


# -- Bars ------------------------------------------------------------------------------------


def number_of(cell: str) -> float | None:
    """Return the figure at the start of a cell of the benchmark.

    >>> number_of("18 k 14–18 k"), number_of("1,411 692–1,537"), number_of("–"), number_of("stalled")
    (18000.0, 1411.0, None, None)
    """
    found = re.match(r"([\d,.]+)( k\b)?", cell.replace("\xa0", " "))
    return float(found[1].replace(",", "")) * (1000 if found[2] else 1) if found else None


def _bars(app: Any, doctree: nodes.document) -> None:
    """Give the figures of the benchmark bars, as long as their share of the best figure in the row."""
    name = app.env.docname
    if name not in ("benchmark", "report-card"):
        return
    table = next(iter(doctree.findall(nodes.table)))
    table["classes"].append("sticky")
    if name == "report-card":
        return  # report_card.py has drawn its bars
    for body in table.findall(nodes.tbody):
        for row in body.findall(nodes.row):
            cells = list(row.findall(nodes.entry))[1:]
            figures = [number_of(cell.astext().strip()) for cell in cells]
            most = max((figure for figure in figures if figure), default=0)
            for cell, figure in zip(cells, figures, strict=True):
                if figure and most:
                    bar = f'<span class="bar" style="--share: {figure / most:.2f}" aria-hidden="true"></span>'
                    cell[0] += nodes.raw("", bar, format="html")


# -- The numbers: Sphinx's search omits them ---------------------------------------------------


#: Statuses that no error of :func:`wsbook.tables.faults` explains.
_OTHER_STATUSES = {
    101: "The server accepts the upgrade; after its head, both sides send frames.",
    426: "The answer to a request that is not an upgrade.",
    502: "Never sent: wsref's client uses it for an answer that is not HTTP.",
}
_OTHER_PAGES = {101: "tutorial/04-complete-upgrade.html", 426: "explanation/why-426.html"}


def numbers() -> Iterator[dict[str, Any]]:
    """Yield the answers to a number in the search: where it begins and ends, a title, a sentence, and a page."""
    for code, name, travels, meaning, where in close_codes()[2:]:  # without 0 to 999, which are statuses
        first, _, last = code.partition("–")
        may = "It may be in a Close frame." if travels == "yes" else "It is never in a Close frame."
        yield {
            "from": int(first),
            "to": int(last or first),
            "title": f"Close code {code} {name.strip('`')}".strip(),
            "text": f"{meaning[0].upper()}{meaning[1:]} ({where}). {may}",
            "page": f"reference/close-codes.html#{place_of('close-codes', code)}",
        }
    reasons: dict[int, list[str]] = {}
    for fault in faults():
        if fault.kind == "HTTP" and fault.answer:
            reasons.setdefault(fault.answer, []).extend([fault.reason] if fault.reason.strip("…") else [])
    sentences = {status: f"An answer of wsref. One reason: {words[0]}" for status, words in reasons.items() if words}
    for status, sentence in sorted({**sentences, **_OTHER_STATUSES}.items()):
        yield {
            "from": status,
            "to": status,
            "title": f"Status {status} {HTTPStatus(status).phrase}",
            "text": sentence,
            "page": _OTHER_PAGES.get(status, "reference/errors.html#before-the-101-a-status"),
        }
    for rule, text, where, answer in rules()[1:]:
        yield {
            "from": int(answer[:3]),
            "to": int(answer[:3]),
            "title": f"Rule of the handshake: {rule.strip('`')}",
            "text": f"{re.sub('[`*]', '', text)} ({where})".replace("\\", "").replace("&lt;", "<"),
            "page": f"reference/rules.html#{place_of('rules', rule)}",
        }


def _write_numbers(app: Any, failed: Exception | None) -> None:
    if failed is None and app.builder.format == "html":
        path = Path(app.outdir) / "_static" / "numbers.js"
        path.write_text(f"const NUMBERS = {json.dumps(list(numbers()), ensure_ascii=False, indent=1)};\n", "utf-8")


def setup(app: Any) -> None:
    """Register the hooks."""
    hooks: dict[str, Callable[..., object]] = {
        "doctree-read": _bars,
        "html-page-context": _mark_lines,
        "build-finished": _write_numbers,
    }
    for event, hook in hooks.items():
        app.connect(event, hook)
