"""How strong the tests are: change one thing in the code, and see whether a test fails.

``python tests/mutants.py frames closing`` makes the mutants of these modules of wsref/protocol and wsref/network
with Cosmic Ray, in a copy of the repository, and plays the tests that TESTS names against each of them.
With ``--minutes`` it stops in time, and another run goes on from there; with ``--again`` it plays survivors
again, with today's tests.  ``--sample 150`` plays 150 of each module, the same ones each time.
Survivors are printed; ``tests/mutants.toml`` has the examined ones, each with the reason why it changes nothing.
``--record`` writes the figures to ``docs/evidence.json``, which the page *How do we know?* reads.

Left out are annotations (``from __future__ import annotations``) and Protocols, which are no code at run time,
and ``==`` in place of ``is``: the code uses ``is`` for None, for members of enumerations, and for objects that
define no equality.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import difflib
import gc
import importlib.util
import io
import os
import random
import resource
import shutil
import signal
import sqlite3
import sys
import time
import tomllib
import traceback
from pathlib import Path
from typing import Any

import hypothesis.stateful  # noqa: F401  loaded here, once for all forks
import pytest
from hypothesis import Phase, settings

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from evidence import today, updated  # noqa: E402

BOUND = "Bounds::test_the_limit_counts_what_comes_out_and_nothing_is_cut_off"
PIECES = "Bounds::test_output_comes_in_pieces_of_at_most_64_kib"
ZLIB = "RoundTrips::test_zlib_with_the_agreed_window_reads_what_we_send"
REDIRECT = "Refusals::test_a_redirect_is_told_with_the_command_that_follows_it"
INTERNAL = "NamesOfASubclass::test_a_name_that_overrides_an_internal_is_refused"
NO_METHODS = "NamesOfASubclass::test_options_and_attributes_are_no_methods"
TLS = ["TLS::test_a_peer_that_makes_tls_refuse_to_write_hurts_nobody_else"]
CONNECTION = ["Events", "Masking", "ControlFrames", "Closing", "TheEndOfTCP", "Failing", "Sending", "Threads"]
HTTP = ["GoodHeads", "Headers", "BadHeads", "Responses", "Limits", "OtherProtocols", "Authorities", "Cost"]


def of(file: str, *names: str) -> list[str]:
    """Classes of one file of tests, or single tests; all of it if there is no name."""
    return [f"test_{file}.py::Test{name}" for name in names] or [f"test_{file}.py"]


#: The tests that judge a module, those that kill most first.  Its doctests always do, and ALWAYS.
TESTS = {
    "client_handshake": of("client", "TheRequest", "TheWordsOfARefusal", REDIRECT, "TheAnswer"),
    "closing": of("closing"),
    "connection": of("connection", *CONNECTION) + of("deflate", "Vectors", "RSV1", BOUND),
    "deflate": of("deflate", "Offers", "Responses", "Vectors", "WholeMessages", "RSV1", "BadData", BOUND, PIECES, ZLIB),
    "errors": of("errors"),
    "extensions": of("handshake", "Rules") + of("deflate", "TheHeader"),
    "frames": of("frames") + of("connection", "Masking"),
    "handshake": of("handshake"),
    "http11": of("http11", *HTTP),
    "limits": of("house", "Limits"),
    "masking": of("frames", "Masking") + of("speed", "Masking"),
    "messages": of("messages") + of("deflate", "RSV1", BOUND),
    "origin": of("handshake", "Origin"),
    "spec": of("spec"),
    "url": of("client", "URL"),
    "arguments": of("arguments"),
    "backlog": of("transport", "RoundsOfTheBacklogWriter", "BacklogWriter"),
    "channel": of("channel") + of("conversation", "Closing"),
    "client": of("websocket") + of("client", "TheRequest", "Conversation", "TheEnd"),
    "dialing": of("dialing"),
    "handler": of("handler")
    + of("subclassing", "NamesOfASubclass", "Hooks", "CheckRequest")
    + of("conversation", "Hooks"),
    "log": of("waiting", "Log"),
    "overload": of("overload") + of("workers", "RefusedConnections"),
    "send_queue": of("send_queue"),
    "server": of("server")
    + of("arguments")
    + of("subclassing", "LifeOfAServer")
    + of("opening", "Full")
    + of("conversation", "NothingLost"),
    "subclassing": of("subclassing", INTERNAL, NO_METHODS, "Hooks", "Mixins"),
    "tap": of("trace") + of("faults", "ATapThatFails"),
    "tls": of("tls", "TLSTransport", *TLS),
    "transport": of("speed", "TwoParts", "PostAtOnce", "Holding")
    + of("transport", "CallsOfTheKernel", "Send", "SendNowait", "TheEnd", "Receive"),
    "waiting": of("waiting"),
}
#: Of these tests the slowest, which judge lines that others judge, too.
SLOW = of(
    "client",
    "TheEnd::test_messages_that_come_before_the_servers_close_are_kept_and_how_many_were_not_is_logged",
    "TheRequest::test_a_host_for_a_virtual_host_replaces_that_of_the_url_and_comes_first",
    "Conversation::test_a_ping_does_not_keep_messages_without_end",
    "Conversation::test_pings_are_answered_while_we_wait",
    "Conversation::test_a_message_in_fragments_is_not_in_memory",
)
ALWAYS = of("house", "Signatures")

#: Hypothesis takes the same examples for each mutant, and does not look for the smallest one that fails.
settings.register_profile("mutants", phases=[Phase.explicit, Phase.generate], derandomize=True, deadline=None)
OPTIONS = ["-q", "-x", "--tb=line", "--assert=plain", "--hypothesis-profile=mutants", "-pno:cacheprovider"]
OPTIONS += ["-pno:xdist", "-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning"]

LEFT_OUT = {f"core/ReplaceComparisonOperator_{name}" for name in ("Is_Eq", "IsNot_NotEq")}
CPU_SECONDS = 30
NOT_SAMPLED = "not in the sample"


def annotations(source: str) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """The places of all annotations and Protocols: ``((line, column), (line, column))``."""
    found: list[ast.expr | ast.stmt | None] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.AnnAssign | ast.arg):
            found.append(node.annotation)
        elif isinstance(node, ast.FunctionDef):
            found.append(node.returns)
        elif isinstance(node, ast.ClassDef) and "Protocol" in [ast.unparse(base) for base in node.bases]:
            found.append(node)
    return [((n.lineno, n.col_offset), (n.end_lineno or 0, n.end_col_offset or 0)) for n in found if n is not None]


def path_of(module: str) -> Path:
    """The file of a module, from the root of the repository."""
    paths = (Path("wsref", folder, f"{module}.py") for folder in ("protocol", "network"))
    return next(path for path in paths if (HERE.parent / path).exists())


def prepare(module: str, work: Path, sample: int | None) -> None:
    """A copy of the package and its tests, and the session with the mutants of one module."""
    from cosmic_ray.commands import init
    from cosmic_ray.work_db import use_db
    from cosmic_ray.work_item import WorkerOutcome, WorkResult

    copy, session = work / module, work / f"{module}.sqlite"
    if session.exists():
        return
    shutil.rmtree(copy, ignore_errors=True)
    for folder in ("wsref", "tests"):
        ignore = shutil.ignore_patterns("__pycache__", "node_modules")
        shutil.copytree(HERE.parent / folder, copy / folder, ignore=ignore)
    shutil.copy(HERE.parent / "pyproject.toml", copy)
    target = copy / path_of(module)
    places = annotations(target.read_text("utf-8"))
    with use_db(str(session)) as db:
        init([target], db, {})
        mutants = [
            (one.operator_name, one.occurrence, item.job_id, one) for item in db.work_items for one in item.mutations
        ]
        good, left_out = [], []
        for operator, _, job, one in sorted(mutants):
            annotation = any(begin <= one.start_pos and one.end_pos <= end for begin, end in places)
            (left_out if annotation or operator in LEFT_OUT else good).append(job)
        random.Random(0).shuffle(good)
        db.set_multiple_results(left_out, WorkResult(WorkerOutcome.SKIPPED))
        db.set_multiple_results(good[sample:] if sample else [], WorkResult(WorkerOutcome.SKIPPED, NOT_SAMPLED))


def again(module: str, work: Path) -> None:
    """Forget the results of the survivors without a reason, and take today's tests, which may kill them."""
    reasons = examined(module)
    shutil.copytree(HERE, work / module / "tests", dirs_exist_ok=True, ignore=shutil.ignore_patterns("node_modules"))
    with contextlib.closing(sqlite3.connect(work / f"{module}.sqlite")) as session, session:
        rows = session.execute("SELECT job_id, diff FROM work_results WHERE test_outcome = 'SURVIVED'").fetchall()
        jobs = [(job,) for job, diff in rows if change(diff) not in reasons]
        session.executemany("DELETE FROM work_results WHERE job_id = ?", jobs)


def fails(module: str, copy: Path, code: str, seconds: float) -> bool:
    """Whether a test fails with this code as the module, or takes longer, or 30 seconds of a processor.

    It runs in a fork of this process, which has loaded pytest and Hypothesis, but not wsref.
    """
    target = copy / path_of(module)
    target.write_text(code, "utf-8")
    Path(importlib.util.cache_from_source(str(target))).unlink(missing_ok=True)  # of the mutant before
    tests = [str(target), *(f"tests/{name}" for name in [*TESTS[module], *ALWAYS])]
    child = os.fork()
    if not child:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
        os.chdir(copy)
        os.dup2(os.open("output.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
        os.dup2(1, 2)
        os.environ["PYTHONPATH"] = sys.path[0] = str(copy)
        os.environ["WSREF_TEST_DEADLINE"] = "8"
        try:
            status = pytest.main([*OPTIONS, *(f"--deselect=tests/{name}" for name in SLOW), *tests])
        except BaseException:
            traceback.print_exc()
            status = 99
        sys.stdout.flush()
        os._exit(status)
    deadline = time.monotonic() + seconds
    while not (ended := os.waitpid(child, os.WNOHANG))[0] and time.monotonic() < deadline:
        time.sleep(0.01)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # and what it has started
    if not ended[0]:
        os.waitpid(child, 0)
    return ended != (child, 0)


def play(module: str, work: Path, deadline: float) -> None:
    """Play the tests against the mutants that are left, until the deadline."""
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator
    from cosmic_ray.work_db import use_db
    from cosmic_ray.work_item import TestOutcome, WorkerOutcome, WorkResult

    copy = work / module
    code = (HERE.parent / path_of(module)).read_text("utf-8")
    begun = time.monotonic()
    if fails(module, copy, code, 600):
        sys.exit(f"{module}: a test fails without a change: see {copy}/output.txt")
    seconds = 20 + 5 * (time.monotonic() - begun)  # the machine may become busier
    with use_db(str(work / f"{module}.sqlite")) as db:
        for item in db.pending_work_items:
            if time.monotonic() > deadline:
                break
            (one,) = item.mutations
            mutant = mutate_code(code, get_operator(one.operator_name)(**one.operator_args), one.occurrence)
            outcome = TestOutcome.KILLED if fails(module, copy, mutant, seconds) else TestOutcome.SURVIVED
            diff = "\n".join(difflib.unified_diff(code.split("\n"), mutant.split("\n"), lineterm=""))
            db.set_result(item.job_id, WorkResult(WorkerOutcome.NORMAL, None, outcome, diff))


def examined(module: str) -> dict[tuple[str, str], str]:
    """The survivors with a reason: ``{(line before, line after): reason}``."""
    rows = tomllib.loads((HERE / "mutants.toml").read_text()).get(module, [])
    return {(row["before"], row["after"]): row["reason"] for row in rows}


def change(diff: str) -> tuple[str, str]:
    """The changed lines of a diff, before and after, without their indent."""
    lines = [line for line in diff.splitlines() if not line.startswith(("---", "+++"))]
    return tuple(" ".join(line[1:].strip() for line in lines if line[:1] == sign) for sign in "-+")  # type: ignore[return-value]


def report(module: str, work: Path) -> dict[str, Any]:
    """Print the survivors without a reason; return the figures."""
    from cosmic_ray.work_db import use_db

    reasons = examined(module)
    counts = {"mutants": 0, "killed": 0, "equivalent": 0, "survived": 0, "not_played": 0, "not_sampled": 0}
    with use_db(str(work / f"{module}.sqlite")) as db:
        results = dict(db.results)
        for item in db.work_items:
            result = results.get(item.job_id)
            if result is None:
                counts["not_played"] += 1
            elif result.worker_outcome.value == "skipped":
                counts["not_sampled"] += result.output == NOT_SAMPLED
            else:
                counts["mutants"] += 1
                before, after = change(result.diff or "")
                outcome = "killed" if result.is_killed else "equivalent" if (before, after) in reasons else "survived"
                counts[outcome] += 1
                if outcome == "survived":
                    print(f"{module}:{item.mutations[0].start_pos[0]}\n  - {before}\n  + {after}")
    print(f"{module}: {counts}")
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="+", choices=sorted(TESTS), help="of wsref/protocol and wsref/network")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--sample", type=int, help="mutants of each module, chosen at random")
    parser.add_argument("--work", type=Path, default=HERE.parent / ".mutants", help="folder of copies and sessions")
    parser.add_argument("--again", action="store_true", help="play the survivors again, with today's tests")
    parser.add_argument("--report-only", action="store_true", help="play nothing")
    parser.add_argument("--record", action="store_true", help="write the figures to docs/evidence.json")
    args = parser.parse_args()
    work = args.work.resolve()
    work.mkdir(exist_ok=True)
    deadline = time.monotonic() + 60 * args.minutes
    if not args.report_only:
        with contextlib.chdir(work), contextlib.redirect_stdout(io.StringIO()):
            pytest.main(["--markers", "-c", os.devnull])  # loads the plugins
        sys.dont_write_bytecode = False  # only mutants are compiled anew
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        gc.freeze()
    figures = {}
    for module in args.modules:
        if not args.report_only:
            prepare(module, work, args.sample)
            if args.again:
                again(module, work)
            play(module, work, deadline)
        if (work / f"{module}.sqlite").exists():
            figures[module] = report(module, work)
    if args.record:
        with updated() as evidence:
            evidence.setdefault("mutants", {}).update({name: {"date": today(), **one} for name, one in figures.items()})


if __name__ == "__main__":
    main()
