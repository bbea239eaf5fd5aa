"""Remake the pictures of the README, in real Chromium and with synthetic films only.

    make screenshots

Each is a page's middle column from one element to another, with a palette of 256 colours.
"""

import sys
from io import BytesIO
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from app.views.film import colours
from tests.browsing import chromium, go_to, pick, running_app, settled, window

DOCS = ROOT / "docs"
SCREEN = {"width": 1440, "height": 900}  # the picture fills its height
TALL = {"width": 1280, "height": 2000}
MAIN = "[data-testid=stMainBlockContainer]"


def keep(page, name: str, first: str, last: str) -> None:
    """Write docs/NAME.png: the page's middle column, from the first element to the last."""
    settled(page)
    page.get_by_test_id("stMain").evaluate("main => main.scrollTo(0, 0)")
    page.mouse.move(0, 0)
    page.wait_for_timeout(1000)  # sliders and charts glide into place
    main, top, end = (page.locator(at).first.bounding_box() for at in (MAIN, first, last))
    edge = page.locator(MAIN).evaluate("main => parseFloat(getComputedStyle(main).paddingLeft)")
    height = end["y"] + end["height"] - top["y"] + 16
    left, width = main["x"] + edge - 16, main["width"] - 2 * edge + 32
    clip = {"x": left, "y": top["y"] - 8, "width": width, "height": height}
    picture = Image.open(BytesIO(page.screenshot(clip=clip))).convert("RGB")
    _few_colours(picture).save(DOCS / f"{name}.png", optimize=True)


def _few_colours(picture: Image.Image) -> Image.Image:
    """The greys of films, the colours of heatmaps, and what else there is: 256 in all."""
    greys = [level for grey in range(0, 256, 2) for level in (grey, grey, grey)]
    heat = [
        level
        for name in ("sequential", "diverging")
        for i in range(0, 256, 8)
        for level in colours()[name][3 * i : 3 * i + 3]
    ]
    others = picture.quantize(64).getpalette()[: 3 * 64]
    palette = Image.new("P", (1, 1))
    palette.putpalette(greys + heat + others)
    return picture.quantize(palette=palette, dither=Image.Dither.NONE)


def keep_reading(page, example: str, name: str) -> None:
    page.set_viewport_size(SCREEN)
    pick(page, example)
    page.get_by_text("Xception", exact=True).first.click()
    settled(page)
    page.wait_for_timeout(2000)  # until the viewer has drawn the other model's maps
    keep(page, name, "h1", ".viewer")
    page.set_viewport_size(TALL)


def keep_flows(page) -> None:
    """Demonstration, reading, comparing, work list, performance."""
    settled(page)
    page.get_by_role("button", name="Guided demonstration").first.click()
    page.locator(".viewer[data-zoom]").wait_for()
    settled(page)
    page.get_by_role("button", name="Next").click()
    page.get_by_text("Lungs, score and threshold").wait_for()
    page.set_viewport_size(SCREEN)
    keep(page, "demonstration", ".st-key-demonstration", ".viewer")
    page.set_viewport_size(TALL)
    page.get_by_role("button", name="Leave").click()
    keep_reading(page, "With opacities", "read")
    go_to(page, "Compare")
    page.locator(".viewer[data-zoom]").wait_for()
    keep(page, "compare", "h1", ".viewer")
    go_to(page, "Work list")
    page.get_by_role("button", name="Try it with synthetic images").click()
    page.get_by_role("button", name="CSV", exact=True).wait_for(timeout=1_200_000)
    keep(page, "worklist", "h1", "[data-testid=stDataFrame]")
    go_to(page, "Performance")
    page.locator(".js-plotly-plot").first.wait_for()
    keep(page, "performance", "h1", "[data-testid=stPlotlyChart] >> nth=1")


def main() -> None:
    with running_app(ROOT / ".cache" / "screenshots.log") as address, chromium() as browser:
        with window(browser, address, **TALL) as page:
            keep_flows(page)
        with window(browser, address, color_scheme="dark", **TALL) as page:
            keep_reading(page, "With opacities", "read-dark")
        with window(browser, address, "fr-FR", **TALL) as page:
            keep_reading(page, "Avec opacités", "read-french")


if __name__ == "__main__":
    main()
