"""The exercises of chapter 11."""

from __future__ import annotations

import ch11
import pytest

import wsref


def test_who_has_a_ticket_comes_in_and_nobody_else(serve):
    url = serve(ch11.Ticketed).url
    with wsref.connect(f"{url}/?ticket={ch11.Ticketed.ticket.decode()}") as ws:
        ws.send("hi")
        assert ws.recv() == "hi"
    for query in ("", "?ticket=", "?ticket=wrong", "?ticket=%C3%A9"):
        with pytest.raises(wsref.HandshakeFailed, match="403"):
            wsref.connect(f"{url}/{query}")


def test_origins_are_written_as_browsers_write_them(serve):
    url = serve(ch11.Ticketed, allowed_origins=ch11.origins("app.example", [443])).url
    ticket = f"{url}/?ticket={ch11.Ticketed.ticket.decode()}"
    wsref.connect(ticket, origin="https://app.example").close()
    with pytest.raises(wsref.HandshakeFailed, match="403"):
        wsref.connect(ticket, origin="https://app.example.evil")
