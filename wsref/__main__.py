"""``python -m wsref``, and the program of the zipapp that ``nox -s zipapp`` builds."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036  (this file parses in Python 3.8)
    sys.exit(f"wsref needs Python 3.11 or later, and this is Python {sys.version_info[0]}.{sys.version_info[1]}")

try:
    from wsref.cli.main import main

    code = main()
except KeyboardInterrupt:  # while it starts
    code = 130
sys.exit(code)
