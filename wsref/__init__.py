"""wsref: learn the WebSocket protocol from a server you can read.

The folders, in the order in which to read them.  The docstring of each folder lists its modules,
in their order.  A module imports only from those above it in its folder, and from the folders
named here.

=========  =========================================================  ==========================
folder     in one line                                                imports from
=========  =========================================================  ==========================
protocol   the protocol, without I/O: bytes in, events out
fast       optional reading: what is only faster                      protocol
network    sockets and threads: the server and the client             protocol, fast
wire       seeing the wire: bytes described and drawn                 protocol, network
steps      the server that the book writes: eleven programs
apps       what ``python -m wsref`` serves: echo, chat, the page      protocol, network, wire, steps
check      a grader for any WebSocket server, with its own codec      wire
exercises  the book's exercises: stubs, checks and solutions          the public names
cli        ``python -m wsref``: the commands                          all of them
=========  =========================================================  ==========================

A server takes these lines::

    from wsref import WebSocketHandler, WebSocketServer

    class Echo(WebSocketHandler):
        def on_message(self, message):          # str for text, bytes for binary
            self.send(message)

    with WebSocketServer(("127.0.0.1", 8765), Echo) as server:
        server.serve_forever()

And a client these::

    from wsref import connect

    with connect("ws://127.0.0.1:8765/") as ws:
        ws.send("hi")
        print(ws.recv())
"""

import sys

# This file and __main__.py parse in Python 3.8: an old Python gets a sentence, not a SyntaxError.
if sys.version_info < (3, 11):  # noqa: UP036
    was = f"{sys.version_info[0]}.{sys.version_info[1]}"
    raise ImportError(f"wsref needs Python 3.11 or later, and this is Python {was}", name="wsref")

from .apps.demo import Chat, Echo
from .apps.running import running
from .network.client import WebSocket, connect
from .network.handler import WebSocketHandler
from .network.server import Delivery, WebSocketServer
from .protocol.client_handshake import HandshakeFailed
from .protocol.connection import Closed, Connection, Message, Ping, Pong
from .protocol.deflate import Compression
from .protocol.errors import ConnectionClosed, HTTPError, ProtocolError
from .protocol.http11 import Request
from .protocol.limits import Limits
from .protocol.spec import CloseCode, Opcode, Role, State

__version__ = "0.1.0"

__all__ = [
    "Chat",
    "CloseCode",
    "Closed",
    "Compression",
    "Connection",
    "ConnectionClosed",
    "Delivery",
    "Echo",
    "HTTPError",
    "HandshakeFailed",
    "Limits",
    "Message",
    "Opcode",
    "Ping",
    "Pong",
    "ProtocolError",
    "Request",
    "Role",
    "State",
    "WebSocket",
    "WebSocketHandler",
    "WebSocketServer",
    "__version__",
    "connect",
    "running",
]
