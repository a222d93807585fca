"""Chapter 10: a base class that is safe to subclass: what cannot work is refused, in a sentence.

Python lets a subclass override everything, and a name that means something to wsref may be one that a
program wants for itself.  So :class:`~wsref.WebSocketHandler` knows its own names, and its subclasses are checked
when they are defined.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection
from difflib import get_close_matches

from ..protocol.spec import TOKEN


class OwnNames:
    """The names of a base class.

    Args:
        base: The class.
        hooks: What a subclass overrides, with the number of arguments.
        calls: Methods that a subclass may override.
        options: Attributes that a subclass may set.
        attributes: What wsref sets in each object, once.
    """

    def __init__(
        self, base: type, *, hooks: dict[str, int], calls: set[str], options: set[str], attributes: set[str]
    ) -> None:
        self.base = base
        self.hooks = hooks
        self.calls = calls
        self.options = options
        self.attributes = attributes
        #: All methods and properties.
        self.methods = {name for name in dir(base) if not name.startswith("__")} - options - attributes


def check_subclass(cls: type, own: OwnNames) -> None:
    """Check a subclass, and the mixins that come with it.

    Args:
        cls: The subclass.
        own: The names of its base class.
    Raises:
        TypeError: The message says why it cannot work.
    """
    checked = {known for base in cls.__bases__ if issubclass(base, own.base) for known in base.__mro__}
    mixed_in = [one for one in reversed(cls.__mro__) if one not in checked]  # cls, and mixins that come with it
    for where, name, value in [(f"{one.__name__}.{n}", n, v) for one in mixed_in for n, v in vars(one).items()]:
        if name in own.hooks:
            _check_hook(where, value, own.hooks[name])
        elif name in own.calls:
            _check_is_plain_function(where, value)
        elif name in own.methods or name in own.attributes:
            instead = "; override on_open and on_close instead" if name in ("setup", "handle", "finish") else ""
            raise TypeError(f"{where} is wsref's own: choose another name{instead}")
        elif name.startswith("on") and (meant := get_close_matches(name, own.hooks, 1, 0.8)):
            raise TypeError(f"{where} would never be called: {meant[0]} is the hook; or choose another name")
        elif name == "__init__":  # socketserver's ends with the connection: what follows the call comes too late
            raise TypeError(f"{where} is wsref's own: make the state of a connection in on_open")
        elif name in own.options and value is not None and not isinstance(value, property):
            _check_option(where, name, value)


def _check_option(where: str, option: str, names: object) -> None:
    if isinstance(names, (str, bytes)) or not isinstance(names, Collection):
        raise TypeError(f"{where} is a list of str, such as ({names!r},), not one {type(names).__name__}")
    for one in names:
        if not isinstance(one, str):
            raise TypeError(f"{where} is a list of str; {one!r} is not one")
        if option == "subprotocols" and not re.fullmatch(TOKEN, one):
            raise TypeError(f"{where}: {one!r} is not a token (RFC 6455 §4.1)")
        if option == "paths" and not one.startswith("/"):
            raise TypeError(f"{where}: a path begins with '/', not as {one!r}")


def _check_hook(where: str, hook: object, argument_count: int) -> None:
    _check_is_plain_function(where, hook)
    if isinstance(hook, (staticmethod, classmethod)) or not inspect.isfunction(hook):
        return  # a decorated one: its call will tell
    try:
        inspect.signature(hook).bind(None, *range(argument_count))
    except TypeError as error:
        names = {0: "self", 1: "self and one argument", 2: "self, code and reason"}[argument_count]
        raise TypeError(f"{where} is called with {names}: {error}") from None


def _check_is_plain_function(where: str, function: object) -> None:
    function = getattr(function, "__func__", function)  # of a staticmethod, or a classmethod
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"{where} is async: wsref calls hooks in a thread of their connection; write a plain def")
    if inspect.isgeneratorfunction(function):
        raise TypeError(f"{where} contains yield: a call would only make a generator; write a plain function")
    if not callable(function) and not hasattr(function, "__get__"):  # a descriptor: its call will tell
        raise TypeError(f"{where} is a method that wsref calls, not a {type(function).__name__}")
