"""Chapter 9: Sec-WebSocket-Extensions: what is offered and accepted, with its parameters.

RFC 6455 §9.1.  A list of names, each with parameters: ``permessage-deflate;
client_max_window_bits, other; mode=fast``.  :mod:`wsref.protocol.deflate` says what the
parameters of the one extension mean that this package speaks.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from .errors import quote_ascii
from .spec import TOKEN


class Extension(NamedTuple):
    """One element of Sec-WebSocket-Extensions: an offer, or its acceptance."""

    name: str
    parameters: tuple[tuple[str, str | None], ...]  # each with its value, if it has one


#: The words of the grammar: a token, a quoted string, or a separator.
_WORD = re.compile(rf'({TOKEN}|"(?:[^"\\]|\\.)*"|[,;=])[ \t]*')


def parse_extensions(value: str | None) -> list[Extension]:
    """Read Sec-WebSocket-Extensions, all its lines joined with commas.

    Args:
        value: None if there is no such header.
    Returns:
        The elements in order: the client's preference comes first.
    Raises:
        ValueError: The value does not follow the grammar; the message says where.
    Cost:
        Linear in the value's length, for every value.
    Source:
        RFC 6455 §9.1.

    >>> parse_extensions('foo, permessage-deflate; client_max_window_bits; server_max_window_bits="10"')
    ... # doctest: +NORMALIZE_WHITESPACE
    [Extension(name='foo', parameters=()),
     Extension(name='permessage-deflate',
               parameters=(('client_max_window_bits', None), ('server_max_window_bits', '10')))]
    >>> parse_extensions("foo; =1")
    Traceback (most recent call last):
        ...
    ValueError: neither a name nor name=value: '=1'
    """
    extensions = []
    for element in _split(_words(value or ""), ","):
        if element:  # RFC 9110 §5.6.1.2: empty elements are ignored
            first, *parameters = _split(element, ";")
            name, value_of_name = _name_and_value(first)
            if value_of_name is not None:
                raise ValueError(f"an extension's name has no value: {quote_ascii(''.join(first))}")
            extensions.append(Extension(name, tuple(_name_and_value(part) for part in parameters)))
    if value is not None and not extensions:
        raise ValueError("an empty list")
    return extensions


def _words(value: str) -> list[str]:
    words, at = [], len(value) - len(value.lstrip(" \t"))
    while at < len(value):
        found = _WORD.match(value, at)
        if not found:
            raise ValueError(f"neither a word nor a separator: {quote_ascii(value[at:])}")
        words.append(found[1])
        at = found.end()
    return words


def _split(words: list[str], separator: str) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    for word in words:
        if word == separator:
            parts.append([])
        else:
            parts[-1].append(word)
    return parts


def _name_and_value(words: list[str]) -> tuple[str, str | None]:
    """§9.1: "the value after quoted-string unescaping MUST conform to the 'token' ABNF"."""
    match words:
        case [name]:
            value = None
        case [name, "=", value]:
            if value.startswith('"'):
                value = re.sub(r"\\(.)", r"\1", value[1:-1])
        case _:
            name = value = ""
    if not all(re.fullmatch(TOKEN, word) for word in (name, value) if word is not None):
        raise ValueError(f"neither a name nor name=value: {quote_ascii(''.join(words))}")
    return name, value
