"""wsproto, which has no I/O: an echo server of a few lines around it, with permessage-deflate."""

import socketserver
import sys

import wsproto
from wsproto.connection import ConnectionState
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Ping, RejectConnection, Request, TextMessage
from wsproto.extensions import PerMessageDeflate
from wsproto.utilities import RemoteProtocolError


class Echo(socketserver.BaseRequestHandler):
    """One connection, as wsproto's documentation handles one."""

    def handle(self) -> None:
        """Until it is closed."""
        ws = wsproto.WSConnection(wsproto.ConnectionType.SERVER)
        while True:
            data = self.request.recv(65536)
            try:
                ws.receive_data(data or None)
                for event in ws.events():
                    self.on_event(ws, event)
            except RemoteProtocolError as error:
                if error.event_hint is not None and ws.state is ConnectionState.CONNECTING:
                    self.request.sendall(ws.send(error.event_hint))
                return
            # (After a fault of the client's it says Close and stays LOCAL_CLOSING: hanging up is left to us.)
            if not data or ws.state in (
                ConnectionState.CLOSED,
                ConnectionState.REJECTING,
                ConnectionState.LOCAL_CLOSING,
            ):
                return

    def on_event(self, ws: wsproto.WSConnection, event: wsproto.events.Event) -> None:
        """Answer it."""
        if isinstance(event, Request):
            self.request.sendall(ws.send(AcceptConnection(extensions=[PerMessageDeflate()])))
        elif isinstance(event, TextMessage | BytesMessage):
            self.request.sendall(ws.send(type(event)(event.data, message_finished=event.message_finished)))
        elif isinstance(event, Ping | CloseConnection) and ws.state is not ConnectionState.CLOSED:
            self.request.sendall(ws.send(event.response()))
        elif isinstance(event, RejectConnection):
            self.request.sendall(ws.send(event))


class Server(socketserver.ThreadingTCPServer):
    """A thread for each client."""

    allow_reuse_address = daemon_threads = True
    request_queue_size = 128


Server(("127.0.0.1", int(sys.argv[1])), Echo).serve_forever()
