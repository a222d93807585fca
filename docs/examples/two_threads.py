"""Several threads send on one connection at the same time.  Do all messages arrive whole?"""

import threading

from wsref import WebSocketHandler, connect, running

SIZES = (10, 1_000, 100_000, 300_000)


class Busy(WebSocketHandler):
    def on_message(self, message):
        threads = [threading.Thread(target=self.send, args=(str(n) * size,)) for n, size in enumerate(SIZES)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


with running(Busy) as server, connect(server.url) as ws:
    whole = 0
    for _ in range(20):
        ws.send("go")
        for message in (ws.recv() for _ in SIZES):
            whole += message == message[0] * SIZES[int(message[0])]
print(f"{whole} of {20 * len(SIZES)} messages arrived whole")
