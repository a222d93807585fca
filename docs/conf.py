"""How Sphinx builds the book.  ``python docs/build.py`` runs it."""

import os
import sys
import zlib
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE / "_ext")]

from wsbook import look  # noqa: E402

import wsref  # noqa: E402

project = "wsref"
author = "the wsref authors"
copyright = "the wsref authors; MIT licence"
version = release = wsref.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.doctest",
    "sphinx.ext.intersphinx",
    "sphinx_argparse_cli",
    "sphinx_copybutton",
    "sphinxext.opengraph",
    "wsbook",
]
exclude_patterns = ["_build", "_ext", "_static", "README.md", "**/node_modules", "report_card/installed"]
smartquotes = False  # quotation marks here are often those of code
nitpicky = True
nitpick_ignore = [
    ("py:class", "argparse._SubParsersAction"),  # private: argparse has no other name for it
    ("py:class", "zlib._Compress"),  # private too: what zlib.compressobj returns
    # Attributes of an object that its class describes in a comment, not in a docstring:
    ("py:attr", "closed"),
    ("py:attr", "over"),
    ("py:attr", "remaining"),
    ("py:attr", "Transport.write_lock"),
    ("py:meth", "next_event"),  # inherited: of Connection, from a docstring of FastConnection
    ("py:class", "wsref.network.server.Handler"),  # a type variable
    ("py:class", "Handler"),  # a type variable
    ("py:class", "wsref.check.clients.autobahn.AnyCase"),  # a type variable
    ("py:class", "wsref.check.rule.AnyRule"),  # a type variable
]

# -- Pages --------------------------------------------------------------------------

myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # wsbook.labs has executed them
nb_render_markdown_format = "myst"
copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True
copybutton_exclude = ".linenos, .gp, .go, .unfold"

# -- The API ------------------------------------------------------------------------

autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "ignore-module-all": True}
autodoc_typehints = "signature"
autodoc_class_signature = "mixed"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_attr_annotations = False  # the signature has the types
napoleon_custom_sections = ["Cost", "Source"]
python_use_unqualified_type_names = True

# Links into Python's own documentation, without asking the network what is there: the few
# names that our docstrings use are in stdlib.txt, in the form of Sphinx's inventories.
_INVENTORY = HERE / "_build" / "stdlib.inv"
_HEAD = "# Sphinx inventory version 2\n# Project: Python\n# Version: 3\n# The remainder is compressed using zlib.\n"
_lines = [line for line in (HERE / "stdlib.txt").read_text("utf-8").splitlines() if line and not line.startswith("#")]
_INVENTORY.parent.mkdir(exist_ok=True)
_INVENTORY.write_bytes(_HEAD.encode() + zlib.compress("".join(f"{line}\n" for line in _lines).encode()))
intersphinx_mapping = {"python": ("https://docs.python.org/3", str(_INVENTORY))}
intersphinx_disabled_reftypes = ["std:*"]

# -- Doctests -------------------------------------------------------------------------

# Those of the docstrings are the test suite's; here only what the pages say is run.
doctest_test_doctest_blocks = ""
doctest_global_setup = "from wsref import *"

# -- HTML -----------------------------------------------------------------------------

html_baseurl = os.environ.get("WSREF_BOOK_URL", "")  # where the book is published, with a "/" at the end

html_theme = "furo"
html_title = "wsref"
html_static_path = ["_static"]
html_css_files = ["book.css"]
html_js_files = [("book.js", {"defer": "defer"})]
html_favicon = html_logo = "_static/mark.svg"  # docs/screenshots.py takes it from the page
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_split_index = True  # a page for each letter: one page would be 280 KB
html_theme_options = {
    "navigation_with_keys": True,
    "top_of_page_buttons": [],
    "light_css_variables": look.LIGHT,
    "dark_css_variables": look.DARK,
}
pygments_style = "a11y-high-contrast-light"  # of the package that furo brings; a test computes the contrast
pygments_dark_style = "a11y-high-contrast-dark"

# -- The card that a link to a page shows elsewhere -------------------------------------

ogp_site_url = html_baseurl  # "": the address of the picture is relative, and services ignore it
ogp_image = "_static/card.png"  # docs/screenshots.py draws it
ogp_image_alt = "wsref.  Write a WebSocket server, and see every byte."
ogp_social_cards = {"enable": False}
ogp_custom_meta_tags = [
    '<meta property="og:image:width" content="1200" />',
    '<meta property="og:image:height" content="630" />',
    '<meta name="twitter:card" content="summary_large_image" />',
]
