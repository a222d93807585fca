"""Random bytes that are the same in every build of the book.

Python imports this module at its start if it finds it; :mod:`wsbook.runner` puts it on the path
of the programs that it starts.  So keys and masking keys come from a fixed sequence, and the
values made from them (an accept key, a masked payload) fit.
"""

import itertools
import os
import random
import sys

_fixed = random.Random(6455)


def _urandom(size: int) -> bytes:
    return bytes(itertools.islice(iter(lambda: _fixed.getrandbits(8), None), size))


if sys.orig_argv[1:2] != ["client.py"]:  # started again for each case, it must not repeat its keys
    os.urandom = _urandom
