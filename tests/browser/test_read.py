"""What a clinician does, in real Chromium: drop a film, see three pictures and a score."""

import re
from pathlib import Path

import cv2
import pytest

from pipeline.models import registry
from tests.browsing import drop, upload, window

playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect

pytestmark = pytest.mark.browser


def png(film) -> bytes:
    return cv2.imencode(".png", film)[1].tobytes()


def test_drop_a_film_see_three_pictures_and_a_score(page, films):
    expect(page.get_by_role("heading", name="Read a radiograph")).to_be_visible()
    expect(page.get_by_text("Not for diagnostic use.").first).to_be_visible()
    page.get_by_role("radiogroup", name="Model").get_by_text("Light CNN").click()
    drop(page, upload("chest.png", png(films["opacities"][0])))
    expect(page.get_by_text(re.compile(r"COVID score \d\.\d\d"))).to_be_visible()
    viewer = page.locator(".viewer[data-zoom]")
    expect(viewer).to_have_attribute("data-view", "heat")
    expect(viewer.locator("canvas:visible")).to_have_count(1)
    viewer.focus()
    page.keyboard.press("4")
    expect(viewer).to_have_attribute("data-view", "side")
    pictures = viewer.locator("canvas:visible")
    expect(pictures).to_have_count(3)
    for i in range(3):
        assert pictures.nth(i).evaluate(SPREAD) > 50, "a picture is blank"
    expect(page.get_by_text("Not for diagnostic use.").last).to_be_visible()


# How far apart the darkest and the brightest point of a canvas lie, 0..255.
SPREAD = """canvas => {
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  const red = pixels.filter((_, i) => i % 4 === 0);
  return red.reduce((a, v) => Math.max(a, v), 0) - red.reduce((a, v) => Math.min(a, v), 255);
}"""
MIDDLE = """canvas => [...canvas.getContext("2d")
  .getImageData(canvas.width / 2, canvas.height / 3, 1, 1).data].slice(0, 3)"""


def test_viewer_by_keyboard_alone_and_without_the_server(page):
    sent = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: sent.append(frame)))  # noqa: PLW0108
    page.reload()
    page.get_by_text("With opacities", exact=True).click()
    viewer = page.locator(".viewer[data-zoom]")
    expect(viewer).to_be_visible()
    expect(page.locator("[data-testid=stStatusWidget]")).to_have_count(0)
    expect(page.get_by_text("The eight copies")).to_be_visible(timeout=60_000)  # no more asking
    assert sent, "the picture came from the server"
    sent.clear()
    film = viewer.locator("canvas").first
    viewer.focus()
    page.keyboard.press("1")
    expect(viewer).to_have_attribute("data-view", "film")
    before = film.evaluate(MIDDLE)
    page.keyboard.press("i")
    expect(viewer).to_have_attribute("data-invert", "true")
    assert all(abs(255 - b - a) <= 2 for a, b in zip(film.evaluate(MIDDLE), before, strict=True))
    page.keyboard.press("+")
    page.keyboard.press("ArrowLeft")
    expect(viewer).to_have_attribute("data-zoom", "1.250")
    page.keyboard.press("C")
    expect(viewer).to_have_attribute("data-window", "128/271")
    page.keyboard.press("0")
    expect(viewer).to_have_attribute("data-zoom", "1.000")
    expect(viewer).to_have_attribute("data-invert", "false")
    assert film.evaluate(MIDDLE) == before
    viewer.get_by_label("Heatmap method").select_option("gradcam")
    expect(viewer).to_have_attribute("data-method", "gradcam")
    viewer.get_by_label("Heatmap opacity").fill("0.2")
    expect(viewer).to_have_attribute("data-heat", "0.2")
    assert not sent, "the viewer asks the server nothing"


def test_each_model_shows_its_own_best_map_until_the_reader_chooses(page):
    page.get_by_text("With opacities", exact=True).click()
    viewer = page.locator(".viewer[data-zoom]")
    chooser = viewer.get_by_label("Heatmap method")
    for label, name in (("Light CNN", "light"), ("Xception", "xception"), ("Light CNN", "light")):
        page.get_by_text(label, exact=True).click()
        expect(viewer).to_have_attribute("data-method", registry.entry(name).cam)
        expect(chooser).to_have_value(registry.entry(name).cam)
    chooser.select_option("gradcam")
    drawn = viewer.get_attribute("data-ready")
    page.get_by_text("Xception", exact=True).click()
    expect(viewer).not_to_have_attribute("data-ready", drawn)
    expect(viewer).to_have_attribute("data-method", "gradcam")


def test_a_bad_file_gets_a_sentence_and_the_next_one_still_works(page, server, films):
    drop(
        page,
        upload("Secret Patient.png", b"this is no picture"),
        upload("cut.jpg", cv2.imencode(".jpg", films["clear"][0])[1].tobytes()[:4000]),
        upload("good.png", png(films["clear"][0])),
    )
    expect(page.get_by_text("This is not a readable image")).to_be_visible()
    expect(page.get_by_text("The image is damaged or incomplete")).to_be_visible()
    expect(page.get_by_text(re.compile(r"COVID score \d\.\d\d"))).to_be_visible()
    assert "Secret Patient" not in server[1].read_text(), "file names are not logged"


def test_state_survives_a_page_change(page, films):
    drop(page, upload("chest.png", png(films["clear"][0])))
    expect(page.get_by_text(re.compile(r"COVID score \d\.\d\d"))).to_be_visible()
    page.get_by_role("link", name="About the models").click()
    expect(page.get_by_role("heading", name="About the models")).to_be_visible()
    page.get_by_role("link", name="Read a radiograph").click()
    expect(page.get_by_text(re.compile(r"COVID score \d\.\d\d"))).to_be_visible()


def test_french_browser_and_narrow_window(browser, server):
    with window(browser, server[0], "fr-FR", width=390, height=800) as page:
        expect(page.get_by_role("heading", name="Lire une radiographie")).to_be_visible()
        page.get_by_text("Inversé", exact=True).click()
        expect(page.get_by_text("Le cliché est inversé")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_nothing_is_loaded_from_elsewhere(page, server):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.reload()
    page.get_by_text("Normal lungs", exact=True).click()
    expect(page.get_by_text(re.compile(r"COVID score \d\.\d\d"))).to_be_visible()
    outside = [u for u in asked if not u.startswith((server[0], "data:", "blob:"))]
    assert asked
    assert not outside
    assert page.evaluate(
        "[...document.fonts].some(f => f.family == 'Inter' && f.status == 'loaded')"
    )


def test_a_case_is_taken_away_as_pdf_json_and_dicom(page, films, server):
    from io import BytesIO
    from zipfile import ZipFile

    from pypdf import PdfReader

    from tests.report.test_report_dicom import source

    drop(page, upload("film.dcm", source(films["clear"][0])))
    expect(page.get_by_text(re.compile(r"COVID score \d\.\d\d"))).to_be_visible()
    page.get_by_text("Export: PDF").click()
    page.get_by_label("Patient label").fill("Case 17")  # and straight on to the button
    with page.expect_download() as download:
        page.get_by_role("button", name=re.compile("PDF$")).click()
    text = PdfReader(download.value.path()).pages[0].extract_text()
    assert "Case 17" in text
    assert "film.dcm" not in text
    with page.expect_download() as download:
        page.get_by_role("button", name=re.compile("JSON$")).click()
    assert '"weights_sha256"' in Path(download.value.path()).read_text()
    with page.expect_download() as download:
        page.get_by_role("button", name=re.compile("DICOM .segmentation")).click()
    names = ZipFile(BytesIO(Path(download.value.path()).read_bytes())).namelist()
    assert any(name.endswith("lungs.seg.dcm") for name in names)
    log = server[1].read_text()
    assert '"event": "diagnosis", "model": "light"' in log
    for identity in ("Müller", "Zoë", "19500101", "film.dcm", "Case 17"):
        assert identity not in log, "no patient's data are logged"
