"""The parts of a description: fields, payload, steps, problems, notes.

They are data.  The ``describe_...`` modules fill them; :mod:`~wsref.wire.text`, :mod:`~wsref.wire.svg` and
:mod:`~wsref.wire.html` draw them.  Every text in them is safe to print: received bytes are in hex or
went through :func:`~wsref.wire.words.quote_unicode`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ..protocol.http11 import reason_phrase
from ..protocol.spec import CloseCode
from .words import code_and_name

#: Bytes.  A description keeps at most this much of the beginning and of the end of a payload.
FIRST = 32
LAST = 8


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the bytes: its place, its value, its meaning.

    Attributes:
        name: As the RFC calls it.
        start: Its first bit, counted from the first bit of the described bytes.
        bits: Its size.
        raw: Its bits (``0001``) if it is not made of whole bytes, else its bytes in hex
            (``37 fa``), as far as they were received.
        value: The value that they encode.
        meaning: What the value means, in one sentence.
        section: Where the field is defined: ``RFC 6455 §5.2``.
        missing: How many of its bits were not received yet.
    """

    name: str
    start: int
    bits: int
    raw: str
    value: str
    meaning: str
    section: str
    missing: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """A value that is not in the bytes but is computed from them."""

    name: str
    value: str
    meaning: str
    section: str


@dataclass(frozen=True, slots=True)
class Problem:
    """A rule that the bytes break.

    Attributes:
        text: The fault, and the received value.
        section: The rule: ``RFC 6455 §5.2``.
        answer: How the receiver answers: 1000 or more is a close code, less an HTTP status,
            0 no answer.
        fields: The names of the wrong fields.
    """

    text: str
    section: str
    answer: int
    fields: tuple[str, ...] = ()

    @property
    def consequence(self) -> str:
        """How the receiver reacts.

        >>> print(Problem("a NUL byte", "RFC 9110 §5.5", 400).consequence)
        the answer is 400 Bad Request
        """
        if self.answer == CloseCode.ABNORMAL:
            return f"the client closes TCP, and its program sees {code_and_name(self.answer)}"
        if self.answer >= 1000:
            return f"the receiver fails the connection with {code_and_name(self.answer)}"
        if self.answer:
            return f"the answer is {self.answer} {reason_phrase(self.answer)}"
        return "the receiver sends no answer"


@dataclass(frozen=True, slots=True)
class Payload:
    """The payload of a frame, or the body of a response: its beginning and its end.

    Attributes:
        length: Bytes, as declared.
        received: Bytes received so far.
        masking_key: 4 bytes, or b"".
        wire: The first bytes as received.
        plain: The same, unmasked.
        wire_end: The last bytes as received, if ``wire`` does not include them.
        plain_end: The same, unmasked.
    """

    length: int
    received: int
    masking_key: bytes
    wire: bytes
    plain: bytes
    wire_end: bytes = b""
    plain_end: bytes = b""


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that a description says.

    Attributes:
        kind: ``frame``, ``request``, ``response``, ``tls`` or ``http2``.
        title: A heading.
        one_line: A summary for a log line.
        start: The offset of the first byte in the stream.
        raw: The bytes of the frame's header or of the HTTP head.
        fields: The fields of ``raw``, in order; each bit is in one of them.
        payload: The bytes after ``raw``, or None.
        steps: Values computed from the bytes.
        problems: Every broken rule, in the order in which a receiver meets them.
        notes: Further remarks.
        missing: The missing bytes, in words; "" if the bytes are complete.
        missing_bytes: How many bytes are missing, at least.
    """

    kind: str
    title: str
    one_line: str
    start: int
    raw: bytes
    fields: tuple[Field, ...]
    payload: Payload | None = None
    steps: tuple[Step, ...] = ()
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    missing: str = ""
    missing_bytes: int = 0

    @property
    def answer(self) -> int:
        """The answer of the first problem: a close code or a status; 0 if nothing is wrong."""
        return self.problems[0].answer if self.problems else 0

    @property
    def wrong_fields(self) -> set[str]:
        """The names of the fields that a problem is about."""
        return {name for problem in self.problems for name in problem.fields}

    @property
    def has_bits(self) -> bool:
        """Whether it is drawn bit by bit; HTTP is drawn as lines of text."""
        return self.kind in ("frame", "tls")

    def as_dict(self) -> dict[str, Any]:
        """Return everything, ready for JSON; bytes in hex."""
        return {**_plain(asdict(self)), "answer": self.answer}


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex(" ")
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return value
