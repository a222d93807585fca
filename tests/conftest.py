"""What the tests share: a server for each test, and a check that nothing is left of it."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import hypothesis
import pytest

if os.environ.get("WSREF_TEST_SYSTEM"):
    other_system = str(Path(__file__).parent / "other_system")
    runpy.run_path(f"{other_system}/sitecustomize.py")  # Debian's Python has imported another ``sitecustomize``
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [other_system, os.environ.get("PYTHONPATH")]))

from wsref import Echo, Limits, WebSocketHandler, WebSocketServer

sys.path.insert(0, str(Path(__file__).parent))  # rawclient, vectors

collect_ignore = ["other_system"]  # a module ``sitecustomize`` may be imported already

#: Seconds: nothing in a test takes longer, on the slowest machine.  (With a fault on purpose it need not be so long.)
DEADLINE = float(os.environ.get("WSREF_TEST_DEADLINE", "30"))


# Who runs the tests in the background of a shell script has SIGINT ignored, and so would
# every program that they start; a handler of our own is not inherited.
signal.signal(signal.SIGINT, signal.default_int_handler)


#: Settings of ``logging`` that the command line changes, see ``set_up_log``.
WHAT_A_LINE_KNOWS = {
    name: getattr(logging, name) for name in ("_srcfile", "logThreads", "logProcesses", "logMultiprocessing")
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the slow tests too")
    parser.addoption("--repeat", type=int, default=1, help="run each test so many times: for the tests of faults")


def pytest_configure(config: pytest.Config) -> None:
    """How a property is tested: the same examples on each run, and a third of them without ``--slow``."""
    examples = 150 if config.getoption("--slow") else 50
    hypothesis.settings.register_profile("wsref", deadline=None, derandomize=True, max_examples=examples)
    if not config.getoption("--hypothesis-profile", None):
        hypothesis.settings.load_profile("wsref")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """For ``-n auto``, three for each processor: the tests wait more than they compute."""
    if number := os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS"):
        return int(number)
    return 3 * (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect without the garbage collector, which finds nothing among thousands of tests: a third of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if (times := metafunc.config.getoption("repeat")) > 1:
        metafunc.fixturenames.append("repetition")
        metafunc.parametrize("repetition", range(1, times + 1))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--slow"):
        left_out = [item for item in items if item.get_closest_marker("slow")]
        items[:] = [item for item in items if not item.get_closest_marker("slow")]
        config.hook.pytest_deselected(items=left_out)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if not config.getoption("--slow"):
        terminalreporter.write_line("The slow tests are left out: --slow runs them too.")


def wait_until(true: Callable[[], object], seconds: float = DEADLINE) -> None:
    """Wait for what another thread or process does; a failure after the deadline."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.002)


@contextlib.contextmanager
def free_port() -> Iterator[int]:
    """A port of loopback that belongs to this test: nobody listens there, but a server of the test may.

    A socket that does not listen holds the port, so the system gives it to no other program and to no
    other worker of pytest-xdist.  ``SO_REUSEADDR`` lets a server share it.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


def peak_memory(run: Callable[[], object]) -> int:
    """The most bytes that `run` held at a time: the least of three goes.

    `tracemalloc` counts all threads of the process, and one that an earlier test left behind
    may take memory at any moment.  Others can only add, so the least is nearest.
    """
    peaks = []
    for _ in range(3):
        tracemalloc.start()
        try:
            run()
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    return min(peaks)


def open_files() -> int:
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


@pytest.fixture
def serve() -> Iterator[Callable[..., WebSocketServer]]:
    """``serve(Handler, limits=Limits(...))`` starts a server on a free port of loopback."""
    threads, files = threading.active_count(), open_files()
    with contextlib.ExitStack() as stack:

        def start(handler: type[WebSocketHandler] = Echo, **options: object) -> WebSocketServer:
            # No pings: where a test takes longer than their interval, its client would meet one.
            options.setdefault("limits", Limits(shutdown_timeout=0.5, ping_interval=3600))
            server = stack.enter_context(WebSocketServer(("127.0.0.1", 0), handler, **options))  # type: ignore[arg-type]
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            return server

        yield start
    wait_until(lambda: threading.active_count() <= threads)
    wait_until(lambda: open_files() <= files)


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """All that wsref logs, whatever the level.

    A command that a test runs in this process leaves a log handler behind, which writes to a
    stream that pytest closes, and a logger that does not propagate, to which pytest then adds
    handlers of its own: so both are undone before and after each test.  So is what it makes the
    whole of ``logging`` look for no more.
    """
    logger = logging.getLogger("wsref")

    def undo() -> None:
        logger.handlers.clear()
        logger.propagate = True
        for name, value in WHAT_A_LINE_KNOWS.items():
            setattr(logging, name, value)

    undo()
    caplog.set_level(logging.DEBUG, "wsref")
    yield caplog
    undo()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A certificate for localhost that signs itself, and its key, made for this run."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = str(folder / "cert.pem"), str(folder / "key.pem")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    require(found("openssl"), "openssl is not installed")
    subprocess.run(command, check=True, capture_output=True)
    return cert, key


def found(program: str) -> bool:
    import shutil

    return shutil.which(program) is not None


def require(there: object, reason: str, where: str = "CI") -> None:
    """Skip where something is not installed; where the variable ``where`` is set that is a failure.

    ``CI`` is set in all of CI, ``CI_DOCS`` in its step that builds the book.
    """
    if not there:
        if os.environ.get(where):
            pytest.fail(f"{where} must have it: {reason}")
        pytest.skip(reason)
