"""Floor 8: ``python -m wsref check URL``: grade any WebSocket server, in any language.

What the grader goes by:

* A **case** sends something and knows which answers are right.  Its id begins with the
  chapter of the tutorial that teaches the rule, its section says where the rule stands.
* Its **level** says what a failure means.  MUST: a sentence of an RFC is broken, and one
  can quote it; only these make the exit code 1.  SHOULD: the RFC advises otherwise.
  INTEROP: no rule is broken, but clients in the field expect otherwise.
* What is legal passes, even where another behaviour is more usual: a server may refuse
  with any status from 400 to 599, may fail a connection by ending TCP without a Close
  ("SHOULD", §7.1.7), may decline compression, may refuse version 8, may have a limit for
  messages (§10.4), if it is above 8 KiB.
* It shares **no code** with the server in this package: it has an encoder and a decoder
  of its own (:mod:`~wsref.check.codec`), so that one mistake cannot hide in both.
* It speaks to the one URL that it was given.

The modules, in the order in which to read them:

============  ==============================================================
codec         an encoder and a lenient decoder, for heads and frames
case          what a case is, and its verdict
peer          a TCP connection to the server, with deadlines and a memory
plays         what happens in most cases: a few verbs
http_base     the cases of chapter 1
opening       ... of chapters 2 to 5
frames        ... of chapter 6
messages      ... of chapter 7
closing       ... of chapter 8
compression   ... of chapter 9
world         ... of chapters 10 and 11
cases         all of them, and how to choose some
runner        plays them, several at a time, and ends
report        what came out: for a terminal, JSON, JUnit
html_report   ... and as a page
gallery       a good server, to be broken
broken        those that are, on purpose: find the bug
command       the command line
============  ==============================================================
"""

from .case import Case, Level, Outcome, Verdict
from .cases import CASES
from .peer import Target, parse_target
from .runner import Found, NotAnswering, Report, grade

__all__ = [
    "CASES",
    "Case",
    "Found",
    "Level",
    "NotAnswering",
    "Outcome",
    "Report",
    "Target",
    "Verdict",
    "grade",
    "parse_target",
]
