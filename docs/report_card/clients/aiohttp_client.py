"""aiohttp's client: echo until the connection ends, then the next case."""

import asyncio
import sys

import aiohttp


async def play() -> bool:
    """Play a case; return whether there is no further one."""
    done = "/next" not in sys.argv[1]
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(sys.argv[1]) as connection,
        ):
            async for message in connection:
                if message.type is aiohttp.WSMsgType.TEXT and message.data == "done":
                    done = True
                elif message.type is aiohttp.WSMsgType.TEXT:
                    await connection.send_str(message.data)
                elif message.type is aiohttp.WSMsgType.BINARY:
                    await connection.send_bytes(message.data)
    except (aiohttp.ClientError, OSError, ValueError):
        pass  # the grader breaks rules on purpose
    return done


async def main() -> None:
    """Play until there is no further case."""
    while not await play():
        pass


asyncio.run(main())
