"""``python -m wsref serve``: the demo server, or the server after a chapter of the book."""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import re
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any

from ..apps.demo import Demo
from ..apps.exchange import ExchangeError, RedisExchange
from ..apps.panel import page_with_wire, with_wire
from ..apps.running import StepServer
from ..apps.shared_chat import page_for_exchange, with_exchange
from ..network.server import PAGE, WebSocketServer
from ..protocol.deflate import Compression
from ..protocol.limits import Limits
from ..protocol.origin import is_loopback
from ..steps import LAST, SEEN, diff_of, source_of
from .terminal import (
    CommandError,
    UsageError,
    begin_trace,
    open_trace,
    port,
    positive,
    print_line,
    print_to_stderr,
    set_up_log,
)

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8765


# -- The command line ---------------------------------------------------------------


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the flags of ``serve``."""
    parser = commands.add_parser(
        "serve",
        help="serve an echo, a chat, and a page that talks to them",
        description="Serve an echo at / and /echo, a chat at /chat, and, to browsers, a page that talks to them.",
        epilog=limits_table(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    add = parser.add_argument
    add("--host", default=DEFAULT_HOST, help="address to listen on (default: %(default)s, this machine only)")
    add("--port", type=port, default=DEFAULT_PORT, help="port to listen on, 0 for any (default: %(default)s)")
    add("--certfile", metavar="FILE", help="speak TLS (https:// and wss://) with this certificate chain, in PEM")
    add("--keyfile", metavar="FILE", help="the private key, in PEM, if it is not in the certfile")
    add(
        "--allow-origin",
        metavar="ORIGIN",
        action="append",
        default=[],
        type=_origin,
        help="let pages from this origin connect, such as https://example.com; null for pages opened as files; "
        "* for all; may be given several times (default: only pages from this server)",
    )
    add(
        "--step",
        metavar="N",
        type=_step,
        help=f"run the program that the book has written after chapter N, 1 to {LAST}",
    )
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--source", action="store_true", help="with --step: print the program instead")
    instead.add_argument("--diff", action="store_true", help="with --step: print what the chapter changes instead")
    add(
        "--trace",
        metavar="FILE",
        nargs="?",
        const="-",
        help="explain all bytes of all connections on standard error; or record them in FILE, as JSON lines for "
        "decode --replay",
    )
    add(
        "--wire",
        action=argparse.BooleanOptionalAction,
        help="show on the page the bytes of its connection (default: on, if the server listens on this machine only, "
        "without --trace and --step)",
    )
    add(
        "--exchange",
        metavar="URL",
        help="share the chat with other servers through Redis, such as redis://127.0.0.1:6379/0 (pip install redis)",
    )
    add(
        "--reuse-port",
        action="store_true",
        help="let several servers listen on this port; the system gives each connection to one of them",
    )
    add(
        "--no-compression",
        dest="compression",
        action="store_const",
        const=None,
        default=Compression(),
        help="decline permessage-deflate (with ?compression=off in its URL, as the page has it, a client declines for "
        "itself)",
    )
    add(
        "--max-message-size",
        metavar="BYTES",
        type=positive,
        default=Limits().max_message_size,
        help="refuse longer messages with 1009 (default: %(default)s)",
    )
    add(
        "--max-connections",
        metavar="N",
        type=positive,
        default=Limits().max_connections,
        help="refuse more connections at a time with 503 (default: %(default)s)",
    )
    add(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        default="info",
        help="the lowest level that is logged to standard error (default: %(default)s)",
    )


def _step(text: str) -> int:
    if not re.fullmatch("[0-9]{1,2}", text) or int(text) not in SEEN:
        chapters = "\n".join(f"  {step:2}  {seen}" for step, seen in SEEN.items())
        raise argparse.ArgumentTypeError(f"a step is a chapter from 1 to {LAST}, not {text!r}:\n{chapters}")
    return int(text)


def _origin(text: str) -> str:
    """Write an origin as browsers do: origins are compared as text."""
    if text in ("*", "null"):
        return text
    found = re.fullmatch(r"([a-z][a-z0-9+.\-]*)://([a-z0-9.\-_]+|\[[0-9a-f:.]+\])(:[0-9]+)?", text.lower().rstrip("/"))
    if not found:
        raise argparse.ArgumentTypeError(f"an origin is SCHEME://HOST or SCHEME://HOST:PORT, not {text!r}")
    default = {"http": ":80", "https": ":443"}.get(found[1])
    return found[0].removesuffix(default) if default and found[3] == default else found[0]


def limits_table() -> str:
    """Return :class:`~wsref.protocol.limits.Limits` as a table."""
    rows = [(row.name, f"{row.default:.10g} {row.metadata['unit']}", row.metadata["why"]) for row in fields(Limits)]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    lines = (f"  {name:{widths[0]}}  {value:{widths[1]}}  {why}" for name, value, why in rows)
    return "limits (the names are those of wsref.Limits):\n" + "\n".join(lines)


# -- The server ------------------------------------------------------------------------


def run(options: argparse.Namespace) -> int:
    """Serve until Ctrl-C or SIGTERM.

    Returns:
        The exit code.
    Raises:
        CommandError: The server cannot start.
    """
    if options.step is None and (options.source or options.diff):
        raise UsageError("--source and --diff print a step of the book: say which, --step N")
    if options.source or options.diff:
        print(source_of(options.step) if options.source else diff_of(options.step), end="")
        return 0
    set_up_log(options.log_level, sys.stderr)
    server = _make_server(options) if options.step is None else _make_step(options)
    begin_trace(options.trace)
    tune_process()
    with stop_signals() as wait_for_signal, server:
        if isinstance(server, WebSocketServer):
            server.start()
        print_line(startup_message(server.url, options.step), sys.stdout)
        wait_for_signal()
        sends_close = options.step is None or options.step >= 10
        print_to_stderr("\nClosing" + (": 1001 to every client." if sends_close else "."))
    return 0


def _make_step(options: argparse.Namespace) -> StepServer:
    """The program of a chapter; it has an address and, in chapter 11, a certificate, and no other options."""
    given = {
        "--wire": bool(options.wire),
        "--allow-origin": bool(options.allow_origin),
        "--no-compression": options.compression is None,
        "--exchange": options.exchange is not None,
        "--reuse-port": options.reuse_port,
        "--max-message-size": options.max_message_size != Limits().max_message_size,
        "--max-connections": options.max_connections != Limits().max_connections,
    }
    for flag in (flag for flag, is_given in given.items() if is_given):
        raise UsageError(f"{flag} cannot be used with --step: the programs of the book have no such option")
    printer = open_trace(options.trace)
    context = tls_context(options.certfile, options.keyfile)
    if ":" in options.host:
        raise UsageError("--host with --step is a name or an IPv4 address: the programs of the book speak no IPv6")
    tap = None if printer is None else printer.tap
    with explained_bind_errors(options.host, options.port):
        try:
            return StepServer(options.step, (options.host, options.port), tap=tap, ssl_context=context)
        except ValueError as error:
            raise CommandError(str(error)) from None


def _make_server(options: argparse.Namespace) -> WebSocketServer[Any]:
    limits = Limits(max_message_size=options.max_message_size, max_connections=options.max_connections)
    context = tls_context(options.certfile, options.keyfile)
    raise_open_files_limit(limits.max_connections)
    printer = open_trace(options.trace)
    handler: type[Demo] = Demo
    page, tap = PAGE.read_bytes(), None if printer is None else printer.tap
    if options.wire is None:
        options.wire = is_loopback(options.host) and tap is None
    elif options.wire and tap is not None:
        raise UsageError("--wire cannot be used with --trace")
    if options.wire:
        handler, subscriptions = with_wire()
        page, tap = page_with_wire(page), subscriptions.tap
    if options.exchange is not None:
        handler, page = _share(options.exchange, handler), page_for_exchange(page)
    server = PortSharer if options.reuse_port else WebSocketServer
    with explained_bind_errors(options.host, options.port):
        return server(
            (options.host, options.port),
            handler,
            page=page,
            tap=tap,
            limits=limits,
            allowed_origins=options.allow_origin,
            ssl_context=context,
            compression=options.compression,
        )


def _share(url: str, handler: type[Demo]) -> type[Demo]:
    """Return a handler whose chat goes through Redis."""
    try:
        return with_exchange(RedisExchange(url), handler)
    except ExchangeError as error:
        raise CommandError(str(error)) from None


class PortSharer(WebSocketServer[Any]):
    """A server that lets others listen on its port (``SO_REUSEPORT``)."""

    allow_reuse_port = True


def startup_message(url: str, step: int | None = None) -> str:
    """Return the first lines that ``serve`` prints: the one URL to open."""
    scheme, address = url.split("://")
    all_addresses = address.startswith(("0.0.0.0:", "[::]:"))
    if all_addresses:
        address = "localhost:" + address.rpartition(":")[2]
    lines = [f"Open {scheme.replace('ws', 'http')}://{address}/ in a browser.  Ctrl-C ends it.", ""]
    if step is not None:
        gets = "426 and a page" if step >= 5 else "200 and a line of text"
        lines.append(f"  After chapter {step} of {LAST}: {SEEN[step]}.  A browser gets {gets}.")
    else:
        lines.append(f"  {scheme}://{address}/echo  sends back what you send")
        lines.append(f"  {scheme}://{address}/chat  sends it to everyone")
    if all_addresses:
        own, port = network_address(), address.rpartition(":")[2]
        where = f": a phone, at {scheme.replace('ws', 'http')}://{own}:{port}/" if own else ""
        lines.append(f"\n  It listens on all addresses of this machine, so others on your network can connect{where}")
    return "\n".join(lines)


def network_address() -> str | None:
    """Return this machine's IPv4 address in its network.  None: it has none."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect(("192.0.2.1", 9))  # chooses the way out, and sends nothing (RFC 5737: no such host)
            own = str(sock.getsockname()[0])
    except OSError:
        return None
    return None if is_loopback(own) else own


# -- The process -------------------------------------------------------------------------


def tune_process() -> None:
    """Make the settings of the whole process that speed up a server."""
    # Seconds.  A thread that waits for Python's lock asks for it after this time, and with 1,000 busy
    # clients hundreds of threads wait: 17 k messages/s, and 5 k with Python's default of 0.005.
    sys.setswitchinterval(0.02)
    # Bytes, allocated and freed.  From then on glibc keeps up to twice this size for reuse, instead of
    # new pages for each large message: an echo of 1 MiB text runs at 347 MiB/s, else at 295.
    # (mallopt(3): M_MMAP_THRESHOLD is dynamic.)
    bytes(2 * 1024 * 1024)


def raise_open_files_limit(connections: int) -> None:
    """Raise this process's limit of open files, often 1024, to what the connections need."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = connections + 256  # refused connections, the listener, files, Python's own
        if soft != resource.RLIM_INFINITY and soft < wanted:
            limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


@contextlib.contextmanager
def stop_signals() -> Iterator[Callable[[], object]]:
    """Catch Ctrl-C and SIGTERM, and yield a function that waits for one; a second one ends the process at once.

    Python runs a signal handler in the main thread, between two of its instructions.  So the
    handler must not take a lock that the main thread may hold (no ``Event``, no ``shutdown``).
    The system may deliver the signal to another thread while the main thread sleeps: the byte
    that ``set_wakeup_fd`` makes Python write, in any thread, wakes it.
    """
    wake_r, wake_w = socket.socketpair()
    wake_w.setblocking(False)
    signals = 0

    def on_signal(number: int, frame: object) -> None:
        nonlocal signals
        signals += 1
        if signals > 1:
            os._exit(130)

    def wait() -> None:
        while not signals:
            wake_r.recv(1)

    fd_before = signal.set_wakeup_fd(wake_w.fileno(), warn_on_full_buffer=False)
    # SIGHUP: the window of the terminal was closed.  nohup makes the process ignore it.
    numbers = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # Windows has none
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, on_signal) for number in numbers}
    try:
        yield wait
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(fd_before)
        wake_r.close()
        wake_w.close()


# -- TLS, and errors -----------------------------------------------------------------------


def tls_context(certfile: str | None, keyfile: str | None) -> ssl.SSLContext | None:
    """Return a context for TLS as a server; None: no certificate, so no TLS.

    Raises:
        CommandError: A file is missing or not PEM, or the key is not the certificate's.
    """
    if certfile is None:
        if keyfile is not None:
            raise UsageError("--keyfile needs --certfile")
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
            what = f"{certfile} has no certificate with its private key, in PEM; name a separate key file by --keyfile"
        else:
            what = f"{certfile} is not a certificate in PEM, or {keyfile} is not a private key in PEM"
        raise CommandError(what) from None
    return context


def _no_password() -> str:
    raise CommandError("the private key has a password; decrypt it first: openssl pkey -in KEY -out PLAIN")


@contextlib.contextmanager
def explained_bind_errors(host: str, port: int) -> Iterator[None]:
    """Turn the errors of a socket that is to listen into sentences.

    Raises:
        CommandError: Says why the server cannot listen, and what to do.
    """
    try:
        socket.getaddrinfo(host or None, port)  # of a wrong name its errors say more than those of bind()
        yield
    except (OSError, UnicodeError) as error:
        raise CommandError(explain_bind_error(error, host, port)) from None


def explain_bind_error(error: OSError | UnicodeError, host: str, port: int) -> str:
    """Return why the server cannot listen, and what to do."""
    if isinstance(error, UnicodeError):
        return f"cannot listen on {host!a}: not the name of a host"
    if isinstance(error, socket.gaierror):
        if host.startswith("[") or "/" in host or host.count(":") == 1:
            what = "an address is written without brackets, scheme and port: --host ::1, --host 0.0.0.0 --port 8000"
            return f"cannot listen on {host!a}: {what}"
        return f"cannot listen on {host!a}: no such host ({error.strerror})"
    if error.errno == errno.EADDRINUSE:
        return f"cannot listen on {host} port {port}: it is in use; try another, --port {port % 65535 + 1}"
    if error.errno == errno.EACCES:
        return f"cannot listen on {host} port {port}: not permitted (ports below 1024 belong to root)"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"cannot listen on {host}: not an address of this machine"
    return f"cannot listen on {host} port {port}: {error.strerror or error}"
