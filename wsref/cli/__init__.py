"""``python -m wsref``: the command line, one module for each command.

================  ========  ==============================================================
module            chapter   in one line
================  ========  ==============================================================
terminal                    what the commands share: colour or not, the log
connect           0         ``python -m wsref connect``: a client to type at
decode                      ``python -m wsref decode``: a paste to a picture
check             1-11      ``python -m wsref check``: grade a server
main              1-11      ``python -m wsref serve``, and the command line itself
================  ========  ==============================================================
"""
