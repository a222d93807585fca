"""``python -m wsref``, the command line.

What a program may want to read goes to standard output, the log to standard error.
Exit codes: 0, all went well; 1, it could not be done; 2, the command line makes no
sense; 130, a second Ctrl-C.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import io
import os
import re
import signal
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from typing import TextIO

from .. import __version__
from ..apps.panel import page_with_wire, with_wire
from ..network.server import WebSocketServer
from ..network.transport import require_supported_system
from ..protocol.deflate import Compression
from ..protocol.handshake import is_loopback
from ..protocol.limits import Limits
from ..steps import LAST, SEEN, handler_at, page_at
from ..steps.source import source_at
from . import check, decode
from . import connect as console
from .terminal import CommandError, set_up_log, tracer

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8765


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``python -m wsref`` with these arguments.

    Returns:
        The exit code.
    """
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115  (None if they were closed)
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that has no § shall not stop us
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = build_parser()
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in ("-h", "--help", "--version")):
        arguments.insert(0, "serve")  # "python -m wsref --port 9000" serves
    options = parser.parse_args(arguments)
    try:
        if options.run is not decode.run:
            require_supported_system()
        code: int = options.run(options)
        return code
    except (CommandError, NotImplementedError) as error:
        print(f"wsref: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # "| head" has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def build_parser() -> argparse.ArgumentParser:
    """The command line, as a table that ``-h`` and the documentation print."""
    parser = argparse.ArgumentParser(
        prog="python -m wsref",
        description="Learn the WebSocket protocol from a server you can read.",
        epilog="Without a command: serve.  Each command has its own -h.",
    )
    parser.add_argument("--version", action="version", version=f"wsref {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    serve_parser = commands.add_parser(
        "serve",
        help="serve an echo, a chat, and a page that talks to them",
        description="Serve an echo at / and /echo, a chat at /chat, and, to browsers, a page that talks to them.",
        epilog=limits_table(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    serve_parser.set_defaults(run=serve)
    add = serve_parser.add_argument
    add("--host", default=DEFAULT_HOST, help="address to listen on (default: %(default)s, this machine only)")
    add("--port", type=_port, default=DEFAULT_PORT, help="port to listen on, 0 for any (default: %(default)s)")
    add("--certfile", metavar="FILE", help="certificate chain, PEM: speak TLS (https:// and wss://)")
    add("--keyfile", metavar="FILE", help="its private key, PEM, if it is not in the certfile")
    add(
        "--allow-origin",
        metavar="ORIGIN",
        action="append",
        default=[],
        type=_origin,
        help="let pages from this origin connect, such as https://example.com; null for pages opened as files; "
        "* for all; may be given several times (default: pages from this very server only)",
    )
    add(
        "--step",
        metavar="N",
        type=_step,
        default=LAST,
        help=f"run the server as it stood after chapter N, 1 to {LAST}",
    )
    add("--source", action="store_true", help="with --step: print the program of that step instead of running it")
    add(
        "--trace",
        metavar="FILE",
        nargs="?",
        const="-",
        help="explain every byte that passes, to standard error; or, to FILE, as JSON lines for decode --replay",
    )
    add(
        "--wire",
        action=argparse.BooleanOptionalAction,
        help="the page shows what passes on its connection (default: if it listens on this machine only, "
        "there is no --trace, and no --step)",
    )
    add(
        "--no-compression",
        dest="compression",
        action="store_const",
        const=None,
        default=Compression(),
        help="do not agree on permessage-deflate with clients that offer it",
    )
    add(
        "--max-message-size",
        metavar="BYTES",
        type=int,
        default=Limits().max_message_size,
        help="longer messages are refused with 1009 (default: %(default)s)",
    )
    add(
        "--max-connections",
        metavar="N",
        type=int,
        default=Limits().max_connections,
        help="more at a time are refused with 503 (default: %(default)s)",
    )
    add(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        default="info",
        help="what is logged to standard error (default: %(default)s)",
    )
    console.add_parser(commands)
    decode.add_parser(commands)
    check.add_parser(commands, __version__)
    return parser


def _port(text: str) -> int:
    if not re.fullmatch("[0-9]{1,5}", text) or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"a port is a number from 0 to 65535, not {text!r}")
    return int(text)


def _step(text: str) -> int:
    if not re.fullmatch("[0-9]{1,2}", text) or int(text) not in SEEN:
        chapters = "\n".join(f"  {step:2}  {seen}" for step, seen in SEEN.items())
        raise argparse.ArgumentTypeError(f"a step is a chapter from 1 to {LAST}, not {text!r}:\n{chapters}")
    return int(text)


def _origin(text: str) -> str:
    """Origins are compared as text, so they must be written as browsers write them."""
    if text in ("*", "null"):
        return text
    found = re.fullmatch(r"([a-z][a-z0-9+.\-]*)://([a-z0-9.\-_]+|\[[0-9a-f:.]+\])(:[0-9]+)?", text.lower().rstrip("/"))
    if not found:
        raise argparse.ArgumentTypeError(f"an origin is SCHEME://HOST or SCHEME://HOST:PORT, not {text!r}")
    default = {"http": ":80", "https": ":443"}.get(found[1])
    return found[0].removesuffix(default) if default and found[3] == default else found[0]


def limits_table() -> str:
    """:class:`~wsref.protocol.limits.Limits` as a table."""
    rows = [(row.name, f"{row.default:.10g} {row.metadata['unit']}", row.metadata["why"]) for row in fields(Limits)]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    lines = (f"  {name:{widths[0]}}  {value:{widths[1]}}  {why}" for name, value, why in rows)
    return "limits (the names are those of wsref.Limits):\n" + "\n".join(lines)


# -- serve ------------------------------------------------------------------------


def serve(options: argparse.Namespace) -> int:
    """``python -m wsref serve``: until Ctrl-C or SIGTERM."""
    if options.source:
        print(source_at(options.step), end="")
        return 0
    set_up_log(options.log_level, sys.stderr)
    if options.certfile and options.step < LAST:
        raise CommandError(f"TLS comes in chapter 11: leave out --step {options.step}, or --certfile")
    try:
        limits = Limits(max_message_size=options.max_message_size, max_connections=options.max_connections)
    except ValueError as error:
        raise CommandError(str(error)) from None
    context = tls_context(options.certfile, options.keyfile)
    make_room_for(limits.max_connections)
    handler, page, printer = handler_at(options.step), page_at(options.step), tracer(options.trace)
    tap = None if printer is None else printer.tap
    if options.wire is None:
        options.wire = is_loopback(options.host) and tap is None and options.step == LAST
    elif options.wire and (tap is not None or options.step < LAST):
        raise CommandError("--wire goes with neither --trace nor --step")
    if options.wire:
        handler, watches = with_wire()
        page, tap = page_with_wire(page), watches.tap
    try:
        server = WebSocketServer(
            (options.host, options.port),
            handler,
            page=page,
            tap=tap,
            limits=limits,
            allowed_origins=options.allow_origin,
            ssl_context=context,
            compression=options.compression,
        )
    except (OSError, UnicodeError) as error:
        raise CommandError(why_not_bound(error, options.host, options.port)) from None

    # Seconds.  A thread that waits for Python's lock wakes up that often to ask for it again, and
    # with 1,000 busy clients hundreds wait: 5 k messages/s with the 0.005 that is usual, 17 k so.
    sys.setswitchinterval(0.02)

    with told_to_stop() as wait_for_signal, server:
        thread = threading.Thread(target=server.serve_forever, name="wsref accepts", daemon=True)
        thread.start()
        say(welcome(server, options.step), sys.stdout)
        wait_for_signal()
        say("\nClosing: 1001 to everyone.", sys.stderr)
        server.shutdown()
    return 0


def say(words: str, stream: TextIO) -> None:
    """Print, and do not mind that nobody listens any more (``python -m wsref | head -1``)."""
    try:
        stream.write(words + "\n")
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # or Python complains at its end


def welcome(server: WebSocketServer, step: int = LAST) -> str:
    """What ``serve`` says first: the one URL to open."""
    scheme, address = server.url.split("://")
    everywhere = address.startswith(("0.0.0.0:", "[::]:"))
    if everywhere:
        address = "localhost:" + address.rpartition(":")[2]
    lines = [f"Open {scheme.replace('ws', 'http')}://{address}/ in a browser.  Ctrl-C ends it.", ""]
    if step < LAST:
        lines.append(f"  After chapter {step} of {LAST}: {SEEN[step]}.")
    else:
        lines.append(f"  {scheme}://{address}/echo  sends back what you send")
        lines.append(f"  {scheme}://{address}/chat  sends it to everyone")
    if everywhere:
        lines.append("\n  It listens on all addresses of this machine: others on your network can connect.")
    return "\n".join(lines)


@contextlib.contextmanager
def told_to_stop() -> Iterator[Callable[[], object]]:
    """A function that waits for Ctrl-C or SIGTERM.  A second of either ends the process at once.

    Python runs a signal's handler in the main thread, between two of its instructions.
    So the handler must not take a lock that the main thread may hold (no ``Event``, no
    ``shutdown``), and somebody must wake the main thread if the system has given the
    signal to another one: the byte that ``set_wakeup_fd`` has written, in any thread.
    """
    ours, written_by_python = socket.socketpair()
    written_by_python.setblocking(False)
    signals = 0

    def on_signal(number: int, frame: object) -> None:
        nonlocal signals
        signals += 1
        if signals > 1:
            os._exit(130)

    def wait() -> None:
        while not signals:
            ours.recv(1)

    fd_before = signal.set_wakeup_fd(written_by_python.fileno(), warn_on_full_buffer=False)
    # SIGHUP: the terminal's window was closed; unless nohup has it ignored.
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, on_signal) for number in numbers}
    try:
        yield wait
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(fd_before)
        ours.close()
        written_by_python.close()


def tls_context(certfile: str | None, keyfile: str | None) -> ssl.SSLContext | None:
    """TLS as a server, or None without a certificate.

    Raises:
        CommandError: a file is missing, is no PEM, or the key is not the certificate's.
    """
    if certfile is None:
        if keyfile is not None:
            raise CommandError("--keyfile needs --certfile beside it")
        return None
    for file in filter(None, (certfile, keyfile)):
        try:
            with open(file, "rb"):
                pass
        except OSError as error:
            raise CommandError(f"cannot read {file}: {error.strerror}") from None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    try:
        context.load_cert_chain(certfile, keyfile, password=_no_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise CommandError(f"the key in {keyfile} is not that of the certificate in {certfile}") from None
        if keyfile is None:
            what = f"no certificate with its private key, in PEM, in {certfile}; is the key in a --keyfile of its own?"
        else:
            what = f"{certfile} is no certificate in PEM, or {keyfile} is no private key in PEM"
        raise CommandError(what) from None
    return context


def _no_password() -> str:
    raise CommandError("the private key has a password; decrypt it first: openssl pkey -in KEY -out PLAIN")


def why_not_bound(error: OSError | UnicodeError, host: str, port: int) -> str:
    """A reason that says what to do."""
    if isinstance(error, UnicodeError):
        return f"cannot listen on {host!a}: not the name of a host"
    if isinstance(error, socket.gaierror):
        return f"cannot listen on {host!a}: no such host ({error.strerror})"
    if error.errno == errno.EADDRINUSE:
        return f"cannot listen on {host} port {port}: it is in use; try another, --port {port % 65535 + 1}"
    if error.errno == errno.EACCES:
        return f"cannot listen on {host} port {port}: not permitted (ports below 1024 belong to root)"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"cannot listen on {host}: not an address of this machine"
    return f"cannot listen on {host} port {port}: {error.strerror or error}"


def make_room_for(connections: int) -> None:
    """Raise our own limit of open files, often 1024, to what so many connections need."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = connections + 256  # those turned away, the listener, files, Python's own
        if soft != resource.RLIM_INFINITY and soft < wanted:
            most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
