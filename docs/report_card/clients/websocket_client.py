"""websocket-client: echo until the connection ends, then the next case."""

import sys

import websocket
from websocket import ABNF

done = False
while not done:
    connection = websocket.WebSocket()
    try:
        connection.connect(sys.argv[1])
        while not done:
            opcode, data = connection.recv_data()
            if opcode == ABNF.OPCODE_CLOSE:  # the library has answered it
                break
            done = data == b"done"
            if not done:
                connection.send(data, opcode)
    except Exception:  # the grader breaks rules on purpose, and struct.error comes out, too
        pass
    finally:
        connection.shutdown()
    done = done or "/next" not in sys.argv[1]
