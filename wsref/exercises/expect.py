"""The words of a check: call the learner's code, compare, serve a handler, receive from it."""

from __future__ import annotations

import contextlib
import logging
import reprlib
from collections.abc import Callable, Iterator
from typing import Any

from .. import ConnectionClosed, Limits, WebSocket, WebSocketHandler, running

_short = reprlib.Repr()
_short.maxstring = _short.maxother = 60
_short.maxlist = _short.maxtuple = _short.maxdict = 12


class Wrong(Exception):
    """The learner's code is not right; the message is a sentence for the learner."""


def show(value: object) -> str:
    """Return the value as Python code, shortened."""
    return _short.repr(value)


def call_text(function: Callable[..., object], *arguments: object) -> str:
    """Return the call as Python code."""
    name = getattr(function, "__name__", type(function).__name__)  # a partial has none
    return f"{name}({', '.join(map(show, arguments))})"


def call(function: Callable[..., Any], *arguments: object) -> Any:
    """Call the learner's function.

    Raises:
        Wrong: It raised an exception, which is the cause of this one.
    """
    text = call_text(function, *arguments)  # before the call, which may change a list
    try:
        return function(*arguments)
    except Wrong:
        raise
    except Exception as error:
        raise Wrong(f"{text} raises {describe(error)}") from error


def bytes_of(value: object, what: str) -> bytes:
    """Return what the learner's function has returned as bytes; a bytearray is as good.

    Raises:
        Wrong: It is neither.
    """
    if not isinstance(value, bytes | bytearray | memoryview):
        raise Wrong(f"{what} must be bytes, not {show(value)}")
    return bytes(value)


def describe(error: BaseException) -> str:
    """Return the last line of the error's traceback; its text may hold a whole message, and is cut."""
    text = str(error)
    return f"{type(error).__name__}: {text[:500]}{'...' * (len(text) > 500)}" if text else type(error).__name__


def expect(function: Callable[..., Any], *arguments: object, gives: object, why: str = "") -> None:
    """Check that a call returns a value.

    Args:
        function: The learner's.
        arguments: Of the call.
        gives: The value to expect.
        why: The reason, for the case that the function returns another value.
    """
    text = call_text(function, *arguments)
    try:
        got = call(function, *arguments)
    except Wrong as wrong:
        if wrong.__cause__ is None:  # of an argument that checks its calls
            raise
        raise Wrong(f"{wrong}; it must return {show(gives)}") from wrong.__cause__
    if got != gives:
        because = f": {why}" if why else ""
        raise Wrong(f"{text} must return {show(gives)}, not {show(got)}{because}")


def expect_error(function: Callable[..., Any], *arguments: object, raises: type[Exception]) -> None:
    """Check that a call raises an exception."""
    text = f"{call_text(function, *arguments)} must raise {raises.__name__}"
    try:
        got = function(*arguments)
    except raises:
        return
    except Exception as error:
        raise Wrong(f"{text}, not {describe(error)}") from error
    raise Wrong(f"{text}; it returns {show(got)}")


@contextlib.contextmanager
def serving(handler: type[WebSocketHandler], **options: Any) -> Iterator[str]:
    """Serve the learner's handler, and give its URL; an exception in a hook is what is wrong."""
    errors: list[BaseException] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.exc_info and record.exc_info[1]:
                errors.append(record.exc_info[1])

    listener, logger = Listener(), logging.getLogger("wsref")
    logger.addHandler(listener)
    try:
        with running(handler, limits=Limits(shutdown_timeout=0.5), **options) as server:
            yield server.url
    finally:
        logger.removeHandler(listener)
        if errors:
            raise Wrong(f"a hook of {handler.__name__} raises {describe(errors[0])}") from errors[0]


def receive(ws: WebSocket) -> str:
    """Return the next event of a client as text: a message as Python code, a Close, or nothing."""
    try:
        return show(ws.recv(timeout=5))
    except TimeoutError:
        return "nothing (in 5 seconds)"
    except ConnectionClosed:
        closed = ws.closed
        return f"Close {closed.code} {closed.reason!r}" if closed else "the end"


def expect_event(who: str, ws: WebSocket, event: str, after: str) -> None:
    """Check the next event of a client, see :func:`receive`."""
    if (got := receive(ws)) != event:
        raise Wrong(f"after {after}, {who} must get {event}, not {got}")
