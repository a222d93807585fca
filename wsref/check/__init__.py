"""``python -m wsref check URL``: grade any WebSocket server, in any language; with ``--client``, any client.

How the grader works:

* A **case** sends something and knows the correct answers.  Its id begins with the chapter of
  the book that teaches the rule.  Its section names the RFC and the section of the rule.
* The **level** of a case says what a failure means.  MUST: the server breaks a sentence of an
  RFC, and the report quotes it.  Only a MUST failure sets the exit code to 1.  SHOULD: the RFC
  advises otherwise.  INTEROP: the server breaks no rule, but real clients expect otherwise.
* Legal behaviour passes, even if another behaviour is more common.  A server may refuse with
  any status from 400 to 599.  It may fail a connection by ending TCP without a Close ("SHOULD",
  §7.1.7).  It may decline compression and refuse version 8.  It may limit the size of
  messages (§10.4), if the limit is above 8 KiB.  It may limit the number of clients and of requests.
* The grader shares **no code** with the server in this package.  It has its own encoder and
  decoder (:mod:`~wsref.check.codec`), so one mistake cannot hide in both.
* The grader connects only to the URL from the command line.

The modules and packages, in the order in which to read them:

================  ========  ==============================================================
module            chapter   in one line
================  ========  ==============================================================
codec                       an encoder and a lenient decoder, for heads and frames
verdict                     the meaning of a failure, and the outcomes of a case
session                     TCP connections to the server, with deadlines and a record
case                        a case and its verdict
rule                        a rule of an RFC, and its cases
plays                       the plays of most cases: ways to send bytes and to judge answers
cases             1-11      the cases, one module a chapter; all of them, and ``select``
runner                      plays the cases, several at a time
clients                     the other half: a grader for clients, with its cases and its gallery
baseline                    the known failures of a server, in a file
report                      the report: for a terminal, HTML, Markdown, JSON, JUnit
gallery           1-11      a good server, and servers that are broken on purpose
================  ========  ==============================================================
"""

from .case import Case, Verdict
from .cases import CASES
from .runner import Capabilities, NotAnswering, Report, grade
from .session import Target, parse_target
from .verdict import Level, Outcome

__all__ = [
    "CASES",
    "Capabilities",
    "Case",
    "Level",
    "NotAnswering",
    "Outcome",
    "Report",
    "Target",
    "Verdict",
    "grade",
    "parse_target",
]
