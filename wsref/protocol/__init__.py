"""The protocol, without I/O: bytes in, events out.  No module here uses a socket or a clock.

In the order in which to read them; each module imports only from those above it.  For the
first reading leave out ``extensions``, ``deflate``, ``origin``, ``url`` and
``client_handshake``.

================  ========  ==============================================================
module            chapter   in one line
================  ========  ==============================================================
spec                        every number that the RFCs fix, with its section
limits            11        every number that is our choice, with its precedent
errors                      what a peer can do wrong, each with the answer it gets
extensions        9         Sec-WebSocket-Extensions: offers and their parameters
http11            1         just enough HTTP/1.1: bytes to Request, Response to bytes
handshake         2-5       a request to a 101, to a refusal that says why, or to a 426
masking           6         the mask: every byte XORed with one of four
frames            6         frames: the bits, the lengths, the masking key
messages          7         fragments to whole str and bytes, UTF-8 checked on arrival
closing           8         the closing handshake: states, the Close payload, its codes
deflate           9         permessage-deflate: one message in, one message out
connection        6-9       all of that as one endpoint: bytes in, events out; Ping and Pong
origin            11        which page may connect: the Origin header
url               0         the URL of a WebSocket
client_handshake  0         the client's request, and its check of the response
================  ========  ==============================================================
"""
