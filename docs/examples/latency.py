"""Measures the delay of a client: a Ping carries the time, and the Pong returns it."""

import time

from wsref import WebSocketHandler


class Latency(WebSocketHandler):
    def on_message(self, message):
        self.ping(str(time.monotonic()).encode())

    def on_pong(self, data):
        milliseconds = (time.monotonic() - float(data)) * 1000
        self.send(f"{milliseconds:.1f} ms")
