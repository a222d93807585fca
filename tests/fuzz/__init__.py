"""Fuzzing: random and mutated bytes, and what must hold for all of them.

=================  =============================================================
module             in one line
=================  =============================================================
targets            one function for each parser: it feeds bytes and asserts
differential       the same frames to two other implementations
mutator            random changes of inputs, and the corpus in its files
run                the command: rounds with atheris or with the mutator
=================  =============================================================
"""
