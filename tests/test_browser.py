"""Chapter 0 in a real browser: Chromium opens the 426, and its page upgrades.

The quick suite has one test of each kind: the rest are slow, as Chromium takes a quarter of its processor time.
"""

from __future__ import annotations

import contextlib
import http.server
import logging
import os
import re
import runpy
import ssl
import subprocess
import sys
import threading
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from conftest import DEADLINE, found, free_port, require, wait_until

import wsref
from wsref import Compression, Limits, WebSocketServer, connect, running
from wsref.apps.demo import Demo
from wsref.apps.exchange import Exchange
from wsref.apps.panel import page_with_wire, with_wire
from wsref.apps.shared_chat import page_for_exchange, with_exchange
from wsref.cli.serve import startup_message
from wsref.network.server import PAGE
from wsref.steps import SEEN
from wsref.wire import colours

try:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import WebDriverWait
except ImportError:
    webdriver = None

CHROMIUM, CHROMEDRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
NAMES = "--host-resolver-rules=MAP elsewhere.test 127.0.0.1"  # as an attacker's name server may say
MISSING = [
    *([] if webdriver else ["selenium is not installed"]),
    *[f"{program} is not there" for program in (CHROMIUM, CHROMEDRIVER) if not os.path.exists(program)],
]


@contextlib.contextmanager
def started(handler: type[Demo] = Demo, port: int = 0, **options: object) -> Iterator[WebSocketServer]:
    """What ``python -m wsref`` serves, on a free port, in this process."""
    with WebSocketServer(("127.0.0.1", port), handler, **options) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), name="wsref server")
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def command(port: int, *flags: str, **options: Any) -> Iterator[str]:
    """The command itself, on this port; its URL."""
    words = [sys.executable, "-m", "wsref", "--port", str(port), *flags]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, **options) as process:
        try:
            yield re.search(r"http://\S+", process.stdout.readline())[0]
        finally:
            process.terminate()


def address(server: WebSocketServer, path: str = "/") -> str:
    """The one URL that a browser opens."""
    return f"http://{server.host_and_port}{path}"


@pytest.fixture(scope="module")
def server() -> Iterator[WebSocketServer]:
    with started() as server:
        yield server


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """One Chromium for all tests of this module."""
    if MISSING:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("; ".join(MISSING))
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, NAMES, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    options.accept_insecure_certs = True
    driver = webdriver.Chrome(options=options, service=Service(CHROMEDRIVER))  # named: selenium downloads nothing
    try:
        yield driver
    finally:
        driver.quit()


class Page:
    """What a visitor does, and sees."""

    def __init__(self, driver: webdriver.Chrome, url: str) -> None:
        self.driver = driver
        driver.get(url)

    def __getitem__(self, name: str):
        return self.driver.find_element(By.ID, name)

    def click(self, name: str) -> None:
        self[name].click()

    def fill(self, name: str, text: str, *more: str) -> None:
        """Type into a field, in place of what stood there."""
        self[name].send_keys(Keys.CONTROL, "a")
        self[name].send_keys(text or Keys.DELETE, *more)

    def wait(self, true: Callable[[], object], why: str) -> None:
        """Until it is so; the message of a timeout has the log."""
        try:
            WebDriverWait(self.driver, DEADLINE, poll_frequency=0.02).until(lambda _: true())
        except Exception as error:
            error.msg = f"timeout: {why}; the log has {self.log()}"
            raise

    def log(self) -> list[tuple[str, str]]:
        """What the page logged: (event or call, detail)."""
        script = """return Array.from(document.querySelectorAll("#log-lines li"),
            (line) => [".what", ".detail"].map((part) => line.querySelector(part).textContent))"""
        return [(what, detail) for what, detail in self.driver.execute_script(script)]

    def sees(self, what: str, detail: str = "") -> None:
        """Wait for a line in the log."""
        self.wait(lambda: any(w == what and detail in d for w, d in self.log()), f"{what} {detail!r}")

    def wire(self) -> list[str]:
        """The lines of the wire panel, with the headings of its connections."""
        script = "return Array.from(document.querySelectorAll('#wire-lines :is(h3, li)'), e => e.textContent)"
        return self.driver.execute_script(script)

    def chosen(self) -> str:
        """The line whose picture is wanted."""
        return self.driver.execute_script(
            "return document.querySelector('#wire-lines [aria-current=true] .what')?.textContent ?? ''"
        )

    def draws(self, *words: str) -> None:
        """Wait for a picture whose text has these words."""
        script = "return byId('wire-picture').naturalWidth > 100 ? byId('wire-text').textContent : ''"
        self.wait(lambda: all(word in self.driver.execute_script(script) for word in words), f"a picture of {words}")

    def is_in_state(self, number: int) -> None:
        """Wait for a readyState to be the marked one."""
        marked = "#states [aria-current=true]"
        self.wait(
            lambda: (
                [item.get_attribute("id") for item in self.driver.find_elements(By.CSS_SELECTOR, marked)]
                == [f"state-{number}"]
            ),
            f"readyState {number}",
        )

    def is_open(self) -> Page:
        """Wait for the page to have connected."""
        self.sees("open")
        self.is_in_state(1)
        return self


@pytest.fixture
def page(driver: webdriver.Chrome, server: WebSocketServer) -> Page:
    """The page, open, connected to /echo."""
    return Page(driver, address(server)).is_open()


@pytest.fixture
def emulate(driver: webdriver.Chrome) -> Iterator[Callable[..., object]]:
    """Chromium's Emulation.*, undone afterwards."""
    yield lambda command, **parameters: driver.execute_cdp_cmd(f"Emulation.{command}", parameters)
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


@pytest.mark.slow
def test_the_package_works_from_a_zip(tmp_path: Path) -> None:
    package, archive = Path(wsref.__file__).parent, tmp_path / "wsref.zip"
    with zipfile.ZipFile(archive, "w") as whole:
        for file in package.rglob("*"):
            if file.suffix in (".py", ".html"):
                whole.write(file, file.relative_to(package.parent))
    zipped = {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": str(archive)}}
    for flags in ([], ["--step", "4"], ["--step", "11"]):
        with command(0, *flags, **zipped) as url:
            request = urllib.request.Request(url, headers={"Accept": "text/html"})
            try:
                body = urllib.request.urlopen(request, timeout=DEADLINE).read()
            except urllib.error.HTTPError as error:
                with error:
                    body = error.read()
            assert body == PAGE.read_bytes().replace(b'"wire" content="off"', b'"wire" content="on"') or flags, body
            assert b"WebSocket" in body or b"HTTP server" in body
    for words in (["--step", "3", "--source"], ["--step", "3", "--diff"]):
        done = subprocess.run([sys.executable, "-m", "wsref", *words], capture_output=True, check=True, **zipped)
        assert b"step" in done.stdout.lower()


def screenshots() -> dict[str, Any]:
    """The script that takes the pictures of the page."""
    return runpy.run_path(str(Path(__file__).parents[1] / "docs" / "screenshots.py"))


def test_the_pictures_show_this_page() -> None:
    script = screenshots()
    files = [
        script["STATIC"] / f"{name}{suffix}.png" for name in script["NAMES"] for suffix in script["SUFFIXES"].values()
    ]
    old = [file.name for file in files if script["hash_in"](file.read_bytes()) != script["hash_of_page"]()]
    assert not old, f"page.html has changed since {old} were taken: run docs/screenshots.py"


def test_the_mark_has_the_colours_of_the_fields_and_one_form() -> None:
    script = screenshots()
    mark = script["mark"]()
    kinds = ("flag", "opcode", "mask", "length", "payload")
    assert re.findall(r'fill="(.*?)"', mark) == [colours.COLOURS[kind].css for kind in kinds]
    assert (script["STATIC"] / "mark.svg").read_text("utf-8") == mark
    assert ElementTree.fromstring(mark).tag == "{http://www.w3.org/2000/svg}svg"


def test_a_browser_sees_426_and_upgrades_all_the_same(page: Page) -> None:
    assert page["page-status"].text == "426 Upgrade Required"
    assert "Nothing is broken" in page["page-status-why"].text
    host = page.driver.execute_script("return location.host")
    request = page["handshake-request"].text.splitlines()
    assert request[:4] == [
        "GET /echo?compression=off HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
    ]
    assert f"Origin: http://{host}" in request
    assert page["handshake-response"].text.startswith("HTTP/1.1 101 Switching Protocols")


@pytest.mark.slow
def test_asked_again_by_fetch_the_server_answers_426_with_an_upgrade_header(page: Page) -> None:
    page.click("ask-again")
    page.wait(lambda: "426 Upgrade Required" in page["asked"].text, "an answer")
    assert "Upgrade: websocket" in page["asked"].text.splitlines()


def test_text_comes_back_as_text_and_enter_sends_it(page: Page) -> None:
    page.fill("text", "Grüße, 世界 <b>&amp;", Keys.ENTER)
    page.sees("message", "Grüße, 世界 <b>&amp;")
    page.fill("text", "", Keys.ENTER)
    page.wait(lambda: page.log()[-1] == ("message", ""), "an empty message")


def test_bytes_come_back_as_bytes(page: Page) -> None:
    page.fill("hex", "00 80 feFF", Keys.ENTER)
    page.sees("message", "00 80 fe ff (bytes: 4)")
    page.fill("hex", "123", Keys.ENTER)
    page.sees("note", "two digits")


@pytest.mark.slow
def test_200_kilobytes_come_back_equal_and_the_log_does_not_print_them(page: Page) -> None:
    page.click("send-big")
    page.sees("message", "(204,800 characters), equal to what was sent; there and back in ")
    assert max(len(detail) for _, detail in page.log()) < 500


@pytest.mark.slow
def test_a_long_text_is_cut_and_counted_by_characters_and_not_by_halves_of_them(page: Page) -> None:
    page.driver.execute_script("send(...arguments, inShort(arguments[0]))", "a" + "\U0001f600" * 400)
    for what in ("send", "message"):
        page.sees(what, "a" + "\U0001f600" * 29 + "… (401 characters)")


@pytest.mark.slow
def test_the_log_is_bounded(page: Page) -> None:
    page.driver.execute_script("for (let n = 0; n < 600; n++) send(`number ${n}`, `number ${n}`)")
    page.sees("message", "number 599")
    assert len(page.log()) == 500


def test_two_pages_chat(driver: webdriver.Chrome, server: WebSocketServer) -> None:
    ann = Page(driver, address(server, "/chat?name=Ann")).is_open()
    first = driver.current_window_handle
    driver.switch_to.new_window("tab")
    try:
        bo = Page(driver, address(server)).is_open()
        bo.click("path-chat")
        bo.fill("name", "Bo", Keys.ENTER)
        bo.sees("message", "* Bo has joined; here: Ann, Bo")
        bo.fill("text", "<img src=x onerror=alert(1)>", Keys.ENTER)
        bo.sees("message", "Bo: <img src=x onerror=alert(1)>")
    finally:
        driver.close()
        driver.switch_to.window(first)
    ann.sees("message", "* Bo has joined")
    ann.sees("message", "Bo: <img src=x onerror=alert(1)>")
    ann.sees("message", "* Bo has left")
    assert not driver.find_elements(By.CSS_SELECTOR, "#log img")


@pytest.mark.slow
@pytest.mark.parametrize("step", [10, 11])
def test_two_browsers_chat_on_the_server_of_the_book(
    driver: webdriver.Chrome, certificate: tuple[str, str], step: int
) -> None:
    """From the page that the step's 426 carries; in step 11 over TLS, with the origin of that page."""
    tls = None
    if step == 11:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(*certificate)
    join = """
        const ws = window.ws = new WebSocket(location.href.replace("http", "ws") + "chat?name=" + arguments[0]);
        window.lines = [];
        ws.onmessage = (event) => lines.push(event.data);
    """

    def sees(*wanted: str) -> None:
        WebDriverWait(driver, DEADLINE).until(
            lambda _: driver.execute_script("return lines") == list(wanted),
            f"timeout: {wanted}; lines: {driver.execute_script('return lines')}",
        )

    with running(step=step, ssl_context=tls) as server:
        url = server.url.replace("ws", "http", 1) + "/"
        driver.get(url)
        WebDriverWait(driver, DEADLINE).until(lambda _: driver.find_element(By.ID, "state").text == "open")
        driver.execute_script(join, "Ann")
        sees("* Ann has joined")
        first = driver.current_window_handle
        driver.switch_to.new_window("tab")
        try:
            driver.get(url)
            driver.execute_script(join, "Bo")
            sees("* Bo has joined")
            driver.execute_script("ws.send('grüß dich')")
            sees("* Bo has joined", "Bo: grüß dich")
        finally:
            driver.close()
            driver.switch_to.window(first)
        sees("* Ann has joined", "* Bo has joined", "Bo: grüß dich", "* Bo has left")


@pytest.mark.slow
def test_bytes_in_the_chat_are_refused_with_1003(driver: webdriver.Chrome, server: WebSocketServer) -> None:
    page = Page(driver, address(server, "/chat?name=Ann")).is_open()
    page.click("send-big")
    page.sees("note", "all would get it")
    page.click("send-binary")
    page.sees("close", 'code 1003 (unsupported data), reason "the chat is text", wasClean true')


def test_a_close_with_4001_and_a_reason_is_answered_and_clean(page: Page, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "wsref")
    page.fill("code", "4001")
    page.fill("reason", "enough", Keys.ENTER)
    page.sees("close()", 'code 4001, reason "enough"')
    page.sees("close", 'code 4001 (the application\u2019s own), reason "", wasClean true')
    page.is_in_state(3)
    page.wait(
        lambda: "closed by the client, clean: received 4001 'enough', sent 4001" in caplog.text, "the server's log"
    )


@pytest.mark.slow
def test_a_close_without_a_code_shows_1005(page: Page) -> None:
    page.fill("code", "", Keys.ENTER)
    page.sees("close", 'code 1005 (a Close without a code), reason "", wasClean true')


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "reason", "words"),
    [
        ("1006", "", "InvalidAccessError: no Close frame may carry 1006. It means “there was no Close”"),
        ("1001", "", "InvalidAccessError: close() takes 1000, and 3000 to 4999"),
        ("nonsense", "", "InvalidAccessError: close() takes 1000, and 3000 to 4999"),
        ("1000", "é" * 62, "SyntaxError: a reason has at most 123 bytes in UTF-8"),
    ],
)
def test_a_close_that_the_browser_refuses_is_explained(page: Page, code: str, reason: str, words: str) -> None:
    page.fill("code", code)
    page.fill("reason", reason, Keys.ENTER)
    page.sees("note", words)
    page.is_in_state(1)


def test_after_the_close_sending_is_refused_with_a_reason_and_reconnecting_works(page: Page) -> None:
    page.click("disconnect")
    page.sees("close", "code 1000 (normal)")
    page.click("send-text")
    page.sees("note", "send() needs readyState 1, OPEN. It is 3.")
    page.click("clear")
    page["reconnect"].send_keys(Keys.ENTER)
    page.is_open()
    assert not page["over"].is_displayed()
    assert page.driver.switch_to.active_element.get_attribute("id") == "text"
    page.driver.switch_to.active_element.send_keys("back again", Keys.ENTER)
    page.sees("message", "back again")


@pytest.mark.slow
def test_a_server_that_goes_down_says_1001_and_the_page_does_not_storm_it(driver: webdriver.Chrome) -> None:
    with started() as server:
        page = Page(driver, address(server)).is_open()
    page.sees("close", 'code 1001 (going away), reason "the server is going down", wasClean true')
    page.is_in_state(3)
    assert "going away" in page["over-why"].text
    assert [what for what, _ in page.log()] == ["new WebSocket", "open", "close"]
    page.click("reconnect")  # no server listens
    page.sees("close", "code 1006")
    page.sees("note", f"No server answers at {server.host_and_port}. Is it stopped?")
    assert page["over-why"].text.startswith("It never was open. No server answers")
    driver.get_log("browser")  # "net::ERR_CONNECTION_REFUSED", rightly


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "flags_then"), [([], []), (["--no-wire"], ["--no-wire"]), ([], ["--no-wire"])], ids=lambda f: " ".join(f)
)
def test_after_a_stop_reconnect_says_so_and_after_a_restart_it_connects(
    driver: webdriver.Chrome, flags: list[str], flags_then: list[str]
) -> None:
    with free_port() as port:
        with command(port, *flags) as url:
            page = Page(driver, url).is_open()
            assert page["wire"].is_displayed() is not bool(flags)
        page.sees("close", "code 1001")
        for attempt in range(1, 4):  # each says what it found: no click is without an answer
            page.click("reconnect")
            page.wait(
                lambda attempt=attempt: sum("No server answers" in said for _, said in page.log()) == attempt,
                f"answer {attempt}",
            )
            page.is_in_state(3)
        page.click("clear")
        with command(port, *flags_then):
            page.click("reconnect")
            page.is_open()
            page.fill("text", "back again", Keys.ENTER)
            page.sees("message", "back again")
            assert [what for what, _ in page.log()] == ["new WebSocket", "open", "send", "message"]  # one connection
            if not flags_then:
                page.draws("TEXT frame from a client", "back")
                assert "connection 2: /echo" in page.wire()
            driver.get("about:blank")
        driver.get_log("browser")


@pytest.mark.slow
def test_in_a_shared_chat_reconnect_shows_each_missed_line_once(driver: webdriver.Chrome) -> None:
    handler, page = with_exchange(Exchange()), page_for_exchange(PAGE.read_bytes())
    with free_port() as port:
        with started(handler, page=page, port=port) as server:
            shown = Page(driver, address(server, "/chat?name=Ann")).is_open()
            shown.sees("message", "Ann has joined")
            shown.fill("text", "before", Keys.ENTER)
            shown.sees("message", "Ann: before")
        shown.sees("close", "code 1001")
        with started(handler) as other, connect(f"ws://{other.host_and_port}/chat?name=Bob") as bob:
            bob.send("while you were away")
            while not str(bob.recv()).endswith("while you were away"):
                pass
        with started(handler, page=page, port=port):
            shown.click("reconnect")
            shown.sees("message", "Bob: while you were away")
            shown.fill("text", "after", Keys.ENTER)
            shown.sees("message", "Ann: after")
            lines = [detail.strip("'\"“”") for what, detail in shown.log() if what == "message"]
            assert [line for line in lines if ": " in line and "here" not in line] == [
                "Ann: before",
                "Bob: while you were away",
                "Ann: after",
            ]
            driver.get("about:blank")
    driver.get_log("browser")


@pytest.mark.slow
def test_a_page_that_reconnects_to_a_restarted_server_shows_what_redis_kept(
    driver: webdriver.Chrome, tmp_path: Path
) -> None:
    pytest.importorskip("redis")
    require(found("redis-server"), "redis-server is not installed")
    from test_exchange import Redis

    with free_port() as port, free_port() as redis_port, contextlib.ExitStack() as stack:
        exchange = Redis(redis_port, tmp_path)
        stack.callback(exchange.kill)
        flags = ("--exchange", exchange.url)
        with command(port, *flags) as url:
            page = Page(driver, f"{url}chat?name=Ann").is_open()
            page.fill("text", "before", Keys.ENTER)
            page.sees("message", "Ann: before")
        page.sees("close", "code 1001")
        with command(0, *flags) as elsewhere, connect(f"{elsewhere}chat?name=Bo".replace("http", "ws")) as bo:
            bo.send("while you were away")
            assert "Bo: while you were away" in bo  # iterates until it is back
        with command(port, *flags):
            page.click("reconnect")
            page.sees("message", "Bo: while you were away")
            page.fill("text", "back", Keys.ENTER)
            page.sees("message", "Ann: back")
            lines = [detail for what, detail in page.log() if what == "message"]
            for text in ("Ann: before", "Bo: while you were away", "Ann: back"):
                assert sum(line.endswith(text) for line in lines) == 1, lines


@pytest.mark.slow
def test_without_an_exchange_the_page_asks_for_no_lines(driver: webdriver.Chrome, server: WebSocketServer) -> None:
    page = Page(driver, address(server, "/chat?name=Ann")).is_open()
    assert "since" not in page["handshake-request"].text


@pytest.mark.slow
def test_a_wire_that_never_answers_does_not_keep_the_page_from_its_server(driver: webdriver.Chrome) -> None:
    handler, subscriptions = with_wire()
    silence = threading.Event()

    class Silent(handler):
        def check_request(self, request) -> None:
            if request.path == "/wire":
                silence.wait(DEADLINE)

    try:
        with started(Silent, tap=subscriptions.tap, page=page_with_wire(PAGE.read_bytes())) as server:
            page = Page(driver, address(server)).is_open()
            page.fill("text", "without a wire", Keys.ENTER)
            page.sees("message", "without a wire")
            silence.set()
            driver.get("about:blank")
    finally:
        silence.set()


@pytest.mark.slow
def test_a_disconnect_before_the_wire_is_there_keeps_the_page_from_connecting(wired: Page) -> None:
    wired.driver.execute_script("wire.close(); socket.close()")
    wired.wait(lambda: wired.driver.execute_script("return wire.readyState + socket.readyState") == 6, "both are over")
    wired.click("clear")
    wired.driver.execute_script("byId('reconnect').click(); byId('disconnect').click()")
    wired.wait(lambda: wired.driver.execute_script("return wireTells"), "the wire")
    assert wired.log() == [("note", "The page was about to connect, and does not.")]
    wired.click("reconnect")
    wired.is_open()


@pytest.mark.slow
def test_the_page_connects_only_when_the_server_knows_its_wire(driver: webdriver.Chrome) -> None:
    """What passes on a connection that is opened before is not told."""
    handler, subscriptions = with_wire()
    came = threading.Event()

    class Late(handler):
        def on_open(self) -> None:
            if self.request.path == "/wire":
                came.wait(0.5)
            else:
                came.set()
            super().on_open()

    with started(Late, tap=subscriptions.tap, page=page_with_wire(PAGE.read_bytes())) as server:
        page = Page(driver, address(server)).is_open()
        page.wait(lambda: any("101 Switching Protocols" in line for line in page.wire()), "the trace")
        driver.get("about:blank")


def test_a_connection_that_the_server_cuts_shows_1006(page: Page, server: WebSocketServer) -> None:
    wait_until(lambda: server.handlers)  # the page may show that it is open before on_open has returned
    for handler in server.handlers:
        handler._abort("a test")
    page.sees("close", 'code 1006 (no Close came), reason "", wasClean false')
    assert "without a Close" in page["over-why"].text
    page.driver.get_log("browser")


@pytest.mark.slow
def test_offered_subprotocols_that_the_server_does_not_speak_fail_the_connection(page: Page) -> None:
    page.fill("protocols", "x.first, x.second", Keys.ENTER)
    page.sees("error")
    page.sees("close", "code 1006")
    page.sees("note", "The server speaks none of these subprotocols: x.first, x.second. It agreed to a WebSocket and")
    assert page["protocols-why"].text == "The server speaks none of these: x.first, x.second."
    assert page["protocols"].get_attribute("aria-invalid") == "true"
    assert "Sec-WebSocket-Protocol: x.first, x.second" in page["handshake-request"].text
    page.fill("protocols", "chat, twice, twice", Keys.ENTER)
    page.sees("note", "SyntaxError: the subprotocol “twice” is named twice")
    page.fill("protocols", "chat, two words", Keys.ENTER)
    page.sees("note", "SyntaxError: the subprotocol “two words” is not a token")
    page.click("clear")
    page.fill("protocols", "x.first, echo", Keys.ENTER)
    page.is_open()
    assert 'socket.protocol    "echo"' in page["handshake-response"].text
    assert page["protocols-why"].text == ""
    page.driver.get_log("browser")  # Chromium says why, there only


@pytest.mark.slow
def test_no_list_of_subprotocols_is_too_large_for_the_server(page: Page, caplog: pytest.LogCaptureFixture) -> None:
    """The page would take a 431 for the answer of a server that speaks none of them."""
    caplog.set_level(logging.INFO, "wsref")
    page["protocols"].click()
    page.driver.execute_cdp_cmd("Input.insertText", {"text": "x" * 20_000})
    page["protocols"].send_keys(Keys.ENTER)
    page.sees("note", "The server speaks none of these subprotocols: xxxx")
    assert "431" not in {record.getMessage().split(" ")[1].rstrip(":") for record in caplog.records}
    page.driver.get_log("browser")


@pytest.mark.slow
def test_the_page_of_the_grader_says_when_the_grader_has_ended(driver: webdriver.Chrome) -> None:
    words = [sys.executable, "-m", "wsref", "check", "--client", "--port", "0"]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as grader:
        try:
            page = Page(driver, next(re.search(r"http://\S+", line)[0] for line in grader.stderr if "http://" in line))
        finally:
            grader.kill()  # and with it the spare connections that Chromium has opened
    page.click("start")
    page.wait(lambda: page["words"].text == "The grader has ended. Its terminal has the report.", "the reason")
    assert not page["link"].is_displayed()
    driver.get_log("browser")


ELSEWHERE = """<!doctype html><title>elsewhere</title><script>
const socket = new WebSocket("URL");
socket.onopen = () => { document.title = "open"; };
socket.onclose = (event) => { document.title = `${socket.readyState} ${event.code} ${event.wasClean}`; };
</script>"""


@pytest.mark.parametrize("scheme", [pytest.param("data", marks=pytest.mark.slow), "file"])
def test_a_page_without_an_origin_is_refused(
    scheme: str, driver: webdriver.Chrome, server: WebSocketServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "wsref")
    html = ELSEWHERE.replace("URL", server.url + "/echo")
    file = tmp_path / "elsewhere.html"
    file.write_text(html)
    driver.get(file.as_uri() if scheme == "file" else "data:text/html," + html.replace("\n", "%0A"))
    WebDriverWait(driver, DEADLINE, poll_frequency=0.02).until(lambda _: driver.title not in ("", "elsewhere"))
    assert driver.title == "3 1006 false"
    said_by_browser = str(driver.get_log("browser"))
    # A data: page counts as one from the Internet, which Chromium >= 147 keeps from loopback without asking us.
    if scheme == "file" or "LOCAL_NETWORK_ACCESS" not in said_by_browser:
        assert "Unexpected response code: 403" in said_by_browser
        assert "403: pages from origin 'null' may not connect here" in caplog.text


@pytest.mark.slow
def test_a_name_that_points_to_loopback_by_dns_rebinding_is_refused(
    driver: webdriver.Chrome, server: WebSocketServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "wsref")
    page = Page(driver, f"http://elsewhere.test:{server.server_address[1]}/")  # Host and Origin agree
    page.sees("close", "code 1006")
    page.is_in_state(3)
    page.sees("note", "The server is there, but it refused")
    assert page["over-why"].text.startswith("It never was open. The server is there")
    assert "hidden" in page["handshake-response"].text  # the status is, from scripts
    assert "403: pages from origin 'http://elsewhere.test:" in caplog.text
    driver.get_log("browser")


@pytest.mark.slow
def test_a_close_before_the_connection_is_open_is_named_as_the_reason(page: Page) -> None:
    page.click("clear")
    page.driver.execute_script("byId('connect').click(); byId('disconnect').click()")
    page.sees("close", "code 1006")
    page.sees("note", "close() came first.")
    assert page["over-why"].text == "It never was open. close() came first."
    page.driver.get_log("browser")


@pytest.mark.slow
def test_a_chat_without_a_name_asks_for_one_at_its_field(driver: webdriver.Chrome, server: WebSocketServer) -> None:
    page = Page(driver, address(server, "/chat"))
    assert page["name-why"].text == "Choose a name, then Connect."
    assert page["name"].get_attribute("aria-invalid") == "true"
    assert page["name"].get_attribute("aria-describedby") == "name-why"
    assert page.log() == []
    driver.switch_to.active_element.send_keys("Ann", Keys.ENTER)
    page.is_open()
    page.sees("message", "* Ann has joined")
    assert not page["name-why"].is_displayed()


@pytest.mark.slow
def test_the_heading_says_the_real_status(driver: webdriver.Chrome) -> None:
    class As200(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(PAGE.read_bytes())

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), As200) as plain:
        threading.Thread(target=plain.serve_forever, args=(0.02,)).start()
        page = Page(driver, f"http://127.0.0.1:{plain.server_address[1]}/")
        page.sees("note", "The server is there, but it refused")
        assert page["h-status"].text == "It came with status 200"
        assert "error" not in page["page-status-why"].text
        driver.get("about:blank")
        plain.shutdown()
    driver.get_log("browser")


@pytest.mark.parametrize("step", [*(pytest.param(n, marks=pytest.mark.slow) for n in range(1, 11)), 11])
def test_the_banner_of_a_step_promises_what_a_browser_gets(driver: webdriver.Chrome, step: int) -> None:
    with running(step=step) as server:
        driver.get(server.url.replace("ws", "http", 1) + "/")
        status = driver.execute_script("return performance.getEntriesByType('navigation')[0].responseStatus")
        banner = startup_message(server.url, step)
        assert f"After chapter {step} of 11: {SEEN[step]}.  A browser gets {status} and " in banner
        assert ("/chat" in banner) is (step == 10)  # chapter 11 does not bring it
        assert "chat" not in driver.find_element(By.TAG_NAME, "body").text
    driver.get_log("browser")


@pytest.mark.slow
def test_the_page_opened_as_a_file_says_what_to_do_instead(driver: webdriver.Chrome) -> None:
    page = Page(driver, PAGE.as_uri())
    page.sees("note", "Open the URL that wsref printed")


def test_the_browser_agrees_on_compression_and_its_messages_come_back_equal(driver: webdriver.Chrome) -> None:
    """RFC 7692, with the implementation in Chromium."""
    with started(compression=Compression()) as server:
        page = Page(driver, address(server)).is_open()
        assert page.log()[-1] == ("open", "without compression")
        assert 'socket.extensions  ""' in page["handshake-response"].text
        page.click("compression")
        page.click("clear")
        page.click("connect")
        page.sees("open", "with permessage-deflate")
        assert "permessage-deflate" in page["handshake-response"].text
        sent: list[str] = []
        for words in ("short", "long enough to be compressed, " * 10, "long enough to be compressed, " * 10):
            page.fill("text", words, Keys.ENTER)
            sent.append(words)
            page.wait(lambda: [detail for what, detail in page.log() if what == "message"] == sent, "the echo")
        page.click("send-big")
        page.sees("message", "(204,800 characters), equal to what was sent")
        (handler,) = server.handlers
        assert handler.extensions.startswith("permessage-deflate")
        driver.get("about:blank")


@pytest.fixture
def wired(driver: webdriver.Chrome) -> Iterator[Page]:
    """The page with its wire panel, open, as the command serves it."""
    handler, subscriptions = with_wire()
    options = {"limits": Limits(ping_interval=0.2), "compression": Compression()}
    with started(handler, tap=subscriptions.tap, page=page_with_wire(PAGE.read_bytes()), **options) as server:
        yield Page(driver, address(server)).is_open()
        driver.get("about:blank")


@pytest.mark.slow
def test_the_wire_panel_shows_what_browsers_hide_and_draws_it(wired: Page) -> None:
    wired.fill("text", "see me", Keys.ENTER)
    for words in ("GET /echo?compression=off&wire=", "101 Switching Protocols", "'see me'", "PING", "PONG"):
        wired.wait(lambda words=words: any(words in line for line in wired.wire()), words)
    wired.draws("TEXT frame from a client", "see me")
    assert wired.chosen() == "TEXT, FIN, masked, 6 bytes: 'see me'"


def test_the_first_click_sends_the_eleven_bytes_of_the_front_page(wired: Page) -> None:
    wired.click("send-text")
    wired.draws("TEXT frame from a client: 11 bytes on the wire", "not compressed", "Hello")
    lines = [line for line in wired.wire() if "TEXT" in line]
    assert "→TEXT, FIN, masked, 5 bytes: 'Hello'" in lines[0]
    assert "←TEXT, FIN, 5 bytes: 'Hello'" in lines[1]
    left = "return Array.from(document.querySelectorAll('#wire-lines .what'), e => e.getBoundingClientRect().left)"
    assert len(set(wired.driver.execute_script(left))) == 2  # direction is more than an arrow, and no colour


@pytest.mark.slow
def test_a_line_that_is_chosen_stays_until_the_newest_is_wanted_again(wired: Page) -> None:
    wired.click("send-text")
    wired.draws("Hello")
    head = wired.driver.find_element(By.CSS_SELECTOR, "#wire-lines button")
    head.click()
    wired.draws("the client's request", "compression=off")
    wired.fill("text", "another", Keys.ENTER)
    wired.wait(lambda: sum("another" in line for line in wired.wire()) == 2, "both frames")
    assert wired.chosen().startswith("GET /echo")
    assert not wired["follow"].is_selected()
    wired.click("follow")
    wired.draws("TEXT frame from a client", "another")
    assert "another" in wired.chosen()


@pytest.mark.slow
def test_a_picture_never_shows_at_a_line_of_another_subscription(driver: webdriver.Chrome) -> None:
    """Each subscription counts its lines from 0."""
    page_bytes = page_with_wire(PAGE.read_bytes())
    with free_port() as port:
        handler, subscriptions = with_wire()
        with started(handler, tap=subscriptions.tap, page=page_bytes, port=port) as server:
            page = Page(driver, address(server)).is_open()
            page.fill("text", "one1", Keys.ENTER)
            page.draws("one1")
        page.sees("close", "code 1001")
        page.click("clear")
        page.click("follow")
        handler, subscriptions = with_wire()
        with started(handler, tap=subscriptions.tap, page=page_bytes, port=port):
            page.click("reconnect")
            page.is_open()
            page.fill("text", "two2", Keys.ENTER)
            page.wait(lambda: any("'two2'" in line for line in page.wire()), "the frame")
            numbers = driver.execute_script("""
                window.answers = 0;
                wire.addEventListener("message", ({data}) => { answers += "svg" in JSON.parse(data); });
                const lines = Array.from(byId("wire-lines").querySelectorAll("button"));
                const old = lines.find((line) => line.told.what.includes("one1"));
                const other = lines.find((line) => line.told.what.includes("two2"));
                other.click();                  // asks for its picture
                old.click();                    // before that comes
                return [old.told.number, other.told.number];
            """)
            assert numbers[0] == numbers[1]
            page.wait(lambda: driver.execute_script("return answers") == 1, "the picture")
            assert "one1" in page.chosen()
            page.draws("one1")
            driver.get("about:blank")
    driver.get_log("browser")


@pytest.mark.slow
def test_a_burst_of_messages_does_not_end_the_wire(wired: Page) -> None:
    """The server queues a megabyte for a page: fifty pictures."""
    wired.driver.execute_script("""
        const ask = wire.send.bind(wire);
        let awaitedNow = 0;
        window.mostAwaited = 0;
        wire.send = (number) => { mostAwaited = Math.max(mostAwaited, ++awaitedNow); ask(number); };
        wire.addEventListener("message", ({data}) => { awaitedNow -= "svg" in JSON.parse(data); });
        for (let n = 100; n < 200; n++) send(`n${n}`, `n${n}`);
    """)
    wired.draws("n199")
    assert "'n199'" in wired.chosen()
    most, state = wired.driver.execute_script("return [mostAwaited, wire.readyState]")
    assert state == 1
    assert most <= 2  # one; but the page's listener asks for the next before the one above counts


@pytest.mark.slow
def test_a_line_that_the_server_no_longer_keeps_is_named_so(wired: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsref.apps.panel.MAX_KEPT", 2)
    wired.driver.refresh()
    wired.is_open()
    wired.click("follow")
    wired.click("send-text")
    wired.wait(lambda: sum("'Hello'" in line for line in wired.wire()) == 2, "both frames")
    wired.driver.execute_script("byId('wire-lines').querySelector('button').click()")
    wired.wait(lambda: "no longer this one" in wired["wire-why"].text, "the reason")


@pytest.mark.slow
def test_in_the_wire_list_tab_stops_once_and_the_arrow_keys_move(wired: Page) -> None:
    wired.click("send-text")
    wired.draws("Hello")
    script = "return Array.from(document.querySelectorAll('#wire-lines button')).filter(e => e.tabIndex === 0).length"
    assert wired.driver.execute_script(script) == 1
    wired.driver.execute_script("document.querySelector('#wire-lines [aria-current]').focus()")
    wired.driver.switch_to.active_element.send_keys(Keys.ARROW_UP)
    wired.driver.switch_to.active_element.send_keys(Keys.ENTER)
    wired.wait(lambda: "masked, 5 bytes: 'Hello'" not in wired.chosen(), "the line above")
    assert wired.driver.execute_script(script) == 1


@pytest.mark.slow
def test_connections_are_told_apart_and_the_token_is_nowhere(wired: Page) -> None:
    wired.click("path-chat")
    wired.fill("name", "Ann", Keys.ENTER)
    wired.draws("TEXT frame from a server", "* Ann has joined")
    headings = [line for line in wired.wire() if line.startswith("connection")]
    assert headings == ["connection 1: /echo", "connection 2: /chat"]
    assert any("1000 NORMAL 'the page opened another one'" in line for line in wired.wire())
    for button in wired.driver.find_elements(By.CSS_SELECTOR, "#wire-lines button"):
        if "GET" in button.text:
            button.click()
            wired.draws("the client's request")
    token = wired.driver.execute_script("return wireToken")
    assert len(token) == 32
    page_now = wired.driver.execute_script(
        "return document.body.outerHTML + decodeURIComponent(byId('wire-picture').src)"
    )
    assert f"wire={token[:4]}…" in page_now
    assert token not in page_now


@pytest.mark.slow
def test_without_a_wire_the_page_has_no_panel(page: Page) -> None:
    assert not page["wire"].is_displayed()


def test_a_page_that_came_over_https_opens_wss(driver: webdriver.Chrome, certificate: tuple[str, str]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    with started(ssl_context=context) as server:
        page = Page(driver, f"https://{server.host_and_port}/").is_open()
        assert page.log()[0] == ("new WebSocket", f"wss://{server.host_and_port}/echo?compression=off")
        page.click("send-big")
        page.sees("message", "equal to what was sent")
        driver.get("about:blank")


@pytest.mark.slow
def test_nothing_scrolls_sideways_on_a_phone(
    page: Page, server: WebSocketServer, emulate: Callable[..., object]
) -> None:
    emulate("setDeviceMetricsOverride", width=360, height=740, deviceScaleFactor=1, mobile=True)
    page.driver.get(address(server))
    page.is_open()
    page.fill("text", "w" * 299, Keys.ENTER)
    page.sees("message", "w" * 299)
    page.click("ask-again")
    page.click("path-chat")
    page.wait(page["asked"].is_displayed, "fetch")
    page.click("disconnect")
    page.wait(page["over"].is_displayed, "the close")
    width, log_width = page.driver.execute_script(
        "return [document.documentElement.scrollWidth, byId('log').scrollWidth - byId('log').clientWidth]"
    )
    assert (width, log_width) == (360, 0)


@pytest.mark.slow
def test_at_320_pixels_a_long_subprotocol_wraps_and_the_drawing_in_words_scrolls(
    wired: Page, emulate: Callable[..., object]
) -> None:
    emulate("setDeviceMetricsOverride", width=320, height=740, deviceScaleFactor=1, mobile=True)
    wired.click("send-text")
    wired.draws("Hello")
    drawing, room = wired.driver.execute_script("""
        byId("wire-details").open = true;
        return [byId("wire-text").scrollWidth, byId("wire-text").clientWidth];
    """)
    assert drawing > room  # its lines are whole
    for protocols, words in (("x" * 200, "speaks none of these"), ("x" * 200 + " y", "is not a token")):
        wired.fill("protocols", protocols, Keys.ENTER)
        wired.wait(lambda words=words: words in wired["protocols-why"].text, words)
        wired.wait(wired["over"].is_displayed, "the close")
        assert wired.driver.execute_script("return document.documentElement.scrollWidth") == 320
    wired.driver.get_log("browser")


COLOURS = """
const background = (element) => {
  for (let e = element; e; e = e.parentElement) {
    const colour = getComputedStyle(e).backgroundColor;
    if (colour !== "rgba(0, 0, 0, 0)") return colour;
  }
};
document.activeElement.blur();
return Array.from(document.querySelectorAll("body :is(h1, h2, h3, p, code, pre, output, label, legend, input, button, "
    + "li, span, dt, dd, summary)"), (e) => [e.id || e.textContent, getComputedStyle(e).color, background(e)]);
"""


def luminance(colour: str) -> float:
    """WCAG's relative luminance of ``rgb(r, g, b)``."""
    channels = [int(number) / 255 for number in re.findall(r"\d+", colour)[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    """WCAG's contrast ratio."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_wire_panel_contrasts_enough(wired: Page, emulate: Callable[..., object], scheme: str) -> None:
    emulate("setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    wired.click("send-text")
    wired.draws("Hello")
    wired.click("path-chat")  # a name is missing
    for text, colour, behind in wired.driver.execute_script(COLOURS):
        assert contrast(colour, behind) >= 4.5, f"{text!r}: {colour} on {behind}"


@pytest.mark.slow
@pytest.mark.parametrize("width", [360, 1280])
def test_the_wire_is_beside_talk_or_right_below_it(wired: Page, emulate: Callable[..., object], width: int) -> None:
    emulate("setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 600)
    wired.click("send-text")
    wired.draws("Hello")
    talk, wire, page_width = wired.driver.execute_script(
        "return [byId('text').closest('section').getBoundingClientRect(), byId('wire').getBoundingClientRect(),"
        " document.documentElement.scrollWidth]"
    )
    assert page_width <= width
    if width < 600:
        assert 0 <= wire["top"] - talk["bottom"] < 40
    else:
        assert abs(wire["top"] - talk["top"]) < 1
        assert wire["left"] >= talk["right"]
        assert wire["top"] + wired.driver.execute_script("return scrollY") < 500


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_colours_follow_the_system_and_contrast_enough(
    page: Page, emulate: Callable[..., object], scheme: str
) -> None:
    emulate("setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    page.click("disconnect")
    page.wait(page["over"].is_displayed, "the close")
    page.click("send-text")
    page.sees("note")
    paper = page.driver.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (luminance(paper) < 0.1) is (scheme == "dark")
    for text, colour, behind in page.driver.execute_script(COLOURS):
        assert contrast(colour, behind) >= 4.5, f"{text!r}: {colour} on {behind}"  # WCAG 1.4.3, AA


@pytest.mark.slow
def test_the_keyboard_alone_reaches_every_control_in_reading_order(page: Page) -> None:
    page.driver.execute_script("document.activeElement.blur(); scrollTo(0, 0)")
    reached = []
    for _ in range(25):
        page.driver.switch_to.active_element.send_keys(Keys.TAB)
        reached.append(page.driver.switch_to.active_element.get_attribute("id"))
    controls = "ask-again path-echo protocols connect disconnect compression text send-text hex send-binary send-big"
    controls += " clear log code reason close"
    assert " ".join(filter(None, reached)).startswith(" ".join(controls.split()))
    focus = "byId('close').focus({focusVisible: true}); return getComputedStyle(byId('close')).outlineStyle"
    assert page.driver.execute_script(focus) == "solid"


@pytest.mark.slow
def test_every_field_has_a_label_and_every_button_a_text(page: Page) -> None:
    for field in page.driver.find_elements(By.CSS_SELECTOR, "input, button"):
        assert page.driver.execute_script(
            "const e = arguments[0]; return e.labels.length ? e.labels[0].textContent : e.textContent", field
        ).strip()


def test_the_console_has_nothing_to_complain_of(page: Page) -> None:
    page.driver.get_log("browser")  # forget what came before
    page.driver.refresh()
    page.is_open()
    page.click("send-text")
    page.click("send-binary")
    page.click("send-big")
    page.sees("message", "equal to what was sent")
    page.click("disconnect")
    page.sees("close", "code 1000")
    complaints = [entry for entry in page.driver.get_log("browser") if entry["level"] != "INFO"]
    # Chromium may note of the page itself that it came with 426: it did.
    assert [entry for entry in complaints if "status of 426" not in entry["message"]] == []


def test_the_page_asks_nothing_of_any_other_host(page: Page) -> None:
    names = page.driver.execute_script("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert names == []
