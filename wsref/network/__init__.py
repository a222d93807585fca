"""Sockets and threads: what carries the protocol's bytes, for a server and for a client.

In the order in which to read them.  For the first reading leave out ``tls``, ``tap``,
``overload``, ``subclassing``, ``dialing`` and ``client``.

================  ========  ==============================================================
module            chapter   in one line
================  ========  ==============================================================
log                         the log, which ends no connection and no loop
arguments                   wrong arguments are refused, and named
waiting                     wait until sockets can be read or written, on every system
send_queue        10        frames that a client does not take at once
transport         8, 10-11  the only code that touches a connected socket: deadlines, one writer
tls               11        TLS over it, safe for two threads
tap                         a transport that shows the bytes that pass
backlog           10        one thread that writes to all clients that do not keep up
overload          10        a thread for each connection, and an answer for too many
channel           8, 10     an open connection: send, read, keep-alive, close; for server and client
server            10        accepts connections, knows them, broadcasts, ends them
subclassing       10        what a subclass of the handler may override, and what not
handler           1-11      one connection; ``handle()`` is the contents page
dialing           0         a client's way to a WebSocket: address, TCP, TLS, the response
client            0         the browser's ``WebSocket``, for Python
================  ========  ==============================================================
"""
