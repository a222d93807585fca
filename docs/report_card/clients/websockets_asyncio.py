"""The asyncio client of the websockets package: echo until the connection ends, then the next case."""

import asyncio
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException


async def play() -> bool:
    """Play a case; return whether there is no further one."""
    done = "/next" not in sys.argv[1]
    try:
        async with connect(sys.argv[1]) as connection:
            async for message in connection:
                if message == "done":
                    done = True
                else:
                    await connection.send(message)
    except (WebSocketException, OSError, EOFError):
        pass  # the grader breaks rules on purpose
    return done


async def main() -> None:
    """Play until there is no further case."""
    while not await play():
        pass


asyncio.run(main())
