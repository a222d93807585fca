"""Random bytes that are the same in every build of the book.

Python imports this module at its start if it finds it, and :mod:`wsbook.runner` sees to it
that the programs it starts do.  Keys and masking keys are then what this sequence says, and
all that follows from them (an accept key, a masked payload) is right for them.
"""

import itertools
import os
import random

_fixed = random.Random(6455)


def _urandom(size: int) -> bytes:
    return bytes(itertools.islice(iter(lambda: _fixed.getrandbits(8), None), size))


os.urandom = _urandom
