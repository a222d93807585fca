"""Sockets and threads: what carries the protocol's bytes, for a server and for a client.

================  ========  ==============================================================
module            chapter   in one line
================  ========  ==============================================================
transport         10, 11    the only code that touches a connected socket: TCP, TLS, deadlines
server            1-11      threads and hooks; ``handle()`` is the contents page
client            0         the browser's ``WebSocket``, for Python
================  ========  ==============================================================
"""
