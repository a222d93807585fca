"""The report of a run: for a terminal, as a page, for programs.

==========  ===============================================================
module      in one line
==========  ===============================================================
summary     the counts of each chapter, the conclusion, and colours
causes      failures grouped by their probable cause
transcript  the bytes of a case, described and drawn by :mod:`wsref.wire`
text        the report for a terminal
markdown    the summary of a CI job
html        the report as a page
json        the report for programs
junit       the report for CI systems
==========  ===============================================================

:mod:`wsref.wire` belongs to the server's side of this package.  It draws bytes here, and judges nothing.
"""

from ..codec import printable
from .html import as_html
from .json import as_dict, case_as_dict
from .junit import as_junit
from .markdown import as_markdown
from .summary import CHAPTERS, Ansi, plural
from .text import Style, as_text

__all__ = [
    "CHAPTERS",
    "Ansi",
    "Style",
    "as_dict",
    "as_html",
    "as_junit",
    "as_markdown",
    "as_text",
    "case_as_dict",
    "plural",
    "printable",
]
