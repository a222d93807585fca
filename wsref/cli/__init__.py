"""``python -m wsref``: the command line, one module for each command.

================  ========  ==============================================================
module            chapter   in one line
================  ========  ==============================================================
terminal                    what the commands share: colour, the log, the trace
serve             1-11      ``python -m wsref serve``: the demo server
conversation      0         messages between ``connect`` and a pipe
prompt            0         messages between ``connect`` and a terminal
connect           0         ``python -m wsref connect``: a client to type at, and for scripts
pasted                      what a reader makes of a paste: its bytes, and how it read them
digits                      digits alone: hex, binary digits, base64
literals                    strings with escapes
lists                       lists of numbers, JSON
dumps                       dumps: offsets, bytes and letters
transcripts                 the output of curl -v, DevTools and strace
packets                     packets, and the bytes of TCP in them
captures                    pcap and pcapng files
forms                       any paste or file to bytes: the readers, in order
decode                      ``python -m wsref decode``: pasted bytes, drawn
check_options               the options of ``check``, and its help
report_files                the files of ``check``, and its progress line
check_clients               ``check --client``: serve the cases for clients
check             1-11      ``python -m wsref check``: grade a server
exercise          0-11      ``python -m wsref exercise``: the exercises of the book
main                        the parser, and :func:`main`
================  ========  ==============================================================
"""
