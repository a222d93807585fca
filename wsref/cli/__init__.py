"""``python -m wsref``: the command line, one module for each command.

================  ========  ==============================================================
module            chapter   in one line
================  ========  ==============================================================
terminal                    what the commands share: colour, the log, the trace
serve             1-11      ``python -m wsref serve``: the demo server
conversation      0         messages between ``connect`` and a pipe
prompt            0         messages between ``connect`` and a terminal
connect           0         ``python -m wsref connect``: a client to type at, and for scripts
decode                      ``python -m wsref decode``: pasted bytes, drawn
check_options               the options of ``check``, and its help
report_files                the files of ``check``, and its progress line
check_clients               ``check --client``: serve the cases for clients
check             1-11      ``python -m wsref check``: grade a server
exercise          0-11      ``python -m wsref exercise``: the exercises of the book
main                        the parser, and :func:`main`
================  ========  ==============================================================
"""
