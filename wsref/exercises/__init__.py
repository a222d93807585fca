"""The exercises of the book: stubs to fill in, checks, and solutions.

``python -m wsref exercise N`` writes the stubs of a chapter to a file, and checks the learner's
code in it.  A solution is a function or class in ``solutions``; its docstring is the task, and the
stub is the solution without its body.  The check of ``read_head`` is ``check_read_head``.  Both use
only the public names of wsref, like any program.

=========  ========  ======================================================
module     chapter   in one line
=========  ========  ======================================================
solutions            the finished files, one for each chapter
expect               the words of a check: call, compare, serve, receive
ch00       0         the client
ch01       1         an HTTP base
ch02       2         upgrade detection
ch03       3         validation
ch04       4         ``complete_upgrade``
ch05       5         the 426 fallback
ch06       6         frames
ch07       7         messages
ch08       8         closing
ch09       9         compression
ch10       10        many clients
ch11       11        out in the world
stubs                the stubs made from them, and the learner's files
runner               the checks of a file, each in its own process
=========  ========  ======================================================
"""
