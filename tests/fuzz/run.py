"""Fuzz wsref: ``python tests/fuzz/run.py --minutes 60``, or ``python -m nox -s fuzz -- --minutes 60``.

Two engines: atheris (coverage-guided, libFuzzer under CPython), which finds its way through the parsers, and
the random mutator of this folder, which needs nothing.  The time is shared among the targets.  An input that
breaks an invariant ends the run, is printed in hex, and belongs into the target's file in ``corpus/``.

``--record`` adds the executions to ``docs/evidence.json``; ``--grow`` adds new coverage to the corpus (atheris).
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1])]

NAMES = (
    "request_head", "response_head", "extension_header", "frames", "deflate", "connection", "explainer",
    "decode_readers", "check_codec", "differential",
)  # fmt: skip

#: The longest input of the corpus that --grow saves, bytes, and the most inputs of a target.
LONGEST, MOST = 400, 150


def mutated(target: str, seconds: float, seed: int) -> int:
    """Run the random mutator; return the number of executions."""
    from fuzz.differential import differential
    from fuzz.mutator import load, mutate, random_frames
    from fuzz.targets import TARGETS

    run = {**TARGETS, "differential": differential}[target]
    chance, corpus = random.Random(seed), load(target)
    count, deadline = 0, time.monotonic() + seconds
    while count % 64 or time.monotonic() < deadline:
        if target in ("connection", "differential") and chance.random() < 0.5:
            data = bytes([chance.randrange(256)]) + random_frames(chance)
        else:
            data = mutate(chance.choice(corpus) if corpus else b"", chance, corpus)
        try:
            run(data)
        except Exception:
            print(f"{target}: the input {data.hex()} (seed {seed})", flush=True)
            raise
        count += 1
    return count


def guided(target: str, seconds: float, grow: bool) -> int:
    """Run atheris in another process; return the number of executions."""
    from fuzz.mutator import WORDS, load, save

    with tempfile.TemporaryDirectory() as folder:
        inputs, words = Path(folder, "inputs"), Path(folder, "words")
        inputs.mkdir()
        for number, data in enumerate(load(target)):
            (inputs / str(number)).write_bytes(data)
        quoted = ("".join(f"\\x{octet:02x}" for octet in word) for word in WORDS)
        words.write_text("".join(f'"{word}"\n' for word in quoted))
        command = [sys.executable, __file__, "--inside", target, str(inputs), f"-max_total_time={max(1, int(seconds))}"]
        command += ["-print_final_stats=1", f"-dict={words}", "-max_len=2000", "-timeout=20", "-rss_limit_mb=1024"]
        done = subprocess.run(command, cwd=folder, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            print(done.stderr[-3000:])
            for crash in sorted(Path(folder).glob("[cto][a-z]*-[0-9a-f]*")):
                print(f"{target}: the input {crash.read_bytes().hex()}")
            sys.exit(1)
        if grow:
            found = sorted((path.read_bytes() for path in inputs.iterdir()), key=lambda data: (len(data), data))
            found = [data for data in found if len(data) <= LONGEST]
            save(target, load(target) + found[: max(0, MOST - len(load(target)))])
        return int(re.search(r"number_of_executed_units: (\d+)", done.stderr)[1])  # type: ignore[index]


def inside(target: str, arguments: list[str]) -> None:
    """The process of atheris: instrument wsref, and never return."""
    import atheris

    with atheris.instrument_imports(include=["wsref"]):
        from fuzz.differential import differential
        from fuzz.targets import TARGETS
    atheris.Setup([sys.argv[0], *arguments], {**TARGETS, "differential": differential}[target])
    atheris.Fuzz()


def record(target: str, engine: str, executions: int, seconds: float) -> None:
    """Add to the executions of a target in docs/evidence.json."""
    from evidence import today, updated

    from fuzz.differential import SEEN

    with updated() as evidence:
        row = evidence.setdefault("fuzz", {}).setdefault(target, {"executions": 0, "seconds": 0, "by": {}})
        row["executions"] += executions
        row["seconds"] += round(seconds)
        row["by"][engine] = row["by"].get(engine, 0) + executions
        row["date"] = today()
        if target == "differential" and engine == "mutator":  # atheris counts in another process
            row["versions"] = {peer: importlib.metadata.version(peer) for peer in ("websockets", "wsproto")}
            classes = row.setdefault("classes", {})
            for (peer, name), count in SEEN.items():
                of_peer = classes.setdefault(peer, {})
                of_peer[name] = of_peer.get(name, 0) + count


def main() -> None:
    if sys.argv[1:2] == ["--inside"]:
        return inside(sys.argv[2], sys.argv[3:])
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", metavar="target", help=f"{', '.join(NAMES)}; default: all")
    parser.add_argument("--minutes", type=float, default=1, help="for all targets together")
    parser.add_argument("--engine", choices=["atheris", "mutator"], help="default: atheris if it is installed")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32), help="of the mutator")
    parser.add_argument("--grow", action="store_true", help="save inputs that reach new code (atheris)")
    parser.add_argument("--record", action="store_true", help="add the figures to docs/evidence.json")
    args = parser.parse_args()
    if unknown := set(args.targets) - set(NAMES):
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    engine = args.engine
    if engine is None:
        engine = "atheris" if importlib.util.find_spec("atheris") else "mutator"
    targets = args.targets or NAMES
    seconds = args.minutes * 60 / len(targets)
    for target in targets:
        begun = time.monotonic()
        count = guided(target, seconds, args.grow) if engine == "atheris" else mutated(target, seconds, args.seed)
        took = time.monotonic() - begun
        print(f"{target:18} {count:12,} executions in {took:7.1f} s ({engine})", flush=True)
        if args.record:
            record(target, engine, count, took)
    return None


if __name__ == "__main__":
    main()
