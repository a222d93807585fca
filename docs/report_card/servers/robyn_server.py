"""Robyn: an echo server with its defaults."""

import sys

from robyn import Robyn, WebSocketDisconnect

app = Robyn(__file__)


@app.websocket("/")
async def echo(ws):
    """Send every message back, as text or as binary."""
    try:
        while True:
            message = await ws._receive()  # receive_text and receive_bytes do not tell which it was
            await (ws.send_text if isinstance(message, str) else ws.send_bytes)(message)
    except WebSocketDisconnect:
        pass


if __name__ == "__main__":
    port = int(sys.argv.pop(1))  # Robyn reads the command line too
    app.start("127.0.0.1", port)
