"""A description as HTML, for notebooks: the picture of the bits, and a table that wraps on a narrow page."""

from __future__ import annotations

from html import escape

from .colours import COLOURS, kind_of
from .layout import dump, dump_title, remarks
from .parts import Parts
from .svg import svg_of

_ROW = "border-top:1px solid rgba(128,128,128,.35);"
_TD = "padding:.25em .7em .25em 0;text-align:left;vertical-align:top;background:transparent;"
_MONO = "font-family:ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace;"
_RED = f"color:{COLOURS['wrong'].css}"


def html_of(parts: Parts) -> str:
    """Draw a description as a piece of HTML, without scripts."""
    rows = []
    for field in parts.fields:
        kind = "wrong" if field.name in parts.wrong_fields else kind_of(field.name)
        mark = f'<b style="{_RED}">✗</b> ' if kind == "wrong" else ""
        stripe = f"border-left:.3em solid {COLOURS[kind].css};padding-left:.6em;" if parts.has_bits else ""
        rows.append(_row(mark, field.name, field.value, field.meaning, field.section, stripe))
    rows += [_row("", step.name, step.value, step.meaning, step.section) for step in parts.steps]
    html = ['<div style="max-width:52rem;line-height:1.4">', _heading(parts.title)]
    if parts.has_bits:  # a narrow page scrolls the picture: at half its size it is unreadable
        picture = svg_of([parts], table=False)
        html.append(f'<div style="overflow-x:auto"><div style="min-width:40rem">{picture}</div></div>')
    html.append(f'<table style="border-collapse:collapse;width:100%;margin:.6em 0;border:0">{"".join(rows)}</table>')
    if dump_title(parts):
        html.append(_heading(dump_title(parts)))
        lines = escape("\n".join(dump(parts.payload)))
        style = f"margin:0;overflow-x:auto;background:transparent;color:inherit;{_MONO}"
        html.append(f'<pre style="{style}">{lines}</pre>')
    for kind, mark, text in remarks(parts):
        tint = _RED if kind == "problem" else ""
        html.append(f'<p style="margin:.3em 0"><b style="{tint}">{mark}</b> {escape(text)}</p>')
    return "\n".join([*html, "</div>"])


def _heading(words: str) -> str:
    return f'<p style="margin:.6em 0 .3em"><b>{escape(words)}</b></p>'


def _row(mark: str, name: str, value: str, meaning: str, section: str, stripe: str = "") -> str:
    breaks = "white-space:nowrap" if len(value) <= 12 else "overflow-wrap:anywhere"
    return (
        f'<tr style="{_ROW}background:transparent">'
        f'<td style="{_TD}{stripe}white-space:nowrap">{mark}<b>{escape(name)}</b></td>'
        f'<td style="{_TD}{_MONO}{breaks}">{escape(value)}</td>'
        f'<td style="{_TD}width:60%">{escape(meaning)} '
        f'<small style="opacity:.75;white-space:nowrap">{escape(section)}</small>'
        "</td></tr>"
    )
