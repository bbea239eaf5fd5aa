"""From the PACS in real Chromium, with Orthanc: search, read, send back, compare, work list."""

import re

import pytest

from pipeline.pacs.archive import Archive, Criteria
from pipeline.pacs.credentials import Credentials
from tests.browser import test_read as flows
from tests.browser.test_worklist import HEADING, ROW
from tests.browsing import go_to, running_app, settled, window
from tests.pacs.orthanc import running_orthanc
from tests.pacs.test_orthanc import three_studies

expect = flows.expect

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def hospital(tmp_path_factory, films):
    """The app's address, its log, and the PACS beside it."""
    folder = tmp_path_factory.mktemp("pacs")
    with running_orthanc(folder) as (address, _port):
        archive = Archive(address, Credentials("reader", "secret"))
        film = films["clear"][0]
        archive.store([three_studies(film)[0], three_studies(film // 2 + 40)[1]])
        variables = {
            "PULMOSCOPE_PACS": address,
            "PULMOSCOPE_PACS_USER": "reader",
            "PULMOSCOPE_PACS_PASSWORD": "secret",
        }
        log = folder / "server.log"
        with running_app(log, **variables) as app:
            yield app, log, archive


def search(page) -> None:
    go_to(page, "From the PACS")
    page.get_by_label("Patient ID").fill("P9")
    page.get_by_label("From", exact=True).get_by_role("spinbutton").first.click()
    page.keyboard.type("20200101")
    page.keyboard.press("Escape")  # the calendar
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.get_by_text("Images: 2 of 2 found")).to_be_visible()


def tick(page, *rows: int) -> None:
    table = page.get_by_test_id("stDataFrame")
    for row in rows:
        table.click(position={"x": 16, "y": HEADING + ROW * row + ROW // 2})


def test_from_the_pacs_and_back(browser, hospital):
    address, log, archive = hospital
    with window(browser, address) as page:
        settled(page)
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        search(page)
        tick(page, 0)
        page.get_by_role("button", name="Read this image").click()
        expect(page.locator("h1")).to_contain_text("Read a radiograph")
        expect(page.locator(".viewer[data-zoom]")).to_be_visible()
        page.get_by_role("button", name="Send results to PACS").click()
        page.get_by_role("button", name="Send now").click()
        expect(page.get_by_text("The PACS has stored the results")).to_be_visible()
        sent, _more = archive.search(Criteria(accession="A1", modalities=("SEG", "SR", "OT")))
        assert {image.modality for image in sent} >= {"SEG", "SR"}

        go_to(page, "From the PACS")  # what was found is still there
        tick(page, 0)
        page.get_by_role("button", name="Compare with earlier images").click()
        expect(page.locator("h1")).to_contain_text("Compare")
        settled(page)
        titles = page.locator("[data-testid=stMarkdown] strong").all_text_contents()
        named = [title for title in titles if title.startswith("PACS")]
        assert [name[:15] for name in named[:2]] == ["PACS 2025-01-01", "PACS 2026-03-09"]

        go_to(page, "From the PACS")  # what was found is still there
        tick(page, 0, 1)
        page.get_by_role("button", name="To the work list (2)").click()
        page.get_by_role("button", name=re.compile(r"Read the images \(2\)")).click()
        expect(page.get_by_role("button", name="CSV", exact=True)).to_be_visible(timeout=300_000)
        told = "".join(asked) + log.read_text()
    for secret in ("P9", "Müller", "Zo%C3%AB", "1.2.9.2", "A1&"):
        assert secret not in told
