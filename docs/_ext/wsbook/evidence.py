"""Tables from ``docs/evidence.json``, the figures of long runs, and from the classes of differences."""

from __future__ import annotations

import html
import json
import tomllib
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from .runner import ROOT

Rows = list[tuple[str, ...]]

PATH = ROOT / "docs" / "evidence.json"
DIFFERENCES = ROOT / "tests" / "fuzz" / "differences.toml"
SURVIVORS = ROOT / "tests" / "mutants.toml"

#: The folders of the package, from the core outwards.
FOLDERS = ("protocol", "network", "fast", "wire", "apps", "cli", "check", "exercises", "steps")

#: What each target of tests/fuzz feeds.
TARGETS = {
    "request_head": "the request's head",
    "response_head": "the response's head",
    "extension_header": "`Sec-WebSocket-Extensions`",
    "frames": "single frames",
    "deflate": "compressed data",
    "connection": "a whole connection, both roles",
    "explainer": "the explanations of `decode`",
    "decode_readers": "the readers of `decode`",
    "check_codec": "the grader's own codec, against wsref's",
    "differential": "the same frames to websockets and wsproto",
}


def evidence(key: str, path: Path = PATH) -> Any:
    """Return one part of the figures.

    Raises:
        LookupError: It was not recorded.
    """
    figures = json.loads(path.read_text("utf-8"))
    if key not in figures:
        raise LookupError(f"{path.name} has no {key}: run it with --record")
    return figures[key]


def fuzz() -> Rows:
    """Return how often each target ran, and for how long."""
    figures = evidence("fuzz")
    rows: Rows = [("Target", "Executions", "of them by atheris", "Minutes", "Last run")]
    for name, words in TARGETS.items():
        one = figures[name]
        by = one["by"].get("atheris", 0)
        rows.append((words, f"{one['executions']:,}", f"{by:,}", f"{one['seconds'] / 60:.1f}", one["date"]))
    total = [sum(one[key] for one in figures.values()) for key in ("executions", "seconds")]
    by = sum(one["by"].get("atheris", 0) for one in figures.values())
    return [*rows, ("all", f"{total[0]:,}", f"{by:,}", f"{total[1] / 60:.1f}", "")]


def differences() -> Rows:
    """Return each class of differences, and how often it was seen."""
    figures = evidence("fuzz")["differential"]
    seen, versions = figures.get("classes", {}), figures.get("versions", {})
    rows: Rows = [("Difference", "Right", "Why", "Seen")]
    for one in tomllib.loads(DIFFERENCES.read_text("utf-8"))["difference"]:
        counts = (f"{peer}: {seen.get(peer, {}).get(one['name'], 0):,}" for peer in one["peers"])
        rows.append((one["name"], one["right"], one["why"], "; ".join(counts)))
    for peer, counts in seen.items():
        same = counts.get("same", 0)
        rows.append((f"no difference, {peer} {versions[peer]}", "", "", f"{same:,} of {sum(counts.values()):,}"))
    return rows


def mutants() -> Rows:
    """Return how many changes of each module the tests notice, and of each folder."""
    figures, keys = evidence("mutants"), ("mutants", "killed", "equivalent", "survived")
    rows: Rows = [("Module", "Mutants", "Killed", "No effect, with a reason", "Survived", "Date")]
    for folder in ("protocol", "network"):
        names = [name for name in sorted(figures) if (ROOT / "wsref" / folder / f"{name}.py").exists()]
        for name in names:
            one = figures[name]
            played, *counts = (f"{one[key]:,}" for key in keys)
            if left := one["not_sampled"] + one["not_played"]:
                played += f" of {one['mutants'] + left:,}" + (", a random sample" if one["not_sampled"] else "")
            rows.append((f"`{folder}/{name}`", played, *counts, one["date"]))
        if names:
            rows.append(
                (f"`{folder}`, together", *(f"{sum(figures[name][key] for name in names):,}" for key in keys), "")
            )
    return rows


def survivors() -> Rows:
    """Return the reasons why mutants have no effect, each with its modules."""
    modules: dict[str, list[str]] = {}
    for module, changes in tomllib.loads(SURVIVORS.read_text("utf-8")).items():
        for one in changes:
            modules.setdefault(one["reason"], []).append(f"`{module}`")
    rows: Rows = [("Reason", "Modules", "Mutants")]
    return rows + [(reason, ", ".join(dict.fromkeys(names)), str(len(names))) for reason, names in modules.items()]


def coverage() -> Rows:
    """Return the share of the lines and branches of each folder that the quick tests run, and all tests."""
    figures = evidence("coverage")
    quick, both = figures["quick"], figures["all"]
    rows: Rows = [("Folder", f"Quick tests, {quick['date']}", f"All tests, {both['date']}")]
    rows += [(f"`wsref/{name}`", *(covered(one["folders"][name]) for one in (quick, both))) for name in FOLDERS]
    return [*rows, ("the package", *(covered(*one["folders"].values()) for one in (quick, both)))]


def covered(*folders: dict[str, int]) -> str:
    """Return the covered lines and branches of folders, in percent of all of them."""
    ran = sum(one["covered_lines"] + one["covered_branches"] for one in folders)
    return f"{ran / sum(one['num_statements'] + one['num_branches'] for one in folders):.2%}"


def soak() -> Rows:
    """Return the figures of the long run."""
    one = evidence("soak")
    counts, server = one["counts"], one["server"]
    rows: Rows = [(f"Soak, {one['date']}, Python {one['python']}", "")]
    rows.append(("minutes, clients at a time", f"{one['seconds'] / 60:.0f}, {one['connections']:,}"))
    kinds = ", ".join(f"{counts.get(kind, 0):,} {kind}" for kind in ("plain", "compressed", "tls"))
    rows.append(("sessions", f"{counts['sessions']:,}; of those without a fault {kinds}"))
    rows.append(("messages, each with its echo", f"{counts['messages']:,} ({counts['bytes'] / 2**20:,.0f} MiB)"))
    names = {"F1": "RST anywhere", "F3": "a byte at a time", "F7": "FIN before the Close", "F10": "both close"}
    rows.append(("faults", ", ".join(f"{counts.get(key, 0):,} {words} ({key})" for key, words in names.items())))
    bad = ("lost", "doubled", "reordered")
    rows.append((", ".join(bad), ", ".join(f"{counts.get(name, 0)}" for name in bad)))
    rows.append(("had no turn to connect for 60 s (§4.1: one at a time)", f"{counts.get('no_turn', 0):,}"))
    rows.append(("other errors of clients", f"{counts.get('errors', 0)}"))
    rows.append(("connections opened and closed by the server", f"{server['opened']:,} and {server['closed']:,}"))
    for name, unit in (("threads", ""), ("files", ""), ("memory", " KiB")):
        if one["after"]:
            words = f"{one['before'][name]:,}{unit} before, {one['after'][name]:,}{unit} after"
            rows.append((f"{name} of the server", words))
    return rows


TABLES = {
    "evidence-fuzz": fuzz,
    "evidence-differences": differences,
    "evidence-mutants": mutants,
    "evidence-survivors": survivors,
    "evidence-coverage": coverage,
    "evidence-soak": soak,
}


class SoakPicture(SphinxDirective):
    """A picture of the long run: resident memory and threads of the server over time."""

    def run(self) -> list[nodes.Node]:
        """Return SVG."""
        self.env.note_dependency(str(PATH))
        return [nodes.raw("", picture(evidence("soak")["samples"]), format="html")]


def picture(samples: list[dict[str, Any]]) -> str:
    """Return two curves, each from 0 to its largest value."""
    samples = [sample for sample in samples if "memory" in sample]
    width, height, last = 640, 90, max(sample["second"] for sample in samples)
    parts = []
    for row, (name, scale, unit) in enumerate((("memory", 1024, "MiB of resident memory"), ("threads", 1, "threads"))):
        top = max(sample[name] for sample in samples)
        y0 = 20 + row * (height + 36)
        points = " ".join(
            f"{sample['second'] / last * width:.1f},{y0 + height - sample[name] / top * height:.1f}"
            for sample in samples
        )
        words = html.escape(f"{unit}, up to {top / scale:,.0f}, in {last / 60:,.0f} minutes")
        parts.append(
            f'<text x="0" y="{y0 - 6}" font-size="13" fill="currentColor">{words}</text>'
            f'<path d="M0 {y0 + height}H{width}" stroke="currentColor" stroke-opacity=".35" fill="none"/>'
            f'<polyline points="{points}" fill="none" stroke="var(--color-brand-content)" stroke-width="1.5"/>'
        )
    label = "Memory and threads of the server during the soak"
    return (
        f'<svg viewBox="0 0 {width} {2 * (height + 36) + 4}" role="img" aria-label="{label}" '
        f'style="width: 100%; height: auto">{"".join(parts)}</svg>'
    )


def setup(app: Any) -> None:
    """Register the picture; ``generated`` shows the tables."""
    app.add_directive("soak-picture", SoakPicture)
