"""``python -m wsref decode``: pasted bytes, explained and drawn.

Every tool writes bytes in its own form: a hex stream, a dump, a list in a program, a capture.
:mod:`wsref.cli.forms` reads them, and :mod:`wsref.wire.describe` explains the bytes::

    $ python -m wsref decode 81 85 37 fa 21 3d 7f 9f 4d 51 58
    $ python -m wsref decode seen.pcapng
    $ python -m wsref decode --svg 8105 48656c6c6f > hello.svg
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

from ..protocol.deflate import DeflateParameters
from ..protocol.errors import quote_ascii
from ..protocol.http11 import Headers
from ..wire.describe import Explainer, recognise
from ..wire.describe_http import negotiated
from ..wire.description import Description
from ..wire.svg import svg_of
from ..wire.trace import Record, replay, trace_lines
from ..wire.words import count, wrap
from .digits import read_base64
from .forms import read_bytes, read_text
from .pasted import Pasted, PasteError
from .terminal import CommandError, UsageError, port, print_to_stderr, wants_colour

_HELP = """\
The bytes may be written as: hex, with or without 0x, spaces, colons, commas or line ends;
binary digits; base64; strings with escapes and lists of numbers of C, Erlang, Go, Java,
JavaScript, JSON, Python and Rust; dumps of xxd, hexdump, od, gdb, Wireshark, tcpdump -X,
curl --trace and browsers; the output of curl -v and of strace; HTTP as text.  A file, or
standard input, may also be raw bytes, or a capture (pcap, pcapng).  Without bytes, or with
"-", they are read from standard input.  Standard error says how they were read.

Exit code: 0, the bytes are valid; 1, they break a rule, or a file cannot be read; 2, the
bytes cannot be read, or a wrong command line; 130, Ctrl-C.
"""

#: A terminal passes no more bytes of a line, and drops the rest (N_TTY_BUF_SIZE of Linux).
_MAX_TERMINAL_LINE = 4095
_MAX_INPUT = 256 << 20  # bytes

#: Bytes that are explained at once: the pictures of the first ones appear while the rest is waiting.
_FEED = 4 << 10


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the flags of ``decode``."""
    parser = commands.add_parser(
        "decode",
        help="draw the bytes of frames and handshakes, and list their problems",
        description="Draw the bytes of frames and handshakes, bit by bit, and list their problems.",
        epilog=_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    add = parser.add_argument
    add("bytes", metavar="HEX", nargs="*", help="the bytes, in one of the forms below, or the name of a file")
    notation = parser.add_mutually_exclusive_group()
    notation.add_argument("--base64", action="store_true", help="the bytes are written in base64")
    notation.add_argument("--raw", action="store_true", help="the file or standard input has the bytes themselves")
    add("--port", type=port, help="of a capture, only the connections from or to this port")
    side = parser.add_mutually_exclusive_group()
    masked = "(default: the MASK bit decides)"
    side.add_argument("--client", dest="masked", action="store_const", const=True, help=f"a client sent them {masked}")
    side.add_argument("--server", dest="masked", action="store_const", const=False, help="a server sent them")
    add("--key", metavar="KEY", help="the Sec-WebSocket-Key of the request: check that a 101 answers it")
    add(
        "--deflate",
        metavar="PARAMETERS",
        type=_deflate,
        default=DeflateParameters(),
        help="the negotiated parameters of permessage-deflate, such as 'client_no_context_takeover', or 'off' "
        "(default: the parameters that read the bytes of every sender)",
    )
    add("--replay", metavar="FILE", help="draw what --trace FILE recorded; - for standard input")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--svg", action="store_true", help="write an SVG picture")
    form.add_argument("--json", action="store_true", help="write JSON")


def _deflate(text: str) -> DeflateParameters | None:
    if text in ("off", "none", "no"):
        return None
    words = text.strip("; ")
    words = words if words.startswith("permessage-deflate") else f"permessage-deflate; {words}".rstrip("; ")
    try:
        return negotiated(Headers([("Sec-WebSocket-Extensions", words)]))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def run(options: argparse.Namespace) -> int:
    """Draw bytes.

    Returns:
        The exit code.
    Raises:
        CommandError: A file cannot be read.
        UsageError: The bytes cannot be read, or the options do not go together.
    """
    if options.replay is None:
        return _decode(options)
    _refuse_beside_replay(options)
    return _replay(options)


def _refuse_beside_replay(options: argparse.Namespace) -> None:
    given = {
        "bytes": bool(options.bytes),
        "--base64": options.base64,
        "--raw": options.raw,
        "--port": options.port is not None,
        "--client": options.masked is True,
        "--server": options.masked is False,
        "--key": options.key is not None,
        "--deflate": options.deflate != DeflateParameters(),
    }
    for name in (name for name, is_given in given.items() if is_given):
        raise UsageError(
            f"--replay FILE takes no {name}: a recording says who sent which bytes, and what was negotiated"
        )


def _decode(options: argparse.Namespace) -> int:
    if options.key is not None and not options.key.isascii():
        raise UsageError(f"--key: a key is 24 characters of base64, not {options.key!a}")
    try:
        found = _read(options)
    except PasteError as error:
        raise UsageError(str(error)) from None
    if not found.data:
        raise UsageError("no bytes; try: python -m wsref decode 81 05 48 65 6c 6c 6f")
    print_to_stderr(f"read as: {found.words}")
    return _draw(explain_pieces(found, options), options)


def _draw(pairs: Iterable[tuple[dict[str, Any], Description]], options: argparse.Namespace) -> int:
    """Write what the options ask for; text as soon as it is known, as there may be much.

    Args:
        pairs: Of each head or frame, its description, and before it a dict such as its sender.
    """
    wrong = False

    def noted() -> Iterator[tuple[dict[str, Any], Description]]:
        nonlocal wrong
        for known, description in pairs:
            wrong = wrong or bool(description.problems)
            yield known, description

    if options.svg:
        picture = svg_of([description for _, description in noted()])
        write_out(picture.encode("ascii", "xmlcharrefreplace").decode())  # the same document in every locale
    elif options.json:
        rows = [known | description.as_dict() for known, description in noted()]
        write_out(json.dumps(rows, indent=2))
    else:
        for picture in _pictures(noted(), wants_colour(sys.stdout), _width()):
            write_out(picture)
    return int(wrong)


# -- What is read ----------------------------------------------------------------------


def _read(options: argparse.Namespace) -> Pasted:
    """Return the bytes of the arguments, of a file or of standard input."""
    if not options.bytes or options.bytes == ["-"]:
        return _read_stream(options, *_standard_input())
    name = options.bytes[0]
    is_file = len(options.bytes) == 1 and os.path.exists(name)
    if is_file and options.raw:
        return _read_file(options, name)
    if options.raw:
        raise PasteError(f"--raw takes a file or standard input, and there is no file {quote_ascii(name)}")
    text = " ".join(options.bytes)
    try:
        found = read_base64(text) if options.base64 else read_text(text)
    except PasteError as error:
        if is_file:
            return _read_file(options, name)
        if len(options.bytes) == 1 and len(name) < 256 and ("/" in name or "." in name) and name.isprintable():
            raise PasteError(f"{error}; and there is no file of this name") from None
        raise
    if is_file:
        print_to_stderr(f"wsref: there is a file of this name, too: {quote_ascii(f'./{name}')} reads it")
    return found


def _read_file(options: argparse.Namespace, name: str) -> Pasted:
    try:
        with open(name, "rb") as file:
            return _read_stream(options, file, quote_ascii(name))
    except OSError as error:
        raise CommandError(f"cannot read {quote_ascii(name)}: {error.strerror}") from None


def _standard_input() -> tuple[BinaryIO, str]:
    if sys.stdin is None:
        raise CommandError("standard input is closed: give the bytes as arguments, or the name of a file")
    if sys.stdin.isatty():
        print_to_stderr("Paste the bytes, then press Enter and Ctrl-D.")
    return sys.stdin.buffer, "standard input"


def _read_stream(options: argparse.Namespace, stream: BinaryIO, name: str) -> Pasted:
    try:
        data = stream.read(_MAX_INPUT + 1)
    except OSError as error:
        raise CommandError(f"cannot read {name}: {error.strerror}") from None
    if len(data) > _MAX_INPUT:
        raise PasteError(f"{name} has more than {_MAX_INPUT >> 20} MiB: cut it, or filter the capture")
    if stream.isatty() and any(len(line) >= _MAX_TERMINAL_LINE for line in data.split(b"\n")):
        words = f"a terminal drops what follows the first {_MAX_TERMINAL_LINE} characters of a line"
        raise PasteError(f"{words}: put the bytes into a file, and give its name")
    return read_bytes(data, base64=options.base64, raw=options.raw, port=options.port)


# -- What is drawn -----------------------------------------------------------------------


def explain_pieces(found: Pasted, options: argparse.Namespace) -> Iterator[tuple[dict[str, Any], Description]]:
    """Explain the bytes of each sender, and at the end say how many of them nothing explains."""
    conversations: dict[int, dict[str, Explainer]] = {}
    for piece in found.pieces:
        by_client = piece.by_client
        if by_client is None and piece.sender and (kind := recognise(piece.data)) in ("request", "response"):
            by_client = kind == "request"
        sides = conversations.setdefault(piece.conversation, {})
        if piece.sender not in sides:
            masked = options.masked if by_client is None else by_client
            key = next((other.key for other in sides.values() if other.key), options.key)
            sides[piece.sender] = Explainer(masked=masked, key=key, deflate=options.deflate, opening=True)
        explainer = sides[piece.sender]
        for start in range(0, len(piece.data), _FEED):
            descriptions = explainer.feed(piece.data[start : start + _FEED])
            # A request has the key that the answer needs; the answer says how both sides compress.
            for other in sides.values():
                other.key = explainer.key or other.key
                if any(description.kind == "response" for description in descriptions):
                    other.deflate = explainer.deflate
            for description in descriptions:
                yield _named(piece.sender), description
    explainers = [(sender, explainer) for sides in conversations.values() for sender, explainer in sides.items()]
    for sender, explainer in explainers:
        if (pending := explainer.pending()) is not None:
            yield _named(sender), pending
    if ignored := sum(explainer.ignored for _, explainer in explainers):
        print_to_stderr(f"wsref: {count(ignored, 'byte')} after a head that opens no WebSocket: not drawn")


def _named(sender: str) -> dict[str, Any]:
    return {"sender": sender} if sender else {}


def _pictures(pairs: Iterable[tuple[dict[str, Any], Description]], colour: bool, width: int) -> Iterator[str]:
    """Yield a picture for each head or frame, with a heading where the sender changes, and empty lines between them."""
    before = space = ""
    for known, description in pairs:
        sender = known.get("sender", "")
        picture = description.text(colour, width)
        if sender != before:
            heading = "\n".join(wrap(f"━━ {sender} ━━", width))
            picture = (f"\x1b[1m{heading}\x1b[0m" if colour else heading) + f"\n\n{picture}"
        yield space + picture
        before, space = sender, "\n"


def _width() -> int:
    """Return the columns of the terminal, at most 100; 80 for a pipe or a file."""
    return min(shutil.get_terminal_size().columns, 100) if sys.stdout.isatty() else 80


def write_out(text: str) -> None:
    """Write a line or a picture to standard output."""
    # A terminal without box drawing (LANG=C) gets question marks, not a traceback.
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "replace").decode(encoding), flush=True)


# -- What was recorded ---------------------------------------------------------------------


def _replay(options: argparse.Namespace) -> int:
    """Draw each head and frame of a recorded trace, below its line of the trace."""
    name = "standard input" if options.replay == "-" else quote_ascii(options.replay, 200)[1:-1]
    records = _records(options.replay, name)
    if options.svg or options.json:
        rows = (({"at": one.at, "peer": one.peer, "sent": one.sent}, one.descriptions) for one in records)
        return _draw(((row, description) for row, descriptions in rows for description in descriptions), options)
    wrong = False
    for record in records:
        for line in trace_lines(record, colour=wants_colour(sys.stdout)):
            if not line.startswith("    "):
                write_out(line)
        wrong = bool(_draw((({}, description) for description in record.descriptions), options)) or wrong
    return int(wrong)


def _records(file: str, name: str) -> Iterator[Record]:
    """Yield the records of a trace.

    Raises:
        CommandError: The file cannot be read.
    """
    try:
        stream = _standard_input()[0] if file == "-" else open(file, "rb")  # noqa: SIM115  (closed below)
        with stream, io.TextIOWrapper(stream, encoding="utf-8-sig") as lines:
            yield from replay(iter(lambda: lines.readline(_MAX_INPUT), ""))  # a longer line is no record
    except OSError as error:
        raise CommandError(f"cannot read {name}: {error.strerror}") from None
    except ValueError as error:
        raise CommandError(f"{name}: {error}") from None
