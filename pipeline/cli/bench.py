"""``python -m pipeline bench``: speed and size, as ratios where there is a peer.

What is compared is timed in turns of one run, and each turn gives a ratio: compare ratios, not
milliseconds, between machines. Of every figure the median and the quartiles are kept. What a
browser sees of the app is timed by ``python -m tests.bench_pages``; `pipeline.cli.speed_page` makes
the table of docs/speed.md of the figures.
"""

import importlib.util
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import cv2
import keras
import numpy as np
import tensorflow as tf

from pipeline import __version__
from pipeline.data.phantom import EXAMPLES, draw_film
from pipeline.explain.gradcam import place, raw_map
from pipeline.inference.engine import describe, load_predictor
from pipeline.inference.onnx_predictor import open_session, threads
from pipeline.layers.hist_norm import HistNorm
from pipeline.models import registry
from pipeline.models.spec import ARCHITECTURES
from pipeline.models.unet import build_unet
from pipeline.serving.device import prepare_device

TURNS = 15


def bench(parts: list[str] | None = None) -> dict:
    """Measure each of ``parts``, by default of `PARTS`, once; keys say what and in which unit."""
    return {"machine": _machine()} | {part: PARTS[part]() for part in parts or PARTS}


def _machine() -> dict:
    """What the figures hold for."""
    packages = ("tensorflow", "keras", "onnxruntime", "numpy", "opencv-python-headless")
    return {
        "device": prepare_device(),
        "cores": os.cpu_count(),
        "threads": threads() or os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "engine": describe(load_predictor("light").engine),
        "versions": {"pulmoscope": __version__, "python": platform.python_version()}
        | {name: metadata.version(name) for name in packages},
        "weights_sha256": {
            name: registry.entry(name).sha256 for name in registry.read_registry()["models"]
        },
    }


def _engines() -> dict:
    return {name: _engine(name) for name in registry.classifiers()}


def _engine(name: str) -> dict:
    """A whole answer, heatmap's gradient and cell map included, on both engines."""
    try:
        registry.compiled_files(name)
    except registry.WeightsError as error:
        return {"skipped": str(error)}
    film = draw_film(EXAMPLES["opacities"], 1024)[0].astype(np.float32)
    onnx, keras = (load_predictor(name, engine) for engine in ("onnx", "keras"))
    calls = {"onnx": lambda: onnx(film), "keras": lambda: keras(film)}
    times, work = _in_turns(calls), _in_turns(calls, clock=time.process_time)
    return {
        "image": "1024 x 1024, one at a time",
        "onnx_ms": _spread(times["onnx"]),
        "keras_ms": _spread(times["keras"]),
        "times_faster": _spread(times["keras"] / times["onnx"]),
        # Of all threads; on a machine that is busy with other work, too, this is what counts.
        "onnx_processor_ms": _spread(work["onnx"]),
        "keras_processor_ms": _spread(work["keras"]),
        "times_less_work": _spread(work["keras"] / work["onnx"]),
    }


# What a new process takes until the models are ready, and what it holds then.
FRESH = """
import sys, time
import numpy as np
from pipeline.inference.engine import load_predictor
for name in sys.argv[2:]:
    load_predictor(name, sys.argv[1])(np.zeros((64, 64), np.float32))
import psutil
own = psutil.Process()
print(time.time() - own.create_time(), own.memory_info().rss / 1e6)
"""


def _start(repeats: int = 3) -> dict:
    """From the start of a process to every model for reading being ready, and its memory."""
    found = {}
    for engine in ("onnx", "keras"):
        said = [
            subprocess.run(
                [sys.executable, "-c", FRESH, engine, *registry.classifiers()],
                check=True,
                capture_output=True,
                text=True,
                cwd=registry.ROOT,
            ).stdout.split()
            for _ in range(repeats)
        ]
        seconds, megabytes = np.array(said, float).T
        found[engine] = {"seconds": _spread(seconds), "resident_mb": _spread(megabytes)}
    return found


def _hist_norm(batch: int = 64, size: int = 256) -> dict:
    """Equalising a batch, per image, beside OpenCV image by image and Keras's own layer."""
    levels = np.random.default_rng(0).integers(0, 256, (batch, size, size, 1)).astype(np.uint8)
    films = levels.astype(np.float32) / 255
    on_keras = tf.constant(films)
    ours = tf.function(HistNorm())
    equalization = keras.layers.Equalization(value_range=(0, 1))
    theirs = tf.function(lambda x: equalization(x, training=True))
    calls = {
        "keras": lambda: ours(on_keras),
        "opencv": lambda: [cv2.equalizeHist(one) for one in levels],
        "keras_equalization": lambda: theirs(on_keras),
    }
    if importlib.util.find_spec("tf2onnx"):
        session = _compiled_hist_norm()
        calls["onnx"] = lambda: session.run(None, {"film": films})
    # Processor time, so that a busy machine does not blur what takes a few milliseconds.
    work = _in_turns(calls, clock=time.process_time)
    times = {name: one / batch for name, one in work.items()}
    compared = {
        f"{name}_times_opencv": _spread(times[name] / times["opencv"])
        for name in ("keras", "onnx", "keras_equalization")
        if name in times
    }
    return {
        f"{name}_processor_ms_per_image": _spread(one) for name, one in times.items()
    } | compared


def _compiled_hist_norm():
    from pipeline.release.compiled import write_onnx

    layer = HistNorm()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "hist_norm.onnx"
        write_onnx(lambda film: {"out": layer(film)}, path, {"film": (None, None, None, 1)})
        return open_session(path)


def _heatmaps() -> dict:
    return {name: _heatmap(name) for name in registry.classifiers()}


def _heatmap(name: str) -> dict:
    """What another heatmap costs beside the pass that it comes from."""
    predictor = load_predictor(name)
    film = draw_film(EXAMPLES["opacities"], 1024)[0].astype(np.float32)
    looks, size = predictor.architecture, predictor.entry.input_size
    answer = predictor(film)

    def answer_and_map():
        raw = raw_map(predictor.entry.cam, predictor(film))
        return place(raw, looks.stride, looks.offset, size, film.shape)

    times = _in_turns({"whole": answer_and_map, "map": lambda: raw_map("gradcam", answer)})
    return {
        "forward_and_heatmap_ms": _spread(times["whole"]),
        "another_heatmap_from_the_same_pass_ms": _spread(times["map"]),
        "times_cheaper_than_a_second_pass": _spread(times["whole"] / times["map"]),
    }


def _files_mb() -> dict:
    """Sizes of weights and compiled models."""
    models = registry.read_registry()["models"]
    files = [registry.entry(name).checked_file() for name in models]
    files += sorted(registry.weights_folder().glob("*.onnx"))
    return {file.name: round(file.stat().st_size / 1e6, 2) for file in files}


def _training() -> dict:
    return {name: _training_step(name) for name in ("unet", "light", "xception")}


def _training_step(name: str, batch: int = 16) -> dict:
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
    step = _in_turns({"step": lambda: float(trainer.step(images, targets))}, turns=3)["step"]
    return {"ms_per_image": _spread(step / batch), "bfloat16": has_bfloat16()}


def _passes() -> dict:
    return {name: _together(name) for name in registry.classifiers()}


def _together(name: str) -> dict:
    """What images gain that go through the graph together."""
    predictor = load_predictor(name)
    film = draw_film(EXAMPLES["clear"], 512)[0].astype(np.float32)
    stacks = {count: np.repeat(film[None], count, axis=0) for count in (1, 2, 4, 8)}
    times = _in_turns({n: lambda stack=stack: predictor.many(stack) for n, stack in stacks.items()})
    gains = {
        f"times_faster_in_passes_of_{n}": _spread(times[1] / (times[n] / n)) for n in (2, 4, 8)
    }
    return {"one_ms": _spread(times[1])} | gains


PARTS: dict[str, Callable[[], dict]] = {
    "engines": _engines,
    "start": _start,
    "hist_norm": _hist_norm,
    "heatmaps": _heatmaps,
    "passes": _passes,
    "training": _training,
    "files_mb": _files_mb,
}


def _in_turns(calls: dict, turns: int = TURNS, clock: Callable = time.perf_counter) -> dict:
    """Milliseconds of every call, float64 (turns,): one call of each per turn, one turn before."""
    for call in calls.values():
        call()
    times: dict = {name: [] for name in calls}
    for _ in range(turns):
        for name, call in calls.items():
            started = clock()
            call()
            times[name].append(1000 * (clock() - started))
    return {name: np.array(values) for name, values in times.items()}


def _spread(values: np.ndarray) -> dict:
    """Median and quartiles, to four digits, and of how many."""
    low, median, high = (float(f"{v:.4g}") for v in np.percentile(values, (25, 50, 75)))
    return {"median": median, "low": low, "high": high, "n": len(values)}
