"""trio-websocket: an echo server with its defaults."""

import sys

import trio
from trio_websocket import ConnectionClosed, WebSocketRequest, serve_websocket


async def echo(request: WebSocketRequest) -> None:
    """Send every message back."""
    ws = await request.accept()
    try:
        while True:
            await ws.send_message(await ws.get_message())
    except ConnectionClosed:
        pass


trio.run(serve_websocket, echo, "127.0.0.1", int(sys.argv[1]), None)
