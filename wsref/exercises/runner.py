"""The checks of a learner's file.

Each check runs in its own process: an endless loop ends there, and no exercise disturbs another.
"""

from __future__ import annotations

import ast
import contextlib
import faulthandler
import importlib
import importlib.util
import io
import linecache
import multiprocessing
import os
import re
import signal
import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType
from typing import Any

from .expect import Wrong, describe
from .stubs import Definition, definitions, stub_of


@dataclass(frozen=True)
class Result:
    """The state of one exercise: "ok", "wrong" or "not begun"; if it is wrong, a sentence that says why."""

    name: str
    state: str
    why: str = ""


def _code(node: Definition) -> list[ast.stmt]:
    """Return what a definition does: its statements without docstrings, ``...`` and ``pass``."""
    ignored = ast.FunctionDef | ast.ClassDef | ast.Pass
    statements = [one for one in ast.walk(node) if isinstance(one, ast.stmt) and not isinstance(one, ignored)]
    return [one for one in statements if not (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))]


def _same_code(theirs: Definition, stub: Definition) -> bool:
    ours, begun = _code(stub), _code(theirs)
    # The number first: dump fails for what is nested as deeply as an if with 200 elif.
    return len(ours) == len(begun) and [*map(ast.dump, ours)] == [*map(ast.dump, begun)]


def results(chapter: int, path: Path, *, timeout: float, quiet: bool = False) -> Iterator[Result]:
    """Check each exercise of a chapter in the learner's file.

    Args:
        chapter: 0 to 11.
        path: The file.
        timeout: Seconds for each exercise.
        quiet: Discard the output of the learner's code.
    Raises:
        OSError: The file cannot be read.
        SyntaxError: It is not Python.
    """
    source = path.read_bytes()
    if b"\0" in source:  # a ValueError for Python before 3.11.4
        raise SyntaxError("the file has null bytes, as UTF-16 has: save it as UTF-8")
    with warnings.catch_warnings():  # the learner's process shows them
        warnings.simplefilter("ignore")
        compile(source, str(path), "exec")  # finds more than the parser does, such as a return outside of a function
        theirs = definitions(source)
    stubs = definitions(stub_of(chapter))
    for name, stub in stubs.items():
        if name in theirs and _same_code(theirs[name], stub):
            yield Result(name, "not begun")
        else:
            why = _check_in_process(chapter, name, path, timeout, quiet)
            yield Result(name, "wrong" if why else "ok", why)


def verdict(chapter: int, name: str, path: Path) -> str:
    """Check one exercise in this process.

    Returns:
        The fault, with the learner's own line; "" if the exercise is right.
    """
    try:
        module = _load(path)
        if not hasattr(module, name):
            return f"{path} has no {name}"
        theirs = getattr(module, name)
        if not callable(theirs):
            return f"{name} must be a function or a class, as in the stub, not {type(theirs).__name__}"
        getattr(importlib.import_module(f"{__package__}.ch{chapter:02}"), f"check_{name}")(theirs)
    except Wrong as wrong:
        return f"{wrong}{_line_of(wrong.__cause__, path)}"
    except BaseException as error:
        return f"{describe(error)}{_line_of(error, path)}"
    return ""


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None  # it is a .py file
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # inspect and dataclasses look there
    spec.loader.exec_module(module)
    return module


def _line_of(error: BaseException | None, path: Path) -> str:
    """Return the last line of the learner's that an exception has passed."""
    traceback, numbers = error and error.__traceback__, []
    while traceback:
        if traceback.tb_frame.f_code.co_filename == str(path.absolute()):
            numbers.append(traceback.tb_lineno)
        traceback = traceback.tb_next
    return _quote(path, numbers[-1]) if numbers else ""


def _quote(path: Path, number: int) -> str:
    return f"\n{path}, line {number}: {linecache.getline(str(path), number).strip()[:100]}"


def _check_in_process(chapter: int, name: str, path: Path, timeout: float, quiet: bool) -> str:
    """Return the verdict of a new process, or how that ended without one."""
    context: Any = multiprocessing.get_context("fork" if hasattr(os, "fork") else "spawn")  # Windows has no fork
    receiver, sender = context.Pipe(duplex=False)
    with tempfile.TemporaryDirectory() as folder, receiver:
        hung = Path(folder, "hung")
        child = context.Process(target=_child, args=(sender, hung, chapter, name, path, timeout, quiet))
        try:
            with _ctrl_c_later():
                child.start()
            sender.close()
            while not receiver.poll(0.1):
                if child.exitcode is not None and not receiver.poll():
                    raise EOFError  # a process that the learner's code has started may keep the pipe open
            return str(receiver.recv())
        except EOFError:
            child.join()
            report = hung.read_text(errors="replace") if hung.exists() else ""
        finally:
            if child.pid is not None:
                child.kill()
                child.join()
    if not report:
        return "your code ended the whole process"
    line = re.compile(rf'File ".*{re.escape(path.name)}", line (\d+)')
    found = line.search(report.rpartition("\nThread ")[2]) or line.search(report)  # the main thread is the last
    return f"it still runs after {timeout:g} s" + (_quote(path, int(found[1])) if found else "")


@contextlib.contextmanager
def _ctrl_c_later() -> Iterator[None]:
    """Hold SIGINT back: what Python calls after a fork would take KeyboardInterrupt and go on."""
    if hasattr(signal, "pthread_sigmask"):  # not on Windows
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    else:
        yield


def _child(
    sender: Connection[Any, Any], hung: Path, chapter: int, name: str, path: Path, timeout: float, quiet: bool
) -> None:
    """Send the verdict.  After the timeout, write where each thread is, and end: no loop can prevent that."""
    faulthandler.dump_traceback_later(min(timeout, 1e6), exit=True, file=hung.open("wb"))
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])  # _ctrl_c_later has held it back
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(path.absolute().parent))  # as "python -m" has it, and the command "wsref" has not
    if quiet:
        sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # escape what it cannot show, and keep no line: the process is killed
            stream.reconfigure(errors="backslashreplace", line_buffering=True)
    why = verdict(chapter, name, path)
    with contextlib.suppress(Exception):  # it may be closed, or an object of the learner's
        print(end="", flush=True)
    sender.send(why)
    os._exit(0)  # without waiting for threads of the learner's
