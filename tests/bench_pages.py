"""What a reader waits for, timed in a real browser.

    python -m tests.bench_pages [--json FILE]

Needs Chromium. Times are medians of one run on an otherwise quiet machine.
"""

import argparse
import io
import json
import statistics
import tempfile
import time
import zipfile
from pathlib import Path

import cv2
import psutil

from pipeline.data.phantom import EXAMPLES, Phantom, draw_film
from pipeline.models import registry
from tests.browsing import (
    PIXELS,
    chromium,
    drop,
    go_to,
    running_app,
    settled,
    upload,
    window,
)


def bench_pages() -> dict:
    """From the command to a page, from a drop to pictures and score, and the server's memory."""
    names = registry.classifiers()
    with chromium() as browser, tempfile.TemporaryDirectory() as kept:
        folder = Path(kept)
        log = registry.ROOT / ".pytest_cache" / "bench.log"
        started = time.perf_counter()
        with running_app(log) as address, window(browser, address) as page:
            page.get_by_role("heading", level=1).wait_for()
            result = {"command_to_page_s": round(time.perf_counter() - started, 1)}
            (process,) = [p for p in psutil.Process().children() if "streamlit" in p.cmdline()]
            result["light"] = _drops(page, folder, 0)
            result["resident_mb_with_one_model"] = round(process.memory_info().rss / 1e6)
            if len(names) > 1:
                page.get_by_text("Xception", exact=False).first.click()
                result["xception"] = _drops(page, folder, 1)
            result |= _sliders(page)
            result["work_list_films_per_second"] = _work_list(page)
    return result


def _drops(page, folder: Path, kind: int, films: int = 6) -> dict:
    """Seconds from the drop of a film, which the page has not seen, to what is seen of it."""
    first, all_of_it = [], []
    quick, viewer = page.locator("[data-testid=stImage] img"), page.locator(".viewer canvas").first
    for number in range(films):
        film = draw_film(Phantom(seed=1000 * kind + number), 1024)[0]
        file = folder / f"film-{kind}-{number}.png"  # from a disk, as a reader's
        cv2.imwrite(str(file), film)
        settled(page)
        before = viewer.evaluate(PIXELS) if viewer.count() else None
        started = time.perf_counter()
        drop(page, file)
        while not quick.count() and not (viewer.count() and viewer.evaluate(PIXELS) != before):
            page.wait_for_timeout(10)
        first.append(time.perf_counter() - started)
        while not viewer.count() or viewer.evaluate(PIXELS) == before:
            page.wait_for_timeout(10)
        settled(page)
        all_of_it.append(time.perf_counter() - started)
    return {  # without the first, for which the model is loaded
        "drop_to_first_picture_s": round(statistics.median(first[1:]), 2),
        "drop_to_everything_s": round(statistics.median(all_of_it[1:]), 2),
    }


def _sliders(page) -> dict:
    """Seconds from a key on a slider to what it changes, here and on the server."""
    here, there = [], []
    for _ in range(5):
        settled(page)
        slider = page.get_by_role("slider", name="How common").first
        said = page.get_by_text("would be COVID there").first.inner_text()
        slider.focus()
        started = time.perf_counter()
        page.keyboard.press("ArrowRight")
        page.wait_for_function(
            "said => ![...document.querySelectorAll('p')].some(p => p.innerText === said)", arg=said
        )
        there.append(time.perf_counter() - started)
        settled(page)
        opacity = page.get_by_role("slider", name="Heatmap opacity").first
        opacity.focus()
        before = page.locator(".viewer[data-zoom]").get_attribute("data-heat")
        started = time.perf_counter()
        page.keyboard.press("ArrowLeft")
        while page.locator(".viewer[data-zoom]").get_attribute("data-heat") == before:
            pass
        here.append(time.perf_counter() - started)
    return {
        "prevalence_slider_s": round(statistics.median(there), 2),
        "opacity_slider_s": round(statistics.median(here), 3),
    }


def _work_list(page, films: int = 200) -> float:
    """Films per second of a ZIP, from the start to the table."""
    packed = io.BytesIO()
    drawn = draw_film(EXAMPLES["clear"], 512)[0]
    with zipfile.ZipFile(packed, "w") as archive:
        for number in range(films):
            drawn[0, 0] = number
            archive.writestr(f"{number}.png", cv2.imencode(".png", drawn)[1].tobytes())
    go_to(page, "Work list")
    drop(page, upload("films.zip", packed.getvalue()))
    page.get_by_role("button", name="Read the films").click()
    started = time.perf_counter()
    page.get_by_role("button", name="CSV", exact=True).wait_for(timeout=600_000)
    return round(films / (time.perf_counter() - started), 2)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    text = json.dumps(bench_pages(), indent=1)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n", encoding="utf-8")
