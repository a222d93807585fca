"""A client that reconnects after a lost connection, and waits longer each time.

RFC 6455 §7.2.3: wait a random time before the first attempt, and longer before each further one.
"""

import random
import time

from wsref import ConnectionClosed, HandshakeFailed, connect


def messages(url, attempts=6, first=1.0, longest=60.0):
    """Yield all messages, over as many connections as necessary.

    It ends when the server closes with 1000.  After ``attempts`` failures in a row, it raises
    the last one.
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
