"""The names of Autobahn's fuzzing server: its ids, behaviours, ``index.json`` and ``fuzzingserver.json``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, TypeVar
from urllib.parse import urlsplit

from ..case import Case, Verdict
from ..cases import matches
from ..verdict import Level, Outcome

AnyCase = TypeVar("AnyCase", bound=Case)

#: Autobahn's ids, and the cases here that test the same.  The first match of an id counts.
SAME = (
    ("1.1.*", "c6.text-length c6.echo c6.stream.echo-*"),
    ("1.2.*", "c6.length.[0-9]* c6.echo"),
    ("1.*", "c6.length.[0-9]* c6.text-length c6.echo c6.stream"),
    ("2.5", "c6.control.ping-126"),
    ("2.6", "c6.stream.byte-by-byte"),
    ("2.7", "c7.pong"),
    ("2.8", "c7.pong"),
    ("2.9", "c7.pong"),
    ("2.*", "c7.ping c7.pong c6.control.ping-126 c6.stream.byte-by-byte"),
    ("3.*", "c6.rsv"),
    ("4.*", "c6.opcode"),
    ("5.*", "c7.fragments c7.ping.in-message c6.control.*-without-fin"),
    ("6.*", "c7.utf-8"),
    ("7.3.*", "c8.close c8.payload"),
    ("7.5.*", "c8.payload.utf-8"),
    ("7.7.*", "c8.close c8.code.taken-*"),
    ("7.9.*", "c8.code.bad-* c8.code.never-*"),
    ("7.*", "c8"),
    ("9.*", "c11.large c6.length.[0-9]* c6.text-length"),
    ("10.*", "c7.fragments.long"),
    ("12.*", "c9.message c9.works"),
    ("13.*", "c9"),
    ("*", "c1 c2 c3 c4 c5 c6 c7 c8 c9 c11"),
)


def same_as(name: str) -> list[str]:
    """Return the patterns of our cases for an id or glob of Autobahn; for ours, the id itself.

    >>> same_as("3.2"), same_as("c4.accept.wrong"), same_as("2.*")[0]
    (['c6.rsv'], ['c4.accept.wrong'], 'c7.ping')
    >>> same_as("99.1")
    []
    """
    if name.startswith("c"):
        return [name]
    if name != "*" and not re.match(r"([1-79]|1[023])(\.|$)", name):
        return []
    return next(words.split() for pattern, words in SAME if name == pattern or fnmatchcase(name, pattern))


def choose(cases: Iterable[AnyCase], names: Sequence[str]) -> list[AnyCase]:
    """Return the cases that these ids or globs name, ours or Autobahn's.

    The cases about servers have the same groups as those about clients.  Where they do not, a whole chapter counts.
    """
    every = list(cases)
    patterns = [pattern for name in names for pattern in same_as(name)]
    if every and not every[0].is_for_clients:
        patterns = [pattern.removeprefix("c") for pattern in patterns]
        known = [pattern for pattern in patterns if any(matches(case.id, pattern) for case in every)]
        patterns = known or [pattern.partition(".")[0] for pattern in patterns]
    return [case for case in every if any(matches(case.id, pattern) for pattern in patterns)]


def behaviour(verdict: Verdict | None) -> str:
    """Return Autobahn's word for a verdict."""
    if verdict is None or verdict.outcome in (Outcome.SKIP, Outcome.UNPLAYED):
        return "UNIMPLEMENTED"
    if verdict.outcome is Outcome.PASS:
        return "OK"
    return {Level.MUST: "FAILED", Level.SHOULD: "NON-STRICT", Level.INTEROP: "INFORMATIONAL"}[verdict.case.level]


def index(verdicts: Iterable[Verdict], close_codes: Mapping[str, int | None], reportfile: str) -> dict[str, Any]:
    """Return the part of ``index.json`` for one agent: id to behaviour."""
    return {
        verdict.case.id: {
            "behavior": behaviour(verdict),
            "behaviorClose": behaviour(verdict),
            "duration": round(verdict.seconds * 1000),
            "remoteCloseCode": close_codes.get(verdict.case.id),
            "reportfile": reportfile,
        }
        for verdict in verdicts
        if verdict.outcome is not Outcome.UNPLAYED
    }


@dataclass
class Spec:
    """A ``fuzzingserver.json`` or ``fuzzingclient.json``.

    Attributes:
        host, port: Where to listen; None: not said.
        outdir: The folder for ``index.json`` and the reports.
        cases: Ids and globs to play.
        left_out: Ids and globs not to play.
        left_out_for: The same for one agent: its name, or a glob, to ids.
        servers: Of a ``fuzzingclient.json``: pairs of a name and a URL.
    """

    host: str | None = None
    port: int | None = None
    outdir: str = "reports"
    cases: list[str] = field(default_factory=lambda: ["*"])
    left_out: list[str] = field(default_factory=list)
    left_out_for: dict[str, list[str]] = field(default_factory=dict)
    servers: list[tuple[str, str]] = field(default_factory=list)

    def select(self, cases: Iterable[AnyCase], agent: str | None = None) -> list[AnyCase]:
        """Return the cases to play, in their order."""
        left_out = [*self.left_out]
        for name, patterns in self.left_out_for.items():
            if agent is not None and fnmatchcase(agent, name):
                left_out += patterns
        chosen = choose(cases, self.cases)
        gone = {case.id for case in choose(chosen, left_out)}
        return [case for case in chosen if case.id not in gone]


def parse_spec(text: str) -> Spec:
    """Parse the JSON of a spec file.

    Raises:
        ValueError: It is not such a file.

    >>> spec = parse_spec('{"url": "ws://0.0.0.0:9001", "outdir": "./out", "cases": ["1.*", "4.1.1"]}')
    >>> spec.port, [case for case in spec.cases]
    (9001, ['1.*', '4.1.1'])
    """
    data = json.loads(text)
    if not isinstance(data, dict):
        raise ValueError("a spec is a JSON object")
    spec = Spec()
    if url := data.get("url"):
        parts = urlsplit(str(url))
        if parts.scheme != "ws" or not parts.hostname:
            raise ValueError(f'"url" begins with ws://, not {url!a}')
        spec.host, spec.port = parts.hostname, parts.port or 80
    spec.outdir = data.get("outdir", spec.outdir)
    if not isinstance(spec.outdir, str):
        raise ValueError(f'"outdir" is the name of a folder, not {spec.outdir!a}')
    spec.cases = _names(data.get("cases", ["*"]), "cases")
    spec.left_out = _names(data.get("exclude-cases", []), "exclude-cases")
    left_out_for = data.get("exclude-agent-cases") or {}
    if not isinstance(left_out_for, dict):
        raise ValueError(f'"exclude-agent-cases" is an object of names and their ids, not {left_out_for!a}')
    spec.left_out_for = {agent: _names(names, "exclude-agent-cases") for agent, names in left_out_for.items()}
    servers = data.get("servers", [])
    if not isinstance(servers, list) or not all(isinstance(one, dict) and "url" in one for one in servers):
        raise ValueError(f'"servers" is a list of objects with a "url", not {servers!a}')
    spec.servers = [(str(server.get("agent", server["url"])), str(server["url"])) for server in servers]
    return spec


def _names(value: Any, key: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise ValueError(f'"{key}" is a list of ids, not {value!a}')
    for name in value:
        if not same_as(name):
            raise ValueError(f'"{key}" has {name!a}, which is no id of Autobahn and none of "check --client --list"')
    return value
