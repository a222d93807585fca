"""Seeing the wire: bytes to a description, and a description to text, SVG and HTML.

================  ========  ==============================================================
module            chapter   in one line
================  ========  ==============================================================
picture                     a description of bytes, and how it is drawn: text, SVG, HTML
describe          6         bytes to a description
trace                       every byte that passes, explained: ``--trace``
================  ========  ==============================================================
"""
