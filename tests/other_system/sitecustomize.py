"""Take away what CPython has on Linux and not elsewhere, before a program starts.

``WSREF_TEST_SYSTEM=portable``: sockets that do not block, as on macOS.
``WSREF_TEST_SYSTEM=windows``: also without what CPython lacks on Windows.  It is not Windows:
files, processes and terminals are still those of this system.

``tests/conftest.py`` imports it, and puts this folder on the PYTHONPATH of the tests' programs.
Plugins of pytest and hypothesis need what is missing: give ``-p no:anyio`` and
``HYPOTHESIS_NO_PLUGINS=1``.
"""

import builtins
import os
import select
import signal
import socket
import sys

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

if SYSTEM:
    # In the locale C, Python 3.13 does not find an editable installation in a folder whose name is not ASCII.
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    sys.path.insert(0, root)
    from wsref.network import transport, waiting

    sys.path.remove(root)
    waiting.PER_CALL = transport.PER_CALL = False
