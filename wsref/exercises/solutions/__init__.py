"""The learner's files with everything solved.  The stubs are these files without the bodies.

======  ========  ======================
module  chapter   in one line
======  ========  ======================
ch00    0         the client
ch01    1         an HTTP base
ch02    2         upgrade detection
ch03    3         validation
ch04    4         ``complete_upgrade``
ch05    5         the 426 fallback
ch06    6         frames
ch07    7         messages
ch08    8         closing
ch09    9         compression
ch10    10        many clients
ch11    11        out in the world
======  ========  ======================
"""
