"""``python -m pipeline bench``: speed and size, as ratios where there is a peer.

Times are medians of one run on an otherwise quiet machine; compare ratios, not milliseconds,
between machines.
"""

import functools
import importlib.util
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import keras
import numpy as np
import psutil
import tensorflow as tf

from pipeline import registry
from pipeline.gradcam import place, raw_map
from pipeline.layers.hist_norm import HistNorm
from pipeline.models.architectures import ARCHITECTURES
from pipeline.models.unet import build_unet
from pipeline.phantom import EXAMPLES, draw_film
from pipeline.predictor import Predictor
from pipeline.training.engines import make_engine


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
    fresh = f"from pipeline.predictor import Predictor; Predictor({name!r})"
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


def _training(name: str, size: int = 256, batch: int = 8) -> dict:
    """Time of a training step per film, on Keras and on PyTorch's kernels."""
    rng = np.random.default_rng(0)
    films = rng.random((batch, size, size, 1), np.float32)
    if name == "unet":
        build, loss, targets = build_unet, "cross_entropy_and_dice", np.rint(films)
    else:
        build, loss = ARCHITECTURES[name].build, "categorical_cross_entropy"
        targets = np.eye(2, dtype=np.float32)[[0, 1] * (batch // 2)]
    times = {}
    for kind in ("keras", "torch"):
        if kind == "torch" and not importlib.util.find_spec("torch"):
            return times | {"torch": "not installed"}
        engine = make_engine(build(), loss, seed=0, kind=kind)
        step = functools.partial(engine.step, films, targets, 1e-3)
        times[f"{kind}_ms_per_film"] = round(_median_ms(step, repeats=3) / batch, 1)
    ratio = times["keras_ms_per_film"] / times["torch_ms_per_film"]
    return times | {"times_faster_with_torch": round(ratio, 2)}


def _server() -> dict:
    """From the command to a page, and the server's memory once it has read a film.

    Needs Chromium and playwright (``make test`` installs it); says so where they are missing.
    """
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if not chromium or not importlib.util.find_spec("playwright"):
        return {"skipped": "needs Chromium and playwright"}
    from playwright.sync_api import sync_playwright

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app/main.py", "--server.headless=true"]
    options = [f"--server.port={port}", "--server.address=127.0.0.1"]
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(locale="en-US")
        page.set_default_timeout(60_000)
        started = time.perf_counter()
        process = subprocess.Popen(
            command + options,
            cwd=registry.ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _until_open(port)
            page.goto(f"http://127.0.0.1:{port}")
            page.get_by_role("heading", level=1).wait_for()
            answers = time.perf_counter() - started
            page.get_by_text("Clear lungs", exact=True).click()
            page.locator("[data-testid=stImage] img").nth(2).wait_for()
            first = time.perf_counter() - started
            started = time.perf_counter()
            page.get_by_text("With opacities", exact=True).click()
            page.get_by_text("COVID score").first.wait_for()
            page.wait_for_function("document.querySelectorAll('[data-stale=true]').length == 0")
            again = time.perf_counter() - started
            resident = psutil.Process(process.pid).memory_info().rss
        finally:
            process.terminate()
            process.wait(20)
            browser.close()
    return {
        "command_to_page_s": round(answers, 1),
        "command_to_first_score_s": round(first, 1),
        "next_synthetic_film_s": round(again, 2),
        "resident_mb": round(resident / 1e6),
    }


def _until_open(port: int) -> None:
    for _ in range(600):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise RuntimeError("the app does not start: run `streamlit run app/main.py` to see why.")


def _median_ms(call: Callable, repeats: int = 9) -> float:
    call()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return 1000 * statistics.median(times)
