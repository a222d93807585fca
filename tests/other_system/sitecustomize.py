"""Change the system under the tests and their programs, before each of them starts.

``WSREF_TEST_SYSTEM=portable``: sockets that do not block, as on macOS.
``WSREF_TEST_SYSTEM=windows``: also without what CPython lacks on Windows.  It is not Windows:
files, processes and terminals are still those of this system.
``WSREF_TEST_SYSTEM=slow``: at any socket call a thread may lose the processor for 0.4 s, as on a
machine with much else to do.  What fails then depends on which thread is first.

``tests/conftest.py`` imports it, and puts this folder on the PYTHONPATH of the tests' programs.
Plugins of pytest and hypothesis need what is missing: give ``-p no:anyio`` and
``HYPOTHESIS_NO_PLUGINS=1``.
"""

import builtins
import functools
import os
import random
import select
import signal
import socket
import sys
import threading
import time

SYSTEM = os.environ.get("WSREF_TEST_SYSTEM", "")

if SYSTEM == "windows":
    missing = {
        select: ["poll", "epoll", "devpoll", "kqueue"],
        socket: ["MSG_DONTWAIT", "MSG_MORE", "MSG_NOSIGNAL", "SO_REUSEPORT"],
    }
    if sys.orig_argv[1:3] == ["-m", "wsref"]:  # the tests themselves need these
        missing[signal] = ["SIGHUP", "SIGQUIT", "SIGALRM", "SIGUSR1", "SIGCONT", "setitimer"]
        missing[signal] += ["pthread_kill", "pthread_sigmask", "siginterrupt"]
        missing[os] = ["fork", "getuid", "geteuid", "sched_getaffinity"]
        for name in ("resource", "fcntl", "termios", "pty", "readline"):
            sys.modules[name] = None  # type: ignore[assignment]

        def read_line(prompt=""):
            """``input`` without C's stdio: at exit glibc waits for its lock; a console of Windows has none."""
            print(prompt, end="", flush=True)
            line = b""
            while not line.endswith(b"\n"):
                line += (piece := os.read(0, 4096))  # of a terminal: one line at most
                if not piece:
                    raise EOFError
            return line[:-1].decode()

        builtins.input = read_line
    for module, names in missing.items():
        for name in names:
            if hasattr(module, name):
                delattr(module, name)

    def no_such_method(sock, *_):
        raise AttributeError("Windows has no such method")

    for name in ("sendmsg", "recvmsg", "recvmsg_into"):  # inherited from a type that cannot be changed
        setattr(socket.socket, name, no_such_method)

    def setsockopt(self, level, option, value, *length, _original=socket.socket.setsockopt):
        if option in (getattr(socket, "SO_RCVTIMEO", 20), getattr(socket, "SO_SNDTIMEO", 21)):
            raise OSError(10042, "there it is a number of milliseconds, not a timeval")
        return _original(self, level, option, value, *length)

    socket.socket.setsockopt = setsockopt  # type: ignore[method-assign]

if SYSTEM == "slow" and not hasattr(threading.Thread.run, "__wrapped__"):  # conftest.py may be the second to import it
    pauses = random.Random()  # the tests seed the other one
    PAUSE, BETWEEN, CHANCE = 0.4, 0.3, 0.1  # seconds, seconds, and of each call
    may_pause_from = time.monotonic()

    def perhaps_pause():
        global may_pause_from
        if time.monotonic() > may_pause_from and pauses.random() < CHANCE:
            may_pause_from = time.monotonic() + PAUSE + BETWEEN
            time.sleep(PAUSE)

    def slowed(method):
        @functools.wraps(method)
        def call(*args, **options):
            before = pauses.random() < 0.5
            if before:
                perhaps_pause()
            try:
                return method(*args, **options)
            finally:
                if not before:
                    perhaps_pause()

        return call

    for owner, names in (
        (socket.socket, ("connect", "recv", "recv_into", "send", "sendall", "sendmsg", "shutdown", "close")),
        (threading.Thread, ("run",)),
        (threading.Event, ("set",)),
    ):
        for name in names:
            setattr(owner, name, slowed(getattr(owner, name)))

if SYSTEM in ("portable", "windows"):
    # In the locale C, Python 3.13 does not find an editable installation in a folder whose name is not ASCII.
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    sys.path.insert(0, root)
    from wsref.network import transport, waiting

    sys.path.remove(root)
    waiting.PER_CALL = transport.PER_CALL = False
