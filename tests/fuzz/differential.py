"""The same frames to wsref, to the ``websockets`` package, and to wsproto: where do they differ?

Each difference falls into a class of ``differences.toml``; one that falls into none fails.  Not compared:
the words of errors, and messages that are incomplete.
"""

from __future__ import annotations

import re
import tomllib
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

from wsref.check import codec
from wsref.protocol.connection import Closed, Connection, Message, Ping
from wsref.protocol.deflate import TAIL
from wsref.protocol.limits import Limits
from wsref.protocol.spec import Role

from .targets import MESSAGE_LIMITS, PARAMETERS, options

TABLE = tomllib.loads((Path(__file__).parent / "differences.toml").read_text())["difference"]

#: How many inputs fell into each class, and how many were the same: ``(peer, name) -> count``.
SEEN: Counter[tuple[str, str]] = Counter()

#: ``([(opcode, payload), ...], close code of a failure or None, why)``: what an endpoint makes of the bytes.
Verdict = tuple[list[tuple[int, bytes]], int | None, str]


def ours(data: bytes, role: Role, parameters: Any, limits: Limits = MESSAGE_LIMITS) -> Verdict:
    """The verdict of wsref."""
    end = Connection(role, limits, parameters=parameters)
    end.receive(data)
    found: list[tuple[int, bytes]] = []
    while (event := end.next_event()) is not None:
        if isinstance(event, Message):
            found.append((1, event.data.encode()) if isinstance(event.data, str) else (2, event.data))
        elif not isinstance(event, Closed):
            found.append((9 if isinstance(event, Ping) else 10, event.data))
        elif event.error is not None:
            return found, event.error.code, str(event.error)
        else:
            code = b"" if event.code == 1005 else event.code.to_bytes(2, "big")
            found.append((8, code + event.reason.encode()))
    return found, None, ""


def of_websockets(data: bytes, role: Role, parameters: Any) -> Verdict:
    """The verdict of the ``websockets`` package, for the same limit."""
    from websockets.client import ClientProtocol
    from websockets.extensions.permessage_deflate import PerMessageDeflate
    from websockets.protocol import State
    from websockets.server import ServerProtocol
    from websockets.uri import parse_uri

    most = MESSAGE_LIMITS.max_message_size
    if role is Role.SERVER:
        protocol: Any = ServerProtocol(state=State.OPEN, max_size=most)
    else:
        protocol = ClientProtocol(parse_uri("ws://a/"), state=State.OPEN, max_size=most)
    if parameters is not None:
        server = (parameters.server_no_context_takeover, parameters.server_max_window_bits)
        client = (parameters.client_no_context_takeover, parameters.client_max_window_bits)
        (remote, remote_bits), (local, local_bits) = (client, server) if role is Role.SERVER else (server, client)
        protocol.extensions = [PerMessageDeflate(remote, local, remote_bits, local_bits)]
    protocol.receive_data(data)
    found: list[tuple[int, bytes]] = []
    kind, payload = 0, b""
    for one in protocol.events_received():
        if one.opcode in (0, 1, 2):
            kind, payload = (int(one.opcode), bytes(one.data)) if one.opcode else (kind, payload + bytes(one.data))
            if one.fin:
                found.append((kind, payload))
        else:
            found.append((int(one.opcode), bytes(one.data)))
    failed = protocol.parser_exc is not None and not isinstance(protocol.parser_exc, EOFError)
    code = protocol.close_sent.code if failed and protocol.close_sent else 1006 if failed else None
    return found, None if code is None else int(code), str(protocol.parser_exc)


def of_wsproto(data: bytes, role: Role, parameters: Any) -> Verdict:
    """The verdict of wsproto's frame protocol, which has no limit for messages."""
    from wsproto.extensions import PerMessageDeflate
    from wsproto.frame_protocol import FrameProtocol, ParseFailed

    extensions: list[Any] = []
    if parameters is not None:
        extension = PerMessageDeflate(
            parameters.client_no_context_takeover, parameters.client_max_window_bits,
            parameters.server_no_context_takeover, parameters.server_max_window_bits,
        )  # fmt: skip
        extension._enabled = True
        extensions = [extension]
    protocol = FrameProtocol(role is Role.CLIENT, extensions)
    protocol.receive_bytes(data)
    found: list[tuple[int, bytes]] = []
    payload = b""
    try:
        for frame in protocol.received_frames():
            content: Any = frame.payload
            opcode = int(frame.opcode)
            if opcode == 8:
                code, reason = content
                found.append((8, b"" if code == 1005 else int(code).to_bytes(2, "big") + (reason or "").encode()))
                return found, None, ""
            if opcode in (9, 10):
                found.append((opcode, bytes(content)))
                continue
            payload += content.encode() if isinstance(content, str) else bytes(content)
            if frame.message_finished:
                found.append((opcode, payload))
                payload = b""
    except ParseFailed as error:
        return found, int(error.code), str(error)
    return found, None, ""


def compressed_messages(data: bytes) -> tuple[list[bytes], bool]:
    """The payloads of the compressed messages on this wire, as far as they came; has one a control frame inside?"""
    found: list[bytes] = []
    at, is_open, inside = 0, False, False
    while (parsed := codec.parse_frame(data[at:])) is not None:
        frame, size = parsed
        at += size
        if frame.opcode & 8:
            inside |= is_open
            continue
        if frame.opcode in (1, 2):
            is_open = bool(frame.rsv & 4)
            if is_open:
                found.append(frame.payload)
        elif frame.opcode == 0 and is_open:
            found[-1] += frame.payload
        is_open &= not frame.fin
    return found, inside


def has_final_block(payload: bytes) -> bool:
    """Whether DEFLATE ends within a payload and its tail, at a block with BFINAL = 1."""
    inflater = zlib.decompressobj(-15, zdict=bytes(1 << 15))  # what it refers to does not matter here
    try:
        inflater.decompress(payload + TAIL)
    except zlib.error:
        return False
    return inflater.eof


def classify(peer: str, data: bytes, we: Verdict, they: Verdict) -> str | None:
    """The name of the class in the table; ``same``; None: a difference without a class."""
    (our_items, our_code, why), (their_items, their_code, _) = we, they
    if (our_items, our_code) == (their_items, their_code):
        return "same"
    if "fragments without payload" in why and peer == "websockets":
        return "a limit for empty fragments"
    if our_code is None and their_code == 1002 and our_items[:-1] == their_items and our_items[-1][0] == 8:
        return "a Close between two fragments" if peer == "websockets" else None
    if their_code == 1009 != our_code and their_items == our_items[: len(their_items)] and peer == "websockets":
        return "the limit of a compressed frame" if our_code is None else "two faults at once"
    payloads, inside = compressed_messages(data)
    if inside and peer == "wsproto":
        return "a control frame inside a compressed message"
    if b"" in payloads and any(payload for _, payload in their_items if payload.startswith(TAIL)):
        return "a compressed message without a byte"
    if any(map(has_final_block, payloads)):
        return "bytes behind a final block"
    if b"" in payloads:
        return "a compressed message without a byte"
    if our_code is None or our_items != their_items[: len(our_items)]:
        return None
    if "not UTF-8" in why and peer == "websockets":
        return "text that is not UTF-8"
    if "not UTF-8" in why and re.search("'ed [ab].", why):
        return "half a surrogate pair"
    if ("fits in" in why or "at most 125" in why) and peer == "websockets":
        return "a length in a form that is too long"
    if our_items != their_items:
        return None
    if their_code is None:
        return "a fault in a frame that is incomplete"
    return "another code for data that cannot be decompressed" if "decompressed" in why else "two faults at once"


def differential(data: bytes) -> None:
    """Compare all three; count the classes."""
    seed, data = options(data)
    if not data:
        return
    role, parameters = Role(seed & 1), PARAMETERS[(seed >> 1 & 3) % 3]
    unlimited = Limits(max_message_size=1 << 70, max_empty_fragments=1 << 70)
    for peer, verdict, limits in (
        ("websockets", of_websockets, MESSAGE_LIMITS), ("wsproto", of_wsproto, unlimited)
    ):  # fmt: skip
        we, they = ours(data, role, parameters, limits), verdict(data, role, parameters)
        name = classify(peer, data, we, they)
        assert name is not None, f"{peer}: wsref {we}, {peer} {they}"
        SEEN[peer, name] += 1
