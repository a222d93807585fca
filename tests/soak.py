"""A long run: clients join, talk and leave, some over TLS, some with compression, some of them break off.

``python tests/soak.py --minutes 30`` (or ``python -m nox -s soak -- --minutes 30``).  The server runs in
another process, so that its threads, descriptors and memory can be watched.  Each message has a number,
and each client compares what comes back.  These faults are thrown in: F1 (RST in the middle of a frame), F3 (a
byte at a time), F7 (FIN before the Close), F10 (both close at once).

``--record`` writes figures and samples to ``docs/evidence.json``, which the page *How do we know?* reads.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import random
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from evidence import today, updated  # noqa: E402
from rawclient import TEXT, RawClient, close, frame, text  # noqa: E402

from wsref import Compression, Echo, Limits, WebSocketServer, connect  # noqa: E402
from wsref.fast.threads import MAX_IDLE  # noqa: E402

SIZES = [0, 1, 10, 60, 125, 126, 500, 1000, 4000, 65_535, 65_536, 200_000]
WEIGHTS = [4, 4, 20, 20, 8, 8, 10, 10, 6, 1, 1, 1]
BURST = 32 * 1024  # bytes that a client sends before it reads: what the buffers of TCP hold in any case
DEADLINE = 60.0  # seconds: longer, and a message counts as lost

#: The part by which resident memory may grow from the second quarter of a run of a minute or more to its last.
MEMORY_ROOM = 0.15

#: Seconds after the last client until the server is asked what is left of them.
REST = 3.0


# -- The server, in another process --------------------------------------------------------


class Handler(Echo):
    """An echo that also closes on request, so that both sides close at once."""

    def on_message(self, message: str | bytes) -> None:
        if message == "close":
            self.close(1000)
        else:
            super().on_message(message)


def serve(certificate: str, key: str) -> None:
    """Serve until standard input ends; then say what was counted."""
    # All clients share a machine with the server: late is allowed, lost is not.
    limits = Limits(
        shutdown_timeout=2, max_connections=2000,
        head_timeout=DEADLINE, ping_timeout=DEADLINE, send_timeout=DEADLINE, close_timeout=DEADLINE,
    )  # fmt: skip
    with contextlib.ExitStack() as stack:
        servers = [
            stack.enter_context(WebSocketServer(("127.0.0.1", 0), Handler, limits=limits, compression=Compression()))
        ]
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
            servers.append(
                stack.enter_context(WebSocketServer(("127.0.0.1", 0), Handler, limits=limits, ssl_context=context))
            )
        for server in servers:
            server.start()
        print(json.dumps([server.server_address[1] for server in servers]), flush=True)
        sys.stdin.read()
        counts = [{"opened": s.counts.opened, "closed": s.counts.closed, "handlers": len(s.handlers)} for s in servers]
        print(json.dumps(counts), flush=True)


def make_certificate(folder: Path) -> tuple[str, str]:
    """A certificate for localhost and its key; empty names where openssl is not installed."""
    if not shutil.which("openssl"):
        return "", ""
    certificate, key = str(folder / "cert.pem"), str(folder / "key.pem")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


def resources(pid: int) -> dict[str, int]:
    """Threads, descriptors and resident memory (KiB) of a process; empty where there is no /proc."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        files = len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return {}
    lines = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return {"threads": int(lines["Threads"]), "files": files, "memory": int(lines["VmRSS"].split()[0])}


# -- The clients -------------------------------------------------------------------------------


class Run:
    """All clients, and what they counted.

    Attributes:
        counts: Sessions, messages, bytes, faults by their ids; sessions that had no turn to connect; and what must
            be 0: lost, doubled, reordered, errors.
    """

    def __init__(self, ports: list[int], context: ssl.SSLContext | None, deadline: float) -> None:
        self.ports = ports
        self.context = context
        self.deadline = deadline
        self.counts: Counter[str] = Counter()
        self.errors: list[str] = []
        self._lock = threading.Lock()

    def client(self, seed: int) -> None:
        """One place: sessions follow each other until the deadline."""
        chance = random.Random(seed)
        while time.monotonic() < self.deadline:
            kinds = (self.talk, self.break_off, self.dribble, self.half_close, self.cross)
            session = chance.choices(kinds, [80, 8, 2, 5, 5])[0]
            counts: Counter[str] = Counter(sessions=1)
            try:
                session(chance, counts)
            except Exception as error:
                if "is still being opened" in str(error):  # §4.1: one at a time, and others were quicker for a minute
                    counts["no_turn"] += 1
                else:
                    counts["errors"] += 1
                    with self._lock:
                        self.errors.append(f"{session.__name__}: {type(error).__name__}: {error}")
            with self._lock:
                self.counts += counts

    def talk(self, chance: random.Random, counts: Counter[str]) -> None:
        """A session without a fault: bursts of numbered messages, each echoed once and in order."""
        secure = self.context is not None and chance.random() < 0.3
        url = f"{'wss' if secure else 'ws'}://localhost:{self.ports[secure]}/"
        packed = Compression() if not secure and chance.random() < 0.5 else None
        with connect(url, ssl_context=self.context if secure else None, compression=packed, timeout=DEADLINE) as ws:
            counts["tls" if secure else "compressed" if packed else "plain"] += 1
            number = 0
            for _ in range(chance.randint(1, 30)):
                if time.monotonic() > self.deadline:
                    break
                sent: list[str | bytes] = []
                size = 0
                while size < BURST and len(sent) < 20:
                    words = f"{number} " + "x" * chance.choices(SIZES, WEIGHTS)[0]
                    if size and size + len(words) > BURST:
                        break
                    sent.append(words if chance.random() < 0.7 else words.encode())
                    ws.send(sent[-1])
                    size += len(words)
                    number += 1
                self.compare(sent, [ws.recv(timeout=DEADLINE) for _ in sent], counts)
                counts["bytes"] += size

    @staticmethod
    def compare(sent: list[str | bytes], received: list[str | bytes], counts: Counter[str]) -> None:
        """Count what is the same, and what is not."""
        counts["messages"] += len(sent)
        if sent == received:
            return
        counts["lost"] += len([one for one in sent if one not in received])
        counts["doubled"] += len(received) - len(set(received))
        counts["reordered"] += sent != received and sorted(map(str, sent)) == sorted(map(str, received))

    def raw(self) -> RawClient:
        """A client that may do what no client should."""
        client = RawClient(("127.0.0.1", self.ports[0]), timeout=DEADLINE)
        assert client.open().startswith("HTTP/1.1 101 ")
        return client

    def break_off(self, chance: random.Random, counts: Counter[str]) -> None:
        """F1: RST anywhere in a conversation."""
        client = self.raw()
        counts["F1"] += 1
        wire = text("hello") + frame(TEXT, b"hel", fin=False) + frame(0, bytes(5000))
        client.send(wire[: chance.randint(1, len(wire))])
        client.reset()

    def dribble(self, chance: random.Random, counts: Counter[str]) -> None:
        """F3: a byte at a time."""
        client = self.raw()
        counts["F3"] += 1
        client.dribble(text("a byte at a time") + close(1000))
        assert client.frame() == (TEXT, b"a byte at a time")
        assert client.closed() == (1000, "")
        client.socket.close()
        counts["messages"] += 1

    def half_close(self, chance: random.Random, counts: Counter[str]) -> None:
        """F7: FIN before the Close; the replies still arrive."""
        client = self.raw()
        counts["F7"] += 1
        client.send(b"".join(text(str(n)) for n in range(10)))
        client.socket.shutdown(socket.SHUT_WR)
        for n in range(10):
            assert client.frame() == (TEXT, str(n).encode())
        client.rest()
        client.socket.close()
        counts["messages"] += 10

    def cross(self, chance: random.Random, counts: Counter[str]) -> None:
        """F10: both sides close at once."""
        client = self.raw()
        counts["F10"] += 1
        client.send(text("close") + close(1000))
        assert client.closed() == (1000, "")
        assert client.rest() == b"", "a second Close"
        client.socket.close()


def soak(seconds: float, connections: int, seed: int = 1) -> dict[str, Any]:
    """Run it; return the figures."""
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = make_certificate(Path(folder))
        command = [sys.executable, __file__, "--serve", certificate, key]
        context = ssl.create_default_context(cafile=certificate) if certificate else None
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdin is not None
            assert server.stdout is not None
            ports = json.loads(server.stdout.readline())
            before = resources(server.pid)
            begun = time.monotonic()
            run = Run(ports, context, begun + seconds)
            threads = [threading.Thread(target=run.client, args=(seed * 100_000 + n,)) for n in range(connections)]
            for thread in threads:
                thread.start()
            samples = []
            step = max(0.5, seconds / 120)
            while time.monotonic() < begun + seconds:
                samples.append({"second": round(time.monotonic() - begun, 1), **resources(server.pid)})
                time.sleep(step)
            for thread in threads:
                thread.join()
            took = time.monotonic() - begun
            # Connections linger up to a second; threads that wait for work end after a while.
            time.sleep(REST)
            after = resources(server.pid)
            server.stdin.close()
            counted = json.loads(server.stdout.readline())
    return {
        "date": today(),
        "python": platform.python_version(),
        "seconds": round(took),
        "connections": connections,
        "counts": dict(sorted(run.counts.items())),
        "errors": run.errors[:20],
        "server": {name: sum(one[name] for one in counted) for name in counted[0]},
        "before": before,
        "after": after,
        "samples": samples,
    }


def problems(figures: dict[str, Any]) -> list[str]:
    """What must not be: a sentence for each."""
    counts, server = figures["counts"], figures["server"]
    wrong = [f"{counts[name]} {name}" for name in ("lost", "doubled", "reordered", "errors") if counts.get(name)]
    wrong += figures["errors"][:5]
    if counts["sessions"] != server["opened"] + counts.get("no_turn", 0):
        wrong.append(f"{counts['sessions']} sessions, and the server opened {server['opened']}")
    if server["opened"] != server["closed"] or server["handlers"]:
        wrong.append(f"the server opened {server['opened']}, closed {server['closed']} and keeps {server['handlers']}")
    if figures["after"]:
        for name, room in (
            ("threads", 2 * MAX_IDLE + 6),
            ("files", 2),
        ):  # each server keeps threads for the next clients
            if figures["after"][name] > figures["before"][name] + room:
                wrong.append(f"{name}: {figures['before'][name]} before, {figures['after'][name]} after")
    samples = [sample["memory"] for sample in figures["samples"] if "memory" in sample]
    if figures["seconds"] >= 60 and len(samples) >= 40:
        quarter = len(samples) // 4
        early, late = statistics.mean(samples[quarter : 2 * quarter]), statistics.mean(samples[-quarter:])
        if late > early * (1 + MEMORY_ROOM):
            wrong.append(f"memory: {early:,.0f} KiB in the second quarter of the run, {late:,.0f} KiB in the last")
    return wrong


def main() -> None:
    if sys.argv[1:2] == ["--serve"]:
        return serve(*sys.argv[2:4])
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--connections", type=int, default=100, help="at a time")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--record", action="store_true", help="write the figures to docs/evidence.json")
    args = parser.parse_args()
    figures = soak(60 * args.minutes, args.connections, args.seed)
    print(json.dumps({name: value for name, value in figures.items() if name != "samples"}, indent=2))
    if args.record:
        with updated() as evidence:
            evidence["soak"] = figures
    if wrong := problems(figures):
        sys.exit("\n".join(wrong))
    return None


if __name__ == "__main__":
    main()
