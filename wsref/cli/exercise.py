"""``python -m wsref exercise``: the exercises of the book, as a file to fill in and checks of it.

Exit code: 0, every exercise is right, or the stubs are written; 1, not yet; 2, usage; 130, Ctrl-C.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Iterator

from ..exercises import runner, stubs
from .conversation import escaped
from .terminal import CommandError, seconds, wants_colour

_COLOURS = {"ok": "32", "wrong": "31", "not begun": "2"}


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the parser of ``exercise``."""
    parser = commands.add_parser(
        "exercise",
        help="do the exercises of the book, and check them",
        description="Do the exercises of the book.  The first call for a chapter writes exercise_NN.py, with a stub\n"
        "for each exercise; every later call checks the code in it.  No file is ever overwritten.",
        epilog="examples:\n"
        "  python -m wsref exercise 3               write exercise_03.py; later: check it\n"
        "  python -m wsref exercise 3 --solution    print the solutions of chapter 3\n"
        "  python -m wsref exercise                 show what is done, from the files in this folder\n\n"
        "exit code: 0, every exercise is right, or the stubs are written; 1, not yet; 2, usage; 130, Ctrl-C",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run, parser=parser)
    add = parser.add_argument
    add("chapter", metavar="N", nargs="?", type=int, choices=stubs.CHAPTERS, help="the chapter, 0 to 11")
    add("--solution", action="store_true", help="print the solutions")
    add(
        "--timeout",
        metavar="SECONDS",
        type=seconds,
        default=10.0,
        help="the time for each exercise (default: %(default)g)",
    )


def run(options: argparse.Namespace) -> int:
    """Run ``python -m wsref exercise``.

    Returns:
        The exit code.
    Raises:
        CommandError: A file cannot be written or read, or is not Python.
    """
    chapter: int | None = options.chapter
    if options.solution and chapter is None:
        options.parser.error("--solution needs the chapter, as in: exercise 3 --solution")
    if chapter is None:
        return show_progress(options.timeout)
    if options.solution:
        if isinstance(sys.stdout, io.TextIOWrapper) and not sys.stdout.isatty():
            sys.stdout.reconfigure(encoding="utf-8")  # a file of Python is UTF-8, in every locale
        print(stubs.solution_of(chapter), end="")
        return 0
    if stubs.path_of(chapter).exists():
        return check(chapter, options.timeout)
    return write(chapter)


def write(chapter: int) -> int:
    """Write the stubs of a chapter."""
    path, text = stubs.path_of(chapter), stubs.stub_of(chapter)
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise CommandError(f"cannot write {path}: {error.strerror}") from None
    print(f"{path} is written, with {len(stubs.definitions(text))} exercises of chapter {chapter}.")
    print(f"Open it, put your code in place of each ..., and check it: python -m wsref exercise {chapter}")
    return 0


def check(chapter: int, timeout: float) -> int:
    """Check the learner's file."""
    path = stubs.path_of(chapter)
    print(f"{path}, chapter {chapter}: {stubs.title_of(chapter)}", flush=True)
    states = []
    for result in _results(chapter, timeout):
        print(f"{_coloured(result.state)}{result.name}", flush=True)
        for line in result.why.splitlines():
            print(f"{'':11}{escaped(line)}", flush=True)
        states.append(result.state)
    print(f"{states.count('ok')} of {len(states)} exercises right")
    if "wrong" in states:
        print(f"If you are stuck: python -m wsref exercise {chapter} --solution")
    return int(set(states) != {"ok"})


def show_progress(timeout: float) -> int:
    """Check all files in the current folder, and print a line for each chapter."""
    done: list[int] = []
    for chapter in stubs.CHAPTERS:
        if not stubs.path_of(chapter).exists():
            state = "not begun"
        else:
            try:
                states = [result.state for result in _results(chapter, timeout, quiet=True)]
                right = states.count("ok")
                state = f"{right} of {len(states)}"
                done += [chapter] if right == len(states) else []
            except CommandError as error:
                state = str(error)
        print(f"{chapter:2}  {stubs.title_of(chapter):22}  {state}", flush=True)
    print(f"{len(done)} of {len(stubs.CHAPTERS)} chapters done")
    left = [chapter for chapter in stubs.CHAPTERS if chapter not in done]
    if left:
        print(f"Next: python -m wsref exercise {left[0]}")
    return int(bool(left))


def _results(chapter: int, timeout: float, *, quiet: bool = False) -> Iterator[runner.Result]:
    """Check a chapter's file.

    Raises:
        CommandError: The file cannot be read, or is not Python.
    """
    path = stubs.path_of(chapter)
    try:
        yield from runner.results(chapter, path, timeout=timeout, quiet=quiet)
    except SyntaxError as error:
        text = f": {escaped(error.text.strip()[:100])}" if error.text else ""
        raise CommandError(f"{path}, line {error.lineno or 1}: {error.msg}{text}") from None
    except (MemoryError, RecursionError):
        raise CommandError(f"{path} is nested too deeply for Python") from None
    except OSError as error:
        raise CommandError(f"cannot read {path}: {error.strerror}") from None


def _coloured(state: str) -> str:
    """Return the first column of a line."""
    if wants_colour(sys.stdout):
        return f"\x1b[{_COLOURS[state]}m{state:11}\x1b[0m"
    return f"{state:11}"
