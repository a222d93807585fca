"""Take the pictures of the page for README and the book, in light and dark, and write the mark.

    python docs/screenshots.py

It starts ``python -m wsref``, opens the page in Chromium, uses it like a reader, and writes
``docs/_static/*.png``.  Each picture contains the hash of ``page.html``, so that a test can tell when
the page has changed since.  It needs selenium and Pillow, and Debian's chromium and chromium-driver.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "wsref" / "apps" / "page.html"
STATIC = ROOT / "docs" / "_static"

#: The suffix of a picture's name, by colour scheme.
SUFFIXES = {"light": "", "dark": "-dark"}
#: The pictures of the page.
NAMES = ("page", "wire")

PORT = 8765  # the default: the pictures show it
WIDTH = 1280
KEYWORD = b"page.html\0"

CARD = """<!doctype html><style>
body {{ margin: 0; width: 1200px; height: 630px; box-sizing: border-box;
  display: grid; grid-template-columns: auto 1fr; gap: 80px; align-items: center;
  padding: 80px; background: #fbfaf6; color: #22262a;
  font: 40px/1.35 Charter, "Bitstream Charter", Cambria, Georgia, serif; }}
svg {{ width: 360px; height: 360px; }} h1 {{ margin: 0 0 24px; font-size: 96px; color: #0b5c6e; }} p {{ margin: 0; }}
</style>{mark}<div><h1>wsref</h1><p>Write a WebSocket server,<br>and see every byte.</p></div>"""


def mark() -> str:
    """The mark, as ``page.html`` has it: a whole SVG document."""
    found = re.search(r"<svg id=\"mark\".*?</svg>", PAGE.read_text("utf-8"), re.S)
    assert found, "page.html has no mark"
    svg = re.sub(r" *<!--.*?-->", "", found[0]).replace(' id="mark"', "").replace(' aria-hidden="true"', "")
    return re.sub(r"\n +", "\n", svg) + "\n"


def hash_of_page() -> str:
    """The hash of the page that a picture shows."""
    return hashlib.sha256(PAGE.read_bytes()).hexdigest()


def hash_in(png: bytes) -> str:
    """Return the hash that a picture contains, or "".

    Args:
        png: The whole file.
    """
    at = png.find(b"tEXt" + KEYWORD)
    return png[at + 4 + len(KEYWORD) :][:64].decode() if at > 0 else ""


def with_hash(png: bytes) -> bytes:
    """Return a picture with 256 colours, a quarter of the bytes, that contains :func:`hash_of_page`."""
    from PIL import Image, PngImagePlugin

    info = PngImagePlugin.PngInfo()
    info.add_text("page.html", hash_of_page())
    found = Image.open(io.BytesIO(png)).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    written = io.BytesIO()
    found.save(written, "PNG", optimize=True, pnginfo=info)
    return written.getvalue()


def take() -> Iterator[tuple[str, bytes]]:
    """Yield the name of each picture, and the picture."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.support.ui import WebDriverWait

    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    profile = tempfile.TemporaryDirectory()
    for flag in ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={profile.name}"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))

    def run(script: str) -> Any:
        return driver.execute_script(script)

    def wait(condition: str) -> None:
        WebDriverWait(driver, 30, poll_frequency=0.05).until(lambda _: run(f"return {condition}"), condition)

    def picture(selector: str, *, whole_width: bool = False) -> bytes:
        """From an element's top to its bottom; with the whole width, from the top of the page."""
        run("document.activeElement.blur()")
        x, y, width, height = run(
            f"const box = document.querySelector('{selector}').getBoundingClientRect();"
            "return [box.x + scrollX, box.y + scrollY, box.width, box.height]"
        )
        if whole_width:
            x, y, width, height = 0, 0, WIDTH, y + height + 16
        clip = {"x": x, "y": y, "width": width, "height": height, "scale": 1}
        found = driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
        return base64.b64decode(found["data"])

    try:
        metrics = {"width": WIDTH, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        for scheme, suffix in SUFFIXES.items():
            media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
            driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
            driver.get(f"http://127.0.0.1:{PORT}/")
            wait("socket?.readyState === 1")
            run("byId('send-text').click()")
            wait("byId('wire-picture').naturalWidth && document.querySelectorAll('#log-lines li').length === 4")
            wait("document.querySelectorAll('#wire-lines li').length === 4")
            yield f"page{suffix}.png", with_hash(picture("#wire", whole_width=True))
            run("byId('path-chat').click(); byId('name').value = 'Ann'; byId('connect').click()")
            wait("socket.readyState === 1 && byId('wire-text').textContent.includes('* Ann')")
            run("byId('text').value = 'hi'; byId('send-text').click()")
            wait("chosen.textContent.includes(\"masked, 2 bytes: 'hi'\")")
            wait("byId('wire-text').textContent.includes('8 bytes')")
            wait("byId('wire-lines').textContent.includes('Ann: hi')")
            yield f"wire{suffix}.png", with_hash(picture("#wire"))
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
        driver.get(
            "data:text/html;charset=utf-8;base64," + base64.b64encode(CARD.format(mark=mark()).encode()).decode()
        )
        yield "card.png", picture("body")
    finally:
        driver.quit()
        profile.cleanup()


def main() -> None:
    """Start the server, and write everything."""
    os.environ["SE_OFFLINE"] = "true"  # selenium asks no server for a driver
    (STATIC / "mark.svg").write_text(mark(), "utf-8")
    words = [sys.executable, "-m", "wsref", "--port", str(PORT)]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        try:
            if not server.stdout.readline().startswith("Open "):
                sys.exit(f"the server did not start: is port {PORT} in use?")
            for name, png in take():
                (STATIC / name).write_bytes(png)
                print(f"{STATIC / name}: {len(png)} bytes")
        finally:
            server.terminate()


if __name__ == "__main__":
    main()
