"""One function for each parser: it feeds bytes and asserts what must hold for all bytes.

A target takes the input of a fuzzer.  Where options are needed, its first byte holds them: which role,
which compression, how the rest is cut into pieces.
"""

from __future__ import annotations

import json
import random
import unicodedata
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from wsref.check import codec
from wsref.cli.forms import read_bytes, read_text
from wsref.cli.pasted import PasteError
from wsref.fast.connection import FastConnection
from wsref.protocol.client_handshake import HandshakeFailed, build_handshake, check_response
from wsref.protocol.connection import Closed, Connection, Event, Message, Ping
from wsref.protocol.deflate import TAIL, Compression, DeflateParameters, Deflater, Inflater, accept_offer
from wsref.protocol.deflate import accept_response as accept_parameters
from wsref.protocol.errors import HTTPError, ProtocolError
from wsref.protocol.extensions import parse_extensions
from wsref.protocol.frames import build_frame, parse_frame, parse_header
from wsref.protocol.handshake import refusal, validate
from wsref.protocol.http11 import build_request, build_response, find_end_of_head, parse_head, parse_request
from wsref.protocol.http11 import parse_response as parse_response_head
from wsref.protocol.limits import Limits
from wsref.protocol.spec import RSV1, Role, State
from wsref.protocol.url import parse_url
from wsref.wire.describe import Explainer, explain, recognise

#: Small, so that inputs of a few hundred bytes reach them.
LIMITS = Limits(max_request_line=200, max_header_line=100, max_headers=12, max_head=600)
MESSAGE_LIMITS = Limits(max_message_size=1000, max_empty_fragments=3)
PARAMETERS = (None, DeflateParameters(), DeflateParameters(True, True, 9, 9))


def options(data: bytes) -> tuple[int, bytes]:
    """The first byte, and the rest."""
    return (data[0], data[1:]) if data else (0, b"")


def pieces(data: bytes, seed: int) -> Iterator[bytes]:
    """The data in pieces: of one byte each, or of random sizes."""
    chance = random.Random(seed)
    most = 1 if seed % 4 == 0 else 1 + len(data) // 2
    at = 0
    while at < len(data):
        size = chance.randint(1, most)
        yield data[at : at + size]
        at += size


# -- Heads -----------------------------------------------------------------------------


def request_head(data: bytes) -> None:
    """Chapters 1 to 4: a head is read, refused, or incomplete, the same for all pieces."""
    seed, data = options(data)
    whole = head_of([data])
    cut = head_of(pieces(data, seed))
    if isinstance(whole, HTTPError):
        assert isinstance(cut, HTTPError), f"refused as a whole, and in pieces {cut!r}"
        assert cut.status == whole.status, f"{whole.status} as a whole, {cut.status} in pieces"
        if whole.status:
            build_response(refusal(whole))
        return
    assert whole == cut, f"as a whole {whole!r}, in pieces {cut!r}"
    if whole is None:
        return
    request, _ = whole
    again = parse_request(build_request(request))
    assert again is not None, "a written request is incomplete"
    assert again[0] == request, f"written and read again: {again[0]!r}"
    _ = request.path, request.host, request.query, request.cookies
    try:
        validate(request)
    except HTTPError as error:
        head = build_response(refusal(error)).partition(b"\r\n\r\n")[0]
        assert head.isascii(), "a refusal repeats bytes of the request"
        assert b"\n" not in head.replace(b"\r\n", b""), "a bare LF in a refusal"


def head_of(parts: Any) -> Any:
    """What a server makes of these pieces: ``(request, end)``, None, or the error."""
    received, checked = b"", 0
    try:
        for part in parts:
            received += part
            end = find_end_of_head(received, checked, LIMITS)
            if end is not None:
                return parse_head(received[:end], LIMITS), end
            checked = len(received)
    except HTTPError as error:
        return error
    return None


HANDSHAKE = build_handshake(
    parse_url("ws://example.com/"), "dGhlIHNhbXBsZSBub25jZQ==", subprotocols=["chat"], extensions="permessage-deflate"
)


def response_head(data: bytes) -> None:
    """Chapter 0: a client reads a response, or fails with 502; and no more bytes change a verdict."""
    seed, data = options(data)
    try:
        whole = parse_response_head(data, 0, LIMITS)
        error = None
    except HTTPError as caught:
        whole, error = None, caught
        assert error.status == 502, error
    received = b""
    for part in pieces(data, seed):
        received += part
        try:
            found = parse_response_head(received, 0, LIMITS)
        except HTTPError:
            assert error is not None, "refused in pieces, and taken as a whole"
            return
        if found is not None:
            assert found == whole, f"in pieces {found!r}, as a whole {whole!r}"
            break
    else:
        assert error is None, "refused as a whole, and incomplete in pieces"
    if whole is None:
        return
    again = parse_response_head(build_response(whole[0]))
    assert again is not None
    assert again[0].headers == whole[0].headers
    try:
        check_response(HANDSHAKE, whole[0], Compression())
    except HandshakeFailed as failed:
        assert "\x1b" not in str(failed), "a control character of the peer in a message"


def extension_header(data: bytes) -> None:
    """Chapter 9: a list of extensions follows the grammar, or is a ValueError; an accepted offer is answered."""
    text = data.decode("latin-1")
    try:
        extensions = parse_extensions(text)
    except ValueError as error:
        assert str(error).isascii()
        return
    written = ", ".join(
        "; ".join([name, *(p if value is None else f"{p}={value}" for p, value in parameters)])
        for name, parameters in extensions
    )
    assert parse_extensions(written) == extensions, f"written and read again: {written!r}"
    for extension in extensions:
        for config in (Compression(), Compression(window_bits=15, context_takeover=False)):
            accepted = accept_offer(extension.parameters, config)
            if accepted is not None:
                (answer,) = parse_extensions(accepted[1])
                accept_parameters(answer.parameters, Compression(window_bits=15))  # our own client takes it
            try:
                accept_parameters(extension.parameters, config)
            except ProtocolError:
                pass


# -- Frames ----------------------------------------------------------------------------


def frames(data: bytes) -> None:
    """Chapter 6: a frame that is read and written again has the same bytes; a part of it is None or its error."""
    seed, data = options(data)
    masked, allowed = bool(seed & 1), RSV1 if seed & 2 else 0
    try:
        found = parse_frame(data, masked=masked, rsv_allowed=allowed, max_payload=1 << 20)
    except ProtocolError as error:
        assert 1000 < error.code < 1012, error
        for end in range(len(data)):  # a shorter piece is incomplete, or breaks the same rule
            try:
                assert parse_frame(data[:end], masked=masked, rsv_allowed=allowed, max_payload=1 << 20) is None
            except ProtocolError as earlier:
                assert earlier.code in (error.code, 1002)
                break
        return
    if found is None:
        return
    frame, end = found
    header = parse_header(data, masked=masked, rsv_allowed=allowed)
    assert header is not None
    assert build_frame(frame, header.masking_key) == data[:end], "written again, it has other bytes"
    for cut in {0, 1, header.size - 1, header.size, end - 1} - {end}:
        part = parse_frame(data[:cut], masked=masked, rsv_allowed=allowed)
        assert part is None, f"its first {cut} bytes are a frame: {part!r}"


def deflate(data: bytes) -> None:
    """Chapter 9: data inflates to the same bytes for all pieces, within the limit, and as zlib says."""
    seed, data = options(data)
    parameters = PARAMETERS[1 + (seed & 1)]
    most = 20_000
    whole = inflated([data], parameters, most)
    cut = inflated(list(pieces(data, seed)), parameters, most)
    # With two faults, invalid data behind too much of it, the pieces decide which one is found.
    assert whole == cut or (isinstance(whole, int) and isinstance(cut, int)), "pieces make a difference"
    if isinstance(whole, bytes):
        reference = zlib.decompressobj(-15 if seed & 1 == 0 else -9)
        try:
            expected = reference.decompress(data + TAIL, most)
        except zlib.error:
            expected = whole  # zlib alone stops behind a final block, where RFC 7692 goes on
        if not reference.eof and data:
            assert whole == expected, "zlib alone makes something else of it"
    deflater = Deflater(parameters, Role.CLIENT, Compression())
    inflater = Inflater(parameters, Role.SERVER)
    for part in (data, b"", data[::-1]):
        packed = deflater.compress(part)
        assert inflater.inflate_message(packed, len(part)) == part, "compressed and inflated it is not the same"


def inflated(parts: list[bytes], parameters: DeflateParameters, most: int) -> bytes | int:
    """The message, or the close code of its error."""
    inflater, out = Inflater(parameters, Role.SERVER), bytearray()
    try:
        for part in parts:
            for piece in inflater.inflate(part):
                out += piece
                if len(out) > most:
                    return 1009
        for piece in inflater.end_message():
            out += piece
            if len(out) > most:
                return 1009
    except ProtocolError as error:
        return error.code
    return bytes(out)


# -- The connection --------------------------------------------------------------------


def connection(data: bytes) -> None:
    """Chapters 6 to 9, both roles: events are the same for all pieces and both readers, and end with one Closed."""
    seed, data = options(data)
    role = Role(seed & 1)
    parameters = PARAMETERS[(seed >> 1 & 3) % 3]
    whole = events_of(Connection(role, MESSAGE_LIMITS, parameters=parameters), [data])
    for kind in (Connection, FastConnection):
        cut = events_of(kind(role, MESSAGE_LIMITS, parameters=parameters), pieces(data, seed))
        assert cut == whole, f"as a whole {whole}, in pieces by {kind.__name__} {cut}"
    fast = events_of(FastConnection(role, MESSAGE_LIMITS, parameters=parameters), [data])
    assert fast == whole, f"Connection {whole}, FastConnection {fast}"
    # The messages, sent again by the other role, arrive as they are.
    other = Role(1 - role)
    sender = Connection(other, parameters=parameters, compression=Compression(threshold=8))
    messages = [event for event in whole if isinstance(event, Message)]
    wire = b"".join(sender.send(event.data) for event in messages)
    again = events_of(Connection(role, MESSAGE_LIMITS, parameters=parameters), [wire] if wire else [])
    assert again[:-1] == messages, "sent again, the messages are not the same"


def events_of(end: Connection, parts: Any) -> list[Any]:
    """All events, to the end of TCP; asserts what must hold after each."""
    events: list[Event] = []
    replies = Connection(Role(1 - end.role))

    def take() -> None:
        while True:
            for data in end.messages():
                events.append(Message(data))
            event = end.next_event()
            if event is None:
                break
            events.append(event)
            if isinstance(event, Ping | Closed) and event.reply:
                replies.receive(event.reply)
                assert replies.next_event() is not None, "half a frame as a reply"
            if isinstance(event, Closed):
                assert end.state in (State.CLOSING, State.CLOSED)
                assert event.error is None or (event.code == 1006 and not event.was_clean)
                end.receive(b"\x81\x80\0\0\0\0\x81\0")
                assert end.next_event() is None, "an event after Closed"
                assert list(end.messages()) == [], "a message after Closed"
                assert end.close() == b"", "a second Close"
        assert len(end._buffer) < 14 + 125, f"{len(end._buffer)} bytes are kept"

    for part in parts:
        end.receive(part)
        take()
    end.receive(b"")
    take()
    assert sum(isinstance(event, Closed) for event in events) == 1, "not one Closed"
    assert end.state is State.CLOSED
    last = events[-1]
    if end._inflater is not None and isinstance(last, Closed) and last.sent_code in (1007, 1009):
        # A compressed piece may hold two faults: data that cannot be decompressed, and before it, in what was
        # decompressed, bad text or too much of it.  zlib finds the first one before the text is seen.
        return [*map(unmasked, events[:-1]), "1007 or 1009"]
    # Random masks of a client's replies: compare what is inside.
    return [unmasked(event) for event in events]


def unmasked(event: Event) -> Any:
    """An event whose reply has no mask, so that two of them compare."""
    if isinstance(event, Message) or not event.reply:
        return event if isinstance(event, Message) else (type(event).__name__, *fields(event))
    parsed = codec.parse_frame(event.reply)
    assert parsed is not None
    assert parsed[1] == len(event.reply), "a reply of more than one frame"
    return (type(event).__name__, *fields(event), parsed[0].opcode, parsed[0].payload)


def fields(event: Any) -> tuple[Any, ...]:
    """The fields that do not depend on the mask."""
    names = ("data",) if not isinstance(event, Closed) else ("code", "reason", "sent_code", "was_clean")
    error = getattr(event, "error", None)
    return (*(getattr(event, name) for name in names), str(error) if error else "")


# -- Seeing the wire -------------------------------------------------------------------


def explainer(data: bytes) -> None:
    """decode's explanations: no bytes are refused, pieces make no difference, nothing escapes."""
    seed, data = options(data)
    masked = (None, True, False)[seed % 3]
    whole = explain(data, masked=masked)
    cut = Explainer(masked=masked, opening=True)
    found = [description for part in pieces(data, seed) for description in cut.feed(part)]
    found += cut.finish(b"")
    if recognise(data) == "frames":
        assert found == whole, "pieces make a difference"
    elif recognised_in(pieces(data, seed)) != "frames":  # a request with a strange method needs its first line
        # An invalid head is described as soon as it is known to be invalid.
        assert [d.kind for d in found][:1] == [d.kind for d in whole][:1]
    for description in whole[:2]:
        drawn = [description.text(), description.svg()] if seed % 16 == 0 else []  # a picture takes 5 ms
        for words in (description.one_line, description.title, *drawn):
            odd = {c for c in words if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")}
            assert odd <= {"\n"}, f"control characters: {odd}"
        assert "\n" not in description.one_line
        json.dumps(description.as_dict())


def recognised_in(parts: Iterator[bytes]) -> str | None:
    """What the first pieces are, as soon as they can be told."""
    received = b""
    for part in parts:
        received += part
        if kind := recognise(received):
            return kind
    return None


def decode_readers(data: bytes) -> None:
    """decode's readers: bytes, or a PasteError that says why not."""
    seed, data = options(data)
    for read in (
        lambda: read_bytes(data, base64=bool(seed & 1), port=8765 if seed & 2 else None),
        lambda: read_text(data.decode("utf-8", "replace")),
    ):
        try:
            found = read()
        except PasteError as error:
            assert str(error)
        else:
            assert isinstance(found.data, bytes)
            assert found.words


def check_codec(data: bytes) -> None:
    """check's own codec: it reads everything, and where it finds no fault, wsref reads the same."""
    seed, data = options(data)
    codec.parse_answer(data)
    by_client = bool(seed & 1)
    found = codec.parse_frame(data, from_client=by_client)
    try:
        ours = parse_frame(data, masked=by_client, rsv_allowed=RSV1)
    except ProtocolError:
        # A rule about RSV1 needs the other frames, so the codec's cases judge it.
        assert found is None or found[0].faults or found[0].rsv, f"wsref refuses, check finds no fault: {found}"
        return
    if found is None:
        assert ours is None
        return
    assert not found[0].faults, f"check finds {found[0].faults}, wsref none"
    assert ours is not None
    frame, end = ours
    assert (frame.opcode, frame.payload, frame.fin, end) == (found[0].opcode, found[0].payload, found[0].fin, found[1])
    if found[0].key:
        again = codec.frame(frame.opcode, frame.payload, fin=frame.fin, rsv=found[0].rsv, key=found[0].key)
        assert again == data[:end]


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target
    for target in (
        request_head, response_head, extension_header, frames, deflate, connection, explainer, decode_readers,
        check_codec,
    )
}  # fmt: skip
