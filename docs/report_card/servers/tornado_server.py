"""tornado: an echo server; compression is off by default."""

import asyncio
import sys

import tornado
import tornado.web
import tornado.websocket


class Echo(tornado.websocket.WebSocketHandler):
    """Sends every message back."""

    def on_message(self, message: str | bytes) -> None:
        """Send it back, as text or as binary."""
        self.write_message(message, binary=isinstance(message, bytes))


async def main() -> None:
    """Until it is ended."""
    tornado.web.Application([("/", Echo)]).listen(int(sys.argv[1]), "127.0.0.1")
    await asyncio.Event().wait()


asyncio.run(main())
