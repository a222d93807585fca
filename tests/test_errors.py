"""Each error carries its answer: the status and headers of a refusal, or a close code."""

from __future__ import annotations

import pytest

from wsref.protocol.errors import ConnectionClosed, HTTPError, ProtocolError, message_too_long, quote_ascii


class TestRefusals:
    """RFC 9110 §15, §5.1, §5.5"""

    @pytest.mark.parametrize("status", [0, 300, 301, 599])
    def test_a_status_of_a_refusal_or_0_is_taken(self, status):
        error = HTTPError(status, "no", "RFC 1 §2")
        assert (error.status, error.reason, error.section, error.headers) == (status, "no", "RFC 1 §2", ())
        assert str(error) == "no (RFC 1 §2)"

    @pytest.mark.parametrize("status", [-1, 1, 101, 200, 299, 600, 1000, "404", 404.0, None])
    def test_any_other_status_is_refused(self, status):
        with pytest.raises(ValueError, match="from 300 to 599, not"):
            HTTPError(status, "no")

    def test_without_a_section_the_text_is_the_reason(self):
        assert str(HTTPError(404, "no")) == "no"

    @pytest.mark.parametrize("headers", [{"A": "b", "C": "d\t~\xff"}, (("A", "b"), ("C", "d\t~\xff"))])
    def test_headers_are_pairs_or_a_mapping(self, headers):
        assert HTTPError(404, "no", headers=headers).headers == (("A", "b"), ("C", "d\t~\xff"))

    @pytest.mark.parametrize(
        "header", [("A B", "c"), ("", "c"), ("A:", "c"), ("A", "b\r\nC: d"), ("A", "\x7f"), ("A", "\u20ac")]
    )
    def test_a_header_that_http_cannot_carry_is_refused(self, header):
        with pytest.raises(ValueError, match="not a header that HTTP can carry"):
            HTTPError(404, "no", headers=[("X", "y"), header])

    @pytest.mark.parametrize("name", ["Connection", "CONTENT-LENGTH", "content-type", "Date", "Transfer-Encoding"])
    def test_a_header_of_the_servers_own_is_refused(self, name):
        with pytest.raises(ValueError, match=f"writes the header {name} itself"):
            HTTPError(404, "no", headers=[("X", "y"), (name, "close")])


class TestFailures:
    """RFC 6455 §7.1.7, §7.4.1"""

    @pytest.mark.parametrize(
        "section, words",
        [("§5.2", "RSV1 is set (RFC 6455 §5.2)"), ("RFC 7692 §6", "RSV1 is set (RFC 7692 §6)")],
    )
    def test_a_section_is_one_of_rfc_6455_unless_another_rfc_is_named(self, section, words):
        error = ProtocolError("RSV1 is set", section)
        assert (str(error), error.reason, error.section) == (words, "RSV1 is set", section)

    def test_the_code_is_1002_unless_another_is_given(self):
        assert ProtocolError("no", "§5.2").code == 1002
        assert ProtocolError("no", "§5.2", code=1007).code == 1007
        assert message_too_long(5).code == 1009
        assert type(message_too_long(5).code) is int

    def test_a_closed_connection_knows_no_code_until_it_is_told(self):
        error = ConnectionClosed("it is closing")
        assert (str(error), error.code, error.reason) == ("it is closing", None, "")
        error = ConnectionClosed("it is closing", code=1001, reason="bye")
        assert (error.code, error.reason) == (1001, "bye")


class TestQuotes:
    """Received text in a log line, an error page or a terminal"""

    @pytest.mark.parametrize(
        "received, quoted",
        [
            ("", "''"),
            ("é", r"'\xe9'"),
            (b"\xe9\x00\r\n", r"'\xe9\x00\r\n'"),
            ("\u202e€", r"'\u202e\u20ac'"),
            ("it's", '"it\'s"'),
        ],
    )
    def test_a_quote_is_one_line_of_ascii(self, received, quoted):
        assert quote_ascii(received) == quoted

    @pytest.mark.parametrize("limit", [1, 4, 60])
    @pytest.mark.parametrize("kind", [str, str.encode])
    def test_a_long_text_is_cut_at_the_limit_and_says_its_length(self, limit, kind):
        assert quote_ascii(kind("x" * limit), limit) == f"'{'x' * limit}'"
        assert quote_ascii(kind("x" * (limit + 1)), limit) == f"'{'x' * limit}...' ({limit + 1} characters)"

    def test_the_limit_is_60_characters_unless_another_is_given(self):
        assert quote_ascii("x" * 60) == f"'{'x' * 60}'"
        assert quote_ascii("x" * 61) == f"'{'x' * 60}...' (61 characters)"
