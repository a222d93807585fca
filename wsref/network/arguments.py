"""A wrong argument is refused where it is given, and named; else it would fail with each connection, or never."""

from __future__ import annotations


def check_type(name: str, value: object, kind: type, *, optional: bool = False) -> None:
    """Refuse an argument of another type.

    Args:
        name: Of the argument.
        value: As given.
        kind: Its type.
        optional: Whether None is allowed, too.
    Raises:
        TypeError: It says what the argument must be, and what was given.

    >>> check_type("page", "<p>", bytes, optional=True)
    Traceback (most recent call last):
        ...
    TypeError: page is of type bytes, or None, not '<p>'
    """
    if not isinstance(value, kind) and not (optional and value is None):
        raise TypeError(f"{name} is of type {kind.__name__}{', or None' * optional}, not {value!a}")
