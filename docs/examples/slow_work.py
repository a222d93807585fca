"""A handler whose answers take long, and whose hooks return at once.

python slow_work.py [PORT]
"""

import logging
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from wsref import ConnectionClosed, WebSocketHandler, WebSocketServer

MAX_JOBS = 8  # of one client, at a time


def compute(message):
    """The slow work: a database, a model, another service."""
    time.sleep(1)
    return f"the answer to {message}"


class Slow(WebSocketHandler):
    """Computes in a second thread, so that the connection's own thread reads and answers Pings."""

    def on_open(self):
        self.worker = ThreadPoolExecutor(1)  # one thread: the answers keep the order of the messages
        self.free = threading.BoundedSemaphore(MAX_JOBS)

    def on_message(self, message):
        if self.free.acquire(blocking=False):
            self.worker.submit(self.work, message)
        else:
            self.close(1008, "too many jobs at a time")

    def work(self, message):
        try:
            self.send(compute(message))
        except ConnectionClosed:
            pass  # the client has gone
        except Exception:
            logging.exception("a job failed")
            self.close(1011)
        finally:
            self.free.release()

    def on_close(self, code, reason):
        self.worker.shutdown(wait=False, cancel_futures=True)


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8765
    with WebSocketServer(("127.0.0.1", port), Slow) as server:
        print(f"listening on {server.url}", flush=True)
        server.serve_forever()
