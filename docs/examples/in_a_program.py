"""A program with other work, two WebSocket servers and a client."""

from wsref import Echo, WebSocketHandler, WebSocketServer, connect

PAGE = b"<!doctype html><title>Status</title><p>Open a WebSocket here to see the status."


class Status(WebSocketHandler):
    """Sends the state of the program to every client, and ignores their messages."""

    def on_open(self):
        self.send("welcome")


status = WebSocketServer(("127.0.0.1", 0), Status, page=PAGE)
echo = WebSocketServer(("127.0.0.1", 0), Echo)  # port 0: any free port; see ``url``
with status, echo:
    status.start()  # serves in the background
    echo.start()

    with connect(status.url) as watcher, connect(echo.url) as talker:
        print(watcher.recv())
        for step in ("fetching", "sorting", "done"):  # the program's own work
            status.broadcast(step)
        print([watcher.recv() for _ in range(3)])

        talker.send("hi")
        print(talker.recv(timeout=5))  # seconds; TimeoutError if no message arrives
# The end of the block stops both: Close 1001 to every client, a bounded wait, then the ports are free.
print(status.counts)
