"""The report of a run: for a terminal, as a page, for programs.

==========  ===============================================================
module      in one line
==========  ===============================================================
summary     the counts of each chapter, the conclusion, and colours
transcript  the bytes of a case, described and drawn by :mod:`wsref.wire`
text        the report for a terminal
html        the report as a page
json        the report for programs
junit       the report for CI systems
==========  ===============================================================

:mod:`wsref.wire` belongs to the server's side of this package.  It draws bytes here, and judges nothing.
"""

from .html import as_html
from .json import as_dict, case_as_dict
from .junit import as_junit
from .summary import CHAPTERS, Ansi
from .text import as_text

__all__ = ["CHAPTERS", "Ansi", "as_dict", "as_html", "as_junit", "as_text", "case_as_dict"]
