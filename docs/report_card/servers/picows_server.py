"""picows, by its picows.websockets: an echo server with its defaults."""

import asyncio
import sys

from picows.websockets.asyncio.server import serve


async def echo(connection) -> None:
    """Send every message back."""
    async for message in connection:
        await connection.send(message)


async def main() -> None:
    """Serve until the process is ended."""
    async with serve(echo, "127.0.0.1", int(sys.argv[1])) as server:
        await server.serve_forever()


asyncio.run(main())
