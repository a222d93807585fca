"""The report card: the page matches the results and the notes, and every failure has a note."""

from __future__ import annotations

import fnmatch
import json
import re
import socket
import sys
from pathlib import Path

import pytest

from wsref.check import CASES
from wsref.check.clients.cases import CLIENT_CASES, select

DOCS = Path(__file__).parents[1] / "docs"
sys.path.append(str(DOCS / "report_card"))

import autobahn_beside  # noqa: E402
import client_card  # noqa: E402
import peers  # noqa: E402
import report_card  # noqa: E402

RESULTS = json.loads(report_card.RESULTS.read_text("utf-8"))
NOTES = json.loads(report_card.NOTES.read_text("utf-8"))


def test_the_page_matches_the_results_and_the_notes():
    assert report_card.PAGE.read_text("utf-8") == report_card.whole_page(), "run report_card.py --page"


def test_the_results_are_of_these_cases():
    ids = set(RESULTS["ids"])
    assert RESULTS["ids"] == [case.id for case in CASES if case.id in ids], "run report_card.py"
    newer = [case.id for case in CASES if case.id not in ids]
    assert len(newer) <= 10, "run report_card.py: the page names the cases that it lacks, and they are many"
    for server in RESULTS["servers"]:
        assert {case["id"] for case in server["cases"]} <= ids
        counts = [count for level in server["summary"].values() for count in level.values()]
        assert sum(counts) == len(ids), server["name"]


def test_the_results_have_25_servers_in_8_languages():
    assert len(RESULTS["servers"]) >= 25
    assert len({server["language"].split()[0] for server in RESULTS["servers"]}) >= 8


def test_every_graded_server_is_in_the_table():
    table = {peer.key: peer for peer in peers.PEERS}
    assert len(table) == len(peers.PEERS), "two servers have one key"
    for server in RESULTS["servers"]:
        peer = table[server["key"]]
        assert (server["name"], server["language"], server["about"]) == (peer.name, peer.language, peer.about)


@pytest.mark.parametrize("peer", peers.PEERS, ids=lambda peer: peer.key)
def test_every_server_of_the_table_has_a_program_and_says_how_to_get_it(peer):
    assert (peers.SERVERS / peer.file).exists()
    assert peer.packages.split()[:1] in ([], ["pip"], ["npm"], ["apt"])
    assert "12345" in peers.start_command(peer, 12345)
    if peer.packages.startswith("npm"):
        listed = json.loads((peers.SERVERS / "package.json").read_text("utf-8"))
        assert peer.packages.split()[1] in {**listed["dependencies"], **listed["optionalDependencies"]}


def test_every_program_belongs_to_a_server():
    programs = {path.name for path in peers.SERVERS.iterdir() if path.is_file()}
    assert programs - {"package.json", "package-lock.json"} == {peer.file for peer in peers.PEERS}


def test_every_note_is_used():
    used = {
        report_card.note_for(server, case, NOTES)
        for server in RESULTS["servers"]
        for case in report_card.must_failures(server)
    }
    assert set(NOTES["cases"]) == used
    assert set(NOTES["servers"]) <= {server["key"] for server in RESULTS["servers"]}


def test_a_server_that_is_not_installed_is_skipped_and_named(monkeypatch, capsys):
    absent = peers.Peer("nowhere.py", "Nowhere", "Python", "apt wsref-has-no-such-package")
    monkeypatch.setattr(report_card, "PEERS", [absent])
    results = report_card.run({"ids": [], "servers": []})
    assert results["servers"] == []
    assert results["missing"] == {"Nowhere": "not installed"}
    assert "Nowhere: skipped: not installed" in capsys.readouterr().err


@pytest.mark.slow
def test_a_server_that_is_graded_alone_gets_the_cases_of_the_others(monkeypatch):
    played = []

    def grade_one(peer, cases):
        played.extend(case.id for case in cases)
        return {"key": peer.key, "version": "1", "summary": {"MUST": {"failed": 0}}, "cases": []}

    monkeypatch.setattr(report_card, "grade_one", grade_one)
    monkeypatch.setattr(report_card, "missing", lambda peer: "")
    old = {"ids": RESULTS["ids"][:5], "servers": RESULTS["servers"][:2]}
    results = report_card.run(old, [RESULTS["servers"][0]["key"]])
    assert played == results["ids"] == old["ids"]
    assert results["servers"][1:] == old["servers"][1:]


def test_a_server_starts_on_loopback_and_its_end_frees_the_port():
    [own] = [peer for peer in peers.PEERS if peer.key == "wsref"]
    with peers.started(own) as port:
        assert peers.missing(own) == ""
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), 5)


def test_servers_are_sorted_by_their_share_and_the_longest_bar_is_the_last():
    page = report_card.PAGE.read_text("utf-8").partition("## How to read it")[0]
    rows = [line for line in page.splitlines() if line.startswith("| <a")]
    widths = [float(row.partition('<svg width="')[2].partition('"')[0]) for row in rows]
    assert len(rows) == len(RESULTS["servers"])
    assert widths[1:] == sorted(widths[1:])
    assert widths[-1] == report_card.BAR


def test_a_must_failure_without_a_note_stops_the_page():
    with pytest.raises(ValueError, match=r"notes\.json has no note on it"):
        report_card.render(RESULTS, {**NOTES, "cases": {}})


def test_a_failure_that_the_replay_did_not_reproduce_stops_the_page():
    server = json.loads(json.dumps(RESULTS["servers"][-1]))
    report_card.must_failures(server)[0]["again"] = False
    with pytest.raises(ValueError, match="differed in the replay over a plain socket"):
        report_card.render({**RESULTS, "servers": [server]}, NOTES)


def test_bytes_are_compared_without_their_dates(serve):
    server = serve()
    port = server.server_address[1]
    plain = b"GET / HTTP/1.1\r\nHost: a\r\nAccept: text/plain\r\n\r\n"
    first = b"HTTP/1.1 426 Upgrade Required\r\nDate: Thu, 01 Jan 2026 12:00:00 GMT\r\n"
    assert report_card.same_again(port, [(True, plain), (False, first)]) is True
    assert report_card.same_again(port, [(True, plain), (False, b"HTTP/1.1 200 OK\r\n")]) is False
    assert report_card.same_again(port, [(True, b"x" * report_card.MAX_RECORDED), (False, first)]) is None


CLIENTS = json.loads(client_card.RESULTS.read_text("utf-8"))
CLIENT_NOTES = json.loads(client_card.NOTES.read_text("utf-8"))


class TestClients:
    """The second table"""

    def test_the_results_are_of_these_cases(self):
        assert CLIENTS["ids"] == [case.id for case in CLIENT_CASES], "run client_card.py"
        for client in CLIENTS["clients"]:
            counts = [count for level in client["summary"].values() for count in level.values()]
            assert sum(counts) == len(CLIENTS["ids"]), client["name"]

    def test_seventeen_clients_are_graded_and_ours_break_no_must(self):
        failed = {client["key"]: client["summary"]["MUST"]["failed"] for client in CLIENTS["clients"]}
        assert len(failed) >= 17
        assert failed["wsref"] == failed["step"] == 0

    def test_every_graded_client_is_in_the_table_and_its_levels_are_those_of_the_cases(self):
        table = {peer.key: peer for peer in client_card.CLIENTS}
        levels = {case.id: case.level.value for case in CLIENT_CASES}
        for client in CLIENTS["clients"]:
            peer = table[client["key"]]
            assert (client["name"], client["language"], client["about"]) == (peer.name, peer.language, peer.about)
            assert [case for case in client["cases"] if case["level"] != levels[case["id"]]] == [], client["name"]
            for level, counts in client["summary"].items():
                assert sum(counts.values()) == list(levels.values()).count(level), client["name"]

    @pytest.mark.parametrize("peer", client_card.CLIENTS, ids=lambda peer: peer.key)
    def test_every_client_of_the_table_says_how_to_get_and_start_it(self, peer, tmp_path):
        assert peer.manager in ("", "pip", "npm", "apt")
        assert "ws://a" in client_card.command(peer, tmp_path, "ws://a")
        assert not any("{" in word for word in client_card.command(peer, tmp_path, "ws://a"))

    def test_a_client_that_cannot_be_installed_says_why_and_leaves_no_folder(self, tmp_path):
        peer = client_card.Peer("x", "X", "Python", "", "pip wsref-x", "curl.py", python="wsref-has-no-such-python")
        assert "wsref-has-no-such-python" in client_card.install_one(peer, tmp_path)
        assert client_card.missing(peer, tmp_path) == "not installed"

    def test_a_program_that_does_not_compile_says_so(self, tmp_path, monkeypatch):
        peer = client_card.Peer("x", "X", "Go", "", "apt dpkg", "gorilla.go")
        monkeypatch.setitem(peers.BUILD, ".go", "echo cannot compile {file}; exit 1")
        assert client_card.install_one(peer, tmp_path).startswith("cannot compile ")
        assert client_card.missing(peer, tmp_path) == "not installed"

    def test_every_note_is_used(self):
        rows = [{**client, "key": f"client-{client['key']}"} for client in CLIENTS["clients"]]
        used = {
            report_card.note_for(row, case, CLIENT_NOTES) for row in rows for case in report_card.must_failures(row)
        }
        assert set(CLIENT_NOTES["cases"]) == used
        assert set(CLIENT_NOTES["servers"]) <= {row["key"] for row in rows}

    def test_a_must_failure_without_a_note_stops_the_page(self):
        with pytest.raises(ValueError, match="no note on it"):
            client_card.section(CLIENTS, {**CLIENT_NOTES, "cases": {}})

    def test_every_program_belongs_to_a_client(self):
        programs = {path.name for path in client_card.PROGRAMS.iterdir() if path.is_file()}
        assert programs == {peer.file for peer in client_card.CLIENTS}

    def test_a_client_is_played_until_it_is_done(self, tmp_path):
        (own,) = [peer for peer in client_card.CLIENTS if peer.key == "step"]
        report = client_card.play(own, tmp_path, select(only=["c4.accept.wrong", "c6.length.126"]))
        assert [verdict.outcome.value for verdict in report.verdicts] == ["pass", "pass"]

    def test_a_client_that_is_not_installed_is_named(self, tmp_path):
        results = client_card.run({"ids": [], "clients": []}, tmp_path, ["ws", "tornado"], 1)
        assert results["missing"] == {"tornado": "not installed", "ws": "not installed"}


AUTOBAHN = json.loads(autobahn_beside.RESULTS.read_text("utf-8"))


def section(**servers):
    """The part of the page about Autobahn; for these servers, with another list of cases."""
    rows = [{**row, "cases": servers.get(row["key"], row["cases"])} for row in AUTOBAHN["servers"]]
    return autobahn_beside.section({**AUTOBAHN, "servers": rows}, RESULTS["servers"], NOTES)


class TestAutobahn:
    """What Autobahn finds in three of the servers"""

    def test_three_servers_and_wsref_have_played_the_same_cases_in_the_graded_versions(self):
        assert [row["key"] for row in AUTOBAHN["servers"]] == list(autobahn_beside.SERVERS)
        assert len(autobahn_beside.SERVERS) == 4
        graded = {server["key"]: server["version"] for server in RESULTS["servers"]}
        assert {row["key"]: row["version"] for row in AUTOBAHN["servers"]}.items() <= graded.items()
        assert len({sum(row["counts"].values()) for row in AUTOBAHN["servers"]}) == 1
        assert AUTOBAHN["played"] == autobahn_beside.CASES, "run autobahn_beside.py"

    def test_every_verdict_but_ok_is_stored(self):
        for row in AUTOBAHN["servers"]:
            verdicts = [case["verdict"] for case in row["cases"]]
            counts = {verdict: verdicts.count(verdict) for verdict in row["counts"] if verdict != "OK"}
            assert counts == {verdict: count for verdict, count in row["counts"].items() if verdict != "OK"}
            assert [case for case in row["cases"] if "OK" == case["verdict"] == case["close"]] == []

    def test_every_note_is_used(self):
        used = {
            report_card.note_for(row, case, {"cases": NOTES["autobahn"]})
            for row in AUTOBAHN["servers"]
            for case in row["cases"]
        }
        assert used == set(NOTES["autobahn"])
        assert [note for note in NOTES["beside-autobahn"] if f"\n`{note.split()[0]}`" not in section()] == []

    def test_a_case_that_a_note_names_is_a_case(self):
        known = {case.id for case in CASES}
        named = re.findall(r"`(\d+\.[a-z][^`]*)`", " ".join(NOTES["autobahn"].values()))
        assert len(named) >= 8
        assert [name for name in named if not fnmatch.filter(known, name)] == []

    def test_a_verdict_without_a_note_stops_the_page(self):
        new = {"id": "99.1", "verdict": "FAILED", "close": "OK", "code": 1000, "why": "It is new"}
        with pytest.raises(ValueError, match=r"ws fails 99\.1 \(It is new\)"):
            section(ws=[new])

    def test_only_a_close_that_names_a_limit_is_one(self):
        large = {"id": "9.1.6", "verdict": "FAILED", "close": "FAILED", "why": ""}
        page = section(ws=[{**large, "code": code} for code in (1008, 1009, 1011, None)])
        assert "</a> 8.23.0 | 4 | 2 | " in page

    def test_the_files_of_the_suite_are_read(self, tmp_path):
        report = {"description": "Send a <b>Ping</b><br>or not.", "result": "No.", "resultClose": "Not clean."}
        verdicts = {"2.5": ("FAILED", "OK"), "10.1.1": ("OK", "UNCLEAN"), "1.1.1": ("OK", "OK")}
        index = {}
        for name, (verdict, close) in verdicts.items():
            index[name] = {"behavior": verdict, "behaviorClose": close, "remoteCloseCode": 1000, "reportfile": name}
            (tmp_path / name).write_text(json.dumps(report))
        (tmp_path / "index.json").write_text(json.dumps({"ws": index}))
        read = autobahn_beside.read(tmp_path, "ws")
        assert read["counts"] == {"FAILED": 1, "OK": 2}
        assert [(case["id"], case["why"]) for case in read["cases"]] == [
            ("2.5", "Send a Ping  No."),
            ("10.1.1", "Send a Ping  Not clean."),
        ]
