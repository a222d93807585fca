"""A client that connects again when the connection is lost, each time more patiently.

RFC 6455 §7.2.3: the first attempt waits a random time, and further ones longer and longer.
"""

import random
import time

from wsref import ConnectionClosed, HandshakeFailed, connect


def messages(url, attempts=6, first=1.0, longest=60.0):
    """All messages that come, over as many connections as it takes.

    Ends when the server closes with 1000; raises what failed last if ``attempts`` in a row do.
    """
    failed = 0
    while True:
        try:
            with connect(url) as ws:
                failed = 0
                while True:
                    yield ws.recv()
        except (ConnectionClosed, HandshakeFailed, OSError) as error:
            if isinstance(error, ConnectionClosed) and error.code == 1000:
                return
            failed += 1
            if failed == attempts:
                raise
            time.sleep(random.uniform(0, min(longest, first * 2**failed)))
