"""Optional reading: what is only faster.

Each class here does what a plain one does, and tests compare the two.
:mod:`wsref.network.channel` and :mod:`wsref.network.server` choose these; put the plain ones
in their place, and everything works as before.

================  ========  ==============================================================
module            chapter   in one line
================  ========  ==============================================================
connection        6-9       short messages and whole frames, with less work for each
threads           10        threads that take one connection after another
================  ========  ==============================================================
"""
