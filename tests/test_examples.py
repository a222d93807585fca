"""The programs that the how-to pages show: each is run as it stands there."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import subprocess
import sys
import threading
import types
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from conftest import DEADLINE, found, require, wait_until
from rawclient import CLOSE, PING, PONG, TEXT, connected, frame, text, upgrade
from test_browser import CHROMEDRIVER, CHROMIUM, FLAGS, MISSING, started

from wsref import ConnectionClosed, Echo, HandshakeFailed, WebSocketHandler, connect, running
from wsref.check.clients.cases import select
from wsref.check.clients.grader import Grader, Plan
from wsref.check.verdict import Outcome
from wsref.cli.serve import tls_context

try:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service
except ImportError:
    webdriver = None

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "docs" / "examples"
sys.path.append(str(EXAMPLES))

PROXY_V2 = b"\r\n\r\n\0\r\nQUIT\n"  # the signature of the PROXY protocol's version 2

ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(ROOT),
    "PYTHONUNBUFFERED": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "NO_COLOR": "1",
}


def run(*command: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=cwd, env={**ENVIRONMENT, **environment}, text=True, capture_output=True, timeout=60
    )


@contextlib.contextmanager
def serving(name: str, cwd: Path = EXAMPLES) -> Iterator[str]:
    """Run an example that serves, on any free port; its URL."""
    with subprocess.Popen(
        [sys.executable, str(EXAMPLES / name), "0"],
        cwd=cwd,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            url = re.search(r"wss?://127\.0\.0\.1:[0-9]+", line)
            assert url, line
            yield url[0]
        finally:
            process.terminate()


def at(url: str) -> types.SimpleNamespace:
    """What ``rawclient.connected`` wants to know of a server."""
    host, _, port = url.partition("://")[2].rpartition(":")
    return types.SimpleNamespace(server_address=(host, int(port)))


def test_every_example_is_shown_on_a_page_and_tried_here():
    pages = "\n".join(path.read_text("utf-8") for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts)
    here = Path(__file__).read_text("utf-8")
    for path in EXAMPLES.iterdir():
        if path.suffix in (".py", ".sh"):
            assert path.name in pages, path
            assert re.search(rf"\b{path.stem}\b", here), path


class TestAuthentication:
    """authentication.py."""

    @pytest.fixture
    def members(self, serve):
        import authentication

        class Impatient(authentication.Members):
            IDLE_TIMEOUT = 0.2

        return serve(Impatient).url

    @pytest.mark.parametrize(
        "cookies, name",
        [("session=7f3kQ0cXw2", "ann"), ("theme=dark; session=Zt81LmN4vB; x", "bob")],
    )
    def test_a_cookie_that_is_known(self, members, cookies, name):
        with connect(f"{members}/cookie", headers={"Cookie": cookies}) as ws:
            assert ws.recv(DEADLINE) == f"hello, {name}"
            ws.send("hi")
            assert ws.recv(DEADLINE) == f"{name}: hi"

    @pytest.mark.parametrize("cookies", [None, "", "session=", "session=wrong", "xsession=7f3kQ0cXw2", "7f3kQ0cXw2"])
    def test_a_cookie_that_is_not(self, members, cookies):
        with pytest.raises(HandshakeFailed) as caught:
            connect(f"{members}/cookie", headers={} if cookies is None else {"Cookie": cookies})
        assert caught.value.status == 403

    def test_a_token_in_the_query(self, members):
        with connect(f"{members}/query?token=7f3kQ0cXw2") as ws:
            assert ws.recv(DEADLINE) == "hello, ann"
        for query in ("", "?token=", "?token=wrong", "?token=%C3%A4"):
            with pytest.raises(HandshakeFailed, match="403"):
                connect(f"{members}/query{query}")

    def test_a_token_in_the_first_message(self, members):
        with connect(f"{members}/first-message") as ws:
            ws.send("Zt81LmN4vB")
            assert ws.recv(DEADLINE) == "hello, bob"
            ws.send("7f3kQ0cXw2")  # now a message like any other
            assert ws.recv(DEADLINE) == "bob: 7f3kQ0cXw2"

    @pytest.mark.parametrize("first", ["wrong", b"7f3kQ0cXw2", None])
    def test_no_token_in_the_first_message(self, members, first):
        with connect(f"{members}/first-message") as ws:
            if first is not None:
                ws.send(first)
            with pytest.raises(ConnectionClosed) as caught:
                ws.recv(DEADLINE)
        assert caught.value.code == 4401


class TestServers:
    """Those that serve, run as programs."""

    def test_allowed_origin(self):
        with serving("allowed_origin.py") as url:
            for origin, allowed in [
                (None, True),
                ("https://example.com", True),
                ("http://localhost:3000", True),
                ("http://example.com", False),
                ("null", False),
            ]:
                with contextlib.ExitStack() as stack:
                    if not allowed:
                        stack.enter_context(pytest.raises(HandshakeFailed, match="403"))
                    stack.enter_context(connect(url, origin=origin))

    def test_impatient(self):
        with serving("impatient.py") as url, connected(at(url)) as client:
            assert client.frame() == (PING, b"")
            client.send(frame(PONG))
            assert client.frame() == (PING, b"")
            assert client.rest() == b""  # not answered: cut

    def test_small(self):
        with serving("small.py") as url:
            with connected(at(url)) as client:
                client.send(text("x" * 16))
                assert client.frame() == (TEXT, b"x" * 16)
                client.send(text("x" * 17))
                assert client.frame()[0] == CLOSE
            with connected(at(url), None) as client:
                client.send(upgrade(Cookie="x" * 600))
                assert client.head().startswith("HTTP/1.1 431 ")

    @pytest.mark.parametrize(
        "header, client",
        [
            (b"PROXY TCP4 192.0.2.7 198.51.100.1 51234 443\r\n", "192.0.2.7:51234 101"),
            (b"PROXY TCP6 2001:db8::7 2001:db8::1 51234 443\r\n", "[2001:db8::7]:51234 101"),
            (b"PROXY UNKNOWN\r\n", "127.0.0.1:"),
            (PROXY_V2 + bytes.fromhex("2111 000c c0000207 c6336401 c822 01bb"), "192.0.2.7:51234 101"),
            (PROXY_V2 + b"\x21\x21\0\x27" + bytes(32) + bytes.fromhex("c822 01bb 040000"), "[::]:51234 101"),
            (PROXY_V2 + bytes.fromhex("2000 0000"), "127.0.0.1:"),  # LOCAL: the load balancer itself
        ],
    )
    def test_proxy_protocol(self, log, header, client):
        from proxy_protocol import BehindProxy

        with BehindProxy(("127.0.0.1", 0), Echo).start() as server, connected(server, None) as peer:
            for piece in (header[:5], header[5:], upgrade()):
                peer.send(piece)
            assert peer.head().startswith("HTTP/1.1 101 ")
        assert client in log.text

    @pytest.mark.parametrize(
        "header", [b"", b"PROXY " + b"x" * 200, b"PROXY TCP4 here there 1 2\r\n", PROXY_V2 + b"\x11\x11\0\0"]
    )
    def test_proxy_protocol_without_a_valid_header(self, header):
        from proxy_protocol import BehindProxy

        with BehindProxy(("127.0.0.1", 0), Echo).start() as server, connected(server, None) as peer:
            with contextlib.suppress(OSError):  # the server may close before it has read everything
                peer.send(header + upgrade())
            with contextlib.suppress(OSError):
                assert peer.rest() == b""

    def test_proxy_protocol_as_a_program(self):
        with serving("proxy_protocol.py") as url, connected(at(url), None) as peer:
            peer.send(b"PROXY TCP4 192.0.2.7 198.51.100.1 51234 443\r\n" + upgrade())
            assert peer.head().startswith("HTTP/1.1 101 ")

    def test_healthz(self):
        with subprocess.Popen(
            [sys.executable, str(EXAMPLES / "healthz.py"), "0"], env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
        ) as process:
            try:
                url, port = re.fullmatch(
                    r"listening on (ws://\S+), for health checks on port (\d+)\n", process.stdout.readline()
                ).groups()

                def health():
                    with urlopen(f"http://127.0.0.1:{port}/healthz", timeout=DEADLINE) as answer:
                        return answer.status, answer.read()

                with connect(url):
                    wait_until(lambda: health() == (200, b"1 connections\n"))  # its on_open is behind the 101
                    with pytest.raises(HTTPError, match="404"):
                        urlopen(f"http://127.0.0.1:{port}/", timeout=DEADLINE)
            finally:
                process.terminate()

    def test_slow_work_answers_pings_while_it_works(self, monkeypatch):
        import slow_work

        begun, go_on = threading.Semaphore(0), threading.Event()

        def compute(message):
            begun.release()
            assert go_on.wait(DEADLINE)
            return f"the answer to {message}"

        monkeypatch.setattr(slow_work, "compute", compute)
        with running(slow_work.Slow) as server, connect(server.url) as ws:
            for message in ("1", "2"):
                ws.send(message)
            assert begun.acquire(timeout=DEADLINE)
            assert ws.ping(timeout=DEADLINE) < DEADLINE  # it works, and answers
            go_on.set()
            assert [ws.recv(DEADLINE), ws.recv(DEADLINE)] == ["the answer to 1", "the answer to 2"]

    def test_slow_work_refuses_too_many_jobs(self, monkeypatch):
        import slow_work

        go_on = threading.Event()
        monkeypatch.setattr(slow_work, "compute", lambda message: go_on.wait(DEADLINE) and message)
        with running(slow_work.Slow) as server, connect(server.url) as ws:
            for n in range(slow_work.MAX_JOBS + 1):
                ws.send(str(n))
            with pytest.raises(ConnectionClosed) as caught:
                ws.recv(DEADLINE)
            go_on.set()
        assert caught.value.code == 1008

    def test_slow_work_as_a_program(self):
        with serving("slow_work.py") as url, connect(url) as ws:
            ws.send("it")
            assert ws.recv(DEADLINE) == "the answer to it"

    def test_wss_server_and_wss_client_with_make_certificate(self, tmp_path):
        require(found("openssl"), "openssl is not installed")
        made = run("sh", "-e", str(EXAMPLES / "make-certificate.sh"), cwd=tmp_path)
        assert made.returncode == 0, made.stderr
        assert (tmp_path / "key.pem").stat().st_mode & 0o077 == 0  # nobody else can read it
        with serving("wss_server.py", tmp_path) as url:
            client = str(EXAMPLES / "wss_client.py")
            for host in ("127.0.0.1", "localhost"):
                done = run(sys.executable, client, url.replace("127.0.0.1", host), cwd=tmp_path)
                assert (done.returncode, done.stdout) == (0, "hi\n"), done.stderr
            done = subprocess.run(
                [sys.executable, "-m", "wsref", "connect", url],
                env={**ENVIRONMENT, "SSL_CERT_FILE": str(tmp_path / "cert.pem")},
                input="hi\n",
                text=True,
                capture_output=True,
                timeout=60,
            )
            assert (done.returncode, done.stdout) == (0, "hi\n"), done.stderr
            done = run(sys.executable, "-m", "wsref", "connect", url, cwd=tmp_path)
            assert done.returncode == 1 and "certificate is not trusted" in done.stderr


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[webdriver.Chrome]:
    """A Chromium that has seen no certificate of ours yet."""
    if MISSING:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("; ".join(MISSING))
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={tmp_path / 'chromium'}"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(CHROMEDRIVER))
    driver.set_script_timeout(DEADLINE)
    yield driver
    driver.quit()


OPEN = """
    const done = arguments[1], ws = new WebSocket(arguments[0]), events = [];
    ws.onopen = () => { events.push("open"); ws.close(1000); };
    ws.onerror = () => events.push("error");
    ws.onclose = (event) => done([...events, `close ${event.code} '${event.reason}'`]);
"""


@pytest.mark.slow
def test_in_a_browser_wss_with_a_self_signed_certificate_opens_after_the_page_was_accepted(browser, certificate):
    """docs/howto/wss-with-a-certificate.md, in a browser."""
    with started() as plain, started(ssl_context=tls_context(*certificate)) as secure:
        page, url = f"http://{plain.host_and_port}/", f"{secure.url}/echo"
        browser.get(page)
        assert browser.execute_async_script(OPEN, url) == ["error", "close 1006 ''"]  # and not a word why

        browser.get(url.replace("wss", "https"))
        wait_until(lambda: "NET::ERR_CERT_AUTHORITY_INVALID" in browser.find_element("tag name", "body").text)
        browser.find_element("id", "details-button").click()
        browser.find_element("id", "proceed-link").click()
        wait_until(lambda: "wsref" in browser.title)
        browser.get(page)
        assert browser.execute_async_script(OPEN, url) == ["open", "close 1000 ''"]


@pytest.mark.slow
def test_in_a_browser_close_takes_1000_and_3000_to_4999_only(browser):
    """docs/faq.md, 1005 and 1006."""
    with started() as server:
        browser.get(f"http://{server.host_and_port}/")
        tried = """
            const ws = new WebSocket(arguments[0]);
            const fails = (code) => { try { ws.close(code); } catch (error) { return error.name; } };
            return [1001, 1005, 1006, 1015, 2999, 5000, 3000].map(fails);
        """
        assert browser.execute_script(tried, f"{server.url}/echo") == ["InvalidAccessError"] * 6 + [None]


class TestPrograms:
    """The others."""

    def test_check_finds_the_bugs_of_mine(self):
        with serving("mine.py") as url:
            with connect(url, compression=None) as ws:
                ws.send("hi")
                assert ws.recv(DEADLINE) == "hi"
            cases = ("2.connection.list", "3.key.short", "4.accept.value", "6.length.125", "6.length.126")
            only = [word for case in cases for word in ("--only", case)]
            done = run(sys.executable, "-m", "wsref", "check", url, "-v", *only, cwd=EXAMPLES)
        assert done.returncode == 1
        wrong = set(re.findall(r"^✗ ([0-9]\S+)", done.stdout, re.M))
        assert wrong == {"2.connection.list", "3.key.short", "6.length.126"}

    def test_vanishing(self, serve, log):
        server = serve()
        done = run(sys.executable, "vanishing.py", str(server.server_address[1]), cwd=EXAMPLES)
        assert (done.returncode, done.stdout) == (0, "HTTP/1.1 101 Switching Protocols\n")
        wait_until(lambda: "no Close came (1006)" in log.text)

    def test_two_threads(self):
        done = run(sys.executable, "two_threads.py", cwd=EXAMPLES)
        assert (done.returncode, done.stdout) == (0, "80 of 80 messages arrived whole\n")

    def test_cost_of_threads(self):
        done = run(sys.executable, "cost_of_threads.py", "100", cwd=EXAMPLES)
        assert (done.returncode, done.stderr) == (0, "")
        kib = re.fullmatch(r"100 more connections: (\d+) KiB each\n", done.stdout)
        assert kib and 5 < int(kib[1]) < 200

    def test_in_a_program(self):
        done = run(sys.executable, "in_a_program.py", cwd=EXAMPLES)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines()[:3] == ["welcome", "['fetching', 'sorting', 'done']", "hi"]

    def test_latency(self, serve):
        from latency import Latency

        with connect(serve(Latency).url) as ws:
            ws.send("now")
            assert re.fullmatch(r"[0-9.]+ ms", str(ws.recv(DEADLINE)))

    def test_stubborn_client_goes_on_after_the_connection_was_lost(self, serve):
        from stubborn_client import messages

        class Unsteady(WebSocketHandler):
            visits = 0

            def on_open(self):
                type(self).visits += 1
                self.send(f"visit {self.visits}")
                if self.visits == 1:
                    self._abort("for the test")
                elif self.visits == 2:
                    self.close(1001)
                else:
                    self.close(1000)

        came = list(messages(serve(Unsteady).url, first=0.001))
        assert came[-2:] == ["visit 2", "visit 3"]  # the first may be lost with its connection

    def test_stubborn_client_gives_up_in_the_end(self):
        from stubborn_client import messages

        with pytest.raises(OSError, match="cannot connect"):
            list(messages("ws://127.0.0.1:1/", attempts=2, first=0.001))

    def test_the_tests_of_the_greeter(self):
        """greeter.py and test_greeter.py."""
        done = run(
            sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "-p", "no:cacheprovider", "test_greeter.py",
            cwd=EXAMPLES,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout
        assert "7 passed" in done.stdout


class TestDrivers:
    """driver.py, driver.mjs, driver.html, echo_client.py and hasty_client.py, against the grader of clients."""

    CASES = ("c4.accept.missing", "c5.status.200", "c6.length.126", "c6.masked.text")

    @contextlib.contextmanager
    def grading(self) -> Iterator[Grader]:
        grader = Grader(Plan(select(only=self.CASES), 3.0))
        grader.start()
        try:
            yield grader
        finally:
            grader.close()

    def outcomes(self, grader: Grader, name: str) -> list[Outcome]:
        wait_until(lambda: name in grader.sessions and grader.sessions[name].is_over)
        return [verdict.outcome for verdict in grader.report(grader.sessions[name]).verdicts]

    def test_the_driver_in_python(self):
        pytest.importorskip("websockets")
        with self.grading() as grader:
            url = f"ws://{grader.target.authority}/next?agent=websockets"
            done = run(sys.executable, "driver.py", url, cwd=EXAMPLES)
            assert done.returncode == 0, done.stderr
            assert self.outcomes(grader, "websockets") == [Outcome.PASS] * len(self.CASES)

    def test_the_driver_in_node(self, tmp_path):
        modules = ROOT / "tests" / "node" / "node_modules"
        require(modules.exists(), "npm install in tests/node")
        (tmp_path / "driver.mjs").write_text((EXAMPLES / "driver.mjs").read_text())
        os.symlink(modules, tmp_path / "node_modules")
        with self.grading() as grader:
            done = run("node", "driver.mjs", f"ws://{grader.target.authority}/next?agent=ws", cwd=tmp_path)
            assert done.returncode == 0, done.stderr
            assert self.outcomes(grader, "ws") == [Outcome.PASS] * len(self.CASES)

    @pytest.mark.parametrize("page", ["driver.html", "/"])
    def test_the_driver_in_a_browser(self, tmp_path, page):
        if MISSING:
            pytest.skip("; ".join(MISSING))
        with self.grading() as grader:
            if page == "/":
                address, name = f"http://{grader.target.authority}/?agent=page", "page"
            else:
                text = (EXAMPLES / page).read_text().replace("127.0.0.1:9001", grader.target.authority)
                (tmp_path / page).write_text(text)
                address, name = (tmp_path / page).as_uri(), "browser"
            options = webdriver.ChromeOptions()
            options.binary_location = CHROMIUM
            for flag in (*FLAGS, f"--user-data-dir={tmp_path / 'chromium'}"):
                options.add_argument(flag)
            driver = webdriver.Chrome(options=options, service=Service(CHROMEDRIVER))
            try:
                driver.get(address)
                if page == "/":
                    driver.find_element("id", "start").click()
                assert self.outcomes(grader, name) == [Outcome.PASS] * len(self.CASES)
                if page == "/":
                    wait_until(lambda: driver.find_element("id", "link").is_displayed())
                    assert driver.find_element("id", "words").text == "4 of 4, 0 failed"
            finally:
                driver.quit()

    @pytest.mark.parametrize(
        "client, code, words",
        [("echo_client.py", 0, "no MUST is broken"), ("hasty_client.py", 1, "2 MUST failures")],
    )
    def test_a_client_without_a_driver(self, client, code, words):
        only = [word for case in self.CASES for word in ("--only", case)]
        command = [sys.executable, "-m", "wsref", "check", "--client", *only]
        done = run(*command, "--run", f"{shlex.quote(sys.executable)} {client} {{url}}", cwd=EXAMPLES)
        assert (done.returncode, words in done.stdout) == (code, True), done.stdout
