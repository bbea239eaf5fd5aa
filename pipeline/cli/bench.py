"""``python -m pipeline bench``: speed and size, as ratios where there is a peer.

Times are medians of one run on an otherwise quiet machine; compare ratios, not milliseconds,
between machines. What a browser sees of the app is timed by ``python -m tests.bench_pages``.
"""

import importlib.util
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from pipeline.data.phantom import EXAMPLES, draw_film
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


def _median_ms(call: Callable, repeats: int = 9) -> float:
    call()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return 1000 * statistics.median(times)
