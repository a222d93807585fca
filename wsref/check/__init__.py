"""``python -m wsref check URL``: grade any WebSocket server, in any language.

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

================  ========  ==============================================================
module            chapter   in one line
================  ========  ==============================================================
codec                       an encoder and a lenient decoder, for heads and frames
verdict                     what a failure means, and how a case ends
peer                        a TCP connection to the server, with deadlines and a memory
case                        what a case is, and its verdict
plays                       what happens in most cases: a few verbs
http_base         1         the cases of chapter 1
opening           2-5       the cases of chapters 2 to 5
frames            6         the cases of chapter 6
messages          7         the cases of chapter 7
closing           8         the cases of chapter 8
compression       9         the cases of chapter 9
world             10, 11    the cases of chapters 10 and 11
cases                       all of them, and how to choose some
runner                      plays them, several at a time, and ends
report                      what came out: for a terminal, JSON, JUnit
html_report                 what came out, as a page
gallery                     a good server, to be broken
broken_opening    1-5       servers that are broken on purpose: the opening handshake
broken_frames     6-11      servers that are broken on purpose: what comes after it
broken                      all broken servers, by name
================  ========  ==============================================================
"""

from .case import Case, Verdict
from .cases import CASES
from .peer import Target, parse_target
from .runner import Found, NotAnswering, Report, grade
from .verdict import Level, Outcome

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
