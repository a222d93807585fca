"""Chapter 0 in a real browser: Chromium opens the 426, and its page upgrades."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import DEADLINE

from wsref import Compression, Limits, WebSocketServer, running
from wsref.apps.demo import Demo
from wsref.apps.panel import page_with_wire, with_wire
from wsref.network.server import PAGE

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
def started(handler: type[Demo] = Demo, **options: object) -> Iterator[WebSocketServer]:
    """What ``python -m wsref`` serves, on a free port, in this process."""
    with WebSocketServer(("127.0.0.1", 0), handler, **options) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), name="wsref server")
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


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
        """Until it is so; in vain, the event log is shown."""
        try:
            WebDriverWait(self.driver, DEADLINE, poll_frequency=0.02).until(lambda _: true())
        except Exception as error:
            error.msg = f"waited in vain: {why}; the log has {self.log()}"
            raise

    def log(self) -> list[tuple[str, str]]:
        """What the page logged: (event or call, detail)."""
        script = """return Array.from(document.querySelectorAll("#log-lines li"),
            (line) => [".what", ".detail"].map((part) => line.querySelector(part).textContent))"""
        return [(what, detail) for what, detail in self.driver.execute_script(script)]

    def sees(self, what: str, detail: str = "") -> None:
        """Wait for a line in the log."""
        self.wait(lambda: any(w == what and detail in d for w, d in self.log()), f"{what} {detail!r}")

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


def test_a_browser_sees_426_and_upgrades_all_the_same(page: Page) -> None:
    assert page["page-status"].text == "426 Upgrade Required"
    assert "Nothing is broken" in page["page-status-why"].text
    host = page.driver.execute_script("return location.host")
    request = page["handshake-request"].text.splitlines()
    assert request[:4] == ["GET /echo HTTP/1.1", f"Host: {host}", "Upgrade: websocket", "Connection: Upgrade"]
    assert f"Origin: http://{host}" in request
    assert page["handshake-response"].text.startswith("HTTP/1.1 101 Switching Protocols")


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


def test_200_kilobytes_come_back_equal_and_the_log_does_not_print_them(page: Page) -> None:
    page.click("send-big")
    page.sees("message", "(204,800 characters), equal to what was sent; there and back in ")
    assert max(len(detail) for _, detail in page.log()) < 500


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
            f"waited in vain for {wanted}; lines: {driver.execute_script('return lines')}",
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


def test_a_close_without_a_code_shows_1005(page: Page) -> None:
    page.fill("code", "", Keys.ENTER)
    page.sees("close", 'code 1005 (a Close without a code), reason "", wasClean true')


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


def test_a_server_that_goes_down_says_1001_and_the_page_does_not_storm_it(driver: webdriver.Chrome) -> None:
    with started() as server:
        page = Page(driver, address(server)).is_open()
    page.sees("close", 'code 1001 (going away), reason "the server is going down", wasClean true')
    page.is_in_state(3)
    assert "going away" in page["over-why"].text
    assert [what for what, _ in page.log()] == ["new WebSocket", "open", "close"]
    page.click("reconnect")  # there is nobody
    page.sees("close", "code 1006")
    assert "It never was open" in page["over-why"].text
    driver.get_log("browser")  # "net::ERR_CONNECTION_REFUSED", rightly


def test_a_connection_that_the_server_cuts_shows_1006(page: Page, server: WebSocketServer) -> None:
    for handler in server.handlers:
        handler._abort("a test")
    page.sees("close", 'code 1006 (no Close came), reason "", wasClean false')
    assert "without a Close" in page["over-why"].text
    page.driver.get_log("browser")


def test_offered_subprotocols_that_the_server_does_not_speak_fail_the_connection(page: Page) -> None:
    page.fill("protocols", "x.first, x.second", Keys.ENTER)
    page.sees("error")
    page.sees("close", "code 1006")
    assert "Sec-WebSocket-Protocol: x.first, x.second" in page["handshake-request"].text
    page.fill("protocols", "twice, twice", Keys.ENTER)
    page.sees("note", "SyntaxError")
    page.driver.get_log("browser")  # Chromium says why, there only


ELSEWHERE = """<!doctype html><title>elsewhere</title><script>
const socket = new WebSocket("URL");
socket.onopen = () => { document.title = "open"; };
socket.onclose = (event) => { document.title = `${socket.readyState} ${event.code} ${event.wasClean}`; };
</script>"""


@pytest.mark.parametrize("scheme", ["data", "file"])
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


def test_a_name_that_points_to_loopback_by_dns_rebinding_is_refused(
    driver: webdriver.Chrome, server: WebSocketServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "wsref")
    page = Page(driver, f"http://elsewhere.test:{server.server_address[1]}/")  # Host and Origin agree
    page.sees("close", "code 1006")
    page.is_in_state(3)
    assert "It never was open" in page["over-why"].text
    assert "hidden" in page["handshake-response"].text  # the status is, from scripts
    assert "403: pages from origin 'http://elsewhere.test:" in caplog.text
    driver.get_log("browser")


def test_the_page_opened_as_a_file_says_what_to_do_instead(driver: webdriver.Chrome) -> None:
    page = Page(driver, PAGE.as_uri())
    page.sees("note", "Open the URL that wsref printed")


def test_the_browser_agrees_on_compression_and_its_messages_come_back_equal(driver: webdriver.Chrome) -> None:
    """RFC 7692, with the implementation in Chromium."""
    with started(compression=Compression()) as server:
        page = Page(driver, address(server)).is_open()
        assert "permessage-deflate" in page["handshake-response"].text
        for words in ("short", "long enough to be compressed, " * 10, "long enough to be compressed, " * 10):
            page.fill("text", words, Keys.ENTER)
            page.wait(lambda words=words: page.log()[-1] == ("message", words), "the echo")
        page.click("send-big")
        page.sees("message", "(204,800 characters), equal to what was sent")
        (handler,) = server.handlers
        assert handler.extensions.startswith("permessage-deflate")
        driver.get("about:blank")


def test_the_wire_panel_shows_what_browsers_hide_and_draws_it(driver: webdriver.Chrome) -> None:
    handler, watches = with_wire()
    limits = Limits(ping_interval=0.2)
    page_bytes = page_with_wire(PAGE.read_bytes())
    with started(handler, tap=watches.tap, page=page_bytes, limits=limits) as server:
        page = Page(driver, address(server)).is_open()
        page.fill("text", "see me", Keys.ENTER)

        def told() -> list[str]:
            return driver.execute_script(
                "return Array.from(document.querySelectorAll('#wire-lines button'), button => button.textContent)"
            )

        for words in ("GET /echo?wire=", "101 Switching Protocols", "'see me'", "PING", "PONG"):
            page.wait(lambda words=words: any(words in line for line in told()), words)
        driver.execute_script(
            "Array.from(document.querySelectorAll('#wire-lines button'))"
            ".find(button => button.textContent.includes('see me')).click()"
        )
        page.wait(
            lambda: driver.execute_script("return document.getElementById('wire-picture').naturalWidth") > 100, ""
        )
        assert "see me" in driver.find_element("id", "wire-text").get_attribute("textContent")
        driver.get("about:blank")


def test_without_a_wire_the_page_has_no_panel(page: Page) -> None:
    assert not page["wire"].is_displayed()


def test_a_page_that_came_over_https_opens_wss(driver: webdriver.Chrome, certificate: tuple[str, str]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    with started(ssl_context=context) as server:
        page = Page(driver, f"https://{server.host_and_port}/").is_open()
        assert page.log()[0] == ("new WebSocket", f"wss://{server.host_and_port}/echo")
        page.click("send-big")
        page.sees("message", "equal to what was sent")
        driver.get("about:blank")


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


def test_the_keyboard_alone_reaches_every_control_in_reading_order(page: Page) -> None:
    page.driver.execute_script("document.activeElement.blur(); scrollTo(0, 0)")
    reached = []
    for _ in range(25):
        page.driver.switch_to.active_element.send_keys(Keys.TAB)
        reached.append(page.driver.switch_to.active_element.get_attribute("id"))
    controls = "ask-again path-echo protocols connect disconnect text send-text hex send-binary send-big clear log"
    controls += "  code reason close"
    assert " ".join(filter(None, reached)).startswith(" ".join(controls.split()))
    focus = "byId('close').focus({focusVisible: true}); return getComputedStyle(byId('close')).outlineStyle"
    assert page.driver.execute_script(focus) == "solid"


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
