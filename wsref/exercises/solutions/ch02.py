"""Exercises of chapter 2: upgrade detection.

Check them: python -m wsref exercise 2
"""


def false_alarms() -> list[str]:
    """Return four values of Connection that do not ask for an upgrade, although a search says so.

    The search is `"upgrade" in value.lower()`.  It is true for each of your values, and yet none of
    the elements of the list is the word upgrade.
    """
    return ["no-upgrade", "Upgrade-Insecure-Requests", "keep-alive upgrade", '"upgrade"']


def misses() -> list[str]:
    """Return four values of Connection that ask for an upgrade, although a comparison does not see it.

    The comparison is `value == "Upgrade"`.  It is false for each of your values, and yet one of the
    elements of the list is the word upgrade.
    """
    return ["upgrade", "keep-alive, Upgrade", "Upgrade ,close", "keep-alive,\tUPGRADE"]


def forward(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the headers that a proxy passes on if it knows nothing of upgrades.

    It does what it MUST by RFC 9110 §7.6.1, and no more: it removes Connection, and each header that
    Connection names.  The case of names does not matter.  The remaining headers keep their order and their case.

    >>> forward([("Host", "a"), ("Connection", "close, X-Mine"), ("x-mine", "1")])
    [('Host', 'a')]
    """
    removed = {"connection"}
    for name, value in headers:
        if name.lower() == "connection":
            removed |= {element.strip(" \t").lower() for element in value.split(",")}
    return [(name, value) for name, value in headers if name.lower() not in removed]
