"""The work list in real Chromium: drop films and a ZIP, watch, cancel, open one, take the table."""

import csv
import io
import re
from pathlib import Path

import pytest

from pipeline.report.tables import COLUMNS
from tests.browser import test_read as flows
from tests.browsing import drop, upload, window
from tests.io.test_archive import pack

expect = flows.expect

pytestmark = pytest.mark.browser

HEADING, ROW = 36, 56  # pixels of the table's rows


def open_list(page) -> None:
    page.get_by_role("link", name="Work list").click()
    expect(page.get_by_role("heading", name="Work list")).to_be_visible()


def start(page, *files) -> None:
    drop(page, *files)
    page.get_by_role("button", name=re.compile(r"Read the images \(\d+\)")).click()
    expect(page.get_by_test_id("stProgress")).to_be_visible()


def finished(page) -> None:
    expect(page.get_by_role("button", name="CSV", exact=True)).to_be_visible(timeout=300_000)


def tick(page, row: int) -> None:
    table = page.get_by_test_id("stDataFrame")
    expect(table).to_be_visible()
    table.click(position={"x": 16, "y": HEADING + ROW * row + ROW // 2})


def download(page, label: str) -> bytes:
    with page.expect_download() as begun:
        page.get_by_role("button", name=label, exact=True).click()
    return Path(begun.value.path()).read_bytes()


@pytest.fixture
def files(films) -> list[dict]:
    zipped = {"ward/opacities.png": flows.png(films["opacities"][0]), "../out.png": b"x"}
    return [
        upload("clear.png", flows.png(films["clear"][0])),
        upload("=Secret Patient.png", b"this is no picture"),
        upload("films.zip", pack(zipped)),
    ]


def test_drop_films_and_a_zip_open_one_take_the_table(page, server, files):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    open_list(page)
    expect(page.get_by_text("Drop several images or a ZIP above.")).to_be_visible()
    start(page, *files)
    finished(page)
    expect(page.get_by_text("Unreadable 2")).to_be_visible()
    expect(page.get_by_text("Not for diagnostic use.").first).to_be_visible()
    # The table is a canvas; its cells are there once more, for those who do not see it.
    cells = page.locator("[role=gridcell]")
    expect(cells.filter(has_text="ward/opacities.png")).to_have_count(1)
    expect(cells.filter(has_text="✕ Unreadable – ")).to_have_count(2)

    table = list(csv.DictReader(io.StringIO(download(page, "CSV").decode("utf-8-sig"))))
    assert tuple(table[0]) == COLUMNS
    assert [(line["file"], line["status"]) for line in table] == [
        ("clear.png", "ok"),
        ("'=Secret Patient.png", "error"),
        ("ward/opacities.png", "ok"),
        ("../out.png", "error"),
    ]
    assert download(page, "Excel").startswith(b"PK")

    tick(page, 2)  # behind the two that have a score
    error = page.get_by_test_id("stAlertContentError")
    expect(error).to_contain_text("This is not a readable image")
    tick(page, 0)
    highest = max(float(table[i]["covid_probability"]) for i in (0, 2))
    expect(page.get_by_text(f"COVID score {highest:.2f}")).to_be_visible()
    open_list(page)
    finished(page)
    expect(page.get_by_test_id("stDataFrame")).to_be_visible()

    assert "Secret Patient" not in server[1].read_text(), "file names are not logged"
    assert not [u for u in asked if not u.startswith((server[0], "data:", "blob:"))]
    page.get_by_role("button", name="Clear this list").click()
    expect(page.get_by_test_id("stDataFrame")).to_have_count(0)
    expect(page.get_by_text("Drop several images or a ZIP above.")).to_be_visible()


def test_the_list_goes_on_behind_another_page_and_cancel_keeps_what_was_read(page, films):
    film = flows.png(films["clear"][0])
    open_list(page)
    start(page, upload("many.zip", pack({f"{i:03}.png": film for i in range(200)})))
    expect(page.get_by_text(re.compile(r"[1-9]\d* of 200 read · about"))).to_be_visible()
    page.get_by_role("link", name="About the models").click()
    expect(page.get_by_role("heading", name="About the models")).to_be_visible()
    open_list(page)
    expect(page.get_by_text(re.compile(r"of 200 read"))).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    finished(page)
    expect(page.get_by_text(re.compile(r"Cancelled after \d+ of 200"))).to_be_visible()
    read = len(download(page, "CSV").decode().splitlines()) - 1
    assert 0 < read < 200
    expect(page.get_by_text(f"Cancelled after {read} of 200")).to_be_visible()


def test_files_that_wait_survive_a_page_change(page, files):
    open_list(page)
    drop(page, *files)
    ready = page.get_by_role("button", name="Read the images (4)")
    expect(ready).to_be_visible()
    page.get_by_role("link", name="About the models").click()
    expect(page.get_by_role("heading", name="About the models")).to_be_visible()
    open_list(page)
    expect(ready).to_be_visible()


def test_french_and_narrow(browser, server, films):
    with window(browser, f"{server[0]}/worklist", "fr-FR", width=390, height=800) as page:
        expect(page.get_by_role("heading", name="Liste de travail")).to_be_visible()
        expect(page.get_by_role("button", name="Essayer avec des clichés")).to_be_visible()
        drop(page, upload("inversé.png", flows.png(films["inverted"][0])))
        page.get_by_role("button", name="Lire les clichés (1)").click()
        expect(page.get_by_role("button", name="CSV", exact=True)).to_be_visible(timeout=300_000)
        expect(page.get_by_text("Pas de score 1")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
