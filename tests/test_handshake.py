"""Chapters 2 to 5 and 11: a request to a 101, or to a refusal that says why."""

from __future__ import annotations

import base64
import hashlib
import random
import re
from email.utils import parsedate_to_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vectors import prop

from wsref.protocol.errors import HTTPError
from wsref.protocol.handshake import (
    RULES,
    accept_key,
    answer,
    choose_subprotocol,
    complete_upgrade,
    prefers_html,
    refusal,
    upgrade_required,
    validate,
    violations,
    wants_upgrade,
)
from wsref.protocol.http11 import Headers, Request, build_response, parse_request, parse_response
from wsref.protocol.origin import check_origin, is_loopback, origin_of

KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # §1.3
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # §1.3

GOOD = (
    ("Host", "example.com"),
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Key", KEY),
    ("Sec-WebSocket-Version", "13"),
)


def request(*extra, method="GET", target="/chat", version=(1, 1), without=(), **instead):
    """A good handshake, changed: ``Upgrade="h2c"`` replaces a header, ``without`` takes some away, extras come last."""
    instead = {name.replace("_", "-"): value for name, value in instead.items()}
    pairs = [(name, instead.get(name, value)) for name, value in GOOD if name not in without]
    assert set(instead) <= {name for name, _ in GOOD}
    return Request(method, target, version, Headers([*pairs, *extra]))


def names(broken):
    """The names of broken rules."""
    return [rule.name for rule, _ in broken]


class TestDetection:
    """Chapter 2; RFC 9110 §7.8, RFC 6455 §4.2.1"""

    @pytest.mark.parametrize(
        "connection", ["Upgrade", "upgrade", "UPGRADE", "keep-alive, Upgrade", "upgrade,keep-alive", ", ,\tuPgRaDe ,"]
    )
    def test_connection_is_a_list_in_any_case(self, connection):
        assert wants_upgrade(request(Connection=connection))

    @pytest.mark.parametrize(
        "connection", ["", "keep-alive", "Upgraded", "up grade", "Upgrade;x", '"Upgrade"', "close"]
    )
    def test_a_connection_that_does_not_name_upgrade_does_not_upgrade(self, connection):
        assert not wants_upgrade(request(Connection=connection))

    def test_connection_may_stand_on_several_lines(self):
        assert wants_upgrade(request(("connection", "x, upgrade"), Connection="keep-alive"))
        assert wants_upgrade(request(("Connection", "keep-alive")))

    @pytest.mark.parametrize("missing", ["Connection", "Upgrade"])
    def test_both_headers_are_needed(self, missing):
        assert not wants_upgrade(request(without=[missing]))

    def test_an_empty_upgrade_is_none(self):
        assert not wants_upgrade(request(Upgrade=" ,, "))

    @pytest.mark.parametrize("version, wanted", [((1, 0), False), ((1, 1), True), ((1, 2), True)])
    def test_an_upgrade_in_http_1_0_is_ignored(self, version, wanted):
        assert wants_upgrade(request(version=version)) is wanted

    def test_an_upgrade_to_something_else_is_an_upgrade_and_breaks_a_rule(self):
        assert wants_upgrade(request(Upgrade="h2c"))
        assert names(violations(RULES, request(Upgrade="h2c"))) == ["upgrade"]

    def test_the_order_of_headers_and_the_case_of_names_do_not_matter(self):
        pairs = [*GOOD, ("X-Anything", "1"), ("Cookie", "a=b")]
        chance = random.Random(6455)
        for _ in range(100):
            chance.shuffle(pairs)
            shape = chance.choice([str.lower, str.upper, str.title, str.swapcase])
            asked = Request("GET", "/", (1, 1), Headers([(shape(name), value) for name, value in pairs]))
            assert wants_upgrade(asked)
            assert violations(RULES, asked) == []


#: For each rule, requests that break it and no other.
BREAKS = {
    "method": [request(method=method) for method in ("POST", "HEAD", "CONNECT", "get", "Get", "GE", "GETS")],
    "upgrade": [
        request(Upgrade=name) for name in ("h2c", "foo", "web socket", "websockets", "websocket/13", "xwebsocket")
    ],
    "key": [
        request(without=["Sec-WebSocket-Key"]),
        request(("Sec-WebSocket-Key", KEY)),  # twice, though the same
        *(
            request(Sec_WebSocket_Key=key)
            for key in (
                "",
                "dGhlIHNhbXBsZQ==",  # 10 bytes
                base64.b64encode(bytes(8)).decode(),
                base64.b64encode(bytes(15)).decode(),
                base64.b64encode(bytes(17)).decode(),
                base64.b64encode(bytes(18)).decode(),  # 24 characters, but not 16 bytes
                base64.b64encode(bytes(32)).decode(),
                KEY[:-1],
                KEY[:-2],
                KEY + "=",
                KEY[:-2] + "=A",
                "=" + KEY[1:],
                KEY.replace("h", "-"),  # base64url
                KEY.replace("h", "_"),
                KEY.replace("h", "!"),
                KEY[:10] + " " + KEY[11:],
                KEY[:10] + " " + KEY[10:],
                KEY + ", " + KEY,
                KEY.replace("h", "\xe9"),
                KEY.replace("h", "\uff28"),
                KEY + "\n",
            )
        ),
    ],
    "version": [
        request(without=["Sec-WebSocket-Version"]),
        request(("Sec-WebSocket-Version", "13")),
        request(("Sec-WebSocket-Version", "8")),
        *(
            request(Sec_WebSocket_Version=version)
            for version in (
                "",
                "0",
                "7",
                "12",
                "14",
                "99",
                "256",
                "013",
                "08",
                "+13",
                "-13",
                "0xd",
                "13.0",
                "13, 8",
                "8, 13",
                "13,",
                "1_3",
                "1 3",
                "13;q=1",
                "\uff11\uff13",
                "\xb913",
                "XIII",
                "13\n",
            )
        ),
    ],
    "protocol": [
        request(("Sec-WebSocket-Protocol", value))
        for value in ("", " ", ",", "foo;bar", "a b", "a/b", "a, b c", "chat, chat", 'a"', "a@b", "\xe9", "a=b", "(a)")
    ]
    + [request(("Sec-WebSocket-Protocol", "a"), ("Sec-WebSocket-Protocol", "b, a"))],
    "extensions": [
        request(("Sec-WebSocket-Extensions", value))
        for value in (
            "",
            " ",
            ",",
            ";",
            "=",
            "foo;",
            "foo;=",
            "foo;=b",
            "foo;a=",
            "foo;a=b=c",
            "foo;;a",
            "foo a",
            "foo=a",
            "foo;a b",
            "foo,;a",
            'foo;a="',
            'foo;a="b',
            'foo;a="b" c',
            'foo;a="b"c',
            'foo;a="b c"',
            'foo;a=""',
            'foo;a="b,c"',
            'foo;"a"=b',
            '"foo"',
            "foo;a=b@",
            "f/oo",
            "foo;a=\xe9",
        )
    ]
    + [request(("Sec-WebSocket-Extensions", "foo"), ("Sec-WebSocket-Extensions", "bar; ="))],
    "body": [
        request(("Content-Length", value))
        for value in ("5", "-1", "+0", "1e1", "", "00", "0x0", "0, 5", "\uff10", "0 ")
    ]
    + [
        request(("Content-Length", "0"), ("Content-Length", "5")),
        request(("Transfer-Encoding", "chunked")),
        request(("Transfer-Encoding", "identity")),
        request(("Transfer-Encoding", "")),
        request(("Content-Length", "0"), ("Transfer-Encoding", "chunked")),
    ],
}


class TestRules:
    """Chapter 3; RFC 6455 §4.2.1, §4.4"""

    def test_a_good_handshake_breaks_no_rule(self):
        assert violations(RULES, request()) == []
        assert validate(request()) is None

    @pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
    def test_every_rule_is_broken_by_something_that_breaks_no_other(self, rule):
        assert BREAKS.get(rule.name), "no vector for this rule"
        for bad in BREAKS[rule.name]:
            assert names(violations(RULES, bad)) == [rule.name], bad

    def test_there_is_no_vector_for_a_rule_that_is_gone(self):
        assert [rule.name for rule in RULES] == list(BREAKS)

    @pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
    def test_a_refusal_says_the_rule_its_section_and_what_came(self, rule):
        for bad in BREAKS[rule.name]:
            ((_, came),) = violations(RULES, bad)
            with pytest.raises(HTTPError) as caught:
                validate(bad)
            assert caught.value.status == rule.status == 400
            assert caught.value.headers == rule.headers
            assert f"{rule.text}; received {came} ({rule.section})" in str(caught.value)
            assert "\n" not in str(caught.value)
            assert came.isascii()

    @pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
    def test_a_rule_names_a_section(self, rule):
        assert re.match(r"RFC \d+ §\d", rule.section)

    def test_several_broken_at_once_are_all_named_in_the_order_of_the_table(self):
        bad = Request(
            "POST",
            "/",
            (1, 1),
            Headers(
                [
                    ("Upgrade", "h2c"),
                    ("Connection", "Upgrade"),
                    ("Sec-WebSocket-Protocol", ","),
                    ("Sec-WebSocket-Extensions", ";"),
                    ("Content-Length", "5"),
                ]
            ),
        )
        assert names(violations(RULES, bad)) == [
            "method",
            "upgrade",
            "key",
            "version",
            "protocol",
            "extensions",
            "body",
        ]
        with pytest.raises(HTTPError) as caught:
            validate(bad)
        lines = str(caught.value).split("\n")
        assert len(lines) == len(RULES)
        for line, rule in zip(lines, RULES, strict=True):
            assert line.startswith(rule.text)
            assert rule.section in line
        assert ("Sec-WebSocket-Version", "13, 8") in caught.value.headers

    def test_what_came_is_named_or_counted(self):
        came = {
            rule.name: came
            for rule, came in violations(RULES, request(("Sec-WebSocket-Key", KEY), Sec_WebSocket_Version="7"))
        }
        assert came == {"key": f"'{KEY}, {KEY}'", "version": "'7'"}
        assert [came for _, came in violations(RULES, request(without=["Sec-WebSocket-Key"]))] == ["nothing"]

    @pytest.mark.parametrize("version", ["13", "8"])
    def test_versions_13_and_8_are_taken(self, version):
        assert violations(RULES, request(Sec_WebSocket_Version=version)) == []

    @pytest.mark.parametrize("upgrade", ["websocket", "WebSocket", "WEBSOCKET", "h2c, websocket", ",websocket"])
    def test_upgrade_is_a_list_in_any_case(self, upgrade):
        assert violations(RULES, request(Upgrade=upgrade)) == []

    def test_upgrade_may_stand_on_two_lines(self):
        assert violations(RULES, request(("Upgrade", "websocket"), Upgrade="h2c")) == []

    @pytest.mark.parametrize(
        "key", ["AAAAAAAAAAAAAAAAAAAAAA==", "////////////////////+w==", "dGhlIHNhbXBsZSBub25jZR=="]
    )
    def test_a_key_of_22_characters_and_two_signs_is_taken(self, key):
        assert violations(RULES, request(Sec_WebSocket_Key=key)) == []

    @prop
    @given(st.binary(min_size=16, max_size=16))
    def test_any_16_bytes_are_a_key(self, key):
        assert violations(RULES, request(Sec_WebSocket_Key=base64.b64encode(key).decode())) == []

    @prop
    @given(st.binary(max_size=40).filter(lambda key: len(key) != 16))
    def test_any_other_number_of_bytes_is_none(self, key):
        assert names(violations(RULES, request(Sec_WebSocket_Key=base64.b64encode(key).decode()))) == ["key"]

    def test_a_content_length_of_0_is_no_body(self):
        assert violations(RULES, request(("Content-Length", "0"))) == []
        assert violations(RULES, request(("Content-Length", "0"), ("Content-Length", "0"))) == []

    def test_protocols_over_several_lines_are_one_list(self):
        assert violations(RULES, request(("Sec-WebSocket-Protocol", "a, b"), ("sec-websocket-protocol", "c"))) == []

    def test_a_list_of_subprotocols_with_thousands_of_blanks_costs_nothing(self):  # CVE-2021-32640
        assert names(violations(RULES, request(("Sec-WebSocket-Protocol", "a" + " " * 7900 + "b")))) == ["protocol"]


class TestAccept:
    """Chapter 4; RFC 6455 §1.3, §4.2.2"""

    def test_the_key_of_the_rfc_has_the_answer_of_the_rfc(self):
        assert accept_key(KEY) == ACCEPT

    @prop
    @given(st.binary(min_size=16, max_size=16))
    def test_any_key_has_the_answer_that_hashlib_gives(self, octets):
        key = base64.b64encode(octets)
        digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        assert accept_key(key.decode()).encode() == base64.b64encode(digest)

    def test_the_answer_is_that_of_the_characters_not_of_the_bytes(self):
        twin = KEY[:-3] + "R=="  # other characters, the same 16 bytes
        assert base64.b64decode(twin) == base64.b64decode(KEY)
        assert accept_key(twin) != accept_key(KEY)

    def test_the_101_is_these_bytes(self):
        assert build_response(complete_upgrade(request())) == (
            b"HTTP/1.1 101 Switching Protocols\r\n"
            b"Upgrade: websocket\r\n"
            b"Connection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
            b"\r\n"
        )

    def test_the_101_echoes_the_subprotocol_once_and_nothing_that_was_not_asked_for(self):
        asked = request(("Sec-WebSocket-Protocol", "chat, b"), ("Sec-WebSocket-Extensions", "foo"))
        response = complete_upgrade(asked, "b")
        assert response.headers.lines("Sec-WebSocket-Protocol") == ["b"]
        assert "Sec-WebSocket-Extensions" not in response.headers
        assert len(response.headers) == 4

    @pytest.mark.parametrize("chosen", ["c", "", "Chat", "chat, b", "a\r\nX: 1", " chat"])
    def test_a_subprotocol_that_was_not_offered_is_never_sent(self, chosen):
        with pytest.raises(ValueError, match="did not offer"):
            complete_upgrade(request(("Sec-WebSocket-Protocol", "chat, b")), chosen)

    def test_a_subprotocol_is_never_sent_to_who_offers_none(self):
        with pytest.raises(ValueError, match="did not offer"):
            complete_upgrade(request(), "chat")

    @pytest.mark.parametrize(
        "offered, supported, chosen",
        [
            (["chat"], ["chat"], "chat"),
            (["a, b"], ["b", "a"], "b"),  # our order: the best of ours first
            (["a", "b"], ["b"], "b"),
            (["a"], ["b"], None),
            (["a"], [], None),
            ([], ["a"], None),
            (["Chat"], ["chat"], None),  # names are case-sensitive
            (["a b"], ["a"], None),
        ],
    )
    def test_the_first_of_ours_that_is_offered_is_chosen(self, offered, supported, chosen):
        asked = request(*[("Sec-WebSocket-Protocol", line) for line in offered])
        assert choose_subprotocol(asked, supported) == chosen
        assert choose_subprotocol(asked, iter(supported)) == chosen


def admitted(origin, *, host="192.0.2.7", allowed=(), secure=False, loopback=False, extra=(), version="13"):
    """Whether a page of that origin may connect; ``origin`` may be None, a value, or several."""
    lines = [] if origin is None else [origin] if isinstance(origin, str) else origin
    asked = request(*[("Origin", line) for line in lines], *extra, Host=host, Sec_WebSocket_Version=version)
    try:
        check_origin(asked, allowed=allowed, secure=secure, loopback=loopback)
    except HTTPError as error:
        assert error.status == 403
        assert "§10.2" in error.section
        assert error.reason.isascii()
        assert "\n" not in error.reason
        return False
    return True


class TestOrigin:
    """Chapter 11; RFC 6455 §10.2, RFC 6454"""

    def test_no_origin_is_no_browser(self):
        assert origin_of(request()) is None
        assert admitted(None)
        assert admitted(None, loopback=True)

    @pytest.mark.parametrize(
        "origin, host, secure",
        [
            ("http://192.0.2.7", "192.0.2.7", False),
            ("http://192.0.2.7", "192.0.2.7:80", False),
            ("http://192.0.2.7:80", "192.0.2.7", False),
            ("http://localhost:8765", "localhost:8765", False),
            ("https://example.com", "example.com", True),
            ("https://example.com", "EXAMPLE.com", True),
            ("https://example.com", "example.com:443", True),
            ("https://example.com:8765", "example.com:8765", True),
            ("http://[2001:db8::1]:8765", "[2001:db8::1]:8765", False),
        ],
    )
    def test_a_page_of_this_very_server_may_connect(self, origin, host, secure):
        assert admitted(origin, host=host, secure=secure)

    @pytest.mark.parametrize("host", ["evil.example", "evil.example:8765", "192.0.2.7.evil.example", "a", "1"])
    def test_a_name_without_tls_may_be_made_to_point_here_and_must_be_allowed(self, host):
        origin = f"http://{host}"
        assert not admitted(origin, host=host)
        assert admitted(origin, host=host, allowed=[origin])
        with pytest.raises(HTTPError, match=rf"any name may be made to point here\); .*--allow-origin {origin}"):
            check_origin(request(("Origin", origin), Host=host), secure=False, loopback=False)

    @pytest.mark.parametrize(
        "origin",
        [
            "https://evil.com",
            "http://evil.com",
            "https://192.0.2.7",  # another scheme
            "https://192.0.2.7:80",
            "http://192.0.2.7:81",  # another port
            "http://192.0.2.7:443",
            "http://192.0.2.7:0",
            "http://192.0.2.7:65536",
            "http://192.0.2.7.evil.com",
            "http://192.0.2.7evil",
            "http://evil192.0.2.7",
            "http://sub.192.0.2.7",
            "http://192.0.2.7.",
            "http://192.0.2.7@evil.com",
            "http://evil.com/192.0.2.7",
            "http://192.0.2.7/",
            "http://192.0.2.7#",
            "http://192.0.2.7 ",
            "HTTP://192.0.2.7",
            "http://EXAMPLE.COM",
            "//192.0.2.7",
            "192.0.2.7",
            "ws://192.0.2.7",
            "file://",
            "null",
            "NULL",
            "",
            "*",
            "http://",
            "http://192.0.2.7, http://192.0.2.7",
            "http://192.0.2.7 http://evil.com",
            "http://ex\xe4mple.com",
            "http://192.0.2.7\x1b[31m",
        ],
    )
    def test_any_other_page_may_not(self, origin):
        assert not admitted(origin)

    @pytest.mark.parametrize("origins", [["http://192.0.2.7"] * 2, ["http://192.0.2.7", "http://evil.com"], ["", ""]])
    def test_two_origin_lines_are_no_origin(self, origins):
        assert not admitted(origins)
        assert not admitted(origins, allowed=["http://192.0.2.7", "http://evil.com", ""])
        assert not admitted(origins, allowed=("http://192.0.2.7",), loopback=True)

    def test_the_allow_list_is_compared_exactly(self):
        allowed = ["https://good.com", "http://good.com:81"]
        assert admitted("https://good.com", allowed=allowed)
        assert admitted("http://good.com:81", allowed=allowed)
        for origin in (
            "https://good",
            "https://good.evil",
            "https://good.com.evil",
            "https://good.com:443",
            "http://good.com",
            "HTTPS://good.com",
            "https://GOOD.com",
            "https://good.com/",
            "null",
        ):
            assert not admitted(origin, allowed=allowed)

    def test_the_allow_list_adds_to_the_same_origin(self):
        assert admitted("http://192.0.2.7", allowed=["https://good.com"])

    def test_null_is_let_in_by_name_only(self):
        assert admitted("null", allowed=["null"])
        assert not admitted("null", loopback=True, host="localhost:8765")
        with pytest.raises(HTTPError, match=r"opened as a file.*--allow-origin null"):
            check_origin(request(("Origin", "null")), secure=False, loopback=False)
        for origin in ("a://h", "ws://h"):
            with pytest.raises(HTTPError, match=r"may not connect here; to let"):
                check_origin(request(("Origin", origin)), secure=False, loopback=False)

    def test_a_star_lets_everybody_in(self):
        assert admitted("https://evil.com", allowed=["*"])
        assert admitted("null", allowed={"*"}, loopback=True)

    @pytest.mark.parametrize("secure", [False, True])
    @pytest.mark.parametrize("host", ["localhost:8765", "127.0.0.1:8765", "[::1]:8765", "127.1.2.3", "app.localhost"])
    @pytest.mark.parametrize(
        "origin", ["http://localhost:3000", "https://127.0.0.1", "http://[::1]:1", "http://localhost"]
    )
    def test_a_loopback_server_takes_any_page_of_this_machine(self, origin, host, secure):
        assert admitted(origin, host=host, loopback=True, secure=secure)

    @pytest.mark.parametrize(
        "origin, host",
        [
            ("http://evil.com", "localhost:8765"),
            ("http://evil.com:8765", "evil.com:8765"),  # DNS rebinding: evil.com points to 127.0.0.1
            ("http://localhost:3000", "evil.com:8765"),
            ("http://127.0.0.1.evil.com", "127.0.0.1"),
            ("http://localhost.evil.com", "localhost"),
            ("http://evillocalhost", "localhost"),
            ("http://localhost", "127.0.0.1.evil.com"),
            ("http://localhost", "localhost:99999"),
            ("http://10.0.0.1", "localhost"),
            ("http://0.0.0.0", "localhost"),
            ("http://[::2]", "localhost"),
            ("http://2130706433", "localhost"),  # 127.0.0.1 in one number
            ("http://0177.0.0.1", "localhost"),
            ("ftp://localhost", "localhost"),
            ("null", "localhost"),
            ("", "localhost"),
            ("http://LOCALHOST", "localhost"),
        ],
    )
    def test_a_loopback_server_takes_no_other(self, origin, host):
        assert not admitted(origin, host=host, loopback=True)

    def test_a_server_for_the_world_does_not_trust_localhost(self):
        assert not admitted("http://localhost:3000")
        assert not admitted("http://127.0.0.1", host="localhost")

    @pytest.mark.parametrize(
        "host, wanted",
        [
            ("localhost", True),
            ("a.localhost", True),
            ("127.255.255.254", True),
            ("::1", True),
            ("localhost.", False),
            ("128.0.0.1", False),
            ("", False),
            ("xlocalhost", False),
            ("::2", False),
        ],
    )
    def test_is_loopback(self, host, wanted):
        assert is_loopback(host) is wanted

    def test_version_8_names_its_origin_otherwise(self):
        evil, good = ("Sec-WebSocket-Origin", "http://evil.com"), ("Sec-WebSocket-Origin", "http://192.0.2.7")
        assert not admitted(None, extra=[evil], version="8")
        assert admitted(None, extra=[good], version="8")
        assert not admitted(None, extra=[good, evil], version="8")
        assert not admitted("http://evil.com", version="8")  # its usual name counts all the same
        assert admitted("http://192.0.2.7", version="8")

    def test_no_other_version_reads_the_name_of_version_8(self):
        for version in ("13", "7", "9", "88"):
            assert origin_of(request(("Sec-WebSocket-Origin", "http://a"), Sec_WebSocket_Version=version)) is None
        assert origin_of(request(("Sec-WebSocket-Origin", "http://a"), without=["Sec-WebSocket-Version"])) is None
        assert not admitted("http://evil.com", extra=[("Sec-WebSocket-Origin", "http://192.0.2.7")])

    def test_the_403_names_the_flag_that_lets_the_page_in(self):
        with pytest.raises(HTTPError, match=r"--allow-origin https://good\.com \(in a program: allowed_origins\)"):
            check_origin(request(("Origin", "https://good.com")), secure=False, loopback=False)

    @pytest.mark.parametrize(
        "origin", ["https://a.com; rm -rf /", "https://a.com$(x)", "https://a.com\x1b[31m", "https://" + "a" * 200]
    )
    def test_the_403_never_suggests_to_paste_what_is_no_origin(self, origin):
        with pytest.raises(HTTPError) as caught:
            check_origin(request(("Origin", origin)), secure=False, loopback=False)
        assert "--allow-origin" not in caught.value.reason
        assert "\x1b" not in caught.value.reason
        assert len(caught.value.reason) < 300

    @pytest.mark.parametrize("size", [100, 101])
    def test_the_403_shows_at_most_100_characters_of_an_origin(self, size):
        origin = "https://" + "a" * (size - 8)
        with pytest.raises(HTTPError) as caught:
            check_origin(request(("Origin", origin)), secure=False, loopback=False)
        whole = f"pages from origin '{origin}' may not connect here; to let it in: --allow-origin {origin} ("
        cut = f"pages from origin '{origin[:100]}...' (101 characters) may not connect here"
        assert caught.value.reason.startswith(whole) if size == 100 else caught.value.reason == cut

    def test_the_host_of_an_absolute_target_counts_and_not_the_host_header(self):  # RFC 9112 §3.2.2, a MUST
        asked = request(("Origin", "http://evil.com"), target="http://example.com/chat", Host="evil.com")
        with pytest.raises(HTTPError):
            check_origin(asked, secure=False, loopback=False)
        with pytest.raises(HTTPError):
            rebound = request(("Origin", "http://localhost"), target="http://evil.com/chat", Host="localhost")
            check_origin(rebound, secure=False, loopback=True)
        asked = request(("Origin", "http://192.0.2.7"), target="http://192.0.2.7/chat", Host="proxy")
        check_origin(asked, secure=False, loopback=False)


def strictly(response):
    """The response, read from its bytes by our own strict parser; its body must be as long as it says."""
    wire = build_response(response)
    parsed, end = parse_response(wire)
    assert parsed.headers.lines("Content-Length") == [str(len(wire) - end)]
    assert wire.count(b"\n") == wire[:end].count(b"\r\n") + wire[end:].count(b"\n")
    for name in ("Date", "Connection", "Content-Type", "Content-Length"):
        assert len(parsed.headers.lines(name)) == 1
    assert parsedate_to_datetime(parsed.headers.get("Date"))
    assert parsed.headers.get("Date").endswith(" GMT")
    assert parsed.headers.get("X-Content-Type-Options") == "nosniff"
    assert "close" in parsed.headers.elements("Connection")
    return parsed, wire[end:]


class TestRefusals:
    """Chapter 3; RFC 9110 §6.6.1, RFC 9112 §9.6"""

    def test_a_refusal_says_all_reasons_one_on_a_line(self):
        with pytest.raises(HTTPError) as caught:
            validate(request(method="POST", Sec_WebSocket_Version="7"))
        response, body = strictly(refusal(caught.value))
        assert response.status == 400
        assert response.headers.get("Sec-WebSocket-Version") == "13, 8"
        assert response.headers.elements("Connection") == ["close"]
        title, empty, *lines = body.decode().splitlines()
        assert (title, empty) == ("400 Bad Request", "")
        assert [line[:18] for line in lines] == ["- the method must ", "- there must be on"]
        assert all("(RFC 6455 §4." in line for line in lines)

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 414, 431, 499, 500, 503, 505, 599])
    def test_any_status_and_any_headers_that_an_error_may_have(self, status):
        response, body = strictly(
            refusal(HTTPError(status, "no", "RFC 1 §2", headers=(("WWW-Authenticate", "Basic"),)))
        )
        assert response.status == status
        assert response.headers.get("www-authenticate") == "Basic"
        assert response.headers.elements("Connection") == ["close"]
        assert body.startswith(b"%d" % status)
        assert body.endswith("\n- no (RFC 1 §2)\n".encode())

    @pytest.mark.parametrize("nasty", ["\x1b[31m", "\x07", "\x9b", "\x7f", "\u202e", "\xff"])
    def test_no_control_character_is_reflected(self, nasty):
        bad = request(
            ("Sec-WebSocket-Protocol", f"a{nasty} b"),
            ("Sec-WebSocket-Extensions", f"a; {nasty}"),
            ("Content-Length", nasty),
            method=f"P{nasty}",
            Upgrade=f"x{nasty}",
            Sec_WebSocket_Key=nasty,
            Sec_WebSocket_Version=nasty,
        )
        with pytest.raises(HTTPError) as caught:
            validate(bad)
        _, body = strictly(refusal(caught.value))
        assert len(body.splitlines()) == 2 + len(RULES)
        assert nasty not in body.decode()
        assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]", body)

    def test_a_refusal_of_a_large_head_is_small(self):
        big = "x" * 8000
        bad = request(
            ("Sec-WebSocket-Protocol", f"{big} {big}"),
            ("Content-Length", big),
            method=big,
            Upgrade=big,
            Sec_WebSocket_Key=big,
            Sec_WebSocket_Version=big,
        )
        with pytest.raises(HTTPError) as caught:
            validate(bad)
        assert len(build_response(refusal(caught.value))) < 1600

    def test_a_refusal_of_junk_is_smaller_still(self):
        with pytest.raises(HTTPError) as caught:
            parse_request(b"x" * 16384 + b"\r\n\r\n")
        assert len(build_response(refusal(caught.value))) < 500

    def test_the_headers_of_an_answer_may_be_any_iterable(self):
        response, _ = strictly(answer(426, b"", headers=iter([("Upgrade", "websocket"), ("A", "b")])))
        assert response.headers.get("Upgrade") == "websocket"
        assert response.headers.get("A") == "b"
        assert response.headers.elements("Connection") == ["Upgrade", "close"]


class TestFallback:
    """Chapter 5; RFC 9110 §15.5.22"""

    browser = request(("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"))
    curl = request(("Accept", "*/*"))

    @pytest.mark.parametrize("asked", [browser, curl])
    @pytest.mark.parametrize("page", [b"", b"<p>page</p>"])
    def test_a_426_carries_upgrade_and_connection(self, asked, page):
        response, _ = strictly(upgrade_required(asked, page, "ws://h/"))
        assert response.status == 426
        assert response.headers.lines("Upgrade") == ["websocket"]
        assert [option.lower() for option in response.headers.elements("Connection")] == ["upgrade", "close"]

    def test_a_browser_gets_the_page_and_curl_gets_text(self):
        response, body = strictly(upgrade_required(self.browser, b"<p>page</p>", "ws://h/"))
        assert body == b"<p>page</p>"
        assert response.headers.get("Content-Type") == "text/html; charset=utf-8"
        response, body = strictly(upgrade_required(self.curl, b"<p>page</p>", "ws://h/"))
        assert response.headers.get("Content-Type") == "text/plain; charset=utf-8"
        assert b'new WebSocket("ws://h/")' in body
        assert b"page" in body
        assert response.headers.get("Vary") == "Accept"

    def test_without_a_page_everybody_gets_text(self):
        response, body = strictly(upgrade_required(self.browser, b"", "ws://h/"))
        assert response.headers.get("Content-Type") == "text/plain; charset=utf-8"
        assert b"a browser that" not in body.lower()

    @pytest.mark.parametrize(
        "accept, wanted",
        [
            ([], False),
            ([""], False),
            (["*/*"], False),
            (["text/*"], False),
            (["text/html"], True),
            (["TEXT/HTML"], True),
            (["text/html, */*;q=0.8"], True),
            (["text/html;q=0.9,*/*;q=0.8"], True),
            (["text/html", "text/plain"], False),
            (["text/plain, text/html"], False),
            (["text/plain;q=0.5, text/html;q=0.6"], True),
            (["text/plain", "text/html;q=0.9"], False),
            (["text/plain;q=0.1", "text/html;q=0.2"], True),
            (["text/html;q=0"], False),
            (["text/html;q=0.000"], False),
            (["text/html;q=0.001"], True),
            (["text/html;q=0.5, */*"], False),  # text/plain is one of */*, and ranks above
            (["text/html;q=0.5, text/*"], False),
            (["text/html;q=0.5, text/*;q=0.4, */*"], True),
            (["text/*, text/plain;q=0.1"], True),
            (["text/html;level=1"], True),
            (["text/html ; q=1.0 , text/plain ; Q=0.9"], True),
            (["text/html;q=2"], False),
            (["text/html;q=-1"], False),
            (["text/html;q=nan"], False),
            (["text/html;q=1e1"], False),
            (["text/html;q=1.5, text/plain"], False),
            (["text/htmlx, application/text/html"], False),
            (["image/*, */*"], False),
        ],
    )
    def test_prefers_html(self, accept, wanted):
        assert prefers_html(request(*[("Accept", line) for line in accept])) is wanted
