"""The code that one connection runs, as the book shows it: ``docs/_ext/wsbook/walk.py``."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "docs" / "_ext"))

from wsbook import walk  # noqa: E402  (no Sphinx in it)

PAGE = ROOT / "docs" / "explanation" / "one-connection.md"


@pytest.fixture(scope="module")
def pieces():
    return walk.pieces()


def test_a_first_reading_is_at_most_1300_lines_of_code(pieces):
    numbers = [(ROOT / "wsref" / "protocol" / f"{name}.py").read_text("utf-8") for name in ("spec", "limits")]
    assert 900 < sum(map(walk.code_lines, [*(piece.code for piece in pieces), *numbers])) <= 1300


def test_every_line_is_in_its_file(pieces):
    for piece in pieces:
        lines = {line.rstrip() for line in piece.path.read_text("utf-8").split("\n")} | {'"""'}
        headers = {line.partition("  #")[0] for line in lines}
        for line in piece.code.split("\n"):
            header = line.partition(" ...")[0]  # of a branch that did not run
            assert line in lines or header in headers or line.strip() in ("...", '"""') or line[:-3] in lines, line


@pytest.mark.parametrize(
    ("part", "names"),
    [
        ("server", {"WebSocketServer.__init__", "WebSocketServer.process_request", "ConnectionThreads.start"}),
        ("setup", {"WebSocketHandler.setup", "Transport.__init__"}),
        ("handle", {"WebSocketHandler.handle"}),
        ("_read_request", {"find_end_of_head", "parse_head", "Request", "HEADER_LINE"}),
        ("_wants_upgrade", {"wants_upgrade"}),
        ("_validate", {"validate", "Rule", "RULES", "_key"}),
        ("_complete_upgrade", {"complete_upgrade", "accept_key", "Transport.send"}),
        ("_converse", {"WebSocketHandler._run_hooks", "Channel.__init__", "Closed"}),
        ("read", {"Channel.read", "Connection.receive"}),
        ("next_event", {"parse_header", "apply_mask", "Assembler.add", "parse_close_payload", "TRANSITIONS"}),
        ("on_message", {"WebSocketHandler.send", "Channel.send", "build_header"}),
        ("reply", {"Channel.reply"}),
        ("_finish_close", {"Channel.finish_close"}),
        ("finish", {"Transport.close_gracefully"}),
        ("_abort_handshake", {"refusal", "answer"}),
        ("_fallback", {"upgrade_required", "prefers_html"}),
    ],
)
def test_each_part_has_what_its_chapter_is_about(pieces, part, names):
    assert names <= {piece.name for piece in pieces if piece.part == part}


def test_what_does_not_run_is_left_out(pieces):
    names = {piece.name for piece in pieces}
    assert names.isdisjoint({"frame_too_long", "BacklogWriter.start_batch", "Transport.send_nowait", "parse_response"})
    (header,) = (piece.code for piece in pieces if (piece.name, piece.path.stem) == ("parse_header", "frames"))
    assert "    if opcode is None: ...\n" in header
    assert "reserved" not in header


def test_the_page_shows_each_part():
    page = PAGE.read_text("utf-8")
    assert [part for part in walk.PARTS if f"```{{walk}} {part}\n" not in page] == []
