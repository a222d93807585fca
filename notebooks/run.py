"""Run the labs from scratch, and see that nothing goes wrong and nothing is left running.

    python notebooks/run.py                     all of them
    python notebooks/run.py 06 messages         these
    python notebooks/run.py --to FOLDER         and keep the executed copies
    python notebooks/run.py --clean             take outputs out again, before a commit

A lab is wrong when a cell raises; when it leaves a thread, a socket or a child process
behind; when it takes more than a minute; when an exercise's check is content before
anybody has done it; or when the solution that is folded away below does not satisfy it.

It needs the ``notebooks`` extra: ``pip install -e '.[notebooks]'``.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent

#: Seconds for a whole lab, its kernel's start included.
TIMEOUT = 60.0

#: What a committed notebook says about its kernel, and nothing more: JupyterLab adds the
#: version of whoever saved it last.
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}

#: Runs before the first cell: what there is before the lab has begun.
BEFORE = """
def _leftovers(_before=None):
    import gc, os, threading, time
    import psutil

    def now():
        me = psutil.Process()
        threads = [t for t in threading.enumerate() if not type(t).__module__.startswith("zmq.")]
        things = {f"thread {t.name!r}" for t in threads}
        for child in me.children(recursive=True):
            things.add(f"child process {child.pid}: {' '.join(child.cmdline())}")
        for fd in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else ():
            try:
                if (link := os.readlink(f"/proc/self/fd/{fd}")).startswith("socket:"):
                    things.add(f"{link} (fd {fd})")
            except OSError:
                pass  # it was the one that listed the folder
        return things

    if _before is None:
        return now()
    deadline = time.monotonic() + 3
    while left := now() - _before:
        if time.monotonic() > deadline:
            raise RuntimeError("left behind: " + "; ".join(sorted(left)))
        gc.collect()
        time.sleep(0.02)

_before = _leftovers()
"""

#: Runs after the last.
AFTER = "_leftovers(_before)"


class LabFailed(Exception):
    """What went wrong in a lab, fit to be printed."""


# -- Exercises and their solutions -----------------------------------------------------------


def tagged(cell: dict[str, Any], tag: str) -> bool:
    """Whether a cell has a tag."""
    return tag in cell.get("metadata", {}).get("tags", ())


def solution_of(cell: dict[str, Any]) -> str:
    r"""The program in a cell that is folded away.

    >>> solution_of({"id": "x", "source": "<details>\n\n```python\n1 + 1\n```\n\n</details>"})
    '1 + 1'
    """
    found = re.search(
        r"<details>.*?^```python\n(.*?)\n```$.*?</details>", source_of(cell), re.M | re.S
    )
    if not found:
        raise LabFailed(f"the solution {cell['id']!r} is no ```python block inside <details>")
    return found[1]


def source_of(cell: dict[str, Any]) -> str:
    """A file may hold it as a list of lines."""
    source = cell["source"]
    return source if isinstance(source, str) else "".join(source)


def is_exercise(cells: Sequence[dict[str, Any]]) -> bool:
    """Whether these are an exercise, its check and its solution."""
    order = ("exercise", "check", "solution")
    return len(cells) == 3 and all(
        tagged(cell, tag) for cell, tag in zip(cells, order, strict=True)
    )


def exercises(
    cells: Sequence[dict[str, Any]],
) -> Iterator[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]]:
    """Each exercise: the cell to fill in, the cell that checks it, the cell with the solution.

    Raises:
        LabFailed: one of the three is missing.
    """
    rest = [
        cell
        for cell in cells
        if any(tagged(cell, tag) for tag in ("exercise", "check", "solution"))
    ]
    while rest:
        three, rest = rest[:3], rest[3:]
        if [
            tagged(cell, tag)
            for cell, tag in zip(three, ("exercise", "check", "solution"), strict=False)
        ] != [True] * 3:
            raise LabFailed(f"{three[0]['id']!r}: exercise, check and solution come in this order")
        yield three[0], three[1], three[2]


def printed(cell: dict[str, Any]) -> str:
    """The last line that a cell has printed: a check's verdict."""
    lines = "".join(
        output["text"] for output in cell["outputs"] if output.get("name") == "stdout"
    ).splitlines()
    return lines[-1] if lines else ""


# -- One lab --------------------------------------------------------------------------------


def execute(source: Path, target: Path) -> None:
    """Run a lab in a kernel of its own, and write the executed copy.

    Args:
        source: The notebook.
        target: Where the copy goes; its folder is made.
    Raises:
        LabFailed: see above.
    """
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
    from traitlets.config import Config

    notebook = nbformat.read(source, as_version=4)  # type: ignore[no-untyped-call]
    own = list(notebook.cells)

    def extra(code: str) -> Any:
        return nbformat.v4.new_code_cell(code)  # type: ignore[no-untyped-call]

    # The solutions run last, in the same kernel: what the cells above have made is there.
    solved = [
        (extra(solution_of(solution)), extra(source_of(check)), check)
        for _, check, solution in exercises(own)
    ]
    notebook.cells = [
        extra(BEFORE),
        *own,
        *(cell for pair in solved for cell in pair[:2]),
        extra(AFTER),
    ]

    deadline = time.monotonic() + TIMEOUT
    channels = tempfile.TemporaryDirectory(prefix="lab")
    client = NotebookClient(
        notebook,
        # The kernel is spoken to through files that only we can open: ports are for the labs.
        kernel_name=METADATA["kernelspec"]["name"],
        config=Config({"KernelManager": {"transport": "ipc", "ip": f"{channels.name}/kernel"}}),
        resources={"metadata": {"path": str(HERE)}},  # there is lab.py
        timeout_func=lambda cell: max(1, int(deadline - time.monotonic())),
        record_timing=False,
        coalesce_streams=True,  # one print may arrive as two outputs, the second a line break
    )
    try:
        with channels:
            client.execute()
    except CellTimeoutError:
        raise LabFailed(f"not done after {TIMEOUT:g} s") from None
    except CellExecutionError as error:
        raise LabFailed(re.sub(r"\x1b\[[0-9;]*m", "", str(error))) from None
    except (DeadKernelError, RuntimeError) as error:  # RuntimeError: it did not start
        raise LabFailed(f"the kernel: {error}") from None

    for _, again, check in solved:
        if not printed(check).startswith("✗ "):
            raise LabFailed(
                f"{check['id']!r} is content before the exercise is done: {printed(check)!r}"
            )
        if not printed(again).startswith("✓ "):
            raise LabFailed(f"{check['id']!r} does not take the solution: {printed(again)!r}")

    notebook.cells = own
    for cell in own:
        if cell.cell_type == "markdown":  # from docs/labs/ the chapters are nearer than from here
            cell.source = cell.source.replace("](../docs/tutorial/", "](../tutorial/")
    target.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, target)  # type: ignore[no-untyped-call]


def clean(path: Path) -> bool:
    """Take out of a notebook what running and saving it has put in; whether there was anything."""
    before = path.read_text("utf-8")
    notebook = json.loads(before)
    notebook["metadata"] = METADATA
    for cell in notebook["cells"]:
        cell["metadata"] = {
            name: value for name, value in cell["metadata"].items() if name in ("tags", "mystnb")
        }
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
    after = json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    if after != before:
        path.write_text(after, "utf-8")
    return after != before


# -- The program ------------------------------------------------------------------------------


def find(names: Sequence[str]) -> list[Path]:
    """The labs whose file names contain one of these; without any, all.

    Raises:
        LabFailed: none does.
    """
    labs = sorted(HERE.glob("[0-9][0-9]-*.ipynb"))
    for name in names:
        if not any(Path(name).stem in lab.stem for lab in labs):
            raise LabFailed(
                f"there is no lab {name!r}; there are {', '.join(lab.stem for lab in labs)}"
            )
    return [lab for lab in labs if not names or any(Path(name).stem in lab.stem for name in names)]


def main(argv: Sequence[str] | None = None) -> int:
    """The program: 0 if all is well, 1 if a lab failed, 2 for what was not understood."""
    parser = argparse.ArgumentParser(
        prog="notebooks/run.py", description="Run the labs from scratch."
    )
    parser.add_argument(
        "name", nargs="*", metavar="NAME", help="a lab's number or name, or a part of it; none: all"
    )
    parser.add_argument("--to", type=Path, metavar="FOLDER", help="keep the executed copies there")
    parser.add_argument(
        "--clean", action="store_true", help="do not run: take outputs out, as they are committed"
    )
    args = parser.parse_args(argv)
    try:
        labs = find(args.name)
    except LabFailed as error:
        parser.error(str(error))
    if args.clean:
        for lab in labs:
            print(f"{lab.stem}: {'cleaned' if clean(lab) else 'was clean'}")
        return 0

    failed = []
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        for n, lab in enumerate(labs, 1):
            print(f"[{n}/{len(labs)}] {lab.stem:26} ", end="", flush=True)
            start = time.monotonic()
            try:
                execute(lab, (args.to or Path(scratch)) / lab.name)
                print(f"ok     {time.monotonic() - start:5.1f} s", flush=True)
            except LabFailed as error:
                failed.append(lab.stem)
                print(f"FAILED {time.monotonic() - start:5.1f} s\n{error}", flush=True)
    print(f"{len(labs) - len(failed)} of {len(labs)} ok, {time.monotonic() - began:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # "| head" has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except ModuleNotFoundError as missing:
        print(
            f"{missing}: the labs need more than wsref: pip install -e '.[notebooks]'",
            file=sys.stderr,
        )
        sys.exit(2)
