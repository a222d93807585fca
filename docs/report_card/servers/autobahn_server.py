"""Autobahn on asyncio: an echo server with its defaults."""

import asyncio
import sys

from autobahn.asyncio.websocket import WebSocketServerFactory, WebSocketServerProtocol


class Echo(WebSocketServerProtocol):
    """Sends every message back."""

    def onMessage(self, payload: bytes, isBinary: bool) -> None:  # noqa: N802, N803  (Autobahn's names)
        """Send it back, as text or as binary."""
        self.sendMessage(payload, isBinary)


async def main() -> None:
    """Serve until the process is ended."""
    port = int(sys.argv[1])
    factory = WebSocketServerFactory(f"ws://127.0.0.1:{port}")
    factory.protocol = Echo
    server = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", port)
    await server.serve_forever()


asyncio.run(main())
