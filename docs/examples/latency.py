"""Measures how long a client's answer takes: a Ping that carries the time, and its Pong."""

import time

from wsref import WebSocketHandler


class Latency(WebSocketHandler):
    def on_message(self, message):
        self.ping(str(time.monotonic()).encode())

    def on_pong(self, data):
        milliseconds = (time.monotonic() - float(data)) * 1000
        self.send(f"{milliseconds:.1f} ms")
