"""The protocol, without I/O: bytes in, events out.  Nothing here touches a socket or a thread.

In the order in which to read them; each module imports only from those above it.

================  ========  ==============================================================
module            chapter   in one line
================  ========  ==============================================================
spec                        every number that the RFCs fix, with its section
limits                      every number that is our choice, with its precedent
errors                      what a peer can do wrong, each with the answer it deserves
http11            1         just enough HTTP/1.1: bytes to Request, Response to bytes
deflate           9         permessage-deflate: one message in, one message out
handshake         2-5, 11   a request to a 101, or to a refusal that says why
frames            6         frames: the bits, the lengths, the masking key
messages          7         fragments to whole str and bytes, UTF-8 checked on arrival
closing           8         the closing handshake: states, the Close payload, its codes
connection        6-9       all of that as one endpoint: bytes in, events out
================  ========  ==============================================================
"""
