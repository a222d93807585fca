"""The cases of chapters 1 to 5 find broken servers and pass legal ones."""

from __future__ import annotations

import ssl

import gallery
import pytest

from wsref import Echo, running
from wsref.check import CASES, Level, Outcome, grade, parse_target
from wsref.check.cases import select
from wsref.check.codec import text
from wsref.check.gallery import BROKEN
from wsref.check.gallery.reference import Disconnected, ReferenceServer, Refusal, serving

HERE = [case for case in CASES if case.chapter <= 5]
GALLERY = {name: server for name, server in BROKEN.items() if server.__module__ <= "wsref.check.gallery.ch05"}


#: Broken servers that fail quickly, one for each group of chapters: the quick suite grades them.
QUICK = ("counts-characters", "version-by-int", "guid-with-space")


def failures(server: type[ReferenceServer], *levels: Level, timeout: float = 5.0) -> dict[str, str]:
    """The failed cases of chapters 1 to 5: id to reason."""
    with serving(server) as url:
        report = grade(parse_target(url), select(until=5), timeout=timeout)
    return {v.case.id: v.why for v in report.failed if not levels or v.case.level in levels}


class TestLegalBehaviour:
    """RFC 6455 §4.2, RFC 9112 §2.2: unusual legal behaviour fails no MUST"""

    def test_a_server_that_ends_tcp_for_a_bad_request(self):
        class HangsUp(ReferenceServer):
            def parse_head(self, head):
                try:
                    return super().parse_head(head)
                except Refusal:
                    raise Disconnected from None

        assert failures(HangsUp, Level.MUST, Level.SHOULD) == {}

    def test_a_server_that_ends_tcp_for_bad_handshakes_fails_a_should(self):
        # §10.7: it "MAY drop the TCP connection", and "SHOULD return an appropriate HTTP ... status code".
        class HangsUp(ReferenceServer):
            def validate(self, request):
                try:
                    super().validate(request)
                except Refusal:
                    raise Disconnected from None

        assert set(failures(HangsUp)) == {"3.refusal.answered"}

    def test_a_server_that_reads_a_body_before_it_upgrades(self):
        class Reads(ReferenceServer):
            def check_head(self, request):
                lengths = [value for name, value in request.headers if name == "content-length"]
                if lengths == [str(len(text("Hello")))]:
                    self.read_exactly(int(lengths[0]))
                    request.headers = [pair for pair in request.headers if pair[0] != "content-length"]
                super().check_head(request)

        assert failures(Reads) == {}

    def test_a_bad_head_is_found_with_a_server_that_refuses_plain_requests_and_with_one_that_does_not(self):
        class Strips(BROKEN["blank-before-colon"]):
            def fallback(self, request):
                self.answer("200 OK", "Date: Sun, 06 Nov 1994 08:49:37 GMT", "Content-Length: 0")

        for server in (BROKEN["blank-before-colon"], Strips):
            assert "1.header.blank-before-colon" in failures(server, Level.MUST)

    def test_a_server_that_ends_tcp_for_plain_requests(self):
        class OnlyWebSocket(ReferenceServer):
            def fallback(self, request):
                raise Disconnected

        assert failures(OnlyWebSocket, Level.MUST, Level.SHOULD) == {}

    def test_a_server_that_serves_pages(self):
        class Pages(ReferenceServer):
            def fallback(self, request):
                body = "" if request.method == "HEAD" else "<p>Hi"
                self.answer("200 OK", "Date: Sun, 06 Nov 1994 08:49:37 GMT", "Content-Length: 5", body=body)

        assert set(failures(Pages)) == {"5.plain.426", "5.plain.post"}

    @pytest.mark.parametrize(
        "status",
        [
            "403 Forbidden",
            pytest.param("401 Unauthorized", marks=pytest.mark.slow),
            pytest.param("503 Service Unavailable", marks=pytest.mark.slow),
        ],
    )
    def test_a_server_that_refuses_every_client(self, status):
        class Closed(ReferenceServer):
            def complete_upgrade(self, request):
                self.answer(status, "Date: Sun, 06 Nov 1994 08:49:37 GMT", "Content-Length: 0", "Connection: close")
                raise Disconnected

        assert set(failures(Closed)) == {"4.status.101"}

    def test_a_server_that_refuses_version_8_and_one_that_answers_426_to_versions(self):
        class Only13(ReferenceServer):
            def is_version(self, versions):
                if versions != ["13"]:
                    raise Refusal(426, "13, please", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
                return True

        assert failures(Only13) == {}

    def test_a_server_that_repairs_heads_as_the_rfc_allows(self):
        class Forgiving(ReferenceServer):
            def read_head(self):
                return super().read_head().replace(b"\r\n ", b" ").replace(b"\r\n\t", b" ").replace(b"\0", b" ")

        assert failures(Forgiving, Level.MUST) == {}

    def test_a_server_that_does_not_decode_the_key_fails_a_should_but_no_must(self):
        class Trusts(ReferenceServer):
            def is_key(self, key):
                return bool(key)

        failed = failures(Trusts)
        assert {case.id for case in HERE if case.level is Level.MUST} & set(failed) == set()
        assert "3.key.short" in failed


SNAPSHOT = gallery.read()


class TestTheGallery:
    """Each broken server fails exactly the cases that are meant for it"""

    def test_every_server_has_a_symptom_and_a_bug_and_the_symptom_does_not_tell_the_bug(self):
        assert len(BROKEN) == 171
        assert {
            name: (server.symptom, server.bug)
            for name, server in BROKEN.items()
            if not (server.symptom and server.bug and server.case)
            or f"{server.symptom}{server.bug}"[-1] == "."
            or server.symptom.endswith(".")
            or server.bug in server.symptom
        } == {}

    @pytest.mark.parametrize(
        "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in GALLERY]
    )
    def test_a_broken_server_fails_just_what_it_should(self, name):
        server = GALLERY[name]
        failed = failures(server, timeout=2.0)
        assert server.case in failed
        assert SNAPSHOT[name].always - set(failed) == set(), "not found"
        assert {case: why for case, why in failed.items() if not SNAPSHOT[name].may(case)} == {}, "not meant"

    def test_every_case_is_failed_by_a_server_of_the_gallery(self):
        # A case that no broken server fails may be one that always passes.
        unseen = {case.id for case in HERE}.difference(*(fails.always for fails in SNAPSHOT.values()))
        assert unseen == set()


def test_the_reference_server_passes_and_nothing_is_skipped():
    with serving(ReferenceServer) as url:
        report = grade(parse_target(url), select(until=5))
    assert [(v.case.id, v.why) for v in report.verdicts if v.outcome is not Outcome.PASS] == []


@pytest.mark.slow
def test_over_tls_the_cases_are_the_same(certificate):
    # Some cases send FIN before they read the answer: SSLSocket.shutdown would end decryption.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    with running(Echo, ssl_context=context) as server:
        report = grade(parse_target(server.url, verify=False), select(until=5))
    assert [(v.case.id, v.why) for v in report.verdicts if v.outcome is not Outcome.PASS] == []
