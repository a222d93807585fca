"""A replacement for a missing curl, with the options that the book uses, so that a build needs only Python.

``curl [-i] [-s] [-X METHOD] [-H HEADER]... [--http1.0] [--max-time SECONDS] URL``: it sends the
same bytes as curl 7.88, and writes the answer to standard output.
"""

import argparse
import socket
import sys
from urllib.parse import urlsplit

VERSION = "7.88.1"


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(prog="curl")
    parser.add_argument("-i", "--include", action="store_true")
    parser.add_argument("-s", "--silent", action="store_true")
    parser.add_argument("-N", "--no-buffer", action="store_true")
    parser.add_argument("-X", "--request", default="GET")
    parser.add_argument("-H", "--header", action="append", default=[])
    parser.add_argument("-0", "--http1.0", dest="old", action="store_true")
    parser.add_argument("--http1.1", dest="new", action="store_true")
    parser.add_argument("-m", "--max-time", type=float, default=10)
    parser.add_argument("url")
    options = parser.parse_args()
    url = urlsplit(options.url if "//" in options.url else "http://" + options.url)
    fields = {"host": f"Host: {url.netloc}", "user-agent": f"User-Agent: curl/{VERSION}", "accept": "Accept: */*"}
    more = []
    for header in options.header:
        name, _, value = header.partition(":")
        if name.lower() in fields:
            fields[name.lower()] = header if value.strip() else ""
        elif value.strip():
            more.append(header)
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    version = "1.0" if options.old else "1.1"
    lines = [f"{options.request} {target} HTTP/{version}", *filter(None, fields.values()), *more, "", ""]
    answer = b""
    with socket.create_connection((url.hostname, url.port or 80), options.max_time) as connection:
        connection.sendall("\r\n".join(lines).encode())
        try:
            while piece := connection.recv(65536):
                answer += piece
        except TimeoutError:
            return 28
    head, _, body = answer.partition(b"\r\n\r\n")
    sys.stdout.buffer.write(head + b"\r\n\r\n" + body if options.include else body)
    return 0 if answer else 52


if __name__ == "__main__":
    sys.exit(main())
