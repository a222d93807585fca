"""Chapter 1: an HTTP/1.1 head off a TCP stream, strictly."""

from __future__ import annotations

import contextlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vectors import all_splits, every_way, prop

from wsref.protocol.errors import HTTPError
from wsref.protocol.http11 import (
    Headers,
    Request,
    Response,
    build_request,
    build_response,
    find_end_of_head,
    host_and_port,
    parse_head,
    parse_header,
    parse_request,
    parse_request_line,
    parse_response,
    reason_phrase,
)
from wsref.protocol.limits import Limits

GOOD = b"GET /chat HTTP/1.1\r\nHost: example.com\r\n\r\n"

#: Small, so that every cut around every limit can be tried.
SMALL = Limits(max_request_line=40, max_header_line=30, max_headers=4, max_head=120)


def read(pieces, limits=Limits()):
    """Read a head as a server does, piece by piece: ``(request, end)``, a status, or "more"."""
    data, checked = b"", 0
    try:
        for piece in pieces:
            data += piece
            end = find_end_of_head(data, checked, limits)
            if end is not None:
                return parse_head(data[:end], limits), end
            checked = len(data)
    except HTTPError as error:
        return error.status, error.section
    return "more"


def status(data, limits=Limits()):
    """The status of the refusal, in whichever pieces the head comes."""
    found = every_way(lambda pieces: read(pieces, limits), data)
    assert found != "more", "neither taken nor refused: it would hang until the deadline"
    assert isinstance(found[0], int), f"taken: {found}"
    return found[0]


def head(*lines, first=b"GET / HTTP/1.1", host=b"Host: example.com"):
    """A head of these header lines."""
    return b"\r\n".join([first, *([host] if host else []), *lines, b"", b""])


class TestGoodHeads:
    """RFC 9112 §2-§5"""

    def test_a_head_is_read_and_the_end_is_just_past_the_empty_line(self):
        request, end = every_way(read, GOOD, tail=b"\x81\x85\r\n\r\n")
        assert (request.method, request.target, request.version) == ("GET", "/chat", (1, 1))
        assert list(request.headers) == [("Host", "example.com")]
        assert end == len(GOOD)

    def test_one_empty_line_before_the_request_line_is_ignored(self):
        request, end = every_way(read, b"\r\n" + GOOD, tail=b"\x00")
        assert request.target == "/chat"
        assert end == len(GOOD) + 2

    @pytest.mark.parametrize("start", range(9))
    def test_a_head_of_frames_glued_to_it_is_not_read_further(self, start):
        request, end = parse_request(b"\x81\x80\n\r\0\r\n\r\n"[:start] + GOOD + b"\x81\x80\n\r\0", start)
        assert (request, len(GOOD)) == parse_request(GOOD)
        assert end == start + len(GOOD)

    def test_parse_request_says_none_for_every_shorter_head(self):
        assert [n for n in range(len(GOOD)) if parse_request(GOOD[:n]) is not None] == []

    def test_the_value_is_trimmed_of_blanks_and_nothing_else(self):
        request, _ = every_way(read, head(b"A:x", b"B: \t x y \t ", b"C:", b"D: \xff\x85", b"E: a:b"))
        assert list(request.headers)[1:] == [("A", "x"), ("B", "x y"), ("C", ""), ("D", "\xff\x85"), ("E", "a:b")]

    def test_every_token_character_may_stand_in_a_name_and_no_other(self):
        token = set(b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
        taken = set()
        for octet in range(256):
            try:
                parse_header(b"a" + bytes([octet]) + b"b: c")
            except HTTPError as error:
                assert error.status == 400
            else:
                taken.add(octet)
        assert taken - {ord(":")} == token  # "a:b: c" is the field "a"

    def test_every_octet_but_control_characters_may_stand_in_a_value(self):
        taken = set()
        for octet in range(256):
            try:
                assert parse_header(b"a: b" + bytes([octet]) + b"c") == ("a", f"b{chr(octet)}c")
            except HTTPError as error:
                assert error.status == 400
            else:
                taken.add(octet)
        assert taken == {9, *range(32, 127), *range(128, 256)}

    def test_every_visible_ascii_character_but_the_hash_may_stand_in_a_target(self):
        taken = set()
        for octet in range(256):
            try:
                parse_request_line(b"GET /a" + bytes([octet]) + b"b HTTP/1.1")
            except HTTPError as error:
                assert error.status == 400
            else:
                taken.add(octet)
        assert taken == set(range(33, 127)) - {ord("#")}

    @pytest.mark.parametrize(
        "target, path, query",
        [
            ("/", "/", {}),
            ("/chat", "/chat", {}),
            ("/chat?", "/chat", {}),
            ("/?a=1&b=2&a=3", "/", {"a": ["1", "3"], "b": ["2"]}),
            ("/?a=&b", "/", {"a": [""], "b": [""]}),
            ("/a?b?c=/d", "/a", {"b?c": ["/d"]}),
            ("http://h", "/", {}),
            ("http://h/chat", "/chat", {}),
            ("HTTPS://h:1/chat?x=%41+", "/chat", {"x": ["A "]}),
            ("http://h?x=/y", "/", {"x": ["/y"]}),
            ("//h/chat", "//h/chat", {}),
            ("/?" + "&".join(["a=1"] * 100), "/", {"a": ["1"] * 100}),
            ("/?" + "&".join(["a=1"] * 101), "/", {}),
        ],
    )
    def test_origin_form_and_absolute_form_are_the_same_resource(self, target, path, query):
        request, _ = parse_request(head(first=b"GET " + target.encode() + b" HTTP/1.1"))
        assert (request.path, request.query) == (path, query)

    @pytest.mark.parametrize(
        "target, host",
        [("/", "example.com"), ("//h/chat", "example.com"), ("http://h", "h"), ("https://h:1/chat?x", "h:1")],
    )
    def test_the_host_is_that_of_an_absolute_target_or_of_the_header(self, target, host):
        request, _ = parse_request(head(first=b"GET " + target.encode() + b" HTTP/1.1"))
        assert request.host == host
        assert Request("GET", target, (1, 0), Headers()).host == ("" if target.startswith("/") else host)

    @pytest.mark.parametrize(
        ("lines", "cookies"),
        [
            ([], {}),
            ([""], {}),
            (["id=42; theme=dark"], {"id": "42", "theme": "dark"}),
            (["id=42;theme=dark;"], {"id": "42", "theme": "dark"}),
            (["id=a=b"], {"id": "a=b"}),
            (['id="4 2"'], {"id": "4 2"}),
            (["id=; x"], {"id": ""}),
            (["id=first; id=second"], {"id": "first"}),
            (["odd; id=42"], {"id": "42"}),
            (["a[0]=1; =2; b c=3; id=42"], {"id": "42"}),
            (["json={1,2}; id=42"], {"json": "{1,2}", "id": "42"}),
            (["id=42", "theme=dark"], {"id": "42", "theme": "dark"}),
        ],
    )
    def test_a_cookie_that_is_not_valid_hides_no_other(self, lines, cookies):
        request, _ = parse_request(head(*(b"Cookie: " + line.encode() for line in lines)))
        assert request.cookies == cookies

    @pytest.mark.parametrize("version", [(1, 0), (1, 1), (1, 2), (1, 9)])
    def test_every_minor_version_of_http_1_is_read(self, version):
        request, _ = parse_request(head(first=b"GET / HTTP/%d.%d" % version))
        assert request.version == version


class TestMemory:
    """A connection keeps its request"""

    @pytest.mark.parametrize("name", ["Upgrade", "Sec-WebSocket-Key", "user-agent"])
    def test_the_names_of_most_requests_are_kept_once(self, name):
        (first, _), (second, _) = (parse_header(f"{name}: {n}".encode()) for n in range(2))
        assert first is second == name
        assert Headers([(first, "0")])._names[0] is Headers([(second, "1")])._names[0]


class TestHeaders:
    """RFC 9110 §5.1-5.3, §5.6.1"""

    headers = Headers([("A", "1"), ("b", "x, ,y ,"), ("a", "2"), ("B", "\tz")])

    def test_names_are_case_insensitive_and_order_is_kept(self):
        assert self.headers.lines("a") == self.headers.lines("A") == ["1", "2"]
        assert self.headers.get("B") == "x, ,y ,, \tz"
        assert list(self.headers) == [("A", "1"), ("b", "x, ,y ,"), ("a", "2"), ("B", "\tz")]
        assert len(self.headers) == 4

    def test_the_elements_of_a_list_run_over_lines_and_empty_ones_do_not_count(self):
        assert self.headers.elements("b") == ["x", "y", "z"]

    def test_what_is_not_there_is_none_and_not_empty(self):
        assert self.headers.get("c") is None
        assert self.headers.lines("c") == self.headers.elements("c") == []
        assert "c" not in self.headers
        assert "B" in self.headers

    def test_headers_compare_by_their_lines(self):
        assert Headers([("A", "1")]) == Headers((("A", "1"),))
        assert hash(Headers([("A", "1")])) == hash(Headers((("A", "1"),)))
        for value in ("0", "2", ""):
            assert Headers([("A", "1")]) != Headers([("A", value)])

    def test_the_431_names_the_header_and_not_its_value(self):
        with pytest.raises(HTTPError, match="header 'X' is longer than 30 bytes "):
            parse_head(head(b"X: " + b"y" * 30), SMALL)

    def test_they_show_their_lines(self):
        assert repr(Headers([("Host", "a")])) == "Headers([('Host', 'a')])"

    def test_the_kelvin_sign_is_no_k(self):  # "\u212a".lower() == "k"
        request, _ = parse_request(head("Cookie: \u212a".encode()))
        assert "\u212a" not in (request.headers.get("cookie") or "")


#: What is refused, whichever way it is cut: (status, section, head).
BAD = {
    # the request line
    "two spaces": (400, "RFC 9112 §3", head(first=b"GET  / HTTP/1.1")),
    "a tab": (400, "RFC 9112 §3", head(first=b"GET\t/ HTTP/1.1")),
    "no target": (400, "RFC 9112 §3", head(first=b"GET HTTP/1.1")),
    "an empty target": (400, "RFC 9112 §3", head(first=b"GET  HTTP/1.1")),
    "four fields": (400, "RFC 9112 §3", head(first=b"GET / x HTTP/1.1")),
    "a space at the end": (400, "RFC 9112 §3", head(first=b"GET / HTTP/1.1 ")),
    "a space in front": (400, "RFC 9112 §3", head(first=b" GET / HTTP/1.1")),
    "HTTP/0.9": (400, "RFC 9112 §3", head(first=b"GET /")),
    "a method that is no token": (400, "RFC 9112 §3", head(first=b"G@T / HTTP/1.1")),
    "a fragment in the target": (400, "RFC 9112 §3", head(first=b"GET /a#b HTTP/1.1")),
    "a space in the target": (400, "RFC 9112 §3", head(first=b"GET /a b HTTP/1.1")),
    "UTF-8 in the target": (400, "RFC 9112 §3", head(first="GET /é HTTP/1.1".encode())),
    "DEL in the target": (400, "RFC 9112 §3", head(first=b"GET /\x7f HTTP/1.1")),
    "ESC in the target": (400, "RFC 9112 §3", head(first=b"GET /\x1b[31m HTTP/1.1")),
    "a relative target": (400, "RFC 6455 §4.2.1", head(first=b"GET chat HTTP/1.1")),
    "an asterisk": (400, "RFC 6455 §4.2.1", head(first=b"OPTIONS * HTTP/1.1")),
    "authority-form": (400, "RFC 6455 §4.2.1", head(first=b"CONNECT example.com:80 HTTP/1.1")),
    "absolute-form of ws": (400, "RFC 6455 §4.2.1", head(first=b"GET ws://example.com/ HTTP/1.1")),
    "absolute-form without a host": (400, "RFC 6455 §4.2.1", head(first=b"GET http:///chat HTTP/1.1")),
    "absolute-form with a port and no host": (400, "RFC 6455 §4.2.1", head(first=b"GET http://:80/chat HTTP/1.1")),
    "absolute-form with a bad port": (400, "RFC 9110 §4.2", head(first=b"GET http://h:x/chat HTTP/1.1")),
    # the version
    "http in lower case": (400, "RFC 9112 §3", head(first=b"GET / http/1.1")),
    "HTTP/1": (400, "RFC 9112 §3", head(first=b"GET / HTTP/1")),
    "HTTP/01.1": (400, "RFC 9112 §3", head(first=b"GET / HTTP/01.1")),
    "HTTP/1.12": (400, "RFC 9112 §3", head(first=b"GET / HTTP/1.12")),
    "HTTP/1.": (400, "RFC 9112 §3", head(first=b"GET / HTTP/1.")),
    "fullwidth digits": (400, "RFC 9112 §3", head(first="GET / HTTP/１.１".encode())),
    "a superscript digit": (400, "RFC 9112 §3", head(first=b"GET / HTTP/1.\xb9")),
    "HTTP/2.0": (505, "RFC 9110 §15.6.6", head(first=b"GET / HTTP/2.0")),
    "HTTP/3.0": (505, "RFC 9110 §15.6.6", head(first=b"GET / HTTP/3.0")),
    "HTTP/0.9 by name": (505, "RFC 9110 §15.6.6", head(first=b"GET / HTTP/0.9")),
    # line ends
    "a bare LF after the request line": (400, "RFC 9112 §2.2", b"GET / HTTP/1.1\nHost: h\r\n\r\n"),
    "bare LFs everywhere": (400, "RFC 9112 §2.2", GOOD.replace(b"\r\n", b"\n")),
    "a bare LF after a header": (400, "RFC 9112 §2.2", head(b"A: b\nC: d")),
    "a bare LF for the empty line": (400, "RFC 9112 §2.2", GOOD[:-2] + b"\n"),
    "CR CR LF": (400, "RFC 9112 §2.2", head(b"A: b\r")),
    "a bare CR in a value": (400, "RFC 9112 §2.2", head(b"A: b\rC: d")),
    "a bare CR in the request line": (400, "RFC 9112 §2.2", head(first=b"GET /a\rb HTTP/1.1")),
    "LF CR": (400, "RFC 9112 §2.2", b"GET / HTTP/1.1\n\rHost: h\r\n\r\n"),
    "two empty lines first": (400, "RFC 9112 §3", b"\r\n\r\n" + GOOD),
    # header lines
    "a header line that begins with a blank, at once": (400, "RFC 9112 §5.2: obs-fold", head(b"A: b", host=b" B: c")),
    "a folded line": (400, "RFC 9112 §5.2: obs-fold", head(b"A: b", b" folded")),
    "a folded line, by a tab": (400, "RFC 9112 §5.2: obs-fold", head(b"A: b", b"\tfolded: x")),
    "a blank before the colon": (400, "RFC 9112 §5.1", head(b"Upgrade : websocket")),
    "a tab before the colon": (400, "RFC 9112 §5.1", head(b"Upgrade\t: websocket")),
    "no colon": (400, "RFC 9112 §5", head(b"Upgrade")),
    "no name": (400, "RFC 9110 §5.1", head(b": websocket")),
    "a blank in the name": (400, "RFC 9110 §5.1", head(b"Up grade: websocket")),
    "a non-ASCII name": (400, "RFC 9110 §5.1", head("Üpgrade: x".encode())),
    "a control character in the name": (400, "RFC 9110 §5.1", head(b"A\x01: x")),
    "NUL in a value": (400, "RFC 9110 §5.5", head(b"A: x\0y")),
    "NUL in a name": (400, "RFC 9110 §5.5", head(b"A\0: x")),
    "NUL in the request line": (400, "RFC 9110 §5.5", head(first=b"GET /\0 HTTP/1.1")),
    "a control character in a value": (400, "RFC 9110 §5.5", head(b"A: x\x0by")),
    "DEL in a value": (400, "RFC 9110 §5.5", head(b"A: x\x7fy")),
    # Host
    "no Host": (400, "RFC 9112 §3.2", head(host=None)),
    "two Hosts": (400, "RFC 9112 §3.2", head(b"Host: other.com")),
    "two equal Hosts": (400, "RFC 9112 §3.2", head(b"host: example.com")),
    "two Hosts in HTTP/1.0": (400, "RFC 9112 §3.2", head(b"Host: a", first=b"GET / HTTP/1.0")),
}
for _lines in (
    b"Content-Length: -1",
    b"Content-Length: +5",
    b"Content-Length: 5 5",
    b"Content-Length:",
    b"Content-Length: 5, 6",
    b"Content-Length: 5\r\nContent-Length: 6",
    b"Transfer-Encoding: gzip",
    b"Transfer-Encoding: br",
    b"Transfer-Encoding: chunked, gzip",
    b"Transfer-Encoding:",
    b"Transfer-Encoding: gzip\r\nContent-Length: 5",
):
    BAD[f"{_lines!r}"] = (400, "RFC 9112 §6.3", head(_lines))
for _host in (
    b"a b",
    b"a/b",
    b"u@h",
    b"h:x",
    b"h:80:81",
    b"[::1",
    b"::1",
    b"[x]",
    b"a,b c",
    b"a\\b",
    b"a#",
    b"a?b",
    b"\xe9",
    b'"a"',
    b"<h>",
    b"%zz",
    b"%4",
    b"h:\xb2",
):
    BAD[f"Host {_host!r}"] = (400, "RFC 9112 §3.2", head(host=b"Host: " + _host))


class TestBadHeads:
    """RFC 9112 §2.2, §3, §5; RFC 9110 §5"""

    @pytest.mark.parametrize("name", BAD)
    def test_it_is_refused_in_whatever_pieces_it_comes(self, name):
        wanted, section, data = BAD[name]
        assert status(data) == wanted
        assert section in {read(pieces)[1] for pieces in all_splits(data)}
        for parse in (parse_request, lambda data: parse_head(data[: find_end_of_head(data)])):
            with pytest.raises(HTTPError) as caught:
                parse(data)
            assert (caught.value.status, caught.value.section) == read([data])

    @pytest.mark.parametrize("name", [name for name in BAD if not name.startswith("two empty")])
    def test_it_is_refused_after_an_empty_line_too(self, name):
        wanted, _, data = BAD[name]
        assert status(b"\r\n" + data) == wanted

    @pytest.mark.parametrize(
        "host", [b"h", b"h:80", b"h:", b"127.0.0.1:8765", b"[::1]:80", b"[::1]", b"", b"a_b", b"%41", b"EXAMPLE.com."]
    )
    def test_a_valid_host_is_taken(self, host):
        request, _ = every_way(read, head(host=b"Host:" + host))
        assert request.headers.get("host") == host.decode()

    @pytest.mark.parametrize("lines", [b"Content-Length: 3, 3", b"Transfer-Encoding: gzip, Chunked"])
    def test_a_body_whose_length_is_known_is_taken(self, lines):
        assert every_way(read, head(lines))[1] == len(head(lines))

    def test_http_1_2_needs_a_host_too(self):
        assert status(b"GET / HTTP/1.2\r\n\r\n") == 400

    def test_http_1_0_needs_no_host(self):
        request, _ = every_way(read, b"GET / HTTP/1.0\r\n\r\n")
        assert request.version == (1, 0)

    @pytest.mark.parametrize(
        "data", [b"\x80", b"\n", b" ", b"{", b"\x1b", b"\xff\xfe", b"\0", b"\rX", b"\r\n\r\n", b"\r\n:"]
    )
    def test_garbage_is_refused_at_its_first_bytes_and_not_at_the_deadline(self, data):
        assert status(data) == 400

    def test_a_line_of_garbage_is_refused_when_the_line_is_complete(self):
        assert read([b"echo garbage\r\n"]) == (400, "RFC 9112 §3")
        assert read([b"hello\n"]) == (400, "RFC 9112 §2.2")
        assert read([b"\rhello"]) == (400, "RFC 9112 §2.2")

    @pytest.mark.parametrize("at", range(len(GOOD) - 1))
    @pytest.mark.parametrize("octet", [b"\0", b"\n", b"\r"])
    def test_no_cr_lf_or_nul_slips_in_anywhere(self, at, octet):
        for pieces in ([GOOD[:at] + octet + GOOD[at:]], [GOOD[:at], octet, GOOD[at:]]):
            found = read(pieces)
            assert found != "more"
            assert found[0] == 400, found

    def test_the_refusal_says_what_came_in_ascii_and_in_one_line(self):
        with pytest.raises(HTTPError) as caught:
            parse_header("Ü\x1b[31m\u0085: x".encode())
        assert str(caught.value).isascii() or "§" in str(caught.value)
        assert "\x1b" not in str(caught.value)
        assert "\n" not in str(caught.value)


class TestOtherProtocols:
    """RFC 9113 §3.4, RFC 8446 §5.1: hang up, for HTTP would not be understood"""

    def test_an_http_2_preface_is_status_0(self):
        assert status(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") == 0

    @pytest.mark.parametrize("minor", [0, 1, 2, 3, 4])
    def test_a_tls_client_hello_is_status_0_even_if_it_comes_byte_by_byte(self, minor):
        assert status(bytes([0x16, 3, minor]) + b"\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(60))) == 0

    def test_a_byte_that_only_begins_like_tls_is_400(self):
        assert status(b"\x16\x04") == 400
        assert status(b"\r\n\x16\x03\x01") == 400

    def test_a_method_that_begins_like_the_preface_is_http(self):
        request, _ = every_way(read, head(first=b"PRI /x HTTP/1.1"))
        assert request.method == "PRI"


def line_of(size):
    """A request line of that many bytes."""
    return b"GET /" + b"a" * (size - 14) + b" HTTP/1.1"


class TestLimits:
    """RFC 9112 §3, RFC 9110 §15.5.15, RFC 6585 §5: each limit itself is taken, one more is not"""

    @pytest.mark.parametrize("size", range(36, 46))
    def test_the_request_line(self, size):
        data = line_of(size) + b"\r\nHost: h\r\n\r\n"
        if size <= 40:
            request, _ = every_way(lambda pieces: read(pieces, SMALL), data)
            assert len(request.target) == size - 13
        else:
            assert status(data, SMALL) == 414

    @pytest.mark.parametrize("size", range(36, 46))
    def test_the_request_line_after_an_empty_line(self, size):
        data = b"\r\n" + line_of(size) + b"\r\nHost: h\r\n\r\n"
        if size <= 40:
            request, _ = every_way(lambda pieces: read(pieces, SMALL), data)
            assert len(request.target) == size - 13
        else:
            assert status(data, SMALL) == 414

    @pytest.mark.parametrize("size", range(26, 35))
    def test_a_header_line(self, size):
        data = head(b"X: " + b"x" * (size - 3))
        if size <= 30:
            request, _ = every_way(lambda pieces: read(pieces, SMALL), data)
            assert len(request.headers.get("x")) == size - 3
        else:
            assert status(data, SMALL) == 431

    @pytest.mark.parametrize("count", range(1, 8))
    def test_the_number_of_header_lines(self, count):
        data = head(*[b"X:%d" % i for i in range(count - 1)])
        if count <= 4:
            request, _ = every_way(lambda pieces: read(pieces, SMALL), data)
            assert len(request.headers) == count
        else:
            assert status(data, SMALL) == 431

    @pytest.mark.parametrize("size", range(114, 128))
    def test_the_whole_head(self, size):
        data = head(b"A: " + b"a" * 25, b"B: " + b"b" * 20)
        data = head(b"A: " + b"a" * 25, b"B: " + b"b" * 20, b"C:" + b"c" * (size - len(data) - 4))
        assert len(data) == size
        if size <= 120:
            _, end = every_way(lambda pieces: read(pieces, SMALL), data, tail=b"\x81" * 40)
            assert end == size
        else:
            assert status(data, SMALL) == 431

    def test_a_request_line_without_an_end_is_refused_before_all_memory_is_full(self):
        assert status(line_of(300)[:100], SMALL) == 414

    def test_a_request_line_is_refused_as_soon_as_its_end_would_come_too_late(self):
        assert read([line_of(50)[:41]], SMALL) == "more"
        assert read([line_of(50)[:42]], SMALL)[0] == 414

    def test_a_fault_beyond_the_limit_does_not_count_for_nobody_should_read_it(self):
        data = head(b"A: " + b"a" * 25, b"B: " + b"b" * 25, b"C: " + b"c" * 25, b"D: d\nE: e")
        assert data.index(b"d\n") > 120
        assert status(data, SMALL) == 431
        assert status(line_of(60) + b"\n" + data, SMALL) == 414

    def test_a_head_without_an_end_is_refused_too(self):
        assert status(b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 20, SMALL) == 431

    def test_the_defaults_are_those_of_the_design(self):
        assert read([line_of(8192) + b"\r\nHost: h\r\n\r\n"])[1] == 8192 + 13
        assert read([line_of(8193) + b"\r\nHost: h\r\n\r\n"])[0] == 414
        assert read([head(first=b"GET /" + b"a" * 102400 + b" HTTP/1.1")])[0] == 414
        assert read([head(b"X: " + b"x" * 8189)])[0].headers.get("x") == "x" * 8189
        assert read([head(b"X: " + b"x" * 8190)])[0] == 431
        assert len(read([head(*[b"X: y"] * 99)])[0].headers) == 100
        assert read([head(*[b"X: y"] * 100)])[0] == 431
        assert read([head(*[b"X: y"] * 1000)])[0] == 431

    def test_the_101st_header_is_not_dropped_but_refused_if_it_is_the_upgrade(self):  # CVE-2024-37890
        assert read([head(*[b"X: y"] * 99, b"Upgrade: websocket")])[0] == 431

    @prop
    @given(
        parts=st.lists(
            st.sampled_from(
                [
                    b"GET / HTTP/1.1\r\n",
                    b"GET / HTTP/2.0\r\n",
                    b"Host: h\r\n",
                    b"\r\n",
                    b"\n",
                    b"\r",
                    b"\0",
                    b" ",
                    b"X",
                    b"A: b",
                    b"a" * 29,
                    b"b" * 41,
                    b": ",
                    b"\x16",
                    b"\x03",
                    b"PRI * HTTP/2.0\r\n",
                    b"\xff",
                ]
            ),
            max_size=10,
        ),
        cuts=st.lists(st.integers(0, 160), max_size=5),
    )
    def test_the_verdict_does_not_depend_on_how_the_bytes_are_cut(self, parts, cuts):
        data = b"".join(parts)
        edges = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
        pieces = [data[a:b] for a, b in itertools.pairwise(edges)]
        whole, cut, bytewise = (
            read(ways, SMALL) for ways in ([data], pieces, [data[i : i + 1] for i in range(len(data))])
        )
        if isinstance(whole, tuple) and isinstance(whole[0], int):
            assert whole[0] == cut[0] == bytewise[0]
        else:
            assert whole == cut == bytewise


class Counted(bytes):
    """Bytes that count how many of them were looked at (a search that finds ends there)."""

    looked = 0

    def _range(self, start=0, stop=None):
        start, stop, _ = slice(start, stop).indices(len(self))
        return start, max(start, stop)

    def find(self, sub, *where):
        """As bytes.find."""
        start, stop = self._range(*where)
        at = super().find(sub, *where)
        # C's memchr, which finds one byte, is some sixteen times as fast as the search for two
        cost = (stop if at < 0 else at + len(sub)) - start
        Counted.looked += cost if len(sub) > 1 else cost // 16
        return at

    def count(self, sub, *where):
        """As bytes.count."""
        start, stop = self._range(*where)
        Counted.looked += stop - start
        return super().count(sub, *where)

    def __getitem__(self, key):
        found = super().__getitem__(key)
        Counted.looked += len(found) if isinstance(key, slice) else 1
        return found


class TestCost:
    """CVE-2023-43669: a head that comes byte by byte must not be read again for each byte"""

    @pytest.mark.parametrize("line, header", [(20, 8000), (4000, 8000), (8192, 4000)])
    def test_a_head_that_comes_byte_by_byte_costs_no_more_than_a_few_readings(self, line, header):
        data = line_of(line) + b"\r\nHost: h\r\nX: " + b"x" * header + b"\r\n\r\n"
        Counted.looked = 0
        ends = [find_end_of_head(Counted(data[: n + 1]), n) for n in range(len(data))]
        assert ends == [None] * (len(data) - 1) + [len(data)]
        # Without ``checked`` it is the square: some 60 million.  The request line's end may be
        # looked for again each time (one memchr).
        assert Counted.looked < 32 * len(data) + line * len(data) // 16

    def test_a_run_of_blanks_in_a_value_is_trimmed_in_linear_time(self):
        # A regular expression that trims tries every split; this test then takes minutes.
        value = b"a" + b" \t" * 4000 + b"b"
        assert parse_header(b"X:" + b" " * 4000 + value + b" " * 4000) == ("X", value.decode())


class TestResponses:
    """RFC 9112 §4"""

    @pytest.mark.parametrize("version", [(1, 0), (1, 1), (1, 2)])
    def test_a_request_is_written_byte_for_byte(self, version):
        request = Request("GET", "/chat?x=1", version, Headers([("Host", "h"), ("A", "")]))
        assert build_request(request) == b"GET /chat?x=1 HTTP/%d.%d\r\nHost: h\r\nA: \r\n\r\n" % version

    def test_a_response_is_written_byte_for_byte(self):
        response = Response(400, Headers([("Connection", "close"), ("A", "")]), b"no")
        assert build_response(response) == b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nA: \r\n\r\nno"

    @pytest.mark.parametrize("status_", [400, 401, 403, 404, 408, 414, 426, 431, 499, 500, 503, 505, 599])
    def test_any_status_that_an_error_may_have_can_be_written(self, status_):
        found, _ = parse_response(build_response(Response(status_, Headers())))
        assert found.status == status_

    def test_the_reason_phrases_are_those_of_rfc_9110(self):
        assert [reason_phrase(status_) for status_ in (101, 400, 414, 426, 499)] == [
            "Switching Protocols",
            "Bad Request",
            "URI Too Long",
            "Upgrade Required",
            "",
        ]
        assert reason_phrase(413).endswith("Too Large")

    @pytest.mark.parametrize(
        "name, value",
        [
            ("A", "x\r\nB: y"),
            ("A", "x\ny"),
            ("A", "x\ry"),
            ("A", "x\0y"),
            ("A", "x\x1by"),
            ("A", "x\x7fy"),
            ("A", "\u20ac"),
            ("A", "\u010a"),  # its low byte is LF
            ("A", "\n"),
            ("A\r\nB", "y"),
            ("A B", "y"),
            ("", "y"),
            ("A:", "y"),
            ("A: b\tC", "y"),
            ("A:B", "y"),
            (" A", "y"),
            ("Ä", "y"),
        ],
    )
    def test_a_header_that_http_cannot_carry_is_not_written(self, name, value):
        with pytest.raises(ValueError, match="header"):
            build_response(Response(200, Headers([(name, value)])))
        with pytest.raises(ValueError, match="header"):
            build_request(Request("GET", "/", (1, 1), Headers([(name, value)])))

    @pytest.mark.parametrize(
        "method, target",
        [
            ("GE T", "/"),
            ("GET", "/a b"),
            ("GET", "/\r\nA: b"),
            ("GET", "/#"),
            ("", "/"),
            ("GET", ""),
            ("GET", "/é"),
            ("GET\r\n", "/"),
        ],
    )
    def test_a_request_line_that_http_cannot_carry_is_not_written(self, method, target):
        with pytest.raises(ValueError, match="request line"):
            build_request(Request(method, target, (1, 1), Headers([("Host", "h")])))

    @pytest.mark.parametrize(
        "data",
        [
            b"HTTP/1.1 99 Low\r\n\r\n",
            b"HTTP/1.1 600 High\r\n\r\n",
            b"HTTP/1.1 1010 Long\r\n\r\n",
            b"HTTP/1.1  101 X\r\n\r\n",
            b"HTTP/1.1\t101 X\r\n\r\n",
            b"http/1.1 101 X\r\n\r\n",
            b"HTTP/1.12 101 X\r\n\r\n",
            b"HTTP/2.0 101 X\r\n\r\n",
            b"HTTP/1.0 101 Switching Protocols\r\n\r\n",
            b"ICY 200 OK\r\n\r\n",
            b"\0",
            b"\n",
            b"HTTP/1.1 101 X\r\nA: b\r\n\x81\x05hello",
            b" HTTP/1.1 101 X\r\n\r\n",
            b"\r\n\r\n",
            b"HTTP/1.1 101 X\x01\r\n\r\n",
            b"HTTP/1.1 101 X\0\r\n\r\n",
            b"HTTP/1.1 101 X\r\nA: b\nC: d\r\n\r\n",
            b"HTTP/1.1 101 X\r\nA: b\rC: d\r\n\r\n",
            b"HTTP/1.1 101 X\r\nA : b\r\n\r\n",
            b"HTTP/1.1 101 X\r\nA: b\r\n c\r\n\r\n",
            b"HTTP/1.1 101 X\r\nA\r\n\r\n",
            b"HTTP/1.1 101 X\r\nA: " + b"b" * 8190 + b"\r\n\r\n",
            b"HTTP/1.1 101 X\r\n" + b"A: b\r\n" * 101 + b"\r\n",
            b"HTTP/1.1 101 X\r\n" + b"A: b\r\n" * 101,  # no empty line can make it valid
            b"HTTP/1.1 101 X\r\nA: " + b"b" * 20000,
        ],
    )
    def test_what_is_no_response_is_a_bad_gateway_to_us(self, data):
        with pytest.raises(HTTPError) as caught:
            parse_response(data)
        assert caught.value.status == 502

    def test_the_first_line_that_cannot_be_one_is_named(self):
        with pytest.raises(HTTPError, match=r"'\\x81one' begins no header line"):
            parse_response(b"HTTP/1.1 101 X\r\nA: b\r\n\x81one\r\n\x82two")

    @pytest.mark.parametrize(
        "data",
        [
            b"HTTP/1.1 200\r\n\r\n",
            b"HTTP/1.0 200 OK\r\n\r\n",
            b"HTTP/1.1 200 \r\n\r\n",
            b"HTTP/1.0 404 Not \xe9\r\n\r\n",
        ],
    )
    def test_the_reason_phrase_may_be_anything_or_missing(self, data):
        found = parse_response(b"x" + data + b"body", 1)
        assert found is not None
        assert found[1] == 1 + len(data)

    def test_parse_response_says_none_for_every_shorter_head(self):
        data = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
        assert [n for n in range(len(data)) if parse_response(data[:n]) is not None] == []
        response, end = parse_response(data + b"\x81\n\r\0" + bytes(20_000))
        assert (response.status, list(response.headers), end) == (101, [("Upgrade", "websocket")], len(data))

    @pytest.mark.parametrize("size", range(30, 50))
    def test_the_limit_of_a_response_head_does_not_depend_on_the_cut(self, size):
        limits = Limits(max_head=40)
        data = b"HTTP/1.1 200 OK\r\n" + b"A: " + b"a" * (size - 24) + b"\r\n\r\n"
        assert len(data) == size

        def client(pieces):
            got = b""
            for piece in pieces:
                got += piece
                try:
                    found = parse_response(got, 0, limits)
                except HTTPError as error:
                    return error.status
                if found:
                    return found[1]
            return "more"

        assert every_way(client, data) == (size if size <= 40 else 502)
        words = "the response's head is larger than 40 bytes"
        with pytest.raises(HTTPError, match=words) if size > 40 else contextlib.nullcontext():
            assert parse_response(bytes(9) + data, 9, limits)[1] == size + 9


TOKENS = st.text("!#$%&'*+-.^_`|~09AZaz", min_size=1, max_size=8)
VALUES = st.text(st.characters(codec="latin-1").filter(lambda c: c == "\t" or (c >= " " and c != "\x7f")), max_size=20)
TARGETS = st.text(st.characters(min_codepoint=33, max_codepoint=126).filter(lambda c: c != "#"), max_size=20)


class TestRoundTrips:
    """What is built is what is parsed"""

    @prop
    @given(TOKENS, TARGETS, st.integers(0, 9), st.lists(st.tuples(TOKENS, VALUES), max_size=5))
    def test_a_request(self, method, target, minor, pairs):
        pairs = [("Host", "h"), *((n, v.strip(" \t")) for n, v in pairs if n.lower() != "host")]
        request = Request(method, "/" + target, (1, minor), Headers(pairs))
        wire = build_request(request)
        assert parse_request(wire + b"\0") == (request, len(wire))

    @prop
    @given(
        st.sampled_from([101, 200, 204, 400, 426, 503]), st.lists(st.tuples(TOKENS, VALUES), max_size=5), st.binary()
    )
    def test_a_response(self, status_, pairs, body):
        response = Response(status_, Headers([(n, v.strip(" \t")) for n, v in pairs]), body)
        wire = build_response(response)
        parsed, end = parse_response(wire)
        assert (parsed.status, parsed.headers, wire[end:]) == (status_, response.headers, body)

    @prop
    @given(st.text(max_size=10), st.text(max_size=10))
    def test_a_header_is_written_so_that_it_is_read_or_it_is_not_written(self, name, value):
        try:
            wire = build_response(Response(200, Headers([(name, value)])))
        except ValueError:
            return
        assert list(parse_response(wire)[0].headers) == [(name, value.strip(" \t"))]

    @prop
    @given(st.binary(max_size=60))
    def test_nothing_but_an_http_error_comes_out_of_random_bytes(self, data):
        for parse in (parse_request, parse_response):
            try:
                parse(data)
                parse(GOOD[:-2] + data + b"\r\n\r\n")
            except HTTPError as error:
                assert error.status in (0, 400, 414, 431, 502, 505)


class TestAuthorities:
    """RFC 3986 §3.2"""

    @pytest.mark.parametrize(
        "authority, default, wanted",
        [
            ("example.com", 80, ("example.com", 80)),
            ("Example.COM:8765", 80, ("example.com", 8765)),
            ("example.com:", 443, ("example.com", 443)),
            ("[::1]", 80, ("::1", 80)),
            ("[::1]:443", 80, ("::1", 443)),
            ("h:0", 80, ("h", 0)),
            ("h:65535", 80, ("h", 65535)),
            ("h:65536", 80, None),
            ("h:-1", 80, None),
            ("h:+1", 80, None),
            ("h:1_0", 80, None),
            ("h:\uff18", 80, None),
            ("[::1", 80, None),
        ],
    )
    def test_host_and_port(self, authority, default, wanted):
        assert host_and_port(authority, default) == wanted
