"""Checks of chapter 0: the client."""

from __future__ import annotations

import contextlib
import itertools
import queue
import socket
import threading
from collections.abc import Iterator
from typing import Any

from .. import CloseCode, Echo
from .expect import Wrong, call, call_text, expect, serving, show


def check_connect_result(theirs: Any) -> None:
    """Try a WebSocket server, a 404, a 503, a mail server, and a free port."""
    codes: queue.SimpleQueue[int] = queue.SimpleQueue()

    class EchoAtOnePath(Echo):
        paths = ("/echo",)

        def on_close(self, code: int, reason: str) -> None:
            codes.put(code)

    with serving(EchoAtOnePath) as url:
        expect(theirs, f"{url}/echo", gives="open")
        try:
            closed = codes.get(timeout=5) != CloseCode.ABNORMAL
        except queue.Empty:
            closed = False
        if not closed:
            raise Wrong(f"{call_text(theirs, f'{url}/echo')} must close the WebSocket before it returns")
        expect(theirs, f"{url}/no-such-path", gives="refused: 404")
    with _answering(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n") as url:
        expect(theirs, url, gives="refused: 503")
    with _answering(b"220 mail.example ESMTP\r\n") as url:
        expect(theirs, url, gives="not HTTP", why="this is a mail server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # it does not listen
        expect(theirs, f"ws://127.0.0.1:{free.getsockname()[1]}/", gives="no server")


@contextlib.contextmanager
def _answering(answer: bytes) -> Iterator[str]:
    """Give every request the same answer."""
    over = threading.Event()

    def serve() -> None:
        while True:
            sock, _ = listener.accept()
            with sock, contextlib.suppress(OSError):  # the client has gone, perhaps to come again
                if over.is_set():
                    return
                sock.sendall(answer)
                request = b""  # all of it: a client may send each line by itself
                while b"\r\n\r\n" not in request and (data := sock.recv(65536)):
                    request += data

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{listener.getsockname()[1]}/"
        finally:
            over.set()
            socket.create_connection(listener.getsockname()).close()  # only Linux has a shutdown that ends an accept
            thread.join()


def check_delays(theirs: Any) -> None:
    """Compare the range of each delay in many runs with its limit."""
    for longest in (300, 12, 2):
        if not hasattr(call(theirs, longest), "__next__"):
            raise Wrong(f"delays({longest}) must return a generator: write it with yield")
        runs = [list(itertools.islice(theirs(longest), 9)) for _ in range(300)]
        if len(runs[0]) < 9:
            raise Wrong(f"delays({longest}) must go on without end, and it ends after delay {len(runs[0])}")
        for n, delays in enumerate(zip(*runs, strict=True)):
            if not all(isinstance(delay, int | float) for delay in delays):
                raise Wrong(f"delay {n + 1} of delays({longest}) must be a number of seconds, not {show(delays[0])}")
            limit = min(5 * 2**n, longest)
            found = f"in 300 runs of delays({longest}), delay {n + 1} is from {min(delays):.1f} to {max(delays):.1f}"
            if min(delays) < 0 or max(delays) > limit or max(delays) < limit * 0.8 or min(delays) > limit * 0.2:
                raise Wrong(f"{found} seconds: it must be random, anywhere from 0 to {limit}")
