"""Sanic: an echo server with its defaults."""

import sys

from sanic import Request, Sanic, Websocket

app = Sanic("echo")


@app.websocket("/")
async def echo(request: Request, ws: Websocket) -> None:
    """Send every message back."""
    async for message in ws:
        await ws.send(message)


if __name__ == "__main__":
    app.run("127.0.0.1", int(sys.argv[1]), single_process=True, motd=False, access_log=False)
