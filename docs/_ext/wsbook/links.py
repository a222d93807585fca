"""Follows every internal link of the built pages: the file must exist, and the place in it."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class _Page(HTMLParser):
    """The links of a page, and the targets in it."""

    def __init__(self) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.places: set[str] = set()
        self.without_text: list[str] = []  # pictures
        self.markup: list[str] = []  # lines of a fence that is not closed, or closed too early
        self._in_code = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self._in_code += tag in ("code", "script", "style")
        self.places |= {given[name] or "" for name in ("id", "name") if name in given}
        for name in ("href", "src"):
            if given.get(name) and tag != "base":
                self.links.add(given[name] or "")
        if tag == "img" and not given.get("alt"):
            self.without_text.append(given.get("src") or "")

    def handle_endtag(self, tag: str) -> None:
        self._in_code -= tag in ("code", "script", "style")

    def handle_data(self, data: str) -> None:
        if not self._in_code:
            self.markup += [line for line in data.splitlines() if re.match(r"\s*(`{3,}|:{3,}|:[a-z-]+: )", line)]


def broken(site: Path) -> list[str]:
    """Return a sentence for every broken link; links to other sites are not followed."""
    pages: dict[Path, _Page] = {}
    for path in sorted(site.rglob("*.html")):
        pages[path.resolve()] = page = _Page()
        page.feed(path.read_text("utf-8"))
    wrong: list[str] = []
    for path, page in pages.items():
        here = path.relative_to(site.resolve())
        wrong += [f"{here}: markup in the text, so a fence is wrong: {line}" for line in page.markup]
        wrong += [f"{here}: the picture {name} has no alt text" for name in page.without_text]
        for link in sorted(page.links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if target.is_dir():
                target /= "index.html"
            if not target.exists():
                wrong.append(f"{here}: nothing is at {link}")
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].places:
                wrong.append(f"{here}: {link} is a page without such a place")
    return wrong
