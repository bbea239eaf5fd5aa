"""``python -m pipeline bench``: speed and size, as ratios where there is a peer.

Times are medians of one run on an otherwise quiet machine; compare ratios, not milliseconds,
between machines.
"""

import importlib.util
import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import keras
import numpy as np
import psutil
import tensorflow as tf

from pipeline.data.phantom import EXAMPLES, Phantom, draw_film
from pipeline.explain.gradcam import place, raw_map
from pipeline.inference.predictor import Predictor
from pipeline.layers.hist_norm import HistNorm
from pipeline.models import registry
from pipeline.models.spec import ARCHITECTURES
from pipeline.models.unet import build_unet


def bench() -> dict:
    """Measure everything once; keys say what and in which unit."""
    result = {"cores": os.cpu_count(), "tensorflow": tf.__version__, "keras": keras.__version__}
    result["hist_norm"] = _hist_norm()
    result["models"] = {name: _model(name) for name in registry.classifiers()}
    result["files_mb"] = {
        name: round(registry.entry(name).checked_file().stat().st_size / 1e6, 2)
        for name in registry.read_registry()["models"]
    }
    result["training"] = {name: _training(name) for name in ("unet", "light", "xception")}
    result["passes"] = {name: _passes(name) for name in registry.classifiers()}
    result["server"] = _server()
    return result


def _hist_norm(batch: int = 64, size: int = 256) -> dict:
    rng = np.random.default_rng(0)
    films = tf.constant(rng.integers(0, 256, (batch, size, size, 1)).astype(np.float32) / 255)
    ours = tf.function(HistNorm())
    equalization = keras.layers.Equalization(value_range=(0, 1))
    theirs = tf.function(lambda x: equalization(x, training=True))
    ours_ms = _median_ms(lambda: ours(films)) / batch
    batch_ms = _median_ms(lambda: theirs(films)) / batch
    # Keras's layer mixes a batch's histograms; film by film is what gives a film its own.
    single_ms = _median_ms(
        lambda: [equalization(films[i : i + 1], training=True) for i in range(8)]
    )
    return {
        "ms_per_film": round(ours_ms, 3),
        "keras_equalization_ms_per_film": round(single_ms / 8, 3),
        "keras_equalization_whole_batch_ms_per_film": round(batch_ms, 3),
        "times_faster_per_film": round(single_ms / 8 / ours_ms, 1),
        "times_faster_whole_batch": round(batch_ms / ours_ms, 1),
    }


def _model(name: str) -> dict:
    started = time.perf_counter()
    predictor = Predictor(name)
    film = draw_film(EXAMPLES["opacities"], 1024)[0].astype(np.float32)
    predictor(film)
    loaded = time.perf_counter() - started
    looks, size = predictor.architecture, predictor.entry.input_size

    def answer_and_map():
        answer = predictor(film)
        raw = raw_map(predictor.entry.cam, answer)
        return place(raw, looks.stride, looks.offset, size, film.shape)

    answer = predictor(film)
    whole = _median_ms(answer_and_map)
    maps = _median_ms(lambda: raw_map("gradcam", answer))
    fresh = f"from pipeline.inference.predictor import Predictor; Predictor({name!r})"
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", fresh], check=True, capture_output=True)
    return {
        "film": "1024 x 1024, one at a time",
        "forward_and_heatmap_ms": round(whole, 1),
        "another_heatmap_from_the_same_pass_ms": round(maps, 2),
        "times_cheaper_than_a_second_pass": round(whole / maps, 1),
        "load_and_trace_s": round(loaded, 2),
        "load_in_a_new_process_s": round(time.perf_counter() - started, 2),
    }


def _training(name: str, batch: int = 16) -> dict:
    """Time of a training step per image at the model's own size."""
    if not importlib.util.find_spec("torch"):
        return {"skipped": "PyTorch is not installed"}
    from pipeline.training import losses
    from pipeline.training.fit import Trainer, has_bfloat16
    from pipeline.training.recipe import Recipe

    size = 256 if name == "unet" else ARCHITECTURES[name].input_size
    images = np.random.default_rng(0).random((batch, size, size, 1), np.float32)
    if name == "unet":
        model, loss, targets = build_unet(), losses.cross_entropy_and_dice, np.rint(images)
    else:
        model, loss = ARCHITECTURES[name].build(), losses.cross_entropy
        targets = np.eye(2, dtype=np.float32)[[0, 1] * (batch // 2)]
    trainer = Trainer(Recipe(name, ((size, 1),), steps=99, learning_rate=1e-3), model, loss)
    step = _median_ms(lambda: float(trainer.step(images, targets)), repeats=3)
    return {"ms_per_image": round(step / batch, 1), "bfloat16": has_bfloat16()}


def _passes(name: str, films: int = 8) -> dict:
    """What a graph gains from films that go through it together."""
    predictor = Predictor(name)
    film = draw_film(EXAMPLES["clear"], 512)[0].astype(np.float32)
    alone = _median_ms(lambda: predictor(film), repeats=15)
    gains = {"one_ms": round(alone, 1)}
    for count in (2, 4, films):
        stack = np.repeat(film[None], count, axis=0)
        together = _median_ms(lambda stack=stack: predictor.many(stack), repeats=7) / count
        gains[f"times_faster_in_passes_of_{count}"] = round(alone / together, 2)
    return gains


def _server() -> dict:
    """From the command to a page, from a drop to pictures and score, and the server's memory.

    Needs Chromium and what `make test` installs; says so where they are missing.
    """
    if not importlib.util.find_spec("playwright") or not importlib.util.find_spec("tests.browsing"):
        return {"skipped": "needs Chromium and requirements-dev.txt"}
    from tests.browsing import chromium, running_app, window

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
    from tests.browsing import PIXELS, drop, settled

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
    from tests.browsing import settled

    here, there = [], []
    for _ in range(5):
        settled(page)
        slider = page.get_by_role("slider", name="Prevalence of COVID-19").first
        said = page.get_by_text("would be COVID at this prevalence").first.inner_text()
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
    from tests.browsing import drop, go_to, upload

    packed = io.BytesIO()
    drawn = draw_film(EXAMPLES["clear"], 512)[0]
    with zipfile.ZipFile(packed, "w") as archive:
        for number in range(films):
            drawn[0, 0] = number
            archive.writestr(f"{number}.png", cv2.imencode(".png", drawn)[1].tobytes())
    go_to(page, "Work list")
    drop(page, upload("films.zip", packed.getvalue()))
    page.get_by_role("button", name="Read the images").click()
    started = time.perf_counter()
    page.get_by_role("button", name="CSV", exact=True).wait_for(timeout=600_000)
    return round(films / (time.perf_counter() - started), 2)


def _median_ms(call: Callable, repeats: int = 9) -> float:
    call()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return 1000 * statistics.median(times)
