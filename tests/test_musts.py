"""The rules that no other file tests, and the tables that trace each rule and each threat.

``docs/reference/musts/*.toml`` ties a sentence of an RFC to the code that obeys it and to the tests that
prove it; ``docs/reference/threats.toml`` does so for threats.
"""

from __future__ import annotations

import ast
import contextlib
import doctest
import importlib
import importlib.util
import random
import re
import socket
import ssl
import sys
import threading
import zlib
from dataclasses import fields, replace
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
from conftest import DEADLINE, require, wait_until
from rawclient import connected, frame, upgrade
from vectors import unframe

from wsref import Compression, Connection, HTTPError, Limits, Message, Role, connect
from wsref.check import CASES
from wsref.check.cases import LARGE_CASES
from wsref.check.clients.cases import CLIENT_CASES
from wsref.check.verdict import Level
from wsref.cli.serve import tls_context
from wsref.protocol.client_handshake import HandshakeFailed, build_handshake, check_response
from wsref.protocol.deflate import TAIL, DeflateParameters, Deflater, accept_response, build_offer
from wsref.protocol.extensions import parse_extensions
from wsref.protocol.handshake import accept_key, refusal, upgrade_required
from wsref.protocol.http11 import Headers, Request, Response, build_response, parse_response
from wsref.protocol.url import parse_url

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "wsref"
sys.path.insert(0, str(ROOT / "docs" / "_ext"))

from wsbook import traced  # noqa: E402  (no Sphinx in it)

ROLES = [Role.SERVER, Role.CLIENT]

#: Text that has no repetition within itself, so that a reference to it shows.
NOISE = random.Random(5).randbytes(100_000)


# -- The rules ----------------------------------------------------------------------


class TestHTTP:
    """RFC 9112 §6, RFC 9110 §6.6.1, RFC 6585 §5"""

    @pytest.mark.parametrize(
        "other", [b"", upgrade().partition(b"\r\n")[2].removesuffix(b"\r\n")], ids=["plain", "upgrade"]
    )
    @pytest.mark.parametrize(
        "lines",
        [
            b"Content-Length: -1",
            b"Content-Length: +5",
            b"Content-Length: 1_0",
            b"Content-Length: 0x5",
            b"Content-Length: 5 5",
            b"Content-Length:",
            b"Content-Length: 5, 6",
            b"Content-Length: 5\r\nContent-Length: 6",
            b"Content-Length: 5\r\nContent-Length: x",
            b"Content-Length: \xb2",
            b"Transfer-Encoding: gzip",
            b"Transfer-Encoding: chunked, gzip",
            b"Transfer-Encoding: chunkedd",
            b"Transfer-Encoding:",
            b"Transfer-Encoding: gzip\r\nContent-Length: 5",
        ],
    )
    def test_a_request_whose_length_is_not_known_gets_400_and_the_connection_ends(self, serve, lines, other):
        head = b"POST" if not other else b"GET"
        with connected(serve(), None) as client:
            host = b"" if other else b"Host: h\r\n"
            client.send(head + b" / HTTP/1.1\r\n" + host + other + lines + b"\r\n\r\n")
            data = client.rest()
        response, _ = parse_response(data)
        assert response.status == 400
        assert response.headers.elements("Connection") == ["close"]
        assert b"RFC 9112 \xc2\xa76.3" in data

    @pytest.mark.parametrize(
        "lines", [b"Content-Length: 0", b"Content-Length: 3, 3", b"Transfer-Encoding: gzip, Chunked"]
    )
    def test_a_request_whose_length_is_known_is_answered_as_any_other(self, serve, lines):
        with connected(serve(), None) as client:
            client.send(b"POST / HTTP/1.1\r\nHost: h\r\n" + lines + b"\r\n\r\n")
            assert client.head().startswith("HTTP/1.1 426 ")

    def test_headers_that_no_rule_names_change_nothing(self, serve):
        more = {"X_Anything": "x", "Cookie": "a=b", "Priority": "u=1", "Sec_WebSocket_Unknown": "?", "Accept": "*/*"}
        with connected(serve(), None) as client:
            plain = client.open()
        with connected(serve(), None) as client:
            other = client.open(**more)
        assert plain == other

    @pytest.mark.parametrize("name", ["Cookie", "X-Large"])
    def test_a_431_names_the_header_that_is_too_large(self, serve, name):
        with connected(serve(), None) as client:
            client.send(upgrade(**{name.replace("-", "_"): "x" * 9000}))
            answer = client.rest().decode()
        assert answer.startswith("HTTP/1.1 431 ")
        assert f"header '{name}' is longer than 8192 bytes" in answer
        assert "xxx" not in answer

    def test_every_answer_but_the_101_has_a_date_and_is_not_stored(self):
        answers = [refusal(HTTPError(status, "no")) for status in (400, 403, 404, 408, 414, 431, 500, 503, 505)]
        answers.append(upgrade_required(Request("GET", "/", (1, 1), Headers([("Host", "h")])), b"<p>"))
        for answer in answers:
            headers, _ = parse_response(build_response(answer))
            assert parsedate_to_datetime(headers.headers.get("Date"))
            assert headers.headers.get("Cache-Control") == "no-store"


class TestTLS:
    """RFC 6455 §4.1 item 5"""

    def test_nothing_leaves_the_client_outside_tls(self, serve, certificate):
        """A relay between client and server sees TLS records, and none of what they carry."""
        server = serve(ssl_context=tls_context(*certificate))
        seen = bytearray()

        def pump(source: socket.socket, target: socket.socket, kept: bytearray) -> None:
            with contextlib.suppress(OSError):
                while data := source.recv(65536):
                    kept += data
                    target.sendall(data)
            with contextlib.suppress(OSError):
                target.shutdown(socket.SHUT_WR)

        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]

            def relay() -> None:
                client, _ = listener.accept()
                with client, socket.create_connection(server.server_address[:2]) as onward:
                    back = threading.Thread(target=pump, args=(onward, client, bytearray()))
                    back.start()
                    pump(client, onward, seen)
                    back.join()

            thread = threading.Thread(target=relay)
            thread.start()
            context = ssl.create_default_context(cafile=certificate[0])
            with connect(f"wss://localhost:{port}/secret-path", ssl_context=context, compression=None) as ws:
                ws.send("marker " * 100)
                assert ws.recv(DEADLINE) == "marker " * 100
            thread.join()
        at, kinds = 0, []
        while at < len(seen):  # RFC 8446 §5.1: type, version, length
            kinds.append(seen[at])
            at += 5 + int.from_bytes(seen[at + 3 : at + 5], "big")
        assert at == len(seen), "the last record is cut"
        assert kinds[0] == 22, "the first record is a handshake"
        assert set(kinds) <= {20, 21, 22, 23}
        assert b"GET" not in seen
        assert b"secret-path" not in seen


class TestEntropy:
    """RFC 6455 §5.3, §10.3"""

    @pytest.mark.parametrize("folder", ["protocol", "network", "fast"])
    def test_no_module_of_the_protocol_or_the_network_uses_a_predictable_generator(self, folder):
        for path in sorted((PACKAGE / folder).glob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                assert "random" not in names, f"{path.name} imports random: a masking key and a handshake key must not"


class TestLog:
    """RFC 6455 §7.1.7: a server SHOULD log the problem."""

    @pytest.mark.parametrize(
        ("wire", "section"),
        [(frame(1, b"x", key=b""), "§5.1"), (frame(3), "§5.2"), (frame(1, b"\xff"), "§8.1"), (frame(0, b"x"), "§5.4")],
    )
    def test_a_broken_rule_is_one_line_with_its_section(self, serve, log, wire, section):
        server = serve()
        with connected(server) as client:
            name = "{}:{}".format(*client.socket.getsockname())
            client.send(wire)
            client.closed()
        wait_until(lambda: server.counts.closed == 1)
        (line,) = [record.getMessage() for record in log.records if record.levelname == "WARNING"]
        assert section in line
        assert name in line
        assert "\n" not in line


class TestExtensions:
    """RFC 7692"""

    def sent(self, role: Role, parameters: DeflateParameters, *messages: bytes) -> list[bytes]:
        """The payloads of these messages, compressed, unmasked."""
        connection = Connection(role, parameters=parameters, compression=Compression(window_bits=15, threshold=0))
        wire = b"".join(connection.send(message) for message in messages)
        found = unframe(wire)
        assert {first for first, _ in found} == {0xC2}
        return [payload for _, payload in found]

    def test_a_response_that_accepts_compression_twice_fails_the_client(self):
        url, key = parse_url("ws://h/"), "dGhlIHNhbXBsZSBub25jZQ=="
        request = build_handshake(url, key, extensions=build_offer())
        element = "permessage-deflate; server_max_window_bits=12"
        fields = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept_key(key))]
        for accepted in ([element], [element, element], [element, "permessage-deflate"]):
            response = Response(101, Headers([*fields, ("Sec-WebSocket-Extensions", ", ".join(accepted))]))
            if len(accepted) == 1:
                assert check_response(request, response, Compression())[1] is not None
            else:
                with pytest.raises(HandshakeFailed, match="and each once"):
                    check_response(request, response, Compression())

    @pytest.mark.parametrize("inside", ["\\c", "x", "\\\\", " "])
    def test_a_quoted_string_that_does_not_end_is_refused_in_linear_time(self, inside):
        """In exponential or quadratic time, this would not end within the test's timeout."""
        with pytest.raises(ValueError, match="neither a word nor a separator"):
            parse_extensions('a; b="' + inside * 500_000)

    def test_a_client_that_is_told_to_starts_each_message_with_an_empty_window(self):
        answer = [("client_no_context_takeover", None), ("server_max_window_bits", "12")]
        first, second = self.sent(Role.CLIENT, accept_response(answer), b"Hello" * 9, b"Hello" * 9)
        assert first == second
        first, second = self.sent(Role.CLIENT, accept_response(answer[1:]), b"Hello" * 9, b"Hello" * 9)
        assert len(first) > len(second)

    @pytest.mark.parametrize("role", ROLES)
    def test_no_block_that_is_sent_has_bfinal(self, role):
        for takeover in (True, False):
            parameters = DeflateParameters(takeover, takeover)
            messages = [b"", b"Hello", bytes(200_000), NOISE, b"Hello" * 1000]
            for payload, message in zip(self.sent(role, parameters, *messages), messages, strict=True):
                if takeover:  # one stream over all messages would hide the end of an earlier one
                    zlibs = zlib.decompressobj(-15)
                    assert zlibs.decompress(payload + TAIL) == message
                    assert not zlibs.eof, "BFINAL is set"
                assert not payload.endswith(TAIL)

    @pytest.mark.parametrize("role", ROLES)
    @pytest.mark.parametrize("bits", range(9, 16))
    def test_the_agreed_window_is_enough_for_what_either_role_sends(self, role, bits):
        beyond, within = NOISE[: 3 * 2**bits // 2], NOISE[50_000 : 50_000 + 2**bits - 300]
        message = beyond * 3 + within * 3  # the repetitions of the first are further apart than the window
        payloads = self.sent(role, DeflateParameters(False, False, bits, bits), message, message)
        window = zlib.decompressobj(-bits)
        assert [window.decompress(payload + TAIL) for payload in payloads] == [message, message]

    @pytest.mark.parametrize("role", ROLES)
    def test_without_a_limit_either_role_reads_the_largest_window(self, role):
        """The second message is a reference across nearly 32,768 bytes."""
        far = NOISE[:32_000]
        sender = Deflater(DeflateParameters(), role, Compression(window_bits=15, memory_level=9))
        payloads = [sender.compress(far), sender.compress(far[:200])]
        assert len(payloads[1]) < 40, "it refers to the first"
        connection = Connection(role, parameters=DeflateParameters())
        key = b"" if role is Role.CLIENT else bytes(4)
        for payload, expected in zip(payloads, [far, far[:200]], strict=True):
            connection.receive(frame(2, payload, rsv=0x40, key=key))
            assert connection.next_event() == Message(expected)

    def test_the_default_window_is_as_large_as_recommended(self):
        assert 2 ** Compression().window_bits >= 1024


# -- The tables -----------------------------------------------------------------------


SECTIONS, ROWS = traced.read_all()
THREATS, ADVISORIES = traced.read_threats()

#: Sentences that cases quote word for word and that the tables do not have, and why.
OUTSIDE_THE_TABLES = {
    "RFC 6455 §1.4": "the table of RFC 6455 begins with §3; §1.4 is an introduction",
    "RFC 9110 §5.3": "a MAY for the recipient of several lines; the table of HTTP is a selection",
    "RFC 9110 §9.3.1": "binds clients of HTTP; the table of HTTP is a selection",
    "A client SHOULD ignore the reason-phrase content because": "RFC 9112 §4: binds clients of HTTP",
    "status-code = 3DIGIT": "RFC 9112 §4: a line of the grammar",
    "Sec-WebSocket-Extensions = extension-list": "RFC 6455 §9.1: a line of the grammar",
    "The masking key is a 32-bit value chosen at random by the client.": "RFC 6455 §5.3: a definition",
    "The _Extensions In Use_ is defined to be": "RFC 6455 §4.1: a definition",
}


def a_row(**changes: object) -> traced.Row:
    row = traced.Row(
        "6455-5.1-1",
        "MUST",
        "client",
        "A client masks every frame.",
        "a client MUST mask all frames",
        ("protocol.frames.build_frame",),
        ("test_frames.py::TestGoldenVectors::test_both_ways",),
    )
    return replace(row, **changes)  # type: ignore[arg-type]


class TestTable:
    """docs/reference/musts/*.toml"""

    def test_each_row_has_code_and_tests_that_exist_or_a_reason(self):
        assert traced.problems(SECTIONS, ROWS) == []

    def test_a_good_row_has_no_problem(self):
        assert traced.problems([traced.Section(6455, "5.1", "Overview", 1)], [a_row()]) == []
        nothing = a_row(code=(), tests=(), reason="It binds a proxy.")
        assert traced.problems([traced.Section(6455, "5.1", "Overview", 1)], [nothing]) == []

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"code": ()}, "neither code and tests nor a reason"),
            ({"tests": ()}, "neither code and tests nor a reason"),
            ({"reason": "It binds a proxy."}, "a reason is for a row without"),
            ({"code": ("protocol.frames.no_such",)}, "wsref/protocol/frames.py has no no_such"),
            ({"code": ("protocol.no_such.parse",)}, "no module of wsref is called protocol.no_such"),
            ({"code": ("protocol.connection.Connection.no_such",)}, "has no Connection.no_such"),
            ({"tests": ("test_no_such.py::TestA::test_b",)}, "there is no tests/test_no_such.py"),
            (
                {"tests": ("test_frames.py::TestGoldenVectors::test_no_such",)},
                "has no test TestGoldenVectors::test_no_such",
            ),
            ({"tests": ("test_frames.py::TestGoldenVectors",)}, "has no test TestGoldenVectors"),
            ({"level": "OUGHT"}, "the level is one of"),
            ({"level": "SHOULD"}, "the quote does not contain SHOULD"),
            ({"who": "everybody"}, "it binds one of"),
            ({"id": "5.1-1"}, "an id is RFC, section and number"),
            ({"id": "6455-5.9-1"}, "the table has no such section"),
            ({"quote": "a client MUST mask ... a server MUST not"}, "the rows quote 2"),
        ],
    )
    def test_a_wrong_row_is_reported(self, changes, words):
        found = traced.problems([traced.Section(6455, "5.1", "Overview", 1)], [a_row(**changes)])
        assert [one for one in found if words in one], found

    def test_an_id_that_two_rows_have_and_a_lost_sentence_are_reported(self):
        assert "two rows have this id" in traced.problems([traced.Section(6455, "5.1", "", 1)], [a_row(), a_row()])[0]
        assert "the rows quote 1" in traced.problems([traced.Section(6455, "5.1", "", 2)], [a_row()])[0]

    def test_each_rule_of_check_is_quoted_word_for_word_and_from_its_section(self):
        """If the tables lack the sentence: compare it with the RFC, and add it to a table or to OUTSIDE_THE_TABLES."""
        lost = [
            f"{case.id}: {case.section}: {sentence}"
            for case in (*CASES, *LARGE_CASES, *CLIENT_CASES)
            if case.level is not Level.INTEROP  # an INTEROP case gives its reason in our words
            for sentence in traced.lost_sentences(case, ROWS)
        ]
        assert [one for one in lost if not any(words in one for words in OUTSIDE_THE_TABLES)] == []
        assert [words for words in OUTSIDE_THE_TABLES if not any(words in one for one in lost)] == [], "in a table now"

    @pytest.mark.parametrize(
        ("section", "quote", "lost"),
        [
            ("§5.1", "A server MUST NOT mask any frames that it sends to the client.", 0),
            ("§5", "A server MUST NOT mask ... that it sends to the client.", 0),
            ("§5.2", "A server MUST NOT mask any frames that it sends to the client.", 1),
            ("§5.1", "A server MUST NOT mask a frame that it sends to the client.", 1),
            ("§5.1", "A server MUST NOT mask any frames that it sends.  A server MUST NOT unmask frames.", 1),
            ("§1", "Networks are slow.", 1),
        ],
    )
    def test_a_quote_that_differs_in_a_word_or_a_section_is_found(self, section, quote, lost):
        case = replace(CASES[0], section=f"RFC 6455 {section}", quote=quote)
        assert len(traced.lost_sentences(case, ROWS)) == lost

    def test_a_case_finds_its_row_by_a_shortened_quote(self):
        (case,) = (case for case in CASES if case.id == "6.mask.missing")
        assert [row.id for row in traced.rows_of(case, ROWS)] == ["6455-5.1-2"]
        shortened = replace(case, quote="The server MUST close the connection ... a frame that is not masked")
        assert [row.id for row in traced.rows_of(shortened, ROWS)] == ["6455-5.1-2"]
        assert traced.rows_of(replace(case, quote="Networks are slow."), ROWS) == []


class TestThreats:
    """docs/reference/threats.toml"""

    def test_each_threat_has_code_and_tests_that_exist(self):
        wrong = [one for threat in THREATS for one in traced.unknown_names(threat.id, threat.code, threat.tests)]
        wrong += [one for advisory in ADVISORIES for one in traced.unknown_names(advisory.id, (), advisory.tests)]
        wrong += [threat.id for threat in THREATS if not (threat.code and threat.tests)]
        assert wrong == []

    def test_each_limit_exists_and_each_limit_answers_a_threat(self):
        named = {name for threat in THREATS for name in threat.limits}
        assert named == {row.name for row in fields(Limits)}

    def test_the_ids_are_t1_to_t30_and_each_advisory_names_one(self):
        ids = [threat.id for threat in THREATS]
        assert ids == [f"T{n}" for n in range(1, 31)]
        assert {advisory.threat for advisory in ADVISORIES} <= set(ids)

    def test_security_md_leads_to_the_page(self):
        assert "(docs/reference/threats.md)" in (ROOT / "SECURITY.md").read_text("utf-8")


@pytest.mark.parametrize("name", ["traced", "musts"])
def test_the_doctests_of_the_pages(name):
    require(
        name == "traced" or importlib.util.find_spec("sphinx"), "the book needs pip install -e '.[docs]'", "CI_DOCS"
    )
    assert doctest.testmod(importlib.import_module(f"wsbook.{name}")).failed == 0


def test_the_picture_has_a_cell_for_each_row():
    require(importlib.util.find_spec("sphinx"), "the book needs pip install -e '.[docs]'", "CI_DOCS")
    picture = importlib.import_module("wsbook.musts").coverage_html(SECTIONS, ROWS)
    assert len(re.findall(r"<i class=\"\w+(?: without)?\" title=", picture)) == len(ROWS)
    assert picture.count(' without" title=') == sum(not row.is_tested for row in ROWS)
