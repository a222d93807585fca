"""The options of ``check``: its parser, and the help."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from ..check import report
from ..check.cases import CASES
from ..check.clients.cases import CLIENT_CASES
from ..check.gallery import BROKEN
from ..check.session import Target
from ..check.verdict import Level
from ..protocol.spec import TOKEN
from .terminal import port, seconds

#: The default of --jobs.
JOBS = 4

#: Seconds: the default of --idle.
IDLE = 60.0

DESCRIPTION = f"""\
Grade any WebSocket server, in any language: {len(CASES)} cases, chapter by chapter, each with its
section of an RFC.  The grader tests whether the server echoes messages.  If it does not, the
grader skips the cases that need an echo.  With --client it grades clients: {len(CLIENT_CASES)} cases.
"""

EPILOG = """\
levels:
  MUST     the server, or the client, breaks a sentence of an RFC; only these set the exit code to 1
  SHOULD   the RFC advises otherwise; good reasons may exist
  INTEROP  the server breaks no rule; real clients, or their users, expect otherwise

examples:
  python -m wsref check ws://127.0.0.1:8765/echo
  python -m wsref check --until 3 ws://127.0.0.1:8000/    grade chapters 1 to 3
  python -m wsref check --first URL                       fix one failure at a time
  python -m wsref check --only '6.length.*' -v URL        these cases, one line each
  python -m wsref check --header 'Cookie: id=1' --origin https://app.example --subprotocol chat URL
  python -m wsref check --write-baseline known.txt URL    accept the failures of today, and then in CI:
  python -m wsref check --baseline known.txt --junit check.xml --max-time 120 URL
  python -m wsref check --client --run 'node client.mjs {url}'   grade a client that echoes
  python -m wsref check --broken guid-with-space          serve an exercise with a bug to find

exit code:
  0    no MUST failed; with --baseline: no case failed that it does not list
  1    a failure, or the run stopped early (--first, --max-time, a server that stopped answering)
  2    a wrong command line, no server, a client of --run that does not connect, or a file that cannot
       be read or written
  130  Ctrl-C; the reports are written, with the cases played so far

NO_COLOR=1 switches colours off, FORCE_COLOR=1 on; a pipe gets none.
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Add the parser of ``check``."""
    parser = commands.add_parser(
        "check",
        help="grade any WebSocket server, chapter by chapter",
        usage="python -m wsref check [options] URL\n"
        "       python -m wsref check [options] --spec FILE\n"
        "       python -m wsref check [options] --client",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "url", metavar="URL", nargs="?", help="ws://HOST:PORT/PATH or wss://...; choose a path where the server echoes"
    )
    _add_selection(parser.add_argument_group("which cases"))
    _add_connection(parser.add_argument_group("the connections"))
    _add_clients(parser.add_argument_group("clients instead of a server"))
    _add_output(parser.add_argument_group("the report"))
    _add_gate(parser.add_argument_group("known failures"))
    add = parser.add_argument_group("without a server").add_argument
    add("--list", action="store_true", help="list the cases")
    add("--gallery", action="store_true", help="list the broken servers; with -v, also their bugs")
    add("--broken", metavar="NAME", type=_broken, help="serve a broken server as an exercise, until Ctrl-C")
    add(
        "--port",
        metavar="PORT",
        type=port,
        help="with --broken or --client: the port (default: any free one; with --client 9001)",
    )
    return parser


def _add_selection(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--until", metavar="N", type=int, choices=report.CHAPTERS, help="only the chapters up to N (1 to 11)")
    add(
        "--only",
        metavar="ID-OR-GLOB",
        action="append",
        default=[],
        help="only these cases: an id, its beginning (6.length), or a glob; repeatable",
    )
    add("--large", action="store_true", help="also messages of 1 to 16 MiB, which take a few seconds more")
    add(
        "--except",
        dest="left_out",
        metavar="GLOB",
        action="append",
        default=[],
        help="all cases but these, which the report lists as not played; repeatable",
    )
    add(
        "--level",
        choices=[level.value.lower() for level in Level],
        default="interop",
        help="must: only MUST; should: MUST and SHOULD; interop: all levels (default)",
    )
    add(
        "--no-echo",
        action="store_true",
        help="send no message to test for an echo, and skip the cases that need an echo",
    )
    add("--first", action="store_true", help="stop at the first failure")
    add(
        "--max-time",
        metavar="SECONDS",
        type=seconds,
        default=math.inf,
        help="begin no further case after this time (default: no limit)",
    )


def _add_connection(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--timeout",
        metavar="SECONDS",
        type=seconds,
        default=3.0,
        help="the time to wait for each answer, four times as long after a very large head (default: %(default)g)",
    )
    add("--jobs", metavar="N", type=_jobs, help=f"the number of cases at a time (default: {JOBS})")
    add(
        "--header",
        metavar="'NAME: VALUE'",
        type=_header,
        action="append",
        default=[],
        help="add this line to each request, for a login for example; no report shows the value; repeatable",
    )
    add("--origin", metavar="ORIGIN", type=_word, help="the Origin of each request: https://app.example")
    add(
        "--subprotocol",
        metavar="NAME",
        type=_word,
        action="append",
        default=[],
        help="offer this subprotocol in each handshake; repeatable",
    )
    add("--insecure", action="store_true", help="wss: accept any certificate")
    add("--cafile", metavar="FILE", help="wss: also trust the certificates in FILE")


def _add_clients(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--client",
        action="store_true",
        help="serve the cases for clients: to a browser, to a driver of yours, or to one of Autobahn's; no URL",
    )
    add(
        "--run",
        dest="command",
        metavar="'COMMAND {url}'",
        help="with --client: start this command for each case, with its URL, and end with the report",
    )
    add("--once", action="store_true", help="with --client: end after the first client that is done")
    add(
        "--idle",
        metavar="SECONDS",
        type=seconds,
        help=f"with --client: report a client that does not come back for so long (default: {IDLE:g})",
    )
    add("--certfile", metavar="FILE", help="with --client: speak TLS (wss) with this certificate chain, in PEM")
    add("--keyfile", metavar="FILE", help="with --client: the private key, in PEM, if it is not in the certfile")
    add("--host", metavar="ADDRESS", help="with --client: the address to listen on (default: 127.0.0.1)")
    add(
        "--spec",
        metavar="FILE",
        help="with --client: Autobahn's fuzzingserver.json (url, outdir, cases, exclude-cases, exclude-agent-cases); "
        "without: its fuzzingclient.json (servers); index.json and the reports go to outdir",
    )


def _add_output(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--all", action="store_true", help="show every failure in full, not only the first of the first cause")
    add(
        "-v",
        "--verbose",
        action="store_true",
        help="show a line for every case, and each cause in full; with --list, all details",
    )
    add("--trace", action="store_true", help="show the bytes of every case")
    add("--json", metavar="FILE", help="write the report to FILE as JSON (-: standard output)")
    add("--junit", metavar="FILE", help="... as JUnit XML, for CI; only a failed MUST is a failure there")
    add("--markdown", metavar="FILE", help="... as Markdown, for the summary of a CI job")
    add("--html", metavar="FILE", help="... as an HTML page")


def _add_gate(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--baseline",
        metavar="FILE",
        help="accept the failures that FILE lists: only another failure, of any level, sets the exit code to 1",
    )
    add("--write-baseline", metavar="FILE", help="write the failures to FILE, and exit with 0")


def _broken(name: str) -> str:
    if name not in BROKEN:
        near = get_close_matches(name, BROKEN, 3)
        meant = f"; did you mean {' or '.join(near)}?" if near else ""
        raise argparse.ArgumentTypeError(f"no broken server is called {name!a}; check --gallery lists all{meant}")
    return name


def _jobs(text: str) -> int:
    if not re.fullmatch("[0-9]{1,2}", text) or not 1 <= int(text) <= 64:
        raise argparse.ArgumentTypeError(f"jobs must be a number from 1 to 64, not {text!a}")
    return int(text)


#: Headers that --header cannot set, and the flag for each.
OF_THE_CASES = {
    **dict.fromkeys(("host", "connection", "upgrade", "content-length", "transfer-encoding", "expect"), ""),
    **dict.fromkeys(("sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions"), ""),
    "origin": "--origin",
    "sec-websocket-protocol": "--subprotocol",
}


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not re.fullmatch(TOKEN, name) or not re.fullmatch(r"[ -~]*", value):
        raise argparse.ArgumentTypeError(f"a header is 'Name: value', in printable ASCII, not {text!a}")
    if (flag := OF_THE_CASES.get(name.lower())) is not None:
        raise argparse.ArgumentTypeError(f"{name} has a flag: {flag}" if flag else f"the cases set {name} themselves")
    return name, value.strip()


def _word(text: str) -> str:
    if not re.fullmatch(r"[!-+\--~]+", text):
        raise argparse.ArgumentTypeError(f"this is one word of printable ASCII, without commas, not {text!a}")
    return text


# -- Options without an effect ---------------------------------------------------------------------

FOR_CLIENTS = ("command", "once", "idle", "certfile", "keyfile", "host", "port")
FOR_SERVERS = ("url", "header", "origin", "subprotocol", "insecure", "cafile", "large")
FOR_ONE_SERVER = ("url", "baseline", "write_baseline", "json", "junit", "markdown", "html")
CHOOSING_CASES = ("until", "only", "large", "left_out", "level")


def refuse_unused(options: argparse.Namespace) -> None:
    """Refuse options that would have no effect: the user means something else.

    Raises:
        ValueError: Names one of them.
    """
    given = [name for name, value in vars(options).items() if value != options.parser.get_default(name)]

    def refuse(names: Iterable[str], why: str) -> None:
        for name in given:
            if name in names:
                raise ValueError(f"{_flag(name)} would have no effect: {why}")

    if options.gallery:
        refuse({*given} - {"gallery", "verbose"}, "--gallery lists the broken servers")
    elif options.list:
        refuse({*given} - {"list", "client", "verbose", *CHOOSING_CASES}, "--list lists the cases, and plays none")
    elif options.broken:
        refuse({*given} - {"broken", "port"}, "--broken serves until Ctrl-C: grade it from another terminal")
    if options.write_baseline is not None:
        refuse(["baseline"], "--write-baseline accepts all failures of this run, and keeps the reasons in its file")
    if options.client:
        refuse(FOR_SERVERS, "--client serves cases to clients")
        if options.command is None:
            refuse(["jobs"], "it is for --run; without it, clients choose how many cases they play at a time")
        else:
            refuse(["once", "idle"], "--run ends with the report on its command")
        return
    if options.spec:
        refuse(FOR_ONE_SERVER, "--spec grades the servers of its file, and writes the reports to their folder, outdir")
    if not options.broken:
        refuse(FOR_CLIENTS, "it is for --client, which grades clients")


def refuse_without_tls(options: argparse.Namespace, targets: Sequence[Target]) -> None:
    """Refuse options of TLS that would have no effect on these servers.

    Raises:
        ValueError: Names one of them.
    """
    given = ["--insecure"] * options.insecure + ["--cafile"] * (options.cafile is not None)
    if given and not any(target.secure for target in targets):
        raise ValueError(f"{given[0]} would have no effect: it is for wss://, and this is ws://")
    if len(given) > 1:
        raise ValueError("--cafile would have no effect: --insecure accepts any certificate")


def _flag(name: str) -> str:
    """Return the flag of an option, as the user wrote it."""
    known = {"url": "URL", "command": "--run", "left_out": "--except"}
    return known.get(name, f"--{name.replace('_', '-')}")
