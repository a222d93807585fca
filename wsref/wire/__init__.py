"""The bytes of a connection, explained and drawn.

=================  ========  =============================================================
module             chapter   in one line
=================  ========  =============================================================
words                        bytes and numbers as words: quoted, counted, wrapped
parts                        the parts of a description: fields, payload, steps, problems
colours                      one colour for each kind of field
layout                       what the pictures share: bits in rows of 32, dumps, remarks
text                         a description drawn for a terminal
svg                          a description drawn as SVG, for a page or a file
html                         a description as HTML, for notebooks
description                  a description that draws itself
describe_header    6         the header of a frame: fields, broken rules, missing bytes
describe_messages  7-9       messages: fragments, text, compression, the payload of a Close
describe_frames    6-9       the frames of one direction
describe_http      1-4       the heads of the opening handshake
describe                     any bytes to descriptions: the entry point
trace                        both directions of a connection, on a terminal or in a file
=================  ========  =============================================================
"""
