"""The pages that explain, in real Chromium: data, preprocessing, bias."""

import re
from pathlib import Path

import pytest

from tests.browsing import go_to, settled

playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect

pytestmark = pytest.mark.browser


def saved(page, button: str) -> bytes:
    """What the browser saves when a button is pressed."""
    with page.expect_download() as download:
        page.get_by_role("button", name=re.compile(button)).click()
    return Path(download.value.path()).read_bytes()


def test_data(page):
    go_to(page, "The data")
    expect(page.get_by_text("Class and source are confounded.")).to_be_visible()
    expect(page.locator(".js-plotly-plot")).to_have_count(6)
    assert saved(page, "Sources as SVG").startswith(b"<?xml")
    page.get_by_text("Four classes", exact=True).click()
    expect(page.get_by_text("COVID-19: 6")).to_be_visible()  # of 24 films, in equal parts


def test_preprocessing(page):
    settled(page)
    page.get_by_text("Normal lungs", exact=True).click()
    expect(page.locator(".viewer[data-zoom]")).to_be_visible()
    go_to(page, "Preprocessing")
    expect(page.get_by_text("Image: Synthetic: Normal lungs.")).to_be_visible()
    expect(page.get_by_test_id("stImage")).to_have_count(8)  # seven stages and a layer's channels
    unlike = page.get_by_test_id("stMetric").filter(
        has_text="Pixels differing from cv2.equalizeHist"
    )
    expect(unlike.get_by_test_id("stMetricValue")).to_have_text("0")
    expect(page.get_by_text("down1_conv1 (Conv2D): output 256 × 256 × 16")).to_be_visible()
    layer = page.get_by_role("combobox", name=re.compile("Layer"))
    layer.click()
    layer.press_sequentially("stage4_relu2")
    page.get_by_role("option", name="stage4_relu2").click()
    expect(page.get_by_text("stage4_relu2 (ReLU): output 27 × 27 × 128")).to_be_visible()
    page.get_by_role("slider", name="Drag to compare").press("End")
    assert saved(page, "Stages as PNG").startswith(b"\x89PNG")


def test_bias(page):
    go_to(page, "Why cut out the lungs?")
    viewer = page.locator(".viewer[data-zoom]")
    expect(viewer).to_be_visible()
    page.get_by_text("Electrode", exact=True).click()
    expect(page.get_by_label("Text", exact=True)).to_have_count(0)
    settled(page)
    expect(page.get_by_test_id("stMetricDelta").first).to_be_visible()
    expect(page.get_by_text("lungs blacked out")).to_be_visible()
    assert saved(page, "Comparison as SVG").startswith(b"<?xml")
