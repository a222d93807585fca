"""A program that does something else, and has two WebSocket servers and a client besides."""

from wsref import Echo, WebSocketHandler, WebSocketServer, connect

PAGE = b"<!doctype html><title>Status</title><p>Open a WebSocket here to see the status."


class Status(WebSocketHandler):
    """Tells everyone what the program does; listens to nobody."""

    def on_open(self):
        self.send("welcome")


status = WebSocketServer(("127.0.0.1", 0), Status, page=PAGE)
echo = WebSocketServer(("127.0.0.1", 0), Echo)  # 0: any free port; ``url`` says which
with status, echo:
    status.start()  # it serves in the background
    echo.start()

    with connect(status.url) as watcher, connect(echo.url) as talker:
        print(watcher.recv())
        for step in ("fetching", "sorting", "done"):  # the program's own work
            status.broadcast(step)
        print([watcher.recv() for _ in range(3)])

        talker.send("hi")
        print(talker.recv(timeout=5))  # seconds; TimeoutError if nothing has come
# The end of the block stops both: Close 1001 to every client, a bounded wait, the ports are free.
print(status.counts)
