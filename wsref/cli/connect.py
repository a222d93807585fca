r"""Chapter 0: ``python -m wsref connect URL``: a client to type at, and for scripts.

On a terminal it has a prompt (:mod:`wsref.cli.prompt`): each typed line is sent as a text message,
and ``/help`` lists the commands.  In a pipe it is a filter (:mod:`wsref.cli.conversation`).  This
module has the command line, opens the connection, and says what to do where that fails.
"""

from __future__ import annotations

import argparse
import io
import math
import re
import socket
import ssl
import sys
import time
from dataclasses import replace

from ..network.client import WebSocket, connect
from ..network.tap import Tap
from ..protocol.client_handshake import HandshakeFailed
from ..protocol.deflate import Compression
from ..protocol.limits import Limits
from ..protocol.spec import TOKEN
from ..protocol.url import URL, parse_url
from .conversation import GRACE, TIMED_OUT, Filter, in_time, notify
from .prompt import HELP, Prompt, Terminal
from .terminal import (
    HAS_SIGNALS,
    CommandError,
    UsageError,
    begin_trace,
    open_trace,
    positive,
    print_to_stderr,
    seconds,
    trust_only,
)

#: Seconds for finding out whether a port speaks TLS.
PROBE_TIMEOUT = 3.0

# -- The command line ---------------------------------------------------------------


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the flags of ``connect``."""
    parser = commands.add_parser(
        "connect",
        help="connect to a WebSocket server, and talk to it",
        description="Connect to a WebSocket server, and talk to it.",
        epilog="on a terminal:\n" + HELP + "\n\n"
        "as a filter (standard input or output is not a terminal, or with -x, -b, --json):\n"
        "  Each line of standard input is sent as a text message.  Each received message is one\n"
        "  line of standard output: text as it is, binary in hex.  After the end of the input, the\n"
        "  command ends --wait seconds after the last message, or when the server closes.\n\n"
        "exit codes:\n"
        "  0    a normal close; all input was sent, and all messages were printed\n"
        "  1    no connection, or it was lost or closed with an error; input that was not sent,\n"
        "       output that was not written, or fewer messages than -n\n"
        "  2    a wrong command line\n"
        "  124  --max-time is over\n"
        "  130  Ctrl-C",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    add = parser.add_argument
    add("url", metavar="URL", type=_url, help="ws://HOST:PORT/PATH, or wss://...")
    add(
        "-H",
        "--header",
        metavar="'NAME: VALUE'",
        dest="headers",
        action="append",
        default=[],
        type=_header,
        help="send this header as well; may be given several times",
    )
    add(
        "-s",
        "--subprotocol",
        metavar="NAME",
        dest="subprotocols",
        action="append",
        default=[],
        type=_subprotocol,
        help="offer this subprotocol; may be given several times, the best first",
    )
    add("-o", "--origin", help="send this Origin, as a browser does for a page from there")
    add("--cafile", metavar="FILE", help="wss: trust the certificates in this file (PEM), and no others")
    add(
        "-k",
        "--insecure",
        action="store_true",
        help="wss: accept any certificate, so any machine in between can read along",
    )
    add("--timeout", metavar="SECONDS", type=seconds, default=10.0, help="limit for connecting (default: %(default)g)")
    add(
        "--max-time",
        metavar="SECONDS",
        type=seconds,
        help=f"end after this time, connecting included, with exit code {TIMED_OUT}",
    )
    add(
        "--max-message-size",
        metavar="BYTES",
        type=positive,
        default=Limits().max_message_size,
        help="accept messages of at most this size (default: %(default)s)",
    )
    add(
        "--no-compression",
        dest="compression",
        action="store_const",
        const=None,
        default=Compression(),
        help="do not offer permessage-deflate",
    )
    add(
        "-x",
        "--execute",
        metavar="TEXT",
        action="append",
        default=[],
        help="send this text in place of standard input; may be given several times",
    )
    add("-n", "--count", metavar="COUNT", type=positive, help="end after COUNT received messages")
    add(
        "--wait",
        metavar="SECONDS",
        type=_wait,
        help="as a filter: how long to wait for another message after the end of the input "
        "(default: 1; with -n: inf, no limit)",
    )
    add(
        "-b",
        "--binary",
        action="store_true",
        help="bytes in, bytes out: send all of standard input as one binary message, and write payloads as they are",
    )
    add("--json", action="store_true", help="print one JSON object a line, for messages and for the ends")
    add("-q", "--quiet", action="store_true", help="print no notices, only errors")
    add("--no-history", action="store_true", help="on a terminal: keep no file of typed lines")
    add(
        "--trace",
        metavar="FILE",
        nargs="?",
        const="-",
        type=_trace_file,
        help="explain all bytes on standard error; or record them in FILE, as JSON lines for decode --replay "
        "(write it after the URL)",
    )


def _url(text: str) -> str:
    try:
        parse_url(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}{_meant(text)}") from None
    return text


def _meant(text: str) -> str:
    """``localhost:8765`` is ``ws://localhost:8765``; the error itself helps with a URL that has a scheme."""
    if "://" in text:
        return ""
    url = re.sub(r"\A(?:(wss?):/?)?(?!/)", lambda found: f"{found[1] or 'ws'}://", text)
    try:
        parse_url(url)
    except ValueError:
        return ""
    return f"; did you mean {url}?"


def _trace_file(text: str) -> str:
    """``--trace URL`` would record in a file of this name."""
    if re.match("wss?:/", text):
        raise argparse.ArgumentTypeError(f"write it after the URL; {text!a} would be the FILE to record in")
    return text


def _wait(text: str) -> float:
    return math.inf if text == "inf" else seconds(text)


def _header(text: str) -> tuple[str, str]:
    found = re.fullmatch(rf"({TOKEN}):[ \t]*(.*)", text)
    if not found:
        raise argparse.ArgumentTypeError(f"a header is 'NAME: VALUE', not {text!a}")
    return found[1], found[2]


def _subprotocol(text: str) -> str:
    if not re.fullmatch(TOKEN, text):
        raise argparse.ArgumentTypeError(f"a subprotocol is one word without separators, not {text!a}")
    return text


def run(options: argparse.Namespace) -> int:
    """Connect, and exchange messages until the connection, the input or the time ends.

    Returns:
        The exit code.
    Raises:
        CommandError: The connection failed.
    """
    max_time = math.inf if options.max_time is None else options.max_time
    deadline = time.monotonic() + max_time
    as_filter = bool(options.execute or options.binary or options.json)
    _check_streams(options)
    try:
        output = TraceOutput()
        printer = open_trace(options.trace, output)
        url = parse_url(options.url)
        context = _ssl_context(options, url)
        tap = None if printer is None else printer.client_tap(f"{url.host}:{url.port}")
        begin_trace(options.trace)
        try:
            ws: WebSocket = in_time(lambda: _open(options, context, tap), max_time)
        except TimeoutError:
            print_to_stderr(f"wsref: --max-time: no connection within {max_time:g} s")
            return TIMED_OUT
        if as_filter or not (sys.stdin.isatty() and sys.stdout.isatty()):
            return Filter(ws, options, deadline).run()
        output.terminal = (Prompt if HAS_SIGNALS else Terminal)(ws, options, deadline)
        return output.terminal.run()
    except KeyboardInterrupt:
        return 130  # while connecting, or a second time: end without a closing handshake


def _check_streams(options: argparse.Namespace) -> None:
    """Fail before anything is sent that could not be answered, or asked for."""
    if sys.stdin is None and not options.execute:
        raise CommandError("standard input is closed: use < /dev/null for an empty one, or send a text by -x")
    if sys.__stdout__ is None:  # sys.stdout has been replaced
        raise CommandError("standard output is closed: use > /dev/null if the messages do not matter")


class TraceOutput(io.StringIO):
    """The stream of a trace: standard error, or above the line that is being typed."""

    terminal: Terminal | None = None

    def write(self, text: str) -> int:
        """Print whole lines."""
        if self.terminal is None:
            print_to_stderr(text.removesuffix("\n"))
        else:
            self.terminal.print_above(text.rstrip("\n"))
        return len(text)


# -- Connecting -----------------------------------------------------------------------


def _ssl_context(options: argparse.Namespace, url: URL) -> ssl.SSLContext | None:
    """Return what ``--insecure`` and ``--cafile`` ask for; None: the system's certificates."""
    if options.insecure and not options.quiet:
        notify("warning: --insecure: the server is not authenticated")
    if not url.secure:
        if options.cafile:
            raise UsageError("--cafile is for wss://; this is ws://")
        return None
    if options.insecure:
        return _accept_any_certificate()
    return None if options.cafile is None else trust_only(options.cafile)


def _accept_any_certificate() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _open(options: argparse.Namespace, context: ssl.SSLContext | None, tap: Tap | None) -> WebSocket:
    """Connect, or raise an error that says what to do."""
    limits = Limits(max_message_size=options.max_message_size)
    if options.max_time is not None:
        limits = replace(limits, close_timeout=GRACE)
    try:
        return connect(
            options.url,
            subprotocols=options.subprotocols,
            origin=options.origin,
            headers=options.headers,
            ssl_context=context,
            timeout=options.timeout,
            compression=options.compression,
            limits=limits,
            tap=tap,
        )
    except ValueError as error:
        if isinstance(error, ssl.SSLCertVerificationError):  # a ValueError, too
            what = error.verify_message.rstrip(".")
            do = "connect to a name that it has" if "mismatch" in what else "trust another one by --cafile FILE"
            words = f"the server's certificate is not trusted: {what}; {do}, or accept any by --insecure"
            raise CommandError(words) from None
        raise UsageError(str(error)) from None
    except HandshakeFailed as error:
        raise CommandError(f"{error}{_advice(error, parse_url(options.url))}") from None
    except OSError as error:
        raise CommandError(str(error.strerror or error)) from None


def _advice(error: HandshakeFailed, url: URL) -> str:
    """Name the URL that may work: wss for ws."""
    # Some servers answer 400 to plain HTTP on a port for TLS; others end the connection, or send an alert.
    if error.status in (0, 400) and not url.secure and _speaks_tls(url):
        return f"\n  (the port speaks TLS: try {replace(url, secure=True)})"
    return ""


def _speaks_tls(url: URL) -> bool:
    """Try a TLS handshake."""
    try:
        with socket.create_connection((url.host, url.port), PROBE_TIMEOUT) as sock:
            _accept_any_certificate().wrap_socket(sock, server_hostname=url.host).close()
        return True
    except ssl.SSLError as error:
        return "ALERT" in (error.reason or "")  # it refuses our handshake, but it understands it
    except (OSError, ValueError):
        return False
