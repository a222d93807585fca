"""What the tests of all chapters share."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import pytest

from wsref.exercises.expect import Wrong


def refusal(name: str, answer: Callable[..., object], chapter: str) -> str:
    """What the check of an exercise says of a wrong answer."""
    answer.__name__ = name
    with pytest.raises(Wrong) as caught:
        getattr(importlib.import_module(f"wsref.exercises.{chapter}"), f"check_{name}")(answer)
    return str(caught.value)
