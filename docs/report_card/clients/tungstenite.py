"""Rust's tungstenite, in the threaded client of websocket-rs: echo until the connection ends, then the next case."""

import sys

from websocket_rs.sync.client import connect

done = False
while not done:
    try:
        with connect(sys.argv[1]) as connection:
            for message in connection:
                done = message == "done"
                if not done:
                    connection.send(message)
    except (RuntimeError, ValueError, OSError):
        pass  # the grader breaks rules on purpose
    done = done or "/next" not in sys.argv[1]
