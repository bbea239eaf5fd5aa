"""What the browser tests and `docs/screenshots.py` share: the app on a free port, and Chromium."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 180_000  # milliseconds; on two cores a model's first film takes its time


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextmanager
def running_app(log: Path, port: int | None = None, more: tuple = (), **variables: str):
    """The app as `make app` starts it, without the database; yields its address.

    ``more``: options of Streamlit; ``variables``: of the environment.
    """
    port = port or free_port()
    command = [sys.executable, "-m", "streamlit", "run", "app/server.py", "--server.headless=true"]
    options = [f"--server.port={port}", "--server.address=127.0.0.1"]
    environment = {k: v for k, v in os.environ.items() if k != "PULMOSCOPE_DATA"} | variables
    log.parent.mkdir(exist_ok=True)
    with log.open("w") as output:
        process = subprocess.Popen(
            [*command, *options, *more], cwd=ROOT, env=environment, stdout=output, stderr=output
        )
        try:
            wait_for(f"http://127.0.0.1:{port}/_stcore/health")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:  # it waits for a model that is being loaded
                process.kill()
                process.wait()


def wait_for(address: str, tries: int = 240) -> None:
    """Wait until a server answers."""
    for _ in range(tries):
        try:
            with urllib.request.urlopen(address, timeout=2):
                return
        except OSError:
            time.sleep(0.25)
    raise AssertionError(f"{address} does not answer")


@contextmanager
def chromium():
    """The system's Chromium, driven by Playwright."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


def drop(page, *files) -> None:
    """Drop files as the reader does; each as `upload` makes them."""
    unfold_source(page)
    page.locator("input[type=file]").set_input_files(list(files))


def unfold_source(page) -> None:
    """On the reading page what opens a film is folded into a button, once there is one."""
    folded = page.locator(".st-key-source button")
    if folded.count() and not page.locator("[data-testid=stPopoverBody]").count():
        folded.first.click()
        page.locator("[data-testid=stPopoverBody]").wait_for()


def upload(name: str, data: bytes) -> dict:
    return {"name": name, "mimeType": "application/octet-stream", "buffer": data}


def settled(page) -> None:
    """Wait until the page has been drawn to its end."""
    from playwright.sync_api import expect

    expect(page.locator("h1")).to_be_visible()
    expect(page.get_by_test_id("stStatusWidget")).to_have_count(0)
    expect(page.get_by_test_id("stSkeleton")).to_have_count(0)
    expect(page.locator("[data-stale=true]")).to_have_count(0)


def pick(page, example: str) -> None:
    """Choose a synthetic film and wait until its pictures have taken the place of others."""
    settled(page)
    film = page.locator(".viewer[data-zoom] figure:not([hidden]) canvas").first
    before = film.evaluate(PIXELS) if film.count() else None
    unfold_source(page)
    page.get_by_text(example, exact=True).click()
    for _ in range(PATIENCE // 200):
        if film.evaluate(PIXELS) != before:
            return settled(page)
        page.wait_for_timeout(200)
    raise AssertionError(f"the film {example} never appears")


PIXELS = "canvas => canvas.toDataURL()"


def go_to(page, title: str) -> None:
    """Open a page from the menu; where the menu is folded away, it is unfolded and folded again."""
    from playwright.sync_api import expect

    link = page.get_by_role("link", name=title, exact=True).first  # the menu's
    narrow = page.viewport_size["width"] < 768
    if narrow:
        unfold_menu(page)
    link.click()
    expect(page.locator("h1")).to_contain_text(title)
    settled(page)
    if narrow:
        fold_menu(page)


def unfold_menu(page) -> None:
    if page.get_by_test_id("stSidebar").get_attribute("data-collapsed") == "true":
        page.get_by_test_id("stExpandSidebarButton").click()


def fold_menu(page) -> None:
    if page.get_by_test_id("stSidebar").get_attribute("data-collapsed") == "false":
        page.get_by_test_id("stSidebarCollapseButton").get_by_role("button").click()


@contextmanager
def window(browser, address: str, language="en-US", width=1280, height=900, **options):
    """A page of its own session, open at ``address``; ``options``: those of Browser.new_context."""
    size = {"width": width, "height": height}
    with browser.new_context(locale=language, viewport=size, **options) as context:
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(address)
        yield page
