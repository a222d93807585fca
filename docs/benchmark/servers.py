"""The servers that :mod:`benchmark` measures, each as small as its own documentation has it.

``python servers.py NAME PORT MODE`` serves until its standard input ends, so that none is left
running whatever becomes of the benchmark.  The modes:

``echo``
    Sends each message back, text as text and binary as binary.
``deflate``
    The same with permessage-deflate, every message compressed.
``broadcast``
    Sends each message to all who are connected.
"""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import socketserver
import sys
import threading

#: Bytes: the longest message of any scenario, and room.
MAX_MESSAGE = 32 * 1024 * 1024


def floor(port: int, mode: str) -> None:
    """No protocol: a thread for each connection echoes bytes."""
    everyone: set[socket.socket] = set()

    class Floor(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            sock = self.request
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                sock.sendall(sock.recv(65536))  # in place of a handshake
                everyone.add(sock)
                while data := sock.recv(65536):
                    if mode != "broadcast":
                        sock.sendall(data)
                    else:
                        for other in tuple(everyone):
                            other.sendall(data)
            except OSError:
                pass
            everyone.discard(sock)

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True
        request_queue_size = 1024

    Server(("127.0.0.1", port), Floor).serve_forever()


def wsref(port: int, mode: str, *, shared: bool = False) -> None:
    """As ``python -m wsref`` has it: all checks, all limits, keep-alive; perhaps with other processes on its port."""
    from wsref import Compression, Limits, WebSocketHandler, WebSocketServer

    class Server(WebSocketServer[WebSocketHandler]):
        allow_reuse_port = shared

    class Echo(WebSocketHandler):
        def on_message(self, message: str | bytes) -> None:
            self.send(message)

    class Broadcast(WebSocketHandler):
        def on_message(self, message: str | bytes) -> None:
            self.server.broadcast(message)

    limits = Limits(max_message_size=MAX_MESSAGE)
    compression = Compression(threshold=0) if mode == "deflate" else None
    handler = Broadcast if mode == "broadcast" else Echo
    with Server(("127.0.0.1", port), handler, limits=limits, compression=compression) as server:
        server.serve_forever()


def websockets_sync(port: int, mode: str) -> None:
    """The threaded server of websockets."""
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.server import ServerConnection, serve

    everyone: set[ServerConnection] = set()

    def handler(connection: ServerConnection) -> None:
        everyone.add(connection)
        try:
            for message in connection:
                if mode != "broadcast":
                    connection.send(message)
                else:
                    for other in tuple(everyone):
                        other.send(message)
        except ConnectionClosed:
            pass
        everyone.discard(connection)

    compression = "deflate" if mode == "deflate" else None
    with serve(handler, "127.0.0.1", port, compression=compression, max_size=MAX_MESSAGE) as server:
        server.socket.listen(1024)
        server.serve_forever()


def websockets_asyncio(port: int, mode: str) -> None:
    """The asyncio server of websockets."""
    from websockets.asyncio.server import ServerConnection, broadcast, serve

    async def handler(connection: ServerConnection) -> None:
        async for message in connection:
            if mode != "broadcast":
                await connection.send(message)
            else:
                broadcast(connection.server.connections, message)

    async def run() -> None:
        compression = "deflate" if mode == "deflate" else None
        options = {"compression": compression, "max_size": MAX_MESSAGE, "backlog": 1024}
        async with serve(handler, "127.0.0.1", port, **options) as server:
            await server.serve_forever()

    asyncio.run(run())


def simple_websocket(port: int, mode: str) -> None:
    """For simple-websocket, which takes a socket and a WSGI environment from a web server."""
    from simple_websocket import ConnectionClosed, Server

    everyone: set[Server] = set()

    class Handler(socketserver.StreamRequestHandler):
        disable_nagle_algorithm = True

        def handle(self) -> None:
            environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "QUERY_STRING": "", "SERVER_PROTOCOL": "HTTP/1.1"}
            self.rfile.readline()
            while line := self.rfile.readline().strip().decode():
                name, _, value = line.partition(": ")
                environ["HTTP_" + name.upper().replace("-", "_")] = value
            connection = Server({**environ, "werkzeug.socket": self.request}, max_message_size=MAX_MESSAGE)
            everyone.add(connection)
            try:
                while True:
                    message = connection.receive()
                    if mode != "broadcast":
                        connection.send(message)
                    else:
                        for other in tuple(everyone):
                            other.send(message)
            except (ConnectionClosed, OSError):
                pass
            everyone.discard(connection)

    class WebServer(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True
        request_queue_size = 1024

    WebServer(("127.0.0.1", port), Handler).serve_forever()


def websocket_server(port: int, mode: str) -> None:
    """Pithikos's websocket-server: text only, no fragments."""
    from websocket_server import WebsocketServer

    class Server(WebsocketServer):
        request_queue_size = 1024

    server = Server(host="127.0.0.1", port=port)
    if mode == "broadcast":
        server.set_fn_message_received(lambda client, server, message: server.send_message_to_all(message))
    else:
        server.set_fn_message_received(lambda client, server, message: server.send_message(client, message))
    server.run_forever()


def picows(port: int, mode: str) -> None:
    """Cython's speed: picows.  It hands out frames: what joins them stands here; text is not checked."""
    from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport, ws_create_server

    everyone: set[WSTransport] = set()

    class Listener(WSListener):
        def __init__(self) -> None:
            self.kind: WSMsgType | None = None
            self.parts: list[bytes] = []

        def on_ws_connected(self, transport: WSTransport) -> None:
            everyone.add(transport)

        def on_ws_disconnected(self, transport: WSTransport) -> None:
            everyone.discard(transport)

        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            if frame.msg_type == WSMsgType.CLOSE:
                transport.send_close(WSCloseCode.OK)
                transport.disconnect()
            elif frame.fin and self.kind is None:
                self.deliver(transport, frame.msg_type, frame.get_payload_as_memoryview())
            else:
                self.kind = self.kind or frame.msg_type
                self.parts.append(frame.get_payload_as_bytes())
                if frame.fin:
                    self.deliver(transport, self.kind, b"".join(self.parts))
                    self.kind, self.parts = None, []

        def deliver(self, transport: WSTransport, kind: WSMsgType, message: bytes | memoryview) -> None:
            if mode != "broadcast":
                transport.send(kind, message)
            else:
                for other in tuple(everyone):
                    other.send(kind, message)

    async def run() -> None:
        options = {"max_frame_size": MAX_MESSAGE, "backlog": 1024}
        server = await ws_create_server(lambda request: Listener(), "127.0.0.1", port, **options)
        await server.serve_forever()

    asyncio.run(run())


def main() -> None:
    """Serve until standard input ends."""
    name, port, mode = sys.argv[1:]
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    threading.Thread(target=lambda: (sys.stdin.buffer.read(), os._exit(0)), daemon=True).start()
    sys.setswitchinterval(0.02)  # as python -m wsref does; for all alike, as any program can set it
    if name == "wsref":
        sys.modules["numpy"] = None  # type: ignore[assignment]  # the standard library only
        wsref(int(port), mode)
    elif name == "wsref-shared":
        sys.modules["numpy"] = None  # type: ignore[assignment]
        wsref(int(port), mode, shared=True)
    elif name == "wsref-numpy":
        wsref(int(port), mode)
    else:
        peers = (floor, websockets_sync, websockets_asyncio, simple_websocket, websocket_server, picows)
        {peer.__name__.replace("_", "-"): peer for peer in peers}[name](int(port), mode)


if __name__ == "__main__":
    main()
