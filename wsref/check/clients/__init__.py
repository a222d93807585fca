"""``python -m wsref check --client``: grade any WebSocket client, in any language.

The grader is the server here.  It shares the cases' form, the verdicts, the waits and the reports with
the rest of :mod:`wsref.check`, and no code with the client or the server of this package.

* A client needs no driver: ``--run 'COMMAND {url}'`` starts it for each case.  A driver opens ``/next?agent=NAME``
  until the message is ``done``, or speaks the protocol of Autobahn's fuzzing server.
* Legal behaviour passes.  A client may end TCP without a Close when it fails a connection, may decline
  compression, may answer only the last of several Pings, and may limit the size of messages above 8 KiB.
  It may send messages that answer nothing, and close connections by itself: the first connection shows it.

============  =======  ===================================================================
module        chapter  in one line
============  =======  ===================================================================
session                one connection of the client, its request, and the checks of a case
plays                  the rows of cases, and the plays of most of them
requests      1-3      the request
responses     1-5      the responses to accept or to refuse
frames        6        frames in both directions
messages      7        fragments, Pings, UTF-8
closing       8        closing from either side, and the end of TCP
compression   9        permessage-deflate
limits        11       long, slow and endless messages
cases                  all cases, and ``select``
autobahn               Autobahn's ids, behaviours and files
agents                 one client over all its connections
grader                 listens, and plays cases with the clients that connect
command                starts a command for every case
reference              a good client, to be broken by its subclasses
gallery                clients that are broken on purpose
============  =======  ===================================================================
"""
