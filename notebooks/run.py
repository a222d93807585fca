"""Run the labs from scratch, with their exercises undone and then solved.

    python notebooks/run.py                     all labs
    python notebooks/run.py 06 messages         these labs
    python notebooks/run.py --to FOLDER         keep the executed copies in this folder
    python notebooks/run.py --clean             remove the outputs, before a commit

A lab fails when

- a cell raises an exception;
- it leaves a thread, a socket or a child process behind;
- it takes more than a minute;
- the check of an exercise passes before the exercise is done;
- the check of an exercise fails on the folded solution.

The program needs the ``notebooks`` extra: ``pip install -e '.[notebooks]'``.
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

#: Seconds for a whole lab, including the start of its kernel.
TIMEOUT = 60.0

#: The metadata of a committed notebook.  JupyterLab adds the Python version of its last user.
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}

#: Runs before the first cell: it notes the threads, sockets and child processes of the kernel.
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
                pass  # the descriptor of the listing itself
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

#: Runs after the last cell: it raises an exception if there are new ones.
AFTER = "_leftovers(_before)"


class LabFailed(Exception):
    """A lab failed, for the reason in the text."""


# -- Exercises and their solutions -----------------------------------------------------------


def tagged(cell: dict[str, Any], tag: str) -> bool:
    """Return whether a cell has a tag."""
    return tag in cell.get("metadata", {}).get("tags", ())


def solution_of(cell: dict[str, Any]) -> str:
    r"""Return the program in the folded cell of a solution.

    Raises:
        LabFailed: The cell contains no program.

    >>> solution_of({"id": "x", "source": "<details>\n\n```python\n1 + 1\n```\n\n</details>"})
    '1 + 1'
    """
    found = re.search(
        r"<details>.*?^```python\n(.*?)\n```$.*?</details>", source_of(cell), re.M | re.S
    )
    if not found:
        raise LabFailed(f"the solution {cell['id']!r} has no ```python block inside <details>")
    return found[1]


def source_of(cell: dict[str, Any]) -> str:
    """Return the text of a cell: a file may hold it as a list of lines."""
    source = cell["source"]
    return source if isinstance(source, str) else "".join(source)


def exercises(
    cells: Sequence[dict[str, Any]],
) -> Iterator[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]]:
    """Yield the three cells of each exercise: the stub, the check and the solution.

    Raises:
        LabFailed: One of the three is missing.
    """
    order = ("exercise", "check", "solution")
    rest = [cell for cell in cells if any(tagged(cell, tag) for tag in order)]
    while rest:
        three, rest = rest[:3], rest[3:]
        if len(three) < 3 or not all(map(tagged, three, order)):
            raise LabFailed(f"{three[0]['id']!r}: exercise, check and solution come in this order")
        yield three[0], three[1], three[2]


def printed(cell: dict[str, Any]) -> str:
    """Return the last line that a cell has printed: the verdict of a check."""
    lines = "".join(
        output["text"] for output in cell["outputs"] if output.get("name") == "stdout"
    ).splitlines()
    return lines[-1] if lines else ""


# -- One lab --------------------------------------------------------------------------------


def execute(source: Path, target: Path) -> None:
    """Run a lab in its own kernel, and write the executed copy.

    Args:
        source: The notebook.
        target: The path of the copy.  Its folder is created.
    Raises:
        LabFailed: The lab fails, for one of the reasons at the top of this file.
    """
    import nbformat

    notebook = nbformat.read(source, as_version=4)  # type: ignore[no-untyped-call]
    own = list(notebook.cells)

    def extra(code: str) -> Any:
        return nbformat.v4.new_code_cell(code)  # type: ignore[no-untyped-call]

    # The solutions run last, in the same kernel: they use names from the cells above.
    solved = [
        (check, extra(solution_of(solution)), extra(source_of(check)))
        for _, check, solution in exercises(own)
    ]
    after = [cell for _, solution, again in solved for cell in (solution, again)]
    notebook.cells = [extra(BEFORE), *own, *after, extra(AFTER)]
    run_cells(notebook)

    for check, _, again in solved:
        if not printed(check).startswith("✗ "):
            raise LabFailed(
                f"{check['id']!r} passes before the exercise is done: {printed(check)!r}"
            )
        if not printed(again).startswith("✓ "):
            raise LabFailed(f"{check['id']!r} fails on the solution: {printed(again)!r}")

    notebook.cells = own
    for cell in own:
        if cell.cell_type == "markdown":  # the copy is in docs/labs/
            cell.source = cell.source.replace("](../docs/tutorial/", "](../tutorial/")
    target.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, target)  # type: ignore[no-untyped-call]


def run_cells(notebook: Any) -> None:
    """Run the cells of a notebook in a new kernel.

    Raises:
        LabFailed: A cell raised an exception, or the time is up.
    """
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
    from traitlets.config import Config

    deadline = time.monotonic() + TIMEOUT
    with tempfile.TemporaryDirectory(prefix="lab") as channels:
        client = NotebookClient(
            notebook,
            # Talk to the kernel through files that only we can open.  Ports are for the labs.
            kernel_name=METADATA["kernelspec"]["name"],
            config=Config({"KernelManager": {"transport": "ipc", "ip": f"{channels}/kernel"}}),
            resources={"metadata": {"path": str(HERE)}},  # the folder of lab.py
            timeout_func=lambda cell: max(1, int(deadline - time.monotonic())),
            record_timing=False,
            coalesce_streams=True,  # otherwise one print may become two outputs
        )
        try:
            client.execute()
        except CellTimeoutError:
            raise LabFailed(f"not done after {TIMEOUT:g} s") from None
        except CellExecutionError as error:
            raise LabFailed(re.sub(r"\x1b\[[0-9;]*m", "", str(error))) from None
        except (DeadKernelError, RuntimeError) as error:  # RuntimeError: it did not start
            raise LabFailed(f"the kernel: {error}") from None


def clean(path: Path) -> bool:
    """Remove outputs and metadata from a notebook, and return whether it had any."""
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
    """Return the labs whose file names contain one of these names; without names, all labs.

    Raises:
        LabFailed: No lab has such a name.
    """
    labs = sorted(HERE.glob("[0-9][0-9]-*.ipynb"))
    for name in names:
        if not any(Path(name).stem in lab.stem for lab in labs):
            raise LabFailed(
                f"there is no lab {name!r}; the labs are {', '.join(lab.stem for lab in labs)}"
            )
    return [lab for lab in labs if not names or any(Path(name).stem in lab.stem for name in names)]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program, and return its exit code.

    0: success.  1: a lab failed.  2: an invalid argument.
    """
    parser = argparse.ArgumentParser(
        prog="notebooks/run.py", description="Run the labs from scratch."
    )
    name_help = "the number or name of a lab, or a part of it (default: all)"
    parser.add_argument("name", nargs="*", metavar="NAME", help=name_help)
    parser.add_argument("--to", type=Path, metavar="FOLDER", help="keep the executed copies there")
    parser.add_argument("--clean", action="store_true", help="remove outputs instead of running")
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
    except BrokenPipeError:  # the reader, such as head, has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except ModuleNotFoundError as missing:
        print(
            f"{missing}: the labs need more than wsref: pip install -e '.[notebooks]'",
            file=sys.stderr,
        )
        sys.exit(2)
