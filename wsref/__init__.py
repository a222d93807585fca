"""wsref: learn the WebSocket protocol from a server you can read.

The modules, in the order in which to read them.  Each imports only from floors below
its own.  Chapters are what ``python -m wsref --step N`` counts: the server as it stood
after each.

=====  ===========  =======  ==========================================================
floor  module       chapter  in one line
=====  ===========  =======  ==========================================================
0      spec                  every number that the RFCs fix, with its section
1      limits                every number that is a choice of ours, with its precedent
1      errors                what a peer can do wrong, each with the answer it deserves
2      http11       1        just enough HTTP/1.1: bytes to Request, Response to bytes
2      frames       6        frames: the bits, the lengths, the masking key
2      closing      8        the closing handshake: states, the Close payload, its codes
3      handshake    2-5, 11  a request to a 101, or to a refusal that says why
3      messages     7        fragments to whole str and bytes, UTF-8 checked on arrival
3      deflate      9        permessage-deflate: one message in, one message out
4      picture               a description of bytes, and how it is drawn: text, SVG
4      connection   6-9      all of that as one endpoint: bytes in, events out
5      transport    11       the only code that touches a socket: TCP, TLS, deadlines
5      workers      10       threads for connections, one after another in each
6      server       1-11     threads and hooks; ``handle()`` is the contents page
6      client       0        the browser's ``WebSocket``, for Python
7      apps         10       two small applications: an echo and a chat
7      explain               the wire made visible: bytes to a description
7      terminal              what the commands share: colour or not, the log
8      steps        1-11     the server after chapter N, by taking later chapters away
8      trace                 every byte that passes, explained: ``--trace``
8      check        1-11     ``python -m wsref check``: grade any server
9      wire         6        the page's wire panel: a connection as the server saw it
9      console      0        ``python -m wsref connect``: a client to type at
9      decode                ``python -m wsref decode``: a paste to a picture
9      source       1-11     the program of a step, as one file
10     cli                   ``python -m wsref``
=====  ===========  =======  ==========================================================

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

from .apps import Chat, Echo
from .client import HandshakeFailed, WebSocket, connect
from .connection import Closed, Connection, Message, Ping, Pong
from .deflate import Compression
from .errors import ConnectionClosed, HTTPError, ProtocolError
from .limits import Limits
from .server import Delivery, WebSocketHandler, WebSocketServer
from .spec import CloseCode, Opcode, Role, State
from .steps import running

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
    "Role",
    "State",
    "WebSocket",
    "WebSocketHandler",
    "WebSocketServer",
    "__version__",
    "connect",
    "running",
]
