r"""Bytes explained: any bytes to descriptions that can be drawn.

A receiver stops at the first broken rule, because it must not trust the bytes after it.  A reader
wants to know more: here *every* broken rule is listed, an incomplete frame is drawn as far as it
was received, and no bytes are refused.

An :class:`Explainer` takes the bytes of one direction of one connection, in pieces of any size,
and returns a :class:`~wsref.wire.description.Description` of every complete frame or head::

    >>> explainer = Explainer()
    >>> for description in explainer.feed(bytes.fromhex("8185 37fa213d 7f9f4d5158 8900")):
    ...     print(description.one_line)
    TEXT, FIN, masked, 5 bytes: 'Hello'
    PING, FIN, 0 bytes

It keeps the beginning and the end of a payload, a few KiB at most, whatever length a frame declares.
"""

from __future__ import annotations

import re
from dataclasses import replace

from ..protocol.deflate import NAME, DeflateParameters
from ..protocol.errors import HTTPError
from ..protocol.extensions import parse_extensions
from ..protocol.handshake import wants_upgrade
from ..protocol.http11 import HTTP2_PREFACE, find_end_of_head, parse_head, parse_response
from ..protocol.limits import Limits
from .describe_frames import REQUEST, RESPONSE, FrameReader
from .describe_header import octets_field
from .describe_http import explain_request, explain_response, negotiated
from .description import Description
from .parts import Field, Problem

__all__ = ["Explainer", "explain", "explain_frames", "explain_request", "explain_response", "recognise"]

#: Beginnings of HTTP that are too short to be recognised.
_BEGINNINGS = (b"\r\nGET ", b"GET ", b"HEAD ", b"POST ", b"PUT ", b"OPTIONS ", b"HTTP/1", b"PRI * HTTP/2")

#: Bytes.  A longer head is invalid.
_MAX_HEAD = Limits().max_head

#: Bytes that neither end a line of a head nor are forbidden in it.
_WITHIN_A_LINE = re.compile(rb"[\t -~\x80-\xff]*")

#: RFC 8446 §5.1: the types of a TLS record.
_TLS_TYPES = {20: "change_cipher_spec", 21: "alert", 22: "handshake", 23: "application_data"}
_TLS_HEADER_SIZE = 5  # bytes
_TLS = re.compile(rb"[\x14-\x17]\x03[\x00-\x04]")


def explain(
    data: bytes,
    *,
    masked: bool | None = None,
    key: str | None = None,
    deflate: DeflateParameters | None = DeflateParameters(),
) -> list[Description]:
    r"""Describe bytes: an opening handshake, frames, or another protocol.

    Args:
        data: The bytes that one side sent.
        masked, key, deflate: As for :class:`Explainer`.
    Returns:
        One description for each head or frame; the last one may be incomplete.

    >>> print(explain(b"HTTP/1.1 400 Bad Request\r\n\r\n")[0].one_line)
    HTTP/1.1 400 Bad Request
    >>> print(explain(bytes.fromhex("880203e8"))[0].one_line)
    CLOSE, FIN, 2 bytes: 1000 NORMAL
    """
    return Explainer(masked=masked, key=key, deflate=deflate, opening=True).finish(data)


def explain_frames(
    data: bytes, *, masked: bool | None = None, deflate: DeflateParameters | None = DeflateParameters()
) -> list[Description]:
    """Describe frames; the last one may be incomplete.

    Args:
        data, masked, deflate: As for :func:`explain`.

    >>> (description,) = explain_frames(bytes.fromhex("8185 37fa21"))
    >>> description.missing
    '1 more byte of the masking key, then 5 of payload'
    """
    return Explainer(masked=masked, deflate=deflate).finish(data)


def recognise(data: bytes) -> str | None:
    """Return ``request``, ``response``, ``tls``, ``http2`` or ``frames``; None: too few bytes to decide.

    >>> recognise(b"GET / HTTP"), recognise(bytes.fromhex("8105")), recognise(b"HTT")
    ('request', 'frames', None)
    """
    if RESPONSE.match(data):
        return "response"
    if data.startswith(b"PRI * HTTP/2"):
        return "http2"
    if REQUEST.match(data):
        return "request"
    if _TLS.match(data):
        return "tls"
    undecided = any(beginning.startswith(data) for beginning in _BEGINNINGS) or data in (b"\x16", b"\x16\x03")
    return None if undecided else "frames"


class Explainer:
    """Describes the bytes that one side of a connection sends, in pieces of any size.

    Args:
        masked: True: a client sends them; False: a server does; None: the MASK bit of each
            frame decides, and frames of both sides may be mixed.
        opening: Whether the bytes may begin with an opening handshake.  If not, they are
            frames from the first byte on.
        key: The Sec-WebSocket-Key that a 101 has to answer; None: not known.
        deflate: The negotiated parameters of compression; None: no compression, so RSV1 is
            wrong.  The default assumes compression with the largest windows, which can read
            the bytes of every sender.  A 101 among the bytes replaces it.
        from_start: Whether the first frame is the connection's first, so that a compressed
            message cannot refer to earlier ones.

    Attributes:
        key, deflate: As above; set them when they become known.
        ignored: How many bytes came after a head that opens no WebSocket, or after another protocol's
            beginning, and are in no description.

    >>> explainer = Explainer(masked=False)
    >>> explainer.feed(bytes.fromhex("8105 4865"))
    []
    >>> explainer.pending().missing
    '3 more bytes of payload'
    >>> [description.one_line for description in explainer.feed(b"llo")]
    ["TEXT, FIN, 5 bytes: 'Hello'"]
    """

    def __init__(
        self,
        *,
        masked: bool | None = None,
        opening: bool = False,
        key: str | None = None,
        deflate: DeflateParameters | None = DeflateParameters(),
        from_start: bool = False,
    ) -> None:
        self.key = key
        self.ignored = 0
        self._frames = FrameReader(masked, deflate, from_start=from_start)
        self._expected = "" if opening else "frames"  # or another answer of recognise(); "": not known yet
        self._head = b""  # the beginning of a handshake
        self._searched = 0  # bytes of it that were searched for its end

    @property
    def deflate(self) -> DeflateParameters | None:
        """The negotiated parameters of compression."""
        return self._frames.deflate

    @deflate.setter
    def deflate(self, parameters: DeflateParameters | None) -> None:
        """Set them, for the frames from now on."""
        self._frames.deflate = parameters

    def feed(self, data: bytes) -> list[Description]:
        """Return the heads and frames that these bytes complete.

        Cost:
            Linear in the bytes, and in the size of inflated messages.
        """
        done: list[Description] = []
        if self._expected == "nothing":
            self.ignored += len(data)
        if self._expected not in ("frames", "nothing"):
            self._head += data
            if not self._expected:
                self._expected = recognise(self._head) or ""
            if self._expected == "frames":
                data, self._head = self._head, b""
            elif self._expected:
                done, data = self._feed_head()
        if self._expected == "frames":
            done += self._frames.feed(data)
        return done

    def pending(self) -> Description | None:
        """Return the incomplete head or frame; None: nothing is incomplete."""
        if not self._head:
            return self._frames.pending()
        if self._expected:
            return self._describe_head()
        # So few bytes that they may be anything: describe them as a frame.
        (frame,) = explain_frames(self._head, masked=self._frames.masked, deflate=self.deflate)
        return replace(frame, notes=(*frame.notes, "or it is the beginning of HTTP text, or of TLS"))

    def finish(self, data: bytes) -> list[Description]:
        """Return what the last bytes complete, and then the incomplete rest."""
        done = self.feed(data)
        pending = self.pending()
        return [*done, pending] if pending is not None else done

    # -- The opening handshake

    def _describe_head(self) -> Description:
        if self._expected == "request":
            return explain_request(self._head)
        if self._expected == "response":
            return explain_response(self._head, self.key)
        return _explain_other(self._head, self._expected)

    def _feed_head(self) -> tuple[list[Description], bytes]:
        """Return the head, if it is complete or invalid, and the bytes after it."""
        end = self._end_of_head()
        if end is None:
            self._searched = len(self._head)
            return [], b""
        description, rest = self._describe_head(), self._head[end:]
        self._head = b""
        upgraded = not description.problems and self._upgrades(description.raw, end)
        self._expected = "frames" if upgraded else "nothing"
        if not upgraded and (description.payload is None or description.payload.received < len(rest)):
            self.ignored += len(rest)
        return [description], rest

    def _end_of_head(self) -> int | None:
        """Return where the head ends; None: it is incomplete."""
        try:
            if self._expected == "request":
                return find_end_of_head(self._head, self._searched)
            if self._expected == "response":
                more = self._head[self._searched :]
                if self._searched and _WITHIN_A_LINE.fullmatch(more) and len(self._head) <= _MAX_HEAD:
                    return None  # a fault of a line is reported at its end
                parsed = parse_response(self._head)
                return None if parsed is None else parsed[1]
        except HTTPError:
            return len(self._head)  # its description lists the problem
        size = _TLS_HEADER_SIZE if self._expected == "tls" else len(HTTP2_PREFACE)
        return len(self._head) if len(self._head) >= size else None

    def _upgrades(self, head: bytes, end: int) -> bool:
        """Return whether frames follow this head, and read from it how they are sent."""
        if self._expected == "request":
            request = parse_head(head)
            self.key = request.headers.get("Sec-WebSocket-Key")
            offered = parse_extensions(request.headers.get("Sec-WebSocket-Extensions"))
            if NAME not in (extension.name for extension in offered):
                self.deflate = None
            self._frames = FrameReader(True, self.deflate, from_start=True, position=end)
            return wants_upgrade(request)
        parsed = parse_response(head)
        if parsed is None or parsed[0].status != 101:
            return False
        self._frames = FrameReader(False, negotiated(parsed[0].headers), from_start=True, position=end)
        return True


def _explain_other(data: bytes, kind: str) -> Description:
    """Name TLS or HTTP/2, without reading more of it."""
    fields: tuple[Field, ...] = ()
    if kind == "tls":
        name = _TLS_TYPES[data[0]]
        length = str(int.from_bytes(data[3:5], "big")) if len(data) >= _TLS_HEADER_SIZE else "?"
        fields = (
            octets_field("type", 0, 1, data, f"{data[0]} {name}", "the content of the record", "RFC 8446 §5.1"),
            octets_field("version", 1, 2, data, data[1:3].hex(" "), "03 01 to 03 03: any TLS version", "RFC 8446 §5.1"),
            octets_field("length", 3, 2, data, length, "bytes of the record that follow", "RFC 8446 §5.1"),
        )
        title, section = f"a TLS record ({name})", "RFC 8446 §5.1"
        text = "TLS where plain text was expected: wss:// or https:// reached a port that speaks ws:// and http://"
    else:
        title, section = "an HTTP/2 connection preface", "RFC 9113 §3.4"
        text = "HTTP/2: the Upgrade mechanism is HTTP/1.1's; over HTTP/2, WebSockets open as in RFC 8441"
    raw = data[:_TLS_HEADER_SIZE] if kind == "tls" else data[: len(HTTP2_PREFACE)]
    line = f"{title}; WRONG: {text}"
    return Description(kind, title, line, 0, raw, fields, problems=(Problem(text, section, 0),))
